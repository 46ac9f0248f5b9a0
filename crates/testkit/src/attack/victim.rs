//! Whom an attack is staged against: a regtest node on this machine, and nobody else.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::node::Node;
use crate::peer::{self, Peer};
use crate::rpc;

/// A regtest node on loopback. There is none of any other network and none elsewhere: what makes one looks first.
#[derive(Debug, Clone)]
pub struct Victim {
    p2p: SocketAddr,
    rpc: rpc::Client,
}

/// Why a node is no victim.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It could be somebody else's.
    #[error("the node's {what} is at {address}, which is not of 127.0.0.0/8")]
    NotLoopback {
        /// `P2P port` or `RPC`.
        what: &'static str,
        /// Where it is.
        address: SocketAddr,
    },
    /// It is of another network.
    #[error("the node says that its chain is {chain:?}, not \"regtest\"")]
    NotRegtest {
        /// In the node's words, cut short.
        chain: String,
    },
    /// It cannot be asked.
    #[error("failed to ask the node which chain it has: {0}")]
    NoAnswer(#[from] rpc::Error),
    /// Nobody there who speaks with the magic bytes of regtest, or nobody who lets one in.
    #[error("no regtest node shakes hands at {address}: {reason}")]
    NoHandshake {
        /// Where one was expected.
        address: SocketAddr,
        /// What happened instead.
        reason: String,
    },
    /// RPC and P2P port belong to two nodes.
    #[error("the node of this RPC does not know of a connection to {address}: that is another's port")]
    Another {
        /// The port that was found.
        address: SocketAddr,
    },
}

impl Refusal {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotLoopback { .. } => "start it with `-bind=127.0.0.1:PORT`: attacks do not leave this machine",
            Self::NotRegtest { .. } => "attacks are for `bitcoind -regtest` only, in a data directory of their own",
            Self::NoAnswer(_) => {
                "does it still start, or has it another cookie? `bitcoin-cli -regtest -datadir=DIR getblockchaininfo`"
            }
            Self::NoHandshake { .. } => "does it listen (`-listen=1`), and has it a free slot?",
            Self::Another { .. } => "start the node with `-bind=127.0.0.1:PORT`, with a port of its own",
        }
    }
}

/// How long a node may take to shake hands, before an attack.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than the name of any chain; what the node says is repeated no further.
const LONGEST_NAME: usize = 40;

impl Victim {
    /// The node with this P2P port and this RPC, if it may be attacked: both are on loopback, its RPC says regtest, it shakes hands with regtest's
    /// magic, and both belong to the same node.
    pub fn new(p2p: SocketAddr, rpc: SocketAddr, cookie: &Path) -> Result<Victim, Refusal> {
        for (what, address) in [("P2P port", p2p), ("RPC", rpc)] {
            if !matches!(address.ip(), IpAddr::V4(ip) if ip.is_loopback()) {
                return Err(Refusal::NotLoopback { what, address });
            }
        }
        let victim = Victim { p2p, rpc: rpc::Client::new(rpc, cookie) };
        let about = victim.rpc.clone().with_patience(PATIENCE).call("getblockchaininfo", json!([]))?;
        let chain = about["chain"].as_str().unwrap_or_default();
        if chain != "regtest" {
            return Err(Refusal::NotRegtest { chain: chain.chars().take(LONGEST_NAME).collect() });
        }
        let options = peer::Options { patience: PATIENCE, ..peer::Options::default() };
        let probe =
            Peer::connect(p2p, &options).map_err(|error| Refusal::NoHandshake { address: p2p, reason: format!("{error:#}") })?;
        super::as_the_node_sees(&victim, &probe).map_err(|_| Refusal::Another { address: p2p })?;
        Ok(victim)
    }

    /// A node that the kit itself has started, on regtest and loopback.
    pub fn of(node: &Node) -> Victim {
        Victim { p2p: node.p2p_address(), rpc: node.rpc_client() }
    }

    /// Where it accepts peers.
    pub fn p2p_address(&self) -> SocketAddr {
        self.p2p
    }

    /// Calls an RPC method.
    pub fn rpc(&self, method: &str, params: Value) -> Result<Value, rpc::Error> {
        self.rpc.call(method, params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node;

    #[test]
    fn the_port_of_one_node_and_the_rpc_of_another_are_no_victim() {
        crate::need_node!();
        let (one, other) = (Node::start(node::Options::default()).unwrap(), Node::start(node::Options::default()).unwrap());
        let error = |p2p| Victim::new(p2p, one.rpc_address(), &one.cookie()).map(drop);
        assert!(error(one.p2p_address()).is_ok());
        let refusal = error(other.p2p_address()).unwrap_err();
        assert!(matches!(refusal, Refusal::Another { .. }), "{refusal}");
        // nobody listens there
        let refusal = error((std::net::Ipv4Addr::LOCALHOST, 1).into()).unwrap_err();
        assert!(matches!(refusal, Refusal::NoHandshake { .. }), "{refusal}");
    }
}
