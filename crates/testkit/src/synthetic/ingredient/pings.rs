//! Pings: too many, or those of somebody who is impatient.

use std::time::Duration;

use event::{NetPing, NetPong};
use serde::Deserialize;

use super::super::peer::{Manner, Stranger};
use super::super::relay::message;
use super::super::script::length;
use super::super::world::World;
use super::relay::stranger;
use super::{Plan, Play, Stage};

/// See [`super::Ingredient::PingFlood`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct PingFlood {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<40, _>")]
    per_minute: f64,
    #[serde(default)]
    counted: bool,
    #[serde(default)]
    slow: bool,
}

impl Plan for PingFlood {
    fn plan(self, stage: &mut Stage<'_>) {
        let stranger = stranger(stage, Manner::STILL);
        let truth = if self.slow { Stage::truth_to_know } else { Stage::truth };
        truth(stage, "D28", ("peer", stranger.address.clone()), self.at, self.lasts);
        let wait = 60.0 / (self.per_minute * stage.strength);
        stage.play(
            self.at,
            Pinging { stranger: Some(stranger), peer: None, wait, left: self.lasts, number: self.counted.then_some(0) },
        );
    }
}

/// See [`super::Ingredient::ImpatientClient`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct ImpatientClient {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<2, _>")]
    per_minute: f64,
}

impl Plan for ImpatientClient {
    fn plan(self, stage: &mut Stage<'_>) {
        let stranger = stranger(stage, Manner { announces: true, requests: 0.05, ..Manner::STILL });
        let wait = 60.0 / self.per_minute;
        stage.play(self.at, Pinging { stranger: Some(stranger), peer: None, wait, left: self.lasts, number: None });
    }
}

/// Comes, pings, goes.
struct Pinging {
    stranger: Option<Stranger>,
    peer: Option<u64>,
    /// Seconds between two pings.
    wait: f64,
    left: Duration,
    /// The nonce of the next ping, where they are counted.
    number: Option<u64>,
}

impl Play for Pinging {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        if let Some(stranger) = self.stranger.take() {
            self.peer = world.accept(stranger, self.left.as_secs_f64() + 30.0);
            if let Some(peer) = self.peer.and_then(|id| world.peers.get_mut(&id)) {
                peer.protected = true;
            }
            // after the greeting
            return self.peer.map(|_| 2.0);
        }
        let id = self.peer?;
        let drawn = world.random.next() | 1 << 63;
        let nonce = self.number.unwrap_or(drawn);
        self.number = self.number.map(|number| number + 1);
        message!(world, id, Inbound, 8, NetPing { nonce: Some(nonce) });
        message!(world, id, Outbound, 8, NetPong { nonce: nonce });
        self.left = self.left.checked_sub(Duration::from_secs_f64(self.wait))?;
        Some(self.wait)
    }
}
