//! The table of thresholds, for people and for programs.

use std::fmt::Write as _;

use detect::thresholds::{TABLE, Thresholds};
use serde_json::json;

use crate::logger::Format;

/// Every threshold with its value in force and what it means; then those that nodes have of their own.
pub fn thresholds(thresholds: &Thresholds, format: Format) -> String {
    let mut text = String::new();
    let common = thresholds.of("");
    for (row, limit) in TABLE.iter().zip(detect::thresholds::ALL) {
        let value = common.get(*limit);
        match format {
            Format::Text => {
                let unit = if row.unit.is_empty() { String::new() } else { format!(" {}", row.unit) };
                let changed = if value == row.default { String::new() } else { format!(" (instead of {})", row.default) };
                writeln!(text, "{} = {value}{unit}{changed}\n    {} [{}]", row.name, row.meaning, row.source)
            }
            Format::Json => {
                let (name, default, unit, meaning, source) = (row.name, row.default, row.unit, row.meaning, row.source);
                let line = json!({
                    "name": name, "value": value, "default": default, "unit": unit, "meaning": meaning, "source": source,
                });
                writeln!(text, "{line}")
            }
        }
        .expect("into a string");
    }
    for (node, row, value) in thresholds.changed() {
        let Some(node) = node else { continue };
        match format {
            Format::Text => writeln!(text, "{node}:{} = {value}", row.name),
            Format::Json => writeln!(text, "{}", json!({ "node": node, "name": row.name, "value": value })),
        }
        .expect("into a string");
    }
    text
}

/// What the detectors are, one line each.
pub fn page() -> String {
    let line = |entry: &detect::Entry| format!("{} {}: {}\n", entry.about.id, entry.about.name, entry.about.title);
    detect::all().iter().map(line).collect()
}
