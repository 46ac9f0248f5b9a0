//! The incident book in use: through its door, killed at any moment, in a storm.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Delivery, Limits, Publisher, Subscription};
use clap::{Args as _, FromArgMatches as _};
use detect::time::SECOND;
use event::{
    EntityKind, Event, Filter, Finding, FindingCleared, FindingEntity, FindingOpened, HealthBeat, IncidentState, Kind, KindSet,
    NetPing, Severity, Source,
};
use tokio::sync::mpsc;
use tools::incidents::ask::{Answer, Ask, Trouble};
use tools::incidents::door::{self, Access};
use tools::incidents::{Act, Audience, Book, BookError, Config, Doors, Place, filter, run};

const START: u64 = 1_750_000_000 * SECOND;

fn finding(id: u64, detector: &str, severity: Severity) -> Option<Finding> {
    let entity = FindingEntity {
        kind: EntityKind::Range.into(),
        address: format!("10.{}.{}.0/24", id / 256 % 256, id % 256),
        ..FindingEntity::default()
    };
    Some(Finding {
        id: format!("{id:016x}"),
        detector: detector.into(),
        entity: Some(entity),
        severity: severity.into(),
        ..Finding::default()
    })
}

fn opened(id: u64, detector: &str, severity: Severity) -> Kind {
    FindingOpened { finding: finding(id, detector, severity) }.into()
}

fn cleared(id: u64, detector: &str, severity: Severity) -> Kind {
    FindingCleared { finding: finding(id, detector, severity) }.into()
}

fn config(book: &Path, archives: Vec<PathBuf>) -> Config {
    let place = Place { incidents_book: Some(book.to_owned()) };
    Config { place, incidents_archive: archives, incidents_evidence: tools::archive::amount::Size(1 << 20), ..by_default() }
}

/// As it is without any flag.
fn by_default() -> Config {
    let matches = Config::augment_args(clap::Command::new("test")).get_matches_from([""; 0]);
    Config::from_arg_matches(&matches).unwrap()
}

/// A book that is kept by a task, and a bus.
struct World {
    _folder: Option<tempfile::TempDir>,
    path: PathBuf,
    questions: door::Questions,
    bus: Bus,
    findings: Publisher,
    incidents: Subscription,
    stop: tokio::sync::oneshot::Sender<()>,
    work: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl World {
    async fn new(archives: Vec<PathBuf>, audience: impl Audience + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Self::at(folder.path().join("book"), archives, audience).await;
        Self { _folder: Some(folder), ..world }
    }

    async fn at(path: PathBuf, archives: Vec<PathBuf>, audience: impl Audience + 'static) -> Self {
        let config = config(&path, archives);
        Self::kept(path, config, audience).await
    }

    async fn kept(path: PathBuf, config: Config, audience: impl Audience + 'static) -> Self {
        let book = Book::open(&path).unwrap();
        let bus = Bus::local();
        let events = bus.subscribe(filter(), Limits::default()).await.unwrap();
        let incidents = Filter { kinds: KindSet::matching("incident").unwrap(), nodes: vec![] };
        let incidents = bus.subscribe(incidents, Limits::default()).await.unwrap();
        let (questions, guests) = door::questions();
        tokio::spawn(door::open(&path, questions.clone()).unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let doors = Doors { guests, receipts: mpsc::channel(1).1 };
        let stopped = async move { drop(stopped.await) };
        let work = tokio::spawn(run(config, book, events, bus.clone(), doors, audience, stopped));
        let findings = bus.publisher("alice".parse().unwrap(), Source::Detect);
        Self { _folder: None, path, questions, bus, findings, incidents, stop, work }
    }

    async fn next(&mut self) -> Arc<Event> {
        match tokio::time::timeout(testkit::wait::LONG, self.incidents.next()).await {
            Ok(Some(Delivery::Event(event))) => event,
            other => panic!("{other:?} in the place of an incident"),
        }
    }

    async fn ask(&self, ask: Ask) -> Answer {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || Access::find(&path).unwrap().ask(ask, START).unwrap().answer).await.unwrap()
    }

    /// What is not in the book, as whoever asks is told.
    async fn trouble(&self) -> Option<Trouble> {
        let path = self.path.clone();
        let list = Ask::List { state: None, most: 9, before: u64::MAX };
        tokio::task::spawn_blocking(move || Access::find(&path).unwrap().ask(list, START).unwrap().trouble).await.unwrap()
    }

    /// As [`World::ask`], from within the program that keeps the book.
    async fn ask_within(&self, ask: Ask) -> Answer {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.questions.send(door::Guest { ask, reply }).await.ok().unwrap();
        answer.await.unwrap()
    }

    async fn end(self) -> (Option<tempfile::TempDir>, PathBuf) {
        drop(self.stop);
        self.work.await.unwrap().unwrap();
        self.bus.close().await;
        (self._folder, self.path)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finding_becomes_an_incident_that_others_can_work_with() {
    let mut world = World::new(vec![], ()).await;
    world.findings.publish(START, None, opened(1, "D39", Severity::Warn));
    assert_eq!(world.next().await.id().unwrap().name(), "incident.opened");
    // while it runs nobody else can write, but anybody of this user can ask
    assert!(matches!(Book::existing(&world.path), Err(BookError::Locked { .. })));
    let act = |act, by: &str, text: &str| Ask::Act { act, number: 1, by: by.into(), text: text.into() };
    assert!(matches!(world.ask(act(Act::Acknowledge, "ann", "")).await, Answer::Done(_)));
    assert!(matches!(world.ask(act(Act::Note, "ben", "seen before")).await, Answer::Done(_)));
    // two close at once: one of them does
    let (one, other) = tokio::join!(world.ask(act(Act::Close, "ann", "")), world.ask(act(Act::Close, "ben", "")));
    let done = |answer: &Answer| matches!(answer, Answer::Done(_));
    assert!(done(&one) != done(&other), "{one:?} {other:?}");
    let Some(Answer::No { sentence, .. }) = [one, other].into_iter().find(|answer| !done(answer)) else { panic!("one is late") };
    assert_eq!(sentence, "incident 1 is resolved already");
    // that there is no evidence is said after two seconds, wherever we are by then
    let mut said = Vec::new();
    while said.len() < 3 {
        said.extend(Some(world.next().await.id().unwrap().name()).filter(|name| *name != "incident.kept"));
    }
    assert_eq!(said, ["incident.acknowledged", "incident.noted", "incident.resolved"]);
    let Answer::Show(shown) = world.ask(Ask::Show { number: 1, from: 0, most: 100 }).await else { panic!("it is there") };
    let kept = shown.timeline.iter().filter(|entry| matches!(entry.0.kind, Some(Kind::IncidentKept(_)))).count();
    assert_eq!((shown.entries as usize, shown.timeline.len()), (5 + kept, 5 + kept));
    assert_eq!(shown.incident.0.state(), IncidentState::Resolved);
    let (_folder, path) = world.end().await;
    // nobody has it any more, and the socket means nothing
    assert!(matches!(Access::find(&path).unwrap(), Access::Own(_)));
}

/// By the time of the events, so nobody waits here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incident_is_resolved_when_its_findings_were_over_for_as_long_as_was_said() {
    let usual = by_default().incidents_settle;
    assert_eq!(usual.0, Duration::from_nanos(detect::incident::SETTLE), "the flag says what is decided without it");
    for (settle, resolved) in [(usual, 120), ("20s".parse().unwrap(), 20), ("1h".parse().unwrap(), 3_600)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("book");
        let config = Config { incidents_settle: settle, ..config(&path, vec![]) };
        let mut world = World::kept(path, config, ()).await;
        world.findings.publish(START, None, opened(1, "D39", Severity::Warn));
        world.findings.publish(START, None, cleared(1, "D39", Severity::Warn));
        world.findings.beat(START + (resolved - 1) * SECOND, None, 0, None, None);
        world.findings.beat(START + resolved * SECOND, None, 0, None, None);
        assert_eq!(world.next().await.id().unwrap().name(), "incident.opened");
        let event = world.next().await;
        assert_eq!((event.id().unwrap().name(), (event.time - START) / SECOND), ("incident.resolved", resolved), "{settle}");
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evidence_outlives_the_archive() {
    let recordings = tempfile::tempdir().unwrap();
    let recording = recordings.path().join("all.poa");
    let pings: Vec<Event> = (0..600)
        .map(|second| {
            let ping = NetPing { peer: 7, ..NetPing::default() };
            Event { time: START + second * SECOND, sequence: second, ..Event::new("alice", Source::Ebpf, ping) }
        })
        .collect();
    world::written(&recording, &[&pings]);
    let mut world = World::new(vec![recording.clone()], ()).await;
    let mut kind = FindingOpened { finding: finding(1, "D39", Severity::Warn) };
    let found = kind.finding.as_mut().unwrap();
    (found.window_from, found.window_to) = (START + 100 * SECOND, START + 200 * SECOND);
    world.findings.publish(START + 200 * SECOND, None, kind);
    assert_eq!(world.next().await.id().unwrap().name(), "incident.opened");
    let kept = world.next().await;
    let Some(Kind::IncidentKept(kept)) = &kept.kind else { panic!("{kept:?}") };
    // from half a minute before to half a minute after
    assert_eq!((kept.events, kept.problem.as_str()), (161, ""));
    std::fs::remove_file(&recording).unwrap();
    let slice = tools::incidents::slice::directory(&world.path).join(&kept.file);
    let events = tools::archive::open(&[slice], &tools::archive::Selection::default()).unwrap().into_iter().count();
    assert_eq!(events, 161);
    // what comes when the archive is gone is said not to be there
    world.findings.publish(START + 300 * SECOND, None, opened(2, "D59", Severity::Warn));
    assert_eq!(world.next().await.id().unwrap().name(), "incident.opened");
    let kept = world.next().await;
    let Some(Kind::IncidentKept(kept)) = &kept.kind else { panic!("{kept:?}") };
    assert!(kept.file.is_empty() && !kept.problem.is_empty(), "{kept:?}");
    world.end().await;
}

/// Writes until nothing fits any more.
fn fill(path: &Path) {
    let mut ballast = std::fs::File::create(path).unwrap();
    let error = loop {
        if let Err(error) = ballast.write_all(&[0; 4096]) {
            break error;
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}

/// Fills the disk and the room that the file has of its own: how many notes that took, and the answer to the one for which there was none.
async fn until_it_fails(world: &World, ballast: &Path) -> (u64, Answer) {
    fill(ballast);
    for written in 0..1_000 {
        let text = format!("{written} {}", "x".repeat(16_000));
        let answer = world.ask_within(Ask::Act { act: Act::Note, number: 1, by: "ann".into(), text }).await;
        if !matches!(answer, Answer::Done(_)) {
            return (written, answer);
        }
    }
    panic!("eight megabytes hold less");
}

/// What cannot be written is refused or waits; what was acknowledged before is there; and with room it goes on by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let Some(disk) = world::SmallDisk::mount() else { return };
    let mut world = World::at(disk.0.path().join("book"), vec![], ()).await;
    world.findings.publish(START, None, opened(1, "D39", Severity::Warn));
    assert_eq!(world.next().await.id().unwrap().name(), "incident.opened");
    let ballast = disk.0.path().join("ballast");
    let (written, refused) = until_it_fails(&world, &ballast).await;
    let Answer::No { sentence, hint, asked_wrong: false } = refused else { panic!("{refused:?}") };
    assert!(sentence.contains("the incident book") && hint.starts_with("the disk is full"), "{sentence}; {hint}");
    // it waits for room
    assert_eq!(world.trouble().await, None, "what was refused was said to be");
    world.findings.publish(START + SECOND, None, opened(2, "D50", Severity::Warn));
    // whoever asks is told that the book is behind
    let trouble = loop {
        if let Some(trouble) = world.trouble().await {
            break trouble;
        }
    };
    assert_eq!((trouble.findings, world.questions.trouble()), (1, Some(trouble.clone())));
    let said = trouble.to_string();
    assert!(said.starts_with("1 finding waits: failed to write the incident book") && trouble.hint.contains("full"), "{trouble:?}");
    let answer = world.ask_within(Ask::Act { act: Act::Note, number: 1, by: "ann".into(), text: "y".repeat(16_000) }).await;
    assert!(matches!(answer, Answer::No { asked_wrong: false, .. }), "{answer:?}");
    std::fs::remove_file(&ballast).unwrap();
    let mut told = Vec::new();
    while told.last() != Some(&2) {
        if let Some(Kind::IncidentOpened(opened)) = &world.next().await.kind {
            told.push(opened.incident.as_ref().unwrap().number);
        }
    }
    let Answer::Show(shown) = world.ask_within(Ask::Show { number: 1, from: 0, most: 1_000 }).await else { panic!("it is read") };
    let notes: Vec<&str> = shown
        .timeline
        .iter()
        .filter_map(|entry| match &entry.0.kind {
            Some(Kind::IncidentNoted(note)) => note.text.split_whitespace().next(),
            _ => None,
        })
        .collect();
    let expect: Vec<String> = (0..written).map(|number| number.to_string()).collect();
    assert_eq!(notes, expect, "what was acknowledged, and nothing else");
    assert_eq!(world.trouble().await, None, "it is written again");
    assert!(matches!(
        world.ask_within(Ask::Act { act: Act::Close, number: 1, by: "ann".into(), text: String::new() }).await,
        Answer::Done(_)
    ));
    world.end().await;
}

/// While the disk is full, beats come as they always do, and take no room from findings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_room_is_findings_and_not_beats() {
    let Some(disk) = world::SmallDisk::mount() else { return };
    let mut world = World::at(disk.0.path().join("book"), vec![], ()).await;
    world.findings.publish(START, None, opened(1, "D39", Severity::Warn));
    assert_eq!(world.next().await.id().unwrap().name(), "incident.opened");
    let ballast = disk.0.path().join("ballast");
    until_it_fails(&world, &ballast).await;
    world.findings.publish(START + SECOND, None, opened(2, "D50", Severity::Warn));
    // more than there is room for, of many sources; who forwards waits for whoever reads
    let beats = async {
        for sequence in 0..140_000 {
            let name = format!("n{}", sequence % 100);
            let beat = Event { time: START + 2 * SECOND, sequence, ..Event::new(&name, Source::Rpc, HealthBeat::default()) };
            world.bus.forward(beat).await;
        }
    };
    tokio::time::timeout(5 * testkit::wait::LONG, beats).await.expect("beats are still taken");
    world.findings.publish(START + 3 * SECOND, None, opened(3, "D01", Severity::Warn));
    std::fs::remove_file(&ballast).unwrap();
    let mut told = Vec::new();
    while told.len() < 2 {
        if let Some(Kind::IncidentOpened(opened)) = &world.next().await.kind {
            told.push(opened.incident.as_ref().unwrap().finding.as_ref().unwrap().detector.clone());
        }
    }
    assert_eq!(told, ["D50", "D01"]);
    world.end().await;
}

/// Evidence is cut once, and waits for room with what is to be said of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_cut_again_and_again_onto_a_full_disk() {
    let Some(disk) = world::SmallDisk::mount() else { return };
    let recordings = tempfile::tempdir().unwrap();
    let recording = recordings.path().join("all.poa");
    world::written(&recording, &[&world::pings(0..600)]);
    let path = disk.0.path().join("book");
    let mut world = World::at(path.clone(), vec![recording], ()).await;
    // not due before the disk is full
    let now = tools::incidents::now();
    world.findings.publish(now, None, opened(1, "D39", Severity::Warn));
    assert_eq!(world.next().await.id().unwrap().name(), "incident.opened");
    let ballast = disk.0.path().join("ballast");
    until_it_fails(&world, &ballast).await;
    // each look at what is to be cut is followed by a beat
    let beats = Filter::kinds([event::KindId::HealthBeat]);
    let mut beats = world.bus.subscribe(beats, Limits::default()).await.unwrap();
    world.findings.publish(START + 200 * SECOND, None, opened(2, "D50", Severity::Warn));
    let directory = tools::incidents::slice::directory(&path);
    let changed = || std::fs::metadata(&directory).ok().and_then(|of| of.modified().ok());
    let mut seen = BTreeSet::new();
    for _ in 0..6 {
        assert!(matches!(beats.next().await, Some(Delivery::Event(_))));
        seen.extend(changed());
    }
    assert!(seen.len() <= 1, "it was cut {} times", seen.len());
    std::fs::remove_file(&ballast).unwrap();
    while world.next().await.id().unwrap().name() != "incident.kept" {}
    world.end().await;
}

/// Who follows has each incident as it is, also where no person is told of what happened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_copy_can_follow() {
    #[derive(Clone, Default)]
    struct Told(Arc<std::sync::Mutex<Vec<&'static str>>>);
    impl Audience for Told {
        fn told(&mut self, told: &detect::incident::Told, _: bool) {
            self.0.lock().unwrap().push(told.kind.id().name());
        }
    }
    let people = Told::default();
    let mut world = World::new(vec![], people.clone()).await;
    for id in 0..9 {
        world.findings.publish(START + id, None, opened(id, "D39", Severity::Warn));
    }
    let mut copy = event::Incident::default();
    while copy.findings < 9 {
        if let Some(Kind::IncidentChanged(changed)) = &world.next().await.kind {
            copy = changed.incident.clone().unwrap();
        }
    }
    assert_eq!((copy.strangers.len(), copy.lasting), (9, 9));
    let Answer::Show(shown) = world.ask_within(Ask::Show { number: 1, from: 0, most: 0 }).await else { panic!("it is read") };
    assert_eq!(shown.incident.0, copy);
    assert!(!people.0.lock().unwrap().contains(&"incident.changed"), "people are told of more of the same");
    world.end().await;
}

/// A program that keeps a book says at its start what lasts, so that who listens since then knows it, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lasts_is_said_again_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book");
    let mut book = Book::open(&path).unwrap();
    for (id, detector) in [(1, "D39"), (2, "D50"), (3, "D01")] {
        let kind = opened(id, detector, Severity::Warn);
        book.record(&[Arc::new(Event { time: START + id, ..Event::new("alice", Source::Detect, kind) })]).unwrap();
    }
    book.act(Act::Close, 2, "ann", "", START + 9).unwrap();
    book.act(Act::Acknowledge, 3, "ann", "", START + 10).unwrap();
    drop(book);
    let mut world = World::at(path.clone(), vec![], ()).await;
    for (number, state) in [(1, IncidentState::Open), (3, IncidentState::Acknowledged)] {
        let event = world.next().await;
        let Some(Kind::IncidentChanged(said)) = &event.kind else { panic!("{event:?}") };
        let incident = said.incident.as_ref().unwrap();
        assert_eq!((incident.number, incident.state(), said.worse, said.spread), (number, state, false, false));
    }
    world.end().await;
    // the book learned nothing of it
    let (timeline, _) = Book::existing(&path).unwrap().timeline(1, 0, 9).unwrap();
    assert_eq!(timeline.iter().filter(|event| !matches!(event.kind, Some(Kind::IncidentKept(_)))).count(), 2);
}

/// 100,000 findings at 100 nodes: few incidents, and each finding in the book.
#[test]
fn a_storm_is_all_in_the_book() {
    const FINDINGS: u64 = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let mut book = Book::open(&folder.path().join("book")).unwrap();
    let detectors = ["D01", "D02", "D09", "D10", "D11", "D14", "D19", "D39", "D42", "D50", "D59"];
    let event = |id: u64, kind: Kind, later: u64| {
        let node = format!("node-{}", id % 100);
        Arc::new(Event { time: START + later + id * SECOND / 100, ..Event::new(&node, Source::Detect, kind) })
    };
    let began = std::time::Instant::now();
    let mut told = 0;
    for end in [false, true] {
        let kind = |id: u64| {
            let (detector, severity) = (detectors[(id % 11) as usize], [Severity::Info, Severity::Warn][(id % 2) as usize]);
            if end { cleared(id, detector, severity) } else { opened(id, detector, severity) }
        };
        let ids: Vec<u64> = (0..FINDINGS).collect();
        for ids in ids.chunks(4096) {
            let events: Vec<_> = ids.iter().map(|id| event(*id, kind(*id), u64::from(end) * 1_100 * SECOND)).collect();
            told += book.record(&events).unwrap().len();
        }
    }
    let beats: Vec<_> = (0..100).map(|id| event(id, HealthBeat::default().into(), 3_000 * SECOND)).collect();
    told += book.record(&beats).unwrap().len();
    let took = began.elapsed();
    let incidents = book.incidents(None, 1000).unwrap();
    assert!(incidents.len() <= 20, "{} incidents", incidents.len());
    assert!(incidents.iter().all(|incident| incident.state() == IncidentState::Resolved));
    assert_eq!(incidents.iter().map(|incident| incident.findings).sum::<u64>(), FINDINGS);
    let mut found = 0;
    for incident in &incidents {
        let mut from = 0;
        loop {
            let (events, next) = book.timeline(incident.number, from, 10_000).unwrap();
            if events.is_empty() {
                break;
            }
            found += events.iter().filter(|event| detect::finding::of(event).is_some()).count() as u64;
            from = next;
        }
    }
    assert_eq!(found, 2 * FINDINGS, "each finding, and its end");
    println!("{} incidents, {told} changes, {took:.1?}", incidents.len());
}

/// Names the book for a process that is to be killed; a test that finds it is that process.
const VICTIM: &str = "PO_TEST_BOOK";

/// Changes incidents, and prints what it was told to be done, until it is killed.
fn victim(path: &Path, life: u64) -> ! {
    let mut book = Book::open(path).unwrap();
    for number in 0_u64.. {
        let (id, time) = (life * 1_000_000 + number, START + (life * 100 + number) * SECOND);
        let event = Event { time, ..Event::new("alice", Source::Detect, opened(id, "D39", Severity::Warn)) };
        book.record(&[Arc::new(event)]).unwrap();
        let incident = book.incidents(None, 1).unwrap()[0].number;
        let text = format!("{life}-{number}");
        book.act(Act::Note, incident, "ann", &text, time).unwrap();
        println!("note {incident} {text}");
        // each act changes the state that the one before left
        let acts = [Act::Acknowledge, Act::Close];
        let act = acts[(number % 2) as usize];
        if book.act(act, incident, &text, "", time).is_ok() {
            println!("state {incident} {} {text}", book.incident(incident).unwrap().unwrap().revision);
        }
        std::io::stdout().flush().unwrap();
    }
    unreachable!("it is killed")
}

/// 100 lives, each killed after another number of changes; the book is opened again each time as it is.
#[test]
fn a_killed_book_keeps_what_it_said() {
    if let Some(path) = std::env::var_os(VICTIM) {
        let (path, life) = (PathBuf::from(path), std::env::var("PO_TEST_LIFE").unwrap().parse().unwrap());
        victim(&path, life);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book");
    let (mut notes, mut states) = (BTreeSet::new(), BTreeMap::new());
    for life in 0..100_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "a_killed_book_keeps_what_it_said"])
            .env(VICTIM, &path)
            .env("PO_TEST_LIFE", life.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut take = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["note", incident, text] => drop(notes.insert((incident.parse::<u64>().unwrap(), (*text).to_owned()))),
                ["state", incident, revision, _] => {
                    states.insert(incident.parse::<u64>().unwrap(), revision.parse::<u64>().unwrap());
                }
                _ => return false,
            }
            true
        };
        let mut said = 0;
        for line in lines.by_ref() {
            said += u64::from(take(&line));
            if said > life % 13 {
                break;
            }
        }
        child.kill().unwrap();
        // what it said before it died counts, too
        for line in lines {
            take(&line);
        }
        child.wait().unwrap();
        assert!(said > 0, "life {life} said nothing");
        let book = Book::existing(&path).unwrap();
        for (number, revision) in &states {
            let incident = book.incident(*number).unwrap().unwrap();
            assert!(incident.revision >= *revision, "incident {number} fell back in life {life}");
        }
    }
    let book = Book::existing(&path).unwrap();
    let mut found = BTreeSet::new();
    for incident in book.incidents(None, 10_000).unwrap() {
        let (timeline, _) = book.timeline(incident.number, 0, 1_000_000).unwrap();
        for event in timeline {
            if let Some(Kind::IncidentNoted(note)) = event.kind {
                found.insert((incident.number, note.text));
            }
        }
    }
    let lost: Vec<_> = notes.difference(&found).collect();
    assert!(lost.is_empty(), "{} of {} notes are lost: {lost:?}", lost.len(), notes.len());
    println!("100 lives, {} notes, {} incidents with states", notes.len(), states.len());
}
