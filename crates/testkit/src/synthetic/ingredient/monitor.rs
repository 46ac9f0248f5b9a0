//! The monitor itself: what it loses, and when it falls silent.

use std::time::Duration;

use event::{Direction, HealthDiverged, LossStage, Source};
use serde::Deserialize;

use super::super::script::{Watch, length};
use super::super::world::{SECOND, World};
use super::{Plan, Play, Stage};

/// See [`super::Ingredient::LostRecords`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct LostRecords {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<1_000, _>")]
    count: f64,
}

impl Plan for LostRecords {
    fn plan(mut self, stage: &mut Stage<'_>) {
        stage.truth("D59", ("source", "ebpf".into()), self.at, self.lasts);
        self.count *= stage.strength;
        stage.play(self.at, self);
    }
}

/// How often a ring that overflows does so.
const OVERFLOW: Duration = Duration::from_secs(10);

impl Play for LostRecords {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        world.lose(Source::Ebpf, LossStage::Kernel, "net:inbound_message", self.count.max(1.0) as u64);
        self.lasts = self.lasts.checked_sub(OVERFLOW)?;
        Some(OVERFLOW.as_secs_f64())
    }
}

/// See [`super::Ingredient::SilentSource`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct SilentSource {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    source: Watch,
    #[serde(skip)]
    silent: bool,
}

impl Plan for SilentSource {
    fn plan(self, stage: &mut Stage<'_>) {
        let name = format!("{:?}", self.source).to_lowercase();
        stage.truth("D59", ("source", name), self.at, self.lasts);
        stage.play(self.at, self);
    }
}

impl Play for SilentSource {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        self.silent = !self.silent;
        let (source, now) = (self.source.source(), world.now);
        if let Some(stamp) = world.stamps.iter_mut().find(|stamp| stamp.source == source) {
            if self.silent {
                stamp.alive = false;
            } else {
                // whoever was silent begins a new life
                stamp.restart(now);
            }
        }
        self.silent.then_some(self.lasts.as_secs_f64())
    }
}

/// See [`super::Ingredient::Divergence`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Divergence {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "twentieth")]
    share: f64,
}

fn twentieth() -> f64 {
    0.05
}

impl Plan for Divergence {
    fn plan(mut self, stage: &mut Stage<'_>) {
        stage.truth("D59", ("source", "ebpf".into()), self.at, self.lasts);
        self.share *= stage.strength;
        stage.play(self.at, self);
    }
}

impl Play for Divergence {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        let node_bytes = 4_000_000;
        let diverged = HealthDiverged {
            window: 300 * SECOND,
            message_type: "inv".into(),
            direction: Direction::Inbound.into(),
            peers: world.peers.len() as u32,
            messages: 20_000,
            seen_bytes: (node_bytes as f64 * (1.0 - self.share)) as u64,
            node_bytes,
            lost: 0,
        };
        world.say(Source::Join, diverged);
        self.lasts = self.lasts.checked_sub(Duration::from_mins(5))?;
        Some(300.0)
    }
}
