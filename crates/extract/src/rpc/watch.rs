//! One node, watched through all its lives.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bus::Publisher;
use event::{FetchOutcome, HealthAttached, HealthDetached, Kind, StateFetched};
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::client::{Answer, CallError, Connection};
use super::lane::Lane;
use super::methods::{METHODS, Method, Weight};
use super::profile::Profile;
use super::{Config, Locate, Target, in_order};
use crate::clock::now;
use crate::life::{self, Life};

const BEAT: Duration = Duration::from_secs(1);
/// How soon a node that does not answer is asked again: at first, and after a while.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// How soon something that answers, but not as a node does, is asked again; the same for a secret that was refused and did not change,
/// since the node logs each try.
const RETRY_STRANGER: Duration = Duration::from_secs(30);
/// A connection closed so soon after an answer says nothing of the node: servers may close after each.
const CLOSED_AT_ONCE: Duration = Duration::from_secs(1);
/// `uptime` has whole seconds, and the clock is read a moment later.
const SAME_START: u64 = 3;
/// How long the process of a node that answers is waited for: it is found a little later than it answers, and says more exactly
/// than the node when it was started. Without this, the first events of a life would be told apart from the rest.
const FIND: Duration = Duration::from_secs(3);
/// An answer of this length or more is decoded on a thread of its own; it takes some milliseconds.
const LONG_ANSWER: usize = 1 << 20;

pub(super) struct Watch {
    config: Config,
    locate: Locate,
    node: Receiver<Option<Life>>,
    out: Publisher,
    state: Mutex<State>,
}

/// How the node was reached.
struct Way {
    target: Target,
    secret: String,
}

struct State {
    /// Whether the last that was said of the node is that it answers.
    up: bool,
    /// Whether it was said at all.
    said: bool,
    /// Its process, where that is known to be what answers.
    pid: Option<u32>,
    /// When it was started, by its process, else by its own account.
    node_run: Option<u64>,
    /// Where it is, or may be.
    address: String,
    /// What was said in the log of a configuration that could not be read.
    unread: Option<String>,
    /// Not allowed, or not there.
    missing: BTreeSet<&'static str>,
    /// Whether that changed after it was last published.
    missing_changed: bool,
    /// Said in the log already; once is enough however often the node restarts.
    warned: BTreeSet<&'static str>,
    profile: Profile,
    /// How the last `uptime` ended while the node did not answer.
    greeting: FetchOutcome,
    lag: u64,
}

impl Watch {
    pub(super) fn new(config: Config, locate: Locate, node: Receiver<Option<Life>>, out: Publisher) -> Self {
        let state = State {
            up: false,
            said: false,
            pid: None,
            node_run: None,
            address: String::new(),
            unread: None,
            missing: BTreeSet::new(),
            missing_changed: false,
            warned: BTreeSet::new(),
            profile: Profile::default(),
            greeting: FetchOutcome::Ok,
            lag: 0,
        };
        Self { config, locate, node, out, state: Mutex::new(state) }
    }

    pub(super) async fn run(&self, stop: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = stop => {}
            _ = self.beats() => {}
            _ = self.lives() => {}
        }
        self.beat();
    }

    async fn beats(&self) -> Infallible {
        let mut ticks = interval(BEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            self.beat();
        }
    }

    fn beat(&self) {
        let (node_run, lag) = {
            let mut state = self.state();
            (state.node_run, std::mem::take(&mut state.lag))
        };
        self.out.beat(now(), node_run, lag, None, None);
    }

    async fn lives(&self) -> Infallible {
        let mut light = Lane::new(Weight::Light, &self.config);
        let mut heavy = Lane::new(Weight::Heavy, &self.config);
        let mut node = self.node.clone();
        loop {
            let (connection, way, fresh) = self.reach(&mut node).await;
            if fresh {
                light.reset();
                heavy.reset();
            }
            // whichever ends first has reason to doubt that the node is there
            tokio::select! {
                () = self.light(&mut light, connection, &way) => {}
                () = self.heavy(&mut heavy, &way) => {}
                () = changed(&mut node) => {}
            }
        }
    }

    /// Asks until the node answers. Also gives how, and whether everything has to be fetched anew.
    async fn reach(&self, node: &mut Receiver<Option<Life>>) -> (Connection, Way, bool) {
        let mut answered: Option<Instant> = None;
        let mut delay = RETRY.0;
        let mut refused: Option<(String, Instant)> = None;
        let mut life = node.borrow_and_update().clone();
        let mut target = self.locate(life.clone()).await;
        loop {
            let mut longest = RETRY.1;
            match target.secret.read() {
                // the same secret again would only fill the node's log
                Ok(secret) if refused.as_ref().is_some_and(|(old, until)| *old == secret && Instant::now() < *until) => {}
                Ok(secret) => match self.greet(&target.address, &secret).await {
                    Ok((connection, uptime)) => {
                        let living = life.as_ref().filter(|life| life::is_there(life.pid));
                        // the one that has ended does not answer, and the one that does was not found yet
                        let findable = target.of_process && node.has_changed().is_ok();
                        let wait = findable && living.is_none() && answered.get_or_insert_with(Instant::now).elapsed() < FIND;
                        if !wait || self.is_known_without_process() {
                            let fresh = self.arrived(living, &target, uptime);
                            return (connection, Way { target, secret }, fresh);
                        }
                    }
                    Err(error) => {
                        self.away(&error);
                        match error {
                            CallError::Unauthorized(_) => refused = Some((secret, Instant::now() + RETRY_STRANGER)),
                            CallError::Unreachable { .. } | CallError::WarmingUp(_) => {}
                            _ => longest = RETRY_STRANGER,
                        }
                    }
                },
                Err(error) => self.away(&error),
            }
            delay = delay.min(longest);
            tokio::select! {
                () = sleep(delay) => delay *= 2,
                // another process may be somewhere else, and know a secret that the one before did not
                () = changed(node) => (delay, refused) = (RETRY.0, None),
            }
            let now_life = node.borrow_and_update().clone();
            // without a process, what lies in its data directory says where it may be, and may change
            if now_life != life || now_life.is_none() {
                target = self.locate(now_life.clone()).await;
                life = now_life;
            }
        }
    }

    async fn locate(&self, life: Option<Life>) -> Target {
        let locate = self.locate.clone();
        // it reads files, of a disk that may hang
        let target = tokio::task::spawn_blocking(move || locate(life.as_ref())).await;
        let target = target.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
        let mut state = self.state();
        state.address.clone_from(&target.address);
        if state.unread != target.unread {
            state.unread.clone_from(&target.unread);
            if let Some(reason) = &target.unread {
                tracing::warn!(
                    reason,
                    hint = "its RPC may be somewhere else; see `--rpc-url`",
                    "where the node's RPC is, is a guess"
                );
            }
        }
        drop(state);
        target
    }

    /// Whether it was reached before and no process was found then: it will not be found now either.
    fn is_known_without_process(&self) -> bool {
        let state = self.state();
        state.up && state.pid.is_none()
    }

    /// Connects and calls `uptime`: the one method that costs nothing and tells lives of the node apart. One that may not be called is
    /// an answer too.
    async fn greet(&self, address: &str, secret: &str) -> Result<(Connection, Option<u64>), CallError> {
        let limit = self.config.rpc_timeout;
        let start = Instant::now();
        let mut read = 0;
        let greeting = async {
            let mut connection = Connection::open(address, secret).await?;
            let answer = connection.call(uptime(), &mut read).await.and_then(|answer| answer.decode(uptime()));
            Ok((connection, answer))
        };
        let greeted = timeout(limit, greeting).await.unwrap_or(Err(CallError::Timeout(limit)));
        let greeted = match greeted {
            Ok((connection, Ok(Kind::StateUptime(uptime)))) => Ok((connection, Some(uptime.seconds))),
            Ok((connection, Err(CallError::Forbidden(_) | CallError::UnknownMethod(_) | CallError::Refused { .. }) | Ok(_))) => {
                Ok((connection, None))
            }
            Ok((_, Err(error))) | Err(error) => Err(error),
        };
        // every try would be ten a second while a node starts: the first of each sort is told
        let outcome = greeted.as_ref().map_or_else(CallError::outcome, |_| FetchOutcome::Ok);
        let before = std::mem::replace(&mut self.state().greeting, outcome);
        if let Err(error) = &greeted
            && outcome != before
        {
            self.fetched(uptime(), start.elapsed(), read, Some(error));
        }
        greeted
    }

    /// The node answers. Whether it is another life of it, or the first that we see.
    fn arrived(&self, life: Option<&Life>, target: &Target, uptime: Option<u64>) -> bool {
        let started = uptime.map(|uptime| (now() / 1_000_000_000).saturating_sub(uptime));
        let is_since = |start: u64| started.is_some_and(|started| started.abs_diff(start) <= SAME_START);
        // what answers at an address that somebody said may be another node than the one on this machine
        let life = life.filter(|life| target.of_process || is_since(life.node_run));
        let mut state = self.state();
        let node_run = match (life, state.node_run) {
            (Some(life), _) => Some(life.node_run),
            // what it says of its start wavers by a second
            (None, Some(before)) if is_since(before) || state.up && started.is_none() => Some(before),
            (None, _) => started,
        };
        let pid = life.map(|life| life.pid);
        let same_life = node_run == state.node_run && (pid.is_none() || state.pid.is_none() || pid == state.pid);
        if state.up && same_life {
            state.pid = pid.or(state.pid);
            return false;
        }
        if state.up {
            // the first seconds were told by its own account only, which may be off by one
            let reason = if state.node_run.is_some_and(is_since) { "its process was found" } else { "it was restarted" };
            drop(state);
            self.detached(reason);
            state = self.state();
        }
        if !same_life || node_run.is_none() {
            state.profile = Profile::new(pid.is_some());
        }
        (state.pid, state.node_run) = (pid, node_run);
        (state.up, state.said) = (true, true);
        state.missing.clear();
        state.missing_changed = false;
        drop(state);
        tracing::info!(address = target.address, "reading the node's state over RPC");
        self.attached();
        true
    }

    /// The node does not answer.
    fn away(&self, error: &CallError) {
        let state = self.state();
        let first = !state.said || state.up;
        drop(state);
        if first {
            tracing::warn!(%error, hint = error.hint(), "the node does not answer over RPC; waiting for it");
            self.detached(&error.to_string());
        }
    }

    fn attached(&self) {
        let state = self.state();
        let enabled: BTreeSet<_> = METHODS.iter().filter(|method| self.config.interval(method).is_some()).map(|m| m.name).collect();
        let attached = HealthAttached {
            pid: state.pid,
            target: state.address.clone(),
            attached: in_order(&enabled.difference(&state.missing).copied().collect()),
            missing: in_order(&state.missing),
            unlisted: Vec::new(),
        };
        self.out.publish(now(), state.node_run, attached);
    }

    fn detached(&self, reason: &str) {
        let mut state = self.state();
        let detached = HealthDetached { pid: state.pid, target: state.address.clone(), reason: reason.to_owned() };
        (state.up, state.said) = (false, true);
        self.out.publish(now(), state.node_run, detached);
    }

    /// Calls the light methods, until there is reason to doubt that the node is there.
    async fn light(&self, lane: &mut Lane, mut connection: Connection, way: &Way) {
        let mut last = Instant::now();
        loop {
            let Some((at, due)) = lane.next() else { return connection.closed().await };
            if due > Instant::now() {
                self.settle();
                tokio::select! {
                    () = sleep_until(due) => {}
                    () = connection.closed() => return sleep_until(due.min(last + CLOSED_AT_ONCE)).await,
                }
            }
            // a server may close after each answer: then each call has a connection of its own
            let open = if connection.is_closed() { None } else { Some(&mut connection) };
            let good = self.fetch(lane, at, open, way).await;
            last = Instant::now();
            if !good {
                return;
            }
        }
    }

    /// Calls the heavy methods, until there is reason to doubt that the node is there. Each has a connection of its own: the node would
    /// close one that is idle for so long.
    async fn heavy(&self, lane: &mut Lane, way: &Way) {
        loop {
            let Some((at, due)) = lane.next() else { return std::future::pending().await };
            sleep_until(due).await;
            if !self.fetch(lane, at, None, way).await {
                return;
            }
        }
    }

    /// Calls a method and publishes what comes of it. `false` when the connection cannot be used again, or the node may be gone.
    async fn fetch(&self, lane: &mut Lane, at: usize, connection: Option<&mut Connection>, way: &Way) -> bool {
        let method = lane.method(at);
        let limit = self.config.rpc_timeout;
        lane.begin(at);
        let start = Instant::now();
        let mut read = 0;
        let call = async {
            match connection {
                Some(connection) => connection.call(method, &mut read).await,
                None => Connection::open(&way.target.address, &way.secret).await?.call(method, &mut read).await,
            }
        };
        let answer = timeout(limit, call).await.unwrap_or(Err(CallError::Timeout(limit)));
        let took = start.elapsed();
        let time = now();
        let decoded = match answer {
            Ok(answer) => decode(answer, method).await,
            Err(error) => Err(error),
        };
        match decoded {
            Ok(kind) => {
                lane.answered(at);
                self.answered(method, time, kind, took, read);
                true
            }
            Err(error) => {
                let failures = lane.failed(at, &error);
                self.fetched(method, took, read, Some(&error));
                self.troubled(method, &error, failures);
                match error {
                    CallError::Unreachable { .. }
                    | CallError::Unauthorized(_)
                    | CallError::NoSecret(_)
                    | CallError::WarmingUp(_) => false,
                    // what is still to come belongs to this call
                    CallError::Timeout(_) | CallError::TooLarge { .. } => false,
                    CallError::Forbidden(_)
                    | CallError::UnknownMethod(_)
                    | CallError::Busy
                    | CallError::Refused { .. }
                    | CallError::Malformed { .. } => true,
                }
            }
        }
    }

    fn answered(&self, method: &'static Method, time: u64, kind: Kind, took: Duration, bytes: u64) {
        let mut state = self.state();
        state.profile.observe(&kind);
        state.missing_changed |= state.missing.remove(method.name);
        let node_run = state.node_run;
        drop(state);
        let fetched = fetched(method, took, bytes, None);
        self.out.publish_batch([(time, node_run, kind), (time, node_run, fetched.into())]);
        self.state().lag = now().saturating_sub(time);
    }

    fn fetched(&self, method: &'static Method, took: Duration, bytes: u64, error: Option<&CallError>) {
        let node_run = self.state().node_run;
        self.out.publish(now(), node_run, fetched(method, took, bytes, error));
    }

    /// Remembers and says what is wrong with one method; trouble with the node itself is for [`Watch::away`].
    fn troubled(&self, method: &'static Method, error: &CallError, failures: u32) {
        let mut state = self.state();
        match error {
            CallError::Forbidden(_) | CallError::UnknownMethod(_) => {
                state.missing_changed |= state.missing.insert(method.name);
                if state.warned.insert(method.name) {
                    tracing::warn!(%error, hint = error.hint(), "goes on without");
                }
            }
            CallError::Unreachable { .. } | CallError::Unauthorized(_) | CallError::NoSecret(_) | CallError::WarmingUp(_) => {}
            _ if failures == 1 => tracing::warn!(%error, hint = error.hint(), "a call to the node failed; it is tried again"),
            _ => tracing::debug!(%error, failures, "a call to the node failed again"),
        }
    }

    /// Publishes what changed, once there is nothing to fetch for the moment.
    fn settle(&self) {
        let mut state = self.state();
        let node_run = state.node_run;
        let profile = state.profile.changed();
        let missing_changed = std::mem::take(&mut state.missing_changed);
        drop(state);
        if let Some(profile) = profile {
            self.out.publish(now(), node_run, profile);
        }
        if missing_changed {
            self.attached();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }
}

/// Waits for another life, or for the end of one.
async fn changed(node: &mut Receiver<Option<Life>>) {
    if node.changed().await.is_err() {
        // nobody looks for its process
        std::future::pending::<()>().await;
    }
}

async fn decode(answer: Answer, method: &'static Method) -> Result<Kind, CallError> {
    if answer.body.len() < LONG_ANSWER {
        return answer.decode(method);
    }
    let decoded = tokio::task::spawn_blocking(move || answer.decode(method)).await;
    decoded.unwrap_or_else(|error| Err(CallError::Malformed { method: method.name, reason: error.to_string() }))
}

fn fetched(method: &'static Method, took: Duration, bytes: u64, error: Option<&CallError>) -> StateFetched {
    StateFetched {
        method: method.name.to_owned(),
        outcome: error.map_or(FetchOutcome::Ok, CallError::outcome).into(),
        duration: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
        bytes,
        error: error.map(ToString::to_string),
    }
}

fn uptime() -> &'static Method {
    Method::of_name("uptime").expect("it is in the table")
}
