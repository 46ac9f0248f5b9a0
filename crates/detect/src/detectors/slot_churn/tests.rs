use event::{ConnClosed, ConnEvicted, ConnOpened, ConnRefused, NetFilterload, Network};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::{BEGIN, Stage};
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<SlotChurn>()];

#[track_caller]
fn check(play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = Stage::new(ONLY, &[]);
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

/// A node with 21 slots, all taken.
struct Full<'a> {
    stage: &'a mut Stage,
    peer: u64,
}

impl Full<'_> {
    /// A newcomer from this group, who pushes out the one before.
    fn newcomer(&mut self, at: f64, group: u64) {
        let (connection_type, network) = (ConnectionType::Inbound.into(), Network::Ipv4.into());
        let address = |peer: u64| format!("240.{group}.{}.7:1", peer % 250);
        let (old, new) = (self.peer, self.peer + 1);
        self.peer = new;
        let established = Some(BEGIN / SECOND + at as u64 - 30);
        self.stage.at(at, ConnEvicted { peer: old, address: address(old), connection_type, network, established });
        self.stage.at(at + 0.01, ConnOpened { peer: new, address: address(new), connection_type, network, count: Some(22) });
        self.stage.at(at + 0.02, ConnClosed { peer: old, address: address(old), connection_type, network, established });
    }
}

fn full(stage: &mut Stage) -> Full<'_> {
    Full { stage, peer: 100 }
}

#[test]
fn a_rush_that_pushes_peers_out_is_found_once_it_lasts() {
    let play = |stage: &mut Stage| {
        let mut node = full(stage);
        for number in 0..180_u32 {
            node.newcomer(10.0 + 5.0 * f64::from(number), 7 + u64::from(number) % 2);
        }
        stage.until(1800.0);
    };
    check(
        play,
        expect![[r#"
        615 opened D10 critical node: newcomers push out newcomers: 59 evicted and 0 refused in five minutes, 12 newcomers a minute; 50 % of the newcomers are of 240.8.0.0/16
        1140 cleared D10 critical node: newcomers push out newcomers: 59 evicted and 0 refused in five minutes, 12 newcomers a minute; 50 % of the newcomers are of 240.8.0.0/16
    "#]],
    );
}

/// A full node that three newcomers a minute reach evicts for each of them.
#[test]
fn a_full_node_is_not_attacked() {
    let play = |stage: &mut Stage| {
        let mut node = full(stage);
        for number in 0..90_u32 {
            node.newcomer(10.0 + 20.0 * f64::from(number), u64::from(number));
        }
    };
    check(play, expect![[""]]);
}

/// Two hundred come to a full node, and of each ten so many are wallets.
fn wallets(of_ten: u32) -> impl FnOnce(&mut Stage) {
    move |stage| {
        let mut node = full(stage);
        for number in 0..200_u32 {
            let at = 10.0 + 5.0 * f64::from(number);
            node.newcomer(at, u64::from(number) % 200);
            if number % 10 < of_ten {
                let (peer, direction) = (node.peer, Direction::Inbound.into());
                node.stage.at(at + 0.5, NetFilterload { peer, direction, ..Default::default() });
            }
        }
    }
}

#[test]
fn a_wallet_that_became_popular_is_told_as_information() {
    check(
        wallets(10),
        expect![[r#"
        615 opened D10 info node: newcomers push out newcomers: 59 evicted and 0 refused in five minutes, 12 newcomers a minute; the newcomers are of many network groups
    "#]],
    );
}

#[test]
fn slots_that_nobody_can_be_pushed_out_of_are_critical() {
    let play = |stage: &mut Stage| {
        full(stage).newcomer(10.0, 7);
        for number in 0..50_u32 {
            let refused = ConnRefused { reason: ConnRefusal::Full.into(), ..Default::default() };
            stage.from(event::Source::Log, 11.0 + 20.0 * f64::from(number), refused);
        }
    };
    check(
        play,
        expect![[r#"
            615 opened D10 critical node: the slots are held by peers that cannot be evicted: 0 evicted and 15 refused in five minutes, 0 newcomers a minute
        "#]],
    );
}

/// G1: after a restart everybody comes back.
#[test]
fn nothing_is_said_soon_after_a_restart() {
    let play = |stage: &mut Stage| {
        stage.uptime = 100;
        let mut node = full(stage);
        for number in 0..180_u32 {
            node.newcomer(10.0 + 5.0 * f64::from(number), 7);
        }
        assert!(stage.engine.account("alice").suppressed[Guard::Restart as usize] > 0);
    };
    check(play, expect![[""]]);
}

/// Who leaves by himself is replaced within moments: the slots stay full. A minute of room ends it.
#[test]
fn a_moment_of_room_is_none() {
    let play = |pause: f64| {
        move |stage: &mut Stage| {
            let mut node = full(stage);
            for number in 0..180_u32 {
                let at = 10.0 + 5.0 * f64::from(number) + if number > 90 { pause } else { 0.0 };
                node.newcomer(at, 7);
                if number == 90 {
                    for peer in 20..23 {
                        node.stage.at(
                            at + 0.1,
                            ConnClosed { peer, connection_type: ConnectionType::Inbound.into(), ..Default::default() },
                        );
                    }
                }
            }
        }
    };
    let told = |pause: f64| {
        let mut stage = Stage::new(ONLY, &[]);
        play(pause)(&mut stage);
        stage.told().lines().map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(told(0.0), ["615 opened D10"]);
    assert_eq!(told(61.0), Vec::<String>::new());
}

/// Beside wallets there is no rush.
#[test]
fn wallets_beside_ordinary_newcomers_are_information() {
    check(
        wallets(4),
        expect![[r#"
            615 opened D10 info node: newcomers push out newcomers: 59 evicted and 0 refused in five minutes, 12 newcomers a minute; the newcomers are of many network groups
        "#]],
    );
}

/// Ten a minute are no rush where six come every day, which is known after six hours.
#[test]
fn what_is_usual_at_the_node_is_no_rush() {
    let play = |faster: f64| {
        move |stage: &mut Stage| {
            let mut node = full(stage);
            let mut at = 10.0;
            for number in 0..2900_u64 {
                node.newcomer(at, number % 200);
                at += if at < 25_200.0 { 10.0 } else { 60.0 / faster };
            }
        }
    };
    check(play(11.0), expect![[""]]);
    check(
        play(20.0),
        expect![[r#"
            25715 opened D10 critical node: newcomers push out newcomers: 98 evicted and 0 refused in five minutes, 20 newcomers a minute; the newcomers are of many network groups
        "#]],
    );
}

/// By chance ten a minute come for five minutes where six are usual, which the first six hours do not show.
#[test]
fn a_rush_lasts_for_longer_than_chance_does() {
    let told = |rush: std::ops::Range<f64>| {
        let mut stage = Stage::new(ONLY, &[]);
        let (mut node, mut at, mut number) = (full(&mut stage), 10.0, 0);
        while at < 3600.0 {
            node.newcomer(at, number % 200);
            at += if rush.contains(&at) { 5.5 } else { 10.0 };
            number += 1;
        }
        stage.told()
    };
    assert_eq!(told(1800.0..2120.0), "");
    assert!(told(1800.0..2500.0).contains("opened D10"));
}
