//! `doctor`: what works here, and what to do about what does not.
//!
//! Every line passes, warns or fails, and the ones that do not pass say what to do. It attaches nothing and changes nothing. What takes
//! rights is looked at first; then it gives them up as `run` does, so that it is right about what `run` will be able to do.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use extract::rpc::{CallError, Checked};

use crate::cli;
use crate::config::File;
use crate::exit::{Code, Failure};
use crate::known::Known;

/// What was found out about one thing.
struct Check {
    about: &'static str,
    outcome: Outcome,
    text: String,
    /// What to do.
    hint: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Pass,
    /// It works, but somebody should know.
    Warn,
    Fail,
    /// It cannot be told, because something before it failed.
    Unknown,
}

impl Check {
    fn pass(about: &'static str, text: impl Into<String>) -> Self {
        Self { about, outcome: Outcome::Pass, text: text.into(), hint: None }
    }

    fn warn(about: &'static str, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { about, outcome: Outcome::Warn, text: text.into(), hint: Some(hint.into()) }
    }

    fn fail(about: &'static str, text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { about, outcome: Outcome::Fail, text: text.into(), hint: Some(hint.into()) }
    }

    fn unknown(about: &'static str, text: impl Into<String>) -> Self {
        Self { about, outcome: Outcome::Unknown, text: text.into(), hint: None }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.outcome {
            Outcome::Pass => "ok  ",
            Outcome::Warn => "warn",
            Outcome::Fail => "FAIL",
            Outcome::Unknown => "-   ",
        };
        write!(f, "{mark} {:<12} {}", self.about, self.text)?;
        match &self.hint {
            Some(hint) => write!(f, "\n{:18}→ {hint}", ""),
            None => Ok(()),
        }
    }
}

/// `peer-observer doctor`
///
/// # Errors
///
/// The configuration is wrong, or standard output is gone.
pub fn run(options: &cli::Doctor, file: Option<&File>, told: &[String]) -> Result<ExitCode, Failure> {
    if let Some(user) = &options.new_rpc_user {
        new_rpc_user(user)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut checks = vec![];
    #[cfg(feature = "ebpf")]
    checks.extend(kernel());
    let nodes: Vec<Known> = cli::nodes(&options.node, file, told)?.into_iter().map(Known::find).collect();
    // before rights are given up
    #[cfg(feature = "ebpf")]
    let mut of_nodes: Vec<Vec<Check>> = nodes.iter().map(|node| probes::node(&node.config)).collect();
    #[cfg(not(feature = "ebpf"))]
    let mut of_nodes: Vec<Vec<Check>> = nodes.iter().map(|_| vec![]).collect();
    #[cfg(feature = "ebpf")]
    checks.push(user(&nodes, &options.nats)?);
    #[cfg(not(feature = "ebpf"))]
    checks.push(Check::warn("probes", "this build has no kernel probes", "build it with the feature `ebpf`"));
    for (at, (node, checks)) in nodes.iter().zip(&mut of_nodes).enumerate() {
        checks.extend(interfaces(node, &options.rpc)?);
        checks.push(p2p(node, &nodes[..at]));
        checks.push(ipc(&node.ipc)?);
        checks.extend(log(node));
    }
    let mut after = nats(&options.nats)?;
    after.extend(options.archive.archive.as_deref().map(archive));
    after.extend(port("metrics", "/metrics", options.metrics.listen(), file));
    after.extend(port("web", "pages", options.web.listen(), file));
    let mut page = lines(&checks);
    for (node, of_node) in nodes.iter().zip(&of_nodes) {
        if nodes.len() > 1 {
            page.push_str(&format!("\n{}\n", node.name()));
        }
        page.push_str(&lines(of_node));
    }
    if nodes.len() > 1 && !after.is_empty() {
        page.push('\n');
    }
    page.push_str(&lines(&after));
    crate::print(&page)?;
    checks.extend(of_nodes.into_iter().flatten().chain(after));
    let failed = checks.iter().any(|check| check.outcome == Outcome::Fail);
    Ok(if failed { ExitCode::from(Code::Unhealthy as u8) } else { ExitCode::SUCCESS })
}

fn lines(checks: &[Check]) -> String {
    checks.iter().map(|check| format!("{check}\n")).collect()
}

/// Whether something can be served, if the configuration has `run` serve it: without a word of it, `run` does as far as it can.
fn port(
    about: &'static str,
    what: &str,
    listener: Result<std::net::TcpListener, tools::listen::ListenError>,
    file: Option<&File>,
) -> Option<Check> {
    if !file.is_none_or(|file| file.runs(about)) {
        return None;
    }
    Some(match listener {
        Ok(listener) => {
            let place = listener.local_addr().map_or_else(|_| String::new(), |address| format!(" at {address}"));
            Check::pass(about, format!("may serve {what}{place}"))
        }
        Err(error) if file.is_some_and(|file| file.has(about)) => Check::fail(about, error.to_string(), error.hint()),
        Err(error) => Check::warn(about, error.to_string(), error.hint()),
    })
}

/// Whether the archive can be written, and for how long.
fn archive(directory: &std::path::Path) -> Check {
    use tools::archive::store::{self, Forecast};
    let about = "archive";
    if let Err(error) = store::may_write(directory) {
        let text = format!("{} cannot be written: {error}", directory.display());
        return Check::fail(about, text, "the directory must be writable by the user that `run` has");
    }
    match Forecast::of(directory, crate::archive::now()) {
        Ok(forecast) if forecast.days_left.is_some_and(|days| days < 7.0) => Check::warn(
            about,
            format!("{}: {forecast}", directory.display()),
            "`--archive-max-size` and `--archive-max-age` delete the oldest segments",
        ),
        Ok(forecast) => Check::pass(about, format!("{}: {forecast}", directory.display())),
        Err(_) if !directory.exists() => Check::pass(about, format!("{} will be made", directory.display())),
        Err(error) => Check::warn(
            about,
            format!("{} may be written, and what is in it cannot be told: {error}", directory.display()),
            "look at it with `peer-observer archive verify`",
        ),
    }
}

/// The oldest kernel that has what the programs need (sleepable uprobes, dynptrs into a ring).
#[cfg(feature = "ebpf")]
const OLDEST_KERNEL: (u32, u32) = (6, 1);

#[cfg(feature = "ebpf")]
fn kernel() -> Vec<Check> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().ok());
    let version = numbers.next().flatten().zip(numbers.next().flatten());
    let (major, minor) = OLDEST_KERNEL;
    let kernel = match version {
        Some(version) if version >= OLDEST_KERNEL => Check::pass("kernel", release),
        Some(_) => Check::fail("kernel", release, format!("probes need Linux {major}.{minor} or newer")),
        None => Check::warn(
            "kernel",
            format!("release {release:?} is not understood"),
            format!("probes need Linux {major}.{minor} or newer"),
        ),
    };
    let btf = if std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
        Check::pass("btf", "the kernel describes its types")
    } else {
        Check::fail(
            "btf",
            "/sys/kernel/btf/vmlinux is missing",
            "use a kernel built with CONFIG_DEBUG_INFO_BTF, as distributions do",
        )
    };
    let own = ebpf::privileges::effective();
    let permitted = if own.can_trace() {
        Check::pass("permission", "may load and attach probes")
    } else {
        Check::fail(
            "permission",
            "may not load and attach probes: CAP_BPF and CAP_PERFMON are missing",
            "run it as root, or once: sudo setcap cap_bpf,cap_perfmon+ep $(command -v peer-observer)",
        )
    };
    vec![kernel, btf, permitted]
}

/// Gives up every right, and says as who the rest is done.
#[cfg(feature = "ebpf")]
fn user(nodes: &[Known], nats: &bus::NatsOptions) -> Result<Check, Failure> {
    let user = crate::user::give_up_rights(nodes, &crate::wiring::named_files(nodes, nats))?;
    let text = format!("{user}, without capabilities");
    Ok(match user.hint() {
        None => Check::pass("user", text),
        Some(hint) => Check::warn("user", user.to_string(), hint),
    })
}

#[cfg(feature = "ebpf")]
mod probes {
    use super::Check;
    use ebpf::notes::{self, Note};
    use ebpf::probes::{FOREIGN_PROVIDERS, LEFT_ALONE, PROBES};
    use ebpf::process::Finder;

    /// The node, and the tracepoints of its program.
    pub(super) fn node(config: &extract::node::Config) -> Vec<Check> {
        let node = match Finder::new(config.target()).find() {
            Ok(node) => node,
            Err(error) => {
                return vec![
                    Check::fail("node", error.to_string(), error.hint()),
                    Check::unknown("tracepoints", "no node to look at"),
                ];
            }
        };
        let mut checks = vec![Check::pass("node", format!("`{}` is {node}", config.name))];
        let exe = node.exe.clone().unwrap_or_else(|| format!("/proc/{}/exe", node.pid).into());
        match node.open_exe() {
            Err(error) => checks.push(Check::fail(
                "tracepoints",
                format!("the node's program may not be read: {error}"),
                format!("run this as user {} or as root, or add CAP_SYS_PTRACE", node.uid),
            )),
            Ok(file) => match notes::read_file(file, &exe) {
                Ok(notes) => checks.extend(tracepoints(&notes, &exe.display().to_string())),
                Err(error) => checks.push(Check::fail("tracepoints", error.to_string(), "is this a node's program?")),
            },
        }
        checks
    }

    /// Known, missing, unknown.
    pub(super) fn tracepoints(notes: &[Note], exe: &str) -> Vec<Check> {
        let there: std::collections::BTreeSet<String> = notes
            .iter()
            .filter(|n| !FOREIGN_PROVIDERS.contains(&n.provider.as_str()))
            .map(|n| format!("{}:{}", n.provider, n.name))
            .collect();
        if there.is_empty() {
            return vec![Check::fail(
                "tracepoints",
                format!("{exe} has none"),
                "use an official Linux release of Bitcoin Core, or build with -DWITH_USDT=ON",
            )];
        }
        let (have, missing): (Vec<_>, Vec<_>) = PROBES.iter().partition(|probe| there.contains(probe.full_name));
        let unlisted: Vec<&str> = there
            .iter()
            .map(String::as_str)
            .filter(|name| !PROBES.iter().any(|p| p.full_name == *name) && !LEFT_ALONE.iter().any(|(left, _)| left == name))
            .collect();
        let mut checks = vec![Check::pass("tracepoints", format!("{} of {} that are used", have.len(), PROBES.len()))];
        if !missing.is_empty() {
            let names: Vec<_> = missing.iter().map(|probe| format!("{} (since v{})", probe.full_name, probe.since)).collect();
            let hint = "Bitcoin Core 29 and newer has all of them; the rest works without";
            checks.push(Check::warn("tracepoints", format!("missing: {}", names.join(", ")), hint));
        }
        if !unlisted.is_empty() {
            let hint = "a patched or newer node? one row in crates/ebpf/src/probes.rs makes events of them";
            checks.push(Check::warn("tracepoints", format!("not known to this release: {}", unlisted.join(", ")), hint));
        }
        checks
    }
}

/// RPC, process and disk of one node.
fn interfaces(node: &Known, config: &extract::rpc::Config) -> Result<Vec<Check>, Failure> {
    let told = node.config.rpc.rpc_url.is_some();
    let mut checks = vec![];
    if node.missing.is_some() && !told {
        checks.push(Check::unknown("rpc", "no node to ask"));
    } else {
        if let Some(reason) = &node.rpc.unread {
            checks.push(Check::warn("rpc", reason, "its RPC may be somewhere else; see `--rpc-url`"));
        }
        let checked = crate::wiring::block_on(async { Ok(extract::rpc::check(config, &node.rpc).await) })?;
        checks.extend(rights(&node.rpc.address, checked, told));
    }
    match &node.life {
        None => checks.push(Check::unknown("process", "no process to look at")),
        Some(life) => {
            checks.push(process(life.pid, node.user.is_some_and(|(uid, _)| uid == 0)));
            checks.extend(life.datadir.as_deref().map(disk));
        }
    }
    Ok(checks)
}

/// Where the node is to connect to. `others` were looked at before.
fn p2p(node: &Known, others: &[Known]) -> Check {
    let place = &node.config.p2p;
    let same = |other: &&Known| place.p2p_listen.port() != 0 && other.config.p2p.p2p_listen == place.p2p_listen;
    if let Some(other) = others.iter().find(same) {
        let text = format!("waits at {}, and so does `{}`: one of them will not be had", place.p2p_listen, other.name());
        return Check::fail("p2p", text, "give each node a `p2p-listen` of its own in its table of the configuration");
    }
    match place.listen() {
        Ok(_) => {
            Check::pass("p2p", format!("may wait for the node at {}; the node needs {}", place.p2p_listen, place.node_option()))
        }
        Err(error) => Check::warn("p2p", error.to_string(), error.hint()),
    }
}

/// What may be read of a process, which may be root's.
fn process(pid: u32, roots: bool) -> Check {
    let (readable, missing) = extract::proc::readable(pid);
    if missing.is_empty() {
        return Check::pass("process", format!("may read {} of /proc/{pid}", readable.join(", ")));
    }
    let text = format!("may not read {} of /proc/{pid}: their values stay absent", missing.join(", "));
    let hint = if roots { "a node needs no root: run it as a user of its own" } else { "run this as the node's user, or as root" };
    Check::warn("process", text, hint)
}

/// Under this, a node that writes blocks and an index, and logs, has days left: bytes.
const LITTLE_SPACE: u64 = 5_000_000_000;

/// The disk of the data directory.
fn disk(datadir: &Path) -> Check {
    match extract::proc::disk(datadir) {
        Ok(disk) => space(&datadir.display().to_string(), disk.available, disk.size),
        Err(error) => Check::warn(
            "disk",
            format!("failed to look at the disk of {}: {error}", datadir.display()),
            "name the node's data directory with `--datadir`, as it is seen from here",
        ),
    }
}

/// Whether a disk has room: bytes.
fn space(folder: &str, available: u64, size: u64) -> Check {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let (gigabytes, percent) = (available as f64 / 1e9, available as f64 * 100.0 / size.max(1) as f64);
    let text = format!("{folder} has {gigabytes:.1} GB free ({percent:.1} %)");
    if available < LITTLE_SPACE || available < size / 10 {
        return Check::warn("disk", text, "a node stops when its disk is full: make room, or let it prune (`-prune`)");
    }
    Check::pass("disk", text)
}

/// The IPC socket, which few nodes have.
#[cfg(feature = "ipc")]
fn ipc(target: &extract::ipc::Target) -> Result<Check, Failure> {
    let (path, told) = (target.path.display(), target.owner.is_none());
    if !told && !target.exists() {
        return Ok(Check::unknown("ipc", format!("the node has no socket {path}; `bitcoin-node -ipcbind=unix` makes one")));
    }
    let checked = crate::wiring::block_on(async { Ok(extract::ipc::check(target).await) })?;
    Ok(match checked {
        Ok(calls) => Check::pass("ipc", format!("{path} answers {}", calls.join(", "))),
        // what somebody configured should work
        Err(trouble) if told => Check::fail("ipc", trouble.to_string(), trouble.hint()),
        Err(trouble) => Check::warn("ipc", trouble.to_string(), trouble.hint()),
    })
}

#[cfg(not(feature = "ipc"))]
fn ipc(_: &extract::ipc::Target) -> Result<Check, Failure> {
    Ok(Check::unknown("ipc", "this build cannot talk to a node's IPC socket: the feature `ipc` is off"))
}

/// Categories whose lines say what no other source knows.
const CATEGORIES: [&str; 6] = ["net", "mempool", "mempoolrej", "validation", "cmpctblock", "txpackages"];

/// The node's log, and what is written into it.
fn log(node: &Known) -> Vec<Check> {
    let Some(target) = &node.log else {
        return vec![Check::warn("log", "the node is told to write none", "start it without -nodebuglogfile")];
    };
    let mut checks = vec![match target.opened() {
        Ok(_) => Check::pass("log", format!("{target} may be read")),
        Err(error) if node.missing.is_some() => Check::unknown("log", error.to_string()),
        Err(error) => Check::warn("log", error.to_string(), error.hint()),
    }];
    checks.extend(node.log_options.as_ref().map(log_options).unwrap_or_default());
    checks
}

/// What is left out of the log, and how to have it.
fn log_options(options: &extract::log::WhatIsWritten) -> Vec<Check> {
    let (on, off): (Vec<&str>, Vec<&str>) = CATEGORIES.into_iter().partition(|category| options.has(category));
    let mut checks = vec![];
    if !on.is_empty() {
        checks.push(Check::pass("log", format!("has lines of {}", on.join(", "))));
    }
    if !off.is_empty() {
        let lines: Vec<String> = off.iter().map(|category| format!("debug={category}")).collect();
        let hint = format!("add to the node's bitcoin.conf, a line for each: {}", lines.join(" "));
        checks.push(Check::warn("log", format!("lacks lines of {}", off.join(", ")), hint));
    }
    for (fine, text, hint) in [
        (options.times, "lines have no time", "remove logtimestamps=0 from the node's bitcoin.conf"),
        (options.addresses, "addresses of peers are left out", "add logips=1 to the node's bitcoin.conf"),
        (options.micros, "times are of whole seconds", "add logtimemicros=1 to the node's bitcoin.conf"),
        (!options.limited, "the node may suppress lines that are many", "from Bitcoin Core 29.1 on: add logratelimit=0"),
    ] {
        if !fine {
            checks.push(Check::warn("log", text, hint));
        }
    }
    checks
}

/// Lines to paste. The password is made here, and kept nowhere.
fn new_rpc_user(name: &extract::rpc::UserName) -> Result<(), Failure> {
    let user = extract::rpc::least_privilege_lines(name)?;
    let lines = user.lines.join("\n");
    crate::print(&format!(
        "# for the node's bitcoin.conf, which it reads at its next start\n{lines}\n\n\
         # for a file that only the observer can read: --rpc-user {name} --rpc-password-file FILE\n{}\n",
        user.password
    ))
}

/// What may be asked, and what may not.
fn rights(address: &str, checked: Result<Checked, CallError>, told: bool) -> Vec<Check> {
    let Checked { user, methods } = match checked {
        Ok(checked) => checked,
        // what somebody configured should work; what was only guessed may be switched off
        Err(error) if told => return vec![Check::fail("rpc", error.to_string(), error.hint())],
        Err(error) => return vec![Check::warn("rpc", error.to_string(), error.hint())],
    };
    let answered = methods.iter().filter(|(_, result)| result.is_ok()).count();
    let mut checks = vec![Check::pass("rpc", format!("{address} answers {answered} of {} methods", methods.len()))];
    let (forbidden, failed): (Vec<_>, Vec<_>) = methods
        .iter()
        .filter_map(|(method, result)| Some((*method, result.as_ref().err()?)))
        .partition(|(_, error)| matches!(error, CallError::Forbidden(_)));
    if !forbidden.is_empty() {
        let names: Vec<_> = forbidden.iter().map(|(method, _)| *method).collect();
        checks.push(Check::warn(
            "rpc",
            format!("user `{user}` may not call {}", names.join(", ")),
            format!(
                "in bitcoin.conf, in place of the user's other lines of this sort:\n{:20}{}",
                "",
                extract::rpc::whitelist(&user)
            ),
        ));
    }
    checks.extend(failed.iter().map(|(method, error)| Check::warn("rpc", format!("{method}: {error}"), error.hint())));
    checks
}

fn nats(options: &bus::NatsOptions) -> Result<Vec<Check>, Failure> {
    let Some(url) = &options.url else { return Ok(vec![]) };
    let mut checks = vec![];
    if options.is_plaintext_remote() {
        checks.push(Check::warn(
            "nats",
            format!("{url} is not encrypted, and not on this machine: whoever is between sees your nodes"),
            "use tls:// with --nats-ca-file, or a tunnel",
        ));
    }
    checks.push(crate::wiring::block_on(async {
        Ok(match bus::Bus::open(options).await {
            Ok(bus) => {
                bus.close().await;
                Check::pass("nats", format!("{url} answers and lets us in"))
            }
            Err(error) => Check::fail("nats", error.to_string(), error.hint()),
        })
    })?);
    Ok(checks)
}

#[cfg(all(test, feature = "ebpf"))]
mod tests {
    use super::*;
    use ebpf::notes::Note;
    use expect_test::{Expect, expect};

    fn note(name: &str) -> Note {
        let (provider, name) = name.split_once(':').expect("provider and name");
        Note { provider: provider.into(), name: name.into(), location: 0, semaphore: 0, arguments: vec![] }
    }

    #[track_caller]
    fn check_notes(notes: &[Note], expect: Expect) {
        let page: String = probes::tracepoints(notes, "/x/bitcoind").iter().map(|check| format!("{check}\n")).collect();
        expect.assert_eq(&page);
    }

    #[track_caller]
    fn check_page(checks: &[Check], expect: Expect) {
        let page: String = checks.iter().map(|check| format!("{check}\n")).collect();
        expect.assert_eq(&page);
    }

    #[test]
    fn who_may_not_call_something_gets_the_line_that_helps() {
        let methods = vec![
            ("getpeerinfo", Ok(())),
            ("uptime", Err(CallError::Forbidden("uptime"))),
            ("getrawaddrman", Err(CallError::Forbidden("getrawaddrman"))),
            ("getorphantxs", Err(CallError::UnknownMethod("getorphantxs"))),
        ];
        let checked = Checked { user: "observer".to_owned(), methods };
        check_page(
            &rights("127.0.0.1:8332", Ok(checked), true),
            expect![[r#"
                ok   rpc          127.0.0.1:8332 answers 1 of 4 methods
                warn rpc          user `observer` may not call uptime, getrawaddrman
                                  → in bitcoin.conf, in place of the user's other lines of this sort:
                                    rpcwhitelist=observer:getpeerinfo,getnettotals,getmempoolinfo,getblockchaininfo,getnetworkinfo,uptime,getorphantxs,getaddrmaninfo,estimatesmartfee,getmemoryinfo,listbanned,getindexinfo,getchaintxstats,getdeploymentinfo,getchaintips,getrawaddrman
                warn rpc          getorphantxs: this node has no method getorphantxs
                                  → newer releases of Bitcoin Core have it
            "#]],
        );
    }

    #[test]
    fn a_disk_that_is_nearly_full_is_a_warning() {
        check_page(
            &[
                space("/d", 100_000_000_000, 1_000_000_000_000),
                space("/d", 99_000_000_000, 1_000_000_000_000),
                space("/d", 4_900_000_000, 10_000_000_000),
                space("/d", 5_000_000_000, 10_000_000_000),
                space("/d", 0, 0),
            ],
            expect![[r#"
                ok   disk         /d has 100.0 GB free (10.0 %)
                warn disk         /d has 99.0 GB free (9.9 %)
                                  → a node stops when its disk is full: make room, or let it prune (`-prune`)
                warn disk         /d has 4.9 GB free (49.0 %)
                                  → a node stops when its disk is full: make room, or let it prune (`-prune`)
                ok   disk         /d has 5.0 GB free (50.0 %)
                warn disk         /d has 0.0 GB free (0.0 %)
                                  → a node stops when its disk is full: make room, or let it prune (`-prune`)
            "#]],
        );
    }

    #[test]
    fn all_tracepoints_pass_and_those_left_alone_are_no_news() {
        let mut notes: Vec<Note> = ebpf::probes::PROBES.iter().map(|probe| note(probe.full_name)).collect();
        notes.push(note("utxocache:add"));
        notes.push(note("libstdcxx:throw"));
        check_notes(
            &notes,
            expect![[r#"
            ok   tracepoints  13 of 13 that are used
        "#]],
        );
    }

    #[test]
    fn a_patched_node_and_an_older_one_are_told() {
        check_notes(
            &[note("net:inbound_message"), note("addrman:add")],
            expect![[r#"
            ok   tracepoints  1 of 13 that are used
            warn tracepoints  missing: net:outbound_message (since v23), net:inbound_connection (since v29), net:outbound_connection (since v29), net:evicted_inbound_connection (since v29), net:closed_connection (since v29), net:misbehaving_connection (since v29), mempool:added (since v25), mempool:removed (since v25), mempool:replaced (since v29), mempool:rejected (since v25), validation:block_connected (since v25), utxocache:flush (since v23)
                              → Bitcoin Core 29 and newer has all of them; the rest works without
            warn tracepoints  not known to this release: addrman:add
                              → a patched or newer node? one row in crates/ebpf/src/probes.rs makes events of them
        "#]],
        );
    }

    #[test]
    fn a_program_without_tracepoints_fails() {
        check_notes(
            &[note("libc:setjmp")],
            expect![[r#"
            FAIL tracepoints  /x/bitcoind has none
                              → use an official Linux release of Bitcoin Core, or build with -DWITH_USDT=ON
        "#]],
        );
    }
}
