//! A column: a place in a section, and how far it was read.

use super::wire::Cursor;
use super::{Damage, MAX_FRAME};

/// A column that is being read.
#[derive(Clone, Copy, Default)]
pub(super) struct Column {
    pub(super) at: u32,
    pub(super) end: u32,
}

/// Where the next column begins.
pub(super) struct Places {
    pub(super) columns: usize,
    pub(super) fixed: usize,
}

impl Places {
    pub(super) fn column(&mut self, tables: &mut Cursor<'_>) -> Result<Column, Damage> {
        let length = tables.length()?;
        self.next(length, false)
    }

    pub(super) fn next(&mut self, length: usize, fixed: bool) -> Result<Column, Damage> {
        let place = if fixed { &mut self.fixed } else { &mut self.columns };
        let at = *place;
        // far beyond what a section may be, and far from what cannot be added
        *place = at.checked_add(length).filter(|end| *end <= MAX_FRAME).ok_or(Damage("a column that is too long"))?;
        Ok(Column::new(at, *place))
    }
}

impl Column {
    /// Of a section, which is never longer than `MAX_FRAME`.
    pub(super) const fn new(at: usize, end: usize) -> Self {
        Self { at: at as u32, end: end as u32 }
    }

    /// All of it.
    pub(super) fn of<'a>(&self, section: &'a [u8]) -> &'a [u8] {
        &section[self.at as usize..self.end as usize]
    }

    pub(super) fn shift(&mut self, by: usize) {
        self.at += by as u32;
        self.end += by as u32;
    }

    #[inline]
    pub(super) fn number(&mut self, section: &[u8]) -> Result<u64, Damage> {
        if self.at < self.end
            && let Some(byte @ 0..0x80) = section.get(self.at as usize).copied()
        {
            self.at += 1;
            return Ok(byte.into());
        }
        self.long(section)
    }

    fn long(&mut self, section: &[u8]) -> Result<u64, Damage> {
        let mut value = 0;
        for (shift, byte) in (0..64).step_by(7).zip(self.of(section)) {
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if *byte < 0x80 {
                self.at += shift / 7 + 1;
                return Ok(value);
            }
        }
        Err(Damage("a column ends too early"))
    }

    #[inline]
    pub(super) fn length(&mut self, section: &[u8]) -> Result<usize, Damage> {
        usize::try_from(self.number(section)?).map_err(|_| Damage("a length that no memory has"))
    }

    /// A number below `limit`.
    #[inline]
    pub(super) fn index(&mut self, section: &[u8], limit: usize) -> Result<usize, Damage> {
        let index = self.length(section)?;
        if index < limit { Ok(index) } else { Err(Damage("something that is not there")) }
    }

    #[inline]
    pub(super) fn take<'a>(&mut self, section: &'a [u8], length: usize) -> Result<&'a [u8], Damage> {
        let taken = self.of(section).get(..length).ok_or(Damage("a column ends too early"))?;
        self.at += length as u32;
        Ok(taken)
    }

    /// How many bytes were not read yet.
    pub(super) fn left(&self) -> usize {
        (self.end - self.at) as usize
    }

    /// What was read since.
    pub(super) fn since<'a>(&self, before: Self, section: &'a [u8]) -> &'a [u8] {
        &section[before.at as usize..self.at as usize]
    }
}
