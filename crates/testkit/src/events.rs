//! Events and payloads to test with: one event of every kind with every field filled, as many arbitrary ones as wanted, a valid
//! payload of every P2P message; and what must hold for any of them.
//!
//! Events are made from the schema, so a new kind is covered as soon as it is in `proto/`.

mod check;
mod payloads;

use event::schema::{FieldDoc, KINDS, KindDoc, PARTS, WORDS};
use event::{Event, Network, Source};
use prost::encoding::{WireType, encode_key, encode_varint};

pub use check::{assert_decodes_or_is_kept, assert_json, assert_survives, body, decode};
pub use payloads::payloads;

/// One event of every kind, by number, with every field filled. Always the same.
pub fn samples() -> Vec<Event> {
    let sample = |(kind, sequence): (&KindDoc, u64)| {
        let mut event = build(kind, &mut Draw::Sample(0));
        event.source = Source::Ebpf.into();
        event.sequence = sequence;
        event.time += sequence * 1_000_000;
        event.replay = false;
        event
    };
    KINDS.iter().zip(0..).map(sample).collect()
}

/// An event of any kind with any values, always the same for the same seed. With proptest: `any::<u64>().prop_map(arbitrary)`.
pub fn arbitrary(seed: u64) -> Event {
    let mut draw = Draw::Arbitrary(seed);
    let kind = &KINDS[draw.below(KINDS.len() as u64)];
    build(kind, &mut draw)
}

/// Where values come from.
enum Draw {
    /// Plausible ones, by counting.
    Sample(u64),
    /// Any: the state of SplitMix64 (Steele, Lea, Flood 2014).
    Arbitrary(u64),
}

impl Draw {
    fn number(&mut self) -> u64 {
        match self {
            Self::Sample(count) => {
                *count += 1;
                *count
            }
            Self::Arbitrary(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                z ^ (z >> 31)
            }
        }
    }

    fn below(&mut self, limit: u64) -> usize {
        usize::try_from(self.number() % limit).expect("an index")
    }

    /// Numbers of every length: small ones are as likely as large ones.
    fn integer(&mut self, text: &str) -> u64 {
        match (&self, text) {
            (Self::Sample(_), "TEXT_TIME_SECONDS") => 1_750_000_000 + self.number(),
            (Self::Sample(_), "TEXT_TIME_NANOS") => 1_750_000_000_000_000_000 + self.number(),
            (Self::Sample(_), _) => self.number(),
            (Self::Arbitrary(_), _) => {
                let bits = self.below(64);
                self.number() >> bits
            }
        }
    }

    /// How many values a field has.
    fn count(&mut self, field: &FieldDoc) -> usize {
        let repeated = field.kind.starts_with("repeated ");
        match self {
            Self::Sample(_) => 1 + usize::from(repeated),
            Self::Arbitrary(_) => self.below(if repeated { 4 } else { 2 }),
        }
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.number() as u8).collect()
    }

    fn string(&mut self, field: &FieldDoc) -> String {
        match (&self, field.name) {
            (Self::Sample(_), "node") => "alice".into(),
            (Self::Sample(_), "address" | "receiver_address" | "sender_address") => "203.0.113.7:8333".into(),
            (Self::Sample(_), "user_agent") => "/Satoshi:31.0.0/".into(),
            (Self::Sample(_), "kind") => "net.ping".into(),
            (Self::Sample(_), "probe") => "net:inbound_message".into(),
            (Self::Sample(_), name) => name.replace('_', " "),
            (Self::Arbitrary(_), _) => {
                let length = self.below(20);
                (0..length).filter_map(|_| char::from_u32(self.integer("") as u32)).collect()
            }
        }
    }
}

fn build(kind: &KindDoc, draw: &mut Draw) -> Event {
    let envelope = PARTS.iter().find(|part| part.message == "Event").expect("the schema has an envelope");
    let mut bytes = Vec::new();
    message(envelope.fields, draw, &mut bytes);
    let mut inner = Vec::new();
    message(kind.fields, draw, &mut inner);
    delimited(kind.id as u32, &inner, &mut bytes);
    Event::from_bytes(bytes.into()).expect("written as the schema says")
}

fn message(fields: &[FieldDoc], draw: &mut Draw, out: &mut Vec<u8>) {
    let mut network = Network::Unspecified;
    for field in fields {
        for _ in 0..draw.count(field) {
            value(field, &mut network, draw, out);
        }
    }
}

fn value(field: &FieldDoc, network: &mut Network, draw: &mut Draw, out: &mut Vec<u8>) {
    let varint = |value: u64, out: &mut Vec<u8>| {
        encode_key(field.number, WireType::Varint, out);
        encode_varint(value, out);
    };
    let kind = field.kind.rsplit_once(' ').map_or(field.kind, |(_, kind)| kind);
    match kind {
        "bool" => {
            let on = matches!(draw, Draw::Sample(_)) || draw.below(2) == 1;
            varint(on.into(), out);
        }
        // what does not fit 32 bits is cut by whoever reads it
        "uint32" | "uint64" | "int32" | "int64" | "sint32" => varint(draw.integer(field.text), out),
        "fixed64" => {
            encode_key(field.number, WireType::SixtyFourBit, out);
            out.extend(draw.integer(field.text).to_le_bytes());
        }
        // what is not a number is not equal to itself either
        "double" => {
            encode_key(field.number, WireType::SixtyFourBit, out);
            out.extend((draw.integer(field.text) as f64 / 8.0).to_le_bytes());
        }
        "string" => delimited(field.number, draw.string(field).as_bytes(), out),
        "bytes" => {
            let length = match (field.text, *network) {
                ("TEXT_HASH", _) => 32,
                ("TEXT_ADDRESS", Network::Ipv4) => 4,
                ("TEXT_ADDRESS", Network::Torv2) => 10,
                ("TEXT_ADDRESS", Network::Onion | Network::I2p) => 32,
                ("TEXT_ADDRESS", _) => 16,
                _ => 5,
            };
            let length = if matches!(draw, Draw::Sample(_)) || draw.below(8) > 0 { length } else { draw.below(40) };
            delimited(field.number, &draw.bytes(length), out);
        }
        _ => {
            if let Some(words) = WORDS.iter().find(|words| words.name == kind) {
                // the first word says that nothing is stated
                let (_, number, _) = words.words[1 + draw.below(words.words.len() as u64 - 1)];
                if kind == "Network" {
                    *network = Network::try_from(number).expect("a word of it");
                }
                let newer = matches!(draw, Draw::Arbitrary(_)) && draw.below(8) == 0;
                varint(if newer { 1000 } else { number as u64 }, out);
            } else {
                let part = PARTS.iter().find(|part| part.message == kind).expect("a type of the schema");
                let mut inner = Vec::new();
                message(part.fields, draw, &mut inner);
                delimited(field.number, &inner, out);
            }
        }
    }
}

fn delimited(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::KindId;

    #[test]
    fn there_is_a_sample_of_every_kind() {
        let kinds: Vec<_> = samples().iter().filter_map(Event::id).collect();
        assert_eq!(kinds, KindId::ALL);
    }

    #[test]
    fn samples_leave_nothing_out() {
        for event in samples() {
            let json = serde_json::to_value(&event).unwrap();
            let kind = KINDS.iter().find(|kind| Some(kind.id) == event.id()).unwrap();
            let body = json.as_object().unwrap().values().find(|value| value.is_object()).unwrap();
            for field in kind.fields {
                assert!(!matches!(&body[field.json], v if v.is_null() || *v == "" || *v == "0"), "{} {}", kind.id, field.name);
            }
        }
    }

    #[test]
    fn arbitrary_events_are_of_every_kind_and_reproducible() {
        let kinds: std::collections::BTreeSet<_> = (0..2000).filter_map(|seed| arbitrary(seed).id()).collect();
        assert_eq!(kinds.len(), KindId::ALL.len());
        assert_eq!(arbitrary(5), arbitrary(5));
    }

    #[test]
    fn there_is_a_payload_of_every_message() {
        let mut types: Vec<_> = payloads().into_iter().map(|(message_type, _)| message_type).collect();
        let mut kinds: Vec<_> = KindId::ALL.into_iter().filter(|id| id.family() == "net").map(KindId::short_name).collect();
        // no types of messages, but what is stated of some
        kinds.retain(|name| !["undecodable", "message"].contains(name));
        types.sort();
        kinds.sort_unstable();
        assert_eq!(types, kinds);
    }
}
