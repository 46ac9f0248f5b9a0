//! What an archive has stated as safe is there, however its writer ends.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod world;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bus::{Bus, Delivery, Limits, Subscription};
use event::{Event, Filter, Kind, KindId, NetPing, Source};
use tools::archive::Selection;
use tools::archive::record::{self, Rhythm};
use tools::archive::store::{Store, segments};
use world::{QUICK, SmallDisk, all, config, pings};

/// Names the directory for a process that is to be killed; a test that finds it is that process.
const VICTIM: &str = "PO_TEST_ARCHIVE";

/// Publishes as fast as it can, archives it, and prints what is stated as safe, until it is killed.
fn victim(directory: &Path) -> ! {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let bus = Bus::local();
        let all = bus.subscribe(Filter::all(), Limits::default()).await.unwrap();
        let mut statements = bus.subscribe(Filter::kinds([KindId::HealthArchived]), Limits::default()).await.unwrap();
        let mut config = config(directory);
        config.archive_segment_size = tools::archive::amount::Size(300_000);
        let store = Store::open(directory).unwrap();
        tokio::spawn(record::run_with(config, QUICK, store, all, bus.clone()));
        let publisher = bus.publisher("alice".parse().unwrap(), Source::Ebpf);
        std::thread::spawn(move || {
            for number in 0_u64.. {
                let ping =
                    NetPing { peer: number % 50, nonce: Some(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)), ..Default::default() };
                publisher.publish(1_750_000_000_000_000_000 + number, None, ping);
                // what the bus drops is no loss of the archive, but should not be all there is
                if number % 64 == 0 {
                    std::thread::yield_now();
                }
            }
        });
        while let Some(delivery) = statements.next().await {
            let Delivery::Event(event) = delivery else { continue };
            let Some(Kind::HealthArchived(archived)) = &event.kind else { continue };
            for source in archived.sources.iter().filter(|source| source.source == Source::Ebpf as i32) {
                println!("{} {}", source.run, source.sequence);
            }
            std::io::stdout().flush().unwrap();
        }
        unreachable!("the bus is never closed")
    })
}

/// 200 lives, each killed under load after a few statements; the archive is opened again each time without a repair.
#[test]
fn a_killed_writer_loses_nothing_that_it_had_stated() {
    if let Some(directory) = std::env::var_os(VICTIM) {
        victim(Path::new(&directory));
    }
    let directory = tempfile::tempdir().unwrap();
    let mut stated: BTreeMap<u64, u64> = BTreeMap::new();
    for life in 0..200_u32 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "a_killed_writer_loses_nothing_that_it_had_stated"])
            .env(VICTIM, directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let statements = lines.filter_map(|line| {
            let (run, sequence) = line.split_once(' ')?;
            Some((run.parse::<u64>().ok()?, sequence.parse::<u64>().ok()?))
        });
        // at different moments: after the first statement, the second, …
        let mut said = 0;
        for (run, sequence) in statements.take(1 + life as usize % 5) {
            stated.insert(run, sequence);
            said += 1;
        }
        assert!(said > 0, "life {life} stated nothing");
        child.kill().unwrap();
        child.wait().unwrap();
        if life % 50 == 49 {
            check(directory.path(), &stated);
        }
    }
    assert_eq!(stated.len(), 200, "each life is a run of its own");
}

/// Everything up to what was stated is there, but for what the bus dropped and said so.
fn check(directory: &Path, stated: &BTreeMap<u64, u64>) {
    let mut latest: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut missing, mut told) = (0, 0);
    for raw in tools::archive::open(&[directory.to_owned()], &Selection::default()).unwrap() {
        let event = raw.unwrap().event().unwrap();
        match &event.kind {
            Some(Kind::HealthLost(lost)) => told += lost.count,
            _ if event.source == Source::Ebpf as i32 => {
                let next = latest.get(&event.run).map_or(0, |last| last + 1);
                assert!(event.sequence >= next, "the order is kept");
                missing += event.sequence - next;
                latest.insert(event.run, event.sequence);
            }
            _ => {}
        }
    }
    for (run, sequence) in stated {
        let got = latest.get(run).unwrap_or_else(|| panic!("run {run} stated {sequence}, and there is nothing of it"));
        assert!(got >= sequence, "run {run} stated {sequence}, and there is {got}");
    }
    // what is missing in the middle was told at its place; a kill may come between the gap and the telling
    assert!(missing <= told, "{missing} are missing, and {told} were told");
}

/// Hashes, which nothing makes shorter: three thousand such events take a megabyte.
fn incompressible(count: u64) -> Vec<Event> {
    let mut events = pings(0..count);
    for event in &mut events {
        let mut seed = event.sequence;
        let mut byte = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 56) as u8
        };
        let item = |hash: Vec<u8>| event::Inventory { r#type: 5, hash: hash.into(), number: None };
        let items = (0..10).map(|_| item((0..32).map(|_| byte()).collect())).collect();
        event.kind = Some(event::NetInv { peer: 1, items, ..Default::default() }.into());
    }
    events
}

/// A bus, what an archive of messages takes from it, and what that archive states.
///
/// It takes so little ahead that nearly everything has reached the archive when the last event is given to the bus.
async fn stage() -> (Bus, Subscription, Subscription) {
    let bus = Bus::local();
    let limits = Limits { events: 1000, bytes: 1 << 20 };
    let events = bus.subscribe(Filter::parse(["net"]).unwrap(), limits).await.unwrap();
    let statements = bus.subscribe(Filter::kinds([KindId::HealthArchived]), Limits::default()).await.unwrap();
    (bus, events, statements)
}

/// Nobody comes for months: what was to be deleted anyway makes room for what happens now.
#[test]
fn a_full_disk_is_no_reason_to_keep_what_is_too_old() {
    let Some(disk) = SmallDisk::mount() else { return };
    let directory = disk.0.path().join("archive");
    fs::create_dir(&directory).unwrap();
    // of 2025, and two thirds of the disk
    for number in 1..=3 {
        fs::write(directory.join(format!("0000000{number}-20250615T150640Z.poa")), vec![0; 1_800_000]).unwrap();
    }
    // twice as much as there is room for
    let events = incompressible(15_000);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (bus, subscription, mut statements) = stage().await;
        let store = Store::open(&directory).unwrap();
        let mut config = config(&directory);
        config.archive_max_age = Some(tools::archive::amount::Age(Duration::from_hours(1)));
        let recording = tokio::spawn(record::run_with(config, QUICK, store, subscription, bus.clone()));
        for event in events {
            bus.forward(event).await;
        }
        // before the end, which makes room once more
        let safe = async {
            loop {
                let Some(Delivery::Event(event)) = statements.next().await else { continue };
                let Some(Kind::HealthArchived(archived)) = &event.kind else { continue };
                if archived.sources.iter().any(|source| source.run == 1 && source.sequence == 14_999) {
                    break;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), safe).await.expect("everything is written");
        bus.close().await;
        recording.await.unwrap().unwrap();
    });
    assert!(segments(&directory).unwrap().iter().all(|kept| kept.number >= 3), "what was too old is gone");
}

#[test]
fn a_full_disk_costs_what_there_is_no_room_for_and_counts_it() {
    let Some(disk) = SmallDisk::mount() else { return };
    let ballast = disk.0.path().join("ballast");
    fs::write(&ballast, vec![0; 5_500_000]).unwrap();
    let events = incompressible(24_000);
    let mut total = 24_000;
    let directory = disk.0.path().join("archive");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (bus, subscription, mut statements) = stage().await;
        let store = Store::open(&directory).unwrap();
        let rhythm = Rhythm { again: Duration::from_millis(5), ..QUICK };
        let recording = tokio::spawn(record::run_with(config(&directory), rhythm, store, subscription, bus.clone()));
        for event in &events {
            bus.forward(event.clone()).await;
        }
        // there is room again
        fs::remove_file(&ballast).unwrap();
        let late = |delivery: &Delivery| match delivery {
            Delivery::Event(event) => match &event.kind {
                Some(Kind::HealthArchived(archived)) => archived.sources.iter().any(|source| source.sequence >= 24_000),
                _ => false,
            },
            Delivery::Missed(_) => false,
        };
        // what comes before the next attempt may still be dropped
        while !tokio::time::timeout(Duration::from_millis(1), statements.next()).await.is_ok_and(|next| late(&next.unwrap())) {
            bus.forward(pings(total..total + 1).remove(0)).await;
            total += 1;
        }
        bus.close().await;
        recording.await.unwrap().unwrap();
    });
    let (mut kept, mut told) = (0, 0);
    for event in all(&directory) {
        match &event.kind {
            Some(Kind::HealthLost(lost)) => told += lost.count,
            Some(Kind::NetInv(_) | Kind::NetPing(_)) => kept += 1,
            _ => {}
        }
    }
    assert!(told > 0, "the disk was full");
    assert_eq!(kept + told, total, "everything is there or counted");
}

#[test]
fn what_cannot_be_written_is_said_before_anything_starts() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "no directory").unwrap();
    let error = Store::open(&file.join("archive")).err().unwrap();
    assert!(
        error.to_string().starts_with(&format!("failed to write to the archive {}", file.join("archive").display())),
        "{error}"
    );
    assert!(!error.hint().is_empty());
    let Some(disk) = SmallDisk::mount() else { return };
    let directory = disk.0.path().join("archive");
    drop(Store::open(&directory).unwrap());
    disk.protect();
    let error = Store::open(&directory).err().unwrap().to_string();
    assert!(error.contains("Read-only file system"), "{error}");
}

#[test]
fn a_directory_that_goes_away_is_written_again_when_it_is_back() {
    let place = tempfile::tempdir().unwrap();
    let (directory, away) = (place.path().join("archive"), place.path().join("away"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let bus = Bus::local();
        let subscription = bus.subscribe(Filter::all(), Limits::default()).await.unwrap();
        let mut statements = bus.subscribe(Filter::kinds([KindId::HealthArchived]), Limits::default()).await.unwrap();
        let store = Store::open(&directory).unwrap();
        let rhythm = Rhythm { again: Duration::from_millis(5), ..QUICK };
        let recording = tokio::spawn(record::run_with(config(&directory), rhythm, store, subscription, bus.clone()));
        let mut stated = async |sequence: u64| {
            loop {
                let Some(Delivery::Event(event)) = statements.next().await else { panic!("a statement") };
                let Some(Kind::HealthArchived(archived)) = &event.kind else { continue };
                if archived.sources.iter().any(|source| source.run == 1 && source.sequence >= sequence) {
                    return;
                }
            }
        };
        let all = pings(0..30);
        for event in &all[..10] {
            bus.forward(event.clone()).await;
        }
        stated(9).await;
        fs::rename(&directory, &away).unwrap();
        for event in &all[10..20] {
            bus.forward(event.clone()).await;
        }
        fs::create_dir(&directory).unwrap();
        for event in &all[20..] {
            bus.forward(event.clone()).await;
        }
        stated(29).await;
        bus.close().await;
        recording.await.unwrap().unwrap();
    });
    let of = |directory: &Path| {
        all(directory).into_iter().filter(|event| event.run == 1).map(|event| event.sequence).collect::<Vec<_>>()
    };
    // what was stated before is where it was stated, the rest is in the new directory
    let (first, second) = (of(&away), of(&directory));
    assert!(first.iter().copied().eq(0..first.len() as u64) && first.len() >= 10, "{first:?}");
    assert_eq!([first, second].concat(), (0..30).collect::<Vec<_>>());
}

#[test]
fn the_oldest_goes_when_there_is_too_much() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let events = incompressible(6_000);
    runtime.block_on(async {
        let bus = Bus::local();
        let subscription = bus.subscribe(Filter::parse(["net"]).unwrap(), Limits::default()).await.unwrap();
        let mut config = config(directory.path());
        config.archive_segment_size = tools::archive::amount::Size(200_000);
        config.archive_max_size = Some(tools::archive::amount::Size(900_000));
        let store = Store::open(directory.path()).unwrap();
        let recording = tokio::spawn(record::run_with(config, QUICK, store, subscription, bus.clone()));
        for event in &events {
            bus.forward(event.clone()).await;
        }
        bus.close().await;
        recording.await.unwrap().unwrap();
    });
    let kept = all(directory.path());
    assert!(kept.len() < events.len(), "{} events take more than that", events.len());
    assert_eq!(kept, events[events.len() - kept.len()..], "what is left is the latest, without a gap");
    let size: u64 = segments(directory.path()).unwrap().iter().map(|kept| kept.size).sum();
    // what was begun since the last deletion may come on top
    assert!(size < 900_000 + 2 * 400_000, "{size} bytes");
}
