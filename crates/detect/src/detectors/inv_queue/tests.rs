use event::{
    ChainBlockConnected, ConnClosed, ConnOpened, Inventory, NetInv, NetMempool, PeerInfo, ProbePing, Source, StateBlockchain,
    StatePeers, StateProcess, StateProfile, ThreadUse,
};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::Stage;
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<InvQueue>()];

fn stage() -> Stage {
    let mut stage = Stage::new(ONLY, &[]);
    stage.at(0.0, StateProfile { version: Some(310_000), ..Default::default() });
    stage
}

#[track_caller]
fn check(play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = stage();
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

fn trickle(peer: u64, count: usize) -> NetInv {
    let item = Inventory { r#type: InventoryType::Wtx.into(), ..Default::default() };
    NetInv { peer, direction: Direction::Outbound.into(), items: vec![item; count], ..Default::default() }
}

fn poll(queues: impl IntoIterator<Item = u64>) -> StatePeers {
    let peer = |(id, queue)| PeerInfo { id, inv_to_send: Some(queue), ..Default::default() };
    StatePeers { peers: (0..).zip(queues).map(peer).collect() }
}

fn process(used: f64) -> StateProcess {
    let thread = ThreadUse { name: "b-msghand".into(), user_nanos: (used * 1e9) as u64, ..Default::default() };
    StateProcess { threads: vec![thread], ..Default::default() }
}

/// Every peer's trickle, every five seconds.
fn storm(stage: &mut Stage, from: u32, to: u32, count: usize) {
    for second in (from..to).step_by(5) {
        for peer in 0..10 {
            stage.at(f64::from(second) + peer as f64 / 100.0, trickle(peer, count));
        }
    }
}

#[test]
fn queues_that_only_announcements_prove_are_found_and_clear() {
    let play = |stage: &mut Stage| {
        storm(stage, 10, 60, 75);
        storm(stage, 60, 120, 370);
        storm(stage, 120, 180, 75);
        stage.until(400.0);
    };
    check(
        play,
        expect![[r#"
            65 opened D39 critical node: many announcements wait: 60000 for one peer, 600000 for all
            185 cleared D39 critical node: many announcements wait: 60000 for one peer, 600000 for all
        "#]],
    );
}

#[test]
fn full_trickles_of_any_release_are_normal() {
    check(|stage| storm(stage, 10, 600, 70), expect![[""]]);
    // 35 more than the base of 30, which would be a queue of 7000 there
    let mut old = stage();
    old.at(1.0, StateProfile { version: Some(300_200), ..Default::default() });
    storm(&mut old, 10, 60, 70);
    assert_eq!(old.told(), "");
    storm(&mut old, 60, 120, 90);
    expect![[r#"
        65 opened D39 warn node: many announcements wait: 11000 for one peer, 110000 for all
    "#]]
    .assert_eq(&old.told());
}

#[test]
fn what_the_node_states_counts_as_well() {
    let play = |stage: &mut Stage| {
        stage.at(60.0, poll([20_000; 50]));
        stage.at(120.0, poll([40_000; 50]));
        stage.at(180.0, poll([10; 50]));
        stage.until(300.0);
    };
    check(
        play,
        expect![[r#"
            65 opened D39 warn node: many announcements wait: 20000 for one peer, 1000000 for all
            125 updated D39 critical node: many announcements wait: 40000 for one peer, 2000000 for all
            245 cleared D39 critical node: many announcements wait: 40000 for one peer, 2000000 for all
        "#]],
    );
}

#[test]
fn one_peer_that_does_not_read_is_no_storm() {
    let play = |stage: &mut Stage| {
        stage.at(1.0, ConnOpened { peer: 0, address: "192.0.2.1:8333".into(), ..Default::default() });
        stage.at(60.0, poll([12_000, 0, 3, 8, 0]));
        stage.at(90.0, ConnClosed { peer: 0, ..Default::default() });
        stage.until(100.0);
    };
    check(
        play,
        expect![[r#"
            65 opened D39 warn peer 0: a peer does not take its announcements: 12000 transactions wait for it, and 3 for the median peer
            90 cleared D39 warn peer 0: a peer does not take its announcements: 12000 transactions wait for it, and 3 for the median peer
        "#]],
    );
}

/// A tick comes between the trickles of a storm: the peer that was told first is no slower than the others.
#[test]
fn who_is_told_first_in_a_storm_is_not_blamed() {
    let trickles = |stage: &mut Stage| {
        for (peer, time) in (0..).zip([9.98, 9.99, 10.01, 10.02, 10.03]) {
            stage.at(time, trickle(peer, 140));
        }
    };
    let polled = |stage: &mut Stage| {
        stage.at(4.0, poll([0; 5]));
        trickles(stage);
        stage.until(14.0);
        stage.at(14.0, poll([14_000; 5]));
        stage.until(20.0);
    };
    check(
        polled,
        expect![[r#"
        15 opened D39 warn node: many announcements wait: 14000 for one peer, 70000 for all
    "#]],
    );
    let unpolled = |stage: &mut Stage| {
        trickles(stage);
        stage.until(20.0);
    };
    check(
        unpolled,
        expect![[r#"
        15 opened D39 warn node: many announcements wait: 14000 for one peer, 70000 for all
    "#]],
    );
    // without a poll it takes a while to see that nobody else has a queue
    let alone = |stage: &mut Stage| {
        for second in (10..40).step_by(5) {
            stage.at(f64::from(second), trickle(0, 140));
        }
        stage.until(60.0);
    };
    check(
        alone,
        expect![[r#"
        25 opened D39 warn peer 0: a peer does not take its announcements: 14000 transactions wait for it, and 14000 for the median peer
    "#]],
    );
}

#[test]
fn the_answer_to_a_mempool_request_is_no_queue() {
    let play = |stage: &mut Stage| {
        for peer in 0..10 {
            stage.at(10.0, NetMempool { peer, direction: Direction::Inbound.into(), ..Default::default() });
            stage.at(12.0, trickle(peer, 900));
            stage.at(12.1, trickle(peer, 5000));
        }
        stage.until(60.0);
    };
    check(play, expect![[""]]);
}

#[test]
fn a_busy_handler_and_slow_pings_are_found() {
    let play = |stage: &mut Stage| {
        for second in (5..600).step_by(5) {
            stage.at(f64::from(second), process(f64::from(second) * 0.8));
        }
        stage.until(620.0);
    };
    check(
        play,
        expect![[r#"
            310 opened D39 warn node: the message handler is busy: 0 for one peer, 0 for all; the handler uses 80 % of a CPU
        "#]],
    );
    let ping = |stage: &mut Stage, time: f64, wait: f64| {
        stage.at(time, ProbePing { round_trip_nanos: (wait * 1e9) as u64, outstanding: 0 });
    };
    let play = |stage: &mut Stage| {
        // a single one is a hiccup
        ping(stage, 10.0, 30.0);
        (2..10).for_each(|n| ping(stage, f64::from(n) * 10.0, 0.01));
        (10..20).for_each(|n| ping(stage, f64::from(n) * 10.0, 12.0));
        (20..60).for_each(|n| ping(stage, f64::from(n) * 10.0, 0.01));
    };
    check(
        play,
        expect![[r#"
            125 opened D39 critical node: messages wait in the node's queue: 0 for one peer, 0 for all; a ping waits 12.0 s
            265 cleared D39 critical node: messages wait in the node's queue: 0 for one peer, 0 for all; a ping waits 12.0 s
        "#]],
    );
}

#[test]
fn guards_keep_it_quiet() {
    // G1
    let mut young = Stage::new(ONLY, &[]);
    young.uptime = 1000;
    storm(&mut young, 10, 700, 370);
    assert_eq!(young.told(), "");
    assert_eq!(young.engine.account("alice").suppressed[Guard::Restart as usize], 12, "once a minute");
    storm(&mut young, 700, 900, 370);
    assert!(young.told().starts_with("800 opened D39"), "1800 s after the start");
    // G2
    let mut behind = stage();
    behind.at(1.0, StateBlockchain { headers: Some(900), blocks: Some(100), ..Default::default() });
    storm(&mut behind, 10, 300, 370);
    assert_eq!(behind.told(), "");
    // G5
    let mut burst = stage();
    storm(&mut burst, 10, 14, 370);
    burst.at(14.0, ChainBlockConnected::default());
    burst.until(15.9);
    assert_eq!(burst.told(), "");
    burst.until(30.0);
    assert!(burst.told().starts_with("20 opened D39"));
}

#[test]
fn loss_is_unknown_and_not_clear() {
    let play = |stage: &mut Stage| {
        storm(stage, 10, 60, 370);
        stage.hush(Source::Ebpf);
        stage.until(400.0);
        stage.unhush(Source::Ebpf);
        stage.until(600.0);
    };
    check(
        play,
        expect![[r#"
            15 opened D39 critical node: many announcements wait: 60000 for one peer, 600000 for all
            120 updated D39 critical node unknown: many announcements wait: 60000 for one peer, 600000 for all
            525 cleared D39 critical node: many announcements wait: 60000 for one peer, 600000 for all
        "#]],
    );
}

/// Without probes nobody but the node tells of queues: when it is silent, none of them is 0.
#[test]
fn a_node_without_probes_that_falls_silent_is_unknown_and_not_clear() {
    let long = || (0..10).map(|_| 60_000);
    let play = |stage: &mut Stage| {
        stage.hush(Source::Ebpf);
        stage.unhush(Source::Log);
        (20..80).step_by(5).for_each(|second| stage.at(f64::from(second), poll(long())));
        [Source::Rpc, Source::P2p, Source::Proc].into_iter().for_each(|source| stage.hush(source));
        stage.until(1000.0);
        [Source::Rpc, Source::P2p, Source::Proc].into_iter().for_each(|source| stage.unhush(source));
        (1000..2000).step_by(5).for_each(|second| stage.at(f64::from(second), poll((0..10).map(|_| 0))));
    };
    check(
        play,
        expect![[r#"
            25 opened D39 critical node: many announcements wait: 60000 for one peer, 600000 for all
            225 updated D39 critical node unknown: many announcements wait: 60000 for one peer, 600000 for all
            1125 cleared D39 critical node: many announcements wait: 60000 for one peer, 600000 for all
        "#]],
    );
}

/// What announcements prove is the least that waits: it is no word for what the node stated before.
#[test]
fn probes_do_not_clear_what_the_node_stated() {
    let play = |stage: &mut Stage| {
        (20..80).step_by(5).for_each(|second| stage.at(f64::from(second), poll((0..10).map(|_| 60_000))));
        stage.hush(Source::Rpc);
        stage.until(1000.0);
    };
    check(
        play,
        expect![[r#"
            25 opened D39 critical node: many announcements wait: 60000 for one peer, 600000 for all
            225 updated D39 critical node unknown: many announcements wait: 60000 for one peer, 600000 for all
        "#]],
    );
}

#[test]
fn queues_that_are_not_noted_are_counted() {
    let mut stage = stage();
    let opened = |peer| ConnOpened { peer, ..Default::default() };
    let asks = |peer| NetMempool { peer, direction: Direction::Inbound.into(), ..Default::default() };
    let many = PEERS as u64 + 7;
    (0..many).for_each(|peer| stage.at(1.0, opened(peer)));
    (0..many).for_each(|peer| stage.at(2.0, asks(peer)));
    stage.until(10.0);
    assert_eq!(stage.engine.account("alice").evicted, 7);
    // those who left unseen make room
    let mut stage = self::stage();
    (0..many).for_each(|peer| stage.at(2.0, asks(peer)));
    stage.until(10.0);
    assert_eq!(stage.engine.account("alice").evicted, 0);
}
