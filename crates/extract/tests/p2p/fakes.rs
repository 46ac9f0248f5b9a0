//! Nodes that tests make up, over real sockets.

use std::time::Duration;

use event::{Kind, ProbePing, RefusalReason};
use extract::life::Life;
use extract::p2p::Place;
use extract::p2p::network::{KNOWN, Magic};

use crate::fake::{Dial, Node, payload};
use crate::world::{Options, Stream, World, answering, connect, this_process};

const REGTEST: Magic = KNOWN[4].1;

fn ping(kind: &Kind) -> Option<ProbePing> {
    if let Kind::ProbePing(ping) = kind { Some(*ping) } else { None }
}

#[test]
fn a_node_is_attached_and_measured() {
    for (dial, transport) in [(Dial::V1, "transport v1"), (Dial::V2, "transport v2")] {
        let mut world = World::new(Options::default());
        let node = connect(world.address, dial, REGTEST);
        answering(node, || Duration::from_millis(5));
        let first = world.next();
        assert_eq!((first.node_run, first.source(), first.node.as_str()), (Some(1_700_000_000), event::Source::P2p, "alice"));
        let Some(Kind::HealthAttached(attached)) = &first.kind else { panic!("{first:?}") };
        let expect = ["network regtest", transport, "protocol 70016", "user agent /Satoshi:31.0.0/", "identified by process"];
        assert_eq!(
            (attached.attached.iter().map(String::as_str).collect::<Vec<_>>(), attached.pid),
            (expect.to_vec(), Some(std::process::id()))
        );
        for _ in 0..5 {
            let ping = world.wait(ping);
            // counted from the end of the call that sent it: up to a millisecond less
            assert!(ping.round_trip_nanos + 1_000_000 >= 5_000_000, "{ping:?}");
        }
        world.stop();
        // asked once an hour: nothing else is under way
        let mut world = World::new(Options { interval: Some(Duration::from_secs(3600)), ..Options::default() });
        answering(connect(world.address, dial, REGTEST), || Duration::ZERO);
        assert_eq!(world.wait(ping).outstanding, 0);
        world.stop();
    }
}

#[test]
fn announcements_arrive_in_order() {
    let mut world = World::new(Options { interval: Some(Duration::from_secs(3600)), ..Options::default() });
    let mut node = connect(world.address, Dial::V2, REGTEST);
    for message_type in ["inv", "addrv2", "feefilter"] {
        node.send(message_type, &payload(message_type)).unwrap();
    }
    let kinds: Vec<_> = (0..5).map(|_| world.next().id().unwrap().name()).collect();
    let expect = [
        "health.attached",
        "probe.announced_blocks",
        "probe.announced_transactions",
        "probe.announced_addresses",
        "probe.fee_filter",
    ];
    assert_eq!(kinds, expect);
    let rest = world.stop();
    assert_eq!(rest.last().unwrap().id(), Some(event::KindId::HealthBeat));
}

#[test]
fn pongs_that_were_not_asked_for_are_no_answers() {
    let mut world = World::new(Options::default());
    let mut node = connect(world.address, Dial::V1, REGTEST);
    for forged in 0..100_u64 {
        node.send("pong", &forged.to_le_bytes()).unwrap();
    }
    let mut answered = 0;
    while answered < 3 {
        let (message_type, nonce) = node.read().unwrap();
        assert_eq!(message_type, "ping");
        // twice: the second is an invention
        for _ in 0..2 {
            node.send("pong", &nonce).unwrap();
        }
        answered += 1;
    }
    node.send("feefilter", &payload("feefilter")).unwrap();
    let mut pings = 0;
    world.wait(|kind| match kind {
        Kind::ProbePing(_) => {
            pings += 1;
            None
        }
        Kind::ProbeFeeFilter(_) => Some(()),
        _ => None,
    });
    assert_eq!(pings, 3);
}

#[test]
fn a_node_that_does_not_answer_is_told_and_its_answer_still_counts() {
    let mut world = World::new(Options { timeout: Some(Duration::from_millis(100)), ..Options::default() });
    let mut node = connect(world.address, Dial::V1, REGTEST);
    let (_, nonce) = node.read().unwrap();
    let unanswered = |kind: &Kind| if let Kind::ProbeUnanswered(event) = kind { Some(*event) } else { None };
    // it stops to ask at some time, but not to say
    let stuck = world.wait(|kind| unanswered(kind).filter(|event| event.outstanding == 16));
    let later = world.wait(unanswered);
    assert!(stuck.waiting_nanos >= 100_000_000 && later.waiting_nanos > stuck.waiting_nanos && later.outstanding == 16);
    node.send("pong", &nonce).unwrap();
    let ping = world.wait(ping);
    // the call that sent it counts for one and not for the other
    assert!(ping.round_trip_nanos + 1_000_000 > later.waiting_nanos && ping.outstanding == 15, "{ping:?} {later:?}");
}

#[test]
fn a_node_comes_and_goes() {
    let mut world = World::new(Options::default());
    for run in [1_700_000_000, 1_700_000_100] {
        world.life.send_replace(Some(Life { node_run: run, ..this_process().unwrap() }));
        let node = connect(world.address, Dial::V2, REGTEST);
        world.wait_attached();
        drop(node);
        let event = loop {
            let event = world.next();
            if let Some(Kind::HealthDetached(_)) = event.kind {
                break event;
            }
        };
        let Some(Kind::HealthDetached(detached)) = &event.kind else { unreachable!() };
        assert_eq!((event.node_run, detached.reason.as_str()), (Some(run), "the other side hung up"));
    }
}

#[test]
fn a_restarted_node_is_found_before_it_is_refused() {
    let mut world = World::new(Options::default());
    // the process that we know of is gone
    world.life.send_replace(Some(Life { pid: u32::MAX, ..this_process().unwrap() }));
    let address = world.address;
    let node = std::thread::spawn(move || connect(address, Dial::V2, REGTEST));
    // it is looked at before its successor is known; either order must do
    world.life.send_replace(Some(Life { node_run: 5, ..this_process().unwrap() }));
    node.join().unwrap();
    assert_eq!(world.wait_attached().last().unwrap(), "identified by process");
}

#[test]
fn without_a_known_process_the_address_has_to_do() {
    let mut world = World::new(Options { unknown_node: true, ..Options::default() });
    let address = world.address;
    let node = std::thread::spawn(move || connect(address, Dial::V2, REGTEST));
    assert_eq!(world.wait_attached().last().unwrap(), "identified by address");
    drop(node.join().unwrap());
}

#[test]
fn a_custom_signet_is_learned_without_being_told() {
    let custom = Magic([0xde, 0xad, 0xbe, 0xef]);
    let mut world = World::new(Options::default());
    // v2 first, as a node does; it gets our key and nothing else, and gives up
    let stream = Stream::connect(world.address);
    stream.socket().set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert!(Node::dial(Dial::V2, custom, stream).is_err());
    let refused = world.wait(|kind| if let Kind::ProbeRefused(event) = kind { Some(event.clone()) } else { None });
    assert_eq!(refused.reason(), RefusalReason::OtherNetwork);
    // now v2 is declined at once, and v1 tells
    assert!(Node::dial(Dial::V2, custom, Stream::connect(world.address)).is_err());
    drop(connect(world.address, Dial::V1, custom));
    assert_eq!(world.wait_attached()[0], "network deadbeef");
    world.wait(|kind| matches!(kind, Kind::HealthDetached(_)).then_some(()));
    // from now on v2 does
    drop(connect(world.address, Dial::V2, custom));
    assert_eq!(world.wait_attached()[..2], ["network deadbeef", "transport v2"]);
}

#[test]
fn a_taken_port_is_named() {
    let world = World::new(Options::default());
    let place = Place { p2p_listen: world.address, p2p_network: None, p2p_allow: Vec::new() };
    let error = place.listen().unwrap_err();
    let expect = format!("failed to listen on {} for the node: Address already in use (os error 98)", world.address);
    assert_eq!(error.to_string(), expect);
    assert!(error.hint().contains("--p2p-listen"));
    assert_eq!(place.node_option(), format!("addnode={}", world.address));
}

/// What a person would see; the numbers are measured by the bench `ping`.
#[test]
fn the_delay_of_the_node_is_what_is_measured() {
    for millis in [0, 1, 10, 100] {
        // one at a time: a node that is slower than it is asked has a backlog, and that would be measured
        let mut world = World::new(Options { interval: Some(Duration::from_millis(200)), ..Options::default() });
        let node = connect(world.address, Dial::V2, REGTEST);
        let delay = Duration::from_millis(millis);
        answering(node, move || delay);
        let mut trips: Vec<_> = (0..5).map(|_| Duration::from_nanos(world.wait(ping).round_trip_nanos)).collect();
        trips.sort();
        // counted from the end of the call that sent it
        assert!(trips[0] + Duration::from_millis(1) >= delay, "{trips:?}");
        // the fake waits for a processor, too: the best of five; what must not happen is that our own queueing is measured
        assert!(trips[0] < delay + Duration::from_millis(100), "{trips:?}");
    }
}
