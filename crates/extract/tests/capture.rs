//! A real node's `-capturemessages` as a recording.

use std::collections::BTreeMap;
use std::path::Path;

use bitcoin::p2p::message::NetworkMessage;
use event::{Direction, Event, Kind};
use extract::capture::Capture;
use testkit::{Node, Peer, need_node, node, peer};

/// How many bytes the files in a folder, and in those within, have.
fn bytes_of(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in folder.read_dir()? {
        let path = entry?.path();
        bytes += if path.is_dir() { bytes_of(&path)? } else { path.metadata()?.len() };
    }
    Ok(bytes)
}

#[test]
fn every_record_of_a_node_becomes_an_event() {
    need_node!();
    let mut node = Node::start(node::Options { capture_messages: true, ..Default::default() }).unwrap();
    let options = peer::Options::default();
    let (one, two) = (Peer::connect(node.p2p_address(), &options).unwrap(), Peer::connect(node.p2p_address(), &options).unwrap());
    one.send(NetworkMessage::Ping(0x5eed)).unwrap();
    one.wait_for("pong").unwrap();
    two.send_raw("nonsense", &[7; 300]).unwrap();
    two.ping().unwrap();
    node.stop().unwrap();

    let folder = node.network_datadir().join("message_capture");
    let events: Vec<Event> = Capture::open(&folder, true).unwrap().map(|event| event.unwrap()).collect();
    // each record has 24 bytes beside its payload: if all bytes are accounted for, no record is missing
    let raw = |event: &Event| event.kind.as_ref().unwrap().net().unwrap().raw.unwrap().len() as u64;
    assert_eq!(events.iter().map(|event| 24 + raw(event)).sum::<u64>(), bytes_of(&folder).unwrap());

    let mut peers: BTreeMap<u64, Vec<&Event>> = BTreeMap::new();
    for event in &events {
        peers.entry(event.peer().unwrap()).or_default().push(event);
    }
    assert_eq!(peers.len(), 2);
    for (peer, expected) in [&one, &two].into_iter().zip(0..) {
        let messages = &peers[&expected];
        assert!(messages.iter().all(|event| event.kind.as_ref().unwrap().address() == peer.address().to_string()));
        let names: Vec<_> = messages.iter().map(|event| event.id().unwrap().name()).take(2).collect();
        assert_eq!(names, ["net.version", "net.version"]);
    }
    let pong = |event: &&Event| matches!(&event.kind, Some(Kind::NetPong(pong)) if pong.nonce == 0x5eed);
    let ping = |event: &&Event| matches!(&event.kind, Some(Kind::NetPing(ping)) if ping.nonce == Some(0x5eed));
    let of = |wanted: &dyn Fn(&&Event) -> bool| peers[&0].iter().copied().find(|event| wanted(event)).unwrap();
    assert_eq!(of(&ping).kind.as_ref().unwrap().net().unwrap().direction, Direction::Inbound);
    assert_eq!(of(&pong).kind.as_ref().unwrap().net().unwrap().direction, Direction::Outbound);
    assert!(of(&ping).time <= of(&pong).time);
    let Some(Kind::NetUndecodable(unknown)) = peers[&1].iter().find_map(|event| match &event.kind {
        Some(kind @ Kind::NetUndecodable(_)) => Some(kind),
        _ => None,
    }) else {
        panic!("what nobody knows is kept")
    };
    assert_eq!((unknown.message_type.as_str(), unknown.raw.as_deref()), ("nonsense", Some(&[7; 300][..])));
}
