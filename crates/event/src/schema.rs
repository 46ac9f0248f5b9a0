//! The schema as data: what `peer-observer events` prints, and what the list of frozen numbers is made of.

use std::fmt::Write as _;

use crate::{KindId, KindSet};

/// A kind of event.
#[derive(Clone, Copy, Debug)]
pub struct KindDoc {
    /// Which.
    pub id: KindId,
    /// Name of the message in `proto/`.
    pub message: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// Its fields, by number.
    pub fields: &'static [FieldDoc],
}

/// A message that is a part of others.
#[derive(Clone, Copy, Debug)]
pub struct PartDoc {
    /// Name of the message in `proto/`.
    pub message: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// Its fields, by number.
    pub fields: &'static [FieldDoc],
}

/// A field.
#[derive(Clone, Copy, Debug)]
pub struct FieldDoc {
    /// Number on the wire.
    pub number: u32,
    /// Name in `proto/`.
    pub name: &'static str,
    /// Name in JSON.
    pub json: &'static str,
    /// Type, with `repeated` or `optional` before it.
    pub kind: &'static str,
    /// The option `text`.
    pub text: &'static str,
    /// Meaning, unit, range, when it is absent.
    pub doc: &'static str,
}

/// An enumeration.
#[derive(Clone, Copy, Debug)]
pub struct WordsDoc {
    /// Name in `proto/`.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// Word, number, meaning.
    pub words: &'static [(&'static str, i32, &'static str)],
}

include!(concat!(env!("OUT_DIR"), "/schema.rs"));

/// Every number that is on the wire, a line each: what must never change once released.
pub fn numbers() -> String {
    let mut out = String::new();
    for kind in KINDS {
        let _ = writeln!(out, "kind {} {}", kind.id as u16, kind.id);
        fields(&mut out, kind.message, kind.fields);
    }
    for part in PARTS {
        fields(&mut out, part.message, part.fields);
    }
    for words in WORDS {
        for (word, number, _) in words.words {
            let _ = writeln!(out, "word {} {number} {word}", words.name);
        }
    }
    out
}

fn fields(out: &mut String, message: &str, fields: &[FieldDoc]) {
    for field in fields {
        let _ = writeln!(out, "field {message} {} {} {}", field.number, field.name, field.kind);
    }
}

/// The schema as a page of Markdown: the envelope, every kind, and what they are made of.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Events\n\nGenerated from `proto/`. An event is one fact about one node: an envelope and one kind. Every kind is listed here with \
         its fields in the order of their numbers, by their names in JSON.\n",
    );
    for part in PARTS.iter().filter(|part| part.message == "Event") {
        let _ = write!(out, "\n## The envelope\n\n{}\n\n", part.doc);
        table(&mut out, part.fields);
    }
    kinds(&mut out, &KindSet::all());
    out.push_str("\n## Parts\n");
    for part in PARTS.iter().filter(|part| part.message != "Event") {
        let _ = write!(out, "\n### {}\n\n{}\n\n", part.message, part.doc);
        table(&mut out, part.fields);
    }
    out.push_str("\n## Words\n");
    for words in WORDS {
        let _ = write!(out, "\n### {}\n\n{}\n\n", words.name, words.doc);
        for (word, _, doc) in words.words {
            let _ = if doc.is_empty() { writeln!(out, "- `{word}`") } else { writeln!(out, "- `{word}`: {doc}") };
        }
    }
    out
}

/// Some kinds, as Markdown.
pub fn markdown_of(some: &KindSet) -> String {
    let mut out = String::new();
    kinds(&mut out, some);
    out.trim_start().to_owned()
}

fn kinds(out: &mut String, some: &KindSet) {
    let mut family = "";
    for kind in KINDS.iter().filter(|kind| some.contains(kind.id)) {
        let first = kind.id.family() != family;
        if kind.id.family() != family {
            family = kind.id.family();
            let _ = write!(out, "\n## {family}\n");
        }
        let _ = write!(out, "\n### `{}` ({})\n\n{}\n\n", kind.id, kind.id as u16, kind.doc);
        // said once: the fields that every message has
        let own: Vec<_> = kind.fields.iter().filter(|f| family != "net" || f.number >= 10).copied().collect();
        if family == "net" && first {
            out.push_str("Every `net` kind has these fields:\n\n");
            table(out, &kind.fields[..7]);
            let _ = write!(out, "\nand `{}` also:\n\n", kind.id);
        }
        table(out, &own);
    }
}

fn table(out: &mut String, fields: &[FieldDoc]) {
    if fields.is_empty() {
        return;
    }
    out.push_str("| field | type | meaning |\n|---|---|---|\n");
    for field in fields {
        let kind = match field.text {
            "TEXT_HASH" => field.kind.replace("bytes", "hash"),
            "TEXT_HEX" => field.kind.replace("bytes", "hex"),
            "TEXT_ADDRESS" => field.kind.replace("bytes", "address"),
            _ => field.kind.to_owned(),
        };
        let _ = writeln!(out, "| `{}` | {kind} | {} |", field.json, field.doc.replace('|', "\\|"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect_file;

    /// Numbers on the wire, as committed. From release 0.1.0 on lines may be added, never changed or taken away.
    #[test]
    fn numbers_are_those_on_file() {
        expect_file!["../../../proto/numbers.txt"].assert_eq(&numbers());
    }

    /// What 0.1.0 releases is copied to `proto/frozen.txt`; nothing in it may ever change.
    #[test]
    fn released_numbers_stay() {
        let frozen = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto/frozen.txt");
        let released = !env!("CARGO_PKG_VERSION").starts_with("0.0.");
        let frozen = match std::fs::read_to_string(frozen) {
            Ok(text) => text,
            Err(_) if !released => return,
            Err(error) => panic!("release 0.1.0 and later need {frozen}, a copy of proto/numbers.txt at release: {error}"),
        };
        let now = numbers();
        let now: std::collections::HashSet<&str> = now.lines().collect();
        let broken: Vec<&str> = frozen.lines().filter(|line| !now.contains(line)).collect();
        assert!(broken.is_empty(), "released numbers changed: {broken:#?}");
    }

    #[test]
    fn the_page_is_up_to_date() {
        expect_file!["../../../docs/events.md"].assert_eq(&markdown());
    }

    #[test]
    fn every_kind_and_every_message_says_what_it_means() {
        for kind in KINDS {
            assert!(!kind.doc.is_empty(), "{} needs a comment in proto/", kind.id);
        }
        for part in PARTS {
            assert!(!part.doc.is_empty(), "{} needs a comment in proto/", part.message);
        }
    }
}
