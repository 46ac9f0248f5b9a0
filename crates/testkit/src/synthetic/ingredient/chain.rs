//! The chain: no blocks at all, or none for one node; and who decides what a node hears.

use std::time::Duration;

use event::{ConnectionType, EndReason};
use serde::Deserialize;

use super::super::node::ATTACKERS;
use super::super::script::length;
use super::super::world::World;
use super::{Plan, Play, Stage};

/// See [`super::Ingredient::NoBlocks`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct NoBlocks {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
}

impl Plan for NoBlocks {
    fn plan(self, stage: &mut Stage<'_>) {
        let lasts = self.lasts.mul_f64(stage.strength);
        stage.truth("D54", stage.node(), self.at, lasts);
        stage.play(self.at, Without { change: |world, on| world.knobs.mining = !on, lasts: Some(lasts) });
    }
}

/// See [`super::Ingredient::BlockGap`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct BlockGap {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
}

impl Plan for BlockGap {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.play(self.at, Without { change: |world, on| world.knobs.mining = !on, lasts: Some(self.lasts) });
    }
}

/// See [`super::Ingredient::CutOff`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct CutOff {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    node: String,
}

impl Plan for CutOff {
    fn plan(self, stage: &mut Stage<'_>) {
        if self.node != stage.node {
            return;
        }
        let lasts = self.lasts.mul_f64(stage.strength);
        stage.truth("D54", stage.node(), self.at, lasts);
        // D19: behind a sibling (30 points) and no block for 92 minutes (20) are the 40 of a warning
        const BEHIND: Duration = Duration::from_mins(92);
        if let Some(rest) = lasts.checked_sub(BEHIND)
            && stage.script.nodes.len() > 1
        {
            stage.follows("D19", self.at + BEHIND, rest);
        }
        stage.play(self.at, Without { change: |world, on| world.knobs.cut_off = on, lasts: Some(lasts) });
    }
}

/// Blocks do not come for some time; then those that the node has missed.
struct Without {
    change: fn(&mut World, bool),
    lasts: Option<Duration>,
}

impl Play for Without {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        let lasts = self.lasts.take();
        (self.change)(world, lasts.is_some());
        if lasts.is_none() {
            world.catch_up();
        }
        lasts.map(|lasts| lasts.as_secs_f64())
    }
}

/// See [`super::Ingredient::Eclipse`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Eclipse {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<8, _>")]
    peers: f64,
    #[serde(default)]
    node: Option<String>,
}

impl Plan for Eclipse {
    fn plan(self, stage: &mut Stage<'_>) {
        if self.node.as_ref().is_some_and(|node| node != stage.node) {
            return;
        }
        stage.truth("D19", stage.node(), self.at, self.lasts);
        let peers = (self.peers * stage.strength).round().clamp(1.0, 10.0) as u32;
        // D54: it is more than a minute behind a sibling that hears of blocks; where all are cut off, or there is one, no block for an hour and a half
        let sibling = self.node.is_some() && stage.script.nodes.len() > 1;
        let long = if sibling { Duration::ZERO } else { Duration::from_mins(90) };
        if let Some(rest) = self.lasts.checked_sub(long) {
            stage.follows("D54", self.at + Duration::from_mins(peers.into()) + long, rest);
        }
        stage.play(self.at, Eclipsing { left: peers, lasts: Some(self.lasts) });
    }
}

/// One outbound peer after the other is exchanged for an attacker's, and then no block comes.
struct Eclipsing {
    left: u32,
    lasts: Option<Duration>,
}

impl Play for Eclipsing {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        let [a, b] = ATTACKERS;
        let taken = format!("{a}.{b}.");
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            let honest = world
                .peers
                .values()
                .filter(|peer| peer.kind == ConnectionType::OutboundFullRelay && !peer.address.starts_with(&taken));
            let oldest = honest.map(|peer| peer.id).min();
            world.knobs.attackers += 1;
            if let Some(id) = oldest {
                world.close(id, EndReason::SocketClosed);
            }
            return Some(60.0);
        }
        let lasts = self.lasts.take();
        world.knobs.cut_off = lasts.is_some();
        if lasts.is_none() {
            world.knobs.attackers = 0;
            let theirs: Vec<u64> =
                world.peers.values().filter(|peer| peer.address.starts_with(&taken)).map(|peer| peer.id).collect();
            theirs.into_iter().for_each(|id| world.close(id, EndReason::SocketClosed));
            world.catch_up();
        }
        lasts.map(|lasts| lasts.as_secs_f64())
    }
}

/// See [`super::Ingredient::OutboundTurnover`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct OutboundTurnover {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<10, _>")]
    peers: u32,
}

impl Plan for OutboundTurnover {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.play(self.at, Turnover { left: self.peers, wait: self.lasts.as_secs_f64() / f64::from(self.peers.max(1)) });
    }
}

/// Outbound peers go, one after the other, and the node dials others.
struct Turnover {
    left: u32,
    wait: f64,
}

impl Play for Turnover {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        self.left = self.left.checked_sub(1)?;
        let oldest = world.peers.values().filter(|peer| peer.kind == ConnectionType::OutboundFullRelay).map(|peer| peer.id).min();
        if let Some(id) = oldest {
            world.close(id, EndReason::SocketClosed);
        }
        Some(self.wait)
    }
}
