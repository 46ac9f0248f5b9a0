//! Which incident a finding belongs to, and what that makes of the incident.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::Hasher as _;

use event::{
    Event, Finding, FindingEnd, Incident, IncidentChanged, IncidentOpened, IncidentPlace, IncidentReopened, IncidentResolved,
    IncidentState, Kind, Severity, Source,
};
use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::key::{Key, Place, is_stranger};
use super::{BURST, BURST_TIME, FAMILY, REOPEN, RESERVE, SETTLE, SILENT, STORM, UNHEARD, family, life};
use crate::finding::of;
use crate::ledger::FLEET;
use crate::time::{HOUR, MINUTE};
use crate::wire;

/// Findings whose end is waited for. More are counted as not followed.
const FOLLOWED: usize = 1 << 17;
/// Incidents that are resolved and remembered here, to be open again or to be similar.
const REMEMBERED: usize = 256;
/// Nodes whose clock is known; the one that is behind the others gives way.
const CLOCKS: usize = 1024;
/// Nodes, strangers and detectors that an incident lists, and marks by which findings know it.
const PLACES: usize = 64;
const STRANGERS: usize = 32;
const DETECTORS: usize = 32;
const KEYS: usize = 256;
/// Similar incidents that are named.
const SIMILAR: usize = 5;
/// How often it is looked whether something has fallen silent.
const LOOK: u64 = 10 * MINUTE;

/// An incident, and what the correlator has to know to go on with it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Live {
    /// What is known of it.
    #[serde(with = "wire")]
    pub incident: Incident,
    /// By what findings know it.
    keys: BTreeSet<Key>,
    /// Since when none of its findings lasts, by the clock of the node below.
    quiet: Option<u64>,
    /// The node that spoke last.
    node: String,
    /// Nodes and findings when a change was last told.
    told: (usize, u64),
    /// When it was resolved, by the clock of the node that spoke last; 0 while it is not, and if a release resolved it that did not keep this.
    over: u64,
}

impl Live {
    /// The bytes of one that [`serde`] wrote by postcard, as this release reads them: what was added at the end since is 0 in older ones.
    pub fn padded(bytes: &[u8]) -> Vec<u8> {
        [bytes, &[0]].concat()
    }
}

/// A finding that lasts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Followed {
    /// In which incident.
    pub incident: u64,
    /// At which node.
    node: String,
    /// When something was last heard of it, by the clock of the node.
    heard: u64,
    /// Which run of the detectors said so; 0 where that says nothing: of a replay, of the whole fleet, and as of a release that did not keep it.
    run: u64,
}

impl Followed {
    /// As [`Live::padded`].
    pub fn padded(bytes: &[u8]) -> Vec<u8> {
        [bytes, &[0]].concat()
    }
}

/// One life of the detectors at a node.
#[derive(Debug)]
struct Run {
    /// Its number.
    run: u64,
    /// Since when it alone beats, by the clock of the node.
    since: u64,
    /// Findings of others were given up.
    looked: bool,
}

/// What there is to know besides incidents and findings.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Usual {
    /// The number of the last incident.
    pub last: u64,
    /// When incidents were opened, the latest.
    opened: VecDeque<u64>,
    /// Ends of findings that belong to no incident: their beginning was before the book.
    pub strays: u64,
    /// As `opened`, of replays.
    replayed: VecDeque<u64>,
}

impl Usual {
    /// As [`Live::padded`].
    pub fn padded(bytes: &[u8]) -> Vec<u8> {
        [bytes, &[0]].concat()
    }
}

/// A change of an incident: one of the kinds of the family `incident`, and when.
#[derive(Clone, PartialEq, Debug)]
pub struct Told {
    /// Nanoseconds since the epoch.
    pub time: u64,
    /// What.
    pub kind: Kind,
}

impl Told {
    /// Whether it is of a replay.
    pub fn is_replay(&self) -> bool {
        super::of(&self.kind).is_some_and(|incident| incident.replay)
    }
}

/// Makes incidents of findings.
///
/// What it needs to go on after a restart is [`Live`], [`Followed`] and [`Usual`]; what of these changed is asked for with
/// [`take_changed`](Self::take_changed) and [`take_followed`](Self::take_followed).
#[derive(Debug, Default)]
pub struct Correlator {
    book: String,
    usual: Usual,
    /// Instead of [`SETTLE`], nanoseconds.
    settle: Option<u64>,
    lives: BTreeMap<u64, Live>,
    keys: BTreeMap<Key, u64>,
    followed: BTreeMap<u64, Followed>,
    /// The time at each node.
    clocks: BTreeMap<String, u64>,
    /// Who finds at each node.
    runs: BTreeMap<String, Run>,
    /// When it was last looked for silence, by the time of the middle node.
    looked: u64,
    told: Vec<Told>,
    changed: BTreeSet<u64>,
    changed_followed: BTreeSet<u64>,
}

impl Correlator {
    /// One that goes on with what was kept.
    pub fn new(
        book: String,
        usual: Usual,
        lives: impl IntoIterator<Item = Live>,
        followed: impl IntoIterator<Item = (u64, Followed)>,
    ) -> Self {
        let lives: BTreeMap<u64, Live> = lives.into_iter().map(|live| (live.incident.number, live)).collect();
        let mut keys = BTreeMap::new();
        for (number, live) in &lives {
            keys.extend(live.keys.iter().map(|key| (key.clone(), *number)));
        }
        Self { book, usual, lives, keys, followed: followed.into_iter().collect(), ..Self::default() }
    }

    /// How long none of its findings has to have lasted for an incident to be resolved, nanoseconds, instead of [`SETTLE`]. It counts for those
    /// that are open as well.
    pub fn settle_after(&mut self, settle: u64) {
        self.settle = Some(settle);
    }

    /// As another was told that it takes the place of.
    pub fn settle_as(&mut self, other: &Self) {
        self.settle = other.settle;
    }

    /// Looks at an event. Gives the number of the incident that it belongs to, if it is a finding.
    pub fn observe(&mut self, event: &Event) -> Option<u64> {
        // a tool that tells of the past does so now
        if event.source != i32::from(Source::Tool) {
            self.move_clock(&event.node, event.time);
        }
        if let (Source::Detect, Some(Kind::HealthBeat(_)), false) = (event.source(), &event.kind, event.replay) {
            self.beaten(&event.node, event.run, event.time);
        }
        // what was over by then is over, also where nothing else tells of the time, as between findings of a recording
        self.pass(&event.node);
        match (&event.kind, of(event)) {
            (Some(kind), Some(finding)) => self.found(event, kind, finding),
            _ => None,
        }
    }

    /// What has changed since this was asked last, in order.
    pub fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// Incidents that are not as they were: what is to be kept of them, or nothing if they need not be known here any more.
    pub fn take_changed(&mut self) -> Vec<(u64, Option<Live>)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|number| (number, self.lives.get(&number).cloned())).collect()
    }

    /// Findings that last, or do not last any more.
    pub fn take_followed(&mut self) -> Vec<(u64, Option<Followed>)> {
        let changed = std::mem::take(&mut self.changed_followed);
        changed.into_iter().map(|id| (id, self.followed.get(&id).cloned())).collect()
    }

    /// Forgets an incident that is over and none of whose findings lasts: it is not kept any more.
    pub fn forget(&mut self, number: u64) {
        let over = |live: &Live| live.incident.state() == IncidentState::Resolved && live.incident.lasting == 0;
        if self.lives.get(&number).is_some_and(over) {
            self.drop_life(number);
        }
    }

    /// What there is to know besides.
    pub fn usual(&self) -> &Usual {
        &self.usual
    }

    /// An incident, if it is known here: one that lasts, or was resolved not long ago.
    pub fn incident(&self, number: u64) -> Option<&Incident> {
        self.lives.get(&number).map(|live| &live.incident)
    }

    /// Does something to an incident that is known here: see [`life`].
    ///
    /// # Errors
    ///
    /// What `act` fails with.
    pub fn act<E>(&mut self, number: u64, act: impl FnOnce(&mut Incident) -> Result<Kind, E>) -> Option<Result<Told, E>> {
        let live = self.lives.get(&number)?;
        // whoever acts has another clock than the node, and it is by the node's that its findings are soon or late
        let clock = self.now(&live.node).max(live.incident.changed);
        let live = self.lives.get_mut(&number)?;
        let lasted = live.incident.state() != IncidentState::Resolved;
        let done = act(&mut live.incident).map(|kind| Told { time: live.incident.changed, kind });
        if done.is_ok() {
            if lasted && live.incident.state() == IncidentState::Resolved {
                live.over = clock;
            }
            self.changed.insert(number);
            self.forget_old();
        }
        Some(done)
    }

    fn move_clock(&mut self, node: &str, time: u64) {
        if let Some(clock) = self.clocks.get_mut(node) {
            // a clock that was set back counts as it is now
            *clock = if *clock > time.saturating_add(HOUR) { time } else { time.max(*clock) };
            return;
        }
        if self.clocks.len() >= CLOCKS
            && let Some(behind) = self.clocks.iter().min_by_key(|(_, time)| **time).map(|(node, _)| node.clone())
        {
            self.clocks.remove(&behind);
        }
        self.clocks.insert(node.to_owned(), time);
    }

    /// Detectors are at work at a node. What an earlier run of them found they know of, and say again at once, if they kept their state; if not,
    /// nobody says any more that it is over.
    fn beaten(&mut self, node: &str, run: u64, time: u64) {
        let known = self.runs.get(node).is_some_and(|known| known.run == run && known.since <= time);
        if !known {
            if self.runs.len() >= CLOCKS
                && !self.runs.contains_key(node)
                && let Some(first) = self.runs.iter().min_by_key(|(_, run)| run.since).map(|(node, _)| node.clone())
            {
                self.runs.remove(&first);
            }
            self.runs.insert(node.to_owned(), Run { run, since: time, looked: false });
        }
        let Some(known) = self.runs.get_mut(node).filter(|known| !known.looked && time >= known.since.saturating_add(UNHEARD))
        else {
            return;
        };
        known.looked = true;
        let of_others = |of: &Followed| of.node == node && of.run != 0 && of.run != run;
        let unheard: Vec<u64> = self.followed.iter().filter(|(_, of)| of_others(of)).map(|(id, _)| *id).collect();
        let mut counts = BTreeMap::<u64, u64>::new();
        for id in unheard {
            if let Some(of) = self.followed.get(&id) {
                *counts.entry(of.incident).or_default() += 1;
            }
            self.end(id, FindingEnd::Silent);
        }
        for (number, unheard) in counts {
            let Some(live) = self.lives.get_mut(&number) else { continue };
            life::touch(&mut live.incident, time);
            let incident = Some(live.incident.clone());
            self.told.push(Told { time, kind: IncidentChanged { incident, unheard, ..IncidentChanged::default() }.into() });
        }
    }

    /// The time at a node; of one that fell silent, and of all together, that of the middle one.
    fn now(&self, node: &str) -> u64 {
        self.now_by(node, self.middle())
    }

    fn middle(&self) -> Option<u64> {
        let mut all: Vec<u64> = self.clocks.iter().filter(|(name, _)| *name != FLEET).map(|(_, time)| *time).collect();
        let middle = all.len().checked_sub(1)? / 2;
        Some(*all.select_nth_unstable(middle).1)
    }

    fn now_by(&self, node: &str, middle: Option<u64>) -> u64 {
        match (self.clocks.get(node).copied(), middle) {
            (Some(own), Some(middle)) if node == FLEET || middle > own.saturating_add(REOPEN) => middle.max(own),
            (Some(own), _) => own,
            (None, middle) => middle.unwrap_or(0),
        }
    }

    fn found(&mut self, event: &Event, kind: &Kind, finding: &Finding) -> Option<u64> {
        let (node, time, replay) = (event.node.as_str(), event.time, event.replay);
        let ends = matches!(kind, Kind::FindingCleared(_) | Kind::FindingExpired(_));
        // what was found twice, then and in a replay of it, is two
        let id = if replay { !id(finding) } else { id(finding) };
        let keys = Key::of(node, finding, replay);
        let known = self.followed.get(&id).map(|followed| followed.incident).filter(|number| self.lives.contains_key(number));
        let number = match known {
            Some(number) => number,
            None if ends => {
                // not followed, or from before the book
                let Some(number) = self.by_keys(&keys, time) else {
                    self.usual.strays += 1;
                    return None;
                };
                number
            }
            None => self.home(&keys, time, finding, replay),
        };
        let live = self.lives.get_mut(&number)?;
        let before = live.incident.severity();
        live.add(node, finding, known.is_none() && !ends, time);
        for key in keys {
            self.mark(number, key);
        }
        self.changed.insert(number);
        if ends {
            self.end(id, finding.end());
        } else {
            let run = if replay || node == FLEET || event.source() != Source::Detect { 0 } else { event.run };
            let followed = Followed { incident: number, node: node.to_owned(), heard: time, run };
            self.follow(id, followed, known.is_none());
        }
        self.tell(number, time, finding, before, known.is_none() && !ends);
        Some(number)
    }

    /// From now on findings with this mark belong to this incident, and to no other.
    fn mark(&mut self, number: u64, key: Key) {
        let Some(live) = self.lives.get_mut(&number) else { return };
        if live.keys.len() >= KEYS || !live.keys.insert(key.clone()) {
            return;
        }
        let before = self.keys.insert(key.clone(), number);
        if let Some(other) = before.and_then(|other| self.lives.get_mut(&other)) {
            other.keys.remove(&key);
        }
    }

    /// An incident that a finding with these marks belongs to: rules 2 to 4.
    fn by_keys(&self, keys: &[Key], time: u64) -> Option<u64> {
        let usable = |number: &u64| {
            let live = self.lives.get(number)?;
            let over = if live.over == 0 { live.incident.resolved() } else { live.over };
            // of two clocks that are far apart neither says what is recent
            let recent = live.incident.state() != IncidentState::Resolved || time.abs_diff(over) <= REOPEN;
            recent.then_some(*number)
        };
        let by_mark = keys.iter().find_map(|key| self.keys.get(key).and_then(usable));
        by_mark.or_else(|| {
            let fleet = keys.iter().find(|key| key.place == Place::Fleet)?;
            let (family, replay) = fleet.family();
            self.lasting(family, replay).next()
        })
    }

    /// The incidents of a family that last, the oldest first.
    fn lasting<'a>(&'a self, family: &'a str, replay: bool) -> impl Iterator<Item = u64> + 'a {
        let lasts = move |live: &&Live| {
            let Incident { family: of, replay: replayed, .. } = &live.incident;
            of == family && *replayed == replay && live.incident.state() != IncidentState::Resolved
        };
        self.lives.values().filter(lasts).map(|live| live.incident.number)
    }

    /// The incident of a finding that is in none yet.
    fn home(&mut self, keys: &[Key], time: u64, finding: &Finding, replay: bool) -> u64 {
        if let Some(number) = self.by_keys(keys, time) {
            return number;
        }
        let family = family(&finding.detector);
        let mut lasting = self.lasting(family, replay);
        if let (Some(oldest), FAMILY..) = (lasting.next(), 1 + lasting.count()) {
            return oldest;
        }
        let storm = Key::new(STORM, Place::Storm, replay);
        let known = self.keys.get(&storm).and_then(|number| self.lives.get(number)).map(|live| &live.incident);
        let raging = known.is_some_and(|storm| storm.state() != IncidentState::Resolved);
        let known = known.map(|storm| storm.number);
        let of = if replay { &mut self.usual.replayed } else { &mut self.usual.opened };
        // a clock that is far off is nobody's measure but its own
        let recent = of.iter().filter(|opened| time.abs_diff(**opened) <= BURST_TIME).count();
        let most = if finding.severity() == Severity::Critical { BURST + RESERVE } else { BURST };
        if recent < most && (!raging || most > BURST) {
            of.push_back(time);
            if of.len() > BURST + RESERVE {
                of.pop_front();
            }
            return self.open(family, time, finding, keys.first(), replay);
        }
        match known {
            Some(number) if self.by_keys(std::slice::from_ref(&storm), time).is_some() => number,
            _ => {
                let number = self.open(STORM, time, finding, None, replay);
                // from the one before, too: when that one is forgotten, this one still is the storm
                self.mark(number, storm);
                number
            }
        }
    }

    fn open(&mut self, family: &str, time: u64, finding: &Finding, key: Option<&Key>, replay: bool) -> u64 {
        self.usual.last += 1;
        let number = self.usual.last;
        let mut incident = Incident {
            number,
            book: self.book.clone(),
            family: family.to_owned(),
            opened: time,
            similar: self.similar(&finding.detector, key),
            replay,
            ..Incident::default()
        };
        incident.set_state(IncidentState::Open);
        self.lives.insert(number, Live { incident, ..Live::default() });
        number
    }

    /// Incidents about the same stranger, then those of the same detector; the latest first.
    fn similar(&self, detector: &str, key: Option<&Key>) -> Vec<u64> {
        let stranger = key.filter(|key| matches!(key.place, Place::Stranger(..)));
        let likeness = |live: &Live| {
            let same = stranger.is_some_and(|key| live.keys.contains(key));
            let detector = live.incident.detectors.iter().any(|of| of == detector);
            (same || detector).then_some((same, live.incident.number))
        };
        let mut similar: Vec<_> = self.lives.values().filter_map(likeness).collect();
        similar.sort_unstable_by(|a, b| b.cmp(a));
        similar.into_iter().map(|(_, number)| number).take(SIMILAR).collect()
    }

    fn follow(&mut self, id: u64, followed: Followed, new: bool) {
        let Some(live) = self.lives.get_mut(&followed.incident) else { return };
        if new {
            if self.followed.len() >= FOLLOWED {
                live.incident.unfollowed += 1;
                // nobody will say when it is over: the incident ends by silence, from the last that was heard
                if live.incident.lasting == 0 {
                    live.quiet = Some(followed.heard);
                }
                return;
            }
            live.incident.lasting += 1;
        }
        live.quiet = None;
        self.followed.insert(id, followed);
        self.changed_followed.insert(id);
    }

    fn end(&mut self, id: u64, end: FindingEnd) {
        let Some(Followed { incident: number, node, .. }) = self.followed.remove(&id) else { return };
        self.changed_followed.insert(id);
        self.changed.insert(number);
        let now = self.now(&node);
        let Some(live) = self.lives.get_mut(&number) else { return };
        let incident = &mut live.incident;
        incident.lasting = incident.lasting.saturating_sub(1);
        incident.set_end(end);
        if incident.lasting == 0 {
            live.node = node;
            live.quiet = Some(now);
        }
    }

    /// Says what has changed, if there is something to say.
    fn tell(&mut self, number: u64, time: u64, finding: &Finding, before: Severity, new: bool) {
        let Some(live) = self.lives.get_mut(&number) else { return };
        let incident = &mut live.incident;
        let places = incident.places.len();
        let kind: Kind = match incident.state() {
            _ if incident.findings == 1 && new && incident.reopened == 0 => {
                live.told = (places, 1);
                IncidentOpened { incident: Some(incident.clone()) }.into()
            }
            IncidentState::Resolved if new || finding.severity() > before => {
                incident.set_state(IncidentState::Open);
                incident.set_severity(finding.severity());
                incident.finding = Some(finding.clone());
                incident.finding_node = node_of(&live.node);
                live.over = 0;
                incident.reopened = incident.reopened.saturating_add(1);
                incident.resolved = None;
                incident.owner.clear();
                live.told = (places, incident.findings);
                IncidentReopened { incident: Some(incident.clone()) }.into()
            }
            IncidentState::Resolved => return,
            _ => {
                let worse = incident.severity() > before;
                let spread = places >= 2 * live.told.0.max(1);
                if !worse && !spread && incident.findings < 10 * live.told.1.max(1) {
                    return;
                }
                live.told = (places, incident.findings);
                IncidentChanged { incident: Some(incident.clone()), worse, spread, unheard: 0 }.into()
            }
        };
        self.told.push(Told { time, kind });
    }

    /// Time has passed at a node: what was quiet for long enough is over, what fell silent does not last.
    fn pass(&mut self, node: &str) {
        let middle = self.middle();
        let now = middle.unwrap_or_else(|| self.now(node));
        if now >= self.looked.saturating_add(LOOK) || now < self.looked {
            self.looked = now;
            let silent =
                |(id, of): (&u64, &Followed)| (self.now_by(&of.node, middle) >= of.heard.saturating_add(SILENT)).then_some(*id);
            let silent: Vec<u64> = self.followed.iter().filter_map(silent).collect();
            for id in silent {
                self.end(id, FindingEnd::Silent);
            }
        }
        let settle = self.settle.unwrap_or(SETTLE);
        let over = |live: &Live| {
            let quiet = live.quiet.filter(|_| live.incident.state() != IncidentState::Resolved)?;
            let now = self.now_by(&live.node, middle);
            (now >= quiet.saturating_add(settle)).then_some((live.incident.number, now))
        };
        let over: Vec<(u64, u64)> = self.lives.values().filter_map(over).collect();
        for (number, now) in over {
            let Some(live) = self.lives.get_mut(&number) else { continue };
            let incident = &mut live.incident;
            life::touch(incident, now);
            incident.set_state(IncidentState::Resolved);
            incident.resolved = Some(now);
            live.over = now;
            live.quiet = None;
            let kind = IncidentResolved { incident: Some(incident.clone()), ..IncidentResolved::default() };
            self.told.push(Told { time: now, kind: kind.into() });
            self.changed.insert(number);
            self.forget_old();
        }
    }

    /// Those that were resolved first need not be known here any more; findings of theirs may still last.
    fn forget_old(&mut self) {
        let resolved = |live: &&Live| live.incident.state() == IncidentState::Resolved;
        while self.lives.values().filter(resolved).count() > REMEMBERED {
            let first = self.lives.values().filter(resolved).min_by_key(|live| (live.incident.resolved(), live.incident.number));
            let Some(number) = first.map(|live| live.incident.number) else { return };
            self.drop_life(number);
            self.changed.insert(number);
        }
    }

    fn drop_life(&mut self, number: u64) {
        for key in self.lives.remove(&number).iter().flat_map(|live| &live.keys) {
            self.keys.remove(key);
        }
    }
}

impl Live {
    /// Takes in what a finding says.
    fn add(&mut self, node: &str, finding: &Finding, new: bool, time: u64) {
        node.clone_into(&mut self.node);
        let incident = &mut self.incident;
        life::touch(incident, time);
        incident.unknown = finding.unknown;
        if finding.severity() >= incident.severity() || incident.finding.as_ref().is_some_and(|of| of.id == finding.id) {
            incident.set_severity(incident.severity().max(finding.severity()));
            incident.verdict = finding.verdict;
            incident.finding = Some(finding.clone());
            incident.finding_node = node_of(node);
        }
        if !new {
            return;
        }
        incident.findings += 1;
        // a finding about all of them names none
        match incident.places.iter().position(|place| place.node == node) {
            Some(at) => incident.places[at].findings += 1,
            _ if node == FLEET => {}
            None if incident.places.len() < PLACES => incident.places.push(IncidentPlace { node: node.to_owned(), findings: 1 }),
            None => incident.elsewhere += 1,
        }
        if !incident.detectors.contains(&finding.detector) && incident.detectors.len() < DETECTORS {
            incident.detectors.push(finding.detector.clone());
        }
        let known = |entity: &event::FindingEntity| incident.strangers.contains(entity);
        let stranger = finding.entity.as_ref().filter(|entity| is_stranger(entity.kind()) || entity.peer.is_some());
        if let Some(entity) = stranger.filter(|entity| !known(entity)) {
            if incident.strangers.len() < STRANGERS {
                incident.strangers.push(entity.clone());
            } else {
                incident.others += 1;
            }
        }
    }
}

/// A node as an incident names it.
fn node_of(node: &str) -> String {
    if node == FLEET { String::new() } else { node.to_owned() }
}

/// A finding by a number: its id, which is one in hex unless somebody else than a detector of ours made it.
pub fn id(finding: &Finding) -> u64 {
    let text = finding.id.as_str();
    if text.len() == 16
        && let Ok(number) = u64::from_str_radix(text, 16)
    {
        return number;
    }
    let mut hasher = SipHasher13::new();
    hasher.write(text.as_bytes());
    hasher.finish128().h1
}
