//! Tracepoints as Bitcoin Core fires them: arguments are prepared only while somebody has raised the semaphore.

#![allow(
    dead_code,
    unreachable_pub,
    unsafe_code,
    reason = "each test binary uses its part; firing a probe and mapping memory are not safe Rust"
)]

use std::ffi::{CString, c_char, c_void};
use std::io::Write as _;
use std::os::fd::AsFd as _;

use probe::probe_lazy;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

pub use event::Direction;

pub static HASH: [u8; 32] = [0x11; 32];
pub static REPLACEMENT: [u8; 32] = [0x22; 32];

fn c(text: &str) -> CString {
    CString::new(text).expect("no NUL in it")
}

/// Whether anybody listens.
pub fn message(direction: Direction, peer: i64, address: &str, connection_type: &str, message_type: &str, payload: &[u8]) -> bool {
    fire_message(direction, peer, &c(address), &c(connection_type), &c(message_type), payload.as_ptr(), payload.len())
}

/// A message whose payload may be anywhere.
pub fn message_at(direction: Direction, peer: i64, payload: *const u8, length: usize) -> bool {
    fire_message(direction, peer, c"a", c"inbound", c"block", payload, length)
}

#[inline(never)]
fn fire_message(
    direction: Direction,
    peer: i64,
    address: &std::ffi::CStr,
    connection_type: &std::ffi::CStr,
    message_type: &std::ffi::CStr,
    payload: *const u8,
    length: usize,
) -> bool {
    let (address, connection_type, message_type) = (address.as_ptr(), connection_type.as_ptr(), message_type.as_ptr());
    match direction {
        Direction::Inbound => probe_lazy!(net, inbound_message, peer, address, connection_type, message_type, length, payload),
        _ => probe_lazy!(net, outbound_message, peer, address, connection_type, message_type, length, payload),
    }
}

pub fn inbound_connection(peer: i64, address: &str, connection_type: &str, network: u32, count: u64) {
    let (address, connection_type) = (c(address), c(connection_type));
    probe_lazy!(net, inbound_connection, peer, address.as_ptr(), connection_type.as_ptr(), network, count);
}

pub fn outbound_connection(peer: i64, address: &str, connection_type: &str, network: u32, count: u64) {
    let (address, connection_type) = (c(address), c(connection_type));
    probe_lazy!(net, outbound_connection, peer, address.as_ptr(), connection_type.as_ptr(), network, count);
}

pub fn evicted_inbound_connection(peer: i64, address: &str, connection_type: &str, network: u32, established: u64) {
    let (address, connection_type) = (c(address), c(connection_type));
    probe_lazy!(net, evicted_inbound_connection, peer, address.as_ptr(), connection_type.as_ptr(), network, established);
}

pub fn closed_connection(peer: i64, address: &str, connection_type: &str, network: u32, established: u64) {
    let (address, connection_type) = (c(address), c(connection_type));
    probe_lazy!(net, closed_connection, peer, address.as_ptr(), connection_type.as_ptr(), network, established);
}

pub fn misbehaving_connection(peer: i64, reason: &str) {
    let reason = c(reason);
    probe_lazy!(net, misbehaving_connection, peer, reason.as_ptr());
}

pub fn of_a_patched_node() {
    probe_lazy!(net, of_a_patched_node, 1_i64);
}

pub fn mempool_added(vsize: i32, fee: i64) {
    probe_lazy!(mempool, added, HASH.as_ptr(), vsize, fee);
}

pub fn mempool_removed(reason: &str, vsize: i32, fee: i64, entered: u64) {
    let reason = c(reason);
    probe_lazy!(mempool, removed, HASH.as_ptr(), reason.as_ptr(), vsize, fee, entered);
}

pub fn mempool_replaced(vsize: i32, fee: i64, entered: u64, new_vsize: i32, new_fee: i64, is_txid: bool) {
    let replacement = REPLACEMENT.as_ptr();
    probe_lazy!(mempool, replaced, HASH.as_ptr(), vsize, fee, entered, replacement, new_vsize, new_fee, is_txid);
}

pub fn mempool_rejected(reason: &str) {
    mempool_rejected_at(c(reason).as_ptr());
}

#[inline(never)]
pub fn mempool_rejected_at(reason: *const c_char) {
    probe_lazy!(mempool, rejected, HASH.as_ptr(), reason);
}

pub fn block_connected(height: i32, transactions: u64, inputs: i32, sigop_cost: i64, duration: u64) {
    probe_lazy!(validation, block_connected, HASH.as_ptr(), height, transactions, inputs, sigop_cost, duration);
}

pub fn flush(duration: i64, mode: u32, coins: u64, bytes: u64, for_prune: bool) {
    probe_lazy!(utxocache, flush, duration, mode, coins, bytes, for_prune);
}

/// A file in memory, whose pages can be taken out of it.
pub struct Pages {
    start: *mut c_void,
    length: usize,
}

impl Pages {
    pub fn new(bytes: &[u8]) -> Self {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(bytes).expect("room for it");
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe { mmap(std::ptr::null_mut(), bytes.len(), ProtFlags::READ, MapFlags::PRIVATE, file.as_fd(), 0) };
        Self { start: start.expect("a mapping"), length: bytes.len() }
    }

    /// The next access to any of them is a page fault.
    pub fn evict(&self) {
        // SAFETY: our own mapping, of a file: the content comes back.
        unsafe { madvise(self.start, self.length, Advice::LinuxDontNeed).expect("advice is taken") };
    }

    pub fn pointer(&self) -> *const u8 {
        self.start.cast()
    }

    pub fn at(&self, offset: usize) -> *const c_char {
        assert!(offset < self.length);
        self.start.cast::<c_char>().wrapping_add(offset)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nothing refers to any more.
        unsafe { munmap(self.start, self.length).expect("unmapped") };
    }
}
