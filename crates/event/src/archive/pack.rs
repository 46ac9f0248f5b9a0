//! Events into a frame.

use std::collections::HashMap;

use hashbrown::HashTable;
use prost::Message as _;

use super::Form;
use super::about::About;
use super::columns::{Columns, says_who};
use super::head::{Head, KindTotal, MAX_PEERS, Section, Stream};
use super::layout::LAYOUT;
use super::seed::Seed;
use super::tokens::{self, Parsed, Token, What};
use super::typed::{Who, message_of};
use super::wire::{checksum, put, put_bytes, varint_length, zigzag};
use crate::{DecodeError, Event};

/// A frame is full with so many bytes before compression…
pub const FULL: usize = 1 << 20;
/// …or with events of so many bytes as protobuf, so that nobody needs more memory to read it. One event alone may be longer, and is
/// then kept in one piece.
pub const FULL_EVENTS: u64 = 16 << 20;
/// …or with so many streams or kinds, which its head lists.
const MAX_ENTRIES: usize = 2048;
/// Its size is looked at after so many bytes of events.
const LOOK: u64 = 64 << 10;
/// An event that takes less memory has too little in its lists to be longer than a frame in columns.
const SMALL: usize = 1 << 20;
/// Streams of which is known which peer they are about; beyond, all are taken to be about any.
const MARKED: usize = 64;

/// Collects events and makes a frame of them.
#[derive(Default)]
pub struct Packer {
    columns: Columns,
    tokens: Vec<Token>,
    scratch: Vec<u8>,
    streams: Vec<Source>,
    stream_of: HashMap<Box<[u8]>, u32>,
    /// Stream of the event before: mostly also of the next.
    latest: u32,
    peers: Vec<Peer>,
    peer_of: HashTable<u32>,
    who: Vec<u8>,
    /// Bytes of what is told of streams and peers.
    told: usize,
    kinds: Vec<Kind>,
    kind_of: HashTable<u32>,
    seed: Seed,
    stream: Vec<u8>,
    kind: Vec<u8>,
    sequence: Vec<u8>,
    peer: Vec<u8>,
    whole: Vec<u8>,
    last_whole: u64,
    widths: Vec<u8>,
    planes: [Vec<u8>; 8],
    time: u64,
    first: u64,
    last: u64,
    events: u64,
    bytes: u64,
    looked: u64,
    full: bool,
}

/// An envelope without place and time.
struct Source {
    prefix: Box<[u8]>,
    suffix: Box<[u8]>,
    envelope: Event,
    /// Whether any event with this envelope has the prefix and no suffix.
    plain: bool,
    expected: u64,
    first: u64,
    last: u64,
    events: u64,
    missing: u64,
    repeated: u64,
    /// Peers of messages that have the id in another place than the first.
    others: Vec<u64>,
}

/// Who a peer is, as its messages say it.
struct Peer {
    /// Field 1, then fields 3 to 5.
    fields: Box<[u8]>,
    /// Where field 1 ends.
    low: usize,
    id: u64,
    /// The streams that say something of it, a bit each.
    streams: u64,
}

struct Kind {
    number: u32,
    form: Form,
    node: usize,
    of_peer: bool,
    /// A field that holds a peer's id elsewhere than in the first place, and whether it may be absent.
    other_peer: Option<(u32, bool)>,
    events: u64,
    bytes: u64,
}

impl Packer {
    /// Adds an event.
    pub fn push(&mut self, event: &Event) {
        if self.typed(event) {
            return;
        }
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        // a Vec has room for everything, so nobody needs to know the length before
        event.encode_raw(&mut bytes);
        // an event of ours is one, whatever its fields are
        if !self.columnar(&bytes) {
            self.verbatim(&bytes, event);
        }
        self.scratch = bytes;
    }

    /// Adds an event by its bytes. Fields that this release does not know are kept.
    ///
    /// # Errors
    ///
    /// Bytes that are no event.
    pub fn push_bytes(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        if !self.columnar(bytes) {
            let event = Event::from_bytes(bytes.to_vec().into())?;
            self.verbatim(bytes, &event);
        }
        Ok(())
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Whether the frame should be closed.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Puts the values of an event into columns, the same as [`columnar`](Self::columnar) its bytes; `false` for one that has to be looked
    /// at as bytes.
    fn typed(&mut self, event: &Event) -> bool {
        let Some(value) = &event.kind else { return false };
        if event.memory() > SMALL && event.encoded_len() as u64 > FULL_EVENTS {
            return false;
        }
        let stream = self.stream_of(event);
        let number = value.id() as u32;
        let kind = self.kind(number, Form::Columns);
        self.envelope(stream, kind, event.sequence, event.time);
        let Kind { node, of_peer, other_peer, .. } = self.kinds[kind as usize];
        let message = message_of(value);
        let mut length = if of_peer { self.who(stream, &message.who()) } else { 0 };
        if let Some(peer) = event.peer().filter(|_| other_peer.is_some()) {
            self.streams[stream as usize].note(peer);
        }
        length += self.columns.put(node, message, About::new(stream.into()), of_peer);
        length += varint_length(length as u64) + varint_length(u64::from(number) << 3);
        let source = &self.streams[stream as usize];
        length += source.prefix.len() + source.suffix.len();
        length +=
            [event.sequence, event.time].iter().filter(|value| **value > 0).map(|value| 1 + varint_length(*value)).sum::<usize>();
        self.count(kind, length);
        true
    }

    /// Puts the fields of an event into columns; `false` if it would not come out the same.
    fn columnar(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() as u64 > FULL_EVENTS {
            return false;
        }
        let mut tokens = std::mem::take(&mut self.tokens);
        let parsed = tokens::parse(bytes, &mut tokens).filter(|parsed| self.fits(parsed, &tokens));
        if let Some(parsed) = &parsed {
            let stream = self.stream(&bytes[parsed.prefix.clone()], &bytes[parsed.suffix.clone()]);
            let form = if parsed.kind.is_some() { Form::Columns } else { Form::Nothing };
            let kind = self.kind(parsed.kind.unwrap_or(0), form);
            self.envelope(stream, kind, parsed.sequence, parsed.time);
            if form == Form::Columns {
                let Kind { node, of_peer, other_peer, .. } = self.kinds[kind as usize];
                if of_peer {
                    self.of_peer(stream, &tokens, bytes);
                }
                if let Some((number, optional)) = other_peer {
                    self.mark(stream, &tokens, number, optional);
                }
                self.columns.message(node, &tokens, bytes, About::new(stream.into()), of_peer);
            }
            self.count(kind, bytes.len());
        }
        self.tokens = tokens;
        parsed.is_some()
    }

    /// Whether what says who a peer is can be taken out of a message and put back at its place.
    fn fits(&self, parsed: &Parsed, tokens: &[Token]) -> bool {
        let Some(part) = parsed.kind.and_then(|kind| LAYOUT.kind(kind)) else { return true };
        if !LAYOUT.part(part).of_peer {
            return true;
        }
        let mut last = 0;
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let number = token.key >> 3;
            let simple = matches!(token.what, What::Varint(_) | What::Bytes { .. });
            if number < last || (says_who(number) && !simple) {
                return false;
            }
            last = number;
            at += 1 + token.inner();
        }
        true
    }

    fn verbatim(&mut self, bytes: &[u8], event: &Event) {
        let envelope =
            Event { node: event.node.clone(), node_run: event.node_run, source: event.source, run: event.run, ..Event::default() };
        let stream = self.stream(&envelope.encode_to_vec(), &[]);
        let number = event.id().map_or(0, |id| id as u32);
        let kind = self.kind(number, Form::Whole);
        if let Some(peer) = event.peer() {
            self.streams[stream as usize].note(peer);
        }
        self.envelope(stream, kind, event.sequence, event.time);
        let blob = self.columns.blobs.number(bytes, self.last_whole);
        put(&mut self.whole, zigzag(blob.wrapping_sub(self.last_whole)));
        self.last_whole = blob;
        self.count(kind, bytes.len());
    }

    /// The stream of an event; mostly that of the event before, so that there is nothing to encode.
    fn stream_of(&mut self, event: &Event) -> u32 {
        let same = |source: &Source| {
            let Event { node, node_run, source: from, run, .. } = &source.envelope;
            source.plain && *run == event.run && *from == event.source && *node_run == event.node_run && *node == event.node
        };
        if !event.replay {
            let latest = self.streams.get(self.latest as usize).filter(|source| same(source)).map(|_| self.latest);
            if let Some(stream) = latest.or_else(|| self.streams.iter().take(MARKED).position(same).map(|at| at as u32)) {
                self.latest = stream;
                return stream;
            }
        }
        let suffix = if event.replay { [7 << 3, 1].as_slice() } else { &[] };
        let envelope = Event { kind: None, replay: false, sequence: 0, time: 0, ..event.clone() };
        self.stream(&envelope.encode_to_vec(), suffix)
    }

    fn stream(&mut self, prefix: &[u8], suffix: &[u8]) -> u32 {
        if self.streams.get(self.latest as usize).is_some_and(|stream| *stream.prefix == *prefix && *stream.suffix == *suffix) {
            return self.latest;
        }
        let mut key = Vec::with_capacity(prefix.len() + suffix.len() + 2);
        put_bytes(&mut key, prefix);
        key.extend_from_slice(suffix);
        let next = self.streams.len() as u32;
        self.latest = *self.stream_of.entry(key.into()).or_insert(next);
        if self.latest == next {
            self.full |= self.streams.len() >= MAX_ENTRIES;
            self.told += prefix.len() + suffix.len() + 2;
            // only for the summary: what a field says that is none is nobody's business here
            let envelope = Event::decode(prefix).unwrap_or_default();
            self.streams.push(Source {
                prefix: prefix.into(),
                suffix: suffix.into(),
                plain: suffix.is_empty() && *envelope.encode_to_vec() == *prefix,
                envelope,
                expected: 0,
                first: 0,
                last: 0,
                events: 0,
                missing: 0,
                repeated: 0,
                others: Vec::new(),
            });
        }
        self.latest
    }

    fn kind(&mut self, number: u32, form: Form) -> u32 {
        let Self { kinds, kind_of, seed, .. } = self;
        let next = kinds.len() as u32;
        let place = |number: u32, form: Form| seed.of_number(u64::from(number) << 2 | form as u64);
        let known = |kind: &u32| (kinds[*kind as usize].number, kinds[*kind as usize].form) == (number, form);
        let kind = kind_of.find(place(number, form), known).copied();
        let kind = kind.unwrap_or_else(|| {
            let place_of = |kind: &u32| kinds.get(*kind as usize).map_or(0, |kind| place(kind.number, kind.form));
            kind_of.insert_unique(place(number, form), next, place_of);
            next
        });
        if kind == next {
            self.full |= self.kinds.len() >= MAX_ENTRIES;
            let part = LAYOUT.kind(number);
            let known = part.map(|part| LAYOUT.part(part));
            // what an event is about is its stream: its first field may be anything
            let node = if form == Form::Columns { self.columns.node(part, false) } else { 0 };
            self.kinds.push(Kind {
                number,
                form,
                node,
                of_peer: known.is_some_and(|part| part.of_peer),
                other_peer: known.and_then(|part| part.peer).filter(|(number, optional)| *number != 1 || *optional),
                events: 0,
                bytes: 0,
            });
        }
        kind
    }

    fn envelope(&mut self, stream: u32, kind: u32, sequence: u64, time: u64) {
        put(&mut self.stream, stream.into());
        put(&mut self.kind, kind.into());
        let source = &mut self.streams[stream as usize];
        put(&mut self.sequence, zigzag(sequence.wrapping_sub(source.expected)));
        source.count(sequence);
        let change = zigzag(time.wrapping_sub(self.time));
        let width = (64 - change.leading_zeros()).div_ceil(8) as usize;
        self.widths.push(width as u8);
        for (plane, byte) in self.planes.iter_mut().zip(change.to_le_bytes()).take(width) {
            plane.push(byte);
        }
        self.time = time;
        self.first = if self.events == 0 { time } else { self.first.min(time) };
        self.last = self.last.max(time);
    }

    /// Counts an event that is in the columns.
    fn count(&mut self, kind: u32, length: usize) {
        self.events += 1;
        self.bytes += length as u64;
        let kind = &mut self.kinds[kind as usize];
        kind.events += 1;
        kind.bytes += length as u64;
        if self.bytes - self.looked >= LOOK {
            self.looked = self.bytes;
            self.full |= self.bytes >= FULL_EVENTS || self.size() >= FULL;
        }
    }

    /// Bytes before compression, but for what says how they are to be read.
    fn size(&self) -> usize {
        let planes: usize = self.planes.iter().map(Vec::len).sum();
        let own =
            self.stream.len() + self.kind.len() + self.sequence.len() + self.peer.len() + self.whole.len() + self.widths.len();
        own + planes + self.told + self.columns.size()
    }

    /// Takes out what says who the peer is.
    fn of_peer(&mut self, stream: u32, tokens: &[Token], bytes: &[u8]) {
        self.who.clear();
        let (mut id, mut low) = (0, 0);
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            if says_who(token.key >> 3) {
                put(&mut self.who, token.key.into());
                match token.what {
                    What::Varint(value) => put(&mut self.who, value),
                    What::Bytes { start, length } => put_bytes(&mut self.who, &bytes[start as usize..][..length as usize]),
                    _ => {}
                }
                if token.key >> 3 == 1 {
                    low = self.who.len();
                    if let What::Varint(value) = token.what {
                        id = value;
                    }
                }
            }
            at += 1 + token.inner();
        }
        self.peer(stream, id, low);
    }

    /// Puts down who the peer is; how long that is as protobuf.
    fn who(&mut self, stream: u32, who: &Who<'_>) -> usize {
        let out = &mut self.who;
        out.clear();
        if who.peer != 0 {
            out.push(1 << 3);
            put(out, who.peer);
        }
        let low = out.len();
        if !who.address.is_empty() {
            out.push(3 << 3 | 2);
            put_bytes(out, who.address.as_bytes());
        }
        for (key, value) in [(4 << 3, who.connection_type), (5 << 3, who.network)] {
            if value != 0 {
                out.push(key);
                put(out, value as u64);
            }
        }
        let length = out.len();
        self.peer(stream, who.peer, low);
        length
    }

    /// The peer whose fields are in `who`, the first of them `low` bytes.
    fn peer(&mut self, stream: u32, id: u64, low: usize) {
        let Self { peers, peer_of, seed, told, who, .. } = self;
        let hash = seed.of_bytes(who);
        let peer = match peer_of.find(hash, |number| *peers[*number as usize].fields == **who) {
            Some(peer) => *peer,
            None => {
                let next = peers.len() as u32;
                *told += who.len() + 2;
                peers.push(Peer { fields: who.as_slice().into(), low, id, streams: 0 });
                peer_of.insert_unique(hash, next, |number| seed.of_bytes(&peers[*number as usize].fields));
                next
            }
        };
        if (stream as usize) < MARKED {
            self.peers[peer as usize].streams |= 1 << stream;
        }
        put(&mut self.peer, peer.into());
    }

    /// Notes which peer an event is about, where that is not its first field.
    fn mark(&mut self, stream: u32, tokens: &[Token], number: u32, optional: bool) {
        let value = |token: &Token| match token.what {
            What::Varint(value) if token.key >> 3 == number => Some(value),
            _ => None,
        };
        let peer = tokens.iter().find_map(value).or((!optional).then_some(0));
        if let Some(peer) = peer {
            self.streams[stream as usize].note(peer);
        }
    }

    /// Closes the frame: its head and all of its bytes, the head's included. Begins the next one.
    ///
    /// `None` if there are no events.
    pub fn finish(&mut self, compressor: &mut zstd::bulk::Compressor<'_>) -> Option<(Head, Vec<u8>)> {
        let packer = std::mem::take(self);
        self.tokens = Vec::with_capacity(packer.tokens.capacity());
        if packer.events == 0 {
            return None;
        }
        let mut body = Vec::with_capacity(FULL / 2);
        let mut sections = Vec::with_capacity(14);
        let tables = packer.tables();
        let (columns, fixed) = packer.values();
        let texts = [&packer.columns.blobs.lengths[..], &packer.columns.blobs.others].concat();
        let used = packer.planes.iter().take_while(|plane| !plane.is_empty());
        let parts = [&tables, &columns, &texts, &packer.columns.blobs.hashes, &fixed, &packer.widths].into_iter().chain(used);
        for (number, part) in parts.enumerate() {
            // hashes are random, and nothing makes them shorter
            sections.push(section(part, number != HASHES, compressor, &mut body));
        }
        let head = Head {
            events: packer.events,
            bytes: packer.bytes,
            first: packer.first,
            last: packer.last,
            sections,
            kinds: packer.totals(),
            streams: packer.summaries(),
            body_checksum: checksum(&body),
        };
        let mut frame = head.to_bytes();
        frame.append(&mut body);
        Some((head, frame))
    }

    /// How the rest is to be read.
    fn tables(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, self.streams.len() as u64);
        for stream in &self.streams {
            put_bytes(&mut out, &stream.prefix);
            put_bytes(&mut out, &stream.suffix);
        }
        put(&mut out, self.peers.len() as u64);
        for peer in &self.peers {
            let (low, high) = peer.fields.split_at(peer.low);
            put_bytes(&mut out, low);
            put_bytes(&mut out, high);
        }
        put(&mut out, self.kinds.len() as u64);
        for kind in &self.kinds {
            put(&mut out, kind.number.into());
            put(&mut out, kind.form as u64);
            if kind.form == Form::Columns {
                put(&mut out, (kind.node as u64) << 1 | u64::from(kind.of_peer));
            }
        }
        put(&mut out, self.columns.nodes.len() as u64);
        for node in &self.columns.nodes {
            node.describe(&mut out);
        }
        put(&mut out, self.columns.blobs.count() as u64);
        for column in [&self.stream, &self.kind, &self.sequence, &self.peer, &self.whole] {
            put(&mut out, column.len() as u64);
        }
        out
    }

    /// All columns of numbers, and those of numbers of a fixed length.
    fn values(&self) -> (Vec<u8>, Vec<u8>) {
        let mut columns = [&self.stream[..], &self.kind, &self.sequence, &self.peer, &self.whole].concat();
        let mut fixed = Vec::new();
        for node in &self.columns.nodes {
            columns.extend_from_slice(&node.shape);
            for slot in &node.slots {
                let values = if slot.class.is_fixed() { &mut fixed } else { &mut columns };
                values.extend_from_slice(&slot.values);
                columns.extend_from_slice(&slot.runs);
                columns.extend_from_slice(&slot.lengths);
            }
        }
        (columns, fixed)
    }

    /// A kind may be there in more than one form.
    fn totals(&self) -> Vec<KindTotal> {
        let mut totals: Vec<KindTotal> = Vec::with_capacity(self.kinds.len());
        for &Kind { number, events, bytes, .. } in &self.kinds {
            match totals.iter_mut().find(|total| total.number == number) {
                Some(total) => {
                    total.events += events;
                    total.bytes += bytes;
                }
                None => totals.push(KindTotal { number, events, bytes }),
            }
        }
        totals.sort_unstable_by_key(|total| total.number);
        totals
    }

    fn summaries(&self) -> Vec<Stream> {
        let few = self.streams.len() <= MARKED;
        let peers = |stream: usize| {
            let of_messages = self.peers.iter().filter(|peer| peer.streams & (1 << stream) != 0).map(|peer| peer.id);
            let mut peers: Vec<u64> = of_messages.chain(self.streams[stream].others.iter().copied()).collect();
            peers.sort_unstable();
            peers.dedup();
            (peers.len() <= MAX_PEERS).then_some(peers)
        };
        let summary = |(number, stream): (usize, &Source)| Stream {
            node: stream.envelope.node.clone(),
            node_run: stream.envelope.node_run,
            source: stream.envelope.source,
            run: stream.envelope.run,
            events: stream.events,
            first: stream.first,
            last: stream.last,
            missing: stream.missing,
            repeated: stream.repeated,
            peers: few.then(|| peers(number)).flatten(),
        };
        self.streams.iter().enumerate().map(summary).collect()
    }
}

/// Place of the hashes among the sections.
const HASHES: usize = 3;

fn section(part: &[u8], worth: bool, compressor: &mut zstd::bulk::Compressor<'_>, body: &mut Vec<u8>) -> Section {
    let raw = u32::try_from(part.len()).expect("a frame is closed long before");
    if worth && part.len() > 16 {
        let compressed = compressor.compress(part).expect("the buffer is as large as zstd asks for");
        if compressed.len() < part.len() {
            body.extend_from_slice(&compressed);
            return Section { stored: compressed.len() as u32, raw, compressed: true };
        }
    }
    body.extend_from_slice(part);
    Section { stored: raw, raw, compressed: false }
}

impl Source {
    fn count(&mut self, sequence: u64) {
        if self.events == 0 {
            self.first = sequence;
        } else {
            match sequence.checked_sub(self.expected) {
                Some(jump) => self.missing = self.missing.saturating_add(jump),
                None => self.repeated += 1,
            }
        }
        self.events += 1;
        self.last = sequence;
        self.expected = sequence.wrapping_add(1);
    }

    fn note(&mut self, peer: u64) {
        // one more than are listed shows that there are too many
        if self.others.len() <= MAX_PEERS && !self.others.contains(&peer) {
            self.others.push(peer);
        }
    }
}

impl Token {
    /// How many of the tokens behind it are its own.
    pub(super) fn inner(&self) -> usize {
        match self.what {
            What::Message { tokens, .. } => tokens as usize,
            What::Packed { count, .. } => count as usize,
            _ => 0,
        }
    }
}
