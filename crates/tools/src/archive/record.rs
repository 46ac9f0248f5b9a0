//! `archive record`: follows a bus into an archive.
//!
//! A task takes deliveries from the bus and hands them to a thread, which writes; between them waits a bounded number of batches. When the
//! disk is slow, the thread waits, then the task, then the subscription drops and counts. When the disk is full, two frames wait for room;
//! what comes then is dropped and counted here. In either case what is missing is an event at its place in the archive.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use bus::{Bus, Delivery, Publisher, Subscription};
use event::archive::segment::Header;
use event::archive::{Packer, slim};
use event::{ArchivedSource, Event, Filter, FilterError, HealthArchived, NodeName, Source};
use tokio::sync::mpsc;

use super::amount::{Age, Size};
use super::copy;
use super::segment::Writer;
use super::store::{self, Forecast, Limits, Store};

/// What to keep, where, and for how long.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Keep what happens in this directory
    ///
    /// An archive is a directory of segments, which any tool reads with `--recording` and `peer-observer replay` plays. A node with sixty
    /// peers writes about 120 MB a day. One process writes to an archive.
    #[arg(long, value_name = "DIR")]
    pub archive: Option<PathBuf>,

    /// Only these kinds of events, by name or pattern: `net.ping`, `conn`, `!net.inv`
    ///
    /// Of what was not asked for, its absence proves nothing; `archive info` shows what was.
    #[arg(long, value_delimiter = ',', value_name = "PATTERN")]
    pub archive_kinds: Vec<String>,

    /// What to keep of an event: `full`, or `low-data`: without the raw bytes of messages, where extractors add them
    ///
    /// What could not be decoded keeps its bytes in either case.
    #[arg(long, value_enum, default_value_t = Profile::Full, value_name = "PROFILE")]
    pub archive_profile: Profile,

    /// Begin a new segment after so many bytes
    ///
    /// A segment that is finished is packed once more, into less than half its size.
    #[arg(long, default_value = "64MiB", value_name = "SIZE")]
    pub archive_segment_size: Size,

    /// Begin a new segment after so long a time
    #[arg(long, default_value = "1h", value_name = "TIME")]
    pub archive_segment_age: Age,

    /// Delete the oldest segments when all of them take more than this; without it, none is deleted for its size
    #[arg(long, value_name = "SIZE")]
    pub archive_max_size: Option<Size>,

    /// Delete segments when all of it happened longer ago than this; without it, none is deleted for its age
    #[arg(long, value_name = "TIME")]
    pub archive_max_age: Option<Age>,

    /// Delete only segments that were shipped, whatever the limits say
    ///
    /// `run` with a section `[ship]` does so anyway; this is for archives that `archive ship` sends. If nothing is shipped, the disk
    /// becomes full.
    #[arg(long)]
    pub archive_keep_unshipped: bool,
}

/// What to keep of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Profile {
    /// All of it.
    Full,
    /// No raw bytes of messages: ids instead of bodies.
    LowData,
}

impl Profile {
    fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::LowData => "low-data",
        }
    }
}

/// How often what is done. For operators there are the defaults; tests have less time.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// A frame is closed after so long a time, full or not: what a crash may cost.
    pub frame: Duration,
    /// The disk is asked to confirm this often at most.
    pub sync: Duration,
    /// How long to wait before a write that failed is tried again.
    pub again: Duration,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self { frame: Duration::from_secs(5), sync: Duration::from_secs(1), again: Duration::from_secs(1) }
    }
}

/// Batches between the bus and the disk; when there are as many, the bus waits, and drops and counts beyond its own limits.
const BATCHES: usize = 4;
const BATCH: usize = 1024;
/// Fast enough for a node that is flooded; finished segments are packed better.
const LEVEL: i32 = 3;

impl Config {
    /// What the bus has to deliver.
    ///
    /// # Errors
    ///
    /// A pattern that matches no kind.
    pub fn filter(&self) -> Result<Filter, FilterError> {
        Filter::parse(self.archive_kinds.iter().map(String::as_str))
    }

    fn limits(&self) -> Limits {
        Limits { size: self.archive_max_size, age: self.archive_max_age, shipped_only: self.archive_keep_unshipped }
    }

    fn header(&self) -> Header {
        Header {
            created: now(),
            writer: copy::version(),
            kinds: self.archive_kinds.join(","),
            profile: self.archive_profile.word().to_owned(),
        }
    }
}

/// Writes until the subscription ends. What is safely on the disk is published as `health.archived`.
///
/// # Errors
///
/// What could not be written at the end.
pub async fn run(config: Config, store: Store, events: Subscription, bus: Bus) -> anyhow::Result<()> {
    run_with(config, Rhythm::default(), store, events, bus).await
}

/// As [`run`], in another rhythm.
///
/// # Errors
///
/// As [`run`].
pub async fn run_with(config: Config, rhythm: Rhythm, store: Store, mut events: Subscription, bus: Bus) -> anyhow::Result<()> {
    let (batches, queue) = mpsc::channel(BATCHES);
    let (ended, end) = tokio::sync::oneshot::channel();
    let recorder = Recorder::new(config, rhythm, store, bus)?;
    // nobody listens any more only when the program is ending anyway
    let work = move || drop(ended.send(recorder.work(queue)));
    std::thread::Builder::new().name("po-archive".to_owned()).spawn(work).context("failed to start a thread")?;
    let mut ticks = tokio::time::interval((rhythm.sync / 4).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        let work = tokio::select! {
            more = events.next_batch(&mut batch, BATCH) => {
                if !more { break }
                Work::Batch(batch)
            }
            _ = ticks.tick() => Work::Tick,
        };
        if batches.send(work).await.is_err() {
            break;
        }
    }
    drop(batches);
    end.await.unwrap_or_else(|_| Err(anyhow::anyhow!("the archive's thread panicked")))
}

enum Work {
    Batch(Vec<Delivery>),
    /// Time has passed.
    Tick,
}

/// Writes to the archive.
struct Recorder {
    config: Config,
    rhythm: Rhythm,
    store: Store,
    segment: Option<Writer>,
    /// When the segment was begun.
    since: Instant,
    packer: Packer,
    /// When the first event came that is in no frame yet.
    open: Option<Instant>,
    /// Events written since the disk confirmed the last time, and when that was.
    unconfirmed: u64,
    synced: Instant,
    /// Events of a frame that could not be written yet.
    waiting: u64,
    sources: Sources,
    /// When a write failed, and none since succeeded.
    failed: Option<Instant>,
    /// It failed because there is no room.
    full: bool,
    /// Events for which there was no room.
    dropped: u64,
    sealer: Sealer,
}

impl Recorder {
    fn new(config: Config, rhythm: Rhythm, store: Store, bus: Bus) -> anyhow::Result<Self> {
        let sealer = Sealer::start(&store)?;
        let now = Instant::now();
        let mut recorder = Self {
            config,
            rhythm,
            store,
            segment: None,
            since: now,
            packer: Packer::default(),
            open: None,
            unconfirmed: 0,
            synced: now,
            waiting: 0,
            sources: Sources::new(bus),
            failed: None,
            full: false,
            dropped: 0,
            sealer,
        };
        // a directory that cannot be written should be known before anything starts
        recorder.begin().with_context(|| format!("failed to write to the archive {}", recorder.store.directory().display()))?;
        Ok(recorder)
    }

    fn work(mut self, mut queue: mpsc::Receiver<Work>) -> anyhow::Result<()> {
        while let Some(work) = queue.blocking_recv() {
            match work {
                Work::Batch(deliveries) => deliveries.iter().for_each(|delivery| self.take(delivery)),
                Work::Tick => {}
            }
            self.look(Instant::now());
        }
        self.finish()
    }

    fn take(&mut self, delivery: &Delivery) {
        if self.failed.is_some() && self.packer.is_full() {
            self.dropped += match delivery {
                Delivery::Event(_) => 1,
                Delivery::Missed(count) => *count,
            };
            return;
        }
        match delivery {
            Delivery::Event(event) => self.push(event),
            Delivery::Missed(count) => self.missed(*count),
        }
        if self.packer.is_full() {
            self.close();
        }
    }

    fn push(&mut self, event: &Event) {
        let slim = if self.config.archive_profile == Profile::LowData { slim(event).ok().flatten() } else { None };
        let event = slim.as_ref().unwrap_or(event);
        if event.replay {
            // whatever is read from an archive is marked when it is played; what is kept is what happened
            self.packer.push(&Event { replay: false, ..event.clone() });
        } else {
            self.packer.push(event);
        }
        // what this says of itself alone is not worth a frame, or there would be one every five seconds for ever
        if !self.sources.push(event) {
            self.open.get_or_insert_with(Instant::now);
        }
    }

    /// Says at this place what is missing, with the time of what comes before.
    fn missed(&mut self, count: u64) {
        let missed = crate::logger::missed(count);
        self.push(&Event { time: self.sources.time, ..Event::clone(&missed) });
    }

    /// What is due.
    fn look(&mut self, now: Instant) {
        let due = |since: Instant, length: Duration| now.saturating_duration_since(since) >= length;
        if self.failed.is_some_and(|since| !due(since, self.rhythm.again)) {
            return;
        }
        let old = self.open.is_some_and(|since| due(since, self.rhythm.frame));
        if old || self.failed.is_some() {
            self.close();
        }
        if self.unconfirmed > 0 && (old || due(self.synced, self.rhythm.sync)) {
            self.sync();
        }
        let large = self.segment.as_ref().is_some_and(|segment| segment.size() >= self.config.archive_segment_size.0);
        if large || due(self.since, self.config.archive_segment_age.0) {
            self.rotate();
        }
    }

    /// Closes the frame. Where it cannot be written, it waits until it can.
    fn close(&mut self) {
        if self.failed.is_some_and(|since| since.elapsed() < self.rhythm.again) {
            return;
        }
        if self.full {
            // what is beyond the limits may be what takes the room
            self.retain();
        }
        let events = self.waiting + self.packer.events();
        match self.attempt() {
            Ok(()) => {
                self.waiting = 0;
                self.full = false;
                if self.failed.take().is_some() {
                    tracing::info!(dropped = self.dropped, "writing to the archive again");
                }
                self.open = None;
                self.unconfirmed += events;
                self.sources.frame();
                if self.dropped > 0 {
                    let dropped = std::mem::take(&mut self.dropped);
                    self.missed(dropped);
                }
            }
            Err(error) => {
                self.waiting = events - self.packer.events();
                self.complain(&error);
            }
        }
    }

    fn attempt(&mut self) -> io::Result<()> {
        if self.is_gone() {
            self.lose();
        }
        if self.segment.is_none() || self.is_gone() {
            self.replace()?;
        }
        let segment = self.segment.as_mut().ok_or_else(|| io::Error::other("there is no segment"))?;
        segment.frame(&mut self.packer)
    }

    /// Whether somebody took the file or its disk away: what was written to it is not in the archive.
    fn is_gone(&self) -> bool {
        self.segment.as_ref().is_some_and(|segment| !segment.path().exists())
    }

    /// What was written and not confirmed is not in the archive: it is counted, and not stated.
    fn lose(&mut self) {
        self.dropped += std::mem::take(&mut self.unconfirmed);
        self.sources.lose();
    }

    /// Begins a segment in place of one that is of no use any more; what that could not write yet goes into it.
    fn replace(&mut self) -> io::Result<()> {
        let gone = self.segment.take();
        let begun = self.begin();
        if let Some(mut gone) = gone {
            match &mut self.segment {
                Some(segment) => segment.take_over(&mut gone),
                None => self.segment = Some(gone),
            }
        }
        begun
    }

    fn begin(&mut self) -> io::Result<()> {
        self.segment = Some(self.store.begin(&self.config.header(), LEVEL)?);
        self.since = Instant::now();
        Ok(())
    }

    /// Has the disk confirm what was written, and says so.
    fn sync(&mut self) {
        let Some(segment) = &self.segment else { return };
        // a file without a name is confirmed, and ends with this process
        let confirmed = if self.is_gone() { Err(io::ErrorKind::NotFound.into()) } else { segment.sync() };
        match confirmed {
            Ok(()) => {
                self.unconfirmed = 0;
                self.synced = Instant::now();
                let kept = store::segments(self.store.directory()).unwrap_or_default();
                self.sources.state(kept.iter().map(|kept| kept.size).sum(), kept.len() as u32);
            }
            Err(error) => {
                // the system may have thrown away what it could not write, and would confirm it the next time
                self.lose();
                self.complain(&error);
                if let Err(error) = self.replace() {
                    tracing::debug!(%error, "no new segment");
                }
            }
        }
    }

    /// Ends the segment and begins the next one.
    fn rotate(&mut self) {
        self.since = Instant::now();
        if self.packer.events() > 0 {
            self.close();
        }
        if self.failed.is_some() {
            return;
        }
        // confirmed before it is ended: the end itself holds no events
        self.sync();
        let Some(segment) = self.segment.take() else { return };
        let path = segment.path().to_owned();
        if let Err(error) = segment.finish() {
            // its frames are there; what it lacks is the index
            self.complain(&error);
        }
        if let Err(error) = self.begin() {
            self.complain(&error);
        }
        self.sealer.seal(path);
        self.retain();
        if let Ok(forecast) = Forecast::of(self.store.directory(), now()) {
            tracing::info!(%forecast, "archive");
        }
    }

    /// Deletes what is beyond the limits.
    fn retain(&self) {
        match self.store.retain(&self.config.limits(), now()) {
            Ok(gone) => {
                if let (Some(first), Some(last)) = (gone.first(), gone.last()) {
                    tracing::info!(
                        segments = gone.len(),
                        first = first.number,
                        last = last.number,
                        "deleted what is beyond the limits"
                    );
                }
            }
            Err(error) => tracing::error!(%error, "failed to delete what is beyond the limits"),
        }
    }

    fn finish(mut self) -> anyhow::Result<()> {
        let directory = self.store.directory().display().to_string();
        if self.full {
            self.retain();
        }
        let events = self.packer.events() + self.dropped;
        let last = self.attempt().and_then(|()| {
            if self.dropped > 0 {
                let dropped = std::mem::take(&mut self.dropped);
                self.missed(dropped);
                self.attempt()?;
            }
            self.sources.frame();
            self.sync();
            self.segment.take().map_or(Ok(()), |segment| segment.finish().map(drop))
        });
        self.sealer.stop();
        last.with_context(|| format!("failed to write the last {events} events to the archive {directory}"))
    }

    fn complain(&mut self, error: &io::Error) {
        self.full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        if self.failed.replace(Instant::now()).is_none() {
            tracing::error!(%error, "failed to write to the archive; trying again, and what there is no room for is counted");
        }
    }
}

/// How far each source was written.
struct Sources {
    bus: Bus,
    /// Of the last event that had one.
    time: u64,
    /// By node, source and run: the last sequence, in the open frame since the last one was written, in a frame, and stated as safe.
    places: BTreeMap<(String, i32, u64), Place>,
    publishers: BTreeMap<String, Publisher>,
}

#[derive(Clone, Copy, Default)]
struct Place {
    open: Option<u64>,
    written: Option<u64>,
    stated: Option<u64>,
}

impl Sources {
    fn new(bus: Bus) -> Self {
        Self { bus, time: 0, places: BTreeMap::new(), publishers: BTreeMap::new() }
    }

    /// Notes an event; whether it is one of our own.
    fn push(&mut self, event: &Event) -> bool {
        self.time = if event.time == 0 { self.time } else { event.time };
        // only what has a place in an order
        if event.run > 0 {
            let key = (event.node.clone(), event.source, event.run);
            let place = self.places.entry(key).or_default();
            place.open = place.open.max(Some(event.sequence));
        }
        event.source == Source::Tool as i32 && self.publishers.get(&event.node).is_some_and(|own| own.run() == event.run)
    }

    /// What was seen is in a frame now.
    fn frame(&mut self) {
        self.places.values_mut().for_each(|place| place.written = place.written.max(place.open.take()));
    }

    /// What was not confirmed is not there.
    fn lose(&mut self) {
        self.places.values_mut().for_each(|place| place.written = place.stated);
    }

    /// States what the disk confirmed.
    fn state(&mut self, bytes: u64, segments: u32) {
        let mut news: BTreeMap<String, Vec<ArchivedSource>> = BTreeMap::new();
        for ((node, source, run), place) in &mut self.places {
            if place.written > place.stated {
                place.stated = place.written;
                let sequence = place.written.unwrap_or_default();
                news.entry(node.clone()).or_default().push(ArchivedSource { source: *source, run: *run, sequence });
            }
        }
        for (node, sources) in news {
            let publisher = match self.publishers.get(&node) {
                Some(publisher) => publisher.clone(),
                None => {
                    let Ok(name) = node.parse::<NodeName>() else { continue };
                    let publisher = self.bus.publisher(name, Source::Tool);
                    self.publishers.insert(node, publisher.clone());
                    publisher
                }
            };
            publisher.publish(now(), None, HealthArchived { sources, bytes, segments });
            publisher.beat(now(), None, 0, None, None);
        }
    }
}

/// Packs finished segments once more, on a thread of its own, one at a time.
struct Sealer {
    paths: Option<std::sync::mpsc::SyncSender<PathBuf>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Sealer {
    /// Begins with what an earlier life of the program left behind.
    fn start(store: &Store) -> anyhow::Result<Self> {
        let behind = store::segments(store.directory()).context("failed to read the archive")?;
        // when more wait than this, the rest is done at the next start
        let (paths, queue) = std::sync::mpsc::sync_channel::<PathBuf>(16);
        let work = move || {
            let left_behind = behind.into_iter().map(|kept| kept.path);
            for path in left_behind.chain(queue) {
                match copy::seal(&path) {
                    Ok(Some(bytes)) => tracing::debug!(path = %path.display(), bytes, "packed a segment"),
                    Ok(None) => {}
                    // it may have been deleted for its age
                    Err(_) if !path.exists() => {}
                    Err(error) => tracing::warn!(path = %path.display(), %error, "a segment stays as it is"),
                }
            }
        };
        let thread =
            std::thread::Builder::new().name("po-archive-pack".to_owned()).spawn(work).context("failed to start a thread")?;
        Ok(Self { paths: Some(paths), thread: Some(thread) })
    }

    fn seal(&self, path: PathBuf) {
        if let Some(paths) = &self.paths {
            let _ = paths.try_send(path);
        }
    }

    /// Nothing more is begun; what is under way need not be finished.
    fn stop(&mut self) {
        self.paths = None;
        self.thread = None;
    }
}

/// Nanoseconds since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use bus::Limits;
    use event::{Kind, KindId, NetPing};

    use super::*;

    fn recorder(directory: &std::path::Path, bus: &Bus) -> Recorder {
        let config = Config {
            archive: Some(directory.to_owned()),
            archive_kinds: vec![],
            archive_profile: Profile::Full,
            archive_segment_size: Size(64 << 20),
            archive_segment_age: Age(Duration::from_hours(1)),
            archive_max_size: None,
            archive_max_age: None,
            archive_keep_unshipped: false,
        };
        Recorder::new(config, Rhythm::default(), Store::open(directory).unwrap(), bus.clone()).unwrap()
    }

    /// What a crash may still cost is not stated, however often the disk confirms what it has.
    #[tokio::test]
    async fn what_is_in_no_frame_yet_is_not_stated() {
        let directory = tempfile::tempdir().unwrap();
        let bus = Bus::local();
        let mut statements = bus.subscribe(Filter::kinds([KindId::HealthArchived]), Limits::default()).await.unwrap();
        let mut recorder = recorder(directory.path(), &bus);
        let ping = |sequence| Event { run: 1, sequence, ..Event::new("alice", Source::Ebpf, NetPing::default()) };
        (0..10).for_each(|sequence| recorder.push(&ping(sequence)));
        recorder.sync();
        recorder.close();
        recorder.push(&ping(10));
        recorder.sync();
        recorder.close();
        recorder.sync();
        recorder.finish().unwrap();
        bus.close().await;
        let mut stated = Vec::new();
        while let Some(Delivery::Event(event)) = statements.next().await {
            let Some(Kind::HealthArchived(archived)) = &event.kind else { panic!("{event:?}") };
            stated.extend(archived.sources.iter().filter(|source| source.run == 1).map(|source| source.sequence));
        }
        assert_eq!(stated, [9, 10]);
    }

    /// Somebody deletes the file that is being written, before the disk confirmed it.
    #[tokio::test]
    async fn what_vanished_unconfirmed_is_counted_and_not_stated() {
        for synced in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let bus = Bus::local();
            let mut statements = bus.subscribe(Filter::kinds([KindId::HealthArchived]), Limits::default()).await.unwrap();
            let mut recorder = recorder(directory.path(), &bus);
            let ping = |run, sequence| Event { run, sequence, ..Event::new("alice", Source::Ebpf, NetPing::default()) };
            (0..10).for_each(|sequence| recorder.push(&ping(1, sequence)));
            recorder.close();
            std::fs::remove_file(recorder.segment.as_ref().unwrap().path()).unwrap();
            if synced {
                // noticed here, or with the next frame
                recorder.sync();
                recorder.failed = None;
            }
            recorder.push(&ping(2, 0));
            recorder.close();
            recorder.finish().unwrap();
            bus.close().await;
            let mut stated = Vec::new();
            while let Some(Delivery::Event(event)) = statements.next().await {
                let Some(Kind::HealthArchived(archived)) = &event.kind else { panic!("{event:?}") };
                stated.extend(archived.sources.iter().map(|source| (source.run, source.sequence)).filter(|(run, _)| *run < 3));
            }
            assert_eq!(stated.iter().max(), Some(&(2, 0)), "{stated:?}");
            assert!(stated.iter().all(|(run, _)| *run != 1), "{stated:?}");
            let events =
                crate::archive::open(&[directory.path().to_owned()], &crate::archive::Selection::default()).unwrap().events();
            let lost = events.map(Result::unwrap).filter_map(|event| match event.kind {
                Some(Kind::HealthLost(lost)) => Some(lost.count),
                _ => None,
            });
            assert_eq!(lost.sum::<u64>(), 10);
        }
    }
}
