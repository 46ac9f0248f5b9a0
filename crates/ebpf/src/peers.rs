//! Who peers are: address, type and network, told once and kept for the messages that follow.

use event::{ConnectionType, Network};

use crate::args::{Args, word};

/// A peer as the node describes it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Peer {
    /// Address and port, or the name that the operator typed; empty if not known.
    pub address: Box<str>,
    /// Why the connection exists.
    pub connection_type: ConnectionType,
    /// Only connection tracepoints tell.
    pub network: Network,
}

impl Peer {
    /// From the strings that come with a message.
    pub(crate) fn from_names(address: &[u8], connection_type: &[u8]) -> Self {
        let connection_type = match connection_type {
            b"" => ConnectionType::Unspecified,
            other => word(other, "CONNECTION_TYPE", ConnectionType::from_str_name).unwrap_or(ConnectionType::Other),
        };
        Self { address: String::from_utf8_lossy(address).into(), connection_type, network: Network::Unspecified }
    }

    /// From the second to fourth argument of a connection tracepoint.
    pub(crate) fn from_args(args: &mut Args<'_>) -> Self {
        let peer = Self::from_names(args.bytes(), args.bytes());
        Self { network: network(args.int()), ..peer }
    }
}

/// Bitcoin Core's `enum Network` (`src/netaddress.h`); 0 is "unroutable".
fn network(number: i64) -> Network {
    i32::try_from(number)
        .ok()
        .and_then(|number| Network::try_from(number.checked_add(1)?).ok())
        .filter(|_| (0..=6).contains(&number))
        .unwrap_or(Network::Other)
}

/// Places in the table. More than the kernel side has, and a multiple of that, so that a peer the kernel side takes for known
/// is still here: both are direct-mapped, and whoever replaced it here has replaced it there.
const PLACES: usize = 1 << 16;

/// The peers of one or more lives of a node, by process and id. Bounded: a peer gives way to one whose id is 65,536 higher.
#[derive(Debug)]
pub(crate) struct Peers {
    places: Vec<Option<Box<Entry>>>,
}

#[derive(Debug)]
struct Entry {
    tgid: u32,
    id: i64,
    peer: Peer,
}

impl Peers {
    pub(crate) fn new() -> Self {
        Self { places: std::iter::repeat_with(|| None).take(PLACES).collect() }
    }

    pub(crate) fn get(&self, tgid: u32, id: i64) -> Option<&Peer> {
        let entry = self.places.get(place(id))?.as_ref()?;
        (entry.tgid == tgid && entry.id == id).then_some(&entry.peer)
    }

    /// Remembers a peer. A message's names do not know the network: what a connection tracepoint told stays.
    pub(crate) fn put(&mut self, tgid: u32, id: i64, mut peer: Peer) {
        if peer.network == Network::Unspecified
            && let Some(known) = self.get(tgid, id)
        {
            peer.network = known.network;
        }
        if let Some(entry) = self.places.get_mut(place(id)) {
            *entry = Some(Box::new(Entry { tgid, id, peer }));
        }
    }

    /// Forgets all peers of a process: its id is about to be used again.
    pub(crate) fn forget(&mut self, tgid: u32) {
        for place in &mut self.places {
            place.take_if(|entry| entry.tgid == tgid);
        }
    }
}

fn place(id: i64) -> usize {
    id.cast_unsigned() as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::from_names(address.as_bytes(), b"inbound")
    }

    #[test]
    fn a_peer_belongs_to_its_process() {
        let mut peers = Peers::new();
        peers.put(1, 7, peer("a"));
        assert_eq!(peers.get(1, 7), Some(&peer("a")));
        assert_eq!(peers.get(2, 7), None);
        peers.forget(1);
        assert_eq!(peers.get(1, 7), None);
    }

    #[test]
    fn the_network_stays_known() {
        let mut peers = Peers::new();
        peers.put(1, 7, Peer { network: Network::Onion, ..peer("a") });
        peers.put(1, 7, peer("a"));
        assert_eq!(peers.get(1, 7).map(|peer| peer.network), Some(Network::Onion));
    }

    #[test]
    fn every_type_and_network_of_core_has_its_value() {
        let types = ["inbound", "outbound-full-relay", "block-relay-only", "manual", "feeler", "addr-fetch", "private-broadcast"];
        for (number, name) in (1..).zip(types) {
            assert_eq!(Peer::from_names(b"", name.as_bytes()).connection_type as i32, number, "{name}");
        }
        assert_eq!(Peer::from_names(b"", b"new").connection_type, ConnectionType::Other);
        for (number, expected) in [
            (0, Network::NotPubliclyRoutable),
            (3, Network::Onion),
            (6, Network::Internal),
            (7, Network::Other),
            (-1, Network::Other),
        ] {
            assert_eq!(network(number), expected);
        }
    }

    #[test]
    fn places_are_a_multiple_of_the_kernel_sides() {
        let slots = size_of::<crate::skel::bss_peers>() / size_of::<u64>();
        assert_eq!(PLACES % slots, 0);
        assert!(PLACES > slots);
    }
}
