//! The screen: what matters of nodes, live or from a recording, in a terminal.
//!
//! `Nodes` takes in events, `View` takes in keys, `screen` draws both: plain values and a function, which know neither a terminal nor a clock,
//! so that a recording gives the same screen as live events. [`run`] is the rim. Time is the events' own.
//!
//! **Invariants.** Memory is bounded: nodes, peers per node, seconds, lines. Text that a peer chose is visible ASCII before it is kept. An event
//! is taken in once, by its primary witness.

mod findings;
mod node;
mod nodes;
mod number;
mod peers;
mod screen;
mod series;
mod view;

use std::future::Future;
use std::time::{Duration, Instant};

use bus::{Delivery, Subscription};
use event::{Filter, KindId};
use ratatui_core::backend::Backend;
use ratatui_core::buffer::Buffer;
use ratatui_core::terminal::Terminal;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

pub use view::Key;

use nodes::Nodes;
use screen::Stream;
use view::{Go, View};

/// What comes from the person at the terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// A key.
    Key(Key),
    /// Draw everything anew: the terminal has another size, or somebody else wrote into it.
    Anew,
}

/// What it needs besides events.
pub struct Desk<B: Backend, N> {
    /// Where to draw.
    pub terminal: Terminal<B>,
    /// What is typed. When it closes, nobody sits there any more.
    pub input: mpsc::Receiver<Input>,
    /// What the program says of itself and should be seen: asked before each drawing.
    pub notices: N,
    /// Whether to use colours.
    pub colour: bool,
}

/// How often it is drawn while something changes: what is faster, nobody reads.
const DRAW: Duration = Duration::from_millis(250);

/// What the bus has to deliver.
pub fn wanted() -> Filter {
    Filter::kinds(KindId::ALL)
}

/// Shows what comes until the person wants no more, or the subscription has ended and, after that, `stop` has.
///
/// # Errors
///
/// The terminal cannot be written to.
pub async fn run<B, N>(mut desk: Desk<B, N>, mut events: Subscription, stop: impl Future<Output = ()> + Send) -> anyhow::Result<()>
where
    B: Backend<Error: Send + Sync + 'static> + Send,
    N: FnMut() -> Option<String> + Send,
{
    const BATCH: usize = 1024;
    let failed = |error: B::Error| anyhow::Error::new(error).context("failed to draw");
    let mut batch = Vec::with_capacity(BATCH);
    let mut top = Top { stream: Stream { colour: desk.colour, ..Stream::default() }, ..Top::default() };
    let mut heard = Instant::now();
    let mut tick = tokio::time::interval(DRAW);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            more = events.next_batch(&mut batch, BATCH), if !top.stream.ended => {
                top.stream.ended = !more;
                heard = Instant::now();
                batch.drain(..).for_each(|delivery| top.take(&delivery));
                top.stream.unusable = unusable(events.stats());
                if more {
                    continue;
                }
            }
            input = desk.input.recv() => match input {
                None => return Ok(()),
                Some(Input::Anew) => {
                    // not `clear`: that asks the terminal where its cursor is, and the answer comes with the keys
                    let size = desk.terminal.size().map_err(failed)?;
                    desk.terminal.resize(size.into()).map_err(failed)?;
                }
                Some(Input::Key(key)) => if top.press(key) == Go::Away {
                    return Ok(());
                }
            },
            _ = tick.tick() => {}
            () = &mut stop, if top.stream.ended => return Ok(()),
        }
        top.stream.silent = heard.elapsed().as_secs();
        top.stream.notice = (desk.notices)();
        desk.terminal.draw(|frame| top.draw(frame.buffer_mut())).map_err(failed)?;
    }
}

fn unusable(stats: bus::Stats) -> u64 {
    stats.undecodable + stats.unknown_kind + stats.foreign_subject + stats.incomplete
}

/// What happened, and what a person looks at.
#[derive(Debug, Default)]
struct Top {
    now: Nodes,
    /// What there was when the screen was held.
    held: Option<Box<Nodes>>,
    view: View,
    stream: Stream,
}

impl Top {
    fn take(&mut self, delivery: &Delivery) {
        match delivery {
            Delivery::Event(event) => self.now.observe(event),
            Delivery::Missed(count) => self.now.missed(*count),
        }
    }

    fn press(&mut self, key: Key) -> Go {
        let go = self.view.press(key, self.held.as_deref().unwrap_or(&self.now));
        if go == Go::Hold {
            self.held = if self.held.is_none() { Some(Box::new(self.now.clone())) } else { None };
        }
        go
    }

    fn draw(&mut self, buffer: &mut Buffer) {
        self.stream.held = self.held.is_some();
        screen::draw(buffer, self.held.as_deref().unwrap_or(&self.now), &mut self.view, &self.stream);
    }
}

#[cfg(test)]
mod tests;
