//! From bytes to messages and back, by either transport: v1, and v2 (BIP 324). No IO, no clock, no randomness.
//!
//! Who opens a connection speaks first and chooses the transport. v1 begins with the network's magic and `version`; anything else is
//! the key of a v2 connection, as BIP 324 has it. A v2 connection does not say its network: its magic goes into the keys. So the
//! other side's key is tried with every network in question, all of ours from one secret, and the one whose terminator arrives is it.
//!
//! [`Transport::new`] is the side that answers (the node dials us), [`Transport::call`] the one that opened the connection.

mod v2;

use std::task::Poll;

use bitcoin::hashes::{Hash as _, sha256d};
use bytes::{Buf as _, BytesMut};

use super::network::{KNOWN, Magic, Networks};

/// v1: magic, type, length, checksum.
const HEADER: usize = 24;
const TYPE: usize = 12;
/// What a v1 connection has behind the magic.
const FIRST_TYPE: [u8; TYPE] = *b"version\0\0\0\0\0";
/// Buffers that grew beyond this are let go when they are empty.
const KEEP: usize = 1 << 16;

/// A message without its wrapping.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its type; empty if it is one of those that v2 numbers and nobody has named yet.
    pub message_type: String,
    /// Its payload.
    pub payload: BytesMut,
}

/// Why a connection cannot go on.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// It breaks the protocol.
    #[error("{0}")]
    Broken(String),
    /// A message is larger than it may be.
    #[error("a message of {0} bytes")]
    TooLarge(usize),
    /// It speaks for another network.
    #[error("it is of network {0}")]
    OtherNetwork(Magic),
    /// It is v2, and v1 was wanted. Nothing was sent, so a node comes back with v1 at once.
    #[error("v1 is wanted, to learn the network")]
    NoV2,
}

impl Fault {
    fn broken(what: impl Into<String>) -> Self {
        Self::Broken(what.into())
    }
}

/// Which transport.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// Plain.
    V1,
    /// Encrypted (BIP 324).
    V2,
}

/// One side of a connection.
pub struct Transport {
    state: State,
    input: BytesMut,
    networks: Networks,
    secret: [u8; 32],
    decline_v2: bool,
}

enum State {
    /// Too few bytes so far.
    Undecided,
    /// We opened it with v1, and nothing was heard yet.
    CalledV1(Magic),
    V1(Magic),
    Handshake(v2::Handshake),
    V2(Magic, Box<v2::Session>),
    /// A fault was told.
    Failed,
}

impl Transport {
    /// Waits for the other side. `secret` must be random and new. With `decline_v2` a v2 connection is given up before anything
    /// is sent.
    pub fn new(networks: Networks, secret: [u8; 32], decline_v2: bool) -> Self {
        Self { state: State::Undecided, input: BytesMut::new(), networks, secret, decline_v2 }
    }

    /// Opens a connection that somebody accepted. `secret` must be random and new. A v2 connection has something to send at once:
    /// [`Transport::next`] says what.
    pub fn call(magic: Magic, version: Version, secret: [u8; 32]) -> Self {
        let networks = Networks { only: Some(magic), learned: None };
        let state = match version {
            Version::V1 => State::CalledV1(magic),
            Version::V2 => State::Handshake(v2::Handshake::call(magic, secret)),
        };
        Self { state, input: BytesMut::new(), networks, secret, decline_v2: false }
    }

    /// Takes bytes from the other side. [`Transport::next`] gives the messages.
    pub fn push(&mut self, bytes: &[u8]) {
        match &self.state {
            State::Handshake(handshake) => handshake.push(bytes),
            State::Failed => {}
            _ => self.input.extend_from_slice(bytes),
        }
    }

    /// The next message whose payload has at most `limit` bytes, if it is complete. What has to be sent for the handshake is added
    /// to `out`.
    ///
    /// # Errors
    ///
    /// The connection cannot go on. From then on nothing comes any more.
    pub fn next(&mut self, limit: usize, out: &mut Vec<u8>) -> Result<Option<Message>, Fault> {
        let next = self.advance(limit, out);
        if next.is_err() {
            self.state = State::Failed;
            self.input = BytesMut::new();
        }
        if self.input.is_empty() && self.input.capacity() > KEEP {
            self.input = BytesMut::new();
        }
        next
    }

    /// The network and the transport, once they are known.
    pub fn established(&self) -> Option<(Magic, Version)> {
        match &self.state {
            State::V1(magic) => Some((*magic, Version::V1)),
            State::V2(magic, _) => Some((*magic, Version::V2)),
            State::Undecided | State::CalledV1(_) | State::Handshake(_) | State::Failed => None,
        }
    }

    /// Whether it is a v2 connection whose network is not known: its handshake is not over.
    pub fn in_handshake(&self) -> bool {
        matches!(self.state, State::Handshake(_))
    }

    /// The network that the other side means, where it answers a v2 connection that we opened but means another one. Costs a little
    /// arithmetic for each network: to be asked when a handshake leads nowhere.
    pub fn meant(&self) -> Option<Magic> {
        let State::Handshake(handshake) = &self.state else { return None };
        let others: Vec<Magic> = KNOWN.iter().map(|(_, other)| *other).filter(|other| Some(*other) != self.networks.only).collect();
        handshake.meant(&others, self.secret)
    }

    /// Wraps a message into `out`. Nothing is sent before the transport is established, but for the first message of a v1 connection
    /// that we opened.
    pub fn send(&mut self, message_type: &str, payload: &[u8], out: &mut Vec<u8>) {
        match &mut self.state {
            State::V1(magic) | State::CalledV1(magic) => frame(*magic, message_type, payload, out),
            State::V2(_, session) => session.send(message_type, payload, out),
            State::Undecided | State::Handshake(_) | State::Failed => {}
        }
    }

    fn advance(&mut self, limit: usize, out: &mut Vec<u8>) -> Result<Option<Message>, Fault> {
        loop {
            match &mut self.state {
                State::Undecided => match self.detect()? {
                    Some(state) => self.state = state,
                    None => return Ok(None),
                },
                State::CalledV1(magic) => {
                    let magic = *magic;
                    if !answers_v1(magic, &self.input)? {
                        return Ok(None);
                    }
                    self.state = State::V1(magic);
                }
                State::V1(magic) => return next_v1(*magic, &mut self.input, limit),
                State::Handshake(handshake) => match handshake.poll(out) {
                    Poll::Pending => return Ok(None),
                    Poll::Ready(result) => {
                        let (magic, session, rest) = result?;
                        self.input = rest;
                        self.state = State::V2(magic, Box::new(session));
                    }
                },
                State::V2(_, session) => return session.next(&mut self.input, limit),
                State::Failed => return Ok(None),
            }
        }
    }

    fn detect(&mut self) -> Result<Option<State>, Fault> {
        let Some((magic, rest)) = self.input.split_first_chunk() else { return Ok(None) };
        let magic = Magic(*magic);
        let begun = rest.len().min(TYPE);
        let begins_as_v1 = rest[..begun] == FIRST_TYPE[..begun];
        if begins_as_v1 && begun < TYPE {
            return Ok(None);
        }
        if begins_as_v1 {
            return if self.networks.allow(magic) { Ok(Some(State::V1(magic))) } else { Err(Fault::OtherNetwork(magic)) };
        }
        if self.networks.candidates().contains(&magic) {
            return Err(Fault::broken("the first message is not `version`"));
        }
        if self.decline_v2 {
            return Err(Fault::NoV2);
        }
        let input = std::mem::take(&mut self.input);
        Ok(Some(State::Handshake(v2::Handshake::new(input, self.networks.candidates(), self.secret))))
    }
}

/// Whether the answer to a v1 connection that we opened begins as it should; `false` while too little has come.
fn answers_v1(ours: Magic, input: &[u8]) -> Result<bool, Fault> {
    let Some((magic, rest)) = input.split_first_chunk() else { return Ok(false) };
    let magic = Magic(*magic);
    if magic == ours {
        return Ok(true);
    }
    let begun = rest.len().min(TYPE);
    match rest[..begun] == FIRST_TYPE[..begun] {
        true if begun < TYPE => Ok(false),
        true => Err(Fault::OtherNetwork(magic)),
        false => Err(Fault::broken("the answer is no message of the protocol")),
    }
}

/// Cuts the next message off a v1 stream.
fn next_v1(magic: Magic, input: &mut BytesMut, limit: usize) -> Result<Option<Message>, Fault> {
    let Some(header) = input.first_chunk::<HEADER>().copied() else { return Ok(None) };
    let (start, rest) = header.split_at(4);
    let (name, rest) = rest.split_at(TYPE);
    let (length, checksum) = rest.split_at(4);
    if start != magic.0 {
        return Err(Fault::broken("a message does not begin with the network's magic"));
    }
    let length = length.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    if length > limit {
        return Err(Fault::TooLarge(length));
    }
    if input.len() < HEADER + length {
        return Ok(None);
    }
    input.advance(HEADER);
    let payload = input.split_to(length);
    if sha256d::Hash::hash(&payload).as_byte_array()[..4] != *checksum {
        return Err(Fault::broken(format!("a `{}` with a wrong checksum", text(name))));
    }
    Ok(Some(Message { message_type: text(name), payload }))
}

/// Wraps a message for v1.
pub fn frame(magic: Magic, message_type: &str, payload: &[u8], out: &mut Vec<u8>) {
    out.extend(magic.0);
    out.extend(name(message_type));
    out.extend(u32::try_from(payload.len()).expect("our messages are short").to_le_bytes());
    out.extend(&sha256d::Hash::hash(payload).as_byte_array()[..4]);
    out.extend(payload);
}

/// A type as both transports write it; ours fit.
fn name(message_type: &str) -> [u8; TYPE] {
    let mut name = [0; TYPE];
    for (to, from) in name.iter_mut().zip(message_type.bytes()) {
        *to = from;
    }
    name
}

/// A type as both transports write it, without the zeros behind it.
fn text(name: &[u8]) -> String {
    let end = name.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    name[..end].escape_ascii().to_string()
}
