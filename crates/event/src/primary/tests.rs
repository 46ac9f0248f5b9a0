use super::*;
use crate::{ConnClosed, ConnOpened, HealthAttached, HealthDetached, KindTotal, MempoolAdded, NetPing};
use Source::{Ebpf, Log};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_750_000_000 * SECOND;

/// An event at so many milliseconds.
fn at(millis: u64, source: Source, kind: impl Into<Kind>) -> Event {
    Event { time: START + millis * 1_000_000, run: 1, ..Event::new("alice", source, kind) }
}

fn close(millis: u64, source: Source) -> Event {
    at(millis, source, ConnClosed::default())
}

fn beat(millis: u64, source: Source) -> Event {
    let totals = vec![KindTotal { kind: "health.attached".into(), total: 1 }];
    at(millis, source, HealthBeat { totals, ..HealthBeat::default() })
}

fn attached(millis: u64, source: Source) -> Event {
    at(millis, source, HealthAttached::default())
}

fn detached(millis: u64, source: Source) -> Event {
    at(millis, source, HealthDetached::default())
}

/// Beats of both from one moment to another, each half a second after the other's.
fn beats(primaries: &mut Primaries, seconds: std::ops::Range<u64>, sources: &[Source]) {
    for second in seconds {
        for (offset, source) in (0..).step_by(500).zip(sources) {
            primaries.admit(&beat(second * 1000 + offset, *source));
        }
    }
}

#[test]
fn the_better_witness_counts() {
    let mut primaries = Primaries::default();
    beats(&mut primaries, 0..5, &[Ebpf, Log]);
    assert!(primaries.admit(&close(4600, Ebpf)));
    assert!(!primaries.admit(&close(4600, Log)));
    assert_eq!(primaries.primary("alice", KindId::ConnClosed), Some(Ebpf));
    assert_eq!(primaries.account(), Account::default());
}

#[test]
fn what_only_one_can_state_needs_no_beat_and_nobody_else_may() {
    let mut primaries = Primaries::default();
    assert!(primaries.admit(&at(0, Ebpf, NetPing::default())));
    assert!(!primaries.admit(&at(0, Log, NetPing::default())));
    assert!(!primaries.admit(&at(0, Source::Rpc, ConnClosed::default())));
    assert_eq!(primaries.account().foreign, 2);
}

/// From the last beat of the probes at 4 s until they have been silent for longer than three seconds, the log is not counted.
#[test]
fn who_falls_silent_is_replaced_and_what_it_left_open_is_counted() {
    let mut primaries = Primaries::default();
    beats(&mut primaries, 0..5, &[Ebpf, Log]);
    for millis in [4600, 5000, 7100] {
        assert!(!primaries.admit(&close(millis, Log)));
    }
    for millis in [5500, 6500, 7000] {
        primaries.admit(&beat(millis, Log));
        assert_eq!(primaries.primary("alice", KindId::ConnClosed), Some(Ebpf), "{millis}");
    }
    primaries.admit(&beat(7500, Log));
    assert_eq!(primaries.primary("alice", KindId::ConnClosed), Some(Log));
    assert!(primaries.admit(&close(7500, Log)) && primaries.admit(&close(9000, Log)));
    // late, of a time that was not the log's
    assert!(!primaries.admit(&close(6000, Log)));
    assert_eq!(primaries.account(), Account { switches: 1, uncovered: 4, near: 1, ..Account::default() });
}

/// The probes were only late: their backlog counts, and nothing of it twice.
#[test]
fn a_backlog_counts_for_its_own_time() {
    let mut primaries = Primaries::default();
    beats(&mut primaries, 0..2, &[Ebpf, Log]);
    beats(&mut primaries, 2..7, &[Log]);
    let seen = |primaries: &mut Primaries, millis, source| u32::from(primaries.admit(&close(millis, source)));
    let times = [2000, 3000, 4500, 5500, 6500, 8000];
    let by_log: u32 = times.iter().map(|millis| seen(&mut primaries, *millis, Log)).sum();
    let by_probes: u32 = times.iter().map(|millis| seen(&mut primaries, *millis, Ebpf)).sum();
    assert_eq!((by_log, by_probes), (3, 3));
    primaries.admit(&beat(9000, Ebpf));
    assert!(primaries.admit(&close(9100, Ebpf)) && !primaries.admit(&close(9100, Log)));
    // said late, of a time that was the log's
    assert!(primaries.admit(&close(8500, Log)) && !primaries.admit(&close(8500, Ebpf)));
    assert_eq!(primaries.account().switches, 2);
}

#[test]
fn a_detached_source_is_replaced_at_once_and_back_as_soon_as_it_is_attached() {
    let mut primaries = Primaries::default();
    primaries.admit(&attached(0, Ebpf));
    primaries.admit(&attached(100, Log));
    beats(&mut primaries, 1..3, &[Ebpf, Log]);
    primaries.admit(&detached(3000, Ebpf));
    // it goes on beating, without a node
    beats(&mut primaries, 4..8, &[Ebpf, Log]);
    assert!(primaries.admit(&close(3000, Log)) && !primaries.admit(&close(2999, Log)) && primaries.admit(&close(2999, Ebpf)));
    primaries.admit(&attached(8000, Ebpf));
    assert!(primaries.admit(&close(8000, Ebpf)) && primaries.admit(&close(7999, Log)) && !primaries.admit(&close(8000, Log)));
    assert_eq!(primaries.account().uncovered, 0);
}

/// Who begins to listen later learns it from the beats.
#[test]
fn a_source_that_beats_without_a_node_is_not_primary() {
    let mut primaries = Primaries::default();
    let mut waiting = beat(1000, Ebpf);
    waiting.kind = Some(HealthBeat::default().into());
    primaries.admit(&waiting);
    primaries.admit(&beat(1200, Log));
    assert!(primaries.admit(&close(1300, Log)));
    let totals = ["health.attached", "health.detached"].map(|kind| KindTotal { kind: kind.into(), total: 2 });
    waiting.kind = Some(HealthBeat { totals: totals.to_vec(), ..HealthBeat::default() }.into());
    waiting.run = 2;
    primaries.admit(&waiting);
    assert!(primaries.admit(&close(1400, Log)));
}

#[test]
fn a_recording_without_beats_has_one_primary() {
    let mut primaries = Primaries::default();
    assert!(primaries.admit(&close(0, Log)));
    assert!(primaries.admit(&close(10, Ebpf)));
    for second in 1..100 {
        assert!(primaries.admit(&close(second * 1000, Ebpf)) && !primaries.admit(&close(second * 1000, Log)));
    }
    assert_eq!(primaries.account().switches, 1);
}

#[test]
fn a_clock_that_was_set_back_leaves_a_primary() {
    let mut primaries = Primaries::default();
    beats(&mut primaries, 3600..3605, &[Log]);
    beats(&mut primaries, 3605..3610, &[Ebpf, Log]);
    beats(&mut primaries, 0..5, &[Ebpf, Log]);
    assert!(primaries.admit(&close(4100, Ebpf)) && !primaries.admit(&close(4100, Log)));
    beats(&mut primaries, 5..10, &[Log]);
    assert!(primaries.admit(&close(9500, Log)));
}

#[test]
fn nodes_are_apart_and_bounded() {
    let mut primaries = Primaries::default();
    for number in 0..NODES + 10 {
        let node = |event: Event| Event { node: format!("n{number}"), ..event };
        primaries.admit(&node(beat(number as u64, Ebpf)));
        assert!(primaries.admit(&node(close(number as u64, Ebpf))));
    }
    assert_eq!((primaries.nodes.len(), primaries.account().forgotten), (NODES, 10));
}

/// Every list is one that the state knows.
#[test]
fn every_list_of_several_has_its_place() {
    for id in KindId::ALL {
        if let Witnesses::Of(list) = witnesses(id) {
            assert!(list.len() == 1 || RANKS.contains(&list), "{id}");
        }
    }
}

/// A node of release 28 has no tracepoints for connections, and one of 24 none for the mempool.
#[test]
fn a_source_that_lacks_a_kind_gives_way_for_this_kind_only() {
    let lacking = |millis, missing: &[&str]| {
        let missing = missing.iter().map(|name| (*name).to_owned()).collect();
        at(millis, Ebpf, HealthAttached { missing, ..HealthAttached::default() })
    };
    let added = |millis, source| at(millis, source, MempoolAdded::default());
    let mut primaries = Primaries::default();
    primaries.admit(&lacking(0, &["net:closed_connection", "net:inbound_connection", "net:new"]));
    // nobody else is there, and half of it is better than nothing
    assert!(primaries.admit(&at(50, Ebpf, ConnOpened::default())));
    primaries.admit(&attached(100, Log));
    beats(&mut primaries, 1..3, &[Ebpf, Log]);
    for (id, source) in [
        (KindId::ConnClosed, Log),
        (KindId::ConnOpened, Log),
        (KindId::ConnEvicted, Ebpf),
        (KindId::MempoolAdded, Ebpf),
        (KindId::NetPing, Ebpf),
    ] {
        assert_eq!(primaries.primary("alice", id), Some(source), "{id}");
    }
    assert!(primaries.admit(&close(2000, Log)) && !primaries.admit(&close(2000, Ebpf)));
    assert!(primaries.admit(&added(2000, Ebpf)) && !primaries.admit(&added(2000, Log)));
    // the log falls silent
    beats(&mut primaries, 3..9, &[Ebpf]);
    assert_eq!(primaries.primary("alice", KindId::ConnOpened), Some(Ebpf));
    // the node gets a new release
    beats(&mut primaries, 9..12, &[Ebpf, Log]);
    primaries.admit(&detached(12_000, Ebpf));
    primaries.admit(&attached(13_000, Ebpf));
    beats(&mut primaries, 14..16, &[Ebpf, Log]);
    assert!(primaries.admit(&close(15_000, Ebpf)) && !primaries.admit(&close(15_000, Log)));
    // what was the log's stays the log's
    assert!(primaries.admit(&close(12_500, Log)) && !primaries.admit(&close(12_500, Ebpf)));
}

/// Every kind that probes and log both state is one of which it can be known whether the probes do.
#[test]
fn what_a_node_may_not_offer_is_known_of_every_kind_with_another_witness() {
    let stated: KindSet = STATED_BY.into_iter().map(|(id, _)| id).collect();
    let shared: KindSet = KindId::ALL.into_iter().filter(|id| matches!(witnesses(*id), Witnesses::Of([Ebpf, Log]))).collect();
    assert_eq!(stated, shared);
}

#[test]
fn who_counted_when_is_remembered_and_which_border_leaves_moments_uncovered() {
    let mut primaries = Primaries::default();
    let (node, id) = ("alice", KindId::ConnClosed);
    let at_second = |second: u64| START + second * SECOND;
    beats(&mut primaries, 0..5, &[Ebpf, Log]);
    primaries.admit(&detached(5000, Ebpf));
    assert_eq!(primaries.primary_at(node, id, at_second(4)), Some(Ebpf));
    assert_eq!((primaries.primary_at(node, id, at_second(6)), primaries.uncovered(node, id)), (Some(Log), None));
    // back, and dead without a word
    primaries.admit(&attached(7000, Ebpf));
    beats(&mut primaries, 7..9, &[Ebpf, Log]);
    beats(&mut primaries, 9..15, &[Log]);
    assert_eq!(primaries.primary_at(node, id, at_second(8)), Some(Ebpf));
    assert_eq!((primaries.primary(node, id), primaries.uncovered(node, id)), (Some(Log), Some(at_second(12))));
    assert_eq!(primaries.primary_at("bob", id, START), None);
}

/// What somebody states of a node has a source that can fall silent.
#[test]
fn every_fact_about_a_node_has_sources() {
    for id in KindId::ALL {
        let of_node = !matches!(id.family(), "health" | "finding" | "incident") && id != KindId::ProbeAddress;
        assert!(!of_node || !sources(id).is_empty(), "{id}");
        if let Witnesses::Of(list) = witnesses(id) {
            assert_eq!(sources(id), list);
        }
    }
}
