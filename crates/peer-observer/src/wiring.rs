//! Which plan run, and how the program ends: signal → extractors stop → tools that publish read what is left, publish what they have, and
//! return → the bus flushes and closes → subscriptions end → the other tools return → exit. The end of a recording is the same, without the
//! signal.

mod node;
#[cfg(feature = "ebpf")]
mod probes;

use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bus::{Bus, Limits, NatsOptions, Subscription};
use event::{Filter, NodeName};

use self::node::Node;
use crate::cli;
use crate::config::File;
use crate::exit::{Code, Failure};
use crate::known::Known;
use crate::parts::Parts;
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

/// A recording that cannot be read.
pub fn recording_failure(error: extract::recording::RecordingError) -> Failure {
    let hint = error.hint();
    Failure::new(Code::Recording, error).hint(hint)
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
struct Plan {
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

impl Plan {
    /// Whether anything is read of a node.
    fn extracts(&self) -> bool {
        #[cfg(feature = "ebpf")]
        if self.ebpf.is_some() {
            return true;
        }
        self.rpc.is_some() || self.log.is_some() || self.process.is_some() || self.p2p.is_some() || self.ipc.is_some()
    }

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
    let filter = crate::logger::filter(&options.logger)?;
    let nodes = cli::nodes(&options.node, file, told)?;
    let wanted = |section: &str| file.is_none_or(|file| file.runs(section));
    let asked = |section: &str| file.is_some_and(|file| file.has(section));
    let mut archive = options.archive;
    let shipped = crate::ship::asked(options.ship, archive.archive.clone(), asked("ship"))?;
    // what is shipped is not deleted before it is there
    archive.archive_keep_unshipped |= shipped.is_some();
    let plan = Plan {
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
    if asked("nats") && options.nats.url.is_none() {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!("`[nats]` in the configuration says nothing of the server"))
            .hint("add `url`, as in `url = \"nats://127.0.0.1:4222\"`, or give `--nats URL`"));
    }
    if options.nats.url.is_none() && !plan.extracts() {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!("the configuration starts nothing that watches a node"))
            .hint("a section that is there is a part that runs: add `[ebpf]`, `[rpc]`, `[log]`, `[proc]` or `[p2p]`; without any section all run"));
    }
    start(&nodes, plan, options.wait, &options.nats)
}

/// `peer-observer extract`
///
/// # Errors
///
/// As [`run`].
pub fn extract(options: cli::Extract, file: Option<&File>, told: &[String]) -> Result<(), Failure> {
    let (common, mut plan) = match options {
        #[cfg(feature = "ebpf")]
        cli::Extract::Ebpf(options) => (options.common, Plan { ebpf: Some((options.ebpf, true)), ..Plan::default() }),
        cli::Extract::Rpc(options) => (options.common, Plan { rpc: Some((options.rpc, true)), ..Plan::default() }),
        cli::Extract::Log(options) if !options.finished.from.is_empty() => return crate::history::run(*options),
        cli::Extract::Log(options) => (options.common, Plan { log: Some((options.log, true)), ..Plan::default() }),
        cli::Extract::Proc(options) => (options.common, Plan { process: Some(options.process), ..Plan::default() }),
        cli::Extract::P2p(options) => (options.common, Plan { p2p: Some((options.p2p, true)), ..Plan::default() }),
        cli::Extract::Ipc(options) => (options.common, Plan { ipc: Some((options.ipc, true)), ..Plan::default() }),
    };
    let nodes = cli::nodes(&common.node, file, told)?;
    if common.nats.url.is_none() {
        // without a bus its events would go nowhere: they are printed
        let config = tools::logger::Config::json();
        let filter = crate::logger::filter(&config)?;
        plan.printed = Some((config, filter));
    }
    start(&nodes, plan, common.wait, &common.nats)
}

/// Finds the nodes, gives up every capability, and runs until told to stop.
fn start(nodes: &[extract::node::Config], mut plan: Plan, wait: bool, nats: &NatsOptions) -> Result<(), Failure> {
    if plan.top {
        crate::top::check()?;
    }
    if !extract::ipc::BUILT_IN && plan.ipc.as_ref().is_some_and(|(_, asked)| *asked) {
        return Err(Failure::new(Code::Unsupported, anyhow::anyhow!("this build cannot talk to a node's IPC socket")).hint(
            "build it with the feature `ipc`; that needs Cap'n Proto's compiler (`apt-get install capnproto libcapnp-dev`)",
        ));
    }
    let known: Vec<Known> = nodes.iter().cloned().map(Known::find).collect();
    let away = away(&known, &plan);
    if !wait {
        missing(&known, &away)?;
    }
    // also before anything starts: what was asked for by name and cannot be had
    let listeners: Vec<_> = known.iter().map(|node| plan.p2p.as_ref().map(|_| node.config.p2p.listen())).collect();
    if plan.p2p.as_ref().is_some_and(|(_, asked)| *asked)
        && let Some(error) = listeners.iter().flatten().find_map(|listener| listener.as_ref().err())
    {
        return Err(Failure::new(Code::Failure, anyhow::anyhow!("{error}")).hint(error.hint()));
    }
    let metrics = plan.metrics.as_ref().map_or(Ok(None), |(config, asked)| crate::metrics::take_port(config, *asked))?;
    let web = plan.web.as_ref().map_or(Ok(None), |(config, asked)| crate::web::take_port(config, *asked))?;
    let mut logs = Vec::new();
    for (node, away) in known.iter().zip(&away) {
        let log = plan.log.as_ref().map(|(_, asked)| node::open_log(node, *asked, wait || *away)).transpose()?;
        logs.push(log.flatten());
    }
    let detect = match plan.detect.take() {
        // over a replay everybody finds what the recording itself gives
        Some((config, asked)) => Some((config.prepare(nats.replay.is_none()).map_err(crate::detect::unreadable)?, asked)),
        None => None,
    };
    let here = known.iter().any(|node| node.life.is_some());
    let connect = plan.connect.take().map(|config| crate::connect::prepare(config, here)).transpose()?;
    let node = |(((known, listener), log), away)| Node { known, listener, log, probes: None, is_waited_for: wait || away };
    let mut nodes = known.into_iter().zip(listeners).zip(logs).zip(away).map(node).collect::<Vec<_>>();
    #[cfg(feature = "ebpf")]
    probes::open(&mut nodes, plan.ebpf.as_ref(), plan.rpc.is_some(), nats, plan.top)?;
    // as whoever it is that goes on, so that the files are his
    let book = plan.incidents.take().map(crate::incidents::Asked::open).transpose()?;
    block_on(live(nodes, plan, Opened { metrics, web, detect, connect, book }, nats))
}

/// Which nodes have no process that they need. One that runs elsewhere is known by its RPC address alone, or by its log.
fn away(nodes: &[Known], plan: &Plan) -> Vec<bool> {
    let needs_process =
        |node: &Known| node.config.rpc.rpc_url.is_none() && !(plan.is_log_alone() && node.config.log.log_file.is_some());
    nodes.iter().map(|node| node.missing.is_some() && needs_process(node)).collect()
}

/// One node that is missing is no reason not to watch the others: it is waited for. If all are, there is nothing to watch.
fn missing(nodes: &[Known], away: &[bool]) -> Result<(), Failure> {
    let missing = || nodes.iter().zip(away).filter(|(_, away)| **away).filter_map(|(node, _)| Some((node, node.missing.as_ref()?)));
    let Some((node, first)) = missing().next() else { return Ok(()) };
    if away.iter().all(|away| *away) {
        let error = if nodes.len() > 1 {
            anyhow::anyhow!("none of the {} nodes is there; `{}`: {}", nodes.len(), node.name(), first.reason)
        } else {
            anyhow::anyhow!("{}", first.reason)
        };
        return Err(Failure::new(Code::NoNode, error).hint(first.hint));
    }
    for (node, missing) in missing() {
        tracing::warn!(node = %node.name(), reason = missing.reason, "this node is not there; it is waited for");
    }
    Ok(())
}

/// What the operator named and is read after the start: it has to be readable for whoever the program goes on as.
#[cfg(feature = "ebpf")]
pub fn named_files<'a>(nodes: impl IntoIterator<Item = &'a Known>, nats: &'a NatsOptions) -> Vec<&'a std::path::Path> {
    let NatsOptions { password_file, nkey_file, credentials_file, ca_file, certificate_file, key_file, .. } = nats;
    let of_nats = [password_file, nkey_file, credentials_file, ca_file, certificate_file, key_file];
    let of_nodes = nodes.into_iter().flat_map(|node| [&node.config.rpc.rpc_password_file, &node.config.rpc.rpc_cookie]);
    of_nats.into_iter().chain(of_nodes).flatten().map(std::path::PathBuf::as_path).collect()
}

/// What was opened before anything starts.
struct Opened {
    metrics: Option<crate::metrics::Taken>,
    web: Option<crate::web::Taken>,
    /// With whether it was asked for by name.
    detect: Option<(tools::detect::Prepared, bool)>,
    connect: Option<tools::connect::Prepared>,
    book: Option<crate::incidents::Keeper>,
}

/// Everything that runs, in the order in which it stops.
struct Running {
    extractors: Parts,
    /// Tools that publish what they make of those: joins, shipping, visits.
    joins: Parts,
    detectors: Parts,
    incidents: Parts,
    /// Tools that read to the end of the bus.
    tools: Parts,
}

impl Running {
    fn new(bus: &Bus) -> Self {
        let parts = || Parts::new(bus.clone());
        Self { extractors: parts(), joins: parts(), detectors: parts(), incidents: parts(), tools: parts() }
    }

    /// Waits for a part to end by itself.
    async fn ended(&mut self) -> Result<(), Failure> {
        tokio::select! {
            ended = self.extractors.ended() => ended,
            ended = self.joins.ended() => ended,
            ended = self.detectors.ended() => ended,
            ended = self.incidents.ended() => ended,
            ended = self.tools.ended() => ended,
        }
    }

    /// Stops everything, each part when nothing more comes to it.
    async fn stop(&mut self, bus: Bus) -> Result<(), Failure> {
        let Self { extractors, joins, detectors, incidents, tools } = self;
        let mut result = Ok(());
        for parts in [extractors, joins, detectors, incidents] {
            result = result.and(parts.stop().await);
        }
        bus.close().await;
        result.and(tools.stop().await)
    }
}

/// Everything that watches live nodes: extractors, the bus, the tools. Who reads is there before who writes, so that it misses nothing.
async fn live(nodes: Vec<Node>, mut plan: Plan, opened: Opened, nats: &NatsOptions) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let Some(bus) = signals.unless_received(open(nats)).await? else { return Ok(()) };
    let mut running = Running::new(&bus);
    let Opened { metrics, web, detect, connect, book } = opened;
    let names: Vec<NodeName> = nodes.iter().map(|node| node.known.name().clone()).collect();
    show(&mut plan, &bus, &mut running.tools).await?;
    serve(metrics, web, book.as_ref(), &bus, &mut running.tools).await?;
    if let Some((config, filter)) = plan.kept.take() {
        running.tools.task("the archive", crate::archive::start(config, filter, &bus).await?);
    }
    if let Some(book) = book
        && let Some(events) = own_events(&bus, "incidents", tools::incidents::filter(), true).await?
    {
        book.start(events, &bus, &mut running.incidents)?;
    }
    for name in &names {
        join(name, &plan, &bus, &mut running.joins).await?;
    }
    let shipped = plan.shipped.take();
    let shipping = shipped.map(|shipped| crate::ship::start(shipped, names.iter(), &mut running.joins)).transpose()?;
    if let Some(connect) = connect {
        let filter = tools::connect::Prepared::filter(names.clone());
        if let Some(events) = own_events(&bus, "connect", filter, true).await? {
            let (at_a_node, stopped) = (tools::connect::AtANode::Stay, running.joins.stopped());
            let work = tools::connect::run(connect, events, bus.clone(), names.first().cloned(), at_a_node, stopped);
            running.joins.task("connect", work);
        }
    }
    if let Some((detect, asked)) = detect
        && let Some(events) = own_events(&bus, "detectors", detect.filter(names.clone()), asked).await?
    {
        let stopped = running.detectors.stopped();
        let work = tools::detect::run(detect, events, bus.clone(), names.first().cloned(), stopped, |_| Ok(()));
        running.detectors.task("the detectors", work);
    }
    let watched = async {
        for node in nodes {
            node::watch(node, &plan, &mut running.extractors, names.len() > 1).await?;
        }
        Ok::<_, Failure>(())
    };
    let outcome = match signals.unless_received(watched).await {
        Ok(Some(())) => {
            service::ready();
            watch_over(&mut signals, &mut running).await
        }
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    service::stopping();
    let end = async {
        let stopped = running.stop(bus).await;
        if let Some(shipping) = shipping {
            shipping.say_what_remains().await;
        }
        stopped
    };
    outcome.and(signals.end(end).await)
}

/// Starts what a person sees in the terminal: lines, or a screen in their place. When nobody reads it any more, the program ends.
async fn show(plan: &mut Plan, bus: &Bus, tools: &mut Parts) -> Result<(), Failure> {
    let read_no_more = tools.input_ended();
    if let Some((config, filter)) = plan.printed.take() {
        let events = bus.subscribe(filter, Limits::default()).await.map_err(bus_failure)?;
        tools.task("the logger", async move {
            crate::logger::print(config, events).await?;
            read_no_more.store(true, Ordering::Release);
            Ok(())
        });
    } else if plan.top {
        let events = bus.subscribe(tools::top::wanted(), Limits::default()).await.map_err(bus_failure)?;
        let screen = crate::top::Screen::take()?;
        tools.task("the screen", async move {
            screen.show(events, std::future::ready(())).await?;
            read_no_more.store(true, Ordering::Release);
            Ok(())
        });
    }
    Ok(())
}

/// Starts what is served on ports.
async fn serve(
    metrics: Option<crate::metrics::Taken>,
    web: Option<crate::web::Taken>,
    book: Option<&crate::incidents::Keeper>,
    bus: &Bus,
    tools: &mut Parts,
) -> Result<(), Failure> {
    if let Some(crate::metrics::Taken { reading, listener, asked }) = metrics
        && let Some(events) = own_events(bus, "metrics", tools::metrics::wanted(), asked).await?
    {
        tools.task("metrics", tools::metrics::run(reading, events, listener, std::future::ready(())));
    }
    if let Some(crate::web::Taken { mut reading, listener, asked }) = web
        && let Some(events) = own_events(bus, "web", Filter::all(), asked).await?
    {
        if let Some(book) = book {
            reading.reach(book.questions(), book.book.name().to_owned());
        }
        let input = tools::web::Input::Live(events);
        tools.task("web", tools::web::run(reading, input, listener, std::future::pending()));
    }
    Ok(())
}

/// Waits for a signal, or for a part to end.
async fn watch_over(signals: &mut Signals, running: &mut Running) -> Result<(), Failure> {
    let mut watchdog = tokio::time::interval(service::watchdog().unwrap_or(Duration::from_hours(1)));
    loop {
        tokio::select! {
            () = signals.received() => return Ok(()),
            ended = running.ended() => return ended,
            _ = watchdog.tick() => {
                if running.extractors.alive() {
                    service::alive();
                }
            }
        }
    }
}

/// Starts the tools that make facts of a node's facts.
async fn join(name: &event::NodeName, plan: &Plan, bus: &Bus, joins: &mut Parts) -> Result<(), Failure> {
    #[cfg(feature = "ebpf")]
    let probes = plan.ebpf.is_some();
    #[cfg(not(feature = "ebpf"))]
    let probes = false;
    // without both there is nothing to compare
    let reconcile = plan.reconcile.as_ref().filter(|_| probes && plan.rpc.is_some());
    if plan.join.is_none() && reconcile.is_none() {
        return Ok(());
    }
    let out = joins.publisher(name, event::Source::Join);
    if let Some((config, asked)) = &plan.join
        && let Some(events) = own_events(bus, "join", tools::join::filter(name), *asked).await?
    {
        joins.task(format!("the joins of {name}"), tools::join::run(config.clone(), events, out.clone(), joins.stopped()));
    }
    if let Some((config, asked)) = reconcile
        && let Some(events) = own_events(bus, "reconciliation", tools::reconcile::filter(name), *asked).await?
    {
        joins.task(format!("the reconciliation of {name}"), tools::reconcile::run(config.clone(), events, out, joins.stopped()));
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
