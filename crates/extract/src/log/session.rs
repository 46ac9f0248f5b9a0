//! Which life of the node a line is from.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clock::now;
use crate::life::Life;

const SECOND: u64 = 1_000_000_000;

/// A node's first line comes within so many seconds after its process was started, on a slow machine under load.
const STARTING: u64 = 30;

/// A line that is not older than so many seconds is one that is just being written.
const FRESH: u64 = 5;

/// How soon a new process is known (`life` looks twice a second), and some more.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Finds the process that a session in the log belongs to.
///
/// All sources must say the same `node_run`, so what [`crate::life`] says counts. A session of which it knows nothing is named by the
/// second of its first line, which is that of the start of the process or the one after.
#[derive(Debug)]
pub struct Session {
    lives: watch::Receiver<Option<Life>>,
    /// A process was known once, so the next will be, too.
    findable: bool,
    /// Of the lines now, as far as it is known.
    node_run: Option<u64>,
    /// When the session's first line was written, seconds, while no process is known for it.
    nameless: Option<u64>,
    /// Of the lines before this session: a process that has ended may still be taken for the one of now.
    previous: Option<u64>,
    /// The beginning of a session was read.
    begun: bool,
}

impl Session {
    /// Before any line.
    pub fn new(lives: watch::Receiver<Option<Life>>) -> Self {
        let findable = lives.borrow().is_some();
        Self { findable, lives, node_run: None, nameless: None, previous: None, begun: false }
    }

    /// The start of the node's process, seconds, for the lines that come now.
    pub fn node_run(&self) -> Option<u64> {
        self.node_run
    }

    /// Looks for the process of the lines that come now. `live` means that everything before was read.
    pub fn look(&mut self, live: bool) {
        let Some(run) = self.lives.borrow().as_ref().map(|life| life.node_run) else { return };
        self.findable = true;
        if let Some(first) = self.nameless
            && starts(run, first)
            && self.previous != Some(run)
        {
            (self.node_run, self.nameless) = (Some(run), None);
        } else if !self.begun && live && self.node_run.is_none() {
            // reading began in the middle of a session, and it is the one of now
            self.node_run = Some(run);
        }
    }

    /// A session begins with a line of this `time`, in nanoseconds. Waits until its process is known, if it is just being started.
    pub fn begin(&mut self, time: u64, stop: &AtomicBool) {
        let first = time / SECOND;
        self.begun = true;
        self.previous = self.node_run;
        (self.node_run, self.nameless) = (Some(first), Some(first));
        let fresh = now().saturating_sub(time) < FRESH * SECOND;
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.look(true);
            let wait = self.nameless.is_some() && self.findable && fresh && Instant::now() < deadline;
            if !wait || stop.load(Ordering::Acquire) {
                return;
            }
            // what the node writes meanwhile is in the file
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Whether a process that was started then may have written its first line at `first`.
fn starts(run: u64, first: u64) -> bool {
    (first.saturating_sub(STARTING)..=first).contains(&run)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(node_run: u64) -> Option<Life> {
        Some(Life { pid: 1, node_run, datadir: None })
    }

    fn begun(session: &mut Session, time: u64) -> Option<u64> {
        session.begin(time, &AtomicBool::new(false));
        session.node_run()
    }

    #[test]
    fn old_sessions_are_named_by_their_first_line_and_the_last_by_its_process() {
        let (_lives, life) = watch::channel(life(2000));
        let mut session = Session::new(life);
        session.look(false);
        assert_eq!(session.node_run(), None, "a line before the first session");
        assert_eq!(begun(&mut session, 1000 * SECOND), Some(1000));
        assert_eq!(begun(&mut session, 2003 * SECOND), Some(2000));
    }

    #[test]
    fn lines_that_are_written_now_are_of_the_process_of_now() {
        let (lives, life_now) = watch::channel(life(2000));
        let mut session = Session::new(life_now);
        session.look(true);
        assert_eq!(session.node_run(), Some(2000));
        lives.send_replace(None);
        session.look(true);
        assert_eq!(session.node_run(), Some(2000), "its last lines are still to come");
    }

    #[test]
    fn a_process_that_is_just_being_started_is_waited_for() {
        let first = now() / SECOND;
        // not long after the one before
        let (lives, life_now) = watch::channel(life(first - 10));
        let mut session = Session::new(life_now);
        session.look(true);
        let waiting = std::thread::spawn(move || begun(&mut session, first * SECOND));
        lives.send_replace(None);
        lives.send_replace(life(first - 1));
        assert_eq!(waiting.join().unwrap(), Some(first - 1));
    }

    #[test]
    fn without_a_way_to_find_processes_nothing_is_waited_for() {
        let (lives, life_now) = watch::channel(None);
        let mut session = Session::new(life_now);
        let first = now() / SECOND;
        let start = Instant::now();
        assert_eq!(begun(&mut session, first * SECOND), Some(first));
        assert!(start.elapsed() < PATIENCE / 2);
        // it is found in the end
        lives.send_replace(life(first));
        session.look(true);
        assert_eq!(session.node_run(), Some(first));
    }
}
