//! One node: how it is, what it handles, who its peers are, what happened.

use event::{Severity, Source};

use super::canvas::{Canvas, Part, bad, bars, dim, good, painted, part, strong, title};
use super::{Node, Nodes, Paint, peers};
use crate::top::node::Health;
use crate::top::number::{self, ABSENT};
use crate::top::series::Measure;
use crate::top::view::View;

/// From this width on, message types stand beside the lines.
const WIDE: usize = 120;

/// What they take.
const TYPES: usize = 38;

/// From this height on, there is room for what happened.
const TALL: usize = 34;

/// Where lines of values begin, and how many pairs there are.
const LINES: usize = 2;
const PAIRS: [[Measure; 2]; 5] = [
    [Measure::Received, Measure::Sent],
    [Measure::BytesReceived, Measure::BytesSent],
    [Measure::Added, Measure::Rejected],
    [Measure::Queue, Measure::Ping],
    [Measure::Processor, Measure::Lost],
];

pub fn draw(canvas: &mut Canvas<'_>, node: &Node, nodes: &Nodes, view: &mut View) {
    let width = canvas.width();
    let beside = if width >= WIDE { TYPES } else { 0 };
    canvas.line(1, sources(node, nodes));
    for (row, pair) in (LINES..).zip(PAIRS) {
        // one blank between the halves
        let half = (width - beside) / 2 - 1;
        for (column, measure) in [(1, pair[0]), (half + 2, pair[1])] {
            values(canvas, row, column, half - 1, node, measure);
        }
    }
    let below = LINES + PAIRS.len();
    canvas.within(below, 0, width - beside, block(node));
    canvas.within(below + 1, 0, width - beside, pool(node));
    canvas.within(below + 2, 0, width - beside, process(node));
    canvas.line(below + 3, findings(node, nodes));
    if beside > 0 {
        types(canvas, width - beside + 1, beside - 1, below + 2, node);
    }
    // the last line is the foot
    let end = canvas.height() - 1;
    let news = if canvas.height() >= TALL { (canvas.height() / 5).min(node.happened.len() + 1) } else { 0 };
    peers::draw(canvas, below + 4, end - news, node, view);
    if news > 1 {
        canvas.line(end - news, [title(" What happened")]);
        let lines = node.happened.iter().rev().take(news - 1);
        for (row, line) in ((end - news + 1)..end).rev().zip(lines) {
            canvas.line(row, [part(format!(" {line}"))]);
        }
    }
}

/// Who watches, and what was lost where.
fn sources(node: &Node, nodes: &Nodes) -> Vec<Part> {
    const SHOWN: [Source; 9] = [
        Source::Ebpf,
        Source::Rpc,
        Source::Log,
        Source::P2p,
        Source::Ipc,
        Source::Proc,
        Source::Join,
        Source::Detect,
        Source::Capture,
    ];
    let mut parts = vec![];
    for source in SHOWN {
        let how = match node.health(source) {
            None => continue,
            Some(Health::Up) => good("up"),
            Some(Health::Detached) => bad("detached"),
            Some(Health::Silent) => bad("silent"),
        };
        parts.extend([dim(format!(" {} ", source.word())), how]);
    }
    parts.push(dim(format!("  lag {}", number::duration(node.lag()))));
    let mut losses: Vec<String> =
        node.losses().map(|(stage, count)| format!("{} {}", number::whole(count), stage.word())).collect();
    if nodes.missed > 0 {
        losses.push(format!("{} here", number::whole(nodes.missed)));
    }
    parts.push(dim("  lost "));
    parts.push(if losses.is_empty() { good("nothing") } else { bad(losses.join(", ")) });
    parts
}

/// A name, the value now, the seconds before.
fn values(canvas: &mut Canvas<'_>, row: usize, column: usize, width: usize, node: &Node, measure: Measure) {
    const NAME: usize = 10;
    const VALUE: usize = 9;
    let track = &node.track;
    let rate = |write: fn(f64) -> String| track.rate(measure).map(|rate| format!("{}/s", write(rate)));
    let (name, value) = match measure {
        Measure::Received => ("msgs in", rate(number::count)),
        Measure::Sent => ("msgs out", rate(number::count)),
        Measure::BytesReceived => ("bytes in", rate(number::bytes)),
        Measure::BytesSent => ("bytes out", rate(number::bytes)),
        Measure::Added => ("tx added", rate(number::count)),
        Measure::Rejected => ("tx refused", rate(number::count)),
        Measure::Lost => ("lost", rate(number::count)),
        Measure::Queue => ("inv queue", track.value(measure).map(number::count)),
        Measure::Ping => ("backlog", track.value(measure).map(number::duration)),
        Measure::Processor => ("cpu", track.value(measure).map(|share| format!("{:.0} %", share * 100.0))),
    };
    let value = match (measure, node.waiting) {
        (Measure::Ping, Some(waiting)) => bad(format!("{:>VALUE$}", format!(">{}", number::age(waiting / 1_000_000_000)))),
        (Measure::Lost, _) if track.rate(measure).is_some_and(|rate| rate > 0.0) => {
            bad(format!("{:>VALUE$}", value.unwrap_or_default()))
        }
        _ => strong(format!("{:>VALUE$}", value.unwrap_or_else(|| ABSENT.into()))),
    };
    let room = width.saturating_sub(NAME + VALUE + 2);
    let seconds: Vec<f32> = track.last(measure, room).collect();
    let lost: Vec<f32> = track.last(Measure::Lost, room).collect();
    let mut parts = vec![dim(format!("{name:<NAME$} ")), value, part(" ")];
    parts.extend(bars(&seconds, &lost, room));
    canvas.within(row, column, width, parts);
}

/// The last block.
fn block(node: &Node) -> Vec<Part> {
    let mut parts = vec![dim(format!(" {:<10} ", "block"))];
    match &node.block {
        None => match node.headers.and_then(|headers| headers.blocks) {
            Some(height) => parts.push(strong(height.to_string())),
            None => parts.push(part(ABSENT)),
        },
        Some(block) => {
            parts.push(strong(format!("{} ", block.height)));
            parts.push(dim(format!("…{}", block.hash)));
            parts.push(part(format!(" {} ago", number::age(node.now.saturating_sub(block.time) / 1_000_000_000))));
            if let Some(transactions) = block.transactions {
                parts.push(dim(format!(", {} tx", number::whole(transactions))));
            }
            if let Some(duration) = block.duration {
                parts.push(dim(format!(" connected in {}", number::duration(duration as f64 / 1e9))));
            }
        }
    }
    if let Some(headers) = node.headers {
        let ahead = headers.headers.zip(headers.blocks).map_or(0, |(headers, blocks)| headers.saturating_sub(blocks));
        if headers.downloading {
            parts.push(painted(" · initial download", Paint::BlockRelay));
        }
        if ahead > 0 {
            parts.push(painted(format!(" · headers {ahead} ahead"), Paint::BlockRelay));
        }
    }
    if node.disconnected > 0 {
        parts.push(painted(format!(" · {} disconnected", number::whole(node.disconnected)), Paint::BlockRelay));
    }
    parts
}

fn pool(node: &Node) -> Vec<Part> {
    let mut parts = vec![dim(format!(" {:<10} ", "mempool"))];
    let Some(pool) = node.pool else {
        parts.push(part(ABSENT));
        return parts;
    };
    if let Some(transactions) = pool.transactions {
        parts.push(strong(format!("{} tx", number::whole(transactions))));
    }
    if let Some(size) = pool.size {
        parts.push(part(format!(" · {} vB", number::count(size as f64))));
    }
    if let (Some(usage), Some(limit)) = (pool.usage, pool.limit) {
        parts.push(part(format!(" · {} of {}", number::bytes(usage as f64), number::bytes(limit as f64))));
    }
    if let Some(minimum) = pool.minimum {
        parts.push(part(format!(" · from {} sat/vB", number::feerate(minimum))));
    }
    parts
}

fn process(node: &Node) -> Vec<Part> {
    let share = |share: f64| format!("b-msghand {:.0} %", share * 100.0);
    let words = [
        node.process.and_then(|process| process.handler_share).map(share),
        node.process.map(|process| format!("{} in memory", number::bytes(process.resident as f64))),
        node.disk.map(|bytes| format!("{} free on disk", number::bytes(bytes as f64))),
    ];
    let words: Vec<String> = words.into_iter().flatten().collect();
    let text = if words.is_empty() { ABSENT.into() } else { words.join(" · ") };
    vec![dim(format!(" {:<10} ", "process")), part(text)]
}

/// How many last, and the worst in a sentence.
fn findings(node: &Node, nodes: &Nodes) -> Vec<Part> {
    let mut parts = vec![dim(format!(" {:<10} ", "findings"))];
    let count = node.findings.count() + nodes.findings.count();
    // of two that are as bad, the node's own
    let worst = [nodes.findings.worst(), node.findings.worst()].into_iter().flatten().max_by_key(|active| active.severity as i32);
    let Some(worst) = worst else {
        // without a detector nobody looks
        parts.push(if node.health(Source::Detect) == Some(Health::Up) { good("nothing") } else { part(ABSENT) });
        return parts;
    };
    let text = format!("{count} · {} {}", worst.severity.word(), worst.about);
    parts.push(match worst.severity {
        Severity::Critical | Severity::Warn => bad(text),
        Severity::Info | Severity::Unspecified => strong(text),
    });
    parts.push(part(format!(" {}", number::age(node.now.saturating_sub(worst.opened) / 1_000_000_000))));
    if worst.unknown {
        parts.push(dim(" (unknown: events are missing)"));
    }
    parts.push(part(format!(": {}", worst.summary)));
    parts
}

/// Message types by how often they go by.
fn types(canvas: &mut Canvas<'_>, column: usize, width: usize, end: usize, node: &Node) {
    let row = |name: &str, received: &str, sent: &str| format!("{name:<14} {received:>9} {sent:>9}");
    canvas.within(1, column, width, [title(row("message", "in/s", "out/s"))]);
    for (at, (name, received, sent)) in (2..=end).zip(node.types()) {
        canvas.within(at, column, width, [part(row(name, &number::count(received), &number::count(sent)))]);
    }
}
