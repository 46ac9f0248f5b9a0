//! What it means: detectors, from events to findings.
//!
//! An [`Engine`] is shown events, puts them in order, shows each to the [`Detector`]s that want its kind, and gives out what they find, as
//! events like any other ([`Statement`]).
//!
//! ```
//! use std::sync::Arc;
//! use detect::{Engine, thresholds::Thresholds};
//! use event::{Event, HealthBeat, Source};
//!
//! let mut engine = Engine::new(Thresholds::default(), 0);
//! let mut found = Vec::new();
//! let beat = Event { time: 1_700_000_000_000_000_000, ..Event::new("alice", Source::Ebpf, HealthBeat::default()) };
//! engine.observe(Arc::new(beat), &mut found);
//! engine.finish(&mut found);
//! assert_eq!((engine.totals().events, found.len()), (1, 0));
//! ```
//!
//! Invariants: no clock, no IO, no chance, no tasks. The same events, thresholds and key give the same findings, whether they come live, at
//! a thousand times the speed, or in pieces with the state kept in between. Memory is bounded whatever peers do; what does not fit is counted,
//! and becomes a finding.
//!
//! # A new detector
//!
//! 1. A file in `detectors/`: a doc comment (which behaviour, which signal, look-alikes, source), the state, [`Detector`].
//! 2. Its numbers: rows in [`thresholds`].
//! 3. A line in [`all`].
//! 4. A directory in `detectors/` of the repository with its truth.

mod context;
mod criteria;
mod desk;
mod detector;
mod detectors;
mod engine;
pub mod entity;
mod facts;
pub mod finding;
mod guard;
pub mod incident;
mod ledger;
pub mod measure;
mod order;
mod peers;
pub mod score;
#[cfg(test)]
mod stage;
mod state;
pub mod thresholds;
pub mod time;
mod tip;
mod wire;

pub use context::Context;
pub use detector::{About, Detector, Entry, Family, Scope, entry};
pub use engine::{Engine, Totals};
pub use facts::{Facts, Watched};
pub use finding::{Case, Entity, Findings, Judgement, Statement, evidence, input};
pub use guard::Guard;
pub use ledger::{Account, FLEET};
pub use state::{Sections, StateError};

/// Every detector, in the order of the catalogue's numbers.
pub const fn all() -> &'static [Entry] {
    const ALL: &[Entry] = &[
        entry::<detectors::addr_flood::AddrFlood>(),
        entry::<detectors::addr_surge::AddrSurge>(),
        entry::<detectors::peer_loss::PeerLoss>(),
        entry::<detectors::slot_churn::SlotChurn>(),
        entry::<detectors::range_churn::RangeChurn>(),
        entry::<detectors::same_stranger::SameStranger>(),
        entry::<detectors::listener::Listener>(),
        entry::<detectors::false_identity::FalseIdentity>(),
        entry::<detectors::agent_lottery::AgentLottery>(),
        entry::<detectors::eclipse::Eclipse>(),
        entry::<detectors::ping_flood::PingFlood>(),
        entry::<detectors::inv_queue::InvQueue>(),
        entry::<detectors::withheld_transaction::WithheldTransaction>(),
        entry::<detectors::replacement::Replacement>(),
        entry::<detectors::reconstruction::Reconstruction>(),
        entry::<detectors::withheld_block::WithheldBlock>(),
        entry::<detectors::bad_block::BadBlock>(),
        entry::<detectors::stale_tip::StaleTip>(),
        entry::<detectors::fork::Fork>(),
        entry::<detectors::monitor::Monitor>(),
    ];
    ALL
}
