//! The IPC extractor beside a real `bitcoin-node`.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{Bus, Delivery, Limits, Subscription};
use event::{ChainTip, Event, Filter, Kind, KindId, Source};
use extract::ipc::{self, Config, Target};
use extract::life::Life;
use serde_json::{Value, json};
use testkit::{Node, need_ipc_node, node};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// The extractor on a bus, told of the node's lives.
struct World {
    life: watch::Sender<Option<Life>>,
    events: Subscription,
    stop: oneshot::Sender<()>,
    worker: JoinHandle<anyhow::Result<()>>,
}

fn life(node: &Node, node_run: u64) -> Option<Life> {
    Some(Life { pid: node.pid().unwrap(), node_run, datadir: None })
}

fn socket(node: &Node) -> std::path::PathBuf {
    node.network_datadir().join("node.sock")
}

impl World {
    async fn new(node: &Node) -> Self {
        let bus = Bus::local();
        let events = bus.subscribe(Filter::all(), Limits::default()).await.unwrap();
        let out = bus.publisher("alice".parse().unwrap(), Source::Ipc);
        let (life, lives) = watch::channel(life(node, 1));
        let (stop, stopped) = oneshot::channel::<()>();
        let owner = extract::rpc::Owner::Of(node.datadir().to_owned());
        let target = Target { path: socket(node), owner: Some(owner) };
        let config = Config { ipc_wait: Duration::from_secs(10) };
        let worker = tokio::spawn(ipc::run(config, Arc::new(move |_| target.clone()), lives, out, async { drop(stopped.await) }));
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

    async fn attached(&mut self, node_run: u64) -> ChainTip {
        let event = self.next().await;
        let Some(Kind::HealthAttached(attached)) = &event.kind else { panic!("{event:?}") };
        assert_eq!(event.node_run, Some(node_run));
        let calls = ["Init.construct", "ThreadMap.makeThread", "Echo.echo", "Init.makeMining", "Mining.waitTipChanged"];
        assert_eq!((&attached.attached[..], &attached.missing[..]), (&calls.map(str::to_owned)[..], &[][..]));
        self.tip().await
    }

    async fn tip(&mut self) -> ChainTip {
        let event = self.next().await;
        let Some(Kind::ChainTip(tip)) = &event.kind else { panic!("{event:?}") };
        ChainTip::clone(tip)
    }

    async fn end(self) {
        drop(self.stop);
        self.worker.await.unwrap().unwrap();
    }
}

async fn start() -> Node {
    let options = node::Options { executable: node::with_ipc(), args: vec!["-ipcbind=unix".into()], ..node::Options::default() };
    tokio::task::spawn_blocking(|| Node::start(options)).await.unwrap().unwrap()
}

/// Mines one block, to a script that anyone can spend.
fn mine(node: &Node) {
    node.rpc("generatetodescriptor", json!([1, "raw(51)"])).unwrap();
}

/// A tip as RPC has it.
fn shown(tip: &ChainTip) -> Value {
    let hash: String = tip.hash.iter().rev().map(|byte| format!("{byte:02x}")).collect();
    json!([tip.height, hash])
}

fn best(node: &Node) -> Value {
    json!([node.rpc("getblockcount", json!([])).unwrap(), node.rpc("getbestblockhash", json!([])).unwrap()])
}

#[tokio::test(flavor = "multi_thread")]
async fn tips_come_in_order_and_are_the_nodes() {
    need_ipc_node!();
    let node = start().await;
    let mut world = World::new(&node).await;
    assert_eq!(shown(&world.attached(1).await), best(&node));
    for _ in 0..20 {
        mine(&node);
        assert_eq!(shown(&world.tip().await), best(&node));
    }
    // a block is given up: the tip goes back, and that is a tip too
    let given_up = node.rpc("getbestblockhash", json!([])).unwrap();
    node.rpc("invalidateblock", json!([given_up])).unwrap();
    assert_eq!(shown(&world.tip().await), best(&node));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_restarts_is_followed_again_soon() {
    need_ipc_node!();
    let mut node = start().await;
    let mut world = World::new(&node).await;
    world.attached(1).await;
    for (run, crash) in [(2, false), (3, true)] {
        if crash {
            node.kill().unwrap();
        } else {
            node.stop().unwrap();
        }
        let event = world.next().await;
        let Some(Kind::HealthDetached(_)) = &event.kind else { panic!("{event:?}") };
        assert_eq!(event.node_run, Some(run - 1));
        node.start_again().unwrap();
        // the node answers by now: what counts is how long after that
        let started = Instant::now();
        world.life.send_replace(life(&node, run));
        assert_eq!(shown(&world.attached(run).await), best(&node));
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        mine(&node);
        assert_eq!(shown(&world.tip().await), best(&node));
    }
    world.end().await;
}
