//! D02: everybody passes on many more addresses than usual.
//!
//! **Behaviour.** Somebody spreads addresses that nobody has heard of, by many connections or many nodes, and the network passes them on: millions a
//! day in July 2021, a quarter of a million a day in April 2026, which was noticed a month later.
//!
//! **Signal.** Different addresses in unsolicited messages (ten addresses or fewer: the answer to a `getaddr` has more), counted without keeping
//! them (HyperLogLog):
//! - of the last 24 hours, against the median of the last 28 days;
//! - of each hour, against the hours of the last week, added up (CUSUM), which is sooner. It is an alarm where the hour, or the day that ends with
//!   it, stands out by itself: at a busy node a surge doubles the day before any hour.
//!
//! How many of the last day's were not seen in 28 days, how they spread over ranges, and their networks are in the finding.
//!
//! **Look-alikes.** A large provider that gives new addresses to its customers, a restart of clouds, a release; a larger number of own
//! connections. Only dialling some of the addresses tells them apart, which is no passive act: where somebody does (`probe.address`), the last 128
//! visits are in the finding, and confirm it where hardly anybody was there.
//!
//! **Sources** (`docs/sources.md`). S10, S12.

use std::collections::VecDeque;

use event::{Direction, Event, Kind, KindId, Network, NetworkAddress, Severity, Verdict, VisitResult};
use serde::{Deserialize, Serialize};

use crate::measure::{Cusum, Distinct, Evidence, Recent, Robust, hash, hhi, quantile, top_share};
use crate::thresholds::Limit;
use crate::time::{DAY, HOUR, MINUTE};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Guard, Judgement, Scope, input};

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AddrSurge {
    /// The last 24 hours, the youngest last, and the number of the youngest since the epoch.
    hours: VecDeque<Distinct>,
    hour: Option<u64>,
    /// When the youngest was begun; the first is seldom whole.
    began: u64,
    /// The last 28 days, the youngest last, and the number of today since the epoch.
    days: VecDeque<Distinct>,
    day: u64,
    /// Different addresses per whole hour, and per whole day.
    hourly: Robust,
    daily: Robust,
    /// Those per whole hour by the hour's number since the epoch: an afternoon is compared with afternoons.
    clock: VecDeque<(u64, f64)>,
    sum: Cusum,
    /// Different addresses of the 24 hours before the end of each of the last two days' whole hours.
    ends: VecDeque<f64>,
    /// Whether what is added up is an alarm.
    drifts: bool,
    /// Since when there are more than twice as many as usual.
    since: Option<u64>,
    spread: Spread,
    /// Visits to advertised addresses: whether a node was there.
    visits: Recent<bool>,
    evidence: Evidence,
    minute: u64,
}

/// What the addresses of this hour and the last are like.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Spread {
    /// By hash of the /16 or /32, in 256 places.
    ranges: Vec<u32>,
    networks: [u32; NETWORKS],
    /// Of port 8333.
    usual_port: u64,
    all: u64,
}

/// Networks have numbers below this.
const NETWORKS: usize = 10;
/// Messages with more are answers to `getaddr` (Bitcoin Core passes on no more than ten).
const UNSOLICITED: usize = 10;
/// What is kept of hours.
const WEEK: usize = 24 * 7;
/// What is kept of days.
const DAYS: usize = 28;
/// A day is compared with those that ended within two days.
const ENDS: usize = 48;

impl Default for AddrSurge {
    fn default() -> Self {
        Self {
            hours: VecDeque::new(),
            hour: None,
            began: 0,
            days: VecDeque::new(),
            day: 0,
            hourly: Robust::new(WEEK, 1),
            daily: Robust::new(DAYS, 1),
            clock: VecDeque::new(),
            sum: Cusum::default(),
            ends: VecDeque::new(),
            drifts: false,
            since: None,
            spread: Spread::default(),
            visits: Recent::default(),
            evidence: Evidence::default(),
            minute: 0,
        }
    }
}

impl Detector for AddrSurge {
    const ABOUT: About = About {
        id: "D02",
        name: "addr_surge",
        version: 4,
        title: "Everybody passes on many more addresses than usual",
        family: Family::Gossip,
        scope: Scope::Node,
        kinds: &[KindId::NetAddr, KindId::NetAddrv2, KindId::ProbeAddress],
        every: MINUTE,
        needs: &[KindId::NetAddr, KindId::NetAddrv2],
        window: HOUR,
        guards: &[Guard::InitialDownload],
        // what was not seen only makes surges look smaller
        fooled_by: &[],
        thresholds: &[
            Limit::D02Warn,
            Limit::D02Critical,
            Limit::D02Lasting,
            Limit::D02Days,
            Limit::D02Hours,
            Limit::D02Drift,
            Limit::D02Hour,
            Limit::D02Least,
            Limit::D02Usual,
            Limit::D02Dead,
            Limit::D02Visits,
        ],
        does_not_prove: "that the addresses lead nowhere, nor who spreads them",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, _: &mut Findings<'_>) {
        let addresses = match &event.kind {
            Some(Kind::NetAddr(m)) if m.direction() == Direction::Inbound => &m.addresses,
            Some(Kind::NetAddrv2(m)) if m.direction() == Direction::Inbound => &m.addresses,
            Some(Kind::ProbeAddress(visit)) => {
                if let Some(there) = is_there(visit.result()) {
                    self.visits.add(event.time, there);
                }
                return;
            }
            _ => return,
        };
        if addresses.len() > UNSOLICITED {
            return;
        }
        self.pass(context);
        let Some(hour) = self.hours.back_mut() else { return };
        let mut new = false;
        for address in addresses {
            new |= hour.add(of(address, context.key));
            self.spread.add(address, context.key);
        }
        if new && self.since.is_some() {
            self.evidence.add(event);
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.pass(context);
        if context.now / (5 * MINUTE) == self.minute {
            return;
        }
        self.minute = context.now / (5 * MINUTE);
        self.judge(context, findings);
    }

    fn restarted(&mut self, _: &str) {}
}

/// Whether a node was there; `None` where a visit says nothing of the address.
fn is_there(result: VisitResult) -> Option<bool> {
    use VisitResult as R;
    match result {
        R::Reachable => Some(true),
        R::Own | R::ProxyFailed | R::NotDialled | R::Unspecified => None,
        _ => Some(false),
    }
}

/// Hash of an address and its port.
fn of(address: &NetworkAddress, key: u64) -> u64 {
    let mut bytes = [0; 64];
    let length = address.address.len().min(58);
    bytes[..length].copy_from_slice(&address.address[..length]);
    bytes[length] = address.network as u8;
    bytes[length + 1..length + 5].copy_from_slice(&address.port.to_le_bytes());
    hash(key, &bytes[..length + 5])
}

impl Spread {
    fn add(&mut self, address: &NetworkAddress, key: u64) {
        self.ranges.resize(256, 0);
        let length = match address.network() {
            Network::Ipv4 => 2,
            Network::Ipv6 => 4,
            // keys are spread by themselves
            _ => 0,
        };
        if length > 0 && address.address.len() > length {
            let place = hash(key, &address.address[..length]) as usize % 256;
            self.ranges[place] = self.ranges[place].saturating_add(1);
        }
        if let Some(count) = self.networks.get_mut(address.network as usize) {
            *count = count.saturating_add(1);
        }
        self.usual_port += u64::from(address.port == 8333);
        self.all += 1;
    }

    /// What is older weighs less.
    fn halve(&mut self) {
        self.ranges.iter_mut().for_each(|count| *count /= 2);
        self.networks.iter_mut().for_each(|count| *count /= 2);
        self.usual_port /= 2;
        self.all /= 2;
    }
}

impl AddrSurge {
    /// Lets the hours and days pass that have passed.
    fn pass(&mut self, context: &Context<'_>) {
        let hour = context.now / HOUR;
        let Some(newest) = self.hour else {
            (self.hour, self.began, self.day) = (Some(hour), context.now, context.now / DAY);
            self.hours.push_back(Distinct::default());
            return;
        };
        if hour <= newest {
            return;
        }
        let whole = self.began <= newest * HOUR + MINUTE && !context.is_blind(&[KindId::NetAddr, KindId::NetAddrv2], HOUR);
        self.end_hour(newest, whole, context);
        if context.now / DAY != self.day {
            self.end_day(context);
        }
        // hours of which nothing was heard
        for _ in newest + 1..hour.min(newest + 24) {
            self.hours.push_back(Distinct::default());
        }
        self.hours.push_back(Distinct::default());
        while self.hours.len() > 24 {
            self.hours.pop_front();
        }
        (self.hour, self.began) = (Some(hour), hour * HOUR);
        self.spread.halve();
        self.evidence.forget(context.since(6 * HOUR));
        self.visits.forget(context.since(DAY));
    }

    fn end_hour(&mut self, hour: u64, whole: bool, context: &Context<'_>) {
        let Some(count) = self.hours.back().map(Distinct::estimate) else { return };
        if !whole {
            return;
        }
        let day_times = self.day_times();
        let enough = self.hourly.warm_up().0 as f64 >= context.limit(Limit::D02Hours);
        if let Some(usual) = self.hourly.median().filter(|_| enough) {
            let usual = usual.max(self.usual_at(hour));
            let deviation = self.deviation(usual);
            self.sum.add(count, usual, deviation);
            // an hour that is nothing special ends it
            if count < context.limit(Limit::D02Least) || count < usual + deviation {
                self.sum.reset();
            }
            let stands_out = count >= usual * context.limit(Limit::D02Hour) || day_times >= context.limit(Limit::D02Warn);
            self.drifts = stands_out && self.sum.get() > context.limit(Limit::D02Drift);
        }
        if !self.drifts {
            self.hourly.add(count);
            self.clock.push_back((hour, count));
            if self.clock.len() > WEEK {
                self.clock.pop_front();
            }
        }
    }

    /// How many times as many there were within the last day as within the least of those that ended within two days.
    fn day_times(&mut self) -> f64 {
        if self.hours.len() < 24 {
            return 0.0;
        }
        let count = self.last_day().estimate();
        self.ends.push_back(count);
        if self.ends.len() > ENDS {
            self.ends.pop_front();
        }
        let least = self.ends.iter().copied().fold(f64::INFINITY, f64::min);
        count / least.max(1.0)
    }

    /// What earlier days had at this time of day, and an hour before and after.
    fn usual_at(&self, hour: u64) -> f64 {
        let near = |then: u64| matches!((hour - then) % 24, 23 | 0 | 1);
        let before = self.clock.iter().filter(|(then, _)| *then + 22 < hour && near(*then));
        quantile(&mut before.map(|(_, count)| *count).collect::<Vec<_>>(), 0.5)
    }

    /// A standard deviation of the hours: at least a quarter of what is usual.
    fn deviation(&self, usual: f64) -> f64 {
        let unit = self.hourly.z(usual + 1.0, 1e-6).map_or(0.0, |z| 1.0 / z);
        unit.max(usual / 4.0).max(1.0)
    }

    fn end_day(&mut self, context: &Context<'_>) {
        let whole = self.hours.len() == 24;
        let day = self.last_day();
        let alarm = self.since.is_some();
        if whole && !alarm {
            self.daily.add(day.estimate());
        }
        self.days.push_back(day);
        if self.days.len() > DAYS {
            self.days.pop_front();
        }
        self.day = context.now / DAY;
    }

    fn last_day(&self) -> Distinct {
        let mut day = Distinct::default();
        self.hours.iter().for_each(|hour| day.merge(hour));
        day
    }

    /// Different addresses of an ordinary day.
    fn usual(&self, context: &Context<'_>) -> Option<f64> {
        let stated = context.limit(Limit::D02Usual);
        if stated > 0.0 {
            return Some(stated);
        }
        let enough = self.daily.warm_up().0 as f64 >= context.limit(Limit::D02Days);
        self.daily.median().filter(|_| enough)
    }

    /// Which share of the visited had no node, where there were enough visits.
    fn dead(&self, context: &Context<'_>) -> Option<f64> {
        let visits = self.visits.len();
        let dead = self.visits.iter().filter(|(_, there)| !there).count();
        (visits > 0 && visits as f64 >= context.limit(Limit::D02Visits)).then(|| dead as f64 / visits as f64)
    }

    fn judge(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        let limit = |limit| context.limit(limit);
        let day = self.last_day();
        let (count, usual) = (day.estimate(), self.usual(context));
        let times = usual.map(|usual| count / usual.max(1.0));
        let many = times.is_some_and(|times| times > limit(Limit::D02Warn)) && count > limit(Limit::D02Least);
        let drift = self.sum.get() / limit(Limit::D02Drift).max(f64::MIN_POSITIVE);
        self.since = if many || self.drifts { self.since.or(Some(context.now)) } else { None };
        let lasting = self.since.is_some_and(|since| context.now >= since.saturating_add(context.span(Limit::D02Lasting)));
        let very_many = times.is_some_and(|times| times > limit(Limit::D02Critical)) && count > limit(Limit::D02Least);
        let dead = self.dead(context);
        let confirmed = dead.is_some_and(|dead| dead > limit(Limit::D02Dead));
        let judgement = match () {
            () if very_many => Judgement::Fires(Severity::Critical),
            () if many && lasting || self.drifts => Judgement::Fires(Severity::Warn),
            () if self.since.is_some() => Judgement::Holds,
            () => Judgement::Clear,
        };
        findings.judge(&Entity::Node, judgement, || {
            let mut before = Distinct::default();
            self.days.iter().for_each(|day| before.merge(day));
            let mut both = before.clone();
            both.merge(&day);
            let new = ((both.estimate() - before.estimate()) / count.max(1.0)).clamp(0.0, 1.0);
            let Spread { ranges, networks, usual_port, all } = &self.spread;
            let mut inputs = vec![
                input("within_a_day", count, "addresses", None),
                input("drift", self.sum.get(), "deviations", limit(Limit::D02Drift)),
                input("concentration", hhi(ranges.iter().map(|count| u64::from(*count))), "", None),
                input("largest_network", top_share(networks.iter().map(|count| u64::from(*count))), "share", None),
                input("port_8333", *usual_port as f64 / (*all).max(1) as f64, "share", None),
            ];
            inputs.extend(times.map(|times| input("times_usual", times, "", limit(Limit::D02Warn))));
            if !self.days.is_empty() {
                inputs.push(input("new", new, "share", None));
            }
            inputs.extend(dead.map(|dead| input("dead", dead, "share of visits", limit(Limit::D02Dead))));
            let last_hour = self.hours.iter().rev().nth(1).map_or(0.0, Distinct::estimate);
            let compared = match (times, self.hourly.median()) {
                (Some(times), _) => format!("{times:.1} times as many as usual"),
                (None, Some(usual)) => format!("{last_hour:.0} in the last whole hour, where {usual:.0} are usual"),
                (None, None) => "nobody knows yet what is usual".to_owned(),
            };
            let visited = dead.map_or_else(String::new, |dead| format!("; of those visited {:.0} % had no node", dead * 100.0));
            let drift = if self.drifts { drift } else { 0.0 };
            Case {
                score: times.map_or(0.0, |times| times / limit(Limit::D02Warn)).max(drift),
                verdict: if confirmed { Verdict::Act } else { Verdict::Investigate },
                inputs,
                from: context.since(DAY),
                evidence: self.evidence.all(),
                summary: format!("{count:.0} different addresses were passed on within a day: {compared}{visited}"),
            }
        });
    }
}

#[cfg(test)]
mod tests;
