//! What the recipes of recordings share: all extractors around a real bitcoind, into a file.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, ensure};
use bus::{Bus, Delivery, Limits, Subscription};
use ebpf::process::Finder;
use ebpf::{Source, Tracer};
use event::{Filter, Kind};
use extract::life::Life;
use extract::node::Config;
use extract::recording::Writer;
use extract::rpc;
use testkit::{Node, node};
use tokio::sync::watch;

/// A recording to be made.
pub struct Recipe {
    /// The node's name in it.
    pub name: &'static str,
    /// The file.
    pub output: PathBuf,
    /// Of zstd.
    pub level: i32,
    /// Whether `health.beat` is kept. Without, what is left is numbered anew.
    pub beats: bool,
}

impl Recipe {
    /// Records what all extractors see of a node started with `options` while `play` runs.
    ///
    /// The tracer is the program itself, started again: with the argument `tracer` this is what it becomes. The file takes its
    /// place when everything went well; what `play` fails with, or a single lost event, leaves it beside its place.
    pub fn record<T>(self, options: node::Options, play: impl FnOnce(&Node) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut place = Config::of_datadir(self.name.parse()?, "").p2p;
        place.p2p_listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let main = Node::start(options)?;
        let node = Config { p2p: place, ..Config::of_datadir(self.name.parse()?, main.datadir()) };

        let probes = extract::ebpf::Config { ebpf_raw: false, ebpf_buffer: "16MiB".parse().map_err(anyhow::Error::msg)? };
        let mut command = Command::new("/proc/self/exe");
        command.arg("tracer");
        let tracer = Tracer::spawn(command, &probes.tracer(&node, false)).context("failed to start the tracing process")?;
        let source = Source::open(tracer, false)?;

        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let bus = Bus::local();
        let filter = if self.beats { Filter::all() } else { Filter::parse(["!health.beat"])? };
        let subscription = runtime.block_on(bus.subscribe(filter, QUEUE))?;
        let publisher = |source| bus.publisher(node.name.clone(), source);
        let process = Finder::new(node.target()).find()?;
        let life = Life { pid: process.pid, node_run: process.node_run, datadir: node.datadir.clone() };
        let place = rpc::Place { datadir: node.datadir.clone(), command: process.command, ..rpc::Place::default() };
        let target = node.rpc.target(&place);
        let (_lives, life) = watch::channel(Some(life));
        let (stop, _) = watch::channel(false);
        let stopped = || {
            let mut stop = stop.subscribe();
            async move { drop(stop.wait_for(|stop| *stop).await) }
        };
        let flag = AtomicBool::new(false);
        let listener = node.p2p.listen()?;
        // not by an option: a node that has tried in vain at its start does so again after a minute
        main.rpc("addnode", serde_json::json!([node.p2p.p2p_listen.to_string(), "add"]))?;
        let played = std::thread::scope(|scope| {
            let probes = publisher(event::Source::Ebpf);
            let flag = &flag;
            let extractor = scope.spawn(move || extract::ebpf::run(source, &probes, flag));
            let tasks = [
                runtime.spawn({
                    let (out, stopped, life) = (publisher(event::Source::Rpc), stopped(), life.clone());
                    async move {
                        rpc::run(rpc::Config::default(), Arc::new(move |_| target.clone()), life, out, stopped).await;
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
                    async { extract::p2p::run(default(), place, listener, life, out, stopped).await }
                }),
            ];
            let recorder = scope.spawn(|| {
                let written = runtime.block_on(self.write(subscription));
                // at once: an hour is long
                written.inspect_err(|error| eprintln!("not recorded: {error:#}"))
            });
            let played = play(&main);
            // whatever went wrong, everybody is told to end
            flag.store(true, Ordering::Release);
            stop.send_replace(true);
            let extracted = extractor.join().expect("the extractor does not panic");
            let tasks = tasks.map(|task| runtime.block_on(task));
            runtime.block_on(bus.clone().close());
            recorder.join().expect("the recorder does not panic")?;
            extracted?;
            for task in tasks {
                task??;
            }
            played
        })?;
        fs::rename(self.unfinished(), &self.output)?;
        println!("{}", self.output.display());
        Ok(played)
    }

    fn unfinished(&self) -> PathBuf {
        self.output.with_extension("rec.part")
    }

    async fn write(&self, mut subscription: Subscription) -> anyhow::Result<()> {
        let unfinished = self.unfinished();
        fs::create_dir_all(self.output.parent().unwrap_or(Path::new(".")))?;
        let mut writer = Writer::new(File::create(&unfinished)?, self.level)?;
        let mut sequences = HashMap::new();
        let mut kinds = BTreeMap::<&str, u32>::new();
        let mut sources = BTreeMap::<&str, u32>::new();
        let mut lost = 0;
        while let Some(delivery) = subscription.next().await {
            let event = match delivery {
                Delivery::Event(event) => event,
                Delivery::Missed(count) => {
                    lost += count;
                    continue;
                }
            };
            if let Some(Kind::HealthLost(loss)) = &event.kind {
                lost += loss.count;
            }
            let mut event = (*event).clone();
            // where the program lies is this machine's business
            let of_probes = event.source() == event::Source::Ebpf;
            if let Some(Kind::HealthAttached(attached)) = event.kind.as_mut().filter(|_| of_probes) {
                "bitcoind".clone_into(&mut attached.target);
            }
            if !self.beats {
                let sequence = sequences.entry(event.source).or_insert(0);
                event.sequence = *sequence;
                *sequence += 1;
            }
            *kinds.entry(event.id().context("a kind of our own")?.name()).or_default() += 1;
            *sources.entry(event.source().as_str_name()).or_default() += 1;
            writer.write(&event)?;
        }
        let size = writer.finish()?.metadata()?.len();
        println!("{} events, {size} bytes", kinds.values().sum::<u32>());
        println!("by source: {sources:?}\nby kind: {kinds:?}");
        ensure!(lost == 0, "{lost} events were lost: record again, on a quieter machine");
        Ok(())
    }
}

/// Whether this process is to be the tracer of another, which then has happened.
pub fn was_tracer() -> anyhow::Result<bool> {
    let wanted = std::env::args().nth(1).as_deref() == Some("tracer");
    if wanted {
        ebpf::tracer::run()?;
    }
    Ok(wanted)
}

/// Room for what comes while the machine is busy with other things; full, it fails the recording.
const QUEUE: Limits = Limits { events: 1 << 20, bytes: 512 << 20 };

/// A component as it is without any flag.
fn default<A: clap::Args + clap::FromArgMatches>() -> A {
    let matches = A::augment_args(clap::Command::new("record")).get_matches_from([""; 0]);
    A::from_arg_matches(&matches).expect("every flag has a default")
}
