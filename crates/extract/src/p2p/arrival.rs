//! When bytes arrived: as the kernel has it, for we may be late to look.
//!
//! On a busy machine a process waits for milliseconds before it runs, and on an idle one it takes tens of microseconds to wake. Neither
//! is the node's time. Linux notes when data arrives and tells with the data (`SO_TIMESTAMPNS`, socket(7)).

use std::io;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::clock::now;

/// A moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For lengths of time.
    pub at: Instant,
    /// Nanoseconds since the epoch.
    pub time: u64,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        /// Reading a clock takes less, unless something comes between the two.
        const TOGETHER: Duration = Duration::from_micros(20);
        let read = || {
            let (before, time, at) = (Instant::now(), now(), Instant::now());
            (at - before, Self { at, time })
        };
        let mut best = read();
        for _ in 0..4 {
            if best.0 < TOGETHER {
                break;
            }
            let again = read();
            if again.0 < best.0 {
                best = again;
            }
        }
        best.1
    }

    /// The moment that was now when the wall clock showed `time`. A time in the future, or so long ago that somebody must have set the
    /// clock, is not believed.
    fn back_to(self, time: u64) -> Self {
        const LONGEST: u64 = 1_000_000_000;
        match self.time.checked_sub(time) {
            Some(late) if late <= LONGEST => Self { at: self.at.checked_sub(Duration::from_nanos(late)).unwrap_or(self.at), time },
            _ => self,
        }
    }
}

/// Asks for times of arrival. Where there are none, [`read`] says when it read.
pub fn prepare(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::socket::setsockopt(stream, nix::sys::socket::sockopt::ReceiveTimestampns, &true) {
        tracing::debug!(%error, "the kernel does not tell when data arrives");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

/// Reads what there is, and says when the last of it arrived. May be given up at any time.
pub async fn read(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<(usize, Moment)> {
    loop {
        stream.readable().await?;
        match stream.try_io(tokio::io::Interest::READABLE, || receive(stream, buffer)) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            other => return other,
        }
    }
}

#[cfg(target_os = "linux")]
fn receive(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<(usize, Moment)> {
    use std::os::fd::AsRawFd as _;

    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
    use nix::sys::time::{TimeSpec, TimeValLike as _};

    let mut control = nix::cmsg_space!(TimeSpec);
    let mut parts = [io::IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
    let moment = Moment::now();
    let arrived = message.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(time) => u64::try_from(time.num_nanoseconds()).ok(),
        _ => None,
    });
    Ok((message.bytes, arrived.map_or(moment, |time| moment.back_to(time))))
}

#[cfg(not(target_os = "linux"))]
fn receive(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<(usize, Moment)> {
    let length = stream.try_read(buffer)?;
    Ok((length, Moment::now()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[tokio::test]
    async fn it_is_when_it_arrived_and_not_when_it_was_read() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut sender = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        prepare(&stream);
        // who is the first to ask has to wait a moment until the kernel notes times
        let mut told = async || {
            sender.write_all(b"abc").unwrap();
            let sent = Moment::now();
            std::thread::sleep(Duration::from_millis(50));
            let (length, arrived) = read(&stream, &mut [0; 10]).await.unwrap();
            assert_eq!(length, 3);
            // two clocks, read one after the other
            arrived.at <= sent.at + Duration::from_millis(20)
        };
        let mut attempts = 0;
        while cfg!(target_os = "linux") && !told().await {
            attempts += 1;
            assert!(attempts < 100, "the kernel does not tell when data arrived");
        }
        drop(sender);
        assert_eq!(read(&stream, &mut [0; 10]).await.unwrap().0, 0);
    }

    #[test]
    fn a_clock_that_was_set_is_not_believed() {
        let now = Moment::now();
        assert_eq!(now.back_to(now.time - 1000).at, now.at - Duration::from_micros(1));
        for time in [now.time + 1, now.time - 2_000_000_000, 0] {
            let moment = now.back_to(time);
            assert_eq!((moment.at, moment.time), (now.at, now.time));
        }
    }
}
