//! What an archive promises: everything that was written is read, whatever becomes of the files.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod world;

use std::fs;
use std::path::Path;

use event::archive::segment::{Header, Index, TAIL};
use event::archive::{Head, Packer};
use event::{Event, FindingOpened, HealthBeat, Kind, KindId, NetPing, Source};
use tools::archive::copy::{CopyError, copy, copy_watched, seal};
use tools::archive::segment::{End, Segment, Writer};
use tools::archive::store::{Store, segments};
use tools::archive::{Progress, ReadError, Selection, info, input, verify};
use world::{all, archived, demo, pings, read, read_part, segment_of, written};

/// What there is to lose: three frames of pings, and where they begin.
fn three_frames(directory: &Path) -> (Vec<Event>, Vec<u8>, Vec<u64>) {
    let events = pings(0..30);
    let path = directory.join("three.poa");
    written(&path, &[&events[..10], &events[10..20], &events[20..]]);
    let segment = Segment::open(&path, |_, _| true).unwrap().unwrap();
    assert_eq!(segment.end, End::Finished);
    let places = segment.entries.iter().map(|entry| entry.place).chain([segment.entries[2].end()]).collect();
    (events, fs::read(&path).unwrap(), places)
}

#[test]
fn what_was_recorded_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let events = demo();
    archived(directory.path(), &events);
    assert_eq!(all(directory.path()), events);
    // and once more, from there
    let again = tempfile::tempdir().unwrap();
    archived(again.path(), &all(directory.path()));
    assert_eq!(all(again.path()), events);
}

#[test]
fn every_prefix_is_read_up_to_its_last_whole_frame() {
    let directory = tempfile::tempdir().unwrap();
    let (events, bytes, places) = three_frames(directory.path());
    let path = directory.path().join("cut.poa");
    for length in 1..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        let whole = places[1..].iter().filter(|end| **end <= length as u64).count();
        let (got, error) = read(&path);
        assert_eq!(got, events[..whole * 10], "{length} bytes");
        let header = (length as u64) < places[0];
        assert_eq!(error.is_some(), header, "{length} bytes: {error:?}");
    }
}

#[test]
fn a_changed_bit_costs_its_frame_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let (events, bytes, places) = three_frames(directory.path());
    let path = directory.path().join("changed.poa");
    for at in 8..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        fs::write(&path, &changed).unwrap();
        let (got, error) = read(&path);
        let hit = places.windows(2).position(|frame| (frame[0]..frame[1]).contains(&(at as u64)));
        let expected: Vec<_> =
            (0..3).filter(|frame| Some(*frame) != hit).flat_map(|frame| &events[frame * 10..][..10]).cloned().collect();
        if at == 8 || at == 9 {
            // a version that this release does not know
            assert!(matches!(error, Some(ReadError::Newer { .. })) || got == events, "byte {at}: {error:?}");
            continue;
        }
        assert_eq!(got, expected, "byte {at}");
        if let Some(frame) = hit {
            let error = error.unwrap_or_else(|| panic!("byte {at} is damaged")).to_string();
            let named = format!("changed.poa is damaged at byte {}: ", places[frame]);
            assert!(error.contains(&named), "{error}");
        }
    }
}

#[test]
fn an_index_that_is_missing_or_lies_was_never_there() {
    let directory = tempfile::tempdir().unwrap();
    let (events, bytes, places) = three_frames(directory.path());
    let path = directory.path().join("index.poa");
    let frames = &bytes[..places[3] as usize];
    fs::write(&path, frames).unwrap();
    assert_eq!(all(&path), events);
    // the index of another segment, its checksum in order
    let other = directory.path().join("other.poa");
    let more = pings(100..160);
    written(&other, &[&more[..20], &more[20..30], &more[30..]]);
    let foreign = fs::read(&other).unwrap();
    let end = Segment::open(&other, |_, _| true).unwrap().unwrap().entries[2].end() as usize;
    let mut lying = frames.to_vec();
    lying.extend_from_slice(&foreign[end..]);
    fs::write(&path, &lying).unwrap();
    let (got, _) = read(&path);
    assert_eq!(got, events);
}

/// Every checksum is in order: whoever wrote it was wrong, or wants something not to be found.
#[test]
fn an_index_that_hides_something_hides_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (events, bytes, places) = three_frames(directory.path());
    let path = directory.path().join("lying.poa");
    let entries = Segment::open(&directory.path().join("three.poa"), |_, _| true).unwrap().unwrap().entries;
    let index = |which: &[usize], change: &dyn Fn(&mut Head)| {
        let mut index = Index::default();
        for entry in which.iter().map(|at| &entries[*at]) {
            let mut head = entry.head.clone();
            change(&mut head);
            index.push(entry.place, &head, &head.to_bytes());
        }
        index.to_bytes(places[3])
    };
    let same = |_: &mut Head| ();
    // as large as before, so that no gap gives it away
    let other_times = |head: &mut Head| (head.first, head.last) = (head.first - 1_000_000_000_000, head.last - 1_000_000_000_000);
    let mut early = index(&[0, 1, 2], &same);
    let tail = early.len() - TAIL;
    early[tail + 24..tail + 40].copy_from_slice(&[1_u64.to_le_bytes(), 2_u64.to_le_bytes()].concat());
    let sum = event::archive::checksum(&early[tail..tail + TAIL - 4]);
    early[tail + TAIL - 4..].copy_from_slice(&sum.to_le_bytes());
    let part = Selection { times: events[12].time..=events[17].time, ..Selection::default() };
    for (name, index, trusted) in [
        ("the truth", index(&[0, 1, 2], &same), true),
        ("no last frame", index(&[0, 1], &same), false),
        ("no first frame", index(&[1, 2], &same), false),
        ("no frame in the middle", index(&[0, 2], &same), false),
        ("no frame", index(&[], &same), false),
        ("the tail says another time", early, false),
        ("the heads say another time", index(&[0, 1, 2], &other_times), false),
    ] {
        fs::write(&path, [&bytes[..places[3] as usize], &index].concat()).unwrap();
        assert_eq!(all(&path), events, "{name}");
        let verified = verify::verify(std::slice::from_ref(&path)).unwrap();
        let faults = verified.info.faults;
        assert_eq!((verified.events, faults.len()), (30, usize::from(!trusted)), "{name}: {faults:?}");
        assert!(faults.iter().all(|fault| fault.contains("its index; everything in it can be read")), "{name}: {faults:?}");
        // who is asked for a time does not read the whole index of a segment of another one; `verify` does
        if name != "the heads say another time" {
            assert_eq!(read_part(&path, &part).0, events[12..=17], "{name}");
        }
        seal(&path).unwrap().unwrap();
        assert_eq!(all(&path), events, "{name}");
        assert!(verify::verify(std::slice::from_ref(&path)).unwrap().is_whole(), "{name}");
    }
}

#[test]
fn what_is_no_archive_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.poa");
    let error = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let error = read(&path).1.unwrap();
        assert!(!error.hint().is_empty());
        error.to_string().replace(&directory.path().display().to_string(), "DIR")
    };
    assert_eq!(error(b""), "DIR/x.poa is empty: not even the beginning of a recording");
    assert_eq!(error(b"%PDF-1.7"), "DIR/x.poa is no recording: it does not begin as one");
    let mut newer = three_frames(directory.path()).1;
    newer[8] = 7;
    assert_eq!(error(&newer), "DIR/x.poa is a segment of version 7, and this release reads up to 1");
    let missing = read(&directory.path().join("none")).1.unwrap().to_string();
    assert!(missing.contains("failed to open the recording") && missing.contains("none"), "{missing}");
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(matches!(read(&empty).1, Some(ReadError::Nothing { .. })));
}

/// After a power failure the segment that was just begun may be empty; months later it is the oldest one.
#[test]
fn one_bad_segment_does_not_hold_up_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let (events, bytes, _) = three_frames(directory.path());
    let mut newer = bytes.clone();
    newer[8] = 7;
    let beginning = events[0].time;
    for (bad, said) in [(&b""[..], "is empty"), (b"%PDF-1.7", "is no recording"), (&newer, "of version 7")] {
        let archive = directory.path().join(said);
        fs::create_dir(&archive).unwrap();
        let segment = |number: u32| archive.join(format!("0000000{number}-20250615T150640Z.poa"));
        fs::write(segment(1), bad).unwrap();
        assert!(read(&archive).1.unwrap().to_string().contains(said), "there is no other");
        assert!(info::info(std::slice::from_ref(&archive), 0).is_err());
        fs::write(segment(2), &bytes).unwrap();
        fs::write(segment(3), bad).unwrap();
        let (got, error) = read(&archive);
        assert_eq!(got, events);
        let error = error.unwrap().to_string();
        assert!(error.contains("00000001-") && error.contains(said), "{error}");
        let archive = [archive];
        let verified = verify::verify(&archive).unwrap();
        assert_eq!((verified.events, verified.is_whole(), verified.info.faults.len()), (30, false, 2), "{said}");
        assert_eq!(info::info(&archive, 0).unwrap().faults, verified.info.faults);
        assert_eq!(tools::archive::beginning(&archive).unwrap(), beginning);
        assert_eq!(
            tools::archive::span(&archive).unwrap().map(|span| span.0),
            if said == "is no recording" { None } else { Some(beginning) }
        );
        let to = directory.path().join(format!("{said}.poa"));
        let copied = copy(&archive, &Selection::default(), &to, 0).unwrap();
        assert!(copied.fault.is_some());
        assert_eq!(all(&to), events);
    }
}

/// As `cat` makes them; the index of the first one stands in the middle.
#[test]
fn segments_behind_one_another_are_all_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (first, bytes, places) = three_frames(directory.path());
    let second = pings(30..60);
    // with another header, so that its frames begin elsewhere
    let mut writer =
        Writer::create(&path("second.poa"), &Header { kinds: "net".into(), profile: "full".into(), ..Header::default() }, 3)
            .unwrap();
    for events in second.chunks(10) {
        let mut packer = Packer::default();
        events.iter().for_each(|event| packer.push(event));
        writer.frame(&mut packer).unwrap();
    }
    writer.finish().unwrap();
    let more = fs::read(path("second.poa")).unwrap();
    fs::write(path("both.poa"), [&bytes[..], &more].concat()).unwrap();
    let (got, error) = read(&path("both.poa"));
    assert_eq!(got, [first.clone(), second].concat());
    let error = error.unwrap().to_string();
    assert!(error.contains(&format!("both.poa is damaged at byte {}: ", places[3])), "{error}");
    // what is no frame costs nothing but its mention
    fs::write(path("longer.poa"), [&bytes[..], &[0; 100_000]].concat()).unwrap();
    assert_eq!(read(&path("longer.poa")).0, first);
}

/// A head that promises more than there is makes nobody reserve memory.
#[test]
fn a_frame_that_claims_to_be_huge_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let (events, bytes, places) = three_frames(directory.path());
    let path = directory.path().join("huge.poa");
    let head =
        Head { sections: vec![event::archive::Section { stored: 90 << 20, raw: 90 << 20, compressed: false }], ..Head::default() };
    let (before, after) = bytes.split_at(places[1] as usize);
    fs::write(&path, [before, &head.to_bytes(), after].concat()).unwrap();
    assert_eq!(read(&path).0, events);
}

/// Somebody wants a look at a file to take hours.
#[test]
fn what_only_looks_like_frames_takes_no_longer_than_anything_else() {
    let directory = tempfile::tempdir().unwrap();
    let (events, bytes, places) = three_frames(directory.path());
    let path = directory.path().join("magic.poa");
    let magic = event::archive::MAGIC;
    let (before, after) = bytes.split_at(places[1] as usize);
    // heads that are none, a million of them
    fs::write(&path, [before, &magic.repeat(1 << 20), after].concat()).unwrap();
    let looked = testkit::read_bytes(|| assert_eq!(read(&path).0, events));
    assert!(looked < 64 << 20, "{looked} bytes were read");
    // heads that are some, each of a body up to the end of the file
    let promising = |rest: usize| {
        let section = event::archive::Section { stored: rest as u32, raw: rest as u32, compressed: false };
        Head { sections: vec![section], ..Head::default() }.to_bytes()
    };
    let mut lies = Vec::new();
    for _ in 0..100_000 {
        lies.extend(promising(1 << 20));
    }
    fs::write(&path, [before, &lies, after].concat()).unwrap();
    let looked = testkit::read_bytes(|| {
        let (got, error) = read(&path);
        assert_eq!(got, events[..10]);
        let error = error.unwrap().to_string();
        assert!(error.contains("searched no further: there is more that looks like frames than a file can have"), "{error}");
    });
    assert!(looked < 200 << 20, "{looked} bytes were read");
}

#[test]
fn a_part_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("part.poa");
    let events = demo();
    written(&path, &events.chunks(100).collect::<Vec<_>>());
    let times: Vec<u64> = events.iter().map(|event| event.time).collect();
    let middle = times[times.len() / 2];
    let late = events[events.len() * 3 / 4..].iter().find_map(Event::peer).unwrap();
    for selection in [
        Selection { times: middle..=u64::MAX, ..Selection::default() },
        Selection { times: 0..=middle, ..Selection::default() },
        Selection { kinds: Some([KindId::NetInv, KindId::ConnClosed].into_iter().collect()), ..Selection::default() },
        Selection { peers: vec![3, 4], ..Selection::default() },
        Selection { nodes: vec!["nobody".parse().unwrap()], ..Selection::default() },
        Selection { times: middle..=u64::MAX, peers: vec![late], ..Selection::default() },
    ] {
        let expected: Vec<_> = events.iter().filter(|event| selection.event(event)).cloned().collect();
        assert_eq!(read_part(&path, &selection).0, expected, "{selection:?}");
        // an index that knows too little would also select too little
        assert!(selection.nodes.len() == 1 || !expected.is_empty() && expected.len() < events.len());
    }
}

#[test]
fn a_sealed_segment_holds_the_same_in_less() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("small.poa");
    let events = demo();
    written(&path, &events.chunks(50).collect::<Vec<_>>());
    let before = fs::metadata(&path).unwrap().len();
    let after = seal(&path).unwrap().unwrap();
    assert!(after * 2 < before, "{before} bytes became {after}");
    assert_eq!(fs::metadata(&path).unwrap().len(), after);
    assert_eq!(all(&path), events);
    assert_eq!(seal(&path).unwrap(), None, "there is nothing more to gain");
}

#[test]
fn a_damaged_segment_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (_, mut bytes, places) = three_frames(directory.path());
    let path = directory.path().join("damaged.poa");
    bytes[places[2] as usize - 1] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(seal(&path).is_err());
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is left behind");
}

#[test]
fn cut_and_merge_are_each_others_reverse() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let events = demo();
    written(&place("whole.poa"), &[&events]);
    let middle = events[events.len() / 2].time;
    let cut = |times, name: &str| {
        let selection = Selection { times, ..Selection::default() };
        copy(&[place("whole.poa")], &selection, &place(name), 0).unwrap()
    };
    let (first, second) = (cut(0..=middle - 1, "first.poa"), cut(middle..=u64::MAX, "second.poa"));
    assert_eq!(first.events + second.events, events.len() as u64);
    copy(&[place("second.poa"), place("first.poa")], &Selection::default(), &place("merged.poa"), 0).unwrap();
    let sorted = |mut events: Vec<Event>| {
        events.sort_by_key(|event| (event.time, event.source, event.sequence));
        events
    };
    assert_eq!(sorted(all(&place("merged.poa"))), sorted(events));
    // nothing is written over
    let error = copy(&[place("first.poa")], &Selection::default(), &place("second.poa"), 0).unwrap_err();
    assert!(error.to_string().ends_with("second.poa exists already"), "{error}");
}

#[test]
fn a_file_that_is_being_made_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    written(&place("from.poa"), &[&pings(0..10)]);
    let made = |to: &str| copy(&[place("from.poa")], &Selection::default(), &place(to), 0).map(|copied| copied.events);
    // somebody else is at it
    let writer = Writer::create(&place("to.poa.part"), &Header::default(), 3).unwrap();
    let error = made("to.poa").unwrap_err().to_string();
    assert!(error.ends_with("to.poa is being written by another process"), "{error}");
    assert!(writer.path().exists() && !place("to.poa").exists());
    // he was ended
    drop(writer);
    assert_eq!(made("to.poa").unwrap(), 10);
    assert_eq!(all(&place("to.poa")), pings(0..10));
    // a link to nowhere is a name, too; nothing is left behind
    std::os::unix::fs::symlink("nowhere", place("link.poa")).unwrap();
    let error = made("link.poa").unwrap_err().to_string();
    assert!(error.ends_with("link.poa exists already"), "{error}");
    assert!(!place("link.poa.part").exists() && !place("to.poa.part").exists());
}

/// Whoever reads is told that it was ended, and not that it was all.
#[test]
fn what_was_ended_is_not_done() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (directory.path().join("one.poa"), directory.path().join("other.rec"));
    written(&one, &[&pings(0..10), &pings(10..20)]);
    fs::copy(world::DEMO, &other).unwrap();
    for files in [vec![one.clone()], vec![other.clone()], vec![one, other]] {
        let progress = Progress::default();
        let mut events = input::open_watched(&files, &Selection::default(), &progress).unwrap().events();
        assert!(matches!(events.next(), Some(Ok(_))));
        progress.stop();
        assert!(matches!(events.next(), Some(Err(ReadError::Stopped))));
        assert!(events.next().is_none());
        let stopped = |error: ReadError| matches!(error, ReadError::Stopped);
        assert!(info::info_watched(&files, 0, &progress).is_err_and(stopped));
        assert!(verify::verify_watched(&files, &progress).is_err_and(stopped));
        let to = directory.path().join("to.poa");
        let copied = copy_watched(&files, &Selection::default(), &to, 0, &progress);
        assert!(matches!(copied, Err(CopyError::Read(ReadError::Stopped))), "{copied:?}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing is left behind");
    }
}

/// Merged by time, whatever each of them is; one node's own order stays, also where its clock went back.
#[test]
fn several_nodes_come_in_the_order_of_time() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let of = |node: &str, times: &[u64]| -> Vec<Event> {
        let event = |(sequence, time): (u64, &u64)| Event {
            run: 1,
            sequence,
            time: *time,
            ..Event::new(node, Source::Ebpf, NetPing::default())
        };
        (0..).zip(times).map(event).collect()
    };
    let (alice, bob, carol) = (of("alice", &[10, 30, 50]), of("bob", &[20, 5, 60]), of("carol", &[30, 31]));
    written(&place("alice.poa"), &[&alice]);
    fs::create_dir(place("bob")).unwrap();
    written(&place("bob/00000001-20250615T150640Z.poa"), &[&bob[..1]]);
    written(&place("bob/00000002-20250615T150640Z.poa"), &[&bob[1..]]);
    let mut stream = Vec::new();
    carol.iter().for_each(|event| event::recording::write(event, &mut stream));
    fs::write(place("carol.rec"), zstd::encode_all(&stream[..], 1).unwrap()).unwrap();
    let all = ["alice.poa", "bob", "carol.rec"].map(place);
    let read = |selection: &Selection| -> Vec<(String, u64)> {
        let events = tools::archive::open(&all, selection).unwrap().events().map(Result::unwrap);
        events.map(|event| (event.node, event.time)).collect()
    };
    let expected = |of: &[(&str, u64)]| of.iter().map(|(node, time)| ((*node).to_owned(), *time)).collect::<Vec<_>>();
    assert_eq!(
        read(&Selection::default()),
        expected(&[
            ("alice", 10),
            ("bob", 20),
            ("bob", 5),
            ("alice", 30),
            ("carol", 30),
            ("carol", 31),
            ("alice", 50),
            ("bob", 60)
        ])
    );
    let nodes = vec!["bob".parse().unwrap(), "carol".parse().unwrap()];
    assert_eq!(read(&Selection { nodes, times: 20..=30, ..Selection::default() }), expected(&[("bob", 20), ("carol", 30)]));
    copy(&all, &Selection::default(), &place("merged.poa"), 0).unwrap();
    let merged: Vec<_> = world::all(&place("merged.poa")).into_iter().map(|event| (event.node, event.time)).collect();
    assert_eq!(merged, read(&Selection::default()));
}

#[test]
fn recordings_of_the_first_form_are_recordings() {
    let directory = tempfile::tempdir().unwrap();
    let first = Path::new(world::DEMO);
    assert_eq!(all(first), demo());
    let to = directory.path().join("copy.poa");
    copy(&[first.to_owned()], &Selection::default(), &to, 0).unwrap();
    assert_eq!(all(&to), demo());
    let of = |path: &Path| {
        let info = info::info(&[path.to_owned()], 0).unwrap();
        (info.events, info.raw_bytes, info.first, info.last, info.sources.len(), info.missing())
    };
    assert_eq!(of(first), of(&to));
}

/// What is before the block with the fault is read; nothing is promised of what is behind it.
#[test]
fn a_fault_of_the_first_form_is_told_where_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("changed.rec");
    let mut stream = Vec::new();
    let events = demo();
    // several blocks, of 128 kB at most
    while stream.len() < 1 << 20 {
        events.iter().for_each(|event| event::recording::write(event, &mut stream));
    }
    let bytes = zstd::encode_all(&stream[..], 1).unwrap();
    let mut some = 0;
    for at in (0..bytes.len()).step_by(bytes.len() / 40) {
        let mut changed = bytes.clone();
        changed[at] ^= 4;
        fs::write(&path, &changed).unwrap();
        let (got, error) = read(&path);
        let place = match &error {
            // a bit that is not missed, or the beginning of the file
            None | Some(ReadError::Foreign { .. } | ReadError::Open { .. }) => continue,
            Some(ReadError::Broken { offset, .. }) => *offset,
            Some(other) => panic!("byte {at}: {other}"),
        };
        // the fault shows where it is, or later, in what it was made into
        assert!(place <= bytes.len() as u64, "byte {at}: {place}");
        assert!(error.unwrap().hint().contains("nothing behind that place can be read"));
        assert!(at < bytes.len() / 2 || !got.is_empty(), "byte {at} of {}, and nothing was read before {place}", bytes.len());
        some += u32::from(!got.is_empty() && place > 0);
    }
    assert!(some > 20, "{some}");
}

#[test]
fn what_is_less_than_a_header_promises_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tiny.poa");
    fs::write(&path, b"\x89po").unwrap();
    let error = read(&path).1.unwrap();
    assert!(error.to_string().ends_with("tiny.poa at byte 0: it ends before its header does"), "{error}");
    assert_eq!(error.hint(), "nothing behind that place can be read; was the file copied whole?");
}

/// Written by version 1; every later release reads it.
#[test]
fn the_fixture_is_read() {
    let fixture = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/archive-1.poa"));
    assert_eq!(all(fixture), demo());
    assert!(verify::verify(&[fixture.to_owned()]).unwrap().is_whole());
}

#[test]
fn verify_finds_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let (events, bytes, places) = three_frames(directory.path());
    let path = directory.path().join("v.poa");
    let verified = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let verified = verify::verify(std::slice::from_ref(&path)).unwrap();
        (verified.is_whole(), verified.events, verified.info.faults.len(), verified.info.missing())
    };
    assert_eq!(verified(&bytes), (true, 30, 0, 0));
    let mut changed = bytes.clone();
    changed[places[1] as usize + 50] ^= 1;
    let (whole, count, faults, missing) = verified(&changed);
    assert_eq!((whole, count, faults > 0, missing), (false, 20, true, 10));
    // cut in the middle of a frame, by whoever copied it: the checksums of what is there are in order
    let cut = &bytes[..places[2] as usize + 50];
    assert_eq!(verified(cut), (false, 20, 1, 0));
    let info = info::info(std::slice::from_ref(&path), 0).unwrap();
    assert!(info.to_string().contains("complete  1 file ends in the middle of a frame"), "{info}");
    // unless somebody is about to write the rest of it
    let archive = directory.path().join("archive");
    fs::create_dir(&archive).unwrap();
    fs::write(archive.join("00000001-20250615T150640Z.poa"), cut).unwrap();
    let whole = || verify::verify(std::slice::from_ref(&archive)).unwrap().is_whole();
    assert!(!whole());
    let writing = Store::open(&archive).unwrap();
    assert!(whole());
    drop(writing);
    // a loss that was reported, and one that was not
    let lost = event::HealthLost { count: 5, ..Default::default() };
    let lost = Event { run: 1, sequence: 10, time: 1, ..Event::new("alice", Source::Ebpf, lost) };
    let other = directory.path().join("lost.poa");
    written(&other, &[&events[..10], &[lost], &events[12..20]]);
    let info = verify::verify(&[other]).unwrap().info;
    assert_eq!((info.missing(), info.lost.values().sum::<u64>()), (1, 5));
    assert!(info.to_string().contains("1 sequence is missing; 5 events were reported lost"), "{info}");
}

#[test]
fn what_is_missing_does_not_depend_on_the_order_of_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let events = pings(0..100);
    let part = |name: &str, from: usize, to: usize| {
        written(&place(name), &events[from..to].chunks(10).collect::<Vec<_>>());
        place(name)
    };
    let (early, late, between) = (part("early.poa", 0, 30), part("late.poa", 60, 100), part("between.poa", 25, 55));
    for (files, expected) in [
        (vec![&early, &late], (70, 30, 0)),
        (vec![&late, &early], (70, 30, 0)),
        (vec![&late, &between, &early], (100, 5, 5)),
        (vec![&between, &early, &late], (100, 5, 5)),
        (vec![&early, &early], (60, 0, 30)),
    ] {
        let files: Vec<_> = files.into_iter().cloned().collect();
        let of = |info: &info::Info| (info.events, info.sources[0].missing, info.sources[0].repeated);
        assert_eq!(of(&info::info(&files, 0).unwrap()), expected, "{files:?}");
        assert_eq!(of(&verify::verify(&files).unwrap().info), expected, "{files:?}");
        assert_eq!(info::info(&files, 0).unwrap().sources[0].from, 0);
    }
}

/// A run of the detectors: beats, which know no life of the node, and findings, which say it.
fn beats_and_findings(sequences: std::ops::Range<u64>) -> Vec<Event> {
    let event = |sequence: u64| {
        let kind: Kind = if sequence % 5 < 3 { HealthBeat::default().into() } else { FindingOpened::default().into() };
        let node_run = (sequence % 5 >= 3).then_some(1_750_000_000);
        // what is found, is found later than it was
        let time = 1_750_000_000_000_000_000 + (sequence / 5) * 1_000_000_000 - (sequence % 3) * 1_000_000;
        Event { run: 1, node_run, sequence, time, ..Event::new("alice", Source::Detect, kind) }
    };
    sequences.map(event).collect()
}

#[test]
fn a_run_is_one_whatever_its_events_know_of_the_node() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let events = beats_and_findings(0..200);
    // missing and repeated
    let counts = |path: &Path| {
        let files = [path.to_owned()];
        let of = |info: &info::Info| {
            assert_eq!(info.sources.len(), 1, "one run");
            (info.events, info.missing(), info.repeated())
        };
        let verified = verify::verify(&files).unwrap();
        assert_eq!(of(&info::info(&files, 0).unwrap()), of(&verified.info));
        assert_eq!(verified.is_whole(), verified.info.missing() == 0);
        of(&verified.info)
    };
    let file = |name: &str, events: &[Event]| {
        written(&place(name), &events.chunks(17).collect::<Vec<_>>());
        counts(&place(name))
    };
    assert_eq!(file("whole.poa", &events), (200, 0, 0));
    let without = |gone: u64| events.iter().filter(|event| event.sequence != gone).cloned().collect::<Vec<_>>();
    // a beat, a finding, one at the edge of a frame
    for gone in [20, 23, 33, 34, 35] {
        assert_eq!(file(&format!("without-{gone}.poa"), &without(gone)), (199, 1, 0), "{gone}");
    }
    let twice = |again: usize, events: &[Event]| [&events[..=again], &events[again..]].concat();
    assert_eq!(file("twice.poa", &twice(23, &events)), (201, 0, 1));
    // one does not make up for the other, wherever they are
    for (gone, again) in [(20, 21), (23, 20), (20, 180), (180, 20)] {
        let events = twice(again, &without(gone));
        assert_eq!(file(&format!("{gone}-{again}.poa"), &events), (200, 1, 1), "{gone} is gone, and {again} there again");
    }
    // two recordings of the same, which overlap
    file("early.poa", &events[..120]);
    file("late.poa", &events[90..]);
    copy(&[place("late.poa"), place("early.poa")], &Selection::default(), &place("merged.poa"), 0).unwrap();
    assert_eq!(counts(&place("merged.poa")), (230, 0, 30));
    // what one lacks, the other has; what both lack is missing
    copy(&[place("without-23.poa"), place("whole.poa")], &Selection::default(), &place("filled.poa"), 0).unwrap();
    // 199 are there twice, and the one that was gone comes behind the next one, whose time is the earlier
    assert_eq!(counts(&place("filled.poa")), (399, 0, 200));
    file("also-without-23.poa", &without(23)[10..]);
    copy(&[place("without-23.poa"), place("also-without-23.poa")], &Selection::default(), &place("both.poa"), 0).unwrap();
    assert_eq!(counts(&place("both.poa")), (388, 1, 189));
}

#[test]
fn a_clock_that_goes_back_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("clock.poa");
    let events: Vec<_> = pings(0..20).into_iter().map(|event| Event { time: 1000 - 50 * event.sequence, ..event }).collect();
    written(&path, &[&events[..10], &events[10..]]);
    assert_eq!(all(&path), events);
    let late = Selection { times: 500..=u64::MAX, ..Selection::default() };
    assert_eq!(read_part(&path, &late).0, events[..11]);
    let info = info::info(&[path], 0).unwrap();
    assert_eq!((info.first.unwrap().0, info.last.unwrap().0, info.missing()), (50, 1000, 0));
}

#[test]
fn an_empty_archive_is_one() {
    let directory = tempfile::tempdir().unwrap();
    archived(directory.path(), &[]);
    assert_eq!(segments(directory.path()).unwrap().len(), 1);
    assert_eq!(all(directory.path()), []);
    let info = info::info(&[directory.path().to_owned()], 0).unwrap();
    assert_eq!((info.events, info.first), (0, None));
    assert!(!info.to_string().is_empty());
}

#[test]
fn a_name_without_end_is_cut_where_it_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let ping = Event { time: 5, run: 1, ..Event::new("é".repeat(10_000), Source::Ebpf, NetPing::default()) };
    let path = segment_of(directory.path(), &ping.to_bytes());
    let page = info::info(&[path], 0).unwrap().to_string();
    assert!(page.len() < 2000 && page.contains("éé…"), "{page}");
}

/// What this release does not know survives being copied by it.
#[test]
fn what_a_later_release_wrote_survives() {
    let directory = tempfile::tempdir().unwrap();
    let ping = Event { time: 5, run: 1, ..Event::new("alice", Source::Ebpf, NetPing::default()) };
    let mut newer = Event { kind: None, ..ping }.to_bytes().to_vec();
    // field 999: a kind with two fields
    newer.extend([0xba, 0x3e, 7, 0x08, 1, 0x12, 3, b'n', b'e', b'w']);
    let path = segment_of(directory.path(), &newer);
    let to = directory.path().join("copy.poa");
    copy(&[path], &Selection::default(), &to, 0).unwrap();
    let raw: Vec<_> =
        tools::archive::open(&[to], &Selection::default()).unwrap().into_iter().map(|raw| raw.unwrap().bytes).collect();
    assert_eq!(raw, [newer]);
}
