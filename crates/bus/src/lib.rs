//! How events travel: within the process or over NATS, behind one type.
//!
//! A [`Bus`] gives out [`Publisher`]s, which stamp events with node, source, run and sequence, and [`Subscription`]s, which deliver
//! those that a [`Filter`] wants, in order.
//!
//! ```
//! use bus::{Bus, Delivery, Limits};
//! use event::{Filter, KindId, NetPing, Source};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> anyhow::Result<()> {
//! let bus = Bus::local();
//! let mut pings = bus.subscribe(Filter::kinds([KindId::NetPing]), Limits::default()).await?;
//! let publisher = bus.publisher("alice".parse()?, Source::Ebpf);
//! publisher.publish(1_700_000_000_000_000_000, None, NetPing { peer: 7, ..Default::default() });
//! bus.close().await;
//!
//! let Some(Delivery::Event(event)) = pings.next().await else { panic!("an event") };
//! assert_eq!((event.node.as_str(), event.sequence, event.peer()), ("alice", 0, Some(7)));
//! assert_eq!(pings.next().await, None);
//! # Ok(())
//! # }
//! ```
//!
//! # Loss
//!
//! Publishing never waits, memory is bounded, so something can be lost in these places, and is counted there:
//!
//! | where | why | how it shows |
//! |---|---|---|
//! | queue of a subscriber | it is too slow for its [`Limits`] | [`Delivery::Missed`] in its stream, at the place |
//! | way to the server | it is away or slow, and [`Publisher`] has filled the queue | an event `health.lost` with stage `publish`, at the place in the sequence; [`Publisher::dropped`] |
//! | server and network | connection lost, subscriber thrown out | [`Delivery::Missed`] at the next `health.beat` of that source, by comparing its totals with what came |
//!
//! So for every source that beats: published = received + missed. What was lost before it was published is not among the published.
//!
//! # Over NATS
//!
//! One event is one message, protobuf, on the subject `po.<node>.<family>.<kind>`; a subscription asks the server only for what its
//! filter wants, and for `health.beat`. Events larger than the server's `max_payload` travel in parts ([`nats::parts`]). A replay uses
//! `replay.<id>.…`, which nobody hears who did not ask for that replay; its messages carry a header `Po-Replay: <run>-<number>`, counted
//! by connection and subject, in place of the proof by beats. What tools publish that watch a replay is a part of it.
//!
//! Anybody who may publish on these subjects can lie about a node, and nothing but the server's permissions keeps him from it. What does
//! not decode, names another node or kind than its subject, or is of a newer kind, is counted in [`Stats`] and skipped; no message stops a
//! subscriber or makes it grow.
//!
//! | role | may publish | may subscribe |
//! |---|---|---|
//! | extractors of node `alice` | `po.alice.>` | – |
//! | tools that watch | – | `po.>` |
//! | a tool for one node | – | `po.alice.>` |
//! | replaying, and tools that watch it | `replay.>` | `replay.>` |
//!
//! As configuration of a server (tested as it is here):
//!
//! ```text
#![doc = include_str!("../tests/permissions.conf")]
//! ```
//!
//! **Invariants.** Nothing here looks inside an event beyond its envelope and kind, `health.beat` excepted. No lock is held across an
//! await. Secrets come from files and are never logged.

pub mod bench;
mod local;
pub mod nats;
mod publisher;
mod queue;
mod subscription;

use std::time::{SystemTime, UNIX_EPOCH};

use event::{Event, Filter, NodeName, Source};

pub use local::Local;
pub use nats::Nats;
pub use nats::connect::OpenError;
pub use nats::options::{BusUrl, FileError, NatsOptions, UrlError};
pub use nats::subject::{ReplayId, ReplayIdError};
pub use publisher::Publisher;
pub use subscription::{Delivery, Stats, Subscription};

/// What carries events. Clones are the same bus.
#[derive(Clone, Debug)]
pub enum Bus {
    /// Within this process.
    Local(Local),
    /// Over a NATS server.
    Nats(Nats),
}

impl Bus {
    /// A bus within this process.
    pub fn local() -> Self {
        Self::Local(Local::default())
    }

    /// The bus that the options ask for: over NATS if they name a server, otherwise within this process.
    ///
    /// # Errors
    ///
    /// The server cannot be reached (unless the options say to wait), or does not let us in.
    pub async fn open(options: &NatsOptions) -> Result<Self, OpenError> {
        match &options.url {
            Some(url) => Nats::open(url, options, None).await.map(Self::Nats),
            None => Ok(Self::local()),
        }
    }

    /// As [`Bus::open`], with other room for events on their way to the server, in bytes.
    ///
    /// # Errors
    ///
    /// As [`Bus::open`].
    pub async fn open_with_room(options: &NatsOptions, room: usize) -> Result<Self, OpenError> {
        match &options.url {
            Some(url) => Nats::open(url, options, Some(room)).await.map(Self::Nats),
            None => Ok(Self::local()),
        }
    }

    /// The same bus, but [`Bus::forward`] and publishers send to this replay, and [`Bus::subscribe`] listens to it: what somebody concludes
    /// from a replay is a part of it. Within a process there is nobody to be kept apart from.
    #[must_use]
    pub fn of_replay(&self, id: ReplayId) -> Self {
        match self {
            Self::Local(local) => Self::Local(local.clone()),
            Self::Nats(nats) => Self::Nats(nats.of_replay(id)),
        }
    }

    /// Begins a new run of a source. In a replay its events are marked as all others there.
    pub fn publisher(&self, node: NodeName, source: Source) -> Publisher {
        let run = now();
        match self {
            Self::Local(local) => {
                let route = local::Route::new(local.clone(), node.clone());
                Publisher::new(node, source, run, publisher::Route::Local(route))
            }
            Self::Nats(nats) => {
                let publisher = Publisher::new(node.clone(), source, run, publisher::Route::Nats(nats.route(&node)));
                nats.register(&publisher);
                publisher
            }
        }
    }

    /// Passes on an event that was published before: its envelope stays as it is, but for the replay mark.
    ///
    /// Waits until there is room: in the process with every subscriber, so that a replay arrives whole; over NATS on the way to the
    /// server, and a subscriber that cannot keep up is told what it missed. Events of unknown kinds go nowhere.
    pub async fn forward(&self, event: Event) {
        match self {
            Self::Local(local) => local.forward(Event { replay: true, ..event }).await,
            Self::Nats(nats) => nats.forward(event).await,
        }
    }

    /// Begins to listen: everything that is published from when this returns on.
    ///
    /// # Errors
    ///
    /// The bus is closed, or the server does not permit it.
    pub async fn subscribe(&self, filter: Filter, limits: Limits) -> Result<Subscription, BusError> {
        match self {
            Self::Local(local) => local.subscribe(filter, limits),
            Self::Nats(nats) => nats.subscribe(filter, limits).await,
        }
    }

    /// Ends the bus for all clones: sends what waits, then every subscription ends.
    ///
    /// Waits at most five seconds for a server that is slow or away, and not at all for one that is away if nothing waits for it. Gives
    /// back how many events were not sent in that time: always 0 within a process. Whether the server passed on what was sent is for
    /// those who listen to find out.
    pub async fn close(self) -> u64 {
        match self {
            Self::Local(local) => {
                local.close();
                0
            }
            Self::Nats(nats) => nats.close().await,
        }
    }
}

/// How much may wait for a subscriber. What comes beyond is dropped and counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Events.
    pub events: usize,
    /// Bytes of memory, as [`Event::memory`] has it; over NATS, of messages.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { events: 65_536, bytes: 64 << 20 }
    }
}

/// Why there is no subscription.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BusError {
    /// It was closed before.
    #[error("the bus is closed")]
    Closed,
    /// The server's permissions do not allow it.
    #[error("the NATS server does not permit to subscribe to `{subject}`")]
    NotPermitted {
        /// What was asked for.
        subject: String,
    },
}

/// Nanoseconds since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}
