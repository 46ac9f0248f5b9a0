//! A stream that counts what comes in, in the shape that Cap'n Proto wants.
//!
//! Cap'n Proto bounds one message. What it remembers of many (questions that the other side never finishes, capabilities that it never
//! releases) grows with what was read, so that is bounded here.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much was read.
#[derive(Clone, Default)]
pub(super) struct Meter(Rc<Cell<u64>>);

impl Meter {
    pub(super) fn read(&self) -> u64 {
        self.0.get()
    }
}

/// One direction of a stream, or both.
pub(super) struct Metered<S> {
    stream: S,
    meter: Meter,
    /// Reading ends in an error after this many bytes.
    most: u64,
}

impl<S> Metered<S> {
    pub(super) fn new(stream: S, meter: Meter, most: u64) -> Self {
        Self { stream, meter, most }
    }
}

impl<S: AsyncRead + Unpin> futures_util::io::AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.meter.read() >= self.most {
            return Poll::Ready(Err(io::Error::other(format!("more than {} bytes at once", self.most))));
        }
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        let read = buffer.filled().len();
        self.meter.0.set(self.meter.read() + read as u64);
        Poll::Ready(Ok(read))
    }
}

impl<S: AsyncWrite + Unpin> futures_util::io::AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
