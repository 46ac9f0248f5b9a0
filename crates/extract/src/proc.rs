//! What the operating system says of the node: CPU by thread, memory, files, and the disk under its data directory.
//!
//! Everything comes from `/proc/<pid>`; some of it only the node's user or root may read, and is absent for others.

mod parse;
mod sampler;
mod threads;

use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use bus::Publisher;
use event::{HealthAttached, HealthDetached, StateDisk, StateProcess};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::now;
use crate::life::Life;
use sampler::Sampler;

pub use sampler::{disk, started};

/// Which of the files of a process that are read here may be, and which may not.
pub fn readable(pid: u32) -> (Vec<String>, Vec<String>) {
    Sampler::new(pid).readable()
}

/// How often to look.
#[derive(Clone, PartialEq, Eq, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// How often to look at the node's process
    ///
    /// A look reads three small files for each of the node's threads: about a millisecond of CPU.
    #[arg(long, default_value = "5s", value_parser = crate::interval::parse, value_name = "TIME")]
    pub proc_interval: Duration,
}

const BEAT: Duration = Duration::from_secs(1);
/// Disks fill slowly.
const DISK: Duration = Duration::from_secs(60);

/// Publishes what the node's process uses, life after life, until told to stop.
///
/// A node that does not run is waited for; what may not be read is left out.
pub async fn run(config: Config, mut node: watch::Receiver<Option<Life>>, out: Publisher, stop: impl Future<Output = ()>) {
    let mut stop = pin!(stop);
    let now_living = node.clone();
    let node_run = || now_living.borrow().as_ref().map(|life| life.node_run);
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut look = interval(config.proc_interval);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watched: Option<Watched> = None;
    // at most one look is under way; a disk that hangs holds up neither the beat nor the end
    let mut under_way: Option<UnderWay> = None;
    let mut findable = true;
    let mut lag = 0;
    loop {
        let idle = under_way.is_none();
        tokio::select! {
            () = &mut stop => break,
            _ = beat.tick() => out.beat(now(), node_run(), std::mem::take(&mut lag), None, None),
            changed = node.wait_for(|life| life.as_ref() != watched.as_ref().map(|w| &w.life)), if findable && idle => {
                let Ok(next) = changed.map(|life| life.clone()) else {
                    findable = false;
                    continue;
                };
                if let Some(mut ended) = std::mem::replace(&mut watched, next.map(Watched::new)) {
                    ended.leave(&out);
                }
                look.reset_immediately();
            }
            _ = look.tick(), if idle && watched.as_ref().is_some_and(|w| !w.gone) => {
                under_way = watched.take().map(|mut watched| tokio::task::spawn_blocking(move || {
                    let look = watched.look();
                    (watched, look)
                }));
            }
            Some(result) = done(&mut under_way) => {
                under_way = None;
                if let Ok((mut seen_by, look)) = result {
                    lag = now().saturating_sub(look.time);
                    seen_by.tell(look, &out);
                    watched = Some(seen_by);
                }
            }
        }
    }
    out.beat(now(), node_run(), lag, None, None);
}

type UnderWay = JoinHandle<(Watched, Look)>;

/// The end of the look that is under way; nothing if there is none.
async fn done(under_way: &mut Option<UnderWay>) -> Option<Result<(Watched, Look), tokio::task::JoinError>> {
    Some(under_way.as_mut()?.await)
}

/// A life that is watched.
struct Watched {
    life: Life,
    sampler: Sampler,
    attached: bool,
    /// The process has ended; what follows is another life.
    gone: bool,
    disk_seen: Option<Instant>,
}

/// What was seen at one time.
struct Look {
    time: u64,
    process: Option<StateProcess>,
    disk: Option<io::Result<StateDisk>>,
    /// Of the files, at the first look.
    readable: Option<(Vec<String>, Vec<String>)>,
}

impl Watched {
    fn new(life: Life) -> Self {
        Self { sampler: Sampler::new(life.pid), life, attached: false, gone: false, disk_seen: None }
    }

    /// Blocks: reads files.
    fn look(&mut self) -> Look {
        let time = now();
        let process = self.sampler.sample();
        let readable = (process.is_some() && !self.attached).then(|| self.sampler.readable());
        let due = process.is_some() && self.disk_seen.is_none_or(|seen| seen.elapsed() >= DISK);
        let disk = self.life.datadir.as_deref().filter(|_| due).map(|folder| {
            self.disk_seen = Some(Instant::now());
            sampler::disk(folder)
        });
        Look { time, process, disk, readable }
    }

    fn tell(&mut self, look: Look, out: &Publisher) {
        let node_run = Some(self.life.node_run);
        let Some(process) = look.process else { return self.leave(out) };
        if let Some((attached, missing)) = look.readable {
            self.attached = true;
            if !missing.is_empty() {
                tracing::info!(
                    pid = self.life.pid,
                    missing = missing.join(", "),
                    "this process may not look into the node's: some values stay absent"
                );
            }
            let pid = Some(self.life.pid);
            out.publish(
                look.time,
                node_run,
                HealthAttached { pid, target: self.target(), attached, missing, unlisted: Vec::new() },
            );
        }
        out.publish(look.time, node_run, process);
        match look.disk {
            Some(Ok(disk)) => out.publish(look.time, node_run, disk),
            Some(Err(error)) => tracing::debug!(%error, "failed to look at the disk of the data directory"),
            None => {}
        }
    }

    fn leave(&mut self, out: &Publisher) {
        if self.attached && !self.gone {
            let (pid, target) = (Some(self.life.pid), self.target());
            let reason = "the process has ended".to_owned();
            out.publish(now(), Some(self.life.node_run), HealthDetached { pid, target, reason });
        }
        self.gone = true;
    }

    fn target(&self) -> String {
        format!("/proc/{}", self.life.pid)
    }
}
