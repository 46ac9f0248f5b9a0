use event::{ConnOpened, NetVersion};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::Stage;
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<SameStranger>()];

const TWELVE: &[&str] = &["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "kate", "leo"];

#[track_caller]
fn check(nodes: &'static [&'static str], play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = Stage::new(ONLY, &[]);
    stage.fleet = nodes;
    stage.until(5.0);
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

/// Somebody dials a node, and says hello.
fn dial(stage: &mut Stage, time: f64, node: &'static str, address: &str, agent: &str) {
    stage.node = node;
    let peer = (time * 10.0) as u64;
    let (connection_type, network) = (ConnectionType::Inbound.into(), Network::Ipv4.into());
    let address = format!("{address}:50000");
    stage.at(time, ConnOpened { peer, address: address.clone(), connection_type, network, count: None });
    let (direction, user_agent) = (Direction::Inbound.into(), agent.to_owned());
    stage.at(time + 0.1, NetVersion { peer, direction, address, connection_type, network, user_agent, ..Default::default() });
}

#[test]
fn a_scanner_goes_from_node_to_node() {
    check(
        TWELVE,
        |stage| {
            for (n, node) in TWELVE.iter().enumerate() {
                dial(stage, 10.0 + 20.0 * n as f64, node, "192.0.2.1", "/Satoshi:30.0.0/");
            }
            stage.until(5000.0);
        },
        expect![[r#"
            80 _fleet opened D13 warn address 192.0.2.1: it dialled 4 of 12 nodes within an hour, 4 of them in ten minutes, one after the other at even intervals
            160 _fleet updated D13 warn address 192.0.2.1: it dialled 8 of 12 nodes within an hour, 8 of them in ten minutes, one after the other at even intervals
            1960 _fleet updated D13 warn address 192.0.2.1: it dialled 12 of 12 nodes within an hour, 0 of them in ten minutes, one after the other at even intervals
            3760 _fleet updated D13 warn address 192.0.2.1: it dialled 12 of 12 nodes within an hour, 0 of them in ten minutes, one after the other at even intervals
            3840 _fleet cleared D13 warn address 192.0.2.1: it dialled 12 of 12 nodes within an hour, 12 of them in ten minutes, one after the other at even intervals
        "#]],
    );
}

#[test]
fn three_of_three_at_once() {
    check(
        &TWELVE[..3],
        |stage| {
            for (n, node) in TWELVE[..3].iter().enumerate() {
                dial(stage, 10.0 + n as f64, node, "192.0.2.1", "/Satoshi:30.0.0/");
            }
            stage.until(30.0);
        },
        expect![[r#"
            20 _fleet opened D13 warn address 192.0.2.1: it dialled 3 of 3 nodes within an hour, 3 of them in ten minutes
        "#]],
    );
    // three of twelve may be chance
    check(
        TWELVE,
        |stage| {
            for (n, node) in TWELVE[..3].iter().enumerate() {
                dial(stage, 10.0 + 300.0 * n as f64, node, "192.0.2.1", "/Satoshi:30.0.0/");
            }
            stage.until(1000.0);
        },
        expect![[""]],
    );
}

#[test]
fn crawlers_that_say_so_are_worth_knowing() {
    check(
        TWELVE,
        |stage| {
            for (n, node) in TWELVE.iter().enumerate() {
                dial(stage, 10.0 + 20.0 * n as f64, node, "192.0.2.1", "/bitnodes.io:0.3/");
            }
            stage.until(300.0);
        },
        expect![[r#"
            80 _fleet opened D13 info address 192.0.2.1: it dialled 4 of 12 nodes within an hour, 4 of them in ten minutes, one after the other at even intervals; a crawler that says so
            160 _fleet updated D13 info address 192.0.2.1: it dialled 8 of 12 nodes within an hour, 8 of them in ten minutes, one after the other at even intervals; a crawler that says so
        "#]],
    );
}

#[test]
fn many_hosts_of_one_range_are_one_stranger_and_a_hosting_company_is_not() {
    check(
        TWELVE,
        |stage| {
            for (n, node) in TWELVE.iter().enumerate() {
                dial(stage, 10.0 + 20.0 * n as f64, node, &format!("192.0.2.{}", 1 + n % 6), "/Satoshi:30.0.0/");
            }
            stage.until(300.0);
        },
        expect![[r#"
            120 _fleet opened D13 warn range 192.0.2.0/24: it dialled 6 of 12 nodes within an hour, 6 of them in ten minutes from 6 addresses, one after the other at even intervals
            240 _fleet updated D13 warn range 192.0.2.0/24: it dialled 12 of 12 nodes within an hour, 12 of them in ten minutes from 6 addresses, one after the other at even intervals
        "#]],
    );
    check(
        TWELVE,
        |stage| {
            for n in 0..60_usize {
                dial(stage, 10.0 + 50.0 * n as f64, TWELVE[(n * n) % 12], &format!("192.0.2.{n}"), "/Satoshi:30.0.0/");
            }
        },
        expect![[""]],
    );
}

#[test]
fn whoever_shares_an_address_with_everybody_is_nobody() {
    let mut stage = Stage::new(ONLY, &[]);
    stage.fleet = TWELVE;
    for (n, node) in (0_u32..).zip(TWELVE) {
        stage.node = node;
        let (connection_type, network) = (ConnectionType::Inbound.into(), Network::Onion.into());
        let opened = ConnOpened { peer: 1, address: "127.0.0.1:50000".into(), connection_type, network, count: None };
        stage.at(10.0 + f64::from(n), opened);
    }
    stage.until(60.0);
    assert_eq!(stage.told(), "");
    assert_eq!(stage.engine.account("kate").suppressed[Guard::Onion as usize], 1);
}

#[test]
fn addresses_that_are_anothers_at_each_node_say_nothing() {
    check(
        &TWELVE[..3],
        |stage| {
            for (n, address) in ["127.0.0.1", "172.17.0.1", "192.168.1.1", "169.254.0.1"].into_iter().enumerate() {
                for (m, node) in TWELVE[..3].iter().enumerate() {
                    dial(stage, 10.0 + 10.0 * n as f64 + m as f64, node, address, "/Satoshi:30.0.0/");
                }
            }
            stage.until(60.0);
        },
        expect![[""]],
    );
}

#[test]
fn private_broadcasts_do_not_count() {
    check(
        &TWELVE[..3],
        |stage| {
            for (n, node) in TWELVE[..3].iter().enumerate() {
                stage.node = node;
                let (peer, time, address) = (1, 10.0 + 3.0 * n as f64, "192.0.2.1:50000".to_owned());
                let (connection_type, network) = (ConnectionType::Inbound.into(), Network::Ipv4.into());
                stage.at(time, ConnOpened { peer, address: address.clone(), connection_type, network, count: None });
                let (direction, user_agent) = (Direction::Inbound.into(), "/pynode:0.0.1/".to_owned());
                let hello = NetVersion { peer, direction, address, connection_type, network, user_agent, ..Default::default() };
                stage.at(time + 0.1, hello);
            }
            stage.until(60.0);
        },
        expect![[""]],
    );
}
