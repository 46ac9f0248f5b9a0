//! What waits for one client: frames, shared with whoever asked for the same, and word of what it missed.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::Notify;

/// Something to send, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Slot {
    /// `{"events":[…]}`, and how many.
    Events(Utf8Bytes, u64),
    /// So many events are missing at this place.
    Missed(u64),
    /// Everything up to this time is before it, nanoseconds since the epoch.
    Beat(u64),
    /// Any other message.
    Note(Utf8Bytes),
}

/// Slots that are no events: a client that reads nothing gets no more of them either.
const SLOTS: usize = 512;

/// What may wait of answers and notes for one client, bytes: the longest answer twice. Events have a limit of their own.
const NOTES: usize = 128 << 10;

/// Beats that wait for a client which takes nothing: after so many seconds it is given up.
const GIVEN_UP: u32 = 60;

/// What waits for one client. Full means: drop and count; the count stands at its place.
#[derive(Debug, Default)]
pub struct Queue {
    inner: Mutex<Inner>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    slots: VecDeque<Slot>,
    bytes: usize,
    /// Bytes of notes.
    notes: usize,
    events: u64,
    /// Beats since anything was taken.
    waited: u32,
    closed: bool,
}

impl Queue {
    /// Adds a frame of so many events. Into an empty queue any frame fits. Gives back how many events were dropped.
    pub fn push_events(&self, text: &Utf8Bytes, events: u64, limit: usize) -> u64 {
        let mut inner = self.lock();
        let fits = inner.bytes == 0 || (inner.bytes + text.len() <= limit && inner.slots.len() < SLOTS);
        if fits {
            inner.bytes += text.len();
            inner.events += events;
            inner.slots.push_back(Slot::Events(text.clone(), events));
        } else {
            inner.missed(events);
        }
        drop(inner);
        self.ready.notify_one();
        if fits { 0 } else { events }
    }

    /// Tells that so many events are missing here.
    pub fn push_missed(&self, count: u64) {
        self.lock().missed(count);
        self.ready.notify_one();
    }

    /// Adds a message that is no event, if there is room.
    pub fn push(&self, slot: Slot) {
        let length = slot.note();
        let mut inner = self.lock();
        let fits = inner.notes == 0 || inner.notes + length <= NOTES;
        if inner.slots.len() >= SLOTS || !fits {
            return;
        }
        inner.notes += length;
        inner.slots.push_back(slot);
        drop(inner);
        self.ready.notify_one();
    }

    /// Adds a beat; false if there is nobody who takes anything.
    pub fn beat(&self, time: u64) -> bool {
        self.push(Slot::Beat(time));
        let mut inner = self.lock();
        inner.waited += 1;
        inner.waited < GIVEN_UP
    }

    /// Whether anything may still come.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// No more comes.
    pub fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_one();
    }

    /// What comes next; `None` at the end.
    pub async fn next(&self) -> Option<Slot> {
        loop {
            // before the look: what is pushed in between wakes
            let ready = self.ready.notified();
            {
                let mut inner = self.lock();
                if let Some(slot) = inner.take() {
                    return Some(slot);
                }
                if inner.closed {
                    return None;
                }
            }
            ready.await;
        }
    }

    /// Events that wait.
    pub fn events(&self) -> u64 {
        self.lock().events
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while it holds the lock")
    }
}

impl Slot {
    /// Bytes of a note; none of anything else.
    fn note(&self) -> usize {
        if let Self::Note(text) = self { text.len() } else { 0 }
    }
}

impl Inner {
    fn missed(&mut self, count: u64) {
        match self.slots.back_mut() {
            Some(Slot::Missed(before)) => *before += count,
            _ => self.slots.push_back(Slot::Missed(count)),
        }
    }

    fn take(&mut self) -> Option<Slot> {
        let slot = self.slots.pop_front()?;
        self.waited = 0;
        self.notes -= slot.note();
        if let Slot::Events(text, events) = &slot {
            self.bytes -= text.len();
            self.events -= events;
        }
        if self.slots.is_empty() {
            // a burst should not be remembered by its memory
            self.slots.shrink_to(8);
        }
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(queue: &Queue) -> Vec<Slot> {
        queue.close();
        let mut slots = vec![];
        while let Some(slot) = queue.next().await {
            slots.push(slot);
        }
        slots
    }

    #[tokio::test]
    async fn what_does_not_fit_is_counted_at_its_place() {
        let (queue, text) = (Queue::default(), Utf8Bytes::from_static("0123456789"));
        assert_eq!(queue.push_events(&text, 1, 25), 0);
        assert_eq!(queue.push_events(&text, 2, 25), 0);
        assert_eq!(queue.push_events(&text, 3, 25), 3);
        assert_eq!(queue.push_events(&text, 4, 25), 4);
        assert_eq!((queue.events(), queue.next().await), (3, Some(Slot::Events(text.clone(), 1))));
        assert_eq!(queue.push_events(&text, 5, 25), 0);
        queue.push(Slot::Beat(9));
        let expect = [Slot::Events(text.clone(), 2), Slot::Missed(7), Slot::Events(text, 5), Slot::Beat(9)];
        assert_eq!(all(&queue).await, expect);
    }

    #[tokio::test]
    async fn a_frame_larger_than_the_limit_passes_alone() {
        let (queue, text) = (Queue::default(), Utf8Bytes::from_static("0123456789"));
        queue.push_events(&text, 1, 5);
        queue.push_events(&text, 1, 5);
        assert_eq!(all(&queue).await, [Slot::Events(text, 1), Slot::Missed(1)]);
    }

    #[tokio::test]
    async fn who_takes_nothing_for_long_is_given_up() {
        let queue = Queue::default();
        assert_eq!((0..100).take_while(|time| queue.beat(*time)).count(), 59);
        queue.next().await;
        assert!(queue.beat(0));
    }

    /// Who asks and does not read the answers is answered no more.
    #[tokio::test]
    async fn answers_that_wait_are_bounded() {
        let queue = Queue::default();
        let note = |length| Slot::Note("x".repeat(length).into());
        queue.push(note(2 * NOTES));
        queue.push(note(1));
        assert_eq!(queue.next().await, Some(note(2 * NOTES)));
        for _ in 0..50 {
            queue.push(note(64 << 10));
            queue.push(Slot::Beat(1));
        }
        let slots = all(&queue).await;
        let waited: usize = slots.iter().map(Slot::note).sum();
        assert_eq!((waited, slots.len()), (NOTES, 52), "beats are small, and say that the server lives");
    }

    #[tokio::test]
    async fn who_reads_nothing_gets_a_bounded_number_of_beats() {
        let queue = Queue::default();
        (0..10_000).for_each(|time| queue.push(Slot::Beat(time)));
        assert_eq!(all(&queue).await.len(), SLOTS);
    }
}
