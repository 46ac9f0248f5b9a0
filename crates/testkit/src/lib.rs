//! What tests need of the world: real Bitcoin nodes, peers that behave or misbehave on command, a real NATS
//! server, a small regtest network in which everything happens that an observer should see ([`scenario`], [`hour`]),
//! two nodes that are connected to each other ([`pair`]), attacks on a node ([`attack`]), and scenarios made of numbers for what no regtest
//! network can show ([`synthetic`]).
//!
//! The principal types are [`Node`] (a regtest bitcoind of its own) and [`Peer`] (a P2P connection to it):
//!
//! ```no_run
//! use serde_json::json;
//! use testkit::{node, peer, Node, Peer};
//!
//! fn main() -> anyhow::Result<()> {
//!     let node = Node::start(node::Options::default())?;
//!     let peer = Peer::connect(node.p2p_address(), &peer::Options::default())?;
//!     peer.ping_flood(10_000)?;
//!     assert_eq!(node.rpc("getconnectioncount", json!([]))?, 1);
//!     Ok(())
//! }
//! ```
//!
//! **Invariants.** Everything stays on 127.0.0.0/8 and in temporary folders. Everything ends when its value is
//! dropped. Nothing waits for a fixed time: what is waited for is named, and a wait that fails says what was missing.
//! Blocking calls throughout: async tests put them on a thread.

pub mod alertmanager;
pub mod attack;
mod cast;
pub mod events;
pub mod hour;
pub mod http;
pub mod moto;
pub mod nats;
pub mod node;
pub mod pair;
pub mod peer;
pub mod python;
pub mod rpc;
pub mod scenario;
pub mod secrets;
pub mod smtp;
pub mod synthetic;
pub mod tls;
pub mod wait;

pub use alertmanager::Alertmanager;
pub use moto::Moto;
pub use nats::NatsServer;
pub use node::Node;
pub use peer::Peer;
pub use smtp::Smtp;

use std::io::Write as _;
use std::path::PathBuf;

/// Ends the test, visibly, where there is no bitcoind.
///
/// `need_node!()` returns from a test without result, `need_node!(Ok(()))` from one that returns `Ok(())`.
#[macro_export]
macro_rules! need_node {
    ($($value:expr)?) => {
        if !$crate::Node::available() {
            $crate::skipped("no bitcoind on PATH or in BITCOIND_EXE");
            return $($value)?;
        }
    };
}

/// Ends the test, visibly, where there is no bitcoin-node; used like [`need_node!`].
#[macro_export]
macro_rules! need_ipc_node {
    ($($value:expr)?) => {
        if $crate::node::with_ipc().is_none() {
            $crate::skipped("no bitcoin-node on PATH or in BITCOIN_NODE_EXE");
            return $($value)?;
        }
    };
}

/// Ends the test, visibly, where there is no nats-server; used like [`need_node!`].
#[macro_export]
macro_rules! need_nats {
    ($($value:expr)?) => {
        if !$crate::NatsServer::available() {
            $crate::skipped("no nats-server on PATH");
            return $($value)?;
        }
    };
}

/// Says that the running test was skipped, and why.
///
/// Written to the stream itself: what goes through `eprintln!` is swallowed when a test passes.
///
/// # Panics
///
/// Where nothing may be skipped: with `PEER_OBSERVER_SKIP_NOTHING=1` in the environment.
pub fn skipped(reason: &str) {
    let nothing = std::env::var_os("PEER_OBSERVER_SKIP_NOTHING").is_some_and(|value| value == "1");
    assert!(!nothing, "nothing may be skipped here, but this test would be: {reason}");
    let thread = std::thread::current();
    let line = format!("skipped: {reason} ({})\n", thread.name().unwrap_or("unnamed test"));
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// How many bytes this thread reads meanwhile, of files and of everything else.
///
/// # Panics
///
/// Where the system does not count them (Linux does).
pub fn read_bytes(work: impl FnOnce()) -> u64 {
    let count = || -> u64 {
        let io = std::fs::read_to_string("/proc/thread-self/io").expect("Linux counts");
        io.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok()).expect("Linux counts what is read")
    };
    let before = count();
    work();
    count() - before
}

/// The first executable of that name on PATH or, behind it, in `also`.
fn executable(name: &str, also: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(also.iter().map(PathBuf::from)).map(|folder| folder.join(name)).find(|file| file.is_file())
}
