//! A connection to a mail server, as the library gets it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a server may say in all. Its answers are lines; the library would read one that does not end for as long as it comes.
const MOST: usize = 64 << 10;

/// Bytes in both directions, of which the server's are bounded.
#[derive(Debug)]
pub(super) struct Line<S> {
    /// What is read first.
    greeting: &'static [u8],
    /// How much it may still say.
    left: usize,
    stream: S,
}

impl<S> Line<S> {
    /// A connection that begins.
    pub fn new(stream: S) -> Self {
        Self { greeting: b"", left: MOST, stream }
    }

    /// A connection that begins anew, encrypted: the server has greeted before, and the library waits for a greeting.
    pub fn anew(stream: S) -> Self {
        Self { greeting: b"220 \r\n", ..Self::new(stream) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.greeting.is_empty() {
            let (first, rest) = this.greeting.split_at(this.greeting.len().min(buf.remaining()));
            buf.put_slice(first);
            this.greeting = rest;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let count = buf.filled().len() - before;
        this.left = this.left.checked_sub(count).ok_or_else(|| io::Error::other("it says too much"))?;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> AsyncTokioStream for Line<S> {
    /// Nobody asks.
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
