//! The catalogue: a row per statement of Bitcoin Core that is understood, and what it states.
//!
//! A statement that was reworded has a row per wording. The text alone decides what a line is: nodes are built from branches, forks keep
//! old words, and a log may be read from its middle. The range of releases says when a row is expected: a pattern that falls silent
//! within it was probably reworded, see [`crate::HealthPatternSilent`].

mod chain;
mod conn;
mod ends;
mod mempool;
mod node;

use super::pattern::Gaps;
use crate::{InventoryType, Kind};

/// One wording of a statement.
#[derive(Debug)]
pub(super) struct Row {
    /// See [`super::pattern`].
    pub(super) text: &'static str,
    /// The category of its lines; empty where it is always written.
    pub(super) category: &'static str,
    /// First and last release with this wording. A build of a branch counts as the release to come.
    pub(super) releases: (u32, u32),
    pub(super) states: States,
}

/// What a line of a row states.
#[derive(Debug)]
pub(super) enum States {
    /// A fact; none where what is in the gaps makes no sense, and so the line is none of this row after all.
    Fact(fn(&Gaps<'_, '_>) -> Option<Kind>),
    /// Nothing that another line does not state better, or that should leave the log.
    Nothing,
}

/// The last release, for wordings that are still in use.
const NOW: u32 = u32::MAX;

/// `row!("net", 29..=30, "text", |gaps| …)`: a fact. Without releases: every one. Without a function: known, and no fact.
macro_rules! row {
    ($category:literal, $since:literal..=$until:literal, $text:literal, $make:expr) => {
        row!(@ $category, ($since, $until), $text, States::Fact($make))
    };
    ($category:literal, $since:literal.., $text:literal, $make:expr) => {
        row!(@ $category, ($since, NOW), $text, States::Fact($make))
    };
    ($category:literal, ..$until:literal, $text:literal, $make:expr) => {
        row!(@ $category, (0, $until), $text, States::Fact($make))
    };
    ($category:literal, $text:literal, $make:expr) => {
        row!(@ $category, (0, NOW), $text, States::Fact($make))
    };
    ($category:literal, $text:literal) => {
        row!(@ $category, (0, NOW), $text, States::Nothing)
    };
    (@ $category:literal, $releases:expr, $text:literal, $states:expr) => {
        Row { text: $text, category: $category, releases: $releases, states: $states }
    };
}
use row;

/// Every row. Of rows that a line could fit, the first counts.
pub(super) fn all() -> impl Iterator<Item = &'static Row> {
    [conn::ROWS, ends::ROWS, mempool::ROWS, chain::ROWS, node::ROWS].into_iter().flatten()
}

/// The type of an inventory entry, in the words of `CInv::ToString`, and its number where it has no word.
fn inventory_type(word: &str) -> Option<(InventoryType, Option<u32>)> {
    Some(match word {
        "tx" => (InventoryType::Tx, None),
        "wtx" => (InventoryType::Wtx, None),
        "block" => (InventoryType::Block, None),
        "merkleblock" => (InventoryType::FilteredBlock, None),
        "cmpctblock" => (InventoryType::CompactBlock, None),
        "witness-tx" => (InventoryType::WitnessTx, None),
        "witness-block" => (InventoryType::WitnessBlock, None),
        _ => (InventoryType::Other, Some(u32::from_str_radix(word.strip_prefix("0x")?, 16).ok()?)),
    })
}
