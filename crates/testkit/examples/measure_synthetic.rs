//! How fast the quiet day is made, and what it consists of.
//!
//! ```text
//! cargo run --release -p po-testkit --example measure_synthetic [HOURS [THIN]]
//! ```

use std::collections::BTreeMap;
use std::time::Instant;

use testkit::synthetic::{self, QUIET_DAY, Run};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let hours: u32 = arguments.next().map_or(Ok(24), |text| text.parse())?;
    let thin: u32 = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let toml = QUIET_DAY.replace("length = \"1d\"", &format!("length = \"{hours}h\"\npopulation = {{ thin = {thin} }}"));
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    let started = Instant::now();
    let (mut events, mut bytes) = (0_u64, 0);
    for event in synthetic::load(&toml, Run { seed: 1, strength: 1.0 })? {
        events += 1;
        bytes += event.memory();
        *kinds.entry(event.id().map_or("?", |id| id.name())).or_default() += 1;
    }
    let (took, used) = (started.elapsed().as_secs_f64(), processor()?);
    for (kind, count) in &kinds {
        println!("{count:>10}  {kind}");
    }
    let peak = std::fs::read_to_string("/proc/self/status")?;
    let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?").trim();
    println!(
        "{events} events ({} bytes each) of {hours} hours in {took:.2} s, {used:.2} s of a processor: {:.0} a second of it; {peak} at most",
        bytes as u64 / events,
        events as f64 / used
    );
    Ok(())
}

/// Seconds of a processor that this program has used: on a busy machine the clock on the wall says little.
fn processor() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // behind the name, which may have anything in it: user and system time are the 12th and 13th fields, in hundredths
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks = fields.skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / 100.0)
}
