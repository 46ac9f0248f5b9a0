//! Measurements of the bus, for `peer-observer bench` and the benches: from publishing to delivered.
//!
//! The events are pings with an address, made while the clock runs, as an extractor makes them. The publisher is a thread of its own;
//! it waits when it is too far ahead, so that nothing is lost and every event is delivered to every subscriber within the time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use event::{ConnectionType, Direction, Filter, Kind, NetPing, Network, Source};
use tokio::runtime::Runtime;

use crate::{Bus, BusUrl, Delivery, Limits, NatsOptions, OpenError, Publisher, Subscription};

/// How far the publisher may be ahead of the slowest subscriber, in events: a few milliseconds.
const AHEAD: u64 = 4096;

/// Events published at once: what an extractor finds when it looks into a busy buffer.
const BATCH: u64 = 128;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Throughput {
    /// Events published.
    pub events: u64,
    /// Of them, told as missed by any subscriber: 0, or the measurement is none.
    pub missed: u64,
    /// Until the last subscriber had the last one.
    pub elapsed: Duration,
}

impl Throughput {
    /// Events per second.
    pub fn rate(&self) -> f64 {
        self.events as f64 / self.elapsed.as_secs_f64()
    }
}

impl fmt::Display for Throughput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, missed, elapsed } = self;
        write!(f, "{:.2} M events/s ({events} events in {elapsed:.2?}", self.rate() / 1e6)?;
        if *missed > 0 { write!(f, ", {missed} missed)") } else { write!(f, ")") }
    }
}

/// The bus within the process: one publisher, so many subscribers that want everything.
pub fn local_throughput(events: u64, subscribers: usize) -> Throughput {
    let runtime = runtime();
    let bus = Bus::local();
    let readers = runtime.block_on(async {
        let mut readers = Vec::new();
        for _ in 0..subscribers {
            readers.push(bus.subscribe(Filter::all(), Limits::default()).await.expect("the bus is open"));
        }
        readers
    });
    measure(&runtime, &bus, bus.publisher("bench".parse().expect("letters"), Source::Ebpf), readers, events)
}

/// Over a server: one publisher, one subscriber, each with its own connection, one event per message.
///
/// # Errors
///
/// The server cannot be reached.
pub fn nats_throughput(url: &BusUrl, events: u64) -> Result<Throughput, OpenError> {
    let runtime = runtime();
    let options = NatsOptions::new(url.clone());
    let (from, to, reader) = runtime.block_on(async {
        let (from, to) = (Bus::open(&options).await?, Bus::open(&options).await?);
        let reader = to.subscribe(Filter::all(), Limits::default()).await;
        Ok::<_, OpenError>((from, to, reader.expect("the bus is open, and who may connect without a name may subscribe")))
    })?;
    let publisher = from.publisher("bench".parse().expect("letters"), Source::Ebpf);
    let result = measure(&runtime, &from, publisher, vec![reader], events);
    runtime.block_on(to.close());
    Ok(result)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads can be started")
}

fn measure(runtime: &Runtime, bus: &Bus, publisher: Publisher, readers: Vec<Subscription>, events: u64) -> Throughput {
    let begin = Instant::now();
    let progress: Vec<_> = readers.iter().map(|_| Arc::new(AtomicU64::new(0))).collect();
    let tasks: Vec<_> = readers
        .into_iter()
        .zip(&progress)
        .map(|(reader, progress)| runtime.spawn(read(reader, events, Arc::clone(progress))))
        .collect();
    let publishing = std::thread::spawn(move || publish(&publisher, events, &progress));
    let missed = runtime.block_on(async {
        let mut missed = 0;
        for task in tasks {
            missed = missed.max(task.await.expect("reading does not panic"));
        }
        missed
    });
    let elapsed = begin.elapsed();
    publishing.join().expect("publishing does not panic");
    runtime.block_on(bus.clone().close());
    Throughput { events, missed, elapsed }
}

/// Returns how many were missed.
async fn read(mut reader: Subscription, events: u64, progress: Arc<AtomicU64>) -> u64 {
    let (mut got, mut missed) = (0, 0);
    let mut batch = Vec::new();
    while got + missed < events && reader.next_batch(&mut batch, 512).await {
        for delivery in batch.drain(..) {
            match delivery {
                Delivery::Event(event) => got += u64::from(event.kind.is_some()),
                Delivery::Missed(count) => missed += count,
            }
        }
        progress.store(got + missed, Ordering::Relaxed);
    }
    missed
}

fn publish(publisher: &Publisher, events: u64, progress: &[Arc<AtomicU64>]) {
    let mut published = 0;
    while published < events {
        let slowest = progress.iter().map(|progress| progress.load(Ordering::Relaxed)).min().unwrap_or(published);
        if published - slowest > AHEAD {
            std::thread::sleep(Duration::from_micros(50));
            continue;
        }
        let batch = BATCH.min(events - published);
        publisher.publish_batch((0..batch).map(|n| (published + n, Some(1), ping(published + n))));
        published += batch;
    }
}

fn ping(nonce: u64) -> Kind {
    NetPing {
        peer: nonce % 125,
        direction: Direction::Inbound.into(),
        address: "203.0.113.17:51234".to_owned(),
        connection_type: ConnectionType::Inbound.into(),
        network: Network::Ipv4.into(),
        size: 8,
        nonce: Some(nonce),
        ..NetPing::default()
    }
    .into()
}
