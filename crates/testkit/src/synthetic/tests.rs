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

/// Every ingredient can be played, and what is an attack says who should find it.
#[test]
fn every_ingredient_plays() {
    #[track_caller]
    fn check<'a>(ingredient: &str, truth: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let usual =
            "about = 'x'\nlength = '40m'\n[population]\npeers = 20\ntransactions_per_second = 0.2\nblock_interval = 120.0\n"
                .to_owned();
        let scenario = run(&format!("{usual}[[ingredient]]\nat = '5m'\n{ingredient}"), 1);
        let truths: Vec<_> = scenario.truths().iter().map(|truth| (truth.detector.clone(), truth.entity_kind)).collect();
        assert_eq!(
            truths,
            truth.into_iter().map(|(detector, kind)| (detector.to_owned(), kind)).collect::<Vec<_>>(),
            "{ingredient}"
        );
        let end = scenario.script().begin + 40 * 60 * 1_000_000_000;
        // it changes something, and the rest of the world goes on to the end
        let (mut changed, mut last) = (false, 0);
        let mut usual = run(&usual, 1);
        for event in scenario {
            changed = changed || usual.next().as_ref() != Some(&event);
            last = event.time;
        }
        assert!(changed && last + 2_000_000_000 > end, "{ingredient}");
    }
    check("what = 'address_flood'", Some(("D01", "peer")));
    check("what = 'getaddr_answer'", None);
    check("what = 'address_chatter'", None);
    check("what = 'address_surge'\nlasts = '20m'", Some(("D02", "node")));
    check("what = 'address_churn'\nlasts = '20m'", None);
    check("what = 'peer_loss'\nlasts = '2m'", Some(("D09", "node")));
    check("what = 'turnover'\nlasts = '5m'", None);
    check("what = 'restart'", None);
    check("what = 'slot_churn'\nlasts = '20m'", Some(("D10", "node")));
    check("what = 'wallet_rush'\nlasts = '20m'", None);
    check("what = 'range_churn'\nlasts = '20m'", [("D11", "range"), ("D16", "range")]);
    check("what = 'campus'", None);
    check("what = 'scanner'", Some(("D13", "address")));
    check("what = 'scanner'\nsays_so = true", None);
    check("what = 'hosting'\nlasts = '20m'", None);
    check("what = 'listener'\nlasts = '20m'", Some(("D14", "peer")));
    check("what = 'impostors'\nlasts = '20m'", Some(("D15", "node")));
    check("what = 'odd_guests'\nlasts = '20m'", None);
    check("what = 'agent_lottery'\nlasts = '20m'", Some(("D16", "range")));
    check("what = 'blocks_only'\nlasts = '20m'\nforgot = true", None);
    check("what = 'wallet'\nlasts = '20m'", None);
    check("what = 'eclipse'\nlasts = '20m'", Some(("D19", "node")));
    check("what = 'outbound_turnover'\nlasts = '20m'", None);
    check("what = 'ping_flood'\nlasts = '10m'", Some(("D28", "peer")));
    check("what = 'impatient_client'\nlasts = '10m'", None);
    check("what = 'inv_queue'\nlasts = '20m'", Some(("D39", "node")));
    check("what = 'mempool_answer'", None);
    check("what = 'busy_blocks'\nlasts = '20m'", None);
    check("what = 'withheld_transaction'\nlasts = '10m'", Some(("D42", "peer")));
    check("what = 'slow_transactions'\nlasts = '10m'", None);
    check("what = 'replacement_cycling'\nlasts = '10m'", Some(("D45", "node")));
    check("what = 'replacement_storm'\nlasts = '10m'", Some(("D45", "node")));
    check("what = 'fee_bumping'\nlasts = '10m'", None);
    check("what = 'reconstruction_failure'\nlasts = '30m'", Some(("D50", "node")));
    check("what = 'empty_mempool'\nlasts = '30m'", None);
    check("what = 'withheld_block'\nlasts = '30m'", Some(("D51", "peer")));
    check("what = 'slow_line'\nlasts = '30m'", None);
    check("what = 'mutated_blocks'\nlasts = '20m'", Some(("D52", "address")));
    check("what = 'invalid_block'", Some(("D52", "node")));
    check("what = 'invalidate_block'", None);
    check("what = 'late_transactions'", None);
    check("what = 'other_chain'\nlasts = '20m'", None);
    check("what = 'fork'", Some(("D55", "fleet")));
    check("what = 'stale_block'", None);
    check("what = 'no_blocks'\nlasts = '30m'", Some(("D54", "node")));
    check("what = 'block_gap'\nlasts = '30m'", None);
    check("what = 'cut_off'\nlasts = '30m'\nnode = 'alice'", Some(("D54", "node")));
    check("what = 'lost_records'\nlasts = '5m'", Some(("D59", "source")));
    check("what = 'silent_source'\nlasts = '5m'\nsource = 'ebpf'", Some(("D59", "source")));
    check("what = 'divergence'\nlasts = '5m'", Some(("D59", "source")));
}

/// Nodes of one fleet have one chain: each block comes to all of them within seconds, and what one misses it gets later.
#[test]
fn a_fleet_has_one_chain() {
    let toml = "
        about = 'a fleet'
        length = '2h'
        nodes = ['alice', 'bob']
        population = { peers = 20, transactions_per_second = 0.0, block_interval = 300.0 }
        [[ingredient]]
        what = 'cut_off'
        node = 'bob'
        at = '30m'
        lasts = '30m'
    ";
    // by network and address, at which node and when
    type Visits = Vec<(String, u64)>;
    let mut came = BTreeMap::<(i32, Vec<u8>), Visits>::new();
    let scenario = run(toml, 1);
    let cut_off = scenario.script().begin + 30 * 60_000_000_000..scenario.script().begin + 60 * 60_000_000_000;
    for event in scenario {
        if let Some(Kind::ChainBlockConnected(block)) = event.kind {
            came.entry((block.height, block.hash.to_vec())).or_default().push((event.node, event.time));
        }
    }
    assert!(came.len() > 12, "{}", came.len());
    let late = |at: &[(String, u64)]| at[1].1 - at[0].1;
    let (held, usual): (Vec<_>, Vec<_>) = came.values().filter(|at| at.len() == 2).partition(|at| late(at) > 10_000_000_000);
    assert!(came.values().filter(|at| at.len() != 2).count() <= 1, "one may be on its way at the end");
    assert!(!held.is_empty() && held.iter().all(|at| cut_off.contains(&at[0].1) && at[1].0 == "bob"), "{held:?}");
    assert!(usual.len() > 6);
}

#[test]
fn thinning_leaves_out_what_is_said_to_be_left_out() {
    let count = |thin: u32| {
        let toml = format!("about = 'x'\nlength = '30m'\n[population]\npeers = 60\nthin = {thin}");
        let mut kinds: BTreeMap<KindId, u64> = BTreeMap::new();
        run(&toml, 1).for_each(|event| *kinds.entry(event.id().unwrap()).or_default() += 1);
        move |id: KindId| kinds.get(&id).copied().unwrap_or(0) as f64
    };
    let (all, thinned) = (count(1), count(10));
    let share = |id| thinned(id) / all(id);
    for id in [KindId::NetInv, KindId::NetTx, KindId::MempoolAdded] {
        assert!((0.05..0.2).contains(&share(id)), "{id}: {}", share(id));
    }
    for id in [KindId::NetPing, KindId::HealthBeat, KindId::StatePeers, KindId::NetAddrv2] {
        assert!((0.8..1.25).contains(&share(id)), "{id}: {}", share(id));
    }
}

/// What follows from a scenario's deeds at `alice`, once it was played: who may say what.
fn follows(toml: &str, strength: f64) -> Vec<(String, &'static str)> {
    let mut scenario = load(toml, Run { seed: 1, strength }).unwrap_or_else(|error| panic!("{error}"));
    scenario.by_ref().for_each(drop);
    let truths = scenario.truths().into_iter().filter(|truth| truth.consequence);
    let all: std::collections::BTreeSet<_> = truths.map(|truth| (truth.detector, truth.entity_kind)).collect();
    all.into_iter().collect()
}

#[track_caller]
fn check_follows(usual: &str, ingredient: &str, expected: &[(&str, &'static str)]) {
    let toml = format!("about = 'x'\n{usual}\n[[ingredient]]\nat = '5m'\n{ingredient}");
    let expected: Vec<_> = expected.iter().map(|(detector, kind)| ((*detector).to_owned(), *kind)).collect();
    assert_eq!(follows(&toml, 1.0), expected, "{toml}");
}

/// Visitors of whom each fifth says he is Bitcoin Core and offers nothing.
#[test]
fn a_range_under_old_names_is_a_false_identity_too() {
    const QUIET: &str = "length = '70m'\n[population]\npeers = 20\ntransactions_per_second = 0.0\ninbound_per_minute = 1.0";
    check_follows(QUIET, "what = 'range_churn'\nlasts = '60m'\nper_minute = 4.0", &[("D15", "node")]);
    check_follows(QUIET, "what = 'range_churn'\nlasts = '60m'\nper_minute = 12.0", &[("D15", "agent"), ("D15", "node")]);
    // too few of those who come
    let busy = QUIET.replace("inbound_per_minute = 1.0", "inbound_per_minute = 30.0");
    check_follows(&busy, "what = 'range_churn'\nlasts = '60m'\nper_minute = 4.0", &[]);
    // odd is not false
    check_follows(QUIET, "what = 'odd_guests'\nlasts = '60m'\nper_minute = 4.0", &[]);
}

#[test]
fn withheld_blocks_are_not_put_together() {
    let usual = "length = '3h'\n[population]\npeers = 20\ntransactions_per_second = 0.1\nblock_interval = 120.0";
    check_follows(usual, "what = 'withheld_block'\nlasts = '170m'", &[("D50", "node")]);
    check_follows(usual, "what = 'withheld_block'\nlasts = '170m'\nshare = 0.05", &[]);
    // an empty mempool is nobody's deed
    check_follows(usual, "what = 'empty_mempool'\nlasts = '170m'", &[]);
}

#[test]
fn few_peers_that_pass_on_a_surge_flood_and_many_do_not() {
    let usual = |peers: u32| {
        format!("length = '1h'\n[population]\npeers = {peers}\ntransactions_per_second = 0.0\ninbound_per_minute = 0.1")
    };
    check_follows(&usual(15), "what = 'address_surge'\nlasts = '50m'\nunique_per_day = 500000.0", &[("D01", "peer")]);
    check_follows(&usual(120), "what = 'address_surge'\nlasts = '50m'\nunique_per_day = 100000.0", &[]);
    // neither does a provider that renumbers
    check_follows(&usual(15), "what = 'address_churn'\nlasts = '50m'\nunique_per_day = 500000.0", &[]);
}

#[test]
fn a_deed_that_pushes_peers_out_of_a_full_node_takes_its_slots() {
    let usual = "length = '70m'\n[population]\npeers = 125\ntransactions_per_second = 0.0";
    let all = [("D10", "node"), ("D15", "agent"), ("D15", "node")];
    check_follows(usual, "what = 'range_churn'\nlasts = '60m'\nper_minute = 20.0\nlife = '3m'", &all);
    check_follows(usual, "what = 'wallet_rush'\nlasts = '60m'\nper_minute = 20.0", &[]);
}

#[test]
fn who_cuts_a_node_off_makes_it_fall_behind() {
    let usual = "length = '3h'\nnodes = ['alice', 'bob', 'carol']\n[population]\npeers = 20\ntransactions_per_second = 0.0";
    check_follows(usual, "what = 'eclipse'\nlasts = '1h'\nnode = 'bob'", &[("D54", "node")]);
    check_follows(usual, "what = 'cut_off'\nlasts = '100m'\nnode = 'bob'", &[("D19", "node")]);
    check_follows(usual, "what = 'cut_off'\nlasts = '1h'\nnode = 'bob'", &[]);
    // and who draws names at all three of them is the same stranger, of whom too few lie
    let often = "what = 'agent_lottery'\nlasts = '160m'\nper_minute = 0.6";
    check_follows(usual, often, &[("D13", "address"), ("D13", "range")]);
}

/// Slots stay such that somebody can be pushed out of them, however long a rush lasts: eviction protects no more than it does.
#[test]
fn a_full_node_finds_somebody_to_evict() {
    let toml = "
        about = 'a full node in a rush'
        length = '2h'
        [population]
        transactions_per_second = 0.0
        inbound_per_minute = 20.0
        onion = 0.6
        i2p = 0.25
    ";
    let mut evicted = 0;
    for event in run(toml, 1) {
        match event.kind.as_ref().unwrap() {
            Kind::ConnEvicted(_) => evicted += 1,
            kind => assert!(!matches!(kind, Kind::ConnRefused(_)), "{kind:?} after {evicted}"),
        }
    }
    assert!(evicted > 100, "{evicted}");
}
