//! The bundled recording, through the same path as live events.

use std::io::IsTerminal as _;
use std::time::Duration;

use bus::{Bus, Limits};
use extract::recording::{Recording, RecordingError};
use extract::replay::Pace;

use crate::cli;
use crate::exit::{Code, Failure};
use crate::wiring;

/// Made by `./x record-demo` from real nodes on regtest.
const RECORDING: &[u8] = include_bytes!("../../../fixtures/demo.rec");

/// The demo should not try anybody's patience.
const LIMIT: Duration = Duration::from_secs(20);

fn events() -> Result<Recording<&'static [u8]>, RecordingError> {
    Recording::new(RECORDING, "the bundled recording")
}

/// `peer-observer demo`
///
/// # Errors
///
/// The output cannot be written.
pub fn run(options: cli::Demo) -> Result<(), Failure> {
    let damaged = wiring::recording_failure;
    let filter = options.logger.filter().map_err(|error| Failure::new(Code::Usage, error))?;
    let mut count = 0;
    let (mut first, mut last) = (u64::MAX, 0);
    for event in events().map_err(damaged)? {
        let time = event.map_err(damaged)?.time;
        count += 1;
        first = first.min(time);
        last = last.max(time);
    }
    let length = Duration::from_nanos(last.saturating_sub(first));
    let pace = if options.fast { Pace::Max } else { Pace::within(length, LIMIT) };
    let people = options.logger.format == tools::logger::Format::Text && std::io::stderr().is_terminal();
    if people {
        eprintln!("{count} events of a real node on regtest, {} s, recorded by this program", length.as_secs());
    }
    wiring::block_on(async {
        let bus = Bus::local();
        let subscription = bus.subscribe(filter, Limits::default()).await.map_err(anyhow::Error::new)?;
        crate::alone::play(events().map_err(damaged)?, damaged, pace, bus, crate::logger::print(options.logger, subscription)).await
    })?;
    if people {
        eprintln!("that was the recording; `peer-observer run` shows the node on this machine");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{Event, Kind, KindId};

    fn all() -> Vec<Event> {
        events().unwrap().map(Result::unwrap).collect()
    }

    /// What the demo promises to show.
    #[test]
    fn the_recording_has_what_it_should() {
        let events = all();
        let has = |id: KindId| events.iter().any(|event| event.id() == Some(id));
        for id in [
            KindId::NetVersion,
            KindId::NetInv,
            KindId::NetTx,
            KindId::NetCmpctblock,
            KindId::NetBlock,
            KindId::NetAddrv2,
            KindId::NetUndecodable,
            KindId::ConnOpened,
            KindId::ConnClosed,
            KindId::ConnEvicted,
            KindId::ConnMisbehaving,
            KindId::MempoolAdded,
            KindId::MempoolReplaced,
            KindId::MempoolRejected,
            KindId::ChainBlockConnected,
            KindId::HealthAttached,
            KindId::StatePeers,
            KindId::StateProfile,
            KindId::StateProcess,
            KindId::ProbePing,
            KindId::ProbeAnnouncedBlocks,
        ] {
            assert!(has(id), "no {id}");
        }
        let mut types: Vec<&str> = events
            .iter()
            .filter_map(|event| match &event.kind {
                Some(Kind::ConnOpened(opened)) => Some(opened.connection_type().word()),
                _ => None,
            })
            .collect();
        types.sort_unstable();
        types.dedup();
        assert!(types.len() >= 4, "connections of several types, not only {types:?}");
    }

    /// Sequences without a gap: the recording is complete.
    #[test]
    fn nothing_is_missing_in_it() {
        let mut next = std::collections::HashMap::new();
        for event in all() {
            let next = next.entry((event.node.clone(), event.source, event.run)).or_insert(0);
            assert_eq!(event.sequence, *next);
            *next += 1;
        }
    }

    #[test]
    fn it_is_small() {
        assert!(RECORDING.len() < 600_000, "{} bytes", RECORDING.len());
    }
}
