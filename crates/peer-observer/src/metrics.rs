//! `peer-observer metrics`: counts what a bus or a recording brings.

use std::net::TcpListener;

use bus::{Bus, Limits};
use event::Filter;
use extract::replay::{self, Pace};

use crate::cli;
use crate::exit::{Code, Failure};
use crate::service::{self, Signals};
use crate::wiring;

/// What `run` needs to serve metrics, had before it gives up its rights.
pub struct Taken {
    /// What to count besides.
    pub reading: tools::metrics::Reading,
    /// The port.
    pub listener: TcpListener,
    /// Whether metrics were asked for by name.
    pub asked: bool,
}

/// Takes the port for `run`, before anything starts. A port that is taken is an error where metrics were asked for by name.
///
/// # Errors
///
/// It cannot be had, or a list of addresses is wrong.
pub fn take_port(config: &tools::metrics::Config, asked: bool) -> Result<Option<Taken>, Failure> {
    let reading = read(config)?;
    match config.listen() {
        Ok(listener) => Ok(Some(Taken { reading, listener, asked })),
        Err(error) if asked => Err(taken(error)),
        Err(error) => {
            tracing::warn!(%error, hint = error.hint(), "no metrics");
            Ok(None)
        }
    }
}

fn read(config: &tools::metrics::Config) -> Result<tools::metrics::Reading, Failure> {
    config.read().map_err(|error| Failure::new(Code::Usage, error))
}

fn taken(error: tools::metrics::ListenError) -> Failure {
    let hint = error.hint();
    Failure::new(Code::Failure, error).hint(hint)
}

/// `peer-observer metrics`
///
/// # Errors
///
/// The port is taken, or the bus or a recording cannot be read.
pub fn run(options: cli::Metrics) -> Result<(), Failure> {
    let filter = tools::metrics::wanted().of_nodes(options.node.clone());
    // a wrong list is told before anything starts
    let reading = read(&options.metrics)?;
    if !options.recording.is_empty() {
        return recorded(options, reading, filter);
    }
    if options.nats.url.is_none() {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!("`metrics` needs a bus or a recording to count from")).hint(
            "give `--nats URL` or `--recording FILES`; `peer-observer run` watches a node on this machine, and serves metrics",
        ));
    }
    let listener = options.metrics.listen().map_err(taken)?;
    wiring::block_on(async {
        let mut signals = Signals::new()?;
        let Some(bus) = signals.unless_received(wiring::open(&options.nats)).await? else { return Ok(()) };
        let subscribed = async { bus.subscribe(filter, Limits::default()).await.map_err(wiring::bus_failure) };
        let Some(events) = signals.unless_received(subscribed).await? else { return Ok(()) };
        let mut tool = tokio::spawn(tools::metrics::run(reading, events, listener, std::future::ready(())));
        service::ready();
        tokio::select! {
            () = signals.received() => {}
            ended = &mut tool => return Ok(ended.map_err(anyhow::Error::new)??),
        }
        let end = async {
            bus.close().await;
            Ok(tool.await.map_err(anyhow::Error::new)??)
        };
        signals.end(end).await
    })
}

/// Over recordings: the page stays after their end, until a signal.
fn recorded(options: cli::Metrics, reading: tools::metrics::Reading, filter: Filter) -> Result<(), Failure> {
    let selection = tools::archive::Selection { kinds: Some(filter.kinds), nodes: filter.nodes.clone(), ..Default::default() };
    let recordings = crate::archive::recorded(&options.recording, &selection)?;
    let pace = if options.speed > 0.0 { Pace::Times(options.speed) } else { Pace::Max };
    let listener = if options.print { None } else { Some(options.metrics.listen().map_err(taken)?) };
    wiring::block_on(async {
        let bus = Bus::local();
        let events = bus.subscribe(filter, Limits::default()).await.map_err(wiring::bus_failure)?;
        let Some(listener) = listener else {
            return wiring::play(
                recordings,
                std::convert::identity,
                pace,
                bus,
                tools::metrics::print(reading, events, std::io::stdout()),
            )
            .await;
        };
        let mut signals = Signals::new()?;
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let stop = async {
            // the other side says nothing, it goes away
            let _ = ended.await;
        };
        let mut tool = tokio::spawn(tools::metrics::run(reading, events, listener, stop));
        let played = tokio::select! {
            played = replay::run(recordings, pace, &bus) => Some(played),
            () = signals.received() => None,
            ended = &mut tool => return Ok(ended.map_err(anyhow::Error::new)??),
        };
        bus.close().await;
        if let Some(Ok(())) = &played {
            tracing::info!("the recording has ended; the page stays until this program is told to end");
            tokio::select! {
                () = signals.received() => {}
                ended = &mut tool => return Ok(ended.map_err(anyhow::Error::new)??),
            }
        }
        drop(end);
        tool.await.map_err(anyhow::Error::new)??;
        played.unwrap_or(Ok(()))
    })
}
