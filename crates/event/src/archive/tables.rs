//! The tables of a frame: how the rest of it is to be read.

use super::column::{Column, Places};
use super::layout::LAYOUT;
use super::wire::Cursor;
use super::{Class, Damage, Form};
use crate::Event;

/// Longest tables: an entry is small in the file and not so small in memory. The packer has no room for more either.
pub(super) const MAX_TABLES: usize = 24 << 20;

/// An envelope without place and time.
pub(super) struct Source {
    pub(super) prefix: Vec<u8>,
    pub(super) suffix: Vec<u8>,
    pub(super) expected: u64,
    /// Both as values; `None` for bytes that no event begins with.
    pub(super) envelope: Option<Event>,
}

/// Where in the tables it stands who a peer is.
pub(super) struct Peer {
    pub(super) low: Column,
    pub(super) high: Column,
    /// `None` for what says it in another way than any type of ours.
    pub(super) who: Option<Said>,
}

/// Who a peer is.
#[derive(Clone, Copy, Default)]
pub(super) struct Said {
    pub(super) peer: u64,
    /// The address, in the tables.
    pub(super) address: Column,
    pub(super) connection_type: i32,
    pub(super) network: i32,
}

/// How events of a kind are kept.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) number: u32,
    pub(super) form: Form,
    pub(super) node: usize,
    pub(super) of_peer: bool,
    /// Whether its fields are what this release's type has at their places.
    pub(super) is_ours: bool,
}

/// A message at one place of the schema.
pub(super) struct Node {
    /// Where its fields begin, and how many there are.
    pub(super) first: usize,
    pub(super) count: usize,
    /// Where its shapes are.
    pub(super) forms: Vec<(usize, usize)>,
    pub(super) shape: Column,
}

/// A field of it.
pub(super) struct Slot {
    pub(super) key: u32,
    pub(super) number: u32,
    pub(super) class: Class,
    /// Whether it says what its message is about.
    pub(super) names: bool,
    pub(super) child: usize,
    pub(super) before: u64,
    pub(super) values: Column,
    pub(super) runs: Column,
    pub(super) lengths: Column,
}

impl Source {
    pub(super) fn read(tables: &mut Cursor<'_>) -> Result<Self, Damage> {
        let (prefix, suffix) = (tables.bytes()?.to_vec(), tables.bytes()?.to_vec());
        let envelope = Event::from_bytes([&prefix[..], &suffix].concat().into()).ok().filter(|envelope| envelope.kind.is_none());
        Ok(Self { prefix, suffix, expected: 0, envelope })
    }
}

impl Peer {
    pub(super) fn read(tables: &mut Cursor<'_>, length: usize) -> Result<Self, Damage> {
        let mut part = || {
            let bytes = tables.bytes()?;
            let end = length - tables.0.len();
            Ok((bytes, Column::new(end - bytes.len(), end)))
        };
        let ((low, low_at), (high, high_at)) = (part()?, part()?);
        let mut said = Said::default();
        let is_ours = said.read(low, low_at.at as usize).and_then(|()| said.read(high, high_at.at as usize)).is_ok();
        Ok(Self { low: low_at, high: high_at, who: is_ours.then_some(said) })
    }
}

impl Said {
    /// Fields that stand at this place of the tables.
    fn read(&mut self, fields: &[u8], at: usize) -> Result<(), Damage> {
        let mut rest = Cursor(fields);
        while !rest.0.is_empty() {
            match rest.varint()? {
                0x08 => self.peer = rest.varint()?,
                0x1a => {
                    let address = rest.bytes()?;
                    let end = at + fields.len() - rest.0.len();
                    self.address = Column::new(end - address.len(), end);
                }
                0x20 => self.connection_type = rest.varint()? as i32,
                0x28 => self.network = rest.varint()? as i32,
                _ => return Err(Damage("a peer of an unknown form")),
            }
        }
        Ok(())
    }
}

impl Kind {
    pub(super) fn read(tables: &mut Cursor<'_>) -> Result<Self, Damage> {
        let number = tables.number()?;
        let form = Form::try_from(tables.varint()?)?;
        let node = if form == Form::Columns { tables.length()? } else { 0 };
        Ok(Self { number, form, node: node >> 1, of_peer: node & 1 == 1, is_ours: false })
    }
}

impl Node {
    pub(super) fn read(
        tables: &mut Cursor<'_>,
        places: &mut Places,
        slots: &mut Vec<Slot>,
        shapes: &mut Vec<u32>,
    ) -> Result<Self, Damage> {
        let head = tables.length()?;
        let (count, keyed) = (head >> 1, head & 1 == 1);
        if count > tables.0.len() {
            return Err(Damage("a count of more than there is"));
        }
        let first = slots.len();
        for _ in 0..count {
            slots.push(Slot::read(tables, keyed)?);
        }
        let mut forms = Vec::new();
        for _ in 0..tables.count()? {
            let start = shapes.len();
            for _ in 0..tables.count()? {
                let entry = tables.number()?;
                if (entry >> 1) as usize >= count {
                    return Err(Damage("a field of an unknown form"));
                }
                shapes.push(entry);
            }
            forms.push((start, shapes.len()));
        }
        let shape = places.next(tables.length()?, false)?;
        for slot in &mut slots[first..] {
            slot.values = places.next(slot.values.end as usize, slot.class.is_fixed())?;
            slot.runs = places.next(slot.runs.end as usize, false)?;
            slot.lengths = places.next(slot.lengths.end as usize, false)?;
        }
        Ok(Self { first, count, forms, shape })
    }
}

impl Slot {
    /// Its columns have their lengths only; places are told later.
    pub(super) fn read(tables: &mut Cursor<'_>, keyed: bool) -> Result<Self, Damage> {
        let key = tables.number()?;
        let class = Class::try_from(tables.varint()?)?;
        let child = if class == Class::Message { tables.length()? } else { 0 };
        let mut column = || Ok(Column { at: 0, end: tables.number()? });
        let (values, runs, lengths) = (column()?, column()?, column()?);
        Ok(Self { key, number: key >> 3, class, names: keyed && key >> 3 == 1, child, before: 0, values, runs, lengths })
    }

    /// Its columns stand behind so many bytes of others.
    pub(super) fn shift(&mut self, by: usize) {
        if !self.class.is_fixed() {
            self.values.shift(by);
        }
        self.runs.shift(by);
        self.lengths.shift(by);
    }
}

/// Whether what a kind's columns hold is what this release's type has at their places: it was written by one that knows the kind.
pub(super) fn is_ours(kind: &Kind, nodes: &[Node], slots: &[Slot], left: &mut usize) -> bool {
    let Some(part) = LAYOUT.kind(kind.number).filter(|_| kind.form == Form::Columns) else { return false };
    LAYOUT.part(part).of_peer == kind.of_peer && holds(kind.node, part, nodes, slots, left)
}

/// Whether all fields of a node are of the class that this message has there, or of none that it has. Looks at no more than `left` fields.
fn holds(node: usize, part: usize, nodes: &[Node], slots: &[Slot], left: &mut usize) -> bool {
    let part = LAYOUT.part(part);
    let Some(rest) = left.checked_sub(nodes[node].count) else { return false };
    *left = rest;
    slots[nodes[node].first..][..nodes[node].count].iter().all(|slot| {
        let Some(field) = part.field(slot.number) else { return true };
        field.classes().contains(&slot.class) && field.part().is_none_or(|part| holds(slot.child, part, nodes, slots, left))
    })
}
