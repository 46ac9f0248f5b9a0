//! Strangers who are at several nodes, or are not what they say; and those who only look like it.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde::Deserialize;

use super::super::peer::{self, Manner, Stranger};
use super::super::program::{BLOOM, COMPACT_FILTERS, FULL_V2, Greeting, NETWORK, OLD_AGENTS, P2P_V2, PROGRAMS, Program, WITNESS};
use super::super::script::length;
use super::super::world::{SECOND, World};
use super::connections::Prefix;
use super::{Plan, Play, Stage};

/// See [`super::Ingredient::Scanner`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Scanner {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length", default = "super::seconds::<20>")]
    gap: Duration,
    #[serde(default = "super::number::<1, _>")]
    share: f64,
    #[serde(default = "one")]
    addresses: u8,
    #[serde(default)]
    says_so: bool,
}

fn one() -> u8 {
    1
}

/// Where scanners are.
const SCANNERS: [u8; 3] = [245, 67, 5];

impl Plan for Scanner {
    fn plan(self, stage: &mut Stage<'_>) {
        let nodes = &stage.script.nodes;
        let place = nodes.iter().position(|node| node == stage.node).unwrap_or_default();
        let strength = if self.says_so { 1.0 } else { stage.strength };
        let visited = (nodes.len() as f64 * self.share * strength).round() as usize;
        let [a, b, c] = SCANNERS;
        if place == 0 && !self.says_so {
            let entity =
                if self.addresses == 1 { ("address", format!("{a}.{b}.{c}.1")) } else { ("range", format!("{a}.{b}.{c}.0/24")) };
            stage.truth_of_fleet("D13", entity, self.at, self.gap * visited as u32 + Duration::from_mins(1));
        }
        if place >= visited {
            return;
        }
        let ip = IpAddr::V4(Ipv4Addr::new(a, b, c, 1 + (place % usize::from(self.addresses.max(1))) as u8));
        let stranger = Stranger::at(ip, stage.script.population.addresses_per_second, stage.random);
        let named = |name: &str| PROGRAMS.iter().find(|program| program.agent.contains(name)).unwrap_or(&PROGRAMS[0]);
        let program = named(if self.says_so { "bitnodes" } else { "Satoshi:28.1.0" });
        let stranger = Stranger { program, agent: program.agent, manner: Manner::STILL, v2: false, ..stranger };
        stage.play(self.at + self.gap * place as u32, Visit { stranger, life: 30.0 });
    }
}

/// Comes once.
struct Visit {
    stranger: Stranger,
    /// Seconds.
    life: f64,
}

impl Play for Visit {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        world.accept(self.stranger.clone(), self.life);
        None
    }
}

/// See [`super::Ingredient::Hosting`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Hosting {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<40, _>")]
    addresses: u64,
    #[serde(default = "super::number::<1, _>")]
    per_minute: f64,
    #[serde(default = "hosting")]
    range: Prefix,
    #[serde(skip)]
    began: bool,
}

fn hosting() -> Prefix {
    Prefix::new(Ipv4Addr::new(245, 68, 6, 0).into(), 24)
}

impl Plan for Hosting {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.play(self.at, self);
    }
}

impl Play for Hosting {
    /// Each of its machines runs one program, of those that everybody runs, whenever it comes.
    fn step(&mut self, world: &mut World) -> Option<f64> {
        let wait = world.random.exponential(60.0 / self.per_minute);
        // several nodes do not begin with one each
        if !std::mem::replace(&mut self.began, true) {
            return Some(wait);
        }
        let number = 1 + world.random.below(self.addresses);
        let gossip = world.population.addresses_per_second;
        let stranger = Stranger::at(self.range.host(number), gossip, &mut world.random);
        let program = &PROGRAMS[number as usize % PROGRAMS.len()];
        let manner = Manner::usual(program, gossip, &mut world.random);
        let life = world.life();
        let v2 = program.services & P2P_V2 != 0;
        world.accept(Stranger { program, agent: program.agent, manner, v2, ..stranger }, life);
        self.lasts = self.lasts.checked_sub(Duration::from_secs_f64(wait))?;
        Some(wait)
    }
}

/// See [`super::Ingredient::AgentLottery`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct AgentLottery {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "per_minute_half")]
    per_minute: f64,
    #[serde(default = "super::number::<4, _>")]
    addresses: u64,
    #[serde(default = "lottery")]
    range: Prefix,
    /// When who came under which name.
    #[serde(skip)]
    came: VecDeque<(u64, &'static str)>,
}

fn per_minute_half() -> f64 {
    0.5
}

fn lottery() -> Prefix {
    Prefix::new(Ipv4Addr::new(245, 69, 7, 0).into(), 24)
}

impl Plan for AgentLottery {
    fn plan(mut self, stage: &mut Stage<'_>) {
        stage.truth("D16", ("range", self.range.to_string()), self.at, self.lasts);
        self.per_minute *= stage.strength;
        stage.is_at_many_nodes(self.range, self.addresses, self.per_minute, self.at, self.lasts);
        stage.play(self.at, self);
    }
}

impl Play for AgentLottery {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        let number = 1 + world.random.below(self.addresses);
        let gossip = world.population.addresses_per_second;
        let stranger = Stranger::at(self.range.host(number), gossip, &mut world.random);
        let wallet = PROGRAMS.iter().find(|program| program.agent.contains("Wallet")).unwrap_or(&PROGRAMS[0]);
        let agent = world.random.pick(OLD_AGENTS).copied().unwrap_or_default();
        // longer than what makes a churn
        let life = world.random.between(150.0, 600.0);
        world.accept(Stranger { program: wallet, agent, manner: Manner::STILL, v2: false, deed: true, ..stranger }, life);
        // D11: twenty connections of a range in ten minutes, names for more than half of them, and nothing sent
        self.came.push_back((world.now, agent));
        while self.came.front().is_some_and(|(time, _)| time + 600 * SECOND <= world.now) {
            self.came.pop_front();
        }
        let names: BTreeSet<&str> = self.came.iter().map(|(_, name)| *name).collect();
        if self.came.len() >= 20 && names.len() * 2 > self.came.len() {
            world.follows("D11", ("range", self.range.to_string()), 60 * SECOND);
        }
        let wait = world.random.exponential(60.0 / self.per_minute);
        self.lasts = self.lasts.checked_sub(Duration::from_secs_f64(wait))?;
        Some(wait)
    }
}

/// As a program says hello that somebody wrote who copied lines: each of them contradicts itself.
const IMPOSSIBLE: &[Program] = &[
    // Bitcoin Core of years ago with what was invented since
    impossible("/Satoshi:0.12.1/", 70016, FULL_V2),
    impossible("/Satoshi:0.18.0/", 70015, FULL_V2),
    impossible("/Satoshi:0.20.1/", 70016, NETWORK | WITNESS),
    // that offers nothing
    impossible("/Satoshi:27.0.0/", 70016, 0),
    impossible("/Satoshi:29.0.0/", 70016, 0),
    // that is none
    impossible("/Sat0shi:31.0.0/", 70016, FULL_V2),
    // that says hello as no Bitcoin Core does
    impossible("/Satoshi:30.0.0/", 70016, FULL_V2),
];

const fn impossible(agent: &'static str, version: u32, services: u64) -> Program {
    const GREETING: &[Greeting] = &[Greeting::Verack, Greeting::Ping];
    Program { agent, weight: 1, version, services, greeting: GREETING, echoes: false, relays: false, impossible: true }
}

/// What is odd and true: a node whose owner added a comment, one that keeps filters, Knots, one that is pruned, a wallet.
const ODD: &[Program] = &[
    odd("/Satoshi:30.0.0(a comment of its owner)/", 70016, FULL_V2),
    odd("/Satoshi:0.21.1/", 70016, NETWORK | WITNESS | COMPACT_FILTERS | 1 << 10),
    odd("/Satoshi:29.1.0/Knots:20250903/", 70016, FULL_V2 | BLOOM | 1 << 27),
    odd("/Satoshi:31.0.0/", 70016, FULL_V2 & !NETWORK),
    Program { greeting: &[Greeting::Verack, Greeting::Getaddr, Greeting::Ping], ..odd("/bitcoinj:0.16.3/", 70015, 0) },
];

const fn odd(agent: &'static str, version: u32, services: u64) -> Program {
    Program { agent, weight: 1, version, services, ..PROGRAMS[0] }
}

/// See [`super::Ingredient::Impostors`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Impostors {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<1, _>")]
    per_minute: f64,
}

impl Plan for Impostors {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.truth("D15", stage.node(), self.at, self.lasts);
        let wait = 60.0 / (self.per_minute * stage.strength);
        stage.play(self.at, Guests { programs: IMPOSSIBLE, wait, left: self.lasts });
    }
}

/// See [`super::Ingredient::OddGuests`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct OddGuests {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<1, _>")]
    per_minute: f64,
}

impl Plan for OddGuests {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.play(self.at, Guests { programs: ODD, wait: 60.0 / self.per_minute, left: self.lasts });
    }
}

/// Those who come from everywhere, for minutes, with one of these programs.
struct Guests {
    programs: &'static [Program],
    /// Seconds.
    wait: f64,
    left: Duration,
}

impl Play for Guests {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        let gossip = world.population.addresses_per_second;
        let ip = IpAddr::V4(peer::ipv4(world.random.unit(), world.random.next()));
        let stranger = Stranger::at(ip, gossip, &mut world.random);
        let program = world.random.pick(self.programs)?;
        let life = world.random.exponential(120.0);
        let (manner, v2) = (Manner { pings: true, ..Manner::STILL }, false);
        world.accept(Stranger { program, agent: program.agent, manner, v2, ..stranger }, life);
        let wait = world.random.exponential(self.wait);
        self.left = self.left.checked_sub(Duration::from_secs_f64(wait))?;
        Some(wait)
    }
}
