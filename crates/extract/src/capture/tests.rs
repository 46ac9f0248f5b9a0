use std::fs;

use event::{ConnectionType, Kind};
use testkit::events::payloads;

use super::*;

/// A record as Bitcoin Core writes it, at so many microseconds.
fn record(time: u64, message_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut padded = [0; 12];
    padded[..message_type.len()].copy_from_slice(message_type.as_bytes());
    [&time.to_le_bytes()[..], &padded, &(payload.len() as u32).to_le_bytes(), payload].concat()
}

fn ping(time: u64) -> Vec<u8> {
    record(time, "ping", &time.to_le_bytes())
}

fn version(time: u64) -> Vec<u8> {
    let (_, payload) = payloads().into_iter().find(|(message_type, _)| message_type == "version").unwrap();
    record(time, "version", &payload)
}

/// A capture of these files: folder, file, content.
fn written(files: &[(&str, &str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (peer, file, content) in files {
        fs::create_dir_all(folder.path().join(peer)).unwrap();
        fs::write(folder.path().join(peer).join(file), content).unwrap();
    }
    folder
}

fn read(path: &Path) -> (Vec<Event>, Vec<String>) {
    let (mut events, mut errors) = (Vec::new(), Vec::new());
    for item in Capture::open(path, false).unwrap() {
        match item {
            Ok(event) => events.push(event),
            Err(error) => errors.push(error.to_string()),
        }
    }
    (events, errors)
}

#[test]
fn folders_are_merged_by_time() {
    let capture = written(&[
        ("203.0.113.7_8333", "msgs_sent.dat", [version(10), ping(40), ping(60)].concat()),
        ("203.0.113.7_8333", "msgs_recv.dat", [version(20), ping(50)].concat()),
        ("[2600__7]_50000", "msgs_recv.dat", [version(30), ping(60)].concat()),
        ("[2600__7]_50000", "msgs_sent.dat", version(30)),
    ]);
    let (events, errors) = read(capture.path());
    assert_eq!(errors, [""; 0]);
    let line = |event: &Event| {
        let net = event.kind.as_ref().unwrap().net().unwrap();
        let (kind, direction) = (event.id().unwrap().short_name(), net.direction.word());
        format!("{} {} {kind} {direction} {} {} {}", event.sequence, event.time, net.peer, net.address, net.connection_type.word())
    };
    let lines: Vec<_> = events.iter().map(line).collect();
    expect_test::expect![[r#"
        0 10000 version outbound 0 203.0.113.7:8333 unspecified
        1 20000 version inbound 0 203.0.113.7:8333 unspecified
        2 30000 version inbound 1 [2600::7]:50000 inbound
        3 30000 version outbound 1 [2600::7]:50000 inbound
        4 40000 ping outbound 0 203.0.113.7:8333 unspecified
        5 50000 ping inbound 0 203.0.113.7:8333 unspecified
        6 60000 ping outbound 0 203.0.113.7:8333 unspecified
        7 60000 ping inbound 1 [2600::7]:50000 inbound"#]]
    .assert_eq(&lines.join("\n"));
    assert!(events.iter().all(|event| event.source() == Source::Capture && event.run == 10_000 && event.node == NODE));
}

#[test]
fn a_folder_and_a_file_are_captures_too() {
    let capture = written(&[("203.0.113.7_8333", "msgs_recv.dat", ping(1)), ("203.0.113.7_8333", "msgs_sent.dat", ping(2))]);
    let folder = capture.path().join("203.0.113.7_8333");
    for (path, count) in [(folder.join("msgs_recv.dat"), 1), (folder.clone(), 2)] {
        assert!(Capture::is_one(&path));
        let (events, errors) = read(&path);
        assert_eq!((events.len(), errors.len()), (count, 0));
        assert_eq!(events[0].kind.as_ref().unwrap().address(), "203.0.113.7:8333");
    }
    assert!(!Capture::is_one(&folder.join("msgs_recv.rec")));
}

/// Whatever the type, the event is the one that the probes' message would be, and nothing of the payload is lost.
#[test]
fn messages_are_decoded_as_those_of_the_probes_are() {
    let all: Vec<u8> = payloads().iter().flat_map(|(message_type, payload)| record(5, message_type, payload)).collect();
    let capture = written(&[("203.0.113.7_8333", "msgs_recv.dat", [all, record(6, "nonsense", b"\xff")].concat())]);
    let events: Vec<_> = Capture::open(capture.path(), true).unwrap().map(Result::unwrap).collect();
    assert_eq!(events.len(), payloads().len() + 1);
    for (event, (message_type, payload)) in events.iter().zip(payloads()) {
        assert_eq!(event.id().unwrap().short_name(), message_type);
        assert_eq!(event.kind.as_ref().unwrap().net().unwrap().raw.unwrap(), &payload);
    }
    let Some(Kind::NetUndecodable(last)) = &events[events.len() - 1].kind else { panic!("an unknown type is kept as bytes") };
    assert_eq!((last.message_type.as_str(), last.raw.as_deref()), ("nonsense", Some(&b"\xff"[..])));
}

/// More folders than files may be open; each is read on where it was.
#[test]
fn thousands_of_folders_need_few_open_files() {
    const FOLDERS: u64 = 1_000;
    const EACH: u64 = 5;
    let content = |peer: u64| (0..EACH).flat_map(|round| ping(1 + round * FOLDERS + peer)).collect();
    let names: Vec<String> = (0..FOLDERS).map(|peer| format!("203.0.{}.{}_8333", peer / 250, peer % 250)).collect();
    let files: Vec<_> = names.iter().zip(0..).map(|(name, peer)| (name.as_str(), "msgs_recv.dat", content(peer))).collect();
    let folder = written(&files);
    let mut capture = Capture::open(folder.path(), false).unwrap();
    let (mut times, mut most) = (Vec::new(), 0);
    while let Some(event) = capture.next() {
        times.push(event.unwrap().time);
        most = most.max(capture.open.len());
    }
    assert_eq!(most, OPEN);
    assert_eq!(times, (1..=FOLDERS * EACH).map(|time| time * 1000).collect::<Vec<_>>());
}

#[test]
fn a_file_cut_anywhere_gives_what_is_whole_and_says_where() {
    let whole = [ping(1), record(2, "verack", b""), ping(3)].concat();
    let (first, second) = (ping(1).len(), ping(1).len() + 24);
    for length in 0..whole.len() {
        let capture = written(&[("1.2.3.4_5", "msgs_recv.dat", whole[..length].to_vec()), ("1.2.3.4_5", "msgs_sent.dat", ping(9))]);
        let (events, errors) = read(capture.path());
        let begins = [0, first, second].into_iter().filter(|begin| *begin <= length).max().unwrap();
        // the other file is read to its end
        assert_eq!(events.len(), 1 + usize::from(length >= first) + usize::from(length >= second), "{length}");
        if length == begins {
            assert_eq!(errors, [""; 0]);
        } else {
            let file = capture.path().join("1.2.3.4_5/msgs_recv.dat");
            let expected =
                format!("failed to read the capture {} at byte {begins}: the file ends in the middle of a message", file.display());
            assert_eq!(errors, [expected]);
        }
    }
}

#[test]
fn what_is_no_record_is_named() {
    let length = [&1_u64.to_le_bytes()[..], b"ping\0\0\0\0\0\0\0\0", &u32::MAX.to_le_bytes()].concat();
    for (bytes, expected) in [
        (length, "no message: 4294967295 bytes, and the longest have 4,000,000"),
        (vec![0xff; 100], "no message: its type has bytes that no message type has"),
        // nothing behind it shows that its length is one
        ([record(1, "pi\0g", b""), vec![0xff; 100]].concat(), "no message: its type has bytes that no message type has"),
    ] {
        let capture = written(&[("1.2.3.4_5", "msgs_recv.dat", [ping(1), bytes].concat())]);
        let (events, errors) = read(capture.path());
        assert_eq!(events.len(), 1);
        assert!(errors.len() == 1 && errors[0].ends_with(&format!("at byte 32: {expected}")), "{errors:?}");
    }
}

#[test]
fn a_record_that_no_node_writes_costs_itself_only() {
    let past = record(-5_i64 as u64, "ping", b"12345678");
    for (bad, expected) in [
        (past.clone(), "no message: its time is in the far future; 1 such record was passed over"),
        (record(3, "pi\0g", b"1"), "no message: its type has bytes that no message type has; 1 such record was passed over"),
        ([past, record(3, "pi\0g", b"1")].concat(), "no message: its time is in the far future; 2 such records were passed over"),
    ] {
        for behind in [vec![], ping(7)] {
            let content = [ping(1), ping(2), bad.clone(), behind.clone()].concat();
            let capture = written(&[("1.2.3.4_5", "msgs_recv.dat", content), ("1.2.3.4_5", "msgs_sent.dat", vec![0xff; 30])]);
            let (events, errors) = read(capture.path());
            let times: Vec<_> = events.iter().map(|event| event.time / 1000).collect();
            assert_eq!(times, if behind.is_empty() { vec![1, 2] } else { vec![1, 2, 7] });
            // of either file
            let [sent, received] = &errors[..] else { panic!("{errors:?}") };
            assert!(sent.ends_with("msgs_sent.dat at byte 0: no message: its type has bytes that no message type has"), "{sent}");
            assert!(received.ends_with(&format!("msgs_recv.dat at byte 64: {expected}")), "{received}");
        }
    }
}

#[test]
fn folders_without_a_capture_are_named() {
    let empty = tempfile::tempdir().unwrap();
    let error = Capture::open(empty.path(), false).err().unwrap();
    assert_eq!(error.to_string(), format!("{} holds no recording", empty.path().display()));
    assert!(error.hint().contains("message_capture"), "{}", error.hint());
    let missing = Capture::open(&empty.path().join("msgs_recv.dat"), false).err().unwrap();
    assert!(missing.to_string().starts_with("failed to open the recording "), "{missing}");
}

#[test]
fn a_file_elsewhere_has_no_address() {
    let folder = written(&[("copies", "msgs_recv.dat", [version(1), ping(2)].concat())]);
    let (events, _) = read(&folder.path().join("copies/msgs_recv.dat"));
    let net = events[1].kind.as_ref().unwrap().net().unwrap();
    assert_eq!((net.address, net.connection_type), ("", ConnectionType::Inbound));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, whole: bool) {
        let bytes = if whole { [ping(1), bytes].concat() } else { bytes };
        let (mut place, mut input) = (Place::default(), &bytes[..]);
        while let Ok(Some(_)) = place.look(&mut input) {
            if place.take(&mut input).is_err() {
                break;
            }
            proptest::prop_assert_eq!(place.offset() as usize, bytes.len() - input.len());
        }
    }
}
