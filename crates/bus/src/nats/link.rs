//! The life of the connection: write what is in the outbox, read what subscriptions want, connect again when it is lost.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{Notify, oneshot};

use super::connect::{Connection, OpenError, Stream, connect};
use super::intake::Intake;
use super::options::NatsOptions;
use super::outbox::{Outbox, Waiters};
use super::wire::{self, Op, Parsed};

/// Bytes that are read at once.
const READ: usize = 128 << 10;

/// A server from which nothing came for so long is asked whether it is there; after three times as long it is not.
const SILENCE: Duration = Duration::from_secs(10);

/// Between attempts to connect: from the first to the last.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Complaints of a server that are told: each subject that may not be used is one.
const MOST_COMPLAINTS: usize = 64;

/// Server ids of subscriptions: the subscription's number times this, and the place of the subject in it.
const SIDS: u64 = 1024;

/// What the connection, publishers and subscriptions share.
#[derive(Debug)]
pub(crate) struct Shared {
    options: NatsOptions,
    pub(crate) outbox: Outbox,
    subscriptions: Mutex<Subscriptions>,
    /// Connections made so far.
    connections: AtomicU64,
    stopped: AtomicBool,
    stop: Notify,
}

#[derive(Debug, Default)]
struct Subscriptions {
    all: HashMap<u64, Entry>,
    next: u64,
    closed: bool,
    /// What the server complained of on this connection: told once.
    complaints: HashSet<String>,
}

#[derive(Debug)]
struct Entry {
    subjects: Vec<String>,
    intake: Intake,
    /// The subject that the server refused.
    refused: Option<String>,
}

/// Why there is no subscription.
pub(crate) enum Refused {
    Closed,
    Subject(String),
}

impl Shared {
    pub(crate) fn new(options: NatsOptions, limit: usize) -> Self {
        Self {
            options,
            outbox: Outbox::new(limit),
            subscriptions: Mutex::default(),
            connections: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            stop: Notify::new(),
        }
    }

    /// Adds a subscription. When it returns, the server knows of it; while there is no connection, it will.
    pub(crate) async fn subscribe(&self, subjects: Vec<String>, intake: Intake) -> Result<u64, Refused> {
        let (waiter, told) = oneshot::channel();
        let number = {
            let mut subscriptions = self.lock();
            if subscriptions.closed {
                return Err(Refused::Closed);
            }
            let number = subscriptions.next;
            subscriptions.next += 1;
            // under the lock: whoever connects right now either finds it in the list or is already connected
            self.outbox.urgent(|out| ask(out, number, &subjects), Some(waiter));
            subscriptions.all.insert(number, Entry { subjects, intake, refused: None });
            number
        };
        // an error means that the connection was lost: the next one begins with all subscriptions
        let _ = told.await;
        let refused = self.lock().all.get_mut(&number).and_then(|entry| entry.refused.take());
        match refused {
            None => Ok(number),
            Some(subject) => {
                self.unsubscribe(number);
                Err(Refused::Subject(subject))
            }
        }
    }

    pub(crate) fn unsubscribe(&self, number: u64) {
        let Some(entry) = self.lock().all.remove(&number) else { return };
        let sids = number * SIDS..number * SIDS + entry.subjects.len() as u64;
        self.outbox.urgent(|out| sids.for_each(|sid| wire::unsubscribe(out, sid)), None);
    }

    /// How often a connection was made.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Ends the connection and every subscription. Gives back how many events were not sent.
    pub(crate) fn stop(&self) -> u64 {
        self.stopped.store(true, Ordering::Relaxed);
        self.stop.notify_one();
        let unsent = self.outbox.close();
        let mut subscriptions = self.lock();
        subscriptions.closed = true;
        for entry in subscriptions.all.values_mut() {
            entry.intake.close();
        }
        unsent
    }

    /// Runs until [`Shared::stop`], with this connection first; it was greeted.
    pub(crate) async fn run(&self, mut connection: Option<Connection>) {
        let mut pause = PAUSE;
        loop {
            let connected = match connection.take() {
                Some(connection) => connection,
                None => tokio::select! {
                    connection = self.reconnect() => {
                        self.greet(&connection);
                        connection
                    }
                    () = self.until_stopped() => return,
                },
            };
            let url = connected.server.clone();
            let begin = Instant::now();
            tracing::info!(server = %url, version = %connected.info.version, "connected to NATS");
            let end = tokio::select! {
                end = self.serve(connected) => end,
                () = self.until_stopped() => return,
            };
            self.outbox.disconnect();
            tracing::warn!(server = %url, error = %end, "lost the connection to NATS, connecting again");
            // a server that throws us out at once shall not be pestered, nor the log be filled
            if begin.elapsed() < LONGEST_PAUSE {
                tokio::select! {
                    () = tokio::time::sleep(pause) => pause = (2 * pause).min(LONGEST_PAUSE),
                    () = self.until_stopped() => return,
                }
            } else {
                pause = PAUSE;
            }
        }
    }

    async fn until_stopped(&self) {
        while !self.stopped.load(Ordering::Relaxed) {
            self.stop.notified().await;
        }
    }

    async fn reconnect(&self) -> Connection {
        let mut pause = PAUSE;
        let mut told = None;
        loop {
            let servers = self.options.url.as_ref().map_or(&[][..], |url| url.servers());
            match connect(&self.options, servers).await {
                Ok(connection) => return connection,
                Err(error) => {
                    // a refused connection is what "connecting again" means; anything else is told once
                    let kind = std::mem::discriminant(&error);
                    if !matches!(error, OpenError::Unreachable { .. }) && told != Some(kind) {
                        told = Some(kind);
                        let error: &dyn std::error::Error = &error;
                        tracing::error!(error, "failed to connect to NATS, still trying");
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// A connection was made: what is to be said first. Call before [`Shared::run`] is given one.
    pub(crate) fn greet(&self, connection: &Connection) {
        let Connection { info, server, .. } = connection;
        let mut greeting = Vec::new();
        {
            let mut subscriptions = self.lock();
            subscriptions.complaints.clear();
            for (number, entry) in &subscriptions.all {
                ask(&mut greeting, *number, &entry.subjects);
            }
            let dropped = self.outbox.connect(info.max_payload, info.headers, greeting);
            if dropped > 0 {
                tracing::error!(%server, dropped, "dropped events that are larger than what this server takes");
            }
        }
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    async fn serve(&self, connection: Connection) -> io::Error {
        let Connection { stream, bytes, .. } = connection;
        let (reader, writer) = tokio::io::split(stream);
        let pongs = Mutex::default();
        let received = AtomicU64::new(0);
        let end = tokio::select! {
            end = self.read(reader, bytes, &pongs, &received) => end,
            end = self.write(writer, &pongs) => end,
            end = self.watch(&received) => end,
        };
        let Err(error) = end;
        error
    }

    async fn read(
        &self,
        mut reader: ReadHalf<Box<dyn Stream>>,
        mut bytes: BytesMut,
        pongs: &Mutex<VecDeque<Waiters>>,
        received: &AtomicU64,
    ) -> io::Result<std::convert::Infallible> {
        loop {
            let need = self.dispatch(&mut bytes, pongs)?;
            bytes.reserve(need.saturating_sub(bytes.len()).max(if bytes.capacity() - bytes.len() < READ / 4 { READ } else { 0 }));
            if reader.read_buf(&mut bytes).await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server hung up"));
            }
            received.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Deals with everything whole that was read; says how many bytes it takes to go on.
    fn dispatch(&self, bytes: &mut BytesMut, pongs: &Mutex<VecDeque<Waiters>>) -> io::Result<usize> {
        let mut subscriptions = self.lock();
        let need = loop {
            let (op, taken) = match wire::parse(bytes).map_err(io::Error::other)? {
                Parsed::Need(need) => break need,
                Parsed::Op(op, taken) => (op, taken),
            };
            match op {
                Op::Message(message) => {
                    if let Some(entry) = subscriptions.all.get_mut(&(message.sid / SIDS)) {
                        let frame = bytes.split_to(taken).freeze();
                        let payload = frame.slice(message.payload);
                        entry.intake.message(&frame[message.subject], &frame[message.headers], payload);
                        continue;
                    }
                }
                Op::Ping => self.outbox.urgent(|out| out.extend_from_slice(wire::PONG), None),
                Op::Pong => {
                    let waiters = pongs.lock().expect("nothing panics while it holds the lock").pop_front();
                    for waiter in waiters.into_iter().flatten() {
                        // it may have stopped waiting
                        let _ = waiter.send(());
                    }
                }
                Op::Error(text) => subscriptions.error(&String::from_utf8_lossy(&bytes[text])),
                Op::Info(_) | Op::Ok => {}
            }
            bytes.advance(taken);
        };
        for entry in subscriptions.all.values_mut() {
            entry.intake.flush();
        }
        Ok(need)
    }

    async fn write(
        &self,
        mut writer: WriteHalf<Box<dyn Stream>>,
        pongs: &Mutex<VecDeque<Waiters>>,
    ) -> io::Result<std::convert::Infallible> {
        let mut written = Vec::new();
        loop {
            let work = self.outbox.next(written).await;
            if !work.urgent.is_empty() {
                writer.write_all(&work.urgent).await?;
            }
            writer.write_all(&work.events).await?;
            self.outbox.written();
            if let Some(waiters) = work.waiters {
                // before the answer can come
                pongs.lock().expect("nothing panics while it holds the lock").push_back(waiters);
                writer.write_all(wire::PING).await?;
            }
            writer.flush().await?;
            written = work.events;
        }
    }

    /// Finds out when the other side is gone without a word.
    async fn watch(&self, received: &AtomicU64) -> io::Result<std::convert::Infallible> {
        let mut silent = 0;
        loop {
            let before = received.load(Ordering::Relaxed);
            tokio::time::sleep(SILENCE).await;
            silent = if received.load(Ordering::Relaxed) == before { silent + 1 } else { 0 };
            if silent >= 3 {
                let seconds = (silent * SILENCE).as_secs();
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("nothing heard for {seconds} s")));
            }
            if silent > 0 {
                // its answer is something heard
                let (waiter, _) = oneshot::channel();
                self.outbox.urgent(|_| {}, Some(waiter));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Subscriptions> {
        self.subscriptions.lock().expect("nothing panics while it holds the lock")
    }
}

fn ask(out: &mut Vec<u8>, number: u64, subjects: &[String]) {
    for (sid, subject) in (number * SIDS..).zip(subjects) {
        wire::subscribe(out, subject, sid);
    }
}

impl Subscriptions {
    /// What the server complains of.
    fn error(&mut self, text: &str) {
        // Permissions Violation for Subscription to "po.>"
        if let Some(rest) = text.strip_prefix("Permissions Violation for Subscription to ") {
            let subject = rest.split('"').nth(1).unwrap_or(rest);
            for entry in self.all.values_mut().filter(|entry| entry.subjects.iter().any(|own| own == subject)) {
                entry.refused = Some(subject.to_owned());
            }
        }
        if self.complaints.len() < MOST_COMPLAINTS && self.complaints.insert(text.to_owned()) {
            tracing::error!(error = text, "NATS refuses something");
        }
    }
}
