//! Kinds: which there are, and what they have in common.

use bytes::Bytes;

use crate::*;

include!(concat!(env!("OUT_DIR"), "/kinds.rs"));

impl KindId {
    /// The kind that goes by this dotted name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|id| id.name() == name)
    }

    /// The part before the dot: `net` of `net.ping`.
    pub fn family(self) -> &'static str {
        self.name().split_once('.').map_or(self.name(), |(family, _)| family)
    }

    /// The part after the dot: `ping` of `net.ping`.
    pub fn short_name(self) -> &'static str {
        self.name().split_once('.').map_or("", |(_, kind)| kind)
    }
}

impl std::fmt::Display for KindId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// What every P2P message has.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Net<'a> {
    /// Peer id.
    pub peer: u64,
    /// Which way it goes, seen from the node.
    pub direction: Direction,
    /// As the node states it; empty if not known.
    pub address: &'a str,
    /// Why the connection exists.
    pub connection_type: ConnectionType,
    /// Network of the connection.
    pub network: Network,
    /// Bytes of payload.
    pub size: u32,
    /// The payload, where it was kept.
    pub raw: Option<&'a Bytes>,
}

fn heap_of<T>(items: &[T], each: usize) -> usize {
    items.len() * (size_of::<T>() + each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_again() {
        for id in KindId::ALL {
            assert_eq!(KindId::from_name(id.name()), Some(id));
            assert!(!id.family().is_empty() && !id.short_name().is_empty(), "{id} has a family and a name");
        }
    }

    #[test]
    fn indexes_are_dense() {
        for (index, id) in KindId::ALL.into_iter().enumerate() {
            assert_eq!(id.index(), index);
        }
    }

    /// A kind is moved once or twice on its way; it should not be larger than a few cache lines.
    #[test]
    fn a_kind_stays_small() {
        assert!(size_of::<Kind>() <= 160, "{} bytes", size_of::<Kind>());
    }
}
