//! What the observer knows of itself.

use event::{HealthAttached, HealthDiverged, HealthJoined, HealthLost, HealthShipped, Source};

use crate::metrics::label::{Label as _, Message};
use crate::metrics::node::Node;
use crate::metrics::table::{self, Join, Joined};

pub fn lost(node: &mut Node, m: &HealthLost) {
    table::EVENTS_LOST.add(&mut node.cells, (m.stage(),), m.count);
}

pub fn attached(node: &mut Node, source: Source, m: &HealthAttached) {
    table::SOURCE_ATTACHED.set(&mut node.cells, (source,), m.attached.len() as f64);
    table::SOURCE_MISSING.set(&mut node.cells, (source,), m.missing.len() as f64);
}

pub fn detached(node: &mut Node, source: Source) {
    table::SOURCE_DETACHED.add(&mut node.cells, (source,), 1);
}

pub fn reconciled(node: &mut Node) {
    table::RECONCILED.add(&mut node.cells, (), 1);
}

pub fn diverged(node: &mut Node, m: &HealthDiverged) {
    table::DIVERGED.add(&mut node.cells, (Message::of_name(&m.message_type), m.direction()), 1);
}

pub fn shipped(node: &mut Node, m: &HealthShipped) {
    table::SHIP_WAITING.set(&mut node.cells, (), m.waiting_bytes as f64);
    table::SHIP_FAILURES.set(&mut node.cells, (), m.failures as f64);
    if let Some(seconds) = m.last_success {
        table::SHIP_SUCCESS.set(&mut node.cells, (), seconds as f64);
    }
}

/// A join states totals since it began; what was added since it said so last is counted.
pub fn joined(node: &mut Node, run: u64, m: &HealthJoined) {
    let begins = node.joined.0 != run;
    if begins {
        node.joined = (run, Default::default());
    }
    // what was joined before one listened did not happen now
    let counts = !begins || node.is_whole(Source::Join, run);
    for total in &m.totals {
        let kind = match total.kind.as_str() {
            "conn.ended" => Joined::ConnEnded,
            "mempool.refused" => Joined::MempoolRefused,
            _ => Joined::Other,
        };
        let now = [total.joined, total.single, total.late, total.contradicting, total.forgotten];
        let before = std::mem::replace(&mut node.joined.1[kind.index()], now);
        for ((how, now), before) in Join::ALL.iter().zip(now).zip(before).filter(|_| counts) {
            table::JOINED.add(&mut node.cells, (kind, *how), now.saturating_sub(before));
        }
    }
}
