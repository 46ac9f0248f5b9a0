//! The findings of one detector about one node that are open, and when to say something about them.
//!
//! A finding is opened when its criterion is met for the first time, often when it is only just met. It is told again when it gets worse,
//! when its score is twice the highest that was told (`finding.grown`), when it becomes uncertain or certain again, and otherwise at most
//! every half hour (`finding.remind`), as long as it is open, also while its criterion is not quite met any more. It is cleared when the
//! criterion was not met for a minute (`finding.settle`) without an interruption; it expires when its detector was silent for an hour
//! (`finding.silent`). Met again within half an hour after it was cleared, it is opened again, marked so that nobody is told twice.
//!
//! While its criterion is met, its numbers are looked at every ten seconds (`finding.look`), and what they were when it was strongest is what
//! its end tells: somebody who reads one line reads how bad it was.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use event::{Finding, FindingCleared, FindingEnd, FindingExpired, FindingOpened, FindingUpdated, Severity};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::detector::About;
use crate::finding::{Case, Entity, Judgement};
use crate::guard::Guard;
use crate::ledger::{Ledger, finding_id};
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
    /// As it was last told.
    #[serde(with = "wire")]
    finding: Finding,
    /// How strong that was.
    strength: Strength,
    /// What it was when it was strongest, if that was not told last.
    strongest: Option<Box<Strongest>>,
    /// The highest score that was told.
    highest: f64,
    /// When its numbers were last looked at.
    looked: u64,
    /// When something was last told of it; 0 while it is to be said again.
    told: u64,
    /// When the detector last said anything of it.
    heard: u64,
    /// Since when the criterion has not been met.
    clear: Option<u64>,
    /// When it ended; then it is only remembered.
    ended: Option<u64>,
}

/// How strongly a criterion is met: first how severely, then by how much.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug, Serialize, Deserialize)]
struct Strength(i32, f64);

/// A finding at another time than when it was last told.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Strongest {
    strength: Strength,
    #[serde(with = "wire")]
    finding: Finding,
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
        ledger: &mut Ledger,
        entity: &Entity,
        judgement: Judgement,
        case: impl FnOnce() -> Case,
    ) {
        let now = context.now;
        let remind = context.span(Limit::FindingRemind);
        let open = self.entries.get_mut(entity).filter(|entry| entry.ended.is_none());
        let (entry, severity) = match (open, judgement) {
            (None, Judgement::Fires(severity)) => {
                if self.make_room(about, context, ledger, entity, severity) {
                    self.open(about, context, ledger, entity, severity, case());
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
                    ledger.say(about, context, FindingUpdated { finding: Some(entry.finding.clone()) });
                }
                return;
            }
            (Some(entry), Judgement::Holds) => {
                entry.heard = now;
                entry.clear = None;
                // it lasts, as it was last told: the criterion is not met, and its numbers may be nothing to say
                if now >= entry.told.saturating_add(remind) {
                    entry.told = now;
                    ledger.say(about, context, FindingUpdated { finding: Some(entry.finding.clone()) });
                }
                return;
            }
            (Some(entry), Judgement::Clear) => {
                entry.heard = now;
                entry.finding.unknown = false;
                let since = *entry.clear.get_or_insert(now);
                if now >= since.saturating_add(context.span(Limit::FindingSettle)) {
                    entry.end(about, context, ledger, FindingEnd::Cleared);
                }
                return;
            }
        };
        entry.heard = now;
        entry.clear = None;
        let worse = severity as i32 > entry.finding.severity;
        let certain = std::mem::take(&mut entry.finding.unknown);
        let joined = entry.finding.part_of.is_empty() && entry.join(about, ledger);
        let due = worse || certain || joined || now >= entry.told.saturating_add(remind);
        if !due && now < entry.looked.saturating_add(context.span(Limit::FindingLook)) {
            return;
        }
        entry.looked = now;
        let case = case();
        let strength = Strength(severity.into(), case.score);
        if due || entry.has_grown(strength, context) {
            let alarmed = entry.alarms();
            entry.finding.severity = entry.finding.severity.max(severity.into());
            if entry.alarms() && !alarmed {
                ledger.fleet.opened(about.id, about.place(context), entry.finding.window_from);
                ledger.weigh(about, context);
            }
            entry.show(context, strength, case);
            entry.told = now;
            ledger.say(about, context, FindingUpdated { finding: Some(entry.finding.clone()) });
        } else {
            entry.remember(context, strength, case);
        }
    }

    fn open(
        &mut self,
        about: &'static About,
        context: &Context<'_>,
        ledger: &mut Ledger,
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
            id: finding_id(about.id, about.place(context), entity, now),
            entity: Some(entity.message(address)),
            severity: severity.into(),
            opened: now,
            does_not_prove: about.does_not_prove.to_owned(),
            again,
            ..Finding::default()
        };
        let strength = Strength(severity.into(), case.score);
        let mut entry = Entry {
            finding,
            strength,
            strongest: None,
            highest: case.score,
            looked: now,
            told: now,
            heard: now,
            clear: None,
            ended: None,
        };
        fill(&mut entry.finding, context, case);
        if entry.alarms() {
            ledger.fleet.opened(about.id, about.place(context), entry.finding.window_from);
            ledger.weigh(about, context);
        }
        if entry.join(about, ledger) {
            ledger.keep_back(about, context, Guard::Fleet, Some(entity));
        }
        ledger.say(about, context, FindingOpened { finding: Some(entry.finding.clone()) });
        self.entries.insert(entity.clone(), entry);
    }

    /// The mildest that is open gives way, the oldest of those; what is only remembered goes first. Nobody gives way to a milder one, nor to
    /// one like himself while his detector still judges him: they would take turns, and each would be told as new. Then there is no room.
    fn make_room(
        &mut self,
        about: &'static About,
        context: &Context<'_>,
        ledger: &mut Ledger,
        entity: &Entity,
        severity: Severity,
    ) -> bool {
        // who is remembered comes back into his own place
        if self.entries.len() < MOST || self.entries.contains_key(entity) {
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
            ledger.account_mut(context.node).crowded += 1;
            return false;
        }
        let weakest = weakest.clone();
        if let Some(mut entry) = self.entries.remove(&weakest)
            && entry.ended.is_none()
        {
            entry.end(about, context, ledger, FindingEnd::Crowded);
            ledger.account_mut(context.node).crowded += 1;
        }
        true
    }

    /// What is open is to be said again: whoever follows cannot know that it was gone on with.
    pub(crate) fn restate(&mut self) {
        self.entries.values_mut().filter(|entry| entry.ended.is_none()).for_each(|entry| entry.told = 0);
    }

    /// Time has passed: expires what was not heard of, says again what is to be, forgets what ended long ago.
    pub(crate) fn pass(&mut self, about: &'static About, context: &Context<'_>, ledger: &mut Ledger) {
        if self.entries.is_empty() {
            return;
        }
        let (silent, remind) = (context.span(Limit::FindingSilent), context.span(Limit::FindingRemind));
        for entry in self.entries.values_mut().filter(|entry| entry.ended.is_none()) {
            if context.now >= entry.heard.saturating_add(silent) {
                entry.end(about, context, ledger, FindingEnd::Silent);
            } else if entry.told == 0 {
                entry.told = context.now;
                ledger.say(about, context, FindingUpdated { finding: Some(entry.finding.clone()) });
            }
        }
        self.entries.retain(|_, entry| entry.ended.is_none_or(|ended| context.now < ended.saturating_add(remind)));
    }

    /// Ends all that is open, because nobody can clear it any more: the node is forgotten, or the detector begins anew.
    pub(crate) fn end_all(&mut self, about: &'static About, context: &Context<'_>, ledger: &mut Ledger, end: FindingEnd) {
        for entry in self.entries.values_mut().filter(|entry| entry.ended.is_none()) {
            entry.end(about, context, ledger, end);
        }
    }

    /// The clock was set back: nothing was told in the future.
    pub(crate) fn set_back(&mut self, now: u64) {
        for entry in self.entries.values_mut() {
            entry.told = entry.told.min(now);
            entry.looked = entry.looked.min(now);
            entry.heard = entry.heard.min(now);
            for time in [&mut entry.clear, &mut entry.ended] {
                *time = time.map(|time| time.min(now));
            }
        }
    }

    /// Peers are gone: one of them, or all.
    pub(crate) fn gone(&mut self, about: &'static About, context: &Context<'_>, ledger: &mut Ledger, peer: Option<u64>) {
        let concerned = |entity: &Entity| entity.peer().is_some_and(|id| peer.is_none_or(|gone| gone == id));
        for (_, entry) in self.entries.iter_mut().filter(|(entity, entry)| entry.ended.is_none() && concerned(entity)) {
            entry.end(about, context, ledger, FindingEnd::Gone);
        }
    }
}

impl Entry {
    /// Whether it is one of those that are weighed together: what is only worth knowing at each node is no alarm about all of them.
    fn alarms(&self) -> bool {
        self.finding.severity >= Severity::Warn as i32
    }

    /// Makes it a part of the finding about the fleet, if there is one.
    fn join(&mut self, about: &'static About, ledger: &Ledger) -> bool {
        let (_, Some(whole)) = ledger.fleet.together(about.id) else { return false };
        self.finding.part_of.clone_from(&whole.id);
        true
    }

    /// Whether so much more is the case than was ever told that somebody should hear of it. It doubles a few times only.
    fn has_grown(&self, strength: Strength, context: &Context<'_>) -> bool {
        let Strength(severity, score) = strength;
        let told = self.highest.max(1.0);
        severity >= self.finding.severity && score > told && score >= told * context.limit(Limit::FindingGrown)
    }

    /// What is the case now is what is told.
    fn show(&mut self, context: &Context<'_>, strength: Strength, case: Case) {
        if self.strength > strength && self.strongest.as_ref().is_none_or(|known| self.strength > known.strength) {
            self.strongest = Some(Box::new(Strongest { strength: self.strength, finding: self.finding.clone() }));
        }
        self.strongest.take_if(|known| known.strength <= strength);
        self.strength = strength;
        self.highest = self.highest.max(case.score);
        fill(&mut self.finding, context, case);
    }

    /// What is the case now is what its end will tell, if it was never stronger.
    fn remember(&mut self, context: &Context<'_>, strength: Strength, case: Case) {
        let most = self.strongest.as_ref().map_or(self.strength, |known| known.strength);
        if strength > most {
            let mut finding = self.finding.clone();
            fill(&mut finding, context, case);
            self.strongest = Some(Box::new(Strongest { strength, finding }));
        }
    }

    fn end(&mut self, about: &'static About, context: &Context<'_>, ledger: &mut Ledger, end: FindingEnd) {
        self.ended = Some(context.now);
        self.told = context.now;
        if let Some(strongest) = self.strongest.take() {
            let Finding { severity, unknown, .. } = self.finding;
            let part_of = std::mem::take(&mut self.finding.part_of);
            self.finding = Finding { severity, unknown, part_of, ..strongest.finding };
        }
        self.finding.end = end.into();
        if self.alarms() {
            ledger.fleet.ended(about.id, about.place(context));
            ledger.weigh(about, context);
        }
        let finding = Some(self.finding.clone());
        match end {
            FindingEnd::Cleared | FindingEnd::Gone => ledger.say(about, context, FindingCleared { finding }),
            _ => ledger.say(about, context, FindingExpired { finding }),
        }
    }
}

/// The numbers of a finding as they are now.
fn fill(finding: &mut Finding, context: &Context<'_>, mut case: Case) {
    case.evidence.truncate(EVIDENCE);
    finding.score = case.score;
    finding.verdict = case.verdict.into();
    finding.inputs = case.inputs;
    finding.window_from = case.from;
    finding.window_to = context.now;
    finding.evidence = case.evidence;
    finding.summary = case.summary;
}
