//! One node's socket, through all lives of the node.

use std::cell::RefCell;
use std::mem::{Discriminant, discriminant};
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use bus::Publisher;
use event::{ChainTip, HealthAttached, HealthDetached, HealthLost};
use futures_util::FutureExt as _;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};

use super::mining::Tip;
use super::session::{self, End, News};
use super::socket::{self, Socket};
use super::{Config, Locate, Target, Trouble};
use crate::clock::now;
use crate::life::Life;

const BEAT: Duration = Duration::from_secs(1);
/// How soon a socket that nobody listens at is tried again: at first, and after a while. That costs the node nothing.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// The same for one where somebody is, but not as a node should be.
const RETRY_STRANGER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A connection that was good for so long counts as one that worked.
const LASTED: Duration = Duration::from_secs(10);
/// A node that has just restarted may listen before its new process is found.
const IDENTITY_TIME: Duration = Duration::from_secs(3);
/// The same where no process of the node was ever found; maybe there is nobody who could find it.
const UNKNOWN_TIME: Duration = Duration::from_secs(1);
/// How long somebody is asked who only wants to know.
const LOOK: Duration = Duration::from_secs(5);

pub(super) struct Watch {
    config: Config,
    locate: Locate,
    node: watch::Receiver<Option<Life>>,
    out: Publisher,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// Where the socket was looked for last.
    path: PathBuf,
    /// What was last said of the node, if anything.
    said: Option<Said>,
    /// The node's process was found once, so it can be found.
    node_known: bool,
    /// Who is at the other end.
    pid: Option<u32>,
    node_run: Option<u64>,
    /// The last tip that was told.
    tip: Option<Tip>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Attached,
    /// Which sort of trouble there is.
    Trouble(Discriminant<Trouble>),
}

impl Watch {
    pub(super) fn new(config: Config, locate: Locate, node: watch::Receiver<Option<Life>>, out: Publisher) -> Self {
        Self { config, locate, node, out, state: RefCell::default() }
    }

    pub(super) async fn run(&self, stop: impl Future<Output = ()>) {
        let (leave, leaving) = watch::channel(false);
        let (mut stop, mut lives) = (pin!(stop.fuse()), pin!(self.lives(leaving)));
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = beat.tick() => self.beat(),
                () = &mut stop => drop(leave.send_replace(true)),
                () = &mut lives => break,
            }
        }
        self.beat();
    }

    fn beat(&self) {
        let node_run = {
            let mut state = self.state.borrow_mut();
            if let Some(life) = &*self.node.borrow() {
                state.node_known = true;
                // its process may be found after its socket
                if state.pid == Some(life.pid) {
                    state.node_run = Some(life.node_run);
                }
            }
            state.node_run
        };
        // a tip is published when it comes
        self.out.beat(now(), node_run, 0, None, None);
    }

    /// Connects, again and again, until it is time to leave.
    async fn lives(&self, mut leaving: watch::Receiver<bool>) {
        let mut delay = RETRY.0;
        loop {
            let begun = Instant::now();
            let Some(ended) = unless(&mut leaving, self.reach()).await else { return };
            let ended = match ended {
                // ends by itself when it is time to leave, politely
                Ok(socket) => self.follow(socket, leaving.clone()).await,
                Err(trouble) => Err(trouble),
            };
            let trouble = match ended {
                Ok(End::Stopped) => return,
                Ok(End::Renew) => continue,
                Err(trouble) => trouble,
            };
            let worked = self.attached() && begun.elapsed() >= LASTED;
            self.troubled(&trouble);
            let (first, longest) = if trouble.passes() { RETRY } else { RETRY_STRANGER };
            delay = if worked { first } else { delay.clamp(first, longest) };
            if unless(&mut leaving, sleep(delay)).await.is_none() {
                return;
            }
            delay = (delay * 2).min(longest);
        }
    }

    /// A connection to the node.
    async fn reach(&self) -> Result<Socket, Trouble> {
        let life = self.node.borrow().clone();
        let target = (self.locate)(life.as_ref());
        self.state.borrow_mut().path = target.path.clone();
        let socket = socket::open(&target).await?;
        let life = self.identify(&socket, &target).await?;
        let mut state = self.state.borrow_mut();
        (state.pid, state.node_run) = (socket.pid, life.map(|life| life.node_run));
        Ok(socket)
    }

    /// The life of the node whose socket it is; nothing where no process is known.
    async fn identify(&self, socket: &Socket, target: &Target) -> Result<Option<Life>, Trouble> {
        let mut node = self.node.clone();
        let known = {
            let mut state = self.state.borrow_mut();
            state.node_known |= node.borrow().is_some();
            state.node_known
        };
        let is_node = |life: &Option<Life>| life.as_ref().is_some_and(|life| socket.pid.is_none_or(|pid| pid == life.pid));
        let deadline = Instant::now() + if known { IDENTITY_TIME } else { UNKNOWN_TIME };
        if let Ok(Ok(life)) = timeout_at(deadline, node.wait_for(is_node)).await {
            return Ok(life.clone());
        }
        let life = node.borrow();
        match (&target.owner, socket.pid, &*life) {
            // whoever it is, it is meant
            (None, ..) => Ok(None),
            (Some(_), Some(pid), Some(life)) => Err(Trouble::Stranger(format!(
                "who listens at {} is process {pid}, and the node is process {}",
                target.path.display(),
                life.pid
            ))),
            (Some(_), _, None) if known => Err(Trouble::Away("the node does not run".into())),
            (Some(_), ..) => Ok(None),
        }
    }

    /// Follows the node's tip over one connection.
    async fn follow(&self, socket: Socket, mut leaving: watch::Receiver<bool>) -> Result<End, Trouble> {
        let stop = async { drop(leaving.wait_for(|leaving| *leaving).await) };
        let mut tell = |news| self.tell(news);
        session::run(socket.stream, self.config.ipc_wait, stop, &mut tell).await
    }

    fn tell(&self, news: News) {
        match news {
            News::Loading => {
                tracing::info!(path = %self.path(), "the node is loading its chain; tips come after that");
            }
            News::TooOld(trouble) => self.troubled(&trouble),
            News::Tip(tip) => self.tip(tip),
            News::Attached { tip, .. } if self.attached() => {
                // the same life of the node, over another connection
                if self.state.borrow().tip != Some(tip) {
                    self.tip(tip);
                }
            }
            News::Attached { answers, missing, tip } => {
                self.state.borrow_mut().said = Some(Said::Attached);
                tracing::info!(path = %self.path(), "following the node's tip over IPC");
                let words = |calls: Vec<&str>| calls.into_iter().map(str::to_owned).collect();
                let attached = HealthAttached {
                    pid: self.state.borrow().pid,
                    target: self.path(),
                    attached: words(answers),
                    missing: words(missing),
                    unlisted: Vec::new(),
                };
                self.publish(attached);
                self.missed(tip);
                self.tip(tip);
            }
        }
    }

    fn tip(&self, tip: Tip) {
        self.state.borrow_mut().tip = Some(tip);
        self.publish(ChainTip::from(tip));
    }

    /// Says how many tips came and went while nobody listened, as far as heights tell. Within a connection a node that connects blocks
    /// faster than it answers passes some as well; that is how the interface works, and no loss.
    fn missed(&self, tip: Tip) {
        let before = self.state.borrow().tip;
        let passed = before.map_or(0, |before| i64::from(tip.height) - i64::from(before.height) - 1);
        if let Ok(count @ 1..) = u64::try_from(passed) {
            self.publish(HealthLost { probe: super::mining::SOURCE.into(), count, ..HealthLost::default() });
        }
    }

    /// Says that there are no tips, once for each sort of trouble.
    fn troubled(&self, trouble: &Trouble) {
        let said = Some(Said::Trouble(discriminant(trouble)));
        let before = std::mem::replace(&mut self.state.borrow_mut().said, said);
        if before == said {
            tracing::debug!(%trouble, "still no tips over IPC");
            return;
        }
        if before == Some(Said::Attached) {
            tracing::warn!(%trouble, hint = trouble.hint(), "lost the node's tip over IPC; waiting for it");
        } else {
            tracing::warn!(%trouble, hint = trouble.hint(), "no tips over IPC; waiting for them");
        }
        let (pid, target) = (self.state.borrow().pid, self.path());
        self.publish(HealthDetached { pid, target, reason: trouble.to_string() });
        let mut state = self.state.borrow_mut();
        (state.pid, state.node_run) = (None, None);
    }

    /// Where the socket is, for a message.
    fn path(&self) -> String {
        self.state.borrow().path.display().to_string()
    }

    fn attached(&self) -> bool {
        self.state.borrow().said == Some(Said::Attached)
    }

    fn publish(&self, kind: impl Into<event::Kind>) {
        let node_run = self.state.borrow().node_run;
        self.out.publish(now(), node_run, kind);
    }
}

/// Does it, unless it is time to leave.
async fn unless<T>(leaving: &mut watch::Receiver<bool>, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        _ = leaving.wait_for(|leaving| *leaving) => None,
        done = work => Some(done),
    }
}

/// Connects once, and gives the calls that are answered.
pub(super) async fn look(target: &Target) -> Result<Vec<&'static str>, Trouble> {
    let Socket { stream, .. } = socket::open(target).await?;
    let (heard, found) = (Notify::new(), RefCell::new(None));
    let mut tell = |news| {
        found.replace(Some(match news {
            News::Attached { answers, .. } => Ok(answers),
            News::Loading => Err(Trouble::Away("the node is loading its chain".into())),
            News::TooOld(trouble) => Err(trouble),
            News::Tip(_) => return,
        }));
        heard.notify_one();
    };
    let ended = timeout(LOOK, session::run(stream, LOOK, heard.notified(), &mut tell)).await;
    match (found.take(), ended) {
        (Some(found), _) => found,
        (None, Ok(Err(trouble))) => Err(trouble),
        (None, _) => Err(Trouble::Stalled { call: "a greeting", after: LOOK }),
    }
}
