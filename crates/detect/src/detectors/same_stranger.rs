//! D13: the same stranger at several of our nodes.
//!
//! **Behaviour.** Somebody goes through the nodes of the network, one after the other or all at once, to map it, to hear every announcement
//! first, or to find out which of them belong together. Nobody outside knows that our nodes are related, so whoever visits most of them
//! visits most of all nodes.
//!
//! **Signal**, over all nodes: a host that dials three nodes and half of all within ten minutes; or so many, within ten minutes or an hour, that
//! chance does not explain it: an ordinary node dials some sixty others an hour, of thousands. Likewise a range of several hosts (a /24 of IPv4, a /64 of
//! IPv6), where each of its hosts may dial as often. Even gaps between the nodes are told, as a scanner has them.
//!
//! **Look-alikes.** Crawlers and seeders that say who they are, and the operator's own probes on a list: information only. Feelers of ordinary
//! nodes are single and random. A hosting company's range has many ordinary nodes: what chance explains grows with the hosts that come. Inbound Tor
//! has one address for all and is not grouped (G6), nor are addresses that are somebody else's at each node: loopback, private and local ones, as
//! behind a proxy. Private broadcasts leave the Tor network by exits that many use (G4).
//!
//! **Left out.** Strangers that are the same by their fingerprint and name only: every node of one release has the same. Connections that were open
//! before anybody watched.
//!
//! **What an attacker may do.** Dial from another range for each node; take days; call itself a crawler, and be told as one.
//!
//! **Sources** (`docs/sources.md`). S1; Bitcoin Core's intervals of feelers and extra connections (`src/net.cpp`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use event::{ConnectionType, Direction, Event, Kind, KindId, Network, Severity, Verdict};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::entity::Host;
use crate::entity::agent::Class;
use crate::entity::lists::{Category, Match};
use crate::measure::{Evidence, Table, hash, surprise};
use crate::thresholds::Limit;
use crate::time::{HOUR, MINUTE, SECOND, seconds};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Guard, Judgement, Scope, input};

/// The windows that it looks at.
const BRIEF: u64 = 10 * MINUTE;
const LONG: u64 = HOUR;

/// Hosts and ranges that are remembered: more than come to a hundred nodes within an hour. Each takes 2 kB at most, and most of them 300
/// bytes.
const HOSTS: usize = 65_536;
const RANGES: usize = 32_768;

/// Nodes of ours that have a number.
const NODES: usize = 1024;

/// Nodes that a stranger visited and hosts of a range that are remembered, the latest.
const VISITS: usize = 64;

/// Even gaps: their deviation is less than this share of their mean, and there are at least so many.
const EVEN: (f64, usize) = (0.3, 3);

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SameStranger {
    /// Our nodes, in the order of their numbers.
    nodes: Vec<String>,
    hosts: Table<Host, Visits>,
    ranges: Table<IpNet, Visits>,
    /// Those that were at several nodes.
    suspects: BTreeSet<Host>,
    suspect_ranges: BTreeSet<IpNet>,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Visits {
    /// By node, when it was last dialled.
    nodes: BTreeMap<u16, u64>,
    /// Of a range: its hosts, by hash, and when each last came.
    hosts: BTreeMap<u64, u64>,
    /// It says of itself that it is a crawler.
    declared: bool,
    /// The latest agent that a list knows.
    listed: Option<String>,
    evidence: Evidence,
}

impl Default for SameStranger {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            hosts: Table::new(HOSTS, HOUR),
            ranges: Table::new(RANGES, HOUR),
            suspects: BTreeSet::new(),
            suspect_ranges: BTreeSet::new(),
        }
    }
}

impl Detector for SameStranger {
    const ABOUT: About = About {
        id: "D13",
        name: "same_stranger",
        version: 3,
        title: "The same stranger at several nodes",
        family: Family::Strangers,
        scope: Scope::Fleet,
        kinds: &[KindId::ConnOpened, KindId::NetVersion],
        every: 10 * SECOND,
        needs: &[KindId::ConnOpened],
        window: BRIEF,
        guards: &[],
        fooled_by: &[],
        thresholds: &[Limit::D13Nodes, Limit::D13Share, Limit::D13Surprise, Limit::D13Dials, Limit::D13Reachable],
        does_not_prove: "that it knows that the nodes belong together, or that it means harm: whoever maps the network visits them all",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>) {
        match &event.kind {
            Some(Kind::ConnOpened(m)) if m.connection_type() == ConnectionType::Inbound => {
                match Host::of(&m.address, m.network()) {
                    Some(host) if is_local(&host) => {}
                    Some(host) => self.came(event, host, context, findings),
                    None if m.network() == Network::Onion => findings.left_out(Guard::Onion),
                    None => {}
                }
            }
            Some(Kind::NetVersion(m)) if m.direction() == Direction::Inbound => {
                let Some(peer) = context.peer(m.peer).filter(|peer| peer.is_inbound()) else { return };
                let Some(host) = Host::of(&peer.address, peer.network()) else { return };
                let Some(visits) = self.hosts.get_mut(&host) else { return };
                visits.declared |= Class::of(&m.user_agent) == Class::Crawler;
                if let Some(agent) = context.knowledge.known_agent(&m.user_agent) {
                    visits.listed = Some(agent);
                }
                if peer.private_broadcast {
                    findings.left_out(Guard::PrivateBroadcast);
                    if let Some(number) = number(&self.nodes, &event.node) {
                        visits.nodes.remove(&number);
                    }
                }
            }
            _ => {}
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.hosts.forget(context.since(LONG));
        self.ranges.forget(context.since(LONG));
        findings.evicted(self.hosts.take_evicted() + self.ranges.take_evicted());
        let mut told = BTreeSet::new();
        for host in std::mem::take(&mut self.suspects) {
            let entity = Entity::Address(host.to_string());
            let Some(visits) = self.hosts.get_mut(&host) else {
                findings.judge(&entity, Judgement::Clear, Case::default);
                continue;
            };
            visits.forget(context.since(LONG));
            let many = visits.many(1, context);
            let judgement = many.judgement(true, visits.is_declared(&host, context), context);
            findings.judge(&entity, judgement, || many.case(visits, Some(&host), context));
            let open = findings.is_open(&entity);
            told.extend(host.range().filter(|_| open));
            if open || visits.nodes.len() > 1 {
                self.suspects.insert(host);
            }
        }
        for net in std::mem::take(&mut self.suspect_ranges) {
            let entity = Entity::Range(net.to_string());
            let Some(visits) = self.ranges.get_mut(&net) else {
                findings.judge(&entity, Judgement::Clear, Case::default);
                continue;
            };
            visits.forget(context.since(LONG));
            let hosts = visits.hosts.len();
            let many = visits.many(hosts, context);
            // one of its hosts is told already
            let judgement = match many.judgement(false, false, context) {
                Judgement::Fires(_) if hosts < 2 || told.contains(&net) => Judgement::Holds,
                judgement => judgement,
            };
            findings.judge(&entity, judgement, || many.case(visits, None, context));
            if findings.is_open(&entity) || visits.nodes.len() > 1 {
                self.suspect_ranges.insert(net);
            }
        }
    }

    /// Strangers stay the same.
    fn restarted(&mut self, _: &str) {}
}

/// Whether an address is another machine's at each node.
fn is_local(host: &Host) -> bool {
    match host {
        Host::V4(ip) => *ip == Ipv4Addr::LOCALHOST || ip.is_private() || ip.is_link_local(),
        Host::V6(ip) => *ip == Ipv6Addr::LOCALHOST || ip.is_unique_local() || ip.is_unicast_link_local(),
        _ => false,
    }
}

fn number(nodes: &[String], name: &str) -> Option<u16> {
    nodes.iter().position(|known| known == name).map(|number| number as u16)
}

impl SameStranger {
    fn came(&mut self, event: &Event, host: Host, context: &Context<'_>, findings: &mut Findings<'_>) {
        let number = match number(&self.nodes, &event.node) {
            Some(number) => number,
            None if self.nodes.len() < NODES => {
                self.nodes.push(event.node.clone());
                (self.nodes.len() - 1) as u16
            }
            None => return findings.evicted(1),
        };
        let now = context.now;
        let visits = self.hosts.touch(&host, now);
        visits.came(event, number, now);
        if visits.nodes.len() > 1 {
            self.suspects.insert(host.clone());
        }
        if let Some(net) = host.range() {
            let visits = self.ranges.touch(&net, now);
            visits.came(event, number, now);
            let known = hash(context.key, host.to_string().as_bytes());
            keep(&mut visits.hosts, known, now);
            if visits.nodes.len() > 1 && visits.hosts.len() > 1 {
                self.suspect_ranges.insert(net);
            }
        }
    }
}

/// Remembers a time; where there are too many the oldest gives way.
fn keep<K: Ord + Copy>(times: &mut BTreeMap<K, u64>, key: K, now: u64) {
    if times.len() >= VISITS
        && !times.contains_key(&key)
        && let Some(oldest) = times.iter().min_by_key(|(_, time)| **time).map(|(key, _)| *key)
    {
        times.remove(&oldest);
    }
    times.insert(key, now);
}

/// How many nodes there were.
struct Many {
    /// Of all that are watched.
    of: usize,
    brief: usize,
    long: usize,
    /// By chance once in so many powers of ten.
    surprise: f64,
    /// Deviation of the gaps between nodes, as a share of their mean; absent where there are few.
    gaps: Option<f64>,
}

impl Visits {
    fn came(&mut self, event: &Event, node: u16, now: u64) {
        self.forget(now.saturating_sub(LONG));
        keep(&mut self.nodes, node, now);
        self.evidence.add(event);
    }

    fn forget(&mut self, before: u64) {
        self.nodes.retain(|_, time| *time >= before);
        self.hosts.retain(|_, time| *time >= before);
        self.evidence.forget(before);
    }

    /// Counts nodes, and compares them with what so many ordinary hosts would visit.
    fn many(&self, hosts: usize, context: &Context<'_>) -> Many {
        let of = context.nodes();
        let within = |window| self.nodes.values().filter(|time| **time >= context.since(window)).count();
        let (brief, long) = (within(BRIEF), within(LONG));
        let hourly = hosts.max(1) as f64 * context.limit(Limit::D13Dials) * of as f64 / context.limit(Limit::D13Reachable).max(1.0);
        let surprising = |count: usize, window: u64| surprise(count as u64, hourly * seconds(window) / seconds(HOUR));
        Many { of, brief, long, surprise: surprising(brief, BRIEF).max(surprising(long, LONG)), gaps: self.gaps() }
    }

    fn gaps(&self) -> Option<f64> {
        let mut times: Vec<u64> = self.nodes.values().copied().collect();
        times.sort_unstable();
        let gaps: Vec<f64> = times.windows(2).map(|pair| seconds(pair[1] - pair[0])).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len().max(1) as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len().max(1) as f64;
        (gaps.len() >= EVEN.1 && mean > 0.0).then(|| variance.sqrt() / mean)
    }

    fn is_declared(&self, host: &Host, context: &Context<'_>) -> bool {
        // whoever says that he is the operator's own is not believed
        let harmless = |found: Match<'_>| match found.entity.category {
            Category::Crawler | Category::Research => true,
            Category::Own => !found.by_agent,
            _ => false,
        };
        self.declared || context.knowledge.lists.find(Some(host), self.listed.as_deref()).any(harmless)
    }
}

impl Many {
    fn judgement(&self, alone: bool, declared: bool, context: &Context<'_>) -> Judgement {
        let (nodes, most) = (context.limit(Limit::D13Nodes), context.limit(Limit::D13Surprise));
        let most_nodes =
            alone && self.brief as f64 >= nodes && self.brief as f64 / self.of.max(1) as f64 >= context.limit(Limit::D13Share);
        match () {
            () if (most_nodes || self.surprise >= most) && declared => Judgement::Fires(Severity::Info),
            () if most_nodes || self.surprise >= most => Judgement::Fires(Severity::Warn),
            () if (self.brief as f64) < nodes && self.surprise < most / 2.0 => Judgement::Clear,
            () => Judgement::Holds,
        }
    }

    fn case(&self, visits: &Visits, host: Option<&Host>, context: &Context<'_>) -> Case {
        let limit = |limit| context.limit(limit);
        let Self { of, brief, long, surprise, gaps } = *self;
        let named = host.map_or(String::new(), |host| context.knowledge.names(host, visits.listed.as_deref()));
        let named = if named.is_empty() { named } else { format!("; known as {named}") };
        let declared = host.is_some_and(|host| visits.is_declared(host, context));
        let says = if declared { "; a crawler that says so" } else { "" };
        let even = if gaps.is_some_and(|gaps| gaps < EVEN.0) { ", one after the other at even intervals" } else { "" };
        let hosts = if host.is_none() { format!(" from {} addresses", visits.hosts.len()) } else { String::new() };
        let mut inputs = vec![
            input("surprise", surprise, "", limit(Limit::D13Surprise)),
            input("nodes_in_ten_minutes", brief as f64, "nodes", limit(Limit::D13Nodes)),
            input("nodes_in_an_hour", long as f64, "nodes", None),
            input("nodes", of as f64, "nodes", None),
        ];
        inputs.extend(gaps.map(|gaps| input("gap_variation", gaps, "share", EVEN.0)));
        Case {
            score: (surprise / limit(Limit::D13Surprise)).max(brief as f64 / limit(Limit::D13Nodes)),
            verdict: if declared { Verdict::Benign } else { Verdict::Investigate },
            inputs,
            from: visits.nodes.values().min().copied().unwrap_or(context.now),
            evidence: visits.evidence.all(),
            summary: format!(
                "it dialled {long} of {of} nodes within an hour, {brief} of them in ten minutes{hosts}{even}{named}{says}"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
