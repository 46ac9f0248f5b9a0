//! How Bitcoin Core's RPC answers are read into the messages of `rpc.proto`.
//!
//! Which function reads a field follows from its type and its option `rpc`; the attributes are generated. Members that this release
//! does not know are skipped. Decimal numbers are read from their text, never by way of floating point: 0.1 BTC are 10,000,000
//! satoshi. For this the JSON must be at hand as a whole (`serde_json::from_slice`), not come from a reader.
//!
//! No answer makes it take more than a small multiple of its own length of memory.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::{AddrmanCount, AddrmanEntry, Deployment, Index, MessageBytes};

include!(concat!(env!("OUT_DIR"), "/words.rs"));

/// A list takes no more than this, or the answer is refused: `{"id":1},` is an eightieth of what a peer takes.
const LIST_BYTES: usize = 16 << 20;

/// Lists of such small things begin with room for so many: `getpeerinfo` has two per peer, of a dozen or two types of messages.
const SMALL: usize = 32;
const FIRST: usize = 16;

/// An answer that is a list.
#[derive(Debug)]
pub struct List<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        list(deserializer).map(Self)
    }
}

/// An answer that is an object with a member per thing.
#[derive(Debug)]
pub struct Map<T>(pub Vec<T>);

impl<'de, T: Keyed<'de>> Deserialize<'de> for Map<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        map(deserializer).map(Self)
    }
}

/// What a member of an object becomes.
pub trait Keyed<'de>: Sized {
    /// The member's value.
    type Value: Deserialize<'de>;

    /// Puts name and value together; `None` if the name is none that there can be.
    fn keyed(key: &str, value: Self::Value) -> Option<Self>;
}

impl Keyed<'_> for MessageBytes {
    type Value = u64;

    fn keyed(key: &str, bytes: u64) -> Option<Self> {
        Some(Self { r#type: key.to_owned(), bytes })
    }
}

impl Keyed<'_> for Deployment {
    type Value = Self;

    fn keyed(key: &str, value: Self) -> Option<Self> {
        Some(Self { name: key.to_owned(), ..value })
    }
}

impl Keyed<'_> for Index {
    type Value = Self;

    fn keyed(key: &str, value: Self) -> Option<Self> {
        Some(Self { name: key.to_owned(), ..value })
    }
}

impl Keyed<'_> for AddrmanEntry {
    type Value = Self;

    /// `673/49`
    fn keyed(key: &str, value: Self) -> Option<Self> {
        let (bucket, position) = key.split_once('/')?;
        Some(Self { bucket: bucket.parse().ok()?, position: position.parse().ok()?, ..value })
    }
}

impl Keyed<'_> for (String, AddrmanCount) {
    type Value = AddrmanCount;

    fn keyed(key: &str, value: AddrmanCount) -> Option<Self> {
        Some((key.to_owned(), value))
    }
}

/// An enumeration that has words in the answers.
pub(crate) trait Word {
    /// The value of a word; that of `other` for one that this release does not know.
    fn number(word: &str) -> i32;
}

/// The network that Core calls so.
pub fn network(name: &str) -> crate::Network {
    crate::Network::try_from(number::<crate::Network>(name)).unwrap_or(crate::Network::Other)
}

/// Core hyphenates words where ours have an underscore.
fn number<E: Word>(word: &str) -> i32 {
    if word.contains('-') { E::number(&word.replace('-', "_")) } else { E::number(word) }
}

pub(crate) fn word<'de, D: Deserializer<'de>, E: Word, T: From<i32>>(deserializer: D) -> Result<T, D::Error> {
    Ok(number::<E>(&text(deserializer)?).into())
}

pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Items<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = seq.next_element()? {
                push(&mut items, item)?;
            }
            Ok(items)
        }
    }
    deserializer.deserialize_seq(Items(PhantomData))
}

pub(crate) fn map<'de, D: Deserializer<'de>, T: Keyed<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Members<T>(PhantomData<T>);
    impl<'de, T: Keyed<'de>> Visitor<'de> for Members<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(Text(key)) = map.next_key()? {
                let value = map.next_value()?;
                push(
                    &mut items,
                    T::keyed(&key, value).ok_or_else(|| A::Error::custom(format_args!("unexpected member `{key}`")))?,
                )?;
            }
            Ok(items)
        }
    }
    deserializer.deserialize_map(Members(PhantomData))
}

fn push<T, E: Error>(items: &mut Vec<T>, item: T) -> Result<(), E> {
    let most = LIST_BYTES / size_of::<T>().max(1);
    if items.len() >= most {
        return Err(E::custom(format_args!("a list of more than {most} things")));
    }
    if items.is_empty() && size_of::<T>() <= SMALL {
        items.reserve(FIRST);
    }
    items.push(item);
    Ok(())
}

/// A text, which may be empty and then is none, or a list of them.
pub(crate) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct OneOrMany;
    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a list of texts")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<String>, E> {
            Ok(if text.is_empty() { Vec::new() } else { vec![text.to_owned()] })
        }

        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<String>, A::Error> {
            list(serde::de::value::SeqAccessDeserializer::new(seq))
        }
    }
    deserializer.deserialize_any(OneOrMany)
}

/// BTC, or BTC per 1000 virtual bytes, as satoshi.
pub(crate) fn amount<'de, D: Deserializer<'de>, T: From<i64>>(deserializer: D) -> Result<T, D::Error> {
    decimal(deserializer, 8).map(T::from)
}

/// Seconds as nanoseconds. A negative duration, of a clock that was set back, is none.
pub(crate) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    decimal(deserializer, 9).map(|nanos| nanos.try_into().ok())
}

fn decimal<'de, D: Deserializer<'de>>(deserializer: D, places: i32) -> Result<i64, D::Error> {
    let number = <&RawValue>::deserialize(deserializer)?.get();
    scaled(number, places).ok_or_else(|| {
        let start: String = number.chars().take(40).collect();
        D::Error::custom(format_args!("`{start}` is no number of that range"))
    })
}

/// A JSON number times ten to the power of `places`, rounded; `None` for what is no number, or does not fit.
fn scaled(number: &str, places: i32) -> Option<i64> {
    // so many digits fit an i128; more of them than a double has do not matter
    const DIGITS: usize = 30;
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (negative, whole) = whole.strip_prefix('-').map_or((false, whole), |whole| (true, whole));
    let digits = whole.bytes().chain(fraction.bytes());
    if whole.is_empty() || !digits.clone().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let leading = digits.clone().take_while(|c| *c == b'0').count();
    let taken = (leading + DIGITS).min(whole.len() + fraction.len());
    let value = digits.take(taken).fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0'));
    if value == 0 {
        return Some(0);
    }
    let point = i64::try_from(whole.len()).ok()? - i64::try_from(taken).ok()?;
    let shift = exponent.parse::<i64>().ok()?.checked_add(point)?.checked_add(places.into())?;
    let power = 10_i128.checked_pow(u32::try_from(shift.unsigned_abs()).ok()?);
    let value = match (shift >= 0, power) {
        (true, power) => value.checked_mul(power?)?,
        (false, Some(power)) => value.checked_add(power / 2)? / power,
        // divided by more than an i128 holds
        (false, None) => 0,
    };
    (if negative { -value } else { value }).try_into().ok()
}

pub(crate) fn hex_number<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let text = text(deserializer)?;
    let number = text.bytes().all(|c| c.is_ascii_hexdigit()).then(|| u64::from_str_radix(&text, 16).ok()).flatten();
    match number.and_then(|number| number.try_into().ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(D::Error::custom(format_args!("`{}` is no number in hex of that range", start(&text)))),
    }
}

pub(crate) fn not_zero<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<Option<T>, D::Error> {
    match u64::deserialize(deserializer)? {
        0 => Ok(None),
        number => number.try_into().map(Some).map_err(|_| D::Error::custom("a number out of range")),
    }
}

pub(crate) fn not_negative<'de, D: Deserializer<'de>, T: TryFrom<i64>>(deserializer: D) -> Result<Option<T>, D::Error> {
    match i64::deserialize(deserializer)? {
        ..0 => Ok(None),
        number => number.try_into().map(Some).map_err(|_| D::Error::custom("a number out of range")),
    }
}

pub(crate) fn hash<'de, D: Deserializer<'de>, T: From<Bytes>>(deserializer: D) -> Result<T, D::Error> {
    let text = text(deserializer)?;
    crate::text::parse_hash(&text).map(T::from).ok_or_else(|| D::Error::custom(format_args!("`{}` is no hash", start(&text))))
}

/// Bytes in hex; no bytes are none.
pub(crate) fn hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
    let text = text(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |c: u8| char::from(c).to_digit(16);
    let bytes = pairs.iter().map(|[high, low]| Some((digit(*high)? << 4 | digit(*low)?) as u8)).collect::<Option<Vec<u8>>>();
    match bytes.filter(|_| rest.is_empty()) {
        Some(bytes) => Ok(Some(bytes.into())),
        None => Err(D::Error::custom(format_args!("`{}` is not hex", start(&text)))),
    }
}

pub(crate) fn address<'de, D: Deserializer<'de>, T: From<Bytes>>(deserializer: D) -> Result<T, D::Error> {
    Ok(parse_address(&text(deserializer)?).into())
}

/// The bytes of an address as gossip has them; those of the text itself where it has no form that this release knows.
fn parse_address(text: &str) -> Bytes {
    if let Ok(v4) = text.parse::<Ipv4Addr>() {
        return Bytes::copy_from_slice(&v4.octets());
    }
    if let Ok(v6) = text.parse::<Ipv6Addr>() {
        return Bytes::copy_from_slice(&v6.octets());
    }
    let onion = || text.strip_suffix(".onion").and_then(base32).filter(|b| b.len() == 35 && b[34] == 3).map(|b| b.slice(..32));
    let torv2 = || text.strip_suffix(".onion").and_then(base32).filter(|b| b.len() == 10);
    let i2p = || text.strip_suffix(".b32.i2p").and_then(base32).filter(|b| b.len() == 32);
    let internal = || text.strip_suffix(".internal").and_then(base32).filter(|b| b.len() == 10);
    onion().or_else(torv2).or_else(i2p).or_else(internal).unwrap_or_else(|| Bytes::copy_from_slice(text.as_bytes()))
}

/// RFC 4648, lower case, without padding.
fn base32(text: &str) -> Option<Bytes> {
    // the longest there is has 56 letters; hostile ones need no memory
    if text.len() > 64 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut bits, mut count) = (0_u32, 0);
    for c in text.bytes() {
        let digit = match c {
            b'a'..=b'z' => c - b'a',
            b'2'..=b'7' => c - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u32::from(digit);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes.into())
}

/// Where a text is quoted in an error.
fn start(text: &str) -> String {
    text.chars().take(40).collect()
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    Text::deserialize(deserializer).map(|text| text.0)
}

/// A text that is borrowed where the JSON has it as it is.
struct Text<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowed;
        impl<'de> Visitor<'de> for Borrowed {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
                Ok(text.into())
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Cow<'de, str>, E> {
                Ok(text.to_owned().into())
            }
        }
        deserializer.deserialize_str(Borrowed).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Network, PeerInfo, StateMempool, text};
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    #[track_caller]
    fn check<'de, T: Deserialize<'de> + serde::Serialize>(json: &'de str, expect: &Expect) {
        let shown = match serde_json::from_str::<T>(json) {
            Ok(value) => serde_json::to_string(&value).unwrap(),
            Err(error) => error.to_string(),
        };
        expect.assert_eq(&shown);
    }

    #[test]
    fn what_is_missing_is_absent() {
        check::<StateMempool>("{}", &expect!["{}"]);
        check::<PeerInfo>(
            r#"{"id":1,"addr":"a"}"#,
            &expect![[
                r#"{"id":"1","addr":"a","network":"unspecified","connection_type":"unspecified","inflight":[],"permissions":[],"bytessent_per_msg":[],"bytesrecv_per_msg":[],"transport_protocol_type":"unspecified"}"#
            ]],
        );
    }

    #[test]
    fn a_peer_without_an_id_is_none() {
        check::<PeerInfo>(r#"{"addr":"a"}"#, &expect!["missing field `id` at line 1 column 12"]);
    }

    #[test]
    fn what_is_not_known_is_skipped() {
        check::<StateMempool>(r#"{"size":1,"news":{"deep":[1,{"x":"\ud800"}]}}"#, &expect![[r#"{"size":"1"}"#]]);
    }

    #[test]
    fn a_wrong_type_is_named() {
        check::<StateMempool>(r#"{"size":"1"}"#, &expect![[r#"invalid type: string "1", expected u64 at line 1 column 11"#]]);
        check::<StateMempool>(r#"{"total_fee":"1"}"#, &expect![[r#"`"1"` is no number of that range at line 1 column 17"#]]);
    }

    #[test]
    fn amounts_are_exact() {
        check::<StateMempool>(r#"{"total_fee":20999999.97690000}"#, &expect![[r#"{"total_fee":"2099999997690000"}"#]]);
        for (text, satoshi) in
            [("0.00000001", 1), ("0.1", 10_000_000), ("-0.10000001", -10_000_001), ("1e-8", 1), ("21000000", 2_100_000_000_000_000)]
        {
            assert_eq!(scaled(text, 8), Some(satoshi), "{text}");
        }
    }

    #[test]
    fn durations_are_rounded_to_nanoseconds() {
        // as UniValue prints doubles
        for (text, nanos) in [
            ("8.1e-05", 81_000),
            ("0.000231", 231_000),
            ("1.0000000004", 1_000_000_000),
            ("1.0000000005", 1_000_000_001),
            ("3", 3_000_000_000),
        ] {
            assert_eq!(scaled(text, 9), Some(nanos), "{text}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_none() {
        for text in [
            "1e999999999999999999999",
            "1e40",
            "9223372036854775808",
            "",
            "-",
            ".5",
            "1.2.3",
            "NaN",
            "null",
            "true",
            "\"1\"",
            "1e",
            "--1",
        ] {
            assert_eq!(scaled(text, 0), None, "{text}");
        }
        assert_eq!(scaled("1e-400", 8), Some(0));
        assert_eq!(scaled("0e999999999999999999", 8), Some(0));
        assert_eq!(scaled(&format!("0.{}1", "0".repeat(10_000)), 8), Some(0));
    }

    #[test]
    fn networks_by_their_names_in_core() {
        for (name, expected) in
            [("ipv4", Network::Ipv4), ("not_publicly_routable", Network::NotPubliclyRoutable), ("carrier-pigeon", Network::Other)]
        {
            assert_eq!(network(name), expected);
        }
    }

    #[test]
    fn addresses_are_those_of_gossip() {
        for (network, address) in [
            (Network::Ipv4, "203.0.113.7"),
            (Network::Ipv6, "2001:db8::1"),
            (Network::Cjdns, "fc00::6"),
            (Network::Onion, "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion"),
            (Network::I2p, "ukeu3k5oycgaauneqgtnvselmt4yemvoilkln7jpvamvfx7dnkdq.b32.i2p"),
        ] {
            assert_eq!(text::Address(network, &parse_address(address)).to_string(), address);
        }
        assert_eq!(parse_address("pigeon"), "pigeon");
    }

    #[test]
    fn a_list_without_end_is_refused() {
        let endless = format!("[{}]", vec!["{\"id\":1,\"addr\":\"\"}"; 50_000].join(","));
        let error = serde_json::from_str::<List<PeerInfo>>(&endless).unwrap_err().to_string();
        assert!(error.starts_with("a list of more than "), "{error}");
    }

    proptest! {
        #[test]
        fn numbers_are_as_their_text_says(whole in -90_000_000_000_i64..90_000_000_000, fraction in 0..100_000_000_i64) {
            let expected = whole * 100_000_000 + if whole < 0 { -fraction } else { fraction };
            prop_assert_eq!(scaled(&format!("{whole}.{fraction:08}"), 8), Some(expected));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*", number in "-?[0-9]{0,40}\\.?[0-9]{0,40}(e[-+]?[0-9]{0,20})?", places in 0..10) {
            let _ = scaled(&text, places);
            let _ = scaled(&number, places);
            let _ = parse_address(&text);
        }
    }
}
