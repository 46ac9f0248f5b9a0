//! The quiet day: 24 hours of an ordinary node in which nothing happens, and nobody is to be woken.
//!
//! Without optimisation four hours of it are played, with one in ten of the transactions; `cargo test --release -p po-detect --test quiet`
//! plays the whole of it.

use std::sync::Arc;
use std::time::Instant;

use detect::score;
use detect::thresholds::Thresholds;
use detect::time::seconds;
use detect::{Engine, Statement};
use event::Severity;
use testkit::synthetic::{self, QUIET_DAY, Run};

/// The budget of a quiet day (`docs/sources.md`): what may be said at worst of a node-day.
const WARNINGS: usize = 1;

fn day() -> String {
    if !cfg!(debug_assertions) {
        return QUIET_DAY.to_owned();
    }
    let shorter = QUIET_DAY.replace("length = \"1d\"", "length = \"4h\"\npopulation = { thin = 10 }");
    assert_ne!(shorter, QUIET_DAY, "the day has another length");
    shorter
}

#[test]
fn nobody_is_woken_on_a_quiet_day() {
    let seeds = if cfg!(debug_assertions) { 1..=1 } else { 1..=3 };
    for seed in seeds {
        let scenario = synthetic::load(&day(), Run { seed, strength: 1.0 }).unwrap();
        let begin = scenario.script().begin;
        let mut engine = Engine::new(Thresholds::default(), seed);
        let mut said: Vec<Statement> = Vec::new();
        let started = Instant::now();
        scenario.for_each(|event| engine.observe(Arc::new(event), &mut said));
        engine.finish(&mut said);
        let (events, took) = (engine.totals().events, started.elapsed().as_secs_f64());
        println!("seed {seed}: {events} events made and looked at in {took:.1} s, {:.0} a second", events as f64 / took);
        let found = score::found(said);
        let alarms: Vec<String> = found
            .iter()
            .filter(|found| found.finding.severity >= Severity::Warn as i32)
            .map(|found| {
                let at = seconds(found.opened.saturating_sub(begin));
                format!("{at:.0} s: {} {}", found.finding.detector, found.finding.summary)
            })
            .collect();
        found
            .iter()
            .for_each(|found| println!("{} {:?} {}", found.finding.detector, found.finding.severity(), found.finding.summary));
        assert!(alarms.len() <= WARNINGS, "seed {seed}: {alarms:#?}");
    }
}
