//! Which address is dialled when, and what is stated of it: everything but the dialling. Pure, but for what is remembered on disk.
//!
//! Events go in ([`Survey::observe`]), errands come out ([`Survey::due`]); whoever runs them brings back what they came to
//! ([`Survey::done`]). Results are stated two seconds later ([`Survey::stated`]): by then a watched node that we have dialled unknowingly has
//! shown our nonce in its own stream.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;

use detect::entity::Host;
use event::p2p::transport::Version;
use event::{AddressAdvertiser, Direction, Event, Kind, Network, NetworkAddress, ProbeAddress, Transport, VisitResult, VisitRoute};

use super::budget::Budget;
use super::dial::Outcome;
use super::not_dialled;
use super::own::Own;
use super::queue::{Advert, Offered, Queue, Waiting};
use super::rules::{Refusal, Rules};
use super::target::Target;
use super::tried::{Tried, Verdict};

/// Addresses that may wait: at one dial a second, for 18 hours.
pub const ROOM: usize = 1 << 16;
/// How long a result waits for a watched node to show our nonce, nanoseconds: events come within milliseconds; over a server it takes longer.
const SETTLE: u64 = 2_000_000_000;
/// The service bit of who speaks v2 (BIP 324: `NODE_P2P_V2`).
const P2P_V2: u64 = 1 << 11;

/// A visit to pay.
#[derive(Clone, Debug)]
pub struct Errand {
    /// Where to.
    pub target: Target,
    /// How to speak.
    pub transport: Version,
    /// Random: known by it to a watched node.
    pub nonce: u64,
    waiting: Arc<Waiting>,
}

impl Errand {
    /// Whose turn it was.
    pub fn party(&self) -> &str {
        &self.waiting.party
    }
}

/// Something to publish.
#[derive(Clone, PartialEq, Debug)]
pub struct Stated {
    /// About which node.
    pub node: Arc<str>,
    /// In which life of it.
    pub node_run: Option<u64>,
    /// What.
    pub visit: ProbeAddress,
}

/// What happened to addresses, since the start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Account {
    /// Entries of gossip from peers.
    pub heard: u64,
    /// Those that are never dialled, by [`Refusal::ALL`].
    pub refused: [u64; Refusal::ALL.len()],
    /// Those dialled in the last day.
    pub repeated: u64,
    /// Those of hosts of which enough ports were dialled.
    pub enough_ports: u64,
    /// Those that waited already.
    pub known: u64,
    /// Given up for want of room.
    pub passed_over: u64,
    /// Visits begun; a second attempt with v1 is one more.
    pub dialled: u64,
    /// Attempts to remember somebody before dialling that found no room, or a disk that does not take it.
    pub unremembered: u64,
    /// Events that were missed: their addresses were never heard.
    pub missed: u64,
}

/// All of it.
#[derive(Debug)]
pub struct Survey {
    /// Who is never dialled.
    pub rules: Rules,
    /// Where the nodes are.
    pub own: Own,
    tried: Tried,
    queue: Queue,
    budget: Budget,
    /// Those who said nothing to v2, and get another chance with v1.
    retries: VecDeque<Errand>,
    /// Nonces of visits that are under way, or were a moment ago; `true` once a watched node has shown one.
    nonces: HashMap<u64, bool>,
    settling: VecDeque<(u64, Errand, Outcome, VisitRoute)>,
    account: Account,
}

impl Survey {
    /// Nothing was heard yet.
    pub fn new(rules: Rules, own: Own, tried: Tried, budget: Budget, room: usize, seed: u64) -> Self {
        Self {
            rules,
            own,
            tried,
            queue: Queue::new(room, seed),
            budget,
            retries: VecDeque::new(),
            nonces: HashMap::new(),
            settling: VecDeque::new(),
            account: Account::default(),
        }
    }

    /// Takes an event in; `now` is nanoseconds. `true` if a node said where it is, and it was not known.
    pub fn observe(&mut self, event: &Event, now: u64) -> bool {
        let addresses = match &event.kind {
            Some(Kind::NetAddr(addr)) if addr.direction() == Direction::Inbound => &addr.addresses,
            Some(Kind::NetAddrv2(addr)) if addr.direction() == Direction::Inbound => &addr.addresses,
            Some(Kind::NetVersion(version)) if version.direction() == Direction::Inbound => {
                if let Some(shown) = self.nonces.get_mut(&version.nonce) {
                    *shown = true;
                }
                return false;
            }
            Some(Kind::StateNetwork(_) | Kind::StatePeers(_)) => return self.own.learn(event),
            _ => return false,
        };
        let Some(net) = event.kind.as_ref().and_then(Kind::net) else { return false };
        let party = party(net.address, net.network);
        let (node, address): (Arc<str>, Arc<str>) = (event.node.as_str().into(), net.address.into());
        for entry in addresses {
            self.account.heard += 1;
            let advert = Advert {
                node: Arc::clone(&node),
                node_run: event.node_run,
                peer: net.peer,
                address: Arc::clone(&address),
                time: entry.time,
                services: entry.services,
                heard: event.time,
            };
            if let Err(refusal) = self.offer(entry, &party, advert, now) {
                let at = Refusal::ALL.iter().position(|known| *known == refusal).expect("it is one of all");
                self.account.refused[at] += 1;
            }
        }
        false
    }

    /// Events were missed.
    pub fn missed(&mut self, count: u64) {
        self.account.missed += count;
    }

    fn offer(&mut self, entry: &NetworkAddress, party: &str, advert: Advert, now: u64) -> Result<(), Refusal> {
        let target = Target::of(entry)?;
        // an own address itself is stated to be one, once a day
        match self.rules.check(&target, self.own.neighbourhoods()) {
            Err(Refusal::OwnRange) if self.is_own(&target) => {}
            checked => checked?,
        }
        match self.tried.verdict(&target, now / 1_000_000_000) {
            Verdict::Repeated => self.account.repeated += 1,
            Verdict::EnoughPorts => self.account.enough_ports += 1,
            Verdict::Fresh | Verdict::Full => match self.queue.offer(target, party, advert) {
                Offered::Known => self.account.known += 1,
                Offered::Waits => {}
                Offered::Displaced | Offered::PassedOver => self.account.passed_over += 1,
            },
        }
        Ok(())
    }

    fn is_own(&self, target: &Target) -> bool {
        self.own.is_own_target(target)
    }

    /// The visits to pay now, each remembered. `nonce` gives random numbers.
    ///
    /// # Errors
    ///
    /// They cannot be remembered; none of them may be paid, and they are not given, but stated as not dialled. Until the disk has taken what is
    /// left of them, nobody else loses his place in the queue.
    pub fn due(&mut self, now: u64, mut nonce: impl FnMut() -> u64) -> io::Result<Vec<Errand>> {
        let seconds = now / 1_000_000_000;
        self.tried.sweep(seconds)?;
        self.tried.commit()?;
        let mut errands = Vec::new();
        let mut room = self.budget.room(now);
        while room > 0 {
            let Some(errand) = self.retry().or_else(|| self.next(seconds, now, &mut nonce)) else { break };
            self.budget.begin(&errand.target);
            self.nonces.insert(errand.nonce, false);
            errands.push(errand);
            room -= 1;
        }
        if let Err(error) = self.tried.commit() {
            self.account.unremembered += errands.len() as u64;
            for errand in errands {
                self.budget.end(&errand.target);
                self.nonces.remove(&errand.nonce);
                let outcome = not_dialled("that it would be could not be written down");
                self.settling.push_back((now, errand, outcome, VisitRoute::Unspecified));
            }
            return Err(error);
        }
        self.account.dialled += errands.len() as u64;
        Ok(errands)
    }

    /// Somebody who gets another chance with v1, and whose neighbourhood is free.
    fn retry(&mut self) -> Option<Errand> {
        let at = self.retries.iter().position(|errand| self.budget.is_free(&errand.target))?;
        self.retries.remove(at)
    }

    fn next(&mut self, seconds: u64, now: u64, nonce: &mut impl FnMut() -> u64) -> Option<Errand> {
        loop {
            let (budget, own, tried) = (&self.budget, &self.own, &self.tried);
            let may = |target: &Target, adverts: &[Advert]| {
                budget.is_free(target)
                    && adverts.iter().all(|advert| own.is_stated(&advert.node))
                    && tried.verdict(target, seconds) != Verdict::Full
            };
            let waiting = self.queue.take(may)?;
            let target = waiting.target;
            // what is allowed may have changed while it waited
            let checked = self.rules.check(&target, self.own.neighbourhoods());
            let fresh = self.tried.verdict(&target, seconds) == Verdict::Fresh;
            if fresh && self.is_own(&target) {
                self.tried.remember(&target, seconds);
                let errand = self.errand(waiting, nonce());
                let not_dialled = not_dialled("an address of a watched node; not dialled");
                let outcome = Outcome { result: VisitResult::Own, transport: errand.transport, ..not_dialled };
                self.settling.push_back((now, errand, outcome, VisitRoute::Unspecified));
                continue;
            }
            match checked {
                Ok(()) if fresh => {
                    self.tried.remember(&target, seconds);
                    return Some(self.errand(waiting, nonce()));
                }
                Ok(()) => self.account.enough_ports += 1,
                Err(refusal) => {
                    let at = Refusal::ALL.iter().position(|known| *known == refusal).expect("it is one of all");
                    self.account.refused[at] += 1;
                }
            }
        }
    }

    /// v2 where anybody says that it is spoken there, as Bitcoin Core has it; everybody speaks v1.
    fn errand(&self, waiting: Waiting, nonce: u64) -> Errand {
        let promised = waiting.adverts.iter().any(|advert| advert.services & P2P_V2 != 0);
        let transport = if promised { Version::V2 } else { Version::V1 };
        Errand { target: waiting.target, transport, nonce, waiting: Arc::new(waiting) }
    }

    /// A visit is over.
    pub fn done(&mut self, errand: Errand, outcome: Outcome, route: VisitRoute, now: u64) {
        self.budget.end(&errand.target);
        if errand.transport == Version::V2 && outcome.silent {
            self.retries.push_back(Errand { transport: Version::V1, ..errand });
            return;
        }
        self.settling.push_back((now, errand, outcome, route));
    }

    /// Nobody is visited any more: who would have got another chance is stated as well.
    pub fn end(&mut self, now: u64) {
        for errand in std::mem::take(&mut self.retries) {
            self.settling.push_back((now, errand, not_dialled("ended before its second attempt"), VisitRoute::Unspecified));
        }
    }

    /// How long until a visit may begin, if anybody waits; `None` if nothing will be due before something else happens.
    pub fn wait(&self) -> Option<std::time::Duration> {
        let waits = !self.queue.is_empty() || !self.retries.is_empty();
        // where time is not what is missing, something else has to happen first
        (waits && self.budget.needs_time()).then(|| self.budget.wait())
    }

    /// How many visits are under way.
    pub fn under_way(&self) -> usize {
        self.budget.under_way()
    }

    /// How many addresses wait, and of how many parties.
    pub fn waiting(&self) -> (usize, usize) {
        (self.queue.len() + self.retries.len(), self.queue.parties())
    }

    /// What happened so far.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// What is to be published now; with `all`, also what would wait for a watched node's word.
    pub fn stated(&mut self, now: u64, all: bool) -> Vec<Stated> {
        let mut stated = Vec::new();
        while let Some((time, ..)) = self.settling.front()
            && (all || now >= time.saturating_add(SETTLE) || now < *time)
        {
            let Some((_, errand, mut outcome, route)) = self.settling.pop_front() else { break };
            // a node of ours says who it is; a stranger who only repeats our nonce to it would make his visit say nothing
            if self.nonces.remove(&errand.nonce) == Some(true) && outcome.result == VisitResult::Reachable {
                (outcome.result, outcome.detail) = (VisitResult::Own, "a watched node saw this visit".into());
            }
            state(&errand, &outcome, route, &mut stated);
        }
        stated
    }
}

/// One event for each node that heard of it.
fn state(errand: &Errand, outcome: &Outcome, route: VisitRoute, stated: &mut Vec<Stated>) {
    let nanos = |duration: std::time::Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let waiting = &errand.waiting;
    let hello = outcome.hello.as_ref().map(|(hello, _)| hello);
    let transport = match outcome.transport {
        Version::V1 => Transport::V1,
        Version::V2 => Transport::V2,
    };
    let begun = stated.len();
    for advert in &waiting.adverts {
        let advertiser = AddressAdvertiser {
            peer: advert.peer,
            address: advert.address.to_string(),
            time: advert.time,
            services: advert.services,
            heard: advert.heard,
        };
        if let Some(known) = stated[begun..].iter_mut().find(|known| known.node == advert.node) {
            known.visit.advertisers.push(advertiser);
            continue;
        }
        // what was passed over is counted once, however many nodes heard of it
        let first = stated.len() == begun;
        let visit = ProbeAddress {
            result: outcome.result.into(),
            route: route.into(),
            network: errand.target.network().into(),
            address: errand.target.to_bytes(),
            port: errand.target.port().into(),
            transport: transport.into(),
            version: hello.map(|hello| hello.version),
            services: hello.map(|hello| hello.services),
            user_agent: hello.map(|hello| hello.user_agent.clone()).unwrap_or_default(),
            start_height: hello.map(|hello| hello.start_height),
            time_offset: outcome.hello.as_ref().map(|(hello, now)| hello.time.saturating_sub(*now)),
            latency_nanos: outcome.latency.map(nanos),
            handshake_nanos: outcome.handshake.map(nanos),
            detail: outcome.detail.clone(),
            advertisers: vec![advertiser],
            more_advertisers: if first { waiting.more } else { 0 },
            passed_over: if first { waiting.passed_over } else { 0 },
        };
        stated.push(Stated { node: Arc::clone(&advert.node), node_run: advert.node_run, visit });
    }
}

/// Who an advertiser is, as far as fairness goes: a range of addresses, a name, or everybody who came over Tor.
pub fn party(address: &str, network: Network) -> String {
    match Host::of(address, network) {
        // of IPv6 a registry gives whoever asks a /32: by the /48 that would be 65,536 parties
        Some(host) => host.wider(24, 32).map_or_else(|| host.to_string(), |range| range.to_string()),
        None if network == Network::Onion => "inbound over Tor".to_owned(),
        None => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests;
