//! Labelled sets: recordings, and what is true of them.
//!
//! A set is a directory: for each recording (`storm.rec`, `storm.poa`, or a directory of segments `storm/`) a file `storm.truth.toml`:
//!
//! ```toml
//! # what the detectors start with: rows of the table of thresholds
//! [thresholds]
//! "guard.restart" = 0
//!
//! # what they should find; none at all is a benign twin
//! [[truth]]
//! detector = "D39"
//! node = "alice"
//! kind = "node"          # as findings have it: node, peer, range, source, …
//! entity = ""            # address of a peer with its port, a range, the name of a source; empty: any
//! begin = "2026-03-02T06:10:00Z"
//! end = "2026-03-02T06:20:00Z"
//! severity = "warn"      # the mildest finding that finds it: info, warn (without this line) or critical
//!
//! # what follows from it: it may be found and need not be
//! [[truth]]
//! detector = "D09"
//! node = "alice"
//! kind = "node"
//! begin = "2026-03-02T06:10:00Z"
//! end = "2026-03-02T06:20:00Z"
//! consequence = true     # without this line it is a truth
//! ```
//!
//! A truth is found by a finding that is told as so severe at or after its begin. Every finding of severity warn or worse that belongs to no
//! truth is a false alarm, one that belongs to a consequence is counted as such ([`detect::score`]).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use detect::Engine;
use detect::score::{Score, Truth};
use detect::thresholds::Thresholds;
use event::{EntityKind, NodeName, Severity};
use serde::Deserialize;

use crate::archive::{self, Selection};

/// What one recording came to.
pub struct Scored {
    /// Its name.
    pub name: String,
    /// What was found and what not.
    pub score: Score,
}

/// A truth file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Labels {
    #[serde(default)]
    thresholds: std::collections::BTreeMap<String, f64>,
    #[serde(default)]
    truth: Vec<Label>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    detector: String,
    node: String,
    kind: String,
    #[serde(default)]
    entity: String,
    begin: String,
    end: String,
    severity: Option<String>,
    #[serde(default)]
    consequence: bool,
}

/// Runs the detectors over every recording of a set.
///
/// # Errors
///
/// The directory holds no set, a truth file says something that cannot be, or a recording cannot be read.
pub fn score(directory: &Path) -> anyhow::Result<Vec<Scored>> {
    const END: &str = ".truth.toml";
    let entries = std::fs::read_dir(directory).with_context(|| format!("failed to read the set {}", directory.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.with_context(|| format!("failed to read the set {}", directory.display()))?.file_name();
        names.extend(name.to_str().and_then(|name| name.strip_suffix(END)).map(str::to_owned));
    }
    if names.is_empty() {
        bail!("{} is no labelled set: it has no file that ends with `{END}`", directory.display());
    }
    names.sort();
    names.into_iter().map(|name| one(directory, name, END)).collect()
}

fn one(directory: &Path, name: String, end: &str) -> anyhow::Result<Scored> {
    let labels = directory.join(format!("{name}{end}"));
    let (thresholds, truths) = read(&labels).with_context(|| format!("the truth file {} is wrong", labels.display()))?;
    let forms = ["rec", "poa"].map(|end| directory.join(format!("{name}.{end}"))).into_iter().chain([directory.join(&name)]);
    let recording: PathBuf =
        forms.into_iter().find(|path| path.exists()).with_context(|| format!("{} belongs to no recording", labels.display()))?;
    let mut engine = Engine::new(thresholds, 0);
    let selection = Selection { kinds: Some(engine.kinds()), ..Selection::default() };
    let mut said = Vec::new();
    for event in archive::open(&[recording], &selection)?.events() {
        engine.observe(Arc::new(event?), &mut said);
    }
    engine.finish(&mut said);
    let score = detect::score::score(&detect::score::found(said), &truths, None);
    Ok(Scored { name, score })
}

fn read(path: &Path) -> anyhow::Result<(Thresholds, Vec<Truth>)> {
    let text = std::fs::read_to_string(path)?;
    let labels: Labels = toml::from_str(&text).map_err(|error| anyhow::anyhow!("{}", error.to_string().trim_end()))?;
    let mut thresholds = Thresholds::default();
    for (name, value) in labels.thresholds {
        thresholds.set(None, &name, value)?;
    }
    let truth = |label: Label| {
        let Label { detector, node, kind, entity, begin, end, severity, consequence } = label;
        if !detect::all().iter().any(|entry| entry.about.id == detector) {
            bail!("there is no detector `{detector}`");
        }
        let mut kinds = (1..64).filter_map(|number| EntityKind::try_from(number).ok()).map(EntityKind::word);
        if !kinds.clone().any(|word| word == kind) {
            let words = kinds.by_ref().collect::<Vec<_>>().join(", ");
            bail!("findings are about no `{kind}`; they are about one of {words}");
        }
        let severity = match severity.as_deref() {
            None => Severity::Warn,
            Some(text) => [Severity::Info, Severity::Warn, Severity::Critical]
                .into_iter()
                .find(|severity| severity.word() == text)
                .with_context(|| format!("`{text}` is no severity; it is one of info, warn, critical"))?,
        };
        let node: NodeName = node.parse()?;
        let time = |text: &str| -> anyhow::Result<u64> {
            let time: jiff::Timestamp = text.parse().with_context(|| format!("`{text}` is no time"))?;
            Ok(u64::try_from(time.as_nanosecond())?)
        };
        let (begin, end) = (time(&begin)?, time(&end)?);
        Ok(Truth { detector, node: node.to_string(), entity_kind: kind, entity, begin, end, severity, consequence })
    };
    let truths = labels.truth.into_iter().map(truth).collect::<anyhow::Result<Vec<_>>>()?;
    Ok((thresholds, truths))
}

/// Every recording with what it came to, and all of them together.
pub fn table(scored: &[Scored]) -> String {
    let mut all = Score::default();
    let mut text = String::new();
    for Scored { name, score } in scored {
        text.push_str(&format!("{name}\n\n{}\n", score.table()));
        all.add(score);
    }
    text + "all recordings\n\n" + &all.table()
}
