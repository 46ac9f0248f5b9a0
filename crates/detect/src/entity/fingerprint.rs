//! How a peer greets: what tells programs apart that say they are the same, and shows one program behind many names.
//!
//! # What it is made of
//!
//! A line of text, and its hash: the first eight bytes of its SHA3-256, in hexadecimal. Version 1 of the line is
//!
//! ```text
//! 1;v=70016;s=c09;r=1;t=v2;e=1;n=0;m=wtxidrelay,sendaddrv2,verack,sendcmpct:0:2,ping,getheaders,feefilter
//! ```
//!
//! | part | meaning |
//! |---|---|
//! | `v` | protocol version of its `version` |
//! | `s` | service bits, hexadecimal |
//! | `r` | 1 if it wants transactions announced |
//! | `t` | transport, `v1` or `v2`; `?` where no source said so in time |
//! | `e` | 1 if its `version` has an address for the node, 0 if that is empty or zeros |
//! | `n` | 1 if its nonce is zero |
//! | `m` | types of its messages, in the order of their first coming, from its `version` until five seconds after the node's `verack`; `sendcmpct` and `feature` with what they say |
//!
//! Left out are messages that depend on the moment rather than on the program: what is announced, asked for or answered (`inv`, `tx`,
//! `getdata`, `notfound`, `addr`, `addrv2`, `headers`, `block`, `cmpctblock`, `blocktxn`, `getblocktxn`, `pong`). The user agent is left out
//! because it is what the fingerprint is held against.
//!
//! # When it is known
//!
//! Five seconds after the node's `verack`, or up to twelve where the transport is still to be said: `net.*` does not show it, `getpeerinfo`
//! does, and debug.log. Who leaves earlier has none.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use event::{Direction, Event, Kind, KindId, KindSet, NetVersion, Transport};
use serde::{Deserialize, Serialize};
use sha3::{Digest as _, Sha3_256};

/// Version of the line.
pub const VERSION: u32 = 1;

/// How long messages count after the node's `verack`, nanoseconds.
const GREETING: u64 = 5_000_000_000;

/// How long the transport is waited for after the node's `verack`, nanoseconds: two polls at the usual interval, and a bit.
const PATIENCE: u64 = 12_000_000_000;

/// Who has not finished the handshake by then has none: Bitcoin Core disconnects after 60 seconds.
const HANDSHAKE: u64 = 90_000_000_000;

/// Types of messages in a line; more are no greeting.
const TYPES: usize = 24;

/// Handshakes under way: more than a node can have (Bitcoin Core's slots, and those just closed).
const MOST: usize = 1024;

/// What depends on the moment rather than on the program, and is no part of the line.
const MOMENT: &[KindId] = &[
    KindId::NetInv,
    KindId::NetTx,
    KindId::NetGetdata,
    KindId::NetNotfound,
    KindId::NetAddr,
    KindId::NetAddrv2,
    KindId::NetHeaders,
    KindId::NetBlock,
    KindId::NetCmpctblock,
    KindId::NetBlocktxn,
    KindId::NetGetblocktxn,
    KindId::NetPong,
    KindId::NetMessage,
];

/// The kinds of events that it is made of. All of them have to be delivered: one that is missing makes another fingerprint.
pub fn kinds() -> KindSet {
    let others = [KindId::ConnClosed, KindId::ConnReady, KindId::StatePeers];
    KindId::ALL.iter().copied().filter(|id| id.family() == "net" && !MOMENT.contains(id)).chain(others).collect()
}

/// A fingerprint.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The line: see the module. Safe to show: of what a peer chose it has numbers only.
    pub line: String,
    /// Its hash.
    pub hash: u64,
}

impl Fingerprint {
    fn of(line: String) -> Self {
        let digest = Sha3_256::digest(line.as_bytes());
        let hash = digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
        Self { line, hash }
    }
}

/// The handshakes of one node that are under way.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Handshakes {
    open: BTreeMap<u64, Handshake>,
    /// When which handshake is over, by time and peer.
    due: BTreeMap<(u64, u64), ()>,
    overlooked: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Handshake {
    hello: String,
    echo: bool,
    no_nonce: bool,
    messages: Vec<String>,
    transport: Option<bool>,
    /// When messages stop to count: five seconds after the node's `verack`, once it was sent.
    until: Option<u64>,
    /// Its place in `due`.
    due: u64,
}

impl Handshakes {
    /// Looks at an event of the node, and gives out the fingerprints that are known with it.
    pub fn observe(&mut self, event: &Event, found: &mut impl FnMut(u64, Fingerprint)) {
        self.advance(event.time, found);
        match &event.kind {
            Some(Kind::NetVersion(hello)) if hello.direction() == Direction::Inbound => self.begin(event.time, hello),
            Some(Kind::ConnClosed(closed)) => self.forget(closed.peer),
            Some(Kind::ConnReady(ready)) => self.transport(ready.peer, ready.transport()),
            Some(Kind::StatePeers(state)) if !self.open.is_empty() => {
                for peer in &state.peers {
                    self.transport(peer.id, peer.transport());
                }
            }
            Some(kind) => self.message(event.time, kind),
            None => {}
        }
    }

    /// Time has passed: gives out the fingerprints that are known by now.
    pub fn advance(&mut self, now: u64, found: &mut impl FnMut(u64, Fingerprint)) {
        while let Some((&(due, peer), ())) = self.due.first_key_value()
            && due <= now
        {
            self.due.pop_first();
            let Some(handshake) = self.open.get_mut(&peer) else { continue };
            match handshake.until {
                // the messages are there, the transport is not: a little longer
                Some(until) if handshake.transport.is_none() && due < (until - GREETING).saturating_add(PATIENCE) => {
                    handshake.due = (until - GREETING).saturating_add(PATIENCE);
                    self.due.insert((handshake.due, peer), ());
                }
                Some(_) => {
                    if let Some(handshake) = self.open.remove(&peer) {
                        found(peer, handshake.fingerprint());
                    }
                }
                None => {
                    self.open.remove(&peer);
                }
            }
        }
    }

    /// The node began another life: its peers are others.
    pub fn clear(&mut self) {
        self.open.clear();
        self.due.clear();
    }

    /// Handshakes for which there was no room.
    pub fn overlooked(&self) -> u64 {
        self.overlooked
    }

    fn begin(&mut self, now: u64, hello: &NetVersion) {
        if self.open.contains_key(&hello.peer) {
            // a second `version` changes nothing; Bitcoin Core ignores it
            return;
        }
        if self.open.len() >= MOST
            && let Some(((_, oldest), ())) = self.due.pop_first()
        {
            self.open.remove(&oldest);
            self.overlooked += 1;
        }
        let due = now.saturating_add(HANDSHAKE);
        let handshake = Handshake {
            hello: format!("v={};s={:x};r={}", hello.version, hello.services, u8::from(hello.relay)),
            echo: names_somebody(&hello.receiver_address),
            no_nonce: hello.nonce == 0,
            messages: Vec::new(),
            transport: None,
            until: None,
            due,
        };
        self.open.insert(hello.peer, handshake);
        self.due.insert((due, hello.peer), ());
    }

    fn forget(&mut self, peer: u64) {
        if let Some(handshake) = self.open.remove(&peer) {
            self.due.remove(&(handshake.due, peer));
        }
    }

    fn transport(&mut self, peer: u64, transport: Transport) {
        let v2 = match transport {
            Transport::V1 => false,
            Transport::V2 => true,
            _ => return,
        };
        if let Some(handshake) = self.open.get_mut(&peer) {
            handshake.transport.get_or_insert(v2);
        }
    }

    fn message(&mut self, now: u64, kind: &Kind) {
        if self.open.is_empty() {
            return;
        }
        let Some(net) = kind.net() else { return };
        let Some(handshake) = self.open.get_mut(&net.peer) else { return };
        if net.direction == Direction::Outbound {
            if matches!(kind, Kind::NetVerack(_)) && handshake.until.is_none() {
                let until = now.saturating_add(GREETING);
                handshake.until = Some(until);
                self.due.remove(&(handshake.due, net.peer));
                handshake.due = until;
                self.due.insert((until, net.peer), ());
            }
            return;
        }
        if handshake.messages.len() < TYPES
            && handshake.until.is_none_or(|until| now < until)
            && let Some(word) = word(kind)
            && !handshake.messages.contains(&word)
        {
            handshake.messages.push(word);
        }
    }
}

impl Handshake {
    fn fingerprint(self) -> Fingerprint {
        let transport = match self.transport {
            Some(true) => "v2",
            Some(false) => "v1",
            None => "?",
        };
        let (echo, no_nonce) = (u8::from(self.echo), u8::from(self.no_nonce));
        let mut line = format!("{VERSION};{};t={transport};e={echo};n={no_nonce};m=", self.hello);
        let _ = write!(line, "{}", self.messages.join(","));
        Fingerprint::of(line)
    }
}

/// How a message is named in the line; `None` for what depends on the moment.
fn word(kind: &Kind) -> Option<String> {
    Some(match kind {
        Kind::NetSendcmpct(message) => format!("sendcmpct:{}:{}", u8::from(message.announce), message.version),
        // the name is the peer's choice: its hash says as much
        Kind::NetFeature(message) => format!("feature:{:04x}", Fingerprint::of(message.id.clone()).hash >> 48),
        Kind::NetUndecodable(_) => "?".to_owned(),
        Kind::NetVersion(_) => return None,
        kind if MOMENT.contains(&kind.id()) => return None,
        kind => kind.id().short_name().to_owned(),
    })
}

/// Whether an address in `version` is one: Bitcoin Core writes zeros where it has none.
fn names_somebody(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    !matches!(host, "" | "0.0.0.0" | "[::]" | "[::ffff:0.0.0.0]")
}

#[cfg(test)]
mod tests;
