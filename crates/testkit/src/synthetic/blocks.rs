//! Blocks: found somewhere, announced, asked for where the mempool lacks something, connected.

use std::collections::BTreeMap;

use bytes::Bytes;
use event::{
    BlockHeader, ChainBlockConnected, ChainReconstructed, ChainTip, ConnectionType, Inventory, InventoryType, MempoolRemoved,
    NetBlock, NetBlocktxn, NetCmpctblock, NetGetblocktxn, NetGetdata, NetHeaders, PrefilledTransaction, RemovalReason, Source,
    TransactionId,
};

use super::chance::{hash, mix};
use super::relay::message;
use super::world::{SECOND, What, World};
use crate::cast::Random;

/// The most transactions that a block takes.
const LARGEST: u64 = 4_500;

/// Blocks on their way at any time; the oldest is forgotten.
const PENDING: usize = 16;

/// Seconds after which the node asks somebody else for a block that does not come.
const PATIENCE: f64 = 4.0;

/// Tells the chance that decides about a fleet's chain from others.
const CHAIN: u64 = 54;

/// A step of a block's way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fetch {
    block: u64,
    step: Step,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// The compact block that was asked for arrives.
    Compact,
    /// Another peer's compact block of the same block arrives.
    Again(u64),
    /// What was asked for arrives.
    Answer,
    /// It did not: somebody else is asked.
    Elsewhere,
    /// Somebody else delivers.
    Rescue(u64),
    /// It becomes the tip.
    Connect,
    /// The node learns of what it has missed, block by block.
    CatchUp,
}

/// The chain as the node has it.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) height: i32,
    pub(super) tip: Bytes,
    /// Of the tip, Unix seconds.
    pub(super) tip_time: u64,
    found: u64,
    pending: BTreeMap<u64, Pending>,
    /// When blocks come, where several nodes have one chain.
    shared: Option<Schedule>,
    /// Blocks that there are, and that the node has not heard of.
    missed: u64,
}

/// When blocks are found, the same for all nodes of a fleet.
#[derive(Debug)]
struct Schedule {
    random: Random,
    /// When the last was found, nanoseconds since the epoch.
    last: u64,
}

#[derive(Clone, Debug)]
struct Pending {
    header: BlockHeader,
    transactions: u64,
    sender: u64,
    /// Has to be asked for.
    missing: u64,
    /// The sender did not deliver what it was asked for.
    withheld: bool,
}

impl Chain {
    pub(super) fn new(height: i32, tip: Bytes, now: u64) -> Self {
        let pending = BTreeMap::new();
        Self { height, tip, tip_time: now / SECOND - 300, found: 0, pending, shared: None, missed: 0 }
    }

    /// The chain that all nodes of a fleet have.
    pub(super) fn shared(seed: u64, now: u64) -> Self {
        let mut random = Random::new(mix(seed ^ mix(CHAIN)));
        let height = 939_000 + random.below(1000) as i32;
        let tip = Bytes::copy_from_slice(&hash(seed, CHAIN));
        Self { shared: Some(Schedule { random, last: now }), ..Self::new(height, tip, now) }
    }
}

impl World {
    /// A block reaches the node.
    pub(super) fn block_found(&mut self) {
        self.next_block();
        if !self.knobs.mining {
            return;
        }
        if self.knobs.cut_off || self.chain.missed > 0 || !self.up && self.chain.shared.is_some() {
            self.chain.missed += 1;
            return;
        }
        if !self.up {
            return;
        }
        let pool = self.transactions - self.confirmed;
        let transactions = pool.min(LARGEST).min(pool.saturating_sub(pool / 20)) + 1;
        let asked = !self.random.chance(self.knobs.reconstructed);
        let missing = if asked { 1 + self.random.below(transactions.min(40)) } else { 0 };
        let unasked = self.random.chance(self.population.high_bandwidth);
        let Some(sender) = self.sender(unasked) else {
            if self.chain.shared.is_some() {
                self.chain.missed += 1;
                self.catch_up();
            }
            return;
        };
        let (block, header) = self.next_header();
        if self.chain.pending.len() == PENDING {
            self.chain.pending.pop_first();
        }
        self.chain.pending.insert(block, Pending { header: header.clone(), transactions, sender, missing, withheld: false });
        if unasked || self.knobs.withholders.contains(&sender) {
            self.compact(block, sender);
            self.request_missing(block);
        } else {
            message!(self, sender, Inbound, 82, NetHeaders { headers: vec![header.clone()] });
            let items = vec![Inventory { r#type: InventoryType::CompactBlock.into(), hash: header.hash, number: None }];
            message!(self, sender, Outbound, 37, NetGetdata { items: items });
            let wait = self.delivery(sender);
            self.later(wait, block, Step::Compact);
        }
        // the other chosen ones are a little later
        let others: Vec<u64> = self.peers.values().filter(|p| p.chosen && p.id != sender).map(|p| p.id).collect();
        for other in others {
            let wait = self.random.between(0.05, 0.9);
            self.later(wait, block, Step::Again(other));
        }
    }

    /// The next block will be found, and reaches the node a moment later.
    pub(super) fn next_block(&mut self) {
        let mean = self.population.block_interval;
        let Some(Schedule { random, last }) = &mut self.chain.shared else {
            return self.after_mean(mean, What::Block);
        };
        *last += (random.exponential(mean) * 1e9) as u64;
        let found = *last;
        let way = self.random.between(0.1, 1.5);
        self.at(found + (way * 1e9) as u64, What::Block);
    }

    fn next_header(&mut self) -> (u64, BlockHeader) {
        self.chain.found += 1;
        let block = self.chain.found;
        let header = BlockHeader {
            hash: Bytes::copy_from_slice(&hash(mix(block) ^ self.begin, 8)),
            version: 0x2000_0000,
            previous: self.chain.tip.clone(),
            merkle_root: Bytes::copy_from_slice(&hash(block, 9)),
            time: (self.seconds() - self.random.below(30)) as u32,
            bits: 0x1702_1234,
            nonce: mix(block) as u32,
        };
        (block, header)
    }

    /// The node will hear of the blocks that it has missed.
    pub(super) fn catch_up(&mut self) {
        if self.chain.missed > 0 {
            self.later(2.0, 0, Step::CatchUp);
        }
    }

    /// It asks somebody for the next one that it has missed.
    fn next_missed(&mut self) {
        if self.chain.missed == 0 || self.knobs.cut_off {
            return;
        }
        let able: Vec<u64> = self
            .peers
            .values()
            .filter(|p| p.ready && p.manner.blocks && !self.knobs.withholders.contains(&p.id))
            .map(|p| p.id)
            .collect();
        let Some(&peer) = self.random.pick(&able).filter(|_| self.up) else {
            return self.later(5.0, 0, Step::CatchUp);
        };
        self.chain.missed -= 1;
        let (block, header) = self.next_header();
        let items = vec![Inventory { r#type: InventoryType::WitnessBlock.into(), hash: header.hash.clone(), number: None }];
        message!(self, peer, Inbound, 82, NetHeaders { headers: vec![header.clone()] });
        message!(self, peer, Outbound, 37, NetGetdata { items: items });
        message!(self, peer, Inbound, 400, NetBlock { header: Some(header.clone()), weight: 1_200, transactions: Vec::new() });
        self.connect_block(block, &Pending { header, transactions: 1, sender: peer, missing: 0, withheld: false });
        self.later(0.4, 0, Step::CatchUp);
    }

    /// Who is first: one that withholds, one that was chosen, or anybody.
    fn sender(&mut self, chosen: bool) -> Option<u64> {
        let holding: Vec<u64> = self.knobs.withholders.iter().copied().filter(|id| self.peers.contains_key(id)).collect();
        if self.random.chance(self.knobs.withheld)
            && let Some(&id) = self.random.pick(&holding)
        {
            return Some(id);
        }
        let able: Vec<u64> =
            self.peers.values().filter(|p| p.ready && p.manner.blocks && p.chosen == chosen).map(|p| p.id).collect();
        self.random.pick(&able).copied()
    }

    fn later(&mut self, seconds: f64, block: u64, step: Step) {
        self.after(seconds, What::Fetch(Fetch { block, step }));
    }

    /// Seconds until a peer has delivered what it was asked for.
    fn delivery(&mut self, peer: u64) -> f64 {
        let round_trip = self.peers.get(&peer).map_or(0.1, |peer| peer.round_trip);
        round_trip * 1.5 + self.random.exponential(0.15) + self.knobs.slow_blocks
    }

    fn compact(&mut self, block: u64, peer: u64) {
        let Some(pending) = self.chain.pending.get(&block).cloned() else { return };
        let nonce = self.random.next();
        let short_ids: Vec<u64> = (1..pending.transactions).map(|n| mix(n ^ nonce) >> 16).collect();
        let size = (90 + 6 * short_ids.len() + 250) as u32;
        let prefilled = vec![PrefilledTransaction { index: 0, txid: Bytes::copy_from_slice(&hash(block, 10)), wtxid: None }];
        message!(
            self,
            peer,
            Inbound,
            size,
            NetCmpctblock { header: Some(pending.header), nonce: nonce, short_ids: short_ids, prefilled: prefilled }
        );
    }

    /// The node asks the sender for what it lacks, if anything.
    fn request_missing(&mut self, block: u64) {
        let Some(pending) = self.chain.pending.get(&block).cloned() else { return };
        let holding = self.knobs.withholders.contains(&pending.sender);
        if pending.missing == 0 && !holding {
            return self.later(0.08, block, Step::Connect);
        }
        let missing = pending.missing.max(1);
        self.ask(pending.sender, &pending.header.hash, missing);
        if holding {
            if let Some(pending) = self.chain.pending.get_mut(&block) {
                pending.withheld = true;
            }
            if !self.knobs.withheld_one.contains(&pending.sender) {
                self.knobs.withheld_one.push(pending.sender);
                self.truth_begins("D51", pending.sender);
            }
            let patience = self.random.between(PATIENCE, 3.0 * PATIENCE);
            self.later(patience, block, Step::Elsewhere);
        } else {
            let wait = self.delivery(pending.sender);
            self.later(wait, block, Step::Answer);
        }
    }

    fn ask(&mut self, peer: u64, hash: &Bytes, missing: u64) {
        let indexes: Vec<u64> = (1..=missing).collect();
        message!(self, peer, Outbound, 33 + missing as u32, NetGetblocktxn { block: hash.clone(), indexes: indexes });
    }

    pub(super) fn fetch(&mut self, fetch: Fetch) {
        let block = fetch.block;
        if fetch.step == Step::CatchUp {
            return self.next_missed();
        }
        // a node that was restarted, or that has the block, has forgotten it
        let Some(pending) = self.chain.pending.get(&block).cloned() else {
            return self.late(fetch.step);
        };
        match fetch.step {
            Step::Compact => {
                self.compact(block, pending.sender);
                self.request_missing(block);
            }
            Step::Again(peer) => self.compact(block, peer),
            Step::Answer => {
                self.deliver(pending.sender, &pending, pending.missing.max(1));
                self.connect_block(block, &pending);
            }
            Step::Elsewhere => {
                let others: Vec<u64> = self
                    .peers
                    .values()
                    .filter(|p| p.ready && p.manner.blocks && !self.knobs.withholders.contains(&p.id))
                    .map(|p| p.id)
                    .collect();
                let Some(&other) = self.random.pick(&others) else { return };
                let items =
                    vec![Inventory { r#type: InventoryType::WitnessBlock.into(), hash: pending.header.hash.clone(), number: None }];
                message!(self, other, Outbound, 37, NetGetdata { items: items });
                let wait = self.delivery(other) + 0.8;
                self.later(wait, block, Step::Rescue(other));
            }
            Step::Rescue(peer) => {
                let header = pending.header.clone();
                let transactions: Vec<TransactionId> = (0..pending.transactions).map(|n| self.confirming(n)).collect();
                let size = 300 + 350 * pending.transactions as u32;
                message!(
                    self,
                    peer,
                    Inbound,
                    size,
                    NetBlock { header: Some(header), weight: u64::from(size) * 3, transactions: transactions }
                );
                self.connect_block(block, &pending);
            }
            Step::Connect => self.connect_block(block, &pending),
            Step::CatchUp => {}
        }
    }

    /// Another compact block of a block that the node has already: it is read all the same.
    fn late(&mut self, step: Step) {
        if let Step::Again(peer) = step {
            let header = BlockHeader { hash: self.chain.tip.clone(), version: 0x2000_0000, ..Default::default() };
            message!(
                self,
                peer,
                Inbound,
                400,
                NetCmpctblock { header: Some(header), nonce: 1, short_ids: Vec::new(), prefilled: Vec::new() }
            );
        }
    }

    fn deliver(&mut self, peer: u64, pending: &Pending, missing: u64) {
        let transactions: Vec<TransactionId> = (1..=missing).map(|n| self.confirming(n)).collect();
        let block = pending.header.hash.clone();
        message!(self, peer, Inbound, 33 + 350 * missing as u32, NetBlocktxn { block: block, transactions: transactions });
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.last_block = self.now / SECOND;
        }
    }

    fn confirming(&self, number: u64) -> TransactionId {
        TransactionId { txid: self.transaction(self.confirmed + number), wtxid: None }
    }

    fn connect_block(&mut self, block: u64, pending: &Pending) {
        self.chain.pending.remove(&block);
        self.chain.height += 1;
        self.chain.tip = pending.header.hash.clone();
        self.chain.tip_time = pending.header.time.into();
        let (hash, height, transactions) = (pending.header.hash.clone(), self.chain.height, pending.transactions);
        self.say(
            Source::Log,
            ChainReconstructed {
                hash: hash.clone(),
                prefilled: 1,
                mempool: transactions - 1 - pending.missing.min(transactions - 1),
                extra: 0,
                requested: pending.missing,
                requested_bytes: Some(pending.missing * 350),
            },
        );
        let duration = Some((100 + transactions / 20) * 1_000_000);
        let (inputs, sigop_cost) = (Some(transactions * 2), Some(transactions * 8));
        let transactions_field = Some(transactions);
        self.say(
            Source::Ebpf,
            ChainBlockConnected { hash: hash.clone(), height, transactions: transactions_field, inputs, sigop_cost, duration },
        );
        // another block may have taken some in the meantime
        for _ in 1..transactions.min(self.transactions - self.confirmed + 1) {
            self.confirmed += 1;
            let txid = self.transaction(self.confirmed);
            let removed = MempoolRemoved {
                txid,
                reason: RemovalReason::Block.into(),
                vsize: Some(200),
                fee: Some(1000),
                entered: Some(self.seconds().saturating_sub(200)),
                wtxid: None,
            };
            self.say(Source::Ebpf, removed);
        }
        self.say(Source::Log, ChainTip { hash, height, ..ChainTip::default() });
        self.put_together(pending.missing > 0, pending.withheld);
        self.spread(&pending.header, pending.sender);
    }

    /// The node tells its peers, and those who heard of it elsewhere tell the node.
    fn spread(&mut self, header: &BlockHeader, sender: u64) {
        let others: Vec<(u64, ConnectionType, bool)> =
            self.peers.values().filter(|p| p.ready && p.id != sender).map(|p| (p.id, p.kind, p.manner.blocks)).collect();
        for (index, (peer, kind, blocks)) in others.into_iter().enumerate() {
            let headers = vec![header.clone()];
            // outbound peers mostly have it before the node does
            let first = if kind == ConnectionType::Inbound { 0.25 } else { 0.6 };
            if blocks && self.random.chance(first) {
                message!(self, peer, Inbound, 82, NetHeaders { headers: headers });
            } else if index % 40 == 0 {
                let compact = Some(header.clone());
                message!(
                    self,
                    peer,
                    Outbound,
                    20_000,
                    NetCmpctblock { header: compact, nonce: 7, short_ids: Vec::new(), prefilled: Vec::new() }
                );
            } else {
                message!(self, peer, Outbound, 82, NetHeaders { headers: headers });
            }
        }
    }

    /// A restart forgets what was under way.
    pub(super) fn forget_blocks(&mut self) {
        self.chain.pending.clear();
    }
}
