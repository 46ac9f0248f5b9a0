//! What a peer of the node sees, and what the observer finds where it dials.

use event::{
    ProbeAddress, ProbeAnnouncedAddresses, ProbeAnnouncedBlocks, ProbeAnnouncedTransactions, ProbeFeeFilter, ProbePing,
    ProbeRefused, ProbeUnanswered, ProbeUndecodable,
};

use super::per_vbyte;
use crate::metrics::node::{Node, seconds};
use crate::metrics::table;

pub fn ping(node: &mut Node, m: &ProbePing) {
    let took = seconds(m.round_trip_nanos);
    table::PROBE_PINGS.observe(&mut node.cells, (), took);
    table::PROBE_PING.set(&mut node.cells, (), took);
    table::PROBE_WAITING.set(&mut node.cells, (), 0.0);
}

pub fn unanswered(node: &mut Node, m: &ProbeUnanswered) {
    table::PROBE_WAITING.set(&mut node.cells, (), seconds(m.waiting_nanos));
}

pub fn addresses(node: &mut Node, m: &ProbeAnnouncedAddresses) {
    table::PROBE_ADDRESSES.observe(&mut node.cells, (), m.addresses.len() as f64);
    for address in &m.addresses {
        table::PROBE_ADDRESS_NETWORKS.add(&mut node.cells, (address.network(),), 1);
    }
}

pub fn transactions(node: &mut Node, m: &ProbeAnnouncedTransactions) {
    table::PROBE_TRANSACTIONS.observe(&mut node.cells, (), (m.wtxids.len() + m.txids.len()) as f64);
}

pub fn blocks(node: &mut Node, m: &ProbeAnnouncedBlocks) {
    table::PROBE_BLOCKS.add(&mut node.cells, (m.by(),), m.hashes.len() as u64);
}

pub fn fee_filter(node: &mut Node, m: &ProbeFeeFilter) {
    table::PROBE_FEE_FILTERS.add(&mut node.cells, (), 1);
    table::PROBE_FEE_FILTER.set(&mut node.cells, (), per_vbyte(m.feerate));
}

pub fn refused(node: &mut Node, m: &ProbeRefused) {
    table::PROBE_REFUSED.add(&mut node.cells, (m.reason(),), m.count);
}

pub fn undecodable(node: &mut Node, m: &ProbeUndecodable) {
    table::PROBE_UNDECODABLE.add(&mut node.cells, (m.reason(),), 1);
}

pub fn address(node: &mut Node, m: &ProbeAddress) {
    table::VISITS.add(&mut node.cells, (m.network(), m.result()), 1);
    table::VISITS_PASSED_OVER.add(&mut node.cells, (), m.passed_over);
    if let Some(nanos) = m.handshake_nanos {
        table::VISIT_HANDSHAKES.observe(&mut node.cells, (m.transport(),), seconds(nanos));
    }
}
