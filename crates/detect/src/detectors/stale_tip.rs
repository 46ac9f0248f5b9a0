//! D54: the chain does not grow: no block comes, or other nodes have more.
//!
//! **Behaviour.** A node that is kept from new blocks shows its owner payments that are spent elsewhere, and lets a miner work on what is stale
//! (the end of an eclipse, D19). More often its line, its disk or its peers are to blame, and now and then there just is no block.
//!
//! **Signal.** Since when no block came; since when another node of the fleet has had more of the same chain; since when the node has known headers whose
//! blocks it does not have. The second and third leave no room for luck: a minute is a warning, ten are critical.
//!
//! **Look-alikes.** Luck: blocks come every ten minutes on average, and after an hour the next takes ten minutes, again. An hour without
//! one happens 130 times a year, an hour and a half 6.5 times, two hours once in three years, three hours once in 1,200. So an hour is worth knowing, two are
//! a warning. When all nodes wait, it is one finding about the fleet (G8). A restart (G1); the initial download; a chain that makes
//! blocks on demand (`regtest`), which is not timed. Without RPC nobody says which chain a node follows, and it is not compared.
//!
//! **Sources** (`docs/sources.md`). S8, and its table of gaps between blocks.

use event::{Event, KindId, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::measure::Evidence;
use crate::thresholds::Limit;
use crate::time::{MINUTE, SECOND, seconds};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Guard, Judgement, Scope, input};

/// See the module.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StaleTip {
    /// Since when the node has known headers whose blocks it does not have.
    ahead: Option<u64>,
    /// The last blocks.
    evidence: Evidence,
}

/// What is the case, in seconds.
#[derive(Clone, Copy, Debug)]
struct Lag {
    /// Without a block; 0 on a chain that has none by itself.
    gap: f64,
    /// Behind another node.
    behind: f64,
    /// Blocks that the other has.
    missing: u32,
    /// With headers that have no blocks.
    ahead: f64,
    /// How many.
    headers: u32,
}

impl Detector for StaleTip {
    const ABOUT: About = About {
        id: "D54",
        name: "stale_tip",
        version: 2,
        title: "The chain does not grow",
        family: Family::Blocks,
        scope: Scope::Node,
        kinds: &[KindId::ChainBlockConnected],
        every: 10 * SECOND,
        needs: &[KindId::ChainBlockConnected, KindId::StateBlockchain],
        window: MINUTE,
        guards: &[Guard::Restart],
        // a block that was not seen looks like none
        fooled_by: &[KindId::ChainBlockConnected],
        thresholds: &[
            Limit::D54GapInfo,
            Limit::D54GapWarn,
            Limit::D54GapCritical,
            Limit::D54LagWarn,
            Limit::D54LagCritical,
            Limit::D54Headers,
            Limit::D54HeadersLong,
        ],
        does_not_prove: "that anybody keeps blocks from the node: luck, its line and its disk do the same",
    };

    fn observe(&mut self, event: &Event, _: &Context<'_>, _: &mut Findings<'_>) {
        self.evidence = Evidence::default();
        self.evidence.add(event);
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        let facts = context.facts;
        if facts.headers_ahead == 0 {
            self.ahead = None;
        } else {
            self.ahead.get_or_insert(context.now);
        }
        let lag = Lag::of(context, self.ahead);
        let judgement = match lag.judgement(context) {
            // a node that has never been up to date is behind everybody
            Judgement::Fires(_) if facts.initial_download => {
                findings.suppressed(Guard::InitialDownload);
                Judgement::Holds
            }
            judgement => judgement,
        };
        findings.judge(&Entity::Node, judgement, || lag.case(context, &self.evidence));
    }

    fn restarted(&mut self, _: &str) {
        *self = Self::default();
    }
}

impl Lag {
    fn of(context: &Context<'_>, ahead: Option<u64>) -> Self {
        let tip = &context.facts.tip;
        let since = |time: u64| seconds(context.now.saturating_sub(time));
        // who makes blocks on demand may stop
        let timed = tip.chain.as_deref() != Some("regtest");
        // who was just met may have waited for longer: nobody knows
        let advanced = tip.advanced.filter(|_| timed);
        Self {
            gap: advanced.map_or(0.0, since),
            behind: tip.behind.map_or(0.0, |(time, _)| since(time)),
            missing: tip.behind.map_or(0, |(_, blocks)| blocks),
            ahead: ahead.map_or(0.0, since),
            headers: context.facts.headers_ahead,
        }
    }

    fn judgement(&self, context: &Context<'_>) -> Judgement {
        let limit = |limit| context.limit(limit);
        let undelivered = self.ahead >= limit(Limit::D54LagWarn) && f64::from(self.headers) > limit(Limit::D54Headers)
            || self.ahead >= limit(Limit::D54HeadersLong);
        match () {
            () if self.behind >= limit(Limit::D54LagCritical) || self.gap >= limit(Limit::D54GapCritical) => {
                Judgement::Fires(Severity::Critical)
            }
            () if self.behind >= limit(Limit::D54LagWarn) || undelivered || self.gap >= limit(Limit::D54GapWarn) => {
                Judgement::Fires(Severity::Warn)
            }
            () if self.gap >= limit(Limit::D54GapInfo) => Judgement::Fires(Severity::Info),
            () if self.missing > 0 || self.headers > 0 => Judgement::Holds,
            () => Judgement::Clear,
        }
    }

    fn case(&self, context: &Context<'_>, evidence: &Evidence) -> Case {
        let limit = |limit| context.limit(limit);
        let Self { gap, behind, missing, ahead, headers } = *self;
        let (lagging, undelivered) = (behind >= limit(Limit::D54LagWarn), ahead >= limit(Limit::D54LagWarn));
        let blocks = |count: u32| if count == 1 { "1 block".to_owned() } else { format!("{count} blocks") };
        let summary = match () {
            () if lagging => format!("another node has had more of the chain for {behind:.0} s, now {}", blocks(missing)),
            () if undelivered => format!("for {ahead:.0} s headers are known whose blocks do not come, now {}", blocks(headers)),
            () => format!("no block for {:.0} minutes", gap / 60.0),
        };
        Case {
            score: (gap / limit(Limit::D54GapWarn))
                .max(behind / limit(Limit::D54LagWarn))
                .max(ahead / limit(Limit::D54HeadersLong)),
            verdict: match () {
                () if lagging || undelivered => Verdict::Act,
                () if gap >= limit(Limit::D54GapWarn) => Verdict::Investigate,
                () => Verdict::Benign,
            },
            inputs: vec![
                input("behind", behind, "seconds", limit(Limit::D54LagWarn)),
                input("blocks_behind", f64::from(missing), "blocks", None),
                input("no_block", gap, "seconds", limit(Limit::D54GapWarn)),
                input("headers_without_blocks", f64::from(headers), "blocks", limit(Limit::D54Headers)),
                input("headers_without_blocks_for", ahead, "seconds", limit(Limit::D54HeadersLong)),
            ],
            from: context.facts.tip.advanced.unwrap_or(context.now),
            evidence: evidence.all(),
            summary,
        }
    }
}

#[cfg(test)]
mod tests;
