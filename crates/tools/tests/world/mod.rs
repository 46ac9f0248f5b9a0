//! Recordings to test with.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bus::{Bus, Limits};
use event::archive::Packer;
use event::archive::segment::Header;
use event::{Event, Filter, NetPing, Source};
use tools::archive::amount::{Age, Size};
use tools::archive::record::{self, Rhythm};
use tools::archive::segment::Writer;
use tools::archive::store::Store;
use tools::archive::{Config, Profile, ReadError, Selection};

/// A real node on regtest, in the first form.
pub const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec");

/// The events of the demo.
pub fn demo() -> Vec<Event> {
    all(Path::new(DEMO))
}

/// Pings of one source, one a second.
pub fn pings(sequences: Range<u64>) -> Vec<Event> {
    let ping = |sequence: u64| {
        let ping = NetPing { peer: sequence % 7, nonce: Some(sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15)), ..Default::default() };
        Event {
            run: 1,
            sequence,
            time: 1_750_000_000_000_000_000 + sequence * 1_000_000_000,
            ..Event::new("alice", Source::Ebpf, ping)
        }
    };
    sequences.map(ping).collect()
}

/// Everything of a recording, in which nothing may be wrong.
#[track_caller]
pub fn all(path: &Path) -> Vec<Event> {
    let (events, error) = read(path);
    assert!(error.is_none(), "{}", error.unwrap());
    events
}

/// Everything of a recording that can be read.
pub fn read(path: &Path) -> (Vec<Event>, Option<ReadError>) {
    read_part(path, &Selection::default())
}

/// What is selected of a recording, as far as it can be read.
pub fn read_part(path: &Path, selection: &Selection) -> (Vec<Event>, Option<ReadError>) {
    let mut events = Vec::new();
    match tools::archive::open(&[path.to_owned()], selection) {
        Err(error) => (events, Some(error)),
        Ok(recording) => {
            let mut fault = None;
            for item in recording.events() {
                match item {
                    Ok(event) => events.push(event),
                    Err(error) => fault = Some(error),
                }
            }
            (events, fault)
        }
    }
}

/// A segment with a frame for each of these.
pub fn written(path: &Path, frames: &[&[Event]]) {
    let mut writer = Writer::create(path, &Header::default(), 3).unwrap();
    for events in frames {
        let mut packer = Packer::default();
        events.iter().for_each(|event| packer.push(event));
        writer.frame(&mut packer).unwrap();
    }
    writer.finish().unwrap();
}

/// A segment with one event, given by its bytes.
pub fn segment_of(directory: &Path, event: &[u8]) -> PathBuf {
    let path = directory.join("one.poa");
    let mut writer = Writer::create(&path, &Header::default(), 3).unwrap();
    let mut packer = Packer::default();
    packer.push_bytes(event).unwrap();
    writer.frame(&mut packer).unwrap();
    writer.finish().unwrap();
    path
}

/// An archive's configuration with nothing special.
pub fn config(directory: &Path) -> Config {
    Config {
        archive: Some(directory.to_owned()),
        archive_kinds: vec![],
        archive_profile: Profile::Full,
        archive_segment_size: Size(64 << 20),
        archive_segment_age: Age(Duration::from_hours(1)),
        archive_max_size: None,
        archive_max_age: None,
        archive_keep_unshipped: false,
    }
}

/// So often that a test need not wait.
pub const QUICK: Rhythm =
    Rhythm { frame: Duration::from_millis(20), sync: Duration::from_millis(10), again: Duration::from_millis(20) };

/// Records these events; what the recorder says of itself is left out.
pub fn archived(directory: &Path, events: &[Event]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bus = Bus::local();
        let without_own = Filter::parse(["!health.archived"]).unwrap();
        let subscription = bus.subscribe(without_own, Limits::default()).await.unwrap();
        let store = Store::open(directory).unwrap();
        let recording = tokio::spawn(record::run(config(directory), store, subscription, bus.clone()));
        for event in events {
            bus.forward(event.clone()).await;
        }
        bus.close().await;
        recording.await.unwrap().unwrap();
    });
}

/// A file system of eight megabytes; `None`, visibly, where that is not permitted.
pub struct SmallDisk(pub tempfile::TempDir);

impl SmallDisk {
    pub fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "po-test"])
            .arg(directory.path())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            testkit::skipped("a small file system cannot be mounted");
            return None;
        }
        Some(Self(directory))
    }

    /// Makes it read-only; nothing may be open in it.
    pub fn protect(&self) {
        let remounted =
            Command::new("mount").args(["-o", "remount,ro"]).arg(self.0.path()).status().is_ok_and(|status| status.success());
        assert!(remounted, "it was mounted, too");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}
