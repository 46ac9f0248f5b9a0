//! The nodes' own addresses, learned from what passes.

use std::collections::HashSet;

use super::host::{Form, Host};

/// How many addresses a node may state as its own. It has a handful; with temporary IPv6 addresses, a few a day.
const STATED: usize = 4_096;
/// How many others may claim. Every inbound peer says one, and may lie.
const CLAIMED: usize = 65_536;

/// The nodes' own addresses.
///
/// Those that are nobody's on the Internet are not among them: they tell nothing, and every peer over Tor has one.
#[derive(Default)]
pub struct Own {
    stated: HashSet<Host>,
    claimed: HashSet<Host>,
    unlearned: u64,
}

impl Own {
    /// A node, or its operator, says so.
    pub(super) fn own(&mut self, address: &str) {
        let fits = self.stated.len() < STATED;
        self.unlearned += learn(&mut self.stated, fits, address);
    }

    /// Somebody says so who is connected to it.
    pub(super) fn claimed(&mut self, address: &str) {
        let fits = self.claimed.len() < CLAIMED;
        self.unlearned += learn(&mut self.claimed, fits, address);
    }

    /// Whether a node, or its operator, said so.
    pub(super) fn is_stated(&self, address: &str) -> bool {
        matches!(Form::of_text(address), Form::Host(host, _) if self.stated.contains(&host))
    }

    /// Whether anybody said so.
    pub(super) fn is_known(&self, host: &Host) -> bool {
        self.stated.contains(host) || self.claimed.contains(host)
    }

    /// How many there are, as said by a node or its operator, and as claimed by others.
    pub fn count(&self) -> (usize, usize) {
        (self.stated.len(), self.claimed.len())
    }

    /// How often an address was not learned, because there were too many.
    pub fn unlearned(&self) -> u64 {
        self.unlearned
    }
}

impl std::fmt::Debug for Own {
    /// Without the addresses: they are what nobody should see.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (stated, claimed) = self.count();
        f.debug_struct("Own").field("stated", &stated).field("claimed", &claimed).field("unlearned", &self.unlearned).finish()
    }
}

/// Adds what fits; gives how many did not.
fn learn(known: &mut HashSet<Host>, fits: bool, address: &str) -> u64 {
    match Form::of_text(address) {
        Form::Host(host, _) if !host.is_near() && !known.contains(&host) => {
            if fits {
                known.insert(host);
            }
            u64::from(!fits)
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_claim_is_kept_apart_from_what_is_so() {
        let mut own = Own::default();
        own.own("198.51.100.1:8333");
        own.claimed("198.51.100.2:8333");
        own.claimed("127.0.0.1:8333");
        own.own("no address");
        assert_eq!((own.count(), own.unlearned()), ((1, 1), 0));
        assert!(own.is_stated("198.51.100.1:1") && !own.is_stated("198.51.100.2:8333") && !own.is_stated("127.0.0.1:8333"));
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut own = Own::default();
        for number in 0..CLAIMED as u32 + 3 {
            own.claimed(&std::net::Ipv4Addr::from(0x0101_0101 + number).to_string());
        }
        own.claimed("1.1.1.1");
        assert_eq!((own.count(), own.unlearned()), ((0, CLAIMED), 3));
    }
}
