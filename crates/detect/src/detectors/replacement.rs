//! D45: transactions replace each other in circles, or in a storm.
//!
//! **Behaviour.** Replacement cycling: a transaction A spends an output that somebody has to spend in time (a channel's). An attacker replaces it
//! by B, which spends that output and one of his own, and then B by C, which spends his own only. The output is unspent again, and A is gone from
//! mempools although nothing conflicts with it. Repeated until the time is over, the output is his. A storm of replacements, on the other hand, costs
//! every node work and bandwidth.
//!
//! **Signal.** What the mempool's last transactions spend, from their messages, and who replaced whom. An output whose spender was replaced by one
//! that spends it, and that by one which does not, has gone around once: worth knowing. Twice is a warning; the same transaction pushed out twice is
//! critical. Replacements a minute against what is usual at this node (robust z), and how often the spender of one output was replaced.
//!
//! **Look-alikes.** Raising the fee spends the same outputs again. An exchange that makes its batches anew drops an output now and then, once.
//! What came by RPC, or as a package, is not known by its inputs, and left out.
//!
//! **What an attacker may do.** What the mempool refuses is forgotten, and what it takes costs a fee, so to make this forget he has to pay; but a
//! transaction whose parents are missing costs nothing and waits, and four thousand of these push out others that wait.
//!
//! **Sources** (`docs/sources.md`). S34.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use event::{Direction, Event, Kind, KindId, MempoolReplaced, NetTx, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::measure::{Evidence, Robust, SlidingCount, Table, hash};
use crate::thresholds::Limit;
use crate::time::{DAY, HOUR, MINUTE, SECOND};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Guard, Judgement, Scope, input};

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Replacement {
    /// Transactions that came and were not taken yet, the oldest first.
    arrived: VecDeque<(Id, Vec<Id>)>,
    /// Outputs in `arrived`.
    waiting: usize,
    /// What the transactions spend that the mempool took.
    spends: BTreeMap<Id, Vec<Id>>,
    /// The same transactions, the oldest first.
    order: VecDeque<Id>,
    /// Outputs in `spends`.
    outputs: usize,
    /// Outputs whose spender was replaced within an hour.
    contests: Table<Id, Contest>,
    /// Outputs that were left unspent by that, within a day.
    circles: Table<Id, Contest>,
    /// The output whose spender was replaced most often within an hour: when, and how often.
    longest: (u64, u32),
    rate: SlidingCount,
    /// Replacements of ordinary minutes.
    usual: Robust,
    /// The minute that is counted, and its replacements.
    minute: (u64, u64),
    storm: Option<u64>,
    evidence: Evidence,
}

/// A txid or an output, as a hash that nobody outside can predict.
type Id = u64;

/// An output and those who spend it in turn.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Contest {
    /// Who spent it before the last replacement.
    victim: Id,
    /// Who spends it since.
    spender: Id,
    /// How often its spender was replaced by another.
    replaced: u32,
    /// How often it was left unspent after that.
    cycles: u32,
    /// Who lost it when it was last left unspent.
    lost: Option<Id>,
    /// The same transaction lost it again.
    again: bool,
    /// When it was last left unspent, or lost again.
    at: u64,
}

/// The worst of all circles.
#[derive(Clone, Copy, Debug, Default)]
struct Worst {
    cycles: u32,
    again: bool,
}

/// A rate is over this.
const WINDOW: u64 = 5 * MINUTE;
/// Transactions that wait to be taken, and outputs that they spend.
const ARRIVED: usize = 4096;
const ARRIVED_OUTPUTS: usize = 65_536;
/// Transactions remembered, and outputs that they spend.
const TRANSACTIONS: usize = 32_768;
const OUTPUTS: usize = 131_072;
/// What Bitcoin Core says of a transaction whose parents it does not have (`TX_MISSING_INPUTS` in `src/validation.cpp`).
const MISSING: &str = "missingorspent";
/// Outputs remembered whose spender was replaced, and that were left unspent.
const CONTESTS: usize = 32_768;
const CIRCLES: usize = 1024;
/// Minutes that say what is usual: a day.
const USUAL: usize = 1440;
/// A storm that lasts for so long is usual from then on.
const LASTING: u64 = 6 * HOUR;

impl Default for Replacement {
    fn default() -> Self {
        Self {
            arrived: VecDeque::new(),
            waiting: 0,
            spends: BTreeMap::new(),
            order: VecDeque::new(),
            outputs: 0,
            contests: Table::new(CONTESTS, HOUR),
            circles: Table::new(CIRCLES, HOUR),
            longest: (0, 0),
            rate: SlidingCount::new(WINDOW),
            usual: Robust::new(USUAL, 1),
            minute: (0, 0),
            storm: None,
            evidence: Evidence::default(),
        }
    }
}

impl Detector for Replacement {
    const ABOUT: About = About {
        id: "D45",
        name: "replacement",
        version: 2,
        title: "Transactions replace each other in circles, or in a storm",
        family: Family::Transactions,
        scope: Scope::Node,
        kinds: &[KindId::NetTx, KindId::MempoolAdded, KindId::MempoolRejected, KindId::MempoolReplaced],
        every: 10 * SECOND,
        needs: &[KindId::NetTx, KindId::MempoolReplaced],
        window: WINDOW,
        guards: &[Guard::Restart, Guard::InitialDownload],
        // what was not seen makes circles and storms look smaller
        fooled_by: &[],
        thresholds: &[Limit::D45Cycles, Limit::D45Chain, Limit::D45Storm, Limit::D45Least, Limit::D45Lasts, Limit::D45WarmUp],
        does_not_prove: "that the output is a channel's, or that whoever replaces wants anything but another fee",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>) {
        match &event.kind {
            Some(Kind::NetTx(m)) if m.direction() == Direction::Inbound => self.arrive(m, context),
            Some(Kind::MempoolAdded(m)) => {
                let id = hash(context.key, &m.txid);
                if let Some(outputs) = self.leave(id) {
                    self.take(id, outputs);
                }
            }
            // one whose parents are missing may be taken when they come
            Some(Kind::MempoolRejected(m)) if !m.reason.contains(MISSING) => drop(self.leave(hash(context.key, &m.txid))),
            Some(Kind::MempoolReplaced(m)) => {
                self.rate.add(context.now, 1);
                self.minute.1 += 1;
                // of a storm, some: what goes around is named whole
                if self.evidence.last().is_none_or(|last| context.now >= last.saturating_add(WINDOW)) {
                    self.evidence.add(event);
                }
                self.replace(event, m, context, findings);
            }
            _ => {}
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        let minute = context.now / MINUTE;
        if minute != self.minute.0 {
            let count = std::mem::replace(&mut self.minute, (minute, 0));
            // a storm does not make itself usual, unless it stays
            let lasts = self.storm.is_some_and(|since| context.now >= since.saturating_add(LASTING));
            if count.0 != 0 && (self.storm.is_none() || lasts) {
                self.usual.add(count.1 as f64);
            }
        }
        self.contests.forget(context.since(HOUR));
        self.circles.forget(context.since(DAY));
        self.evidence.forget(context.since(HOUR));
        findings.evicted(self.contests.take_evicted() + self.circles.take_evicted());
        if self.longest.0 < context.since(context.span(Limit::D45Lasts)) {
            self.longest = (0, 0);
        }
        self.judge(context, findings);
    }

    fn restarted(&mut self, _: &str) {
        *self = Self { usual: self.usual.clone(), ..Self::default() };
    }

    fn set_back(&mut self) {
        self.restarted("");
    }
}

impl Replacement {
    fn arrive(&mut self, transaction: &NetTx, context: &Context<'_>) {
        let output = |spent: &event::OutPoint| hash(context.key ^ u64::from(spent.vout), &spent.txid);
        self.wait(hash(context.key, &transaction.txid), transaction.spends.iter().map(output).collect());
    }

    /// A transaction waits to be taken.
    fn wait(&mut self, id: Id, outputs: Vec<Id>) {
        self.waiting += outputs.len();
        self.arrived.push_back((id, outputs));
        while self.arrived.len() > ARRIVED || self.waiting > ARRIVED_OUTPUTS {
            let Some((_, outputs)) = self.arrived.pop_front() else { break };
            self.waiting -= outputs.len();
        }
    }

    /// A transaction waits no more: what it spends.
    fn leave(&mut self, id: Id) -> Option<Vec<Id>> {
        let at = self.arrived.iter().rposition(|(arrived, _)| *arrived == id)?;
        let (_, outputs) = self.arrived.remove(at)?;
        self.waiting -= outputs.len();
        Some(outputs)
    }

    /// The mempool took a transaction.
    fn take(&mut self, id: Id, outputs: Vec<Id>) {
        self.outputs += outputs.len();
        match self.spends.insert(id, outputs) {
            // it was there before
            Some(same) => self.outputs -= same.len(),
            None => self.order.push_back(id),
        }
        while self.order.len() > TRANSACTIONS || self.outputs > OUTPUTS {
            let Some(oldest) = self.order.pop_front() else { break };
            self.outputs -= self.spends.remove(&oldest).map_or(0, |outputs| outputs.len());
        }
    }

    fn spent_by(&self, id: Id) -> Option<&Vec<Id>> {
        let arrived = || self.arrived.iter().rev().find(|(arrived, _)| *arrived == id).map(|(_, outputs)| outputs);
        self.spends.get(&id).or_else(arrived)
    }

    fn replace(&mut self, event: &Event, m: &MempoolReplaced, context: &Context<'_>, findings: &mut Findings<'_>) {
        if m.replacement_is_txid == Some(false) {
            return;
        }
        let [old, new] = [&m.txid, &m.replacement].map(|txid| hash(context.key, txid));
        let (Some(before), Some(after)) = (self.spent_by(old), self.spent_by(new)) else { return };
        let after: BTreeSet<&Id> = after.iter().collect();
        let (kept, freed): (Vec<Id>, Vec<Id>) = before.iter().partition(|output| after.contains(output));
        for output in kept {
            let table = if self.circles.get(&output).is_some() { &mut self.circles } else { &mut self.contests };
            let contest = table.touch(&output, context.now);
            contest.replaced += 1;
            if contest.lost == Some(old) {
                contest.again = true;
                contest.at = context.now;
            }
            (contest.victim, contest.spender) = (old, new);
            if contest.replaced >= self.longest.1 {
                self.longest = (context.now, contest.replaced);
            }
        }
        let mut around = false;
        for output in freed {
            let known = self.circles.get(&output).or_else(|| self.contests.get(&output)).copied();
            if let Some(contest) = known.filter(|contest| contest.spender == old) {
                self.contests.remove(&output);
                let circle = self.circles.touch(&output, context.now);
                let (cycles, lost, at) = (contest.cycles + 1, Some(contest.victim), context.now);
                *circle = Contest { cycles, lost, at, spender: Id::default(), ..contest };
                around = true;
            }
        }
        if around {
            self.evidence.add(event);
            self.judge(context, findings);
        }
    }

    /// Of the outputs that went around lately.
    fn worst(&self, context: &Context<'_>) -> Worst {
        let since = context.since(context.span(Limit::D45Lasts));
        let recently = self.circles.iter().map(|(_, circle)| circle).filter(|circle| circle.at >= since);
        recently.fold(Worst::default(), |worst, circle| Worst {
            cycles: worst.cycles.max(circle.cycles),
            again: worst.again || circle.again,
        })
    }

    fn judge(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        let limit = |limit| context.limit(limit);
        let worst = self.worst(context);
        let rate = self.rate.get(context.now) as f64 * MINUTE as f64 / WINDOW as f64;
        // of few, chance makes more or less; their deviation is at least that of chance
        let least = self.usual.median().map_or(1.0, |usual| usual.max(1.0).sqrt());
        let known = self.usual.has(limit(Limit::D45WarmUp) / 60.0);
        let unusual = self.usual.z(rate, least).filter(|_| known);
        let storm = rate >= limit(Limit::D45Least) && unusual.is_some_and(|z| z > limit(Limit::D45Storm));
        let lull = unusual.is_none_or(|z| z < limit(Limit::D45Storm) / 2.0);
        if storm {
            self.storm.get_or_insert(context.now);
        } else if lull {
            self.storm = None;
        }
        let (cycles, replaced) = (f64::from(worst.cycles), self.longest.1);
        let judgement = match () {
            () if worst.again => Judgement::Fires(Severity::Critical),
            () if cycles >= limit(Limit::D45Cycles) || storm => Judgement::Fires(Severity::Warn),
            () if worst.cycles > 0 || f64::from(replaced) > limit(Limit::D45Chain) => Judgement::Fires(Severity::Info),
            () if self.storm.is_some() => Judgement::Holds,
            () => Judgement::Clear,
        };
        findings.judge(&Entity::Node, judgement, || {
            let mut inputs = vec![
                input("cycles_of_one_output", cycles, "cycles", limit(Limit::D45Cycles)),
                input("pushed_out_again", f64::from(u8::from(worst.again)), "", 1.0),
                input("replacements_per_minute", rate, "transactions", limit(Limit::D45Least)),
                input("replacements_of_one_output", f64::from(replaced), "transactions", limit(Limit::D45Chain)),
            ];
            inputs.extend(unusual.map(|z| input("deviations", z, "deviations", limit(Limit::D45Storm))));
            let circles = |times| format!("the spender of one output was replaced and the output left unspent {times}");
            Case {
                score: (cycles / limit(Limit::D45Cycles)).max(if storm { rate / limit(Limit::D45Least) } else { 0.0 }),
                verdict: if worst.again || cycles >= limit(Limit::D45Cycles) { Verdict::Act } else { Verdict::Investigate },
                inputs,
                from: context.since(HOUR),
                evidence: self.evidence.all(),
                summary: match () {
                    () if worst.again => circles(format!("{} times, and the same transaction pushed out again", worst.cycles)),
                    () if worst.cycles > 1 => circles(format!("{} times", worst.cycles)),
                    () if storm => format!("{rate:.0} transactions a minute are replaced, much more than usual"),
                    () if worst.cycles == 1 => circles("once".to_owned()),
                    () => format!("the spender of one output was replaced {replaced} times"),
                },
            }
        });
    }
}

#[cfg(test)]
mod tests;
