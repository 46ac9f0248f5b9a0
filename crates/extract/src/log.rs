//! What the node writes into its debug.log.
//!
//! The grammar and the table of patterns are in [`event::log`], without IO. Here are the files: [`follow`] reads one that grows,
//! [`pipe`] one that comes through a pipe, [`finished`] one that is done, [`convert`] many of those.

pub mod convert;
pub mod finished;
pub mod follow;
pub mod lines;
pub mod pipe;
pub mod place;
mod session;
mod siblings;
mod tail;
mod wake;
mod written;

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bus::Publisher;
use event::log::{Options, Parser, Totals};
use event::{HealthAttached, HealthDetached, HealthLogFile, HealthLogGap, Kind, LogFileProblem, LogGapReason};
use tokio::sync::watch;

use crate::clock::now;
use crate::life::Life;
use follow::{Begin, Follower, News};
use lines::Line;
use pipe::Pipe;
use session::Session;
use wake::Wake;

pub use place::{OpenError, Place, Target};
pub use written::WhatIsWritten;

/// What to read of a log.
#[derive(Clone, PartialEq, Eq, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Where to begin in a log that is there already
    ///
    /// `end`: with what is written from now on. `start`: with the first line of the file, which may be days old; as fast as the machine
    /// can, so that a slow subscriber misses some. `peer-observer extract log --from` turns old logs into recordings.
    ///
    /// The place is not kept: with `end`, what the node writes while the observer is not running is neither read nor counted, and a
    /// pattern that an upgrade in that time silenced is not noticed, as there is nothing to compare with. `extract log --from` reads it
    /// later.
    #[arg(long, value_enum, default_value_t = Begin::End, value_name = "PLACE")]
    pub log_from: Begin,

    /// Also publish lines that state no fact that this release knows, as `log.line`
    ///
    /// To find out what is missing. They may contain anything, the node's own addresses too.
    #[arg(long)]
    pub log_unmatched: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { log_from: Begin::End, log_unmatched: false }
    }
}

const BEAT: Duration = Duration::from_secs(1);
/// How often the parser's account is published.
const ACCOUNT: Duration = Duration::from_secs(60);
/// Lines that come within this are published together.
const PAUSE: Duration = Duration::from_millis(2);
/// A log in which nothing happened for so long is left alone until something does.
const QUIET: Duration = Duration::from_millis(20);
/// How often to look at a log that is left alone: some filesystems do not say when something happens.
const LOOK: Duration = Duration::from_millis(250);
/// Large enough to share the cost of publishing.
const BATCH: usize = 256;
/// After so many lines of which none looks like a node's, the file is somebody else's.
const ENOUGH: u64 = 1000;

/// Says where the log of a life of the node is; nothing where it writes none. It is asked once for each life that comes later: the next
/// may have another data directory. It may read files.
pub type Locate = Box<dyn Fn(&Life) -> Option<Target> + Send>;

/// Why the reading of a log ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It was told to.
    Told,
    /// Standard input has ended.
    Input,
}

/// Publishes what a log says, until told to stop, or until standard input ends. Blocks: give it a thread of its own.
///
/// `opened` is the file, where it was opened with rights that are gone now. Trouble with it is no error: it is published, and tried again.
/// `target` is the log of now; `locate` says where that of the node's next life is. A pipe is read to its end, whatever lives come.
///
/// # Errors
///
/// A pipe that cannot be opened or read.
pub fn run(
    config: &Config,
    target: Target,
    locate: Locate,
    opened: Option<File>,
    node: watch::Receiver<Option<Life>>,
    out: &Publisher,
    stop: &AtomicBool,
) -> anyhow::Result<End> {
    let lives = Lives::new(locate, node.clone());
    let mut reader = Reader::new(config, target.to_string(), node, out, stop);
    if target.is_pipe() {
        let file = opened.map_or_else(|| target.open(), Ok).map_err(|error| OpenError::new(&target, error))?;
        let pipe = Pipe::new(file, target != Target::Stdin);
        reader.session.look(true);
        return reader.read_pipe(pipe);
    }
    // what is written from now on is of the process of now
    reader.session.look(config.log_from == Begin::End);
    reader.follow(Follower::new(target, config.log_from, opened), lives);
    Ok(End::Told)
}

/// Where the logs of later lives are.
struct Lives {
    locate: Locate,
    node: watch::Receiver<Option<Life>>,
    /// Of the life whose log is read.
    node_run: Option<u64>,
}

impl Lives {
    fn new(locate: Locate, node: watch::Receiver<Option<Life>>) -> Self {
        let node_run = node.borrow().as_ref().map(|life| life.node_run);
        Self { locate, node, node_run }
    }

    /// Another life, where one has begun.
    fn begun(&self) -> Option<Life> {
        self.node.borrow().as_ref().filter(|life| self.node_run != Some(life.node_run)).cloned()
    }

    /// The log of a life that has begun, where it is another than this.
    fn elsewhere(&mut self, life: &Life, now: &Target) -> Option<Target> {
        self.node_run = Some(life.node_run);
        (self.locate)(life).filter(|target| target != now)
    }
}

/// From lines to the bus.
struct Reader<'a> {
    parser: Parser,
    session: Session,
    /// It was said that this is no log of a node.
    doubted: bool,
    name: String,
    out: &'a Publisher,
    stop: &'a AtomicBool,
    batch: Vec<(u64, Option<u64>, Kind)>,
    /// Age of the youngest event of the last batch when it was published.
    lag: u64,
    next_beat: Instant,
    next_account: Instant,
}

impl<'a> Reader<'a> {
    fn new(config: &Config, name: String, node: watch::Receiver<Option<Life>>, out: &'a Publisher, stop: &'a AtomicBool) -> Self {
        Self {
            parser: Parser::new(config.parser()),
            session: Session::new(node),
            doubted: false,
            name,
            out,
            stop,
            batch: Vec::with_capacity(BATCH),
            lag: 0,
            next_beat: Instant::now() + BEAT,
            next_account: Instant::now() + ACCOUNT,
        }
    }

    fn follow(&mut self, mut follower: Follower, mut lives: Lives) {
        let wake = Wake::new();
        let mut active = Instant::now();
        let mut deadline = None;
        loop {
            // read before the last pass, so that what was written before the order to stop is read
            let last = self.stopped();
            // likewise: what the life before wrote until then is read when its file is left
            let moved = lives.begun();
            follower.look(&mut |news| self.take(news));
            self.parser.set_time(now());
            let length = follower.read(&mut |news| self.take(news));
            self.flush();
            self.session.look(length == 0);
            self.tell(false);
            if last && length == 0 {
                // a place that is being looked for is found soon, and something may follow it
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + follow::PATIENCE);
                if !follower.is_unsettled() || Instant::now() >= deadline {
                    self.tell(true);
                    return;
                }
            }
            // what the life before had to say is read
            if let Some(life) = &moved
                && length == 0
                && !follower.is_unsettled()
                && let Some(target) = lives.elsewhere(life, follower.target())
            {
                self.detached(format!("the node writes to {target} now"));
                self.name = target.to_string();
                follower = Follower::new(target, Begin::Session, None);
                continue;
            }
            if length > 0 {
                active = Instant::now();
                if length < lines::PIECE {
                    std::thread::sleep(PAUSE);
                }
            } else if follower.is_unsettled() || active.elapsed() < QUIET {
                std::thread::sleep(PAUSE);
            } else {
                self.rest(&mut follower, &wake);
            }
        }
    }

    /// Waits until something happens to the log, or it is time for something else.
    fn rest(&mut self, follower: &mut Follower, wake: &Wake) {
        // what cannot be watched is looked at more often
        let mut watched = true;
        for file in follower.files() {
            watched &= wake.watch(file);
        }
        if !follower.has_what_is_named() {
            if let Some(folder) = follower.target().path().and_then(Path::parent) {
                wake.watch_folder(folder);
            }
            follower.look(&mut |news| self.take(news));
            if follower.has_what_is_named() {
                // it came between the last look and this, and is not watched yet
                return;
            }
        }
        // what was written before the watch
        self.parser.set_time(now());
        if follower.read(&mut |news| self.take(news)) == 0 {
            let limit = if watched { LOOK } else { QUIET / 2 };
            wake.wait(limit.min(self.next_beat.saturating_duration_since(Instant::now())));
        }
        self.flush();
    }

    fn read_pipe(&mut self, mut pipe: Pipe) -> anyhow::Result<End> {
        self.attached();
        loop {
            let last = self.stopped();
            let before = pipe.position();
            self.parser.set_time(now());
            let read = pipe.read(&mut |news| self.take(news));
            self.flush();
            let length = read.inspect_err(|error| {
                self.problem(LogFileProblem::Unreadable, before, error.to_string());
                self.detached(format!("failed to read {} at byte {before}: {error}", self.name));
                self.tell(true);
            })?;
            self.session.look(length == 0);
            let ended = pipe.has_ended();
            if ended {
                self.detached(format!("{} has ended", self.name));
            }
            self.tell(last || ended);
            if ended || (last && length == 0) {
                return Ok(if ended { End::Input } else { End::Told });
            }
            if length == 0 {
                pipe.wait(LOOK.min(self.next_beat.saturating_duration_since(Instant::now())));
            }
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Takes what the reading brings.
    fn take(&mut self, news: News<'_>) {
        match news {
            News::Line(Line::Text { offset, bytes }) => self.line(bytes, offset),
            News::Line(Line::Cut { offset, left_out }) => {
                self.push(cut(&self.name, offset, left_out));
            }
            News::Line(Line::Unfinished { offset, bytes }) => {
                self.take(News::Problem(unfinished(&self.name, offset, bytes)));
            }
            News::Attached => self.attached(),
            News::Detached(reason) => self.detached(reason),
            News::Problem(problem) => {
                let kind = problem.problem().word();
                tracing::warn!(log = self.name, offset = problem.offset, kind, detail = problem.detail, "trouble with the log");
                self.push(problem);
            }
        }
    }

    fn line(&mut self, text: &[u8], offset: u64) {
        let Self { parser, session, batch, name, .. } = self;
        let first = batch.len();
        let begun = parser.line(text, &mut |time, kind| batch.push((time, session.node_run(), in_file(kind, name, offset))));
        self.begun(first, begun);
        if !self.doubted && is_foreign_after(self.parser.totals(), ENOUGH) {
            self.doubted = true;
            self.problem(LogFileProblem::Foreign, offset, FOREIGN.to_owned());
        }
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    /// A session may have begun with what is in the batch from `first` on.
    fn begun(&mut self, first: usize, begun: Option<event::log::Session>) {
        let Self { session, batch, stop, .. } = self;
        if let Some(begun) = begun {
            session.begin(begun.time, stop);
            batch[first..].iter_mut().for_each(|(_, node_run, _)| *node_run = session.node_run());
        }
    }

    fn attached(&mut self) {
        tracing::info!(log = self.name, "reading the node's log");
        let target = self.name.clone();
        self.push(HealthAttached { target, ..HealthAttached::default() });
    }

    fn detached(&mut self, reason: String) {
        tracing::warn!(log = self.name, reason, "the node's log is not read");
        let target = self.name.clone();
        self.push(HealthDetached { pid: None, target, reason });
    }

    fn problem(&mut self, problem: LogFileProblem, offset: u64, detail: String) {
        self.take(News::Problem(follow::problem(problem, self.name.clone(), offset, detail)));
    }

    /// Something that is not the node's words: it happens now.
    fn push(&mut self, kind: impl Into<Kind>) {
        self.batch.push((now(), self.session.node_run(), kind.into()));
    }

    /// What is at hand was read: publishes what came of it.
    fn flush(&mut self) {
        let Self { parser, session, batch, name, .. } = self;
        let first = batch.len();
        let begun = parser.settle(&mut |time, kind| batch.push((time, session.node_run(), in_file(kind, name, 0))));
        self.begun(first, begun);
        if let Some((time, ..)) = self.batch.last() {
            self.lag = age(*time, now());
            self.out.publish_batch(self.batch.drain(..));
        }
    }

    /// Publishes what is due.
    fn tell(&mut self, last: bool) {
        let time = Instant::now();
        if last || time >= self.next_account {
            let Self { parser, session, batch, .. } = self;
            parser.health(&mut |_, kind| batch.push((now(), session.node_run(), kind)));
            // of these nobody should take the age for the log's
            self.out.publish_batch(self.batch.drain(..));
            self.next_account = time + ACCOUNT;
        }
        if last || time >= self.next_beat {
            self.out.beat(now(), self.session.node_run(), std::mem::take(&mut self.lag), None, None);
            self.next_beat = time + BEAT;
        }
    }
}

impl Config {
    fn parser(&self) -> Options {
        Options { unmatched: self.log_unmatched }
    }
}

fn cut(file: &str, offset: u64, left_out: u64) -> HealthLogGap {
    HealthLogGap {
        reason: LogGapReason::LineCut.into(),
        bytes: Some(left_out),
        file: file.to_owned(),
        offset: Some(offset),
        ..HealthLogGap::default()
    }
}

fn unfinished(file: &str, offset: u64, bytes: &[u8]) -> HealthLogFile {
    let length = bytes.len();
    follow::problem(
        LogFileProblem::Unfinished,
        file,
        offset,
        format!("it ends within a line, of which {length} bytes are not believed"),
    )
}

/// Says of which file and place the parser speaks.
fn in_file(mut kind: Kind, file: &str, offset: u64) -> Kind {
    if let Kind::HealthLogFile(problem) = &mut kind {
        file.clone_into(&mut problem.file);
        problem.offset = Some(offset);
    }
    kind
}

const FOREIGN: &str = "nothing in it looks like a line of a node's log";

/// Whether so many lines were read, and none of them looks like a node's. Other programs write the same times, so more lines are looked at
/// where there are some.
fn is_foreign_after(totals: Totals, lines: u64) -> bool {
    let enough = totals.lines >= lines && totals.dated == 0 || totals.lines >= ENOUGH && totals.categorised == 0;
    enough && totals.matched == 0
}

/// How old a line is at the least, nanoseconds: without `-logtimemicros` its time is a whole second, somewhere in which it was written.
fn age(time: u64, now: u64) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    let within = if time.is_multiple_of(SECOND) { SECOND - 1 } else { 0 };
    now.saturating_sub(time).saturating_sub(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_whole_second_is_not_late_within_it() {
        let ages = [(5_000_000_000, 5_900_000_000), (5_000_000_000, 7_500_000_000), (5_100_000_000, 5_900_000_000), (9, 5)];
        assert_eq!(ages.map(|(time, now)| age(time, now)), [0, 1_500_000_001, 800_000_000, 0]);
    }
}
