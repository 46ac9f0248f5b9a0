//! The privileged process: finds the node, attaches, attaches again after a restart, and hands over the buffer.
//!
//! It reads nothing that a peer chose: program files, `/proc`, pid files, and one message from its parent. What it holds is
//! [`privileges::TRACER`] at most, and `CAP_SYS_PTRACE` only while it needs it.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

use crate::control::{Channel, Class, Heard, Problem, Report};
use crate::notes::{self, NotesError};
use crate::privileges::{self, Capability};
use crate::process::{FindError, Finder, Node, Target};
use crate::programs::{Attachment, Capture, KernelError, Programs};

/// How often a node that is gone is looked for. Half of what it takes a node to open its ports; looking costs a millisecond.
const SEARCH: Duration = Duration::from_millis(100);

/// How long a tracer that was told to stop may take to detach before it is killed.
const STOP: Duration = Duration::from_secs(5);

/// What the tracer is asked to do.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Which node.
    pub target: Target,
    /// Buffer and limits.
    pub capture: Capture,
    /// Wait for a node that does not run yet, instead of ending with an error.
    pub wait: bool,
}

/// The parent's handle of the privileged process. Dropping it ends the process.
#[derive(Debug)]
pub struct Tracer {
    child: Child,
    channel: Option<Channel>,
}

impl Tracer {
    /// Starts `command`, which must call [`run`] first thing. The caller should [drop its own
    /// capabilities](privileges::drop_all) right after.
    ///
    /// # Errors
    ///
    /// The command cannot be started.
    pub fn spawn(mut command: Command, config: &Config) -> io::Result<Self> {
        let (ours, theirs) = Channel::pair()?;
        let child = command.stdin(OwnedFd::from(theirs)).spawn()?;
        // not `?` at once: from here on the child is ended by dropping this
        let tracer = Self { child, channel: Some(ours) };
        tracer.channel()?.send(config, &[])?;
        Ok(tracer)
    }

    /// Process id of the tracer.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The connection to it.
    ///
    /// # Errors
    ///
    /// The tracer was told to stop.
    pub(crate) fn channel(&self) -> io::Result<&Channel> {
        self.channel.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        self.channel = None;
        let deadline = Instant::now() + STOP;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The privileged process, from its first to its last line; its standard input is the connection to the parent.
///
/// # Errors
///
/// It was not started by [`Tracer::spawn`], or the parent went away in the middle of a message. Everything else is told to the
/// parent.
pub fn run() -> io::Result<()> {
    let channel = Channel::from(io::stdin().as_fd().try_clone_to_owned()?);
    let config: Config = match channel.receive(true)? {
        Heard::Message(config, _) => config,
        Heard::Nothing | Heard::End => return Ok(()),
    };
    match trace(&channel, config) {
        // the parent is gone: nobody to tell
        Ok(()) | Err(Stop::Order) => Ok(()),
        Err(Stop::Problem(problem)) => channel.send(&Report::Failed(problem), &[]),
    }
}

/// Why the tracer ends.
enum Stop {
    /// The parent closed its end.
    Order,
    /// It cannot go on.
    Problem(Problem),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Only speaking to the parent fails so.
impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Order
    }
}

fn trace(channel: &Channel, config: Config) -> Result<(), Stop> {
    check_system()?;
    // finding first: while the right to look into a data directory is there, and so that nothing is loaded for nothing
    let wait = config.wait;
    let mut finder = Finder::new(config.target);
    let mut found = finder.find().map_err(Problem::from);
    if let (Err(problem), false) = (&found, wait) {
        return Err(problem.clone().into());
    }
    privileges::keep_only(&privileges::TRACER).map_err(Problem::broken)?;

    let mut storage = MaybeUninit::uninit();
    let mut programs = Programs::load(&mut storage, &config.capture)?;
    channel.send(&Report::Ready { buffer: programs.buffer() }, &[programs.ring(), programs.counters()])?;

    let mut attached = false;
    let mut complaint = None;
    loop {
        match found {
            Ok(node) => {
                complaint = None;
                match attach(channel, &mut programs, &node) {
                    Ok(()) => attached = true,
                    Err(Stop::Problem(problem)) if attached || wait => {
                        channel.send(&Report::Trouble(problem), &[])?;
                    }
                    Err(stop) => return Err(stop),
                }
                watch(channel, &node)?;
            }
            Err(problem) => {
                if complaint.as_ref() != Some(&problem) {
                    channel.send(&Report::Waiting(problem.clone()), &[])?;
                    complaint = Some(problem);
                }
            }
        }
        rest(channel, SEARCH)?;
        found = finder.find().map_err(Problem::from);
    }
}

/// What must be so for anything else to work.
fn check_system() -> Result<(), Problem> {
    if !privileges::effective().can_trace() {
        return Err(Problem::new(Class::NotPermitted, "attaching to a node takes CAP_BPF and CAP_PERFMON", permission_hint()));
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Err(Problem::new(
            Class::Kernel,
            "this kernel does not state its types (no /sys/kernel/btf/vmlinux)",
            "use a kernel built with CONFIG_DEBUG_INFO_BTF, as those of Debian, Ubuntu and Fedora are; in a container, mount /sys",
        ));
    }
    Ok(())
}

fn permission_hint() -> String {
    let exe = std::env::current_exe().map_or_else(|_| "peer-observer".into(), |exe| exe.display().to_string());
    format!("run it as root, or once: sudo setcap cap_bpf,cap_perfmon+ep {exe} (also cap_sys_ptrace if the node is another user's)")
}

fn attach(channel: &Channel, programs: &mut Programs<'_>, node: &Node) -> Result<(), Stop> {
    let path = node.exe.clone().unwrap_or_else(|| format!("/proc/{}/exe", node.pid).into());
    let exe = node.open_exe().map_err(|error| cannot_open(node, &error))?;
    // the program is read before the parent is told: what has no probes is never announced
    let notes = exe.try_clone().map_err(|error| cannot_open(node, &error)).and_then(|exe| Ok(notes::read_file(exe, &path)?))?;
    let (pid, node_run, exe_name) = (node.pid, node.node_run, path.display().to_string());
    channel.send(&Report::Attaching { pid, node_run, exe: exe_name.clone() }, &[])?;
    let Attachment { attached, missing, unlisted } = programs.attach(pid, &exe, &notes)?;
    if attached.is_empty() {
        return Err(Problem::new(
            Class::NoProbes,
            format!("{exe_name} (pid {pid}) has none of the tracepoints of Bitcoin Core"),
            "official Linux releases have them; an own build needs `cmake -DWITH_USDT=ON` and systemtap-sdt-dev",
        )
        .into());
    }
    if privileges::effective().has(Capability::CAP_SYS_PTRACE) {
        privileges::try_without(Capability::CAP_SYS_PTRACE, || node.open_exe().is_ok()).map_err(Problem::broken)?;
    }
    channel.send(&Report::Attached { pid, node_run, exe: exe_name, attached, missing, unlisted }, &[])?;
    // last: it takes a tenth of a second, in which the new life is watched already
    programs.detach_earlier();
    Ok(())
}

fn cannot_open(node: &Node, error: &io::Error) -> Problem {
    let message = format!("failed to open the program of pid {}: {error}", node.pid);
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Problem::new(Class::NotPermitted, message, format!("it runs as user {}: {}", node.uid, permission_hint()))
        }
        _ => Problem::new(Class::NoNode, message, "it has just ended"),
    }
}

/// Waits for the end of the node's process, and reports it.
fn watch(channel: &Channel, node: &Node) -> Result<(), Stop> {
    // an error is the process's end, too
    if let Ok(exit) = node.exit() {
        let fds = &mut [PollFd::new(&exit, PollFlags::IN), PollFd::new(channel, PollFlags::IN)];
        while !fds.first().is_some_and(|exit| exit.revents().contains(PollFlags::IN)) {
            match poll(fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Problem::broken(error).into()),
            }
            if fds.get(1).is_some_and(|channel| !channel.revents().is_empty()) {
                return Err(Stop::Order);
            }
        }
    }
    let exe = node.exe.as_ref().map_or_else(String::new, |exe| exe.display().to_string());
    let reason = "the node's process has ended".to_owned();
    channel.send(&Report::Detached { pid: node.pid, node_run: node.node_run, exe, reason }, &[])?;
    Ok(())
}

/// Waits, unless the parent orders to stop: it never says anything else.
fn rest(channel: &Channel, duration: Duration) -> Result<(), Stop> {
    let timeout = Timespec { tv_sec: 0, tv_nsec: duration.subsec_nanos().into() };
    match poll(&mut [PollFd::new(channel, PollFlags::IN)], Some(&timeout)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => Ok(()),
        _ => Err(Stop::Order),
    }
}

impl From<FindError> for Problem {
    fn from(error: FindError) -> Self {
        let class = match error {
            FindError::Several(_) => Class::SeveralNodes,
            FindError::OtherUser { .. } => Class::NotPermitted,
            _ => Class::NoNode,
        };
        Self::new(class, &error, error.hint())
    }
}

impl From<NotesError> for Problem {
    fn from(error: NotesError) -> Self {
        Self::new(Class::NoProbes, &error, "name the pid of bitcoind itself, not of a script that starts it")
    }
}

impl From<KernelError> for Stop {
    fn from(error: KernelError) -> Self {
        Self::Problem(if error.is_permission() {
            Problem::new(Class::NotPermitted, &error, permission_hint())
        } else {
            Problem::new(Class::Kernel, &error, "Linux 6.1 or newer is needed; `uname -r` tells what runs here")
        })
    }
}

impl From<NotesError> for Stop {
    fn from(error: NotesError) -> Self {
        Self::Problem(error.into())
    }
}

/// Opens a program file the way the tracer would; for `doctor`.
///
/// # Errors
///
/// As [`Report::Failed`] would say.
pub fn look(target: Target) -> Result<(Node, File), Problem> {
    let node = Finder::new(target).find()?;
    let exe = node.open_exe().map_err(|error| cannot_open(&node, &error))?;
    Ok((node, exe))
}
