//! How far a long piece of work is: for whoever shows it while it is done, or does not want to wait for its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::input;

/// Bytes of recordings that are behind us, and whether somebody wants no more of them.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    done: Arc<AtomicU64>,
    stopped: Arc<AtomicBool>,
}

impl Progress {
    /// So many bytes until now.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Ends the reading: whoever reads gets [`ReadError::Stopped`](super::ReadError::Stopped), and writes nothing.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether somebody ended it.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// One that ends with this one, and counts for itself.
    pub(crate) fn apart(&self) -> Self {
        Self { stopped: Arc::clone(&self.stopped), ..Self::default() }
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Bytes of recordings; those that cannot be read are told by whoever reads them.
pub fn total(paths: &[PathBuf]) -> u64 {
    let files = paths.iter().filter_map(|path| input::files(path).ok()).flatten();
    files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}
