use event::{
    ConnClosed, ConnOpened, ConnectionType, HealthLost, NetAddr, NetAddrv2, NetGetaddr, NetworkAddress, PeerInfo, StatePeers,
};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::Stage;
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<AddrFlood>()];

#[track_caller]
fn check(play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = Stage::new(ONLY, &[]);
    stage.at(0.5, ConnOpened { peer: 1, connection_type: ConnectionType::Inbound.into(), ..Default::default() });
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

fn addresses(peer: u64, count: usize) -> NetAddrv2 {
    NetAddrv2 {
        peer,
        direction: Direction::Inbound.into(),
        addresses: vec![NetworkAddress::default(); count],
        ..Default::default()
    }
}

fn getaddr(peer: u64) -> NetGetaddr {
    NetGetaddr { peer, direction: Direction::Outbound.into(), ..Default::default() }
}

/// As in July 2021.
fn flood(stage: &mut Stage, from: f64, messages: u32) {
    for message in 0..messages {
        stage.at(from + f64::from(message) * 0.12, addresses(1, 10));
    }
}

#[test]
fn messages_of_ten_are_found_while_they_come_and_clear() {
    check(
        |stage| {
            flood(stage, 60.0, 500);
            stage.until(1500.0);
        },
        expect![[r#"
            62 opened D01 critical peer 1: 200 addresses within ten minutes, of which 193 are more than Bitcoin Core takes; 20 messages of exactly ten
            72 updated D01 critical peer 1: 1040 addresses within ten minutes, of which 1032 are more than Bitcoin Core takes; 104 messages of exactly ten
            93 updated D01 critical peer 1: 2720 addresses within ten minutes, of which 2710 are more than Bitcoin Core takes; 272 messages of exactly ten
            760 cleared D01 critical peer 1: 5000 addresses within ten minutes, of which 4988 are more than Bitcoin Core takes; 500 messages of exactly ten
        "#]],
    );
}

#[test]
fn few_limited_addresses_warn() {
    check(
        |stage| {
            stage.at(10.0, addresses(1, 252));
            // addr counts as well
            let legacy = NetAddr {
                peer: 1,
                direction: Direction::Inbound.into(),
                addresses: vec![NetworkAddress::default(); 30],
                ..Default::default()
            };
            stage.at(20.0, legacy);
            stage.until(60.0);
        },
        expect![[r#"
            10 opened D01 warn peer 1: 252 addresses within ten minutes, of which 251 are more than Bitcoin Core takes; 0 messages of exactly ten
        "#]],
    );
}

#[test]
fn the_answer_to_getaddr_is_not_counted_but_what_follows_is() {
    check(
        |stage| {
            stage.at(5.0, getaddr(1));
            stage.at(6.0, addresses(1, 1000));
            stage.at(20.0, addresses(1, 3));
            assert_eq!(stage.told(), "");
            flood(stage, 60.0, 30);
            stage.until(70.0);
        },
        expect![[r#"
            62 opened D01 critical peer 1: 1203 addresses within ten minutes, of which 196 are more than Bitcoin Core takes; 20 messages of exactly ten
        "#]],
    );
}

#[test]
fn more_than_anybody_may_send_is_told_at_once() {
    check(
        |stage| {
            stage.at(5.0, getaddr(1));
            stage.at(6.0, addresses(1, 1001));
        },
        expect![[r#"
            6 opened D01 info peer 1: 1 messages of more than 1000 addresses within ten minutes, the last of 1001: nobody may send that
        "#]],
    );
}

#[test]
fn a_host_that_breaks_the_protocol_again_and_again_is_told_once() {
    check(
        |stage| {
            for peer in 10..20_u64 {
                let time = 4.0 * 60.0 * peer as f64;
                let (address, network) = (format!("192.0.2.7:{}", 40_000 + peer), event::Network::Ipv4.into());
                let connection_type = event::ConnectionType::Inbound.into();
                stage.at(time, ConnOpened { peer, address, network, connection_type, ..Default::default() });
                stage.at(time + 1.0, addresses(peer, 1001));
                // the node disconnects it
                stage.at(time + 1.1, ConnClosed { peer, ..Default::default() });
            }
            stage.until(6000.0);
        },
        expect![[r#"
            2401 opened D01 info address 192.0.2.7: 1 messages of more than 1000 addresses within ten minutes, the last of 1001: nobody may send that
            2641 updated D01 warn address 192.0.2.7: 2 messages of more than 1000 addresses within ten minutes, the last of 1001: nobody may send that
            4450 updated D01 warn address 192.0.2.7: 2 messages of more than 1000 addresses within ten minutes, the last of 1001: nobody may send that
            5220 cleared D01 warn address 192.0.2.7: 3 messages of more than 1000 addresses within ten minutes, the last of 1001: nobody may send that
        "#]],
    );
}

#[test]
fn ordinary_gossip_is_silent() {
    check(
        |stage| {
            // five addresses a minute for an hour, of which Bitcoin Core takes all
            for minute in 1..60 {
                stage.at(f64::from(minute) * 60.0, addresses(1, 5));
            }
        },
        expect![[""]],
    );
}

#[test]
fn who_may_send_what_it_likes_does() {
    check(
        |stage| {
            stage.at(5.0, addresses(1, 1));
            let peer = PeerInfo { id: 1, permissions: vec!["relay".into(), "addr".into()], ..Default::default() };
            stage.at(6.0, StatePeers { peers: vec![peer] });
            flood(stage, 60.0, 500);
        },
        expect![[""]],
    );
}

#[test]
fn who_was_there_before_may_have_saved_up_and_may_not_send_for_ever() {
    check(
        |stage| {
            let peer = PeerInfo { id: 2, address: "192.0.2.2:8333".into(), ..Default::default() };
            stage.at(1.0, StatePeers { peers: vec![peer] });
            stage.at(6.0, addresses(2, 1000));
            assert_eq!(stage.told(), "");
            stage.at(9.0, addresses(2, 1000));
        },
        expect![[r#"
            9 opened D01 critical peer 2: 2000 addresses within ten minutes, of which 1000 are more than Bitcoin Core takes; 0 messages of exactly ten
        "#]],
    );
}

#[test]
fn a_getaddr_that_was_lost_does_not_raise_an_alarm() {
    check(
        |stage| {
            stage.at(5.0, HealthLost { count: 3, ..Default::default() });
            stage.at(6.0, addresses(1, 1000));
            assert_eq!(stage.told(), "");
            // what no answer holds does
            flood(stage, 60.0, 30);
        },
        expect![[r#"
            60 opened D01 critical peer 1: 1010 addresses within ten minutes, of which 1004 are more than Bitcoin Core takes; 1 messages of exactly ten
        "#]],
    );
}

#[test]
fn it_ends_with_the_connection() {
    check(
        |stage| {
            stage.at(10.0, addresses(1, 300));
            stage.at(20.0, ConnClosed { peer: 1, ..Default::default() });
            stage.until(30.0);
        },
        expect![[r#"
            10 opened D01 warn peer 1: 300 addresses within ten minutes, of which 299 are more than Bitcoin Core takes; 0 messages of exactly ten
            20 cleared D01 warn peer 1: 300 addresses within ten minutes, of which 299 are more than Bitcoin Core takes; 0 messages of exactly ten
        "#]],
    );
}

/// So many peers, each of which passes on an address of so many a minute, for so long.
fn gossip(stage: &mut Stage, from: f64, minutes: u32, per_minute: &[(u64, usize)]) {
    for minute in 0..minutes {
        let every = |peer: u64, count: usize| (0..count).map(move |place| (60.0 / count as f64 * place as f64, peer));
        let mut all: Vec<(f64, u64)> = per_minute.iter().flat_map(|(peer, count)| every(*peer, *count)).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all.into_iter().for_each(|(second, peer)| stage.at(from + 60.0 * f64::from(minute) + second, addresses(peer, 1)));
    }
}

fn come(stage: &mut Stage, peers: std::ops::RangeInclusive<u64>) {
    for peer in peers {
        stage.at(1.0, ConnOpened { peer, connection_type: ConnectionType::Inbound.into(), ..Default::default() });
    }
}

#[test]
fn who_drips_among_others_who_do_not_is_found() {
    check(
        |stage| {
            come(stage, 2..=6);
            gossip(stage, 60.0, 25, &[(1, 24), (2, 4), (3, 4), (4, 5), (5, 5), (6, 13)]);
        },
        expect![[r#"
            1210 opened D01 warn peer 1: 461 addresses within twenty minutes, of which 340 are more than Bitcoin Core takes: it drips
        "#]],
    );
}

/// A surge makes all of them exceed what Bitcoin Core takes, and one of them is the most talkative.
#[test]
fn a_surge_is_not_cried_at_peer_by_peer() {
    check(
        |stage| {
            come(stage, 2..=6);
            gossip(stage, 60.0, 25, &[(1, 46), (2, 22), (3, 24), (4, 24), (5, 26), (6, 28)]);
        },
        expect![[""]],
    );
}

/// Of who was there before the observer, only the node knows what it ignores.
#[test]
fn what_the_node_says_that_it_ignored_counts() {
    check(
        |stage| {
            for minute in 0..30_u64 {
                let peer = PeerInfo {
                    id: 2,
                    address: "192.0.2.2:8333".into(),
                    addr_rate_limited: Some(70_000 + 20 * minute),
                    ..Default::default()
                };
                stage.at(60.0 * minute as f64, StatePeers { peers: vec![peer] });
                stage.at(60.0 * minute as f64 + 1.0, addresses(2, 12));
                stage.at(60.0 * minute as f64 + 2.0, addresses(2, 14));
            }
        },
        expect![[r#"
            1080 opened D01 warn peer 2: 468 addresses within twenty minutes, of which 340 are more than Bitcoin Core takes: it drips
        "#]],
    );
}
