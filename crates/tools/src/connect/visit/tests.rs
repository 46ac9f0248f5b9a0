use bitcoin::consensus::encode::serialize;
use bitcoin::p2p::{Address, ServiceFlags};
use event::p2p::network::{KNOWN, Networks};
use event::p2p::transport::frame;
use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

const MAIN: Magic = KNOWN[0].1;
const TEST: Magic = KNOWN[1].1;

fn greeting(transport: Version) -> Greeting {
    let user_agent = "/peer-observer:0.0.1(https://example.org/visits)/".to_owned();
    Greeting { network: MAIN, transport, secret: [7; 32], nonce: 99, time: 1_750_000_000, user_agent }
}

fn version(user_agent: &str) -> Vec<u8> {
    let nowhere = Address { services: ServiceFlags::NONE, address: [0; 8], port: 0 };
    serialize(&VersionMessage {
        version: 70016,
        services: ServiceFlags::from(0xc09),
        timestamp: 1_750_000_007,
        receiver: nowhere.clone(),
        sender: nowhere,
        nonce: 5,
        user_agent: user_agent.to_owned(),
        start_height: 900_000,
        relay: true,
    })
}

fn framed(magic: Magic, messages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (message_type, payload) in messages {
        frame(magic, message_type, payload, &mut bytes);
    }
    bytes
}

/// The node's side: answers, and says what it was told.
struct Node {
    transport: Transport,
    heard: Vec<String>,
}

impl Node {
    fn new(network: Magic) -> Self {
        let networks = Networks { only: Some(network), learned: None };
        Self { transport: Transport::new(networks, [9; 32], false), heard: Vec::new() }
    }

    fn hear(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.transport.push(bytes);
        while let Ok(Some(message)) = self.transport.next(MESSAGE, &mut out) {
            if message.message_type == "version" {
                for (message_type, payload) in
                    [("version", version("/Satoshi:31.0.0/")), ("sendaddrv2", vec![]), ("verack", vec![])]
                {
                    self.transport.send(message_type, &payload, &mut out);
                }
            }
            self.heard.push(message.message_type);
        }
        out
    }
}

/// Lets both talk in pieces of a size until neither has anything to say.
fn talk(visit: &mut Visit, node: &mut Node, piece: usize) -> Result<bool, Fault> {
    loop {
        let ours = visit.take_output();
        let mut over = false;
        for piece in node.hear(&ours).chunks(piece) {
            over = visit.receive(piece)?;
        }
        if over || ours.is_empty() {
            node.hear(&visit.take_output());
            return Ok(over);
        }
    }
}

#[test]
fn either_transport_in_pieces_of_any_size() {
    for transport in [Version::V1, Version::V2] {
        for piece in [1, 7, 64, 100_000] {
            let (mut visit, mut node) = (Visit::new(greeting(transport)), Node::new(MAIN));
            assert_eq!(talk(&mut visit, &mut node, piece), Ok(true), "{transport:?} in {piece}");
            // a visitor says who he is, that he has heard, and nothing else
            assert_eq!(node.heard, ["version", "verack"]);
            let hello = visit.hello().unwrap();
            assert_eq!((hello.user_agent.as_str(), hello.services, hello.start_height), ("/Satoshi:31.0.0/", 0xc09, 900_000));
        }
    }
}

#[test]
fn a_node_of_another_network_is_recognised_by_either_transport() {
    let mut visit = Visit::new(greeting(Version::V1));
    assert_eq!(visit.receive(&framed(TEST, &[("version", &version("/x/"))])), Err(Fault::OtherNetwork(TEST)));
    let (mut visit, mut node) = (Visit::new(greeting(Version::V2)), Node::new(TEST));
    assert_eq!(talk(&mut visit, &mut node, 1000), Ok(false));
    assert_eq!((visit.meant(), node.heard.len()), (Some(TEST), 0));
    // of ours it is not said
    let mut visit = Visit::new(greeting(Version::V2));
    visit.receive(&[5; 64]).unwrap();
    assert_eq!(visit.meant(), None);
}

#[track_caller]
fn check(bytes: &[u8], expect: Expect) {
    let mut visit = Visit::new(greeting(Version::V1));
    let result = visit.receive(bytes);
    let hello = visit.hello().map_or(String::new(), |hello| format!(", hello {:?}", hello.user_agent));
    expect.assert_eq(&match result {
        Ok(over) => format!("over: {over}{hello}"),
        Err(fault) => format!("{fault}{hello}"),
    });
    // nothing happens after a fault
    let before = visit.hello().cloned();
    let _ = visit.receive(&framed(MAIN, &[("version", &version("/late/")), ("verack", &[])]));
    assert!(!bytes.is_empty() && (visit.hello() == before.as_ref() || before.is_none()));
}

#[test]
fn what_comes_is_told_apart() {
    check(b"HTTP/1.1 400 Bad Request\r\n\r\n", expect!["the answer is no message of the protocol"]);
    check(b"SSH-2.0-OpenSSH_9.2p1\r\n", expect!["the answer is no message of the protocol"]);
    check(&framed(MAIN, &[("verack", &[])]), expect!["`verack` before `version`"]);
    check(&framed(MAIN, &[("version", &[1, 2, 3])]), expect!["a `version` that cannot be decoded"]);
    check(&framed(MAIN, &[("version", &version("/x/"))]), expect![[r#"over: false, hello "/x/""#]]);
    check(&framed(MAIN, &[("version", &version("/x/")), ("verack", &[])]), expect![[r#"over: true, hello "/x/""#]]);
    let old = version("/old/");
    check(&framed(MAIN, &[("version", &old[..old.len() - 1])]), expect![[r#"over: false, hello "/old/""#]]);
    check(&framed(MAIN, &[("version", &version("\u{1b}[31m\nü"))]), expect![[r#"over: false, hello "\\u{1b}[31m\\n\\u{fc}""#]]);
    let long = framed(MAIN, &[("version", &version(&"x".repeat(3000)))]);
    let mut visit = Visit::new(greeting(Version::V1));
    visit.receive(&long).unwrap();
    assert_eq!(visit.hello().unwrap().user_agent.len(), AGENT);
    check(&framed(MAIN, &[("block", &[0; MESSAGE + 1])]), expect!["a message of 4097 bytes"]);
    let mut wrong = framed(MAIN, &[("version", &version("/x/"))]);
    *wrong.last_mut().unwrap() ^= 1;
    check(&wrong, expect!["a `version` with a wrong checksum"]);
}

#[test]
fn a_handshake_has_an_end() {
    let mut visit = Visit::new(greeting(Version::V1));
    visit.receive(&framed(MAIN, &[("version", &version("/x/"))])).unwrap();
    let more = framed(MAIN, &[("feature", &[0; 1000])]);
    let fault = (0..1000).find_map(|_| visit.receive(&more).err());
    assert!(matches!(fault, Some(Fault::TooLarge(heard)) if heard <= GREETINGS + more.len()));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(v2: bool, pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..20)) {
        let mut visit = Visit::new(greeting(if v2 { Version::V2 } else { Version::V1 }));
        for piece in pieces {
            let _ = visit.receive(&piece);
            visit.take_output();
            visit.meant();
        }
        prop_assert!(visit.hello().is_none());
    }

    #[test]
    fn no_message_makes_it_panic(messages in proptest::collection::vec(("[a-z]{0,12}", proptest::collection::vec(any::<u8>(), 0..100)), 0..8)) {
        let mut visit = Visit::new(greeting(Version::V1));
        for (message_type, payload) in messages {
            let message_type = if message_type.len() < 3 { "version" } else { message_type.as_str() };
            let _ = visit.receive(&framed(MAIN, &[(message_type, payload.as_slice())]));
        }
    }
}
