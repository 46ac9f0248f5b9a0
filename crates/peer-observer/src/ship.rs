//! `archive ship`, and shipping as a part of `run`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use event::{NodeName, Source};
use tokio::sync::oneshot;
use tools::archive::amount::Size;
use tools::ship::{self, Config, Remaining, Round, ShipError, Shipper};
use tools::target::Target;

use crate::cli;
use crate::exit::{Code, Failure};
use crate::parts::Parts;
use crate::service::Signals;
use crate::wiring::block_on;

/// How often `archive ship` begins anew before it gives up.
const ATTEMPTS: u32 = 3;

/// What `run` sends.
pub struct Asked {
    config: Config,
    from: Vec<PathBuf>,
}

/// What `run` was asked to send: the archive, and what else was named.
///
/// # Errors
///
/// There is no place, or nothing to send.
pub fn asked(config: Config, archive: Option<PathBuf>, section: bool) -> Result<Option<Asked>, Failure> {
    if config.ship_to.is_none() && !section {
        return Ok(None);
    }
    let mut from = config.ship_from.clone();
    from.extend(archive);
    if config.ship_to.is_none() {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!("shipping needs a place to send files to"))
            .hint("give `--ship-to PLACE`, or `to` in the section `[ship]`"));
    }
    if from.is_empty() {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!("there is nothing to ship"))
            .hint("give `--archive DIR`, or directories with `--ship-from`"));
    }
    Ok(Some(Asked { config, from }))
}

/// Sending, and what remains of it at the end.
pub struct Shipping(oneshot::Receiver<Remaining>);

/// Starts to send, as a part that ends before the bus does.
///
/// # Errors
///
/// The place cannot be used.
pub fn start<'a>(asked: Asked, nodes: impl Iterator<Item = &'a NodeName>, parts: &mut Parts) -> Result<Shipping, Failure> {
    let shipper = shipper(&asked.config, &asked.from)?;
    let publishers = nodes.map(|name| parts.publisher(name, Source::Tool)).collect();
    let (hand_over, remaining) = oneshot::channel();
    let work = ship::run(shipper, asked.config.ship_every.0, publishers, parts.stopped());
    parts.task("shipping", async move {
        // nobody wants to know any more only where the end was cut short
        let _ = hand_over.send(work.await?);
        Ok(())
    });
    Ok(Shipping(remaining))
}

impl Shipping {
    /// Says what was not sent, once nobody writes to what is sent any more: to send it then could take long.
    pub async fn say_what_remains(self) {
        let Ok(remaining) = self.0.await else { return };
        match remaining.count() {
            (0, _) => tracing::info!("everything was shipped"),
            (files, bytes) => {
                tracing::info!(files, bytes = %Size(bytes), "not shipped yet: it is after the next start, or by `archive ship`");
            }
        }
    }
}

fn shipper(config: &Config, from: &[PathBuf]) -> Result<Shipper, Failure> {
    let Some(place) = &config.ship_to else {
        return Err(Failure::new(Code::Usage, anyhow::anyhow!("shipping needs a place to send files to"))
            .hint("give `--ship-to PLACE`: a directory, or `s3://bucket/prefix`"));
    };
    #[cfg(feature = "s3")]
    let target = crate::export::open(place, &config.s3);
    #[cfg(not(feature = "s3"))]
    let target = crate::export::open(place);
    let target: Target = target.map_err(|error| failed(error.into()))?;
    Ok(Shipper::new(target, place, &config.name(), from, config.ship_rate))
}

/// `peer-observer archive ship`
///
/// # Errors
///
/// A file did not arrive; the others did.
pub fn run(options: cli::ArchiveShip) -> Result<ExitCode, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let (total, errors) = block_on(async move {
        let mut signals = Signals::new()?;
        // a store has a runtime of its own, which may not end within this one
        let mut work = tokio::task::spawn_blocking(move || {
            let mut shipper = shipper(&options.ship, &options.directories)?;
            let round = attempts(|| shipper.round(Duration::ZERO, &stop), &stop);
            Ok::<_, Failure>((shipper.total(), round.errors))
        });
        loop {
            tokio::select! {
                done = &mut work => return done.map_err(anyhow::Error::new)?,
                () = signals.received() => told.store(true, Ordering::Relaxed),
            }
        }
    })?;
    eprintln!("{} files, {}; {} wait", total.files, Size(total.bytes), total.waiting);
    let all = errors.len();
    match errors.into_iter().next() {
        None => Ok(ExitCode::SUCCESS),
        Some(error) if all == 1 => Err(failed(error)),
        Some(error) => {
            let hint = error.hint();
            Err(Failure::new(code(&error), anyhow::Error::new(error).context(format!("{all} files were not shipped"))).hint(hint))
        }
    }
}

/// Again where something failed, after a pause.
fn attempts(mut round: impl FnMut() -> Round, stop: &AtomicBool) -> Round {
    let mut last = round();
    for attempt in 1..ATTEMPTS {
        if last.errors.is_empty() || stop.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep(Duration::from_secs(1 << attempt));
        last = round();
    }
    last
}

fn code(error: &ShipError) -> Code {
    match error {
        ShipError::Target(error) => crate::export::code(error),
        ShipError::Taken { .. } => Code::Usage,
        _ => Code::Failure,
    }
}

fn failed(error: ShipError) -> Failure {
    let hint = error.hint();
    Failure::new(code(&error), error).hint(hint)
}
