//! The page that Prometheus reads: the text format 0.0.4 and OpenMetrics 1.0.
//!
//! Families in the order of the table, nodes in the order of their names. What was never counted is left out, except that a metric with
//! few series shows its zeros as soon as a source that states it was heard: from then on nothing is known to have happened, and a first
//! event is seen as an increase. A metric that nothing states is not there at all.

use std::fmt::Write as _;

use super::cells::{Cells, Row, Shape};
use super::fleet::Shown;
use super::label::{SYSTEMS, Words};
use super::process::Process;
use super::table::{self, tool};
use super::witness;

/// A metric with more series does not show its zeros.
const FEW: usize = 12;

/// The two ways to write it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// What every version of Prometheus reads.
    Prometheus,
    /// The standard that came of it.
    OpenMetrics,
}

impl Format {
    /// By a request's `Accept`: OpenMetrics where it is named and not refused.
    pub fn accepted(accept: &str) -> Self {
        let open = accept.split(',').any(|choice| {
            let mut parts = choice.split(';').map(str::trim);
            parts.next() == Some("application/openmetrics-text") && !parts.any(|part| matches!(part, "q=0" | "q=0.0"))
        });
        if open { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// For `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Everything that there is to show at one moment.
#[derive(Debug)]
pub struct Page {
    /// Nodes, in any order.
    pub nodes: Vec<Shown>,
    /// The tool itself.
    pub tool: Cells,
    /// Names of the lists of addresses.
    pub lists: Vec<String>,
    /// The program's process. Absent where it is of no interest.
    pub process: Option<Process>,
}

impl Page {
    /// Writes it.
    pub fn write(&mut self, format: Format) -> String {
        self.nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut writer = Writer { text: String::with_capacity(1 << 16), format, labels: String::new() };
        writer.build();
        for (row, offset) in tool::ROWS.iter().zip(tool::OFFSETS) {
            writer.family(row, |writer| writer.row(row, self.tool.from(offset, row.cells()), None, &self.lists));
        }
        for (row, offset) in table::ROWS.iter().zip(table::OFFSETS) {
            writer.family(row, |writer| {
                for node in &self.nodes {
                    writer.row(row, node.cells.from(offset, row.cells()), Some(node), &self.lists);
                }
            });
        }
        if let Some(process) = &self.process {
            writer.process(process);
        }
        if format == Format::OpenMetrics {
            writer.text.push_str("# EOF\n");
        }
        writer.text
    }
}

struct Writer {
    text: String,
    format: Format,
    labels: String,
}

impl Writer {
    /// What is true of the whole page.
    fn build(&mut self) {
        self.head("peerobserver_build_info", "The version of this program; the value is always 1.", "gauge");
        self.text.push_str(concat!("peerobserver_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1\n"));
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // OpenMetrics names the family, whose samples have the suffix
        let name = match self.format {
            Format::OpenMetrics if kind == "counter" => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        let _ = write!(self.text, "# HELP {name} ");
        for letter in help.chars() {
            match letter {
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '"' if self.format == Format::OpenMetrics => self.text.push_str("\\\""),
                other => self.text.push(other),
            }
        }
        let _ = writeln!(self.text, "\n# TYPE {name} {kind}");
    }

    /// Head and samples; neither where there are no samples.
    fn family(&mut self, row: &Row, samples: impl FnOnce(&mut Self)) {
        let kind = match row.shape {
            Shape::Counter | Shape::Reported => "counter",
            Shape::Gauge => "gauge",
            Shape::Histogram(_) => "histogram",
        };
        let before = self.text.len();
        self.head(row.name, row.help, kind);
        let head = self.text.len();
        samples(self);
        if self.text.len() == head {
            self.text.truncate(before);
        }
    }

    /// The samples of one node.
    fn row(&mut self, row: &Row, cells: &[u64], node: Option<&Shown>, lists: &[String]) {
        let heard = || node.is_none_or(|node| row.from.iter().any(|id| witness::of(*id) & node.sources != 0));
        let zeros = !row.shape.vanishes() && row.series <= FEW && heard();
        for (place, cells) in cells.chunks_exact(row.shape.cells()).enumerate() {
            let nothing = match row.shape {
                Shape::Counter | Shape::Histogram(_) => cells.iter().all(|cell| *cell == 0),
                Shape::Gauge | Shape::Reported => f64::from_bits(cells[0]).is_nan(),
            };
            if nothing && !(zeros && means_something(row, place, node)) {
                continue;
            }
            self.labels.clear();
            if let Some(node) = node {
                let _ = write!(self.labels, "node=\"{}\"", node.name);
            }
            self.labels_of(row, place, node, lists);
            match row.shape {
                Shape::Counter => self.sample(row.name, "", Number::Whole(cells[0])),
                Shape::Gauge | Shape::Reported => self.sample(row.name, "", Number::Float(f64::from_bits(cells[0]))),
                Shape::Histogram(bounds) => self.histogram(row.name, bounds, cells),
            }
        }
    }

    /// The labels of a combination, in order.
    fn labels_of(&mut self, row: &Row, place: usize, node: Option<&Shown>, lists: &[String]) {
        let mut below: usize = row.labels.iter().map(|label| label.words.count()).product();
        let mut rest = place;
        for label in row.labels {
            below /= label.words.count();
            let at = rest / below;
            rest %= below;
            if !self.labels.is_empty() {
                self.labels.push(',');
            }
            self.labels.push_str(label.name);
            self.labels.push_str("=\"");
            match label.words {
                Words::Fixed(words) => self.labels.push_str(words[at]),
                Words::Lists => self.labels.push_str(lists.get(at).map_or("", String::as_str)),
                Words::Systems if at == SYSTEMS => self.labels.push_str("other"),
                Words::Systems => {
                    let number = node.and_then(|node| node.systems.get(at)).copied().unwrap_or_default();
                    let _ = write!(self.labels, "{number}");
                }
                Words::About(fact) => self.labels.push_str(node.map_or("", |node| node.about.word(fact))),
            }
            self.labels.push('"');
        }
    }

    fn sample(&mut self, name: &str, suffix: &str, value: Number) {
        self.text.push_str(name);
        self.text.push_str(suffix);
        if !self.labels.is_empty() {
            self.text.push('{');
            self.text.push_str(&self.labels);
            self.text.push('}');
        }
        self.value(value);
    }

    fn histogram(&mut self, name: &str, bounds: &[f64], cells: &[u64]) {
        let mut below = 0_u64;
        for (at, count) in cells[..=bounds.len()].iter().enumerate() {
            below = below.saturating_add(*count);
            self.text.push_str(name);
            self.text.push_str("_bucket{");
            self.text.push_str(&self.labels);
            if !self.labels.is_empty() {
                self.text.push(',');
            }
            match bounds.get(at) {
                // with a decimal point always: both formats then have the same series
                Some(bound) => drop(write!(self.text, "le=\"{bound:?}\"}}")),
                None => self.text.push_str("le=\"+Inf\"}"),
            }
            self.value(Number::Whole(below));
        }
        self.sample(name, "_sum", Number::Float(f64::from_bits(cells[bounds.len() + 1])));
        self.sample(name, "_count", Number::Whole(below));
    }

    fn value(&mut self, value: Number) {
        let _ = match value {
            Number::Whole(value) => writeln!(self.text, " {value}"),
            Number::Float(value) => writeln!(self.text, " {value}"),
        };
    }

    /// The names that every client library uses.
    fn process(&mut self, process: &Process) {
        self.labels.clear();
        let values = [
            ("process_cpu_seconds_total", "CPU time of this program.", "counter", process.cpu),
            ("process_resident_memory_bytes", "Memory of this program in RAM.", "gauge", process.resident),
            ("process_virtual_memory_bytes", "Address space of this program.", "gauge", process.virtual_size),
            ("process_open_fds", "Open files and sockets of this program.", "gauge", process.files),
            ("process_max_fds", "How many it may open.", "gauge", process.files_limit),
            ("process_start_time_seconds", "When this program was started.", "gauge", process.started),
        ];
        for (name, help, kind, value) in values {
            if let Some(value) = value {
                self.head(name, help, kind);
                self.sample(name, "", Number::Float(value));
            }
        }
    }
}

/// Whether the zero of a combination says something: not where a label stands for not knowing, or for a source that was never heard.
fn means_something(row: &Row, place: usize, node: Option<&Shown>) -> bool {
    let mut rest = place;
    row.labels.iter().rev().all(|label| {
        let word = rest % label.words.count();
        rest /= label.words.count();
        match label.words {
            Words::Fixed(words) if words[word] == "unspecified" => false,
            Words::Fixed(_) if label.name == "source" => node.is_none_or(|node| node.sources & (1 << word) != 0),
            Words::Fixed(_) => true,
            Words::Lists | Words::Systems | Words::About(_) => false,
        }
    })
}

/// A value; whole ones are exact at any size.
#[derive(Clone, Copy)]
enum Number {
    Whole(u64),
    Float(f64),
}
