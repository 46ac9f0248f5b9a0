//! The bus inside one process: a queue per subscriber.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use event::{Event, Filter, KindId, KindSet, NodeName};

use crate::queue::Queue;
use crate::subscription::Subscription;
use crate::{BusError, Limits};

/// Events that go to the queues under one lock each.
const BATCH: usize = 256;

/// The bus inside one process.
#[derive(Clone, Debug, Default)]
pub struct Local(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    subscribers: Mutex<Subscribers>,
    /// Changes with the subscribers, so that publishers know when to look again.
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct Subscribers {
    all: Vec<Arc<Subscriber>>,
    closed: bool,
}

/// Somebody who reads.
#[derive(Debug)]
pub(crate) struct Subscriber {
    filter: Filter,
    pub(crate) queue: Queue<Arc<Event>>,
}

impl Local {
    pub(crate) fn subscribe(&self, filter: Filter, limits: Limits) -> Result<Subscription, BusError> {
        let subscriber = Arc::new(Subscriber { filter, queue: Queue::new(limits) });
        self.change(|subscribers| {
            if subscribers.closed {
                return Err(BusError::Closed);
            }
            subscribers.all.push(Arc::clone(&subscriber));
            Ok(())
        })?;
        Ok(Subscription::local(self.clone(), subscriber))
    }

    pub(crate) fn unsubscribe(&self, subscriber: &Arc<Subscriber>) {
        subscriber.queue.close();
        self.change(|subscribers| subscribers.all.retain(|other| !Arc::ptr_eq(other, subscriber)));
    }

    pub(crate) async fn forward(&self, event: Event) {
        let Some(id) = event.id() else { return };
        let wanted_by = |s: &&Arc<Subscriber>| s.filter.kinds.contains(id) && s.filter.matches_node(&event.node);
        let subscribers: Vec<_> = self.lock().all.iter().filter(wanted_by).map(Arc::clone).collect();
        let size = event.memory();
        let event = Arc::new(event);
        for subscriber in subscribers {
            subscriber.queue.push_wait(Arc::clone(&event), size).await;
        }
    }

    pub(crate) fn close(&self) {
        let subscribers = self.change(|subscribers| {
            subscribers.closed = true;
            std::mem::take(&mut subscribers.all)
        });
        for subscriber in subscribers {
            subscriber.queue.close();
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Subscribers) -> T) -> T {
        let mut subscribers = self.lock();
        let result = change(&mut subscribers);
        self.0.generation.fetch_add(1, Ordering::Release);
        result
    }

    fn lock(&self) -> MutexGuard<'_, Subscribers> {
        self.0.subscribers.lock().expect("nothing panics while it holds the lock")
    }
}

/// What a publisher keeps of the bus: who wants events of its node, and events that are under way to them.
#[derive(Debug)]
pub(crate) struct Route {
    bus: Local,
    node: NodeName,
    generation: Option<u64>,
    subscribers: Vec<Arc<Subscriber>>,
    /// What any of them wants.
    wanted: KindSet,
    batch: Vec<Ready>,
    /// Published last. Whoever drops an event last frees it, and freeing on another thread than the one that allocates makes the two
    /// wait for each other in the allocator, half of the time at a million events a second. So it should be this one. Each beat lets
    /// go of all: nothing is kept for longer than a second.
    kept: VecDeque<(Arc<Event>, usize)>,
    kept_bytes: usize,
}

/// Events kept, and their bytes: as many as are under way to subscribers that keep up.
const KEPT: usize = 4096;
const KEPT_BYTES: usize = 4 << 20;

#[derive(Debug)]
struct Ready {
    event: Arc<Event>,
    id: KindId,
    size: usize,
}

impl Route {
    pub(crate) fn new(bus: Local, node: NodeName) -> Self {
        Self {
            bus,
            node,
            generation: None,
            subscribers: Vec::new(),
            wanted: KindSet::NONE,
            batch: Vec::new(),
            kept: VecDeque::new(),
            kept_bytes: 0,
        }
    }

    /// Call before events are pushed: sees subscribers that came or went.
    pub(crate) fn refresh(&mut self) {
        let generation = self.bus.0.generation.load(Ordering::Acquire);
        if self.generation == Some(generation) {
            return;
        }
        self.generation = Some(generation);
        let of_node = |s: &&Arc<Subscriber>| s.filter.matches_node(self.node.as_str());
        self.subscribers = self.bus.lock().all.iter().filter(of_node).map(Arc::clone).collect();
        self.wanted = self.subscribers.iter().fold(KindSet::NONE, |set, s| set.union(s.filter.kinds));
    }

    /// Whether an event of this kind would reach anybody.
    pub(crate) fn wants(&self, id: KindId) -> bool {
        self.wanted.contains(id)
    }

    /// Adds an event; it arrives with [`Route::flush`] at the latest.
    pub(crate) fn push(&mut self, event: Event, id: KindId) {
        if id == KindId::HealthBeat {
            self.kept.clear();
            self.kept_bytes = 0;
        }
        let size = event.memory();
        self.batch.push(Ready { event: Arc::new(event), id, size });
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    pub(crate) fn flush(&mut self) {
        for subscriber in &self.subscribers {
            let kinds = &subscriber.filter.kinds;
            let wanted = self.batch.iter().filter(|ready| kinds.contains(ready.id));
            subscriber.queue.push_all(wanted.map(|ready| (Arc::clone(&ready.event), ready.size)));
        }
        for Ready { event, size, .. } in self.batch.drain(..) {
            self.kept_bytes += size;
            self.kept.push_back((event, size));
        }
        while self.kept.len() > KEPT || self.kept_bytes > KEPT_BYTES {
            let Some((_, size)) = self.kept.pop_front() else { break };
            self.kept_bytes -= size;
        }
    }
}
