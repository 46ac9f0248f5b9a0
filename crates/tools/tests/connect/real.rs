//! Real nodes.

use event::VisitResult;
use testkit::{Node, need_node, node, wait};

use crate::world::{LOOPBACK, V1, V2, World, block_on, config, entry};

#[test]
fn a_real_node_is_visited_by_either_transport_and_reads_who_it_was() {
    need_node!();
    for (v2transport, services, transport) in [(true, V2, "v2"), (false, V2, "v1"), (true, V1, "v1")] {
        let debug = vec!["net"];
        let node = Node::start(node::Options { v2transport, debug, ..node::Options::default() }).unwrap();
        let visit = block_on(async {
            let place = tempfile::tempdir().unwrap();
            let mut world = World::new(config(&place.path().join("tried"), &LOOPBACK)).await;
            world.states(&[]);
            world.advertise(1, vec![entry(node.p2p_address(), services)]);
            let visits = world.results(1).await;
            world.end().await.unwrap();
            visits.into_iter().next().unwrap()
        });
        assert_eq!((visit.result(), visit.transport().word()), (VisitResult::Reachable, transport), "{visit:?}");
        assert!(visit.user_agent.starts_with("/Satoshi:"), "{visit:?}");
        assert_eq!(visit.start_height, Some(0));
        assert!(visit.time_offset.unwrap().abs() < 10, "{visit:?}");
        let agent = format!("/peer-observer:{}(https://example.org/visits)/", env!("CARGO_PKG_VERSION"));
        let log = node.network_datadir().join("debug.log");
        wait::until(format!("{agent} in the node's log"), wait::LONG, || {
            Ok(std::fs::read_to_string(&log)?.contains(&agent).then_some(()))
        })
        .unwrap();
    }
}

#[test]
fn a_real_node_of_another_network_is_recognised() {
    need_node!();
    let node = Node::start(node::Options::default()).unwrap();
    let visit = block_on(async {
        let place = tempfile::tempdir().unwrap();
        let flags = ["--connect-network=0badcafe", "--connect-test-ranges=127.0.0.0/8"];
        let mut world = World::new(config(&place.path().join("tried"), &flags)).await;
        world.states(&[]);
        world.advertise(1, vec![entry(node.p2p_address(), V2)]);
        let visits = world.results(1).await;
        world.end().await.unwrap();
        visits.into_iter().next().unwrap()
    });
    assert_eq!((visit.result(), visit.detail.as_str()), (VisitResult::WrongNetwork, "it is of network regtest"), "{visit:?}");
}
