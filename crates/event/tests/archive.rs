//! What holds for frames of an archive.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

use event::archive::{Damage, FULL, FULL_EVENTS, Head, Packer, Section, Unpacker};
use event::{Event, Source};
use proptest::prelude::*;
use testkit::events::{arbitrary, samples};

fn packed(events: &[Vec<u8>]) -> (Head, Vec<u8>) {
    let mut packer = Packer::default();
    for event in events {
        packer.push_bytes(event).unwrap();
    }
    packer.finish(&mut zstd::bulk::Compressor::new(3).unwrap()).unwrap()
}

/// The events of a frame's bytes.
fn unpacked(frame: &[u8]) -> Result<Vec<Vec<u8>>, Damage> {
    let length = Head::length(frame)?;
    let head = Head::from_bytes(frame.get(..length).unwrap_or_default())?;
    let body = &frame[length..];
    head.verify(body)?;
    let mut unpacker = Unpacker::new(&head, body, &mut zstd::bulk::Decompressor::new().unwrap())?;
    let mut events = Vec::new();
    let mut event = Vec::new();
    while let Some(envelope) = unpacker.next(&mut event)? {
        let bytes = std::mem::take(&mut event);
        let read = Event::from_bytes(bytes.clone().into()).unwrap();
        assert_eq!((envelope.sequence, envelope.time), (read.sequence, read.time));
        assert_eq!(head.streams[envelope.stream].node, read.node);
        events.push(bytes);
    }
    assert_eq!(events.len() as u64, head.events);
    assert_eq!(values(&head, body)?, readable(&events));
    Ok(events)
}

/// The events of a frame as values.
fn values(head: &Head, body: &[u8]) -> Result<Vec<Vec<u8>>, Damage> {
    let mut unpacker = Unpacker::new(head, body, &mut zstd::bulk::Decompressor::new().unwrap())?;
    let mut events = Vec::new();
    while let Some(event) = unpacker.next_event(|_| true)? {
        events.push(event.to_bytes().to_vec());
    }
    Ok(events)
}

/// As this release knows them: without the fields that only later ones have.
fn readable(events: &[Vec<u8>]) -> Vec<Vec<u8>> {
    bytes_of(events.iter().map(|event| Event::from_bytes(event.clone().into()).unwrap()))
}

/// A frame gives back exactly the bytes that were put into it, and its head says what they are.
#[track_caller]
fn survive(events: &[Vec<u8>]) -> Head {
    let (head, frame) = packed(events);
    assert_eq!(Head::from_bytes(&frame[..Head::length(&frame).unwrap()]), Ok(head.clone()));
    let got = unpacked(&frame).unwrap();
    for (got, put) in got.iter().zip(events) {
        assert_eq!(got, put);
    }
    assert_eq!(got.len(), events.len());
    assert_eq!(head.bytes, events.iter().map(|event| event.len() as u64).sum::<u64>());
    head
}

fn bytes_of(events: impl IntoIterator<Item = Event>) -> Vec<Vec<u8>> {
    events.into_iter().map(|event| event.to_bytes().to_vec()).collect()
}

#[test]
fn every_kind_survives() {
    let events = bytes_of(samples());
    survive(&events);
    survive(&std::iter::repeat_n(events.clone(), 30).flatten().collect::<Vec<_>>());
    for event in events {
        survive(&[event]);
    }
}

/// There are two ways into a frame, and nobody can tell which one was taken.
#[track_caller]
fn same_frame(events: impl IntoIterator<Item = Event>) {
    let (mut values, mut bytes) = (Packer::default(), Packer::default());
    for event in events {
        values.push(&event);
        bytes.push_bytes(&event.to_bytes()).unwrap();
        assert_eq!(values.is_full(), bytes.is_full());
    }
    let mut compressor = zstd::bulk::Compressor::new(1).unwrap();
    assert_eq!(values.finish(&mut compressor), bytes.finish(&mut compressor));
}

#[test]
fn events_given_as_values_are_those_given_as_bytes() {
    same_frame(samples());
    same_frame((0..3000).map(arbitrary));
    // streams that are like each other, and the mark of a replay
    let ping = |node: &str, node_run, replay, sequence| Event {
        node_run,
        replay,
        sequence,
        ..Event::new(node, Source::Ebpf, event::NetPing { peer: sequence % 2, ..Default::default() })
    };
    same_frame((0..40).map(|n| ping(["a", "b"][n as usize / 20], [None, Some(0), Some(5)][n as usize % 3], n % 7 == 0, n)));
    same_frame([ping("", None, false, 0), ping("", None, false, u64::MAX)]);
}

/// More in memory than in the frame: hundreds of bytes for each one.
#[test]
fn lists_of_nothing_are_refused() {
    let peers = |count| Event::new("alice", Source::Rpc, event::StatePeers { peers: vec![event::PeerInfo::default(); count] });
    let read = |count| {
        let mut packer = Packer::default();
        packer.push(&peers(count));
        let (head, frame) = packer.finish(&mut zstd::bulk::Compressor::new(3).unwrap()).unwrap();
        values(&head, &frame[frame.len() - head.body_length()..]).map(|events| events.len())
    };
    assert_eq!(read(100), Ok(1));
    assert_eq!(read(100_000).unwrap_err().to_string(), "an event that takes more memory than any event");
}

/// Another release has text where this one has a number: it is nobody's business until somebody asks for the event.
#[test]
fn what_is_of_another_type_costs_nobody_else() {
    let ping = |peer| Event { sequence: peer, ..Event::new("n", Source::Ebpf, event::NetPing { peer, ..Default::default() }) };
    let without_kind = Event { kind: None, ..ping(1) }.to_bytes().to_vec();
    // `size` as text; an address that is no text
    let size = [&without_kind[..], &[0xea, 0x06, 5, 0x08, 1, 0x32, 1, b'x']].concat();
    let address = [&without_kind[..], &[0xea, 0x06, 5, 0x08, 1, 0x1a, 1, 0xff]].concat();
    for odd in [size, address] {
        assert!(Event::from_bytes(odd.clone().into()).is_err());
        let (head, frame) = packed(&[odd, ping(2).to_bytes().to_vec()]);
        let got = values(&head, &frame[frame.len() - head.body_length()..]).unwrap();
        assert_eq!(got, bytes_of([ping(2)]));
    }
}

#[test]
fn a_head_says_what_is_in_the_frame() {
    let event = |sequence, peer, node: &str| Event {
        sequence,
        time: 1000 - sequence,
        run: 4,
        node_run: Some(9),
        ..Event::new(node, Source::Ebpf, event::NetPing { peer, nonce: Some(1), ..Default::default() })
    };
    let rejected = event::MempoolRejected { peer: Some(77), ..Default::default() };
    let mut events = vec![event(5, 3, "alice"), event(6, 0, "alice"), event(9, 3, "alice"), event(8, 2, "bob")];
    events.push(Event { sequence: 10, run: 4, node_run: Some(9), ..Event::new("alice", Source::Ebpf, rejected) });
    let head = survive(&bytes_of(events));
    assert_eq!((head.events, head.first, head.last), (5, 0, 995));
    let kinds: Vec<_> = head.kinds.iter().map(|kind| (kind.number, kind.events)).collect();
    assert_eq!(kinds, [(109, 4), (223, 1)]);
    let streams: Vec<_> = head
        .streams
        .iter()
        .map(|s| (s.node.as_str(), s.source(), s.run, s.events, s.first, s.last, s.missing, s.peers.clone().unwrap()))
        .collect();
    let expected = [("alice", Source::Ebpf, 4, 4, 5, 10, 2, vec![0, 3, 77]), ("bob", Source::Ebpf, 4, 1, 8, 8, 0, vec![2])];
    assert_eq!(streams, expected);
}

/// What this release does not know: another release wrote it.
#[test]
fn unknown_kinds_and_fields_survive() {
    let event = Event { time: 5, sequence: 7, ..Event::new("n", Source::Ebpf, event::NetPing::default()) };
    let known = event.to_bytes().to_vec();
    let without_kind = Event { kind: None, ..event }.to_bytes().to_vec();
    // field 999, a message with a number, text and a list that is packed
    let newer_kind = [&without_kind[..], &[0xba, 0x3e, 9, 0x08, 1, 0x12, 1, b'x', 0x1a, 2, 1, 2]].concat();
    // field 12 of the envelope
    let newer_envelope = [&without_kind[..], &[0x62, 1, 9]].concat();
    // field 90 and a group of fields 91 in a ping
    let newer_field = {
        let mut bytes = known.clone();
        let length = bytes.len() - 1 - bytes.iter().rposition(|byte| *byte == 0x06).unwrap();
        let at = bytes.len() - length;
        bytes[at] += 3;
        bytes.extend([0xd0, 0x05, 0x07]);
        bytes
    };
    let group = [&without_kind[..], &[0xea, 0x06, 4, 0xdb, 0x05, 0xdc, 0x05]].concat();
    assert!(Event::from_bytes(newer_field.clone().into()).is_ok());
    let head = survive(&[known, newer_kind, newer_envelope, newer_field, group, without_kind]);
    assert!(head.has_kind(999) && head.has_kind(0) && head.has_kind(109));
}

#[test]
fn what_is_written_in_another_way_survives() {
    let event = Event { time: 5, sequence: 7, ..Event::new("n", Source::Ebpf, event::NetPing { peer: 3, ..Default::default() }) };
    let bytes = event.to_bytes().to_vec();
    // time before sequence; a sequence of two bytes; the kind twice
    let kind = bytes.iter().rposition(|byte| *byte == 0x06).unwrap() - 1;
    let swapped = [&bytes[..kind - 4], &[0x30, 5, 0x28, 7], &bytes[kind..]].concat();
    let long = [&bytes[..kind - 4], &[0x28, 0x87, 0, 0x30, 5], &bytes[kind..]].concat();
    let twice = [&bytes[..], &bytes[kind..]].concat();
    let head = survive(&[bytes, swapped, long, twice]);
    assert_eq!(head.streams.iter().map(|stream| stream.events).sum::<u64>(), 4);
}

#[test]
fn bytes_that_are_no_event_are_refused() {
    assert!(Packer::default().push_bytes(&[0xff; 10]).is_err());
}

#[test]
fn a_frame_is_full_before_it_is_too_large() {
    let events: Vec<_> = bytes_of((0..).take(300).map(arbitrary));
    let mut packer = Packer::default();
    while !packer.is_full() {
        events.iter().for_each(|event| packer.push_bytes(event).unwrap());
    }
    let (head, _) = packer.finish(&mut zstd::bulk::Compressor::new(1).unwrap()).unwrap();
    let raw: usize = head.sections.iter().map(|section| section.raw as usize).sum();
    assert!(head.bytes >= FULL_EVENTS || raw >= FULL, "{raw} bytes of {}", head.bytes);
    assert!(raw < FULL + (1 << 20), "{raw} bytes");
    assert!(packer.finish(&mut zstd::bulk::Compressor::new(1).unwrap()).is_none(), "the next one is empty");
}

/// What a hash repeats is said once, what a counter says is its change: the reason for all this.
#[test]
fn what_is_repeated_costs_little() {
    let events = bytes_of((0..2000).map(|n| {
        let hash: Vec<u8> = (0..32).map(|i| (i * 37 + n / 100) as u8).collect();
        let item = event::Inventory { r#type: 5, hash: hash.into(), number: None };
        let inv =
            event::NetInv { peer: n % 60, address: format!("203.0.113.{}:8333", n % 60), items: vec![item], ..Default::default() };
        Event { sequence: n, time: 1_750_000_000_000_000_000 + n * 1_000_000, ..Event::new("alice", Source::Ebpf, inv) }
    }));
    let (head, frame) = packed(&events);
    assert!((frame.len() as u64) < head.bytes / 40, "{} of {} bytes", frame.len(), head.bytes);
}

#[test]
fn every_changed_bit_of_a_frame_is_noticed() {
    let (_, frame) = packed(&bytes_of(samples().into_iter().take(12)));
    for bit in 0..frame.len() * 8 {
        let mut changed = frame.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(unpacked(&changed).is_err(), "bit {bit}");
    }
}

/// Damage that a checksum does not find, because it was made over it.
fn read_unchecked(head: &Head, body: &[u8]) {
    let mut decompressor = zstd::bulk::Decompressor::new().unwrap();
    let Ok(mut unpacker) = Unpacker::new(head, body, &mut decompressor) else { return };
    let mut event = Vec::new();
    while let Ok(Some(_)) = unpacker.next(&mut event) {
        event.clear();
    }
    let mut unpacker = Unpacker::new(head, body, &mut decompressor).unwrap();
    let mut number = 0;
    while let Ok(Some(_)) = unpacker.next_event(|_| {
        number += 1;
        number % 3 > 0
    }) {}
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_events_survive(seeds in proptest::collection::vec(any::<u64>(), 1..40)) {
        survive(&bytes_of(seeds.iter().copied().map(arbitrary)));
        same_frame(seeds.into_iter().map(arbitrary));
    }

    #[test]
    fn damaged_bodies_do_not_make_it_panic(seed: u64, changes in proptest::collection::vec(any::<(prop::sample::Index, u8)>(), 1..6)) {
        let mut events = bytes_of((0..5).map(|n| arbitrary(seed.wrapping_add(n))));
        events.extend(events.clone());
        let mut packer = Packer::default();
        events.iter().for_each(|event| packer.push_bytes(event).unwrap());
        let (mut head, frame) = packer.finish(&mut zstd::bulk::Compressor::new(1).unwrap()).unwrap();
        // as it is before compression, so that changes get past it
        let mut decompressor = zstd::bulk::Decompressor::new().unwrap();
        let mut body = Vec::new();
        let mut at = frame.len() - head.body_length();
        for section in &mut head.sections {
            let stored = &frame[at..at + section.stored as usize];
            at += section.stored as usize;
            let raw = if section.compressed { decompressor.decompress(stored, section.raw as usize).unwrap() } else { stored.to_vec() };
            *section = Section { stored: raw.len() as u32, raw: raw.len() as u32, compressed: false };
            body.extend(raw);
        }
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        read_unchecked(&head, &body);
    }

    #[test]
    fn no_bytes_make_it_panic(body: Vec<u8>, cuts: [u8; 7]) {
        let mut rest = body.len();
        let sections = cuts.iter().map(|cut| {
            let length = rest.min(usize::from(*cut) % 32);
            rest -= length;
            Section { stored: length as u32, raw: length as u32, compressed: false }
        });
        let head = Head { events: 1, sections: sections.collect(), ..Head::default() };
        read_unchecked(&head, &body);
    }
}
