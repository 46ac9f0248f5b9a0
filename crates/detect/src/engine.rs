//! The engine: events in, in order; detectors; findings out.

use std::collections::BTreeMap;
use std::sync::Arc;

use event::primary::Primaries;
use event::{Event, FindingEnd, Kind, KindId, KindSet, Source};

use crate::context::Context;
use crate::desk::Desk;
use crate::detector::{Entry, Running, Scope};
use crate::entity::{Knowledge, Profiles};
use crate::facts::Facts;
use crate::finding::{Findings, Statement};
use crate::ledger::{Account, FLEET, Ledger};
use crate::order::{Order, Place};
use crate::thresholds::{Limits, Thresholds};
use crate::time::{HOUR, MINUTE, SECOND};
use crate::tip;

/// Nodes remembered; the one that was silent for longest gives way.
const NODES: usize = 1024;

/// Shows events to detectors, and collects what they find.
///
/// One engine serves all nodes of a fleet. Its only clock is the events' own: beats move it when nothing happens.
pub struct Engine {
    pub(crate) entries: &'static [Entry],
    /// Of each kind the detectors that want it.
    routes: Vec<Route>,
    pub(crate) thresholds: Thresholds,
    pub(crate) key: u64,
    pub(crate) knowledge: Arc<Knowledge>,
    pub(crate) profiles: Profiles,
    pub(crate) order: Order,
    pub(crate) primaries: Primaries,
    pub(crate) nodes: BTreeMap<String, Node>,
    /// Detectors that see all nodes.
    pub(crate) fleet: Vec<Post>,
    /// Their thresholds: those of a node of the fleet's name.
    fleet_limits: Limits,
    pub(crate) ledger: Ledger,
    pub(crate) totals: Totals,
    /// Time of the newest event that was looked at, of any node, by the common clock.
    pub(crate) clock: u64,
}

/// The places of detectors.
#[derive(Clone, Debug, Default)]
struct Route {
    posts: Vec<u8>,
    fleet: Vec<u8>,
}

/// What the engine did so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Totals {
    /// Events looked at.
    pub events: u64,
    /// Events that came too late to be put in order, and were left out.
    pub late: u64,
    /// How often a node's clock was set back.
    pub set_back: u64,
    /// Events that were missing where the engine reads them, or where they were recorded.
    pub missed: u64,
    /// Nodes that gave way to others.
    pub forgotten: u64,
}

/// A detector at its place, with its open findings.
pub(crate) struct Post {
    pub(crate) detector: Box<dyn Running>,
    pub(crate) desk: Desk,
    /// When it was last told that time passes, in its own steps.
    pub(crate) step: u64,
}

/// All that belongs to a node.
pub(crate) struct Node {
    pub(crate) facts: Facts,
    pub(crate) limits: Limits,
    pub(crate) posts: Vec<Post>,
    pub(crate) now: u64,
    pub(crate) second: u64,
    /// What time it was at the newest node when it was last heard of.
    pub(crate) heard: u64,
}

impl Node {
    /// What time it is there, when it is `clock` at the newest node.
    pub(crate) fn time(&self, clock: u64) -> u64 {
        self.now.saturating_add(clock.saturating_sub(self.heard))
    }
}

/// What became of an event at its node.
#[derive(Clone, Copy)]
struct Looked {
    /// Another second of the node began with it.
    passed: bool,
    /// Its source is the one that counts.
    admitted: bool,
    /// It began another life of the node.
    restarted: bool,
    /// The height of its chain is another.
    grown: bool,
}

/// A node of which nothing was heard for so long, while others were, is told that time passes.
const SILENT: u64 = 30 * SECOND;

impl Post {
    fn new(entry: &Entry) -> Self {
        Self { detector: (entry.make)(), desk: Desk::default(), step: 0 }
    }

    fn observe(&mut self, event: &Event, context: Context<'_>, ledger: &mut Ledger) {
        let Self { detector, desk, .. } = self;
        let about = detector.about();
        detector.observe(event, &context, &mut Findings { about, context, desk, ledger });
    }

    fn gone(&mut self, context: Context<'_>, ledger: &mut Ledger, peer: Option<u64>) {
        self.desk.gone(self.detector.about(), &context, ledger, peer);
    }

    /// The clock was set back. By little, ages are a little wrong; by more, what it learned is of times that are to come, and what it found
    /// nobody can tell to be over.
    fn set_back(&mut self, context: Context<'_>, ledger: &mut Ledger, far: bool) {
        let Self { detector, desk, step } = self;
        *step = 0;
        desk.set_back(context.now);
        if far {
            desk.end_all(detector.about(), &context, ledger, FindingEnd::Silent);
            detector.set_back();
        }
    }

    fn tick(&mut self, context: Context<'_>, ledger: &mut Ledger) {
        let Self { detector, desk, step } = self;
        let about = detector.about();
        let now = context.now / about.every.max(SECOND);
        if now != *step {
            *step = now;
            detector.tick(&context, &mut Findings { about, context, desk, ledger });
            desk.pass(about, &context, ledger);
        }
    }
}

impl Engine {
    /// An engine with every detector, that knows nothing yet.
    ///
    /// `key` makes hashes that nobody outside can predict. The same events, thresholds and key give the same findings.
    pub fn new(thresholds: Thresholds, key: u64) -> Self {
        Self::with(crate::all(), thresholds, key)
    }

    /// An engine with these detectors only.
    pub fn with(entries: &'static [Entry], thresholds: Thresholds, key: u64) -> Self {
        let mut routes = vec![Route::default(); KindId::ALL.len()];
        let (mut posts, mut of_fleet) = (0_u8.., 0_u8..);
        for Entry { about, .. } in entries {
            let place = if about.scope == Scope::Node { posts.next() } else { of_fleet.next() };
            for kind in about.kinds.iter().copied().collect::<KindSet>().iter() {
                let route = &mut routes[kind.index()];
                if about.scope == Scope::Node { &mut route.posts } else { &mut route.fleet }.extend(place);
            }
        }
        let fleet = entries.iter().filter(|entry| entry.about.scope == Scope::Fleet).map(Post::new).collect();
        Self {
            entries,
            routes,
            fleet_limits: thresholds.of(FLEET),
            thresholds,
            key,
            knowledge: Arc::default(),
            profiles: Profiles::default(),
            order: Order::default(),
            primaries: Primaries::default(),
            nodes: BTreeMap::new(),
            fleet,
            ledger: Ledger::default(),
            totals: Totals::default(),
            clock: 0,
        }
    }

    /// From now on, lists and maps are these. They name and group strangers; whether one behaves so, events decide.
    pub fn know_of(&mut self, knowledge: Arc<Knowledge>) {
        self.knowledge = knowledge;
    }

    /// Who came by, over all nodes and for 90 days.
    pub fn profiles(&self) -> &Profiles {
        &self.profiles
    }

    /// The kinds of events that it wants.
    pub fn kinds(&self) -> KindSet {
        let wanted = self.entries.iter().flat_map(|entry| entry.about.kinds.iter().copied()).collect::<KindSet>();
        wanted.union(Facts::needs()).union(Primaries::needs())
    }

    /// Takes an event. What it and those before it led to is appended to `out`.
    pub fn observe(&mut self, event: Arc<Event>, out: &mut Vec<Statement>) {
        // what detectors said, now or when it was recorded, is no fact about the node
        if event.source() == Source::Detect || event.kind.is_none() {
            return;
        }
        // what nobody knows the node of: whoever recorded it missed what the engine would have missed
        if event.node.is_empty() {
            if let (Source::Tool, Some(Kind::HealthLost(lost))) = (event.source(), &event.kind) {
                self.lose(lost.count, event.time);
            }
            return;
        }
        match self.order.push(event.clone()) {
            Place::InOrder => {}
            Place::Late => {
                self.totals.late += 1;
                if let Some(node) = self.nodes.get_mut(&event.node) {
                    node.facts.late(event.source(), node.now);
                }
            }
            Place::SetBack => {
                self.totals.set_back += 1;
                for (time, earlier) in self.order.begin_anew(&event.node, &event) {
                    self.look(&earlier, time);
                }
                self.set_back(&event.node, event.time);
            }
        }
        while let Some((time, due)) = self.order.next_due() {
            self.look(&due, time);
        }
        out.append(&mut self.ledger.out);
    }

    /// So many events did not reach us: nobody knows of which node or source.
    pub fn missed(&mut self, count: u64) {
        self.lose(count, self.clock);
    }

    /// `time` is by the common clock. What waits to be put in order may be of later, but not by much.
    fn lose(&mut self, count: u64, time: u64) {
        self.totals.missed = self.totals.missed.saturating_add(count);
        let time = time.clamp(self.clock, self.clock.saturating_add(MINUTE));
        for node in self.nodes.values_mut() {
            let time = node.time(time);
            // of one that was taken away there was nothing to miss
            if node.facts.is_watched(time) {
                node.facts.lose_all(time, count);
            }
        }
    }

    /// Nothing follows: looks at what still waits.
    pub fn finish(&mut self, out: &mut Vec<Statement>) {
        while let Some((time, event)) = self.order.next_waiting() {
            self.look(&event, time);
        }
        out.append(&mut self.ledger.out);
    }

    /// What it did so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// How far clocks of nodes are ahead of the others', nanoseconds: those that differ by more than a minute.
    pub fn clocks(&self) -> impl Iterator<Item = (&str, i64)> {
        self.order.clocks()
    }

    /// Events that came out before their time, because more waited than there was room for.
    pub fn hurried(&self) -> u64 {
        self.order.hurried
    }

    /// Peers and handshakes of each node for which there was no room.
    pub fn overlooked(&self) -> impl Iterator<Item = (&str, u64)> {
        self.nodes.iter().map(|(name, node)| (name.as_str(), node.facts.overlooked()))
    }

    /// What it counts about a node.
    pub fn account(&self, node: &str) -> &Account {
        self.ledger.account(node)
    }

    /// Names of the nodes that it knows, and what time it is there.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, u64)> {
        self.nodes.iter().map(|(name, node)| (name.as_str(), node.now))
    }

    /// Time of a node's newest event that was looked at.
    pub fn now(&self, node: &str) -> Option<u64> {
        self.nodes.get(node).map(|node| node.now)
    }

    /// What is open is said again as soon as time passes at its node. For a start that goes on from a state: who follows what is found hears that
    /// it lasts, where otherwise nothing would be said of it for half an hour, as if nobody knew of it any more.
    pub fn restate(&mut self) {
        let of_nodes = self.nodes.values_mut().flat_map(|node| &mut node.posts);
        of_nodes.chain(&mut self.fleet).for_each(|post| post.desk.restate());
    }

    /// It is `time`, by the observer's own clock, which the events are stamped by: a state of the future is one of before that clock was set
    /// back. What waits comes out, and nodes that are more than a minute ahead begin anew; how many those are.
    pub fn set_clocks_back(&mut self, time: u64) -> usize {
        let ahead = |node: &Node| node.now > time.saturating_add(MINUTE);
        let lately = |node: &Node| !ahead(node) && node.now.saturating_add(HOUR) > time;
        // where that clock was right an hour ago, nodes that are ahead have another
        if !self.nodes.values().any(ahead) || self.nodes.values().any(lately) {
            return 0;
        }
        while let Some((time, event)) = self.order.next_waiting() {
            self.look(&event, time);
        }
        self.order = Order::default();
        let names: Vec<String> = self.nodes.iter().filter(|(_, node)| ahead(node)).map(|(name, _)| name.clone()).collect();
        for name in &names {
            self.totals.set_back += 1;
            self.set_back(name, time);
        }
        names.len()
    }

    /// A node's clock was set back: what has no time any more begins anew. Where it was the newest, there is less of a future for all.
    fn set_back(&mut self, name: &str, time: u64) {
        let Self { key, knowledge, nodes, ledger, fleet, fleet_limits, clock, primaries, order, .. } = self;
        let Some(Node { facts, limits, posts, now, second, .. }) = nodes.get_mut(name) else { return };
        let far = *now > time.saturating_add(MINUTE);
        (*now, *second) = (time, time / SECOND);
        facts.set_back(time);
        primaries.set_back(name, time);
        let primaries = &*primaries;
        let context = Context { now: time, node: name, facts, knowledge, limits, key: *key, primaries, fleet: None };
        posts.iter_mut().for_each(|post| post.set_back(context, ledger, far));
        let newest = nodes.iter().map(|(name, node)| order.common(name, node.now)).max().unwrap_or_default();
        if newest >= *clock {
            return;
        }
        let far = *clock > newest.saturating_add(MINUTE);
        *clock = newest;
        nodes.values_mut().for_each(|node| node.heard = node.heard.min(newest));
        let Some(Node { facts, .. }) = nodes.get(name) else { return };
        let (limits, fleet_of) = (&*fleet_limits, Some(&*nodes));
        let context = Context { now: newest, node: name, facts, knowledge, limits, key: *key, primaries, fleet: fleet_of };
        fleet.iter_mut().for_each(|post| post.set_back(context, ledger, far));
    }

    /// `time` is that of the event by the common clock.
    fn look(&mut self, event: &Event, time: u64) {
        let Some(id) = event.id() else { return };
        self.totals.events += 1;
        self.know(&event.node);
        let Some(looked) = self.look_at_node(event, id, time) else { return };
        self.look_at_fleet(event, id, time, looked);
        if looked.admitted {
            self.close(event);
            if looked.grown {
                let clock = self.clock.max(time);
                tip::compare(self.nodes.values_mut().map(|node| (node.time(clock), &mut node.facts.tip)));
            }
            self.pass(time);
        }
    }

    /// The node learns from the event, and its detectors are shown it.
    fn look_at_node(&mut self, event: &Event, id: KindId, time: u64) -> Option<Looked> {
        let Self { routes, key, knowledge, profiles, primaries, nodes, ledger, clock, .. } = self;
        let (name, Node { facts, limits, posts, now, second, heard }) = (&event.node, nodes.get_mut(&event.node)?);
        let admitted = primaries.admit(event);
        let primaries = &*primaries;
        *now = event.time.max(*now);
        *heard = time.max(*clock);
        let passed = *now / SECOND != *second;
        if passed {
            *second = *now / SECOND;
            let context = Context { now: *now, node: name, facts, knowledge, limits, key: *key, primaries, fleet: None };
            for post in posts.iter_mut() {
                post.tick(context, ledger);
            }
            if (*second).is_multiple_of(HOUR / SECOND) {
                profiles.forget_old(*now);
            }
        }
        if !admitted {
            facts.heard(event.source(), id);
            return Some(Looked { passed, admitted, restarted: false, grown: false });
        }
        let height = facts.tip.height;
        let restarted = facts.learn(event, id, *now);
        let grown = facts.tip.height != height;
        let context = Context { now: *now, node: name, facts, knowledge, limits, key: *key, primaries, fleet: None };
        if restarted {
            profiles.restarted(name);
            for post in posts.iter_mut() {
                post.detector.restarted(name);
                post.gone(context, ledger, None);
            }
        }
        profiles.observe(event);
        for place in &routes[id.index()].posts {
            posts[usize::from(*place)].observe(event, context, ledger);
        }
        Some(Looked { passed, admitted, restarted, grown })
    }

    /// Those who see all nodes are shown it.
    fn look_at_fleet(&mut self, event: &Event, id: KindId, time: u64, looked: Looked) {
        let Self { routes, fleet_limits, key, knowledge, primaries, nodes, fleet, ledger, clock, .. } = self;
        let wanted = &routes[id.index()].fleet;
        let shown = looked.admitted && !wanted.is_empty();
        if fleet.is_empty() || !(shown || looked.passed || looked.restarted) {
            return;
        }
        let Some(node) = nodes.get(&event.node) else { return };
        let context = Context {
            now: time.max(*clock),
            node: &event.node,
            facts: &node.facts,
            knowledge,
            limits: fleet_limits,
            key: *key,
            primaries,
            fleet: Some(nodes),
        };
        if looked.passed {
            fleet.iter_mut().for_each(|post| post.tick(context, ledger));
        }
        if looked.restarted {
            fleet.iter_mut().for_each(|post| post.detector.restarted(&event.node));
        }
        if shown {
            wanted.iter().for_each(|place| fleet[usize::from(*place)].observe(event, context, ledger));
        }
    }

    /// Whoever is gone is gone after everybody has seen it go.
    fn close(&mut self, event: &Event) {
        let Some(Kind::ConnClosed(closed)) = &event.kind else { return };
        let Self { key, knowledge, primaries, nodes, ledger, .. } = self;
        let (name, Some(Node { facts, limits, posts, now, .. })) = (&event.node, nodes.get_mut(&event.node)) else { return };
        let context = Context { now: *now, node: name, facts, knowledge, limits, key: *key, primaries, fleet: None };
        for post in posts.iter_mut() {
            post.gone(context, ledger, Some(closed.peer));
        }
        facts.peers.closed(closed.peer);
    }

    /// Nodes of which nothing is heard have a time as well: that which passes at the others.
    fn pass(&mut self, time: u64) {
        if time <= self.clock || time / SECOND == self.clock / SECOND || self.nodes.len() < 2 {
            self.clock = self.clock.max(time);
            return;
        }
        self.clock = time;
        let Self { key, knowledge, primaries, nodes, ledger, .. } = self;
        // one that was taken away, or has another name now, is of no fleet any more
        ledger.fleet.nodes = nodes.values().filter(|node| node.facts.is_watched(node.time(time))).count();
        for (name, Node { facts, limits, posts, now, second, heard }) in nodes {
            let passed = time.saturating_sub(*heard);
            if passed > SILENT {
                *now = now.saturating_add(passed);
                *second = *now / SECOND;
                *heard = time;
                let context = Context { now: *now, node: name, facts, knowledge, limits, key: *key, primaries, fleet: None };
                posts.iter_mut().for_each(|post| post.tick(context, ledger));
            }
        }
    }

    /// Makes room for a node that is new.
    pub(crate) fn know(&mut self, name: &str) {
        if self.nodes.contains_key(name) {
            return;
        }
        if self.nodes.len() >= NODES {
            let oldest = self.nodes.iter().min_by_key(|(name, node)| (node.now, *name)).map(|(name, _)| name.clone());
            if let Some((name, node)) = oldest.and_then(|name| self.nodes.remove_entry(&name)) {
                let Node { facts, limits, now, mut posts, .. } = node;
                let (knowledge, key) = (&self.knowledge, self.key);
                let context = Context {
                    now,
                    node: &name,
                    facts: &facts,
                    knowledge,
                    limits: &limits,
                    key,
                    primaries: &self.primaries,
                    fleet: None,
                };
                for post in &mut posts {
                    post.desk.end_all(post.detector.about(), &context, &mut self.ledger, FindingEnd::Crowded);
                }
                self.ledger.accounts.remove(&name);
                self.ledger.fleet.forget(&name);
                self.totals.forgotten += 1;
            }
        }
        let posts = self.entries.iter().filter(|entry| entry.about.scope == Scope::Node).map(Post::new).collect();
        let node = Node { facts: Facts::default(), limits: self.thresholds.of(name), posts, now: 0, second: 0, heard: 0 };
        self.nodes.insert(name.to_owned(), node);
        self.ledger.fleet.nodes += 1;
    }
}

#[cfg(test)]
mod tests;
