//! Chains that part.

use std::time::Duration;

use bytes::Bytes;
use event::{ChainBlockConnected, ChainHeader, Source};
use serde::Deserialize;

use super::super::chance::hash;
use super::super::script::length;
use super::super::world::World;
use super::{Plan, Play, Stage};

/// See [`super::Ingredient::Fork`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Fork {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(default = "two")]
    depth: i32,
    #[serde(skip)]
    began: Option<i32>,
}

fn two() -> i32 {
    2
}

impl Plan for Fork {
    fn plan(self, stage: &mut Stage<'_>) {
        let depth = (f64::from(self.depth) * stage.strength).max(1.0) as i32;
        if stage.script.nodes.first().is_some_and(|first| first == stage.node) {
            // it parts once so many blocks were connected, and they come by chance
            let wait = Duration::from_secs_f64(3.0 * f64::from(depth) * stage.script.population.block_interval);
            stage.truth_of_fleet("D55", ("fleet", String::new()), self.at, wait + Duration::from_mins(10));
        }
        stage.play(self.at, Fork { depth, ..self });
    }
}

impl Play for Fork {
    /// A branch grows beside the node's own, and wins. All nodes hear of it.
    fn step(&mut self, world: &mut World) -> Option<f64> {
        let from = world.chain.height - self.depth + 1;
        // blocks that the node was seen to connect
        if from <= *self.began.get_or_insert(world.chain.height) {
            return Some(1.0);
        }
        let of = |height: i32| Bytes::copy_from_slice(&hash(height as u64 ^ 0x55, 13));
        for height in from..=world.chain.height + 1 {
            world.say(Source::Log, ChainHeader { hash: of(height), height: Some(height), ..Default::default() });
        }
        for height in from..=world.chain.height + 1 {
            world.say(Source::Ebpf, ChainBlockConnected { hash: of(height), height, ..Default::default() });
        }
        world.chain.height += 1;
        world.chain.tip = of(world.chain.height);
        None
    }
}

/// See [`super::Ingredient::StaleBlock`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct StaleBlock {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(skip)]
    began: Option<i32>,
}

impl Plan for StaleBlock {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.play(self.at, self);
    }
}

impl Play for StaleBlock {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        let height = world.chain.height;
        if height == *self.began.get_or_insert(height) {
            return Some(1.0);
        }
        let hash = Bytes::copy_from_slice(&hash(height as u64 ^ 0x5a, 14));
        world.say(Source::Log, ChainHeader { hash, height: Some(height), ..Default::default() });
        None
    }
}
