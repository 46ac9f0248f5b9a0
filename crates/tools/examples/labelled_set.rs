//! Makes a labelled set of scenarios, for `peer-observer detect --score DIR`:
//!
//! ```text
//! cargo run --release --package po-tools --example labelled_set -- detectors/held-out DIR [SEED]
//! ```
//!
//! Of each `NAME.toml` one run: `NAME.rec`, and `NAME.truth.toml` with what should be found, and with the thresholds that are given.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use event::Severity;
use event::text::Rfc3339;
use extract::recording::Writer;
use testkit::synthetic::{self, Run, Truth};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (from, to) = arguments.next().zip(arguments.next()).context("a directory of scenarios, and one for the set")?;
    let seed = arguments.next().map_or(Ok(1), |text| text.parse()).context("the seed is a number")?;
    let to = PathBuf::from(to);
    fs::create_dir_all(&to).with_context(|| format!("failed to make {}", to.display()))?;
    for entry in fs::read_dir(&from).with_context(|| format!("failed to read {from}"))? {
        let path = entry?.path();
        let Some(name) = path.file_stem().filter(|_| path.extension().is_some_and(|end| end == "toml")) else { continue };
        let toml = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let mut scenario = synthetic::load(&toml, Run { seed, strength: 1.0 }).with_context(|| path.display().to_string())?;
        let mut labels = String::new();
        if let Some(thresholds) = scenario.script().given.get("thresholds").and_then(toml::Value::as_table) {
            writeln!(labels, "[thresholds]")?;
            thresholds.iter().try_for_each(|(name, value)| writeln!(labels, "{name:?} = {value}"))?;
        }
        let place = to.join(name);
        let mut writer = Writer::new(File::create(place.with_extension("rec"))?, 1)?;
        for event in &mut scenario {
            writer.write(&event)?;
        }
        writer.finish()?;
        // now that it is known when everything began
        for Truth { detector, node, entity_kind, entity, begin, end, severity, consequence } in scenario.truths() {
            // the name of a node says nothing that `node` does not
            let entity = if entity_kind == "node" { "" } else { &entity };
            let (begin, end) = (Rfc3339::from_nanos(begin), Rfc3339::from_nanos(end));
            writeln!(labels, "\n[[truth]]\ndetector = {detector:?}\nnode = {node:?}\nkind = {entity_kind:?}")?;
            writeln!(labels, "entity = {entity:?}\nbegin = \"{begin}\"\nend = \"{end}\"")?;
            if severity != Severity::Warn {
                writeln!(labels, "severity = {:?}", severity.word())?;
            }
            if consequence {
                writeln!(labels, "consequence = true")?;
            }
        }
        fs::write(place.with_extension("truth.toml"), labels)?;
        println!("{}", place.display());
    }
    Ok(())
}
