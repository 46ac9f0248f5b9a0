//! The extractor on a thread, and what it publishes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use bus::{Bus, Delivery, Limits, Subscription};
use event::{Event, Filter, Kind, KindId, Source};
use extract::life::Life;
use extract::log::follow::Begin;
use extract::log::{self, Config, End, Target};
use tokio::runtime::Runtime;
use tokio::sync::watch;

pub struct World {
    runtime: Runtime,
    bus: Bus,
    events: Subscription,
    stop: Arc<AtomicBool>,
    worker: Option<JoinHandle<anyhow::Result<End>>>,
    pub life: watch::Sender<Option<Life>>,
}

/// Much is written in a moment, and a test that looks later should find all of it.
const ROOM: Limits = Limits { events: 1 << 20, bytes: 1 << 30 };

impl World {
    /// Follows a log from its end, and has begun to.
    pub fn follow(log: &Path) -> Self {
        let mut world = Self::start(Target::Told(log.to_owned()), Begin::End);
        world.wait_for(KindId::HealthAttached);
        world
    }

    pub fn start(target: Target, begin: Begin) -> Self {
        Self::start_with(target, begin, Box::new(|_| None))
    }

    /// As [`start`](Self::start); `locate` says where the logs of later lives are.
    pub fn start_with(target: Target, begin: Begin, locate: log::Locate) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let bus = Bus::local();
        let events = runtime.block_on(bus.subscribe(Filter::all(), ROOM)).unwrap();
        let out = bus.publisher("alice".parse().unwrap(), Source::Log);
        let (life, node) = watch::channel(None);
        let stop = Arc::new(AtomicBool::new(false));
        let (config, told) = (Config { log_from: begin, log_unmatched: true }, stop.clone());
        let worker = std::thread::spawn(move || log::run(&config, target, locate, None, node, &out, &told));
        Self { runtime, bus, events, stop, worker: Some(worker), life }
    }

    /// The next event that is no beat.
    pub fn next(&mut self) -> Arc<Event> {
        loop {
            let next = async { tokio::time::timeout(testkit::wait::LONG, self.events.next()).await };
            match self.runtime.block_on(next).expect("an event") {
                Some(Delivery::Event(event)) if event.id() == Some(KindId::HealthBeat) => {}
                Some(Delivery::Event(event)) => return event,
                other => panic!("an event, not {other:?}"),
            }
        }
    }

    pub fn wait_for(&mut self, id: KindId) -> Arc<Event> {
        loop {
            let event = self.next();
            if event.id() == Some(id) {
                return event;
            }
        }
    }

    /// Stops it, and gives everything that it still said.
    pub fn stop(mut self) -> Vec<Arc<Event>> {
        self.stop.store(true, Ordering::Release);
        assert_eq!(self.worker.take().unwrap().join().unwrap().unwrap(), End::Told);
        self.rest()
    }

    fn rest(&mut self) -> Vec<Arc<Event>> {
        self.runtime.block_on(self.bus.clone().close());
        let mut events = Vec::new();
        while let Some(delivery) = self.runtime.block_on(self.events.next()) {
            let Delivery::Event(event) = delivery else { panic!("nothing may be missed") };
            events.push(event);
        }
        events
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

/// What a line was that stated nothing.
pub fn line(event: &Event) -> Option<&str> {
    match &event.kind {
        Some(Kind::LogLine(line)) => Some(&line.message),
        _ => None,
    }
}
