//! `peer-observer logger`: prints what a bus or a recording brings.

use std::io::{self, IsTerminal as _};

use bus::{Bus, Limits, Subscription};
use event::Filter;

use crate::alone;
use crate::cli;
use crate::exit::{Code, Failure};
use crate::wiring::{block_on, bus_failure};

/// The logger on standard output.
pub fn print(config: tools::logger::Config, events: Subscription) -> impl Future<Output = anyhow::Result<()>> + Send + 'static {
    let stdout = io::stdout();
    let terminal = stdout.is_terminal();
    tools::logger::run(config, events, stdout, terminal)
}

/// `peer-observer logger`
///
/// # Errors
///
/// The bus or a recording cannot be read.
pub fn run(options: cli::Logger) -> Result<(), Failure> {
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
///
/// # Errors
///
/// A kind or a pattern that there is not.
pub fn filter(logger: &tools::logger::Config) -> Result<Filter, Failure> {
    logger.filter().map_err(|error| Failure::new(Code::Usage, error).hint("`peer-observer events` lists all kinds"))
}
