//! Detectors beside real nodes: what is staged against a node appears in what `run` prints, within the time that its detector has for it.
//!
//! Every number that decides is the default, but for three lengths of time, each of which would hold up a test for longer than all of it
//! takes: `guard.restart`, the half hour after a node's start in which nothing is told (the nodes here are seconds old; a test in
//! `crates/detect` shows the guard), `d09.established`, the quarter of an hour after which a peer that goes is missed, and `d10.full`, the ten
//! minutes for which slots have been taken before that is worth telling. How many of what are counted over which window is what an operator
//! gets. Besides, probes and node are compared every 20 seconds, not every five minutes.
#![cfg(feature = "ebpf")]
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod program;
#[path = "program/watch.rs"]
mod watch;

use std::time::{Duration, SystemTime};

use program::may_trace;
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::attack::Victim;
use testkit::peer::Listener;
use testkit::{Node, Peer, attack, node, peer, scenario, wait};
use watch::{Watch, number};

/// From the last act of an attack to the line, where the product states no other time: the slowest tick of a detector (10 s), the two
/// seconds for which the engine waits for late events, and as much again for a machine that has other things to do.
const SOON: Duration = Duration::from_secs(25);
/// Until anything is read that was said; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_mins(4);
/// For so long the slots have to be full.
const FULL: Duration = Duration::from_secs(30);
/// As the product states it: peers that are lost at once.
const LOSS: Duration = Duration::from_mins(5);
/// As the product states it: a queue of announcements.
const QUEUE: Duration = Duration::from_secs(60);
/// As the product states it: a block that is withheld.
const BLOCK: Duration = Duration::from_secs(40);

/// D01, with what the program starts with: twenty messages of ten addresses, and beside it the answer to a `getaddr`, which is none.
#[test]
fn an_address_flood_is_found_and_what_is_ignored_is_counted_as_the_node_counts() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    let main = Node::start(node::Options::default()).unwrap();
    let mut running = Watch::start(&main);
    let listener = Listener::bind([127, 0, 1, 1].into()).unwrap();
    main.rpc("addconnection", json!([listener.address().to_string(), "outbound-full-relay", false])).unwrap();
    let server = listener.accept(&peer::Options::default()).unwrap();
    attack::answer_getaddr(&server, 1).unwrap();

    let flooder = Peer::connect(main.p2p_address(), &attack::at([127, 0, 1], 2)).unwrap();
    attack::flood_addresses(&flooder, 20, 2).unwrap();
    let begun = SystemTime::now();
    let lines = running.wait_within("D01", PATIENCE, |line| line.contains(" D01 addr_flood "));
    assert!(watch::after(begun, lines.last().unwrap()) <= SOON, "{lines:?}");
    let seen = attack::as_the_node_sees(&Victim::of(&main), &flooder).unwrap();
    let count = |name: &str| seen[name].as_u64().unwrap();
    let expected = format!(
        "! CRITICAL opened D01 addr_flood peer {} {}: {} addresses within ten minutes, of which {} are more than Bitcoin Core takes; \
         20 messages of exactly ten",
        seen["id"],
        flooder.address(),
        count("addr_processed") + count("addr_rate_limited"),
        count("addr_rate_limited"),
    );
    assert!(lines.last().unwrap().contains(&expected), "{expected}\n{}", lines.last().unwrap());
    // the server's answer came before, and is among what was looked at before
    assert!(attack::as_the_node_sees(&Victim::of(&main), &server).unwrap()["addr_processed"].as_u64() >= Some(1000));
    let (_, errors, status) = running.end(Signal::INT);
    assert!(status.success(), "{errors:#?}");
}

/// D11: 25 hosts of a /24 come under changing names and leave; ten others of another /24 stay, and are nobody's business.
#[test]
fn brief_visits_from_one_range_are_found() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    let main = Node::start(node::Options::default()).unwrap();
    let mut watch = Watch::hurried(&[("main", &main)], "");
    let _stay = attack::crowd(&Victim::of(&main), [127, 0, 12], 10).unwrap();
    attack::visit(&Victim::of(&main), [127, 0, 11], 25).unwrap();
    let finding = watch.finds("D11", SystemTime::now(), SOON, |_| true);
    assert_eq!((&finding["severity"], &finding["entity"]["address"]), (&json!("warn"), &json!("127.0.11.0/24")), "{finding:#}");
    // it is told from the twentieth on; a look may come before the last
    let came = number(&finding, "connections");
    assert!((20.0..=25.0).contains(&came), "{finding:#}");
    assert_eq!((number(&finding, "signs"), number(&finding, "addresses")), (5.0, came));
    assert!(number(&finding, "median_life") < 60.0, "{finding:#}");
    assert!(watch.ends().lines.iter().all(|line| !line.contains("127.0.12.0/24")));
}

/// D10: a hundred hosts come to a node with 21 slots, of which Bitcoin Core protects twenty; and some knock at one with twelve, all of which it
/// protects.
#[test]
fn taken_slots_are_found_at_a_node_that_evicts_and_at_one_that_cannot() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    let full = Node::start(node::Options { max_connections: Some(32), ..node::Options::default() }).unwrap();
    // who was refused is in the log only
    let options = node::Options { max_connections: Some(23), debug: vec!["net"], ..node::Options::default() };
    let shut = Node::start(options).unwrap();
    let mut watch = Watch::hurried(&[("full", &full), ("shut", &shut)], "");
    let crowd = attack::crowd(&Victim::of(&full), [127, 0, 13], 100).unwrap();
    let _slots = attack::crowd(&Victim::of(&shut), [127, 0, 14], 12).unwrap();
    attack::knock_in_vain(&Victim::of(&shut), [127, 0, 15], 12).unwrap();
    let begun = SystemTime::now();
    let critical = |finding: &Value| finding["severity"] == "critical";
    // the slots have to be full for a while
    let mut found = [(); 2].map(|()| watch.finds("D10", begun, FULL + SOON, critical));
    found.sort_by(|a, b| number(a, "refused").total_cmp(&number(b, "refused")));
    let gone = crowd.iter().filter(|peer| peer.is_closed()).count();
    assert_eq!(gone, 100 - 21);
    assert_eq!((number(&found[0], "evicted"), number(&found[0], "refused")), (gone as f64, 0.0), "{:#}", found[0]);
    assert_eq!((number(&found[1], "evicted"), number(&found[1], "refused")), (0.0, 12.0), "{:#}", found[1]);
    let summary = |finding: &Value| finding["summary"].as_str().unwrap().to_owned();
    assert!(summary(&found[0]).starts_with("newcomers push out newcomers: 79 evicted"), "{}", summary(&found[0]));
    assert!(summary(&found[1]).starts_with("the slots are held by peers that cannot be evicted"), "{}", summary(&found[1]));
    watch.ends();
}

/// D09: of forty peers of a node thirty go; at another all go, and come again, because it is restarted.
#[test]
fn a_loss_of_peers_is_found_and_a_restart_is_none() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    let main = Node::start(node::Options::default()).unwrap();
    let mut other = Node::start(node::Options::default()).unwrap();
    // during the initial download nothing is told
    for node in [&main, &other] {
        attack::prepare_transactions(&Victim::of(node), 0).unwrap();
    }
    // all of them before the observer: peers that come while some go make up for them
    let mut peers = attack::crowd(&Victim::of(&main), [127, 0, 25], 40).unwrap();
    let gone = attack::crowd(&Victim::of(&other), [127, 0, 26], 40).unwrap();
    let mut watch = Watch::hurried(&[("main", &main), ("other", &other)], "\"d09.established\" = 5");
    for node in ["main", "other"] {
        let asked = |line: &str| line.contains("\"getpeerinfo\"") && line.contains(&format!("\"node\":\"{node}\""));
        watch.running.wait_for("who is there", asked);
    }
    wait::until("peers that are missed when they go", wait::LONG, || {
        Ok((attack::youngest(&Victim::of(&main))? >= 6 && attack::youngest(&Victim::of(&other))? >= 6).then_some(()))
    })
    .unwrap();
    let begun = SystemTime::now();
    peers.truncate(10);
    other.restart().unwrap();
    drop(gone);
    let _again = attack::crowd(&Victim::of(&other), [127, 0, 27], 40).unwrap();
    let finding = watch.finds("D09", begun, LOSS, |_| true);
    assert_eq!((&finding["severity"], number(&finding, "lost")), (&json!("critical"), 30.0), "{finding:#}");
    assert_eq!(
        finding["summary"], "30 of 40 inbound peers lost within five minutes, 100 % of them not_publicly_routable",
        "{finding:#}"
    );
    let past = watch.ends();
    assert!(past.lines.iter().all(|line| !(line.contains("\"D09\"") && line.contains("\"node\":\"other\""))), "{:#?}", past.lines);
}

/// D39: so many transactions that ten thousand wait to be announced to each of four that only listen. Over what was kept of it, the same is
/// found.
#[test]
fn a_rush_of_transactions_is_found() {
    const TRANSACTIONS: usize = 14_000;
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    // on regtest, and only there, Bitcoin Core goes over its whole mempool after each transaction
    let main = Node::start(node::Options { args: vec!["-checkmempool=0".to_owned()], ..node::Options::default() }).unwrap();
    let transactions = attack::prepare_transactions(&Victim::of(&main), TRANSACTIONS).unwrap();
    let mut watch = Watch::hurried(&[("main", &main)], "");
    let _listeners = attack::crowd(&Victim::of(&main), [127, 0, 16], 4).unwrap();
    let feeder = Peer::connect(main.p2p_address(), &attack::at([127, 0, 17], 1)).unwrap();
    // one ping behind all of them would wait for long
    for part in transactions.chunks(1000) {
        attack::rush(&feeder, part).unwrap();
    }
    let begun = SystemTime::now();
    assert_eq!(main.rpc("getmempoolinfo", json!([])).unwrap()["size"], TRANSACTIONS);
    let finding = watch.finds("D39", begun, QUEUE, |_| true);
    assert_eq!((&finding["severity"], &finding["entity"]["kind"]), (&json!("warn"), &json!("node")), "{finding:#}");
    let longest = number(&finding, "longest_queue");
    assert!(longest > 10_000.0 && longest <= TRANSACTIONS as f64, "{finding:#}");
    assert!(finding["summary"].as_str().unwrap().starts_with("many announcements wait: "), "{finding:#}");
    assert!(!finding["evidence"].as_array().unwrap().is_empty(), "{finding:#}");
    assert_eq!(watch.ends().finds("D39"), Some(finding));
}

/// D51, with what the program starts with: one host pushes a compact block, and another delivers what that lacks; three of one range announce two blocks each and deliver none,
/// while three others deliver as they should.
#[test]
fn withheld_blocks_are_found() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    let main = Node::start(node::Options::default()).unwrap();
    // on a chain of today, the node fetches blocks as they are announced
    let unknown = attack::prepare_transactions(&Victim::of(&main), 1).unwrap();
    let mut running = Watch::start(&main);
    let dial = |range, host| Peer::connect(main.p2p_address(), &attack::at(range, host)).unwrap();
    let honest: Vec<Peer> = (1..=3).map(|host| dial([127, 0, 19], host)).collect();

    let late = dial([127, 0, 20], 1);
    let block = attack::mine_in_secret(&Victim::of(&main), &unknown, 0).unwrap();
    let begun = SystemTime::now();
    attack::announce_compact(&late, &block).unwrap();
    attack::deliver(&honest[0], &block).unwrap();
    assert_eq!(main.rpc("getbestblockhash", json!([])).unwrap(), block.block_hash().to_string());
    let found = format!("! INFO opened D51 withheld_block peer {} ", id(&main, &late));
    let mut seen = running.wait_within("D51", PATIENCE, |line| line.contains(&found));
    assert!(watch::after(begun, seen.last().unwrap()) <= SOON, "{seen:?}");

    let mut wanted = vec!["! CRITICAL opened D51 withheld_block range 127.0.18.0/24: ".to_owned()];
    let mut culprits = Vec::new();
    for host in 1..=3 {
        let culprit = dial([127, 0, 18], host);
        for tag in [1, 2] {
            let block = attack::mine_in_secret(&Victim::of(&main), &[], 10 * host + tag).unwrap();
            attack::announce(&culprit, &block.header).unwrap();
        }
        wanted.push(format!("! WARN updated D51 withheld_block peer {} ", id(&main, &culprit)));
        culprits.push(culprit);
    }
    let begun = SystemTime::now();
    for peer in &honest {
        let block = attack::mine_in_secret(&Victim::of(&main), &[], 3).unwrap();
        attack::announce(peer, &block.header).unwrap();
        attack::deliver(peer, &block).unwrap();
        assert_eq!(main.rpc("getbestblockhash", json!([])).unwrap(), block.block_hash().to_string());
    }
    while !wanted.is_empty() {
        let fits = |line: &str| wanted.iter().any(|wanted| line.contains(wanted));
        seen.extend(running.wait_within(&format!("{wanted:?}"), PATIENCE, fits));
        let last = seen.last().unwrap();
        wanted.retain(|wanted| !last.contains(wanted));
        if wanted.is_empty() {
            let after = watch::after(begun, last);
            println!("D51, all: after {after:?}");
            assert!(after <= BLOCK, "{after:?}");
        }
    }
    for peer in &honest {
        let of_it = format!("withheld_block peer {} ", id(&main, peer));
        assert!(seen.iter().all(|line| !line.contains(&of_it)), "{of_it}");
    }
    let (_, errors, status) = running.end(Signal::INT);
    assert!(status.success(), "{errors:#?}");
}

/// The node's number of a peer.
fn id(node: &Node, peer: &Peer) -> Value {
    attack::as_the_node_sees(&Victim::of(node), peer).unwrap()["id"].clone()
}

/// A lively minute of a real node, and its restart: transactions, blocks, a reorganisation, gossip, misbehaviour, pings, a crowd. Of all that, only
/// one message is more than anybody may send, three peers ping as nobody does, and at one height there are two blocks.
#[test]
fn a_lively_node_is_no_alarm() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    let mut main = Node::start(scenario::main_options()).unwrap();
    let mut watch = Watch::hurried(&[("main", &main)], "");
    drop(scenario::play(&main, 1).unwrap());
    let mut lines = watch.running.wait_for("a comparison with the node's counters", |line| line.contains("health.reconciled"));
    main.restart().unwrap();
    let attached = |line: &str| line.contains("health.attached") && line.contains("\"source\":\"ebpf\"");
    lines.extend(watch.running.wait_for("probes", attached));
    lines.extend(watch.ends().lines);
    let opened: Vec<String> = lines
        .iter()
        .filter_map(|line| {
            let event: Value = serde_json::from_str(line).unwrap();
            let finding = &event.get("findingOpened")?["finding"];
            Some(format!("{}: {}", finding["detector"].as_str()?, finding["summary"].as_str()?))
        })
        .collect();
    let [mut too_large, mut pings, mut forks] = [0; 3];
    for one in &opened {
        match one {
            one if one.starts_with("D01: ") && one.contains("more than 1000 addresses") => too_large += 1,
            one if one.starts_with("D28: ") && one.contains("nonces") => pings += 1,
            one if one.starts_with("D55: two blocks at height ") => forks += 1,
            one => panic!("{one}"),
        }
    }
    assert_eq!((too_large, pings, forks), (1, 3, 1), "{opened:#?}");
}
