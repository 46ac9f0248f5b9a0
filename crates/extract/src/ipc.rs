//! The node's IPC socket: its tip, as soon as it changes.
//!
//! `bitcoin-node -ipcbind=unix` (Bitcoin Core 31 or newer) answers there in Cap'n Proto, whose code is only built with the feature `ipc`;
//! flags and the place of the socket are always here. From the outside in: `watch` is one node through its lives, `socket` what
//! is connected to and whose it is, `session` one connection with its bounds, `mining` the one interface that is followed.
//!
//! **Another interface is another module** beside `mining`: what it is made with, what it is called, and a loop that tells what it says.
//! `session` attaches it on a thread of its own in the node, since calls on one thread run one after the other, and waits for whichever
//! of the two ends first. See `docs/design/0009-ipc.md`.

#[cfg(feature = "ipc")]
mod meter;
#[cfg(feature = "ipc")]
mod mining;
#[cfg(feature = "ipc")]
mod session;
mod socket;
#[cfg(feature = "ipc")]
mod trouble;
#[cfg(feature = "ipc")]
mod watch;

use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "ipc")]
use bus::Publisher;

#[cfg(feature = "ipc")]
use crate::life::Life;

pub use socket::Target;
#[cfg(feature = "ipc")]
pub use trouble::Trouble;

/// Whether this build can talk to the socket.
pub const BUILT_IN: bool = cfg!(feature = "ipc");

/// How to wait for tips.
#[derive(Clone, PartialEq, Eq, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// How long the node may take to say that its tip is still the same
    ///
    /// It answers at once when its tip changes, and after this time in any case: one that hangs is noticed a minute later. An answer
    /// costs the node some microseconds.
    #[arg(long, default_value = "30s", value_parser = crate::interval::parse, value_name = "TIME")]
    pub ipc_wait: Duration,
}

/// Where the socket of one node is.
#[derive(Clone, PartialEq, Eq, Debug, Default, clap::Args)]
#[group(skip)]
pub struct Access {
    /// The node's IPC socket, as given to `bitcoin-node -ipcbind=unix:PATH`
    ///
    /// Default: where the node's command line or its bitcoin.conf say, else `node.sock` in the network's folder of its data directory.
    /// Whoever may connect there can do with the node what its owner can.
    #[arg(long, value_name = "PATH")]
    pub ipc_socket: Option<PathBuf>,
}

/// Says where the socket of a life of the node is; of no life, where it will probably be. It is asked before each attempt to connect: the
/// next life may have another data directory. It may read files.
#[cfg(feature = "ipc")]
pub type Locate = std::sync::Arc<dyn Fn(Option<&Life>) -> Target + Send + Sync>;

/// Publishes each tip of the node, through all its lives, until told to stop. `node` is the node's process, where it can be found.
///
/// A node that does not run, does not listen, or is too old is no error: it is waited for. The connection has a thread of its own, as
/// Cap'n Proto's objects stay on the one that made them.
///
/// # Errors
///
/// The system has no thread to give.
#[cfg(feature = "ipc")]
pub async fn run(
    config: Config,
    locate: Locate,
    node: tokio::sync::watch::Receiver<Option<Life>>,
    out: Publisher,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let (done, ended) = tokio::sync::oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = move || {
        runtime.block_on(watch::Watch::new(config, locate, node, out).run(stop));
        // nobody listens any more only when the program is ending anyway
        let _ = done.send(());
    };
    std::thread::Builder::new().name("po-ipc".into()).spawn(work)?;
    ended.await.map_err(|_| anyhow::anyhow!("the thread of the IPC socket panicked"))
}

/// What there is to know of a node's socket: which calls it answers.
///
/// # Errors
///
/// Why there are no tips to be had from it.
#[cfg(feature = "ipc")]
pub async fn check(target: &Target) -> Result<Vec<&'static str>, Trouble> {
    let target = target.clone();
    let (send, receive) = tokio::sync::oneshot::channel();
    let gone = || Trouble::Away("the thread that asks has ended".into());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|_| gone())?;
    let work = move || drop(send.send(runtime.block_on(watch::look(&target))));
    std::thread::Builder::new().name("po-ipc".into()).spawn(work).map_err(|_| gone())?;
    receive.await.unwrap_or_else(|_| Err(gone()))
}

#[cfg(all(test, feature = "ipc"))]
mod tests;
