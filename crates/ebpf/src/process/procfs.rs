//! What `/proc` tells of processes. It reads text that any process may choose (names, command lines): nothing of it is believed
//! beyond what it is compared with.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{FileId, NETWORKS, Node, is_program, looks_like_node};

/// `/proc`, or a folder that tests made to look like it.
#[derive(Debug)]
pub(super) struct Procfs {
    pub(super) root: PathBuf,
}

impl Default for Procfs {
    fn default() -> Self {
        Self { root: "/proc".into() }
    }
}

impl Procfs {
    /// A process by its id, unless it has ended and only waits for its parent to notice.
    pub(super) fn node(&self, pid: u32) -> Option<Node> {
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
            uid: self.real_id(pid, "Uid:").or_else(|| Some(directory.metadata().ok()?.uid()))?,
            gid: self.real_id(pid, "Gid:").or_else(|| Some(directory.metadata().ok()?.gid()))?,
            command: command
                .split(|byte| *byte == 0)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .filter(|w| !w.is_empty())
                .collect(),
        })
    }

    pub(super) fn processes(&self) -> impl Iterator<Item = Node> + '_ {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        entries.filter_map(|entry| self.node(entry.file_name().to_str()?.parse().ok()?))
    }

    /// Processes that run a node's program.
    pub(super) fn nodes(&self) -> Vec<Node> {
        self.processes()
            .filter(|node| match &node.exe {
                // an upgrade has replaced the file of a running process: the link says `… (deleted)`
                Some(exe) => exe.file_name().is_some_and(is_program) || looks_like_node(&node.command),
                None => looks_like_node(&node.command),
            })
            .collect()
    }

    /// Whether a process has one of these files open; `None` when we may not know.
    pub(super) fn holds(&self, pid: u32, files: &BTreeSet<FileId>) -> Option<bool> {
        let open = std::fs::read_dir(self.root.join(pid.to_string()).join("fd")).ok()?;
        let mut denied = false;
        for entry in open {
            match entry.and_then(|entry| entry.path().metadata()) {
                Ok(file) if files.contains(&(file.dev(), file.ino())) => return Some(true),
                // listing takes less than looking
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => denied = true,
                // another file, or closed by now
                Ok(_) | Err(_) => {}
            }
        }
        (!denied).then_some(false)
    }

    /// Whether a node's command line is that of one with this data directory.
    pub(super) fn claims(&self, node: &Node, datadir: &Path) -> bool {
        let Some(claimed) = self.datadir(node) else { return false };
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.components().collect());
        NETWORKS.iter().any(|network| real(&claimed.join(network)) == real(datadir))
    }

    /// The data directory that a command line names, or the default one.
    pub(super) fn datadir(&self, node: &Node) -> Option<PathBuf> {
        match node.command.iter().rev().find_map(|word| word.trim_start_matches('-').strip_prefix("datadir=")) {
            Some(path) if Path::new(path).is_absolute() => Some(path.into()),
            Some(path) => Some(self.working(node.pid)?.join(path)),
            None => Some(self.home_of(node.pid).or_else(|| home(node.uid))?.join(".bitcoin")),
        }
    }

    /// Where a process's relative paths begin; only its user and root may know.
    pub(super) fn working(&self, pid: u32) -> Option<PathBuf> {
        std::fs::read_link(self.root.join(pid.to_string()).join("cwd")).ok()
    }

    /// `HOME` in the environment of a process, which decides where its data is by default; only its user and root may know.
    fn home_of(&self, pid: u32) -> Option<PathBuf> {
        let environment = std::fs::read(self.root.join(pid.to_string()).join("environ")).ok()?;
        let home = environment.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(b"HOME="))?;
        Some(String::from_utf8(home.to_vec()).ok()?.into())
    }

    pub(super) fn parent(&self, pid: u32) -> Option<u32> {
        self.stat(pid).map(|stat| stat.parent)
    }

    /// Who started a process. The owner of its folder is whom it acts as: of a set-user-id program somebody who did not choose its
    /// command line.
    fn real_id(&self, pid: u32, line: &str) -> Option<u32> {
        let status = std::fs::read(self.root.join(pid.to_string()).join("status")).ok()?;
        let status = String::from_utf8_lossy(&status);
        status.lines().find_map(|text| text.strip_prefix(line))?.split_ascii_whitespace().next()?.parse().ok()
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
pub(super) fn home(uid: u32) -> Option<PathBuf> {
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
