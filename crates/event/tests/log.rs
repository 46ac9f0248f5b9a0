//! What holds for every line of debug.log, whoever wrote it.

use event::log::{Options, Parser, split};
use event::text::Rfc3339;
use event::{Event, Source};
use expect_test::expect_file;
use proptest::prelude::*;

/// Pieces that lines are made of, so that random ones get past the first byte.
const PIECES: &[&str] = &[
    "[*] ",
    "2025-11-05T12:34:56Z ",
    "2025-11-05T12:34:56.123456Z ",
    "(mocktime: 2025-11-05T12:34:56Z) ",
    "[msghand] ",
    "[net.cpp:12] [f] ",
    "[net] ",
    "[validation] ",
    "received: ",
    "sending ",
    "got inv: ",
    "wtx ",
    "Misbehaving: peer=",
    "receive version message: ",
    ": version ",
    ", blocks=",
    " peer=",
    "7",
    "-1",
    "18446744073709551616",
    " (",
    ") ",
    " bytes)",
    "  ",
    "disconnecting peer=7",
    " peeraddr=203.0.113.7:8333",
    ", peeraddr=",
    ", mapped_as=",
    "1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a",
    "UpdateTip: new best=",
    "Bitcoin Core version v31.99.0 (release build)",
    "\n",
    "\u{fffd}",
];

fn line() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

/// Lines of the catalogue, with a byte changed, taken out or doubled.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let lines: Vec<Vec<u8>> =
        include_bytes!("../../../fixtures/log/catalogue.log").split(|c| *c == b'\n').map(<[u8]>::to_vec).collect();
    (prop::sample::select(lines), any::<prop::sample::Index>(), any::<u8>(), 0..4_u8).prop_map(|(mut line, at, byte, how)| {
        if line.is_empty() {
            return line;
        }
        let at = at.index(line.len());
        match how {
            0 => line[at] = byte,
            1 => drop(line.remove(at)),
            2 => line.insert(at, byte),
            _ => line.truncate(at),
        }
        line
    })
}

/// Every line is accounted for, and whatever is stated is an event like any other.
fn assert_sane(lines: &[Vec<u8>]) {
    let mut parser = Parser::new(Options { unmatched: true });
    for line in lines {
        parser.line(line, &mut |time, kind| {
            let event = Event { time, ..Event::new("alice", Source::Log, kind) };
            assert!(event.memory() < 16 << 10);
            testkit::events::assert_survives(&event);
            testkit::events::assert_json(&event);
        });
    }
    parser.settle(&mut |_, kind| testkit::events::assert_survives(&Event::new("alice", Source::Log, kind)));
    let totals = parser.totals();
    assert_eq!(totals.lines, totals.matched + totals.unmatched + totals.continuations);
    assert_eq!(totals.matched, parser.counts().map(|(_, lines)| lines).sum::<u64>());
    parser.health(&mut |_, kind| testkit::events::assert_survives(&Event::new("alice", Source::Log, kind)));
}

#[derive(Debug, Clone)]
struct Parts {
    suppressing: bool,
    time: Option<u64>,
    thread: Option<&'static str>,
    source: Option<&'static str>,
    category: Option<&'static str>,
    message: String,
}

fn parts() -> impl Strategy<Value = Parts> {
    // messages do not begin with a bracket here: then a part could not be told from them
    let message = "[a-zA-Z0-9=:(),. _-][a-zA-Z0-9=:(),.\\[\\] _-]{0,40}";
    (
        any::<bool>(),
        // whole microseconds until 2100
        prop::option::of((0..4_102_444_800_000_000_u64).prop_map(|micros| micros * 1000)),
        prop::option::of(prop::sample::select(&["msghand", "init", "net", "httpworker.3", "b-unknown"][..4])),
        prop::option::of(prop::sample::select(&["f", "void A::f(int[3])", "auto f() [with T = a[2]]"][..])),
        prop::option::of(prop::sample::select(&["net", "net:info", "warning", "validation:trace", "http"][..])),
        message,
    )
        .prop_map(|(suppressing, time, thread, source, category, message)| Parts {
            suppressing,
            time,
            thread,
            source,
            category,
            message,
        })
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(lines in prop::collection::vec(prop_oneof![line(), damaged(), prop::collection::vec(any::<u8>(), 0..100)], 0..12)) {
        assert_sane(&lines);
    }

    #[test]
    fn a_line_gives_its_parts_back(parts in parts()) {
        // alone, `net` and `http` are taken for the category: only the lines before could tell
        let Parts { suppressing, time, thread, source, category, message } = parts.clone();
        prop_assume!(!(thread == Some("net") && source.is_none() && category.is_none()));
        let mut line = String::new();
        if suppressing {
            line.push_str("[*] ");
        }
        if let Some(time) = time {
            let text = Rfc3339::from_nanos(time).to_string();
            let seconds = &text[..19];
            line.push_str(&format!("{seconds}.{:06}Z ", time / 1000 % 1_000_000));
        }
        for part in [thread, source.map(|_| "net.cpp:12"), source, category].into_iter().flatten() {
            line.push_str(&format!("[{part}] "));
        }
        line.push_str(&message);
        // without a time in front, text may look like one
        prop_assume!(time.is_some() || split(message.as_bytes()).time.is_none());
        let found = split(line.as_bytes());
        prop_assert_eq!(found.suppressing, suppressing);
        prop_assert_eq!(found.time, time);
        prop_assert_eq!(found.thread, thread.map(str::as_bytes));
        prop_assert_eq!(found.source.map(|source| source.function), source.map(str::as_bytes));
        let (name, level) = match category {
            None => ("", "info"),
            Some("warning") => ("", "warning"),
            Some(category) => category.split_once(':').unwrap_or((category, "debug")),
        };
        prop_assert_eq!((found.category.name(), found.level.word()), (name, level));
        prop_assert_eq!(found.message, message.as_bytes());
    }
}

/// Some forty-five thousand lines as real nodes of three releases write them: always the same, drawn from what was recorded.
fn reference() -> Vec<Vec<u8>> {
    // SplitMix64 (Steele, Lea, Flood 2014)
    let mut state = 0_u64;
    let mut draw = |limit: usize| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    };
    let mut reference = Vec::new();
    for release in ["v29", "v30", "v31"] {
        let read =
            |name: &str| std::fs::read(format!("{}/../../fixtures/log/{name}", env!("CARGO_MANIFEST_DIR"))).expect("a fixture");
        let log = [read(&format!("{release}/play.log")), read(&format!("{release}/options.log")), read("catalogue.log")].concat();
        let lines: Vec<_> = log.split(|byte| *byte == b'\n').collect();
        // which patterns there are depends on who writes
        let first = |line: &&[u8]| line.windows(FIRST.len()).any(|window| window == FIRST);
        reference.extend(lines.iter().find(|line| first(line)).map(|line| line.to_vec()));
        reference.extend((0..20_000).map(|_| lines[draw(lines.len())].to_vec()).filter(|line| !first(&&line[..])));
    }
    reference
}

const FIRST: &[u8] = b"Bitcoin Core version v";

/// How many lines each pattern takes: one that begins to take those of another, or takes none any more, shows.
#[test]
fn every_pattern_takes_the_lines_that_it_took() {
    let mut parser = Parser::new(Options::default());
    for line in reference() {
        parser.line(&line, &mut |_, _| ());
    }
    let mut table = String::new();
    for (pattern, lines) in parser.counts().filter(|(_, lines)| *lines > 0) {
        table.push_str(&format!("{lines:>6}  {pattern}\n"));
    }
    table.push_str(&format!("{:?}\n", parser.totals()));
    expect_file!["../../../fixtures/log/counts.txt"].assert_eq(&table);
}
