//! The findings of one detector about one node that are open, and when to say something about them.
//!
//! A finding is opened when its criterion is met for the first time. It is told again when it gets worse, when it becomes uncertain or
//! certain again, and otherwise at most every half hour (`finding.remind`), as long as it is open, also while its criterion is not quite met
//! any more. It is cleared when the criterion was not met for a minute (`finding.settle`) without an interruption; it expires when its
//! detector was silent for an hour (`finding.silent`). Met again within half an hour after it was cleared, it is opened again, marked so
//! that nobody is told twice.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use event::{Event, Finding, FindingCleared, FindingEnd, FindingExpired, FindingOpened, FindingUpdated, Kind, Severity, Verdict};
use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher as _;

use crate::context::Context;
use crate::detector::{About, Scope};
use crate::finding::{Case, Entity, Judgement, Statement, input};
use crate::guard::Guard;
use crate::thresholds::Limit;
use crate::time::SECOND;
use crate::wire;

/// Open findings per detector and node.
const MOST: usize = 256;

/// References to evidence that a finding carries.
const EVIDENCE: usize = 32;

/// Open findings of one detector about one node.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Desk {
    entries: BTreeMap<Entity, Entry>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Entry {
    #[serde(with = "wire")]
    finding: Finding,
    /// When something was last told of it.
    told: u64,
    /// When the detector last said anything of it.
    heard: u64,
    /// Since when the criterion has not been met.
    clear: Option<u64>,
    /// When it ended; then it is only remembered.
    ended: Option<u64>,
}

/// What the engine counts about one node.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Account {
    /// Alarms that each guard suppressed, by [`Guard`]. An alarm that lasts is counted once a minute.
    pub suppressed: [u64; Guard::ALL.len()],
    /// When each last was.
    suppressed_at: [u64; Guard::ALL.len()],
    /// Entries that detectors forgot because their tables were full.
    pub evicted: u64,
    /// Findings that gave way because there were too many, or for which there was no room: those as often as they are judged.
    pub crowded: u64,
    /// Findings opened.
    pub opened: u64,
}

/// What desks have in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared {
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) out: Vec<Statement>,
    pub(crate) fleet: Fleet,
}

/// Which nodes have a finding of a detector, and what that makes of the fleet: G8.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Fleet {
    /// Nodes that something was heard of within the hour.
    pub(crate) nodes: usize,
    /// By detector.
    open: BTreeMap<String, Together>,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Together {
    /// By node, how many findings are open.
    nodes: BTreeMap<String, u32>,
    /// The finding about all of them.
    finding: Option<OfFleet>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct OfFleet(#[serde(with = "wire")] Finding);

/// The node of findings about the whole fleet; no operator is likely to name one so.
pub const FLEET: &str = "_fleet";

impl Fleet {
    fn opened(&mut self, detector: &str, node: &str) {
        *self.open.entry(detector.to_owned()).or_default().nodes.entry(node.to_owned()).or_default() += 1;
    }

    fn ended(&mut self, detector: &str, node: &str) {
        let Some(Together { nodes, .. }) = self.open.get_mut(detector) else { return };
        if let Some(count) = nodes.get_mut(node) {
            *count -= 1;
            if *count == 0 {
                nodes.remove(node);
            }
        }
    }

    /// Nodes that have it, and the finding about all of them.
    fn together(&self, detector: &str) -> (usize, Option<&Finding>) {
        self.open.get(detector).map_or((0, None), |of| (of.nodes.len(), of.finding.as_ref().map(|finding| &finding.0)))
    }

    /// Detectors that are no more have no findings.
    pub(crate) fn keep(&mut self, is: impl Fn(&str) -> bool) {
        self.open.retain(|detector, _| is(detector));
    }

    /// A node was forgotten.
    pub(crate) fn forget(&mut self, node: &str) {
        for of in self.open.values_mut() {
            of.nodes.remove(node);
        }
    }
}

impl Shared {
    pub(crate) fn account(&self, node: &str) -> &Account {
        const NOTHING: &Account =
            &Account { suppressed: [0; Guard::ALL.len()], suppressed_at: [0; Guard::ALL.len()], evicted: 0, crowded: 0, opened: 0 };
        self.accounts.get(node).unwrap_or(NOTHING)
    }

    fn account_mut(&mut self, node: &str) -> &mut Account {
        if !self.accounts.contains_key(node) {
            self.accounts.insert(node.to_owned(), Account::default());
        }
        self.accounts.get_mut(node).expect("it was just put there")
    }

    pub(crate) fn suppress(&mut self, context: &Context<'_>, guard: Guard) {
        let account = self.account_mut(context.node);
        let last = &mut account.suppressed_at[guard as usize];
        if *last == 0 || context.now >= last.saturating_add(crate::time::MINUTE) {
            *last = context.now;
            account.suppressed[guard as usize] += 1;
        }
    }

    /// The clock was set back: nothing was suppressed in the future.
    pub(crate) fn set_back(&mut self, node: &str, now: u64) {
        if let Some(account) = self.accounts.get_mut(node) {
            account.suppressed_at.iter_mut().for_each(|time| *time = now.min(*time));
        }
    }

    pub(crate) fn evict(&mut self, node: &str, count: u64) {
        let account = self.account_mut(node);
        account.evicted = account.evicted.saturating_add(count);
    }

    /// Whether what a detector found at several nodes is one finding about all, by now.
    fn weigh(&mut self, about: &'static About, context: &Context<'_>) {
        if about.scope == Scope::Fleet {
            return;
        }
        let (with, known) = self.fleet.together(about.id);
        let all = self.fleet.nodes as f64;
        let share = with as f64 / all.max(1.0);
        let most = context.limit(Limit::GuardFleet);
        let kind: Kind = match known {
            None if all >= context.limit(Limit::GuardFleetNodes) && share >= most => {
                let finding = Finding {
                    detector: about.id.to_owned(),
                    version: about.version,
                    name: about.name.to_owned(),
                    id: id(about.id, FLEET, &Entity::Fleet, context.now),
                    entity: Some(Entity::Fleet.message(|_| String::new())),
                    severity: Severity::Warn.into(),
                    verdict: Verdict::Investigate.into(),
                    score: share / most,
                    inputs: vec![input("nodes", with as f64, "nodes", None), input("share", share, "share", most)],
                    window_from: context.now,
                    window_to: context.now,
                    opened: context.now,
                    summary: format!(
                        "seen at {with} of {all} nodes at once: something in the network rather than an attack on one"
                    ),
                    does_not_prove: about.does_not_prove.to_owned(),
                    ..Finding::default()
                };
                self.fleet.open.entry(about.id.to_owned()).or_default().finding = Some(OfFleet(finding.clone()));
                FindingOpened { finding: Some(finding) }.into()
            }
            // well below, so that one node more or less does not open and clear it in turn
            Some(_) if share < most / 2.0 => {
                let Some(OfFleet(mut finding)) = self.fleet.open.get_mut(about.id).and_then(|of| of.finding.take()) else { return };
                finding.end = FindingEnd::Cleared.into();
                finding.window_to = context.now;
                FindingCleared { finding: Some(finding) }.into()
            }
            _ => return,
        };
        self.out.push(Statement { time: context.now, node: Arc::from(FLEET), node_run: None, kind });
    }

    fn say(&mut self, about: &'static About, context: &Context<'_>, kind: impl Into<Kind>) {
        let node_run = if about.scope == Scope::Fleet { None } else { context.facts.node_run };
        self.out.push(Statement { time: context.now, node: Arc::from(about.place(context)), node_run, kind: kind.into() });
    }
}

impl About {
    /// The node that its findings are told of.
    fn place<'a>(&self, context: &Context<'a>) -> &'a str {
        match self.scope {
            Scope::Node => context.node,
            Scope::Fleet => FLEET,
        }
    }
}

impl Desk {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn is_open(&self, entity: &Entity) -> bool {
        self.entries.get(entity).is_some_and(|entry| entry.ended.is_none())
    }

    pub(crate) fn judge(
        &mut self,
        about: &'static About,
        context: &Context<'_>,
        shared: &mut Shared,
        entity: &Entity,
        judgement: Judgement,
        case: impl FnOnce() -> Case,
    ) {
        let now = context.now;
        let remind = context.span(Limit::FindingRemind);
        let open = self.entries.get_mut(entity).filter(|entry| entry.ended.is_none());
        let (entry, severity) = match (open, judgement) {
            (None, Judgement::Fires(severity)) => {
                if self.make_room(about, context, shared, severity) {
                    self.open(about, context, shared, entity, severity, case());
                }
                return;
            }
            (None, _) => return,
            (Some(entry), Judgement::Fires(severity)) => (entry, severity),
            (Some(entry), Judgement::Unknown) => {
                entry.clear = None;
                if !entry.finding.unknown {
                    entry.finding.unknown = true;
                    entry.told = now;
                    shared.say(about, context, FindingUpdated { finding: Some(entry.finding.clone()) });
                }
                return;
            }
            (Some(entry), Judgement::Holds) => {
                entry.heard = now;
                entry.clear = None;
                // it lasts, as it was last told: the criterion is not met, and its numbers may be nothing to say
                if now >= entry.told.saturating_add(remind) {
                    entry.told = now;
                    shared.say(about, context, FindingUpdated { finding: Some(entry.finding.clone()) });
                }
                return;
            }
            (Some(entry), Judgement::Clear) => {
                entry.heard = now;
                entry.finding.unknown = false;
                let since = *entry.clear.get_or_insert(now);
                if now >= since.saturating_add(context.span(Limit::FindingSettle)) {
                    entry.end(about, context, shared, FindingEnd::Cleared);
                }
                return;
            }
        };
        entry.heard = now;
        entry.clear = None;
        let worse = severity as i32 > entry.finding.severity;
        let certain = std::mem::take(&mut entry.finding.unknown);
        let joined = entry.finding.part_of.is_empty() && entry.join(about, shared);
        if worse || certain || joined || now >= entry.told.saturating_add(remind) {
            let alarmed = entry.alarms();
            entry.finding.severity = entry.finding.severity.max(severity.into());
            if entry.alarms() && !alarmed {
                shared.fleet.opened(about.id, about.place(context));
                shared.weigh(about, context);
            }
            entry.fill(context, case());
            entry.told = now;
            shared.say(about, context, FindingUpdated { finding: Some(entry.finding.clone()) });
        }
    }

    fn open(
        &mut self,
        about: &'static About,
        context: &Context<'_>,
        shared: &mut Shared,
        entity: &Entity,
        severity: Severity,
        case: Case,
    ) {
        let now = context.now;
        let again = self.entries.contains_key(entity);
        let address = |id| context.peer(id).map_or_else(String::new, |peer| peer.address.clone());
        let finding = Finding {
            detector: about.id.to_owned(),
            version: about.version,
            name: about.name.to_owned(),
            id: id(about.id, about.place(context), entity, now),
            entity: Some(entity.message(address)),
            severity: severity.into(),
            opened: now,
            does_not_prove: about.does_not_prove.to_owned(),
            again,
            ..Finding::default()
        };
        let mut entry = Entry { finding, told: now, heard: now, clear: None, ended: None };
        entry.fill(context, case);
        let place = about.place(context);
        shared.account_mut(place).opened += 1;
        if entry.alarms() {
            shared.fleet.opened(about.id, place);
            shared.weigh(about, context);
        }
        if entry.join(about, shared) {
            shared.suppress(context, Guard::Fleet);
        }
        shared.say(about, context, FindingOpened { finding: Some(entry.finding.clone()) });
        self.entries.insert(entity.clone(), entry);
    }

    /// The mildest that is open gives way, the oldest of those; what is only remembered goes first. Nobody gives way to a milder one, nor to
    /// one like himself while his detector still judges him: they would take turns, and each would be told as new. Then there is no room.
    fn make_room(&mut self, about: &'static About, context: &Context<'_>, shared: &mut Shared, severity: Severity) -> bool {
        if self.entries.len() < MOST {
            return true;
        }
        let order = |(_, entry): &(&Entity, &Entry)| (entry.ended.is_none(), entry.finding.severity, entry.heard);
        let Some((weakest, entry)) = self.entries.iter().min_by_key(order) else { return true };
        let judged = context.now < entry.heard.saturating_add(2 * about.every.max(SECOND));
        let stays = match entry.finding.severity.cmp(&severity.into()) {
            Ordering::Less => false,
            Ordering::Equal => judged,
            Ordering::Greater => true,
        };
        if entry.ended.is_none() && stays {
            shared.account_mut(context.node).crowded += 1;
            return false;
        }
        let weakest = weakest.clone();
        if let Some(mut entry) = self.entries.remove(&weakest)
            && entry.ended.is_none()
        {
            entry.end(about, context, shared, FindingEnd::Crowded);
            shared.account_mut(context.node).crowded += 1;
        }
        true
    }

    /// Time has passed: expires what was not heard of, forgets what ended long ago.
    pub(crate) fn pass(&mut self, about: &'static About, context: &Context<'_>, shared: &mut Shared) {
        if self.entries.is_empty() {
            return;
        }
        let (silent, remind) = (context.span(Limit::FindingSilent), context.span(Limit::FindingRemind));
        for entry in self.entries.values_mut().filter(|entry| entry.ended.is_none()) {
            if context.now >= entry.heard.saturating_add(silent) {
                entry.end(about, context, shared, FindingEnd::Silent);
            }
        }
        self.entries.retain(|_, entry| entry.ended.is_none_or(|ended| context.now < ended.saturating_add(remind)));
    }

    /// The node is forgotten: nobody will ever clear these.
    pub(crate) fn close(&mut self, about: &'static About, context: &Context<'_>, shared: &mut Shared) {
        for entry in self.entries.values_mut().filter(|entry| entry.ended.is_none()) {
            entry.end(about, context, shared, FindingEnd::Crowded);
        }
    }

    /// Its detector begins anew and can clear none of these.
    pub(crate) fn expire(&mut self, about: &'static About, context: &Context<'_>, shared: &mut Shared) {
        for entry in self.entries.values_mut().filter(|entry| entry.ended.is_none()) {
            entry.end(about, context, shared, FindingEnd::Silent);
        }
    }

    /// The clock was set back: nothing was told in the future.
    pub(crate) fn set_back(&mut self, now: u64) {
        for entry in self.entries.values_mut() {
            entry.told = entry.told.min(now);
            entry.heard = entry.heard.min(now);
            for time in [&mut entry.clear, &mut entry.ended] {
                *time = time.map(|time| time.min(now));
            }
        }
    }

    /// Peers are gone: one of them, or all.
    pub(crate) fn gone(&mut self, about: &'static About, context: &Context<'_>, shared: &mut Shared, peer: Option<u64>) {
        let concerned = |entity: &Entity| entity.peer().is_some_and(|id| peer.is_none_or(|gone| gone == id));
        for (_, entry) in self.entries.iter_mut().filter(|(entity, entry)| entry.ended.is_none() && concerned(entity)) {
            entry.end(about, context, shared, FindingEnd::Gone);
        }
    }
}

impl Entry {
    /// Whether it is one of those that are weighed together: what is only worth knowing at each node is no alarm about all of them.
    fn alarms(&self) -> bool {
        self.finding.severity >= Severity::Warn as i32
    }

    /// Makes it a part of the finding about the fleet, if there is one.
    fn join(&mut self, about: &'static About, shared: &Shared) -> bool {
        let (_, Some(whole)) = shared.fleet.together(about.id) else { return false };
        self.finding.part_of.clone_from(&whole.id);
        true
    }

    fn fill(&mut self, context: &Context<'_>, mut case: Case) {
        case.evidence.truncate(EVIDENCE);
        let finding = &mut self.finding;
        finding.score = case.score;
        finding.verdict = case.verdict.into();
        finding.inputs = case.inputs;
        finding.window_from = case.from;
        finding.window_to = context.now;
        finding.evidence = case.evidence;
        finding.summary = case.summary;
    }

    fn end(&mut self, about: &'static About, context: &Context<'_>, shared: &mut Shared, end: FindingEnd) {
        self.ended = Some(context.now);
        self.told = context.now;
        self.finding.end = end.into();
        if self.alarms() {
            shared.fleet.ended(about.id, about.place(context));
            shared.weigh(about, context);
        }
        let finding = Some(self.finding.clone());
        match end {
            FindingEnd::Cleared | FindingEnd::Gone => shared.say(about, context, FindingCleared { finding }),
            _ => shared.say(about, context, FindingExpired { finding }),
        }
    }
}

/// The same for the same detector, node, entity and time, and practically never for others.
fn id(detector: &str, node: &str, entity: &Entity, opened: u64) -> String {
    let mut hasher = SipHasher13::new();
    for part in [detector.as_bytes(), node.as_bytes(), &entity.bytes(), &opened.to_le_bytes()] {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part);
    }
    format!("{:016x}", hasher.finish128().h1)
}

/// The finding that an event tells of.
pub fn of(event: &Event) -> Option<&Finding> {
    match event.kind.as_ref()? {
        Kind::FindingOpened(m) => m.finding.as_ref(),
        Kind::FindingUpdated(m) => m.finding.as_ref(),
        Kind::FindingCleared(m) => m.finding.as_ref(),
        Kind::FindingExpired(m) => m.finding.as_ref(),
        _ => None,
    }
}
