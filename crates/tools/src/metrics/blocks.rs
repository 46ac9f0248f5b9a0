//! How blocks come: announced, as a compact block, with requests, connected.
//!
//! What is counted is blocks, not messages: with three high-bandwidth peers one block brings three compact blocks and at most one needs a
//! request, so a rate per message looks better than it is.

use std::collections::VecDeque;

use super::table::{Bandwidth, Outcome};

/// Blocks that the node does something about at a time: more than all its peers may have made up.
const UNDER_WAY: usize = 512;

/// Compact blocks of one peer that nobody else sent and the node did not ask about. A peer that makes up more pushes out its own.
const OF_A_PEER: usize = 2;

/// Requests for compact blocks that are remembered.
const ASKED: usize = 64;

/// Times of first signs that are remembered: a place per block, by its hash.
const SIGNS: usize = 256;

/// What is known of blocks that are not connected yet.
#[derive(Debug, Default)]
pub struct Blocks {
    under_way: VecDeque<UnderWay>,
    asked: VecDeque<(u64, [u8; 32])>,
    signs: Signs,
}

/// A block that the node got, or asked for.
#[derive(Debug)]
struct UnderWay {
    hash: [u8; 32],
    /// The only peer that sent it.
    by: Option<u64>,
    /// When the first compact block came.
    compact: Option<u64>,
    /// Its transactions were asked for.
    requested: bool,
    /// The whole block was asked for.
    whole: bool,
}

/// How a connected block came.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Connected {
    /// What brought it together.
    pub outcome: Outcome,
    /// Nanoseconds since the first compact block.
    pub since_compact: Option<u64>,
    /// Nanoseconds since the first sign of it.
    pub since_sign: Option<u64>,
}

impl Blocks {
    /// Somebody spoke of a block: by header, inventory, compact or whole. Strangers may make blocks up, and cost at most the time of others.
    pub fn sign(&mut self, hash: &[u8], time: u64) {
        if let Ok(hash) = hash.try_into() {
            self.signs.first(hash, time, SIGNS);
        }
    }

    /// A compact block came. Gives back how.
    pub fn compact(&mut self, peer: u64, hash: &[u8], time: u64) -> Bandwidth {
        let Ok(hash) = hash.try_into() else { return Bandwidth::High };
        self.signs.first(hash, time, SIGNS);
        let known = self.under_way.iter().any(|block| block.hash == hash);
        if !known {
            self.make_room(peer);
        }
        let block = self.at(hash);
        // what two peers sent is nobody's own any more
        block.by = if known { block.by.filter(|by| *by == peer) } else { Some(peer) };
        block.compact.get_or_insert(time);
        match self.asked.iter().position(|asked| *asked == (peer, hash)) {
            Some(at) => {
                self.asked.remove(at);
                Bandwidth::Low
            }
            None => Bandwidth::High,
        }
    }

    /// The node asked a peer for a compact block.
    pub fn asked(&mut self, peer: u64, hash: &[u8]) {
        if let Ok(hash) = hash.try_into() {
            if self.asked.len() == ASKED {
                self.asked.pop_front();
            }
            self.asked.push_back((peer, hash));
        }
    }

    /// The node asked for transactions of a compact block.
    pub fn requested(&mut self, hash: &[u8]) {
        if let Ok(hash) = hash.try_into() {
            self.at(hash).requested = true;
        }
    }

    /// The node asked for a whole block.
    pub fn whole(&mut self, hash: &[u8]) {
        if let Ok(hash) = hash.try_into() {
            self.at(hash).whole = true;
        }
    }

    /// A block was connected: what there was to know is said and forgotten.
    pub fn connected(&mut self, hash: &[u8], time: u64) -> Connected {
        let known = self.under_way.iter().position(|block| block.hash == hash).and_then(|at| self.under_way.remove(at));
        let compact = known.as_ref().and_then(|block| block.compact);
        let outcome = match known {
            Some(UnderWay { compact: Some(_), whole: true, .. }) => Outcome::Whole,
            Some(UnderWay { compact: Some(_), requested: true, .. }) => Outcome::Requested,
            Some(UnderWay { compact: Some(_), .. }) => Outcome::Mempool,
            _ => Outcome::NotCompact,
        };
        let sign = <[u8; 32]>::try_from(hash).ok().and_then(|hash| self.signs.known(hash));
        // a clock that was set back in between says nothing
        Connected {
            outcome,
            since_compact: compact.and_then(|first| time.checked_sub(first)),
            since_sign: sign.and_then(|first| time.checked_sub(first)),
        }
    }

    /// A peer that has as many blocks here as it may gives up its oldest.
    fn make_room(&mut self, peer: u64) {
        let is_own = |block: &UnderWay| block.by == Some(peer) && !block.requested && !block.whole;
        if self.under_way.iter().filter(|block| is_own(block)).count() >= OF_A_PEER
            && let Some(oldest) = self.under_way.iter().position(is_own)
        {
            self.under_way.remove(oldest);
        }
    }

    fn at(&mut self, hash: [u8; 32]) -> &mut UnderWay {
        let at = self.under_way.iter().position(|block| block.hash == hash).unwrap_or_else(|| {
            if self.under_way.len() == UNDER_WAY {
                self.under_way.pop_front();
            }
            self.under_way.push_back(UnderWay { hash, by: None, compact: None, requested: false, whole: false });
            self.under_way.len() - 1
        });
        &mut self.under_way[at]
    }
}

/// When things were first seen: a place per hash, so that memory is fixed; two that meet displace each other.
#[derive(Debug, Default)]
pub struct Signs(Vec<([u8; 32], u64)>);

impl Signs {
    /// The first time that was told of this hash, this one included, among `places`.
    pub fn first(&mut self, hash: [u8; 32], time: u64, places: usize) -> u64 {
        if self.0.is_empty() {
            self.0 = vec![([0; 32], 0); places];
        }
        let at = self.place(&hash);
        let place = &mut self.0[at];
        if place.0 != hash {
            *place = (hash, time);
        }
        place.1
    }

    /// Begins anew with this hash.
    pub fn again(&mut self, hash: [u8; 32], time: u64) {
        let at = self.place(&hash);
        self.0[at] = (hash, time);
    }

    fn known(&self, hash: [u8; 32]) -> Option<u64> {
        let place = self.0.get(self.place(&hash))?;
        (place.0 == hash).then_some(place.1)
    }

    /// By the first bytes, which vary in block hashes and transaction ids alike.
    fn place(&self, hash: &[u8; 32]) -> usize {
        let [a, b, c, d, ..] = *hash;
        u32::from_le_bytes([a, b, c, d]) as usize % self.0.len().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: [u8; 32] = [7; 32];

    fn outcome(steps: impl FnOnce(&mut Blocks)) -> Connected {
        let mut blocks = Blocks::default();
        steps(&mut blocks);
        blocks.connected(&HASH, 1000)
    }

    #[test]
    fn a_block_counts_once_by_what_was_needed() {
        // three peers sent it, one was asked: the rate per message would be two in three
        let asked = outcome(|blocks| {
            blocks.compact(1, &HASH, 100);
            blocks.requested(&HASH);
            blocks.compact(2, &HASH, 200);
            blocks.compact(3, &HASH, 300);
        });
        assert_eq!(asked, Connected { outcome: Outcome::Requested, since_compact: Some(900), since_sign: Some(900) });
        assert_eq!(outcome(|blocks| _ = blocks.compact(1, &HASH, 1)).outcome, Outcome::Mempool);
        let failed = outcome(|blocks| {
            blocks.compact(1, &HASH, 1);
            blocks.requested(&HASH);
            blocks.whole(&HASH);
        });
        assert_eq!(failed.outcome, Outcome::Whole);
        let downloaded = outcome(|blocks| {
            blocks.sign(&HASH, 400);
            blocks.whole(&HASH);
        });
        assert_eq!(downloaded, Connected { outcome: Outcome::NotCompact, since_compact: None, since_sign: Some(600) });
        assert_eq!(outcome(|_| ()).outcome, Outcome::NotCompact);
    }

    #[test]
    fn only_the_peer_that_was_asked_answers() {
        let mut blocks = Blocks::default();
        blocks.asked(1, &HASH);
        assert_eq!(blocks.compact(2, &HASH, 1), Bandwidth::High);
        assert_eq!(blocks.compact(1, &HASH, 2), Bandwidth::Low);
        assert_eq!(blocks.compact(1, &HASH, 3), Bandwidth::High);
    }

    #[test]
    fn a_clock_that_was_set_back_measures_nothing() {
        let back = outcome(|blocks| _ = blocks.compact(1, &HASH, 5000));
        assert_eq!((back.since_compact, back.since_sign), (None, None));
    }

    fn made_up(number: u64) -> [u8; 32] {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_le_bytes());
        hash
    }

    #[test]
    fn made_up_blocks_push_out_nobody_elses() {
        let flood = |blocks: &mut Blocks, peer| (0..10_000).for_each(|number| _ = blocks.compact(peer, &made_up(number), 2));
        let others = outcome(|blocks| {
            blocks.compact(1, &HASH, 1);
            flood(blocks, 2);
        });
        // the time of the first sign has a place that others may have
        assert_eq!(others, Connected { outcome: Outcome::Mempool, since_compact: Some(999), since_sign: None });
        // nor what he sent first and others after him
        let shared = outcome(|blocks| {
            blocks.compact(2, &HASH, 1);
            blocks.compact(1, &HASH, 1);
            flood(blocks, 2);
        });
        assert_eq!(shared.outcome, Outcome::Mempool);
        // nor what the node asked about
        let asked = outcome(|blocks| {
            blocks.compact(2, &HASH, 1);
            blocks.requested(&HASH);
            flood(blocks, 2);
        });
        assert_eq!(asked.outcome, Outcome::Requested);
    }

    #[test]
    fn made_up_blocks_cost_no_memory() {
        let mut blocks = Blocks::default();
        for number in 0..10_000_u64 {
            let hash = made_up(number);
            blocks.sign(&hash, number);
            blocks.compact(number, &hash, number);
            blocks.asked(1, &hash);
        }
        assert_eq!((blocks.under_way.len(), blocks.signs.0.len()), (UNDER_WAY, SIGNS));
        assert!(blocks.asked.len() <= ASKED);
        blocks.sign(b"short", 1);
        blocks.compact(1, b"", 1);
    }
}
