//! Prints what capturing costs on this machine; `peer-observer bench` does the same.

use ebpf::bench::{Options, measure};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for payload in [8, 300, 32_000, 1_000_000] {
        let firings = if payload > 1000 { 2_000 } else { 100_000 };
        let cost = measure(Options { payload, firings, ..Options::default() })?;
        println!("{payload} bytes of payload: {cost:?}");
    }
    Ok(())
}
