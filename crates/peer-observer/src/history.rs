//! `extract log --from`: finished logs become recordings.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use event::KindId;
use extract::log::convert::{self, Form, Job, Progress, Report};
use extract::log::finished::{ReadError, Summary};

use crate::bar;
use crate::cli;
use crate::exit::{Code, Failure};
use crate::service::Signals;
use crate::wiring::block_on;

/// `peer-observer extract log --from`
///
/// # Errors
///
/// A log could not be read, or not to its end; the others were.
pub fn run(options: cli::ExtractLog) -> Result<(), Failure> {
    let cli::FinishedLogs { from, output, format, workers } = options.finished;
    let form = format.unwrap_or(if output.is_some() { Form::Recording } else { Form::Json });
    if output.is_none() && form == Form::Recording {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!("a recording needs a file to be written to")).hint("add --output"));
    }
    let processors = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = workers.map_or_else(processors, std::num::NonZero::get);
    let jobs = Job::of(&from, output.as_deref(), form);
    let progress = Progress::of(&jobs);
    let (config, node, shown) = (options.log, options.common.node.name, progress.clone());
    let stop = Arc::new(AtomicBool::new(false));
    let reports = block_on(async {
        let mut signals = Signals::new()?;
        let told = stop.clone();
        let mut work = tokio::task::spawn_blocking(move || convert::run(&jobs, workers, form, &config, &node, &shown, &told));
        let bar = bar::of_bytes(progress.total);
        let mut draw = tokio::time::interval(bar::DRAW);
        loop {
            tokio::select! {
                reports = &mut work => {
                    bar.finish_and_clear();
                    return Ok(reports.map_err(anyhow::Error::new)?);
                }
                _ = draw.tick() => bar.set_position(progress.done.load(Ordering::Relaxed)),
                // what is under way ends soon
                () = signals.received() => stop.store(true, Ordering::Relaxed),
            }
        }
    })?;
    let table = table(&reports);
    if output.is_some() {
        crate::print(&table)?;
    } else if io::stderr().is_terminal() {
        // standard output has the events
        eprint!("{table}");
    }
    let told = stop.load(Ordering::Relaxed);
    failures(reports, told)
}

/// What becomes of the logs that were not read to their end. One that somebody stopped is no failure.
fn failures(reports: Vec<Report>, told: bool) -> Result<(), Failure> {
    let all = reports.len();
    let mut errors: Vec<ReadError> = reports.into_iter().filter_map(|report| report.error).collect();
    let closed = |error: &ReadError| matches!(error, ReadError::Write { source, .. } if source.kind() == io::ErrorKind::BrokenPipe);
    // whoever reads the events has seen enough
    let stopped = |error: &ReadError| told && matches!(error, ReadError::Stopped { .. });
    errors.retain(|error| !closed(error) && !stopped(error));
    let unread = errors.iter().any(|error| !matches!(error, ReadError::Write { .. }));
    let code = if unread { Code::Recording } else { Code::Failure };
    if let [_] = errors[..] {
        let error = errors.remove(0);
        let hint = error.hint();
        return Err(Failure::new(code, error).hint(hint));
    }
    for error in &errors {
        eprintln!("error: {error}\nhint: {}", error.hint());
    }
    match errors.len() {
        0 => Ok(()),
        count => Err(Failure::new(code, anyhow::anyhow!("{count} of {all} logs could not be read, or not to their end"))
            .hint("what could be read was; the others are done")),
    }
}

/// With more logs than these, events by kind are shown for all of them only.
const COLUMNS: usize = 4;

/// Lines and events: by log, and by kind.
fn table(reports: &[Report]) -> String {
    let name = |report: &Report| match &report.log {
        path if path == Path::new("-") => "standard input".to_owned(),
        path => path.display().to_string(),
    };
    let events = |summary: &Summary| summary.events.values().sum::<u64>();
    let numbers = |summary: &Summary| {
        [summary.bytes, summary.starts, summary.lines.lines, summary.lines.matched, summary.lines.unmatched, events(summary)]
    };
    let mut rows = vec![["log", "bytes", "starts", "lines", "matched", "unmatched", "events"].map(str::to_owned).to_vec()];
    let row = |name: String, numbers: [u64; 6]| std::iter::once(name).chain(numbers.map(|number| number.to_string())).collect();
    rows.extend(reports.iter().map(|report| row(name(report), numbers(&report.summary))));
    if reports.len() > 1 {
        let total = reports.iter().map(|report| numbers(&report.summary)).fold([0; 6], |mut sum, numbers| {
            sum.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
            sum
        });
        rows.push(row("all".to_owned(), total));
    }
    let mut text = String::new();
    aligned(&mut text, &rows);
    let columns = if reports.len() <= COLUMNS { reports } else { &[] };
    let count = |summary: &Summary, kind: KindId| summary.events.get(&kind).copied().unwrap_or(0);
    let mut rows = vec![std::iter::once("kind".to_owned()).chain(columns.iter().map(name)).collect::<Vec<_>>()];
    if columns.len() != 1 {
        rows[0].push("all".to_owned());
    }
    for kind in KindId::ALL {
        let all: u64 = reports.iter().map(|report| count(&report.summary, kind)).sum();
        if all == 0 {
            continue;
        }
        let mut row = vec![kind.to_string()];
        row.extend(columns.iter().map(|report| count(&report.summary, kind).to_string()));
        if columns.len() != 1 {
            row.push(all.to_string());
        }
        rows.push(row);
    }
    text.push('\n');
    aligned(&mut text, &rows);
    text
}

/// The first column to the left, numbers to the right.
fn aligned(out: &mut String, rows: &[Vec<String>]) {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = if column == 0 { write!(out, "{cell:<width$}") } else { write!(out, "  {cell:>width$}") };
        }
        out.push('\n');
    }
}
