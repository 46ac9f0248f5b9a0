//! Which life of the node an event is of: peer ids begin anew with each.
//!
//! A life is named by the second in which its process started. Where a source does not know the process, it names none, or, if it is a log,
//! the second of the life's first line, and the process when it is found. So names that are near each other may stand for one life, and one
//! name for two: a node may be started twice within a second.

use event::{Event, Kind, LifePhase, Source};

/// Starts of one process that differ by no more are the same start, seconds: a log knows its own first line, others the process.
const SAME_START: u64 = 3;

/// A log that gives its life an earlier name has found the process, which started up to so many seconds before its first line.
const STARTING: u64 = 30;

const SECOND: u64 = 1_000_000_000;

/// Which life an event is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Which {
    This,
    /// One that begins with it.
    Next,
    Earlier,
}

/// The lives of one node, as the probes and the log tell of them.
#[derive(Debug, Default)]
pub(super) struct Lives {
    now: Option<u64>,
    probes: Witness,
    log: Witness,
    /// The newest time of a fact of no named life, while none is named.
    nameless: Option<u64>,
}

/// What a source said last.
#[derive(Clone, Copy, Debug, Default)]
struct Witness {
    run: Option<u64>,
    /// It speaks of the life of now.
    caught_up: bool,
    /// It stated a fact of it.
    stated: bool,
}

impl Lives {
    /// The name of the life of now.
    pub(super) fn now(&self) -> Option<u64> {
        self.now
    }

    /// Learns from an event. What others than the probes and the log say is taken for a word about now.
    pub(super) fn of(&mut self, event: &Event) -> Which {
        let witness = match event.source() {
            Source::Ebpf => self.probes,
            Source::Log => self.log,
            _ => return Which::This,
        };
        let is_fact = event.id().is_some_and(|id| id.family() != "health");
        let Some(run) = event.node_run else {
            if is_fact && self.now.is_none() {
                self.nameless = self.nameless.max(Some(event.time));
            }
            return Which::This;
        };
        let begins = matches!(&event.kind, Some(Kind::LogLife(life)) if life.phase() == LifePhase::Started);
        let which = self.which(run, witness, begins);
        let (caught_up, stated) = match which {
            Which::This => (true, witness.stated && witness.caught_up || is_fact),
            Which::Next => {
                (self.probes.caught_up, self.log.caught_up) = (false, false);
                (true, is_fact)
            }
            Which::Earlier => (false, false),
        };
        let renamed = witness.caught_up && witness.run.is_some_and(|known| run < known);
        if which == Which::Next || caught_up && (renamed || self.now.is_none()) {
            self.now = Some(run);
            self.nameless = None;
        }
        let witness = Witness { run: Some(run), caught_up, stated };
        if event.source() == Source::Ebpf {
            self.probes = witness;
        } else {
            self.log = witness;
        }
        which
    }

    /// `begins` where the log says that a life begins.
    fn which(&self, run: u64, witness: Witness, begins: bool) -> Which {
        let Some(now) = self.now else {
            // a process that was found later than its facts had been running by then
            let other = self.nameless.is_some_and(|last| begins || run.saturating_mul(SECOND) > last);
            return if other { Which::Next } else { Which::This };
        };
        let known = witness.run.filter(|_| witness.caught_up);
        match known {
            // started again within the second
            Some(known) if known == run && begins && witness.stated => Which::Next,
            _ if run == now => Which::This,
            Some(known) if run == known => Which::This,
            Some(known) if run > known => Which::Next,
            // the process was found; a source tells of its lives in their order
            Some(known) if run.saturating_add(STARTING) >= known => Which::This,
            Some(_) => Which::Earlier,
            // of the life before, which it has not left yet
            None if witness.run == Some(run) => Which::Earlier,
            None if run.abs_diff(now) <= SAME_START => Which::This,
            None if run < now => Which::Earlier,
            None => Which::Next,
        }
    }
}
