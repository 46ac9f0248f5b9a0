//! From records to events: pure, with the state that a stream of records needs.

use event::p2p;
use event::{Direction, HealthLost, Kind, LossStage};

use crate::args::Args;
use crate::peers::{Peer, Peers};
use crate::probes::{PROBES, Probe, Shape};
use crate::record::{Body, Message, NotARecord, Record};
use crate::skel;

/// An event before it has a publisher.
#[derive(Clone, PartialEq, Debug)]
pub struct Observation {
    /// Nanoseconds since the epoch.
    pub time: u64,
    /// Start of the node's process, Unix seconds, where it is known.
    pub node_run: Option<u64>,
    /// What happened.
    pub kind: Kind,
}

/// How many probes fired, and what became of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// All of them.
    pub fired: u64,
    /// Those that became events.
    pub seen: u64,
    /// Those that did not, because the buffer was full, or because the node's memory could not be read.
    pub lost: u64,
    /// Those of which something could not be read: they became events, if what is missing is a payload or a name, or count as
    /// lost, if it is the fact itself.
    pub faults: u64,
}

const MAX_PROBES: usize = size_of::<skel::losses>() / size_of::<u64>();

/// Makes events of records.
///
/// It is told from outside which process is which life of the node ([`attaching`](Self::attaching)) and how the clocks differ
/// ([`set_clock`](Self::set_clock)); everything else is in the records. A loss becomes a `health.lost` where it happened: between
/// the last record before it and the first one after it.
#[derive(Debug)]
pub struct Decoder {
    keep_raw: bool,
    /// Added to a record's time to get Unix time.
    clock: i64,
    lives: Vec<Life>,
    peers: Peers,
    /// Lost records per probe that events have told of.
    told: [u64; MAX_PROBES],
    seen: u64,
    unreadable: u64,
}

/// One process of the node.
#[derive(Debug)]
struct Life {
    pid: u32,
    node_run: u64,
    /// As the records name it. Differs from `pid` when we live in another pid namespace than the kernel's first.
    tgid: Option<u32>,
    /// Peers that were made known before the first record, which tells the `tgid`.
    seeds: Vec<(i64, Peer)>,
}

/// More than a node has peers; what comes beyond is not kept.
const MAX_SEEDS: usize = 1 << 12;

impl Decoder {
    /// A decoder that has seen nothing. `keep_raw` keeps the payload of decoded messages too.
    pub fn new(keep_raw: bool) -> Self {
        Self { keep_raw, clock: 0, lives: Vec::new(), peers: Peers::new(), told: [0; MAX_PROBES], seen: 0, unreadable: 0 }
    }

    /// What to add to `CLOCK_MONOTONIC` to get Unix time, nanoseconds.
    pub fn set_clock(&mut self, offset: i64) {
        self.clock = offset;
    }

    /// Records of this process may follow: it is the life of the node that began at `node_run`.
    pub fn attaching(&mut self, pid: u32, node_run: u64) {
        // tried again: what was made known of its peers since the first attempt stays known
        if self.lives.last().is_some_and(|life| life.pid == pid && life.node_run == node_run) {
            return;
        }
        // forgotten by the name that its records had
        for tgid in self.lives.iter().filter(|life| life.pid == pid).filter_map(|life| life.tgid) {
            self.peers.forget(tgid);
        }
        self.lives.retain(|life| life.pid != pid);
        self.lives.push(Life { pid, node_run, tgid: None, seeds: Vec::new() });
        // the one before it may still have records in the buffer; older ones do not
        if self.lives.len() > 2 {
            self.lives.remove(0);
        }
    }

    /// Makes a peer known that was connected before there were probes.
    ///
    /// Its messages state address and type, but not the network: an inbound peer over Tor looks like one on this machine. Of a process
    /// that was not [announced](Self::attaching) nothing is kept.
    pub fn seed(&mut self, pid: u32, id: u64, peer: Peer) {
        let Some(life) = self.lives.iter_mut().rfind(|life| life.pid == pid) else { return };
        match life.tgid {
            Some(tgid) => self.peers.put(tgid, id.cast_signed(), peer),
            None if life.seeds.len() < MAX_SEEDS => life.seeds.push((id.cast_signed(), peer)),
            None => {}
        }
    }

    /// Whether it is clear which life of the node a process is.
    pub fn knows(&self, tgid: u32) -> bool {
        self.lives.iter().any(|life| life.tgid == Some(tgid))
    }

    /// The life of the node that was announced last.
    pub fn last_run(&self) -> Option<u64> {
        self.lives.last().map(|life| life.node_run)
    }

    /// How many records became events.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// How many records arrived, but did not become events, because the fact in them could not be read. Events told of them.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// Makes the events of one record.
    ///
    /// # Errors
    ///
    /// Bytes that are no record.
    pub fn decode(&mut self, bytes: &[u8], mut out: impl FnMut(Observation)) -> Result<(), NotARecord> {
        let record = Record::parse(bytes)?;
        let time = record.time.saturating_add_signed(self.clock);
        let node_run = self.node_run(record.tgid);
        let mut out = |kind| out(Observation { time, node_run, kind });
        if let Some(losses) = record.losses {
            self.losses(losses.iter(), &mut out);
        }
        // a fact in which something is missing would be another fact; a message may lack its payload, and says so
        if record.blind || record.fault && matches!(record.body, Body::Fact(_)) {
            self.unreadable += 1;
            out(lost(Some(record.probe), 1));
            return Ok(());
        }
        self.seen += 1;
        out(match (record.body, record.probe.shape) {
            (Body::Message(message), Shape::Message(direction)) => self.message(&message, direction, record.tgid, record.fault),
            (Body::Fact(args), shape) => self.fact(args, shape, record.tgid),
            // parsing has matched body and shape
            (Body::Message(_), _) => return Ok(()),
        });
        Ok(())
    }

    /// States losses that no record has told of yet; for when the buffer is empty, so that nothing is there to tell.
    pub fn losses(&mut self, losses: impl IntoIterator<Item = u64>, mut out: impl FnMut(Kind)) {
        for (place, (told, now)) in self.told.iter_mut().zip(losses).enumerate() {
            // two threads may have told in the other order
            if now > *told {
                out(lost(PROBES.get(place), now - *told));
                *told = now;
            }
        }
    }

    /// How many losses events have told of.
    pub fn told(&self) -> u64 {
        self.told.iter().sum()
    }

    fn node_run(&mut self, tgid: u32) -> Option<u64> {
        if let Some(life) = self.lives.iter().find(|life| life.tgid == Some(tgid)) {
            return Some(life.node_run);
        }
        // a new process: it is the one with this pid, or, from within a container, the one that was announced last
        let by_pid = self.lives.iter().rposition(|life| life.tgid.is_none() && life.pid == tgid);
        let place = by_pid.or_else(|| self.lives.iter().rposition(|life| life.tgid.is_none()))?;
        let life = self.lives.get_mut(place)?;
        life.tgid = Some(tgid);
        // whatever was known by this number was of an earlier process
        self.peers.forget(tgid);
        for (id, peer) in life.seeds.drain(..) {
            self.peers.put(tgid, id, peer);
        }
        Some(life.node_run)
    }

    fn message(&mut self, message: &Message<'_>, direction: Direction, tgid: u32, fault: bool) -> Kind {
        if let Some((address, connection_type)) = message.names {
            self.peers.put(tgid, message.peer, Peer::from_names(address, connection_type));
        }
        let stranger = Peer::default();
        let peer = self.peers.get(tgid, message.peer).unwrap_or(&stranger);
        p2p::Message {
            peer: message.peer.cast_unsigned(),
            direction,
            address: &peer.address,
            connection_type: peer.connection_type,
            network: peer.network,
            size: u32::try_from(message.size).unwrap_or(u32::MAX),
            message_type: message.message_type,
            payload: message.payload,
            captured: match message.payload.len() as u64 {
                whole if whole == message.size => p2p::Captured::Whole,
                0 if fault => p2p::Captured::Unreadable,
                _ => p2p::Captured::Cut,
            },
            keep_raw: self.keep_raw,
        }
        .decode()
    }

    fn fact(&mut self, mut args: Args<'_>, shape: Shape, tgid: u32) -> Kind {
        match shape {
            Shape::Fact(make) => make(&mut args),
            Shape::PeerFact(make) => {
                let id = args.int();
                let stranger = Peer::default();
                make(self.peers.get(tgid, id).unwrap_or(&stranger), id.cast_unsigned(), &mut args)
            }
            Shape::Connection(make) => {
                let id = args.int();
                let peer = Peer::from_args(&mut args);
                let kind = make(&peer, id.cast_unsigned(), &mut args);
                self.peers.put(tgid, id, peer);
                kind
            }
            // parsing has matched body and shape; it is counted all the same
            Shape::Message(_) => lost(None, 1),
        }
    }
}

fn lost(probe: Option<&Probe>, count: u64) -> Kind {
    HealthLost { stage: LossStage::Kernel.into(), probe: probe.map_or_else(String::new, |probe| probe.full_name.to_owned()), count }
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{ConnectionType, Network};

    /// A ping of peer 7 without names, as the kernel side writes it: from the process that it calls `tgid`.
    fn ping(tgid: u32) -> Vec<u8> {
        let mut bytes = vec![0; 24];
        bytes.extend(tgid.to_ne_bytes());
        bytes.extend([0; 4]);
        assert_eq!(bytes.len(), size_of::<skel::header>());
        bytes.extend(7_u64.to_ne_bytes());
        bytes.extend(8_u64.to_ne_bytes());
        bytes.extend(8_u32.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(b"ping\0\0\0\0\0\0\0\0\0\0\0\0");
        bytes.extend([1; 8]);
        bytes
    }

    /// Which life a ping is of, and who sent it.
    fn heard(decoder: &mut Decoder, tgid: u32) -> (Option<u64>, String, Network) {
        let mut observations = Vec::new();
        decoder.decode(&ping(tgid), |observation| observations.push(observation)).unwrap();
        let observation = observations.remove(0);
        let Kind::NetPing(ping) = observation.kind else { panic!("{observation:?}") };
        (observation.node_run, ping.address.clone(), ping.network())
    }

    fn tor() -> Peer {
        Peer { address: "tor".into(), connection_type: ConnectionType::Inbound, network: Network::Onion }
    }

    fn stranger(run: u64) -> (Option<u64>, String, Network) {
        (Some(run), String::new(), Network::Unspecified)
    }

    /// In another pid namespace the node has one number for us, and another in its records.
    #[test]
    fn seeds_are_of_the_process_whose_records_follow() {
        for tgid in [5, 4711] {
            let mut decoder = Decoder::new(false);
            // not announced yet
            decoder.seed(5, 7, tor());
            decoder.attaching(5, 100);
            assert_eq!(heard(&mut decoder, tgid), stranger(100));
            decoder.attaching(5, 100);
            decoder.seed(5, 7, tor());
            assert_eq!(heard(&mut decoder, tgid), (Some(100), "tor".into(), Network::Onion), "{tgid}");
        }
    }

    #[test]
    fn seeds_may_come_after_the_first_record() {
        let mut decoder = Decoder::new(false);
        decoder.attaching(5, 100);
        assert_eq!(heard(&mut decoder, 4711), stranger(100));
        decoder.seed(5, 7, tor());
        assert_eq!(heard(&mut decoder, 4711), (Some(100), "tor".into(), Network::Onion));
    }

    #[test]
    fn a_new_life_knows_none_of_the_peers_of_the_old_one() {
        for (old, new) in [((5, 4711), (5, 4712)), ((5, 4711), (5, 4711)), ((5, 4711), (6, 4711)), ((5, 4711), (6, 4712))] {
            let mut decoder = Decoder::new(false);
            decoder.attaching(old.0, 100);
            decoder.seed(old.0, 7, tor());
            heard(&mut decoder, old.1);
            decoder.attaching(new.0, 200);
            // a life of another number still has records of its own
            let still = old.0 != new.0 && old.1 == new.1;
            let expected = if still { (Some(100), "tor".into(), Network::Onion) } else { stranger(200) };
            assert_eq!(heard(&mut decoder, new.1), expected, "{old:?} {new:?}");
        }
    }

    #[test]
    fn seeds_are_bounded() {
        let mut decoder = Decoder::new(false);
        decoder.attaching(5, 100);
        for id in 0..2 * MAX_SEEDS as u64 {
            decoder.seed(5, id, tor());
        }
        assert_eq!(decoder.lives[0].seeds.len(), MAX_SEEDS);
    }
}
