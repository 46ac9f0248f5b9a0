//! The program as a child process.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program, ready to get its arguments. No setting of the machine's reaches it.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-observer"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PEER_OBSERVER_")) {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs it to its end.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn output(args: &[&str]) -> Output {
    program().args(args).output().expect("the program starts")
}

/// Whether probes may be attached here; says visibly when a test is skipped because of that.
#[allow(dead_code, reason = "not every test file needs it")]
pub fn may_trace() -> bool {
    let may = ebpf::privileges::effective().can_trace();
    if !may {
        testkit::skipped("needs CAP_BPF and CAP_PERFMON");
    }
    may
}

/// A running program whose lines are read as they come.
pub struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

#[allow(dead_code, reason = "not every test file needs all of it")]
impl Running {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let stdout = lines(child.stdout.take().expect("piped"));
        let stderr = lines(child.stderr.take().expect("piped"));
        Self { child, stdout, stderr }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line on standard output that fits, and those before it.
    pub fn wait_for(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> Vec<String> {
        self.wait_within(what, PATIENCE, fits)
    }

    /// As [`Running::wait_for`], where it has so long.
    pub fn wait_within(&mut self, what: &str, limit: Duration, fits: impl Fn(&str) -> bool) -> Vec<String> {
        let deadline = Instant::now() + limit;
        let mut seen = Vec::new();
        loop {
            match self.stdout.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let last = fits(&line);
                    seen.push(line);
                    if last {
                        return seen;
                    }
                }
                Err(_) => {
                    let said: Vec<String> = self.stderr.try_iter().collect();
                    panic!(
                        "{what} did not come; last lines {:#?}, standard error {said:#?}",
                        &seen[seen.len().saturating_sub(5)..]
                    );
                }
            }
        }
    }

    /// Lines on standard output from now on, for somebody else who reads them.
    pub fn take_stdout(&mut self) -> Receiver<String> {
        std::mem::replace(&mut self.stdout, channel().1)
    }

    /// The next line on standard error that fits.
    pub fn wait_for_error(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.stderr.recv_timeout(left).unwrap_or_else(|_| panic!("{what} did not come"));
            if fits(&line) {
                return line;
            }
        }
    }

    /// Sends a signal, and gives the rest of what it prints and how it ended.
    pub fn end(mut self, signal: rustix::process::Signal) -> (Vec<String>, Vec<String>, ExitStatus) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("it runs");
        let out = self.stdout.iter().collect();
        let err = self.stderr.iter().collect();
        let status = self.child.wait().expect("it ends");
        (out, err, status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    receive
}
