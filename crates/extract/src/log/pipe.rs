//! A log that comes through a pipe.

use std::fs::File;
use std::io::{self, Read as _};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::follow::News;
use super::lines::{Line, Lines};

/// Reads a pipe: one with a name, which writers open again and again, or standard input, which ends.
#[derive(Debug)]
pub struct Pipe {
    file: File,
    lines: Lines,
    named: bool,
    ended: bool,
}

impl Pipe {
    /// A pipe that is open. One with a name ends only with us.
    pub fn new(file: File, named: bool) -> Self {
        Self { file, lines: Lines::at(0), named, ended: false }
    }

    /// Reads what is there; gives how many bytes there were.
    ///
    /// # Errors
    ///
    /// The pipe is broken.
    pub fn read(&mut self, out: &mut impl FnMut(News<'_>)) -> io::Result<usize> {
        let ready = self.look(Duration::ZERO);
        let Self { file, lines, .. } = self;
        let mut out = |line: Line<'_>| out(News::Line(line));
        if self.ended {
            return Ok(0);
        }
        if !ready.contains(PollFlags::IN) {
            if !ready.contains(PollFlags::HUP) {
                return Ok(0);
            }
            if self.named {
                // the next writer begins a line of its own
                lines.finish(&mut out);
                return Ok(0);
            }
        }
        let result = lines.read(|buffer| file.read(buffer), &mut out);
        match result {
            Ok(0) => {
                // a writer that goes away has said all it will
                lines.finish(&mut out);
                self.ended = !self.named;
                Ok(0)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
            other => other,
        }
    }

    /// Whether nothing more can come.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// How many bytes were read.
    pub(super) fn position(&self) -> u64 {
        self.lines.position()
    }

    /// Waits until there is something to read, but not longer than this.
    pub fn wait(&self, limit: Duration) {
        if self.is_ready(limit) {
            return;
        }
        // without a writer it would be ready with nothing, at once and for ever
        if self.look(Duration::ZERO).contains(PollFlags::HUP) {
            std::thread::sleep(limit.min(Duration::from_millis(20)));
        }
    }

    fn is_ready(&self, limit: Duration) -> bool {
        let ready = self.look(limit);
        ready.contains(PollFlags::IN) || !self.named && ready.contains(PollFlags::HUP)
    }

    /// What there is within this time: something to read, or no writer any more.
    fn look(&self, limit: Duration) -> PollFlags {
        let mut ready = [PollFd::new(&self.file, PollFlags::IN)];
        let limit = Timespec::try_from(limit).ok();
        let _ = poll(&mut ready, limit.as_ref());
        ready[0].revents()
    }
}
