//! What the program says of itself, held back while a screen is up: a line on standard error would be drawn into it.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lines kept; of more, the oldest are dropped and counted.
const LINES: usize = 200;

/// How long a warning stays on the screen.
const SHOWN: Duration = Duration::from_secs(20);

/// Where the log goes: to standard error, or into here.
pub struct Held(Mutex<State>);

struct State {
    held: bool,
    lines: VecDeque<String>,
    dropped: u64,
    warning: Option<(Instant, String)>,
}

impl Held {
    /// Holds nothing back yet.
    pub const fn new() -> Self {
        Self(Mutex::new(State { held: false, lines: VecDeque::new(), dropped: 0, warning: None }))
    }

    /// From now on lines are kept.
    pub fn hold(&self) {
        self.state().held = true;
    }

    /// From now on they are printed, first those that were kept.
    pub fn release(&self) {
        let mut state = self.state();
        state.held = false;
        let _ = io::stderr().write_all(state.rest().as_bytes());
    }

    /// Where to write a line.
    pub fn lines(&self) -> Lines<'_> {
        Lines(self)
    }

    /// The last warning, for a while.
    pub fn warning(&self) -> Option<String> {
        self.state().warning(Instant::now())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // lines cannot be left half changed
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep(&mut self, line: &str, now: Instant) {
        if let Some((_, warning)) = line.split_once(" WARN ").or_else(|| line.split_once("ERROR ")) {
            self.warning = Some((now, warning.trim_end().to_owned()));
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
            self.dropped += 1;
        }
        self.lines.push_back(line.to_owned());
    }

    fn warning(&self, now: Instant) -> Option<String> {
        let (when, warning) = self.warning.as_ref()?;
        (now.duration_since(*when) < SHOWN).then(|| warning.clone())
    }

    fn rest(&mut self) -> String {
        let mut text = String::new();
        if self.dropped > 0 {
            text = format!("({} lines before these are not kept)\n", self.dropped);
        }
        self.dropped = 0;
        text.extend(self.lines.drain(..));
        text
    }
}

/// A line on its way.
pub struct Lines<'a>(&'a Held);

impl Write for Lines<'_> {
    /// Lines come whole: `tracing-subscriber` writes each at once.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        if !state.held {
            drop(state);
            return io::stderr().write(bytes);
        }
        state.keep(&String::from_utf8_lossy(bytes), Instant::now());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_within_bounds_and_warnings_for_a_while() {
        let held = Held::new();
        let mut state = held.state();
        let start = Instant::now();
        state.keep("2026-11-22T15:00:00Z  INFO watches alice\n", start);
        assert_eq!(state.warning(start), None);
        state.keep("2026-11-22T15:00:01Z  WARN no answer node=alice\n", start);
        assert_eq!(state.warning(start + SHOWN / 2).as_deref(), Some("no answer node=alice"));
        assert_eq!(state.warning(start + SHOWN), None);
        for number in 0..LINES {
            state.keep(&format!("2026-11-22T15:00:02Z  INFO {number}\n"), start);
        }
        let rest = state.rest();
        assert!(rest.starts_with("(2 lines before these are not kept)\n2026-11-22T15:00:02Z  INFO 0\n"), "{rest}");
        assert_eq!(rest.lines().count(), LINES + 1);
        assert_eq!(state.rest(), "");
    }
}
