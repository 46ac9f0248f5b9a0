//! Inventories: what is announced, asked for, not there.

use event::{Direction, Inventory, InventoryType, NetGetdata, NetInv, NetNotfound};

use crate::metrics::label::Label as _;
use crate::metrics::node::Node;
use crate::metrics::table::{self, Entry, Mix};

/// Transactions that a node announces at a time when few wait: since version 29 (Bitcoin Core `INVENTORY_BROADCAST_TARGET`).
const AT_A_TIME: usize = 70;
/// Before version 29.
const AT_A_TIME_BEFORE: usize = 35;
/// Version of the change.
const CHANGED: u32 = 290_000;
/// Waiting transactions per announced one above the target: 5 more for every 1,000.
const PER_ENTRY: usize = 200;
/// For how long the longest queue is shown, nanoseconds: as often as Prometheus looks. Each peer has a queue; most are short.
const SHOWN: u64 = 15_000_000_000;

const TYPES: usize = InventoryType::DIMENSION.words.count();

/// Entries by type.
fn by_type(items: &[Inventory]) -> [u64; TYPES] {
    let mut counts = [0; TYPES];
    for item in items {
        counts[item.r#type().index()] += 1;
    }
    counts
}

fn entries(node: &mut Node, entry: Entry, direction: Direction, items: &[Inventory]) -> [u64; TYPES] {
    let counts = by_type(items);
    for (number, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let of = InventoryType::try_from(number as i32).unwrap_or_default();
        table::INVENTORY_ENTRIES.add(&mut node.cells, (entry, of, direction), *count);
    }
    counts
}

pub fn inv(node: &mut Node, time: u64, m: &NetInv) {
    let direction = m.direction();
    let counts = entries(node, Entry::Inv, direction, &m.items);
    let mix = match counts.iter().filter(|count| **count > 0).count() {
        0 => Mix::Empty,
        1 => Mix::OneType,
        _ => Mix::Several,
    };
    table::INV_MIX.add(&mut node.cells, (mix, direction), 1);
    table::INV_SIZE.observe(&mut node.cells, (direction,), m.items.len() as f64);
    let of = |types: &[InventoryType]| types.iter().map(|of| counts[of.index()] as usize).sum::<usize>();
    if direction == Direction::Outbound {
        let transactions = of(&[InventoryType::Tx, InventoryType::Wtx, InventoryType::WitnessTx]);
        sent(node, time, transactions);
    } else if of(&[InventoryType::Block]) > 0 {
        // who announces more than a few blocks at once does not announce news
        let blocks = m.items.iter().filter(|item| item.r#type() == InventoryType::Block).take(3);
        for block in blocks {
            node.blocks.sign(&block.hash, time);
        }
    }
}

/// The node announced so many transactions at once.
fn sent(node: &mut Node, time: u64, transactions: usize) {
    if transactions == 0 {
        return;
    }
    // a node that has not said its version is taken for a new one
    let old = node.version.is_some_and(|version| version < CHANGED);
    let usual = if old { AT_A_TIME_BEFORE } else { AT_A_TIME };
    table::INV_LARGE.add(&mut node.cells, (), u64::from(transactions > usual));
    if !old {
        let proven = (transactions.saturating_sub(usual) * PER_ENTRY) as f64;
        let (then, longest) = node.backlog;
        if proven >= longest || time.abs_diff(then) > SHOWN {
            node.backlog = (time, proven);
        }
        table::INV_BACKLOG.set(&mut node.cells, (), node.backlog.1);
    }
}

pub fn getdata(node: &mut Node, m: &NetGetdata) {
    let counts = entries(node, Entry::Getdata, m.direction(), &m.items);
    let blocks = [InventoryType::Block, InventoryType::WitnessBlock, InventoryType::CompactBlock];
    if m.direction() == Direction::Outbound && blocks.iter().any(|of| counts[of.index()] > 0) {
        for item in &m.items {
            match item.r#type() {
                InventoryType::CompactBlock => node.blocks.asked(m.peer, &item.hash),
                InventoryType::Block | InventoryType::WitnessBlock => node.blocks.whole(&item.hash),
                _ => {}
            }
        }
    }
}

pub fn notfound(node: &mut Node, m: &NetNotfound) {
    entries(node, Entry::Notfound, m.direction(), &m.items);
}
