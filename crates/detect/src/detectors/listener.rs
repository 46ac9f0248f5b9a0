//! D14: a peer that only listens.
//!
//! **Behaviour.** It takes every announcement of transactions and asks for none, announces nothing, serves nothing: it wants to know which node
//! announces what first. Each costs the node a queue of announcements (D39) and a slot.
//!
//! **Signal.** Per connection of a quarter of an hour or more that was told of hundreds of transactions: transactions that it asked for against those
//! that it was told of, whether it ever announced or sent one, or a block. The share of inbound slots that such peers hold is what to act on;
//! a single one is only worth knowing.
//!
//! **Look-alikes.** Nodes that want blocks only and forgot to say so; wallets with a filter (`filterload`), which are left out; private broadcasts
//! (G4); a peer that hears of everything sooner from others, which still announces something within an hour.
//!
//! **Sources** (`docs/sources.md`). S3, S17, S22.

use std::collections::{BTreeMap, BTreeSet};

use event::{Direction, Event, Inventory, InventoryType, Kind, KindId, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::measure::Evidence;
use crate::thresholds::Limit;
use crate::time::{MINUTE, SECOND};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Guard, Judgement, Scope, input};

/// See the module.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Listener {
    peers: BTreeMap<u64, Conduct>,
}

/// What a peer did so far.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Conduct {
    /// Transactions that the node announced to it.
    told: u64,
    /// Transactions that it asked for.
    asked: u64,
    /// It announced or sent a transaction, or a block.
    gave: bool,
    /// It uses a filter.
    filters: bool,
    /// The announcements, until it gave something.
    evidence: Evidence,
}

/// Peers whose conduct is remembered: more than a node has.
const PEERS: usize = 4096;

impl Detector for Listener {
    const ABOUT: About = About {
        id: "D14",
        name: "listener",
        version: 2,
        title: "A peer that only listens",
        family: Family::Strangers,
        scope: Scope::Node,
        kinds: &[
            KindId::NetInv,
            KindId::NetGetdata,
            KindId::NetTx,
            KindId::NetBlock,
            KindId::NetCmpctblock,
            KindId::NetHeaders,
            KindId::NetFilterload,
            KindId::ConnClosed,
        ],
        every: 30 * SECOND,
        needs: &[KindId::NetInv, KindId::NetGetdata],
        window: 15 * MINUTE,
        guards: &[Guard::InitialDownload, Guard::PrivateBroadcast],
        // a request that was not seen looks like silence
        fooled_by: &[KindId::NetInv, KindId::NetGetdata],
        thresholds: &[Limit::D14Age, Limit::D14Announced, Limit::D14Asked, Limit::D14Score, Limit::D14Share, Limit::D14Least],
        does_not_prove: "who listens or what for: a node that wants blocks only and forgot to say so looks the same",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>) {
        let inbound = |direction| direction == Direction::Inbound;
        match &event.kind {
            Some(Kind::NetInv(m)) => {
                let transactions = count(&m.items);
                if inbound(m.direction()) {
                    self.peer(m.peer, context, findings, Conduct::gives);
                } else if transactions > 0 {
                    self.peer(m.peer, context, findings, |peer| peer.is_told(event, transactions));
                }
            }
            Some(Kind::NetGetdata(m)) if inbound(m.direction()) => {
                let transactions = count(&m.items);
                self.peer(m.peer, context, findings, |peer| peer.asked += transactions);
            }
            Some(Kind::NetTx(m)) if inbound(m.direction()) => self.peer(m.peer, context, findings, Conduct::gives),
            Some(Kind::NetBlock(m)) if inbound(m.direction()) => self.peer(m.peer, context, findings, Conduct::gives),
            Some(Kind::NetCmpctblock(m)) if inbound(m.direction()) => self.peer(m.peer, context, findings, Conduct::gives),
            Some(Kind::NetHeaders(m)) if inbound(m.direction()) && !m.headers.is_empty() => {
                self.peer(m.peer, context, findings, Conduct::gives);
            }
            Some(Kind::NetFilterload(m)) if inbound(m.direction()) => {
                self.peer(m.peer, context, findings, |peer| peer.filters = true);
            }
            Some(Kind::ConnClosed(closed)) => {
                self.peers.remove(&closed.peer);
            }
            _ => {}
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        let mut listeners = BTreeSet::new();
        for (id, conduct) in &self.peers {
            let Some(score) = conduct.score(*id, context) else { continue };
            let listens = score >= context.limit(Limit::D14Score);
            if listens {
                listeners.insert(*id);
            }
            if !listens && !findings.is_open(&Entity::Peer(*id)) {
                continue;
            }
            let judgement = if listens { Judgement::Fires(Severity::Info) } else { Judgement::Clear };
            findings.judge(&Entity::Peer(*id), judgement, || {
                let Conduct { told, asked, ref evidence, .. } = *conduct;
                Case {
                    score,
                    verdict: Verdict::Investigate,
                    inputs: vec![
                        input("told", told as f64, "transactions", context.limit(Limit::D14Announced)),
                        input("asked", asked as f64, "transactions", None),
                        input("asked_share", asked as f64 / told.max(1) as f64, "share", context.limit(Limit::D14Asked)),
                    ],
                    from: context.peer(*id).map_or(context.now, |peer| peer.since),
                    evidence: evidence.all(),
                    summary: format!("it was told of {told} transactions, asked for {asked}, and gave nothing"),
                }
            });
        }
        self.slots(&listeners, context, findings);
    }

    fn restarted(&mut self, _: &str) {
        *self = Self::default();
    }
}

/// Transactions among the entries.
fn count(items: &[Inventory]) -> u64 {
    let transaction = |kind| matches!(kind, InventoryType::Tx | InventoryType::Wtx | InventoryType::WitnessTx);
    items.iter().filter(|item| transaction(item.r#type())).count() as u64
}

impl Conduct {
    fn is_told(&mut self, event: &Event, transactions: u64) {
        self.told += transactions;
        if !self.gave {
            self.evidence.add(event);
        }
    }

    fn gives(&mut self) {
        self.gave = true;
        self.evidence = Evidence::default();
    }

    /// How much it is a listener, 0 to 1; absent where that cannot be told yet.
    fn score(&self, id: u64, context: &Context<'_>) -> Option<f64> {
        let peer = context.peer(id)?;
        // what it did before it was seen is not known; it is judged by what it does from then on
        let old = context.now >= peer.since.saturating_add(context.span(Limit::D14Age));
        if !old || self.told as f64 <= context.limit(Limit::D14Announced) || self.filters || !peer.is_inbound() {
            return None;
        }
        // a private broadcast wants none either, and is left to its guard, which counts
        if peer.hello.as_ref().is_some_and(|hello| !hello.relay) && !peer.private_broadcast {
            return None;
        }
        let few = (self.asked as f64) < context.limit(Limit::D14Asked) * self.told as f64;
        Some(match () {
            () if self.gave => 0.0,
            () if few => 1.0,
            // it never announces: blocks only, or a leecher
            () => 0.6,
        })
    }
}

impl Listener {
    fn peer(&mut self, id: u64, context: &Context<'_>, findings: &mut Findings<'_>, change: impl FnOnce(&mut Conduct)) {
        if self.peers.len() >= PEERS && !self.peers.contains_key(&id) {
            // who left without being seen to
            self.peers.retain(|id, _| context.peer(*id).is_some());
            if self.peers.len() >= PEERS {
                findings.evicted(1);
                return;
            }
        }
        change(self.peers.entry(id).or_default());
    }

    /// The share of inbound connections that listeners hold.
    fn slots(&mut self, listening: &BTreeSet<u64>, context: &Context<'_>, findings: &mut Findings<'_>) {
        let listeners = listening.len();
        let inbound = context.facts.peers.iter().filter(|(_, peer)| peer.is_inbound()).count();
        let share = listeners as f64 / (inbound.max(1)) as f64;
        let most = context.limit(Limit::D14Share);
        let judgement = match () {
            () if (listeners as f64) < context.limit(Limit::D14Least) || share <= most / 2.0 => Judgement::Clear,
            () if share > most => Judgement::Fires(Severity::Warn),
            () => Judgement::Holds,
        };
        findings.judge(&Entity::Node, judgement, || {
            let mut inputs = vec![
                input("slots_share", share, "share", most),
                input("listeners", listeners as f64, "peers", context.limit(Limit::D14Least)),
                input("inbound", inbound as f64, "peers", None),
            ];
            // one program under many addresses is one operator, or one library
            let alike = context.greet_alike(|id, _| listening.contains(&id));
            inputs.extend(alike.map(|(_, share)| input("greet_alike", share, "share", None)));
            let alike = alike.map_or(String::new(), |(fingerprint, share)| {
                format!("; {:.0} % of them greet alike (fingerprint {fingerprint:016x})", share * 100.0)
            });
            Case {
                score: share / most,
                verdict: Verdict::Investigate,
                inputs,
                from: context.since(15 * MINUTE),
                // of each the last that it was told, and did not ask for
                evidence: listening.iter().filter_map(|id| self.peers.get(id)?.evidence.all().pop()).collect(),
                summary: format!("{listeners} of {inbound} inbound peers only listen{alike}"),
            }
        });
    }
}

#[cfg(test)]
mod tests;
