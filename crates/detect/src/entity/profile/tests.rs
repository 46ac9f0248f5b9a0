use event::{ConnClosed, ConnOpened, Direction, NetVersion, Network, PeerInfo, Source};

use super::*;

struct Visitors {
    profiles: Profiles,
    now: u64,
    peer: u64,
}

impl Visitors {
    fn new(most: usize) -> Self {
        Self { profiles: Profiles::with_room_for(most), now: 1_772_431_200 * SECOND, peer: 0 }
    }

    fn state(&mut self, node: &str, kind: impl Into<Kind>) {
        let event = Event { time: self.now, ..Event::new(node, Source::Ebpf, kind) };
        self.profiles.observe(&event);
    }

    /// Somebody comes, says what it runs, and goes after a minute.
    fn visit(&mut self, node: &str, address: &str, agent: &str) {
        self.peer += 1;
        let (peer, network) = (self.peer, event::p2p::network_of(address).into());
        let connection_type = ConnectionType::Inbound.into();
        let address = address.to_owned();
        self.state(node, ConnOpened { peer, address: address.clone(), connection_type, network, count: None });
        let direction = Direction::Inbound.into();
        self.state(node, NetVersion { peer, direction, user_agent: agent.to_owned(), ..Default::default() });
        self.now += 60 * SECOND;
        self.state(node, ConnClosed { peer, address, connection_type, network, established: None });
    }

    fn get(&self, address: &str) -> Option<&Profile> {
        self.profiles.get(&Host::of(address, Network::Unspecified)?)
    }
}

#[test]
fn a_stranger_is_known_again_under_another_port() {
    let mut visitors = Visitors::new(100);
    visitors.visit("alice", "240.1.2.3:40000", "/Satoshi:29.0.0/");
    visitors.now += 3 * DAY;
    visitors.visit("bob", "240.1.2.3:50000", "/Satoshi:30.0.0/");
    let profile = visitors.get("240.1.2.3:1").unwrap();
    assert_eq!((profile.sessions, profile.connected, profile.last_seen - profile.first_seen), (2, 120, 3 * 86_400 + 120));
    let classes: Vec<String> = profile.programs.iter().map(|program| program.class().to_string()).collect();
    assert_eq!(classes, ["core-29", "core-30"]);
    assert_eq!(visitors.profiles.nodes(profile).collect::<Vec<_>>(), ["alice", "bob"]);
    assert!(visitors.profiles.open.is_empty());
}

fn listed(peers: impl IntoIterator<Item = u64>) -> StatePeers {
    let inbound = ConnectionType::Inbound.into();
    let peer = |id: u64| PeerInfo {
        id,
        address: format!("240.1.{}.{}:1", id / 256, id % 256),
        connection_type: inbound,
        ..Default::default()
    };
    StatePeers { peers: peers.into_iter().map(peer).collect() }
}

#[test]
fn who_is_not_on_the_node_s_list_any_more_is_gone() {
    let mut visitors = Visitors::new(100);
    for peers in [vec![1, 2], vec![1, 2], vec![2], vec![2, 3]] {
        visitors.state("alice", listed(peers));
        visitors.now += 10 * SECOND;
    }
    // another node's peers are others
    visitors.state("bob", listed([]));
    assert_eq!(visitors.profiles.open.len(), 2);
    let gone = visitors.get("240.1.0.1:1").unwrap();
    assert_eq!((gone.sessions, gone.connected), (1, 20));
}

#[test]
fn who_has_no_room_is_not_counted_with_every_list() {
    let mut visitors = Visitors::new(100_000);
    for _ in 0..5 {
        visitors.state("alice", listed(0..OPEN as u64 + 5));
        visitors.now += 10 * SECOND;
    }
    let last = format!("240.1.{}.{}:1", OPEN / 256, OPEN % 256);
    assert_eq!((visitors.get(&last), visitors.profiles.open.len()), (None, OPEN));
    assert_eq!(visitors.get("240.1.0.9:1").unwrap().sessions, 1);
}

#[test]
fn who_changes_its_name_all_the_time_keeps_the_first_and_the_latest() {
    let mut visitors = Visitors::new(100);
    for number in 0..100 {
        visitors.visit("alice", "240.1.2.3:1", &format!("/{number}{}/", "x".repeat(200)));
    }
    let profile = visitors.get("240.1.2.3:1").unwrap();
    let numbers: Vec<&str> = profile.programs.iter().map(|program| program.agent.trim_end_matches(['x', '/'])).collect();
    assert_eq!(numbers, ["/0", "/95", "/96", "/97", "/98", "/99"]);
    assert_eq!((profile.forgotten_programs, profile.programs[1].agent.len()), (94, AGENT));
}

#[test]
fn a_flood_costs_nobody_known_his_history() {
    let mut visitors = Visitors::new(1000);
    for _ in 0..2 {
        for known in 0..100 {
            visitors.visit("alice", &format!("240.1.2.{known}:1"), "/Satoshi:30.0.0/");
        }
        visitors.now += DAY;
    }
    for stranger in 0..5000_u32 {
        visitors.visit("alice", &format!("{}:1", std::net::Ipv4Addr::from(0xf500_0000 + stranger)), "");
    }
    assert!((0..100).all(|known| visitors.get(&format!("240.1.2.{known}:1")).is_some_and(|profile| profile.sessions == 2)));
    assert_eq!(visitors.profiles.len(), 100 + 500);
    assert_eq!(visitors.profiles.evicted(), 4500);
}

#[test]
fn after_ninety_days_nothing_is_left() {
    let mut visitors = Visitors::new(100);
    visitors.visit("alice", "240.1.2.3:1", "");
    visitors.profiles.forget_old(visitors.now + KEPT);
    assert_eq!(visitors.profiles.len(), 1);
    visitors.profiles.forget_old(visitors.now + KEPT + 1);
    assert!(visitors.profiles.is_empty());
}

#[test]
fn nobody_behind_the_nodes_own_daemon_has_a_profile() {
    let mut visitors = Visitors::new(100);
    let network = Network::Onion.into();
    let connection_type = ConnectionType::Inbound.into();
    visitors.state("alice", ConnOpened { peer: 1, address: "127.0.0.1:4".into(), connection_type, network, count: None });
    assert!(visitors.profiles.is_empty());
}

#[test]
fn who_gave_way_during_his_visit_is_not_invented_at_its_end() {
    let mut visitors = Visitors::new(10);
    let host = Host::of("240.1.2.3:1", Network::Unspecified).unwrap();
    let (connection_type, network) = (ConnectionType::Inbound.into(), Network::Ipv4.into());
    let address = "240.1.2.3:1".to_owned();
    visitors.state("alice", ConnOpened { peer: 1_000, address: address.clone(), connection_type, network, count: None });
    for stranger in 0..20 {
        visitors.visit("alice", &format!("241.1.2.{stranger}:1"), "");
    }
    assert_eq!(visitors.profiles.get(&host), None);
    let direction = Direction::Inbound.into();
    visitors.state("alice", NetVersion { peer: 1_000, direction, user_agent: "/late/".into(), ..Default::default() });
    assert_eq!(visitors.profiles.get(&host), None, "by what he says");
    visitors.state("alice", ConnClosed { peer: 1_000, address, connection_type, network, established: None });
    assert_eq!(visitors.profiles.get(&host), None, "by his going");
    assert!(visitors.profiles.iter().all(|(_, profile)| profile.sessions > 0 && profile.first_seen > 0));
    assert!(visitors.profiles.evicted() > 0);
}

#[test]
fn who_stays_is_not_silent() {
    let mut visitors = Visitors::new(100);
    for hour in 0..30 {
        // twenty newcomers an hour, who would have pushed him out in three
        visitors.state("alice", listed([1]));
        for stranger in 0..20 {
            visitors.state("bob", listed([1000 + hour * 20 + stranger]));
            visitors.now += 181 * SECOND;
        }
        let stays = visitors.get("240.1.0.1:1").expect("he is here");
        assert_eq!((stays.sessions, visitors.now / SECOND - stays.last_seen), (1, 20 * 181), "hour {hour}");
    }
    assert!(visitors.profiles.evicted() > 0);
}

#[test]
fn a_fleet_has_room_for_the_second_day_of_everybody() {
    // 20 nodes with 3 newcomers a minute, and all of them come again a day and an hour later
    const NODES: u32 = 20;
    const MINUTES: u32 = 25 * 60;
    let mut visitors = Visitors::new(MOST / 10);
    // a tenth of everything, which nobody waits for
    let each = |visitors: &mut Visitors| {
        for minute in 0..MINUTES {
            for node in 0..NODES {
                if (minute + node).is_multiple_of(10) {
                    for stranger in 0..3 {
                        let host = std::net::Ipv4Addr::from(0xf000_0000 + (minute * NODES + node) * 3 + stranger);
                        visitors.visit(&format!("node-{node}"), &format!("{host}:1"), "");
                        visitors.now -= 60 * SECOND;
                    }
                }
            }
            visitors.now += 60 * SECOND;
        }
    };
    each(&mut visitors);
    assert_eq!((visitors.profiles.evicted(), visitors.profiles.len()), (0, 9000));
    each(&mut visitors);
    assert!(visitors.profiles.iter().all(|(_, profile)| profile.sessions == 2), "everybody is known again");
}
