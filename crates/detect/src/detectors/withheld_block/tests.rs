use event::{
    BlockHeader, ChainBlockConnected, ConnClosed, ConnOpened, HealthLost, Inventory, NetBlock, NetGetblocktxn, NetGetdata,
    PeerInfo, StateBlockchain, StatePeers,
};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::Stage;
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<WithheldBlock>()];

#[track_caller]
fn check(play: impl FnOnce(&mut Stage), expect: Expect) {
    check_with(&[], play, expect);
}

#[track_caller]
fn check_with(set: &[(&str, f64)], play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = Stage::new(ONLY, set);
    for peer in 1..=8 {
        let address = format!("192.0.2.{peer}:8333");
        stage.at(0.5, ConnOpened { peer, address, ..Default::default() });
    }
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

fn hash(block: u8) -> Bytes {
    vec![block; 32].into()
}

fn ask(stage: &mut Stage, time: f64, peer: u64, block: u8) {
    let item = Inventory { r#type: InventoryType::CompactBlock.into(), hash: hash(block), ..Default::default() };
    stage.at(time, NetGetdata { peer, direction: Direction::Outbound.into(), items: vec![item], ..Default::default() });
}

fn deliver(stage: &mut Stage, time: f64, peer: u64, block: u8) {
    let header = Some(BlockHeader { hash: hash(block), ..Default::default() });
    stage.at(time, NetBlock { peer, direction: Direction::Inbound.into(), header, ..Default::default() });
}

fn connect(stage: &mut Stage, time: f64, block: u8) {
    stage.at(time, ChainBlockConnected { hash: hash(block), ..Default::default() });
}

#[test]
fn one_is_worth_knowing_and_two_are_a_warning() {
    check(
        |stage| {
            ask(stage, 10.0, 1, 1);
            stage.until(100.0);
            stage
                .at(100.0, NetGetblocktxn { peer: 1, direction: Direction::Outbound.into(), block: hash(2), ..Default::default() });
            stage.until(150.0);
        },
        expect![[r#"
            40 opened D51 info peer 1: 1 block was asked for and not delivered within a day
            130 updated D51 warn peer 1: 2 blocks were asked for and not delivered within a day
        "#]],
    );
}

#[test]
fn who_delivers_is_not_blamed_however_late_it_is_noticed() {
    check(
        |stage| {
            for block in 1..20 {
                let time = f64::from(block) * 60.0;
                ask(stage, time, 1, block);
                deliver(stage, time + 20.0, 1, block);
                connect(stage, time + 20.1, block);
            }
        },
        expect![[""]],
    );
}

#[test]
fn another_that_delivers_sooner_shows_it_sooner() {
    check(
        |stage| {
            ask(stage, 10.0, 1, 1);
            ask(stage, 10.2, 2, 1);
            deliver(stage, 10.4, 2, 1);
            connect(stage, 10.5, 1);
            stage.until(20.0);
        },
        expect![[r#"
            12 opened D51 info peer 1: 1 block was asked for and not delivered within a day
        "#]],
    );
}

#[test]
fn a_long_way_is_given_its_time() {
    check(
        |stage| {
            let peer = PeerInfo { id: 1, minimum_ping: Some(900_000_000), ..Default::default() };
            stage.at(1.0, StatePeers { peers: (2..=8).map(|id| PeerInfo { id, ..Default::default() }).chain([peer]).collect() });
            ask(stage, 10.0, 1, 1);
            ask(stage, 10.0, 2, 1);
            deliver(stage, 10.4, 2, 1);
            connect(stage, 10.5, 1);
            deliver(stage, 18.0, 1, 1);
        },
        expect![[""]],
    );
}

#[test]
fn when_nobody_delivers_nobody_is_blamed() {
    check(
        |stage| {
            (1..=4).for_each(|peer| ask(stage, 10.0, peer, peer as u8));
            stage.until(60.0);
        },
        expect![[""]],
    );
}

/// Three of those who are asked are enough to look like a line that is full: not while others deliver as they should.
#[test]
fn three_who_withhold_do_not_hide_behind_one_another() {
    check(
        |stage| {
            (1..=3).for_each(|peer| ask(stage, 10.0, peer, peer as u8));
            for peer in 4..=6 {
                let time = 10.0 + peer as f64;
                ask(stage, time, peer, peer as u8);
                deliver(stage, time + 0.5, peer, peer as u8);
            }
            stage.until(60.0);
        },
        expect![[r#"
            40 opened D51 info peer 1: 1 block was asked for and not delivered within a day
            40 opened D51 info peer 2: 1 block was asked for and not delivered within a day
            40 opened D51 info peer 3: 1 block was asked for and not delivered within a day
        "#]],
    );
    // as many as that, and slowly: that may be the line
    check(
        |stage| {
            (1..=3).for_each(|peer| ask(stage, 10.0, peer, peer as u8));
            for peer in 4..=6 {
                let time = 10.0 + peer as f64;
                ask(stage, time, peer, peer as u8);
                deliver(stage, time + 5.0, peer, peer as u8);
            }
            stage.until(60.0);
        },
        expect![[""]],
    );
}

#[test]
fn who_leaves_instead_of_delivering_is_counted_when_it_comes_back() {
    check(
        |stage| {
            ask(stage, 10.0, 1, 1);
            stage.at(15.0, ConnClosed { peer: 1, ..Default::default() });
            stage.at(20.0, ConnOpened { peer: 9, address: "192.0.2.1:50000".into(), ..Default::default() });
            ask(stage, 30.0, 9, 2);
            stage.until(100.0);
        },
        expect![[r#"
            15 opened D51 info peer 1: 1 block was asked for and not delivered within a day
            15 cleared D51 info peer 1: 1 block was asked for and not delivered within a day
            60 opened D51 warn peer 9: 2 blocks were asked for and not delivered within a day
        "#]],
    );
}

/// Two peers of one range are asked for four blocks in turn, one every so many seconds, and deliver none.
fn ask_two_in_turn(stage: &mut Stage, seconds: f64) {
    for block in 1..=4 {
        ask(stage, f64::from(block) * seconds, u64::from(block % 2 + 1), block);
    }
}

#[test]
fn several_of_one_range_are_one_story() {
    check(
        |stage| {
            ask_two_in_turn(stage, 100.0);
            stage.until(500.0);
        },
        expect![[r#"
            130 opened D51 info peer 2: 1 block was asked for and not delivered within a day
            230 opened D51 info peer 1: 1 block was asked for and not delivered within a day
            330 updated D51 warn peer 2: 2 blocks were asked for and not delivered within a day
            430 updated D51 warn peer 1: 2 blocks were asked for and not delivered within a day
            430 opened D51 critical range 192.0.2.0/24: 2 hosts of one range each withheld blocks within a day
        "#]],
    );
}

#[test]
fn it_is_over_when_nothing_was_withheld_for_so_long() {
    check_with(
        &[("d51.lasts", 100.0)],
        |stage| {
            ask_two_in_turn(stage, 10.0);
            stage.until(500.0);
        },
        expect![[r#"
            40 opened D51 info peer 2: 1 block was asked for and not delivered within a day
            50 opened D51 info peer 1: 1 block was asked for and not delivered within a day
            60 updated D51 warn peer 2: 2 blocks were asked for and not delivered within a day
            70 updated D51 warn peer 1: 2 blocks were asked for and not delivered within a day
            70 opened D51 critical range 192.0.2.0/24: 2 hosts of one range each withheld blocks within a day
            221 cleared D51 warn peer 2: 2 blocks were asked for and not delivered within a day
            221 cleared D51 critical range 192.0.2.0/24: 2 hosts of one range each withheld blocks within a day
            231 cleared D51 warn peer 1: 2 blocks were asked for and not delivered within a day
        "#]],
    );
}

#[test]
fn the_initial_download_and_missing_events_are_no_grounds() {
    check(
        |stage| {
            stage.at(1.0, StateBlockchain { initial_block_download: Some(true), ..Default::default() });
            ask(stage, 10.0, 1, 1);
            stage.until(100.0);
            stage.at(100.0, StateBlockchain { initial_block_download: Some(false), ..Default::default() });
            ask(stage, 110.0, 1, 2);
            stage.at(120.0, HealthLost { count: 1, ..Default::default() });
            stage.until(150.0);
        },
        expect![[""]],
    );
}
