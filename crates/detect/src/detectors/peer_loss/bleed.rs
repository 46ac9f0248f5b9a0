//! A loss that takes hours, against what is usual at this node.
//!
//! How many inbound peers a node has differs from node to node: one that is always full keeps its number to a few, one with free slots
//! loses and wins a quarter of them between night and noon, and a dozen by chance. So the number, the median of the last hour, is held
//! against the hours of the last week, younger ones than six hours left out so that a loss does not become usual while it lasts:
//!
//! - *Below what was ever seen*: below the median by twice as much as the lowest of those hours and a share of what is usual more
//!   (`d09.slow_share`), and by five of their deviations (`d09.spread`). Twice, because a few nights do not show how low a night can be. A full
//!   node that loses four fifths within two days is found within six hours.
//! - *Half of them*: below half of the median (`d09.half`), if that is no chance, whatever the deviations were.
//! - *Broken off*: more peers fell silent or had an error within six hours than chance explains by the hours before (`d09.broken`), and the
//!   number fell by that share. It needs the reasons, which the log knows; it finds a loss where the number alone may be anything.
//!
//! Where the node restarts, its number has to reach what is usual once before it can be too low. What lasts for two days is what is usual.

use std::collections::VecDeque;

use event::{EndReason, FindingInput};
use serde::{Deserialize, Serialize};

use crate::measure::{Recent, SlidingCount, quantile, surprise};
use crate::thresholds::Limit;
use crate::time::{DAY, HOUR, MINUTE, SECOND};
use crate::{Context, input};

/// Slow is within this.
pub(super) const WINDOW: u64 = 6 * HOUR;
/// A week.
const HOURS: usize = 168;
/// Samples of an hour, one a minute, without which it says nothing.
const ENOUGH: usize = 30;
/// Who leaves before was only looking in, and many of those just drop the connection.
const VISIT: u64 = 10 * MINUTE;
/// A loss that lasts for longer is how it is now.
const LONGEST: u64 = 2 * DAY;

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Bleed {
    /// Inbound peers, each minute of the last hour.
    minutes: Recent<u32>,
    /// The last week, those of a loss, and those that are too young; the oldest first.
    hours: VecDeque<Hour>,
    /// Connections broken off, within six hours and since the last hour began.
    broken: SlidingCount,
    broken_now: u32,
    /// Of the last sample, in steps of ten minutes and of an hour.
    step: u64,
    hour: u64,
    /// Hours that the node lives.
    lived: usize,
    /// Whether there were once as many as usual since the node lives.
    recovered: bool,
    /// Since when it is a loss.
    open: Option<u64>,
    weighed: Option<Weighed>,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Hour {
    at: u64,
    peers: f64,
    broken: u32,
}

/// What the numbers come to, every ten minutes.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Weighed {
    peers: f64,
    usual: f64,
    /// How many fewer than usual are a loss.
    need: f64,
    /// Share that went since the best of the last six hours.
    fell: f64,
    broken: u64,
    /// How strongly: 1 is just enough.
    score: f64,
    /// It rests on connections broken off.
    by_reason: bool,
}

impl Default for Bleed {
    fn default() -> Self {
        Self {
            minutes: Recent::default(),
            hours: VecDeque::new(),
            broken: SlidingCount::new(WINDOW),
            broken_now: 0,
            step: 0,
            hour: 0,
            lived: 0,
            recovered: true,
            open: None,
            weighed: None,
        }
    }
}

/// Whether a connection was broken off, rather than left by the peer or refused by the node for what it did.
fn is_broken(reason: EndReason) -> bool {
    use EndReason::{NetworkOff, PingTimeout, ReceiveError, ReceiveTimeout, SendError, SendTimeout};
    matches!(reason, ReceiveError | SendError | SendTimeout | ReceiveTimeout | PingTimeout | NetworkOff)
}

impl Bleed {
    /// An inbound connection ended, that was established at that time, Unix seconds.
    pub(super) fn ended(&mut self, now: u64, reason: EndReason, established: Option<u64>) {
        let lived = established.map_or(0, |established| now.saturating_sub(established.saturating_mul(SECOND)));
        if is_broken(reason) && lived >= VISIT {
            self.broken.add(now, 1);
            self.broken_now = self.broken_now.saturating_add(1);
        }
    }

    /// Another life of the node: peers come back in the course of hours.
    pub(super) fn restarted(&mut self) {
        let hours = std::mem::take(&mut self.hours);
        *self = Self { hours, recovered: false, ..Self::default() };
    }

    /// Once a minute, the number of inbound peers.
    pub(super) fn sample(&mut self, inbound: u32, context: &Context<'_>) {
        let now = context.now;
        self.minutes.forget(context.since(HOUR));
        self.minutes.add(now, inbound);
        if now / (10 * MINUTE) == self.step || self.minutes.len() < ENOUGH {
            return;
        }
        self.step = now / (10 * MINUTE);
        let mut values: Vec<f64> = self.minutes.iter().map(|(_, count)| f64::from(*count)).collect();
        let peers = quantile(&mut values, 0.5);
        if now / HOUR != self.hour {
            self.hour = now / HOUR;
            self.lived += 1;
            self.hours.push_back(Hour { at: now, peers, broken: std::mem::take(&mut self.broken_now) });
            if self.hours.len() > HOURS + (LONGEST / HOUR) as usize {
                self.hours.pop_front();
            }
        }
        self.weighed = self.weigh(peers, context);
        let score = self.score();
        match self.open {
            None if score >= 1.0 => self.open = Some(now),
            Some(since) if now >= since.saturating_add(LONGEST) => self.open = None,
            // what is usual is not learned from what is not
            Some(since) if score < 0.5 => {
                self.hours.retain(|hour| hour.at.saturating_add(WINDOW) <= since);
                self.open = None;
            }
            _ => {}
        }
    }

    fn weigh(&mut self, peers: f64, context: &Context<'_>) -> Option<Weighed> {
        let limit = |limit| context.limit(limit);
        let until = self.open.unwrap_or(context.now);
        let usual_hours = || self.hours.iter().filter(|hour| hour.at.saturating_add(WINDOW) <= until).rev().take(HOURS);
        let mut known: Vec<f64> = usual_hours().map(|hour| hour.peers).collect();
        if (known.len() as f64) < limit(Limit::D09WarmUp) / 3600.0 {
            return None;
        }
        let usual = quantile(&mut known, 0.5);
        if usual <= limit(Limit::D09Least) {
            return None;
        }
        let (lowest, quarter) = (quantile(&mut known, 0.0), quantile(&mut known, 0.25));
        let mut apart: Vec<f64> = known.iter().map(|peers| (peers - usual).abs()).collect();
        // as they are of a normal distribution; nights that are lower than days count, too
        let deviation = (quantile(&mut apart, 0.5) * 1.4826).max((usual - quarter) / 0.6745).max(1.0);
        let share = limit(Limit::D09SlowShare);
        let below_all = (2.0 * (usual - lowest) + share * usual).max(limit(Limit::D09Spread) * deviation);
        // four deviations of chance, and a night
        let half = (limit(Limit::D09Half) * usual).max(4.0 * usual.sqrt() + 0.15 * usual);
        let need = below_all.min(half);
        self.recovered |= usual - peers < need / 2.0;
        let missing = if self.recovered { (usual - peers) / need } else { 0.0 };

        let best = self.hours.iter().rev().take(self.lived.min(6)).fold(peers, |best, hour| best.max(hour.peers));
        let fell = if best > 0.0 { (best - peers) / best } else { 0.0 };
        let broken = self.broken.get(context.now);
        let (hours, before) = usual_hours().fold((0.0, 1.0), |(hours, sum), hour| (hours + 1.0, sum + f64::from(hour.broken)));
        let chance = surprise(broken, before / hours * (WINDOW / HOUR) as f64);
        // all three are needed: the weakest counts
        let by_reason =
            (chance / limit(Limit::D09Broken)).min(fell / share).min(broken as f64 / (limit(Limit::D09Least) + 1.0)).min(1e3);
        let score = missing.max(by_reason).max(0.0);
        Some(Weighed { peers, usual, need, fell, broken, score, by_reason: by_reason > missing })
    }

    /// How strongly it is a loss: 1 is just enough, and below a half it is over.
    pub(super) fn score(&self) -> f64 {
        self.weighed.map_or(0.0, |weighed| weighed.score)
    }

    /// Whether it is a loss.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// What it rests on.
    pub(super) fn inputs(&self, context: &Context<'_>) -> Vec<FindingInput> {
        let Some(Weighed { usual, need, fell, broken, .. }) = self.weighed else { return Vec::new() };
        vec![
            input("usual", usual, "peers", None),
            input("lowest_usual", usual - need, "peers", None),
            input("broken_off", broken as f64, "peers", None),
            input("fell", fell, "share", context.limit(Limit::D09SlowShare)),
        ]
    }

    /// In a sentence.
    pub(super) fn summary(&self) -> String {
        let Some(Weighed { peers, usual, fell, broken, by_reason, .. }) = self.weighed else { return String::new() };
        if by_reason {
            format!("{broken} inbound peers broken off within six hours, {:.0} % fewer are left: {peers}", fell * 100.0)
        } else {
            format!("{peers} inbound peers, {:.0} % fewer than is usual", (usual - peers) / usual * 100.0)
        }
    }
}
