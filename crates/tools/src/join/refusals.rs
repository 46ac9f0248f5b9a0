//! `mempool.refused`: a rejection and who sent the transaction.
//!
//! Two witnesses speak of the same rejection if transaction and reason are the same and the times are; where a transaction is rejected
//! several times, the first of the one goes with the first of the other. What one witness alone states is stated too: the log says
//! nothing of transactions that came by RPC, the tracepoint nothing of those that came as a package.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use event::primary::LATENESS;
use event::{Event, JoinTotal, KindId, MempoolRefused, MempoolRejected};

use super::ends::Ends;
use super::joiner::{Fact, Moment, Watch, Window};

/// Witnesses remembered: that wait, or that were stated and may be repeated by a late one.
const WITNESSES: usize = 4096;

/// Of a reason and its detail, bytes; the tracepoint has up to 118.
const WORDS: usize = 512;

#[derive(Debug)]
pub(super) struct Refusals {
    witnesses: BTreeMap<u64, Witness>,
    /// Their numbers by transaction, the oldest first.
    by_transaction: HashMap<Vec<u8>, Vec<u64>>,
    /// Not stated yet, by time.
    waiting: BTreeSet<(u64, u64)>,
    /// Stated by themselves, by time.
    stated: BTreeSet<(u64, u64)>,
    next: u64,
    window: Window,
    account: JoinTotal,
}

#[derive(Debug)]
struct Witness {
    at: Moment,
    node_run: Option<u64>,
    rejected: MempoolRejected,
}

impl Refusals {
    pub(super) fn new(window: Window) -> Self {
        let account = JoinTotal { kind: KindId::MempoolRefused.name().to_owned(), ..JoinTotal::default() };
        Self {
            witnesses: BTreeMap::new(),
            by_transaction: HashMap::new(),
            waiting: BTreeSet::new(),
            stated: BTreeSet::new(),
            next: 0,
            window,
            account,
        }
    }

    pub(super) fn account(&self) -> JoinTotal {
        self.account.clone()
    }

    /// A transaction was rejected.
    pub(super) fn rejected(
        &mut self,
        event: &Event,
        rejected: &MempoolRejected,
        watch: Watch<'_>,
        ends: &Ends,
        out: &mut impl FnMut(Fact),
    ) {
        let witness = Witness { at: Moment::of(event), node_run: event.node_run, rejected: clipped(rejected) };
        if let Some(number) = self.other(&witness) {
            let was_stated = self.stated.iter().any(|(_, stated)| *stated == number);
            let Some(other) = self.remove(number) else { return };
            if was_stated {
                self.account.late += 1;
            } else {
                self.account.joined += 1;
                out(refused(&other, Some(&witness), ends));
            }
            return;
        }
        self.make_room(ends, out);
        let number = self.next;
        self.next += 1;
        self.by_transaction.entry(witness.rejected.txid.to_vec()).or_default().push(number);
        self.waiting.insert((witness.at.time, number));
        self.witnesses.insert(number, witness);
        if !watch.others(event.source()) {
            self.state(number, ends, out);
        }
    }

    /// A witness of an earlier life of the node.
    pub(super) fn late(&mut self) {
        self.account.late += 1;
    }

    /// Time has passed: states what waited long enough, and forgets what nobody will repeat.
    pub(super) fn pass(&mut self, watch: Watch<'_>, ends: &Ends, out: &mut impl FnMut(Fact)) {
        while let Some((_, number)) = self.waiting.first().copied().filter(|(time, _)| watch.is_over(*time)) {
            self.state(number, ends, out);
        }
        let end = watch.now().saturating_sub(self.window.width.saturating_add(2 * LATENESS));
        while let Some((_, number)) = self.stated.first().copied().filter(|(time, _)| *time < end) {
            self.remove(number);
        }
    }

    /// States everything that waits, and forgets it.
    pub(super) fn flush(&mut self, ends: &Ends, out: &mut impl FnMut(Fact)) {
        while let Some((_, number)) = self.waiting.first().copied() {
            self.state(number, ends, out);
        }
        self.witnesses.clear();
        self.by_transaction.clear();
        self.stated.clear();
    }

    /// The oldest statement of the same rejection by somebody else.
    fn other(&self, witness: &Witness) -> Option<u64> {
        let numbers = self.by_transaction.get(&witness.rejected.txid[..])?;
        numbers.iter().copied().find(|number| {
            self.witnesses.get(number).is_some_and(|other| {
                other.at.source != witness.at.source
                    && self.window.joins(other.at, witness.at)
                    && same_reason(&other.rejected, &witness.rejected)
            })
        })
    }

    fn state(&mut self, number: u64, ends: &Ends, out: &mut impl FnMut(Fact)) {
        let Some(witness) = self.witnesses.get(&number) else { return };
        let place = (witness.at.time, number);
        let another = |other: &Witness| other.at.source != witness.at.source && self.window.joins(other.at, witness.at);
        let numbers = self.by_transaction.get(&witness.rejected.txid[..]).into_iter().flatten();
        // the other gives another reason at the same time; told when the second of them is stated
        let contradicts = numbers
            .filter(|other| !self.waiting.contains(&(self.witnesses[other].at.time, **other)))
            .any(|other| another(&self.witnesses[other]));
        self.account.contradicting += u64::from(contradicts);
        self.account.single += 1;
        out(refused(witness, None, ends));
        self.waiting.remove(&place);
        self.stated.insert(place);
    }

    fn remove(&mut self, number: u64) -> Option<Witness> {
        let witness = self.witnesses.remove(&number)?;
        let place = (witness.at.time, number);
        self.waiting.remove(&place);
        self.stated.remove(&place);
        if let Some(numbers) = self.by_transaction.get_mut(&witness.rejected.txid[..]) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.by_transaction.remove(&witness.rejected.txid[..]);
            }
        }
        Some(witness)
    }

    /// Forgets the oldest that was stated, or states the one that waits longest.
    fn make_room(&mut self, ends: &Ends, out: &mut impl FnMut(Fact)) {
        if self.witnesses.len() < WITNESSES {
            return;
        }
        if self.stated.is_empty()
            && let Some((_, number)) = self.waiting.first().copied()
        {
            self.account.forgotten += 1;
            self.state(number, ends, out);
        }
        if let Some((_, number)) = self.stated.first().copied() {
            self.remove(number);
        }
    }
}

/// The tracepoint has the reason, the log the reason with what follows it: where that is cut is not sure.
fn same_reason(one: &MempoolRejected, other: &MempoolRejected) -> bool {
    let begins = |long: &MempoolRejected, short: &MempoolRejected| {
        let whole = || if long.detail.is_empty() { long.reason.clone() } else { format!("{}, {}", long.reason, long.detail) };
        short.detail.is_empty() && whole().strip_prefix(&short.reason).is_some_and(|rest| rest.is_empty() || rest.starts_with(", "))
    };
    one.reason == other.reason || begins(one, other) || begins(other, one)
}

fn refused(witness: &Witness, other: Option<&Witness>, ends: &Ends) -> Fact {
    // the reason as the probes have it, who sent it as the log has it
    let (probes, log) = match other {
        Some(other) if other.rejected.peer.is_none() && witness.rejected.peer.is_some() => (other, witness),
        Some(other) => (witness, other),
        None => (witness, witness),
    };
    let (of_probes, of_log) = (&probes.rejected, &log.rejected);
    let peer = of_log.peer.or(of_probes.peer);
    let refused = MempoolRefused {
        txid: of_probes.txid.clone(),
        reason: of_probes.reason.clone(),
        detail: detail(of_probes, of_log),
        wtxid: of_log.wtxid.clone().or_else(|| of_probes.wtxid.clone()),
        peer,
        address: peer.map_or("", |peer| ends.address(peer)).to_owned(),
    };
    (probes.at.time, probes.node_run, refused.into())
}

/// What the log has beyond the reason of the probes.
fn detail(of_probes: &MempoolRejected, of_log: &MempoolRejected) -> String {
    if of_probes.reason == of_log.reason {
        return of_log.detail.clone();
    }
    let whole = format!("{}, {}", of_log.reason, of_log.detail);
    let rest = whole.strip_prefix(&of_probes.reason).and_then(|rest| rest.strip_prefix(", "));
    rest.unwrap_or(&of_log.detail).trim_end_matches(", ").to_owned()
}

fn clipped(rejected: &MempoolRejected) -> MempoolRejected {
    let (reason, detail) = (super::clip(&rejected.reason, WORDS), super::clip(&rejected.detail, WORDS));
    MempoolRejected { reason: reason.to_owned(), detail: detail.to_owned(), ..rejected.clone() }
}
