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
use crate::time::{DAY, SECOND};

/// For how long a profile is kept after its stranger was last seen, nanoseconds: 90 days.
pub const KEPT: u64 = 90 * DAY;

/// Profiles. A profile takes some 300 bytes with its places in the table, so they take 20 MB at most.
pub const MOST: usize = 60_000;

/// Programs in a profile: the first and the latest others.
const PROGRAMS: usize = 6;

/// Nodes in a profile.
const NODES: usize = 16;

/// Connections that are open: more than a fleet has. Who does not fit has no end, and no more than its beginning is known.
const OPEN: usize = 16_384;

/// Characters of a user agent.
const AGENT: usize = 64;

/// Of the bytes of a saved state: another form has another number.
const FORM: u8 = 1;

/// What is known of a stranger.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Profile {
    /// Unix seconds.
    pub first_seen: u64,
    /// Unix seconds; while it is connected, when it came.
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
    /// Names of our nodes, in the order of their numbers.
    nodes: Vec<String>,
    /// Connections that are open, by node and peer: whose, and since when.
    open: BTreeMap<(u16, u64), (Host, u64)>,
    overlooked: u64,
}

impl Default for Profiles {
    fn default() -> Self {
        Self::with_room_for(MOST)
    }
}

/// Bytes that are no state.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProfilesError {
    /// Of a release with another form.
    #[error("profiles of form {found}, where this release has form {FORM}: they begin anew")]
    OtherForm {
        /// The form that they have.
        found: u8,
    },
    /// Cut short, or something else altogether.
    #[error("not profiles: they begin anew")]
    Malformed,
}

impl Profiles {
    /// With room for so many.
    pub fn with_room_for(most: usize) -> Self {
        Self { table: Table::new(most, DAY), nodes: Vec::new(), open: BTreeMap::new(), overlooked: 0 }
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
                let Some((host, _)) = self.open.get(&(node, version.peer)) else { return };
                let host = host.clone();
                self.table.touch(&host, now).says(&version.user_agent, now / SECOND);
            }
            // those who were there already when the watching began
            Some(Kind::StatePeers(state)) => {
                let Some(node) = self.number(&event.node) else { return };
                self.keep_present(node, state, now);
                for peer in &state.peers {
                    if self.open.len() >= OPEN {
                        // who has no room would be counted anew with every list
                        break;
                    }
                    if self.open.contains_key(&(node, peer.id)) || !is_stranger(peer.connection_type()) {
                        continue;
                    }
                    let Some(host) = Host::of(&peer.address, peer.network()) else { continue };
                    let since = peer.connected.map_or(now, |seconds| seconds.saturating_mul(SECOND)).min(now);
                    self.came(event, peer.id, host.clone(), since);
                    if let Some(agent) = peer.user_agent.as_deref().filter(|agent| !agent.is_empty()) {
                        self.table.touch(&host, now).says(agent, now / SECOND);
                    }
                }
            }
            _ => {}
        }
    }

    fn went(&mut self, node: u16, peer: u64, now: u64) {
        let Some((host, since)) = self.open.remove(&(node, peer)) else { return };
        let profile = self.table.touch(&host, now);
        profile.last_seen = now / SECOND;
        profile.connected += now.saturating_sub(since) / SECOND;
    }

    /// Who is not on a node's list of peers is gone, also where nobody saw it go; but for those who came while the list was made.
    fn keep_present(&mut self, node: u16, state: &StatePeers, now: u64) {
        let present: BTreeSet<u64> = state.peers.iter().map(|peer| peer.id).collect();
        let of_node = self.open.range((node, 0)..=(node, u64::MAX));
        let absent = of_node.filter(|((_, peer), (_, since))| !present.contains(peer) && since.saturating_add(2 * SECOND) < now);
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
            self.open.insert((node, peer), (host, since));
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

    /// Profiles that gave way since this was last asked.
    pub fn take_evicted(&mut self) -> u64 {
        self.table.take_evicted()
    }

    /// Connections whose end will not be noticed, because too many were open.
    pub fn overlooked(&self) -> u64 {
        self.overlooked
    }

    /// Everything, as bytes.
    pub fn save(&self) -> Vec<u8> {
        let mut bytes = vec![FORM];
        bytes.extend(postcard::to_stdvec(self).expect("numbers and text, into memory"));
        bytes
    }

    /// What [`Profiles::save`] gave.
    ///
    /// # Errors
    ///
    /// It did not, or another release did.
    pub fn restore(bytes: &[u8]) -> Result<Self, ProfilesError> {
        match bytes.split_first() {
            Some((&FORM, state)) => match postcard::take_from_bytes::<Self>(state) {
                Ok((profiles, [])) => Ok(profiles),
                _ => Err(ProfilesError::Malformed),
            },
            Some((&found, _)) => Err(ProfilesError::OtherForm { found }),
            None => Err(ProfilesError::Malformed),
        }
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

/// Whether somebody else decided who is at the other end: manual peers are the operator's own.
fn is_stranger(kind: ConnectionType) -> bool {
    !matches!(kind, ConnectionType::Manual)
}

#[cfg(test)]
mod tests;
