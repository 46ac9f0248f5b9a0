//! Connections that were broken off, rather than left by the peer or ended by the node: that needs the reasons, which the log knows.
//!
//! Somebody who breaks off peer after peer, or a node that answers ever later, does so at a node with free slots long before the number of peers
//! shows anything, which goes up and down by a quarter between night and noon. But how often a connection is broken off is much the same all
//! day. Two questions are asked of it:
//!
//! - *Many*: whether there were more within six hours than chance explains by those before (`d09.broken`), and more than `d09.least`.
//! - *Again and again*: a sequential test (Wald 1945, in Page's form of 1954), which has no window. Every ten minutes in which a connection was
//!   broken off speak for a bleed, and every ten minutes without one against it, by how much likelier that is where besides the usual half of
//!   the peers go within `d09.halves`. It is one when the odds are so many powers of ten (`d09.odds`). Ten minutes count once, however many went:
//!   a provider that goes down takes many peers with it. And a few occasions have to be there (`d09.occasions`), for chance has moods.
//!
//! A host counts once within six hours, in both and in what is usual: one whose line drops again and again says nothing of the others, and
//! would make it usual. Inbound connections over Tor all have the address of the node's own daemon, and count each.
//!
//! What is usual is taken from the hours before the suspicion, of the last week, as high as chance may have hidden it: one deviation above what
//! was counted. So there is no warm-up but a few hours; who has watched for less needs more. Hours in which nobody stated a reason are not known.

use std::collections::VecDeque;

use event::{ConnEnded, EndReason, Source};
use serde::{Deserialize, Serialize};

use super::bleed::{LONGEST, WINDOW};
use crate::Context;
use crate::entity::Host;
use crate::measure::{SlidingCount, Table, surprise};
use crate::thresholds::Limit;
use crate::time::{HOUR, MINUTE, SECOND, seconds};

/// Each is an occasion or none.
pub(super) const STEP: u64 = 10 * MINUTE;
/// A week.
const HOURS: usize = 168;
/// Without so many hours that are known, nothing is usual.
const ENOUGH: usize = (WINDOW / HOUR) as usize;
/// Who leaves before was only looking in, and many of those just drop the connection.
const VISIT: u64 = 10 * MINUTE;
/// Hosts that are remembered.
const HOSTS: usize = 1024;
/// The odds are held at twice what is needed, so that they come down when it is over.
const MOST: f64 = 2.0;

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Broken {
    /// Within six hours.
    many: SlidingCount,
    /// When a host was last counted.
    hosts: Table<Host, Option<u64>>,
    /// The last week; the oldest first.
    hours: VecDeque<Hour>,
    /// What has become of the present hour.
    present: Hour,
    /// Whether the present ten minutes are an occasion.
    occasion: bool,
    /// Powers of ten of the odds for a bleed.
    odds: f64,
    /// Since when they rise, and on how many occasions.
    since: Option<u64>,
    occasions: u32,
}

/// An hour in which reasons were stated.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Hour {
    /// When it was over.
    at: u64,
    broken: u32,
    occasions: u32,
    /// The log stated a reason for some end.
    told: bool,
}

impl Default for Broken {
    fn default() -> Self {
        Self {
            many: SlidingCount::new(WINDOW),
            hosts: Table::new(HOSTS, HOUR),
            hours: VecDeque::new(),
            present: Hour::default(),
            occasion: false,
            odds: 0.0,
            since: None,
            occasions: 0,
        }
    }
}

/// Whether a connection was broken off, rather than left by the peer or refused by the node for what it did.
fn is_broken(reason: EndReason) -> bool {
    use EndReason::{NetworkOff, PingTimeout, ReceiveError, ReceiveTimeout, SendError, SendTimeout};
    matches!(reason, ReceiveError | SendError | SendTimeout | ReceiveTimeout | PingTimeout | NetworkOff)
}

impl Broken {
    /// An inbound connection ended.
    pub(super) fn ended(&mut self, now: u64, ended: &ConnEnded) {
        self.present.told |= ended.reason_source() == Source::Log;
        let lived = ended.established.map_or(0, |established| now.saturating_sub(established.saturating_mul(SECOND)));
        if is_broken(ended.reason()) && lived >= VISIT && self.is_first(now, ended) {
            self.many.add(now, 1);
            self.present.broken = self.present.broken.saturating_add(1);
            self.occasion = true;
        }
    }

    /// Whether its host was not counted within six hours. From then on it was.
    fn is_first(&mut self, now: u64, ended: &ConnEnded) -> bool {
        let host = Host::of(&ended.address, ended.network()).filter(|host| !host.ip().is_some_and(|ip| ip.is_loopback()));
        let Some(host) = host else { return true };
        let counted = self.hosts.touch(&host, now);
        let is_first = counted.is_none_or(|then| now >= then.saturating_add(WINDOW));
        if is_first {
            *counted = Some(now);
        }
        is_first
    }

    /// How many hosts gave way to others since this was last asked.
    pub(super) fn take_evicted(&mut self) -> u64 {
        self.hosts.take_evicted()
    }

    /// Another life of the node: what is usual stays so.
    pub(super) fn restarted(&mut self) {
        let hours = std::mem::take(&mut self.hours);
        *self = Self { hours, ..Self::default() };
    }

    /// An hour is over.
    pub(super) fn hour(&mut self, now: u64) {
        self.hosts.forget(now.saturating_sub(WINDOW));
        let hour = std::mem::take(&mut self.present);
        if hour.told {
            self.hours.push_back(Hour { at: now, ..hour });
            // as long as a suspicion lasts, what was usual before is kept
            if self.hours.len() > HOURS + (LONGEST / HOUR) as usize {
                self.hours.pop_front();
            }
        }
    }

    /// Every ten minutes, with the number of inbound peers.
    pub(super) fn step(&mut self, peers: f64, context: &Context<'_>) {
        let occasion = std::mem::take(&mut self.occasion);
        self.present.occasions += u32::from(occasion);
        if self.since.is_some_and(|since| context.now >= since.saturating_add(LONGEST)) {
            self.forget();
        }
        let known: Vec<Hour> = self.known(self.since.unwrap_or(context.now)).collect();
        if known.len() < ENOUGH {
            return;
        }
        let before: u32 = known.iter().map(|hour| hour.occasions).sum();
        let steps = known.len() as f64 * (HOUR / STEP) as f64;
        let chance = f64::from(before) + 1.0;
        let usual = ((chance + chance.sqrt()) / steps).min(0.9);
        // none goes besides the usual
        let spared = (-std::f64::consts::LN_2 * peers * seconds(STEP) / context.limit(Limit::D09Halves)).exp();
        let odds = if occasion { (1.0 - (1.0 - usual) * spared) / usual } else { spared };
        self.odds = (self.odds + odds.log10()).min(MOST * context.limit(Limit::D09Odds));
        if self.odds > 0.0 {
            self.since.get_or_insert(context.since(STEP));
            self.occasions += u32::from(occasion);
        } else {
            self.forget();
        }
    }

    fn forget(&mut self) {
        (self.odds, self.since, self.occasions) = (0.0, None, 0);
    }

    /// When a loss began that is told now: where it was suspected before, then.
    pub(super) fn began(&self, now: u64) -> u64 {
        self.since.map_or(now, |since| since.min(now))
    }

    /// A loss is over that began then: what is usual is not learned from it.
    pub(super) fn over(&mut self, since: u64) {
        self.hours.retain(|hour| hour.at <= since);
        self.forget();
    }

    /// The hours that were over then, of a week.
    fn known(&self, until: u64) -> impl Iterator<Item = Hour> {
        self.hours.iter().filter(move |hour| hour.at <= until).rev().take(HOURS).copied()
    }

    /// How many were broken off within six hours, and how strongly they are too many: 1 is just enough. `until` is when a loss began, or now.
    pub(super) fn weigh(&mut self, until: u64, context: &Context<'_>) -> (u64, f64) {
        let limit = |limit| context.limit(limit);
        let known: Vec<Hour> = self.known(until.saturating_sub(WINDOW)).collect();
        let broken = self.many.get(context.now);
        let many = if known.len() < ENOUGH {
            0.0
        } else {
            let before: f64 = known.iter().map(|hour| f64::from(hour.broken)).sum();
            let chance = surprise(broken, (before + 1.0) / known.len() as f64 * (WINDOW / HOUR) as f64);
            (chance / limit(Limit::D09Broken)).min(broken as f64 / (limit(Limit::D09Least) + 1.0)).min(1e3)
        };
        let again = (self.odds / limit(Limit::D09Odds)).min(f64::from(self.occasions) / limit(Limit::D09Occasions));
        (broken, many.max(again))
    }
}
