//! Connections: too many, too brief, too few.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use event::{ConnectionType, EndReason, HealthDetached};
use serde::Deserialize;
use serde::de::Error as _;

use super::super::peer::{self, Manner, Stranger};
use super::super::program::{OLD_AGENTS, PROGRAMS};
use super::super::script::length;
use super::super::world::{What, World};
use super::{Plan, Play, Stage};

/// See [`super::Ingredient::PeerLoss`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "two_fifths")]
    share: f64,
    #[serde(deserialize_with = "length", default = "super::seconds::<{ 20 * 60 }>")]
    holds: Duration,
}

fn two_fifths() -> f64 {
    0.4
}

impl Plan for Loss {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.truth("D09", stage.node(), self.at, self.lasts + self.holds);
        let share = (self.share * stage.strength).min(0.95);
        stage.play(self.at, Losing { share, lasts: self.lasts, holds: self.holds, began: None });
    }
}

struct Losing {
    share: f64,
    lasts: Duration,
    holds: Duration,
    /// When, and with how many.
    began: Option<(u64, usize)>,
}

impl Play for Losing {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        let inbound = world.inbound();
        let (began, at_first) = *self.began.get_or_insert((world.now, inbound));
        let elapsed = Duration::from_nanos(world.now - began);
        if elapsed >= self.lasts + self.holds {
            world.knobs.arrivals = 1.0;
            return None;
        }
        world.knobs.arrivals = 0.0;
        let done = (elapsed.as_secs_f64() / self.lasts.as_secs_f64()).min(1.0);
        let keep = (at_first as f64 * (1.0 - self.share * done)).ceil() as usize;
        let mut left = inbound;
        while left > keep {
            close_any(world, EndReason::PingTimeout);
            left -= 1;
        }
        // those who leave by themselves come back, so that the loss is the one that was asked for
        while left < keep {
            let (stranger, life) = (world.stranger(), world.life().max(1_800.0));
            if world.accept(stranger, life).is_none() {
                break;
            }
            left += 1;
        }
        Some(2.0)
    }
}

fn close_any(world: &mut World, reason: EndReason) {
    let inbound: Vec<u64> =
        world.peers.values().filter(|peer| peer.kind == ConnectionType::Inbound && peer.ready).map(|peer| peer.id).collect();
    if let Some(&id) = world.random.pick(&inbound) {
        world.close(id, reason);
    }
}

/// See [`super::Ingredient::Turnover`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Turnover {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<30, _>")]
    peers: u32,
}

impl Plan for Turnover {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.play(self.at, self);
    }
}

impl Play for Turnover {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        self.peers = self.peers.checked_sub(1)?;
        close_any(world, EndReason::SocketClosed);
        let stranger = world.stranger();
        world.accept(stranger, 7_200.0);
        Some(self.lasts.as_secs_f64() / 30.0)
    }
}

/// See [`super::Ingredient::Restart`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length", default = "super::seconds::<40>")]
    down: Duration,
    #[serde(skip)]
    step: u32,
}

impl Plan for Restart {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.play(self.at, self);
    }
}

/// Steps of ten seconds in which those who were there come back.
const RETURNING: u32 = 180;

impl Play for Restart {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        self.step += 1;
        match self.step {
            1 => {
                world.stop();
                for index in 0..world.stamps.len() {
                    let source = world.stamps[index].source;
                    world.say(source, HealthDetached { target: "bitcoind".into(), reason: "the node ended".into(), pid: None });
                }
                let down = self.down.as_secs_f64();
                world.after(down, What::Start);
                Some(down + 1.0)
            }
            ..RETURNING => {
                let missing = world.population.peers.saturating_sub(world.peers.len());
                for _ in 0..world.random.poisson(missing as f64 / 40.0) {
                    let (stranger, life) = (world.stranger(), world.life().max(600.0));
                    world.accept(stranger, life);
                }
                Some(10.0)
            }
            _ => None,
        }
    }
}

/// See [`super::Ingredient::SlotChurn`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct SlotChurn {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<40, _>")]
    per_minute: f64,
    #[serde(default = "super::number::<3, _>")]
    ranges: u64,
}

impl Plan for SlotChurn {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.truth("D10", stage.node(), self.at, self.lasts);
        let first = stage.random.unit() / 2.0;
        let wait = 60.0 / (self.per_minute * stage.strength);
        stage.play(self.at, Crowd { wait, left: until(self.lasts), who: Who::Ranges { first, ranges: self.ranges } });
    }
}

/// See [`super::Ingredient::WalletRush`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct WalletRush {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<10, _>")]
    per_minute: f64,
}

impl Plan for WalletRush {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.play(self.at, Crowd { wait: 60.0 / self.per_minute, left: until(self.lasts), who: Who::Wallets });
    }
}

fn until(lasts: Duration) -> f64 {
    lasts.as_secs_f64()
}

/// Those who come one after the other.
struct Crowd {
    wait: f64,
    /// Seconds.
    left: f64,
    who: Who,
}

enum Who {
    /// From a few ranges of sixteen bits, to stay.
    Ranges { first: f64, ranges: u64 },
    /// From everywhere, with one wallet, for a minute.
    Wallets,
    /// From one prefix, briefly, under any name.
    Prefix { prefix: Prefix, addresses: u64, life: f64 },
}

impl Play for Crowd {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        if self.left <= 0.0 {
            return None;
        }
        let gossip = world.population.addresses_per_second;
        let host = world.random.next();
        match &self.who {
            Who::Ranges { first, ranges } => {
                let range = first + (host % ranges) as f64 / 20.0;
                let stranger = Stranger::at(IpAddr::V4(peer::ipv4(range, host >> 8)), gossip, &mut world.random);
                let stranger = Stranger { manner: Manner { relay: false, ..Manner::STILL }, deed: true, ..stranger };
                world.accept(stranger, 3_600.0);
            }
            Who::Wallets => {
                let program = PROGRAMS.iter().find(|program| program.agent.contains("Wallet")).unwrap_or(&PROGRAMS[0]);
                let ip = IpAddr::V4(peer::ipv4(world.random.unit(), host));
                let stranger = Stranger::at(ip, gossip, &mut world.random);
                let manner = Manner { filters: true, ..Manner::STILL };
                let life = world.random.exponential(60.0);
                world.accept(Stranger { program, agent: program.agent, manner, v2: false, ..stranger }, life);
            }
            Who::Prefix { prefix, addresses, life } => {
                let ip = prefix.host(1 + host % addresses);
                let stranger = Stranger::at(ip, gossip, &mut world.random);
                let agent = world.random.pick(OLD_AGENTS).copied().unwrap_or_default();
                let program = PROGRAMS.iter().find(|program| program.agent.contains("Wallet")).unwrap_or(&PROGRAMS[0]);
                let life = life * world.random.between(0.7, 1.3);
                world.accept(Stranger { agent, program, manner: Manner::STILL, v2: false, deed: true, ..stranger }, life);
            }
        }
        let wait = world.random.exponential(self.wait);
        self.left -= wait;
        Some(wait)
    }
}

/// A range of addresses, at most 2⁶⁴ of them: an IPv4 /24 or an IPv6 /64, say.
#[derive(Clone, Copy, Debug)]
pub struct Prefix {
    first: IpAddr,
    length: u8,
}

impl Prefix {
    pub(super) const fn new(first: IpAddr, length: u8) -> Self {
        Self { first, length }
    }

    pub(super) fn host(self, number: u64) -> IpAddr {
        match self.first {
            IpAddr::V4(first) => IpAddr::V4(Ipv4Addr::from(u32::from(first) | number as u32)),
            IpAddr::V6(first) => IpAddr::V6(Ipv6Addr::from(u128::from(first) | u128::from(number))),
        }
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.first, self.length)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let parsed = text.split_once('/').and_then(|(first, length)| Some((first.parse().ok()?, length.parse().ok()?)));
        parsed.map(|(first, length)| Self { first, length }).ok_or_else(|| D::Error::custom(format!("`{text}` is no prefix")))
    }
}

/// See [`super::Ingredient::RangeChurn`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct RangeChurn {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "somewhere")]
    range: Prefix,
    #[serde(default = "super::number::<40, _>")]
    addresses: u64,
    #[serde(default = "super::number::<4, _>")]
    per_minute: f64,
    #[serde(deserialize_with = "length", default = "super::seconds::<20>")]
    life: Duration,
}

fn somewhere() -> Prefix {
    Prefix { first: Ipv4Addr::new(245, 65, 3, 0).into(), length: 24 }
}

impl Plan for RangeChurn {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.truth("D11", ("range", self.range.to_string()), self.at, self.lasts);
        // each connection has another name, and one program is behind them
        stage.truth("D16", ("range", self.range.to_string()), self.at, self.lasts);
        let per_minute = self.per_minute * stage.strength;
        stage.is_at_many_nodes(self.range, self.addresses, per_minute, self.at, self.lasts);
        let wait = 60.0 / per_minute;
        let who = Who::Prefix { prefix: self.range, addresses: self.addresses, life: self.life.as_secs_f64() };
        stage.play(self.at, Crowd { wait, left: until(self.lasts), who });
    }
}

/// See [`super::Ingredient::Campus`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Campus {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(default = "super::number::<10, _>")]
    peers: u64,
    #[serde(default = "somewhere")]
    range: Prefix,
}

impl Plan for Campus {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.play(self.at, self);
    }
}

impl Play for Campus {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        self.peers = self.peers.checked_sub(1)?;
        let gossip = world.population.addresses_per_second;
        // one honest program, behind few addresses
        let ip = self.range.host(1 + self.peers % 4);
        let stranger = Stranger::at(ip, gossip, &mut world.random);
        let program = &PROGRAMS[0];
        let manner = Manner::usual(program, gossip, &mut world.random);
        let life = world.random.between(3.0, 30.0) * 3_600.0;
        world.accept(Stranger { program, agent: program.agent, manner, ..stranger }, life);
        Some(world.random.exponential(20.0))
    }
}
