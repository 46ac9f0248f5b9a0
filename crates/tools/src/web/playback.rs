//! A recording as input: where it stands, how fast it goes, and whoever reads it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::Event;
use event::text::{Rfc3339, U64};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

/// What is read of a recording.
pub type Events = Box<dyn Iterator<Item = anyhow::Result<Event>> + Send>;

/// A recording.
pub struct Recording {
    /// Opens it at a time, nanoseconds since the epoch.
    pub open: Arc<dyn Fn(u64) -> anyhow::Result<Events> + Send + Sync>,
    /// Time of its first event.
    pub from: u64,
    /// Time of its last event.
    pub to: u64,
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

/// How fast it may go.
pub const SPEEDS: std::ops::RangeInclusive<f64> = 0.1..=1000.0;
/// A jump reads so much of what came before, so that the state is known, nanoseconds: an hour.
const RUN_UP: u64 = 3600 * 1_000_000_000;
/// Events that are read in one go.
const BATCH: usize = 512;
/// Batches that wait to be played: the reader waits when they do.
const READY: usize = 4;
/// Commands that wait to be followed. Who gives more is told to come later.
pub const COMMANDS: usize = 16;

/// What somebody wants it to do.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Command {
    /// Whether it goes on.
    pub playing: Option<bool>,
    /// How many times as fast as it happened.
    pub speed: Option<f64>,
    /// Jump to this time: RFC 3339, or nanoseconds since the epoch.
    pub at: Option<String>,
}

/// Why a command is not followed.
#[derive(PartialEq, Debug, thiserror::Error)]
pub enum CommandError {
    /// It is no JSON, or not of this shape.
    #[error("not a command: {0}")]
    Malformed(String),
    /// A speed out of range.
    #[error("a speed is a number from {} to {}", SPEEDS.start(), SPEEDS.end())]
    Speed,
    /// A time that is none.
    #[error("`at` is a time, as in 2026-05-01T12:00:00Z, or nanoseconds since the epoch")]
    Time,
}

impl Command {
    /// Reads what a client sent, and the time in it.
    ///
    /// # Errors
    ///
    /// It is no command.
    pub fn parse(text: &[u8]) -> Result<(Self, Option<u64>), CommandError> {
        // serde would take a list of values as well
        if !text.trim_ascii_start().starts_with(b"{") {
            return Err(CommandError::Malformed("it is an object".into()));
        }
        let command: Self =
            serde_json::from_slice(text).map_err(|error| CommandError::Malformed(error.to_string().chars().take(100).collect()))?;
        if command.speed.is_some_and(|speed| !SPEEDS.contains(&speed)) {
            return Err(CommandError::Speed);
        }
        let at = command.at.as_deref().map(time).transpose()?;
        Ok((command, at))
    }
}

fn time(text: &str) -> Result<u64, CommandError> {
    if let Ok(nanos) = text.parse() {
        return Ok(nanos);
    }
    let timestamp: jiff::Timestamp = text.parse().map_err(|_| CommandError::Time)?;
    u64::try_from(timestamp.as_nanosecond()).map_err(|_| CommandError::Time)
}

/// A command, and who waits for what came of it.
pub type Order = (Command, Option<u64>, oneshot::Sender<Value>);

/// Where a recording stands while time passes.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    playing: bool,
    speed: f64,
    /// It stood here…
    at: u64,
    /// …at this moment.
    when: Instant,
}

impl Clock {
    /// Standing at a time.
    pub fn new(at: u64, speed: f64, now: Instant) -> Self {
        Self { playing: false, speed, at, when: now }
    }

    /// Where it stands.
    pub fn now(&self, now: Instant) -> u64 {
        if !self.playing {
            return self.at;
        }
        let passed = now.saturating_duration_since(self.when).as_secs_f64() * self.speed;
        self.at.saturating_add((passed * 1e9) as u64)
    }

    /// When it will stand there; `None` while it does not move.
    pub fn due(&self, time: u64) -> Option<Instant> {
        let nanos = time.saturating_sub(self.at) as f64 / self.speed;
        // a clock in the recording that jumped years ahead is not waited for
        self.playing.then(|| self.when + Duration::from_nanos(nanos as u64).min(Duration::from_hours(24)))
    }

    /// From now on like this.
    fn change(&mut self, now: Instant, at: u64, playing: bool, speed: f64) {
        *self = Self { playing, speed, at, when: now };
    }
}

/// What plays a recording: hands out events when their time has come.
#[derive(Debug)]
pub struct Player {
    recording: Recording,
    clock: Clock,
    reader: mpsc::Receiver<anyhow::Result<Vec<Event>>>,
    pending: VecDeque<Event>,
    /// Where it jumps to: what comes before is only looked at.
    run_up: Option<u64>,
    /// Time of the last event that was handed out.
    last: u64,
    ended: bool,
    error: Option<String>,
}

/// Events whose time has come.
#[derive(Debug, Default)]
pub struct Due {
    /// In order.
    pub events: Vec<Event>,
    /// Whether they are shown, or only looked at on the way to a moment.
    pub shown: bool,
    /// The player's state is another than before.
    pub changed: bool,
}

impl Player {
    /// A player that stands at the beginning, and moves.
    ///
    /// # Errors
    ///
    /// The recording cannot be opened.
    pub fn new(recording: Recording, speed: f64, now: Instant) -> anyhow::Result<Self> {
        let mut clock = Clock::new(recording.from, speed, now);
        clock.change(now, recording.from, true, speed);
        let reader = read(&recording, recording.from)?;
        let last = recording.from;
        Ok(Self { recording, clock, reader, pending: VecDeque::new(), run_up: None, last, ended: false, error: None })
    }

    /// Follows a command; true if the state of everything has to begin anew.
    pub fn follow(&mut self, command: &Command, at: Option<u64>, now: Instant) -> bool {
        let playing = command.playing.unwrap_or(self.clock.playing);
        let speed = command.speed.unwrap_or(self.clock.speed);
        // who presses play at the end wants to see it again
        let again = (self.ended && command.playing == Some(true)).then_some(self.recording.from);
        let Some(at) = at.or(again).map(|at| at.clamp(self.recording.from, self.recording.to)) else {
            let at = self.position(now);
            self.clock.change(now, at, playing, speed);
            return false;
        };
        self.clock.change(now, at, playing, speed);
        // forward it is read on; back, from before
        if at >= self.last && self.run_up.is_none() && at - self.last <= RUN_UP {
            self.run_up = Some(at);
            return false;
        }
        self.pending.clear();
        self.ended = false;
        match read(&self.recording, at.saturating_sub(RUN_UP).max(self.recording.from)) {
            Ok(reader) => self.reader = reader,
            Err(error) => {
                self.error = Some(format!("{error:#}"));
                self.ended = true;
            }
        }
        self.run_up = Some(at);
        self.last = self.recording.from;
        true
    }

    /// Whether it waits for the reader.
    pub fn wants_more(&self) -> bool {
        self.pending.is_empty() && !self.ended
    }

    /// Waits for the reader.
    pub async fn more(&mut self) -> Option<anyhow::Result<Vec<Event>>> {
        self.reader.recv().await
    }

    /// What the reader brought.
    pub fn take(&mut self, batch: Option<anyhow::Result<Vec<Event>>>) {
        match batch {
            Some(Ok(events)) => self.pending.extend(events),
            Some(Err(error)) => {
                tracing::warn!(error = format!("{error:#}"), "a part of the recording cannot be read");
                self.error = Some(format!("{error:#}"));
            }
            None => self.ended = true,
        }
    }

    /// What is due now.
    pub fn due(&mut self, now: Instant) -> Due {
        let mut due = Due { shown: self.run_up.is_none(), ..Due::default() };
        let until = match self.run_up {
            // what happened at that moment is shown
            Some(at) => at.saturating_sub(1),
            None if self.clock.playing => self.clock.now(now),
            None => return self.at_end(due, now),
        };
        // times that jump ahead within a recording are not waited for a second time
        let to = self.recording.to;
        while due.events.len() < BATCH
            && self.pending.front().is_some_and(|event| event.time <= until || event.time > to)
            && let Some(event) = self.pending.pop_front()
        {
            self.last = self.last.max(event.time.min(self.recording.to));
            due.events.push(event);
        }
        if let Some(at) = self.run_up
            && (!self.pending.is_empty() && due.events.len() < BATCH || self.ended)
        {
            self.run_up = None;
            let Clock { playing, speed, .. } = self.clock;
            self.clock.change(now, at, playing, speed);
            due.changed = true;
        }
        self.at_end(due, now)
    }

    fn at_end(&mut self, mut due: Due, now: Instant) -> Due {
        if self.ended && self.pending.is_empty() && self.clock.playing && self.run_up.is_none() {
            let speed = self.clock.speed;
            self.clock.change(now, self.recording.to, false, speed);
            due.changed = true;
        }
        due
    }

    /// When there may be something due again; `None` until a command comes, or the reader brings something.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        let first = self.pending.front()?;
        if self.run_up.is_some() { Some(now) } else { self.clock.due(first.time) }
    }

    fn position(&self, now: Instant) -> u64 {
        // behind its clock if it cannot read or show so fast
        let next = self.pending.front().map_or(u64::MAX, |event| event.time);
        let ended = if self.ended { self.recording.to } else { next };
        self.clock.now(now).min(ended).clamp(self.recording.from, self.recording.to)
    }

    /// As JSON.
    pub fn show(&self, now: Instant) -> Value {
        let at = self.position(now);
        let (from, to) = (self.recording.from, self.recording.to);
        let text = Rfc3339::from_nanos;
        json!({
            "recording": true, "start": U64(from), "startText": text(from), "end": U64(to), "endText": text(to), "position": U64(at),
            "positionText": text(at), "playing": self.clock.playing, "speed": self.clock.speed, "seeking": self.run_up.is_some(),
            "ended": self.ended && self.pending.is_empty(), "error": self.error,
        })
    }
}

/// Reads on a thread of its own, which ends when nobody wants more.
fn read(recording: &Recording, from: u64) -> anyhow::Result<mpsc::Receiver<anyhow::Result<Vec<Event>>>> {
    let (out, reader) = mpsc::channel(READY);
    let open = Arc::clone(&recording.open);
    std::thread::Builder::new().name("po-recording".into()).spawn(move || {
        let mut events = match open(from) {
            Ok(events) => events,
            Err(error) => return drop(out.blocking_send(Err(error))),
        };
        let mut open = true;
        while open {
            let mut batch = Vec::with_capacity(BATCH);
            while batch.len() < BATCH && open {
                match events.next() {
                    Some(Ok(event)) => batch.push(Event { replay: true, ..event }),
                    Some(Err(error)) => {
                        let before = out.blocking_send(Ok(std::mem::take(&mut batch)));
                        open = before.is_ok() && out.blocking_send(Err(error)).is_ok();
                    }
                    None => open = false,
                }
            }
            // the other side may have gone somewhere else
            if out.blocking_send(Ok(batch)).is_err() {
                return;
            }
        }
    })?;
    Ok(reader)
}

#[cfg(test)]
mod tests;
