//! One connection, from the moment that somebody connects.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::{HealthAttached, HealthDetached, Kind, ProbePing, ProbeUnanswered, RefusalReason};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{MissedTickBehavior, interval, timeout, timeout_at};

use super::Shared;
use super::arrival::{self, Moment};
use super::identity::{Identity, identify};
use super::network::Networks;
use super::pings::Pings;
use super::refusals::Refusal;
use super::session::{Greeting, Happening, Peer, Session};
use super::transport::{Fault, Version};
use crate::clock::now;
use crate::life::Life;

/// A node that has just restarted may be connected before its new process is found.
const IDENTITY_TIME: Duration = Duration::from_secs(3);
/// How long the node may take to greet: as long as it would give us (`-peertimeout`), for it may be busy.
const GREETING_TIME: Duration = Duration::from_secs(60);
/// How long somebody may take of whom nothing is known but the address.
const STRANGER_TIME: Duration = Duration::from_secs(10);
/// From the first bytes to the end of the v2 handshake. The node's network thread does nothing else.
const TRANSPORT_TIME: Duration = Duration::from_secs(10);
/// How long the other side may leave unread what we send.
const WRITE_TIME: Duration = Duration::from_secs(30);
/// The most that is read at once.
const READ: usize = 1 << 14;

/// Greets whoever connected, and if it is the node, listens to it until it goes.
///
/// # Errors
///
/// Why it is refused. A node that goes after the handshake is no error.
pub(super) async fn run(
    shared: &Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
    here: SocketAddr,
    permit: OwnedSemaphorePermit,
) -> Result<(), Refusal> {
    let (identity, life) = who(shared, peer, here).await?;
    let (networks, decline_v2) = {
        let state = shared.lock();
        (Networks { only: shared.place.p2p_network, learned: state.learned }, state.decline_v2)
    };
    let greeting = greeting().map_err(|error| Refusal::new(RefusalReason::Busy, format!("no randomness: {error}")))?;
    // a small message each: waiting for more would only make the round trip longer
    let _ = stream.set_nodelay(true);
    arrival::prepare(&stream);
    let mut connection = Connection { stream, session: Session::new(networks, greeting, decline_v2), buffer: vec![0; READ] };
    let mut happenings = Vec::new();
    let patience = if identity == Identity::Address { STRANGER_TIME } else { GREETING_TIME };
    let result = connection.greet(patience, &mut happenings).await;
    if let Err(end) = result {
        let v2 = connection.session.in_v2_handshake();
        // a v2 connection that leads nowhere may be of a network without a name, and v1 says which it is
        let unnamed = v2 && shared.place.p2p_network.is_none() && matches!(end, End::TooSlow | End::HungUp);
        shared.lock().decline_v2 = unnamed;
        return Err(end.refusal(unnamed));
    }
    drop(permit);
    {
        let mut state = shared.lock();
        if state.connected {
            return Err(Refusal::new(RefusalReason::Busy, "the node is connected already"));
        }
        state.connected = true;
        state.decline_v2 = false;
    }
    let node = Node { shared, peer, life, place: Some(Place(shared)) };
    let end = node.listen(connection, identity, happenings).await;
    node.leave(&end);
    Ok(())
}

/// Whether the connection is the node's, and the node's life if it is known.
async fn who(shared: &Shared, peer: SocketAddr, here: SocketAddr) -> Result<(Identity, Option<Life>), Refusal> {
    let deadline = tokio::time::Instant::now() + IDENTITY_TIME;
    let mut node = shared.node.clone();
    // an address that the operator named may be of another machine, where we cannot look
    let elsewhere = shared.place.names(peer.ip());
    loop {
        let life = node.borrow_and_update().clone();
        let identity = match life.as_ref().map(|life| life.pid) {
            Some(pid) => tokio::task::spawn_blocking(move || identify(pid, peer, here)).await.unwrap_or(Identity::Address),
            None => Identity::Address,
        };
        match identity {
            Identity::Process | Identity::User => return Ok((identity, life)),
            Identity::Stranger if elsewhere => return Ok((Identity::Address, None)),
            Identity::Stranger => return Err(Refusal::new(RefusalReason::Stranger, "the connection is not the node's")),
            Identity::Address => {}
        }
        // the process that we know of is gone, or we know of none: its successor may be found in a moment
        if !matches!(timeout_at(deadline, node.changed()).await, Ok(Ok(()))) {
            return if elsewhere || !shared.knows_node() {
                Ok((Identity::Address, None))
            } else {
                Err(Refusal::new(RefusalReason::Stranger, "the node does not run"))
            };
        }
    }
}

fn greeting() -> Result<Greeting, getrandom::Error> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    Ok(Greeting { secret, nonce: getrandom::u64()?, time: i64::try_from(now() / 1_000_000_000).unwrap_or(i64::MAX) })
}

/// How a connection ends.
enum End {
    HungUp,
    Failed(std::io::Error),
    TooSlow,
    Fault(Fault),
}

impl End {
    /// Who hangs up with something unread resets the connection.
    fn of(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => Self::HungUp,
            _ => Self::Failed(error),
        }
    }

    fn refusal(&self, unnamed: bool) -> Refusal {
        let detail = if unnamed {
            "its v2 handshake is of none of the networks with a name; it should come back with v1 (or give `--p2p-network`)"
                .to_owned()
        } else {
            self.to_string()
        };
        let reason = match self {
            _ if unnamed => RefusalReason::OtherNetwork,
            Self::HungUp | Self::Failed(_) => RefusalReason::HungUp,
            Self::TooSlow => RefusalReason::TooSlow,
            Self::Fault(Fault::Broken(_)) => RefusalReason::Broken,
            Self::Fault(Fault::TooLarge(_)) => RefusalReason::TooLarge,
            Self::Fault(Fault::OtherNetwork(_) | Fault::NoV2) => RefusalReason::OtherNetwork,
        };
        Refusal::new(reason, detail)
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::HungUp => f.write_str("the other side hung up"),
            Self::Failed(error) => write!(f, "{error}"),
            Self::TooSlow => f.write_str("it took too long"),
            Self::Fault(fault) => write!(f, "{fault}"),
        }
    }
}

struct Connection {
    stream: TcpStream,
    session: Session,
    buffer: Vec<u8>,
}

impl Connection {
    /// Goes on until the handshake is over.
    async fn greet(&mut self, patience: Duration, happenings: &mut Vec<Happening>) -> Result<(), End> {
        let end = tokio::time::Instant::now() + patience;
        let mut transport_end = None;
        while !self.session.is_ready() {
            let deadline = transport_end.filter(|_| !self.session.is_established()).map_or(end, |other| end.min(other));
            let step = async {
                let (length, _) = self.read().await?;
                self.process(length, happenings).await
            };
            timeout_at(deadline, step).await.map_err(|_| End::TooSlow)??;
            transport_end.get_or_insert_with(|| tokio::time::Instant::now() + TRANSPORT_TIME);
        }
        Ok(())
    }

    /// Reads what there is; may be given up at any time.
    async fn read(&mut self) -> Result<(usize, Moment), End> {
        match arrival::read(&self.stream, &mut self.buffer).await {
            Ok((0, _)) => Err(End::HungUp),
            other => other.map_err(End::of),
        }
    }

    /// Finds out what the bytes that were read mean, and answers.
    async fn process(&mut self, length: usize, happenings: &mut Vec<Happening>) -> Result<(), End> {
        let result = self.session.receive(&self.buffer[..length], |happening| happenings.push(happening));
        result.map_err(End::Fault)?;
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), End> {
        let output = self.session.take_output();
        if output.is_empty() {
            return Ok(());
        }
        timeout(WRITE_TIME, self.stream.write_all(&output)).await.map_err(|_| End::TooSlow)?.map_err(End::of)
    }
}

/// The node, while it is connected.
struct Node<'a> {
    shared: &'a Shared,
    peer: SocketAddr,
    life: Option<Life>,
    place: Option<Place<'a>>,
}

/// The one place for the node, given back once: whoever comes next has taken it by the time that this is gone.
struct Place<'a>(&'a Shared);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.lock().connected = false;
    }
}

impl Node<'_> {
    async fn listen(&self, mut connection: Connection, identity: Identity, mut happenings: Vec<Happening>) -> End {
        let mut pings = Pings::default();
        // the first at once
        let mut due = interval(self.shared.config.p2p_interval);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.tell(happenings.drain(..), Moment::now(), identity, &mut pings);
        loop {
            let result = tokio::select! {
                read = connection.read() => match read {
                    Ok((length, moment)) => {
                        let result = connection.process(length, &mut happenings).await;
                        self.tell(happenings.drain(..), moment, identity, &mut pings);
                        result
                    }
                    Err(end) => Err(end),
                },
                _ = due.tick() => {
                    self.complain(&pings);
                    ping(&mut connection, &mut pings).await
                }
            };
            if let Err(end) = result {
                return end;
            }
        }
    }

    fn tell(&self, happenings: impl Iterator<Item = Happening>, moment: Moment, identity: Identity, pings: &mut Pings) {
        for happening in happenings {
            match happening {
                Happening::Ready(peer) => self.arrive(&peer, identity, moment),
                Happening::Pong(nonce) => {
                    if let Some(answer) = pings.answered(nonce, moment.at) {
                        let outstanding = u32::try_from(answer.outstanding).unwrap_or(u32::MAX);
                        self.publish(moment.time, ProbePing { round_trip_nanos: nanos(answer.round_trip), outstanding });
                    }
                }
                Happening::Fact(kind) => self.publish(moment.time, kind),
            }
        }
    }

    /// Says that the node has not answered for too long.
    fn complain(&self, pings: &Pings) {
        if let Some(waiting) = pings.waiting(Instant::now()).filter(|waiting| *waiting >= self.shared.config.p2p_timeout) {
            let outstanding = u32::try_from(pings.outstanding()).unwrap_or(u32::MAX);
            self.publish(now(), ProbeUnanswered { waiting_nanos: nanos(waiting), outstanding });
        }
    }

    fn arrive(&self, peer: &Peer, identity: Identity, moment: Moment) {
        self.shared.lock().learned = Some(peer.network);
        let transport = match peer.transport {
            Version::V1 => "v1",
            Version::V2 => "v2",
        };
        tracing::info!(peer = %self.peer, network = %peer.network, transport, identity = identity.word(), "the node has connected");
        let attached = HealthAttached {
            pid: self.life.as_ref().map(|life| life.pid),
            target: self.peer.to_string(),
            attached: vec![
                format!("network {}", peer.network),
                format!("transport {transport}"),
                format!("protocol {}", peer.protocol),
                format!("user agent {}", peer.user_agent),
                format!("identified by {}", identity.word()),
            ],
            missing: Vec::new(),
            unlisted: Vec::new(),
        };
        self.publish(moment.time, attached);
    }

    fn leave(mut self, end: &End) {
        // before it is said: who hears it may come back at once
        self.place = None;
        tracing::warn!(peer = %self.peer, reason = %end, "lost the node; waiting for it");
        let pid = self.life.as_ref().map(|life| life.pid);
        self.publish(now(), HealthDetached { pid, target: self.peer.to_string(), reason: end.to_string() });
    }

    fn publish(&self, time: u64, kind: impl Into<Kind>) {
        let lag = now().saturating_sub(time);
        self.shared.out.publish(time, self.life.as_ref().map(|life| life.node_run), kind);
        self.shared.lock().lag = lag;
    }
}

async fn ping(connection: &mut Connection, pings: &mut Pings) -> Result<(), End> {
    if !pings.have_room() {
        return Ok(());
    }
    // random, so that nobody can answer what was not asked; without randomness it is better not to ask
    let Ok(nonce) = getrandom::u64() else { return Ok(()) };
    connection.session.ping(nonce);
    let before = Instant::now();
    let result = connection.flush().await;
    pings.sent(nonce, before, Instant::now());
    result
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
