//! The check over a recording: whom it would have dialled, and what recorded visits came to. Nobody is dialled.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use bytes::Bytes;
use event::{Event, Kind, KindId, KindSet, Network, ProbeAddress, VisitRoute};

use super::budget::Budget;
use super::own::Own;
use super::rules::Refusal;
use super::shares::Shares;
use super::survey::{Account, ROOM, Survey};
use super::tried::Tried;
use super::{Config, PrepareError, not_dialled};

/// An address is visited once in 24 hours: results that are closer to each other are one visit's, told for several nodes. Nanoseconds.
const ONE_VISIT: u64 = 12 * 3600 * 1_000_000_000;

/// Visits that are remembered before old ones are looked for.
const MOST: usize = 1 << 20;

/// How a table is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Form {
    /// For people.
    #[default]
    Text,
    /// A line of JSON for each group.
    Json,
    /// For spreadsheets: shares only.
    Csv,
}

/// What would have happened, and what did.
#[derive(Debug)]
pub struct Rehearsal {
    survey: Survey,
    /// Visits that would have been paid, by network.
    networks: BTreeMap<Network, u64>,
    /// By advertiser.
    parties: BTreeMap<String, u64>,
    /// The results that the recording has.
    shares: Shares,
    /// When an address was last visited, by network, address and port.
    visited: HashMap<(i32, Bytes, u32), u64>,
    rate: f64,
}

impl Rehearsal {
    /// Nothing was played yet. Needs no contact and no file: nothing happens.
    ///
    /// # Errors
    ///
    /// A list cannot be used.
    pub fn new(config: &Config) -> Result<Self, PrepareError> {
        let rules = config.rules()?;
        let budget = Budget::new(config.connect_rate, config.connect_parallel as usize);
        let own = Own::new(&config.connect_own, true);
        let survey = Survey::new(rules, own, Tried::in_memory([0; 16]), budget, ROOM, 0);
        Ok(Self {
            survey,
            networks: BTreeMap::new(),
            parties: BTreeMap::new(),
            shares: Shares::default(),
            visited: HashMap::new(),
            rate: config.connect_rate,
        })
    }

    /// What it wants to see.
    pub fn kinds() -> KindSet {
        let gossip = [KindId::NetAddr, KindId::NetAddrv2, KindId::StateNetwork, KindId::StatePeers, KindId::ProbeAddress];
        gossip.into_iter().collect()
    }

    /// Takes an event in, at its own time.
    pub fn observe(&mut self, event: &Event) {
        if let Some(Kind::ProbeAddress(visit)) = &event.kind {
            if self.is_first(visit, event.time) {
                self.shares.observe(visit);
            }
            return;
        }
        self.survey.observe(event, event.time);
        let Ok(errands) = self.survey.due(event.time, || 0) else { return };
        for errand in errands {
            *self.networks.entry(errand.target.network()).or_default() += 1;
            *self.parties.entry(errand.party().to_owned()).or_default() += 1;
            self.survey.done(errand, not_dialled("a rehearsal"), VisitRoute::Unspecified, event.time);
        }
        self.survey.stated(event.time, true);
    }

    /// Whether a result is that of a visit that was not counted. Each node that heard of the address is told; to count a visit for each would give
    /// what is widely gossiped more weight than what one node was told.
    fn is_first(&mut self, visit: &ProbeAddress, time: u64) -> bool {
        if self.visited.len() >= MOST {
            self.visited.retain(|_, then| time.abs_diff(*then) < ONE_VISIT);
        }
        // a copy: the address may be a part of a whole segment
        let key = (visit.network, Bytes::copy_from_slice(&visit.address), visit.port);
        self.visited.insert(key, time).is_none_or(|then| time.abs_diff(then) >= ONE_VISIT)
    }

    /// The results that the recording has.
    pub fn shares(&self) -> &Shares {
        &self.shares
    }

    /// What happened to addresses.
    pub fn account(&self) -> &Account {
        self.survey.account()
    }

    /// Everything as text.
    pub fn table(&self) -> String {
        let account = self.survey.account();
        let (waiting, parties) = self.survey.waiting();
        let mut text = String::new();
        let mut line = |name: &str, count: u64| {
            let _ = writeln!(text, "{name:<44}{count:>9}");
        };
        line("addresses heard from peers", account.heard);
        for (refusal, count) in Refusal::ALL.iter().zip(account.refused).filter(|(_, count)| *count > 0) {
            line(&format!("  never dialled: {}", refusal.word()), count);
        }
        line("  waited already", account.known);
        line("  dialled in the last 24 hours", account.repeated);
        line("  enough ports of the host dialled", account.enough_ports);
        line("  no room to wait", account.passed_over);
        line("would have been dialled", account.dialled);
        for (network, count) in &self.networks {
            line(&format!("  {}", network.word()), *count);
        }
        let mut advertisers: Vec<_> = self.parties.iter().collect();
        advertisers.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (party, count) in advertisers.iter().take(20) {
            line(&format!("  advertised by {party}"), **count);
        }
        if advertisers.len() > 20 {
            line("  advertised by others", advertisers[20..].iter().map(|(_, count)| **count).sum());
        }
        line("would still wait", waiting as u64);
        let _ = writeln!(text, "at {} a second, {parties} advertisers taking turns", self.rate);
        if self.shares.is_empty() {
            text.push_str("\nno visits are recorded\n");
        } else {
            let _ = write!(text, "\nrecorded visits\n\n{}", self.shares.table());
        }
        text
    }

    /// Everything in a form.
    pub fn write(&self, form: Form) -> String {
        match form {
            Form::Text => self.table(),
            Form::Csv => self.shares.csv(),
            Form::Json => self.shares.rows().iter().map(|row| format!("{}\n", row.json())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use event::{Source, VisitResult};

    use super::super::shares::By;
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        config: Config,
    }

    #[test]
    fn a_visit_counts_once_however_many_nodes_heard_of_the_address() {
        let mut rehearsal = Rehearsal::new(&Line::parse_from(["connect"]).config).unwrap();
        let result = |second: u64, node: &str, last: u8, result: VisitResult| {
            let address = Bytes::from(vec![1, 2, 3, last]);
            let visit =
                ProbeAddress { network: Network::Ipv4.into(), address, port: 8333, result: result.into(), ..Default::default() };
            Event { time: second * 1_000_000_000, ..Event::new(node, Source::Connect, visit) }
        };
        for node in ["alice", "bob", "carol"] {
            rehearsal.observe(&result(10, node, 1, VisitResult::Reachable));
        }
        rehearsal.observe(&result(10, "alice", 2, VisitResult::TimedOut));
        // the next day is another visit
        rehearsal.observe(&result(86_410, "alice", 2, VisitResult::TimedOut));
        let all = rehearsal.shares().rows().into_iter().find(|row| row.by == By::All).unwrap().tally;
        assert_eq!((all.visited, all.reachable, all.dead), (3, 1, 2));
    }
}
