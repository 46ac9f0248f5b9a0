use event::ConnOpened;
use expect_test::{Expect, expect};

use super::*;
use crate::stage::Stage;
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<AgentLottery>()];

#[track_caller]
fn check(play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = Stage::new(ONLY, &[]);
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

/// Somebody dials the node and says hello.
fn hello(stage: &mut Stage, time: f64, peer: u64, address: &str, agent: &str, services: u64) {
    hello_over(stage, time, peer, (address, Network::Ipv4), agent, services);
}

fn hello_over(stage: &mut Stage, time: f64, peer: u64, (address, network): (&str, Network), agent: &str, services: u64) {
    let (connection_type, network) = (ConnectionType::Inbound.into(), network.into());
    stage.at(time, ConnOpened { peer, address: address.into(), connection_type, network, count: None });
    let (user_agent, direction) = (agent.to_owned(), Direction::Inbound.into());
    let (version, address) = (70_015, address.to_owned());
    let said =
        NetVersion { peer, direction, address, connection_type, network, version, services, user_agent, ..Default::default() };
    stage.at(time + 0.1, said);
}

#[test]
fn many_names_and_one_hello() {
    check(
        |stage| {
            for n in 0..8_u32 {
                let address = format!("192.0.2.{}:50000", 1 + n % 3);
                hello(stage, f64::from(n) * 20.0, n.into(), &address, &format!("/wallet:{n}/"), 0);
            }
            stage.until(4500.0);
        },
        expect![[r#"
            90 opened D16 warn range 192.0.2.0/24: 5 names in 5 connections of 3 addresses, and all say hello alike
            1890 updated D16 warn range 192.0.2.0/24: 8 names in 8 connections of 3 addresses, and all say hello alike
            3690 updated D16 warn range 192.0.2.0/24: 8 names in 8 connections of 3 addresses, and all say hello alike
            3810 cleared D16 warn range 192.0.2.0/24: 8 names in 8 connections of 3 addresses, and all say hello alike
        "#]],
    );
}

#[test]
fn a_lottery_that_goes_on_draws_the_same_again() {
    check(
        |stage| {
            for n in 0..300_u32 {
                hello(stage, f64::from(n) * 20.0, n.into(), "192.0.2.9:50000", &format!("/wallet:{}/", (n * 7) % 12), 0);
            }
        },
        expect![[r#"
            90 opened D16 warn range 192.0.2.0/24: 5 names in 5 connections of one address, and all say hello alike
            210 updated D16 warn range 192.0.2.0/24: 11 names in 11 connections of one address, and all say hello alike
            2010 updated D16 warn range 192.0.2.0/24: 12 names in 64 connections of one address, and all say hello alike
            3810 updated D16 warn range 192.0.2.0/24: 12 names in 64 connections of one address, and all say hello alike
            5610 updated D16 warn range 192.0.2.0/24: 12 names in 64 connections of one address, and all say hello alike
        "#]],
    );
}

#[test]
fn names_that_go_with_their_hellos_are_a_crowd() {
    check(
        |stage| {
            for n in 0..40_u32 {
                let kind = n % 10;
                hello(stage, f64::from(n) * 20.0, n.into(), "192.0.2.9:50000", &format!("/node:{kind}/"), u64::from(kind / 2));
            }
            // and versions of one program are one name
            for n in 40..60_u32 {
                hello(stage, f64::from(n) * 20.0, n.into(), "192.0.7.9:50000", &format!("/Satoshi:{}.{}.0/", 22 + n % 9, n % 2), 9);
            }
        },
        expect![[""]],
    );
}

#[test]
fn whoever_shares_an_address_with_everybody_is_not_grouped() {
    check(
        |stage| {
            for n in 0..20_u32 {
                let over_tor = ("127.0.0.1:50000", Network::Onion);
                hello_over(stage, f64::from(n) * 20.0, n.into(), over_tor, &format!("/wallet:{n}/"), 0);
            }
        },
        expect![[""]],
    );
}
