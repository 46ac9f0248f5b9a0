//! Addresses, sent by one and by many.

use crate::cast::Random;
use crate::peer::Peer;

/// Sends addresses that lead nowhere in messages of ten, the largest that nodes pass on, as in July 2021 (D01; by many peers, D02).
pub fn flood_addresses(peer: &Peer, messages: usize, seed: u64) -> anyhow::Result<()> {
    send_addresses(peer, 10, messages, seed)
}

/// Answers a `getaddr` with as many addresses as one message may have.
pub fn answer_getaddr(peer: &Peer, seed: u64) -> anyhow::Result<()> {
    peer.wait_for("getaddr")?;
    send_addresses(peer, 1000, 1, seed)
}

fn send_addresses(peer: &Peer, each: usize, messages: usize, seed: u64) -> anyhow::Result<()> {
    let mut random = Random::new(seed);
    for _ in 0..messages {
        peer.send(random.gossip(each))?;
    }
    peer.ping()?;
    Ok(())
}
