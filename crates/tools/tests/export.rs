//! What an export promises: every event is a row once, whatever happens on the way, and what is not is in the manifest.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod world;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use event::{Event, KindId, NetPing, Source};
use expect_test::{Expect, expect};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use tools::archive::Selection;
use tools::export::manifest::Manifest;
use tools::export::parts::Limits;
use tools::export::{self, ExportError, Exported, Format, Job, Progress};
use tools::target::{Checksum, Target};
use world::{DEMO, all, archived, demo, pings, written};

/// So little at once that everything happens that can.
const FEW: Limits = Limits { waiting: 20_000, tables: 40, files: 6, part: 20_000 };

fn job(recordings: &[&Path]) -> Job {
    Job {
        recordings: recordings.iter().map(|path| path.to_path_buf()).collect(),
        selection: Selection::default(),
        format: Format::Parquet,
        license: None,
        redactor: None,
        limits: FEW,
    }
}

fn try_export(job: Job, to: &Path) -> Result<Exported, ExportError> {
    let target = Target::directory(to)?;
    export::run(job, &target, "DIR", &Progress::default(), &AtomicBool::new(false))
}

#[track_caller]
fn exported(job: Job, to: &Path) -> Exported {
    try_export(job, to).unwrap()
}

fn manifest(of: &Path) -> Manifest {
    serde_json::from_slice(&fs::read(of.join("manifest.json")).unwrap()).unwrap()
}

fn tree(of: &Path) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut folders = vec![of.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(of).unwrap().display().to_string());
            }
        }
    }
    files
}

/// Table, node, source, run and sequence of each row, sorted: who is there twice stands there twice.
fn rows(of: &Path) -> Vec<(String, String, String, u64, u64)> {
    let mut rows = Vec::new();
    let manifest = manifest(of);
    for file in &manifest.files {
        let reader = SerializedFileReader::new(File::open(of.join(&file.path)).unwrap()).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows() as u64, file.rows);
        for row in reader.get_row_iter(None).unwrap() {
            let row = row.unwrap();
            let field = |name: &str| row.get_column_iter().find(|(column, _)| *column == name).unwrap().1;
            let (Field::Str(source), Field::ULong(run), Field::ULong(sequence)) =
                (field("source"), field("run"), field("sequence"))
            else {
                panic!("{row:?}")
            };
            rows.push((file.kind.clone(), file.node.clone(), source.clone(), *run, *sequence));
        }
    }
    rows.sort();
    rows
}

fn rows_of(events: &[Event]) -> Vec<(String, String, String, u64, u64)> {
    let row = |event: &Event| {
        let kind = event.id().unwrap().name().to_owned();
        (kind, event.node.clone(), event.source().word().to_owned(), event.run, event.sequence)
    };
    let mut rows: Vec<_> = events.iter().map(row).collect();
    rows.sort();
    rows
}

#[test]
fn every_event_is_a_row_and_the_manifest_lists_every_file() {
    let directory = tempfile::tempdir().unwrap();
    let events = demo();
    let done = exported(Job { license: Some("CC0-1.0".into()), ..job(&[DEMO.as_ref()]) }, directory.path());
    assert_eq!((done.events, done.rows, done.left_out), (events.len() as u64, events.len() as u64, 0));
    assert_eq!(rows(directory.path()), rows_of(&events));
    let manifest = manifest(directory.path());
    assert_eq!(manifest.asked.license.as_deref(), Some("CC0-1.0"));
    let account = &manifest.batches[0].account;
    assert!(manifest.batches[0].finished && account.faults.is_empty());
    assert!(account.sources.iter().all(|source| source.missing + source.repeated == 0), "{:?}", account.sources);
    let mut listed: BTreeSet<String> = manifest.files.iter().map(|file| file.path.clone()).collect();
    for file in &manifest.files {
        assert_eq!(Checksum::of(&directory.path().join(&file.path)).unwrap(), file.sum, "{}", file.path);
        let kind = file.kind.replace('.', "_");
        assert!(file.path.starts_with(&format!("{kind}/day={}/node={}/", file.day, file.node)), "{}", file.path);
    }
    listed.insert("manifest.json".to_owned());
    assert_eq!(tree(directory.path()), listed);
}

#[test]
fn what_is_done_is_not_done_again() {
    let directory = tempfile::tempdir().unwrap();
    exported(job(&[DEMO.as_ref()]), directory.path());
    let before = manifest(directory.path());
    let again = exported(job(&[DEMO.as_ref()]), directory.path());
    assert_eq!((again.events, again.files, again.known), (0, 0, 1));
    assert_eq!(manifest(directory.path()), before);
}

#[test]
fn a_recording_that_is_named_twice_is_exported_once() {
    let (recordings, tables) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = |number: u32| recordings.path().join(format!("0000000{number}-20250615T150640Z.poa"));
    written(&path(1), &[&pings(0..10)]);
    written(&path(2), &[&pings(10..20)]);
    let done = exported(
        job(&[recordings.path(), &path(1), &recordings.path().join(".").join(path(2).file_name().unwrap())]),
        tables.path(),
    );
    assert_eq!((done.events, done.rows), (20, 20));
    assert_eq!(rows(tables.path()), rows_of(&pings(0..20)));
}

#[test]
fn an_export_that_was_killed_goes_on_and_has_every_row_once() {
    let whole = tempfile::tempdir().unwrap();
    exported(job(&[DEMO.as_ref()]), whole.path());
    let files = manifest(whole.path()).files.len();
    assert!(files > 50, "{files} files are enough to be killed between");
    for kept in (0..files).step_by(files / 3) {
        let directory = tempfile::tempdir().unwrap();
        exported(job(&[DEMO.as_ref()]), directory.path());
        // killed when so many were listed: the others are there, half there, or not there
        let mut manifest = manifest(directory.path());
        manifest.batches[0].finished = false;
        manifest.batches[0].account = Default::default();
        // tables that have equally much may be ended in another order, so that there are some more files or less
        let kept = kept.min(manifest.files.len());
        for (at, file) in manifest.files.drain(kept..).enumerate() {
            let path = directory.path().join(&file.path);
            match at % 3 {
                0 => {}
                1 => fs::write(&path, b"PAR1 half").unwrap(),
                _ => {
                    fs::rename(&path, path.with_extension("parquet.part")).unwrap();
                }
            }
        }
        fs::write(directory.path().join("manifest.json"), manifest.to_bytes()).unwrap();
        let done = exported(job(&[DEMO.as_ref()]), directory.path());
        assert_eq!(rows(directory.path()), rows(whole.path()), "{kept} kept");
        assert_eq!(done.rows, done.events, "the account is that of the whole");
    }
}

#[test]
fn an_archive_that_grew_is_exported_from_where_it_was() {
    let (recordings, tables) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = |number: u32| recordings.path().join(format!("0000000{number}-20250615T150640Z.poa"));
    written(&path(1), &[&pings(0..10)]);
    written(&path(2), &[&pings(10..20)]);
    // the last one is being written
    written(&path(3), &[&pings(20..30), &pings(30..40)]);
    let bytes = fs::read(path(3)).unwrap();
    fs::write(path(3), &bytes[..bytes.len() * 2 / 3]).unwrap();
    let (there, _) = world::read(&path(3));
    assert_eq!(there.len(), 10, "one of its frames is whole");
    let first = exported(job(&[recordings.path()]), tables.path());
    assert_eq!((first.events, manifest(tables.path()).batches.len()), (30, 2));
    // it was ended, there is another one, and the oldest is gone
    fs::write(path(3), &bytes).unwrap();
    written(&path(4), &[&pings(40..50)]);
    fs::remove_file(path(1)).unwrap();
    let second = exported(job(&[recordings.path()]), tables.path());
    assert_eq!((second.events, second.known), (30, 1));
    assert_eq!(rows(tables.path()), rows_of(&pings(0..50)));
}

#[test]
fn a_recording_that_became_another_is_an_error_and_nothing_is_changed() {
    let (recordings, tables) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = |number: u32| recordings.path().join(format!("0000000{number}-20250615T150640Z.poa"));
    written(&path(1), &[&pings(0..10)]);
    written(&path(2), &[&pings(10..20)]);
    exported(job(&[recordings.path()]), tables.path());
    let before = (manifest(tables.path()), tree(tables.path()));
    fs::remove_file(path(2)).unwrap();
    written(&path(2), &[&pings(10..25)]);
    fails(
        job(&[recordings.path()]),
        tables.path(),
        recordings.path(),
        expect![[r#"
        FROM/00000002-20250615T150640Z.poa was exported together with others, and is another one now
        hint: export to another place; nothing that is there is changed
    "#]],
    );
    assert_eq!((manifest(tables.path()), tree(tables.path())), before);
}

#[track_caller]
fn fails(job: Job, to: &Path, names: &Path, expected: Expect) {
    let error = try_export(job, to).unwrap_err();
    let text = format!("{error}\nhint: {}\n", error.hint());
    let short = |text: String, path: &Path, name: &str| text.replace(&path.canonicalize().unwrap().display().to_string(), name);
    expected.assert_eq(&short(short(text, to, "TO"), names, "FROM"));
}

#[test]
fn everything_readable_is_exported_and_the_rest_is_in_the_manifest() {
    let (recordings, tables) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = |name: &str| recordings.path().join(name);
    let events = pings(0..30);
    written(&path("flipped.poa"), &[&events[..10], &events[10..20], &events[20..]]);
    let mut bytes = fs::read(path("flipped.poa")).unwrap();
    let second = tools::archive::segment::Segment::open(&path("flipped.poa"), |_, _| true).unwrap().unwrap().entries[1].clone();
    let at = (second.place as usize) + second.head_length + 3;
    bytes[at] ^= 1;
    fs::write(path("flipped.poa"), &bytes).unwrap();
    fs::write(path("foreign.poa"), "a photograph").unwrap();
    fs::write(path("empty.poa"), "").unwrap();
    let demo = fs::read(DEMO).unwrap();
    fs::write(path("cut.rec"), &demo[..demo.len() / 2]).unwrap();
    let names = ["flipped.poa", "foreign.poa", "empty.poa", "cut.rec"].map(path);
    let done = exported(job(&names.each_ref().map(PathBuf::as_path)), tables.path());
    assert!(done.fault.is_some());
    let mut expected: Vec<Event> = events.iter().filter(|event| !(10..20).contains(&event.sequence)).cloned().collect();
    expected.extend(world::read(&path("cut.rec")).0);
    assert!(expected.len() > 100, "half of the demo is a lot");
    assert_eq!(rows(tables.path()), rows_of(&expected));
    let faults: Vec<String> = manifest(tables.path()).batches.into_iter().flat_map(|batch| batch.account.faults).collect();
    let faults = faults.join("\n").replace(&recordings.path().display().to_string(), "FROM");
    expect![[r#"
        FROM/flipped.poa is damaged at byte 339: a checksum that does not match
        FROM/foreign.poa is no recording: it does not begin as one
        FROM/empty.poa is empty: not even the beginning of a recording
        failed to read the recording FROM/cut.rec at byte 26368: incomplete frame"#]]
    .assert_eq(&faults);
}

#[test]
fn a_disk_that_is_full_is_an_error_that_names_the_file() {
    let tables = tempfile::tempdir().unwrap();
    let pings = tempfile::tempdir().unwrap();
    let path = pings.path().join("pings.poa");
    written(&path, &[&world::pings(0..10)]);
    // files grow under another name: this one on a disk without room
    let full = |name: &str| {
        let path = tables.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink("/dev/full", path).unwrap();
    };
    full("manifest.json.part");
    fails(
        job(&[&path]),
        tables.path(),
        pings.path(),
        expect![[r#"
        failed to write TO/manifest.json: No space left on device (os error 28)
        hint: the disk is full; what is finished stays, and the same command goes on from there
    "#]],
    );
    assert!(!tables.path().join("manifest.json").exists());
    fs::create_dir_all(tables.path()).unwrap();
    let done = exported(job(&[&path]), tables.path());
    let file = manifest(tables.path()).files.remove(0).path;
    assert_eq!(done.rows, 10);
    fs::remove_dir_all(tables.path()).unwrap();
    full(&format!("{file}.part"));
    let error = try_export(job(&[&path]), tables.path()).unwrap_err();
    assert!(error.to_string().contains(&file) && error.to_string().contains("No space left"), "{error}");
    assert!(error.hint().starts_with("the disk is full"), "{error:?}");
    // there is room again
    let _ = fs::remove_file(tables.path().join(format!("{file}.part")));
    exported(job(&[&path]), tables.path());
    assert_eq!(rows(tables.path()), rows_of(&world::pings(0..10)));
}

#[test]
fn a_place_that_is_none_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, "").unwrap();
    let error = try_export(job(&[DEMO.as_ref()]), &path.join("tables")).unwrap_err();
    assert!(error.to_string().contains("file/tables"), "{error}");
}

#[test]
fn exports_of_other_things_do_not_mix() {
    let tables = tempfile::tempdir().unwrap();
    exported(job(&[DEMO.as_ref()]), tables.path());
    let here = Path::new(".");
    let other = |change: &dyn Fn(&mut Job), expected: Expect| {
        let mut job = job(&[DEMO.as_ref()]);
        change(&mut job);
        fails(job, tables.path(), here, expected);
    };
    other(
        &|job| job.format = Format::Csv,
        expect![[r#"
        DIR holds an export with another format
        hint: export to another place; nothing that is there is changed
    "#]],
    );
    other(
        &|job| job.license = Some("MIT".into()),
        expect![[r#"
        DIR holds an export with another licence
        hint: export to another place; nothing that is there is changed
    "#]],
    );
    other(
        &|job| job.selection.times = 0..=5,
        expect![[r#"
        DIR holds an export with another selection
        hint: export to another place; nothing that is there is changed
    "#]],
    );
    fs::write(tables.path().join("manifest.json"), "{}").unwrap();
    other(
        &|_| (),
        expect![[r#"
        DIR/manifest.json cannot be read: missing field `version` at line 1 column 2
        hint: export to another place; nothing that is there is changed
    "#]],
    );
}

#[test]
fn lines_have_every_event_too() {
    let events = demo();
    for (format, heading) in [(Format::Csv, 1), (Format::Json, 0)] {
        let tables = tempfile::tempdir().unwrap();
        let done = exported(Job { format, limits: Limits { files: 60, ..FEW }, ..job(&[DEMO.as_ref()]) }, tables.path());
        assert_eq!(done.rows, events.len() as u64);
        let manifest = manifest(tables.path());
        let mut lines: Vec<String> = Vec::new();
        for file in &manifest.files {
            let text = fs::read_to_string(tables.path().join(&file.path)).unwrap();
            lines.extend(text.lines().skip(heading).map(str::to_owned));
        }
        if format == Format::Json {
            let mut expected: Vec<String> = events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
            lines.sort();
            expected.sort();
            assert_eq!(lines, expected);
        } else {
            assert!(lines.len() >= events.len(), "{} lines", lines.len());
        }
    }
}

#[test]
fn a_selection_is_all_that_is_exported() {
    let tables = tempfile::tempdir().unwrap();
    let mut job = job(&[DEMO.as_ref()]);
    job.selection.kinds = Some([KindId::NetPing, KindId::NetPong].into_iter().collect());
    exported(job, tables.path());
    let pings = |event: &&Event| matches!(event.id(), Some(KindId::NetPing | KindId::NetPong));
    assert_eq!(rows(tables.path()), rows_of(&demo().iter().filter(pings).cloned().collect::<Vec<_>>()));
}

/// What a recording says of nodes and days is what somebody wrote there.
#[test]
fn names_and_times_that_nobody_has_stay_within_bounds() {
    let (recordings, tables) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = recordings.path().join("strange.poa");
    let event = |number: u64| {
        let node = if number.is_multiple_of(2) { format!("../../{number}") } else { format!("n{number}") };
        let time = number.wrapping_mul(0x0fff_ffff_ffff_ffff);
        Event { time, run: number, sequence: number, ..Event::new(node, Source::Ebpf, NetPing::default()) }
    };
    let events: Vec<Event> = (0..100).map(event).collect();
    written(&path, &[&events]);
    let done = exported(job(&[&path]), tables.path());
    assert_eq!(done.rows, 100);
    assert_eq!(rows(tables.path()).len(), 100);
    assert_eq!(tree(recordings.path()).len(), 1);
    assert!(tree(tables.path()).iter().all(|path| !path.contains("..")));
}

#[test]
fn an_archive_of_a_real_node_has_every_row() {
    let (recordings, tables) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    archived(recordings.path(), &demo());
    exported(Job { limits: Limits::default(), ..job(&[recordings.path()]) }, tables.path());
    assert_eq!(rows(tables.path()), rows_of(&all(recordings.path())));
}
