//! The whole program at the IPC socket of a real node.
#![cfg(feature = "ebpf")]
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod program;

use program::{Running, may_trace, program};
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::{Node, node};

fn start(args: &[&str]) -> Node {
    let args = args.iter().map(ToString::to_string).collect();
    Node::start(node::Options { executable: node::with_ipc(), args, ..Default::default() }).unwrap()
}

fn observe(node: &Node, command: &[&str]) -> Running {
    Running::start(program().args(command).arg("--datadir").arg(node.datadir()))
}

/// Heights of the tips that come until this one.
fn tips(running: &mut Running, height: u64) -> Vec<u64> {
    let of = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        (event["kind"] == "chain.tip" && event["source"] == "ipc").then(|| event["chainTip"]["height"].as_u64().unwrap_or(0))
    };
    let lines = running.wait_for("chain.tip", |line| of(line) == Some(height));
    lines.iter().filter_map(|line| of(line)).collect()
}

fn mine(node: &Node) {
    node.rpc("generatetodescriptor", json!([1, "raw(51)"])).unwrap();
}

/// Every tip once, under a path that the node's command line names.
#[test]
fn one_extractor_alone_prints_the_tips() {
    testkit::need_ipc_node!();
    let node = start(&["-ipcbind=unix:deep/tips.sock"]);
    let mut running = observe(&node, &["extract", "ipc"]);
    assert_eq!(tips(&mut running, 0), [0]);
    for height in 1..=5 {
        mine(&node);
        assert_eq!(tips(&mut running, height), [height]);
    }
    let (.., errors, status) = running.end(Signal::TERM);
    assert!(status.success(), "{errors:#?}");
}

/// `run` starts it beside the others when asked, and never unasked.
#[test]
fn it_runs_beside_the_others_when_asked() {
    testkit::need_ipc_node!();
    if !may_trace() {
        return;
    }
    let run = ["run", "--format=json", "--p2p-listen=127.0.0.1:0"];
    let node = start(&["-ipcbind=unix"]);
    let socket = node.network_datadir().join("node.sock");
    let mut running = observe(&node, &[&run[..], &["--ipc-socket", socket.to_str().unwrap()]].concat());
    tips(&mut running, 0);
    mine(&node);
    tips(&mut running, 1);
    assert!(running.end(Signal::INT).2.success());

    let mut running = observe(&node, &run);
    running.wait_for("state.uptime", |line| line.contains("\"kind\":\"state.uptime\""));
    let (lines, ..) = running.end(Signal::INT);
    assert!(!lines.iter().any(|line| line.contains("\"source\":\"ipc\"")), "{lines:#?}");
}

/// One that a section asks for is waited for.
#[test]
fn a_socket_that_is_asked_for_is_waited_for() {
    testkit::need_ipc_node!();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("c.toml");
    std::fs::write(&config, "[ipc]\nwait = \"1s\"\n[logger]\nformat = \"json\"\n").unwrap();
    let node = start(&[]);
    let mut running = observe(&node, &["--config", config.to_str().unwrap(), "run"]);
    let lines = running.wait_for("health.detached", |line| line.contains("\"kind\":\"health.detached\""));
    let event: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    let socket = node.network_datadir().join("node.sock").display().to_string();
    assert_eq!(event["healthDetached"]["reason"], format!("there is no socket {socket}"));
    assert!(running.end(Signal::INT).2.success());
}

/// Whoever watches may crash in the middle of a wait: a thread of the node is in it.
#[test]
fn a_node_is_none_the_worse_for_observers_that_vanish() {
    testkit::need_ipc_node!();
    let mut node = start(&["-ipcbind=unix", "-debug=ipc"]);
    for _ in 0..5 {
        let mut running = observe(&node, &["extract", "ipc"]);
        tips(&mut running, 0);
        // a node of 31 crashes if a client vanishes after it has read a call, and before it begins with it
        testkit::wait::until("the next wait to have begun", testkit::wait::LONG, || {
            Ok(node.log()?.lines().next_back().is_some_and(|line| line.contains("executing request")).then_some(()))
        })
        .unwrap();
        running.end(Signal::KILL);
    }
    let mut running = observe(&node, &["extract", "ipc"]);
    tips(&mut running, 0);
    mine(&node);
    assert_eq!(tips(&mut running, 1), [1]);
    // and the node ends in order although somebody is connected
    node.stop().unwrap();
    assert!(running.end(Signal::TERM).2.success());
    assert!(node.log().unwrap().contains("Shutdown done"), "{}", node.log().unwrap());
}

/// Nor for one that is told to stop, whatever it is doing just then.
#[test]
fn a_node_is_none_the_worse_for_observers_that_stop() {
    testkit::need_ipc_node!();
    let node = start(&["-ipcbind=unix"]);
    for _ in 0..20 {
        let mut running = observe(&node, &["extract", "ipc"]);
        tips(&mut running, 0);
        assert!(running.end(Signal::TERM).2.success());
    }
    assert!(node.rpc("uptime", json!([])).is_ok());
}

#[test]
fn doctor_tells_what_the_socket_answers() {
    testkit::need_ipc_node!();
    let node = start(&["-ipcbind=unix"]);
    let doctor = |args: &[&str]| {
        let output = program().args(["doctor", "--datadir"]).arg(node.datadir()).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).replace(&node.network_datadir().display().to_string(), "DIR")
    };
    let page = doctor(&[]);
    let calls = "Init.construct, ThreadMap.makeThread, Echo.echo, Init.makeMining, Mining.waitTipChanged";
    assert!(page.contains(&format!("ok   ipc          DIR/node.sock answers {calls}\n")), "{page}");
    let page = doctor(&["--ipc-socket", "/nonexistent/node.sock"]);
    assert!(page.contains("FAIL ipc          there is no socket /nonexistent/node.sock\n"), "{page}");
}
