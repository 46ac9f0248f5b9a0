//! Records what a real node answers to every method, for `fixtures/rpc/`:
//!
//! ```text
//! BITCOIND_EXE=/path/to/bitcoind cargo run -p po-extract --example record_rpc v31
//! ```
//!
//! Two regtest nodes and a few peers on loopback, in which there is something of everything: v1 and v2 peers, a mempool, an orphan, a
//! fork, a ban, indexes, addresses of every network.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use bitcoin::hashes::Hash as _;
use bitcoin::p2p::message::NetworkMessage;
use extract::rpc::{Access, Connection, METHODS, Place};
use serde_json::json;
use testkit::{Node, Peer, node, peer, wait};

fn main() -> anyhow::Result<()> {
    // builds from between two releases say neither's number
    let release = std::env::args().nth(1).context("which release is it? name its folder, as `v31`")?;
    let extra = ["-txindex=1", "-blockfilterindex=1", "-coinstatsindex=1", "-maxuploadtarget=1G", "-externalip=203.0.113.1"];
    let args = extra.map(str::to_owned).to_vec();
    let node = Node::start(node::Options { wallet: true, args, ..Default::default() })?;
    let other = Node::start(node::Options::default())?;
    let peers = stage(&node, &other)?;

    let place = Place { datadir: Some(node.network_datadir()), ..Place::default() };
    let access = Access { rpc_url: Some(node.rpc_address().to_string().parse().map_err(anyhow::Error::msg)?), ..Access::default() };
    let target = access.target(&place);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/rpc").join(&release);
    fs::create_dir_all(&folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = Connection::open(&target.address, &target.secret.read()?).await?;
        for method in METHODS {
            let answer = connection.call(method, &mut 0).await.with_context(|| format!("failed to call {}", method.name))?;
            fs::write(folder.join(format!("{}.json", method.name)), &answer.body)?;
        }
        anyhow::Ok(())
    })?;
    println!("{}", folder.display());
    drop(peers);
    Ok(())
}

fn stage(node: &Node, other: &Node) -> anyhow::Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for user_agent in ["/Satoshi:30.0.0/", "/näkki:0.1/"] {
        let peer = Peer::connect(node.p2p_address(), &peer::Options { user_agent: user_agent.to_owned(), ..Default::default() })?;
        peer.ping()?;
        peers.push(peer);
    }
    node.rpc("addnode", json!([other.p2p_address().to_string(), "onetry"]))?;
    let address = node.rpc("getnewaddress", json!([]))?;
    node.rpc("generatetoaddress", json!([110, address]))?;
    // a fork: the block is given back after another took its place
    let stale = node.rpc("generatetoaddress", json!([1, address]))?[0].clone();
    node.rpc("invalidateblock", json!([stale]))?;
    let elsewhere = node.rpc("getnewaddress", json!([]))?;
    node.rpc("generatetoaddress", json!([2, elsewhere]))?;
    node.rpc("reconsiderblock", json!([stale]))?;
    for amount in ["0.1", "1.23456789"] {
        node.rpc("sendtoaddress", json!([address, amount]))?;
    }
    peers[0].send(NetworkMessage::Tx(orphan()))?;
    peers[0].ping()?;
    node.rpc("setban", json!(["198.51.100.0/24", "add", 86_400]))?;
    let places = [
        "1.2.3.4",
        "2a01:4f8::1",
        "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion",
        "ukeu3k5oycgaauneqgtnvselmt4yemvoilkln7jpvamvfx7dnkdq.b32.i2p",
        "fc32:17ea:e415:c3bf:9808:149d:b5a2:c9aa",
    ];
    for address in places {
        node.rpc("addpeeraddress", json!([address, 8333]))?;
    }
    node.rpc("addpeeraddress", json!(["9.9.9.9", 8333, true]))?;
    let orphans = || Ok(node.rpc("getorphantxs", json!([1]))?.as_array().is_some_and(|list| !list.is_empty()).then_some(()));
    wait::until("the orphan", wait::LONG, orphans)?;
    let blocks = node.rpc("getblockcount", json!([]))?;
    wait::until("the other node to follow", wait::LONG, || Ok((other.rpc("getblockcount", json!([]))? == blocks).then_some(())))?;
    Ok(peers)
}

fn orphan() -> bitcoin::Transaction {
    let input = bitcoin::TxIn {
        previous_output: bitcoin::OutPoint { txid: bitcoin::Txid::from_byte_array([7; 32]), vout: 0 },
        witness: bitcoin::Witness::from_slice(&[[1_u8; 64]]),
        ..Default::default()
    };
    let script_pubkey = bitcoin::ScriptBuf::new_p2wpkh(&bitcoin::WPubkeyHash::from_byte_array([7; 20]));
    let output = bitcoin::TxOut { value: bitcoin::Amount::from_sat(10_000), script_pubkey };
    bitcoin::Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![input],
        output: vec![output],
    }
}
