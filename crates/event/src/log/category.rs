//! The categories of debug.log, and the threads that write it.

use std::fmt;

/// A category that a line belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Category(u8);

/// Every category of any release from 24 on (Bitcoin Core `src/logging.cpp`, `LOG_CATEGORIES_BY_STR`); the first stands for none.
const NAMES: [&str; 33] = [
    "",
    "addrman",
    "bench",
    "blockstorage",
    "cmpctblock",
    "coindb",
    "estimatefee",
    "http",
    "i2p",
    "ipc",
    "kernel",
    "leveldb",
    "libevent",
    "lock",
    "mempool",
    "mempoolrej",
    "net",
    "privatebroadcast",
    "proxy",
    "prune",
    "qt",
    "rand",
    "reindex",
    "rpc",
    "scan",
    "selectcoins",
    "tor",
    "txpackages",
    "txreconciliation",
    "util",
    "validation",
    "walletdb",
    "zmq",
];

/// The names as numbers, to be compared at once; none is longer than 16 bytes.
const KEYS: [u128; NAMES.len()] = {
    let mut keys = [0; NAMES.len()];
    let mut at = 1;
    while at < NAMES.len() {
        let (name, mut bytes, mut place) = (NAMES[at].as_bytes(), [0; 16], 0);
        while place < name.len() {
            bytes[place] = name[place];
            place += 1;
        }
        keys[at] = u128::from_le_bytes(bytes);
        at += 1;
    }
    keys
};

/// Places in the list by the hash of a key, zero for none: every line has a category to be looked up.
const SLOTS: [u8; 128] = {
    let mut slots = [0; 128];
    let mut at = 1;
    while at < NAMES.len() {
        let mut slot = slot(KEYS[at]);
        while slots[slot] != 0 {
            slot = (slot + 1) % slots.len();
        }
        slots[slot] = at as u8;
        at += 1;
    }
    slots
};

/// Nothing for an empty name and for one that is too long.
fn key(name: &[u8]) -> Option<u128> {
    let mut bytes = [0; 16];
    bytes.get_mut(..name.len())?.copy_from_slice(name);
    (!name.is_empty()).then(|| u128::from_le_bytes(bytes))
}

const fn slot(key: u128) -> usize {
    // the golden ratio spreads what differs in few bits (Knuth)
    (((key >> 64) as u64 ^ key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 57) as usize
}

impl Category {
    /// Of lines without one.
    pub const NONE: Self = Self(0);

    /// How many there are, [`Category::NONE`] included.
    pub const COUNT: usize = NAMES.len();

    /// `net`; empty for none.
    pub fn name(self) -> &'static str {
        NAMES[self.index()]
    }

    /// The category that goes by this name. `all` stands for none (`-loglevelalways`).
    pub fn from_name(name: &[u8]) -> Option<Self> {
        if name == b"all" {
            return Some(Self::NONE);
        }
        let key = key(name)?;
        let mut at = slot(key);
        while SLOTS[at] != 0 {
            if KEYS[SLOTS[at] as usize] == key {
                return Some(Self(SLOTS[at]));
            }
            at = (at + 1) % SLOTS.len();
        }
        None
    }

    /// Every category.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT as u8).map(Self)
    }

    /// A dense index for tables.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Debug for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name())
    }
}

/// Whether a thread of Bitcoin Core goes by this name (`src/util/threadnames.cpp` and its callers). Two of them, `net` and `http`, are
/// categories too.
pub(super) fn is_thread(name: &[u8]) -> bool {
    const NUMBERED: [&[u8]; 3] = [b"httpworker.", b"http_pool_", b"scriptch."];
    matches!(
        name,
        b"init"
            | b"main"
            | b"shutoff"
            | b"scheduler"
            | b"net"
            | b"msghand"
            | b"opencon"
            | b"addcon"
            | b"dnsseed"
            | b"i2paccept"
            | b"privbcast"
            | b"torcontrol"
            | b"mapport"
            | b"http"
            | b"initload"
            | b"capnp-loop"
            | b"unknown"
            | b"txindex"
            | b"coinstatsindex"
            | b"txospenderindex"
    ) || NUMBERED.iter().any(|start| name.strip_prefix(*start).is_some_and(|number| number.iter().all(u8::is_ascii_digit)))
        || name.starts_with(b"qt-")
        || name.ends_with(b"filter index")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_again() {
        for category in Category::all().skip(1) {
            assert_eq!(Category::from_name(category.name().as_bytes()), Some(category));
        }
        assert_eq!(Category::from_name(b"net").map(Category::name), Some("net"));
        assert_eq!(Category::from_name(b"all"), Some(Category::NONE));
        assert_eq!(Category::from_name(b""), None);
        assert_eq!(Category::from_name(b"Net"), None);
    }
}
