//! Which process is the node now.
//!
//! Extractors that look at the process do not look for it: they are given a [`watch::Receiver`] of its life. The side that finds it
//! is [`follow`].

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

/// How soon it is noticed that a node has ended.
const LOOK: Duration = Duration::from_millis(500);
/// The longest pause between two searches for a node that is away. Long enough for a hundred of them at little cost; short enough that
/// a restart is noticed within two seconds.
const SEARCH: Duration = Duration::from_millis(1500);

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

/// Whether a process lives. Costs a small file.
pub fn is_there(pid: u32) -> bool {
    crate::proc::started(pid).is_some()
}

/// Tells `lives` which process the node is, until nobody listens. `find` is asked while there is none, on a thread where it may be slow;
/// less often the longer there is none.
///
/// That it still lives is seen from its start in `/proc`, which costs a small file each time: looking for it among all processes
/// costs a hundred.
pub async fn follow(find: impl FnMut() -> Option<Life> + Send + 'static, lives: watch::Sender<Option<Life>>) {
    let mut find = find;
    // whoever made the channel may have found it already
    let mut started = lives.borrow().as_ref().and_then(|life| crate::proc::started(life.pid));
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = sleep(pause) => {}
            () = lives.closed() => return,
        }
        let life = lives.borrow().clone();
        if let Some(life) = life {
            let now = crate::proc::started(life.pid);
            if now.is_some() && started == now {
                pause = LOOK;
                continue;
            }
            lives.send_replace(None);
            pause = LOOK;
        }
        let searched = tokio::task::spawn_blocking(move || {
            let found = find();
            (find, found)
        });
        let (again, found) = searched.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
        find = again;
        // once more a tenth
        pause = (pause.max(LOOK) * 11 / 10).min(SEARCH);
        if let Some(life) = found {
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

    /// Whatever else the program does goes on meanwhile: here there is one thread for all of it.
    #[tokio::test]
    async fn a_search_holds_nobody_up() {
        let (released, wait) = std::sync::mpsc::channel();
        let (lives, mut seen) = watch::channel(None);
        let search = move || wait.recv_timeout(Duration::from_secs(10)).ok().map(|()| life(std::process::id()));
        let following = tokio::spawn(follow(search, lives));
        // once the search is under way, only this task can end it
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        released.send(()).unwrap();
        let found = tokio::time::timeout(Duration::from_secs(9), seen.changed()).await;
        assert!(found.is_ok_and(|changed| changed.is_ok()) && seen.borrow().is_some(), "the search was not answered");
        drop(seen);
        following.await.unwrap();
    }

    /// Often at first, and never so rarely that a restart is noticed late.
    #[tokio::test(start_paused = true)]
    async fn who_stays_away_is_looked_for_less_often() {
        let begin = tokio::time::Instant::now();
        let times = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let (noted, (lives, seen)) = (times.clone(), watch::channel(None));
        let (clock, mut ticks) = tokio::sync::mpsc::unbounded_channel();
        let search = move || {
            clock.send(()).unwrap();
            None
        };
        let following = tokio::spawn(follow(search, lives));
        while begin.elapsed() < Duration::from_secs(60) {
            ticks.recv().await.unwrap();
            noted.lock().unwrap().push(begin.elapsed());
        }
        let times = times.lock().unwrap().clone();
        assert!(times.iter().filter(|at| **at < Duration::from_secs(2)).count() >= 3, "{times:?}");
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= Duration::from_secs(2)), "{times:?}");
        assert!(times.len() < 60, "{times:?}");
        drop(seen);
        following.await.unwrap();
    }
}
