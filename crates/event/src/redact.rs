//! What leaves the operator's hands: the one function that makes an event fit to be shown to others.
//!
//! ```
//! use event::redact::Redactor;
//! use event::{ConnOpened, Event, Kind, Source};
//!
//! let opened = ConnOpened { peer: 7, address: "203.0.113.7:8333".into(), ..Default::default() };
//! let mut redactor = Redactor::new([1; 32]);
//! let event = redactor.redact(Event::new("alice", Source::Ebpf, opened)).unwrap();
//! let Some(Kind::ConnOpened(opened)) = event.kind else { unreachable!() };
//! assert_eq!(opened.address, redactor.identifier("203.0.113.7:1234"));
//! ```
//!
//! What is done with each field is decided in `proto/redaction.txt`; the code is generated from it, one match over all kinds without
//! wildcard, and a field that is not decided on ends the build. `docs/redaction.md` says what remains visible.
//!
//! **Identifiers.** A peer's address becomes `peer-` and 26 digits of base32: the first 128 bits of
//! HMAC-SHA256(key, `peer-observer peer 1` 00 network address). The network is a byte as in BIP 155 (1 IPv4, 2 IPv6, 3 Tor v2, 4 Tor v3,
//! 5 I2P, 6 CJDNS; 255 any other), the address its bytes as in BIP 155, without port: whoever comes back from another port is the same
//! stranger. They are worked out from the address alone, so text and bytes, gossip and connection agree; IPv4 within IPv6 is IPv4.
//!
//! - `near-…` stands for an address that is nobody's on the Internet, such as 127.0.0.1, which every inbound peer over Tor has: node,
//!   address and port go in (label `near`, length of the name, name, network, address, port big-endian), so that not all of them
//!   become one stranger. It is no identity: ports are used again.
//! - `name-…` stands for a name that an operator typed, in lower case, without port (label `name`).
//! - What was redacted before keeps its first five characters and is keyed again.
//!
//! Nodes become `node-…` in the same way (label `node`); `node_run` and `run` become numbers above 2^63 (labels `node_run` and `run`,
//! then length and name of the node, then the number big-endian): still equal where they were equal, but no times any more.
//!
//! `key-…` (label `key`, nothing else goes in) is equal under equal keys: two outputs that are to be one are made with one key.
//!
//! Invariants: what is not understood does not leave. No IO. Memory is bounded, and what did not fit is counted.

mod host;
mod own;
mod wording;

use std::collections::BTreeSet;

use bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256};
use bytes::Bytes;

use crate::*;
use host::{Form, Host};
pub use own::Own;

include!(concat!(env!("OUT_DIR"), "/redact.rs"));

/// Bits of an identifier that are kept, in bytes: two strangers of a billion look alike once in 10^20 outputs.
const IDENTIFIER: usize = 16;
/// Characters of an identifier.
const IDENTIFIER_TEXT: usize = 5 + 26;
/// Names of nodes that are kept in mind.
const NAMES: usize = 1024;
/// What identifiers begin with.
const PREFIXES: [&str; 4] = ["peer-", "near-", "name-", "node-"];

/// Makes events fit to leave. One per output, with a key of its own.
///
/// It learns the node's own addresses from what passes: from the first event that states one, they are known for all that follow.
/// Whoever can read the events twice shows all of them to [`learn`](Self::learn) first.
pub struct Redactor {
    key: HmacEngine<sha256::Hash>,
    own: Own,
    /// Of the event at hand.
    node: String,
    /// Of other nodes of the operator's.
    names: BTreeSet<String>,
    /// A rule that is not applied, to see that the tests notice.
    #[cfg(test)]
    spared: Option<usize>,
}

/// One message, as its rules have it.
trait Redact {
    /// What it says of the node's own addresses.
    fn learn(&self, _own: &mut Own) {}

    /// Applies the rules. False if it is about an address of the node's own: as an element of a list it goes.
    fn redact(&mut self, by: &Redactor) -> bool;
}

impl Redactor {
    /// A redactor for one output. Under the same key the same stranger has the same identifier; who has the key can find the address
    /// behind it by trying all there are (IPv4: within hours), so it is a secret like a password.
    pub fn new(key: [u8; 32]) -> Self {
        Self {
            key: HmacEngine::new(&key),
            own: Own::default(),
            node: String::new(),
            names: BTreeSet::new(),
            #[cfg(test)]
            spared: None,
        }
    }

    /// An address that the operator knows to be one of his nodes', with or without port. False for what is no address that others could
    /// know it by.
    pub fn add_own(&mut self, address: &str) -> bool {
        self.own.own(address);
        self.own.is_stated(address)
    }

    /// The name of a node, for events that are about several: texts are cut before it, as they are before the name of the event's own node.
    /// At most 1024 are kept in mind.
    pub fn add_name(&mut self, node: &str) {
        if !node.is_empty() && self.names.len() < NAMES && !self.names.contains(node) {
            self.names.insert(node.to_owned());
        }
    }

    /// Kinds from which there is something to [`learn`](Self::learn).
    pub fn teaching() -> KindSet {
        TEACHING.iter().copied().collect()
    }

    /// Looks at an event that is redacted later, for what it says of the nodes' own addresses.
    pub fn learn(&mut self, event: &Event) {
        if let Some(kind) = &event.kind {
            learn_from(kind, &mut self.own);
        }
    }

    /// What is known of the nodes' own addresses.
    pub fn own(&self) -> &Own {
        &self.own
    }

    /// The event as others may see it; `None` where its kind may not leave, or is one that only a newer release knows.
    pub fn redact(&mut self, event: Event) -> Option<Event> {
        // without `..`, so that a new field of the envelope is decided on
        let Event { node, node_run, source, run, sequence, time, replay, kind } = event;
        let mut kind = kind?;
        learn_from(&kind, &mut self.own);
        self.node = node;
        if !redact_kind(&mut kind, self) {
            return None;
        }
        let node_run = node_run.map(|node_run| self.number(NODE_RUN, "node_run", node_run));
        let run = self.number(RUN, "run", run);
        let mut node = std::mem::take(&mut self.node);
        if !self.spares(NODE) {
            node = self.node(&node);
        }
        Some(Event { node, node_run, source, run, sequence, time, replay, kind: Some(kind) })
    }

    /// The identifier of a peer under this key, from its address with or without port: to find somebody known in an output.
    pub fn identifier(&self, address: &str) -> String {
        match Form::of_text(address) {
            Form::Empty => String::new(),
            Form::Host(host, port) => self.host(&host, port),
            Form::Name(name) => self.keyed("name", &[name.as_bytes()]),
            Form::Identifier(identifier) => self.keyed(&identifier[..4], &[identifier.as_bytes()]),
        }
    }

    /// What a node is called under this key; who has no name stays without.
    pub fn node(&self, name: &str) -> String {
        if name.is_empty() { String::new() } else { self.keyed("node", &[name.as_bytes()]) }
    }

    /// Equal under equal keys, and tells nobody the key.
    pub fn key_check(&self) -> String {
        self.keyed("key", &[])
    }

    fn host(&self, host: &Host, port: u16) -> String {
        let network = [host.network()];
        if host.is_near() {
            // a node's name has 64 characters at most; what is longer is none of ours
            let length = [self.node.len() as u8];
            return self.keyed("near", &[&length, self.node.as_bytes(), &network, host.bytes(), &port.to_be_bytes()]);
        }
        self.keyed("peer", &[&network, host.bytes()])
    }

    /// `<class>-` and 128 bits of the keyed hash.
    fn keyed(&self, class: &str, parts: &[&[u8]]) -> String {
        format!("{class}-{}", text::Base32(&self.hash(class, parts)[..IDENTIFIER]))
    }

    /// A number that says nothing but whether two are equal, and that no calendar takes for a time.
    fn number(&self, rule: usize, label: &str, value: u64) -> u64 {
        if self.spares(rule) {
            return value;
        }
        let length = [self.node.len() as u8];
        let hash = self.hash(label, &[&length, self.node.as_bytes(), &value.to_be_bytes()]);
        let head = hash.first_chunk().expect("a hash has more than 8 bytes");
        u64::from_be_bytes(*head) | 1 << 63
    }

    fn hash(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut engine = self.key.clone();
        engine.input(b"peer-observer ");
        engine.input(label.as_bytes());
        engine.input(b" 1\0");
        for part in parts {
            engine.input(part);
        }
        Hmac::from_engine(engine).to_byte_array()
    }

    #[cfg(test)]
    fn spares(&self, rule: usize) -> bool {
        self.spared == Some(rule)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "tests look into it")]
    const fn spares(&self, _rule: usize) -> bool {
        false
    }

    fn clear<T: Default>(&self, rule: usize, value: &mut T) {
        if !self.spares(rule) {
            *value = T::default();
        }
    }

    /// Of a connection. What others only claim is not taken for the node's own here: whoever says that the node lives at his friend's
    /// address would make his friend invisible.
    fn peer(&self, rule: usize, address: &mut String) -> bool {
        let own = !self.spares(OWN) && self.own.is_stated(address);
        if !self.spares(rule) {
            *address = if own { String::new() } else { self.identifier(address) };
        }
        !own
    }

    /// Of gossip.
    fn gossiped(&self, rule: usize, network: Network, address: &mut Bytes) -> bool {
        if let Some(identifier) = identifier(address) {
            if !self.spares(rule) {
                *address = self.identifier(identifier).into();
            }
            return true;
        }
        let host = Host::of_bytes(network, address);
        let own = !self.spares(OWN) && self.own.is_known(&host);
        if !self.spares(rule) {
            *address = if own || address.is_empty() { Bytes::new() } else { self.host(&host, 0).into() };
        }
        !own
    }

    fn words(&self, rule: usize, text: &mut String) {
        if !self.spares(rule) {
            *text = wording::words(text, &self.node);
            for name in &self.names {
                *text = wording::words(text, name);
            }
        }
    }

    fn agent(&self, rule: usize, text: &mut String) {
        if !self.spares(rule) {
            *text = wording::agent(text, &self.node);
            for name in &self.names {
                *text = wording::agent(text, name);
            }
        }
    }
}

impl std::fmt::Debug for Redactor {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor").field("own", &self.own).finish_non_exhaustive()
    }
}

/// The identifier that stands in the place of an address, if one does.
pub fn identifier(bytes: &[u8]) -> Option<&str> {
    if bytes.len() != IDENTIFIER_TEXT || !PREFIXES.iter().any(|prefix| bytes.starts_with(prefix.as_bytes())) {
        return None;
    }
    let digits = bytes[5..].iter().all(|digit| matches!(digit, b'a'..=b'z' | b'2'..=b'7'));
    std::str::from_utf8(bytes).ok().filter(|_| digits)
}

#[cfg(test)]
mod tests;
