//! A recording, back into a bus.

use std::future::{Ready, ready};
use std::time::Duration;

use bus::Bus;
use event::Event;
use tokio::time::{Instant, sleep_until};

/// How fast to replay.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Pace {
    /// As fast as whoever listens can take it.
    Max,
    /// As many times as fast as it happened.
    Times(f64),
}

impl Pace {
    /// The pace at which what took `length` takes at most `limit`; never slower than it happened.
    pub fn within(length: Duration, limit: Duration) -> Self {
        Self::Times((length.as_secs_f64() / limit.as_secs_f64()).max(1.0))
    }
}

/// Forwards events into the bus: envelopes as they were, marked as replayed. Waits where a subscriber has no room, so nothing is
/// lost on this side.
///
/// # Errors
///
/// What the recording has in place of an event. Everything before it was forwarded.
pub async fn run<E>(events: impl IntoIterator<Item = Result<Event, E>>, pace: Pace, bus: &Bus) -> Result<(), E> {
    run_with_pauses(events, pace, bus, Pause::never()).await
}

/// Where a replay stops and waits to be told to go on.
pub struct Pause<F> {
    /// Nanoseconds since the epoch, the next one last.
    times: Vec<u64>,
    wait: F,
}

impl Pause<fn(u64) -> Ready<()>> {
    /// Nowhere.
    pub fn never() -> Self {
        Self { times: Vec::new(), wait: |_| ready(()) }
    }
}

impl<F> Pause<F> {
    /// Before the first event of each of these times or later; `wait` returns when it should go on.
    pub fn at(times: impl IntoIterator<Item = u64>, wait: F) -> Self {
        let mut times: Vec<u64> = times.into_iter().collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        Self { times, wait }
    }

    /// How often it stops before an event of this time.
    fn due(&mut self, time: u64) -> Option<u64> {
        self.times.pop_if(|next| *next <= time)
    }
}

/// After so many events whoever waits beside the replay has a turn: where nobody is slow, nothing else makes it wait, and a signal would not
/// be heard. A thousandth of a second, about.
const TURN: u32 = 1024;

/// As [`run`], stopping where it is told to. While it stands still, no time passes.
///
/// # Errors
///
/// As [`run`].
pub async fn run_with_pauses<E, F, W>(
    events: impl IntoIterator<Item = Result<Event, E>>,
    pace: Pace,
    bus: &Bus,
    mut pause: Pause<F>,
) -> Result<(), E>
where
    F: FnMut(u64) -> W,
    W: Future<Output = ()>,
{
    let mut start = Instant::now();
    let mut first = None;
    let mut turn = 0;
    for event in events {
        let event = event?;
        while let Some(time) = pause.due(event.time) {
            let before = Instant::now();
            (pause.wait)(time).await;
            start += before.elapsed();
        }
        if let Pace::Times(speed) = pace {
            let passed = event.time.saturating_sub(*first.get_or_insert(event.time));
            // a clock that jumped back does not wait; one that jumped years ahead is not waited for
            let wait = Duration::from_nanos((passed as f64 / speed) as u64).min(Duration::from_hours(24));
            sleep_until(start + wait).await;
        }
        bus.forward(event).await;
        turn += 1;
        if turn == TURN {
            turn = 0;
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bus::{Delivery, Limits};
    use event::{Filter, KindId};
    use std::convert::Infallible;

    fn events(seconds: &[u64]) -> Vec<Result<Event, Infallible>> {
        let ping = testkit::events::samples().into_iter().find(|e| e.id() == Some(KindId::NetPing)).unwrap();
        seconds.iter().map(|s| Ok(Event { time: s * 1_000_000_000, ..ping.clone() })).collect()
    }

    async fn replay(seconds: &[u64], pace: Pace) -> (usize, Duration) {
        let bus = Bus::local();
        let mut subscription = bus.subscribe(Filter::all(), Limits::default()).await.unwrap();
        let start = Instant::now();
        run(events(seconds), pace, &bus).await.unwrap();
        let took = start.elapsed();
        bus.close().await;
        let mut count = 0;
        while let Some(delivery) = subscription.next().await {
            let Delivery::Event(event) = delivery else { panic!("nothing may be missed") };
            assert!(event.replay);
            count += 1;
        }
        (count, took)
    }

    #[tokio::test(start_paused = true)]
    async fn the_pace_is_kept() {
        assert_eq!(replay(&[10, 11, 30], Pace::Max).await, (3, Duration::ZERO));
        assert_eq!(replay(&[10, 11, 30], Pace::Times(1.0)).await, (3, Duration::from_secs(20)));
        assert_eq!(replay(&[10, 11, 30], Pace::Times(4.0)).await, (3, Duration::from_secs(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_jumps_does_not_stop_it() {
        assert_eq!(replay(&[10, 5, 12], Pace::Times(1.0)).await, (3, Duration::from_secs(2)));
        let (count, took) = replay(&[10, 4_000_000_000], Pace::Times(1.0)).await;
        assert_eq!((count, took), (2, Duration::from_hours(24)));
    }

    #[tokio::test(start_paused = true)]
    async fn it_stands_still_where_it_is_told_to() {
        let bus = Bus::local();
        let mut subscription = bus.subscribe(Filter::all(), Limits::default()).await.unwrap();
        let (stops, start) = (std::cell::RefCell::new(Vec::new()), Instant::now());
        let wait = |time| {
            stops.borrow_mut().push((time, start.elapsed()));
            tokio::time::sleep(Duration::from_secs(100))
        };
        let pauses = Pause::at([12_000_000_000, 11_000_000_000, 99_000_000_000], wait);
        run_with_pauses(events(&[10, 11, 13]), Pace::Times(1.0), &bus, pauses).await.unwrap();
        // a pause comes before what happened at its time, when the event before has had its time
        assert_eq!(*stops.borrow(), [(11_000_000_000, Duration::ZERO), (12_000_000_000, Duration::from_secs(101))]);
        assert_eq!(start.elapsed(), Duration::from_secs(203));
        bus.close().await;
        assert!(matches!(subscription.next().await, Some(Delivery::Event(_))));
    }

    /// Nobody listens, so nothing is ever full: all the same somebody who waits beside it is heard.
    #[tokio::test]
    async fn it_can_be_ended_where_nothing_holds_it_up() {
        let read = std::cell::Cell::new(0_u32);
        let event = events(&[10]).remove(0);
        let without_end = std::iter::repeat_with(|| {
            read.set(read.get() + 1);
            assert!(read.get() < 100 * TURN, "nobody is heard");
            event.clone()
        });
        let bus = Bus::local();
        tokio::select! {
            biased;
            _ = run(without_end, Pace::Max, &bus) => panic!("it has no end"),
            () = async {} => {}
        }
        assert_eq!(read.get(), TURN, "it does not go on behind the end");
    }

    #[test]
    fn a_limit_sets_the_pace() {
        assert_eq!(Pace::within(Duration::from_secs(60), Duration::from_secs(20)), Pace::Times(3.0));
        assert_eq!(Pace::within(Duration::from_secs(5), Duration::from_secs(20)), Pace::Times(1.0));
    }
}
