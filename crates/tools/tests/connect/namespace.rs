//! A fleet with addresses of the Internet, in a network namespace of its own: nothing is permitted specially, and nothing leaves it.

use std::collections::BTreeMap;
use std::process::Command;

use event::{NetworkAddress, VisitResult};
use expect_test::expect;
use testkit::skipped;

use crate::fleet::{Character, MAIN, Resident};
use crate::world::{V1, V2, World, block_on, config, entry, render};

/// Set in the process that runs inside.
const INSIDE: &str = "PEER_OBSERVER_TEST_NAMESPACE";

/// What the namespace is made of: addresses of its own; a range that it has no way to; and one in which packets vanish.
const SETUP: &str = "\
    ip link set lo up && \
    ip address add 45.33.0.0/16 dev lo && \
    ip -6 address add 2a00:33::1/128 dev lo nodad && \
    ip route add unreachable 45.66.0.0/16 && \
    ip link add hole type veth peer name bottom && ip link set hole up arp off && ip link set bottom up && \
    ip address add 45.77.0.254/16 dev hole && \
    exec \"$@\"";

/// Runs a test of this file again inside a namespace of its own; `false` where it is to go on because it is there.
fn outside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return false;
    }
    let possible =
        Command::new("unshare").args(["--net", "ip", "link", "add", "hole", "type", "veth", "peer", "name", "bottom"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        skipped("no network namespaces: that needs root, `unshare` and `ip`");
        return true;
    }
    let output = Command::new("unshare")
        .args(["--net", "sh", "-c", SETUP, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    true
}

/// Files that this process has open.
fn files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn the_internet_as_it_is() {
    if outside("namespace::the_internet_as_it_is") {
        return;
    }
    block_on(async {
        let place = tempfile::tempdir().unwrap();
        let node = || Character::Node { network: MAIN, v1_only: false };
        let mut names = BTreeMap::new();
        let mut entries: Vec<NetworkAddress> = Vec::new();
        let mut add = |name: &str, address: &str, services: u64| {
            let entry = entry(address.parse().unwrap(), services);
            names.insert((entry.address.clone(), entry.port), name.to_owned());
            entries.push(entry);
        };
        let mut residents = Vec::new();
        for (name, address, character) in [
            ("a node", "45.33.1.1:8333", node()),
            ("a node of IPv6", "[2a00:33::1]:8333", node()),
            ("a node at a port for mail", "45.33.2.1:25", node()),
            ("a node that is excluded", "45.33.3.1:8333", node()),
            ("a neighbour of the watched node", "45.33.4.200:8333", node()),
            ("the watched node", "45.33.4.1:8333", node()),
            ("a node at a private address", "127.0.0.1:8333", node()),
            ("a tarpit", "45.33.5.1:8333", Character::Tarpit),
        ] {
            let at: std::net::SocketAddr = address.parse().unwrap();
            residents.push((name, Resident::settle(character, at.ip(), at.port()).await));
            add(name, address, V2);
        }
        add("a closed port", "45.33.6.1:8333", V2);
        add("a hole", "45.77.0.1:8333", V2);
        add("no way there", "45.66.0.1:8333", V1);
        add("no route at all", "99.99.99.99:8333", V1);
        let exclude = place.path().join("exclude.txt");
        std::fs::write(&exclude, "45.33.3.0/24\n").unwrap();
        let before = files();
        let flags = [&format!("--connect-exclude={}", exclude.display()), "--connect-parallel=64"];
        let mut world = World::new(config(&place.path().join("tried"), &flags)).await;
        world.states(&["45.33.4.1"]);
        world.advertise(1, entries);
        world.results(8).await;
        let visits = world.end().await.unwrap();
        expect![[r#"
            a closed port: refused direct v2
            a hole: timed_out direct v2
            a node of IPv6: reachable direct v2 /fleet:1/
            a node: reachable direct v2 /fleet:1/
            a tarpit: stalled direct v1
            no route at all: not_dialled direct v1
            no way there: not_dialled direct v1
            the watched node: own unspecified v2"#]]
        .assert_eq(&render(&visits, &names));
        let dialled: Vec<_> = residents.iter().filter(|(_, resident)| resident.dialled() > 0).map(|(name, _)| *name).collect();
        assert_eq!(dialled, ["a node", "a node of IPv6", "a tarpit"]);
        // the residents' ends of tarpits go with their visitor
        let open = || files().saturating_sub(before + residents.len());
        testkit::wait::until("every file to be closed", testkit::wait::LONG, || Ok((open() == 0).then_some(()))).unwrap();
    });
}

#[test]
fn nobody_is_dialled_from_the_address_of_a_watched_node() {
    if outside("namespace::nobody_is_dialled_from_the_address_of_a_watched_node") {
        return;
    }
    block_on(async {
        let place = tempfile::tempdir().unwrap();
        // what is in the hole would be dialled from there
        let world = World::new(config(&place.path().join("tried"), &[])).await;
        world.states(&["45.77.0.254"]);
        world.advertise(1, vec![entry("45.66.0.1:8333".parse().unwrap(), V1)]);
        world.advertise(1, vec![entry("45.77.9.1:8333".parse().unwrap(), V1)]);
        let error = world.ended().await.unwrap_err().to_string();
        assert_eq!(error, "would dial from 45.77.0.254, an address of a watched node: everybody who is dialled would know it");

        // unless that is what is wanted
        let told = ["--connect-from-node", "--connect-timeout=100ms"];
        let mut world = World::new(config(&place.path().join("other"), &told)).await;
        world.states(&["45.77.0.254"]);
        world.advertise(1, vec![entry("45.77.9.1:8333".parse().unwrap(), V1)]);
        let visits = world.results(1).await;
        assert_eq!(visits[0].result(), VisitResult::TimedOut);
        world.end().await.unwrap();
    });
}

#[test]
fn hundreds_of_visits_leave_no_file_open() {
    if outside("namespace::hundreds_of_visits_leave_no_file_open") {
        return;
    }
    block_on(async {
        let place = tempfile::tempdir().unwrap();
        let mut residents = Vec::new();
        let characters = [
            Character::Node { network: MAIN, v1_only: false },
            Character::Tarpit,
            Character::Noise,
            Character::HangsUp,
            Character::EndlessNoise,
        ];
        for number in 0..200_u8 {
            let character = characters[usize::from(number) % characters.len()].clone();
            let ip = std::net::Ipv4Addr::new(45, 33, number, 1);
            residents.push(Resident::settle(character, ip.into(), 8333).await);
        }
        let before = files();
        let flags = ["--connect-parallel=100", "--connect-rate=10000", "--connect-timeout=1s"];
        let mut world = World::new(config(&place.path().join("tried"), &flags)).await;
        world.states(&[]);
        let services = |number: usize| if number.is_multiple_of(2) { V1 } else { V2 };
        world.advertise(1, residents.iter().enumerate().map(|(number, it)| entry(it.address, services(number))).collect());
        world.results(200).await;
        assert_eq!(world.end().await.unwrap().len(), 200);
        let wait = "every file to be closed";
        testkit::wait::until(wait, testkit::wait::LONG, || Ok((files() <= before).then_some(()))).unwrap();
    });
}
