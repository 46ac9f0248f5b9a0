use event::{NetAddrv2, ProbeAddress};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::Stage;
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<AddrSurge>()];

#[track_caller]
fn check(set: &[(&str, f64)], play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = Stage::new(ONLY, set);
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

/// `count` addresses, from this one on, a message of ten after another, within an hour.
fn hour(stage: &mut Stage, hour: u32, from: u32, count: u32) {
    for message in 0..count / 10 {
        let addresses = (0..10)
            .map(|n| NetworkAddress {
                network: Network::Ipv4.into(),
                address: (from + message * 10 + n).wrapping_mul(2_654_435_761).to_be_bytes().to_vec().into(),
                port: 8333,
                ..Default::default()
            })
            .collect();
        let time = f64::from(hour) * 3600.0 + 1.0 + f64::from(message) * 3590.0 / f64::from(count / 10);
        stage.at(time, NetAddrv2 { peer: 1, direction: Direction::Inbound.into(), addresses, ..Default::default() });
    }
}

#[test]
fn more_than_twice_the_usual_for_half_an_hour() {
    check(
        &[("d02.usual", 40_000.0)],
        |stage| {
            for h in 0..12 {
                hour(stage, h, u32::from(h >= 3) * h * 1_000_000, if h < 3 { 4000 } else { 15_000 });
            }
        },
        expect![[r#"
            31200 opened D02 warn node: 88782 different addresses were passed on within a day: 2.2 times as many as usual
            33000 updated D02 warn node: 95624 different addresses were passed on within a day: 2.4 times as many as usual
            34800 updated D02 warn node: 103590 different addresses were passed on within a day: 2.6 times as many as usual
            36600 updated D02 warn node: 110668 different addresses were passed on within a day: 2.8 times as many as usual
            38400 updated D02 warn node: 119080 different addresses were passed on within a day: 3.0 times as many as usual
            40200 updated D02 warn node: 126493 different addresses were passed on within a day: 3.2 times as many as usual
            42000 updated D02 warn node: 134220 different addresses were passed on within a day: 3.4 times as many as usual
        "#]],
    );
}

#[test]
fn the_same_addresses_again_and_again_are_none() {
    check(&[("d02.usual", 20_000.0)], |stage| (0..12).for_each(|h| hour(stage, h, 0, 15_000)), expect![[""]]);
}

#[test]
fn hours_are_compared_with_hours_once_there_are_enough() {
    check(
        &[],
        |stage| {
            for h in 0..36 {
                hour(stage, h, h * 100_000, if h < 30 { 3000 } else { 12_000 });
            }
        },
        expect![[r#"
            111600 opened D02 warn node: 78496 different addresses were passed on within a day: 12124 in the last whole hour, where 3011 are usual
            113400 updated D02 warn node: 84867 different addresses were passed on within a day: 12124 in the last whole hour, where 3011 are usual
            115200 updated D02 warn node: 88307 different addresses were passed on within a day: 12312 in the last whole hour, where 3011 are usual
            117000 updated D02 warn node: 94070 different addresses were passed on within a day: 12312 in the last whole hour, where 3011 are usual
            118800 updated D02 warn node: 96840 different addresses were passed on within a day: 12159 in the last whole hour, where 3011 are usual
            120600 updated D02 warn node: 102722 different addresses were passed on within a day: 12159 in the last whole hour, where 3011 are usual
            122400 updated D02 warn node: 106202 different addresses were passed on within a day: 12449 in the last whole hour, where 3011 are usual
            124200 updated D02 warn node: 111558 different addresses were passed on within a day: 12449 in the last whole hour, where 3011 are usual
            126000 updated D02 warn node: 113261 different addresses were passed on within a day: 11934 in the last whole hour, where 3011 are usual
            127800 updated D02 warn node: 119434 different addresses were passed on within a day: 11934 in the last whole hour, where 3011 are usual
        "#]],
    );
}

#[test]
fn answers_to_getaddr_do_not_count() {
    check(
        &[("d02.usual", 3000.0)],
        |stage| {
            for n in 0..100_u32 {
                let addresses = (0..1000_u32)
                    .map(|m| NetworkAddress { address: (n * 1000 + m).to_be_bytes().to_vec().into(), ..Default::default() })
                    .collect();
                stage.at(
                    f64::from(n) * 100.0,
                    NetAddrv2 { peer: 1, direction: Direction::Inbound.into(), addresses, ..Default::default() },
                );
            }
        },
        expect![[""]],
    );
}

/// A surge as in the first test, and visits in its fourth hour: so many of them with this result, and one to a node.
fn visited(count: u32, result: VisitResult, expect: Expect) {
    check(
        &[("d02.usual", 40_000.0)],
        |stage| {
            for h in 0..11 {
                hour(stage, h, u32::from(h >= 3) * h * 1_000_000, if h < 3 { 4000 } else { 15_000 });
                if h != 4 {
                    continue;
                }
                for visit in 0..=count {
                    let result = if visit == count { VisitResult::Reachable } else { result };
                    let time = f64::from(h) * 3600.0 + 3595.0 + f64::from(visit) / f64::from(count + 1);
                    stage.at(time, ProbeAddress { result: result.into(), ..Default::default() });
                }
            }
        },
        expect,
    );
}

#[test]
fn visits_confirm_it_where_hardly_anybody_is_there() {
    visited(
        99,
        VisitResult::TimedOut,
        expect![[r#"
            31200 opened D02 warn node: 88782 different addresses were passed on within a day: 2.2 times as many as usual; of those visited 99 % had no node
            33000 updated D02 warn node: 95624 different addresses were passed on within a day: 2.4 times as many as usual; of those visited 99 % had no node
            34800 updated D02 warn node: 103590 different addresses were passed on within a day: 2.6 times as many as usual; of those visited 99 % had no node
            36600 updated D02 warn node: 110668 different addresses were passed on within a day: 2.8 times as many as usual; of those visited 99 % had no node
            38400 updated D02 warn node: 119080 different addresses were passed on within a day: 3.0 times as many as usual; of those visited 99 % had no node
        "#]],
    );
}

#[test]
fn visits_that_say_nothing_confirm_nothing() {
    visited(
        99,
        VisitResult::ProxyFailed,
        expect![[r#"
            31200 opened D02 warn node: 88782 different addresses were passed on within a day: 2.2 times as many as usual
            33000 updated D02 warn node: 95624 different addresses were passed on within a day: 2.4 times as many as usual
            34800 updated D02 warn node: 103590 different addresses were passed on within a day: 2.6 times as many as usual
            36600 updated D02 warn node: 110668 different addresses were passed on within a day: 2.8 times as many as usual
            38400 updated D02 warn node: 119080 different addresses were passed on within a day: 3.0 times as many as usual
        "#]],
    );
    visited(
        30,
        VisitResult::TimedOut,
        expect![[r#"
            31200 opened D02 warn node: 88782 different addresses were passed on within a day: 2.2 times as many as usual
            33000 updated D02 warn node: 95624 different addresses were passed on within a day: 2.4 times as many as usual
            34800 updated D02 warn node: 103590 different addresses were passed on within a day: 2.6 times as many as usual
            36600 updated D02 warn node: 110668 different addresses were passed on within a day: 2.8 times as many as usual
            38400 updated D02 warn node: 119080 different addresses were passed on within a day: 3.0 times as many as usual
        "#]],
    );
}
