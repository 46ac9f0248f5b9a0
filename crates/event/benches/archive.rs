//! What it costs to put events into frames and to take them out again: `cargo bench -p po-event --bench archive -- RECORDING.poa`, of an
//! archive's segment, or of the fixture. `cargo test` runs each case once.

use std::hint::black_box;
use std::time::Duration;

use event::Event;
use event::archive::segment::{Header, TAIL, Tail, read_index};
use event::archive::{Head, Packer, Unpacker};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let measure = arguments.iter().any(|argument| argument == "--bench");
    let path = arguments.iter().find(|argument| argument.ends_with(".poa")).map(String::as_str);
    let bytes =
        std::fs::read(path.unwrap_or(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/archive-1.poa"))).expect("a segment");
    let frames = frames(&bytes);
    let mut decompressor = zstd::bulk::Decompressor::new().expect("there is memory for it");
    let mut open = |(head, body): &(Head, &[u8])| Unpacker::new(head, body, &mut decompressor).expect("a frame");
    let mut events = Vec::new();
    for frame in &frames {
        let mut unpacker = open(frame);
        while let Some(event) = unpacker.next_event(|_| true).expect("whole") {
            events.push(event);
        }
    }
    println!("{} events in {} frames", events.len(), frames.len());
    let count = events.len();
    case(measure, count, "events out of frames, counted by kind", || {
        let mut counts = [0_u64; event::KindId::ALL.len()];
        for frame in &frames {
            let mut unpacker = open(frame);
            while let Some(event) = unpacker.next_event(|_| true).expect("whole") {
                event.id().into_iter().for_each(|id| counts[id.index()] += 1);
            }
        }
        counts
    });
    case(measure, count, "their bytes out of frames", || {
        let mut length = 0;
        let mut out = Vec::new();
        for frame in &frames {
            let mut unpacker = open(frame);
            while unpacker.next(&mut out).expect("whole").is_some() {
                length += out.len();
                out.clear();
            }
        }
        length
    });
    let mut compressor = zstd::bulk::Compressor::new(3).expect("there is memory for it");
    case(measure, count, "events into frames, level 3", || {
        let mut packer = Packer::default();
        let mut length = 0;
        for event in &events {
            packer.push(event);
            if packer.is_full() {
                length += packer.finish(&mut compressor).map_or(0, |(_, frame)| frame.len());
            }
        }
        length + packer.finish(&mut compressor).map_or(0, |(_, frame)| frame.len())
    });
    let bytes: Vec<_> = events.iter().map(Event::to_bytes).collect();
    case(measure, count, "their bytes into frames, level 3", || {
        let mut packer = Packer::default();
        let mut length = 0;
        for event in &bytes {
            packer.push_bytes(event).expect("an event");
            if packer.is_full() {
                length += packer.finish(&mut compressor).map_or(0, |(_, frame)| frame.len());
            }
        }
        length + packer.finish(&mut compressor).map_or(0, |(_, frame)| frame.len())
    });
}

fn frames(segment: &[u8]) -> Vec<(Head, &[u8])> {
    let (_, start) = Header::from_bytes(segment).expect("a segment");
    let (_, tail) = segment.split_at(segment.len() - TAIL);
    let tail = Tail::from_bytes(tail).expect("a finished segment");
    let index = read_index(&tail, Some(start as u64), &segment[tail.index as usize..segment.len() - TAIL]).expect("an index");
    index
        .into_iter()
        .map(|entry| (entry.body() as usize, entry.head))
        .map(|(at, head)| (at, head.body_length(), head))
        .map(|(at, length, head)| (head, &segment[at..at + length]))
        .collect()
}

/// CPU time per event of the best of several rounds: what is slower than that is the machine's doing.
fn case<T>(measure: bool, events: usize, name: &str, mut run: impl FnMut() -> T) {
    // as Cargo's own benches: a part of a name selects
    if std::env::args().skip(1).any(|word| !word.starts_with("--") && !word.ends_with(".poa") && !name.contains(&word)) {
        return;
    }
    black_box(run());
    if !measure {
        return;
    }
    let round = || {
        let start = cpu();
        black_box(run());
        cpu() - start
    };
    let best = std::iter::repeat_with(round).take(7).min().unwrap_or_default();
    let each = best.as_nanos() as f64 / events as f64;
    println!("{each:>8.0} ns per event, {:>6.0} k events/s  {name}", 1e6 / each);
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default())
}
