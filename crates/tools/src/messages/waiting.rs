//! Letters that wait for a receiver: the latest of each incident.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::letter::Letter;

/// Incidents of which a letter may wait; the one that waits longest gives way, and is counted.
pub const MOST: usize = 1024;

/// See above.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    state: Mutex<State>,
    more: Notify,
    /// Since when nothing more comes.
    closed: watch::Sender<Option<Instant>>,
}

#[derive(Debug, Default)]
struct State {
    /// By incident: since which turn it waits.
    letters: BTreeMap<u64, (u64, Letter)>,
    turn: u64,
    dropped: u64,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }

    /// Adds a letter. One about the same incident that still waits is not told any more, but keeps its turn.
    pub fn put(&self, letter: Letter) {
        let mut state = self.lock();
        state.turn += 1;
        let turn = state.letters.get(&letter.number).map_or(state.turn, |(turn, _)| *turn);
        let older = state.letters.get(&letter.number).is_some_and(|(_, waiting)| waiting.revision > letter.revision);
        if !older {
            state.letters.insert(letter.number, (turn, letter));
        }
        if state.letters.len() > MOST
            && let Some(first) = state.letters.iter().min_by_key(|(_, (turn, _))| *turn).map(|(number, _)| *number)
        {
            state.letters.remove(&first);
            state.dropped += 1;
        }
        drop(state);
        self.more.notify_one();
    }

    /// Puts one back that was not delivered, behind the others, unless a later one has come.
    pub fn put_back(&self, letter: Letter) {
        let mut state = self.lock();
        state.turn += 1;
        let turn = state.turn;
        state.letters.entry(letter.number).or_insert((turn, letter));
    }

    /// The one that waits longest.
    pub fn take(&self) -> Option<Letter> {
        let mut state = self.lock();
        let first = state.letters.iter().min_by_key(|(_, (turn, _))| *turn).map(|(number, _)| *number)?;
        state.letters.remove(&first).map(|(_, letter)| letter)
    }

    /// How many wait, and how many gave way.
    pub fn count(&self) -> (u64, u64) {
        let state = self.lock();
        (state.letters.len() as u64, state.dropped)
    }

    /// Nothing more comes.
    pub fn close(&self) {
        self.closed.send_replace(Some(Instant::now()));
        self.more.notify_one();
    }

    /// Whether nothing more comes.
    pub fn is_closed(&self) -> bool {
        self.closed.borrow().is_some()
    }

    /// Waits until nothing more comes. Gives since when.
    pub async fn closed(&self) -> Instant {
        let mut closed = self.closed.subscribe();
        let since = closed.wait_for(Option::is_some).await.ok().and_then(|since| *since);
        since.expect("it waited for that, and the sender is here")
    }

    /// Something has come, or nothing more does.
    pub async fn changed(&self) {
        self.more.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(number: u64, revision: u64) -> Letter {
        let incident = event::Incident { number, revision, ..Default::default() };
        Letter {
            number,
            revision,
            book: String::new(),
            change: "",
            title: String::new(),
            paragraphs: vec![],
            incident,
            refusals: 0,
        }
    }

    fn taken(waiting: &Waiting) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| waiting.take()).map(|letter| (letter.number, letter.revision)).collect()
    }

    #[test]
    fn the_latest_of_each_waits_in_its_turn() {
        let waiting = Waiting::default();
        for (number, revision) in [(1, 1), (2, 1), (1, 3), (1, 2)] {
            waiting.put(letter(number, revision));
        }
        assert_eq!(taken(&waiting), [(1, 3), (2, 1)]);
        waiting.put(letter(1, 4));
        waiting.put(letter(2, 2));
        let failed = waiting.take().unwrap();
        waiting.put(letter(1, 5));
        waiting.put_back(failed);
        assert_eq!(taken(&waiting), [(2, 2), (1, 5)], "what came later is told instead");
    }

    #[test]
    fn what_waits_is_bounded_and_what_gives_way_is_counted() {
        let waiting = Waiting::default();
        (0..MOST as u64 + 10).for_each(|number| waiting.put(letter(number, 1)));
        assert_eq!(waiting.count(), (MOST as u64, 10));
        assert_eq!(waiting.take().unwrap().number, 10);
    }
}
