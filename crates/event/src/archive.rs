//! The form in which events rest: segments of frames.
//!
//! This page is the specification; everything here is values and bytes, files are the business of `tools::archive`. Why it is as it is:
//! `docs/design/0010-archive-format.md`.
//!
//! # Segment
//!
//! ```text
//! segment = header frame* [index]
//! header  = 89 "po-arc" 0a, version u16, length u16, origin, crc32
//! frame   = head body
//! head    = 89 "po-frm" 0a, length of head u32, length of body u32, crc32 of body, summary, crc32
//! index   = (place of a frame u64, its head)*, tail
//! tail    = 89 "po-end" 0a, place of the index u64, frames u32, crc32 of the index, first u64, last u64, events u64, crc32
//! ```
//!
//! Fixed numbers are little-endian; all others, here and below, are varints as protobuf has them. A CRC-32 (IEEE) covers everything of
//! its structure that stands before it. Lengths and places are in bytes; the length of a header or head is that of all of it.
//!
//! A frame is readable alone: nothing in it refers to another frame. The summary tells without decompression what is in it: times, kinds,
//! streams (who stated events, from which sequence to which), peers. A segment that is being written, or whose writer was killed, has no
//! index: reading the heads, from one to the next, makes the same one. Frames stand without a gap between header and index. An index that
//! does not match its checksum, its tail or the heads, or leaves a frame out, was never there. Behind a damaged frame, or an index in the middle of a file, reading goes on at the next frame whose checksums match.
//!
//! A reader refuses a version that is higher than its own. What a later release can leave out or add without a new version: fields at the
//! end of header and summary, kinds and fields of events.
//!
//! # Body
//!
//! Events are protobuf; a body holds the same bytes in columns, a column per field at one place of the schema: numbers that are like each
//! other stand beside each other, and what is the same is said once. Nothing of the schema is needed to put them together again: the
//! body tells the wire type of every field. So a release keeps kinds and fields that it does not know.
//!
//! The sections of the body, each under zstd where that makes it shorter:
//!
//! | | section | content |
//! |---|---|---|
//! | 0 | tables | how the rest is to be read: streams, peers, kinds, nodes, lengths of columns |
//! | 1 | columns | columns of numbers |
//! | 2 | texts | lengths of all runs of bytes, then the bytes of those that are not 32 long |
//! | 3 | hashes | those that are; never compressed |
//! | 4 | fixed | columns of 4-byte and 8-byte numbers |
//! | 5 | widths | per event: in how many bytes its time is |
//! | 6… | times | the first bytes of all times, the second, … |
//!
//! An **event** is a stream (`prefix` with fields 1 to 4, `suffix` with 7 to 99), a sequence, a time and a kind. Column `stream` and column
//! `kind` are indexes into the tables. `sequence` is the difference to one more than the sequence before in the same stream, which begins
//! with 0; a time is the difference to the time before in the frame, which begins with 0. Differences are zigzag numbers, modulo 2^64.
//! Field 5 is left out where the sequence is 0, field 6 where the time is.
//!
//! A **kind** is a number and a form: 0, an event without a kind; 1, a message in columns, at a node; 2, an event that is kept whole in
//! column `whole`, as it would not come out the same otherwise. Where its lowest bit says so, its fields 1, 3, 4 and 5 say who a peer is:
//! they are an index in column `peer`, and go back to their places.
//!
//! A **node** is a message at one place. Column `shape` is an index into its shapes; a shape is a list of 2 × field, + 1 where the
//! field's column `runs` tells how many times it stands there. A field is key and class:
//!
//! | class | on the wire | column `values` |
//! |---|---|---|
//! | 0 number | varint | it |
//! | 1 change | varint | the difference to the number before with the same meaning in the same field, which is 0 at first |
//! | 2 fixed8, 3 fixed4 | 8 or 4 bytes | them |
//! | 4 bytes | run of bytes | the difference to the index before in this column, which is 0 at first |
//! | 5 message | message | none; the message is at the node given |
//! | 6 numbers, 7 fixed list | packed list | its numbers; column `lengths` tells how many |
//!
//! The **meaning** of a number is a hash of where it stands: it begins as the index of the stream; a message mixes in its node;
//! field 1 of a node that is *keyed* mixes in its value, or the index of its bytes. To mix b into a is
//! `rotate_left(a ^ b * 0x9e3779b97f4a7c15, 29) * 0xbf58476d1ce4e5b9`.
//!
//! The tables are, each list preceded by its count: streams (prefix, suffix); peers (fields 1, fields 3 to 5); kinds (number, form, for
//! form 1: 2 × node + whether it is of a peer); nodes (2 × count of fields + keyed; fields: key, class, node of a message, lengths of
//! `values`, `runs`, `lengths`; shapes; length of `shape`); then the count of runs of bytes, and the lengths of `stream`, `kind`,
//! `sequence`, `peer`, `whole`. Columns stand in section 1 in this order: these five; then per node `shape`, and per field its three.

mod about;
mod blobs;
mod column;
mod columns;
mod head;
mod layout;
mod pack;
mod row;
mod seed;
pub mod segment;
mod slim;
mod tables;
mod take;
mod tokens;
mod typed;
mod unpack;
mod wire;

pub use head::{FIXED, Head, KindTotal, MAGIC, MAX_HEAD, Section, Stream};
pub use pack::{FULL, FULL_EVENTS, Packer};
pub use slim::slim;
pub use unpack::{Envelope, Unpacker};
pub use wire::checksum;

use crate::recording::MAX_EVENT;

/// Longest body, and longest body before compression: that of a frame with the longest event.
pub const MAX_FRAME: usize = MAX_EVENT + (32 << 20);

/// Bytes that are not what an archive holds at their place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Damage(pub(crate) &'static str);

/// How an event of a kind is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Form {
    Nothing = 0,
    Columns = 1,
    Whole = 2,
}

impl TryFrom<u64> for Form {
    type Error = Damage;

    fn try_from(number: u64) -> Result<Self, Damage> {
        [Self::Nothing, Self::Columns, Self::Whole]
            .into_iter()
            .find(|form| *form as u64 == number)
            .ok_or(Damage("an event of an unknown form"))
    }
}

/// What a field is on the wire, and how its values are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    Number = 0,
    Change = 1,
    Fixed8 = 2,
    Fixed4 = 3,
    Bytes = 4,
    Message = 5,
    NumberList = 6,
    FixedList = 7,
}

impl Class {
    const ALL: [Self; 8] =
        [Self::Number, Self::Change, Self::Fixed8, Self::Fixed4, Self::Bytes, Self::Message, Self::NumberList, Self::FixedList];

    /// Whether its values stand in the section of numbers of a fixed length.
    const fn is_fixed(self) -> bool {
        matches!(self, Self::Fixed8 | Self::Fixed4 | Self::FixedList)
    }
}

impl TryFrom<u64> for Class {
    type Error = Damage;

    fn try_from(number: u64) -> Result<Self, Damage> {
        Self::ALL.into_iter().find(|class| *class as u64 == number).ok_or(Damage("a field of an unknown form"))
    }
}

/// What a number is about, further down.
const fn mix(about: u64, part: u64) -> u64 {
    (about ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15)).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}
