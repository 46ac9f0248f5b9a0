//! What threads use, added up by name.

use std::collections::BTreeMap;

use event::ThreadUse;

/// Far more than a node has; somebody else's process would have to be mistaken for one.
const NAMES: usize = 64;
const OTHER: &str = "(other)";

/// What one thread has used since it started.
#[derive(Clone, Debug, Default)]
pub struct Thread {
    /// Thread id.
    pub id: u32,
    /// When it was started, in clock ticks: an id may come back.
    pub started: u64,
    /// As the system has it.
    pub name: String,
    /// The sums so far; the name and the number of threads are not looked at.
    pub used: ThreadUse,
}

/// Sums by name that never fall, though threads end.
#[derive(Debug, Default)]
pub struct Threads {
    living: BTreeMap<u32, Thread>,
    sums: BTreeMap<String, ThreadUse>,
}

impl Threads {
    /// Takes all threads that live now, and gives the sums, by name.
    pub fn update(&mut self, now: Vec<Thread>) -> Vec<ThreadUse> {
        for sum in self.sums.values_mut() {
            sum.threads = 0;
        }
        let mut before = std::mem::take(&mut self.living);
        for thread in now {
            let last = before.remove(&thread.id).filter(|last| last.started == thread.started).unwrap_or_default();
            let sum = self.sum(&thread.name);
            sum.threads += 1;
            add(sum, &thread.used, &last.used);
            self.living.insert(thread.id, thread);
        }
        self.sums.values().cloned().collect()
    }

    fn sum(&mut self, name: &str) -> &mut ThreadUse {
        let name = group(name);
        let name = if self.sums.len() < NAMES || self.sums.contains_key(name) { name } else { OTHER };
        self.sums.entry(name.to_owned()).or_insert_with(|| ThreadUse { name: name.to_owned(), ..Default::default() })
    }
}

/// A name without the number of the thread: `b-httpworker.3` is `b-httpworker`, and `b-http_pool_3` is `b-http_pool`.
fn group(name: &str) -> &str {
    match name.rsplit_once(['.', '_']) {
        Some((group, number)) if !group.is_empty() && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            group
        }
        _ => name,
    }
}

fn add(sum: &mut ThreadUse, now: &ThreadUse, last: &ThreadUse) {
    sum.user_nanos += now.user_nanos.saturating_sub(last.user_nanos);
    sum.system_nanos += now.system_nanos.saturating_sub(last.system_nanos);
    let add = |sum: &mut Option<u64>, now: Option<u64>, last: Option<u64>| {
        if let Some(now) = now {
            *sum = Some(sum.unwrap_or(0) + now.saturating_sub(last.unwrap_or(0)));
        }
    };
    add(&mut sum.waiting_nanos, now.waiting_nanos, last.waiting_nanos);
    add(&mut sum.voluntary_switches, now.voluntary_switches, last.voluntary_switches);
    add(&mut sum.involuntary_switches, now.involuntary_switches, last.involuntary_switches);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(id: u32, started: u64, name: &str, user: u64) -> Thread {
        let used = ThreadUse { user_nanos: user, voluntary_switches: Some(user / 10), ..Default::default() };
        Thread { id, started, name: name.into(), used }
    }

    #[track_caller]
    fn check(threads: &mut Threads, now: Vec<Thread>, expect: &[(&str, u32, u64)]) {
        let sums = threads.update(now);
        let got: Vec<_> = sums.iter().map(|sum| (sum.name.as_str(), sum.threads, sum.user_nanos)).collect();
        assert_eq!(got, expect);
    }

    #[test]
    fn sums_are_by_name_and_never_fall() {
        let mut threads = Threads::default();
        let now = vec![thread(1, 5, "bitcoind", 100), thread(2, 6, "b-httpworker.0", 10), thread(3, 6, "b-httpworker.11", 20)];
        check(&mut threads, now, &[("b-httpworker", 2, 30), ("bitcoind", 1, 100)]);
        // one goes on, one has ended, and another has got its id
        let now = vec![thread(1, 5, "bitcoind", 150), thread(3, 9, "b-httpworker.1", 5)];
        check(&mut threads, now, &[("b-httpworker", 1, 35), ("bitcoind", 1, 150)]);
        // the kernel's numbers may step back by a tick
        check(&mut threads, vec![thread(1, 5, "bitcoind", 140)], &[("b-httpworker", 0, 35), ("bitcoind", 1, 150)]);
        assert_eq!(threads.sums["bitcoind"].voluntary_switches, Some(15));
        assert_eq!(threads.sums["bitcoind"].waiting_nanos, None);
    }

    #[test]
    fn names_are_bounded() {
        let mut threads = Threads::default();
        let many = (0..1000).map(|id| thread(id, 1, &format!("thread {id:04}"), 1)).collect();
        let sums = threads.update(many);
        assert_eq!(sums.len(), NAMES + 1);
        assert_eq!(sums[0].name, OTHER);
        assert_eq!((sums[0].threads as usize, sums[0].user_nanos as usize), (1000 - NAMES, 1000 - NAMES));
        assert!(threads.update(Vec::new()).iter().all(|sum| sum.threads == 0));
    }

    #[test]
    fn only_numbers_are_cut_off() {
        for (name, group) in [
            ("b-scriptch.12", "b-scriptch"),
            ("b-http_pool_15", "b-http_pool"),
            ("a.b", "a.b"),
            (".1", ".1"),
            ("b-net", "b-net"),
            ("x.", "x."),
            ("", ""),
        ] {
            assert_eq!(super::group(name), group);
        }
    }
}
