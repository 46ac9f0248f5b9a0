//! What is to be written to the server: events as the bytes that they are sent as, bounded, in order.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard};

use event::Event;
use event::recording::MAX_EVENT;
use prost::Message as _;
use tokio::sync::{Notify, oneshot};

use super::parts::{HEADER_ROOM, HEADER_START, MAX_PARTS, Part};
use super::wire;

/// Bytes of events that wait for the server at most. When they are full, publishers drop and count.
///
/// At 100 bytes for a small event this is a second of the highest rate, or hours of an ordinary node.
pub(crate) const LIMIT: usize = 32 << 20;

/// Bytes that are written at once: what a lost connection takes with it, beside what the kernel holds.
const CHUNK: usize = 64 << 10;

/// What servers take at once unless they are configured otherwise.
const DEFAULT_MAX_PAYLOAD: usize = 1 << 20;

/// Who waits until the server has dealt with everything before.
pub(crate) type Waiters = Vec<oneshot::Sender<()>>;

#[derive(Debug)]
pub(crate) struct Outbox {
    limit: usize,
    state: Mutex<State>,
    /// Rung when there is something to write.
    work: Notify,
    /// Rung when there is room again and somebody wants it.
    room: Notify,
}

#[derive(Debug)]
struct State {
    connected: bool,
    max_payload: usize,
    /// Whether the server takes headers; without, large events cannot be sent.
    headers: bool,
    /// Subscriptions and answers: written before any event.
    urgent: Vec<u8>,
    /// They wait for what is in `urgent`.
    urgent_waiters: Waiters,
    chunks: VecDeque<Chunk>,
    bytes: usize,
    /// Events of the chunk that is being written, or was when the connection was lost.
    writing: u64,
    /// Empty, to be used again.
    spare: Vec<u8>,
    room_wanted: bool,
    /// Nothing is sent any more: what is offered is forgotten.
    closed: bool,
}

#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// Length of the largest message in it.
    largest: usize,
    events: u64,
    /// They wait for what is in the chunk.
    waiters: Waiters,
}

/// What is to be written now; when `waiters` are given, followed by a `PING` whose answer they wait for.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) urgent: Vec<u8>,
    pub(crate) events: Vec<u8>,
    pub(crate) waiters: Option<Waiters>,
}

/// What became of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Offer {
    Accepted,
    Full,
    /// No server or subscriber would take it.
    TooLarge,
}

impl Outbox {
    pub(crate) fn new(limit: usize) -> Self {
        let state = State {
            connected: false,
            max_payload: DEFAULT_MAX_PAYLOAD,
            headers: true,
            urgent: Vec::new(),
            urgent_waiters: Vec::new(),
            chunks: VecDeque::new(),
            bytes: 0,
            writing: 0,
            spare: Vec::new(),
            room_wanted: false,
            closed: false,
        };
        Self { limit, state: Mutex::new(state), work: Notify::new(), room: Notify::new() }
    }

    /// Adds an event if there is room. `headers` are lines that its messages shall have. Call [`Outbox::ring`] afterwards.
    pub(crate) fn offer(&self, subject: &[u8], headers: &str, event: &Event) -> Offer {
        let length = event.encoded_len();
        let mut state = self.lock();
        if state.closed {
            return Offer::Accepted;
        }
        let block = if headers.is_empty() { 0 } else { HEADER_START.len() + headers.len() + 2 };
        let frame = subject.len() + block + wire::OVERHEAD;
        if length + block <= state.max_payload {
            if !state.has_room(length + frame, self.limit) {
                return Offer::Full;
            }
            let block = if headers.is_empty() { String::new() } else { format!("{HEADER_START}{headers}\r\n") };
            state.message(subject, block.as_bytes(), length, |out| event.encode(out).expect("a Vec grows")).events += 1;
            return Offer::Accepted;
        }
        let piece = state.max_payload.saturating_sub(HEADER_ROOM + block);
        let count = if piece == 0 { u64::MAX } else { length.div_ceil(piece) as u64 };
        if !state.headers || count > MAX_PARTS || length > MAX_EVENT {
            return Offer::TooLarge;
        }
        if !state.has_room(length + count as usize * (frame + HEADER_ROOM), self.limit) {
            return Offer::Full;
        }
        let bytes = event.encode_to_vec();
        for (index, bytes) in bytes.chunks(piece).enumerate() {
            let part = Part {
                source: u64::try_from(event.source).unwrap_or(u64::MAX),
                run: event.run,
                sequence: event.sequence,
                index: index as u64,
                count,
                size: length as u64,
            };
            let block = format!("{HEADER_START}{}{headers}\r\n", part.header());
            let chunk = state.message(subject, block.as_bytes(), bytes.len(), |out| out.extend_from_slice(bytes));
            chunk.events += u64::from(index == 0);
        }
        Offer::Accepted
    }

    /// Wakes who writes.
    pub(crate) fn ring(&self) {
        self.work.notify_one();
    }

    /// Waits until `attempt` finds room.
    pub(crate) async fn wait_for_room(&self, mut attempt: impl FnMut() -> Offer) -> Offer {
        loop {
            let mut room = pin!(self.room.notified());
            // from here on a ring is not overheard
            room.as_mut().enable();
            // before the attempt, so that room made right after it is rung for
            self.lock().room_wanted = true;
            match attempt() {
                Offer::Full => room.await,
                done => return done,
            }
        }
    }

    /// Adds something to be written before any event. `waiter` hears when the server has dealt with it, and ends when the connection is
    /// lost; while there is none, both are dropped: who connects knows what to say.
    pub(crate) fn urgent(&self, write: impl FnOnce(&mut Vec<u8>), waiter: Option<oneshot::Sender<()>>) {
        let mut state = self.lock();
        if state.connected {
            write(&mut state.urgent);
            state.urgent_waiters.extend(waiter);
            drop(state);
            self.ring();
        }
    }

    /// The waiter hears when the server has dealt with all events that were accepted before, and ends when the connection is lost.
    /// `false` if there is nothing to wait for: no server, and nothing that could be sent to one.
    pub(crate) fn flush(&self, waiter: oneshot::Sender<()>) -> bool {
        let mut state = self.lock();
        if state.closed || !state.connected && state.bytes == 0 {
            return false;
        }
        if state.chunks.is_empty() {
            state.chunks.push_back(Chunk::default());
        }
        if let Some(chunk) = state.chunks.back_mut() {
            chunk.waiters.push(waiter);
        }
        drop(state);
        self.ring();
        true
    }

    /// A connection was made: forget what was meant for the last one, and write `greeting` first. Gives back how many events had to be
    /// dropped because this server takes less at once than the one that they were made for.
    pub(crate) fn connect(&self, max_payload: usize, headers: bool, greeting: Vec<u8>) -> u64 {
        let mut state = self.lock();
        let fits = |chunk: &Chunk| chunk.largest <= max_payload;
        let dropped: u64 = state.chunks.iter().filter(|chunk| !fits(chunk)).map(|chunk| chunk.events).sum();
        state.chunks.retain(fits);
        state.bytes = state.chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        (state.connected, state.max_payload, state.headers) = (true, max_payload, headers);
        state.urgent = greeting;
        state.urgent_waiters.clear();
        drop(state);
        self.ring();
        dropped
    }

    pub(crate) fn disconnect(&self) {
        let mut state = self.lock();
        state.connected = false;
        state.urgent.clear();
        state.urgent_waiters.clear();
        if state.bytes == 0 {
            // who waits for nothing but the server's word need not wait for the next server
            state.chunks.clear();
        }
    }

    /// Forgets everything. Gives back how many events that is, with those that were not written to their end.
    pub(crate) fn close(&self) -> u64 {
        let mut state = self.lock();
        let unsent = state.waiting() + state.writing;
        state.closed = true;
        state.chunks.clear();
        (state.bytes, state.writing) = (0, 0);
        drop(state);
        self.room.notify_waiters();
        unsent
    }

    /// What was to be written is.
    pub(crate) fn written(&self) {
        self.lock().writing = 0;
    }

    /// What is to be written next.
    pub(crate) async fn next(&self, written: Vec<u8>) -> Work {
        {
            let mut state = self.lock();
            if written.capacity() > state.spare.capacity() && written.capacity() <= 2 * CHUNK {
                state.spare = written;
                state.spare.clear();
            }
        }
        loop {
            let mut ring = pin!(self.work.notified());
            ring.as_mut().enable();
            if let Some(work) = self.take() {
                return work;
            }
            ring.await;
        }
    }

    fn take(&self) -> Option<Work> {
        let mut state = self.lock();
        if state.urgent.is_empty() && state.chunks.is_empty() && state.urgent_waiters.is_empty() {
            return None;
        }
        let mut waiters = std::mem::take(&mut state.urgent_waiters);
        let urgent = std::mem::take(&mut state.urgent);
        let chunk = state.chunks.pop_front().unwrap_or_default();
        state.bytes -= chunk.bytes.len();
        state.writing = chunk.events;
        waiters.extend(chunk.waiters);
        let rang = std::mem::take(&mut state.room_wanted);
        drop(state);
        if rang {
            self.room.notify_waiters();
        }
        let waiters = (!waiters.is_empty()).then_some(waiters);
        Some(Work { urgent, events: chunk.bytes, waiters })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }
}

impl State {
    fn waiting(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.events).sum()
    }

    fn has_room(&self, bytes: usize, limit: usize) -> bool {
        // one event has room however large it is, otherwise it could never pass
        self.bytes + bytes <= limit || self.bytes == 0
    }

    fn message(&mut self, subject: &[u8], headers: &[u8], payload: usize, write: impl FnOnce(&mut Vec<u8>)) -> &mut Chunk {
        let most = wire::OVERHEAD + subject.len() + headers.len() + payload;
        let begun = self.chunks.back().is_some_and(|chunk| chunk.waiters.is_empty() && chunk.bytes.len() + most <= CHUNK);
        if !begun {
            let mut chunk = Chunk { bytes: std::mem::take(&mut self.spare), ..Chunk::default() };
            // many wait already: this one will be filled
            chunk.bytes.reserve(if self.chunks.is_empty() { most } else { most.max(CHUNK) });
            self.chunks.push_back(chunk);
        }
        let chunk = self.chunks.back_mut().expect("one was there or was pushed");
        let before = chunk.bytes.len();
        wire::publish(&mut chunk.bytes, subject, headers, payload);
        write(&mut chunk.bytes);
        chunk.bytes.extend_from_slice(b"\r\n");
        chunk.largest = chunk.largest.max(headers.len() + payload);
        self.bytes += chunk.bytes.len() - before;
        chunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{NetBlock, NetPing, Source};

    fn ping() -> Event {
        Event::new("n", Source::Ebpf, NetPing::default())
    }

    fn block(size: usize) -> Event {
        Event::new("n", Source::Ebpf, NetBlock { raw: Some(vec![7; size].into()), ..NetBlock::default() })
    }

    fn written(outbox: &Outbox) -> String {
        outbox.take().map(|work| work.events.escape_ascii().to_string()).unwrap_or_default()
    }

    #[test]
    fn an_event_is_a_message() {
        let outbox = Outbox::new(1000);
        assert_eq!(outbox.offer(b"po.n.net.ping", "", &ping()), Offer::Accepted);
        assert_eq!(outbox.offer(b"s", "A: b\r\n", &ping()), Offer::Accepted);
        let event = ping().to_bytes().escape_ascii().to_string();
        let length = ping().encoded_len();
        let expect =
            format!(r"PUB po.n.net.ping {length}\r\n{event}\r\nHPUB s 18 {}\r\nNATS/1.0\r\nA: b\r\n\r\n{event}\r\n", length + 18);
        assert_eq!((written(&outbox), outbox.lock().bytes), (expect, 0));
    }

    #[test]
    fn full_is_full_and_one_always_fits() {
        let outbox = Outbox::new(1000);
        let accepted = (0..100).filter(|_| outbox.offer(b"s", "", &ping()) == Offer::Accepted).count();
        assert!((10..60).contains(&accepted) && outbox.lock().bytes <= 1000, "{accepted}");
        assert_eq!(outbox.lock().waiting(), accepted as u64);
        while outbox.take().is_some() {}
        assert_eq!(outbox.offer(b"s", "", &block(5000)), Offer::Accepted);
        assert_eq!(outbox.offer(b"s", "", &ping()), Offer::Full);
    }

    #[test]
    fn what_no_server_takes_is_refused() {
        let outbox = Outbox::new(usize::MAX);
        assert_eq!(outbox.offer(b"s", "", &block(MAX_EVENT)), Offer::TooLarge);
        outbox.connect(1000, false, Vec::new());
        assert_eq!(outbox.offer(b"s", "", &block(1000)), Offer::TooLarge);
        outbox.connect(1000, true, Vec::new());
        assert_eq!(outbox.offer(b"s", "", &block(1000)), Offer::Accepted);
        outbox.connect(100, true, Vec::new());
        assert_eq!(outbox.offer(b"s", "", &block(1000)), Offer::TooLarge);
    }

    #[test]
    fn a_server_that_takes_less_is_not_offended() {
        let outbox = Outbox::new(usize::MAX);
        outbox.offer(b"s", "", &ping());
        outbox.offer(b"s", "", &block(100_000));
        assert_eq!(outbox.connect(50_000, true, b"SUB".to_vec()), 1);
        assert_eq!(outbox.lock().waiting(), 1);
        assert_eq!(outbox.take().unwrap().urgent, b"SUB");
    }

    #[test]
    fn closing_says_what_was_not_written() {
        let outbox = Outbox::new(usize::MAX);
        outbox.connect(1 << 20, true, Vec::new());
        for _ in 0..3 {
            outbox.offer(b"s", "", &ping());
        }
        outbox.take().unwrap();
        outbox.offer(b"s", "", &ping());
        outbox.disconnect();
        assert_eq!((outbox.close(), outbox.close()), (4, 0));

        let outbox = Outbox::new(usize::MAX);
        outbox.offer(b"s", "", &ping());
        outbox.take().unwrap();
        outbox.written();
        assert_eq!(outbox.close(), 0);
    }

    #[test]
    fn nobody_waits_for_nothing() {
        let outbox = Outbox::new(usize::MAX);
        let flush = || {
            let (waiter, done) = oneshot::channel();
            (outbox.flush(waiter), done)
        };
        assert!(!flush().0, "no server, nothing to send");
        outbox.connect(1 << 20, true, Vec::new());
        let (waits, mut done) = flush();
        assert!(waits && done.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        outbox.disconnect();
        assert_eq!(done.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        outbox.offer(b"s", "", &ping());
        assert!(flush().0, "something to send");
        outbox.close();
        assert!(!flush().0, "nothing is sent any more");
    }

    #[test]
    fn parts_keep_within_the_payload() {
        let outbox = Outbox::new(usize::MAX);
        outbox.connect(1000, true, Vec::new());
        outbox.offer(b"s", "Po-Replay: 1-2\r\n", &block(100_000));
        let mut messages = 0;
        let mut bytes = Vec::new();
        while let Some(work) = outbox.take() {
            bytes.extend(work.events);
        }
        // as a server hands them on
        let text = bytes.strip_prefix(b"HPUB ").unwrap();
        let mut rest = [b"HMSG ", text].concat();
        while !rest.is_empty() {
            let sid = rest.iter().skip(5).position(|byte| *byte == b' ').unwrap() + 5;
            let line = [&rest[..sid], b" 1", &rest[sid..]].concat();
            let wire::Parsed::Op(wire::Op::Message(message), taken) = wire::parse(&line).unwrap() else { panic!("a message") };
            assert!(message.headers.len() + message.payload.len() <= 1000);
            messages += 1;
            rest = line[taken..].to_vec();
            rest.splice(..rest.len().min(4), if rest.is_empty() { &b""[..] } else { &b"HMSG"[..] }.iter().copied());
        }
        assert!(messages > 100, "{messages}");
    }
}
