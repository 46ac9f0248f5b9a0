//! What holds for any bytes and for every kind.

use event::p2p::{MAX_PAYLOAD, network_of};
use event::text::{Printable, parse_hash};
use event::{Event, Filter, KindId, Source};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;
use testkit::events::{arbitrary, assert_decodes_or_is_kept, assert_json, assert_survives, body, decode, payloads, samples};

fn message_type() -> impl Strategy<Value = String> {
    let known: Vec<_> = payloads().into_iter().map(|(message_type, _)| message_type).collect();
    prop_oneof![9 => select(known), 1 => "[ -~]{0,12}"]
}

/// Valid payloads with a few bytes changed, cut or added: they get further into a decoder than random ones.
fn damaged_payload() -> impl Strategy<Value = (String, Vec<u8>)> {
    let change = (any::<Index>(), any::<u8>());
    let changes = proptest::collection::vec(change, 0..3);
    let (cut, more) = (any::<Option<Index>>(), proptest::collection::vec(any::<u8>(), 0..3));
    (select(payloads()), changes, cut, more).prop_map(|((message_type, mut payload), changes, cut, more)| {
        for (at, byte) in changes {
            if !payload.is_empty() {
                let at = at.index(payload.len());
                payload[at] = byte;
            }
        }
        if let Some(cut) = cut {
            payload.truncate(cut.index(payload.len() + 1));
        }
        payload.extend(more);
        (message_type, payload)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_payload_of_any_type(message_type in message_type(), payload in proptest::collection::vec(any::<u8>(), 0..300)) {
        assert_decodes_or_is_kept(message_type.as_bytes(), &payload);
    }

    #[test]
    fn damaged_payloads((message_type, payload) in damaged_payload()) {
        assert_decodes_or_is_kept(message_type.as_bytes(), &payload);
    }

    #[test]
    fn any_message_type(message_type: Vec<u8>, payload: Vec<u8>) {
        assert_decodes_or_is_kept(&message_type, &payload);
    }

    #[test]
    fn any_event_survives_its_bytes(seed: u64) {
        assert_survives(&arbitrary(seed));
    }

    #[test]
    fn any_event_has_the_json_that_the_schema_says(seed: u64) {
        assert_json(&arbitrary(seed));
    }

    #[test]
    fn no_bytes_make_the_event_decoder_panic(bytes: Vec<u8>) {
        if let Ok(event) = Event::from_bytes(bytes.into()) {
            assert_json(&event);
        }
    }

    #[test]
    fn damaged_events_do_not_make_it_panic(seed: u64, at: Index, byte: u8, cut: Index) {
        let mut bytes = arbitrary(seed).to_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(2 * bytes.len()));
        if let Ok(event) = Event::from_bytes(bytes.into()) {
            assert_json(&event);
            assert_survives(&event);
        }
    }

    #[test]
    fn printable_text_is_one_line_without_controls(text: String, c: char) {
        let shown = Printable(&format!("{text}{c}")).to_string();
        let hidden = |c: char| c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}');
        prop_assert!(!shown.contains(hidden));
        let plain: String = text.chars().filter(char::is_ascii_graphic).collect();
        prop_assert_eq!(Printable(&plain).to_string(), plain);
    }

    #[test]
    fn a_hash_is_read_as_it_is_shown(hash: [u8; 32], text: String) {
        prop_assert_eq!(parse_hash(&event::text::Hash(&hash).to_string()).unwrap(), &hash[..]);
        let _ = parse_hash(&text);
    }

    #[test]
    fn any_text_has_a_network(text: String) {
        network_of(&text);
    }

    #[test]
    fn patterns_select_what_their_definition_says(pattern in "[a-n.*]{0,6}") {
        let wanted = |id: &KindId| id.family() == pattern || naive_glob(pattern.as_bytes(), id.name().as_bytes());
        let expected: Vec<_> = KindId::ALL.into_iter().filter(wanted).collect();
        let filter = Filter::parse([pattern.as_str()]);
        prop_assert_eq!(filter.is_err(), expected.is_empty());
        if let Ok(filter) = filter {
            prop_assert_eq!(filter.kinds.iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn any_pattern_is_a_filter_or_an_error(pattern: String) {
        let _ = Filter::parse([pattern.as_str()]);
    }
}

fn naive_glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|taken| naive_glob(rest, &text[taken..])),
        Some((c, rest)) => text.first() == Some(c) && naive_glob(rest, &text[1..]),
    }
}

#[test]
fn every_valid_payload_is_decoded() {
    for (message_type, payload) in payloads() {
        assert_ne!(decode(message_type.as_bytes(), &payload).id(), KindId::NetUndecodable, "{message_type}");
        assert_decodes_or_is_kept(message_type.as_bytes(), &payload);
    }
}

/// Every length that a prefix can have, and every single trailing byte.
#[test]
fn no_prefix_of_a_valid_payload_is_decoded() {
    for (message_type, payload) in payloads() {
        for length in 0..payload.len() {
            let kind = decode(message_type.as_bytes(), &payload[..length]);
            let empty_ping = message_type == "ping" && length == 0;
            assert_eq!(kind.id() == KindId::NetUndecodable, !empty_ping, "{message_type} of {length} bytes");
        }
        let longer = [&payload[..], &[0]].concat();
        assert_eq!(decode(message_type.as_bytes(), &longer).id(), KindId::NetUndecodable, "{message_type}");
    }
}

/// A peer that announces more than it sends must not make the observer reserve memory for it, or take long.
#[test]
fn payloads_of_the_largest_size() {
    for (message_type, _) in payloads() {
        for filler in [0x00, 0x01, 0xfc, 0xfe, 0xff] {
            assert_decodes_or_is_kept(message_type.as_bytes(), &vec![filler; MAX_PAYLOAD]);
        }
    }
}

#[test]
fn every_kind_survives_its_bytes() {
    for event in samples() {
        assert_survives(&event);
    }
}

#[test]
fn every_kind_has_the_json_that_the_schema_says() {
    for event in samples() {
        assert_json(&event);
    }
}

/// Peer, address and the common part of P2P messages are those of the fields of that name.
#[test]
fn every_kind_gives_out_its_common_fields() {
    for event in samples() {
        let json = serde_json::to_value(&event).unwrap();
        let kind = event.kind.as_ref().unwrap();
        let body = body(&json, kind.id());
        let of_peer = body.get("peer");
        assert_eq!(event.peer().map(|peer| peer.to_string()).as_deref(), of_peer.and_then(Value::as_str));
        assert_eq!(kind.address(), of_peer.and(body.get("address")).and_then(Value::as_str).unwrap_or_default());
        assert_eq!(kind.net().is_some(), kind.id().family() == "net");
        if let Some(net) = kind.net() {
            assert_eq!(net.direction.word(), body["direction"]);
            assert_eq!(net.connection_type.word(), body["connectionType"]);
            assert_eq!(net.network.word(), body["network"]);
            assert_eq!(net.size, body["size"]);
            assert_eq!(net.raw.map(|raw| event::text::Hex(raw).to_string()).as_deref(), body["raw"].as_str());
        }
        assert!(event.memory() > size_of::<Event>());
        assert!(Filter::kinds([kind.id()]).matches(&event));
        assert!(!Filter::kinds(KindId::ALL.into_iter().filter(|id| *id != kind.id())).matches(&event));
        assert_eq!(event.subject().unwrap(), format!("po.alice.{}", kind.id()));
    }
}

#[test]
fn an_event_of_no_known_kind_matches_no_filter() {
    assert!(!Filter::all().matches(&Event { node: "alice".into(), source: Source::Rpc.into(), ..Event::default() }));
}

/// Hashes are reversed, other bytes are not, 64-bit integers are strings, repeated ones too.
#[test]
fn one_event_as_json() {
    let event = samples().into_iter().find(|event| event.id() == Some(KindId::NetCmpctblock)).unwrap();
    expect_test::expect![[r#"
        {
          "node": "alice",
          "nodeRun": "1750000001",
          "source": "ebpf",
          "run": "3",
          "sequence": "22",
          "time": "1750000000022000005",
          "timeText": "2025-06-15T15:06:40.022000005Z",
          "kind": "net.cmpctblock",
          "netCmpctblock": {
            "peer": "6",
            "direction": "outbound",
            "address": "203.0.113.7:8333",
            "connectionType": "inbound",
            "network": "not_publicly_routable",
            "size": 10,
            "raw": "0b0c0d0e0f",
            "header": {
              "hash": "2f2e2d2c2b2a292827262524232221201f1e1d1c1b1a19181716151413121110",
              "version": 24,
              "previous": "504f4e4d4c4b4a494847464544434241403f3e3d3c3b3a393837363534333231",
              "merkleRoot": "706f6e6d6c6b6a696867666564636261605f5e5d5c5b5a595857565554535251",
              "time": 1750000113,
              "timeText": "2025-06-15T15:08:33Z",
              "bits": 114,
              "nonce": 115
            },
            "nonce": "116",
            "shortIds": [
              "117",
              "118"
            ],
            "prefilled": [
              {
                "index": "119",
                "txid": "97969594939291908f8e8d8c8b8a898887868584838281807f7e7d7c7b7a7978",
                "wtxid": "b7b6b5b4b3b2b1b0afaeadacabaaa9a8a7a6a5a4a3a2a1a09f9e9d9c9b9a9998"
              },
              {
                "index": "184",
                "txid": "d8d7d6d5d4d3d2d1d0cfcecdcccbcac9c8c7c6c5c4c3c2c1c0bfbebdbcbbbab9",
                "wtxid": "f8f7f6f5f4f3f2f1f0efeeedecebeae9e8e7e6e5e4e3e2e1e0dfdedddcdbdad9"
              }
            ]
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&event).unwrap());
}
