//! A valid payload of every P2P message.

use bitcoin::bip152::{BlockTransactions, BlockTransactionsRequest, HeaderAndShortIds, PrefilledTransaction, ShortId};
use bitcoin::consensus::Encodable;
use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::{Hash as _, sha256d};
use bitcoin::p2p::ServiceFlags;
use bitcoin::p2p::address::{AddrV2, AddrV2Message, Address};
use bitcoin::p2p::message::{CommandString, NetworkMessage};
use bitcoin::p2p::message_blockdata::{GetBlocksMessage, GetHeadersMessage, Inventory};
use bitcoin::p2p::message_bloom::{BloomFlags, FilterAdd, FilterLoad};
use bitcoin::p2p::message_compact_blocks::{BlockTxn, CmpctBlock, GetBlockTxn, SendCmpct};
use bitcoin::p2p::message_filter::{CFCheckpt, CFHeaders, CFilter, GetCFCheckpt, GetCFHeaders, GetCFilters};
use bitcoin::p2p::message_network::{Reject, RejectReason, VersionMessage};
use bitcoin::{Block, MerkleBlock, Transaction, TxMerkleNode};

/// A valid payload of every P2P message that Bitcoin Core knows, and of `alert` and `reject`.
pub fn payloads() -> Vec<(String, Vec<u8>)> {
    let block = block();
    let (header, tx) = (block.header, block.txdata[1].clone());
    let (hash, txid, wtxid) = (block.block_hash(), tx.compute_txid(), tx.compute_wtxid());
    let time = 1_750_000_000;
    let services = ServiceFlags::NETWORK | ServiceFlags::WITNESS | ServiceFlags::P2P_V2;
    let address = |text: &str| Address::new(&text.parse().expect("an address"), services);
    let v2 = |addr| AddrV2Message { time, services, addr, port: 8333 };
    let inventory = vec![
        Inventory::Transaction(txid),
        Inventory::Block(hash),
        Inventory::CompactBlock(hash),
        Inventory::WTx(wtxid),
        Inventory::WitnessTransaction(txid),
        Inventory::WitnessBlock(hash),
        Inventory::Unknown { inv_type: 3, hash: [3; 32] },
    ];
    let version = VersionMessage {
        version: 70016,
        services,
        timestamp: time.into(),
        receiver: address("203.0.113.7:8333"),
        sender: address("[::]:0"),
        nonce: 0x0102_0304_0506_0708,
        user_agent: "/Satoshi:31.0.0/".into(),
        start_height: 900_000,
        relay: true,
    };
    let short_id = |at: u8| ShortId::from([at; 6]);
    let compact = HeaderAndShortIds {
        header,
        nonce: 7,
        short_ids: (0..5).map(short_id).collect(),
        prefilled_txs: block.txdata.iter().map(|tx| PrefilledTransaction { idx: 0, tx: tx.clone() }).collect(),
    };
    let filter_hash = |at: u8| bitcoin::bip158::FilterHash::from_byte_array([at; 32]);
    let filter_header = |at: u8| bitcoin::bip158::FilterHeader::from_byte_array([at; 32]);
    let other = |command: &str, payload: Vec<u8>| NetworkMessage::Unknown {
        command: CommandString::try_from(command).expect("at most 12 letters"),
        payload,
    };
    let messages = [
        NetworkMessage::Version(version),
        NetworkMessage::Verack,
        NetworkMessage::WtxidRelay,
        NetworkMessage::SendAddrV2,
        other("sendtxrcncl", serialize(&(1_u32, 99_u64))),
        other("feature", serialize(&(b"some-feature".to_vec(), vec![1_u8, 2, 3]))),
        NetworkMessage::SendHeaders,
        NetworkMessage::SendCmpct(SendCmpct { send_compact: true, version: 2 }),
        NetworkMessage::FeeFilter(1000),
        NetworkMessage::Ping(1),
        NetworkMessage::Pong(1),
        NetworkMessage::GetAddr,
        NetworkMessage::Addr(vec![(time, address("198.51.100.1:8333")), (time, address("[2001:db8::1]:8333"))]),
        NetworkMessage::AddrV2(vec![
            v2(AddrV2::Ipv4([198, 51, 100, 1].into())),
            v2(AddrV2::Ipv6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into())),
            v2(AddrV2::TorV2([3; 10])),
            v2(AddrV2::TorV3([4; 32])),
            v2(AddrV2::I2p([5; 32])),
            v2(AddrV2::Cjdns([0xfc00, 0, 0, 0, 0, 0, 0, 6].into())),
            v2(AddrV2::Unknown(7, vec![7; 7])),
        ]),
        NetworkMessage::Inv(inventory.clone()),
        NetworkMessage::GetData(inventory.clone()),
        NetworkMessage::NotFound(inventory),
        NetworkMessage::GetBlocks(GetBlocksMessage { version: 70016, locator_hashes: vec![hash; 2], stop_hash: hash }),
        NetworkMessage::GetHeaders(GetHeadersMessage { version: 70016, locator_hashes: vec![hash; 2], stop_hash: hash }),
        NetworkMessage::Headers(vec![header; 2]),
        NetworkMessage::Block(block.clone()),
        NetworkMessage::Tx(tx.clone()),
        NetworkMessage::CmpctBlock(CmpctBlock { compact_block: compact }),
        NetworkMessage::GetBlockTxn(GetBlockTxn {
            txs_request: BlockTransactionsRequest { block_hash: hash, indexes: vec![0, 1, 300] },
        }),
        NetworkMessage::BlockTxn(BlockTxn {
            transactions: BlockTransactions { block_hash: hash, transactions: block.txdata.clone() },
        }),
        NetworkMessage::MemPool,
        NetworkMessage::MerkleBlock(MerkleBlock::from_block_with_predicate(&block, |id| *id == txid)),
        NetworkMessage::FilterLoad(FilterLoad { filter: vec![0xff; 9], hash_funcs: 11, tweak: 5, flags: BloomFlags::All }),
        NetworkMessage::FilterAdd(FilterAdd { data: vec![9; 20] }),
        NetworkMessage::FilterClear,
        NetworkMessage::GetCFilters(GetCFilters { filter_type: 0, start_height: 1, stop_hash: hash }),
        NetworkMessage::CFilter(CFilter { filter_type: 0, block_hash: hash, filter: vec![1, 2, 3] }),
        NetworkMessage::GetCFHeaders(GetCFHeaders { filter_type: 0, start_height: 1, stop_hash: hash }),
        NetworkMessage::CFHeaders(CFHeaders {
            filter_type: 0,
            stop_hash: hash,
            previous_filter_header: filter_header(1),
            filter_hashes: vec![filter_hash(2), filter_hash(3)],
        }),
        NetworkMessage::GetCFCheckpt(GetCFCheckpt { filter_type: 0, stop_hash: hash }),
        NetworkMessage::CFCheckpt(CFCheckpt {
            filter_type: 0,
            stop_hash: hash,
            filter_headers: vec![filter_header(4), filter_header(5)],
        }),
        // signed bytes and signature; rust-bitcoin's own variant has the first only
        other("alert", serialize(&(vec![1_u8; 9], vec![2_u8; 7]))),
        NetworkMessage::Reject(Reject {
            message: "tx".into(),
            ccode: RejectReason::Dust,
            reason: "dust".into(),
            hash: sha256d::Hash::from_byte_array(txid.to_byte_array()),
        }),
    ];
    messages.iter().map(|message| (message.command().to_string(), payload(message))).collect()
}

fn payload(message: &NetworkMessage) -> Vec<u8> {
    let mut out = Vec::new();
    message.consensus_encode(&mut out).expect("a Vec grows");
    out
}

/// The coinbase of the genesis block, a transaction that spends it with a witness, and a header that commits to both.
fn block() -> Block {
    let mut block = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
    let coinbase = &block.txdata[0];
    let spend = bitcoin::TxIn {
        previous_output: bitcoin::OutPoint { txid: coinbase.compute_txid(), vout: 0 },
        witness: bitcoin::Witness::from_slice(&[&[0x30; 71][..], &[2; 33]]),
        ..Default::default()
    };
    let tx = Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![spend],
        output: coinbase.output.clone(),
    };
    block.txdata.push(tx);
    block.header.merkle_root = block.compute_merkle_root().unwrap_or(TxMerkleNode::all_zeros());
    block
}
