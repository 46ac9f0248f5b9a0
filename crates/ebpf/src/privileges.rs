//! Capabilities: which a process has, and giving them up.
//!
//! Loading and attaching take `CAP_BPF` and `CAP_PERFMON`, and `CAP_SYS_PTRACE` where the node runs as another user. Reading the
//! buffer takes nothing at all: whoever decodes what strangers sent calls [`drop_all`] first.

use std::fmt;
use std::path::Path;

pub use caps::Capability;
use caps::{CapSet, CapsHashSet};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::process::{DumpableBehavior, Gid, Uid, set_dumpable_behavior};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// What the tracer holds at most.
pub const TRACER: [Capability; 3] = [Capability::CAP_BPF, Capability::CAP_PERFMON, Capability::CAP_SYS_PTRACE];

/// Capabilities could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[error("failed to {attempt}: {reason}")]
pub struct PrivilegesError {
    attempt: &'static str,
    reason: String,
}

impl PrivilegesError {
    fn new(attempt: &'static str) -> impl Fn(caps::errors::CapsError) -> Self {
        move |error| Self { attempt, reason: error.to_string() }
    }
}

/// A set of capabilities, as `/proc/<pid>/status` states it.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Set(u64);

impl Set {
    /// The effective ones of a process; `None` when there is no such process.
    pub fn effective_of(pid: u32) -> Option<Self> {
        Self::of(Path::new(&format!("/proc/{pid}/status")), "CapEff:")
    }

    /// Those that a process could make effective; `None` when there is no such process.
    pub fn permitted_of(pid: u32) -> Option<Self> {
        Self::of(Path::new(&format!("/proc/{pid}/status")), "CapPrm:")
    }

    fn of(status: &Path, line: &str) -> Option<Self> {
        let status = std::fs::read_to_string(status).ok()?;
        let hex = status.lines().find_map(|l| l.strip_prefix(line))?;
        u64::from_str_radix(hex.trim(), 16).ok().map(Self)
    }

    /// Whether it has this one.
    pub fn has(self, capability: Capability) -> bool {
        self.0 & capability.bitmask() != 0
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it is enough to load and attach programs to a node of the same user. `CAP_SYS_ADMIN` includes the two.
    pub fn can_trace(self) -> bool {
        self.has(Capability::CAP_SYS_ADMIN) || self.has(Capability::CAP_BPF) && self.has(Capability::CAP_PERFMON)
    }

    /// Its members.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        let mut all: Vec<_> = caps::all().into_iter().filter(|capability| self.has(*capability)).collect();
        all.sort_by_key(Capability::index);
        all.into_iter()
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromIterator<Capability> for Set {
    fn from_iter<T: IntoIterator<Item = Capability>>(capabilities: T) -> Self {
        Self(capabilities.into_iter().fold(0, |set, capability| set | capability.bitmask()))
    }
}

/// The effective capabilities of this thread.
pub fn effective() -> Set {
    caps::read(None, CapSet::Effective).unwrap_or_default().into_iter().collect()
}

/// Gives up every capability, for good: nothing that this thread starts can get one back.
///
/// Capabilities belong to threads, and new threads inherit them: call it before any other thread is started.
///
/// # Errors
///
/// The kernel refused.
pub fn drop_all() -> Result<(), PrivilegesError> {
    keep_only(&[])
}

/// Gives up every capability but these, as far as they are there, for good.
///
/// # Errors
///
/// The kernel refused.
pub fn keep_only(kept: &[Capability]) -> Result<(), PrivilegesError> {
    let failed = PrivilegesError::new("give up capabilities");
    let permitted = caps::read(None, CapSet::Permitted).map_err(&failed)?;
    // the bounding set first, while CAP_SETPCAP is still there; without it `no_new_privs` below has the same effect
    if permitted.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::read(None, CapSet::Bounding).map_err(&failed)? {
            caps::drop(None, CapSet::Bounding, capability).map_err(&failed)?;
        }
    }
    caps::clear(None, CapSet::Ambient).map_err(&failed)?;
    let kept: CapsHashSet = permitted.into_iter().filter(|capability| kept.contains(capability)).collect();
    caps::set(None, CapSet::Effective, &kept).map_err(&failed)?;
    caps::set(None, CapSet::Permitted, &kept).map_err(&failed)?;
    caps::clear(None, CapSet::Inheritable).map_err(&failed)?;
    rustix::thread::set_no_new_privs(true)
        .map_err(|error| PrivilegesError { attempt: "forbid new privileges", reason: error.to_string() })
}

/// Whether this process may become another user: it is root, and not one of a container's without the rights of root.
pub fn is_root() -> bool {
    let own = effective();
    rustix::process::geteuid().is_root() && own.has(Capability::CAP_SETUID) && own.has(Capability::CAP_SETGID)
}

/// Becomes another user, with no groups but this one, for good. That user may not look into this process as debuggers do.
///
/// Users belong to threads, and new threads inherit them: call it before any other thread is started. [`drop_all`] comes after.
///
/// # Errors
///
/// The kernel refused.
pub fn become_user(uid: u32, gid: u32) -> Result<(), PrivilegesError> {
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let failed = |error: rustix::io::Errno| PrivilegesError { attempt: "become the node's user", reason: error.to_string() };
    set_thread_groups(&[]).map_err(failed)?;
    set_thread_res_gid(group, group, group).map_err(failed)?;
    set_thread_res_uid(user, user, user).map_err(failed)?;
    // it follows from the change of user, unless `fs.suid_dumpable` says otherwise
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed)
}

/// The first of these files that a user may not read. Takes what [`is_root`] asks for; nothing is opened.
///
/// # Errors
///
/// The kernel refused.
pub fn unreadable<'a>(uid: u32, gid: u32, files: &[&'a Path]) -> Result<Option<&'a Path>, PrivilegesError> {
    let failed =
        |error: rustix::io::Errno| PrivilegesError { attempt: "look at files as the node's user", reason: error.to_string() };
    let groups = rustix::process::getgroups().map_err(failed)?;
    let own = rustix::process::getegid();
    set_thread_groups(&[]).map_err(failed)?;
    set_thread_res_gid(None, Gid::from_raw(gid), None).map_err(failed)?;
    set_thread_res_uid(None, Uid::from_raw(uid), None).map_err(failed)?;
    let found = files.iter().copied().find(|file| accessat(CWD, *file, Access::READ_OK, AtFlags::EACCESS).is_err());
    // root again, with all its rights
    set_thread_res_uid(None, Uid::ROOT, None).map_err(failed)?;
    set_thread_res_gid(None, own, None).map_err(failed)?;
    set_thread_groups(&groups).map_err(failed)?;
    Ok(found)
}

/// Whether `attempt` succeeds without this capability; it is given up if so.
///
/// # Errors
///
/// The kernel refused.
pub fn try_without(capability: Capability, attempt: impl FnOnce() -> bool) -> Result<bool, PrivilegesError> {
    let failed = PrivilegesError::new("give up a capability");
    if !caps::has_cap(None, CapSet::Effective, capability).map_err(&failed)? {
        return Ok(attempt());
    }
    caps::drop(None, CapSet::Effective, capability).map_err(&failed)?;
    if attempt() {
        caps::drop(None, CapSet::Permitted, capability).map_err(&failed)?;
        return Ok(true);
    }
    caps::raise(None, CapSet::Effective, capability).map_err(&failed)?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> Option<Set> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Set::of(file.path(), "CapEff:")
    }

    #[test]
    fn a_status_file_is_read() {
        let set = status("Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t000000c000080000\nCapBnd:\t0\n").unwrap();
        assert_eq!(format!("{set:?}"), "{CAP_SYS_PTRACE, CAP_PERFMON, CAP_BPF}");
        assert!(set.can_trace());
        assert_eq!(set, TRACER.into_iter().collect());
        assert!(status("CapEff:\t0000000000000000\n").unwrap().is_empty());
        assert_eq!(status("CapEff:\tnonsense\n"), None);
        assert_eq!(status(""), None);
    }

    /// In a thread of its own: users are a thread's.
    #[test]
    fn root_becomes_a_user_and_looks_as_one_before() {
        if !is_root() {
            return testkit::skipped("needs root");
        }
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
        for (file, mode) in [(&ours, 0o600), (&theirs, 0o600), (&folder.path().to_owned(), 0o755)] {
            if file != folder.path() {
                std::fs::write(file, "").unwrap();
            }
            std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        }
        std::os::unix::fs::chown(&theirs, Some(65_534), Some(65_534)).unwrap();
        std::thread::spawn(move || {
            let groups = rustix::process::getgroups().unwrap();
            assert_eq!(unreadable(65_534, 65_534, &[&theirs, &ours]).unwrap(), Some(&*ours));
            assert_eq!(unreadable(65_534, 65_534, &[&theirs]).unwrap(), None);
            assert!(is_root() && rustix::process::getgroups().unwrap() == groups);
            become_user(65_534, 65_534).unwrap();
            assert!(!is_root() && effective().is_empty());
            assert!(std::fs::read(&theirs).is_ok() && std::fs::read(&ours).is_err());
            assert!(rustix::process::getgroups().unwrap().is_empty());
            assert!(set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).is_err());
        })
        .join()
        .unwrap();
    }

    /// In a thread of its own: capabilities are a thread's.
    #[test]
    fn dropped_is_dropped() {
        std::thread::spawn(|| {
            drop_all().unwrap();
            assert!(effective().is_empty());
            assert!(caps::read(None, CapSet::Permitted).unwrap().is_empty());
            assert!(rustix::thread::no_new_privs().unwrap());
        })
        .join()
        .unwrap();
    }
}
