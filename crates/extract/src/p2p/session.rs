//! What is said over a connection that the node made to us: a state machine from bytes to what they mean. No IO, no clock, no
//! randomness.
//!
//! We are a peer that wants to hear of everything and has nothing: no services, so the node never asks us for blocks; no
//! announcements, so it never asks for transactions. We ask for nothing either, beyond what the version message says.

use event::p2p::version::{PROTOCOL, version};
use event::p2p::{Captured, MAX_PAYLOAD, Message};
use event::{
    BlockAnnouncement, ConnectionType, Direction, InventoryType, Kind, Network, ProbeAnnouncedAddresses, ProbeAnnouncedBlocks,
    ProbeAnnouncedTransactions, ProbeFeeFilter, ProbeUndecodable,
};

use super::network::{Magic, Networks};
use super::transport::{Fault, Transport, Version};

/// No message before the end of the handshake is larger: `version` has up to 344 bytes, `feature` 596.
const GREETING: usize = 4096;
/// All of what comes before the end of the handshake: key, garbage, the messages, and some more.
const GREETINGS: usize = 1 << 16;

/// What a session cannot know by itself.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// Random and new: the secret of a v2 connection.
    pub secret: [u8; 32],
    /// Random and new: the nonce of our version message.
    pub nonce: u64,
    /// Unix seconds.
    pub time: i64,
}

/// What came out of the bytes.
#[derive(Clone, PartialEq, Debug)]
pub enum Happening {
    /// The handshake is over. It is the first to happen, and happens once.
    Ready(Peer),
    /// The answer to a ping, of ours or invented.
    Pong(u64),
    /// To be published.
    Fact(Kind),
}

/// What the other side says of itself, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Its network.
    pub network: Magic,
    /// Its transport.
    pub transport: Version,
    /// Its protocol version.
    pub protocol: u32,
    /// Its user agent.
    pub user_agent: String,
}

/// One connection.
pub struct Session {
    transport: Transport,
    greeting: Greeting,
    stage: Stage,
    /// Bytes before the end of the handshake.
    heard: usize,
    output: Vec<u8>,
}

enum Stage {
    /// Waits for `version`.
    Silent,
    /// Waits for `verack`.
    Introduced {
        protocol: u32,
        user_agent: String,
    },
    Ready,
    /// There was a fault: whatever follows means nothing.
    Over,
}

impl Session {
    /// Waits for the other side to speak.
    pub fn new(networks: Networks, greeting: Greeting, decline_v2: bool) -> Self {
        let transport = Transport::new(networks, greeting.secret, decline_v2);
        Self { transport, greeting, stage: Stage::Silent, heard: 0, output: Vec::new() }
    }

    /// Takes bytes from the other side, and tells what they mean.
    ///
    /// # Errors
    ///
    /// The connection cannot go on.
    pub fn receive(&mut self, bytes: &[u8], mut each: impl FnMut(Happening)) -> Result<(), Fault> {
        let result = match self.stage {
            Stage::Over => Err(Fault::Broken("more after a fault".into())),
            _ => self.take(bytes, &mut each),
        };
        if result.is_err() {
            self.stage = Stage::Over;
        }
        result
    }

    fn take(&mut self, bytes: &[u8], each: &mut impl FnMut(Happening)) -> Result<(), Fault> {
        self.transport.push(bytes);
        if !self.is_ready() {
            self.heard = self.heard.saturating_add(bytes.len());
            if self.heard > GREETINGS {
                return Err(Fault::TooLarge(self.heard));
            }
        }
        loop {
            let limit = if self.is_ready() { MAX_PAYLOAD } else { GREETING };
            let Some(message) = self.transport.next(limit, &mut self.output)? else { return Ok(()) };
            self.hear(&message.message_type, &message.payload, each)?;
        }
    }

    /// What has to be sent now.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Sends a ping.
    pub fn ping(&mut self, nonce: u64) {
        self.say("ping", &nonce.to_le_bytes());
    }

    /// Whether the handshake is over.
    pub fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready)
    }

    /// Whether it waits for a v2 handshake to end, which may be because the network is none of those in question.
    pub fn in_v2_handshake(&self) -> bool {
        self.transport.in_handshake()
    }

    /// Whether it is known which transport and network it is.
    pub fn is_established(&self) -> bool {
        self.transport.established().is_some()
    }

    fn hear(&mut self, message_type: &str, payload: &[u8], each: &mut impl FnMut(Happening)) -> Result<(), Fault> {
        match (&self.stage, message_type) {
            (Stage::Silent, "version") => {
                let Kind::NetVersion(hello) = decode(message_type, payload) else {
                    return Err(Fault::Broken("a `version` that cannot be decoded".into()));
                };
                self.introduce(hello.version);
                self.stage = Stage::Introduced { protocol: hello.version, user_agent: hello.user_agent };
            }
            (Stage::Silent, other) => return Err(Fault::Broken(format!("`{other}` before `version`"))),
            (Stage::Introduced { protocol, user_agent }, "verack") => {
                let Some((network, transport)) = self.transport.established() else { return Ok(()) };
                let peer = Peer { network, transport, protocol: *protocol, user_agent: user_agent.clone() };
                self.stage = Stage::Ready;
                each(Happening::Ready(peer));
            }
            // sendaddrv2 and the like
            (Stage::Introduced { .. }, _) => {}
            (Stage::Ready, "ping") => self.say("pong", payload),
            (Stage::Ready, "pong") => {
                if let Ok(nonce) = payload.try_into() {
                    each(Happening::Pong(u64::from_le_bytes(nonce)));
                }
            }
            // we know none
            (Stage::Ready, "getheaders") => self.say("headers", &[0]),
            (Stage::Ready, "inv" | "headers" | "cmpctblock" | "addr" | "addrv2" | "feefilter") => {
                facts(message_type, payload, &mut |kind| each(Happening::Fact(kind)));
            }
            (Stage::Ready | Stage::Over, _) => {}
        }
        Ok(())
    }

    /// Says who we are, and that we want to hear of transactions by wtxid and of addresses of every network.
    fn introduce(&mut self, their_protocol: u32) {
        let user_agent = concat!("/peer-observer:", env!("CARGO_PKG_VERSION"), "/");
        let payload = version(self.greeting.time, self.greeting.nonce, user_agent, true);
        self.say("version", &payload);
        if their_protocol >= PROTOCOL {
            self.say("wtxidrelay", &[]);
            self.say("sendaddrv2", &[]);
        }
        self.say("verack", &[]);
    }

    fn say(&mut self, message_type: &str, payload: &[u8]) {
        self.transport.send(message_type, payload, &mut self.output);
    }
}

fn decode(message_type: &str, payload: &[u8]) -> Kind {
    let message = Message {
        peer: 0,
        direction: Direction::Outbound,
        address: "",
        connection_type: ConnectionType::Manual,
        network: Network::Unspecified,
        size: u32::try_from(payload.len()).unwrap_or(u32::MAX),
        message_type: message_type.as_bytes(),
        payload,
        captured: Captured::Whole,
        keep_raw: false,
    };
    message.decode()
}

/// What the node announces. Nothing if it is nothing: an empty list.
fn facts(message_type: &str, payload: &[u8], each: &mut impl FnMut(Kind)) {
    let mut blocks = |hashes: Vec<_>, by: BlockAnnouncement| {
        if !hashes.is_empty() {
            each(ProbeAnnouncedBlocks { hashes, by: by.into() }.into());
        }
    };
    match decode(message_type, payload) {
        Kind::NetInv(inv) => {
            let mut transactions = ProbeAnnouncedTransactions::default();
            let mut hashes = Vec::new();
            for item in inv.items {
                match item.r#type() {
                    InventoryType::Wtx => transactions.wtxids.push(item.hash),
                    InventoryType::Tx | InventoryType::WitnessTx => transactions.txids.push(item.hash),
                    // a type that nobody has announced anything with
                    InventoryType::Other => {}
                    _ => hashes.push(item.hash),
                }
            }
            blocks(hashes, BlockAnnouncement::Inv);
            if transactions != ProbeAnnouncedTransactions::default() {
                each(transactions.into());
            }
        }
        Kind::NetHeaders(headers) => {
            blocks(headers.headers.into_iter().map(|header| header.hash).collect(), BlockAnnouncement::Headers);
        }
        Kind::NetCmpctblock(block) => {
            blocks(block.header.into_iter().map(|header| header.hash).collect(), BlockAnnouncement::Cmpctblock);
        }
        Kind::NetAddr(event::NetAddr { addresses, .. }) | Kind::NetAddrv2(event::NetAddrv2 { addresses, .. })
            if !addresses.is_empty() =>
        {
            each(ProbeAnnouncedAddresses { addresses }.into());
        }
        Kind::NetFeefilter(filter) => each(ProbeFeeFilter { feerate: filter.feerate }.into()),
        Kind::NetUndecodable(event::NetUndecodable { message_type, reason, detail, raw, .. }) => {
            each(ProbeUndecodable { message_type, reason, detail, raw: raw.unwrap_or_default() }.into());
        }
        _ => {}
    }
}
