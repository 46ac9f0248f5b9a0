//! Everything that the scenario promises has happened in the node.

use serde_json::{Value, json};
use testkit::{Node, need_node, scenario};

#[test]
fn the_scenario_keeps_its_promises() {
    need_node!();
    let main = Node::start(scenario::main_options()).unwrap();
    let played = scenario::play(&main, 7).unwrap();
    let log = main.log().unwrap();
    let logged = |text: &str| log.lines().any(|line| line.contains(text));
    let count = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    let rpc = |method: &str, params: Value| main.rpc(method, params).unwrap();

    // connections: every type, both transports
    let peers = rpc("getpeerinfo", json!([]));
    let peers = peers.as_array().unwrap();
    let present = |field: &str, value: &str| peers.iter().any(|peer| peer[field] == value);
    for connection_type in ["inbound", "manual", "outbound-full-relay", "block-relay-only"] {
        assert!(present("connection_type", connection_type), "no {connection_type}");
    }
    assert!(logged("addrfetch connection completed"));
    assert!(logged("feeler connection completed"));
    assert!(logged("retrying with v1 transport protocol"));
    assert!(present("transport_protocol_type", "v1") && present("transport_protocol_type", "v2"));
    assert!(played.peers.len() > 15);

    // transactions
    assert!(logged(&format!("replacing mempool tx {}", played.replaced)));
    assert!(logged(&format!("New tx {}", played.replacement)));
    assert_eq!(played.rejected.len(), 3);
    for (txid, reason) in played.rejected.iter().zip(["min relay fee not met", "script-verify-flag-failed", ""]) {
        assert!(
            log.lines().any(|line| line.contains(txid) && line.contains("was not accepted") && line.contains(reason)),
            "{txid} was not refused for {reason}"
        );
    }
    assert!(logged(&format!("stored orphan tx {}", played.rejected[2])));

    // blocks
    assert_eq!(rpc("getbestblockhash", json!([])), played.tip);
    assert_eq!(rpc("getblockcount", json!([])), 110 + 1 + 3 + 1 + 1 + 3);
    let tips = rpc("getchaintips", json!([]));
    assert!(tips.as_array().unwrap().iter().any(|tip| tip["hash"] == played.stale_block && tip["status"] == "valid-fork"));
    assert!(logged(&format!("BlockDisconnected: block hash={}", played.stale_block)));
    assert!(peers.iter().any(|peer| peer["bip152_hb_to"] == true));
    assert!(peers.iter().any(|peer| peer["bip152_hb_from"] == true));
    assert!(logged("Successfully reconstructed block"));
    assert!(logged(&format!("required tx {}", played.missing_in_block)));
    assert!(logged("received: blocktxn"));

    // those who were sent away
    assert_eq!(played.evicted.len(), 3);
    assert_eq!(count("connection for eviction"), 3);
    assert_eq!(played.misbehaved.len(), 2);
    assert_eq!(count("Misbehaving: "), 2);
    assert!(logged("addr message size = 1001"));
    assert!(logged("non-continuous headers sequence"));
    for addr in played.evicted.iter().chain(&played.misbehaved) {
        assert!(peers.iter().all(|peer| peer["addr"] != addr.to_string()), "{addr} is still there");
    }

    // gossip and nonsense
    assert!(rpc("getaddrmaninfo", json!([]))["all_networks"]["total"].as_u64().unwrap() > 40);
    assert!(logged("sending addrv2") && logged("sending addr ("));
    assert!(logged("received: addr (") && logged("received: addrv2"));
    assert!(logged(r#"Unknown message type "weather""#) || logged(r#"Unknown command "weather""#));
    assert!(logged("ProcessMessages(inv, 6 bytes): Exception"));
    assert!(logged("Wrong checksum (ping"));
    assert!(logged("Wrong MessageStart"));
    assert!(logged("Size too large (block, 4000001 bytes)"));
    assert!(count("received: ping") >= 3 * 40);
}
