//! What every detector may know of a node: computed once, from the events, by the engine.

use event::primary::{Primaries, SOURCES, sources};
use event::{Event, Kind, KindId, KindSet, NetVersion, Source};
use serde::{Deserialize, Serialize};

use crate::entity::fingerprint::{self, Handshakes};
use crate::peers::Peers;
use crate::time::{HOUR, SECOND};
use crate::tip::Tip;

/// What is known of a node.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Facts {
    /// When the engine first heard of it.
    pub first_heard: u64,
    /// Start of its process, Unix seconds.
    pub node_run: Option<u64>,
    /// 310000 for Bitcoin Core 31.0.
    pub version: Option<u32>,
    /// Whether it says that it is downloading the chain.
    pub initial_download: bool,
    /// Headers more than blocks.
    pub headers_ahead: u32,
    /// When a block was last connected.
    pub block: Option<u64>,
    /// Its best chain, and whether other nodes have more of it.
    pub tip: Tip,
    /// Its connections.
    pub peers: Peers,
    /// Those that are greeting.
    handshakes: Handshakes,
    /// When an extractor came back that had been there before.
    pub(crate) came_back: Option<u64>,
    /// Events that did not reach the detectors, of this node or another, and nobody knows of which source.
    pub missed: u64,
    sources: [Watched; SOURCES],
}

/// What is known of a source of events about the node.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Watched {
    /// Time of the last beat.
    pub beat: Option<u64>,
    /// Age of its youngest event when it was published, nanoseconds, at the last beat.
    pub lag: u64,
    /// Whether it said that it lost its node.
    pub detached: bool,
    /// Time of the last event that says anything of the node.
    pub fact: Option<u64>,
    /// When events of it were last lost, or too late.
    pub loss: Option<u64>,
    /// Events of it that were lost, all together.
    pub lost: u64,
    /// Events of it that came.
    pub events: u64,
    /// Events that came too late to be put in order.
    pub late: u64,
    /// Whether it was ever attached.
    was_attached: bool,
    /// The kinds that it ever stated, whether or not its word counted.
    stated: KindSet,
}

/// A source that has not beaten for longer is silent, nanoseconds. Beats come each second.
const SILENT: u64 = 10 * SECOND;

impl Watched {
    /// Whether it beat, and has not for longer than it should.
    fn is_silent(&self, now: u64) -> bool {
        self.beat.is_some_and(|beat| beat.saturating_add(SILENT) < now)
    }
}

impl Facts {
    /// The kinds that have to be delivered for this.
    pub(crate) fn needs() -> KindSet {
        [
            KindId::ConnOpened,
            KindId::ConnClosed,
            KindId::StatePeers,
            KindId::StateProfile,
            KindId::StateNetwork,
            KindId::StateBlockchain,
            KindId::NetVersion,
            KindId::NetGetaddr,
            KindId::ChainBlockConnected,
            KindId::HealthLost,
            KindId::HealthBeat,
            KindId::HealthAttached,
            KindId::HealthDetached,
        ]
        .into_iter()
        .collect::<KindSet>()
        .union(fingerprint::kinds())
    }

    /// What is known of a source.
    pub fn source(&self, source: Source) -> &Watched {
        &self.sources[source as usize]
    }

    /// Events of all sources that came.
    pub fn events(&self) -> u64 {
        self.sources.iter().map(|watched| watched.events).sum()
    }

    /// Peers and handshakes for which there was no room.
    pub fn overlooked(&self) -> u64 {
        self.peers.overlooked + self.handshakes.overlooked()
    }

    /// When its process was started, if that is known.
    pub fn started(&self) -> Option<u64> {
        self.node_run.map(|seconds| seconds.saturating_mul(SECOND))
    }

    /// Whether anybody states facts of a kind, or did.
    pub(crate) fn is_stated(&self, id: KindId) -> bool {
        sources(id).iter().any(|source| self.states(*source, id))
    }

    /// Whether a source states facts of a kind: the best witness wherever it is, another only where it did before. A log tells of connections
    /// where it was asked to, and beats in any case.
    fn states(&self, source: Source, id: KindId) -> bool {
        let watched = self.source(source);
        watched.events > 0 && (sources(id).first() == Some(&source) || watched.stated.contains(id))
    }

    /// Whether facts of a kind may be missing in the last `window` nanoseconds: see [`Context::is_blind`](crate::Context::is_blind).
    pub(crate) fn is_blind(&self, id: KindId, node: &str, primaries: &Primaries, now: u64, window: u64) -> bool {
        let list = sources(id);
        if !self.is_stated(id) {
            return false;
        }
        let alone = list.len() == 1;
        let best = list.first().copied();
        // before anybody is known to be attached it is the best who would be missed
        let primary = if alone { best } else { primaries.primary(node, id).or(best) };
        // who took the place of one that stated it has to state it, too
        let Some(primary) = primary.filter(|source| self.states(*source, id)) else { return true };
        let watched = self.source(primary);
        let since = now.saturating_sub(window);
        // what was lost by one whose word did not count then was no loss
        let lost = |source: &Source| {
            let loss = self.source(*source).loss.filter(|loss| *loss >= since);
            loss.is_some_and(|loss| alone || primaries.primary_at(node, id, loss).or(best) == Some(*source))
        };
        watched.detached
            || watched.is_silent(now)
            || list.iter().any(lost)
            || !alone && primaries.uncovered(node, id).is_some_and(|time| time >= since)
    }

    /// Whether nothing was ever heard of a source, or it is silent, or gone.
    pub fn is_absent(&self, source: Source, now: u64) -> bool {
        let watched = self.source(source);
        watched.events == 0 || watched.detached || watched.is_silent(now)
    }

    /// Whether any source said anything of it within the last hour: a node that was taken away is missed for no longer.
    pub(crate) fn is_watched(&self, now: u64) -> bool {
        let last = self.sources.iter().filter_map(|watched| watched.beat.max(watched.fact)).max();
        last.is_some_and(|last| now < last.saturating_add(HOUR))
    }

    /// Events of a source are missing.
    pub(crate) fn lose(&mut self, source: Source, now: u64, count: u64) {
        let watched = &mut self.sources[source as usize];
        watched.loss = Some(now);
        watched.lost = watched.lost.saturating_add(count);
    }

    /// An event came too late. It is missing, but nobody lost it: clocks differ, or the way was long.
    pub(crate) fn late(&mut self, source: Source, now: u64) {
        let watched = &mut self.sources[source as usize];
        watched.late += 1;
        watched.loss = Some(now);
    }

    /// Learns from an event. `true` if it begins another life of the node.
    pub(crate) fn learn(&mut self, event: &Event, id: KindId, now: u64) -> bool {
        let source = event.source();
        self.heard(source, id);
        let restarted = self.lives(event, now);
        let started = self.started();
        let watched = &mut self.sources[source as usize];
        match &event.kind {
            Some(Kind::HealthBeat(beat)) => {
                // nobody knows what it did not say while it was silent
                if watched.is_silent(now) {
                    watched.loss = Some(now);
                }
                watched.beat = Some(now);
                watched.lag = beat.lag;
            }
            Some(Kind::HealthAttached(_)) => {
                if watched.was_attached {
                    self.came_back = Some(now);
                }
                // nor what happened while it was gone, unless the node was gone as well
                if watched.detached && watched.fact.is_some_and(|fact| started.is_none_or(|started| started <= fact)) {
                    watched.loss = Some(now);
                }
                watched.was_attached = true;
                watched.detached = false;
            }
            Some(Kind::HealthDetached(_)) => watched.detached = true,
            Some(Kind::HealthLost(lost)) => self.lose(source, now, lost.count),
            Some(kind) => {
                watched.fact = Some(now);
                self.fact(kind, now);
                let Self { peers, handshakes, .. } = self;
                handshakes.observe(event, &mut |peer, fingerprint| peers.greeted(peer, fingerprint.hash));
            }
            None => {}
        }
        restarted
    }

    fn fact(&mut self, kind: &Kind, now: u64) {
        match kind {
            Kind::ConnOpened(opened) => {
                self.peers.opened(opened.peer, &opened.address, opened.connection_type(), opened.network(), now, true);
            }
            Kind::StatePeers(state) => {
                for peer in &state.peers {
                    self.peers.opened(peer.id, &peer.address, peer.connection_type(), peer.network(), now, false);
                }
                self.peers.present(&state.peers.iter().map(|peer| peer.id).collect(), now);
            }
            Kind::StateProfile(profile) => self.version = profile.version.or(self.version),
            Kind::StateNetwork(network) => self.version = network.version.or(self.version),
            Kind::StateBlockchain(chain) => {
                self.initial_download = chain.initial_block_download.unwrap_or_default();
                self.headers_ahead = chain.headers.unwrap_or_default().saturating_sub(chain.blocks.unwrap_or_default());
                self.tip.stated(chain, now);
            }
            Kind::ChainBlockConnected(block) => {
                self.block = Some(now);
                self.tip.connected(block.height, now);
            }
            Kind::NetVersion(version) if version.direction() == event::Direction::Inbound => {
                self.peers.hello(version, is_private_broadcast(version), now);
            }
            Kind::NetGetaddr(getaddr) if getaddr.direction() == event::Direction::Outbound => self.peers.asked(getaddr.peer, now),
            _ => {}
        }
    }

    /// Follows the node's lives.
    fn lives(&mut self, event: &Event, now: u64) -> bool {
        /// Starts that differ by no more are the same start, seconds: a log knows its own first line, others the process.
        const SAME_START: u64 = 3;
        if self.first_heard == 0 {
            self.first_heard = now;
        }
        let (Some(run), Source::Ebpf | Source::Log | Source::Rpc | Source::Proc) = (event.node_run, event.source()) else {
            return false;
        };
        match self.node_run {
            Some(known) if run <= known.saturating_add(SAME_START) => false,
            known => {
                self.node_run = Some(run);
                if known.is_some() {
                    self.peers = Peers::default();
                    self.handshakes.clear();
                    self.block = None;
                    self.initial_download = false;
                    self.headers_ahead = 0;
                    self.tip.restarted();
                }
                known.is_some()
            }
        }
    }

    /// An event came, whether or not it counts: another source may state the same.
    pub(crate) fn heard(&mut self, source: Source, id: KindId) {
        let watched = &mut self.sources[source as usize];
        watched.events += 1;
        watched.stated.insert(id);
    }

    /// Events are missing, and nobody knows of which source.
    pub(crate) fn lose_all(&mut self, now: u64, count: u64) {
        for watched in self.sources.iter_mut().filter(|watched| watched.events > 0) {
            watched.loss = Some(now);
        }
        self.missed = self.missed.saturating_add(count);
    }

    /// The clock was set back: nothing is of the future.
    pub(crate) fn set_back(&mut self, now: u64) {
        let past = |time: &mut Option<u64>| *time = time.map(|time| time.min(now));
        for watched in &mut self.sources {
            for time in [&mut watched.beat, &mut watched.fact, &mut watched.loss] {
                past(time);
            }
        }
        for time in [&mut self.block, &mut self.came_back] {
            past(time);
        }
        self.first_heard = self.first_heard.min(now);
        self.peers.set_back(now);
        self.handshakes.clear();
        self.tip.set_back(now);
    }
}

/// As Bitcoin Core 31 says hello where nobody shall learn who it is (Bitcoin Core PR 29415).
fn is_private_broadcast(version: &NetVersion) -> bool {
    version.services == 0
        && version.time == 0
        && version.start_height == 0
        && !version.relay
        && version.user_agent == "/pynode:0.0.1/"
}
