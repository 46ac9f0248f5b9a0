//! What must hold for any bytes and any event. A test, a property and a fuzz target each bring their own.
#![expect(clippy::unwrap_used, reason = "an assertion fails by panicking")]

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::p2p::Magic;
use bitcoin::p2p::message::{CommandString, NetworkMessage, RawNetworkMessage};
use event::p2p::{Captured, Message};
use event::schema::{FieldDoc, KINDS, PARTS, WORDS};
use event::{ConnectionType, Direction, Event, Kind, KindId, Network};
use serde_json::Value;

/// The event of an inbound message.
pub fn decode(message_type: &[u8], payload: &[u8]) -> Kind {
    Message {
        peer: 7,
        direction: Direction::Inbound,
        address: "203.0.113.7:8333",
        connection_type: ConnectionType::Inbound,
        network: Network::Ipv4,
        size: payload.len() as u32,
        message_type,
        payload,
        captured: Captured::Whole,
        keep_raw: false,
    }
    .decode()
}

/// What is decoded is what rust-bitcoin reads behind a header, and what it would write again; what is not keeps its bytes.
pub fn assert_decodes_or_is_kept(message_type: &[u8], payload: &[u8]) {
    let kind = decode(message_type, payload);
    if let Kind::NetUndecodable(undecodable) = kind {
        assert_eq!(undecodable.raw.as_deref(), Some(payload), "nothing is lost");
        assert!(undecodable.message_type.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        return;
    }
    let message_type = std::str::from_utf8(message_type).unwrap();
    assert_eq!(kind.id().short_name(), message_type);
    assert_eq!(kind.net().unwrap().size as usize, payload.len());
    // rust-bitcoin knows the first two by name only, half of an alert, no empty ping, and no fee rate that is no money
    let special = match &kind {
        Kind::NetSendtxrcncl(_) | Kind::NetFeature(_) | Kind::NetAlert(_) => true,
        Kind::NetPing(ping) => ping.nonce.is_none(),
        Kind::NetFeefilter(filter) => !(0..=2_100_000_000_000_000).contains(&filter.feerate),
        _ => false,
    };
    if special {
        return;
    }
    let unknown =
        NetworkMessage::Unknown { command: CommandString::try_from(message_type.to_owned()).unwrap(), payload: payload.to_owned() };
    let wire = serialize(&RawNetworkMessage::new(Magic::BITCOIN, unknown));
    let message: RawNetworkMessage = deserialize(&wire).unwrap_or_else(|error| panic!("{message_type}: {error}"));
    assert!(!matches!(message.payload(), NetworkMessage::Unknown { .. }), "{message_type} is known");
    assert!(serialize(&message) == wire, "{message_type} is written as it was read");
}

/// An event that is written and read is the same event.
pub fn assert_survives(event: &Event) {
    let again = Event::from_bytes(event.to_bytes()).unwrap();
    // what is not a number is not equal to itself, but has the same bytes
    assert!(again == *event || again.to_bytes() == event.to_bytes(), "{again:?} was {event:?}");
}

/// The JSON form is JSON, and has the fields of the schema: names, words, 64-bit integers as strings, times in two forms.
pub fn assert_json(event: &Event) {
    let text = serde_json::to_string(event).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let envelope = json.as_object().unwrap();
    assert!(["node", "source", "run", "sequence", "time", "timeText"].iter().all(|key| envelope[*key].is_string()), "{text}");
    assert_eq!(envelope["time"], event.time.to_string());
    assert_eq!(envelope.get("replay"), event.replay.then_some(&Value::Bool(true)));
    let Some(id) = event.id() else {
        assert_eq!(envelope.get("kind"), None);
        return;
    };
    assert_eq!(envelope["kind"], id.name());
    let doc = KINDS.iter().find(|doc| doc.id == id).unwrap();
    check_object(doc.fields, body(&json, id));
}

/// The kind's own part of an event's JSON, under its name in lower camel case.
pub fn body(json: &Value, id: KindId) -> &serde_json::Map<String, Value> {
    let mut key = String::new();
    for (at, part) in id.name().split(['.', '_']).enumerate() {
        let (first, rest) = part.split_at(1);
        key += if at == 0 { first.to_owned() } else { first.to_uppercase() }.as_str();
        key += rest;
    }
    json[&key].as_object().unwrap_or_else(|| panic!("{id} under {key}"))
}

fn check_object(fields: &[FieldDoc], json: &serde_json::Map<String, Value>) {
    let mut seen = 0;
    for field in fields {
        let (label, kind) = field.kind.split_once(' ').unwrap_or(("", field.kind));
        let Some(value) = json.get(field.json) else {
            // a message without presence marker is a singular field, absent when not set
            assert!(label == "optional" || PARTS.iter().any(|part| part.message == kind), "{} is missing", field.json);
            continue;
        };
        seen += 1;
        if label == "repeated" {
            value.as_array().unwrap().iter().for_each(|value| check_value(field, kind, value));
        } else {
            check_value(field, kind, value);
        }
        if field.text.starts_with("TEXT_TIME") {
            seen += 1;
            let text = json[&format!("{}Text", field.json)].as_str().unwrap();
            assert!(text.is_empty() || text.ends_with('Z'), "{text}");
        }
    }
    assert_eq!(seen, json.len(), "no field that the schema does not have: {json:?}");
}

fn check_value(field: &FieldDoc, kind: &str, value: &Value) {
    let text = value.as_str();
    let fine = match kind {
        "string" => text.is_some(),
        "bool" => value.is_boolean(),
        "uint64" | "fixed64" => text.is_some_and(|text| text.parse::<u64>().is_ok()),
        "int64" => text.is_some_and(|text| text.parse::<i64>().is_ok()),
        "uint32" => value.as_u64().is_some_and(|number| number <= u32::MAX.into()),
        "int32" | "sint32" => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        // JSON has no word for what is not a number
        "double" => value.is_number() || value.is_null(),
        "bytes" => text.is_some_and(|text| field.text == "TEXT_ADDRESS" || text.bytes().all(|c| c.is_ascii_hexdigit())),
        _ => match WORDS.iter().find(|words| words.name == kind) {
            Some(words) => words.words.iter().any(|(word, _, _)| Some(*word) == text),
            None => {
                check_object(PARTS.iter().find(|part| part.message == kind).unwrap().fields, value.as_object().unwrap());
                true
            }
        },
    };
    assert!(fine, "{} is {kind}: {value}", field.json);
}
