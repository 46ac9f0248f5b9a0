//! Makes the logs that the tests and the bench of `event::log` read, from real nodes.
//!
//! ```text
//! cargo run --release -p po-event --example record_log -- fixtures fixtures/log/v31 BITCOIND
//! cargo run --release -p po-event --example record_log -- reference FILE BITCOIND [TRANSACTIONS]
//! ```
//!
//! `fixtures` writes `options.log` (a life with every combination of the options that change how lines look) and `play.log` (the scenario
//! of the demonstration with every category on); of both a few lines of every shape are kept. `reference` writes the whole
//! log of a node that relays transactions between peers, with every category on.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use event::log::{Options, Parser};
use serde_json::json;
use testkit::{Node, Peer, node, peer, scenario, wait};

/// Lines of one pattern that are kept of a scenario.
const KEPT_OF_PATTERN: usize = 3;

/// Lines that are kept of each life with other options.
const KEPT_OF_LIFE: usize = 9;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["fixtures", folder, program] => fixtures(Path::new(folder), program.into()),
        ["reference", file, program] => reference(file, program.into(), 2000),
        ["reference", file, program, transactions] => reference(file, program.into(), transactions.parse()?),
        _ => bail!("usage: record_log fixtures FOLDER BITCOIND | reference FILE BITCOIND [TRANSACTIONS]"),
    }
}

fn fixtures(folder: &Path, program: PathBuf) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("options.log"), options(program.clone())?)?;

    let main = Node::start(node::Options { executable: Some(program), ..everything(scenario::main_options()) })?;
    let played = scenario::play(&main, 1)?;
    drop(played);
    fs::write(folder.join("play.log"), few_of_each(&log(&main)?))?;
    println!("{}", folder.display());
    Ok(())
}

/// Every category, and everything that a line may carry but its place in the source.
fn everything(options: node::Options) -> node::Options {
    let args = ["-debug=1", "-logips", "-logtimemicros", "-logthreadnames"].map(str::to_owned);
    node::Options { args: options.args.into_iter().chain(args).collect(), ..options }
}

/// A life with every combination of the options, one after another into the same file.
fn options(program: PathBuf) -> anyhow::Result<Vec<u8>> {
    const OPTIONS: [&str; 6] = ["timestamps", "timemicros", "threadnames", "sourcelocations", "levelalways", "ips"];
    let mut kept = Vec::new();
    for combination in 0..1 << OPTIONS.len() {
        let args = (0..OPTIONS.len()).map(|bit| {
            let on = u8::from(combination & (1 << bit) != 0);
            format!("-log{}={on}", OPTIONS[bit])
        });
        let options =
            node::Options { executable: Some(program.clone()), args: args.collect(), debug: vec!["1"], ..Default::default() };
        let mut node = Node::start(options)?;
        let peer = Peer::connect(node.p2p_address(), &peer::Options::default())?;
        peer.ping()?;
        // an address that nobody has a key for
        node.rpc("generatetodescriptor", json!([1, "raw(51)"]))?;
        drop(peer);
        node.wait_for_log("Cleared nodestate")?;
        node.stop()?;
        let log = fs::read(node.network_datadir().join("debug.log"))?;
        kept.extend(life(&log));
    }
    Ok(kept)
}

/// The beginning of a life, and some lines that differ in what is before the message.
fn life(log: &[u8]) -> Vec<u8> {
    const WANTED: [&str; KEPT_OF_LIFE] = [
        "Bitcoin Core version",
        "init message: Loading P2P",
        "Added connection",
        "received: ping",
        "receive version message",
        "UpdateTip: ",
        "BlockConnected: ",
        "socket closed",
        "Shutdown done",
    ];
    let mut kept = b"\n\n\n\n\n".to_vec();
    let mut missing = WANTED.to_vec();
    for line in log.split(|c| *c == b'\n') {
        let text = String::from_utf8_lossy(line);
        if let Some(at) = missing.iter().position(|wanted| text.contains(wanted)) {
            missing.remove(at);
            kept.extend(line);
            kept.push(b'\n');
        }
    }
    kept
}

/// The first lines of every pattern, in the order of the log.
fn few_of_each(log: &[u8]) -> Vec<u8> {
    let mut parser = Parser::new(Options { unmatched: true });
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut kept = Vec::new();
    for line in log.split_inclusive(|c| *c == b'\n') {
        let before: Vec<u64> = parser.counts().map(|(_, lines)| lines).collect();
        let mut shapes = Vec::new();
        parser.line(line.strip_suffix(b"\n").unwrap_or(line), &mut |_, kind| {
            if let event::Kind::HealthTemplate(template) = kind {
                shapes.push(template.template);
            }
        });
        shapes.extend(parser.counts().zip(before).filter(|((_, now), before)| now != before).map(|((text, _), _)| text.to_owned()));
        let new = shapes.into_iter().any(|shape| {
            let count = seen.entry(shape).or_default();
            *count += 1;
            *count <= KEPT_OF_PATTERN
        });
        if new {
            kept.extend(line);
        }
    }
    kept
}

/// Payments flow from one node through the observed one to another and to a crowd of peers; a block every hundred.
fn reference(file: &str, program: PathBuf, transactions: usize) -> anyhow::Result<()> {
    const BLOCK: usize = 100;
    const PEERS: usize = 12;
    let options = || node::Options { executable: Some(program.clone()), wallet: true, ..Default::default() };
    let (payer, payee) = (Node::start(options())?, Node::start(options())?);
    // libevent has a dozen lines for each of the calls made here: they would be most of the log
    let args = vec!["-debugexclude=libevent".to_owned()];
    let main = Node::start(everything(node::Options { wallet: false, args, ..options() }))?;
    for node in [&payer, &payee] {
        node.rpc("addnode", json!([main.p2p_address(), "onetry"]))?;
    }
    wait::until("both nodes to be connected", wait::LONG, || Ok((main.rpc("getconnectioncount", json!([]))? == 2).then_some(())))?;
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        peers.push(Peer::connect(main.p2p_address(), &peer::Options::default())?);
    }
    let address = payer.rpc("getnewaddress", json!([]))?;
    let other = payee.rpc("getnewaddress", json!([]))?;
    payer.rpc("generatetoaddress", json!([101 + transactions / 20, address]))?;
    // many coins, so that no chain of unconfirmed payments gets too long
    for _ in 0..transactions / 50 + 1 {
        let outputs: serde_json::Map<_, _> = (0..60)
            .map(|_| Ok((payer.rpc("getnewaddress", json!([]))?.as_str().context("an address is text")?.to_owned(), json!(0.2))))
            .collect::<anyhow::Result<_>>()?;
        payer.rpc("sendmany", json!(["", outputs]))?;
    }
    payer.rpc("generatetoaddress", json!([1, address]))?;
    for number in 1..=transactions {
        payer.rpc("sendtoaddress", json!([other, 0.01]))?;
        for peer in &peers {
            peer.ping()?;
        }
        if number % BLOCK == 0 {
            let count = payer.rpc("getmempoolinfo", json!([]))?["size"].clone();
            wait::until("the payments to arrive", wait::LONG, || {
                Ok((main.rpc("getmempoolinfo", json!([]))?["size"] == count).then_some(()))
            })?;
            payer.rpc("generatetoaddress", json!([1, address]))?;
            node::wait_for_same_tip(&[&payer, &main, &payee])?;
        }
    }
    drop(peers);
    let log = log(&main)?;
    fs::write(file, &log)?;
    println!("{file}: {} bytes", log.len());
    Ok(())
}

fn log(node: &Node) -> anyhow::Result<Vec<u8>> {
    let file = node.network_datadir().join("debug.log");
    fs::read(&file).with_context(|| format!("failed to read {}", file.display()))
}
