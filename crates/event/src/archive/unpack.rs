//! Events out of a frame.

use super::blobs::HASH;
use super::head::{Head, Section};
use super::seed::Numbers;
use super::wire::{Cursor, put, unzigzag};
use super::{Class, Damage, Form, mix};
use crate::recording::MAX_EVENT;

/// A frame that is being read. Gives back the bytes of the events, one after another, as they were given to the packer.
pub struct Unpacker {
    sections: Vec<Vec<u8>>,
    streams: Vec<Source>,
    peers: Vec<Peer>,
    kinds: Vec<Kind>,
    nodes: Vec<Node>,
    blobs: Vec<Place>,
    stream: Column,
    kind: Column,
    sequence: Column,
    peer: Column,
    whole: Column,
    last_whole: u64,
    planes: [usize; 8],
    at: usize,
    time: u64,
    before: Numbers,
    fields: Vec<u8>,
}

/// What an event's envelope says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Envelope {
    /// Which of the head's streams it belongs to.
    pub stream: usize,
    /// Place in the order of its source.
    pub sequence: u64,
    /// When it happened, nanoseconds since the epoch.
    pub time: u64,
    /// Number of its kind; 0 if it has none.
    pub kind: u32,
}

struct Source {
    prefix: Vec<u8>,
    suffix: Vec<u8>,
    expected: u64,
}

struct Peer {
    low: Vec<u8>,
    high: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Kind {
    number: u32,
    form: Form,
    node: usize,
    of_peer: bool,
}

/// A column: a place in a section, and how far it was read.
#[derive(Clone, Copy, Default)]
struct Column {
    at: usize,
    end: usize,
}

#[derive(Clone, Copy)]
struct Place {
    section: usize,
    start: usize,
    length: usize,
}

struct Node {
    keyed: bool,
    slots: Vec<Slot>,
    shapes: Vec<Box<[u32]>>,
    shape: Column,
}

struct Slot {
    key: u32,
    class: Class,
    child: usize,
    before: u64,
    values: Column,
    runs: Column,
    lengths: Column,
}

// places of the sections
const TABLES: usize = 0;
const COLUMNS: usize = 1;
const TEXTS: usize = 2;
const HASHES: usize = 3;
const FIXED: usize = 4;
const WIDTHS: usize = 5;
const PLANES: usize = 6;

/// Longest tables: an entry is small in the file and not so small in memory. The packer has no room for more either.
const MAX_TABLES: usize = 24 << 20;
/// Most runs of bytes, for the same reason.
const MAX_BLOBS: usize = 4 << 20;
/// As deep as messages may lie in one another; the packer goes less deep.
const MAX_DEPTH: u32 = 32;

impl Unpacker {
    /// Begins to read a frame. The body was checked against its head ([`Head::verify`]) before.
    ///
    /// # Errors
    ///
    /// A body that says of itself what cannot be: it was damaged before its checksum was made, or made to do harm.
    pub fn new(head: &Head, body: &[u8], decompressor: &mut zstd::bulk::Decompressor<'_>) -> Result<Self, Damage> {
        let mut rest = Cursor(body);
        let raw = |section: &Section| section_of(*section, &mut rest, decompressor);
        let sections = head.sections.iter().map(raw).collect::<Result<Vec<_>, _>>()?;
        if !(PLANES..=PLANES + 8).contains(&sections.len()) {
            return Err(Damage("a frame of an unknown form"));
        }
        if sections[TABLES].len() > MAX_TABLES {
            return Err(Damage("tables that are too long"));
        }
        let mut tables = Cursor(&sections[TABLES]);
        let streams = (0..tables.count()?).map(|_| Source::read(&mut tables)).collect::<Result<Vec<_>, _>>()?;
        let peers = (0..tables.count()?).map(|_| Peer::read(&mut tables)).collect::<Result<Vec<_>, _>>()?;
        let kinds = (0..tables.count()?).map(|_| Kind::read(&mut tables)).collect::<Result<Vec<_>, _>>()?;
        // columns stand behind each other in the order in which their lengths are told, but for the first five
        let mut places = Places { columns: 0, fixed: 0 };
        let mut nodes = (0..tables.count()?).map(|_| Node::read(&mut tables, &mut places)).collect::<Result<Vec<_>, _>>()?;
        let count = tables.length()?;
        let mut own = Places { columns: 0, fixed: 0 };
        let [stream, kind, sequence, peer, whole] = [(); 5].map(|()| own.column(&mut tables));
        let [stream, kind, sequence, peer, whole] = [stream?, kind?, sequence?, peer?, whole?];
        tables.end()?;
        for node in &mut nodes {
            node.shift(own.columns);
        }
        if own.columns.checked_add(places.columns) != Some(sections[COLUMNS].len()) || places.fixed != sections[FIXED].len() {
            return Err(Damage("columns of another length than they say"));
        }
        let known = kinds.iter().all(|kind| kind.form != Form::Columns || kind.node < nodes.len());
        // a node is described before those that lie in it: none lies in itself
        let inside = |(number, node): (usize, &Node)| {
            node.slots.iter().all(|slot| slot.class != Class::Message || (slot.child > number && slot.child < nodes.len()))
        };
        if !known || !nodes.iter().enumerate().all(inside) {
            return Err(Damage("a message of an unknown form"));
        }
        let blobs = places_of_blobs(&sections[TEXTS], &sections[HASHES], count)?;
        if sections[WIDTHS].len() as u64 != head.events || streams.len() != head.streams.len() {
            return Err(Damage("another number of events than the head says"));
        }
        Ok(Self {
            sections,
            streams,
            peers,
            kinds,
            nodes,
            blobs,
            stream,
            kind,
            sequence,
            peer,
            whole,
            last_whole: 0,
            planes: [0; 8],
            at: 0,
            time: 0,
            before: Numbers::default(),
            fields: Vec::new(),
        })
    }

    /// Appends the bytes of the next event to `out`; `None` at the end.
    ///
    /// # Errors
    ///
    /// What was damaged before its checksum was made. The rest of the frame cannot be read.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<Envelope>, Damage> {
        let Some(width) = self.sections[WIDTHS].get(self.at).copied() else { return Ok(None) };
        self.at += 1;
        let stream = self.stream.index(&self.sections[COLUMNS], self.streams.len())?;
        let kind = self.kind.index(&self.sections[COLUMNS], self.kinds.len())?;
        let kind = self.kinds[kind];
        let change = self.sequence.number(&self.sections[COLUMNS])?;
        let source = &mut self.streams[stream];
        let sequence = source.expected.wrapping_add(unzigzag(change));
        source.expected = sequence.wrapping_add(1);
        let time = self.time(width)?;
        let envelope = Envelope { stream, sequence, time, kind: kind.number };
        if kind.form == Form::Whole {
            let blob = self.last_whole.wrapping_add(unzigzag(self.whole.number(&self.sections[COLUMNS])?));
            self.last_whole = blob;
            out.extend_from_slice(blob_of(&self.blobs, &self.sections, blob)?);
            return Ok(Some(envelope));
        }
        let source = &self.streams[stream];
        out.extend_from_slice(&source.prefix);
        for (key, value) in [(5 << 3, sequence), (6 << 3, time)] {
            if value != 0 {
                put(out, key);
                put(out, value);
            }
        }
        out.extend_from_slice(&source.suffix);
        if kind.form == Form::Columns {
            self.fields.clear();
            let mut fields = std::mem::take(&mut self.fields);
            let peer = if kind.of_peer { Some(self.peer.index(&self.sections[COLUMNS], self.peers.len())?) } else { None };
            self.message(kind.node, stream as u64, peer, 0, &mut fields)?;
            put(out, u64::from(kind.number) << 3 | 2);
            put(out, fields.len() as u64);
            out.extend_from_slice(&fields);
            self.fields = fields;
        }
        Ok(Some(envelope))
    }

    fn time(&mut self, width: u8) -> Result<u64, Damage> {
        let mut bytes = [0; 8];
        for (number, byte) in bytes.iter_mut().enumerate().take(width.into()) {
            let plane = self.sections.get(PLANES + number).ok_or(Damage("a time that is too long"))?;
            *byte = *plane.get(self.planes[number]).ok_or(Damage("times end too early"))?;
            self.planes[number] += 1;
        }
        self.time = self.time.wrapping_add(unzigzag(u64::from_le_bytes(bytes)));
        Ok(self.time)
    }

    /// Appends the fields of a message.
    fn message(&mut self, node: usize, mut key: u64, peer: Option<usize>, depth: u32, out: &mut Vec<u8>) -> Result<(), Damage> {
        if depth > MAX_DEPTH {
            return Err(Damage("messages that lie too deep"));
        }
        let shapes = self.nodes[node].shapes.len();
        let shape = self.nodes[node].shape.index(&self.sections[COLUMNS], shapes)?;
        let length = self.nodes[node].shapes[shape].len();
        if let Some(peer) = peer {
            out.extend_from_slice(&self.peers[peer].low);
        }
        let mut high = peer;
        for entry in 0..length {
            let entry = self.nodes[node].shapes[shape][entry];
            let slot = (entry >> 1) as usize;
            let field = &mut self.nodes[node].slots[slot];
            // what says who a peer is ends with field 5
            if field.key >> 3 > 2
                && let Some(peer) = high.take()
            {
                out.extend_from_slice(&self.peers[peer].high);
            }
            let run = if entry & 1 == 1 { field.runs.number(&self.sections[COLUMNS])? } else { 1 };
            for _ in 0..run {
                self.value(node, slot, &mut key, depth, out)?;
                if out.len() > MAX_EVENT {
                    return Err(Damage("an event that is longer than any event"));
                }
            }
        }
        if let Some(peer) = high {
            out.extend_from_slice(&self.peers[peer].high);
        }
        Ok(())
    }

    fn value(&mut self, node: usize, slot: usize, key: &mut u64, depth: u32, out: &mut Vec<u8>) -> Result<(), Damage> {
        let Self { nodes, sections, blobs, before, .. } = self;
        let Node { keyed, slots, .. } = &mut nodes[node];
        let field = &mut slots[slot];
        let names = *keyed && field.key >> 3 == 1;
        let columns = &sections[COLUMNS];
        put(out, field.key.into());
        match field.class {
            Class::Number => {
                let value = field.values.number(columns)?;
                put(out, value);
                if names {
                    *key = mix(*key, value);
                }
            }
            Class::Change => {
                let before = before.at(mix(*key, slot as u64));
                *before = before.wrapping_add(unzigzag(field.values.number(columns)?));
                put(out, *before);
            }
            Class::Fixed8 => out.extend_from_slice(field.values.take(&sections[FIXED], 8)?),
            Class::Fixed4 => out.extend_from_slice(field.values.take(&sections[FIXED], 4)?),
            Class::Bytes => {
                field.before = field.before.wrapping_add(unzigzag(field.values.number(columns)?));
                let bytes = blob_of(blobs, sections, field.before)?;
                put(out, bytes.len() as u64);
                out.extend_from_slice(bytes);
                if names {
                    *key = mix(*key, field.before);
                }
            }
            Class::FixedList => {
                let length = field.lengths.length(columns)?.checked_mul(8).ok_or(Damage("a list that is too long"))?;
                put(out, length as u64);
                out.extend_from_slice(field.values.take(&sections[FIXED], length)?);
            }
            Class::NumberList => {
                let count = field.lengths.length(columns)?;
                if count > field.values.end - field.values.at {
                    return Err(Damage("a column ends too early"));
                }
                let from = field.values.at;
                for _ in 0..count {
                    field.values.number(columns)?;
                }
                // as they stand in the column
                let list = &columns[from..field.values.at];
                put(out, list.len() as u64);
                out.extend_from_slice(list);
            }
            Class::Message => {
                let child = field.child;
                let start = out.len();
                // most parts are shorter than 128 bytes, and need one byte for their length
                out.push(0);
                self.message(child, mix(*key, child as u64), None, depth + 1, out)?;
                set_length(out, start);
            }
        }
        Ok(())
    }
}

/// Writes the length of what stands behind the byte at `start` into it, and makes room where one byte is not enough.
fn set_length(out: &mut Vec<u8>, start: usize) {
    let length = out.len() - start - 1;
    if length < 0x80 {
        out[start] = length as u8;
        return;
    }
    let width = prost::encoding::encoded_len_varint(length as u64);
    out.extend([0; 9].into_iter().take(width - 1));
    out.copy_within(start + 1..start + 1 + length, start + width);
    let mut place = &mut out[start..start + width];
    prost::encoding::encode_varint(length as u64, &mut place);
}

fn section_of(section: Section, rest: &mut Cursor<'_>, decompressor: &mut zstd::bulk::Decompressor<'_>) -> Result<Vec<u8>, Damage> {
    let stored = rest.take(section.stored as usize)?;
    if !section.compressed {
        return Ok(stored.to_vec());
    }
    // the head bounds what is reserved here
    let raw = decompressor.decompress(stored, section.raw as usize).map_err(|_| Damage("a section that zstd does not know"))?;
    if raw.len() == section.raw as usize { Ok(raw) } else { Err(Damage("a section of another length than it says")) }
}

fn places_of_blobs(texts: &[u8], hashes: &[u8], count: usize) -> Result<Vec<Place>, Damage> {
    let mut lengths = Cursor(texts);
    if count > texts.len().min(MAX_BLOBS) {
        return Err(Damage("a count of more than there is"));
    }
    let mut places = Vec::with_capacity(count);
    let (mut hash, mut text) = (0_usize, 0_usize);
    for _ in 0..count {
        let length = lengths.length()?;
        let (section, heap) = if length == HASH { (HASHES, &mut hash) } else { (TEXTS, &mut text) };
        places.push(Place { section, start: *heap, length });
        *heap = heap.checked_add(length).ok_or(Damage("texts that are too long"))?;
    }
    if hash != hashes.len() || text != lengths.0.len() {
        return Err(Damage("texts of another length than they say"));
    }
    // texts stand behind their lengths
    let offset = texts.len() - text;
    for place in places.iter_mut().filter(|place| place.section == TEXTS) {
        place.start += offset;
    }
    Ok(places)
}

fn blob_of<'a>(blobs: &[Place], sections: &'a [Vec<u8>], number: u64) -> Result<&'a [u8], Damage> {
    let place = usize::try_from(number).ok().and_then(|number| blobs.get(number)).ok_or(Damage("bytes that are not there"))?;
    Ok(&sections[place.section][place.start..place.start + place.length])
}

impl Source {
    fn read(tables: &mut Cursor<'_>) -> Result<Self, Damage> {
        Ok(Self { prefix: tables.bytes()?.to_vec(), suffix: tables.bytes()?.to_vec(), expected: 0 })
    }
}

impl Peer {
    fn read(tables: &mut Cursor<'_>) -> Result<Self, Damage> {
        Ok(Self { low: tables.bytes()?.to_vec(), high: tables.bytes()?.to_vec() })
    }
}

impl Kind {
    fn read(tables: &mut Cursor<'_>) -> Result<Self, Damage> {
        let number = tables.number()?;
        let form = Form::try_from(tables.varint()?)?;
        let node = if form == Form::Columns { tables.length()? } else { 0 };
        Ok(Self { number, form, node: node >> 1, of_peer: node & 1 == 1 })
    }
}

impl Node {
    fn read(tables: &mut Cursor<'_>, places: &mut Places) -> Result<Self, Damage> {
        let head = tables.length()?;
        let count = head >> 1;
        if count > tables.0.len() {
            return Err(Damage("a count of more than there is"));
        }
        let slots = (0..count).map(|_| Slot::read(tables)).collect::<Result<Vec<_>, _>>()?;
        let mut shapes = Vec::new();
        for _ in 0..tables.count()? {
            let shape = (0..tables.count()?).map(|_| tables.number()).collect::<Result<Box<[u32]>, _>>()?;
            if shape.iter().any(|entry| (entry >> 1) as usize >= count) {
                return Err(Damage("a field of an unknown form"));
            }
            shapes.push(shape);
        }
        let mut node = Self { keyed: head & 1 == 1, slots, shapes, shape: Column { at: 0, end: tables.length()? } };
        node.shape = places.next(node.shape.end, false)?;
        for slot in &mut node.slots {
            slot.values = places.next(slot.values.end, slot.class.is_fixed())?;
            slot.runs = places.next(slot.runs.end, false)?;
            slot.lengths = places.next(slot.lengths.end, false)?;
        }
        Ok(node)
    }

    /// Its columns stand behind so many bytes of others.
    fn shift(&mut self, by: usize) {
        let shift = |column: &mut Column| {
            column.at += by;
            column.end += by;
        };
        shift(&mut self.shape);
        for slot in &mut self.slots {
            if !slot.class.is_fixed() {
                shift(&mut slot.values);
            }
            shift(&mut slot.runs);
            shift(&mut slot.lengths);
        }
    }
}

impl Slot {
    /// Its columns have their lengths only; places are told later.
    fn read(tables: &mut Cursor<'_>) -> Result<Self, Damage> {
        let key = tables.number()?;
        let class = Class::try_from(tables.varint()?)?;
        let child = if class == Class::Message { tables.length()? } else { 0 };
        let mut column = || Ok(Column { at: 0, end: tables.length()? });
        Ok(Self { key, class, child, before: 0, values: column()?, runs: column()?, lengths: column()? })
    }
}

/// Where the next column begins.
struct Places {
    columns: usize,
    fixed: usize,
}

impl Places {
    fn column(&mut self, tables: &mut Cursor<'_>) -> Result<Column, Damage> {
        let length = tables.length()?;
        self.next(length, false)
    }

    fn next(&mut self, length: usize, fixed: bool) -> Result<Column, Damage> {
        let place = if fixed { &mut self.fixed } else { &mut self.columns };
        let at = *place;
        // far beyond what a section may be, and far from what cannot be added
        *place = at.checked_add(length).filter(|end| *end <= super::MAX_FRAME).ok_or(Damage("a column that is too long"))?;
        Ok(Column { at, end: *place })
    }
}

impl Column {
    #[inline]
    fn number(&mut self, section: &[u8]) -> Result<u64, Damage> {
        if self.at < self.end
            && let Some(byte @ 0..0x80) = section.get(self.at).copied()
        {
            self.at += 1;
            return Ok(byte.into());
        }
        let mut cursor = Cursor(&section[self.at..self.end]);
        let number = cursor.varint().map_err(|_| Damage("a column ends too early"))?;
        self.at = self.end - cursor.0.len();
        Ok(number)
    }

    fn length(&mut self, section: &[u8]) -> Result<usize, Damage> {
        usize::try_from(self.number(section)?).map_err(|_| Damage("a length that no memory has"))
    }

    /// A number below `limit`.
    fn index(&mut self, section: &[u8], limit: usize) -> Result<usize, Damage> {
        let index = self.length(section)?;
        if index < limit { Ok(index) } else { Err(Damage("something that is not there")) }
    }

    fn take<'a>(&mut self, section: &'a [u8], length: usize) -> Result<&'a [u8], Damage> {
        let taken = section[self.at..self.end].get(..length).ok_or(Damage("a column ends too early"))?;
        self.at += length;
        Ok(taken)
    }
}
