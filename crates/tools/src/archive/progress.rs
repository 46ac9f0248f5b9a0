//! How far a long piece of work is: for whoever shows it while it is done.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::input;

/// Bytes of recordings that are behind us.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// So many bytes until now.
    pub fn done(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Bytes of recordings; those that cannot be read are told by whoever reads them.
pub fn total(paths: &[PathBuf]) -> u64 {
    let files = paths.iter().filter_map(|path| input::files(path).ok()).flatten();
    files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}
