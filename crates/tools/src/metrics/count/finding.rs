//! Findings: how many last.

use std::collections::BTreeMap;

use event::{Finding, Kind, Severity};

use crate::metrics::cells::Cells;
use crate::metrics::node::Node;
use crate::metrics::table;
use crate::metrics::vocabulary::Detector;

/// Findings that are followed per node; the detectors have bounds of their own, and those are lower.
const MOST: usize = 4096;

/// Those that last.
#[derive(Debug, Default)]
pub struct Findings {
    /// By id: whose, how bad.
    active: BTreeMap<String, (Detector, Severity)>,
}

impl Findings {
    /// Whoever found them is gone: nobody knows what lasts.
    pub fn forget(&mut self) {
        self.active.clear();
    }
}

/// A statement about a finding; `false` where there is no room to follow it.
pub fn said(node: &mut Node, kind: &Kind, finding: Option<&Finding>) -> bool {
    let Some(finding) = finding else { return true };
    let detector = Detector::of(&finding.detector);
    let active = &mut node.findings.active;
    let before = match kind {
        Kind::FindingOpened(_) | Kind::FindingUpdated(_) if active.len() < MOST || active.contains_key(&finding.id) => {
            change(&mut node.cells, (detector, finding.severity()), 1.0);
            active.insert(finding.id.clone(), (detector, finding.severity()))
        }
        Kind::FindingOpened(_) | Kind::FindingUpdated(_) => return false,
        _ => active.remove(&finding.id),
    };
    if let Some(before) = before {
        change(&mut node.cells, before, -1.0);
    }
    if let Kind::FindingOpened(_) = kind {
        table::FINDINGS_OPENED.add(&mut node.cells, (detector, finding.severity()), 1);
    }
    true
}

/// One more or one less; where none is left there is no series.
fn change(cells: &mut Cells, labels: (Detector, Severity), by: f64) {
    let now = table::FINDINGS.get(cells, labels).unwrap_or(0.0) + by;
    table::FINDINGS.set_or_forget(cells, labels, (now > 0.0).then_some(now));
}
