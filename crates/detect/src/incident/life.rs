//! What people do with an incident.

use event::{Incident, IncidentAcknowledged, IncidentNoted, IncidentResolved, IncidentState, Kind};

/// The longest note, bytes.
pub const NOTE: usize = 16 << 10;
/// The longest name of a person, bytes.
pub const NAME: usize = 128;

/// What cannot be done with an incident.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// Nothing is written down.
    #[error("the note is empty")]
    Empty,
    /// It is too long for what it is.
    #[error("{what} may have {most} bytes, not {bytes}")]
    Long {
        /// What.
        what: &'static str,
        /// The bound.
        most: usize,
        /// How long it is.
        bytes: usize,
    },
    /// It would stand in the book that nobody did it.
    #[error("nobody is named who does it")]
    Nameless,
    /// It is over.
    #[error("incident {number} is resolved already")]
    Resolved {
        /// Which.
        number: u64,
    },
    /// Somebody was quicker.
    #[error("incident {number} is acknowledged already, by {owner}")]
    Acknowledged {
        /// Which.
        number: u64,
        /// Who.
        owner: String,
    },
}

/// Writes something down. `time` is nanoseconds since the epoch, of whoever does it.
///
/// # Errors
///
/// There is nothing to write down, or too much.
pub fn note(incident: &mut Incident, by: &str, text: &str, time: u64) -> Result<Kind, Refused> {
    if text.trim().is_empty() {
        return Err(Refused::Empty);
    }
    let (by, text) = (named(by)?, bounded("a note", NOTE, text)?);
    touch(incident, time);
    Ok(IncidentNoted { incident: Some(incident.clone()), by, text }.into())
}

/// Somebody looks at it.
///
/// # Errors
///
/// It is over, or somebody does already.
pub fn acknowledge(incident: &mut Incident, by: &str, time: u64) -> Result<Kind, Refused> {
    let by = named(by)?;
    match incident.state() {
        IncidentState::Resolved => return Err(Refused::Resolved { number: incident.number }),
        IncidentState::Acknowledged => {
            return Err(Refused::Acknowledged { number: incident.number, owner: incident.owner.clone() });
        }
        IncidentState::Open | IncidentState::Unspecified => {}
    }
    touch(incident, time);
    incident.set_state(IncidentState::Acknowledged);
    incident.owner.clone_from(&by);
    Ok(IncidentAcknowledged { incident: Some(incident.clone()), by }.into())
}

/// Somebody holds it to be over.
///
/// # Errors
///
/// It is already.
pub fn close(incident: &mut Incident, by: &str, text: &str, time: u64) -> Result<Kind, Refused> {
    let (by, text) = (named(by)?, bounded("a reason", NOTE, text)?);
    if incident.state() == IncidentState::Resolved {
        return Err(Refused::Resolved { number: incident.number });
    }
    touch(incident, time);
    incident.set_state(IncidentState::Resolved);
    incident.resolved = Some(incident.changed);
    Ok(IncidentResolved { incident: Some(incident.clone()), by, text }.into())
}

/// Something happened to it. Clocks of nodes and people disagree: what is later in the book is never earlier in time.
pub(super) fn touch(incident: &mut Incident, time: u64) {
    incident.revision += 1;
    incident.changed = incident.changed.max(time);
}

fn named(by: &str) -> Result<String, Refused> {
    match by.trim() {
        "" => Err(Refused::Nameless),
        by => bounded("a name", NAME, by),
    }
}

fn bounded(what: &'static str, most: usize, text: &str) -> Result<String, Refused> {
    if text.len() > most {
        return Err(Refused::Long { what, most, bytes: text.len() });
    }
    Ok(text.to_owned())
}
