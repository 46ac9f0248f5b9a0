//! debug.log: lines become facts.
//!
//! [`Parser`] takes the lines of one log, one after another, and states what it understands as events of the ordinary families. Reading
//! files is somebody else's business:
//!
//! ```
//! use event::log::{Options, Parser};
//!
//! let mut parser = Parser::new(Options::default());
//! let mut facts = Vec::new();
//! let line = b"2025-11-05T12:34:56Z [net] Cleared nodestate for peer=7";
//! parser.line(line, &mut |time, kind| facts.push((time, kind.id().name())));
//! assert_eq!(facts, [(1_762_346_096_000_000_000, "conn.step")]);
//! ```
//!
//! A line is split into its parts ([`split`]), and the first bytes of its message choose the rows of the catalogue (`log/rows`) that are
//! tried. What a row states is a fact; what no row knows is counted by category, remembered by its shape, and stated as `log.line` on
//! request only.
//!
//! The text of debug.log is no interface of Bitcoin Core, so the parser watches itself: [`Parser::health`] says how much it understood,
//! and which pattern stopped matching when the node got another version; a template never seen before is stated as it comes.
//!
//! Times are the lines' own, also where they jump back, which is said. A line without one takes the last; see [`Parser::set_time`] for
//! logs that have none.
//!
//! What is wrong with a file is stated as `health.log_file` without the file's name and the place: whoever reads it knows them.

mod account;
mod beginning;
mod category;
mod hex;
mod line;
mod pattern;
mod rows;
mod table;
mod templates;

use std::sync::LazyLock;

use memchr::memmem;

use account::Account;
use beginning::Beginning;
pub use category::Category;
use line::Splitter;
pub use line::{Line, SourceLocation, split};
use table::{Found, Table};
use templates::Templates;

use crate::{ConnClosing, EndReason, HealthLogFile, HealthLogGap, HealthParser, HealthTemplate, Kind};
use crate::{LogFileProblem, LogGapReason, LogLevel, LogLine};

/// The longest message that `log.line` keeps.
const LONGEST_MESSAGE: usize = 4096;

/// Empty lines before the first line of a node's life (Bitcoin Core `src/logging.cpp`, `StartLogging`: five).
const LINES_BETWEEN_LIVES: u32 = 4;

/// A time that goes back by less is a clock that is being adjusted, nanoseconds.
const BACK: u64 = 1_000_000_000;

/// So many statements without a time, and nothing with one in between, are no further lines of a message; and so many lines with times are
/// no chance in a log without.
const ENOUGH: u32 = 16;

/// More further lines than this has no message of a node.
const FURTHER: u64 = 1000;

/// What a parser is to state.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Options {
    /// State lines that no pattern matches, as `log.line`. They may hold anything, passwords included.
    pub unmatched: bool,
}

/// A node's life began with this line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// Nanoseconds since the Unix epoch: at most some seconds after the process started.
    pub time: u64,
    /// `v31.0.0`, as the node writes it.
    pub version: String,
}

/// How many lines there were.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Totals {
    /// Lines, empty ones left out.
    pub lines: u64,
    /// Of them with a time. None in many lines: not a log of Bitcoin Core, or one with `-logtimestamps=0`.
    pub dated: u64,
    /// Of them with a category of Bitcoin Core, or with something else in brackets before the message: a wallet's name, as a node without
    /// categories writes it once per transaction of its own.
    pub categorised: u64,
    /// Of them matched by a pattern.
    pub matched: u64,
    /// Of them matched by none.
    pub unmatched: u64,
    /// Of them further lines of a message with line feeds in it.
    pub continuations: u64,
}

/// The parser of one log.
pub struct Parser {
    options: Options,
    splitter: Splitter,
    account: Account,
    templates: Templates,
    totals: Totals,
    version: Option<String>,
    /// Of the last line that had one.
    time: u64,
    /// The first lines, while it is open whether they are rests of a message.
    beginning: Option<Beginning>,
    /// What the last line with a time had.
    stamp: u64,
    /// Lines begin with a time, so one without belongs to the line before.
    dated: bool,
    /// That was believed, and proved wrong.
    wary: bool,
    /// Lines with times just before, while it is not believed.
    dates: u32,
    further: Further,
    /// Lines of some place are being suppressed.
    suppressing: bool,
    /// Empty lines just before.
    empty: u32,
}

/// Lines without a time, in a row, where lines have times.
#[derive(Clone, Copy, Default)]
struct Further {
    lines: u64,
    /// Of them such as the catalogue knows.
    statements: u32,
    /// It was said that they are no rest of a message.
    told: bool,
}

impl Parser {
    /// At the beginning of a log, or anywhere in it.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            splitter: Splitter::default(),
            account: Account::new(),
            templates: Templates::new(),
            totals: Totals::default(),
            version: None,
            time: 0,
            beginning: Some(Beginning::default()),
            stamp: 0,
            dated: false,
            wary: false,
            dates: 0,
            further: Further::default(),
            suppressing: false,
            empty: 0,
        }
    }

    /// Takes a line, without its line feed, and hands out what it states, with its time in nanoseconds since the Unix epoch. Returns the
    /// node's life where the line begins one; everything handed out from this line on belongs to it.
    ///
    /// The first lines may be held back, if they have no time, until another tells whether they are the rest of a message; see
    /// [`Parser::settle`].
    pub fn line(&mut self, line: &[u8], out: &mut impl FnMut(u64, Kind)) -> Option<Session> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            self.empty += 1;
            return None;
        }
        if self.beginning.is_some() { self.begin_with(line, out) } else { self.take(line, out) }
    }

    /// Nothing more is at hand: takes the first lines that were held back for what they seem to be. To be called at the end of a log, and
    /// while there is nothing to read in one that grows.
    pub fn settle(&mut self, out: &mut impl FnMut(u64, Kind)) -> Option<Session> {
        let beginning = self.beginning.take_if(|beginning| !beginning.is_empty())?;
        let mut session = None;
        for line in beginning.lines() {
            session = self.take(line, out).or(session);
        }
        session
    }

    #[cold]
    fn begin_with(&mut self, line: &[u8], out: &mut impl FnMut(u64, Kind)) -> Option<Session> {
        if let Some(time) = split(line).time {
            // what came before it began in another file, or was cut off; but for several lines of a life without times
            let another = self.empty >= LINES_BETWEEN_LIVES;
            let is_rest = |beginning: &mut Beginning| !(another && beginning.len() > 1);
            if let Some(beginning) = self.beginning.take_if(is_rest) {
                (self.time, self.dated) = (time, true);
                for rest in beginning.lines() {
                    self.totals.lines += 1;
                    let parts = self.splitter.split(rest);
                    self.further(rest, &parts, out);
                }
            }
        } else if !begins_life(line) && self.beginning.as_mut().is_some_and(|beginning| beginning.hold(line)) {
            self.empty = 0;
            return None;
        }
        let session = self.settle(out);
        self.beginning = None;
        self.take(line, out).or(session)
    }

    fn take(&mut self, line: &[u8], out: &mut impl FnMut(u64, Kind)) -> Option<Session> {
        if std::mem::take(&mut self.empty) >= LINES_BETWEEN_LIVES {
            // the node may have been started with other options
            (self.dated, self.wary, self.suppressing) = (false, false, false);
        }
        let parts = self.splitter.split(line);
        self.totals.lines += 1;
        if let Some(time) = parts.time {
            self.dated(time, out);
        } else if self.dated {
            self.further(line, &parts, out);
            return None;
        } else {
            self.dates = 0;
        }
        self.totals.categorised += u64::from(parts.category != Category::NONE || parts.message.starts_with(b"["));
        if parts.suppressing != self.suppressing {
            self.suppressing(&parts, out);
        }
        match Table::get().find(parts.message) {
            Found::Row(place, fact) => {
                let mut session = None;
                if let Some(Kind::LogLife(life)) = &fact
                    && !life.version.is_empty()
                {
                    session = Some(self.begin(life.version.clone()));
                }
                self.totals.matched += 1;
                self.account.matched(parts.category, place);
                if let Some(fact) = fact {
                    out(self.time, fact);
                }
                session
            }
            Found::Nothing => {
                self.unmatched(&parts, out);
                None
            }
        }
    }

    /// A line has a time.
    fn dated(&mut self, time: u64, out: &mut impl FnMut(u64, Kind)) {
        self.totals.dated += 1;
        if time.saturating_add(BACK) < self.stamp {
            let seconds = (self.stamp - time) / 1_000_000_000;
            out(time, problem(LogFileProblem::ClockBack, format!("the time of its lines goes back by {seconds} s")));
        }
        (self.time, self.stamp) = (time, time);
        self.further = Further::default();
        if !self.dated {
            self.dates += 1;
            if !self.wary || self.dates >= ENOUGH {
                (self.dated, self.wary) = (true, false);
            }
        }
    }

    /// A line without a time where lines have them: it belongs to the message before it, unless it cannot.
    fn further(&mut self, line: &[u8], parts: &Line<'_>, out: &mut impl FnMut(u64, Kind)) {
        self.totals.continuations += 1;
        if self.options.unmatched {
            out(self.time, log_line(parts, true));
        }
        let further = &mut self.further;
        further.lines += 1;
        if !further.told && is_binary(line) {
            further.told = true;
            out(
                self.time,
                problem(
                    LogFileProblem::Damaged,
                    "bytes that no node writes; no fact is taken from there to the next line with a time".to_owned(),
                ),
            );
        } else if !further.told && further.lines > FURTHER {
            further.told = true;
            let detail = format!("more than {FURTHER} lines without a time in a row; no fact is taken from them");
            out(self.time, problem(LogFileProblem::Damaged, detail));
        }
        if let Found::Row(..) = Table::get().find(parts.message) {
            further.statements += 1;
            if further.statements >= ENOUGH {
                let lines = std::mem::take(further).lines;
                (self.dated, self.wary, self.dates) = (false, true, 0);
                let detail =
                    format!("its lines have no times, but one did: {lines} lines after it were taken for further lines of it");
                out(self.time, problem(LogFileProblem::Mixed, detail));
            }
        }
    }

    /// A line says that others are left out from now on, or are not any more.
    #[cold]
    fn suppressing(&mut self, line: &Line<'_>, out: &mut impl FnMut(u64, Kind)) {
        self.suppressing = line.suppressing;
        // the line that says where has the mark already
        if line.suppressing && !line.message.starts_with(b"Excessive logging detected from ") {
            out(self.time, HealthLogGap { reason: LogGapReason::RateLimitBegan.into(), ..HealthLogGap::default() }.into());
        }
    }

    fn begin(&mut self, version: String) -> Session {
        if let Some(before) = self.version.replace(version.clone())
            && before != version
        {
            self.account.version_changed(before);
        }
        Session { time: self.time, version }
    }

    fn unmatched(&mut self, line: &Line<'_>, out: &mut impl FnMut(u64, Kind)) {
        if let Some(closing) = unknown_end(line) {
            out(self.time, closing);
        }
        self.totals.unmatched += 1;
        self.account.unmatched(line.category);
        if let Some(template) = self.templates.add(line.category, line.message) {
            let (category, lines) = (line.category.name().to_owned(), self.totals.lines - 1);
            out(self.time, HealthTemplate { category, template, lines }.into());
        }
        if self.options.unmatched {
            out(self.time, log_line(line, false));
        }
    }

    /// The node's version as its log states it, once a life of it began.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The time that lines without one take until a line has one; for logs of `-logtimestamps=0`, which are followed while they are
    /// written.
    pub fn set_time(&mut self, time: u64) {
        if !self.dated {
            self.time = time;
        }
    }

    /// What a line without a time is dated now: as the last that had one.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// How many lines there were so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Every pattern of the catalogue, and how many lines it matched.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.account.rows()
    }

    /// How much was understood so far, and patterns that fell silent since the last call. Meant to be asked for every minute, and at the
    /// end.
    pub fn health(&mut self, out: &mut impl FnMut(u64, Kind)) {
        let time = self.time;
        let release = self.version.as_deref().and_then(release);
        self.account.silent(release, self.version.as_deref().unwrap_or_default(), |silent| out(time, silent));
        let parser = HealthParser {
            version: self.version.clone(),
            categories: self.account.totals().collect(),
            continuations: self.totals.continuations,
            templates: self.templates.len() as u32,
            untracked: self.templates.untracked,
        };
        out(time, parser.into());
    }
}

/// Whether this is the first line of a life, and so no rest of another.
fn begins_life(line: &[u8]) -> bool {
    matches!(Table::get().find(split(line).message), Found::Row(_, Some(Kind::LogLife(life))) if !life.version.is_empty())
}

/// Something is wrong with the file, of which only the reader knows the name.
fn problem(problem: LogFileProblem, detail: String) -> Kind {
    HealthLogFile { problem: problem.into(), detail, ..HealthLogFile::default() }.into()
}

/// Whether there are bytes that no node writes: it escapes control characters but line feeds (Bitcoin Core `src/logging.cpp`,
/// `LogEscapeMessage`).
fn is_binary(line: &[u8]) -> bool {
    line.iter().any(u8::is_ascii_control)
}

/// The release that a version is, or will become: 30 of `v30.2.0` and of `v29.99.0-1a2b3c`.
fn release(version: &str) -> Option<u32> {
    let mut numbers = version.strip_prefix('v')?.split(['.', '-']).map(str::parse::<u32>);
    let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    // up to 0.21 the first number was zero
    let release = if major == 0 { minor } else { major };
    Some(if major > 0 && minor == 99 { release + 1 } else { release })
}

/// A disconnection for a reason that this release does not know. Only lines of `net`, and such as are always written, have these words,
/// and nothing that a peer chooses can hold them: an equals sign is none of the characters that Bitcoin Core lets through
/// (`SAFE_CHARS_DEFAULT`).
fn unknown_end(line: &Line<'_>) -> Option<Kind> {
    const WORDS: &[u8] = b", disconnecting peer=";
    // made once: every unmatched line of these is searched
    static FINDER: LazyLock<memmem::FinderRev<'static>> = LazyLock::new(|| memmem::FinderRev::new(WORDS));
    if !matches!(line.category.name(), "net" | "") {
        return None;
    }
    let at = FINDER.rfind(line.message)?;
    let (detail, rest) = line.message.split_at(at);
    let rest = std::str::from_utf8(&rest[WORDS.len()..]).ok()?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (peer, rest) = rest.split_at(digits);
    let address = rest.trim_start_matches(", ").trim_start().strip_prefix("peeraddr=").unwrap_or_default();
    let address = address.split(' ').next().unwrap_or_default().to_owned();
    let detail = pattern::bounded(detail, pattern::MAX_TEXT);
    Some(ConnClosing { peer: peer.parse().ok()?, address, reason: EndReason::Other.into(), detail }.into())
}

fn log_line(line: &Line<'_>, continuation: bool) -> Kind {
    let length = line.message.len();
    LogLine {
        category: line.category.name().to_owned(),
        level: if continuation { LogLevel::Unspecified.into() } else { line.level.into() },
        thread: line.thread.map(|thread| pattern::bounded(thread, pattern::MAX_TEXT)),
        source_location: line.source.map(|source| pattern::bounded(source.place, pattern::MAX_TEXT)),
        message: pattern::bounded(line.message, LONGEST_MESSAGE),
        continuation,
        length: (length > LONGEST_MESSAGE).then_some(length as u64),
    }
    .into()
}

#[cfg(test)]
mod tests;
