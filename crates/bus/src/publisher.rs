//! Publishing: stamping, counting, beating.

use std::sync::{Arc, Mutex, MutexGuard, Weak};

use event::{Event, HealthBeat, HealthLost, Kind, KindId, KindTotal, LossStage, NodeName, Source};

use crate::{local, nats};

/// Publishes events of one source about one node, in one run of that source.
///
/// It stamps node, source, run and sequence, and counts per kind. Nothing here blocks or waits, so it may be used from any thread; a
/// clone publishes in the same run. After the bus was closed, events go nowhere.
///
/// End a run with a [`Publisher::beat`]: only then can a subscriber know that it got the last events.
#[derive(Clone, Debug)]
pub struct Publisher(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    node: NodeName,
    source: Source,
    run: u64,
    /// One lock from the stamp to the last queue: in every queue the order is that of the sequences.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    sequence: u64,
    totals: Totals,
    /// Dropped here so far, because the way to the server was full.
    dropped: u64,
    /// Those of them that no `health.lost` has told of yet.
    unsaid: Option<Unsaid>,
    route: Route,
}

#[derive(Clone, Copy, Debug)]
struct Unsaid {
    count: u64,
    /// Of the last one.
    time: u64,
    node_run: Option<u64>,
}

type Totals = [u64; KindId::ALL.len()];
const NOTHING: Totals = [0; KindId::ALL.len()];

#[derive(Debug)]
pub(crate) enum Route {
    Local(local::Route),
    Nats(nats::Route),
}

impl Publisher {
    pub(crate) fn new(node: NodeName, source: Source, run: u64, route: Route) -> Self {
        let state = State { sequence: 0, totals: NOTHING, dropped: 0, unsaid: None, route };
        Self(Arc::new(Inner { node, source, run, state: Mutex::new(state) }))
    }

    /// Publishes one event. `time` is nanoseconds since the epoch, `node_run` the start of the node's process in Unix seconds.
    pub fn publish(&self, time: u64, node_run: Option<u64>, kind: impl Into<Kind>) {
        self.publish_batch([(time, node_run, kind.into())]);
    }

    /// As [`Publisher::publish`], of what was recorded: the event has the replay mark.
    pub fn publish_recorded(&self, time: u64, node_run: Option<u64>, kind: impl Into<Kind>) {
        let mut state = self.0.lock();
        state.begin();
        self.0.confess(&mut state);
        self.0.place(&mut state, time, node_run, kind.into(), true);
        state.end();
    }

    pub(crate) fn downgrade(&self) -> Weak<Inner> {
        Arc::downgrade(&self.0)
    }

    /// Publishes events in this order, as if each had been given to [`Publisher::publish`]; cheaper where there are many.
    pub fn publish_batch(&self, events: impl IntoIterator<Item = (u64, Option<u64>, Kind)>) {
        let mut state = self.0.lock();
        state.begin();
        for (time, node_run, kind) in events {
            self.0.push(&mut state, time, node_run, kind);
        }
        state.end();
    }

    /// Publishes a `health.beat`: what was published in this run so far. Sources do so each second.
    ///
    /// `lag` is the age of the youngest event when it was published, in nanoseconds. `fired` and `lost` count since the source
    /// started, where it knows them; what was dropped here is added to `lost`.
    pub fn beat(&self, time: u64, node_run: Option<u64>, lag: u64, fired: Option<u64>, lost: Option<u64>) {
        let mut state = self.0.lock();
        state.begin();
        // first, so that the beat counts it; and only here: room made since would let it out behind the totals
        self.0.confess(&mut state);
        let dropped = (state.dropped > 0).then_some(state.dropped);
        let beat = HealthBeat {
            last_sequence: state.sequence.checked_sub(1),
            totals: totals(&state.totals).map(|(id, total)| KindTotal { kind: id.name().to_owned(), total }).collect(),
            lag,
            fired,
            lost: lost.map(|lost| lost.saturating_add(state.dropped)).or(dropped),
        };
        self.0.place(&mut state, time, node_run, beat.into(), false);
        state.end();
    }

    /// How many events of each kind were published; kinds never published are left out.
    pub fn totals(&self) -> Vec<(KindId, u64)> {
        totals(&self.0.lock().totals).collect()
    }

    /// How many events were published.
    pub fn published(&self) -> u64 {
        self.0.lock().totals.iter().sum()
    }

    /// How many events were dropped here, because the way to the server was full. They have a sequence but were not published.
    pub fn dropped(&self) -> u64 {
        self.0.lock().dropped
    }

    /// Which run of the source this is: nanoseconds since the epoch when it started.
    pub fn run(&self) -> u64 {
        self.0.run
    }
}

impl Inner {
    /// Says what was dropped and not told of yet: when the bus closes and has sent everything else, and when nobody publishes any more.
    pub(crate) fn finish(&self) {
        let mut state = self.lock();
        self.confess(&mut state);
        state.end();
        if let Some(Unsaid { count, .. }) = state.unsaid {
            tracing::error!(node = %self.node, source = self.source.as_str_name(), count, "dropped events, the way to NATS is still full");
        }
    }

    fn push(&self, state: &mut State, time: u64, node_run: Option<u64>, kind: Kind) {
        self.confess(state);
        self.place(state, time, node_run, kind, false);
    }

    /// Sends the event off, or counts it as dropped.
    fn place(&self, state: &mut State, time: u64, node_run: Option<u64>, kind: Kind, replay: bool) {
        if !self.stamp(state, time, node_run, kind, replay) {
            // it lost its place, so that the sequences show the gap
            state.sequence += 1;
            state.dropped += 1;
            let unsaid = state.unsaid.map_or(0, |lost| lost.count);
            state.unsaid = Some(Unsaid { count: unsaid + 1, time, node_run });
        }
    }

    /// Says what was dropped, once there is room for saying it.
    fn confess(&self, state: &mut State) {
        let Some(Unsaid { count, time, node_run }) = state.unsaid else { return };
        let lost = HealthLost { stage: LossStage::Publish.into(), count, ..HealthLost::default() };
        if self.stamp(state, time, node_run, lost.into(), false) {
            state.unsaid = None;
        }
    }

    /// Gives the event its place in the order and sends it off; `false` if there was no room.
    fn stamp(&self, state: &mut State, time: u64, node_run: Option<u64>, kind: Kind, replay: bool) -> bool {
        let Self { node, source, run, .. } = self;
        let id = kind.id();
        let sequence = state.sequence;
        let envelope =
            |node| Event { node, node_run, source: (*source).into(), run: *run, sequence, time, replay, kind: Some(kind) };
        let accepted = match &mut state.route {
            Route::Local(route) => {
                if route.wants(id) {
                    route.push(envelope(node.to_string()), id);
                }
                true
            }
            Route::Nats(route) => route.push(id, envelope),
        };
        if accepted {
            state.sequence += 1;
            state.totals[id.index()] += 1;
        }
        accepted
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.state.get_mut().is_ok_and(|state| state.unsaid.is_some()) {
            self.finish();
        }
    }
}

impl State {
    fn begin(&mut self) {
        match &mut self.route {
            Route::Local(route) => route.refresh(),
            Route::Nats(_) => {}
        }
    }

    fn end(&mut self) {
        match &mut self.route {
            Route::Local(route) => route.flush(),
            Route::Nats(route) => route.flush(),
        }
    }
}

fn totals(totals: &Totals) -> impl Iterator<Item = (KindId, u64)> {
    KindId::ALL.into_iter().zip(*totals).filter(|(_, total)| *total > 0)
}
