//! All nodes, a line each.

use event::Source;

use super::canvas::{Canvas, painted, part};
use super::{Node, Nodes, Paint};
use crate::top::node::Health;
use crate::top::number::{self, ABSENT};
use crate::top::series::Measure;

/// Draws them; the chosen one is always on the screen.
pub fn draw(canvas: &mut Canvas<'_>, nodes: &Nodes, chosen: usize) {
    let head = ["node", "version", "peers", "msg/s", "tx/s", "queue", "backlog", "cpu", "block", "ago", "lost"];
    canvas.line(1, [painted(row(&head.map(str::to_owned)), Paint::Title)]);
    // between the titles and the foot
    let room = canvas.height() - 3;
    let first = chosen.saturating_sub(room - 1);
    for (at, (place, node)) in (2..2 + room).zip(nodes.all().iter().enumerate().skip(first)) {
        let text = row(&cells(node));
        let troubled = node.losses().next().is_some() || is_blind(node) || node.findings.count() > 0;
        canvas.line(
            at,
            [match (place == chosen, troubled) {
                (true, _) => painted(text, Paint::Bar),
                (false, true) => painted(text, Paint::Bad),
                (false, false) => part(text),
            }],
        );
    }
}

/// Whether a source that watched it does so no more.
fn is_blind(node: &Node) -> bool {
    (1..event::primary::SOURCES).any(|number| {
        let source = Source::try_from(number as i32).unwrap_or_default();
        node.health(source).is_some_and(|health| health != Health::Up)
    })
}

fn cells(node: &Node) -> [String; 11] {
    let track = &node.track;
    let absent = || ABSENT.to_owned();
    let or_absent = |value: Option<f64>, write: fn(f64) -> String| value.map_or_else(absent, write);
    let messages = track.rate(Measure::Received).zip(track.rate(Measure::Sent)).map(|(received, sent)| received + sent);
    let (inbound, outbound) = node.peers.count();
    let height = node.block.as_ref().map(|block| i64::from(block.height));
    let height = height.or(node.headers.and_then(|headers| headers.blocks).map(i64::from));
    let ago = node.block.as_ref().map(|block| node.now.saturating_sub(block.time) / 1_000_000_000);
    [
        node.name.clone(),
        node.version.clone().unwrap_or_else(absent),
        (inbound + outbound).to_string(),
        or_absent(messages, number::count),
        or_absent(track.rate(Measure::Added), number::count),
        or_absent(track.value(Measure::Queue), number::count),
        match node.waiting {
            Some(waiting) => format!(">{}", number::age(waiting / 1_000_000_000)),
            None => or_absent(track.value(Measure::Ping), number::duration),
        },
        or_absent(track.value(Measure::Processor), |share| format!("{:.0} %", share * 100.0)),
        height.map_or_else(absent, |height| height.to_string()),
        ago.map_or_else(absent, number::age),
        number::count(node.losses().map(|(_, count)| count as f64).sum()),
    ]
}

/// In 80 cells.
fn row(cells: &[String; 11]) -> String {
    const WIDTHS: [usize; 11] = [13, 7, 5, 5, 5, 5, 7, 5, 7, 5, 5];
    let mut text = String::new();
    for (at, (cell, width)) in cells.iter().zip(WIDTHS).enumerate() {
        let cell = if at == 0 { number::plain(cell, width) } else { cell.clone() };
        text.push_str(&if at < 2 { format!(" {cell:<width$}") } else { format!(" {cell:>width$}") });
    }
    text
}
