//! A peer of the node that only listens: how long its message queue is, and what it announces.
//!
//! The node makes the connection, as it is told with `-addnode`: that takes one of its eight slots for such peers and nobody's
//! inbound slot, and the node comes back by itself after a restart. The protocol is in [`session`], without IO; here is what
//! surrounds it.

mod arrival;
mod connection;
pub mod identity;
pub mod pings;
mod refusals;
pub mod session;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bus::Publisher;
use event::RefusalReason;
pub use event::p2p::{network, transport};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::clock::now;
use crate::life::Life;
use network::Magic;
use refusals::{Refusal, Refusals};

/// How often to ping.
#[derive(Clone, PartialEq, Eq, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// How often to ping the node
    ///
    /// Each ping waits in the node's message queue like the messages of any peer, so the round trip is the node's backlog. A ping costs
    /// the node a few microseconds.
    #[arg(long, default_value = "10s", value_parser = crate::interval::parse, value_name = "TIME")]
    pub p2p_interval: Duration,

    /// How long an answer may take before that is an event of its own
    #[arg(long, default_value = "30s", value_parser = crate::interval::parse, value_name = "TIME")]
    pub p2p_timeout: Duration,
}

/// Where one node finds us. Each node has a place of its own: that is how they are told apart.
#[derive(Clone, PartialEq, Eq, Debug, clap::Args)]
#[group(skip)]
pub struct Place {
    /// Where to wait for the node's connection
    ///
    /// Tell the node with `addnode=` and this address in its bitcoin.conf. Every node needs another port.
    #[arg(long, default_value = "127.0.0.1:28444", value_name = "ADDRESS")]
    pub p2p_listen: SocketAddr,

    /// The node's network: `main`, `test`, `testnet4`, `signet`, `regtest`, or the message start of a custom signet as 8 hex digits
    ///
    /// Learned from the node by default. For a custom signet that takes a minute after the first start.
    #[arg(long, value_name = "NETWORK")]
    pub p2p_network: Option<Magic>,

    /// Addresses other than loopback that the node may connect from
    ///
    /// For a node in a container or on another machine, together with `--p2p-listen` on an address that it reaches. Who else can use
    /// these addresses can pretend to be the node.
    #[arg(long, value_delimiter = ',', value_name = "IP")]
    pub p2p_allow: Vec<IpAddr>,
}

impl Place {
    /// The line that a node needs in its `bitcoin.conf`.
    pub fn node_option(&self) -> String {
        format!("addnode={}", self.p2p_listen)
    }

    /// Begins to listen. Connections wait until [`run`] takes them.
    ///
    /// # Errors
    ///
    /// The address is taken, or none of this machine.
    pub fn listen(&self) -> Result<std::net::TcpListener, ListenError> {
        let error = |source| ListenError { address: self.p2p_listen, source };
        let listener = std::net::TcpListener::bind(self.p2p_listen).map_err(error)?;
        listener.set_nonblocking(true).map_err(error)?;
        Ok(listener)
    }

    fn allows(&self, peer: IpAddr, here: IpAddr) -> bool {
        let peer = peer.to_canonical();
        // a connection from the address that it goes to comes from this machine
        peer.is_loopback() || peer == here.to_canonical() || self.names(peer)
    }

    /// Whether the operator named this address.
    fn names(&self, peer: IpAddr) -> bool {
        self.p2p_allow.iter().any(|ip| ip.to_canonical() == peer.to_canonical())
    }
}

/// We cannot wait for the node where we should.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on {address} for the node: {source}")]
pub struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

impl ListenError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::AddrInUse => {
                "does another peer-observer run, or do two nodes have the same `--p2p-listen`? `ss -ltnp` shows who has the port; \
                 choose another, and tell the node with `addnode=`"
            }
            io::ErrorKind::AddrNotAvailable => "give an address of this machine; 127.0.0.1 does for a node on it",
            _ => "choose a port above 1023",
        }
    }
}

/// Handshakes at once. The node needs one; the rest is room for strangers, who are to find out that they are not wanted.
const HANDSHAKES: usize = 8;
const SECOND: Duration = Duration::from_secs(1);

/// Waits for the node and listens to it, again and again, until told to stop. `node` is the node's process, where it runs on this
/// machine and can be found; it decides who is the node.
///
/// # Errors
///
/// The listener is none that the runtime can use.
pub async fn run(
    config: Config,
    place: Place,
    listener: std::net::TcpListener,
    node: watch::Receiver<Option<Life>>,
    out: Publisher,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    tracing::debug!(address = %place.p2p_listen, "waiting for the node's connection");
    let shared =
        Arc::new(Shared { config, place, node, out, state: Mutex::default(), handshakes: Arc::new(Semaphore::new(HANDSHAKES)) });
    let mut connections = JoinSet::new();
    let mut beat = interval(SECOND);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = beat.tick() => shared.beat(),
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => shared.admit(stream, peer, &mut connections),
                Err(error) => {
                    // out of files, most likely: trying at once would only burn CPU
                    tracing::warn!(%error, address = %shared.place.p2p_listen, "failed to accept a connection");
                    sleep(SECOND).await;
                }
            },
        }
    }
    connections.shutdown().await;
    shared.beat();
    Ok(())
}

/// What connections share.
struct Shared {
    config: Config,
    place: Place,
    node: watch::Receiver<Option<Life>>,
    out: Publisher,
    state: Mutex<State>,
    /// A permit for each handshake.
    handshakes: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    refusals: Refusals,
    /// The node is here.
    connected: bool,
    /// The node's process was found once, so it can be found.
    node_known: bool,
    /// The network that the node was seen to use.
    learned: Option<Magic>,
    /// The node's network is none that we can name: it should come with v1 and say.
    decline_v2: bool,
    /// Age of the youngest event when it was published.
    lag: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }

    /// Whether the node's process was ever found: then a connection that is not its own is nobody's that we want.
    fn knows_node(&self) -> bool {
        let mut state = self.lock();
        state.node_known |= self.node.borrow().is_some();
        state.node_known
    }

    /// Lets somebody in as far as the handshake.
    fn admit(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, connections: &mut JoinSet<()>) {
        let here = stream.local_addr().unwrap_or(self.place.p2p_listen);
        if !self.place.allows(peer.ip(), here.ip()) {
            return self.refuse(peer, Refusal::new(RefusalReason::Address, "its address may not connect"));
        }
        if self.lock().connected {
            return self.refuse(peer, Refusal::new(RefusalReason::Busy, "the node is connected already"));
        }
        let Ok(permit) = Arc::clone(&self.handshakes).try_acquire_owned() else {
            return self.refuse(peer, Refusal::new(RefusalReason::Busy, format!("{HANDSHAKES} handshakes are under way")));
        };
        let shared = Arc::clone(self);
        connections.spawn(async move {
            if let Err(refusal) = connection::run(&shared, stream, peer, here, permit).await {
                shared.refuse(peer, refusal);
            }
        });
    }

    fn refuse(&self, peer: SocketAddr, refusal: Refusal) {
        tracing::debug!(%peer, reason = refusal.reason.word(), detail = refusal.detail, "refused a connection");
        self.lock().refusals.count(peer, refusal);
    }

    fn beat(&self) {
        self.knows_node();
        let (refused, lag) = {
            let mut state = self.lock();
            (state.refusals.take(), std::mem::take(&mut state.lag))
        };
        let node_run = self.node.borrow().as_ref().map(|life| life.node_run);
        let time = now();
        for event in refused {
            self.out.publish(time, node_run, event);
        }
        self.out.beat(time, node_run, lag, None, None);
    }
}
