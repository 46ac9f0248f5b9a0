use event::{ConnOpened, HealthDetached, HealthReconciled, LossStage, NetPing, StateProcess};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::Stage;
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
            180 updated D59 critical source p2p: p2p has said nothing for 121 s, not even that it is alive
            305 cleared D59 critical source p2p: p2p has said nothing for 121 s, not even that it is alive
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
            665 cleared D59 warn source ebpf: 1 events of ebpf were lost in five minutes, 0.16 %
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
            365 cleared D59 warn source ebpf: ebpf is alive and has seen nothing for 155 s, though peers are connected
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

/// Somebody who imitates a guard makes it suppress more than it ever did.
#[test]
fn a_guard_that_suppresses_far_more_than_usual_is_told() {
    let fires = |stage: &mut Stage, seconds: std::ops::Range<u32>| {
        for second in seconds.step_by(2) {
            stage.at(f64::from(second), event::ChainBlockConnected::default());
            for peer in 0..10_u32 {
                let item = event::Inventory { r#type: event::InventoryType::Wtx.into(), ..Default::default() };
                let direction = event::Direction::Outbound.into();
                let inv = event::NetInv { peer: peer.into(), direction, items: vec![item; 400], ..Default::default() };
                stage.at(f64::from(second) + 0.1, inv);
            }
        }
    };
    const BOTH: &[Entry] = &[entry::<crate::detectors::inv_queue::InvQueue>(), entry::<Monitor>()];
    let mut stage = Stage::new(BOTH, &[]);
    stage.until(4.0 * 3600.0);
    assert_eq!(stage.told(), "");
    fires(&mut stage, 14_500..15_600);
    expect![[r#"
        14510 opened D39 critical node: many announcements wait: 66000 for one peer, 660000 for all
        15005 opened D59 warn guard G5: the guard against false alarms G5 (just after a block) kept 9 alarms back in ten minutes, far more than usual
    "#]]
    .assert_eq(&stage.told());
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
