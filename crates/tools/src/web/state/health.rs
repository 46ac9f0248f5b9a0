//! The observer itself: who watches, what was lost on the way.

use std::collections::HashMap;
use std::sync::Arc;

use event::{Event, Kind, LossStage, Source};

/// Places of loss that are kept apart, per node.
const LOSSES: usize = 128;

/// What is known of the sources of one node.
#[derive(Debug, Default)]
pub struct Health {
    pub sources: HashMap<Source, Life>,
    pub losses: HashMap<(Source, LossStage, String), Loss>,
    /// Losses at further places.
    pub other_losses: u64,
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

/// What was lost at one place.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loss {
    pub count: u64,
    /// When it was last said.
    pub last: u64,
}

impl Health {
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
                life.published = beat.totals.iter().map(|total| total.total).sum();
            }
            Kind::HealthAttached(_) | Kind::HealthDetached(_) => life.attachment = Some(Arc::clone(event)),
            Kind::HealthLost(lost) => {
                let place = (source, lost.stage(), lost.probe.clone());
                if self.losses.len() >= LOSSES && !self.losses.contains_key(&place) {
                    self.other_losses += lost.count;
                    return;
                }
                let loss = self.losses.entry(place).or_default();
                loss.count += lost.count;
                loss.last = event.time;
            }
            _ => {}
        }
    }
}
