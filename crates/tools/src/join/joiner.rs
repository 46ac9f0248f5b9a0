//! The state of a join: pure, one node, event time.

use std::time::Duration;

use event::primary::{LATENESS, Primaries, SILENCE};
use event::{EndReason, Event, HealthAttached, HealthJoined, HealthLost, Kind, KindId, LossStage, Source};

use super::ends::Ends;
use super::life::{Lives, Which};
use super::refusals::Refusals;

/// What is stated: time, node's life, kind.
pub type Fact = (u64, Option<u64>, Kind);

/// How often the account is published, if it changed, nanoseconds.
const ACCOUNT: u64 = 10_000_000_000;
const BEAT: u64 = 1_000_000_000;

/// Joins the facts of one node.
#[derive(Debug)]
pub struct Joiner {
    primaries: Primaries,
    node: String,
    ends: Ends,
    refusals: Refusals,
    window: Window,
    lives: Lives,
    /// When the account was last published, and what it was.
    told: (u64, HealthJoined),
    beaten: u64,
    begun: bool,
    /// What is replayed has been joined before.
    recorded: bool,
}

/// How long a witness is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// How far apart two witnesses date the same fact, nanoseconds.
    pub(super) width: u64,
}

impl Window {
    /// Whether two witnesses may speak of the same fact.
    pub(super) fn joins(self, one: Moment, other: Moment) -> bool {
        let gap =
            if one.time <= other.time { other.time.saturating_sub(one.latest()) } else { one.time.saturating_sub(other.latest()) };
        gap <= self.width
    }
}

/// When something happened, as a source dates it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Moment {
    pub(super) time: u64,
    pub(super) source: Source,
}

impl Moment {
    pub(super) fn of(event: &Event) -> Self {
        Self { time: event.time, source: event.source() }
    }

    /// A log without `-logtimemicros` says only in which second it was.
    fn latest(self) -> u64 {
        const SECOND: u64 = 1_000_000_000;
        if self.source == Source::Log && self.time.is_multiple_of(SECOND) {
            self.time.saturating_add(SECOND - 1)
        } else {
            self.time
        }
    }
}

/// Which witnesses may still have something to say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch<'a> {
    primaries: &'a Primaries,
    node: &'a str,
    window: Window,
}

impl Watch<'_> {
    /// Whether somebody else than `source` watches the node.
    pub(super) fn others(&self, source: Source) -> bool {
        [Source::Ebpf, Source::Log].into_iter().any(|other| other != source && self.primaries.is_alive(self.node, other))
    }

    /// Whether everything was heard that could belong to what happened at `time`.
    pub(super) fn is_over(&self, time: u64) -> bool {
        let end = time.saturating_add(self.window.width);
        let said_all = |source| {
            !self.primaries.is_alive(self.node, source) || self.primaries.beaten(self.node, source).is_some_and(|beat| beat > end)
        };
        let now = self.now();
        now > end && (said_all(Source::Ebpf) && said_all(Source::Log) || now > end.saturating_add(LATENESS))
    }

    pub(super) fn now(&self) -> u64 {
        self.primaries.now(self.node).unwrap_or_default()
    }
}

impl Joiner {
    /// Witnesses of one fact may date it this far apart.
    pub fn new(wait: Duration) -> Self {
        let window = Window { width: u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX) };
        Self {
            primaries: Primaries::default(),
            node: String::new(),
            ends: Ends::new(window),
            refusals: Refusals::new(window),
            window,
            lives: Lives::default(),
            told: (0, HealthJoined::default()),
            beaten: 0,
            begun: false,
            recorded: false,
        }
    }

    /// Time of the node: of its newest beat.
    pub fn now(&self) -> u64 {
        self.primaries.now(&self.node).unwrap_or_default()
    }

    /// The node's life that the last facts were of.
    pub fn node_run(&self) -> Option<u64> {
        self.lives.now()
    }

    /// The time of a beat of our own, once a second of the node's time.
    pub fn beat(&mut self) -> Option<u64> {
        let now = self.now();
        if self.recorded || now < self.beaten.saturating_add(BEAT) && now >= self.beaten {
            return None;
        }
        self.beaten = now;
        Some(now)
    }

    /// Looks at an event; all have to be of one node.
    pub fn observe(&mut self, event: &Event, out: &mut impl FnMut(Fact)) {
        if event.source() == Source::Join {
            self.recorded |= event.replay;
            return;
        }
        if self.recorded {
            return;
        }
        self.begin(event, out);
        let admitted = self.primaries.admit(event);
        if !self.is_of_this_life(event, out) {
            return;
        }
        let watch = Watch { primaries: &self.primaries, node: &self.node, window: self.window };
        match &event.kind {
            Some(Kind::ConnOpened(opened)) => {
                self.ends.opened(opened.peer, &opened.address, opened.connection_type(), opened.network(), event.time, out);
            }
            Some(Kind::StatePeers(state)) => {
                for peer in &state.peers {
                    self.ends.opened(peer.id, &peer.address, peer.connection_type(), peer.network(), event.time, out);
                }
            }
            Some(Kind::ConnClosed(closed)) => self.ends.closed(event, closed, admitted, watch, out),
            Some(Kind::ConnClosing(closing)) => {
                self.ends.reason(event, closing.peer, closing.reason(), &closing.detail, out);
            }
            Some(Kind::ConnEvicted(evicted)) => self.ends.reason(event, evicted.peer, EndReason::Evicted, "", out),
            Some(Kind::ConnMisbehaving(misbehaving)) => self.ends.misbehaved(event, misbehaving, out),
            Some(Kind::MempoolRejected(rejected)) => self.refusals.rejected(event, rejected, watch, &self.ends, out),
            Some(Kind::HealthBeat(_)) => {
                self.ends.pass(watch, out);
                self.refusals.pass(watch, &self.ends, out);
                let (last, _) = self.told;
                let now = self.now();
                if now >= last.saturating_add(ACCOUNT) || now < last {
                    self.tell(out);
                }
            }
            _ => {}
        }
    }

    /// So many events did not reach us: a fact may lack a witness because of that.
    pub fn missed(&mut self, count: u64, out: &mut impl FnMut(Fact)) {
        let lost = HealthLost { stage: LossStage::Subscription.into(), count, ..HealthLost::default() };
        out((self.now(), self.node_run(), lost.into()));
    }

    /// No event follows: states what still waits, and the account.
    pub fn finish(&mut self, out: &mut impl FnMut(Fact)) {
        if self.recorded {
            return;
        }
        self.ends.flush(out);
        self.refusals.flush(&self.ends, out);
        self.tell(out);
    }

    /// Says at the first event that there is a join, so that a replay knows it early.
    fn begin(&mut self, event: &Event, out: &mut impl FnMut(Fact)) {
        if !self.begun {
            self.begun = true;
            self.node.clone_from(&event.node);
            let attached = [KindId::ConnEnded, KindId::MempoolRefused].map(|id| id.name().to_owned()).to_vec();
            let target = "what the probes and the log state".to_owned();
            out((event.time, event.node_run, HealthAttached { target, attached, ..HealthAttached::default() }.into()));
        }
    }

    /// Follows the node's lives; `false` for what belongs to an earlier one.
    fn is_of_this_life(&mut self, event: &Event, out: &mut impl FnMut(Fact)) -> bool {
        match self.lives.of(event) {
            Which::This => true,
            Which::Next => {
                self.ends.flush(out);
                self.ends.forget();
                self.refusals.flush(&self.ends, out);
                true
            }
            Which::Earlier => {
                // the peer ids mean others by now
                match &event.kind {
                    Some(Kind::ConnClosed(_) | Kind::ConnClosing(_) | Kind::ConnEvicted(_)) => self.ends.late(),
                    Some(Kind::MempoolRejected(_)) => self.refusals.late(),
                    _ => {}
                }
                matches!(event.kind, Some(Kind::HealthBeat(_)))
            }
        }
    }

    fn tell(&mut self, out: &mut impl FnMut(Fact)) {
        let joined = HealthJoined { totals: vec![self.ends.account(), self.refusals.account()] };
        let changed = joined != self.told.1 && joined.totals.iter().any(super::ends::is_something);
        let now = self.now();
        if changed {
            out((now, self.node_run(), joined.clone().into()));
            self.told = (now, joined);
        } else {
            self.told.0 = now;
        }
    }
}

// a source that has fallen silent is not waited for, so being late has to be shorter
const _: () = assert!(LATENESS < SILENCE);
