//! D09: the node loses its peers.
//!
//! **Behaviour.** Connections close and no others take their place: at once, as when a link fails or somebody breaks them, or over days, as in
//! May 2023, when a node went from about 190 to 35 inbound peers before anybody looked.
//!
//! **Signal.**
//! - Inbound connections closed within five minutes, less those that the node evicted for others, less those that opened.
//! - Few outbound peers where there were many within the hour. Feelers and fetches of addresses come and go, and are not counted.
//! - Slowly: the number of inbound peers each minute, against mean and deviation with a half-life of six hours, added up (CUSUM), while it is below
//!   the median of the last day.
//!
//! **Look-alikes.** A restart of the node (G1), which also lowers `maxconnections`; the outage of one hosting company or Tor (what was lost has one
//! network: see the inputs); the rhythm of a day, which takes less at a time and comes back.
//!
//! **Sources.** attacks.md D09: S1, S4, S4b, S22.

use event::{ConnectionType, Event, Kind, KindId, Network, Severity, Source, Verdict};
use serde::{Deserialize, Serialize};

use crate::measure::{Cusum, Evidence, Recent, Robust, SlidingCount, top_share};
use crate::thresholds::Limit;
use crate::time::{HOUR, MINUTE, SECOND, nanos};
use crate::{About, Case, Context, Detector, Entity, Findings, Guard, Judgement, Scope, input};

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PeerLoss {
    closed: SlidingCount,
    evicted: SlidingCount,
    opened: SlidingCount,
    /// Of those that closed, by [`Network`].
    networks: Vec<SlidingCount>,
    /// Outbound peers, each minute.
    outbound: Recent<u32>,
    slow: Slow,
    minute: u64,
    /// Since when so few outbound peers are left.
    few: Option<u64>,
    evidence: Evidence,
}

/// A loss that takes hours.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Slow {
    /// When the first sample was taken.
    since: Option<u64>,
    mean: f64,
    variance: f64,
    sum: Cusum,
    /// Inbound peers, each ten minutes of a day without alarm.
    day: Robust,
    ten_minutes: u64,
}

/// Fast is within this.
const WINDOW: u64 = 5 * MINUTE;
/// Of mean and deviation of the slow form.
const HALF_LIFE: u64 = 6 * HOUR;
/// One peer more or less is nothing.
const LEAST_DEVIATION: f64 = 2.0;

impl Default for PeerLoss {
    fn default() -> Self {
        Self {
            closed: SlidingCount::new(WINDOW),
            evicted: SlidingCount::new(WINDOW),
            opened: SlidingCount::new(WINDOW),
            networks: vec![SlidingCount::new(WINDOW); NETWORKS],
            outbound: Recent::default(),
            slow: Slow::default(),
            minute: 0,
            few: None,
            evidence: Evidence::default(),
        }
    }
}

impl Default for Slow {
    fn default() -> Self {
        let day = Robust::new(144, 18);
        Self { since: None, mean: 0.0, variance: 0.0, sum: Cusum::default(), day, ten_minutes: 0 }
    }
}

/// Networks have numbers below this.
const NETWORKS: usize = 10;

impl Detector for PeerLoss {
    const ABOUT: About = About {
        id: "D09",
        name: "peer_loss",
        version: 1,
        title: "The node loses its peers",
        scope: Scope::Node,
        kinds: &[KindId::ConnOpened, KindId::ConnClosed, KindId::ConnEvicted],
        every: 5 * SECOND,
        needs: &[Source::Ebpf],
        window: WINDOW,
        guards: &[Guard::Restart, Guard::InitialDownload],
        // an opening that was not seen looks like a loss
        fooled_by_loss: true,
        thresholds: &[
            Limit::D09Warn,
            Limit::D09WarnShare,
            Limit::D09CriticalShare,
            Limit::D09Least,
            Limit::D09Outbound,
            Limit::D09Usual,
            Limit::D09Drift,
            Limit::D09SlowShare,
            Limit::D09Samples,
        ],
        does_not_prove: "that somebody broke the connections: an outage of the node's own link or of a hosting company does the same",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>) {
        let now = context.now;
        match &event.kind {
            Some(Kind::ConnOpened(opened)) if opened.connection_type() == ConnectionType::Inbound => self.opened.add(now, 1),
            Some(Kind::ConnEvicted(_)) => self.evicted.add(now, 1),
            Some(Kind::ConnClosed(closed)) => {
                if closed.connection_type() == ConnectionType::Inbound {
                    self.closed.add(now, 1);
                    if let Some(count) = self.networks.get_mut(closed.network() as usize) {
                        count.add(now, 1);
                    }
                }
                self.evidence.add(event);
                self.judge(context, findings);
            }
            _ => {}
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.evidence.forget(context.since(if self.slow.sum.get() > 0.0 { HALF_LIFE } else { WINDOW }));
        if context.now / MINUTE != self.minute {
            self.minute = context.now / MINUTE;
            self.sample(context);
        }
        self.judge(context, findings);
    }

    fn restarted(&mut self, _: &str) {
        // what is usual for the node stays so
        let slow = Slow { sum: Cusum::default(), ..self.slow.clone() };
        *self = Self { slow, ..Self::default() };
    }
}

/// How many peers there are.
fn peers(context: &Context<'_>) -> (u32, u32) {
    let mut inbound = 0;
    let mut outbound = 0;
    for (_, peer) in context.facts.peers.iter() {
        match peer.connection_type() {
            ConnectionType::Inbound => inbound += 1,
            ConnectionType::OutboundFullRelay | ConnectionType::BlockRelayOnly => outbound += 1,
            _ => {}
        }
    }
    (inbound, outbound)
}

impl PeerLoss {
    /// Once a minute.
    fn sample(&mut self, context: &Context<'_>) {
        let (inbound, outbound) = peers(context);
        self.outbound.forget(context.since(HOUR));
        // while the node or the observer has just started, nobody knows who is there
        if context.holds(Guard::Restart, None) || context.is_blind(&[Source::Ebpf], WINDOW) {
            return;
        }
        self.outbound.add(context.now, outbound);
        self.slow.sample(f64::from(inbound), context);
    }

    fn judge(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        let now = context.now;
        let limit = |limit| context.limit(limit);
        let (inbound, outbound) = peers(context);
        let gone = self.closed.get(now).saturating_sub(self.evicted.get(now)).saturating_sub(self.opened.get(now)) as f64;
        let before = f64::from(inbound) + gone;
        let share = if gone > limit(Limit::D09Least) { gone / before } else { 0.0 };
        let usual_outbound = self.outbound.iter().map(|(_, count)| *count).max().unwrap_or_default();
        let few = f64::from(outbound) <= limit(Limit::D09Outbound) && f64::from(usual_outbound) >= limit(Limit::D09Usual);
        // a node that ends loses them within seconds, and that is no attack
        self.few = if few { self.few.or(Some(now)) } else { None };
        let few = self.few.is_some_and(|since| now >= since.saturating_add(MINUTE));
        let slow = self.slow.share(f64::from(inbound), context);
        let critical = share >= limit(Limit::D09CriticalShare) || few;
        let fast = gone >= limit(Limit::D09Warn) || share >= limit(Limit::D09WarnShare);
        let lasting = slow.is_some_and(|share| share >= limit(Limit::D09SlowShare) / 2.0);
        let judgement = match () {
            () if critical => Judgement::Fires(Severity::Critical),
            () if fast || slow.is_some_and(|share| share >= limit(Limit::D09SlowShare)) => Judgement::Fires(Severity::Warn),
            () if gone >= limit(Limit::D09Warn) / 2.0 || share >= limit(Limit::D09WarnShare) / 2.0 || lasting => Judgement::Holds,
            () => Judgement::Clear,
        };
        let score = (gone / limit(Limit::D09Warn))
            .max(share / limit(Limit::D09WarnShare))
            .max(slow.unwrap_or_default() / limit(Limit::D09SlowShare))
            .max(if few { 1.0 } else { 0.0 });
        findings.judge(&Entity::Node, judgement, || {
            let counts: Vec<u64> = self.networks.iter_mut().map(|count| count.get(now)).collect();
            let same = top_share(counts.iter().copied());
            let most = (0..).zip(&counts).max_by_key(|(_, count)| **count).map_or(0, |(network, _)| network);
            let network = Network::try_from(most).unwrap_or_default().word();
            let mut inputs = vec![
                input("lost", gone, "peers", limit(Limit::D09Warn)),
                input("lost_share", share, "share", limit(Limit::D09WarnShare)),
                input("inbound", f64::from(inbound), "peers", None),
                input("outbound", f64::from(outbound), "peers", limit(Limit::D09Outbound)),
                input("of_one_network", same, "share", None),
            ];
            inputs.extend(slow.map(|share| input("below_usual", share, "share", limit(Limit::D09SlowShare))));
            let summary = match () {
                () if few => format!("{outbound} outbound peers are left of {usual_outbound}"),
                () if critical || fast => {
                    format!("{gone} of {before} inbound peers lost within five minutes, {:.0} % of them {network}", same * 100.0)
                }
                () => format!("{inbound} inbound peers, {:.0} % fewer than is usual", slow.unwrap_or_default() * 100.0),
            };
            Case {
                score,
                verdict: if critical { Verdict::Act } else { Verdict::Investigate },
                inputs,
                from: context.since(if critical || fast { WINDOW } else { HALF_LIFE }),
                evidence: self.evidence.all(),
                summary,
            }
        });
    }
}

impl Slow {
    /// Once a minute, the number of inbound peers.
    fn sample(&mut self, count: f64, context: &Context<'_>) {
        let Some(since) = self.since else {
            (self.since, self.mean) = (Some(context.now), count);
            return;
        };
        let deviation = self.variance.sqrt().max(LEAST_DEVIATION);
        if context.now >= since.saturating_add(nanos(context.limit(Limit::D09Samples))) {
            self.sum.add(-count, -self.mean, deviation);
        }
        // the first hours weigh alike, later ones less the older they are
        let samples = (context.now.saturating_sub(since) / MINUTE).max(1) as f64;
        let newest = (std::f64::consts::LN_2 * MINUTE as f64 / HALF_LIFE as f64).max(1.0 / (samples + 1.0));
        let step = count - self.mean;
        self.mean += newest * step;
        self.variance = (1.0 - newest) * (self.variance + newest * step * step);
        // what is usual is not learned from what is not
        let alarm = self.sum.get() > context.limit(Limit::D09Drift);
        if context.now / (10 * MINUTE) != self.ten_minutes && !alarm {
            self.ten_minutes = context.now / (10 * MINUTE);
            self.day.add(count);
        }
    }

    /// By how much there are fewer than usual, while the sum says that this is no accident.
    fn share(&self, count: f64, context: &Context<'_>) -> Option<f64> {
        if self.sum.get() <= context.limit(Limit::D09Drift) {
            return None;
        }
        let usual = self.day.median()?;
        (usual > context.limit(Limit::D09Least)).then(|| ((usual - count) / usual).max(0.0))
    }
}

#[cfg(test)]
mod tests;
