//! Blocks: from the first announcement to the tip.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use event::{BlockPart, ChainTip, CompactStep, Direction, InventoryType, Kind};

use super::series::Series;

/// Blocks remembered: a day of them.
const BLOCKS: usize = 144;
/// Announcements remembered of each.
const ANNOUNCEMENTS: usize = 16;
/// Parts that are kept of one block; there are twelve.
const PARTS: usize = 16;
/// Bitcoin Core announces at most so many blocks by headers (`MAX_BLOCKS_TO_ANNOUNCE`); more are a download.
const ANNOUNCED: usize = 8;

/// Blocks at one node.
#[derive(Debug, Default)]
pub struct Blocks {
    known: HashMap<Bytes, Block>,
    order: VecDeque<Bytes>,
    /// The node's best block.
    pub tip: Option<(Bytes, i32, u64)>,
    pub connected: Series,
    /// Parts of the block that is being connected, as debug.log states them: the lines name no block.
    parts: Vec<(&'static str, u64)>,
    /// The block that they are of: among them is a line of the tip that it becomes.
    connecting: Option<Bytes>,
}

/// One block. Times are nanoseconds since the epoch, absent where nobody said.
#[derive(Clone, Debug, Default)]
pub struct Block {
    pub height: Option<i32>,
    /// The miner's time, Unix seconds.
    pub header_time: Option<u32>,
    /// When it was first heard of.
    pub seen: u64,
    /// Peer, how, when; the first ones.
    pub announcements: Vec<(u64, &'static str, u64)>,
    pub announced: u32,
    /// To whom the node announced it.
    pub passed_on: u32,
    pub compact: Option<Compact>,
    /// Transactions that had to be asked for, and when.
    pub requested: Option<(u64, u64)>,
    /// From whom those came, and when.
    pub completed: Option<(u64, u64)>,
    /// A whole block came: bytes, when.
    pub received: Option<(u64, u64)>,
    /// From whom that came.
    pub received_from: Option<u64>,
    pub sigop_cost: Option<u64>,
    pub connected: Option<u64>,
    /// Nanoseconds of connecting it.
    pub duration: Option<u64>,
    pub transactions: Option<u64>,
    pub inputs: Option<u64>,
    pub tip: Option<u64>,
    pub disconnected: Option<u64>,
    pub reconstruction: Option<Reconstruction>,
    /// Nanoseconds per part of connecting.
    pub timing: Vec<(&'static str, u64)>,
}

/// Of the first `cmpctblock`.
#[derive(Clone, Copy, Debug)]
pub struct Compact {
    pub time: u64,
    pub peer: u64,
    pub size: u32,
    pub short_ids: u64,
    pub prefilled: u64,
}

/// How a block was put together, as the node says.
#[derive(Clone, Copy, Debug)]
pub struct Reconstruction {
    pub time: u64,
    pub prefilled: u64,
    pub mempool: u64,
    pub extra: u64,
    pub requested: u64,
}

impl Blocks {
    pub fn observe(&mut self, time: u64, kind: &Kind) {
        match kind {
            Kind::NetInv(inv) => {
                let is_block =
                    |item: &&event::Inventory| matches!(item.r#type(), InventoryType::Block | InventoryType::CompactBlock);
                for item in inv.items.iter().filter(is_block).take(ANNOUNCEMENTS) {
                    self.announced(time, &item.hash, inv.peer, "inv", inv.direction());
                }
            }
            Kind::NetHeaders(headers) => {
                for header in headers.headers.iter().filter(|_| headers.headers.len() <= ANNOUNCED) {
                    self.announced(time, &header.hash, headers.peer, "headers", headers.direction());
                    if let Some(block) = self.known.get_mut(&header.hash) {
                        block.header_time = Some(header.time);
                    }
                }
            }
            Kind::NetCmpctblock(compact) => {
                let Some(header) = &compact.header else { return };
                self.announced(time, &header.hash, compact.peer, "cmpctblock", compact.direction());
                if compact.direction() == Direction::Inbound {
                    let (short_ids, prefilled) = (compact.short_ids.len() as u64, compact.prefilled.len() as u64);
                    let first = Compact { time, peer: compact.peer, size: compact.size, short_ids, prefilled };
                    let block = self.block(time, &header.hash);
                    block.compact.get_or_insert(first);
                    block.header_time = Some(header.time);
                }
            }
            Kind::NetGetblocktxn(asked) if asked.direction() == Direction::Outbound => {
                self.block(time, &asked.block).requested.get_or_insert((asked.indexes.len() as u64, time));
            }
            Kind::NetBlocktxn(sent) if sent.direction() == Direction::Inbound => {
                self.block(time, &sent.block).completed.get_or_insert((sent.peer, time));
            }
            Kind::NetBlock(block) if block.direction() == Direction::Inbound => {
                let Some(header) = &block.header else { return };
                let (size, count) = (u64::from(block.size), block.transactions.len() as u64);
                let known = self.block(time, &header.hash);
                known.received.get_or_insert((size, time));
                known.received_from.get_or_insert(block.peer);
                known.header_time.get_or_insert(header.time);
                known.transactions = known.transactions.or(Some(count));
            }
            _ => self.validated(time, kind),
        }
    }

    fn validated(&mut self, time: u64, kind: &Kind) {
        match kind {
            Kind::ChainBlockConnected(connected) => {
                self.connected.add(time, 1);
                let block = self.block(time, &connected.hash);
                block.height = Some(connected.height);
                block.connected = Some(time);
                block.duration = connected.duration.or(block.duration);
                block.transactions = connected.transactions.or(block.transactions);
                block.inputs = connected.inputs.or(block.inputs);
                block.sigop_cost = connected.sigop_cost.or(block.sigop_cost);
                let higher = self.tip.as_ref().is_none_or(|(_, height, _)| connected.height > *height);
                if higher {
                    self.tip = Some((connected.hash.clone(), connected.height, time));
                }
            }
            Kind::ChainTip(tip) if !tip.background => {
                self.tip = Some((tip.hash.clone(), tip.height, time));
                let block = self.block(time, &tip.hash);
                block.height = Some(tip.height);
                block.tip.get_or_insert(time);
            }
            Kind::ChainBlockDisconnected(disconnected) => self.block(time, &disconnected.hash).disconnected = Some(time),
            Kind::ChainHeader(header) => {
                let peer = header.peer;
                let by = if header.compact { "cmpctblock" } else { "headers" };
                let block = self.block(time, &header.hash);
                block.height = header.height.or(block.height);
                // debug.log alone: nobody else saw the message
                if block.announcements.is_empty()
                    && let Some(peer) = peer
                {
                    block.announcements.push((peer, by, time));
                    block.announced += 1;
                }
            }
            Kind::ChainReconstructed(done) => {
                let (prefilled, mempool, extra, requested) = (done.prefilled, done.mempool, done.extra, done.requested);
                self.block(time, &done.hash).reconstruction = Some(Reconstruction { time, prefilled, mempool, extra, requested });
            }
            Kind::ChainCompactBlock(compact) if compact.step() == CompactStep::Started => {
                self.block(time, &compact.hash);
            }
            Kind::ChainTiming(timing) => self.timed(time, timing.part(), timing.duration),
            _ => {}
        }
    }

    /// debug.log names a block among the lines about its parts, whoever is the witness for the tip.
    pub fn named_by_log(&mut self, tip: &ChainTip) {
        self.connecting = (!tip.background).then(|| Bytes::copy_from_slice(&tip.hash));
    }

    fn timed(&mut self, time: u64, part: BlockPart, duration: u64) {
        match part {
            BlockPart::Unspecified | BlockPart::Disconnect => return,
            // the first of a block; what is left is of one that was only tried
            BlockPart::Load => (self.parts, self.connecting) = (vec![], None),
            _ => {}
        }
        if self.parts.len() < PARTS {
            self.parts.push((part.word(), duration));
        }
        if part == BlockPart::Total {
            let parts = std::mem::take(&mut self.parts);
            if let Some(hash) = self.connecting.take() {
                self.block(time, &hash).timing = parts;
            }
        }
    }

    fn announced(&mut self, time: u64, hash: &Bytes, peer: u64, by: &'static str, direction: Direction) {
        if direction != Direction::Inbound {
            // of what it never heard of it speaks when it is asked for headers
            if let Some(block) = self.known.get_mut(hash) {
                block.passed_on = block.passed_on.saturating_add(1);
            }
            return;
        }
        let block = self.block(time, hash);
        block.announced = block.announced.saturating_add(1);
        if block.announcements.len() < ANNOUNCEMENTS && !block.announcements.iter().any(|(other, _, _)| *other == peer) {
            block.announcements.push((peer, by, time));
        }
    }

    fn block(&mut self, time: u64, hash: &Bytes) -> &mut Block {
        if !self.known.contains_key(hash) {
            self.order.push_back(Bytes::copy_from_slice(hash));
            if self.order.len() > BLOCKS
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
        }
        self.known.entry(Bytes::copy_from_slice(hash)).or_insert_with(|| Block { seen: time, ..Block::default() })
    }

    /// Newest first.
    pub fn recent(&self, most: usize) -> impl Iterator<Item = (&Bytes, &Block)> {
        self.order.iter().rev().filter_map(|hash| self.known.get_key_value(hash)).take(most)
    }
}
