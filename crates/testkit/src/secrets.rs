//! Secrets to plant and to look for: what leaves the operator's hands must not contain one, in any encoding.
//!
//! [`events`] makes events of every kind with every field filled, each value unlike any other, and tells which value stands where;
//! [`own`] makes them with the node's own address in every place where an address or a text can be. An output is searched for
//! [`Secret`]s as a whole: its text, its bytes, whatever it is made of.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use event::schema::{FieldDoc, KINDS, PARTS, WORDS};
use event::text::{Address, Rfc3339};
use event::{Direction, Event, Network, Source};
use prost::encoding::{WireType, encode_key, encode_varint};

/// What the operator calls the node.
pub const NODE: &str = "honeypot-seven";
/// The node's own addresses, as Bitcoin Core writes them.
pub const OWN: [&str; 2] = ["198.51.100.77:8333", "[2600:beef:5ec:7e7::77]:8333"];
/// Of its services over Tor and I2P.
const KEYS: [(Network, [u8; 32]); 2] = [(Network::Onion, [0x5e; 32]), (Network::I2p, [0xc7; 32])];

/// A value that stands in one field.
#[derive(Clone, Debug)]
pub struct Secret {
    /// Name of the message in `proto/`.
    pub message: &'static str,
    /// Name of the field.
    pub field: &'static str,
    /// Any of these, and it is found.
    needles: Vec<Vec<u8>>,
}

impl Secret {
    /// Something that must be in no output at all.
    pub fn of_bytes(name: &'static str, bytes: &[u8]) -> Self {
        Self { message: "", field: name, needles: forms(bytes) }
    }

    /// Whether it is a word or a truth, which only JSON can be searched for: everywhere else the name of the field stands apart.
    pub fn is_word(&self) -> bool {
        self.needles.iter().all(|needle| needle.starts_with(b"\""))
    }

    /// Whether it is in some output, which is given as it is and, for text in other cases, in lower case.
    pub fn is_in(&self, output: &Output) -> bool {
        self.needles.iter().any(|needle| output.contains(needle))
    }
}

/// Something to search.
#[derive(Debug, Default)]
pub struct Output {
    pieces: Vec<Vec<u8>>,
}

impl Output {
    /// Adds a piece of it.
    pub fn push(&mut self, piece: impl AsRef<[u8]>) {
        let piece = piece.as_ref();
        let lower = piece.to_ascii_lowercase();
        if lower != piece {
            self.pieces.push(lower);
        }
        self.pieces.push(piece.to_owned());
    }

    /// Whether these bytes are in it.
    pub fn contains(&self, needle: &[u8]) -> bool {
        self.pieces.iter().any(|piece| memchr::memmem::find(piece, needle).is_some())
    }
}

/// Everything that bytes can look like: as they are and reversed, in hex and in base64 wherever they begin.
pub fn forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    let mut all = Vec::new();
    for bytes in [bytes, &reversed] {
        all.push(bytes.to_owned());
        all.push(hex(bytes).into());
        for lead in 0..3 {
            // the digits that only these bytes decide: neither their neighbours nor padding
            let shifted = [&vec![0; lead], bytes].concat();
            let digits = |at: usize| at * 8 / 6;
            for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                let text = engine.encode(&shifted);
                let certain = text.get((lead * 8).div_ceil(6)..digits(shifted.len())).unwrap_or_default();
                if certain.len() >= 5 {
                    all.push(certain.into());
                }
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a number can look like: digits, bytes of either order, and as protobuf writes it.
fn forms_of_number(number: u64, width: usize) -> Vec<Vec<u8>> {
    let mut all = forms(&number.to_be_bytes()[8 - width..]);
    let mut varint = Vec::new();
    encode_varint(number, &mut varint);
    let mut zigzag = Vec::new();
    encode_varint(number << 1, &mut zigzag);
    all.extend([number.to_string().into(), format!("{number:x}").into(), varint, zigzag]);
    all
}

/// The node's own addresses and names in all forms: what must be in no output at all.
pub fn of_the_node() -> Vec<Secret> {
    let secret = |field, needles: Vec<Vec<u8>>| Secret { message: "node", field, needles };
    let mut all = vec![secret("name", forms(NODE.as_bytes()))];
    for address in OWN {
        let ip = address.parse::<std::net::SocketAddr>().expect("an address").ip();
        let octets = match ip {
            std::net::IpAddr::V4(v4) => v4.octets().to_vec(),
            std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        all.push(secret("address", [forms(&octets), forms(ip.to_string().as_bytes())].concat()));
    }
    for (network, key) in KEYS {
        let name = Address(network, &key).to_string();
        all.push(secret("address", [forms(&key), forms(&name.as_bytes()[..40])].concat()));
    }
    all
}

/// An event of every kind, in every direction that it has, with every field filled and every value unlike any other; and the values.
pub fn events() -> Vec<(Event, Vec<Secret>)> {
    let mut all = Vec::new();
    for (kind, doc) in KINDS.iter().enumerate() {
        let directed = doc.fields.iter().any(|field| field.kind == "Direction");
        let directions = [Direction::Unspecified, Direction::Inbound, Direction::Outbound];
        for direction in directions.into_iter().take(if directed { 3 } else { 1 }) {
            let mut planter = Planter { seed: all.len() as u64, direction, secrets: Vec::new(), own: None };
            all.push((planter.event(kind), planter.secrets));
        }
    }
    all
}

/// An event of every kind, in either direction, with the node's own address, in one of its forms, in place of every text and address.
pub fn own() -> Vec<Event> {
    let mut texts: Vec<String> = OWN.map(str::to_owned).into();
    texts.extend(KEYS.map(|(network, key)| format!("{}:8333", Address(network, &key))));
    texts.extend(
        [
            "198.51.100.77",
            "[::ffff:198.51.100.77]:8333",
            "2600:BEEF:5ec:7e7:0:0:0:77",
            "198.51.100.77 is where it lives",
            "lives at 198.51.100.77:8333",
            "/Satoshi:31.0.0(198.51.100.77)/",
            "/Sneaky:198.51.100.77/",
            NODE,
            "by honeypot-seven of course",
            "/home/honeypot-seven/.bitcoin/debug.log",
            "/honeypot-seven:1.0/",
        ]
        .map(str::to_owned),
    );
    let mut all = Vec::new();
    for text in texts {
        for kind in 0..KINDS.len() {
            for direction in [Direction::Inbound, Direction::Outbound] {
                let mut planter = Planter { seed: all.len() as u64, direction, secrets: Vec::new(), own: Some(text.clone()) };
                all.push(planter.event(kind));
            }
        }
    }
    all
}

/// Writes events as the schema says, and keeps account of what it wrote.
struct Planter {
    seed: u64,
    direction: Direction,
    secrets: Vec<Secret>,
    /// This in every text, instead of a text of its own.
    own: Option<String>,
}

impl Planter {
    fn event(&mut self, kind: usize) -> Event {
        let kind = &KINDS[kind];
        let envelope = PARTS.iter().find(|part| part.message == "Event").expect("the schema has an envelope");
        let mut bytes = Vec::new();
        self.message("Event", envelope.fields, &mut bytes);
        let mut inner = Vec::new();
        self.message(kind.message, kind.fields, &mut inner);
        delimited(kind.id as u32, &inner, &mut bytes);
        let event = Event::from_bytes(bytes.into()).expect("written as the schema says");
        Event { node: NODE.into(), source: Source::Ebpf.into(), replay: false, ..event }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): no two values are alike.
    fn next(&mut self) -> u64 {
        // the seeds of different events must not follow one another
        self.seed = self.seed.wrapping_mul(3).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn message(&mut self, message: &'static str, fields: &'static [FieldDoc], out: &mut Vec<u8>) {
        let mut network = Network::Unspecified;
        for field in fields {
            let count = if field.kind.starts_with("repeated ") { 4 } else { 1 };
            for _ in 0..count {
                let needles = self.value(message, field, &mut network, out);
                self.secrets.push(Secret { message, field: field.name, needles });
            }
        }
    }

    fn value(&mut self, message: &str, field: &FieldDoc, network: &mut Network, out: &mut Vec<u8>) -> Vec<Vec<u8>> {
        let (label, kind) = field.kind.rsplit_once(' ').unwrap_or(("", field.kind));
        let in_json = |value: &str| {
            let list = if label == "repeated" { "[" } else { "" };
            vec![format!("\"{}\":{list}{value}", field.json).into()]
        };
        let varint = |value: u64, out: &mut Vec<u8>| {
            encode_key(field.number, WireType::Varint, out);
            encode_varint(value, out);
        };
        let timed = |number: u64, mut forms: Vec<Vec<u8>>| {
            if field.text == "TEXT_TIME_SECONDS" {
                forms.push(Rfc3339::from_seconds(number).to_string().to_ascii_lowercase().into());
            }
            forms.retain(|form| !form.is_empty());
            forms
        };
        match kind {
            "bool" => {
                varint(1, out);
                in_json("true")
            }
            "uint64" | "int64" => {
                let number = self.next() >> 3 | 1 << 60;
                varint(number, out);
                timed(number, forms_of_number(number, 8))
            }
            "uint32" | "int32" | "sint32" => {
                let number = self.next() >> 34 | 1 << 29;
                varint(if kind == "sint32" { number << 1 } else { number }, out);
                timed(number, forms_of_number(number, 4))
            }
            "fixed64" => {
                let number = self.next();
                encode_key(field.number, WireType::SixtyFourBit, out);
                out.extend(number.to_le_bytes());
                forms_of_number(number, 8)
            }
            "double" => {
                let number = self.next() as f64 / 3.0;
                encode_key(field.number, WireType::SixtyFourBit, out);
                out.extend(number.to_le_bytes());
                forms(&number.to_le_bytes())
            }
            "string" => {
                let (text, needles) = self.text(message, field);
                delimited(field.number, text.as_bytes(), out);
                needles
            }
            "bytes" => {
                let bytes = self.bytes(field, *network);
                delimited(field.number, &bytes, out);
                let mut needles = forms(&bytes);
                if field.text == "TEXT_ADDRESS" {
                    needles.push(Address(*network, &bytes).to_string().into());
                }
                needles
            }
            "Direction" => {
                varint(self.direction as u64, out);
                Vec::new()
            }
            _ => {
                if let Some(words) = WORDS.iter().find(|words| words.name == kind) {
                    let (word, number, _) = words.words[1 + self.next() as usize % (words.words.len() - 1)];
                    if kind == "Network" {
                        *network = Network::try_from(number).expect("a word of it");
                    }
                    varint(number as u64, out);
                    return in_json(&format!("\"{word}\""));
                }
                let part = PARTS.iter().find(|part| part.message == kind).expect("a type of the schema");
                let mut inner = Vec::new();
                self.message(part.message, part.fields, &mut inner);
                delimited(field.number, &inner, out);
                Vec::new()
            }
        }
    }

    fn text(&mut self, message: &str, field: &FieldDoc) -> (String, Vec<Vec<u8>>) {
        let number = self.next();
        if let Some(own) = self.own.clone().filter(|_| message != "Event") {
            return (own, Vec::new());
        }
        if field.name.contains("address") {
            let [a, b, c, d] = [48, 32, 16, 0].map(|shift| (number >> shift) as u16 | 0x1000);
            let host = format!("2600:{a:x}:{b:x}:{c:x}:{d:x}:1:1:1");
            let octets = host.parse::<std::net::Ipv6Addr>().expect("an address").octets();
            return (format!("[{host}]:8333"), [forms(host.as_bytes()), forms(&octets)].concat());
        }
        let secret = format!("{number:016x}");
        let text = match field.name {
            "user_agent" | "subversion" => format!("/Satoshi:31.0.0(s{secret})/"),
            _ => format!("some words: /{secret}.dat"),
        };
        (text, forms(secret.as_bytes()))
    }

    fn bytes(&mut self, field: &FieldDoc, network: Network) -> Vec<u8> {
        let length = match (field.text, network) {
            ("TEXT_HASH", _) => 32,
            ("TEXT_ADDRESS", Network::Ipv4) => 4,
            ("TEXT_ADDRESS", Network::Torv2) => 10,
            ("TEXT_ADDRESS", Network::Onion | Network::I2p) => 32,
            _ => 16,
        };
        let random: Vec<u8> = (0..length).map(|_| self.next() as u8).collect();
        if self.own.is_none() || field.text != "TEXT_ADDRESS" {
            // public as IPv4 and IPv6, near as neither
            return if field.text == "TEXT_ADDRESS" && length <= 16 { [&[0x26], &random[1..]].concat() } else { random };
        }
        let key = KEYS.iter().find(|(of, _)| *of == network);
        match (length, key) {
            (4, _) => vec![198, 51, 100, 77],
            (32, Some((_, key))) => key.to_vec(),
            (16, _) => OWN[1].parse::<std::net::SocketAddrV6>().expect("an address").ip().octets().to_vec(),
            _ => random,
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

    /// An output that hides nothing is full of what was planted.
    #[test]
    fn what_is_not_hidden_is_found() {
        for (event, secrets) in events() {
            let mut json = Output::default();
            json.push(serde_json::to_string(&event).expect("JSON"));
            let mut bytes = Output::default();
            bytes.push(event.to_bytes());
            for secret in secrets.iter().filter(|secret| !secret.needles.is_empty()) {
                // in the envelope these are set to what they are everywhere
                let set = secret.message == "Event" && matches!(secret.field, "node" | "source" | "replay");
                let in_a_list = json_of_a_word(secret);
                assert!(set || in_a_list || secret.is_in(&json) || secret.is_in(&bytes), "{} {}", secret.message, secret.field);
            }
        }
    }

    /// Of a list of words only the first has its key before it.
    fn json_of_a_word(secret: &Secret) -> bool {
        secret.needles.len() == 1 && secret.needles[0].windows(2).any(|window| window == b":[")
    }

    #[test]
    fn bytes_are_found_in_every_encoding() {
        let secret = Secret { message: "", field: "", needles: forms(b"opensesame!") };
        let around = [&b"before"[..], b"opensesame!", b"behind"].concat();
        let found = |text: &[u8]| {
            let mut output = Output::default();
            output.push(text);
            secret.is_in(&output)
        };
        assert!(found(&around));
        assert!(found(hex(&around).to_uppercase().as_bytes()));
        for lead in 0..3 {
            assert!(found(STANDARD_NO_PAD.encode([&vec![b'-'; lead], &around[..]].concat()).as_bytes()));
            assert!(found(STANDARD_NO_PAD.encode([&vec![b'-'; lead], &b"opensesame!"[..]].concat()).as_bytes()));
        }
        assert!(found(&around.iter().rev().copied().collect::<Vec<_>>()));
        assert!(!found(b"nothing of it"));
    }
}
