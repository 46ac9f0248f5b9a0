//! What the incident book and its messages can do: `cargo run --release -p po-tools --example measure_incidents`. docs/performance.md has the
//! results. Without a word all of it is measured; the book is on the file system of TMPDIR, whose fsync is a part of each number.
//!
//! - `latency`: two thousand findings, one after the other, each from its publication on a bus until a webhook's receiver has read the whole
//!   message; the book is written in between.
//! - `storm`: a hundred thousand findings of eleven detectors at a hundred nodes, and their ends: how many incidents and messages, and whether
//!   each finding is in the book.
//! - `kill`: a hundred lives of a program that changes incidents, each ended by SIGKILL; whatever it said was done must be in the book.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Arrivals, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bus::{Bus, Limits};
use clap::Parser as _;
use detect::time::SECOND;
use event::{
    EntityKind, Event, Finding, FindingCleared, FindingEntity, FindingOpened, HealthBeat, IncidentState, Kind, Severity, Source,
};
use tokio::sync::mpsc;
use tools::incidents::{self, Act, Audience as _, Book, Doors, Receipt};
use tools::messages::{self, Post, Rhythm};

const START: u64 = 1_750_000_000 * SECOND;
/// Those of other families, so that a storm is many things at once.
const DETECTORS: [&str; 11] = ["D01", "D02", "D09", "D10", "D11", "D14", "D19", "D39", "D42", "D50", "D59"];

#[derive(clap::Parser)]
enum Measure {
    /// From a finding to a message.
    Latency,
    /// A hundred thousand findings.
    Storm,
    /// A hundred crashes.
    Kill,
    /// All of them.
    All,
    /// The program that is killed.
    #[command(hide = true)]
    Victim { book: PathBuf, life: u64 },
}

#[derive(clap::Parser)]
struct Parts {
    #[command(flatten)]
    incidents: incidents::Config,
    #[command(flatten)]
    messages: messages::Config,
}

fn main() -> Result<()> {
    let asked = if std::env::args_os().len() > 1 { Measure::parse() } else { Measure::All };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let all = matches!(asked, Measure::All);
    if let Measure::Victim { book, life } = asked {
        return victim(&book, life);
    }
    if all || matches!(asked, Measure::Latency) {
        runtime.block_on(latency())?;
    }
    if all || matches!(asked, Measure::Storm) {
        runtime.block_on(storm())?;
    }
    if all || matches!(asked, Measure::Kill) {
        kill()?;
    }
    Ok(())
}

/// A finding by number: of one of the detectors, about a range of its own.
fn finding(id: u64, detector: &str, severity: Severity) -> Option<Finding> {
    let address = format!("10.{}.{}.0/24", id / 256 % 256, id % 256);
    let entity = FindingEntity { kind: EntityKind::Range.into(), address, ..FindingEntity::default() };
    let (id, detector) = (format!("{id:016x}"), detector.to_owned());
    Some(Finding { id, detector, entity: Some(entity), severity: severity.into(), ..Finding::default() })
}

/// A receiver of webhooks that takes everything; says when it had all of a message, and the message.
fn receiver() -> Result<(String, Arrivals<(Instant, String)>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let (arrived, arrivals) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // who breaks off has sent nothing
            let _ = take(stream, &arrived);
        }
    });
    Ok((url, arrivals))
}

fn take(stream: TcpStream, arrived: &Sender<(Instant, String)>) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse()?,
            None if line.trim().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    arrived.send((Instant::now(), String::from_utf8(body)?))?;
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    Ok(())
}

fn parts(folder: &Path, url: &str) -> Result<Parts> {
    let (book, secret) = (folder.join("book"), folder.join("secret"));
    std::fs::write(&secret, "0123456789abcdef")?;
    let text = |path: &Path| path.to_str().map(str::to_owned).context("TMPDIR is no text");
    let (book, secret) = (text(&book)?, text(&secret)?);
    let arguments = ["measure", "--incidents-book", &book, "--messages-webhook", url, "--messages-webhook-secret-file", &secret];
    Ok(Parts::try_parse_from(arguments)?)
}

/// No pace: it is the way that is measured, not the patience of people.
fn unpaced() -> Rhythm {
    Rhythm { heartbeat: Duration::from_hours(1), burst: u32::MAX, ..Rhythm::default() }
}

async fn latency() -> Result<()> {
    const FINDINGS: u64 = 2_000;
    let (url, arrivals) = receiver()?;
    let folder = tempfile::tempdir()?;
    let Parts { incidents, messages } = parts(folder.path(), &url)?;
    let path = incidents.place.incidents_book.clone().context("it was given")?;
    let book = Book::open(&path)?;
    let bus = Bus::local();
    let events = bus.subscribe(incidents::filter(), Limits::default()).await?;
    let (receipts, known) = mpsc::channel(64);
    let (post, mut tasks) = Post::start(&messages, messages.receivers()?, unpaced(), &book, &bus, &receipts)?;
    drop(receipts);
    let doors = Doors { guests: tools::incidents::door::questions().1, receipts: known };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async move { drop(stopped.await) };
    let work = tokio::spawn(incidents::run(incidents, book, events, bus.clone(), doors, post, stopped));
    let findings = bus.publisher("alice".parse()?, Source::Detect);
    let measured = tokio::task::spawn_blocking(move || {
        let next = |state: &str| -> Result<Instant> {
            let wanted = format!("\"state\":\"{state}\"");
            loop {
                let (at, body) = arrivals.recv_timeout(Duration::from_secs(60)).context("no message came")?;
                if body.contains(&wanted) {
                    return Ok(at);
                }
            }
        };
        let mut took = Vec::new();
        for number in 0..FINDINGS {
            // far enough apart that each is an incident, and none a storm
            let time = START + number * 1_000 * SECOND;
            let began = Instant::now();
            findings.publish(time, None, FindingOpened { finding: finding(number, "D39", Severity::Warn) });
            took.push(next("open")?.duration_since(began));
            findings.publish(time + SECOND, None, FindingCleared { finding: finding(number, "D39", Severity::Warn) });
            findings.beat(time + 500 * SECOND, None, 0, None, None);
            next("resolved")?;
        }
        Ok::<_, anyhow::Error>(took)
    });
    let mut took = measured.await??;
    drop(stop);
    work.await??;
    while tasks.join_next().await.is_some() {}
    bus.close().await;
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!("finding to message, {FINDINGS} of them: median {:.1?}, p99 {:.1?}, most {:.1?}", at(0.5), at(0.99), at(1.0));
    Ok(())
}

async fn storm() -> Result<()> {
    const FINDINGS: u64 = 100_000;
    const BATCH: u64 = 4_096;
    let (url, arrivals) = receiver()?;
    let folder = tempfile::tempdir()?;
    let Parts { incidents, messages } = parts(folder.path(), &url)?;
    let mut book = Book::open(&incidents.place.incidents_book.context("it was given")?)?;
    let bus = Bus::local();
    let (receipts, mut known) = mpsc::channel::<Receipt>(64);
    // as an operator has it, but for the heartbeat, which is no message
    let rhythm = Rhythm { heartbeat: Duration::from_hours(1), ..Rhythm::default() };
    let (mut post, mut tasks) = Post::start(&messages, messages.receivers()?, rhythm, &book, &bus, &receipts)?;
    drop(receipts);
    let taking = tokio::spawn(async move { while known.recv().await.is_some() {} });
    let severities = [Severity::Info, Severity::Warn, Severity::Critical];
    let (began, mut changes) = (Instant::now(), 0);
    let mut record = |events: Vec<Arc<Event>>| -> Result<()> {
        let told = tokio::task::block_in_place(|| book.record(&events))?;
        changes += told.len();
        told.iter().for_each(|told| post.told(told, false));
        Ok(())
    };
    for end in [false, true] {
        for first in (0..FINDINGS).step_by(BATCH as usize) {
            let event = |id: u64| {
                let finding = finding(id, DETECTORS[(id % 11) as usize], severities[(id / 1_000 % 3) as usize]);
                let kind: Kind = if end { FindingCleared { finding }.into() } else { FindingOpened { finding }.into() };
                let time = START + u64::from(end) * 1_100 * SECOND + id * SECOND / 100;
                Arc::new(Event { time, ..Event::new(format!("node-{}", id % 100), Source::Detect, kind) })
            };
            record((first..FINDINGS.min(first + BATCH)).map(event).collect())?;
        }
    }
    let beat = |id: u64| {
        let time = START + 4_000 * SECOND;
        Arc::new(Event { time, ..Event::new(format!("node-{id}"), Source::Detect, HealthBeat::default()) })
    };
    record((0..100).map(beat).collect())?;
    let took = began.elapsed();
    drop(post);
    while tasks.join_next().await.is_some() {}
    taking.await?;
    let messages = arrivals.try_iter().filter(|(_, body)| !body.contains("\"type\":\"heartbeat\"")).count();
    let all = book.incidents(None, 1_000)?;
    let over = all.iter().filter(|incident| incident.state() == IncidentState::Resolved).count();
    let mut statements = 0;
    for incident in &all {
        let mut from = 0;
        loop {
            let (events, next) = book.timeline(incident.number, from, 10_000)?;
            if events.is_empty() {
                break;
            }
            statements += events.iter().filter(|event| detect::finding::of(event).is_some()).count() as u64;
            from = next;
        }
    }
    let size = std::fs::metadata(book.path())?.len() >> 20;
    println!(
        "storm of {FINDINGS} findings and their ends: {} incidents ({over} resolved), {changes} changes, {messages} messages; \
         {statements} of {} statements in the book, {size} MB, {took:.1?}",
        all.len(),
        2 * FINDINGS,
    );
    ensure!(statements == 2 * FINDINGS, "the book lost some");
    Ok(())
}

/// Changes incidents, and prints what it was told to be done, until it is killed.
fn victim(path: &Path, life: u64) -> Result<()> {
    let mut book = Book::open(path)?;
    for number in 0_u64.. {
        let (id, time) = (life * 1_000_000 + number, START + (life * 100 + number) * SECOND);
        let found = FindingOpened { finding: finding(id, "D39", Severity::Warn) };
        book.record(&[Arc::new(Event { time, ..Event::new("alice", Source::Detect, found) })])?;
        let incident = book.incidents(None, 1)?.first().context("there is one")?.number;
        let text = format!("{life}-{number}");
        book.act(Act::Note, incident, "ann", &text, time)?;
        println!("note {incident} {text}");
        let act = [Act::Acknowledge, Act::Close][(number % 2) as usize];
        if let Ok(told) = book.act(act, incident, "ann", "", time) {
            println!("state {incident} {}", detect::incident::of(&told.kind).map_or(0, |incident| incident.revision));
        }
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn kill() -> Result<()> {
    const LIVES: u64 = 100;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("book");
    let (mut notes, mut states) = (BTreeSet::new(), BTreeMap::<u64, u64>::new());
    for life in 0..LIVES {
        let mut child =
            Command::new(std::env::current_exe()?).arg("victim").arg(&path).arg(life.to_string()).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("it is piped")?).lines();
        let mut take = |line: &str| -> Result<()> {
            match line.split_whitespace().collect::<Vec<_>>().as_slice() {
                ["note", incident, text] => drop(notes.insert((incident.parse::<u64>()?, (*text).to_owned()))),
                ["state", incident, revision] => drop(states.insert(incident.parse()?, revision.parse()?)),
                _ => {}
            }
            Ok(())
        };
        // at another place in its work each time
        for line in lines.by_ref().take(1 + life as usize % 13) {
            take(&line?)?;
        }
        child.kill()?;
        // what it said before it died counts, too; its last line may be half of one
        for line in lines.map_while(Result::ok) {
            let _ = take(&line);
        }
        child.wait()?;
        // nothing is repaired by hand in between
        drop(Book::existing(&path)?);
    }
    let book = Book::existing(&path)?;
    let (mut found, mut back) = (BTreeSet::new(), 0);
    for incident in book.incidents(None, 10_000)? {
        back += u64::from(states.get(&incident.number).is_some_and(|revision| incident.revision < *revision));
        let (timeline, _) = book.timeline(incident.number, 0, 1 << 20)?;
        found.extend(timeline.into_iter().filter_map(|event| match event.kind {
            Some(Kind::IncidentNoted(note)) => Some((incident.number, note.text)),
            _ => None,
        }));
    }
    let lost = notes.difference(&found).count();
    println!("killed {LIVES} times: {lost} of {} notes lost, {back} of {} incidents fell back", notes.len(), states.len());
    ensure!(lost == 0 && back == 0, "the book lost what was acknowledged");
    Ok(())
}
