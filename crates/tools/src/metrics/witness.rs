//! Whose absence means that nothing is known.

use event::primary::{Witnesses, witnesses};
use event::{KindId, Source};

/// Who may state a kind, as bits by number of the source: where none of them was heard, that nothing was counted says nothing.
pub fn of(id: KindId) -> u16 {
    let own: &[Source] = match (id, id.family()) {
        (KindId::StateProcess | KindId::StateDisk, _) => &[Source::Proc],
        (_, "state") => &[Source::Rpc],
        (KindId::ProbeAddress, _) => &[Source::Connect],
        (_, "probe") => &[Source::P2p],
        (_, "incident") => &[Source::Tool],
        (_, "finding") => &[Source::Detect],
        (KindId::HealthParser | KindId::HealthPatternSilent | KindId::HealthTemplate, _) => &[Source::Log],
        (KindId::HealthLogGap | KindId::HealthLogFile, _) | (_, "log") => &[Source::Log],
        (KindId::HealthReconciled | KindId::HealthDiverged | KindId::HealthJoined, _) => &[Source::Join],
        // anybody
        _ => &[],
    };
    let sources = match witnesses(id) {
        Witnesses::Of(sources) => sources,
        Witnesses::Own if own.is_empty() => return u16::MAX,
        Witnesses::Own => own,
    };
    sources.iter().map(|source| 1 << *source as u16).sum()
}
