//! The reader of the buffer: maps what the privileged side hands over, and needs no capability.
//!
//! A consumer of its own rather than libbpf's, for three reasons: libbpf asks the kernel about the map, which only CAP_BPF may;
//! it publishes its position after every record, which costs the producing node; and it wakes for every record unless told.

use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::skel;

/// Polling this often costs 0.3 % of a core. Records wait no longer for a reader that is not woken.
const POLL: Duration = Duration::from_millis(10);

/// After a poll that brought nothing the kernel side is asked to wake us, and we sleep up to this long.
const SLEEP: Duration = Duration::from_millis(500);

/// Consumed bytes after which the position is published: seldom enough not to disturb the node's cache lines.
const PUBLISH: u64 = 64 << 10;

/// A record is being written for this long at most, unless its payload has to be read from disk.
const BUSY: Duration = Duration::from_micros(50);

/// `BPF_RINGBUF_BUSY_BIT`, `BPF_RINGBUF_DISCARD_BIT` and `BPF_RINGBUF_HDR_SZ` of the kernel's `linux/bpf.h`.
const BUSY_BIT: u32 = 1 << 31;
const DISCARD_BIT: u32 = 1 << 30;
const HEADER: u64 = 8;

/// The counters of the kernel side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counters {
    /// Records, lost ones included.
    pub fired: u64,
    /// Lost records.
    pub lost: u64,
    /// Lost records per place in the table of probes.
    pub losses: Vec<u64>,
    /// Records of which something could not be read, per place in the table of probes.
    pub faults: Vec<u64>,
}

/// Reads records in the order of the buffer.
#[derive(Debug)]
pub struct Reader {
    fd: OwnedFd,
    consumer: Mapping,
    producer: Mapping,
    counters: Mapping,
    /// Where the data begins in `producer`.
    data: usize,
    mask: u64,
    position: u64,
    /// The last poll brought nothing.
    idle: bool,
    /// The record at our position was not complete yet.
    busy: bool,
}

impl Reader {
    /// Maps a buffer of `size` bytes and its counters.
    ///
    /// # Errors
    ///
    /// The descriptors are something else, or memory is short.
    pub fn new(ring: OwnedFd, size: u32, counters: &OwnedFd) -> io::Result<Self> {
        if !size.is_power_of_two() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("a buffer of {size} bytes does not exist")));
        }
        let page = rustix::param::page_size();
        let size = size as usize;
        let writable = ProtFlags::READ | ProtFlags::WRITE;
        // the layout is the kernel's, Documentation/bpf/ringbuf.rst: consumer position, producer position, data twice
        let consumer = Mapping::new(ring.as_fd(), 0, page, writable)?;
        let producer = Mapping::new(ring.as_fd(), page as u64, page + 2 * size, ProtFlags::READ)?;
        let counters = Mapping::new(counters.as_fd(), 0, size_of::<skel::counters>().next_multiple_of(page), writable)?;
        let position = consumer.atomic(0).load(Ordering::Acquire);
        Ok(Self { fd: ring, consumer, producer, counters, data: page, mask: size as u64 - 1, position, idle: false, busy: false })
    }

    /// Gives the records that are there to `each`, oldest first, up to the first that is not complete. Returns their number.
    ///
    /// What is written meanwhile is left for the next call, so that this ends however busy the node is.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8])) -> u64 {
        let mut count = 0;
        let mut published = self.position;
        let end = self.end();
        self.busy = false;
        while self.position < end {
            let at = self.data + (self.position & self.mask) as usize;
            let header = self.producer.atomic_u32(at).load(Ordering::Acquire);
            if header & BUSY_BIT != 0 {
                self.busy = true;
                break;
            }
            let length = u64::from(header & !(BUSY_BIT | DISCARD_BIT));
            if header & DISCARD_BIT == 0 {
                count += 1;
                // the kernel leaves a record alone until our published position is behind it
                each(self.producer.bytes(at + HEADER as usize, length as usize));
            }
            self.position += (length + HEADER).next_multiple_of(8);
            if self.position - published >= PUBLISH {
                self.publish();
                published = self.position;
            }
        }
        self.publish();
        if count > 0 {
            self.idle = false;
        }
        count
    }

    /// Tells the kernel that everything before our position may be overwritten.
    fn publish(&self) {
        self.consumer.atomic(0).store(self.position, Ordering::Release);
    }

    /// Where the last record ends.
    fn end(&self) -> u64 {
        self.producer.atomic(0).load(Ordering::Acquire)
    }

    /// Waits until there may be records, `other` has something to say, or `max` has passed. Returns whether `other` has.
    ///
    /// # Errors
    ///
    /// `poll` failed.
    pub fn wait(&mut self, max: Duration, other: Option<BorrowedFd<'_>>) -> io::Result<bool> {
        if self.busy {
            // poll would return at once until the record is complete
            std::thread::sleep(BUSY.min(max));
            return Ok(false);
        }
        let waits = self.counters.atomic(offset_of!(skel::counters, reader_waits));
        if self.idle {
            waits.store(1, Ordering::Relaxed);
            // either we see the record in `poll`, or its producer sees the flag: this is the reader's half of the barrier
            fence(Ordering::SeqCst);
        }
        let timeout = max.min(if self.idle { SLEEP } else { POLL });
        let mut fds = vec![PollFd::new(&self.fd, PollFlags::IN)];
        if let Some(other) = &other {
            fds.push(PollFd::new(other, PollFlags::IN));
        }
        let timeout = Timespec::try_from(timeout).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let ready = match poll(&mut fds, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => 0,
            other => other?,
        };
        if self.idle {
            waits.store(0, Ordering::Relaxed);
        }
        self.idle = ready == 0;
        Ok(fds.get(1).is_some_and(|fd| !fd.revents().is_empty()))
    }

    /// Whether everything written so far was given out.
    pub fn is_drained(&self) -> bool {
        self.position >= self.end()
    }

    /// How many records were lost so far.
    pub fn lost(&self) -> u64 {
        self.counters.atomic(offset_of!(skel::counters, lost)).load(Ordering::Relaxed)
    }

    /// The counters as they are now.
    pub fn counters(&self) -> Counters {
        let number = |at| self.counters.atomic(at).load(Ordering::Relaxed);
        let table = |at| (0..size_of::<skel::losses>()).step_by(8).map(|place| number(at + place)).collect();
        Counters {
            fired: number(offset_of!(skel::counters, fired)),
            lost: number(offset_of!(skel::counters, lost)),
            losses: table(offset_of!(skel::counters, losses)),
            faults: table(offset_of!(skel::counters, faults)),
        }
    }
}

/// Memory shared with the kernel side.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

#[expect(unsafe_code, reason = "memory shared with the kernel has no safe wrapper")]
mod shared {
    use super::*;

    // SAFETY: the memory belongs to no thread; all access to it is atomic, or to parts that nobody writes.
    unsafe impl Send for Mapping {}

    impl Mapping {
        pub(super) fn new(fd: BorrowedFd<'_>, offset: u64, length: usize, access: ProtFlags) -> io::Result<Self> {
            // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing that Rust knows of.
            let start = unsafe { mmap(std::ptr::null_mut(), length, access, MapFlags::SHARED, fd, offset)? };
            let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
            Ok(Self { start, length })
        }

        /// The eight bytes at `at`, which both sides access atomically.
        pub(super) fn atomic(&self, at: usize) -> &AtomicU64 {
            assert!(at.is_multiple_of(8) && at + 8 <= self.length, "inside of the mapping");
            // SAFETY: in bounds and aligned (the mapping begins at a page), mapped as long as `self` lives, and never accessed
            // other than atomically. Read-only mappings are only loaded from.
            unsafe { AtomicU64::from_ptr(self.start.add(at).cast().as_ptr()) }
        }

        /// The four bytes at `at`, which both sides access atomically.
        pub(super) fn atomic_u32(&self, at: usize) -> &AtomicU32 {
            assert!(at.is_multiple_of(4) && at + 4 <= self.length, "inside of the mapping");
            // SAFETY: as in `atomic`.
            unsafe { AtomicU32::from_ptr(self.start.add(at).cast().as_ptr()) }
        }

        /// Bytes that nobody writes while the result lives: a complete record whose place is not published as free.
        pub(super) fn bytes(&self, at: usize, length: usize) -> &[u8] {
            assert!(at + length <= self.length, "inside of the mapping");
            // SAFETY: in bounds, mapped as long as `self` lives, and not written to: the kernel reuses the place only when the
            // consumer position is behind it, and `drain`, the only caller, publishes that position after the slice's last use.
            unsafe { std::slice::from_raw_parts(self.start.add(at).as_ptr(), length) }
        }
    }

    impl Drop for Mapping {
        fn drop(&mut self) {
            // SAFETY: mapped by us, and nothing borrowed from it outlives `self`. It cannot fail for such a mapping.
            let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
        }
    }
}
