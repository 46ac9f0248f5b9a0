//! Blocks: not put together, not delivered, or just slow.

use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;

use super::super::peer::{self, Manner, Stranger};
use super::super::script::length;
use super::super::world::World;
use super::{Plan, Play, Stage};

/// See [`super::Ingredient::ReconstructionFailure`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct ReconstructionFailure {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "nearly_half")]
    drop: f64,
}

fn nearly_half() -> f64 {
    0.45
}

impl Plan for ReconstructionFailure {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.truth("D50", stage.node(), self.at, self.lasts);
        let drop = self.drop * stage.strength;
        stage.play(self.at, Reconstructing { drop, lasts: Some(self.lasts) });
    }
}

/// See [`super::Ingredient::EmptyMempool`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct EmptyMempool {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
}

impl Plan for EmptyMempool {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.play(self.at, Reconstructing { drop: 1.0, lasts: Some(self.lasts) });
    }
}

struct Reconstructing {
    drop: f64,
    lasts: Option<Duration>,
}

impl Play for Reconstructing {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        let usual = world.population.reconstructed;
        let Some(lasts) = self.lasts.take() else {
            world.knobs.reconstructed = usual;
            return None;
        };
        world.knobs.reconstructed = (usual - self.drop).max(0.0);
        Some(lasts.as_secs_f64())
    }
}

/// See [`super::Ingredient::WithheldBlock`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct WithheldBlock {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<1, _>")]
    peers: u32,
    #[serde(default = "four_fifths")]
    share: f64,
}

fn four_fifths() -> f64 {
    0.8
}

impl Plan for WithheldBlock {
    fn plan(self, stage: &mut Stage<'_>) {
        let mut strangers = Vec::new();
        for _ in 0..self.peers {
            let ip = IpAddr::V4(peer::ipv4(stage.random.unit(), stage.random.next()));
            let stranger = Stranger::at(ip, stage.script.population.addresses_per_second, stage.random);
            let manner = Manner { announces: true, requests: 0.05, pings: true, ..Manner::STILL };
            stage.truth("D51", ("peer", stranger.address.clone()), self.at, self.lasts);
            strangers.push(Stranger { manner, round_trip: 0.02, ..stranger });
        }
        let share = (self.share * stage.strength).min(1.0);
        stage.play(self.at, Withholding { strangers, share, lasts: Some(self.lasts) });
    }
}

struct Withholding {
    strangers: Vec<Stranger>,
    share: f64,
    lasts: Option<Duration>,
}

impl Play for Withholding {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        let Some(lasts) = self.lasts.take() else {
            world.knobs.withholders.clear();
            return None;
        };
        for stranger in self.strangers.drain(..) {
            if let Some(id) = world.accept(stranger, lasts.as_secs_f64()) {
                if let Some(peer) = world.peers.get_mut(&id) {
                    peer.protected = true;
                }
                world.knobs.withholders.push(id);
            }
        }
        world.knobs.withheld = self.share;
        Some(lasts.as_secs_f64())
    }
}

/// See [`super::Ingredient::SlowLine`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct SlowLine {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<8, _>")]
    seconds: f64,
    #[serde(skip)]
    began: bool,
}

impl Plan for SlowLine {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.play(self.at, self);
    }
}

impl Play for SlowLine {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        if std::mem::replace(&mut self.began, true) {
            world.knobs.slow_blocks = 0.0;
            return None;
        }
        world.knobs.slow_blocks = self.seconds;
        Some(self.lasts.as_secs_f64())
    }
}
