//! What kind of node it is, put together from several answers.

use event::{Kind, StateProfile};

/// Collects the profile.
#[derive(Debug, Default)]
pub(super) struct Profile {
    known: StateProfile,
    published: Option<StateProfile>,
}

impl Profile {
    /// Of a life of the node that is known to run on this machine, or not.
    pub(super) fn new(here: bool) -> Self {
        let architecture = here.then(|| std::env::consts::ARCH.to_owned());
        Self { known: StateProfile { architecture, ..StateProfile::default() }, published: None }
    }

    /// Takes what an answer says of it.
    pub(super) fn observe(&mut self, kind: &Kind) {
        match kind {
            Kind::StateNetwork(network) => {
                self.known.version = network.version;
                self.known.subversion.clone_from(&network.subversion);
                self.known.protocol_version = network.protocol_version;
                self.known.blocksonly = network.local_relay.map(|relay| !relay);
                self.known.services = network.local_services;
                self.known.networks = network.networks.iter().filter(|n| n.reachable == Some(true)).map(|n| n.network).collect();
            }
            Kind::StateBlockchain(chain) => {
                self.known.chain.clone_from(&chain.chain);
                self.known.pruned = chain.pruned;
                self.known.prune_target = chain.prune_target;
                self.known.signet_challenge.clone_from(&chain.signet_challenge);
            }
            Kind::StatePeers(peers) if peers.peers.iter().any(|peer| peer.mapped_as.is_some()) => self.known.asmap = Some(true),
            Kind::StateAddrmanRaw(all) if all.new.iter().chain(&all.tried).any(|entry| entry.mapped_as.is_some()) => {
                self.known.asmap = Some(true);
            }
            _ => {}
        }
    }

    /// The profile, when something is known and differs from what was last given.
    pub(super) fn changed(&mut self) -> Option<StateProfile> {
        let nothing = StateProfile { architecture: self.known.architecture.clone(), ..StateProfile::default() };
        if self.known == nothing || self.published.as_ref() == Some(&self.known) {
            return None;
        }
        self.published = Some(self.known.clone());
        self.published.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{Network, NetworkInfo, PeerInfo, StateBlockchain, StateNetwork, StatePeers};

    #[test]
    fn it_is_given_when_it_changes() {
        let mut profile = Profile::new(false);
        assert_eq!(profile.changed(), None);
        let reachable =
            |network: Network, reachable| NetworkInfo { network: network.into(), reachable: Some(reachable), ..Default::default() };
        let networks = vec![reachable(Network::Ipv4, true), reachable(Network::Onion, false)];
        profile.observe(&StateNetwork { version: Some(310_000), local_relay: Some(true), networks, ..Default::default() }.into());
        profile.observe(&StateBlockchain { chain: Some("main".into()), pruned: Some(false), ..Default::default() }.into());
        let first = StateProfile {
            version: Some(310_000),
            chain: Some("main".into()),
            pruned: Some(false),
            blocksonly: Some(false),
            networks: vec![Network::Ipv4.into()],
            ..Default::default()
        };
        assert_eq!(profile.changed(), Some(first.clone()));
        profile.observe(&StatePeers { peers: vec![PeerInfo::default()] }.into());
        assert_eq!(profile.changed(), None);
        profile.observe(&StatePeers { peers: vec![PeerInfo { mapped_as: Some(64_496), ..Default::default() }] }.into());
        assert_eq!(profile.changed(), Some(StateProfile { asmap: Some(true), ..first }));
    }
}
