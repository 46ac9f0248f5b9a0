//! The arguments of a tracepoint, taken in the order of its row.

use std::slice;

use bytes::Bytes;

use crate::probes::{Probe, Shape, Slot};

/// What a tracepoint passed. Every call takes the next argument.
#[derive(Debug)]
pub struct Args<'a> {
    slots: slice::Iter<'static, (&'static str, Slot)>,
    rest: &'a [u8],
}

impl<'a> Args<'a> {
    /// Arguments of `probe` in `bytes`; none when these are too few.
    pub(crate) fn new(probe: &'static Probe, bytes: &'a [u8]) -> Option<Self> {
        (bytes.len() >= probe.slots_size()).then(|| Self { slots: probe.arguments.iter(), rest: bytes })
    }

    /// A number.
    pub fn int(&mut self) -> i64 {
        self.take(&[Slot::Int]).first_chunk().map_or(0, |bytes| i64::from_ne_bytes(*bytes))
    }

    /// A number that is never negative.
    pub fn uint(&mut self) -> u64 {
        self.int().cast_unsigned()
    }

    /// A truth value: one byte counts, the others are whatever the register had.
    pub fn flag(&mut self) -> bool {
        self.int() & 0xff != 0
    }

    /// 32 bytes in the node's internal order.
    pub fn hash(&mut self) -> Bytes {
        Bytes::copy_from_slice(self.take(&[Slot::Hash]))
    }

    /// Text, up to its NUL.
    pub fn bytes(&mut self) -> &'a [u8] {
        until_nul(self.take(&[Slot::Str32, Slot::Str128, Slot::Str264]))
    }

    /// Text; what is not UTF-8 is replaced.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// A word of an enumeration whose values are called like it: `sizelimit` is `REMOVAL_REASON_SIZELIMIT`.
    pub fn word<T>(&mut self, prefix: &str, from_name: impl Fn(&str) -> Option<T>) -> Option<T> {
        word(self.bytes(), prefix, from_name)
    }

    /// Whether all were taken.
    pub fn is_empty(&self) -> bool {
        self.slots.len() == 0
    }

    fn take(&mut self, expected: &[Slot]) -> &'a [u8] {
        let Some((name, slot)) = self.slots.next() else {
            debug_assert!(false, "more arguments taken than the row has");
            return &[];
        };
        debug_assert!(expected.contains(slot), "`{name}` is {slot:?}, taken as {expected:?}");
        let (taken, rest) = self.rest.split_at_checked(slot.size()).unwrap_or_default();
        self.rest = rest;
        taken
    }
}

impl Probe {
    /// Bytes of all its slots.
    pub(crate) fn slots_size(&self) -> usize {
        match self.shape {
            Shape::Message(_) => 0,
            _ => self.arguments.iter().map(|(_, slot)| slot.size()).sum(),
        }
    }
}

/// The part before the first NUL.
pub(crate) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.iter().position(|byte| *byte == 0).and_then(|end| bytes.get(..end)).unwrap_or(bytes)
}

/// The value of a protobuf enumeration that has Bitcoin Core's word as its name.
pub(crate) fn word<T>(word: &[u8], prefix: &str, from_name: impl Fn(&str) -> Option<T>) -> Option<T> {
    let word = str::from_utf8(word).ok()?;
    from_name(&format!("{prefix}_{}", word.to_ascii_uppercase().replace('-', "_")))
}
