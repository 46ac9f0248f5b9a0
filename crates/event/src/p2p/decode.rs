//! The table of message types, and a small function for each that is more than a few numbers.

use bitcoin::bip152;
use bitcoin::block::Header;
use bitcoin::consensus::encode::VarInt;
use bitcoin::consensus::{Decodable, Encodable, deserialize_partial};
use bitcoin::hashes::{Hash as _, sha256d};
use bitcoin::p2p::address::{AddrV2, AddrV2Message, Address};
use bitcoin::p2p::message_blockdata::{GetBlocksMessage, GetHeadersMessage};
use bitcoin::p2p::message_bloom::{BloomFlags, FilterAdd, FilterLoad};
use bitcoin::p2p::message_compact_blocks::SendCmpct;
use bitcoin::p2p::message_network::{Reject, VersionMessage};
use bitcoin::p2p::{message_filter, message_network};
use bitcoin::{Block, MerkleBlock, Transaction};

use super::hashes::{Pool, Slices, bytes};
use super::{Message, Refusal};
use crate::*;

type Result<T> = std::result::Result<T, Refusal>;

/// A message of the `net` family: the common fields from `$message`, the rest as given.
macro_rules! net {
    ($message:ident, $kind:ident { $($field:ident $(: $value:expr)?),* $(,)? }) => {
        Kind::from($kind {
            peer: $message.peer,
            direction: $message.direction.into(),
            address: $message.address.into(),
            connection_type: $message.connection_type.into(),
            network: $message.network.into(),
            size: $message.size,
            raw: $message.raw(),
            $($field $(: $value)?),*
        })
    };
}

/// A row per message type. The empty ones must be empty: Bitcoin Core ignores a payload there, but would never write one.
pub(super) fn decode(m: &Message<'_>) -> Result<Kind> {
    Ok(match m.message_type {
        b"ping" => net!(m, NetPing { nonce: if m.payload.is_empty() { None } else { Some(whole(m)?) } }),
        b"pong" => net!(m, NetPong { nonce: whole(m)? }),
        b"inv" => net!(m, NetInv { items: inventory(m)? }),
        b"getdata" => net!(m, NetGetdata { items: inventory(m)? }),
        b"notfound" => net!(m, NetNotfound { items: inventory(m)? }),
        b"tx" => tx(m)?,
        b"addr" => net!(m, NetAddr { addresses: addr(&whole::<Vec<_>>(m)?) }),
        b"addrv2" => net!(m, NetAddrv2 { addresses: addrv2(&whole::<Vec<_>>(m)?) }),
        b"headers" => net!(m, NetHeaders { headers: headers(m)? }),
        b"cmpctblock" => cmpctblock(m)?,
        b"getblocktxn" => {
            let request: bip152::BlockTransactionsRequest = whole(m)?;
            net!(m, NetGetblocktxn { block: bytes(request.block_hash), indexes: request.indexes })
        }
        b"blocktxn" => {
            let answer: bip152::BlockTransactions = whole(m)?;
            net!(m, NetBlocktxn { block: bytes(answer.block_hash), transactions: transaction_ids(&answer.transactions) })
        }
        b"block" => block(m)?,
        b"version" => version(m)?,
        b"verack" => empty(m, net!(m, NetVerack {}))?,
        b"wtxidrelay" => empty(m, net!(m, NetWtxidrelay {}))?,
        b"sendaddrv2" => empty(m, net!(m, NetSendaddrv2 {}))?,
        b"sendheaders" => empty(m, net!(m, NetSendheaders {}))?,
        b"getaddr" => empty(m, net!(m, NetGetaddr {}))?,
        b"mempool" => empty(m, net!(m, NetMempool {}))?,
        b"filterclear" => empty(m, net!(m, NetFilterclear {}))?,
        b"sendtxrcncl" => {
            let (version, salt) = whole(m)?;
            net!(m, NetSendtxrcncl { version, salt })
        }
        b"feature" => feature(m)?,
        b"sendcmpct" => {
            let SendCmpct { send_compact, version } = whole(m)?;
            net!(m, NetSendcmpct { announce: send_compact, version })
        }
        b"feefilter" => net!(m, NetFeefilter { feerate: whole(m)? }),
        b"getblocks" => {
            let GetBlocksMessage { version, locator_hashes, stop_hash } = whole(m)?;
            net!(m, NetGetblocks { version, locator: all(&locator_hashes), stop: bytes(stop_hash) })
        }
        b"getheaders" => {
            let GetHeadersMessage { version, locator_hashes, stop_hash } = whole(m)?;
            net!(m, NetGetheaders { version, locator: all(&locator_hashes), stop: bytes(stop_hash) })
        }
        b"merkleblock" => merkleblock(m)?,
        b"filterload" => {
            let FilterLoad { filter, hash_funcs, tweak, flags } = whole(m)?;
            let flags = match flags {
                BloomFlags::None => 0,
                BloomFlags::All => 1,
                BloomFlags::PubkeyOnly => 2,
            };
            net!(m, NetFilterload { filter: filter.into(), hash_functions: hash_funcs, tweak, flags })
        }
        b"filteradd" => {
            let FilterAdd { data } = whole(m)?;
            net!(m, NetFilteradd { element: data.into() })
        }
        b"getcfilters" => {
            let message_filter::GetCFilters { filter_type, start_height, stop_hash } = whole(m)?;
            net!(m, NetGetcfilters { filter_type: filter_type.into(), start_height, stop: bytes(stop_hash) })
        }
        b"cfilter" => {
            let message_filter::CFilter { filter_type, block_hash, filter } = whole(m)?;
            net!(m, NetCfilter { filter_type: filter_type.into(), block: bytes(block_hash), filter: filter.into() })
        }
        b"getcfheaders" => {
            let message_filter::GetCFHeaders { filter_type, start_height, stop_hash } = whole(m)?;
            net!(m, NetGetcfheaders { filter_type: filter_type.into(), start_height, stop: bytes(stop_hash) })
        }
        b"cfheaders" => {
            let message_filter::CFHeaders { filter_type, stop_hash, previous_filter_header, filter_hashes } = whole(m)?;
            net!(
                m,
                NetCfheaders {
                    filter_type: filter_type.into(),
                    stop: bytes(stop_hash),
                    previous: bytes(previous_filter_header),
                    filter_hashes: all(&filter_hashes),
                }
            )
        }
        b"getcfcheckpt" => {
            let message_filter::GetCFCheckpt { filter_type, stop_hash } = whole(m)?;
            net!(m, NetGetcfcheckpt { filter_type: filter_type.into(), stop: bytes(stop_hash) })
        }
        b"cfcheckpt" => {
            let message_filter::CFCheckpt { filter_type, stop_hash, filter_headers } = whole(m)?;
            net!(m, NetCfcheckpt { filter_type: filter_type.into(), stop: bytes(stop_hash), filter_headers: all(&filter_headers) })
        }
        b"alert" => {
            let (payload, signature): (Vec<u8>, Vec<u8>) = whole(m)?;
            net!(m, NetAlert { payload: payload.into(), signature: signature.into() })
        }
        b"reject" => reject(m)?,
        _ => return Err(Refusal::new(UndecodableReason::UnknownType, "")),
    })
}

/// All of the payload as one `T`, which must give back the same bytes.
fn whole<T: Decodable + Encodable>(m: &Message<'_>) -> Result<T> {
    let (value, used) = deserialize_partial::<T>(m.payload)?;
    finish(m, used)?;
    canonical(&value, m.payload)?;
    Ok(value)
}

fn empty(m: &Message<'_>, kind: Kind) -> Result<Kind> {
    finish(m, 0)?;
    Ok(kind)
}

/// Nothing may follow after the message.
fn finish(m: &Message<'_>, used: usize) -> Result<()> {
    match m.payload.len() - used {
        0 => Ok(()),
        rest => Err(Refusal::new(UndecodableReason::TrailingBytes, format!("{rest} bytes after the message"))),
    }
}

fn canonical(value: &impl Encodable, payload: &[u8]) -> Result<()> {
    let mut compare = Compare { rest: payload, equal: true };
    let written = value.consensus_encode(&mut compare);
    if written.is_ok() && compare.equal && compare.rest.is_empty() {
        Ok(())
    } else {
        Err(Refusal::new(UndecodableReason::NotCanonical, "would be written with other bytes"))
    }
}

/// A writer that keeps nothing: it only tells whether it was given the same bytes.
struct Compare<'a> {
    rest: &'a [u8],
    equal: bool,
}

impl bitcoin::io::Write for Compare<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::result::Result<usize, bitcoin::io::Error> {
        match self.rest.split_at_checked(bytes.len()) {
            Some((head, rest)) if head == bytes => self.rest = rest,
            _ => self.equal = false,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::result::Result<(), bitcoin::io::Error> {
        Ok(())
    }
}

/// Read directly, because it is the most frequent message that is not small: 36 bytes each, of which nothing can be written in two
/// ways. The hashes stay where they are in one copy of the payload.
fn inventory(m: &Message<'_>) -> Result<Vec<Inventory>> {
    const ENTRY: usize = 36;
    let mut rest = m.payload;
    let announced = VarInt::consensus_decode(&mut rest)?;
    let length = usize::try_from(announced.0).unwrap_or(usize::MAX).saturating_mul(ENTRY);
    if rest.len() < length {
        return Err(Refusal::too_short());
    }
    let prefix = m.payload.len() - rest.len();
    finish(m, prefix + length)?;
    let payload = bytes::Bytes::copy_from_slice(rest);
    let entry = |(at, entry): (usize, &[u8; ENTRY])| {
        let [a, b, c, d, ..] = *entry;
        let number = u32::from_le_bytes([a, b, c, d]);
        let kind = match number {
            1 => InventoryType::Tx,
            2 => InventoryType::Block,
            3 => InventoryType::FilteredBlock,
            4 => InventoryType::CompactBlock,
            5 => InventoryType::Wtx,
            0x4000_0001 => InventoryType::WitnessTx,
            0x4000_0002 => InventoryType::WitnessBlock,
            _ => InventoryType::Other,
        };
        Inventory {
            r#type: kind.into(),
            hash: payload.slice(at * ENTRY + 4..(at + 1) * ENTRY),
            number: (kind == InventoryType::Other).then_some(number),
        }
    };
    Ok(rest.as_chunks().0.iter().enumerate().map(entry).collect())
}

fn all<T: AsRef<[u8]>>(items: &[T]) -> Vec<bytes::Bytes> {
    let mut pool = Pool::with_capacity(32 * items.len());
    for item in items {
        pool.push(item);
    }
    let mut slices = pool.finish();
    items.iter().map(|item| slices.take(item.as_ref().len())).collect()
}

fn tx(m: &Message<'_>) -> Result<Kind> {
    let tx: Transaction = whole(m)?;
    let mut pool = Pool::with_capacity(32 * (2 + tx.input.len()));
    // the payload is what would be written: no need to write it once more for its hash
    let wtxid = sha256d::Hash::hash(m.payload);
    let txid = if tx.input.is_empty() || has_witness(&tx) { tx.compute_txid().to_raw_hash() } else { wtxid };
    pool.push(txid);
    pool.push(if has_witness(&tx) { wtxid } else { txid });
    for input in &tx.input {
        pool.push(input.previous_output.txid);
    }
    let mut hashes = pool.finish();
    let (txid, wtxid) = (hashes.hash(), hashes.hash());
    let spends = tx.input.iter().map(|i| OutPoint { txid: hashes.hash(), vout: i.previous_output.vout }).collect();
    Ok(net!(
        m,
        NetTx {
            txid,
            wtxid,
            weight: tx.weight().to_wu(),
            version: tx.version.0,
            locktime: tx.lock_time.to_consensus_u32(),
            spends,
            outputs: count(tx.output.len()),
            // a peer may claim anything: no overflow
            output_value: tx.output.iter().fold(0, |sum: u64, output| sum.saturating_add(output.value.to_sat())),
        }
    ))
}

fn has_witness(tx: &Transaction) -> bool {
    tx.input.iter().any(|input| !input.witness.is_empty())
}

/// Ids of many transactions, from one allocation.
fn transaction_ids<'a, I>(transactions: I) -> Vec<TransactionId>
where
    I: IntoIterator<Item = &'a Transaction, IntoIter: Clone>,
{
    let transactions = transactions.into_iter();
    let ids: usize = transactions.clone().map(|tx| 1 + usize::from(has_witness(tx))).sum();
    let mut pool = Pool::with_capacity(32 * ids);
    for tx in transactions.clone() {
        pool.push(tx.compute_txid());
        if has_witness(tx) {
            pool.push(tx.compute_wtxid());
        }
    }
    let mut hashes: Slices = pool.finish();
    let id = |tx| TransactionId { txid: hashes.hash(), wtxid: has_witness(tx).then(|| hashes.hash()) };
    transactions.map(id).collect()
}

fn header(header: &Header) -> BlockHeader {
    let mut pool = Pool::with_capacity(HEADER_HASHES);
    push_header(&mut pool, header);
    take_header(&mut pool.finish(), header)
}

/// Bytes of the hashes of a header: its own, its parent's, the root's.
const HEADER_HASHES: usize = 96;

fn push_header(pool: &mut Pool, header: &Header) {
    pool.push(header.block_hash());
    pool.push(header.prev_blockhash);
    pool.push(header.merkle_root);
}

fn take_header(hashes: &mut Slices, header: &Header) -> BlockHeader {
    BlockHeader {
        hash: hashes.hash(),
        version: header.version.to_consensus(),
        previous: hashes.hash(),
        merkle_root: hashes.hash(),
        time: header.time,
        bits: header.bits.to_consensus(),
        nonce: header.nonce,
    }
}

/// Each is followed by a count of transactions, which is zero.
fn headers(m: &Message<'_>) -> Result<Vec<BlockHeader>> {
    let mut rest = m.payload;
    let announced = VarInt::consensus_decode(&mut rest)?;
    let most = rest.len() / 81;
    let (mut headers, mut pool) = (Vec::with_capacity(most), Pool::with_capacity(most * HEADER_HASHES));
    for _ in 0..announced.0 {
        let header = Header::consensus_decode(&mut rest)?;
        if u8::consensus_decode(&mut rest)? != 0 {
            return Err(Refusal::new(UndecodableReason::NotCanonical, "a header announces transactions"));
        }
        push_header(&mut pool, &header);
        headers.push(header);
    }
    finish(m, m.payload.len() - rest.len())?;
    let mut hashes = pool.finish();
    Ok(headers.iter().map(|header| take_header(&mut hashes, header)).collect())
}

fn block(m: &Message<'_>) -> Result<Kind> {
    let block: Block = whole(m)?;
    Ok(net!(
        m,
        NetBlock {
            header: Some(header(&block.header)),
            weight: block.weight().to_wu(),
            transactions: transaction_ids(&block.txdata),
        }
    ))
}

fn cmpctblock(m: &Message<'_>) -> Result<Kind> {
    let block: bip152::HeaderAndShortIds = whole(m)?;
    let short_id = |id: &bip152::ShortId| {
        let mut le = [0; 8];
        le[..6].copy_from_slice(id.as_ref());
        u64::from_le_bytes(le)
    };
    let ids = transaction_ids(block.prefilled_txs.iter().map(|prefilled| &prefilled.tx));
    // on the wire each index counts from the one before it
    let mut next = 0;
    let prefilled = block
        .prefilled_txs
        .iter()
        .zip(ids)
        .map(|(prefilled, id)| {
            let index = next + u64::from(prefilled.idx);
            next = index + 1;
            PrefilledTransaction { index, txid: id.txid, wtxid: id.wtxid }
        })
        .collect();
    Ok(net!(
        m,
        NetCmpctblock {
            header: Some(header(&block.header)),
            nonce: block.nonce,
            short_ids: block.short_ids.iter().map(short_id).collect(),
            prefilled,
        }
    ))
}

fn merkleblock(m: &Message<'_>) -> Result<Kind> {
    let block: MerkleBlock = whole(m)?;
    let mut flags = vec![0; block.txn.bits().len().div_ceil(8)];
    for (at, bit) in block.txn.bits().iter().enumerate() {
        flags[at / 8] |= u8::from(*bit) << (at % 8);
    }
    Ok(net!(
        m,
        NetMerkleblock {
            header: Some(header(&block.header)),
            transactions: block.txn.num_transactions(),
            hashes: all(block.txn.hashes()),
            flags: flags.into(),
        }
    ))
}

fn version(m: &Message<'_>) -> Result<Kind> {
    let message: VersionMessage = whole(m)?;
    let message_network::VersionMessage { version, services, timestamp, receiver, sender, nonce, user_agent, start_height, relay } =
        message;
    Ok(net!(
        m,
        NetVersion {
            version,
            services: services.to_u64(),
            time: timestamp,
            receiver_services: receiver.services.to_u64(),
            receiver_address: socket(&receiver),
            sender_services: sender.services.to_u64(),
            sender_address: socket(&sender),
            nonce,
            user_agent,
            start_height,
            relay,
        }
    ))
}

fn feature(m: &Message<'_>) -> Result<Kind> {
    let (id, data): (Vec<u8>, Vec<u8>) = whole(m)?;
    // BIP 434
    if !(4..=80).contains(&id.len()) || data.len() > 512 {
        let detail = format!("id of {} bytes, data of {}", id.len(), data.len());
        return Err(Refusal::new(UndecodableReason::Malformed, detail));
    }
    match String::from_utf8(id) {
        Ok(id) if id.is_ascii() => Ok(net!(m, NetFeature { id, data: data.into() })),
        _ => Err(Refusal::new(UndecodableReason::Malformed, "id is not ASCII")),
    }
}

fn reject(m: &Message<'_>) -> Result<Kind> {
    let message: Reject = whole(m)?;
    // rust-bitcoin has taken all of the payload, so the code is where BIP 61 puts it: behind the text and its length
    let at = VarInt::from(message.message.len()).size() + message.message.len();
    let code = m.payload.get(at).copied().unwrap_or_default();
    Ok(net!(
        m,
        NetReject {
            message: message.message.into_owned(),
            code: code.into(),
            reason: message.reason.into_owned(),
            hash: bytes(message.hash),
        }
    ))
}

/// 16 bytes as IPv6, or as IPv4 where they embed one in the usual way (`::ffff:a.b.c.d`).
fn ip(address: &Address) -> std::net::IpAddr {
    std::net::Ipv6Addr::from(address.address).to_canonical()
}

fn socket(address: &Address) -> String {
    std::net::SocketAddr::new(ip(address), address.port).to_string()
}

fn addr(entries: &[(u32, Address)]) -> Vec<NetworkAddress> {
    let mut pool = Pool::with_capacity(16 * entries.len());
    for (_, address) in entries {
        match ip(address) {
            std::net::IpAddr::V4(ip) => pool.push(ip.octets()),
            std::net::IpAddr::V6(ip) => pool.push(ip.octets()),
        }
    }
    let mut slices = pool.finish();
    let entry = |(time, address): &(u32, Address)| {
        let (network, length) = if ip(address).is_ipv4() { (Network::Ipv4, 4) } else { (Network::Ipv6, 16) };
        NetworkAddress {
            time: *time,
            services: address.services.to_u64(),
            network: network.into(),
            address: slices.take(length),
            port: address.port.into(),
            network_id: None,
        }
    };
    entries.iter().map(entry).collect()
}

fn addrv2(entries: &[AddrV2Message]) -> Vec<NetworkAddress> {
    let mut pool = Pool::with_capacity(16 * entries.len());
    for entry in entries {
        match &entry.addr {
            AddrV2::Ipv4(ip) => pool.push(ip.octets()),
            AddrV2::Ipv6(ip) | AddrV2::Cjdns(ip) => pool.push(ip.octets()),
            AddrV2::TorV2(key) => pool.push(key),
            AddrV2::TorV3(key) | AddrV2::I2p(key) => pool.push(key),
            AddrV2::Unknown(_, bytes) => pool.push(bytes),
        }
    }
    let mut slices = pool.finish();
    let entry = |entry: &AddrV2Message| {
        let (network, length, network_id) = match &entry.addr {
            AddrV2::Ipv4(_) => (Network::Ipv4, 4, None),
            AddrV2::Ipv6(_) => (Network::Ipv6, 16, None),
            AddrV2::Cjdns(_) => (Network::Cjdns, 16, None),
            AddrV2::TorV2(_) => (Network::Torv2, 10, None),
            AddrV2::TorV3(_) => (Network::Onion, 32, None),
            AddrV2::I2p(_) => (Network::I2p, 32, None),
            AddrV2::Unknown(id, bytes) => (Network::Other, bytes.len(), Some(u32::from(*id))),
        };
        NetworkAddress {
            time: entry.time,
            services: entry.services.to_u64(),
            network: network.into(),
            address: slices.take(length),
            port: entry.port.into(),
            network_id,
        }
    };
    entries.iter().map(entry).collect()
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
