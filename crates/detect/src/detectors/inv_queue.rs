//! D39: the queue of announcements grows, the message handler is saturated.
//!
//! **Behaviour.** Transactions are announced faster than peers are told of them, or a peer does not read. Each trickle sorts the queue of
//! its peer, so long queues keep the message handler busy, messages wait, pings time out, and peers are lost (May 2023; again November 2025
//! and February 2026). Listeners that take every announcement and ask for nothing make it worse.
//!
//! **Signal.**
//! - `inv_to_send` of `getpeerinfo` (Bitcoin Core 31): the longest queue, the sum over all peers, the longest against the median.
//! - Without it, from the size of an `inv` itself: a trickle has at most a base and five more per thousand waiting, capped at 1000
//!   (`src/net_processing.cpp`, `broadcast_max`). One with `n` transactions proves a queue of `200 * (n - base)`. The base is 7 a second
//!   for 5 seconds, 35, up to Bitcoin Core 30, and 14 a second, 70, from 31 on; where the version is not known, 70 proves less.
//! - CPU of the thread `b-msghand` over five minutes.
//! - The answer to a ping of our own, which waits in the node's message queue like every message.
//!
//! **Look-alikes.** The answer to a `mempool` request (announcements that never waited: that peer's are not looked at for a minute, nor is
//! an `inv` of more than a trickle can hold); the end of the initial download (G2); the moment after a block (G5); a restart (G1).
//!
//! **Sources** (`docs/sources.md`). S5, S8, S13, S22; the constants from Bitcoin Core 29, 30 and 31.

use std::collections::BTreeMap;

use event::{Direction, Event, InventoryType, Kind, KindId, NetInv, ProbePing, Severity, StatePeers, StateProcess, Verdict};
use serde::{Deserialize, Serialize};

use crate::criteria::{Criterion, Weighed, weigh};
use crate::measure::{Evidence, Recent};
use crate::thresholds::Limit;
use crate::time::{MINUTE, SECOND, seconds};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Guard, Judgement, Scope, input};

/// See the module.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct InvQueue {
    queues: BTreeMap<u64, Queue>,
    /// When `getpeerinfo` last told of queues.
    polled: Option<u64>,
    /// CPU time of the message handler: when, and how much so far, nanoseconds.
    handler: Recent<u64>,
    pings: Pings,
    /// What was not noted of queues, because there were too many, since that was last told.
    crowded: u64,
    evidence: Evidence,
}

/// What is known of one peer's queue.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Queue {
    /// As the node stated it.
    stated: u64,
    /// As an `inv` proved it, when, and since when each did.
    proven: u64,
    proven_at: u64,
    proven_since: u64,
    /// When the peer asked for the mempool.
    asked: Option<u64>,
}

/// Round trips of the last pings of our own.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Pings {
    last: Recent<u64>,
}

/// A queue that an `inv` proved is forgotten after this, nanoseconds: twelve trickles to an inbound peer.
const PROOF: u64 = MINUTE;
/// In this time everybody whose queue is long has got an `inv` that proves it: three trickles to an inbound peer.
const ROUND: u64 = 15 * SECOND;
/// A poll counts for so long: twice the interval at which it is asked for, and a bit.
const POLL: u64 = 150 * SECOND;
/// The handler's CPU is averaged over this.
const HANDLER: u64 = 5 * MINUTE;
/// Of these pings in a row even the quickest counts: one slow answer is no backlog.
const PINGS: usize = 3;
/// Pings older than this say nothing of now.
const PING_AGE: u64 = 2 * MINUTE;
/// Announcements after a `mempool` request are its answer.
const MEMPOOL_ANSWER: u64 = MINUTE;
/// A trickle has no more transactions (Bitcoin Core `INVENTORY_BROADCAST_MAX`).
const TRICKLE: u64 = 1000;
/// Peers whose queues are remembered: more than a node has.
const PEERS: usize = 4096;

impl Detector for InvQueue {
    const ABOUT: About = About {
        id: "D39",
        name: "inv_queue",
        version: 3,
        title: "The queue of announcements grows, the message handler is saturated",
        family: Family::Load,
        scope: Scope::Node,
        kinds: &[
            KindId::NetInv,
            KindId::NetMempool,
            KindId::StatePeers,
            KindId::StateProcess,
            KindId::ProbePing,
            KindId::ProbeUnanswered,
            KindId::ConnClosed,
        ],
        every: 5 * SECOND,
        needs: &[KindId::NetInv, KindId::StatePeers, KindId::StateProcess, KindId::ProbePing],
        window: PROOF,
        guards: &[Guard::Restart, Guard::InitialDownload, Guard::BlockBurst],
        // what was not seen only makes queues look shorter
        fooled_by: &[],
        thresholds: &[
            Limit::D39QueueWarn,
            Limit::D39QueueCritical,
            Limit::D39SumWarn,
            Limit::D39SumCritical,
            Limit::D39Spread,
            Limit::D39BusyWarn,
            Limit::D39BusyCritical,
            Limit::D39PingWarn,
            Limit::D39PingCritical,
        ],
        does_not_prove: "that anybody means harm: a rush of ordinary transactions does the same",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, _: &mut Findings<'_>) {
        match &event.kind {
            Some(Kind::NetInv(inv)) => self.inv(event, inv, context),
            Some(Kind::NetMempool(asked)) if asked.direction() == Direction::Inbound => {
                self.queue(asked.peer, context, |queue| queue.asked = Some(context.now));
            }
            Some(Kind::StatePeers(state)) => self.polled(event, state, context),
            Some(Kind::StateProcess(process)) => self.handler(event, process, context),
            Some(Kind::ProbePing(ProbePing { round_trip_nanos: waited, .. })) => self.ping(event, *waited, context),
            // not answered yet, so it takes at least that long
            Some(Kind::ProbeUnanswered(unanswered)) => self.ping(event, unanswered.waiting_nanos, context),
            Some(Kind::ConnClosed(closed)) => {
                self.queues.remove(&closed.peer);
            }
            _ => {}
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        let now = context.now;
        self.handler.forget(context.since(HANDLER + MINUTE));
        self.pings.last.forget(context.since(PING_AGE));
        findings.evicted(std::mem::take(&mut self.crowded));
        let polled = self.polled.is_some_and(|then| now < then.saturating_add(POLL));
        for queue in self.queues.values_mut() {
            if now >= queue.proven_at.saturating_add(PROOF) {
                queue.proven = 0;
            }
            if !polled {
                queue.stated = 0;
            }
        }
        self.evidence.forget(context.since(HANDLER));
        let view = View::of(self, context, polled);
        let node = view.node(context);
        findings.judge(&Entity::Node, node.judgement, || node.case(self, context));
        self.slow_peers(&view, context, findings);
    }

    fn restarted(&mut self, _: &str) {
        *self = Self::default();
    }
}

impl InvQueue {
    fn inv(&mut self, event: &Event, inv: &NetInv, context: &Context<'_>) {
        let base = match context.facts.version {
            Some(version) if version < 310_000 => 35,
            _ => 70,
        };
        if inv.direction() != Direction::Outbound || inv.items.len() <= base {
            return;
        }
        let transaction = |kind| matches!(kind, InventoryType::Tx | InventoryType::Wtx | InventoryType::WitnessTx);
        let count = inv.items.iter().filter(|item| transaction(item.r#type())).count() as u64;
        let base = base as u64;
        if count <= base || count > TRICKLE {
            return;
        }
        let proven = 200 * (count - base);
        let worth_showing = proven as f64 > context.limit(Limit::D39QueueWarn);
        let counted = self.queue(inv.peer, context, |queue| {
            let answer = queue.asked.is_some_and(|asked| context.now < asked.saturating_add(MEMPOOL_ANSWER));
            if !answer {
                if queue.proven == 0 {
                    queue.proven_since = context.now;
                }
                queue.proven = proven;
                queue.proven_at = context.now;
            }
            !answer
        });
        if counted == Some(true) && worth_showing {
            self.evidence.add(event);
        }
    }

    fn polled(&mut self, event: &Event, state: &StatePeers, context: &Context<'_>) {
        let mut told = false;
        let mut worth_showing = false;
        for peer in &state.peers {
            let Some(waiting) = peer.inv_to_send else { continue };
            told = true;
            worth_showing |= waiting as f64 > context.limit(Limit::D39QueueWarn);
            self.queue(peer.id, context, |queue| queue.stated = waiting);
        }
        if told {
            self.polled = Some(context.now);
            // who is not there any more left unseen
            let present: std::collections::BTreeSet<u64> = state.peers.iter().map(|peer| peer.id).collect();
            self.queues.retain(|id, queue| present.contains(id) || queue.proven > 0);
        }
        if worth_showing {
            self.evidence.add(event);
        }
    }

    fn handler(&mut self, event: &Event, process: &StateProcess, context: &Context<'_>) {
        let Some(thread) = process.threads.iter().find(|thread| thread.name == "b-msghand") else { return };
        let used = thread.user_nanos.saturating_add(thread.system_nanos);
        if self.handler.last().is_some_and(|(_, before)| *before > used) {
            // another process
            self.handler = Recent::default();
        }
        // a sample in three seconds is enough, and keeps five minutes within what is kept
        if self.handler.last().is_none_or(|(then, _)| context.now >= then.saturating_add(3 * SECOND)) {
            self.handler.add(context.now, used);
        }
        if self.busy(context).is_some_and(|busy| busy > context.limit(Limit::D39BusyWarn)) {
            self.evidence.add(event);
        }
    }

    fn ping(&mut self, event: &Event, waited: u64, context: &Context<'_>) {
        self.pings.last.add(context.now, waited);
        if seconds(waited) > context.limit(Limit::D39PingWarn) {
            self.evidence.add(event);
        }
    }

    fn queue<T>(&mut self, peer: u64, context: &Context<'_>, change: impl FnOnce(&mut Queue) -> T) -> Option<T> {
        if self.queues.len() >= PEERS && !self.queues.contains_key(&peer) {
            // who left without being seen to
            self.queues.retain(|id, _| context.peer(*id).is_some());
            if self.queues.len() >= PEERS {
                self.crowded += 1;
                return None;
            }
        }
        Some(change(self.queues.entry(peer).or_default()))
    }

    /// Share of a CPU that the message handler used over the last five minutes; absent before they were all seen.
    fn busy(&self, context: &Context<'_>) -> Option<f64> {
        let (until, used) = self.handler.last()?;
        // the sample next to five minutes before it
        let start = until.saturating_sub(HANDLER);
        let (from, before) = self.handler.iter().rev().find(|(time, _)| *time <= start)?;
        let length = until.saturating_sub(*from);
        (context.now < until.saturating_add(MINUTE) && length > 0).then(|| used.saturating_sub(*before) as f64 / length as f64)
    }

    /// The quickest of the last pings.
    fn waiting(&self) -> Option<u64> {
        let last = self.pings.last.iter().rev().take(PINGS).map(|(_, waited)| *waited);
        (self.pings.last.len() >= PINGS).then(|| last.min()).flatten()
    }

    /// Peers that do not read, while the others' queues are short.
    fn slow_peers(&self, view: &View, context: &Context<'_>, findings: &mut Findings<'_>) {
        let (warn, critical) = (context.limit(Limit::D39QueueWarn), context.limit(Limit::D39QueueCritical));
        for (id, queue) in &self.queues {
            let entity = Entity::Peer(*id);
            let length = queue.length() as f64;
            if length <= warn / 2.0 {
                if findings.is_open(&entity) {
                    findings.judge(&entity, Judgement::Clear, Case::default);
                }
                continue;
            }
            let alone = queue.alone(view.polled, context.now) as f64;
            let judgement = match () {
                () if view.storm => Judgement::Holds,
                () if alone > critical => Judgement::Fires(Severity::Critical),
                () if alone > warn => Judgement::Fires(Severity::Warn),
                () => Judgement::Holds,
            };
            findings.judge(&entity, judgement, || Case {
                score: length / warn,
                verdict: Verdict::Investigate,
                inputs: vec![
                    input("queue", length, "transactions", warn),
                    input("median_queue", view.median, "transactions", None),
                ],
                from: context.since(POLL),
                evidence: self.evidence.all(),
                summary: format!(
                    "a peer does not take its announcements: {length} transactions wait for it, and {} for the median peer",
                    view.median
                ),
            });
        }
    }
}

impl Queue {
    fn length(&self) -> u64 {
        self.stated.max(self.proven)
    }

    /// As far as it can be compared with others': of one poll all are stated at one moment; of those that announcements prove, the first is no
    /// longer than the rest, only earlier.
    fn alone(&self, polled: bool, now: u64) -> u64 {
        match polled {
            true => self.stated,
            false if now >= self.proven_since.saturating_add(ROUND) => self.proven,
            false => 0,
        }
    }
}

/// All queues at one moment.
struct View {
    longest: f64,
    sum: f64,
    median: f64,
    /// Whether many queues are long, not one.
    storm: bool,
    /// Whether the node tells of queues.
    polled: bool,
    /// Whether anybody does: the node, or the probes by what it announces.
    known: bool,
    busy: Option<f64>,
    waiting: Option<f64>,
}

/// What is the case with the node.
struct Node {
    judgement: Judgement,
    score: f64,
    inputs: Vec<event::FindingInput>,
    summary: String,
}

impl View {
    fn of(of: &InvQueue, context: &Context<'_>, polled: bool) -> Self {
        let mut lengths: Vec<u64> = of.queues.values().map(Queue::length).collect();
        lengths.sort_unstable();
        let longest = lengths.last().copied().unwrap_or_default() as f64;
        let median = lengths.get(lengths.len() / 2).copied().unwrap_or_default() as f64;
        let sum = lengths.iter().sum::<u64>() as f64;
        let warn = context.limit(Limit::D39QueueWarn);
        let long = lengths.iter().filter(|length| **length as f64 > warn).count();
        // an `inv` proves nothing of those who got none: without a poll it is a storm when it is not one or two alone
        let spread = if polled { longest <= context.limit(Limit::D39Spread) * median.max(1.0) } else { long > 2 };
        Self {
            longest,
            sum,
            median,
            storm: spread || sum > context.limit(Limit::D39SumWarn),
            polled,
            known: polled || context.sees(KindId::NetInv, PROOF),
            busy: of.busy(context),
            waiting: of.waiting().map(seconds),
        }
    }

    fn node(&self, context: &Context<'_>) -> Node {
        let limit = |limit| context.limit(limit);
        let queue = if self.storm { self.longest } else { 0.0 };
        let row = |name, value, unit, warn, critical| Criterion { name, value, unit, warn: limit(warn), critical: limit(critical) };
        let mut weighed = weigh(&[
            row("longest_queue", Some(queue), "transactions", Limit::D39QueueWarn, Limit::D39QueueCritical),
            row("queued_for_all", Some(self.sum), "transactions", Limit::D39SumWarn, Limit::D39SumCritical),
            row("handler_busy", self.busy, "share", Limit::D39BusyWarn, Limit::D39BusyCritical),
            row("ping_waits", self.waiting, "seconds", Limit::D39PingWarn, Limit::D39PingCritical),
        ]);
        if !self.known && !matches!(weighed.judgement, Judgement::Fires(_)) {
            weighed.judgement = Judgement::Unknown;
        }
        let what = match weighed.name {
            "handler_busy" => "the message handler is busy",
            "ping_waits" => "messages wait in the node's queue",
            _ => "many announcements wait",
        };
        let wait = self.waiting.map_or(String::new(), |wait| format!("; a ping waits {wait:.1} s"));
        let busy = self.busy.map_or(String::new(), |busy| format!("; the handler uses {:.0} % of a CPU", busy * 100.0));
        let summary = format!("{what}: {} for one peer, {} for all{busy}{wait}", self.longest, self.sum);
        let Weighed { judgement, score, inputs, .. } = weighed;
        Node { judgement, score, inputs, summary }
    }
}

impl Node {
    fn case(self, of: &InvQueue, context: &Context<'_>) -> Case {
        Case {
            score: self.score,
            verdict: Verdict::Investigate,
            inputs: self.inputs,
            from: context.since(HANDLER),
            evidence: of.evidence.all(),
            summary: self.summary,
        }
    }
}

#[cfg(test)]
mod tests;
