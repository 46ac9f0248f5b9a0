//! What a peer says it runs, without what varies from one to the next.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The family of a user agent, with its major version where that says something.
///
/// A closed set, so that it may be a label: what a peer chooses can not make new ones but for the number, which is bounded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Class {
    /// Bitcoin Core, or who says so: `/Satoshi:30.0.0/` is 30, `/Satoshi:0.21.1/` is 21.
    Core(u8),
    /// Bitcoin Knots.
    Knots(u8),
    /// btcd and what is made of it.
    Btcd,
    /// libbitcoin, bcoin, Bitcore and other full nodes.
    OtherNode,
    /// Wallets that speak the protocol.
    Wallet,
    /// Those who say that they count, seed or measure.
    Crawler,
    /// Forks that went their own way.
    Fork,
    /// Nothing at all.
    Empty,
    /// Anything else.
    Other,
}

/// Words that are decided by, the first that is found; matched in small letters.
const WORDS: &[(&str, Class)] = &[
    ("bitnodes", Class::Crawler),
    ("seeder", Class::Crawler),
    ("dsn.tm.kit.edu", Class::Crawler),
    ("crawler", Class::Crawler),
    ("bitcoinscanner", Class::Crawler),
    ("snoopy", Class::Crawler),
    ("pynode", Class::Crawler),
    ("bitcoin abc", Class::Fork),
    ("bitcoin cash", Class::Fork),
    ("bitcoinunlimited", Class::Fork),
    ("classic", Class::Fork),
    ("bitcoin sv", Class::Fork),
    ("multibit", Class::Wallet),
    ("bitcoinj", Class::Wallet),
    ("breadwallet", Class::Wallet),
    ("bread", Class::Wallet),
    ("bither", Class::Wallet),
    ("walletkit", Class::Wallet),
    ("electrum", Class::Wallet),
    ("neutrino", Class::Wallet),
    ("btcd", Class::Btcd),
    ("btcwire", Class::Btcd),
    ("libbitcoin", Class::OtherNode),
    ("bcoin", Class::OtherNode),
    ("bitcore", Class::OtherNode),
    ("nbitcoin", Class::OtherNode),
    ("floresta", Class::OtherNode),
    ("gocoin", Class::OtherNode),
];

/// The major version of Bitcoin Core never was above this; whatever is, is invented.
const LATEST: u8 = 99;

impl Class {
    /// Of a user agent as the peer sent it.
    pub fn of(agent: &str) -> Self {
        if agent.trim_matches('/').is_empty() {
            return Self::Empty;
        }
        // longer ones are no agents; Bitcoin Core refuses them
        let lower: String = agent.chars().take(256).collect::<String>().to_ascii_lowercase();
        if let Some((_, class)) = WORDS.iter().find(|(word, _)| lower.contains(word)) {
            return *class;
        }
        let Some(version) = lower.strip_prefix("/satoshi:").and_then(major) else { return Self::Other };
        if lower.contains("knots") { Self::Knots(version) } else { Self::Core(version) }
    }
}

/// The number by which people call a version: the first of `30.0.0`, the second of `0.21.1`.
fn major(text: &str) -> Option<u8> {
    let version = text.split(['/', '(', ' ']).next()?;
    let mut parts = version.split('.').map(str::parse::<u8>);
    let number = match parts.next()?.ok()? {
        0 => parts.next()?.ok()?,
        number => number,
    };
    (number <= LATEST).then_some(number)
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(version) => write!(f, "core-{version}"),
            Self::Knots(version) => write!(f, "knots-{version}"),
            Self::Btcd => f.write_str("btcd"),
            Self::OtherNode => f.write_str("other-node"),
            Self::Wallet => f.write_str("wallet"),
            Self::Crawler => f.write_str("crawler"),
            Self::Fork => f.write_str("fork"),
            Self::Empty => f.write_str("empty"),
            Self::Other => f.write_str("other"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_have_a_class() {
        for (agent, class) in [
            ("/Satoshi:30.0.0/", "core-30"),
            ("/Satoshi:0.21.1/", "core-21"),
            ("/Satoshi:27.0.0(FutureBit-Apollo-Node)/", "core-27"),
            ("/Satoshi:29.1.0/Knots:20250903/", "knots-29"),
            ("/Satoshi:999.0.0/", "other"),
            ("/Sat0shi:31.0.0/", "other"),
            ("/btcwire:0.5.0/btcd:0.24.2/", "btcd"),
            ("/bitcoinj:0.16.3/Bitcoin Wallet:10.10/", "wallet"),
            ("/bitnodes.io:0.3/", "crawler"),
            ("/Bitcoin ABC:0.16.1/", "fork"),
            ("/bcoin:1.0.2/", "other-node"),
            ("", "empty"),
            ("//", "empty"),
            ("\u{202e}evil", "other"),
        ] {
            assert_eq!(Class::of(agent).to_string(), class, "{agent}");
        }
    }
}
