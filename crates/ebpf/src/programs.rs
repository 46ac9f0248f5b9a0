//! The kernel side: loaded once, attached to each life of the node. Needs CAP_BPF and CAP_PERFMON.

use std::fmt;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Mutex;

use libbpf_rs::skel::{OpenSkel as _, SkelBuilder as _};
use libbpf_rs::{ErrorKind, Link, OpenObject, PrintLevel, UsdtOpts, set_print};
use serde::{Deserialize, Serialize};

use crate::notes::Note;
use crate::probes::{Offer, PROBES, Probe, Shape};
use crate::skel;

/// What is decided before loading.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Capture {
    /// Bytes of the buffer between kernel and reader. Rounded up to a power of two; a message must fit twice, or the second of
    /// two large ones is lost.
    pub buffer: u32,
    /// The longest payload that is copied; of a longer message its beginning is.
    pub max_payload: u32,
    /// Do without the functions that only kernels from 6.16 on have. For tests: the records are the same.
    pub assume_old_kernel: bool,
}

impl Default for Capture {
    fn default() -> Self {
        Self { buffer: 8 << 20, max_payload: event::p2p::MAX_PAYLOAD as u32, assume_old_kernel: false }
    }
}

/// When so much waits in the buffer, the reader is woken: late enough to be cheap, early enough to lose nothing.
const WAKE_BYTES: u32 = 256 << 10;

/// The kernel refused.
#[derive(Debug)]
pub struct KernelError {
    attempt: String,
    error: libbpf_rs::Error,
    /// What libbpf had to say.
    log: Vec<String>,
}

impl KernelError {
    pub(crate) fn new(attempt: impl Into<String>, error: libbpf_rs::Error) -> Self {
        Self { attempt: attempt.into(), error, log: take_log() }
    }

    /// Whether capabilities are missing.
    pub fn is_permission(&self) -> bool {
        self.error.kind() == ErrorKind::PermissionDenied
    }

    /// What libbpf said on the way, for `--verbose` and bug reports.
    pub fn log(&self) -> &[String] {
        &self.log
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to {}: {}", self.attempt, self.error)?;
        match self.log.last() {
            Some(line) => write!(f, " ({})", line.trim()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for KernelError {}

/// Memory that loaded programs live in; declare it before them.
pub type Storage = MaybeUninit<OpenObject>;

/// The programs in the kernel.
pub struct Programs<'storage> {
    /// Those that are attached. Before `skel`, so that it is dropped first: libbpf keeps their book in the loaded object.
    links: Vec<Link>,
    /// Those of an earlier life of the node.
    earlier: Vec<Link>,
    skel: Box<skel::CaptureSkel<'storage>>,
    buffer: u32,
}

impl<'storage> Programs<'storage> {
    /// Loads the programs. Takes tens of milliseconds.
    ///
    /// # Errors
    ///
    /// No permission, no type information in the kernel (BTF), or a kernel older than Linux 6.1.
    pub fn load(storage: &'storage mut Storage, capture: &Capture) -> Result<Self, KernelError> {
        keep_log();
        let failed = |error| KernelError::new("prepare the kernel programs", error);
        let mut open = skel::CaptureSkelBuilder::default().open(storage).map_err(failed)?;
        open.maps.ring.set_max_entries(capture.buffer).map_err(failed)?;
        let buffer = open.maps.ring.max_entries();
        if let Some(constants) = open.maps.rodata_data.as_deref_mut() {
            constants.max_payload = capture.max_payload.min(constants.max_payload);
            constants.wake_bytes = u64::from(WAKE_BYTES.min(buffer / 4));
            constants.assume_old_kernel = capture.assume_old_kernel;
            for (place, probe) in constants.specs.iter_mut().zip(PROBES) {
                *place = spec(probe);
            }
        }
        let skel = open.load().map_err(|error| KernelError::new("load the kernel programs", error))?;
        Ok(Self { links: Vec::new(), earlier: Vec::new(), skel: Box::new(skel), buffer })
    }

    /// Bytes of the buffer.
    pub fn buffer(&self) -> u32 {
        self.buffer
    }

    /// The buffer, to be mapped by a reader.
    pub fn ring(&self) -> BorrowedFd<'_> {
        self.skel.maps.ring.as_fd()
    }

    /// The counters, to be mapped by a reader.
    pub fn counters(&self) -> BorrowedFd<'_> {
        self.skel.maps.bss_counters.as_fd()
    }

    /// Attaches to a process, whatever of the table its program has. What was attached before stays so until
    /// [`detach_earlier`](Self::detach_earlier).
    ///
    /// # Errors
    ///
    /// The kernel refused a tracepoint that the program has; nothing new is attached then.
    pub fn attach(&mut self, pid: u32, exe: &File, notes: &[Note]) -> Result<Offer, KernelError> {
        self.forget_peers();
        let offer = Offer::of(notes);
        let links = offer.known.iter().map(|(number, probe)| self.attach_probe(pid, exe, *number as u64, probe));
        let links = links.collect::<Result<_, _>>()?;
        self.earlier.append(&mut self.links);
        self.links = links;
        Ok(offer)
    }

    /// Detaches from all processes but the last one. Takes the kernel about a tenth of a second.
    pub fn detach_earlier(&mut self) {
        if self.earlier.is_empty() {
            return;
        }
        self.earlier.clear();
        // until now they have told of peers
        self.forget_peers();
    }

    /// A later process may get the id of an earlier one, and its peers the ids of others: names are told again.
    fn forget_peers(&mut self) {
        if let Some(peers) = self.skel.maps.bss_peers_data.as_deref_mut() {
            peers.told_peers.fill(0);
        }
    }

    /// Detaches from all processes.
    pub fn detach(&mut self) {
        self.earlier.clear();
        self.links.clear();
    }

    fn attach_probe(&self, pid: u32, exe: &File, number: u64, probe: &Probe) -> Result<Link, KernelError> {
        let is_message = matches!(probe.shape, Shape::Message(_));
        self.attach_site(pid, exe, number, is_message, (probe.provider, probe.name))
    }

    /// Captures the tracepoint of this name as if it were row `number`.
    pub(crate) fn attach_site(
        &self,
        pid: u32,
        exe: &File,
        number: u64,
        is_message: bool,
        (provider, name): (&str, &str),
    ) -> Result<Link, KernelError> {
        let program = if is_message { &self.skel.progs.on_message } else { &self.skel.progs.on_fact };
        let options = UsdtOpts { cookie: number, ..UsdtOpts::default() };
        program
            .attach_usdt_with_opts(pid as i32, open_file(exe), provider, name, options)
            .map_err(|error| KernelError::new(format!("attach {provider}:{name} to pid {pid}"), error))
    }
}

/// A path to an open file. The kernel and libbpf want paths, but what was at a path may have been replaced meanwhile, and
/// `/proc/<pid>/exe` is gone when the process is.
pub(crate) fn open_file(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

impl fmt::Debug for Programs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Programs").field("buffer", &self.buffer).finish_non_exhaustive()
    }
}

fn spec(probe: &Probe) -> skel::spec {
    let mut spec = skel::spec { names_peer: matches!(probe.shape, Shape::Connection(_)).into(), ..skel::spec::default() };
    if matches!(probe.shape, Shape::Message(_)) {
        return spec;
    }
    for (place, (_, slot)) in spec.arguments.iter_mut().zip(probe.arguments) {
        *place = skel::argument { offset: spec.size as u16, slot: slot.raw() as u16 };
        spec.size += slot.size() as u32;
    }
    spec.count = probe.arguments.len() as u16;
    spec
}

/// What libbpf printed since the last error. It prints from within our calls; there is no other way to get its reasons.
static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn keep_log() {
    set_print(Some((PrintLevel::Warn, |_, line| {
        if let Ok(mut log) = LOG.lock() {
            // the verifier may print megabytes; the end tells why
            if log.len() >= 100 {
                log.remove(0);
            }
            log.push(line);
        }
    })));
}

fn take_log() -> Vec<String> {
    LOG.lock().map(|mut log| std::mem::take(&mut *log)).unwrap_or_default()
}
