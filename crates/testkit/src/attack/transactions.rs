//! Transactions that a regtest node takes at once, and what can be done with them.

use std::collections::HashSet;

use anyhow::{Context as _, ensure};
use bitcoin::absolute::LockTime;
use bitcoin::consensus::encode::{deserialize_hex, serialize, serialize_hex};
use bitcoin::hashes::Hash as _;
use bitcoin::p2p::message::NetworkMessage;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::transaction::Version;
use bitcoin::{Address, Amount, Block, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, Wtxid};
use serde_json::json;

use super::Victim;
use crate::cast::Random;
use crate::peer::{Peer, frame};
use crate::wait;

/// Blocks on top of a coinbase before it may be spent.
const MATURITY: usize = 100;

/// Outputs of a transaction that makes many: each weighs 172, and more than 400,000 are not relayed.
const OUTPUTS: usize = 2000;

/// What a transaction with that many outputs pays, satoshi: two for each of its bytes.
const FEE_OF_MANY: u64 = 200_000;

/// What one with a single output pays: ten for each of its bytes.
const FEE_OF_ONE: u64 = 1_000;

/// The least value of a coin, satoshi. Regtest halves what a block pays every 150 blocks.
const LEAST: u64 = 50_000;

/// Blocks within which everything that waits must have been mined.
const CLEARED: usize = 20;

/// An output that anybody may spend, in a block.
#[derive(Debug, Clone, Copy)]
pub struct Coin {
    /// Where it is.
    pub outpoint: OutPoint,
    /// What it is worth, satoshi.
    pub value: u64,
}

/// Mines a block, so that the node has left its initial download, in which it asks for nothing.
pub fn leave_download(victim: &Victim) -> anyhow::Result<()> {
    mine(victim, 1)?;
    wait::until("the end of the initial download", wait::LONG, || {
        let about = victim.rpc("getblockchaininfo", json!([]))?;
        Ok((about["initialblockdownload"] == false).then_some(()))
    })
}

/// Coins in blocks, which it mines for it; the mempool is empty afterwards.
pub fn prepare_coins(victim: &Victim, count: usize) -> anyhow::Result<Vec<Coin>> {
    let sources = count.div_ceil(OUTPUTS);
    let blocks = mine(victim, MATURITY + sources)?;
    let mut coins = Vec::with_capacity(sources * OUTPUTS);
    for hash in blocks.iter().take(sources) {
        let block: Block = deserialize_hex(victim.rpc("getblock", json!([hash, 0]))?.as_str().context("a block in hex")?)?;
        let coinbase = block.txdata.first().context("a block has a coinbase")?;
        let value = coinbase.output[0].value.to_sat().saturating_sub(FEE_OF_MANY) / OUTPUTS as u64;
        ensure!(value >= LEAST, "the chain of this node is so long that its blocks pay too little; take a new data directory");
        let coin = Coin { outpoint: OutPoint::new(coinbase.compute_txid(), 0), value: 0 };
        let many = spend(&[coin], vec![output(value); OUTPUTS]);
        // zero: no fee is too high
        victim.rpc("sendrawtransaction", json!([serialize_hex(&many), 0]))?;
        let txid = many.compute_txid();
        coins.extend((0..OUTPUTS as u32).map(|at| Coin { outpoint: OutPoint::new(txid, at), value }));
    }
    coins.truncate(count);
    for _ in 0..CLEARED {
        mine(victim, 1)?;
        if victim.rpc("getmempoolinfo", json!([]))?["size"] == 0 {
            return Ok(coins);
        }
    }
    anyhow::bail!("transactions still wait at this node after {CLEARED} blocks; take a new data directory")
}

/// Transactions that a node takes at once: each spends an output of its own, which anybody may spend and which is in a block (D39).
///
/// Mines the blocks for it, so that the node has left its initial download.
pub fn prepare_transactions(victim: &Victim, count: usize) -> anyhow::Result<Vec<Transaction>> {
    Ok(prepare_coins(victim, count)?.iter().map(|coin| pay(&[*coin], FEE_OF_ONE)).collect())
}

/// Sends transactions without announcing them, as fast as they go, and waits until the node has looked at all of them.
pub fn rush(peer: &Peer, transactions: &[Transaction]) -> anyhow::Result<()> {
    let frames: Vec<u8> = transactions.iter().flat_map(|transaction| frame("tx", &serialize(transaction))).collect();
    peer.send_bytes(&frames)?;
    peer.ping()?;
    Ok(())
}

/// Peers announce the same transactions, which exist nowhere, and wait until the node has asked some of them for each (D42). Whoever is asked gives
/// nothing. A peer has to be connected with `wtxidrelay`.
pub fn withhold(peers: &[Peer], count: usize, seed: u64) -> anyhow::Result<()> {
    let mut random = Random::new(seed);
    let items: Vec<Inventory> = (0..count).map(|_| Inventory::WTx(Wtxid::from_byte_array(random.bytes()))).collect();
    for peer in peers {
        peer.send(NetworkMessage::Inv(items.clone()))?;
    }
    let mut missing: HashSet<Inventory> = items.into_iter().collect();
    wait::until("requests for every transaction", wait::LONG, || {
        for message in peers.iter().flat_map(Peer::take_received).filter(|message| message.message_type() == "getdata") {
            if let NetworkMessage::GetData(asked) = message.decode()? {
                missing.retain(|item| !asked.contains(item));
            }
        }
        Ok(missing.is_empty().then_some(()))
    })
}

/// Spends a coin again and again, each time for a higher fee, so that each transaction replaces the one before (D45). Gives the last.
pub fn replace(peer: &Peer, coin: Coin, times: usize) -> anyhow::Result<Txid> {
    let spends: Vec<Transaction> = (1..=times as u64 + 1).map(|n| pay(&[coin], FEE_OF_ONE * n)).collect();
    rush(peer, &spends)?;
    Ok(spends.last().context("there is at least one")?.compute_txid())
}

/// Replacement cycling (D45): a transaction is replaced by one that spends a coin of the attacker besides, which is replaced by one that spends only
/// that. The first is gone, and what it spent is unspent. Once for each coin of the attacker. Gives the transactions that stay.
pub fn cycle(peer: &Peer, coin: Coin, attackers: &[Coin]) -> anyhow::Result<Vec<Txid>> {
    let mut stay = Vec::new();
    for own in attackers {
        let last = pay(&[*own], FEE_OF_ONE * 10);
        rush(peer, &[pay(&[coin], FEE_OF_ONE), pay(&[coin, *own], FEE_OF_ONE * 4), last.clone()])?;
        stay.push(last.compute_txid());
    }
    Ok(stay)
}

/// Mines blocks, and gives their hashes.
fn mine(victim: &Victim, count: usize) -> anyhow::Result<Vec<String>> {
    let address = Address::p2wsh(&anybody(), Network::Regtest).to_string();
    Ok(serde_json::from_value(victim.rpc("generatetoaddress", json!([count, address]))?)?)
}

/// A script that is satisfied by nothing, behind a hash: Bitcoin Core relays what spends it, and nothing has to be signed.
fn anybody() -> ScriptBuf {
    ScriptBuf::from_bytes(vec![bitcoin::opcodes::OP_TRUE.to_u8()])
}

fn output(value: u64) -> TxOut {
    TxOut { value: Amount::from_sat(value), script_pubkey: ScriptBuf::new_p2wsh(&anybody().wscript_hash()) }
}

/// Spends coins into one.
fn pay(coins: &[Coin], fee: u64) -> Transaction {
    let value: u64 = coins.iter().map(|coin| coin.value).sum();
    spend(coins, vec![output(value.saturating_sub(fee))])
}

fn spend(coins: &[Coin], output: Vec<TxOut>) -> Transaction {
    let witness = Witness::from_slice(&[anybody().as_bytes()]);
    let input = coins.iter().map(|coin| TxIn {
        previous_output: coin.outpoint,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: witness.clone(),
    });
    Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input: input.collect(), output }
}
