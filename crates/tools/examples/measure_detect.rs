//! What detectors cost: `cargo run --release --package po-tools --example measure_detect -- RECORDING`, or `-- quiet-day` for a generated day
//! at 125 peers.
//!
//! Events per second of CPU time of the one thread, all detectors, from events in memory (a recording) or as they are generated (a
//! day: there the state after it counts, not the speed). Memory is the state as it is kept, and the heap's high-water mark less what it
//! was before.
//!
//! Of a recording it also says whether the findings are the same in pieces with the state kept in between, and when sources are late, each
//! by its own time, as they are at the speed at which they were recorded.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use detect::Engine;
use detect::finding::of;
use detect::thresholds::Thresholds;
use event::Event;
use testkit::synthetic::{self, QUIET_DAY, Run};
use tools::archive::{Selection, open};

fn main() -> Result<()> {
    let what = std::env::args().nth(1).context("a recording, or `quiet-day`")?;
    if what == "quiet-day" { quiet_day() } else { recording(what.into()) }
}

fn recording(path: PathBuf) -> Result<()> {
    let events = open(&[path], &Selection::default())?.events().map(|event| Ok(Arc::new(event?))).collect::<Result<Vec<_>>>()?;
    let length = events.last().map_or(0, |event| event.time).saturating_sub(events.first().map_or(0, |event| event.time));
    println!("{} events of {:.0} s", events.len(), length as f64 / 1e9);
    let mut rates = Vec::new();
    for _ in 0..5 {
        let mut engine = Engine::new(Thresholds::default(), 0);
        let mut said = Vec::new();
        let before = cpu_time();
        for event in &events {
            engine.observe(Arc::clone(event), &mut said);
        }
        engine.finish(&mut said);
        let took = cpu_time() - before;
        rates.push(events.len() as f64 / took.as_secs_f64());
        if rates.len() == 5 {
            report(&engine, &said);
        }
    }
    identity(&events)?;
    rates.sort_by(f64::total_cmp);
    println!("{:.0} events/s (median of five; from {:.0} to {:.0})", rates[2], rates[0], rates[4]);
    Ok(())
}

/// The same events in other ways: in one go, in pieces, in another order of arrival.
fn identity(events: &[Arc<Event>]) -> Result<()> {
    let told = |engine: &mut Engine, events: &mut dyn Iterator<Item = Arc<Event>>| {
        let mut said = Vec::new();
        events.for_each(|event| engine.observe(event, &mut said));
        said
    };
    let mut engine = Engine::new(Thresholds::default(), 0);
    let mut whole = told(&mut engine, &mut events.iter().cloned());
    engine.finish(&mut whole);

    let mut engine = Engine::new(Thresholds::default(), 0);
    let mut pieces = Vec::new();
    for piece in events.chunks(events.len() / 60 + 1) {
        pieces.extend(told(&mut engine, &mut piece.iter().cloned()));
        (engine, _) = Engine::restore(&engine.save(), Thresholds::default())?;
    }
    engine.finish(&mut pieces);

    // up to 1.9 s late, another time for each source, as a thread or a network may be
    let mut late: Vec<(u64, &Arc<Event>)> = events
        .iter()
        .map(|event| (event.time + u64::from(event.source.unsigned_abs()) * 700_000_000 % 1_900_000_000, event))
        .collect();
    late.sort_by_key(|(arrival, _)| *arrival);
    let mut engine = Engine::new(Thresholds::default(), 0);
    let mut delayed = told(&mut engine, &mut late.into_iter().map(|(_, event)| Arc::clone(event)));
    engine.finish(&mut delayed);

    anyhow::ensure!(!whole.is_empty(), "nothing is found in it, so nothing can differ");
    anyhow::ensure!(whole == pieces, "in pieces it finds something else");
    anyhow::ensure!(whole == delayed, "in another order of arrival it finds something else");
    println!("{} statements, the same in one go, in 60 pieces with state, and with sources late", whole.len());
    Ok(())
}

fn quiet_day() -> Result<()> {
    let before = peak_memory()?;
    let mut engine = Engine::new(Thresholds::default(), 1);
    let mut said = Vec::new();
    let scenario = synthetic::load(QUIET_DAY, Run { seed: 1, strength: 1.0 })?;
    scenario.for_each(|event| engine.observe(Arc::new(event), &mut said));
    report(&engine, &said);
    println!("{:.1} MB more than before at the most, the generator included", (peak_memory()? - before) as f64 / 1e6);
    Ok(())
}

fn report(engine: &Engine, said: &[detect::Statement]) {
    let totals = engine.totals();
    println!("{} looked at, {} late; state {:.2} MB", totals.events, totals.late, engine.save().len() as f64 / 1e6);
    for statement in said {
        let event = Event { kind: Some(statement.kind.clone()), ..Event::default() };
        if let (Some(finding), Some(id)) = (of(&event), event.id()) {
            println!("  {} {} {}: {}", id.short_name(), finding.detector, finding.severity().word(), finding.summary);
        }
    }
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Bytes.
fn peak_memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the kernel tells no high-water mark")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
