//! A real node's log, moved about while the node writes to it.

use std::fs;
use std::path::Path;

use event::{Event, Kind, KindId};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use testkit::{Peer, need_node, node, node::Node, wait};

use crate::world::World;

/// Much of everything: connections, messages, blocks.
fn traffic(node: &Node) {
    let peers: Vec<Peer> = (0..5).map(|_| Peer::connect(node.p2p_address(), &Default::default()).unwrap()).collect();
    for peer in &peers {
        peer.ping_flood(500).unwrap();
    }
    let address = "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqvg8yg3";
    let _ = node.rpc("generatetoaddress", json!([5, address]));
}

/// Lines that are not empty.
fn lines(log: &Path) -> u64 {
    let bytes = fs::read(log).unwrap();
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64
}

#[test]
fn every_line_of_a_node_is_read_through_rotation_and_restart() {
    need_node!();
    let options = node::Options { debug: vec!["1"], args: vec!["-logtimemicros".into()], ..node::Options::default() };
    let mut node = Node::start(options).unwrap();
    let log = node.network_datadir().join("debug.log");
    let old = |number: u32| log.with_extension(format!("log.{number}"));
    // a log that begins anew, so that everything in it can be counted
    node.stop().unwrap();
    fs::remove_file(&log).unwrap();
    let mut world = World::start(extract::log::Target::Told(log.clone()), extract::log::follow::Begin::End);
    world.wait_for(KindId::HealthDetached);
    node.start_again().unwrap();
    let mut files = Vec::new();
    for round in 0..3 {
        traffic(&node);
        // in the middle of traffic
        std::thread::scope(|scope| {
            let busy = scope.spawn(|| traffic(&node));
            fs::rename(&log, old(round)).unwrap();
            let pid = i32::try_from(node.pid().unwrap()).unwrap();
            kill_process(Pid::from_raw(pid).unwrap(), Signal::HUP).unwrap();
            busy.join().unwrap();
        });
        wait::until("the node to open its log again", wait::LONG, || Ok(log.exists().then_some(()))).unwrap();
        files.push(old(round));
        traffic(&node);
        if round < 2 {
            node.restart().unwrap();
        }
    }
    node.stop().unwrap();
    files.push(log.clone());
    let events = world.stop();
    let account = events.iter().rev().find_map(|event| match &event.kind {
        Some(Kind::HealthParser(account)) => Some(account),
        _ => None,
    });
    let account = account.unwrap();
    let read = account.categories.iter().map(|category| category.lines).sum::<u64>() + account.continuations;
    let written: u64 = files.iter().map(|file| lines(file)).sum();
    assert!(written > 10_000, "{written}");
    assert_eq!(read, written);
    // no problem was seen
    let problems: Vec<_> =
        events.iter().filter(|event| matches!(&event.kind, Some(Kind::HealthLogFile(_) | Kind::HealthLost(_)))).collect();
    assert!(problems.is_empty(), "{problems:#?}");
    let starts = events.iter().filter(|event| matches!(&event.kind, Some(Kind::LogLife(life)) if !life.version.is_empty()));
    assert_eq!(starts.count(), 3);
    // each message is of a life, of which two may begin in the same second
    let of_a_life = |event: &&std::sync::Arc<Event>| event.id() != Some(KindId::NetMessage) || event.node_run.is_some();
    assert!(events.iter().all(|event| of_a_life(&event)));
}
