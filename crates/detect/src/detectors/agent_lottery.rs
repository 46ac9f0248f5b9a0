//! D16: one stranger under many names.
//!
//! **Behaviour.** A host, or a range, comes again and again and says each time that it runs something else, drawn from a list of old wallets and
//! nodes: it does not want to be recognised. LinkingLion does so; one host was seen with 82 user agents.
//!
//! **Signal.** Per range, a /24 of IPv4 or a /64 of IPv6, the last 64 inbound connections within a day: how many names there were, for each connection and for
//! each way to say hello (protocol version, services, relay flag). Real populations have few names that most use, and software that
//! differs in name differs in what it offers; a lottery has many names, evenly, and one program behind them. Versions of Bitcoin Core and
//! Knots since 22 count as one name: they do say hello alike.
//!
//! **Look-alikes.** Many nodes behind one address, or in one range of a hosting company: their names go with their hellos. An update: two
//! names. Exits of Tor and VPNs have many users, and real ones. Inbound Tor has one address for all and is not grouped (G6); private
//! broadcasts all have the same name, and none of their own (G4).
//!
//! **What an attacker may do.** Draw from modern versions of Bitcoin Core only, or say hello as the claimed software would, all of which makes
//! him more like what he claims; use each name for many connections; rent more ranges.
//!
//! **Sources** (`docs/sources.md`). S6, S24.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use event::{ConnectionType, Direction, Event, Kind, KindId, NetVersion, Network, Severity, Verdict};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::entity::Host;
use crate::entity::agent::Class;
use crate::entity::lists::Category;
use crate::measure::{Evidence, Table, hash};
use crate::thresholds::Limit;
use crate::time::{DAY, HOUR, SECOND};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Guard, Judgement, Scope, input};

/// Groups that are remembered: more than come to a node within a day. One takes 4 kB at most, and most of them 200 bytes.
const GROUPS: usize = 16_384;

/// Connections of one group that are looked at, the latest.
const VISITS: usize = 64;

/// Bitcoin Core and Knots say hello alike since this version: protocol 70016.
const ALIKE: u8 = 22;

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AgentLottery {
    groups: Table<Group, Visits>,
    /// Groups with so many names that they are judged.
    suspects: BTreeSet<Group>,
}

/// Who comes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
enum Group {
    Range(IpNet),
    /// On networks that have no ranges.
    Host(Host),
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Visits {
    visits: VecDeque<Visit>,
    /// The latest agent that a list knows.
    listed: Option<String>,
    evidence: Evidence,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Visit {
    at: u64,
    host: Host,
    /// Of what it said it is.
    name: u64,
    /// Of how it said hello.
    hello: u64,
}

impl Default for AgentLottery {
    fn default() -> Self {
        Self { groups: Table::new(GROUPS, HOUR), suspects: BTreeSet::new() }
    }
}

impl Detector for AgentLottery {
    const ABOUT: About = About {
        id: "D16",
        name: "agent_lottery",
        version: 2,
        title: "One stranger under many names",
        family: Family::Strangers,
        scope: Scope::Node,
        kinds: &[KindId::NetVersion],
        every: 30 * SECOND,
        needs: &[KindId::NetVersion],
        window: HOUR,
        guards: &[],
        fooled_by: &[],
        thresholds: &[Limit::D16Names, Limit::D16Share, Limit::D16Many, Limit::D16Even, Limit::D16Hello, Limit::D16Lasts],
        does_not_prove: "what it wants: hiding a name is no attack, and an exit of Tor or a VPN has many users",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>) {
        let Some(Kind::NetVersion(version)) = &event.kind else { return };
        if version.direction() == Direction::Inbound && version.connection_type() == ConnectionType::Inbound {
            self.came(event, version, context, findings);
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.groups.forget(context.since(DAY));
        findings.evicted(self.groups.take_evicted());
        for group in std::mem::take(&mut self.suspects) {
            let Some(visits) = self.groups.get_mut(&group) else {
                findings.judge(&group.entity(), Judgement::Clear, Case::default);
                continue;
            };
            visits.forget(context.since(DAY));
            let names = visits.names();
            let (judgement, entity) = (names.judgement(visits, context), group.entity());
            if names.names as f64 >= context.limit(Limit::D16Names) / 2.0 || findings.is_open(&entity) {
                self.suspects.insert(group);
            }
            findings.judge(&entity, judgement, || names.case(visits, context));
        }
    }

    /// Strangers stay the same.
    fn restarted(&mut self, _: &str) {}
}

impl AgentLottery {
    fn came(&mut self, event: &Event, version: &NetVersion, context: &Context<'_>, findings: &mut Findings<'_>) {
        // the address is that of the connection: a list of peers may know it where the message does not
        let known = context.peer(version.peer);
        let (address, network) = known.map_or((&version.address, version.network()), |peer| (&peer.address, peer.network()));
        let Some(host) = Host::of(address, network) else {
            if network == Network::Onion {
                findings.left_out(Guard::Onion);
            }
            return;
        };
        if known.is_some_and(|peer| peer.private_broadcast) {
            findings.left_out(Guard::PrivateBroadcast);
            return;
        }
        let group = host.range().map_or_else(|| Group::Host(host.clone()), Group::Range);
        let name = match Class::of(&version.user_agent) {
            Class::Core(number) | Class::Knots(number) if number >= ALIKE => 0,
            _ => hash(context.key, version.user_agent.as_bytes()),
        };
        let mut hello = [0; 13];
        hello[..4].copy_from_slice(&version.version.to_le_bytes());
        hello[4..12].copy_from_slice(&version.services.to_le_bytes());
        hello[12] = version.relay.into();
        let visits = self.groups.touch(&group, context.now);
        visits.forget(context.since(DAY));
        if visits.visits.len() == VISITS {
            visits.visits.pop_front();
        }
        // a group with one name has nothing to show
        if let Some(agent) = context.knowledge.known_agent(&version.user_agent) {
            visits.listed = Some(agent);
        }
        let new = visits.visits.iter().all(|visit| visit.name != name);
        visits.visits.push_back(Visit { at: context.now, host, name, hello: hash(context.key, &hello) });
        if new {
            visits.evidence.add(event);
            if visits.names().names as f64 >= context.limit(Limit::D16Names) / 2.0 {
                self.suspects.insert(group);
            }
        }
    }
}

impl Group {
    fn entity(&self) -> Entity {
        match self {
            Self::Range(net) => Entity::Range(net.to_string()),
            Self::Host(host) => Entity::Address(host.to_string()),
        }
    }
}

/// How names are distributed.
struct Names {
    connections: usize,
    hosts: usize,
    names: usize,
    /// Different ways to say hello.
    hellos: usize,
    /// 1 where each name is as frequent as the others, 0 where there is one.
    evenness: f64,
}

impl Visits {
    fn forget(&mut self, before: u64) {
        while self.visits.front().is_some_and(|visit| visit.at < before) {
            self.visits.pop_front();
        }
        self.evidence.forget(before);
    }

    fn names(&self) -> Names {
        let mut counts = BTreeMap::<u64, u32>::new();
        for visit in &self.visits {
            *counts.entry(visit.name).or_default() += 1;
        }
        let all = self.visits.len() as f64;
        let entropy: f64 = counts.values().map(|count| f64::from(*count) / all).map(|share| -share * share.ln()).sum();
        Names {
            connections: self.visits.len(),
            hosts: self.visits.iter().map(|visit| &visit.host).collect::<BTreeSet<_>>().len(),
            names: counts.len(),
            hellos: self.visits.iter().map(|visit| visit.hello).collect::<BTreeSet<_>>().len(),
            evenness: if counts.len() > 1 { entropy / (counts.len() as f64).ln() } else { 0.0 },
        }
    }

    /// Whom a list names as one's own, or as an exit that many use, by the address: worth knowing only.
    fn is_explained(&self, context: &Context<'_>) -> bool {
        let host = self.visits.back().map(|visit| &visit.host);
        let explains = |category| matches!(category, Category::Own | Category::TorExit);
        context.knowledge.lists.find(host, None).any(|found| explains(found.entity.category))
    }
}

impl Names {
    fn share(&self) -> f64 {
        self.names as f64 / self.connections.max(1) as f64
    }

    fn per_hello(&self) -> f64 {
        self.names as f64 / self.hellos.max(1) as f64
    }

    fn judgement(&self, visits: &Visits, context: &Context<'_>) -> Judgement {
        let limit = |limit| context.limit(limit);
        let names = self.names as f64;
        let many = names >= limit(Limit::D16Names) && self.share() > limit(Limit::D16Share);
        let even = names >= limit(Limit::D16Many) && self.evenness > limit(Limit::D16Even);
        let one_program = self.per_hello() >= limit(Limit::D16Hello);
        let recent = visits.visits.back().is_some_and(|visit| visit.at >= context.since(context.span(Limit::D16Lasts)));
        match () {
            () if !recent || names < limit(Limit::D16Names) / 2.0 => Judgement::Clear,
            () if (many || even) && one_program && visits.is_explained(context) => Judgement::Fires(Severity::Info),
            () if (many || even) && one_program => Judgement::Fires(Severity::Warn),
            () => Judgement::Holds,
        }
    }

    fn case(&self, visits: &Visits, context: &Context<'_>) -> Case {
        let limit = |limit| context.limit(limit);
        let named =
            visits.visits.back().map_or(String::new(), |visit| context.knowledge.names(&visit.host, visits.listed.as_deref()));
        let named = if named.is_empty() { named } else { format!("; known as {named}") };
        let Self { connections, hosts, names, hellos, evenness } = *self;
        let hosts_in_words = if hosts == 1 { "one address".to_owned() } else { format!("{hosts} addresses") };
        let ways = if hellos == 1 { "all say hello alike".to_owned() } else { format!("they say hello in {hellos} ways") };
        Case {
            score: self.per_hello() / limit(Limit::D16Hello),
            verdict: if visits.is_explained(context) { Verdict::Benign } else { Verdict::Investigate },
            inputs: vec![
                input("names_per_hello", self.per_hello(), "names", limit(Limit::D16Hello)),
                input("names", names as f64, "names", limit(Limit::D16Names)),
                input("names_per_connection", self.share(), "share", limit(Limit::D16Share)),
                input("evenness", evenness, "share", limit(Limit::D16Even)),
                input("connections", connections as f64, "connections", None),
                input("addresses", hosts as f64, "addresses", None),
            ],
            from: visits.visits.front().map_or(context.now, |visit| visit.at),
            evidence: visits.evidence.all(),
            summary: format!("{names} names in {connections} connections of {hosts_in_words}, and {ways}{named}"),
        }
    }
}

#[cfg(test)]
mod tests;
