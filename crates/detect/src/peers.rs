//! The connections of a node, as every detector may know them.

use std::collections::BTreeMap;

use event::{ConnectionType, NetVersion, Network};
use serde::{Deserialize, Serialize};

use crate::time::SECOND;

/// More than any node has: Bitcoin Core's limit is what the system gives it in files, some thousands.
const MOST: usize = 8192;

/// Agents are cut to this many characters.
const AGENT: usize = 64;

/// The peers that are connected.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Peers {
    peers: BTreeMap<u64, Peer>,
    /// Peers that found no room.
    pub overlooked: u64,
}

/// What is known of a connection.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Peer {
    /// Address and port as the node states them.
    pub address: String,
    /// [`ConnectionType`] as its number: see [`Peer::connection_type`].
    connection_type: i32,
    network: i32,
    /// When the engine first heard of it.
    pub since: u64,
    /// Whether it was seen to open; otherwise it was there before.
    pub seen_opening: bool,
    /// What it says of itself, once it has.
    pub hello: Option<Hello>,
    /// When the node asked it for addresses.
    pub asked_addresses: Option<u64>,
    /// How it greets, as a [fingerprint](crate::entity::fingerprint), once that is known.
    pub fingerprint: Option<u64>,
    /// G4: it said hello as a private broadcast does.
    pub private_broadcast: bool,
}

/// What a peer says of itself in `version`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Hello {
    /// Its time, nanoseconds since the epoch.
    pub time: u64,
    /// Protocol version.
    pub version: u32,
    /// Service bits.
    pub services: u64,
    /// Chosen by the peer; up to 64 characters.
    pub user_agent: String,
    /// Whether it wants transactions announced.
    pub relay: bool,
}

impl Peer {
    /// Why the connection exists.
    pub fn connection_type(&self) -> ConnectionType {
        self.connection_type.try_into().unwrap_or_default()
    }

    /// Network of the connection.
    pub fn network(&self) -> Network {
        self.network.try_into().unwrap_or_default()
    }

    /// Whether the peer opened it.
    pub fn is_inbound(&self) -> bool {
        self.connection_type() == ConnectionType::Inbound
    }
}

impl Peers {
    /// A peer.
    pub fn get(&self, id: u64) -> Option<&Peer> {
        self.peers.get(&id)
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Peer)> {
        self.peers.iter().map(|(id, peer)| (*id, peer))
    }

    /// How many are connected.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    pub(crate) fn opened(
        &mut self,
        id: u64,
        address: &str,
        connection_type: ConnectionType,
        network: Network,
        now: u64,
        seen: bool,
    ) {
        if let Some(known) = self.peers.get_mut(&id) {
            if known.address.is_empty() {
                address.clone_into(&mut known.address);
                known.connection_type = connection_type.into();
                known.network = network.into();
            }
            return;
        }
        let address = address.chars().take(256).collect();
        let peer = Peer {
            address,
            connection_type: connection_type.into(),
            network: network.into(),
            since: now,
            seen_opening: seen,
            ..Peer::default()
        };
        self.insert(id, peer);
    }

    /// Peers that were there before are known from `getpeerinfo` only.
    pub(crate) fn hello(&mut self, version: &NetVersion, private_broadcast: bool, now: u64) {
        if !self.peers.contains_key(&version.peer) {
            self.opened(version.peer, &version.address, version.connection_type(), version.network(), now, false);
        }
        if let Some(peer) = self.peers.get_mut(&version.peer) {
            peer.private_broadcast = private_broadcast;
            peer.hello = Some(Hello {
                time: now,
                version: version.version,
                services: version.services,
                user_agent: version.user_agent.chars().take(AGENT).collect(),
                relay: version.relay,
            });
        }
    }

    pub(crate) fn greeted(&mut self, id: u64, fingerprint: u64) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.fingerprint = Some(fingerprint);
        }
    }

    pub(crate) fn asked(&mut self, id: u64, now: u64) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.asked_addresses = Some(now);
        }
    }

    pub(crate) fn closed(&mut self, id: u64) {
        self.peers.remove(&id);
    }

    /// The node says who is connected: others are not, but for those who came while it said so.
    pub(crate) fn present(&mut self, ids: &std::collections::BTreeSet<u64>, now: u64) {
        self.peers.retain(|id, peer| ids.contains(id) || peer.since.saturating_add(2 * SECOND) >= now);
    }

    /// The clock was set back: nobody came in the future.
    pub(crate) fn set_back(&mut self, now: u64) {
        for peer in self.peers.values_mut() {
            peer.since = peer.since.min(now);
            peer.asked_addresses = peer.asked_addresses.map(|time| time.min(now));
            if let Some(hello) = &mut peer.hello {
                hello.time = hello.time.min(now);
            }
        }
    }

    /// When there is no room the newcomer stays outside: a flood of connections must not make the detectors forget who was there before.
    fn insert(&mut self, id: u64, peer: Peer) {
        if self.peers.len() >= MOST {
            self.overlooked += 1;
        } else {
            self.peers.insert(id, peer);
        }
    }
}
