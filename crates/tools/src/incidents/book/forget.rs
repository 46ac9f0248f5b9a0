//! What a book does not keep for ever: incidents that are long over, and evidence for which there is no room.

use std::collections::BTreeSet;

use detect::incident::Told;
use event::{Incident, IncidentState};
use redb::ReadableTable as _;

use super::replayed::REPLAYED;
use super::{Book, BookError, INCIDENTS, LIVES, SENT, SLICES, TIMELINE, append, decoded, json, to_json, told_event};
use crate::incidents::slice::Slice;

/// Incidents that are forgotten in one transaction, so that whoever asks meanwhile does not wait long.
const BATCH: usize = 64;

impl Book {
    /// Forgets incidents that are over, none of whose findings lasts, and to which nothing happened since `before`: a few, the oldest first.
    /// Gives their numbers; none if there are no more. The file does not become smaller: its room is used again.
    ///
    /// # Errors
    ///
    /// It could not be written. Then they are there.
    pub fn forget(&mut self, before: u64) -> Result<Vec<u64>, BookError> {
        self.mend()?;
        let is_old =
            |incident: &Incident| incident.state() == IncidentState::Resolved && incident.lasting == 0 && incident.changed < before;
        let old: BTreeSet<u64> = self.read(|transaction| {
            let mut old = BTreeSet::new();
            for row in transaction.open_table(INCIDENTS)?.iter()? {
                let (number, bytes) = row?;
                if is_old(&decoded::<Incident>(bytes.value())?) {
                    old.insert(number.value());
                }
                if old.len() >= BATCH {
                    break;
                }
            }
            Ok(old)
        })?;
        if old.is_empty() {
            return Ok(vec![]);
        }
        self.change(|book, transaction| {
            let (mut incidents, mut lives) = (transaction.open_table(INCIDENTS)?, transaction.open_table(LIVES)?);
            let (mut timeline, mut slices) = (transaction.open_table(TIMELINE)?, transaction.open_table(SLICES)?);
            for number in &old {
                book.correlator.forget(*number);
                incidents.remove(number)?;
                lives.remove(number)?;
                timeline.retain_in((*number, 0)..=(*number, u64::MAX), |_, _| false)?;
                slices.retain_in((*number, 0)..=(*number, u32::MAX), |_, _| false)?;
            }
            transaction.open_table(REPLAYED)?.retain(|_, (number, ..)| !old.contains(&number))?;
            transaction.open_table(SENT)?.retain(|(_, number), _| !old.contains(&number))?;
            Ok(())
        })?;
        Ok(old.into_iter().collect())
    }

    /// Lets evidence go until no more than so many bytes are kept: that of the oldest incidents that are over first, and never that of one that
    /// lasts. Gives the names of the files, and what is to be told of it. It is in the book before a file goes.
    ///
    /// # Errors
    ///
    /// It could not be written. Then all of it is kept.
    pub fn let_go(&mut self, most: u64, now: u64) -> Result<Vec<(String, Told)>, BookError> {
        self.mend()?;
        let (mut going, mut kept) = (Vec::<(Slice, Incident)>::new(), 0_u64);
        self.read(|transaction| {
            let (slices, incidents) = (transaction.open_table(SLICES)?, transaction.open_table(INCIDENTS)?);
            let mut candidates = Vec::new();
            for row in slices.iter()? {
                let slice: Slice = json(row?.1.value())?;
                kept = kept.saturating_add(slice.bytes);
                if !slice.file.is_empty() {
                    candidates.push(slice);
                }
            }
            // by number: the oldest first
            for slice in candidates {
                if kept <= most {
                    break;
                }
                let Some(bytes) = incidents.get(slice.incident)? else { continue };
                let incident: Incident = decoded(bytes.value())?;
                if incident.state() == IncidentState::Resolved {
                    kept -= slice.bytes;
                    going.push((slice, incident));
                }
            }
            Ok(())
        })?;
        if going.is_empty() {
            return Ok(vec![]);
        }
        self.change(|_, transaction| {
            let (mut slices, mut timeline) = (transaction.open_table(SLICES)?, transaction.open_table(TIMELINE)?);
            let mut gone = Vec::new();
            for (mut slice, incident) in going {
                let file = std::mem::take(&mut slice.file);
                (slice.bytes, slice.events) = (0, 0);
                "it gave way to the evidence of later incidents".clone_into(&mut slice.problem);
                slices.insert((slice.incident, slice.place), to_json(&slice).as_slice())?;
                let told = Told { time: now, kind: slice.kept(incident) };
                append(&mut timeline, slice.incident, &told_event(&told))?;
                gone.push((file, told));
            }
            Ok(gone)
        })
    }

    /// The files of evidence that the book knows.
    ///
    /// # Errors
    ///
    /// The book cannot be read.
    pub fn files(&self) -> Result<BTreeSet<String>, BookError> {
        self.read(|transaction| {
            let mut files = BTreeSet::new();
            for row in transaction.open_table(SLICES)?.iter()? {
                let slice: Slice = json(row?.1.value())?;
                // one that gave way has none, though it may still lie there
                if !slice.file.is_empty() {
                    files.insert(slice.file);
                }
            }
            Ok(files)
        })
    }
}
