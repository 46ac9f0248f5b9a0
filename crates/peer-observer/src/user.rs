//! Who this program goes on as after it was started by root. See `docs/design/0013-the-nodes-user.md`.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use ebpf::privileges;

use crate::exit::Failure;
use crate::known::Known;

/// Who the program goes on as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum User {
    /// Who started it, who is not root, or root, whose the nodes are or of whose nodes nothing is known.
    Same(u32),
    /// The user of every node that is known, with this group.
    OfNodes(u32, u32),
    /// Root, who without its rights may not read what belongs to the nodes' users.
    RootWithoutRights(Reason),
}

/// Why root cannot become the nodes' user.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Reason {
    /// It can only be one of them.
    #[error("the nodes are several users': {}", .0.iter().map(u32::to_string).collect::<Vec<_>>().join(", "))]
    Several(BTreeSet<u32>),
    /// Something that it needs is root's own.
    #[error("the node's user {uid} may not read {file}")]
    File {
        /// The node's user.
        uid: u32,
        /// The file that the operator named.
        file: String,
    },
    /// As in a container.
    #[error("this is a root that may not become user {0}")]
    Forbidden(u32),
}

impl User {
    /// What to do about it, if anything.
    pub fn hint(&self) -> Option<&'static str> {
        let Self::RootWithoutRights(reason) = self else { return None };
        Some(match reason {
            Reason::Several(_) => {
                "the cookies of the nodes cannot be read: name RPC users (`--rpc-user`; `doctor --new-rpc-user` makes one), let all read \
                 the cookies (`-rpccookieperms`), or run one observer per user"
            }
            Reason::File { .. } => "make it readable for the node's user, or name an RPC user (`--rpc-user`)",
            Reason::Forbidden(_) => "run it as the node's user, or name an RPC user (`--rpc-user`)",
        })
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same(uid) => write!(f, "goes on as user {uid}"),
            Self::OfNodes(uid, _) => write!(f, "goes on as user {uid}, the node's"),
            Self::RootWithoutRights(reason) => write!(f, "goes on as root without its rights: {reason}"),
        }
    }
}

/// Gives up every capability, and root where it can. `files` is what the operator named and will still be read.
///
/// Must come before any thread is started, and before anything foreign is parsed.
///
/// # Errors
///
/// The kernel refused to take capabilities away.
pub fn give_up_rights<'a>(nodes: impl IntoIterator<Item = &'a Known>, files: &[&Path]) -> Result<User, Failure> {
    let users: BTreeSet<(u32, u32)> = nodes.into_iter().filter_map(|node| node.user).collect();
    let mut user = choose(rustix::process::geteuid().as_raw(), &users);
    if let User::OfNodes(uid, gid) = user {
        let became = if !privileges::is_root() {
            Err(Reason::Forbidden(uid))
        } else {
            match privileges::unreadable(uid, gid, files) {
                Ok(Some(file)) => Err(Reason::File { uid, file: file.display().to_string() }),
                Ok(None) => privileges::become_user(uid, gid).map_err(|_| Reason::Forbidden(uid)),
                Err(_) => Err(Reason::Forbidden(uid)),
            }
        };
        if let Err(reason) = became {
            user = User::RootWithoutRights(reason);
        }
    }
    privileges::drop_all().map_err(anyhow::Error::new)?;
    Ok(user)
}

/// Who to become, by whose the nodes are.
fn choose(us: u32, users: &BTreeSet<(u32, u32)>) -> User {
    let others: BTreeSet<u32> = users.iter().map(|(uid, _)| *uid).collect();
    match users.first() {
        Some((uid, gid)) if us == 0 && *uid != 0 && others.len() == 1 => User::OfNodes(*uid, *gid),
        Some(_) if us == 0 && others.len() > 1 => User::RootWithoutRights(Reason::Several(others)),
        _ => User::Same(us),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(us: u32, users: &[u32], expected: &str) {
        let user = choose(us, &users.iter().map(|uid| (*uid, *uid)).collect());
        let hint = user.hint().map(|hint| hint.split(':').next().unwrap_or_default());
        assert_eq!(
            [Some(user.to_string()), hint.map(str::to_owned)].into_iter().flatten().collect::<Vec<_>>().join("; "),
            expected
        );
    }

    #[test]
    fn root_becomes_the_one_user_whose_the_nodes_are() {
        check(0, &[1000], "goes on as user 1000, the node's");
        check(0, &[1000, 1000], "goes on as user 1000, the node's");
        check(0, &[0], "goes on as user 0");
        check(0, &[], "goes on as user 0");
        for users in [&[][..], &[0], &[1000], &[1000, 1001]] {
            check(1001, users, "goes on as user 1001");
        }
    }

    #[test]
    fn root_stays_where_it_would_have_to_be_two() {
        let expected = |users: &str| {
            format!(
                "goes on as root without its rights: the nodes are several users': {users}; the cookies of the nodes cannot be read"
            )
        };
        check(0, &[1000, 1001], &expected("1000, 1001"));
        check(0, &[0, 1000], &expected("0, 1000"));
    }
}
