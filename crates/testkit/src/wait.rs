//! Waiting for what a test caused, without guessing how long it takes.

use std::fmt::Display;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

/// Long enough for anything a loaded machine does; only a failing test waits so long.
pub const LONG: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(10);

/// Asks `check` again and again until it gives a value; fails, naming `what`, when it has not after `limit`.
pub fn until<T>(what: impl Display, limit: Duration, mut check: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = check()? {
            return Ok(value);
        }
        if start.elapsed() > limit {
            bail!("waited {} s for {what}", limit.as_secs());
        }
        thread::sleep(POLL);
    }
}
