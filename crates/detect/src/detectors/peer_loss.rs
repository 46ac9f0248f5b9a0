//! D09: the node loses its peers.
//!
//! **Behaviour.** Connections close and no others take their place: at once, as when a link fails or somebody breaks them, or over days, as in
//! May 2023, when a node went from about 190 to 35 inbound peers before anybody looked.
//!
//! **Signal.**
//! - Inbound connections of some age (`d09.established`) closed within five minutes, less those that the node evicted for others, less those
//!   that opened and stayed. Who only looks in is no loss, however many they are.
//! - Few outbound peers where there were many within the hour. Feelers and fetches of addresses come and go, and are not counted.
//! - Both have to last for a minute (`d09.lasts`).
//! - Slowly: the number of inbound peers against those of the last week (`bleed.rs`), and connections broken off (`broken.rs`).
//! - A fast loss while a slow one lasts is critical, however small a share it is: it would go unsaid otherwise.
//!
//! **Look-alikes.** A node that ends: it closes everybody within a second, and its process may write its caches for minutes before anybody
//! can know. So where nobody at all is left, more patience is needed (`d09.ending`), and none of it counts once the log or another
//! interface says that the node is going (G1). A restart (G1), which may also lower `maxconnections`. The outage of one hosting company or of
//! Tor (what was lost has one network: see the inputs). The rhythm of a day, which takes less at a time and comes back.
//!
//! **Sources** (`docs/sources.md`). S1, S4, S4b, S22.

mod bleed;
mod broken;

use bleed::Bleed;
use event::{ConnectionType, EndReason, Event, Kind, KindId, Network, Severity, Source, Verdict};
use serde::{Deserialize, Serialize};

use crate::measure::{Evidence, Recent, SlidingCount, top_share};
use crate::thresholds::Limit;
use crate::time::{HOUR, MINUTE, SECOND};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Guard, Judgement, Scope, input};

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PeerLoss {
    /// Inbound connections of some age that closed, and those of them that were evicted.
    closed: SlidingCount,
    evicted: SlidingCount,
    /// Inbound connections that opened, and young ones that closed.
    opened: SlidingCount,
    visited: SlidingCount,
    /// Of those of some age that closed, by [`Network`].
    networks: Vec<SlidingCount>,
    /// Inbound peers by the node's own count, which comes with each that opens.
    counted: u32,
    /// Outbound peers, each minute.
    outbound: Recent<u32>,
    bleed: Bleed,
    minute: u64,
    /// Since when peers are missing.
    since: Option<u64>,
    /// When the node said that it ends.
    ending: Option<u64>,
    evidence: Evidence,
}

/// Fast is within this.
const WINDOW: u64 = 5 * MINUTE;

/// Interfaces of a node that end before its process does, and say so.
const INTERFACES: [Source; 3] = [Source::Rpc, Source::P2p, Source::Ipc];

impl Default for PeerLoss {
    fn default() -> Self {
        Self {
            closed: SlidingCount::new(WINDOW),
            evicted: SlidingCount::new(WINDOW),
            opened: SlidingCount::new(WINDOW),
            visited: SlidingCount::new(WINDOW),
            networks: vec![SlidingCount::new(WINDOW); NETWORKS],
            counted: 0,
            outbound: Recent::default(),
            bleed: Bleed::default(),
            minute: 0,
            since: None,
            ending: None,
            evidence: Evidence::default(),
        }
    }
}

/// Networks have numbers below this.
const NETWORKS: usize = 10;

impl Detector for PeerLoss {
    const ABOUT: About = About {
        id: "D09",
        name: "peer_loss",
        version: 4,
        title: "The node loses its peers",
        family: Family::Connections,
        scope: Scope::Node,
        kinds: &[KindId::ConnOpened, KindId::ConnClosed, KindId::ConnEvicted, KindId::ConnEnded],
        every: 5 * SECOND,
        // reasons are the log's, joined with what the probes see
        needs: &[KindId::ConnOpened, KindId::ConnClosed, KindId::ConnEnded, KindId::ConnClosing],
        window: WINDOW,
        guards: &[Guard::Restart, Guard::InitialDownload],
        // an opening or a closing that was not seen looks like a loss
        fooled_by: &[KindId::ConnOpened, KindId::ConnClosed],
        thresholds: &[
            Limit::D09Warn,
            Limit::D09WarnShare,
            Limit::D09CriticalShare,
            Limit::D09Least,
            Limit::D09Established,
            Limit::D09Outbound,
            Limit::D09Usual,
            Limit::D09Lasts,
            Limit::D09Ending,
            Limit::D09SlowShare,
            Limit::D09Spread,
            Limit::D09Half,
            Limit::D09Early,
            Limit::D09Broken,
            Limit::D09Halves,
            Limit::D09Odds,
            Limit::D09Occasions,
            Limit::D09WarmUp,
            Limit::D09Nights,
            Limit::D09Full,
            Limit::D09FullAfter,
        ],
        does_not_prove: "that somebody broke the connections: an outage of the node's own link or of a hosting company does the same",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, _: &mut Findings<'_>) {
        let now = context.now;
        match &event.kind {
            Some(Kind::ConnOpened(opened)) if opened.connection_type() == ConnectionType::Inbound => {
                self.opened.add(now, 1);
                self.counted = opened.count.map_or(self.counted, |count| count.try_into().unwrap_or(u32::MAX));
            }
            Some(Kind::ConnEvicted(evicted)) if is_of_age(evicted.peer, evicted.established, context) => self.evicted.add(now, 1),
            Some(Kind::ConnClosed(closed)) if closed.connection_type() == ConnectionType::Inbound => {
                self.counted = self.counted.saturating_sub(1);
                if is_of_age(closed.peer, closed.established, context) {
                    self.closed.add(now, 1);
                    if let Some(count) = self.networks.get_mut(closed.network() as usize) {
                        count.add(now, 1);
                    }
                    self.evidence.add(event);
                } else {
                    self.visited.add(now, 1);
                }
            }
            Some(Kind::ConnClosed(_)) => self.evidence.add(event),
            Some(Kind::ConnEnded(ended)) => match ended.reason() {
                EndReason::Shutdown => self.ending = Some(now),
                _ if ended.connection_type() == ConnectionType::Inbound => self.bleed.ended(now, ended),
                _ => {}
            },
            _ => {}
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.evidence.forget(context.since(if self.bleed.is_open() { bleed::WINDOW } else { WINDOW }));
        if context.now / MINUTE != self.minute {
            self.minute = context.now / MINUTE;
            self.sample(context);
        }
        findings.evicted(self.bleed.take_evicted());
        self.judge(context, findings);
    }

    fn restarted(&mut self, _: &str) {
        // what is usual for the node stays so
        let mut bleed = std::mem::take(&mut self.bleed);
        bleed.restarted();
        *self = Self { bleed, ..Self::default() };
    }
}

/// Whether a connection was there for long enough to be missed. The probes say since when it was; else what the engine saw of it counts.
fn is_of_age(peer: u64, established: Option<u64>, context: &Context<'_>) -> bool {
    let seen = || context.peer(peer).map_or(context.now, |peer| peer.since);
    let since = established.map_or_else(seen, |seconds| seconds.saturating_mul(SECOND));
    context.now >= since.saturating_add(context.span(Limit::D09Established))
}

/// How many peers the engine knows of, inbound and outbound.
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
    /// How many peers there are, inbound and outbound. Who was there before the observer, the engine may not know of; the node does.
    fn peers(&self, context: &Context<'_>) -> (u32, u32) {
        let (inbound, outbound) = peers(context);
        (inbound.max(self.counted), outbound)
    }

    /// Once a minute.
    fn sample(&mut self, context: &Context<'_>) {
        let (inbound, outbound) = self.peers(context);
        self.outbound.forget(context.since(HOUR));
        // while the node or the observer has just started, nobody knows who is there
        if context.holds(Guard::Restart, None) || context.is_blind(&[KindId::ConnOpened, KindId::ConnClosed], WINDOW) {
            return;
        }
        self.outbound.add(context.now, outbound);
        self.bleed.sample(inbound, context);
    }

    /// Whether the node says that it ends, while its process is still there.
    fn ends(&self, context: &Context<'_>) -> bool {
        let gone = |source: &Source| context.facts.source(*source).detached;
        let soon = |then: u64| context.now < then.saturating_add(context.span(Limit::GuardRestart));
        self.since.is_some_and(soon) && (self.ending.is_some_and(soon) || INTERFACES.iter().any(gone))
    }

    fn judge(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        let now = context.now;
        let limit = |limit| context.limit(limit);
        let (inbound, outbound) = self.peers(context);
        let stayed = self.opened.get(now).saturating_sub(self.visited.get(now));
        let gone = self.closed.get(now).saturating_sub(self.evicted.get(now)).saturating_sub(stayed) as f64;
        let before = f64::from(inbound) + gone;
        let share = if gone > limit(Limit::D09Least) { gone / before } else { 0.0 };
        let usual_outbound = self.outbound.iter().map(|(_, count)| *count).max().unwrap_or_default();
        let few = f64::from(outbound) <= limit(Limit::D09Outbound) && f64::from(usual_outbound) >= limit(Limit::D09Usual);
        let fast = gone >= limit(Limit::D09Warn) || share >= limit(Limit::D09WarnShare);
        // one on top of a slow one that is told: as a warning it would be said by that one already
        let twice = fast && self.bleed.is_open();
        let critical = share >= limit(Limit::D09CriticalShare) || few || twice;
        self.since = (fast || critical).then(|| self.since.unwrap_or(now));
        let nobody = inbound + outbound == 0;
        let patience = context.span(if nobody { Limit::D09Ending } else { Limit::D09Lasts });
        let lasts = self.since.is_some_and(|since| now >= since.saturating_add(patience));
        let slow = self.bleed.score(context);
        let judgement = match () {
            () if nobody && lasts && self.ends(context) => {
                findings.suppressed(Guard::Restart);
                Judgement::Holds
            }
            () if critical && lasts => Judgement::Fires(Severity::Critical),
            () if fast && lasts || slow >= 1.0 => Judgement::Fires(Severity::Warn),
            () if gone >= limit(Limit::D09Warn) / 2.0 || share >= limit(Limit::D09WarnShare) / 2.0 || few || slow >= 0.5 => {
                Judgement::Holds
            }
            () => Judgement::Clear,
        };
        let fast = lasts && (fast || critical);
        findings.judge(&Entity::Node, judgement, || {
            let score =
                (gone / limit(Limit::D09Warn)).max(share / limit(Limit::D09WarnShare)).max(slow).max(f64::from(u8::from(few)));
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
            inputs.extend(self.bleed.inputs(context));
            let summary = match () {
                () if nobody && fast => "nobody is left".to_owned(),
                () if few && fast => format!("{outbound} outbound peers are left of {usual_outbound}"),
                () if fast => {
                    let besides = if twice { ", besides a slow loss" } else { "" };
                    format!(
                        "{gone} of {before} inbound peers lost within five minutes, {:.0} % of them {network}{besides}",
                        same * 100.0
                    )
                }
                () => self.bleed.summary(),
            };
            Case {
                score,
                verdict: if critical { Verdict::Act } else { Verdict::Investigate },
                inputs,
                from: context.since(if fast { WINDOW } else { bleed::WINDOW }),
                evidence: self.evidence.all(),
                summary,
            }
        });
    }
}

#[cfg(test)]
mod tests;
