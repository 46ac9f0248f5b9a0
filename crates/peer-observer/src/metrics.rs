//! `peer-observer metrics`: counts what a bus or a recording brings.

use std::net::TcpListener;

use bus::{Bus, Limits};
use event::Filter;

use crate::alone;
use crate::cli;
use crate::exit::{Code, Failure};
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
    let listener = alone::port_for_run(config.listen(), asked)?;
    Ok(listener.map(|listener| Taken { reading, listener, asked }))
}

fn read(config: &tools::metrics::Config) -> Result<tools::metrics::Reading, Failure> {
    config.read().map_err(|error| Failure::new(Code::Usage, error))
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
        let run = "`peer-observer run` watches a node on this machine, and serves metrics";
        return Err(alone::no_input("metrics", "count from", run));
    }
    let listener = options.metrics.listen().map_err(alone::no_port)?;
    alone::follow(&options.nats, None, filter, |events| Ok(tools::metrics::run(reading, events, listener, std::future::ready(()))))
}

/// Over recordings: the page stays after their end, until a signal.
fn recorded(options: cli::Metrics, reading: tools::metrics::Reading, filter: Filter) -> Result<(), Failure> {
    let recordings = alone::recorded(&options.recording, &filter)?;
    let pace = alone::pace(options.speed);
    if options.print {
        return wiring::block_on(async {
            let bus = Bus::local();
            let events = bus.subscribe(filter, Limits::default()).await.map_err(wiring::bus_failure)?;
            let tool = tools::metrics::print(reading, events, std::io::stdout());
            alone::play(recordings, std::convert::identity, pace, bus, tool).await
        });
    }
    let listener = options.metrics.listen().map_err(alone::no_port)?;
    let (counting, counted) = alone::Stopped::new();
    // it waits for its end once it has counted everything
    let stop = |stopped: alone::Stopped| async move {
        drop(counting);
        stopped.wait().await;
    };
    let tool = |events, stopped| Ok(tools::metrics::run(reading, events, listener, stop(stopped)));
    let at_the_end = async {
        counted.wait().await;
        tracing::info!("the recording has ended; the page stays until this program is told to end");
    };
    alone::stay(recordings, pace, filter, tool, at_the_end)
}
