//! Makes the recording of two nodes side by side anew: two real bitcoind that are connected to each other, a file for each.
//!
//! `./x record-pair`; needs bitcoind on PATH (or in `BITCOIND_EXE`), and root for the probes.

mod recorder;

use recorder::Recipe;
use testkit::pair;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/pair");

fn main() -> anyhow::Result<()> {
    if recorder::was_tracer()? {
        return Ok(());
    }
    let recipe = |name| Recipe { name, output: format!("{FOLDER}/{name}.rec").into(), level: 19, beats: false };
    recipe("north")
        .record(pair::options(), |north| recipe("south").record(pair::options(), |south| pair::play(north, south, 2)))
        .map(drop)
}
