//! What a detector is shown beside an event.

use std::collections::BTreeMap;

use event::KindId;
use event::primary::Primaries;

use crate::engine::Node;
use crate::entity::Knowledge;
use crate::facts::Facts;
use crate::guard::Guard;
use crate::peers::Peer;
use crate::thresholds::{Limit, Limits};
use crate::time::nanos;

/// What a detector is shown beside an event.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The time that it is, nanoseconds since the epoch; never goes back.
    pub now: u64,
    /// Name of the node.
    pub node: &'a str,
    /// What is known of it.
    pub facts: &'a Facts,
    /// What others wrote down: lists, the map of autonomous systems.
    pub knowledge: &'a Knowledge,
    pub(crate) limits: &'a Limits,
    /// A secret number, for hashes that nobody outside can predict.
    pub key: u64,
    /// Whose word counts.
    pub(crate) primaries: &'a Primaries,
    /// All nodes, where the detector is about all of them.
    pub(crate) fleet: Option<&'a BTreeMap<String, Node>>,
}

impl<'a> Context<'a> {
    /// A threshold, as it is for this node.
    pub fn limit(&self, limit: Limit) -> f64 {
        self.limits.get(limit)
    }

    /// A threshold of seconds, in nanoseconds.
    pub fn span(&self, limit: Limit) -> u64 {
        nanos(self.limit(limit))
    }

    /// The beginning of the last `length` nanoseconds.
    pub fn since(&self, length: u64) -> u64 {
        self.now.saturating_sub(length)
    }

    /// A peer that is connected, as far as known.
    pub fn peer(&self, id: u64) -> Option<&'a Peer> {
        self.facts.peers.get(id)
    }

    /// How the largest number of these peers greet alike: the fingerprint, and its share of those that have one. Two at least, or it says
    /// nothing.
    pub fn greet_alike(&self, of: impl Fn(u64, &Peer) -> bool) -> Option<(u64, f64)> {
        let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
        for (_, peer) in self.facts.peers.iter().filter(|(id, peer)| of(*id, peer)) {
            if let Some(fingerprint) = peer.fingerprint {
                *counts.entry(fingerprint).or_default() += 1;
            }
        }
        let all: u32 = counts.values().sum();
        let (fingerprint, most) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        (all > 1).then(|| (fingerprint, f64::from(most) / f64::from(all)))
    }

    /// Whether facts of one of these kinds may be missing in the last `window` nanoseconds: whoever states them lost some, or is silent or
    /// gone. What nobody ever stated is not missed. For a detector that is about all nodes: at one of them.
    pub fn is_blind(&self, kinds: &[KindId], window: u64) -> bool {
        let at = |name: &str, facts: &Facts, now| kinds.iter().any(|id| facts.is_blind(*id, name, self.primaries, now, window));
        match self.fleet {
            None => at(self.node, self.facts, self.now),
            // clocks differ: what is long ago is so by the node's own
            Some(nodes) => nodes.iter().any(|(name, node)| {
                let now = node.time(self.now);
                node.facts.is_watched(now) && at(name, &node.facts, now)
            }),
        }
    }

    /// Whether somebody states facts of a kind, and has missed none for `window` nanoseconds: that there are none says something.
    pub fn sees(&self, kind: KindId, window: u64) -> bool {
        self.facts.is_stated(kind) && !self.is_blind(&[kind], window)
    }

    /// How many nodes are watched: those that something was heard of within the last hour. One for a detector that is about one.
    pub fn nodes(&self) -> usize {
        self.fleet.map_or(1, |nodes| nodes.values().filter(|node| node.facts.is_watched(node.time(self.now))).count())
    }

    /// Whether a guard holds now, for a peer if one is concerned. Guards that only detectors can apply never hold here.
    pub fn holds(&self, guard: Guard, peer: Option<u64>) -> bool {
        let soon = |then: Option<u64>, limit| then.is_some_and(|then| self.now < then.saturating_add(self.span(limit)));
        match guard {
            Guard::Restart => soon(self.facts.started(), Limit::GuardRestart) || soon(self.facts.came_back, Limit::GuardAttached),
            Guard::InitialDownload => {
                self.facts.initial_download || f64::from(self.facts.headers_ahead) > self.limit(Limit::GuardBehind)
            }
            Guard::PrivateBroadcast => peer.and_then(|id| self.peer(id)).is_some_and(|peer| peer.private_broadcast),
            Guard::BlockBurst => soon(self.facts.block, Limit::GuardBlock),
            Guard::Getaddr | Guard::Onion | Guard::Blind | Guard::Fleet => false,
        }
    }
}
