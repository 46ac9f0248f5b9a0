//! What is recorded is live: a tool says the same of a recording as of what was recorded.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod world;

use bus::{Bus, Limits};
use event::{Event, Filter, Kind, Source};
use extract::replay::{self, Pace};
use testkit::events::arbitrary;
use tools::archive::store::Store;
use tools::archive::{Profile, Selection, record};
use tools::logger::{self, ColourChoice, Config, Format};
use world::{all, config};

fn lines(kinds: &[&str]) -> Config {
    let kinds = kinds.iter().map(ToString::to_string).collect();
    Config { format: Format::Text, color: ColourChoice::Never, kinds, direction: None, peer: vec![], address: vec![] }
}

/// What the logger prints of a bus until it is closed.
async fn logged(bus: &Bus) -> tokio::task::JoinHandle<String> {
    // what the archive says of itself is not among what is printed
    let subscription = bus.subscribe(lines(&[]).filter().unwrap(), Limits::default()).await.unwrap();
    tokio::spawn(async {
        let mut output = Vec::new();
        logger::run(lines(&[]), subscription, &mut output, false).await.unwrap();
        String::from_utf8(output).unwrap()
    })
}

#[tokio::test]
async fn the_logger_prints_the_same_live_and_of_the_archive() {
    let directory = tempfile::tempdir().unwrap();
    let live = Bus::local();
    let printed = logged(&live).await;
    let asked = Filter::parse(["!health.archived", "!health.beat"]).unwrap();
    let subscription = live.subscribe(asked, Limits::default()).await.unwrap();
    let store = Store::open(directory.path()).unwrap();
    let recording = tokio::spawn(record::run(config(directory.path()), store, subscription, live.clone()));
    let publisher = live.publisher("alice".parse().unwrap(), Source::Ebpf);
    for (number, seed) in (0..5000_u64).enumerate() {
        let kind: Kind = arbitrary(seed).kind.unwrap();
        publisher.publish(1_750_000_000_000_000_000 + number as u64 * 1_000, Some(7), kind);
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    live.close().await;
    recording.await.unwrap().unwrap();
    let live = printed.await.unwrap();

    let again = Bus::local();
    let printed = logged(&again).await;
    let events = tools::archive::open(&[directory.path().to_owned()], &Selection::default()).unwrap().events();
    replay::run(events, Pace::Max, &again).await.unwrap();
    again.close().await;
    let replayed = printed.await.unwrap();
    assert_eq!(live.lines().count(), replayed.lines().count());
    assert_eq!(live, replayed);
    assert!(live.lines().count() > 4000);
}

#[test]
fn low_data_keeps_everything_but_raw_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let events: Vec<Event> = testkit::events::samples();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let bus = Bus::local();
        let subscription = bus.subscribe(Filter::parse(["net"]).unwrap(), Limits::default()).await.unwrap();
        let mut config = config(directory.path());
        config.archive_profile = Profile::LowData;
        let store = Store::open(directory.path()).unwrap();
        let recording = tokio::spawn(record::run(config, store, subscription, bus.clone()));
        for event in &events {
            bus.forward(event.clone()).await;
        }
        bus.close().await;
        recording.await.unwrap().unwrap();
    });
    let expected = events.iter().filter(|event| event.id().unwrap().family() == "net");
    for (kept, event) in all(directory.path()).iter().zip(expected) {
        let raw = |event: &Event| event.kind.as_ref().unwrap().net().unwrap().raw.cloned();
        let undecodable = event.id().unwrap().short_name() == "undecodable";
        assert_eq!(raw(kept).is_some(), undecodable, "{:?}", event.id());
        assert_eq!(kept.id(), event.id());
        assert!(undecodable || kept.to_bytes().len() < event.to_bytes().len());
    }
}
