//! The first lines of a log.
//!
//! A log that was shrunk, or of which only the end was kept, begins within a line, and the rest of a line may look like a statement. So
//! lines without a time wait for one that has it; where none comes, the log has no times.

/// Lines that are held back at most. A log without times is told from one with them by any of its lines.
const LINES: usize = 64;

/// Bytes of them.
const BYTES: usize = 64 << 10;

/// Lines without a time, and none with one before them.
#[derive(Default)]
pub(super) struct Beginning {
    lines: Vec<Box<[u8]>>,
    bytes: usize,
}

impl Beginning {
    /// Holds a line back; `false` when there are too many.
    pub(super) fn hold(&mut self, line: &[u8]) -> bool {
        if self.lines.len() == LINES || self.bytes + line.len() > BYTES {
            return false;
        }
        self.bytes += line.len();
        self.lines.push(line.into());
        true
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().map(AsRef::as_ref)
    }
}
