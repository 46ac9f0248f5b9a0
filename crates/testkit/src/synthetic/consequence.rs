//! What follows from a deed: what other detectors than its own may say of it, and be right.
//!
//! An ingredient says which detector has to find it. Some make true of others what the catalogue (`docs/sources.md`) asks for, too: a range whose visitors
//! say that they are Bitcoin Core of 2016, and offer nothing, is many brief connections (D11) and a false identity (D15). A finding that says
//! so is no mistake, and one that is missing is none either.
//!
//! Labels of this kind come from two things only: what the world knows and no detector does (who lies, whom a newcomer pushed out for whom, which block was
//! withheld), and the criterion as the catalogue has it. No threshold of a detector is read here, and no finding. Where the criterion is not met, or is
//! met without the deed, there is no label; it lasts for as long as the criterion is met.

use std::collections::VecDeque;

use event::Severity;

use super::Truth;
use super::program::Program;
use super::world::{SECOND, World};

const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// What the world remembers of its deeds. Bounded by what the longest criterion looks at.
#[derive(Debug, Default)]
pub(super) struct Deeds {
    /// Who said hello within the last hour: the name, where it cannot be true.
    hellos: VecDeque<(u64, Option<&'static str>)>,
    /// Newcomers of the last five minutes: whether they belong to a deed, and whether they pushed somebody out.
    newcomers: VecDeque<(u64, bool, bool)>,
    /// Since when the inbound slots are full.
    full_since: Option<u64>,
    /// The last blocks: whether the mempool lacked something, and whether it was withheld.
    blocks: VecDeque<(bool, bool)>,
}

impl World {
    /// It follows from a deed, and will for so many nanoseconds.
    pub(super) fn follows(&mut self, detector: &str, about: (&'static str, String), lasts: u64) {
        let (begin, end, (entity_kind, entity)) = (self.now, self.now + lasts, about);
        let same = |truth: &&mut Truth| {
            truth.consequence && truth.detector == detector && truth.entity_kind == entity_kind && truth.entity == entity
        };
        match self.truths_mut().iter_mut().rev().find(same).filter(|truth| truth.end >= begin) {
            Some(truth) => truth.end = truth.end.max(end),
            None => {
                let (detector, node, severity) = (detector.to_owned(), self.name.clone(), Severity::Warn);
                let truth = Truth { detector, node, entity_kind, entity, begin, end, severity, consequence: true };
                self.truths_mut().push(truth);
            }
        }
    }

    /// An inbound peer says who he is. D15: more than a tenth of the new sessions of an hour are of an impossible identity, or there are twenty of one
    /// signature; the share of fewer than ten says nothing. Whoever lies, and for what deed, they are what D15 looks for.
    pub(super) fn said_hello(&mut self, agent: &'static str, program: &Program) {
        let now = self.now;
        let hellos = &mut self.deeds.hellos;
        hellos.push_back((now, program.belies(agent).then_some(agent)));
        while hellos.front().is_some_and(|(time, _)| time + HOUR <= now) {
            hellos.pop_front();
        }
        let lies = hellos.iter().filter(|(_, lie)| lie.is_some()).count();
        let alike: Vec<u64> = hellos.iter().filter(|(_, lie)| *lie == Some(agent)).map(|(time, _)| *time).collect();
        if lies >= 10 && lies * 10 > hellos.len() {
            // until somebody else comes, and longer ago is forgotten
            self.follows("D15", ("node", self.name.clone()), MINUTE);
        }
        if let Some(place) = alike.len().checked_sub(20) {
            // until the first of the last twenty is an hour ago
            self.follows("D15", ("agent", agent.to_owned()), alike[place] + HOUR - now);
        }
    }

    /// A newcomer got a slot, and may have pushed somebody out for it. D10: the slots have been full for ten minutes, ten newcomers a minute come, and push
    /// out ten peers in five minutes. It follows from a deed where at least half of those who push belong to it.
    pub(super) fn took_a_slot(&mut self, deed: bool, pushed: bool) {
        let now = self.now;
        let full = self.inbound() + 2 >= self.knobs.slots;
        let deeds = &mut self.deeds;
        deeds.full_since = full.then(|| deeds.full_since.unwrap_or(now));
        deeds.newcomers.push_back((now, deed, pushed));
        while deeds.newcomers.front().is_some_and(|(time, ..)| time + 5 * MINUTE <= now) {
            deeds.newcomers.pop_front();
        }
        let pushes = deeds.newcomers.iter().filter(|(.., pushed)| *pushed).count();
        let theirs = deeds.newcomers.iter().filter(|(_, deed, pushed)| *deed && *pushed).count();
        let long = deeds.full_since.is_some_and(|since| since + 10 * MINUTE <= now);
        if long && deeds.newcomers.len() >= 50 && pushes >= 10 && theirs * 2 >= pushes {
            self.follows("D10", ("node", self.name.clone()), MINUTE);
        }
    }

    /// A block was connected. D50: of the last 144 blocks, and at least 24, less than seven tenths were put together without a `getblocktxn`. It follows from
    /// withheld blocks, each of which is one that the node asks for, where there would be enough without them.
    pub(super) fn put_together(&mut self, lacking: bool, withheld: bool) {
        let blocks = &mut self.deeds.blocks;
        blocks.push_back((lacking, withheld));
        if blocks.len() > 144 {
            blocks.pop_front();
        }
        let (all, asked) = (blocks.len(), blocks.iter().filter(|(lacking, withheld)| *lacking || *withheld).count());
        let without = blocks.iter().filter(|(lacking, withheld)| *lacking && !*withheld).count();
        if all >= 24 && asked * 10 > all * 3 && without * 10 <= all * 3 {
            // until the next block
            self.follows("D50", ("node", self.name.clone()), HOUR);
        }
    }
}

impl Program {
    /// Whether it cannot be what it says it is. D15: every line of `IMPOSSIBLE`, and whoever says that he is Bitcoin Core and offers nothing.
    fn belies(&self, agent: &str) -> bool {
        self.impossible || agent.starts_with("/Satoshi:") && self.services == 0
    }
}
