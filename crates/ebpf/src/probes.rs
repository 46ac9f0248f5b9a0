//! The table of tracepoints: one row each, and nothing else to write for a new one that carries no payload.
//!
//! A row says what Bitcoin Core passes, in order, and which event that is. The kernel side is driven by it, `doctor` and the
//! documentation print it. Reference: Bitcoin Core's `doc/tracing.md` and the `TRACEPOINT` lines in its source; types and
//! orders below hold for v29 to v31.

use std::collections::BTreeMap;

use event::{
    ChainBlockConnected, ChainCoinsFlushed, ConnClosed, ConnEvicted, ConnMisbehaving, ConnOpened, Direction, Kind, MempoolAdded,
    MempoolRejected, MempoolRemoved, MempoolReplaced,
};

use crate::args::Args;
use crate::notes::Note;
use crate::peers::Peer;
use crate::skel;

/// How an argument is captured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slot {
    /// A number or a truth value of any width.
    Int,
    /// A pointer to 32 bytes.
    Hash,
    /// A C string of up to 31 bytes; the rest of a longer one is cut off.
    Str32,
    /// A C string of up to 127 bytes.
    Str128,
    /// A C string of up to 263 bytes: the longest host name, a colon and a port.
    Str264,
    /// A pointer to the payload of a message; its length is the argument before it.
    Payload,
}

impl Slot {
    /// The kernel side's name for it.
    pub(crate) fn raw(self) -> u32 {
        match self {
            Self::Int | Self::Payload => skel::slot::SLOT_INT.0,
            Self::Hash => skel::slot::SLOT_HASH.0,
            Self::Str32 => skel::slot::SLOT_STR32.0,
            Self::Str128 => skel::slot::SLOT_STR128.0,
            Self::Str264 => skel::slot::SLOT_STR264.0,
        }
    }

    /// Bytes that it takes in a record.
    pub(crate) fn size(self) -> usize {
        (self.raw() & skel::slot::SLOT_SIZE_MASK.0) as usize
    }
}

/// What a row's records become.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// A P2P message in this direction.
    Message(Direction),
    /// A fact about a peer: the first three arguments are its id, address and connection type, the fourth its network.
    Connection(fn(&Peer, u64, &mut Args<'_>) -> Kind),
    /// Any other fact about a peer, whose id is the first argument.
    PeerFact(fn(&Peer, u64, &mut Args<'_>) -> Kind),
    /// A fact about the node.
    Fact(fn(&mut Args<'_>) -> Kind),
}

/// A tracepoint.
#[derive(Debug)]
pub struct Probe {
    /// `net`
    pub provider: &'static str,
    /// `inbound_message`
    pub name: &'static str,
    /// `net:inbound_message`
    pub full_name: &'static str,
    /// The first major version of Bitcoin Core that has it.
    pub since: u32,
    /// What it passes: names and how they are captured.
    pub arguments: &'static [(&'static str, Slot)],
    /// What becomes of it.
    pub shape: Shape,
}

macro_rules! probe {
    ($provider:literal : $name:literal, since $since:literal, [$($argument:ident $slot:ident),* $(,)?], $shape:expr) => {
        Probe {
            provider: $provider,
            name: $name,
            full_name: concat!($provider, ":", $name),
            since: $since,
            arguments: &[$((stringify!($argument), Slot::$slot)),*],
            shape: $shape,
        }
    };
}

/// Every tracepoint that becomes events. The row's place is its number in records; new rows go to the end.
pub static PROBES: &[Probe] = &[
    probe!("net":"inbound_message", since 23,
        [peer Int, address Str264, connection_type Str32, message_type Str32, size Int, payload Payload],
        Shape::Message(Direction::Inbound)),
    probe!("net":"outbound_message", since 23,
        [peer Int, address Str264, connection_type Str32, message_type Str32, size Int, payload Payload],
        Shape::Message(Direction::Outbound)),
    probe!("net":"inbound_connection", since 29,
        [peer Int, address Str264, connection_type Str32, network Int, count Int], Shape::Connection(opened)),
    probe!("net":"outbound_connection", since 29,
        [peer Int, address Str264, connection_type Str32, network Int, count Int], Shape::Connection(opened)),
    probe!("net":"evicted_inbound_connection", since 29,
        [peer Int, address Str264, connection_type Str32, network Int, established Int], Shape::Connection(evicted)),
    probe!("net":"closed_connection", since 29,
        [peer Int, address Str264, connection_type Str32, network Int, established Int], Shape::Connection(closed)),
    // documented as at most 128 characters
    probe!("net":"misbehaving_connection", since 29, [peer Int, reason Str264], Shape::PeerFact(misbehaving)),
    probe!("mempool":"added", since 25, [txid Hash, vsize Int, fee Int], Shape::Fact(added)),
    probe!("mempool":"removed", since 25, [txid Hash, reason Str32, vsize Int, fee Int, entered Int], Shape::Fact(removed)),
    probe!("mempool":"replaced", since 29,
        [txid Hash, vsize Int, fee Int, entered Int, replacement Hash, replacement_vsize Int, replacement_fee Int, is_txid Int],
        Shape::Fact(replaced)),
    // documented as at most 118 characters
    probe!("mempool":"rejected", since 25, [txid Hash, reason Str264], Shape::Fact(rejected)),
    probe!("validation":"block_connected", since 25,
        [hash Hash, height Int, transactions Int, inputs Int, sigop_cost Int, duration Int], Shape::Fact(block_connected)),
    probe!("utxocache":"flush", since 23, [duration Int, mode Int, coins Int, bytes Int, for_prune Int], Shape::Fact(flushed)),
];

/// Tracepoints of Bitcoin Core that are left alone, and why; `doctor` does not call them unknown.
pub static LEFT_ALONE: &[(&str, &str)] = &[
    ("utxocache:add", "fires for every coin, on temporary caches too"),
    ("utxocache:spent", "fires for every coin, on temporary caches too"),
    ("utxocache:uncache", "fires for every coin, on temporary caches too"),
    ("coin_selection:selected_coins", "is about the wallet"),
    ("coin_selection:normal_create_tx_internal", "is about the wallet"),
    ("coin_selection:attempting_aps_create_tx", "is about the wallet"),
    ("coin_selection:aps_create_tx_internal", "is about the wallet"),
];

/// Providers of tracepoints that come with the toolchain's libraries where these are linked in.
pub static FOREIGN_PROVIDERS: &[&str] = &["libc", "libgcc", "libstdcxx", "rtld"];

/// What a node's program offers, compared with the table.
#[derive(Debug, Default)]
pub struct Offer {
    /// Rows that can be captured, with their numbers.
    pub known: Vec<(usize, &'static Probe)>,
    /// Rows that the program does not have, or only in an older form with fewer arguments.
    pub missing: Vec<&'static Probe>,
    /// Tracepoints of the program that are in no table: those of a newer or patched node.
    pub unlisted: Vec<String>,
}

impl Offer {
    /// Compares the notes of a program with the table.
    pub fn of(notes: &[Note]) -> Self {
        let mut sites: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for note in notes {
            let arguments = sites.entry((&note.provider, &note.name)).or_insert(usize::MAX);
            *arguments = note.arguments.len().min(*arguments);
        }
        let mut offer = Self::default();
        for (number, probe) in PROBES.iter().enumerate() {
            match sites.remove(&(probe.provider, probe.name)) {
                Some(arguments) if arguments >= probe.arguments.len() => offer.known.push((number, probe)),
                // an older form: better taken as missing than read wrongly
                _ => offer.missing.push(probe),
            }
        }
        let others = sites.into_keys().filter(|(provider, _)| !FOREIGN_PROVIDERS.contains(provider));
        offer.unlisted = others
            .map(|(provider, name)| format!("{provider}:{name}"))
            .filter(|name| !LEFT_ALONE.iter().any(|(left_alone, _)| left_alone == name))
            .collect();
        offer
    }

    /// Names of what can be captured.
    pub fn known_names(&self) -> Vec<String> {
        self.known.iter().map(|(_, probe)| probe.full_name.to_owned()).collect()
    }

    /// Names of what the program does not have.
    pub fn missing_names(&self) -> Vec<String> {
        self.missing.iter().map(|probe| probe.full_name.to_owned()).collect()
    }
}

fn opened(peer: &Peer, id: u64, args: &mut Args<'_>) -> Kind {
    ConnOpened {
        peer: id,
        address: peer.address.to_string(),
        connection_type: peer.connection_type.into(),
        network: peer.network.into(),
        count: Some(args.uint()),
    }
    .into()
}

fn evicted(peer: &Peer, id: u64, args: &mut Args<'_>) -> Kind {
    ConnEvicted {
        peer: id,
        address: peer.address.to_string(),
        connection_type: peer.connection_type.into(),
        network: peer.network.into(),
        established: Some(args.uint()),
    }
    .into()
}

fn closed(peer: &Peer, id: u64, args: &mut Args<'_>) -> Kind {
    ConnClosed {
        peer: id,
        address: peer.address.to_string(),
        connection_type: peer.connection_type.into(),
        network: peer.network.into(),
        established: Some(args.uint()),
    }
    .into()
}

fn misbehaving(peer: &Peer, id: u64, args: &mut Args<'_>) -> Kind {
    ConnMisbehaving {
        peer: id,
        address: peer.address.to_string(),
        connection_type: peer.connection_type.into(),
        network: peer.network.into(),
        reason: args.text(),
    }
    .into()
}

fn added(args: &mut Args<'_>) -> Kind {
    MempoolAdded { txid: args.hash(), vsize: Some(args.uint()), fee: Some(args.int()), wtxid: None }.into()
}

fn removed(args: &mut Args<'_>) -> Kind {
    MempoolRemoved {
        txid: args.hash(),
        reason: args.word("REMOVAL_REASON", event::RemovalReason::from_str_name).unwrap_or_default().into(),
        vsize: Some(args.uint()),
        fee: Some(args.int()),
        entered: Some(args.uint()),
        wtxid: None,
    }
    .into()
}

fn replaced(args: &mut Args<'_>) -> Kind {
    MempoolReplaced {
        txid: args.hash(),
        vsize: args.uint(),
        fee: args.int(),
        entered: Some(args.uint()),
        replacement: args.hash(),
        replacement_vsize: args.uint(),
        replacement_fee: args.int(),
        replacement_is_txid: Some(args.flag()),
        ..Default::default()
    }
    .into()
}

fn rejected(args: &mut Args<'_>) -> Kind {
    MempoolRejected { txid: args.hash(), reason: args.text(), ..Default::default() }.into()
}

fn block_connected(args: &mut Args<'_>) -> Kind {
    ChainBlockConnected {
        hash: args.hash(),
        height: args.int() as i32,
        transactions: Some(args.uint()),
        inputs: Some(args.uint()),
        sigop_cost: Some(args.uint()),
        duration: Some(args.uint()),
    }
    .into()
}

fn flushed(args: &mut Args<'_>) -> Kind {
    ChainCoinsFlushed {
        duration: args.int(),
        mode: args.uint() as u32,
        coins: args.uint(),
        bytes: args.uint(),
        for_prune: args.flag(),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_fits_the_kernel_side() {
        let spec = skel::spec::default();
        assert!(PROBES.len() <= skel::losses::default().lost.len());
        for probe in PROBES {
            assert!(probe.arguments.len() <= spec.arguments.len(), "{}", probe.full_name);
        }
    }

    /// A constructor that takes fewer, more or other arguments than its row states would panic here.
    #[test]
    fn constructors_take_the_arguments_of_their_row() {
        for probe in PROBES {
            let zeros = vec![0; probe.slots_size()];
            let mut args = Args::new(probe, &zeros).expect("slots are complete");
            let kind = match probe.shape {
                Shape::Message(_) => continue,
                Shape::Fact(make) => make(&mut args),
                Shape::PeerFact(make) => {
                    let id = args.uint();
                    make(&Peer::default(), id, &mut args)
                }
                Shape::Connection(make) => {
                    let id = args.uint();
                    let peer = Peer::from_args(&mut args);
                    make(&peer, id, &mut args)
                }
            };
            assert!(args.is_empty(), "{}: arguments left over", probe.full_name);
            // which kinds a node without this tracepoint does not state
            let is_listed = event::primary::stated_by(kind.id()).contains(&probe.full_name);
            let is_shared = matches!(event::primary::witnesses(kind.id()), event::primary::Witnesses::Of([_, _]));
            assert_eq!(is_listed, is_shared, "{}: not in the list of `event::primary`", probe.full_name);
        }
    }

    #[test]
    fn an_offer_is_compared_with_the_table() {
        let argument = crate::notes::Argument { signed: true, width: 8, place: crate::notes::Place::Constant(0) };
        let note = |provider: &str, name: &str, arguments| Note {
            provider: provider.into(),
            name: name.into(),
            location: 0,
            semaphore: 0,
            arguments: vec![argument.clone(); arguments],
        };
        let offer = Offer::of(&[
            note("mempool", "added", 3),
            note("mempool", "added", 3),
            // seven arguments before v29
            note("mempool", "replaced", 7),
            // one of two sites
            note("mempool", "rejected", 2),
            note("mempool", "rejected", 1),
            note("utxocache", "add", 5),
            note("addrman", "attempt_add", 7),
            note("libstdcxx", "throw", 3),
        ]);
        assert_eq!(offer.known_names(), ["mempool:added"]);
        assert_eq!(offer.missing.len(), PROBES.len() - 1);
        assert_eq!(offer.unlisted, ["addrman:attempt_add"]);
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::HashSet<_> =
            PROBES.iter().map(|p| p.full_name).chain(LEFT_ALONE.iter().map(|(name, _)| *name)).collect();
        assert_eq!(names.len(), PROBES.len() + LEFT_ALONE.len());
    }
}
