//! Waiting for a file to change, at no cost for who writes it: a watch fires once and is gone until the file has been quiet again.

use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

/// Wakes when one of some files changes.
#[derive(Debug)]
pub struct Wake {
    /// None where the system has none to give; then only time wakes.
    inotify: Option<OwnedFd>,
}

impl Wake {
    /// Watches nothing yet.
    pub fn new() -> Self {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        if let Err(error) = &inotify {
            tracing::debug!(%error, "no notice of changes from the system: the log is looked at in short intervals");
        }
        Self { inotify: inotify.ok() }
    }

    /// Begins to watch a file that is open: it is written to, renamed, deleted. Whether that works: who may not open it any more may not
    /// watch it, either.
    pub fn watch(&self, file: &File) -> bool {
        let what = WatchFlags::MODIFY | WatchFlags::MOVE_SELF | WatchFlags::ATTRIB;
        self.add(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())), what)
    }

    /// Begins to watch a folder: something gets a name in it.
    pub fn watch_folder(&self, folder: &Path) -> bool {
        self.add(folder, WatchFlags::CREATE | WatchFlags::MOVED_TO)
    }

    fn add(&self, path: &Path, what: WatchFlags) -> bool {
        self.inotify.as_ref().is_some_and(|inotify| inotify::add_watch(inotify, path, what | WatchFlags::ONESHOT).is_ok())
    }

    /// Waits for any of them, but not longer than this.
    pub fn wait(&self, limit: Duration) {
        let Some(inotify) = &self.inotify else { return std::thread::sleep(limit) };
        let limit = Timespec::try_from(limit).ok();
        let _ = poll(&mut [PollFd::new(inotify, PollFlags::IN)], limit.as_ref());
        // what happened does not matter, only that something did
        let mut events = [0; 4096];
        while rustix::io::read(inotify, &mut events).is_ok_and(|length| length > 0) {}
    }
}
