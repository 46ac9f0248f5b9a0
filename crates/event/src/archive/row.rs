//! A message on its way into the columns of its node.

use super::Class;
use super::about::About;
use super::columns::{Columns, Form};
use super::typed::Columnar;
use super::wire::{put, varint_length, zigzag};

/// The fields of one message, which come in the order of their numbers.
pub(crate) struct Row<'a> {
    columns: &'a mut Columns,
    node: usize,
    /// Where the next field is, most likely.
    slot: usize,
    /// What its numbers are about.
    about: About,
    /// Bytes that it has as protobuf.
    length: usize,
    /// Whether it is said elsewhere who the peer is.
    pub(super) of_peer: bool,
}

impl<'a> Row<'a> {
    pub(super) fn new(columns: &'a mut Columns, node: usize, about: About, of_peer: bool) -> Self {
        Self { columns, node, slot: 0, about, length: 0, of_peer }
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Begins a field, whose key is written so many times.
    #[inline]
    fn begin(&mut self, number: u32, wire: u32, form: Form, run: usize) -> usize {
        let key = number << 3 | wire;
        self.length += run * varint_length(key.into());
        self.columns.slot(self.node, key, self.slot, form)
    }

    #[inline]
    fn end(&mut self, slot: usize, run: usize) {
        self.columns.ran(self.node, slot, run as u64);
        self.slot = slot + 1;
    }

    #[inline]
    pub(super) fn number(&mut self, number: u32, value: u64) {
        let slot = self.begin(number, 0, Form::Number, 1);
        self.length += varint_length(value);
        let node = &mut self.columns.nodes[self.node];
        let field = &mut node.slots[slot];
        if field.class == Class::Change {
            let before = self.columns.before.at(&mut self.about, slot);
            put(&mut field.values, zigzag(value.wrapping_sub(*before)));
            *before = value;
        } else {
            put(&mut field.values, value);
            if node.keyed && number == 1 {
                self.about.name(value);
            }
        }
        self.end(slot, 1);
    }

    #[inline]
    pub(super) fn fixed8(&mut self, number: u32, value: u64) {
        let slot = self.begin(number, 1, Form::Fixed8, 1);
        self.length += 8;
        self.columns.nodes[self.node].slots[slot].values.extend_from_slice(&value.to_le_bytes());
        self.end(slot, 1);
    }

    #[inline]
    pub(super) fn bytes(&mut self, number: u32, bytes: impl AsRef<[u8]>) {
        let slot = self.begin(number, 2, Form::Bytes, 1);
        self.run(slot, number, bytes.as_ref());
        self.end(slot, 1);
    }

    #[inline]
    fn run(&mut self, slot: usize, number: u32, bytes: &[u8]) {
        self.length += varint_length(bytes.len() as u64) + bytes.len();
        let Columns { nodes, blobs, .. } = &mut *self.columns;
        let node = &mut nodes[self.node];
        let field = &mut node.slots[slot];
        let blob = blobs.number(bytes, field.before);
        put(&mut field.values, zigzag(blob.wrapping_sub(field.before)));
        field.before = blob;
        if node.keyed && number == 1 {
            self.about.name(blob);
        }
    }

    pub(super) fn bytes_list<B: AsRef<[u8]>>(&mut self, number: u32, list: impl ExactSizeIterator<Item = B>) {
        let run = list.len();
        if run > 0 {
            let slot = self.begin(number, 2, Form::Bytes, run);
            list.for_each(|bytes| self.run(slot, number, bytes.as_ref()));
            self.end(slot, run);
        }
    }

    pub(super) fn number_list(&mut self, number: u32, list: impl ExactSizeIterator<Item = u64>) {
        let count = list.len();
        if count > 0 {
            let slot = self.begin(number, 2, Form::NumberList, 1);
            let field = &mut self.columns.nodes[self.node].slots[slot];
            put(&mut field.lengths, count as u64);
            let start = field.values.len();
            list.for_each(|value| put(&mut field.values, value));
            let length = field.values.len() - start;
            self.length += varint_length(length as u64) + length;
            self.end(slot, 1);
        }
    }

    pub(super) fn fixed8_list(&mut self, number: u32, list: impl ExactSizeIterator<Item = u64>) {
        let count = list.len();
        if count > 0 {
            let slot = self.begin(number, 2, Form::FixedList, 1);
            self.length += varint_length(count as u64 * 8) + count * 8;
            let field = &mut self.columns.nodes[self.node].slots[slot];
            put(&mut field.lengths, count as u64);
            list.for_each(|value| field.values.extend_from_slice(&value.to_le_bytes()));
            self.end(slot, 1);
        }
    }

    pub(super) fn messages<M: Columnar>(&mut self, number: u32, list: &[M]) {
        if list.is_empty() {
            return;
        }
        let slot = self.begin(number, 2, Form::Message(M::PART), list.len());
        let child = self.columns.nodes[self.node].slots[slot].child;
        for message in list {
            let length = self.columns.put(child, message, self.about.part(child), false);
            self.length += varint_length(length as u64) + length;
        }
        self.end(slot, list.len());
    }
}
