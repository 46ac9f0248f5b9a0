//! Which parts run, and how the program ends: signal → extractors stop → tools that publish read what is left, publish what they have, and
//! return → the bus flushes and closes → subscriptions end → the other tools return → exit. The end of a recording is the same, without the
//! signal.

use std::future::Future;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use bus::{Bus, Limits, NatsOptions, Subscription};
use event::Filter;
use tokio::task::JoinHandle;

use crate::alone;
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
    let result = runtime.block_on(work);
    // whoever still writes to a pipe that nobody reads, or asks a disk that hangs, does not hold up the end
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// The logger on standard output.
pub fn print(config: tools::logger::Config, events: Subscription) -> impl Future<Output = anyhow::Result<()>> + Send + 'static {
    let stdout = io::stdout();
    let terminal = stdout.is_terminal();
    tools::logger::run(config, events, stdout, terminal)
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
        let recordings = alone::recorded(&options.recording, &filter)?;
        return block_on(async {
            let bus = Bus::local();
            let subscription = bus.subscribe(filter, Limits::default()).await.map_err(bus_failure)?;
            let tool = print(options.logger, subscription);
            alone::play(recordings, std::convert::identity, alone::pace(options.speed), bus, tool).await
        });
    }
    if options.nats.url.is_none() {
        return Err(alone::no_input("logger", "print from", "`peer-observer run` watches a node on this machine"));
    }
    alone::follow(&options.nats, options.replay_id, filter, |events| Ok(print(options.logger, events)))
}

/// What the logger asks of the bus.
fn filter(logger: &tools::logger::Config) -> Result<Filter, Failure> {
    logger.filter().map_err(|error| Failure::new(Code::Usage, error).hint("`peer-observer events` lists all kinds"))
}

/// The bus that was asked for.
///
/// # Errors
///
/// The server cannot be reached, or does not let us in.
pub async fn open(nats: &NatsOptions) -> Result<Bus, Failure> {
    if nats.url.is_none() {
        return Ok(Bus::local());
    }
    Bus::open(nats).await.map_err(|error| {
        let hint = error.hint();
        Failure::new(Code::Bus, error).hint(hint)
    })
}

/// A bus that cannot be read.
pub fn bus_failure(error: bus::BusError) -> Failure {
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
    join: Option<(tools::join::Config, bool)>,
    reconcile: Option<(tools::reconcile::Config, bool)>,
    ipc: Option<(extract::ipc::Config, bool)>,
    printed: Option<(tools::logger::Config, Filter)>,
    kept: Option<(tools::archive::Config, Filter)>,
    shipped: Option<crate::ship::Asked>,
    metrics: Option<(tools::metrics::Config, bool)>,
    /// A screen in the place of lines.
    top: bool,
    detect: Option<(tools::detect::Config, bool)>,
    connect: Option<tools::connect::Config>,
    /// What findings become.
    incidents: Option<crate::incidents::Asked>,
    web: Option<(tools::web::Config, bool)>,
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
    let mut archive = options.archive;
    let shipped = crate::ship::asked(options.ship, archive.archive.clone(), asked("ship"))?;
    // what is shipped is not deleted before it is there
    archive.archive_keep_unshipped |= shipped.is_some();
    let parts = Parts {
        #[cfg(feature = "ebpf")]
        ebpf: wanted("ebpf").then_some((options.ebpf, asked("ebpf"))),
        rpc: wanted("rpc").then_some((options.rpc, asked("rpc"))),
        log: wanted("log").then_some((options.node_log, asked("log"))),
        process: wanted("proc").then_some(options.process),
        p2p: wanted("p2p").then_some((options.p2p, asked("p2p"))),
        join: wanted("join").then_some((options.join, asked("join"))),
        reconcile: wanted("reconcile").then_some((options.reconcile, asked("reconcile"))),
        // never unasked: see docs/design/0009-ipc.md for what it may do to a node
        ipc: (asked("ipc") || nodes.iter().any(|node| node.ipc.ipc_socket.is_some())).then_some((options.ipc, true)),
        printed: (!options.quiet && !options.top && wanted("logger")).then_some((options.logger, filter)),
        metrics: wanted("metrics").then_some((options.metrics, asked("metrics"))),
        detect: wanted("detect").then_some((options.detect, asked("detect"))),
        // never unasked: it dials strangers
        connect: (asked("connect") || options.connect.is_asked()).then_some(options.connect),
        incidents: crate::incidents::asked(
            options.incidents,
            options.messages,
            archive.archive.as_ref(),
            asked("incidents") || asked("messages"),
        )?,
        web: wanted("web").then_some((options.web, asked("web"))),
        kept: crate::archive::asked(archive, asked("archive"))?,
        shipped,
        top: options.top,
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
        cli::Extract::Ipc(options) => (options.common, Parts { ipc: Some((options.ipc, true)), ..Parts::default() }),
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
fn start(nodes: &[extract::node::Config], mut parts: Parts, wait: bool, nats: &NatsOptions) -> Result<(), Failure> {
    if parts.top {
        crate::top::check()?;
    }
    if !extract::ipc::BUILT_IN && parts.ipc.as_ref().is_some_and(|(_, asked)| *asked) {
        return Err(Failure::new(Code::Unsupported, anyhow::anyhow!("this build cannot talk to a node's IPC socket")).hint(
            "build it with the feature `ipc`; that needs Cap'n Proto's compiler (`apt-get install capnproto libcapnp-dev`)",
        ));
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
    let metrics = parts.metrics.as_ref().map_or(Ok(None), |(config, asked)| crate::metrics::take_port(config, *asked))?;
    let web = parts.web.as_ref().map_or(Ok(None), |(config, asked)| crate::web::take_port(config, *asked))?;
    let logs = known.iter().map(|node| parts.log.as_ref().map_or(Ok(None), |(_, asked)| open_log(node, *asked, wait)));
    let logs = logs.collect::<Result<Vec<_>, _>>()?;
    let detect = match parts.detect.take() {
        Some((config, asked)) => Some((config.prepare(true).map_err(crate::detect::unreadable)?, asked)),
        None => None,
    };
    let here = known.iter().any(|node| node.life.is_some());
    let connect = parts.connect.take().map(|config| crate::connect::prepare(config, here)).transpose()?;
    let node = |((known, listener), log)| Node { known, listener, log, probes: None };
    let mut nodes = known.into_iter().zip(listeners).zip(logs).map(node).collect::<Vec<_>>();
    #[cfg(feature = "ebpf")]
    probes::open(&mut nodes, parts.ebpf.as_ref(), parts.rpc.is_some(), wait, nats, parts.top)?;
    // as whoever it is that goes on, so that the files are his
    let book = parts.incidents.take().map(crate::incidents::Asked::open).transpose()?;
    block_on(live(nodes, parts, metrics, web, (detect, connect, book), nats))
}

/// What the operator named and is read after the start: it has to be readable for whoever the program goes on as.
#[cfg(feature = "ebpf")]
pub fn named_files<'a>(nodes: impl IntoIterator<Item = &'a Known>, nats: &'a NatsOptions) -> Vec<&'a std::path::Path> {
    let NatsOptions { password_file, nkey_file, credentials_file, ca_file, certificate_file, key_file, .. } = nats;
    let of_nats = [password_file, nkey_file, credentials_file, ca_file, certificate_file, key_file];
    let of_nodes = nodes.into_iter().flat_map(|node| [&node.config.rpc.rpc_password_file, &node.config.rpc.rpc_cookie]);
    of_nats.into_iter().chain(of_nodes).flatten().map(std::path::PathBuf::as_path).collect()
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

/// Everything that watches live nodes: extractors, the bus, the tools.
async fn live(
    nodes: Vec<Node>,
    mut parts: Parts,
    metrics: Option<crate::metrics::Taken>,
    mut web: Option<crate::web::Taken>,
    (detect, connect, book): (
        Option<(tools::detect::Prepared, bool)>,
        Option<tools::connect::Prepared>,
        Option<crate::incidents::Keeper>,
    ),
    nats: &NatsOptions,
) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let Some(bus) = signals.unless_received(open(nats)).await? else { return Ok(()) };
    let mut logger = None;
    if let Some((config, filter)) = parts.printed.take() {
        // before the first event, so that it misses none
        let subscription = bus.subscribe(filter, Limits::default()).await.map_err(bus_failure)?;
        logger = Some(tokio::spawn(print(config, subscription)));
    }
    if parts.top {
        let events = bus.subscribe(tools::top::wanted(), Limits::default()).await.map_err(bus_failure)?;
        // it has the place of the logger: who reads no more has the program end
        logger = Some(tokio::spawn(crate::top::Screen::take()?.show(events, std::future::ready(()))));
    }
    let mut counted = None;
    if let Some(crate::metrics::Taken { reading, listener, asked }) = metrics
        && let Some(events) = own_events(&bus, "metrics", tools::metrics::wanted(), asked).await?
    {
        counted = Some(tokio::spawn(tools::metrics::run(reading, events, listener, std::future::ready(()))));
    }
    if let (Some(web), Some(book)) = (&mut web, &book) {
        web.reading.reach(book.questions(), book.book.name().to_owned());
    }
    let mut shown = None;
    if let Some(crate::web::Taken { reading, listener, asked }) = web
        && let Some(events) = own_events(&bus, "web", Filter::all(), asked).await?
    {
        let input = tools::web::Input::Live(events);
        shown = Some(tokio::spawn(tools::web::run(reading, input, listener, std::future::pending())));
    }
    let mut kept = match parts.kept.take() {
        Some((config, filter)) => Some(tokio::spawn(crate::archive::start(config, filter, &bus).await?)),
        None => None,
    };
    // before the detectors, and it ends after them
    let mut incidents = Extractors::new(bus.clone());
    if let Some(book) = book
        && let Some(events) = own_events(&bus, "incidents", tools::incidents::filter(), true).await?
    {
        book.start(events, &bus, &mut incidents)?;
    }
    // as extractors: started and watched over alike, but they stop when nothing more comes from those
    let mut joins = Extractors::new(bus.clone());
    for node in &nodes {
        join(node.known.name(), &parts, &bus, &mut joins).await?;
    }
    let mut shipping = None;
    if let Some(shipped) = parts.shipped.take() {
        shipping = Some(crate::ship::start(shipped, nodes.iter().map(|node| node.known.name()), &mut joins)?);
    }
    if let Some(connect) = connect {
        let first = nodes.first().map(|node| node.known.name().clone());
        let filter = tools::connect::Prepared::filter(nodes.iter().map(|node| node.known.name().clone()));
        if let Some(events) = own_events(&bus, "connect", filter, true).await? {
            let at_a_node = tools::connect::AtANode::Stay;
            joins.task(tools::connect::run(connect, events, bus.clone(), first, at_a_node, joins.stopped()));
        }
    }
    // likewise, when nothing more comes from those either
    let mut detectors = Extractors::new(bus.clone());
    if let Some((detect, asked)) = detect {
        let first = nodes.first().map(|node| node.known.name().clone());
        let filter = detect.filter(nodes.iter().map(|node| node.known.name().clone()));
        if let Some(events) = own_events(&bus, "detectors", filter, asked).await? {
            detectors.task(tools::detect::run(detect, events, bus.clone(), first, detectors.stopped(), |_| Ok(())));
        }
    }
    let mut extractors = Extractors::new(bus.clone());
    let watched = async {
        for node in nodes {
            watch(node, &parts, &mut extractors).await?;
        }
        Ok::<_, Failure>(())
    };
    let outcome = match signals.unless_received(watched).await {
        Ok(Some(())) => {
            service::ready();
            let tools = [&mut logger, &mut counted, &mut shown, &mut kept];
            watch_over(&mut signals, &mut extractors, [&mut joins, &mut detectors, &mut incidents], tools).await
        }
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    service::stopping();
    let end = async {
        let stopped = extractors.stop().await.and(joins.stop().await).and(detectors.stop().await).and(incidents.stop().await);
        bus.close().await;
        if let Some(logger) = logger {
            logger.await.map_err(anyhow::Error::new)??;
        }
        for tool in [counted, shown, kept].into_iter().flatten() {
            tool.await.map_err(anyhow::Error::new)??;
        }
        if let Some(shipping) = shipping {
            shipping.say_what_remains().await;
        }
        stopped
    };
    outcome.and(signals.end(end).await)
}

/// Waits for a signal, or for a part to end.
async fn watch_over(
    signals: &mut Signals,
    extractors: &mut Extractors,
    [joins, detectors, incidents]: [&mut Extractors; 3],
    tools: [&mut Option<JoinHandle<anyhow::Result<()>>>; 4],
) -> Result<(), Failure> {
    let [logger, counted, shown, kept] = tools;
    let mut watchdog = tokio::time::interval(service::watchdog().unwrap_or(Duration::from_hours(1)));
    loop {
        tokio::select! {
            () = signals.received() => return Ok(()),
            ended = extractors.ended() => return ended,
            ended = joins.ended() => return ended,
            ended = detectors.ended() => return ended,
            ended = incidents.ended() => return ended,
            ended = async { logger.as_mut().expect("checked").await }, if logger.is_some() => {
                *logger = None;
                // nobody reads the lines any more
                return ended.map_err(anyhow::Error::new).and_then(|result| result).map_err(Failure::from);
            }
            ended = async { counted.as_mut().expect("checked").await }, if counted.is_some() => {
                *counted = None;
                return ended.map_err(anyhow::Error::new).and_then(|result| result).map_err(Failure::from);
            }
            ended = async { shown.as_mut().expect("checked").await }, if shown.is_some() => {
                *shown = None;
                return ended.map_err(anyhow::Error::new).and_then(|result| result).map_err(Failure::from);
            }
            ended = async { kept.as_mut().expect("checked").await }, if kept.is_some() => {
                *kept = None;
                return ended.map_err(anyhow::Error::new).and_then(|result| result).map_err(Failure::from);
            }
            _ = watchdog.tick() => {
                if extractors.alive() {
                    service::alive();
                }
            }
        }
    }
}

/// Starts the tools that make facts of a node's facts.
async fn join(name: &event::NodeName, parts: &Parts, bus: &Bus, joins: &mut Extractors) -> Result<(), Failure> {
    #[cfg(feature = "ebpf")]
    let probes = parts.ebpf.is_some();
    #[cfg(not(feature = "ebpf"))]
    let probes = false;
    // without both there is nothing to compare
    let reconcile = parts.reconcile.as_ref().filter(|_| probes && parts.rpc.is_some());
    if parts.join.is_none() && reconcile.is_none() {
        return Ok(());
    }
    let out = joins.publisher(name, event::Source::Join);
    if let Some((config, asked)) = &parts.join
        && let Some(events) = own_events(bus, "join", tools::join::filter(name), *asked).await?
    {
        joins.task(tools::join::run(config.clone(), events, out.clone(), joins.stopped()));
    }
    if let Some((config, asked)) = reconcile
        && let Some(events) = own_events(bus, "reconciliation", tools::reconcile::filter(name), *asked).await?
    {
        joins.task(tools::reconcile::run(config.clone(), events, out, joins.stopped()));
    }
    Ok(())
}

/// Events for a tool that is part of watching. Who may publish to a server need not be allowed to subscribe: then it is left out, unless it
/// was asked for.
async fn own_events(bus: &Bus, tool: &str, filter: Filter, asked: bool) -> Result<Option<Subscription>, Failure> {
    match bus.subscribe(filter, Limits::default()).await {
        Ok(events) => Ok(Some(events)),
        Err(error @ bus::BusError::NotPermitted { .. }) if !asked => {
            tracing::warn!(tool, %error, "goes on without");
            Ok(None)
        }
        Err(error) => Err(bus_failure(error)),
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
    let (lives, life) = tokio::sync::watch::channel(known.life.clone());
    if let Some((config, _)) = &parts.rpc {
        let (out, stopped) = (extractors.publisher(&name, event::Source::Rpc), extractors.stopped());
        let (config, locate, life) = (config.clone(), known.locate(), life.clone());
        extractors.task(async {
            extract::rpc::run(config, locate, life, out, stopped).await;
            Ok(())
        });
    }
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
        let (config, locate, life) = (config.clone(), known.locate_log(), life.clone());
        extractors.thread(&name, move |stop| {
            if extract::log::run(&config, target, locate, file, life, &out, stop)? == extract::log::End::Input {
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
    #[cfg(feature = "ipc")]
    if let Some((config, _)) = &parts.ipc {
        let (out, stopped) = (extractors.publisher(&name, event::Source::Ipc), extractors.stopped());
        extractors.task(extract::ipc::run(config.clone(), known.locate_ipc(), life.clone(), out, stopped));
    }
    drop(life);
    tokio::spawn(extract::life::follow(known.into_search(), lives));
    Ok(())
}

#[cfg(feature = "ebpf")]
mod probes {
    use std::io::{PipeReader, PipeWriter, Read as _};
    use std::process::Command;
    use std::time::Duration;

    use anyhow::Context as _;
    use bus::NatsOptions;
    use ebpf::control::{Class, Problem};
    use ebpf::{Source, Tracer};
    use event::{Kind, StatePeers};
    use extract::rpc::{self, Connection, Method};

    use super::{Node, block_on};
    use crate::exit::{Code, Failure};
    use crate::extractors::Extractors;
    use crate::known::Known;
    use crate::user;

    /// Starts a tracer per node, gives up every capability of this process, and root where it can, and waits until all are attached.
    ///
    /// Must come before any thread is started: capabilities and users belong to threads. A node whose probes cannot be had is watched without
    /// them if they were not asked for by name, and if there is something else to watch: its RPC answers. With a `screen`, what tracers print goes
    /// into the log, which is held back meanwhile: it would be drawn over what is shown.
    pub(super) fn open(
        nodes: &mut [Node],
        config: Option<&(extract::ebpf::Config, bool)>,
        ask: bool,
        wait: bool,
        nats: &NatsOptions,
        screen: bool,
    ) -> Result<(), Failure> {
        let Some((config, asked)) = config else { return give_up_rights(nodes, nats) };
        let mut printed = None;
        let spawn = |node: &Node| {
            let mut command = Command::new("/proc/self/exe");
            command.arg("tracer");
            if screen {
                command.stderr(told_to(&mut printed)?);
            }
            Tracer::spawn(command, &config.tracer(&node.known.config, wait)).context("failed to start the tracing process")
        };
        let tracers = nodes.iter().map(spawn).collect::<anyhow::Result<Vec<_>>>()?;
        give_up_rights(nodes, nats)?;
        if let Some((reader, ours)) = printed {
            drop(ours);
            let thread = std::thread::Builder::new().name("po-tracer-says".to_owned());
            thread.spawn(move || pass_on(reader)).context("failed to start a thread")?;
        }
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

    /// The end of a pipe that all tracers write to; it is made for the first.
    fn told_to(printed: &mut Option<(PipeReader, PipeWriter)>) -> anyhow::Result<PipeWriter> {
        let (_, writer) = match printed {
            Some(pipe) => pipe,
            none => none.insert(std::io::pipe().context("failed to make a pipe")?),
        };
        Ok(writer.try_clone()?)
    }

    /// What tracers print, into the log, until none of them runs. They print next to nothing: what has no other way to be told, as a panic.
    fn pass_on(mut reader: PipeReader) {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut bytes) {
            for line in String::from_utf8_lossy(&bytes[..count]).lines().filter(|line| !line.is_empty()) {
                tracing::warn!("the tracing process says: {}", event::text::Printable(line));
            }
        }
    }

    fn give_up_rights(nodes: &[Node], nats: &NatsOptions) -> Result<(), Failure> {
        let known = || nodes.iter().map(|node| &node.known);
        let user = user::give_up_rights(known(), &super::named_files(known(), nats))?;
        match (&user, user.hint()) {
            (user::User::Same(_), _) => {}
            (_, None) => tracing::info!("{user}"),
            (_, Some(hint)) => tracing::warn!(hint, "{user}"),
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
