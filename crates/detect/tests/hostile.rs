//! Attackers who know the detectors: events of any content and time, identities without end, clocks that lie.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::sync::Arc;

use detect::score::{self, Found};
use detect::thresholds::Thresholds;
use detect::{Engine, Statement};
use event::{ConnClosed, ConnOpened, ConnectionType, Direction, Event, HealthBeat, Kind, NetVersion, Network, Source};
use proptest::prelude::*;
use testkit::synthetic::{self, Run};

const SECOND: u64 = 1_000_000_000;
const BEGIN: u64 = 1_772_431_200 * SECOND;

/// Times that somebody may choose who wants to break arithmetic, and ordinary ones between them.
fn times() -> impl Strategy<Value = u64> {
    let ordinary = (0..7200_u64).prop_map(|second| BEGIN + second * SECOND);
    prop_oneof![4 => ordinary, 1 => Just(0), 1 => Just(1), 1 => Just(u64::MAX - 1), 1 => Just(u64::MAX), 1 => any::<u64>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 48 } else { 2000 }))]

    /// No content and no time of events makes it panic, and its state is one that it can go on from.
    #[test]
    fn whatever_it_is_shown(events in proptest::collection::vec((any::<u64>(), times(), 0..3_usize), 1..200)) {
        let mut engine = Engine::new(Thresholds::default(), 1);
        let mut said = Vec::new();
        for (seed, time, node) in events {
            let node = ["alice", "bob", "carol"][node].to_owned();
            engine.observe(Arc::new(Event { time, node, ..testkit::events::arbitrary(seed) }), &mut said);
        }
        let state = engine.save();
        engine.finish(&mut said);
        let (mut restored, anew) = Engine::restore(&state, Thresholds::default()).unwrap();
        prop_assert!(anew.is_empty());
        let mut again = Vec::new();
        restored.finish(&mut again);
        prop_assert!(said.ends_with(&again), "a restored state goes on as the original");
    }
}

/// A node's probes, second by second.
struct Probes {
    engine: Engine,
    said: Vec<Statement>,
    sequence: u64,
}

impl Probes {
    fn new() -> Self {
        Self { engine: Engine::new(Thresholds::default(), 1), said: Vec::new(), sequence: 0 }
    }

    fn say(&mut self, time: u64, kind: impl Into<Kind>) {
        let node_run = Some(BEGIN / SECOND - 100_000);
        let event = Event { time, node_run, run: 1, sequence: self.sequence, ..Event::new("alice", Source::Ebpf, kind) };
        self.sequence += 1;
        self.engine.observe(Arc::new(event), &mut self.said);
    }
}

#[test]
fn identities_without_end_take_bounded_room_and_are_told() {
    let identities: u64 = if cfg!(debug_assertions) { 60_000 } else { 1_000_000 };
    let mut probes = Probes::new();
    let mut sizes = Vec::new();
    for number in 0..identities {
        let time = BEGIN + number * SECOND / 100;
        if number % 100 == 0 {
            probes.say(time, HealthBeat::default());
        }
        // each from another range, under another name as long as it may be, and gone within the second
        let address = format!("{}:8333", std::net::Ipv4Addr::from(0x1000_0000 + (number as u32) * 521));
        let (connection_type, network) = (ConnectionType::Inbound.into(), Network::Ipv4.into());
        probes.say(time + 1, ConnOpened { peer: number, address: address.clone(), connection_type, network, count: None });
        let user_agent = format!("/{number:0>250}/");
        let direction = Direction::Inbound.into();
        probes.say(time + 2, NetVersion { peer: number, direction, user_agent, relay: true, ..NetVersion::default() });
        if number >= 100 {
            let address = String::new();
            probes.say(time + 3, ConnClosed { peer: number - 100, address, connection_type, network, established: None });
        }
        if (number + 1) % (identities / 4) == 0 {
            sizes.push(probes.engine.save().len());
        }
    }
    let Probes { mut engine, mut said, .. } = probes;
    engine.finish(&mut said);
    assert!(sizes.iter().all(|size| *size < 32 << 20), "bytes of state: {sizes:?}");
    // profiles are the largest table, and take long to fill; what is left is bounded by number
    let account = engine.account("alice");
    assert!(account.evicted > identities / 2, "{account:?}");
    let found = score::found(said);
    let told = |found: &&Found| found.finding.detector == "D59" && found.finding.inputs[0].name == "forgotten_entries";
    assert!(found.iter().any(|found| told(&found)), "nobody says that tables are flooded");
}

#[test]
fn a_clock_that_lies_hides_nothing() {
    let toml = "
        about = 'a storm'
        length = '25m'
        [population]
        peers = 30
        transactions_per_second = 1.0
        [[ingredient]]
        what = 'inv_queue'
        at = '10m'
        lasts = '10m'
    ";
    let scenario = synthetic::load(toml, Run { seed: 1, strength: 1.0 }).unwrap();
    let truth = scenario.truths()[0].clone();
    let mut engine = Engine::new(Thresholds::default(), 1);
    let mut said = Vec::new();
    for (number, event) in (0_u64..).zip(scenario) {
        // every now and then, a source whose lines somebody else may write states something of next year, or of long ago
        if number.is_multiple_of(1000) {
            let time = if number.is_multiple_of(2000) { event.time + 365 * 86_400 * SECOND } else { 1 };
            let lie = Event { time, run: 9, sequence: number, ..Event::new("alice", Source::Log, ConnOpened::default()) };
            engine.observe(Arc::new(lie), &mut said);
        }
        engine.observe(Arc::new(event), &mut said);
    }
    engine.finish(&mut said);
    let found = score::found(said);
    let storm = found.iter().find(|found| found.finding.detector == "D39").expect("the storm is found");
    assert!((truth.begin..truth.begin + 60 * SECOND).contains(&storm.opened), "{} s", (storm.opened - truth.begin) / SECOND);
    assert!(engine.totals().late > 0, "lies about the past are counted");
}
