//! The vocabulary of the bus's tests.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part of it")]

use std::fmt::Write as _;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Delivery, Limits, NatsOptions, Subscription};
use event::{ConnOpened, Event, Filter, HealthBeat, Kind, NetBlock, NetPing, Source};
use testkit::NatsServer;

/// Long enough for anything that works: three restarts of a server, or 300 MB.
pub const LONG: Duration = Duration::from_secs(180);

/// Runs a case with two threads, as the program does, and ends it when it hangs.
pub fn run<T>(case: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LONG, case).await.expect("the case hangs") })
}

pub fn options(server: &NatsServer) -> NatsOptions {
    NatsOptions::new(server.url().parse().unwrap())
}

pub async fn open(server: &NatsServer) -> Bus {
    Bus::open(&options(server)).await.unwrap()
}

pub async fn everything(bus: &Bus) -> Subscription {
    bus.subscribe(Filter::all(), Limits::default()).await.unwrap()
}

pub async fn only(bus: &Bus, patterns: &str) -> Subscription {
    bus.subscribe(Filter::parse(patterns.split_whitespace()).unwrap(), Limits::default()).await.unwrap()
}

pub fn publisher(bus: &Bus) -> bus::Publisher {
    bus.publisher("alice".parse().unwrap(), Source::Ebpf)
}

pub fn ping(nonce: u64) -> Kind {
    NetPing { nonce: Some(nonce), address: "203.0.113.1:8333".to_owned(), ..NetPing::default() }.into()
}

pub fn opened() -> Kind {
    ConnOpened::default().into()
}

/// A block message of so many bytes that does not compress, repeat or end at a round place.
pub fn block(bytes: usize) -> Kind {
    let raw: Vec<u8> = (0..bytes as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    NetBlock { size: bytes as u32, raw: Some(raw.into()), ..NetBlock::default() }.into()
}

pub async fn next(subscription: &mut Subscription) -> Option<Delivery> {
    tokio::time::timeout(LONG, subscription.next()).await.expect("nothing more comes")
}

pub async fn event(subscription: &mut Subscription) -> Arc<Event> {
    match next(subscription).await {
        Some(Delivery::Event(event)) => event,
        other => panic!("not an event: {other:?}"),
    }
}

pub async fn events(subscription: &mut Subscription, count: usize) -> Vec<Arc<Event>> {
    let mut events = Vec::new();
    while events.len() < count {
        events.push(event(subscription).await);
    }
    events
}

/// Everything up to the end.
pub async fn rest(subscription: &mut Subscription) -> Vec<Delivery> {
    let mut all = Vec::new();
    while let Some(delivery) = next(subscription).await {
        all.push(delivery);
    }
    all
}

/// What came, in one line: pings by nonce, rows of them together, others by name.
pub fn text<'a>(deliveries: impl IntoIterator<Item = &'a Delivery>) -> String {
    let mut out = String::new();
    let mut row: Option<(u64, u64)> = None;
    let end_row = |row: &mut Option<(u64, u64)>, out: &mut String| match row.take() {
        Some((from, to)) if from == to => write!(out, "{from} ").unwrap(),
        Some((from, to)) => write!(out, "{from}..{to} ").unwrap(),
        None => {}
    };
    for delivery in deliveries {
        let nonce = match delivery {
            Delivery::Event(event) => match &event.kind {
                Some(Kind::NetPing(ping)) => ping.nonce,
                _ => None,
            },
            Delivery::Missed(_) => None,
        };
        match (nonce, row) {
            (Some(nonce), Some((from, to))) if nonce == to + 1 => row = Some((from, nonce)),
            (Some(nonce), _) => {
                end_row(&mut row, &mut out);
                row = Some((nonce, nonce));
            }
            (None, _) => {
                end_row(&mut row, &mut out);
                match delivery {
                    Delivery::Event(event) => write!(out, "{} ", event.id().unwrap()).unwrap(),
                    Delivery::Missed(count) => write!(out, "missed {count} ").unwrap(),
                }
            }
        }
    }
    end_row(&mut row, &mut out);
    out.trim_end().to_owned()
}

pub fn beat_of(event: &Event) -> &HealthBeat {
    match &event.kind {
        Some(Kind::HealthBeat(beat)) => beat,
        other => panic!("not a beat: {other:?}"),
    }
}

/// Waits for a condition that nobody signals.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LONG, wait).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}
