use std::collections::BTreeMap;

use event::{Kind, KindId, Source};

use super::*;

const SMALL: &str = r#"
    about = "a small node"
    length = "30m"
    [population]
    peers = 30
"#;

fn run(toml: &str, seed: u64) -> Scenario {
    load(toml, Run { seed, strength: 1.0 }).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn one_seed_is_one_stream() {
    let same = || run(SMALL, 3).map(|event| event.to_bytes());
    assert!(same().eq(same()));
    assert!(!run(SMALL, 3).eq(run(SMALL, 4)));
}

/// Sequences are gapless per source and run, time goes on, and beats count what was stated.
#[test]
fn the_envelope_is_that_of_an_extractor() {
    let mut next: BTreeMap<(i32, u64), u64> = BTreeMap::new();
    let (mut last, mut count) = (0, 0);
    for event in run(SMALL, 1) {
        let expected = next.entry((event.source, event.run)).or_default();
        assert_eq!(event.sequence, *expected, "{event:?}");
        if let Some(Kind::HealthBeat(beat)) = &event.kind {
            let stated: u64 = beat.totals.iter().map(|total| total.total).sum();
            assert_eq!((stated, beat.last_sequence), (*expected, expected.checked_sub(1)));
        }
        *expected += 1;
        assert!(event.time > last);
        last = event.time;
        count += 1;
    }
    assert!(count > 10_000, "{count}");
    assert_eq!(next.len(), 6);
}

/// Every message belongs to a peer that is connected, and the node's list of peers is the one that connections make.
#[test]
fn peers_are_who_is_connected() {
    let mut connected = std::collections::BTreeSet::new();
    let mut lists = 0;
    for event in run(SMALL, 2) {
        match event.kind.as_ref().unwrap() {
            Kind::ConnOpened(opened) => assert!(connected.insert(opened.peer)),
            Kind::ConnClosed(closed) => assert!(connected.remove(&closed.peer)),
            Kind::StatePeers(list) if lists == 0 => {
                connected.extend(list.peers.iter().map(|peer| peer.id));
                lists = 1;
            }
            Kind::StatePeers(list) => {
                assert!(list.peers.iter().map(|peer| peer.id).eq(connected.iter().copied()));
                lists += 1;
            }
            kind => {
                if let Some(net) = kind.net().filter(|_| lists > 0) {
                    assert!(connected.contains(&net.peer), "{kind:?}");
                }
            }
        }
    }
    assert!(lists > 300);
}

/// Rates of the catalogue's section on baselines, over an hour at 125 peers.
#[test]
fn the_usual_is_usual() {
    let toml = r#"
        about = "an hour at noon"
        begin = "2026-03-02T11:30:00Z"
        length = "1h"
        population = { rhythm = 0.0 }
    "#;
    let mut kinds: BTreeMap<KindId, u64> = BTreeMap::new();
    let mut addresses = 0;
    let mut inbound = Vec::new();
    for event in run(toml, 5).filter(|event| event.source() == Source::Ebpf || event.source() == Source::Rpc) {
        *kinds.entry(event.id().unwrap()).or_default() += 1;
        match event.kind.as_ref().unwrap() {
            Kind::NetAddrv2(addr) if addr.direction == 1 && addr.addresses.len() <= 10 => addresses += addr.addresses.len(),
            Kind::StateNetwork(network) => inbound.push(network.connections_in()),
            _ => (),
        }
    }
    let between = |what: &str, number: f64, low: f64, high: f64| assert!((low..=high).contains(&number), "{what}: {number}");
    let count = |id: KindId| kinds.get(&id).copied().unwrap_or(0) as f64;
    between("new inbound per minute", count(KindId::ConnOpened) / 60.0, 2.5, 3.6);
    between("addresses per peer and second", addresses as f64 / 3600.0 / 110.0, 0.04, 0.15);
    between("transactions per second", count(KindId::MempoolAdded) / 3600.0, 4.5, 5.3);
    between("pings", count(KindId::NetPing) / 3600.0, 1.5, 2.5);
    between("inbound peers", inbound.iter().copied().min().unwrap_or(0).into(), 95.0, 115.0);
    let all: u64 = kinds.values().sum();
    between("events per hour", all as f64, 200_000.0, 700_000.0);
}

#[test]
fn a_file_that_is_no_scenario_is_refused_with_a_reason() {
    #[track_caller]
    fn check(toml: &str, why: &str) {
        let error = load(toml, Run { seed: 1, strength: 1.0 }).expect_err("refused").to_string();
        assert!(error.contains(why), "{error}");
    }
    check("", "missing field `about`");
    check("about = 'x'\nlength = '1w'", "`1w` is no length of time");
    check("about = 'x'\nlength = '0s'", "needs a `length`");
    check("about = 'x'\nlength = '1h'\npeers = 3", "unknown field `peers`");
    check("about = 'x'\nlength = '1h'\n[[ingredient]]\nwhat = 'rain'\nat = '1s'", "unknown variant `rain`");
    check("about = 'x'\nlength = '1h'\n[[ingredient]]\nwhat = 'campus'\nat = '1s'\npers = 2", "unknown field `pers`");
}
