//! Findings that last: what detectors hold to be the case now.

use std::collections::BTreeMap;

use event::{Event, Finding, Kind, Severity};

use super::peers::kept;

/// Findings that are followed per node; the detectors have bounds of their own, and those are lower.
const MOST: usize = 1024;

/// By id.
#[derive(Clone, Debug, Default)]
pub struct Findings(BTreeMap<String, Active>);

/// One of them.
#[derive(Clone, Debug)]
pub struct Active {
    pub severity: Severity,
    /// `D39 inv_queue`, and about whom.
    pub about: String,
    /// In a sentence.
    pub summary: String,
    /// When it was opened, nanoseconds since the epoch.
    pub opened: u64,
    /// Whether events are missing to go on judging.
    pub unknown: bool,
    /// Which run of the detectors said so last.
    run: u64,
}

impl Findings {
    /// Takes in what is said of one.
    pub fn take(&mut self, event: &Event) {
        let Some(finding) = detect::finding::of(event) else { return };
        match &event.kind {
            Some(Kind::FindingOpened(_) | Kind::FindingUpdated(_)) => {
                if self.0.len() < MOST || self.0.contains_key(&finding.id) {
                    self.0.insert(finding.id.clone(), Active::of(finding, event.run));
                }
            }
            _ => {
                self.0.remove(&finding.id);
            }
        }
    }

    /// Whoever found them is gone.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// Forgets those that only an earlier run of the detectors spoke of.
    pub fn only_of(&mut self, run: u64) {
        self.0.retain(|_, active| active.run >= run);
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The worst, and of several the latest.
    pub fn worst(&self) -> Option<&Active> {
        self.0.values().max_by_key(|active| (active.severity as i32, active.opened))
    }
}

impl Active {
    fn of(finding: &Finding, run: u64) -> Self {
        let mut about = format!("{} {}", finding.detector, finding.name);
        if let Some(entity) = &finding.entity {
            let peer = entity.peer.map(|peer| peer.to_string()).unwrap_or_default();
            for word in [entity.kind().word(), &peer, &entity.address, &entity.name].into_iter().filter(|word| !word.is_empty()) {
                about.push(' ');
                about.push_str(word);
            }
        }
        Self {
            severity: finding.severity(),
            about: kept(&about),
            summary: super::number::plain(&finding.summary, 300),
            opened: finding.opened,
            unknown: finding.unknown,
            run,
        }
    }
}
