//! The events of a tool that publishes: until it is told to stop, and then to the end of what was published by then.
//!
//! A tool that only reads ends with its subscription, when the bus has closed. One that publishes has to be done before that, and must
//! not leave anything unread. Whoever tells it to stop has stopped the sources first; then it publishes a beat of its own and reads until
//! that comes back: in every queue the order is that of publishing, so everything else came before.

use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bus::{Delivery, Publisher, Subscription};
use tokio::time::timeout;

/// How long nothing may come before the beat is given up: the queue was full, or the server is away.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct Intake {
    events: Subscription,
    out: Publisher,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Time of the beat that marks the end, once it was published.
    mark: Option<u64>,
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
        if self.mark.is_none() {
            tokio::select! {
                biased;
                () = &mut self.stop => {}
                more = self.events.next_batch(batch, max) => return more,
            }
            let time = now();
            self.out.beat(time, None, 0, None, None);
            self.mark = Some(time);
        }
        match timeout(PATIENCE, self.events.next_batch(batch, max)).await {
            Ok(more) => {
                self.ended = batch.iter().any(|delivery| self.is_mark(delivery));
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
            Delivery::Event(event) => event.run == self.out.run() && Some(event.time) == self.mark,
            Delivery::Missed(_) => false,
        }
    }
}

/// Nanoseconds since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}
