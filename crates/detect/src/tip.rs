//! The tip of a node's chain, and whether other nodes of the fleet have more.
//!
//! A height is that of the last block that was connected, or what the node says when it is asked. An answer may be older than it looks:
//! it lowers the height only when the next one agrees. Nodes are compared where both said which chain they follow.

use std::collections::BTreeMap;

use event::StateBlockchain;
use serde::{Deserialize, Serialize};

/// The names of chains are cut to this many characters.
const NAME: usize = 16;

/// What is known of a node's best chain.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tip {
    /// `main`, `signet`, …: as the node says, if it was asked.
    pub chain: Option<String>,
    /// Of the best block.
    pub height: Option<u32>,
    /// When it last became higher, or was first heard of.
    pub advanced: Option<u64>,
    /// Since when another node has had more blocks of the same chain, and how many more now.
    pub behind: Option<(u64, u32)>,
    /// The last answer was lower than what was known.
    lower: Option<u32>,
}

impl Tip {
    /// A block was connected. One at an old height belongs to the background validation of a snapshot.
    pub(crate) fn connected(&mut self, height: i32, now: u64) {
        if let Ok(height) = u32::try_from(height)
            && self.height.is_none_or(|known| height > known)
        {
            self.rise(height, now);
        }
    }

    /// The node says what its chain is.
    pub(crate) fn stated(&mut self, state: &StateBlockchain, now: u64) {
        if let Some(chain) = &state.chain
            && self.chain.as_ref() != Some(chain)
        {
            self.chain = Some(chain.chars().take(NAME).collect());
        }
        match (state.blocks, self.height) {
            (Some(blocks), Some(known)) if blocks < known && self.lower != Some(blocks) => self.lower = Some(blocks),
            // blocks were taken off
            (Some(blocks), Some(known)) if blocks < known => self.height = Some(blocks),
            (Some(blocks), known) if known != Some(blocks) => self.rise(blocks, now),
            (Some(_), _) => self.lower = None,
            (None, _) => {}
        }
    }

    fn rise(&mut self, height: u32, now: u64) {
        self.height = Some(height);
        self.advanced = Some(now);
        self.lower = None;
    }

    /// Another life of the node begins: it has to say anew what its chain is.
    pub(crate) fn restarted(&mut self) {
        *self = Self::default();
    }

    /// The clock was set back: nothing is of the future.
    pub(crate) fn set_back(&mut self, now: u64) {
        self.advanced = self.advanced.map(|time| time.min(now));
        self.behind = self.behind.map(|(time, blocks)| (time.min(now), blocks));
    }
}

/// Says of each tip whether it is behind another. With each comes what time it is at its node. There are as many chains for local tests as
/// there are nodes: those are not compared.
pub(crate) fn compare<'a>(tips: impl Iterator<Item = (u64, &'a mut Tip)>) {
    let compared = |tip: &Tip| tip.height.is_some() && tip.chain.as_deref().is_some_and(|chain| chain != "regtest");
    let mut tips: Vec<(u64, &mut Tip)> = tips.filter(|(_, tip)| compared(tip)).collect();
    let mut best = BTreeMap::<String, u32>::new();
    for (_, tip) in &tips {
        if let (Some(chain), Some(height)) = (&tip.chain, tip.height) {
            match best.get_mut(chain) {
                Some(best) => *best = height.max(*best),
                None => drop(best.insert(chain.clone(), height)),
            }
        }
    }
    for (now, tip) in &mut tips {
        let best = tip.chain.as_ref().and_then(|chain| best.get(chain)).copied().unwrap_or_default();
        let missing = best.saturating_sub(tip.height.unwrap_or_default());
        tip.behind = (missing > 0).then(|| (tip.behind.map_or(*now, |(since, _)| since), missing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(blocks: u32) -> StateBlockchain {
        StateBlockchain { chain: Some("main".into()), blocks: Some(blocks), ..Default::default() }
    }

    fn at(blocks: u32) -> Tip {
        let mut tip = Tip::default();
        tip.stated(&state(blocks), 1);
        tip
    }

    #[test]
    fn an_answer_that_is_older_than_the_block_changes_nothing() {
        let mut tip = at(100);
        tip.connected(101, 5);
        tip.stated(&state(100), 6);
        tip.stated(&state(101), 7);
        assert_eq!((tip.height, tip.advanced), (Some(101), Some(5)));
        // a snapshot is validated in the background
        tip.connected(7, 8);
        assert_eq!(tip.height, Some(101));
        // blocks were taken off: the node says so again and again
        tip.stated(&state(99), 9);
        assert_eq!(tip.height, Some(101));
        tip.stated(&state(99), 10);
        assert_eq!((tip.height, tip.advanced), (Some(99), Some(5)));
    }

    #[test]
    fn who_has_fewer_blocks_of_the_same_chain_is_behind() {
        let mut tips = [at(100), at(100), at(7), Tip::default()];
        tips[2].chain = Some("signet".into());
        compare(tips.iter_mut().map(|tip| (2, tip)));
        assert!(tips.iter().all(|tip| tip.behind.is_none()));
        tips[0].connected(101, 3);
        compare(tips.iter_mut().map(|tip| (3, tip)));
        tips[0].connected(102, 4);
        compare(tips.iter_mut().map(|tip| (4, tip)));
        assert_eq!(tips.each_ref().map(|tip| tip.behind), [None, Some((3, 2)), None, None]);
        tips[1].connected(101, 5);
        compare(tips.iter_mut().map(|tip| (5, tip)));
        assert_eq!(tips[1].behind, Some((3, 1)), "it was never up to date in between");
        tips[1].connected(102, 6);
        compare(tips.iter_mut().map(|tip| (6, tip)));
        assert_eq!(tips[1].behind, None);
    }

    #[test]
    fn nodes_for_local_tests_have_nothing_to_do_with_each_other() {
        let mut tips = [at(100), at(7)];
        tips.iter_mut().for_each(|tip| tip.chain = Some("regtest".into()));
        compare(tips.iter_mut().map(|tip| (2, tip)));
        assert!(tips.iter().all(|tip| tip.behind.is_none()));
    }
}
