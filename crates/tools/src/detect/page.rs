//! The table of thresholds, for people.

use std::fmt::Write as _;

use detect::thresholds::{TABLE, Thresholds};

/// Every threshold with its value in force and what it means.
pub fn thresholds(thresholds: &Thresholds) -> String {
    let mut text = String::new();
    let common = thresholds.of("");
    for (row, limit) in TABLE.iter().zip(detect::thresholds::ALL) {
        let value = common.get(*limit);
        let unit = if row.unit.is_empty() { String::new() } else { format!(" {}", row.unit) };
        let changed = if value == row.default { String::new() } else { format!(" (instead of {})", row.default) };
        writeln!(text, "{} = {value}{unit}{changed}\n    {} [{}]", row.name, row.meaning, row.source).expect("into a string");
    }
    for (node, row, value) in thresholds.changed() {
        if let Some(node) = node {
            writeln!(text, "{node}:{} = {value}", row.name).expect("into a string");
        }
    }
    text
}

/// What the detectors are, one line each.
pub fn page() -> String {
    let line = |entry: &detect::Entry| format!("{} {}: {}\n", entry.about.id, entry.about.name, entry.about.title);
    detect::all().iter().map(line).collect()
}
