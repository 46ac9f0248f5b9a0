//! D52: blocks that are mutated, sent twice, or invalid.
//!
//! **Behaviour.** Somebody sends a block whose transactions are not those of its header, compact blocks that contradict themselves, or
//! transactions of a block that nobody asked for: to make a node take a good block for a bad one (CVE-2024-52921), to bring it down
//! (CVE-2024-35202), or to fill its log (CVE-2025-54605). All of that is free. An invalid block with the work of a real one is not: it costs
//! what a block earns, and who makes it is a broken miner, or somebody who knows a fault of the node (CVE-2024-52911).
//!
//! **Signal**, per host, and per range of several hosts, within a day:
//! - the node's own verdict (`conn.misbehaving`) on mutated blocks, compact blocks, and headers without work;
//! - a `blocktxn` without a `getblocktxn` of the node to that peer for that block, or one more than was asked for;
//! - a whole block that the node finds invalid and that has no work.
//!
//! One is a warning, three are critical. Of the node: a block that it finds invalid and that has the work of a real one, as its place in the
//! node's tree (`chain.invalid`) or its header's target says; critical at once.
//!
//! **Look-alikes.** Two peers are asked for the same transactions and the slower one answers when the block is complete: both were asked, nobody
//! is blamed, although the log speaks of transactions that were not expected. A collision of short ids: the node asks for the whole block. An
//! operator who invalidates a block by hand: the node itself had connected it before. Clients of other chains, whose headers this chain
//! cannot take: another verdict, not counted. A disk that returns other bytes than were written: the node says mutated of its own block.
//!
//! **What an attacker may do.** Send each from another range. A block without work never counts as one with work, whatever the log says of it.
//!
//! **Sources** (`docs/sources.md`). S13; Bitcoin Core `src/net_processing.cpp` (`Misbehaving`), `src/validation.cpp` (`InvalidChainFound`).

use std::collections::BTreeMap;

use bytes::Bytes;
use event::{BlockHeader, ChainBlockChecked, ChainInvalid, Direction, Event, Kind, KindId, Malformation, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::entity::Host;
use crate::measure::{Evidence, Recent, Table};
use crate::thresholds::Limit;
use crate::time::{DAY, HOUR, MINUTE, SECOND};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Guard, Judgement, Scope, input};

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BadBlock {
    /// Transactions of blocks that the node asked for: of whom, how often, when last.
    asked: BTreeMap<(u64, Hash), Request>,
    /// Blocks that came lately, with their senders.
    sent: Recent<Sent>,
    /// The last blocks that the node connected.
    connected: Recent<Hash>,
    /// The target of the last one of them whose header was seen, in compact form.
    target: Option<u32>,
    /// By host: a new connection does not begin anew.
    culprits: Table<String, Culprit>,
    /// Blocks with work that are invalid.
    invalid: Recent<Hash>,
    evidence: Evidence,
}

/// Of a block.
type Hash = [u8; 32];

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Request {
    at: u64,
    /// Answers that are still to come.
    open: u32,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Sent {
    hash: Hash,
    peer: u64,
    target: u32,
}

/// Who sent such things.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Culprit {
    entity: Entity,
    /// Empty where there is none.
    range: String,
    faults: Recent<Fault>,
    evidence: Evidence,
}

/// What was wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
enum Fault {
    /// A block with other transactions than its header names.
    Mutated,
    /// A compact block that contradicts itself, or what was sent for it.
    Compact,
    /// A header without the work that it claims.
    Work,
    /// Transactions of a block that nobody asked for.
    Unasked,
    /// A block that breaks the rules, and has no work.
    Worthless,
}

/// Requests remembered: sixteen blocks of each of more peers than answer.
const REQUESTS: usize = 4096;
/// Hosts remembered.
const CULPRITS: usize = 1024;
/// For so long a node may wait for transactions that it asked for before anybody watched it.
const BEFORE: u64 = 10 * MINUTE;
/// The probes and the log state the same fault at times that differ by this much.
const SAME: u64 = 2 * SECOND;

impl Default for BadBlock {
    fn default() -> Self {
        Self {
            asked: BTreeMap::new(),
            sent: Recent::default(),
            connected: Recent::default(),
            target: None,
            culprits: Table::new(CULPRITS, HOUR),
            invalid: Recent::default(),
            evidence: Evidence::default(),
        }
    }
}

impl Default for Culprit {
    fn default() -> Self {
        Self { entity: Entity::Node, range: String::new(), faults: Recent::default(), evidence: Evidence::default() }
    }
}

impl Detector for BadBlock {
    const ABOUT: About = About {
        id: "D52",
        name: "bad_block",
        version: 1,
        title: "Blocks that are mutated, sent twice, or invalid",
        family: Family::Blocks,
        scope: Scope::Node,
        kinds: &[
            KindId::ConnMisbehaving,
            KindId::ConnMalformed,
            KindId::ConnClosed,
            KindId::NetGetblocktxn,
            KindId::NetBlocktxn,
            KindId::NetBlock,
            KindId::NetCmpctblock,
            KindId::ChainBlockConnected,
            KindId::ChainBlockChecked,
            KindId::ChainInvalid,
        ],
        every: 10 * SECOND,
        needs: &[
            KindId::ConnMisbehaving,
            KindId::ConnMalformed,
            KindId::NetBlocktxn,
            KindId::ChainBlockChecked,
            KindId::ChainInvalid,
        ],
        window: MINUTE,
        guards: &[],
        // a request that was not seen could make an answer look unasked for: that sign is left out then, the others stand
        fooled_by: &[],
        thresholds: &[Limit::D52Critical, Limit::D52Work, Limit::D52Lasts],
        does_not_prove: "that the sender made the block, nor that it means harm: it may pass on what a broken program gave it",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>) {
        match &event.kind {
            Some(Kind::ConnMisbehaving(m)) => {
                if let Some(fault) = Fault::of(&m.reason) {
                    self.fault(event, m.peer, fault, context, findings);
                }
            }
            Some(Kind::ConnMalformed(m)) if m.problem() == Malformation::RepeatedBlocktxn => {
                if let Some(peer) = m.peer {
                    self.fault(event, peer, Fault::Unasked, context, findings);
                }
            }
            Some(Kind::NetGetblocktxn(m)) if m.direction() == Direction::Outbound => self.ask(m.peer, &m.block, context, findings),
            Some(Kind::NetBlocktxn(m)) if m.direction() == Direction::Inbound => {
                self.answer(event, m.peer, &m.block, context, findings);
            }
            Some(Kind::NetBlock(m)) if m.direction() == Direction::Inbound => self.came(m.peer, m.header.as_ref(), context),
            Some(Kind::NetCmpctblock(m)) if m.direction() == Direction::Inbound => self.came(m.peer, m.header.as_ref(), context),
            Some(Kind::ChainBlockConnected(m)) => self.took(&m.hash, context),
            Some(Kind::ChainBlockChecked(m)) if !m.valid => self.checked(event, m, context, findings),
            Some(Kind::ChainInvalid(m)) => self.refused(event, m, context, findings),
            Some(Kind::ConnClosed(m)) => {
                let of_it: Vec<_> = self.asked.range((m.peer, [0; 32])..=(m.peer, [0xff; 32])).map(|(key, _)| *key).collect();
                of_it.iter().for_each(|key| {
                    self.asked.remove(key);
                });
            }
            _ => {}
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.asked.retain(|_, request| request.at >= context.since(HOUR));
        self.culprits.forget(context.since(DAY));
        findings.evicted(self.culprits.take_evicted());
        for culprit in self
            .culprits
            .iter()
            .map(|(_, culprit)| culprit)
            .filter(|culprit| findings.is_open(&culprit.entity))
            .cloned()
            .collect::<Vec<_>>()
        {
            findings.judge(&culprit.entity, culprit.judgement(context), || culprit.case(context));
        }
        self.ranges(context, findings);
        if findings.is_open(&Entity::Node) {
            self.judge(context, findings);
        }
    }

    fn restarted(&mut self, _: &str) {
        self.asked.clear();
        self.sent = Recent::default();
    }
}

impl BadBlock {
    fn ask(&mut self, peer: u64, block: &Bytes, context: &Context<'_>, findings: &mut Findings<'_>) {
        let Ok(block) = Hash::try_from(block.as_ref()) else { return };
        if self.asked.len() >= REQUESTS && !self.asked.contains_key(&(peer, block)) {
            findings.evicted(1);
            return;
        }
        let request = self.asked.entry((peer, block)).or_insert(Request { at: 0, open: 0 });
        request.at = context.now;
        request.open = request.open.saturating_add(1);
    }

    fn answer(&mut self, event: &Event, peer: u64, block: &Bytes, context: &Context<'_>, findings: &mut Findings<'_>) {
        let Ok(block) = Hash::try_from(block.as_ref()) else { return };
        if let Some(request) = self.asked.get_mut(&(peer, block)).filter(|request| request.open > 0) {
            request.open -= 1;
            return;
        }
        // what was asked before anybody watched, or when requests found no room, is not known
        let known = context.peer(peer).is_some_and(|peer| peer.seen_opening || peer.since < context.since(BEFORE));
        if !known || self.asked.len() >= REQUESTS {
            return;
        }
        if context.is_blind(&[KindId::NetGetblocktxn], BEFORE) {
            findings.suppressed(Guard::Blind);
            return;
        }
        self.fault(event, peer, Fault::Unasked, context, findings);
    }

    fn came(&mut self, peer: u64, header: Option<&BlockHeader>, context: &Context<'_>) {
        let Some(header) = header else { return };
        if let Ok(hash) = Hash::try_from(header.hash.as_ref()) {
            self.sent.add(context.now, Sent { hash, peer, target: header.bits });
        }
    }

    fn took(&mut self, hash: &Bytes, context: &Context<'_>) {
        let Ok(hash) = Hash::try_from(hash.as_ref()) else { return };
        self.connected.add(context.now, hash);
        self.target = self.sender(&hash).map(|sent| sent.target).or(self.target);
    }

    /// Who sent a block first, as far as that is remembered.
    fn sender(&self, hash: &Hash) -> Option<Sent> {
        self.sent.iter().map(|(_, sent)| *sent).find(|sent| sent.hash == *hash)
    }

    /// The node checked a block and found it wrong.
    fn checked(&mut self, event: &Event, checked: &ChainBlockChecked, context: &Context<'_>, findings: &mut Findings<'_>) {
        let Ok(hash) = Hash::try_from(checked.hash.as_ref()) else { return };
        if NO_VERDICT.contains(&checked.reason.as_str()) {
            return;
        }
        // the node's own miner may try blocks as well: nobody sent those
        let Some(sent) = self.sender(&hash) else { return };
        if checked.reason == "high-hash" {
            return self.fault(event, sent.peer, Fault::Work, context, findings);
        }
        let work = self.target.map(|target| difficulty(sent.target) / difficulty(target).max(f64::MIN_POSITIVE));
        if work.is_some_and(|work| work >= context.limit(Limit::D52Work)) {
            self.found_invalid(event, hash, context, findings);
        } else if work.is_some() {
            self.fault(event, sent.peer, Fault::Worthless, context, findings);
        }
    }

    /// A block that has its place in the node's tree, and so has its work, turned out to be wrong.
    fn refused(&mut self, event: &Event, invalid: &ChainInvalid, context: &Context<'_>, findings: &mut Findings<'_>) {
        let Some(Ok(hash)) = invalid.hash.as_ref().map(|hash| Hash::try_from(hash.as_ref())) else { return };
        if invalid.log2_work.is_none() {
            return;
        }
        // what the node had found good somebody takes back by hand
        if self.connected.iter().any(|(_, connected)| *connected == hash) {
            return;
        }
        self.found_invalid(event, hash, context, findings);
    }

    fn found_invalid(&mut self, event: &Event, hash: Hash, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.evidence.forget(context.since(DAY));
        self.evidence.add(event);
        // several lines tell of the same block
        if !self.invalid.iter().any(|(_, known)| *known == hash) {
            self.invalid.add(context.now, hash);
        }
        self.judge(context, findings);
    }

    fn judge(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.invalid.forget(context.since(DAY));
        let recent = self.invalid.last().is_some_and(|(time, _)| *time >= context.since(context.span(Limit::D52Lasts)));
        let judgement = if recent { Judgement::Fires(Severity::Critical) } else { Judgement::Clear };
        findings.judge(&Entity::Node, judgement, || {
            let count = self.invalid.len();
            let (hash, sender) = self
                .invalid
                .last()
                .map_or((String::new(), None), |(_, hash)| (event::text::Hash(hash).to_string(), self.sender(hash)));
            let sender = sender.map_or(String::new(), |sent| format!(", first sent by peer {}", sent.peer));
            Case {
                score: count as f64,
                verdict: Verdict::Act,
                inputs: vec![input("invalid_blocks", count as f64, "blocks", 1.0)],
                from: self.invalid.iter().next().map_or(context.now, |(time, _)| *time),
                evidence: self.evidence.all(),
                summary: format!(
                    "{} the work of a real one and is invalid: {hash}{sender}",
                    match count {
                        1 => "a block has".to_owned(),
                        _ => format!("{count} blocks within a day, the last of which has"),
                    }
                ),
            }
        });
    }

    fn fault(&mut self, event: &Event, peer: u64, fault: Fault, context: &Context<'_>, findings: &mut Findings<'_>) {
        // behind an address that many share only the connection is somebody
        let host = context.peer(peer).and_then(|known| Host::of(&known.address, known.network()));
        let name = host.as_ref().map_or_else(|| format!("peer {peer}"), Host::to_string);
        let culprit = self.culprits.touch(&name, context.now);
        culprit.entity = host.as_ref().map_or(Entity::Peer(peer), |host| Entity::Address(host.to_string()));
        culprit.range = host.and_then(|host| host.range()).map_or_else(String::new, |range| range.to_string());
        culprit.faults.forget(context.since(DAY));
        culprit.evidence.forget(context.since(DAY));
        culprit.evidence.add(event);
        // one fault, several witnesses
        if culprit.faults.last().is_some_and(|(time, _)| context.now < time.saturating_add(SAME)) {
            return;
        }
        culprit.faults.add(context.now, fault);
        let culprit = culprit.clone();
        findings.judge(&culprit.entity, culprit.judgement(context), || culprit.case(context));
    }

    /// Several of one range.
    fn ranges(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        if self.culprits.is_empty() {
            return;
        }
        let mut ranges = BTreeMap::<&str, (usize, usize, bool)>::new();
        for (_, culprit) in self.culprits.iter().filter(|(_, culprit)| !culprit.range.is_empty()) {
            let (hosts, faults, recent) = ranges.entry(&culprit.range).or_default();
            *hosts += 1;
            *faults += culprit.count(context);
            *recent |= culprit.is_recent(context);
        }
        let critical = context.limit(Limit::D52Critical);
        for (range, (hosts, faults, recent)) in ranges {
            let entity = Entity::Range(range.to_owned());
            let fires = recent && hosts > 1 && faults as f64 >= critical;
            if !fires && !findings.is_open(&entity) {
                continue;
            }
            let judgement = if fires { Judgement::Fires(Severity::Critical) } else { Judgement::Clear };
            findings.judge(&entity, judgement, || Case {
                score: faults as f64 / critical,
                verdict: Verdict::Act,
                inputs: vec![input("faults", faults as f64, "messages", critical), input("hosts", hosts as f64, "addresses", None)],
                from: context.since(DAY),
                evidence: self
                    .culprits
                    .iter()
                    .filter(|(_, culprit)| culprit.range == range)
                    .flat_map(|(_, culprit)| culprit.evidence.all())
                    .collect(),
                summary: format!("{hosts} hosts of one range sent {faults} bad blocks, or parts of blocks, within a day"),
            });
        }
    }
}

/// What a check says of a block that is no verdict on a block with work: its transactions are not its own, its target or time is not what its
/// place asks for, its parent is missing or invalid itself, or it was told before (Bitcoin Core `src/validation.cpp`).
const NO_VERDICT: [&str; 11] = [
    "bad-txnmrklroot",
    "bad-txns-duplicate",
    "bad-witness-nonce-size",
    "bad-witness-merkle-match",
    "unexpected-witness",
    "bad-diffbits",
    "time-too-new",
    "prev-blk-not-found",
    "bad-prevblk",
    "too-little-chainwork",
    "duplicate-invalid",
];

/// How much work a target stands for, up to a constant factor; 0 for what is no target.
fn difficulty(compact: u32) -> f64 {
    let (exponent, mantissa) = ((compact >> 24) as i32, compact & 0x00ff_ffff);
    if mantissa == 0 || mantissa & 0x0080_0000 != 0 {
        return 0.0;
    }
    f64::exp2(f64::from(8 * (32 - exponent))) / f64::from(mantissa)
}

impl Fault {
    /// By Bitcoin Core's words (`Misbehaving` in `src/net_processing.cpp`).
    fn of(reason: &str) -> Option<Self> {
        const ROWS: [(&str, Fault); 4] = [
            ("mutated block", Fault::Mutated),
            ("invalid compact block", Fault::Compact),
            ("previous compact block reconstruction attempt failed", Fault::Unasked),
            ("header with invalid proof of work", Fault::Work),
        ];
        ROWS.iter().find(|(words, _)| reason.starts_with(words)).map(|(_, fault)| *fault)
    }

    fn words(self) -> &'static str {
        match self {
            Self::Mutated => "mutated blocks",
            Self::Compact => "compact blocks that contradict themselves",
            Self::Work => "headers without work",
            Self::Unasked => "transactions of blocks that it was not asked for",
            Self::Worthless => "invalid blocks without work",
        }
    }
}

impl Culprit {
    fn count(&self, context: &Context<'_>) -> usize {
        self.faults.iter().filter(|(time, _)| *time >= context.since(DAY)).count()
    }

    fn is_recent(&self, context: &Context<'_>) -> bool {
        self.faults.last().is_some_and(|(time, _)| *time >= context.since(context.span(Limit::D52Lasts)))
    }

    fn judgement(&self, context: &Context<'_>) -> Judgement {
        match self.count(context) {
            _ if !self.is_recent(context) => Judgement::Clear,
            0 => Judgement::Clear,
            count if count as f64 >= context.limit(Limit::D52Critical) => Judgement::Fires(Severity::Critical),
            _ => Judgement::Fires(Severity::Warn),
        }
    }

    fn case(&self, context: &Context<'_>) -> Case {
        let mut counts = BTreeMap::<Fault, u32>::new();
        for (_, fault) in self.faults.iter().filter(|(time, _)| *time >= context.since(DAY)) {
            *counts.entry(*fault).or_default() += 1;
        }
        let critical = context.limit(Limit::D52Critical);
        let count = self.count(context) as f64;
        let what: Vec<String> = counts.iter().map(|(fault, count)| format!("{} ({count})", fault.words())).collect();
        Case {
            score: count / critical,
            verdict: if count >= critical { Verdict::Act } else { Verdict::Investigate },
            inputs: vec![input("faults", count, "messages", critical)],
            from: context.since(DAY),
            evidence: self.evidence.all(),
            summary: format!("within a day it sent {}", what.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests;
