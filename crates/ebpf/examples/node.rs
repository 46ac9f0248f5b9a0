//! Stands in for a node in tests: holds the lock of a data directory, writes its pid file, and fires tracepoints until its
//! standard input ends.

#[path = "../tests/probes/mod.rs"]
mod probes;

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

fn main() -> std::io::Result<()> {
    let datadir = PathBuf::from(std::env::args().nth(1).expect("the data directory is named"));
    let _lock = File::create(datadir.join(".lock"))?;
    std::fs::write(datadir.join("bitcoind.pid"), format!("{}\n", std::process::id()))?;
    std::thread::spawn(|| {
        for peer in 0.. {
            probes::message(probes::Direction::Inbound, peer, "203.0.113.7:8333", "inbound", "ping", &[1; 8]);
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    std::fs::remove_file(datadir.join("bitcoind.pid"))
}
