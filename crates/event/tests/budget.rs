//! Events that are made to exhaust memory are refused before they are decoded, and no others.

use bitcoin::consensus::encode::serialize;
use event::p2p::MAX_PAYLOAD;
use event::schema::KINDS;
use event::{AddrmanEntry, DecodeError, Event, Kind, KindId, MessageBytes, PeerInfo, Source, StateAddrmanRaw, StatePeers};
use proptest::prelude::*;
use proptest::sample::select;
use prost::encoding::{WireType, encode_key, encode_varint};
use testkit::events::{arbitrary, decode, samples};

/// An event of this kind, whatever `body` is.
fn event_of(id: KindId, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_key(id as u32, WireType::LengthDelimited, &mut bytes);
    encode_varint(body.len() as u64, &mut bytes);
    bytes.extend(body);
    bytes
}

fn is_inflated(bytes: Vec<u8>) -> bool {
    matches!(Event::from_bytes(bytes.into()), Err(DecodeError::Inflated { .. }))
}

#[track_caller]
fn assert_passes(name: &str, kind: Kind) {
    let bytes = Event::new("alice", Source::Ebpf, kind).to_bytes();
    let length = bytes.len();
    if let Err(error) = Event::from_bytes(bytes) {
        panic!("{name}, {length} bytes: {error}");
    }
}

/// Undecoded they are tens of megabytes, decoded gigabytes.
#[test]
fn lists_of_nothing_are_refused() {
    for size in [10_000, 900_000, 30_000_000] {
        assert!(is_inflated(event_of(KindId::StatePeers, &[0x0a, 0].repeat(size / 2))), "{size} bytes of peers");
        // peers with one empty list each: `bytes_sent_per_message = 38`
        assert!(is_inflated(event_of(KindId::StatePeers, &[0x0a, 3, 0xb2, 2, 0].repeat(size / 5))), "{size} bytes of lists");
    }
    for id in [KindId::NetInv, KindId::NetBlock, KindId::NetHeaders, KindId::StateAddrmanRaw, KindId::NetAddrv2] {
        let document = KINDS.iter().find(|kind| kind.id == id).unwrap();
        let list = document.fields.iter().find(|field| field.kind.starts_with("repeated")).unwrap();
        let mut element = Vec::new();
        encode_key(list.number, WireType::LengthDelimited, &mut element);
        element.push(0);
        assert!(is_inflated(event_of(id, &element.repeat(5_000_000))), "{id}");
    }
    // what this process ever needed; where the system does not say, the assertions above have to do
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        let peak: u64 = peak.unwrap();
        assert!(peak < 1_000_000, "{peak} kB");
    }
}

/// The message says what it was and what it may be.
#[test]
fn the_error_is_a_sentence() {
    let error = Event::from_bytes(event_of(KindId::StatePeers, &[0x0a, 0].repeat(100_000)).into()).unwrap_err();
    expect_test::expect!["not an event: its 200005 bytes would take more than 4865656 in memory, and no event of that length does"]
        .assert_eq(&error.to_string());
}

/// A number as the P2P protocol has it; only the shortest form is allowed.
fn compact_size(count: usize) -> Vec<u8> {
    serialize(&bitcoin::VarInt::from(count))
}

/// A message type, what comes before its list, an element of it, what comes after it.
type Case<'a> = (&'a str, &'a [u8], &'a [u8], &'a [u8]);

/// What a peer can send at worst, by the least that an element takes in its payload. The longest payload is not always the worst: a list
/// that was doubled just before it ended takes the most for what it holds.
#[test]
fn everything_that_a_peer_can_send_passes() {
    let header = serialize(&bitcoin::constants::genesis_block(bitcoin::Network::Bitcoin).header);
    let headers = [&header[..], &[0]].concat();
    let asked = [0x7f, 0x11, 1, 0];
    let least_transaction = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let transaction = [&[1, 0, 0, 0, 1][..], &[7; 36], &[0, 0, 0, 0, 0, 0], &[0, 0, 0, 0]].concat();
    let hash = [7_u8; 32];
    let cases: &[Case<'_>] = &[
        ("inv", &[], &[7; 36], &[]),
        ("getdata", &[], &[7; 36], &[]),
        ("notfound", &[], &[7; 36], &[]),
        ("addr", &[], &[7; 30], &[]),
        ("addrv2", &[], &[0, 0, 0, 0, 0, 99, 0, 0, 0], &[]),
        ("headers", &[], &headers, &[]),
        ("getheaders", &asked, &hash, &hash),
        ("getblocks", &asked, &hash, &hash),
        ("block", &header, &least_transaction, &[]),
        ("block", &header, &transaction, &[]),
        ("cmpctblock", &[&header[..], &[7; 8]].concat(), &[7; 6], &[0]),
        ("cmpctblock", &[&header[..], &[7; 8], &[0]].concat(), &[&[0][..], &least_transaction].concat(), &[]),
        ("getblocktxn", &hash, &[0], &[]),
        ("blocktxn", &hash, &least_transaction, &[]),
        ("tx", &[1, 0, 0, 0], &[&[7; 36][..], &[0, 0, 0, 0, 0]].concat(), &[0, 0, 0, 0, 0]),
        ("merkleblock", &[&header[..], &[9, 0, 0, 0]].concat(), &hash, &[0]),
        ("cfheaders", &[&[0][..], &hash, &hash].concat(), &hash, &[]),
        ("cfcheckpt", &[&[0][..], &hash].concat(), &hash, &[]),
    ];
    for (message_type, first, element, last) in cases {
        let most = (MAX_PAYLOAD - first.len() - last.len() - 5) / element.len();
        let doubled = [8, 13, 15, 17, 18].map(|power| (1_usize << power) + 1);
        let mut decoded = 0;
        for count in doubled.into_iter().filter(|count| *count < most).chain([most]) {
            let payload = [first, &compact_size(count)[..], &element.repeat(count), last].concat();
            let kind = decode(message_type.as_bytes(), &payload);
            decoded += usize::from(kind.id() != KindId::NetUndecodable);
            assert_passes(&format!("{message_type} of {count}"), kind);
        }
        assert!(decoded >= 3, "{message_type}: {decoded} were decoded");
    }
}

#[test]
fn the_largest_answers_of_a_node_pass() {
    // as many as fit into the tables of Bitcoin Core (`src/addrman.h`: 1024 and 256 buckets of 64), and as many as have just not
    for count in [81_920, 65_537, 32_769, 16_385, 4097, 5, 1] {
        let entry = AddrmanEntry {
            bucket: 1,
            position: 1,
            address: "1.2.3.4".into(),
            port: 8333,
            time: 1_750_000_000,
            source: vec![1; 4].into(),
            ..AddrmanEntry::default()
        };
        let new = vec![entry; count];
        assert_passes(&format!("{count} addresses"), StateAddrmanRaw { tried: new[..count / 5].to_vec(), new }.into());
    }
    for count in [1, 5, 9, 65, 129, 1025, 4097] {
        let sent = ["ping", "pong", "inv", "tx", "addrv2"].map(|name| MessageBytes { r#type: name.into(), bytes: 64 }).to_vec();
        let peer = PeerInfo {
            id: 1,
            address: "1.2.3.4:8333".into(),
            permissions: vec!["noban".into()],
            bytes_sent_per_message: sent.clone(),
            bytes_received_per_message: sent,
            ..PeerInfo::default()
        };
        assert_passes(&format!("{count} peers"), StatePeers { peers: vec![peer; count] }.into());
    }
}

#[test]
fn every_sample_passes() {
    for event in samples() {
        assert_passes("a sample", event.kind.unwrap());
    }
}

proptest! {
    #[test]
    fn any_event_passes(seed: u64) {
        assert_passes("an arbitrary event", arbitrary(seed).kind.unwrap());
    }

    /// Nonsense that gets further than random bytes do: fields of a kind again and again.
    #[test]
    fn no_bytes_make_it_panic_or_large(
        id in select(KindId::ALL.to_vec()),
        head in proptest::collection::vec(any::<u8>(), 0..4),
        element in proptest::collection::vec(prop_oneof![any::<u8>(), 0_u8..4, Just(0x0a), Just(0x80)], 1..8),
        times in 0_usize..20_000,
    ) {
        let bytes = event_of(id, &[&head[..], &element.repeat(times)].concat());
        let length = bytes.len();
        if let Ok(event) = Event::from_bytes(bytes.into()) {
            // the budget of its lists, and 48 bytes that are reckoned for what an element holds
            prop_assert!(event.memory() <= 50 * length + (128 << 10), "{length} bytes took {}", event.memory());
        }
    }
}
