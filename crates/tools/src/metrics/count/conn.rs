//! Connections.

use event::{ConnClosed, ConnEnded, ConnEvicted, ConnMisbehaving, ConnOpened, ConnRefused, ConnectionType, Direction};

use crate::metrics::label::List;
use crate::metrics::lists::Lists;
use crate::metrics::node::{Node, seconds};
use crate::metrics::table;
use crate::metrics::vocabulary::{self, Misbehaviour};

fn direction(of: ConnectionType) -> Direction {
    match of {
        ConnectionType::Unspecified => Direction::Unspecified,
        ConnectionType::Inbound => Direction::Inbound,
        _ => Direction::Outbound,
    }
}

pub fn opened(node: &mut Node, lists: &Lists, m: &ConnOpened) {
    table::OPENED.add(&mut node.cells, (m.connection_type(), m.network()), 1);
    match m.count {
        Some(count) => table::CONNECTIONS.set(&mut node.cells, (direction(m.connection_type()),), count as f64),
        None => node.add_connections(direction(m.connection_type()), 1.0),
    }
    if let Some(address) = vocabulary::ip(&m.address) {
        for list in lists.of(address) {
            table::LIST_OPENED.add(&mut node.cells, (List(list), m.connection_type()), 1);
        }
    }
}

pub fn closed(node: &mut Node, time: u64, m: &ConnClosed) {
    table::CLOSED.add(&mut node.cells, (m.connection_type(), m.network()), 1);
    node.add_connections(direction(m.connection_type()), -1.0);
    // whole seconds of another clock: what just opened may have opened later than now
    if let Some(established) = m.established {
        let lifetime = time.saturating_sub(established.saturating_mul(1_000_000_000));
        table::LIFETIMES.observe(&mut node.cells, (m.connection_type(),), seconds(lifetime));
    }
}

pub fn evicted(node: &mut Node, m: &ConnEvicted) {
    table::EVICTED.add(&mut node.cells, (m.network(),), 1);
}

pub fn misbehaving(node: &mut Node, m: &ConnMisbehaving) {
    table::MISBEHAVED.add(&mut node.cells, (Misbehaviour::of(&m.reason),), 1);
}

pub fn refused(node: &mut Node, m: &ConnRefused) {
    table::REFUSED.add(&mut node.cells, (m.reason(),), 1);
}

pub fn ended(node: &mut Node, m: &ConnEnded) {
    table::ENDED.add(&mut node.cells, (m.reason(), m.connection_type()), 1);
}
