//! `conn.ended`: a close and its reason.
//!
//! A peer id belongs to one connection of one life of the node, so a close is known by it: however many witnesses state it, it ends once.
//! The primary's close is taken as it is; one that only another witness states waits for the primary's, and is stated by itself when that
//! does not come: probes may be killed, and their ring may be full.
//!
//! Which reason counts: an eviction, because nobody who is being disconnected can still be chosen for one; then what the node said when
//! it disconnected, the first such line; then misbehaviour within the window, which need not lead to a disconnect by itself.

use std::collections::{BTreeMap, BTreeSet};

use event::{ConnClosed, ConnEnded, ConnMisbehaving, ConnectionType, EndReason, Event, JoinTotal, KindId, Network, Source};

use super::joiner::{Fact, Moment, Watch, Window};

/// Peers remembered: more than a node has, and the ones that left last.
const PEERS: usize = 4096;

/// Ids remembered of those that ended, the highest: they are given out in order.
const ENDED: usize = 1 << 15;

/// How long a reason waits for its close, nanoseconds: the thread that closes sockets may be behind. Peers that ended are remembered for
/// as long.
const KEPT: u64 = 60_000_000_000;

/// Of words that a peer may have chosen, bytes.
const WORDS: usize = 512;

#[derive(Debug)]
pub(super) struct Ends {
    peers: BTreeMap<u64, Peer>,
    /// Closes that wait, by time.
    waiting: BTreeSet<(u64, u64)>,
    /// Whose end was stated.
    ended: BTreeSet<u64>,
    window: Window,
    account: JoinTotal,
    /// When old peers were last forgotten.
    swept: u64,
}

#[derive(Debug, Default)]
struct Peer {
    address: String,
    connection_type: ConnectionType,
    network: Network,
    /// Time of the last that was heard.
    touched: u64,
    reason: Option<Reason>,
    misbehaved: Option<Reason>,
    close: Option<Close>,
    /// With which reason its end was stated.
    stated: Option<EndReason>,
}

#[derive(Debug)]
struct Reason {
    at: Moment,
    reason: EndReason,
    detail: String,
}

#[derive(Debug)]
struct Close {
    at: Moment,
    node_run: Option<u64>,
    established: Option<u64>,
    /// Stated by the primary witness.
    primary: bool,
}

impl Ends {
    pub(super) fn new(window: Window) -> Self {
        let account = JoinTotal { kind: KindId::ConnEnded.name().to_owned(), ..JoinTotal::default() };
        Self { peers: BTreeMap::new(), waiting: BTreeSet::new(), ended: BTreeSet::new(), window, account, swept: 0 }
    }

    pub(super) fn account(&self) -> JoinTotal {
        self.account.clone()
    }

    /// The address of a peer, as far as known.
    pub(super) fn address(&self, peer: u64) -> &str {
        self.peers.get(&peer).map_or("", |peer| peer.address.as_str())
    }

    /// Somebody is connected.
    pub(super) fn opened(
        &mut self,
        id: u64,
        address: &str,
        connection_type: ConnectionType,
        network: Network,
        time: u64,
        out: &mut impl FnMut(Fact),
    ) {
        // an answer of the node may be older than the end
        if !self.ended.contains(&id) {
            self.entry(id, out).learn(address, connection_type, network, time);
        }
    }

    /// Why somebody is about to be disconnected.
    pub(super) fn reason(&mut self, event: &Event, id: u64, reason: EndReason, detail: &str, out: &mut impl FnMut(Fact)) {
        if self.is_forgotten(id) {
            self.account.late += 1;
            return;
        }
        let peer = self.entry(id, out);
        peer.learn(
            event.kind.as_ref().map_or("", event::Kind::address),
            ConnectionType::Unspecified,
            Network::Unspecified,
            event.time,
        );
        let (mut late, mut contradicting) = (false, false);
        match (peer.stated, &mut peer.reason) {
            (Some(EndReason::Unspecified), _) => late = true,
            // both are true: had it come in time, it would have been the reason
            (Some(EndReason::Misbehaving), _) => late = reason != EndReason::Misbehaving,
            (Some(stated), _) => contradicting = stated != reason,
            (None, Some(known)) if known.reason != reason => {
                contradicting = true;
                if reason == EndReason::Evicted {
                    *known = Reason::of(event, reason, detail);
                }
            }
            (None, Some(known)) if known.detail.is_empty() => clip(detail).clone_into(&mut known.detail),
            (None, Some(_)) => {}
            (None, none) => *none = Some(Reason::of(event, reason, detail)),
        }
        let complete = peer.close.as_ref().is_some_and(|close| close.primary);
        self.account.late += u64::from(late);
        self.account.contradicting += u64::from(contradicting);
        if complete {
            self.state(id, out);
        }
    }

    /// Somebody broke the rules; what follows is another question.
    pub(super) fn misbehaved(&mut self, event: &Event, misbehaving: &ConnMisbehaving, out: &mut impl FnMut(Fact)) {
        if self.is_forgotten(misbehaving.peer) {
            return;
        }
        let peer = self.entry(misbehaving.peer, out);
        peer.learn(&misbehaving.address, misbehaving.connection_type(), misbehaving.network(), event.time);
        match peer.stated {
            Some(stated) => self.account.late += u64::from(stated == EndReason::Unspecified),
            None => {
                let mut last = Reason::of(event, EndReason::Misbehaving, &misbehaving.reason);
                // the words of the one witness, if the other has none
                if let Some(before) = peer.misbehaved.take().filter(|_| last.detail.is_empty()) {
                    last.detail = before.detail;
                }
                peer.misbehaved = Some(last);
            }
        }
    }

    /// A connection closed. `primary` if the witness is the one that counts.
    pub(super) fn closed(
        &mut self,
        event: &Event,
        closed: &ConnClosed,
        primary: bool,
        watch: Watch<'_>,
        out: &mut impl FnMut(Fact),
    ) {
        let id = closed.peer;
        if self.ended.contains(&id) {
            return;
        }
        let peer = self.entry(id, out);
        peer.learn(&closed.address, closed.connection_type(), closed.network(), event.time);
        if peer.close.as_ref().is_some_and(|known| known.primary || !primary) {
            return;
        }
        let established = closed.established.filter(|time| *time > 0);
        let close = Close { at: Moment::of(event), node_run: event.node_run, established, primary };
        let known = peer.reason.is_some();
        if let Some(before) = peer.close.replace(close) {
            self.waiting.remove(&(before.at.time, id));
        }
        self.waiting.insert((event.time, id));
        if primary && (known || !watch.others(event.source())) {
            self.state(id, out);
        }
    }

    /// A witness of an earlier life of the node.
    pub(super) fn late(&mut self) {
        self.account.late += 1;
    }

    /// Time has passed: states what waited long enough.
    pub(super) fn pass(&mut self, watch: Watch<'_>, out: &mut impl FnMut(Fact)) {
        while let Some((_, id)) = self.waiting.first().copied().filter(|(time, _)| watch.is_over(*time)) {
            self.state(id, out);
        }
        let now = watch.now();
        if now < self.swept || now >= self.swept.saturating_add(KEPT / 6) {
            self.swept = now;
            self.sweep(now);
        }
    }

    /// States everything that waits.
    pub(super) fn flush(&mut self, out: &mut impl FnMut(Fact)) {
        while let Some((_, id)) = self.waiting.first().copied() {
            self.state(id, out);
        }
    }

    /// Forgets all peers: their ids are about to be used again.
    pub(super) fn forget(&mut self) {
        let unmatched = self.peers.values().filter(|peer| peer.stated.is_none() && peer.reason.is_some()).count();
        self.account.unmatched += unmatched as u64;
        self.peers.clear();
        self.waiting.clear();
        self.ended.clear();
    }

    fn sweep(&mut self, now: u64) {
        let account = &mut self.account;
        self.peers.retain(|_, peer| {
            if now < peer.touched.saturating_add(KEPT) {
                return true;
            }
            if peer.stated.is_none() && peer.close.is_none() && peer.reason.take().is_some() {
                account.unmatched += 1;
            }
            peer.stated.is_none() && !peer.address.is_empty()
        });
    }

    /// States the end of a peer whose close is known.
    fn state(&mut self, id: u64, out: &mut impl FnMut(Fact)) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(close) = peer.close.take() else { return };
        self.waiting.remove(&(close.at.time, id));
        let reason = peer.best_reason(&close, self.window);
        let stated = reason.map_or(EndReason::Unspecified, |reason| reason.reason);
        // the log says that it disconnects who misbehaved, and elsewhere what they did
        let words = peer.misbehaved.as_ref().filter(|_| stated == EndReason::Misbehaving).map_or("", |words| words.detail.as_str());
        let ended = ConnEnded {
            peer: id,
            address: peer.address.clone(),
            connection_type: peer.connection_type.into(),
            network: peer.network.into(),
            established: close.established,
            reason: stated.into(),
            detail: reason.map(|reason| reason.detail.as_str()).filter(|detail| !detail.is_empty()).unwrap_or(words).to_owned(),
            reason_source: reason.map_or(Source::Unspecified, |reason| reason.at.source).into(),
        };
        match reason {
            Some(_) => self.account.joined += 1,
            None => self.account.single += 1,
        }
        peer.stated = Some(stated);
        self.ended.insert(id);
        if self.ended.len() > ENDED {
            self.ended.pop_first();
        }
        (peer.reason, peer.misbehaved) = (None, None);
        out((close.at.time, close.node_run, ended.into()));
    }

    /// Ended so long ago, or among so many, that nothing else is known.
    fn is_forgotten(&self, id: u64) -> bool {
        self.ended.contains(&id) && !self.peers.contains_key(&id)
    }

    /// The entry of a peer. Where there is no room, some give way: who has ended, then who is only known. If all wait, the one that waits
    /// longest is stated as far as known.
    fn entry(&mut self, id: u64, out: &mut impl FnMut(Fact)) -> &mut Peer {
        if self.peers.len() >= PEERS && !self.peers.contains_key(&id) {
            let idle = self.peers.iter().filter(|(_, peer)| peer.close.is_none());
            let mut idle: Vec<_> = idle.map(|(id, peer)| (peer.stated.is_none(), peer.touched, *id)).collect();
            // many at once: looking for them takes longer than letting them go
            idle.sort_unstable();
            for (.., id) in idle.iter().take(PEERS / 4) {
                let gone = self.peers.remove(id);
                self.account.forgotten += u64::from(gone.is_some_and(|peer| peer.reason.is_some()));
            }
            if idle.is_empty()
                && let Some((_, longest)) = self.waiting.first().copied()
            {
                self.state(longest, out);
                self.peers.remove(&longest);
                self.account.forgotten += 1;
            }
        }
        self.peers.entry(id).or_default()
    }
}

impl Peer {
    /// Keeps what is known of who it is.
    fn learn(&mut self, address: &str, connection_type: ConnectionType, network: Network, time: u64) {
        self.touched = self.touched.max(time);
        if !address.is_empty() {
            clip(address).clone_into(&mut self.address);
        }
        if connection_type != ConnectionType::Unspecified {
            self.connection_type = connection_type;
        }
        if network != Network::Unspecified {
            self.network = network;
        }
    }

    /// The reason that counts, if there is one.
    fn best_reason(&self, close: &Close, window: Window) -> Option<&Reason> {
        let in_time = |reason: &&Reason| window.joins(reason.at, close.at);
        self.reason.as_ref().or_else(|| self.misbehaved.as_ref().filter(in_time))
    }
}

impl Reason {
    fn of(event: &Event, reason: EndReason, detail: &str) -> Self {
        Self { at: Moment::of(event), reason, detail: clip(detail).to_owned() }
    }
}

/// Whether there is anything to tell of.
pub(super) fn is_something(total: &JoinTotal) -> bool {
    *total != JoinTotal { kind: total.kind.clone(), ..JoinTotal::default() }
}

fn clip(text: &str) -> &str {
    super::clip(text, WORDS)
}
