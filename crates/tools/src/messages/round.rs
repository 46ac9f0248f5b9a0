//! Delivering to one receiver: again after a failure, not too often, and saying how it goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bus::Publisher;
use event::IncidentDelivered;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::http::Client;
use super::letter::Letter;
use super::receiver::Receiver;
use super::waiting::{MOST, Waiting};
use super::{Rhythm, SendError};
use crate::incidents::{Receipt, now};

/// How often a letter is tried that its receiver understands and does not want.
const REFUSALS: u32 = 3;
/// How long an alert is up, at least, if nobody says again that it is…
const EXPIRES: Duration = Duration::from_mins(5);
/// …and so many times as long as between two sayings.
const BEATS: u32 = 5;
/// Alerts in one request: each is some kilobytes, three times.
const AT_ONCE: usize = 32;
/// How often it is said how it goes, where nothing changes.
const SAID: Duration = Duration::from_secs(15);

/// A receiver, the way to it, and what waits for it.
pub(super) struct Way {
    pub receiver: Receiver,
    /// What the book knows it by.
    pub key: String,
    /// Among the receivers.
    pub place: u32,
    pub client: Client,
    pub waiting: Arc<Waiting>,
}

/// Delivers what waits, until nothing more comes.
pub(super) async fn deliver(
    Way { receiver, key, place, client, waiting }: Way,
    rhythm: Rhythm,
    book: String,
    out: Publisher,
    receipts: mpsc::Sender<Receipt>,
) {
    let total = IncidentDelivered { receiver: receiver.word().to_owned(), place, ..IncidentDelivered::default() };
    let mut round = Round {
        client,
        up: BTreeMap::new(),
        failures: 0,
        after: Instant::now(),
        tokens: f64::from(rhythm.burst),
        filled: Instant::now(),
        told: None,
        receiver,
        key,
        waiting,
        rhythm,
        book,
        out,
        receipts,
        total,
    };
    let mut beat = interval_at(Instant::now(), rhythm.heartbeat);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut say = interval_at(Instant::now() + SAID, SAID);
    say.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // that somebody watches is said before anything else, also where letters wait already
    beat.tick().await;
    if !round.waiting.is_closed() {
        round.beat().await;
        beat.reset();
    }
    while !round.waiting.is_closed() {
        let next = round.next();
        tokio::select! {
            biased;
            _ = beat.tick() => {
                round.beat().await;
                // counted from its end, so that letters have their turn however long it takes
                beat.reset();
            }
            _ = say.tick() => round.say(),
            () = sleep_until(next), if round.waiting.count().0 > 0 => round.one().await,
            () = round.waiting.changed() => {}
        }
    }
    // what did not arrive before is tried as well: the receiver may be back. And people are not left with what is over: a letter for each incident
    let (end, failed) = (round.waiting.closed().await + rhythm.end, round.total.failed);
    while round.waiting.count().0 > 0 && round.total.failed == failed && Instant::now() < end {
        round.one().await;
    }
    if let untold @ 1.. = round.waiting.count().0 {
        let receiver = round.receiver.name();
        tracing::warn!(receiver, untold, "messages were not delivered before the end; the next start tells them");
    }
    round.say();
}

/// How long an alert is up that is said again so often.
fn patience(heartbeat: Duration) -> Duration {
    heartbeat.saturating_mul(BEATS).max(EXPIRES)
}

struct Round {
    receiver: Receiver,
    key: String,
    client: Client,
    waiting: Arc<Waiting>,
    rhythm: Rhythm,
    book: String,
    out: Publisher,
    receipts: mpsc::Sender<Receipt>,
    /// Alerts that have to be said again.
    up: BTreeMap<u64, Letter>,
    /// Failures in a row, and when it is tried again.
    failures: u32,
    after: Instant,
    tokens: f64,
    filled: Instant,
    total: IncidentDelivered,
    /// What was last said in the log.
    told: Option<String>,
}

impl Round {
    /// When the next letter may go.
    fn next(&mut self) -> Instant {
        let now = Instant::now();
        let pace = self.rhythm.pace.as_secs_f64();
        let filled = self.tokens + now.duration_since(self.filled).as_secs_f64() / pace;
        (self.tokens, self.filled) = (filled.min(f64::from(self.rhythm.burst)), now);
        if !self.receiver.is_paced() || self.tokens >= 1.0 {
            return self.after;
        }
        self.after.max(now + Duration::from_secs_f64((1.0 - self.tokens) * pace))
    }

    async fn one(&mut self) {
        let Some(mut letter) = self.waiting.take() else { return };
        let Some(done) = self.in_time(self.deliver(&letter)).await else {
            // it may have arrived: then it is told twice, and by its revision that can be seen
            self.waiting.put_back(letter);
            return;
        };
        match done {
            Ok(()) => {
                self.tokens -= 1.0;
                self.total.sent += 1;
                self.worked();
                let sent = vec![(letter.number, letter.revision, !letter.is_over())];
                // the book is closed when the program ends: then it is told once more
                let _ = self.receipts.send(Receipt { receiver: self.key.clone(), sent }).await;
                if letter.is_over() {
                    self.up.remove(&letter.number);
                } else if self.receiver.forgets() && self.up.len() < MOST {
                    self.up.insert(letter.number, letter);
                }
            }
            Err(error) => {
                letter.refusals += u32::from(error.is_final());
                if letter.refusals < REFUSALS {
                    self.waiting.put_back(letter);
                } else {
                    self.total.refused += 1;
                    tracing::error!(incident = letter.number, %error, "a message was refused, and is not sent again");
                }
                self.failed(&error);
            }
        }
    }

    async fn deliver(&self, letter: &Letter) -> Result<(), SendError> {
        self.receiver.deliver(&self.client, letter, now(), self.ends()).await
    }

    /// What comes of it; nothing if the program ends meanwhile, and the time for what waits is over.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let over = async {
            let since = self.waiting.closed().await;
            sleep_until(since + self.rhythm.end).await;
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = over => None,
        }
    }

    /// When an alert ends that nobody repeats, nanoseconds since the epoch.
    fn ends(&self) -> u64 {
        let patience = patience(self.rhythm.heartbeat);
        now().saturating_add(u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Says that all is well, and what is not: an alert that nobody repeats ends by itself. Whoever takes it takes letters, too.
    async fn beat(&mut self) {
        if !self.receiver.hears_beats() {
            return;
        }
        let up: Vec<&Letter> = self.up.values().collect();
        let said = async {
            self.receiver.beat(&self.client, &self.book, now(), self.ends()).await?;
            for up in up.chunks(AT_ONCE) {
                self.receiver.remind(&self.client, up, now(), self.ends()).await?;
            }
            Ok::<_, SendError>(())
        };
        let done = tokio::select! {
            biased;
            done = said => done,
            // the time that is left is for what nobody knows yet
            _ = self.waiting.closed() => return,
        };
        match done {
            Ok(()) => self.worked(),
            Err(error) => self.failed(&error),
        }
    }

    fn worked(&mut self) {
        self.failures = 0;
        self.after = Instant::now();
        self.total.last_success = Some(now() / 1_000_000_000);
        self.total.error = None;
        if self.told.take().is_some() {
            tracing::info!(receiver = self.receiver.name(), "messages are delivered again");
        }
        self.say();
    }

    fn failed(&mut self, error: &SendError) {
        let pause = self.rhythm.retry.saturating_mul(1 << self.failures.min(16)).min(self.rhythm.patience);
        self.failures += 1;
        self.after = Instant::now() + pause;
        self.total.failed += 1;
        let (error, hint) = (error.to_string(), error.hint());
        // a change of state only
        if self.told.as_ref() != Some(&error) {
            tracing::warn!(receiver = self.receiver.name(), error, hint, "a message was not delivered; it is tried again");
        }
        self.total.error = Some(error.clone());
        self.told = Some(error);
        self.say();
    }

    fn say(&mut self) {
        (self.total.waiting, self.total.dropped) = self.waiting.count();
        self.out.publish(now(), None, self.total.clone());
        self.out.beat(now(), None, 0, None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_does_not_end_between_two_sayings() {
        assert_eq!(patience(Duration::from_secs(1)), EXPIRES);
        assert_eq!(patience(Duration::from_mins(10)), Duration::from_mins(50));
        assert_eq!(patience(Duration::MAX), Duration::MAX);
    }
}
