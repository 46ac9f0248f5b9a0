//! D50: blocks cannot be put together from compact ones.
//!
//! **Behaviour.** What miners put into blocks is not what the node has in its mempool: the network's policies drift apart, somebody
//! keeps transactions from the node, or its mempool is empty. Each such block costs a round trip, and on a slow line a race.
//!
//! **Signal**, per block and not per message (with three peers in high-bandwidth mode several `cmpctblock` come for each): a block that
//! came compact was put together without asking if no `getblocktxn` for it left before it was connected. Of the last 144 blocks, the share
//! that was; against the seven days before; how much had to be asked for; how long the answer took. Blocks that were not seen yet count as
//! is usual, so that a few bad ones after a start are no alarm. Only answers of peers that are not reached over Tor or I2P show how long one takes:
//! those are late on any line.
//!
//! **Look-alikes.** An empty mempool after a restart: what comes while the restart's guard holds is not counted (G1); initial download
//! (G2); a blocks-only node, which has no mempool to speak of: it is left out.
//!
//! **Sources** (`docs/sources.md`). S7, S19.

use std::collections::{BTreeMap, VecDeque};

use event::{Direction, Event, Kind, KindId, Network, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::criteria::{Criterion, weigh};
use crate::measure::Evidence;
use crate::thresholds::Limit;
use crate::time::{HOUR, MINUTE, seconds};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Guard, Judgement, Scope, input};

/// See the module.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Reconstruction {
    /// Blocks that came compact and are not connected.
    coming: BTreeMap<Hash, Coming>,
    /// Blocks that were, the oldest first.
    blocks: VecDeque<Block>,
    /// The node takes no part in transaction relay.
    blocksonly: bool,
    evidence: Evidence,
    changed: bool,
}

type Hash = [u8; 32];

#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Coming {
    since: u64,
    asked: Option<u64>,
    answered: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Block {
    hash: Hash,
    at: u64,
    /// Whether nothing had to be asked for.
    alone: bool,
    /// From the question to the answer, nanoseconds.
    trip: Option<u64>,
    /// What had to be asked for, bytes; only the log knows.
    bytes: Option<u64>,
}

/// Blocks remembered: eight days.
const MOST: usize = 1152;
/// Blocks on their way, at most: more than one every ten minutes are somebody's invention.
const COMING: usize = 64;
/// A block that is not connected by then was none.
const LOST: u64 = HOUR;
/// Fewer blocks with a question say nothing of how long answers take.
const ASKED: usize = 12;

impl Detector for Reconstruction {
    const ABOUT: About = About {
        id: "D50",
        name: "reconstruction",
        version: 3,
        title: "Blocks cannot be put together from compact ones",
        family: Family::Blocks,
        scope: Scope::Node,
        kinds: &[
            KindId::NetCmpctblock,
            KindId::NetGetblocktxn,
            KindId::NetBlocktxn,
            KindId::ChainBlockConnected,
            KindId::ChainReconstructed,
            KindId::StateProfile,
        ],
        every: MINUTE,
        needs: &[KindId::NetCmpctblock, KindId::NetGetblocktxn, KindId::ChainBlockConnected, KindId::ChainReconstructed],
        window: 10 * MINUTE,
        guards: &[Guard::Restart, Guard::InitialDownload],
        // a `getblocktxn` that was not seen makes a block look better, a `cmpctblock` leaves it out
        fooled_by: &[],
        thresholds: &[
            Limit::D50Warn,
            Limit::D50Critical,
            Limit::D50Drop,
            Limit::D50Blocks,
            Limit::D50Enough,
            Limit::D50Usual,
            Limit::D50Bytes,
            Limit::D50Trip,
            Limit::D50WarmUp,
        ],
        does_not_prove: "that transactions are kept from the node: policies that differ do the same",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>) {
        let now = context.now;
        match &event.kind {
            Some(Kind::NetCmpctblock(m)) if m.direction() == Direction::Inbound => {
                let hash = m.header.as_ref().and_then(|header| Hash::try_from(&header.hash[..]).ok());
                if let Some(hash) = hash.filter(|hash| !self.blocks.iter().rev().take(6).any(|block| block.hash == *hash)) {
                    self.comes(hash, now);
                }
            }
            Some(Kind::NetGetblocktxn(m)) if m.direction() == Direction::Outbound => {
                self.coming(&m.block, |block| block.asked = block.asked.or(Some(now)));
            }
            Some(Kind::NetBlocktxn(m))
                if m.direction() == Direction::Inbound && !matches!(m.network(), Network::Onion | Network::I2p) =>
            {
                self.coming(&m.block, |block| block.answered = block.answered.or(Some(now)));
            }
            Some(Kind::ChainBlockConnected(m)) => self.connected(event, &m.hash, context, findings),
            Some(Kind::ChainReconstructed(m)) => {
                // the log says it within the second, before or after
                if let Ok(hash) = Hash::try_from(&m.hash[..])
                    && let Some(block) = self.blocks.iter_mut().rev().take(6).find(|block| block.hash == hash)
                {
                    block.bytes = m.requested_bytes.or(block.bytes);
                }
            }
            Some(Kind::StateProfile(profile)) => self.blocksonly = profile.blocksonly.unwrap_or_default(),
            _ => {}
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.coming.retain(|_, block| context.now < block.since.saturating_add(LOST));
        // nothing changes but by a block; while a finding is open it wants to be judged all the same
        if (std::mem::take(&mut self.changed) || findings.is_open(&Entity::Node)) && !self.blocksonly {
            self.judge(context, findings);
        }
    }

    /// What was learned of blocks stays; what was on its way does not come.
    fn restarted(&mut self, _: &str) {
        self.coming.clear();
    }
}

impl Reconstruction {
    fn comes(&mut self, hash: Hash, now: u64) {
        if self.coming.len() >= COMING
            && !self.coming.contains_key(&hash)
            && let Some(oldest) = self.coming.iter().min_by_key(|(_, block)| block.since).map(|(hash, _)| *hash)
        {
            self.coming.remove(&oldest);
        }
        self.coming.entry(hash).or_insert(Coming { since: now, asked: None, answered: None });
    }

    fn coming(&mut self, hash: &[u8], change: impl FnOnce(&mut Coming)) {
        if let Some(block) = Hash::try_from(hash).ok().and_then(|hash| self.coming.get_mut(&hash)) {
            change(block);
        }
    }

    fn connected(&mut self, event: &Event, hash: &[u8], context: &Context<'_>, findings: &mut Findings<'_>) {
        let Ok(hash) = Hash::try_from(hash) else { return };
        let Some(Coming { asked, answered, .. }) = self.coming.remove(&hash) else { return };
        for guard in [Guard::Restart, Guard::InitialDownload] {
            if context.holds(guard, None) {
                if asked.is_some() {
                    findings.suppressed(guard);
                }
                return;
            }
        }
        let trip = asked.zip(answered).map(|(asked, answered)| answered.saturating_sub(asked));
        if self.blocks.len() == MOST {
            self.blocks.pop_front();
        }
        self.blocks.push_back(Block { hash, at: context.now, alone: asked.is_none(), trip, bytes: None });
        self.changed = true;
        if asked.is_some() {
            self.evidence.add(event);
        }
    }

    fn judge(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        let limit = |limit| context.limit(limit);
        let window = limit(Limit::D50Blocks).max(1.0) as usize;
        let recent = self.blocks.len().saturating_sub(window);
        let (before, last) = (self.blocks.range(..recent), self.blocks.range(recent..));
        let count = last.len();
        if (count as f64) < limit(Limit::D50Enough) {
            return;
        }
        let alone = last.clone().filter(|block| block.alone).count() as f64;
        let learned = before.len() as f64 >= limit(Limit::D50WarmUp).max(1.0);
        let usual = if learned {
            before.clone().filter(|block| block.alone).count() as f64 / before.len() as f64
        } else {
            limit(Limit::D50Usual)
        };
        // blocks that were not seen yet count as usual
        let rate = (alone + (window - count) as f64 * usual) / window as f64;
        self.evidence.forget(last.clone().next().map_or(0, |block| block.at));
        let deciles = |values: Vec<u64>| (values.len() >= ASKED).then(|| ninth_decile(values));
        let bytes = deciles(last.clone().filter_map(|block| block.bytes).collect());
        let trip = deciles(last.clone().filter_map(|block| block.trip).collect()).map(seconds);
        let row = |name, value, unit, warn, critical| Criterion { name, value, unit, warn, critical };
        let never = f64::INFINITY;
        let criteria = [
            row("asked_for", Some(1.0 - rate), "share", 1.0 - limit(Limit::D50Warn), 1.0 - limit(Limit::D50Critical)),
            row("drop", learned.then_some((usual - rate).max(0.0)), "share", limit(Limit::D50Drop), limit(Limit::D50Drop)),
            row("bytes_asked_for", bytes.map(|bytes| bytes as f64), "bytes", limit(Limit::D50Bytes), never),
            row("round_trip", trip, "seconds", limit(Limit::D50Trip), never),
        ];
        let mut weighed = weigh(&criteria);
        // a slow line, or a peer that withholds (D51), makes answers late of blocks that are put together as usual
        let others = weigh(&criteria[..3]).judgement;
        if weighed.judgement == Judgement::Fires(Severity::Warn) && !matches!(others, Judgement::Fires(_)) {
            weighed.judgement = Judgement::Fires(Severity::Info);
        }
        // half of the threshold is what is usual: it is over when nothing is met
        if weighed.judgement == Judgement::Holds && weighed.score < CLEAR {
            weighed.judgement = Judgement::Clear;
        }
        findings.judge(&Entity::Node, weighed.judgement, || {
            let mut inputs = weighed.inputs;
            inputs.push(input("blocks", count as f64, "blocks", None));
            inputs.push(input("usual", usual, "share", None));
            Case {
                score: weighed.score,
                verdict: Verdict::Investigate,
                inputs,
                from: last.clone().next().map_or(0, |block| block.at),
                evidence: self.evidence.all(),
                summary: format!(
                    "{:.0} % of the last {count} blocks could be put together without asking, {:.0} % is usual",
                    alone / count as f64 * 100.0,
                    usual * 100.0
                ),
            }
        });
    }
}

/// Below nine tenths of its threshold a criterion is over.
const CLEAR: f64 = 0.9;

fn ninth_decile(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() * 9 / 10).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
