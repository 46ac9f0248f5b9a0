//! Signals, and what the service manager wants to know.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{Code, Failure};

/// SIGINT and SIGTERM, which mean the same: end in order. A second one ends at once.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes the signals over from their default, which is to die.
    ///
    /// # Errors
    ///
    /// The system does not let us.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Does something that may take long; `None` when a signal came before it was done.
    ///
    /// # Errors
    ///
    /// What it fails with.
    pub async fn unless_received<T, E>(&mut self, work: impl Future<Output = Result<T, E>>) -> Result<Option<T>, E> {
        tokio::select! {
            done = work => done.map(Some),
            () = self.received() => Ok(None),
        }
    }

    /// Does what belongs to the end, unless another signal comes: whoever sent it does not want to wait.
    ///
    /// # Errors
    ///
    /// What the end fails with, or that it was cut short.
    pub async fn end(&mut self, end: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
        tokio::select! {
            ended = end => ended,
            () = self.received() => Err(cut_short()),
        }
    }

    /// Waits for one of them.
    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Another signal came, and the end was not waited for.
pub fn cut_short() -> Failure {
    Failure::new(Code::Ended, anyhow::anyhow!("ended by a second signal before everything was written"))
}

/// Tells the service manager (if there is one) that everything runs.
pub fn ready() {
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}

/// Tells the service manager that the end has begun.
pub fn stopping() {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}

/// How often the service manager wants a sign of life; `None` when it wants none.
pub fn watchdog() -> Option<Duration> {
    // at half the time allowed, as sd_watchdog_enabled(3) recommends
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

/// A sign of life.
pub fn alive() {
    let _ = sd_notify::notify(&[NotifyState::Watchdog]);
}
