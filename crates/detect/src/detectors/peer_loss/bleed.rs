//! A loss that takes hours, against what is usual at this node.
//!
//! How many inbound peers a node has differs from node to node: one that is always full keeps its number to a few, one with free slots
//! loses and wins a quarter of them between night and noon, and a dozen by chance. So the number, the median of the last hour, is held
//! against the hours of the last week, younger ones than six hours left out so that a loss does not become usual while it lasts:
//!
//! - *Below what was ever seen*: below the median by twice as much as the lowest of those hours and a share of what is usual more
//!   (`d09.slow_share`), and by five of their deviations (`d09.spread`). Twice, because a few nights do not show how low a night can be; and
//!   where the node was not always full (`d09.full`), for two days, by what chance makes of the next night, the less the more were seen
//!   (`d09.nights`). A full node that loses four fifths within two days is found within six hours.
//! - *Half of them*: below half of the median (`d09.half`), if that is no chance, whatever the deviations were.
//! - *Hardly any*: before a day is known, what is known may be the top of one, and the bottom may be half of it; so half of that (`d09.early`).
//! - *Broken off*: more connections were broken off than is usual (`broken.rs`), and the number fell by that share. It needs the reasons, which the
//!   log knows; it finds a loss where the number alone may be anything.
//!
//! Where the node restarts, its number has to reach what is usual once before it can be too low. A loss is over when the peers are back, nearly.
//! What lasts for two days is what is usual, if it is less than half of them. A loss of half is told for as long as most hours of the last week were
//! better: for up to four days and a quarter, after a week or more that was.

use std::collections::VecDeque;

use event::{ConnEnded, FindingInput};
use serde::{Deserialize, Serialize};

use super::broken::{Broken, STEP};
use crate::measure::{Recent, quantile};
use crate::thresholds::Limit;
use crate::time::{DAY, HOUR};
use crate::{Context, input};

/// Slow is within this.
pub(super) const WINDOW: u64 = 6 * HOUR;
/// A week.
const HOURS: usize = 168;
/// Samples of an hour, one a minute, without which it says nothing.
const ENOUGH: usize = 30;
/// Without so many hours nothing is usual, not even early.
const EARLY: usize = (WINDOW / HOUR) as usize;
/// A loss that lasts for longer is weighed again, as if it began now.
pub(super) const LONGEST: u64 = 2 * DAY;

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Bleed {
    /// Inbound peers, each minute of the last hour.
    minutes: Recent<u32>,
    /// The last week, those of a loss, and those that are too young; the oldest first.
    hours: VecDeque<Hour>,
    broken: Broken,
    /// Of the last sample, in steps of ten minutes and of an hour.
    step: u64,
    hour: u64,
    /// Hours that the node lives.
    lived: usize,
    /// Whether there were once as many as usual since the node lives.
    recovered: bool,
    open: Option<Open>,
    weighed: Option<Weighed>,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Hour {
    at: u64,
    peers: f64,
}

/// A loss that is told.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Open {
    since: u64,
    /// Since when connections were broken off too often, if that was before.
    began: u64,
    /// The most peers of the six hours before.
    before: f64,
}

/// What the numbers come to, every ten minutes.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Weighed {
    peers: f64,
    /// Once that is known.
    usual: Option<Usual>,
    /// The most peers of the last six hours, or of those before the loss, and the share that went since.
    before: f64,
    fell: f64,
    broken: u64,
    /// How strongly peers are missing and broken off: 1 is just enough.
    missing: f64,
    by_reason: f64,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Usual {
    peers: f64,
    /// How many fewer are a loss.
    need: f64,
}

impl Default for Bleed {
    fn default() -> Self {
        Self {
            minutes: Recent::default(),
            hours: VecDeque::new(),
            broken: Broken::default(),
            step: 0,
            hour: 0,
            lived: 0,
            recovered: true,
            open: None,
            weighed: None,
        }
    }
}

impl Bleed {
    /// An inbound connection ended.
    pub(super) fn ended(&mut self, now: u64, ended: &ConnEnded) {
        self.broken.ended(now, ended);
    }

    /// How many hosts gave way to others in a table that was full.
    pub(super) fn take_evicted(&mut self) -> u64 {
        self.broken.take_evicted()
    }

    /// Another life of the node: peers come back in the course of hours.
    pub(super) fn restarted(&mut self) {
        let (hours, mut broken) = (std::mem::take(&mut self.hours), std::mem::take(&mut self.broken));
        broken.restarted();
        *self = Self { hours, broken, recovered: false, ..Self::default() };
    }

    /// Once a minute, the number of inbound peers.
    pub(super) fn sample(&mut self, inbound: u32, context: &Context<'_>) {
        let now = context.now;
        self.minutes.forget(context.since(HOUR));
        self.minutes.add(now, inbound);
        if now / STEP == self.step || self.minutes.len() < ENOUGH {
            return;
        }
        self.step = now / STEP;
        let mut values: Vec<f64> = self.minutes.iter().map(|(_, count)| f64::from(*count)).collect();
        let peers = quantile(&mut values, 0.5);
        self.broken.step(peers, context);
        if now / HOUR != self.hour {
            self.hour = now / HOUR;
            self.lived += 1;
            self.broken.hour(now);
            self.hours.push_back(Hour { at: now, peers });
            if self.hours.len() > HOURS + (LONGEST / HOUR) as usize {
                self.hours.pop_front();
            }
        }
        let weighed = self.weigh(peers, context);
        self.weighed = Some(weighed);
        let score = self.score(context);
        match self.open {
            None if score >= 1.0 => {
                self.open = Some(Open { since: now, began: self.broken.began(now), before: weighed.before });
            }
            Some(Open { since, .. }) if now >= since.saturating_add(LONGEST) => self.open = None,
            // what is usual is not learned from what is not
            Some(Open { since, began, .. }) if score < 0.5 => {
                self.hours.retain(|hour| hour.at.saturating_add(WINDOW) <= since);
                self.broken.over(began);
                self.open = None;
            }
            _ => {}
        }
    }

    fn weigh(&mut self, peers: f64, context: &Context<'_>) -> Weighed {
        let limit = |limit| context.limit(limit);
        let until = self.open.map_or(context.now, |open| open.since);
        let usual = self.usual(until, context);
        self.recovered |= usual.is_some_and(|usual| usual.peers - peers < usual.need / 2.0);
        let missing = usual.filter(|_| self.recovered).map_or(0.0, |usual| ((usual.peers - peers) / usual.need).max(0.0));

        let hours = self.hours.iter().rev().take(self.lived.min((WINDOW / HOUR) as usize));
        let before = self.open.map_or_else(|| hours.fold(peers, |best, hour| best.max(hour.peers)), |open| open.before);
        let fell = if before > 0.0 { ((before - peers) / before).max(0.0) } else { 0.0 };
        let (broken, too_many) = self.broken.weigh(until, context);
        // both are needed, of a node that has some peers: the weakest counts
        let by_reason = if before > limit(Limit::D09Least) { too_many.min(fell / limit(Limit::D09SlowShare)) } else { 0.0 };
        Weighed { peers, usual, before, fell, broken, missing, by_reason }
    }

    /// What was usual until then, not counting the last hours before; nothing before enough is known, and at a node with hardly any peers.
    fn usual(&self, until: u64, context: &Context<'_>) -> Option<Usual> {
        let limit = |limit| context.limit(limit);
        let hours = self.hours.iter().filter(|hour| hour.at.saturating_add(WINDOW) <= until).rev().take(HOURS);
        let mut known: Vec<f64> = hours.map(|hour| hour.peers).collect();
        let peers = quantile(&mut known, 0.5);
        if known.len() < EARLY || peers <= limit(Limit::D09Least) {
            return None;
        }
        // four deviations of chance, and a night
        let chance = 4.0 * peers.sqrt() + 0.15 * peers;
        if (known.len() as f64) < limit(Limit::D09WarmUp) / 3600.0 {
            return Some(Usual { peers, need: (limit(Limit::D09Early) * peers).max(chance) });
        }
        let (lowest, quarter) = (quantile(&mut known, 0.0), quantile(&mut known, 0.25));
        let mut apart: Vec<f64> = known.iter().map(|known| (known - peers).abs()).collect();
        // as they are of a normal distribution; nights that are lower than days count, too
        let deviation = (quantile(&mut apart, 0.5) * 1.4826).max((peers - quarter) / 0.6745).max(1.0);
        let share = limit(Limit::D09SlowShare) * peers;
        // who is always full has no night, which one night alone does not show; elsewhere who is there by night is there by chance
        let nights = (known.len() as f64 / 24.0).max(1.0);
        let is_full = peers - lowest <= limit(Limit::D09Full) && known.len() as f64 >= limit(Limit::D09FullAfter) / 3600.0;
        let chance_of_night = if is_full { 0.0 } else { limit(Limit::D09Nights) * peers.sqrt() / nights };
        let below_all = (2.0 * (peers - lowest) + share + chance_of_night).max(limit(Limit::D09Spread) * deviation);
        Some(Usual { peers, need: below_all.min((limit(Limit::D09Half) * peers).max(chance)) })
    }

    /// How strongly it is a loss: 1 is just enough, and below a half it is over.
    pub(super) fn score(&self, context: &Context<'_>) -> f64 {
        let Some(Weighed { fell, missing, by_reason, .. }) = self.weighed else { return 0.0 };
        // one that was told is not over before the peers are back
        let held = if self.is_open() && fell >= context.limit(Limit::D09SlowShare) { 0.5 } else { 0.0 };
        missing.max(by_reason).max(held)
    }

    /// Whether it is a loss.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// What it rests on.
    pub(super) fn inputs(&self, context: &Context<'_>) -> Vec<FindingInput> {
        let Some(Weighed { usual, fell, broken, .. }) = self.weighed else { return Vec::new() };
        let mut inputs = Vec::new();
        if let Some(Usual { peers, need }) = usual {
            inputs.extend([input("usual", peers, "peers", None), input("lowest_usual", peers - need, "peers", None)]);
        }
        inputs.push(input("broken_off", broken as f64, "peers", None));
        inputs.push(input("fell", fell, "share", context.limit(Limit::D09SlowShare)));
        inputs
    }

    /// In a sentence.
    pub(super) fn summary(&self) -> String {
        let Some(Weighed { peers, usual, fell, broken, missing, by_reason, .. }) = self.weighed else { return String::new() };
        match usual {
            _ if by_reason > missing && broken > 0 => {
                format!("{broken} inbound peers broken off within six hours, {:.0} % fewer are left: {peers}", fell * 100.0)
            }
            Some(usual) if missing > 0.0 => {
                format!("{peers} inbound peers, {:.0} % fewer than is usual", (usual.peers - peers) / usual.peers * 100.0)
            }
            _ => format!("{peers} inbound peers, {:.0} % fewer than before the loss", fell * 100.0),
        }
    }
}
