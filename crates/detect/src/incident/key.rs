//! By what a finding is known to belong to an incident.

use event::{EntityKind, Finding};
use serde::{Deserialize, Serialize};

use crate::ledger::FLEET;

/// What is known of no detector of this release.
const OTHER: &str = "other";

/// The family of a detector, by its number in the catalogue.
pub fn family(detector: &str) -> &'static str {
    crate::all().iter().find(|entry| entry.about.id == detector).map_or(OTHER, |entry| entry.about.family.name())
}

/// What the family of a replay's mark begins with.
const REPLAY: &str = "replay ";

/// A mark that findings of one incident share.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub(super) struct Key {
    /// The family.
    pub family: String,
    /// Where.
    pub place: Place,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub(super) enum Place {
    /// At whatever node.
    Stranger(i32, String),
    /// At this node.
    Node(String),
    /// Everywhere.
    Fleet,
    /// Of the storm alone.
    Storm,
}

impl Key {
    /// One of a family. What is of a replay belongs to nothing that happens now.
    pub fn new(family: &str, place: Place, replay: bool) -> Self {
        let family = if replay { format!("{REPLAY}{family}") } else { family.to_owned() };
        Self { family, place }
    }

    /// Its family, and whether it is of a replay.
    pub fn family(&self) -> (&str, bool) {
        self.family.strip_prefix(REPLAY).map_or((&self.family, false), |family| (family, true))
    }

    /// The marks of a finding, in the order in which they decide.
    pub fn of(node: &str, finding: &Finding, replay: bool) -> Vec<Self> {
        let family = family(&finding.detector);
        let mut places = Vec::new();
        let entity = finding.entity.as_ref();
        if let Some(entity) = entity.filter(|entity| is_stranger(entity.kind())) {
            let name = if entity.address.is_empty() { &entity.name } else { &entity.address };
            places.push(Place::Stranger(entity.kind, name.clone()));
        }
        let of_fleet = node == FLEET || !finding.part_of.is_empty() || entity.is_some_and(|of| of.kind() == EntityKind::Fleet);
        if node != FLEET {
            places.push(Place::Node(node.to_owned()));
        }
        if of_fleet {
            places.push(Place::Fleet);
        }
        places.into_iter().map(|place| Self::new(family, place, replay)).collect()
    }
}

/// Whether it is the same at whatever node.
pub(super) fn is_stranger(kind: EntityKind) -> bool {
    use EntityKind::{Address, Agent, Asn, Fingerprint, Listed, Range};
    matches!(kind, Address | Range | Asn | Fingerprint | Agent | Listed)
}
