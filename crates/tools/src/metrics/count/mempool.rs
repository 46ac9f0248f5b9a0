//! The mempool, as it happens.

use event::{MempoolAdded, MempoolRefused, MempoolRejected, MempoolRemoved, MempoolReplaced, RemovalReason};

use super::Around;
use crate::metrics::node::{Node, seconds};
use crate::metrics::table::{self, Sender};
use crate::metrics::vocabulary::Rejection;

/// Transactions that are compared between nodes at a time: at 10 per second, more than an hour.
const COMPARED: usize = 1 << 16;

/// What another node has had for longer is not news that spreads: a node read its mempool back. Nanoseconds.
const NEWS: u64 = 600_000_000_000;

pub fn added(node: &mut Node, around: &mut Around<'_>, time: u64, m: &MempoolAdded) {
    table::MEMPOOL_ADDED.add(&mut node.cells, (), 1);
    table::MEMPOOL_ADDED_SIZE.add(&mut node.cells, (), m.vsize.unwrap_or_default());
    if let (Some(fee), Some(vsize @ 1..)) = (m.fee, m.vsize) {
        table::MEMPOOL_ADDED_FEERATES.observe(&mut node.cells, (), fee as f64 / vsize as f64);
    }
    if let (true, Ok(txid)) = (around.several, m.txid.as_ref().try_into()) {
        let delay = time.saturating_sub(around.firsts.transactions.first(txid, time, COMPARED));
        if delay < NEWS {
            table::TRANSACTION_DELAYS.observe(&mut node.cells, (), seconds(delay));
        } else {
            around.firsts.transactions.again(txid, time);
        }
    }
}

pub fn removed(node: &mut Node, time: u64, m: &MempoolRemoved) {
    table::MEMPOOL_REMOVED.add(&mut node.cells, (m.reason(),), 1);
    table::MEMPOOL_REMOVED_SIZE.add(&mut node.cells, (m.reason(),), m.vsize.unwrap_or_default());
    if let (RemovalReason::Block, Some(entered)) = (m.reason(), m.entered) {
        // whole seconds: what just came may have come later than now
        let stay = time.saturating_sub(entered.saturating_mul(1_000_000_000));
        table::MEMPOOL_STAYS.observe(&mut node.cells, (), seconds(stay));
    }
}

pub fn replaced(node: &mut Node, m: &MempoolReplaced) {
    table::MEMPOOL_REPLACED.add(&mut node.cells, (), 1);
    table::MEMPOOL_REPLACED_SIZE.add(&mut node.cells, (), m.vsize);
}

pub fn rejected(node: &mut Node, m: &MempoolRejected) {
    table::MEMPOOL_REJECTED.add(&mut node.cells, (Rejection::of(&m.reason),), 1);
}

pub fn refused(node: &mut Node, m: &MempoolRefused) {
    let sender = if m.peer.is_some() { Sender::Known } else { Sender::Unknown };
    table::MEMPOOL_REFUSED.add(&mut node.cells, (Rejection::of(&m.reason), sender), 1);
}
