//! Attacks of the catalogue on a real node, each as small as its criterion allows (`detectors/D*/doc.md` say what is behind them): the pieces,
//! and [`SCENARIOS`], which are made of them and are what `peer-observer attack` stages.
//!
//! A piece waits for no fixed time: what returns has happened at the node, as far as a peer can know. Only a scenario waits, and says so, where
//! a detector wants to see something last.

mod blocks;
mod connections;
mod gossip;
mod scenario;
mod transactions;
mod victim;

pub use blocks::{
    announce, announce_compact, complete, deliver, header_without_work, headers_ahead, mine_in_secret, overpaid, pass_on,
    replace_tip, spoil_reconstruction, tampered,
};
pub use connections::{IDENTITIES, Identity, at, claim, crowd, draw_agents, fill, flood_pings, knock_in_vain, spread, visit};
pub use gossip::{answer_getaddr, flood_addresses};
pub use scenario::{MOST_STRENGTH, SCENARIOS, Scenario, Stage};
pub use transactions::{Coin, cycle, leave_download, prepare_coins, prepare_transactions, replace, rush, withhold};
pub use victim::{Refusal, Victim};

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::peer::Peer;

/// What the node says of a peer in `getpeerinfo`.
pub fn as_the_node_sees(victim: &Victim, peer: &Peer) -> anyhow::Result<Value> {
    let address = peer.address().to_string();
    let peers = victim.rpc("getpeerinfo", json!([]))?;
    let of_it = peers.as_array().into_iter().flatten().find(|peer| peer["addr"] == address);
    of_it.cloned().with_context(|| format!("the node does not know {address}"))
}

/// For how many seconds the youngest of a node's connections has been there, by the node's clock.
pub fn youngest(victim: &Victim) -> anyhow::Result<u64> {
    let peers = victim.rpc("getpeerinfo", json!([]))?;
    let since = peers.as_array().into_iter().flatten().filter_map(|peer| peer["conntime"].as_u64()).max().context("no peers")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is past 1970")?.as_secs();
    Ok(now.saturating_sub(since))
}
