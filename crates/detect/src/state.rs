//! The engine's state as bytes: what is kept between two runs, so that both together find what one would have found.
//!
//! ```text
//! "po-detect" · version (2 bytes, little-endian) · checksum (CRC-32 of the table, 4 bytes) · table · bodies, in the table's order
//! table (postcard): key of the hashes · rows: name · version · length · checksum (CRC-32 of the body)
//! ```
//!
//! The version in front is that of this form alone. What is kept is in sections, each with a version of its own, that of a detector's the
//! detector's: one that is of another version, or damaged, begins anew alone and the others go on. What days taught outlives a release
//! that changed something else.
//!
//! | section | has |
//! |---|---|
//! | `clocks` | what time it is, at the nodes and in common |
//! | `order` | events that wait for their turn, and what is known of nodes' clocks |
//! | `primaries` | which source counts |
//! | `totals`, `accounts` | what was counted, all together and by node |
//! | `fleet` | which nodes have a finding of which detector |
//! | `profiles` | who came by |
//! | `facts NODE` | what is known of a node |
//! | `desks NODE` | open findings, by detector; `desks` alone are those of detectors that see all nodes |
//! | `D09 NODE` | a detector's state; `D13` alone is that of one that sees all nodes |

#[cfg(test)]
pub(crate) mod form;
mod sections;

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::desk::Desk;
use crate::detector::Entry;
use crate::engine::{Engine, Node, Post};
use crate::entity::Profiles;
use crate::order::Order;
use crate::thresholds::Thresholds;

use sections::Gone;
pub use sections::Sections;

const MAGIC: &[u8; 9] = b"po-detect";

/// Changes when the form of the sections does, and not with what is in them.
const VERSION: u16 = 6;

/// A part of the state that is the engine's own.
struct Part {
    name: &'static str,
    /// Changes when the form of anything in it does, types of other crates included.
    version: u32,
}

const CLOCKS: Part = Part { name: "clocks", version: 1 };
const ORDER: Part = Part { name: "order", version: 1 };
const PRIMARIES: Part = Part { name: "primaries", version: 1 };
const TOTALS: Part = Part { name: "totals", version: 1 };
const ACCOUNTS: Part = Part { name: "accounts", version: 1 };
const FLEET: Part = Part { name: "fleet", version: 1 };
const PROFILES: Part = Part { name: "profiles", version: 1 };
const FACTS: Part = Part { name: "facts", version: 1 };
const DESKS: Part = Part { name: "desks", version: 1 };

/// A state that cannot be gone on from.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Not ours.
    #[error("this is no state of detectors")]
    Foreign,
    /// Of a newer or older program.
    #[error("the state of the detectors has version {found}, and this program reads version {VERSION}")]
    OtherVersion {
        /// Of the state.
        found: u16,
    },
    /// Changed since it was written, or cut off.
    #[error("the state of the detectors is damaged")]
    Damaged,
    /// The profiles in it are of a newer or older program.
    #[error("the profiles in this state have version {found}, and this program reads version {}", PROFILES.version)]
    OtherProfiles {
        /// Of the profiles.
        found: u32,
    },
    /// The profiles in it were changed since they were written, or are not there.
    #[error("the profiles in this state are damaged")]
    DamagedProfiles,
}

/// What time it is.
#[derive(Default, Serialize, Deserialize)]
struct Clocks {
    common: u64,
    /// Of each node [`Node::now`], [`Node::second`], [`Node::heard`].
    nodes: BTreeMap<String, (u64, u64, u64)>,
}

impl Engine {
    /// The state as bytes.
    pub fn save(&self) -> Vec<u8> {
        let mut all = Sections::new(self.key);
        let clocks = |(name, node): (&String, &Node)| (name.clone(), (node.now, node.second, node.heard));
        CLOCKS.put(&mut all, &Clocks { common: self.clock, nodes: self.nodes.iter().map(clocks).collect() });
        ORDER.put(&mut all, &self.order.save());
        PRIMARIES.put(&mut all, &self.primaries);
        TOTALS.put(&mut all, &self.totals);
        ACCOUNTS.put(&mut all, &self.ledger.accounts);
        FLEET.put(&mut all, &self.ledger.fleet);
        PROFILES.put(&mut all, &self.profiles);
        for (name, node) in &self.nodes {
            all.put(of(FACTS.name, Some(name)), FACTS.version, &node.facts);
            keep(&mut all, Some(name), &node.posts);
        }
        keep(&mut all, None, &self.fleet);
        all.to_bytes()
    }

    /// An engine that goes on where another was saved. What it returns besides are the parts that begin anew, because this program has
    /// them in another form, or not in that state, or because they are damaged: `D09`, `profiles`, `facts alice`.
    ///
    /// # Errors
    ///
    /// The bytes are no state, or that of another version.
    pub fn restore(bytes: &[u8], thresholds: Thresholds) -> Result<(Self, Vec<String>), StateError> {
        Self::restore_with(crate::all(), bytes, thresholds)
    }

    pub(crate) fn restore_with(
        entries: &'static [Entry],
        bytes: &[u8],
        thresholds: Thresholds,
    ) -> Result<(Self, Vec<String>), StateError> {
        let mut kept = Kept { sections: Sections::read(bytes)?, anew: BTreeSet::new() };
        let mut engine = Self::with(entries, thresholds, kept.sections.key());
        let Clocks { common, nodes } = kept.take(&CLOCKS, None).unwrap_or_default();
        engine.clock = common;
        let mut unknown = Vec::new();
        for name in kept.nodes() {
            engine.know(&name);
            let Some(node) = engine.nodes.get_mut(&name) else { continue };
            (node.now, node.second, node.heard) = nodes.get(&name).copied().unwrap_or_default();
            kept.take_posts(Some(&name), &mut node.posts);
            match kept.take(&FACTS, Some(&name)) {
                Some(facts) => node.facts = facts,
                // whether it has begun another life meanwhile nobody knows now: peer ids may mean others
                None => unknown.push(name),
            }
        }
        kept.take_posts(None, &mut engine.fleet);
        for name in &unknown {
            let posts = engine.nodes.get_mut(name).map(|node| &mut node.posts);
            posts.into_iter().flatten().chain(&mut engine.fleet).for_each(|post| post.detector.restarted(name));
        }
        if let Some(order) = kept.take(&ORDER, None) {
            engine.order = Order::restore(order);
        }
        kept.put_into(&PRIMARIES, &mut engine.primaries);
        kept.put_into(&TOTALS, &mut engine.totals);
        kept.put_into(&ACCOUNTS, &mut engine.ledger.accounts);
        kept.put_into(&FLEET, &mut engine.ledger.fleet);
        engine.ledger.fleet.keep(|id| entries.iter().any(|entry| entry.about.id == id));
        // where open findings were lost nobody will say that they have ended
        for name in engine.nodes.keys().filter(|name| kept.anew.contains(&of(DESKS.name, Some(name)))) {
            engine.ledger.fleet.forget(name);
        }
        kept.put_into(&PROFILES, &mut engine.profiles);
        engine.profiles.make_room();
        Ok((engine, kept.anew.into_iter().collect()))
    }
}

impl Profiles {
    /// The profiles of a kept state, whatever became of its other parts.
    ///
    /// # Errors
    ///
    /// The bytes are no state, or its profiles are of another version, or damaged.
    pub fn of_state(bytes: &[u8]) -> Result<Self, StateError> {
        Sections::read(bytes)?.get(PROFILES.name, PROFILES.version).map_err(|gone| match gone {
            Gone::OtherVersion(found) => StateError::OtherProfiles { found },
            Gone::Absent | Gone::Damaged => StateError::DamagedProfiles,
        })
    }
}

impl Part {
    fn put(&self, all: &mut Sections<'_>, value: &impl Serialize) {
        all.put(self.name.to_owned(), self.version, value);
    }
}

/// The name of a section of a node, or of all.
fn of(part: &str, node: Option<&str>) -> String {
    node.map_or_else(|| part.to_owned(), |node| format!("{part} {node}"))
}

/// Puts detectors and their open findings into sections.
fn keep(all: &mut Sections<'_>, node: Option<&str>, posts: &[Post]) {
    let desks: BTreeMap<&str, (&Desk, u64)> =
        posts.iter().map(|post| (post.detector.about().id, (&post.desk, post.step))).collect();
    all.put(of(DESKS.name, node), DESKS.version, &desks);
    for post in posts {
        let about = post.detector.about();
        all.put_bytes(of(about.id, node), about.version, post.detector.save().expect("plain data, into memory"));
    }
}

/// A state that is being read.
struct Kept<'a> {
    sections: Sections<'a>,
    /// What begins anew.
    anew: BTreeSet<String>,
}

impl Kept<'_> {
    /// Nodes of which there is anything.
    fn nodes(&self) -> BTreeSet<String> {
        let nodes = self.sections.names().filter_map(|(name, _)| name.split_once(' '));
        nodes.filter(|(part, _)| *part == FACTS.name).map(|(_, node)| node.to_owned()).collect()
    }

    fn take<T: DeserializeOwned>(&mut self, part: &Part, node: Option<&str>) -> Option<T> {
        let name = of(part.name, node);
        let taken = self.sections.get(&name, part.version).ok();
        if taken.is_none() {
            self.anew.insert(name);
        }
        taken
    }

    fn put_into<T: DeserializeOwned>(&mut self, part: &Part, value: &mut T) {
        if let Some(taken) = self.take(part, None) {
            *value = taken;
        }
    }

    fn take_posts(&mut self, node: Option<&str>, posts: &mut [Post]) {
        let mut desks: BTreeMap<String, (Desk, u64)> = self.take(&DESKS, node).unwrap_or_default();
        for post in posts {
            let about = post.detector.about();
            // what it had found stays open until it is judged again, or nothing is heard of it for an hour
            if let Some((desk, step)) = desks.remove(about.id) {
                post.desk = desk;
                post.step = step;
            }
            let state = self.sections.get_bytes(&of(about.id, node), about.version);
            if !state.is_ok_and(|state| post.detector.restore(state)) {
                self.anew.insert(about.id.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests;
