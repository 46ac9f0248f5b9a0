//! The `version` message of our own connections: a peer without services, who knows no chain and no address to tell.

use bitcoin::consensus::Encodable as _;
use bitcoin::p2p::message_network::VersionMessage;
use bitcoin::p2p::{Address, ServiceFlags};

/// The protocol that we speak: BIP 339 and 155 are in it.
pub const PROTOCOL: u32 = 70016;

/// The payload. `time` is in Unix seconds, `nonce` random and new, and `relay` says whether transactions shall be announced to us.
pub fn version(time: i64, nonce: u64, user_agent: &str, relay: bool) -> Vec<u8> {
    let nowhere = Address { services: ServiceFlags::NONE, address: [0; 8], port: 0 };
    let version = VersionMessage {
        version: PROTOCOL,
        services: ServiceFlags::NONE,
        timestamp: time,
        receiver: nowhere.clone(),
        sender: nowhere,
        nonce,
        user_agent: user_agent.to_owned(),
        start_height: 0,
        relay,
    };
    let mut payload = Vec::new();
    version.consensus_encode(&mut payload).expect("a Vec grows");
    payload
}
