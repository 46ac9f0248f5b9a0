//! D11: many brief connections from one range.
//!
//! **Behaviour.** Somebody opens connections from many addresses of one rented range, under changing names, listens to what is announced,
//! and leaves within minutes, to come again: the entity called LinkingLion, which is believed to link transactions to addresses (seen since
//! 2018, described in March 2023).
//!
//! **Signal.** Per range, a /24 of IPv4 or a /64 of IPv6, over ten minutes: many connections; and of five signs at least three: so many
//! connections, several addresses, brief lives, about as many user agents as connections, and neither a transaction nor a block sent. Number
//! alone says nothing (a university has many), and without number nothing is said: a handful of strangers may agree in the other
//! four by chance.
//!
//! A full node makes room for a newcomer by eviction, of the youngest in the network group that has most: of honest neighbours, too, each within seconds. That such
//! a visit was brief was the node's doing, and says nothing of the visitor.
//!
//! **Look-alikes.** A university or a provider's NAT: few agents, long lives, transactions. An exchange's back-ends: long lives. The
//! operator's own probes: a list says so, and the finding is information only. Inbound Tor has one address for all and is not grouped (G6).
//!
//! **What an attacker may do.** Stay below the number per range, which makes more ranges necessary; stay for longer than two minutes, which
//! takes slots (D10); send transactions. Connections from more ranges than the table holds push out each other, not ranges known for longer.
//!
//! A list never raises the finding: it names whom the behaviour showed.
//!
//! **Sources** (`docs/sources.md`). S6, S24.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use event::{Direction, Event, Kind, KindId, Severity, Verdict};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::entity::{Host, lists::Category};
use crate::measure::{Evidence, SlidingCount, Table, hash};
use crate::thresholds::Limit;
use crate::time::{HOUR, MINUTE, SECOND, seconds};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Guard, Judgement, Scope, input};

/// How far back it looks.
const WINDOW: u64 = 10 * MINUTE;

/// Ranges that are remembered. One takes 8 kB at most, while it is busy.
const RANGES: usize = 2048;

/// Connections of one range that are looked at, the latest: enough for a median.
const VISITS: usize = 128;

/// Connections that are open and were seen to begin: more than a node has.
const OPEN: usize = 4096;

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RangeChurn {
    ranges: Table<IpNet, Range>,
    /// Which range a connection belongs to.
    open: BTreeMap<u64, IpNet>,
    /// Ranges with so many connections that they are judged.
    busy: BTreeSet<IpNet>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Range {
    count: SlidingCount,
    visits: VecDeque<Visit>,
    /// The latest agent that a list knows.
    listed: Option<String>,
    evidence: Evidence,
}

/// A connection.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Visit {
    peer: u64,
    host: Host,
    opened: u64,
    closed: Option<u64>,
    /// The node evicted it.
    evicted: bool,
    /// Of its user agent, once it said one.
    agent: Option<u64>,
    /// How it greeted, if it stayed for long enough to show it.
    fingerprint: Option<u64>,
    /// It sent a transaction or a block.
    gave: bool,
}

impl Default for RangeChurn {
    fn default() -> Self {
        Self { ranges: Table::new(RANGES, HOUR), open: BTreeMap::new(), busy: BTreeSet::new() }
    }
}

impl Default for Range {
    fn default() -> Self {
        Self { count: SlidingCount::new(WINDOW), visits: VecDeque::new(), listed: None, evidence: Evidence::default() }
    }
}

impl Detector for RangeChurn {
    const ABOUT: About = About {
        id: "D11",
        name: "range_churn",
        version: 5,
        title: "Many brief connections from one range",
        family: Family::Connections,
        scope: Scope::Node,
        kinds: &[
            KindId::ConnOpened,
            KindId::ConnClosed,
            KindId::ConnEvicted,
            KindId::NetVersion,
            KindId::NetTx,
            KindId::NetBlock,
            KindId::NetCmpctblock,
            KindId::NetBlocktxn,
        ],
        every: 10 * SECOND,
        needs: &[KindId::ConnOpened, KindId::ConnClosed, KindId::NetVersion],
        window: WINDOW,
        guards: &[Guard::Restart],
        // a transaction that was not seen makes a range look greedier; the other signs do not need it
        fooled_by: &[],
        thresholds: &[
            Limit::D11Warn,
            Limit::D11Critical,
            Limit::D11Addresses,
            Limit::D11Life,
            Limit::D11Agents,
            Limit::D11Signs,
            Limit::D11Lasts,
        ],
        does_not_prove: "who it is, or that anybody is being linked to anything: a range has many customers",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>) {
        let now = context.now;
        match &event.kind {
            Some(Kind::ConnOpened(opened)) if opened.connection_type() == event::ConnectionType::Inbound => {
                match Host::of(&opened.address, opened.network()) {
                    Some(host) => self.came(event, opened.peer, host, context),
                    None if opened.network() == event::Network::Onion => findings.left_out(Guard::Onion),
                    None => {}
                }
            }
            Some(Kind::ConnClosed(closed)) => {
                let fingerprint = context.peer(closed.peer).and_then(|peer| peer.fingerprint);
                self.visit(closed.peer, |visit| (visit.closed, visit.fingerprint) = (Some(now), fingerprint));
                self.open.remove(&closed.peer);
            }
            // before its connection is closed
            Some(Kind::ConnEvicted(evicted)) => self.visit(evicted.peer, |visit| visit.evicted = true),
            Some(Kind::NetVersion(version)) if version.direction() == Direction::Inbound => {
                let agent = hash(context.key, version.user_agent.as_bytes());
                self.visit(version.peer, |visit| visit.agent = Some(agent));
                if let Some(listed) = context.knowledge.known_agent(&version.user_agent)
                    && let Some(range) = self.open.get(&version.peer).and_then(|net| self.ranges.get_mut(net))
                {
                    range.listed = Some(listed);
                }
            }
            Some(Kind::NetTx(message)) if message.direction() == Direction::Inbound => self.gave(message.peer),
            Some(Kind::NetBlock(message)) if message.direction() == Direction::Inbound => self.gave(message.peer),
            Some(Kind::NetCmpctblock(message)) if message.direction() == Direction::Inbound => self.gave(message.peer),
            Some(Kind::NetBlocktxn(message)) if message.direction() == Direction::Inbound => self.gave(message.peer),
            _ => {}
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        // of whom nobody came for so long there is nothing left to count
        self.ranges.forget(context.since(WINDOW.max(context.span(Limit::D11Lasts))));
        findings.evicted(self.ranges.take_evicted());
        let few = context.limit(Limit::D11Warn) / 2.0;
        let now = context.now;
        let busy = std::mem::take(&mut self.busy);
        for net in busy {
            let entity = Entity::Range(net.to_string());
            let Some(range) = self.ranges.get_mut(&net) else {
                findings.judge(&entity, Judgement::Clear, Case::default);
                // until that has settled
                if findings.is_open(&entity) {
                    self.busy.insert(net);
                }
                continue;
            };
            range.evidence.forget(context.since(WINDOW));
            let count = range.count.get(now) as f64;
            if count >= few || findings.is_open(&entity) {
                self.busy.insert(net);
            }
            let signs = range.signs(count, context);
            let recent = range.visits.back().is_some_and(|visit| visit.opened >= context.since(context.span(Limit::D11Lasts)));
            let judgement = match signs.judgement(context) {
                _ if !recent => Judgement::Clear,
                Judgement::Fires(_) if range.is_own(context) => Judgement::Fires(Severity::Info),
                judgement => judgement,
            };
            findings.judge(&entity, judgement, || signs.case(range, &net, context));
        }
    }

    fn restarted(&mut self, _: &str) {
        self.open.clear();
    }
}

impl RangeChurn {
    fn came(&mut self, event: &Event, peer: u64, host: Host, context: &Context<'_>) {
        let Some(net) = host.range() else { return };
        let now = context.now;
        let range = self.ranges.touch(&net, now);
        range.count.add(now, 1);
        while range.visits.len() >= VISITS || range.visits.front().is_some_and(|visit| visit.opened < context.since(WINDOW)) {
            range.visits.pop_front();
        }
        range.visits.push_back(Visit {
            peer,
            host,
            opened: now,
            closed: None,
            evicted: false,
            agent: None,
            fingerprint: None,
            gave: false,
        });
        range.evidence.add(event);
        if range.count.get(now) as f64 >= context.limit(Limit::D11Warn) / 2.0 {
            self.busy.insert(net);
        }
        if self.open.len() < OPEN {
            self.open.insert(peer, net);
        }
    }

    fn gave(&mut self, peer: u64) {
        self.visit(peer, |visit| visit.gave = true);
    }

    fn visit(&mut self, peer: u64, change: impl FnOnce(&mut Visit)) {
        let Some(net) = self.open.get(&peer) else { return };
        let Some(range) = self.ranges.get_mut(net) else { return };
        if let Some(visit) = range.visits.iter_mut().rev().find(|visit| visit.peer == peer) {
            change(visit);
        }
    }
}

/// What a range showed in the window.
struct Signs {
    count: f64,
    addresses: usize,
    /// Seconds; absent while no connection has ended or lasted for long enough to tell.
    life: Option<f64>,
    /// Different agents per connection that said one.
    agents: f64,
    /// Different ways to greet per connection that showed one; absent while none has ended that did.
    greetings: Option<f64>,
    gave: usize,
    met: u32,
}

impl Range {
    /// Whether its last visitor is the operator's own, by a list that has the address.
    fn is_own(&self, context: &Context<'_>) -> bool {
        let host = self.visits.back().map(|visit| &visit.host);
        context.knowledge.lists.find(host, None).any(|found| found.entity.category == Category::Own)
    }

    fn signs(&self, count: f64, context: &Context<'_>) -> Signs {
        let visits = || self.visits.iter().filter(|visit| visit.opened >= context.since(WINDOW));
        let addresses = visits().map(|visit| &visit.host).collect::<BTreeSet<_>>().len();
        let brief = context.limit(Limit::D11Life);
        // who is still here, or was evicted, counts once it is clear that the visit is not brief
        let life = |visit: &Visit| {
            let life = seconds(visit.closed.unwrap_or(context.now).saturating_sub(visit.opened));
            let ended = visit.closed.is_some() && !visit.evicted;
            (ended || life >= brief).then_some(life)
        };
        let mut lives: Vec<f64> = visits().filter_map(life).collect();
        lives.sort_by(f64::total_cmp);
        let agents: Vec<u64> = visits().filter_map(|visit| visit.agent).collect();
        let different = agents.iter().collect::<BTreeSet<_>>().len();
        let greetings: Vec<u64> = visits().filter_map(|visit| visit.fingerprint).collect();
        let ways = greetings.iter().collect::<BTreeSet<_>>().len();
        let mut signs = Signs {
            count,
            addresses,
            life: lives.get(lives.len() / 2).copied(),
            agents: if agents.is_empty() { 0.0 } else { different as f64 / agents.len() as f64 },
            greetings: (!greetings.is_empty()).then(|| ways as f64 / greetings.len() as f64),
            gave: visits().filter(|visit| visit.gave).count(),
            met: 0,
        };
        signs.met = [
            count >= context.limit(Limit::D11Warn),
            addresses as f64 >= context.limit(Limit::D11Addresses),
            signs.life.is_some_and(|life| life < brief),
            signs.agents > context.limit(Limit::D11Agents),
            signs.gave == 0,
        ]
        .into_iter()
        .map(u32::from)
        .sum();
        signs
    }
}

impl Signs {
    fn judgement(&self, context: &Context<'_>) -> Judgement {
        let enough = f64::from(self.met) >= context.limit(Limit::D11Signs);
        let (warn, critical) = (context.limit(Limit::D11Warn), context.limit(Limit::D11Critical));
        match () {
            () if enough && self.count >= critical => Judgement::Fires(Severity::Critical),
            () if enough && self.count >= warn => Judgement::Fires(Severity::Warn),
            () if self.count < warn / 2.0 || !enough => Judgement::Clear,
            () => Judgement::Holds,
        }
    }

    fn case(&self, range: &Range, net: &IpNet, context: &Context<'_>) -> Case {
        let limit = |limit| context.limit(limit);
        let host = range.visits.back().map(|visit| &visit.host);
        let named = host.map_or(String::new(), |host| context.knowledge.names(host, range.listed.as_deref()));
        let named = if named.is_empty() { named } else { format!("; known as {named}") };
        let system = host.and_then(Host::ip).zip(context.knowledge.asmap.as_ref()).and_then(|(ip, asmap)| asmap.lookup(ip));
        let system = system.map_or(String::new(), |number| format!(" of AS{number}"));
        let mut inputs = vec![
            input("signs", self.met.into(), "signs", limit(Limit::D11Signs)),
            input("connections", self.count, "connections", limit(Limit::D11Warn)),
            input("addresses", self.addresses as f64, "addresses", limit(Limit::D11Addresses)),
            input("agents_per_connection", self.agents, "share", limit(Limit::D11Agents)),
            input("connections_that_gave", self.gave as f64, "connections", 0.0),
        ];
        // many names and one way to greet are one program
        inputs.extend(self.greetings.map(|ways| input("greetings_per_connection", ways, "share", None)));
        inputs.extend(self.life.map(|life| input("median_life", life, "seconds", limit(Limit::D11Life))));
        let life = self.life.map_or(String::new(), |life| format!(", half of them shorter than {life:.0} s"));
        let gave = match self.gave {
            0 => "none gave anything".to_owned(),
            some => format!("{some} gave a transaction or a block"),
        };
        Case {
            score: f64::from(self.met) / 5.0,
            verdict: if range.is_own(context) { Verdict::Benign } else { Verdict::Investigate },
            inputs,
            from: context.since(WINDOW),
            evidence: range.evidence.all(),
            summary: format!(
                "{} connections in ten minutes from {} addresses of {net}{system}{life}, {gave}{named}",
                self.count, self.addresses
            ),
        }
    }
}

#[cfg(test)]
mod tests;
