//! Which process is the node now.
//!
//! Extractors that look at the process do not look for it: they are given a [`watch::Receiver`] of its life. The side that finds it
//! is [`follow`].

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// How soon a node that ended or started is noticed.
const LOOK: Duration = Duration::from_millis(500);

/// One life of the node: one process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Life {
    /// Its process id.
    pub pid: u32,
    /// When it was started, Unix seconds.
    pub node_run: u64,
    /// Its data directory, where it is known.
    pub datadir: Option<PathBuf>,
}

/// Tells `lives` which process the node is, until nobody listens. `find` is asked while there is none; it may be slow.
///
/// That it still lives is seen from its start in `/proc`, which costs a small file each time: looking for it among all processes
/// would cost a hundred.
pub async fn follow(mut find: impl FnMut() -> Option<Life>, lives: watch::Sender<Option<Life>>) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // whoever made the channel may have found it already
    let mut started = lives.borrow().as_ref().and_then(|life| crate::proc::started(life.pid));
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = lives.closed() => return,
        }
        let life = lives.borrow().clone();
        if let Some(life) = life {
            let now = crate::proc::started(life.pid);
            if now.is_some() && started == now {
                continue;
            }
            lives.send_replace(None);
        }
        if let Some(life) = find() {
            started = crate::proc::started(life.pid);
            if started.is_some() {
                lives.send_replace(Some(life));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    fn life(pid: u32) -> Life {
        Life { pid, node_run: 1, datadir: None }
    }

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_life_that_was_given_stays() {
        let (lives, mut seen) = watch::channel(Some(life(std::process::id())));
        let following = tokio::spawn(follow(|| panic!("it is known"), lives));
        assert!(tokio::time::timeout(LOOK * 10, seen.changed()).await.is_err(), "{:?}", seen.borrow());
        assert!(!following.is_finished());
        drop(seen);
        following.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_life_that_ends_is_followed_by_the_next() {
        let (mut first, mut second) = (sleeper(), sleeper());
        let pids = [first.id(), second.id()];
        let (lives, mut seen) = watch::channel(Some(life(pids[0])));
        let following = tokio::spawn(follow(move || Some(life(pids[1])), lives));
        assert!(tokio::time::timeout(LOOK * 10, seen.changed()).await.is_err(), "{:?}", seen.borrow());
        first.kill().unwrap();
        first.wait().unwrap();
        seen.wait_for(|life| life.as_ref().is_some_and(|life| life.pid == pids[1])).await.unwrap();
        drop(seen);
        following.await.unwrap();
        second.kill().unwrap();
        second.wait().unwrap();
    }
}
