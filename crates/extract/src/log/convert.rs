//! Many finished logs at once: each worker takes one after another, and shares nothing with the others.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use event::{Event, NodeName};

use super::Config;
use super::finished::{Input, ReadError, Summary};
use crate::recording;

/// What to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Form {
    /// A recording, for every tool of this program.
    Recording,
    /// A JSON object per line.
    Json,
}

impl Form {
    fn extension(self) -> &'static str {
        match self {
            Self::Recording => "rec",
            Self::Json => "jsonl",
        }
    }
}

/// Fast; what is read often can be compressed again.
const LEVEL: i32 = 3;

/// A log, and where its events go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// The log; `-` is standard input.
    pub from: PathBuf,
    /// Where its events go; `None` is standard output.
    pub to: Option<PathBuf>,
}

impl Job {
    /// A job for each log. `output` is a directory, which is made when it is not there, or for a single log the file itself.
    pub fn of(logs: &[PathBuf], output: Option<&Path>, form: Form) -> Vec<Self> {
        let Some(output) = output else { return logs.iter().map(|from| Self { from: from.clone(), to: None }).collect() };
        let ends_as_folder = output.as_os_str().as_encoded_bytes().ends_with(b"/");
        if logs.len() == 1 && !output.is_dir() && !ends_as_folder {
            return vec![Self { from: logs[0].clone(), to: Some(output.to_owned()) }];
        }
        let mut taken = BTreeSet::new();
        let job = |from: &PathBuf| {
            let name = from.file_name().filter(|name| *name != "-").map_or("stdin".into(), |name| name.to_string_lossy());
            // logs of several nodes are called the same
            let names = (1..).map(|number| if number == 1 { name.to_string() } else { format!("{name}-{number}") });
            let free =
                names.map(|name| output.join(format!("{name}.{}", form.extension()))).find(|path| taken.insert(path.clone()));
            Self { from: from.clone(), to: free }
        };
        logs.iter().map(job).collect()
    }
}

/// How far the work is, for whoever shows it.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Bytes of the logs as they are on disk.
    pub total: u64,
    /// Bytes that were read of them.
    pub done: Arc<AtomicU64>,
}

impl Progress {
    /// Nothing is done yet.
    pub fn of(jobs: &[Job]) -> Self {
        let size = |job: &Job| fs::metadata(&job.from).ok().filter(fs::Metadata::is_file).map_or(0, |file| file.len());
        Self { total: jobs.iter().map(size).sum(), done: Arc::default() }
    }
}

/// What came of a job.
#[derive(Debug)]
pub struct Report {
    /// The log.
    pub log: PathBuf,
    /// What was read of it.
    pub summary: Summary,
    /// Why that is not all.
    pub error: Option<ReadError>,
}

/// Does all jobs with so many workers. The reports are in the order of the jobs.
///
/// A log that cannot be read, or not to its end, is no hindrance for the others, and what was read of it is written. Nothing that is
/// there already is overwritten.
pub fn run(
    jobs: &[Job],
    workers: usize,
    form: Form,
    config: &Config,
    node: &NodeName,
    progress: &Progress,
    stop: &AtomicBool,
) -> Vec<Report> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut reports = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(at) else { return reports };
            if stop.load(Ordering::Relaxed) {
                let name = job.from.display().to_string();
                reports.push((at, Err(ReadError::Stopped { name }), Summary::default()));
                continue;
            }
            let done = Arc::clone(&progress.done);
            let (summary, result) = match Input::open(&job.from, done, stop).and_then(|input| Ok((input, Output::new(job, form)?)))
            {
                Ok((input, mut output)) => {
                    let (summary, read) =
                        input.read(config, node, at as u64, stop, |event| output.write(event).map_err(|error| job.named(&error)));
                    (summary, output.finish(job, read))
                }
                Err(error) => (Summary::default(), Err(error)),
            };
            reports.push((at, result, summary));
        }
    };
    let mut reports: Vec<_> = std::thread::scope(|scope| {
        // standard output takes one log after another
        let workers = if jobs.iter().any(|job| job.to.is_none()) { 1 } else { workers.clamp(1, jobs.len().max(1)) };
        let threads: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let mut reports = work();
        for thread in threads {
            reports.extend(thread.join().expect("a worker that panics has a bug, and its message was printed"));
        }
        reports
    });
    reports.sort_by_key(|(at, ..)| *at);
    let report = |(at, result, summary): (usize, Result<(), ReadError>, _)| Report {
        log: jobs[at].from.clone(),
        summary,
        error: result.err(),
    };
    reports.into_iter().map(report).collect()
}

/// Where the events of a log go.
struct Output {
    writer: Writer,
    /// The file under its name until it is whole, and after.
    unfinished: Option<Unfinished>,
}

enum Writer {
    Recording(recording::Writer<BufWriter<File>>),
    Json(BufWriter<Box<dyn Write + Send>>),
}

impl Output {
    fn new(job: &Job, form: Form) -> Result<Self, ReadError> {
        Self::open(job.to.as_deref(), form).map_err(|source| job.failed(&source))
    }

    fn open(path: Option<&Path>, form: Form) -> io::Result<Self> {
        let Some(path) = path else {
            // a recording on standard output would be no use to a person; who wants it names a file
            return Ok(Self { writer: Writer::Json(BufWriter::new(Box::new(io::stdout()))), unfinished: None });
        };
        let (unfinished, file) = Unfinished::create(path)?;
        let writer = match form {
            Form::Recording => Writer::Recording(recording::Writer::new(BufWriter::new(file), LEVEL)?),
            Form::Json => Writer::Json(BufWriter::new(Box::new(file))),
        };
        Ok(Self { writer, unfinished: Some(unfinished) })
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        match &mut self.writer {
            Writer::Recording(writer) => writer.write(event),
            Writer::Json(writer) => {
                serde_json::to_writer(&mut *writer, event)?;
                writer.write_all(b"\n")
            }
        }
    }

    /// Makes the file one that can be read, if anything was.
    fn finish(self, job: &Job, read: Result<(), ReadError>) -> Result<(), ReadError> {
        let useless = matches!(read, Err(ReadError::Foreign { .. } | ReadError::Write { .. } | ReadError::Stopped { .. }));
        let end = || {
            match self.writer {
                Writer::Recording(writer) => writer.finish()?.flush()?,
                Writer::Json(mut writer) => writer.flush()?,
            }
            self.unfinished.map_or(Ok(()), Unfinished::finish)
        };
        // what is left behind is removed
        let ended = if useless { Ok(()) } else { end() };
        read.and(ended.map_err(|source| job.failed(&source)))
    }
}

impl Job {
    /// Something about the output that failed, with its name.
    fn named(&self, source: &io::Error) -> io::Error {
        let to = self.to.as_ref().map_or("standard output".to_owned(), |path| path.display().to_string());
        io::Error::new(source.kind(), format!("{to}: {source}"))
    }

    fn failed(&self, source: &io::Error) -> ReadError {
        ReadError::Write { name: self.from.display().to_string(), source: self.named(source) }
    }
}

/// A file that has its name only when it is whole, and is gone if it never is.
struct Unfinished {
    path: PathBuf,
    name: PathBuf,
    finished: bool,
}

impl Unfinished {
    fn create(name: &Path) -> io::Result<(Self, File)> {
        if name.symlink_metadata().is_ok() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is there already, and is not overwritten"));
        }
        if let Some(folder) = name.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut path = name.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        let in_use = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                io::Error::new(error.kind(), format!("{} is there: another run writes it, or was killed", path.display()))
            }
            _ => error,
        };
        let file = File::create_new(&path).map_err(in_use)?;
        Ok((Self { path, name: name.to_owned(), finished: false }, file))
    }

    fn finish(mut self) -> io::Result<()> {
        fs::rename(&self.path, &self.name)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            // whoever is told of the failure finds the rest, at worst
            let _ = fs::remove_file(&self.path);
        }
    }
}
