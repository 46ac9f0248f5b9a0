//! Reading: deliveries, and what became of the rest.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use event::Event;

use crate::local::{Local, Subscriber};
use crate::nats;
use crate::queue::{Queue, Slot};

/// What a subscriber gets.
#[derive(Clone, PartialEq, Debug)]
pub enum Delivery {
    /// An event.
    Event(Arc<Event>),
    /// So many events that it wanted are missing at this place, or, where a server or a network lost them, before this place.
    Missed(u64),
}

/// A stream of events. It ends when the bus is closed, after everything that came before.
///
/// A subscriber that is too slow loses what does not fit its [`Limits`](crate::Limits) and is told how much; nobody waits for it but
/// [`Bus::forward`](crate::Bus::forward). Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    source: Source,
    counters: Arc<Counters>,
    /// Deliveries since the runtime was last given a chance to do something else.
    in_a_row: u32,
}

#[derive(Debug)]
enum Source {
    Local { bus: Local, subscriber: Arc<Subscriber>, taken: VecDeque<Slot<Arc<Event>>> },
    Nats { handle: Arc<nats::Handle>, number: u64, queue: Arc<Queue<Bytes>>, taken: VecDeque<Slot<Bytes>> },
}

/// After so many deliveries in a row, other tasks of the thread get their turn.
const TURN: u32 = 64;

impl Subscription {
    pub(crate) fn local(bus: Local, subscriber: Arc<Subscriber>) -> Self {
        let source = Source::Local { bus, subscriber, taken: VecDeque::new() };
        Self { source, counters: Arc::default(), in_a_row: 0 }
    }

    pub(crate) fn nats(handle: Arc<nats::Handle>, number: u64, queue: Arc<Queue<Bytes>>, counters: Arc<Counters>) -> Self {
        Self { source: Source::Nats { handle, number, queue, taken: VecDeque::new() }, counters, in_a_row: 0 }
    }

    /// What comes next; `None` at the end.
    pub async fn next(&mut self) -> Option<Delivery> {
        poll_fn(|cx| self.poll_delivery(cx)).await
    }

    /// Appends what is at hand to `out`, at most `max`, and waits only if nothing is; `false` at the end.
    pub async fn next_batch(&mut self, out: &mut Vec<Delivery>, max: usize) -> bool {
        let Some(first) = self.next().await else { return false };
        out.push(first);
        for _ in 1..max {
            match self.take_one() {
                Some(delivery) => out.push(delivery),
                None => break,
            }
        }
        true
    }

    /// What was received, missed and refused so far.
    pub fn stats(&self) -> Stats {
        self.counters.stats()
    }

    fn poll_delivery(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        if self.in_a_row >= TURN {
            let turn = ready!(tokio::task::coop::poll_proceed(cx));
            turn.made_progress();
            self.in_a_row = 0;
        }
        loop {
            if let Some(delivery) = self.take_one() {
                self.in_a_row += 1;
                return Poll::Ready(Some(delivery));
            }
            let more = match &mut self.source {
                Source::Local { subscriber, taken, .. } => ready!(subscriber.queue.poll_take(cx, taken)),
                Source::Nats { queue, taken, .. } => ready!(queue.poll_take(cx, taken)),
            };
            if !more {
                return Poll::Ready(None);
            }
        }
    }

    /// The next of those that were taken from the queue.
    fn take_one(&mut self) -> Option<Delivery> {
        match &mut self.source {
            Source::Local { taken, .. } => Some(match taken.pop_front()? {
                Slot::Item(event, _) => Delivery::Event(event),
                Slot::Missed(count) => missed(&self.counters, count),
            }),
            Source::Nats { taken, .. } => Some(match taken.pop_front()? {
                Slot::Missed(count) => missed(&self.counters, count),
                Slot::Item(bytes, _) => match Event::from_bytes(bytes) {
                    Ok(event) => Delivery::Event(Arc::new(event)),
                    // the books say that it came: it is missing here
                    Err(_) => {
                        self.counters.undecodable(1);
                        missed(&self.counters, 1)
                    }
                },
            }),
        }
    }
}

fn missed(counters: &Counters, count: u64) -> Delivery {
    counters.missed(count);
    Delivery::Missed(count)
}

impl Drop for Subscription {
    fn drop(&mut self) {
        match &self.source {
            Source::Local { bus, subscriber, .. } => bus.unsubscribe(subscriber),
            Source::Nats { handle, number, .. } => handle.shared.unsubscribe(*number),
        }
    }
}

impl futures_core::Stream for Subscription {
    type Item = Delivery;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.get_mut().poll_delivery(cx)
    }
}

/// What became of messages that were no deliveries. In the process only `missed` can be anything but 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Stats {
    /// Events told as [`Delivery::Missed`].
    pub missed: u64,
    /// Messages that are no events, or parts that cannot be.
    pub undecodable: u64,
    /// Events of kinds that only a newer release knows.
    pub unknown_kind: u64,
    /// Events on the subject of another node or kind.
    pub foreign_subject: u64,
    /// Events of which not all parts came; they are among those missed as soon as their source beats.
    pub incomplete: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    missed: AtomicU64,
    undecodable: AtomicU64,
    unknown_kind: AtomicU64,
    foreign_subject: AtomicU64,
    incomplete: AtomicU64,
}

impl Counters {
    fn stats(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            missed: get(&self.missed),
            undecodable: get(&self.undecodable),
            unknown_kind: get(&self.unknown_kind),
            foreign_subject: get(&self.foreign_subject),
            incomplete: get(&self.incomplete),
        }
    }

    pub(crate) fn missed(&self, count: u64) {
        self.missed.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn undecodable(&self, count: u64) {
        self.undecodable.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn unknown_kind(&self, count: u64) {
        self.unknown_kind.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn foreign_subject(&self, count: u64) {
        self.foreign_subject.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn incomplete(&self, count: u64) {
        if count > 0 {
            self.incomplete.fetch_add(count, Ordering::Relaxed);
        }
    }
}
