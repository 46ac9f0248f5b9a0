//! The reconciliation: do the probes see everything?
//!
//! A node counts the bytes of every message type per peer and direction. Every few minutes what the probes saw is compared with these
//! counters, over peers present at both ends of the window. A type with a hundred messages or more that differs by more than one in a
//! hundred is a `health.diverged`; every comparison is a `health.reconciled`.
//!
//! # Sound borders
//!
//! The node's answer and the stream of the probes are not of one moment (Bitcoin Core `src/net.cpp`):
//!
//! - A received message is counted when its last byte is read from the socket, and seen by the probe when the message thread takes it off
//!   the peer's queue: **at a given moment the node has counted what was seen, and what waits.**
//! - A message to send is seen when it is queued, and its bytes are counted as the socket takes them: **at a given moment what was seen
//!   is counted, but for what waits.**
//! - An answer is of some moment between call and answer.
//!
//! So each poll says between which two numbers the bytes lie that the node counted and the probes did not see: nothing waits, or everything
//! does that came within a hundredth of the window, two seconds at the most. A border is three polls in a row, of which the best counts:
//! one at which little was under way. What is between two borders is loss beyond doubt only where the two intervals do not meet; and only
//! then, if the best estimate is more than one in a hundred, is it stated. A quiet border is exact; a busy one is as wide as its traffic,
//! which a window of minutes makes small.
//!
//! # What is no divergence
//!
//! - What counted losses explain (`health.lost`, events that did not reach us): `lost` says how many.
//! - Bytes that wait behind a peer's slow connection: seen long before they are counted. So of messages to peers more can be missing, but
//!   never too much be seen.
//! - Twelve bytes of each of some messages of a peer with the second transport, if that explains all that is missing: it may send types by
//!   their long names (BIP 324), which only the node sees.
//! - Received bytes under `*other*` that nobody saw: the node also counts there what it could not read.

mod reconciler;
mod seen;
mod wire;

use std::time::Duration;

use bus::{Delivery, Publisher, Subscription};
use event::{Filter, KindId, KindSet, NodeName, interval};

pub use reconciler::{Fact, Reconciler};

use crate::intake::Intake;

/// How often to compare.
#[derive(Clone, PartialEq, Eq, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// How often to compare what the probes saw with the node's own counters
    ///
    /// Needs the kernel probes, and `getpeerinfo` over RPC at least four times as often. Over NATS every message of the node comes back
    /// for this: that is as much traffic again.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = every)]
    pub reconcile_interval: Duration,
}

fn every(text: &str) -> Result<Duration, String> {
    let every = interval::parse(text)?;
    if every < Duration::from_secs(1) { Err("comparing more often than each second says nothing".to_owned()) } else { Ok(every) }
}

/// What has to be delivered for this, of one node.
pub fn filter(node: &NodeName) -> Filter {
    let others = [
        KindId::ConnClosed,
        KindId::StatePeers,
        KindId::StateFetched,
        KindId::HealthBeat,
        KindId::HealthLost,
        KindId::HealthAttached,
        KindId::HealthDetached,
    ];
    let messages: KindSet = KindId::ALL.into_iter().filter(|id| id.family() == "net").collect();
    Filter { kinds: messages.union(others.into_iter().collect()), nodes: vec![node.clone()] }
}

/// Compares for one node and publishes what comes of it through `out`, until `stop` and to the end of what was published by then; returns
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
    let mut reconciler = Reconciler::new(config.reconcile_interval);
    let mut intake = Intake::new(events, out.clone(), stop);
    let mut batch = Vec::with_capacity(BATCH);
    let mut facts = Vec::new();
    while intake.next_batch(&mut batch, BATCH).await {
        for delivery in batch.drain(..) {
            match delivery {
                Delivery::Event(event) => reconciler.observe(&event, &mut |fact| facts.push(fact)),
                Delivery::Missed(count) => reconciler.missed(count),
            }
        }
        out.publish_batch(facts.drain(..));
    }
    intake.close();
    Ok(())
}

#[cfg(test)]
mod tests;
