//! D01: a peer sends addresses much faster than anybody needs them.
//!
//! **Behaviour.** In July 2021 strangers connected to many nodes and sent each some 500 messages of ten addresses, which is the largest that
//! is passed on. Millions of addresses that led nowhere travelled through the network.
//!
//! **Signal.** Bitcoin Core limits the addresses that it takes from a peer: 0.1 a second, up to 1000 saved up, one at the beginning, and 1000
//! more when it asks by `getaddr` (`src/net_processing.cpp`, `MAX_ADDR_RATE_PER_SECOND`). A copy of that limit tells how many it
//! ignores. Besides, messages of exactly ten addresses are counted, and one of more than 1000 breaks the protocol.
//!
//! **Look-alikes.** The answer to `getaddr` (G3): the limit allows for it, and it does not count as tens either. A peer's announcement of itself among
//! its first addresses. Peers with the permission `addr`, which are not limited. Peers that were there before the observer: nobody knows what they
//! have saved up, so they get the most.
//!
//! **Sources.** attacks.md D01: S1, S4b, S9 (Bitcoin Core pull request 22387), S11.

use std::collections::BTreeMap;

use event::{Direction, Event, Kind, KindId, Severity, Source, Verdict};
use serde::{Deserialize, Serialize};

use crate::measure::{Evidence, SlidingCount, TokenBucket};
use crate::thresholds::Limit;
use crate::time::{MINUTE, SECOND};
use crate::{About, Case, Context, Detector, Entity, Findings, Guard, Judgement, Scope, input};

/// See the module.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct AddrFlood {
    senders: BTreeMap<u64, Sender>,
}

/// A peer that sent addresses.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Sender {
    bucket: TokenBucket,
    /// Addresses of an answer to `getaddr` that are still to come.
    answer: u64,
    /// It may send what it likes.
    exempt: bool,
    received: SlidingCount,
    limited: SlidingCount,
    tens: SlidingCount,
    /// When it last sent more than anybody may.
    breach: Option<u64>,
    evidence: Evidence,
}

/// Everything is counted over this.
const WINDOW: u64 = 10 * MINUTE;
/// Tokens a second: `MAX_ADDR_RATE_PER_SECOND`.
const RATE: f64 = 0.1;
/// Most that is saved up, `MAX_ADDR_PROCESSING_TOKEN_BUCKET`, and most in one message, `MAX_ADDR_TO_SEND`.
const MOST: f64 = 1000.0;
/// Senders remembered: more than a node has peers.
const SENDERS: usize = 4096;

impl Detector for AddrFlood {
    const ABOUT: About = About {
        id: "D01",
        name: "addr_flood",
        version: 1,
        title: "A peer sends addresses much faster than anybody needs them",
        scope: Scope::Node,
        kinds: &[KindId::NetAddr, KindId::NetAddrv2, KindId::NetGetaddr, KindId::StatePeers, KindId::ConnClosed],
        every: 10 * SECOND,
        needs: &[Source::Ebpf],
        window: WINDOW,
        guards: &[],
        // what was not seen only makes floods look smaller, except for a `getaddr`: see `judge`
        fooled_by_loss: false,
        thresholds: &[Limit::D01Warn, Limit::D01Share, Limit::D01Critical, Limit::D01Tens, Limit::GuardGetaddr],
        does_not_prove: "that the peer means harm, or that the addresses lead nowhere",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>) {
        match &event.kind {
            Some(Kind::NetAddr(m)) if m.direction() == Direction::Inbound => {
                self.received(event, m.peer, m.addresses.len() as u64, context, findings);
            }
            Some(Kind::NetAddrv2(m)) if m.direction() == Direction::Inbound => {
                self.received(event, m.peer, m.addresses.len() as u64, context, findings);
            }
            Some(Kind::NetGetaddr(m)) if m.direction() == Direction::Outbound => {
                if let Some(sender) = self.sender(m.peer, context, findings) {
                    sender.bucket.refill(context.now);
                    sender.bucket.grant(MOST);
                    sender.answer = context.limit(Limit::GuardGetaddr) as u64;
                }
            }
            Some(Kind::StatePeers(state)) => {
                for peer in &state.peers {
                    if let Some(sender) = self.senders.get_mut(&peer.id) {
                        sender.exempt = peer.permissions.iter().any(|permission| permission == "addr");
                    }
                }
            }
            Some(Kind::ConnClosed(closed)) => {
                self.senders.remove(&closed.peer);
            }
            _ => {}
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        for (id, sender) in &mut self.senders {
            sender.evidence.forget(context.since(WINDOW));
            if findings.is_open(&Entity::Peer(*id)) {
                sender.judge(*id, context, findings);
            }
        }
    }

    fn restarted(&mut self, _: &str) {
        self.senders.clear();
    }
}

impl AddrFlood {
    fn sender(&mut self, id: u64, context: &Context<'_>, findings: &mut Findings<'_>) -> Option<&mut Sender> {
        if self.senders.len() >= SENDERS && !self.senders.contains_key(&id) {
            findings.evicted(1);
            return None;
        }
        Some(self.senders.entry(id).or_insert_with(|| {
            // one at the beginning; who was there before may have saved up everything
            let (tokens, since) = match context.peer(id) {
                Some(peer) if peer.seen_opening => (1.0, peer.since),
                _ => (MOST, context.now),
            };
            Sender {
                bucket: TokenBucket::new(tokens, RATE, MOST, since),
                answer: 0,
                exempt: false,
                received: SlidingCount::new(WINDOW),
                limited: SlidingCount::new(WINDOW),
                tens: SlidingCount::new(WINDOW),
                breach: None,
                evidence: Evidence::default(),
            }
        }))
    }

    fn received(&mut self, event: &Event, id: u64, count: u64, context: &Context<'_>, findings: &mut Findings<'_>) {
        let Some(sender) = self.sender(id, context, findings) else { return };
        let now = context.now;
        sender.bucket.refill(now);
        let limited = (0..count).filter(|_| !sender.bucket.take()).count() as u64;
        sender.received.add(now, count);
        sender.limited.add(now, limited);
        let answer = sender.answer.min(count);
        sender.answer -= answer;
        if answer == 0 && count == 10 {
            sender.tens.add(now, 1);
        }
        if count as f64 > MOST {
            sender.breach = Some(now);
        }
        // as many without a `getaddr` would have been an alarm
        if answer as f64 >= context.limit(Limit::D01Warn) {
            findings.suppressed(Guard::Getaddr);
        }
        if limited > 0 || (answer == 0 && count == 10) || count as f64 > MOST {
            sender.evidence.add(event);
            sender.judge(id, context, findings);
        }
    }
}

impl Sender {
    fn judge(&mut self, id: u64, context: &Context<'_>, findings: &mut Findings<'_>) {
        let now = context.now;
        let (received, limited) = (self.received.get(now) as f64, self.limited.get(now) as f64);
        let tens = self.tens.get(now) as f64;
        let share = limited / received.max(1.0);
        let limit = |limit| context.limit(limit);
        let warn = limited >= limit(Limit::D01Warn) && share >= limit(Limit::D01Share);
        let breach = self.breach.is_some_and(|then| then >= context.since(WINDOW));
        let critical = limited >= limit(Limit::D01Critical) || tens >= limit(Limit::D01Tens) || breach;
        let judgement = match () {
            () if self.exempt => Judgement::Clear,
            // a `getaddr` that was not seen looks just so
            () if !breach
                && tens < limit(Limit::D01Tens)
                && limited <= MOST
                && context.is_blind(&[Source::Ebpf], WINDOW)
                && (warn || critical) =>
            {
                Judgement::Unknown
            }
            () if critical => Judgement::Fires(Severity::Critical),
            () if warn => Judgement::Fires(Severity::Warn),
            () if limited >= limit(Limit::D01Warn) / 2.0 || tens >= limit(Limit::D01Tens) / 2.0 => Judgement::Holds,
            () => Judgement::Clear,
        };
        let score = (limited / limit(Limit::D01Warn)).max(tens / limit(Limit::D01Tens));
        findings.judge(&Entity::Peer(id), judgement, || Case {
            score,
            verdict: if critical { Verdict::Act } else { Verdict::Investigate },
            inputs: vec![
                input("limited", limited, "addresses", limit(Limit::D01Warn)),
                input("limited_share", share, "share", limit(Limit::D01Share)),
                input("received", received, "addresses", None),
                input("tens", tens, "messages", limit(Limit::D01Tens)),
            ],
            from: context.since(WINDOW),
            evidence: self.evidence.all(),
            summary: if breach {
                format!("a message of more than 1000 addresses; {received} addresses within ten minutes")
            } else {
                format!("{received} addresses within ten minutes, of which {limited} are more than Bitcoin Core takes; {tens} messages of exactly ten")
            },
        });
    }
}

#[cfg(test)]
mod tests;
