//! What shipping promises: a file stands in the list when it is there, whole, and not a moment before; nothing is sent twice.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod world;

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bus::{Bus, Delivery, Limits};
use event::archive::segment::Header;
use event::{Filter, Kind, Source};
use expect_test::{Expect, expect};
use tools::archive::amount::Size;
use tools::archive::store::Store;
use tools::ship::{self, Round, Shipper, shipped};
use tools::target::{Place, Target};
use world::{pings, written};

fn shipper(from: &[&Path], to: &Path) -> Shipper {
    let from: Vec<_> = from.iter().map(|path| path.to_path_buf()).collect();
    Shipper::new(Target::directory(to).unwrap(), &Place::Directory(to.to_owned()), "host", &from, None)
}

fn round(shipper: &mut Shipper) -> Round {
    shipper.round(Duration::ZERO, &AtomicBool::new(false))
}

fn segment(directory: &Path, number: u32) -> String {
    let name = format!("0000000{number}-20250615T150640Z.poa");
    written(&directory.join(&name), &[&pings(0..u64::from(number))]);
    name
}

/// Files there, without the folder that is named after this machine's path.
fn there(to: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for folder in fs::read_dir(to.join("host")).into_iter().flatten().flatten() {
        files.extend(fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()));
    }
    files.sort();
    files
}

#[track_caller]
fn fails(round: &Round, here: &Path, to: &Path, expected: Expect) {
    let folder = here.canonicalize().unwrap().display().to_string().trim_start_matches('/').replace(['/', '.'], "-");
    let text: Vec<String> = round.errors.iter().map(|error| format!("{error}\nhint: {}\n", error.hint())).collect();
    let text = text.concat().replace(&here.display().to_string(), "HERE").replace(&to.display().to_string(), "TO");
    expected.assert_eq(&text.replace(&folder, "FOLDER"));
}

#[test]
fn what_is_finished_is_sent_once() {
    let (here, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = segment(here.path(), 1);
    let second = segment(here.path(), 2);
    let mut one = shipper(&[here.path()], to.path());
    {
        // somebody writes: the last one is not finished
        let _store = Store::open(here.path()).unwrap();
        assert_eq!(round(&mut one).files, 1);
        assert_eq!(there(to.path()), [first.as_str(), "manifest.json"]);
        assert_eq!(shipped::read(here.path()).keys().collect::<Vec<_>>(), [&first]);
    }
    assert_eq!(round(&mut one).files, 1);
    assert_eq!(there(to.path()), [first.as_str(), second.as_str(), "manifest.json"]);
    assert_eq!(round(&mut one).files, 0);
    // the memory is there, not here
    let mut another = shipper(&[here.path()], to.path());
    assert_eq!((round(&mut another).files, another.total().waiting), (0, 0));
    assert!(another.total().last_success.is_some());
    assert_eq!(fs::read(here.path().join(&first)).unwrap(), {
        let folder = fs::read_dir(to.path().join("host")).unwrap().next().unwrap().unwrap().path();
        fs::read(folder.join(&first)).unwrap()
    });
}

#[test]
fn a_segment_that_was_packed_is_sent_again_and_a_log_that_was_renamed_is_not() {
    let (here, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let name = segment(here.path(), 3);
    let log = |name: &str| here.path().join(name);
    fs::write(log("debug.log"), "now").unwrap();
    fs::write(log("debug.log.1"), "yesterday").unwrap();
    fs::write(log("peers.dat"), "none of ours").unwrap();
    let mut shipper = shipper(&[here.path()], to.path());
    assert_eq!(round(&mut shipper).files, 2);
    let logs = || there(to.path()).into_iter().filter(|name| name.starts_with("debug.log")).collect::<Vec<_>>();
    let yesterday = logs();
    assert_eq!((yesterday.len(), there(to.path()).len()), (1, 3));
    fs::rename(log("debug.log.1"), log("debug.log.2")).unwrap();
    fs::rename(log("debug.log"), log("debug.log.1")).unwrap();
    fs::remove_file(here.path().join(&name)).unwrap();
    written(&here.path().join(&name), &[&pings(0..1), &pings(1..3)]);
    assert_eq!(round(&mut shipper).files, 2, "the segment, and the log that is new");
    let size = fs::metadata(here.path().join(&name)).unwrap().len();
    assert_eq!(shipped::read(here.path()).get(&name), Some(&size));
    // what was yesterday's stays what it is
    assert!(logs().len() == 2 && logs().contains(&yesterday[0]));
    let folder = fs::read_dir(to.path().join("host")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read(folder.join(&yesterday[0])).unwrap(), b"yesterday");
    assert_eq!(round(&mut shipper).files, 0);
    assert_eq!(round(&mut self::shipper(&[here.path()], to.path())).files, 0);
}

#[test]
fn what_does_not_arrive_is_not_listed_and_sent_again() {
    let (here, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = segment(here.path(), 1);
    let second = segment(here.path(), 2);
    let mut one = shipper(&[here.path()], to.path());
    round(&mut one);
    let folder = fs::read_dir(to.path().join("host")).unwrap().next().unwrap().unwrap().path();
    let third = segment(here.path(), 3);
    // a disk without room, for this one
    let part = folder.join(format!("{third}.part"));
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let failed = round(&mut one);
    fails(
        &failed,
        here.path(),
        to.path(),
        expect![[r#"
        failed to write TO/host/FOLDER/00000003-20250615T150640Z.poa.part: No space left on device (os error 28)
        hint: the disk is full; what is finished stays, and the same command goes on from there
    "#]],
    );
    assert_eq!(shipped::read(here.path()).keys().collect::<Vec<_>>(), [&first, &second]);
    let total = one.total();
    assert_eq!((total.waiting, total.failures, total.error.is_some()), (1, 1, true));
    let _ = fs::remove_file(part);
    assert_eq!(round(&mut one).files, 1);
    assert_eq!((one.total().waiting, one.total().error), (0, None));
    assert!(shipped::read(here.path()).contains_key(&third));
}

#[test]
fn folders_of_others_are_left_alone() {
    let (here, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    segment(here.path(), 1);
    round(&mut shipper(&[here.path()], to.path()));
    let folder = fs::read_dir(to.path().join("host")).unwrap().next().unwrap().unwrap().path();
    let manifest = fs::read_to_string(folder.join("manifest.json")).unwrap();
    let origin = manifest.split("\"origin\": \"").nth(1).unwrap().split('"').next().unwrap();
    let of_another = manifest.replace(origin, "0123456789abcdef");
    fs::write(folder.join("manifest.json"), &of_another).unwrap();
    segment(here.path(), 2);
    fails(
        &round(&mut shipper(&[here.path()], to.path())),
        here.path(),
        to.path(),
        expect![[r#"
        host/FOLDER in TO belongs to another machine or directory
        hint: give this machine a name of its own with `--ship-name`
    "#]],
    );
    fs::write(folder.join("manifest.json"), "{\"half").unwrap();
    fails(
        &round(&mut shipper(&[here.path()], to.path())),
        here.path(),
        to.path(),
        expect![[r#"
        host/FOLDER/manifest.json in TO cannot be read: EOF while parsing a string at line 1 column 6
        hint: it was made by another program or a later release; `--ship-name` begins a folder of its own
    "#]],
    );
    assert_eq!(there(to.path()).len(), 2, "nothing was sent");
}

#[test]
fn a_directory_that_is_gone_does_not_hold_up_the_others() {
    let (here, gone, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    segment(here.path(), 1);
    let path = gone.path().to_owned();
    drop(gone);
    let mut shipper = shipper(&[&path, here.path()], to.path());
    let round = round(&mut shipper);
    assert_eq!((round.files, round.errors.len()), (1, 1));
    assert!(round.errors[0].to_string().contains(&path.display().to_string()));
    assert_eq!(shipper.total().last_success, None);
}

#[test]
fn who_is_told_to_stop_sends_no_more() {
    let (here, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    segment(here.path(), 1);
    let from = [here.path().to_owned()];
    let target = Target::directory(to.path()).unwrap();
    let mut slow = Shipper::new(target, &Place::Directory(to.path().to_owned()), "host", &from, Some(Size(1)));
    let round = slow.round(Duration::ZERO, &AtomicBool::new(true));
    assert_eq!((round.files, round.errors.len(), slow.total().waiting), (0, 0, 1));
    assert!(there(to.path()).is_empty());
}

#[tokio::test]
async fn what_was_done_is_stated_for_every_node() {
    let (here, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // as if it had been finished a while ago
    let name = segment(here.path(), 1);
    let file = fs::File::options().write(true).open(here.path().join(name)).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(3600)).unwrap();
    let bus = Bus::local();
    let mut events = bus.subscribe(Filter::parse(["health.shipped"]).unwrap(), Limits::default()).await.unwrap();
    let publishers = ["alice", "bob"].map(|name| bus.publisher(name.parse().unwrap(), Source::Tool)).to_vec();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let work = tokio::spawn(ship::run(shipper(&[here.path()], to.path()), Duration::from_secs(3600), publishers, async {
        let _ = stopped.await;
    }));
    for node in ["alice", "bob"] {
        let Some(Delivery::Event(event)) = events.next().await else { panic!("an event") };
        let Some(Kind::HealthShipped(shipped)) = &event.kind else { panic!("{event:?}") };
        assert_eq!((event.node.as_str(), shipped.files, shipped.waiting, shipped.failures), (node, 1, 0, 0));
        assert!(shipped.last_success.is_some() && shipped.error.is_none());
    }
    drop(stop);
    let remaining = work.await.unwrap().unwrap();
    assert_eq!(remaining.count(), (0, 0));
}

/// Retention and shipping together, as `run` has them.
#[test]
fn what_is_nowhere_else_outlives_its_limits() {
    let (here, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for number in 1..5 {
        segment(here.path(), number);
    }
    let limits = tools::archive::store::Limits { size: Some(Size(0)), shipped_only: true, ..Default::default() };
    let store = Store::open(here.path()).unwrap();
    let writer = store.begin(&Header::default(), 1).unwrap();
    assert_eq!(store.retain(&limits, 0).unwrap().len(), 0);
    round(&mut shipper(&[here.path()], to.path()));
    assert_eq!(store.retain(&limits, 0).unwrap().len(), 4);
    assert_eq!(there(to.path()).len(), 5);
    assert!(writer.path().exists());
}
