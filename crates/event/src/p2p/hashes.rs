//! Many short runs of bytes in one allocation.

use bytes::Bytes;

/// Collects runs of bytes first and hands them out afterwards as slices of one buffer: an `inv` of a thousand hashes costs one
/// allocation, and does not keep the whole payload alive.
pub(super) struct Pool {
    buffer: Vec<u8>,
}

impl Pool {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { buffer: Vec::with_capacity(bytes) }
    }

    pub(super) fn push(&mut self, bytes: impl AsRef<[u8]>) {
        self.buffer.extend_from_slice(bytes.as_ref());
    }

    pub(super) fn finish(self) -> Slices {
        Slices(self.buffer.into())
    }
}

/// What was collected, in order.
pub(super) struct Slices(Bytes);

impl Slices {
    /// The next `length` bytes; the caller takes what it has put in.
    pub(super) fn take(&mut self, length: usize) -> Bytes {
        self.0.split_to(length)
    }

    pub(super) fn hash(&mut self) -> Bytes {
        self.take(32)
    }
}

/// One hash of its own.
pub(super) fn bytes(hash: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(hash.as_ref())
}
