//! From findings to incidents: what belongs together becomes one thing with a life.
//!
//! ```text
//! (finding) ─► open ─► acknowledged ─► resolved ─► open again
//! ```
//!
//! A [`Correlator`] is shown findings and the beats of who finds them, and says which incident each finding belongs to and what changed
//! ([`Told`]). It knows neither a file nor a clock: time is that of the events. What people do is in [`life`].
//!
//! # What belongs together
//!
//! Rules are tried from the top; the first that fits decides.
//!
//! | | a finding joins | why |
//! |---|---|---|
//! | 1 | the incident in which it was before | updates, and its end |
//! | 2 | one of its family ([`family`]) about the same stranger, at whatever node | an address, range, AS, fingerprint, user agent or list entry is the same everywhere |
//! | 3 | one of its family at the same node | several detectors see one attack from several sides; peer ids change with each connection |
//! | 4 | the oldest of its family, if the finding is about the fleet, or part of one that is | then it is one thing at many nodes |
//! | 5 | the oldest of its family that lasts, if [`FAMILY`] of them last | what comes a fourth time is about many places |
//! | 6 | the storm, if [`BURST`] incidents were opened within [`BURST_TIME`], or the storm lasts; [`RESERVE`] more for critical findings | so that somebody can read them |
//! | 7 | a new incident | |
//!
//! Rules 2 to 4 look at incidents that last, or were resolved within [`REOPEN`]: those are open again. An incident is resolved when none of
//! its findings has lasted for [`SETTLE`], or when somebody closes it; one that was closed while findings last is open again when another
//! begins, or one gets worse. A finding of which nothing was heard for [`SILENT`] does not last any more: detectors say every half hour that
//! one does. Neither does one of an earlier run of the detectors, when a later one was at work at that node for [`UNHEARD`] and has not said it:
//! those that go on from a state that was kept say at once what they know of.
//!
//! Time is that of the node that a finding is about. So a node whose clock is wrong disturbs its own incidents only; one that fell silent
//! is given the time of the others ([`Correlator`] has a clock for each, and the middle one for all).

mod correlator;
mod key;
pub mod life;
#[cfg(test)]
mod tests;

use event::{Incident, Kind};

use crate::time::{HOUR, MINUTE};

pub use correlator::{Correlator, Followed, Live, Told, Usual, id};
pub use key::family;

/// How many incidents of a family may last before what comes next joins the oldest.
pub const FAMILY: usize = 3;
/// How many incidents may be opened within [`BURST_TIME`] before what comes next is a storm.
pub const BURST: usize = 12;
/// Within this time.
pub const BURST_TIME: u64 = HOUR;
/// How many more for critical findings.
pub const RESERVE: usize = 4;
/// How long an incident may have been resolved to be open again when it comes back.
pub const REOPEN: u64 = 6 * HOUR;
/// How long none of its findings has to have lasted for an incident to be resolved, unless the [`Correlator`] is told otherwise.
pub const SETTLE: u64 = 2 * MINUTE;
/// After how long of silence a finding does not last any more; four times as long as detectors are silent about one that does.
pub const SILENT: u64 = 2 * HOUR;
/// How long detectors that were started anew are at work at a node before what they have not said again does not last any more.
pub const UNHEARD: u64 = 3 * MINUTE;
/// What an incident is called in which everything is that came when too many had been opened.
pub const STORM: &str = "storm";

/// The incident that an event tells of.
pub fn of(kind: &Kind) -> Option<&Incident> {
    match kind {
        Kind::IncidentOpened(m) => m.incident.as_ref(),
        Kind::IncidentChanged(m) => m.incident.as_ref(),
        Kind::IncidentNoted(m) => m.incident.as_ref(),
        Kind::IncidentAcknowledged(m) => m.incident.as_ref(),
        Kind::IncidentResolved(m) => m.incident.as_ref(),
        Kind::IncidentReopened(m) => m.incident.as_ref(),
        Kind::IncidentKept(m) => m.incident.as_ref(),
        _ => None,
    }
}
