use event::{ConnClosed, ConnOpened, ConnReady, HealthLost, NetVerack, NetWtxidrelay, StateBlockchain};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::Stage;
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<FalseIdentity>()];

#[track_caller]
fn check(play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = Stage::new(ONLY, &[]);
    stage.at(0.5, StateBlockchain { blocks: Some(900_000), ..Default::default() });
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

/// Bitcoin Core 30 as it is.
fn honest(peer: u64) -> NetVersion {
    NetVersion {
        peer,
        direction: Direction::Inbound.into(),
        connection_type: ConnectionType::Inbound.into(),
        version: PROTOCOL,
        services: 0xc09,
        time: 1_772_431_200,
        nonce: 1000 + peer,
        user_agent: "/Satoshi:30.0.0/".into(),
        start_height: 900_000,
        relay: true,
        ..Default::default()
    }
}

/// Somebody dials the node and greets as Bitcoin Core does.
fn greet(stage: &mut Stage, time: f64, version: NetVersion) {
    let (peer, direction) = (version.peer, Direction::Inbound.into());
    stage.at(time, ConnOpened { peer, connection_type: ConnectionType::Inbound.into(), ..Default::default() });
    stage.at(time + 0.1, version);
    stage.at(time + 0.2, NetWtxidrelay { peer, direction, ..Default::default() });
    stage.at(time + 0.3, NetVerack { peer, direction, ..Default::default() });
    stage.at(time + 5.0, ConnClosed { peer, ..Default::default() });
}

/// The signs that a `version` has.
#[track_caller]
fn check_signs(change: impl FnOnce(&mut NetVersion), expect: &[Sign]) {
    let mut version = honest(1);
    change(&mut version);
    let claims = Class::of(&version.user_agent);
    assert_eq!(contradictions(&version, claims), expect, "{version:?}");
}

#[test]
fn what_contradicts_a_name() {
    let agent = |name: &'static str| move |version: &mut NetVersion| version.user_agent = name.into();
    check_signs(|_| {}, &[]);
    check_signs(|version| version.services = 0, &[Sign::Nothing]);
    check_signs(|version| version.version = 70_015, &[Sign::Protocol]);
    check_signs(|version| version.version = 70_017, &[Sign::Protocol]);
    check_signs(|version| version.nonce = 0, &[Sign::Nonce]);
    check_signs(agent("/Satoshi:25.0.0/"), &[Sign::Services]);
    check_signs(agent("/Satoshi:0.12.1/"), &[Sign::Services, Sign::Protocol]);
    check_signs(agent("/Satoshi:29.1.0/Knots:20250903/"), &[]);
    check_signs(agent("/Satoshi:30.0.0(FutureBit-Apollo-Node)/"), &[]);
    for name in ["/Sat0shi:31.0.0/", "/satoshi:31.0.0/", "/Satosh:1/", "/Satoshii:1/", "/xSatoshi:1/"] {
        check_signs(agent(name), &[Sign::Spelling]);
    }
    for name in ["/Satoshi Garden:1/", "/Sato:1/", "/btcwire:0.5.0/btcd:0.24.2/", "", "/", "\u{202e}ihsotaS"] {
        check_signs(agent(name), &[]);
    }
    check_signs(agent("/bitcoinj:0.16.3/"), &[Sign::Blocks]);
    let old = |version: &mut NetVersion| {
        (version.user_agent, version.version, version.services) = ("/Satoshi:0.18.1/".into(), 70_015, 0x409);
    };
    check_signs(old, &[]);
}

#[test]
fn a_tenth_of_an_hours_connections_is_a_warning_and_a_few_are_not() {
    check(
        |stage| {
            for n in 0..60_u32 {
                let mut version = honest(n.into());
                // twelve of sixty, under several names
                if n % 5 == 0 {
                    version.user_agent = format!("/Satoshi:0.{}.0/", 9 + n % 8);
                }
                greet(stage, 10.0 + f64::from(n) * 60.0, version);
            }
            stage.until(11_000.0);
        },
        expect![[r#"
            2760 opened D15 warn node: 10 of 46 who came within an hour cannot be what they say; mostly: a protocol version that the release does not have
            4260 cleared D15 warn node: 10 of 46 who came within an hour cannot be what they say; mostly: a protocol version that the release does not have
        "#]],
    );
    check(
        |stage| {
            for n in 0..60_u32 {
                let mut version = honest(n.into());
                version.services = if n % 10 == 0 { 0 } else { version.services };
                greet(stage, 10.0 + f64::from(n) * 60.0, version);
            }
        },
        expect![[""]],
    );
}

#[test]
fn twenty_under_one_name_are_a_warning() {
    check(
        |stage| {
            for n in 0..400_u32 {
                let mut version = honest(n.into());
                if n % 16 == 0 {
                    version.user_agent = "/Sat0shi:31.0.0/".into();
                }
                greet(stage, 10.0 + f64::from(n) * 8.0, version);
            }
            stage.until(8000.0);
        },
        expect![[r#"
            2460 opened D15 warn agent /Sat0shi:31.0.0/: 20 connections within an hour say so, and contradict it
            4260 updated D15 warn agent /Sat0shi:31.0.0/: 20 connections within an hour say so, and contradict it
            5580 cleared D15 warn agent /Sat0shi:31.0.0/: 25 connections within an hour say so, and contradict it
        "#]],
    );
}

#[test]
fn it_is_over_when_nobody_came_for_so_long() {
    let mut stage = Stage::new(ONLY, &[("d15.lasts", 300.0)]);
    for n in 0..20_u32 {
        let mut version = honest(n.into());
        version.user_agent = "/Sat0shi:31.0.0/".into();
        greet(&mut stage, 10.0 + f64::from(n) * 8.0, version);
    }
    stage.until(1000.0);
    expect![[r#"
        120 opened D15 warn node: 14 of 14 who came within an hour cannot be what they say; mostly: a name that is nearly Satoshi
        180 opened D15 warn agent /Sat0shi:31.0.0/: 20 connections within an hour say so, and contradict it
        540 cleared D15 warn node: 14 of 14 who came within an hour cannot be what they say; mostly: a name that is nearly Satoshi
        540 cleared D15 warn agent /Sat0shi:31.0.0/: 20 connections within an hour say so, and contradict it
    "#]]
    .assert_eq(&stage.told());
}

#[test]
fn greetings_and_transports_are_known_later() {
    check(
        |stage| {
            for n in 0..24_u64 {
                let (mut version, time) = (honest(n), 10.0 + n as f64 * 8.0);
                let direction = Direction::Inbound.into();
                stage.at(time, ConnOpened { peer: n, connection_type: ConnectionType::Inbound.into(), ..Default::default() });
                if n % 2 == 0 {
                    version.user_agent = "/Satoshi:25.0.0/".into();
                    version.services = 0x409;
                }
                stage.at(time + 0.1, version);
                if n % 2 == 0 {
                    stage.at(time + 0.2, NetWtxidrelay { peer: n, direction, ..Default::default() });
                    stage.at(time + 0.3, ConnReady { peer: n, transport: Transport::V2.into(), ..Default::default() });
                }
                stage.at(time + 0.4, NetVerack { peer: n, direction, ..Default::default() });
            }
            stage.until(300.0);
        },
        expect![[r#"
            120 opened D15 warn node: 14 of 14 who came within an hour cannot be what they say; mostly: a greeting that is not Bitcoin Core's
        "#]],
    );
}

#[test]
fn a_greeting_that_was_not_seen_is_no_sign() {
    check(
        |stage| {
            stage.at(5.0, HealthLost { count: 1, ..Default::default() });
            for n in 0..30_u64 {
                stage.at(10.0, honest(n));
                stage.at(10.1, NetVerack { peer: n, direction: Direction::Inbound.into(), ..Default::default() });
            }
            stage.until(200.0);
        },
        expect![[""]],
    );
}

#[test]
fn private_broadcasts_and_those_who_are_behind_are_honest() {
    check(
        |stage| {
            for n in 0..60_u64 {
                let mut version = honest(n);
                match n % 3 {
                    0 => {
                        (version.services, version.time, version.start_height, version.relay) = (0, 0, 0, false);
                        version.user_agent = "/pynode:0.0.1/".into();
                    }
                    1 => version.start_height = 1000,
                    // half a contradiction
                    _ => version.start_height = 900_500,
                }
                greet(stage, 10.0 + n as f64 * 10.0, version);
            }
        },
        expect![[""]],
    );
}

#[test]
fn a_nonce_is_used_once() {
    check(
        |stage| {
            for n in 0..20_u64 {
                let version = NetVersion { nonce: 7, ..honest(n) };
                greet(stage, 10.0 + n as f64 * 10.0, version);
            }
            stage.until(300.0);
        },
        expect![[r#"
            120 opened D15 warn node: 10 of 11 who came within an hour cannot be what they say; mostly: a nonce that is none, or somebody else's
        "#]],
    );
}

#[test]
fn nonces_that_are_forgotten_are_counted() {
    let mut stage = Stage::new(ONLY, &[]);
    let many = NONCES as u64 / 2 + 100;
    for peer in 0..many {
        let at = peer as f64 / 1000.0;
        stage.at(at, honest(peer));
        stage.at(at, ConnClosed { peer, ..Default::default() });
    }
    stage.until(200.0);
    stage.told();
    assert_eq!(stage.engine.account("alice").evicted, 100);
}
