//! The schema of events as JSON, and the description of the interface.

use std::sync::OnceLock;

use event::schema::{FieldDoc, KINDS, PARTS, WORDS};
use serde_json::{Map, Value, json};

/// The interface, for programs that read such descriptions.
pub const OPENAPI: &str = include_str!("../../../../docs/openapi.json");

/// `/api/schema`
pub fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| schema().to_string())
}

fn schema() -> Value {
    let kinds = KINDS.iter().map(|kind| {
        json!({
            "kind": kind.id.name(), "number": kind.id as u16, "message": kind.message, "field": field_of(kind.id.name()),
            "doc": kind.doc, "fields": fields(kind.fields),
        })
    });
    let messages = PARTS.iter().map(|part| (part.message.to_owned(), json!({ "doc": part.doc, "fields": fields(part.fields) })));
    let words = WORDS.iter().map(|words| {
        let all = words.words.iter().map(|(word, number, doc)| json!({ "word": word, "number": number, "doc": doc }));
        (words.name.to_owned(), json!({ "doc": words.doc, "words": all.collect::<Vec<_>>() }))
    });
    let (messages, words): (Map<_, _>, Map<_, _>) = (messages.collect(), words.collect());
    json!({ "kinds": kinds.collect::<Vec<_>>(), "messages": messages, "words": words })
}

fn fields(fields: &[FieldDoc]) -> Vec<Value> {
    let field = |field: &FieldDoc| {
        let (label, kind) = field.kind.rsplit_once(' ').unwrap_or(("", field.kind));
        json!({
            "name": field.json, "number": field.number, "type": kind, "repeated": label == "repeated", "optional": label == "optional",
            "text": field.text, "doc": field.doc,
        })
    };
    fields.iter().map(field).collect()
}

/// Under which name an event of a kind has its message: `state.net_totals` under `stateNetTotals`.
pub fn field_of(kind: &str) -> String {
    let mut field = String::new();
    let mut capital = false;
    for letter in kind.chars() {
        if letter == '.' || letter == '_' {
            capital = true;
        } else {
            field.push(if std::mem::take(&mut capital) { letter.to_ascii_uppercase() } else { letter });
        }
    }
    field
}
