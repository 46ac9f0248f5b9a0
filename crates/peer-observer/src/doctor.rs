//! `doctor`: what works here, and what to do about what does not.
//!
//! Every line passes, warns or fails, and the ones that do not pass say what to do. It attaches nothing and changes nothing.

use std::fmt;
use std::process::ExitCode;

use extract::rpc::CallError;

use crate::cli;
use crate::config::File;
use crate::exit::{Code, Failure};
use crate::known::Known;

/// What was found out about one thing.
struct Finding {
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

impl Finding {
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

impl fmt::Display for Finding {
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
    let mut findings = vec![];
    #[cfg(feature = "ebpf")]
    findings.extend(kernel());
    for node in cli::nodes(&options.node, file, told)? {
        #[cfg(feature = "ebpf")]
        findings.extend(probes::node(&node));
        let node = Known::find(node);
        findings.extend(interfaces(&node, &options.rpc)?);
        findings.extend(log(&node));
    }
    #[cfg(not(feature = "ebpf"))]
    {
        findings.push(Finding::warn("probes", "this build has no kernel probes", "build it with the feature `ebpf`"));
    }
    findings.extend(nats(&options.nats)?);
    let mut page = String::new();
    for finding in &findings {
        page.push_str(&format!("{finding}\n"));
    }
    crate::print(&page)?;
    let failed = findings.iter().any(|finding| finding.outcome == Outcome::Fail);
    Ok(if failed { ExitCode::from(Code::Unhealthy as u8) } else { ExitCode::SUCCESS })
}

/// The oldest kernel that has what the programs need (sleepable uprobes, dynptrs into a ring).
#[cfg(feature = "ebpf")]
const OLDEST_KERNEL: (u32, u32) = (6, 1);

#[cfg(feature = "ebpf")]
fn kernel() -> Vec<Finding> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().ok());
    let version = numbers.next().flatten().zip(numbers.next().flatten());
    let (major, minor) = OLDEST_KERNEL;
    let kernel = match version {
        Some(version) if version >= OLDEST_KERNEL => Finding::pass("kernel", release),
        Some(_) => Finding::fail("kernel", release, format!("probes need Linux {major}.{minor} or newer")),
        None => Finding::warn("kernel", format!("release {release:?} is not understood"), "probes need Linux 6.1 or newer"),
    };
    let btf = if std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
        Finding::pass("btf", "the kernel describes its types")
    } else {
        Finding::fail(
            "btf",
            "/sys/kernel/btf/vmlinux is missing",
            "use a kernel built with CONFIG_DEBUG_INFO_BTF, as distributions do",
        )
    };
    let own = ebpf::privileges::effective();
    let permitted = if own.can_trace() {
        Finding::pass("permission", "may load and attach probes")
    } else {
        Finding::fail(
            "permission",
            "may not load and attach probes: CAP_BPF and CAP_PERFMON are missing",
            "run it as root, or once: sudo setcap cap_bpf,cap_perfmon+ep $(command -v peer-observer)",
        )
    };
    vec![kernel, btf, permitted]
}

#[cfg(feature = "ebpf")]
mod probes {
    use super::Finding;
    use ebpf::notes::{self, Note};
    use ebpf::probes::{FOREIGN_PROVIDERS, LEFT_ALONE, PROBES};
    use ebpf::process::Finder;

    /// The node, and the tracepoints of its program.
    pub(super) fn node(config: &extract::node::Config) -> Vec<Finding> {
        let node = match Finder::new(config.target()).find() {
            Ok(node) => node,
            Err(error) => {
                return vec![
                    Finding::fail("node", error.to_string(), error.hint()),
                    Finding::unknown("tracepoints", "no node to look at"),
                ];
            }
        };
        let mut findings = vec![Finding::pass("node", format!("`{}` is {node}", config.name))];
        let exe = node.exe.clone().unwrap_or_else(|| format!("/proc/{}/exe", node.pid).into());
        match node.open_exe() {
            Err(error) => findings.push(Finding::fail(
                "tracepoints",
                format!("the node's program may not be read: {error}"),
                format!("run this as user {} or as root, or add CAP_SYS_PTRACE", node.uid),
            )),
            Ok(file) => match notes::read_file(file, &exe) {
                Ok(notes) => findings.extend(tracepoints(&notes, &exe.display().to_string())),
                Err(error) => findings.push(Finding::fail("tracepoints", error.to_string(), "is this a node's program?")),
            },
        }
        findings
    }

    /// Known, missing, unknown.
    pub(super) fn tracepoints(notes: &[Note], exe: &str) -> Vec<Finding> {
        let there: std::collections::BTreeSet<String> = notes
            .iter()
            .filter(|n| !FOREIGN_PROVIDERS.contains(&n.provider.as_str()))
            .map(|n| format!("{}:{}", n.provider, n.name))
            .collect();
        if there.is_empty() {
            return vec![Finding::fail(
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
        let mut findings = vec![Finding::pass("tracepoints", format!("{} of {} that are used", have.len(), PROBES.len()))];
        if !missing.is_empty() {
            let names: Vec<_> = missing.iter().map(|probe| format!("{} (since v{})", probe.full_name, probe.since)).collect();
            let hint = "Bitcoin Core 29 and newer has all of them; the rest works without";
            findings.push(Finding::warn("tracepoints", format!("missing: {}", names.join(", ")), hint));
        }
        if !unlisted.is_empty() {
            let hint = "a patched or newer node? one row in crates/ebpf/src/probes.rs makes events of them";
            findings.push(Finding::warn("tracepoints", format!("not known to this release: {}", unlisted.join(", ")), hint));
        }
        findings
    }
}

/// RPC and P2P of one node.
fn interfaces(node: &Known, config: &extract::rpc::Config) -> Result<Vec<Finding>, Failure> {
    if node.missing.is_some() && node.config.rpc.rpc_url.is_none() {
        return Ok(vec![Finding::unknown("rpc", "no node to ask"), Finding::unknown("p2p", "no node to wait for")]);
    }
    let checked = crate::wiring::block_on(async { Ok(extract::rpc::check(config, &node.rpc).await) })?;
    let mut findings = rights(&node.rpc.address, checked, node.config.rpc.rpc_url.is_some());
    let place = &node.config.p2p;
    findings.push(match place.listen() {
        Ok(_) => {
            Finding::pass("p2p", format!("may wait for the node at {}; the node needs {}", place.p2p_listen, place.node_option()))
        }
        Err(error) => Finding::warn("p2p", error.to_string(), error.hint()),
    });
    Ok(findings)
}

/// Categories whose lines say what no other source knows.
const CATEGORIES: [&str; 6] = ["net", "mempool", "mempoolrej", "validation", "cmpctblock", "txpackages"];

/// The node's log, and what is written into it.
fn log(node: &Known) -> Vec<Finding> {
    let Some(target) = &node.log else {
        return vec![Finding::warn("log", "the node is told to write none", "start it without -nodebuglogfile")];
    };
    let mut findings = vec![match target.opened() {
        Ok(_) => Finding::pass("log", format!("{target} may be read")),
        Err(error) if node.missing.is_some() => Finding::unknown("log", error.to_string()),
        Err(error) => Finding::warn("log", error.to_string(), error.hint()),
    }];
    findings.extend(node.log_options.as_ref().map(log_options).unwrap_or_default());
    findings
}

/// What is left out of the log, and how to have it.
fn log_options(options: &extract::rpc::LogOptions) -> Vec<Finding> {
    let (on, off): (Vec<&str>, Vec<&str>) = CATEGORIES.into_iter().partition(|category| options.has(category));
    let mut findings = vec![];
    if !on.is_empty() {
        findings.push(Finding::pass("log", format!("has lines of {}", on.join(", "))));
    }
    if !off.is_empty() {
        let lines: Vec<String> = off.iter().map(|category| format!("debug={category}")).collect();
        let hint = format!("add to the node's bitcoin.conf, a line for each: {}", lines.join(" "));
        findings.push(Finding::warn("log", format!("lacks lines of {}", off.join(", ")), hint));
    }
    for (fine, text, hint) in [
        (options.times, "lines have no time", "remove logtimestamps=0 from the node's bitcoin.conf"),
        (options.addresses, "addresses of peers are left out", "add logips=1 to the node's bitcoin.conf"),
        (options.micros, "times are of whole seconds", "add logtimemicros=1 to the node's bitcoin.conf"),
        (!options.limited, "the node may suppress lines that are many", "from Bitcoin Core 29.1 on: add logratelimit=0"),
    ] {
        if !fine {
            findings.push(Finding::warn("log", text, hint));
        }
    }
    findings
}

/// Lines to paste. The password is made here, and kept nowhere.
fn new_rpc_user(name: &str) -> Result<(), Failure> {
    let user = extract::rpc::least_privilege_lines(name)?;
    let lines = user.lines.join("\n");
    crate::print(&format!(
        "# for the node's bitcoin.conf, which it reads at its next start\n{lines}\n\n\
         # for a file that only the observer can read: --rpc-user {name} --rpc-password-file FILE\n{}\n",
        user.password
    ))
}

/// A method, and whether it may be called.
type Checked = (&'static str, Result<(), CallError>);

/// What may be asked, and what may not.
fn rights(address: &str, checked: Result<Vec<Checked>, CallError>, told: bool) -> Vec<Finding> {
    let checked = match checked {
        Ok(checked) => checked,
        // what somebody configured should work; what was only guessed may be switched off
        Err(error) if told => return vec![Finding::fail("rpc", error.to_string(), error.hint())],
        Err(error) => return vec![Finding::warn("rpc", error.to_string(), error.hint())],
    };
    let answered = checked.iter().filter(|(_, result)| result.is_ok()).count();
    let mut findings = vec![Finding::pass("rpc", format!("{address} answers {answered} of {} methods", checked.len()))];
    for (method, error) in checked.iter().filter_map(|(method, result)| Some((method, result.as_ref().err()?))) {
        findings.push(Finding::warn("rpc", format!("{method}: {error}"), error.hint()));
    }
    findings
}

fn nats(options: &bus::NatsOptions) -> Result<Vec<Finding>, Failure> {
    let Some(url) = &options.url else { return Ok(vec![]) };
    let mut findings = vec![];
    if options.is_plaintext_remote() {
        findings.push(Finding::warn(
            "nats",
            format!("{url} is not encrypted, and not on this machine: whoever is between sees your nodes"),
            "use tls:// with --nats-ca-file, or a tunnel",
        ));
    }
    findings.push(crate::wiring::block_on(async {
        Ok(match bus::Bus::open(options).await {
            Ok(bus) => {
                bus.close().await;
                Finding::pass("nats", format!("{url} answers and lets us in"))
            }
            Err(error) => Finding::fail("nats", error.to_string(), error.hint()),
        })
    })?);
    Ok(findings)
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
    fn check(notes: &[Note], expect: Expect) {
        let page: String = probes::tracepoints(notes, "/x/bitcoind").iter().map(|finding| format!("{finding}\n")).collect();
        expect.assert_eq(&page);
    }

    #[test]
    fn all_tracepoints_pass_and_those_left_alone_are_no_news() {
        let mut notes: Vec<Note> = ebpf::probes::PROBES.iter().map(|probe| note(probe.full_name)).collect();
        notes.push(note("utxocache:add"));
        notes.push(note("libstdcxx:throw"));
        check(
            &notes,
            expect![[r#"
            ok   tracepoints  13 of 13 that are used
        "#]],
        );
    }

    #[test]
    fn a_patched_node_and_an_older_one_are_told() {
        check(
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
        check(
            &[note("libc:setjmp")],
            expect![[r#"
            FAIL tracepoints  /x/bitcoind has none
                              → use an official Linux release of Bitcoin Core, or build with -DWITH_USDT=ON
        "#]],
        );
    }
}
