//! Transactions that replace others: in circles, in a storm, or to raise a fee.

use std::time::Duration;

use bytes::Bytes;
use event::{ConnectionType, MempoolAdded, MempoolRemoved, MempoolReplaced, NetTx, OutPoint, RemovalReason, Source};
use serde::Deserialize;

use super::super::chance::hash;
use super::super::relay::message;
use super::super::script::length;
use super::super::world::World;
use super::{Plan, Play, Stage};

/// An output of a transaction that nobody else knows.
fn output(world: &mut World) -> OutPoint {
    OutPoint { txid: Bytes::copy_from_slice(&hash(world.random.next(), 45)), vout: 0 }
}

/// A transaction reaches the node by one of its peers; the mempool takes it in the place of another, if there is one.
fn send(world: &mut World, txid: &Bytes, spends: Vec<OutPoint>, instead_of: Option<&Bytes>) {
    let able: Vec<u64> = world
        .peers
        .values()
        .filter(|peer| peer.ready && peer.manner.announces && peer.kind != ConnectionType::BlockRelayOnly)
        .map(|peer| peer.id)
        .collect();
    let Some(&peer) = world.random.pick(&able) else { return };
    let (txid, wtxid, vsize, fee) = (txid.clone(), Bytes::copy_from_slice(&hash(world.random.next(), 46)), 200, 2_000);
    let taken = txid.clone();
    message!(
        world,
        peer,
        Inbound,
        210,
        NetTx { txid: txid, wtxid: wtxid, weight: 800, version: 2, locktime: 0, spends: spends, outputs: 2, output_value: 100_000 }
    );
    let entered = Some(world.seconds().saturating_sub(20));
    if let Some(txid) = instead_of.cloned() {
        let replaced = MempoolReplaced {
            txid: txid.clone(),
            vsize,
            fee: fee / 2,
            entered,
            replacement: taken.clone(),
            replacement_vsize: vsize,
            replacement_fee: fee,
            replacement_is_txid: Some(true),
            ..Default::default()
        };
        let reason = RemovalReason::Replaced.into();
        let removed = MempoolRemoved { txid, reason, vsize: Some(vsize), fee: Some(fee / 2), entered, wtxid: None };
        world.say(Source::Ebpf, removed);
        world.say(Source::Ebpf, replaced);
    }
    world.say(Source::Ebpf, MempoolAdded { txid: taken, vsize: Some(vsize), fee: Some(fee), wtxid: None });
}

/// See [`super::Ingredient::ReplacementCycling`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct ReplacementCycling {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<4, _>")]
    rounds: f64,
}

impl Plan for ReplacementCycling {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.truth("D45", stage.node(), self.at, self.lasts);
        let rounds = (self.rounds * stage.strength).round().max(1.0) as u32;
        let wait = self.lasts.as_secs_f64() / f64::from(3 * rounds);
        stage.play(self.at, Cycling { left: 3 * rounds, wait, channel: None, victim: Bytes::new(), own: None, last: Bytes::new() });
    }
}

/// Somebody's transaction is pushed out, and comes again.
struct Cycling {
    /// Steps, three for each round.
    left: u32,
    wait: f64,
    /// What both want to spend.
    channel: Option<OutPoint>,
    victim: Bytes,
    /// The attacker's, and what spends it.
    own: Option<OutPoint>,
    last: Bytes,
}

impl Play for Cycling {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        let channel = match &self.channel {
            Some(channel) => channel.clone(),
            None => {
                self.victim = output(world).txid;
                self.channel.insert(output(world)).clone()
            }
        };
        let (next, before) = (output(world).txid, self.last.clone());
        match self.left % 3 {
            0 => send(world, &self.victim, vec![channel], None),
            2 => {
                let own = self.own.insert(output(world)).clone();
                send(world, &next, vec![channel, own], Some(&self.victim));
            }
            _ => send(world, &next, self.own.take().into_iter().collect(), Some(&before)),
        }
        self.last = next;
        self.left = self.left.checked_sub(1).filter(|left| *left > 0)?;
        Some(self.wait)
    }
}

/// See [`super::Ingredient::ReplacementStorm`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct ReplacementStorm {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<300, _>")]
    per_minute: f64,
}

impl Plan for ReplacementStorm {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.truth("D45", stage.node(), self.at, self.lasts);
        let wait = 60.0 / (self.per_minute * stage.strength);
        stage.play(self.at, Bumping { left: self.lasts.as_secs_f64(), wait, rewrites: false, purses: Vec::new(), number: 0 });
    }
}

/// See [`super::Ingredient::FeeBumping`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct FeeBumping {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<20, _>")]
    per_minute: f64,
}

impl Plan for FeeBumping {
    fn plan(self, stage: &mut Stage<'_>) {
        let wait = 60.0 / self.per_minute;
        stage.play(self.at, Bumping { left: self.lasts.as_secs_f64(), wait, rewrites: true, purses: Vec::new(), number: 0 });
    }
}

/// Fees are raised; now and then a batch of payments is made anew, with other coins.
struct Bumping {
    /// Seconds.
    left: f64,
    wait: f64,
    rewrites: bool,
    /// Transactions that may be replaced, and what they spend.
    purses: Vec<(Bytes, Vec<OutPoint>, u32)>,
    number: u64,
}

/// Purses whose fees are raised at a time, how often each is, and how rarely a batch is made anew.
const PURSES: usize = 12;
const RAISES: u32 = 4;
const REWRITES: u64 = 100;

impl Play for Bumping {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        self.number += 1;
        let next = output(world).txid;
        let place = world.random.below(PURSES as u64) as usize;
        match self.purses.get_mut(place) {
            Some((last, spends, raises)) if *raises < RAISES => {
                *raises += 1;
                if self.rewrites && *raises == 2 {
                    // one more coin pays for it
                    spends.push(output(world));
                } else if self.rewrites && *raises == 3 && self.number.is_multiple_of(REWRITES) {
                    spends.remove(0);
                }
                send(world, &next, spends.clone(), Some(last));
                *last = next;
            }
            _ => {
                let purse = (next.clone(), vec![output(world)], 0);
                send(world, &next, purse.1.clone(), None);
                match self.purses.get_mut(place) {
                    Some(old) => *old = purse,
                    None => self.purses.push(purse),
                }
            }
        }
        let wait = world.random.exponential(self.wait);
        self.left -= wait;
        (self.left > 0.0).then_some(wait)
    }
}
