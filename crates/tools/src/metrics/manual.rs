//! `docs/metrics.md`: every metric, for people.

use std::fmt::Write as _;

use super::cells::{Row, Shape};
use super::label::Words;
use super::table::{self, tool};

/// The page.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Metrics\n\nWhat `peer-observer metrics` and `run` serve at `/metrics`. Generated from `crates/tools/src/metrics/table.rs`; do not edit.\n\n\
         Every metric has the label `node` besides those listed, except for those of the tool itself. Labels are words of closed sets: nothing that a \
         peer chooses becomes one. Counters begin at 0 with the process, those marked as the node's with the node. Gauges vanish with the source that \
         they come from: when it detaches, has not beaten for a minute (what archives and ships: for an hour), when the node was restarted, or an RPC call \
         fails.\n\n\
         A series appears when there is something to count. Metrics with at most 12 series show their zeros as soon as a source that could state them \
         was heard, so that an absent one means: not known.\n",
    );
    for (title, rows) in [("The tool itself", &tool::ROWS[..]), ("Nodes", &table::ROWS[..])] {
        let _ = write!(out, "\n## {title}\n");
        for row in rows {
            describe(&mut out, row);
        }
    }
    out
}

fn describe(out: &mut String, row: &Row) {
    let kind = match row.shape {
        Shape::Counter => "counter",
        Shape::Gauge => "gauge",
        Shape::Reported => "counter of the node's",
        Shape::Histogram(_) => "histogram",
    };
    let _ = write!(out, "\n### `{}`\n\n{}\n\n- {kind}", row.name, row.help);
    let families = ["net", "conn", "mempool", "chain", "state", "probe", "health", "finding", "incident"];
    match row.from {
        [] => {}
        from if from.len() == event::KindId::ALL.len() => out.push_str(", of every event"),
        from if from.len() > 12 => {
            let of = families.iter().filter(|family| from.iter().any(|id| id.family() == **family));
            let names: Vec<String> = of.map(|family| format!("`{family}.*`")).collect();
            let _ = write!(out, ", of {}", names.join(", "));
        }
        from => {
            let names: Vec<String> = from.iter().map(|id| format!("`{id}`")).collect();
            let _ = write!(out, ", of {}", names.join(", "));
        }
    }
    out.push('\n');
    for label in row.labels {
        let words = match label.words {
            Words::Fixed(words) if words.len() > 45 => {
                format!("{} words, `{}` to `{}`", words.len(), words[0], words[words.len() - 1])
            }
            Words::Fixed(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" "),
            Words::Lists => "names of the operator's lists of addresses, at most 16".into(),
            Words::Systems => "numbers of the 20 systems with most peers, and `other`".into(),
            Words::About(_) => "what the node says of itself".into(),
        };
        let _ = writeln!(out, "- label `{}`: {words}", label.name);
    }
    if let Shape::Histogram(bounds) = row.shape {
        let bounds: Vec<String> = bounds.iter().map(|bound| format!("{bound}")).collect();
        let _ = writeln!(out, "- buckets: {}", bounds.join(" "));
    }
}
