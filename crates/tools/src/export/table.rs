//! Tables: one per kind, derived from the schema.
//!
//! A field is a column. A message inside becomes columns named after it (`header_hash`), a repeated field a list, and a repeated message
//! a list of structs. The envelope comes first; a field that is called like one of its columns has the kind's short name before it
//! (`version_time`). The node is no column: it is in the path, as `node=…`.

use std::ops::Range;
use std::sync::LazyLock;

use event::KindId;
use event::schema::{FieldDoc, KINDS, PARTS, WORDS, WordsDoc};

/// The table of a kind.
#[derive(Debug)]
pub struct Table {
    /// Of which.
    pub id: KindId,
    /// `net_inv`: the kind's name with an underscore, for SQL.
    pub name: String,
    /// `netInv`: what the message is called in JSON.
    pub json: String,
    /// What its rows mean.
    pub doc: &'static str,
    /// Its columns, in order; those of one list stand together.
    pub columns: Vec<Column>,
    /// The fields of the envelope that are columns.
    pub(super) envelope: Vec<Field>,
    /// The fields of the kind.
    pub(super) message: Vec<Field>,
}

/// What is stored as one column: a leaf of Parquet's schema.
#[derive(Debug)]
pub struct Column {
    /// Name of the table's column.
    pub name: String,
    /// Of a list of structs, the name within the struct.
    pub element: Option<String>,
    /// Lists around it, from outside: `bytes_sent_per_message` of `peers` is a list in the struct of a list.
    pub lists: Vec<String>,
    /// What its values are.
    pub form: Form,
    /// Whether it may be null, where its row or its struct is there.
    pub nullable: bool,
    /// Meaning, unit, range, when it is absent.
    pub doc: &'static str,
    /// Where it is in the message's JSON, or the outermost list around it.
    pub json: Vec<&'static str>,
}

/// What values are.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// True or false.
    Bool,
    /// 32 bits with sign.
    I32,
    /// 32 bits.
    U32,
    /// 64 bits with sign.
    I64,
    /// 64 bits.
    U64,
    /// A floating-point number.
    Double,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// 32 bytes in display order.
    Hash,
    /// An address as text; the number of the field that has its network.
    Address(u32),
    /// A word of an enumeration.
    Word(&'static WordsDoc),
    /// A time to the nanosecond, from nanoseconds.
    Nanos,
    /// Likewise, from seconds.
    Seconds,
}

/// How a number stands on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Coding {
    Varint,
    ZigZag,
    /// Eight bytes, little-endian; doubles, too.
    Fixed64,
    /// Length and bytes.
    Bytes,
}

/// A field, as the way from the wire into columns.
#[derive(Debug)]
pub(super) struct Field {
    pub number: u32,
    pub repeated: bool,
    /// Absent is another thing than zero.
    pub presence: bool,
    pub what: What,
    /// The columns that come of it.
    pub columns: Range<usize>,
}

#[derive(Debug)]
pub(super) enum What {
    Leaf(Coding),
    Group(Vec<Field>),
}

impl Column {
    /// How many lists are around it.
    pub fn depth(&self) -> i16 {
        self.lists.len() as i16
    }

    /// The definition level of a value that is there.
    pub fn full(&self) -> i16 {
        self.depth() + i16::from(self.nullable)
    }

    /// As a person writes it: `items[].hash`.
    pub fn path(&self) -> String {
        let mut path = self.lists.iter().map(|list| format!("{list}[]")).collect::<Vec<_>>();
        path.extend(if self.lists.is_empty() { Some(self.name.clone()) } else { self.element.clone() });
        path.join(".")
    }
}

impl Form {
    /// As the manual names it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::I32 => "int32",
            Self::U32 => "uint32",
            Self::I64 => "int64",
            Self::U64 => "uint64",
            Self::Double => "double",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Hash => "hash",
            Self::Address(_) => "address",
            Self::Word(_) => "word",
            Self::Nanos | Self::Seconds => "timestamp",
        }
    }
}

/// Every table, in the order of the kinds.
pub fn tables() -> &'static [Table] {
    static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| KINDS.iter().map(Table::of).collect());
    &TABLES
}

/// The fields of the envelope that are columns. The node is in the path; the kind is the table.
fn envelope() -> impl Iterator<Item = &'static FieldDoc> {
    let event = PARTS.iter().find(|part| part.message == "Event");
    event.into_iter().flat_map(|event| event.fields).filter(|field| field.name != "node")
}

impl Table {
    fn of(kind: &event::schema::KindDoc) -> Self {
        let mut making = Making { columns: Vec::new() };
        let top = Scope::default();
        let envelope = making.fields(envelope(), &top);
        let taken: Vec<String> = making.columns.iter().map(|column| column.name.clone()).collect();
        let scope = Scope { taken, short: kind.id.short_name(), ..top };
        let message = making.fields(kind.fields.iter(), &scope);
        let name = kind.id.name().replace('.', "_");
        let json = camel(&name);
        Self { id: kind.id, name, json, doc: kind.doc, columns: making.columns, envelope, message }
    }

    /// How many columns a reader sees: a list is one.
    pub fn width(&self) -> usize {
        self.tops().count()
    }

    /// The leaves of each column that a reader sees.
    pub fn tops(&self) -> impl Iterator<Item = &[Column]> {
        self.columns.chunk_by(|one, other| !one.lists.is_empty() && one.lists.first() == other.lists.first())
    }
}

/// `netInv` of `net_inv`.
fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| {
        let (head, tail) = part.split_at(part.len().min(1));
        name + &head.to_ascii_uppercase() + tail
    })
}

struct Making {
    columns: Vec<Column>,
}

/// Where fields are.
#[derive(Clone, Default)]
struct Scope {
    /// Names of the messages around, up to the last list.
    prefix: String,
    /// A message around may be absent, and with it everything in it.
    optional: bool,
    lists: Vec<String>,
    json: Vec<&'static str>,
    /// Names that are taken.
    taken: Vec<String>,
    short: &'static str,
}

impl Making {
    fn fields<'a>(&mut self, fields: impl Iterator<Item = &'a FieldDoc>, scope: &Scope) -> Vec<Field>
    where
        FieldDoc: 'a,
    {
        let fields: Vec<&FieldDoc> = fields.collect();
        fields.iter().map(|field| self.field(field, &fields, scope)).collect()
    }

    fn field(&mut self, field: &FieldDoc, siblings: &[&FieldDoc], scope: &Scope) -> Field {
        let (label, kind) = field.kind.split_once(' ').unwrap_or(("", field.kind));
        let (repeated, presence) = (label == "repeated", label == "optional");
        let mut name = format!("{}{}", scope.prefix, field.name);
        if scope.lists.is_empty() && scope.taken.contains(&name) {
            name = format!("{}_{name}", scope.short);
        }
        let mut inner = scope.clone();
        if scope.lists.is_empty() {
            inner.json.push(field.json);
        }
        if repeated {
            inner.lists.push(std::mem::take(&mut name));
            inner.optional = false;
        }
        let start = self.columns.len();
        let what = match PARTS.iter().find(|part| part.message == kind) {
            Some(part) => {
                inner.prefix = if repeated { String::new() } else { format!("{name}_") };
                inner.optional |= !repeated;
                What::Group(self.fields(part.fields.iter(), &inner))
            }
            None => {
                let (form, coding) = form(field, kind, siblings);
                // what a stranger wrote may be no hash, or a time that no calendar has
                let unfit = matches!(form, Form::Hash | Form::Nanos | Form::Seconds);
                self.columns.push(Column {
                    name: inner.lists.first().cloned().unwrap_or_else(|| name.clone()),
                    element: (!inner.lists.is_empty() && !repeated).then_some(name),
                    nullable: presence || inner.optional || unfit,
                    lists: inner.lists,
                    form,
                    doc: field.doc,
                    json: inner.json,
                });
                What::Leaf(coding)
            }
        };
        Field { number: field.number, repeated, presence, what, columns: start..self.columns.len() }
    }
}

fn form(field: &FieldDoc, kind: &str, siblings: &[&FieldDoc]) -> (Form, Coding) {
    let plain = match kind {
        "bool" => (Form::Bool, Coding::Varint),
        "int32" => (Form::I32, Coding::Varint),
        "sint32" => (Form::I32, Coding::ZigZag),
        "uint32" => (Form::U32, Coding::Varint),
        "int64" => (Form::I64, Coding::Varint),
        "sint64" => (Form::I64, Coding::ZigZag),
        "uint64" => (Form::U64, Coding::Varint),
        "fixed64" => (Form::U64, Coding::Fixed64),
        "double" => (Form::Double, Coding::Fixed64),
        "string" => (Form::Text, Coding::Bytes),
        "bytes" => (Form::Bytes, Coding::Bytes),
        word => match WORDS.iter().find(|words| words.name == word) {
            Some(words) => (Form::Word(words), Coding::Varint),
            None => unreachable!("{}: the schema has no other types, as a test makes sure", field.name),
        },
    };
    let network = || {
        let own = format!("{}_network", field.name);
        let find = |name: &str| siblings.iter().find(|sibling| sibling.name == name);
        find(&own).or_else(|| find("network")).map_or(0, |sibling| sibling.number)
    };
    match field.text {
        "TEXT_HASH" => (Form::Hash, plain.1),
        "TEXT_ADDRESS" => (Form::Address(network()), plain.1),
        "TEXT_TIME_NANOS" => (Form::Nanos, plain.1),
        "TEXT_TIME_SECONDS" => (Form::Seconds, plain.1),
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn table(name: &str) -> &'static Table {
        tables().iter().find(|table| table.name == name).unwrap()
    }

    fn columns(name: &str) -> String {
        let line = |column: &Column| {
            let null = if column.nullable { " null" } else { "" };
            format!("{} {}{null}", column.path(), column.form.word())
        };
        table(name).columns[6..].iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_kind_has_a_table_whose_columns_have_different_names() {
        assert_eq!(tables().len(), KindId::ALL.len());
        for (table, id) in tables().iter().zip(KindId::ALL) {
            assert_eq!(table.id, id);
            let paths: HashSet<String> = table.columns.iter().map(Column::path).collect();
            assert_eq!(paths.len(), table.columns.len(), "{}", table.name);
            let names: HashSet<&str> = table.tops().map(|columns| columns[0].name.as_str()).collect();
            assert_eq!(names.len(), table.width(), "{}", table.name);
            // DuckDB, ClickHouse and Windows take `Time` for `time`
            assert!(paths.iter().all(|path| path.to_lowercase() == *path), "{}", table.name);
        }
    }

    #[test]
    fn the_envelope_comes_first_in_every_table() {
        for table in tables() {
            let names: Vec<&str> = table.columns.iter().take(6).map(|column| column.name.as_str()).collect();
            assert_eq!(names, ["node_run", "source", "run", "sequence", "time", "replay"], "{}", table.name);
        }
    }

    #[test]
    fn lists_are_lists_and_messages_are_prefixes() {
        expect_test::expect![[r#"
            peer uint64
            direction word
            address text
            connection_type word
            network word
            size uint32
            raw bytes null
            items[].type word
            items[].hash hash null
            items[].number uint32 null"#]]
        .assert_eq(&columns("net_inv"));
        expect_test::expect![[r#"
            peer uint64
            direction word
            address text
            connection_type word
            network word
            size uint32
            raw bytes null
            version uint32
            services uint64
            version_time timestamp null
            receiver_services uint64
            receiver_address text
            sender_services uint64
            sender_address text
            nonce uint64
            user_agent text
            start_height int32
            relay boolean"#]]
        .assert_eq(&columns("net_version"));
        expect_test::expect![[r#"
            hash hash null
            height uint32 null
            deployments[].name text
            deployments[].type text null
            deployments[].active boolean null
            deployments[].height uint32 null
            deployments[].bip9_bit uint32 null
            deployments[].bip9_status text null
            deployments[].bip9_since uint32 null
            deployments[].bip9_status_next text null
            deployments[].bip9_statistics_period uint32 null
            deployments[].bip9_statistics_threshold uint32 null
            deployments[].bip9_statistics_elapsed uint32 null
            deployments[].bip9_statistics_count uint32 null
            deployments[].bip9_statistics_possible boolean null
            script_flags[] text"#]]
        .assert_eq(&columns("state_deployments"));
    }
}
