//! A small regtest network in which, within a minute, everything happens that an observer should see.
//!
//! The bundled recording is made from it, so its steps are the same each time; what the nodes decide by chance (the
//! moment of an announcement, which inbound peer is evicted) is theirs.
//!
//! Around the observed node, `main`, there are
//! - **founder**, v2, which dials main and mined the chain,
//! - **legacy**, v1 only, a manual peer of main that also dials main itself,
//! - **rival**, v2, dialled by main as outbound-full-relay, which later mines a longer chain in secret,
//! - some thirty test peers, inbound and dialled, of which most behave.

use std::net::SocketAddr;
use std::thread;

use anyhow::{Context as _, ensure};
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::hashes::Hash as _;
use bitcoin::p2p::message::NetworkMessage;
use bitcoin::p2p::message_blockdata::{GetHeadersMessage, Inventory};
use bitcoin::{BlockHash, Transaction, Txid};
use serde_json::{Value, json};

use crate::cast::{self, Random};
use crate::node::{self, Node, wait_for_same_tip};
use crate::peer::{self, Listener, Peer, frame};
use crate::wait;

/// Low, so that a crowd of a size that a demonstration can show fills the node.
const MAX_CONNECTIONS: u16 = 40;

/// What [`MAX_CONNECTIONS`] leaves for inbound: Bitcoin Core keeps 8 full-relay, 2 block-relay-only and 1 feeler.
const MAX_INBOUND: usize = MAX_CONNECTIONS as usize - 11;

/// Test peers that are there from the beginning to the end.
const WATCHERS: usize = 8;

/// Peers that arrive when the node is full. Each pushes out one: of 29 inbound, Bitcoin Core protects 4 by network
/// group, 8 by ping, 4 by transactions, 4 by blocks, up to 8 that relay blocks only, and half of the rest by age.
const LATECOMERS: usize = 3;

/// Coinbases need 100 blocks on top.
const FIRST_BLOCKS: usize = 110;

/// How the observed node is to be started. More options may be added; a stricter set of `-debug` may not.
pub fn main_options() -> node::Options {
    node::Options {
        wallet: true,
        debug: vec!["net", "mempool", "mempoolrej", "cmpctblock", "validation", "txpackages", "addrman"],
        max_connections: Some(MAX_CONNECTIONS),
        ..node::Options::default()
    }
}

/// The network as the scenario leaves it, and what a recording of it must contain. Dropping it ends the network.
#[derive(Debug)]
pub struct Played {
    /// Dialled main over v2.
    pub founder: Node,
    /// Speaks v1 only.
    pub legacy: Node,
    /// Made the longer chain.
    pub rival: Node,
    /// Those of the test peers that are still connected.
    pub peers: Vec<Peer>,
    /// What the evicted peers' addresses were.
    pub evicted: Vec<SocketAddr>,
    /// What the misbehaving peers' addresses were.
    pub misbehaved: Vec<SocketAddr>,
    /// Transaction that left the mempool for [`Played::replacement`].
    pub replaced: String,
    /// Its replacement, with a higher fee.
    pub replacement: String,
    /// Transactions that main refused: no fee, a spoilt signature, unknown inputs.
    pub rejected: Vec<String>,
    /// Transaction that main had not seen before its block and had to ask for.
    pub missing_in_block: String,
    /// Block that the reorganisation left behind.
    pub stale_block: String,
    /// The tip of all four nodes.
    pub tip: String,
}

/// Plays all of it around `main`, which was started with [`main_options`] and has seen nothing yet.
pub fn play(main: &Node, seed: u64) -> anyhow::Result<Played> {
    let mut stage = Stage::set(main, seed)?;
    stage.found_the_chain()?;
    stage.fetch_addresses()?;
    stage.connect_the_nodes()?;
    stage.dial_test_peers()?;
    stage.let_watchers_in()?;
    stage.fund_the_wallets()?;
    stage.relay_and_mine()?;
    let missing_in_block = stage.mine_the_unseen()?;
    let (replaced, replacement) = stage.replace_a_transaction()?;
    stage.ask_questions(&replacement)?;
    let rejected = stage.offer_refused_transactions()?;
    stage.gossip()?;
    let misbehaved = stage.misbehave()?;
    stage.send_nonsense()?;
    let evicted = stage.overcrowd()?;
    stage.flood_with_pings()?;
    let (stale_block, tip) = stage.reorganise()?;
    stage.await_addresses()?;
    stage.let_some_go()?;
    step("done");
    let Stage { founder, legacy, rival, mut peers, .. } = stage;
    peers.retain(|peer| !peer.is_closed());
    Ok(Played {
        founder,
        legacy,
        rival,
        peers,
        evicted,
        misbehaved,
        replaced,
        replacement,
        rejected,
        missing_in_block,
        stale_block,
        tip,
    })
}

fn step(what: &str) {
    eprintln!("scenario: {what}");
}

struct Stage<'a> {
    main: &'a Node,
    founder: Node,
    legacy: Node,
    rival: Node,
    random: Random,
    /// Watchers first, then whoever came later.
    peers: Vec<Peer>,
}

impl<'a> Stage<'a> {
    fn set(main: &'a Node, seed: u64) -> anyhow::Result<Stage<'a>> {
        step("start three more nodes");
        let start = |v2transport| {
            Node::start(node::Options {
                v2transport,
                wallet: true,
                // they announce transactions at once; main takes its time, as any node does
                args: vec!["-whitelist=noban,in,out@127.0.0.0/8".to_owned()],
                ..node::Options::default()
            })
        };
        let [founder, legacy, rival] = thread::scope(|scope| {
            [true, false, true]
                .map(|v2transport| scope.spawn(move || start(v2transport)))
                .map(|thread| thread.join().expect("starting a node does not panic"))
        });
        Ok(Stage { main, founder: founder?, legacy: legacy?, rival: rival?, random: Random::new(seed), peers: Vec::new() })
    }

    fn found_the_chain(&self) -> anyhow::Result<()> {
        step("founder mines the chain");
        mine(&self.founder, FIRST_BLOCKS)?;
        Ok(())
    }

    /// Before anybody asks main for addresses: it keeps its first answer for a day.
    fn fetch_addresses(&mut self) -> anyhow::Result<()> {
        step("main fetches addresses from a seed (addr-fetch)");
        let options = peer::Options { user_agent: "/seed:1.0/".to_owned(), ..self.random.server() };
        let seed = self.dialled("addr-fetch", &options)?;
        seed.wait_for("getaddr")?;
        seed.send(self.random.gossip(100))?;
        seed.wait_closed()
    }

    fn connect_the_nodes(&self) -> anyhow::Result<()> {
        step("founder dials main (v2)");
        let main = self.main.p2p_address().to_string();
        self.founder.rpc("addnode", json!([main, "onetry", true]))?;
        self.await_peer("founder", |peer| peer["inbound"] == true && peer["transport_protocol_type"] == "v2")?;

        step("main dials legacy by hand, v2 first, then v1");
        let legacy = self.legacy.p2p_address().to_string();
        self.main.rpc("addnode", json!([legacy, "onetry", true]))?;
        self.await_peer("legacy", |peer| peer["addr"] == legacy && peer["transport_protocol_type"] == "v1")?;

        step("main dials rival as outbound-full-relay (v2)");
        self.dial_rival()?;

        step("legacy dials main (v1)");
        self.legacy.rpc("addconnection", json!([main, "outbound-full-relay", false]))?;
        self.await_peer("legacy", |peer| peer["inbound"] == true && peer["transport_protocol_type"] == "v1")?;

        step("the chain reaches all");
        self.await_tip()?;
        Ok(())
    }

    fn dial_rival(&self) -> anyhow::Result<()> {
        let rival = self.rival.p2p_address().to_string();
        self.main.rpc("addconnection", json!([rival, "outbound-full-relay", true]))?;
        self.await_peer("rival", |peer| peer["addr"] == rival && peer["version"] != 0)
    }

    fn dial_test_peers(&mut self) -> anyhow::Result<()> {
        step("main dials test peers: block-relay-only, feeler, manual");
        let options = self.random.server();
        self.peers.push(self.dialled("block-relay-only", &options)?);

        let options = self.random.server();
        let feeler = self.dial("feeler", &options)?.accept_silently(&options)?;
        feeler.wait_for("version")?;
        feeler.send_version(&options)?;
        feeler.wait_closed()?;

        let options = self.random.server();
        let listener = Listener::bind(options.source)?;
        self.main.rpc("addnode", json!([listener.address().to_string(), "onetry", false]))?;
        self.peers.push(listener.accept(&options)?);
        Ok(())
    }

    /// Lets main dial a new test peer.
    fn dialled(&self, connection_type: &str, options: &peer::Options) -> anyhow::Result<Peer> {
        self.dial(connection_type, options)?.accept(options).with_context(|| format!("no {connection_type} connection"))
    }

    fn dial(&self, connection_type: &str, options: &peer::Options) -> anyhow::Result<Listener> {
        let listener = Listener::bind(options.source)?;
        self.main.rpc("addconnection", json!([listener.address().to_string(), connection_type, false]))?;
        Ok(listener)
    }

    fn let_watchers_in(&mut self) -> anyhow::Result<()> {
        step("test peers come in and ask for addresses");
        for number in 0..WATCHERS {
            let options = peer::Options {
                // some of each sort: without addrv2, and not interested in transactions
                sendaddrv2: number % 2 == 0,
                relay: number != 1,
                start_height: FIRST_BLOCKS as i32,
                ..self.random.stranger()
            };
            let peer = Peer::connect(self.main.p2p_address(), &options)?;
            peer.send(NetworkMessage::GetAddr)?;
            self.peers.push(peer);
        }
        Ok(())
    }

    fn fund_the_wallets(&self) -> anyhow::Result<()> {
        step("founder pays the others");
        let mut amounts = serde_json::Map::new();
        for node in [self.main, &self.legacy, &self.rival] {
            for _ in 0..6 {
                amounts.insert(new_address(node)?, json!(2));
            }
        }
        let txid = text(self.founder.rpc("sendmany", json!(["", amounts]))?)?;
        await_transaction(self.main, &txid)?;
        mine(&self.founder, 1)?;
        self.await_tip()?;
        Ok(())
    }

    fn relay_and_mine(&self) -> anyhow::Result<()> {
        step("transactions cross the network");
        let nodes = self.nodes();
        let mut txids = Vec::new();
        for (from, to) in [(0, 1), (1, 0), (2, 3), (3, 2), (0, 3), (3, 0), (1, 2), (2, 1)] {
            txids.push(send(nodes[from], nodes[to])?);
        }
        for node in nodes {
            for txid in &txids {
                await_transaction(node, txid)?;
            }
        }
        step("every node mines a part of them");
        for (miner, part) in [&self.legacy, &self.rival, self.main, &self.founder].into_iter().zip(txids.chunks(2)) {
            miner.rpc("generateblock", json!([new_address(miner)?, part]))?;
            self.await_tip()?;
        }
        Ok(())
    }

    /// A compact block that main cannot put together from its mempool.
    fn mine_the_unseen(&self) -> anyhow::Result<String> {
        step("rival mines a transaction that nobody has seen");
        let seen = send(&self.rival, &self.founder)?;
        await_transaction(self.main, &seen)?;
        let unseen = spend(&self.rival, 0.001)?;
        self.rival.rpc("generateblock", json!([new_address(&self.rival)?, [seen, unseen.hex]]))?;
        self.await_tip()?;
        Ok(unseen.txid)
    }

    fn replace_a_transaction(&self) -> anyhow::Result<(String, String)> {
        step("rival replaces a transaction");
        let replaced = send(&self.rival, &self.legacy)?;
        await_transaction(self.main, &replaced)?;
        let replacement = text(self.rival.rpc("bumpfee", json!([replaced]))?["txid"].take())?;
        await_transaction(self.main, &replacement)?;
        Ok((replaced, replacement))
    }

    fn ask_questions(&self, txid: &str) -> anyhow::Result<()> {
        step("a test peer asks for headers, a block, a transaction and something unknown");
        let peer = self.watcher(2);
        let tip: BlockHash = text(self.main.rpc("getbestblockhash", json!([]))?)?.parse()?;
        let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Regtest).block_hash();
        peer.send(NetworkMessage::GetHeaders(GetHeadersMessage::new(vec![genesis], BlockHash::all_zeros())))?;
        peer.wait_for("headers")?;
        peer.send(NetworkMessage::GetData(vec![Inventory::WitnessBlock(tip)]))?;
        peer.wait_for("block")?;
        peer.send(NetworkMessage::GetData(vec![Inventory::CompactBlock(tip)]))?;
        peer.wait_for("cmpctblock")?;

        // main gives a transaction to those it has announced it to
        let transaction: Transaction = deserialize_hex(&text(self.main.rpc("getrawtransaction", json!([txid]))?)?)?;
        let wtxid = transaction.compute_wtxid();
        peer.wait_where(
            "the announcement of a transaction",
            |message| matches!(message.decode(), Ok(NetworkMessage::Inv(items)) if items.contains(&Inventory::WTx(wtxid))),
        )?;
        peer.send(NetworkMessage::GetData(vec![Inventory::WTx(wtxid)]))?;
        peer.wait_for("tx")?;
        peer.send(NetworkMessage::GetData(vec![Inventory::Transaction(Txid::from_byte_array([7; 32]))]))?;
        peer.wait_for("notfound")?;
        Ok(())
    }

    fn offer_refused_transactions(&mut self) -> anyhow::Result<Vec<String>> {
        step("a test peer offers transactions that main refuses");
        let peer = self.watcher(0);
        let free = spend(&self.legacy, 0.0)?;
        let mut spoilt: Transaction = deserialize_hex(&spend(&self.legacy, 0.001)?.hex)?;
        let mut orphan = spoilt.clone();
        orphan.input[0].previous_output.txid = Txid::from_byte_array([9; 32]);
        let witness = &mut spoilt.input[0].witness;
        let mut items = witness.to_vec();
        items[0][10] ^= 1;
        *witness = bitcoin::Witness::from_slice(&items);

        let txids = [free.txid, spoilt.compute_txid().to_string(), orphan.compute_txid().to_string()];
        peer.send(NetworkMessage::Tx(deserialize_hex(&free.hex)?))?;
        peer.send(NetworkMessage::Tx(orphan))?;
        // main asks for the orphan's parent
        peer.wait_for("getdata")?;
        // until 29.2 an invalid transaction costs the connection, so somebody else offers it
        let options = self.random.stranger();
        let stranger = Peer::connect(self.main.p2p_address(), &options)?;
        stranger.send(NetworkMessage::Tx(spoilt))?;
        if stranger.ping().is_err() {
            stranger.wait_closed()?;
        }
        // the crowd that comes later is counted from those who are here
        let address = stranger.address().to_string();
        drop(stranger);
        wait::until("main to let the stranger go", wait::LONG, || {
            let peers = self.main_peers()?;
            Ok(peers.iter().all(|peer| peer["addr"] != address.as_str()).then_some(()))
        })?;
        let mempool = self.main.rpc("getrawmempool", json!([]))?;
        for txid in &txids {
            ensure!(!list(&mempool).contains(&json!(txid)), "main accepted {txid}");
        }
        Ok(txids.into())
    }

    fn gossip(&mut self) -> anyhow::Result<()> {
        step("test peers gossip about addresses");
        for number in 0..WATCHERS {
            let message = if number % 2 == 0 { self.random.gossip(1) } else { self.random.old_gossip() };
            self.watcher(number).send(message)?;
        }
        Ok(())
    }

    fn overcrowd(&mut self) -> anyhow::Result<Vec<SocketAddr>> {
        step("so many come that main has to evict some");
        let first = self.peers.len();
        let present = self.main_peers()?.iter().filter(|peer| peer["inbound"] == true).count();
        for _ in present..MAX_INBOUND + LATECOMERS {
            self.one_more()?;
        }
        let patience = wait::LONG / 6;
        while let Err(missing) = wait::until("the evictions", patience, || Ok((self.gone() >= LATECOMERS).then_some(()))) {
            // somebody who was counted left by himself
            ensure!(self.peers.len() < first + 2 * (MAX_INBOUND + LATECOMERS), "{missing}");
            self.one_more()?;
        }
        ensure!(self.peers[..first].iter().all(|peer| !peer.is_closed()), "a watcher was evicted");
        let evicted = self.peers.iter().filter(|peer| peer.is_closed()).map(Peer::address).collect();
        self.peers.retain(|peer| !peer.is_closed());
        Ok(evicted)
    }

    fn one_more(&mut self) -> anyhow::Result<()> {
        let options = self.random.stranger();
        let peer = Peer::connect(self.main.p2p_address(), &options)?;
        // a pong, so that main knows a ping time of everybody
        peer.ping()?;
        self.peers.push(peer);
        Ok(())
    }

    fn gone(&self) -> usize {
        self.peers.iter().filter(|peer| peer.is_closed()).count()
    }

    fn flood_with_pings(&self) -> anyhow::Result<()> {
        step("three peers flood main with pings");
        for number in 3..6 {
            self.watcher(number).ping_flood(40)?;
        }
        Ok(())
    }

    fn misbehave(&mut self) -> anyhow::Result<Vec<SocketAddr>> {
        step("two peers misbehave: too many addresses, headers that do not connect");
        let mut misbehaved = Vec::new();
        let header = bitcoin::constants::genesis_block(bitcoin::Network::Regtest).header;
        for message in [cast::oversized_gossip(), NetworkMessage::Headers(vec![header, header])] {
            let peer = self.stranger()?;
            peer.send(message)?;
            peer.wait_closed()?;
            misbehaved.push(peer.address());
        }
        Ok(misbehaved)
    }

    fn send_nonsense(&mut self) -> anyhow::Result<()> {
        step("unknown, malformed and broken messages");
        let peer = self.watcher(4);
        peer.send_raw("weather", b"sunny, 21 degrees")?;
        // 200 entries announced, half a one sent
        peer.send_raw("inv", &[200, 1, 0, 0, 0, 42])?;
        peer.send_raw("feefilter", &[1])?;
        let mut wrong_checksum = frame("ping", &[0; 8]);
        wrong_checksum[20] ^= 1;
        peer.send_bytes(&wrong_checksum)?;
        peer.ping().context("main was to bear these")?;

        let mut wrong_magic = frame("ping", &[0; 8]);
        wrong_magic[0] ^= 1;
        let mut too_long = frame("block", &[]);
        too_long[16..20].copy_from_slice(&4_000_001_u32.to_le_bytes());
        for bytes in [wrong_magic, too_long] {
            let peer = self.stranger()?;
            peer.send_bytes(&bytes)?;
            peer.wait_closed()?;
        }
        Ok(())
    }

    fn reorganise(&self) -> anyhow::Result<(String, String)> {
        step("rival goes its own way");
        self.rival.rpc("setnetworkactive", json!([false]))?;
        let rival = self.rival.p2p_address().to_string();
        wait::until("rival to be gone", wait::LONG, || {
            Ok(self.main_peers()?.iter().all(|peer| peer["addr"] != rival).then_some(()))
        })?;
        let txid = send(&self.legacy, &self.founder)?;
        await_transaction(self.main, &txid)?;
        await_transaction(&self.founder, &txid)?;
        let stale = mine(&self.founder, 1)?;
        wait_for_same_tip(&[self.main, &self.founder, &self.legacy])?;
        mine(&self.rival, 2)?;

        step("rival returns with the longer chain");
        self.rival.rpc("setnetworkactive", json!([true]))?;
        self.dial_rival()?;
        let tip = self.await_tip()?;
        ensure!(tip != stale, "rival's chain did not win");
        // what the stale block confirmed waits again
        await_transaction(self.main, &txid)?;
        mine(self.main, 1)?;
        Ok((stale, self.await_tip()?))
    }

    /// Main answers a `getaddr` when its timer for the peer fires, after half a minute on average: one is enough.
    fn await_addresses(&self) -> anyhow::Result<()> {
        step("addresses arrive");
        for (wanted, parity) in [("addrv2", 0), ("addr", 1)] {
            wait::until(format!("main to send {wanted}"), 3 * wait::LONG, || {
                let mut watchers = (0..WATCHERS).filter(|number| number % 2 == parity);
                Ok(watchers.any(|number| self.watcher(number).has_received(wanted)).then_some(()))
            })?;
        }
        Ok(())
    }

    fn let_some_go(&mut self) -> anyhow::Result<()> {
        step("every other peer of the crowd leaves");
        let mut number = 0;
        let mut gone = Vec::new();
        self.peers.retain(|peer| {
            number += 1;
            let stays = number <= 2 + WATCHERS || number % 2 == 0;
            if !stays {
                gone.push(peer.address().to_string());
            }
            stays
        });
        wait::until("them to be gone", wait::LONG, || {
            Ok(self.main_peers()?.iter().all(|peer| !gone.iter().any(|addr| peer["addr"] == *addr)).then_some(()))
        })
    }

    /// The test peers that main dialled come before the watchers.
    fn watcher(&self, number: usize) -> &Peer {
        &self.peers[2 + number]
    }

    fn stranger(&mut self) -> anyhow::Result<Peer> {
        let options = self.random.stranger();
        Peer::connect(self.main.p2p_address(), &options)
    }

    fn nodes(&self) -> [&Node; 4] {
        [self.main, &self.founder, &self.legacy, &self.rival]
    }

    fn await_tip(&self) -> anyhow::Result<String> {
        wait_for_same_tip(&self.nodes())
    }

    fn main_peers(&self) -> anyhow::Result<Vec<Value>> {
        Ok(list(&self.main.rpc("getpeerinfo", json!([]))?).to_vec())
    }

    fn await_peer(&self, who: &str, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        wait::until(format!("main to be connected to {who}"), wait::LONG, || {
            Ok(self.main_peers()?.iter().any(&wanted).then_some(()))
        })
    }
}

/// A signed transaction that its wallet keeps to itself.
struct Signed {
    txid: String,
    hex: String,
}

/// Spends one confirmed output to the same wallet, less the fee.
fn spend(node: &Node, fee: f64) -> anyhow::Result<Signed> {
    let unspent = node.rpc("listunspent", json!([1]))?;
    let coin = list(&unspent).first().context("the wallet is empty")?;
    let amount = coin["amount"].as_f64().context("a coin has an amount")? - fee;
    let outputs = json!({ new_address(node)?: format!("{amount:.8}") });
    let raw = node.rpc("createrawtransaction", json!([[{"txid": coin["txid"], "vout": coin["vout"]}], outputs]))?;
    let hex = text(node.rpc("signrawtransactionwithwallet", json!([raw]))?["hex"].take())?;
    let transaction: Transaction = deserialize_hex(&hex)?;
    Ok(Signed { txid: transaction.compute_txid().to_string(), hex })
}

/// Pays half a coin and gives the txid.
pub(crate) fn send(from: &Node, to: &Node) -> anyhow::Result<String> {
    text(from.rpc("sendtoaddress", json!([new_address(to)?, 0.5]))?)
}

/// Mines and gives the hash of the last block.
pub(crate) fn mine(node: &Node, count: usize) -> anyhow::Result<String> {
    let hashes = node.rpc("generatetoaddress", json!([count, new_address(node)?]))?;
    text(list(&hashes).last().cloned().unwrap_or_default())
}

pub(crate) fn await_transaction(node: &Node, txid: &str) -> anyhow::Result<()> {
    wait::until(format!("transaction {txid} to reach a mempool"), 3 * wait::LONG, || {
        Ok(list(&node.rpc("getrawmempool", json!([]))?).contains(&json!(txid)).then_some(()))
    })
}

fn new_address(node: &Node) -> anyhow::Result<String> {
    text(node.rpc("getnewaddress", json!([]))?)
}

fn text(value: Value) -> anyhow::Result<String> {
    match value {
        Value::String(text) => Ok(text),
        other => anyhow::bail!("the node answered {other} where a text was due"),
    }
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
