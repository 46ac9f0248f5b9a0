//! Blocks that are wrong, and chains that part.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use event::{
    BlockHeader, ChainBlockChecked, ChainBlockConnected, ChainBlockDisconnected, ChainInvalid, ConnMisbehaving, EndReason,
    Inventory, InventoryType, NetBlock, NetBlocktxn, NetCmpctblock, NetGetblocktxn, NetGetdata, NetHeaders, Source,
};
use serde::Deserialize;

use super::super::chance::{hash, mix};
use super::super::peer::{self, Manner, Stranger};
use super::super::program::PROGRAMS;
use super::super::relay::message;
use super::super::script::length;
use super::super::world::World;
use super::{Plan, Play, Stage};

/// The target of the world's blocks, in compact form.
const TARGET: u32 = 0x1702_1234;

/// A header on top of the chain.
fn header(world: &mut World, number: u64) -> BlockHeader {
    BlockHeader {
        hash: Bytes::copy_from_slice(&hash(mix(number) ^ world.begin, 11)),
        version: 0x2000_0000,
        previous: world.chain.tip.clone(),
        merkle_root: Bytes::copy_from_slice(&hash(number, 12)),
        time: world.seconds() as u32,
        bits: TARGET,
        nonce: number as u32,
    }
}

/// See [`super::Ingredient::MutatedBlocks`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct MutatedBlocks {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<4, _>")]
    count: u32,
}

impl Plan for MutatedBlocks {
    fn plan(self, stage: &mut Stage<'_>) {
        let ip = IpAddr::V4(peer::ipv4(stage.random.unit(), stage.random.next()));
        let stranger = Stranger::at(ip, stage.script.population.addresses_per_second, stage.random);
        let stranger = Stranger { manner: Manner { pings: true, ..Manner::STILL }, ..stranger };
        stage.truth("D52", ("address", ip.to_string()), self.at, self.lasts);
        let count = (f64::from(self.count) * stage.strength).max(1.0) as u32;
        let wait = self.lasts.as_secs_f64() / f64::from(count);
        stage.play(self.at, Mutating { stranger, left: count, wait, peer: None });
    }
}

/// Comes, sends a block whose transactions are not its own, is thrown out, comes again.
struct Mutating {
    stranger: Stranger,
    left: u32,
    wait: f64,
    peer: Option<u64>,
}

impl Play for Mutating {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        let Some(id) = self.peer.take() else {
            self.left = self.left.checked_sub(1)?;
            self.peer = world.accept(self.stranger.clone(), 3_600.0);
            return Some(2.0);
        };
        let header = header(world, u64::from(self.left));
        message!(world, id, Inbound, 900_000, NetBlock { header: Some(header), weight: 3_600_000, transactions: Vec::new() });
        misbehave(world, id, "mutated block");
        Some((self.wait - 2.0).max(0.0))
    }
}

/// The node finds that a peer broke the rules, and throws it out.
fn misbehave(world: &mut World, peer: u64, reason: &str) {
    world.say(Source::Ebpf, ConnMisbehaving { peer, reason: reason.to_owned(), ..Default::default() });
    world.close(peer, EndReason::Misbehaving);
}

/// See [`super::Ingredient::InvalidBlock`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct InvalidBlock {
    #[serde(deserialize_with = "length")]
    at: Duration,
}

impl Plan for InvalidBlock {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.truth("D52", stage.node(), self.at, Duration::from_mins(1));
        stage.play(self.at, self);
    }
}

impl Play for InvalidBlock {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        let able: Vec<u64> = world.peers.values().filter(|peer| peer.ready && peer.manner.blocks).map(|peer| peer.id).collect();
        let Some(&id) = world.random.pick(&able) else { return Some(1.0) };
        let header = header(world, 99);
        let hash = header.hash.clone();
        let prefilled = Vec::new();
        message!(
            world,
            id,
            Inbound,
            9_000,
            NetCmpctblock { header: Some(header), nonce: 1, short_ids: Vec::new(), prefilled: prefilled }
        );
        let reason = "bad-cb-amount".to_owned();
        world.say(Source::Log, ChainBlockChecked { hash: hash.clone(), valid: false, reason, ..Default::default() });
        let height = Some(world.chain.height + 1);
        world.say(Source::Log, ChainInvalid { hash: Some(hash), height, log2_work: Some(95.6), ..Default::default() });
        None
    }
}

/// See [`super::Ingredient::InvalidateBlock`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct InvalidateBlock {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(skip)]
    began: Option<i32>,
    #[serde(skip)]
    taken: Option<(Bytes, i32)>,
}

impl Plan for InvalidateBlock {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.play(self.at, self);
    }
}

impl Play for InvalidateBlock {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        let (hash, height) = match self.taken.take() {
            // one that the node was seen to connect
            None if world.chain.height == *self.began.get_or_insert(world.chain.height) => return Some(10.0),
            None => (world.chain.tip.clone(), world.chain.height),
            Some((hash, height)) => {
                world.say(Source::Ebpf, ChainBlockConnected { hash, height, ..Default::default() });
                return None;
            }
        };
        world.say(Source::Log, ChainBlockDisconnected { hash: hash.clone(), height });
        let invalid = ChainInvalid { hash: Some(hash.clone()), height: Some(height), log2_work: Some(95.6), ..Default::default() };
        world.say(Source::Log, invalid);
        self.taken = Some((hash, height));
        Some(5.0)
    }
}

/// See [`super::Ingredient::LateTransactions`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct LateTransactions {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(default = "super::number::<10, _>")]
    blocks: u32,
}

impl Plan for LateTransactions {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.play(self.at, self);
    }
}

impl Play for LateTransactions {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        self.blocks = self.blocks.checked_sub(1)?;
        let able: Vec<u64> = world.peers.values().filter(|peer| peer.ready && peer.manner.blocks).map(|peer| peer.id).collect();
        let [Some(&first), Some(&second)] = [able.first(), able.last()] else { return Some(10.0) };
        let block = header(world, 200 + u64::from(self.blocks)).hash;
        for peer in [first, second] {
            message!(world, peer, Outbound, 40, NetGetblocktxn { block: block.clone(), indexes: vec![1, 2] });
        }
        for peer in [first, second] {
            message!(world, peer, Inbound, 900, NetBlocktxn { block: block.clone(), transactions: Vec::new() });
        }
        if self.blocks == 0 {
            // two transactions of one short id: the node asks for the whole block
            let items = vec![Inventory { r#type: InventoryType::WitnessBlock.into(), hash: block.clone(), number: None }];
            message!(world, first, Outbound, 37, NetGetdata { items: items });
            let header = Some(BlockHeader { hash: block, ..header(world, 200) });
            message!(world, first, Inbound, 900_000, NetBlock { header: header, weight: 3_600_000, transactions: Vec::new() });
        }
        Some(60.0)
    }
}

/// See [`super::Ingredient::OtherChain`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct OtherChain {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<10, _>")]
    peers: u32,
    #[serde(skip)]
    talking: Option<u64>,
}

impl Plan for OtherChain {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.play(self.at, self);
    }
}

impl Play for OtherChain {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        if let Some(id) = self.talking.take() {
            let header = header(world, 300 + u64::from(self.peers));
            message!(world, id, Inbound, 82, NetHeaders { headers: vec![header] });
            misbehave(world, id, "invalid header received");
            return Some(self.lasts.as_secs_f64() / 10.0);
        }
        self.peers = self.peers.checked_sub(1)?;
        let gossip = world.population.addresses_per_second;
        let ip = IpAddr::V4(peer::ipv4(world.random.unit(), world.random.next()));
        let stranger = Stranger::at(ip, gossip, &mut world.random);
        let program = &PROGRAMS[0];
        let stranger = Stranger { program, agent: "/Bitcoin ABC:0.32.1/", manner: Manner::STILL, ..stranger };
        self.talking = world.accept(stranger, 60.0);
        Some(2.0)
    }
}
