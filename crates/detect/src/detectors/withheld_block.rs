//! D51: a peer promises a block and does not deliver it.
//!
//! **Behaviour.** The node asks one peer for a block and waits: up to ten minutes, while the others could have delivered it (CVE-2024-52922). Miners and
//! whoever waits for a confirmation lose that time.
//!
//! **Signal.** The node's `getdata` for a block, or its `getblocktxn`, and when the same peer answered it by `block`, `cmpctblock`, `blocktxn` or
//! `notfound`. Late is two seconds, or ten of the peer's round trips; withheld is half a minute, or late while another has delivered. One is
//! worth knowing; two of one peer within a day are a warning, several peers of one range that do so are critical.
//!
//! **Look-alikes.** Peers over Tor (their round trips are long); an own link that is full: then most of those who were asked are late at once, and
//! nobody is blamed, unless as many have answered in time since; the initial download (G2).
//!
//! **Sources** (`docs/sources.md`). S13; Bitcoin Core's `BLOCK_STALLING_TIMEOUT` of 2 s and its ten minutes per block.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use event::{Direction, Event, InventoryType, Kind, KindId, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::entity::Host;
use crate::measure::{Evidence, Recent, Table};
use crate::thresholds::Limit;
use crate::time::{DAY, HOUR, SECOND};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Guard, Judgement, Scope, input};

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct WithheldBlock {
    /// What was asked of whom.
    asked: BTreeMap<(u64, Hash), Request>,
    /// Who answered in time, and when.
    prompt: Recent<u64>,
    /// The last blocks that were connected, and when.
    connected: Recent<Hash>,
    /// Quickest round trip of each peer, nanoseconds.
    trips: BTreeMap<u64, u64>,
    /// Those who withheld, by host: a new connection does not begin anew.
    culprits: Table<String, Culprit>,
    evidence: Evidence,
}

/// Of a block.
type Hash = [u8; 32];

/// What was asked.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Request {
    at: u64,
    /// It was counted as withheld.
    counted: bool,
}

/// Who withheld.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Culprit {
    /// When.
    blocks: Recent<()>,
    /// Its connection at the last time.
    peer: u64,
    /// What range it is of.
    range: String,
}

/// Requests remembered: Bitcoin Core asks a peer for 16 blocks at once.
const REQUESTS: usize = 8192;
/// Hosts remembered.
const CULPRITS: usize = 1024;
/// Peers of whom a round trip is known.
const PEERS: usize = 8192;

impl Default for WithheldBlock {
    fn default() -> Self {
        Self {
            asked: BTreeMap::new(),
            prompt: Recent::default(),
            connected: Recent::default(),
            trips: BTreeMap::new(),
            culprits: Table::new(CULPRITS, HOUR),
            evidence: Evidence::default(),
        }
    }
}

impl Detector for WithheldBlock {
    const ABOUT: About = About {
        id: "D51",
        name: "withheld_block",
        version: 2,
        title: "A peer promises a block and does not deliver it",
        family: Family::Blocks,
        scope: Scope::Node,
        kinds: &[
            KindId::NetGetdata,
            KindId::NetGetblocktxn,
            KindId::NetBlock,
            KindId::NetCmpctblock,
            KindId::NetBlocktxn,
            KindId::NetNotfound,
            KindId::ChainBlockConnected,
            KindId::StatePeers,
            KindId::ConnClosed,
        ],
        every: SECOND,
        needs: &[KindId::NetGetdata, KindId::NetBlock, KindId::NetCmpctblock, KindId::NetBlocktxn, KindId::ChainBlockConnected],
        window: 60 * SECOND,
        guards: &[Guard::InitialDownload],
        // an answer that was not seen looks like none
        fooled_by: &[KindId::NetBlock, KindId::NetCmpctblock, KindId::NetBlocktxn, KindId::NetNotfound],
        thresholds: &[Limit::D51Slow, Limit::D51Withheld, Limit::D51Warn, Limit::D51Critical, Limit::D51Lasts],
        does_not_prove: "that the peer means harm: it may have lost its own link",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>) {
        match &event.kind {
            Some(Kind::NetGetdata(m)) if m.direction() == Direction::Outbound => {
                let block = |kind| matches!(kind, InventoryType::Block | InventoryType::WitnessBlock | InventoryType::CompactBlock);
                for item in m.items.iter().filter(|item| block(item.r#type())) {
                    self.ask(event, m.peer, &item.hash, context, findings);
                }
            }
            Some(Kind::NetGetblocktxn(m)) if m.direction() == Direction::Outbound => {
                self.ask(event, m.peer, &m.block, context, findings);
            }
            Some(Kind::NetBlock(m)) if m.direction() == Direction::Inbound => {
                self.answered(m.peer, m.header.as_ref().map_or(&[], |header| &header.hash), context);
            }
            Some(Kind::NetCmpctblock(m)) if m.direction() == Direction::Inbound => {
                self.answered(m.peer, m.header.as_ref().map_or(&[], |header| &header.hash), context);
            }
            Some(Kind::NetBlocktxn(m)) if m.direction() == Direction::Inbound => self.answered(m.peer, &m.block, context),
            Some(Kind::NetNotfound(m)) if m.direction() == Direction::Inbound => {
                m.items.iter().for_each(|item| self.answered(m.peer, &item.hash, context));
            }
            Some(Kind::ChainBlockConnected(m)) => {
                if let Ok(hash) = m.hash.as_ref().try_into() {
                    self.connected.add(context.now, hash);
                }
            }
            Some(Kind::StatePeers(state)) => {
                self.trips.retain(|id, _| context.peer(*id).is_some());
                for peer in &state.peers {
                    if let Some(trip) = peer.minimum_ping
                        && self.trips.len() < PEERS
                    {
                        self.trips.insert(peer.id, trip);
                    }
                }
            }
            Some(Kind::ConnClosed(closed)) => self.closed(closed.peer, context, findings),
            _ => {}
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.look(context, findings);
        self.culprits.forget(context.since(DAY));
        self.evidence.forget(context.since(DAY));
        let open: Vec<(u64, Judgement, Culprit)> = self
            .culprits
            .iter()
            .filter(|(_, culprit)| findings.is_open(&Entity::Peer(culprit.peer)))
            .map(|(_, culprit)| (culprit.peer, culprit.judgement(context), culprit.clone()))
            .collect();
        for (peer, judgement, culprit) in open {
            findings.judge(&Entity::Peer(peer), judgement, || culprit.case(context, &self.evidence));
        }
        findings.evicted(self.culprits.take_evicted());
        self.ranges(context, findings);
    }

    fn restarted(&mut self, _: &str) {
        self.asked.clear();
        self.prompt = Recent::default();
        self.trips.clear();
    }
}

impl WithheldBlock {
    fn ask(&mut self, event: &Event, peer: u64, hash: &Bytes, context: &Context<'_>, findings: &mut Findings<'_>) {
        let Ok(hash) = Hash::try_from(hash.as_ref()) else { return };
        if context.holds(Guard::InitialDownload, None) {
            return;
        }
        if self.asked.len() >= REQUESTS {
            findings.evicted(1);
            return;
        }
        self.evidence.add(event);
        self.asked.insert((peer, hash), Request { at: context.now, counted: false });
    }

    fn answered(&mut self, peer: u64, hash: &[u8], context: &Context<'_>) {
        let Ok(hash) = hash.try_into() else { return };
        let Some(request) = self.asked.remove(&(peer, hash)) else { return };
        if context.now < request.at.saturating_add(self.patience(peer, context)) {
            self.prompt.add(context.now, peer);
        }
    }

    /// Who leaves with what was asked of it already late has withheld it.
    fn closed(&mut self, peer: u64, context: &Context<'_>, findings: &mut Findings<'_>) {
        let of_it: Vec<_> = self.asked.range((peer, [0; 32])..=(peer, [0xff; 32])).map(|(key, request)| (*key, *request)).collect();
        for (key, request) in of_it {
            self.asked.remove(&key);
            if !request.counted && context.now >= request.at.saturating_add(self.patience(peer, context)) {
                self.withheld(peer, context, findings);
            }
        }
        self.trips.remove(&peer);
    }

    /// After so long it is late.
    fn patience(&self, peer: u64, context: &Context<'_>) -> u64 {
        let trips = self.trips.get(&peer).map_or(0, |trip| trip.saturating_mul(10));
        context.span(Limit::D51Slow).max(trips)
    }

    fn look(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        if self.asked.is_empty() {
            return;
        }
        let now = context.now;
        let late = |(peer, _): &(u64, Hash), request: &Request| now >= request.at.saturating_add(self.patience(*peer, context));
        let lates: Vec<(u64, Hash)> =
            self.asked.iter().filter(|(key, request)| !request.counted && late(key, request)).map(|(key, _)| *key).collect();
        if lates.is_empty() {
            return;
        }
        // those who were asked, also those who have answered since, and those who are late, each counted once
        let since = lates.iter().filter_map(|key| self.asked.get(key)).map(|request| request.at).min().unwrap_or(now);
        let prompt = self.prompt.iter().filter(|(time, _)| *time >= since).map(|(_, peer)| *peer);
        let askees: BTreeSet<u64> = self.asked.keys().map(|(peer, _)| *peer).chain(prompt).collect();
        let late_ones: BTreeSet<u64> = lates.iter().map(|(peer, _)| *peer).collect();
        let our_link = late_ones.len() >= 3 && late_ones.len() * 2 > askees.len();
        for key in lates {
            let Some(request) = self.asked.get_mut(&key) else { continue };
            let delivered = self.connected.iter().any(|(_, hash)| *hash == key.1);
            let gone_by = now >= request.at.saturating_add(context.span(Limit::D51Withheld));
            if (delivered || gone_by) && !our_link {
                request.counted = true;
                self.withheld(key.0, context, findings);
            }
        }
        // Bitcoin Core waits ten minutes at least, and half as much more for each other download
        self.asked.retain(|_, request| now < request.at.saturating_add(HOUR));
    }

    fn withheld(&mut self, peer: u64, context: &Context<'_>, findings: &mut Findings<'_>) {
        // behind an address that many share only the connection is somebody
        let host = context.peer(peer).and_then(|known| Host::of(&known.address, known.network()));
        let name = host.as_ref().map_or_else(|| format!("peer {peer}"), Host::to_string);
        let culprit = self.culprits.touch(&name, context.now);
        culprit.peer = peer;
        culprit.range = host.and_then(|host| host.range()).map_or_else(String::new, |range| range.to_string());
        culprit.blocks.forget(context.since(DAY));
        culprit.blocks.add(context.now, ());
        let culprit = culprit.clone();
        findings.judge(&Entity::Peer(peer), culprit.judgement(context), || culprit.case(context, &self.evidence));
    }

    /// Several of one range.
    fn ranges(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        if self.culprits.is_empty() {
            return;
        }
        let mut peers = BTreeMap::<&str, u32>::new();
        for (_, culprit) in self.culprits.iter().filter(|(_, culprit)| !culprit.range.is_empty()) {
            let many = culprit.count(context) as f64 >= context.limit(Limit::D51Warn);
            *peers.entry(&culprit.range).or_default() += u32::from(many && culprit.is_recent(context));
        }
        let most = context.limit(Limit::D51Critical);
        for (range, count) in peers {
            let entity = Entity::Range(range.to_owned());
            let fires = f64::from(count) >= most;
            if !fires && !findings.is_open(&entity) {
                continue;
            }
            let judgement = if fires { Judgement::Fires(Severity::Critical) } else { Judgement::Clear };
            findings.judge(&entity, judgement, || Case {
                score: f64::from(count) / most,
                verdict: Verdict::Act,
                inputs: vec![input("peers", f64::from(count), "peers", most)],
                from: context.since(DAY),
                evidence: self.evidence.all(),
                summary: format!("{count} hosts of one range each withheld blocks within a day"),
            });
        }
    }
}

impl Culprit {
    fn count(&self, context: &Context<'_>) -> usize {
        self.blocks.iter().filter(|(time, ())| *time >= context.since(DAY)).count()
    }

    fn is_recent(&self, context: &Context<'_>) -> bool {
        self.blocks.last().is_some_and(|(time, ())| *time >= context.since(context.span(Limit::D51Lasts)))
    }

    fn judgement(&self, context: &Context<'_>) -> Judgement {
        match self.count(context) {
            _ if !self.is_recent(context) => Judgement::Clear,
            0 => Judgement::Clear,
            count if count as f64 >= context.limit(Limit::D51Warn) => Judgement::Fires(Severity::Warn),
            _ => Judgement::Fires(Severity::Info),
        }
    }

    fn case(&self, context: &Context<'_>, evidence: &Evidence) -> Case {
        let count = self.count(context);
        Case {
            score: count as f64 / context.limit(Limit::D51Warn),
            verdict: Verdict::Investigate,
            inputs: vec![input("withheld", count as f64, "blocks", context.limit(Limit::D51Warn))],
            from: context.since(DAY),
            evidence: evidence.all(),
            summary: format!(
                "{count} {} not delivered within a day",
                if count == 1 { "block was asked for and" } else { "blocks were asked for and" }
            ),
        }
    }
}

#[cfg(test)]
mod tests;
