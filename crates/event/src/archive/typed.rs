//! Messages as values: what of them goes into columns and comes out again without being protobuf in between. Generated for every message
//! of the schema (`build/columns.rs`).

use super::Damage;
use super::row::Row;
use super::take::{Place, Start};
use super::unpack::Unpacker;
use crate::Kind;

include!(concat!(env!("OUT_DIR"), "/columns.rs"));

/// A message that can be put into columns.
pub(crate) trait Put {
    /// Puts the fields, in the order of their numbers, into a row.
    fn put(&self, row: &mut Row<'_>);

    /// Who the peer is that it is about; of kinds that are about one.
    fn who(&self) -> Who<'_> {
        Who::default()
    }
}

/// A message that can be taken out of columns.
pub(crate) trait Columnar: Put + Default {
    /// Which of the layout's messages it is.
    const PART: usize;

    /// Takes the values of one field; those of a field that it does not have are passed over.
    fn take(&mut self, field: &mut Place, from: &mut Unpacker) -> Result<(), Damage>;

    /// Says who the peer is.
    fn set_who(&mut self, _who: &Who<'_>) {}
}

/// Fields 1 and 3 to 5 of whatever is about a peer.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Who<'a> {
    pub(crate) peer: u64,
    pub(crate) address: &'a str,
    pub(crate) connection_type: i32,
    pub(crate) network: i32,
}

/// A number, and what it is on the wire.
pub(crate) trait Number: Copy {
    fn to_wire(self) -> u64;
    fn of_wire(wire: u64) -> Self;
}

macro_rules! number {
    ($($type:ty: $to:expr, $of:expr;)*) => {
        $(impl Number for $type {
            #[inline]
            fn to_wire(self) -> u64 {
                $to(self)
            }
            #[inline]
            fn of_wire(wire: u64) -> Self {
                $of(wire)
            }
        })*
    };
}

// as prost has them
number! {
    u64: |value| value, |wire| wire;
    u32: u64::from, |wire| wire as Self;
    i64: |value| value as u64, |wire| wire as Self;
    i32: |value| i64::from(value) as u64, |wire| wire as Self;
    bool: u64::from, |wire| wire != 0;
    f64: Self::to_bits, Self::from_bits;
    Zigzag: |Zigzag(value): Self| u64::from(((value << 1) ^ (value >> 31)) as u32), |wire| Self((wire as u32 >> 1) as i32 ^ -((wire & 1) as i32));
}

/// A number that is `sint32` in the schema.
#[derive(Clone, Copy, Default)]
pub(crate) struct Zigzag(pub(crate) i32);
