//! How values read as text: hashes, addresses, times, and the one JSON form.
//!
//! The JSON form is proto3's mapping (camel case, 64-bit integers as strings) with four deviations, made so that a person can read
//! it: hashes and bytes are hex (hashes in display order), addresses are text, enumerations are lower-case words, and a time is
//! accompanied by `<name>Text` in RFC 3339. The kind's dotted name stands under `kind`. Fields with presence are left out when
//! absent; all others are always there.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use sha3::{Digest as _, Sha3_256};

// generated code refers to this module by its name
use crate::redact;
use crate::text;
use crate::*;
use crate::{Event, Kind, Network, Source};

include!(concat!(env!("OUT_DIR"), "/json.rs"));

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("node", &self.node)?;
        if let Some(node_run) = self.node_run {
            map.serialize_entry("nodeRun", &U64(node_run))?;
        }
        map.serialize_entry("source", Source::try_from(self.source).unwrap_or_default().word())?;
        map.serialize_entry("run", &U64(self.run))?;
        map.serialize_entry("sequence", &U64(self.sequence))?;
        map.serialize_entry("time", &U64(self.time))?;
        map.serialize_entry("timeText", &Rfc3339::from_nanos(self.time))?;
        if self.replay {
            map.serialize_entry("replay", &true)?;
        }
        if let Some(kind) = &self.kind {
            map.serialize_entry("kind", kind.id().name())?;
            serialize_kind(kind, &mut map)?;
        }
        map.end()
    }
}

/// A message whose values can be looked at one after another, by name, without knowing its type.
pub trait Fields {
    /// Visits the fields in the order of the schema. Absent ones are not visited.
    fn fields(&self, visit: &mut dyn FnMut(&'static str, Value<'_>));
}

/// The value of a field, ready to be shown.
pub enum Value<'a> {
    /// One value, as text (peer-chosen text is made printable).
    Scalar(&'a dyn fmt::Display),
    /// A message inside.
    Part(&'a dyn Fields),
    /// Many values: how many, and a word for each where they have one.
    List(usize, &'a mut dyn Iterator<Item = &'static str>),
}

/// Serialises through `Display`, without a `String` in between.
macro_rules! serialize_as_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}
serialize_as_text!(U64, I64, Hash<'_>, Hex<'_>, Address<'_>, Rfc3339);

/// A 64-bit integer, a string in JSON: most readers of JSON have 53 bits.
pub struct U64(pub u64);

impl fmt::Display for U64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Like [`U64`].
pub struct I64(pub i64);

impl fmt::Display for I64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A floating-point number; the three that JSON has no digits for are words, as proto3's mapping has it.
pub struct Double(pub f64);

impl Serialize for Double {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            finite if finite.is_finite() => serializer.serialize_f64(finite),
            nan if nan.is_nan() => serializer.serialize_str("NaN"),
            infinite => serializer.serialize_str(if infinite > 0.0 { "Infinity" } else { "-Infinity" }),
        }
    }
}

/// A hash in display order: the bytes reversed, in hex.
pub struct Hash<'a>(pub &'a [u8]);

impl fmt::Display for Hash<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, self.0.iter().rev())
    }
}

/// Bytes in hex, in order.
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, self.0.iter())
    }
}

fn write_hex<'a>(f: &mut fmt::Formatter<'_>, bytes: impl Iterator<Item = &'a u8>) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut buffer = [0; 64];
    let mut used = 0;
    for byte in bytes {
        buffer[used] = DIGITS[usize::from(byte >> 4)];
        buffer[used + 1] = DIGITS[usize::from(byte & 15)];
        used += 2;
        if used == buffer.len() {
            f.write_str(std::str::from_utf8(&buffer).map_err(|_| fmt::Error)?)?;
            used = 0;
        }
    }
    f.write_str(std::str::from_utf8(&buffer[..used]).map_err(|_| fmt::Error)?)
}

/// An address in its network's text form; hex where the length does not fit the network.
pub struct Address<'a>(pub Network, pub &'a [u8]);

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(network, bytes) = *self;
        // of an event that was redacted: no address of a known network has that length
        if let Some(identifier) = redact::identifier(bytes) {
            return f.write_str(identifier);
        }
        match network {
            Network::Ipv4 | Network::NotPubliclyRoutable if bytes.len() == 4 => {
                Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).fmt(f)
            }
            Network::Ipv6 | Network::Cjdns | Network::NotPubliclyRoutable => match <[u8; 16]>::try_from(bytes) {
                Ok(v6) => Ipv6Addr::from(v6).fmt(f),
                Err(_) => Hex(bytes).fmt(f),
            },
            Network::Onion => match <[u8; 32]>::try_from(bytes) {
                Ok(key) => write_onion(f, key),
                Err(_) => Hex(bytes).fmt(f),
            },
            Network::I2p if bytes.len() == 32 => {
                write_base32(f, bytes)?;
                f.write_str(".b32.i2p")
            }
            Network::Torv2 if bytes.len() == 10 => {
                write_base32(f, bytes)?;
                f.write_str(".onion")
            }
            _ => Hex(bytes).fmt(f),
        }
    }
}

/// base32(key, checksum, version) + ".onion"; the checksum is the first two bytes of SHA3-256(".onion checksum", key, version)
/// (Tor rend-spec-v3, section 6).
fn write_onion(f: &mut fmt::Formatter<'_>, key: [u8; 32]) -> fmt::Result {
    const VERSION: u8 = 3;
    let mut input = Vec::with_capacity(48);
    input.extend(b".onion checksum");
    input.extend(key);
    input.push(VERSION);
    let checksum = Sha3_256::digest(&input);
    let mut whole = [0; 35];
    whole[..32].copy_from_slice(&key);
    whole[32..34].copy_from_slice(&checksum[..2]);
    whole[34] = VERSION;
    write_base32(f, &whole)?;
    f.write_str(".onion")
}

/// RFC 4648, lower case, without padding.
fn write_base32(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    use fmt::Write as _;
    let (mut bits, mut count) = (0_u32, 0);
    for byte in bytes {
        bits = (bits << 8) | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            f.write_char(char::from(DIGITS[(bits >> count) as usize & 31]))?;
        }
    }
    if count > 0 { f.write_char(char::from(DIGITS[(bits << (5 - count)) as usize & 31])) } else { Ok(()) }
}

/// Bytes in base32 (RFC 4648), lower case, without padding.
pub(crate) struct Base32<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Base32<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_base32(f, self.0)
    }
}

/// A time as RFC 3339 in UTC; empty for a time that no calendar has.
pub struct Rfc3339(Option<jiff::Timestamp>);

impl Rfc3339 {
    /// From nanoseconds since the Unix epoch.
    pub fn from_nanos(nanos: u64) -> Self {
        Self(jiff::Timestamp::from_nanosecond(i128::from(nanos)).ok())
    }

    /// From seconds since the Unix epoch.
    pub fn from_seconds(seconds: impl TryInto<i64>) -> Self {
        Self(seconds.try_into().ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()))
    }
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |time| time.fmt(f))
    }
}

/// A list whose elements are shown in another way than their own.
struct Each<'a, T, F>(&'a [T], F);

fn each<'a, T, F, R>(items: &'a [T], show: F) -> Each<'a, T, F>
where
    F: Fn(&'a T) -> R,
{
    Each(items, show)
}

impl<'a, T, F, R> Serialize for Each<'a, T, F>
where
    F: Fn(&'a T) -> R,
    R: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for item in self.0 {
            seq.serialize_element(&self.1(item))?;
        }
        seq.end()
    }
}

/// Text that a peer chose, made safe for a terminal and for one line: control and invisible characters are escaped.
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for c in self.0.chars() {
            // bidirectional overrides, zero-width characters and tags can make a line read as another one
            let invisible = matches!(
                c,
                '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
            );
            if c.is_control() || invisible { write!(f, "{}", c.escape_unicode())? } else { f.write_char(c)? }
        }
        Ok(())
    }
}

/// The 32 bytes of a hash shown in display order; `None` if the text is no such hash.
pub fn parse_hash(text: &str) -> Option<Bytes> {
    // `from_str_radix` alone would take a sign too
    if text.len() != 64 || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (at, byte) in hash.iter_mut().rev().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(Bytes::copy_from_slice(&hash))
}
