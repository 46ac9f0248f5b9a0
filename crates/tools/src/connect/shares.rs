//! How much of what is advertised is there: by advertiser, network, claimed services, claimed age.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use event::text::U64;
use event::{ProbeAddress, VisitResult};
use serde_json::{Value, json};

use super::survey::party;

/// Advertisers, and sets of services, that are kept apart; the rest are `others`.
const GROUPS: usize = 1024;
/// Ages by which claims are told apart: up to so many seconds.
const AGES: [(u64, &str); 6] = [
    (600, "10 minutes"),
    (3600, "1 hour"),
    (10_800, "3 hours"),
    (86_400, "1 day"),
    (604_800, "1 week"),
    (u64::MAX, "more than a week"),
];
const OTHERS: &str = "others";

/// Results of visits in one group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Visits that say something of the address.
    pub visited: u64,
    /// A node was there.
    pub reachable: u64,
    /// Refused, timed out, no way there.
    pub dead: u64,
    /// Somebody was there, and no node of the network.
    pub other: u64,
    /// Visits that say nothing: a node's own address, a proxy that failed, no dial.
    pub void: u64,
}

impl Tally {
    fn add(&mut self, result: VisitResult) {
        use VisitResult as R;
        let (place, says) = match result {
            R::Reachable => (&mut self.reachable, true),
            R::Refused | R::TimedOut | R::Unreachable => (&mut self.dead, true),
            R::Stalled | R::HungUp | R::WrongNetwork | R::NotBitcoin | R::Endless => (&mut self.other, true),
            R::Own | R::ProxyFailed | R::NotDialled | R::Unspecified => (&mut self.void, false),
        };
        *place += 1;
        self.visited += u64::from(says);
    }

    /// Which share of the addresses had a node; `None` where nothing is known.
    pub fn share(&self) -> Option<f64> {
        (self.visited > 0).then(|| self.reachable as f64 / self.visited as f64)
    }
}

/// What is counted by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum By {
    /// Everything.
    All,
    /// The result itself.
    Result,
    /// The network of the address.
    Network,
    /// Who advertised it first: a range of addresses.
    Advertiser,
    /// The services that were claimed for it.
    Services,
    /// How long ago it had last been seen, as claimed.
    Age,
}

impl By {
    /// Every one, in the order of the table.
    pub const ALL: [Self; 6] = [Self::All, Self::Result, Self::Network, Self::Advertiser, Self::Services, Self::Age];

    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Result => "result",
            Self::Network => "network",
            Self::Advertiser => "advertiser",
            Self::Services => "services",
            Self::Age => "age",
        }
    }
}

/// A row of the table.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// What is counted by.
    pub by: By,
    /// Which group.
    pub group: String,
    /// Its results.
    pub tally: Tally,
    /// Reachable by visited.
    pub share: Option<f64>,
}

impl Row {
    /// As our JSON has it: what has 64 bits is a string, what is not known is null.
    pub fn json(&self) -> Value {
        let Tally { visited, reachable, dead, other, void } = self.tally;
        json!({
            "by": self.by.word(), "group": self.group, "visited": U64(visited), "reachable": U64(reachable), "dead": U64(dead),
            "other": U64(other), "void": U64(void), "share": self.share,
        })
    }
}

/// All shares.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Shares(BTreeMap<By, BTreeMap<String, Tally>>);

impl Shares {
    /// Counts a result.
    pub fn observe(&mut self, visit: &ProbeAddress) {
        let result = visit.result();
        self.count(By::All, "all", result);
        self.count(By::Result, result.word(), result);
        self.count(By::Network, visit.network().word(), result);
        let Some(first) = visit.advertisers.first() else { return };
        self.count(By::Advertiser, &party(&first.address, event::p2p::network_of(&first.address)), result);
        self.count(By::Services, &format!("{:#x}", first.services), result);
        let age = match (first.heard / 1_000_000_000).checked_sub(first.time.into()) {
            Some(age) => AGES.iter().find(|(most, _)| age <= *most).map_or(OTHERS, |(_, name)| name),
            None => "in the future",
        };
        self.count(By::Age, age, result);
    }

    fn count(&mut self, by: By, group: &str, result: VisitResult) {
        let groups = self.0.entry(by).or_default();
        let group = if groups.len() < GROUPS || groups.contains_key(group) { group } else { OTHERS };
        match groups.get_mut(group) {
            Some(tally) => tally.add(result),
            None => {
                let mut tally = Tally::default();
                tally.add(result);
                groups.insert(group.to_owned(), tally);
            }
        }
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rows, those with most visits first within what they are counted by.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for by in By::ALL {
            let Some(groups) = self.0.get(&by) else { continue };
            let mut of: Vec<_> = groups.iter().collect();
            match by {
                // in the order of time
                By::Age => of.sort_by_key(|(name, _)| AGES.iter().position(|(_, age)| age == name).unwrap_or(AGES.len())),
                _ => of.sort_by_key(|(_, tally)| std::cmp::Reverse(tally.visited + tally.void)),
            }
            rows.extend(of.into_iter().map(|(group, tally)| Row { by, group: group.clone(), tally: *tally, share: tally.share() }));
        }
        rows
    }

    /// The table as text.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut last = None;
        for Row { by, group, tally, share } in self.rows() {
            if last != Some(by) {
                last = Some(by);
                let _ = writeln!(
                    text,
                    "{:<44}{:>9}{:>11}{:>8}{:>8}{:>8}{:>8}",
                    by.word(),
                    "visited",
                    "reachable",
                    "dead",
                    "other",
                    "void",
                    "share"
                );
            }
            let share = share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0));
            let Tally { visited, reachable, dead, other, void } = tally;
            let _ = writeln!(text, "  {group:<42}{visited:>9}{reachable:>11}{dead:>8}{other:>8}{void:>8}{share:>8}");
        }
        text
    }

    /// The table as comma-separated values (RFC 4180). No group has a comma or a quotation mark.
    pub fn csv(&self) -> String {
        let mut text = String::from("by,group,visited,reachable,dead,other,void,share\n");
        for Row { by, group, tally, share } in self.rows() {
            let share = share.map_or_else(String::new, |share| format!("{share:.6}"));
            let Tally { visited, reachable, dead, other, void } = tally;
            let _ = writeln!(text, "{},{group},{visited},{reachable},{dead},{other},{void},{share}", by.word());
        }
        text
    }
}
