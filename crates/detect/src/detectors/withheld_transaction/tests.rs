use bytes::Bytes;
use event::{ConnClosed, ConnOpened, ConnectionType, HealthLost, Inventory, NetGetdata, NetNotfound, Network, OutPoint};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::Stage;
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<WithheldTransaction>()];

/// A node with eight peers, the first two of one range, of which the last six deliver what they are asked for.
#[track_caller]
fn check(play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = Stage::new(ONLY, &[]);
    for peer in 1..=8 {
        let address = format!("240.0.{}.{peer}:8333", peer / 3);
        stage.at(0.5, ConnOpened { peer, address, network: Network::Ipv4.into(), ..Default::default() });
    }
    for peer in 3..=8 {
        ask(&mut stage, 1.0, peer, 10_000 + peer as u32);
        deliver(&mut stage, 1.2, peer, 10_000 + peer as u32);
    }
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

fn id(number: u32) -> Bytes {
    number.to_le_bytes().repeat(8).into()
}

fn entry_of(number: u32) -> Inventory {
    Inventory { r#type: InventoryType::Wtx.into(), hash: id(number), ..Default::default() }
}

fn ask(stage: &mut Stage, time: f64, peer: u64, number: u32) {
    let items = vec![entry_of(number)];
    stage.at(time, NetGetdata { peer, direction: Direction::Outbound.into(), items, ..Default::default() });
}

fn deliver(stage: &mut Stage, time: f64, peer: u64, number: u32) {
    let (txid, wtxid) = (id(number + 1_000_000), id(number));
    stage.at(time, NetTx { peer, direction: Direction::Inbound.into(), txid, wtxid, ..Default::default() });
}

#[test]
fn who_withholds_twenty_is_found_when_the_last_is_a_minute_late() {
    check(
        |stage| {
            (0..25).for_each(|number| ask(stage, 10.0 + f64::from(number), 1, number));
            stage.until(900.0);
        },
        expect![[r#"
            89 opened D42 warn peer 1: of 25 transactions that were asked for within ten minutes 20 were not delivered
            740 cleared D42 warn peer 1: of 25 transactions that were asked for within ten minutes 25 were not delivered
        "#]],
    );
}

#[test]
fn late_is_not_never_and_lost_is_an_answer() {
    check(
        |stage| {
            for number in 0..60 {
                let time = 10.0 + 10.0 * f64::from(number);
                ask(stage, time, 1, number);
                if number % 3 == 0 {
                    let items = vec![entry_of(number)];
                    stage
                        .at(time + 5.0, NetNotfound { peer: 1, direction: Direction::Inbound.into(), items, ..Default::default() });
                }
                // half a minute late
                if number >= 3 && number % 3 != 0 {
                    deliver(stage, time + 5.1, 1, number - 3);
                }
            }
        },
        expect![[""]],
    );
}

#[test]
fn a_tenth_that_gets_lost_is_not_withholding() {
    check(
        |stage| {
            for number in 0..300 {
                let time = 10.0 + f64::from(number);
                ask(stage, time, 1, number);
                if number % 10 != 0 {
                    deliver(stage, time + 0.2, 1, number);
                }
            }
            stage.until(600.0);
        },
        expect![[""]],
    );
}

#[test]
fn two_of_one_range_that_withhold_the_same_are_one_story() {
    check(
        |stage| {
            (0..4).for_each(|number| ask(stage, 10.0 + f64::from(number), 1, number));
            (0..4).for_each(|number| ask(stage, 80.0 + f64::from(number), 2, number));
            stage.until(900.0);
        },
        expect![[r#"
            142 opened D42 critical range 240.0.0.0/24: 3 transactions were asked of several peers of one range within ten minutes, and none of them delivered
            800 cleared D42 critical range 240.0.0.0/24: 4 transactions were asked of several peers of one range within ten minutes, and none of them delivered
        "#]],
    );
}

#[test]
fn what_spends_the_withheld_is_a_probe() {
    check(
        |stage| {
            for number in 0..2 {
                let time = 10.0 + 100.0 * f64::from(number);
                ask(stage, time, 1, number);
                let spends = vec![OutPoint { txid: id(number), vout: 0 }];
                let (txid, direction) = (id(500 + number), Direction::Inbound.into());
                stage.at(time + 70.0, NetTx { peer: 1, direction, wtxid: txid.clone(), txid, spends, ..Default::default() });
            }
        },
        expect![[r#"
            80 opened D42 info peer 1: of 1 transactions 1 were not delivered within ten minutes, and what spends them was sent instead (1)
            180 updated D42 warn peer 1: of 2 transactions 2 were not delivered within ten minutes, and what spends them was sent instead (2)
        "#]],
    );
}

#[test]
fn a_child_that_overtakes_its_parent_is_no_probe() {
    check(
        |stage| {
            ask(stage, 10.0, 1, 1);
            let (txid, direction) = (id(2), Direction::Inbound.into());
            let spends = vec![OutPoint { txid: id(1), vout: 0 }];
            stage.at(10.2, NetTx { peer: 1, direction, wtxid: txid.clone(), txid, spends, ..Default::default() });
            deliver(stage, 10.3, 1, 1);
        },
        expect![[""]],
    );
}

/// Peers of these kinds, the first so many of whom deliver nothing; what is told, and how often something was held back.
fn many(peers: &[(ConnectionType, &str)], withhold: usize) -> (String, u64) {
    let mut stage = Stage::new(ONLY, &[]);
    for (peer, (kind, address)) in (1..).zip(peers) {
        let (network, connection_type, address) = (Network::Ipv4.into(), (*kind).into(), (*address).to_owned());
        stage.at(0.5, ConnOpened { peer, address, network, connection_type, ..Default::default() });
    }
    for second in 0..30 {
        for peer in 1..=peers.len() as u64 {
            let number = 100 * peer as u32 + second;
            ask(&mut stage, 20.0 + f64::from(second), peer, number);
            if peer as usize > withhold {
                deliver(&mut stage, 20.5 + f64::from(second), peer, number);
            }
        }
    }
    stage.until(300.0);
    let told = stage.told();
    (told, stage.engine.account("alice").suppressed[Guard::Blind as usize])
}

const CHOSEN: ConnectionType = ConnectionType::OutboundFullRelay;

#[test]
fn when_most_do_not_deliver_nobody_is_blamed_and_that_is_counted() {
    let names: Vec<String> = (1..=8).map(|range| format!("240.0.{range}.1:8333")).collect();
    let peers: Vec<_> = names.iter().map(|name| (CHOSEN, name.as_str())).collect();
    let (told, held_back) = many(&peers, 7);
    assert_eq!((told.as_str(), held_back > 0), ("", true));
}

#[test]
fn strangers_who_come_in_numbers_are_not_the_nodes_line() {
    let names: Vec<String> = (1..=17).map(|range| format!("240.0.{range}.1:8333")).collect();
    // nine ranges against eight peers that the node chose
    let kind = |at| if at < 9 { ConnectionType::Inbound } else { CHOSEN };
    let peers: Vec<_> = (0..).zip(&names).map(|(at, name)| (kind(at), name.as_str())).collect();
    let (told, held_back) = many(&peers, 9);
    assert_eq!((told.matches("opened D42 warn").count(), held_back), (9, 0), "{told}");
    // and of a node that chose nobody, many of one range
    let names: Vec<String> =
        (1..=9).map(|host| format!("240.0.0.{host}:8333")).chain((1..=4).map(|range| format!("240.0.{range}.1:8333"))).collect();
    let peers: Vec<_> = names.iter().map(|name| (ConnectionType::Inbound, name.as_str())).collect();
    let (told, held_back) = many(&peers, 9);
    assert_eq!((told.matches("opened D42 warn").count(), held_back), (9, 0), "{told}");
}

#[test]
fn who_leaves_owes_nothing_and_missing_events_are_no_grounds() {
    check(
        |stage| {
            (0..30).for_each(|number| ask(stage, 10.0, 1, number));
            stage.at(20.0, ConnClosed { peer: 1, ..Default::default() });
            (0..30).for_each(|number| ask(stage, 30.0, 2, number));
            stage.at(31.0, HealthLost { count: 1, ..Default::default() });
            stage.until(200.0);
        },
        expect![[""]],
    );
}

#[test]
fn requests_without_end_take_bounded_room() {
    let mut stage = Stage::new(ONLY, &[]);
    for number in 0..REQUESTS as u32 + 1000 {
        ask(&mut stage, 10.0, 1, number);
    }
    stage.told();
    assert_eq!(stage.engine.account("alice").evicted, 1000);
}
