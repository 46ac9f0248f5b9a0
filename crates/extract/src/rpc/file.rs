//! Small files that belong to a node: its cookie, its configuration, its pid file.
//!
//! Any process may call itself a node, and its command line may name any file. What such a process names is read only if it is its
//! own: who runs with more rights than it must not fetch for it what it could not read itself. And no file holds this program up:
//! pipes, devices and endless files are refused.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fstatfs, open};

/// Whose a file must be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Owner {
    /// This user: the one that the node's process runs as.
    Uid(u32),
    /// Whoever owns this directory, which the operator named, when the file is read: for a node that does not run yet.
    Of(PathBuf),
}

impl Owner {
    fn uid(&self) -> io::Result<u32> {
        match self {
            Self::Uid(uid) => Ok(*uid),
            Self::Of(directory) => directory.metadata().map(|directory| directory.uid()),
        }
    }
}

/// Who says that a file is the one to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Named<'a> {
    /// The operator: whatever it is, it is meant. Links are followed; containers mount secrets as such.
    ByOperator,
    /// The node, by its command line or its configuration, or nobody but a default below its data directory.
    ByNode(&'a Owner),
    /// As before, but it is a configuration: often it belongs to root or to whoever runs us, and is a link. Nothing of it is
    /// passed on; it names a port, and files that must be the node's in turn.
    Configuration(&'a Owner),
}

/// File systems in which a file is not what somebody has written but what the kernel says or does when it is read (statfs(2)). All
/// of it is root's: without this, a node whose configuration is `/proc/kmsg` has us take lines from the kernel's log.
const OF_THE_KERNEL: [u32; 12] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x7472_6163, // tracefs
    0x6462_6720, // debugfs
    0x7363_6673, // securityfs
    0x6265_6570, // configfs
    0x6367_7270, // cgroup2
    0x0027_e0eb, // cgroup
    0xf97c_ff8c, // selinux
    0x6165_676c, // pstore
    0xcafe_4a11, // bpf
    0xde5e_81e4, // efivarfs
];

/// Reads a file of at most `limit` bytes.
///
/// # Errors
///
/// It cannot be opened ([`open_regular`]) or read, or is too long.
pub(super) fn read_small(path: &Path, named: Named<'_>, limit: u64) -> io::Result<String> {
    let file = open_regular(path, named)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(refused(format!("it is longer than {limit} bytes")));
    }
    match named {
        // Bitcoin Core does not ask in which encoding somebody comments
        Named::Configuration(_) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        _ => String::from_utf8(bytes).map_err(|_| refused("it is no text")),
    }
}

/// Opens a file for reading.
///
/// # Errors
///
/// It cannot be opened, is no file but a pipe or a device, or belongs to somebody else.
pub(crate) fn open_regular(path: &Path, named: Named<'_>) -> io::Result<File> {
    // with O_PATH it is looked at before it is opened: to open a device may have effects
    let links = if matches!(named, Named::ByNode(_)) { OFlags::NOFOLLOW } else { OFlags::empty() };
    let place = File::from(open(path, OFlags::PATH | OFlags::CLOEXEC | links, Mode::empty())?);
    let metadata = place.metadata()?;
    if metadata.is_symlink() {
        return Err(refused("it is a link to somewhere else"));
    }
    if !metadata.is_file() {
        return Err(refused("it is no regular file"));
    }
    if let Named::ByNode(owner) | Named::Configuration(owner) = named {
        // the number is 32 bits wide, in a field that may be wider and signed
        if OF_THE_KERNEL.contains(&(fstatfs(&place)?.f_type as u32)) {
            return Err(refused("it is the kernel's"));
        }
        let (is, must) = (metadata.uid(), owner.uid()?);
        let known = matches!(named, Named::Configuration(_)) && (is == 0 || is == rustix::process::geteuid().as_raw());
        if is != must && !known {
            return Err(refused(format!("it belongs to user {is}, and the node to user {must}")));
        }
    }
    let again = format!("/proc/self/fd/{}", place.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(File::from(open(again, flags, Mode::empty())?))
}

fn refused(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, mknodat};
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    const LIMIT: u64 = 10;

    fn us() -> Owner {
        Owner::Uid(rustix::process::geteuid().as_raw())
    }

    #[track_caller]
    fn refused(path: &Path, named: Named<'_>, reason: &str) {
        assert_eq!(read_small(path, named, LIMIT).unwrap_err().to_string(), reason, "{named:?}");
    }

    #[test]
    fn who_names_a_file_must_own_it() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "text").unwrap();
        let us = rustix::process::geteuid().as_raw();
        let other = Owner::Uid(us + 1);
        for named in [
            Named::ByOperator,
            Named::ByNode(&Owner::Uid(us)),
            Named::ByNode(&Owner::Of(folder.path().into())),
            // a configuration may be ours
            Named::Configuration(&other),
        ] {
            assert_eq!(read_small(&file, named, LIMIT).unwrap(), "text", "{named:?}");
        }
        refused(&file, Named::ByNode(&other), &format!("it belongs to user {us}, and the node to user {}", us + 1));
        let nowhere = Owner::Of(folder.path().join("none"));
        refused(&file, Named::ByNode(&nowhere), "No such file or directory (os error 2)");
    }

    #[test]
    fn links_are_the_operators_and_configurations() {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("file"), "text").unwrap();
        let link = folder.path().join("link");
        symlink("file", &link).unwrap();
        refused(&link, Named::ByNode(&us()), "it is a link to somewhere else");
        assert_eq!(read_small(&link, Named::ByOperator, LIMIT).unwrap(), "text");
        assert_eq!(read_small(&link, Named::Configuration(&us()), LIMIT).unwrap(), "text");
    }

    /// These are regular files of root's, as a configuration may be; to open some of them has effects.
    #[test]
    fn what_the_kernel_says_is_no_file_of_a_nodes() {
        for file in ["/proc/version", "/proc/self/status", "/sys/kernel/osrelease", "/sys/kernel/mm/transparent_hugepage/enabled"] {
            let file = Path::new(file);
            if file.exists() {
                for named in [Named::ByNode(&Owner::Uid(0)), Named::ByNode(&us()), Named::Configuration(&us())] {
                    refused(file, named, "it is the kernel's");
                }
            }
        }
        // the operator may mean it
        let told = read_small(Path::new("/proc/sys/kernel/pid_max"), Named::ByOperator, LIMIT);
        assert!(told.is_ok_and(|number| number.trim().parse::<u32>().is_ok()));
    }

    #[test]
    fn nothing_blocks_and_nothing_is_endless() {
        let folder = TempDir::new().unwrap();
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let long = folder.path().join("long");
        File::create(&long).unwrap().set_len(1 << 40).unwrap();
        for named in [Named::ByOperator, Named::ByNode(&us()), Named::Configuration(&us())] {
            for other in [&pipe, folder.path(), Path::new("/dev/zero"), Path::new("/dev/null")] {
                refused(other, named, "it is no regular file");
            }
            refused(&long, named, "it is longer than 10 bytes");
        }
        std::fs::write(&long, [b'a'; LIMIT as usize]).unwrap();
        assert_eq!(read_small(&long, Named::ByOperator, LIMIT).unwrap().len() as u64, LIMIT);
        std::fs::write(&long, [0xff]).unwrap();
        refused(&long, Named::ByOperator, "it is no text");
    }
}
