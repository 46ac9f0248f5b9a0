//! The privileged process: finds the node, attaches, attaches again after a restart, and hands over the buffer.
//!
//! It reads nothing that a peer chose: program files, `/proc`, pid files, and one message from its parent. What it holds is
//! [`privileges::TRACER`] at most, and `CAP_SYS_PTRACE` only while it needs it.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

use crate::control::{Channel, Class, Heard, Problem, Report};
use crate::notes::{self, NotesError};
use crate::privileges::{self, Capability};
use crate::probes::Offer;
use crate::process::{FindError, Finder, Node, Target};
use crate::programs::{Capture, KernelError, Programs};

/// How often a node that is gone is looked for. Half of what it takes a node to open its ports; looking costs a millisecond.
const SEARCH: Duration = Duration::from_millis(100);

/// The first and the longest pause after which attaching is tried again while the process lives.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// What the tracer gets of the environment: what finds its program, and what a report of a bug should have in it.
const ENVIRONMENT: [&str; 2] = ["PATH", "RUST_BACKTRACE"];

/// How many tracepoints are named that the table does not know, and how much of each name: whoever builds a program chooses them.
const MAX_UNLISTED: usize = 100;
const MAX_NAME: usize = 100;

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
    /// It is in a process group of its own: what a terminal sends is for the caller, whose end of the channel decides. Of the
    /// environment it gets what `ENVIRONMENT` names, and nowhere to print to but standard error.
    ///
    /// # Errors
    ///
    /// The command cannot be started.
    pub fn spawn(mut command: Command, config: &Config) -> io::Result<Self> {
        let (ours, theirs) = Channel::pair()?;
        command.env_clear().envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        let child = command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).process_group(0).spawn()?;
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
                // who has become another user meanwhile may not; then it ends when it notices that nobody listens
                if self.child.kill().is_ok() {
                    let _ = self.child.wait();
                }
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
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected => Self::Order,
            _ => Self::Problem(Problem::broken(error)),
        }
    }
}

fn trace(channel: &Channel, config: Config) -> Result<(), Stop> {
    check_system()?;
    // finding first: while the right to look into a data directory is there, and so that nothing is loaded for nothing
    let wait = config.wait;
    let mut finder = Finder::new(config.target);
    let mut found = find(&mut finder);
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
                attached |= accompany(channel, &mut programs, &mut finder, &node, attached || wait)?;
            }
            Err(problem) => {
                if complaint.as_ref() != Some(&problem) {
                    channel.send(&Report::Waiting(problem.clone()), &[])?;
                    complaint = Some(problem);
                }
            }
        }
        rest(channel, SEARCH)?;
        found = find(&mut finder);
    }
}

/// The node's process as it is now. Where several are called like one, and none was named, those without tracepoints do not count.
fn find(finder: &mut Finder) -> Result<Node, Problem> {
    match finder.find() {
        Err(FindError::Several(nodes)) if *finder.target() == Target::Any => {
            let traceable = nodes.iter().filter(|node| has_tracepoints(node)).collect::<Vec<_>>();
            match traceable[..] {
                [node] => Ok(node.clone()),
                _ => Err(FindError::Several(nodes).into()),
            }
        }
        found => found.map_err(Problem::from),
    }
}

fn has_tracepoints(node: &Node) -> bool {
    let Ok(exe) = node.open_exe() else { return false };
    notes::read_file(exe, &node.program()).is_ok_and(|notes| !Offer::of(&notes).known.is_empty())
}

/// Attaches to a process and waits for its end. Whether it was attached; without `patience` it is an error if not at once.
fn accompany(
    channel: &Channel,
    programs: &mut Programs<'_>,
    finder: &mut Finder,
    node: &Node,
    patience: bool,
) -> Result<bool, Stop> {
    let mut complaint = None;
    let mut pause = RETRY.0;
    loop {
        match attach(channel, programs, node) {
            Ok(()) => break,
            Err(Stop::Problem(problem)) if patience => {
                if complaint.as_ref() != Some(&problem) {
                    channel.send(&Report::Trouble(problem.clone()), &[])?;
                    complaint = Some(problem);
                }
            }
            Err(stop) => return Err(stop),
        }
        // memory may be short only for now, and what starts a node may become one
        if ends(channel, node, Some(pause))? {
            return Ok(false);
        }
        // or another process is the node, and this one was only called like it
        if find(finder).is_ok_and(|now| (now.pid, now.node_run) != (node.pid, node.node_run)) {
            return Ok(false);
        }
        pause = (pause * 2).min(RETRY.1);
    }
    while !ends(channel, node, None)? {}
    let exe = node.program().display().to_string();
    let reason = "the node's process has ended".to_owned();
    channel.send(&Report::Detached { pid: node.pid, node_run: node.node_run, exe, reason }, &[])?;
    Ok(true)
}

fn attach(channel: &Channel, programs: &mut Programs<'_>, node: &Node) -> Result<(), Stop> {
    let path = node.program();
    let exe = node.open_exe().map_err(|error| cannot_open(node, &error))?;
    // the program is read before the parent is told: what has no probes is never announced
    let notes = exe.try_clone().map_err(|error| cannot_open(node, &error)).and_then(|exe| Ok(notes::read_file(exe, &path)?))?;
    let (pid, node_run, exe_name) = (node.pid, node.node_run, path.display().to_string());
    channel.send(&Report::Attaching { pid, node_run, exe: exe_name.clone() }, &[])?;
    let offer = programs.attach(pid, &exe, &notes)?;
    let stated = state(channel, node, exe_name, offer);
    match stated {
        // last: it takes a tenth of a second, in which the new life is watched already
        Ok(()) => programs.detach_earlier(),
        // tried again, it would be attached twice
        Err(_) => programs.detach(),
    }
    stated
}

/// Says what was attached, and gives up what is not needed any more.
fn state(channel: &Channel, node: &Node, exe: String, offer: Offer) -> Result<(), Stop> {
    if offer.known.is_empty() {
        return Err(Problem::new(
            Class::NoProbes,
            format!("{exe} (pid {}) has none of the tracepoints of Bitcoin Core", node.pid),
            "official Linux releases have them; an own build needs `cmake -DWITH_USDT=ON` and systemtap-sdt-dev",
        )
        .into());
    }
    if privileges::effective().has(Capability::CAP_SYS_PTRACE) {
        privileges::try_without(Capability::CAP_SYS_PTRACE, || node.open_exe().is_ok()).map_err(Problem::broken)?;
    }
    let (attached, missing, mut unlisted) = (offer.known_names(), offer.missing_names(), offer.unlisted);
    if unlisted.len() > MAX_UNLISTED {
        let more = unlisted.len() - MAX_UNLISTED;
        unlisted.truncate(MAX_UNLISTED);
        unlisted.push(format!("and {more} more"));
    }
    for name in &mut unlisted {
        name.truncate(name.floor_char_boundary(MAX_NAME));
    }
    let (pid, node_run) = (node.pid, node.node_run);
    Ok(channel.send(&Report::Attached { pid, node_run, exe, attached, missing, unlisted }, &[])?)
}

fn cannot_open(node: &Node, error: &io::Error) -> Problem {
    let message = format!("failed to open the program of pid {}: {error}", node.pid);
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let hint = format!("it runs as user {}: {}", node.uid, permission_hint(",cap_sys_ptrace"));
            Problem::new(Class::NotPermitted, message, hint)
        }
        _ => Problem::new(Class::NoNode, message, "it has just ended"),
    }
}

/// Waits for the end of the node's process, no longer than `patience`. Whether it has ended.
fn ends(channel: &Channel, node: &Node, patience: Option<Duration>) -> Result<bool, Stop> {
    // an error is the process's end, too
    let Ok(exit) = node.exit() else { return Ok(true) };
    let timeout = patience.map(timespec);
    let fds = &mut [PollFd::new(&exit, PollFlags::IN), PollFd::new(channel, PollFlags::IN)];
    loop {
        match poll(fds, timeout.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Problem::broken(error).into()),
        }
    }
    if fds.get(1).is_some_and(|channel| !channel.revents().is_empty()) {
        return Err(Stop::Order);
    }
    Ok(true)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}

/// Waits, unless the parent orders to stop: it never says anything else.
fn rest(channel: &Channel, duration: Duration) -> Result<(), Stop> {
    match poll(&mut [PollFd::new(channel, PollFlags::IN)], Some(&timespec(duration))) {
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
            Problem::new(Class::NotPermitted, &error, permission_hint(""))
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

/// Finds the node and what it offers, without attaching; for `doctor`.
///
/// # Errors
///
/// As [`Report::Failed`] would say.
pub fn look(target: Target) -> Result<(Node, Offer), Problem> {
    let node = Finder::new(target).find()?;
    let exe = node.open_exe().map_err(|error| cannot_open(&node, &error))?;
    let notes = notes::read_file(exe, &node.program())?;
    Ok((node, Offer::of(&notes)))
}

/// Whether this process could trace here: capabilities and kernel. For `doctor`.
///
/// # Errors
///
/// What is missing.
pub fn check_system() -> Result<(), Problem> {
    if !privileges::effective().can_trace() {
        return Err(Problem::new(Class::NotPermitted, "attaching to a node takes CAP_BPF and CAP_PERFMON", permission_hint("")));
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

/// `more`: capabilities beyond the two, `,cap_…`.
fn permission_hint(more: &str) -> String {
    let exe = std::env::current_exe().map_or_else(|_| "peer-observer".into(), |exe| exe.display().to_string());
    format!("run it as root, or once: sudo setcap cap_bpf,cap_perfmon{more}+ep {exe}")
}
