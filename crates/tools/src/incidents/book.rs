//! The incident book: one file, in which what was said once is said for good.
//!
//! # Form
//!
//! A database of redb (version 3 of its form) with these tables. `FORMAT` counts changes of what is in them; a book of another number is
//! left as it is.
//!
//! | table | key | value |
//! |---|---|---|
//! | `about` | `format`, `book`, `key`, `usual` | number of the form (u32, little-endian); the book's name (8 bytes); key for identifiers in messages (32 bytes); `incident::Usual` |
//! | `incidents` | number | `Incident`, protobuf |
//! | `timeline` | number, place | `Event`, protobuf: findings, and what became of the incident, in the order in which the book learned it; notes, acknowledgements and evidence without the most of what they repeat |
//! | `slices` | number, place | evidence that is kept or is still to be cut: `slice::Slice`, JSON |
//! | `lives`, `followed` | number; finding | what the correlator needs to go on, postcard; fields are added at the end, and those that an older release did not write are 0 |
//! | `replayed` | finding | of findings of replays: number, time of what was said of it last, and how it stands then. What is played again is known by it. A book that an earlier release made has it once there is something in it |
//! | `sent` | receiver, number | what a receiver of messages knows: revision, and whether an alert is up with it |
//!
//! Everything that belongs to one change is one transaction, which is on the disk before anybody is told. A crash at any moment leaves the
//! book of before or after. Nothing here repairs or replaces a file that it does not understand.

mod forget;
mod held;
mod replayed;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use detect::FLEET;
use detect::incident::life::{self, Refused};
use detect::incident::{Correlator, Followed, Live, Told, Usual};
use event::{Event, Incident, IncidentState, Kind, Source};
use prost::Message as _;
use redb::{Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};

use super::slice::Slice;
use held::{Held, calmly};

/// Which form this release writes.
const FORMAT: u32 = 1;
/// What a database of redb begins with (its `docs/design.md`).
const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";
/// What is kept of it in memory: lists are read seldom.
const CACHE: usize = 16 << 20;
/// Entries of a timeline: beyond, a note is refused. Findings are not.
pub const ENTRIES: u64 = 1 << 20;

const ABOUT: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("about");
const INCIDENTS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("incidents");
const TIMELINE: TableDefinition<'static, (u64, u64), &[u8]> = TableDefinition::new("timeline");
const SLICES: TableDefinition<'static, (u64, u32), &[u8]> = TableDefinition::new("slices");
const LIVES: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("lives");
const FOLLOWED: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("followed");
const SENT: TableDefinition<'static, (&str, u64), (u64, bool)> = TableDefinition::new("sent");

/// Why a book cannot be used. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// Another process has it open.
    #[error("the incident book {} is in use", path.display())]
    Locked {
        /// Which.
        path: PathBuf,
    },
    /// It is something else.
    #[error("{} is no incident book", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// It was written by a release that keeps other things.
    #[error("the incident book {} has form {found}, and this release knows form {FORMAT}", path.display())]
    Version {
        /// Which.
        path: PathBuf,
        /// Of what form.
        found: u32,
    },
    /// It cannot be made sense of.
    #[error("the incident book {} is damaged: {what}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// There is none.
    #[error("there is no incident book {}", path.display())]
    Absent {
        /// Where.
        path: PathBuf,
    },
    /// The system says no.
    #[error("failed to {attempt} the incident book {}: {source}", path.display())]
    Io {
        /// What was tried.
        attempt: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl BookError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "another peer-observer has it open, and does not answer; it was left alone",
            Self::Foreign { .. } => "name another file with `--incidents-book`; this one was left alone",
            Self::Version { .. } => {
                "use the release that wrote it, or name another file with `--incidents-book`; it was left alone"
            }
            Self::Damaged { .. } => "keep a copy of it, then name another file with `--incidents-book`; it was not replaced",
            Self::Absent { .. } => "`run` and `detect` write one with `--incidents-book FILE`; name the same file here",
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => "it belongs to another user: use the one that the observer runs as",
                io::ErrorKind::StorageFull => "the disk is full: what was acknowledged is safe, what comes waits",
                _ => "is the directory there, and may this user write to it?",
            },
        }
    }
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The incident does not allow it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is no such incident.
    #[error("there is no incident {0} in this book")]
    Unknown(u64),
    /// It has no more room.
    #[error("the timeline of incident {0} is full")]
    Full(u64),
    /// The book cannot be written.
    #[error(transparent)]
    Book(#[from] BookError),
}

/// What somebody does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Act {
    /// Writes something down.
    Note,
    /// Says that he looks at it.
    Acknowledge,
    /// Says that it is over.
    Close,
}

/// What is added to a timeline.
enum Entry<'a> {
    /// What a detector said.
    Finding(&'a Event),
    /// What it made of the incident, by its place in a list.
    Change(usize),
}

/// A book that is open. Nobody else can have it open meanwhile.
pub struct Book {
    path: PathBuf,
    /// `None` after a failure: then it has to be opened again.
    database: Option<Held>,
    correlator: Correlator,
    name: String,
    key: [u8; 32],
    /// Incidents to which something happened of which nothing was told.
    unsaid: BTreeSet<u64>,
    /// Why no evidence is to be cut, if so it is.
    no_evidence: Option<&'static str>,
}

impl Book {
    /// Opens a book, or makes one.
    ///
    /// # Errors
    ///
    /// It cannot be used; what is there stays as it is.
    pub fn open(path: &Path) -> Result<Self, BookError> {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
            Err(source) => return Err(BookError::Io { attempt: "open", path: path.to_owned(), source }),
            Ok(_) => {}
        }
        Self::existing(path)
    }

    /// Opens a book that is there.
    ///
    /// # Errors
    ///
    /// It is not, or cannot be used.
    pub fn existing(path: &Path) -> Result<Self, BookError> {
        let database = database(path)?;
        let (correlator, name, key) = begin(path, &database)?;
        let unsaid = BTreeSet::new();
        Ok(Self { path: path.to_owned(), database: Some(database), correlator, name, key, unsaid, no_evidence: None })
    }

    /// How long none of its findings has to have lasted for an incident to be resolved; otherwise [`detect::incident::SETTLE`]. Whoever keeps the
    /// book says so: it is not written down.
    pub fn settle_after(&mut self, settle: Duration) {
        self.correlator.settle_after(u64::try_from(settle.as_nanos()).unwrap_or(u64::MAX));
    }

    /// No evidence is cut for what is recorded from now on, for this reason, which is said with each incident.
    pub fn keep_no_evidence(&mut self, why: &'static str) {
        self.no_evidence = Some(why);
    }

    /// Its name, which no other book has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key under which strangers and nodes become identifiers in messages.
    pub fn key(&self) -> [u8; 32] {
        self.key
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it again after a failure, as it is on the disk then. Whatever changes it does so itself; who reads after a failure has to.
    ///
    /// # Errors
    ///
    /// It still cannot be used.
    pub fn mend(&mut self) -> Result<(), BookError> {
        if self.database.is_none() {
            let unsaid = std::mem::take(&mut self.unsaid);
            match Self::existing(&self.path) {
                Ok(mut book) => {
                    book.correlator.settle_as(&self.correlator);
                    *self = Self { unsaid, no_evidence: self.no_evidence, ..book };
                }
                Err(error) => {
                    self.unsaid = unsaid;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Writes down what detectors said, and what it made of incidents; gives the latter. It is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// It could not be written. Then nothing of it counts: it may be given again.
    pub fn record(&mut self, events: &[Arc<Event>]) -> Result<Vec<Told>, BookError> {
        self.mend()?;
        let mut entries = Vec::new();
        let mut all = Vec::new();
        // whether the last that happened to an incident is told
        let mut said = BTreeMap::new();
        let mut replayed = self.replayed(events)?;
        for event in events {
            if replayed.has(event) {
                continue;
            }
            if let Some(number) = self.correlator.observe(event) {
                entries.push((number, Entry::Finding(event)));
                said.insert(number, false);
                replayed.note(event, number);
            }
            for told in self.correlator.take_told() {
                said.insert(number_of(&told.kind), true);
                entries.push((number_of(&told.kind), Entry::Change(all.len())));
                all.push(told);
            }
        }
        // time has passed, and nothing else
        if entries.is_empty() {
            return Ok(all);
        }
        let now = super::now();
        let mut wanted: Vec<Slice> = all.iter().filter_map(|told| Slice::wanted(told, now)).collect();
        if let Some(why) = self.no_evidence {
            wanted.iter_mut().for_each(|slice| (slice.done, slice.problem) = (now, why.to_owned()));
        }
        self.change(|_, transaction| {
            let mut timeline = transaction.open_table(TIMELINE)?;
            for (number, entry) in entries {
                match entry {
                    Entry::Finding(event) => append(&mut timeline, number, event)?,
                    Entry::Change(at) => append(&mut timeline, number, &told_event(&all[at]))?,
                }
            }
            replayed.keep(transaction)?;
            want(&wanted, transaction)
        })?;
        self.unsaid.retain(|number| !said.contains_key(number));
        self.unsaid.extend(said.into_iter().filter(|(_, told)| !told).map(|(number, _)| number));
        Ok(all)
    }

    /// Incidents as they are to which something happened of which nothing was told; asked for once.
    pub fn take_unsaid(&mut self) -> Vec<Incident> {
        // after a failure the correlator believes what did not happen
        if self.database.is_none() {
            return vec![];
        }
        let unsaid = std::mem::take(&mut self.unsaid);
        unsaid.into_iter().filter_map(|number| self.correlator.incident(number).cloned()).collect()
    }

    /// Does something to an incident. It is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// It is not done.
    pub fn act(&mut self, act: Act, number: u64, by: &str, text: &str, now: u64) -> Result<Told, ActError> {
        self.mend()?;
        if act == Act::Note && self.entries(number)? >= ENTRIES {
            return Err(ActError::Full(number));
        }
        let how = |incident: &mut Incident| match act {
            Act::Note => life::note(incident, by, text, now),
            Act::Acknowledge => life::acknowledge(incident, by, now),
            Act::Close => life::close(incident, by, text, now),
        };
        // one that ended long ago is in the book only
        let old = if self.correlator.incident(number).is_none() { self.incident(number)? } else { None };
        let mut refused = None;
        let told = self.change(|book, transaction| {
            let done = match (book.correlator.act(number, how), old) {
                (Some(done), _) => done,
                (None, Some(mut incident)) => how(&mut incident).map(|kind| Told { time: incident.changed, kind }),
                (None, None) => return Ok(None),
            };
            match done {
                Ok(told) => {
                    let incident = detect::incident::of(&told.kind).expect("what people do tells of an incident");
                    transaction.open_table(INCIDENTS)?.insert(number, incident.encode_to_vec().as_slice())?;
                    // the time of whoever did it; the incident's own may be that of a clock that goes fast
                    append(&mut transaction.open_table(TIMELINE)?, number, &told_event(&Told { time: now, ..told.clone() }))?;
                    Ok(Some(told))
                }
                Err(error) => {
                    refused = Some(error);
                    Ok(None)
                }
            }
        })?;
        match (told, refused) {
            (Some(told), _) => Ok(told),
            (None, Some(refused)) => Err(refused.into()),
            (None, None) => Err(ActError::Unknown(number)),
        }
    }

    /// The latest incidents in this state, or in any; the latest first.
    ///
    /// # Errors
    ///
    /// The book cannot be read.
    pub fn incidents(&self, state: Option<IncidentState>, most: usize) -> Result<Vec<Incident>, BookError> {
        Ok(self.page(state, u64::MAX, most, usize::MAX)?.0)
    }

    /// As [`Book::incidents`], of those with a lower number than `before`, and no more when they have so many bytes; whether there are more.
    ///
    /// # Errors
    ///
    /// The book cannot be read.
    pub fn page(
        &self,
        state: Option<IncidentState>,
        before: u64,
        most: usize,
        bytes: usize,
    ) -> Result<(Vec<Incident>, bool), BookError> {
        self.read(|transaction| {
            let (mut found, mut size) = (Vec::new(), 0);
            for row in transaction.open_table(INCIDENTS)?.range(..before)?.rev() {
                if found.len() >= most {
                    break;
                }
                if size >= bytes {
                    return Ok((found, true));
                }
                let (_, row) = row?;
                let incident = decoded::<Incident>(row.value())?;
                if state.is_none_or(|state| incident.state() == state) {
                    size += row.value().len();
                    found.push(incident);
                }
            }
            Ok((found, false))
        })
    }

    /// An incident.
    ///
    /// # Errors
    ///
    /// The book cannot be read.
    pub fn incident(&self, number: u64) -> Result<Option<Incident>, BookError> {
        self.read(|transaction| {
            let table = transaction.open_table(INCIDENTS)?;
            let row = table.get(number)?;
            row.map(|bytes| decoded(bytes.value())).transpose()
        })
    }

    /// What happened to an incident, from this place on, at most so much; the place after it.
    ///
    /// # Errors
    ///
    /// The book cannot be read.
    pub fn timeline(&self, number: u64, from: u64, most: usize) -> Result<(Vec<Event>, u64), BookError> {
        self.read(|transaction| {
            let mut events = Vec::new();
            let mut next = from;
            for row in transaction.open_table(TIMELINE)?.range((number, from)..=(number, u64::MAX))?.take(most) {
                let (place, bytes) = row?;
                events.push(decoded::<Event>(bytes.value())?);
                next = place.value().1 + 1;
            }
            Ok((events, next))
        })
    }

    /// How many entries a timeline has.
    ///
    /// # Errors
    ///
    /// The book cannot be read.
    pub fn entries(&self, number: u64) -> Result<u64, BookError> {
        self.read(|transaction| next_place(&transaction.open_table(TIMELINE)?, number))
    }

    /// The evidence of an incident.
    ///
    /// # Errors
    ///
    /// The book cannot be read.
    pub fn slices(&self, number: u64) -> Result<Vec<Slice>, BookError> {
        self.read(|transaction| {
            let mut slices = Vec::new();
            for row in transaction.open_table(SLICES)?.range((number, 0)..=(number, u32::MAX))? {
                slices.push(json(row?.1.value())?);
            }
            Ok(slices)
        })
    }

    /// Evidence that is to be cut now, the oldest first; and how many bytes are kept.
    ///
    /// # Errors
    ///
    /// The book cannot be read.
    pub fn wanted(&self, now: u64) -> Result<(Option<Slice>, u64), BookError> {
        self.read(|transaction| {
            let (mut wanted, mut kept) = (None, 0);
            for row in transaction.open_table(SLICES)?.iter()? {
                let slice: Slice = json(row?.1.value())?;
                kept += slice.bytes;
                if wanted.is_none() && slice.is_wanted() && slice.is_due(now) {
                    wanted = Some(slice);
                }
            }
            Ok((wanted, kept))
        })
    }

    /// Writes down what became of a slice.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn kept(&mut self, slice: &Slice, now: u64) -> Result<Option<Told>, BookError> {
        let Some(incident) = self.incident(slice.incident)? else { return Ok(None) };
        let told = Told { time: now, kind: slice.kept(incident) };
        self.change(|_, transaction| {
            let mut slices = transaction.open_table(SLICES)?;
            let known = slices.get((slice.incident, slice.place))?.map(|row| json::<Slice>(row.value())).transpose()?;
            slices.insert((slice.incident, slice.place), to_json(slice).as_slice())?;
            // it was widened while it was cut
            if let Some(wider) = known.filter(|known| known.is_wanted() && !known.asks_for_as_much(slice)) {
                want_another(&mut slices, &wider)?;
            }
            append(&mut transaction.open_table(TIMELINE)?, slice.incident, &told_event(&told))?;
            Ok(Some(told))
        })
    }

    /// What a receiver of messages knows: by incident, the revision, and whether an alert is up.
    ///
    /// # Errors
    ///
    /// The book cannot be read.
    pub fn sent(&self, receiver: &str) -> Result<Vec<(u64, u64, bool)>, BookError> {
        self.read(|transaction| {
            let mut sent = Vec::new();
            for row in transaction.open_table(SENT)?.range((receiver, 0)..=(receiver, u64::MAX))? {
                let (key, value) = row?;
                let (revision, up) = value.value();
                sent.push((key.value().1, revision, up));
            }
            Ok(sent)
        })
    }

    /// Writes down that a receiver knows of an incident up to a revision.
    ///
    /// # Errors
    ///
    /// It cannot be written. Then the message goes out once more after a restart.
    pub fn has_sent(&mut self, receiver: &str, sent: &[(u64, u64, bool)]) -> Result<(), BookError> {
        self.change(|_, transaction| {
            let mut table = transaction.open_table(SENT)?;
            for (number, revision, up) in sent {
                table.insert((receiver, *number), (*revision, *up))?;
            }
            Ok(())
        })
    }

    /// One transaction: all of it or nothing, with what the correlator came to.
    fn change<T>(&mut self, work: impl FnOnce(&mut Self, &WriteTransaction) -> Result<T, redb::Error>) -> Result<T, BookError> {
        self.mend()?;
        let done = calmly(|| self.attempt(work));
        if !matches!(done, Some(Ok(_))) {
            // what the correlator believes did not happen, and the database wants to be opened again after a failure
            self.database = None;
        }
        done.ok_or_else(|| unfit(&self.path))?.map_err(|error| refused(&self.path, "write", error))
    }

    fn attempt<T>(&mut self, work: impl FnOnce(&mut Self, &WriteTransaction) -> Result<T, redb::Error>) -> Result<T, redb::Error> {
        let transaction = self.database.as_ref().expect("it was opened").begin_write()?;
        let done = work(self, &transaction)?;
        keep(&mut self.correlator, &transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    fn read<T>(&self, work: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>) -> Result<T, BookError> {
        let closed = || io::Error::other("it could not be written, and is opened again with the next change");
        let database = self.database.as_ref();
        let database = database.ok_or_else(|| BookError::Io { attempt: "read", path: self.path.clone(), source: closed() })?;
        let attempt = || work(&database.begin_read()?);
        calmly(attempt).ok_or_else(|| unfit(&self.path))?.map_err(|error| refused(&self.path, "read", error))
    }
}

/// Evidence that is to be cut.
fn want(slices: &[Slice], transaction: &WriteTransaction) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(SLICES)?;
    for slice in slices {
        // what is still to be cut is cut once, and holds both
        let (mut wider, mut said) = (None, false);
        for row in table.range((slice.incident, 0)..=(slice.incident, u32::MAX))? {
            let known: Slice = json(row?.1.value())?;
            wider = wider.or_else(|| known.widened(slice));
            said |= !slice.is_wanted() && known.problem == slice.problem;
        }
        match wider {
            // that nothing is cut need not be said of each time
            _ if said => {}
            Some(wider) => drop(table.insert((wider.incident, wider.place), to_json(&wider).as_slice())?),
            None => want_another(&mut table, slice)?,
        }
    }
    Ok(())
}

/// A slice more, if there may be one.
fn want_another(table: &mut redb::Table<'_, (u64, u32), &'static [u8]>, slice: &Slice) -> Result<(), redb::Error> {
    let last = table.range((slice.incident, 0)..=(slice.incident, u32::MAX))?.next_back().transpose()?;
    let place = last.map_or(0, |(key, _)| key.value().1 + 1);
    if (place as usize) < super::slice::MOST {
        table.insert((slice.incident, place), to_json(&Slice { place, ..slice.clone() }).as_slice())?;
    }
    Ok(())
}

/// A new book: it takes its name when it is whole.
fn create(path: &Path) -> Result<(), BookError> {
    let failed = |source| BookError::Io { attempt: "make", path: path.to_owned(), source };
    let mut part = path.as_os_str().to_owned();
    part.push(".new");
    let part = PathBuf::from(part);
    // one that a crash left behind is nothing; who else makes one at this moment fails, and finds ours
    let _ = fs::remove_file(&part);
    let file = fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&part).map_err(failed)?;
    drop(file);
    let (mut name, mut key) = ([0; 8], [0; 32]);
    let random = |bytes: &mut [u8]| getrandom::fill(bytes).map_err(|error| failed(io::Error::other(error.to_string())));
    random(&mut name)?;
    random(&mut key)?;
    let make = || -> Result<(), redb::Error> {
        let database = Database::create(&part)?;
        let transaction = database.begin_write()?;
        {
            let mut about = transaction.open_table(ABOUT)?;
            about.insert("format", FORMAT.to_le_bytes().as_slice())?;
            about.insert("book", name.as_slice())?;
            about.insert("key", key.as_slice())?;
        }
        transaction.open_table(INCIDENTS)?;
        transaction.open_table(TIMELINE)?;
        transaction.open_table(SLICES)?;
        transaction.open_table(LIVES)?;
        transaction.open_table(FOLLOWED)?;
        transaction.open_table(SENT)?;
        transaction.commit()?;
        Ok(())
    };
    make().map_err(|error| refused(path, "make", error))?;
    // a link does not take the place of a file that came in between
    match fs::hard_link(&part, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    fs::remove_file(&part).map_err(failed)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

/// Opens the file, after a look at what it is.
fn database(path: &Path) -> Result<Held, BookError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => BookError::Absent { path: path.to_owned() },
        _ => BookError::Io { attempt: "open", path: path.to_owned(), source },
    };
    let mut head = [0; MAGIC.len()];
    // an empty file would become a book
    match fs::File::open(path).map_err(failed)?.read_exact(&mut head) {
        Ok(()) if head == *MAGIC => {}
        Ok(()) => return Err(BookError::Foreign { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(BookError::Foreign { path: path.to_owned() }),
        Err(error) => return Err(failed(error)),
    }
    let opened = calmly(|| Database::builder().set_cache_size(CACHE).open(path)).ok_or_else(|| unfit(path))?;
    opened.map(Held::new).map_err(|error| refused(path, "open", error.into()))
}

/// What the book says of itself, and what the correlator goes on with.
fn begin(path: &Path, database: &Database) -> Result<(Correlator, String, [u8; 32]), BookError> {
    let damaged = |what: &str| BookError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let read = || -> Result<_, redb::Error> {
        let transaction = database.begin_read()?;
        let about = transaction.open_table(ABOUT)?;
        let value = |name: &str| about.get(name).map(|value| value.map(|value| value.value().to_vec()));
        Ok((value("format")?, value("book")?, value("key")?, value("usual")?))
    };
    let (format, name, key, usual) = match calmly(read).ok_or_else(|| unfit(path))? {
        Ok(read) => read,
        Err(redb::Error::TableDoesNotExist(_) | redb::Error::TableTypeMismatch { .. }) => {
            return Err(BookError::Foreign { path: path.to_owned() });
        }
        Err(error) => return Err(refused(path, "read", error)),
    };
    let format = format.and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    match format {
        Some(FORMAT) => {}
        Some(found) => return Err(BookError::Version { path: path.to_owned(), found }),
        None => return Err(BookError::Foreign { path: path.to_owned() }),
    }
    let name: [u8; 8] = name.and_then(|name| name.try_into().ok()).ok_or_else(|| damaged("it has no name"))?;
    let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = key.and_then(|key| key.try_into().ok()).ok_or_else(|| damaged("it has no key"))?;
    let rows = || -> Result<_, redb::Error> {
        let transaction = database.begin_read()?;
        let (mut lives, mut followed) = (Vec::new(), Vec::new());
        for row in transaction.open_table(LIVES)?.iter()? {
            lives.push(postcard(&Live::padded(row?.1.value()))?);
        }
        for row in transaction.open_table(FOLLOWED)?.iter()? {
            let (id, bytes) = row?;
            followed.push((id.value(), postcard(&Followed::padded(bytes.value()))?));
        }
        let usual = usual.map(|bytes| postcard(&Usual::padded(&bytes))).transpose()?.unwrap_or_default();
        Ok(Correlator::new(name.clone(), usual, lives, followed))
    };
    match calmly(rows).ok_or_else(|| unfit(path))? {
        Ok(correlator) => Ok((correlator, name, key)),
        Err(error) => Err(refused(path, "read", error)),
    }
}

/// What the correlator came to, in the same transaction.
fn keep(correlator: &mut Correlator, transaction: &WriteTransaction) -> Result<(), redb::Error> {
    let (changed, followed) = (correlator.take_changed(), correlator.take_followed());
    if changed.is_empty() && followed.is_empty() {
        return Ok(());
    }
    let bytes = |what: Result<Vec<u8>, _>| what.expect("names and numbers, into memory");
    let (mut incidents, mut lives) = (transaction.open_table(INCIDENTS)?, transaction.open_table(LIVES)?);
    for (number, live) in changed {
        match live {
            Some(live) => {
                incidents.insert(number, live.incident.encode_to_vec().as_slice())?;
                lives.insert(number, bytes(postcard::to_stdvec(&live)).as_slice())?;
            }
            None => drop(lives.remove(number)?),
        }
    }
    let mut table = transaction.open_table(FOLLOWED)?;
    for (id, followed) in followed {
        match followed {
            Some(followed) => drop(table.insert(id, bytes(postcard::to_stdvec(&followed)).as_slice())?),
            None => drop(table.remove(id)?),
        }
    }
    transaction.open_table(ABOUT)?.insert("usual", bytes(postcard::to_stdvec(correlator.usual())).as_slice())?;
    Ok(())
}

fn append(entries: &mut redb::Table<'_, (u64, u64), &'static [u8]>, number: u64, event: &Event) -> Result<(), redb::Error> {
    let place = next_place(entries, number)?;
    entries.insert((number, place), event.encode_to_vec().as_slice())?;
    Ok(())
}

fn next_place(entries: &impl redb::ReadableTable<(u64, u64), &'static [u8]>, number: u64) -> Result<u64, redb::Error> {
    let last = entries.range((number, 0)..=(number, u64::MAX))?.next_back().transpose()?;
    Ok(last.map_or(0, |(key, _)| key.value().1 + 1))
}

/// A change as it stands in a timeline. What people do and what is kept repeats no more of the incident than where it was in its life: all
/// the rest is as in the entry before, and a million notes would be a million copies.
fn told_event(told: &Told) -> Event {
    let mut kind = told.kind.clone();
    let repeated = match &mut kind {
        Kind::IncidentNoted(said) => said.incident.as_mut(),
        Kind::IncidentAcknowledged(said) => said.incident.as_mut(),
        Kind::IncidentKept(said) => said.incident.as_mut(),
        _ => None,
    };
    if let Some(incident) = repeated {
        let Incident { number, ref book, revision, state, severity, replay, .. } = *incident;
        *incident = Incident { number, book: book.clone(), revision, state, severity, replay, ..Incident::default() };
    }
    Event { time: told.time, replay: told.is_replay(), ..Event::new(FLEET, Source::Tool, kind) }
}

/// Which incident a change is of.
pub(super) fn number_of(kind: &Kind) -> u64 {
    detect::incident::of(kind).map_or(0, |incident| incident.number)
}

fn decoded<M: prost::Message + Default>(bytes: &[u8]) -> Result<M, redb::Error> {
    M::decode(bytes).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

fn postcard<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, redb::Error> {
    postcard::from_bytes(bytes).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

fn json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, redb::Error> {
    serde_json::from_slice(bytes).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

fn to_json(slice: &Slice) -> Vec<u8> {
    serde_json::to_vec(slice).expect("names and numbers, into memory")
}

/// The library could not make sense of it.
fn unfit(path: &Path) -> BookError {
    BookError::Damaged { path: path.to_owned(), what: "its tables do not fit together".to_owned() }
}

/// What the database says, as a sentence about the book.
fn refused(path: &Path, attempt: &'static str, error: redb::Error) -> BookError {
    let path = path.to_owned();
    match error {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => BookError::Locked { path },
        redb::Error::UpgradeRequired(found) => BookError::Version { path, found: found.into() },
        redb::Error::Io(source) if source.kind() == io::ErrorKind::NotFound => BookError::Absent { path },
        redb::Error::Io(source) if source.kind() == io::ErrorKind::InvalidData => {
            BookError::Damaged { path, what: source.to_string() }
        }
        redb::Error::Io(source) => BookError::Io { attempt, path, source },
        redb::Error::PreviousIo => BookError::Io { attempt, path, source: io::Error::other("it failed before") },
        error => BookError::Damaged { path, what: error.to_string().to_lowercase() },
    }
}

#[cfg(test)]
mod tests;
