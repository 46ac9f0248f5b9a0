//! What packing wants to know of the schema: which runs of bytes are messages, which fields are lists. Hints only: a frame says itself
//! how it is to be read, so a release that knows other kinds and fields reads it as well.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Class;
use crate::schema::{FieldDoc, KINDS, PARTS};

/// What a field is, as far as packing cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Type {
    /// A number, text or bytes.
    Single,
    /// The message of this index.
    Message(usize),
    /// A list of numbers in one run of bytes.
    Varints,
    /// A list of 8-byte numbers in one run of bytes.
    Fixed,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) kind: Type,
    pub(crate) list: bool,
    scalar: Scalar,
}

/// What a single value is on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Scalar {
    Varint,
    Fixed8,
    Bytes,
}

/// A message of the schema.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// By number.
    fields: Vec<Option<Field>>,
    /// Whether its first field names what it is about (the id of a peer, the name of a counter), so that its numbers are best stated as
    /// the difference to those it had before.
    pub(crate) keyed: bool,
    /// Its field 1 is a peer's id, and fields 3 to 5 say who that is: the same for all messages of a peer.
    pub(crate) of_peer: bool,
    /// The field with a peer's id, and whether it may be absent.
    pub(crate) peer: Option<(u32, bool)>,
}

impl Field {
    /// What its values can be in a frame.
    pub(crate) const fn classes(&self) -> &'static [Class] {
        match (self.kind, self.scalar) {
            (Type::Message(_), _) => &[Class::Message],
            (Type::Varints, _) => &[Class::Number, Class::Change, Class::NumberList],
            (Type::Fixed, _) => &[Class::Fixed8, Class::FixedList],
            (Type::Single, Scalar::Varint) => &[Class::Number, Class::Change],
            (Type::Single, Scalar::Fixed8) => &[Class::Fixed8],
            (Type::Single, Scalar::Bytes) => &[Class::Bytes],
        }
    }

    /// The message that it is.
    pub(crate) const fn part(&self) -> Option<usize> {
        match self.kind {
            Type::Message(part) => Some(part),
            _ => None,
        }
    }
}

impl Part {
    pub(crate) fn field(&self, number: u32) -> Option<Field> {
        *self.fields.get(number as usize)?
    }
}

pub(crate) struct Layout {
    parts: Vec<Part>,
    kinds: HashMap<u32, usize>,
}

pub(crate) static LAYOUT: LazyLock<Layout> = LazyLock::new(Layout::of_schema);

impl Layout {
    fn of_schema() -> Self {
        let documented =
            KINDS.iter().map(|kind| (kind.message, kind.fields)).chain(PARTS.iter().map(|part| (part.message, part.fields)));
        let index: HashMap<&str, usize> = documented.clone().map(|(name, _)| name).zip(0..).collect();
        let parts = documented.map(|(_, fields)| part(fields, &index)).collect();
        let kinds = KINDS.iter().map(|kind| kind.id as u32).zip(0..).collect();
        Self { parts, kinds }
    }

    /// The message of a kind, by the kind's number.
    pub(crate) fn kind(&self, number: u32) -> Option<usize> {
        self.kinds.get(&number).copied()
    }

    pub(crate) fn part(&self, index: usize) -> &Part {
        &self.parts[index]
    }
}

fn part(fields: &[FieldDoc], index: &HashMap<&str, usize>) -> Part {
    let mut part = Part::default();
    for doc in fields {
        let (label, kind) = doc.kind.rsplit_once(' ').unwrap_or(("", doc.kind));
        let list = label == "repeated";
        let scalar = match kind {
            "string" | "bytes" => Scalar::Bytes,
            "fixed64" | "sfixed64" | "double" => Scalar::Fixed8,
            _ => Scalar::Varint,
        };
        let field = Field { kind: packed(kind, list, index), list, scalar };
        let number = doc.number as usize;
        // numbers are small, or it would be no message of ours
        part.fields.resize(part.fields.len().max(number + 1), None);
        part.fields[number] = Some(field);
        if doc.name == "peer" {
            part.peer = Some((doc.number, label == "optional"));
        }
        if doc.number == 1 && !list {
            part.keyed = matches!(kind, "string" | "uint32" | "uint64");
        }
    }
    let named = |number: usize, name| fields.iter().all(|doc| doc.number as usize != number || doc.name == name);
    part.of_peer = part.peer == Some((1, false)) && named(3, "address") && named(4, "connection_type") && named(5, "network");
    part
}

fn packed(kind: &str, list: bool, index: &HashMap<&str, usize>) -> Type {
    match (kind, list) {
        ("string" | "bytes", _) => Type::Single,
        ("fixed64" | "sfixed64" | "double", true) => Type::Fixed,
        // no such lists in the schema: as bytes they survive all the same
        ("fixed32" | "sfixed32" | "float", true) => Type::Single,
        _ => match (index.get(kind), list) {
            (Some(part), _) => Type::Message(*part),
            (None, true) => Type::Varints,
            (None, false) => Type::Single,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KindId;

    fn of(id: KindId) -> &'static Part {
        LAYOUT.part(LAYOUT.kind(id as u32).unwrap())
    }

    #[test]
    fn the_schema_says_what_is_what() {
        let inv = of(KindId::NetInv);
        assert!(inv.of_peer && inv.peer == Some((1, false)));
        let items = inv.field(10).unwrap();
        assert!(items.list && matches!(items.kind, Type::Message(_)));
        assert_eq!(of(KindId::NetCmpctblock).field(12).unwrap().kind, Type::Fixed);
        assert_eq!(of(KindId::NetGetblocktxn).field(11).unwrap().kind, Type::Varints);
        // an enumeration is a number
        assert_eq!(inv.field(2).unwrap().kind, Type::Single);
        assert_eq!(of(KindId::MempoolRejected).peer, Some((5, true)));
    }

    #[test]
    fn elements_with_a_name_of_their_own_are_keyed() {
        let Type::Message(total) = of(KindId::HealthBeat).field(2).unwrap().kind else { panic!("a message") };
        let Type::Message(item) = of(KindId::NetInv).field(10).unwrap().kind else { panic!("a message") };
        assert!(LAYOUT.part(total).keyed && !LAYOUT.part(item).keyed);
    }
}
