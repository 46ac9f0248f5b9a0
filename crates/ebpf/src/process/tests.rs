//! A machine made of files, with processes and data directories.

use super::procfs::home;
use super::*;
use std::fs::{create_dir_all, write};
use std::os::unix::fs::symlink;
use tempfile::TempDir;

/// A machine with processes and data directories.
struct World {
    root: TempDir,
}

impl World {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        create_dir_all(root.path().join("proc")).unwrap();
        write(root.path().join("proc/stat"), "cpu 1 2 3\nbtime 1700000000\n").unwrap();
        Self { root }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn process(&self, pid: u32, parent: u32, command: &str) {
        let directory = self.path(&format!("proc/{pid}"));
        create_dir_all(directory.join("fd")).unwrap();
        let zeros = "0 ".repeat(17);
        write(directory.join("stat"), format!("{pid} (b-weird) name) S {parent} {zeros}{} 0", u64::from(pid) * 100)).unwrap();
        write(directory.join("cmdline"), command.replace(' ', "\0")).unwrap();
        let _ = symlink(format!("/usr/bin/{}", command.split(' ').next().unwrap()), directory.join("exe"));
    }

    /// A network directory whose lock `pid` holds, and a pid file with `named`.
    fn datadir(&self, path: &str, pid: Option<u32>, named: Option<u32>) {
        create_dir_all(self.path(path)).unwrap();
        let lock = self.path(path).join(".lock");
        write(&lock, "").unwrap();
        if let Some(pid) = pid {
            symlink(&lock, self.path(&format!("proc/{pid}/fd/7"))).unwrap();
        }
        if let Some(named) = named {
            write(self.path(path).join("bitcoind.pid"), format!("{named}\n")).unwrap();
        }
    }

    fn finder(&self, target: Target) -> Finder {
        let mut finder = Finder { target, proc: Procfs { root: self.path("proc") }, locks: BTreeSet::new(), previous: None };
        let _ = finder.look_at_locks();
        finder
    }

    /// The pid that is found, or the error without the temporary folder's name.
    fn find(&self, target: Target) -> String {
        match self.finder(target).find() {
            Ok(node) => node.pid.to_string(),
            Err(error) => error.to_string().replace(&format!("{}/", self.root.path().display()), ""),
        }
    }
}

#[test]
fn the_only_node_is_found_without_a_hint() {
    let world = World::new();
    assert_eq!(world.find(Target::Any), "a node on this machine does not run");
    world.process(10, 1, "bash");
    world.process(11, 1, "bitcoin-cli getinfo");
    world.process(12, 1, "bitcoind -regtest");
    assert_eq!(world.find(Target::Any), "12");
    let node = world.finder(Target::Any).find().unwrap();
    assert_eq!(node.node_run, 1_700_000_000 + 12 * 100 / rustix::param::clock_ticks_per_second());
}

#[test]
fn a_daemon_that_is_just_forking_is_one_node() {
    let world = World::new();
    world.process(12, 1, "bitcoind -daemon");
    world.process(13, 12, "bitcoind -daemon");
    assert_eq!(world.find(Target::Any), "13");
}

#[test]
fn several_nodes_are_listed() {
    let world = World::new();
    world.process(12, 1, "bitcoind -regtest");
    world.process(13, 1, "bitcoin-node -ipcbind=unix");
    let uid = rustix::process::geteuid().as_raw();
    let expected = format!(
        "several nodes run here:\n  pid 12 of user {uid}: bitcoind -regtest\n  pid 13 of user {uid}: bitcoin-node -ipcbind=unix"
    );
    assert_eq!(world.find(Target::Any), expected);
}

#[test]
fn a_datadir_names_its_node_on_any_network() {
    let world = World::new();
    world.process(12, 1, "bitcoind");
    world.process(13, 1, "bitcoind -signet");
    world.datadir("main", Some(12), Some(12));
    world.datadir("other/signet", Some(13), Some(13));
    assert_eq!(world.find(Target::Datadir(world.path("main"))), "12");
    assert_eq!(world.find(Target::Datadir(world.path("other"))), "13");
    assert_eq!(world.find(Target::Datadir(world.path("other/signet"))), "13");
    assert_eq!(world.find(Target::Datadir(world.path("none"))), "there is no data directory none");
}

/// A crash leaves the pid file, and the pid may be something else's by now.
#[test]
fn a_stale_pid_file_is_not_believed() {
    let world = World::new();
    world.process(12, 1, "bash");
    world.datadir("d", None, Some(12));
    assert_eq!(world.find(Target::Datadir(world.path("d"))), "the node of data directory d does not run");
    world.process(14, 1, "bitcoind");
    symlink(world.path("d/.lock"), world.path("proc/14/fd/9")).unwrap();
    assert_eq!(world.find(Target::Datadir(world.path("d"))), "14");
    assert_eq!(world.find(Target::PidFile(world.path("d/bitcoind.pid"))), "12");
    write(world.path("d/bitcoind.pid"), "99").unwrap();
    assert_eq!(world.find(Target::PidFile(world.path("d/bitcoind.pid"))), "d/bitcoind.pid names pid 99, which does not run");
    write(world.path("d/bitcoind.pid"), "x").unwrap();
    assert_eq!(
        world.find(Target::PidFile(world.path("d/bitcoind.pid"))),
        "d/bitcoind.pid is no pid file: it does not hold a number"
    );
}

#[test]
fn a_pid_is_followed_to_the_next_life() {
    let world = World::new();
    world.process(12, 1, "bitcoind -regtest");
    let mut finder = world.finder(Target::Pid(12));
    assert_eq!(finder.find().unwrap().pid, 12);
    std::fs::remove_dir_all(world.path("proc/12")).unwrap();
    world.process(13, 1, "bitcoind -signet");
    assert_eq!(finder.find(), Err(FindError::NoNode(Target::Pid(12))));
    world.process(14, 1, "bitcoind -regtest");
    assert_eq!(finder.find().unwrap().pid, 14);
    assert_eq!(world.find(Target::Pid(15)), "process 15 does not run");
}

/// As seen by a tracer that gave up the right to look into another user's processes.
#[test]
fn a_command_line_counts_where_open_files_cannot_be_seen() {
    let world = World::new();
    world.process(12, 1, &format!("bitcoind --datadir={} -regtest", world.path("d").display()));
    world.process(13, 1, "bitcoind -datadir=/elsewhere");
    create_dir_all(world.path("d/regtest")).unwrap();
    for pid in [12, 13] {
        std::fs::remove_dir(world.path(&format!("proc/{pid}/fd"))).unwrap();
    }
    assert_eq!(world.find(Target::Datadir(world.path("d"))), "12");
    assert_eq!(world.find(Target::Datadir(world.path("d/regtest/"))), "12");
    assert_eq!(home(0), Some("/root".into()));
}

#[test]
fn programs_are_told_from_others() {
    for name in [
        "bitcoind",
        "bitcoin-node",
        "bitcoin-qt",
        "bitcoind-29.1",
        "bitcoind (deleted)",
        "bitcoind.old",
        "bitcoind-v31.0rc1 (deleted)",
    ] {
        assert!(is_program(OsStr::new(name)), "{name}");
    }
    for name in [
        "bitcoin-cli",
        "bitcoindx",
        "bitcoin",
        "bitcoin-wallet",
        "xbitcoind",
        "bitcoind-exporter",
        "bitcoind_exporter",
        "bitcoind.sh",
        "",
    ] {
        assert!(!is_program(OsStr::new(name)), "{name}");
    }
}

#[test]
fn this_process_is_a_process() {
    let node = Procfs::default().node(std::process::id()).unwrap();
    assert_eq!(node.uid, rustix::process::geteuid().as_raw());
    assert!(node.exit().is_ok() && node.open_exe().is_ok());
    let other = Node { node_run: 1, ..node };
    assert_eq!(other.exit().unwrap_err().kind(), io::ErrorKind::NotFound);
}

/// What may be listed may still be closed to us: then nothing is known, rather than that the file is not open.
#[test]
fn open_files_that_may_not_be_looked_at_are_not_known() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    world.process(12, 1, "bitcoind");
    world.datadir("d", Some(12), None);
    world.datadir("other", None, None);
    let files = |path: &str| BTreeSet::from([world.path(path).join(".lock").metadata().map(|f| (f.dev(), f.ino())).unwrap()]);
    let (lock, other) = (files("d"), files("other"));
    let proc = Procfs { root: world.path("proc") };
    assert_eq!((proc.holds(12, &lock), proc.holds(12, &other)), (Some(true), Some(false)));
    // closed by now
    symlink("/nonexistent", world.path("proc/12/fd/8")).unwrap();
    assert_eq!(proc.holds(12, &other), Some(false));
    // in a thread of its own: capabilities are a thread's
    std::thread::scope(|scope| {
        scope.spawn(|| {
            crate::privileges::drop_all().unwrap();
            create_dir_all(world.path("closed")).unwrap();
            symlink(world.path("closed/file"), world.path("proc/12/fd/6")).unwrap();
            set_permissions(world.path("closed"), Permissions::from_mode(0o000)).unwrap();
            assert_eq!((proc.holds(12, &lock), proc.holds(12, &other)), (Some(true), None));
            set_permissions(world.path("closed"), Permissions::from_mode(0o700)).unwrap();
        });
    });
}

#[test]
fn a_pid_file_is_short_and_a_file() {
    let world = World::new();
    let path = world.path("bitcoind.pid");
    let read = || read_pid_file(&path).map_err(|error| error.to_string());
    write(&path, "12\n").unwrap();
    assert_eq!(read(), Ok(12));
    File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(read(), Err("it does not hold a number".into()));
    write(&path, format!("{}12", " ".repeat(100))).unwrap();
    assert_eq!(read(), Err("it does not hold a number".into()));
    for device in ["/dev/zero", "/dev/null"] {
        std::fs::remove_file(&path).unwrap();
        symlink(device, &path).unwrap();
        assert_eq!(read(), Err("it is no regular file".into()));
    }
    std::fs::remove_file(&path).unwrap();
    let (kind, mode) = (rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR);
    rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
    assert_eq!(read(), Err("it is no regular file".into()));
}

/// Anybody may start something under a node's name, with megabytes of arguments, as often as the system lets them.
#[test]
fn a_list_of_nodes_has_a_bound() {
    let node =
        |pid| Node { pid, node_run: 1, exe: None, uid: 1, gid: 1, command: vec!["bitcoind".into(), "é\u{1}".repeat(1 << 20)] };
    let problem = crate::control::Problem::from(FindError::Several((0..1000).map(node).collect()));
    assert!(serde_json::to_vec(&problem).unwrap().len() < 32 << 10);
    let (first, last) = (problem.message.lines().nth(1).unwrap(), problem.message.lines().last().unwrap());
    assert!(first.starts_with("  pid 0 of user 1: bitcoind é") && first.ends_with('…'), "{first}");
    assert_eq!(last, "  and 990 more");
}

/// Who starts a set-user-id program chooses its command line; what that names must be theirs.
#[test]
fn a_process_is_of_the_user_that_started_it() {
    let world = World::new();
    world.process(12, 1, "bitcoind");
    write(world.path("proc/12/status"), "Name:\tbitcoind\nUid:\t65534\t0\t0\t0\nGid:\t0\t0\t0\t0\n").unwrap();
    assert_eq!(world.finder(Target::Any).find().unwrap().uid, 65_534);
}

/// By its command line, from where it was started, or by its own `HOME`.
#[test]
fn a_process_says_where_its_data_is() {
    let world = World::new();
    let check = |pid: u32, expected: Option<&str>| {
        let finder = world.finder(Target::Any);
        let node = finder.proc.node(pid).unwrap();
        assert_eq!(finder.proc.datadir(&node), expected.map(PathBuf::from), "{:?}", node.command);
    };
    world.process(12, 1, "bitcoind -datadir=/a --datadir=/b");
    check(12, Some("/b"));
    world.process(13, 1, "bitcoind -datadir=c");
    // where it was started is not for everybody to know
    check(13, None);
    symlink("/w", world.path("proc/13/cwd")).unwrap();
    check(13, Some("/w/c"));
    world.process(14, 1, "bitcoind");
    write(world.path("proc/14/environ"), "PATH=/bin\0HOME=/h\0").unwrap();
    check(14, Some("/h/.bitcoin"));
}

#[test]
fn who_started_a_process_is_read_from_its_status() {
    let world = World::new();
    world.process(12, 1, "bitcoind");
    write(world.path("proc/12/status"), "Name:\tx\nUid:\t7\t0\t0\t0\nGid:\t8\t0\t0\t0\n").unwrap();
    let node = world.finder(Target::Any).proc.node(12).unwrap();
    assert_eq!((node.uid, node.gid), (7, 8));
}
