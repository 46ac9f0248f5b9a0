//! Transactions that are announced, and do not come, or come late.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use event::{Inventory, InventoryType, MempoolAdded, NetGetdata, NetInv, NetNotfound, NetTx, Source};
use serde::Deserialize;

use super::super::chance::hash;
use super::super::peer::{Manner, Stranger};
use super::super::relay::message;
use super::super::script::length;
use super::super::world::{SECOND, World};
use super::relay::stranger;
use super::{Plan, Play, Stage};

/// See [`super::Ingredient::WithheldTransaction`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct WithheldTransaction {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "one")]
    peers: u8,
    #[serde(default = "super::number::<10, _>")]
    per_minute: f64,
}

fn one() -> u8 {
    1
}

/// Where several who withhold together are.
const RANGE: [u8; 3] = [245, 66, 4];

impl Plan for WithheldTransaction {
    fn plan(self, stage: &mut Stage<'_>) {
        let gossip = stage.script.population.addresses_per_second;
        let mut strangers = Vec::new();
        for number in 1..=self.peers {
            let mut stranger = stranger(stage, Manner::STILL);
            if self.peers > 1 {
                let [a, b, c] = RANGE;
                let together = Stranger::at(IpAddr::V4(Ipv4Addr::new(a, b, c, number)), gossip, stage.random);
                stranger = Stranger { manner: Manner::STILL, ..together };
            }
            stage.truth("D42", ("peer", stranger.address.clone()), self.at, self.lasts);
            strangers.push(stranger);
        }
        if self.peers > 1 {
            let [a, b, c] = RANGE;
            stage.truth("D42", ("range", format!("{a}.{b}.{c}.0/24")), self.at, self.lasts);
        }
        let per_second = self.per_minute * stage.strength / 60.0;
        stage.play(self.at, Announcing::new(strangers, per_second, self.lasts, None));
    }
}

/// See [`super::Ingredient::SlowTransactions`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct SlowTransactions {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<10, _>")]
    per_minute: f64,
    #[serde(deserialize_with = "length", default = "super::seconds::<30>")]
    late: Duration,
}

impl Plan for SlowTransactions {
    fn plan(self, stage: &mut Stage<'_>) {
        let stranger = stranger(stage, Manner::STILL);
        stage.play(self.at, Announcing::new(vec![stranger], self.per_minute / 60.0, self.lasts, Some(self.late)));
    }
}

/// Seconds that Bitcoin Core waits before it asks another announcer (`src/node/txdownloadman.h`, `GETDATA_TX_INTERVAL`).
const PATIENCE: u64 = 60;

/// Somebody, or several at once, who announce what nobody else does.
struct Announcing {
    strangers: Vec<Stranger>,
    peers: Vec<u64>,
    per_second: f64,
    /// Transactions that are due, and parts of them.
    due: f64,
    announced: u64,
    /// Seconds.
    left: f64,
    /// How much later they deliver; `None` for never.
    late: Option<Duration>,
    /// When the node asks which of them.
    asks: Vec<(u64, usize, Bytes)>,
    /// When it gets what.
    answers: Vec<(u64, u64, Bytes)>,
}

impl Announcing {
    fn new(strangers: Vec<Stranger>, per_second: f64, lasts: Duration, late: Option<Duration>) -> Self {
        let (asks, answers) = (Vec::new(), Vec::new());
        Self { strangers, peers: Vec::new(), per_second, due: 0.0, announced: 0, left: lasts.as_secs_f64(), late, asks, answers }
    }

    fn announce(&mut self, world: &mut World) {
        let id = Bytes::copy_from_slice(&hash(world.random.next(), 42));
        for &peer in &self.peers {
            message!(world, peer, Inbound, 37, NetInv { items: vec![entry(&id)] });
        }
        self.announced += 1;
        self.asks.push((world.now, 0, id));
    }

    /// The node asks whose turn it is.
    fn ask(&mut self, world: &mut World) {
        let now = world.now;
        let (due, later) = std::mem::take(&mut self.asks).into_iter().partition(|(at, ..)| *at <= now);
        self.asks = later;
        for (_, turn, id) in due {
            let Some(&peer) = self.peers.get(turn) else { continue };
            message!(world, peer, Outbound, 37, NetGetdata { items: vec![entry(&id)] });
            match self.late {
                Some(late) => self.answers.push((now + late.as_nanos() as u64, self.announced, id)),
                None => self.asks.push((now + PATIENCE * SECOND, turn + 1, id)),
            }
        }
    }

    fn answer(&mut self, world: &mut World) {
        let now = world.now;
        let (due, later) = std::mem::take(&mut self.answers).into_iter().partition(|(at, ..)| *at <= now);
        self.answers = later;
        let Some(&peer) = self.peers.first() else { return };
        for (_, number, id) in due {
            if number % 3 == 0 {
                message!(world, peer, Inbound, 37, NetNotfound { items: vec![entry(&id)] });
                continue;
            }
            let (txid, wtxid) = (id.clone(), id);
            message!(
                world,
                peer,
                Inbound,
                200,
                NetTx {
                    txid: txid.clone(),
                    wtxid: wtxid,
                    weight: 800,
                    version: 2,
                    locktime: 0,
                    spends: Vec::new(),
                    outputs: 2,
                    output_value: 50_000,
                }
            );
            world.say(Source::Ebpf, MempoolAdded { txid, vsize: Some(200), fee: Some(1_000), wtxid: None });
        }
    }
}

impl Play for Announcing {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        for stranger in std::mem::take(&mut self.strangers) {
            if let Some(id) = world.accept(stranger, self.left + 120.0) {
                if let Some(peer) = world.peers.get_mut(&id) {
                    peer.protected = true;
                }
                self.peers.push(id);
            }
            // after the greeting
            self.due = -3.0 * self.per_second;
        }
        self.left -= 1.0;
        self.due += self.per_second;
        while self.due >= 1.0 {
            self.due -= 1.0;
            self.announce(world);
        }
        self.ask(world);
        self.answer(world);
        (self.left > 0.0).then_some(1.0)
    }
}

fn entry(id: &Bytes) -> Inventory {
    Inventory { r#type: InventoryType::Wtx.into(), hash: id.clone(), number: None }
}
