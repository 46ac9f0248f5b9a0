use event::{ConnOpened, ConnectionType, NetFilterload, NetGetdata, NetInv, NetVerack, NetVersion};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::Stage;
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<Listener>()];

/// A node with so many inbound peers, from 1 on.
#[track_caller]
fn check(peers: u64, play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = Stage::new(ONLY, &[]);
    for peer in 1..=peers {
        stage.at(0.5, ConnOpened { peer, connection_type: ConnectionType::Inbound.into(), ..Default::default() });
        stage.at(0.6, version(peer, true));
        stage.at(0.7, NetVerack { peer, direction: Direction::Outbound.into(), ..Default::default() });
    }
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

fn version(peer: u64, relay: bool) -> NetVersion {
    NetVersion { peer, direction: Direction::Inbound.into(), version: 70016, services: 1, time: 1, relay, ..Default::default() }
}

fn items(count: usize) -> Vec<Inventory> {
    vec![Inventory { r#type: InventoryType::Wtx.into(), ..Default::default() }; count]
}

/// The node announces transactions to everybody, every five seconds.
fn announce(stage: &mut Stage, from: u32, to: u32, peers: std::ops::RangeInclusive<u64>) {
    for second in (from..to).step_by(5) {
        for peer in peers.clone() {
            let inv = NetInv { peer, direction: Direction::Outbound.into(), items: items(10), ..Default::default() };
            stage.at(f64::from(second), inv);
        }
    }
}

#[test]
fn one_that_only_listens_is_worth_knowing() {
    check(
        20,
        |stage| {
            announce(stage, 10, 600, 1..=1);
            for peer in 2..=20 {
                let inv = NetInv { peer, direction: Direction::Inbound.into(), items: items(1), ..Default::default() };
                stage.at(600.0, inv);
            }
            announce(stage, 600, 1200, 1..=20);
            // it begins to give
            stage.at(1300.0, NetInv { peer: 1, direction: Direction::Inbound.into(), items: items(1), ..Default::default() });
            stage.until(1500.0);
        },
        expect![[r#"
            930 opened D14 info peer 1: it was told of 1840 transactions, asked for 0, and gave nothing
            1380 cleared D14 info peer 1: it was told of 1840 transactions, asked for 0, and gave nothing
        "#]],
    );
}

#[test]
fn many_of_them_are_a_matter_for_somebody() {
    check(
        20,
        |stage| {
            for peer in 6..=20 {
                stage.at(9.0, NetInv { peer, direction: Direction::Inbound.into(), items: items(1), ..Default::default() });
            }
            announce(stage, 10, 1000, 1..=20);
        },
        expect![[r#"
            930 opened D14 info peer 1: it was told of 1840 transactions, asked for 0, and gave nothing
            930 opened D14 info peer 2: it was told of 1840 transactions, asked for 0, and gave nothing
            930 opened D14 info peer 3: it was told of 1840 transactions, asked for 0, and gave nothing
            930 opened D14 info peer 4: it was told of 1840 transactions, asked for 0, and gave nothing
            930 opened D14 info peer 5: it was told of 1840 transactions, asked for 0, and gave nothing
            930 opened D14 warn node: 5 of 20 inbound peers only listen; 100 % of them greet alike (fingerprint f967cd7e0fa3db27)
        "#]],
    );
}

#[test]
fn who_asks_or_filters_or_wants_no_transactions_is_no_listener() {
    check(
        4,
        |stage| {
            stage.at(2.0, NetFilterload { peer: 1, direction: Direction::Inbound.into(), ..Default::default() });
            stage.at(2.0, version(2, false));
            stage.at(5.0, NetGetdata { peer: 3, direction: Direction::Inbound.into(), items: items(900), ..Default::default() });
            announce(stage, 10, 2000, 1..=3);
        },
        expect![[""]],
    );
}

#[test]
fn a_private_broadcast_is_spared() {
    check(
        0,
        |stage| {
            stage.at(1.0, ConnOpened { peer: 1, connection_type: ConnectionType::Inbound.into(), ..Default::default() });
            let version = NetVersion {
                peer: 1,
                direction: Direction::Inbound.into(),
                version: 70016,
                user_agent: "/pynode:0.0.1/".into(),
                relay: false,
                ..Default::default()
            };
            stage.at(1.1, version);
            announce(stage, 10, 2000, 1..=1);
        },
        expect![[""]],
    );
}

/// What it was told and did not ask for, and of each of them where they are many.
#[test]
fn announcements_are_the_evidence() {
    let mut stage = Stage::new(ONLY, &[]);
    for peer in 1..=5 {
        stage.at(0.5, ConnOpened { peer, connection_type: ConnectionType::Inbound.into(), ..Default::default() });
        stage.at(0.6, version(peer, true));
    }
    announce(&mut stage, 10, 1000, 1..=5);
    stage.engine.finish(&mut stage.said);
    let mut seen = 0;
    for said in &stage.said {
        let event = Event { kind: Some(said.kind.clone()), ..Event::default() };
        let finding = crate::finding::of(&event).unwrap();
        assert!(finding.evidence.len() >= 5, "{}: {:?}", finding.summary, finding.evidence);
        for reference in &finding.evidence {
            let of = |event: &&std::sync::Arc<Event>| (event.source, event.sequence) == (reference.source, reference.from_sequence);
            let event = stage.played.iter().find(of).unwrap();
            let Some(Kind::NetInv(inv)) = &event.kind else { panic!("{event:?}") };
            assert!(finding.entity.as_ref().unwrap().peer.is_none_or(|peer| peer == inv.peer));
        }
        seen += 1;
    }
    assert_eq!(seen, 6, "five peers, and the node");
}
