//! `attack`: stages entries of the catalogue of attacks against a regtest node of one's own.
//!
//! What is staged is in [`testkit::attack`], whose `Victim` is a regtest node on loopback and nothing else; here is how one is found by its data
//! directory, and that an attack ends: by itself, by a signal, or when its time is up. Whichever it is, the process ends, and with it every
//! connection.

use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use detect::thresholds::Limit;
use extract::rpc::{Access, Place, Secret};
use serde_json::json;
use testkit::attack::{SCENARIOS, Scenario, Stage, Victim};
use tokio::sync::oneshot;

use crate::cli;
use crate::exit::{Code, Failure};
use crate::print;
use crate::service::Signals;
use crate::wiring::block_on;

/// The folder of the network, below the data directory.
const REGTEST: &str = "regtest";

/// Long enough for any process id and the blanks around it.
const LONGEST_PID_FILE: u64 = 64;

/// `peer-observer attack`
///
/// # Errors
///
/// There is no such scenario, no regtest node in a data directory, or it does not do what it should.
pub fn run(options: cli::Attack) -> Result<(), Failure> {
    if options.list {
        return print(&list());
    }
    let scenario = scenario(options.scenario.as_deref().unwrap_or_default())?;
    let datadir = options.datadir.as_deref().context("no data directory is named")?;
    let victim = find(datadir)?;
    let mut page = format!("{} {}\n{}", scenario.detector, scenario.name, about(scenario));
    page += &format!("  node    {} at {}\n", datadir.display(), victim.p2p_address());
    let uptime = victim.rpc("uptime", json!([])).ok().and_then(|uptime| uptime.as_u64());
    let silent = Limit::GuardRestart.row().default;
    if let Some(uptime) = uptime.filter(|uptime| (*uptime as f64) < silent) {
        page += &format!(
            "  note    it was started {uptime} s ago; detectors tell nothing before {silent} s, unless `guard.restart` says so\n"
        );
    }
    if options.strength > 1 {
        page += &format!("  times   {}\n", options.strength);
    }
    print(&page)?;
    block_on(stage(scenario, victim, usize::from(options.strength), options.hold.unwrap_or(scenario.hold)))
}

/// Stages it on a thread, which nothing waits for once a signal came or time is up.
async fn stage(scenario: &'static Scenario, victim: Victim, strength: usize, hold: Duration) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let begun = Instant::now();
    let (done, ended) = oneshot::channel();
    let staging = move || {
        // a reader that has gone away does not end an attack
        let mut say = |text: &str| drop(print(&format!("{:>7.1} s  {text}\n", begun.elapsed().as_secs_f64())));
        let result = scenario.stage(&mut Stage { victim: &victim, strength, hold, say: &mut say });
        // nobody listens any more after a signal
        let _ = done.send(result);
    };
    thread::Builder::new().name("attack".to_owned()).spawn(staging).context("failed to start a thread")?;
    let limit = scenario.limit + hold;
    tokio::select! {
        result = ended => {
            result.context("the attack ended without a word")??;
            print(&format!("done after {} s; every connection is closed\n", begun.elapsed().as_secs()))
        }
        () = signals.received() => print("ended by a signal; every connection is closed\n"),
        () = tokio::time::sleep(limit) => Err(Failure::new(Code::Failure, anyhow!("`{}` was not done within {} s", scenario.name, limit.as_secs()))
            .hint("the node is too slow for it, or does something else; every connection is closed")),
    }
}

/// The scenario of this name.
fn scenario(name: &str) -> Result<&'static Scenario, Failure> {
    Scenario::of_name(name).ok_or_else(|| {
        let near = SCENARIOS.iter().map(|scenario| (strsim::jaro_winkler(name, scenario.name), scenario.name));
        let near = near.filter(|(likeness, _)| *likeness > 0.7).max_by(|a, b| a.0.total_cmp(&b.0));
        let shown: String = name.chars().take(60).collect();
        Failure::new(Code::Usage, anyhow!("there is no scenario {shown:?}")).hint(match near {
            Some((_, near)) => format!("did you mean `{near}`? `peer-observer attack --list` has them all"),
            None => "`peer-observer attack --list` has them all".to_owned(),
        })
    })
}

/// The regtest node of a data directory.
fn find(datadir: &Path) -> Result<Victim, Failure> {
    let none = |text: String, hint: &'static str| Failure::new(Code::NoNode, anyhow!(text)).hint(hint);
    let folder = datadir.join(REGTEST);
    if !folder.is_dir() {
        return Err(none(
            format!("{} is no data directory of a regtest node: there is no folder `{REGTEST}` in it", datadir.display()),
            "attacks are for `bitcoind -regtest -datadir=DIR` only; name that DIR",
        ));
    }
    let not_running = |reason: String| {
        none(
            format!("no regtest node runs in {}: {reason}", datadir.display()),
            "start it: `bitcoind -regtest -datadir=DIR -bind=127.0.0.1 -daemon`, and without `-pid=`",
        )
    };
    let pid = process(&folder.join("bitcoind.pid")).map_err(|error| not_running(format!("{error:#}")))?;
    let place = place(datadir, pid).map_err(|error| not_running(format!("{error:#}")))?;
    let settings = place.settings();
    if !settings.folder.ends_with(REGTEST) {
        return Err(none(
            format!("process {pid}, which {} names, is no regtest node", folder.join("bitcoind.pid").display()),
            "attacks are for `bitcoind -regtest` only; a file that a crash has left behind can be deleted",
        ));
    }
    let target = Access::default().target(&place);
    // as the extractors read it: only if it is the node's own
    target.secret.read().map_err(|error| {
        let hint = error.hint();
        Failure::new(Code::NotPermitted, error).hint(hint)
    })?;
    let Secret::NodesCookie(cookie, _) = &target.secret else {
        return Err(anyhow!("without settings of RPC, {} is no cookie that a node wrote", target.secret).into());
    };
    let rpc: SocketAddr = target.address.parse().with_context(|| format!("RPC is at {}", target.address))?;
    Victim::new(settings.p2p_address(), rpc, cookie).map_err(|refusal| {
        let hint = refusal.hint();
        Failure::new(Code::NoNode, anyhow::Error::new(refusal).context(format!("{} is not attacked", datadir.display()))).hint(hint)
    })
}

/// The process that a pid file names.
fn process(file: &Path) -> anyhow::Result<u32> {
    let mut text = String::new();
    let opened = std::fs::File::open(file).with_context(|| format!("failed to open {}", file.display()))?;
    opened.take(LONGEST_PID_FILE).read_to_string(&mut text).with_context(|| format!("failed to read {}", file.display()))?;
    text.trim().parse().with_context(|| format!("{} has no process id in it", file.display()))
}

/// What the node's process says of where things are.
fn place(datadir: &Path, pid: u32) -> anyhow::Result<Place> {
    let folder = Path::new("/proc").join(pid.to_string());
    let line = std::fs::read(folder.join("cmdline")).with_context(|| format!("its process {pid} is gone"))?;
    let command = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    Ok(Place {
        datadir: Some(datadir.to_owned()),
        command: command.filter(|word| !word.is_empty()).collect(),
        working: std::fs::read_link(folder.join("cwd")).ok(),
        owner: Some(std::fs::metadata(&folder).with_context(|| format!("its process {pid} is gone"))?.uid()),
    })
}

/// What can be staged.
fn list() -> String {
    let mut page = String::new();
    for scenario in SCENARIOS {
        page += &format!("{} {}\n{}", scenario.detector, scenario.name, about(scenario));
        let (limit, hold) = (scenario.limit.as_secs(), scenario.hold.as_secs());
        page += &match hold {
            0 => format!("  lasts   {limit} s at most, and `--hold` more\n\n"),
            _ => format!("  lasts   {limit} s at most, and {hold} s more, which `--hold` changes\n\n"),
        };
    }
    page.pop();
    page
}

fn about(scenario: &Scenario) -> String {
    let leaves = if scenario.leaves.is_empty() { "nothing" } else { scenario.leaves };
    format!("  does    {}\n  shows   {}\n  leaves  {leaves}\n", scenario.does, scenario.shows)
}
