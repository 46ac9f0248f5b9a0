//! The table of peers.

use event::{ConnectionType, Direction};

use super::canvas::{Canvas, Part, dim, painted, strong};
use super::{Node, Paint};
use crate::top::number;
use crate::top::peers::{Column, Peer};
use crate::top::view::View;

/// All columns need so much, with an address of 22.
const WIDE: usize = 140;

/// The longest address that is worth its room: an onion address with its port.
const ADDRESS: usize = 68;

/// Draws it from a row on, up to another; notes in the view how much of it there is.
pub fn draw(canvas: &mut Canvas<'_>, row: usize, end: usize, node: &Node, view: &mut View) {
    let columns = if canvas.width() >= WIDE { Column::WIDE } else { Column::NARROW };
    let peers = node.peers.sorted(view.only, view.order, node.second());
    view.columns = columns;
    view.lines = end.saturating_sub(row + 2);
    view.scroll = view.scroll.min(peers.len().saturating_sub(view.lines));
    canvas.line(row, heading(node, view, peers.len()));
    let address = address_width(canvas.width(), columns);
    let width = |column: Column| if column == Column::Address { address } else { column.width() };
    let mut titles = vec![];
    for column in columns {
        let by = *column == view.order.by;
        let text = aligned(column.title(), width(*column), column.is_text());
        titles.push(painted(" ", Paint::Plain));
        titles.push(painted(text, if by { Paint::Bar } else { Paint::Title }));
    }
    canvas.line(row + 1, titles);
    for (row, peer) in (row + 2..end).zip(peers.into_iter().skip(view.scroll)) {
        let cells = columns.iter().flat_map(|column| {
            let cell = column.cell(peer, node.second());
            // only words can be too long for their column
            let cell = if cell.len() > width(*column) && column.is_text() { number::plain(&cell, width(*column)) } else { cell };
            [painted(" ", Paint::Plain), painted(aligned(&cell, width(*column), column.is_text()), paint(*column, peer))]
        });
        canvas.line(row, cells);
    }
}

fn heading(node: &Node, view: &View, shown: usize) -> Vec<Part> {
    let (inbound, outbound) = node.peers.count();
    let mut parts = vec![strong(format!(" {} peers", inbound + outbound)), dim(format!(" · {inbound} in, {outbound} out"))];
    match view.only {
        Some(Direction::Inbound) => parts.push(strong(" · only those that came")),
        Some(_) => parts.push(strong(" · only those that the node chose")),
        None => {}
    }
    parts.push(dim(format!(" · by {}{}", view.order.by.title(), if view.order.reversed { ", reversed" } else { "" })));
    let last = (view.scroll + view.lines).min(shown);
    if view.lines < shown {
        parts.push(dim(format!(" · {} to {last} of {shown}", view.scroll + 1)));
    }
    if node.peers.forgotten > 0 {
        parts.push(painted(format!(" · {} not followed", number::whole(node.peers.forgotten)), Paint::Bad));
    }
    parts
}

fn address_width(width: usize, columns: &[Column]) -> usize {
    let others: usize = columns.iter().map(|column| column.width() + 1).sum();
    width.saturating_sub(others).min(ADDRESS)
}

fn aligned(text: &str, width: usize, left: bool) -> String {
    if left { format!("{text:<width$}") } else { format!("{text:>width$}") }
}

fn paint(column: Column, peer: &Peer) -> Paint {
    match (column, peer.connection_type) {
        (Column::Type, ConnectionType::Inbound) => Paint::Inbound,
        (Column::Type, ConnectionType::OutboundFullRelay) => Paint::FullRelay,
        (Column::Type, ConnectionType::BlockRelayOnly) => Paint::BlockRelay,
        (Column::Misbehaved, _) if peer.misbehaved > 0 => Paint::Bad,
        (Column::Ping, _) if peer.waiting > peer.ping => Paint::Bad,
        _ => Paint::Plain,
    }
}
