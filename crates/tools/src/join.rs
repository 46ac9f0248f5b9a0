//! The join: facts that complete each other become one.
//!
//! The probes see that a connection closes and that a transaction is rejected; why, and who sent it, only the log knows.
//! `conn.ended` is a close with its reason, `mempool.refused` a rejection with its peer.
//!
//! # Order
//!
//! Events of one source come in its order, events of several interleaved, up to two seconds late
//! ([`LATENESS`](event::primary::LATENESS)). Nothing here reads a
//! clock: a source that has beaten has stated everything that happened before, so a witness is waited for until every source that may
//! know more has beaten past the time in question, or until the newest beat says that it is later than late. The same events in the same
//! order give the same facts, live or replayed.
//!
//! # Replays
//!
//! A recording may hold what a join stated when it was recorded. From the first replayed event of source `join` on (it begins with
//! `health.attached`), this one is silent: what was concluded then stands, and nothing is stated twice. Live events of source `join` are
//! its own.

mod ends;
mod joiner;
mod life;
mod refusals;

use std::time::Duration;

use bus::{Delivery, Publisher, Subscription};
use event::{Filter, KindId, KindSet, NodeName, interval, primary::Primaries};

pub use joiner::{Fact, Joiner};

use crate::intake::Intake;

/// How long to wait for the other witnesses.
#[derive(Clone, PartialEq, Eq, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// How much earlier or later a witness may date a fact
    ///
    /// A close or a rejection of which the log says nothing is stated after this, with what is known. One with its reason is stated as
    /// soon as the reason is there.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval::parse)]
    pub join_wait: Duration,
}

/// What has to be delivered for this, of one node.
pub fn filter(node: &NodeName) -> Filter {
    let kinds: KindSet = [
        KindId::ConnOpened,
        KindId::ConnClosed,
        KindId::ConnEvicted,
        KindId::ConnMisbehaving,
        KindId::ConnClosing,
        KindId::MempoolRejected,
        // where another life of the node begins
        KindId::LogLife,
        // who was connected before
        KindId::StatePeers,
    ]
    .into_iter()
    .collect();
    Filter { kinds: kinds.union(Primaries::needs()), nodes: vec![node.clone()] }
}

/// Joins the facts of one node and publishes them through `out`, until `stop` and to the end of what was published by then; returns
/// earlier when the subscription ends.
///
/// # Errors
///
/// None so far.
pub async fn run(
    config: Config,
    events: Subscription,
    out: Publisher,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    const BATCH: usize = 1024;
    let mut joiner = Joiner::new(config.join_wait);
    let mut intake = Intake::new(events, out.clone(), stop);
    let mut batch = Vec::with_capacity(BATCH);
    let mut facts = Vec::new();
    while intake.next_batch(&mut batch, BATCH).await {
        for delivery in batch.drain(..) {
            match delivery {
                Delivery::Event(event) => joiner.observe(&event, &mut |fact| facts.push(fact)),
                Delivery::Missed(count) => joiner.missed(count, &mut |fact| facts.push(fact)),
            }
        }
        publish(&out, &mut joiner, &mut facts);
    }
    joiner.finish(&mut |fact| facts.push(fact));
    publish(&out, &mut joiner, &mut facts);
    intake.close();
    Ok(())
}

fn publish(out: &Publisher, joiner: &mut Joiner, facts: &mut Vec<joiner::Fact>) {
    out.publish_batch(facts.drain(..));
    if let Some(time) = joiner.beat() {
        out.beat(time, joiner.node_run(), 0, None, None);
    }
}

/// The beginning of a text of any length.
fn clip(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests;
