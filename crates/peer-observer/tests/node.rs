//! The whole program beside a real bitcoind: every message that the probes see against what `-capturemessages` wrote.
#![cfg(feature = "ebpf")]
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod program;

use std::collections::BTreeMap;
use std::path::Path;

use program::{Running, may_trace, program};
use rustix::process::Signal;
use serde_json::Value;
use testkit::{Node, scenario};

/// Messages of one peer, one way: type and payload.
type Stream = Vec<(String, Vec<u8>)>;

/// Address and direction of a stream.
type Key = (String, &'static str);

fn observe(node: &Node) -> Running {
    let mut running = Running::start(program().args(["run", "--format=json", "--raw", "--datadir"]).arg(node.datadir()));
    running.wait_for("health.attached", |line| is_of_probes(line, "health.attached"));
    running
}

/// Other sources attach and detach at moments of their own.
fn is_of_probes(line: &str, kind: &str) -> bool {
    line.contains("\"source\":\"ebpf\"") && line.contains(&format!("\"kind\":\"{kind}\""))
}

#[test]
fn every_message_is_seen_once_in_order_and_whole() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    let options = testkit::node::Options { capture_messages: true, ..scenario::main_options() };
    let mut main = Node::start(options).unwrap();
    let running = observe(&main);
    let played = scenario::play(&main, 1).unwrap();
    drop(played);
    main.stop().unwrap();
    let (lines, errors, status) = running.end(Signal::INT);
    assert!(status.success(), "{errors:#?}");

    let mut seen: BTreeMap<Key, Stream> = BTreeMap::new();
    let mut kinds = BTreeMap::<String, u32>::new();
    for line in &lines {
        let event: Value = serde_json::from_str(line).unwrap();
        let kind = event["kind"].as_str().unwrap().to_owned();
        assert_ne!(kind, "health.lost", "{line}");
        // its log states some of this, too
        if event["source"] == "log" {
            continue;
        }
        *kinds.entry(kind.clone()).or_default() += 1;
        let Some(short) = kind.strip_prefix("net.") else { continue };
        let message = &event[format!("net{}{}", short[..1].to_uppercase(), &short[1..])];
        let direction = if message["direction"] == "inbound" { "recv" } else { "sent" };
        let message_type = message["messageType"].as_str().unwrap_or(short).to_owned();
        let payload = unhex(message["raw"].as_str().expect("--raw keeps all"));
        assert_eq!(payload.len() as u64, message["size"].as_u64().unwrap());
        let address = message["address"].as_str().unwrap().to_owned();
        seen.entry((address, direction)).or_default().push((message_type, payload));
    }
    let captured = captured(&main.network_datadir().join("message_capture"));
    let messages: usize = captured.values().map(Vec::len).sum();
    assert!(messages > 1000, "a lively scenario, not {messages} messages");
    for (key, stream) in &captured {
        let ours = seen.get(key).unwrap_or_else(|| panic!("nothing seen of {key:?}, which has {} messages", stream.len()));
        for (at, (theirs, ours)) in stream.iter().zip(ours).enumerate() {
            assert_eq!(ours.0, theirs.0, "{key:?}, message {at}");
            assert!(ours.1 == theirs.1, "{key:?}, message {at} ({}): other bytes", ours.0);
        }
        assert_eq!(stream.len(), ours.len(), "{key:?}");
    }
    assert_eq!(seen.keys().collect::<Vec<_>>(), captured.keys().collect::<Vec<_>>());
    for kind in [
        "conn.opened",
        "conn.closed",
        "conn.evicted",
        "conn.misbehaving",
        "mempool.added",
        "mempool.replaced",
        "chain.block_connected",
    ] {
        assert!(kinds.contains_key(kind), "no {kind} among {kinds:?}");
    }
}

/// A message never overtakes its connection.
#[test]
fn order_is_kept_between_messages_and_connections() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    let main = Node::start(testkit::node::Options::default()).unwrap();
    // beats, too: without them there are gaps
    let mut running =
        Running::start(program().args(["run", "--format=json", "--kinds=*,health.beat", "--datadir"]).arg(main.datadir()));
    running.wait_for("health.attached", |line| is_of_probes(line, "health.attached"));
    for host in 2..12 {
        let options = testkit::peer::Options { source: [127, 0, 0, host].into(), ..Default::default() };
        let peer = testkit::Peer::connect(main.p2p_address(), &options).unwrap();
        peer.ping_flood(100).unwrap();
    }
    drop(main);
    let (lines, ..) = running.end(Signal::TERM);
    let mut opened = std::collections::BTreeSet::new();
    let mut sequence = BTreeMap::new();
    let mut messages = 0;
    for line in &lines {
        let event: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        // gapless in one run of one source
        let number: u64 = text("sequence").parse().unwrap();
        if let Some(before) = sequence.insert((text("source"), text("run")), number) {
            assert_eq!(number, before + 1, "{line}");
        }
        if text("source") == "log" {
            continue;
        }
        if text("kind") == "conn.opened" {
            opened.insert(event["connOpened"]["peer"].as_str().unwrap().to_owned());
        } else if let Some(short) = text("kind").strip_prefix("net.") {
            let message = &event[format!("net{}{}", short[..1].to_uppercase(), &short[1..])];
            assert!(opened.contains(message["peer"].as_str().unwrap()), "before its connection: {line}");
            messages += 1;
        }
    }
    assert!(messages > 2000, "{messages}");
}

/// Killed and started again, then stopped, replaced by another program file, and started: within two seconds it is watched again.
#[test]
fn a_restarted_and_an_upgraded_node_is_watched_again() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program_file = folder.path().join("bitcoind");
    let original = testkit::node::executable().unwrap();
    std::fs::copy(&original, &program_file).unwrap();
    let options = testkit::node::Options { executable: Some(program_file.clone()), ..Default::default() };
    let mut main = Node::start(options).unwrap();
    let mut running = observe(&main);
    let first_run = main.pid();
    main.kill().unwrap();
    watched_again(&mut running, &mut main);
    assert_ne!(main.pid(), first_run);

    main.stop().unwrap();
    // as a package manager does it: a new file takes the name, the old one lives on without it
    std::fs::copy(&original, folder.path().join("new")).unwrap();
    std::fs::rename(folder.path().join("new"), &program_file).unwrap();
    watched_again(&mut running, &mut main);
    let (.., status) = running.end(Signal::TERM);
    assert!(status.success());
}

/// Starts the node, and wants its traffic seen under the new process's start time.
fn watched_again(running: &mut Running, node: &mut Node) {
    running.wait_for("health.detached", |line| is_of_probes(line, "health.detached"));
    node.start_again().unwrap();
    // the node answers by now: what counts is how long after its start, of which this is the later half at most
    let started = std::time::Instant::now();
    let news = running.wait_for("health.attached", |line| is_of_probes(line, "health.attached"));
    // two seconds on a machine with nothing else to do; pauses that grow while a node is away would be longer than this
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    let _peer = testkit::Peer::connect(node.p2p_address(), &Default::default()).unwrap();
    let lines = running.wait_for("net.version", |line| line.contains("\"kind\":\"net.version\""));
    let run = |line: &str| serde_json::from_str::<Value>(line).unwrap()["nodeRun"].as_str().unwrap().to_owned();
    assert_eq!(run(lines.last().unwrap()), run(news.last().unwrap()));
}

/// Both processes' effective capabilities: the one that decodes has none.
#[test]
fn the_process_that_decodes_has_no_capability() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    let main = Node::start(testkit::node::Options::default()).unwrap();
    let running = observe(&main);
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.pid())).unwrap();
    let tracer: u32 = children.split_whitespace().next().expect("a child").parse().unwrap();
    let mut seen = 0;
    for task in std::fs::read_dir(format!("/proc/{}/task", running.pid())).unwrap() {
        let task: u32 = task.unwrap().file_name().to_string_lossy().parse().unwrap();
        // one that has nothing to do may end meanwhile
        let sets = [ebpf::privileges::Set::effective_of(task), ebpf::privileges::Set::permitted_of(task)];
        let [Some(effective), Some(permitted)] = sets else { continue };
        assert!(effective.is_empty() && permitted.is_empty(), "thread {task} of the observer");
        seen += 1;
    }
    assert!(seen > 1, "{seen} threads were looked into");
    let kept = ebpf::privileges::Set::effective_of(tracer).unwrap();
    assert!(kept.can_trace(), "{kept:?}");
    let allowed = ebpf::privileges::TRACER;
    assert!(kept.iter().all(|capability| allowed.contains(&capability)), "{kept:?}");
}

/// Sources, and what each says first of a node.
const WITNESSES: [(&str, &str); 3] = [("ebpf", "health.attached"), ("rpc", "state.peers"), ("proc", "state.disk")];

/// Started before the node, and before anything could say on which network and port it will be: all sources find it, and tell it apart
/// from its next life in the same way.
#[test]
fn a_node_that_starts_later_is_seen_by_every_source() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    let mut main = Node::start(testkit::node::Options::default()).unwrap();
    main.stop().unwrap();
    let mut running = Running::start(
        program().args(["run", "--wait", "--format=json", "--p2p-listen=127.0.0.1:0", "--datadir"]).arg(main.datadir()),
    );
    running.wait_for("a look at the node in vain", |line| line.contains("health.detached") && line.contains("\"source\":\"rpc\""));
    for _ in 0..2 {
        main.start_again().unwrap();
        let answering = std::time::Instant::now();
        let mut runs = BTreeMap::new();
        // in any order
        while runs.len() < WITNESSES.len() {
            let lines =
                running.wait_for("every source", |line| WITNESSES.iter().any(|(_, kind)| line.contains(&format!("\"{kind}\""))));
            let event: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
            let witness = (event["source"].as_str().unwrap(), event["kind"].as_str().unwrap());
            if let Some((source, _)) = WITNESSES.iter().find(|w| **w == witness) {
                runs.insert(*source, event["nodeRun"].as_str().unwrap().to_owned());
            }
        }
        assert!(answering.elapsed().as_secs() < 15, "{:?}", answering.elapsed());
        let told: std::collections::BTreeSet<_> = runs.values().collect();
        assert_eq!(told.len(), 1, "{runs:?}");
        main.stop().unwrap();
        // what was still said of this life is read before the next begins
        let mut ended = std::collections::BTreeSet::new();
        while ended.len() < 2 {
            let lines = running.wait_for("both ends", |line| line.contains("\"kind\":\"health.detached\""));
            let event: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
            ended.extend(["ebpf", "rpc"].into_iter().find(|source| event["source"] == *source));
        }
    }
}

/// Root becomes the node's user: its cookie can be read, and its process looked into. Doctor says so before.
#[test]
fn the_node_of_another_user_is_watched_as_that_user() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return testkit::skipped("needs root");
    }
    let main = Node::start(testkit::node::Options { user: Some(NOBODY), ..Default::default() }).unwrap();
    let page = doctor(&main);
    assert!(page.contains(&format!("ok   user         goes on as user {NOBODY}, the node's, without capabilities\n")), "{page}");
    all_is_ok(&page);

    let mut running =
        Running::start(program().args(["run", "--format=json", "--p2p-listen=127.0.0.1:0", "--datadir"]).arg(main.datadir()));
    running.wait_for("peers over RPC", |line| line.contains("\"kind\":\"state.peers\""));
    let process = running.wait_for("its process", |line| line.contains("\"kind\":\"state.process\""));
    assert!(process.last().unwrap().contains("openFiles"), "{process:?}");
    let mut seen = 0;
    for task in std::fs::read_dir(format!("/proc/{}/task", running.pid())).unwrap() {
        // one that has nothing to do may end meanwhile
        let Ok(status) = std::fs::read_to_string(task.unwrap().path().join("status")) else { continue };
        seen += 1;
        for line in ["Uid:", "Gid:"] {
            let ids: Vec<&str> = status.lines().find_map(|l| l.strip_prefix(line)).unwrap().split_whitespace().collect();
            assert_eq!(ids, [&NOBODY.to_string(); 4], "{line}");
        }
        for line in ["Groups:", "CapEff:", "CapPrm:", "CapInh:", "CapAmb:"] {
            let value = status.lines().find_map(|l| l.strip_prefix(line)).unwrap().trim();
            assert!(value.chars().all(|c| c == '0'), "{line} {value}");
        }
        assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
    }
    assert!(seen > 1, "{seen} threads were looked into");
    // the node's user may not look into it, although it is the same user: what `/proc` shows of it is root's
    let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{}/environ", running.pid())).unwrap());
    assert_eq!(own, 0, "it can be debugged by the node's user");
    let (_, errors, status) = running.end(Signal::TERM);
    assert!(status.success(), "{errors:#?}");
}

/// A file that only root may read keeps it root, and it says what comes of that.
#[test]
fn root_that_is_needed_later_stays() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return testkit::skipped("needs root");
    }
    let main = Node::start(testkit::node::Options { user: Some(NOBODY), ..Default::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "secret\n").unwrap();
    std::fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let output = program()
        .args(["doctor", "--p2p-listen=127.0.0.1:0", "--rpc-user=observer", "--rpc-password-file"])
        .arg(&password)
        .arg("--datadir")
        .arg(main.datadir())
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&output.stdout);
    let reason = format!("the node's user {NOBODY} may not read {}", password.display());
    assert!(page.contains(&format!("warn user         goes on as root without its rights: {reason}\n")), "{page}");
    // it can be read, and the node does not know it
    assert!(page.contains("rpc          the node does not accept user `observer` with this password\n"), "{page}");
}

/// A user that owns nothing.
const NOBODY: u32 = 65_534;

fn doctor(node: &Node) -> String {
    let output = program().args(["doctor", "--p2p-listen=127.0.0.1:0", "--datadir"]).arg(node.datadir()).output().unwrap();
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{page}");
    page
}

/// How full the disk is, is the machine's business: that line only has to be there.
#[track_caller]
fn all_is_ok(page: &str) {
    // a line begins with its outcome; hints, which are indented, follow what is not well
    let lines = page.lines().filter(|line| !line.starts_with(' '));
    let findings: Vec<_> = lines.filter_map(|line| line.split_once(char::is_whitespace)).collect();
    let about =
        |subject: &str| findings.iter().filter(|(_, rest)| rest.split_whitespace().next() == Some(subject)).collect::<Vec<_>>();
    for subject in ["kernel", "btf", "permission", "node", "tracepoints", "user", "rpc", "process", "p2p"] {
        assert!(matches!(about(subject)[..], [("ok", _)]), "{subject}: {page}");
    }
    // a machine's disk may be full, and this node writes no categories into its log
    assert_eq!(about("disk").len(), 1, "{page}");
    assert!(about("log").iter().any(|(outcome, rest)| *outcome == "ok" && rest.contains("debug.log may be read")), "{page}");
    assert!(findings.iter().all(|(outcome, _)| *outcome != "FAIL"), "{page}");
}

#[test]
fn a_node_that_is_away_keeps_nobody_from_watching_the_others() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    let alice = Node::start(testkit::node::Options::default()).unwrap();
    let mut carol = Node::start(testkit::node::Options::default()).unwrap();
    carol.stop().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("peer-observer.toml");
    let table = |name: &str, node: &Node| format!("[node.{name}]\ndatadir = {:?}\np2p-listen = \"127.0.0.1:0\"\n", node.datadir());
    std::fs::write(&file, table("alice", &alice) + &table("carol", &carol)).unwrap();
    let command = || {
        let mut command = program();
        command.arg("--config").arg(&file).args([
            "run",
            "--format=json",
            "--metrics-listen=127.0.0.1:0",
            "--web-listen=127.0.0.1:0",
        ]);
        command
    };
    let mut running = Running::start(&mut command());
    running.wait_for_error("carol", |line| line.contains("carol") && line.contains("it is waited for"));
    let attached = |node: &str, line: &str| line.contains(&format!("\"node\":\"{node}\"")) && is_of_probes(line, "health.attached");
    running.wait_for("alice", |line| attached("alice", line));
    carol.restart().unwrap();
    running.wait_for("carol", |line| attached("carol", line));
    let (_, errors, status) = running.end(Signal::INT);
    assert!(status.success(), "{errors:#?}");
    // in a fleet everybody says about whom he speaks
    let of_carol = |line: &&String| line.contains("watching the node") && line.contains("node=carol");
    assert!(errors.iter().any(|line| of_carol(&line)), "{errors:#?}");

    let (mut alice, mut carol) = (alice, carol);
    alice.stop().unwrap();
    carol.stop().unwrap();
    let output = command().output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("none of the 2 nodes is there; `alice`: "), "{errors}");
}

#[test]
fn doctor_is_right_about_a_node() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    // as nodes run: as no root
    let user = rustix::process::geteuid().is_root().then_some(NOBODY);
    let main = Node::start(testkit::node::Options { user, ..Default::default() }).unwrap();
    let page = doctor(&main);
    assert!(page.contains("ok   tracepoints  13 of 13 that are used\n"), "{page}");
    assert!(page.contains(&format!("ok   rpc          {} answers 16 of 16 methods\n", main.rpc_address())), "{page}");
    all_is_ok(&page);
}

/// Reads what `-capturemessages` wrote: a folder per address, a file per direction (Bitcoin Core `CaptureMessageToFile`).
fn captured(folder: &Path) -> BTreeMap<Key, Stream> {
    let mut all = BTreeMap::new();
    for peer in std::fs::read_dir(folder).unwrap() {
        let peer = peer.unwrap();
        // `:` is written as `_`; no address here has one of its own
        let address = peer.file_name().to_string_lossy().replace('_', ":");
        for direction in ["recv", "sent"] {
            let Ok(bytes) = std::fs::read(peer.path().join(format!("msgs_{direction}.dat"))) else { continue };
            let mut rest = &bytes[..];
            let mut stream = Vec::new();
            // time 8, type 12, length 4, payload
            while let Some((head, tail)) = rest.split_at_checked(24) {
                let length = u32::from_le_bytes(head[20..24].try_into().unwrap()) as usize;
                let message_type: Vec<u8> = head[8..20].iter().copied().take_while(|byte| *byte != 0).collect();
                stream.push((message_type.escape_ascii().to_string(), tail[..length].to_vec()));
                rest = &tail[length..];
            }
            assert!(rest.is_empty());
            all.insert((address.clone(), direction), stream);
        }
    }
    all
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
