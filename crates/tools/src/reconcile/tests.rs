use super::*;
use event::Direction::{Inbound, Outbound};
use event::{
    Direction, Event, FetchOutcome, HealthAttached, HealthBeat, HealthLost, Kind, LossStage, MessageBytes, NetInv, NetPing, NetTx,
    NetUndecodable, NetVersion, PeerInfo, Source, StateFetched, StatePeers, Transport,
};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::collections::BTreeMap;

use crate::logger::{Colour, Line};

const START: u64 = 1_751_365_867_000_000_000;
const MILLI: u64 = 1_000_000;

/// A node, its peers and its probes. Times are milliseconds.
struct World {
    /// (counted, seen, peer, direction, kind, payload)
    messages: Vec<(u64, u64, u64, Direction, &'static str, u32)>,
    transports: BTreeMap<u64, Transport>,
    end: u64,
    /// Duration of a call.
    call: u64,
    /// Peers with the second transport send types by name that have numbers.
    long_names: bool,
    extra: Vec<Event>,
}

impl World {
    /// Two peers, one on each transport, and a minute.
    fn new() -> Self {
        let transports = BTreeMap::from([(1, Transport::V1), (2, Transport::V2)]);
        Self { messages: vec![], transports, end: 60_000, call: 4, long_names: false, extra: vec![] }
    }

    /// A message every so many milliseconds, which waits for `wait`.
    fn traffic(mut self, every: u64, wait: u64, direction: Direction, kind: &'static str, size: u32) -> Self {
        for (number, time) in (0..).zip((every..self.end).step_by(every as usize)) {
            let (counted, seen) = if direction == Direction::Inbound { (time, time + wait) } else { (time + wait, time) };
            self.messages.push((counted, seen, 1 + number % 2, direction, kind, size + (number % 7) as u32));
        }
        self
    }

    /// The stream, with every `withheld`th message missing.
    fn events(&self, withheld: Option<usize>) -> Vec<Event> {
        let mut events = self.extra.clone();
        let mut messages = self.messages.clone();
        messages.sort_by_key(|(_, seen, ..)| *seen);
        for (number, (_, seen, peer, direction, kind, size)) in (1..).zip(&messages) {
            if withheld.is_none_or(|every| number % every != 0) {
                events.push(at(*seen, Source::Ebpf, message(*peer, *direction, kind, *size)));
            }
        }
        events.push(at(0, Source::Ebpf, HealthAttached::default()));
        events.extend((1..self.end / 1000 + 3).map(|second| at(second * 1000 + 7, Source::Ebpf, HealthBeat::default())));
        for end in (500..self.end + 1000).step_by(500) {
            events.push(at(end, Source::Rpc, self.peers(end - self.call / 2)));
            let (method, duration) = ("getpeerinfo".to_owned(), self.call * MILLI);
            let outcome = FetchOutcome::Ok.into();
            events.push(at(end, Source::Rpc, StateFetched { method, outcome, duration, ..StateFetched::default() }));
        }
        events.sort_by_key(|event| event.time);
        events
    }

    /// The node's counters at a moment.
    fn peers(&self, moment: u64) -> StatePeers {
        let peer = |(id, transport): (&u64, &Transport)| {
            let of = |wanted: Direction| {
                let mut bytes = BTreeMap::<&str, u64>::new();
                for (counted, _, peer, direction, kind, size) in &self.messages {
                    if *counted <= moment && peer == id && *direction == wanted {
                        let long = self.long_names && *transport == Transport::V2 && wanted == Direction::Inbound;
                        *bytes.entry(kind).or_default() += u64::from(*size) + framing(kind, *transport) + if long { 12 } else { 0 };
                    }
                }
                bytes.into_iter().map(|(name, bytes)| MessageBytes { r#type: name.into(), bytes }).collect()
            };
            PeerInfo {
                id: *id,
                transport: (*transport).into(),
                bytes_received_per_message: of(Direction::Inbound),
                bytes_sent_per_message: of(Direction::Outbound),
                ..PeerInfo::default()
            }
        };
        StatePeers { peers: self.transports.iter().map(peer).collect() }
    }
}

/// As BIP 324 and the header of version 1 have it, for the types used here.
fn framing(kind: &str, transport: Transport) -> u64 {
    match (transport, kind) {
        (Transport::V2, "*other*" | "version") => 33,
        (Transport::V2, _) => 21,
        _ => 24,
    }
}

fn at(millis: u64, source: Source, kind: impl Into<Kind>) -> Event {
    Event { time: START + millis * MILLI, run: 1, node_run: Some(1), ..Event::new("alice", source, kind) }
}

fn message(peer: u64, direction: Direction, kind: &str, size: u32) -> Kind {
    let direction = direction.into();
    match kind {
        "inv" => NetInv { peer, direction, size, ..NetInv::default() }.into(),
        "ping" => NetPing { peer, direction, size, ..NetPing::default() }.into(),
        "tx" => NetTx { peer, direction, size, ..NetTx::default() }.into(),
        "version" => NetVersion { peer, direction, size, ..NetVersion::default() }.into(),
        "*other*" => NetUndecodable { peer, direction, size, message_type: "xyz".into(), ..NetUndecodable::default() }.into(),
        other => panic!("{other}"),
    }
}

fn reconcile(events: &[Event]) -> Vec<Event> {
    let mut reconciler = Reconciler::new(Duration::from_secs(20));
    let mut facts = Vec::new();
    for event in events {
        reconciler.observe(event, &mut |(time, _, kind)| {
            assert_eq!(time, event.time, "who puts events in order would leave it out");
            facts.push(Event { time, ..Event::new("", Source::Join, kind) });
        });
    }
    facts
}

#[track_caller]
fn check(events: &[Event], expect: Expect) {
    let lines: Vec<String> = reconcile(events).iter().map(|event| Line(event, Colour::Off).to_string() + "\n").collect();
    expect.assert_eq(&lines.concat());
}

fn lively() -> World {
    let inbound = World::new().traffic(7, 5, Inbound, "inv", 37).traffic(50, 20, Inbound, "tx", 200);
    inbound.traffic(11, 3, Outbound, "inv", 73).traffic(100, 0, Outbound, "ping", 8).traffic(90, 1, Inbound, "*other*", 5)
}

#[test]
fn what_is_whole_is_silent() {
    check(
        &lively().events(None),
        expect![[r#"
            10:31:30.007000 # HEALTH reconciled window=21000000000 peers=2 types=5 messages=5772 lost=0
            10:31:51.007000 # HEALTH reconciled window=21000000000 peers=2 types=5 messages=5773 lost=0
        "#]],
    );
}

#[test]
fn one_in_fifty_withheld_is_heard() {
    check(
        &lively().events(Some(50)),
        expect![[r#"
            10:31:30.007000 # HEALTH diverged window=21000000000 message_type=inv direction=inbound peers=2 messages=2939 seen_bytes=183715 node_bytes=187503 lost=0
            10:31:30.007000 # HEALTH diverged window=21000000000 message_type=tx direction=inbound peers=2 messages=410 seen_bytes=92450 node_bytes=94710 lost=0
            10:31:30.007000 # HEALTH diverged window=21000000000 message_type=inv direction=outbound peers=2 messages=1872 seen_bytes=184405 node_bytes=188137 lost=0
            10:31:30.007000 # HEALTH reconciled window=21000000000 peers=2 types=5 messages=5657 lost=0
            10:31:51.007000 # HEALTH diverged window=21000000000 message_type=inv direction=inbound peers=2 messages=2936 seen_bytes=183518 node_bytes=187498 lost=0
            10:31:51.007000 # HEALTH diverged window=21000000000 message_type=tx direction=inbound peers=2 messages=410 seen_bytes=92466 node_bytes=94710 lost=0
            10:31:51.007000 # HEALTH diverged window=21000000000 message_type=ping direction=outbound peers=2 messages=207 seen_bytes=6927 node_bytes=7035 lost=0
            10:31:51.007000 # HEALTH diverged window=21000000000 message_type=inv direction=outbound peers=2 messages=1874 seen_bytes=184583 node_bytes=188035 lost=0
            10:31:51.007000 # HEALTH reconciled window=21000000000 peers=2 types=5 messages=5657 lost=0
        "#]],
    );
}

/// What is under way when the node is asked would be more than one in a hundred.
#[test]
fn what_is_under_way_at_a_border_is_not_missing() {
    let waiting = World::new().traffic(100, 150, Inbound, "inv", 37).traffic(100, 150, Outbound, "tx", 300);
    check(
        &waiting.events(None),
        expect![[r#"
            10:31:30.007000 # HEALTH reconciled window=21000000000 peers=2 types=2 messages=420 lost=0
            10:31:51.007000 # HEALTH reconciled window=21000000000 peers=2 types=2 messages=420 lost=0
        "#]],
    );
    let slow = World { call: 400, ..lively() };
    check(
        &slow.events(None),
        expect![[r#"
            10:31:30.007000 # HEALTH reconciled window=21000000000 peers=2 types=5 messages=5772 lost=0
            10:31:51.007000 # HEALTH reconciled window=21000000000 peers=2 types=5 messages=5773 lost=0
        "#]],
    );
}

#[test]
fn few_messages_are_not_compared() {
    let few = World::new().traffic(1000, 5, Inbound, "ping", 8);
    check(
        &few.events(Some(5)),
        expect![[r#"
            10:31:30.007000 # HEALTH reconciled window=21000000000 peers=2 types=0 messages=0 lost=0
            10:31:51.007000 # HEALTH reconciled window=21000000000 peers=2 types=0 messages=0 lost=0
        "#]],
    );
}

/// A peer may send a type by its name that has a number: twelve bytes that only the node counts.
#[test]
fn long_names_are_not_missing_messages() {
    let pings = World { long_names: true, ..World::new().traffic(50, 5, Inbound, "ping", 8) };
    check(
        &pings.events(None),
        expect![[r#"
            10:31:30.007000 # HEALTH reconciled window=21000000000 peers=2 types=1 messages=420 lost=0
            10:31:51.007000 # HEALTH reconciled window=21000000000 peers=2 types=1 messages=420 lost=0
        "#]],
    );
    let lost = reconcile(&pings.events(Some(10)));
    assert!(lost.iter().any(|event| matches!(event.kind, Some(Kind::HealthDiverged(_)))), "{lost:?}");
}

/// A type of which nothing is seen at all.
#[test]
fn blindness_is_heard() {
    let world = World::new().traffic(10, 1, Inbound, "tx", 300).traffic(10, 1, Inbound, "inv", 37);
    let mut events = world.events(None);
    events.retain(|event| !matches!(event.kind, Some(Kind::NetTx(_))));
    check(
        &events,
        expect![[r#"
            10:31:30.007000 # HEALTH diverged window=21000000000 message_type=tx direction=inbound peers=2 messages=0 seen_bytes=0 node_bytes=683550 lost=0
            10:31:30.007000 # HEALTH reconciled window=21000000000 peers=2 types=2 messages=2100 lost=0
            10:31:51.007000 # HEALTH diverged window=21000000000 message_type=tx direction=inbound peers=2 messages=0 seen_bytes=0 node_bytes=683550 lost=0
            10:31:51.007000 # HEALTH reconciled window=21000000000 peers=2 types=2 messages=2100 lost=0
        "#]],
    );
}

#[test]
fn counted_losses_explain() {
    let mut world = lively();
    let lost = HealthLost { stage: LossStage::Kernel.into(), probe: "net:inbound_message".into(), count: 3000 };
    world.extra.push(at(30_000, Source::Ebpf, lost));
    // of messages to the node only
    check(
        &world.events(Some(50)),
        expect![[r#"
            10:31:30.007000 # HEALTH diverged window=21000000000 message_type=inv direction=inbound peers=2 messages=2939 seen_bytes=183715 node_bytes=187503 lost=0
            10:31:30.007000 # HEALTH diverged window=21000000000 message_type=tx direction=inbound peers=2 messages=410 seen_bytes=92450 node_bytes=94710 lost=0
            10:31:30.007000 # HEALTH diverged window=21000000000 message_type=inv direction=outbound peers=2 messages=1872 seen_bytes=184405 node_bytes=188137 lost=0
            10:31:30.007000 # HEALTH reconciled window=21000000000 peers=2 types=5 messages=5657 lost=0
            10:31:51.007000 # HEALTH diverged window=21000000000 message_type=ping direction=outbound peers=2 messages=207 seen_bytes=6927 node_bytes=7035 lost=0
            10:31:51.007000 # HEALTH diverged window=21000000000 message_type=inv direction=outbound peers=2 messages=1874 seen_bytes=184583 node_bytes=188035 lost=0
            10:31:51.007000 # HEALTH reconciled window=21000000000 peers=2 types=5 messages=5657 lost=3000
        "#]],
    );
}

#[test]
fn a_gap_is_not_compared_over() {
    let mut world = lively();
    world.extra.push(at(30_000, Source::Ebpf, HealthAttached::default()));
    let mut events = world.events(None);
    let gap = |event: &Event| event.time > START + 20_000 * MILLI && event.time < START + 30_000 * MILLI;
    events.retain(|event| event.source() == Source::Rpc || !gap(event));
    check(
        &events,
        expect![[r#"
            10:32:00.007000 # HEALTH reconciled window=21000000000 peers=2 types=5 messages=5772 lost=0
        "#]],
    );
}

/// Hundreds of messages wait for a peer that reads slowly, and reach it in another window.
#[test]
fn what_waits_to_be_sent_is_no_divergence() {
    let mut world = World::new();
    for number in 0..500 {
        let queued = 1000 + number * 60;
        world.messages.push((queued + 20_000, queued, 1, Outbound, "tx", 1000));
    }
    check(
        &world.events(None),
        expect![[r#"
            10:31:30.007000 # HEALTH reconciled window=21000000000 peers=2 types=1 messages=350 lost=0
            10:31:51.007000 # HEALTH reconciled window=21000000000 peers=2 types=1 messages=141 lost=0
        "#]],
    );
}

#[test]
fn peers_come_and_go() {
    let mut world = lively();
    world.transports.insert(3, Transport::Detecting);
    let mut events = world.events(None);
    for event in &mut events {
        let late = event.time > START + 30_000 * MILLI;
        if let Some(Kind::StatePeers(state)) = &mut event.kind {
            state.peers.retain(|peer| peer.id != 1 || !late);
        }
    }
    check(
        &events,
        expect![[r#"
            10:31:30.007000 # HEALTH reconciled window=21000000000 peers=2 types=5 messages=5772 lost=0
            10:31:51.007000 # HEALTH reconciled window=21000000000 peers=1 types=5 messages=2887 lost=0
        "#]],
    );
}

/// More than the node counted: something was counted twice.
#[test]
fn too_much_is_heard() {
    let mut events = lively().events(None);
    let twice: Vec<Event> = events.iter().filter(|event| matches!(event.kind, Some(Kind::NetTx(_)))).step_by(20).cloned().collect();
    events.extend(twice);
    events.sort_by_key(|event| event.time);
    check(
        &events,
        expect![[r#"
            10:31:30.007000 # HEALTH diverged window=21000000000 message_type=tx direction=inbound peers=2 messages=441 seen_bytes=99477 node_bytes=94710 lost=0
            10:31:30.007000 # HEALTH reconciled window=21000000000 peers=2 types=5 messages=5793 lost=0
            10:31:51.007000 # HEALTH diverged window=21000000000 message_type=tx direction=inbound peers=2 messages=441 seen_bytes=99477 node_bytes=94710 lost=0
            10:31:51.007000 # HEALTH reconciled window=21000000000 peers=2 types=5 messages=5794 lost=0
        "#]],
    );
}

proptest! {
    // each is a minute of a node
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever the rhythm of the traffic and of the calls: what is whole is silent.
    #[test]
    fn no_rhythm_is_taken_for_loss(
        every in 1..200_u64, wait in 0..180_u64, call in 0..600_u64, out in any::<bool>(), size in 0..5000_u32,
    ) {
        let direction = if out { Outbound } else { Inbound };
        let world = World { call, ..World::new().traffic(every, wait, direction, "tx", size) };
        let facts = reconcile(&world.events(None));
        prop_assert!(!facts.iter().any(|event| matches!(event.kind, Some(Kind::HealthDiverged(_)))), "{:?}", facts);
        prop_assert!(facts.iter().any(|event| matches!(event.kind, Some(Kind::HealthReconciled(_)))));
    }

    /// Whatever the rhythm: one in fifty is heard, where calls and waits are short against the window. Messages are so long that what is
    /// missing cannot be taken for long names of those that came.
    #[test]
    fn one_in_fifty_is_heard_in_every_rhythm(every in 1..150_u64, wait in 0..50_u64, call in 0..20_u64, out in any::<bool>(), size in 600..5000_u32) {
        let direction = if out { Outbound } else { Inbound };
        let world = World { call, ..World::new().traffic(every, wait, direction, "tx", size) };
        let facts = reconcile(&world.events(Some(50)));
        prop_assert!(facts.iter().any(|event| matches!(event.kind, Some(Kind::HealthDiverged(_)))), "{:?}", facts);
    }

    #[test]
    fn any_stream_is_survived(seeds in prop::collection::vec(any::<u64>(), 0..300)) {
        let mut reconciler = Reconciler::new(Duration::from_secs(1));
        for seed in seeds {
            reconciler.observe(&testkit::events::arbitrary(seed), &mut |_| {});
        }
    }
}
