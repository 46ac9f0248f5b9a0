//! A log that grows: through rotation, truncation and shrinking, no line is lost or repeated.
//!
//! Bitcoin Core writes each line with one call, to the end of the file. What else happens to the file:
//!
//! | what | how it looks | what is done |
//! |---|---|---|
//! | somebody renames it and sends SIGHUP | the name is another file's, or nobody's for a while | the old file is read until the new one has a line: the node opens the new one when it writes the next line, and then writes to the old one no more |
//! | somebody deletes it | as before | as before |
//! | somebody renames it twice between two looks | a new file lies beside it that goes on where we were | it is read, too |
//! | the same, and the file between is gone or compressed | nobody looked for a while, and the new file began long after the last write to the old one | said, as lines may be missing |
//! | the node starts and keeps only the end (`-shrinkdebugfile`) | it is shorter, or other bytes are before the place | the place is found again by the last bytes that were read |
//! | somebody copies and truncates it | the same | it is read from its beginning; said, as what was written last may be lost |
//! | a copy takes its place | another file | as for the shrunk one |
//! | the disk fails | reading fails | said, and tried again; the place is found as above |

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use event::{HealthLogFile, LogFileProblem};

use super::lines::{Line, Lines};
use super::place::{self, FileId, Target};
use super::siblings::{Sibling, Siblings};
use super::tail::Tail;

/// So many bytes before the place are looked at with each read: whether they are still what was read.
const CHECKED: usize = 64;

/// Files that wait for the one before to be read to its end. More than one is rare: somebody rotates faster than the node writes.
const WAITING: usize = 16;

/// Files that are taken into the queue at once: those that had the name while nobody looked.
const MISSED: usize = 256;

/// What a node keeps of a log that is longer than 11,000,000 bytes (Bitcoin Core `src/logging.cpp`, `ShrinkDebugFile`).
const KEPT: u64 = 10_000_000;

/// Who has not read so far has not read what is kept.
const SHRUNK_ABOVE: u64 = 11_000_000 - KEPT;

/// The node writes what it keeps at once. When a file has been as it is for so long, nothing more of the old content will come. A busy disk
/// stops a writer for hundreds of milliseconds in the middle of it; to wait loses nothing, as the lines stay in the file.
const SETTLED: Duration = Duration::from_secs(1);

/// Under load a file never rests: after this it is taken as it is, also when the program is to end.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Who looks as often as this sees every file that has the log's name, or it is new and lies beside it.
const ATTENTIVE: Duration = Duration::from_secs(2);

/// Where a half-written line may begin, before the end of the file.
const LAST_LINE: u64 = 64 << 10;

/// How far before the end the beginning of a process is looked for that has just started: it has not written more in two seconds.
const SESSION: u64 = 4 << 20;

/// With what a process begins its part of a log (Bitcoin Core `src/init.cpp`, `AppInitParameterInteraction` and later `LogPackageVersion`).
const FIRST: &[u8] = b"Bitcoin Core version v";

/// What the reading of a log brings.
#[derive(Debug)]
pub enum News<'a> {
    /// A line, or what became of one.
    Line(Line<'a>),
    /// There is a file, and it is read.
    Attached,
    /// There is none, or it cannot be read, for this reason.
    Detached(String),
    /// Something is wrong with the file.
    Problem(HealthLogFile),
}

/// Where to begin in a file that is there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Begin {
    /// With what is written from now on.
    End,
    /// With its first line.
    Start,
    /// With the first line of the process that writes to it now.
    #[value(skip)]
    Session,
}

/// Reads a log as it grows.
#[derive(Debug)]
pub struct Follower {
    target: Target,
    begin: Begin,
    /// The file that is read.
    current: Option<Log>,
    /// Those that had its name after it, oldest first.
    waiting: VecDeque<Log>,
    /// What lay beside the log when it last became another file.
    siblings: Siblings,
    /// When the log was last seen to be the same file as before.
    looked: Instant,
    /// Where the reading of a file that failed had come to.
    failed: Option<Log>,
    /// It was said that there is a file.
    attached: bool,
    /// Why there is none, as it was said.
    said: Option<String>,
}

/// A file under way.
#[derive(Debug)]
struct Log {
    file: File,
    id: FileId,
    lines: Lines,
    tail: Tail,
    /// Since when the place in it is not known.
    lost: Option<Lost>,
}

#[derive(Clone, Copy, Debug)]
struct Lost {
    since: Instant,
    /// As the file was when it was last seen to change.
    size: u64,
    changed: Instant,
    /// How long it was when the place was last looked for in it.
    searched: Option<u64>,
}

enum Read {
    Bytes(usize),
    /// What is in the file is not what was read there.
    Other,
}

impl Follower {
    /// A follower that has read nothing yet. `opened` is the file, where somebody opened it already, with rights that are gone now.
    pub fn new(target: Target, begin: Begin, opened: Option<File>) -> Self {
        let waiting = VecDeque::new();
        let siblings = Siblings::of(&target);
        let looked = Instant::now();
        let mut follower =
            Self { target, begin, current: None, waiting, siblings, looked, failed: None, attached: false, said: None };
        follower.current = opened.and_then(|file| follower.begun(file).ok());
        follower
    }

    /// Looks which file has the log's name now. To be called before each read.
    pub fn look(&mut self, out: &mut impl FnMut(News<'_>)) {
        match self.look_for_file(out) {
            // the one that is read may have been renamed; the next will come
            Err(error) if self.current.is_none() => {
                if error.kind() == io::ErrorKind::NotFound {
                    // when it comes, all of it is new
                    self.begin = Begin::Start;
                }
                self.say(format!("failed to open the log {}: {error}", self.target), out);
            }
            _ => {}
        }
    }

    fn look_for_file(&mut self, out: &mut impl FnMut(News<'_>)) -> io::Result<()> {
        let id = self.target.id()?;
        if self.is_held(id) {
            self.looked = Instant::now();
            return Ok(());
        }
        if self.waiting.len() >= WAITING {
            return Ok(());
        }
        let file = self.target.open()?;
        if self.current.is_some() {
            self.queue(file, out)?;
        } else if let Some(failed) = self.failed.take() {
            self.current = Some(failed.into_file(file)?);
        } else {
            self.current = Some(self.begun(file)?);
        }
        Ok(())
    }

    fn is_held(&self, id: FileId) -> bool {
        self.current.iter().chain(&self.waiting).any(|log| log.id == id)
    }

    /// Puts a file that got the log's name into the queue, and those that had it between the last that we know and this one, or after it.
    fn queue(&mut self, file: File, out: &mut impl FnMut(News<'_>)) -> io::Result<()> {
        let Some(current) = &self.current else { return Ok(()) };
        let newest = Sibling::new(file)?;
        if self.is_held(newest.id) {
            return Ok(());
        }
        let held: Vec<FileId> = self.waiting.iter().map(|log| log.id).chain([current.id, newest.id]).collect();
        // listed after the file was opened: a rotation in between shows as one more, and the file of the name is for the next look
        let mut fresh = self.siblings.missed(&self.target, &current.file, &current.tail, current.lines.position(), &held);
        if !fresh.is_empty() {
            tracing::info!(log = %self.target, files = fresh.len(), "a file was the log for a short time only");
        }
        fresh.push(newest);
        fresh.sort_by_key(|file| file.order);
        let last = self.waiting.back().unwrap_or(current);
        if let Some(first) = fresh.first()
            && let Some(seconds) = last.silence_before(first, self.looked)
        {
            let detail = format!(
                "it became another file while nobody looked, {seconds} s after the last write to the one before; lines may be missing"
            );
            out(News::Problem(problem(LogFileProblem::Replaced, &self.target, last.lines.position(), detail)));
        }
        let surplus = fresh.split_off(fresh.len().min(MISSED));
        if !surplus.is_empty() {
            let detail = format!("{} more files were the log for a short time, and are not read", surplus.len());
            out(News::Problem(problem(LogFileProblem::Replaced, &self.target, 0, detail)));
        }
        self.waiting.extend(fresh.into_iter().map(|file| Log::at(file.file, file.id, 0)));
        self.looked = Instant::now();
        Ok(())
    }

    /// Says once why nothing is read.
    fn say(&mut self, reason: String, out: &mut impl FnMut(News<'_>)) {
        self.attached = false;
        if self.said.as_ref() != Some(&reason) {
            out(News::Detached(reason.clone()));
            self.said = Some(reason);
        }
    }

    fn begun(&self, file: File) -> io::Result<Log> {
        let id = place::id(&file.metadata()?);
        match self.begin {
            Begin::Start => Ok(Log::at(file, id, 0)),
            Begin::End => Log::at_end(file, id),
            Begin::Session => Log::at_session(file, id),
        }
    }

    /// Reads once; gives how many bytes there were.
    pub fn read(&mut self, out: &mut impl FnMut(News<'_>)) -> usize {
        let Some(current) = &mut self.current else { return 0 };
        // seen before the read: once another file has a line, the old one has had its last
        let succeeded = self.waiting.iter().any(|log| log.size().is_ok_and(|size| size > 0));
        let (attached, said) = (&mut self.attached, &mut self.said);
        let mut attach = |out: &mut dyn FnMut(News<'_>)| {
            if !std::mem::replace(attached, true) {
                *said = None;
                out(News::Attached);
            }
        };
        let read = current.read(&mut |news| {
            attach(out);
            out(news);
        });
        if read.is_ok() {
            attach(out);
        }
        match read {
            Ok(Read::Bytes(0)) if succeeded => {
                self.succeed(out);
                self.read(out)
            }
            Ok(Read::Bytes(length)) => length,
            Ok(Read::Other) => match current.find_place(&self.target, out) {
                Ok(()) if current.lost.is_some() => 0,
                // there may be more behind the place that was found
                Ok(()) => self.read(out),
                Err(error) => self.fail(&error, out),
            },
            Err(error) => self.fail(&error, out),
        }
    }

    /// Goes on with the next file.
    fn succeed(&mut self, out: &mut impl FnMut(News<'_>)) {
        let (Some(mut old), Some(new)) = (self.current.take(), self.waiting.pop_front()) else { return };
        // of a file without rights to look into, nothing is known
        let place = old.tail.find(&new.file, old.lines.position()).ok().flatten();
        tracing::info!(log = %self.target, continued = place.is_some(), "another file is the log now");
        self.current = Some(match place {
            Some(position) => {
                old.lines.moved_to(position);
                Log { file: new.file, id: new.id, ..old }
            }
            None => {
                old.lines.finish(&mut |line| out(News::Line(line)));
                new
            }
        });
    }

    /// Lets a file go that cannot be read; it is opened again with the next look.
    fn fail(&mut self, error: &io::Error, out: &mut impl FnMut(News<'_>)) -> usize {
        let Some(failed) = self.current.take() else { return 0 };
        let offset = failed.lines.position();
        let reason = format!("failed to read the log {} at byte {offset}: {error}", self.target);
        if self.said.as_ref() != Some(&reason) {
            out(News::Problem(problem(LogFileProblem::Unreadable, &self.target, offset, error.to_string())));
        }
        self.say(reason, out);
        self.failed = Some(failed);
        0
    }

    /// The files that may change next, for whoever wants to be woken then.
    pub(super) fn files(&self) -> impl Iterator<Item = &File> {
        self.current.iter().chain(&self.waiting).map(|log| &log.file)
    }

    /// Whether something is under way that ends by itself, and should be looked at soon.
    pub(super) fn is_unsettled(&self) -> bool {
        self.current.as_ref().is_some_and(|log| log.lost.is_some())
    }

    /// Whether the file that has the log's name is one that is read, or will be. Otherwise it was renamed and the next is not there yet, or
    /// nobody has looked since it came.
    pub(super) fn has_what_is_named(&self) -> bool {
        self.target.id().is_ok_and(|id| self.is_held(id))
    }

    /// Which log.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }
}

impl Log {
    fn at(file: File, id: FileId, position: u64) -> Self {
        Self { file, id, lines: Lines::at(position), tail: Tail::default(), lost: None }
    }

    /// Behind the last whole line.
    fn at_end(file: File, id: FileId) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let length = size.min(LAST_LINE);
        let mut end = vec![0; length as usize];
        file.read_exact_at(&mut end, size - length)?;
        let unfinished = memchr::memrchr(b'\n', &end).map_or(0, |at| end.len() - at - 1);
        let position = size - unfinished as u64;
        let tail = Tail::before(position, &file)?;
        Ok(Self { tail, ..Self::at(file, id, position) })
    }

    /// With the line with which the last process began to write; where there is none, behind the last whole line.
    fn at_session(file: File, id: FileId) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let start = size - size.min(SESSION);
        let mut end = vec![0; (size - start) as usize];
        file.read_exact_at(&mut end, start)?;
        let Some(first) = memchr::memmem::rfind(&end, FIRST) else { return Self::at_end(file, id) };
        let line = memchr::memrchr(b'\n', &end[..first]).map_or(0, |at| at + 1);
        let position = start + line as u64;
        let tail = Tail::before(position, &file)?;
        Ok(Self { tail, ..Self::at(file, id, position) })
    }

    /// The same log, opened again or as another file.
    fn into_file(mut self, file: File) -> io::Result<Self> {
        let id = place::id(&file.metadata()?);
        match self.tail.find(&file, self.lines.position())? {
            Some(position) => {
                self.lines.moved_to(position);
                Ok(Self { file, id, ..self })
            }
            None if id == self.id => Ok(Self { file, ..self }),
            None => Ok(Self::at(file, id, 0)),
        }
    }

    /// How many seconds nothing was written to this file before the next began, if that is long, and nobody looked for as long: another
    /// file may have been between them.
    fn silence_before(&self, next: &Sibling, looked: Instant) -> Option<u64> {
        if looked.elapsed() < ATTENTIVE {
            return None;
        }
        let written = self.file.metadata().ok()?.modified().ok()?;
        let silence = next.file.metadata().ok()?.created().ok()?.duration_since(written).ok()?;
        (silence >= ATTENTIVE).then_some(silence.as_secs())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&mut self, out: &mut impl FnMut(News<'_>)) -> io::Result<Read> {
        if self.lost.is_some() {
            return Ok(Read::Other);
        }
        let Self { file, lines, tail, .. } = self;
        let (mut known, mut there) = ([0; CHECKED], [0; CHECKED]);
        let known = tail.last(&mut known);
        let there = &mut there[..known.len()];
        let begin = lines.position().saturating_sub(known.len() as u64);
        let mut other = false;
        let read = |buffer: &mut [u8]| {
            // one call for both: what is read belongs to what is before it
            let mut parts = [IoSliceMut::new(there), IoSliceMut::new(buffer)];
            let length = rustix::io::retry_on_intr(|| rustix::io::preadv(&*file, &mut parts, begin))?;
            let fresh = length.checked_sub(known.len()).filter(|_| *there == *known);
            other = fresh.is_none();
            let fresh = fresh.unwrap_or(0);
            tail.push(&buffer[..fresh]);
            Ok(fresh)
        };
        let length = lines.read(read, &mut |line| out(News::Line(line)))?;
        Ok(if other { Read::Other } else { Read::Bytes(length) })
    }

    /// The file was rewritten: looks for the place in it, or waits until it must be there.
    fn find_place(&mut self, target: &Target, out: &mut impl FnMut(News<'_>)) -> io::Result<()> {
        let (now, size) = (Instant::now(), self.size()?);
        let position = self.lines.position();
        let lost = self.lost.get_or_insert(Lost { since: now, size, changed: now, searched: None });
        if lost.size != size {
            (lost.size, lost.changed) = (size, now);
        }
        // otherwise it was emptied
        let may_be_shrunk = position > SHRUNK_ABOVE;
        let changed = lost.searched.replace(size) != Some(size);
        let lost = *lost;
        if may_be_shrunk
            && changed
            && let Some(place) = self.tail.find(&self.file, position)?
        {
            tracing::info!(log = %target, position, place, "the log was shrunk; its end was kept");
            self.lines.moved_to(place);
            self.lost = None;
            return Ok(());
        }
        let settled = now - lost.changed >= SETTLED || now - lost.since >= PATIENCE || size > KEPT;
        if may_be_shrunk && !(settled && size > 0) {
            return Ok(());
        }
        let detail = "it was emptied or rewritten, and is read from its beginning; what was written shortly before may be lost";
        out(News::Problem(problem(LogFileProblem::Shrunk, target, position, detail.to_owned())));
        self.lines.finish(&mut |line| out(News::Line(line)));
        (self.lines, self.tail, self.lost) = (Lines::at(0), Tail::default(), None);
        Ok(())
    }
}

pub(super) fn problem(problem: LogFileProblem, file: impl ToString, offset: u64, detail: String) -> HealthLogFile {
    HealthLogFile { problem: problem.into(), file: file.to_string(), offset: Some(offset), detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::path::Path;
    use tempfile::TempDir;

    /// Lines and problems until there is nothing more.
    fn step(follower: &mut Follower) -> Vec<String> {
        let mut seen = Vec::new();
        let mut out = |news: News<'_>| {
            seen.extend(match news {
                News::Line(Line::Text { bytes, .. }) => Some(String::from_utf8_lossy(bytes).into_owned()),
                News::Problem(problem) => Some(format!("{}: {}", problem.problem().word(), problem.detail)),
                _ => None,
            });
        };
        loop {
            follower.look(&mut out);
            if follower.read(&mut out) == 0 {
                return seen;
            }
        }
    }

    fn append(path: &Path, text: &str) -> File {
        let mut file = File::options().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    /// The observer was stopped for a while, and the log rotated twice, but the file between was compressed.
    #[test]
    fn what_was_gone_before_anybody_looked_is_said() {
        let folder = TempDir::new().unwrap();
        let (log, old) = (folder.path().join("debug.log"), folder.path().join("debug.log.1"));
        for (stopped, quiet, expected) in [(0, 0, false), (0, 60, false), (60, 0, false), (60, 60, true)] {
            let file = append(&log, "");
            let mut follower = Follower::new(Target::Told(log.clone()), Begin::End, None);
            assert_eq!(step(&mut follower), [""; 0]);
            append(&log, "1\n");
            assert_eq!(step(&mut follower), ["1"]);
            file.set_modified(std::time::SystemTime::now() - Duration::from_secs(quiet)).unwrap();
            follower.looked -= Duration::from_secs(stopped);
            std::fs::rename(&log, &old).unwrap();
            append(&log, "2\n");
            let seen = step(&mut follower);
            let said = seen.iter().any(|line| line.starts_with("replaced: it became another file while nobody looked, 60 s after"));
            assert_eq!((seen.last().map(String::as_str), seen.len(), said), (Some("2"), 1 + usize::from(expected), expected));
            std::fs::remove_file(&log).unwrap();
        }
    }

    /// Somebody rotates between two steps of one look: the file was opened, and has another name when its folder is listed.
    #[test]
    fn a_rotation_in_the_middle_of_a_look_repeats_and_swaps_nothing() {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        let line = |number: u32| format!("2026-01-01T00:00:00Z {number}\n");
        append(&path("debug.log"), "");
        let mut follower = Follower::new(Target::Told(path("debug.log")), Begin::Start, None);
        append(&path("debug.log"), &line(0));
        assert_eq!(step(&mut follower), [line(0).trim_end()]);
        std::fs::rename(path("debug.log"), path("debug.log.0")).unwrap();
        append(&path("debug.log"), &line(1));
        let opened = follower.target.open().unwrap();
        for number in 2..5 {
            std::fs::rename(path("debug.log"), path(&format!("debug.log.{}", number - 1))).unwrap();
            append(&path("debug.log"), &line(number));
        }
        follower.queue(opened, &mut |news| panic!("{news:?}")).unwrap();
        // and again before the next look
        std::fs::rename(path("debug.log"), path("debug.log.4")).unwrap();
        append(&path("debug.log"), &line(5));
        let expected: Vec<String> = (1..6).map(|number| line(number).trim_end().to_owned()).collect();
        assert_eq!(step(&mut follower), expected);
        assert_eq!(step(&mut follower), [""; 0]);
        // the newest has no line yet, and was made in the same moment as the one before
        std::fs::rename(path("debug.log"), path("debug.log.5")).unwrap();
        append(&path("debug.log"), &line(6));
        std::fs::rename(path("debug.log"), path("debug.log.6")).unwrap();
        append(&path("debug.log"), "");
        follower.look(&mut |news| panic!("{news:?}"));
        append(&path("debug.log"), &line(7));
        assert_eq!(step(&mut follower), [line(6).trim_end(), line(7).trim_end()]);
    }
}
