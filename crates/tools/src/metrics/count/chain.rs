//! Blocks, as they are connected.

use event::{ChainBlockConnected, ChainCoinsFlushed, ChainTip};

use super::Around;
use crate::metrics::node::{Node, seconds};
use crate::metrics::table;

/// Blocks that are compared between nodes at a time.
const COMPARED: usize = 1024;

/// What another node had longer ago is being downloaded, nanoseconds.
const NEWS: u64 = 86_400_000_000_000;

pub fn block_connected(node: &mut Node, around: &mut Around<'_>, time: u64, m: &ChainBlockConnected) {
    let cells = &mut node.cells;
    table::BLOCKS.add(cells, (), 1);
    table::LAST_BLOCK_HEIGHT.set(cells, (), f64::from(m.height));
    table::LAST_BLOCK_TIME.set(cells, (), seconds(time));
    // what follows the log does not know
    if let Some(took) = m.duration.map(seconds) {
        table::BLOCK_DURATIONS.observe(cells, (), took);
        table::LAST_BLOCK_DURATION.set(cells, (), took);
    }
    if let Some(transactions) = m.transactions {
        table::BLOCK_TRANSACTIONS.add(cells, (), transactions);
        table::LAST_BLOCK_TRANSACTIONS.set(cells, (), transactions as f64);
    }
    if let Some(inputs) = m.inputs {
        table::BLOCK_INPUTS.add(cells, (), inputs);
        table::LAST_BLOCK_INPUTS.set(cells, (), inputs as f64);
    }
    if let Some(sigops) = m.sigop_cost {
        table::BLOCK_SIGOPS.add(cells, (), sigops);
        table::LAST_BLOCK_SIGOPS.set(cells, (), sigops as f64);
    }
    let came = node.blocks.connected(&m.hash, time);
    table::RECONSTRUCTED.add(cells, (came.outcome,), 1);
    if let Some(since) = came.since_compact {
        table::COMPACT_DURATIONS.observe(cells, (), seconds(since));
    }
    if let Some(since) = came.since_sign {
        table::ANNOUNCED_DURATIONS.observe(cells, (), seconds(since));
    }
    if let (true, Ok(hash)) = (around.several, m.hash.as_ref().try_into()) {
        let delay = time.saturating_sub(around.firsts.blocks.first(hash, time, COMPARED));
        if delay < NEWS {
            table::BLOCK_DELAYS.observe(cells, (), seconds(delay));
        }
    }
}

pub fn coins_flushed(node: &mut Node, m: &ChainCoinsFlushed) {
    table::FLUSH_DURATIONS.observe(&mut node.cells, (), m.duration.max(0) as f64 / 1e6);
    table::FLUSHED_BYTES.set(&mut node.cells, (), m.bytes as f64);
    table::FLUSHED_COINS.set(&mut node.cells, (), m.coins as f64);
}

pub fn tip(node: &mut Node, m: &ChainTip) {
    // a second chain state works its way up behind the tip
    if !m.background {
        table::TIPS.add(&mut node.cells, (), 1);
        table::TIP_HEIGHT.set(&mut node.cells, (), f64::from(m.height));
    }
}
