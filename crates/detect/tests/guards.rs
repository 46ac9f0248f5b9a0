//! What each guard keeps back: the same attack twice, with the usual thresholds; the second time with what the guard looks for.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::sync::Arc;

use detect::score::{self, Found};
use detect::thresholds::Thresholds;
use detect::{Engine, FLEET, Guard};
use event::{ChainBlockConnected, ConnectionType, Direction, Event, HealthAttached, HealthLost, Kind, NetGetaddr, Network, Source};
use testkit::synthetic::{self, Run};

const QUEUE: &str = "
    [[ingredient]]
    what = 'inv_queue'
    at = '5m'
    lasts = '4m'
";

const LOSS: &str = "
    [[ingredient]]
    what = 'peer_loss'
    at = '17m'
    lasts = '2m'
    holds = '6m'
";

/// A short scenario about a small node: lines before the tables, and lines after.
fn scenario(before: &str, node: &str, ingredient: &str) -> String {
    format!(
        "about = 'a guard'\nlength = '25m'\n{before}\n[node]\n{node}\n[population]\npeers = 60\ntransactions_per_second = 1.0\n{ingredient}"
    )
}

struct Played {
    found: Vec<Found>,
    /// By all nodes together.
    suppressed: [u64; Guard::ALL.len()],
}

/// Plays a scenario; `besides` may change an event, and say what happens just before it.
fn play(toml: &str, mut besides: impl FnMut(&mut Event) -> Option<Event>) -> Played {
    let scenario = synthetic::load(toml, Run { seed: 1, strength: 1.0 }).unwrap();
    let nodes = scenario.script().nodes.clone();
    let mut engine = Engine::new(Thresholds::default(), 1);
    let mut said = Vec::new();
    for mut event in scenario {
        if let Some(before) = besides(&mut event) {
            engine.observe(Arc::new(before), &mut said);
        }
        engine.observe(Arc::new(event), &mut said);
    }
    engine.finish(&mut said);
    let mut suppressed = [0; Guard::ALL.len()];
    for node in nodes {
        suppressed.iter_mut().zip(engine.account(&node).suppressed).for_each(|(sum, count)| *sum += count);
    }
    Played { found: score::found(said), suppressed }
}

fn as_it_is(_: &mut Event) -> Option<Event> {
    None
}

/// Of the same moment and source as another.
fn beside(event: &Event, source: Source, kind: impl Into<Kind>) -> Event {
    Event { time: event.time, node_run: event.node_run, run: 1, ..Event::new(&event.node, source, kind) }
}

/// The detector finds it without what the guard looks for, and is kept back with it, which is counted.
#[track_caller]
fn check(guard: Guard, detector: &str, without: &Played, with: &Played) {
    let opened = |played: &Played| played.found.iter().filter(|found| found.finding.detector == detector).count();
    let place = guard as usize;
    assert!(opened(without) > 0, "{detector} finds nothing to keep back");
    assert_eq!(opened(with), 0, "{} keeps nothing back", guard.id());
    // an ordinary node asks for addresses as well, and has peers on Tor
    assert!(with.suppressed[place] > without.suppressed[place], "{} does not count", guard.id());
}

#[test]
fn g1_a_node_that_was_just_started() {
    let [old, young] = ["", "uptime = '10s'"].map(|node| play(&scenario("", node, LOSS), as_it_is));
    check(Guard::Restart, "D09", &old, &young);
    let [old, young] = ["", "uptime = '10s'"].map(|node| play(&scenario("", node, QUEUE), as_it_is));
    check(Guard::Restart, "D39", &old, &young);
}

#[test]
fn g1_an_extractor_that_came_back() {
    let toml = scenario("", "", QUEUE);
    let begin = synthetic::load(&toml, Run { seed: 1, strength: 1.0 }).unwrap().script().begin;
    let mut came_back = false;
    let back = play(&toml, |event| {
        // a minute before the attack
        let now = !came_back && event.time > begin + 4 * 60_000_000_000;
        came_back |= now;
        now.then(|| beside(event, Source::Rpc, HealthAttached::default()))
    });
    let before_it_is_over = |found: &&Found| found.opened < begin + 9 * 60_000_000_000;
    check(
        Guard::Restart,
        "D39",
        &play(&toml, as_it_is),
        &Played { found: back.found.iter().filter(before_it_is_over).cloned().collect(), ..back },
    );
}

#[test]
fn g2_initial_download() {
    let [done, downloading] = ["", "initial_download = true"].map(|node| play(&scenario("", node, QUEUE), as_it_is));
    check(Guard::InitialDownload, "D39", &done, &downloading);
}

#[test]
fn g3_addresses_that_the_node_asked_for() {
    let flood = "[[ingredient]]\nwhat = 'address_flood'\nat = '5m'\nmessages = 1\nentries = 1000";
    let toml = scenario("", "", flood);
    let asked = play(&toml, |event| match &event.kind {
        Some(Kind::NetAddrv2(message)) if message.addresses.len() == 1000 => {
            let getaddr = NetGetaddr { peer: message.peer, direction: Direction::Outbound.into(), ..NetGetaddr::default() };
            Some(beside(event, Source::Ebpf, getaddr))
        }
        _ => None,
    });
    check(Guard::Getaddr, "D01", &play(&toml, as_it_is), &asked);
}

#[test]
fn g4_private_broadcasts() {
    let listener = "[[ingredient]]\nwhat = 'listener'\nat = '1m'\nlasts = '24m'";
    let toml = scenario("", "", listener);
    let private = play(&toml, |event| {
        if let Some(Kind::NetVersion(version)) = &mut event.kind
            && version.direction() == Direction::Inbound
            && version.connection_type() == ConnectionType::Inbound
        {
            // as Bitcoin Core 31 says hello on such a connection
            (version.services, version.time, version.start_height, version.relay) = (0, 0, 0, false);
            version.user_agent = "/pynode:0.0.1/".to_owned();
        }
        None
    });
    check(Guard::PrivateBroadcast, "D14", &play(&toml, as_it_is), &private);
}

#[test]
fn g5_just_after_a_block() {
    let toml = scenario("", "", QUEUE);
    let blocks = play(&toml, |event| {
        // a block a second, to show the guard; nobody can imitate it, as blocks cost work
        let beat = event.source() == Source::Ebpf && matches!(event.kind, Some(Kind::HealthBeat(_)));
        beat.then(|| beside(event, Source::Ebpf, ChainBlockConnected::default()))
    });
    check(Guard::BlockBurst, "D39", &play(&toml, as_it_is), &blocks);
}

#[test]
fn g6_inbound_over_tor() {
    let churn = "[[ingredient]]\nwhat = 'range_churn'\nat = '2m'\nlasts = '20m'";
    let toml = scenario("", "", churn);
    let over_tor = play(&toml, |event| {
        let (address, network) = match &mut event.kind {
            Some(Kind::ConnOpened(opened)) => (&mut opened.address, &mut opened.network),
            Some(Kind::ConnClosed(closed)) => (&mut closed.address, &mut closed.network),
            _ => return None,
        };
        if address.starts_with("245.65.3.") {
            // all of them come from the node's own Tor daemon
            *address = "127.0.0.1:40000".to_owned();
            *network = Network::Onion.into();
        }
        None
    });
    check(Guard::Onion, "D11", &play(&toml, as_it_is), &over_tor);
}

#[test]
fn g7_events_are_missing() {
    let toml = scenario("", "", LOSS);
    let blind = play(&toml, |event| {
        let minute = event.source() == Source::Rpc && matches!(event.kind, Some(Kind::StatePeers(_)));
        minute.then(|| beside(event, Source::Ebpf, HealthLost { count: 1, ..HealthLost::default() }))
    });
    check(Guard::Blind, "D09", &play(&toml, as_it_is), &blind);
}

#[test]
fn g8_what_most_nodes_have() {
    let alone = play(&scenario("", "", QUEUE), as_it_is);
    let fleet = play(&scenario("nodes = ['alice', 'bob', 'carol', 'dave', 'erin']", "", QUEUE), as_it_is);
    let about_nodes = |played: &Played| {
        let of = |found: &&Found| found.finding.detector == "D39" && found.node != FLEET;
        played.found.iter().filter(of).map(|found| found.finding.part_of.clone()).collect::<Vec<_>>()
    };
    assert!(about_nodes(&alone).iter().all(String::is_empty) && !about_nodes(&alone).is_empty());
    assert_eq!(alone.suppressed[Guard::Fleet as usize], 0);
    let whole: Vec<&Found> = fleet.found.iter().filter(|found| found.node == FLEET && found.finding.detector == "D39").collect();
    assert_eq!(whole.len(), 1, "one finding about all of them");
    // the nodes that had it before it was known of most have joined since
    let parts = about_nodes(&fleet);
    assert_eq!((parts.len(), parts.iter().filter(|part| **part == whole[0].finding.id).count()), (5, 5), "{parts:?}");
    assert!(fleet.suppressed[Guard::Fleet as usize] > 0);
}

/// A restart that nobody caused for a purpose, of a node that was watched for hours: what G1 keeps back is nothing to tell (D59).
#[test]
fn an_ordinary_restart_is_no_imitation() {
    let toml = "about = 'a restart'\nlength = '4h'\n[population]\npeers = 60\ntransactions_per_second = 0.2\n\
                addresses_per_second = [0.0, 0.001]\n[[ingredient]]\nwhat = 'restart'\nat = '200m'\ndown = '40s'";
    let played = play(toml, as_it_is);
    println!("kept back: {:?}", played.suppressed);
    let told = |found: &&Found| found.finding.detector == "D59" && found.finding.summary.contains("guard");
    assert_eq!(played.found.iter().filter(told).count(), 0);
}
