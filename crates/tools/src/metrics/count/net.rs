//! P2P messages: every one by type and size, and what is in some of them.

use event::{
    Direction, Kind, KindId, Net, NetBlock, NetBlocktxn, NetCmpctblock, NetFeefilter, NetGetblocktxn, NetHeaders, NetPing,
    NetReject, NetUndecodable, NetVersion,
};

use super::per_vbyte;
use crate::metrics::label::{List, Message};
use crate::metrics::lists::Lists;
use crate::metrics::node::{Node, seconds};
use crate::metrics::table;
use crate::metrics::vocabulary::{self, Client, Nonce, Protocol, RejectCode};

/// Bitcoin Core announces up to so many blocks by headers (`MAX_BLOCKS_TO_ANNOUNCE`); more are a download.
const ANNOUNCED: usize = 8;

/// Any message.
pub fn message(node: &mut Node, lists: &Lists, kind: &Kind, net: &Net<'_>) {
    let message = match kind {
        Kind::NetUndecodable(m) => Message::of_name(&m.message_type),
        _ => Message::of(kind.id()),
    };
    let labels = (message, net.direction, net.connection_type);
    table::MESSAGES.add(&mut node.cells, labels, 1);
    table::MESSAGE_BYTES.add(&mut node.cells, labels, net.size.into());
    // most have none
    if !lists.is_empty()
        && let Some(address) = vocabulary::ip(net.address)
    {
        for list in lists.of(address) {
            let labels = (List(list), message, net.direction);
            table::LIST_MESSAGES.add(&mut node.cells, labels, 1);
            table::LIST_MESSAGE_BYTES.add(&mut node.cells, labels, net.size.into());
        }
    }
}

pub fn version(node: &mut Node, m: &NetVersion) {
    if m.direction() == Direction::Inbound {
        table::VERSIONS.add(&mut node.cells, (Client::of(&m.user_agent), m.network()), 1);
        table::PROTOCOLS.add(&mut node.cells, (Protocol::of(m.version),), 1);
        // Bitcoin Core 31, `PushPrivateTxVersion`: says nothing of itself
        let private = m.services == 0 && m.time == 0 && m.start_height == 0 && !m.relay && m.user_agent == "/pynode:0.0.1/";
        table::PRIVATE_BROADCASTS.add(&mut node.cells, (), u64::from(private));
    }
}

pub fn feefilter(node: &mut Node, m: &NetFeefilter) {
    let feerate = per_vbyte(m.feerate);
    table::FEE_FILTERS.observe(&mut node.cells, (m.direction(),), feerate);
    if m.direction() == Direction::Outbound {
        table::FEE_FILTER_SENT.set(&mut node.cells, (), feerate);
    }
}

pub fn ping(node: &mut Node, time: u64, m: &NetPing) {
    if m.direction() == Direction::Inbound {
        table::PING_NONCES.add(&mut node.cells, (Nonce::of(m.nonce),), 1);
        if let Some(since) = node.pings.since(m.peer, time) {
            table::PING_INTERVALS.observe(&mut node.cells, (), seconds(since));
        }
    }
}

pub fn reject(node: &mut Node, m: &NetReject) {
    if m.direction() == Direction::Inbound {
        table::REJECTS.add(&mut node.cells, (RejectCode::of(m.code),), 1);
    }
}

pub fn undecodable(node: &mut Node, m: &NetUndecodable) {
    table::UNDECODABLE.add(&mut node.cells, (m.reason(), m.direction()), 1);
}

pub fn headers(node: &mut Node, time: u64, m: &NetHeaders) {
    if m.direction() == Direction::Inbound && m.headers.len() <= ANNOUNCED {
        for header in &m.headers {
            node.blocks.sign(&header.hash, time);
        }
    }
}

pub fn block(node: &mut Node, time: u64, m: &NetBlock) {
    if let (Direction::Inbound, Some(header)) = (m.direction(), &m.header) {
        node.blocks.sign(&header.hash, time);
    }
}

pub fn cmpctblock(node: &mut Node, time: u64, m: &NetCmpctblock) {
    if let (Direction::Inbound, Some(header)) = (m.direction(), &m.header) {
        let bandwidth = node.blocks.compact(m.peer, &header.hash, time);
        table::COMPACT_RECEIVED.add(&mut node.cells, (bandwidth,), 1);
    }
}

pub fn getblocktxn(node: &mut Node, m: &NetGetblocktxn) {
    if m.direction() == Direction::Outbound {
        node.blocks.requested(&m.block);
        table::COMPACT_LACKING.observe(&mut node.cells, (), m.indexes.len() as f64);
    }
}

pub fn blocktxn(node: &mut Node, m: &NetBlocktxn) {
    if m.direction() == Direction::Inbound {
        table::COMPACT_REQUESTED_BYTES.add(&mut node.cells, (), m.size.into());
    }
}

/// Message types are the first kinds; the labels rely on it.
const _: () = assert!(KindId::NetVersion.index() == 0);
