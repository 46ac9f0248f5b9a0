//! Finding the node's process: by its data directory, its pid file, its pid, or whichever node runs here.
//!
//! A pid file may be stale, and a pid may belong to something else by now. What proves that a process is the node of a data
//! directory is that it holds the `.lock` there open, which Bitcoin Core does all its life; the file stays the same over restarts
//! and has the same inode from within a container. Who may not look into another user's processes has to believe the pid file,
//! or the command line.

mod procfs;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use procfs::Procfs;

/// Where each network's files are, below the data directory (Bitcoin Core `src/chainparamsbase.cpp`).
const NETWORKS: [&str; 5] = ["", "testnet3", "testnet4", "signet", "regtest"];

/// How much is shown of a command line, in characters.
const MAX_COMMAND: usize = 200;

/// How many nodes are listed where one was expected.
const MAX_LISTED: usize = 10;

/// How the programs of a node are called; a version may follow.
const PROGRAMS: [&str; 4] = ["bitcoind", "bitcoin-node", "bitcoin-qt", "bitcoin-gui"];

/// Long enough for any process id and the blanks around it.
const LONGEST_PID_FILE: u64 = 64;

/// Which node is meant.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Target {
    /// The only one that runs here.
    #[default]
    Any,
    /// The one with this data directory, of any network, or with this network's directory.
    Datadir(PathBuf),
    /// The one with this pid file.
    PidFile(PathBuf),
    /// This process; after it the one that is started the same way.
    Pid(u32),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => write!(f, "a node on this machine"),
            Self::Datadir(path) => write!(f, "the node of data directory {}", path.display()),
            Self::PidFile(path) => write!(f, "the node of pid file {}", path.display()),
            Self::Pid(pid) => write!(f, "process {pid}"),
        }
    }
}

/// A node's process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Process id.
    pub pid: u32,
    /// When it was started, Unix seconds.
    pub node_run: u64,
    /// Its program file, where we may know.
    pub exe: Option<PathBuf>,
    /// The user it runs as; of a set-user-id program the one who started it, and said with which words.
    pub uid: u32,
    /// The group of that user, in the same sense.
    pub gid: u32,
    /// Its command line.
    pub command: Vec<String>,
}

impl Node {
    /// The process with this id, whatever it runs.
    pub fn of(pid: u32) -> Option<Self> {
        Procfs::default().node(pid)
    }

    /// The data directory that its command line names, or the default one of its user; without what a configuration may say. `None`
    /// where it was named from a working directory that we may not look at.
    pub fn datadir(&self) -> Option<PathBuf> {
        Procfs::default().datadir(self)
    }

    /// The working directory that its relative paths begin at, where we may know.
    pub fn working(&self) -> Option<PathBuf> {
        Procfs::default().working(self.pid)
    }

    /// What its program file is called.
    pub fn program(&self) -> PathBuf {
        self.exe.clone().unwrap_or_else(|| format!("/proc/{}/exe", self.pid).into())
    }

    /// Opens its program file: the one that runs, even when another is at its place by now.
    ///
    /// # Errors
    ///
    /// The process is gone, or another user's and we lack `CAP_SYS_PTRACE`.
    pub fn open_exe(&self) -> io::Result<File> {
        File::open(format!("/proc/{}/exe", self.pid))
    }

    /// Something that becomes readable when the process ends.
    ///
    /// # Errors
    ///
    /// The process is gone.
    pub fn exit(&self) -> io::Result<OwnedFd> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        let fd = pidfd_open(pid, PidfdFlags::empty())?;
        // it may have ended, and another may have got its id, between finding and opening
        match Procfs::default().node(self.pid) {
            Some(now) if now.node_run == self.node_run => Ok(fd),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // anybody may call a program as a node is called, with megabytes of arguments
        let command: String = self.command.iter().flat_map(|word| word.chars().chain([' '])).take(MAX_COMMAND + 1).collect();
        let short: String = command.trim_end().chars().take(MAX_COMMAND).collect();
        let dots = if short.len() < command.trim_end().len() { "…" } else { "" };
        write!(f, "pid {} of user {}: {short}{dots}", self.pid, self.uid)
    }
}

/// Why there is no node to watch.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// No process like it runs.
    #[error("{0} does not run")]
    NoNode(Target),
    /// The data directory is not there.
    #[error("there is no data directory {}", .0.display())]
    NoDatadir(PathBuf),
    /// The pid file cannot be read, or holds something else.
    #[error("{} is no pid file: {reason}", path.display())]
    NoPidFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The pid file names a process that is not there: the node crashed, or has not started yet.
    #[error("{} names pid {pid}, which does not run", path.display())]
    Stale {
        /// Which file.
        path: PathBuf,
        /// The pid in it.
        pid: u32,
    },
    /// The files are another user's.
    #[error("data directory {} belongs to user {owner}, and this is user {us}", path.display())]
    OtherUser {
        /// Which directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// There is more than one.
    #[error("several nodes run here:{}", list(.0))]
    Several(Vec<Node>),
}

fn list(nodes: &[Node]) -> String {
    let more = nodes.len().saturating_sub(MAX_LISTED);
    let lines = nodes.iter().take(MAX_LISTED).map(|node| format!("\n  {node}"));
    lines.chain((more > 0).then(|| format!("\n  and {more} more"))).collect()
}

impl FindError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoNode(Target::Any) => "start bitcoind, or name the node: its data directory, pid file or pid",
            Self::NoNode(_) | Self::Stale { .. } => "is the node running, and on this machine? `pgrep -a bitcoin` lists nodes",
            Self::NoDatadir(_) => "is it spelled right? bitcoind's default is ~/.bitcoin",
            Self::NoPidFile { .. } => "bitcoind writes bitcoind.pid into the network's folder below its data directory",
            Self::OtherUser { .. } => "run this as that user or as root, or name the node by its pid",
            Self::Several(_) => "choose one by its data directory, pid file or pid",
        }
    }
}

/// Finds a node's process, again and again.
#[derive(Debug)]
pub struct Finder {
    target: Target,
    proc: Procfs,
    /// What the `.lock` files of the data directory are, as far as we could see once. Kept, because a tracer sees them at its
    /// start and has no right to look later.
    locks: BTreeSet<FileId>,
    /// The one found before.
    previous: Option<Node>,
}

/// Device and inode.
type FileId = (u64, u64);

impl Finder {
    /// Prepares to find `target`. Looks into the data directory as far as this process may at this moment.
    pub fn new(target: Target) -> Self {
        let mut finder = Self { target, proc: Procfs::default(), locks: BTreeSet::new(), previous: None };
        // what is wrong with the directory is found again, and said, by `find`
        let _ = finder.look_at_locks();
        finder
    }

    /// Which node is meant.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The node's process as it is now.
    ///
    /// # Errors
    ///
    /// There is none, or more than one, or it cannot be told.
    pub fn find(&mut self) -> Result<Node, FindError> {
        let node = match self.target.clone() {
            Target::Any => self.only_one(self.proc.nodes()),
            Target::Datadir(path) => self.by_datadir(&path),
            Target::PidFile(path) => self.by_pid_file(&path),
            Target::Pid(pid) => self.by_pid(pid),
        }?;
        self.previous = Some(node.clone());
        Ok(node)
    }

    fn by_datadir(&mut self, path: &Path) -> Result<Node, FindError> {
        let visible = self.look_at_locks();
        let directories = NETWORKS.map(|network| path.join(network));
        let pid_files = directories.iter().filter_map(|directory| read_pid_file(&directory.join("bitcoind.pid")).ok());
        let mut nodes: Vec<Node> = pid_files
            .filter_map(|pid| self.proc.node(pid))
            // a pid file may be stale, and its pid another process's
            .filter(|node| self.proc.holds(node.pid, &self.locks).unwrap_or_else(|| looks_like_node(&node.command)))
            .collect();
        if nodes.is_empty() {
            nodes = self.proc.nodes();
            nodes.retain(|node| {
                let holds = self.proc.holds(node.pid, &self.locks);
                holds.unwrap_or_else(|| self.is_successor(node) || self.proc.claims(node, path))
            });
        }
        match (self.only_one(nodes), visible) {
            (Err(FindError::NoNode(_)), Err(error)) => Err(error),
            (found, _) => found,
        }
    }

    fn by_pid_file(&self, path: &Path) -> Result<Node, FindError> {
        let no_pid_file = |reason: String| FindError::NoPidFile { path: path.to_owned(), reason };
        match read_pid_file(path) {
            Ok(pid) => self.proc.node(pid).ok_or_else(|| FindError::Stale { path: path.to_owned(), pid }),
            // a node that has stopped has removed it; without the right to read it, look for one started the same way
            Err(_) if self.previous.is_some() => self.successor(),
            Err(error) => Err(no_pid_file(error.to_string())),
        }
    }

    fn by_pid(&self, pid: u32) -> Result<Node, FindError> {
        match self.proc.node(pid) {
            Some(node) if self.previous.as_ref().is_none_or(|previous| previous.node_run == node.node_run) => Ok(node),
            _ => self.successor(),
        }
    }

    fn successor(&self) -> Result<Node, FindError> {
        self.only_one(self.proc.processes().filter(|node| self.is_successor(node)).collect())
    }

    /// Whether the same user started it in the same way as the one before.
    fn is_successor(&self, node: &Node) -> bool {
        self.previous.as_ref().is_some_and(|p| p.uid == node.uid && p.command == node.command && p.node_run <= node.node_run)
    }

    fn only_one(&self, mut nodes: Vec<Node>) -> Result<Node, FindError> {
        // `bitcoind -daemon` forks: for a moment the parent is there too
        let parents: Vec<u32> = nodes.iter().filter_map(|node| self.proc.parent(node.pid)).collect();
        nodes.retain(|node| !parents.contains(&node.pid));
        nodes.sort_by_key(|node| node.pid);
        nodes.dedup_by_key(|node| node.pid);
        match nodes.len() {
            0 => Err(FindError::NoNode(self.target.clone())),
            1 => Ok(nodes.remove(0)),
            _ => Err(FindError::Several(nodes)),
        }
    }

    /// Notes the lock files of the data directory, or why they cannot be seen.
    fn look_at_locks(&mut self) -> Result<(), FindError> {
        let Target::Datadir(path) = &self.target else { return Ok(()) };
        for network in NETWORKS {
            match path.join(network).join(".lock").metadata() {
                Ok(lock) => drop(self.locks.insert((lock.dev(), lock.ino()))),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied && self.locks.is_empty() => {
                    let owner = owner(path);
                    return Err(FindError::OtherUser { path: path.clone(), owner, us: rustix::process::geteuid().as_raw() });
                }
                Err(_) => {}
            }
        }
        if self.locks.is_empty() && matches!(path.try_exists(), Ok(false)) {
            return Err(FindError::NoDatadir(path.clone()));
        }
        Ok(())
    }
}

/// Whose a directory is: its own, or that of the nearest one above that may be looked at.
fn owner(path: &Path) -> u32 {
    path.ancestors().find_map(|path| path.metadata().ok()).map_or(0, |metadata| metadata.uid())
}

/// The node's user writes it: it may as well be a pipe, a device, or endless.
fn read_pid_file(path: &Path) -> io::Result<u32> {
    let refused = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason);
    // with O_PATH it is looked at before it is opened: to open a device may have effects
    let place = File::from(open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?);
    if !place.metadata()?.is_file() {
        return Err(refused("it is no regular file"));
    }
    let again = format!("/proc/self/fd/{}", place.as_raw_fd());
    let file = File::from(open(again, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?);
    let mut text = Vec::new();
    file.take(LONGEST_PID_FILE).read_to_end(&mut text)?;
    str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok()).ok_or_else(|| refused("it does not hold a number"))
}

fn looks_like_node(command: &[String]) -> bool {
    let name = command.first().and_then(|program| Path::new(program).file_name()).unwrap_or_default();
    is_program(name)
}

/// `bitcoind`, `bitcoind-31.0`, `bitcoind.old`; not `bitcoind-exporter`.
fn is_program(name: &OsStr) -> bool {
    let name = name.as_bytes();
    // the link of a running process whose file was replaced
    let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
    PROGRAMS.iter().filter_map(|program| name.strip_prefix(program.as_bytes())).any(|rest| {
        let version = rest.strip_prefix(b"-").or(rest.strip_prefix(b".")).unwrap_or(rest);
        let version = version.strip_prefix(b"v").unwrap_or(version);
        rest.is_empty() || rest == b".old" || version.first().is_some_and(u8::is_ascii_digit)
    })
}

#[cfg(test)]
mod tests;
