//! A fleet on loopback, which is dialled only because the test says so.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use event::VisitResult;
use event::p2p::network::KNOWN;
use expect_test::expect;

use crate::fleet::{Character, REGTEST, Resident};
use crate::world::{LOOPBACK, V1, V2, World, block_on, config, entry, render};

/// Each in a neighbourhood of its own.
fn ip(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 77, number, 1).into()
}

#[test]
fn whatever_answers_gets_its_verdict() {
    block_on(async {
        let place = tempfile::tempdir().unwrap();
        let mut world = World::new(config(&place.path().join("tried"), &LOOPBACK)).await;
        let node = |v1_only| Character::Node { network: REGTEST, v1_only };
        let testnet = Character::Node { network: KNOWN[1].1, v1_only: false };
        let watched = Character::Watched { network: REGTEST, stream: world.probes.clone() };
        let fleet = [
            ("node, dialled with v1", node(false), V1),
            ("node, dialled with v2", node(false), V2),
            ("node that promises v2 and has v1 only", node(true), V2),
            ("node of testnet, dialled with v1", testnet.clone(), V1),
            ("node of testnet, dialled with v2", testnet, V2),
            ("says hello for testnet", Character::Greets(KNOWN[1].1), V1),
            ("watched node, dialled with v1", watched.clone(), V1),
            ("watched node, dialled with v2", watched, V2),
            ("tarpit, dialled with v1", Character::Tarpit, V1),
            ("tarpit, dialled with v2", Character::Tarpit, V2),
            ("drip", Character::Drip(REGTEST), V1),
            ("noise, dialled with v1", Character::Noise, V1),
            ("noise, dialled with v2", Character::Noise, V2),
            ("endless messages", Character::Endless(REGTEST), V1),
            ("endless noise, dialled with v1", Character::EndlessNoise, V1),
            ("endless noise, dialled with v2", Character::EndlessNoise, V2),
            ("a v2 key and nothing, dialled with v1", Character::KeyAndNothing, V1),
            ("a v2 key and nothing, dialled with v2", Character::KeyAndNothing, V2),
            ("hangs up, dialled with v1", Character::HangsUp, V1),
            ("hangs up, dialled with v2", Character::HangsUp, V2),
            ("web server, dialled with v1", Character::Web, V1),
            ("web server, dialled with v2", Character::Web, V2),
        ];
        let (mut names, mut entries, mut residents) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (number, (name, character, services)) in fleet.into_iter().enumerate() {
            let resident = Resident::settle(character, ip(number as u8), 0).await;
            let entry = entry(resident.address, services);
            names.insert((entry.address.clone(), entry.port), name.to_owned());
            entries.push(entry);
            residents.push((name, resident));
        }
        // a port that was free a moment ago
        let closed = std::net::TcpListener::bind((ip(200), 0)).unwrap().local_addr().unwrap();
        let refuser = entry(closed, V2);
        names.insert((refuser.address.clone(), refuser.port), "closed port".to_owned());
        entries.push(refuser);
        let count = entries.len();

        world.advertise(1, entries.clone());
        world.advertise(2, entries);
        // nobody is dialled before the node has said where it is
        world.states(&["9.9.9.9"]);
        let visits = world.results(count).await;
        expect![[r#"
            a v2 key and nothing, dialled with v1: not_bitcoin direct v1
            a v2 key and nothing, dialled with v2: stalled direct v2
            closed port: refused direct v2
            drip: stalled direct v1
            endless messages: endless direct v1 /fleet:1/
            endless noise, dialled with v1: not_bitcoin direct v1
            endless noise, dialled with v2: not_bitcoin direct v2
            hangs up, dialled with v1: hung_up direct v1
            hangs up, dialled with v2: hung_up direct v1
            node of testnet, dialled with v1: hung_up direct v1
            node of testnet, dialled with v2: wrong_network direct v2
            node that promises v2 and has v1 only: reachable direct v1 /fleet:1/
            node, dialled with v1: reachable direct v1 /fleet:1/
            node, dialled with v2: reachable direct v2 /fleet:1/
            noise, dialled with v1: not_bitcoin direct v1
            noise, dialled with v2: not_bitcoin direct v2
            says hello for testnet: wrong_network direct v1
            tarpit, dialled with v1: stalled direct v1
            tarpit, dialled with v2: stalled direct v1
            watched node, dialled with v1: own direct v1 /fleet:1/
            watched node, dialled with v2: own direct v2 /fleet:1/
            web server, dialled with v1: not_bitcoin direct v1
            web server, dialled with v2: not_bitcoin direct v2"#]]
        .assert_eq(&render(&visits, &names));
        let reachable = visits.iter().find(|visit| visit.result() == VisitResult::Reachable).unwrap();
        assert_eq!((reachable.services, reachable.start_height, reachable.version), (Some(0xc09), Some(900_000), Some(70016)));
        assert!(reachable.latency_nanos.is_some() && reachable.handshake_nanos.is_some());
        assert!(reachable.time_offset.unwrap() < 0);
        for visit in &visits {
            let peers: Vec<_> = visit.advertisers.iter().map(|by| (by.peer, by.address.as_str(), by.time)).collect();
            assert_eq!(peers, [(1, "8.8.1.8:8333", 1_749_990_000), (2, "8.8.2.8:8333", 1_749_990_000)]);
        }
        // who says nothing to v2 gets a second call, and nobody gets more
        for (name, resident) in &residents {
            let silent = ["node that promises v2 and has v1 only", "tarpit, dialled with v2", "hangs up, dialled with v2"];
            assert_eq!(resident.dialled(), if silent.contains(name) { 2 } else { 1 }, "{name}");
        }
        assert_eq!(world.end().await.unwrap().len(), count);
    });
}

#[test]
fn nobody_is_dialled_twice_across_restarts() {
    block_on(async {
        let place = tempfile::tempdir().unwrap();
        let mut residents = Vec::new();
        for number in 0..20 {
            let character = Character::Node { network: REGTEST, v1_only: false };
            residents.push(Resident::settle(character, ip(number), 0).await);
        }
        let entries = |from: usize, to: usize| residents[from..to].iter().map(|resident| entry(resident.address, V2)).collect();
        let mut found = 0;
        for (from, to, new) in [(0, 10, 10), (0, 15, 5), (5, 20, 5)] {
            let mut world = World::new(config(&place.path().join("tried"), &LOOPBACK)).await;
            world.states(&[]);
            for peer in 0..3 {
                world.advertise(peer, entries(from, to));
            }
            world.results(new).await;
            found += world.end().await.unwrap().len();
        }
        assert_eq!(found, 20);
        for resident in &residents {
            assert_eq!(resident.dialled(), 1, "{}", resident.address);
        }
    });
}

/// His address has had its only visit in a day.
#[test]
fn a_visit_that_the_end_cuts_short_is_stated() {
    block_on(async {
        let place = tempfile::tempdir().unwrap();
        let resident = Resident::settle(Character::Tarpit, ip(1), 0).await;
        let flags = [&LOOPBACK[..], &["--connect-timeout=10m"]].concat();
        let world = World::new(config(&place.path().join("tried"), &flags)).await;
        world.states(&[]);
        world.advertise(1, vec![entry(resident.address, V1)]);
        let dialled = || Ok((resident.dialled() == 1).then_some(()));
        testkit::wait::until("the tarpit to be dialled", testkit::wait::LONG, dialled).unwrap();
        let visits = world.end().await.unwrap();
        let said: Vec<_> = visits.iter().map(|visit| (visit.result(), visit.detail.as_str())).collect();
        assert_eq!(said, [(VisitResult::NotDialled, "ended before it was over")]);
    });
}

#[test]
fn nobody_is_dialled_before_the_node_says_where_it_is() {
    block_on(async {
        let place = tempfile::tempdir().unwrap();
        let resident = Resident::settle(Character::Node { network: REGTEST, v1_only: false }, ip(1), 0).await;
        let world = World::new(config(&place.path().join("tried"), &LOOPBACK)).await;
        world.advertise(1, vec![entry(resident.address, V1)]);
        // the end comes back behind all of it
        assert_eq!(world.end().await.unwrap(), []);
        assert_eq!(resident.dialled(), 0);
    });
}

#[test]
fn loopback_is_not_dialled_unless_it_is_named() {
    block_on(async {
        let place = tempfile::tempdir().unwrap();
        let resident = Resident::settle(Character::Node { network: REGTEST, v1_only: false }, ip(1), 0).await;
        let world = World::new(config(&place.path().join("tried"), &["--connect-network=regtest"])).await;
        world.states(&[]);
        world.advertise(1, vec![entry(resident.address, V1)]);
        assert_eq!(world.end().await.unwrap(), []);
        assert_eq!(resident.dialled(), 0);
        // and it cannot be named on a network of strangers
        let wrong = config(&place.path().join("other"), &["--connect-test-ranges=127.0.0.0/8"]);
        assert!(wrong.prepare().is_err());
    });
}

#[test]
fn the_rate_is_kept() {
    block_on(async {
        let place = tempfile::tempdir().unwrap();
        let flags = [&LOOPBACK[..], &["--connect-rate=20"]].concat();
        let mut residents = Vec::new();
        for number in 0..21 {
            residents.push(Resident::settle(Character::Node { network: REGTEST, v1_only: false }, ip(number), 0).await);
        }
        let mut world = World::new(config(&place.path().join("tried"), &flags)).await;
        world.states(&[]);
        let begun = std::time::Instant::now();
        world.advertise(1, residents.iter().map(|resident| entry(resident.address, V1)).collect());
        let visits = world.results(21).await;
        // two at once, then one every 50 ms; results wait two seconds
        assert!(begun.elapsed() >= Duration::from_millis(19 * 50 + 2000), "{:?}", begun.elapsed());
        assert!(visits.iter().all(|visit| visit.result() == VisitResult::Reachable));
        world.end().await.unwrap();
    });
}
