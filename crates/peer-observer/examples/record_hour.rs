//! Makes the recorded hour: a lively network around a real bitcoind, and what all extractors see of it.
//!
//! `./x record-hour [MINUTES]`; needs bitcoind on PATH (or in `BITCOIND_EXE`), root for the probes, and 3 GB of memory.
//! The file stays out of git.

mod recorder;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use recorder::Recipe;
use testkit::hour;

const OUTPUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../recordings/hour.rec");

fn main() -> anyhow::Result<()> {
    if recorder::was_tracer()? {
        return Ok(());
    }
    let minutes = std::env::args().nth(1).map_or(Ok(60), |text| text.parse::<u32>()).context("how many minutes?")?;
    ensure!(minutes > 0, "at least one minute");
    let options = hour::Options::lasting(Duration::from_secs(60 * u64::from(minutes)));
    // a stronger compression would take a core from the network
    let recipe = Recipe { name: "hour", output: OUTPUT.into(), level: 9, beats: true };
    recipe.record(hour::main_options(), |main| {
        let summary = hour::play(main, options)?;
        println!("{summary}");
        summary.check()
    })
}
