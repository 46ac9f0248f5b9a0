//! A P2P peer (v1 transport) that says exactly what a test wants it to say.
//!
//! A thread per peer reads, answers pings and keeps what arrived; the test sends and waits. A node can also be told
//! to dial the peer: see [`Listener`].

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use bitcoin::consensus::encode::{deserialize, serialize};
use bitcoin::hashes::{Hash as _, sha256d};
use bitcoin::p2p::message::{NetworkMessage, RawNetworkMessage};
use bitcoin::p2p::message_network::VersionMessage;
use bitcoin::p2p::{Address, ServiceFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::node::MAGIC;
use crate::wait;

const HEADER: usize = 24;

/// A ping or pong on the wire: header and nonce.
const PING: usize = HEADER + 8;

/// How many messages a peer keeps for the test to look at; beyond, the oldest go.
const KEPT: usize = 10_000;

/// The longest payload (Bitcoin Core `src/net.h`, `MAX_PROTOCOL_MESSAGE_LENGTH`). Who states more is no node.
const LONGEST: usize = 4_000_000;

/// Pings under way during a flood. Far less than the node's receive limit (5 MB), far more than it answers in the
/// time that [`COALESCE`] lets pass.
const WINDOW: usize = 4096;

/// Pings per system call.
const BATCH: usize = 512;

/// How long pongs gather before they are read, during a flood. The node writes each of them on its own: reading
/// them so too would wake this process for every one, and slow down the node that is being measured.
const COALESCE: Duration = Duration::from_millis(1);

/// What a peer says of itself, and from where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address it dials from: any of 127.0.0.0/8.
    pub source: Ipv4Addr,
    /// Protocol version.
    pub version: u32,
    /// Offered services. A node disconnects from automatic outbound peers without these defaults.
    pub services: ServiceFlags,
    /// Free text.
    pub user_agent: String,
    /// Claimed height.
    pub start_height: i32,
    /// Whether it wants transactions.
    pub relay: bool,
    /// BIP339, sent between `version` and `verack`.
    pub wtxidrelay: bool,
    /// BIP155, sent between `version` and `verack`.
    pub sendaddrv2: bool,
    /// More (type, payload) to send between `version` and `verack`.
    pub before_verack: Vec<(String, Vec<u8>)>,
    /// Answer pings at once.
    pub answer_pings: bool,
    /// How long each wait of this peer may take.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            source: Ipv4Addr::LOCALHOST,
            version: 70016,
            services: ServiceFlags::NETWORK | ServiceFlags::WITNESS,
            user_agent: "/testkit:0.1/".to_owned(),
            start_height: 0,
            relay: true,
            wtxidrelay: true,
            sendaddrv2: true,
            before_verack: Vec::new(),
            answer_pings: true,
            patience: wait::LONG,
        }
    }
}

/// One connection to a node; it closes when dropped.
#[derive(Debug)]
pub struct Peer {
    socket: Arc<Socket>,
    local: SocketAddr,
    inbox: Arc<Inbox>,
    reader: Option<JoinHandle<()>>,
    patience: Duration,
}

/// Where a node can be told to connect to.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
}

/// A message as it arrived.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Header and payload.
    frame: Vec<u8>,
}

impl Peer {
    /// Connects and shakes hands.
    pub fn connect(node: SocketAddr, options: &Options) -> anyhow::Result<Peer> {
        let peer = Peer::open(node, options)?;
        peer.send_version(options)?;
        peer.wait_for("version")?;
        peer.finish_handshake(options)?;
        Ok(peer)
    }

    /// Connects and says nothing: the test makes its own handshake, or none.
    pub fn open(node: SocketAddr, options: &Options) -> anyhow::Result<Peer> {
        let stream = dial(options.source, node).with_context(|| format!("failed to connect from {} to {node}", options.source))?;
        Peer::new(stream, options)
    }

    /// The address that the node knows this peer by (`addr` in `getpeerinfo`).
    pub fn address(&self) -> SocketAddr {
        self.local
    }

    /// Sends a message.
    pub fn send(&self, message: NetworkMessage) -> anyhow::Result<()> {
        self.send_bytes(&serialize(&RawNetworkMessage::new(MAGIC, message)))
    }

    /// Sends the `version` message that `options` describe, for a handshake of the test's own.
    pub fn send_version(&self, options: &Options) -> anyhow::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs();
        let nowhere = Address { services: ServiceFlags::NONE, address: [0; 8], port: 0 };
        self.send(NetworkMessage::Version(VersionMessage {
            version: options.version,
            services: options.services,
            timestamp: now as i64,
            receiver: nowhere.clone(),
            sender: nowhere,
            nonce: unique(),
            user_agent: options.user_agent.clone(),
            start_height: options.start_height,
            relay: options.relay,
        }))
    }

    /// Sends any payload under any type, in a correct frame.
    pub fn send_raw(&self, message_type: &str, payload: &[u8]) -> anyhow::Result<()> {
        self.send_bytes(&frame(message_type, payload))
    }

    /// Sends any bytes at all; see [`frame`] for a frame to spoil.
    pub fn send_bytes(&self, bytes: &[u8]) -> anyhow::Result<()> {
        self.socket.write(bytes).with_context(|| format!("{} failed to send", self.local))
    }

    /// The oldest kept message of that type, which is waited for and taken out.
    pub fn wait_for(&self, message_type: &str) -> anyhow::Result<Message> {
        self.wait_where(&format!("`{message_type}`"), |message| message.message_type() == message_type)
    }

    /// The oldest kept message that `wanted` accepts, which is waited for and taken out.
    pub fn wait_where(&self, what: &str, wanted: impl Fn(&Message) -> bool) -> anyhow::Result<Message> {
        self.wait(what, |state| {
            let position = state.messages.iter().position(&wanted)?;
            state.messages.remove(position)
        })
    }

    /// Whether a message of that type is among those kept.
    pub fn has_received(&self, message_type: &str) -> bool {
        self.inbox.lock().messages.iter().any(|message| message.message_type() == message_type)
    }

    /// Everything kept so far, which is taken out.
    pub fn take_received(&self) -> Vec<Message> {
        self.inbox.lock().messages.drain(..).collect()
    }

    /// A ping and its pong. What was sent before has then been processed by the node.
    pub fn ping(&self) -> anyhow::Result<Duration> {
        let nonce = unique();
        let start = Instant::now();
        self.send(NetworkMessage::Ping(nonce))?;
        self.wait_where("the pong", |message| message.message_type() == "pong" && message.payload() == nonce.to_le_bytes())?;
        Ok(start.elapsed())
    }

    /// Sends `count` pings, numbered from 0, as fast as the node answers, and checks every pong.
    ///
    /// The time is from the first ping sent to the last pong read. The frames, 32 bytes each, are made before.
    pub fn ping_flood(&self, count: usize) -> anyhow::Result<Duration> {
        let frames = pings(count);
        self.inbox.lock().flood = Some(Flood { pings: Arc::clone(&frames), answered: 0 });
        let start = Instant::now();
        let mut sent = 0;
        let mut answered = 0;
        while answered < count {
            while sent < count && sent - answered + BATCH <= WINDOW {
                let end = count.min(sent + BATCH);
                self.send_bytes(&frames[sent * PING..end * PING])?;
                sent = end;
            }
            answered = self.wait("the pongs of a flood", |state| {
                state.flood.as_ref().map(|flood| flood.answered).filter(|now| *now > answered)
            })?;
        }
        let elapsed = start.elapsed();
        self.inbox.lock().flood = None;
        Ok(elapsed)
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.inbox.lock().closed
    }

    /// Waits until the node has closed the connection.
    pub fn wait_closed(&self) -> anyhow::Result<()> {
        let state = self.inbox.lock();
        let (state, _) = self
            .inbox
            .changed
            .wait_timeout_while(state, self.patience, |state| !state.closed)
            .expect("the reader does not panic with the inbox locked");
        if !state.closed {
            bail!("the node kept {} connected for {} s", self.local, self.patience.as_secs());
        }
        Ok(())
    }

    fn new(stream: TcpStream, options: &Options) -> anyhow::Result<Peer> {
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        let socket = Arc::new(Socket { writing: Mutex::new(()), stream });
        let inbox = Arc::new(Inbox::default());
        let reader = Reader { socket: Arc::clone(&socket), inbox: Arc::clone(&inbox), answer_pings: options.answer_pings };
        let reader = thread::Builder::new().name("test-peer".to_owned()).spawn(move || reader.run())?;
        Ok(Peer { socket, local, inbox, reader: Some(reader), patience: options.patience })
    }

    fn finish_handshake(&self, options: &Options) -> anyhow::Result<()> {
        if options.wtxidrelay {
            self.send(NetworkMessage::WtxidRelay)?;
        }
        if options.sendaddrv2 {
            self.send(NetworkMessage::SendAddrV2)?;
        }
        for (message_type, payload) in &options.before_verack {
            self.send_raw(message_type, payload)?;
        }
        self.send(NetworkMessage::Verack)?;
        self.wait_for("verack")?;
        Ok(())
    }

    /// Waits until `look` finds what it wants in the inbox.
    fn wait<T>(&self, what: &str, mut look: impl FnMut(&mut Received) -> Option<T>) -> anyhow::Result<T> {
        let deadline = Instant::now() + self.patience;
        let mut state = self.inbox.lock();
        loop {
            if let Some(found) = look(&mut state) {
                return Ok(found);
            }
            if state.closed {
                bail!("{} was disconnected while it waited for {what}, after {}", self.local, state.summary());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("{} waited {} s for {what} and kept only {}", self.local, self.patience.as_secs(), state.summary());
            }
            (state, _) = self.inbox.changed.wait_timeout(state, left).expect("the reader does not panic with the inbox locked");
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // both fail only when the connection is already gone
        let _ = self.socket.stream.shutdown(Shutdown::Both);
        let _ = self.reader.take().map(JoinHandle::join);
    }
}

impl Listener {
    /// Listens on a port of its own at an address of 127.0.0.0/8.
    pub fn bind(ip: Ipv4Addr) -> anyhow::Result<Listener> {
        let listener = TcpListener::bind((ip, 0)).with_context(|| format!("failed to listen on {ip}"))?;
        listener.set_nonblocking(true)?;
        Ok(Listener { listener })
    }

    /// What to give to `addnode` or `addconnection`, as text.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("a bound socket has an address")
    }

    /// Waits for the node's connection and shakes hands.
    ///
    /// The node has to speak v1: `false` as third parameter of `addconnection`. A feeler ends as soon as it has seen
    /// a `version`, in the middle of this handshake: use [`Listener::accept_silently`] and [`Peer::send_version`].
    pub fn accept(&self, options: &Options) -> anyhow::Result<Peer> {
        let peer = self.accept_silently(options)?;
        peer.wait_for("version")?;
        peer.send_version(options)?;
        peer.finish_handshake(options)?;
        Ok(peer)
    }

    /// Waits for the node's connection and says nothing.
    pub fn accept_silently(&self, options: &Options) -> anyhow::Result<Peer> {
        let stream =
            wait::until(format!("a connection to {}", self.address()), options.patience, || match self.listener.accept() {
                Ok((stream, _)) => Ok(Some(stream)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error.into()),
            })?;
        stream.set_nonblocking(false)?;
        Peer::new(stream, options)
    }
}

impl Message {
    /// The type field without its padding.
    pub fn message_type(&self) -> &str {
        let field = self.frame[4..16].split(|byte| *byte == 0).next().unwrap_or_default();
        str::from_utf8(field).unwrap_or("?")
    }

    /// What follows the header.
    pub fn payload(&self) -> &[u8] {
        &self.frame[HEADER..]
    }

    /// The message decoded.
    pub fn decode(&self) -> anyhow::Result<NetworkMessage> {
        let message: RawNetworkMessage =
            deserialize(&self.frame).with_context(|| format!("failed to decode a `{}` of the node", self.message_type()))?;
        Ok(message.into_payload())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.message_type(), self.payload().len())
    }
}

/// The frames of pings numbered from 0.
fn pings(count: usize) -> Arc<Vec<u8>> {
    let mut frames = Vec::with_capacity(count * PING);
    for nonce in 0..count as u64 {
        frames.extend(frame("ping", &nonce.to_le_bytes()));
    }
    Arc::new(frames)
}

/// Header and payload of a message, with the right length and checksum. A type longer than 12 bytes is cut.
pub fn frame(message_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut name = [0; 12];
    let length = message_type.len().min(name.len());
    name[..length].copy_from_slice(&message_type.as_bytes()[..length]);
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend(MAGIC.to_bytes());
    bytes.extend(name);
    bytes.extend((payload.len() as u32).to_le_bytes());
    bytes.extend(&sha256d::Hash::hash(payload).as_byte_array()[..4]);
    bytes.extend(payload);
    bytes
}

/// A nonce that no other message of this process, and hardly one of another, carries.
fn unique() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one("nonce")
}

/// The standard library cannot choose the address to dial from.
fn dial(source: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &SocketAddr::new(IpAddr::V4(source), 0))?;
    rustix::net::connect(&socket, &to)?;
    Ok(TcpStream::from(socket))
}

/// The reader answers pings while the test sends: whole messages take turns.
#[derive(Debug)]
struct Socket {
    writing: Mutex<()>,
    stream: TcpStream,
}

impl Socket {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let _turn = self.writing.lock().expect("nothing panics while writing");
        (&self.stream).write_all(bytes)
    }
}

/// What the reader thread hands to the test.
#[derive(Debug, Default)]
struct Inbox {
    received: Mutex<Received>,
    changed: Condvar,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Received> {
        self.received.lock().expect("nothing panics with the inbox locked")
    }
}

#[derive(Debug, Default)]
struct Received {
    messages: VecDeque<Message>,
    flood: Option<Flood>,
    closed: bool,
}

impl Received {
    fn keep(&mut self, message: Message) {
        if self.messages.len() == KEPT {
            self.messages.pop_front();
        }
        self.messages.push_back(message);
    }

    fn summary(&self) -> String {
        let mut counts = BTreeMap::new();
        for message in &self.messages {
            *counts.entry(message.message_type()).or_insert(0) += 1;
        }
        if counts.is_empty() {
            return "nothing".to_owned();
        }
        counts.iter().map(|(name, count)| format!("{name} ×{count}")).collect::<Vec<_>>().join(", ")
    }
}

/// The pings of a flood, whose pongs come in the same order.
#[derive(Debug)]
struct Flood {
    pings: Arc<Vec<u8>>,
    answered: usize,
}

impl Flood {
    /// How many of the next pongs `bytes` begins with.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let awaited = self.pings[self.answered * PING..].chunks_exact(PING);
        // a pong differs from its ping in the type only
        let taken = bytes
            .chunks_exact(PING)
            .zip(awaited)
            .take_while(|(pong, ping)| {
                pong[..4] == ping[..4] && pong[4..16] == *b"pong\0\0\0\0\0\0\0\0" && pong[16..] == ping[16..]
            })
            .count();
        self.answered += taken;
        taken
    }
}

struct Reader {
    socket: Arc<Socket>,
    inbox: Arc<Inbox>,
    answer_pings: bool,
}

impl Reader {
    fn run(self) {
        let mut buffer = Vec::new();
        let mut chunk = vec![0; 256 * 1024];
        while let Ok(length @ 1..) = (&self.socket.stream).read(&mut chunk) {
            buffer.extend(&chunk[..length]);
            let Some(used) = self.accept(&buffer) else {
                break;
            };
            buffer.drain(..used);
            if self.inbox.lock().flood.is_some() {
                thread::sleep(COALESCE);
            }
        }
        self.inbox.lock().closed = true;
        self.inbox.changed.notify_all();
    }

    /// Takes in all whole messages; gives the bytes used, or nothing when this is not a node's v1 stream.
    ///
    /// Checksums are the node's business and go unchecked.
    fn accept(&self, bytes: &[u8]) -> Option<usize> {
        let mut used = 0;
        let mut pongs = Vec::new();
        let mut state = self.inbox.lock();
        loop {
            if let Some(flood) = &mut state.flood {
                used += flood.take(&bytes[used..]) * PING;
            }
            let rest = &bytes[used..];
            if rest.len() < HEADER {
                break;
            }
            if rest[..4] != MAGIC.to_bytes() {
                return None;
            }
            let length = u32::from_le_bytes([rest[16], rest[17], rest[18], rest[19]]) as usize;
            if length > LONGEST {
                return None;
            }
            let Some(whole) = rest.get(..HEADER + length) else {
                break;
            };
            let message = Message { frame: whole.to_vec() };
            if self.answer_pings && message.message_type() == "ping" {
                pongs.extend(frame("pong", message.payload()));
            }
            state.keep(message);
            used += whole.len();
        }
        drop(state);
        self.inbox.changed.notify_all();
        // a node that has gone is noticed by the next read
        let _ = self.socket.write(&pongs);
        Some(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_what_rust_bitcoin_makes() {
        let theirs = serialize(&RawNetworkMessage::new(MAGIC, NetworkMessage::Ping(7)));
        assert_eq!(frame("ping", &7_u64.to_le_bytes()), theirs);
    }

    /// A reader whose pongs nobody reads.
    fn reader() -> Reader {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = Arc::new(Socket { writing: Mutex::new(()), stream });
        Reader { socket, inbox: Arc::default(), answer_pings: false }
    }

    proptest::proptest! {
        /// Whatever comes after a whole message, that is kept, and nothing makes the reader fail.
        #[test]
        fn any_bytes_are_taken_in_or_end_the_connection(nonce: u64, magic: bool, rest: Vec<u8>) {
            let reader = reader();
            let start: &[u8] = if magic { &MAGIC.to_bytes() } else { &[] };
            let bytes = [&frame("ping", &nonce.to_le_bytes()), start, &rest].concat();
            let used = reader.accept(&bytes);
            proptest::prop_assert!(used.is_none_or(|used| (PING..=bytes.len()).contains(&used)));
            let kept = reader.inbox.lock().messages.front().cloned().unwrap();
            proptest::prop_assert_eq!(kept.decode().unwrap(), NetworkMessage::Ping(nonce));
        }
    }

    #[test]
    fn a_flood_takes_its_pongs_in_order_and_nothing_else() {
        let mut flood = Flood { pings: pings(3), answered: 0 };
        let pong = |nonce: u64| frame("pong", &nonce.to_le_bytes());
        assert_eq!(flood.take(&[pong(0), pong(1)[..20].to_vec()].concat()), 1);
        assert_eq!(flood.take(&frame("ping", &1_u64.to_le_bytes())), 0);
        assert_eq!(flood.take(&[pong(1), pong(2), pong(3)].concat()), 2);
        assert_eq!(flood.answered, 3);
    }
}
