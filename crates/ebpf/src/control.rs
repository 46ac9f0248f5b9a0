//! What the two processes say to each other: the one with capabilities, which attaches, and the one without, which decodes.
//!
//! JSON messages over a `SOCK_SEQPACKET` pair, of which the child has its end as standard input. First the parent says what is
//! wanted ([`tracer::Config`](crate::tracer::Config)), once; then only the child speaks ([`Report`]). The end of the parent's end
//! is the child's order to stop.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest message. The lists of probes in `Attached` are the longest by far, and take a kilobyte.
const MAX_MESSAGE: usize = 64 << 10;

/// Descriptors in one message: the buffer and the counters.
const MAX_FDS: usize = 2;

/// What the tracer states.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Report {
    /// The programs are loaded. The descriptors of the buffer and the counters come with it.
    Ready {
        /// Bytes of the buffer.
        buffer: u32,
    },
    /// There is no node; it is waited for.
    Waiting(Problem),
    /// A node was found. Its records may follow from now on.
    Attaching {
        /// Its process.
        pid: u32,
        /// Start of its process, Unix seconds.
        node_run: u64,
        /// Its program file.
        exe: String,
    },
    /// The node is watched.
    Attached {
        /// Its process.
        pid: u32,
        /// Start of its process, Unix seconds.
        node_run: u64,
        /// Its program file.
        exe: String,
        /// Tracepoints that are captured.
        attached: Vec<String>,
        /// Tracepoints that this release knows, but the node does not have.
        missing: Vec<String>,
        /// Tracepoints that the node has, but this release does not know.
        unlisted: Vec<String>,
    },
    /// The node is gone; the next one is waited for.
    Detached {
        /// Its process.
        pid: u32,
        /// Start of its process, Unix seconds.
        node_run: u64,
        /// Its program file.
        exe: String,
        /// In words.
        reason: String,
    },
    /// A node was found, but cannot be watched; the next one is waited for.
    Trouble(Problem),
    /// It cannot go on, and ends.
    Failed(Problem),
}

/// What stands in the way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// What kind of problem: exit codes follow from it.
    pub class: Class,
    /// In words.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// Kinds of problems.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Class {
    /// Capabilities are missing, or files are another user's.
    NotPermitted,
    /// The kernel lacks what is needed: too old, or without BTF.
    Kernel,
    /// The node does not run.
    NoNode,
    /// More than one node would do.
    SeveralNodes,
    /// The node's program has no tracepoints.
    NoProbes,
    /// The other process is gone or speaks otherwise.
    Broken,
}

impl Problem {
    pub(crate) fn new(class: Class, message: impl fmt::Display, hint: impl Into<String>) -> Self {
        Self { class, message: message.to_string(), hint: hint.into() }
    }

    /// Between the two processes something went wrong that neither operator nor node can help.
    pub(crate) fn broken(message: impl fmt::Display) -> Self {
        Self::new(Class::Broken, message, "this should not happen: please report it, with what `peer-observer doctor` prints")
    }
}

/// The message alone; the hint goes on a line of its own.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// One end of the connection.
#[derive(Debug)]
pub struct Channel(OwnedFd);

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Channel {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}

/// What may be heard.
#[derive(Debug)]
pub enum Heard<T> {
    /// A message, and the descriptors that came with it.
    Message(T, Vec<OwnedFd>),
    /// Nothing yet.
    Nothing,
    /// The other end is closed.
    End,
}

impl Channel {
    /// A connection.
    ///
    /// # Errors
    ///
    /// No descriptors are left.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(a), Self(b)))
    }

    /// Says something. Blocks while the other end is slow.
    ///
    /// # Errors
    ///
    /// The other end is closed, or the message is too long.
    pub fn send(&self, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        if bytes.len() > MAX_MESSAGE {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a control message is too long"));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for a control message"));
        }
        sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Listens; without `wait` only to what was said already.
    ///
    /// # Errors
    ///
    /// The connection is broken, or the other side speaks otherwise.
    pub fn receive<T: DeserializeOwned>(&self, wait: bool) -> io::Result<Heard<T>> {
        let mut bytes = vec![0; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = if wait { RecvFlags::CMSG_CLOEXEC } else { RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT };
        let received = loop {
            match recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Heard::Nothing),
                Err(Errno::CONNRESET) => return Ok(Heard::End),
                other => break other?,
            }
        };
        if received.bytes == 0 {
            return Ok(Heard::End);
        }
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a control message was cut"));
        }
        let fds = ancillary
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(fds) => Some(fds),
                _ => None,
            })
            .flatten()
            .collect();
        let message = serde_json::from_slice(bytes.get(..received.bytes).unwrap_or_default())?;
        Ok(Heard::Message(message, fds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Seek as _, Write as _};

    #[test]
    fn messages_and_descriptors_arrive() {
        let (a, b) = Channel::pair().unwrap();
        assert!(matches!(b.receive::<Report>(false).unwrap(), Heard::Nothing));
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"hello").unwrap();
        a.send(&Report::Ready { buffer: 4096 }, &[file.as_fd(), file.as_fd()]).unwrap();
        let Heard::Message(report, mut fds) = b.receive::<Report>(true).unwrap() else { panic!() };
        assert_eq!((report, fds.len()), (Report::Ready { buffer: 4096 }, 2));
        let mut file = std::fs::File::from(fds.remove(0));
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        drop(a);
        assert!(matches!(b.receive::<Report>(true).unwrap(), Heard::End));
    }

    #[test]
    fn nonsense_is_an_error_and_not_a_panic() {
        let (a, b) = Channel::pair().unwrap();
        a.send(&"nonsense", &[]).unwrap();
        assert!(b.receive::<Report>(true).is_err());
        assert!(a.send(&"x".repeat(MAX_MESSAGE), &[]).is_err());
        drop(b);
        assert!(a.send(&"anyone?", &[]).is_err());
    }
}
