//! Which file is the node's log.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

use crate::clock::since_epoch;
use crate::rpc::file::{self, Named, Owner};

/// Where the log of a node is.
#[derive(Clone, PartialEq, Eq, Debug, clap::Args)]
#[group(skip)]
pub struct Place {
    /// The node's debug.log, a pipe that it writes to, or `-` for standard input
    ///
    /// Default: where the node's command line or bitcoin.conf say, which is `debug.log` in its data directory. There it must belong to
    /// the node's user and be no link; what is given here may be anything. A pipe makes the node wait when nobody reads it.
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
}

impl Place {
    /// The log, where `node` is what is known of the node beforehand; `None` when it writes none.
    pub fn target(&self, node: &crate::rpc::Place) -> Option<Target> {
        match &self.log_file {
            Some(path) if path == Path::new("-") => Some(Target::Stdin),
            Some(path) => Some(Target::Told(path.clone())),
            None => {
                let settings = node.settings();
                settings.log().map(|path| Target::Nodes(path, settings.owner))
            }
        }
    }
}

/// One node's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// Standard input.
    Stdin,
    /// What the operator named.
    Told(PathBuf),
    /// Where the node says, or where it is by default, and whose it must be there.
    Nodes(PathBuf, Owner),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::Told(path) | Self::Nodes(path, _) => path.display().fmt(f),
        }
    }
}

/// What a file is, whatever it is called. An inode alone may be that of a file that is gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct FileId {
    device: u64,
    pub(super) inode: u64,
    /// When it was made, nanoseconds since the epoch; 0 where the filesystem does not know.
    pub(super) created: u64,
}

pub(super) fn id(metadata: &Metadata) -> FileId {
    FileId { device: metadata.dev(), inode: metadata.ino(), created: metadata.created().map_or(0, since_epoch) }
}

impl Target {
    /// The file as it is now, while this process has all its rights. Who reads it later may have fewer.
    ///
    /// # Errors
    ///
    /// What stands in the way of reading it.
    pub fn opened(&self) -> Result<File, OpenError> {
        self.open().map_err(|error| OpenError::new(self, error))
    }

    /// Its path, if it has one.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdin => None,
            Self::Told(path) | Self::Nodes(path, _) => Some(path),
        }
    }

    /// The same at another path.
    pub(super) fn at(&self, path: &Path) -> Self {
        match self {
            Self::Nodes(_, owner) => Self::Nodes(path.to_owned(), owner.clone()),
            Self::Stdin | Self::Told(_) => Self::Told(path.to_owned()),
        }
    }

    /// Whether it is a pipe.
    pub(super) fn is_pipe(&self) -> bool {
        match self {
            Self::Stdin => true,
            Self::Told(path) => path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo()),
            Self::Nodes(..) => false,
        }
    }

    /// Which file has the log's name now.
    pub(super) fn id(&self) -> io::Result<FileId> {
        match self {
            Self::Stdin => Err(io::ErrorKind::NotFound.into()),
            Self::Told(path) => path.metadata().map(|metadata| id(&metadata)),
            Self::Nodes(path, _) => path.symlink_metadata().map(|metadata| id(&metadata)),
        }
    }

    /// Opens it; does not wait for anybody.
    pub(super) fn open(&self) -> io::Result<File> {
        match self {
            Self::Stdin => Ok(io::stdin().as_fd().try_clone_to_owned()?.into()),
            Self::Nodes(path, owner) => file::open_regular(path, Named::ByNode(owner)),
            Self::Told(path) => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                let file = File::from(open(path, flags, Mode::empty())?);
                let kind = file.metadata()?.file_type();
                if kind.is_file() || kind.is_fifo() {
                    return Ok(file);
                }
                let what = if kind.is_dir() { "a directory" } else { "neither a file nor a pipe" };
                Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is {what}")))
            }
        }
    }
}

/// A log that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to open the log {path}: {source}")]
pub struct OpenError {
    path: String,
    told: bool,
    source: io::Error,
}

impl OpenError {
    pub(super) fn new(target: &Target, source: io::Error) -> Self {
        Self { path: target.to_string(), told: matches!(target, Target::Told(_)), source }
    }

    /// Whether it is only not there yet: the node makes it when it starts.
    pub fn is_absent(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }

    /// Whether the system does not permit it.
    pub fn is_not_permitted(&self) -> bool {
        self.source.kind() == io::ErrorKind::PermissionDenied
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self.source.kind() {
            io::ErrorKind::NotFound if self.told => "is the path right? the node makes the file when it starts",
            io::ErrorKind::NotFound => "where is it? `--log-file` says so; a node with -nodebuglogfile writes none",
            // the node sets its umask itself, so that neither a group nor its service can
            io::ErrorKind::PermissionDenied => {
                "the node lets only its own user read it: run this as that user, or give the log a folder of its own with \
                 `debuglogfile=`, and let this user read there with `setfacl -m` and `setfacl -d -m`"
            }
            io::ErrorKind::InvalidData if !self.told => "if this is the file that is meant, name it with `--log-file`",
            _ => "name the node's debug.log with `--log-file`",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, mknodat};
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn message(target: &Target) -> String {
        let error = target.opened().unwrap_err();
        assert!(!error.hint().is_empty());
        error.source.to_string()
    }

    #[test]
    fn what_the_node_names_must_be_its_own() {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("debug.log"), "").unwrap();
        symlink("debug.log", path("link")).unwrap();
        mknodat(CWD, path("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let us = rustix::process::geteuid().as_raw();
        let nodes = |name: &str, uid| Target::Nodes(path(name), Owner::Uid(uid));
        assert!(nodes("debug.log", us).opened().is_ok());
        assert_eq!(message(&nodes("debug.log", us + 1)), format!("it belongs to user {us}, and the node to user {}", us + 1));
        assert_eq!(message(&nodes("link", us)), "it is a link to somewhere else");
        assert_eq!(message(&nodes("pipe", us)), "it is no regular file");
        assert_eq!(message(&nodes("", us)), "it is no regular file");
        assert!(nodes("none", us).opened().unwrap_err().is_absent());
    }

    #[test]
    fn what_the_operator_names_may_be_a_link_or_a_pipe() {
        let folder = TempDir::new().unwrap();
        let told = |name: &str| Target::Told(folder.path().join(name));
        std::fs::write(folder.path().join("debug.log"), "").unwrap();
        symlink("debug.log", folder.path().join("link")).unwrap();
        mknodat(CWD, folder.path().join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert!(told("debug.log").opened().is_ok() && told("link").opened().is_ok() && told("pipe").opened().is_ok());
        assert!(told("pipe").is_pipe() && !told("debug.log").is_pipe());
        assert_eq!(message(&told("")), "it is a directory");
        assert_eq!(message(&Target::Told("/dev/zero".into())), "it is neither a file nor a pipe");
        assert!(told("none").opened().unwrap_err().is_absent());
    }
}
