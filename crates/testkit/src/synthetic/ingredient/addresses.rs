//! Addresses: floods, surges, and answers that nobody should mind.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use event::{ConnectionType, NetGetaddr, Network, NetworkAddress};
use serde::Deserialize;

use super::super::chance::mix;
use super::super::peer::{self, Manner, Stranger};
use super::super::relay::{address, message};
use super::super::script::length;
use super::super::world::{SECOND, World};
use super::{Plan, Play, Stage};

/// Somebody who relays addresses, at an address known beforehand.
fn sender(stage: &mut Stage<'_>) -> Stranger {
    let ip = IpAddr::V4(peer::ipv4(stage.random.unit(), stage.random.next()));
    let stranger = Stranger::at(ip, stage.script.population.addresses_per_second, stage.random);
    let manner = Manner { announces: true, requests: 0.05, gossip: Some(0.02), pings: true, ..Manner::STILL };
    Stranger { manner, ..stranger }
}

const LONG: f64 = 30.0 * 86_400.0;
/// Addresses that a message may have (`MAX_ADDR_TO_SEND`, `net_processing.cpp`).
const MOST: u32 = 1000;

/// See [`super::Ingredient::AddressFlood`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Flood {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length", default = "super::seconds::<60>")]
    lasts: Duration,
    #[serde(default = "super::number::<500, _>")]
    messages: u32,
    #[serde(default = "super::number::<10, _>")]
    entries: u32,
}

impl Plan for Flood {
    fn plan(self, stage: &mut Stage<'_>) {
        let stranger = sender(stage);
        // who sends more than a message may have is disconnected, and comes again as another peer of the same host
        let host = stranger.address.rsplit_once(':').map_or_else(String::new, |(host, _)| host.to_owned());
        let about = if self.entries > MOST { ("address", host) } else { ("peer", stranger.address.clone()) };
        stage.truth("D01", about, self.at, self.lasts);
        let messages = (f64::from(self.messages) * stage.strength) as u64;
        let wait = self.lasts.as_secs_f64() / messages.max(1) as f64;
        // it is there before it begins, as the one of 2021 was
        let early = self.at.saturating_sub(Duration::from_secs(30));
        stage.play(early, Flooding { stranger, peer: None, messages, entries: self.entries.into(), wait, sent: 0 });
    }
}

struct Flooding {
    stranger: Stranger,
    peer: Option<u64>,
    messages: u64,
    entries: u64,
    wait: f64,
    sent: u64,
}

impl Play for Flooding {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        let Some(id) = self.peer else {
            self.peer = world.accept(self.stranger.clone(), LONG);
            return self.peer.map(|_| 30.0);
        };
        let seconds = world.seconds() as u32;
        let first = (1 << 50) + self.sent * self.entries;
        let addresses = (first..first + self.entries).map(|number| address(number, seconds - 600)).collect();
        world.tell_addresses(id, addresses);
        self.sent += 1;
        (self.sent < self.messages).then_some(self.wait)
    }
}

/// See [`super::Ingredient::GetaddrAnswer`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(skip)]
    asked: Option<u64>,
}

impl Plan for Answer {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.play(self.at, self);
    }
}

impl Play for Answer {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        if let Some(id) = self.asked {
            let answer = world.address_book();
            world.tell_addresses(id, answer);
            return None;
        }
        let full = |peer: &&peer::Peer| peer.kind == ConnectionType::OutboundFullRelay && peer.ready;
        let id = world.peers.values().find(full)?.id;
        message!(world, id, Outbound, 0, NetGetaddr {});
        if let Some(peer) = world.peers.get_mut(&id) {
            peer.addresses.asked();
        }
        self.asked = Some(id);
        Some(1.5)
    }
}

/// See [`super::Ingredient::AddressChatter`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Chatter {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length", default = "super::seconds::<3600>")]
    lasts: Duration,
    #[serde(default = "super::number::<5, _>")]
    per_minute: f64,
}

impl Plan for Chatter {
    fn plan(self, stage: &mut Stage<'_>) {
        let stranger = sender(stage);
        let wait = 60.0 / self.per_minute;
        let left = (self.lasts.as_secs_f64() / wait) as u64;
        stage.play(self.at, Chattering { stranger, peer: None, wait, left });
    }
}

struct Chattering {
    stranger: Stranger,
    peer: Option<u64>,
    wait: f64,
    left: u64,
}

impl Play for Chattering {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        let Some(id) = self.peer else {
            self.peer = world.accept(self.stranger.clone(), LONG);
            return self.peer.map(|_| 30.0);
        };
        let entry = world.known_address();
        world.tell_addresses(id, vec![entry]);
        self.left = self.left.checked_sub(1)?;
        Some(self.wait)
    }
}

/// See [`super::Ingredient::AddressSurge`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Surge {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<250_000, _>")]
    unique_per_day: f64,
    #[serde(default)]
    clustered: bool,
}

impl Plan for Surge {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.truth("D02", stage.node(), self.at, self.lasts);
        let rate = self.unique_per_day * stage.strength / 86_400.0;
        let spreading = Spreading::new(rate, self.lasts, if self.clustered { Shape::Ranges(4) } else { Shape::Anywhere });
        stage.play(self.at, Spreading { floods: Some(BTreeMap::new()), ..spreading });
    }
}

/// See [`super::Ingredient::AddressChurn`].
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    #[serde(deserialize_with = "length")]
    at: Duration,
    #[serde(deserialize_with = "length")]
    lasts: Duration,
    #[serde(default = "super::number::<16_000, _>")]
    unique_per_day: f64,
}

impl Plan for Churn {
    fn plan(self, stage: &mut Stage<'_>) {
        stage.play(self.at, Spreading::new(self.unique_per_day / 86_400.0, self.lasts, Shape::Ranges(1)));
    }
}

/// Where new addresses lie.
#[derive(Clone, Copy)]
enum Shape {
    Anywhere,
    Ranges(u64),
}

struct Spreading {
    shape: Shape,
    /// Messages, of five addresses each.
    left: u64,
    wait: f64,
    number: u64,
    /// Of a deed: what each peer passed on within ten minutes.
    floods: Option<BTreeMap<u64, VecDeque<Passed>>>,
}

/// When, how many, and how many of them the node did not take.
type Passed = (u64, u64, u64);

impl Spreading {
    fn new(per_second: f64, lasts: Duration, shape: Shape) -> Self {
        let wait = 5.0 / per_second;
        Self { shape, left: (lasts.as_secs_f64() / wait) as u64, wait, number: 1 << 51, floods: None }
    }

    fn address(&mut self, time: u32) -> NetworkAddress {
        self.number += 1;
        let usual = address(self.number, time);
        let Shape::Ranges(ranges) = self.shape else { return usual };
        let ip = peer::ipv4((self.number % ranges) as f64 / 8.0 + 0.1, mix(self.number));
        NetworkAddress { network: Network::Ipv4.into(), address: Bytes::copy_from_slice(&ip.octets()), port: 8333, ..usual }
    }
}

impl Spreading {
    /// D01: of what a peer passes on within ten minutes the node does not take fifty addresses, and a fifth. Where few peers pass on what a surge brings,
    /// each of them is a flood by that; here of the surge's own addresses alone.
    fn flooded(&mut self, id: u64, limited: u64, world: &mut World) {
        let Some(floods) = &mut self.floods else { return };
        let now = world.now;
        floods.retain(|peer, _| world.peers.contains_key(peer));
        let passed = floods.entry(id).or_default();
        passed.push_back((now, 5, limited));
        while passed.front().is_some_and(|(time, ..)| time + 600 * SECOND <= now) {
            passed.pop_front();
        }
        let [all, limited] = [passed.iter().map(|(_, count, _)| count).sum::<u64>(), passed.iter().map(|(.., count)| count).sum()];
        if limited >= 50
            && limited * 5 >= all
            && let Some(peer) = world.peers.get(&id)
        {
            let address = peer.address.clone();
            world.follows("D01", ("peer", address), 60 * SECOND);
        }
    }
}

impl Play for Spreading {
    fn step(&mut self, world: &mut World) -> Option<f64> {
        self.left = self.left.checked_sub(1)?;
        let talking: Vec<u64> =
            world.peers.values().filter(|peer| peer.ready && peer.manner.gossip.is_some()).map(|peer| peer.id).collect();
        let seconds = world.seconds() as u32;
        if let Some(&id) = world.random.pick(&talking) {
            let addresses = (0..5).map(|_| self.address(seconds - 900)).collect();
            let limited = |world: &World| world.peers.get(&id).map_or(0, |peer| peer.addresses.limited);
            let before = limited(world);
            world.tell_addresses(id, addresses);
            self.flooded(id, limited(world) - before, world);
        }
        Some(world.random.exponential(self.wait))
    }
}
