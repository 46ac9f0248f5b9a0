//! D55: two blocks at one height, and chains that nodes take back.
//!
//! **Behaviour.** Two miners find a block at about the same time, and the network is of two minds until the next: that happens, and costs one of
//! them his block. Blocks that are taken back by the two or three at a time (as at heights 941881 and 941882 on 23 March 2026), or stale ones that become
//! frequent, mean that somebody mines in secret, that a part of the network does not hear the other, or that nodes disagree on the rules.
//! Whoever takes payments with few confirmations loses by it.
//!
//! **Signal**, over all nodes of one chain: blocks that nodes have in their tree at one height, as they connect them, as the log names new headers, and as
//! `getchaintips` has them; how many blocks a node takes back when it connects another at a height where it had one; how many heights of the last
//! 2016 had two, against what is usual. A second block is information, two blocks taken back are a warning, three are critical; stale ones that are
//! surprisingly frequent are a warning.
//!
//! **Look-alikes.** Test networks, where this is the order of the day: never more than information. An operator who invalidates a block and takes that back: the
//! same blocks come again. If he mines others instead, it looks as it is. Nodes that download the chain (G2), or validate old blocks behind a
//! snapshot: only heights at the tip count, from where the chain was when it was first heard of.
//!
//! **Left out.** Blocks and headers that peers send: anybody may send anything, and only what a node has in its tree has work. Which pool
//! made a block: events do not have coinbases.
//!
//! **What an attacker may do.** Every block at the tip costs him the work of one.
//!
//! **Sources** (`docs/sources.md`). S37, S38.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use event::{ChainTipStatus, Event, Kind, KindId, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::measure::{Evidence, Recent, surprise};
use crate::thresholds::Limit;
use crate::time::{MINUTE, SECOND, seconds};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Guard, Judgement, Scope, input};

/// Heights below the tip that are remembered: a day.
const DEPTH: u32 = 144;

/// Blocks remembered at one height.
const RIVALS: usize = 8;

/// Heights that stale blocks are counted over, and how many such periods make what is usual: a year, or four at least.
const PERIOD: u32 = 2016;
const PERIODS: usize = 26;

/// Nodes and chains remembered.
const NODES: usize = 1024;
const CHAINS: usize = 64;

/// Where stale blocks are the order of the day.
const TESTS: [&str; 3] = ["test", "testnet3", "testnet4"];

/// See the module.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Fork {
    nodes: BTreeMap<String, Place>,
    /// By name; a node for local tests, or one of which nobody knows the chain, has one of its own.
    chains: BTreeMap<String, Chain>,
}

/// Of a block.
type Hash = [u8; 32];

/// Where a node is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Place {
    /// `main`; absent until the node says so.
    chain: Option<String>,
    /// The blocks that it connected, those of the last day, by height.
    connected: BTreeMap<u32, Hash>,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Chain {
    /// What is below was there before.
    base: u32,
    top: u32,
    blocks: BTreeMap<u32, Vec<Known>>,
    /// Heights with two blocks, of the last period.
    stale: VecDeque<u32>,
    /// How many there were in each period of heights.
    periods: BTreeMap<u32, u32>,
    /// The second blocks that came lately.
    rivals: Recent<Rival>,
    /// What nodes took back lately.
    taken_back: Recent<TakenBack>,
    evidence: Evidence,
}

/// A block in the tree of some node.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Known {
    hash: Hash,
    /// When the first node had it.
    at: u64,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Rival {
    height: u32,
    /// Nanoseconds after the first.
    gap: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct TakenBack {
    node: String,
    height: u32,
    depth: u32,
}

impl Detector for Fork {
    const ABOUT: About = About {
        id: "D55",
        name: "fork",
        version: 2,
        title: "Stale blocks and reorganisations",
        family: Family::Blocks,
        scope: Scope::Fleet,
        kinds: &[
            KindId::ChainBlockConnected,
            KindId::ChainHeader,
            KindId::StateChainTips,
            KindId::StateBlockchain,
            KindId::StateProfile,
        ],
        every: 10 * SECOND,
        needs: &[KindId::ChainBlockConnected, KindId::ChainHeader, KindId::StateChainTips],
        window: 10 * MINUTE,
        // applied where a node states a block
        guards: &[],
        fooled_by: &[],
        thresholds: &[Limit::D55Warn, Limit::D55Critical, Limit::D55Surprise, Limit::D55Usual, Limit::D55Lasts, Limit::D55WarmUp],
        does_not_prove: "that anybody attacks: two miners who are lucky at once look the same, and so does a network that was cut in two",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>) {
        match &event.kind {
            Some(Kind::StateBlockchain(m)) => self.is_of(&event.node, m.chain.as_deref()),
            Some(Kind::StateProfile(m)) => self.is_of(&event.node, m.chain.as_deref()),
            Some(Kind::ChainBlockConnected(m)) => {
                if let Ok(height) = u32::try_from(m.height) {
                    self.connected(event, height, &m.hash, context, findings);
                }
            }
            Some(Kind::ChainHeader(m)) => {
                if let Some(Ok(height)) = m.height.map(u32::try_from) {
                    self.seen(event, height, &m.hash, context, findings);
                }
            }
            Some(Kind::StateChainTips(m)) => {
                // the best chain first: it says where one is
                let (best, others): (Vec<_>, Vec<_>) = m
                    .tips
                    .iter()
                    .filter(|tip| tip.status() != ChainTipStatus::Invalid)
                    .partition(|tip| tip.status() == ChainTipStatus::Active);
                for tip in best.into_iter().chain(others) {
                    self.seen(event, tip.height, &tip.hash, context, findings);
                }
            }
            _ => {}
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        if findings.is_open(&Entity::Fleet) {
            self.judge(context, findings);
        }
    }

    /// Its blocks are on disk.
    fn restarted(&mut self, _: &str) {}
}

impl Fork {
    fn place(&mut self, node: &str) -> Option<&mut Place> {
        if !self.nodes.contains_key(node) {
            if self.nodes.len() >= NODES {
                return None;
            }
            self.nodes.insert(node.to_owned(), Place::default());
        }
        self.nodes.get_mut(node)
    }

    fn is_of(&mut self, node: &str, chain: Option<&str>) {
        let Some(chain) = chain.filter(|chain| chain.len() < 32) else { return };
        if let Some(place) = self.place(node)
            && place.chain.as_deref() != Some(chain)
        {
            *place = Place { chain: Some(chain.to_owned()), ..Place::default() };
        }
    }

    /// The chain of a node.
    fn chain(&mut self, node: &str) -> Option<&mut Chain> {
        let name = match &self.place(node)?.chain {
            // there are as many chains for local tests as there are nodes
            Some(chain) if chain != "regtest" => chain.clone(),
            _ => format!("of {node}"),
        };
        if self.chains.len() >= CHAINS && !self.chains.contains_key(&name) {
            return None;
        }
        Some(self.chains.entry(name).or_default())
    }

    /// A node connected a block.
    fn connected(&mut self, event: &Event, height: u32, hash: &Bytes, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.seen(event, height, hash, context, findings);
        let Ok(hash) = Hash::try_from(hash.as_ref()) else { return };
        if context.holds(Guard::InitialDownload, None) {
            return;
        }
        let Some(place) = self.place(&event.node) else { return };
        let tip = place.connected.last_key_value().map_or(0, |(tip, _)| *tip);
        // behind a snapshot old blocks are connected besides
        if height.saturating_add(DEPTH) < tip {
            return;
        }
        let replaces = place.connected.get(&height).is_some_and(|known| *known != hash);
        if replaces {
            place.connected.split_off(&height);
        }
        place.connected.insert(height, hash);
        let top = tip.max(height);
        place.connected = place.connected.split_off(&top.saturating_sub(DEPTH));
        if !replaces {
            return;
        }
        let taken_back = TakenBack { node: event.node.clone(), height, depth: (tip - height).saturating_add(1) };
        if let Some(chain) = self.chain(&event.node) {
            chain.evidence.add(event);
            chain.taken_back.add(context.now, taken_back);
        }
        self.judge(context, findings);
    }

    /// A node has a block in its tree.
    fn seen(&mut self, event: &Event, height: u32, hash: &Bytes, context: &Context<'_>, findings: &mut Findings<'_>) {
        let Ok(hash) = Hash::try_from(hash.as_ref()) else { return };
        let downloads = context.holds(Guard::InitialDownload, None);
        let Some(chain) = self.chain(&event.node) else { return findings.evicted(1) };
        if downloads {
            if chain.blocks.get(&height).is_some_and(|known| known.iter().all(|block| block.hash != hash)) {
                findings.suppressed(Guard::InitialDownload);
            }
            return;
        }
        if chain.blocks.is_empty() {
            (chain.base, chain.top) = (height, height);
        }
        if height < chain.base || height.saturating_add(DEPTH) < chain.top {
            return;
        }
        let known = chain.blocks.entry(height).or_default();
        if known.iter().any(|block| block.hash == hash) {
            return;
        }
        if known.len() >= RIVALS {
            return findings.evicted(1);
        }
        known.push(Known { hash, at: context.now });
        let rival = (known.len() > 1).then(|| Rival { height, gap: context.now.saturating_sub(known[0].at) });
        chain.grow(height);
        let Some(rival) = rival else { return };
        chain.evidence.add(event);
        chain.rivals.add(context.now, rival);
        chain.is_stale(height);
        self.judge(context, findings);
    }

    fn judge(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        let since = context.since(context.span(Limit::D55Lasts));
        let worst = self
            .chains
            .iter_mut()
            .map(|(name, chain)| {
                chain.rivals.forget(since);
                chain.taken_back.forget(since);
                chain.evidence.forget(since);
                let story = chain.story(context);
                (story.severity(name, context), chain, story)
            })
            .max_by_key(|(severity, _, story)| (severity.map(|severity| severity as i32), story.depth));
        let Some((severity, chain, story)) = worst else { return };
        let judgement = severity.map_or(Judgement::Clear, Judgement::Fires);
        findings.judge(&Entity::Fleet, judgement, || story.case(chain, context));
    }
}

impl Chain {
    /// A block at this height is known.
    fn grow(&mut self, height: u32) {
        if height <= self.top {
            return;
        }
        self.top = height;
        let bottom = self.top.saturating_sub(DEPTH);
        self.blocks = self.blocks.split_off(&bottom);
        let first = self.top.saturating_sub(PERIOD);
        while self.stale.front().is_some_and(|stale| *stale <= first) {
            self.stale.pop_front();
        }
        // periods without a stale block count as well
        self.periods.entry(height / PERIOD).or_default();
        while self.periods.len() > PERIODS {
            self.periods.pop_first();
        }
    }

    /// There are two blocks at this height.
    fn is_stale(&mut self, height: u32) {
        if self.stale.contains(&height) || self.stale.len() >= PERIOD as usize {
            return;
        }
        self.stale.push_back(height);
        self.stale.make_contiguous().sort_unstable();
        *self.periods.entry(height / PERIOD).or_default() += 1;
    }

    /// How many heights of a period have two blocks usually.
    fn usual(&self, context: &Context<'_>) -> f64 {
        let whole = |period: u32| period.saturating_mul(PERIOD) >= self.base && period < self.top / PERIOD;
        let counts: Vec<f64> =
            self.periods.iter().filter(|(period, _)| whole(**period)).map(|(_, count)| f64::from(*count)).collect();
        if (counts.len() as f64) < context.limit(Limit::D55WarmUp).max(1.0) {
            return context.limit(Limit::D55Usual);
        }
        // none in months does not mean that one is impossible
        (counts.iter().sum::<f64>() / counts.len() as f64).max(0.5)
    }

    fn story(&self, context: &Context<'_>) -> Story {
        let nodes: std::collections::BTreeSet<&str> = self.taken_back.iter().map(|(_, taken)| taken.node.as_str()).collect();
        let deepest = self.taken_back.iter().map(|(_, taken)| (taken.depth, taken.height)).max();
        Story {
            rival: self.rivals.last().map(|(_, rival)| *rival),
            rivals: self.rivals.len(),
            depth: deepest.map_or(0, |(depth, _)| depth),
            from: deepest.map(|(_, height)| height),
            nodes: nodes.len(),
            stale: self.stale.len(),
            usual: self.usual(context),
        }
    }
}

/// What happened within the last hour.
struct Story {
    /// The last second block at a height, and how many there were.
    rival: Option<Rival>,
    rivals: usize,
    /// The most blocks that a node took back, and from which height on.
    depth: u32,
    from: Option<u32>,
    /// Nodes that took blocks back.
    nodes: usize,
    /// Heights with two blocks among the last 2016, and how many are usual.
    stale: usize,
    usual: f64,
}

impl Story {
    fn surprise(&self) -> f64 {
        surprise(self.stale as u64, self.usual)
    }

    fn severity(&self, chain: &str, context: &Context<'_>) -> Option<Severity> {
        let depth = f64::from(self.depth);
        let happened = self.rivals > 0 || self.depth > 0;
        match () {
            () if !happened => None,
            () if TESTS.contains(&chain) => Some(Severity::Info),
            () if depth >= context.limit(Limit::D55Critical) => Some(Severity::Critical),
            () if depth >= context.limit(Limit::D55Warn) => Some(Severity::Warn),
            () if self.rivals > 0 && self.surprise() >= context.limit(Limit::D55Surprise) => Some(Severity::Warn),
            () => Some(Severity::Info),
        }
    }

    fn case(&self, chain: &Chain, context: &Context<'_>) -> Case {
        let Self { rival, rivals, depth, from, nodes, stale, usual } = *self;
        let limit = |limit| context.limit(limit);
        let all = context.nodes();
        let mut said = Vec::new();
        if let Some(Rival { height, gap }) = rival {
            said.push(format!("two blocks at height {height}, the second seen {:.1} s after the first", seconds(gap)));
        }
        if let Some(from) = from {
            let blocks = if depth == 1 { "block" } else { "blocks" };
            said.push(format!("{nodes} of {all} nodes took up to {depth} {blocks} back, from height {from} on"));
        }
        let heights = if stale == 1 { "height" } else { "heights" };
        said.push(format!("{stale} {heights} of the last {PERIOD} had two blocks, {usual:.1} are usual"));
        let mut inputs = vec![
            input("depth", depth.into(), "blocks", limit(Limit::D55Warn)),
            input("surprise", self.surprise(), "", limit(Limit::D55Surprise)),
            input("second_blocks", rivals as f64, "blocks", None),
            input("stale", stale as f64, "heights", None),
            input("usual", usual, "heights", None),
            input("nodes_that_took_back", nodes as f64, "nodes", None),
            input("nodes", all as f64, "nodes", None),
        ];
        inputs.extend(rival.map(|rival| input("gap", seconds(rival.gap), "seconds", None)));
        let verdict = match () {
            () if f64::from(depth) >= limit(Limit::D55Warn) => Verdict::Act,
            () if self.surprise() >= limit(Limit::D55Surprise) => Verdict::Investigate,
            () => Verdict::Benign,
        };
        let times = chain.rivals.iter().map(|(time, _)| *time).chain(chain.taken_back.iter().map(|(time, _)| *time));
        Case {
            score: (f64::from(depth) / limit(Limit::D55Warn)).max(self.surprise() / limit(Limit::D55Surprise)),
            verdict,
            inputs,
            from: times.min().unwrap_or(context.now),
            evidence: chain.evidence.all(),
            summary: said.join("; "),
        }
    }
}

#[cfg(test)]
mod tests;
