//! The brief form of an event: what it takes to draw it, a tenth of its length.

use event::text::U64;
use event::{ConnectionType, Event, Kind};
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

/// An event in brief: the names and forms of its fields are those of the full form, but for `count`.
pub struct Brief<'a>(pub &'a Event);

impl Serialize for Brief<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(event) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &U64(event.time))?;
        map.serialize_entry("node", &event.node)?;
        if let Some(kind) = &event.kind {
            map.serialize_entry("kind", kind.id().name())?;
            if let Some(peer) = kind.peer() {
                map.serialize_entry("peer", &U64(peer))?;
            }
            if let Some(net) = kind.net() {
                map.serialize_entry("direction", net.direction.word())?;
                map.serialize_entry("size", &net.size)?;
            }
            if let Some(connection_type) = connection_type(kind) {
                map.serialize_entry("connectionType", connection_type.word())?;
            }
            if let Some(count) = entries(kind) {
                map.serialize_entry("count", &count)?;
            }
        }
        map.end()
    }
}

/// Of events that say who came or went: a circle colours by it.
fn connection_type(kind: &Kind) -> Option<ConnectionType> {
    Some(match kind {
        Kind::ConnOpened(opened) => opened.connection_type(),
        Kind::ConnClosed(closed) => closed.connection_type(),
        Kind::ConnEvicted(evicted) => evicted.connection_type(),
        Kind::ConnEnded(ended) => ended.connection_type(),
        _ => return None,
    })
}

/// How many of what it is about it carries; `None` where it carries one, or none.
pub fn entries(kind: &Kind) -> Option<usize> {
    Some(match kind {
        Kind::NetInv(inv) => inv.items.len(),
        Kind::NetGetdata(getdata) => getdata.items.len(),
        Kind::NetNotfound(notfound) => notfound.items.len(),
        Kind::NetAddr(addr) => addr.addresses.len(),
        Kind::NetAddrv2(addrv2) => addrv2.addresses.len(),
        Kind::NetHeaders(headers) => headers.headers.len(),
        Kind::NetBlock(block) => block.transactions.len(),
        Kind::NetCmpctblock(compact) => compact.short_ids.len() + compact.prefilled.len(),
        Kind::NetGetblocktxn(getblocktxn) => getblocktxn.indexes.len(),
        Kind::NetBlocktxn(blocktxn) => blocktxn.transactions.len(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{Direction, Inventory, NetInv, Source};

    #[test]
    fn it_says_what_a_picture_needs() {
        let items = vec![Inventory::default(); 3];
        let inv = NetInv { peer: 12, direction: Direction::Inbound.into(), size: 109, items, ..Default::default() };
        let event = Event { time: 5, sequence: 9, ..Event::new("alice", Source::Ebpf, inv) };
        let expect = r#"{"time":"5","node":"alice","kind":"net.inv","peer":"12","direction":"inbound","size":109,"count":3}"#;
        assert_eq!(serde_json::to_string(&Brief(&event)).unwrap(), expect);
    }
}
