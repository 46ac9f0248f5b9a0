//! Two regtest nodes of one operator that are connected to each other, each with peers of its own.
//!
//! What is different at them can be told apart: north mines the chain and loses a peer, south dials, is flooded with pings, and comes
//! back with the longer chain. Their peers have the same small ids.

use anyhow::ensure;
use serde_json::json;

use crate::cast::{self, Random};
use crate::node::{self, Node, wait_for_same_tip};
use crate::peer::{Listener, Peer};
use crate::scenario::{await_transaction, list, mine, send};
use crate::wait;

/// Coinbases need 100 blocks on top.
const FIRST_BLOCKS: usize = 102;

/// How both nodes are to be started.
pub fn options() -> node::Options {
    node::Options { wallet: true, ..node::Options::default() }
}

/// The nodes' peers as they are at the end, and what a recording of them must contain.
#[derive(Debug)]
pub struct Played {
    /// Those that are still connected.
    pub peers: Vec<Peer>,
    /// The block that north had and gave up for south's.
    pub stale_block: String,
    /// The tip of both.
    pub tip: String,
}

/// Plays all of it, within half a minute, at two nodes that were started with [`options`] and have seen nothing yet.
pub fn play(north: &Node, south: &Node, seed: u64) -> anyhow::Result<Played> {
    let mut random = Random::new(seed);
    step("north mines the chain, south dials north and learns it");
    mine(north, FIRST_BLOCKS)?;
    dial(south, north)?;
    let both = [north, south];
    wait_for_same_tip(&both)?;

    step("each has peers of its own");
    let mut guest = |of: &Node| Peer::connect(of.p2p_address(), &random.stranger());
    let mut at_north = vec![guest(north)?, guest(north)?, guest(north)?, guest(north)?, guest(north)?];
    let mut at_south = vec![guest(south)?, guest(south)?, guest(south)?];
    let options = random.server();
    let listener = Listener::bind(options.source)?;
    south.rpc("addconnection", json!([listener.address().to_string(), "block-relay-only", false]))?;
    let dialled_by_south = listener.accept(&options)?;

    step("peers gossip");
    for peer in at_north.iter().chain(&at_south) {
        peer.ping()?;
        peer.send(random.gossip(2))?;
    }

    step("transactions go from one to the other, and back");
    for (from, to) in [(north, south), (north, south), (north, south)] {
        await_transaction(to, &send(from, to)?)?;
    }
    mine(north, 1)?;
    wait_for_same_tip(&both)?;
    await_transaction(north, &send(south, north)?)?;
    mine(south, 1)?;
    wait_for_same_tip(&both)?;

    step("a peer of south sends pings without end, one of north breaks the rules, another leaves");
    at_south[0].ping_flood(40)?;
    let rude = Peer::connect(north.p2p_address(), &random.stranger())?;
    rude.send(cast::oversized_gossip())?;
    rude.wait_closed()?;
    let left = at_north.remove(1).address().to_string();
    wait::until("the peer to be gone", wait::LONG, || {
        Ok(list(&north.rpc("getpeerinfo", json!([]))?).iter().all(|peer| peer["addr"] != left.as_str()).then_some(()))
    })?;

    step("they part, and south comes back with the longer chain");
    south.rpc("disconnectnode", json!([north.p2p_address().to_string()]))?;
    wait::until("north to be alone", wait::LONG, || Ok(dialled(south, north)?.is_none().then_some(())))?;
    let stale_block = mine(north, 1)?;
    mine(south, 2)?;
    dial(south, north)?;
    let tip = wait_for_same_tip(&both)?;
    ensure!(tip != stale_block, "south's chain did not win");
    // a last transaction, so that mempools are not empty at the end
    await_transaction(south, &send(north, south)?)?;
    at_south.push(dialled_by_south);
    let peers: Vec<Peer> = at_north.into_iter().chain(at_south).collect();
    for peer in &peers {
        peer.ping()?;
    }
    step("done");
    Ok(Played { peers, stale_block, tip })
}

fn step(what: &str) {
    eprintln!("pair: {what}");
}

fn dial(from: &Node, to: &Node) -> anyhow::Result<()> {
    from.rpc("addconnection", json!([to.p2p_address().to_string(), "outbound-full-relay", true]))?;
    wait::until("the nodes to be connected", wait::LONG, || dialled(from, to))
}

/// Whether the connection that one made to the other is ready.
fn dialled(from: &Node, to: &Node) -> anyhow::Result<Option<()>> {
    let address = to.p2p_address().to_string();
    let peers = from.rpc("getpeerinfo", json!([]))?;
    Ok(list(&peers).iter().any(|peer| peer["addr"] == address.as_str() && peer["version"] != 0).then_some(()))
}
