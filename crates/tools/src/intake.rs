//! The events of a tool that publishes: until it is told to stop, and then to the end of what was published by then.
//!
//! A tool that only reads ends with its subscription, when the bus has closed. One that publishes has to be done before that, and must
//! not leave anything unread. Whoever tells it to stop has stopped the sources first; then it publishes a beat of its own and reads until
//! that comes back: in every queue the order is that of publishing, so everything else came before.

use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bus::{Delivery, Publisher, Subscription};
use tokio::time::{Instant, timeout_at};

/// How long nothing may come before the beat is given up: the queue was full, or the server is away.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct Intake {
    events: Subscription,
    out: Publisher,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Time of the beat that marks the end, once it was published, and until when something has to come. It is kept here and not by a timer
    /// of the moment: whoever waits for something else as well begins to wait for this again and again.
    mark: Option<(u64, Instant)>,
    ended: bool,
}

impl Intake {
    /// The subscription has to bring `health.beat`.
    pub(crate) fn new(events: Subscription, out: Publisher, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { events, out, stop: Box::pin(stop), mark: None, ended: false }
    }

    /// Appends what is at hand to `batch`, at most `max`, and waits only if nothing is; `false` at the end.
    pub(crate) async fn next_batch(&mut self, batch: &mut Vec<Delivery>, max: usize) -> bool {
        if self.ended {
            return false;
        }
        let deadline = if let Some((_, deadline)) = self.mark {
            deadline
        } else {
            tokio::select! {
                biased;
                () = &mut self.stop => {}
                more = self.events.next_batch(batch, max) => return more,
            }
            let (time, deadline) = (now(), Instant::now() + PATIENCE);
            self.out.beat(time, None, 0, None, None);
            self.mark = Some((time, deadline));
            deadline
        };
        match timeout_at(deadline, self.events.next_batch(batch, max)).await {
            Ok(more) => {
                self.ended = batch.iter().any(|delivery| self.is_mark(delivery));
                self.mark = self.mark.map(|(time, _)| (time, Instant::now() + PATIENCE));
                more
            }
            Err(_) => {
                tracing::warn!("ended before everything that was published had come back");
                false
            }
        }
    }

    /// Everything was published: so that a subscriber knows that it got the last of it.
    pub(crate) fn close(self) {
        self.out.beat(now(), None, 0, None, None);
    }

    fn is_mark(&self, delivery: &Delivery) -> bool {
        match delivery {
            Delivery::Event(event) => event.run == self.out.run() && self.mark.is_some_and(|(time, _)| event.time == time),
            Delivery::Missed(_) => false,
        }
    }
}

/// Nanoseconds since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bus::{Bus, Limits};
    use event::{Filter, KindId, Source};

    use super::*;

    /// A server that is away: the beat does not come back, and whoever waits looks up more often than that takes.
    #[tokio::test(start_paused = true)]
    async fn it_ends_without_its_beat_though_somebody_else_is_waited_for_as_well() {
        let events = Bus::local().subscribe(Filter::kinds([KindId::HealthBeat]), Limits::default()).await.unwrap();
        let elsewhere = Bus::local().publisher("alice".parse().unwrap(), Source::Tool);
        let mut intake = Intake::new(events, elsewhere, async {});
        let (mut batch, begun) = (Vec::new(), Instant::now());
        let mut tick = tokio::time::interval(PATIENCE / 2);
        loop {
            tokio::select! {
                biased;
                _ = tick.tick() => assert!(begun.elapsed() < Duration::from_secs(60), "it does not end"),
                more = intake.next_batch(&mut batch, 16) => {
                    assert!(!more);
                    break;
                }
            }
        }
        assert!(begun.elapsed() <= 2 * PATIENCE, "{:?}", begun.elapsed());
    }
}
