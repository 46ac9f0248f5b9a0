//! Makes the bundled recording anew: plays the scenario of `testkit` around a real bitcoind, and records what all extractors see.
//!
//! `./x record-demo`; needs bitcoind on PATH (or in `BITCOIND_EXE`), and root for the probes.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use bus::{Bus, Delivery, Limits, Subscription};
use ebpf::process::Finder;
use ebpf::{Source, Tracer};
use event::{Filter, Kind};
use extract::life::Life;
use extract::node::Config;
use extract::recording::Writer;
use extract::rpc;
use testkit::{Node, scenario};
use tokio::sync::watch;

const OUTPUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec");

fn main() -> anyhow::Result<()> {
    // the tracer is this program, started again
    if std::env::args().nth(1).as_deref() == Some("tracer") {
        return Ok(ebpf::tracer::run()?);
    }
    let mut place = Config::of_datadir("demo".parse()?, "").p2p;
    place.p2p_listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let main = Node::start(scenario::main_options())?;
    let node = Config { p2p: place, ..Config::of_datadir("demo".parse()?, main.datadir()) };

    let probes = extract::ebpf::Config { ebpf_raw: false, ebpf_buffer: "16MiB".parse().map_err(anyhow::Error::msg)? };
    let mut command = Command::new("/proc/self/exe");
    command.arg("tracer");
    let tracer = Tracer::spawn(command, &probes.tracer(&node, false)).context("failed to start the tracing process")?;
    let source = Source::open(tracer, false)?;

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let bus = Bus::local();
    // beats say nothing that somebody watching a demonstration wants to know
    let filter = Filter::parse(["!health.beat"])?;
    let subscription = runtime.block_on(bus.subscribe(filter, Limits::default()))?;
    let publisher = |source| bus.publisher(node.name.clone(), source);
    let process = Finder::new(node.target()).find()?;
    let life = Life { pid: process.pid, node_run: process.node_run, datadir: node.datadir.clone() };
    let (_lives, life) = watch::channel(Some(life));
    let (stop, _) = watch::channel(false);
    let stopped = || {
        let mut stop = stop.subscribe();
        async move { drop(stop.wait_for(|stop| *stop).await) }
    };
    let place = rpc::Place { datadir: node.datadir.clone(), command: main_command(&main)?, ..rpc::Place::default() };
    let target = node.rpc.target(&place);
    let flag = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let probes = publisher(event::Source::Ebpf);
        let flag = &flag;
        let extractor = scope.spawn(move || extract::ebpf::run(source, &probes, flag));
        let tasks = [
            runtime.spawn({
                let (out, stopped) = (publisher(event::Source::Rpc), stopped());
                async {
                    rpc::run(rpc::Config::default(), target, out, stopped).await;
                    Ok(())
                }
            }),
            runtime.spawn({
                let (out, stopped, life) = (publisher(event::Source::Proc), stopped(), life.clone());
                async {
                    extract::proc::run(default(), life, out, stopped).await;
                    Ok(())
                }
            }),
            runtime.spawn({
                let (out, stopped, place) = (publisher(event::Source::P2p), stopped(), node.p2p.clone());
                let listener = place.listen()?;
                // not by an option: a node that has tried in vain at its start does so again after a minute
                main.rpc("addnode", serde_json::json!([place.p2p_listen.to_string(), "add"]))?;
                async { extract::p2p::run(default(), place, listener, life, out, stopped).await }
            }),
        ];
        let recorder = scope.spawn(|| runtime.block_on(record(subscription)));
        let played = scenario::play(&main, 1);
        flag.store(true, Ordering::Release);
        stop.send_replace(true);
        extractor.join().expect("the extractor does not panic")?;
        for task in tasks {
            runtime.block_on(task)??;
        }
        runtime.block_on(bus.clone().close());
        recorder.join().expect("the recorder does not panic")?;
        played.map(drop)
    })
}

/// A component as it is without any flag.
fn default<A: clap::Args + clap::FromArgMatches>() -> A {
    let matches = A::augment_args(clap::Command::new("record")).get_matches_from([""; 0]);
    A::from_arg_matches(&matches).expect("every flag has a default")
}

fn main_command(main: &Node) -> anyhow::Result<Vec<String>> {
    let line = std::fs::read(format!("/proc/{}/cmdline", main.pid().context("it runs")?))?;
    Ok(line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}

async fn record(mut subscription: Subscription) -> anyhow::Result<()> {
    let mut writer = Writer::new(File::create(OUTPUT)?, 19)?;
    let mut sequences = HashMap::new();
    let mut kinds = BTreeMap::<&str, u32>::new();
    while let Some(delivery) = subscription.next().await {
        let Delivery::Event(event) = delivery else { anyhow::bail!("missed events: record again") };
        let mut event = (*event).clone();
        // where the program lies is this machine's business
        let of_probes = event.source() == event::Source::Ebpf;
        if let Some(Kind::HealthAttached(attached)) = event.kind.as_mut().filter(|_| of_probes) {
            "bitcoind".clone_into(&mut attached.target);
        }
        // renumbered, because the beats are left out
        let sequence = sequences.entry(event.source).or_insert(0);
        event.sequence = *sequence;
        *sequence += 1;
        *kinds.entry(event.id().context("a kind of our own")?.name()).or_default() += 1;
        writer.write(&event)?;
    }
    let size = writer.finish()?.metadata()?.len();
    println!("{OUTPUT}: {} events, {size} bytes: {kinds:?}", kinds.values().sum::<u32>());
    Ok(())
}
