//! The columns that messages become, a node for each place at which one can stand.

use std::collections::HashMap;

use super::Class;
use super::about::{About, Numbers};
use super::blobs::Blobs;
use super::layout::LAYOUT;
use super::row::Row;
use super::tokens::{Token, What};
use super::typed::Put;
use super::wire::{put, zigzag};

/// What the columns of messages are made of.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) nodes: Vec<Node>,
    pub(super) blobs: Blobs,
    /// By what a number is about: what it was before.
    pub(super) before: Numbers,
    /// Fields of the messages that are being put in.
    pub(super) entries: Vec<u32>,
}

/// A message at one place of the schema.
#[derive(Default)]
pub(super) struct Node {
    pub(super) keyed: bool,
    lists: u64,
    pub(super) slots: Vec<Slot>,
    shapes: Vec<Box<[u32]>>,
    shape_of: HashMap<Box<[u32]>, u32>,
    latest: usize,
    pub(super) shape: Vec<u8>,
    /// Bytes of what is told of shapes.
    told: usize,
}

/// A field of it.
pub(super) struct Slot {
    key: u32,
    pub(super) class: Class,
    pub(super) child: usize,
    list: bool,
    pub(super) before: u64,
    pub(super) values: Vec<u8>,
    pub(super) runs: Vec<u8>,
    pub(super) lengths: Vec<u8>,
}

/// What a field's values are.
#[derive(Clone, Copy)]
pub(super) enum Form {
    Number,
    Fixed8,
    Fixed4,
    Bytes,
    NumberList,
    FixedList,
    /// A message of the layout.
    Message(usize),
}

impl Columns {
    /// A new node for a message of the schema; an element of a list or a part of another message may be named by its first field.
    pub(super) fn node(&mut self, part: Option<usize>, inner: bool) -> usize {
        let keyed = inner && part.is_some_and(|part| LAYOUT.part(part).keyed);
        let list = |number: &u32| part.and_then(|part| LAYOUT.part(part).field(*number)).is_some_and(|field| field.list);
        let lists = (0..64).filter(list).fold(0, |lists, number| lists | 1 << number);
        self.nodes.push(Node { keyed, lists, ..Node::default() });
        self.nodes.len() - 1
    }

    /// Puts a message into the columns of its node; how long it is as protobuf. `about` says what it is about.
    pub(super) fn put<M: Put + ?Sized>(&mut self, node: usize, message: &M, about: About, of_peer: bool) -> usize {
        let base = self.entries.len();
        let mut row = Row::new(self, node, about, of_peer);
        message.put(&mut row);
        let length = row.length();
        self.nodes[node].shape(&self.entries[base..]);
        self.entries.truncate(base);
        length
    }

    /// Puts a message's fields into the columns of its node. `about` says what it is about.
    pub(super) fn message(&mut self, node: usize, tokens: &[Token], bytes: &[u8], mut about: About, of_peer: bool) {
        let base = self.entries.len();
        let (mut at, mut slot) = (0, 0);
        while let Some(token) = tokens.get(at) {
            if of_peer && says_who(token.key >> 3) {
                at += 1;
                continue;
            }
            slot = self.slot(node, token.key, slot, token.what.form());
            let mut run = 0;
            while tokens.get(at).is_some_and(|next| next.key == token.key) {
                self.value(node, slot, &tokens[at..], bytes, &mut about);
                at += 1 + tokens[at].inner();
                run += 1;
            }
            self.ran(node, slot, run);
            slot += 1;
        }
        self.nodes[node].shape(&self.entries[base..]);
        self.entries.truncate(base);
    }

    /// Notes that a field of a message stands there so many times.
    #[inline]
    pub(super) fn ran(&mut self, node: usize, slot: usize, run: u64) {
        let field = &mut self.nodes[node].slots[slot];
        let several = run > 1 || field.list;
        if several {
            put(&mut field.runs, run);
        }
        self.entries.push((slot as u32) << 1 | u32::from(several));
    }

    /// The slot of a field; fields come in order, so it is mostly the one at `likely`.
    #[inline]
    pub(super) fn slot(&mut self, node: usize, key: u32, likely: usize, form: Form) -> usize {
        let slots = &self.nodes[node].slots;
        if slots.get(likely).is_some_and(|slot| slot.key == key) { likely } else { self.other_slot(node, key, likely, form) }
    }

    fn other_slot(&mut self, node: usize, key: u32, likely: usize, form: Form) -> usize {
        let slots = &self.nodes[node].slots;
        let found = slots.iter().skip(likely).position(|slot| slot.key == key).map(|at| at + likely);
        if let Some(found) = found.or_else(|| slots.iter().take(likely).position(|slot| slot.key == key)) {
            return found;
        }
        let number = key >> 3;
        let Node { keyed, lists, .. } = self.nodes[node];
        let list = number < 64 && lists & 1 << number != 0;
        let mut child = 0;
        let class = match form {
            Form::Number if keyed && number != 1 => Class::Change,
            Form::Number => Class::Number,
            Form::Fixed8 => Class::Fixed8,
            Form::Fixed4 => Class::Fixed4,
            Form::Bytes => Class::Bytes,
            Form::FixedList => Class::FixedList,
            Form::NumberList => Class::NumberList,
            Form::Message(part) => {
                child = self.node(Some(part), true);
                Class::Message
            }
        };
        let list = list && !matches!(class, Class::FixedList | Class::NumberList);
        let slots = &mut self.nodes[node].slots;
        slots.push(Slot { key, class, child, list, before: 0, values: vec![], runs: vec![], lengths: vec![] });
        slots.len() - 1
    }

    fn value(&mut self, node: usize, slot: usize, tokens: &[Token], bytes: &[u8], about: &mut About) {
        let token = &tokens[0];
        let Node { keyed, slots, .. } = &mut self.nodes[node];
        let names = *keyed && token.key >> 3 == 1;
        let field = &mut slots[slot];
        match token.what {
            What::Varint(value) if field.class == Class::Change => {
                let before = self.before.at(about, slot);
                put(&mut field.values, zigzag(value.wrapping_sub(*before)));
                *before = value;
            }
            What::Varint(value) => {
                put(&mut field.values, value);
                if names {
                    about.name(value);
                }
            }
            What::Fixed8(value) => field.values.extend_from_slice(&value.to_le_bytes()),
            What::Fixed4(value) => field.values.extend_from_slice(&value.to_le_bytes()),
            What::Bytes { start, length } => {
                let blob = self.blobs.number(&bytes[start as usize..][..length as usize], field.before);
                put(&mut field.values, zigzag(blob.wrapping_sub(field.before)));
                field.before = blob;
                if names {
                    about.name(blob);
                }
            }
            What::Packed { count, fixed } => {
                put(&mut field.lengths, count.into());
                for token in &tokens[1..=count as usize] {
                    match token.what {
                        What::Varint(value) if !fixed => put(&mut field.values, value),
                        What::Fixed8(value) => field.values.extend_from_slice(&value.to_le_bytes()),
                        _ => {}
                    }
                }
            }
            What::Message { tokens: inner, .. } => {
                let child = field.child;
                self.message(child, &tokens[1..=inner as usize], bytes, about.part(child), false);
            }
        }
    }

    pub(super) fn size(&self) -> usize {
        let slot = |slot: &Slot| slot.values.len() + slot.runs.len() + slot.lengths.len();
        let node = |node: &Node| node.shape.len() + node.told + node.slots.iter().map(slot).sum::<usize>();
        self.blobs.size() + self.nodes.iter().map(node).sum::<usize>()
    }
}

impl Node {
    /// Says which fields a message has, and which of them several times.
    fn shape(&mut self, entries: &[u32]) {
        if self.shapes.get(self.latest).is_none_or(|latest| **latest != *entries) {
            self.latest = match self.shape_of.get(entries) {
                Some(known) => *known as usize,
                None => {
                    self.told += entries.len() + 1;
                    self.shape_of.insert(entries.into(), self.shapes.len() as u32);
                    self.shapes.push(entries.into());
                    self.shapes.len() - 1
                }
            };
        }
        put(&mut self.shape, self.latest as u64);
    }

    pub(super) fn describe(&self, out: &mut Vec<u8>) {
        put(out, (self.slots.len() as u64) << 1 | u64::from(self.keyed));
        for slot in &self.slots {
            put(out, slot.key.into());
            put(out, slot.class as u64);
            if slot.class == Class::Message {
                put(out, slot.child as u64);
            }
            for column in [&slot.values, &slot.runs, &slot.lengths] {
                put(out, column.len() as u64);
            }
        }
        put(out, self.shapes.len() as u64);
        for shape in &self.shapes {
            put(out, shape.len() as u64);
            shape.iter().for_each(|entry| put(out, (*entry).into()));
        }
        put(out, self.shape.len() as u64);
    }
}

impl What {
    fn form(&self) -> Form {
        match *self {
            Self::Varint(_) => Form::Number,
            Self::Fixed8(_) => Form::Fixed8,
            Self::Fixed4(_) => Form::Fixed4,
            Self::Bytes { .. } => Form::Bytes,
            Self::Packed { fixed: true, .. } => Form::FixedList,
            Self::Packed { fixed: false, .. } => Form::NumberList,
            Self::Message { part, .. } => Form::Message(part as usize),
        }
    }
}

/// Fields that say who a peer is: its id, address, type of connection, network.
pub(super) const fn says_who(number: u32) -> bool {
    matches!(number, 1 | 3 | 4 | 5)
}
