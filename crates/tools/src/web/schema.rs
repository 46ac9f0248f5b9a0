//! The schema of events as JSON, and the description of the interface.

use std::sync::OnceLock;

use event::schema::{FieldDoc, KINDS, PARTS, WORDS};
use serde_json::{Value, json};

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
            "name": kind.id.name(), "number": kind.id as u16, "message": kind.message, "doc": kind.doc, "fields": fields(kind.fields),
        })
    });
    let parts = PARTS.iter().map(|part| json!({ "message": part.message, "doc": part.doc, "fields": fields(part.fields) }));
    let words = WORDS.iter().map(|words| {
        let all = words.words.iter().map(|(word, number, doc)| json!({ "word": word, "number": number, "doc": doc }));
        json!({ "name": words.name, "doc": words.doc, "words": all.collect::<Vec<_>>() })
    });
    json!({ "kinds": kinds.collect::<Vec<_>>(), "parts": parts.collect::<Vec<_>>(), "words": words.collect::<Vec<_>>() })
}

fn fields(fields: &[FieldDoc]) -> Vec<Value> {
    let field = |field: &FieldDoc| json!({ "name": field.json, "number": field.number, "type": field.kind, "text": field.text, "doc": field.doc });
    fields.iter().map(field).collect()
}
