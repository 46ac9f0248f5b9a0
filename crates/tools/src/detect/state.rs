//! The file that holds the engine's state.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use detect::Engine;
use detect::thresholds::Thresholds;

/// A larger file is no state: it is bounded by far less.
const LARGEST: u64 = 1 << 30;

/// A file that cannot be gone on from.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the detectors' state {}", path.display())]
pub struct StateFileError {
    path: PathBuf,
    source: io::Error,
}

/// Where the state is kept.
#[derive(Clone, Debug)]
pub(super) struct File {
    path: PathBuf,
}

impl File {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The engine that it holds; `None` if there is none that can be gone on from.
    pub(super) fn read(&self, thresholds: Thresholds) -> Result<Option<Engine>, StateFileError> {
        let path = self.path.display();
        let failed = |source| StateFileError { path: self.path.clone(), source };
        let bytes = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::info!(%path, "the detectors begin with nothing: what is usual has to be learned first");
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
            Ok(file) if file.len() > LARGEST => {
                self.set_aside("it is larger than any state");
                return Ok(None);
            }
            Ok(_) => fs::read(&self.path).map_err(failed)?,
        };
        match Engine::restore(&bytes, thresholds) {
            Ok((engine, anew)) => {
                if !anew.is_empty() {
                    let parts = anew.join(", ");
                    tracing::warn!(%path, parts, "parts of the detectors' state have changed or are damaged, and begin anew");
                }
                Ok(Some(engine))
            }
            Err(error) => {
                self.set_aside(&error.to_string());
                Ok(None)
            }
        }
    }

    /// Keeps what cannot be used, out of the way.
    fn set_aside(&self, why: &str) {
        let aside = beside(&self.path, "unusable");
        let path = self.path.display();
        match fs::rename(&self.path, &aside) {
            Ok(()) => tracing::warn!(%path, why, aside = %aside.display(), "the detectors begin anew; their state was set aside"),
            Err(error) => tracing::warn!(%path, why, %error, "the detectors begin anew; their state will be overwritten"),
        }
    }

    /// Writes the state, on a thread that may wait for the disk.
    pub(super) async fn write(&self, state: Vec<u8>) -> anyhow::Result<()> {
        let file = self.clone();
        tokio::task::spawn_blocking(move || file.write_now(&state)).await?
    }

    /// All of it or nothing: whoever reads finds the state of before or that of now.
    pub(super) fn write_now(&self, state: &[u8]) -> anyhow::Result<()> {
        let new = beside(&self.path, "new");
        let write = || {
            let mut file = fs::File::create(&new)?;
            file.write_all(state)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            // the name is safe when the directory is
            let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            fs::File::open(directory)?.sync_all()
        };
        // half of it is of no use, and holds room on a disk that has none
        write()
            .inspect_err(|_| drop(fs::remove_file(&new)))
            .with_context(|| format!("failed to write the detectors' state {}", self.path.display()))
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    name.into()
}

/// A number that nobody can guess.
pub(super) fn key() -> u64 {
    let mut key = [0; 8];
    let filled = rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty());
    if filled != Ok(key.len()) {
        // better than the same for everybody, where the system has no randomness to give
        return SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64);
    }
    u64::from_le_bytes(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_cannot_be_written_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        // no file takes the place of a directory; a full disk would do as well
        fs::create_dir(&path).unwrap();
        assert!(File::new(path).write_now(b"state").is_err());
        let left: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["state"]);
    }
}
