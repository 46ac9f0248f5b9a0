//! The chain: no blocks at all, or none for one node.

use std::time::Duration;

use serde::Deserialize;

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
