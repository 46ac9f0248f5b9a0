//! What it costs to make an event of a record. `cargo bench -p po-ebpf`; `cargo test` runs each case once.
//!
//! What the kernel side and the buffer cost takes capabilities to measure: `ebpf::bench`, which `peer-observer bench` prints.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ebpf::decoder::Decoder;
use ebpf::probes::PROBES;
use ebpf::record::Record;

fn main() {
    let measure = std::env::args().any(|argument| argument == "--bench");
    let ping = message("ping", &[1; 8]);
    let removed = fact("mempool:removed");
    for (name, record) in [("a ping", &ping), ("a transaction removed", &removed)] {
        case(measure, &format!("parse {name}"), || Record::parse(record).map(|record| record.number));
        let mut decoder = Decoder::new(false);
        case(measure, &format!("decode {name}"), || decoder.decode(record, |observation| drop(black_box(observation))));
    }
}

/// A record of a probe, as record.h lays it out.
fn header(probe: usize) -> Vec<u8> {
    let mut bytes = vec![0; 24];
    bytes.extend(1_u32.to_ne_bytes());
    bytes.extend((probe as u16).to_ne_bytes());
    bytes.extend([0; 2]);
    bytes
}

fn message(message_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(0);
    bytes.extend(7_i64.to_ne_bytes());
    bytes.extend((payload.len() as u64).to_ne_bytes());
    bytes.extend((payload.len() as u32).to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(message_type.as_bytes());
    bytes.resize(72, 0);
    bytes.extend(payload);
    bytes
}

fn fact(name: &str) -> Vec<u8> {
    let number = PROBES.iter().position(|probe| probe.full_name == name).expect("it is in the table");
    let mut bytes = header(number);
    bytes.extend([1; 1024]);
    bytes
}

/// The best of several rounds: what is slower than that is the machine's doing.
fn case<T>(measure: bool, name: &str, mut run: impl FnMut() -> T) {
    black_box(run());
    if !measure {
        return;
    }
    let best = (0..20)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..10_000 {
                black_box(run());
            }
            start.elapsed() / 10_000
        })
        .min()
        .unwrap_or(Duration::ZERO);
    println!("{name:<40} {best:>10.0?}");
}
