//! Attacks of the catalogue on a real node, each as small as its criterion allows (`detectors/D*/doc.md` say what is behind them).
//!
//! Nothing waits here for a fixed time: what returns has happened at the node, as far as a peer can know.

use std::net::Ipv4Addr;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use bitcoin::absolute::LockTime;
use bitcoin::bip152::HeaderAndShortIds;
use bitcoin::block::Header;
use bitcoin::consensus::encode::{deserialize_hex, serialize, serialize_hex};
use bitcoin::p2p::message::NetworkMessage;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::p2p::message_compact_blocks::CmpctBlock;
use bitcoin::transaction::Version;
use bitcoin::{Address, Amount, Block, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use serde_json::{Value, json};

use crate::cast::Random;
use crate::node::Node;
use crate::peer::{Options, Peer, frame};

/// Blocks on top of a coinbase before it may be spent.
const MATURITY: usize = 100;

/// Outputs of a transaction that makes many: each weighs 172, and more than 400,000 are not relayed.
const OUTPUTS: usize = 2000;

/// What a transaction with that many outputs pays, satoshi: two for each of its bytes.
const FEE_OF_MANY: u64 = 200_000;

/// What one with a single output pays: ten for each of its bytes.
const FEE_OF_ONE: u64 = 1_000;

/// Sends addresses that lead nowhere in messages of ten, the largest that nodes pass on, as in July 2021 (D01).
pub fn flood_addresses(peer: &Peer, messages: usize, seed: u64) -> anyhow::Result<()> {
    send_addresses(peer, 10, messages, seed)
}

/// Answers a `getaddr` with as many addresses as one message may have.
pub fn answer_getaddr(peer: &Peer, seed: u64) -> anyhow::Result<()> {
    peer.wait_for("getaddr")?;
    send_addresses(peer, 1000, 1, seed)
}

fn send_addresses(peer: &Peer, each: usize, messages: usize, seed: u64) -> anyhow::Result<()> {
    let mut random = Random::new(seed);
    for _ in 0..messages {
        peer.send(random.gossip(each))?;
    }
    peer.ping()?;
    Ok(())
}

/// Hosts of a /24 under changing names come, listen and leave, one after the other (D11).
pub fn visit(node: &Node, range: [u8; 3], visits: u8) -> anyhow::Result<()> {
    for host in 1..=visits {
        let user_agent = format!("/wallet:{}.{}/", host % 7, host);
        drop(Peer::connect(node.p2p_address(), &Options { user_agent, ..at(range, host) })?);
    }
    Ok(())
}

/// One host after the other connects and stays, if the node lets it; whoever is evicted for the next is among them (D10).
pub fn crowd(node: &Node, range: [u8; 3], hosts: u8) -> anyhow::Result<Vec<Peer>> {
    (1..=hosts).map(|host| Peer::connect(node.p2p_address(), &at(range, host))).collect()
}

/// Hosts knock at a node that lets nobody in, one after the other (D10).
pub fn knock_in_vain(node: &Node, range: [u8; 3], hosts: u8) -> anyhow::Result<()> {
    for host in 1..=hosts {
        Peer::open(node.p2p_address(), &at(range, host))?.wait_closed()?;
    }
    Ok(())
}

/// A peer that dials from this host of a range.
pub fn at([a, b, c]: [u8; 3], host: u8) -> Options {
    Options { source: Ipv4Addr::new(a, b, c, host), ..Options::default() }
}

/// A block on top of the node's tip that the node does not have, nor, perhaps, its transactions. Another `tag` makes another block of the same
/// height.
pub fn mine_in_secret(node: &Node, transactions: &[Transaction], tag: u8) -> anyhow::Result<Block> {
    let transactions: Vec<String> = transactions.iter().map(serialize_hex).collect();
    // OP_RETURN and one byte: nobody will spend it
    let made = node.rpc("generateblock", json!([format!("raw(6a01{tag:02x})"), transactions, false]))?;
    Ok(deserialize_hex(made["hex"].as_str().context("a block in hex")?)?)
}

/// Announces a block by its header, and waits until the node has asked for it (D51).
pub fn announce(peer: &Peer, header: &Header) -> anyhow::Result<()> {
    peer.send(NetworkMessage::Headers(vec![*header]))?;
    let wanted = header.block_hash();
    peer.wait_where("a request for the block", |message| {
        let Ok(NetworkMessage::GetData(items)) = message.decode() else { return false };
        items.iter().any(|item| {
            matches!(item, Inventory::Block(hash) | Inventory::WitnessBlock(hash) | Inventory::CompactBlock(hash) if *hash == wanted)
        })
    })?;
    Ok(())
}

/// Sends a compact block unasked, as a peer does that was chosen for that, and waits until the node has asked for what it lacks (D51).
pub fn announce_compact(peer: &Peer, block: &Block) -> anyhow::Result<()> {
    let compact_block = HeaderAndShortIds::from_block(block, 1, 2, &[]).context("a block has a compact form")?;
    peer.send(NetworkMessage::CmpctBlock(CmpctBlock { compact_block }))?;
    peer.wait_for("getblocktxn")?;
    Ok(())
}

/// Sends a block that nobody asked this peer for, and waits until the node has looked at it.
pub fn deliver(peer: &Peer, block: &Block) -> anyhow::Result<()> {
    peer.send(NetworkMessage::Block(block.clone()))?;
    peer.ping()?;
    Ok(())
}

/// Transactions that a node takes at once: each spends an output of its own, which anybody may spend and which is in a block (D39).
///
/// Mines the blocks for it, so that the node has left its initial download.
pub fn prepare_transactions(node: &Node, count: usize) -> anyhow::Result<Vec<Transaction>> {
    let address = Address::p2wsh(&anybody(), Network::Regtest).to_string();
    let sources = count.div_ceil(OUTPUTS);
    let blocks = node.rpc("generatetoaddress", json!([MATURITY + sources, address]))?;
    let mut coins = Vec::with_capacity(sources * OUTPUTS);
    for hash in blocks.as_array().context("hashes of blocks")?.iter().take(sources) {
        let block: Block = deserialize_hex(node.rpc("getblock", json!([hash, 0]))?.as_str().context("a block in hex")?)?;
        let coinbase = block.txdata.first().context("a block has a coinbase")?;
        let value = coinbase.output[0].value.to_sat().saturating_sub(FEE_OF_MANY) / OUTPUTS as u64;
        let many = spend(OutPoint::new(coinbase.compute_txid(), 0), vec![output(value); OUTPUTS]);
        // zero: no fee is too high
        node.rpc("sendrawtransaction", json!([serialize_hex(&many), 0]))?;
        let txid = many.compute_txid();
        coins.extend((0..OUTPUTS as u32).map(|at| (OutPoint::new(txid, at), value)));
    }
    node.rpc("generatetoaddress", json!([1, address]))?;
    let waiting = node.rpc("getmempoolinfo", json!([]))?["size"].as_u64();
    ensure!(waiting == Some(0), "not everything fits a block: {waiting:?} transactions wait");
    coins.truncate(count);
    Ok(coins.into_iter().map(|(coin, value)| spend(coin, vec![output(value.saturating_sub(FEE_OF_ONE))])).collect())
}

/// Sends transactions without announcing them, as fast as they go, and waits until the node has looked at all of them.
pub fn rush(peer: &Peer, transactions: &[Transaction]) -> anyhow::Result<()> {
    let frames: Vec<u8> = transactions.iter().flat_map(|transaction| frame("tx", &serialize(transaction))).collect();
    peer.send_bytes(&frames)?;
    peer.ping()?;
    Ok(())
}

/// What the node says of a peer in `getpeerinfo`.
pub fn as_the_node_sees(node: &Node, peer: &Peer) -> anyhow::Result<Value> {
    let address = peer.address().to_string();
    let peers = node.rpc("getpeerinfo", json!([]))?;
    let of_it = peers.as_array().into_iter().flatten().find(|peer| peer["addr"] == address);
    of_it.cloned().with_context(|| format!("the node does not know {address}"))
}

/// For how many seconds the youngest of a node's connections has been there, by the node's clock.
pub fn youngest(node: &Node) -> anyhow::Result<u64> {
    let peers = node.rpc("getpeerinfo", json!([]))?;
    let since = peers.as_array().into_iter().flatten().filter_map(|peer| peer["conntime"].as_u64()).max().context("no peers")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is past 1970")?.as_secs();
    Ok(now.saturating_sub(since))
}

/// A script that is satisfied by nothing, behind a hash: Bitcoin Core relays what spends it, and nothing has to be signed.
fn anybody() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![bitcoin::opcodes::OP_TRUE.to_u8()])
}

fn output(value: u64) -> TxOut {
    TxOut { value: Amount::from_sat(value), script_pubkey: ScriptBuf::new_p2wsh(&anybody().wscript_hash()) }
}

fn spend(coin: OutPoint, output: Vec<TxOut>) -> Transaction {
    let witness = Witness::from_slice(&[anybody().as_bytes()]);
    let input = TxIn { previous_output: coin, script_sig: ScriptBuf::new(), sequence: Sequence::MAX, witness };
    Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input: vec![input], output }
}
