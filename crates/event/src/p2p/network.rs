//! Networks, told apart by four bytes.

use std::fmt;
use std::str::FromStr;

/// The bytes that a network's messages begin with (v1), and that its keys are made with (v2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Magic(pub [u8; 4]);

/// Networks by the names that `-chain=` has for them (Bitcoin Core `src/kernel/chainparams.cpp`).
pub const KNOWN: [(&str, Magic); 5] = [
    ("main", Magic([0xf9, 0xbe, 0xb4, 0xd9])),
    ("test", Magic([0x0b, 0x11, 0x09, 0x07])),
    ("testnet4", Magic([0x1c, 0x16, 0x3f, 0x28])),
    ("signet", Magic([0x0a, 0x03, 0xcf, 0x40])),
    ("regtest", Magic([0xfa, 0xbf, 0xb5, 0xda])),
];

impl FromStr for Magic {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, magic)) = KNOWN.iter().find(|(name, _)| *name == text) {
            return Ok(*magic);
        }
        let unknown = || {
            let names: Vec<_> = KNOWN.iter().map(|(name, _)| *name).collect();
            format!(
                "`{text}` is no network: name one of {}, or give the message start of a custom signet as 8 hex digits",
                names.join(", ")
            )
        };
        if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        u32::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| unknown())
    }
}

impl fmt::Display for Magic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match KNOWN.iter().find(|(_, magic)| magic == self) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{:08x}", u32::from_be_bytes(self.0)),
        }
    }
}

/// Which networks a connection may be of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Networks {
    /// This one and no other.
    pub only: Option<Magic>,
    /// One that the node was seen to use, beside those with a name.
    pub learned: Option<Magic>,
}

impl Networks {
    /// Those that a v2 connection is tried with.
    pub fn candidates(&self) -> Vec<Magic> {
        if let Some(only) = self.only {
            return vec![only];
        }
        let mut all: Vec<Magic> = self.learned.into_iter().collect();
        all.extend(KNOWN.iter().map(|(_, magic)| *magic).filter(|magic| Some(*magic) != self.learned));
        all
    }

    /// Whether a v1 connection may be of this network. Without an order any is fine: it may be a custom signet.
    pub fn allow(&self, magic: Magic) -> bool {
        self.only.is_none_or(|only| only == magic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_written() {
        for text in ["main", "test", "testnet4", "signet", "regtest", "deadbeef"] {
            assert_eq!(text.parse::<Magic>().unwrap().to_string(), text);
        }
        assert_eq!("F9BEB4D9".parse::<Magic>().unwrap().to_string(), "main");
        for text in ["", "mainnet", "deadbee", "deadbeef0", "+eadbeef", "gggggggg", "ünïcö"] {
            assert!(text.parse::<Magic>().is_err(), "{text}");
        }
    }
}
