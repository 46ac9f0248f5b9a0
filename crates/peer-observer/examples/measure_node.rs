//! Measures what watching costs a real node, and loses: the numbers of `docs/performance.md` that need one.
//!
//! `cargo run --release --example measure_node [PAIRS]`; needs bitcoind on PATH (or in `BITCOIND_EXE`), and root.
//!
//! One connection sends 100,000 pings as fast as the node answers, two events each. Every pair runs the load three times against
//! the same node: untraced, with probes that only count (the floor), and watched. Load, node and observer are processes of their own,
//! so that each one's processor time is known.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bus::{Bus, Delivery, Limits};
use ebpf::{Source, Tracer};
use event::{Filter, KindId};
use testkit::{Node, Peer};

const PINGS: usize = 100_000;
const EVENTS: f64 = 2.0 * PINGS as f64;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tracer"] => Ok(ebpf::tracer::run()?),
        ["load", address] => load(address.parse()?),
        ["observe", datadir] => observe(datadir),
        ["floor", pid] => floor(pid.parse()?),
        [] => measure(8),
        [pairs] => measure(pairs.parse()?),
        _ => anyhow::bail!("usage: measure_node [PAIRS]"),
    }
}

/// One run of the load.
struct Run {
    /// Pings a second.
    rate: f64,
    /// Microseconds of the node's processor time per event.
    node: f64,
}

fn measure(pairs: usize) -> anyhow::Result<()> {
    let node = Node::start(testkit::node::Options::default())?;
    let pid = node.pid().context("the node runs")?;
    let mut rows = Vec::new();
    let mut watched = Vec::new();
    one(&node, pid)?; // warms up
    for pair in 1..=pairs {
        let plain = one(&node, pid)?;
        let floor = {
            let _floor = Helper::start(&["floor", &pid.to_string()])?;
            one(&node, pid)?
        };
        let mut observer = Helper::start(&["observe", &node.datadir().display().to_string()])?;
        let traced = one(&node, pid)?;
        let report: serde_json::Value = serde_json::from_str(&observer.ask()?)?;
        let number = |key: &str| report[key].as_f64().unwrap_or(f64::NAN);
        println!(
            "pair {pair}: untraced {:.0} pings/s; floor ÷ untraced {:.3}, +{:.2} µs/event; watched ÷ untraced {:.3}, +{:.2} µs/event, \
             observer {:.2} µs/event, {} events, lost {}, memory {:.1} + {:.1} MB",
            plain.rate,
            floor.rate / plain.rate,
            floor.node - plain.node,
            traced.rate / plain.rate,
            traced.node - plain.node,
            number("cpu_micros") / EVENTS,
            report["events"],
            report["lost"],
            number("memory_kib") / 1024.0,
            number("tracer_memory_kib") / 1024.0,
        );
        ensure!(report["events"].as_f64() == Some(EVENTS), "every ping and pong is seen: {report}");
        watched.push((number("cpu_micros") / EVENTS, (number("memory_kib") + number("tracer_memory_kib")) / 1024.0));
        rows.push((plain, floor, traced));
    }
    let median_of = |value: &dyn Fn(&(Run, Run, Run)) -> f64| median(rows.iter().map(value).collect());
    println!("\nmedians of {pairs} pairs");
    println!("floor ÷ untraced          {:.3}", median_of(&|(plain, floor, _)| floor.rate / plain.rate));
    println!("watched ÷ untraced        {:.3}", median_of(&|(plain, _, traced)| traced.rate / plain.rate));
    println!("floor, node CPU added     {:.2} µs/event", median_of(&|(plain, floor, _)| floor.node - plain.node));
    println!("watched, node CPU added   {:.2} µs/event", median_of(&|(plain, _, traced)| traced.node - plain.node));
    println!("observer CPU              {:.2} µs/event", median(watched.iter().map(|(cpu, _)| *cpu).collect()));
    println!("memory, both processes    {:.1} MB", median(watched.iter().map(|(_, memory)| *memory).collect()));

    let observer = Helper::start(&["observe", &node.datadir().display().to_string()])?;
    let before = (cpu(observer.child.id())?, cpu(child_of(observer.child.id())?)?);
    let span = Duration::from_secs(20);
    std::thread::sleep(span);
    let after = (cpu(observer.child.id())?, cpu(child_of(observer.child.id())?)?);
    let idle = (after.0 - before.0) + (after.1 - before.1);
    println!("idle                      {:.2} % of a core", 100.0 * idle.as_secs_f64() / span.as_secs_f64());
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

fn one(node: &Node, pid: u32) -> anyhow::Result<Run> {
    let before = cpu(pid)?;
    let output = Command::new("/proc/self/exe").args(["load", &node.p2p_address().to_string()]).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seconds: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
    let node = (cpu(pid)? - before).as_secs_f64();
    Ok(Run { rate: PINGS as f64 / seconds, node: node * 1e6 / EVENTS })
}

/// Sends the pings, and prints how long it took to get every pong.
fn load(address: SocketAddr) -> anyhow::Result<()> {
    let peer = Peer::connect(address, &Default::default())?;
    peer.ping()?;
    println!("{}", peer.ping_flood(PINGS)?.as_secs_f64());
    Ok(())
}

/// Holds probes that only count, until its input ends.
fn floor(pid: u32) -> anyhow::Result<()> {
    ebpf::bench::with_floor(pid, || {
        println!("ready");
        std::io::stdin().read_line(&mut String::new())?;
        Ok(())
    })?;
    Ok(())
}

/// Watches a node with one subscriber that counts, and prints what it saw and cost when asked.
fn observe(datadir: &str) -> anyhow::Result<()> {
    let node = extract::node::Config::of_datadir("measured".parse()?, datadir);
    let config = extract::ebpf::Config { ebpf_raw: false, ebpf_buffer: "8MiB".parse().map_err(anyhow::Error::msg)? };
    let mut command = Command::new("/proc/self/exe");
    command.arg("tracer");
    let tracer = Tracer::spawn(command, &config.tracer(&node, false))?;
    let tracer_pid = tracer.pid();
    let source = Source::open(tracer, false)?;
    let bus = Bus::local();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut subscription = runtime.block_on(bus.subscribe(Filter::all(), Limits::default()))?;
    let counter = runtime.spawn(async move {
        let (mut pings, mut lost) = (0_u64, 0);
        let mut batch = Vec::new();
        while subscription.next_batch(&mut batch, 1024).await {
            for delivery in batch.drain(..) {
                match delivery {
                    Delivery::Missed(count) => lost += count,
                    Delivery::Event(event) => match &event.kind {
                        // the node pings on its own, and its peer pings once before the flood
                        Some(event::Kind::NetPing(_) | event::Kind::NetPong(_)) => pings += 1,
                        Some(event::Kind::HealthLost(loss)) => lost += loss.count,
                        _ => {}
                    },
                }
            }
        }
        (pings, lost)
    });
    let publisher = bus.publisher(node.name, event::Source::Ebpf);
    let stop = AtomicBool::new(false);
    let own = std::process::id();
    let before = own_cpu();
    let (memory, tracer_memory) = std::thread::scope(|scope| -> anyhow::Result<_> {
        let extractor = scope.spawn(|| extract::ebpf::run(source, &publisher, &stop));
        println!("ready");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        let memory = (peak_memory(own)?, peak_memory(tracer_pid)?);
        stop.store(true, Ordering::Release);
        extractor.join().expect("the extractor does not panic")?;
        Ok(memory)
    })?;
    runtime.block_on(bus.close());
    let (pings, lost) = runtime.block_on(counter)?;
    let cost = own_cpu() - before;
    let total = |id: KindId| publisher.totals().iter().find(|(kind, _)| *kind == id).map_or(0, |(_, total)| *total);
    ensure!(pings + lost >= total(KindId::NetPing) + total(KindId::NetPong), "the subscriber counts what is published");
    println!(
        "{}",
        // two for the ping before the flood, two for the node's own
        serde_json::json!({
            "events": pings - 4, "lost": lost, "cpu_micros": cost.as_micros() as u64,
            "memory_kib": memory, "tracer_memory_kib": tracer_memory,
        })
    );
    Ok(())
}

/// This program again, in another role.
struct Helper {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Helper {
    /// Starts it, and waits until it is ready.
    fn start(args: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new("/proc/self/exe").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("piped")?);
        let mut helper = Self { child, input, output };
        let line = helper.line()?;
        ensure!(line == "ready", "{args:?} said {line:?}");
        Ok(helper)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// Asks for its report, which is the last thing it does.
    fn ask(&mut self) -> anyhow::Result<String> {
        self.input.take().context("asked once")?.write_all(b"\n")?;
        self.line()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// Processor time of this process so far, threads that have ended included.
fn own_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Processor time of the threads of a process so far.
fn cpu(pid: u32) -> anyhow::Result<Duration> {
    // in nanoseconds; /proc/<pid>/stat counts in hundredths of a second
    let mut sum = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        if let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) {
            sum += text.split_whitespace().next().context("schedstat")?.parse::<u64>()?;
        }
    }
    Ok(Duration::from_nanos(sum))
}

fn peak_memory(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

fn child_of(pid: u32) -> anyhow::Result<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    children.split_whitespace().next().context("a tracer")?.parse().context("a pid")
}
