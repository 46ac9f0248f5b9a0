//! The harness itself: a node's life, and peers that talk to it.

use std::net::Ipv4Addr;

use bitcoin::p2p::message::NetworkMessage;
use serde_json::json;
use testkit::peer::{Listener, Options};
use testkit::{Node, Peer, need_node, node, wait};

#[test]
fn a_node_starts_stops_and_starts_again() {
    need_node!();
    let mut node = Node::start(node::Options { wallet: true, ..Default::default() }).unwrap();
    let (pid, p2p) = (node.pid().unwrap(), node.p2p_address());
    let cookie = std::fs::read(node.cookie()).unwrap();
    let address = node.rpc("getnewaddress", json!([])).unwrap();
    node.rpc("generatetoaddress", json!([3, address])).unwrap();

    node.restart().unwrap();
    assert_eq!(node.rpc("getblockcount", json!([])).unwrap(), 3);
    assert_eq!(node.rpc("getwalletinfo", json!([])).unwrap()["walletname"], "test");
    assert_ne!(node.pid().unwrap(), pid);
    assert_ne!(std::fs::read(node.cookie()).unwrap(), cookie);
    assert_eq!(node.p2p_address(), p2p);
    Peer::connect(p2p, &Options::default()).unwrap().ping().unwrap();

    node.kill().unwrap();
    assert_eq!(node.pid(), None);
    assert!(node.network_datadir().join("bitcoind.pid").exists());
    node.start_again().unwrap();
    node.stop().unwrap();
    assert!(!node.network_datadir().join("bitcoind.pid").exists());

    let datadir = node.datadir().to_owned();
    drop(node);
    assert!(!datadir.exists());
}

#[test]
fn options_reach_the_node() {
    need_node!();
    let node = Node::start(node::Options {
        listen: None,
        v2transport: false,
        capture_messages: true,
        debug: vec!["net", "mempool"],
        max_connections: Some(30),
        args: vec!["-uacomment=hello".to_owned()],
        ..Default::default()
    })
    .unwrap();
    let network = node.rpc("getnetworkinfo", json!([])).unwrap();
    assert!(network["subversion"].as_str().unwrap().ends_with("(hello)/"));
    assert!(!network["localservicesnames"].as_array().unwrap().contains(&json!("P2P_V2")));
    let categories = node.rpc("logging", json!([])).unwrap();
    assert_eq!((&categories["net"], &categories["rpc"]), (&json!(true), &json!(false)));
    assert!(Peer::open(node.p2p_address(), &Options::default()).is_err());

    let listener = Listener::bind(Ipv4Addr::new(127, 0, 0, 9)).unwrap();
    let to = listener.address().to_string();
    node.rpc("addconnection", json!([to, "outbound-full-relay", false])).unwrap();
    listener.accept(&Options::default()).unwrap().ping().unwrap();
    assert!(node.network_datadir().join("message_capture").join(to.replace(':', "_")).is_dir());
}

#[test]
fn a_refusal_names_the_method_and_the_code() {
    need_node!();
    let node = Node::start(node::Options::default()).unwrap();
    let error = node.rpc("getblockhash", json!([7])).unwrap_err();
    assert_eq!(error.to_string(), "getblockhash refused with -8: Block height out of range");
    assert_eq!(error.code(), Some(-8));
}

#[test]
fn a_node_that_cannot_start_says_why() {
    need_node!();
    let error = Node::start(node::Options { debug: vec!["nonsense"], ..Default::default() }).unwrap_err();
    assert!(format!("{error:#}").contains("nonsense"), "{error:#}");
}

#[test]
fn a_peer_is_what_it_claims_to_be() {
    need_node!();
    let node = Node::start(node::Options::default()).unwrap();
    let options = Options {
        source: Ipv4Addr::new(127, 3, 4, 5),
        user_agent: "/somebody:1.2/".to_owned(),
        services: bitcoin::p2p::ServiceFlags::NETWORK_LIMITED,
        relay: false,
        start_height: 42,
        version: 70015,
        wtxidrelay: false,
        before_verack: vec![("sendtxrcncl".to_owned(), vec![0; 12])],
        ..Options::default()
    };
    let peer = Peer::connect(node.p2p_address(), &options).unwrap();
    peer.ping().unwrap();
    let peers = node.rpc("getpeerinfo", json!([])).unwrap();
    let seen = &peers[0];
    assert_eq!(seen["addr"], peer.address().to_string());
    assert_eq!(peer.address().ip(), Ipv4Addr::new(127, 3, 4, 5));
    assert_eq!(seen["subver"], "/somebody:1.2/");
    assert_eq!(seen["services"], "0000000000000400");
    assert_eq!(seen["relaytxes"], false);
    assert_eq!(seen["version"], 70015);
    assert_eq!(seen["transport_protocol_type"], "v1");
    assert!(seen["bytesrecv_per_msg"]["sendaddrv2"].is_number());
    assert!(seen["bytesrecv_per_msg"]["wtxidrelay"].is_null());
    assert!(seen["bytesrecv_per_msg"]["sendtxrcncl"].is_number());
}

#[test]
fn a_peer_answers_pings_unless_told_otherwise() {
    need_node!();
    let node = Node::start(node::Options::default()).unwrap();
    let polite = Peer::connect(node.p2p_address(), &Options::default()).unwrap();
    let silent = Options { answer_pings: false, ..Options::default() };
    let silent = Peer::connect(node.p2p_address(), &silent).unwrap();
    // the node pings on connection
    polite.wait_for("ping").unwrap();
    silent.wait_for("ping").unwrap();
    polite.ping().unwrap();
    silent.ping().unwrap();
    let peers = node.rpc("getpeerinfo", json!([])).unwrap();
    assert!(peers[0]["minping"].is_number());
    assert!(peers[1]["minping"].is_null());
}

#[test]
fn the_node_dials_by_hand_too() {
    need_node!();
    let node = Node::start(node::Options::default()).unwrap();
    let listener = Listener::bind(Ipv4Addr::new(127, 0, 0, 8)).unwrap();
    node.rpc("addnode", json!([listener.address().to_string(), "add", false])).unwrap();
    let peer = listener.accept(&Options::default()).unwrap();
    peer.ping().unwrap();
    assert_eq!(node.rpc("getpeerinfo", json!([])).unwrap()[0]["connection_type"], "manual");
}

#[test]
fn what_does_not_come_is_named() {
    need_node!();
    let node = Node::start(node::Options::default()).unwrap();
    let options = Options { patience: std::time::Duration::ZERO, ..Options::default() };
    let silent = Peer::open(node.p2p_address(), &options).unwrap();
    let error = silent.wait_for("version").unwrap_err();
    assert_eq!(error.to_string(), format!("{} waited 0 s for `version` and kept only nothing", silent.address()));
    silent.send_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    wait::until("the node to hang up", wait::LONG, || Ok(silent.is_closed().then_some(()))).unwrap();
    let error = silent.wait_for("version").unwrap_err();
    assert!(error.to_string().ends_with("was disconnected while it waited for `version`, after nothing"), "{error}");
}

#[test]
fn a_flood_is_answered_in_full() {
    need_node!();
    let node = Node::start(node::Options::default()).unwrap();
    let peer = Peer::connect(node.p2p_address(), &Options::default()).unwrap();
    let elapsed = peer.ping_flood(10_000).unwrap();
    eprintln!("10,000 pings in {} ms", elapsed.as_millis());
    // another one, and ordinary life goes on
    peer.ping_flood(1).unwrap();
    peer.send(NetworkMessage::Ping(1)).unwrap();
    assert_eq!(peer.wait_for("pong").unwrap().decode().unwrap(), NetworkMessage::Pong(1));
    let sent = &node.rpc("getpeerinfo", json!([])).unwrap()[0]["bytessent_per_msg"]["pong"];
    assert_eq!(sent, 32 * 10_002);
}
