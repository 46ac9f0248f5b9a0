//! A real node.

use event::Kind;
use serde_json::json;
use testkit::{need_node, node, node::Node};

use crate::world::{Options, World};
use extract::life::Life;

fn life(node: &Node, run: u64) -> Option<Life> {
    let pid = std::fs::read_to_string(node.network_datadir().join("bitcoind.pid")).unwrap();
    Some(Life { pid: pid.trim().parse().unwrap(), node_run: run, datadir: None })
}

fn start(world: &World, v2transport: bool) -> Node {
    let args = vec![format!("-addnode={}", world.address)];
    Node::start(node::Options { v2transport, wallet: true, args, ..node::Options::default() }).unwrap()
}

#[test]
fn a_node_connects_by_either_transport_is_measured_and_comes_back() {
    need_node!();
    for (v2transport, transport) in [(false, "transport v1"), (true, "transport v2")] {
        let mut world = World::new(Options { unknown_node: true, ..Options::default() });
        let mut node = start(&world, v2transport);
        world.life.send_replace(life(&node, 1));
        let attached = world.wait_attached();
        assert_eq!(attached[..2], ["network regtest", transport], "{attached:?}");
        for _ in 0..3 {
            let ping = world.wait(|kind| if let Kind::ProbePing(ping) = kind { Some(*ping) } else { None });
            assert!(ping.round_trip_nanos > 0);
        }
        // it asks us for no blocks, and takes none of its inbound slots for us
        let peers = node.rpc("getpeerinfo", json!([])).unwrap();
        assert_eq!(peers.as_array().unwrap().len(), 1);
        let peer = &peers[0];
        assert_eq!((peer["connection_type"].as_str(), peer["inbound"].as_bool()), (Some("manual"), Some(false)));
        assert_eq!(peer["transport_protocol_type"], json!(if v2transport { "v2" } else { "v1" }));
        assert_eq!(peer["subver"], json!(format!("/peer-observer:{}/", env!("CARGO_PKG_VERSION"))));
        assert_eq!((&peer["relaytxes"], &peer["services"]), (&json!(true), &json!("0000000000000000")));

        // what it announces
        let address = node.rpc("getnewaddress", json!([])).unwrap();
        let block = node.rpc("generatetoaddress", json!([101, address])).unwrap()[100].as_str().unwrap().to_owned();
        world.wait(|kind| match kind {
            Kind::ProbeAnnouncedBlocks(blocks) => blocks.hashes.iter().any(|hash| hex(hash) == block).then_some(()),
            _ => None,
        });
        let txid = node.rpc("sendtoaddress", json!([address, 1])).unwrap();
        let wtxid = node.rpc("getrawtransaction", json!([txid, true])).unwrap()["hash"].as_str().unwrap().to_owned();
        world.wait(|kind| match kind {
            Kind::ProbeAnnouncedTransactions(transactions) => {
                assert!(transactions.txids.is_empty());
                transactions.wtxids.iter().any(|id| hex(id) == wtxid).then_some(())
            }
            _ => None,
        });

        // it comes back by itself, in another life
        node.stop().unwrap();
        world.wait(|kind| matches!(kind, Kind::HealthDetached(_)).then_some(()));
        world.life.send_replace(None);
        node.start_again().unwrap();
        world.life.send_replace(life(&node, 2));
        assert_eq!(world.wait_attached()[1], transport);
        let run = loop {
            let event = world.next();
            if let Some(Kind::ProbePing(_)) = event.kind {
                break event.node_run;
            }
        };
        assert_eq!(run, Some(2));
    }
}

/// As the node shows it.
fn hex(hash: &[u8]) -> String {
    hash.iter().rev().map(|byte| format!("{byte:02x}")).collect()
}
