//! `bench`: what this machine can do, for the numbers that need no node.

use std::time::{Duration, Instant};

use bus::bench::{Throughput, local_throughput};
use event::p2p::{Captured, Message};
use event::{ConnectionType, Direction, Network};

use crate::cli;
use crate::exit::{Code, Failure};

/// `peer-observer bench`
///
/// # Errors
///
/// No case has this name, standard output is gone, or the server for the NATS case cannot be reached.
pub fn run(options: &cli::Bench) -> Result<(), Failure> {
    let names = names();
    if let Some(case) = options.case.as_ref().filter(|case| !names.iter().any(|name| name.contains(case.as_str()))) {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!("no case has `{case}` in its name"))
            .hint(format!("these are the cases: {}", names.join("; "))));
    }
    let wanted = |name: &str| options.case.as_ref().is_none_or(|case| name.contains(case.as_str()));
    let report = |name: &str, text: String| crate::print(&format!("{name:<44} {text}\n"));
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: numbers of a release build are several times better");
    }
    for (name, message_type, payload) in messages() {
        let name = decoding(name);
        if wanted(&name) {
            report(&name, format!("{:.0} ns", decode(message_type, &payload, options.time).as_nanos()))?;
        }
    }
    #[cfg(feature = "ebpf")]
    for (name, payload) in PROBES {
        if wanted(name) {
            let firings = if payload > 1000 { 2_000 } else { 50_000 };
            let text = match ebpf::bench::measure(ebpf::bench::Options { firings, payload, ..Default::default() }) {
                Ok(cost) => format!(
                    "untraced {:?}, counted only {:?}, captured {:?} per firing; read and decoded {:?}; {} fired = {} seen + {} lost",
                    cost.untraced, cost.counted, cost.captured, cost.read, cost.fired, cost.seen, cost.lost
                ),
                Err(error) => format!("not measured: {error}"),
            };
            report(name, text)?;
        }
    }
    for subscribers in SUBSCRIBERS {
        let name = in_process(subscribers);
        if wanted(&name) {
            report(&name, median(|events| Ok(local_throughput(events, subscribers)), 1_000_000)?)?;
        }
    }
    if wanted(OVER_NATS) {
        match &options.nats.url {
            Some(url) => report(OVER_NATS, median(|events| bus::bench::nats_throughput(url, events), 300_000)?)?,
            None => report(OVER_NATS, "not measured: start a nats-server, and give --nats nats://127.0.0.1".into())?,
        }
    }
    Ok(())
}

#[cfg(feature = "ebpf")]
const PROBES: [(&str, usize); 2] = [("probe, ping of 8 bytes", 8), ("probe, message of 100,000 bytes", 100_000)];
const SUBSCRIBERS: [usize; 2] = [1, 4];
const OVER_NATS: &str = "bus over NATS, 1 subscriber";

fn decoding(message: &str) -> String {
    format!("decode {message}")
}

fn in_process(subscribers: usize) -> String {
    format!("bus in process, {subscribers} subscriber{}", if subscribers == 1 { "" } else { "s" })
}

/// Of all cases.
fn names() -> Vec<String> {
    let mut names: Vec<String> = messages().iter().map(|(name, ..)| decoding(name)).collect();
    #[cfg(feature = "ebpf")]
    names.extend(PROBES.map(|(name, _)| name.to_owned()));
    names.extend(SUBSCRIBERS.map(in_process));
    names.push(OVER_NATS.to_owned());
    names
}

/// The median of five.
fn median(measure: impl Fn(u64) -> Result<Throughput, bus::OpenError>, events: u64) -> Result<String, Failure> {
    let mut runs =
        (0..5).map(|_| measure(events)).collect::<Result<Vec<_>, _>>().map_err(|error| Failure::new(Code::Bus, error))?;
    runs.sort_by(|a, b| a.rate().total_cmp(&b.rate()));
    Ok(runs[runs.len() / 2].to_string())
}

fn decode(message_type: &[u8], payload: &[u8], time: Duration) -> Duration {
    let message = Message {
        peer: 7,
        direction: Direction::Inbound,
        address: "203.0.113.7:8333",
        connection_type: ConnectionType::Inbound,
        network: Network::Ipv4,
        size: u32::try_from(payload.len()).unwrap_or(u32::MAX),
        message_type,
        payload,
        captured: Captured::Whole,
        keep_raw: false,
    };
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < time {
        // the clock is read once for many, because reading it takes as long as decoding a ping
        for _ in 0..100 {
            drop(std::hint::black_box(message.decode()));
        }
        count += 100;
    }
    start.elapsed() / count
}

/// Payloads of a shape that a node sees all day.
fn messages() -> [(&'static str, &'static [u8], Vec<u8>); 3] {
    // 35 announcements by wtxid: type 5, a hash
    let mut inv = vec![35];
    for number in 0..35_u8 {
        inv.extend(5_u32.to_le_bytes());
        inv.extend([number; 32]);
    }
    // 1,000 IPv4 addresses (BIP 155): time, services, network 1, 4 bytes, port
    let mut addrv2 = vec![0xfd, 0xe8, 0x03];
    for number in 0..1000_u32 {
        addrv2.extend(1_700_000_000_u32.to_le_bytes());
        addrv2.extend([0xfd, 0x09, 0x04, 1, 4]);
        addrv2.extend(number.to_be_bytes());
        addrv2.extend(8333_u16.to_be_bytes());
    }
    [("ping", b"ping", vec![7; 8]), ("inv of 35", b"inv", inv), ("addrv2 of 1,000", b"addrv2", addrv2)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A payload that is refused would be measured as something else.
    #[test]
    fn what_is_measured_is_decoded() {
        for (name, message_type, payload) in messages() {
            let message = Message {
                peer: 0,
                direction: Direction::Inbound,
                address: "",
                connection_type: ConnectionType::Inbound,
                network: Network::Ipv4,
                size: 0,
                message_type,
                payload: &payload,
                captured: Captured::Whole,
                keep_raw: false,
            };
            assert!(!matches!(message.decode(), event::Kind::NetUndecodable(_)), "{name}");
        }
    }
}
