//! All nodes that events speak of.

use event::primary::Primaries;
use event::{Event, NodeName};

use super::findings::Findings;
use super::node::Node;
use super::series::Measure;

/// Nodes that are shown. A bus that others may write to can name any number of them.
const MOST: usize = 200;

/// What there is to show: a plain value made of events.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    /// In the order of their names.
    all: Vec<Node>,
    /// What detectors hold to be the case of all nodes together.
    pub findings: Findings,
    /// Which witness counts where there are several.
    primaries: Primaries,
    /// Events that this screen's own subscription missed.
    pub missed: u64,
    /// Events of nodes that are not shown, because there are too many or their name is none.
    pub strays: u64,
}

impl Nodes {
    /// Takes in an event.
    pub fn observe(&mut self, event: &Event) {
        let Some(kind) = &event.kind else { return };
        if event.node == detect::FLEET {
            // no node, and beats for nobody
            self.findings.take(event);
            return;
        }
        let Some(place) = self.place(&event.node) else {
            self.strays += 1;
            return;
        };
        let node = &mut self.all[place];
        let of_this_life = node.live(event, kind);
        if self.primaries.admit(event) && of_this_life {
            node.observe(event, kind);
        }
    }

    /// So many are missing here. Nobody knows of which node, so it is marked with each.
    pub fn missed(&mut self, count: u64) {
        self.missed = self.missed.saturating_add(count);
        for node in &mut self.all {
            let second = node.second();
            node.track.add(Measure::Lost, second, count);
        }
    }

    pub fn all(&self) -> &[Node] {
        &self.all
    }

    fn place(&mut self, name: &str) -> Option<usize> {
        match self.all.binary_search_by(|node| node.name.as_str().cmp(name)) {
            Ok(place) => Some(place),
            Err(_) if self.all.len() == MOST || name.parse::<NodeName>().is_err() => None,
            Err(place) => {
                self.all.insert(place, Node::new(name.to_owned()));
                Some(place)
            }
        }
    }
}
