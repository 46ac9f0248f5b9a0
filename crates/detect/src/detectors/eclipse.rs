//! D19: the node is being cut off from the others.
//!
//! **Behaviour.** Who holds all outbound connections of a node decides what it learns. An attacker fills its tables with his addresses, waits for a
//! restart or makes connections break, and keeps blocks back once the last honest peer is gone (Heilman and others 2015).
//!
//! **Signal.** No single sign is one; so each has points, and their sum decides. Outbound peers of one network group: Bitcoin Core never connects to
//! two. More of one autonomous system than chance brings together. Outbound peers exchanged within an hour. None of the block-relay-only peers
//! of before a restart came back (anchors). No block for longer than luck explains. Other nodes have had more of the chain for a minute.
//! Blocks that are old when they come.
//!
//! **Look-alikes.** A restart (G1), an outage, luck with blocks: each alone stays below. Large clouds have many nodes. Tor and I2P have no groups that say
//! anything, and what was connected by hand is left out.
//!
//! **What an attacker may do.** Rent in ten networks, and deliver blocks until he needs the node. Then it shows with the blocks (D54).
//!
//! **Sources** (`docs/sources.md`). S27; Bitcoin Core `src/net.cpp` (`ThreadOpenConnections`, `MAX_BLOCK_RELAY_ONLY_ANCHORS`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use event::{BlockHeader, ConnectionType, Direction, Event, Kind, KindId, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::entity::{Host, NetGroup};
use crate::measure::{Evidence, Recent, SlidingCount};
use crate::peers::Peer;
use crate::thresholds::Limit;
use crate::time::{DAY, HOUR, SECOND, seconds};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Guard, Judgement, Scope, input};

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Eclipse {
    /// Full-relay connections that the node opened.
    opened: SlidingCount,
    /// Addresses of the block-relay-only peers.
    anchors: BTreeSet<String>,
    /// Those of before a restart that have not come back, and since when they are waited for.
    awaited: Option<(u64, BTreeSet<String>)>,
    /// Headers that came, with their times.
    headers: VecDeque<([u8; 32], u32)>,
    /// How old the last blocks were when they came, seconds.
    ages: Recent<f64>,
    evidence: Evidence,
    /// The last block, however long ago: what did not come since has no event.
    block: Evidence,
}

/// What there is of each sign.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Signs {
    /// Outbound peers beyond the first of their network group.
    same_group: u32,
    /// Outbound peers of one autonomous system beyond what chance brings.
    same_system: u32,
    /// Full-relay connections opened within an hour.
    opened: u64,
    /// Seconds that anchors are waited for.
    anchors: f64,
    /// Seconds without a block.
    gap: f64,
    /// Seconds behind another node.
    behind: f64,
    /// How old the youngest of the last blocks was when it came, seconds.
    age: f64,
}

/// Headers remembered until their block is connected.
const HEADERS: usize = 64;
/// Points are of so many.
const MOST: f64 = 100.0;
/// Blocks that have to be old when they come.
const OLD: usize = 3;

impl Default for Eclipse {
    fn default() -> Self {
        Self {
            opened: SlidingCount::new(HOUR),
            anchors: BTreeSet::new(),
            awaited: None,
            headers: VecDeque::new(),
            ages: Recent::default(),
            evidence: Evidence::default(),
            block: Evidence::default(),
        }
    }
}

impl Detector for Eclipse {
    const ABOUT: About = About {
        id: "D19",
        name: "eclipse",
        version: 3,
        title: "The node is being cut off from the others",
        family: Family::Eclipse,
        scope: Scope::Node,
        kinds: &[KindId::ConnOpened, KindId::NetHeaders, KindId::NetCmpctblock, KindId::ChainBlockConnected],
        every: 10 * SECOND,
        needs: &[KindId::ConnOpened, KindId::ConnClosed, KindId::NetHeaders, KindId::ChainBlockConnected],
        window: HOUR,
        guards: &[Guard::Restart, Guard::InitialDownload],
        // a block that was not seen looks like none
        fooled_by: &[KindId::ConnOpened, KindId::ConnClosed, KindId::ChainBlockConnected],
        thresholds: &[
            Limit::D19Warn,
            Limit::D19Critical,
            Limit::D19SameGroup,
            Limit::D19SameMost,
            Limit::D19SystemFree,
            Limit::D19Opened,
            Limit::D19OpenedPoints,
            Limit::D19Anchors,
            Limit::D19AnchorsPoints,
            Limit::D19Gap,
            Limit::D19GapPoints,
            Limit::D19Behind,
            Limit::D19BehindPoints,
            Limit::D19Age,
            Limit::D19AgePoints,
        ],
        does_not_prove: "that anybody means it: a provider's outage and bad luck can add up to the same",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, _: &mut Findings<'_>) {
        match &event.kind {
            Some(Kind::ConnOpened(opened)) => match opened.connection_type() {
                // whoever just began has to fill its slots
                ConnectionType::OutboundFullRelay if context.holds(Guard::Restart, None) => {}
                ConnectionType::OutboundFullRelay => {
                    self.opened.add(context.now, 1);
                    self.evidence.add(event);
                }
                ConnectionType::BlockRelayOnly => {
                    if let Some((_, awaited)) = &mut self.awaited
                        && awaited.contains(&opened.address)
                    {
                        self.awaited = None;
                    }
                }
                _ => {}
            },
            Some(Kind::NetHeaders(m)) if m.direction() == Direction::Inbound && m.headers.len() <= OLD => {
                m.headers.iter().for_each(|header| self.header(header));
            }
            Some(Kind::NetCmpctblock(m)) if m.direction() == Direction::Inbound => {
                m.header.iter().for_each(|header| self.header(header));
            }
            Some(Kind::ChainBlockConnected(block)) => {
                self.block = Evidence::default();
                self.block.add(event);
                if let Some((_, time)) = self.headers.iter().find(|(hash, _)| hash[..] == block.hash[..]) {
                    self.ages.add(context.now, seconds(context.now) - f64::from(*time));
                }
            }
            _ => {}
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        let anchors = outbound(context).filter(|peer| peer.connection_type() == ConnectionType::BlockRelayOnly);
        self.anchors = anchors.map(|peer| peer.address.clone()).collect();
        if self.awaited.as_ref().is_some_and(|(since, _)| *since < context.since(DAY)) {
            self.awaited = None;
        }
        self.ages.forget(context.since(DAY));
        self.evidence.forget(context.since(HOUR));
        let signs = self.signs(context);
        let points = signs.points(context).iter().sum::<f64>().min(MOST);
        let judgement = match () {
            () if points >= context.limit(Limit::D19Critical) => Judgement::Fires(Severity::Critical),
            () if points >= context.limit(Limit::D19Warn) => Judgement::Fires(Severity::Warn),
            () if points > context.limit(Limit::D19Warn) / 2.0 => Judgement::Holds,
            () => Judgement::Clear,
        };
        findings.judge(&Entity::Node, judgement, || signs.case(points, context, [&self.block, &self.evidence]));
    }

    fn restarted(&mut self, _: &str) {
        let anchors = std::mem::take(&mut self.anchors);
        // since when is set by the first look: there is no time here
        let awaited = (!anchors.is_empty()).then_some((u64::MAX, anchors));
        *self = Self { awaited, ..Self::default() };
    }
}

/// Peers that the node chose by itself, and keeps.
fn outbound<'a>(context: &Context<'a>) -> impl Iterator<Item = &'a Peer> {
    let chosen = |kind| matches!(kind, ConnectionType::OutboundFullRelay | ConnectionType::BlockRelayOnly);
    context.facts.peers.iter().map(|(_, peer)| peer).filter(move |peer| chosen(peer.connection_type()))
}

impl Eclipse {
    fn header(&mut self, header: &BlockHeader) {
        let Ok(hash) = <[u8; 32]>::try_from(header.hash.as_ref()) else { return };
        if self.headers.iter().any(|(known, _)| *known == hash) {
            return;
        }
        if self.headers.len() == HEADERS {
            self.headers.pop_front();
        }
        self.headers.push_back((hash, header.time));
    }

    fn signs(&mut self, context: &Context<'_>) -> Signs {
        let now = context.now;
        let since = |time: u64| seconds(now.saturating_sub(time));
        let (mut groups, mut systems) = (BTreeMap::<NetGroup, u32>::new(), BTreeMap::<u32, u32>::new());
        for host in outbound(context).filter_map(|peer| Host::of(&peer.address, peer.network())) {
            let group = NetGroup::of(&host, None);
            // of other networks, Bitcoin Core does not care
            if matches!(group, NetGroup::V4(_) | NetGroup::V6(_)) {
                *groups.entry(group).or_default() += 1;
            }
            if let NetGroup::Asn(number) = NetGroup::of(&host, context.knowledge.asmap.as_ref()) {
                *systems.entry(number).or_default() += 1;
            }
        }
        let free = context.limit(Limit::D19SystemFree) as u32;
        let awaited = self.awaited.as_mut().map(|(since, _)| {
            *since = (*since).min(now);
            *since
        });
        let tip = &context.facts.tip;
        // who makes blocks on demand may stop
        let timed = tip.chain.as_deref() != Some("regtest");
        let last = self.ages.iter().rev().take(OLD).map(|(_, age)| *age);
        Signs {
            same_group: groups.values().map(|count| count - 1).sum(),
            same_system: systems.values().map(|count| count.saturating_sub(free)).sum(),
            opened: self.opened.get(now),
            anchors: awaited.map_or(0.0, since),
            gap: tip.advanced.filter(|_| timed).map_or(0.0, since),
            behind: tip.behind.map_or(0.0, |(time, _)| since(time)),
            age: if self.ages.len() < OLD { 0.0 } else { last.fold(f64::MAX, f64::min) },
        }
    }
}

impl Signs {
    /// Of groups, exchange, anchors, gap, siblings, ages.
    fn points(&self, context: &Context<'_>) -> [f64; 6] {
        let limit = |limit| context.limit(limit);
        let when = |met: bool, points| if met { limit(points) } else { 0.0 };
        let same = f64::from(self.same_group.max(self.same_system)) * limit(Limit::D19SameGroup);
        [
            same.min(limit(Limit::D19SameMost)),
            when(self.opened as f64 >= limit(Limit::D19Opened), Limit::D19OpenedPoints),
            when(self.anchors >= limit(Limit::D19Anchors), Limit::D19AnchorsPoints),
            when(self.gap >= limit(Limit::D19Gap), Limit::D19GapPoints),
            when(self.behind >= limit(Limit::D19Behind), Limit::D19BehindPoints),
            when(self.age >= limit(Limit::D19Age), Limit::D19AgePoints),
        ]
    }

    fn case(&self, points: f64, context: &Context<'_>, evidence: [&Evidence; 2]) -> Case {
        let limit = |limit| context.limit(limit);
        let [groups, opened, anchors, gap, behind, age] = self.points(context);
        let words = [
            (groups, format!("{} outbound peers too many are of one network", self.same_group.max(self.same_system))),
            (opened, format!("{} outbound peers are new within an hour", self.opened)),
            (anchors, "no block-relay-only peer of before the restart came back".to_owned()),
            (gap, format!("no block for {:.0} minutes", self.gap / 60.0)),
            (behind, format!("other nodes have had more of the chain for {:.0} s", self.behind)),
            (age, format!("the last blocks were {:.0} minutes old when they came", self.age / 60.0)),
        ];
        let words: Vec<String> = words.into_iter().filter(|(points, _)| *points > 0.0).map(|(_, words)| words).collect();
        Case {
            score: points / limit(Limit::D19Warn),
            verdict: if points >= limit(Limit::D19Critical) { Verdict::Act } else { Verdict::Investigate },
            inputs: vec![
                input("points", points, "points", limit(Limit::D19Warn)),
                input("outbound_of_one_group", f64::from(self.same_group), "peers", None),
                input("outbound_of_one_system", f64::from(self.same_system), "peers", None),
                input("outbound_opened", self.opened as f64, "peers", limit(Limit::D19Opened)),
                input("anchors_awaited", self.anchors, "seconds", limit(Limit::D19Anchors)),
                input("no_block", self.gap, "seconds", limit(Limit::D19Gap)),
                input("behind", self.behind, "seconds", limit(Limit::D19Behind)),
                input("age_of_blocks", self.age, "seconds", limit(Limit::D19Age)),
            ],
            from: context.since(HOUR),
            evidence: evidence.into_iter().flat_map(Evidence::all).collect(),
            summary: format!("{points:.0} of 100 points: {}", words.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests;
