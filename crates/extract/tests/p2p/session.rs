//! The protocol without a network: every byte goes from hand to hand.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::rc::Rc;

use expect_test::expect;
use extract::p2p::network::{KNOWN, Magic, Networks};
use extract::p2p::session::{Greeting, Happening, Session};
use extract::p2p::transport::{Fault, frame};
use proptest::prelude::*;

use crate::fake::{Dial, Node, payload};

const REGTEST: Magic = KNOWN[4].1;
const CUSTOM: Magic = Magic([1, 2, 3, 4]);

/// Our side, as a stream.
#[derive(Clone)]
struct Wire(Rc<RefCell<Ours>>);

struct Ours {
    session: Session,
    to_node: Vec<u8>,
    happened: Vec<Happening>,
    /// Bytes that arrive at once.
    piece: usize,
    fault: Option<Fault>,
}

impl Wire {
    fn new(networks: Networks, decline_v2: bool, piece: usize) -> Self {
        let greeting = Greeting { secret: [9; 32], nonce: 5, time: 1_750_000_000 };
        let session = Session::new(networks, greeting, decline_v2);
        Self(Rc::new(RefCell::new(Ours { session, to_node: Vec::new(), happened: Vec::new(), piece, fault: None })))
    }

    fn push(&self, bytes: &[u8]) -> Result<(), Fault> {
        let ours = &mut *self.0.borrow_mut();
        for piece in bytes.chunks(ours.piece) {
            let result = ours.session.receive(piece, |happening| ours.happened.push(happening));
            ours.to_node.extend(ours.session.take_output());
            result?;
        }
        Ok(())
    }

    fn ping(&self, nonce: u64) {
        let ours = &mut *self.0.borrow_mut();
        ours.session.ping(nonce);
        ours.to_node.extend(ours.session.take_output());
    }

    fn happened(&self) -> Vec<Happening> {
        std::mem::take(&mut self.0.borrow_mut().happened)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(fault) = self.push(bytes) {
            let text = fault.to_string();
            self.0.borrow_mut().fault = Some(fault);
            return Err(io::Error::other(text));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ours = &mut *self.0.borrow_mut();
        let length = buffer.len().min(ours.to_node.len());
        buffer[..length].copy_from_slice(&ours.to_node[..length]);
        ours.to_node.drain(..length);
        Ok(length)
    }
}

/// A connection that is ready.
fn ready(dial: Dial, magic: Magic, networks: Networks, piece: usize) -> (Node<Wire>, Wire) {
    let wire = Wire::new(networks, false, piece);
    let mut node = Node::dial(dial, magic, wire.clone()).unwrap();
    node.greet().unwrap();
    (node, wire)
}

fn render(happenings: &[Happening]) -> String {
    let line = |happening: &Happening| match happening {
        Happening::Ready(peer) => {
            format!("ready: {}, {:?}, {}, {}\n", peer.network, peer.transport, peer.protocol, peer.user_agent)
        }
        Happening::Pong(nonce) => format!("pong {nonce}\n"),
        Happening::Fact(kind) => {
            let event = event::Event::new("n", event::Source::P2p, kind.clone());
            let json = serde_json::to_value(&event).unwrap();
            let (name, body) = json.as_object().unwrap().iter().find(|(_, value)| value.is_object()).unwrap();
            format!("{name} {body}\n")
        }
    };
    happenings.iter().map(line).collect()
}

#[test]
fn every_network_by_every_transport_in_pieces_of_any_size() {
    for (name, magic) in KNOWN {
        for (dial, transport) in [(Dial::V1, "V1"), (Dial::V2, "V2")] {
            for piece in [1, 7, 64, 10_000] {
                let (_, wire) = ready(dial, magic, Networks::default(), piece);
                let expect = format!("ready: {name}, {transport}, 70016, /Satoshi:31.0.0/\n");
                assert_eq!(render(&wire.happened()), expect);
            }
        }
    }
}

/// Found by fuzzing: a `version` that cannot be read, and then one that can.
#[test]
fn nothing_happens_after_a_fault() {
    let wire = Wire::new(Networks::default(), false, 1 << 20);
    let message = |message_type: &str, payload: &[u8]| {
        let mut bytes = Vec::new();
        frame(REGTEST, message_type, payload, &mut bytes);
        wire.push(&bytes)
    };
    message("version", b"garbage").unwrap_err();
    message("version", &payload("version")).unwrap_err();
    message("verack", &[]).unwrap_err();
    assert!(wire.happened().is_empty());
}

#[test]
fn the_node_is_answered_and_asked_for_nothing() {
    for dial in [Dial::V1, Dial::V2] {
        let (mut node, wire) = ready(dial, REGTEST, Networks::default(), 100);
        wire.happened();
        let version = {
            let wire = Wire::new(Networks::default(), false, 100);
            let mut node = Node::dial(dial, REGTEST, wire).unwrap();
            node.send("version", &payload("version")).unwrap();
            node.read().unwrap().1
        };
        assert_eq!(version[4..12], [0; 8], "no services");
        assert_eq!(version.last(), Some(&1), "relay");
        assert!(version.windows(15).any(|part| part == b"/peer-observer:"), "an honest user agent");

        node.send("ping", &77_u64.to_le_bytes()).unwrap();
        node.send("getheaders", &payload("getheaders")).unwrap();
        for message_type in
            ["sendheaders", "sendcmpct", "getaddr", "getdata", "tx", "block", "mempool", "nonsense", "version", "verack"]
        {
            let payload = testkit::events::payloads().into_iter().find(|(name, _)| name == message_type);
            node.send(message_type, &payload.map_or(vec![1, 2, 3], |(_, payload)| payload)).unwrap();
        }
        wire.ping(0x0102_0304_0506_0708);
        let heard: Vec<_> = (0..3).map(|_| node.read().unwrap()).collect();
        let expect = [
            ("pong".to_owned(), 77_u64.to_le_bytes().to_vec()),
            ("headers".to_owned(), vec![0]),
            ("ping".to_owned(), vec![8, 7, 6, 5, 4, 3, 2, 1]),
        ];
        assert_eq!(heard, expect);
        assert!(wire.0.borrow().to_node.is_empty(), "and nothing else was said");
        assert_eq!(wire.happened(), []);
    }
}

#[test]
fn announcements_are_facts() {
    let facts = |dial| {
        let (mut node, wire) = ready(dial, REGTEST, Networks::default(), 1000);
        wire.happened();
        for message_type in ["inv", "headers", "cmpctblock", "addr", "feefilter", "pong"] {
            node.send(message_type, &payload(message_type)).unwrap();
        }
        // nothing announced, and something that cannot be read
        let rest = [("inv", vec![0]), ("addrv2", vec![0]), ("headers", vec![0]), ("feefilter", vec![1, 2]), ("pong", vec![])];
        for (message_type, payload) in rest {
            node.send(message_type, &payload).unwrap();
        }
        render(&wire.happened())
    };
    expect![[r#"
        probeAnnouncedBlocks {"by":"inv","hashes":["4fdd4e6b1ea66ffd8209cb675ed637cb32e21aea6ad11a633a8f0a5e23c7662c","4fdd4e6b1ea66ffd8209cb675ed637cb32e21aea6ad11a633a8f0a5e23c7662c","4fdd4e6b1ea66ffd8209cb675ed637cb32e21aea6ad11a633a8f0a5e23c7662c","0303030303030303030303030303030303030303030303030303030303030303"]}
        probeAnnouncedTransactions {"txids":["626a1b56c85384e0a38d8e9c6a8e82983e3461868cc6acbe105b6a5ac0b20aed","626a1b56c85384e0a38d8e9c6a8e82983e3461868cc6acbe105b6a5ac0b20aed"],"wtxids":["2c3abe55865d7d9fe3fda5333b0e3159daa0bb6d10f36cab0fde2c77946a9cba"]}
        probeAnnouncedBlocks {"by":"headers","hashes":["4fdd4e6b1ea66ffd8209cb675ed637cb32e21aea6ad11a633a8f0a5e23c7662c","4fdd4e6b1ea66ffd8209cb675ed637cb32e21aea6ad11a633a8f0a5e23c7662c"]}
        probeAnnouncedBlocks {"by":"cmpctblock","hashes":["4fdd4e6b1ea66ffd8209cb675ed637cb32e21aea6ad11a633a8f0a5e23c7662c"]}
        probeAnnouncedAddresses {"addresses":[{"address":"198.51.100.1","network":"ipv4","port":8333,"services":"2057","time":1750000000,"timeText":"2025-06-15T15:06:40Z"},{"address":"2001:db8::1","network":"ipv6","port":8333,"services":"2057","time":1750000000,"timeText":"2025-06-15T15:06:40Z"}]}
        probeFeeFilter {"feerate":"1000"}
        pong 1
        probeUndecodable {"detail":"payload ends before the message does","messageType":"feefilter","raw":"0102","reason":"too_short"}
    "#]]
    .assert_eq(&facts(Dial::V1));
    assert_eq!(facts(Dial::V1), facts(Dial::V2));
}

#[test]
fn a_network_without_a_name_is_learned_by_v1_and_then_known_by_v2() {
    let (_, wire) = ready(Dial::V1, CUSTOM, Networks::default(), 1000);
    assert_eq!(render(&wire.happened()), "ready: 01020304, V1, 70016, /Satoshi:31.0.0/\n");
    let learned = Networks { only: None, learned: Some(CUSTOM) };
    for (dial, magic) in [(Dial::V1, CUSTOM), (Dial::V2, CUSTOM), (Dial::V2, REGTEST)] {
        let (_, wire) = ready(dial, magic, learned, 1000);
        assert!(render(&wire.happened()).starts_with(&format!("ready: {magic}, ")));
    }
    // by v2 alone it stays unknown: nothing but our key is ever said
    let wire = Wire::new(Networks::default(), false, 1000);
    assert!(Node::dial(Dial::V2, CUSTOM, wire.clone()).is_err());
    assert!(wire.0.borrow().session.in_v2_handshake());
}

#[test]
fn a_network_that_was_ordered_is_the_only_one() {
    let only = Networks { only: Some(KNOWN[0].1), learned: Some(REGTEST) };
    for dial in [Dial::V1, Dial::V2] {
        ready(dial, KNOWN[0].1, only, 1000);
    }
    let wire = Wire::new(only, false, 1000);
    let mut node = Node::dial(Dial::V1, REGTEST, wire.clone()).unwrap();
    assert!(node.send("version", &payload("version")).is_err());
    assert_eq!(wire.0.borrow().fault, Some(Fault::OtherNetwork(REGTEST)));
    let wire = Wire::new(only, false, 1000);
    assert!(Node::dial(Dial::V2, REGTEST, wire.clone()).is_err());
    assert!(wire.0.borrow().session.in_v2_handshake());
}

#[test]
fn v2_can_be_declined_without_a_byte() {
    let wire = Wire::new(Networks::default(), true, 1000);
    assert!(Node::dial(Dial::V2, REGTEST, wire.clone()).is_err());
    assert_eq!(wire.0.borrow().fault, Some(Fault::NoV2));
    assert!(wire.0.borrow().to_node.is_empty());
}

fn v1(message_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(REGTEST, message_type, payload, &mut bytes);
    bytes
}

/// What a v1 stranger gets who says hello and then this.
#[track_caller]
fn check_fault(greet: bool, bytes: &[u8], expect: &str) {
    for piece in [1, 13, 100_000] {
        let wire = Wire::new(Networks::default(), false, piece);
        if greet {
            let mut node = Node::dial(Dial::V1, REGTEST, wire.clone()).unwrap();
            node.greet().unwrap();
        }
        let fault = wire.push(bytes).unwrap_err();
        assert_eq!(fault.to_string(), expect);
        // a fault is the end
        wire.happened();
        let _ = wire.push(&v1("pong", &[0; 8]));
        assert_eq!(wire.happened(), []);
    }
}

#[test]
fn what_breaks_the_protocol_is_told() {
    let header = |length: u32| {
        let mut bytes = v1("version", &[]);
        bytes[16..20].copy_from_slice(&length.to_le_bytes());
        bytes
    };
    check_fault(false, &v1("verack", &[]), "the first message is not `version`");
    check_fault(false, &v1("version", &[1, 2, 3]), "a `version` that cannot be decoded");
    check_fault(false, &header(4097), "a message of 4097 bytes");
    check_fault(false, &header(u32::MAX), "a message of 4294967295 bytes");
    let mut spoiled = v1("version", &payload("version"));
    *spoiled.last_mut().unwrap() ^= 1;
    check_fault(false, &spoiled, "a `version` with a wrong checksum");
    check_fault(true, &[0; 24], "a message does not begin with the network's magic");
    check_fault(true, &header(4_000_001), "a message of 4000001 bytes");
    // the first message was right, the second is none that may come before `verack` at such length
    let endless: Vec<u8> =
        std::iter::once(v1("version", &payload("version"))).chain((0..17).map(|_| v1("feature", &[0; 4000]))).flatten().collect();
    let wire = Wire::new(Networks::default(), false, 1000);
    assert!(matches!(wire.push(&endless), Err(Fault::TooLarge(_))));
    // noise, which may be a key: garbage without an end
    let wire = Wire::new(Networks::default(), false, 1000);
    assert!(matches!(wire.push(&[0x55; 5000]), Err(Fault::Broken(_))));
}

#[test]
fn a_broken_v2_connection_ends() {
    let (mut node, wire) = ready(Dial::V2, REGTEST, Networks::default(), 1000);
    wire.happened();
    node.send("ping", &[0; 8]).unwrap();
    // a length that is too large, or a packet that is not the node's
    assert!(wire.push(&vec![0; 5_000_000]).is_err());
    // messages without a type, or within it
    for contents in [&[][..], &[0, b'p', b'i'][..]] {
        let (node, _) = ready(Dial::V2, REGTEST, Networks::default(), 1000);
        let Node::V2(mut protocol) = node else { unreachable!() };
        assert!(protocol.write(&bip324::io::Payload::genuine(contents)).is_err());
    }
    // types that nobody has named, and packets to be ignored
    let (node, wire) = ready(Dial::V2, REGTEST, Networks::default(), 1000);
    wire.happened();
    let Node::V2(mut protocol) = node else { unreachable!() };
    for id in [29, 36, 200, 255] {
        protocol.write(&bip324::io::Payload::genuine(vec![id, 1, 2])).unwrap();
    }
    protocol.write(&bip324::io::Payload::decoy(vec![18; 9])).unwrap();
    protocol.write(&bip324::io::Payload::genuine([&[19][..], &7_u64.to_le_bytes()].concat())).unwrap();
    assert_eq!(wire.happened(), [Happening::Pong(7)]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(start in 0..4_usize, bytes: Vec<u8>, types in prop::collection::vec((0..40_usize, any::<Vec<u8>>()), 0..20), piece in 1..100_usize) {
        let wire = Wire::new(Networks::default(), start == 3, piece);
        if start == 1 || start == 2 {
            let _ = wire.push(&v1("version", &payload("version")));
        }
        if start == 2 {
            let _ = wire.push(&v1("verack", &[]));
        }
        let payloads = testkit::events::payloads();
        for (at, payload) in types {
            let message_type = payloads.get(at).map_or("version", |(name, _)| name);
            let _ = wire.push(&v1(message_type, &payload));
        }
        let _ = wire.push(&bytes);
    }

    #[test]
    fn a_spoiled_announcement_is_none(at: prop::sample::Index, flip in 1..=255_u8, piece in 1..200_usize) {
        let (_node, wire) = ready(Dial::V1, REGTEST, Networks::default(), piece);
        wire.happened();
        let mut bytes = v1("inv", &payload("inv"));
        let place = at.index(bytes.len());
        bytes[place] ^= flip;
        let _ = wire.push(&bytes);
        let happened = wire.happened();
        // a change of the type makes it another message; any other is noticed
        prop_assert!((4..16).contains(&place) || happened.is_empty(), "{}", render(&happened));
    }

    #[test]
    fn a_spoiled_v2_handshake_is_no_panic(at in 0..1300_usize, flip in 1..=255_u8, piece in 1..200_usize) {
        let wire = Wire::new(Networks::default(), false, piece);
        let spoiled = Spoil { wire, at: Rc::new(RefCell::new(at)), flip };
        if let Ok(mut node) = Node::dial(Dial::V2, REGTEST, spoiled) {
            let _ = node.greet();
        }
    }
}

/// A wire that changes one byte on the way to us.
#[derive(Clone)]
struct Spoil {
    wire: Wire,
    at: Rc<RefCell<usize>>,
    flip: u8,
}

impl Write for Spoil {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut bytes = bytes.to_vec();
        let at = &mut *self.at.borrow_mut();
        if let Some(byte) = bytes.get_mut(*at) {
            *byte ^= self.flip;
        }
        *at = at.checked_sub(bytes.len()).unwrap_or(usize::MAX);
        self.wire.write(&bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Spoil {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wire.read(buffer)
    }
}
