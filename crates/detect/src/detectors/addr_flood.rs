//! D01: a peer sends addresses much faster than anybody needs them.
//!
//! **Behaviour.** In July 2021 strangers connected to many nodes and sent each some 500 messages of ten addresses, which is the largest that
//! is passed on. Millions of addresses that led nowhere travelled through the network.
//!
//! **Signal.** Bitcoin Core limits the addresses that it takes from a peer: 0.1 a second, up to 1000 saved up, one at the beginning, and 1000
//! more when it asks by `getaddr` (`src/net_processing.cpp`, `MAX_ADDR_RATE_PER_SECOND`). A copy of that limit tells how many it
//! ignores. Besides, messages of exactly ten addresses are counted. One of more than 1000 breaks the protocol: Bitcoin Core takes none of it and
//! discourages the peer, so this is told of the host, once for all its connections.
//!
//! What the node says that it ignored (`addr_rate_limited` of getpeerinfo) counts where it is more than the copy has: of a peer that was there before
//! the observer nobody else knows. Who drips is looked at for twenty minutes, as little more than the most talkative sends shows only in the long run.
//!
//! What is below a thousand is compared with the other peers: a surge (D02) makes all of them exceed the limit, and a flood one. The middle one of those that
//! passed on anything is what is usual; of fewer than four nobody knows what is.
//!
//! **Look-alikes.** The answer to `getaddr` (G3): the limit allows for it, and it does not count as tens either. A peer's announcement of itself among
//! its first addresses. Peers with the permission `addr`, which are not limited. Peers that were there before the observer: nobody knows what they
//! have saved up, so they get the most.
//!
//! **What an attacker may do.** Hold more than half of the connections that pass on addresses and drip from all of them: then that is usual, and what they bring
//! together is a surge (D02). A thousand within ten minutes, and the shape of 2021, are compared with nobody.
//!
//! **Sources** (`docs/sources.md`). S1, S4b, S9 (Bitcoin Core pull request 22387), S11.

use std::collections::BTreeMap;

use event::{Direction, Event, Kind, KindId, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::entity::Host;
use crate::measure::{Evidence, SlidingCount, Table, TokenBucket, quantile};
use crate::thresholds::Limit;
use crate::time::{HOUR, MINUTE, SECOND};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Guard, Judgement, Scope, input};

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AddrFlood {
    senders: BTreeMap<u64, Sender>,
    /// What the middle one of them passed on within each of the spans; 0 where nobody knows.
    usual: [f64; 2],
    /// Hosts that sent more than anybody may; connections, where many share a host.
    breaches: Table<Entity, Breach>,
}

/// What a host sent that nobody may send.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Breach {
    messages: SlidingCount,
    /// Addresses in the last one.
    addresses: u64,
    evidence: Evidence,
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
    /// Over ten minutes and over twenty.
    spans: [Span; 2],
    tens: SlidingCount,
    /// When the node said last how many it has ignored since the peer connected, and how many.
    stated: Option<(u64, u64)>,
    evidence: Evidence,
}

/// Addresses within some time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Span {
    /// Without answers to `getaddr`.
    passed: SlidingCount,
    /// That Bitcoin Core ignores, by our copy of its limit.
    limited: SlidingCount,
    /// That the node says it ignored.
    stated: SlidingCount,
}

impl Span {
    fn new(window: u64) -> Self {
        let count = || SlidingCount::new(window);
        Self { passed: count(), limited: count(), stated: count() }
    }

    /// How many were ignored.
    fn limited(&mut self, now: u64) -> f64 {
        self.limited.get(now).max(self.stated.get(now)) as f64
    }
}

/// Everything is counted over this.
const WINDOW: u64 = 10 * MINUTE;
/// And what comes slowly over this.
const LONG: u64 = 20 * MINUTE;
/// Between two statements of the node is no more time, or something was missed; it is asked every five seconds.
const STATED: u64 = 2 * MINUTE;
/// The middle one of fewer senders says nothing.
const ENOUGH: usize = 4;
/// Tokens a second: `MAX_ADDR_RATE_PER_SECOND`.
const RATE: f64 = 0.1;
/// Most that is saved up, `MAX_ADDR_PROCESSING_TOKEN_BUCKET`, and most in one message, `MAX_ADDR_TO_SEND`.
const MOST: f64 = 1000.0;
/// Senders remembered: more than a node has peers.
const SENDERS: usize = 4096;
/// Hosts remembered that broke the protocol.
const BREACHES: usize = 256;

impl Default for AddrFlood {
    fn default() -> Self {
        Self { senders: BTreeMap::new(), usual: [0.0; 2], breaches: Table::new(BREACHES, HOUR) }
    }
}

impl Default for Breach {
    fn default() -> Self {
        Self { messages: SlidingCount::new(WINDOW), addresses: 0, evidence: Evidence::default() }
    }
}

impl Detector for AddrFlood {
    const ABOUT: About = About {
        id: "D01",
        name: "addr_flood",
        version: 4,
        title: "A peer sends addresses much faster than anybody needs them",
        family: Family::Gossip,
        scope: Scope::Node,
        kinds: &[KindId::NetAddr, KindId::NetAddrv2, KindId::NetGetaddr, KindId::StatePeers, KindId::ConnClosed],
        every: 10 * SECOND,
        needs: &[KindId::NetAddr, KindId::NetAddrv2, KindId::StatePeers],
        window: LONG,
        guards: &[],
        // what was not seen only makes floods look smaller, except for a `getaddr`: see `judge`
        fooled_by: &[],
        thresholds: &[
            Limit::D01Warn,
            Limit::D01Drip,
            Limit::D01Share,
            Limit::D01Times,
            Limit::D01Critical,
            Limit::D01Tens,
            Limit::D01Breaches,
            Limit::GuardGetaddr,
        ],
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
                    let Some(sender) = self.senders.get_mut(&peer.id) else { continue };
                    sender.exempt = peer.permissions.iter().any(|permission| permission == "addr");
                    if let Some(limited) = peer.addr_rate_limited
                        && sender.is_stated(limited, event, context)
                    {
                        sender.judge(peer.id, self.usual, context, findings);
                    }
                }
            }
            Some(Kind::ConnClosed(closed)) => {
                self.senders.remove(&closed.peer);
                self.breaches.remove(&Entity::Peer(closed.peer));
            }
            _ => {}
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.usual = [0, 1].map(|span| self.middle(span, context.now));
        for (id, sender) in &mut self.senders {
            sender.evidence.forget(context.since(LONG));
            if findings.is_open(&Entity::Peer(*id)) {
                sender.judge(*id, self.usual, context, findings);
            }
        }
        let entities: Vec<Entity> = self.breaches.iter().map(|(entity, _)| entity.clone()).collect();
        for entity in entities {
            let Some(breach) = self.breaches.get_mut(&entity) else { continue };
            breach.judge(&entity, context, findings);
            if breach.messages.get(context.now) == 0 && !findings.is_open(&entity) {
                self.breaches.remove(&entity);
            }
        }
        findings.evicted(self.breaches.take_evicted());
    }

    fn restarted(&mut self, _: &str) {
        *self = Self::default();
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
                spans: [WINDOW, LONG].map(Span::new),
                tens: SlidingCount::new(WINDOW),
                // nothing was ignored before a connection that was seen from its beginning
                stated: context.peer(id).filter(|peer| peer.seen_opening).map(|peer| (peer.since, 0)),
                evidence: Evidence::default(),
            }
        }))
    }

    /// What the middle one of those who passed on addresses did within a span; 0 of few.
    fn middle(&mut self, span: usize, now: u64) -> f64 {
        let counts = self.senders.values_mut().map(|sender| sender.spans[span].passed.get(now) as f64);
        let mut passed: Vec<f64> = counts.filter(|count| *count > 0.0).collect();
        if passed.len() < ENOUGH { 0.0 } else { quantile(&mut passed, 0.5) }
    }

    /// A message that nobody may send.
    fn breach(&mut self, event: &Event, id: u64, count: u64, context: &Context<'_>, findings: &mut Findings<'_>) {
        let host = context.peer(id).and_then(|peer| Host::of(&peer.address, peer.network()));
        let entity = host.map_or(Entity::Peer(id), |host| Entity::Address(host.to_string()));
        let breach = self.breaches.touch(&entity, context.now);
        breach.messages.add(context.now, 1);
        breach.addresses = count;
        breach.evidence.add(event);
        breach.judge(&entity, context, findings);
    }

    fn received(&mut self, event: &Event, id: u64, count: u64, context: &Context<'_>, findings: &mut Findings<'_>) {
        let now = context.now;
        if count as f64 > MOST {
            self.breach(event, id, count, context, findings);
            return;
        }
        let usual = self.usual;
        let Some(sender) = self.sender(id, context, findings) else { return };
        sender.bucket.refill(now);
        let limited = (0..count).filter(|_| !sender.bucket.take()).count() as u64;
        sender.received.add(now, count);
        let answer = sender.answer.min(count);
        sender.answer -= answer;
        for span in &mut sender.spans {
            span.passed.add(now, count - answer);
            span.limited.add(now, limited);
        }
        if answer == 0 && count == 10 {
            sender.tens.add(now, 1);
        }
        // as many without a `getaddr` would have been an alarm
        if answer as f64 >= context.limit(Limit::D01Warn) {
            findings.left_out(Guard::Getaddr);
        }
        if limited > 0 || (answer == 0 && count == 10) {
            sender.evidence.add(event);
            sender.judge(id, usual, context, findings);
        }
    }
}

impl Breach {
    fn judge(&mut self, entity: &Entity, context: &Context<'_>, findings: &mut Findings<'_>) {
        let messages = self.messages.get(context.now) as f64;
        let again = messages >= context.limit(Limit::D01Breaches);
        let judgement = match () {
            () if again => Judgement::Fires(Severity::Warn),
            // the node has disconnected and discourages it: there is nothing to be done
            () if messages > 0.0 => Judgement::Fires(Severity::Info),
            () => Judgement::Clear,
        };
        let addresses = self.addresses;
        findings.judge(entity, judgement, || Case {
            score: messages / context.limit(Limit::D01Breaches),
            verdict: if again { Verdict::Investigate } else { Verdict::Benign },
            inputs: vec![
                input("messages", messages, "messages", context.limit(Limit::D01Breaches)),
                input("addresses_in_a_message", addresses as f64, "addresses", MOST),
            ],
            from: context.since(WINDOW),
            evidence: self.evidence.all(),
            summary: format!(
                "{messages} messages of more than 1000 addresses within ten minutes, the last of {addresses}: nobody may send that"
            ),
        });
    }
}

impl Sender {
    /// The node says that it has ignored so many addresses of the peer so far. Whether these are more.
    fn is_stated(&mut self, limited: u64, event: &Event, context: &Context<'_>) -> bool {
        let now = context.now;
        // of what was ignored while nobody looked it is not known when that was
        let fresh = self.stated.replace((now, limited)).filter(|(time, _)| now <= time.saturating_add(STATED));
        let more = fresh.map_or(0, |(_, before)| limited.saturating_sub(before));
        if more == 0 {
            return false;
        }
        self.spans.iter_mut().for_each(|span| span.stated.add(now, more));
        let [_, long] = &mut self.spans;
        // where our copy of the limit has seen it, the messages are the evidence
        if long.stated.get(now) > long.limited.get(now) {
            self.evidence.add(event);
        }
        true
    }

    fn judge(&mut self, id: u64, usual: [f64; 2], context: &Context<'_>, findings: &mut Findings<'_>) {
        let now = context.now;
        let received = self.received.get(now) as f64;
        let [limited, dripped] = self.spans.each_mut().map(|span| span.limited(now));
        let [passed, long] = self.spans.each_mut().map(|span| span.passed.get(now) as f64);
        let tens = self.tens.get(now) as f64;
        let share = limited / received.max(1.0);
        let limit = |limit| context.limit(limit);
        let [times, long_times] = [passed / usual[0].max(1.0), long / usual[1].max(1.0)];
        let quick = limited >= limit(Limit::D01Warn) && share >= limit(Limit::D01Share) && times >= limit(Limit::D01Times);
        // what came at once and is over does not drip
        let goes_on = limited >= limit(Limit::D01Drip) / 4.0;
        let slow = goes_on && dripped >= limit(Limit::D01Drip) && long_times >= limit(Limit::D01Times);
        let drip = dripped / limit(Limit::D01Drip);
        let warn = quick || slow;
        let critical = limited >= limit(Limit::D01Critical) || tens >= limit(Limit::D01Tens);
        let judgement = match () {
            () if self.exempt => Judgement::Clear,
            // a `getaddr` that was not seen looks just so
            () if tens < limit(Limit::D01Tens)
                && limited <= MOST
                && (warn || critical)
                && context.is_blind(&[KindId::NetGetaddr], WINDOW) =>
            {
                Judgement::Unknown
            }
            () if critical => Judgement::Fires(Severity::Critical),
            () if warn => Judgement::Fires(Severity::Warn),
            () if limited >= limit(Limit::D01Warn) / 2.0 || tens >= limit(Limit::D01Tens) / 2.0 => Judgement::Holds,
            // it still drips
            () if drip >= 0.5 && goes_on => Judgement::Holds,
            () => Judgement::Clear,
        };
        let score = (limited / limit(Limit::D01Warn)).max(tens / limit(Limit::D01Tens)).max(drip);
        findings.judge(&Entity::Peer(id), judgement, || Case {
            score,
            verdict: if critical { Verdict::Act } else { Verdict::Investigate },
            inputs: vec![
                input("limited", limited, "addresses", limit(Limit::D01Warn)),
                input("limited_share", share, "share", limit(Limit::D01Share)),
                input("received", received, "addresses", None),
                input("tens", tens, "messages", limit(Limit::D01Tens)),
                input("limited_in_twenty_minutes", dripped, "addresses", limit(Limit::D01Drip)),
                input("times_the_middle_peer", times.max(long_times), "", limit(Limit::D01Times)),
            ],
            from: context.since(LONG),
            evidence: self.evidence.all(),
            summary: if slow && !quick && !critical {
                format!("{long} addresses within twenty minutes, of which {dripped} are more than Bitcoin Core takes: it drips")
            } else {
                format!(
                    "{received} addresses within ten minutes, of which {limited} are more than Bitcoin Core takes; {tens} messages of exactly ten"
                )
            },
        });
    }
}

#[cfg(test)]
mod tests;
