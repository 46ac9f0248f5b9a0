//! All nodes that events speak of.

use std::collections::HashMap;

use event::primary::Primaries;
use event::{Event, KindId, NodeName};

use super::cells::Cells;
use super::count::{self, Around, Firsts};
use super::lists::Lists;
use super::node::{About, Node};
use super::table::{self, tool};

/// Nodes that are kept apart. A bus that others may write to can name any number of them.
const NODES: usize = 1000;

/// Ticks without any event after which nobody watches a node.
const SILENT: u32 = 12;

/// … and after which nobody expects it back: a day.
const GIVEN_UP: u32 = 17_280;

/// Everything that was counted.
#[derive(Debug)]
pub struct Fleet {
    nodes: Vec<Node>,
    places: HashMap<String, usize>,
    /// Whether one of them is none: findings about all nodes have a name in the place of a node's.
    fleet: bool,
    /// The place of the node that spoke last: most often it speaks again.
    last: usize,
    tool: Cells,
    told: bus::Stats,
    lists: Lists,
    firsts: Firsts,
    /// Which witness counts where there are several.
    primaries: Primaries,
    tick: u32,
}

impl Fleet {
    /// Nothing counted yet.
    pub fn new(lists: Lists) -> Self {
        Self {
            nodes: vec![],
            places: HashMap::new(),
            fleet: false,
            last: 0,
            tool: Cells::new(&tool::ROWS),
            told: bus::Stats::default(),
            lists,
            firsts: Firsts::default(),
            primaries: Primaries::default(),
            tick: 0,
        }
    }

    /// Counts an event.
    pub fn observe(&mut self, event: &Event) {
        let Some(kind) = &event.kind else { return };
        let Some(place) = self.place(&event.node) else {
            tool::STRAYS.add(&mut self.tool, (), 1);
            return;
        };
        let several = self.watched() > 1;
        let node = &mut self.nodes[place];
        // what is replayed does not get old while one looks at it
        node.heard = if event.replay { None } else { Some(self.tick) };
        node.live(event, kind);
        if !self.primaries.admit(event) {
            tool::SECONDARY.add(&mut self.tool, (), 1);
            return;
        }
        node.believe(event.source(), kind.id());
        table::EVENTS.add(&mut node.cells, (event.source(), kind.id()), 1);
        let mut around = Around { lists: &self.lists, firsts: &mut self.firsts, several, crowded: false };
        count::count(node, &mut around, event, kind);
        if around.crowded {
            tool::CROWDED.add(&mut self.tool, (), 1);
        }
    }

    /// The subscription missed so many events.
    pub fn missed(&mut self, count: u64) {
        tool::MISSED.add(&mut self.tool, (), count);
    }

    /// What the subscription could not use so far.
    pub fn unusable(&mut self, now: bus::Stats) {
        use tool::Unusable::{ForeignSubject, Incomplete, Undecodable, UnknownKind};
        let before = std::mem::replace(&mut self.told, now);
        for (reason, now, before) in [
            (Undecodable, now.undecodable, before.undecodable),
            (UnknownKind, now.unknown_kind, before.unknown_kind),
            (ForeignSubject, now.foreign_subject, before.foreign_subject),
            (Incomplete, now.incomplete, before.incomplete),
        ] {
            tool::UNUSABLE.add(&mut self.tool, (reason,), now.saturating_sub(before));
        }
    }

    /// Time passes, as it does where no event says so. Call it every [`Fleet::TICK`].
    pub fn tick(&mut self) {
        self.tick = self.tick.saturating_add(1);
        for node in &mut self.nodes {
            match node.heard.map(|heard| self.tick - heard) {
                Some(SILENT) => node.silent(),
                Some(GIVEN_UP) => node.given_up(),
                _ => {}
            }
        }
    }

    /// How much time a tick is: a node is silent after a minute.
    pub const TICK: std::time::Duration = std::time::Duration::from_secs(5);

    /// Other lists of addresses from now on. Counts stay with the place of their list.
    pub fn use_lists(&mut self, lists: Lists) {
        self.lists = lists;
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// What there is to show of a node.
    pub fn shown(&mut self, place: usize) -> Shown {
        let node = &mut self.nodes[place];
        node.settle();
        Shown {
            name: node.name.clone(),
            cells: node.cells.clone(),
            systems: node.systems.clone(),
            about: node.about.clone(),
            sources: node.sources(),
        }
    }

    /// What there is to show of the tool itself, and the names of the lists.
    pub fn shown_tool(&mut self) -> (Cells, Vec<String>) {
        let watched = self.watched() as f64;
        tool::NODES.set(&mut self.tool, (), watched);
        let account = self.primaries.account();
        for (what, count) in [
            (tool::Witness::Switches, account.switches),
            (tool::Witness::Uncovered, account.uncovered),
            (tool::Witness::Near, account.near),
            (tool::Witness::Foreign, account.foreign),
            (tool::Witness::Forgotten, account.forgotten),
        ] {
            tool::WITNESSES.set(&mut self.tool, (what,), count as f64);
        }
        (self.tool.clone(), self.lists.names().to_vec())
    }

    /// How many nodes are watched.
    fn watched(&self) -> usize {
        self.nodes.len() - usize::from(self.fleet)
    }

    fn place(&mut self, name: &str) -> Option<usize> {
        if self.nodes.get(self.last).is_some_and(|node| node.name == name) {
            return Some(self.last);
        }
        if let Some(place) = self.places.get(name) {
            self.last = *place;
            return Some(*place);
        }
        // it becomes the word of a label
        if self.nodes.len() == NODES || name.parse::<NodeName>().is_err() {
            return None;
        }
        self.last = self.nodes.len();
        self.fleet |= name == detect::FLEET;
        self.places.insert(name.to_owned(), self.last);
        self.nodes.push(Node::new(name.to_owned()));
        Some(self.last)
    }
}

/// A node as it was at one moment.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// What was counted.
    pub cells: Cells,
    /// Autonomous systems by place.
    pub systems: Vec<u32>,
    /// What it says that it is.
    pub about: About,
    /// Sources that were heard, a bit each.
    pub sources: u16,
}

/// What the filter of the bus has to let through.
pub fn wanted() -> event::Filter {
    event::Filter::kinds(KindId::ALL)
}
