//! A lively regtest network for as long as one wants: what the recorded hour is made from.
//!
//! Around the observed node are other nodes, some of which pay one another, and a crowd of test peers. Transactions
//! flow at an even pace, blocks come every 20 to 40 seconds, of which some are left behind; peers come and go, gossip,
//! ask, and sometimes misbehave. What is played depends on the seed, when exactly on the machine: it generates load,
//! it does not check anything but that the load was there.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bitcoin::Transaction;
use bitcoin::bip152::BlockTransactionsRequest;
use bitcoin::hashes::Hash as _;
use bitcoin::p2p::message::NetworkMessage;
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::p2p::message_compact_blocks::{GetBlockTxn, SendCmpct};
use bitcoin::{Txid, Witness};
use serde_json::{Value, json};

use crate::cast::{self, Random};
use crate::node::{self, Node, wait_for_same_tip};
use crate::peer::{self, Listener, Message, Peer, frame};

/// Nodes with a wallet, which pay one another.
const PAYERS: usize = 4;

/// Addresses of each of them.
const ADDRESSES: usize = 60;

/// Outputs per address before it starts: far more than are spent between two blocks, so that nothing unconfirmed has
/// to be spent, and no cluster reaches its limit.
const COINS: usize = 5;

/// Coinbases need 100 blocks on top.
const MATURITY: usize = 101;

/// Coinbases that each payer begins with: 500 coins.
const REWARDS: usize = 10;

/// How often the crowd looks at its mail.
const TICK: Duration = Duration::from_millis(500);

/// One that is busy mining takes a while; whoever waits longer has been forgotten.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is played.
#[derive(Debug, Clone)]
pub struct Options {
    /// From the moment when everybody is there.
    pub duration: Duration,
    /// Nodes besides the observed one.
    pub nodes: usize,
    /// Test peers that are connected at any time; nodes come on top.
    pub peers: usize,
    /// Made in all that time.
    pub transactions: usize,
    /// Of all choices.
    pub seed: u64,
}

impl Options {
    /// The recorded hour, or as much of it: 10 nodes, 64 peers, 200 transactions per minute.
    pub fn lasting(duration: Duration) -> Options {
        Options { duration, nodes: 10, peers: 64, transactions: (duration.as_secs() * 200 / 60) as usize, seed: 1 }
    }
}

/// What happened.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// How long it took, without the preparation.
    pub duration: Duration,
    /// Nodes, with the observed one.
    pub nodes: usize,
    /// Connections of the observed node: the fewest seen.
    pub peers_min: usize,
    /// Connections of the observed node: the most seen.
    pub peers_max: usize,
    /// Distinct transactions that wallets made.
    pub transactions: usize,
    /// Of these, replacements.
    pub replacements: usize,
    /// Transactions that the observed node has in its chain or mempool, without coinbases and preparation.
    pub accepted: usize,
    /// Blocks, with those left behind.
    pub blocks: usize,
    /// Blocks with a transaction that nobody had seen.
    pub unseen: usize,
    /// Times that a longer chain won.
    pub reorgs: usize,
    /// Blocks found at the same height at the same time.
    pub races: usize,
    /// Test peers that came, in all.
    pub arrivals: usize,
    /// Test peers that left by themselves or were sent away.
    pub departures: usize,
    /// Test peers that broke a rule.
    pub misbehaved: usize,
    /// Connections that the observed node made to test peers, or nodes made anew to it.
    pub dialled: usize,
    /// Things that did not work out, which is normal for a few.
    pub failures: Vec<String>,
}

impl Summary {
    /// Whether it was as lively as it should be: ten nodes, sixty peers, transactions at a rate of ten thousand per hour, and a
    /// reorganisation as soon as there was time for one.
    ///
    /// # Errors
    ///
    /// What there was too little of.
    pub fn check(&self) -> anyhow::Result<()> {
        let wanted = self.duration.as_secs_f64() / 3600.0 * 10_000.0;
        ensure!(self.nodes >= 10, "only {} nodes", self.nodes);
        ensure!(self.peers_min >= 60, "at times only {} peers", self.peers_min);
        ensure!(self.accepted as f64 >= wanted, "only {} transactions accepted, {wanted:.0} wanted", self.accepted);
        ensure!(self.reorgs > 0 || self.duration < Duration::from_mins(15), "no reorganisation");
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_hour = self.accepted as f64 / self.duration.as_secs_f64().max(1.0) * 3600.0;
        writeln!(f, "{} nodes, {} to {} peers, {} s", self.nodes, self.peers_min, self.peers_max, self.duration.as_secs())?;
        writeln!(
            f,
            "{} transactions, {} of them replacements; {} accepted, {per_hour:.0} per hour",
            self.transactions, self.replacements, self.accepted,
        )?;
        writeln!(
            f,
            "{} blocks, {} with something unseen; {} reorganisations, {} races",
            self.blocks, self.unseen, self.reorgs, self.races,
        )?;
        writeln!(
            f,
            "{} test peers came, {} left, {} misbehaved; {} dialled",
            self.arrivals, self.departures, self.misbehaved, self.dialled,
        )?;
        write!(f, "{} failures", self.failures.len())?;
        self.failures.iter().take(5).try_for_each(|failure| write!(f, "\n  {failure}"))
    }
}

/// How the observed node is to be started.
pub fn main_options() -> node::Options {
    node::Options { max_connections: Some(125), ..node::Options::default() }
}

/// Plays around `main`, which was started with [`main_options`] and has seen nothing yet.
pub fn play(main: &Node, options: Options) -> anyhow::Result<Summary> {
    ensure!(options.nodes > PAYERS, "more than {PAYERS} nodes are needed");
    let stage = Stage::set(main, &options)?;
    let mut crowd = Crowd::gather(&stage)?;
    let before = stage.known_transactions()?;
    step(&format!("play for {} s", options.duration.as_secs()));
    let start = Instant::now();
    let clock = Clock { start, end: start + options.duration, stop: AtomicBool::new(false) };
    let summary = thread::scope(|scope| {
        let mut threads = Vec::new();
        for (number, payer) in stage.payers().iter().enumerate() {
            let (stage, clock) = (&stage, &clock);
            threads.push(scope.spawn(move || clock.guard(|| stage.pay(payer, number, clock))));
        }
        threads.push(scope.spawn(|| clock.guard(|| stage.mine(&clock))));
        let crowd = clock.guard(|| crowd.live(&clock));
        let joined: Vec<_> = threads.into_iter().map(|thread| thread.join().expect("no player panics")).collect();
        crowd?;
        joined.into_iter().collect::<anyhow::Result<()>>()?;
        let mut summary = stage.summary.lock().expect("nothing panics while counting").clone();
        summary.duration = start.elapsed();
        Ok::<_, anyhow::Error>(summary)
    })?;
    let accepted = stage.known_transactions()?.saturating_sub(before);
    Ok(Summary { accepted, nodes: stage.nodes.len() + 1, ..summary })
}

fn step(what: &str) {
    eprintln!("hour: {what}");
}

/// When it all ends.
struct Clock {
    start: Instant,
    end: Instant,
    stop: AtomicBool,
}

impl Clock {
    /// Whether that moment was reached before the end.
    fn wait(&self, moment: Instant) -> bool {
        loop {
            let now = Instant::now();
            if now >= self.end || self.stop.load(Ordering::Relaxed) {
                return false;
            }
            if now >= moment {
                return true;
            }
            thread::sleep(moment.min(self.end).duration_since(now).min(TICK));
        }
    }

    /// One that fails ends it for all.
    fn guard(&self, play: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let played = play();
        if played.is_err() {
            self.stop.store(true, Ordering::Relaxed);
        }
        played
    }
}

/// Choices from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % count.max(1) as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

struct Stage<'a> {
    main: &'a Node,
    options: &'a Options,
    /// Payers first.
    nodes: Vec<Node>,
    /// Of all payers.
    addresses: Vec<String>,
    summary: Mutex<Summary>,
}

impl<'a> Stage<'a> {
    fn set(main: &'a Node, options: &'a Options) -> anyhow::Result<Stage<'a>> {
        step(&format!("start {} more nodes", options.nodes));
        let start = |number: usize| {
            let mut args: Vec<_> = ["-dbcache=4", "-maxmempool=50", "-par=1", "-rpcthreads=4"].map(str::to_owned).into();
            if number.is_multiple_of(2) {
                // announces transactions at once; the others take their time
                args.push("-whitelist=noban,in,out@127.0.0.0/8".to_owned());
            }
            Node::start(node::Options { wallet: number < PAYERS, v2transport: number % 3 != 1, args, ..node::Options::default() })
        };
        let nodes: anyhow::Result<Vec<_>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..options.nodes).map(|number| scope.spawn(move || start(number))).collect();
            threads.into_iter().map(|thread| thread.join().expect("starting a node does not panic")).collect()
        });
        let summary = Mutex::new(Summary { peers_min: usize::MAX, ..Summary::default() });
        let mut stage = Stage { main, options, nodes: nodes?, addresses: Vec::new(), summary };
        stage.found_the_chain()?;
        stage.connect()?;
        stage.fan_out()?;
        Ok(stage)
    }

    fn found_the_chain(&mut self) -> anyhow::Result<()> {
        step("addresses and the chain");
        let types = ["bech32", "bech32", "bech32m", "p2sh-segwit", "legacy"];
        self.addresses = thread::scope(|scope| {
            let threads: Vec<_> = self
                .payers()
                .iter()
                .map(|payer| {
                    scope.spawn(move || {
                        (0..ADDRESSES)
                            .map(|number| text(payer.rpc("getnewaddress", json!(["", types[number % types.len()]]))?))
                            .collect::<anyhow::Result<Vec<_>>>()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no payer panics")).collect::<anyhow::Result<Vec<_>>>()
        })?
        .concat();
        for payer in 0..PAYERS {
            self.nodes[0].rpc("generatetoaddress", json!([REWARDS, self.addresses[payer * ADDRESSES]]))?;
        }
        self.nodes[0].rpc("generatetoaddress", json!([MATURITY, self.addresses[0]]))?;
        Ok(())
    }

    /// Each dials the next and one further on; half of them dial main, main dials the others.
    fn connect(&self) -> anyhow::Result<()> {
        step("connect the nodes");
        let count = self.nodes.len();
        for (number, node) in self.nodes.iter().enumerate() {
            for distance in [1, 3] {
                let other = self.nodes[(number + distance) % count].p2p_address().to_string();
                node.rpc("addnode", json!([other, "onetry"]))?;
            }
            if number % 2 == 1 {
                self.dial_main(node)?;
            } else {
                // eight and two are all that a node has room for
                let kind = if number % 8 == 6 { "block-relay-only" } else { "outbound-full-relay" };
                let v2 = number % 3 != 1;
                self.main.rpc("addconnection", json!([node.p2p_address().to_string(), kind, v2]))?;
            }
        }
        self.await_tip()?;
        Ok(())
    }

    fn dial_main(&self, node: &Node) -> anyhow::Result<()> {
        node.rpc("addnode", json!([self.main.p2p_address().to_string(), "onetry"]))?;
        Ok(())
    }

    /// Many small coins for each payer.
    fn fan_out(&self) -> anyhow::Result<()> {
        step("make small coins");
        for (number, payer) in self.payers().iter().enumerate() {
            let own = &self.addresses[number * ADDRESSES..][..ADDRESSES];
            let amounts: serde_json::Map<_, _> = own.iter().map(|address| (address.clone(), json!(1))).collect();
            for _ in 0..COINS {
                payer.rpc("sendmany", json!(["", amounts]))?;
            }
            payer.rpc("generatetoaddress", json!([1, own[0]]))?;
            self.await_tip()?;
        }
        Ok(())
    }

    fn pay(&self, payer: &Node, number: usize, clock: &Clock) -> anyhow::Result<()> {
        let mut dice = Dice(self.options.seed ^ (0x9A7 + number as u64));
        let count = self.options.transactions.div_ceil(PAYERS).max(1);
        let pace = self.options.duration.as_nanos() as u64 / count as u64;
        for turn in 0..count {
            // a tenth earlier than due, so that the last ones are in time
            let due = (turn as u64 * pace + dice.below(2 * pace as usize) as u64) / 10 * 9;
            if !clock.wait(clock.start + Duration::from_nanos(due)) {
                break;
            }
            let amount = format!("0.{:05}", 100 + dice.below(40_000));
            let fee_rate = 1 + dice.below(40);
            let sent = if turn % 20 == 19 {
                let several = 2 + dice.below(18);
                let amounts: serde_json::Map<_, _> =
                    (0..several).map(|_| (dice.one(&self.addresses).clone(), json!("0.01"))).collect();
                payer.rpc("sendmany", json!({"amounts": amounts, "fee_rate": fee_rate}))
            } else {
                let address = dice.one(&self.addresses);
                payer.rpc("sendtoaddress", json!({"address": address, "amount": amount, "fee_rate": fee_rate}))
            };
            match sent {
                Ok(txid) => {
                    self.count(|summary| summary.transactions += 1);
                    // it may have been confirmed meanwhile
                    if turn % 30 == 29 && payer.rpc("bumpfee", json!([txid])).is_ok() {
                        self.count(|summary| {
                            summary.transactions += 1;
                            summary.replacements += 1;
                        });
                    }
                }
                Err(error) => self.failed("a payment", &error.into()),
            }
        }
        Ok(())
    }

    fn mine(&self, clock: &Clock) -> anyhow::Result<()> {
        let mut dice = Dice(self.options.seed ^ 0xB10C);
        let mut due = clock.start;
        for number in 0.. {
            due += Duration::from_millis(20_000 + dice.below(20_000) as u64);
            if !clock.wait(due) {
                break;
            }
            let mined = match number % 15 {
                3 | 12 => self.reorganise(1 + number / 15 % 3, &mut dice),
                8 => self.race(&mut dice),
                1 | 6 | 11 => self.mine_the_unseen(&mut dice),
                5 => self.mine_on(self.main, 1, &mut dice).map(drop),
                _ => self.mine_on(dice.one(&self.nodes), 1, &mut dice).map(drop),
            };
            if let Err(error) = mined {
                self.failed("a block", &error);
            }
            let summary = self.summary.lock().expect("nothing panics while counting").clone();
            step(&format!(
                "{} s: {} transactions, {} blocks, {} to {} peers, {} failures",
                clock.start.elapsed().as_secs(),
                summary.transactions,
                summary.blocks,
                summary.peers_min,
                summary.peers_max,
                summary.failures.len(),
            ));
        }
        Ok(())
    }

    /// The first of that many blocks.
    fn mine_on(&self, node: &Node, count: usize, dice: &mut Dice) -> anyhow::Result<String> {
        let mut blocks = node.rpc("generatetoaddress", json!([count, dice.one(&self.addresses)]))?;
        self.count(|summary| summary.blocks += count);
        text(blocks[0].take())
    }

    /// All have some blocks when one node comes with a longer chain without them.
    fn reorganise(&self, depth: usize, dice: &mut Dice) -> anyhow::Result<()> {
        self.await_tip()?;
        let rival = dice.below(self.nodes.len());
        let founder = (rival + 1 + dice.below(self.nodes.len() - 1)) % self.nodes.len();
        let stale = self.mine_on(&self.nodes[founder], depth, dice)?;
        self.await_tip()?;
        let rival = &self.nodes[rival];
        rival.rpc("invalidateblock", json!([stale]))?;
        self.mine_on(rival, depth + 1, dice)?;
        rival.rpc("reconsiderblock", json!([stale]))?;
        self.await_tip()?;
        let header = self.main.rpc("getblockheader", json!([stale]))?;
        ensure!(header["confirmations"] == -1, "block {stale} was not left behind");
        self.count(|summary| summary.reorgs += 1);
        Ok(())
    }

    /// Two blocks at once, of which the next one decides.
    fn race(&self, dice: &mut Dice) -> anyhow::Result<()> {
        let address = dice.one(&self.addresses).as_str();
        thread::scope(|scope| {
            let threads = [&self.nodes[1], &self.nodes[self.nodes.len() - 1]]
                .map(|node| scope.spawn(move || node.rpc("generatetoaddress", json!([1, address]))));
            threads.into_iter().try_for_each(|thread| thread.join().expect("no miner panics").map(drop))
        })?;
        self.count(|summary| {
            summary.blocks += 2;
            summary.races += 1;
        });
        Ok(())
    }

    /// A compact block that nobody can put together from the mempool.
    fn mine_the_unseen(&self, dice: &mut Dice) -> anyhow::Result<()> {
        let payer = dice.one(self.payers());
        let unspent = payer.rpc("listunspent", json!([1, 9_999_999, [], true, {"maximumCount": 1, "minimumAmount": 0.01}]))?;
        let coin = unspent.get(0).context("the wallet is empty")?;
        let input = json!([{"txid": coin["txid"], "vout": coin["vout"]}]);
        // or it might pay with it
        payer.rpc("lockunspent", json!([false, input]))?;
        let amount = coin["amount"].as_f64().context("a coin has an amount")? - 0.0001;
        let raw = payer.rpc("createrawtransaction", json!([input, {dice.one(&self.addresses): format!("{amount:.8}")}]))?;
        let unseen = text(payer.rpc("signrawtransactionwithwallet", json!([raw]))?["hex"].take())?;
        let mempool = payer.rpc("getrawmempool", json!([true]))?;
        let alone = mempool.as_object().into_iter().flatten().filter(|(_, entry)| entry["ancestorcount"] == 1);
        let mut content: Vec<_> = alone.map(|(txid, _)| txid.clone()).take(50).collect();
        content.push(unseen);
        payer.rpc("generateblock", json!([dice.one(&self.addresses), content]))?;
        self.count(|summary| {
            summary.blocks += 1;
            summary.unseen += 1;
            summary.transactions += 1;
        });
        Ok(())
    }

    fn payers(&self) -> &[Node] {
        &self.nodes[..PAYERS]
    }

    fn await_tip(&self) -> anyhow::Result<()> {
        let all: Vec<_> = self.nodes.iter().chain([self.main]).collect();
        wait_for_same_tip(&all).map(drop)
    }

    /// In main's chain and mempool, without coinbases.
    fn known_transactions(&self) -> anyhow::Result<usize> {
        let chain = self.main.rpc("getchaintxstats", json!([]))?;
        let number = |value: &Value| value.as_u64().map(|number| number as usize).context("the node answers with numbers");
        let height = self.main.rpc("getblockcount", json!([]))?;
        let pool = self.main.rpc("getmempoolinfo", json!([]))?;
        Ok((number(&chain["txcount"])? + number(&pool["size"])?).saturating_sub(number(&height)? + 1))
    }

    fn count(&self, change: impl FnOnce(&mut Summary)) {
        change(&mut self.summary.lock().expect("nothing panics while counting"));
    }

    fn failed(&self, what: &str, error: &anyhow::Error) {
        self.count(|summary| summary.failures.push(format!("{what}: {error:#}")));
    }
}

struct Member {
    peer: Peer,
    /// What to do about announced transactions: most have them from elsewhere.
    fetches: bool,
    sendaddrv2: bool,
}

struct Crowd<'a> {
    stage: &'a Stage<'a>,
    members: Vec<Member>,
    random: Random,
    dice: Dice,
    /// One that went by lately.
    transaction: Option<Transaction>,
}

impl<'a> Crowd<'a> {
    fn gather(stage: &'a Stage<'a>) -> anyhow::Result<Crowd<'a>> {
        step(&format!("{} test peers come", stage.options.peers));
        let seed = stage.options.seed;
        let mut crowd =
            Crowd { stage, members: Vec::new(), random: Random::new(seed), dice: Dice(seed ^ 0xC40), transaction: None };
        while crowd.members.len() < stage.options.peers {
            crowd.let_one_in()?;
        }
        Ok(crowd)
    }

    fn live(&mut self, clock: &Clock) -> anyhow::Result<()> {
        for tick in 0_u32.. {
            if !clock.wait(clock.start + TICK * tick) {
                break;
            }
            self.read_mail();
            // a few things happen at each tick, others now and then; the numbers share few factors
            for (every, act) in [
                (1, Crowd::ping as fn(&mut Self, usize) -> anyhow::Result<()>),
                (3, Crowd::gossip),
                (7, Crowd::churn),
                (10, Crowd::take_attendance),
                (23, Crowd::offer_refused),
                (71, Crowd::misbehave),
                (97, Crowd::be_dialled),
                (211, Crowd::reconnect_a_node),
            ] {
                if tick % every == every - 1
                    && let Err(error) = act(self, (tick / every) as usize)
                {
                    self.stage.failed("a peer", &error);
                }
            }
        }
        Ok(())
    }

    fn stranger(&mut self) -> peer::Options {
        peer::Options { patience: PATIENCE, ..self.random.stranger() }
    }

    fn let_one_in(&mut self) -> anyhow::Result<()> {
        let options = peer::Options {
            sendaddrv2: self.dice.below(4) != 0,
            wtxidrelay: self.dice.below(8) != 0,
            relay: self.dice.below(10) != 0,
            start_height: 150,
            ..self.stranger()
        };
        let peer = Peer::connect(self.stage.main.p2p_address(), &options)?;
        match self.dice.below(3) {
            0 => peer.send(NetworkMessage::SendHeaders)?,
            1 => peer.send(NetworkMessage::SendCmpct(SendCmpct { send_compact: self.dice.below(2) == 0, version: 2 }))?,
            _ => {}
        }
        if options.relay {
            peer.send(NetworkMessage::FeeFilter(1000))?;
        }
        if self.dice.below(2) == 0 {
            peer.send(NetworkMessage::GetAddr)?;
        }
        self.members.push(Member { peer, fetches: self.dice.below(4) == 0, sendaddrv2: options.sendaddrv2 });
        self.stage.count(|summary| summary.arrivals += 1);
        Ok(())
    }

    fn read_mail(&mut self) {
        let before = self.members.len();
        let (dice, transaction) = (&mut self.dice, &mut self.transaction);
        // one that cannot be written to has been sent away
        self.members.retain(|member| {
            let answered = member.peer.take_received().iter().try_for_each(|message| answer(member, message, dice, transaction));
            answered.is_ok() && !member.peer.is_closed()
        });
        let gone = before - self.members.len();
        self.stage.count(|summary| summary.departures += gone);
    }

    fn anybody(&mut self) -> anyhow::Result<&Member> {
        ensure!(!self.members.is_empty(), "nobody is left");
        let number = self.dice.below(self.members.len());
        Ok(&self.members[number])
    }

    fn ping(&mut self, turn: usize) -> anyhow::Result<()> {
        self.anybody()?.peer.send(NetworkMessage::Ping(turn as u64))
    }

    fn gossip(&mut self, _: usize) -> anyhow::Result<()> {
        let count = 1 + self.dice.below(10);
        let (new, old) = (self.random.gossip(count), self.random.old_gossip());
        let member = self.anybody()?;
        member.peer.send(if member.sendaddrv2 { new } else { old })
    }

    /// One comes, one goes: rather one that came lately.
    fn churn(&mut self, turn: usize) -> anyhow::Result<()> {
        while self.members.len() <= self.stage.options.peers {
            self.let_one_in()?;
        }
        let stay = if turn.is_multiple_of(4) { 0 } else { self.members.len() / 2 };
        let number = stay + self.dice.below(self.members.len() - stay);
        self.members.remove(number);
        self.stage.count(|summary| summary.departures += 1);
        Ok(())
    }

    fn take_attendance(&mut self, _: usize) -> anyhow::Result<()> {
        let peers = self.stage.main.rpc("getconnectioncount", json!([]))?.as_u64().context("it is a number")? as usize;
        self.stage.count(|summary| {
            summary.peers_min = summary.peers_min.min(peers);
            summary.peers_max = summary.peers_max.max(peers);
        });
        Ok(())
    }

    /// An orphan, or a transaction with a spoilt signature.
    fn offer_refused(&mut self, turn: usize) -> anyhow::Result<()> {
        let Some(mut transaction) = self.transaction.take() else { return Ok(()) };
        let input = transaction.input.first_mut().context("a transaction has an input")?;
        if turn.is_multiple_of(2) {
            input.previous_output.txid = Txid::from_byte_array([turn as u8; 32]);
        } else {
            let mut items = input.witness.to_vec();
            let Some(byte) = items.first_mut().and_then(|item| item.get_mut(10)) else { return Ok(()) };
            *byte ^= 1;
            input.witness = Witness::from_slice(&items);
        }
        self.anybody()?.peer.send(NetworkMessage::Tx(transaction))
    }

    fn misbehave(&mut self, turn: usize) -> anyhow::Result<()> {
        let options = self.stranger();
        let peer = Peer::connect(self.stage.main.p2p_address(), &options)?;
        self.stage.count(|summary| {
            summary.arrivals += 1;
            summary.departures += 1;
            summary.misbehaved += 1;
        });
        let ping = || frame("ping", &[0; 8]);
        match turn % 7 {
            0 => peer.send(cast::oversized_gossip())?,
            1 => {
                let header = bitcoin::constants::genesis_block(bitcoin::Network::Regtest).header;
                peer.send(NetworkMessage::Headers(vec![header, header]))?;
            }
            2 => {
                let mut wrong_magic = ping();
                wrong_magic[0] ^= 1;
                peer.send_bytes(&wrong_magic)?;
            }
            3 => {
                let mut too_long = frame("block", &[]);
                too_long[16..20].copy_from_slice(&4_000_001_u32.to_le_bytes());
                peer.send_bytes(&too_long)?;
            }
            4 => {
                peer.ping_flood(300)?;
                return Ok(());
            }
            5 => {
                peer.send_raw("weather", b"sunny, 21 degrees")?;
                // 200 entries announced, half a one sent
                peer.send_raw("inv", &[200, 1, 0, 0, 0, 42])?;
                peer.send_raw("feefilter", &[1])?;
                let mut wrong_checksum = ping();
                wrong_checksum[20] ^= 1;
                peer.send_bytes(&wrong_checksum)?;
                peer.ping()?;
                return Ok(());
            }
            // leaves in the middle of a sentence
            _ => return peer.send_bytes(&ping()[..20]),
        }
        peer.wait_closed()
    }

    fn be_dialled(&mut self, turn: usize) -> anyhow::Result<()> {
        let options = peer::Options { patience: PATIENCE, ..self.random.server() };
        let listener = Listener::bind(options.source)?;
        let kind = if turn.is_multiple_of(2) { "feeler" } else { "addr-fetch" };
        self.stage.main.rpc("addconnection", json!([listener.address().to_string(), kind, false]))?;
        self.stage.count(|summary| summary.dialled += 1);
        if kind == "feeler" {
            let peer = listener.accept_silently(&options)?;
            peer.wait_for("version")?;
            peer.send_version(&options)?;
            return peer.wait_closed();
        }
        let peer = listener.accept(&options)?;
        peer.wait_for("getaddr")?;
        peer.send(self.random.gossip(100))?;
        peer.wait_closed()
    }

    /// One of those that dialled main does so again.
    fn reconnect_a_node(&mut self, turn: usize) -> anyhow::Result<()> {
        let dialling = self.stage.nodes.len() / 2;
        let node = &self.stage.nodes[turn % dialling * 2 + 1];
        node.rpc("disconnectnode", json!([self.stage.main.p2p_address().to_string()]))?;
        self.stage.count(|summary| summary.dialled += 1);
        crate::wait::until("the old connection to be gone", PATIENCE, || Ok(self.stage.dial_main(node).ok()))
    }
}

/// What a peer does about a message, if anything.
fn answer(member: &Member, message: &Message, dice: &mut Dice, transaction: &mut Option<Transaction>) -> anyhow::Result<()> {
    let peer = &member.peer;
    if !matches!(message.message_type(), "inv" | "headers" | "cmpctblock" | "tx" | "getdata" | "getheaders") {
        return Ok(());
    }
    match message.decode()? {
        NetworkMessage::Inv(items) => {
            let wanted: Vec<_> = items
                .into_iter()
                .filter_map(|item| match item {
                    Inventory::WTx(_) => member.fetches.then_some(item),
                    Inventory::Transaction(txid) => member.fetches.then_some(Inventory::WitnessTransaction(txid)),
                    Inventory::Block(hash) => Some(Inventory::WitnessBlock(hash)),
                    _ => None,
                })
                .collect();
            if !wanted.is_empty() {
                peer.send(NetworkMessage::GetData(wanted))?;
            }
        }
        NetworkMessage::Headers(headers) => {
            if let Some(header) = headers.last() {
                peer.send(NetworkMessage::GetData(vec![Inventory::CompactBlock(header.block_hash())]))?;
            }
        }
        NetworkMessage::CmpctBlock(block) if dice.below(3) == 0 => {
            let txs_request = BlockTransactionsRequest { block_hash: block.compact_block.header.block_hash(), indexes: vec![0] };
            peer.send(NetworkMessage::GetBlockTxn(GetBlockTxn { txs_request }))?;
        }
        NetworkMessage::Tx(seen) => *transaction = Some(seen),
        NetworkMessage::GetData(items) => peer.send(NetworkMessage::NotFound(items))?,
        NetworkMessage::GetHeaders(_) => peer.send(NetworkMessage::Headers(Vec::new()))?,
        _ => {}
    }
    Ok(())
}

fn text(value: Value) -> anyhow::Result<String> {
    match value {
        Value::String(text) => Ok(text),
        other => anyhow::bail!("the node answered {other} where a text was due"),
    }
}
