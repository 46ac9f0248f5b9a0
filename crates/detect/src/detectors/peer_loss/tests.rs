use event::{ConnClosed, ConnEnded, ConnEvicted, ConnOpened, HealthBeat, HealthDetached, HealthLost};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::Stage;
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<PeerLoss>()];

/// A node with so many inbound peers, 1 to `inbound`, and ten outbound ones, 1001 to 1010. Its operator knows that it is always full.
fn stage(inbound: u64) -> Stage {
    let mut stage = Stage::new(ONLY, &[("d09.nights", 0.0)]);
    fill(&mut stage, inbound);
    stage
}

fn fill(stage: &mut Stage, inbound: u64) {
    (1..=inbound).for_each(|peer| open(stage, 0.5, peer, ConnectionType::Inbound));
    (1001..=1010).for_each(|peer| open(stage, 0.5, peer, ConnectionType::OutboundFullRelay));
    stage.until(1000.0);
}

fn open(stage: &mut Stage, time: f64, peer: u64, kind: ConnectionType) {
    let network = Network::Ipv4.into();
    stage.at(time, ConnOpened { peer, connection_type: kind.into(), network, ..Default::default() });
}

fn close(stage: &mut Stage, time: f64, peer: u64, kind: ConnectionType) {
    let network = Network::Ipv4.into();
    stage.at(time, ConnClosed { peer, connection_type: kind.into(), network, ..Default::default() });
}

fn lose(stage: &mut Stage, time: f64, peers: std::ops::RangeInclusive<u64>) {
    peers.for_each(|peer| close(stage, time, peer, ConnectionType::Inbound));
}

#[track_caller]
fn check(inbound: u64, play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = stage(inbound);
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

#[test]
fn many_at_once_and_back_again() {
    check(
        100,
        |stage| {
            lose(stage, 1100.0, 1..=45);
            (201..=245).for_each(|peer| open(stage, 1200.0, peer, ConnectionType::Inbound));
            stage.until(1600.0);
        },
        expect![[r#"
            1165 opened D09 critical node: 45 of 100 inbound peers lost within five minutes, 100 % of them ipv4
            1265 cleared D09 critical node: 45 of 100 inbound peers lost within five minutes, 100 % of them ipv4
        "#]],
    );
}

#[test]
fn what_comes_back_within_a_minute_was_not_lost() {
    check(
        100,
        |stage| {
            lose(stage, 1100.0, 1..=45);
            (201..=245).for_each(|peer| open(stage, 1140.0, peer, ConnectionType::Inbound));
            stage.until(1600.0);
        },
        expect![[""]],
    );
}

#[test]
fn a_share_of_a_small_node_counts_but_not_of_very_few() {
    let lose_and_wait = |peers| {
        move |stage: &mut Stage| {
            lose(stage, 1100.0, 1..=peers);
            stage.until(1200.0);
        }
    };
    check(
        40,
        lose_and_wait(12),
        expect![[r#"
        1165 opened D09 warn node: 12 of 40 inbound peers lost within five minutes, 100 % of them ipv4
    "#]],
    );
    check(10, lose_and_wait(8), expect![[""]]);
}

#[test]
fn who_is_replaced_is_not_lost() {
    check(
        100,
        |stage| {
            for peer in 1..=50 {
                open(stage, 1100.0, 200 + peer, ConnectionType::Inbound);
                stage.at(1100.0, ConnEvicted { peer, ..Default::default() });
                close(stage, 1100.0, peer, ConnectionType::Inbound);
            }
            // and who only looks in
            for peer in 300..=350 {
                open(stage, 1150.0, peer, ConnectionType::Inbound);
                close(stage, 1151.0, peer, ConnectionType::Inbound);
            }
            stage.until(1300.0);
        },
        expect![[""]],
    );
}

#[test]
fn outbound_peers_that_go_are_critical() {
    check(
        3,
        |stage| {
            (1001..=1008).for_each(|peer| close(stage, 1100.0, peer, ConnectionType::OutboundFullRelay));
            stage.until(1170.0);
        },
        expect![[r#"
            1165 opened D09 critical node: 2 outbound peers are left of 10
        "#]],
    );
}

/// Everybody goes within a moment, as when the node ends, or when its network is switched off.
fn lose_everybody(stage: &mut Stage) {
    lose(stage, 1100.0, 1..=100);
    (1001..=1010).for_each(|peer| close(stage, 1100.1, peer, ConnectionType::OutboundFullRelay));
}

#[test]
fn a_node_that_ends_writes_its_caches_for_a_while() {
    check(
        100,
        |stage| {
            lose_everybody(stage);
            stage.until(1270.0);
            stage.at(1270.0, HealthDetached::default());
            stage.until(1800.0);
        },
        expect![[""]],
    );
}

#[test]
fn a_node_that_says_that_it_ends_may_take_longer() {
    for say in ["log", "rpc"] {
        let mut stage = stage(100);
        lose_everybody(&mut stage);
        if say == "log" {
            let reason = EndReason::Shutdown.into();
            stage.at(1101.0, ConnEnded { peer: 1, connection_type: ConnectionType::Inbound.into(), reason, ..Default::default() });
        } else {
            stage.from(Source::Rpc, 1101.0, HealthDetached::default());
        }
        stage.until(1900.0);
        assert_eq!(stage.told(), "", "{say}");
        assert!(stage.engine.account("alice").suppressed[Guard::Restart as usize] > 0, "{say}");
    }
}

#[test]
fn nobody_left_at_a_node_that_goes_on_is_critical() {
    check(
        100,
        |stage| {
            lose_everybody(stage);
            stage.until(1300.0);
        },
        expect![[r#"
            1285 opened D09 critical node: nobody is left
        "#]],
    );
}

/// A node of which the probes alone tell, with as many peers as it allows, for so many hours.
fn settled(inbound: u64, hours: f64) -> Stage {
    settle(stage(inbound), hours)
}

fn settle(mut stage: Stage, hours: f64) -> Stage {
    [Source::Rpc, Source::Proc, Source::P2p].into_iter().for_each(|source| stage.hush(source));
    stage.until(hours * 3600.0);
    stage
}

/// Likewise, where nobody knows that it is always full.
fn unknown(hours: f64) -> Stage {
    let mut stage = Stage::new(ONLY, &[]);
    fill(&mut stage, 114);
    settle(stage, hours)
}

/// One goes, and the log says why.
fn end(stage: &mut Stage, time: f64, peer: u64, reason: EndReason) {
    let connection_type = ConnectionType::Inbound;
    close(stage, time, peer, connection_type);
    let established = Some(crate::stage::BEGIN / SECOND);
    let (connection_type, reason, reason_source) = (connection_type.into(), reason.into(), Source::Log.into());
    stage.at(time, ConnEnded { peer, connection_type, established, reason, reason_source, ..Default::default() });
}

/// So many an hour go, from the first on.
fn bleed(stage: &mut Stage, from: f64, per_hour: f64, peers: std::ops::RangeInclusive<u64>, reason: EndReason) {
    for peer in peers {
        end(stage, from * 3600.0 + peer as f64 * 3600.0 / per_hour, peer, reason);
    }
}

#[test]
fn a_full_node_that_bleeds_is_found_within_hours() {
    let mut stage = settled(114, 32.0);
    // as in May 2023: four fifths within two days
    bleed(&mut stage, 32.0, 1.9, 1..=13, EndReason::SocketClosed);
    (201..=213).for_each(|peer| open(&mut stage, 39.0 * 3600.0, peer, ConnectionType::Inbound));
    stage.until(41.0 * 3600.0);
    expect![[r#"
        128400 opened D09 warn node: 108 inbound peers, 5 % fewer than is usual
        130200 updated D09 warn node: 108 inbound peers, 5 % fewer than is usual
        132000 updated D09 warn node: 107 inbound peers, 6 % fewer than is usual
        133800 updated D09 warn node: 106 inbound peers, 7 % fewer than is usual
        135600 updated D09 warn node: 105 inbound peers, 8 % fewer than is usual
        137400 updated D09 warn node: 104 inbound peers, 9 % fewer than is usual
        139200 updated D09 warn node: 103 inbound peers, 10 % fewer than is usual
        141000 updated D09 warn node: 102 inbound peers, 11 % fewer than is usual
        142860 cleared D09 warn node: 102 inbound peers, 11 % fewer than is usual
    "#]]
    .assert_eq(&stage.told());
}

/// Thirty come and go, in the course of a day and a half.
fn restless(inbound: u64) -> Stage {
    let mut stage = settled(inbound, 1.0);
    for n in 0..36_u64 {
        let time = (1.0 + n as f64) * 3600.0;
        let absent = (n + 6) % 12 < 6;
        for peer in 1000 * (n / 6 + 2)..1000 * (n / 6 + 2) + 5 {
            let peer = peer + 5 * (n % 6);
            if absent {
                end(&mut stage, time, peer - 1000, EndReason::SocketClosed);
            } else {
                open(&mut stage, time, peer, ConnectionType::Inbound);
            }
        }
    }
    stage.told();
    stage
}

/// When the one finding was opened, in hours, and what it said then; nothing where there was none.
#[track_caller]
fn opened(told: &str) -> Option<(f64, String)> {
    let opened: Vec<&str> = told.lines().filter(|line| line.contains(" opened ")).collect();
    assert!(opened.len() < 2, "{told}");
    let (time, rest) = opened.first()?.split_once(" opened ").unwrap();
    Some((time.trim().parse::<f64>().unwrap() / 3600.0, rest.to_owned()))
}

#[test]
fn a_node_with_free_slots_may_lose_as_many_unless_they_were_broken_off() {
    for (reason, is_loss) in [(EndReason::SocketClosed, false), (EndReason::PingTimeout, true)] {
        let mut stage = restless(114);
        bleed(&mut stage, 37.5, 2.0, 1..=12, reason);
        let told = stage.told();
        let found = opened(&told);
        assert_eq!(found.is_some(), is_loss, "{told}");
        assert!(found.is_none_or(|(at, what)| (40.0..42.2).contains(&at) && what.contains("broken off")), "{told}");
    }
}

#[test]
fn fewer_than_nine_broken_off_within_six_hours_are_told_if_it_goes_on() {
    let mut stage = restless(80);
    bleed(&mut stage, 37.5, 1.3, 1..=10, EndReason::PingTimeout);
    let told = stage.told();
    let (at, what) = opened(&told).unwrap();
    assert!((41.0..45.3).contains(&at) && what.contains("broken off"), "{told}");
}

#[test]
fn those_who_go_at_once_are_one_occasion() {
    let mut stage = restless(114);
    // eight at a time, twice: the machines of one provider
    for peer in 1..=16 {
        let hour = if peer <= 8 { 38.0 } else { 46.0 };
        end(&mut stage, hour * 3600.0, peer, EndReason::PingTimeout);
    }
    stage.until(50.0 * 3600.0);
    assert_eq!(stage.told(), "");
}

/// A host whose line drops: it comes and goes, each time from another port.
fn drop_again(stage: &mut Stage, hour: f64, times: u64, minutes: u64, address: impl Fn(u64) -> String) {
    for n in 0..times {
        let (peer, address) = (50_000 + n, address(n));
        let from = hour * 3600.0 + (n * minutes * 60) as f64;
        let (connection_type, network) = (ConnectionType::Inbound.into(), Network::Ipv4.into());
        stage.at(from, ConnOpened { peer, connection_type, network, address: address.clone(), ..Default::default() });
        let until = from + minutes as f64 * 60.0;
        stage.at(until, ConnClosed { peer, connection_type, network, address: address.clone(), ..Default::default() });
        let established = Some(crate::stage::BEGIN / SECOND + from as u64);
        let (reason, reason_source) = (EndReason::PingTimeout.into(), Source::Log.into());
        stage.at(
            until,
            ConnEnded { peer, address, connection_type, network, established, reason, reason_source, ..Default::default() },
        );
    }
}

#[test]
fn one_host_whose_line_drops_again_and_again_is_one_occasion() {
    let one = |n| format!("203.0.113.7:{}", 1024 + n);
    let others = |n| format!("203.0.113.{}:8333", 7 + n);
    for many in [false, true] {
        let mut stage = restless(114);
        // others leave, as they do at night
        bleed(&mut stage, 37.0, 12.0, 1..=8, EndReason::SocketClosed);
        if many {
            drop_again(&mut stage, 38.0, 14, 40, others);
        } else {
            drop_again(&mut stage, 38.0, 14, 40, one);
        }
        let told = stage.told();
        assert_eq!(told.contains("broken off"), many, "{told}");
    }
}

#[test]
fn hours_without_a_log_do_not_show_that_nobody_was_broken_off() {
    let mut stage = settled(114, 36.0);
    bleed(&mut stage, 36.0, 2.0, 1..=9, EndReason::PingTimeout);
    // the number shows it
    let told = stage.told();
    assert!(!told.contains("broken off"), "{told}");
}

#[test]
fn before_a_day_is_known_it_is_a_loss_when_hardly_any_are_left() {
    let mut stage = settled(100, 14.0);
    bleed(&mut stage, 14.0, 12.0, 1..=75, EndReason::SocketClosed);
    stage.until(22.0 * 3600.0);
    let told = stage.told();
    let (at, what) = opened(&told).unwrap();
    assert!(at > 19.0 && what.contains("fewer than is usual"), "{told}");
}

#[test]
fn a_loss_is_over_when_they_are_back() {
    let mut stage = restless(114);
    bleed(&mut stage, 37.5, 2.0, 1..=12, EndReason::PingTimeout);
    stage.until(60.0 * 3600.0);
    let told = stage.told();
    assert!(opened(&told).is_some() && !told.contains("cleared"), "{told}");
    (5001..=5030).for_each(|peer| open(&mut stage, 60.0 * 3600.0, peer, ConnectionType::Inbound));
    stage.until(62.0 * 3600.0);
    let told = stage.told();
    assert!(told.contains("cleared"), "{told}");
}

#[test]
fn a_fast_loss_is_told_while_a_slow_one_lasts() {
    let mut stage = restless(114);
    bleed(&mut stage, 37.5, 2.0, 1..=12, EndReason::PingTimeout);
    stage.until(46.0 * 3600.0);
    assert!(opened(&stage.told()).is_some());
    // no share that would be critical
    lose(&mut stage, 46.0 * 3600.0 + 10.0, 13..=37);
    stage.until(46.2 * 3600.0);
    let told = stage.told();
    assert_eq!(told.matches(" critical ").count(), 1, "{told}");
    assert!(told.contains("25 of 102 inbound peers lost within five minutes, 100 % of them ipv4, besides a slow loss"), "{told}");
}

#[test]
fn a_slow_loss_is_reminded_of_until_they_are_back() {
    let mut stage = restless(114);
    bleed(&mut stage, 37.5, 2.0, 1..=12, EndReason::PingTimeout);
    stage.until(60.0 * 3600.0);
    let told = stage.told();
    let times: Vec<f64> = told.lines().filter_map(|line| line.trim().split(' ').next()?.parse().ok()).collect();
    assert!(times.last().is_some_and(|last| *last > 59.4 * 3600.0), "{told}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] < 1900.0), "{told}");
}

#[test]
fn a_node_that_was_restarted_fills_slowly() {
    let mut stage = settled(114, 32.0);
    stage.uptime = 0;
    stage.at(32.0 * 3600.0 + 200.0, HealthBeat::default());
    for peer in 1..=60 {
        open(&mut stage, 32.0 * 3600.0 + 200.0 + peer as f64 * 400.0, peer, ConnectionType::Inbound);
    }
    stage.until(44.0 * 3600.0);
    expect![[""]].assert_eq(&stage.told());
}

#[test]
fn soon_after_a_start_nothing_is_a_loss() {
    let mut stage = Stage::new(ONLY, &[]);
    stage.uptime = 0;
    fill(&mut stage, 100);
    lose(&mut stage, 1100.0, 1..=45);
    stage.until(1300.0);
    assert_eq!(stage.told(), "");
    assert!(stage.engine.account("alice").suppressed[Guard::Restart as usize] > 0);
}

#[test]
fn who_only_looks_in_is_no_loss() {
    check(
        100,
        |stage| {
            // in the half hour after a restart many come, and find a better place
            (201..=260).for_each(|peer| open(stage, 1100.0, peer, ConnectionType::Inbound));
            stage.until(1750.0);
            lose(stage, 1750.0, 201..=260);
            stage.until(2000.0);
        },
        expect![[""]],
    );
}

#[test]
fn the_node_s_own_count_is_believed_where_nobody_saw_them_come() {
    let mut stage = Stage::new(ONLY, &[]);
    let (network, connection_type) = (Network::Ipv4.into(), ConnectionType::Inbound.into());
    let opened = ConnOpened { peer: 1, connection_type, network, count: Some(100), ..Default::default() };
    stage.at(1000.0, opened);
    for peer in 900..912 {
        let established = Some(crate::stage::BEGIN / SECOND - 5000);
        stage.at(1001.0, ConnClosed { peer, connection_type, network, established, ..Default::default() });
    }
    stage.until(1100.0);
    // twelve of a hundred, where without the count it would be twelve of thirteen
    assert_eq!(stage.told(), "");
}

#[test]
fn missing_events_make_it_unknown() {
    check(
        100,
        |stage| {
            stage.at(1099.0, HealthLost { count: 1, ..Default::default() });
            lose(stage, 1100.0, 1..=45);
            stage.until(1200.0);
            assert!(stage.engine.account("alice").suppressed[Guard::Blind as usize] > 0);
        },
        expect![[""]],
    );
}

/// So many of 114 go in the evening and come back in the morning.
fn night(stage: &mut Stage, evening: f64, absent: u64) {
    (1..=absent).for_each(|peer| end(stage, evening * 3600.0 + 60.0 * peer as f64, peer, EndReason::SocketClosed));
    let morning = (evening + 5.0) * 3600.0;
    (1..=absent).for_each(|peer| open(stage, morning + 60.0 * peer as f64, peer, ConnectionType::Inbound));
    stage.until(morning + 3.0 * 3600.0);
}

/// What one night was says little of how low the next may be; what five were says more.
#[test]
fn a_night_may_be_lower_than_the_one_before_it() {
    for (nights, absent, is_loss) in [(1, 26, false), (1, 52, true), (5, 38, true)] {
        let mut stage = unknown(12.0);
        (0..nights).for_each(|day| night(&mut stage, 14.0 + 24.0 * f64::from(day), 10));
        assert_eq!(stage.told(), "");
        night(&mut stage, 14.0 + 24.0 * f64::from(nights), absent);
        let told = stage.told();
        assert_eq!(told.contains("opened D09 warn node"), is_loss, "{nights} nights, then {absent}: {told}");
    }
}

/// Nor does one night at which the node was full show that it always is; two do.
#[test]
fn a_node_that_was_full_for_a_night_need_not_be_so_the_next() {
    for (hours, absent, is_loss) in [(38.0, 24, false), (62.0, 12, true)] {
        let mut stage = unknown(hours);
        night(&mut stage, hours, absent);
        let told = stage.told();
        assert_eq!(told.contains("opened D09 warn node"), is_loss, "full for {hours} hours, then {absent} went: {told}");
    }
}
