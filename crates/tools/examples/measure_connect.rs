//! What visits cost: `cargo run --release --package po-tools --example measure_connect -- PARALLEL`, for instance 500 or 5000; or
//! `-- remember` for what remembering a million addresses costs.
//!
//! A fleet in a process of its own listens at 16 million addresses of loopback, and lets every visitor wait for a second before it says hello: so
//! as many visits as there may be are under way at once. The tool runs on one thread. Half of the visits speak v2.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bus::{Bus, Delivery, Limits};
use bytes::Bytes;
use clap::Parser as _;
use event::p2p::network::{KNOWN, Networks};
use event::p2p::transport::Transport;
use event::{Direction, Filter, Kind, KindId, NetAddrv2, Network, NetworkAddress, Source, StateNetwork, StatePeers, VisitResult};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tools::connect::target::Target;
use tools::connect::tried::{Tried, Verdict};
use tools::connect::{AtANode, Config, Prepared};

/// How long the fleet lets a visitor wait.
const WAIT: Duration = Duration::from_secs(1);
/// Visits per place.
const TIMES: usize = 4;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    config: Config,
}

fn main() -> Result<()> {
    let what = std::env::args().nth(1).context("how many at once, or `remember`")?;
    match what.as_str() {
        "fleet" => runtime()?.block_on(fleet()),
        "remember" => remember(),
        parallel => visits(parallel.parse().context("how many at once")?),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// A node at every address; says its port.
async fn fleet() -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::UNSPECIFIED, 0).into())?;
    let listener = socket.listen(8192)?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        // a visitor may go at any time
        tokio::spawn(async move { drop(serve(stream).await) });
    }
}

async fn serve(mut stream: TcpStream) -> Result<()> {
    let networks = Networks { only: Some(KNOWN[4].1), learned: None };
    let mut transport = Transport::new(networks, [9; 32], false);
    let (mut buffer, mut out) = ([0; 2048], Vec::new());
    tokio::time::sleep(WAIT).await;
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        transport.push(&buffer[..length]);
        while let Some(message) = transport.next(4096, &mut out)? {
            if message.message_type == "version" {
                // what a visitor says would do for a node as well
                transport.send("version", &message.payload, &mut out);
                transport.send("verack", &[], &mut out);
            }
        }
        stream.write_all(&std::mem::take(&mut out)).await?;
    }
}

fn visits(parallel: usize) -> Result<()> {
    let mut fleet = Command::new(std::env::current_exe()?).arg("fleet").stdout(Stdio::piped()).spawn()?;
    let mut port = String::new();
    let said = fleet.stdout.take().context("it says its port")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(said), &mut port)?;
    let measured = runtime()?.block_on(measured(parallel, port.trim().parse()?));
    fleet.kill()?;
    fleet.wait()?;
    measured
}

async fn measured(parallel: usize, port: u16) -> Result<()> {
    let place = tempfile::tempdir()?;
    let state = place.path().join("tried");
    let line = [
        "connect".to_owned(),
        "--connect-contact=https://example.org/measured".to_owned(),
        format!("--connect-state={}", state.display()),
        "--connect-network=regtest".to_owned(),
        "--connect-test-ranges=127.0.0.0/8".to_owned(),
        "--connect-rate=100000".to_owned(),
        format!("--connect-parallel={parallel}"),
    ];
    let bus = Bus::local();
    let mut results = bus.subscribe(Filter::kinds([KindId::ProbeAddress]), Limits::default()).await?;
    let events = bus.subscribe(Prepared::filter([]), Limits::default()).await?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let prepared = Line::parse_from(line).config.prepare()?;
    let tool = tokio::spawn(tools::connect::run(prepared, events, bus.clone(), None, AtANode::End, stopped));
    let node = "alice".parse()?;
    let rpc = bus.publisher("alice".parse()?, Source::Rpc);
    rpc.publish(1, None, StateNetwork::default());
    rpc.publish(1, None, StatePeers::default());
    let probes = bus.publisher(node, Source::Ebpf);
    let (begun, cpu) = (Instant::now(), cpu_time());
    let count = parallel * TIMES;
    for message in 0..count.div_ceil(100) {
        let entry = |number: usize| {
            let [_, _, high, low] = u32::try_from(message * 100 + number).unwrap_or_default().to_be_bytes();
            let services = if number.is_multiple_of(2) { 0x409 } else { 0xc09 };
            let address = Bytes::copy_from_slice(&[127, high.wrapping_add(1), low, 1]);
            NetworkAddress { services, network: Network::Ipv4.into(), address, port: port.into(), ..NetworkAddress::default() }
        };
        let addresses = (0..100.min(count - message * 100)).map(entry).collect();
        let peer = message as u64;
        let address = format!("8.8.{}.8:8333", message % 200);
        let gossip = NetAddrv2 {
            peer,
            direction: Direction::Inbound.into(),
            address,
            network: Network::Ipv4.into(),
            addresses,
            ..NetAddrv2::default()
        };
        probes.publish(1, None, gossip);
        tokio::task::yield_now().await;
    }
    let (mut reachable, mut other, mut v2, mut most_open) = (0, 0, 0, 0);
    let mut slowest = 0;
    while reachable + other < count {
        // to list thousands of files costs more than a visit
        if (reachable + other).is_multiple_of((parallel / 2).max(1)) {
            most_open = most_open.max(std::fs::read_dir("/proc/self/fd")?.count());
        }
        match tokio::time::timeout(Duration::from_millis(250), results.next()).await {
            Err(_) => {}
            Ok(Some(Delivery::Event(event))) => {
                let Some(Kind::ProbeAddress(visit)) = &event.kind else { continue };
                let found = visit.result() == VisitResult::Reachable;
                if !found {
                    eprintln!("{} {}", visit.result().word(), visit.detail);
                }
                *if found { &mut reachable } else { &mut other } += 1;
                v2 += usize::from(visit.transport() == event::Transport::V2);
                slowest = slowest.max(visit.handshake_nanos.unwrap_or_default());
            }
            Ok(other) => anyhow::bail!("{other:?}"),
        }
    }
    // the last results waited two seconds for nothing but a watched node's word
    let took = begun.elapsed().saturating_sub(Duration::from_secs(2));
    let cpu = cpu_time() - cpu;
    drop(stop);
    tool.await??;
    println!(
        "{parallel} at once: {reachable} of {count} visits reachable ({v2} by v2) in {:.1} s, {:.0} a second, slowest handshake {:.2} s; \
         {:.1} s of CPU, {:.0} µs a visit; {most_open} files at the most, {:.1} MB of memory at the most",
        took.as_secs_f64(),
        count as f64 / took.as_secs_f64(),
        slowest as f64 / 1e9,
        cpu.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / count as f64,
        peak_memory()? as f64 / 1e6,
    );
    ensure!(other == 0, "{other} visits were not what they should be");
    Ok(())
}

fn remember() -> Result<()> {
    const MILLION: u32 = 1_000_000;
    let place = tempfile::tempdir()?;
    let path = place.path().join("tried");
    let now = 1_750_000_000;
    let target = |number: u32| Target::of_ip(Ipv4Addr::from(0x0100_0000 + number).into(), 8333);
    let before = peak_memory()?;
    let begun = Instant::now();
    let mut tried = Tried::open(&path, [1; 16], now)?;
    let mut dialled = 0_u32;
    for number in 0..MILLION {
        if tried.verdict(&target(number), now) == Verdict::Fresh {
            tried.remember(&target(number), now);
            dialled += 1;
        }
        // as at 10,000 dials a second, with a tenth of a second between
        if number % 1000 == 999 {
            tried.commit()?;
        }
    }
    let wrote = begun.elapsed();
    let used = peak_memory()? - before;
    drop(tried);
    let begun = Instant::now();
    let tried = Tried::open(&path, [2; 16], now)?;
    let read = begun.elapsed();
    let again = (0..MILLION).filter(|number| tried.verdict(&target(*number), now) == Verdict::Fresh).count();
    println!(
        "a million addresses: {dialled} dialled, {again} again after a restart; written in {:.2} s with 1000 syncs, read in {:.2} s; {:.1} MB of \
         memory, {:.1} MB on disk",
        wrote.as_secs_f64(),
        read.as_secs_f64(),
        used as f64 / 1e6,
        std::fs::metadata(&path)?.len() as f64 / 1e6,
    );
    ensure!(dialled == MILLION && again == 0, "an address was dialled twice, or not at all");
    Ok(())
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The most memory that this process ever had, bytes.
fn peak_memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in /proc/self/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
