//! Rows of a table, column by column: an event's bytes go straight into them, without an event in between.
//!
//! What Parquet calls levels is made here. A definition level says how many of the lists around a value have an element, one more for a
//! value that may be null and is not; a repetition level, in which list it is the next element.

use std::fmt::Write as _;
use std::ops::Range;

use event::text::Address;
use event::{Event, Network};

use super::table::{Coding, Column, Field, Form, Table, What};
use super::wire::{Message, Odd, Packed, Raw, decoded};

/// Events of one table that are to be written.
#[derive(Debug)]
pub struct Rows {
    pub(super) cells: Vec<Cells>,
    /// How many.
    pub rows: usize,
    /// Bytes that they take in memory, roughly.
    pub bytes: usize,
    /// Values that are none of their column's type: hashes of another length, times that no calendar has. They are null.
    pub unfit: u64,
    /// Fields that only a later release knows.
    pub unknown: u64,
    /// Events whose bytes were in another form than the encoder's.
    odd: u64,
}

/// One column of them.
#[derive(Debug)]
pub(super) struct Cells {
    /// What its values are, what the definition level of one is, and whether it is in lists: as the column says, but beside the values, so that
    /// one look into memory suffices.
    form: Form,
    full: i16,
    listed: bool,
    pub values: Values,
    /// Of each value and each null; empty where every row has one value.
    pub definitions: Vec<i16>,
    pub repetitions: Vec<i16>,
}

#[derive(Debug)]
pub(super) enum Values {
    Bool(Vec<bool>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    Double(Vec<f64>),
    /// Numbers of an enumeration.
    Word(Vec<i32>),
    /// One after another, and where each ends.
    Bytes(Vec<u8>, Vec<u32>),
    /// 32 bytes each.
    Hash(Vec<u8>),
}

/// An event's envelope, as far as it decides where the event goes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Envelope<'a> {
    pub node: &'a str,
    pub source: u64,
    pub run: u64,
    pub sequence: u64,
    pub time: u64,
    /// Number and message; `None` where there is no kind.
    pub kind: Option<(u32, &'a [u8])>,
}

/// The first number that is a kind.
const KINDS: u32 = 100;
/// After so many events in another form each is written anew at once.
const ODD: u64 = 16;

impl<'a> Envelope<'a> {
    /// Reads it.
    pub fn of(event: &'a [u8]) -> Result<Self, Odd> {
        let mut envelope = Self::default();
        let (mut message, mut last) = (Message(event), 0);
        while let Some((number, value)) = message.next()? {
            if number <= last {
                return Err(Odd);
            }
            last = number;
            match (number, value) {
                (1, Raw::Bytes(node)) => envelope.node = std::str::from_utf8(node).map_err(|_| Odd)?,
                (3, Raw::Number(source)) => envelope.source = source,
                (4, Raw::Number(run)) => envelope.run = run,
                (5, Raw::Number(sequence)) => envelope.sequence = sequence,
                (6, Raw::Number(time)) => envelope.time = time,
                (2 | 7, Raw::Number(_)) => {}
                (..KINDS, _) => return Err(Odd),
                (_, Raw::Bytes(kind)) if envelope.kind.is_none() => envelope.kind = Some((number, kind)),
                _ => return Err(Odd),
            }
        }
        Ok(envelope)
    }
}

impl Rows {
    /// No rows of this table yet.
    pub fn new(table: &Table) -> Self {
        let cells = table.columns.iter().map(Cells::new).collect();
        Self { cells, rows: 0, bytes: 0, unfit: 0, unknown: 0, odd: 0 }
    }

    /// Adds an event. One whose bytes are not in the form that the encoder writes is written anew first. `false` for bytes that are no
    /// event of this table.
    pub fn push(&mut self, table: &Table, event: &[u8]) -> bool {
        // taking back what was half done is slow: whoever sends many of them does not get it each time
        if self.odd < ODD {
            if self.try_push(table, event).is_ok() {
                return true;
            }
            self.odd += 1;
        }
        let Ok(event) = Event::from_bytes(event.to_vec().into()) else { return false };
        event.id() == Some(table.id) && self.try_push(table, &event.to_bytes()).is_ok()
    }

    fn try_push(&mut self, table: &Table, event: &[u8]) -> Result<(), Odd> {
        let (unfit, unknown) = (self.unfit, self.unknown);
        let pushed = self.stripe(table, event);
        match pushed {
            Ok(()) => {
                self.rows += 1;
                self.bytes += event.len() + 12 * table.columns.len();
            }
            Err(Odd) => {
                (self.unfit, self.unknown) = (unfit, unknown);
                let rows = self.rows;
                self.cells.iter_mut().for_each(|cells| cells.truncate(rows));
            }
        }
        pushed
    }

    fn stripe(&mut self, table: &Table, event: &[u8]) -> Result<(), Odd> {
        let kind = Envelope::of(event)?.kind.filter(|(number, _)| *number == table.id as u32).ok_or(Odd)?;
        let at = Place { definition: 0, repetition: 0 };
        let mut writing = Writing { rows: self };
        // the kind is no field of it
        writing.message(&table.envelope, event, KINDS, at)?;
        writing.message(&table.message, kind.1, u32::MAX, at)
    }

    /// Forgets the rows, keeps the memory.
    pub fn clear(&mut self) {
        self.cells.iter_mut().for_each(Cells::clear);
        (self.rows, self.bytes, self.unfit, self.unknown) = (0, 0, 0, 0);
    }
}

/// Where in the lists a message is.
#[derive(Clone, Copy)]
struct Place {
    definition: i16,
    repetition: i16,
}

struct Writing<'a> {
    rows: &'a mut Rows,
}

impl Writing<'_> {
    /// Puts the fields of a message into columns; those from `end` on are somebody else's.
    fn message(&mut self, fields: &[Field], bytes: &[u8], end: u32, at: Place) -> Result<(), Odd> {
        let mut message = Message(bytes);
        // the field that comes next, and whether elements of it came already
        let (mut next, mut begun) = (0, false);
        let mut last = 0;
        while let Some((number, value)) = message.next()? {
            if number >= end {
                break;
            }
            if number < last {
                return Err(Odd);
            }
            last = number;
            while let Some(field) = fields.get(next).filter(|field| field.number < number) {
                if !begun {
                    self.missing(field, at);
                }
                (next, begun) = (next + 1, false);
            }
            let Some(field) = fields.get(next).filter(|field| field.number == number) else {
                // the node, which is in the path
                self.rows.unknown += u64::from(end == u32::MAX);
                continue;
            };
            if begun && !field.repeated {
                return Err(Odd);
            }
            if field.repeated {
                self.elements(field, value, bytes, begun, at)?;
            } else {
                self.one(field, value, bytes, at)?;
            }
            begun = true;
        }
        for field in fields.get(next + usize::from(begun)..).unwrap_or_default() {
            self.missing(field, at);
        }
        Ok(())
    }

    fn one(&mut self, field: &Field, value: Raw<'_>, within: &[u8], at: Place) -> Result<(), Odd> {
        match (&field.what, value) {
            (What::Leaf(coding), value) => self.value(field.columns.start, *coding, value, within, at),
            (What::Group(fields), Raw::Bytes(bytes)) => self.message(fields, bytes, u32::MAX, at),
            _ => Err(Odd),
        }
    }

    /// An element of a list; or all of them, of numbers.
    fn elements(&mut self, field: &Field, value: Raw<'_>, within: &[u8], begun: bool, at: Place) -> Result<(), Odd> {
        let definition = at.definition + 1;
        // the next element of this list: as many lists are around it
        let again = Place { definition, repetition: definition };
        let first = if begun { again } else { Place { definition, repetition: at.repetition } };
        match (&field.what, value) {
            (What::Leaf(Coding::Bytes), value) => self.value(field.columns.start, Coding::Bytes, value, within, first),
            (What::Leaf(coding), Raw::Bytes(bytes)) if !begun => {
                let mut at = first;
                for number in Packed(bytes, *coding) {
                    self.number(field.columns.start, number?, at);
                    at = again;
                }
                if bytes.is_empty() { Err(Odd) } else { Ok(()) }
            }
            (What::Group(fields), Raw::Bytes(bytes)) => self.message(fields, bytes, u32::MAX, first),
            _ => Err(Odd),
        }
    }

    /// A field that is not there: null where that is another thing than zero, no element of a list.
    fn missing(&mut self, field: &Field, at: Place) {
        let form = self.rows.cells[field.columns.start].form;
        let plain = matches!(field.what, What::Leaf(_)) && !field.repeated && !field.presence;
        match form {
            _ if !plain || matches!(form, Form::Hash) => self.absent(field.columns.clone(), at),
            Form::Text | Form::Bytes | Form::Address(_) => self.bytes(field.columns.start, at, |_| ()),
            _ => self.number(field.columns.start, 0, at),
        }
    }

    fn absent(&mut self, columns: Range<usize>, at: Place) {
        for cells in &mut self.rows.cells[columns] {
            cells.definitions.push(at.definition);
            if cells.listed {
                cells.repetitions.push(at.repetition);
            }
        }
    }

    fn value(&mut self, column: usize, coding: Coding, value: Raw<'_>, within: &[u8], at: Place) -> Result<(), Odd> {
        match (coding, value) {
            (Coding::Varint | Coding::ZigZag, Raw::Number(number)) => self.number(column, decoded(number, coding), at),
            (Coding::Fixed64, Raw::Fixed64(number)) => self.number(column, number, at),
            (Coding::Bytes, Raw::Bytes(bytes)) => match self.rows.cells[column].form {
                Form::Hash => self.hash(column, bytes, at),
                Form::Text => {
                    let text = std::str::from_utf8(bytes).map_err(|_| Odd)?;
                    self.bytes(column, at, |out| out.extend_from_slice(text.as_bytes()));
                }
                Form::Address(network) => {
                    let network = network_of(within, network)?;
                    self.bytes(column, at, |out| write_text(out, &Address(network, bytes)));
                }
                _ => self.bytes(column, at, |out| out.extend_from_slice(bytes)),
            },
            _ => return Err(Odd),
        }
        Ok(())
    }

    fn number(&mut self, column: usize, number: u64, at: Place) {
        let number = match self.rows.cells[column].form {
            Form::Nanos => i64::try_from(number).ok(),
            Form::Seconds => (number as i64).checked_mul(1_000_000_000),
            _ => Some(number as i64),
        };
        let Some(number) = number else {
            self.rows.unfit += 1;
            return self.absent(column..column + 1, at);
        };
        match &mut self.cells(column, at).values {
            Values::Bool(values) => values.push(number != 0),
            Values::I32(values) | Values::Word(values) => values.push(number as i32),
            Values::I64(values) => values.push(number),
            Values::Double(values) => values.push(f64::from_bits(number as u64)),
            Values::Bytes(..) | Values::Hash(_) => unreachable!("numbers have columns of numbers"),
        }
    }

    fn hash(&mut self, column: usize, hash: &[u8], at: Place) {
        if hash.len() != 32 {
            // one that is empty is not there
            self.rows.unfit += u64::from(!hash.is_empty());
            return self.absent(column..column + 1, at);
        }
        if let Values::Hash(values) = &mut self.cells(column, at).values {
            values.extend(hash.iter().rev());
        }
    }

    fn bytes(&mut self, column: usize, at: Place, write: impl FnOnce(&mut Vec<u8>)) {
        if let Values::Bytes(bytes, ends) = &mut self.cells(column, at).values {
            write(bytes);
            // 32 bits suffice: rows are written long before
            ends.push(bytes.len() as u32);
        }
    }

    /// The cells of a column, where a value comes.
    #[inline]
    fn cells(&mut self, column: usize, at: Place) -> &mut Cells {
        let cells = &mut self.rows.cells[column];
        if cells.full > 0 {
            cells.definitions.push(cells.full);
        }
        if cells.listed {
            cells.repetitions.push(at.repetition);
        }
        cells
    }
}

/// The network of an address: another field of the same message.
fn network_of(within: &[u8], number: u32) -> Result<Network, Odd> {
    let (mut message, mut network) = (Message(within), 0);
    while let Some((field, value)) = message.next()? {
        if let (true, Raw::Number(value)) = (field == number, value) {
            network = value as i32;
        }
    }
    Ok(Network::try_from(network).unwrap_or_default())
}

fn write_text(out: &mut Vec<u8>, value: &impl std::fmt::Display) {
    struct Out<'a>(&'a mut Vec<u8>);
    impl std::fmt::Write for Out<'_> {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    let _ = write!(Out(out), "{value}");
}

impl Cells {
    fn new(column: &Column) -> Self {
        let values = match column.form {
            Form::Bool => Values::Bool(Vec::new()),
            Form::I32 | Form::U32 => Values::I32(Vec::new()),
            Form::I64 | Form::U64 | Form::Nanos | Form::Seconds => Values::I64(Vec::new()),
            Form::Double => Values::Double(Vec::new()),
            Form::Word(_) => Values::Word(Vec::new()),
            Form::Text | Form::Bytes | Form::Address(_) => Values::Bytes(Vec::new(), Vec::new()),
            Form::Hash => Values::Hash(Vec::new()),
        };
        let (form, full, listed) = (column.form, column.full(), !column.lists.is_empty());
        Self { form, full, listed, values, definitions: Vec::new(), repetitions: Vec::new() }
    }

    fn clear(&mut self) {
        self.keep(0);
        self.definitions.clear();
        self.repetitions.clear();
    }

    /// Forgets what came after so many rows.
    fn truncate(&mut self, rows: usize) {
        if self.full == 0 {
            return self.keep(rows);
        }
        let levels = if !self.listed {
            rows
        } else {
            // a row begins where the outermost list does
            let starts = self.repetitions.iter().enumerate().filter(|(_, repetition)| **repetition == 0);
            starts.map(|(at, _)| at).nth(rows).unwrap_or(self.repetitions.len())
        };
        self.definitions.truncate(levels);
        self.repetitions.truncate(levels);
        self.keep(self.definitions.iter().filter(|definition| **definition == self.full).count());
    }

    fn keep(&mut self, count: usize) {
        match &mut self.values {
            Values::Bool(values) => values.truncate(count),
            Values::I32(values) | Values::Word(values) => values.truncate(count),
            Values::I64(values) => values.truncate(count),
            Values::Double(values) => values.truncate(count),
            Values::Hash(values) => values.truncate(32 * count),
            Values::Bytes(bytes, ends) => {
                ends.truncate(count);
                bytes.truncate(ends.last().map_or(0, |end| *end as usize));
            }
        }
    }
}
