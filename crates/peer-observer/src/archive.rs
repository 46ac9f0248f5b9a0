//! `archive` and `replay`: recordings from the command line.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bus::{Bus, Limits};
use event::Filter;
use event::redact::Redactor;
use extract::replay::{self, Pause};
use tools::archive::amount::{Age, Size, counted};
use tools::archive::copy::{self, CopyError};
use tools::archive::store::{Forecast, Store, StoreError};
use tools::archive::{Config, Part, Progress, ReadError, Selection, info, record, redacted, verify};
use tools::logger::Format;

use crate::alone;
use crate::bar;
use crate::cli;
use crate::exit::{Code, Failure};
use crate::service::{self, Signals};
use crate::wiring::{self, block_on};

/// `peer-observer archive`
///
/// # Errors
///
/// A recording cannot be read, or the archive cannot be written.
pub fn run(options: cli::Archive) -> Result<ExitCode, Failure> {
    match options {
        cli::Archive::Record(options) => record(*options).map(|()| ExitCode::SUCCESS),
        cli::Archive::Info(options) => {
            let info = match &options.files[..] {
                [path] if holds_capture(path) => {
                    let events = extract::recording::open(path).map_err(wiring::recording_failure)?;
                    let path = path.clone();
                    let read = move |progress: &Progress| {
                        let info = info::info_of(&path, events.take_while(|_| !progress.is_stopped()));
                        if progress.is_stopped() { Err(ReadError::Stopped) } else { Ok(info) }
                    };
                    shown(&[], 1, read)?.map_err(unreadable)?
                }
                files => {
                    let files = files.to_vec();
                    shown(&options.files, 1, move |progress| info::info_watched(&files, now(), progress))?.map_err(unreadable)?
                }
            };
            print(&info, options.format)?;
            Ok(if info.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(Code::Recording as u8) })
        }
        cli::Archive::Verify(options) => {
            no_capture("archive verify", &options.files)?;
            let files = options.files.clone();
            let verified =
                shown(&options.files, 1, move |progress| verify::verify_watched(&files, progress))?.map_err(unreadable)?;
            print(&verified.info, options.format)?;
            Ok(if verified.is_whole() { ExitCode::SUCCESS } else { ExitCode::from(Code::Recording as u8) })
        }
        cli::Archive::Cut(options) => {
            let selection = selection(&options.part, &options.files)?;
            match redactor(&options.others)? {
                Some(_) if options.files.iter().any(|path| holds_capture(path)) => {
                    Err(Failure::new(Code::Usage, anyhow::anyhow!("what Bitcoin Core captured cannot be redacted as it is"))
                        .hint(IMPORT))
                }
                Some(redactor) => redacted(&options, &selection, redactor),
                None => copied(&options.files, &selection, &options.output),
            }
        }
        cli::Archive::Export(options) => {
            no_capture("archive export", &options.files)?;
            crate::export::run(*options)
        }
        cli::Archive::Ship(options) => crate::ship::run(*options),
        cli::Archive::Merge(options) => {
            let code = copied(&options.files, &Selection::default(), &options.output)?;
            // of what was just written, from its heads
            let twice = info::info(std::slice::from_ref(&options.output), now()).map_or(0, |info| info.repeated());
            if twice > 0 {
                eprintln!(
                    "warning: {} there twice or out of order\nhint: `archive info FILES` tells which source they are of",
                    counted(twice, "event is", "events are")
                );
            }
            Ok(code)
        }
    }
}

/// How what Bitcoin Core captured becomes a recording.
const IMPORT: &str = "`archive cut FOLDER -o FILE` makes a recording of it, which everything reads";

fn copied(files: &[PathBuf], selection: &Selection, output: &Path) -> Result<ExitCode, Failure> {
    if files.iter().any(|path| holds_capture(path)) {
        return imported(files, selection, output);
    }
    let (from, part, to) = (files.to_vec(), selection.clone(), output.to_owned());
    written(shown(files, 1, move |progress| copy::copy_watched(&from, &part, &to, now(), progress))?, files)
}

/// A recording of what Bitcoin Core captured.
fn imported(files: &[PathBuf], selection: &Selection, output: &Path) -> Result<ExitCode, Failure> {
    let (events, part, to) = (recorded(files, selection)?, selection.clone(), output.to_owned());
    // how much of it was read, nobody knows
    let (copied, fault) = shown(&[], 1, move |progress| {
        let mut fault = None;
        let events = events.filter_map(|event| event.map_err(|failure| fault = Some(failure)).ok());
        (copy::import(events, &part, &to, now(), progress), fault)
    })?;
    let code = written(copied, files)?;
    fault.map_or(Ok(code), Err)
}

/// A slice for others.
fn redacted(options: &cli::ArchiveCut, selection: &Selection, mut redactor: Redactor) -> Result<ExitCode, Failure> {
    let cli::ArchiveCut { files, output, .. } = options;
    let (from, part, to) = (files.clone(), selection.clone(), output.clone());
    let (copied, redactor) = shown(files, 2, move |progress| {
        let copied = redacted::cut(&from, &part, &to, now(), &mut redactor, progress);
        (copied, redactor)
    })?;
    if let Ok(copied) = &copied {
        tell(copied.withheld, &redactor);
    }
    written(copied, files)
}

/// What makes events fit for others, where that was asked for.
///
/// # Errors
///
/// A key that is none, or an address that is none.
pub fn redactor(options: &cli::ForOthers) -> Result<Option<Redactor>, Failure> {
    if !options.redact {
        return Ok(None);
    }
    let mut redactor = Redactor::new(options.redact_key.as_deref().map_or_else(fresh_key, read_key)?);
    if let Some(address) = options.own.iter().find(|address| !redactor.add_own(address)) {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!("`{address}` is no address that others could know a node by"))
            .hint("write it as `203.0.113.7`, `[2001:db8::7]:8333` or `….onion`"));
    }
    Ok(Some(redactor))
}

/// What was hidden, and whether enough was known for that.
pub fn tell(withheld: u64, redactor: &Redactor) {
    let (stated, claimed) = redactor.own().count();
    eprintln!(
        "{} withheld; {} of the nodes' own, and {claimed} that peers claim",
        counted(withheld, "event", "events"),
        counted(stated as u64, "address", "addresses")
    );
    if stated == 0 {
        eprintln!("warning: nothing states an address of the nodes' own\nhint: name them with `--own`");
    }
    if redactor.own().unlearned() > 0 {
        let unlearned = counted(redactor.own().unlearned(), "address", "addresses");
        eprintln!("warning: {unlearned} more could not be kept in mind");
    }
}

/// A key that nobody keeps.
fn fresh_key() -> Result<[u8; 32], Failure> {
    let mut key = [0; 32];
    rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| anyhow::Error::new(error).context("failed to make a key"))?;
    Ok(key)
}

fn read_key(path: &Path) -> Result<[u8; 32], Failure> {
    let failed = |error| Failure::new(Code::Usage, error).hint("make one with `head -c 32 /dev/urandom > FILE`");
    let read = std::fs::read(path)
        .map_err(|error| failed(anyhow::Error::new(error).context(format!("failed to read the key {}", path.display()))))?;
    let length = read.len();
    <[u8; 32]>::try_from(read).map_err(|_| failed(anyhow::anyhow!("the key {} has {length} bytes, not 32", path.display())))
}

/// Does what takes time, and shows on a terminal how far it is; recordings are read so many `times`. A signal ends it before it is done.
///
/// # Errors
///
/// It was ended by a second signal.
fn shown<T: Send + 'static>(
    files: &[PathBuf],
    times: u64,
    work: impl FnOnce(&Progress) -> T + Send + 'static,
) -> Result<T, Failure> {
    let progress = Progress::default();
    let total = if io::stderr().is_terminal() { tools::archive::progress::total(files) * times } else { 0 };
    let (bar, working) = (bar::of_bytes(total), progress.clone());
    let result = alone::read(&progress, || bar.set_position(progress.done()), move || work(&working));
    bar.finish_and_clear();
    result
}

/// `peer-observer replay`
///
/// # Errors
///
/// A recording or the bus cannot be read.
pub fn replay(options: cli::Replay) -> Result<(), Failure> {
    if options.nats.url.is_none() {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!("`replay` needs a bus to play into"))
            .hint("give `--nats URL`; tools that take `--recording FILES` play a recording without a bus"));
    }
    let selection = selection(&options.part, &options.files)?;
    let beginning = beginning(&options.files)?;
    let pauses = options.pause_at.iter().map(|moment| moment.nanos(beginning));
    let events = recorded(&options.files, &selection)?.filter(|event| event.as_ref().map_or(true, |event| selection.event(event)));
    block_on(async {
        let mut signals = Signals::new()?;
        let Some(bus) = signals.unless_received(wiring::open(&options.nats)).await? else { return Ok(()) };
        let bus = bus.of_replay(options.replay_id);
        service::ready();
        let played = tokio::select! {
            played = replay::run_with_pauses(events, options.speed, &bus, Pause::at(pauses, enter)) => played,
            () = signals.received() => Ok(()),
        };
        bus.close().await;
        played
    })
}

/// When the earliest of these recordings begins, nanoseconds since the epoch.
fn beginning(files: &[PathBuf]) -> Result<u64, Failure> {
    match files {
        [path] if is_capture(path) => {
            let mut events = extract::recording::open(path).map_err(wiring::recording_failure)?;
            Ok(events.find_map(Result::ok).map_or(0, |event| event.time))
        }
        files => tools::archive::beginning(files).map_err(unreadable),
    }
}

/// Waits for Enter, or for the end of the input: a script that has none goes on at once.
async fn enter(time: u64) {
    if io::stdin().is_terminal() {
        eprintln!("paused at {}; Enter goes on", info::Time(time));
    }
    let read = || {
        let mut line = String::new();
        // what cannot be read waits for nobody
        let _ = io::stdin().read_line(&mut line);
    };
    // a thread of its own: one that waits for a person must not hold up the end of the program
    let (done, wait) = tokio::sync::oneshot::channel();
    let waiting = std::thread::Builder::new().name("po-enter".to_owned()).spawn(move || {
        read();
        let _ = done.send(());
    });
    if waiting.is_ok() {
        let _ = wait.await;
    }
}

/// What `run` was asked to keep, and what it has to ask the bus for.
///
/// # Errors
///
/// A pattern that matches no kind, or no directory.
pub fn asked(config: Config, section: bool) -> Result<Option<(Config, Filter)>, Failure> {
    if config.archive.is_none() && !section {
        return Ok(None);
    }
    if config.archive.is_none() {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!("the archive needs a directory"))
            .hint("give `--archive DIR`, or `dir` in the section `[archive]`"));
    }
    let filter = config.filter().map_err(unknown_kind)?;
    Ok(Some((config, filter)))
}

/// Opens the archive and begins to listen; what comes back writes until the bus closes.
///
/// # Errors
///
/// The archive cannot be written, or the bus does not let us listen.
pub async fn start(
    config: Config,
    filter: Filter,
    bus: &Bus,
) -> Result<impl Future<Output = anyhow::Result<()>> + Send + 'static, Failure> {
    let directory = config.archive.clone().unwrap_or_default();
    let store = Store::open(&directory).map_err(unwritable)?;
    said(&config, &directory);
    // a burst should not be lost while the disk is busy
    let events = bus.subscribe(filter, Limits::default()).await.map_err(wiring::bus_failure)?;
    Ok(record::run(config, store, events, bus.clone()))
}

/// What is kept where, how long, and what that comes to as far as it is known.
fn said(config: &Config, directory: &Path) {
    let size = config.archive_max_size.map(|size| size.to_string());
    let age = config.archive_max_age.map(|age| age.to_string());
    let limits: Vec<String> = size.into_iter().chain(age).collect();
    let limit = if limits.is_empty() { "none, nothing is deleted".to_owned() } else { limits.join(", ") };
    let kept = Forecast::of(directory, now()).map(|forecast| forecast.to_string()).unwrap_or_default();
    tracing::info!(directory = %directory.display(), %limit, %kept, "keeping what happens");
}

/// `peer-observer archive record`
fn record(options: cli::ArchiveRecord) -> Result<(), Failure> {
    let Some((config, filter)) = asked(options.archive, true)? else { return Ok(()) };
    if options.nats.url.is_none() {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!("`archive record` needs a bus to follow"))
            .hint("give `--nats URL`; `peer-observer run --archive DIR` keeps what happens on this machine"));
    }
    block_on(async {
        let mut signals = Signals::new()?;
        let Some(bus) = signals.unless_received(wiring::open(&options.nats)).await? else { return Ok(()) };
        let started = start(config, filter.of_nodes(options.node), &bus);
        let Some(tool) = signals.unless_received(started).await? else { return Ok(()) };
        let mut tool = tokio::spawn(tool);
        service::ready();
        tokio::select! {
            () = signals.received() => {}
            ended = &mut tool => return Ok(ended.map_err(anyhow::Error::new)??),
        }
        bus.close().await;
        Ok(tool.await.map_err(anyhow::Error::new)??)
    })
}

/// What `part` selects of recordings.
///
/// # Errors
///
/// A pattern that matches no kind, an end before the beginning, or a recording whose beginning cannot be read.
pub fn selection(part: &Part, files: &[PathBuf]) -> Result<Selection, Failure> {
    let selection = part.selection(|| beginning(files).map_err(Wrong::Read)).map_err(|wrong| match wrong {
        Wrong::Kinds(error) => unknown_kind(error),
        Wrong::Read(failure) => failure,
    })?;
    let (from, to) = (*selection.times.start(), *selection.times.end());
    if from > to {
        let error = anyhow::anyhow!("`--from` {} is later than `--to` {}", info::Time(from), info::Time(to));
        return Err(
            Failure::new(Code::Usage, error).hint("times without a date count from the beginning of the recording, both of them")
        );
    }
    Ok(selection)
}

enum Wrong {
    Kinds(event::FilterError),
    Read(Failure),
}

impl From<event::FilterError> for Wrong {
    fn from(error: event::FilterError) -> Self {
        Self::Kinds(error)
    }
}

fn print(info: &info::Info, format: Format) -> Result<(), Failure> {
    let text = match format {
        Format::Text => info.to_string(),
        Format::Json => serde_json::to_string(info).map_err(anyhow::Error::new)? + "\n",
    };
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(anyhow::Error::new(error).into()),
        _ => Ok(()),
    }
}

fn written(copied: Result<copy::Copied, CopyError>, files: &[PathBuf]) -> Result<ExitCode, Failure> {
    let copied = copied.map_err(|error| match error {
        CopyError::Read(error) => unreadable(error),
        CopyError::Exists { .. } => {
            Failure::new(Code::Usage, error).hint("nothing is written over; choose another name, or delete it")
        }
        CopyError::Busy { .. } => Failure::new(Code::Usage, error).hint("choose another name, or wait for it"),
        CopyError::Named { .. } => Failure::new(Code::Usage, error).hint("choose a name that says nothing of where it comes from"),
        CopyError::Empty { withheld: 0 } => Failure::new(Code::Usage, error).hint(held(files)),
        CopyError::Empty { .. } => Failure::new(Code::Usage, error).hint("docs/redaction.md says what is withheld"),
        CopyError::Write { .. } => Failure::new(Code::Failure, error).hint("is there room, and may this user write there?"),
    })?;
    eprintln!("{}, {}", counted(copied.events, "event", "events"), Size(copied.bytes));
    copied.fault.map_or(Ok(ExitCode::SUCCESS), |fault| Err(unreadable(fault)))
}

/// What recordings hold, for somebody who asked for something else.
fn held(files: &[PathBuf]) -> String {
    let info = match files {
        [path] if holds_capture(path) => extract::recording::open(path).ok().map(|events| info::info_of(path, events)),
        files => info::info(files, now()).ok(),
    };
    match info {
        Some(info::Info { events, first: Some(first), last: Some(last), .. }) => {
            let length = Age(Duration::from_nanos(last.0.saturating_sub(first.0)));
            format!("they hold {}, {first} to {last} ({length}); nothing was written", counted(events, "event", "events"))
        }
        _ => "there are no events in them; nothing was written".to_owned(),
    }
}

/// Events of whatever can be given as a recording: archives and first-form files, merged by time; or what Bitcoin Core itself captured.
///
/// # Errors
///
/// Something cannot be read, or is none of them.
pub fn recorded(paths: &[PathBuf], selection: &Selection) -> Result<Events, Failure> {
    recorded_watched(paths, selection, &Progress::default())
}

/// As [`recorded`]; `progress` is how much was read, and ends it.
///
/// # Errors
///
/// As [`recorded`].
pub fn recorded_watched(paths: &[PathBuf], selection: &Selection, progress: &Progress) -> Result<Events, Failure> {
    match paths {
        [path] if is_capture(path) => {
            let events = extract::recording::open(path).map_err(wiring::recording_failure)?;
            Ok(all_told(events))
        }
        paths if paths.iter().any(|path| is_capture(path)) => Err(Failure::new(
            Code::Usage,
            anyhow::anyhow!("what Bitcoin Core captured is read alone, not together with recordings"),
        )
        .hint(IMPORT)),
        paths => {
            let events = tools::archive::input::open_watched(paths, selection, progress).map_err(unreadable)?.events();
            Ok(Box::new(events.map(|event| event.map_err(unreadable))))
        }
    }
}

/// Whoever reads a recording ends with the first fault of it: so one is kept to the end, and the others are told on the way.
fn all_told(mut events: extract::recording::Events) -> Events {
    let mut fault = None;
    Box::new(std::iter::from_fn(move || {
        loop {
            match events.next() {
                Some(Ok(event)) => return Some(Ok(event)),
                Some(Err(error)) if fault.is_none() => fault = Some(error),
                Some(Err(error)) => tracing::warn!(%error, "passed over what cannot be read"),
                None => return fault.take().map(|error| Err(wiring::recording_failure(error))),
            }
        }
    }))
}

/// Events of a recording.
pub type Events = Box<dyn Iterator<Item = Result<event::Event, Failure>> + Send>;

/// A folder of segments is an archive, any other may be a capture.
pub fn is_capture(path: &Path) -> bool {
    let is_segment = |entry: std::fs::DirEntry| entry.path().extension().is_some_and(|extension| extension == "poa");
    let archive = || std::fs::read_dir(path).is_ok_and(|entries| entries.flatten().any(is_segment));
    extract::capture::Capture::is_one(path) && !(path.is_dir() && archive())
}

/// Whether there is something that Bitcoin Core captured.
fn holds_capture(path: &Path) -> bool {
    is_capture(path) && extract::capture::Capture::is_in(path)
}

/// A recording that cannot be read.
pub fn unreadable(error: ReadError) -> Failure {
    let hint = error.hint();
    let code = if matches!(error, ReadError::Stopped) { Code::Ended } else { Code::Recording };
    Failure::new(code, error).hint(hint)
}

/// What Bitcoin Core captured is no recording to whoever looks at frames or files.
///
/// # Errors
///
/// One of the recordings is such.
pub fn no_capture(command: &str, files: &[PathBuf]) -> Result<(), Failure> {
    match files.iter().find(|path| holds_capture(path)) {
        Some(path) => {
            let error = anyhow::anyhow!("`{command}` does not read what Bitcoin Core captured, as {} is", path.display());
            Err(Failure::new(Code::Usage, error).hint(IMPORT))
        }
        None => Ok(()),
    }
}

fn unwritable(error: StoreError) -> Failure {
    let hint = error.hint();
    let permitted = match &error {
        StoreError::Failed { source, .. } => source.kind() != io::ErrorKind::PermissionDenied,
        StoreError::Busy { .. } => true,
    };
    Failure::new(if permitted { Code::Failure } else { Code::NotPermitted }, error).hint(hint)
}

fn unknown_kind(error: event::FilterError) -> Failure {
    Failure::new(Code::Usage, error).hint("`peer-observer events` lists all kinds")
}

/// Nanoseconds since the epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}
