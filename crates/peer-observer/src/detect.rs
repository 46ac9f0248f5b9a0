//! `peer-observer detect`: findings, from a bus or a recording.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bus::Limits;
use detect::finding::Statement;
use event::Event;
use tools::archive::Progress;
use tools::detect::score::{self, ScoreError};
use tools::detect::{PrepareError, Prepared, play};
use tools::incidents::Book;
use tools::logger::{Colour, Days, Format, Line};

use crate::alone;
use crate::cli;
use crate::exit::{Code, Failure};
use crate::incidents::{Asked, Keeper};
use crate::parts::Parts;
use crate::service::{self, Signals};
use crate::wiring;

/// A state, a list or a map that cannot be read.
pub fn unreadable(error: PrepareError) -> Failure {
    let hint = match &error {
        PrepareError::State(_) => "make it readable for this user, or name another file with `--detect-state`",
        PrepareError::Knowledge(_) => "correct the file, or leave it out; docs/entities.md says what a list looks like",
    };
    Failure::new(Code::Failure, error).hint(hint)
}

/// `peer-observer detect`
///
/// # Errors
///
/// The bus, a recording, the state or a labelled set cannot be read.
pub fn run(options: cli::Detect) -> Result<(), Failure> {
    if options.thresholds {
        return printed(write(tools::detect::thresholds(&options.detect.thresholds(), options.format).as_bytes()));
    }
    if let Some(state) = options.detect.detect_state.as_deref().filter(|_| options.profiles) {
        let hint = "name the file that `run` or `detect` keeps with `--detect-state`";
        let text = tools::detect::profiles(state, options.format).map_err(|error| Failure::new(Code::Failure, error).hint(hint))?;
        return printed(write(text.as_bytes()));
    }
    if let Some(directory) = &options.score {
        return scored(directory, &options);
    }
    let live = options.recording.is_empty();
    let printer = Printer::new(options.format, live);
    if live && options.nats.url.is_none() {
        let run = "`peer-observer run` watches a node on this machine, and detects";
        return Err(alone::no_input("detect", "look at", run));
    }
    let book = crate::incidents::asked(options.incidents.clone(), options.messages.clone(), None, false)?;
    // over a replay everybody finds what the recording itself gives
    let prepared = options.detect.prepare(live && options.nats.replay.is_none()).map_err(unreadable)?;
    if live {
        let book = book.map(Asked::open).transpose()?;
        return watch(prepared, book, options, printer);
    }
    let filter = prepared.filter(options.node.clone());
    let progress = Progress::default();
    let recordings = alone::recorded_until(&options.recording, &filter, &progress)?;
    let book = book.map(Asked::open).transpose()?.map(|keeper| Noted::new(keeper.into_book()));
    let totals = alone::read(&progress, || (), move || look(prepared, recordings, book, printer))??;
    match totals {
        Some(detect::Totals { events, late, .. }) if progress.is_stopped() => {
            tracing::info!(events, late, "ended before the recording did");
        }
        Some(detect::Totals { events, late, .. }) => tracing::info!(events, late, "the recording has ended"),
        None => {}
    }
    Ok(())
}

/// Looks at a recording to its end; `None` where nobody reads any more.
fn look(
    prepared: Prepared,
    recordings: impl Iterator<Item = Result<Event, Failure>>,
    mut book: Option<Noted>,
    mut printer: Printer,
) -> Result<Option<detect::Totals>, Failure> {
    let mut closed = false;
    let totals = play(prepared, recordings, |statement| match printer.print(statement) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            closed = true;
            Err(Failure::from(anyhow::Error::new(error)))
        }
        printed => {
            printed.map_err(anyhow::Error::new)?;
            book.as_mut().map_or(Ok(()), |book| book.note(statement))
        }
    });
    if let Some(book) = &mut book {
        book.write()?;
    }
    // nobody reads any more: that is no failure
    match totals {
        Err(_) if closed => Ok(None),
        totals => totals.map(Some),
    }
}

/// What the detectors find of a labelled set.
fn scored(directory: &Path, options: &cli::Detect) -> Result<(), Failure> {
    if !options.node.is_empty() {
        let why = anyhow::anyhow!(
            "`--node` does not go with `--score`: a truth says of which node it is, and the others' findings count, too"
        );
        return Err(Failure::new(Code::Usage, why).hint("leave `--node` out, or cut the recordings: `archive cut --node`"));
    }
    if options.detect.detect_state.is_some() {
        tracing::warn!("the detectors' state is not used: each recording of a set is looked at with nothing learned before");
    }
    let set = score::score(directory, &options.detect).map_err(|error| match error {
        ScoreError::Labels(_) => Failure::new(Code::Usage, error).hint("docs/scoring.md says what a truth file looks like"),
        ScoreError::Knowledge(error) => unreadable(PrepareError::Knowledge(error)),
        ScoreError::Unreadable(error) => Failure::new(Code::Recording, error),
    })?;
    printed(write(score::report(&set, options.format).as_bytes()))
}

/// A book into which goes what a recording holds. Nobody is told: it is long over.
struct Noted {
    book: Book,
    waiting: Vec<Arc<Event>>,
    sequence: u64,
}

impl Noted {
    fn new(book: Book) -> Self {
        Self { book, waiting: Vec::new(), sequence: 0 }
    }

    fn note(&mut self, statement: &Statement) -> Result<(), Failure> {
        const BATCH: usize = 1024;
        self.waiting.push(Arc::new(tools::detect::event(statement, self.sequence)));
        self.sequence += 1;
        if self.waiting.len() < BATCH { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> Result<(), Failure> {
        self.book.record(&self.waiting).map_err(crate::incidents::unusable)?;
        self.waiting.clear();
        Ok(())
    }
}

/// Follows a bus until told to stop.
fn watch(prepared: Prepared, book: Option<Keeper>, options: cli::Detect, mut printer: Printer) -> Result<(), Failure> {
    wiring::block_on(async {
        let mut signals = Signals::new()?;
        let node = options.node.first().cloned();
        let filter = prepared.filter(options.node);
        let Some((bus, events)) = alone::subscribe(&mut signals, &options.nats, None, filter).await? else { return Ok(()) };
        let mut incidents = Parts::new(bus.clone());
        if let Some(book) = book {
            let events = bus.subscribe(tools::incidents::filter(), Limits::default()).await.map_err(wiring::bus_failure)?;
            book.start(events, &bus, &mut incidents)?;
        }
        let (stop, stopped) = alone::Stopped::new();
        let show = move |statement: &Statement| printer.print(statement).map_err(anyhow::Error::new);
        let mut tool = tokio::spawn(tools::detect::run(prepared, events, bus.clone(), node, stopped.wait(), show));
        service::ready();
        tokio::select! {
            () = signals.received() => {}
            ended = &mut tool => return Ok(ended.map_err(anyhow::Error::new)??),
            ended = incidents.ended() => return ended,
        }
        let end = async {
            drop(stop);
            tool.await.map_err(anyhow::Error::new)??;
            incidents.stop().await?;
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
    days: Days,
    sequence: u64,
}

impl Printer {
    fn new(format: Format, live: bool) -> Self {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let days =
            if live { Days::since(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()) } else { Days::default() };
        Self { format, colour: if colour { Colour::On } else { Colour::Off }, days, sequence: 0 }
    }

    fn print(&mut self, statement: &Statement) -> io::Result<()> {
        let event = tools::detect::event(statement, self.sequence);
        self.sequence += 1;
        let mut line = match self.format {
            Format::Text => {
                let date = self.days.turn(event.time).map_or(String::new(), |date| format!("{date}\n"));
                format!("{date}{}", Line(&event, self.colour)).into_bytes()
            }
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
