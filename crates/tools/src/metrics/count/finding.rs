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
    /// By id.
    active: BTreeMap<String, Active>,
}

/// One of them: whose, how bad, and which run of the detectors said so last.
#[derive(Clone, Copy, Debug)]
struct Active {
    labels: (Detector, Severity),
    run: u64,
}

impl Findings {
    /// Whoever found them is gone: nobody knows what lasts.
    pub fn forget(&mut self) {
        self.active.clear();
    }
}

/// A statement about a finding, by a run of the detectors; `false` where there is no room to follow it.
pub fn said(node: &mut Node, kind: &Kind, run: u64, finding: Option<&Finding>) -> bool {
    let Some(finding) = finding else { return true };
    let labels = (Detector::of(&finding.detector), finding.severity());
    let active = &mut node.findings.active;
    let before = match kind {
        Kind::FindingOpened(_) | Kind::FindingUpdated(_) if active.len() < MOST || active.contains_key(&finding.id) => {
            change(&mut node.cells, labels, 1.0);
            active.insert(finding.id.clone(), Active { labels, run })
        }
        Kind::FindingOpened(_) | Kind::FindingUpdated(_) => return false,
        _ => active.remove(&finding.id),
    };
    if let Some(before) = before {
        change(&mut node.cells, before.labels, -1.0);
    }
    if let Kind::FindingOpened(_) = kind {
        table::FINDINGS_OPENED.add(&mut node.cells, labels, 1);
    }
    true
}

/// Forgets findings that only an earlier run of the detectors spoke of.
pub fn only_of(node: &mut Node, run: u64) {
    let cells = &mut node.cells;
    node.findings.active.retain(|_, active| {
        let stays = active.run >= run;
        if !stays {
            change(cells, active.labels, -1.0);
        }
        stays
    });
}

/// One more or one less; where none is left there is no series.
fn change(cells: &mut Cells, labels: (Detector, Severity), by: f64) {
    let now = table::FINDINGS.get(cells, labels).unwrap_or(0.0) + by;
    table::FINDINGS.set_or_forget(cells, labels, (now > 0.0).then_some(now));
}
