use bytes::Bytes;
use event::{ChainBlockConnected, ConnClosed, ConnOpened, HealthLost, NetHeaders, Network, PeerInfo, StateBlockchain, StatePeers};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::Stage;
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<Eclipse>()];

/// A node whose ten outbound peers are each of another network, the last two for blocks only.
#[track_caller]
fn check(play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = Stage::new(ONLY, &[]);
    let peer = |id: u64| PeerInfo {
        id,
        address: format!("240.{id}.0.1:8333"),
        connection_type: kind(id > 8).into(),
        network: Network::Ipv4.into(),
        ..Default::default()
    };
    stage.at(0.5, StatePeers { peers: (1..=10).map(peer).collect() });
    block(&mut stage, 1.0, 100, 5);
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

fn kind(blocks_only: bool) -> ConnectionType {
    if blocks_only { ConnectionType::BlockRelayOnly } else { ConnectionType::OutboundFullRelay }
}

fn open(stage: &mut Stage, time: f64, peer: u64, address: &str, blocks_only: bool) {
    let (connection_type, network) = (kind(blocks_only).into(), Network::Ipv4.into());
    stage.at(time, ConnOpened { peer, address: address.to_owned(), connection_type, network, count: None });
}

/// A block of this height, which was so many seconds old when it came.
fn block(stage: &mut Stage, time: f64, height: i32, age: u64) {
    let hash = Bytes::from(height.to_le_bytes().repeat(8));
    let header =
        BlockHeader { hash: hash.clone(), time: (crate::stage::BEGIN / SECOND + time as u64 - age) as u32, ..Default::default() };
    stage.at(time, NetHeaders { peer: 1, direction: Direction::Inbound.into(), headers: vec![header], ..Default::default() });
    stage.at(time + 0.1, ChainBlockConnected { hash, height, ..Default::default() });
}

/// Of the outbound peers so many are exchanged for others of one network, one a minute.
fn take_over(stage: &mut Stage, from: f64, count: u64) {
    for number in 0..count {
        let time = from + 60.0 * number as f64;
        stage.at(time, ConnClosed { peer: 1 + number, ..Default::default() });
        open(stage, time + 5.0, 101 + number, &format!("246.77.{number}.9:8333"), false);
    }
}

#[test]
fn outbound_peers_of_one_network_are_a_warning_and_without_blocks_critical() {
    check(
        |stage| {
            take_over(stage, 100.0, 4);
            stage.until(6000.0);
            block(stage, 6000.5, 101, 5);
            stage.until(6200.0);
        },
        expect![[r#"
            230 opened D19 warn node: 40 of 100 points: 2 outbound peers too many are of one network
            2030 updated D19 warn node: 60 of 100 points: 3 outbound peers too many are of one network
            3830 updated D19 warn node: 60 of 100 points: 3 outbound peers too many are of one network
            5530 updated D19 critical node: 80 of 100 points: 3 outbound peers too many are of one network; no block for 92 minutes
        "#]],
    );
}

#[test]
fn each_sign_alone_stays_below() {
    // all outbound peers are exchanged, for others everywhere
    check(
        |stage| {
            for number in 0..9 {
                stage.at(100.0 + 60.0 * number as f64, ConnClosed { peer: 1 + number, ..Default::default() });
                open(stage, 105.0 + 60.0 * number as f64, 101 + number, &format!("241.{number}.0.9:8333"), false);
            }
            stage.until(900.0);
        },
        expect![[""]],
    );
    // luck
    check(|stage| stage.until(6000.0), expect![[""]]);
    // two of one network, as they may be where the node goes by autonomous systems
    check(|stage| take_over(stage, 100.0, 2), expect![[""]]);
}

#[test]
fn a_restart_without_anchors_adds_to_what_is_odd() {
    let play = |stage: &mut Stage, anchor: &str| {
        stage.until(60.0);
        stage.uptime = 0;
        for peer in 1..=8 {
            open(stage, 70.0, peer, &format!("246.{}.0.1:8333", 70 + peer / 2), false);
        }
        open(stage, 71.0, 9, anchor, true);
        // the guard against restarts holds half an hour
        for minute in 2..40 {
            block(stage, 60.0 * f64::from(minute), 100 + minute, 5);
        }
    };
    check(
        |stage| play(stage, "245.1.0.1:8333"),
        expect![[r#"
        1800 opened D19 critical node: 70 of 100 points: 3 outbound peers too many are of one network; no block-relay-only peer of before the restart came back
    "#]],
    );
    check(
        |stage| play(stage, "240.9.0.1:8333"),
        expect![[r#"
        1800 opened D19 warn node: 60 of 100 points: 3 outbound peers too many are of one network
    "#]],
    );
}

#[test]
fn a_node_that_is_fed_old_blocks_behind_its_siblings_is_found() {
    check(
        |stage| {
            let state = |blocks| StateBlockchain { chain: Some("main".into()), blocks: Some(blocks), ..Default::default() };
            stage.at(2.0, state(100));
            stage.node = "bob";
            stage.at(3.0, state(104));
            stage.node = "alice";
            for minute in 1..=4 {
                block(stage, 300.0 * f64::from(minute), 100 + minute, 1500);
            }
            stage.until(1500.0);
        },
        expect![[r#"
            910 opened D19 warn node: 40 of 100 points: other nodes have had more of the chain for 907 s; the last blocks were 25 minutes old when they came
            1270 cleared D19 warn node: 40 of 100 points: other nodes have had more of the chain for 907 s; the last blocks were 25 minutes old when they came
        "#]],
    );
}

#[test]
fn missing_events_are_no_grounds() {
    check(
        |stage| {
            take_over(stage, 100.0, 1);
            stage.at(170.0, HealthLost { count: 1, ..Default::default() });
            take_over(stage, 200.0, 4);
            stage.until(600.0);
        },
        expect![[""]],
    );
}
