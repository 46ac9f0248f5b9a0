//! Recordings from the command line. Nothing here needs a node or a permission.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod program;

use std::path::Path;
use std::process::Output;

use bus::{Bus, Delivery, Limits, NatsOptions};
use event::{Event, Filter};
use expect_test::{Expect, expect};
use program::{Running, output, program};
use testkit::{NatsServer, need_nats};

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec");

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn succeeds(args: &[&str]) -> Output {
    let output = output(args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    output
}

/// Fails with this code and these words, and prints nothing else.
#[track_caller]
fn fails(directory: &Path, args: &[&str], code: i32, expect: Expect) {
    let output = output(args);
    let said = text(&output.stderr).replace(&directory.display().to_string(), "DIR");
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(text(&output.stdout), "", "nothing on standard output");
    expect.assert_eq(&said);
}

#[test]
fn what_was_cut_and_merged_is_what_there_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    succeeds(&["archive", "cut", DEMO, "-o", &path("a.poa"), "--to", "+10s"]);
    succeeds(&["archive", "cut", DEMO, "-o", &path("b.poa"), "--from", "+10s"]);
    succeeds(&["archive", "merge", &path("b.poa"), &path("a.poa"), "-o", &path("c.poa")]);
    let lines = |args: &[&str]| {
        let mut lines: Vec<String> = text(&succeeds(args).stdout).lines().map(str::to_owned).collect();
        lines.sort();
        lines.dedup();
        lines
    };
    assert_eq!(lines(&["logger", "--recording", &path("c.poa")]), lines(&["logger", "--recording", DEMO]));
    assert_eq!(lines(&["logger", "--recording", &path("a.poa"), &path("b.poa")]), lines(&["logger", "--recording", DEMO]));
    succeeds(&["archive", "verify", &path("c.poa")]);
}

#[test]
fn what_is_merged_twice_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    succeeds(&["archive", "cut", DEMO, "-o", &path("a.poa"), "--to", "+10s"]);
    let merged = text(&succeeds(&["archive", "merge", &path("a.poa"), DEMO, "-o", &path("c.poa")]).stderr);
    assert!(merged.contains("events are there twice or out of order"), "{merged}");
    let page = text(&succeeds(&["archive", "verify", &path("c.poa")]).stdout);
    assert!(page.contains("events are there twice or out of order") && !page.contains("no sequence is missing"), "{page}");
    let apart = text(&succeeds(&["archive", "merge", &path("a.poa"), "-o", &path("d.poa")]).stderr);
    assert!(!apart.contains("twice"), "{apart}");
}

/// What is cut for others has nobody's address or name, and nothing links two files unless a key does.
#[test]
fn a_slice_for_others_names_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let key = path("key");
    std::fs::write(&key, [7; 32]).unwrap();
    let cut = |name: &str, more: &[&str]| {
        let said = succeeds(&[&["archive", "cut", DEMO, "-o", &path(name), "--redact"], more].concat());
        (text(&said.stderr), text(&succeeds(&["logger", "--recording", &path(name)]).stdout))
    };
    let (said, lines) = cut("one.poa", &["--redact-key", &key]);
    assert!(said.contains(" events withheld; ") && said.contains(" events, "), "{said}");
    assert!(lines.contains("near-") || lines.contains("peer-"), "{lines}");
    for own in ["demo", "127.0.0.1"] {
        assert!(!lines.contains(own), "{own} is in {lines}");
    }
    let (_, again) = cut("two.poa", &["--redact-key", &key]);
    let (_, other) = cut("three.poa", &[]);
    assert_eq!(lines, again);
    assert_ne!(lines, other);
    succeeds(&["archive", "info", &path("one.poa")]);
    let short = path("short");
    std::fs::write(&short, "secret").unwrap();
    fails(
        directory.path(),
        &["archive", "cut", DEMO, "-o", &path("x.poa"), "--redact", "--redact-key", &short],
        2,
        expect![[r#"
            error: the key DIR/short has 6 bytes, not 32
            hint: make one with `head -c 32 /dev/urandom > FILE`
        "#]],
    );
    fails(
        directory.path(),
        &["archive", "cut", DEMO, "-o", &path("x.poa"), "--redact", "--own", "home"],
        2,
        expect![[r#"
            error: `home` is no address that others could know a node by
            hint: write it as `203.0.113.7`, `[2001:db8::7]:8333` or `….onion`
        "#]],
    );
    fails(
        directory.path(),
        &["archive", "cut", DEMO, "-o", &path("the-demo.poa"), "--redact"],
        2,
        expect![[r#"
            error: the file name DIR/the-demo.poa tells the name of the node `demo`
            hint: choose a name that says nothing of where it comes from
        "#]],
    );
}

#[test]
fn info_says_what_there_is() {
    let page = text(&succeeds(&["archive", "info", DEMO]).stdout);
    for part in ["events    2245,", "no sequence is missing", "demo             ebpf", "net.block"] {
        assert!(page.contains(part), "no {part:?} in {page}");
    }
    let json: serde_json::Value = serde_json::from_slice(&succeeds(&["archive", "info", "--format=json", DEMO]).stdout).unwrap();
    assert_eq!((&json["events"], &json["sources"][0]["missing"]), (&2245.into(), &0.into()));
}

#[test]
fn what_is_damaged_is_named_and_the_rest_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.poa");
    let path_text = path.display().to_string();
    succeeds(&["archive", "merge", DEMO, "-o", &path_text]);
    let whole = std::fs::read(&path).unwrap();
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    std::fs::write(&path, &changed).unwrap();
    let verify = output(&["archive", "verify", &path_text]);
    assert_eq!(verify.status.code(), Some(7));
    assert!(text(&verify.stdout).contains("is damaged at byte "), "{}", text(&verify.stdout));
    // heads are all that `info` looks at; that of the file tells when it was begun
    let mut begun = whole.clone();
    begun[14] ^= 1;
    std::fs::write(&path, &begun).unwrap();
    let info = output(&["archive", "info", &path_text]);
    assert_eq!(info.status.code(), Some(7), "{}", text(&info.stdout));
    assert!(text(&info.stdout).contains("FAULT     "), "{}", text(&info.stdout));
    std::fs::write(&path, &changed).unwrap();
    let printed = output(&["logger", "--recording", &path_text]);
    assert_eq!(printed.status.code(), Some(7));
    assert!(text(&printed.stderr).contains("x.poa is damaged at byte "), "{}", text(&printed.stderr));
}

/// Messages as Bitcoin Core captures them: time in microseconds, type, payload.
fn captured(time: u64, message_type: &[u8; 12], payload: &[u8]) -> Vec<u8> {
    [&time.to_le_bytes()[..], message_type, &(payload.len() as u32).to_le_bytes(), payload].concat()
}

#[test]
fn every_fault_of_a_capture_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let peer = directory.path().join("203.0.113.7_8333");
    std::fs::create_dir(&peer).unwrap();
    let ping = |time| captured(time, b"ping\0\0\0\0\0\0\0\0", b"12345678");
    std::fs::write(peer.join("msgs_recv.dat"), [ping(1), ping(u64::MAX - 4), ping(3)].concat()).unwrap();
    std::fs::write(peer.join("msgs_sent.dat"), [ping(2), vec![0xff; 30]].concat()).unwrap();
    let printed = output(&["logger", "--recording", directory.path().to_str().unwrap()]);
    let said = text(&printed.stderr);
    // and the line of their date
    assert_eq!((printed.status.code(), text(&printed.stdout).lines().count()), (Some(7), 3 + 1), "{said}");
    for part in
        ["msgs_recv.dat at byte 32: no message: its time", "1 such record was passed over", "msgs_sent.dat at byte 32: no message"]
    {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

#[test]
fn what_bitcoin_core_captured_becomes_a_recording() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let capture = path("message_capture");
    let peer = directory.path().join("message_capture/203.0.113.7_8333");
    std::fs::create_dir_all(&peer).unwrap();
    let ping = |time| captured(time, b"ping\0\0\0\0\0\0\0\0", b"12345678");
    std::fs::write(peer.join("msgs_recv.dat"), (1..=20).flat_map(|second| ping(second * 1_000_000)).collect::<Vec<_>>()).unwrap();
    let page = text(&succeeds(&["archive", "info", &capture]).stdout);
    assert!(page.contains("events    20,") && page.contains("capture          capture"), "{page}");
    succeeds(&["archive", "cut", &capture, "-o", &path("all.poa")]);
    succeeds(&["archive", "cut", &capture, "-o", &path("part.poa"), "--from", "+5s", "--to", "+9s"]);
    let lines = |path: &str| text(&succeeds(&["logger", "--recording", path]).stdout);
    assert_eq!(lines(&path("all.poa")), lines(&capture));
    assert_eq!(lines(&path("part.poa")).lines().count(), 5 + 1, "five, and the line of their date");
    succeeds(&["archive", "verify", &path("all.poa")]);
    fails(
        directory.path(),
        &["archive", "export", &capture, "-o", &path("tables")],
        2,
        expect![[r#"
            error: `archive export` does not read what Bitcoin Core captured, as DIR/message_capture is
            hint: `archive cut FOLDER -o FILE` makes a recording of it, which everything reads
        "#]],
    );
}

#[test]
fn mistakes_say_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let there = directory.path().join("there.poa");
    std::fs::write(&there, "good").unwrap();
    fails(
        directory.path(),
        &["archive", "cut", DEMO, "-o", there.to_str().unwrap()],
        2,
        expect![[r#"
            error: DIR/there.poa exists already
            hint: nothing is written over; choose another name, or delete it
        "#]],
    );
    fails(
        directory.path(),
        &["replay", DEMO],
        2,
        expect![[r#"
            error: `replay` needs a bus to play into
            hint: give `--nats URL`; tools that take `--recording FILES` play a recording without a bus
        "#]],
    );
    fails(
        directory.path(),
        &["archive", "record", "--archive", "x"],
        2,
        expect![[r#"
            error: `archive record` needs a bus to follow
            hint: give `--nats URL`; `peer-observer run --archive DIR` keeps what happens on this machine
        "#]],
    );
    fails(
        directory.path(),
        &["archive", "record", "--nats", "nats://127.0.0.1"],
        2,
        expect![[r#"
            error: the archive needs a directory
            hint: give `--archive DIR`, or `dir` in the section `[archive]`
        "#]],
    );
    fails(
        directory.path(),
        &["archive", "info", directory.path().to_str().unwrap()],
        7,
        expect![[r#"
            error: there is no recording in DIR
            hint: name a file or an archive of this program, or the node's `message_capture`
        "#]],
    );
}

/// A recording that takes seconds to read: the demo, again and again. How many events it has.
fn long(path: &Path) -> usize {
    let events: Vec<Event> = extract::recording::open(Path::new(DEMO)).unwrap().map(Result::unwrap).collect();
    let mut writer = extract::recording::Writer::new(std::fs::File::create(path).unwrap(), 1).unwrap();
    (0..TIMES * events.len()).for_each(|at| writer.write(&events[at % events.len()]).unwrap());
    writer.finish().unwrap();
    TIMES * events.len()
}

/// So that there is much more than a bus keeps for a subscriber.
const TIMES: usize = 120;

/// Runs a command, and ends it by a signal when it listens to signals, and `begun` says that it has begun; what it printed, and its code.
fn ended(args: &[&str], signal: rustix::process::Signal, begun: impl Fn() -> bool) -> (Vec<String>, Vec<String>, Option<i32>) {
    let running = Running::start(program().args(args));
    let status = format!("/proc/{}/status", running.pid());
    let listens = || {
        let status = std::fs::read_to_string(&status).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("it runs");
        u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << (signal.as_raw() - 1)) != 0
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !listens() || !begun() {
        assert!(std::time::Instant::now() < deadline, "{args:?} has not begun");
        std::thread::yield_now();
    }
    let (printed, said, status) = running.end(signal);
    (printed, said, status.code())
}

#[test]
fn what_prints_a_recording_ends_in_order_at_a_signal() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("long.rec");
    let all = long(&path);
    let path = path.to_str().unwrap();
    let always = || true;
    let (printed, said, code) = ended(&["logger", "--recording", path], rustix::process::Signal::INT, always);
    assert_eq!(code, Some(0), "{said:?}");
    assert!(printed.len() < all, "all of it was printed");
    // also where nothing of it is wanted, so that nothing makes it wait
    let (printed, said, code) = ended(&["logger", "--recording", path, "--kinds=finding"], rustix::process::Signal::TERM, always);
    assert_eq!((printed.len(), code), (0, Some(0)), "{said:?}");
    let (_, said, code) = ended(&["detect", "--recording", path], rustix::process::Signal::TERM, always);
    assert_eq!(code, Some(0), "{said:?}");
    assert!(said.iter().any(|line| line.contains("ended before the recording did")), "{said:?}");
    let (_, said, code) = ended(&["connect", "--recording", path], rustix::process::Signal::INT, always);
    assert_eq!(code, Some(0), "{said:?}");
    assert!(said.iter().any(|line| line.contains("ended before the recording did")), "{said:?}");
}

#[test]
fn what_writes_a_file_leaves_none_at_a_signal() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let path = |name: &str| place(name).display().to_string();
    long(&place("long.rec"));
    let long = path("long.rec");
    let not_done = |args: &[&str], signal, begun: &dyn Fn() -> bool| {
        let (printed, said, code) = ended(args, signal, begun);
        assert_eq!((printed.len(), code), (0, Some(9)), "{args:?}: {said:?}");
    };
    let (int, term) = (rustix::process::Signal::INT, rustix::process::Signal::TERM);
    for command in ["cut", "merge"] {
        let begun = || place("new.poa.part").exists();
        not_done(&["archive", command, &long, "-o", &path("new.poa")], term, &begun);
        assert!(!place("new.poa").exists() && !place("new.poa.part").exists(), "{command}");
    }
    not_done(&["archive", "cut", &long, "-o", &path("new.poa"), "--redact"], int, &|| true);
    assert!(!place("new.poa").exists() && !place("new.poa.part").exists());
    not_done(&["archive", "export", &long, "-o", &path("tables")], term, &|| place("tables/manifest.json").exists());
    not_done(&["archive", "info", &long], int, &|| true);
    not_done(&["archive", "verify", &long], term, &|| true);
}

/// A file without events would only be in the way of the next attempt.
#[test]
fn nothing_is_written_of_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let to = directory.path().join("slice.poa");
    let cut = |more: &[&'static str]| [&["archive", "cut", DEMO, "-o", to.to_str().unwrap()], more].concat();
    for part in [&["--from", "+2h", "--to", "+3h"][..], &["--peer", "987654"], &["--kinds", "finding"], &["--node", "nobody"]] {
        fails(
            directory.path(),
            &cut(part),
            2,
            expect![[r#"
                error: nothing of that is in the recordings
                hint: they hold 2245 events, 2026-11-22T10:58:16.085408291Z to 2026-11-22T10:58:42.192879533Z (26 seconds); nothing was written
            "#]],
        );
    }
    fails(
        directory.path(),
        &cut(&["--from", "+10s", "--to", "+5s"]),
        2,
        expect![[r#"
            error: `--from` 2026-11-22T10:58:26.093268898Z is later than `--to` 2026-11-22T10:58:21.093268898Z
            hint: times without a date count from the beginning of the recording, both of them
        "#]],
    );
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "no file is left");
    succeeds(&cut(&["--from", "+0s", "--to", "+5s"]));
}

/// What peers sent is nobody else's business; what was made fit for others is.
#[test]
fn who_may_read_a_slice() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let mode = |name: &str| std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode() & 0o777;
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(path("usual"), "").unwrap();
    succeeds(&["archive", "cut", DEMO, "-o", &path("own.poa")]);
    succeeds(&["archive", "cut", DEMO, "-o", &path("others.poa"), "--redact"]);
    assert_eq!((mode("own.poa"), mode("others.poa")), (0o600, mode("usual")));
}

/// What comes until somebody who publishes live says that it was all.
async fn collect(subscription: &mut bus::Subscription, count: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < count {
        match subscription.next().await.unwrap() {
            Delivery::Event(event) => events.push(Event { replay: false, ..Event::clone(&event) }),
            Delivery::Missed(count) => panic!("{count} were missed"),
        }
    }
    events
}

#[test]
fn a_replay_over_nats_is_heard_by_those_who_asked_for_it() {
    need_nats!();
    let server = NatsServer::start("").unwrap();
    let url = server.url();
    let expected: Vec<Event> =
        tools::archive::open(&[DEMO.into()], &tools::archive::Selection::default()).unwrap().events().map(Result::unwrap).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let bus = Bus::open(&NatsOptions { url: Some(url.parse().unwrap()), ..NatsOptions::default() }).await.unwrap();
        let mut live = bus.subscribe(Filter::all(), Limits::default()).await.unwrap();
        let mut heard = bus.of_replay("r1".parse().unwrap()).subscribe(Filter::all(), Limits::default()).await.unwrap();
        let mut other = bus.of_replay("r2".parse().unwrap()).subscribe(Filter::all(), Limits::default()).await.unwrap();
        let arguments = ["replay", DEMO, "--speed=max", "--replay-id=r1", "--nats", &url];
        let replayed = tokio::task::spawn_blocking({
            let arguments = arguments.map(str::to_owned);
            move || program().args(arguments).output().unwrap()
        });
        assert_eq!(collect(&mut heard, expected.len()).await, expected);
        assert!(replayed.await.unwrap().status.success());
        // a live event after the replay comes first for those who watch live nodes
        let publisher = bus.publisher("alice".parse().unwrap(), event::Source::Ebpf);
        publisher.publish(1, None, event::NetPing::default());
        let Some(Delivery::Event(event)) = live.next().await else { panic!("an event") };
        assert_eq!((event.node.as_str(), event.replay), ("alice", false));
        bus.close().await;
        assert_eq!(other.next().await, None, "another replay hears nothing");
    });
}

#[test]
fn detectors_have_a_key_that_nobody_can_guess_but_over_a_replay() {
    need_nats!();
    let server = NatsServer::start("").unwrap();
    let url = server.url();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let key = |replay: Option<&str>| {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let arguments = ["detect", "--nats", &url, "--detect-state", state.to_str().unwrap()];
        let detect = Running::start(program().args(arguments).args(replay.map(|id| format!("--nats-replay={id}"))));
        runtime.block_on(async {
            let replay = replay.map(|id| id.parse().unwrap());
            let bus = Bus::open(&NatsOptions { url: Some(url.parse().unwrap()), replay, ..NatsOptions::default() }).await.unwrap();
            let mut beats = bus.subscribe(Filter::kinds([event::KindId::HealthBeat]), Limits::default()).await.unwrap();
            let publisher = bus.publisher("alice".parse().unwrap(), event::Source::Ebpf);
            // until it has heard of the node, and says so
            for second in 1_u64.. {
                publisher.publish(second * 1_000_000_000, None, event::HealthBeat::default());
                let next = tokio::time::timeout(std::time::Duration::from_millis(20), beats.next());
                let Ok(Some(Delivery::Event(beat))) = next.await else { continue };
                if (beat.source(), beat.node.as_str()) == (event::Source::Detect, "alice") {
                    break;
                }
            }
            bus.close().await;
        });
        let (_, said, status) = detect.end(rustix::process::Signal::TERM);
        assert!(status.success(), "{said:#?}");
        detect::Sections::read(&std::fs::read(state).unwrap()).unwrap().key()
    };
    assert_eq!(key(Some("r1")), 0, "a replay gives what the recording itself gives");
    assert_ne!(key(None), 0);
}

#[test]
fn an_archive_follows_nats() {
    need_nats!();
    let server = NatsServer::start("").unwrap();
    let url = server.url();
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("archive").display().to_string();
    let recorder = Running::start(program().args(["archive", "record", "--archive", &place, "--nats", &url]));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let bus = Bus::open(&NatsOptions { url: Some(url.parse().unwrap()), ..NatsOptions::default() }).await.unwrap();
        let archived = Filter::kinds([event::KindId::HealthArchived]);
        let mut statements = bus.subscribe(archived, Limits::default()).await.unwrap();
        let publisher = bus.publisher("alice".parse().unwrap(), event::Source::Ebpf);
        // until it has been heard and is safe
        loop {
            publisher.publish(1, None, event::NetPing::default());
            if let Ok(Some(Delivery::Event(_))) =
                tokio::time::timeout(std::time::Duration::from_millis(20), statements.next()).await
            {
                break;
            }
        }
        bus.close().await;
    });
    let (_, said, status) = recorder.end(rustix::process::Signal::TERM);
    assert!(status.success(), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("keeping what happens") && line.contains("nothing is deleted")), "{said:#?}");
    let lines = text(&succeeds(&["logger", "--kinds=net.ping", "--recording", &place]).stdout);
    let pings = lines.lines().filter(|line| !line.starts_with("=== "));
    assert!(pings.clone().count() > 0 && pings.clone().all(|line| line.contains("alice --- 0 ping")), "{lines}");
    succeeds(&["archive", "info", &place]);
}
