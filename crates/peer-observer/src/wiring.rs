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
    played.map_err(|error| Failure::new(Code::Recording, error))
}

/// `peer-observer logger`
///
/// # Errors
///
/// The bus or a recording cannot be read.
pub fn logger(options: cli::Logger) -> Result<(), Failure> {
    let filter = filter(&options.logger)?.of_nodes(options.node);
    if !options.recording.is_empty() {
        let open = |path| Recording::open(path).map_err(|error| Failure::new(Code::Recording, error));
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
        let bus = open(&options.nats).await?;
        let subscription = bus.subscribe(filter, Limits::default()).await.map_err(bus_failure)?;
        let mut tool = tokio::spawn(print(options.logger, subscription));
        let mut signals = Signals::new()?;
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

/// `peer-observer run`
///
/// # Errors
///
/// What stands in the way of a start, or what ended a part before its time.
pub fn run(options: cli::Run, file: Option<&File>) -> Result<(), Failure> {
    // everything that can be wrong with what was asked for comes before anything starts
    let filter = filter(&options.logger)?;
    let wanted = |section: &str| file.is_none_or(|file| file.runs(section));
    let printed = (!options.quiet && wanted("logger")).then_some((options.logger, filter));
    #[cfg(feature = "ebpf")]
    let probes =
        if wanted("ebpf") { probes::open(&cli::nodes(&options.node, file)?, &options.ebpf, options.wait)? } else { vec![] };
    #[cfg(not(feature = "ebpf"))]
    let probes: Vec<std::convert::Infallible> = vec![];
    block_on(live(&options.nats, probes, printed))
}

/// `peer-observer extract ebpf`
///
/// # Errors
///
/// As [`run`].
#[cfg(feature = "ebpf")]
pub fn extract_ebpf(options: cli::ExtractEbpf, file: Option<&File>) -> Result<(), Failure> {
    let probes = probes::open(&cli::nodes(&options.node, file)?, &options.ebpf, options.wait)?;
    // without a bus its events would go nowhere: they are printed
    let config = tools::logger::Config::json();
    let printed = options.nats.url.is_none().then(|| filter(&config).map(|filter| (config, filter))).transpose()?;
    block_on(live(&options.nats, probes, printed))
}

#[cfg(feature = "ebpf")]
use probes::Probes;
#[cfg(not(feature = "ebpf"))]
type Probes = std::convert::Infallible;

/// Everything that watches live nodes: extractors, the bus, the logger.
async fn live(nats: &NatsOptions, probes: Vec<Probes>, printed: Option<(tools::logger::Config, Filter)>) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let bus = open(nats).await?;
    let mut logger = None;
    if let Some((config, filter)) = printed {
        // before the first event, so that it misses none
        let subscription = bus.subscribe(filter, Limits::default()).await.map_err(bus_failure)?;
        logger = Some(tokio::spawn(print(config, subscription)));
    }
    #[cfg(feature = "ebpf")]
    let mut extractors = probes::start(probes, &bus);
    #[cfg(not(feature = "ebpf"))]
    let mut extractors = none::start(probes);
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

#[cfg(feature = "ebpf")]
mod probes {
    use std::process::Command;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use anyhow::Context as _;
    use bus::{Bus, Publisher};
    use ebpf::control::{Class, Problem};
    use ebpf::{Source, Tracer};
    use event::NodeName;
    use tokio::sync::mpsc;

    use crate::exit::{Code, Failure};

    /// A node's probes, attached.
    pub(super) struct Probes {
        name: NodeName,
        source: Source,
    }

    /// Starts a tracer per node, gives up every capability of this process, and waits until all are attached.
    ///
    /// Must come before any thread is started: capabilities belong to threads.
    pub(super) fn open(
        nodes: &[extract::node::Config],
        config: &extract::ebpf::Config,
        wait: bool,
    ) -> Result<Vec<Probes>, Failure> {
        let tracers = nodes.iter().map(|node| {
            let mut command = Command::new("/proc/self/exe");
            command.arg("tracer");
            let tracer = Tracer::spawn(command, &config.tracer(node, wait)).context("failed to start the tracing process")?;
            Ok((node.name.clone(), tracer))
        });
        let tracers = tracers.collect::<anyhow::Result<Vec<_>>>()?;
        ebpf::privileges::drop_all().map_err(anyhow::Error::new)?;
        let open = |(name, tracer): (NodeName, Tracer)| {
            let source = Source::open(tracer, config.ebpf_raw).map_err(failure)?;
            Ok(Probes { name, source })
        };
        tracers.into_iter().map(open).collect()
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

    /// Running extractors, each on a thread of its own.
    pub(super) struct Extractors {
        stop: Arc<AtomicBool>,
        publishers: Vec<Publisher>,
        /// What the publishers had published when somebody last asked.
        published: Vec<u64>,
        running: usize,
        ends: mpsc::Receiver<Result<(), Problem>>,
    }

    pub(super) fn start(probes: Vec<Probes>, bus: &Bus) -> Extractors {
        let stop = Arc::new(AtomicBool::new(false));
        let (send, ends) = mpsc::channel(probes.len().max(1));
        let running = probes.len();
        let mut publishers = vec![];
        for Probes { name, source } in probes {
            let publisher = bus.publisher(name.clone(), event::Source::Ebpf);
            publishers.push(publisher.clone());
            let (stop, send) = (stop.clone(), send.clone());
            let work = move || {
                let result = extract::ebpf::run(source, &publisher, &stop);
                // the receiver is gone only when the program is ending anyway
                let _ = send.blocking_send(result);
            };
            std::thread::Builder::new().name(format!("po-{name}")).spawn(work).expect("a thread per node at start");
        }
        Extractors { stop, published: vec![0; publishers.len()], publishers, running, ends }
    }

    impl Extractors {
        /// Waits for an extractor to end by itself, which it should not.
        pub(super) async fn ended(&mut self) -> Result<(), Failure> {
            match self.ends.recv().await {
                Some(Err(problem)) => {
                    self.running -= 1;
                    Err(failure(problem))
                }
                // none runs: there is nothing that could end
                Some(Ok(())) | None => std::future::pending().await,
            }
        }

        /// Whether every extractor has published something since this was asked last: its beat, if nothing else.
        pub(super) fn alive(&mut self) -> bool {
            let now: Vec<u64> = self.publishers.iter().map(Publisher::published).collect();
            let alive = now.iter().zip(&self.published).all(|(now, before)| now > before);
            self.published = now;
            alive
        }

        /// Tells them to stop, and waits until what they had is published.
        pub(super) async fn stop(&mut self) -> Result<(), Failure> {
            self.stop.store(true, Ordering::Release);
            for _ in 0..self.running {
                if let Some(Err(problem)) = self.ends.recv().await {
                    return Err(failure(problem));
                }
            }
            Ok(())
        }
    }
}

#[cfg(not(feature = "ebpf"))]
mod none {
    use crate::exit::Failure;

    /// A build without probes has no extractor that could run.
    pub(super) struct Extractors;

    pub(super) fn start(_: Vec<super::Probes>) -> Extractors {
        Extractors
    }

    impl Extractors {
        pub(super) async fn ended(&mut self) -> Result<(), Failure> {
            std::future::pending().await
        }

        pub(super) fn alive(&mut self) -> bool {
            true
        }

        pub(super) async fn stop(&mut self) -> Result<(), Failure> {
            Ok(())
        }
    }
}
