//! Whoever else connects: each is refused and counted, and the node is served as if nobody else were there.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use event::{Kind, ProbeRefused, RefusalReason};
use extract::life::Life;
use extract::p2p::network::{KNOWN, Magic};
use extract::p2p::transport::frame;

use crate::fake::{Dial, payload};
use crate::world::{Options, World, answering, connect};

const REGTEST: Magic = KNOWN[4].1;

fn refused(kind: &Kind) -> Option<ProbeRefused> {
    if let Kind::ProbeRefused(event) = kind { Some(event.clone()) } else { None }
}

/// What is said of somebody who sends this.
#[track_caller]
fn check(bytes: &[u8], reason: RefusalReason, detail: &str) {
    let mut world = World::new(Options::default());
    let mut stranger = TcpStream::connect(world.address).unwrap();
    let address = stranger.local_addr().unwrap().to_string();
    // it may be thrown out before it is done
    let _ = stranger.write_all(bytes);
    let event = world.wait(refused);
    assert_eq!((event.reason(), event.count, event.detail.as_str(), event.address), (reason, 1, detail, address));
    // thrown out
    let _ = stranger.set_read_timeout(Some(Duration::from_secs(30)));
    let mut rest = Vec::new();
    let ended = stranger.read_to_end(&mut rest);
    assert!(!matches!(&ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{ended:?}");
    // and the node is welcome
    answering(connect(world.address, Dial::V2, REGTEST), || Duration::ZERO);
    world.wait(|kind| matches!(kind, Kind::ProbePing(_)).then_some(()));
}

fn v1(message_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(REGTEST, message_type, payload, &mut bytes);
    bytes
}

#[test]
fn noise_is_refused() {
    let expect = "neither the protocol of any network in question, nor v2 of one of them";
    check(&[0x55; 5000], RefusalReason::Broken, expect);
    check(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200).as_slice(), RefusalReason::Broken, expect);
    // far more than is ever read
    check(&vec![0xaa; 50_000_000], RefusalReason::Broken, expect);
}

#[test]
fn what_is_no_handshake_is_refused() {
    check(&v1("ping", &[0; 8]), RefusalReason::Broken, "the first message is not `version`");
    let mut oversized = v1("version", &[]);
    oversized[16..20].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    check(&oversized, RefusalReason::TooLarge, "a message of 2147483647 bytes");
    let endless: Vec<u8> = [v1("version", &payload("version")), v1("wtxidrelay", &[]).repeat(100_000)].concat();
    let mut world = World::new(Options::default());
    let mut stranger = TcpStream::connect(world.address).unwrap();
    let _ = stranger.write_all(&endless);
    assert_eq!(world.wait(refused).reason(), RefusalReason::TooLarge);
}

#[test]
fn another_network_is_refused() {
    let mut world = World::new(Options { network: Some(KNOWN[0].1), ..Options::default() });
    let mut stranger = TcpStream::connect(world.address).unwrap();
    stranger.write_all(&v1("version", &payload("version"))).unwrap();
    let event = world.wait(refused);
    assert_eq!((event.reason(), event.detail.as_str()), (RefusalReason::OtherNetwork, "it is of network regtest"));
}

#[test]
fn silence_ends() {
    // of whom nothing but the address is known, little patience is had; the stall is of a v2 handshake
    let mut world = World::new(Options { unknown_node: true, network: Some(REGTEST), ..Options::default() });
    let silent = TcpStream::connect(world.address).unwrap();
    let mut stalled = TcpStream::connect(world.address).unwrap();
    stalled.write_all(&[0x55; 70]).unwrap();
    let (mut count, mut reasons) = (0, Vec::new());
    while count < 2 {
        let event = world.wait(refused);
        count += event.count;
        reasons.push(event.reason());
    }
    assert!(reasons.iter().all(|reason| *reason == RefusalReason::TooSlow), "{reasons:?}");
    drop(silent);
}

#[test]
fn somebody_elses_connection_is_refused() {
    let mut world = World::new(Options::default());
    let mut other = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
    world.life.send_replace(Some(Life { pid: other.id(), node_run: 1, datadir: None }));
    let _stranger = TcpStream::connect(world.address).unwrap();
    let event = world.wait(refused);
    assert_eq!((event.reason(), event.detail.as_str()), (RefusalReason::Stranger, "the connection is not the node's"));
    // a node that was known and has ended has no connections
    other.kill().unwrap();
    other.wait().unwrap();
    world.life.send_replace(None);
    let _stranger = TcpStream::connect(world.address).unwrap();
    let event = world.wait(refused);
    assert_eq!((event.reason(), event.detail.as_str()), (RefusalReason::Stranger, "the node does not run"));
}

#[test]
fn a_crowd_is_counted_and_the_node_goes_on() {
    let mut world = World::new(Options::default());
    answering(connect(world.address, Dial::V1, REGTEST), || Duration::ZERO);
    world.wait_attached();
    let crowd: Vec<_> = (0..200).map(|_| TcpStream::connect(world.address).unwrap()).collect();
    let (mut count, mut events) = (0, 0);
    while count < 200 {
        let event = world.wait(refused);
        assert_eq!((event.reason(), event.detail.as_str()), (RefusalReason::Busy, "the node is connected already"));
        count += event.count;
        events += 1;
    }
    assert!(count == 200 && events < 20, "{count} in {events}");
    world.wait(|kind| matches!(kind, Kind::ProbePing(_)).then_some(()));
    drop(crowd);
}

#[test]
fn a_crowd_that_says_nothing_is_bounded() {
    let mut world = World::new(Options::default());
    let crowd: Vec<_> = (0..50).map(|_| TcpStream::connect(world.address).unwrap()).collect();
    let mut count = 0;
    while count < 42 {
        let event = world.wait(refused);
        assert_eq!((event.reason(), event.detail.as_str()), (RefusalReason::Busy, "8 handshakes are under way"));
        count += event.count;
    }
    assert_eq!(count, 42);
    // when they have gone, the node is welcome
    drop(crowd);
    let mut gone = 0;
    while gone < 8 {
        let event = world.wait(refused);
        // a connection that was gone before it was looked at is nobody's
        assert!(matches!(event.reason(), RefusalReason::HungUp | RefusalReason::Stranger), "{event:?}");
        gone += event.count;
    }
    connect(world.address, Dial::V2, REGTEST);
    world.wait_attached();
}
