//! `peer-observer detect`: findings, from a bus or a recording.

use std::io::{self, IsTerminal as _, Write as _};

use bus::Limits;
use detect::finding::Statement;
use tools::detect::{Prepared, StateFileError, play, score};
use tools::logger::{Colour, Format, Line};

use crate::cli;
use crate::exit::{Code, Failure};
use crate::service::{self, Signals};
use crate::wiring;

/// A state that cannot be read.
pub fn unreadable(error: StateFileError) -> Failure {
    Failure::new(Code::Failure, error).hint("make it readable for this user, or name another file with `--detect-state`")
}

/// `peer-observer detect`
///
/// # Errors
///
/// The bus, a recording, the state or a labelled set cannot be read.
pub fn run(options: cli::Detect) -> Result<(), Failure> {
    let mut printer = Printer::new(options.format);
    if options.thresholds {
        return printed(write(tools::detect::thresholds(&options.detect.thresholds()).as_bytes()));
    }
    if let Some(directory) = &options.score {
        let scored = score::score(directory).map_err(|error| Failure::new(Code::Recording, error))?;
        return printed(write(score::table(&scored).as_bytes()));
    }
    let live = options.recording.is_empty();
    if live && options.nats.url.is_none() {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!("`detect` needs a bus or a recording to look at"))
            .hint("give `--nats URL` or `--recording FILES`; `peer-observer run` watches a node on this machine, and detects"));
    }
    let prepared = options.detect.prepare(live).map_err(unreadable)?;
    if live {
        return watch(prepared, options, printer);
    }
    let filter = prepared.filter(options.node.clone());
    let selection = tools::archive::Selection { kinds: Some(filter.kinds), nodes: filter.nodes, ..Default::default() };
    let recordings = crate::archive::recorded(&options.recording, &selection)?;
    let mut closed = false;
    let totals = play(prepared, recordings, |statement| match printer.print(statement) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            closed = true;
            Err(Failure::from(anyhow::Error::new(error)))
        }
        printed => printed.map_err(|error| anyhow::Error::new(error).into()),
    });
    // nobody reads any more: that is no failure
    let totals = match totals {
        Err(_) if closed => return Ok(()),
        totals => totals?,
    };
    let late = totals.late;
    tracing::info!(events = totals.events, late, "the recording has ended");
    Ok(())
}

/// Follows a bus until told to stop.
fn watch(prepared: Prepared, options: cli::Detect, mut printer: Printer) -> Result<(), Failure> {
    wiring::block_on(async {
        let mut signals = Signals::new()?;
        let Some(bus) = signals.unless_received(wiring::open(&options.nats)).await? else { return Ok(()) };
        let node = options.node.first().cloned();
        let filter = prepared.filter(options.node);
        let subscribed = async { bus.subscribe(filter, Limits::default()).await.map_err(wiring::bus_failure) };
        let Some(events) = signals.unless_received(subscribed).await? else { return Ok(()) };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async {
            // the other side says nothing, it goes away
            let _ = stopped.await;
        };
        let show = move |statement: &Statement| printer.print(statement).map_err(anyhow::Error::new);
        let mut tool = tokio::spawn(tools::detect::run(prepared, events, bus.clone(), node, stopped, show));
        service::ready();
        tokio::select! {
            () = signals.received() => {}
            ended = &mut tool => return Ok(ended.map_err(anyhow::Error::new)??),
        }
        let end = async {
            drop(stop);
            tool.await.map_err(anyhow::Error::new)??;
            bus.close().await;
            Ok(())
        };
        signals.end(end).await
    })
}

/// Findings as lines on standard output.
struct Printer {
    format: Format,
    colour: Colour,
    sequence: u64,
}

impl Printer {
    fn new(format: Format) -> Self {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { format, colour: if colour { Colour::On } else { Colour::Off }, sequence: 0 }
    }

    fn print(&mut self, statement: &Statement) -> io::Result<()> {
        let event = tools::detect::event(statement, self.sequence);
        self.sequence += 1;
        let mut line = match self.format {
            Format::Text => Line(&event, self.colour).to_string().into_bytes(),
            Format::Json => serde_json::to_vec(&event)?,
        };
        line.push(b'\n');
        write(&line)
    }
}

fn write(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()
}

/// A reader that goes away early is no failure.
fn printed(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(anyhow::Error::new(error).into()),
        _ => Ok(()),
    }
}
