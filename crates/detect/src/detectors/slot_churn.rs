//! D10: the slots are taken, and peers are pushed out.
//!
//! **Behaviour.** A node with all inbound slots taken makes room for each newcomer by evicting somebody. Who opens connections faster than
//! others leave decides whom the node talks to: a step towards an eclipse, or simply nobody else gets in.
//!
//! **Signal.** The slots have been full for ten minutes; newcomers come at ten a minute or more; and many of them push somebody out. A full
//! node that three newcomers a minute reach evicts nearly as many, so evictions without the rush say nothing. Connections refused because
//! nobody may be evicted (debug.log) say that the slots are held by those whom eviction protects.
//!
//! A rush is one over five minutes and over ten: where six a minute come, ten come for five minutes once in a hundred hours, and for ten hardly
//! ever. It costs no time, as the slots have to be full for as long.
//!
//! Ten a minute are three times what is usual at most nodes. Where more come day by day it takes three times as many as come to this node; the middle one of
//! the last day's five minutes is what is usual, those of a rush and after a restart left out.
//!
//! How many slots there are, no interface says. An eviction shows that they are full, and the number of inbound peers then is the number of
//! slots; full is within two of it. In a rush whoever leaves is replaced within moments, so the slots are no longer full only when there was room for a minute.
//!
//! **Look-alikes.** A node that serves bloom filters and was just advertised: wallets come at ten a minute and stay briefly. Where most
//! newcomers set a filter, or those who did not are no rush, the finding is information only; whoever imitates that is counted as one of them in its inputs. A restart (G1).
//!
//! **What an attacker may do.** Come slowly, for half a day, and then three times as fast, but below forty a minute; set filters, and be information; come from many network groups, which costs addresses; then slots fill with peers that do
//! nothing, which D14 counts.
//!
//! **Sources** (`docs/sources.md`). S6, S23; eviction from Bitcoin Core `src/node/eviction.cpp`.

use std::collections::BTreeMap;

use event::{ConnRefusal, ConnectionType, Direction, Event, Kind, KindId, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::entity::{Host, NetGroup};
use crate::measure::{Evidence, Recent, Robust, SlidingCount};
use crate::peers::Peer;
use crate::thresholds::Limit;
use crate::time::{MINUTE, SECOND, seconds};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Guard, Judgement, Scope, input};

/// How far back rates look.
const WINDOW: u64 = 5 * MINUTE;

/// For so long newcomers have to come.
const LASTING: u64 = 10 * MINUTE;

/// Of so many of these what is usual is learned: a day.
const WINDOWS: usize = 288;

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SlotChurn {
    opened: SlidingCount,
    /// The same over ten minutes.
    lasting: SlidingCount,
    evicted: SlidingCount,
    refused: SlidingCount,
    /// Newcomers that set a bloom filter, and which these were.
    filters: SlidingCount,
    wallets: Recent<u64>,
    /// Seconds that the last evicted peers had been there.
    lives: Recent<f64>,
    /// Where the last newcomers came from.
    groups: Recent<Option<NetGroup>>,
    /// Inbound peers now, as far as known.
    inbound: u64,
    /// Inbound peers when somebody was evicted.
    slots: Option<u64>,
    /// An eviction just made room: the next inbound connection tells how many slots there are.
    making_room: bool,
    full_since: Option<u64>,
    /// Since when there is room in them again.
    room_since: Option<u64>,
    /// Newcomers a minute, of five minutes each that were no rush.
    usual: Robust,
    /// When the last of these ended.
    counted: Option<u64>,
    evidence: Evidence,
}

impl Default for SlotChurn {
    fn default() -> Self {
        let count = || SlidingCount::new(WINDOW);
        Self {
            opened: count(),
            lasting: SlidingCount::new(LASTING),
            evicted: count(),
            refused: count(),
            filters: count(),
            wallets: Recent::default(),
            lives: Recent::default(),
            groups: Recent::default(),
            inbound: 0,
            slots: None,
            making_room: false,
            full_since: None,
            room_since: None,
            usual: Robust::new(WINDOWS, 1),
            counted: None,
            evidence: Evidence::default(),
        }
    }
}

impl Detector for SlotChurn {
    const ABOUT: About = About {
        id: "D10",
        name: "slot_churn",
        version: 3,
        title: "The inbound slots are taken, and peers are pushed out",
        family: Family::Connections,
        scope: Scope::Node,
        kinds: &[
            KindId::ConnOpened,
            KindId::ConnClosed,
            KindId::ConnEvicted,
            KindId::ConnRefused,
            KindId::NetFilterload,
            KindId::StateNetwork,
        ],
        every: 5 * SECOND,
        // who is refused, only the log says
        needs: &[KindId::ConnOpened, KindId::ConnClosed, KindId::ConnEvicted, KindId::ConnRefused],
        window: WINDOW,
        guards: &[Guard::Restart],
        fooled_by: &[],
        thresholds: &[
            Limit::D10EvictedWarn,
            Limit::D10EvictedCritical,
            Limit::D10Opened,
            Limit::D10Times,
            Limit::D10Always,
            Limit::D10Wallets,
            Limit::D10WarmUp,
            Limit::D10Share,
            Limit::D10Full,
            Limit::D10Room,
            Limit::D10Refused,
            Limit::D10Life,
        ],
        does_not_prove: "that the newcomers belong together, or that anybody aims at this node: popular nodes are full",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, _: &mut Findings<'_>) {
        let now = context.now;
        match &event.kind {
            Some(Kind::ConnOpened(opened)) if opened.connection_type() == ConnectionType::Inbound => {
                self.opened.add(now, 1);
                self.lasting.add(now, 1);
                self.inbound = opened.count.unwrap_or(self.inbound + 1);
                if std::mem::take(&mut self.making_room) {
                    self.slots = Some(self.inbound.max(self.slots.unwrap_or_default()));
                }
                let group = Host::of(&opened.address, opened.network());
                self.groups.add(now, group.map(|host| NetGroup::of(&host, context.knowledge.asmap.as_ref())));
                self.refill(context);
            }
            Some(Kind::ConnClosed(closed)) if closed.connection_type() == ConnectionType::Inbound => {
                self.inbound = self.inbound.saturating_sub(1);
                // an evicted peer's place is taken by the newcomer, which is stated just after
                if !self.making_room {
                    self.refill(context);
                }
            }
            Some(Kind::ConnEvicted(evicted)) => {
                self.evicted.add(now, 1);
                self.making_room = true;
                self.evidence.add(event);
                let life = evicted.established.map(|since| now.saturating_sub(since.saturating_mul(SECOND)));
                if let Some(life) = life.or_else(|| context.peer(evicted.peer).map(|peer| now.saturating_sub(peer.since))) {
                    self.lives.add(now, seconds(life));
                }
            }
            Some(Kind::ConnRefused(refused)) if refused.reason() == ConnRefusal::Full => {
                self.refused.add(now, 1);
                self.slots = Some(self.inbound.max(self.slots.unwrap_or_default()));
                self.evidence.add(event);
                self.refill(context);
            }
            Some(Kind::NetFilterload(filter)) if filter.direction() == Direction::Inbound => {
                let newcomer = context.peer(filter.peer).is_some_and(|peer| peer.since >= context.since(WINDOW));
                // one that sets it again and again is one
                if newcomer && !self.wallets.iter().any(|(_, peer)| *peer == filter.peer) {
                    self.wallets.add(now, filter.peer);
                    self.filters.add(now, 1);
                }
            }
            // between two of these connections may have been missed
            Some(Kind::StateNetwork(state)) => {
                self.inbound = state.connections_in.map_or(self.inbound, u64::from);
                self.refill(context);
            }
            _ => {}
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.refill(context);
        let since = context.since(WINDOW);
        self.lives.forget(since);
        self.groups.forget(since);
        self.wallets.forget(since);
        self.evidence.forget(since);
        let view = View::of(self, context);
        findings.judge(&Entity::Node, view.judgement(context), || view.case(self, context));
        self.learn(&view, findings.is_open(&Entity::Node), context);
    }

    /// What is usual at the node stays.
    fn restarted(&mut self, _: &str) {
        let usual = std::mem::replace(&mut self.usual, Robust::new(WINDOWS, 1));
        *self = Self { usual, ..Self::default() };
    }
}

impl SlotChurn {
    /// Keeps account of since when the slots are full.
    fn refill(&mut self, context: &Context<'_>) {
        let now = context.now;
        if self.slots.is_some_and(|slots| self.inbound.saturating_add(2) >= slots) {
            self.full_since = self.full_since.or(Some(now));
            self.room_since = None;
            return;
        }
        let since = *self.room_since.get_or_insert(now);
        if now >= since.saturating_add(context.span(Limit::D10Room)) {
            self.full_since = None;
        }
    }

    /// Every five minutes, how many came, unless that was a rush.
    fn learn(&mut self, view: &View, open: bool, context: &Context<'_>) {
        let since = *self.counted.get_or_insert(context.now);
        if context.now < since.saturating_add(WINDOW) {
            return;
        }
        self.counted = Some(context.now);
        if !open && view.opened < view.rush && !context.holds(Guard::Restart, None) {
            self.usual.add(view.opened);
        }
    }

    /// The group of which most of the last newcomers are, and its share of them.
    fn foremost(&self) -> Option<(&NetGroup, f64)> {
        let mut counts: BTreeMap<&NetGroup, u32> = BTreeMap::new();
        for (_, group) in self.groups.iter() {
            if let Some(group) = group {
                *counts.entry(group).or_default() += 1;
            }
        }
        let (group, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        Some((group, f64::from(count) / self.groups.len() as f64))
    }
}

/// The last five minutes.
struct View {
    /// Per minute.
    opened: f64,
    /// Per minute, over ten.
    lasting: f64,
    /// So many are one: ten, or three times what is usual, and forty always.
    rush: f64,
    evicted: f64,
    refused: f64,
    /// Evicted per newcomer.
    share: f64,
    /// Of the newcomers, how many set a filter.
    wallets: f64,
    /// Of those who did not, per minute.
    others: f64,
    /// Seconds that the slots have been full.
    full: f64,
    /// Median life of those evicted, seconds.
    life: Option<f64>,
}

impl View {
    fn of(of: &mut SlotChurn, context: &Context<'_>) -> Self {
        let now = context.now;
        let [opened, evicted, refused, filters] =
            [&mut of.opened, &mut of.evicted, &mut of.refused, &mut of.filters].map(|count| count.get(now) as f64);
        let mut lives: Vec<f64> = of.lives.iter().map(|(_, life)| *life).collect();
        lives.sort_by(f64::total_cmp);
        let per_newcomer = |count: f64| if opened > 0.0 { count / opened } else { 0.0 };
        let limit = |limit| context.limit(limit);
        let known = of.usual.has(limit(Limit::D10WarmUp) / seconds(WINDOW));
        let usual = of.usual.median().filter(|_| known).unwrap_or(0.0);
        Self {
            opened: opened / (seconds(WINDOW) / 60.0),
            lasting: of.lasting.get(now) as f64 / (seconds(LASTING) / 60.0),
            rush: limit(Limit::D10Opened).max((usual * limit(Limit::D10Times)).min(limit(Limit::D10Always))),
            others: (opened - filters).max(0.0) / (seconds(WINDOW) / 60.0),
            evicted,
            refused,
            share: per_newcomer(evicted),
            wallets: per_newcomer(filters),
            full: of.full_since.map_or(0.0, |since| seconds(now.saturating_sub(since))),
            life: lives.get(lives.len() / 2).copied(),
        }
    }

    fn judgement(&self, context: &Context<'_>) -> Judgement {
        let limit = |limit| context.limit(limit);
        let full = self.full >= limit(Limit::D10Full);
        let rush = self.is_rush();
        let pushed = self.evicted >= limit(Limit::D10EvictedWarn) || self.share > limit(Limit::D10Share);
        let shut = self.refused >= limit(Limit::D10Refused);
        let popular = self.is_popular(context);
        match () {
            () if full && (shut || rush && pushed) && popular => Judgement::Fires(Severity::Info),
            () if full && (shut || rush && self.evicted >= limit(Limit::D10EvictedCritical)) => {
                Judgement::Fires(Severity::Critical)
            }
            () if full && rush && pushed => Judgement::Fires(Severity::Warn),
            () if self.opened >= self.rush / 2.0 && self.evicted >= limit(Limit::D10EvictedWarn) / 2.0 => Judgement::Holds,
            () => Judgement::Clear,
        }
    }

    /// So many come, and for so long, as by chance do not.
    fn is_rush(&self) -> bool {
        self.opened.min(self.lasting) >= self.rush
    }

    /// Most newcomers are wallets, or without them there would be no rush.
    fn is_popular(&self, context: &Context<'_>) -> bool {
        self.wallets > context.limit(Limit::D10Wallets) || self.is_rush() && self.others < self.rush
    }

    fn case(&self, of: &SlotChurn, context: &Context<'_>) -> Case {
        let limit = |limit| context.limit(limit);
        let mut inputs = vec![
            input("evicted", self.evicted, "peers", limit(Limit::D10EvictedWarn)),
            input("opened", self.opened, "per minute", self.rush),
            input("evicted_per_newcomer", self.share, "share", limit(Limit::D10Share)),
            input("full", self.full, "seconds", limit(Limit::D10Full)),
            input("refused", self.refused, "connections", limit(Limit::D10Refused)),
            input("opened_over_ten_minutes", self.lasting, "per minute", self.rush),
            input("newcomers_with_filter", self.wallets, "share", limit(Limit::D10Wallets)),
        ];
        inputs.extend(self.life.map(|life| input("median_life_of_evicted", life, "seconds", limit(Limit::D10Life))));
        let foremost = of.foremost();
        inputs.extend(foremost.map(|(_, share)| input("foremost_group", share, "share", None)));
        let group = match foremost {
            Some((group, share)) if share >= 0.2 => format!("; {:.0} % of the newcomers are of {group}", share * 100.0),
            Some(_) => "; the newcomers are of many network groups".to_owned(),
            None => String::new(),
        };
        let newcomer = |peer: &Peer| peer.is_inbound() && peer.since >= context.since(WINDOW);
        let alike = context.greet_alike(|_, peer| newcomer(peer));
        inputs.extend(alike.map(|(_, share)| input("newcomers_greet_alike", share, "share", None)));
        let what = match () {
            () if self.refused >= limit(Limit::D10Refused) => "the slots are held by peers that cannot be evicted",
            () if self.life.is_some_and(|life| life < limit(Limit::D10Life)) => "newcomers push out newcomers",
            () => "newcomers push out peers",
        };
        let popular = self.is_popular(context);
        Case {
            score: (self.opened.min(self.lasting) / self.rush.max(1.0)).max(self.refused / limit(Limit::D10Refused).max(1.0)),
            verdict: if popular { Verdict::Benign } else { Verdict::Investigate },
            inputs,
            from: context.since(WINDOW),
            evidence: of.evidence.all(),
            summary: format!(
                "{what}: {} evicted and {} refused in five minutes, {:.0} newcomers a minute{group}",
                self.evicted, self.refused, self.opened
            ),
        }
    }
}

#[cfg(test)]
mod tests;
