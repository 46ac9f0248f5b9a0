//! `peer-observer incidents`: the book, from the command line.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bus::{Bus, Subscription};
use event::IncidentState;
use event::text::Printable;
use tools::incidents::ask::{self, Answer, Ask, Shown, Trouble};
use tools::incidents::book::{Act, Book, BookError};
use tools::incidents::door::{self, Access, Guests, Questions};
use tools::incidents::page::{self, Whole};
use tools::incidents::{Config, Doors, Place, words};
use tools::logger::Format;
use tools::messages::{self, Post, Receivers, Rhythm};

use crate::cli::{self, ListFormat, PageFormat, State};
use crate::exit::{Code, Failure};
use crate::parts::Parts;
use crate::print;

/// A book that cannot be used.
pub fn unusable(error: BookError) -> Failure {
    let code = match &error {
        BookError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => Code::NotPermitted,
        BookError::Absent { .. } => Code::Usage,
        BookError::Version { .. } => Code::Unsupported,
        _ => Code::Failure,
    };
    let hint = error.hint();
    Failure::new(code, error).hint(hint)
}

/// What a program is to do about incidents.
pub struct Asked {
    config: Config,
    messages: messages::Config,
    receivers: Receivers,
}

/// What `run` or `detect` was asked to do about incidents, if anything; evidence comes out of the archive of this program, too.
///
/// # Errors
///
/// Something is asked for that needs a book, and there is none; or a secret cannot be read.
pub fn asked(
    mut config: Config,
    messages: messages::Config,
    archive: Option<&PathBuf>,
    section: bool,
) -> Result<Option<Asked>, Failure> {
    let receivers = messages.receivers().map_err(|error| {
        let hint = error.downcast_ref().map_or(
            "files are read before rights are given up; a secret is made with `head -c 32 /dev/urandom | base64 > FILE`",
            |incomplete: &messages::Incomplete| incomplete.hint,
        );
        Failure::new(Code::Usage, error).hint(hint)
    })?;
    if config.place.incidents_book.is_none() {
        return if section || !receivers.is_empty() {
            Err(Failure::new(Code::Usage, anyhow::anyhow!("incidents, and messages about them, need a book"))
                .hint("give `--incidents-book FILE`, or `book` in the section `[incidents]`"))
        } else {
            Ok(None)
        };
    }
    config.incidents_archive.extend(archive.cloned());
    Ok(Some(Asked { config, messages, receivers }))
}

impl Asked {
    /// Opens the book, or makes it.
    ///
    /// # Errors
    ///
    /// It cannot be used, or another program keeps it.
    pub fn open(self) -> Result<Keeper, Failure> {
        let path = self.config.place.incidents_book.as_deref().expect("it was asked for with one");
        let book = open_patiently(path).map_err(|error| match error {
            error @ BookError::Locked { .. } => Failure::new(Code::Failure, error)
                .hint("another peer-observer keeps it: one program writes a book; name another file with `--incidents-book`"),
            error => unusable(error),
        })?;
        let (questions, guests) = door::questions();
        Ok(Keeper { asked: self, book, questions, guests })
    }
}

/// Opens the book to keep it. A command that works with a book has it for a moment, which shall not keep its keeper from starting.
fn open_patiently(path: &Path) -> Result<Book, BookError> {
    const PATIENCE: Duration = Duration::from_secs(3);
    const PAUSE: Duration = Duration::from_millis(50);
    let begin = Instant::now();
    loop {
        match Book::open(path) {
            Err(BookError::Locked { .. }) if begin.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            opened => return opened,
        }
    }
}

/// A book that this program keeps.
pub struct Keeper {
    asked: Asked,
    /// For whoever asks it.
    pub book: Book,
    questions: Questions,
    guests: Guests,
}

impl Keeper {
    /// The book, for whoever writes into it himself.
    pub fn into_book(self) -> Book {
        let mut book = self.book;
        book.settle_after(self.asked.config.incidents_settle.0);
        book.keep_no_evidence("nothing is archived here: the recording itself is the evidence");
        book
    }

    /// The way to it, for the other parts of this program.
    pub fn questions(&self) -> Questions {
        self.questions.clone()
    }

    /// Starts to keep it, and to tell of it.
    ///
    /// # Errors
    ///
    /// The book cannot be read.
    pub fn start(self, events: Subscription, bus: &Bus, parts: &mut Parts) -> Result<(), Failure> {
        /// Receipts that wait to be written down: who delivers messages waits.
        const RECEIPTS: usize = 64;
        let Self { asked: Asked { config, messages, receivers }, book, questions, guests } = self;
        // who keeps the book ends with an error if this does: commands would wait for an answer
        let mut door = tokio::spawn(open_door(book.path(), questions));
        let (sender, receipts) = tokio::sync::mpsc::channel(RECEIPTS);
        let rhythm = Rhythm { heartbeat: messages.messages_heartbeat.0, ..Rhythm::default() };
        let (post, mut deliveries) = Post::start(&messages, receivers, rhythm, &book, bus, &sender).map_err(unusable)?;
        drop(sender);
        let (bus, stopped) = (bus.clone(), parts.stopped());
        parts.task("the incident book", async move {
            let kept = tools::incidents::run(config, book, events, bus, Doors { guests, receipts }, post, stopped);
            tokio::pin!(kept);
            let done = loop {
                tokio::select! {
                    done = &mut kept => break done,
                    Err(panicked) = &mut door => break Err(anyhow::Error::new(panicked).context("nobody answers for the incident book")),
                    Some(ended) = deliveries.join_next() => {
                        if let Err(panicked) = ended {
                            break Err(anyhow::Error::new(panicked).context("messages reach one of their receivers no more"));
                        }
                    }
                }
            };
            // what waits gets a last chance; it has an end
            while deliveries.join_next().await.is_some() {}
            done
        });
        Ok(())
    }
}

/// Answers the commands of `incidents`, where a socket can be had for that.
fn open_door(book: &Path, questions: Questions) -> impl Future<Output = ()> + Send + use<> {
    let opened = door::open(book, questions);
    if let Err(error) = &opened {
        let path = door::socket(book);
        tracing::warn!(%error, path = %path.display(), "the commands of `incidents` cannot reach the book while this runs");
    }
    async {
        if let Ok(serve) = opened {
            serve.await;
        }
        std::future::pending::<()>().await;
    }
}

/// `peer-observer incidents`
///
/// # Errors
///
/// The book cannot be reached, or what is asked of it cannot be done.
pub fn run(options: cli::Incidents) -> Result<(), Failure> {
    use cli::IncidentWork;
    let mut book = Reached::at(&options.place)?;
    match options.work {
        IncidentWork::List { state, most, format } => list(&mut book, state, most, format)?,
        IncidentWork::Show { number, most, format } => {
            let whole = whole(&mut book, number, most)?;
            match format {
                Format::Text => print(&page::text(&whole))?,
                Format::Json => print(&format!("{}\n", json(&whole)?))?,
            }
        }
        IncidentWork::Note { number, text, by } => return act(&mut book, Act::Note, number, by, text.join(" ")),
        IncidentWork::Ack { number, by } => return act(&mut book, Act::Acknowledge, number, by, String::new()),
        IncidentWork::Close { number, text, by } => return act(&mut book, Act::Close, number, by, text.join(" ")),
        IncidentWork::Export { number, output, most, format } => {
            let whole = whole(&mut book, number, most)?;
            let page = match format {
                PageFormat::Html => page::html(&whole),
                PageFormat::Json => format!("{:#}\n", json(&whole)?),
            };
            write(&output, &page)?;
            print(&format!("incident {number} is in {}\n", output.display()))?;
        }
    }
    // what was shown is not all that is known
    book.trouble.map_or(Ok(()), |trouble| Err(incomplete(anyhow::anyhow!("{trouble}"), &trouble)))
}

/// A book, and what whoever keeps it said last of what is not in it.
struct Reached {
    access: Access,
    trouble: Option<Trouble>,
}

impl Reached {
    fn at(place: &Place) -> Result<Self, Failure> {
        let Some(book) = &place.incidents_book else {
            return Err(Failure::new(Code::Usage, anyhow::anyhow!("which incident book?"))
                .hint("name it with `--incidents-book FILE`, or as `book` in the section `[incidents]` of the configuration"));
        };
        Ok(Self { access: Access::find(book).map_err(unusable)?, trouble: None })
    }

    fn ask(&mut self, ask: Ask) -> Result<Answer, Failure> {
        let acts = matches!(ask, Ask::Act { .. });
        let reply = self.access.ask(ask, tools::incidents::now()).map_err(|error| {
            let failed = anyhow::Error::new(error).context("the program that has the incident book open did not answer");
            let hint = if acts { "whether it was done is not known: `incidents show` says" } else { "try again" };
            Failure::new(Code::Failure, failed).hint(hint)
        })?;
        self.trouble = reply.trouble;
        match (reply.answer, &self.trouble) {
            // it may be among what waits
            (Answer::No { sentence, asked_wrong: true, .. }, Some(trouble)) => {
                Err(incomplete(anyhow::anyhow!("{sentence}; {trouble}"), trouble))
            }
            (Answer::No { sentence, hint, asked_wrong }, _) => {
                let code = if asked_wrong { Code::Usage } else { Code::Failure };
                let failure = Failure::new(code, anyhow::anyhow!(sentence));
                Err(if hint.is_empty() { failure } else { failure.hint(hint) })
            }
            (answer, _) => Ok(answer),
        }
    }
}

/// The book says less than is known.
fn incomplete(error: anyhow::Error, trouble: &Trouble) -> Failure {
    Failure::new(Code::Failure, error).hint(trouble.hint.clone())
}

fn unexpected() -> Failure {
    anyhow::anyhow!("the program that has the incident book open answered something else").into()
}

fn list(book: &mut Reached, state: State, most: u32, format: ListFormat) -> Result<(), Failure> {
    let state = match state {
        State::Open => Some(IncidentState::Open),
        State::Acknowledged => Some(IncidentState::Acknowledged),
        State::Resolved => Some(IncidentState::Resolved),
        State::All => None,
    };
    let (mut incidents, mut before) = (Vec::new(), u64::MAX);
    let name = loop {
        let left = most.saturating_sub(u32::try_from(incidents.len()).unwrap_or(u32::MAX));
        let asked = book.ask(Ask::List { state: state.map(i32::from), most: left, before })?;
        let Answer::List { book: name, incidents: page, more } = asked else { return Err(unexpected()) };
        incidents.extend(page.into_iter().map(|stored| stored.0));
        before = incidents.last().map_or(0, |incident| incident.number);
        if !more || before == 0 {
            break name;
        }
    };
    let text = match format {
        // where findings wait nobody knows whether there are none
        ListFormat::Text if incidents.is_empty() && book.trouble.is_some() => String::new(),
        ListFormat::Text if incidents.is_empty() => "no incidents\n".to_owned(),
        ListFormat::Text => incidents.iter().map(|incident| words::line(incident) + "\n").collect(),
        ListFormat::Json => {
            let lines = incidents.iter().map(|incident| serde_json::to_string(incident).map(|line| line + "\n"));
            lines.collect::<Result<String, _>>().map_err(anyhow::Error::new)?
        }
        ListFormat::Atom => page::atom(&name, &incidents, tools::incidents::now()),
    };
    print(&text)
}

/// An incident with the end of its timeline: at most so many entries.
fn whole(book: &mut Reached, number: u64, most: u64) -> Result<Whole, Failure> {
    let mut show = |from, most| match book.ask(Ask::Show { number, from, most })? {
        Answer::Show(shown) => Ok(*shown),
        _ => Err(unexpected()),
    };
    let left = show(0, 0)?.entries.saturating_sub(most);
    let mut whole = Whole { left, ..Whole::default() };
    let mut from = left;
    loop {
        let Shown { incident, timeline, next, slices, .. } = show(from, ask::ENTRIES)?;
        let last = timeline.is_empty();
        whole.incident = incident.0;
        whole.timeline.extend(timeline.into_iter().map(|stored| stored.0));
        whole.slices = slices;
        if last {
            return Ok(whole);
        }
        from = next;
    }
}

fn json(whole: &Whole) -> Result<serde_json::Value, Failure> {
    Ok(page::json(whole).map_err(anyhow::Error::new)?)
}

fn act(book: &mut Reached, act: Act, number: u64, by: Option<String>, text: String) -> Result<(), Failure> {
    let by = by.or_else(this_user).unwrap_or_default();
    let name = by.trim().to_owned();
    match book.ask(Ask::Act { act, number, by, text })? {
        Answer::Done(incident) => print(&format!("{}\n", words::line(&incident.0))),
        // nothing went wrong
        Answer::Already(incident) => {
            let incident = &incident.0;
            let who = if incident.owner == name { "you look".to_owned() } else { format!("{} looks", Printable(&incident.owner)) };
            print(&format!("{who} at it already\n{}\n", words::line(incident)))
        }
        _ => Err(unexpected()),
    }
}

/// The name of whoever runs this. Services and containers have no `USER`, and a user who has no name has no entry.
fn this_user() -> Option<String> {
    let said =
        ["USER", "LOGNAME"].into_iter().find_map(|variable| std::env::var(variable).ok().filter(|name| !name.trim().is_empty()));
    let entry = || nix::unistd::User::from_uid(nix::unistd::Uid::effective()).ok().flatten();
    said.or_else(|| entry().map(|user| user.name))
}

/// Nothing good is written over.
fn write(output: &PathBuf, page: &str) -> Result<(), Failure> {
    let write = || File::create_new(output)?.write_all(page.as_bytes());
    write().map_err(|error| {
        let exists = error.kind() == std::io::ErrorKind::AlreadyExists;
        let failed = anyhow::Error::new(error).context(format!("failed to write {}", output.display()));
        let failure = Failure::new(if exists { Code::Usage } else { Code::Failure }, failed);
        if exists { failure.hint("name a file that is not there yet") } else { failure }
    })
}
