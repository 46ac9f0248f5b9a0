//! Where files go that leave this machine, or this disk: a directory, or a bucket of an S3-compatible store.
//!
//! A file is there when all of it is: it grows under another name, or is not visible before its upload has ended. Calls block; those that
//! speak to a store belong on a thread of their own.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};
use serde::{Deserialize, Serialize};

#[cfg(feature = "s3")]
pub mod s3;

/// Files grow under their name and this.
const UNFINISHED: &str = ".part";
/// Files are read and written in pieces of so many bytes.
const PIECE: usize = 256 << 10;

/// Size and SHA-256 of a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Checksum {
    /// Size.
    pub bytes: u64,
    /// In hex.
    pub sha256: String,
}

/// Where to: `DIR` or `s3://bucket/prefix`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A directory.
    Directory(PathBuf),
    /// A bucket, and what all names in it begin with.
    S3 {
        /// Its name.
        bucket: String,
        /// Without slashes at its ends.
        prefix: String,
    },
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("s3://") else {
            return match text.split_once("://") {
                Some((scheme, _)) => {
                    Err(format!("`{scheme}` is nothing that files can be sent to: use a directory, or `s3://bucket/prefix`"))
                }
                None if text.is_empty() => Err("a directory has a name".to_owned()),
                None => Ok(Self::Directory(text.into())),
            };
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || bucket.contains(['@', ':']) {
            return Err(format!("`{text}` names no bucket: write it as `s3://bucket/prefix`"));
        }
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// Why a file did not get there.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// A disk does not take it.
    #[error("failed to write {}: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be read: on this side, or back from the other.
    #[error("failed to read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is there is not what was sent.
    #[error("{name} arrived with {what}")]
    Other {
        /// Which file.
        name: String,
        /// In which way.
        what: String,
    },
    /// The store refuses, fails, or says nothing.
    #[error("failed to {doing} {name}: {what}")]
    Store {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        name: String,
        /// In words.
        what: String,
    },
    /// Somebody ended it.
    #[error("ended before the file was there")]
    Stopped,
    /// The store cannot be used at all.
    #[error("failed to set up {place}: {what}")]
    Setup {
        /// Which.
        place: String,
        /// Why.
        what: String,
    },
}

impl TargetError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "the disk is full; what is finished stays, and the same command goes on from there"
            }
            Self::Write { .. } => "is there room, and may this user write there?",
            Self::Read { .. } => "is the file there, and may this user read it?",
            Self::Other { .. } => "something between here and there changes files; nothing was deleted here",
            Self::Store { .. } => "are endpoint, region, bucket and credentials right? the same command goes on from there",
            Self::Stopped => "it is sent the next time",
            Self::Setup { .. } => "credentials come from a file, the environment, or the machine's role; see `docs/export.md`",
        }
    }
}

/// A place that is open.
pub enum Target {
    /// A directory.
    Directory(PathBuf),
    /// A store.
    #[cfg(feature = "s3")]
    S3(s3::S3),
}

impl Target {
    /// A directory; made where it is missing.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn directory(path: &Path) -> Result<Self, TargetError> {
        fs::create_dir_all(path).map_err(|source| TargetError::Write { path: path.to_owned(), source })?;
        Ok(Self::Directory(path.to_owned()))
    }

    /// Begins a file that is made here.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn begin(&self, name: &str) -> Result<Growing, TargetError> {
        match self {
            Self::Directory(directory) => Growing::begin(unfinished(&directory.join(name))),
            #[cfg(feature = "s3")]
            Self::S3(store) => Growing::begin(store.staging(name)),
        }
    }

    /// Ends a file that was begun here: from now on it is there.
    ///
    /// # Errors
    ///
    /// It cannot be written, or did not arrive whole.
    pub fn finish(&self, name: &str, file: Growing) -> Result<Checksum, TargetError> {
        let (path, sum) = file.close()?;
        match self {
            Self::Directory(directory) => publish(&path, &directory.join(name))?,
            #[cfg(feature = "s3")]
            Self::S3(store) => {
                let sent = store.send(&path, name, &sum, &mut |_| true).and_then(|()| store.check(name, &sum));
                let _ = fs::remove_file(&path);
                sent?;
            }
        }
        Ok(sum)
    }

    /// Copies a file there. `pace` is told of every piece before it is sent, and may wait, or say that it is enough.
    ///
    /// # Errors
    ///
    /// It cannot be read here, or not be written there, or it was enough.
    pub fn send(&self, file: &Path, name: &str, sum: &Checksum, pace: &mut dyn FnMut(usize) -> bool) -> Result<(), TargetError> {
        match self {
            Self::Directory(directory) => {
                let to = directory.join(name);
                let mut copy = Growing::begin(unfinished(&to))?;
                pieces(file, |piece| {
                    if !pace(piece.len()) {
                        return Err(TargetError::Stopped);
                    }
                    let path = copy.path.clone();
                    copy.write_all(piece).map_err(|source| TargetError::Write { path, source })
                })?;
                let (path, copied) = copy.close()?;
                if copied != *sum {
                    let _ = fs::remove_file(path);
                    return Err(differs(name, sum, &copied));
                }
                publish(&path, &to)
            }
            #[cfg(feature = "s3")]
            Self::S3(store) => store.send(file, name, sum, pace),
        }
    }

    /// Reads a file back, all of it, and compares: only then it is known to be there.
    ///
    /// # Errors
    ///
    /// It is not there, cannot be read, or is another.
    pub fn check(&self, name: &str, sum: &Checksum) -> Result<(), TargetError> {
        match self {
            Self::Directory(directory) => {
                let there = Checksum::of(&directory.join(name))?;
                if there == *sum { Ok(()) } else { Err(differs(name, sum, &there)) }
            }
            #[cfg(feature = "s3")]
            Self::S3(store) => store.check(name, sum),
        }
    }

    /// How large a file there is; `None` where there is none.
    ///
    /// # Errors
    ///
    /// Nobody can tell.
    pub fn size(&self, name: &str) -> Result<Option<u64>, TargetError> {
        match self {
            Self::Directory(directory) => {
                let path = directory.join(name);
                match fs::metadata(&path) {
                    Ok(metadata) => Ok(Some(metadata.len())),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(source) => Err(TargetError::Read { path, source }),
                }
            }
            #[cfg(feature = "s3")]
            Self::S3(store) => store.size(name),
        }
    }

    /// Reads a small file; `None` where there is none.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, TargetError> {
        match self {
            Self::Directory(directory) => {
                let path = directory.join(name);
                match fs::read(&path) {
                    Ok(bytes) => Ok(Some(bytes)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(source) => Err(TargetError::Read { path, source }),
                }
            }
            #[cfg(feature = "s3")]
            Self::S3(store) => store.read(name),
        }
    }

    /// Writes a small file, in place of the one that is there.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), TargetError> {
        match self {
            Self::Directory(directory) => {
                let path = directory.join(name);
                let mut file = Growing::begin(unfinished(&path))?;
                let failed = |source| TargetError::Write { path: path.clone(), source };
                file.write_all(bytes).map_err(failed)?;
                publish(&file.close()?.0, &path)
            }
            #[cfg(feature = "s3")]
            Self::S3(store) => store.write(name, bytes),
        }
    }
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    name.into()
}

/// Gives a file its name. A crash afterwards does not take it back.
fn publish(path: &Path, to: &Path) -> Result<(), TargetError> {
    let publish = || -> io::Result<()> {
        fs::rename(path, to)?;
        to.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    };
    publish().map_err(|source| TargetError::Write { path: to.to_owned(), source })
}

fn differs(name: &str, sum: &Checksum, there: &Checksum) -> TargetError {
    let what = if there.bytes == sum.bytes {
        "another checksum".to_owned()
    } else {
        format!("{} bytes instead of {}", there.bytes, sum.bytes)
    };
    TargetError::Other { name: name.to_owned(), what }
}

/// A file piece by piece.
fn pieces(path: &Path, mut with: impl FnMut(&[u8]) -> Result<(), TargetError>) -> Result<(), TargetError> {
    let failed = |source| TargetError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => with(&piece[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Adds up a checksum.
#[derive(Default)]
pub struct Summing {
    bytes: u64,
    engine: sha256::HashEngine,
}

impl Summing {
    /// Adds some bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.engine.input(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// The sum.
    pub fn finish(self) -> Checksum {
        Checksum { bytes: self.bytes, sha256: sha256::Hash::from_engine(self.engine).to_string() }
    }
}

impl Checksum {
    /// Of a file.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn of(path: &Path) -> Result<Self, TargetError> {
        let mut sum = Summing::default();
        pieces(path, |piece| {
            sum.add(piece);
            Ok(())
        })?;
        Ok(sum.finish())
    }

    /// Of bytes in memory.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let mut sum = Summing::default();
        sum.add(bytes);
        sum.finish()
    }
}

/// A file that grows, and is gone again if nobody ends it.
pub struct Growing {
    path: PathBuf,
    /// `None` when it was closed.
    file: Option<File>,
    sum: Summing,
    failure: Failure,
}

/// Why a file could not be written: some writers around it only pass words on.
#[derive(Clone, Default)]
pub struct Failure(Arc<AtomicI32>);

impl Failure {
    /// What the system said, if it refused anything.
    pub fn error(&self) -> Option<io::Error> {
        Some(self.0.load(Ordering::Relaxed)).filter(|code| *code != 0).map(io::Error::from_raw_os_error)
    }
}

impl Growing {
    fn begin(path: PathBuf) -> Result<Self, TargetError> {
        let create = || -> io::Result<File> {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            File::create(&path)
        };
        match create() {
            Ok(file) => Ok(Self { path, file: Some(file), sum: Summing::default(), failure: Failure::default() }),
            Err(source) => Err(TargetError::Write { path, source }),
        }
    }

    /// Where it grows.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says later what went wrong, to whoever gives the file away.
    pub fn failure(&self) -> Failure {
        self.failure.clone()
    }

    /// Returns when it is on the disk.
    fn close(mut self) -> Result<(PathBuf, Checksum), TargetError> {
        let path = std::mem::take(&mut self.path);
        let sum = std::mem::take(&mut self.sum).finish();
        match self.file.take().map_or(Ok(()), |file| file.sync_all()) {
            Ok(()) => Ok((path, sum)),
            Err(source) => {
                let _ = fs::remove_file(&path);
                Err(TargetError::Write { path, source })
            }
        }
    }
}

impl Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.as_mut().map_or(Ok(0), |file| file.write(bytes));
        if let Err(error) = &written {
            self.failure.0.store(error.raw_os_error().unwrap_or_default(), Ordering::Relaxed);
        }
        let written = written?;
        self.sum.add(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // half a file is none
            let _ = fs::remove_file(&self.path);
        }
    }
}
