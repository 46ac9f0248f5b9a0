//! What only a server can do to a bus: go away, be slow, be somebody else's, pass on what strangers send.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

mod world;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bus::{Bus, Delivery, Limits, NatsOptions, Stats, Subscription};
use event::{Event, Filter, HealthBeat, HealthLost, Kind, KindId, KindTotal, LossStage, NetPong, Source};
use testkit::NatsServer;
use world::*;

fn connections(bus: &Bus) -> u64 {
    match bus {
        Bus::Nats(nats) => nats.connections(),
        Bus::Local(_) => 0,
    }
}

/// What came up to a beat, and whether that is everything, by the beat's own account.
#[derive(Default)]
struct Account {
    events: u64,
    missed: u64,
    pings: Vec<u64>,
    lost: Vec<(u64, HealthLost)>,
    beat: HealthBeat,
}

impl Account {
    /// Reads until `last` accepts a beat.
    async fn read(subscription: &mut Subscription, mut last: impl FnMut(&Event, &Account) -> bool) -> Self {
        let mut account = Self::default();
        let mut sequence = None;
        loop {
            match next(subscription).await.expect("the stream ends too early") {
                Delivery::Missed(count) => account.missed += count,
                Delivery::Event(event) => {
                    assert!(sequence.is_none_or(|before| before < event.sequence), "out of order, or twice");
                    sequence = Some(event.sequence);
                    match &event.kind {
                        Some(Kind::NetPing(ping)) => account.pings.extend(ping.nonce),
                        Some(Kind::HealthLost(lost)) => account.lost.push((event.sequence, lost.clone())),
                        Some(Kind::HealthBeat(beat)) if last(&event, &account) => {
                            account.beat = beat.clone();
                            return account;
                        }
                        _ => {}
                    }
                    account.events += 1;
                }
            }
        }
    }

    #[track_caller]
    fn check(&self) {
        let published: u64 = self.beat.totals.iter().map(|total| total.total).sum();
        assert_eq!(self.events + self.missed, published, "{} came, {} told as missed", self.events, self.missed);
    }

    /// Dropped by the publisher, as it says.
    fn lost_count(&self) -> u64 {
        self.lost.iter().map(|(_, lost)| lost.count).sum()
    }

    fn total(&self, id: KindId) -> u64 {
        self.beat.totals.iter().find(|total| total.kind == id.name()).map_or(0, |total| total.total)
    }
}

/// Beats again and again, until stopped: whoever listens gets one as soon as the connections stand.
fn beating(publisher: &bus::Publisher) -> (Arc<AtomicBool>, std::thread::JoinHandle<u64>) {
    let stop = Arc::new(AtomicBool::new(false));
    let thread = std::thread::spawn({
        let (stop, publisher) = (Arc::clone(&stop), publisher.clone());
        move || {
            let mut beats = 0;
            while !stop.load(Ordering::Relaxed) {
                publisher.beat(0, None, 0, None, None);
                beats += 1;
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            beats
        }
    });
    (stop, thread)
}

#[test]
fn a_restart_loses_nothing_uncounted() {
    testkit::need_nats!();
    let mut server = NatsServer::start("").unwrap();
    run(async {
        let (from, to) = (open(&server).await, open(&server).await);
        let mut all = everything(&to).await;
        let publisher = publisher(&from);
        let mut sent = 0;
        for restart in 1..=3 {
            let flow = {
                let publisher = publisher.clone();
                move || {
                    for nonce in sent..sent + 40_000 {
                        publisher.publish(0, None, ping(nonce));
                    }
                }
            };
            let flow = std::thread::spawn(flow);
            until("the flow", || publisher.published() > sent + 10_000).await;
            let away = if restart == 2 { server.kill() } else { server.stop() };
            away.unwrap();
            server.start_again().unwrap();
            flow.join().unwrap();
            sent += 40_000;
            until("both to reconnect", || connections(&from) > restart && connections(&to) > restart).await;
        }
        let last = publisher.published();
        let (stop, beats) = beating(&publisher);
        let account = Account::read(&mut all, |beat, _| beat.sequence >= last).await;
        stop.store(true, Ordering::Relaxed);
        beats.join().unwrap();
        account.check();
        assert_eq!((account.total(KindId::NetPing), publisher.dropped()), (sent, 0));
        assert!(account.pings.is_sorted());
    });
}

/// The same without beats among what is wanted: exact.
#[test]
fn what_a_subscriber_lost_is_known_exactly() {
    testkit::need_nats!();
    let mut server = NatsServer::start("").unwrap();
    run(async {
        let (from, to) = (open(&server).await, open(&server).await);
        let mut pings = only(&to, "net.ping").await;
        let publisher = publisher(&from);
        publisher.publish_batch((0..10).map(|nonce| (0, None, ping(nonce))));
        assert_eq!(events(&mut pings, 10).await.len(), 10);
        // nobody is there to hear what comes now
        server.stop().unwrap();
        drop(from);
        server.start_again().unwrap();
        until("the subscriber to reconnect", || connections(&to) == 2).await;
        drop(everything(&to).await);
        publisher.publish(0, None, ping(10));
        publisher.publish(0, None, opened());
        publisher.beat(0, None, 0, None, None);
        publisher.publish(0, None, ping(11));
        let mut got = Vec::new();
        while got.len() < 2 {
            got.push(next(&mut pings).await.unwrap());
        }
        // all came through the restart, so the beat finds nothing amiss
        assert_eq!(text(&got), "10..11");

        let stranger = Stranger::new(&server);
        let mut forged = publisher_event(
            &publisher,
            20,
            HealthBeat {
                totals: vec![KindTotal { kind: "net.ping".into(), total: 17 }, KindTotal { kind: "net.new".into(), total: 5 }],
                ..HealthBeat::default()
            },
        );
        stranger.publish("po.alice.health.beat", "", &forged.to_bytes());
        // 17 published, 12 came, 12 before the last beat
        assert_eq!(next(&mut pings).await, Some(Delivery::Missed(5)));
        forged.sequence = 30;
        stranger.publish("po.alice.health.beat", "", &forged.to_bytes());
        to.close().await;
        assert_eq!(next(&mut pings).await, None);
    });
}

fn publisher_event(publisher: &bus::Publisher, sequence: u64, kind: impl Into<Kind>) -> Event {
    Event { run: publisher.run(), sequence, ..Event::new("alice", Source::Ebpf, kind) }
}

#[test]
fn a_server_that_is_away_at_the_start_is_an_error_or_waited_for() {
    testkit::need_nats!();
    let mut server = NatsServer::start("").unwrap();
    server.stop().unwrap();
    run(async {
        let error = Bus::open(&options(&server)).await.unwrap_err();
        assert_eq!(error.to_string(), format!("failed to connect to {}", server.url()));
        assert!(matches!(error, bus::OpenError::Unreachable { .. }), "{error:?}");

        let patient = bus::NatsOptions { wait: true, ..options(&server) };
        let bus = Bus::open(&patient).await.unwrap();
        let mut all = everything(&bus).await;
        let publisher = publisher(&bus);
        publisher.publish_batch((0..1000).map(|nonce| (0, None, ping(nonce))));
        assert_eq!(connections(&bus), 0);
        server.start_again().unwrap();
        publisher.publish(0, None, ping(1000));
        let all: Vec<_> = events(&mut all, 1001).await.into_iter().map(Delivery::Event).collect();
        assert_eq!(text(&all), "0..1000");
    });
}

/// While nobody takes events, a bounded number waits; the rest is dropped, and said at its place once there is room.
async fn nobody_takes_events(server: &mut NatsServer, away: fn(&mut NatsServer), back: fn(&mut NatsServer)) {
    let room = 1 << 20;
    let bus = Bus::open_with_room(&options(server), room).await.unwrap();
    let mut all = everything(&bus).await;
    let publisher = publisher(&bus);
    // heard from its first event on, so that everything is accounted for
    publisher.publish(0, None, ping(0));
    assert_eq!(event(&mut all).await.sequence, 0);
    away(server);
    let mut sent = 1;
    // what the kernel takes comes on top
    while publisher.dropped() < 10_000 {
        publisher.publish_batch((sent..sent + 1000).map(|nonce| (nonce, None, ping(nonce))));
        sent += 1000;
        assert!(sent < 1_000_000, "memory is not bounded");
    }
    back(server);
    let (stop, beats) = beating(&publisher);
    let mut account =
        Account::read(&mut all, |_, account| !account.lost.is_empty() && account.lost_count() == publisher.dropped()).await;
    stop.store(true, Ordering::Relaxed);
    let beats = beats.join().unwrap();
    // the first one
    account.events += 1;
    account.check();
    assert_eq!(account.beat.lost, Some(account.lost_count()));
    // what has a sequence was published or dropped; beats may have been dropped too
    let pings = account.total(KindId::NetPing) + account.lost_count();
    assert!((sent..=sent + beats).contains(&pings), "{pings} of {sent}, and {beats} beats");
    for (sequence, lost) in &account.lost {
        assert!(lost.stage() == LossStage::Publish && lost.count > 0 && *sequence > lost.count, "{sequence} {lost:?}");
    }
}

#[test]
fn a_server_that_is_gone_costs_no_more_than_the_room_given() {
    testkit::need_nats!();
    let mut server = NatsServer::start("").unwrap();
    run(async { nobody_takes_events(&mut server, |server| server.stop().unwrap(), |server| server.start_again().unwrap()).await });
}

#[test]
fn a_server_that_hangs_costs_no_more_than_the_room_given() {
    testkit::need_nats!();
    let mut server = NatsServer::start("").unwrap();
    run(async { nobody_takes_events(&mut server, |server| server.pause().unwrap(), |server| server.resume().unwrap()).await });
}

#[test]
fn closing_with_a_server_that_hangs_ends() {
    testkit::need_nats!();
    let server = NatsServer::start("").unwrap();
    run(async {
        let bus = open(&server).await;
        let mut all = everything(&bus).await;
        server.pause().unwrap();
        publisher(&bus).publish(0, None, ping(0));
        bus.close().await;
        assert_eq!(next(&mut all).await, None);
    });
}

#[test]
fn closing_without_a_server_waits_for_events_only_and_tells_how_many() {
    testkit::need_nats!();
    let mut server = NatsServer::start("").unwrap();
    run(async {
        let close = async |bus: Bus| {
            let start = std::time::Instant::now();
            let unsent = bus.close().await;
            (unsent, start.elapsed() >= std::time::Duration::from_secs(5))
        };
        let [nothing, idle] = [open(&server).await, open(&server).await];
        publisher(&idle).publish(0, None, ping(0));
        assert_eq!(close(idle).await, (0, false), "a server that takes it");
        server.stop().unwrap();
        assert_eq!(close(nothing).await, (0, false), "connected before, nothing to send");

        let options = NatsOptions { wait: true, ..options(&server) };
        assert_eq!(close(Bus::open(&options).await.unwrap()).await, (0, false), "never connected, nothing to send");
        let bus = Bus::open(&options).await.unwrap();
        let clone = bus.clone();
        let publisher = publisher(&bus);
        (0..3).for_each(|nonce| publisher.publish(0, None, ping(nonce)));
        assert_eq!(close(bus).await, (3, true), "three to send");
        assert_eq!(close(clone).await, (0, false), "told already");
    });
}

/// Speaks the protocol byte by byte, and whatever else it likes.
struct Stranger(TcpStream);

impl Stranger {
    fn new(server: &NatsServer) -> Self {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(b"CONNECT {\"verbose\":false,\"headers\":true}\r\n").unwrap();
        let stranger = Self(stream);
        stranger.settle();
        stranger
    }

    fn publish(&self, subject: impl AsRef<[u8]>, headers: &str, payload: &[u8]) {
        let mut bytes = if headers.is_empty() { b"PUB ".to_vec() } else { b"HPUB ".to_vec() };
        bytes.extend_from_slice(subject.as_ref());
        if !headers.is_empty() {
            bytes.extend(format!(" {}", headers.len()).into_bytes());
        }
        bytes.extend(format!(" {}\r\n{headers}", headers.len() + payload.len()).into_bytes());
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(b"\r\n");
        (&self.0).write_all(&bytes).unwrap();
    }

    /// Returns when the server has dealt with everything.
    fn settle(&self) {
        (&self.0).write_all(b"PING\r\n").unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"PONG\r\n") {
            let mut byte = [0];
            (&self.0).read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
        }
        assert!(!String::from_utf8_lossy(&seen).contains("-ERR"), "{}", seen.escape_ascii());
    }
}

fn part(id: &str, place: &str, size: &str) -> String {
    format!("NATS/1.0\r\nPo-Event: {id}\r\nPo-Part: {place}\r\nPo-Size: {size}\r\n\r\n")
}

#[test]
fn strangers_neither_stop_nor_mislead_a_subscriber() {
    testkit::need_nats!();
    let server = NatsServer::start("").unwrap();
    run(async {
        let bus = open(&server).await;
        let mut all = everything(&bus).await;
        let stranger = Stranger::new(&server);
        let real = Event::new("alice", Source::Rpc, ping(0)).to_bytes();
        let pong = Event::new("alice", Source::Rpc, NetPong::default()).to_bytes();
        let mut newer = Event { node: "alice".into(), ..Event::default() }.to_bytes().to_vec();
        // field 999
        newer.extend([0xba, 0x3e, 0x02, 0x08, 0x01]);
        // a node that is no text, in an event and its subject
        let strange = [b"\x0a\x02\xff\xfe".to_vec(), pong[7..].to_vec()].concat();
        let mut expect = Stats::default();

        // no events
        for garbage in [&b"\xff\xff\xff"[..], b"hello", &real[..real.len() - 1], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]] {
            stranger.publish("po.alice.net.ping", "", garbage);
            expect.undecodable += 1;
        }
        stranger.publish("po.alice.net.ping", "", b"");
        stranger.publish("po.alice.net.future", "", &newer);
        expect.unknown_kind += 1;
        // an envelope without kind and node, on a subject with both
        expect.foreign_subject += 1;
        // another node, another kind, no kind, no subject of ours
        for subject in ["po.bob.net.ping", "po.alice.net.pong", "po.alice.net.ping.x", "po.alice.x", "po.alicee.net.ping"] {
            stranger.publish(subject, "", &real);
            expect.foreign_subject += 1;
        }
        // subjects and headers that are no text, which servers pass on
        stranger.publish(b"po.\xff\xfe.net.\xfd", "", &real);
        expect.foreign_subject += 1;
        stranger.publish(b"po.\xff\xfe.net.pong", "", &strange);
        expect.foreign_subject += 1;
        for headers in ["x", "NATS/1.0 999999\r\n\r\n", "NATS/9.9\r\n: :\r\n\u{1}\r\n\r\n", "\r\n"] {
            stranger.publish("po.alice.net.ping", headers, b"garbage");
            expect.undecodable += 1;
        }
        // parts that cannot be
        for (id, place, size) in [("1-2-3", "2/2", "9"), ("1-2-3", "0/99999999", "9"), ("1-2", "0/2", "9"), ("1-2-3", "0/2", "-1")]
        {
            stranger.publish("po.alice.net.ping", &part(id, place, size), b"garbage");
            expect.undecodable += 1;
        }
        // parts that never become an event, or the wrong one
        stranger.publish("po.alice.net.ping", &part("1-2-3", "0/2", "9"), b"garbage beyond the size");
        stranger.publish("po.alice.net.ping", &part("1-2-4", "0/2", "9"), b"garb");
        stranger.publish("po.alice.net.ping", &part("1-2-4", "1/2", "9"), b"x");
        expect.incomplete += 2;
        stranger.publish("po.alice.net.ping", &part("1-2-5", "0/2", "8"), b"garb");
        stranger.publish("po.alice.net.ping", &part("1-2-5", "1/2", "8"), b"bage");
        expect.undecodable += 1;
        // and more of them than anybody should keep
        for run in 0..1000 {
            stranger.publish("po.alice.net.ping", &part(&format!("9-{run}-0"), "0/60", "60000000"), &vec![b'x'; 300_000]);
            // a server throws out a subscriber that has too much before it
            if run % 100 == 99 {
                stranger.settle();
                drop(only(&bus, "net.pong").await);
            }
        }
        stranger.settle();

        let publisher = publisher(&bus);
        publisher.publish_batch([(0, None, ping(0)), (0, None, block(2_000_000)), (0, None, ping(1))]);
        publisher.beat(0, None, 0, None, None);
        let real: Vec<_> = events(&mut all, 4).await.into_iter().map(Delivery::Event).collect();
        assert_eq!(text(&real), "0 net.block 1 health.beat");
        let stats = all.stats();
        assert!(stats.incomplete >= expect.incomplete + 1000 - 64, "{stats:?}");
        assert_eq!(Stats { incomplete: expect.incomplete, ..stats }, expect);
        assert_eq!(connections(&bus), 1);
        bus.close().await;
        assert_eq!(next(&mut all).await, None);
    });
}

#[test]
fn a_part_that_is_lost_makes_the_event_missed() {
    testkit::need_nats!();
    let server = NatsServer::start("").unwrap();
    run(async {
        let bus = open(&server).await;
        let mut all = everything(&bus).await;
        let publisher = publisher(&bus);
        publisher.beat(0, None, 0, None, None);
        let stranger = Stranger::new(&server);
        let run = publisher.run();
        let source = Source::Ebpf as i32;
        stranger.publish("po.alice.net.block", &part(&format!("{source}-{run}-1"), "0/2", "1000"), &[0; 500]);
        let beat = HealthBeat {
            totals: vec![KindTotal { kind: "net.block".into(), total: 1 }, KindTotal { kind: "health.beat".into(), total: 1 }],
            ..HealthBeat::default()
        };
        stranger.publish("po.alice.health.beat", "", &publisher_event(&publisher, 2, beat).to_bytes());
        let mut got = Vec::new();
        while got.len() < 3 {
            got.push(next(&mut all).await.unwrap());
        }
        assert_eq!(text(&got), "health.beat missed 1 health.beat");
        assert_eq!(all.stats(), Stats { missed: 1, incomplete: 1, ..Stats::default() });
    });
}

/// Its envelope was counted as come, so that the beats do not miss it.
#[test]
fn an_event_whose_body_cannot_be_read_is_missed() {
    testkit::need_nats!();
    let server = NatsServer::start("").unwrap();
    run(async {
        let bus = open(&server).await;
        let mut all = everything(&bus).await;
        let stranger = Stranger::new(&server);
        let mut broken = Event { node: "alice".into(), source: Source::Ebpf.into(), ..Event::default() }.to_bytes().to_vec();
        // `net.ping`, field 109, with a field of a wire type that does not exist
        broken.extend([0xea, 0x06, 0x01, 0x07]);
        stranger.publish("po.alice.net.ping", "", &broken);
        stranger.publish("po.alice.net.ping", "", &Event::new("alice", Source::Ebpf, ping(1)).to_bytes());
        let got = [next(&mut all).await.unwrap(), next(&mut all).await.unwrap()];
        assert_eq!(text(&got), "missed 1 1");
        assert_eq!(all.stats(), Stats { missed: 1, undecodable: 1, ..Stats::default() });
    });
}

#[test]
fn live_tools_do_not_hear_a_replay_and_replays_not_each_other() {
    testkit::need_nats!();
    let server = NatsServer::start("").unwrap();
    run(async {
        let bus = open(&server).await;
        let [monday, tuesday] = ["monday", "tuesday"].map(|id| bus.of_replay(id.parse().unwrap()));
        let mut live = everything(&bus).await;
        let mut heard = everything(&tuesday).await;
        let old = |nonce| Event { run: 1, sequence: nonce, ..Event::new("bob", Source::Log, ping(nonce)) };
        monday.forward(old(0)).await;
        tuesday.forward(old(1)).await;
        // beats of a recording that holds a part of what they speak of are no proof of anything
        let beat = HealthBeat { totals: vec![KindTotal { kind: "net.ping".into(), total: 1000 }], ..HealthBeat::default() };
        tuesday.forward(Event { run: 1, sequence: 2, ..Event::new("bob", Source::Log, beat) }).await;
        tuesday.forward(old(3)).await;
        publisher(&bus).publish(0, None, ping(4));
        // what somebody concludes from a replay is a part of it
        publisher(&tuesday).publish(0, None, ping(5));
        bus.close().await;
        assert_eq!(text(&rest(&mut live).await), "4");
        let heard = rest(&mut heard).await;
        assert_eq!(text(&heard), "1 health.beat 3 5");
        assert!(heard.iter().all(|delivery| matches!(delivery, Delivery::Event(event) if event.replay)), "{heard:?}");
    });
}

#[test]
fn what_a_replay_loses_under_way_is_missed() {
    testkit::need_nats!();
    let server = NatsServer::start("").unwrap();
    run(async {
        let bus = open(&server).await.of_replay("r".parse().unwrap());
        let mut pings = only(&bus, "net.ping").await;
        let stranger = Stranger::new(&server);
        for (nonce, header) in [(0, "7-0"), (1, "7-1"), (5, "7-5"), (6, "7-6"), (7, "8-1"), (8, "7-7"), (9, "8-2")] {
            let event = Event::new("bob", Source::Log, ping(nonce)).to_bytes();
            stranger.publish("replay.r.bob.net.ping", &format!("NATS/1.0\r\nPo-Replay: {header}\r\n\r\n"), &event);
        }
        stranger.settle();
        drop(everything(&bus).await);
        bus.close().await;
        assert_eq!(text(&rest(&mut pings).await), "0..1 missed 3 5..6 missed 1 7..9");
    });
}

#[test]
fn a_subscription_of_the_narrowest_kind_gets_only_that() {
    testkit::need_nats!();
    let server = NatsServer::start("").unwrap();
    run(async {
        let bus = open(&server).await;
        let filter = Filter::kinds([KindId::ConnOpened]).of_nodes(["alice".parse().unwrap()]);
        let mut conns = bus.subscribe(filter, Limits::default()).await.unwrap();
        let publisher = publisher(&bus);
        publisher.publish_batch([(0, None, ping(0)), (0, None, opened()), (0, None, ping(1))]);
        publisher.beat(0, None, 0, None, None);
        bus.close().await;
        assert_eq!(text(&rest(&mut conns).await), "conn.opened");
    });
}
