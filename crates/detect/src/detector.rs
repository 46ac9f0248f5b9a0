//! What a detector is.

use event::{Event, KindId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::finding::Findings;
use crate::guard::Guard;
use crate::thresholds::Limit;

/// A state machine over events in event time: no clock, no IO, no chance, bounded memory.
///
/// The engine makes one for each node, or one for all ([`Scope`]), and shows it the events of the kinds that it wants, in the order of
/// (time, node, source, run, sequence), of the primary witness only. What the detector holds to be the case it tells [`Findings`], as often
/// as it likes: opening, reminding, clearing, expiring, guards and loss are the engine's.
///
/// Its state is what it derives for serde: `restore(save(state))` has to go on exactly as the original. Time is `context.now`, which never
/// goes back; an event's own time is never later than that.
pub trait Detector: Default + Serialize + DeserializeOwned + Send + 'static {
    /// What there is to know of it.
    const ABOUT: About;

    /// Looks at an event of one of [`About::kinds`].
    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>);

    /// Time has passed: called every [`About::every`] of the node's time, before the event that shows it.
    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>);

    /// The node began another life: peer ids mean others from now on, counters begin anew. What was learned over days may stay.
    fn restarted(&mut self, node: &str);

    /// The clock that its events are stamped by was set back, by more than a minute: what it remembers is of times that are to come. It begins anew;
    /// one that knows of something without a time may keep that. What it had found has ended.
    fn set_back(&mut self) {
        *self = Self::default();
    }
}

/// What there is to know of a detector.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Number in the catalogue: `D39`.
    pub id: &'static str,
    /// `inv_queue`; a label of metrics.
    pub name: &'static str,
    /// Changes when the same events may give another finding, or when the state has another form: kept state of another version is not
    /// used.
    pub version: u32,
    /// One line for lists.
    pub title: &'static str,
    /// With which others its findings make one incident.
    pub family: Family,
    /// One for each node, or one for all.
    pub scope: Scope,
    /// The kinds of events that it looks at. It is called for no others.
    pub kinds: &'static [KindId],
    /// How often [`Detector::tick`] is called, nanoseconds of event time.
    pub every: u64,
    /// The kinds that its findings rest on: where some are missing (lost, or their witness is silent or gone: [`Context::is_blind`]) within
    /// `window`, *clear* is *unknown*. What nobody ever stated is not missed.
    pub needs: &'static [KindId],
    /// For how long a loss leaves it in doubt, nanoseconds: as far back as the shortest look that decides whether it is over. It is not how far
    /// back all of its criteria look: some count a day or a week, where ten events that are missing change nothing, and whoever was unsure
    /// for a day because of them would be believed in nothing. What an outage of an hour does to such a criterion is its own to know, as D02
    /// leaves out hours that it did not see as a whole.
    pub window: u64,
    /// What the engine applies to everything that it would alert.
    pub guards: &'static [Guard],
    /// The kinds of which a missing event could make it fire: where some are missing within `window`, it says *unknown* instead.
    pub fooled_by: &'static [KindId],
    /// Its rows in the table.
    pub thresholds: &'static [Limit],
    /// What does not follow from its findings; words only, because numbers are taken away when it leaves.
    pub does_not_prove: &'static str,
}

/// Detectors that see the same thing from several sides: what they find at one place is one incident.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// The address table is flooded.
    Gossip,
    /// Slots are taken, churned or emptied.
    Connections,
    /// Strangers who watch, or are not what they say.
    Strangers,
    /// The node is cut off from the others.
    Eclipse,
    /// The message handler is kept busy.
    Load,
    /// Transactions are withheld or fought over.
    Transactions,
    /// Blocks do not come, or come wrong.
    Blocks,
    /// The observer itself.
    Observer,
}

impl Family {
    /// As incidents and their marks have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gossip => "gossip",
            Self::Connections => "connections",
            Self::Strangers => "strangers",
            Self::Eclipse => "eclipse",
            Self::Load => "load",
            Self::Transactions => "transactions",
            Self::Blocks => "blocks",
            Self::Observer => "observer",
        }
    }
}

/// How many there are of a detector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// One for each node.
    Node,
    /// One that sees the events of all nodes; [`Context`] is that of the event's node, but for thresholds and the time, which are those of
    /// the fleet. What it finds is told of the fleet ([`FLEET`](crate::FLEET)), whichever node showed it. Guards that look at a node it
    /// applies itself, where it takes a fact from one.
    Fleet,
}

/// A detector whose type was forgotten.
pub(crate) trait Running: Send {
    fn about(&self) -> &'static About;
    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>);
    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>);
    fn restarted(&mut self, node: &str);
    fn set_back(&mut self);
    fn save(&self) -> Result<Vec<u8>, postcard::Error>;
    /// Takes over a state; `false` if it is none.
    fn restore(&mut self, state: &[u8]) -> bool;
    /// What its state looks like: see [`crate::state::form`].
    #[cfg(test)]
    fn form(&self) -> String;
}

struct Typed<D>(D);

impl<D: Detector> Running for Typed<D> {
    fn about(&self) -> &'static About {
        const { &D::ABOUT }
    }

    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.0.observe(event, context, findings);
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.0.tick(context, findings);
    }

    fn restarted(&mut self, node: &str) {
        self.0.restarted(node);
    }

    fn set_back(&mut self) {
        self.0.set_back();
    }

    fn save(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(&self.0)
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        match postcard::take_from_bytes(state) {
            Ok((detector, [])) => {
                self.0 = detector;
                true
            }
            _ => false,
        }
    }

    #[cfg(test)]
    fn form(&self) -> String {
        crate::state::form::form::<D>()
    }
}

/// A row of the list of detectors.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What there is to know of it.
    pub about: &'static About,
    pub(crate) make: fn() -> Box<dyn Running>,
}

/// The row of a detector.
pub const fn entry<D: Detector>() -> Entry {
    Entry { about: const { &D::ABOUT }, make: || Box::new(Typed(D::default())) }
}
