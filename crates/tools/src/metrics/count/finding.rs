//! What detectors conclude.

use event::{Finding, Severity};

use crate::metrics::node::Node;
use crate::metrics::table;
use crate::metrics::vocabulary::Detector;

/// Open findings of a node that are remembered: more than its detectors have.
const MOST: usize = 16_384;

pub fn opened(node: &mut Node, finding: Option<&Finding>) {
    if let Some(finding) = finding {
        table::FINDINGS_OPENED.add(&mut node.cells, (Detector::of(&finding.detector), finding.severity()), 1);
    }
    lasts(node, finding);
}

/// It goes on, as it is now. Who began to listen later knows it from then on.
pub fn lasts(node: &mut Node, finding: Option<&Finding>) {
    let Some(finding) = finding else { return };
    if node.findings.len() >= MOST && !node.findings.contains_key(&finding.id) {
        return;
    }
    let now = (Detector::of(&finding.detector), finding.severity());
    let before = node.findings.insert(finding.id.clone(), now);
    show(node, before);
    show(node, Some(now));
}

pub fn ended(node: &mut Node, finding: Option<&Finding>) {
    if let Some(finding) = finding {
        let before = node.findings.remove(&finding.id);
        show(node, before);
    }
}

/// How many there are of one sort.
fn show(node: &mut Node, of: Option<(Detector, Severity)>) {
    if let Some(sort) = of {
        let count = node.findings.values().filter(|known| **known == sort).count();
        table::FINDINGS.set(&mut node.cells, sort, count as f64);
    }
}
