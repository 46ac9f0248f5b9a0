//! Shipping: finished segments and rotated debug logs are copied to another place.
//!
//! ```text
//! myhost/var-lib-peer-observer/manifest.json
//! myhost/var-lib-peer-observer/00000012-20260501T120000Z.poa
//! ```
//!
//! A directory here is a folder there, named after machine and path. A file is sent, read back and compared; only then it stands in the
//! folder's manifest, with its checksum, and, of an archive, in the list beside it here ([`shipped`]), from which retention knows what it
//! may delete. What fails is tried again in the next round, later each time; nothing is ever deleted here.
//!
//! The manifest there is the only memory: whoever starts anew, or on another disk, sends nothing twice.

pub mod folder;
pub mod pace;
pub mod shipped;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bus::Publisher;
use event::HealthShipped;

use crate::archive::amount::{Age, Size};
use crate::target::{Place, Target, TargetError};
use folder::{Folder, Outcome};
use pace::Pace;

/// What to send where.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Copy finished segments and rotated debug logs there: a directory, or `s3://bucket/prefix`
    ///
    /// Every file is read back and compared, so a byte that goes out comes in once. The archive's limits then delete only what is there.
    #[arg(long, value_name = "PLACE")]
    pub ship_to: Option<Place>,

    /// Directories of segments, or of rotated debug logs (`debug.log.1`, `debug.log-20260501.gz`), besides the archive
    #[arg(long, value_delimiter = ',', value_name = "DIR")]
    pub ship_from: Vec<PathBuf>,

    /// What this machine is called there: a folder [default: its host name]
    #[arg(long, value_name = "NAME")]
    pub ship_name: Option<String>,

    /// Look for new files this often
    ///
    /// A file is sent when it has not changed for as long, or for a minute if that is shorter: a segment that was just ended is packed once
    /// more, and what is sent before is sent twice.
    #[arg(long, default_value = "1m", value_name = "TIME")]
    pub ship_every: Age,

    /// Send no more bytes a second than this
    #[arg(long, value_name = "SIZE")]
    pub ship_rate: Option<Size>,

    // how to reach it, where it is a store
    #[cfg(feature = "s3")]
    #[command(flatten)]
    #[expect(missing_docs, reason = "a comment would become the text of the command")]
    pub s3: crate::target::s3::Options,
}

impl Config {
    /// What this machine is called there.
    pub fn name(&self) -> String {
        let name = self.ship_name.clone().unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned());
        folder::in_path(&name)
    }
}

/// Sends files, round by round.
pub struct Shipper {
    target: Target,
    place: String,
    folders: Vec<Folder>,
    pace: Pace,
    total: HealthShipped,
}

/// What a round did.
#[derive(Debug, Default)]
pub struct Round {
    /// Files that were sent, and arrived.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What went wrong; the rest was sent.
    pub errors: Vec<ShipError>,
}

/// Why a file was not sent.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// It cannot be read here, or not be written or read back there.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Another machine sends to the same folder.
    #[error("{folder} in {place} belongs to another machine or directory")]
    Taken {
        /// Which.
        folder: String,
        /// Where.
        place: String,
    },
    /// The list there cannot be read.
    #[error("{folder}/manifest.json in {place} cannot be read: {what}")]
    Manifest {
        /// Of which folder.
        folder: String,
        /// Where.
        place: String,
        /// Why.
        what: String,
    },
    /// It changed meanwhile.
    #[error("{} changed while it was sent", path.display())]
    Changed {
        /// Which.
        path: PathBuf,
    },
}

impl ShipError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Target(error) => error.hint(),
            Self::Taken { .. } => "give this machine a name of its own with `--ship-name`",
            Self::Manifest { .. } => "it was made by another program or a later release; `--ship-name` begins a folder of its own",
            Self::Changed { .. } => "it is sent again",
        }
    }
}

impl Shipper {
    /// Sends what is in these directories to a place.
    pub fn new(target: Target, place: &Place, name: &str, from: &[PathBuf], rate: Option<Size>) -> Self {
        let folders = from.iter().map(|path| Folder::new(path, name)).collect();
        Self { target, place: place.to_string(), folders, pace: Pace::new(rate), total: HealthShipped::default() }
    }

    /// Sends what is new. A file that was written to within `settled` is left for later.
    pub fn round(&mut self, settled: Duration, stop: &AtomicBool) -> Round {
        let mut round = Round::default();
        let (mut waiting, mut waiting_bytes) = (0, 0);
        for folder in &mut self.folders {
            let files = match folder.new_files(&self.target, &self.place, settled) {
                Ok(files) => files,
                Err(error) => {
                    round.errors.push(error);
                    continue;
                }
            };
            for file in files {
                let sent = if stop.load(Ordering::Relaxed) {
                    Ok(Outcome::Waits)
                } else {
                    folder.ship(&file, &self.target, &mut self.pace, stop)
                };
                match sent {
                    Ok(Outcome::Known) => {}
                    Ok(Outcome::Arrived) => {
                        round.files += 1;
                        round.bytes += file.bytes;
                    }
                    Ok(Outcome::Waits) => {
                        waiting += 1;
                        waiting_bytes += file.bytes;
                    }
                    Err(error) => {
                        waiting += 1;
                        waiting_bytes += file.bytes;
                        round.errors.push(error);
                    }
                }
            }
        }
        self.total.files += round.files;
        self.total.bytes += round.bytes;
        self.total.failures += round.errors.len() as u64;
        (self.total.waiting, self.total.waiting_bytes) = (waiting, waiting_bytes);
        self.total.error = round.errors.first().map(ToString::to_string);
        if round.errors.is_empty() && waiting == 0 {
            self.total.last_success = Some(now() / 1_000_000_000);
        }
        round
    }

    /// What was done since the program started.
    pub fn total(&self) -> HealthShipped {
        self.total.clone()
    }
}

/// A segment that was just ended is packed once more: what is sent before is sent twice. Whoever looks more often wants it sooner.
const SETTLED: Duration = Duration::from_secs(60);
/// The longest pause after failures.
const PATIENCE: Duration = Duration::from_secs(600);

/// What was not shipped when shipping ended. Needs no place any more: it looks here, and knows what had arrived.
pub struct Remaining(Vec<Folder>);

impl Remaining {
    /// Files that are finished and wait, and their bytes. Directories that cannot be read count for nothing.
    pub fn count(&self) -> (u64, u64) {
        let files = self.0.iter().flat_map(|folder| folder.waiting(Duration::ZERO).unwrap_or_default());
        files.fold((0, 0), |(files, bytes), file| (files + 1, bytes + file.bytes))
    }
}

/// Ships until it is told to stop, and says what it did as `health.shipped`, on behalf of each node. What is not sent by then remains.
///
/// # Errors
///
/// Work that ends in a panic.
pub async fn run(
    mut shipper: Shipper,
    every: Duration,
    publishers: Vec<Publisher>,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Remaining> {
    let stopped = Arc::new(AtomicBool::new(false));
    let mut stop = std::pin::pin!(stop);
    let mut failed = 0;
    let mut told: Option<String> = None;
    let settled = SETTLED.min(every);
    loop {
        let told_to_stop = Arc::clone(&stopped);
        let mut work = tokio::task::spawn_blocking(move || {
            let round = shipper.round(settled, &told_to_stop);
            (shipper, round)
        });
        let (again, round) = tokio::select! {
            done = &mut work => done?,
            () = &mut stop => {
                // a file that is under way is given up within a piece of it
                stopped.store(true, Ordering::Relaxed);
                let (shipper, _) = work.await?;
                return leave(shipper, &publishers).await;
            }
        };
        shipper = again;
        state(&publishers, &shipper.total);
        // a change of state only
        let error = round.errors.first().map(ToString::to_string);
        match &error {
            Some(error) if told.as_ref() != Some(error) => tracing::warn!(%error, "failed to ship; it is tried again"),
            None if told.is_some() => tracing::info!("shipping works again"),
            _ => {}
        }
        failed = if error.is_some() { failed + 1 } else { 0 };
        told = error;
        tokio::select! {
            () = tokio::time::sleep(pause(every, failed)) => {}
            () = &mut stop => return leave(shipper, &publishers).await,
        }
    }
}

/// Says a last time what was done and what waits.
async fn leave(shipper: Shipper, publishers: &[Publisher]) -> anyhow::Result<Remaining> {
    let Shipper { target, folders, mut total, .. } = shipper;
    // a store has a runtime of its own, which may not end within this one
    let left = tokio::task::spawn_blocking(move || {
        drop(target);
        let remaining = Remaining(folders);
        let waiting = remaining.count();
        (remaining, waiting)
    });
    let (remaining, waiting) = left.await?;
    (total.waiting, total.waiting_bytes) = waiting;
    state(publishers, &total);
    Ok(remaining)
}

fn state(publishers: &[Publisher], total: &HealthShipped) {
    for publisher in publishers {
        publisher.publish(now(), None, total.clone());
        publisher.beat(now(), None, 0, None, None);
    }
}

/// How long to wait for the next round: twice as long after each one that failed.
fn pause(every: Duration, failed: u32) -> Duration {
    every.saturating_mul(1 << failed.min(16)).min(PATIENCE.max(every))
}

/// Nanoseconds since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_growing() {
        let minute = Duration::from_secs(60);
        assert_eq!([0, 1, 2, 3, 4, 99].map(|failed| pause(minute, failed).as_secs()), [60, 120, 240, 480, 600, 600]);
        assert_eq!(pause(Duration::from_secs(3600), 5).as_secs(), 3600, "never more often than asked for");
    }
}
