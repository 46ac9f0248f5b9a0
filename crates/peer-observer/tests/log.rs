//! `extract log`: command line → events, exit code and text.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod program;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use expect_test::{Expect, expect};
use program::{Running, program};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use testkit::{Node, Peer, node};

const LOG: &str = "\n\n\n\n
2026-01-01T00:00:00Z Bitcoin Core version v31.0.0 (release build)
2026-01-01T00:00:00Z [net] Cleared nodestate for peer=7
2026-01-01T00:00:02Z [net] Resetting socket for peer=7
";

struct World(TempDir);

impl World {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = TempDir::new().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        program().args(["extract", "log", "--name", "bob"]).args(args).current_dir(self.0.path()).output().unwrap()
    }

    #[track_caller]
    fn fails(&self, args: &[&str], code: i32, expect: &Expect) {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        expect.assert_eq(&stderr(&output));
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Kinds of events, one per line.
fn kinds(json: &str) -> Vec<String> {
    json.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].as_str().unwrap().to_owned()).collect()
}

const KINDS: [&str; 8] =
    ["health.attached", "log.life", "conn.step", "health.beat", "conn.closed", "health.parser", "health.detached", "health.beat"];

#[test]
fn finished_logs_are_printed_as_json() {
    let world = World::new(&[("debug.log", LOG.as_bytes())]);
    let output = world.run(&["--from", "debug.log"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(kinds(&stdout(&output)), KINDS);
    let event: Value = serde_json::from_str(stdout(&output).lines().nth(2).unwrap()).unwrap();
    assert_eq!((&event["node"], &event["source"], &event["nodeRun"]), (&"bob".into(), &"log".into(), &"1767225600".into()));
    assert_eq!(stderr(&output), "");
}

#[test]
fn finished_logs_become_recordings_that_the_logger_prints() {
    let world = World::new(&[("a.log", LOG.as_bytes()), ("b.log", LOG.as_bytes())]);
    let output = world.run(&["--from", "a.log", "b.log", "--output", "out", "--workers", "2"]);
    assert!(output.status.success(), "{}", stderr(&output));
    expect![[r#"
        log    bytes  starts  lines  matched  unmatched  events
        a.log    182       1      3        3          0       8
        b.log    182       1      3        3          0       8
        all      364       2      6        6          0      16

        kind             a.log  b.log  all
        conn.closed          1      1    2
        conn.step            1      1    2
        log.life             1      1    2
        health.beat          2      2    4
        health.attached      1      1    2
        health.detached      1      1    2
        health.parser        1      1    2
    "#]]
    .assert_eq(&stdout(&output));
    let logged = program()
        .args(["logger", "--format=json", "--kinds=*,health.beat", "--recording"])
        .args([world.path("out/a.log.rec"), world.path("out/b.log.rec")])
        .output()
        .unwrap();
    assert!(logged.status.success(), "{}", stderr(&logged));
    let mut seen = kinds(&stdout(&logged));
    let mut expected = [KINDS, KINDS].concat();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
}

#[test]
fn a_log_that_cannot_be_read_has_code_seven_and_the_others_are_read() {
    let world = World::new(&[("good.log", LOG.as_bytes()), ("cut.gz", &[0x1f, 0x8b, 8]), ("other.log", b"something\n")]);
    world.fails(
        &["--from", "none.log"],
        7,
        &expect![[r#"
        error: failed to open the log none.log: No such file or directory (os error 2)
        hint: is the path right, and may this user read the file?
    "#]],
    );
    world.fails(
        &["--from", "."],
        7,
        &expect![[r#"
        error: failed to open the log .: is a directory
        hint: name the files in it
    "#]],
    );
    world.fails(
        &["--from", "cut.gz"],
        7,
        &expect![[r#"
        error: failed to read the log cut.gz at byte 0 of what it unpacks to: unexpected end of file
        hint: what is before that place was read; was the file copied whole?
    "#]],
    );
    let output = world.run(&["--from", "cut.gz", "other.log", "good.log", "--output", "out"]);
    assert_eq!(output.status.code(), Some(7));
    expect![[r#"
        error: failed to read the log cut.gz at byte 0 of what it unpacks to: unexpected end of file
        hint: what is before that place was read; was the file copied whole?
        error: other.log is no log of a node: nothing in it looks like a line of a node's log, up to byte 10
        hint: a node's log begins its lines with a time, or with a category in brackets
        error: 2 of 3 logs could not be read, or not to their end
        hint: what could be read was; the others are done
    "#]]
    .assert_eq(&stderr(&output));
    let mut names: Vec<_> = fs::read_dir(world.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["cut.gz.rec", "good.log.rec"]);
}

#[test]
fn mistakes_on_the_command_line_have_code_two() {
    let world = World::new(&[]);
    for args in [&["--output", "x"][..], &["--from", "a", "--nats", "nats://127.0.0.1:1"], &["--from", "a", "--workers", "0"]] {
        assert_eq!(world.run(args).status.code(), Some(2), "{args:?}");
    }
    world.fails(
        &["--from", "a", "--format", "recording"],
        2,
        &expect![[r#"
        error: a recording needs a file to be written to
        hint: add --output
    "#]],
    );
}

#[test]
fn a_log_that_is_not_there_is_named() {
    let world = World::new(&[]);
    // the folder keeps it from finding a node that happens to run on this machine, and waiting for that one's log
    world.fails(
        &["--datadir", "no-node", "--log-file", "none.log"],
        3,
        &expect![[r#"
        error: failed to open the log none.log: No such file or directory (os error 2)
        hint: is the path right? the node makes the file when it starts
    "#]],
    );
    world.fails(
        &["--datadir", "no-node", "--log-file", "."],
        1,
        &expect![[r#"
        error: failed to open the log .: it is a directory
        hint: name the node's debug.log with `--log-file`
    "#]],
    );
}

#[test]
fn standard_input_is_read_to_its_end() {
    let world = World::new(&[]);
    for flag in ["--from", "--log-file"] {
        let mut command = program();
        command.args(["extract", "log", flag, "-"]).current_dir(world.0.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(LOG.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{flag}");
        let kinds = kinds(&stdout(&output));
        assert!(kinds.contains(&"conn.closed".to_owned()) && kinds.contains(&"health.detached".to_owned()), "{flag}: {kinds:?}");
    }
}

#[test]
fn a_log_that_grows_is_followed_without_its_node() {
    let world = World::new(&[("debug.log", LOG.as_bytes())]);
    let mut command = program();
    command.args(["extract", "log", "--log-file", "debug.log"]).current_dir(world.0.path());
    let mut running = Running::start(&mut command);
    running.wait_for("health.attached", |line| line.contains("\"health.attached\""));
    let mut log = OpenOptions::new().append(true).open(world.path("debug.log")).unwrap();
    log.write_all(b"2026-01-01T00:00:00Z [net] Cleared nodestate for peer=9\n").unwrap();
    let lines = running.wait_for("conn.step", |line| line.contains("\"conn.step\""));
    assert!(lines.last().unwrap().contains("\"peer\":\"9\""), "what was there before is left alone: {lines:#?}");
    let (.., status) = running.end(Signal::TERM);
    assert!(status.success());
}

#[test]
fn the_log_of_a_node_is_found_and_belongs_to_its_life() {
    testkit::need_node!();
    let node = Node::start(node::Options { debug: vec!["net"], ..node::Options::default() }).unwrap();
    let mut running = Running::start(program().args(["extract", "log", "--datadir"]).arg(node.datadir()));
    running.wait_for("health.attached", |line| line.contains("\"health.attached\""));
    let _peer = Peer::connect(node.p2p_address(), &Default::default()).unwrap();
    let lines = running.wait_for("conn.opened", |line| line.contains("\"conn.opened\""));
    let event: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    let started: u64 = event["nodeRun"].as_str().expect("its process is known").parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(now - started < 300, "{started} {now}");
    let (.., status) = running.end(Signal::TERM);
    assert!(status.success());
    let output = program().args(["doctor", "--datadir"]).arg(node.datadir()).output().unwrap();
    let page = stdout(&output);
    assert!(page.contains("debug.log may be read\n"), "{page}");
    assert!(page.contains("has lines of net\n"), "{page}");
    assert!(page.contains("lacks lines of mempool, mempoolrej, validation, cmpctblock, txpackages\n"), "{page}");
}
