//! Who is behind a peer, as far as it shows: the groups that a peer belongs to, and what is known of it.
//!
//! A peer id is a connection. The same stranger comes again under another, or with a hundred at once, so some detectors group peers
//! (`docs/entities.md` says which by what):
//!
//! | by | as | fails where |
//! |---|---|---|
//! | address | [`Host`] | everybody behind the node's own Tor daemon shares one: such peers have none |
//! | range | [`Host::range`]: /24 of IPv4, /64 of IPv6 | the attacker rents everywhere |
//! | network group | [`NetGroup`], Bitcoin Core's own: what its eviction and its tables of addresses go by | likewise |
//! | autonomous system | [`Asmap`], the file that Bitcoin Core uses | clouds rent to everybody |
//! | user agent | [`agent::Class`] | it is chosen by the peer |
//! | handshake | [`fingerprint`], works on Tor and I2P | two programs of one library look alike |
//! | list | [`lists`]: what somebody wrote down, with evidence and date | it is older than the world |
//!
//! Everything here is a pure function of events and of files that somebody else has read.

pub mod agent;
pub mod asmap;
pub mod fingerprint;
mod host;
pub mod lists;
mod net_group;
pub mod profile;

pub use asmap::Asmap;
pub use fingerprint::Fingerprint;
pub use host::Host;
pub use net_group::NetGroup;
pub use profile::{Profile, Profiles};

/// What was written down by others, and read from files by somebody else: it names and groups, it does not decide.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    /// Who is who.
    pub lists: lists::Lists,
    /// Which autonomous system an address belongs to.
    pub asmap: Option<Asmap>,
}

impl Knowledge {
    /// Who a peer is by the lists, in words that a finding may have: what no peer chose. Empty where nobody knows. Whom a list knows by the
    /// agent only says so himself, and so do the words.
    pub fn names(&self, host: &Host, agent: Option<&str>) -> String {
        let name = |found: lists::Match<'_>| {
            let says = if found.by_agent { ", by its agent" } else { "" };
            format!("{} ({} {}{says})", found.entity.name, found.list, found.version)
        };
        self.lists.find(Some(host), agent).map(name).collect::<Vec<_>>().join(", ")
    }

    /// An agent, where a list knows it: what is worth keeping until there is something to tell.
    pub fn known_agent(&self, agent: &str) -> Option<String> {
        self.lists.find(None, Some(agent)).next().map(|_| agent.to_owned())
    }
}
