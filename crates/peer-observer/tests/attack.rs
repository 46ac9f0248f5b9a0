//! `peer-observer attack`: whom it refuses, what each scenario does to a real node, and that an observer beside the node sees it.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

#[path = "program/operator.rs"]
mod operator;
mod program;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use expect_test::{Expect, expect};
use operator::{Matter, Operator};
use program::{Running, may_trace, output, program};
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::attack::{SCENARIOS, Victim};
use testkit::{Node, Peer, attack, node, wait};

/// An attack that is under way.
fn start(scenario: &str, node: &Node, more: &[&str]) -> Running {
    Running::start(program().args(["attack", scenario, "--datadir"]).arg(node.datadir()).args(more))
}

/// Until an attack is staged. It gives up by itself when that takes too long, and its end ends the waiting.
const STAGED: Duration = Duration::from_mins(12);

/// An attack from beginning to end.
#[track_caller]
fn whole(scenario: &str, node: &Node) -> Vec<String> {
    let mut running = start(scenario, node, &["--hold=1ms"]);
    let lines = running.wait_within("the end", STAGED, |line| line.starts_with("done after "));
    let (_, errors, status) = running.end(Signal::CONT);
    assert!(status.success(), "{errors:#?}");
    lines
}

/// An attack up to a line, at whose point `look` is wanted to be so; then it is ended, and the node has no connection of it any more.
#[track_caller]
fn until(scenario: &str, node: &Node, line: &str, look: impl Fn() -> bool) {
    let mut running = start(scenario, node, &["--hold=1h"]);
    running.wait_within(line, STAGED, |said| said.contains(line));
    wait::until(format!("what `{scenario}` does"), wait::LONG * 3, || Ok(look().then_some(()))).unwrap();
    let (lines, errors, status) = running.end(Signal::INT);
    assert!(status.success(), "{errors:#?}");
    assert_eq!(lines.last().unwrap(), "ended by a signal; every connection is closed");
    wait::until("all of it to be gone", wait::LONG, || Ok(peers(node).is_empty().then_some(()))).unwrap();
}

fn peers(node: &Node) -> Vec<Value> {
    node.rpc("getpeerinfo", json!([])).unwrap().as_array().unwrap().clone()
}

/// What the node says of its peers from a range.
fn from(node: &Node, range: &str) -> Vec<Value> {
    let of_it = |peer: &Value| peer["addr"].as_str().unwrap().starts_with(range);
    peers(node).into_iter().filter(of_it).collect()
}

fn number(node: &Node, method: &str, name: &str) -> u64 {
    node.rpc(method, json!([])).unwrap()[name].as_u64().unwrap()
}

fn logging(categories: &[&'static str]) -> Node {
    started(node::Options { debug: categories.to_vec(), ..node::Options::default() })
}

/// A node as it is watched: its initial download is over, and nothing waits until that is noticed.
fn started(options: node::Options) -> Node {
    let node = Node::start(options).unwrap();
    attack::leave_download(&Victim::of(&node)).unwrap();
    node
}

/// How many lines of the node's log contain this.
fn logged(node: &Node, text: &str) -> usize {
    node.log().unwrap().lines().filter(|line| line.contains(text)).count()
}

// ---- whom it refuses

/// Fails with this code and these words, and prints nothing else.
#[track_caller]
fn refuses(folder: &Path, args: &[&str], code: i32, expect: Expect) {
    let output = output(args);
    let text = String::from_utf8(output.stderr).unwrap().replace(&folder.display().to_string(), "DIR");
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(output.stdout, b"", "nothing was staged");
    expect.assert_eq(&text);
}

#[test]
fn a_scenario_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    refuses(
        folder.path(),
        &["attack", "adr-flood", "--datadir", dir],
        2,
        expect![[r#"
        error: there is no scenario "adr-flood"
        hint: did you mean `addr_flood`? `peer-observer attack --list` has them all
    "#]],
    );
}

#[test]
fn a_data_directory_of_another_network_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("blocks")).unwrap();
    fs::write(folder.path().join("bitcoind.pid"), std::process::id().to_string()).unwrap();
    refuses(
        folder.path(),
        &["attack", "D01", "--datadir", folder.path().to_str().unwrap()],
        3,
        expect![[r#"
        error: DIR is no data directory of a regtest node: there is no folder `regtest` in it
        hint: attacks are for `bitcoind -regtest -datadir=DIR` only; name that DIR
    "#]],
    );
}

#[test]
fn a_data_directory_without_a_node_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let regtest = folder.path().join("regtest");
    fs::create_dir(&regtest).unwrap();
    let args = ["attack", "D01", "--datadir", folder.path().to_str().unwrap()];
    refuses(
        folder.path(),
        &args,
        3,
        expect![[r#"
        error: no regtest node runs in DIR: failed to open DIR/regtest/bitcoind.pid: No such file or directory (os error 2)
        hint: start it: `bitcoind -regtest -datadir=DIR -bind=127.0.0.1 -daemon`, and without `-pid=`
    "#]],
    );
    // no process has this number
    fs::write(regtest.join("bitcoind.pid"), "4194305").unwrap();
    refuses(
        folder.path(),
        &args,
        3,
        expect![[r#"
        error: no regtest node runs in DIR: its process 4194305 is gone: No such file or directory (os error 2)
        hint: start it: `bitcoind -regtest -datadir=DIR -bind=127.0.0.1 -daemon`, and without `-pid=`
    "#]],
    );
    fs::write(regtest.join("bitcoind.pid"), "x".repeat(100_000)).unwrap();
    refuses(
        folder.path(),
        &args,
        3,
        expect![[r#"
        error: no regtest node runs in DIR: DIR/regtest/bitcoind.pid has no process id in it: invalid digit found in string
        hint: start it: `bitcoind -regtest -datadir=DIR -bind=127.0.0.1 -daemon`, and without `-pid=`
    "#]],
    );
}

/// A data directory whose pid file names a process with this command line, which is none of a node and serves what `answer` says at its RPC port.
struct Pretended {
    folder: tempfile::TempDir,
    process: std::process::Child,
}

impl Pretended {
    fn start(words: &[&str], answer: Option<&'static str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let regtest = folder.path().join("regtest");
        fs::create_dir(&regtest).unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        // `exec -a` gives a process whose command line is a node's
        let script = format!("exec -a bitcoind bash -c 'read' bitcoind {} -rpcport={port}", words.join(" "));
        let mut process = std::process::Command::new("bash")
            .args(["-c", &script])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("bash is there");
        let line = format!("/proc/{}/cmdline", process.id());
        wait::until("the process to call itself a node", wait::LONG, || {
            Ok(fs::read(&line)?.starts_with(b"bitcoind\0").then_some(()))
        })
        .unwrap_or_else(|error| {
            let _ = process.kill();
            panic!("{error}");
        });
        fs::write(regtest.join("bitcoind.pid"), process.id().to_string()).unwrap();
        fs::write(regtest.join(".cookie"), "__cookie__:00").unwrap();
        if let Some(answer) = answer {
            std::thread::spawn(move || server.incoming().flatten().for_each(|stream| serve(stream, answer)));
        }
        Self { folder, process }
    }

    #[track_caller]
    fn refused(&self, code: i32, expect: Expect) {
        let args = ["attack", "D01", "--datadir", self.folder.path().to_str().unwrap()];
        let output = output(&args);
        let pid = self.process.id().to_string();
        let text = String::from_utf8(output.stderr).unwrap().replace(&self.folder.path().display().to_string(), "DIR");
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert_eq!(output.stdout, b"", "nothing was staged");
        expect.assert_eq(&text.replace(&format!("process {pid}"), "process PID"));
    }
}

impl Drop for Pretended {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Answers a call, whatever it is.
fn serve(stream: std::net::TcpStream, result: &str) {
    let mut reader = BufReader::new(&stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        if let Some((_, value)) = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    let _ = reader.read_exact(&mut body);
    let body = format!("{{\"result\":{result},\"error\":null,\"id\":1}}");
    let _ = write!(&stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
}

/// Where everything says regtest but the node, nothing is sent.
#[test]
fn a_node_that_says_signet_is_refused() {
    Pretended::start(&["-regtest"], Some("{\"chain\":\"signet\"}")).refused(
        3,
        expect![[r#"
        error: DIR is not attacked: the node says that its chain is "signet", not "regtest"
        hint: attacks are for `bitcoind -regtest` only, in a data directory of their own
    "#]],
    );
}

#[test]
fn a_process_of_another_network_is_refused() {
    Pretended::start(&["-signet"], None).refused(
        3,
        expect![[r#"
        error: process PID, which DIR/regtest/bitcoind.pid names, is no regtest node
        hint: attacks are for `bitcoind -regtest` only; a file that a crash has left behind can be deleted
    "#]],
    );
}

#[test]
fn a_node_that_is_not_on_loopback_is_refused() {
    Pretended::start(&["-regtest", "-bind=192.0.2.1:18444"], Some("{\"chain\":\"regtest\"}")).refused(
        3,
        expect![[r#"
        error: DIR is not attacked: the node's P2P port is at 192.0.2.1:18444, which is not of 127.0.0.0/8
        hint: start it with `-bind=127.0.0.1:PORT`: attacks do not leave this machine
    "#]],
    );
}

/// The magic bytes of regtest are all that is ever sent, and all that is ever understood.
#[test]
fn a_port_that_does_not_speak_regtest_is_refused() {
    let mainnet = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = mainnet.local_addr().unwrap();
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = mainnet.accept().unwrap();
        let mut magic = [0; 4];
        stream.read_exact(&mut magic).unwrap();
        // a verack, of mainnet
        stream.write_all(b"\xf9\xbe\xb4\xd9verack\0\0\0\0\0\0\0\0\0\0\x5d\xf6\xe0\xe2").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
        magic
    });
    let bind = format!("-bind={address}");
    let pretended = Pretended::start(&["-regtest", &bind], Some("{\"chain\":\"regtest\"}"));
    let output = output(&["attack", "D01", "--datadir", pretended.folder.path().to_str().unwrap()]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0), "{text}");
    assert!(text.contains(&format!("no regtest node shakes hands at {address}: ")), "{text}");
    assert_eq!(heard.join().unwrap(), [0xfa, 0xbf, 0xb5, 0xda]);
}

// ---- what can be staged

#[test]
fn the_list_and_the_manual_have_every_scenario() {
    let output = output(&["attack", "--list"]);
    assert!(output.status.success());
    let list = String::from_utf8(output.stdout).unwrap();
    let manual = include_str!("../../../docs/attack.md");
    for scenario in SCENARIOS {
        assert!(list.contains(&format!("{} {}\n", scenario.detector, scenario.name)), "{scenario:?}");
        assert!(manual.contains(&format!("| {} | `{}` |", scenario.detector, scenario.name)), "{scenario:?}");
    }
    assert!(SCENARIOS.windows(2).all(|pair| pair[0].detector < pair[1].detector), "not in the order of the catalogue");
}

/// Not to be staged on loopback: strangers at several nodes and groups of outbound peers are told apart by addresses of the Internet (D13, D19), and
/// D59 is about the observer.
const ELSEWHERE: [&str; 3] = ["D13", "D19", "D59"];

#[test]
fn every_other_detector_has_a_scenario_of_its_name() {
    for entry in detect::all().iter().filter(|entry| !ELSEWHERE.contains(&entry.about.id)) {
        let scenario = SCENARIOS.iter().find(|scenario| scenario.detector == entry.about.id);
        assert_eq!(scenario.map(|scenario| scenario.name), Some(entry.about.name), "{}", entry.about.id);
    }
}

// ---- what it does to a node

#[test]
fn addr_flood() {
    testkit::need_node!();
    let node = logging(&[]);
    until("addr_flood", &node, "it stays", || {
        let [peer] = &from(&node, "127.71.1.")[..] else { return false };
        peer["addr_processed"].as_u64().unwrap() + peer["addr_rate_limited"].as_u64().unwrap() == 250
    });
}

#[test]
fn addr_surge() {
    testkit::need_node!();
    let node = logging(&[]);
    until("addr_surge", &node, "they stay", || {
        let peers = from(&node, "127.72.");
        let count = |peer: &Value| peer["addr_processed"].as_u64().unwrap() + peer["addr_rate_limited"].as_u64().unwrap();
        peers.len() == 20 && peers.iter().map(count).sum::<u64>() == 3800
    });
}

#[test]
fn peer_loss() {
    testkit::need_node!();
    let node = logging(&[]);
    until("peer_loss", &node, "they stay", || peers(&node).len() == 40);
    let mut running = start("peer_loss", &node, &["--hold=1ms"]);
    running.wait_within("their end", STAGED, |line| line.contains("three of four are gone, 10 are left"));
    wait::until("thirty to be gone", wait::LONG, || Ok((peers(&node).len() == 10).then_some(()))).unwrap();
    assert!(running.end(Signal::TERM).2.success());
}

#[test]
fn slot_churn() {
    testkit::need_node!();
    let node = started(node::Options { max_connections: Some(32), debug: vec!["net"], ..node::Options::default() });
    let mut running = start("slot_churn", &node, &["--hold=1s"]);
    running.wait_for("the second wave", |line| line.contains(" more came, "));
    assert_eq!(number(&node, "getnetworkinfo", "connections_in"), 21);
    // of one group the youngest goes first: newcomers push out newcomers
    assert!(!from(&node, "127.78.").is_empty());
    assert!(running.end(Signal::TERM).2.success());
}

#[test]
fn range_churn() {
    testkit::need_node!();
    let node = logging(&["net"]);
    whole("range_churn", &node);
    // Bitcoin Core answers before it writes who it was
    let last = || Ok((logged(&node, "receive version message: /wallet:") >= 25).then_some(()));
    wait::until("the last of them", wait::LONG, last).unwrap();
    assert_eq!(logged(&node, "receive version message: /wallet:"), 25);
}

#[test]
fn listener() {
    testkit::need_node!();
    let node = logging(&[]);
    until("listener", &node, "they listen", || {
        let peers = from(&node, "127.71.14.");
        // an announcement takes 36 bytes
        let told = |peer: &Value| peer["bytessent_per_msg"]["inv"].as_u64() >= Some(100 * 36);
        let asks = |peer: &Value| peer["bytesrecv_per_msg"].get("getdata").is_some();
        peers.len() == 6 && peers.iter().all(|peer| told(peer) && !asks(peer)) && number(&node, "getmempoolinfo", "size") == 600
    });
}

#[test]
fn false_identity() {
    testkit::need_node!();
    let node = logging(&["net"]);
    whole("false_identity", &node);
    for identity in testkit::attack::IDENTITIES {
        let claim = format!("receive version message: {}: version {}, ", identity.user_agent, identity.version);
        assert_eq!(logged(&node, &claim), 3, "{claim}");
    }
}

#[test]
fn agent_lottery() {
    testkit::need_node!();
    let node =
        Node::start(node::Options { debug: vec!["net"], args: vec!["-logips".to_owned()], ..node::Options::default() }).unwrap();
    whole("agent_lottery", &node);
    let log = node.log().unwrap();
    let of_host = |line: &&str| line.contains("receive version message: ") && line.contains("127.71.16.1:");
    let agent = |line: &str| line.split("message: ").nth(1).unwrap().split(": version").next().unwrap().to_owned();
    let agents: std::collections::BTreeSet<String> = log.lines().filter(of_host).map(agent).collect();
    assert_eq!(agents.len(), 15, "{agents:?}");
}

#[test]
fn ping_flood() {
    testkit::need_node!();
    let node = logging(&[]);
    until("ping_flood", &node, "it stays", || {
        let [peer] = &from(&node, "127.71.28.")[..] else { return false };
        // a thousand, five with one nonce, and one more to know that they were seen; 32 bytes each
        peer["bytesrecv_per_msg"]["ping"] == 1006 * 32
    });
}

#[test]
fn inv_queue() {
    testkit::need_node!();
    // on regtest, and only there, Bitcoin Core goes over its whole mempool after each transaction
    let node = started(node::Options { args: vec!["-checkmempool=0".to_owned()], ..node::Options::default() });
    // Bitcoin Core tells what waits from 31 on
    let tells = number(&node, "getnetworkinfo", "version") >= 310_000;
    until("inv_queue", &node, "they stay", || {
        let waits = |peer: &Value| peer["inv_to_send"].as_u64();
        let longest = from(&node, "127.71.39.").iter().map(waits).max().unwrap();
        longest.is_some() == tells
            && longest.is_none_or(|longest| longest > 10_000)
            && number(&node, "getmempoolinfo", "size") == 14_000
    });
}

#[test]
fn withheld_transaction() {
    testkit::need_node!();
    let node = logging(&[]);
    until("withheld_transaction", &node, "they give nothing", || {
        let asked = |peer: &Value| peer["bytessent_per_msg"]["getdata"].as_u64().unwrap_or_default();
        // 36 bytes for each of them, whoever was asked first
        from(&node, "127.71.42.").iter().map(asked).sum::<u64>() >= 80 * 36 && number(&node, "getmempoolinfo", "size") == 0
    });
}

#[test]
fn replacement() {
    testkit::need_node!();
    let node = logging(&["mempool"]);
    until("replacement", &node, "it stays", || {
        // 25 in the chain, two in each of three cycles; what stays are the chain's last, and each cycle's
        logged(&node, "replacing mempool tx") == 31 && number(&node, "getmempoolinfo", "size") == 4
    });
}

#[test]
fn reconstruction() {
    testkit::need_node!();
    let node = logging(&["cmpctblock"]);
    until("reconstruction", &node, "the peer stays", || {
        let log = node.log().unwrap();
        let asked = |line: &&str| line.contains("Successfully reconstructed block") && line.contains(" and 1 txn ");
        log.lines().filter(asked).count() == 30
    });
}

#[test]
fn withheld_block() {
    testkit::need_node!();
    let node = logging(&[]);
    until("withheld_block", &node, "those give nothing", || {
        let culprits = from(&node, "127.71.51.");
        let waits = |peer: &Value| peer["inflight"].as_array().unwrap().len() == 2;
        culprits.len() == 3 && culprits.iter().all(waits) && from(&node, "127.74.51.").len() == 3
    });
}

#[test]
fn bad_block() {
    testkit::need_node!();
    let node = logging(&["net", "validation"]);
    whole("bad_block", &node);
    for reason in [
        "mutated block",
        "bad-cb-amount",
        "invalid compact block/non-matching block transactions",
        "header with invalid proof of work",
    ] {
        assert!(logged(&node, reason) > 0, "{reason}");
    }
    let tips = node.rpc("getchaintips", json!([])).unwrap();
    assert!(tips.as_array().unwrap().iter().any(|tip| tip["status"] == "invalid"), "{tips:#}");
}

#[test]
fn stale_tip() {
    testkit::need_node!();
    // its initial download goes on until the attack ends it
    let node = Node::start(node::Options::default()).unwrap();
    let behind = || number(&node, "getblockchaininfo", "headers") - number(&node, "getblockchaininfo", "blocks");
    until("stale_tip", &node, "nobody delivers them", || behind() == 12);
    let mut running = start("stale_tip", &node, &["--hold=1ms"]);
    running.wait_within("the blocks", STAGED, |line| line.contains("another peer has delivered them"));
    // the second staging begins with a block of its own
    assert_eq!((behind(), number(&node, "getblockchaininfo", "blocks")), (0, 15));
    assert!(running.end(Signal::TERM).2.success());
}

#[test]
fn fork() {
    testkit::need_node!();
    let node = logging(&[]);
    until("fork", &node, "the peer stays", || {
        let tips = node.rpc("getchaintips", json!([])).unwrap();
        let tips = tips.as_array().unwrap();
        let left = |tip: &Value| tip["status"] == "valid-fork" && tip["branchlen"] == 3;
        tips.len() == 2 && tips.iter().any(left) && number(&node, "getblockchaininfo", "blocks") == 5
    });
}

// ---- what is seen of it

/// A scenario, how it is staged, within which time it is known everywhere once the attack has said what it did, and how it ends.
struct Seen {
    scenario: &'static str,
    /// More than `--datadir`; that it lasts, unless something else is said, until it is known everywhere.
    more: &'static [&'static str],
    /// How its node is started.
    node: node::Options,
    /// The line that comes before the observer does, where somebody has to be there already.
    before: Option<&'static str>,
    /// The line after whose coming it should be seen.
    after: &'static str,
    within: Duration,
    end: End,
}

/// How an attack ends.
#[derive(Clone, Copy)]
enum End {
    /// Whoever is still connected leaves.
    Leaves,
    /// It goes on until it says this.
    Says(&'static str),
    /// So many blocks come of which the node has everything.
    Blocks(u8),
    /// So many peers come and stay.
    Peers(u8),
    /// Not before a day is over: that is not waited for.
    Lasts,
}

/// From the last act of an attack to the line, where the product states no other time: the slowest tick of a detector (10 s), the two
/// seconds for which the engine waits for late events, and much more for a machine that has a dozen nodes to run. How soon a detector is to speak
/// is looked at in `detectors_real.rs`.
const SOON: Duration = Duration::from_secs(75);

/// From the end of an attack to the end of its incident: two minutes of quiet are the rule, and [`LAB`] says what else is waited for; the longest
/// is the 75 seconds of D15, and a minute until it looks again.
const OVER: Duration = Duration::from_mins(6);

/// As in docs/attack.md: nothing is held back because a node is young, and what would last for minutes, an hour or a day is over soon. None makes a
/// detector see more, but for the quarter of an hour of peers who listen or are missed, and the ten minutes of full slots, which are seconds here, and for
/// what is usual of addresses, which is learned for days. An attack that waits for the
/// node does so by pings: those are no attack of their own.
const LAB: &str = r#"
"guard.restart" = 0
"finding.settle" = 0
"d02.usual" = 500
"d09.established" = 5
"d10.full" = 5
"d10.evicted_warn" = 1000
"d11.lasts" = 30
"d14.age" = 5
"d15.lasts" = 75
"d16.lasts" = 30
"d28.pings_warn" = 100
"d45.lasts" = 30
"d50.blocks" = 24
"d51.lasts" = 60
"d52.lasts" = 30
"d55.lasts" = 30
"#;

const STAYS: &[&str] = &["--hold=10m"];

#[test]
fn what_connections_do_is_told_everywhere_and_ends() {
    let few_slots = node::Options { max_connections: Some(32), ..plain() };
    let delivers = End::Says("another peer has delivered them");
    let seen =
        |scenario, after, within| Seen { scenario, more: STAYS, node: plain(), before: None, after, within, end: End::Leaves };
    sees(vec![
        // it looks every five minutes
        Seen { end: End::Lasts, ..seen("addr_surge", "they stay", Duration::from_mins(6)) },
        seen("bad_block", "a header without work", SOON),
        Seen { node: few_slots, more: &["--hold=15s"], ..seen("slot_churn", "more came", SOON) },
        seen("addr_flood", "it stays", SOON),
        seen("range_churn", "came and left", SOON),
        // eight trickles of a Poisson process, five seconds each on average
        seen("listener", "they listen", Duration::from_mins(5)),
        seen("false_identity", "sessions in all", Duration::from_mins(4)),
        seen("ping_flood", "it stays", SOON),
        // not beside the other three of its family: a fourth joins the oldest of them
        Seen { more: &["--hold=170s"], end: delivers, ..seen("stale_tip", "nobody delivers them", Duration::from_secs(165)) },
    ]);
}

#[test]
fn what_transactions_and_blocks_do_is_told_everywhere_and_ends() {
    let unchecked = node::Options { args: vec!["-checkmempool=0".to_owned()], ..plain() };
    let seen =
        |scenario, after, within| Seen { scenario, more: STAYS, node: plain(), before: None, after, within, end: End::Leaves };
    sees(vec![
        // those who come count for five minutes against those who go
        Seen {
            more: &["--hold=2m"],
            before: Some("they stay"),
            end: End::Peers(50),
            ..seen("peer_loss", "three of four are gone", Duration::from_mins(2))
        },
        // first of its family: what is about the fleet joins the oldest that lasts
        seen("fork", "the peer stays", SOON),
        seen("withheld_transaction", "they give nothing", Duration::from_mins(4)),
        seen("withheld_block", "those give nothing", Duration::from_mins(3)),
        seen("agent_lottery", "under 15 names", Duration::from_secs(150)),
        seen("replacement", "it stays", SOON),
        Seen { end: End::Blocks(24), ..seen("reconstruction", "the peer stays", Duration::from_mins(4)) },
        Seen { node: unchecked, ..seen("inv_queue", "they stay", Duration::from_mins(3)) },
    ]);
}

fn plain() -> node::Options {
    node::Options::default()
}

/// One observer, whose operator has a book, a webhook and an Alertmanager; a node and an attack for each detector. Each attack is seen in all four
/// places, and its end is. The next is staged while one is waited for.
#[track_caller]
fn sees(seen: Vec<Seen>) {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    let nodes: Vec<(&str, Node)> = seen.iter().map(|seen| (seen.scenario, started(seen.node.clone()))).collect();
    let named: Vec<(&str, &Node)> = nodes.iter().map(|(name, node)| (*name, node)).collect();
    let begin = |seen: &Seen, node: &Node, line: &str| {
        let mut running = start(seen.scenario, node, seen.more);
        running.wait_within(line, STAGED, |said| said.contains(line));
        running
    };
    let before: Vec<Option<Running>> =
        seen.iter().zip(&named).map(|(seen, (_, node))| seen.before.map(|line| begin(seen, node, line))).collect();
    let operator = Operator::beside(&named, LAB);
    std::thread::scope(|scope| {
        for ((seen, (_, node)), before) in seen.iter().zip(&named).zip(before) {
            let operator = &operator;
            if let Some(mut running) = before {
                scope.spawn(move || {
                    running.wait_within(seen.after, wait::LONG * 4, |line| line.contains(seen.after));
                    whole_way(operator, seen, node, running, Instant::now());
                });
            } else {
                let (running, begun) = (begin(seen, node, seen.after), Instant::now());
                scope.spawn(move || whole_way(operator, seen, node, running, begun));
            }
        }
    });
    operator.ends();
}

/// From an attack to the end of its incident.
fn whole_way(operator: &Operator, seen: &Seen, node: &Node, mut running: Running, begun: Instant) {
    let detector = SCENARIOS.iter().find(|scenario| scenario.name == seen.scenario).unwrap().detector;
    // a chain that parts is a matter of the fleet
    let matter = Matter { detector, node: if detector == "D55" { detect::FLEET } else { seen.scenario } };
    let (number, told) = operator.hears(matter, begun, seen.within);
    let victim = Victim::of(node);
    let mut others = Vec::new();
    match seen.end {
        End::Leaves | End::Lasts => {}
        End::Says(line) => drop(running.wait_within(line, wait::LONG * 3, |said| said.contains(line))),
        End::Blocks(count) => blocks_come(&victim, count),
        End::Peers(count) => others = attack::spread(&victim, 70, count).unwrap(),
    }
    let begun = Instant::now();
    assert!(running.end(Signal::INT).2.success());
    if let End::Lasts = seen.end {
        return println!("{detector} {}: told {told}", seen.scenario);
    }
    let over = operator.hears_the_end(matter, number, begun, OVER);
    println!("{detector} {}: told {told}; over {over}", seen.scenario);
    drop(others);
}

/// Blocks of which the node has everything, one after the other.
fn blocks_come(victim: &Victim, count: u8) {
    let peer = Peer::connect(victim.p2p_address(), &attack::at([127, 70, 50], 1)).unwrap();
    for tag in 0..count {
        attack::pass_on(victim, &peer, &attack::mine_in_secret(victim, &[], tag).unwrap()).unwrap();
    }
}
