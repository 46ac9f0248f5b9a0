//! The observer itself: who watches, what was lost on the way.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use event::{Event, Kind, LossStage, Source};

use super::peer::keep;

/// Losses remembered, per node.
const LOSSES: usize = 100;

/// What is known of the sources of one node.
#[derive(Debug, Default)]
pub struct Health {
    pub sources: HashMap<Source, Life>,
    /// `health.lost`, the last of them.
    pub losses: VecDeque<Arc<Event>>,
    /// How much was lost at each stage, by what was said.
    pub lost: HashMap<LossStage, u64>,
}

/// One source.
#[derive(Debug, Default)]
pub struct Life {
    /// Which life of it.
    pub run: u64,
    /// Time of the last beat, nanoseconds since the epoch.
    pub beaten: Option<u64>,
    /// How far publishing is behind capture, nanoseconds.
    pub lag: u64,
    /// Of its own counters, since it started.
    pub fired: Option<u64>,
    pub lost: Option<u64>,
    pub published: u64,
    /// `health.attached` or `health.detached`, whichever was last.
    pub attachment: Option<Arc<Event>>,
    /// Events of it that came here.
    pub events: u64,
}

/// A beat this much earlier than the one before it was made by a clock that was set back, nanoseconds; less is a clock being adjusted.
const SET_BACK: u64 = 10_000_000_000;

impl Health {
    /// Whether the source of this beat lives by a clock that was set back since its last.
    pub fn is_set_back(&self, beat: &Event) -> bool {
        let life = self.sources.get(&beat.source()).filter(|life| life.run == beat.run);
        life.and_then(|life| life.beaten).is_some_and(|before| beat.time.saturating_add(SET_BACK) < before)
    }

    /// Time of the newest beat, nanoseconds since the epoch.
    pub fn beaten(&self) -> Option<u64> {
        self.sources.values().filter_map(|life| life.beaten).max()
    }

    pub fn observe(&mut self, event: &Arc<Event>, kind: &Kind) {
        let source = event.source();
        let life = self.sources.entry(source).or_default();
        if life.run != event.run {
            *life = Life { run: event.run, ..Life::default() };
        }
        life.events += 1;
        match kind {
            Kind::HealthBeat(beat) => {
                life.beaten = Some(event.time);
                life.lag = beat.lag;
                (life.fired, life.lost) = (beat.fired, beat.lost);
                // whoever may publish may say any number
                life.published = beat.totals.iter().fold(0, |sum: u64, total| sum.saturating_add(total.total));
            }
            Kind::HealthAttached(_) | Kind::HealthDetached(_) => life.attachment = Some(Arc::clone(event)),
            Kind::HealthLost(lost) => {
                let sum = self.lost.entry(lost.stage()).or_default();
                *sum = sum.saturating_add(lost.count);
                keep(&mut self.losses, Arc::clone(event), LOSSES);
            }
            _ => {}
        }
    }
}
