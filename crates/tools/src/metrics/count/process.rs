//! The node's process and its disk.

use event::{StateDisk, StateMemory, StateProcess};

use crate::metrics::node::{Node, seconds};
use crate::metrics::table::{self, Locked, Mode};
use crate::metrics::vocabulary::Thread;

pub fn locked(node: &mut Node, m: &StateMemory) {
    let of = |of: fn(&event::LockedMemory) -> Option<u64>| m.locked.as_ref().and_then(of).map(|bytes| bytes as f64);
    let values = [
        (Locked::Used, of(|locked| locked.used)),
        (Locked::Free, of(|locked| locked.free)),
        (Locked::Total, of(|locked| locked.total)),
        (Locked::Locked, of(|locked| locked.locked)),
    ];
    for (state, value) in values {
        table::LOCKED.set_or_forget(&mut node.cells, (state,), value);
    }
}

pub fn process(node: &mut Node, m: &StateProcess) {
    let cells = &mut node.cells;
    table::CPU.set(cells, (Mode::User,), seconds(m.user_nanos));
    table::CPU.set(cells, (Mode::System,), seconds(m.system_nanos));
    table::THREAD_CPU.fill(cells, f64::NAN);
    // the thread that the process began with is called like the program
    let name = |name: &str| if name.starts_with("b-") || name.starts_with('(') { Thread::of(name) } else { Thread::Main };
    for of in &m.threads {
        let thread = name(&of.name);
        // threads that this release does not know share a series
        table::THREAD_CPU.add(cells, (thread, Mode::User), seconds(of.user_nanos));
        table::THREAD_CPU.add(cells, (thread, Mode::System), seconds(of.system_nanos));
        if let Some(waiting) = of.waiting_nanos {
            table::THREAD_CPU.add(cells, (thread, Mode::Waiting), seconds(waiting));
        }
    }
    table::FAULTS.set(cells, (), m.major_faults as f64);
    table::DISK_READ.set_or_forget(cells, (), m.disk_read.map(|bytes| bytes as f64));
    table::DISK_WRITTEN.set_or_forget(cells, (), m.disk_written.map(|bytes| bytes as f64));
    let values = [
        (table::THREADS, Some(u64::from(m.thread_count))),
        (table::RESIDENT, Some(m.resident)),
        (table::RESIDENT_PEAK, m.resident_peak),
        (table::VIRTUAL, Some(m.virtual_size)),
        (table::SWAPPED, m.swapped),
        (table::FILES, m.open_files),
        (table::FILES_LIMIT, m.open_files_limit),
    ];
    for (gauge, value) in values {
        gauge.set_or_forget(cells, (), value.map(|value| value as f64));
    }
}

pub fn disk(node: &mut Node, m: &StateDisk) {
    table::DISK_SIZE.set(&mut node.cells, (), m.size as f64);
    table::DISK_AVAILABLE.set(&mut node.cells, (), m.available as f64);
}
