//! One connection: who is there, what it answers, and its tips.
//!
//! What is foreign here is parsed by `capnp`, within these bounds: a message of [`LIMITS`], all that is read before it is our turn to ask
//! again of [`MOST`]; after [`ENOUGH`] the connection is made anew, so that nothing in it grows for ever. No call waits without an end,
//! but the one that a node answers when it has loaded its chain; and that one ends with the connection.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;

use bitcoin_capnp_types::capnp::{self, ErrorKind, message::ReaderOptions};
use bitcoin_capnp_types::capnp_rpc::rpc_twoparty_capnp::Side;
use bitcoin_capnp_types::capnp_rpc::{RpcSystem, twoparty::VatNetwork};
use bitcoin_capnp_types::init_capnp::init;
use bitcoin_capnp_types::proxy_capnp::{thread, thread_map};
use futures_util::FutureExt as _;
use futures_util::io::{BufReader, BufWriter};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::meter::{Meter, Metered};
use super::mining::{Mining, Tip};
use super::trouble::{Trouble, quote};

/// A message, 64 KiB: answers have some hundred bytes.
const LIMITS: ReaderOptions = ReaderOptions { traversal_limit_in_words: Some(8 << 10), nesting_limit: 32 };
/// Five thousand answers, twelve hours of them while nothing happens.
const ENOUGH: u64 = 1 << 20;
const MOST: u64 = 4 * ENOUGH;
/// How long a node may take for what its socket's own thread answers.
const ANSWER: Duration = Duration::from_secs(10);
/// A node that takes longer for its interfaces is still loading its chain.
const LOADED: Duration = Duration::from_secs(2);
/// How long the node may take for the last answer. No connection is closed with a call under way, if that can be helped: a node of 31
/// whose client goes after it has read a call and before it begins with it reads memory that is gone, and crashes.
const FAREWELL: Duration = Duration::from_millis(500);

/// A call, as Bitcoin Core's schema names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Call(pub(super) &'static str);

const CONSTRUCT: Call = Call("Init.construct");
const THREAD: Call = Call("ThreadMap.makeThread");
const ECHO: Call = Call("Echo.echo");

/// What a connection tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum News {
    /// The node will answer when it has loaded its chain.
    Loading,
    /// There are tips to be had; this is the first.
    Attached { answers: Vec<&'static str>, missing: Vec<&'static str>, tip: Tip },
    /// Another tip.
    Tip(Tip),
    /// There are none to be had, for as long as this node runs.
    TooOld(Trouble),
}

/// How a connection ends that nothing is wrong with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// It was told to.
    Stopped,
    /// It has been used enough.
    Renew,
}

/// Follows the node's tip over a connection, until `stop` or until it is used up.
///
/// # Errors
///
/// What is wrong with the connection, or with whoever is there.
pub(super) async fn run<S>(
    stream: S,
    wait: Duration,
    stop: impl Future<Output = ()>,
    tell: &mut dyn FnMut(News),
) -> Result<End, Trouble>
where
    S: AsyncRead + AsyncWrite + 'static,
{
    let mut session = Box::pin(connect(stream, wait, stop, tell));
    // `capnp-rpc` takes some numbers of the other side's for places in its tables: what it does not survive is one connection
    let ended = AssertUnwindSafe(&mut session).catch_unwind().await;
    let dropped = std::panic::catch_unwind(AssertUnwindSafe(|| drop(session)));
    match (ended, dropped) {
        (Ok(ended), Ok(())) => ended,
        _ => Err(Trouble::Nonsense("Cap'n Proto's code gave up on it".into())),
    }
}

async fn connect<S>(stream: S, wait: Duration, stop: impl Future<Output = ()>, tell: &mut dyn FnMut(News)) -> Result<End, Trouble>
where
    S: AsyncRead + AsyncWrite + 'static,
{
    let meter = Meter::default();
    let (input, output) = tokio::io::split(stream);
    let input = BufReader::new(Metered::new(input, meter.clone(), MOST));
    let output = BufWriter::new(Metered::new(output, Meter::default(), MOST));
    let mut system = RpcSystem::new(Box::new(VatNetwork::new(input, output, Side::Client, LIMITS)), None);
    let init: init::Client = system.bootstrap(Side::Server);
    let talk = talk(init, wait, &meter, stop, tell);
    tokio::select! {
        biased;
        ended = &mut system => Err(match ended {
            Ok(()) => Trouble::Away("the connection was closed".into()),
            Err(error) => blame(&error),
        }),
        end = talk => end,
    }
}

async fn talk(
    init: init::Client,
    wait: Duration,
    meter: &Meter,
    stop: impl Future<Output = ()>,
    tell: &mut dyn FnMut(News),
) -> Result<End, Trouble> {
    let mut stop = pin!(stop);
    let attached = {
        let mut attaching = pin!(attach(init, wait, tell));
        tokio::select! {
            attached = &mut attaching => attached,
            () = &mut stop => {
                // see `FAREWELL`
                drop(timeout(FAREWELL, attaching).await);
                return Ok(End::Stopped);
            }
        }
    };
    let (mining, remote, mut tip) = match attached {
        Ok(attached) => attached,
        Err(trouble @ Trouble::TooOld { .. }) => {
            tell(News::TooOld(trouble));
            // another node there means another connection
            stop.await;
            return Ok(End::Stopped);
        }
        Err(trouble) => return Err(trouble),
    };
    tell(News::Attached { answers: remote.answers, missing: remote.missing, tip });
    let left = Cell::new(false);
    let mut tell = |tip| tell(News::Tip(tip));
    let mut following = pin!(mining.follow(&mut tip, wait, || left.get() || meter.read() >= ENOUGH, &mut tell));
    tokio::select! {
        ended = &mut following => return ended.map(|()| End::Renew),
        () = &mut stop => left.set(true),
    }
    // the wait that is under way is called off and let come to its end; dropped, it would also keep a thread of the node for a while
    drop(timeout(FAREWELL, async { tokio::join!(mining.interrupt(), following) }).await);
    Ok(End::Stopped)
}

/// From the introduction to the first tip.
async fn attach(init: init::Client, wait: Duration, tell: &mut dyn FnMut(News)) -> Result<(Mining, Remote, Tip), Trouble> {
    let mut remote = Remote::open(init).await?;
    let mining = {
        let mut attaching = pin!(Mining::attach(&mut remote));
        match timeout(LOADED, &mut attaching).await {
            Ok(mining) => mining?,
            Err(_) => {
                tell(News::Loading);
                attaching.await?
            }
        }
    };
    let tip = mining.first(&mut remote, wait).await?;
    Ok((mining, remote, tip))
}

/// A node that answers, and what was found out about it.
pub(super) struct Remote {
    pub(super) init: init::Client,
    threads: thread_map::Client,
    answers: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl Remote {
    /// Introduces us, as every client has to, and looks whether an answer comes back.
    async fn open(init: init::Client) -> Result<Self, Trouble> {
        let constructed = answer(CONSTRUCT, ANSWER, init.construct_request().send().promise).await?;
        let threads = constructed.ok_or_else(|| Trouble::Nonsense(format!("{} is not known there", CONSTRUCT.0)))?;
        let threads = threads.get().and_then(init::construct_results::Reader::get_thread_map).map_err(|error| blame(&error))?;
        let mut remote = Self { init, threads, answers: vec![CONSTRUCT.0], missing: vec![] };
        let thread = remote.thread("peer-observer probe").await?;
        remote.echo(&thread).await?;
        Ok(remote)
    }

    /// A thread in the node, on which calls are carried out one after the other. It ends when it is dropped.
    pub(super) async fn thread(&mut self, name: &str) -> Result<thread::Client, Trouble> {
        let mut request = self.threads.make_thread_request();
        request.get().set_name(name);
        let made = answer(THREAD, ANSWER, request.send().promise).await?;
        let made = made.ok_or_else(|| Trouble::Nonsense(format!("{} is not known there", THREAD.0)))?;
        let thread = made.get().and_then(thread_map::make_thread_results::Reader::get_result).map_err(|error| blame(&error))?;
        self.does(THREAD);
        Ok(thread)
    }

    /// Echo is of no use but to see that calls come through; a node without is as good.
    async fn echo(&mut self, thread: &thread::Client) -> Result<(), Trouble> {
        const WORD: &str = "peer-observer";
        let echo = async {
            let mut request = self.init.make_echo_request();
            request.get().init_context().set_thread(thread.clone());
            let echo = request.send().promise.await?.get()?.get_result()?;
            let mut request = echo.echo_request();
            request.get().set_echo(WORD);
            request.get().init_context().set_thread(thread.clone());
            Ok(request.send().promise.await?.get()?.get_result()? == WORD)
        };
        match answer(ECHO, ANSWER, echo).await {
            Ok(Some(true)) => self.does(ECHO),
            Ok(None) | Err(Trouble::Refused { .. }) => self.missing.push(ECHO.0),
            Ok(Some(false)) => return Err(Trouble::Nonsense("an echo that says something else".into())),
            Err(trouble) => return Err(trouble),
        }
        Ok(())
    }

    /// Remembers that a call is answered.
    pub(super) fn does(&mut self, call: Call) {
        if !self.answers.contains(&call.0) {
            self.answers.push(call.0);
        }
    }

    /// What follows from a call that is not known, and that nothing works without.
    pub(super) fn lacks(&self, call: Call) -> Trouble {
        Trouble::TooOld { missing: call.0, answers: self.answers.clone() }
    }
}

/// The answer to a call; `None` where the node does not know it.
pub(super) async fn answer<T>(
    call: Call,
    limit: Duration,
    promise: impl Future<Output = Result<T, capnp::Error>>,
) -> Result<Option<T>, Trouble> {
    match timeout(limit, promise).await {
        Ok(Ok(answer)) => Ok(Some(answer)),
        Ok(Err(error)) if error.kind == ErrorKind::Unimplemented => Ok(None),
        Ok(Err(error)) => Err(match error.extra.strip_prefix(REMOTE) {
            Some(reason) if error.kind != ErrorKind::Disconnected => Trouble::Refused { call: call.0, reason: quote(reason) },
            _ => blame(&error),
        }),
        Err(_) => Err(Trouble::Stalled { call: call.0, after: limit }),
    }
}

/// How `capnp-rpc` begins what the other side says of a call that failed; everything else is its own opinion.
const REMOTE: &str = "remote exception: ";

/// What an error of the connection itself means.
fn blame(error: &capnp::Error) -> Trouble {
    match error.kind {
        ErrorKind::Disconnected | ErrorKind::PrematureEndOfFile => Trouble::Away("the connection was closed".into()),
        // what comes after the first sentence is advice to whoever uses the library
        ErrorKind::Failed => Trouble::Nonsense(quote(error.extra.split(". ").next().unwrap_or_default())),
        _ => Trouble::Nonsense(quote(&error.to_string())),
    }
}
