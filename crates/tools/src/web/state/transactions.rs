//! Transaction relay: who announced first, what was asked for and never came.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use event::{Direction, Inventory, InventoryType, Kind};

use super::series::Series;

/// Transactions remembered, by the hash that they were announced with: some minutes of them, and some 2 MB.
const KNOWN: usize = 5000;
/// Peers that are kept apart.
const PEERS: usize = 4096;
/// Reasons of rejections that are kept apart.
const REASONS: usize = 64;
/// After this time without an answer a transaction counts as withheld, nanoseconds: Bitcoin Core asks the next peer then
/// (`GETDATA_TX_INTERVAL`).
pub const PATIENCE: u64 = 60_000_000_000;

/// Transactions at one node.
#[derive(Debug, Default)]
pub struct Transactions {
    pub announced_in: Series,
    pub announced_out: Series,
    pub requested: Series,
    pub received: Series,
    pub sent: Series,
    pub not_found: Series,
    pub added: Series,
    pub removed: Series,
    pub replaced: Series,
    pub rejected: Series,
    pub peers: HashMap<u64, Of>,
    pub known: HashMap<Bytes, Known>,
    /// Words of the node, and how often.
    pub rejections: HashMap<String, u64>,
    /// Rejections for further reasons.
    pub other_rejections: u64,
    order: VecDeque<Bytes>,
    /// Asked for and not come, oldest first.
    awaited: VecDeque<(u64, Bytes, u64)>,
}

/// What one peer does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Of {
    pub announced: u64,
    /// Announced before anybody else.
    pub first: u64,
    pub requested: u64,
    pub delivered: u64,
    pub withheld: u64,
    pub not_found: u64,
    pub last: u64,
}

/// One transaction.
#[derive(Clone, Debug)]
pub struct Known {
    /// When it was first heard of.
    pub time: u64,
    /// Who announced it first; absent where it came without.
    pub first: Option<u64>,
    pub announcements: u32,
    /// From whom it was asked for last, and when.
    pub requested: Option<(u64, u64)>,
    /// From whom it came first, unless that was in another life of the node, and when.
    pub received: Option<(Option<u64>, u64)>,
    /// When it was added to the mempool.
    pub added: Option<u64>,
    pub txid: Option<[u8; 32]>,
    pub wtxid: Option<[u8; 32]>,
    /// What the mempool made of it.
    pub fate: Option<Fate>,
    pub vsize: Option<u64>,
    /// Satoshi.
    pub fee: Option<i64>,
}

/// What the mempool made of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    Added,
    Removed(&'static str),
    Replaced,
    Rejected(String),
}

impl Transactions {
    pub fn observe(&mut self, time: u64, kind: &Kind) {
        self.give_up(time);
        match kind {
            Kind::NetInv(inv) => {
                for item in transactions(&inv.items) {
                    match inv.direction() {
                        Direction::Inbound => self.announced(time, inv.peer, &item.hash),
                        _ => self.announced_out.add(time, 1),
                    }
                }
            }
            Kind::NetGetdata(getdata) if getdata.direction() == Direction::Outbound => {
                for item in transactions(&getdata.items) {
                    self.requested.add(time, 1);
                    self.of(getdata.peer, time).requested += 1;
                    if let Some(known) = self.known.get_mut(&item.hash) {
                        known.requested = Some((getdata.peer, time));
                    }
                    self.awaited.push_back((time, item.hash.clone(), getdata.peer));
                    if self.awaited.len() > KNOWN {
                        self.awaited.pop_front();
                    }
                }
            }
            Kind::NetNotfound(notfound) if notfound.direction() == Direction::Inbound => {
                let count = transactions(&notfound.items).count() as u64;
                self.not_found.add(time, count);
                self.of(notfound.peer, time).not_found += count;
            }
            Kind::NetTx(tx) if tx.direction() == Direction::Inbound => {
                self.received.add(time, 1);
                self.of(tx.peer, time).delivered += 1;
                let hash =
                    if self.known.contains_key(&tx.wtxid) || !self.known.contains_key(&tx.txid) { &tx.wtxid } else { &tx.txid };
                let known = self.known(time, hash);
                known.received.get_or_insert((Some(tx.peer), time));
                known.vsize = Some(tx.weight.div_ceil(4));
                known.is(Some(&tx.txid), Some(&tx.wtxid));
            }
            Kind::NetTx(_) => self.sent.add(time, 1),
            Kind::MempoolAdded(added) => {
                self.added.add(time, 1);
                self.fate(time, [added.wtxid.as_ref(), Some(&added.txid)], Fate::Added, added.vsize, added.fee);
            }
            Kind::MempoolRemoved(removed) => {
                self.removed.add(time, 1);
                let fate = Fate::Removed(removed.reason().word());
                self.fate(time, [removed.wtxid.as_ref(), Some(&removed.txid)], fate, removed.vsize, removed.fee);
            }
            Kind::MempoolReplaced(replaced) => {
                self.replaced.add(time, 1);
                let hashes = [replaced.wtxid.as_ref(), Some(&replaced.txid)];
                self.fate(time, hashes, Fate::Replaced, Some(replaced.vsize), Some(replaced.fee));
            }
            Kind::MempoolRejected(rejected) => {
                self.rejected.add(time, 1);
                if self.rejections.len() < REASONS || self.rejections.contains_key(&rejected.reason) {
                    *self.rejections.entry(rejected.reason.clone()).or_default() += 1;
                } else {
                    self.other_rejections += 1;
                }
                let fate = Fate::Rejected(rejected.reason.clone());
                self.fate(time, [rejected.wtxid.as_ref(), Some(&rejected.txid)], fate, None, None);
            }
            _ => {}
        }
    }

    /// From now on ids mean other peers: what was done under them before is not held against those who have them now.
    pub fn forget_peers(&mut self) {
        self.peers.clear();
        self.awaited.clear();
        for known in self.known.values_mut() {
            (known.first, known.requested) = (None, None);
            known.received = known.received.map(|(_, time)| (None, time));
        }
    }

    fn announced(&mut self, time: u64, peer: u64, hash: &Bytes) {
        self.announced_in.add(time, 1);
        let known = self.known(time, hash);
        known.announcements = known.announcements.saturating_add(1);
        let first = known.announcements == 1 && known.received.is_none();
        if first {
            known.first = Some(peer);
        }
        let of = self.of(peer, time);
        of.announced += 1;
        of.first += u64::from(first);
    }

    /// Whoever was asked too long ago is not waited for any more.
    fn give_up(&mut self, time: u64) {
        while let Some((asked, _, _)) = self.awaited.front()
            && asked.saturating_add(PATIENCE) < time
            && let Some((asked, hash, peer)) = self.awaited.pop_front()
        {
            // still the last who was asked, and nobody brought it
            let open =
                self.known.get(&hash).is_some_and(|known| known.received.is_none() && known.requested == Some((peer, asked)));
            if open {
                self.of(peer, asked).withheld += 1;
            }
        }
    }

    fn fate(&mut self, time: u64, hashes: [Option<&Bytes>; 2], fate: Fate, vsize: Option<u64>, fee: Option<i64>) {
        // announced by either of its names
        let known = hashes.into_iter().flatten().find(|hash| self.known.contains_key(*hash));
        let Some(hash) = known.or(hashes[0]).or(hashes[1]) else { return };
        // what was mined or expired long after we heard of it is no news
        if known.is_none() && matches!(fate, Fate::Removed(_) | Fate::Replaced) {
            return;
        }
        let known = self.known(time, hash);
        if fate == Fate::Added {
            known.added.get_or_insert(time);
        }
        known.is(hashes[1], hashes[0]);
        known.fate = Some(fate);
        known.vsize = vsize.or(known.vsize);
        known.fee = fee.or(known.fee);
    }

    fn known(&mut self, time: u64, hash: &Bytes) -> &mut Known {
        if !self.known.contains_key(hash) {
            // not a slice of a large message
            let hash = Bytes::copy_from_slice(hash);
            self.order.push_back(hash);
            if self.order.len() > KNOWN
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
        }
        self.known.entry(Bytes::copy_from_slice(hash)).or_insert(Known {
            time,
            first: None,
            announcements: 0,
            requested: None,
            received: None,
            added: None,
            txid: None,
            wtxid: None,
            fate: None,
            vsize: None,
            fee: None,
        })
    }

    fn of(&mut self, peer: u64, time: u64) -> &mut Of {
        if self.peers.len() >= PEERS && !self.peers.contains_key(&peer) {
            let oldest = self.peers.iter().min_by_key(|(_, of)| of.last).map(|(peer, _)| *peer);
            oldest.and_then(|oldest| self.peers.remove(&oldest));
        }
        let of = self.peers.entry(peer).or_default();
        of.last = of.last.max(time);
        of
    }

    /// Those heard of last, newest first.
    pub fn recent(&self, most: usize) -> impl Iterator<Item = (&Bytes, &Known)> {
        self.order.iter().rev().filter_map(|hash| self.known.get_key_value(hash)).take(most)
    }
}

impl Known {
    fn is(&mut self, txid: Option<&Bytes>, wtxid: Option<&Bytes>) {
        self.txid = self.txid.or(txid.and_then(|hash| hash.as_ref().try_into().ok()));
        self.wtxid = self.wtxid.or(wtxid.and_then(|hash| hash.as_ref().try_into().ok()));
    }
}

fn transactions(items: &[Inventory]) -> impl Iterator<Item = &Inventory> {
    items.iter().filter(|item| matches!(item.r#type(), InventoryType::Tx | InventoryType::Wtx | InventoryType::WitnessTx))
}
