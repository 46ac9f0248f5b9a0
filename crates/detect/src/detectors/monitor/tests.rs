use event::{ConnOpened, HealthDetached, HealthReconciled, LossStage, NetPing, StateProcess};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::{BEGIN, Stage};
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<Monitor>()];

/// Ten peers, and a ping each second.
fn lively(stage: &mut Stage, from: u32, to: u32) {
    for second in from..to {
        if second < 10 {
            stage.at(f64::from(second) + 0.1, ConnOpened { peer: second.into(), ..ConnOpened::default() });
        }
        stage.at(f64::from(second) + 0.5, NetPing::default());
    }
}

#[track_caller]
fn check(play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = Stage::new(ONLY, &[]);
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

fn lost(count: u64) -> event::HealthLost {
    event::HealthLost { stage: LossStage::Kernel.into(), count, ..event::HealthLost::default() }
}

#[test]
fn an_ordinary_hour_is_silent() {
    check(|stage| lively(stage, 0, 3600), expect![[""]]);
}

#[test]
fn a_source_that_falls_silent_is_told_and_clears() {
    let play = |stage: &mut Stage| {
        lively(stage, 0, 60);
        stage.hush(Source::P2p);
        lively(stage, 60, 240);
        stage.unhush(Source::P2p);
        lively(stage, 240, 400);
    };
    check(
        play,
        expect![[r#"
            70 opened D59 warn source p2p: p2p has said nothing for 11 s, not even that it is alive
            90 updated D59 warn source p2p: p2p has said nothing for 31 s, not even that it is alive
            130 updated D59 warn source p2p: p2p has said nothing for 71 s, not even that it is alive
            180 updated D59 critical source p2p: p2p has said nothing for 121 s, not even that it is alive
            305 cleared D59 critical source p2p: p2p has said nothing for 181 s, not even that it is alive
        "#]],
    );
}

#[test]
fn loss_is_weighed_against_what_was_published() {
    let play = |stage: &mut Stage| {
        lively(stage, 0, 300);
        // one of some hundreds is beyond a ten-thousandth
        stage.at(300.0, lost(1));
        lively(stage, 300, 700);
        stage.at(700.0, lost(50));
        lively(stage, 700, 1200);
    };
    check(
        play,
        expect![[r#"
            305 opened D59 warn source ebpf: 1 events of ebpf were lost in five minutes, 0.16 %
            665 cleared D59 warn source ebpf: 1 events of ebpf were lost in five minutes, 0.17 %
            705 opened D59 critical source ebpf again: 50 events of ebpf were lost in five minutes, 7.68 %
            1065 cleared D59 critical source ebpf again: 50 events of ebpf were lost in five minutes, 7.68 %
        "#]],
    );
}

#[test]
fn a_few_of_very_many_are_worth_a_word() {
    let play = |stage: &mut Stage| {
        for n in 0..60_000 {
            stage.at(f64::from(n) / 1000.0, NetPing::default());
        }
        stage.at(61.0, lost(1));
        stage.until(80.0);
    };
    check(
        play,
        expect![[r#"
            65 opened D59 info source ebpf: 1 events of ebpf were lost in five minutes, 0.00 %
        "#]],
    );
}

#[test]
fn probes_that_see_nothing_are_blind() {
    let play = |stage: &mut Stage| {
        lively(stage, 0, 100);
        stage.until(300.0);
        lively(stage, 300, 400);
    };
    check(
        play,
        expect![[r#"
            255 opened D59 warn source ebpf: ebpf is alive and has seen nothing for 155 s, though peers are connected
            365 cleared D59 warn source ebpf: ebpf is alive and has seen nothing for 195 s, though peers are connected
        "#]],
    );
}

/// Nobody relays anything, and all peers came when the node was started: pings every two minutes are all there is.
#[test]
fn pings_are_enough_of_a_sign() {
    let play = |stage: &mut Stage| {
        lively(stage, 0, 100);
        for second in (220..4000).step_by(120) {
            stage.at(f64::from(second), event::NetPing::default());
        }
    };
    check(play, expect![[""]]);
}

#[test]
fn a_source_alone_in_losing_the_node_is_told() {
    let play = |stage: &mut Stage| {
        lively(stage, 0, 100);
        stage.at(100.0, HealthDetached::default());
        for second in (100..400).step_by(5) {
            stage.at(f64::from(second) + 0.7, StateProcess::default());
        }
    };
    check(
        play,
        expect![[r#"
            250 opened D59 warn source ebpf: ebpf lost the node 150 s ago, while others see it run
        "#]],
    );
    // the node was stopped: everybody lost it
    let play = |stage: &mut Stage| {
        lively(stage, 0, 100);
        for source in [Source::Ebpf, Source::Rpc, Source::Proc, Source::P2p] {
            stage.from(source, 100.0, HealthDetached::default());
        }
        stage.until(1000.0);
    };
    check(play, expect![[""]]);
}

#[test]
fn what_probes_and_node_count_differently_is_told_of_the_probes() {
    let diverged = |seen_bytes| HealthDiverged { window: 300 * SECOND, seen_bytes, node_bytes: 1000, ..HealthDiverged::default() };
    let play = |stage: &mut Stage| {
        lively(stage, 0, 300);
        stage.from(Source::Join, 300.0, diverged(995));
        stage.from(Source::Join, 300.1, HealthReconciled::default());
        lively(stage, 300, 600);
        stage.from(Source::Join, 600.0, diverged(900));
        stage.from(Source::Join, 600.0, diverged(985));
        stage.from(Source::Join, 600.1, HealthReconciled::default());
        lively(stage, 600, 900);
        stage.from(Source::Join, 900.0, HealthReconciled::default());
        lively(stage, 900, 1000);
    };
    check(
        play,
        expect![[r#"
            605 opened D59 warn source ebpf: what ebpf saw and what the node counted differ by 10.0 %
            965 cleared D59 warn source ebpf: what ebpf saw and what the node counted differ by 10.0 %
        "#]],
    );
}

#[test]
fn messages_that_were_cut_are_ours_and_malformed_ones_are_not() {
    let undecodable = |reason: UndecodableReason| NetUndecodable { reason: reason.into(), ..NetUndecodable::default() };
    let play = |stage: &mut Stage| {
        lively(stage, 0, 200);
        (0..100).for_each(|n| stage.at(200.0 + f64::from(n) / 100.0, undecodable(UndecodableReason::Malformed)));
        lively(stage, 201, 500);
        (0..100).for_each(|n| stage.at(500.0 + f64::from(n) / 100.0, undecodable(UndecodableReason::Cut)));
        lively(stage, 501, 520);
    };
    check(
        play,
        expect![[r#"
            505 opened D59 warn source ebpf: 14.31 % of the messages of ebpf were cut short or unreadable
        "#]],
    );
}

/// What an imitation of a guard is hidden behind, once a minute, after four hours in which nothing happened; what is told of the guard.
fn imitated(minutes: u32, mut minute: impl FnMut(&mut Stage, f64)) -> String {
    use crate::detectors::{addr_flood, false_identity, inv_queue, peer_loss, range_churn};
    const SOME: &[Entry] = &[
        entry::<addr_flood::AddrFlood>(),
        entry::<false_identity::FalseIdentity>(),
        entry::<inv_queue::InvQueue>(),
        entry::<peer_loss::PeerLoss>(),
        entry::<range_churn::RangeChurn>(),
        entry::<Monitor>(),
    ];
    let mut stage = Stage::new(SOME, &[]);
    for peer in 0..120 {
        let connection_type = event::ConnectionType::Inbound.into();
        stage.at(0.5, ConnOpened { peer, connection_type, ..ConnOpened::default() });
    }
    let played_to = |stage: &mut Stage, seconds: u32| {
        // probes that see nothing are another matter
        for second in ((stage.played.last().map_or(0, |event| event.time - BEGIN) / SECOND) as u32..seconds).step_by(60) {
            stage.at(f64::from(second) + 0.9, NetPing::default());
        }
    };
    played_to(&mut stage, 14_400);
    assert_eq!(stage.told(), "");
    (0..minutes).for_each(|n| minute(&mut stage, 14_460.0 + 60.0 * f64::from(n)));
    let until = 14_460 + 60 * minutes;
    played_to(&mut stage, until + 900);
    stage.told().lines().filter(|line| line.contains(" opened D59")).map(|line| line.to_owned() + "\n").collect()
}

/// Every five seconds for a minute, each peer is told of so many that its queue is seen to be long.
fn announcements(stage: &mut Stage, from: f64) {
    for n in 0..12 {
        for peer in 0..10 {
            let item = event::Inventory { r#type: event::InventoryType::Wtx.into(), ..Default::default() };
            let direction = event::Direction::Outbound.into();
            let inv = event::NetInv { peer, direction, items: vec![item; 400], ..Default::default() };
            stage.at(from + 5.0 * f64::from(n) + 0.1, inv);
        }
    }
}

/// G1: an extractor that comes back over and over, or a node that does. One alarm is what a restart may bring by itself; an attack has several.
#[test]
fn g1_imitated() {
    let back = |stage: &mut Stage, at| stage.from(Source::Rpc, at, event::HealthAttached::default());
    let one = imitated(20, |stage, at| {
        back(stage, at);
        announcements(stage, at);
    });
    assert_eq!(one, "");
    let mut gone = 0;
    let several = imitated(20, |stage, at| {
        back(stage, at);
        announcements(stage, at);
        // and peers are lost
        for peer in gone..gone + 5 {
            let connection_type = event::ConnectionType::Inbound.into();
            stage.at(at + 55.5, event::ConnClosed { peer, connection_type, ..Default::default() });
        }
        gone += 5;
    });
    expect![[r#"
        15005 opened D59 warn guard G1: the guard against false alarms G1 (soon after a restart) kept 14 alarms, or signs of one, back in ten minutes, far more than usual
    "#]].assert_eq(&several);
}

/// G2: headers without blocks, which anybody who mines can send, look like initial download.
#[test]
fn g2_imitated() {
    let told = imitated(15, |stage, at| {
        stage.at(at, event::StateBlockchain { blocks: Some(1000), headers: Some(1100), ..Default::default() });
        announcements(stage, at);
    });
    expect![[r#"
        15005 opened D59 warn guard G2: the guard against false alarms G2 (initial block download) kept 10 alarms, or signs of one, back in ten minutes, far more than usual
    "#]].assert_eq(&told);
}

/// G3: the node asks many for addresses, who answer with more than it would take unasked.
#[test]
fn g3_imitated() {
    let mut peer = 0;
    let told = imitated(10, |stage, at| {
        for n in 0..12 {
            peer += 1;
            let (at, direction) = (at + 4.0 * f64::from(n), event::Direction::Outbound.into());
            stage.at(at, event::NetGetaddr { peer, direction, ..Default::default() });
            let (direction, addresses) = (event::Direction::Inbound.into(), vec![Default::default(); 1000]);
            stage.at(at + 0.5, event::NetAddrv2 { peer, direction, addresses, ..Default::default() });
        }
    });
    expect![[r#"
        15005 opened D59 warn guard G3: the guard against false alarms G3 (answers to getaddr) kept 110 alarms, or signs of one, back in ten minutes, far more than usual
    "#]].assert_eq(&told);
}

/// G4: who greets as a private broadcast is left in peace.
#[test]
fn g4_imitated() {
    let mut peer = 1000;
    let told = imitated(10, |stage, at| {
        for n in 0..12 {
            peer += 1;
            let (at, connection_type) = (at + 4.0 * f64::from(n), event::ConnectionType::Inbound.into());
            stage.at(at, ConnOpened { peer, connection_type, ..Default::default() });
            let (direction, user_agent) = (event::Direction::Inbound.into(), "/pynode:0.0.1/".to_owned());
            let version = event::NetVersion { peer, direction, connection_type, version: 70016, user_agent, ..Default::default() };
            stage.at(at + 0.5, version);
        }
    });
    expect![[r#"
        15005 opened D59 warn guard G4: the guard against false alarms G4 (private broadcast) kept 110 alarms, or signs of one, back in ten minutes, far more than usual
    "#]].assert_eq(&told);
}

/// G5: a miner who attacks within the seconds after his blocks.
#[test]
fn g5_imitated() {
    let told = imitated(15, |stage, at| {
        for n in 0..12 {
            for peer in 0..10 {
                let item = event::Inventory { r#type: event::InventoryType::Wtx.into(), ..Default::default() };
                let direction = event::Direction::Outbound.into();
                let inv = event::NetInv { peer, direction, items: vec![item; 400], ..Default::default() };
                stage.at(at + 5.0 * f64::from(n) + 0.1, inv);
            }
            stage.at(at + 5.0 * f64::from(n) + 3.5, event::ChainBlockConnected::default());
        }
    });
    expect![[r#"
        15005 opened D59 warn guard G5: the guard against false alarms G5 (just after a block) kept 10 alarms, or signs of one, back in ten minutes, far more than usual
    "#]].assert_eq(&told);
}

/// G6: many connections over Tor, where nobody is told apart by address.
#[test]
fn g6_imitated() {
    let mut peer = 1000;
    let tor = |stage: &mut Stage, at, peer| {
        let (connection_type, network) = (event::ConnectionType::Inbound.into(), event::Network::Onion.into());
        let address = "127.0.0.1:40000".to_owned();
        stage.at(at, ConnOpened { peer, connection_type, network, address, ..Default::default() });
    };
    let told = imitated(10, |stage, at| {
        for n in 0..12 {
            peer += 1;
            tor(stage, at + 4.0 * f64::from(n), peer);
        }
    });
    expect![[r#"
        15005 opened D59 warn guard G6: the guard against false alarms G6 (inbound over Tor) kept 110 alarms, or signs of one, back in ten minutes, far more than usual
    "#]].assert_eq(&told);
    // one a minute is no flood
    let told = imitated(10, |stage, at| {
        peer += 1;
        tor(stage, at, peer);
    });
    assert_eq!(told, "");
}

/// What never reached the detectors is their own loss, and told at every node that it may have been of.
#[test]
fn what_the_detectors_missed_is_told() {
    let play = |stage: &mut Stage| {
        lively(stage, 0, 300);
        stage.engine.missed(50);
        lively(stage, 300, 700);
    };
    check(
        play,
        expect![[r#"
            300 opened D59 critical source tool: 50 events did not reach the detectors in five minutes: nobody knows of which source
            660 cleared D59 critical source tool: 50 events did not reach the detectors in five minutes: nobody knows of which source
        "#]],
    );
}
