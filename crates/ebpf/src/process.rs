//! Finding the node's process: by its data directory, its pid file, its pid, or whichever node runs here.
//!
//! A pid file may be stale, and a pid may belong to something else by now. What proves that a process is the node of a data
//! directory is that it holds the `.lock` there open, which Bitcoin Core does all its life; the file stays the same over restarts
//! and has the same inode from within a container. Who may not look into another user's processes has to believe the pid file,
//! or the command line.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

/// Where each network's files are, below the data directory (Bitcoin Core `src/chainparamsbase.cpp`).
const NETWORKS: [&str; 5] = ["", "testnet3", "testnet4", "signet", "regtest"];

/// How the programs of a node are called; a version may follow.
const PROGRAMS: [&str; 4] = ["bitcoind", "bitcoin-node", "bitcoin-qt", "bitcoin-gui"];

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
    /// The user it runs as.
    pub uid: u32,
    /// Its command line.
    pub command: Vec<String>,
}

impl Node {
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
        write!(f, "pid {} of user {}: {}", self.pid, self.uid, self.command.join(" "))
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
    #[error("several nodes run here:{}", .0.iter().map(|node| format!("\n  {node}")).collect::<String>())]
    Several(Vec<Node>),
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

fn read_pid_file(path: &Path) -> io::Result<u32> {
    let text = std::fs::read_to_string(path)?;
    text.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it does not hold a number"))
}

fn looks_like_node(command: &[String]) -> bool {
    let name = command.first().and_then(|program| Path::new(program).file_name()).unwrap_or_default();
    is_program(name)
}

fn is_program(name: &OsStr) -> bool {
    PROGRAMS.iter().any(|program| {
        name.as_bytes()
            .strip_prefix(program.as_bytes())
            .is_some_and(|rest| rest.first().is_none_or(|next| !next.is_ascii_alphabetic()))
    })
}

/// `/proc`, or a folder that tests made to look like it.
#[derive(Debug)]
struct Procfs {
    root: PathBuf,
}

impl Default for Procfs {
    fn default() -> Self {
        Self { root: "/proc".into() }
    }
}

impl Procfs {
    /// A process by its id, unless it has ended and only waits for its parent to notice.
    fn node(&self, pid: u32) -> Option<Node> {
        let directory = self.root.join(pid.to_string());
        let stat = self.stat(pid)?;
        if matches!(stat.state, 'Z' | 'X') {
            return None;
        }
        let command = std::fs::read(directory.join("cmdline")).ok()?;
        Some(Node {
            pid,
            node_run: self.boot_time()?.saturating_add(stat.started / rustix::param::clock_ticks_per_second()),
            exe: std::fs::read_link(directory.join("exe")).ok(),
            uid: directory.metadata().ok()?.uid(),
            command: command
                .split(|byte| *byte == 0)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .filter(|w| !w.is_empty())
                .collect(),
        })
    }

    fn processes(&self) -> impl Iterator<Item = Node> + '_ {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        entries.filter_map(|entry| self.node(entry.file_name().to_str()?.parse().ok()?))
    }

    /// Processes that run a node's program.
    fn nodes(&self) -> Vec<Node> {
        self.processes()
            .filter(|node| match &node.exe {
                // an upgrade has replaced the file of a running process: the link says `… (deleted)`
                Some(exe) => exe.file_name().is_some_and(is_program) || looks_like_node(&node.command),
                None => looks_like_node(&node.command),
            })
            .collect()
    }

    /// Whether a process has one of these files open; `None` when we may not know.
    fn holds(&self, pid: u32, files: &BTreeSet<FileId>) -> Option<bool> {
        let open = std::fs::read_dir(self.root.join(pid.to_string()).join("fd")).ok()?;
        let mut ids = open.flatten().filter_map(|entry| entry.path().metadata().ok()).map(|file| (file.dev(), file.ino()));
        Some(ids.any(|id| files.contains(&id)))
    }

    /// Whether a node's command line is that of one with this data directory.
    fn claims(&self, node: &Node, datadir: &Path) -> bool {
        let named = node.command.iter().rev().find_map(|word| word.trim_start_matches('-').strip_prefix("datadir="));
        let claimed = match named {
            Some(path) => {
                let working = std::fs::read_link(self.root.join(node.pid.to_string()).join("cwd")).unwrap_or_default();
                working.join(path)
            }
            None => home(node.uid).unwrap_or_default().join(".bitcoin"),
        };
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.components().collect());
        NETWORKS.iter().any(|network| real(&claimed.join(network)) == real(datadir))
    }

    fn parent(&self, pid: u32) -> Option<u32> {
        self.stat(pid).map(|stat| stat.parent)
    }

    /// What proc(5) calls fields 3, 4 and 22. The name before them may hold anything, parentheses and blanks too.
    fn stat(&self, pid: u32) -> Option<Stat> {
        let stat = std::fs::read(self.root.join(pid.to_string()).join("stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        Some(Stat {
            state: fields.next()?.chars().next()?,
            parent: fields.next()?.parse().ok()?,
            started: fields.nth(17)?.parse().ok()?,
        })
    }

    /// When the machine was started, Unix seconds.
    fn boot_time(&self) -> Option<u64> {
        let stat = std::fs::read_to_string(self.root.join("stat")).ok()?;
        stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
    }
}

/// Where `bitcoind` of this user has its default data directory.
fn home(uid: u32) -> Option<PathBuf> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|user| {
        let mut fields = user.split(':').skip(2);
        (fields.next()?.parse() == Ok(uid)).then(|| fields.nth(2).map(PathBuf::from))?
    })
}

struct Stat {
    state: char,
    parent: u32,
    /// Clock ticks after boot.
    started: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    /// A machine with processes and data directories.
    struct World {
        root: TempDir,
    }

    impl World {
        fn new() -> Self {
            let root = TempDir::new().unwrap();
            create_dir_all(root.path().join("proc")).unwrap();
            write(root.path().join("proc/stat"), "cpu 1 2 3\nbtime 1700000000\n").unwrap();
            Self { root }
        }

        fn path(&self, path: &str) -> PathBuf {
            self.root.path().join(path)
        }

        fn process(&self, pid: u32, parent: u32, command: &str) {
            let directory = self.path(&format!("proc/{pid}"));
            create_dir_all(directory.join("fd")).unwrap();
            let zeros = "0 ".repeat(17);
            write(directory.join("stat"), format!("{pid} (b-weird) name) S {parent} {zeros}{} 0", u64::from(pid) * 100)).unwrap();
            write(directory.join("cmdline"), command.replace(' ', "\0")).unwrap();
            let _ = symlink(format!("/usr/bin/{}", command.split(' ').next().unwrap()), directory.join("exe"));
        }

        /// A network directory whose lock `pid` holds, and a pid file with `named`.
        fn datadir(&self, path: &str, pid: Option<u32>, named: Option<u32>) {
            create_dir_all(self.path(path)).unwrap();
            let lock = self.path(path).join(".lock");
            write(&lock, "").unwrap();
            if let Some(pid) = pid {
                symlink(&lock, self.path(&format!("proc/{pid}/fd/7"))).unwrap();
            }
            if let Some(named) = named {
                write(self.path(path).join("bitcoind.pid"), format!("{named}\n")).unwrap();
            }
        }

        fn finder(&self, target: Target) -> Finder {
            let mut finder = Finder { target, proc: Procfs { root: self.path("proc") }, locks: BTreeSet::new(), previous: None };
            let _ = finder.look_at_locks();
            finder
        }

        /// The pid that is found, or the error without the temporary folder's name.
        fn find(&self, target: Target) -> String {
            match self.finder(target).find() {
                Ok(node) => node.pid.to_string(),
                Err(error) => error.to_string().replace(&format!("{}/", self.root.path().display()), ""),
            }
        }
    }

    #[test]
    fn the_only_node_is_found_without_a_hint() {
        let world = World::new();
        assert_eq!(world.find(Target::Any), "a node on this machine does not run");
        world.process(10, 1, "bash");
        world.process(11, 1, "bitcoin-cli getinfo");
        world.process(12, 1, "bitcoind -regtest");
        assert_eq!(world.find(Target::Any), "12");
        let node = world.finder(Target::Any).find().unwrap();
        assert_eq!(node.node_run, 1_700_000_000 + 12 * 100 / rustix::param::clock_ticks_per_second());
    }

    #[test]
    fn a_daemon_that_is_just_forking_is_one_node() {
        let world = World::new();
        world.process(12, 1, "bitcoind -daemon");
        world.process(13, 12, "bitcoind -daemon");
        assert_eq!(world.find(Target::Any), "13");
    }

    #[test]
    fn several_nodes_are_listed() {
        let world = World::new();
        world.process(12, 1, "bitcoind -regtest");
        world.process(13, 1, "bitcoin-node -ipcbind=unix");
        let uid = rustix::process::geteuid().as_raw();
        let expected = format!(
            "several nodes run here:\n  pid 12 of user {uid}: bitcoind -regtest\n  pid 13 of user {uid}: bitcoin-node -ipcbind=unix"
        );
        assert_eq!(world.find(Target::Any), expected);
    }

    #[test]
    fn a_datadir_names_its_node_on_any_network() {
        let world = World::new();
        world.process(12, 1, "bitcoind");
        world.process(13, 1, "bitcoind -signet");
        world.datadir("main", Some(12), Some(12));
        world.datadir("other/signet", Some(13), Some(13));
        assert_eq!(world.find(Target::Datadir(world.path("main"))), "12");
        assert_eq!(world.find(Target::Datadir(world.path("other"))), "13");
        assert_eq!(world.find(Target::Datadir(world.path("other/signet"))), "13");
        assert_eq!(world.find(Target::Datadir(world.path("none"))), "there is no data directory none");
    }

    /// A crash leaves the pid file, and the pid may be something else's by now.
    #[test]
    fn a_stale_pid_file_is_not_believed() {
        let world = World::new();
        world.process(12, 1, "bash");
        world.datadir("d", None, Some(12));
        assert_eq!(world.find(Target::Datadir(world.path("d"))), "the node of data directory d does not run");
        world.process(14, 1, "bitcoind");
        symlink(world.path("d/.lock"), world.path("proc/14/fd/9")).unwrap();
        assert_eq!(world.find(Target::Datadir(world.path("d"))), "14");
        assert_eq!(world.find(Target::PidFile(world.path("d/bitcoind.pid"))), "12");
        write(world.path("d/bitcoind.pid"), "99").unwrap();
        assert_eq!(world.find(Target::PidFile(world.path("d/bitcoind.pid"))), "d/bitcoind.pid names pid 99, which does not run");
        write(world.path("d/bitcoind.pid"), "x").unwrap();
        assert_eq!(
            world.find(Target::PidFile(world.path("d/bitcoind.pid"))),
            "d/bitcoind.pid is no pid file: it does not hold a number"
        );
    }

    #[test]
    fn a_pid_is_followed_to_the_next_life() {
        let world = World::new();
        world.process(12, 1, "bitcoind -regtest");
        let mut finder = world.finder(Target::Pid(12));
        assert_eq!(finder.find().unwrap().pid, 12);
        std::fs::remove_dir_all(world.path("proc/12")).unwrap();
        world.process(13, 1, "bitcoind -signet");
        assert_eq!(finder.find(), Err(FindError::NoNode(Target::Pid(12))));
        world.process(14, 1, "bitcoind -regtest");
        assert_eq!(finder.find().unwrap().pid, 14);
        assert_eq!(world.find(Target::Pid(15)), "process 15 does not run");
    }

    /// As seen by a tracer that gave up the right to look into another user's processes.
    #[test]
    fn a_command_line_counts_where_open_files_cannot_be_seen() {
        let world = World::new();
        world.process(12, 1, &format!("bitcoind --datadir={} -regtest", world.path("d").display()));
        world.process(13, 1, "bitcoind -datadir=/elsewhere");
        create_dir_all(world.path("d/regtest")).unwrap();
        for pid in [12, 13] {
            std::fs::remove_dir(world.path(&format!("proc/{pid}/fd"))).unwrap();
        }
        assert_eq!(world.find(Target::Datadir(world.path("d"))), "12");
        assert_eq!(world.find(Target::Datadir(world.path("d/regtest/"))), "12");
        assert_eq!(home(0), Some("/root".into()));
    }

    #[test]
    fn programs_are_told_from_others() {
        for name in ["bitcoind", "bitcoin-node", "bitcoin-qt", "bitcoind-29.1", "bitcoind (deleted)", "bitcoind.old"] {
            assert!(is_program(OsStr::new(name)), "{name}");
        }
        for name in ["bitcoin-cli", "bitcoindx", "bitcoin", "bitcoin-wallet", "xbitcoind", ""] {
            assert!(!is_program(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn this_process_is_a_process() {
        let node = Procfs::default().node(std::process::id()).unwrap();
        assert_eq!(node.uid, rustix::process::geteuid().as_raw());
        assert!(node.exit().is_ok() && node.open_exe().is_ok());
        let other = Node { node_run: 1, ..node };
        assert_eq!(other.exit().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
