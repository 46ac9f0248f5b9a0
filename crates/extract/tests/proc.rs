//! The extractor of `/proc` against real processes.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Delivery, Limits, Subscription};
use event::{Event, Filter, Kind, KindId, Source, StateProcess};
use extract::life::{Life, follow};
use extract::proc::{self, Config};
use testkit::{need_node, node, node::Node};
use tokio::sync::watch;
use tokio::task::JoinHandle;

struct World {
    life: watch::Sender<Option<Life>>,
    events: Subscription,
    stop: tokio::sync::oneshot::Sender<()>,
    worker: JoinHandle<()>,
}

impl World {
    async fn new() -> Self {
        let bus = Bus::local();
        let events = bus.subscribe(Filter::all(), Limits::default()).await.unwrap();
        let out = bus.publisher("alice".parse().unwrap(), Source::Proc);
        let (life, node) = watch::channel(None);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let config = Config { proc_interval: Duration::from_millis(20) };
        let worker = tokio::spawn(proc::run(config, node, out, async { drop(stopped.await) }));
        Self { life, events, stop, worker }
    }

    /// The next event that is not a beat.
    async fn next(&mut self) -> Arc<Event> {
        loop {
            match tokio::time::timeout(testkit::wait::LONG, self.events.next()).await.expect("an event") {
                Some(Delivery::Event(event)) if event.id() == Some(KindId::HealthBeat) => {}
                Some(Delivery::Event(event)) => return event,
                other => panic!("an event, not {other:?}"),
            }
        }
    }

    async fn next_process(&mut self) -> (Option<u64>, StateProcess) {
        loop {
            let event = self.next().await;
            if let Some(Kind::StateProcess(state)) = &event.kind {
                return (event.node_run, StateProcess::clone(state));
            }
        }
    }

    async fn next_named(&mut self, id: KindId) -> Arc<Event> {
        loop {
            let event = self.next().await;
            if event.id() == Some(id) {
                return event;
            }
        }
    }
}

struct Sleeper(Child);

impl Sleeper {
    fn new() -> Self {
        Self(Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap())
    }

    fn life(&self, run: u64) -> Option<Life> {
        Some(Life { pid: self.0.id(), node_run: run, datadir: Some(std::env::temp_dir()) })
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn lives_follow_one_another() {
    let mut world = World::new().await;
    let first = Sleeper::new();
    world.life.send_replace(first.life(1));
    let kinds =
        [world.next().await, world.next().await, world.next().await].map(|event| (event.id().unwrap().name(), event.node_run));
    assert_eq!(kinds, [("health.attached", Some(1)), ("state.process", Some(1)), ("state.disk", Some(1))]);
    let pid = first.0.id();
    drop(first);
    let ended = world.next_named(KindId::HealthDetached).await;
    let Some(Kind::HealthDetached(detached)) = &ended.kind else { unreachable!() };
    assert_eq!((detached.pid, detached.reason.as_str(), ended.node_run), (Some(pid), "the process has ended", Some(1)));
    // another, without a word that the first has ended
    let second = Sleeper::new();
    world.life.send_replace(second.life(2));
    world.next_named(KindId::HealthAttached).await;
    let (run, state) = world.next_process().await;
    assert_eq!((run, state.pid, state.thread_count), (Some(2), second.0.id(), 1));
    assert_eq!(state.threads.iter().map(|sum| (sum.name.as_str(), sum.threads)).collect::<Vec<_>>(), [("sleep", 1)]);
    // and a third while the second still runs
    let third = Sleeper::new();
    world.life.send_replace(third.life(3));
    assert_eq!(world.next_named(KindId::HealthDetached).await.node_run, Some(2));
    assert_eq!(world.next_process().await.1.pid, third.0.id());
    drop(world.stop);
    world.worker.await.unwrap();
}

#[tokio::test]
async fn a_life_is_followed() {
    let (mut sleeper, (lives, mut life)) = (Some(Sleeper::new()), watch::channel(None));
    let next = Arc::new(std::sync::Mutex::new(sleeper.as_ref().unwrap().life(1)));
    let find = Arc::clone(&next);
    tokio::spawn(follow(move || find.lock().unwrap().clone(), lives));
    life.wait_for(Option::is_some).await.unwrap();
    *next.lock().unwrap() = None;
    drop(sleeper.take());
    life.wait_for(Option::is_none).await.unwrap();
    let other = Sleeper::new();
    *next.lock().unwrap() = other.life(2);
    assert_eq!(life.wait_for(Option::is_some).await.unwrap().as_ref().map(|life| life.node_run), Some(2));
}

#[tokio::test]
async fn a_node_is_seen() {
    need_node!();
    let start = || Node::start(node::Options::default()).unwrap();
    let node = tokio::task::spawn_blocking(start).await.unwrap();
    let pid = std::fs::read_to_string(node.network_datadir().join("bitcoind.pid")).unwrap().trim().parse().unwrap();
    let mut world = World::new().await;
    world.life.send_replace(Some(Life { pid, node_run: 5, datadir: Some(node.datadir().to_owned()) }));
    let attached = world.next_named(KindId::HealthAttached).await;
    let Some(Kind::HealthAttached(attached)) = &attached.kind else { unreachable!() };
    assert_eq!(attached.missing, [""; 0]);
    let (_, state) = world.next_process().await;
    let names: Vec<_> = state.threads.iter().map(|sum| sum.name.as_str()).collect();
    for name in ["b-msghand", "b-net", "b-scheduler", "b-scriptch"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    assert!(state.user_nanos > 0 && state.resident > 1 << 20 && state.open_files > Some(10), "{state:?}");
    assert!(state.threads.iter().all(|sum| sum.waiting_nanos.is_some() && sum.voluntary_switches.is_some()), "{state:?}");
    let disk = world.next_named(KindId::StateDisk).await;
    let Some(Kind::StateDisk(disk)) = &disk.kind else { unreachable!() };
    assert!(disk.size > disk.available && disk.available > 0, "{disk:?}");
}
