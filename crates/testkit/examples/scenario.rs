//! Plays the scenario of the bundled recording against the bitcoind on PATH (or in `BITCOIND_EXE`):
//!
//! ```text
//! cargo run -p po-testkit --example scenario [SEED]
//! ```

use std::time::Instant;

use anyhow::Context as _;
use testkit::{Node, scenario};

fn main() -> anyhow::Result<()> {
    let seed = match std::env::args().nth(1) {
        Some(text) => text.parse().with_context(|| format!("`{text}` is not a number to seed with"))?,
        None => 1,
    };
    let start = Instant::now();
    let main = Node::start(scenario::main_options())?;
    let played = scenario::play(&main, seed)?;
    println!("played in {:.1} s; {} test peers are still connected", start.elapsed().as_secs_f32(), played.peers.len());
    Ok(())
}
