//! Scenarios made of numbers: the events that extractors would state of a node to which this and that happens, without a node.
//!
//! A scenario is data, a TOML file: how long, what kind of node, which population, and *ingredients*, of which some are attacks and
//! some only look like one ([`Ingredient`] lists them). With a seed it is a stream of events in the order of time, always the
//! same, and the truth about it: which detector should find whom, from when to when.
//!
//! ```
//! use testkit::synthetic::{self, Run};
//!
//! let toml = r#"
//!     about = "a peer sends addresses much faster than anybody needs them"
//!     length = "20m"
//!
//!     [population]
//!     peers = 20
//!     transactions_per_second = 0.0
//!
//!     [[ingredient]]
//!     what = "address_flood"
//!     at = "5m"
//!     lasts = "1m"
//! "#;
//! let scenario = synthetic::load(toml, Run { seed: 1, strength: 1.0 }).unwrap();
//! assert_eq!(scenario.truths()[0].detector, "D01");
//! let mut last = 0;
//! for event in scenario {
//!     assert!(event.time > last, "events come in the order of time");
//!     last = event.time;
//! }
//! ```
//!
//! **Invariants.** One seed, one stream, whatever the machine. Memory does not grow with the length: what is remembered is who is
//! connected and what they are about to do. Time never stands still or goes back, and sequences have no gaps unless an ingredient
//! says that something was lost.
//!
//! What it is not: a model of the network. Rates and tails are those that the catalogue names for an ordinary node; a detector that
//! passes here has yet to be calibrated on mainnet.

mod blocks;
mod chance;
mod consequence;
mod ingredient;
mod node;
mod peer;
mod program;
mod relay;
mod script;
mod stamp;
mod state;
mod world;

use std::fmt;

use event::Event;

pub use ingredient::Ingredient;
pub use script::{Node, Population, Script, Watch};

use world::World;

/// The quiet day: 24 hours at 125 peers, in which nothing happens.
pub const QUIET_DAY: &str = include_str!("synthetic/quiet-day.toml");

/// One run of a scenario.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Run {
    /// Decides everything that chance decides.
    pub seed: u64,
    /// How strong attacks are: 1 is as the file says, 0.5 half of it. Look-alikes do not change.
    pub strength: f64,
}

/// What a detector should find.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Truth {
    /// `D39`.
    pub detector: String,
    /// Name of the node.
    pub node: String,
    /// In the word of the schema: `node`, `peer`, `range`, `source`, …
    pub entity_kind: &'static str,
    /// The name of the node, the address of the peer with its port, the range as prefix, the name of the source.
    pub entity: String,
    /// When it begins, nanoseconds since the epoch.
    pub begin: u64,
    /// When it is over.
    pub end: u64,
    /// The mildest finding that finds it.
    pub severity: event::Severity,
    /// It follows from a deed that another truth is about: it may be found and need not be.
    pub consequence: bool,
}

/// A file that is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It is no TOML, or has keys that no scenario has.
    #[error("not a scenario: {0}")]
    Malformed(#[from] toml::de::Error),
    /// It says something that cannot be played.
    #[error("not a scenario: {0}")]
    Impossible(String),
}

/// Reads a scenario and prepares one run of it.
///
/// # Errors
///
/// The text is no scenario; the sentence says where and why.
pub fn load(toml: &str, run: Run) -> Result<Scenario, ScriptError> {
    let script: Script = toml::from_str(toml)?;
    script.check()?;
    let worlds: Vec<World> = script.nodes.iter().map(|node| World::new(node, &script, run)).collect();
    Ok(Scenario { next: worlds.iter().map(|_| None).collect(), worlds, script })
}

/// One run of a scenario: an iterator over its events.
pub struct Scenario {
    script: Script,
    worlds: Vec<World>,
    /// The next event of each world.
    next: Vec<Option<Event>>,
}

impl Scenario {
    /// What the file says.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// What should be found, by time, and what may be. When exactly some of it begins (a block that is withheld has to be found first), and what
    /// follows from it, is known when the events were taken.
    pub fn truths(&self) -> Vec<Truth> {
        let mut truths: Vec<Truth> = self.worlds.iter().flat_map(|world| world.truths().iter().cloned()).collect();
        truths.sort_by_key(|truth| truth.begin);
        truths
    }
}

impl Iterator for Scenario {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if let [world] = self.worlds.as_mut_slice() {
            return world.next();
        }
        for (world, next) in self.worlds.iter_mut().zip(&mut self.next) {
            if next.is_none() {
                *next = world.next();
            }
        }
        let first = self.next.iter_mut().filter(|next| next.is_some()).min_by_key(|next| next.as_ref().map(|event| event.time));
        first.and_then(Option::take)
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scenario").field("about", &self.script.about).field("truths", &self.truths()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
