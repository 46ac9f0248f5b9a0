use event::{ConnOpened, HealthLost, NetPong, NetVersion};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::Stage;
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<PingFlood>()];

/// A node with one inbound peer that speaks as protocols do today.
#[track_caller]
fn check(play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = Stage::new(ONLY, &[]);
    stage.at(0.5, ConnOpened { peer: 1, connection_type: ConnectionType::Inbound.into(), ..Default::default() });
    stage.at(0.6, NetVersion { peer: 1, direction: Direction::Inbound.into(), version: 70016, ..Default::default() });
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

fn ping(stage: &mut Stage, time: f64, nonce: Option<u64>) {
    stage.at(time, NetPing { peer: 1, direction: Direction::Inbound.into(), nonce, ..Default::default() });
}

/// Large and different numbers, as a node draws them.
fn drawn(number: u64) -> Option<u64> {
    Some(number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

#[test]
fn often_is_worth_knowing_more_often_a_warning_and_a_flood_critical() {
    check(
        |stage| {
            (0..8).for_each(|number| ping(stage, 10.0 + 19.0 * number as f64, drawn(number)));
            (0..20).for_each(|number| ping(stage, 200.0 + number as f64, drawn(100 + number)));
            (0..200).for_each(|number| ping(stage, 300.0 + number as f64 / 100.0, drawn(200 + number)));
            stage.until(900.0);
        },
        expect![[r#"
            105 opened D28 info peer 1: 6 pings within two minutes, 4 within one, 1 within ten seconds
            210 updated D28 warn peer 1: 14 pings within two minutes, 11 within one, 10 within ten seconds
            301 updated D28 critical peer 1: 121 pings within two minutes, 101 within one, 101 within ten seconds
            480 cleared D28 critical peer 1: 121 pings within two minutes, 101 within one, 101 within ten seconds
        "#]],
    );
}

/// Bitcoin Core pings when it is connected and then every two minutes; the most impatient client every half a minute.
#[test]
fn ordinary_pings_are_ordinary() {
    check(
        |stage| {
            ping(stage, 1.0, drawn(0));
            (0..60).for_each(|number| ping(stage, 5.0 + 30.0 * number as f64, drawn(1 + number)));
        },
        expect![[""]],
    );
}

#[test]
fn what_the_operator_connected_to_by_hand_may_ping() {
    check(
        |stage| {
            for number in 0..500 {
                let (direction, connection_type) = (Direction::Inbound.into(), ConnectionType::Manual.into());
                let ping = NetPing { peer: 2, direction, connection_type, nonce: Some(number), ..Default::default() };
                stage.at(10.0 + number as f64 / 100.0, ping);
            }
        },
        expect![[""]],
    );
}

#[track_caller]
fn check_odd(nonces: [Option<u64>; 4], expect: Expect) {
    let play = |stage: &mut Stage| (0..).zip(nonces).for_each(|(at, nonce)| ping(stage, 10.0 + 60.0 * f64::from(at), nonce));
    check(play, expect);
}

#[test]
fn odd_nonces_are_worth_knowing() {
    check_odd(
        [drawn(1), None, None, None],
        expect![[r#"
        190 opened D28 info peer 1: 3 pings within ten minutes with nonces that no ordinary program sends
    "#]],
    );
    check_odd(
        [drawn(1), Some(1), Some(2), Some(3)],
        expect![[r#"
        190 opened D28 info peer 1: 3 pings within ten minutes with nonces that no ordinary program sends
    "#]],
    );
    check_odd(
        [drawn(7); 4],
        expect![[r#"
        190 opened D28 info peer 1: 3 pings within ten minutes with nonces that no ordinary program sends
    "#]],
    );
    check_odd([drawn(7), drawn(7), drawn(7), drawn(8)], expect![[""]]);
}

/// Before BIP 31 pings had no nonce.
#[test]
fn old_protocols_have_no_nonces() {
    check(
        |stage| {
            stage.at(1.0, NetVersion { peer: 1, direction: Direction::Inbound.into(), version: 60_000, ..Default::default() });
            (0..9).for_each(|number| ping(stage, 60.0 + 60.0 * number as f64, None));
        },
        expect![[""]],
    );
}

fn pong(stage: &mut Stage, time: f64, nonce: u64) {
    stage.at(time, NetPong { peer: 1, direction: Direction::Inbound.into(), nonce, ..Default::default() });
}

fn ask(stage: &mut Stage, time: f64, nonce: u64) {
    stage.at(time, NetPing { peer: 1, direction: Direction::Outbound.into(), nonce: Some(nonce), ..Default::default() });
}

#[test]
fn answers_to_what_nobody_asked_are_worth_knowing() {
    check(
        |stage| {
            ask(stage, 10.0, 77);
            (0..3).for_each(|number| pong(stage, 11.0 + number as f64, 1000 + number));
            stage.until(60.0);
        },
        expect![[r#"
            13 opened D28 info peer 1: 3 pongs within ten minutes that answer no ping
        "#]],
    );
}

#[test]
fn answers_that_overlap_or_whose_question_was_lost_are_not() {
    check(
        |stage| {
            (0..6).for_each(|number| ask(stage, 10.0, number));
            (0..6).rev().for_each(|number| pong(stage, 11.0, number));
            ask(stage, 20.0, 9);
            stage.at(21.0, HealthLost { count: 1, ..Default::default() });
            (0..5).for_each(|number| pong(stage, 22.0, 100 + number));
        },
        expect![[""]],
    );
}

#[test]
fn the_table_is_bounded() {
    let mut stage = Stage::new(ONLY, &[]);
    for peer in 0..2 * PEERS as u64 {
        stage.at(9.0, ConnOpened { peer, ..Default::default() });
        stage.at(9.0, NetPing { peer, direction: Direction::Inbound.into(), nonce: drawn(peer), ..Default::default() });
    }
    stage.told();
    assert_eq!(stage.engine.account("alice").evicted, PEERS as u64);
}
