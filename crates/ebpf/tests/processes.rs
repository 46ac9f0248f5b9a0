//! Both processes, as examples/watch.rs starts them, beside a stand-in for a node (examples/node.rs).

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use ebpf::privileges::{self, Capability, Set};
use tempfile::TempDir;

/// Waiting longer than this is failing.
const PATIENCE: Duration = testkit::wait::LONG;

/// Says why there is no test, where there is none.
fn able() -> bool {
    if privileges::effective().can_trace() {
        return true;
    }
    testkit::skipped("needs CAP_BPF and CAP_PERFMON");
    false
}

/// An example of this crate; cargo builds them before tests, unless told to build one test only.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(path.exists(), "build it first: cargo build -p po-ebpf --examples");
    path
}

/// A data directory and the program that uses it.
struct Site {
    directory: TempDir,
    program: PathBuf,
    uid: Option<u32>,
}

impl Site {
    fn new(uid: Option<u32>) -> Self {
        let directory = TempDir::new().unwrap();
        let program = directory.path().join("bitcoind");
        std::fs::copy(example("node"), &program).unwrap();
        let datadir = directory.path().join("datadir");
        std::fs::create_dir(&datadir).unwrap();
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(&datadir, Permissions::from_mode(0o700)).unwrap();
        chown(&datadir, uid, uid).unwrap();
        Self { directory, program, uid }
    }

    fn datadir(&self) -> PathBuf {
        self.directory.path().join("datadir")
    }

    fn start(&self) -> Running {
        let mut command = Command::new(&self.program);
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        }
        command.arg(self.datadir()).stdin(Stdio::piped());
        let mut child = loop {
            match command.spawn() {
                // another test's child was forked while we copied the program, and has not come to its own `exec` yet
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => thread::sleep(Duration::from_millis(2)),
                child => break child.unwrap(),
            }
        };
        let input = child.stdin.take();
        let running = Running { child, input };
        let deadline = Instant::now() + PATIENCE;
        let pid = format!("{}\n", running.pid());
        while std::fs::read_to_string(self.datadir().join("bitcoind.pid")).ok().as_ref() != Some(&pid) {
            assert!(Instant::now() < deadline, "the node writes its pid file");
            thread::sleep(Duration::from_millis(2));
        }
        running
    }
}

/// A process that ends with the test.
struct Running {
    child: Child,
    input: Option<ChildStdin>,
}

impl Running {
    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As a node does when asked to stop.
    fn stop(mut self) {
        self.input = None;
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// examples/watch.rs, and what it prints.
struct Watch {
    running: Running,
    lines: Receiver<String>,
}

impl Watch {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(example("watch"));
        let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let (sender, lines) = channel();
        let both: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in both {
            let sender = sender.clone();
            thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        }
        Self { running: Running { child, input: None }, lines }
    }

    fn datadir(site: &Site) -> Self {
        Self::start(&["datadir", site.datadir().to_str().unwrap()])
    }

    /// The next line that has all these in it.
    #[track_caller]
    fn wait_for(&self, parts: &[&str]) {
        self.until(parts);
    }

    /// The lines before the next one that has all these in it.
    #[track_caller]
    fn until(&self, parts: &[&str]) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if parts.iter().all(|part| line.contains(part)) => return others,
                Ok(line) => others.push(line),
                Err(error) => panic!("{parts:?}: {error}; there was only {others:#?}"),
            }
        }
    }

    fn tracer(&self) -> u32 {
        let pid = self.running.pid();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.trim().parse().unwrap()
    }

    /// Everything it prints, and whether it succeeded.
    fn outcome(mut self) -> (Vec<String>, bool) {
        let success = self.running.child.wait().unwrap().success();
        (self.lines.iter().collect(), success)
    }
}

fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn who_reads_what_peers_sent_has_no_capability() {
    if !able() {
        return;
    }
    let site = Site::new(None);
    let _node = site.start();
    let watch = Watch::datadir(&site);
    watch.wait_for(&["NetPing", "203.0.113.7:8333"]);
    for set in [Set::effective_of, Set::permitted_of] {
        assert_eq!(set(watch.running.pid()), Some(Set::default()));
        let tracer = set(watch.tracer()).unwrap();
        assert!(tracer.can_trace());
        assert!(tracer.iter().all(|capability| privileges::TRACER.contains(&capability)), "{tracer:?}");
    }
}

/// What a terminal sends to everybody is for the observer; what its environment holds is not for the tracer.
#[test]
fn the_tracer_is_apart() {
    if !able() {
        return;
    }
    let site = Site::new(None);
    let _node = site.start();
    let watch = Watch::datadir(&site);
    watch.wait_for(&["Attached"]);
    let tracer = watch.tracer();
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{tracer}/{file}")).unwrap();
    let stat = read("stat");
    let group = stat.rsplit_once(") ").unwrap().1.split(' ').nth(2).unwrap();
    assert_eq!(group, tracer.to_string());
    assert_eq!(std::fs::read_link(format!("/proc/{tracer}/fd/1")).unwrap(), Path::new("/dev/null"));
    for variable in read("environ").split_terminator('\0') {
        let (name, _) = variable.split_once('=').unwrap();
        assert!(["PATH", "RUST_BACKTRACE"].contains(&name), "{variable}");
    }
}

/// What starts a node may become it: the process is the same, the program is another.
#[test]
fn what_cannot_be_watched_yet_is_tried_again() {
    if !able() {
        return;
    }
    let site = Site::new(None);
    let mut command = Command::new("sh");
    command.args(["-c", "read go; exec \"$0\" \"$1\""]).arg(&site.program).arg(site.datadir()).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let input = child.stdin.take();
    let mut starter = Running { child, input };
    let pid = starter.pid().to_string();
    let watch = Watch::start(&["wait", "pid", &pid]);
    watch.wait_for(&["Trouble", "has none of the tracepoints"]);
    starter.input.as_mut().unwrap().write_all(b"\n").unwrap();
    // said once, though tried more than once
    let others = watch.until(&["Attached", &format!("pid: {pid}")]);
    assert!(!others.iter().any(|line| line.contains("Trouble")), "{others:#?}");
    watch.wait_for(&["NetPing"]);
    starter.stop();
    watch.wait_for(&["Detached", &format!("pid: {pid}")]);
}

/// Files and processes of another user: `CAP_SYS_PTRACE` stays, and nothing else.
#[test]
fn another_users_node_is_followed() {
    if !able() {
        return;
    }
    if !privileges::effective().has(Capability::CAP_SETUID) {
        return testkit::skipped("needs CAP_SETUID");
    }
    let site = Site::new(Some(65_534));
    let node = site.start();
    let watch = Watch::datadir(&site);
    watch.wait_for(&["Attached", &format!("pid: {}", node.pid())]);
    watch.wait_for(&["NetPing"]);
    assert_eq!(Set::effective_of(watch.tracer()), Some(privileges::TRACER.into_iter().collect()));
    node.stop();
    let node = site.start();
    watch.wait_for(&["Attached", &format!("pid: {}", node.pid())]);
    watch.wait_for(&["NetPing"]);
}

#[test]
fn a_restarted_or_upgraded_node_is_followed() {
    if !able() {
        return;
    }
    let site = Site::new(None);
    let mut node = site.start();
    let watch = Watch::datadir(&site);
    watch.wait_for(&["Attached", &format!("pid: {}", node.pid())]);
    watch.wait_for(&["NetPing"]);
    for round in 0..3 {
        let old = node.pid();
        match round {
            0 => node.stop(),
            // a crash leaves the pid file
            _ => drop(node),
        }
        watch.wait_for(&["Detached", &format!("pid: {old}")]);
        if round == 1 {
            // a package manager puts another file in its place
            std::fs::remove_file(&site.program).unwrap();
            std::fs::copy(example("node"), &site.program).unwrap();
        }
        let started = Instant::now();
        node = site.start();
        watch.wait_for(&["Attached", &format!("pid: {}", node.pid())]);
        watch.wait_for(&["NetPing"]);
        let took = started.elapsed();
        println!("round {round}: watched again after {took:?}");
        // pauses that add up would be longer
        assert!(took < Duration::from_secs(10), "round {round}: {took:?}");
    }
}

#[test]
fn the_tracer_ends_with_its_parent() {
    if !able() {
        return;
    }
    let site = Site::new(None);
    let _node = site.start();
    let watch = Watch::datadir(&site);
    watch.wait_for(&["Attached"]);
    let tracer = watch.tracer();
    drop(watch);
    let deadline = Instant::now() + PATIENCE;
    // a zombie until the machine's first process looks after it
    while exists(tracer) && !std::fs::read_to_string(format!("/proc/{tracer}/stat")).unwrap_or_default().contains(") Z ") {
        assert!(Instant::now() < deadline, "the tracer still runs");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Error and hint; nothing else was printed, nothing was started.
#[track_caller]
fn fails(watch: Watch, error: &str, hint: &str) {
    let (lines, success) = watch.outcome();
    assert!(!success);
    let text = lines.join("\n");
    assert!(lines.len() == 2 && text.contains(error) && text.contains(hint), "{text}");
}

#[test]
fn what_cannot_be_watched_is_named() {
    if !able() {
        return;
    }
    let site = Site::new(None);
    fails(Watch::datadir(&site), "error: the node of data directory ", "hint: is the node running");
    fails(
        Watch::start(&["datadir", "/nonexistent"]),
        "error: there is no data directory /nonexistent",
        "hint: is it spelled right?",
    );
    fails(Watch::start(&["pid", "4194305"]), "error: process 4194305 does not run", "hint: is the node running");
    fails(Watch::start(&["pid-file", "/nonexistent"]), "error: /nonexistent is no pid file: No such file", "hint: bitcoind writes");
    let sleep = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
    let sleep = Running { child: sleep, input: None };
    let pid = sleep.pid().to_string();
    fails(Watch::start(&["pid", &pid]), "sleep (pid ", "hint: official Linux releases have them");
}

/// In a thread of its own, from which the processes inherit what is left.
#[test]
fn missing_capabilities_are_named() {
    let site = Site::new(None);
    let _node = site.start();
    thread::scope(|scope| {
        scope.spawn(|| {
            privileges::drop_all().unwrap();
            fails(
                Watch::datadir(&site),
                "error: attaching to a node takes CAP_BPF and CAP_PERFMON",
                "hint: run it as root, or once: sudo setcap",
            );
        });
    });
}
