use super::*;
use crate::logger::{Colour, Line};
use bus::{Bus, Limits};
use event::Source::{Ebpf, Ipc, Log};
use event::{
    ChainBlockConnected, ChainTip, ConnClosed, ConnClosing, ConnEnded, ConnEvicted, ConnMisbehaving, ConnOpened, ConnectionType,
    EndReason, Event, HealthAttached, HealthBeat, Kind, KindTotal, LifePhase, LogLife, MempoolAdded, MempoolRejected,
    MempoolRemoved, Network, Source,
};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::collections::BTreeMap;

const START: u64 = 1_751_365_867_000_000_000;
const RUN: u64 = 1_751_300_000;

/// An event at so many milliseconds.
fn at(millis: u64, source: Source, kind: impl Into<Kind>) -> Event {
    Event { time: START + millis * 1_000_000, run: 1, node_run: Some(RUN), ..Event::new("alice", source, kind) }
}

fn beat(millis: u64, source: Source) -> Event {
    let totals = vec![KindTotal { kind: "health.attached".into(), total: 1 }];
    at(millis, source, HealthBeat { totals, ..HealthBeat::default() })
}

fn beats(millis: u64) -> [Event; 2] {
    [beat(millis, Ebpf), beat(millis, Log)]
}

fn opened(millis: u64, peer: u64) -> Event {
    let (connection_type, network) = (ConnectionType::Inbound.into(), Network::Ipv4.into());
    at(millis, Ebpf, ConnOpened { peer, address: format!("203.0.113.7:{peer}"), connection_type, network, count: Some(1) })
}

/// A close as a source knows it.
fn closed(millis: u64, source: Source, peer: u64) -> Event {
    let known = ConnClosed {
        peer,
        address: format!("203.0.113.7:{peer}"),
        connection_type: ConnectionType::Inbound.into(),
        network: Network::Ipv4.into(),
        established: Some(1_751_365_000),
    };
    at(millis, source, if source == Ebpf { known } else { ConnClosed { peer, ..ConnClosed::default() } })
}

fn closing(millis: u64, peer: u64, reason: EndReason, detail: &str) -> Event {
    at(millis, Log, ConnClosing { peer, reason: reason.into(), detail: detail.into(), ..ConnClosing::default() })
}

fn evicted(millis: u64, source: Source, peer: u64) -> Event {
    at(millis, source, ConnEvicted { peer, ..ConnEvicted::default() })
}

fn misbehaving(millis: u64, source: Source, peer: u64, reason: &str) -> Event {
    at(millis, source, ConnMisbehaving { peer, reason: reason.into(), ..ConnMisbehaving::default() })
}

/// A rejection by the probes, or, with a peer, by the log.
fn rejected(millis: u64, transaction: u8, reason: &str, by_log: Option<(u64, &str)>) -> Event {
    let base = MempoolRejected { txid: vec![transaction; 32].into(), reason: reason.into(), ..MempoolRejected::default() };
    match by_log {
        None => at(millis, Ebpf, base),
        Some((peer, detail)) => {
            let wtxid = Some(vec![transaction ^ 0xff; 32].into());
            at(millis, Log, MempoolRejected { wtxid, peer: Some(peer), detail: detail.into(), ..base })
        }
    }
}

/// What a join makes of a stream, in order.
fn join<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<Event> {
    let mut joiner = Joiner::new(Duration::from_secs(1));
    let mut facts = Vec::new();
    for event in events {
        joiner.observe(event, &mut |fact| facts.push(fact));
    }
    joiner.finish(&mut |fact| facts.push(fact));
    let event = |(time, node_run, kind)| Event { time, node_run, ..Event::new("alice", Source::Join, kind) };
    facts.into_iter().map(event).filter(|event| !matches!(event.kind, Some(Kind::HealthAttached(_)))).collect()
}

/// Events and where the joined ones come among them; both sources have beaten before.
#[track_caller]
fn check(events: impl IntoIterator<Item = Event>, expect: Expect) {
    let events: Vec<Event> = beats(0).into_iter().chain(events).collect();
    let mut joiner = Joiner::new(Duration::from_secs(1));
    let mut lines = String::new();
    let mut tell = |facts: &mut Vec<joiner::Fact>, place: &str| {
        for (time, node_run, kind) in facts.drain(..) {
            if let Kind::HealthJoined(joined) = &kind {
                for total in &joined.totals {
                    if ends::is_something(total) {
                        lines += &format!("{place} {} {total}\n", total.kind, total = text(total));
                    }
                }
            } else if !matches!(kind, Kind::HealthAttached(_)) {
                let event = Event { time, node_run, ..Event::new("", Source::Join, kind) };
                lines += &format!("{place} {}\n", Line(&event, Colour::Off));
            }
        }
    };
    let mut facts = Vec::new();
    for (place, event) in events.iter().enumerate() {
        joiner.observe(event, &mut |fact| facts.push(fact));
        tell(&mut facts, &format!("{}:", place as i64 - 1));
    }
    joiner.finish(&mut |fact| facts.push(fact));
    tell(&mut facts, "end:");
    expect.assert_eq(&lines);
}

fn text(total: &event::JoinTotal) -> String {
    let event::JoinTotal { joined, single, late, contradicting, forgotten, unmatched, .. } = total;
    format!(
        "{joined} joined, {single} single, {late} late, {contradicting} contradicting, {forgotten} forgotten, {unmatched} unmatched"
    )
}

#[test]
fn a_reason_before_its_close() {
    check(
        [closing(900, 7, EndReason::SocketClosed, ""), closed(950, Ebpf, 7), closed(951, Log, 7)],
        expect![[r#"
        2: 10:31:07.950000 # CONN ended peer=7 address=203.0.113.7:7 connection_type=inbound network=ipv4 established=2025-07-01T10:16:40Z reason=socket_closed reason_source=log
        end: conn.ended 1 joined, 0 single, 0 late, 0 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
}

#[test]
fn a_reason_after_its_close() {
    check(
        [opened(10, 7), closed(950, Ebpf, 7), closing(949, 7, EndReason::PingTimeout, "1200.000001")],
        expect![[r#"
        3: 10:31:07.950000 # CONN ended peer=7 address=203.0.113.7:7 connection_type=inbound network=ipv4 established=2025-07-01T10:16:40Z reason=ping_timeout detail=1200.000001 reason_source=log
        end: conn.ended 1 joined, 0 single, 0 late, 0 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
}

#[test]
fn an_eviction_is_the_reason_whatever_else_the_log_says() {
    check(
        [evicted(900, Ebpf, 7), closed(950, Ebpf, 7), closing(901, 7, EndReason::SocketClosed, "")],
        expect![[r#"
        2: 10:31:07.950000 # CONN ended peer=7 address=203.0.113.7:7 connection_type=inbound network=ipv4 established=2025-07-01T10:16:40Z reason=evicted reason_source=ebpf
        end: conn.ended 1 joined, 0 single, 0 late, 1 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
    check(
        [evicted(900, Log, 7), evicted(900, Ebpf, 7), closed(950, Ebpf, 7)],
        expect![[r#"
        3: 10:31:07.950000 # CONN ended peer=7 address=203.0.113.7:7 connection_type=inbound network=ipv4 established=2025-07-01T10:16:40Z reason=evicted reason_source=log
        end: conn.ended 1 joined, 0 single, 0 late, 0 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
}

#[test]
fn misbehaviour_is_the_reason_if_the_log_has_no_other() {
    check(
        [misbehaving(900, Ebpf, 7, "mutated block"), closed(950, Ebpf, 7), beat(2000, Log), beat(2000, Ebpf)],
        expect![[r#"
        4: 10:31:07.950000 # CONN ended peer=7 address=203.0.113.7:7 connection_type=inbound network=ipv4 established=2025-07-01T10:16:40Z reason=misbehaving detail="mutated block" reason_source=ebpf
        end: conn.ended 1 joined, 0 single, 0 late, 0 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
    check(
        [misbehaving(900, Ebpf, 7, "mutated block"), closed(950, Ebpf, 7), closing(940, 7, EndReason::Misbehaving, "")],
        expect![[r#"
            3: 10:31:07.950000 # CONN ended peer=7 address=203.0.113.7:7 connection_type=inbound network=ipv4 established=2025-07-01T10:16:40Z reason=misbehaving detail="mutated block" reason_source=log
            end: conn.ended 1 joined, 0 single, 0 late, 0 contradicting, 0 forgotten, 0 unmatched
        "#]],
    );
    // a peer that may
    check(
        [misbehaving(900, Ebpf, 7, "mutated block"), closed(9500, Ebpf, 7)],
        expect![[r#"
        end: 10:31:16.500000 # CONN ended peer=7 address=203.0.113.7:7 connection_type=inbound network=ipv4 established=2025-07-01T10:16:40Z reason=unspecified reason_source=unspecified
        end: conn.ended 0 joined, 1 single, 0 late, 0 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
}

/// Stated as soon as both sources have passed the window, or one of them is later than late.
#[test]
fn no_reason_in_time() {
    let [probes, log] = [|millis| beat(millis, Ebpf), |millis| beat(millis, Log)];
    check(
        [closed(500, Ebpf, 7), probes(1000), log(1400), probes(2000), log(2400)],
        expect![[r#"
        5: 10:31:07.500000 # CONN ended peer=7 address=203.0.113.7:7 connection_type=inbound network=ipv4 established=2025-07-01T10:16:40Z reason=unspecified reason_source=unspecified
        end: conn.ended 0 joined, 1 single, 0 late, 0 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
    check(
        [closed(500, Ebpf, 7), probes(1000), probes(2000), probes(3000), probes(4000)],
        expect![[r#"
        5: 10:31:07.500000 # CONN ended peer=7 address=203.0.113.7:7 connection_type=inbound network=ipv4 established=2025-07-01T10:16:40Z reason=unspecified reason_source=unspecified
        end: conn.ended 0 joined, 1 single, 0 late, 0 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
}

#[test]
fn who_is_alone_does_not_wait() {
    let alone = |source, close| {
        let events: Vec<Event> = [beat(0, source), close].into();
        join(&events).iter().map(|event| Line(event, Colour::Off).to_string()).collect::<Vec<_>>().join("\n")
    };
    expect![[r#"
        10:31:07.500000 alice # CONN ended peer=7 address=203.0.113.7:7 connection_type=inbound network=ipv4 established=2025-07-01T10:16:40Z reason=unspecified reason_source=unspecified
        10:31:07.000000 alice # HEALTH joined totals=2"#]].assert_eq(&alone(Ebpf, closed(500, Ebpf, 7)));
    expect![[r#"
        10:31:07.500000 alice # CONN ended peer=7 connection_type=unspecified network=unspecified reason=unspecified reason_source=unspecified
        10:31:07.000000 alice # HEALTH joined totals=2"#]].assert_eq(&alone(Log, closed(500, Log, 7)));
}

/// The probes' ring was full: the log's close is taken when theirs does not come.
#[test]
fn a_close_that_the_probes_lost() {
    let events = [opened(10, 7), closing(500, 7, EndReason::SendTimeout, "20"), closed(501, Log, 7)];
    check(
        events.into_iter().chain(beats(1000)).chain(beats(2000)),
        expect![[r#"
        7: 10:31:07.501000 # CONN ended peer=7 address=203.0.113.7:7 connection_type=inbound network=ipv4 reason=send_timeout detail=20 reason_source=log
        end: conn.ended 1 joined, 0 single, 0 late, 0 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
}

#[test]
fn late_and_contradicting_witnesses_are_counted() {
    let late = [closed(500, Ebpf, 7)].into_iter().chain(beats(1000)).chain(beats(2000));
    check(
        late.chain([closing(600, 7, EndReason::SocketClosed, "")]),
        expect![[r#"
        5: 10:31:07.500000 # CONN ended peer=7 address=203.0.113.7:7 connection_type=inbound network=ipv4 established=2025-07-01T10:16:40Z reason=unspecified reason_source=unspecified
        end: conn.ended 0 joined, 1 single, 1 late, 0 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
    let twice = [closing(500, 7, EndReason::PingTimeout, ""), closing(501, 7, EndReason::SocketClosed, ""), closed(502, Ebpf, 7)];
    check(
        twice,
        expect![[r#"
        3: 10:31:07.502000 # CONN ended peer=7 address=203.0.113.7:7 connection_type=inbound network=ipv4 established=2025-07-01T10:16:40Z reason=ping_timeout reason_source=log
        end: conn.ended 1 joined, 0 single, 0 late, 1 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
    let nothing_follows = (1..80).flat_map(|second| beats(second * 1000));
    check(
        [closing(500, 7, EndReason::PingTimeout, "")].into_iter().chain(nothing_follows),
        expect![[r#"
        140: conn.ended 0 joined, 0 single, 0 late, 0 contradicting, 0 forgotten, 1 unmatched
    "#]],
    );
}

#[test]
fn a_rejection_and_who_sent_it() {
    check(
        [
            opened(10, 7),
            rejected(500, 1, "min relay fee not met", None),
            rejected(500, 1, "min relay fee not met", Some((7, "0 < 141"))),
        ],
        expect![[r#"
        3: 10:31:07.500000 # MEMPOOL refused txid=0101010101010101010101010101010101010101010101010101010101010101 reason="min relay fee not met" detail="0 < 141" wtxid=fefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefe peer=7 address=203.0.113.7:7
        end: mempool.refused 1 joined, 0 single, 0 late, 0 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
    check(
        [rejected(500, 1, "dust", Some((7, ""))), rejected(490, 1, "dust", None)],
        expect![[r#"
        2: 10:31:07.490000 # MEMPOOL refused txid=0101010101010101010101010101010101010101010101010101010101010101 reason=dust wtxid=fefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefe peer=7
        end: mempool.refused 1 joined, 0 single, 0 late, 0 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
    // the log was cut at another place
    check(
        [rejected(500, 1, "bad, worse", None), rejected(500, 1, "bad", Some((7, "worse, and more")))],
        expect![[r#"
        2: 10:31:07.500000 # MEMPOOL refused txid=0101010101010101010101010101010101010101010101010101010101010101 reason="bad, worse" detail="and more" wtxid=fefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefe peer=7
        end: mempool.refused 1 joined, 0 single, 0 late, 0 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
}

#[test]
fn the_same_transaction_several_times() {
    let probes = |millis| rejected(millis, 1, "dust", None);
    let log = |millis, peer| rejected(millis, 1, "dust", Some((peer, "")));
    check(
        [probes(100), probes(200), log(100, 7), probes(300), log(200, 8), log(300, 9)],
        expect![[r#"
        3: 10:31:07.100000 # MEMPOOL refused txid=0101010101010101010101010101010101010101010101010101010101010101 reason=dust wtxid=fefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefe peer=7
        5: 10:31:07.200000 # MEMPOOL refused txid=0101010101010101010101010101010101010101010101010101010101010101 reason=dust wtxid=fefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefe peer=8
        6: 10:31:07.300000 # MEMPOOL refused txid=0101010101010101010101010101010101010101010101010101010101010101 reason=dust wtxid=fefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefe peer=9
        end: mempool.refused 3 joined, 0 single, 0 late, 0 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
}

#[test]
fn a_rejection_with_one_witness() {
    let by_rpc = rejected(500, 1, "dust", None);
    check(
        [by_rpc].into_iter().chain(beats(1000)).chain(beats(2000)),
        expect![[r#"
        5: 10:31:07.500000 # MEMPOOL refused txid=0101010101010101010101010101010101010101010101010101010101010101 reason=dust
        end: mempool.refused 0 joined, 1 single, 0 late, 0 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
    let in_a_package = rejected(500, 1, "dust", Some((7, "")));
    check(
        [in_a_package].into_iter().chain(beats(1000)).chain(beats(2000)),
        expect![[r#"
        5: 10:31:07.500000 # MEMPOOL refused txid=0101010101010101010101010101010101010101010101010101010101010101 reason=dust wtxid=fefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefe peer=7
        end: mempool.refused 0 joined, 1 single, 0 late, 0 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
    let late = [rejected(500, 1, "dust", None)].into_iter().chain(beats(1000)).chain(beats(2000));
    check(
        late.chain([rejected(500, 1, "dust", Some((7, "")))]),
        expect![[r#"
        5: 10:31:07.500000 # MEMPOOL refused txid=0101010101010101010101010101010101010101010101010101010101010101 reason=dust
        end: mempool.refused 0 joined, 1 single, 1 late, 0 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
    let two_reasons = [rejected(500, 1, "dust", None), rejected(500, 1, "tx-size", Some((7, "")))];
    check(
        two_reasons.into_iter().chain(beats(1000)).chain(beats(2000)),
        expect![[r#"
        6: 10:31:07.500000 # MEMPOOL refused txid=0101010101010101010101010101010101010101010101010101010101010101 reason=dust
        6: 10:31:07.500000 # MEMPOOL refused txid=0101010101010101010101010101010101010101010101010101010101010101 reason=tx-size wtxid=fefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefe peer=7
        end: mempool.refused 0 joined, 2 single, 0 late, 1 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
}

/// A log without `-logtimemicros` says 0 s of what was at 0.95 s.
#[test]
fn whole_seconds_are_a_second_long() {
    check(
        [
            closed(1990, Ebpf, 7),
            misbehaving(0, Log, 7, "x"),
            rejected(1990, 1, "dust", None),
            rejected(1000, 1, "dust", Some((7, ""))),
        ],
        expect![[r#"
        4: 10:31:08.990000 # MEMPOOL refused txid=0101010101010101010101010101010101010101010101010101010101010101 reason=dust wtxid=fefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefe peer=7 address=203.0.113.7:7
        end: 10:31:08.990000 # CONN ended peer=7 address=203.0.113.7:7 connection_type=inbound network=ipv4 established=2025-07-01T10:16:40Z reason=misbehaving detail=x reason_source=log
        end: conn.ended 1 joined, 0 single, 0 late, 0 contradicting, 0 forgotten, 0 unmatched
        end: mempool.refused 1 joined, 0 single, 0 late, 0 contradicting, 0 forgotten, 0 unmatched
    "#]],
    );
}

#[test]
fn another_life_of_the_node_has_other_peers() {
    let later = |event: Event| Event { node_run: Some(RUN + 60), ..event };
    check(
        [
            closed(500, Ebpf, 7),
            closing(600, 8, EndReason::SocketClosed, ""),
            later(opened(60_000, 8)),
            closing(700, 7, EndReason::SocketClosed, ""),
            later(closed(60_100, Ebpf, 7)),
            later(closed(60_200, Ebpf, 8)),
        ],
        expect![[r#"
            3: 10:31:07.500000 # CONN ended peer=7 address=203.0.113.7:7 connection_type=inbound network=ipv4 established=2025-07-01T10:16:40Z reason=unspecified reason_source=unspecified
            end: 10:32:07.100000 # CONN ended peer=7 address=203.0.113.7:7 connection_type=inbound network=ipv4 established=2025-07-01T10:16:40Z reason=unspecified reason_source=unspecified
            end: 10:32:07.200000 # CONN ended peer=8 address=203.0.113.7:8 connection_type=inbound network=ipv4 established=2025-07-01T10:16:40Z reason=unspecified reason_source=unspecified
            end: conn.ended 0 joined, 3 single, 1 late, 0 contradicting, 0 forgotten, 1 unmatched
        "#]],
    );
}

#[test]
fn tables_are_bounded_and_everything_is_stated() {
    const MANY: u64 = 10_000;
    let reasons = (0..MANY).map(|peer| closing(peer / 100, MANY + peer, EndReason::Operator, ""));
    let closes = (0..MANY).map(|peer| closed(100 + peer / 100, Ebpf, peer));
    let rejections = (0..MANY).map(|number| {
        let txid = number.to_le_bytes().repeat(4).into();
        at(number / 100, Ebpf, MempoolRejected { txid, reason: "dust".into(), ..MempoolRejected::default() })
    });
    // the other witness of each close, long after that was forgotten
    let again = (0..MANY).map(|peer| closed(100 + peer / 100, Log, peer));
    let events: Vec<Event> = beats(0).into_iter().chain(reasons).chain(closes).chain(again).chain(rejections).collect();
    let facts = join(&events);
    let count = |kind: &str| facts.iter().filter(|event| event.id().is_some_and(|id| id.name() == kind)).count() as u64;
    assert_eq!((count("conn.ended"), count("mempool.refused")), (MANY, MANY));
    let Some(Kind::HealthJoined(joined)) = &facts.last().unwrap().kind else { panic!("{:?}", facts.last()) };
    // all reasons gave way to closes, and all but the last closes were stated early
    assert_eq!(joined.totals[0].forgotten, MANY + MANY - 4096);
    assert_eq!(joined.totals[1].forgotten, MANY - 4096);
}

#[test]
fn a_recording_that_was_joined_is_not_joined_again() {
    let replayed = |event: Event| Event { replay: true, ..event };
    let events = [closing(500, 7, EndReason::SocketClosed, ""), closed(501, Ebpf, 7)].map(replayed);
    let ended = |events: &[Event]| join(events).iter().filter(|event| matches!(event.kind, Some(Kind::ConnEnded(_)))).count();
    assert_eq!(ended(&events), 1);
    let joined = replayed(at(100, Source::Join, HealthAttached::default()));
    assert_eq!(ended(&[&[joined.clone()][..], &events].concat()), 0);
    // its own events come back to it live
    assert_eq!(ended(&[&[Event { replay: false, ..joined }][..], &events].concat()), 1);
}

/// What happens to a node, with what each witness makes of it.
#[derive(Clone, Debug)]
enum Happening {
    /// A peer comes, and goes for this reason: none, an eviction, misbehaviour, or what the log says.
    Visit(EndReason),
    /// A peer sends one of a few transactions, for one of a few reasons.
    Rejection {
        transaction: u8,
        reason: u8,
    },
    Transaction,
    Block,
}

fn happening() -> impl Strategy<Value = Happening> {
    use EndReason::{Evicted, Misbehaving, SocketClosed, Unspecified};
    let reasons = [Unspecified, Evicted, Misbehaving, SocketClosed];
    prop_oneof![
        (0..reasons.len()).prop_map(move |place| Happening::Visit(reasons[place])),
        (0..4_u8, 0..2_u8).prop_map(|(transaction, reason)| Happening::Rejection { transaction, reason }),
        Just(Happening::Transaction),
        Just(Happening::Block),
    ]
}

/// Everything that the witnesses state, each in its order and at its time.
fn statements(happenings: &[Happening]) -> BTreeMap<i32, Vec<Event>> {
    let mut all: Vec<Event> = Vec::new();
    for (number, happening) in (0..).zip(happenings) {
        let millis = 100 + number * 170;
        let peer = number;
        let both = |kind: Kind| [at(millis, Ebpf, kind.clone()), at(millis + 3, Log, kind)];
        match happening {
            Happening::Visit(reason) => {
                all.extend([opened(millis, peer), at(millis + 1, Log, ConnOpened { peer, ..ConnOpened::default() })]);
                match reason {
                    EndReason::Unspecified => {}
                    EndReason::Evicted => all.extend([evicted(millis + 50, Ebpf, peer), evicted(millis + 51, Log, peer)]),
                    EndReason::Misbehaving => {
                        all.extend([misbehaving(millis + 50, Ebpf, peer, "words"), misbehaving(millis + 51, Log, peer, "words")]);
                        all.push(closing(millis + 60, peer, *reason, ""));
                    }
                    reason => all.push(closing(millis + 60, peer, *reason, "")),
                }
                all.extend([closed(millis + 100, Ebpf, peer), closed(millis + 101, Log, peer)]);
            }
            Happening::Rejection { transaction, reason } => {
                let reason = ["dust", "tx-size"][usize::from(*reason)];
                all.push(rejected(millis, *transaction, reason, None));
                all.push(rejected(millis + 3, *transaction, reason, Some((peer, "detail"))));
            }
            Happening::Transaction => {
                all.extend(both(MempoolAdded::default().into()));
                all.extend(both(MempoolRemoved::default().into()));
            }
            Happening::Block => {
                all.extend(both(ChainBlockConnected::default().into()));
                all.extend([at(millis, Ipc, ChainTip::default()), at(millis + 3, Log, ChainTip::default())]);
            }
        }
    }
    let end = 100 + 170 * happenings.len() as u64;
    for (source, phase) in [(Ebpf, 0), (Log, 370), (Ipc, 710)] {
        all.push(at(0, source, HealthAttached::default()));
        // the longest pause between two beats is a second, so that no delay looks like death
        all.extend((0..end / 1000 + 6).map(|second| beat(second * 1000 + phase, source)));
    }
    all.sort_by_key(|event| event.time);
    let mut by_source = BTreeMap::<i32, Vec<Event>>::new();
    for event in all {
        by_source.entry(event.source).or_default().push(event);
    }
    by_source
}

/// One stream of several: each keeps its order, and arrives late by what comes from `delays`, milliseconds.
fn interleave(by_source: &BTreeMap<i32, Vec<Event>>, delays: &[u64]) -> Vec<Event> {
    let mut arrivals = Vec::new();
    let mut delays = delays.iter().cycle();
    for (source, events) in by_source {
        let mut last = 0;
        for event in events {
            last = last.max(event.time + delays.next().unwrap() * 1_000_000);
            arrivals.push((last, *source, event));
        }
    }
    // each has found its node before anything happens
    arrivals.iter_mut().filter(|(.., event)| event.time == START).for_each(|(arrival, ..)| *arrival = START);
    // a stable sort: what arrives together stays in order
    arrivals.sort_by_key(|(arrival, source, _)| (*arrival, *source));
    arrivals.into_iter().map(|(.., event)| event.clone()).collect()
}

/// What does not fail over from the probes to the log.
fn primary_alone(event: &Event) -> bool {
    matches!(event.kind, Some(Kind::HealthBeat(_) | Kind::HealthAttached(_) | Kind::ChainTip(_) | Kind::ConnClosing(_)))
}

proptest! {
    /// All sources on, in any interleaving within the lateness: everything that happened counts once.
    #[test]
    fn nothing_is_counted_twice_and_nothing_once_too_few(
        happenings in prop::collection::vec(happening(), 1..80),
        delays in prop::collection::vec(0..1900_u64, 1..200),
    ) {
        let stream = interleave(&statements(&happenings), &delays);
        let joined = join(&stream);

        let mut primaries = Primaries::default();
        let mut counts = BTreeMap::<&str, usize>::new();
        for event in stream.iter().chain(&joined) {
            if primaries.admit(event) {
                *counts.entry(event.id().unwrap().name()).or_default() += 1;
            }
        }
        let of = |wanted: fn(&Happening) -> bool| happenings.iter().filter(|happening| wanted(happening)).count();
        let visits = of(|happening| matches!(happening, Happening::Visit(_)));
        let rejections = of(|happening| matches!(happening, Happening::Rejection { .. }));
        let (transactions, blocks) = (of(|h| matches!(h, Happening::Transaction)), of(|h| matches!(h, Happening::Block)));
        for (kind, expected) in [
            ("conn.opened", visits),
            ("conn.closed", visits),
            ("conn.evicted", of(|h| matches!(h, Happening::Visit(EndReason::Evicted)))),
            ("conn.misbehaving", of(|h| matches!(h, Happening::Visit(EndReason::Misbehaving)))),
            ("conn.ended", visits),
            ("mempool.rejected", rejections),
            ("mempool.refused", rejections),
            ("mempool.added", transactions),
            ("mempool.removed", transactions),
            ("chain.block_connected", blocks),
            ("chain.tip", blocks),
        ] {
            prop_assert_eq!(counts.get(kind).copied().unwrap_or(0), expected, "{}", kind);
        }
        prop_assert_eq!(primaries.account().uncovered, 0);

        let mut ends: Vec<(u64, EndReason)> = Vec::new();
        let mut senders: Vec<(u8, String, Option<u64>)> = Vec::new();
        for event in &joined {
            match &event.kind {
                Some(Kind::ConnEnded(ended)) => ends.push((ended.peer, ended.reason())),
                Some(Kind::MempoolRefused(refused)) => senders.push((refused.txid[0], refused.reason.clone(), refused.peer)),
                _ => {}
            }
        }
        ends.sort_unstable_by_key(|(peer, _)| *peer);
        senders.sort();
        let mut expected_ends = Vec::new();
        let mut expected_senders = Vec::new();
        for (peer, happening) in (0..).zip(&happenings) {
            match happening {
                Happening::Visit(reason) => expected_ends.push((peer, *reason)),
                Happening::Rejection { transaction, reason } => {
                    expected_senders.push((*transaction, ["dust", "tx-size"][usize::from(*reason)].to_owned(), Some(peer)));
                }
                _ => {}
            }
        }
        expected_senders.sort();
        prop_assert_eq!(ends, expected_ends);
        prop_assert_eq!(senders, expected_senders);
    }

    /// The probes fall silent at some time, perhaps for good: what may have been counted wrongly is no more than what is said to be.
    #[test]
    fn a_switch_is_accounted_for(
        happenings in prop::collection::vec(happening(), 1..120),
        delays in prop::collection::vec(0..900_u64, 1..200),
        dead in 0..15_000_u64,
        length in 6000..12_000_u64,
        late in any::<bool>(),
    ) {
        let mut by_source = statements(&happenings);
        let dead = START + dead * 1_000_000..START + (dead + length) * 1_000_000;
        let probes = by_source.get_mut(&(Ebpf as i32)).unwrap();
        let mut stalled = Vec::new();
        if late {
            // everything comes when it lives again
            stalled = probes.extract_if(.., |event| dead.contains(&event.time)).collect();
        } else {
            probes.retain(|event| !dead.contains(&event.time));
        }
        let mut stream = interleave(&by_source, &delays);
        let back = stream.iter().position(|event| event.source() == Ebpf && event.time >= dead.end).unwrap_or(stream.len());
        stream.splice(back..back, stalled);

        let mut primaries = Primaries::default();
        let counted = stream.iter().filter(|event| primaries.admit(event) && !primary_alone(event)).count() as u64;
        let facts = happenings.iter().map(|happening| match happening {
            Happening::Visit(EndReason::Evicted | EndReason::Misbehaving) => 3,
            Happening::Visit(_) | Happening::Transaction => 2,
            Happening::Rejection { .. } => 1,
            Happening::Block => 1,
        }).sum::<u64>();
        let account = primaries.account();
        prop_assert!(counted <= facts + account.near, "{} of {}: {:?}", counted, facts, account);
        prop_assert!(counted + account.uncovered + account.near >= facts, "{} of {}: {:?}", counted, facts, account);
    }

    /// Any events at all, in any order: no panic, and no peer ends twice in one life.
    #[test]
    fn any_stream_is_survived(seeds in prop::collection::vec(any::<u64>(), 0..300)) {
        let events: Vec<Event> = seeds.into_iter().map(testkit::events::arbitrary).collect();
        let mut joiner = Joiner::new(Duration::from_secs(1));
        for event in &events {
            joiner.observe(event, &mut |_| {});
        }
        joiner.finish(&mut |_| {});
    }
}

/// What waits when everything is told to stop is published before the tool ends, and what was published before that is heard.
#[tokio::test]
async fn the_last_facts_come_out_before_the_bus_closes() {
    let bus = Bus::local();
    let node: NodeName = "alice".parse().unwrap();
    let mut seen = bus.subscribe(Filter::kinds([KindId::ConnEnded, KindId::HealthJoined]), Limits::default()).await.unwrap();
    let events = bus.subscribe(filter(&node), Limits::default()).await.unwrap();
    let (probes, log) = (bus.publisher(node.clone(), Ebpf), bus.publisher(node.clone(), Log));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let out = bus.publisher(node, Source::Join);
    let config = Config { join_wait: Duration::from_secs(1) };
    let tool = tokio::spawn(run(config, events, out, async { drop(stopped.await) }));
    for event in beats(0).into_iter().chain([closed(10, Ebpf, 1), closed(20, Ebpf, 2), closing(20, 2, EndReason::Operator, "")]) {
        let publisher = if event.source() == Ebpf { &probes } else { &log };
        publisher.publish(event.time, event.node_run, event.kind.unwrap());
    }
    stop.send(()).unwrap();
    tool.await.unwrap().unwrap();
    bus.close().await;
    let mut reasons = BTreeMap::new();
    let mut accounts = 0;
    while let Some(Delivery::Event(event)) = seen.next().await {
        match &event.kind {
            Some(Kind::ConnEnded(ConnEnded { peer, reason, .. })) => _ = reasons.insert(*peer, *reason),
            Some(Kind::HealthJoined(_)) => accounts += 1,
            other => panic!("{other:?}"),
        }
    }
    let expected = BTreeMap::from([(1, EndReason::Unspecified.into()), (2, EndReason::Operator.into())]);
    assert_eq!((reasons, accounts), (expected, 1));
}

/// One peer connects and leaves, as a log says it.
fn visit(millis: u64, node_run: Option<u64>, peer: u64) -> [Event; 2] {
    [closing(millis, peer, EndReason::SocketClosed, ""), closed(millis, Log, peer)].map(|event| Event { node_run, ..event })
}

fn started(millis: u64, source: Source, node_run: u64) -> Event {
    let life = LogLife { phase: LifePhase::Started.into(), version: "v31.0.0".into(), ..LogLife::default() };
    Event { node_run: Some(node_run), ..at(millis, source, life) }
}

/// Peers whose end was stated, and how often a witness was late or contradicted.
fn ends(events: impl IntoIterator<Item = Event>) -> (Vec<u64>, u64) {
    let facts = join(&[beat(0, Log)].into_iter().map(|event| Event { node_run: None, ..event }).chain(events).collect::<Vec<_>>());
    let peers = facts.iter().filter_map(|fact| if let Some(Kind::ConnEnded(ended)) = &fact.kind { Some(ended.peer) } else { None });
    let account =
        facts.iter().rev().find_map(|fact| if let Some(Kind::HealthJoined(joined)) = &fact.kind { Some(joined) } else { None });
    (peers.collect(), account.map_or(0, |account| account.totals.iter().map(|total| total.late + total.contradicting).sum()))
}

/// A log that is followed without its process: one of another machine, or through a pipe.
#[test]
fn peers_of_a_node_that_restarts_are_others_though_its_first_life_has_no_name() {
    let seconds = START / 1_000_000_000;
    let first = (0..3).flat_map(|peer| visit(1000, None, peer));
    let second = |run| [started(4000, Log, run)].into_iter().chain((0..3).flat_map(move |peer| visit(4500, Some(run), peer)));
    assert_eq!(ends(first.clone().chain(second(seconds + 4))), (vec![0, 1, 2, 0, 1, 2], 0));
    // within the second of the last fact
    assert_eq!(ends(first.chain(second(seconds))), (vec![0, 1, 2, 0, 1, 2], 0));
    // the process is found later than the first facts
    let (before, after) = (visit(1000, None, 0), visit(1500, Some(RUN), 0));
    assert_eq!(ends(before.into_iter().chain(after)).0, [0]);
}

/// A node that crashes as it starts.
#[test]
fn peers_of_a_node_that_starts_again_and_again_are_others() {
    for step in [0, 1, 2, 10] {
        let life = |life: u64| {
            let (run, millis) = (RUN + life * step, 1000 + life * step * 1000);
            [started(millis, Log, run)].into_iter().chain((0..2).flat_map(move |peer| visit(millis, Some(run), peer)))
        };
        assert_eq!(ends((0..3).flat_map(life)), ([0, 1].repeat(3), 0), "{step} s");
    }
}

/// The probes know of the next life before the log, and the log still tells of the one before.
#[test]
fn who_is_behind_tells_of_the_life_before() {
    let of = |run: u64, event: Event| Event { node_run: Some(run), ..event };
    let events = [
        of(RUN, closed(100, Ebpf, 0)),
        of(RUN, closing(90, 0, EndReason::SocketClosed, "")),
        of(RUN + 2, closed(2100, Ebpf, 0)),
        of(RUN, closing(200, 1, EndReason::SocketClosed, "")),
        started(2000, Log, RUN + 2),
        of(RUN + 2, closing(2090, 0, EndReason::PingTimeout, "")),
        of(RUN + 2, closed(2100, Log, 0)),
    ];
    assert_eq!(ends(events), (vec![0, 0], 1));
}

/// A log that names a life by its first line, and then by its process.
#[test]
fn a_life_that_gets_an_earlier_name_is_the_same() {
    let events = visit(1000, Some(RUN + 5), 0).into_iter().chain(visit(1500, Some(RUN), 0)).chain(visit(1500, Some(RUN), 1));
    assert_eq!(ends([started(900, Log, RUN + 5)].into_iter().chain(events)).0, [0, 1]);
}
