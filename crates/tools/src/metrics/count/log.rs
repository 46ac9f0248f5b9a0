//! What only debug.log knows.

use event::{
    ChainBlockChecked, ChainCompactBlock, ChainHeadersIgnored, ChainHeadersSync, ChainReconstructed, ChainSync, ChainTiming,
    CompactStep, ConnAddrman, ConnMalformed, ConnOutbound, HealthLogFile, HealthLogGap, HealthParser, LogRpcRefused, MempoolOrphan,
    MempoolPackage, NetMessage, Source,
};

use crate::metrics::label::{Label as _, Message};
use crate::metrics::node::{Node, seconds};
use crate::metrics::table::{self, Matched, Origin, Verdict};
use crate::metrics::vocabulary::{Category, Check};

pub fn message(node: &mut Node, m: &NetMessage) {
    let labels = (Message::of_name(&m.message_type), m.direction());
    table::LOGGED_MESSAGES.add(&mut node.cells, labels, 1);
    table::LOGGED_BYTES.add(&mut node.cells, labels, m.size.into());
}

pub fn malformed(node: &mut Node, m: &ConnMalformed) {
    table::MALFORMED.add(&mut node.cells, (m.problem(),), 1);
}

pub fn outbound(node: &mut Node, m: &ConnOutbound) {
    table::OUTBOUND.add(&mut node.cells, (m.step(),), 1);
}

pub fn addrman(node: &mut Node, m: &ConnAddrman) {
    table::ADDRMAN_STEPS.add(&mut node.cells, (m.step(),), 1);
}

pub fn overdue(node: &mut Node) {
    table::MEMPOOL_OVERDUE.add(&mut node.cells, (), 1);
}

pub fn orphan(node: &mut Node, m: &MempoolOrphan) {
    // a step that takes several away says how many
    table::ORPHAN_STEPS.add(&mut node.cells, (m.step(),), m.count.unwrap_or(1));
}

pub fn package(node: &mut Node, m: &MempoolPackage) {
    let verdict = if m.accepted { Verdict::Accepted } else { Verdict::Rejected };
    table::PACKAGES.add(&mut node.cells, (verdict,), 1);
}

pub fn disconnected(node: &mut Node) {
    table::DISCONNECTED.add(&mut node.cells, (), 1);
}

pub fn checked(node: &mut Node, m: &ChainBlockChecked) {
    table::CHECKED.add(&mut node.cells, (Check::of(m.valid, &m.reason),), 1);
}

/// The two steps of a block follow each other.
pub fn compact_block(node: &mut Node, time: u64, m: &ChainCompactBlock) {
    let Ok(hash) = <[u8; 32]>::try_from(m.hash.as_ref()) else { return };
    match m.step() {
        CompactStep::Started => node.matching = Some((hash, time)),
        CompactStep::Matched => {
            if let Some((_, start)) = node.matching.take().filter(|(started, _)| *started == hash)
                && let Some(took) = time.checked_sub(start)
            {
                table::MATCHING.observe(&mut node.cells, (), seconds(took));
            }
        }
        CompactStep::Unspecified => {}
    }
}

pub fn reconstructed(node: &mut Node, m: &ChainReconstructed) {
    table::REBUILT.add(&mut node.cells, (), 1);
    table::REBUILT_BYTES.add(&mut node.cells, (), m.requested_bytes.unwrap_or(0));
    for (from, count) in
        [(Origin::Prefilled, m.prefilled), (Origin::Mempool, m.mempool), (Origin::Extra, m.extra), (Origin::Requested, m.requested)]
    {
        table::REBUILT_FROM.add(&mut node.cells, (from,), count);
    }
}

pub fn headers_sync(node: &mut Node, m: &ChainHeadersSync) {
    table::HEADERS_SYNC.add(&mut node.cells, (m.step(),), 1);
}

pub fn headers_ignored(node: &mut Node, m: &ChainHeadersIgnored) {
    table::HEADERS_IGNORED.add(&mut node.cells, (m.reason(),), 1);
}

pub fn sync(node: &mut Node, m: &ChainSync) {
    table::SYNC.add(&mut node.cells, (m.step(),), 1);
}

pub fn invalid(node: &mut Node) {
    table::INVALID.add(&mut node.cells, (), 1);
}

pub fn timing(node: &mut Node, m: &ChainTiming) {
    table::PARTS.observe(&mut node.cells, (m.part(),), seconds(m.duration));
}

pub fn rpc_refused(node: &mut Node, m: &LogRpcRefused) {
    table::CALLS_REFUSED.add(&mut node.cells, (m.reason(),), 1);
}

/// The parser states totals since it began; what was added since it said so last is counted.
pub fn parser(node: &mut Node, run: u64, m: &HealthParser) {
    let begins = node.log_lines.0 != run;
    if begins {
        node.log_lines = (run, vec![]);
    }
    table::LOG_TEMPLATES.set(&mut node.cells, (), f64::from(m.templates));
    let mut now = vec![[0_u64; 2]; Category::ALL.len()];
    for total in &m.categories {
        let place = &mut now[Category::of(&total.category).index()];
        *place = [place[0].saturating_add(total.matched), place[1].saturating_add(total.unmatched)];
    }
    let before = std::mem::replace(&mut node.log_lines.1, now);
    // what it had read before one listened did not happen now
    if begins && !node.is_whole(Source::Log, run) {
        return;
    }
    for (place, (category, now)) in Category::ALL.iter().zip(&node.log_lines.1).enumerate() {
        let before = before.get(place).copied().unwrap_or_default();
        for (matched, now, before) in [(Matched::Yes, now[0], before[0]), (Matched::No, now[1], before[1])] {
            table::LOG_LINES.add(&mut node.cells, (*category, matched), now.saturating_sub(before));
        }
    }
}

pub fn pattern_silent(node: &mut Node) {
    table::LOG_SILENT.add(&mut node.cells, (), 1);
}

pub fn template(node: &mut Node) {
    table::LOG_NEW.add(&mut node.cells, (), 1);
}

pub fn gap(node: &mut Node, m: &HealthLogGap) {
    table::LOG_GAPS.add(&mut node.cells, (m.reason(),), 1);
    table::LOG_GAP_BYTES.add(&mut node.cells, (), m.bytes.unwrap_or(0));
}

pub fn file(node: &mut Node, m: &HealthLogFile) {
    table::LOG_FILE.add(&mut node.cells, (m.problem(),), 1);
}
