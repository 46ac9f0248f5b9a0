//! The screen: a function of what happened and of what a person has chosen.

mod canvas;
mod node;
mod nodes;
mod peers;

use event::text::Rfc3339;
use ratatui_core::buffer::Buffer;

use self::canvas::{Canvas, Paint, bad, dim, good, part, strong, title};
use super::node::Node;
use super::nodes::Nodes;
use super::number;
use super::view::{Page, View};

/// What it takes.
pub const SMALLEST: (u16, u16) = (80, 24);

/// What is true of the stream, and not of its events.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// Everything has been played.
    pub ended: bool,
    /// It stands still because a person wants to look at it.
    pub held: bool,
    /// Nothing came for so many seconds.
    pub silent: u64,
    /// Messages on the bus that were no events.
    pub unusable: u64,
    /// What the program said last of itself, if it was a warning.
    pub notice: Option<String>,
    /// Whether to use colours.
    pub colour: bool,
}

/// A bus brings beats each second; without any for so long, something is wrong.
const SILENT: u64 = 5;

/// Draws all of it.
pub fn draw(buffer: &mut Buffer, nodes: &Nodes, view: &mut View, stream: &Stream) {
    let mut canvas = Canvas::new(buffer, stream.colour);
    let (width, height) = (canvas.width(), canvas.height());
    if width < usize::from(SMALLEST.0) || height < usize::from(SMALLEST.1) {
        canvas.line(0, [strong(format!("{} by {} characters are needed", SMALLEST.0, SMALLEST.1))]);
        canvas.line(1, [part(format!("there are {width} by {height}; q ends"))]);
        return;
    }
    match (view.page, view.node(nodes)) {
        (Page::Help, _) => help(&mut canvas),
        (_, None) => waiting(&mut canvas),
        (Page::Nodes, Some((place, node))) => {
            head(&mut canvas, format!("{} nodes", nodes.all().len()), node, stream);
            nodes::draw(&mut canvas, nodes, place);
        }
        (Page::Node, Some((place, node))) => {
            let count = nodes.all().len();
            let which = if count > 1 { format!("{} ({} of {count})", node.name, place + 1) } else { node.name.clone() };
            let about = [node.version.clone(), node.chain.clone()].into_iter().flatten();
            let up = node.run.map(|run| format!("up {}", number::age(node.second().saturating_sub(run))));
            let words: Vec<String> = std::iter::once(which).chain(about).chain(up).collect();
            head(&mut canvas, words.join(" · "), node, stream);
            node::draw(&mut canvas, node, nodes, view);
        }
    }
    foot(&mut canvas, nodes, view, stream);
}

/// The first line: who, and when.
fn head(canvas: &mut Canvas<'_>, who: String, node: &Node, stream: &Stream) {
    // to the second
    let time = Rfc3339::from_nanos(node.now / 1_000_000_000 * 1_000_000_000).to_string().replace('T', " ");
    let state = match (stream.held, stream.ended, node.replay) {
        (true, _, _) => "held · ",
        (_, true, _) => "at its end · ",
        (_, _, true) => "recording · ",
        _ => "",
    };
    let time = time.trim_end_matches('Z');
    let clock = time.split_once(' ').map_or(time, |(_, clock)| clock);
    canvas.title(0, &format!(" {who}"), &[&format!("{state}{time} UTC "), &format!("{state}{clock} "), state]);
}

fn waiting(canvas: &mut Canvas<'_>) {
    canvas.title(0, " peer-observer", &[]);
    canvas.line(2, [part(" Nothing was heard yet.")]);
    canvas.line(3, [dim(" Every source beats once a second; a node that stays away is watched by nobody, or on another bus.")]);
}

/// The last line: what is wrong with the stream itself, else what the keys do.
fn foot(canvas: &mut Canvas<'_>, nodes: &Nodes, view: &View, stream: &Stream) {
    let row = canvas.height() - 1;
    let wrong = [
        (stream.silent >= SILENT && !stream.ended).then(|| format!("nothing came for {}", number::age(stream.silent))),
        (nodes.missed > 0).then(|| format!("this screen missed {} events", number::whole(nodes.missed))),
        (stream.unusable > 0).then(|| format!("{} messages were no events", number::whole(stream.unusable))),
        (nodes.strays > 0).then(|| format!("{} events of nodes that are not shown", number::whole(nodes.strays))),
        stream.notice.clone(),
    ];
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    if !wrong.is_empty() {
        canvas.line(row, [bad(format!(" {}", wrong.join(" · ")))]);
        return;
    }
    let keys: &[(&str, &str)] = match view.page {
        Page::Help => &[("any key", "back"), ("q", "quit")],
        Page::Nodes => &[("↑↓", "node"), ("enter", "look at it"), ("space", "hold"), ("q", "quit")],
        Page::Node => &[
            ("q", "quit"),
            ("tab", "next"),
            ("n", "nodes"),
            ("←→", "sort"),
            ("r", "reverse"),
            ("d", "direction"),
            ("space", "hold"),
            ("?", "help"),
        ],
    };
    let words = keys.iter().flat_map(|(key, does)| [strong(format!(" {key} ")), dim(format!("{does} "))]);
    canvas.line(row, words);
}

fn help(canvas: &mut Canvas<'_>) {
    const KEYS: [(&str, &str); 12] = [
        ("q  Ctrl-C", "quit; Esc too, where there is nothing to leave"),
        ("Tab  Shift-Tab", "the next node, the one before"),
        ("n", "all nodes, a line each; Enter looks at one"),
        ("← →  s S", "sort peers by another column"),
        ("r", "the other way round"),
        ("d", "all peers, those that came, those that the node chose"),
        ("↑ ↓ PgUp PgDn", "through the peers; Home and End"),
        ("space", "hold the screen; what happens is counted all the same"),
        ("", ""),
        ("rates", "per second, over the ten seconds that are over; lines are seconds, the last at the right"),
        ("red", "in a line: a second in which events were lost"),
        ("–", "nobody stated it, or who did is gone"),
    ];
    canvas.title(0, " peer-observer top", &[]);
    for (row, (key, does)) in (2..).zip(KEYS) {
        canvas.line(row, [strong(format!(" {key:<16}")), part(does)]);
    }
    canvas.line(15, [title(" Types of peers")]);
    canvas.line(
        16,
        [part(" in, and chosen by the node: full relay, block relay only, manual, feeler, address fetch, private broadcast")],
    );
    canvas.line(
        17,
        [
            part(" Sources: "),
            good("up"),
            dim(", "),
            bad("detached"),
            dim(" from its node, "),
            bad("silent"),
            dim(" for three seconds"),
        ],
    );
}
