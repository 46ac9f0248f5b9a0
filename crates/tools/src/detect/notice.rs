//! What an operator should know of the detectors' own work: what they did not look at, and what they had no room for.

use std::collections::BTreeMap;

use detect::Engine;

/// Something that is new.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Notice {
    /// So many events came too late to be put in order.
    Late(u64),
    /// So many came out before their time, because too many waited.
    Hurried(u64),
    /// So many peers and handshakes of a node found no room.
    Overlooked {
        /// Where.
        node: String,
        /// How many more than were told.
        count: u64,
    },
    /// So many connections of strangers were not followed to their end.
    Unfollowed(u64),
    /// So many profiles of strangers gave way to others before their ninety days.
    GaveWay(u64),
    /// A node's clock is ahead of the others' by so much, or behind.
    Apart {
        /// Whose.
        node: String,
        /// Negative where it is behind.
        seconds: i64,
    },
}

impl Notice {
    fn say(&self) {
        match self {
            Self::Late(events) => {
                tracing::warn!(events, "events came too late and the detectors did not look at them: was a clock changed?");
            }
            Self::Hurried(events) => tracing::warn!(
                events,
                "the detectors looked at events before their time, as more waited than there is room for: what was late is not in order"
            ),
            Self::Overlooked { node, count } => tracing::warn!(
                %node, count,
                "there was no room for so many peers and handshakes of this node: the detectors do not know how these greeted"
            ),
            Self::Unfollowed(connections) => tracing::warn!(
                connections,
                "more connections were open than profiles have room for: how long these last is not in a profile"
            ),
            // ordinary where many strangers come
            Self::GaveWay(profiles) => tracing::info!(profiles, "the oldest profiles of strangers gave way to others"),
            Self::Apart { node, seconds } => tracing::warn!(
                %node, seconds,
                "the clock of this node is ahead of the other nodes', or behind where it is less than zero"
            ),
        }
    }
}

/// What was told so far. Each is told when it rose, so whoever asks once a minute is told once a minute at the most.
#[derive(Default)]
pub(super) struct Notices {
    late: u64,
    hurried: u64,
    unfollowed: u64,
    gave_way: u64,
    overlooked: BTreeMap<String, u64>,
    apart: BTreeMap<String, i64>,
}

impl Notices {
    /// What a kept state brings with it was told by those who kept it.
    pub(super) fn of(engine: &Engine) -> Self {
        let mut notices = Self::default();
        notices.news(engine);
        // a clock that differs does so still
        notices.apart.clear();
        notices
    }

    /// Says what is new.
    pub(super) fn say(&mut self, engine: &Engine) {
        self.news(engine).iter().for_each(Notice::say);
    }

    /// What is new since this was last asked.
    pub(super) fn news(&mut self, engine: &Engine) -> Vec<Notice> {
        let mut news = Vec::new();
        news.extend(rise(&mut self.late, engine.totals().late).map(Notice::Late));
        news.extend(rise(&mut self.hurried, engine.hurried()).map(Notice::Hurried));
        news.extend(rise(&mut self.unfollowed, engine.profiles().overlooked()).map(Notice::Unfollowed));
        news.extend(rise(&mut self.gave_way, engine.profiles().evicted()).map(Notice::GaveWay));
        let mut before = std::mem::take(&mut self.overlooked);
        for (node, total) in engine.overlooked() {
            let mut told = before.remove(node).unwrap_or_default();
            news.extend(rise(&mut told, total).map(|count| Notice::Overlooked { node: node.to_owned(), count }));
            self.overlooked.insert(node.to_owned(), told);
        }
        let apart: BTreeMap<String, i64> = engine.clocks().map(|(node, ahead)| (node.to_owned(), ahead / 1_000_000_000)).collect();
        let moved = apart.iter().filter(|(node, seconds)| self.apart.get(*node) != Some(seconds));
        news.extend(moved.map(|(node, seconds)| Notice::Apart { node: node.clone(), seconds: *seconds }));
        self.apart = apart;
        news
    }
}

/// By how much it rose. A total that is smaller than before began anew.
fn rise(told: &mut u64, total: u64) -> Option<u64> {
    let before = std::mem::replace(told, total);
    let more = if total < before { total } else { total - before };
    (more > 0).then_some(more)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use detect::thresholds::Thresholds;
    use event::{Event, HealthBeat, NetPing, Source};

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const BEGIN: u64 = 1_772_431_200 * SECOND;

    /// More than the order has room for, within a second: nobody can wait for what is late.
    #[test]
    fn what_had_to_be_hurried_is_told_once() {
        let mut engine = Engine::new(Thresholds::default(), 0);
        let (mut notices, mut said) = (Notices::of(&engine), Vec::new());
        let event = |sequence| Event { time: BEGIN + sequence, sequence, ..Event::new("alice", Source::Ebpf, NetPing::default()) };
        for sequence in 0..65_536 + 10 {
            engine.observe(Arc::new(event(sequence)), &mut said);
        }
        assert_eq!(notices.news(&engine), [Notice::Hurried(10)]);
        assert_eq!(notices.news(&engine), []);
        engine.observe(Arc::new(event(65_546)), &mut said);
        assert_eq!(notices.news(&engine), [Notice::Hurried(1)]);
        // who goes on from here was told
        assert_eq!(Notices::of(&engine).news(&engine), []);
    }

    #[test]
    fn what_came_too_late_is_told_once() {
        let mut engine = Engine::new(Thresholds::default(), 0);
        let (mut notices, mut said) = (Notices::default(), Vec::new());
        let mut beat = |second: u64, sequence| {
            let beat = Event::new("alice", Source::Rpc, HealthBeat::default());
            engine.observe(Arc::new(Event { time: BEGIN + second * SECOND, sequence, run: sequence, ..beat }), &mut said);
            notices.news(&engine)
        };
        assert_eq!(beat(100, 0), []);
        assert_eq!(beat(110, 1), []);
        assert_eq!(beat(90, 2), [Notice::Late(1)]);
        assert_eq!(beat(111, 3), []);
    }

    #[test]
    fn a_total_that_began_anew_is_a_rise() {
        let mut told = 7;
        assert_eq!((rise(&mut told, 9), rise(&mut told, 9), rise(&mut told, 3), told), (Some(2), None, Some(3), 3));
    }
}
