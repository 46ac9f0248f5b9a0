//! Tables for others hold no secret, whatever they are written as: neither in their rows nor in what the export says around them.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod world;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use event::redact::Redactor;
use event::{Event, LocalAddress, Source, StateNetwork};
use expect_test::{Expect, expect};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::file::statistics::Statistics;
use parquet::record::{Field, Row};
use serde_json::Value;
use testkit::secrets::{self, NODE, OWN, Output, Secret};
use tools::archive::Selection;
use tools::export::manifest::Manifest;
use tools::export::parts::Limits;
use tools::export::{self, ExportError, Exported, Format, Job, Progress};
use tools::target::Target;
use world::{all, pings, written};

const KEY: [u8; 32] = *b"thirty-two bytes that are secret";
const FORMATS: [Format; 3] = [Format::Parquet, Format::Csv, Format::Json];

fn job(recordings: &[&Path], format: Format) -> Job {
    Job {
        recordings: recordings.iter().map(|path| path.to_path_buf()).collect(),
        selection: Selection::default(),
        format,
        license: None,
        redactor: Some(Redactor::new(KEY)),
        limits: Limits::default(),
    }
}

fn try_export(job: Job, to: &Path) -> Result<Exported, ExportError> {
    export::run(job, &Target::directory(to)?, "DIR", &Progress::default(), &AtomicBool::new(false))
}

#[track_caller]
fn exported(job: Job, to: &Path) -> Exported {
    try_export(job, to).unwrap()
}

fn manifest(of: &Path) -> Manifest {
    serde_json::from_slice(&fs::read(of.join("manifest.json")).unwrap()).unwrap()
}

/// What the node says of its own addresses.
fn stated() -> Event {
    let own = OWN.map(|address| LocalAddress { address: address.rsplit_once(':').unwrap().0.into(), ..Default::default() });
    Event::new(NODE, Source::Rpc, StateNetwork { local_addresses: own.into(), ..Default::default() })
}

/// Gives each event a sequence of its own, by which its row is found again, on one day.
fn numbered(mut events: Vec<Event>) -> Vec<Event> {
    for (event, sequence) in events.iter_mut().zip(0..) {
        (event.sequence, event.time) = (sequence, 1_750_000_000_000_000_000 + sequence);
    }
    events
}

/// What somebody can make of an export.
#[derive(Default)]
struct Crawled {
    /// Each row, by its sequence.
    rows: BTreeMap<u64, Output>,
    /// Everything around them: names of files, metadata, statistics, the manifest.
    around: Output,
}

impl Crawled {
    fn of(tables: &Path) -> Self {
        let mut crawled = Self::default();
        let mut folders = vec![tables.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    crawled.around.push(path.strip_prefix(tables).unwrap().as_os_str().as_encoded_bytes());
                    crawled.file(&path);
                }
            }
        }
        crawled
    }

    fn file(&mut self, path: &Path) {
        let bytes = fs::read(path).unwrap();
        match path.extension().unwrap().to_str().unwrap() {
            "parquet" => self.parquet(path),
            "csv" => {
                let text = String::from_utf8(bytes).unwrap();
                for line in text.lines().skip(1) {
                    self.row(line.split(',').nth(4).unwrap().parse().unwrap()).push(line);
                }
            }
            "jsonl" => {
                for line in String::from_utf8(bytes).unwrap().lines() {
                    let json: Value = serde_json::from_str(line).unwrap();
                    let sequence = json.get("sequence").map_or("0", |sequence| sequence.as_str().unwrap());
                    self.row(sequence.parse().unwrap()).push(line);
                }
            }
            _ => self.around.push(bytes),
        }
    }

    fn parquet(&mut self, path: &Path) {
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        let metadata = reader.metadata();
        self.around.push(format!("{:?}", metadata.file_metadata()));
        for column in metadata.row_groups().iter().flat_map(parquet::file::metadata::RowGroupMetaData::columns) {
            let Some(statistics) = column.statistics() else { continue };
            self.around.push(statistics.min_bytes_opt().unwrap_or_default());
            self.around.push(statistics.max_bytes_opt().unwrap_or_default());
            assert!(!matches!(statistics, Statistics::Int96(_)), "times are 64 bits");
        }
        for row in reader.get_row_iter(None).unwrap().map(Result::unwrap) {
            let sequence = row.get_column_iter().find(|(name, _)| *name == "sequence").unwrap().1;
            let Field::ULong(sequence) = sequence else { panic!("{sequence:?}") };
            push(self.row(*sequence), &row);
        }
    }

    fn row(&mut self, sequence: u64) -> &mut Output {
        self.rows.entry(sequence).or_default()
    }

    /// The fields of these secrets that are anywhere.
    fn found(&self, secrets: &[Secret]) -> Vec<&'static str> {
        let anywhere = |secret: &&Secret| secret.is_in(&self.around) || self.rows.values().any(|row| secret.is_in(row));
        secrets.iter().filter(anywhere).map(|secret| secret.field).collect()
    }
}

fn push(output: &mut Output, row: &Row) {
    for (_, field) in row.get_column_iter() {
        push_field(output, field);
    }
}

fn push_field(output: &mut Output, field: &Field) {
    match field {
        Field::Str(text) => output.push(text),
        Field::Bytes(bytes) => output.push(bytes.data()),
        Field::Double(number) => output.push(number.to_le_bytes()),
        Field::Group(row) => push(output, row),
        Field::ListInternal(list) => list.elements().iter().for_each(|field| push_field(output, field)),
        other => output.push(other.to_string()),
    }
}

/// What must be in no output at all: the node's name and addresses, the key, and the identifiers of the node's own addresses.
fn of_the_node() -> Vec<Secret> {
    let mut all = secrets::of_the_node();
    all.push(Secret::of_bytes("key", &KEY));
    // somebody who is the node's own is not a stranger either
    all.extend(OWN.map(|address| Secret::of_bytes("identifier", Redactor::new(KEY).identifier(address).as_bytes())));
    all
}

/// Seconds that were planted here are more than a column of times can hold, and are left empty there.
const BEYOND_TIME: [&str; 5] = ["created", "last_success", "node_run", "time", "until"];

/// Every kind with a value unlike any other in every field: each row is searched for what redaction takes out of its event.
#[test]
fn no_row_has_what_was_taken_out_of_its_event() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.poa");
    let (events, planted): (Vec<Event>, Vec<Vec<Secret>>) = secrets::events().into_iter().unzip();
    let events = numbered(events);
    written(&path, &[&events]);
    let said = |event: Option<&Event>| {
        let mut out = Output::default();
        if let Some(event) = event {
            out.push(serde_json::to_string(event).unwrap());
            out.push(event.to_bytes());
        }
        out
    };
    let mut redactor = Redactor::new(KEY);
    events.iter().for_each(|event| redactor.learn(event));
    let redacted: Vec<Option<Event>> = events.iter().map(|event| redactor.redact(event.clone())).collect();
    // what a redacted event says is what may be said; all else must go
    let hidden: Vec<Vec<&Secret>> = (planted.iter().zip(&events).zip(&redacted))
        .map(|((secrets, event), redacted)| {
            let (before, after) = (said(Some(event)), said(redacted.as_ref()));
            secrets.iter().filter(|secret| secret.is_in(&before) && !secret.is_in(&after)).collect()
        })
        .collect();
    let all: usize = hidden.iter().map(Vec::len).sum();
    assert!(all > 1000, "{all} values of {} events go", events.len());
    for format in FORMATS {
        let (open, closed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let leaks = |crawled: &Crawled| -> Vec<(u64, &Secret)> {
            let of_row = |(sequence, row): (&u64, &Output)| {
                let found = hidden[*sequence as usize].iter().filter(|secret| secret.is_in(row));
                found.map(|secret| (*sequence, *secret)).collect::<Vec<_>>()
            };
            crawled.rows.iter().flat_map(of_row).collect()
        };
        let done = exported(job(&[&path], format), closed.path());
        let crawled = Crawled::of(closed.path());
        assert_eq!(crawled.rows.len(), redacted.iter().flatten().count(), "{format:?}");
        assert_eq!((done.rows, done.withheld), (crawled.rows.len() as u64, (events.len() - crawled.rows.len()) as u64));
        let leaks_of = |crawled: &Crawled| leaks(crawled).iter().map(|(at, s)| format!("{at} {} {}", s.message, s.field)).collect();
        let found: Vec<String> = leaks_of(&crawled);
        assert_eq!(found, [""; 0], "{format:?}");
        // the search finds what is there
        exported(Job { redactor: None, ..job(&[&path], format) }, open.path());
        let found = leaks(&Crawled::of(open.path())).len();
        let of_text = |(secrets, event): (&Vec<&Secret>, &Event)| {
            // some numbers are known by their bytes alone
            let mut text = Output::default();
            text.push(serde_json::to_string(event).unwrap());
            secrets.iter().filter(|secret| !secret.is_in(&text)).count()
        };
        let of_columns = |(secrets, _): (&Vec<&Secret>, &Event)| {
            secrets.iter().filter(|secret| secret.is_word() || BEYOND_TIME.contains(&secret.field)).count()
        };
        let pairs = hidden.iter().zip(&events);
        let others: usize = if format == Format::Json { pairs.map(of_text).sum() } else { pairs.map(of_columns).sum() };
        assert!(others < all / 4, "{format:?}: {others} of {all} cannot be searched for");
        assert!(found >= all - others, "{format:?}: {found} of {all} are found, {others} cannot be");
    }
}

/// Every kind with the node's own address or name in every text and address; what says that they are its own is not selected.
#[test]
fn nothing_of_the_node_is_in_any_table() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("operators-folder");
    fs::create_dir(&folder).unwrap();
    let (path, foreign) = (folder.join("secret.poa"), folder.join("foreign.poa"));
    let mut events = secrets::own();
    // last, and hours later
    events.push(stated());
    let events = numbered(events);
    written(&path, &events.chunks(500).collect::<Vec<_>>());
    // one that cannot be read, too: its name must not be in the words
    fs::write(&foreign, "a photograph").unwrap();
    let last = events[events.len() - 1].time;
    for format in FORMATS {
        let tables = tempfile::tempdir().unwrap();
        let mut job = job(&[&path, &foreign], format);
        job.selection.times = 0..=last - 1;
        job.selection.nodes = vec![NODE.parse().unwrap()];
        let done = exported(job, tables.path());
        assert_eq!((done.rows + done.withheld, done.fault.is_some()), (events.len() as u64 - 1, true), "{done:?}");
        let crawled = Crawled::of(tables.path());
        assert_eq!(crawled.rows.len() as u64, done.rows);
        assert_eq!(crawled.found(&of_the_node()), [""; 0], "{format:?}");
        for name in ["operators-folder", "foreign.poa", "secret.poa"] {
            assert!(!crawled.around.contains(name.as_bytes()), "{format:?}: {name}");
        }
        assert_eq!(manifest(tables.path()).asked.nodes, [Redactor::new(KEY).node(NODE)]);
    }
    // the search finds what is there
    let tables = tempfile::tempdir().unwrap();
    exported(Job { redactor: None, ..job(&[&path], Format::Csv) }, tables.path());
    let found = Crawled::of(tables.path()).found(&of_the_node());
    assert!(found.contains(&"name") && found.contains(&"address"), "{found:?}");
}

/// Own addresses that an earlier part states are own addresses in what is added to it.
#[test]
fn what_was_exported_before_teaches_too() {
    let (recordings, tables) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = |number: u32| recordings.path().join(format!("0000000{number}-20250615T150640Z.poa"));
    written(&path(1), &[&numbered(vec![stated()])]);
    exported(job(&[recordings.path()], Format::Json), tables.path());
    let opened = event::ConnOpened { peer: 1, address: OWN[0].into(), ..Default::default() };
    let mut second = numbered(vec![stated(), Event::new(NODE, Source::Ebpf, opened)]).split_off(1);
    second[0].time += 24 * 3_600_000_000_000;
    written(&path(2), &[&second]);
    let done = exported(job(&[recordings.path()], Format::Json), tables.path());
    assert_eq!((done.events, done.known), (1, 1));
    assert_eq!(Crawled::of(tables.path()).found(&of_the_node()), [""; 0]);
}

/// `DIR`, and what would be said of it.
#[track_caller]
fn fails(job: Job, to: &Path, expected: Expect) {
    let error = try_export(job, to).unwrap_err();
    expected.assert_eq(&format!("{error}\nhint: {}\n", error.hint()));
}

#[test]
fn one_export_has_one_key() {
    let (recordings, tables) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = recordings.path().join("x.poa");
    written(&path, &[&pings(0..10)]);
    exported(job(&[&path], Format::Csv), tables.path());
    let again = exported(job(&[&path], Format::Csv), tables.path());
    assert_eq!((again.events, again.known), (0, 1), "the same key goes on");
    let key = manifest(tables.path()).asked.key.unwrap();
    assert!(key.starts_with("key-") && key != Redactor::new([1; 32]).key_check(), "{key}");
    let other = |change: &dyn Fn(&mut Job), expected| {
        let mut job = job(&[&path], Format::Csv);
        change(&mut job);
        fails(job, tables.path(), expected);
    };
    other(
        &|job| job.redactor = Some(Redactor::new([1; 32])),
        expect![[r#"
            DIR holds an export under another key
            hint: give the key that it was made with, `--redact-key FILE`, or export to another place
        "#]],
    );
    other(
        &|job| job.redactor = None,
        expect![[r#"
            DIR holds an export with another redaction
            hint: export to another place; nothing that is there is changed
        "#]],
    );
    other(
        &|job| job.selection.peers = vec![1],
        expect![[r#"
            DIR holds an export with another selection
            hint: export to another place; nothing that is there is changed
        "#]],
    );
}

#[test]
fn a_place_that_tells_is_refused_before_any_table_is_written() {
    let (recordings, tables) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path: PathBuf = recordings.path().join("x.poa");
    written(&path, &[&pings(0..10)]);
    let to = tables.path().join("of-Alice-2025");
    fails(
        job(&[&path], Format::Csv),
        &to,
        expect![[r#"
            the name of DIR tells the name of the node `alice`
            hint: choose a name that says nothing of where it comes from
        "#]],
    );
    assert_eq!(fs::read_dir(&to).unwrap().count(), 0);
    // who keeps it to himself may call it what he likes
    exported(Job { redactor: None, ..job(&[&path], Format::Csv) }, &to);
    assert_eq!(all(&path).len(), 10);
}
