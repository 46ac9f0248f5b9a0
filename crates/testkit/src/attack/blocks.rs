//! Blocks: announced and withheld, broken, on another branch, ahead of what can be had.

use anyhow::Context as _;
use bitcoin::absolute::LockTime;
use bitcoin::bip152::{BlockTransactions, HeaderAndShortIds};
use bitcoin::block::{Header, Version};
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::hashes::Hash as _;
use bitcoin::p2p::message::NetworkMessage;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::p2p::message_compact_blocks::{BlockTxn, CmpctBlock};
use bitcoin::script::Builder;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut, Witness,
    transaction,
};
use serde_json::json;

use super::Victim;
use crate::peer::Peer;
use crate::wait;

/// The target of every block on regtest: every second hash meets it (Bitcoin Core `src/kernel/chainparams.cpp`).
const BITS: u32 = 0x207f_ffff;

/// A block's version with no deployment signalled (BIP9).
const VERSION: i32 = 0x2000_0000;

/// A block on top of the node's tip that the node does not have, nor, perhaps, its transactions. Another `tag` makes another block of the same
/// height.
pub fn mine_in_secret(victim: &Victim, transactions: &[Transaction], tag: u8) -> anyhow::Result<Block> {
    let transactions: Vec<String> = transactions.iter().map(serialize_hex).collect();
    // OP_RETURN and one byte: nobody will spend it
    let made = victim.rpc("generateblock", json!([format!("raw(6a01{tag:02x})"), transactions, false]))?;
    Ok(deserialize_hex(made["hex"].as_str().context("a block in hex")?)?)
}

/// Announces a block by its header, and waits until the node has asked for it (D51).
pub fn announce(peer: &Peer, header: &Header) -> anyhow::Result<()> {
    peer.send(NetworkMessage::Headers(vec![*header]))?;
    wait_asked(peer, header.block_hash())
}

/// Sends a compact block unasked, as a peer does that was chosen for that, and waits until the node has asked for what it lacks (D51).
pub fn announce_compact(peer: &Peer, block: &Block) -> anyhow::Result<()> {
    let compact_block = HeaderAndShortIds::from_block(block, 1, 2, &[]).context("a block has a compact form")?;
    peer.send(NetworkMessage::CmpctBlock(CmpctBlock { compact_block }))?;
    peer.wait_for("getblocktxn")?;
    Ok(())
}

/// Sends everything but the coinbase of a block that was announced in its compact form, and waits until it is the node's tip (D50).
pub fn complete(victim: &Victim, peer: &Peer, block: &Block) -> anyhow::Result<()> {
    let transactions = block.txdata.iter().skip(1).cloned().collect();
    send_missing(peer, block.block_hash(), transactions)?;
    peer.ping()?;
    wait_tip(victim, block.block_hash())
}

/// Sends a block of nothing but a coinbase in its compact form, so that the node has to ask for nothing, and waits until it is the node's tip: what
/// makes up for blocks that it had to ask for (D50).
pub fn pass_on(victim: &Victim, peer: &Peer, block: &Block) -> anyhow::Result<()> {
    let compact_block = HeaderAndShortIds::from_block(block, 1, 2, &[]).context("a block has a compact form")?;
    peer.send(NetworkMessage::CmpctBlock(CmpctBlock { compact_block }))?;
    wait_tip(victim, block.block_hash())
}

/// Sends a block that nobody asked this peer for, and waits until the node has looked at it.
pub fn deliver(peer: &Peer, block: &Block) -> anyhow::Result<()> {
    peer.send(NetworkMessage::Block(block.clone()))?;
    peer.ping()?;
    Ok(())
}

/// A block whose transactions are not those that its header commits to: a mutated one.
pub fn tampered(block: &Block) -> Block {
    let mut block = block.clone();
    block.txdata[0].lock_time = LockTime::from_consensus(1);
    block
}

/// A block with work whose coinbase takes a satoshi too much: an invalid one.
pub fn overpaid(block: &Block) -> anyhow::Result<Block> {
    let mut block = block.clone();
    let output = &mut block.txdata[0].output[0];
    output.value = output.value.checked_add(Amount::from_sat(1)).context("a block pays less than all there is")?;
    block.header.merkle_root = block.compute_merkle_root().context("a block has a coinbase")?;
    work(&mut block.header);
    Ok(block)
}

/// A header without the work that it claims.
pub fn header_without_work(header: &Header) -> Header {
    let mut header = *header;
    while header.validate_pow(header.target()).is_ok() {
        header.nonce = header.nonce.wrapping_add(1);
    }
    header
}

/// Announces a block in its compact form, and answers the node's request for what it lacks with nothing (D52).
pub fn spoil_reconstruction(peer: &Peer, block: &Block) -> anyhow::Result<()> {
    announce_compact(peer, block)?;
    send_missing(peer, block.block_hash(), Vec::new())
}

/// So many empty blocks on top of the one with this hash, which the node has. Nobody else has them.
pub fn headers_ahead(victim: &Victim, parent: &str, count: usize) -> anyhow::Result<Vec<Block>> {
    let about = victim.rpc("getblockheader", json!([parent]))?;
    let number = |name: &str| about[name].as_u64().with_context(|| format!("no {name} in getblockheader"));
    let mut height = i64::try_from(number("height")?)?;
    let mut header = Header {
        version: Version::from_consensus(VERSION),
        prev_blockhash: parent.parse()?,
        merkle_root: TxMerkleNode::all_zeros(),
        time: u32::try_from(number("time")?)?,
        bits: CompactTarget::from_consensus(BITS),
        nonce: 0,
    };
    let mut blocks = Vec::with_capacity(count);
    for _ in 0..count {
        height += 1;
        // later than its parent is later than the median of eleven
        header.time += 1;
        let mut block = Block { header, txdata: vec![coinbase(height)] };
        block.header.merkle_root = block.compute_merkle_root().context("a block has a coinbase")?;
        work(&mut block.header);
        header.prev_blockhash = block.block_hash();
        blocks.push(block);
    }
    Ok(blocks)
}

/// Makes the node leave the last `depth` blocks of its chain for a branch that is longer by one (D55), and gives the new tip.
pub fn replace_tip(victim: &Victim, peer: &Peer, depth: usize) -> anyhow::Result<BlockHash> {
    let height = victim.rpc("getblockcount", json!([]))?.as_u64().context("a height")?;
    let below = height.checked_sub(depth as u64).context("the chain is shorter than what should be replaced of it")?;
    let parent = victim.rpc("getblockhash", json!([below]))?;
    let branch = headers_ahead(victim, parent.as_str().context("a hash")?, depth + 1)?;
    let (first, last) = (branch[0].block_hash(), branch[depth].block_hash());
    peer.send(NetworkMessage::Headers(branch.iter().map(|block| block.header).collect()))?;
    wait_asked(peer, first)?;
    for block in &branch {
        deliver(peer, block)?;
    }
    wait_tip(victim, last)?;
    Ok(last)
}

/// Waits until a block is the node's tip.
fn wait_tip(victim: &Victim, hash: BlockHash) -> anyhow::Result<()> {
    let hash = hash.to_string();
    wait::until("the node to take a block as its tip", wait::LONG, || {
        Ok((victim.rpc("getbestblockhash", json!([]))? == hash.as_str()).then_some(()))
    })
}

fn wait_asked(peer: &Peer, wanted: BlockHash) -> anyhow::Result<()> {
    peer.wait_where("a request for the block", |message| {
        let Ok(NetworkMessage::GetData(items)) = message.decode() else { return false };
        items.iter().any(|item| {
            matches!(item, Inventory::Block(hash) | Inventory::WitnessBlock(hash) | Inventory::CompactBlock(hash) if *hash == wanted)
        })
    })?;
    Ok(())
}

fn send_missing(peer: &Peer, block_hash: BlockHash, transactions: Vec<Transaction>) -> anyhow::Result<()> {
    peer.send(NetworkMessage::BlockTxn(BlockTxn { transactions: BlockTransactions { block_hash, transactions } }))
}

/// Looks for a nonce; two tries are enough on average.
fn work(header: &mut Header) {
    while header.validate_pow(header.target()).is_err() {
        header.nonce = header.nonce.wrapping_add(1);
    }
}

/// A coinbase that pays nothing to nobody. Its input begins with the height (BIP34) and is long enough.
fn coinbase(height: i64) -> Transaction {
    let input = TxIn {
        previous_output: OutPoint::null(),
        script_sig: Builder::new().push_int(height).push_slice([0x66, 0x6f, 0x72, 0x6b]).into_script(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    // OP_RETURN
    let output = TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(vec![0x6a]) };
    Transaction { version: transaction::Version::TWO, lock_time: LockTime::ZERO, input: vec![input], output: vec![output] }
}
