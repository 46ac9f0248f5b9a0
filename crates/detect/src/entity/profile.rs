//! What is known of strangers for longer than they stay: when they were first and last seen, what they ran, whom of us they visited.
//!
//! A stranger is an address on a network ([`Host`]), without port. Who comes through the node's own Tor daemon has none, and no profile.
//!
//! Profiles are many and strangers make them, so their number is bounded and ageing is fair: who was seen on one day only is on trial, and
//! strangers on trial push out each other, the one silent for longest first. Who was seen again a day later is known, and only those
//! known push each other out. So a million addresses that come once cost nobody his history.

use std::collections::{BTreeMap, BTreeSet};

use event::{ConnectionType, Event, Kind, StatePeers};
use serde::{Deserialize, Serialize};

use super::{Host, agent};
use crate::measure::Table;
use crate::time::{DAY, HOUR, SECOND};

/// For how long a profile is kept after its stranger was last seen, nanoseconds: 90 days.
pub const KEPT: u64 = 90 * DAY;

/// Profiles of up to three nodes. A profile takes some 300 bytes with its places in the table, so they take 20 MB at most.
///
/// With more nodes there is room for a third of it for each, up to twenty: 400,000 profiles, 120 MB. Half of it is for who is on trial. An
/// ordinary node with full slots has 3 newcomers a minute (the catalogue's section 0.3), 4,320 a day if none was ever there before, and
/// 10,000 places of that half: who comes again after two days is known again.
pub const MOST: usize = 60_000;

/// Nodes that have that room together, and nodes for which there is room.
const FEW: usize = 3;
const FLEET: usize = 20;

/// Programs in a profile: the first and the latest others.
const PROGRAMS: usize = 6;

/// Nodes in a profile.
const NODES: usize = 16;

/// Connections that are open: more than a fleet has. Who does not fit has no end, and no more than its beginning is known.
const OPEN: usize = 16_384;

/// Characters of a user agent.
const AGENT: usize = 64;

/// What is known of a stranger.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Profile {
    /// Unix seconds.
    pub first_seen: u64,
    /// Unix seconds; while it is connected, when it came or was on its node's list of peers, no longer ago than an hour.
    pub last_seen: u64,
    /// Connections, both ways.
    pub sessions: u64,
    /// Seconds that it was connected, as far as its connections have ended.
    pub connected: u64,
    /// What it said it runs: the first, and the latest others.
    pub programs: Vec<Program>,
    /// Programs that are not among them any more.
    pub forgotten_programs: u64,
    /// Numbers of our nodes that it visited: see [`Profiles::nodes`].
    nodes: Vec<u16>,
    /// Whether it visited more nodes than are remembered.
    pub more_nodes: bool,
}

/// A program that a stranger said it runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Program {
    /// As it was sent; chosen by the peer. The first 64 characters.
    pub agent: String,
    /// When it first said so, Unix seconds.
    pub since: u64,
}

impl Program {
    /// Its family.
    pub fn class(&self) -> agent::Class {
        agent::Class::of(&self.agent)
    }
}

/// Profiles of everybody who came by, over all nodes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Profiles {
    table: Table<Host, Profile>,
    /// Room with few nodes.
    most: usize,
    /// Names of our nodes, in the order of their numbers.
    nodes: Vec<String>,
    /// Connections that are open, by node and peer.
    open: BTreeMap<(u16, u64), Open>,
    overlooked: u64,
}

/// A connection that is open.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Open {
    host: Host,
    since: u64,
    /// When its stranger's profile was last told of it.
    signed: u64,
}

impl Default for Profiles {
    fn default() -> Self {
        Self::with_room_for(MOST)
    }
}

impl Profiles {
    /// With room for so many at up to three nodes.
    pub fn with_room_for(most: usize) -> Self {
        Self { table: Table::new(most, DAY), most, nodes: Vec::new(), open: BTreeMap::new(), overlooked: 0 }
    }

    /// With the room that this release gives them: others may have had another.
    pub(crate) fn make_room(&mut self) {
        self.most = MOST;
        self.table.set_room(self.room());
    }

    /// For how many there is room.
    fn room(&self) -> usize {
        self.most * self.nodes.len().clamp(FEW, FLEET) / FEW
    }

    /// Looks at an event: of connections, and of what peers say of themselves.
    pub fn observe(&mut self, event: &Event) {
        let now = event.time;
        match &event.kind {
            Some(Kind::ConnOpened(opened)) if is_stranger(opened.connection_type()) => {
                let Some(host) = Host::of(&opened.address, opened.network()) else { return };
                self.came(event, opened.peer, host, now);
            }
            Some(Kind::ConnClosed(closed)) => {
                let Some(node) = self.number(&event.node) else { return };
                self.went(node, closed.peer, now);
            }
            Some(Kind::NetVersion(version)) if version.direction() == event::Direction::Inbound => {
                let Some(node) = self.number(&event.node) else { return };
                let Some(Open { host, .. }) = self.open.get(&(node, version.peer)) else { return };
                if let Some(profile) = again(&mut self.table, host, now) {
                    profile.says(&version.user_agent, now / SECOND);
                }
            }
            // those who were there already when the watching began
            Some(Kind::StatePeers(state)) => {
                let Some(node) = self.number(&event.node) else { return };
                self.keep_present(node, state, now);
                for peer in &state.peers {
                    if let Some(open) = self.open.get_mut(&(node, peer.id)) {
                        open.is_present(&mut self.table, now);
                        continue;
                    }
                    // who has no room would be counted anew with every list
                    if self.open.len() >= OPEN || !is_stranger(peer.connection_type()) {
                        continue;
                    }
                    let Some(host) = Host::of(&peer.address, peer.network()) else { continue };
                    let since = peer.connected.map_or(now, |seconds| seconds.saturating_mul(SECOND)).min(now);
                    self.came(event, peer.id, host.clone(), since);
                    let agent = peer.user_agent.as_deref().filter(|agent| !agent.is_empty());
                    if let (Some(agent), Some(profile)) = (agent, again(&mut self.table, &host, now)) {
                        profile.says(agent, now / SECOND);
                    }
                }
            }
            _ => {}
        }
    }

    fn went(&mut self, node: u16, peer: u64, now: u64) {
        let Some(Open { host, since, .. }) = self.open.remove(&(node, peer)) else { return };
        let Some(profile) = again(&mut self.table, &host, now) else { return };
        profile.last_seen = now / SECOND;
        profile.connected += now.saturating_sub(since) / SECOND;
    }

    /// Who is not on a node's list of peers is gone, also where nobody saw it go; but for those who came while the list was made.
    fn keep_present(&mut self, node: u16, state: &StatePeers, now: u64) {
        let present: BTreeSet<u64> = state.peers.iter().map(|peer| peer.id).collect();
        let of_node = self.open.range((node, 0)..=(node, u64::MAX));
        let absent = of_node.filter(|((_, peer), open)| !present.contains(peer) && open.since.saturating_add(2 * SECOND) < now);
        let absent: Vec<u64> = absent.map(|((_, peer), _)| *peer).collect();
        absent.into_iter().for_each(|peer| self.went(node, peer, now));
    }

    fn came(&mut self, event: &Event, peer: u64, host: Host, since: u64) {
        let Some(node) = self.number(&event.node) else { return };
        let profile = self.table.touch(&host, event.time);
        if profile.sessions == 0 {
            profile.first_seen = since / SECOND;
        }
        profile.sessions += 1;
        profile.last_seen = event.time / SECOND;
        if !profile.nodes.contains(&node) {
            if profile.nodes.len() < NODES {
                profile.nodes.push(node);
            } else {
                profile.more_nodes = true;
            }
        }
        if self.open.len() < OPEN {
            self.open.insert((node, peer), Open { host, since, signed: event.time });
        } else {
            self.overlooked += 1;
        }
    }

    /// The number of a node; `None` beyond any fleet.
    fn number(&mut self, name: &str) -> Option<u16> {
        let known = self.nodes.iter().position(|node| node == name);
        let place = known.unwrap_or(self.nodes.len());
        if known.is_none() && place < 1024 {
            self.nodes.push(name.to_owned());
            self.table.set_room(self.room());
        }
        (place < 1024).then_some(place as u16)
    }

    /// The node began another life: its connections are gone.
    pub fn restarted(&mut self, node: &str) {
        if let Some(node) = self.number(node) {
            self.open.retain(|(other, _), _| *other != node);
        }
    }

    /// Forgets whom nobody has seen for 90 days. To be called now and then, once an hour.
    pub fn forget_old(&mut self, now: u64) {
        self.table.forget(now.saturating_sub(KEPT));
    }

    /// All of them, by host.
    pub fn iter(&self) -> impl Iterator<Item = (&Host, &Profile)> {
        self.table.iter()
    }

    /// What is known of a stranger.
    pub fn get(&self, host: &Host) -> Option<&Profile> {
        self.table.get(host)
    }

    /// The names of the nodes that a stranger visited, the first first.
    pub fn nodes<'a>(&'a self, profile: &'a Profile) -> impl Iterator<Item = &'a str> {
        profile.nodes.iter().filter_map(|number| self.nodes.get(usize::from(*number)).map(String::as_str))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Profiles that gave way to others, all together.
    pub fn evicted(&self) -> u64 {
        self.table.evicted()
    }

    /// Connections whose end was not noticed because too many were open, all together.
    pub fn overlooked(&self) -> u64 {
        self.overlooked
    }
}

impl Profile {
    fn says(&mut self, agent: &str, now: u64) {
        let agent: String = agent.chars().take(AGENT).collect();
        if self.programs.iter().any(|program| program.agent == agent) {
            return;
        }
        if self.programs.len() == PROGRAMS {
            // the first stays: where somebody comes from says more than where he was last week
            self.programs.remove(1);
            self.forgotten_programs += 1;
        }
        self.programs.push(Program { agent, since: now });
    }
}

impl Open {
    /// It is on its node's list. Once an hour that is a sign of its stranger, who may stay for weeks and is not silent meanwhile.
    fn is_present(&mut self, table: &mut Table<Host, Profile>, now: u64) {
        // also after a clock was set back
        if now.abs_diff(self.signed) >= HOUR {
            self.signed = now;
            if let Some(profile) = again(table, &self.host, now) {
                profile.last_seen = now / SECOND;
            }
        }
    }
}

/// A sign of somebody who came before, unless his profile has given way meanwhile: of the middle of a visit none begins.
fn again<'a>(table: &'a mut Table<Host, Profile>, host: &Host, now: u64) -> Option<&'a mut Profile> {
    table.get(host)?;
    Some(table.touch(host, now))
}

/// Whether somebody else decided who is at the other end: manual peers are the operator's own.
fn is_stranger(kind: ConnectionType) -> bool {
    !matches!(kind, ConnectionType::Manual)
}

#[cfg(test)]
mod tests;
