//! D42: a peer announces transactions and does not deliver them.
//!
//! **Behaviour.** The node asks one announcer of a transaction at a time, and waits a minute before it asks another. Who announces first and never
//! answers keeps a transaction from the node for that minute, and for longer with several addresses (CVE-2024-52913). TxProbe makes a map of
//! the network that way: it withholds a transaction and then sends one that spends it, which only those pass on who have the first from
//! somebody else.
//!
//! **Signal.** The node's `getdata` for transactions and the same peer's `tx` or `notfound`. What has not come within a minute, Bitcoin Core's own
//! patience, is withheld. Twenty of them within ten minutes, half of what the peer was asked for, are a warning; transactions that several
//! peers of one range withhold are critical. A transaction that spends one which its sender has withheld is a probe.
//!
//! **Look-alikes.** A peer that has lost a transaction says `notfound`, which is an answer. A slow one is late, but not by a minute. When most
//! of those who were asked are late at once it is the node's own line, or its handler (D39), and nobody is blamed. A range counts once for that,
//! and most of the peers that the node has chosen itself have to be late as well: of inbound peers a stranger may bring as many as he likes. What
//! is kept back by this is counted (G7). Who leaves owes nothing.
//!
//! **What an attacker may do.** Leave before the minute is over, and come again: each time costs a connection (D10, D11). Hold most of the
//! node's outbound slots: then he is its line (D19).
//!
//! **Sources** (`docs/sources.md`). S13, S33; `GETDATA_TX_INTERVAL` in Bitcoin Core `src/node/txdownloadman.h`.

use std::collections::{BTreeMap, VecDeque};

use event::{Direction, Event, InventoryType, Kind, KindId, NetTx, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::entity::Host;
use crate::measure::{Evidence, SlidingCount, hash};
use crate::thresholds::Limit;
use crate::time::{MINUTE, SECOND};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Guard, Judgement, Scope, input};

/// See the module.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct WithheldTransaction {
    /// What was asked of whom, and when.
    asked: BTreeMap<(u64, Id), u64>,
    /// The same in the order of time; what was answered in the meantime is still here.
    order: VecDeque<(u64, u64, Id)>,
    /// Who was asked lately.
    peers: BTreeMap<u64, Conduct>,
    /// What was withheld lately, the oldest first.
    withheld: VecDeque<Withheld>,
    /// How many transactions several peers of a range have withheld.
    ranges: BTreeMap<String, Shared>,
}

/// A txid or wtxid, as a hash that nobody outside can predict.
type Id = u64;

/// What a peer did with requests.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Conduct {
    asked: SlidingCount,
    withheld: SlidingCount,
    /// Transactions that spend what it has withheld.
    probes: SlidingCount,
    evidence: Evidence,
}

/// A transaction that did not come.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Withheld {
    at: u64,
    id: Id,
    peer: u64,
    /// Of the peer; empty where there are no ranges.
    range: String,
    /// Another of the range has withheld it as well, and that was counted.
    shared: bool,
}

/// What several peers of one range have withheld.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Shared {
    transactions: SlidingCount,
    evidence: Evidence,
}

/// Where a peer is, as whoever brings many peers does not choose it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Range(ipnet::IpNet),
    /// By its number, where there are no ranges.
    Network(i32),
}

/// Everything is counted over this.
const WINDOW: u64 = 10 * MINUTE;
/// Requests remembered: Bitcoin Core has 100 under way with a peer.
const REQUESTS: usize = 32_768;
/// Peers remembered: more than a node has.
const PEERS: usize = 4096;
/// Withheld transactions remembered.
const WITHHELD: usize = 512;
/// Ranges remembered.
const RANGES: usize = 64;

impl Default for Conduct {
    fn default() -> Self {
        let count = || SlidingCount::new(WINDOW);
        Self { asked: count(), withheld: count(), probes: count(), evidence: Evidence::default() }
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self { transactions: SlidingCount::new(WINDOW), evidence: Evidence::default() }
    }
}

impl Detector for WithheldTransaction {
    const ABOUT: About = About {
        id: "D42",
        name: "withheld_transaction",
        version: 2,
        title: "A peer announces transactions and does not deliver them",
        family: Family::Transactions,
        scope: Scope::Node,
        kinds: &[KindId::NetGetdata, KindId::NetTx, KindId::NetNotfound, KindId::ConnClosed],
        every: SECOND,
        needs: &[KindId::NetGetdata, KindId::NetTx, KindId::NetNotfound],
        window: WINDOW,
        guards: &[Guard::Restart, Guard::InitialDownload],
        // an answer that was not seen looks like none
        fooled_by: &[KindId::NetGetdata, KindId::NetTx, KindId::NetNotfound],
        thresholds: &[Limit::D42Patience, Limit::D42Warn, Limit::D42Share, Limit::D42Critical, Limit::D42Probes],
        does_not_prove: "that the peer means harm: it may have lost its own link, or what it announced",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>) {
        match &event.kind {
            Some(Kind::NetGetdata(m)) if m.direction() == Direction::Outbound => {
                let transaction = |kind| matches!(kind, InventoryType::Tx | InventoryType::Wtx | InventoryType::WitnessTx);
                for item in m.items.iter().filter(|item| transaction(item.r#type())) {
                    self.ask(event, m.peer, hash(context.key, &item.hash), context, findings);
                }
            }
            Some(Kind::NetTx(m)) if m.direction() == Direction::Inbound => self.received(event, m, context, findings),
            Some(Kind::NetNotfound(m)) if m.direction() == Direction::Inbound => {
                for item in &m.items {
                    self.asked.remove(&(m.peer, hash(context.key, &item.hash)));
                }
            }
            Some(Kind::ConnClosed(closed)) => {
                self.peers.remove(&closed.peer);
                let of_it: Vec<_> = self.asked.range((closed.peer, 0)..=(closed.peer, Id::MAX)).map(|(key, _)| *key).collect();
                for key in of_it {
                    self.asked.remove(&key);
                }
            }
            _ => {}
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.look(context);
        let our_line = self.our_line(context);
        let mut spared = false;
        for (id, peer) in &mut self.peers {
            if peer.withheld.get(context.now) > 0 || findings.is_open(&Entity::Peer(*id)) {
                spared |= peer.judge(*id, our_line, context, findings);
            }
        }
        spared |= self.ranges(our_line, context, findings);
        if spared {
            findings.suppressed(Guard::Blind);
        }
    }

    fn restarted(&mut self, _: &str) {
        *self = Self::default();
    }
}

impl WithheldTransaction {
    fn ask(&mut self, event: &Event, id: u64, transaction: Id, context: &Context<'_>, findings: &mut Findings<'_>) {
        let known = self.peers.contains_key(&id);
        if self.asked.len() >= REQUESTS || self.order.len() >= 2 * REQUESTS || !known && self.peers.len() >= PEERS {
            findings.evicted(1);
            return;
        }
        let peer = self.peers.entry(id).or_default();
        peer.asked.add(context.now, 1);
        // that which may come to nothing: a peer that answers needs no evidence
        if peer.withheld.get(context.now) > 0 {
            peer.evidence.add(event);
        }
        self.asked.insert((id, transaction), context.now);
        self.order.push_back((context.now, id, transaction));
    }

    fn received(&mut self, event: &Event, transaction: &NetTx, context: &Context<'_>, findings: &mut Findings<'_>) {
        let NetTx { peer: id, txid, wtxid, .. } = transaction;
        if !self.asked.is_empty() && self.asked.remove(&(*id, hash(context.key, wtxid))).is_none() && txid != wtxid {
            self.asked.remove(&(*id, hash(context.key, txid)));
        }
        if self.withheld.is_empty() {
            return;
        }
        let spent: Vec<Id> = transaction.spends.iter().map(|spent| hash(context.key, &spent.txid)).collect();
        let probe = self.withheld.iter().any(|withheld| withheld.peer == *id && spent.contains(&withheld.id));
        if let Some(peer) = self.peers.get_mut(id).filter(|_| probe) {
            peer.probes.add(context.now, 1);
            peer.evidence.add(event);
            peer.judge(*id, false, context, findings);
        }
    }

    /// What was asked for so long ago that Bitcoin Core asks somebody else.
    fn look(&mut self, context: &Context<'_>) {
        let patience = context.span(Limit::D42Patience);
        // of the future is what was asked before the clock was set back: nobody knows when that was
        while self.order.front().is_some_and(|(at, ..)| *at > context.now || context.now >= at.saturating_add(patience)) {
            let Some((at, id, transaction)) = self.order.pop_front() else { break };
            // it was answered, or asked for again
            if self.asked.get(&(id, transaction)) != Some(&at) {
                continue;
            }
            self.asked.remove(&(id, transaction));
            if at > context.now {
                continue;
            }
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.withheld.add(context.now, 1);
                self.keep(id, transaction, context);
            }
        }
        while self.withheld.front().is_some_and(|withheld| withheld.at < context.since(WINDOW)) {
            self.withheld.pop_front();
        }
        self.peers.retain(|id, peer| context.peer(*id).is_some() || peer.asked.get(context.now) > 0);
    }

    /// Remembers what was withheld, and whether another of the range has withheld the same.
    fn keep(&mut self, id: u64, transaction: Id, context: &Context<'_>) {
        let host = context.peer(id).and_then(|peer| Host::of(&peer.address, peer.network()));
        let range = host.and_then(|host| host.range()).map_or_else(String::new, |range| range.to_string());
        let same = |other: &&mut Withheld| other.id == transaction && other.peer != id && other.range == range;
        let mut shared = false;
        if !range.is_empty()
            && let Some(other) = self.withheld.iter_mut().find(same)
        {
            shared = true;
            let first = !std::mem::replace(&mut other.shared, true);
            if first && (self.ranges.len() < RANGES || self.ranges.contains_key(&range)) {
                let of_range = self.ranges.entry(range.clone()).or_default();
                of_range.transactions.add(context.now, 1);
                if let Some(peer) = self.peers.get(&id) {
                    of_range.evidence.clone_from(&peer.evidence);
                }
            }
        }
        if self.withheld.len() == WITHHELD {
            self.withheld.pop_front();
        }
        self.withheld.push_back(Withheld { at: context.now, id: transaction, peer: id, range, shared });
    }

    /// Most of those who were asked did not deliver, and that are not two or three: most ranges, and most peers that the node chose.
    fn our_line(&mut self, context: &Context<'_>) -> bool {
        if self.withheld.is_empty() {
            return false;
        }
        let limit = context.limit(Limit::D42Share);
        let mut places: BTreeMap<Place, (u32, u32)> = BTreeMap::new();
        let mut chosen = (0_u32, 0_u32);
        for (id, conduct) in &mut self.peers {
            let asked = conduct.asked.get(context.now);
            // who has gone has neither
            let Some(peer) = context.peer(*id).filter(|_| asked > 0) else { continue };
            let late = u32::from(conduct.withheld.get(context.now) as f64 >= limit * asked as f64);
            let host = Host::of(&peer.address, peer.network());
            let place = match host.as_ref().and_then(Host::range) {
                Some(range) => Place::Range(range),
                // names cost nothing
                None => Place::Network(peer.network().into()),
            };
            let all = places.entry(place).or_default();
            *all = (all.0 + late, all.1 + 1);
            if !peer.is_inbound() {
                chosen = (chosen.0 + late, chosen.1 + 1);
            }
        }
        let late = places.values().filter(|(late, all)| late * 2 > *all).count();
        late > 3 && late * 2 > places.len() && (chosen.1 == 0 || chosen.0 * 2 > chosen.1)
    }

    /// Several peers of one range that withhold the same. Gives whether that is not said, because most do.
    fn ranges(&mut self, our_line: bool, context: &Context<'_>, findings: &mut Findings<'_>) -> bool {
        let most = context.limit(Limit::D42Critical);
        let mut spared = false;
        self.ranges.retain(|range, shared| {
            let transactions = shared.transactions.get(context.now) as f64;
            let entity = Entity::Range(range.clone());
            spared |= transactions >= most && our_line;
            let judgement = match () {
                () if transactions >= most && !our_line => Judgement::Fires(Severity::Critical),
                () if transactions > 0.0 => Judgement::Holds,
                () => Judgement::Clear,
            };
            findings.judge(&entity, judgement, || Case {
                score: transactions / most,
                verdict: Verdict::Act,
                inputs: vec![input("withheld_by_several", transactions, "transactions", most)],
                from: context.since(WINDOW),
                evidence: shared.evidence.all(),
                summary: format!(
                    "{transactions} transactions were asked of several peers of one range within ten minutes, and none of them delivered"
                ),
            });
            transactions > 0.0 || findings.is_open(&entity)
        });
        spared
    }
}

impl Conduct {
    /// Gives whether something is not said, because most do it.
    fn judge(&mut self, id: u64, our_line: bool, context: &Context<'_>, findings: &mut Findings<'_>) -> bool {
        let now = context.now;
        let [asked, withheld, probes] = [&mut self.asked, &mut self.withheld, &mut self.probes].map(|count| count.get(now) as f64);
        let limit = |limit| context.limit(limit);
        // what was asked for before the window may be withheld within it
        let share = withheld / asked.max(withheld).max(1.0);
        let withholds = withheld >= limit(Limit::D42Warn) && share >= limit(Limit::D42Share);
        let (spared, withholds) = (withholds && our_line, withholds && !our_line);
        let judgement = match () {
            () if withholds || probes >= limit(Limit::D42Probes) => Judgement::Fires(Severity::Warn),
            () if probes > 0.0 => Judgement::Fires(Severity::Info),
            () if withheld >= limit(Limit::D42Warn) / 2.0 => Judgement::Holds,
            () => Judgement::Clear,
        };
        self.evidence.forget(context.since(WINDOW));
        findings.judge(&Entity::Peer(id), judgement, || Case {
            score: (withheld / limit(Limit::D42Warn)).max(probes / limit(Limit::D42Probes)),
            verdict: Verdict::Investigate,
            inputs: vec![
                input("withheld", withheld, "transactions", limit(Limit::D42Warn)),
                input("withheld_share", share, "share", limit(Limit::D42Share)),
                input("asked", asked, "transactions", None),
                input("probes", probes, "transactions", limit(Limit::D42Probes)),
            ],
            from: context.since(WINDOW),
            evidence: self.evidence.all(),
            summary: if probes > 0.0 {
                format!("of {asked} transactions {withheld} were not delivered within ten minutes, and what spends them was sent instead ({probes})")
            } else {
                format!("of {asked} transactions that were asked for within ten minutes {withheld} were not delivered")
            },
        });
        spared
    }
}

#[cfg(test)]
mod tests;
