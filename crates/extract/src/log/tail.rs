//! The end of what was read of a file: by it, the place is found again when the file was rewritten.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;

use memchr::memmem;

/// Lines carry their time, so a few of them occur once in a log; this is some twenty.
const LENGTH: usize = 4096;

/// Less than this could be the same in another file, too: two nodes begin their logs alike.
const SURE: usize = 1024;

/// Where the kept end of a shrunk log may reach to. Bitcoin Core keeps 10,000,000 bytes (`src/logging.cpp`, `ShrinkDebugFile`); new lines
/// follow it.
const FARTHEST: u64 = 12_000_000;

/// The last bytes that were read.
#[derive(Debug, Default)]
pub(super) struct Tail(Vec<u8>);

impl Tail {
    /// What is before this place in a file.
    pub(super) fn before(position: u64, file: &File) -> io::Result<Self> {
        let length = position.min(LENGTH as u64);
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, position - length)?;
        Ok(Self(bytes))
    }

    /// Goes on with what was read.
    pub(super) fn push(&mut self, piece: &[u8]) {
        let piece = &piece[piece.len().saturating_sub(LENGTH)..];
        let surplus = (self.0.len() + piece.len()).saturating_sub(LENGTH);
        self.0.drain(..surplus);
        self.0.extend_from_slice(piece);
    }

    /// The last bytes, up to as many as there is room for.
    pub(super) fn last<'a>(&self, room: &'a mut [u8]) -> &'a mut [u8] {
        let length = room.len().min(self.0.len());
        room[..length].copy_from_slice(&self.0[self.0.len() - length..]);
        &mut room[..length]
    }

    /// The time of the last line that has one.
    pub(super) fn last_time(&self) -> Option<u64> {
        self.0.rsplit(|byte| *byte == b'\n').find_map(|line| event::log::split(line).time)
    }

    /// Where in `file` the reading goes on, if this is in it: at the same `position` as before, or nearer to the beginning, because
    /// only the end of the file was kept.
    pub(super) fn find(&self, file: &File, position: u64) -> io::Result<Option<u64>> {
        if self.0.len() < SURE {
            return Ok(None);
        }
        let length = self.0.len() as u64;
        if position >= length {
            let mut there = vec![0; self.0.len()];
            match file.read_exact_at(&mut there, position - length) {
                Ok(()) if there == self.0 => return Ok(Some(position)),
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Err(error) => return Err(error),
            }
        }
        self.search(file)
    }

    fn search(&self, mut file: &File) -> io::Result<Option<u64>> {
        file.seek(SeekFrom::Start(0))?;
        let mut file = file.take(FARTHEST);
        let finder = memmem::Finder::new(&self.0);
        let mut window = Vec::with_capacity(2 * super::lines::PIECE);
        let mut offset = 0;
        loop {
            let fresh = (&mut file).take(super::lines::PIECE as u64).read_to_end(&mut window)?;
            if let Some(at) = finder.find(&window) {
                return Ok(Some(offset + (at + self.0.len()) as u64));
            }
            if fresh == 0 {
                return Ok(None);
            }
            // it may begin in what was read and end in what was not
            let done = window.len().saturating_sub(self.0.len() - 1);
            window.drain(..done);
            offset += done as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn lines(numbers: std::ops::Range<u32>) -> String {
        numbers.map(|number| format!("line {number:09}\n")).collect()
    }

    fn file(content: &str) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file
    }

    #[track_caller]
    fn check(before: &str, after: &str, expected: Option<usize>) {
        let position = before.len() as u64;
        let tail = Tail::before(position, &file(before)).unwrap();
        assert_eq!(tail.find(&file(after), position).unwrap(), expected.map(|place| place as u64));
        let mut pushed = Tail::default();
        for piece in before.as_bytes().chunks(1000) {
            pushed.push(piece);
        }
        assert_eq!(pushed.0, tail.0);
    }

    #[test]
    fn the_place_is_found_where_it_was_or_in_what_was_kept() {
        let before = lines(0..100_000);
        check(&before, &lines(0..100_010), Some(before.len()));
        for kept in [1_000, 10_000, 50_000, 70_000] {
            check(&before, &lines(100_000 - kept..100_020), Some(kept as usize * 15));
        }
        check(&before, &lines(100_000..300_000), None);
        check(&before, &lines(0..99_999), None);
        check(&before, "", None);
    }

    #[test]
    fn what_is_short_is_no_proof() {
        check(&lines(0..5), &lines(0..6), None);
    }
}
