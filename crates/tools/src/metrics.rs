//! Metrics: events as numbers that Prometheus reads.
//!
//! [`Fleet`] counts events; it is a plain value that knows no clock and no socket, so a recording gives the same page as live events. The
//! metrics are rows of [`table`]; `count` has a function per kind of event; `page` writes what was counted. `docs/metrics.md` lists all.
//!
//! **Invariants.** A label is one of a few words known beforehand, whatever a peer sends. An event is counted once, by its primary
//! witness. A value vanishes with its source. Counting allocates nothing for the common kinds.

mod addrman;
mod blocks;
mod bucket;
mod cells;
mod count;
mod fleet;
mod label;
mod lists;
pub mod manual;
mod node;
mod page;
mod process;
mod server;
mod statistic;
pub mod table;
mod vocabulary;
mod witness;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bus::{Delivery, Subscription};

pub use cells::{Row, Shape};
pub use fleet::{Fleet, wanted};
pub use label::Words;
pub use lists::Lists;
pub use page::{Format, Page};
pub use process::Process;

use crate::Complaint;
use crate::listen::ListenError;

/// Where to serve metrics, and what to count besides.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Where to serve metrics for Prometheus, at the path /metrics
    ///
    /// There is neither encryption nor a password: who reaches it sees how many peers of which kind the nodes have, though no address.
    #[arg(long, default_value_t = DEFAULT, value_name = "ADDRESS")]
    pub metrics_listen: SocketAddr,

    /// Lists of addresses to count apart, by file: an address or a network per line, `#` begins a comment
    ///
    /// Peers on the list `spies.txt` are counted as `list="spies"`, besides being counted as everybody is. The files are read again when
    /// they change. Looking each message's peer up costs some 0.1 microseconds; without lists nothing is looked up.
    #[arg(long, value_delimiter = ',', value_name = "FILES")]
    pub metrics_lists: Vec<PathBuf>,
}

/// Beside the port for the node's connection, which is 28444.
const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 28445);

impl Config {
    /// Takes the port.
    ///
    /// # Errors
    ///
    /// It cannot be had.
    pub fn listen(&self) -> Result<TcpListener, ListenError> {
        server::SERVICE.listen(self.metrics_listen)
    }

    /// Reads the lists: before rights are given up, and before anything starts that would have to end because a list is wrong.
    ///
    /// # Errors
    ///
    /// One cannot be read, or holds something else.
    pub fn read(&self) -> anyhow::Result<Reading> {
        let (watched, lists) = lists::Watched::open(self.metrics_lists.clone())?;
        Ok(Reading { watched, lists })
    }
}

/// Lists of addresses as they were at the start, and where to look for changes.
#[derive(Debug)]
pub struct Reading {
    watched: lists::Watched,
    lists: Lists,
}

/// Counts and serves until the subscription ends and, after that, until `stop` does: a recording has ended long before one has looked at it.
///
/// # Errors
///
/// The listener is none.
pub async fn run(
    reading: Reading,
    mut events: Subscription,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let Reading { watched, lists } = reading;
    let shared = Arc::new(Shared(Mutex::new(Fleet::new(lists))));
    tracing::info!(address = %listener.local_addr()?, "serving metrics at /metrics");
    let counted = async {
        count(&mut events, &shared, watched).await;
        stop.await;
    };
    tokio::select! {
        () = counted => Ok(()),
        ended = server::serve(listener, Arc::clone(&shared)) => ended.map(|never| match never {}),
    }
}

/// Counts until the subscription ends, and writes the page once, without what is true of this process only.
///
/// # Errors
///
/// The output cannot be written.
pub async fn print(reading: Reading, mut events: Subscription, mut output: impl std::io::Write) -> anyhow::Result<()> {
    let Reading { watched, lists } = reading;
    let shared = Shared(Mutex::new(Fleet::new(lists)));
    count(&mut events, &shared, watched).await;
    let page = Page { process: None, ..shared.take() }.write(Format::Prometheus);
    match output.write_all(page.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("failed to write the page"))
        }
        _ => Ok(()),
    }
}

async fn count(events: &mut Subscription, shared: &Shared, mut lists: lists::Watched) {
    // so long nobody else gets to the numbers
    const BATCH: usize = 256;
    let mut batch = Vec::with_capacity(BATCH);
    let mut complaint = Complaint::default();
    let mut tick = tokio::time::interval(Fleet::TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            more = events.next_batch(&mut batch, BATCH) => if !more { return },
            _ = tick.tick() => {
                let changed = lists.look();
                shared.with(|fleet| {
                    fleet.tick();
                    if let Some(lists) = changed {
                        fleet.use_lists(lists);
                    }
                });
                continue;
            }
        }
        let stats = events.stats();
        complaint.look(stats);
        shared.with(|fleet| {
            for delivery in batch.drain(..) {
                match delivery {
                    Delivery::Event(event) => fleet.observe(&event),
                    Delivery::Missed(count) => fleet.missed(count),
                }
            }
            fleet.unusable(stats);
        });
    }
}

/// What is counted here and read there. The lock is held for a batch of events, or to copy one node.
#[derive(Debug)]
struct Shared(Mutex<Fleet>);

impl Shared {
    fn with<T>(&self, act: impl FnOnce(&mut Fleet) -> T) -> T {
        // numbers cannot be left half changed
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Copies everything, a node at a time, so that counting goes on in between.
    fn take(&self) -> Page {
        let count = self.with(|fleet| fleet.nodes());
        let nodes = (0..count).map(|place| self.with(|fleet| fleet.shown(place))).collect();
        let (tool, lists) = self.with(Fleet::shown_tool);
        Page { nodes, tool, lists, process: Some(Process::now()) }
    }
}

impl server::Pages for Shared {
    fn page(&self, format: Format) -> String {
        self.take().write(format)
    }
}

#[cfg(test)]
mod tests;
