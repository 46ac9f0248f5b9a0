//! The check over a recording: whom it would have dialled, and what recorded visits came to. Nobody is dialled.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use event::{Event, Kind, KindId, KindSet, Network, VisitRoute};

use super::budget::Budget;
use super::own::Own;
use super::rules::Refusal;
use super::shares::Shares;
use super::survey::{Account, ROOM, Survey};
use super::tried::Tried;
use super::{Config, PrepareError, not_dialled};

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
            self.shares.observe(visit);
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
