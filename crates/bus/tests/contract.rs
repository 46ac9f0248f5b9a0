//! What every bus does, in the process or over a real NATS server: the same cases for both.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

mod world;

use bus::{Bus, BusError, Delivery, Limits};
use event::{Event, Filter, Kind, KindId, NetAddr, NetworkAddress, Source};
use testkit::NatsServer;
use world::*;

macro_rules! contract {
    ($($case:ident)*) => {
        mod local {
            use super::*;
            $(
                #[test]
                fn $case() {
                    run(super::$case(Bus::local()));
                }
            )*
        }
        mod nats {
            use super::*;
            $(
                #[test]
                fn $case() {
                    testkit::need_nats!();
                    let server = NatsServer::start("").unwrap();
                    run(async { super::$case(open(&server).await).await });
                }
            )*
        }
    };
}

contract! {
    events_come_in_the_order_of_publishing
    a_filter_selects_kinds
    a_filter_selects_nodes
    every_subscriber_gets_everything
    sequences_are_gapless_over_kinds
    a_batch_is_as_good_as_single_events
    publishers_on_several_threads_keep_their_order
    a_beat_states_what_was_published
    a_slow_subscriber_is_told_what_it_missed_where
    large_events_arrive_whole_and_in_order
    closing_delivers_first
    nothing_is_published_to_who_left
    forwarding_keeps_the_envelope
    forwarding_loses_nothing
}

async fn events_come_in_the_order_of_publishing(bus: Bus) {
    let mut all = everything(&bus).await;
    let publisher = publisher(&bus);
    let thread = std::thread::spawn(move || {
        for nonce in 0..10_000 {
            publisher.publish(nonce, Some(7), ping(nonce));
        }
    });
    for (sequence, event) in (0..).zip(events(&mut all, 10_000).await) {
        assert_eq!((event.sequence, event.time, event.node_run), (sequence, sequence, Some(7)));
        assert_eq!(event.kind, Some(ping(sequence)));
        assert_eq!((event.node.as_str(), event.source(), event.replay), ("alice", Source::Ebpf, false));
    }
    thread.join().unwrap();
}

async fn a_filter_selects_kinds(bus: Bus) {
    let mut pings = only(&bus, "net.ping").await;
    let mut conns = only(&bus, "conn").await;
    let mut others = only(&bus, "!net.ping").await;
    let publisher = publisher(&bus);
    publisher.publish(0, None, ping(0));
    publisher.publish(0, None, opened());
    publisher.publish(0, None, ping(1));
    publisher.beat(0, None, 0, None, None);
    bus.close().await;
    assert_eq!(text(&rest(&mut pings).await), "0..1");
    assert_eq!(text(&rest(&mut conns).await), "conn.opened");
    assert_eq!(text(&rest(&mut others).await), "conn.opened health.beat");
}

async fn a_filter_selects_nodes(bus: Bus) {
    let nodes = |names: &[&str]| Filter::all().of_nodes(names.iter().map(|name| name.parse().unwrap()));
    let mut alice = bus.subscribe(nodes(&["alice"]), Limits::default()).await.unwrap();
    let mut both = bus.subscribe(nodes(&["alice", "bob"]), Limits::default()).await.unwrap();
    for (nonce, node) in (0..).zip(["alice", "bob", "carol", "alice2", "alice"]) {
        bus.publisher(node.parse().unwrap(), Source::Rpc).publish(0, None, ping(nonce));
    }
    bus.close().await;
    assert_eq!(text(&rest(&mut alice).await), "0 4");
    assert_eq!(text(&rest(&mut both).await), "0..1 4");
}

async fn every_subscriber_gets_everything(bus: Bus) {
    let mut subscribers = [everything(&bus).await, everything(&bus).await, everything(&bus).await];
    let publisher = publisher(&bus);
    publisher.publish_batch((0..1000).map(|nonce| (0, None, ping(nonce))));
    bus.close().await;
    for subscriber in &mut subscribers {
        assert_eq!(text(&rest(subscriber).await), "0..999");
    }
}

async fn sequences_are_gapless_over_kinds(bus: Bus) {
    let mut all = everything(&bus).await;
    let publisher = publisher(&bus);
    // before anybody else could want it, and of kinds that differ in everything
    publisher.publish(0, None, ping(0));
    publisher.publish(0, None, opened());
    publisher.beat(0, None, 0, None, None);
    publisher.publish(0, None, ping(1));
    let events = events(&mut all, 4).await;
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert!(events.iter().all(|event| event.run == publisher.run()));
    // a second run has its own order
    let again = world::publisher(&bus);
    again.publish(0, None, ping(2));
    let event = event(&mut all).await;
    assert_eq!((event.sequence, event.run), (0, again.run()));
    assert!(again.run() > publisher.run());
}

async fn a_batch_is_as_good_as_single_events(bus: Bus) {
    let mut all = everything(&bus).await;
    let kinds = || (0..1000).map(|n| if n % 3 == 0 { opened() } else { ping(n) });
    let batch = publisher(&bus);
    batch.publish_batch((0..).zip(kinds()).map(|(time, kind)| (time, Some(time), kind)));
    let single = publisher(&bus);
    for (time, kind) in (0..).zip(kinds()) {
        single.publish(time, Some(time), kind);
    }
    let all = events(&mut all, 2000).await;
    let (first, second) = all.split_at(1000);
    for (first, second) in first.iter().zip(second) {
        assert_eq!(Event { run: single.run(), ..Event::clone(first) }, **second);
    }
    assert_eq!(batch.totals(), single.totals());
    assert_eq!((batch.published(), batch.dropped()), (1000, 0));
}

async fn publishers_on_several_threads_keep_their_order(bus: Bus) {
    let mut all = everything(&bus).await;
    let shared = publisher(&bus);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (own, shared) = (publisher(&bus), shared.clone());
            std::thread::spawn(move || {
                for nonce in 0..500 {
                    own.publish(0, None, ping(nonce));
                    shared.publish_batch([(0, None, ping(nonce)), (0, None, opened())]);
                }
            })
        })
        .collect();
    let mut next = std::collections::HashMap::new();
    for event in events(&mut all, 4 * 1500).await {
        let expect = next.entry(event.run).or_insert(0);
        assert_eq!(event.sequence, *expect);
        *expect += 1;
    }
    assert_eq!((next.len(), next[&shared.run()]), (5, 4000));
    for thread in threads {
        thread.join().unwrap();
    }
}

async fn a_beat_states_what_was_published(bus: Bus) {
    let mut beats = only(&bus, "health.beat").await;
    let publisher = publisher(&bus);
    publisher.beat(5, Some(6), 7, None, None);
    publisher.publish_batch([(0, None, ping(0)), (0, None, opened()), (0, None, ping(1))]);
    publisher.beat(9, None, 0, Some(10), Some(2));
    bus.close().await;
    let all = rest(&mut beats).await;
    let [Delivery::Event(first), Delivery::Event(second)] = &all[..] else { panic!("two beats: {all:?}") };
    assert_eq!((first.time, first.node_run, beat_of(first).lag), (5, Some(6), 7));
    assert_eq!((beat_of(first).last_sequence, &beat_of(first).totals[..]), (None, &[][..]));
    let beat = beat_of(second);
    assert_eq!((beat.last_sequence, beat.fired, beat.lost), (Some(3), Some(10), Some(2)));
    let totals: Vec<_> = beat.totals.iter().map(|total| (total.kind.as_str(), total.total)).collect();
    assert_eq!(totals, [("net.ping", 2), ("conn.opened", 1), ("health.beat", 1)]);
}

async fn a_slow_subscriber_is_told_what_it_missed_where(bus: Bus) {
    let limits = Limits { events: 4, ..Limits::default() };
    let mut slow = bus.subscribe(Filter::kinds([KindId::NetPing]), limits).await.unwrap();
    let mut fast = everything(&bus).await;
    let publisher = publisher(&bus);
    publisher.publish_batch((0..10).map(|nonce| (0, None, ping(nonce))));
    assert_eq!(events(&mut fast, 10).await.len(), 10);
    // whoever delivered the last event to the fast one is done with it
    drop(everything(&bus).await);
    assert_eq!(events(&mut slow, 4).await.len(), 4);
    publisher.publish_batch((10..12).map(|nonce| (0, None, ping(nonce))));
    publisher.beat(0, None, 0, None, None);
    bus.close().await;
    assert_eq!(text(&rest(&mut slow).await), "missed 6 10..11");
    assert_eq!(text(&rest(&mut fast).await), "10..11 health.beat");
    assert_eq!((slow.stats().missed, fast.stats().missed), (6, 0));
}

/// A block message of the largest size with its bytes, and 80,000 addresses, which stand for an address manager's.
async fn large_events_arrive_whole_and_in_order(bus: Bus) {
    let mut all = everything(&bus).await;
    let address = |n: u32| NetworkAddress { address: n.to_be_bytes().to_vec().into(), port: n, ..NetworkAddress::default() };
    let addrman: Kind = NetAddr { addresses: (0..80_000).map(address).collect(), ..NetAddr::default() }.into();
    let publisher = publisher(&bus);
    publisher.publish_batch([(0, None, ping(0)), (1, None, block(4_000_000)), (2, None, ping(1)), (3, None, addrman.clone())]);
    publisher.publish(4, None, ping(2));
    publisher.beat(5, None, 0, None, None);
    let events = events(&mut all, 6).await;
    assert!(events[1].kind == Some(block(4_000_000)), "the block differs");
    assert!(events[3].kind == Some(addrman), "the addresses differ");
    let deliveries: Vec<_> = events.into_iter().map(Delivery::Event).collect();
    assert_eq!(text(&deliveries), "0 net.block 1 net.addr 2 health.beat");
    assert_eq!(all.stats(), bus::Stats::default());
}

async fn closing_delivers_first(bus: Bus) {
    let mut all = everything(&bus).await;
    let publisher = publisher(&bus);
    publisher.publish_batch((0..5000).map(|nonce| (0, None, ping(nonce))));
    let clone = bus.clone();
    bus.close().await;
    assert_eq!(text(&rest(&mut all).await), "0..4999");
    assert_eq!(next(&mut all).await, None);
    // too late
    publisher.publish(0, None, ping(0));
    assert_eq!(clone.subscribe(Filter::all(), Limits::default()).await.unwrap_err(), BusError::Closed);
    clone.close().await;
}

async fn nothing_is_published_to_who_left(bus: Bus) {
    let (gone, mut stays) = (everything(&bus).await, everything(&bus).await);
    let publisher = publisher(&bus);
    publisher.publish(0, None, ping(0));
    drop(gone);
    publisher.publish(0, None, ping(1));
    bus.close().await;
    assert_eq!(text(&rest(&mut stays).await), "0..1");
}

fn recorded(sequence: u64) -> Event {
    let event = Event::new("bob", Source::Log, ping(sequence));
    Event { node_run: Some(3), run: 4, sequence, time: 5 * sequence, ..event }
}

async fn forwarding_keeps_the_envelope(bus: Bus) {
    let bus = bus.of_replay("tuesday".parse().unwrap());
    let mut all = everything(&bus).await;
    bus.forward(recorded(17)).await;
    assert_eq!(*event(&mut all).await, Event { replay: true, ..recorded(17) });
    bus.forward(Event { kind: None, ..recorded(18) }).await;
    bus.close().await;
    assert_eq!(next(&mut all).await, None);
}

async fn forwarding_loses_nothing(bus: Bus) {
    let bus = bus.of_replay("tuesday".parse().unwrap());
    let mut all = everything(&bus).await;
    let sender = tokio::spawn({
        let bus = bus.clone();
        async move {
            for sequence in 0..20_000 {
                bus.forward(recorded(sequence)).await;
            }
            bus.close().await;
        }
    });
    assert_eq!(text(&rest(&mut all).await), "0..19999");
    sender.await.unwrap();
}

/// In the process a replay waits for the slowest subscriber.
#[test]
fn forwarding_waits_for_room() {
    run(async {
        let bus = Bus::local();
        let limits = Limits { events: 2, ..Limits::default() };
        let mut slow = bus.subscribe(Filter::all(), limits).await.unwrap();
        let mut others = bus.subscribe(Filter::kinds([KindId::NetPong]), limits).await.unwrap();
        let sender = tokio::spawn(async move {
            for sequence in 0..1000 {
                bus.forward(recorded(sequence)).await;
            }
            bus.close().await;
        });
        assert_eq!(text(&rest(&mut slow).await), "0..999");
        assert_eq!(next(&mut others).await, None);
        sender.await.unwrap();
    });
}
