use bytes::Bytes;
use event::{NetAddr, NetVersion, Source};

use super::*;

const SECOND: u64 = 1_000_000_000;
const NOW: u64 = 1_750_000_000 * SECOND;

fn survey(rate: f64, vouched: bool) -> Survey {
    let rules = Rules { networks: [Network::Ipv4, Network::Ipv6].into(), ..Rules::default() };
    Survey::new(rules, Own::new(&[], vouched), Tried::in_memory([1; 16]), Budget::new(rate, 8), 1000, 1)
}

fn entry(ip: [u8; 4], port: u32, services: u64) -> NetworkAddress {
    let address = Bytes::copy_from_slice(&ip);
    NetworkAddress { time: 1_749_999_000, services, network: Network::Ipv4.into(), address, port, network_id: None }
}

fn gossip(node: &str, peer: u64, from: &str, addresses: Vec<NetworkAddress>) -> Event {
    let direction = Direction::Inbound.into();
    let addr =
        NetAddr { peer, direction, address: from.to_owned(), network: Network::Ipv4.into(), addresses, ..NetAddr::default() };
    Event { time: NOW, ..Event::new(node, Source::Ebpf, addr) }
}

fn outcome(result: VisitResult, transport: Version) -> Outcome {
    Outcome { result, detail: String::new(), transport, hello: None, latency: None, handshake: None, silent: false }
}

fn counter() -> impl FnMut() -> u64 {
    let mut last = 0;
    move || {
        last += 1;
        last
    }
}

#[test]
fn what_the_node_says_to_others_is_nobodys_gossip() {
    let mut survey = survey(1.0, true);
    let mut event = gossip("alice", 1, "8.8.8.8:8333", vec![entry([1, 2, 3, 4], 8333, 9)]);
    if let Some(Kind::NetAddr(addr)) = &mut event.kind {
        addr.direction = Direction::Outbound.into();
    }
    survey.observe(&event, NOW);
    assert_eq!((survey.account().heard, survey.waiting()), (0, (0, 0)));
}

#[test]
fn every_node_that_heard_of_an_address_is_told() {
    let mut survey = survey(1.0, true);
    for (node, peer) in [("alice", 1), ("bob", 2), ("alice", 3)] {
        let from = format!("8.8.{peer}.8:8333");
        survey.observe(&gossip(node, peer, &from, vec![entry([1, 2, 3, 4], 8333, 9)]), NOW);
    }
    let errand = survey.due(NOW, counter()).unwrap().pop().unwrap();
    survey.done(errand, outcome(VisitResult::Refused, Version::V1), VisitRoute::Direct, NOW + 5);
    assert!(survey.stated(NOW + SECOND, false).is_empty());
    let stated = survey.stated(NOW + 3 * SECOND, false);
    let peers = |stated: &Stated| stated.visit.advertisers.iter().map(|by| by.peer).collect::<Vec<_>>();
    let said: Vec<_> = stated.iter().map(|stated| (&*stated.node, peers(stated))).collect();
    assert_eq!(said, [("alice", vec![1, 3]), ("bob", vec![2])]);
}

#[test]
fn a_watched_node_that_shows_our_nonce_is_our_own() {
    let mut survey = survey(1.0, true);
    survey.observe(&gossip("alice", 1, "8.8.8.8:8333", vec![entry([1, 2, 3, 4], 8333, 9)]), NOW);
    let errand = survey.due(NOW, || 4711).unwrap().pop().unwrap();
    let hello = |nonce| {
        let version = NetVersion { direction: Direction::Inbound.into(), nonce, ..NetVersion::default() };
        Event { time: NOW, ..Event::new("bob", Source::Ebpf, version) }
    };
    survey.observe(&hello(12), NOW);
    survey.done(errand, outcome(VisitResult::Reachable, Version::V1), VisitRoute::Direct, NOW + 5);
    survey.observe(&hello(4711), NOW + 7);
    assert_eq!(survey.stated(NOW + 3 * SECOND, false)[0].visit.result(), VisitResult::Own);
    // it is forgotten with the visit
    assert!(survey.nonces.is_empty());
}

/// Whoever is dialled reads our nonce, and may say it to the node that he told the address to.
#[test]
fn who_repeats_our_nonce_does_not_hide_that_he_is_no_node() {
    let mut survey = survey(1.0, true);
    survey.observe(&gossip("alice", 1, "8.8.8.8:8333", vec![entry([1, 2, 3, 4], 8333, 9)]), NOW);
    let errand = survey.due(NOW, || 4711).unwrap().pop().unwrap();
    let hello = NetVersion { direction: Direction::Inbound.into(), nonce: 4711, ..NetVersion::default() };
    survey.observe(&Event { time: NOW, ..Event::new("alice", Source::Ebpf, hello) }, NOW);
    survey.done(errand, outcome(VisitResult::Stalled, Version::V1), VisitRoute::Direct, NOW + 5);
    assert_eq!(survey.stated(NOW + 3 * SECOND, false)[0].visit.result(), VisitResult::Stalled);
    assert!(survey.nonces.is_empty());
}

#[test]
fn a_watched_nodes_name_is_not_dialled() {
    let mut survey = survey(1.0, true);
    survey.rules.networks.insert(Network::Onion);
    let onion = NetworkAddress { network: Network::Onion.into(), address: Bytes::from(vec![7; 32]), ..entry([0; 4], 8333, 9) };
    let local = event::LocalAddress { address: Target::of(&onion).unwrap().name(), ..Default::default() };
    let network = event::StateNetwork { local_addresses: vec![local], ..Default::default() };
    assert!(survey.observe(&Event::new("alice", Source::Rpc, network), NOW));
    survey.observe(&gossip("alice", 1, "8.8.8.8:8333", vec![onion]), NOW);
    assert!(survey.due(NOW, counter()).unwrap().is_empty());
    let stated = survey.stated(NOW + 3 * SECOND, false);
    assert_eq!((stated.len(), stated[0].visit.result(), survey.account().dialled), (1, VisitResult::Own, 0));
}

#[test]
fn who_would_have_been_dialled_again_is_stated_at_the_end() {
    let mut survey = survey(1.0, true);
    survey.observe(&gossip("alice", 1, "8.8.8.8:8333", vec![entry([1, 2, 3, 4], 8333, P2P_V2)]), NOW);
    let errand = survey.due(NOW, counter()).unwrap().pop().unwrap();
    let silent = Outcome { silent: true, ..outcome(VisitResult::HungUp, Version::V2) };
    survey.done(errand, silent, VisitRoute::Direct, NOW + 1);
    assert!(survey.stated(NOW + 1, true).is_empty());
    survey.end(NOW + 2);
    assert_eq!(survey.stated(NOW + 2, true)[0].visit.result(), VisitResult::NotDialled);
}

/// A registry gives a /32 of IPv6 to whoever asks.
#[test]
fn a_party_is_what_one_may_have() {
    let of = |address: &str| party(address, Network::Ipv6);
    assert_eq!(of("[2a00:33:1::1]:8333"), of("[2a00:33:ffff:1::2]:1"));
    assert_ne!(of("[2a00:33:1::1]:8333"), of("[2a00:34:1::1]:8333"));
}

#[test]
fn who_says_nothing_to_v2_gets_another_chance_within_the_budget() {
    let mut survey = survey(1.0, true);
    survey.observe(&gossip("alice", 1, "8.8.8.8:8333", vec![entry([1, 2, 3, 4], 8333, P2P_V2)]), NOW);
    let mut nonce = counter();
    let errand = survey.due(NOW, &mut nonce).unwrap().pop().unwrap();
    assert_eq!(errand.transport, Version::V2);
    let silent = Outcome { silent: true, ..outcome(VisitResult::HungUp, Version::V2) };
    survey.done(errand, silent, VisitRoute::Direct, NOW + 1);
    assert!(survey.due(NOW + 2, &mut nonce).unwrap().is_empty());
    assert!(survey.wait().is_some_and(|wait| wait.as_millis() > 900));
    let again = survey.due(NOW + SECOND, &mut nonce).unwrap().pop().unwrap();
    assert_eq!(again.transport, Version::V1);
    // v1 gets none
    let silent = Outcome { silent: true, ..outcome(VisitResult::HungUp, Version::V1) };
    survey.done(again, silent, VisitRoute::Direct, NOW + SECOND);
    assert_eq!(survey.stated(NOW + 9 * SECOND, false).len(), 1);
    assert!(survey.due(NOW + 9 * SECOND, &mut nonce).unwrap().is_empty());
}

#[test]
fn a_host_is_not_scanned() {
    let mut survey = survey(1000.0, true);
    let ports = (1024..1500).map(|port| entry([1, 2, 3, 4], port, 9)).collect();
    survey.observe(&gossip("alice", 1, "8.8.8.8:8333", ports), NOW);
    let mut nonce = counter();
    let mut dialled = 0;
    for second in 0..1000 {
        let now = NOW + second * SECOND;
        let errands = survey.due(now, &mut nonce).unwrap();
        // one at a time in a neighbourhood
        assert!(errands.len() <= 1);
        for errand in errands {
            dialled += 1;
            survey.done(errand, outcome(VisitResult::Refused, Version::V1), VisitRoute::Direct, now);
        }
    }
    assert_eq!((dialled, survey.waiting().0), (4, 0));
}

#[test]
fn a_list_that_came_while_they_waited_counts() {
    let mut survey = survey(1.0, true);
    survey.observe(&gossip("alice", 1, "8.8.8.8:8333", vec![entry([1, 2, 3, 4], 8333, 9)]), NOW);
    survey.rules.excluded = vec![detect::entity::lists::List::read("exclude.txt", b"1.2.3.4\n").unwrap()];
    assert!(survey.due(NOW, counter()).unwrap().is_empty());
    assert_eq!(survey.waiting(), (0, 0));
}

#[test]
fn a_disk_that_does_not_take_it_means_no_dial() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("tried");
    let mut survey = survey(1.0, true);
    survey.tried = Tried::open(&path, [1; 16], NOW / SECOND).unwrap();
    survey.tried.break_disk();
    survey.observe(&gossip("alice", 1, "8.8.8.8:8333", vec![entry([1, 2, 3, 4], 8333, 9)]), NOW);
    assert!(survey.due(NOW, counter()).is_err());
    assert_eq!((survey.account().dialled, survey.account().unremembered, survey.under_way()), (0, 1, 0));
    assert!(survey.nonces.is_empty());
    // nobody else loses his place meanwhile, and who lost it is told of
    survey.observe(&gossip("alice", 1, "8.8.8.8:8333", vec![entry([1, 2, 5, 4], 8333, 9)]), NOW);
    for second in 1..10 {
        assert!(survey.due(NOW + second * SECOND, counter()).is_err());
    }
    assert_eq!((survey.waiting().0, survey.account().unremembered), (1, 1));
    let results: Vec<_> = survey.stated(NOW + 9 * SECOND, false).iter().map(|stated| stated.visit.result()).collect();
    assert_eq!(results, [VisitResult::NotDialled]);
}

#[test]
fn who_has_not_said_where_he_is_is_not_dialled_for() {
    let mut survey = survey(1000.0, false);
    survey.observe(&gossip("alice", 1, "8.8.8.8:8333", vec![entry([1, 2, 3, 4], 8333, 9)]), NOW);
    survey.observe(&gossip("bob", 1, "8.8.8.8:8333", vec![entry([1, 2, 4, 4], 8333, 9)]), NOW);
    assert!(survey.due(NOW, counter()).unwrap().is_empty());
    // a node that does not listen advertises no address, but has connections from one
    survey.observe(&Event::new("bob", Source::Rpc, event::StateNetwork::default()), NOW);
    survey.observe(&Event::new("alice", Source::Rpc, event::StatePeers::default()), NOW);
    assert!(survey.due(NOW, counter()).unwrap().is_empty());
    survey.observe(&Event::new("bob", Source::Rpc, event::StatePeers::default()), NOW);
    let targets: Vec<_> = survey.due(NOW, counter()).unwrap().iter().map(|errand| errand.target.to_string()).collect();
    assert_eq!(targets, ["1.2.4.4:8333"]);
}
