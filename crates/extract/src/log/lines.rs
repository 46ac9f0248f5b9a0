//! Bytes into lines, with bounded memory.

use std::io;

use memchr::memchr;

/// The longest line that is kept. Bitcoin Core's longest are some kilobytes; a longer one is no message of a node, or carries what
/// nobody reads from a log.
pub const LONGEST_LINE: usize = 1 << 20;

/// How much is read at once: enough to share the cost of a call, and it stays in the processor's cache.
pub(super) const PIECE: usize = 256 << 10;

/// A line, or what became of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line<'a> {
    /// A line without its line feed; of one that is too long, the beginning.
    Text {
        /// Where the line begins.
        offset: u64,
        /// What it is.
        bytes: &'a [u8],
    },
    /// The line before was too long: what follows its first [`LONGEST_LINE`] bytes was left out.
    Cut {
        /// Where the line begins.
        offset: u64,
        /// How many bytes were left out.
        left_out: u64,
    },
    /// The input ended within a line. A node writes a line and its line feed at once: this is a part of one, and may look like another.
    Unfinished {
        /// Where it begins.
        offset: u64,
        /// What there is of it.
        bytes: &'a [u8],
    },
}

/// Cuts what is read into lines.
#[derive(Debug)]
pub struct Lines {
    /// All of it may be read into.
    buffer: Vec<u8>,
    /// What of the buffer was read and not yet given out: at most one line without its end.
    held: std::ops::Range<usize>,
    /// Where in the input the held part begins.
    offset: u64,
    /// How many bytes of the line under way were left out, once it is too long.
    left_out: Option<u64>,
}

impl Lines {
    /// Lines of an input from this place on.
    pub fn at(offset: u64) -> Self {
        Self { buffer: Vec::new(), held: 0..0, offset, left_out: None }
    }

    /// How far the input was read.
    pub fn position(&self) -> u64 {
        self.offset + self.held.len() as u64 + self.left_out.unwrap_or(0)
    }

    /// What comes next is at this place now: the file was rewritten.
    pub(super) fn moved_to(&mut self, position: u64) {
        self.offset = position.saturating_sub(self.held.len() as u64 + self.left_out.unwrap_or(0));
    }

    /// Reads once, and gives out the lines that end in what was read. `read` fills the buffer that it is given and says how far.
    ///
    /// # Errors
    ///
    /// What `read` fails with; nothing is changed by it.
    pub fn read(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>, out: &mut impl FnMut(Line<'_>)) -> io::Result<usize> {
        self.make_room();
        let fresh = self.held.end;
        let length = read(&mut self.buffer[fresh..])?;
        self.held.end += length;
        self.give_out(fresh, out);
        Ok(length)
    }

    /// At the end of the input: says if the last line has none.
    pub fn finish(&mut self, out: &mut impl FnMut(Line<'_>)) {
        if self.left_out.is_some() {
            return self.end_long_line(out);
        }
        if !self.held.is_empty() {
            out(Line::Unfinished { offset: self.offset, bytes: &self.buffer[self.held.clone()] });
            self.forget(self.held.len());
        }
    }

    fn make_room(&mut self) {
        self.buffer.copy_within(self.held.clone(), 0);
        self.held = 0..self.held.len();
        // a line under way is at most as long as the longest, so this ends
        let wanted = (self.held.len() + PIECE).next_multiple_of(PIECE);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        } else if self.held.len() < PIECE && self.buffer.len() > 4 * PIECE {
            self.buffer.truncate(wanted);
            self.buffer.shrink_to_fit();
        }
    }

    /// Gives out lines; before `fresh` there is no line feed.
    fn give_out(&mut self, mut fresh: usize, out: &mut impl FnMut(Line<'_>)) {
        while let Some(length) = memchr(b'\n', &self.buffer[fresh..self.held.end]) {
            let end = fresh + length;
            if let Some(left_out) = &mut self.left_out {
                *left_out += length as u64;
                self.held.start = end;
                self.end_long_line(out);
            } else {
                self.line(end, out);
            }
            self.forget(1);
            fresh = self.held.start;
        }
        if let Some(left_out) = &mut self.left_out {
            *left_out += self.held.len() as u64;
            self.held.start = self.held.end;
        } else if self.held.len() > LONGEST_LINE {
            self.line(self.held.end, out);
        }
    }

    /// Gives out what is held up to `end`, which is a line, or too much of one.
    fn line(&mut self, end: usize, out: &mut impl FnMut(Line<'_>)) {
        let bytes = &self.buffer[self.held.start..end];
        match bytes.split_at_checked(LONGEST_LINE) {
            Some((beginning, rest)) if !rest.is_empty() => {
                out(Line::Text { offset: self.offset, bytes: beginning });
                self.left_out = Some(rest.len() as u64);
                self.offset += beginning.len() as u64;
                self.held.start = end;
                // its line feed is there already
                if end < self.held.end {
                    self.end_long_line(out);
                }
            }
            _ => {
                let length = bytes.len();
                out(Line::Text { offset: self.offset, bytes });
                self.forget(length);
            }
        }
    }

    fn end_long_line(&mut self, out: &mut impl FnMut(Line<'_>)) {
        if let Some(left_out) = self.left_out.take() {
            out(Line::Cut { offset: self.offset.saturating_sub(LONGEST_LINE as u64), left_out });
            self.offset += left_out;
        }
    }

    fn forget(&mut self, length: usize) {
        self.held.start += length;
        self.offset += length as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads in pieces of this size, and shows lines and cuts.
    fn lines(input: &[u8], piece: usize) -> Vec<String> {
        let mut lines = Lines::at(0);
        let mut seen = Vec::new();
        let mut out = |line: Line<'_>| {
            seen.push(match line {
                Line::Text { bytes, .. } if bytes.len() > 100 => format!("{} bytes", bytes.len()),
                Line::Text { offset, bytes } => {
                    assert!(input[offset as usize..].starts_with(bytes));
                    bytes.escape_ascii().to_string()
                }
                Line::Unfinished { offset, bytes } => {
                    assert_eq!(&input[offset as usize..], bytes);
                    format!("{} bytes of a line", bytes.len())
                }
                Line::Cut { offset, left_out } => format!("cut at {offset}, {left_out} left out"),
            });
        };
        for piece in input.chunks(piece) {
            let mut rest = piece;
            while !rest.is_empty() {
                lines.read(|buffer| io::Read::read(&mut rest, buffer), &mut out).unwrap();
            }
        }
        assert_eq!(lines.position(), input.len() as u64);
        lines.finish(&mut out);
        assert_eq!(lines.position(), input.len() as u64);
        assert!(lines.buffer.len() <= LONGEST_LINE + 3 * PIECE, "{}", lines.buffer.len());
        seen
    }

    #[test]
    fn lines_are_cut_at_line_feeds() {
        for piece in 1..20 {
            assert_eq!(
                lines(b"one\n\ntwo\r\n\xff\0\nhalf", piece),
                ["one", "", "two\\r", "\\xff\\x00", "4 bytes of a line"],
                "{piece}"
            );
            assert_eq!(lines(b"", piece), [""; 0]);
            assert_eq!(lines(b"\n", piece), [""]);
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_the_next_is_whole() {
        for (length, piece) in [(LONGEST_LINE + 1, 4096), (100 << 20, 1 << 20), (3 * LONGEST_LINE, 999_999)] {
            for (end, last) in [("\nafter\n", "after"), ("\nafter", "5 bytes of a line")] {
                let input = [b"before\n", vec![b'x'; length].as_slice(), end.as_bytes()].concat();
                let left_out = length - LONGEST_LINE;
                let expected = ["before", "1048576 bytes", &format!("cut at 7, {left_out} left out"), last];
                assert_eq!(lines(&input, piece), expected, "{length} {piece}");
            }
        }
        let input = vec![b'x'; LONGEST_LINE + 5];
        assert_eq!(lines(&input, 5000), ["1048576 bytes", "cut at 0, 5 left out"]);
    }

    #[test]
    fn the_longest_line_is_whole() {
        let input = [vec![b'x'; LONGEST_LINE].as_slice(), b"\nafter\n"].concat();
        for piece in [4096, LONGEST_LINE, LONGEST_LINE + 1, 2 << 20] {
            assert_eq!(lines(&input, piece), ["1048576 bytes", "after"], "{piece}");
        }
    }

    proptest! {
        #[test]
        fn lines_are_the_same_in_pieces_of_any_size(input: Vec<u8>, piece in 1..50_usize) {
            let mut expected: Vec<String> = input.split(|b| *b == b'\n').map(|line| line.escape_ascii().to_string()).collect();
            expected.pop();
            let last = input.rsplit(|b| *b == b'\n').next().map_or(0, <[u8]>::len);
            if last > 0 {
                expected.push(format!("{last} bytes of a line"));
            }
            prop_assume!(input.split(|b| *b == b'\n').all(|line| line.len() <= 100));
            prop_assert_eq!(lines(&input, piece), expected);
        }
    }
}
