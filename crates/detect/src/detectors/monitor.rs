//! D59: the observer is blind, or lies.
//!
//! **Behaviour.** Events are lost, a source falls silent, what the probes count is not what the node counts, clocks disagree, or somebody
//! fills the tables of the detectors. Whatever other detectors say then is worth less, so this is said first, and about whom.
//!
//! **Signal**, per source of a node:
//! - no beat: sources beat each second;
//! - beats, but nothing else for longer than two minutes, while peers are connected: the node pings each of them every two minutes, all at
//!   once where they came at once, as after its start;
//! - it says that it lost the node, while others see it run;
//! - events lost, of those published in the last five minutes; payloads cut short or unreadable; events too late to be put in order;
//! - `health.diverged`: probes and node count the bytes of a message type differently, beyond what counted loss explains;
//! - publishing lags behind.
//!
//! And of the detectors themselves: entries that had to be forgotten because tables were full, and guards that keep back much more than
//! usual, which is what an attacker does who imitates one. An alarm is counted once a minute for as long as it lasts, and as many alarms as
//! there are; what detectors leave out before it comes to an alarm (G3, G4, G6) is counted one by one.
//!
//! **Look-alikes.** A node that is stopped: then every source loses it. A single lost event: that is info. Messages of unknown types and
//! malformed ones are the peer's, not ours.
//!
//! **Sources.** practice of Falco, Retis and Tetragon.

use std::collections::BTreeMap;

use event::{Event, HealthDiverged, Kind, KindId, NetUndecodable, Severity, Source, UndecodableReason, Verdict};
use serde::{Deserialize, Serialize};

use crate::criteria::{Criterion, weigh};
use crate::measure::{Evidence, Recent, Robust, SlidingCount};
use crate::thresholds::Limit;
use crate::time::{MINUTE, SECOND, seconds};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Guard, Judgement, Scope, input};

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, Default)]
pub struct Monitor {
    sources: BTreeMap<i32, Watched>,
    /// Entries forgotten so far: when, and how many.
    evicted: Recent<u64>,
    /// Events that came and that did not reach the detectors so far, every tick.
    missed: Recent<Totals>,
    guards: BTreeMap<String, Suppressions>,
    /// When guards were last compared with what is usual.
    compared: u64,
}

/// What is known of a source.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Watched {
    run: u64,
    /// Sequence of the last beat.
    beat: u64,
    /// When something else than a beat was last published.
    fact: Option<u64>,
    /// Events published, lost and late so far, every tick.
    totals: Recent<Totals>,
    published: u64,
    unreadable: SlidingCount,
    diverged: Option<Divergence>,
    evidence: Evidence,
}

#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Totals {
    published: u64,
    lost: u64,
    late: u64,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Divergence {
    at: u64,
    window: u64,
    share: f64,
}

/// How often a guard suppresses.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Suppressions {
    before: u64,
    last: f64,
    /// Of ten minutes each.
    usual: Robust,
}

/// Shares are of this.
const WINDOW: u64 = 5 * MINUTE;
/// How often guards are compared with what is usual.
const COMPARE: u64 = 10 * MINUTE;
/// What is usual is that of a day.
const USUAL: usize = 144;

impl Default for Watched {
    fn default() -> Self {
        Self {
            run: 0,
            beat: 0,
            fact: None,
            totals: Recent::default(),
            published: 0,
            unreadable: SlidingCount::new(WINDOW),
            diverged: None,
            evidence: Evidence::default(),
        }
    }
}

impl Detector for Monitor {
    const ABOUT: About = About {
        id: "D59",
        name: "monitor",
        version: 2,
        title: "The observer is blind, or lies",
        family: Family::Observer,
        scope: Scope::Node,
        kinds: &[
            KindId::HealthBeat,
            KindId::HealthLost,
            KindId::HealthDetached,
            KindId::HealthDiverged,
            KindId::HealthReconciled,
            KindId::NetUndecodable,
        ],
        every: 5 * SECOND,
        needs: &[],
        window: WINDOW,
        guards: &[],
        fooled_by: &[],
        thresholds: &[
            Limit::D59Silent,
            Limit::D59SilentLong,
            Limit::D59Quiet,
            Limit::D59LossWarn,
            Limit::D59LossCritical,
            Limit::D59Diverged,
            Limit::D59Lag,
            Limit::D59Undecoded,
            Limit::D59Late,
            Limit::D59Crowded,
            Limit::D59Talkative,
            Limit::D59Enough,
            Limit::D59Kept,
            Limit::D59KeptRestart,
            Limit::D59LeftOut,
            Limit::D59WarmUp,
            Limit::GuardUnusual,
        ],
        does_not_prove: "that anybody attacks: most often a machine is too busy, or a program was restarted",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, _: &mut Findings<'_>) {
        // tools account for their own subscriptions; they watch no node
        if matches!(event.source(), Source::Tool | Source::Unspecified) {
            return;
        }
        let of_it = self.sources.entry(event.source);
        match &event.kind {
            Some(Kind::HealthBeat(_)) => of_it.or_default().beat(event, context.now),
            Some(Kind::HealthLost(_) | Kind::HealthDetached(_)) => of_it.or_default().evidence.add(event),
            Some(Kind::HealthDiverged(diverged)) => self.diverged(event, diverged, context.now),
            Some(Kind::HealthReconciled(_)) => self.reconciled(context.now),
            Some(Kind::NetUndecodable(undecodable)) => of_it.or_default().undecodable(event, undecodable, context.now),
            _ => {}
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        for (number, watched) in &mut self.sources {
            let Ok(source) = Source::try_from(*number) else { continue };
            watched.judge(source, context, findings);
        }
        self.crowded(context, findings);
        self.missed(context, findings);
        if context.now >= self.compared.saturating_add(COMPARE) {
            self.compared = context.now;
            self.compare_guards(context, findings);
        }
    }

    /// Sources outlive the node.
    fn restarted(&mut self, _: &str) {}
}

impl Monitor {
    /// The probes are compared with the node: what differs is told of them.
    fn diverged(&mut self, event: &Event, diverged: &HealthDiverged, now: u64) {
        let HealthDiverged { seen_bytes, node_bytes, window, .. } = *diverged;
        let share = seen_bytes.abs_diff(node_bytes) as f64 / (node_bytes.max(1)) as f64;
        let probes = self.sources.entry(Source::Ebpf.into()).or_default();
        let worst = probes.diverged.filter(|known| known.at.saturating_add(MINUTE) > now).map_or(0.0, |known| known.share);
        probes.diverged = Some(Divergence { at: now, window, share: share.max(worst) });
        probes.evidence.add(event);
    }

    /// A comparison ended: what it did not tell of does not differ any more. Types that differ are told just before.
    fn reconciled(&mut self, now: u64) {
        if let Some(probes) = self.sources.get_mut(&Source::Ebpf.into()) {
            probes.diverged = probes.diverged.filter(|known| known.at.saturating_add(SECOND) >= now);
        }
    }

    /// Somebody fills the tables of the detectors.
    fn crowded(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        let now = findings.account().evicted + findings.account().crowded + context.facts.overlooked();
        self.evicted.forget(context.since(WINDOW));
        let before = self.evicted.iter().next().map_or(now, |(_, count)| *count);
        self.evicted.add(context.now, now);
        let crowded = Criterion {
            name: "forgotten_entries",
            value: Some(now.saturating_sub(before) as f64),
            unit: "entries",
            warn: context.limit(Limit::D59Crowded),
            critical: f64::INFINITY,
        };
        let weighed = weigh(&[crowded]);
        findings.judge(&Entity::Node, weighed.judgement, || Case {
            score: weighed.score,
            verdict: Verdict::Investigate,
            inputs: weighed.inputs,
            from: context.since(WINDOW),
            evidence: Vec::new(),
            summary: format!(
                "detectors had to forget {} entries in five minutes: somebody fills their tables",
                now.saturating_sub(before)
            ),
        });
    }

    /// What did not reach the detectors, live or when it was recorded. It may have been of any source, and all of it of this node.
    fn missed(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        let total = Totals { published: context.facts.events(), lost: context.facts.missed, late: 0 };
        self.missed.forget(context.since(WINDOW));
        self.missed.add(context.now, total);
        let before = self.missed.iter().next().map_or(total, |(_, before)| *before);
        let lost = total.lost.saturating_sub(before.lost) as f64;
        let came = total.published.saturating_sub(before.published) as f64;
        let mut weighed = weigh(&[Criterion {
            name: "lost",
            value: Some(lost / (came + lost).max(context.limit(Limit::D59Enough))),
            unit: "share",
            warn: context.limit(Limit::D59LossWarn),
            critical: context.limit(Limit::D59LossCritical),
        }]);
        weighed.judgement = at_least_info(weighed.judgement, lost);
        findings.judge(&Entity::source(Source::Tool), weighed.judgement, || Case {
            score: weighed.score,
            verdict: Verdict::Investigate,
            inputs: weighed.inputs,
            from: context.since(WINDOW),
            evidence: Vec::new(),
            summary: format!("{lost} events did not reach the detectors in five minutes: nobody knows of which source"),
        });
    }

    /// Guards that suppress much more than usual.
    fn compare_guards(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        let counts = findings.account().suppressed;
        for (guard, count) in Guard::ALL.into_iter().zip(counts) {
            // what is missing and what the whole fleet has is told by findings of their own
            if matches!(guard, Guard::Blind | Guard::Fleet) {
                continue;
            }
            let of_it = self.guards.entry(guard.id().to_owned()).or_insert_with(|| Suppressions {
                before: count,
                last: 0.0,
                usual: Robust::new(USUAL, 1),
            });
            of_it.last = count.saturating_sub(of_it.before) as f64;
            of_it.before = count;
            let few = context.limit(few(guard));
            // of few, chance makes more or less
            let least = of_it.usual.median().map_or(1.0, |usual| usual.max(1.0).sqrt());
            let known = of_it.usual.has(context.limit(Limit::D59WarmUp) / seconds(COMPARE));
            let z = of_it.usual.z(of_it.last, least).filter(|_| known);
            let limit = context.limit(Limit::GuardUnusual);
            let judgement = match z {
                Some(z) if z > limit && of_it.last >= few => Judgement::Fires(Severity::Warn),
                Some(z) if z > limit / 2.0 && of_it.last >= few => Judgement::Holds,
                _ => Judgement::Clear,
            };
            // what is usual is not learned from what is not
            if !matches!(judgement, Judgement::Fires(_)) {
                of_it.usual.add(of_it.last);
            }
            findings.judge(&Entity::Guard(guard.id().to_owned()), judgement, || Case {
                score: z.unwrap_or_default() / limit,
                verdict: Verdict::Investigate,
                inputs: vec![
                    input("suppressed", of_it.last, "", few),
                    input("deviations", z.unwrap_or_default(), "deviations", limit),
                ],
                from: context.since(COMPARE),
                evidence: Vec::new(),
                summary: format!(
                    "the guard against false alarms {} ({}) kept {} alarms, or signs of one, back in ten minutes, far more than usual",
                    guard.id(),
                    guard.words(),
                    of_it.last
                ),
            });
        }
    }
}

/// Below this what a guard keeps back is never unusual.
fn few(guard: Guard) -> Limit {
    match guard {
        Guard::Restart => Limit::D59KeptRestart,
        Guard::Getaddr | Guard::PrivateBroadcast | Guard::Onion => Limit::D59LeftOut,
        Guard::InitialDownload | Guard::BlockBurst | Guard::Blind | Guard::Fleet => Limit::D59Kept,
    }
}

impl Watched {
    fn beat(&mut self, event: &Event, now: u64) {
        if self.run != event.run {
            self.run = event.run;
            self.beat = event.sequence;
            self.fact = Some(now);
            return;
        }
        let between = event.sequence.saturating_sub(self.beat);
        // itself, and what it counts
        self.published = self.published.saturating_add(between);
        if between > 1 {
            self.fact = Some(now);
        }
        self.beat = event.sequence;
    }

    fn undecodable(&mut self, event: &Event, undecodable: &NetUndecodable, now: u64) {
        if matches!(undecodable.reason(), UndecodableReason::Cut | UndecodableReason::Unreadable) {
            self.unreadable.add(now, 1);
            self.evidence.add(event);
        }
    }

    fn judge(&mut self, source: Source, context: &Context<'_>, findings: &mut Findings<'_>) {
        let now = context.now;
        let limit = |limit| context.limit(limit);
        let facts = context.facts.source(source);
        self.evidence.forget(context.since(2 * WINDOW));
        self.totals.forget(context.since(WINDOW));
        let total = Totals { published: self.published, lost: facts.lost, late: facts.late };
        self.totals.add(now, total);
        let before = self.totals.iter().next().map_or(total, |(_, before)| *before);
        let lost = total.lost.saturating_sub(before.lost) as f64;
        let late = total.late.saturating_sub(before.late) as f64;
        let published = total.published.saturating_sub(before.published) as f64;
        let of_all = |count: f64| if count > 0.0 { count / (published + lost).max(limit(Limit::D59Enough)) } else { 0.0 };
        let since = |then: u64| seconds(now.saturating_sub(then));
        self.diverged = self.diverged.filter(|known| now < known.at.saturating_add(2 * known.window.max(MINUTE)));
        // only the probes see messages, and only peers send them
        let talks = source == Source::Ebpf && !facts.detached && context.facts.peers.len() as f64 >= limit(Limit::D59Talkative);
        let abandoned =
            facts.detached && [Source::Proc, Source::Rpc].into_iter().any(|other| other != source && is_watching(context, other));
        let never = f64::INFINITY;
        let row = |name, value, unit, warn, critical| Criterion { name, value, unit, warn, critical };
        let criteria = [
            row("silent", facts.beat.map(since), "seconds", limit(Limit::D59Silent), limit(Limit::D59SilentLong)),
            row("nothing_but_beats", self.fact.filter(|_| talks).map(since), "seconds", limit(Limit::D59Quiet), never),
            row("detached", abandoned.then(|| facts.fact.map_or(0.0, since)), "seconds", limit(Limit::D59Quiet), never),
            row("lost", Some(of_all(lost)), "share", limit(Limit::D59LossWarn), limit(Limit::D59LossCritical)),
            row("late", Some(of_all(late)), "share", limit(Limit::D59Late), never),
            row("unreadable", Some(of_all(self.unreadable.get(now) as f64)), "share", limit(Limit::D59Undecoded), never),
            row("diverged", self.diverged.map(|known| known.share), "share", limit(Limit::D59Diverged), never),
            row("lag", Some(seconds(facts.lag)), "seconds", limit(Limit::D59Lag), never),
        ];
        let mut weighed = weigh(&criteria);
        weighed.judgement = at_least_info(weighed.judgement, lost);
        findings.judge(&Entity::source(source), weighed.judgement, || Case {
            score: weighed.score,
            verdict: Verdict::Investigate,
            summary: summary(source, weighed.name, &weighed.inputs, lost),
            inputs: weighed.inputs,
            from: context.since(WINDOW),
            evidence: self.evidence.all(),
        });
    }
}

/// Few, and yet nobody may say that all is well.
fn at_least_info(judgement: Judgement, lost: f64) -> Judgement {
    match judgement {
        Judgement::Clear | Judgement::Holds if lost > 0.0 => Judgement::Fires(Severity::Info),
        judgement => judgement,
    }
}

/// Whether a source sees the node run.
fn is_watching(context: &Context<'_>, source: Source) -> bool {
    let watched = context.facts.source(source);
    !context.facts.is_absent(source, context.now) && watched.fact.is_some_and(|fact| context.now < fact.saturating_add(MINUTE))
}

fn summary(source: Source, name: &str, inputs: &[event::FindingInput], lost: f64) -> String {
    let value = inputs.first().map_or(0.0, |input| input.value);
    let source = source.word();
    let percent = value * 100.0;
    match name {
        "silent" => format!("{source} has said nothing for {value:.0} s, not even that it is alive"),
        "nothing_but_beats" => format!("{source} is alive and has seen nothing for {value:.0} s, though peers are connected"),
        "detached" => format!("{source} lost the node {value:.0} s ago, while others see it run"),
        "late" => format!("{percent:.2} % of the events of {source} came too late to be put in order: do clocks differ?"),
        "unreadable" => format!("{percent:.2} % of the messages of {source} were cut short or unreadable"),
        "diverged" => format!("what {source} saw and what the node counted differ by {percent:.1} %"),
        "lag" => format!("{source} publishes {value:.0} s after the fact"),
        _ => format!("{lost} events of {source} were lost in five minutes, {percent:.2} %"),
    }
}

#[cfg(test)]
mod tests;
