//! D28: a peer sends many pings, or odd ones.
//!
//! **Behaviour.** A ping costs whoever sends it nothing and makes the node answer at once, in the one thread that handles all messages. A peer
//! that sends hundreds a second takes that thread from the others. Pings are a tool of measurement as well: a few a second tell somebody outside
//! how long the node's queue is. And they are the first message that somebody writes by hand, so nonces tell handwork from a node's.
//!
//! **Signal.** Pings of one peer in ten seconds, one minute, two minutes. Nonces that no ordinary program sends: none at all although the peer
//! speaks a protocol that has them, a number below 2³² (a counter, where Bitcoin Core draws 64 bits), the one of the ping before. Pongs that
//! answer no ping of the node's.
//!
//! **Look-alikes.** Bitcoin Core pings every two minutes; some clients every half a minute. A peer's own latency tool. What an operator connected to
//! by hand (`addnode`, the observer's own probe among it) is left out. A node that was busy for minutes reads what has come in the meantime at
//! once (D39); that is ten of an impatient client, not a hundred. A pong is compared with the last eight pings, because those that an operator asks for
//! by RPC overlap.
//!
//! **Sources** (`docs/sources.md`). S4b; `PING_INTERVAL` and the answer to `pong` in Bitcoin Core `src/net_processing.cpp`; BIP 31.

use std::collections::{BTreeMap, VecDeque};

use event::{ConnectionType, Direction, Event, Kind, KindId, NetPing, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::measure::{Evidence, SlidingCount};
use crate::thresholds::Limit;
use crate::time::{MINUTE, SECOND};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Judgement, Scope, input};

/// See the module.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct PingFlood {
    peers: BTreeMap<u64, Pinger>,
}

/// What a peer pings and answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Pinger {
    /// Pings in ten seconds, a minute, two minutes.
    burst: SlidingCount,
    minute: SlidingCount,
    two_minutes: SlidingCount,
    /// Pings with a nonce that no ordinary program sends.
    odd: SlidingCount,
    /// Pongs that answer no ping.
    unasked: SlidingCount,
    /// Nonce of its last ping.
    last: Option<u64>,
    /// Nonces of the node's last pings, the oldest first.
    asked: VecDeque<u64>,
    /// A ping of the node's was seen, so that all that follow are known.
    was_asked: bool,
    evidence: Evidence,
}

/// How far back the oddities look.
const WINDOW: u64 = 10 * MINUTE;
/// Peers remembered: more than a node has.
const PEERS: usize = 4096;
/// Pings of the node's that may still be answered.
const ASKED: usize = 8;
/// Since this protocol version a ping has a nonce (BIP 31).
const NONCES: u32 = 60_001;
/// A number chosen among 2⁶⁴ is practically never below this.
const SMALL: u64 = 1 << 32;

impl Default for Pinger {
    fn default() -> Self {
        Self {
            burst: SlidingCount::new(10 * SECOND),
            minute: SlidingCount::new(MINUTE),
            two_minutes: SlidingCount::new(2 * MINUTE),
            odd: SlidingCount::new(WINDOW),
            unasked: SlidingCount::new(WINDOW),
            last: None,
            asked: VecDeque::new(),
            was_asked: false,
            evidence: Evidence::default(),
        }
    }
}

impl Detector for PingFlood {
    const ABOUT: About = About {
        id: "D28",
        name: "ping_flood",
        version: 1,
        title: "A peer sends many pings, or odd ones",
        family: Family::Load,
        scope: Scope::Node,
        kinds: &[KindId::NetPing, KindId::NetPong, KindId::ConnClosed],
        every: 10 * SECOND,
        needs: &[KindId::NetPing, KindId::NetPong],
        window: WINDOW,
        guards: &[],
        // what was not seen only makes floods look smaller, except for a ping of the node's: see `pong`
        fooled_by: &[],
        thresholds: &[Limit::D28Info, Limit::D28Warn, Limit::D28Critical, Limit::D28Odd],
        does_not_prove: "that the peer means harm: whoever measures how quick the node answers does the same",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>) {
        match &event.kind {
            Some(Kind::NetPing(m)) if m.connection_type() == ConnectionType::Manual => {}
            Some(Kind::NetPing(m)) if m.direction() == Direction::Inbound => self.ping(event, m, context, findings),
            Some(Kind::NetPing(m)) => {
                if let (Some(nonce), Some(peer)) = (m.nonce, self.peer(m.peer, context, findings)) {
                    if peer.asked.len() == ASKED {
                        peer.asked.pop_front();
                    }
                    peer.asked.push_back(nonce);
                    peer.was_asked = true;
                }
            }
            Some(Kind::NetPong(m)) if m.direction() == Direction::Inbound => self.pong(event, m.peer, m.nonce, context, findings),
            Some(Kind::ConnClosed(closed)) => {
                self.peers.remove(&closed.peer);
            }
            _ => {}
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        for (id, peer) in &mut self.peers {
            if findings.is_open(&Entity::Peer(*id)) {
                peer.judge(*id, context, findings);
            }
            peer.evidence.forget(context.since(WINDOW));
        }
    }

    fn restarted(&mut self, _: &str) {
        *self = Self::default();
    }
}

impl PingFlood {
    fn peer(&mut self, id: u64, context: &Context<'_>, findings: &mut Findings<'_>) -> Option<&mut Pinger> {
        if self.peers.len() >= PEERS && !self.peers.contains_key(&id) {
            // who left without being seen to
            self.peers.retain(|id, _| context.peer(*id).is_some());
            if self.peers.len() >= PEERS {
                findings.evicted(1);
                return None;
            }
        }
        Some(self.peers.entry(id).or_default())
    }

    fn ping(&mut self, event: &Event, ping: &NetPing, context: &Context<'_>, findings: &mut Findings<'_>) {
        let speaks = context.peer(ping.peer).and_then(|peer| peer.hello.as_ref()).map(|hello| hello.version);
        let Some(peer) = self.peer(ping.peer, context, findings) else { return };
        for count in [&mut peer.burst, &mut peer.minute, &mut peer.two_minutes] {
            count.add(context.now, 1);
        }
        let odd = match ping.nonce {
            None => speaks.is_some_and(|version| version >= NONCES),
            Some(nonce) => nonce < SMALL || peer.last == Some(nonce),
        };
        peer.last = ping.nonce;
        peer.odd.add(context.now, u64::from(odd));
        peer.evidence.add(event);
        peer.judge(ping.peer, context, findings);
    }

    fn pong(&mut self, event: &Event, id: u64, nonce: u64, context: &Context<'_>, findings: &mut Findings<'_>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if let Some(at) = peer.asked.iter().position(|asked| *asked == nonce) {
            peer.asked.remove(at);
            return;
        }
        // of a ping that was not seen, the answer looks just so
        if peer.was_asked && !context.is_blind(&[KindId::NetPing], WINDOW) {
            peer.unasked.add(context.now, 1);
            peer.evidence.add(event);
            peer.judge(id, context, findings);
        }
    }
}

impl Pinger {
    fn judge(&mut self, id: u64, context: &Context<'_>, findings: &mut Findings<'_>) {
        let now = context.now;
        let [burst, minute, two_minutes] =
            [&mut self.burst, &mut self.minute, &mut self.two_minutes].map(|count| count.get(now) as f64);
        let (odd, unasked) = (self.odd.get(now) as f64, self.unasked.get(now) as f64);
        let limit = |limit| context.limit(limit);
        let flood = burst > limit(Limit::D28Critical);
        let strange = odd.max(unasked) >= limit(Limit::D28Odd);
        let judgement = match () {
            () if flood => Judgement::Fires(Severity::Critical),
            () if minute > limit(Limit::D28Warn) => Judgement::Fires(Severity::Warn),
            () if two_minutes > limit(Limit::D28Info) || strange => Judgement::Fires(Severity::Info),
            () if two_minutes > limit(Limit::D28Info) / 2.0 || odd + unasked > 0.0 => Judgement::Holds,
            () => Judgement::Clear,
        };
        findings.judge(&Entity::Peer(id), judgement, || {
            let often = format!("{two_minutes} pings within two minutes, {minute} within one, {burst} within ten seconds");
            let strangely = match () {
                () if odd >= limit(Limit::D28Odd) => {
                    format!("{odd} pings within ten minutes with nonces that no ordinary program sends")
                }
                () => format!("{unasked} pongs within ten minutes that answer no ping"),
            };
            Case {
                score: (minute / limit(Limit::D28Warn)).max(burst / limit(Limit::D28Critical)),
                verdict: if flood { Verdict::Act } else { Verdict::Investigate },
                inputs: vec![
                    input("pings_in_a_minute", minute, "pings", limit(Limit::D28Warn)),
                    input("pings_in_ten_seconds", burst, "pings", limit(Limit::D28Critical)),
                    input("pings_in_two_minutes", two_minutes, "pings", limit(Limit::D28Info)),
                    input("odd_nonces", odd, "pings", limit(Limit::D28Odd)),
                    input("unasked_pongs", unasked, "pongs", limit(Limit::D28Odd)),
                ],
                from: context.since(WINDOW),
                evidence: self.evidence.all(),
                summary: match () {
                    () if two_minutes <= limit(Limit::D28Info) => strangely,
                    () if strange => format!("{often}; {strangely}"),
                    () => often,
                },
            }
        });
    }
}

#[cfg(test)]
mod tests;
