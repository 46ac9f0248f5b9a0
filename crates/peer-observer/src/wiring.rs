//! Which parts run, and how the program ends: signal → extractors stop → the bus flushes and closes → subscriptions end → tools
//! return → exit. The end of a recording is the same, without the signal.

use std::future::Future;
use std::io::{self, IsTerminal as _};

use bus::{Bus, Limits, NatsOptions, Subscription};
use event::Filter;
use extract::recording::{Merged, Recording};
use extract::replay::{self, Pace};

use crate::cli;
use crate::config::File;
use crate::exit::{Code, Failure};
use crate::extractors::Extractors;
use crate::known::Known;
use crate::service::{self, Signals};

/// Runs something async to its end.
///
/// # Errors
///
/// What it fails with, or that the system gives us no threads.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("po-async")
        .enable_all()
        .build()
        .map_err(|error| anyhow::Error::new(error).context("failed to start threads"))?;
    runtime.block_on(work)
}

/// The logger on standard output.
pub fn print(config: tools::logger::Config, events: Subscription) -> impl Future<Output = anyhow::Result<()>> + Send + 'static {
    let stdout = io::stdout();
    let terminal = stdout.is_terminal();
    tools::logger::run(config, events, stdout, terminal)
}

/// Plays a recording into a tool, until either ends or a signal comes.
///
/// # Errors
///
/// The recording is broken (what was whole has reached the tool), or the tool failed.
pub async fn play(
    events: impl Iterator<Item = Result<event::Event, extract::recording::RecordingError>>,
    pace: Pace,
    bus: Bus,
    tool: impl Future<Output = anyhow::Result<()>> + Send + 'static,
) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let mut tool = tokio::spawn(tool);
    let played = tokio::select! {
        played = replay::run(events, pace, &bus) => played,
        () = signals.received() => Ok(()),
        // nobody reads any more
        ended = &mut tool => return Ok(ended.map_err(anyhow::Error::new)??),
    };
    bus.close().await;
    tool.await.map_err(anyhow::Error::new)??;
    played.map_err(recording_failure)
}

/// A recording that cannot be read.
pub fn recording_failure(error: extract::recording::RecordingError) -> Failure {
    let hint = error.hint();
    Failure::new(Code::Recording, error).hint(hint)
}

/// `peer-observer logger`
///
/// # Errors
///
/// The bus or a recording cannot be read.
pub fn logger(options: cli::Logger) -> Result<(), Failure> {
    let filter = filter(&options.logger)?.of_nodes(options.node);
    if !options.recording.is_empty() {
        let open = |path| Recording::open(path).map_err(recording_failure);
        let recordings = options.recording.iter().map(|path| open(path)).collect::<Result<Vec<_>, _>>()?;
        let pace = if options.speed > 0.0 { Pace::Times(options.speed) } else { Pace::Max };
        return block_on(async {
            let bus = Bus::local();
            let subscription = bus.subscribe(filter, Limits::default()).await.map_err(bus_failure)?;
            play(Merged::new(recordings), pace, bus, print(options.logger, subscription)).await
        });
    }
    if options.nats.url.is_none() {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!("`logger` needs a bus or a recording to print from"))
            .hint("give `--nats URL` or `--recording FILES`; `peer-observer run` watches a node on this machine"));
    }
    block_on(async {
        let mut signals = Signals::new()?;
        let Some(bus) = signals.unless_received(open(&options.nats)).await? else { return Ok(()) };
        let subscribed = async { bus.subscribe(filter, Limits::default()).await.map_err(bus_failure) };
        let Some(subscription) = signals.unless_received(subscribed).await? else { return Ok(()) };
        let mut tool = tokio::spawn(print(options.logger, subscription));
        service::ready();
        tokio::select! {
            () = signals.received() => {}
            ended = &mut tool => return Ok(ended.map_err(anyhow::Error::new)??),
        }
        bus.close().await;
        Ok(tool.await.map_err(anyhow::Error::new)??)
    })
}

/// What the logger asks of the bus.
fn filter(logger: &tools::logger::Config) -> Result<Filter, Failure> {
    logger.filter().map_err(|error| Failure::new(Code::Usage, error).hint("`peer-observer events` lists all kinds"))
}

async fn open(nats: &NatsOptions) -> Result<Bus, Failure> {
    if nats.url.is_none() {
        return Ok(Bus::local());
    }
    Bus::open(nats).await.map_err(|error| {
        let hint = error.hint();
        Failure::new(Code::Bus, error).hint(hint)
    })
}

fn bus_failure(error: bus::BusError) -> Failure {
    Failure::new(Code::Bus, error)
}

/// What to start beside the bus; each with whether somebody asked for it by name, so that failing is an error.
#[derive(Default)]
struct Parts {
    #[cfg(feature = "ebpf")]
    ebpf: Option<(extract::ebpf::Config, bool)>,
    rpc: Option<(extract::rpc::Config, bool)>,
    log: Option<(extract::log::Config, bool)>,
    process: Option<extract::proc::Config>,
    p2p: Option<(extract::p2p::Config, bool)>,
    printed: Option<(tools::logger::Config, Filter)>,
}

impl Parts {
    /// Whether the log is all that is read.
    fn is_log_alone(&self) -> bool {
        #[cfg(feature = "ebpf")]
        if self.ebpf.is_some() {
            return false;
        }
        self.log.is_some() && self.rpc.is_none() && self.process.is_none() && self.p2p.is_none()
    }
}

/// `peer-observer run`
///
/// # Errors
///
/// What stands in the way of a start, or what ended a part before its time.
pub fn run(options: cli::Run, file: Option<&File>, told: &[String]) -> Result<(), Failure> {
    // everything that can be wrong with what was asked for comes before anything starts
    let filter = filter(&options.logger)?;
    let nodes = cli::nodes(&options.node, file, told)?;
    let wanted = |section: &str| file.is_none_or(|file| file.runs(section));
    let asked = |section: &str| file.is_some_and(|file| file.has(section));
    let parts = Parts {
        #[cfg(feature = "ebpf")]
        ebpf: wanted("ebpf").then_some((options.ebpf, asked("ebpf"))),
        rpc: wanted("rpc").then_some((options.rpc, asked("rpc"))),
        log: wanted("log").then_some((options.node_log, asked("log"))),
        process: wanted("proc").then_some(options.process),
        p2p: wanted("p2p").then_some((options.p2p, asked("p2p"))),
        printed: (!options.quiet && wanted("logger")).then_some((options.logger, filter)),
    };
    start(&nodes, parts, options.wait, &options.nats)
}

/// `peer-observer extract`
///
/// # Errors
///
/// As [`run`].
pub fn extract(options: cli::Extract, file: Option<&File>, told: &[String]) -> Result<(), Failure> {
    let (common, mut parts) = match options {
        #[cfg(feature = "ebpf")]
        cli::Extract::Ebpf(options) => (options.common, Parts { ebpf: Some((options.ebpf, true)), ..Parts::default() }),
        cli::Extract::Rpc(options) => (options.common, Parts { rpc: Some((options.rpc, true)), ..Parts::default() }),
        cli::Extract::Log(options) if !options.finished.from.is_empty() => return crate::history::run(*options),
        cli::Extract::Log(options) => (options.common, Parts { log: Some((options.log, true)), ..Parts::default() }),
        cli::Extract::Proc(options) => (options.common, Parts { process: Some(options.process), ..Parts::default() }),
        cli::Extract::P2p(options) => (options.common, Parts { p2p: Some((options.p2p, true)), ..Parts::default() }),
    };
    let nodes = cli::nodes(&common.node, file, told)?;
    if common.nats.url.is_none() {
        // without a bus its events would go nowhere: they are printed
        let config = tools::logger::Config::json();
        let filter = filter(&config)?;
        parts.printed = Some((config, filter));
    }
    start(&nodes, parts, common.wait, &common.nats)
}

/// Finds the nodes, gives up every capability, and runs until told to stop.
fn start(nodes: &[extract::node::Config], parts: Parts, wait: bool, nats: &NatsOptions) -> Result<(), Failure> {
    for node in nodes {
        let secret = node.rpc.rpc_user.is_some() || node.rpc.rpc_cookie.is_some();
        let place = node.rpc.rpc_url.is_some() || node.datadir.is_some() || node.pid_file.is_some() || node.pid.is_some();
        // a secret goes to the node that was meant, not to whichever process is called like one
        if secret && !place {
            return Err(Failure::new(Code::Usage, anyhow::anyhow!("an RPC user or cookie is given, but not for which node"))
                .hint("add --datadir or --rpc-url"));
        }
    }
    let known: Vec<Known> = nodes.iter().cloned().map(Known::find).collect();
    // a node that runs elsewhere is known by its RPC address alone, or by its log
    let needs_process =
        |node: &Known| node.config.rpc.rpc_url.is_none() && !(parts.is_log_alone() && node.config.log.log_file.is_some());
    let absent = known.iter().find_map(|node| node.missing.as_ref().filter(|_| needs_process(node)));
    if let (Some(missing), false) = (absent, wait) {
        return Err(Failure::new(Code::NoNode, anyhow::anyhow!("{}", missing.reason)).hint(missing.hint));
    }
    // also before anything starts: what was asked for by name and cannot be had
    let listeners: Vec<_> = known.iter().map(|node| parts.p2p.as_ref().map(|_| node.config.p2p.listen())).collect();
    if parts.p2p.as_ref().is_some_and(|(_, asked)| *asked)
        && let Some(error) = listeners.iter().flatten().find_map(|listener| listener.as_ref().err())
    {
        return Err(Failure::new(Code::Failure, anyhow::anyhow!("{error}")).hint(error.hint()));
    }
    let logs = known.iter().map(|node| parts.log.as_ref().map_or(Ok(None), |(_, asked)| open_log(node, *asked, wait)));
    let logs = logs.collect::<Result<Vec<_>, _>>()?;
    let node = |((known, listener), log)| Node { known, listener, log, probes: None };
    let mut nodes = known.into_iter().zip(listeners).zip(logs).map(node).collect::<Vec<_>>();
    #[cfg(feature = "ebpf")]
    probes::open(&mut nodes, parts.ebpf.as_ref(), parts.rpc.is_some(), wait)?;
    block_on(live(nodes, parts, nats))
}

/// Opens the log of a node while this process may; `None` if it is not to be read.
///
/// A log that is not there yet is waited for, if its node is there or waited for.
fn open_log(node: &Known, asked: bool, wait: bool) -> Result<Option<Log>, Failure> {
    let name = node.name();
    let Some(target) = node.log.clone() else {
        if asked {
            return Err(Failure::new(Code::Unsupported, anyhow::anyhow!("the node `{name}` is told to write no log"))
                .hint("start it without -nodebuglogfile"));
        }
        tracing::info!(node = %name, "the node is told to write no log");
        return Ok(None);
    };
    match target.opened() {
        Ok(file) => Ok(Some((target, Some(file)))),
        Err(error) if error.is_absent() && (wait || node.life.is_some()) => Ok(Some((target, None))),
        Err(error) if asked => {
            let code = match () {
                () if error.is_not_permitted() => Code::NotPermitted,
                () if error.is_absent() => Code::NoNode,
                () => Code::Failure,
            };
            let hint = error.hint();
            Err(Failure::new(code, error).hint(hint))
        }
        Err(error) => {
            tracing::warn!(node = %name, %error, hint = error.hint(), "the node's log is not read");
            Ok(None)
        }
    }
}

/// Where a log is, and the file if it is there.
type Log = (extract::log::Target, Option<std::fs::File>);

/// A node, with what was opened of it before anything starts.
struct Node {
    known: Known,
    log: Option<Log>,
    listener: Option<Result<std::net::TcpListener, extract::p2p::ListenError>>,
    #[cfg_attr(not(feature = "ebpf"), expect(dead_code, reason = "there are no probes in this build"))]
    probes: Option<Probes>,
}

#[cfg(feature = "ebpf")]
type Probes = ebpf::Source;
#[cfg(not(feature = "ebpf"))]
type Probes = std::convert::Infallible;

/// Everything that watches live nodes: extractors, the bus, the logger.
async fn live(nodes: Vec<Node>, mut parts: Parts, nats: &NatsOptions) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let Some(bus) = signals.unless_received(open(nats)).await? else { return Ok(()) };
    let mut logger = None;
    if let Some((config, filter)) = parts.printed.take() {
        // before the first event, so that it misses none
        let subscription = bus.subscribe(filter, Limits::default()).await.map_err(bus_failure)?;
        logger = Some(tokio::spawn(print(config, subscription)));
    }
    let mut extractors = Extractors::new(bus.clone());
    for node in nodes {
        watch(node, &parts, &mut extractors).await?;
    }
    service::ready();

    let mut watchdog = tokio::time::interval(service::watchdog().unwrap_or(std::time::Duration::from_secs(3600)));
    let outcome = loop {
        tokio::select! {
            () = signals.received() => break Ok(()),
            ended = extractors.ended() => break ended,
            ended = async { logger.as_mut().expect("checked").await }, if logger.is_some() => {
                logger = None;
                // nobody reads the lines any more
                break ended.map_err(anyhow::Error::new).and_then(|result| result).map_err(Failure::from);
            }
            _ = watchdog.tick() => {
                if extractors.alive() {
                    service::alive();
                }
            }
        }
    };
    service::stopping();
    let end = async {
        let stopped = extractors.stop().await;
        bus.close().await;
        if let Some(logger) = logger {
            logger.await.map_err(anyhow::Error::new)??;
        }
        stopped
    };
    tokio::select! {
        ended = end => outcome.and(ended),
        // a second signal: whoever sent it does not want to wait
        () = signals.received() => Err(Failure::from(anyhow::anyhow!("ended by a second signal before everything was written"))),
    }
}

/// Starts every extractor of a node.
async fn watch(node: Node, parts: &Parts, extractors: &mut Extractors) -> Result<(), Failure> {
    let Node { known, listener, log, probes } = node;
    let name = known.name().clone();
    #[cfg(feature = "ebpf")]
    if let Some(source) = probes {
        probes::start(source, &known, parts.rpc.is_some(), extractors).await?;
    }
    #[cfg(not(feature = "ebpf"))]
    let _: Option<Probes> = probes;
    if let Some((config, _)) = &parts.rpc {
        let (out, stopped) = (extractors.publisher(&name, event::Source::Rpc), extractors.stopped());
        let (config, target) = (config.clone(), known.rpc.clone());
        extractors.task(async {
            extract::rpc::run(config, target, out, stopped).await;
            Ok(())
        });
    }
    let (lives, life) = tokio::sync::watch::channel(known.life.clone());
    match (&parts.p2p, listener) {
        (Some((config, _)), Some(Ok(listener))) => {
            let place = known.config.p2p.clone();
            let (out, stopped) = (extractors.publisher(&name, event::Source::P2p), extractors.stopped());
            tracing::info!(node = %name, option = place.node_option(), "waiting for the node's connection");
            extractors.task(extract::p2p::run(config.clone(), place, listener, life.clone(), out, stopped));
        }
        (_, Some(Err(error))) => tracing::warn!(node = %name, %error, hint = error.hint(), "no pings of our own"),
        _ => {}
    }
    if let (Some((config, _)), Some((target, file))) = (&parts.log, log) {
        let (out, input_ended) = (extractors.publisher(&name, event::Source::Log), extractors.input_ended());
        let (config, life) = (config.clone(), life.clone());
        extractors.thread(&name, move |stop| {
            if extract::log::run(&config, target, file, life, &out, stop)? == extract::log::End::Input {
                input_ended.store(true, std::sync::atomic::Ordering::Release);
            }
            Ok(())
        })?;
    }
    if let Some(config) = &parts.process {
        let (out, stopped) = (extractors.publisher(&name, event::Source::Proc), extractors.stopped());
        let (config, life) = (config.clone(), life.clone());
        extractors.task(async {
            extract::proc::run(config, life, out, stopped).await;
            Ok(())
        });
    }
    drop(life);
    tokio::spawn(extract::life::follow(known.into_search(), lives));
    Ok(())
}

#[cfg(feature = "ebpf")]
mod probes {
    use std::process::Command;
    use std::time::Duration;

    use anyhow::Context as _;
    use ebpf::control::{Class, Problem};
    use ebpf::{Source, Tracer};
    use event::{Kind, StatePeers};
    use extract::rpc::{self, Connection, Method};

    use super::{Node, block_on};
    use crate::exit::{Code, Failure};
    use crate::extractors::Extractors;
    use crate::known::Known;

    /// Starts a tracer per node, gives up every capability of this process, and waits until all are attached.
    ///
    /// Must come before any thread is started: capabilities belong to threads. A node whose probes cannot be had is watched without
    /// them if they were not asked for by name, and if there is something else to watch: its RPC answers.
    pub(super) fn open(
        nodes: &mut [Node],
        config: Option<&(extract::ebpf::Config, bool)>,
        ask: bool,
        wait: bool,
    ) -> Result<(), Failure> {
        let Some((config, asked)) = config else {
            return Ok(ebpf::privileges::drop_all().map_err(anyhow::Error::new)?);
        };
        let spawn = |node: &Node| {
            let mut command = Command::new("/proc/self/exe");
            command.arg("tracer");
            Tracer::spawn(command, &config.tracer(&node.known.config, wait)).context("failed to start the tracing process")
        };
        let tracers = nodes.iter().map(spawn).collect::<anyhow::Result<Vec<_>>>()?;
        ebpf::privileges::drop_all().map_err(anyhow::Error::new)?;
        for (node, tracer) in nodes.iter_mut().zip(tracers) {
            match Source::open(tracer, config.ebpf_raw) {
                Ok(source) => node.probes = Some(source),
                Err(problem) => {
                    if *asked || !ask || block_on(async { Ok(present(&node.known.rpc).await) })?.is_none() {
                        return Err(failure(problem));
                    }
                    let name = node.known.name();
                    tracing::error!(node = %name, %problem, hint = problem.hint, "no kernel probes: messages and connections are not seen");
                }
            }
        }
        Ok(())
    }

    fn failure(problem: Problem) -> Failure {
        let code = match problem.class {
            Class::NotPermitted => Code::NotPermitted,
            Class::Kernel | Class::NoProbes => Code::Unsupported,
            Class::NoNode | Class::SeveralNodes => Code::NoNode,
            Class::Broken => Code::Failure,
        };
        let hint = problem.hint.clone();
        Failure::new(code, anyhow::Error::new(problem)).hint(hint)
    }

    /// Starts reading; peers that were connected before are made known first.
    pub(super) async fn start(mut source: Source, node: &Known, ask: bool, extractors: &mut Extractors) -> anyhow::Result<()> {
        if let (Some(life), true) = (&node.life, ask)
            && let Some(peers) = present(&node.rpc).await
        {
            let seeds = rpc::peers_of(&peers).map(|peer| (peer.id, peer.address, peer.connection_type, peer.network));
            source.seed(life.pid, seeds);
        }
        let out = extractors.publisher(node.name(), event::Source::Ebpf);
        extractors.thread(node.name(), move |stop| extract::ebpf::run(source, &out, stop).map_err(failure))
    }

    /// Who is connected at this moment, if the node says so soon.
    async fn present(target: &rpc::Target) -> Option<StatePeers> {
        let ask = async {
            let method = Method::of_name("getpeerinfo")?;
            let secret = target.secret.read().ok()?;
            let mut connection = Connection::open(&target.address, &secret).await.ok()?;
            match connection.call(method, &mut 0).await.ok()?.decode(method).ok()? {
                Kind::StatePeers(peers) => Some(peers),
                _ => None,
            }
        };
        tokio::time::timeout(Duration::from_secs(2), ask).await.ok().flatten()
    }
}
