//! Transaction relay: queues that grow, peers that only listen.

use std::net::IpAddr;
use std::time::Duration;

use event::{ConnectionType, Inventory, InventoryType, NetInv, NetMempool};
use serde::Deserialize;

use super::super::peer::{self, Manner, Stranger};
use super::super::relay::message;
use super::super::script::length;
use super::super::world::World;
use super::{Plan, Play, Stage};

/// Somebody with these manners, at an address known beforehand.
pub(super) fn stranger(stage: &mut Stage<'_>, manner: Manner) -> Stranger {
    let ip = IpAddr::V4(peer::ipv4(stage.random.unit(), stage.random.next()));
    let stranger = Stranger::at(ip, stage.script.population.addresses_per_second, stage.random);
    Stranger { manner, ..stranger }
}

/// Comes, stays, goes.
struct Guest {
    stranger: Stranger,
    stays: f64,
}

impl Play for Guest {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        if let Some(id) = world.accept(self.stranger.clone(), self.stays) {
            // who comes to stay is not the one that makes room
            if let Some(peer) = world.peers.get_mut(&id) {
                peer.protected = true;
            }
        }
        None
    }
}

/// See [`super::Ingredient::Listener`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<1, _>")]
    peers: u32,
}

impl Plan for Listener {
    fn plan(self, stage: &mut Stage<'_>) {
        let peers = (f64::from(self.peers) * stage.strength).max(1.0) as u32;
        for _ in 0..peers {
            let stranger = stranger(stage, Manner::STILL);
            stage.truth_to_know("D14", ("peer", stranger.address.clone()), self.at, self.lasts);
            stage.play(self.at, Guest { stranger, stays: self.lasts.as_secs_f64() });
        }
    }
}

/// See [`super::Ingredient::BlocksOnly`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct BlocksOnly {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default)]
    forgot: bool,
}

impl Plan for BlocksOnly {
    fn plan(self, stage: &mut Stage<'_>) {
        let manner = Manner { relay: self.forgot, blocks: true, pings: true, ..Manner::STILL };
        let stranger = stranger(stage, manner);
        stage.play(self.at, Guest { stranger, stays: self.lasts.as_secs_f64() });
    }
}

/// See [`super::Ingredient::Wallet`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Wallet {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
}

impl Plan for Wallet {
    fn plan(self, stage: &mut Stage<'_>) {
        let stranger = stranger(stage, Manner { filters: true, pings: true, ..Manner::STILL });
        stage.play(self.at, Guest { stranger, stays: self.lasts.as_secs_f64() });
    }
}

/// See [`super::Ingredient::InvQueue`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct InvQueue {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<60_000, _>")]
    peak: f64,
    #[serde(default = "nearly_all")]
    handler: f64,
    #[serde(default = "super::number::<12, _>")]
    ping: f64,
    #[serde(skip)]
    began: Option<u64>,
    #[serde(skip)]
    usual: (f64, f64),
}

fn nearly_all() -> f64 {
    0.97
}

impl Plan for InvQueue {
    fn plan(mut self, stage: &mut Stage<'_>) {
        stage.truth("D39", stage.node(), self.at, self.lasts);
        self.peak *= stage.strength;
        self.ping *= stage.strength;
        self.handler = (self.handler * stage.strength).min(0.99);
        stage.play(self.at, self);
    }
}

impl Play for InvQueue {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        if self.began.is_none() {
            self.usual = (world.knobs.handler, world.knobs.backlog);
        }
        let began = *self.began.get_or_insert(world.now);
        let elapsed = Duration::from_nanos(world.now - began);
        // up to the peak in the first fifth
        let share = (elapsed.as_secs_f64() / self.lasts.as_secs_f64() * 5.0).min(1.0);
        let over = elapsed >= self.lasts;
        for peer in world.peers.values_mut().filter(|peer| peer.manner.relay && peer.kind != ConnectionType::BlockRelayOnly) {
            peer.queue = if over { 0.0 } else { self.peak * share };
        }
        if over {
            (world.knobs.handler, world.knobs.backlog) = self.usual;
            return None;
        }
        world.knobs.handler = self.handler.max(self.usual.0);
        world.knobs.backlog = self.usual.1 + self.ping * share;
        Some(2.0)
    }
}

/// See [`super::Ingredient::MempoolAnswer`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct MempoolAnswer {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(default = "super::number::<5_000, _>")]
    entries: u64,
    #[serde(skip)]
    peer: Option<u64>,
    #[serde(skip)]
    stranger: Option<Stranger>,
}

impl Plan for MempoolAnswer {
    fn plan(mut self, stage: &mut Stage<'_>) {
        self.stranger = Some(stranger(stage, Manner { filters: true, pings: true, ..Manner::STILL }));
        stage.play(self.at, self);
    }
}

impl Play for MempoolAnswer {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        if let Some(stranger) = self.stranger.take() {
            self.peer = world.accept(stranger, 3_600.0);
            return self.peer.map(|_| 5.0);
        }
        let id = self.peer?;
        message!(world, id, Inbound, 0, NetMempool {});
        let first = world.transactions.saturating_sub(self.entries);
        let item = |number| Inventory { r#type: InventoryType::Wtx.into(), hash: world.transaction(number), number: None };
        let items: Vec<Inventory> = (first..world.transactions).map(item).collect();
        message!(world, id, Outbound, 36 * items.len() as u32, NetInv { items: items });
        None
    }
}

/// See [`super::Ingredient::BusyBlocks`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct BusyBlocks {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "nine_tenths")]
    handler: f64,
    #[serde(deserialize_with = "length", default = "super::seconds::<20>")]
    busy: Duration,
    #[serde(skip)]
    usual: Option<f64>,
}

fn nine_tenths() -> f64 {
    0.9
}

impl Plan for BusyBlocks {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.play(self.at, self);
    }
}

impl Play for BusyBlocks {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        if let Some(usual) = self.usual.take() {
            world.knobs.handler = usual;
            self.lasts = self.lasts.checked_sub(Duration::from_mins(5))?;
            return Some(300.0 - self.busy.as_secs_f64());
        }
        self.usual = Some(world.knobs.handler);
        world.knobs.handler = self.handler;
        Some(self.busy.as_secs_f64())
    }
}
