//! What a subscription could not use is said in the log: rarely, and with numbers.

use std::time::{Duration, Instant};

use bus::Stats;

/// A stranger who sends garbage chooses how often; he does not fill the log.
const PAUSE: Duration = Duration::from_secs(60);

/// Watches the account of a subscription.
#[derive(Debug, Default)]
pub struct Complaint {
    told: Stats,
    when: Option<Instant>,
}

impl Complaint {
    /// Says what is new, unless something was said a moment ago. Cheap: call it per batch.
    pub fn look(&mut self, now: Stats) {
        if let Some(new) = self.due(now, Instant::now) {
            tracing::warn!(
                undecodable = new.undecodable,
                unknown_kind = new.unknown_kind,
                foreign_subject = new.foreign_subject,
                incomplete = new.incomplete,
                "messages on the bus were no events that this program can use"
            );
        }
    }

    /// What was refused since it was said last, if there is any and it is time.
    fn due(&mut self, now: Stats, clock: impl FnOnce() -> Instant) -> Option<Stats> {
        // what was missed is in the stream itself
        let unusable = |stats: Stats| Stats { missed: 0, ..stats };
        if unusable(now) == self.told {
            return None;
        }
        let moment = clock();
        if self.when.is_some_and(|when| moment.duration_since(when) < PAUSE) {
            return None;
        }
        self.when = Some(moment);
        let before = std::mem::replace(&mut self.told, unusable(now));
        Some(Stats {
            missed: 0,
            undecodable: now.undecodable - before.undecodable,
            unknown_kind: now.unknown_kind - before.unknown_kind,
            foreign_subject: now.foreign_subject - before.foreign_subject,
            incomplete: now.incomplete - before.incomplete,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_said_once_and_rarely() {
        let mut complaint = Complaint::default();
        let start = Instant::now();
        let mut at = |seconds, undecodable, missed| {
            let stats = Stats { undecodable, missed, ..Stats::default() };
            complaint.due(stats, || start + Duration::from_secs(seconds)).map(|new| new.undecodable)
        };
        assert_eq!(at(0, 0, 7), None, "what was missed is told elsewhere");
        assert_eq!(at(1, 3, 7), Some(3));
        assert_eq!(at(2, 3, 7), None);
        assert_eq!(at(3, 9, 7), None, "too soon");
        assert_eq!(at(61, 10, 7), Some(7));
        assert_eq!(at(200, 10, 8), None);
    }
}
