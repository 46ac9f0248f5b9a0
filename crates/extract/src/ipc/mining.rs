//! The interface `Mining`, of which one call is used: waiting for another tip.

use std::time::Duration;

use bitcoin_capnp_types::capnp;
use bitcoin_capnp_types::init_capnp::init::make_mining_results;
use bitcoin_capnp_types::mining_capnp::mining;
use bitcoin_capnp_types::proxy_capnp::thread;
use event::ChainTip;
use tokio::time::{Instant, sleep};

use super::session::{Call, Remote, answer};
use super::trouble::Trouble;

const MAKE: Call = Call("Init.makeMining");
const WAIT: Call = Call("Mining.waitTipChanged");
/// What tips come from, where some are missing.
pub(super) const SOURCE: &str = WAIT.0;

/// How long the node may be late: it takes its main lock for the answer, which it may hold for a minute while it writes to disk.
const LATE: Duration = Duration::from_secs(60);
/// A node that says at once that nothing has changed is not asked again at once.
const PAUSE: Duration = Duration::from_millis(100);

/// The node's tip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tip {
    /// In the order of bytes that the node has it in.
    pub(super) hash: [u8; 32],
    pub(super) height: i32,
}

/// Before the first answer: no block has this hash, so that any tip is another one.
const NONE: [u8; 32] = [0; 32];

impl From<Tip> for ChainTip {
    fn from(tip: Tip) -> Self {
        Self { hash: tip.hash.to_vec().into(), height: tip.height, ..Self::default() }
    }
}

/// The node's object, and the thread that waits in it.
pub(super) struct Mining {
    client: mining::Client,
    thread: thread::Client,
}

impl Mining {
    /// Makes the object. While the node is loading its chain this takes as long as that does; a node that goes ends it.
    ///
    /// # Errors
    ///
    /// The node is too old, or refuses.
    pub(super) async fn attach(remote: &mut Remote) -> Result<Self, Trouble> {
        let thread = remote.thread("peer-observer").await?;
        let mut request = remote.init.make_mining_request();
        request.get().init_context().set_thread(thread.clone());
        let made = answer(MAKE, Duration::MAX, request.send().promise).await?;
        let made = made.ok_or_else(|| remote.lacks(MAKE))?;
        remote.does(MAKE);
        // a node that is told to stop while it loads answers with nothing
        let client = made
            .get()
            .and_then(make_mining_results::Reader::get_result)
            .map_err(|_| Trouble::Away("the node is shutting down".into()))?;
        Ok(Self { client, thread })
    }

    /// The first tip: the one that the node has.
    ///
    /// # Errors
    ///
    /// As [`Mining::follow`].
    pub(super) async fn first(&self, remote: &mut Remote, wait: Duration) -> Result<Tip, Trouble> {
        match self.tip(NONE, wait).await {
            Ok(tip) => {
                remote.does(WAIT);
                Ok(tip)
            }
            Err(Fault::Unknown) => Err(remote.lacks(WAIT)),
            Err(Fault::Trouble(trouble)) => Err(trouble),
        }
    }

    /// Tells each tip after `last`, until `enough` of the connection was used.
    ///
    /// # Errors
    ///
    /// The node goes, hangs, or says what no node says.
    pub(super) async fn follow(
        &self,
        last: &mut Tip,
        wait: Duration,
        enough: impl Fn() -> bool,
        tell: &mut dyn FnMut(Tip),
    ) -> Result<(), Trouble> {
        while !enough() {
            let asked = Instant::now();
            match self.tip(last.hash, wait).await {
                Ok(tip) if tip.hash != last.hash => {
                    *last = tip;
                    tell(tip);
                }
                Ok(_) if asked.elapsed() < wait / 2 => sleep(PAUSE).await,
                Ok(_) => {}
                Err(Fault::Unknown) => return Err(Trouble::Nonsense(format!("{} is not known any more", WAIT.0))),
                Err(Fault::Trouble(trouble)) => return Err(trouble),
            }
        }
        Ok(())
    }

    /// Ends a wait in the node: else it would keep one of the node's threads until it is over. Only our own waits hear it.
    pub(super) async fn interrupt(&self) {
        // known since 31; where it is not, the wait ends by itself
        drop(self.client.interrupt_request().send().promise.await);
    }

    /// The tip, as soon as it is not `current`, or when the wait is over.
    async fn tip(&self, current: [u8; 32], wait: Duration) -> Result<Tip, Fault> {
        let mut request = self.client.wait_tip_changed_request();
        let mut arguments = request.get();
        arguments.set_current_tip(&current);
        arguments.set_timeout(wait.as_secs_f64() * 1e3);
        arguments.init_context().set_thread(self.thread.clone());
        let answered = answer(WAIT, wait + LATE, request.send().promise).await?;
        let answered = answered.ok_or(Fault::Unknown)?;
        let read = || {
            let block = answered.get()?.get_result()?;
            Ok((block.get_hash()?, block.get_height()))
        };
        let (hash, height) = read().map_err(|error: capnp::Error| Trouble::Nonsense(error.to_string()))?;
        if hash.is_empty() {
            return Err(Trouble::Away("the node is shutting down".into()).into());
        }
        match (hash.try_into(), height) {
            (Ok(hash), 0..) => Ok(Tip { hash, height }),
            _ => Err(Trouble::Nonsense(format!("a tip with a hash of {} bytes at height {height}", hash.len())).into()),
        }
    }
}

/// Why there is no tip.
enum Fault {
    /// The call is not known.
    Unknown,
    Trouble(Trouble),
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}
