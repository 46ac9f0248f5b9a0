//! A node that comes, goes and comes back at a real socket.

use std::os::unix::net::UnixListener as Listener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Delivery, Limits, Subscription};
use event::{Event, Filter, Kind, KindId, Source};
use expect_test::{Expect, expect};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::fake::{Fake, Script, tip};
use crate::ipc::{self, Config, Target};
use crate::life::Life;
use crate::rpc::Owner;

/// The life whose socket is called otherwise.
const MOVED: u64 = 77;

/// The extractor on a bus, and a folder for a socket.
struct World {
    folder: TempDir,
    life: watch::Sender<Option<Life>>,
    events: Subscription,
    stop: oneshot::Sender<()>,
    worker: JoinHandle<anyhow::Result<()>>,
}

fn us() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("node.sock")
}

impl World {
    async fn new(folder: TempDir, owner: Option<u32>, life: Option<Life>) -> Self {
        let bus = Bus::local();
        let events = bus.subscribe(Filter::all(), Limits::default()).await.unwrap();
        let out = bus.publisher("alice".parse().unwrap(), Source::Ipc);
        let (life, node) = watch::channel(life);
        let (stop, stopped) = oneshot::channel::<()>();
        let config = Config { ipc_wait: Duration::from_secs(10) };
        let target = Target { path: path(&folder), owner: owner.map(Owner::Uid) };
        let elsewhere = Target { path: folder.path().join("elsewhere.sock"), ..target.clone() };
        let moved = |life: &Life| life.node_run == MOVED;
        let locate = Arc::new(move |life: Option<&Life>| if life.is_some_and(moved) { elsewhere.clone() } else { target.clone() });
        let worker = tokio::spawn(ipc::run(config, locate, node, out, async { drop(stopped.await) }));
        Self { folder, life, events, stop, worker }
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

    /// The next events, a line each.
    async fn says(&mut self, count: usize, expect: Expect) {
        let mut lines = String::new();
        for _ in 0..count {
            let event = self.next().await;
            let run = event.node_run.map_or("-".to_owned(), |run| run.to_string());
            lines.push_str(&format!("{run} {}\n", line(event.kind.as_ref().unwrap(), self.folder.path())));
        }
        expect.assert_eq(&lines);
    }

    async fn end(self) {
        drop(self.stop);
        self.worker.await.unwrap().unwrap();
    }
}

fn line(kind: &Kind, folder: &Path) -> String {
    let text = match kind {
        Kind::HealthAttached(attached) => format!("attached to {}, missing {:?}", attached.target, attached.missing),
        Kind::HealthDetached(detached) => format!("detached from {}: {}", detached.target, detached.reason),
        Kind::HealthLost(lost) => format!("lost {} of {}", lost.count, lost.probe),
        Kind::ChainTip(tip) => format!("tip {} {}", tip.height, tip.hash[4..] == [0xab; 28]),
        other => panic!("{other:?}"),
    };
    text.replace(&folder.display().to_string(), "DIR")
}

/// A node at the folder's socket, on a thread of its own; it ends when this is dropped.
struct Node {
    _stop: oneshot::Sender<()>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Node {
    fn start(path: PathBuf, script: Script) -> Self {
        // as the node does: what a life before has left is in the way
        let _ = std::fs::remove_file(&path);
        let listener = Listener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let serve = async {
                let listener = UnixListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::task::spawn_local(Fake::new(script.clone()).serve(stream));
                }
            };
            let serve = async {
                tokio::select! { () = serve => {}, _ = stopped => {} }
            };
            tokio::task::LocalSet::new().block_on(&runtime, serve);
        });
        Self { _stop: stop, thread: Some(thread) }
    }

    fn stop(mut self) {
        let thread = self.thread.take().unwrap();
        drop(self);
        thread.join().unwrap();
    }
}

fn stays(height: i32) -> Script {
    Script { tips: vec![tip(height)], stays: true, ..Script::default() }
}

/// The process of this test, which is where the nodes listen, as the node.
fn this_process(node_run: u64) -> Option<Life> {
    Some(Life { pid: std::process::id(), node_run, datadir: None })
}

/// Started again with another data directory.
#[tokio::test]
async fn another_life_may_have_another_socket() {
    let mut world = World::new(TempDir::new().unwrap(), Some(us()), this_process(1)).await;
    let node = Node::start(path(&world.folder), stays(5));
    while !matches!(world.next().await.kind, Some(Kind::ChainTip(_))) {}
    node.stop();
    world
        .says(
            1,
            expect![[r#"
        1 detached from DIR/node.sock: the connection was closed
    "#]],
        )
        .await;
    let node = Node::start(world.folder.path().join("elsewhere.sock"), stays(6));
    world.life.send_replace(this_process(MOVED));
    world
        .says(
            2,
            expect![[r#"
        77 attached to DIR/elsewhere.sock, missing []
        77 tip 6 true
    "#]],
        )
        .await;
    node.stop();
    world.end().await;
}

#[tokio::test]
async fn a_node_comes_goes_and_comes_back() {
    let mut world = World::new(TempDir::new().unwrap(), Some(us()), this_process(1)).await;
    world
        .says(
            1,
            expect![[r#"
        - detached from DIR/node.sock: there is no socket DIR/node.sock
    "#]],
        )
        .await;
    let node = Node::start(path(&world.folder), stays(5));
    world
        .says(
            2,
            expect![[r#"
        1 attached to DIR/node.sock, missing []
        1 tip 5 true
    "#]],
        )
        .await;
    node.stop();
    world
        .says(
            1,
            expect![[r#"
        1 detached from DIR/node.sock: the connection was closed
    "#]],
        )
        .await;
    // three tips came and went meanwhile
    world.life.send_replace(this_process(2));
    let node = Node::start(path(&world.folder), stays(9));
    world
        .says(
            3,
            expect![[r#"
        2 attached to DIR/node.sock, missing []
        2 lost 3 of Mining.waitTipChanged
        2 tip 9 true
    "#]],
        )
        .await;
    node.stop();
    // and none this time
    let node = Node::start(path(&world.folder), stays(9));
    world
        .says(
            3,
            expect![[r#"
        2 detached from DIR/node.sock: the connection was closed
        2 attached to DIR/node.sock, missing []
        2 tip 9 true
    "#]],
        )
        .await;
    world.end().await;
    node.stop();
}

/// Once each, however often it is tried.
#[tokio::test]
async fn what_is_wrong_is_said_once() {
    let mut world = World::new(TempDir::new().unwrap(), Some(us()), this_process(1)).await;
    let listener = UnixListener::bind(path(&world.folder)).unwrap();
    for _ in 0..4 {
        // closed at once
        listener.accept().await.unwrap();
    }
    drop(listener);
    let old = Script { unknown: Some("makeMining"), ..Script::default() };
    std::fs::remove_file(path(&world.folder)).unwrap();
    let node = Node::start(path(&world.folder), old);
    let first = world.next().await;
    let Some(Kind::HealthDetached(_)) = &first.kind else { panic!("{first:?}") };
    world.says(1, expect![[r#"
        1 detached from DIR/node.sock: the node does not know Init.makeMining as Bitcoin Core 31 and newer do (30 has it under another number); it answers Init.construct, ThreadMap.makeThread, Echo.echo
    "#]]).await;
    // it is replaced by a newer one
    node.stop();
    let node = Node::start(path(&world.folder), stays(1));
    world
        .says(
            3,
            expect![[r#"
        - detached from DIR/node.sock: the connection was closed
        1 attached to DIR/node.sock, missing []
        1 tip 1 true
    "#]],
        )
        .await;
    world.end().await;
    node.stop();
}

#[tokio::test]
async fn what_is_not_the_nodes_is_not_asked() {
    let folder = TempDir::new().unwrap();
    std::fs::write(path(&folder), "").unwrap();
    let mut world = World::new(folder, Some(us()), None).await;
    world
        .says(
            1,
            expect![[r#"
        - detached from DIR/node.sock: DIR/node.sock is no socket
    "#]],
        )
        .await;
    world.end().await;

    let folder = TempDir::new().unwrap();
    let node = Node::start(folder.path().join("real"), stays(1));
    std::os::unix::fs::symlink("real", path(&folder)).unwrap();
    let mut world = World::new(folder, Some(us()), None).await;
    world
        .says(
            1,
            expect![[r#"
        - detached from DIR/node.sock: DIR/node.sock is no socket
    "#]],
        )
        .await;
    world.end().await;
    node.stop();

    let folder = TempDir::new().unwrap();
    let node = Node::start(path(&folder), stays(1));
    let mut world = World::new(folder, Some(us() + 1), None).await;
    let refused = world.next().await;
    let Some(Kind::HealthDetached(detached)) = &refused.kind else { panic!("{refused:?}") };
    assert!(detached.reason.ends_with(&format!("belongs to user {}, and the node to user {}", us(), us() + 1)), "{detached:?}");
    world.end().await;
    node.stop();
}

#[tokio::test]
async fn who_listens_must_be_the_node() {
    struct Sleeper(Child);
    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
    let other = Sleeper(Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap());
    let life = Some(Life { pid: other.0.id(), node_run: 1, datadir: None });
    let folder = TempDir::new().unwrap();
    let node = Node::start(path(&folder), stays(1));
    let mut world = World::new(folder, Some(us()), life).await;
    let refused = world.next().await;
    let Some(Kind::HealthDetached(detached)) = &refused.kind else { panic!("{refused:?}") };
    let words = format!("is process {}, and the node is process {}", std::process::id(), other.0.id());
    assert!(detached.reason.ends_with(&words), "{detached:?}");
    // the node is found to be another process
    world.life.send_replace(this_process(7));
    world
        .says(
            2,
            expect![[r#"
        7 attached to DIR/node.sock, missing []
        7 tip 1 true
    "#]],
        )
        .await;
    world.end().await;
    node.stop();
}

/// A process that was never found cannot be compared with, and one in a container need not be.
#[tokio::test]
async fn what_the_operator_named_is_meant() {
    let folder = TempDir::new().unwrap();
    let node = Node::start(path(&folder), stays(1));
    let mut world = World::new(folder, None, None).await;
    world
        .says(
            2,
            expect![[r#"
        - attached to DIR/node.sock, missing []
        - tip 1 true
    "#]],
        )
        .await;
    world.end().await;
    node.stop();
}

/// Also when nothing is there, when the node hangs, and in the middle of a wait.
#[tokio::test]
async fn the_end_is_prompt() {
    for script in [None, Some(stays(1)), Some(Script { stalls: Some("construct"), ..stays(1) })] {
        let folder = TempDir::new().unwrap();
        let listens = script.is_some();
        let hangs = script.as_ref().is_some_and(|script| script.stalls.is_some());
        let node = script.map(|script| Node::start(path(&folder), script));
        let mut world = World::new(folder, Some(us()), this_process(1)).await;
        if !hangs {
            // attached, or not
            world.next().await;
        }
        let begun = std::time::Instant::now();
        world.end().await;
        // taking leave may take half a second
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}, listens: {listens}", begun.elapsed());
        if let Some(node) = node {
            node.stop();
        }
    }
}
