//! Dumps of the address manager: what is in them, and what changed since the one before.

use std::collections::HashSet;

use event::{AddrmanEntry, StateAddrmanRaw};

use super::node::Node;
use super::statistic::Statistics;
use super::table::{self, Change, Table};
use super::vocabulary::{Port, Service};

/// Buckets of the table `new` (Bitcoin Core `src/addrman_impl.h`).
const NEW_BUCKETS: u32 = 1024;
/// Buckets of the table `tried`.
const TRIED_BUCKETS: u32 = 256;
/// Places of a bucket.
const PLACES: u32 = 64;

/// An entry is given up when it was last seen longer ago (`ADDRMAN_HORIZON`), seconds.
const HORIZON: u64 = 30 * 86_400;
/// A claimed time may be so far ahead, seconds.
const AHEAD: u64 = 600;

/// The places of both tables, as they were: 12 bytes each, one megabyte in all.
#[derive(Debug)]
pub struct Dump(Box<[Place]>);

/// What stood in a place. Address and services are condensed: that two different ones look the same happens once in four billion.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Place {
    /// 0 where there is nothing.
    address: u32,
    services: u32,
    time: u32,
}

impl Place {
    fn of(entry: &AddrmanEntry) -> Self {
        let address = entry.address.iter().fold(condense(entry.port), |all, byte| (all ^ u64::from(*byte)).wrapping_mul(PRIME));
        let time = u32::try_from(entry.time).unwrap_or(u32::MAX);
        Self { address: fold(address).max(1), services: fold(entry.services.wrapping_mul(PRIME)), time }
    }
}

/// Of FNV-1a.
const PRIME: u64 = 0x0100_0000_01b3;

fn condense(port: u32) -> u64 {
    (0xcbf2_9ce4_8422_2325 ^ u64::from(port)).wrapping_mul(PRIME)
}

fn fold(number: u64) -> u32 {
    (number ^ (number >> 32)) as u32
}

/// Counts a dump.
pub fn count(node: &mut Node, time: u64, raw: &StateAddrmanRaw) {
    let now = time / 1_000_000_000;
    let new = (Table::New, raw.new.as_slice());
    let tried = (Table::Tried, raw.tried.as_slice());
    table::ADDRMAN_ENTRIES.fill(&mut node.cells, f64::NAN);
    table::ADDRMAN_PORTS.fill(&mut node.cells, 0.0);
    table::ADDRMAN_SERVICES.fill(&mut node.cells, f64::NAN);
    for (name, entries) in [new, tried] {
        contents(node, now, name, entries);
    }
    changes(node, raw);
}

fn contents(node: &mut Node, now: u64, name: Table, entries: &[AddrmanEntry]) {
    let cells = &mut node.cells;
    let (mut terrible, mut future) = (0_u32, 0_u32);
    let mut ages = Vec::with_capacity(entries.len());
    let mut sources = HashSet::new();
    let (mut systems, mut source_systems) = (HashSet::new(), HashSet::new());
    for entry in entries {
        table::ADDRMAN_ENTRIES.add(cells, (entry.network(), name), 1.0);
        table::ADDRMAN_PORTS.add(cells, (Port::of(entry.port), name), 1.0);
        for bit in bits(entry.services) {
            table::ADDRMAN_SERVICES.add(cells, (Service::of_bit(bit), name), 1.0);
        }
        ages.push(now.saturating_sub(entry.time) as f64);
        terrible += u32::from(now.saturating_sub(entry.time) > HORIZON);
        future += u32::from(entry.time.saturating_sub(now) > AHEAD);
        sources.insert((entry.source_network, &entry.source));
        systems.extend(entry.mapped_as);
        source_systems.extend(entry.source_mapped_as);
    }
    let number = |set: usize| Some(set as f64).filter(|number| *number > 0.0);
    table::ADDRMAN_TERRIBLE.set(cells, (name,), f64::from(terrible));
    table::ADDRMAN_FUTURE.set(cells, (name,), f64::from(future));
    table::ADDRMAN_SOURCES.set(cells, (name,), sources.len() as f64);
    table::ADDRMAN_SYSTEMS.set_or_forget(cells, (name,), number(systems.len()));
    table::ADDRMAN_SOURCE_SYSTEMS.set_or_forget(cells, (name,), number(source_systems.len()));
    let ages = Statistics::of(ages);
    for (statistic, value) in ages.each() {
        table::ADDRMAN_AGES.set_or_forget(cells, (name, statistic), value);
    }
}

/// The bits that are set.
pub fn bits(mut services: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = services.trailing_zeros();
        services &= services.wrapping_sub(1);
        (bit < u64::BITS).then_some(bit)
    })
}

fn changes(node: &mut Node, raw: &StateAddrmanRaw) {
    let mut dump = vec![Place::default(); ((NEW_BUCKETS + TRIED_BUCKETS) * PLACES) as usize].into_boxed_slice();
    for (first, buckets, entries) in [(0, NEW_BUCKETS, &raw.new), (NEW_BUCKETS, TRIED_BUCKETS, &raw.tried)] {
        // a node that has other tables than we know is not compared there
        for entry in entries.iter().filter(|entry| entry.bucket < buckets && entry.position < PLACES) {
            dump[((first + entry.bucket) * PLACES + entry.position) as usize] = Place::of(entry);
        }
    }
    if let Some(before) = &node.addrman {
        for (at, (old, new)) in before.0.iter().zip(&dump).enumerate() {
            let name = if at < (NEW_BUCKETS * PLACES) as usize { Table::New } else { Table::Tried };
            let change = match (old.address, new.address) {
                _ if old == new => continue,
                (0, _) => Change::Added,
                (_, 0) => Change::Removed,
                (one, other) if one != other => Change::Replaced,
                _ if old.services != new.services => Change::Services,
                _ => Change::Time,
            };
            table::ADDRMAN_CHANGES.add(&mut node.cells, (name, change), 1);
        }
    }
    node.addrman = Some(Box::new(Dump(dump)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::Network;

    const NOW: u64 = 1_750_000_000;

    fn entry(position: u32, host: u8, services: u64, time: u64) -> AddrmanEntry {
        AddrmanEntry {
            bucket: 3,
            position,
            network: Network::Ipv4.into(),
            address: vec![203, 0, 113, host].into(),
            port: 8333,
            services,
            time,
            source_network: Network::Ipv4.into(),
            source: vec![198, 51, 100, 1].into(),
            ..AddrmanEntry::default()
        }
    }

    fn dump(node: &mut Node, new: Vec<AddrmanEntry>) {
        count(node, NOW * 1_000_000_000, &StateAddrmanRaw { new, tried: vec![] });
    }

    #[test]
    fn a_dump_is_compared_with_the_one_before() {
        let mut node = Node::new("alice".into());
        let changed = |node: &Node| -> Vec<u64> {
            let place = table::ROWS.iter().position(|row| row.name.ends_with("addrman_changes_total")).unwrap();
            node.cells.from(table::OFFSETS[place], Change::ALL.len()).to_vec()
        };
        dump(&mut node, vec![entry(0, 1, 9, NOW), entry(1, 2, 9, NOW), entry(2, 3, 9, NOW), entry(3, 4, 9, NOW)]);
        assert_eq!(changed(&node), [0; 5], "the first is compared with nothing");
        dump(
            &mut node,
            vec![entry(0, 1, 9, NOW), entry(1, 9, 9, NOW), entry(2, 3, 1033, NOW), entry(3, 4, 9, NOW + 1), entry(9, 5, 9, NOW)],
        );
        // added, replaced, removed, services, time
        assert_eq!(changed(&node), [1, 1, 0, 1, 1]);
        dump(&mut node, vec![]);
        assert_eq!(changed(&node), [1, 1, 5, 1, 1]);
    }

    #[test]
    fn claims_are_sorted_out() {
        let mut node = Node::new("alice".into());
        dump(&mut node, vec![entry(0, 1, 9, NOW - HORIZON - 1), entry(1, 2, 9, NOW + AHEAD + 1), entry(2, 3, 1 << 40, NOW - 10)]);
        let get = |gauge: super::super::cells::Gauge<(Table,)>| gauge.get(&node.cells, (Table::New,));
        assert_eq!(
            (get(table::ADDRMAN_TERRIBLE), get(table::ADDRMAN_FUTURE), get(table::ADDRMAN_SOURCES)),
            (Some(1.0), Some(1.0), Some(1.0))
        );
        assert_eq!(get(table::ADDRMAN_SYSTEMS), None, "without a map of systems there are none, not zero");
        let services = |service| table::ADDRMAN_SERVICES.get(&node.cells, (service, Table::New));
        assert_eq!((services(Service::Network), services(Service::High), services(Service::Bloom)), (Some(2.0), Some(1.0), None));
    }

    /// Buckets and positions are text in the node's answer.
    #[test]
    fn places_that_do_not_exist_are_passed_over() {
        let mut node = Node::new("alice".into());
        let far = AddrmanEntry { bucket: u32::MAX, position: u32::MAX, ..entry(0, 1, 9, NOW) };
        dump(&mut node, vec![far.clone()]);
        dump(&mut node, vec![far]);
    }
}
