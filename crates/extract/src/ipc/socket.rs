//! Where a node's socket is, and whether it is the node's.
//!
//! As with files (`rpc/file.rs`): what a command line or a default names is believed only if it belongs to the node's user, before
//! anything is connected to, and so must whoever listens there. What the operator named is meant.

use std::path::PathBuf;

#[cfg(feature = "ipc")]
pub(super) use opened::{Socket, open};

use super::Access;
use crate::rpc::{Owner, Place};

/// What `bitcoin-node` calls its socket (Bitcoin Core `src/ipc/process.cpp`).
const DEFAULT: &str = "node.sock";

/// One node's socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Where it is.
    pub path: PathBuf,
    /// Whose it must be; `None` for one that the operator named.
    pub owner: Option<Owner>,
}

impl Access {
    /// Finds what was not told: by the node's command line, its bitcoin.conf and its data directory.
    pub fn target(&self, place: &Place) -> Target {
        if let Some(path) = &self.ipc_socket {
            return Target { path: path.clone(), owner: None };
        }
        let settings = place.settings();
        // `unix`, `unix:` or `unix:PATH`
        let told = settings.anywhere("ipcbind").and_then(|address| address.strip_prefix("unix:")).filter(|path| !path.is_empty());
        Target { path: settings.folder.join(told.unwrap_or(DEFAULT)), owner: Some(settings.owner) }
    }
}

impl Target {
    /// Whether something is there now.
    pub fn exists(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }
}

#[cfg(feature = "ipc")]
mod opened {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

    use rustix::fs::{Mode, OFlags};
    use tokio::net::UnixStream;

    use super::Target;
    use crate::ipc::Trouble;
    use crate::rpc::Owner;

    /// A connection, and who is at its other end.
    pub(in crate::ipc) struct Socket {
        pub(in crate::ipc) stream: UnixStream,
        /// Whoever began to listen there; absent where it is in another namespace.
        pub(in crate::ipc) pid: Option<u32>,
    }

    /// Connects, if it is the node's.
    ///
    /// # Errors
    ///
    /// Nobody is there, or somebody else.
    pub(in crate::ipc) async fn open(target: &Target) -> Result<Socket, Trouble> {
        let path = target.path.display();
        let away = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Trouble::Away(format!("there is no socket {path}")),
            io::ErrorKind::ConnectionRefused => Trouble::Away(format!("nobody listens at {path}")),
            io::ErrorKind::PermissionDenied => Trouble::Stranger(format!("this user may not connect to {path}")),
            _ => Trouble::Away(format!("failed to connect to {path}: {error}")),
        };
        let must = match &target.owner {
            Some(owner) => Some(uid(owner).map_err(away)?),
            None => None,
        };
        let links = if must.is_some() { OFlags::NOFOLLOW } else { OFlags::empty() };
        let place = rustix::fs::open(&target.path, OFlags::PATH | OFlags::CLOEXEC | links, Mode::empty());
        let place = File::from(place.map_err(|error| away(error.into()))?);
        let metadata = place.metadata().map_err(away)?;
        if !metadata.file_type().is_socket() {
            return Err(Trouble::Stranger(format!("{path} is no socket")));
        }
        mine(metadata.uid(), must, &format!("{path} belongs"))?;
        // by what was looked at, not by its name, which may be another's by now; and a path of any length will do
        let stream = UnixStream::connect(format!("/proc/self/fd/{}", place.as_raw_fd())).await.map_err(away)?;
        let peer = stream.peer_cred().map_err(away)?;
        mine(peer.uid(), must, &format!("who listens at {path} belongs"))?;
        Ok(Socket { pid: peer.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0), stream })
    }

    fn uid(owner: &Owner) -> io::Result<u32> {
        match owner {
            Owner::Uid(uid) => Ok(*uid),
            Owner::Of(directory) => directory.metadata().map(|directory| directory.uid()),
        }
    }

    fn mine(is: u32, must: Option<u32>, what: &str) -> Result<(), Trouble> {
        match must {
            Some(must) if is != must => Err(Trouble::Stranger(format!("{what} to user {is}, and the node to user {must}"))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};
    use tempfile::TempDir;

    #[track_caller]
    fn check(conf: &str, command: &[&str], expected: &str) {
        let folder = TempDir::new().unwrap();
        create_dir_all(folder.path().join("d")).unwrap();
        write(folder.path().join("d/bitcoin.conf"), conf).unwrap();
        let place = Place {
            datadir: Some(folder.path().join("d")),
            command: command.iter().map(ToString::to_string).collect(),
            working: Some(folder.path().into()),
            owner: Some(rustix::process::geteuid().as_raw()),
        };
        let target = Access::default().target(&place);
        assert_eq!(target.path.strip_prefix(folder.path()).unwrap_or(&target.path), PathBuf::from(expected));
        assert_eq!(target.owner, Some(Owner::Uid(rustix::process::geteuid().as_raw())));
    }

    #[test]
    fn the_socket_is_where_the_node_says() {
        check("", &["bitcoin-node", "-datadir=d"], "d/node.sock");
        check("", &["bitcoin-node", "-datadir=d", "-regtest", "-ipcbind=unix"], "d/regtest/node.sock");
        check("", &["bitcoin-node", "-datadir=d", "-ipcbind=unix:"], "d/node.sock");
        check("", &["bitcoin-node", "-datadir=d", "-signet", "-ipcbind=unix:a/b"], "d/signet/a/b");
        check("", &["bitcoin-node", "-datadir=d", "-ipcbind=unix:/run/x"], "/run/x");
        check("ipcbind=unix:c\n[regtest]\n", &["bitcoin-node", "-datadir=d", "-regtest"], "d/regtest/c");
        check("ipcbind=unix:c\n[regtest]\nipcbind=unix:r\n", &["bitcoin-node", "-datadir=d", "-regtest"], "d/regtest/r");
    }

    #[test]
    fn what_the_operator_names_is_meant() {
        let access = Access { ipc_socket: Some("/x".into()) };
        assert_eq!(access.target(&Place::default()), Target { path: "/x".into(), owner: None });
    }
}
