//! `archive export`: recordings become tables.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tools::archive::amount::{Size, counted};
use tools::export::parts::Limits;
use tools::export::{ExportError, Exported, Job, Progress};
use tools::target::{Place, Target, TargetError};

use crate::exit::{Code, Failure};
use crate::service::Signals;
use crate::wiring::block_on;
use crate::{archive, cli};

/// How often the progress is drawn.
const DRAW: Duration = Duration::from_millis(100);

/// `peer-observer archive export`
///
/// # Errors
///
/// There are no such recordings, files cannot be written, or a recording could not be read to its end; everything else was exported.
pub fn run(options: cli::ArchiveExport) -> Result<ExitCode, Failure> {
    let selection = archive::selection(&options.part, &options.files)?;
    let redactor = archive::redactor(&options.others)?;
    // under a key that nobody keeps, nothing can be added later
    let once = redactor.is_some() && options.others.redact_key.is_none();
    let bytes = if redactor.is_some() { tools::archive::progress::total(&options.files) } else { 0 };
    let job = Job {
        recordings: options.files,
        selection,
        format: options.format,
        license: options.license,
        redactor,
        limits: Limits::default(),
    };
    let (progress, stop) = (Arc::new(Progress::default()), Arc::new(AtomicBool::new(false)));
    let (shown, told) = (Arc::clone(&progress), Arc::clone(&stop));
    let output = options.output;
    #[cfg(feature = "s3")]
    let s3 = options.s3;
    let exported = block_on(async move {
        let mut signals = Signals::new()?;
        // a store has a runtime of its own, which may not end within this one
        let mut work = tokio::task::spawn_blocking(move || {
            let place = output.to_string();
            #[cfg(feature = "s3")]
            let target = open(&output, &s3);
            #[cfg(not(feature = "s3"))]
            let target = open(&output);
            tools::export::run(job, &target?, &place, &progress, &stop)
        });
        let bar = bar();
        let mut draw = tokio::time::interval(DRAW);
        loop {
            tokio::select! {
                exported = &mut work => {
                    bar.finish_and_clear();
                    return exported.map_err(anyhow::Error::new)?.map_err(|error| failed(error, once));
                }
                _ = draw.tick() => show(&bar, &shown, bytes),
                // what is finished stays
                () = signals.received() => told.store(true, Ordering::Relaxed),
            }
        }
    })?;
    eprintln!("{}", said(&exported));
    if let Some(redactor) = &exported.redactor {
        archive::tell(exported.withheld, redactor);
    }
    exported.fault.map_or(Ok(ExitCode::SUCCESS), |fault| Err(archive::unreadable(fault)))
}

/// Opens a place.
///
/// # Errors
///
/// It cannot be used, or this build has no stores.
#[cfg(feature = "s3")]
pub fn open(place: &Place, options: &tools::target::s3::Options) -> Result<Target, TargetError> {
    match place {
        Place::Directory(path) => Target::directory(path),
        Place::S3 { bucket, prefix } => Ok(Target::S3(tools::target::s3::S3::open(bucket, prefix, options)?)),
    }
}

/// Opens a place.
///
/// # Errors
///
/// It cannot be used, or this build has no stores.
#[cfg(not(feature = "s3"))]
pub fn open(place: &Place) -> Result<Target, TargetError> {
    match place {
        Place::Directory(path) => Target::directory(path),
        Place::S3 { .. } => {
            let what = "this program was built without the feature `s3`".to_owned();
            Err(TargetError::Setup { place: place.to_string(), what })
        }
    }
}

/// A bar where somebody sees it.
fn bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style(COUNTING))
}

/// A recording of the first form does not say how long it is.
const COUNTING: &str = "{spinner} {human_pos} events  {per_sec}  {elapsed}";
const OF_ALL: &str = "{bar:40} {percent:>3} % of {human_len} events  {per_sec}  {eta} left";
const LEARNING: &str = "{bar:40} {percent:>3} % searched for what is the nodes' own";

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// How far it is. What is redacted is read twice: so many `bytes` first.
fn show(bar: &ProgressBar, progress: &Progress, bytes: u64) {
    let (total, done) = (progress.total.load(Ordering::Relaxed), progress.done.load(Ordering::Relaxed));
    if bytes > 0 && done == 0 {
        if bar.length() != Some(bytes) {
            bar.set_style(style(LEARNING));
            bar.set_length(bytes);
        }
        bar.set_position(progress.learning.done());
        return;
    }
    if total > 0 && bar.length() != Some(total) {
        bar.set_style(style(OF_ALL));
        bar.set_length(total);
    } else if total == 0 && bar.length().is_some() {
        bar.set_style(style(COUNTING));
        bar.unset_length();
    }
    bar.set_position(done);
}

fn said(exported: &Exported) -> String {
    let Exported { events, rows, files, bytes, known, left_out, .. } = exported;
    let (events, rows) = (counted(*events, "event", "events"), counted(*rows, "row", "rows"));
    let mut text = format!("{events}, {rows} in {}, {}", counted(*files, "file", "files"), Size(*bytes));
    if *known > 0 {
        text += &format!("; {} had been exported before", counted(*known, "recording", "recordings"));
    }
    if *left_out > 0 {
        text += &format!("; {} in no table, see manifest.json", counted(*left_out, "event is", "events are"));
    }
    text
}

fn failed(error: ExportError, once: bool) -> Failure {
    let code = match &error {
        ExportError::Read(_) | ExportError::Changed { .. } | ExportError::Replaced { .. } => Code::Recording,
        ExportError::Another { .. } | ExportError::OtherKey { .. } | ExportError::Named { .. } => Code::Usage,
        ExportError::Target(error) => code(error),
        ExportError::Stopped => Code::Ended,
        ExportError::Manifest { .. } => Code::Failure,
    };
    let ended = matches!(error, ExportError::Stopped | ExportError::Target(_));
    let hint = if once && ended {
        "nobody keeps its key: begin anew in another place, with `--redact-key` to go on later"
    } else {
        error.hint()
    };
    Failure::new(code, error).hint(hint)
}

/// The exit code for files that do not get there.
pub fn code(error: &TargetError) -> Code {
    match error {
        TargetError::Write { source, .. } | TargetError::Read { source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            Code::NotPermitted
        }
        _ => Code::Failure,
    }
}
