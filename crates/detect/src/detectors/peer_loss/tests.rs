use event::{ConnClosed, ConnEvicted, ConnOpened, HealthLost};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::Stage;
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<PeerLoss>()];

/// A node with so many inbound peers, 1 to `inbound`, and ten outbound ones, 1001 to 1010.
fn stage(set: &[(&str, f64)], inbound: u64) -> Stage {
    let mut stage = Stage::new(ONLY, set);
    (1..=inbound).for_each(|peer| open(&mut stage, 0.5, peer, ConnectionType::Inbound));
    (1001..=1010).for_each(|peer| open(&mut stage, 0.5, peer, ConnectionType::OutboundFullRelay));
    stage.until(1000.0);
    stage
}

fn open(stage: &mut Stage, time: f64, peer: u64, kind: ConnectionType) {
    let network = Network::Ipv4.into();
    stage.at(time, ConnOpened { peer, connection_type: kind.into(), network, ..Default::default() });
}

fn close(stage: &mut Stage, time: f64, peer: u64, kind: ConnectionType) {
    let network = Network::Ipv4.into();
    stage.at(time, ConnClosed { peer, connection_type: kind.into(), network, ..Default::default() });
}

fn lose(stage: &mut Stage, time: f64, peers: std::ops::RangeInclusive<u64>) {
    peers.for_each(|peer| close(stage, time, peer, ConnectionType::Inbound));
}

#[track_caller]
fn check(inbound: u64, play: impl FnOnce(&mut Stage), expect: Expect) {
    check_with(&[], inbound, play, expect);
}

/// With these thresholds.
#[track_caller]
fn check_with(set: &[(&str, f64)], inbound: u64, play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = stage(set, inbound);
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

#[test]
fn many_at_once_and_back_again() {
    check(
        100,
        |stage| {
            lose(stage, 1100.0, 1..=45);
            (201..=245).for_each(|peer| open(stage, 1200.0, peer, ConnectionType::Inbound));
            stage.until(1600.0);
        },
        expect![[r#"
            1100 opened D09 warn node: 20 of 101 inbound peers lost within five minutes, 100 % of them ipv4
            1100 updated D09 critical node: 41 of 101 inbound peers lost within five minutes, 100 % of them ipv4
            1265 cleared D09 critical node: 41 of 101 inbound peers lost within five minutes, 100 % of them ipv4
        "#]],
    );
}

#[test]
fn a_share_of_a_small_node_counts_but_not_of_very_few() {
    check(
        40,
        |stage| lose(stage, 1100.0, 1..=12),
        expect![[r#"
            1100 opened D09 warn node: 11 of 41 inbound peers lost within five minutes, 100 % of them ipv4
        "#]],
    );
    check(10, |stage| lose(stage, 1100.0, 1..=8), expect![[""]]);
}

#[test]
fn who_is_replaced_is_not_lost() {
    check(
        100,
        |stage| {
            for peer in 1..=50 {
                open(stage, 1100.0, 200 + peer, ConnectionType::Inbound);
                stage.at(1100.0, ConnEvicted { peer, ..Default::default() });
                close(stage, 1100.0, peer, ConnectionType::Inbound);
            }
            // and who only looks in
            for peer in 300..=350 {
                open(stage, 1150.0, peer, ConnectionType::Inbound);
                close(stage, 1151.0, peer, ConnectionType::Inbound);
            }
        },
        expect![[""]],
    );
}

#[test]
fn outbound_peers_that_go_are_critical() {
    check(
        0,
        |stage| {
            (1001..=1008).for_each(|peer| close(stage, 1100.0, peer, ConnectionType::OutboundFullRelay));
            stage.until(1170.0);
        },
        expect![[r#"
            1165 opened D09 critical node: 2 outbound peers are left of 10
        "#]],
    );
}

#[test]
fn a_slow_loss_is_found_within_hours() {
    check_with(
        &[("d09.slow_share", 0.07)],
        100,
        |stage| {
            stage.until(10.0 * 3600.0);
            // three an hour
            for peer in 1..=30 {
                close(stage, 10.0 * 3600.0 + peer as f64 * 1200.0, peer, ConnectionType::Inbound);
            }
        },
        expect![[r#"
            44405 opened D09 warn node: 93 inbound peers, 7 % fewer than is usual
            46205 updated D09 warn node: 92 inbound peers, 8 % fewer than is usual
            48005 updated D09 warn node: 90 inbound peers, 10 % fewer than is usual
            49805 updated D09 warn node: 89 inbound peers, 11 % fewer than is usual
            51605 updated D09 warn node: 87 inbound peers, 13 % fewer than is usual
            53405 updated D09 warn node: 86 inbound peers, 14 % fewer than is usual
            55205 updated D09 warn node: 84 inbound peers, 16 % fewer than is usual
            57005 updated D09 warn node: 83 inbound peers, 17 % fewer than is usual
            58805 updated D09 warn node: 81 inbound peers, 19 % fewer than is usual
            60605 updated D09 warn node: 80 inbound peers, 20 % fewer than is usual
            62405 updated D09 warn node: 78 inbound peers, 22 % fewer than is usual
            64205 updated D09 warn node: 77 inbound peers, 23 % fewer than is usual
            66005 updated D09 warn node: 75 inbound peers, 25 % fewer than is usual
            67805 updated D09 warn node: 74 inbound peers, 26 % fewer than is usual
            69605 updated D09 warn node: 72 inbound peers, 28 % fewer than is usual
            71405 updated D09 warn node: 71 inbound peers, 29 % fewer than is usual
        "#]],
    );
}

#[test]
fn a_restart_is_no_loss() {
    check(
        100,
        |stage| {
            stage.uptime = 0;
            lose(stage, 1100.0, 1..=100);
            stage.until(1500.0);
            assert!(stage.engine.account("alice").suppressed[Guard::Restart as usize] > 0);
        },
        expect![[""]],
    );
}

#[test]
fn missing_events_make_it_unknown() {
    check(
        100,
        |stage| {
            stage.at(1099.0, HealthLost { count: 1, ..Default::default() });
            lose(stage, 1100.0, 1..=45);
            stage.until(1200.0);
            assert!(stage.engine.account("alice").suppressed[Guard::Blind as usize] > 0);
        },
        expect![[""]],
    );
}
