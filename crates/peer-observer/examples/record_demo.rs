//! Makes the bundled recording anew: plays the scenario of `testkit` around a real bitcoind, and records what all extractors see.
//!
//! `./x record-demo`; needs bitcoind on PATH (or in `BITCOIND_EXE`), and root for the probes.

mod recorder;

use recorder::Recipe;
use testkit::scenario;

const OUTPUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec");

fn main() -> anyhow::Result<()> {
    if recorder::was_tracer()? {
        return Ok(());
    }
    // beats say nothing that somebody watching a demonstration wants to know
    let recipe = Recipe { name: "demo", output: OUTPUT.into(), level: 19, beats: false };
    recipe.record(scenario::main_options(), |main| scenario::play(main, 1)).map(drop)
}
