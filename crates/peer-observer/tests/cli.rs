//! Command line → exit code and text. Nothing here needs a node or a permission.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod program;

use std::process::Output;

use expect_test::{Expect, expect, expect_file};
use program::{output, program};

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Fails with this code and these words, and prints nothing else.
#[track_caller]
fn fails(args: &[&str], code: i32, expect: Expect) {
    let output = output(args);
    assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    assert_eq!(stdout(&output), "", "nothing on standard output");
    expect.assert_eq(&stderr(&output));
}

#[test]
fn demo_shows_the_recording_and_ends_well() {
    let output = output(&["demo", "--fast"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = stdout(&output);
    assert!(lines.lines().count() > 1000, "{} lines", lines.lines().count());
    for part in
        ["--> ", "<-- ", "# CONN opened", "# CONN evicted", "# CONN misbehaving", "# CHAIN block_connected", "# MEMPOOL replaced"]
    {
        assert!(lines.contains(part), "no line with {part:?}");
    }
    assert!(!lines.contains("# HEALTH lost"));
}

#[test]
fn demo_speaks_json_and_filters() {
    let output = output(&["demo", "--fast", "--format=json", "--kinds=conn.evicted"]);
    assert!(output.status.success());
    let lines = stdout(&output);
    assert!(lines.lines().count() > 0);
    for line in lines.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["kind"], "conn.evicted");
        assert_eq!(event["replay"], true);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = program().args(["demo", "--fast"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

/// A pager that waits, a pipe that is stuck: the first signal ends it in order, which cannot be; the second ends it.
#[test]
fn a_reader_that_reads_no_more_does_not_hold_up_the_end() {
    use rustix::process::{Pid, Signal, kill_process};
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec");
    for args in [&["demo", "--fast"][..], &["logger", "--recording", recording]] {
        let mut child = program().args(args).stdout(std::process::Stdio::piped()).spawn().unwrap();
        // the beginning is read, so it is under way; the rest stays in the pipe, which takes 64 KiB
        let mut first = [0; 1];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(std::time::Instant::now() < deadline, "{args:?} is deaf");
            let _ = kill_process(Pid::from_child(&child), Signal::TERM);
            std::thread::sleep(std::time::Duration::from_millis(50));
        };
        assert_eq!(status.code(), Some(9), "{args:?}");
    }
}

#[test]
fn a_recording_is_printed_by_the_logger() {
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec");
    let logged = output(&["logger", "--recording", recording]);
    assert!(logged.status.success(), "{}", stderr(&logged));
    assert_eq!(stdout(&logged), stdout(&output(&["demo", "--fast"])));
}

/// One verack from 203.0.113.7, as Bitcoin Core's `-capturemessages` writes it, and the beginning of another message.
#[test]
fn what_bitcoin_core_captured_is_a_recording() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("203.0.113.7_8333");
    std::fs::create_dir(&folder).unwrap();
    let record = [&1_750_000_000_000_000_u64.to_le_bytes()[..], b"verack\0\0\0\0\0\0", &[0; 4]].concat();
    std::fs::write(folder.join("msgs_recv.dat"), [&record[..], &record[..9]].concat()).unwrap();
    let output = output(&["logger", "--recording", &directory.path().display().to_string(), "--format", "json"]);
    assert_eq!(output.status.code(), Some(7));
    let event: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&event["source"], &event["kind"]), (&"capture".into(), &"net.verack".into()));
    assert_eq!(event["netVerack"]["address"], "203.0.113.7:8333");
    expect![[r#"
        error: failed to read the capture DIR/203.0.113.7_8333/msgs_recv.dat at byte 24: the file ends in the middle of a message
        hint: nothing behind that place in that file can be read; a node that runs may be in the middle of writing it
    "#]]
    .assert_eq(&stderr(&output).replace(&directory.path().display().to_string(), "DIR"));
}

#[test]
fn broken_recordings_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let whole = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec")).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let print = |path: &str| {
        let output = output(&["logger", "--recording", path]);
        (output.status.code(), stderr(&output).replace(&directory.path().display().to_string(), "DIR"), stdout(&output))
    };
    let (code, text, lines) = print(&write("cut.rec", &whole[..whole.len() / 2]));
    assert_eq!(code, Some(7));
    assert!(text.starts_with("error: failed to read the recording DIR/cut.rec at byte "), "{text}");
    assert!(lines.lines().count() > 100, "what is whole is printed");
    let (code, text, _) = print(&write("foreign.rec", b"%PDF-1.7"));
    assert_eq!(code, Some(7));
    expect![[r#"
        error: DIR/foreign.rec is no recording: it does not begin as one
        hint: name a file or an archive of this program, or the node's `message_capture`
    "#]]
    .assert_eq(&text);
    let (code, text, _) = print(&format!("{}/none.rec", directory.path().display()));
    assert_eq!(code, Some(7));
    expect![[r#"
        error: failed to open the recording DIR/none.rec: No such file or directory (os error 2)
        hint: is the path right, and may this user read the file?
    "#]]
    .assert_eq(&text);
}

#[test]
fn metrics_of_a_recording_are_printed() {
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec");
    let output = output(&["metrics", "--recording", recording, "--print"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let golden = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.metrics.txt")).unwrap();
    let without_version =
        |page: &str| page.lines().filter(|line| !line.contains("build_info{")).map(String::from).collect::<Vec<_>>();
    assert!(without_version(&stdout(&output)) == without_version(&golden), "not the page of fixtures/demo.metrics.txt");
}

/// The page stays after the end of the recording, until a signal ends the program in order.
#[test]
fn metrics_of_a_recording_are_served_until_a_signal() {
    use std::io::{Read as _, Write as _};
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec");
    let mut command = program();
    let mut running =
        program::Running::start(command.args(["metrics", "--recording", recording, "--metrics-listen", "127.0.0.1:0"]));
    let serving = running.wait_for_error("the address", |line| line.contains("serving metrics"));
    let address = serving.rsplit_once("address=").unwrap().1;
    running.wait_for_error("the end of the recording", |line| line.contains("the recording has ended"));
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    assert!(page.contains("peerobserver_blocks_connected_total{node=\"demo\"} 120\n"), "{page}");
    assert_eq!(running.end(rustix::process::Signal::TERM).2.code(), Some(0));
}

#[test]
fn a_taken_port_is_an_error_with_a_hint() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec");
    let output = output(&["metrics", "--recording", recording, "--metrics-listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    expect![[r#"
        error: failed to serve metrics on ADDRESS: Address already in use (os error 98)
        hint: another program listens there, perhaps another peer-observer: choose with --metrics-listen
    "#]]
    .assert_eq(&stderr(&output).replace(&address, "ADDRESS"));
}

#[test]
fn mistakes_on_the_command_line_have_code_two() {
    fails(
        &["logger", "--recording", "x", "--kinds", "net.pingg"],
        2,
        expect![[r#"
            error: no kind of event matches `net.pingg`; did you mean `net.ping`?
            hint: `peer-observer events` lists all kinds
        "#]],
    );
    fails(
        &["logger"],
        2,
        expect![[r#"
            error: `logger` needs a bus or a recording to print from
            hint: give `--nats URL` or `--recording FILES`; `peer-observer run` watches a node on this machine
        "#]],
    );
    fails(
        &["metrics"],
        2,
        expect![[r#"
            error: `metrics` needs a bus or a recording to count from
            hint: give `--nats URL` or `--recording FILES`; `peer-observer run` watches a node on this machine, and serves metrics
        "#]],
    );
    fails(
        &["metrics", "--nats", "nats://127.0.0.1:1", "--metrics-lists", "/nonexistent/spies.txt"],
        2,
        expect![[r#"
        error: failed to read the list /nonexistent/spies.txt: No such file or directory (os error 2)
    "#]],
    );
    assert_eq!(output(&["runn"]).status.code(), Some(2));
}

#[test]
fn a_configuration_with_a_typo_is_refused_before_anything_starts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.toml");
    std::fs::write(&path, "[loger]\n").unwrap();
    let output = output(&["--config", path.to_str().unwrap(), "run"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output).replace(&directory.path().display().to_string(), "DIR");
    expect![[r#"
        error: the configuration DIR/c.toml is wrong: there is no section `[loger]`; did you mean `logger`?
        hint: `peer-observer config` prints a configuration with every key explained
    "#]]
    .assert_eq(&text);
}

/// What `run` says of a configuration that it refuses.
#[track_caller]
fn refuses(configuration: &str, expect: Expect) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peer-observer.toml");
    std::fs::write(&path, configuration).unwrap();
    let output = output(&["--config", path.to_str().unwrap(), "run"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    expect.assert_eq(&stderr(&output).replace(path.to_str().unwrap(), "CONFIGURATION"));
}

#[test]
fn a_configuration_that_would_watch_nothing_is_refused() {
    refuses(
        "[web]\nlisten = \"127.0.0.1:0\"\n",
        expect![[r#"
        error: the configuration starts nothing that watches a node
        hint: a section that is there is a part that runs: add `[ebpf]`, `[rpc]`, `[log]`, `[proc]` or `[p2p]`; without any section all run
    "#]],
    );
    refuses(
        "[nats]\n",
        expect![[r#"
            error: `[nats]` in the configuration says nothing of the server
            hint: add `url`, as in `url = "nats://127.0.0.1:4222"`, or give `--nats URL`
        "#]],
    );
    refuses(
        "[node._fleet]\n",
        expect![[r#"
        error: no node can be called `_fleet`
        hint: what is found about all nodes together goes by that name: choose another
    "#]],
    );
    refuses(
        "[messages]\nwebhook = [\"http://127.0.0.1:1/\"]\n",
        expect![[r#"
        error: the configuration CONFIGURATION is wrong: [messages]: the following required arguments were not provided: webhook-secret-file <FILE>
        hint: `peer-observer config` prints a configuration with every key explained
    "#]],
    );
}

#[test]
fn the_default_configuration_is_a_configuration() {
    let text = stdout(&output(&["config"]));
    expect_file!["../../../docs/config.toml"].assert_eq(&text);
    // uncommented, it is read without complaint; a value in capitals only says what belongs there
    let is_example = |line: &&str| {
        let (key, value) = line.split_once(" = ").unwrap_or((line, "table"));
        !key.contains(' ') && value.chars().any(char::is_lowercase) || value.chars().all(|c| c.is_ascii_digit() || "[]".contains(c))
    };
    let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix('#')).filter(is_example).collect();
    assert!(lines.contains(&"raw = false") && lines.contains(&"[logger]"), "{lines:#?}");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.toml");
    std::fs::write(&path, lines.join("\n")).unwrap();
    assert!(output(&["--config", path.to_str().unwrap(), "events", "net.ping"]).status.success());
}

#[test]
fn settings_come_from_flags_then_environment_then_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.toml");
    std::fs::write(&path, "[logger]\nformat = \"json\"\nkinds = [\"conn.evicted\"]\n").unwrap();
    let first = |args: &[&str], environment: Option<&str>| {
        let mut command = program();
        if let Some(value) = environment {
            command.env("PEER_OBSERVER_FORMAT", value);
        }
        let output = command.arg("--config").arg(&path).args(["demo", "--fast"]).args(args).output().unwrap();
        stdout(&output).chars().next()
    };
    assert_eq!(first(&[], None), Some('{'), "the file");
    assert_ne!(first(&[], Some("text")), Some('{'), "the environment wins over the file");
    assert_eq!(first(&["--format=json"], Some("text")), Some('{'), "a flag wins over both");
}

#[test]
fn a_secret_without_a_node_goes_nowhere() {
    for command in [&["extract", "rpc"][..], &["run"], &["doctor"]] {
        let nodeless = expect![[r#"
            error: an RPC user or cookie is given, but not for which node
            hint: add --datadir or --rpc-url
        "#]];
        fails(&[command, &["--rpc-cookie", "c"]].concat(), 2, nodeless);
        let elsewhere = expect![[r#"
            error: `--rpc-url node.lan:8332` is not on this machine, and no user or cookie is given for it
            hint: add --rpc-user with --rpc-password-file, or --rpc-cookie
        "#]];
        fails(&[command, &["--rpc-url", "http://node.lan:8332"]].concat(), 2, elsewhere);
    }
}

#[test]
fn a_new_user_has_a_name_and_no_lines() {
    for name in ["a:b", "a\nrpcallowip=0.0.0.0/0", ""] {
        let output = output(&["doctor", "--new-rpc-user", name]);
        assert_eq!((output.status.code(), stdout(&output)), (Some(2), String::new()), "{name:?}");
    }
    let lines = stdout(&output(&["doctor", "--new-rpc-user", "observer"]));
    assert!(lines.contains("\nrpcauth=observer:") && lines.contains("\nrpcwhitelist=observer:getpeerinfo,"), "{lines}");
}

#[cfg(not(feature = "ipc"))]
#[test]
fn a_build_without_ipc_says_so() {
    fails(
        &["extract", "ipc"],
        5,
        expect![[r#"
            error: this build cannot talk to a node's IPC socket
            hint: build it with the feature `ipc`; that needs Cap'n Proto's compiler (`apt-get install capnproto libcapnp-dev`)
        "#]],
    );
}

#[test]
fn without_a_node_nothing_starts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display().to_string();
    let output = output(&["run", "--datadir", &path]);
    let text = stderr(&output).replace(&path, "DIR");
    // without permission that is what is said first
    assert!(matches!(output.status.code(), Some(3 | 4)), "{text}");
    assert!(text.contains("error: ") && text.contains("hint: "), "{text}");
    assert_eq!(stdout(&output), "");
}

#[test]
fn a_nats_server_that_does_not_answer_is_named() {
    // a port that nobody listens on: it was free a moment ago
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output = output(&["logger", "--nats", &format!("nats://127.0.0.1:{port}")]);
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    assert!(stderr(&output).contains(&format!("127.0.0.1:{port}")), "{}", stderr(&output));
    assert!(stderr(&output).contains("hint: "), "{}", stderr(&output));
}

#[test]
fn events_are_described() {
    assert!(stdout(&output(&["events", "net.ping"])).contains("### `net.ping` (109)"));
    assert_eq!(stdout(&output(&["events"])), event::schema::markdown());
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(stdout(&output(&["completions", shell])).contains("peer-observer"));
    }
}

#[test]
fn detect_says_what_it_needs_and_lists_its_thresholds() {
    fails(
        &["detect"],
        2,
        expect![[r#"
            error: `detect` needs a bus or a recording to look at
            hint: give `--nats URL` or `--recording FILES`; `peer-observer run` watches a node on this machine, and detects
        "#]],
    );
    fails(
        &["detect", "--thresholds", "--detect-threshold=d39.queue_warm=1"],
        2,
        expect![[r#"
            error: invalid value 'd39.queue_warm=1' for '--detect-threshold <THRESHOLD=NUMBER>': there is no threshold `d39.queue_warm`; did you mean `d39.queue_warn`?

            For more information, try '--help'.
        "#]],
    );
    let output =
        output(&["detect", "--thresholds", "--detect-threshold=d39.queue_warn=20000", "--detect-threshold=bob:guard.restart=60"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let page = stdout(&output);
    assert!(page.contains("\nd39.queue_warn = 20000 transactions (instead of 10000)\n"), "{page}");
    assert!(page.ends_with("bob:guard.restart = 60\n"), "{page}");
    let lines = stdout(&self::output(&["detect", "--thresholds", "--format=json", "--detect-threshold=bob:guard.restart=60"]));
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["name"], "guard.restart");
    assert_eq!(lines.last().unwrap(), &serde_json::json!({ "node": "bob", "name": "guard.restart", "value": 60.0 }));
}

#[test]
fn a_bench_that_is_none_names_those_that_are() {
    let output = output(&["bench", "zzz"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
    let said = stderr(&output);
    assert!(
        said.starts_with("error: no case has `zzz` in its name\nhint: these are the cases: decode ping; decode inv of 35; "),
        "{said}"
    );
}

/// What was not looked at is told, and why.
#[test]
fn a_recording_of_the_past_is_told_to_be_one() {
    let place = tempfile::tempdir().unwrap();
    let state = place.path().join("state");
    let state = state.to_str().unwrap();
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec");
    let seen = "the recording is older than what the detectors' state has seen";
    for (again, last) in [("nobody:guard.restart=1", false), ("demo:guard.restart=1", true)] {
        let output = output(&["detect", "--recording", recording, "--detect-state", state, "--detect-threshold", again]);
        assert!(output.status.success());
        let said = stderr(&output);
        assert_eq!((said.contains(seen), said.contains("events came too late")), (last, false), "{said}");
        let stranger = "thresholds are set for a node that is not there, and change nothing node=nobody known=demo";
        assert_eq!(said.contains(stranger), !last, "{said}");
    }

    // the clock goes back in the middle, and no beat says so
    let path = place.path().join("back.rec");
    let mut writer = extract::recording::Writer::new(std::fs::File::create(&path).unwrap(), 1).unwrap();
    for (sequence, second) in (100..160_u64).chain(40..90).enumerate() {
        let ping = event::Event::new("alice", event::Source::Ebpf, event::NetPing { peer: 1, ..Default::default() });
        let time = (1_772_431_200 + second) * 1_000_000_000;
        writer.write(&event::Event { time, sequence: sequence as u64, run: 1, ..ping }).unwrap();
    }
    writer.finish().unwrap();
    let said = stderr(&output(&["detect", "--recording", path.to_str().unwrap()]));
    assert!(said.contains("events came too late and the detectors did not look at them: was a clock changed? events=50"), "{said}");
    assert!(!said.contains(seen), "{said}");
}

/// What happens in the bundled recording besides what the guard of a restart keeps back: a message that is too large, peers that flood the node with
/// pings, and two blocks of one height.
#[test]
fn detect_looks_at_a_recording() {
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec");
    let output = output(&["detect", "--recording", recording]);
    assert!(output.status.success(), "{}", stderr(&output));
    expect![[r#"
        === 2026-11-22 UTC ===
        10:58:38.896294 demo ! INFO opened D01 addr_flood address 127.228.132.171: 1 messages of more than 1000 addresses within ten minutes, the last of 1001: nobody may send that · 52a99656fb5bb273
        10:58:39.074428 demo ! INFO opened D28 ping_flood peer 13 127.218.92.88:44461: 3 pings within ten minutes with nonces that no ordinary program sends · 70800c354df0432e
        10:58:39.074961 demo ! WARN updated D28 ping_flood peer 13 127.218.92.88:44461: 11 pings within two minutes, 11 within one, 11 within ten seconds; 11 pings within ten minutes with nonces that no ordinary program sends · 70800c354df0432e
        10:58:39.076959 demo ! INFO opened D28 ping_flood peer 14 127.139.180.233:34627: 3 pings within ten minutes with nonces that no ordinary program sends · d901ca3899587ff0
        10:58:39.077294 demo ! WARN updated D28 ping_flood peer 14 127.139.180.233:34627: 11 pings within two minutes, 11 within one, 11 within ten seconds; 10 pings within ten minutes with nonces that no ordinary program sends · d901ca3899587ff0
        10:58:39.081407 demo ! INFO opened D28 ping_flood peer 15 127.171.238.132:59973: 3 pings within ten minutes with nonces that no ordinary program sends · 2b095896cf81a11a
        10:58:39.081801 demo ! WARN updated D28 ping_flood peer 15 127.171.238.132:59973: 11 pings within two minutes, 11 within one, 11 within ten seconds; 11 pings within ten minutes with nonces that no ordinary program sends · 2b095896cf81a11a
        10:58:41.921781 _fleet ! INFO opened D55 fork fleet: two blocks at height 117, the second seen 0.1 s after the first; 1 height of the last 2016 had two blocks, 2.0 are usual · 2ef56f6c5cc7c9fa
    "#]].assert_eq(&stdout(&output));
    let output = program().args(["detect", "--score", "tests/program"]).output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(stderr(&output), "error: tests/program is no labelled set: it has no file that ends with `.truth.toml`\n");

    let set = tempfile::tempdir().unwrap();
    std::fs::copy(recording, set.path().join("demo.rec")).unwrap();
    let truth = set.path().join("demo.truth.toml");
    std::fs::write(&truth, "[[truth]]\ndetector = \"D99\"\n").unwrap();
    let directory = set.path().to_str().unwrap();
    let wrong = self::output(&["detect", "--score", directory]);
    assert_eq!(wrong.status.code(), Some(2), "{}", stderr(&wrong));
    assert!(
        stderr(&wrong).starts_with(&format!("error: the truth file {} is wrong: line 1: ", truth.display())),
        "{}",
        stderr(&wrong)
    );
    fails(
        &["detect", "--score", directory, "--node=demo"],
        2,
        expect![[r#"
            error: `--node` does not go with `--score`: a truth says of which node it is, and the others' findings count, too
            hint: leave `--node` out, or cut the recordings: `archive cut --node`
        "#]],
    );
    std::fs::write(&truth, "").unwrap();
    let scored = self::output(&["detect", "--score", directory, "--detect-list=/nonexistent"]);
    assert_eq!(scored.status.code(), Some(1), "{}", stderr(&scored));
    let scored = self::output(&["detect", "--score", directory, "--format=json"]);
    let lines = stdout(&scored);
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&first["recording"], &first["all"]["false_alarms"]), (&"demo".into(), &3.into()), "{lines}");
}
