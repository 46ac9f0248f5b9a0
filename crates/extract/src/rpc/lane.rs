//! When which method is called next.

use std::time::Duration;

use tokio::time::Instant;

use super::Config;
use super::client::CallError;
use super::methods::{METHODS, Method, Weight};

/// A method that is not allowed is tried again after this: each try is a line in the node's log, and rights change with a restart
/// of the node, after which everything is tried anyway.
const FORBIDDEN_AGAIN: Duration = Duration::from_secs(3600);
/// The longest pause after failures, unless the interval itself is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The first pause after a node was too busy; doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Methods that are called one after the other.
#[derive(Debug)]
pub(super) struct Lane {
    slots: Vec<Slot>,
    /// Nothing is called before: the node was too busy.
    not_before: Instant,
    pause: Duration,
}

#[derive(Debug)]
struct Slot {
    method: &'static Method,
    interval: Duration,
    due: Instant,
    failures: u32,
}

impl Lane {
    pub(super) fn new(weight: Weight, config: &Config) -> Self {
        let now = Instant::now();
        let slot = |method: &'static Method| Some(Slot { method, interval: config.interval(method)?, due: now, failures: 0 });
        let slots = METHODS.iter().filter(|method| method.weight == weight).filter_map(slot).collect();
        Self { slots, not_before: now, pause: FIRST_PAUSE }
    }

    /// Everything is due: the node has started.
    pub(super) fn reset(&mut self) {
        let now = Instant::now();
        for slot in &mut self.slots {
            slot.due = now;
            slot.failures = 0;
        }
        self.not_before = now;
        self.pause = FIRST_PAUSE;
    }

    /// What is called next, and when; of those that are due the first in the table. `None` if everything is switched off.
    pub(super) fn next(&self) -> Option<(usize, Instant)> {
        let now = Instant::now();
        let (at, slot) = self.slots.iter().enumerate().min_by_key(|(at, slot)| (slot.due.max(now), *at))?;
        Some((at, slot.due.max(self.not_before)))
    }

    pub(super) fn method(&self, at: usize) -> &'static Method {
        self.slots[at].method
    }

    /// A call begins: the next is an interval later, however this one ends. Intervals that passed meanwhile are skipped.
    pub(super) fn begin(&mut self, at: usize) {
        let slot = &mut self.slots[at];
        slot.due = (slot.due + slot.interval).max(Instant::now());
    }

    /// A call was answered.
    pub(super) fn answered(&mut self, at: usize) {
        self.slots[at].failures = 0;
        self.pause = FIRST_PAUSE;
        // it took longer than its interval: it does not follow itself at once
        self.slots[at].due = self.slots[at].due.max(Instant::now() + self.slots[at].interval / 2);
    }

    /// A call failed: how often in a row by now.
    pub(super) fn failed(&mut self, at: usize, error: &CallError) -> u32 {
        let now = Instant::now();
        let slot = &mut self.slots[at];
        slot.failures = slot.failures.saturating_add(1);
        let longer = slot.interval.saturating_mul(1 << slot.failures.min(10)).min(LONGEST_PAUSE.max(slot.interval));
        match error {
            // the connection broke under it: once is no reason to wait
            CallError::Unreachable { .. } if slot.failures == 1 => slot.due = now,
            CallError::Forbidden(_) | CallError::UnknownMethod(_) => slot.due = now + FORBIDDEN_AGAIN.max(slot.interval),
            _ => slot.due = now + longer,
        }
        if matches!(error, CallError::Busy | CallError::Timeout(_)) {
            self.not_before = now + self.pause;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        self.slots[at].failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn lane(intervals: &str) -> Lane {
        let rpc_interval = intervals.split(',').map(|interval| interval.parse().unwrap()).collect();
        Lane::new(Weight::Light, &Config { rpc_interval, ..Config::default() })
    }

    /// Calls that take no time, for so many seconds: how often each was made.
    async fn calls(lane: &mut Lane, seconds: u64, end: impl Fn(&mut Lane, usize)) -> Vec<(&'static str, u32)> {
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut counts: Vec<(&'static str, u32)> = METHODS.iter().map(|method| (method.name, 0)).collect();
        while let Some((at, when)) = lane.next().filter(|(_, when)| *when < until) {
            advance(when.saturating_duration_since(Instant::now())).await;
            lane.begin(at);
            end(lane, at);
            counts.iter_mut().filter(|(name, _)| *name == lane.method(at).name).for_each(|(_, count)| *count += 1);
        }
        advance(until.saturating_duration_since(Instant::now())).await;
        counts.retain(|(_, count)| *count > 0);
        counts
    }

    #[tokio::test(start_paused = true)]
    async fn each_method_has_its_interval() {
        let mut lane = lane("getpeerinfo=2s,getnettotals=off");
        let counts = calls(&mut lane, 60, Lane::answered).await;
        assert_eq!(counts[..3], [("getpeerinfo", 30), ("getmempoolinfo", 12), ("getblockchaininfo", 6)]);
        assert!(!counts.iter().any(|(name, _)| matches!(*name, "getnettotals" | "getchaintips")));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_start_they_come_in_the_order_of_the_table() {
        let mut lane = lane("uptime=10s");
        let mut order = Vec::new();
        while let Some((at, _)) = lane.next().filter(|(_, when)| *when <= Instant::now()) {
            lane.begin(at);
            lane.answered(at);
            order.push(lane.method(at).name);
        }
        let light = METHODS.iter().filter(|method| method.weight == Weight::Light);
        assert_eq!(order, light.map(|method| method.name).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_late_skips() {
        let mut lane = lane("getpeerinfo=1s");
        advance(Duration::from_secs(100)).await;
        lane.begin(0);
        lane.answered(0);
        assert!(lane.slots[0].due > Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn a_forbidden_method_is_tried_once_an_hour_and_disturbs_nobody() {
        let mut lane = lane("getpeerinfo=5s");
        let end = |lane: &mut Lane, at| match lane.method(at).name {
            "getmempoolinfo" => _ = lane.failed(at, &CallError::Forbidden("getmempoolinfo")),
            _ => lane.answered(at),
        };
        let counts = calls(&mut lane, 3599, end).await;
        assert_eq!(counts.iter().find(|(name, _)| *name == "getmempoolinfo"), Some(&("getmempoolinfo", 1)));
        assert_eq!(counts[0], ("getpeerinfo", 720));
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_node_is_left_alone() {
        let mut lane = lane("getpeerinfo=5s");
        let counts = calls(&mut lane, 600, |lane, at| _ = lane.failed(at, &CallError::Busy)).await;
        // pauses of 1, 2, 4 … 256 and 300 s
        assert!(counts.iter().map(|(_, count)| count).sum::<u32>() <= 10, "{counts:?}");
    }
}
