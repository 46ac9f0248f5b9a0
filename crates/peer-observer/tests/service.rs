//! What the service manager is told, over a socket as systemd gives it (sd_notify(3)).

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use program::{Running, program};
use rustix::process::Signal;

mod program;

/// A process that stands for a node: it lives.
struct Stand(Child);

impl Stand {
    fn new() -> Self {
        Self(Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_service_manager_learns_of_start_life_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let config = folder.path().join("config.toml");
    std::fs::write(&config, "[proc]\n").unwrap();
    let stand = Stand::new();

    let mut command = program();
    command.args(["run", "--quiet", "--pid", &stand.0.id().to_string(), "--config"]).arg(&config);
    // a sign of life is due at half of this; sources state something every second
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "3000000").env_remove("WATCHDOG_PID");
    let running = Running::start(&mut command);
    let mut buffer = [0; 256];
    let mut next = || {
        let length = manager.recv(&mut buffer).expect("the program says something in time");
        String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned()
    };
    assert_eq!(next(), "READY=1");
    assert_eq!([next(), next()], ["WATCHDOG=1", "WATCHDOG=1"]);

    let (_, said, status) = running.end(Signal::TERM);
    assert!(status.success(), "{status}: {said:#?}");
    let last = std::iter::repeat_with(next).find(|message| message != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
}
