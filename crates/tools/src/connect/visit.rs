//! What is said on a visit: a state machine from bytes to what they mean. No IO, no clock, no randomness.
//!
//! We are an honest short visitor: our `version` names the program and how to reach who runs it, has no services, wants no transactions; when
//! the other side has said `version` and `verack`, we say `verack` and go. We ask for nothing.

use bitcoin::consensus::deserialize_partial;
use bitcoin::p2p::message_network::VersionMessage;
use event::p2p::network::Magic;
use event::p2p::transport::{Fault, Transport, Version};
use event::p2p::version::version;

/// No message of a handshake is larger: `version` has up to 344 bytes, `feature` 596.
const MESSAGE: usize = 4096;
/// All of a handshake: key, garbage, the messages, and some more.
pub const GREETINGS: usize = 1 << 16;
/// As Bitcoin Core has it (`MAX_SUBVERSION_LENGTH`, `src/net.h`).
const AGENT: usize = 256;

/// What a visit cannot know by itself.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// The network of whom we look for.
    pub network: Magic,
    /// How to speak.
    pub transport: Version,
    /// Random and new: the secret of a v2 connection.
    pub secret: [u8; 32],
    /// Random and new: the nonce of our version message, by which a watched node knows us.
    pub nonce: u64,
    /// Unix seconds.
    pub time: i64,
    /// Who we are.
    pub user_agent: String,
}

/// What the other side says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// Protocol version.
    pub version: u32,
    /// Service bits.
    pub services: u64,
    /// Its clock, Unix seconds.
    pub time: i64,
    /// Printable ASCII, everything else escaped, and cut.
    pub user_agent: String,
    /// Height of its chain, as it claims.
    pub start_height: i32,
}

/// One visit.
pub struct Visit {
    transport: Transport,
    greeting: Greeting,
    hello: Option<Hello>,
    introduced: bool,
    over: bool,
    heard: usize,
    output: Vec<u8>,
}

impl Visit {
    /// Somebody accepted: what there is to say first is in [`Visit::take_output`].
    pub fn new(greeting: Greeting) -> Self {
        let transport = Transport::call(greeting.network, greeting.transport, greeting.secret);
        let mut visit = Self { transport, greeting, hello: None, introduced: false, over: false, heard: 0, output: Vec::new() };
        if visit.greeting.transport == Version::V1 {
            visit.introduce();
        } else {
            // our key; nothing can be wrong before anything was heard
            let _ = visit.transport.next(MESSAGE, &mut visit.output);
        }
        visit
    }

    /// Takes bytes from the other side; `true` when the handshake is over.
    ///
    /// # Errors
    ///
    /// It leads nowhere. From then on nothing is taken.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        if self.over {
            return Ok(self.hello.is_some());
        }
        let taken = self.take(bytes);
        self.over = !matches!(taken, Ok(false));
        taken
    }

    fn take(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        self.heard = self.heard.saturating_add(bytes.len());
        if self.heard > GREETINGS {
            return Err(Fault::TooLarge(self.heard));
        }
        self.transport.push(bytes);
        loop {
            let next = self.transport.next(MESSAGE, &mut self.output)?;
            // v2: as soon as there is a way to say it
            if !self.introduced && self.transport.established().is_some() {
                self.introduce();
            }
            let Some(message) = next else { return Ok(false) };
            match (message.message_type.as_str(), &self.hello) {
                ("version", None) => {
                    self.hello = Some(hello(&message.payload)?);
                    self.transport.send("verack", &[], &mut self.output);
                }
                ("verack", Some(_)) => return Ok(true),
                (other, None) => return Err(Fault::Broken(format!("`{other}` before `version`"))),
                // sendaddrv2 and the like
                (_, Some(_)) => {}
            }
        }
    }

    /// What has to be sent now.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// What the other side said of itself, once it did.
    pub fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// How many bytes came.
    pub fn heard(&self) -> usize {
        self.heard
    }

    /// The network that the other side means, where it answered with v2 for another one. To be asked when nothing more comes.
    pub fn meant(&self) -> Option<Magic> {
        self.transport.meant()
    }

    /// Whether the other side was understood at all.
    pub fn is_established(&self) -> bool {
        self.transport.established().is_some()
    }

    fn introduce(&mut self) {
        self.introduced = true;
        let Greeting { time, nonce, user_agent, .. } = &self.greeting;
        let payload = version(*time, *nonce, user_agent, false);
        self.transport.send("version", &payload, &mut self.output);
    }
}

fn hello(payload: &[u8]) -> Result<Hello, Fault> {
    let decode = |payload: &[u8]| deserialize_partial::<VersionMessage>(payload).ok().map(|(version, _)| version);
    // before BIP 37 it ended without the word on transactions
    let version = decode(payload).or_else(|| decode(&[payload, &[1]].concat()));
    let version = version.ok_or_else(|| Fault::Broken("a `version` that cannot be decoded".into()))?;
    let mut user_agent: String = version.user_agent.chars().flat_map(shown).take(AGENT).collect();
    user_agent.shrink_to_fit();
    Ok(Hello {
        version: version.version,
        services: version.services.to_u64(),
        time: version.timestamp,
        user_agent,
        start_height: version.start_height,
    })
}

/// A character as it is shown.
fn shown(character: char) -> impl Iterator<Item = char> {
    let plain = matches!(character, ' '..='~');
    let escaped = (!plain).then(|| character.escape_default()).into_iter().flatten();
    plain.then_some(character).into_iter().chain(escaped)
}

#[cfg(test)]
mod tests;
