//! `peer-observer connect`: visits to advertised addresses, from a bus; over a recording, a rehearsal.

use std::io::{self, Write as _};

use bus::Bus;
use tools::archive::Progress;
use tools::connect::rehearsal::Rehearsal;
use tools::connect::{AT_A_NODE, AtANode, Config, PrepareError, Prepared};

use crate::alone;
use crate::cli;
use crate::exit::{Code, Failure};
use crate::service::{self, Signals};
use crate::wiring;

/// What `run` needs to dial, had before anything starts.
///
/// # Errors
///
/// Something is missing, or a watched node is on this machine: whoever is dialled would see its address.
pub fn prepare(config: Config, node_is_here: bool) -> Result<Prepared, Failure> {
    if config.is_from(node_is_here) {
        let error =
            anyhow::anyhow!("would dial from the machine of a watched node: everybody who is dialled would see the node's address");
        return Err(Failure::new(Code::Usage, error).hint(AT_A_NODE));
    }
    config.prepare().map_err(refused)
}

fn refused(error: PrepareError) -> Failure {
    let hint = error.hint();
    let code = match &error {
        PrepareError::Tried(_) | PrepareError::Randomness(_) => Code::Failure,
        _ => Code::Usage,
    };
    Failure::new(code, error).hint(hint)
}

/// `peer-observer connect`
///
/// # Errors
///
/// Something is missing, or the bus or a recording cannot be read.
pub fn run(options: cli::Connect) -> Result<(), Failure> {
    if !options.recording.is_empty() {
        return rehearse(&options);
    }
    if options.nats.url.is_none() {
        let run = "`peer-observer run` with a section `[connect]` does both";
        return Err(alone::no_input("connect", "hear of addresses from", run));
    }
    // where the nodes are is learned from the bus
    let prepared = prepare(options.connect, false)?;
    wiring::block_on(async {
        let mut signals = Signals::new()?;
        let node = options.node.first().cloned();
        let filter = Prepared::filter(options.node);
        let Some((bus, events)) = alone::subscribe(&mut signals, &options.nats, None, filter).await? else { return Ok(()) };
        let (stop, stopped) = alone::Stopped::new();
        let mut tool = tokio::spawn(tools::connect::run(prepared, events, bus.clone(), node, AtANode::End, stopped.wait()));
        service::ready();
        tokio::select! {
            () = signals.received() => {}
            ended = &mut tool => return end(ended, bus).await,
        }
        let end = async {
            drop(stop);
            end(tool.await, bus).await
        };
        signals.end(end).await
    })
}

async fn end(ended: Result<anyhow::Result<()>, tokio::task::JoinError>, bus: Bus) -> Result<(), Failure> {
    bus.close().await;
    ended.map_err(anyhow::Error::new)?.map_err(|error| Failure::new(Code::Failure, error).hint(AT_A_NODE))
}

/// Says whom a recording would have had dialled.
fn rehearse(options: &cli::Connect) -> Result<(), Failure> {
    let mut rehearsal = Rehearsal::new(&options.connect).map_err(refused)?;
    let filter = event::Filter { kinds: Rehearsal::kinds(), nodes: options.node.clone() };
    let progress = Progress::default();
    let recordings = alone::recorded_until(&options.recording, &filter, &progress)?;
    let observe = move || {
        for event in recordings {
            rehearsal.observe(&event?);
        }
        Ok::<_, Failure>(rehearsal)
    };
    let rehearsal = alone::read(&progress, || (), observe)??;
    if progress.is_stopped() {
        tracing::warn!("ended before the recording did: what comes now is of the part that was read");
    }
    let text = rehearsal.write(options.format);
    match io::stdout().lock().write_all(text.as_bytes()) {
        // a reader that goes away early is no failure
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(anyhow::Error::new(error).into()),
        _ => Ok(()),
    }
}
