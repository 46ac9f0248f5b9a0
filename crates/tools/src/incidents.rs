//! The incident book at work: findings in, incidents out, evidence kept.
//!
//! What belongs together is decided in `detect::incident`, which knows neither a file nor a clock. Here it is given what a bus brings; what
//! it comes to is in the [`book`] before anybody hears of it, and then published as events of the family `incident`. While a program has the
//! book open, others ask it through the [`door`].

pub mod ask;
pub mod book;
pub mod door;
pub mod page;
pub mod runbook;
pub mod slice;
pub mod words;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bus::{Bus, Delivery, Publisher, Subscription};
use detect::FLEET;
use detect::incident::Told;
use event::{Event, Filter, IncidentChanged, IncidentState, KindId, KindSet, Source};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::archive::amount::{Age, Size};
use crate::intake::Intake;
use ask::{Answer, Trouble};
pub use book::{Act, Book, BookError};
use slice::Slice;

/// Where the book is, and what is kept beside it.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    // where it is
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment would become the text of the command")]
    pub place: Place,

    /// How long none of its findings has to have lasted for an incident to be resolved
    ///
    /// By the time of the events. What comes back within it does not open the incident again, so nobody is told twice: longer for what comes and
    /// goes, shorter for who waits for the end. What comes back later, within six hours, opens it again.
    #[arg(long, default_value = "2m", value_name = "TIME")]
    pub incidents_settle: Age,

    /// Cut evidence out of these recordings, besides the archive of this program: files, or directories of segments
    ///
    /// Each incident keeps what happened around its beginning, in a directory beside the book, also when the archive has forgotten it.
    #[arg(long, value_delimiter = ',', value_name = "DIR")]
    pub incidents_archive: Vec<PathBuf>,

    /// Keep no more evidence than this
    ///
    /// When it is nearly so much, that of the oldest incidents that are over goes. Evidence of incidents that last stays: where there is none but
    /// theirs, what comes is said not to be kept.
    #[arg(long, default_value = "1GiB", value_name = "SIZE")]
    pub incidents_evidence: Size,

    /// Forget incidents that are over, and to which nothing happened for so long, with their evidence [default: never]
    #[arg(long, value_name = "AGE")]
    pub incidents_max_age: Option<Age>,
}

/// Where the book is.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct Place {
    /// The incident book: a file
    ///
    /// `run` and `detect` make one that is not there. Several programs may not write one book; the commands of `incidents` reach one that a
    /// running program has open.
    // the commands of `incidents` take it in any place
    #[arg(long, value_name = "FILE", global = true)]
    pub incidents_book: Option<PathBuf>,
}

/// What it has to be given.
pub fn filter() -> Filter {
    // time passes with the beats of those who find
    let kinds: KindSet = KindSet::matching("finding").unwrap_or_default();
    Filter::kinds(kinds.iter().chain([KindId::HealthBeat]))
}

/// Findings that could not be written down and wait: more are dropped, and counted.
const WAITING: usize = 1 << 16;
/// Nodes of which the last beat waits with them.
const BEATS: usize = 1024;
/// How often it is tried again to write, and looked for evidence to cut.
const TICK: Duration = Duration::from_secs(2);
/// How often those who follow are told of an incident to which something happened that no person is told of.
const QUIETLY: Duration = Duration::from_secs(5);

/// Incidents that are looked through at the start for those that last; older ones that do were told many times.
const AGAIN: usize = 256;
/// How often it is looked whether something is to be forgotten.
const TIDY: Duration = Duration::from_hours(1);
/// How long those may take at the end who deliver what waits.
const LAST: Duration = Duration::from_secs(10);

/// Who is told what became of incidents, besides the bus. Must not wait.
pub trait Audience: Send {
    /// A change is in the book.
    fn told(&mut self, told: &Told, replay: bool);
}

/// Nobody.
impl Audience for () {
    fn told(&mut self, _: &Told, _: bool) {}
}

/// A receiver of messages knows of incidents: revision, and whether an alert is up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// Who.
    pub receiver: String,
    /// Number, revision, whether an alert is up with it.
    pub sent: Vec<(u64, u64, bool)>,
}

/// What comes in besides events.
pub struct Doors {
    /// Questions to the book.
    pub guests: door::Guests,
    /// What receivers of messages know.
    pub receipts: mpsc::Receiver<Receipt>,
}

/// Follows a bus until `stop`, and to the end of what was published by then.
///
/// # Errors
///
/// The book could not be written at the end. Before that it is said in the log, and tried again.
pub async fn run(
    config: Config,
    mut book: Book,
    events: Subscription,
    bus: Bus,
    mut doors: Doors,
    mut audience: impl Audience,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    const BATCH: usize = 4096;
    let out = bus.publisher(FLEET.parse().expect("it is made of letters and an underscore"), Source::Tool);
    let directory = slice::directory(book.path());
    book.settle_after(config.incidents_settle.0);
    let mut desk = Desk::new(book, out.clone());
    let mut intake = Intake::new(events, out.clone(), stop);
    let mut batch = Vec::with_capacity(BATCH);
    let mut tick = interval_at(Instant::now() + TICK, TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tidy = interval_at(Instant::now(), TIDY);
    tidy.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut quietly = interval_at(Instant::now() + QUIETLY, QUIETLY);
    quietly.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut cutting: Option<tokio::task::JoinHandle<Slice>> = None;
    desk.say_again().await?;
    loop {
        // before anybody is answered from a book that knows less
        doors.guests.say(desk.trouble());
        tokio::select! {
            biased;
            Some(guest) = doors.guests.recv() => {
                let (answer, told) = desk.with(move |book| ask::answer(book, guest.ask, now())).await?;
                // first, so that whoever asked finds it said
                if let Some(told) = told {
                    desk.tell(&told, &mut audience);
                }
                // who went away finds it in the book
                let _: Result<(), Answer> = guest.reply.send(answer);
            }
            Some(receipt) = doors.receipts.recv() => {
                let written = desk.with(move |book| book.has_sent(&receipt.receiver, &receipt.sent)).await?;
                if let Err(error) = written {
                    tracing::warn!(%error, "that a message was sent was not written down; it may be sent again after a restart");
                }
            }
            cut = async { cutting.as_mut().expect("checked").await }, if cutting.is_some() => {
                cutting = None;
                let cut = cut?;
                if !cut.problem.is_empty() {
                    tracing::info!(incident = cut.incident, problem = cut.problem, "evidence was not kept, or not all of it");
                }
                desk.cut = Some(cut);
                desk.keep_cut(&mut audience).await?;
            }
            _ = tick.tick() => {
                desk.write(&mut audience).await?;
                desk.keep_cut(&mut audience).await?;
                // not onto a disk that does not take what it has
                if cutting.is_none() && desk.failing.is_none() {
                    desk.make_room(&config, &directory, &mut audience).await?;
                    cutting = desk.cut(&config, &directory).await?;
                }
                out.beat(now(), None, 0, None, None);
            }
            // not while a slice is written that no book knows yet
            _ = tidy.tick(), if cutting.is_none() && desk.failing.is_none() => desk.tidy(&config, &directory).await?,
            _ = quietly.tick() => desk.tell_quietly(),
            more = intake.next_batch(&mut batch, BATCH) => {
                desk.take(batch.drain(..));
                // what cannot be written now is tried again in a while, and not with all that comes
                if desk.failing.is_none() || !more {
                    desk.write(&mut audience).await?;
                }
                if !more {
                    break;
                }
            }
        }
    }
    desk.tell_quietly();
    intake.close();
    // whoever delivers what waits says so
    drop(audience);
    let receipts = async {
        while let Some(receipt) = doors.receipts.recv().await {
            if let Err(error) = desk.with(move |book| book.has_sent(&receipt.receiver, &receipt.sent)).await? {
                tracing::warn!(%error, "that a message was sent was not written down; it is sent again by the next start");
            }
        }
        Ok::<_, anyhow::Error>(())
    };
    if let Ok(written) = tokio::time::timeout(LAST, receipts).await {
        written?;
    }
    // what cannot be written now is lost: that is a failure
    match desk.waiting.len() {
        0 => Ok(()),
        lost => Err(anyhow::anyhow!("{lost} findings could not be written into the incident book before the end")),
    }
}

/// The book and what waits for it.
struct Desk {
    /// Away while a thread works with it.
    book: Option<Book>,
    out: Publisher,
    /// What came since it was written last.
    waiting: Vec<Arc<Event>>,
    /// The last beats of nodes, while it cannot be written: by them time has passed after what waits.
    beats: BTreeMap<String, Arc<Event>>,
    /// Findings for which there was no room.
    lost: u64,
    /// Of these, since it could be written last.
    lost_since: u64,
    /// Why it could not be written, and what to do about it, if so it was when that was tried last.
    failing: Option<(String, &'static str)>,
    /// Evidence that was cut, and is not in the book yet.
    cut: Option<Slice>,
}

impl Desk {
    fn new(book: Book, out: Publisher) -> Self {
        let (waiting, beats) = (Vec::new(), BTreeMap::new());
        Self { book: Some(book), out, waiting, beats, lost: 0, lost_since: 0, failing: None, cut: None }
    }

    /// Takes in what came. While the book cannot be written findings wait, and of beats the last of each node.
    fn take(&mut self, batch: impl Iterator<Item = Delivery>) {
        for delivery in batch {
            match delivery {
                Delivery::Event(event) if self.failing.is_none() => self.waiting.push(event),
                Delivery::Event(event) => self.put_by(event),
                Delivery::Missed(count) => {
                    tracing::error!(
                        count,
                        "events were lost before they reached the incident book; there may be findings among them"
                    );
                }
            }
        }
    }

    fn put_by(&mut self, event: Arc<Event>) {
        if event.id() == Some(KindId::HealthBeat) {
            if self.beats.len() < BEATS || self.beats.contains_key(&event.node) {
                self.beats.insert(event.node.clone(), event);
            }
        } else if self.waiting.len() < WAITING {
            self.waiting.push(event);
        } else {
            self.lost += 1;
            self.lost_since += 1;
        }
    }

    /// What is not in the book, though it should be.
    fn trouble(&self) -> Option<Trouble> {
        let (reason, hint) = self.failing.as_ref()?;
        // beats wait elsewhere
        let findings = self.waiting.len() as u64;
        Some(Trouble { findings, lost: self.lost_since, reason: reason.clone(), hint: (*hint).to_owned() })
    }

    /// Works with the book on a thread that may wait for the disk.
    async fn with<T: Send + 'static>(&mut self, work: impl FnOnce(&mut Book) -> T + Send + 'static) -> anyhow::Result<T> {
        let mut book = self.book.take().ok_or_else(|| anyhow::anyhow!("the incident book is gone: work with it was given up"))?;
        let (book, done) = tokio::task::spawn_blocking(move || {
            let done = work(&mut book);
            (book, done)
        })
        .await?;
        self.book = Some(book);
        Ok(done)
    }

    /// Says what lasts to those who began to listen since it was said: nothing new, so neither the book nor any person is told.
    async fn say_again(&mut self) -> anyhow::Result<()> {
        let mut incidents = self.with(|book| book.incidents(None, AGAIN)).await??;
        incidents.retain(|incident| incident.state() != IncidentState::Resolved);
        // the oldest first, as it was
        for incident in incidents.into_iter().rev() {
            let time = incident.changed;
            let kind = IncidentChanged { incident: Some(incident), ..IncidentChanged::default() };
            self.tell(&Told { time, kind: kind.into() }, &mut ());
        }
        Ok(())
    }

    /// Writes down what waits, and tells what came of it.
    async fn write(&mut self, audience: &mut impl Audience) -> anyhow::Result<()> {
        if let lost @ 1.. = std::mem::take(&mut self.lost) {
            tracing::error!(
                lost,
                waiting = self.waiting.len(),
                "findings were lost: the incident book could not be written for too long"
            );
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.extend(std::mem::take(&mut self.beats).into_values());
        if waiting.is_empty() {
            return Ok(());
        }
        let (waiting, done) = self
            .with(move |book| {
                let done = book.record(&waiting);
                (waiting, done)
            })
            .await?;
        match done {
            Ok(told) => {
                // by beats alone time passes, and nothing is written
                if !told.is_empty() || waiting.iter().any(|event| event.id() != Some(KindId::HealthBeat)) {
                    self.recovered();
                }
                told.iter().for_each(|told| self.tell(told, audience));
            }
            Err(error) => {
                self.failed(&error);
                waiting.into_iter().for_each(|event| self.put_by(event));
            }
        }
        Ok(())
    }

    /// Writes down what became of evidence that was cut.
    async fn keep_cut(&mut self, audience: &mut impl Audience) -> anyhow::Result<()> {
        let Some(cut) = self.cut.take() else { return Ok(()) };
        let (cut, kept) = self
            .with(move |book| {
                let kept = book.mend().and_then(|()| book.kept(&cut, now()));
                (cut, kept)
            })
            .await?;
        match kept {
            Ok(told) => {
                self.recovered();
                told.iter().for_each(|told| self.tell(told, audience));
            }
            Err(error) => {
                self.failed(&error);
                self.cut = Some(cut);
            }
        }
        Ok(())
    }

    fn failed(&mut self, error: &BookError) {
        if self.failing.replace((error.to_string(), error.hint())).is_none() {
            tracing::error!(%error, hint = error.hint(), "findings wait for the incident book");
        }
    }

    fn recovered(&mut self) {
        if self.failing.take().is_some() {
            self.lost_since = 0;
            tracing::info!("the incident book is written again");
        }
    }

    fn tell(&self, told: &Told, audience: &mut impl Audience) {
        let replay = told.is_replay();
        if replay {
            self.out.publish_recorded(told.time, None, told.kind.clone());
        } else {
            self.out.publish(told.time, None, told.kind.clone());
        }
        audience.told(told, replay);
    }

    /// Says how incidents are to which something happened of which nothing was said: for those who follow, and for no person.
    fn tell_quietly(&mut self) {
        for incident in self.book.as_mut().map(Book::take_unsaid).unwrap_or_default() {
            let time = incident.changed;
            let kind = IncidentChanged { incident: Some(incident), ..IncidentChanged::default() };
            self.tell(&Told { time, kind: kind.into() }, &mut ());
        }
    }

    /// Forgets what is old, and deletes what belongs to nothing any more.
    async fn tidy(&mut self, config: &Config, directory: &std::path::Path) -> anyhow::Result<()> {
        let age = config.incidents_max_age.map(|Age(age)| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX));
        while let Some(before) = age.map(|age| now().saturating_sub(age)) {
            match self.with(move |book| book.forget(before)).await? {
                Ok(forgotten) if forgotten.is_empty() => break,
                Ok(forgotten) => {
                    tracing::info!(incidents = forgotten.len(), first = forgotten[0], "incidents were forgotten: they are old");
                }
                Err(error) => {
                    tracing::warn!(%error, hint = error.hint(), "old incidents were not forgotten; it is tried again");
                    return Ok(());
                }
            }
        }
        let directory = directory.to_owned();
        let swept = self.with(move |book| book.files().map(|known| slice::sweep(&directory, &known))).await?;
        match swept {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "evidence that belongs to no incident any more could not be deleted"),
            Err(error) => tracing::warn!(%error, "evidence that belongs to no incident any more was not looked for"),
        }
        Ok(())
    }

    /// Lets evidence of what is over go when there is nearly as much as there may be.
    async fn make_room(
        &mut self,
        config: &Config,
        directory: &std::path::Path,
        audience: &mut impl Audience,
    ) -> anyhow::Result<()> {
        let most = config.incidents_evidence.0;
        let kept = self.with(|book| book.mend().and_then(|()| book.wanted(now()))).await?;
        // some at once, so that this is seldom
        let Ok((Some(_), kept)) = kept else { return Ok(()) };
        if kept <= most / 8 * 7 {
            return Ok(());
        }
        let directory = directory.to_owned();
        let gone = self.with(move |book| {
            // a disk may hang: nothing else waits for it here
            let gone = book.let_go(most / 4 * 3, now())?;
            for (file, _) in &gone {
                if let Err(error) = std::fs::remove_file(directory.join(file)) {
                    tracing::warn!(%error, file, "evidence that gave way could not be deleted");
                }
            }
            Ok::<_, BookError>(gone)
        });
        match gone.await? {
            Ok(gone) => gone.iter().for_each(|(_, told)| self.tell(told, audience)),
            Err(error) => tracing::warn!(%error, hint = error.hint(), "evidence did not give way; it is tried again"),
        }
        Ok(())
    }

    /// Begins to cut the evidence that is wanted first, if its time has come.
    async fn cut(
        &mut self,
        config: &Config,
        directory: &std::path::Path,
    ) -> anyhow::Result<Option<tokio::task::JoinHandle<Slice>>> {
        let found = self.with(|book| book.mend().and_then(|()| book.wanted(now()))).await?;
        let Ok((Some(slice), kept)) = found else { return Ok(None) };
        let room = config.incidents_evidence.0.saturating_sub(kept);
        let (archives, directory) = (config.incidents_archive.clone(), directory.to_owned());
        Ok(Some(tokio::task::spawn_blocking(move || slice.cut(&archives, &directory, room, now()))))
    }
}

/// Nanoseconds since the epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}
