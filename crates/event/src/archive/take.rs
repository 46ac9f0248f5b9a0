//! Messages out of columns, as values.
//!
//! What a message takes in memory is bounded by what it has as protobuf, as it is for events that come as bytes (`budget`): an element
//! that is one byte in a column may be 700 in memory.

use super::about::About;
use super::typed::{Columnar, Number, Put, take_kind};
use super::unpack::{MAX_DEPTH, Spent, Unpacker, blob_of};
use super::wire::unzigzag;
use super::{Class, Damage};
use crate::Kind;
use crate::recording::MAX_EVENT;

/// Where an event's message begins.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    pub(super) node: usize,
    /// What its numbers are about.
    pub(super) about: About,
    /// Who says it.
    pub(super) peer: Option<usize>,
}

/// A field that is being read.
pub(crate) struct Place {
    /// Its number in the schema.
    pub(super) number: u32,
    slot: usize,
    /// Which of its node's fields it is.
    own: usize,
    /// How many times it stands there.
    run: u64,
    /// What the message is about.
    about: About,
    depth: u32,
}

/// Lists that take no more than this in memory are nobody's business.
const FREE: usize = 128 << 10;

impl Spent {
    /// Adds an element of a list. Twice what `budget` allows: fields are taken to be as short as they can be.
    #[inline]
    fn grow(&mut self, size: usize) -> Result<(), Damage> {
        self.lists += size;
        if self.lists <= FREE {
            return Ok(());
        }
        let (steep, flat) =
            (self.wire.saturating_mul(48).saturating_add(FREE), self.wire.saturating_mul(8).saturating_add(64 << 20));
        if self.lists <= steep.min(flat) { Ok(()) } else { Err(Damage("an event that takes more memory than any event")) }
    }

    #[inline]
    fn write(&mut self, bytes: usize) -> Result<(), Damage> {
        self.wire += bytes;
        if self.wire > MAX_EVENT { Err(Damage("an event that is longer than any event")) } else { Ok(()) }
    }
}

impl Unpacker {
    /// The message of a kind; `None` where it is none that this release can have: text that is no text.
    pub(super) fn take_kind(&mut self, number: u32, at: Start) -> Result<Option<Kind>, Damage> {
        self.is_odd = false;
        let mut kind = None;
        take_kind(number, self, at, &mut kind)?;
        if self.is_odd {
            kind = None;
        }
        Ok(kind)
    }

    /// Fills in the message of a kind: where it is, as some are large.
    pub(super) fn kind<M: Columnar>(&mut self, at: Start, message: &mut M) -> Result<(), Damage> {
        if let Some(peer) = at.peer {
            match self.who(peer) {
                Some(who) => message.set_who(&who),
                None => self.is_odd = true,
            }
        }
        self.fields(at.node, at.about, 0, message)
    }

    /// Passes over the message of a kind.
    pub(super) fn pass(&mut self, at: Start) -> Result<(), Damage> {
        self.fields(at.node, at.about, 0, &mut Nothing)
    }

    fn fields<M: Columnar>(&mut self, node: usize, about: About, depth: u32, message: &mut M) -> Result<(), Damage> {
        if depth > MAX_DEPTH {
            return Err(Damage("messages that lie too deep"));
        }
        let (start, end) = self.shape(node)?;
        let first = self.nodes[node].first;
        // a key and a length, and a key and a value for each field
        self.spent.write(2 + 2 * (end - start))?;
        let mut field = Place { number: 0, slot: 0, own: 0, run: 1, about, depth };
        for entry in start..end {
            let entry = self.shapes[entry];
            field.own = (entry >> 1) as usize;
            field.slot = first + field.own;
            let slot = &mut self.slots[field.slot];
            field.number = slot.number;
            field.run = if entry & 1 == 1 { slot.runs.number(&self.columns)? } else { 1 };
            if field.run == 0 {
                return Err(Damage("a field that stands there no times"));
            }
            message.take(&mut field, self)?;
        }
        Ok(())
    }

    /// The next of a field's numbers, as it is on the wire.
    #[inline]
    fn wire(&mut self, field: &mut Place) -> Result<u64, Damage> {
        let Self { slots, columns, before, .. } = self;
        let slot = &mut slots[field.slot];
        let stored = slot.values.number(columns)?;
        if slot.class == Class::Change {
            let before = before.at(&mut field.about, field.own);
            *before = before.wrapping_add(unzigzag(stored));
            return Ok(*before);
        }
        if slot.names {
            field.about.name(stored);
        }
        Ok(stored)
    }

    /// The number of the next of a field's runs of bytes.
    #[inline]
    fn reference(&mut self, field: &mut Place) -> Result<u64, Damage> {
        let Self { slots, columns, .. } = self;
        let slot = &mut slots[field.slot];
        slot.before = slot.before.wrapping_add(unzigzag(slot.values.number(columns)?));
        if slot.names {
            field.about.name(slot.before);
        }
        Ok(slot.before)
    }

    /// The last of a field's values. An encoder writes one.
    #[inline]
    fn last<T>(
        &mut self,
        field: &mut Place,
        mut value: impl FnMut(&mut Self, &mut Place) -> Result<T, Damage>,
    ) -> Result<T, Damage> {
        let mut last = value(self, field)?;
        for _ in 1..field.run {
            last = value(self, field)?;
        }
        Ok(last)
    }

    #[inline]
    pub(super) fn number<N: Number>(&mut self, field: &mut Place) -> Result<N, Damage> {
        self.last(field, |from, field| from.wire(field).map(N::of_wire))
    }

    #[inline]
    pub(super) fn fixed8<N: Number>(&mut self, field: &mut Place) -> Result<N, Damage> {
        self.last(field, |from, field| from.eight(field).map(N::of_wire))
    }

    #[inline]
    fn eight(&mut self, field: &Place) -> Result<u64, Damage> {
        let Self { slots, fixed, .. } = self;
        let bytes = slots[field.slot].values.take(fixed, 8)?;
        Ok(u64::from_le_bytes(*bytes.first_chunk().ok_or(Damage("a column ends too early"))?))
    }

    #[inline]
    pub(super) fn bytes(&mut self, field: &mut Place) -> Result<bytes::Bytes, Damage> {
        self.last(field, Self::one_bytes)
    }

    #[inline]
    fn one_bytes(&mut self, field: &mut Place) -> Result<bytes::Bytes, Damage> {
        let number = self.reference(field)?;
        let bytes = blob_of(&self.blobs, number)?.clone();
        self.spent.write(bytes.len() + 2)?;
        Ok(bytes)
    }

    #[inline]
    pub(super) fn text(&mut self, field: &mut Place) -> Result<String, Damage> {
        self.last(field, Self::one_text)
    }

    #[inline]
    fn one_text(&mut self, field: &mut Place) -> Result<String, Damage> {
        let number = self.reference(field)?;
        let bytes = blob_of(&self.blobs, number)?;
        self.spent.write(bytes.len() + 2)?;
        let text = std::str::from_utf8(bytes).map(str::to_owned);
        Ok(text.unwrap_or_else(|_| {
            self.is_odd = true;
            String::new()
        }))
    }

    pub(super) fn message_at<M: Columnar>(&mut self, field: &mut Place, message: &mut M) -> Result<(), Damage> {
        for _ in 0..field.run {
            let child = self.slots[field.slot].child;
            self.fields(child, field.about.part(child), field.depth + 1, message)?;
        }
        Ok(())
    }

    /// Elements of a list, one after another.
    #[inline]
    fn list<T>(
        &mut self,
        field: &mut Place,
        list: &mut Vec<T>,
        mut value: impl FnMut(&mut Self, &mut Place) -> Result<T, Damage>,
    ) -> Result<(), Damage> {
        reserve(field, list);
        for _ in 0..field.run {
            self.spent.grow(size_of::<T>())?;
            list.push(value(self, field)?);
        }
        Ok(())
    }

    pub(super) fn messages<M: Columnar>(&mut self, field: &mut Place, list: &mut Vec<M>) -> Result<(), Damage> {
        let child = self.slots[field.slot].child;
        reserve(field, list);
        for _ in 0..field.run {
            self.spent.grow(size_of::<M>())?;
            // filled in where it is, as some are large
            list.push(M::default());
            if let Some(message) = list.last_mut() {
                self.fields(child, field.about.part(child), field.depth + 1, message)?;
            }
        }
        Ok(())
    }

    pub(super) fn bytes_list(&mut self, field: &mut Place, list: &mut Vec<bytes::Bytes>) -> Result<(), Damage> {
        self.list(field, list, Self::one_bytes)
    }

    pub(super) fn text_list(&mut self, field: &mut Place, list: &mut Vec<String>) -> Result<(), Damage> {
        self.list(field, list, Self::one_text)
    }

    pub(super) fn number_list<N: Number>(&mut self, field: &mut Place, list: &mut Vec<N>) -> Result<(), Damage> {
        if self.slots[field.slot].class != Class::NumberList {
            return self.list(field, list, |from, field| {
                from.spent.write(2)?;
                from.wire(field).map(N::of_wire)
            });
        }
        self.packed(field, list, |from, field| {
            let Self { slots, columns, .. } = from;
            slots[field.slot].values.number(columns).map(N::of_wire)
        })
    }

    pub(super) fn fixed8_list<N: Number>(&mut self, field: &mut Place, list: &mut Vec<N>) -> Result<(), Damage> {
        if self.slots[field.slot].class != Class::FixedList {
            return self.list(field, list, |from, field| from.eight(field).map(N::of_wire));
        }
        self.packed(field, list, |from, field| from.eight(field).map(N::of_wire))
    }

    /// Several lists may stand there, each in one run of bytes.
    fn packed<N>(
        &mut self,
        field: &mut Place,
        list: &mut Vec<N>,
        mut value: impl FnMut(&mut Self, &mut Place) -> Result<N, Damage>,
    ) -> Result<(), Damage> {
        for _ in 0..field.run {
            self.spent.write(2)?;
            let Self { slots, columns, .. } = self;
            let count = slots[field.slot].lengths.length(columns)?;
            list.reserve_exact(count.min(FREE / size_of::<N>()));
            for _ in 0..count {
                self.spent.write(1)?;
                self.spent.grow(size_of::<N>())?;
                list.push(value(self, field)?);
            }
        }
        Ok(())
    }

    /// Passes over the values of a field that nobody asks for.
    pub(super) fn skip(&mut self, field: &mut Place) -> Result<(), Damage> {
        for _ in 0..field.run {
            let Self { slots, columns, fixed, .. } = self;
            let slot = &mut slots[field.slot];
            match slot.class {
                Class::Number | Class::Change => drop(self.wire(field)?),
                Class::Bytes => drop(self.reference(field)?),
                Class::Fixed8 => drop(slot.values.take(fixed, 8)?),
                Class::Fixed4 => drop(slot.values.take(fixed, 4)?),
                Class::FixedList => {
                    let length = slot.lengths.length(columns)?.checked_mul(8).ok_or(Damage("a list that is too long"))?;
                    slot.values.take(fixed, length)?;
                }
                Class::NumberList => {
                    for _ in 0..slot.lengths.length(columns)? {
                        slot.values.number(columns)?;
                    }
                }
                Class::Message => {
                    let child = slot.child;
                    self.fields(child, field.about.part(child), field.depth + 1, &mut Nothing)?;
                }
            }
        }
        Ok(())
    }
}

/// Makes room for the elements of a list. Most lists are short; one that claims to be long grows as its elements come.
#[inline]
fn reserve<T>(field: &Place, list: &mut Vec<T>) {
    list.reserve_exact(usize::try_from(field.run).unwrap_or(usize::MAX).min(FREE / size_of::<T>().max(1)));
}

/// A message of which nothing is wanted.
#[derive(Default)]
struct Nothing;

impl Put for Nothing {
    fn put(&self, _row: &mut super::row::Row<'_>) {}
}

impl Columnar for Nothing {
    const PART: usize = 0;

    fn take(&mut self, field: &mut Place, from: &mut Unpacker) -> Result<(), Damage> {
        from.skip(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::layout::LAYOUT;
    use crate::schema::KINDS;

    /// What is generated and what is worked out from the schema must not disagree.
    #[test]
    fn every_message_knows_its_place() {
        assert_eq!(<crate::NetPing as Columnar>::PART, LAYOUT.kind(crate::KindId::NetPing as u32).unwrap());
        assert!(<crate::Inventory as Columnar>::PART >= KINDS.len());
        let item = LAYOUT.part(<crate::Inventory as Columnar>::PART).field(2);
        assert!(item.is_some_and(|field| !field.list));
    }
}
