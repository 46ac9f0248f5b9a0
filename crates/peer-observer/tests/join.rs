//! What is made of several sources' facts, beside a real bitcoind.
#![cfg(feature = "ebpf")]
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bus::{Bus, Delivery, Limits};
use ebpf::process::Finder;
use ebpf::{Source, Tracer};
use event::{Direction, Event, Kind};
use extract::life::Life;
use extract::{node::Config, rpc};
use program::{Running, may_trace, program};
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::{Node, Peer, node, peer, wait};
use tools::reconcile::{self, Reconciler};

/// Everything that the reconciliation hears of a node while something happens to it, with polls much more often than usual.
fn record(main: &Node, happen: impl FnOnce()) -> Vec<Event> {
    let config = Config::of_datadir("main".parse().unwrap(), main.datadir());
    let probes = extract::ebpf::Config { ebpf_raw: false, ebpf_buffer: "16MiB".parse().unwrap() };
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-observer"));
    command.arg("tracer");
    let source = Source::open(Tracer::spawn(command, &probes.tracer(&config, false)).unwrap(), false).unwrap();
    let place = rpc::Place { datadir: config.datadir.clone(), command: command_line(main), ..rpc::Place::default() };
    let target = config.rpc.target(&place);
    let polls = rpc::Config { rpc_interval: vec!["getpeerinfo=200ms".parse().unwrap()], ..rpc::Config::default() };

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let bus = Bus::local();
    let room = Limits { events: 1 << 20, bytes: 512 << 20 };
    let mut events = runtime.block_on(bus.subscribe(reconcile::filter(&config.name), room)).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let out = bus.publisher(config.name.clone(), event::Source::Rpc);
    let process = Finder::new(config.target()).find().unwrap();
    let life = Life { pid: process.pid, node_run: process.node_run, datadir: config.datadir.clone() };
    let (_lives, life) = tokio::sync::watch::channel(Some(life));
    let locate = std::sync::Arc::new(move |_: Option<&Life>| target.clone());
    let asking = runtime.spawn(rpc::run(polls, locate, life, out, async { drop(stopped.await) }));
    let out = bus.publisher(config.name.clone(), event::Source::Ebpf);
    let flag = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| extract::ebpf::run(source, &out, &flag));
        happen();
        flag.store(true, Ordering::Release);
        watching.join().unwrap().unwrap();
    });
    drop(stop);
    runtime.block_on(async {
        asking.await.unwrap();
        bus.clone().close().await;
        let mut all = Vec::new();
        while let Some(delivery) = events.next().await {
            let Delivery::Event(event) = delivery else { panic!("the queue holds everything") };
            all.push((*event).clone());
        }
        all
    })
}

fn command_line(main: &Node) -> Vec<String> {
    let line = std::fs::read(format!("/proc/{}/cmdline", main.pid().unwrap())).unwrap();
    line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

fn compared(events: &[Event], every: Duration) -> Vec<Kind> {
    let mut reconciler = Reconciler::new(every);
    let mut facts = Vec::new();
    for event in events {
        reconciler.observe(event, &mut |(_, _, kind)| facts.push(kind));
    }
    facts
}

/// Every fiftieth message of each type is missing.
fn withheld(events: &[Event]) -> Vec<Event> {
    let mut counts = BTreeMap::new();
    let keep = |event: &&Event| {
        let Some(kind) = event.kind.as_ref().filter(|kind| kind.net().is_some()) else { return true };
        let count = counts.entry(kind.id().name()).or_insert(0_u32);
        *count += 1;
        !count.is_multiple_of(50)
    };
    events.iter().filter(keep).cloned().collect()
}

/// Peers on both transports, for five windows: what is whole is silent, and of what is not, every type is named.
#[test]
fn a_healthy_node_is_silent_and_one_message_in_fifty_is_missed() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    /// Forty in each window: a type counts from a hundred messages on, and of some there are twenty in a round.
    const ROUNDS: u32 = 200;
    let main = Node::start(node::Options::default()).unwrap();
    let other = Node::start(node::Options::default()).unwrap();
    other.rpc("addnode", json!([main.p2p_address().to_string(), "onetry", true])).unwrap();
    let id = wait::until("the encrypted connection", wait::LONG, || {
        let peers = other.rpc("getpeerinfo", json!([]))?;
        let ready = |peer: &&Value| peer["transport_protocol_type"] == "v2" && peer["version"] != 0;
        Ok(peers.as_array().unwrap().iter().find(ready).map(|peer| peer["id"].as_u64().unwrap()))
    })
    .unwrap();
    let peers: Vec<Peer> = (2..8)
        .map(|host| {
            let options = peer::Options { source: [127, 0, 0, host].into(), ..peer::Options::default() };
            Peer::connect(main.p2p_address(), &options).unwrap()
        })
        .collect();
    let mut lasted = Duration::ZERO;
    let events = record(&main, || {
        let start = Instant::now();
        let mut rounds = 0;
        while rounds < ROUNDS || start.elapsed() < Duration::from_secs(25) {
            rounds += 1;
            for peer in &peers {
                peer.ping_flood(20).unwrap();
                peer.send_raw("xyz", &[0; 100]).unwrap();
            }
            // of these types only encrypted ones: one with a number in BIP 324, one without
            for (message_type, payload) in [("feefilter", "e803000000000000"), ("sendheaders", "")].repeat(10) {
                other.rpc("sendmsgtopeer", json!([id, message_type, payload])).unwrap();
            }
        }
        lasted = start.elapsed();
    });
    // five seconds, and longer where rounds are slow
    let every = lasted / 5;
    let whole = compared(&events, every);
    let comparisons: Vec<_> =
        whole.iter().map(|kind| if let Kind::HealthReconciled(compared) = kind { compared } else { panic!("{kind:?}") }).collect();
    assert!(comparisons.len() >= 3, "{comparisons:?}");
    for compared in comparisons {
        // ping, pong, feefilter, sendheaders, and those that nobody knows
        assert!(compared.peers == 7 && compared.types == 5 && compared.messages > 1000 && compared.lost == 0, "{compared:?}");
    }
    let less = compared(&withheld(&events), every);
    let named: BTreeSet<_> = less
        .iter()
        .filter_map(|kind| match kind {
            Kind::HealthDiverged(diverged) => Some((diverged.message_type.as_str(), diverged.direction())),
            _ => None,
        })
        .collect();
    let [inbound, outbound] = [Direction::Inbound, Direction::Outbound];
    let all = [("ping", inbound), ("pong", outbound), ("feefilter", inbound), ("sendheaders", inbound)];
    assert_eq!(named, BTreeSet::from(all), "{less:?}");
}

/// Ends are stated live, and what still waits when the program is told to stop comes out before it ends.
#[test]
fn every_connection_ends_once() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    let main = Node::start(node::Options::default()).unwrap();
    let mut command = program();
    command.args(["run", "--format=json", "--rpc-interval=getpeerinfo=500ms", "--reconcile-interval=2s", "--datadir"]);
    let mut running = Running::start(command.arg(main.datadir()));
    let is = |line: &str, kind: &str, source: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["kind"] == kind && event["source"] == source
    };
    running.wait_for("health.attached", |line| is(line, "health.attached", "ebpf"));
    let connect = |host: u8| {
        let options = peer::Options { source: [127, 0, 0, host].into(), ..peer::Options::default() };
        let peer = Peer::connect(main.p2p_address(), &options).unwrap();
        peer.ping().unwrap();
        peer
    };
    let stays = connect(2);
    drop(connect(3));
    let mut lines = running.wait_for("conn.ended", |line| is(line, "conn.ended", "join"));
    lines.extend(running.wait_for("health.reconciled", |line| is(line, "health.reconciled", "join")));
    drop(connect(4));
    // closed for the probes, perhaps not yet ended
    lines.extend(running.wait_for("conn.closed", |line| is(line, "conn.closed", "ebpf")));
    let (rest, errors, status) = running.end(Signal::INT);
    assert!(status.success(), "{errors:#?}");
    lines.extend(rest);
    drop(stays);
    let peers = |kind: &str, member: &str| {
        let mut peers = Vec::new();
        for event in lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(|event| event["kind"] == kind) {
            peers.push((event[member]["peer"].as_str().unwrap().to_owned(), event[member]["address"].as_str().unwrap().to_owned()));
        }
        peers.sort();
        peers
    };
    assert_eq!(peers("conn.ended", "connEnded"), peers("conn.closed", "connClosed"));
    assert_eq!(peers("conn.ended", "connEnded").len(), 2, "{:?}", peers("conn.closed", "connClosed"));
    assert!(!lines.iter().any(|line| is(line, "health.diverged", "join")));
}
