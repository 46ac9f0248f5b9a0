//! The bus over NATS.
//!
//! The protocol is spoken here rather than by a client library, because a library hands out one queue per subject, so that the order
//! between subjects is lost; counts messages, not bytes, so that memory is not bounded; and closes the connection when somebody
//! publishes a header or a subject that is not well-formed, which servers pass on. What is needed of the protocol are six words.

pub(crate) mod connect;
pub(crate) mod intake;
pub mod ledger;
pub(crate) mod link;
pub(crate) mod options;
pub(crate) mod outbox;
pub mod parts;
pub(crate) mod subject;
pub mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use event::{Event, Filter, KindId, NodeName};
use tokio::sync::oneshot;

use self::connect::OpenError;
use self::intake::{Intake, REPLAY_HEADER, needed};
use self::link::{Refused, Shared};
use self::options::{BusUrl, NatsOptions};
use self::outbox::{LIMIT, Offer};
use self::subject::{ReplayId, Root};
use crate::publisher::{self, Publisher};
use crate::queue::Queue;
use crate::subscription::{Counters, Subscription};
use crate::{BusError, Limits};

/// How long closing waits for a server that is slow or away.
const PATIENCE: Duration = Duration::from_secs(5);

/// Kinds of nodes that one replay numbers at a time.
const MAX_NUMBERED: usize = 64 << 10;

/// The bus over a NATS server.
#[derive(Clone, Debug)]
pub struct Nats {
    handle: Arc<Handle>,
    replay: Option<ReplayId>,
}

/// Ends the connection with the last bus, publisher or subscription.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    /// To be asked for their last words when the bus closes.
    publishers: Mutex<Vec<Weak<publisher::Inner>>>,
    replay_run: u64,
    /// Messages of the replay so far, by subject.
    replayed: Mutex<HashMap<String, u64>>,
}

impl Handle {
    /// Offers a message of a replay under the next number of its subject. Numbers are given when there is room and not before, so that their
    /// order is that of messages.
    fn offer_numbered(&self, subject: &str, event: &Event) -> Offer {
        let mut replayed = self.replayed.lock().expect("nothing panics while it holds the lock");
        if replayed.len() >= MAX_NUMBERED {
            replayed.clear();
        }
        let number = replayed.get(subject).copied().unwrap_or(0);
        let header = format!("{REPLAY_HEADER}: {}-{number}\r\n", self.replay_run);
        let offer = self.shared.outbox.offer(subject.as_bytes(), &header, event);
        if offer != Offer::Full {
            // also what is too large has a number: it is missing
            replayed.insert(subject.to_owned(), number + 1);
        }
        offer
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Nats {
    pub(crate) async fn open(url: &BusUrl, options: &NatsOptions, limit: Option<usize>) -> Result<Self, OpenError> {
        // what is wrong with files is wrong before the server is asked, and also where we would wait for it
        options.secret()?;
        let connection = match connect::connect(options, url.servers()).await {
            Ok(connection) => Some(connection),
            Err(error @ OpenError::Unreachable { .. }) if options.wait => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "NATS is away, waiting for it");
                None
            }
            Err(error) => return Err(error),
        };
        let shared = Arc::new(Shared::new(options.clone(), limit.unwrap_or(LIMIT)));
        if let Some(connection) = &connection {
            // here, not in the task: whoever subscribes next must find it connected
            shared.greet(connection);
        }
        let link = Arc::clone(&shared);
        tokio::spawn(async move { link.run(connection).await });
        let handle = Handle { shared, publishers: Mutex::default(), replay_run: crate::now(), replayed: Mutex::default() };
        Ok(Self { handle: Arc::new(handle), replay: options.replay.clone() })
    }

    /// How often a connection was made: once, and whenever it was lost.
    pub fn connections(&self) -> u64 {
        self.handle.shared.connections()
    }

    pub(crate) fn of_replay(&self, id: ReplayId) -> Self {
        Self { handle: Arc::clone(&self.handle), replay: Some(id) }
    }

    /// What is listened to, and published on.
    fn root(&self) -> Root {
        self.replay.as_ref().map_or_else(Root::live, Root::replay)
    }

    pub(crate) fn route(&self, node: &NodeName) -> Route {
        let root = self.root();
        let subjects = KindId::ALL.map(|id| root.subject(node.as_str(), id).into());
        Route { handle: Arc::clone(&self.handle), node: node.to_string(), subjects: Box::new(subjects), replay: !root.is_live() }
    }

    pub(crate) fn register(&self, publisher: &Publisher) {
        let mut publishers = self.handle.publishers.lock().expect("nothing panics while it holds the lock");
        publishers.retain(|publisher| publisher.strong_count() > 0);
        publishers.push(publisher.downgrade());
    }

    pub(crate) async fn subscribe(&self, filter: Filter, limits: Limits) -> Result<Subscription, BusError> {
        let root = self.root();
        let asked = Filter { kinds: needed(filter.kinds), nodes: filter.nodes.clone() };
        let subjects = root.covering(&asked);
        let queue: Arc<Queue<Bytes>> = Arc::new(Queue::new(limits));
        let counters = Arc::new(Counters::default());
        let intake = Intake::new(root, filter, Arc::clone(&queue), Arc::clone(&counters));
        let number = self.handle.shared.subscribe(subjects, intake).await.map_err(|refused| match refused {
            Refused::Closed => BusError::Closed,
            Refused::Subject(subject) => BusError::NotPermitted { subject },
        })?;
        Ok(Subscription::nats(Arc::clone(&self.handle), number, queue, counters))
    }

    pub(crate) async fn forward(&self, mut event: Event) {
        let Some(id) = event.id() else { return };
        event.replay = true;
        let root = self.replay.as_ref().map_or_else(|| Root::replay(&ReplayId::default()), Root::replay);
        let subject = root.subject(&event.node, id);
        let outbox = &self.handle.shared.outbox;
        let attempt = || self.handle.offer_numbered(&subject, &event);
        if outbox.wait_for_room(attempt).await == Offer::TooLarge {
            tracing::error!(%subject, sequence = event.sequence, "dropped an event that is larger than this server can be sent");
        }
        outbox.ring();
    }

    pub(crate) async fn close(&self) -> u64 {
        let shared = &self.handle.shared;
        let publishers = std::mem::take(&mut *self.handle.publishers.lock().expect("nothing panics while it holds the lock"));
        let flushed = tokio::time::timeout(PATIENCE, async {
            shared.flush().await;
            for publisher in publishers.iter().filter_map(Weak::upgrade) {
                publisher.finish();
            }
            shared.flush().await;
        });
        let in_time = flushed.await.is_ok();
        let unsent = shared.stop();
        if unsent > 0 {
            tracing::error!(unsent, "NATS did not take everything in time");
        } else if !in_time {
            tracing::warn!("NATS did not confirm in time that it got everything");
        }
        unsent
    }
}

impl Shared {
    /// Returns when the server has dealt with all that was accepted before, or when there is neither a server nor anything for it.
    async fn flush(&self) {
        loop {
            let (waiter, done) = oneshot::channel();
            // an error means that the connection was lost, and what was under way with it; the rest is still to be sent
            if !self.outbox.flush(waiter) || done.await.is_ok() {
                return;
            }
        }
    }
}

/// What a publisher keeps of the bus.
#[derive(Debug)]
pub(crate) struct Route {
    handle: Arc<Handle>,
    /// Lent to each event in turn.
    node: String,
    /// By kind.
    subjects: Box<[Box<str>; KindId::ALL.len()]>,
    /// They are those of a replay.
    replay: bool,
}

impl Route {
    /// Sends an event off; `false` if there was no room.
    pub(crate) fn push(&mut self, id: KindId, envelope: impl FnOnce(String) -> Event) -> bool {
        let mut event = envelope(std::mem::take(&mut self.node));
        let subject = &self.subjects[id.index()];
        let offer = if self.replay {
            event.replay = true;
            self.handle.offer_numbered(subject, &event)
        } else {
            self.handle.shared.outbox.offer(subject.as_bytes(), "", &event)
        };
        self.node = event.node;
        offer == Offer::Accepted
    }

    /// Call after events were pushed.
    pub(crate) fn flush(&self) {
        self.handle.shared.outbox.ring();
    }
}
