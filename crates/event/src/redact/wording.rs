//! Texts that programs wrote: what of them may be shown.

use std::net::Ipv4Addr;

use crate::KindId;

/// The longest text that is kept, in bytes.
const LONGEST: usize = 64;
/// Words that stay whatever the node is called: a node on signet may well be named so. `*other*` is Bitcoin Core's for message types
/// that it does not know.
const CLOSED: [&str; 6] = ["main", "test", "testnet4", "signet", "regtest", "*other*"];
/// The longest word; Bitcoin Core's reasons have words of up to 50 letters and hyphens.
const LONGEST_WORD: usize = 60;
/// Characters of a name or a version in a user agent.
const LONGEST_NAME: usize = 24;
const LONGEST_VERSION: usize = 12;

/// The words at the beginning: `min relay fee not met` of `min relay fee not met, 0 < 100`.
///
/// A word is letters, `-` and `_`, with at most two digits behind (`addrv2`), or two of those with a colon between
/// (`net:inbound_message`). Numbers, addresses, paths and quotations are none, nor is the node's name; the text ends there. Names of
/// kinds and chains are kept as they are.
pub(super) fn words(text: &str, node: &str) -> String {
    if CLOSED.contains(&text) || KindId::from_name(text).is_some() {
        return text.to_owned();
    }
    let mut kept = String::new();
    for token in text.split(' ') {
        let word = token.trim_end_matches([',', ':', ';']);
        if names(word, node) || !is_word(word) || kept.len() + word.len() > LONGEST {
            break;
        }
        if !kept.is_empty() {
            kept.push(' ');
        }
        kept.push_str(word);
        if word != token {
            break;
        }
    }
    kept
}

/// Whether a text has the node's name in it. Shorter names are no secrets.
fn names(text: &str, node: &str) -> bool {
    node.len() >= 4 && text.to_ascii_lowercase().contains(&node.to_ascii_lowercase())
}

fn is_word(word: &str) -> bool {
    let plain = |part: &str| {
        let letters = part.trim_end_matches(|c: char| c.is_ascii_digit());
        let starts = letters.starts_with(|c: char| c.is_ascii_alphabetic());
        starts && part.len() - letters.len() <= 2 && letters.bytes().all(|c| c.is_ascii_alphabetic() || c == b'-' || c == b'_')
    };
    word.len() <= LONGEST_WORD && word.split_once(':').map_or_else(|| plain(word), |(head, tail)| plain(head) && plain(tail))
}

/// A user agent (BIP 14) without its comments, `/Satoshi:29.0.0/Knots:20250101/`; empty if it has another form, is long, or has room for
/// an address or the node's name.
pub(super) fn agent(text: &str, node: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0_u32;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    let parts = plain.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    let fine = parts.is_some_and(|parts| parts.split('/').all(is_agent));
    if fine && !names(&plain, node) && plain.len() <= LONGEST { plain } else { String::new() }
}

/// `name:version`, or a name alone.
fn is_agent(part: &str) -> bool {
    let (name, version) = part.split_once(':').unwrap_or((part, "0"));
    let name_fits = name.len() <= LONGEST_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || b" ._-".contains(&c))
        // four numbers somewhere within
        && name.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty()).count() < 4;
    // 0.0.0.0/8 is nobody's, and old versions of Bitcoin Core begin so
    let address = version.parse::<Ipv4Addr>().is_ok_and(|ip| ip.octets()[0] != 0);
    let version_fits =
        !version.is_empty() && version.len() <= LONGEST_VERSION && version.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'.');
    name_fits && version_fits && !address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_keep_their_words() {
        for (text, kept) in [
            ("min relay fee not met, 0 < 100", "min relay fee not met"),
            ("txn-mempool-conflict", "txn-mempool-conflict"),
            ("mempool-script-verify-flag-failed (Witness program hash mismatch)", "mempool-script-verify-flag-failed"),
            ("getdata message size = 50001", "getdata message size"),
            ("sendaddrv2", "sendaddrv2"),
            ("*other*", "*other*"),
            ("net.ping", "net.ping"),
            ("net:inbound_message", "net:inbound_message"),
            ("testnet4", "testnet4"),
            ("from 203.0.113.7 a", "from"),
            ("203.0.113.7:8333", ""),
            ("[2600::7]:8333", ""),
            ("fd00::7", ""),
            ("fd:abcd::beef", ""),
            ("dead::beef", ""),
            ("/home/alice/.bitcoin", ""),
            ("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcd.onion:8333", ""),
            ("ab.onion:8333", ""),
            ("ab.onion", ""),
            ("sent by Alice today", "sent by"),
            ("it's", ""),
            ("", ""),
        ] {
            assert_eq!(words(text, "alice"), kept, "{text}");
        }
        assert_eq!(words("word", ""), "word");
        assert_eq!(words("signet", "signet"), "signet");
    }

    #[test]
    fn user_agents_keep_names_and_versions() {
        for (text, kept) in [
            ("/Satoshi:31.0.0/", "/Satoshi:31.0.0/"),
            ("/Satoshi:27.0.0(my (own) node)/Knots:20240801/", "/Satoshi:27.0.0/Knots:20240801/"),
            ("/dsn.tm.kit.edu/bitcoin:0.9.99/", "/dsn.tm.kit.edu/bitcoin:0.9.99/"),
            ("/a:b:c/", ""),
            ("/Satoshi:0.16.0.1/", "/Satoshi:0.16.0.1/"),
            ("/probe:203.0.113.7/", ""),
            ("/at203.0.113.7:1/", ""),
            ("/Satoshi:31.0.0(alice)/", "/Satoshi:31.0.0/"),
            ("/alice:1/", ""),
            ("Satoshi", ""),
            ("/", ""),
            ("", ""),
        ] {
            assert_eq!(agent(text, "alice"), kept, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text: String, node: String) {
            proptest::prop_assert!(words(&text, &node).len() <= LONGEST);
            proptest::prop_assert!(agent(&text, &node).len() <= LONGEST);
        }
    }
}
