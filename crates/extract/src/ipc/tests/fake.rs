//! A node's side of the socket, by a script.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use bitcoin_capnp_types::capnp::{Error, capability::FromServer};
use bitcoin_capnp_types::capnp_rpc::rpc_twoparty_capnp::Side;
use bitcoin_capnp_types::capnp_rpc::{RpcSystem, new_client, twoparty::VatNetwork};
use bitcoin_capnp_types::{
    echo_capnp::echo,
    init_capnp::init,
    mining_capnp::mining,
    proxy_capnp::{thread, thread_map},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

use crate::ipc::meter::{Meter, Metered};
use crate::ipc::mining::Tip;

/// A tip that is told from others by its height.
pub(super) fn tip(height: i32) -> Tip {
    let mut hash = [0xab; 32];
    hash[..4].copy_from_slice(&height.to_le_bytes());
    Tip { hash, height }
}

/// What the node does. Calls are named as in its schema.
#[derive(Clone, Default)]
pub(super) struct Script {
    /// One after the other, an answer each; after the last it shuts down.
    pub(super) tips: Vec<Tip>,
    /// It does not shut down, but keeps its last tip.
    pub(super) stays: bool,
    /// A call that it does not know.
    pub(super) unknown: Option<&'static str>,
    /// A call that it refuses, and with which words.
    pub(super) refused: Option<(&'static str, &'static str)>,
    /// A call that it does not answer.
    pub(super) stalls: Option<&'static str>,
    /// Its first tip: length of the hash, and height.
    pub(super) odd_tip: Option<(usize, i32)>,
    /// It closes the connection then.
    pub(super) hangs_up_after: Option<Duration>,
}

/// The node, as every object of it knows it.
#[derive(Clone)]
pub(super) struct Fake(Rc<Inner>);

struct Inner {
    script: Script,
    tips: RefCell<VecDeque<Tip>>,
    calls: Rc<RefCell<Vec<&'static str>>>,
    interrupted: Notify,
}

impl Fake {
    pub(super) fn new(script: Script) -> Self {
        let tips = RefCell::new(script.tips.clone().into());
        Self(Rc::new(Inner { script, tips, calls: Rc::default(), interrupted: Notify::new() }))
    }

    /// What was called, in order.
    pub(super) fn calls(&self) -> Rc<RefCell<Vec<&'static str>>> {
        Rc::clone(&self.0.calls)
    }

    /// Answers until the connection is closed.
    pub(super) async fn serve(self, stream: impl AsyncRead + AsyncWrite + 'static) {
        let patience = self.0.script.hangs_up_after.unwrap_or(Duration::MAX);
        let (input, output) = tokio::io::split(stream);
        let metered = |half| Metered::new(half, Meter::default(), u64::MAX);
        let output = Metered::new(output, Meter::default(), u64::MAX);
        let network = VatNetwork::new(metered(input), output, Side::Server, Default::default());
        let bootstrap: init::Client = new_client(self);
        let system = RpcSystem::new(Box::new(network), Some(bootstrap.client));
        // it ends by the other side's will, or by the script
        let _ = tokio::time::timeout(patience, system).await;
    }

    /// What every call begins with.
    async fn called(&self, call: &'static str) -> Result<(), Error> {
        self.0.calls.borrow_mut().push(call);
        let script = &self.0.script;
        if script.stalls == Some(call) {
            std::future::pending::<()>().await;
        }
        match script.refused {
            Some((refused, reason)) if refused == call => Err(Error::failed(reason.into())),
            _ if script.unknown == Some(call) => Err(Error::unimplemented("Method not implemented.".into())),
            _ => Ok(()),
        }
    }

    /// Like the node's: the next tip, the same one when the wait is over, or nothing when it is called off.
    async fn next_tip(&self, current: &[u8], wait: Duration) -> Option<Tip> {
        let known = current.iter().any(|byte| *byte != 0);
        let next = {
            let mut tips = self.0.tips.borrow_mut();
            if known && (tips.len() > 1 || !self.0.script.stays) {
                tips.pop_front();
            }
            tips.front().copied()
        };
        if next.is_some_and(|tip| tip.hash == *current) {
            let interrupted = tokio::time::timeout(wait, self.0.interrupted.notified()).await.is_ok();
            if interrupted {
                self.0.calls.borrow_mut().push("wait interrupted");
                return None;
            }
        }
        next
    }
}

impl init::Server for Fake {
    async fn construct(self: Rc<Self>, _: init::ConstructParams, mut results: init::ConstructResults) -> Result<(), Error> {
        self.called("construct").await?;
        results.get().set_thread_map(object(&self));
        Ok(())
    }

    async fn make_echo(self: Rc<Self>, _: init::MakeEchoParams, mut results: init::MakeEchoResults) -> Result<(), Error> {
        self.called("makeEcho").await?;
        results.get().set_result(object(&self));
        Ok(())
    }

    async fn make_mining(self: Rc<Self>, _: init::MakeMiningParams, mut results: init::MakeMiningResults) -> Result<(), Error> {
        self.called("makeMining").await?;
        results.get().set_result(object(&self));
        Ok(())
    }
}

impl thread_map::Server for Fake {
    async fn make_thread(
        self: Rc<Self>,
        _: thread_map::MakeThreadParams,
        mut results: thread_map::MakeThreadResults,
    ) -> Result<(), Error> {
        self.called("makeThread").await?;
        results.get().set_result(object(&self));
        Ok(())
    }
}

impl thread::Server for Fake {}

impl echo::Server for Fake {
    async fn echo(self: Rc<Self>, params: echo::EchoParams, mut results: echo::EchoResults) -> Result<(), Error> {
        self.called("echo").await?;
        results.get().set_result(params.get()?.get_echo()?);
        Ok(())
    }
}

impl mining::Server for Fake {
    async fn wait_tip_changed(
        self: Rc<Self>,
        params: mining::WaitTipChangedParams,
        mut results: mining::WaitTipChangedResults,
    ) -> Result<(), Error> {
        self.called("waitTipChanged").await?;
        let params = params.get()?;
        assert!(params.get_context()?.has_thread(), "calls on no thread are not carried out");
        let mut result = results.get().init_result();
        if let Some((length, height)) = self.0.script.odd_tip {
            result.set_hash(&vec![1; length]);
            result.set_height(height);
            return Ok(());
        }
        let wait = Duration::from_secs_f64(params.get_timeout() / 1e3);
        if let Some(tip) = self.next_tip(params.get_current_tip()?, wait).await {
            result.set_hash(&tip.hash);
            result.set_height(tip.height);
        }
        Ok(())
    }

    async fn interrupt(self: Rc<Self>, _: mining::InterruptParams, _: mining::InterruptResults) -> Result<(), Error> {
        self.called("interrupt").await?;
        self.0.interrupted.notify_one();
        Ok(())
    }
}

/// The node as an object of another interface.
fn object<C: FromServer<Fake>>(node: &Rc<Fake>) -> C {
    new_client(Fake::clone(node))
}
