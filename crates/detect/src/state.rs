//! The engine's state as bytes: what is kept between two runs, so that both together find what one would have found.
//!
//! ```text
//! "po-detect" · version (2 bytes, little-endian) · checksum (CRC-32 of what follows, 4 bytes) · state (postcard)
//! ```
//!
//! The version is that of the engine's own part. A detector whose own version differs begins anew, the others go on; what it had
//! found stays open. The key of the hashes
//! is part of the state.

use std::collections::BTreeMap;

use event::primary::Primaries;
use serde::{Deserialize, Serialize};

use crate::desk::Desk;
use crate::detector::Entry;
use crate::engine::{Engine, Post, Totals};
use crate::entity::Profiles;
use crate::facts::Facts;
use crate::ledger::{Account, Fleet};
use crate::order::{self, Order};
use crate::thresholds::Thresholds;

const MAGIC: &[u8; 9] = b"po-detect";

/// Changes when the form of anything in [`Saved`] does, types of other crates included.
const VERSION: u16 = 6;

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
}

/// What is kept.
#[derive(Serialize, Deserialize)]
struct Saved {
    key: u64,
    order: order::Saved,
    primaries: Primaries,
    nodes: BTreeMap<String, SavedNode>,
    fleet: Vec<SavedPost>,
    accounts: BTreeMap<String, Account>,
    of_fleet: Fleet,
    totals: Totals,
    clock: u64,
    profiles: Profiles,
}

#[derive(Serialize, Deserialize)]
struct SavedNode {
    facts: Facts,
    posts: Vec<SavedPost>,
    now: u64,
    second: u64,
    heard: u64,
}

#[derive(Serialize, Deserialize)]
struct SavedPost {
    detector: String,
    version: u32,
    state: Vec<u8>,
    desk: Desk,
    step: u64,
}

impl Engine {
    /// The state as bytes.
    pub fn save(&self) -> Vec<u8> {
        let node = |node: &crate::engine::Node| SavedNode {
            facts: node.facts.clone(),
            posts: node.posts.iter().map(keep).collect(),
            now: node.now,
            second: node.second,
            heard: node.heard,
        };
        let saved = Saved {
            key: self.key,
            order: self.order.save(),
            primaries: self.primaries.clone(),
            nodes: self.nodes.iter().map(|(name, of)| (name.clone(), node(of))).collect(),
            fleet: self.fleet.iter().map(keep).collect(),
            accounts: self.ledger.accounts.clone(),
            of_fleet: self.ledger.fleet.clone(),
            totals: self.totals,
            clock: self.clock,
            profiles: self.profiles.clone(),
        };
        let state = postcard::to_stdvec(&saved).expect("plain data, into memory");
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(crc32fast::hash(&state).to_le_bytes());
        bytes.extend(state);
        bytes
    }

    /// An engine that goes on where another was saved. What it returns besides are the detectors that begin anew, because they have
    /// changed.
    ///
    /// # Errors
    ///
    /// The bytes are no state, or that of another version.
    pub fn restore(bytes: &[u8], thresholds: Thresholds) -> Result<(Self, Vec<&'static str>), StateError> {
        Self::restore_with(crate::all(), bytes, thresholds)
    }

    pub(crate) fn restore_with(
        entries: &'static [Entry],
        bytes: &[u8],
        thresholds: Thresholds,
    ) -> Result<(Self, Vec<&'static str>), StateError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(StateError::Foreign)?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or(StateError::Damaged)?;
        let found = u16::from_le_bytes(*version);
        if found != VERSION {
            return Err(StateError::OtherVersion { found });
        }
        let (checksum, state) = rest.split_first_chunk::<4>().ok_or(StateError::Damaged)?;
        if crc32fast::hash(state) != u32::from_le_bytes(*checksum) {
            return Err(StateError::Damaged);
        }
        let Ok((saved, [])) = postcard::take_from_bytes::<Saved>(state) else { return Err(StateError::Damaged) };
        let mut engine = Self::with(entries, thresholds, saved.key);
        let mut anew = Vec::new();
        for (name, kept) in saved.nodes {
            engine.know(&name);
            let Some(node) = engine.nodes.get_mut(&name) else { continue };
            node.facts = kept.facts;
            node.now = kept.now;
            node.second = kept.second;
            node.heard = kept.heard;
            take_over(&mut node.posts, kept.posts, &mut anew);
        }
        take_over(&mut engine.fleet, saved.fleet, &mut anew);
        engine.order = Order::restore(saved.order);
        engine.primaries = saved.primaries;
        engine.ledger.accounts = saved.accounts;
        engine.ledger.fleet = saved.of_fleet;
        engine.ledger.fleet.keep(|id| entries.iter().any(|entry| entry.about.id == id));
        engine.totals = saved.totals;
        engine.profiles = saved.profiles;
        engine.clock = saved.clock;
        anew.sort_unstable();
        anew.dedup();
        Ok((engine, anew))
    }
}

fn keep(post: &Post) -> SavedPost {
    let about = post.detector.about();
    SavedPost {
        detector: about.id.to_owned(),
        version: about.version,
        state: post.detector.save().expect("plain data, into memory"),
        desk: post.desk.clone(),
        step: post.step,
    }
}

fn take_over(posts: &mut [Post], mut kept: Vec<SavedPost>, anew: &mut Vec<&'static str>) {
    for post in posts {
        let about = post.detector.about();
        let of_it = kept.iter().position(|kept| kept.detector == about.id);
        let Some(kept) = of_it.map(|at| kept.swap_remove(at)) else {
            anew.push(about.id);
            continue;
        };
        // what it had found stays open until it is judged again, or nothing is heard of it for an hour
        post.desk = kept.desk;
        post.step = kept.step;
        if kept.version != about.version || !post.detector.restore(&kept.state) {
            anew.push(about.id);
        }
    }
}
