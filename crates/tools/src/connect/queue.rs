//! Addresses that wait for their visit: a sample of what is advertised, fair to those who advertise.
//!
//! Everybody who advertises has a queue of their own, and queues take turns. Who is one party is decided by the range of the address, not by
//! the connection: whoever reconnects, or has a hundred connections from one place, has one queue. All peers that came over Tor are one
//! party, because nothing tells them apart.
//!
//! There is room for a number of addresses. Beyond it the longest queue gives one up, whichever it is of all that are in it, so a million
//! addresses of one party push out each other and nobody else's; what remains is a sample of what the party said. What was given up is
//! counted and told with the party's next result (`probe.address`, `passed_over`).

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::target::Target;

/// Parties that are asked in one go for an address that may be dialled now.
const TURNS: usize = 64;
/// Addresses of one party that are looked at in its turn.
const LOOKS: usize = 4;
/// Advertisers that are remembered with an address.
const ADVERTISERS: usize = 8;

/// Who advertised an address, when, and what was said of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Advert {
    /// The node that heard it.
    pub node: Arc<str>,
    /// The node's life.
    pub node_run: Option<u64>,
    /// The peer that said it.
    pub peer: u64,
    /// The peer's address, as the node states it.
    pub address: Arc<str>,
    /// When the address was last seen, as claimed. Unix seconds.
    pub time: u32,
    /// Service bits claimed.
    pub services: u64,
    /// When it was heard, nanoseconds.
    pub heard: u64,
}

/// An address that waits, with who advertised it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// Where to go.
    pub target: Target,
    /// Whose turn it was: the party of the first advertiser.
    pub party: Arc<str>,
    /// The first of them.
    pub adverts: Vec<Advert>,
    /// How many more.
    pub more: u64,
    /// Addresses that this party gave up since its last turn, and those that parties gave up which have nobody waiting.
    pub passed_over: u64,
}

/// What became of an address that was offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offered {
    /// It waits.
    Waits,
    /// It waited already: one more advertiser.
    Known,
    /// It waits, and another one was given up.
    Displaced,
    /// There was no room for it.
    PassedOver,
}

/// The queues.
#[derive(Debug)]
pub struct Queue {
    room: usize,
    waiting: HashMap<Target, Entry>,
    parties: HashMap<Arc<str>, Party>,
    /// Parties by the length of their queue.
    lengths: BTreeSet<(usize, Arc<str>)>,
    turns: VecDeque<Arc<str>>,
    /// Given up by parties that have nobody waiting.
    passed_over: u64,
    chance: Chance,
}

#[derive(Debug)]
struct Entry {
    party: Arc<str>,
    /// Its place in the party's queue.
    at: usize,
    adverts: Vec<Advert>,
    more: u64,
}

#[derive(Debug, Default)]
struct Party {
    targets: Vec<Target>,
    passed_over: u64,
}

impl Queue {
    /// Room for so many addresses. `seed` decides which of a queue are taken: nobody outside should know it.
    pub fn new(room: usize, seed: u64) -> Self {
        Self {
            room: room.max(1),
            waiting: HashMap::new(),
            parties: HashMap::new(),
            lengths: BTreeSet::new(),
            turns: VecDeque::new(),
            passed_over: 0,
            chance: Chance(seed),
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many parties have somebody waiting.
    pub fn parties(&self) -> usize {
        self.parties.len()
    }

    /// Takes an address in, if there is room or the longest queue makes some.
    pub fn offer(&mut self, target: Target, party: &str, advert: Advert) -> Offered {
        if let Some(entry) = self.waiting.get_mut(&target) {
            match entry.adverts.iter().position(|known| known.node == advert.node && known.peer == advert.peer) {
                Some(at) => entry.adverts[at] = advert,
                None if entry.adverts.len() < ADVERTISERS => entry.adverts.push(advert),
                None => entry.more += 1,
            }
            return Offered::Known;
        }
        let mut displaced = false;
        if self.waiting.len() >= self.room {
            let (longest, at) = self.lengths.last().map(|(length, party)| (*length, Arc::clone(party))).expect("somebody waits");
            let mine = self.parties.get(party).map_or(0, |party| party.targets.len());
            // with one more this party has as many as anybody: then it is the one to give something up
            let own_turn = mine + 1 >= longest || *at == *party;
            let pick = self.chance.below(if own_turn { mine + 1 } else { longest });
            if own_turn && pick == mine {
                match self.parties.get_mut(party) {
                    Some(party) => party.passed_over += 1,
                    None => self.passed_over += 1,
                }
                return Offered::PassedOver;
            }
            let loser = if own_turn { self.parties.get_mut(party) } else { self.parties.get_mut(&at) };
            let loser = loser.expect("it has somebody waiting");
            loser.passed_over += 1;
            let given_up = loser.targets[pick];
            if own_turn {
                // the newcomer takes the place
                loser.targets[pick] = target;
                let Entry { party, at, .. } = self.waiting.remove(&given_up).expect("who is in a queue waits");
                self.waiting.insert(target, Entry { party, at, adverts: vec![advert], more: 0 });
                return Offered::Displaced;
            }
            self.remove(given_up);
            displaced = true;
        }
        let party = match self.parties.get_key_value(party) {
            Some((party, _)) => Arc::clone(party),
            None => {
                let party: Arc<str> = party.into();
                self.turns.push_back(Arc::clone(&party));
                party
            }
        };
        let queue = self.parties.entry(Arc::clone(&party)).or_default();
        let at = queue.targets.len();
        queue.targets.push(target);
        self.lengths.remove(&(at, Arc::clone(&party)));
        self.lengths.insert((at + 1, Arc::clone(&party)));
        self.waiting.insert(target, Entry { party, at, adverts: vec![advert], more: 0 });
        if displaced { Offered::Displaced } else { Offered::Waits }
    }

    /// The next address that may be dialled now: of the party whose turn it is. One that may not goes on waiting, and its party has lost its
    /// turn.
    pub fn take(&mut self, mut may: impl FnMut(&Target, &[Advert]) -> bool) -> Option<Waiting> {
        for _ in 0..self.turns.len().min(TURNS) {
            let party = self.turns.pop_front()?;
            let Some(queue) = self.parties.get(&party) else { continue };
            let mut found = None;
            for _ in 0..queue.targets.len().min(LOOKS) {
                let target = queue.targets[self.chance.below(queue.targets.len())];
                if may(&target, &self.waiting[&target].adverts) {
                    found = Some(target);
                    break;
                }
            }
            let Some(target) = found else {
                self.turns.push_back(party);
                continue;
            };
            let passed_over = self.parties.get_mut(&party).map_or(0, |queue| std::mem::take(&mut queue.passed_over));
            let Entry { adverts, more, .. } = self.remove(target)?;
            if self.parties.contains_key(&party) {
                self.turns.push_back(Arc::clone(&party));
            }
            let passed_over = passed_over + std::mem::take(&mut self.passed_over);
            return Some(Waiting { target, party, adverts, more, passed_over });
        }
        None
    }

    /// Gives up an address that is not to be dialled any more.
    pub fn forget(&mut self, target: &Target) {
        if let Some(entry) = self.remove(*target)
            && !self.parties.contains_key(&entry.party)
        {
            self.turns.retain(|party| *party != entry.party);
        }
    }

    fn remove(&mut self, target: Target) -> Option<Entry> {
        let entry = self.waiting.remove(&target)?;
        let queue = self.parties.get_mut(&entry.party)?;
        let length = queue.targets.len();
        queue.targets.swap_remove(entry.at);
        if let Some(moved) = queue.targets.get(entry.at) {
            self.waiting.get_mut(moved).expect("who is in a queue waits").at = entry.at;
        }
        self.lengths.remove(&(length, Arc::clone(&entry.party)));
        if length > 1 {
            self.lengths.insert((length - 1, Arc::clone(&entry.party)));
        } else if let Some(party) = self.parties.remove(&entry.party) {
            self.passed_over += party.passed_over;
        }
        Some(entry)
    }
}

/// Numbers that nobody outside can guess: a counter, mixed (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    /// Below `end`, which is above 0.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // the high half of the product is as even as 64 bits over `end` can be
        ((u128::from(mixed) * end as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn target(number: u32) -> Target {
        Target::of_ip(std::net::Ipv4Addr::from(0x0100_0000 + number).into(), 8333)
    }

    fn advert(peer: u64) -> Advert {
        Advert { node: "a".into(), node_run: None, peer, address: "1.1.1.1:1".into(), time: 0, services: 0, heard: 0 }
    }

    /// Every address waits in one queue at the place that it has, and lengths are what they are.
    fn consistent(queue: &Queue) {
        let mut sum = 0;
        for (name, party) in &queue.parties {
            sum += party.targets.len();
            assert!(queue.lengths.contains(&(party.targets.len(), Arc::clone(name))));
            for (at, target) in party.targets.iter().enumerate() {
                let entry = &queue.waiting[target];
                assert_eq!((entry.at, &entry.party), (at, name));
            }
        }
        assert_eq!((sum, queue.lengths.len(), queue.turns.len()), (queue.len(), queue.parties(), queue.parties()));
    }

    #[test]
    fn a_flood_pushes_out_its_own_and_nobody_elses() {
        let mut queue = Queue::new(1000, 7);
        for honest in 0..20_u32 {
            for number in 0..10 {
                queue.offer(target(honest * 100 + number), &format!("honest {honest}"), advert(u64::from(honest)));
            }
        }
        for number in 0..100_000 {
            queue.offer(target(1_000_000 + number), "attacker", advert(99));
        }
        consistent(&queue);
        assert_eq!((queue.len(), queue.parties()), (1000, 21));
        assert_eq!(queue.parties["attacker"].targets.len(), 800);
        // who comes later has room, too
        for number in 0..50 {
            assert_eq!(queue.offer(target(5000 + number), "late", advert(5)), Offered::Displaced);
        }
        assert_eq!(queue.parties["late"].targets.len(), 50);
        // and what is visited first is as fair as turns are
        let mut turns = BTreeMap::new();
        for _ in 0..220 {
            let waiting = queue.take(|_, _| true).unwrap();
            *turns.entry(waiting.party.to_string()).or_insert(0) += 1;
            if &*waiting.party == "attacker" && turns["attacker"] == 1 {
                assert_eq!(waiting.passed_over, 100_000 - 750);
            }
        }
        assert_eq!(turns.values().copied().collect::<Vec<_>>(), vec![10; 22]);
        consistent(&queue);
    }

    #[test]
    fn what_remains_of_a_flood_is_a_sample_of_all_of_it() {
        let mut queue = Queue::new(1000, 3);
        for number in 0..10_000 {
            queue.offer(target(number), "attacker", advert(1));
        }
        // who comes later is a little more likely to be left: nobody can fill the sample before others come
        let early = queue.parties["attacker"].targets.iter().filter(|kept| **kept < target(5000)).count();
        assert!((1..400).contains(&early), "{early}");
        assert_eq!(queue.len(), 1000);
    }

    #[test]
    fn an_address_waits_once_and_remembers_who_advertised_it() {
        let mut queue = Queue::new(10, 1);
        assert_eq!(queue.offer(target(1), "a", advert(0)), Offered::Waits);
        for peer in 0..20 {
            assert_eq!(queue.offer(target(1), &format!("range {peer}"), advert(peer)), Offered::Known);
        }
        let waiting = queue.take(|_, _| true).unwrap();
        assert_eq!((waiting.adverts.len(), waiting.more, &*waiting.party), (8, 12, "a"));
        assert!(queue.is_empty() && queue.parties() == 0);
        consistent(&queue);
    }

    #[test]
    fn who_may_not_be_visited_now_goes_on_waiting() {
        let mut queue = Queue::new(10, 1);
        queue.offer(target(1), "a", advert(0));
        queue.offer(target(2), "b", advert(0));
        assert_eq!(queue.take(|may, _| *may != target(1)).unwrap().target, target(2));
        assert_eq!(queue.take(|may, _| *may != target(1)), None);
        assert_eq!(queue.take(|_, _| true).unwrap().target, target(1));
    }

    #[test]
    fn many_parties_with_one_address_each_are_refused_when_it_is_full() {
        let mut queue = Queue::new(5, 1);
        for number in 0..5 {
            assert_eq!(queue.offer(target(number), &number.to_string(), advert(0)), Offered::Waits);
        }
        let kept = (5..105).filter(|number| queue.offer(target(*number), &number.to_string(), advert(0)) != Offered::PassedOver);
        assert_eq!((kept.count(), queue.len()), (0, 5));
        consistent(&queue);
    }
}
