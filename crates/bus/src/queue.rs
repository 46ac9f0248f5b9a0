//! The bounded queue in front of every subscriber: any number of publishers, one reader, and loss told at its place.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

use crate::Limits;

/// Most slots that the reader takes at once. They no longer count against the limits, so this is also how far memory may go
/// beyond them.
const TAKE: usize = 512;
/// Most bytes that the reader takes at once, if that is more than one item.
const TAKE_BYTES: usize = 1 << 20;

/// What is at one place of a queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Slot<T> {
    /// An item and its size in bytes.
    Item(T, usize),
    /// So many were dropped here.
    Missed(u64),
}

/// A bounded queue. When it is full, [`Queue::push_all`] drops and counts, and [`Queue::push_wait`] waits.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    limits: Limits,
    state: Mutex<State<T>>,
    /// Rung when there is room again and somebody wants it.
    room: Notify,
}

#[derive(Debug)]
struct State<T> {
    slots: VecDeque<Slot<T>>,
    /// Items in `slots`.
    items: usize,
    bytes: usize,
    /// Dropped behind the last slot.
    missed: u64,
    closed: bool,
    /// The reader, when it sleeps.
    reader: Option<Waker>,
    room_wanted: bool,
}

impl<T> Queue<T> {
    pub(crate) fn new(limits: Limits) -> Self {
        let state =
            State { slots: VecDeque::new(), items: 0, bytes: 0, missed: 0, closed: false, reader: None, room_wanted: false };
        Self { limits, state: Mutex::new(state), room: Notify::new() }
    }

    /// Adds items with their sizes in bytes, under one lock. Those for which there is no room are dropped and counted.
    pub(crate) fn push_all(&self, items: impl IntoIterator<Item = (T, usize)>) {
        self.write(|state| {
            for (item, size) in items {
                if state.push(item, size, self.limits).is_err() {
                    state.missed += 1;
                }
            }
        });
    }

    /// Adds one item as soon as there is room for it.
    pub(crate) async fn push_wait(&self, item: T, size: usize) {
        let mut item = Some(item);
        loop {
            let mut room = pin!(self.room.notified());
            // from here on a ring is not overheard
            room.as_mut().enable();
            self.write(|state| {
                item = item.take().and_then(|item| state.push(item, size, self.limits).err());
                state.room_wanted |= item.is_some();
            });
            if item.is_none() {
                return;
            }
            room.await;
        }
    }

    /// Says that events were lost at this place, on the way here.
    pub(crate) fn push_missed(&self, count: u64) {
        self.write(|state| state.missed = state.missed.saturating_add(count));
    }

    /// Moves what comes next to `out`, which is empty; `false` at the end of the stream.
    pub(crate) fn poll_take(&self, cx: &Context<'_>, out: &mut VecDeque<Slot<T>>) -> Poll<bool> {
        let mut state = self.lock();
        if state.slots.is_empty() {
            if state.missed > 0 {
                out.push_back(Slot::Missed(std::mem::take(&mut state.missed)));
                return Poll::Ready(true);
            }
            if state.closed {
                return Poll::Ready(false);
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.take(out);
        if std::mem::take(&mut state.room_wanted) {
            drop(state);
            self.room.notify_waiters();
        }
        Poll::Ready(true)
    }

    /// Ends the stream behind what is in the queue. What is pushed from now on is ignored.
    pub(crate) fn close(&self) {
        self.write(|state| state.closed = true);
        self.room.notify_waiters();
    }

    fn write(&self, change: impl FnOnce(&mut State<T>)) {
        let mut state = self.lock();
        change(&mut state);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }
}

impl<T> State<T> {
    /// Gives the item back where there is no room for it.
    fn push(&mut self, item: T, size: usize, limits: Limits) -> Result<(), T> {
        if self.closed {
            return Ok(());
        }
        // one item has room however large it is, otherwise it could never pass
        let full = self.items >= limits.events || self.bytes.saturating_add(size) > limits.bytes;
        if full && self.items > 0 {
            return Err(item);
        }
        if self.missed > 0 {
            self.slots.push_back(Slot::Missed(std::mem::take(&mut self.missed)));
        }
        self.slots.push_back(Slot::Item(item, size));
        self.items += 1;
        self.bytes += size;
        Ok(())
    }

    fn take(&mut self, out: &mut VecDeque<Slot<T>>) {
        if self.slots.len() <= TAKE && self.bytes <= TAKE_BYTES {
            std::mem::swap(&mut self.slots, out);
            (self.items, self.bytes) = (0, 0);
            return;
        }
        let mut taken = 0;
        while out.len() < TAKE && taken < TAKE_BYTES {
            let Some(slot) = self.slots.pop_front() else { break };
            if let Slot::Item(_, size) = &slot {
                self.items -= 1;
                taken += size;
            }
            out.push_back(slot);
        }
        self.bytes -= taken;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { events: 4, bytes: 100 };

    fn take<T>(queue: &Queue<T>) -> Option<Vec<Slot<T>>> {
        let mut out = VecDeque::new();
        match queue.poll_take(&Context::from_waker(Waker::noop()), &mut out) {
            Poll::Ready(false) => None,
            Poll::Ready(true) | Poll::Pending => Some(out.into()),
        }
    }

    fn items(range: std::ops::Range<u32>, size: usize) -> Vec<(u32, usize)> {
        range.map(|n| (n, size)).collect()
    }

    #[test]
    fn what_does_not_fit_is_counted_at_its_place() {
        let queue = Queue::new(LIMITS);
        queue.push_all(items(0..6, 1));
        let mut expect: Vec<_> = (0..4).map(|n| Slot::Item(n, 1)).collect();
        assert_eq!(take(&queue).unwrap(), expect);
        queue.push_all(items(6..8, 1));
        expect = vec![Slot::Missed(2), Slot::Item(6, 1), Slot::Item(7, 1)];
        assert_eq!(take(&queue).unwrap(), expect);
    }

    #[test]
    fn bytes_are_a_limit_too() {
        let queue = Queue::new(LIMITS);
        queue.push_all(items(0..4, 40));
        assert_eq!(take(&queue).unwrap(), [Slot::Item(0, 40), Slot::Item(1, 40)]);
        assert_eq!(take(&queue).unwrap(), [Slot::Missed(2)]);
    }

    #[test]
    fn an_item_larger_than_the_limit_passes_alone() {
        let queue = Queue::new(LIMITS);
        queue.push_all(items(0..2, 1000));
        assert_eq!(take(&queue).unwrap(), [Slot::Item(0, 1000)]);
        assert_eq!(take(&queue).unwrap(), [Slot::Missed(1)]);
    }

    #[test]
    fn loss_is_told_before_the_end() {
        let queue = Queue::<u32>::new(LIMITS);
        queue.push_missed(3);
        queue.close();
        queue.push_all(items(0..1, 1));
        assert_eq!(take(&queue), Some(vec![Slot::Missed(3)]));
        assert_eq!(take(&queue), None);
    }

    #[test]
    fn the_reader_takes_a_bounded_piece() {
        let queue = Queue::new(Limits { events: 10_000, bytes: usize::MAX });
        queue.push_all(items(0..1000, 1));
        assert_eq!(take(&queue).unwrap().len(), TAKE);
        queue.push_all(items(0..10, TAKE_BYTES));
        assert_eq!(take(&queue).unwrap().len(), 1000 - TAKE + 1);
        assert_eq!(take(&queue).unwrap().len(), 1);
    }
}
