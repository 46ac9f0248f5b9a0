use std::os::unix::fs::FileExt as _;

use detect::time::SECOND;
use event::{EntityKind, Finding, FindingCleared, FindingEntity, FindingOpened, HealthBeat, Severity};
use tempfile::TempDir;

use super::*;

const START: u64 = 1_750_000_000 * SECOND;

fn finding(id: u64, detector: &str) -> Option<Finding> {
    let entity = FindingEntity { kind: EntityKind::Node.into(), ..FindingEntity::default() };
    let severity = Severity::Warn.into();
    Some(Finding { id: format!("{id:016x}"), detector: detector.into(), entity: Some(entity), severity, ..Finding::default() })
}

fn at(node: &str, second: u64, kind: impl Into<Kind>) -> Arc<Event> {
    Arc::new(Event { time: START + second * SECOND, ..Event::new(node, Source::Detect, kind) })
}

fn opened(second: u64, id: u64) -> Arc<Event> {
    at("alice", second, FindingOpened { finding: finding(id, "D39") })
}

fn cleared(second: u64, id: u64) -> Arc<Event> {
    at("alice", second, FindingCleared { finding: finding(id, "D39") })
}

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book");
    (folder, path)
}

#[test]
fn what_was_said_is_there_after_a_restart() {
    let (_folder, path) = place();
    let mut book = Book::open(&path).unwrap();
    let (name, key) = (book.name().to_owned(), book.key());
    assert_eq!(book.record(&[opened(0, 1)]).unwrap().len(), 1);
    book.act(Act::Acknowledge, 1, "ann", "", START + SECOND).unwrap();
    book.act(Act::Note, 1, "ann", "it is the miner", START + 2 * SECOND).unwrap();
    drop(book);
    let mut book = Book::open(&path).unwrap();
    assert_eq!((book.name(), book.key()), (name.as_str(), key));
    let incident = book.incident(1).unwrap().unwrap();
    assert_eq!((incident.state(), incident.owner.as_str(), incident.revision), (IncidentState::Acknowledged, "ann", 3));
    assert_eq!(incident.book, name);
    // the end of a finding finds its incident
    book.record(&[cleared(60, 1), at("alice", 200, HealthBeat::default())]).unwrap();
    assert_eq!(book.incident(1).unwrap().unwrap().state(), IncidentState::Resolved);
    let (timeline, next) = book.timeline(1, 0, 100).unwrap();
    let kinds: Vec<&str> = timeline.iter().map(|event| event.id().unwrap().name()).collect();
    let expect =
        ["finding.opened", "incident.opened", "incident.acknowledged", "incident.noted", "finding.cleared", "incident.resolved"];
    assert_eq!((kinds.as_slice(), next, book.entries(1).unwrap()), (expect.as_slice(), 6, 6));
    assert_eq!(book.timeline(1, 4, 1).unwrap().0[0].id().unwrap().name(), "finding.cleared");
    assert_eq!(book.incidents(Some(IncidentState::Open), 9).unwrap().len(), 0);
    assert_eq!(book.incidents(None, 9).unwrap().len(), 1);
    // evidence was asked for
    let (wanted, kept) = book.wanted(START + 1_000 * SECOND).unwrap();
    assert_eq!((wanted.unwrap().incident, kept), (1, 0));
}

#[test]
fn who_is_late_is_told_and_nothing_is_written() {
    let (_folder, path) = place();
    let mut book = Book::open(&path).unwrap();
    book.record(&[opened(0, 1)]).unwrap();
    book.act(Act::Close, 1, "ann", "done", START).unwrap();
    let before = book.entries(1).unwrap();
    let late = book.act(Act::Close, 1, "ben", "done", START).unwrap_err();
    assert_eq!(late.to_string(), "incident 1 is resolved already");
    assert_eq!(book.act(Act::Note, 7, "ben", "x", START).unwrap_err().to_string(), "there is no incident 7 in this book");
    assert_eq!((book.entries(1).unwrap(), book.entries(7).unwrap()), (before, 0));
}

#[test]
fn a_book_that_is_open_is_locked() {
    let (_folder, path) = place();
    let book = Book::open(&path).unwrap();
    assert!(matches!(Book::open(&path), Err(BookError::Locked { .. })));
    drop(book);
    assert!(Book::open(&path).is_ok());
    assert!(matches!(Book::existing(&path.with_extension("none")), Err(BookError::Absent { .. })));
}

/// What is no book, and how it is refused; it is the same afterwards.
#[track_caller]
fn check(path: &Path, expect: &str) {
    let before = fs::read(path).unwrap();
    let error = Book::open(path).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string().replace(path.to_str().unwrap(), "BOOK"), expect);
    assert!(!error.hint().is_empty());
    assert_eq!(fs::read(path).unwrap(), before, "it was changed");
}

#[test]
fn what_is_no_book_of_ours_is_left_alone() {
    let (_folder, path) = place();
    for bytes in [&b""[..], b"short", b"a diary of more than a few bytes, which somebody would miss"] {
        fs::write(&path, bytes).unwrap();
        check(&path, "BOOK is no incident book");
    }
    fs::remove_file(&path).unwrap();
    let other = Database::create(&path).unwrap();
    let transaction = other.begin_write().unwrap();
    transaction.open_table(TableDefinition::<u64, u64>::new("other")).unwrap();
    transaction.commit().unwrap();
    drop(other);
    assert!(matches!(Book::open(&path), Err(BookError::Foreign { .. })));
    fs::remove_file(&path).unwrap();
    drop(Book::open(&path).unwrap());
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(ABOUT).unwrap().insert("format", 2_u32.to_le_bytes().as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let newer = Book::open(&path).map(|_| ()).unwrap_err();
    assert_eq!(newer.to_string(), format!("the incident book {} has form 2, and this release knows form 1", path.display()));
}

/// A byte that changed on the disk, anywhere: a sentence, or a book that can be read; never a crash, and the file is there.
#[test]
fn a_damaged_book_is_no_crash() {
    let (folder, path) = place();
    let mut book = Book::open(&path).unwrap();
    let events: Vec<Arc<Event>> = (0..200).map(|id| opened(id, id)).collect();
    book.record(&events).unwrap();
    drop(book);
    let whole = fs::read(&path).unwrap();
    let copy = folder.path().join("copy");
    let (mut refused, step) = (0, whole.len() / 150);
    for at in (0..whole.len()).step_by(step) {
        fs::write(&copy, &whole).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&copy).unwrap();
        file.write_all_at(&[whole[at] ^ 0xff; 64], at as u64).unwrap();
        drop(file);
        let used = Book::open(&copy).and_then(|mut book| {
            book.incidents(None, 100)?;
            book.timeline(1, 0, 1000)?;
            // also who changes it, and who closes it
            book.record(&[opened(1_000, 1_000)])?;
            book.forget(u64::MAX)
        });
        refused += usize::from(used.is_err());
        assert!(fs::metadata(&copy).unwrap().len() > 0);
    }
    assert!(refused > 0, "no damage was noticed");
    for length in [whole.len() / 2, 5000, 100] {
        fs::write(&copy, &whole[..length]).unwrap();
        assert!(Book::open(&copy).is_err(), "{length} bytes of it");
    }
}

#[test]
fn a_book_that_cannot_be_written_goes_on_when_it_can() {
    let (_folder, path) = place();
    let mut book = Book::open(&path).unwrap();
    book.settle_after(Duration::from_secs(10));
    book.record(&[opened(0, 1)]).unwrap();
    // as after a disk that was full: what was tried does not count
    let failed: Result<(), _> = book.change(|book, _| {
        book.correlator.observe(&opened(1, 2));
        Err(redb::Error::Io(io::Error::from(io::ErrorKind::StorageFull)))
    });
    let error = failed.unwrap_err();
    assert!(error.hint().starts_with("the disk is full"), "{error}");
    assert!(book.incidents(None, 1).is_err(), "it is closed until the next change");
    book.record(&[opened(1, 2)]).unwrap();
    let incident = book.incident(1).unwrap().unwrap();
    assert_eq!((incident.findings, incident.lasting), (2, 2));
    // it knows what its keeper told it
    let told = book.record(&[cleared(20, 1), cleared(20, 2), at("alice", 30, HealthBeat::default())]).unwrap();
    assert_eq!(told.iter().map(|told| told.kind.id().short_name()).collect::<Vec<_>>(), ["resolved"]);
}

#[test]
fn clocks_that_disagree_turn_no_life_around() {
    let (_folder, path) = place();
    let mut book = Book::open(&path).unwrap();
    book.record(&[opened(1_000, 1)]).unwrap();
    let of = |book: &Book| book.incident(1).unwrap().unwrap();
    // somebody whose clock is behind, and then one whose clock is ahead by days
    book.act(Act::Acknowledge, 1, "ann", "", START).unwrap();
    assert_eq!((of(&book).changed, of(&book).revision), (START + 1_000 * SECOND, 2));
    let ahead = START + 1_000_000 * SECOND;
    book.act(Act::Close, 1, "ben", "", ahead).unwrap();
    assert_eq!((of(&book).resolved, of(&book).state()), (Some(ahead), IncidentState::Resolved));
    // the node goes on by its own clock
    let told = book.record(&[opened(1_001, 2)]).unwrap();
    assert!(matches!(told[0].kind, Kind::IncidentReopened(_)), "{told:?}");
    let incident = of(&book);
    assert_eq!((incident.state(), incident.changed, incident.resolved), (IncidentState::Open, ahead, None));
    // what each of them said stands at the time that he had
    let times: Vec<u64> = book.timeline(1, 0, 100).unwrap().0.iter().map(|event| (event.time - START) / SECOND).collect();
    assert_eq!(times[..4], [1_000, 1_000, 0, 1_000_000]);
}

/// A timeline is bounded, and reading a page of it costs no more than the page.
#[test]
fn a_million_notes_are_read_by_the_page_and_then_there_is_no_room() {
    let (_folder, path) = place();
    let mut book = Book::open(&path).unwrap();
    book.record(&[opened(0, 1)]).unwrap();
    let incident = book.incident(1).unwrap().unwrap();
    let note = |number: u64| {
        let said = event::IncidentNoted { incident: Some(incident.clone()), by: "ann".into(), text: format!("note {number}") };
        told_event(&Told { time: START, kind: said.into() }).encode_to_vec()
    };
    let begin = book.entries(1).unwrap();
    // each on its own would wait a million times for the disk
    for from in (begin..ENTRIES - 1).step_by(1 << 18) {
        let done: Result<(), _> = book.change(|_, transaction| {
            let mut timeline = transaction.open_table(TIMELINE)?;
            for number in from..(from + (1 << 18)).min(ENTRIES - 1) {
                timeline.insert((1, number), note(number).as_slice())?;
            }
            Ok(())
        });
        done.unwrap();
    }
    book.act(Act::Note, 1, "ann", "the last", START).unwrap();
    let full = book.act(Act::Note, 1, "ann", "one more", START).unwrap_err();
    assert_eq!(full.to_string(), "the timeline of incident 1 is full");
    assert_eq!(book.entries(1).unwrap(), ENTRIES);
    // findings still go in, and whoever looks at it can say that he does
    book.record(&[opened(1, 2)]).unwrap();
    book.act(Act::Acknowledge, 1, "ann", "", START).unwrap();
    drop(book);
    // without optimisation, redb looks at every page when it opens a file
    let book = Book::open(&path).unwrap();
    let mut read = (Vec::new(), 0, Vec::new());
    let looked = testkit::read_bytes(|| {
        let (page, next) = book.timeline(1, 500_000, 1_000).unwrap();
        read = (page, next, book.incidents(None, 100).unwrap());
    });
    let (page, next, listed) = read;
    let Some(Kind::IncidentNoted(first)) = &page[0].kind else { panic!("{:?}", page[0]) };
    assert_eq!((first.text.as_str(), page.len(), next, listed.len()), ("note 500000", 1_000, 501_000, 1));
    let size = fs::metadata(&path).unwrap().len();
    assert!(looked < size / 20, "{looked} of {size} bytes were read");
}

#[test]
fn what_is_long_over_is_forgotten_with_all_that_belongs_to_it() {
    let (_folder, path) = place();
    let mut book = Book::open(&path).unwrap();
    // one that is over, one that lasts, one that somebody closed while it lasted
    book.record(&[opened(0, 1), cleared(1, 1), at("alice", 500, HealthBeat::default())]).unwrap();
    let about = |id: u64, detector: &str| at("alice", 600, FindingOpened { finding: finding(id, detector) });
    book.record(&[about(2, "D50"), about(3, "D01")]).unwrap();
    book.act(Act::Close, 3, "ann", "", START + 700 * SECOND).unwrap();
    book.has_sent("webhook x", &[(1, 2, false), (2, 1, true)]).unwrap();
    assert_eq!(book.forget(START).unwrap(), [0; 0]);
    assert_eq!(book.forget(START + 100_000 * SECOND).unwrap(), [1]);
    assert_eq!(book.forget(START + 100_000 * SECOND).unwrap(), [0; 0]);
    let left = |book: &Book| {
        let numbers: Vec<u64> = book.incidents(None, 9).unwrap().iter().map(|incident| incident.number).collect();
        (numbers, book.entries(1).unwrap(), book.slices(1).unwrap().len(), book.sent("webhook x").unwrap())
    };
    let expect = (vec![3, 2], 0, 0, vec![(2, 1, true)]);
    assert_eq!(left(&book), expect);
    // numbers are not given twice, and nothing of it comes back
    drop(book);
    let mut book = Book::open(&path).unwrap();
    book.record(&[opened(800, 9)]).unwrap();
    assert_eq!((left(&book).0, book.incident(4).unwrap().unwrap().similar), (vec![4, 3, 2], vec![0; 0]));
}

#[test]
fn evidence_is_cut_where_the_finding_is() {
    let (_folder, path) = place();
    let mut book = Book::open(&path).unwrap();
    // one stranger at three nodes; it is at the first that it gets worse
    let about = |id: u64, severity: Severity, peer: Option<u64>| {
        let kind = if peer.is_some() { EntityKind::Peer } else { EntityKind::Address };
        let entity = FindingEntity { kind: kind.into(), peer, address: "192.0.2.1".into(), ..FindingEntity::default() };
        let of = finding(id, "D28").unwrap();
        FindingOpened { finding: Some(Finding { entity: Some(entity), severity: severity.into(), ..of }) }
    };
    book.record(&[at("alice", 0, about(1, Severity::Warn, None)), at("bob", 1, about(2, Severity::Warn, None))]).unwrap();
    let done = Slice { done: START, ..book.slices(1).unwrap().remove(0) };
    book.kept(&done, START).unwrap();
    book.record(&[at("alice", 2, about(3, Severity::Critical, Some(5)))]).unwrap();
    // about all of them
    book.record(&[at(FLEET, 3, FindingOpened { finding: finding(4, "D50") })]).unwrap();
    let of = |book: &Book, number| {
        let slices = book.slices(number).unwrap();
        slices.into_iter().map(|slice| (slice.node, slice.peer)).collect::<Vec<_>>()
    };
    assert_eq!(of(&book, 1), [("alice".to_owned(), None), ("alice".to_owned(), Some(5))]);
    assert_eq!(of(&book, 2), [(String::new(), None)]);
}

#[test]
fn a_clock_that_is_ahead_keeps_no_evidence_from_others() {
    let (_folder, path) = place();
    let mut book = Book::open(&path).unwrap();
    let month = 30 * 86_400;
    book.record(&[at("dave", month, FindingOpened { finding: finding(1, "D39") })]).unwrap();
    book.record(&[at("erin", 0, FindingOpened { finding: finding(2, "D39") })]).unwrap();
    let node = |at: u64| book.wanted(at).unwrap().0.map(|slice| slice.node);
    assert_eq!(node(START + 100 * SECOND), Some("erin".to_owned()));
    assert_eq!(node(START), None, "the archive has not got it yet");
    // his own does not wait for a month either
    let mut slice = book.slices(1).unwrap().remove(0);
    assert!(slice.asked > 0);
    slice.asked = START;
    assert_eq!([299, 300].map(|second| slice.is_due(START + second * SECOND)), [false, true]);
}

#[test]
fn a_replay_is_known_for_one_as_long_as_the_book_is() {
    let (_folder, path) = place();
    let mut book = Book::open(&path).unwrap();
    let replayed = |second, id| Arc::new(Event { replay: true, ..(*opened(second, id)).clone() });
    let told = book.record(&[replayed(0, 1), opened(10, 1), opened(11, 2), replayed(12, 3)]).unwrap();
    // what happens now joins nothing of the past, though it is at the same node and about the same
    assert_eq!(told.iter().map(|told| (number_of(&told.kind), told.is_replay())).collect::<Vec<_>>(), [(1, true), (2, false)]);
    let told = book.act(Act::Acknowledge, 1, "ann", "", START).unwrap();
    assert!(told.is_replay());
    drop(book);
    let book = Book::open(&path).unwrap();
    let of = |number| book.incident(number).unwrap().map(|incident| (incident.replay, incident.findings));
    assert_eq!((of(1), of(2)), (Some((true, 2)), Some((false, 2))));
    assert!(book.timeline(1, 0, 100).unwrap().0.iter().all(|event| event.replay));
}

#[test]
fn those_who_follow_are_told_what_people_are_not() {
    let (_folder, path) = place();
    let mut book = Book::open(&path).unwrap();
    book.record(&[opened(0, 1)]).unwrap();
    assert!(book.take_unsaid().is_empty(), "that it was opened is told");
    let told = book.record(&(1..9).map(|id| opened(id, id + 1)).collect::<Vec<_>>()).unwrap();
    assert!(told.is_empty());
    let unsaid: Vec<_> =
        book.take_unsaid().iter().map(|incident| (incident.number, incident.findings, incident.revision)).collect();
    assert_eq!(unsaid, [(1, 9, 9)]);
    assert_eq!(book.take_unsaid(), []);
    // what comes in one go with what is told is not in what is told
    book.record(&[
        at("bob", 0, FindingOpened { finding: finding(100, "D50") }),
        at("bob", 1, FindingOpened { finding: finding(101, "D50") }),
    ])
    .unwrap();
    assert_eq!(book.take_unsaid().iter().map(|incident| (incident.number, incident.findings)).collect::<Vec<_>>(), [(2, 2)]);
    // also after the book was opened again, but nothing that is not in it
    book.record(&[cleared(20, 2)]).unwrap();
    book.database = None;
    assert_eq!(book.take_unsaid(), []);
    book.mend().unwrap();
    assert_eq!(book.take_unsaid().iter().map(|incident| incident.lasting).collect::<Vec<_>>(), [8]);
}

/// Fields were added at the end since: what an older release wrote is shorter.
#[test]
fn a_book_of_an_older_release_goes_on() {
    let (_folder, path) = place();
    let mut book = Book::open(&path).unwrap();
    book.record(&[opened(0, 1)]).unwrap();
    drop(book);
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let shorter = |bytes: &[u8]| bytes.strip_suffix(&[0]).unwrap().to_vec();
    let mut lives = transaction.open_table(LIVES).unwrap();
    let bytes = shorter(lives.get(1).unwrap().unwrap().value());
    lives.insert(1, bytes.as_slice()).unwrap();
    drop(lives);
    let mut about = transaction.open_table(ABOUT).unwrap();
    let bytes = shorter(about.get("usual").unwrap().unwrap().value());
    about.insert("usual", bytes.as_slice()).unwrap();
    drop(about);
    transaction.commit().unwrap();
    drop(database);
    let mut book = Book::open(&path).unwrap();
    book.record(&[opened(1, 2), cleared(2, 1), cleared(3, 2), at("alice", 400, HealthBeat::default())]).unwrap();
    let incident = book.incident(1).unwrap().unwrap();
    assert_eq!((incident.state(), incident.findings, book.incident(2).unwrap()), (IncidentState::Resolved, 2, None));
}

#[test]
fn a_long_list_is_read_by_the_page() {
    let (_folder, path) = place();
    let mut book = Book::open(&path).unwrap();
    for (id, detector) in (0..).zip(["D01", "D09", "D13", "D19", "D28", "D42", "D50"]) {
        book.record(&[at("alice", id, FindingOpened { finding: finding(id, detector) })]).unwrap();
    }
    let numbers = |(found, more): (Vec<Incident>, bool)| (found.iter().map(|of| of.number).collect::<Vec<_>>(), more);
    let page = |before, most, bytes| numbers(book.page(None, before, most, bytes).unwrap());
    let size = book.incident(7).unwrap().unwrap().encoded_len();
    assert_eq!(page(u64::MAX, 100, size + 1), (vec![7, 6], true));
    assert_eq!(page(6, 100, 3 * size), (vec![5, 4, 3], true));
    assert_eq!(page(3, 100, usize::MAX), (vec![2, 1], false));
    assert_eq!((page(1, 100, 1), page(u64::MAX, 2, usize::MAX)), ((vec![], false), (vec![7, 6], false)));
}

#[test]
fn evidence_of_what_is_over_gives_way() {
    let (folder, path) = place();
    let mut book = Book::open(&path).unwrap();
    book.record(&[opened(0, 1)]).unwrap();
    book.record(&[at("alice", 0, FindingOpened { finding: finding(2, "D50") })]).unwrap();
    for incident in [1, 2] {
        let mut slice = book.slices(incident).unwrap().remove(0);
        (slice.file, slice.bytes, slice.done) = (slice.name(), 600, START);
        book.kept(&slice, START).unwrap();
    }
    // while they last they stay
    assert!(book.let_go(100, START).unwrap().is_empty());
    book.act(Act::Close, 1, "ann", "", START).unwrap();
    let gone = book.let_go(700, START).unwrap();
    assert_eq!((gone.len(), gone[0].0.as_str()), (1, "000001-0.poa"));
    let slices = [1, 2].map(|incident| book.slices(incident).unwrap().remove(0));
    assert_eq!((slices[0].file.as_str(), slices[0].bytes, slices[0].is_wanted()), ("", 0, false));
    assert_eq!((slices[1].file.as_str(), book.wanted(START).unwrap()), ("000002-0.poa", (None, 600)));
    // what no book knows is swept away; what is not called as a slice stays
    let evidence = folder.path().join("evidence");
    fs::create_dir(&evidence).unwrap();
    // so is what gave way and is still there: it could not be deleted then, or a crash came first
    for name in ["000001-0.poa", "000002-0.poa", "000009-0.poa", "notes.txt", "a-0.poa"] {
        fs::write(evidence.join(name), "").unwrap();
    }
    assert_eq!(crate::incidents::slice::sweep(&evidence, &book.files().unwrap()).unwrap(), 2);
    let left = ["000001-0.poa", "000002-0.poa", "000009-0.poa"].map(|name| evidence.join(name).exists());
    assert_eq!(left, [false, true, false]);
    assert_eq!(crate::incidents::slice::sweep(&evidence.join("none"), &book.files().unwrap()).unwrap(), 0);
}

/// What gets worse and worse at once is one slice, not one for each time.
#[test]
fn evidence_that_is_still_to_be_cut_is_widened() {
    let (_folder, path) = place();
    let mut book = Book::open(&path).unwrap();
    let said = |second: u64, severity: Severity, peer: u64| {
        let entity = FindingEntity { kind: EntityKind::Peer.into(), peer: Some(peer), ..FindingEntity::default() };
        let finding = Finding { entity: Some(entity), severity: severity.into(), ..finding(1, "D28").unwrap() };
        at("alice", second, event::FindingUpdated { finding: Some(finding) })
    };
    book.record(&[said(100, Severity::Info, 5), said(101, Severity::Warn, 5)]).unwrap();
    book.record(&[said(102, Severity::Critical, 5)]).unwrap();
    let slices = book.slices(1).unwrap();
    let [slice] = slices.as_slice() else { panic!("{slices:?}") };
    assert_eq!((slice.from, slice.to, slice.peer), (START + 70 * SECOND, START + 132 * SECOND, Some(5)));
    // widened while it is cut: what was cut stays, and the rest is cut as well
    let cut = Slice { done: START, to: slice.to - SECOND, file: slice.name(), bytes: 7, ..slice.clone() };
    book.kept(&cut, START).unwrap();
    let slices = book.slices(1).unwrap();
    assert_eq!((slices.len(), slices[0].is_wanted(), slices[1].is_wanted()), (2, false, true), "{slices:?}");
    assert_eq!(book.wanted(u64::MAX).unwrap().0.unwrap().place, 1);
    // another peer, another time
    let other = Slice { peer: Some(6), ..slices[1].clone() };
    assert_eq!((slices[1].widened(&other), slices[0].widened(&slices[1])), (None, None));
    let later = Slice { to: slices[1].to + 3_600 * SECOND, ..slices[1].clone() };
    assert_eq!(slices[1].widened(&later), None, "too long");
    let all = Slice { peer: None, ..slices[1].clone() };
    assert_eq!(slices[1].widened(&all).unwrap().peer, None);
}

/// As `detect --recording` does it: what was in the book is known again, whatever came in between, and nothing waits to be cut.
#[test]
fn a_recording_that_is_played_again_adds_nothing() {
    let (_folder, path) = place();
    let replayed = |event: Arc<Event>| Arc::new(Event { replay: true, ..Event::clone(&event) });
    let worse = |second: u64| {
        let finding = Finding { severity: Severity::Critical.into(), ..finding(1, "D39").unwrap() };
        at("alice", second, event::FindingUpdated { finding: Some(finding) })
    };
    let recording = [opened(0, 1), worse(0), opened(5, 2), cleared(60, 1), cleared(70, 2), opened(9_000, 3)].map(replayed);
    let mut heads = Vec::new();
    for times in 0..3 {
        let mut book = Book::open(&path).unwrap();
        book.keep_no_evidence("nothing is archived here");
        // in pieces, too, as it comes
        recording.chunks(1 + times).for_each(|piece| drop(book.record(piece).unwrap()));
        let incident = book.incident(1).unwrap().unwrap();
        heads.push((
            incident.findings,
            incident.lasting,
            incident.reopened,
            book.entries(1).unwrap(),
            book.incidents(None, 9).unwrap().len(),
        ));
        assert_eq!(book.wanted(u64::MAX).unwrap().0, None, "nothing waits");
        let slices = book.slices(1).unwrap();
        let lines: Vec<String> = slices.iter().map(crate::incidents::words::evidence).collect();
        assert!(lines.len() == 1 && lines[0].ends_with("not kept: nothing is archived here"), "{lines:?}");
    }
    assert_eq!(heads[0].0, 3);
    assert!(heads.iter().all(|head| *head == heads[0]), "{heads:?}");
    // what happens now is another thing
    let mut book = Book::open(&path).unwrap();
    assert_eq!(book.record(&[opened(0, 1)]).unwrap().len(), 1);
}

/// What detectors of another run found, and these have not said again.
#[test]
fn that_nobody_knows_is_in_the_timeline() {
    let (_folder, path) = place();
    let by = |run: u64, event: Arc<Event>| Arc::new(Event { run, ..Event::clone(&event) });
    let mut book = Book::open(&path).unwrap();
    book.record(&[by(7, opened(0, 1))]).unwrap();
    drop(book);
    let mut book = Book::open(&path).unwrap();
    let beats: Vec<Arc<Event>> = (10..400).map(|second| by(9, at("alice", second, HealthBeat::default()))).collect();
    book.record(&beats).unwrap();
    assert_eq!(book.incident(1).unwrap().unwrap().state(), IncidentState::Resolved);
    let lines: Vec<String> = book.timeline(1, 0, 9).unwrap().0.iter().map(crate::incidents::words::entry).collect();
    assert!(
        lines[2].contains("the detectors were started anew, and have not said 1 finding again: nobody knows whether it goes on"),
        "{lines:#?}"
    );
    assert!(lines[3].contains("resolved"), "{lines:#?}");
}
