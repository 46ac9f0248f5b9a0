//! Events out of a frame.

use bytes::Bytes;

use super::about::{About, Numbers};
use super::blobs::HASH;
use super::column::{Column, Places};
use super::head::{Head, Section};
use super::tables::{Kind, MAX_TABLES, Node, Peer, Said, Slot, Source, is_ours};
use super::take::Start;
use super::typed::Who;
use super::wire::{Cursor, put, unzigzag};
use super::{Class, Damage, Form};
use crate::Event;
use crate::recording::MAX_EVENT;

/// A frame that is being read. Gives back the events, one after another: their bytes as they were given to the packer, or themselves.
pub struct Unpacker {
    tables: Bytes,
    pub(super) columns: Bytes,
    pub(super) fixed: Bytes,
    widths: Bytes,
    times: Vec<Bytes>,
    streams: Vec<Source>,
    peers: Vec<Peer>,
    kinds: Vec<Kind>,
    pub(super) nodes: Vec<Node>,
    /// Fields of all nodes.
    pub(super) slots: Vec<Slot>,
    /// Shapes of all nodes, one after another.
    pub(super) shapes: Vec<u32>,
    /// Runs of bytes, which keep all those of their section in memory.
    pub(super) blobs: Vec<Bytes>,
    stream: Column,
    kind: Column,
    sequence: Column,
    peer: Column,
    whole: Column,
    last_whole: u64,
    planes: [usize; 8],
    at: usize,
    time: u64,
    pub(super) before: Numbers,
    fields: Vec<u8>,
    pub(super) spent: Spent,
    /// Whether the event at hand is none: it has text that is no text.
    pub(super) is_odd: bool,
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

/// What an event takes that is being put together.
#[derive(Default)]
pub(super) struct Spent {
    /// Bytes that it has as protobuf, at least.
    pub(super) wire: usize,
    /// Bytes of its lists in memory.
    pub(super) lists: usize,
}

/// Sections of a body before those of times.
const SECTIONS: usize = 6;

/// Most runs of bytes, for the same reason.
const MAX_BLOBS: usize = 4 << 20;
/// As deep as messages may lie in one another; the packer goes less deep.
pub(super) const MAX_DEPTH: u32 = 32;

impl Unpacker {
    /// Begins to read a frame. The body was checked against its head ([`Head::verify`]) before.
    ///
    /// # Errors
    ///
    /// A body that says of itself what cannot be: it was damaged before its checksum was made, or made to do harm.
    pub fn new(head: &Head, body: &[u8], decompressor: &mut zstd::bulk::Decompressor<'_>) -> Result<Self, Damage> {
        let mut rest = Cursor(body);
        let raw = |section: &Section| section_of(*section, &mut rest, decompressor);
        if !(SECTIONS..=SECTIONS + 8).contains(&head.sections.len()) {
            return Err(Damage("a frame of an unknown form"));
        }
        let mut sections = head.sections.iter().map(raw).collect::<Result<Vec<_>, _>>()?;
        let times = sections.split_off(SECTIONS);
        let [all_tables, columns, texts, hashes, fixed, widths] =
            <[Bytes; SECTIONS]>::try_from(sections).map_err(|_| Damage("a frame of an unknown form"))?;
        if all_tables.len() > MAX_TABLES {
            return Err(Damage("tables that are too long"));
        }
        let mut tables = Cursor(&all_tables);
        if tables.count()? != head.streams.len() {
            return Err(Damage("another number of streams than the head says"));
        }
        let streams = head.streams.iter().map(|_| Source::read(&mut tables)).collect::<Result<Vec<_>, _>>()?;
        let length = all_tables.len();
        let peers = (0..tables.count()?).map(|_| Peer::read(&mut tables, length)).collect::<Result<Vec<_>, _>>()?;
        let mut kinds = (0..tables.count()?).map(|_| Kind::read(&mut tables)).collect::<Result<Vec<_>, _>>()?;
        // columns stand behind each other in the order in which their lengths are told, but for the first five
        let mut places = Places { columns: 0, fixed: 0 };
        let (mut slots, mut shapes) = (Vec::new(), Vec::new());
        let mut nodes = Vec::new();
        for _ in 0..tables.count()? {
            nodes.push(Node::read(&mut tables, &mut places, &mut slots, &mut shapes)?);
        }
        let count = tables.length()?;
        let mut own = Places { columns: 0, fixed: 0 };
        let [stream, kind, sequence, peer, whole] = [(); 5].map(|()| own.column(&mut tables));
        let [stream, kind, sequence, peer, whole] = [stream?, kind?, sequence?, peer?, whole?];
        tables.end()?;
        nodes.iter_mut().for_each(|node| node.shape.shift(own.columns));
        slots.iter_mut().for_each(|slot| slot.shift(own.columns));
        if own.columns.checked_add(places.columns) != Some(columns.len()) || places.fixed != fixed.len() {
            return Err(Damage("columns of another length than they say"));
        }
        let known = kinds.iter().all(|kind| kind.form != Form::Columns || kind.node < nodes.len());
        // a node is described before those that lie in it: none lies in itself
        let inside = |(number, node): (usize, &Node)| {
            let mut parts = slots[node.first..][..node.count].iter().filter(|slot| slot.class == Class::Message);
            parts.all(|slot| slot.child > number && slot.child < nodes.len())
        };
        if !known || !nodes.iter().enumerate().all(inside) {
            return Err(Damage("a message of an unknown form"));
        }
        let blobs = blobs_of(&texts, &hashes, count)?;
        if widths.len() as u64 != head.events {
            return Err(Damage("another number of events than the head says"));
        }
        // every node lies in one other: who says otherwise gets nothing by it
        let mut left = slots.len();
        for kind in &mut kinds {
            kind.is_ours = is_ours(kind, &nodes, &slots, &mut left);
        }
        Ok(Self {
            tables: all_tables,
            columns,
            fixed,
            widths,
            times,
            streams,
            peers,
            kinds,
            nodes,
            slots,
            shapes,
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
            spent: Spent::default(),
            is_odd: false,
        })
    }

    /// Appends the bytes of the next event to `out`; `None` at the end.
    ///
    /// # Errors
    ///
    /// What was damaged before its checksum was made. The rest of the frame cannot be read.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<Envelope>, Damage> {
        let Some((envelope, kind)) = self.envelope()? else { return Ok(None) };
        self.bytes_of(&envelope, kind, out)?;
        Ok(Some(envelope))
    }

    /// The next event of which `wanted` says that it is; `None` at the end. It is put together from the columns as it is; only where they
    /// hold something else than this release's types, it goes by way of its bytes. What is no event then, such as text that is none, is
    /// passed over.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn next_event(&mut self, mut wanted: impl FnMut(&Envelope) -> bool) -> Result<Option<Event>, Damage> {
        while let Some((envelope, kind)) = self.envelope()? {
            let is_wanted = wanted(&envelope);
            let event = if kind.form == Form::Columns && (kind.is_ours || !is_wanted) {
                self.event_of(&envelope, kind, is_wanted)?
            } else {
                let mut bytes = Vec::new();
                self.bytes_of(&envelope, kind, &mut bytes)?;
                if is_wanted { Event::from_bytes(bytes.into()).ok() } else { None }
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    fn envelope(&mut self) -> Result<Option<(Envelope, Kind)>, Damage> {
        let Some(width) = self.widths.get(self.at).copied() else { return Ok(None) };
        self.at += 1;
        let stream = self.stream.index(&self.columns, self.streams.len())?;
        let kind = self.kind.index(&self.columns, self.kinds.len())?;
        let kind = self.kinds[kind];
        let change = self.sequence.number(&self.columns)?;
        let source = &mut self.streams[stream];
        let sequence = source.expected.wrapping_add(unzigzag(change));
        source.expected = sequence.wrapping_add(1);
        let time = self.time(width)?;
        Ok(Some((Envelope { stream, sequence, time, kind: kind.number }, kind)))
    }

    /// An event of a kind that is kept in columns, if it is one; passes over it where nobody wants it.
    fn event_of(&mut self, envelope: &Envelope, kind: Kind, wanted: bool) -> Result<Option<Event>, Damage> {
        self.spent = Spent::default();
        let peer = if kind.of_peer { Some(self.peer.index(&self.columns, self.peers.len())?) } else { None };
        let at = Start { node: kind.node, about: About::new(envelope.stream as u64), peer };
        if !wanted {
            self.pass(at)?;
            return Ok(None);
        }
        let kind = self.take_kind(kind.number, at)?;
        let known = self.streams[envelope.stream].envelope.as_ref().filter(|_| kind.is_some());
        Ok(known.map(|known| Event { node: known.node.clone(), sequence: envelope.sequence, time: envelope.time, kind, ..*known }))
    }

    fn bytes_of(&mut self, envelope: &Envelope, kind: Kind, out: &mut Vec<u8>) -> Result<(), Damage> {
        if kind.form == Form::Whole {
            let blob = self.last_whole.wrapping_add(unzigzag(self.whole.number(&self.columns)?));
            self.last_whole = blob;
            out.extend_from_slice(blob_of(&self.blobs, blob)?);
            return Ok(());
        }
        let source = &self.streams[envelope.stream];
        out.extend_from_slice(&source.prefix);
        for (key, value) in [(5 << 3, envelope.sequence), (6 << 3, envelope.time)] {
            if value != 0 {
                put(out, key);
                put(out, value);
            }
        }
        out.extend_from_slice(&source.suffix);
        if kind.form == Form::Columns {
            self.fields.clear();
            let mut fields = std::mem::take(&mut self.fields);
            let peer = if kind.of_peer { Some(self.peer.index(&self.columns, self.peers.len())?) } else { None };
            self.message(kind.node, About::new(envelope.stream as u64), peer, 0, &mut fields)?;
            put(out, u64::from(kind.number) << 3 | 2);
            put(out, fields.len() as u64);
            out.extend_from_slice(&fields);
            self.fields = fields;
        }
        Ok(())
    }

    fn time(&mut self, width: u8) -> Result<u64, Damage> {
        let mut bytes = [0; 8];
        for (number, byte) in bytes.iter_mut().enumerate().take(width.into()) {
            let plane = self.times.get(number).ok_or(Damage("a time that is too long"))?;
            *byte = *plane.get(self.planes[number]).ok_or(Damage("times end too early"))?;
            self.planes[number] += 1;
        }
        self.time = self.time.wrapping_add(unzigzag(u64::from_le_bytes(bytes)));
        Ok(self.time)
    }

    /// Where the fields of the next message of a node begin and end in `shapes`.
    #[inline]
    pub(super) fn shape(&mut self, node: usize) -> Result<(usize, usize), Damage> {
        let node = &mut self.nodes[node];
        let shape = node.shape.index(&self.columns, node.forms.len())?;
        Ok(node.forms[shape])
    }

    /// Appends the fields of a message.
    fn message(&mut self, node: usize, mut about: About, peer: Option<usize>, depth: u32, out: &mut Vec<u8>) -> Result<(), Damage> {
        if depth > MAX_DEPTH {
            return Err(Damage("messages that lie too deep"));
        }
        let (start, end) = self.shape(node)?;
        if let Some(peer) = peer {
            out.extend_from_slice(self.peers[peer].low.of(&self.tables));
        }
        let mut high = peer;
        let first = self.nodes[node].first;
        for entry in start..end {
            let entry = self.shapes[entry];
            let slot = first + (entry >> 1) as usize;
            let field = &mut self.slots[slot];
            // what says who a peer is ends with field 5
            if field.number > 2
                && let Some(peer) = high.take()
            {
                out.extend_from_slice(self.peers[peer].high.of(&self.tables));
            }
            let run = if entry & 1 == 1 { field.runs.number(&self.columns)? } else { 1 };
            for _ in 0..run {
                self.value(slot, slot - first, &mut about, depth, out)?;
                if out.len() > MAX_EVENT {
                    return Err(Damage("an event that is longer than any event"));
                }
            }
        }
        if let Some(peer) = high {
            out.extend_from_slice(self.peers[peer].high.of(&self.tables));
        }
        Ok(())
    }

    fn value(&mut self, slot: usize, place: usize, about: &mut About, depth: u32, out: &mut Vec<u8>) -> Result<(), Damage> {
        let Self { slots, columns, fixed, blobs, before, .. } = self;
        let field = &mut slots[slot];
        let names = field.names;
        put(out, field.key.into());
        match field.class {
            Class::Number => {
                let value = field.values.number(columns)?;
                put(out, value);
                if names {
                    about.name(value);
                }
            }
            Class::Change => {
                let before = before.at(about, place);
                *before = before.wrapping_add(unzigzag(field.values.number(columns)?));
                put(out, *before);
            }
            Class::Fixed8 => out.extend_from_slice(field.values.take(fixed, 8)?),
            Class::Fixed4 => out.extend_from_slice(field.values.take(fixed, 4)?),
            Class::Bytes => {
                field.before = field.before.wrapping_add(unzigzag(field.values.number(columns)?));
                let bytes = blob_of(blobs, field.before)?;
                put(out, bytes.len() as u64);
                out.extend_from_slice(bytes);
                if names {
                    about.name(field.before);
                }
            }
            Class::FixedList => {
                let length = field.lengths.length(columns)?.checked_mul(8).ok_or(Damage("a list that is too long"))?;
                put(out, length as u64);
                out.extend_from_slice(field.values.take(fixed, length)?);
            }
            Class::NumberList => {
                let count = field.lengths.length(columns)?;
                if count > field.values.left() {
                    return Err(Damage("a column ends too early"));
                }
                let before = field.values;
                for _ in 0..count {
                    field.values.number(columns)?;
                }
                // as they stand in the column
                let list = field.values.since(before, columns);
                put(out, list.len() as u64);
                out.extend_from_slice(list);
            }
            Class::Message => {
                let child = field.child;
                let start = out.len();
                // most parts are shorter than 128 bytes, and need one byte for their length
                out.push(0);
                self.message(child, about.part(child), None, depth + 1, out)?;
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

fn section_of(section: Section, rest: &mut Cursor<'_>, decompressor: &mut zstd::bulk::Decompressor<'_>) -> Result<Bytes, Damage> {
    let stored = rest.take(section.stored as usize)?;
    if !section.compressed {
        return Ok(Bytes::copy_from_slice(stored));
    }
    // the head bounds what is reserved here
    let raw = decompressor.decompress(stored, section.raw as usize).map_err(|_| Damage("a section that zstd does not know"))?;
    if raw.len() == section.raw as usize { Ok(raw.into()) } else { Err(Damage("a section of another length than it says")) }
}

fn blobs_of(texts: &Bytes, hashes: &Bytes, count: usize) -> Result<Vec<Bytes>, Damage> {
    let mut lengths = Cursor(texts);
    if count > texts.len().min(MAX_BLOBS) {
        return Err(Damage("a count of more than there is"));
    }
    // texts stand behind their lengths
    let mut behind = lengths;
    for _ in 0..count {
        behind.length()?;
    }
    let (mut hash, mut text) = (0, texts.len() - behind.0.len());
    let mut blobs = Vec::with_capacity(count);
    for _ in 0..count {
        let length = lengths.length()?;
        let (section, start) = if length == HASH { (hashes, &mut hash) } else { (texts, &mut text) };
        let end =
            start.checked_add(length).filter(|end| *end <= section.len()).ok_or(Damage("texts of another length than they say"))?;
        blobs.push(section.slice(*start..end));
        *start = end;
    }
    if hash == hashes.len() && text == texts.len() { Ok(blobs) } else { Err(Damage("texts of another length than they say")) }
}

#[inline]
pub(super) fn blob_of(blobs: &[Bytes], number: u64) -> Result<&Bytes, Damage> {
    usize::try_from(number).ok().and_then(|number| blobs.get(number)).ok_or(Damage("bytes that are not there"))
}

impl Unpacker {
    /// Who a peer is, if what is said of it can be understood.
    pub(super) fn who(&self, peer: usize) -> Option<Who<'_>> {
        let Said { peer, address, connection_type, network } = self.peers[peer].who?;
        let address = std::str::from_utf8(address.of(&self.tables)).ok()?;
        Some(Who { peer, address, connection_type, network })
    }
}
