use event::{
    ConnClosed, NetFeature, NetFeefilter, NetGetheaders, NetInv, NetPing, NetSendaddrv2, NetSendcmpct, NetUndecodable, NetVerack,
    NetWtxidrelay, PeerInfo, Source, StatePeers,
};

use super::*;

const SECOND: u64 = 1_000_000_000;
const IN: i32 = Direction::Inbound as i32;
const OUT: i32 = Direction::Outbound as i32;

fn hello(peer: u64) -> Kind {
    NetVersion {
        peer,
        direction: IN,
        version: 70016,
        services: 0xc09,
        relay: true,
        nonce: 5,
        receiver_address: "203.0.113.7:8333".into(),
        ..Default::default()
    }
    .into()
}

fn our_verack(peer: u64) -> Kind {
    NetVerack { peer, direction: OUT, ..Default::default() }.into()
}

fn transport(peer: u64, transport: Transport) -> Kind {
    let info = PeerInfo { id: peer, transport: transport.into(), ..Default::default() };
    StatePeers { peers: vec![info] }.into()
}

fn core(peer: u64) -> Vec<(u64, Kind)> {
    vec![
        (0, hello(peer)),
        (1, our_verack(peer)),
        (1, NetWtxidrelay { peer, direction: IN, ..Default::default() }.into()),
        (1, NetSendaddrv2 { peer, direction: IN, ..Default::default() }.into()),
        (1, NetVerack { peer, direction: IN, ..Default::default() }.into()),
        (1, NetSendcmpct { peer, direction: IN, version: 2, ..Default::default() }.into()),
        (1, NetPing { peer, direction: IN, ..Default::default() }.into()),
        (1, NetInv { peer, direction: IN, ..Default::default() }.into()),
        (2, NetPing { peer, direction: IN, ..Default::default() }.into()),
        (2, NetGetheaders { peer, direction: IN, ..Default::default() }.into()),
        (2, NetFeefilter { peer, direction: IN, ..Default::default() }.into()),
    ]
}

/// What is found when these happen at these seconds, and then nothing for two minutes: second, peer, line.
fn found(happenings: Vec<(u64, Kind)>) -> Vec<(u64, u64, String)> {
    let mut handshakes = Handshakes::default();
    let mut all = Vec::new();
    let mut events: Vec<(u64, Option<Kind>)> = happenings.into_iter().map(|(second, kind)| (second, Some(kind))).collect();
    events.extend((0..120).map(|second| (second, None)));
    events.sort_by_key(|(second, _)| *second);
    for (second, kind) in events {
        let event = Event { time: (1000 + second) * SECOND, source: Source::Ebpf.into(), kind, ..Default::default() };
        handshakes.observe(&event, &mut |peer, fingerprint| all.push((second, peer, fingerprint.line)));
    }
    assert_eq!((handshakes.open.len(), handshakes.due.len()), (0, 0), "everything ends");
    all
}

#[track_caller]
fn check(happenings: Vec<(u64, Kind)>, expect: &[(u64, &str)]) {
    let found = found(happenings);
    let lines: Vec<(u64, &str)> = found.iter().map(|(second, _, line)| (*second, line.as_str())).collect();
    assert_eq!(lines, expect);
}

#[test]
fn bitcoin_core_has_its_line() {
    let mut happenings = core(7);
    happenings.push((3, transport(7, Transport::V2)));
    check(
        happenings,
        &[(6, "1;v=70016;s=c09;r=1;t=v2;e=1;n=0;m=wtxidrelay,sendaddrv2,verack,sendcmpct:0:2,ping,getheaders,feefilter")],
    );
}

#[test]
fn a_transport_that_nobody_states_is_waited_for_in_vain() {
    check(
        core(7),
        &[(13, "1;v=70016;s=c09;r=1;t=?;e=1;n=0;m=wtxidrelay,sendaddrv2,verack,sendcmpct:0:2,ping,getheaders,feefilter")],
    );
    let mut late = core(7);
    late.push((9, transport(7, Transport::V1)));
    assert!(found(late)[0].2.contains(";t=v1;"));
}

#[test]
fn what_comes_after_five_seconds_does_not_count() {
    let late = NetSendaddrv2 { peer: 7, direction: IN, ..Default::default() };
    let happenings = vec![(0, hello(7)), (0, our_verack(7)), (1, transport(7, Transport::V1)), (6, late.into())];
    check(happenings, &[(5, "1;v=70016;s=c09;r=1;t=v1;e=1;n=0;m=")]);
}

#[test]
fn who_leaves_early_or_never_finishes_has_none() {
    let mut left = core(7);
    left.push((3, ConnClosed { peer: 7, ..Default::default() }.into()));
    check(left, &[]);
    check(vec![(0, hello(7))], &[]);
}

/// Text that a peer chose is not in the line, and there is not more of it however much comes.
#[test]
fn a_peer_cannot_write_into_the_line() {
    let mut happenings = vec![(0, hello(7)), (0, our_verack(7)), (0, transport(7, Transport::V1))];
    for number in 0..1000 {
        let feature = NetFeature { peer: 7, direction: IN, id: format!("evil;m={number}\n"), ..Default::default() };
        happenings.push((1, feature.into()));
        let unknown = NetUndecodable { peer: 7, direction: IN, message_type: format!("x,{number}"), ..Default::default() };
        happenings.push((1, unknown.into()));
    }
    let line = &found(happenings)[0].2;
    assert!(!line.contains("evil") && !line.contains('\n') && !line.contains("x,"), "{line}");
    assert_eq!(line.split(',').count(), TYPES, "{line}");
}

#[test]
fn a_flood_of_handshakes_is_counted_and_bounded() {
    let mut handshakes = Handshakes::default();
    for peer in 0..5000 {
        let event = Event { time: SECOND + peer, kind: Some(hello(peer)), ..Default::default() };
        handshakes.observe(&event, &mut |_, _| panic!("nobody finished"));
    }
    assert_eq!((handshakes.open.len(), handshakes.due.len()), (MOST, MOST));
    assert_eq!(handshakes.overlooked(), 5000 - MOST as u64);
}

/// Times are what events say they are.
#[test]
fn at_the_end_of_all_time_a_handshake_ends_as_well() {
    let mut handshakes = Handshakes::default();
    let mut count = 0;
    for (kind, peer) in [(hello(7), 7), (our_verack(7), 7), (hello(8), 8)] {
        let event = Event { time: u64::MAX - peer % 2, kind: Some(kind), ..Default::default() };
        handshakes.observe(&event, &mut |_, _| count += 1);
    }
    handshakes.advance(u64::MAX, &mut |_, _| count += 1);
    assert_eq!((count, handshakes.open.len(), handshakes.due.len()), (1, 0, 0));
}

/// The beginning of SHA3-256, as any other program computes it.
#[test]
fn a_hash_is_always_the_same() {
    assert_eq!(format!("{:016x}", Fingerprint::of("1;v=70016".into()).hash), "4415f8547b90d586");
}
