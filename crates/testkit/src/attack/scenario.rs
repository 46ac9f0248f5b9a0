//! What can be staged as a whole: against whom, how much of it, for how long, and what should be seen.

use std::fmt;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bitcoin::p2p::message::NetworkMessage;
use serde_json::json;

use super::{
    IDENTITIES, Victim, announce, announce_compact, as_the_node_sees, at, claim, complete, crowd, cycle, deliver, draw_agents,
    fill, flood_addresses, flood_pings, header_without_work, headers_ahead, leave_download, mine_in_secret, overpaid,
    prepare_coins, prepare_transactions, replace, replace_tip, rush, spoil_reconstruction, spread, tampered, visit, withhold,
};
use crate::peer::Peer;

/// An attack that can be staged as a whole.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// As it is asked for; the detector's name.
    pub name: &'static str,
    /// The entry of the catalogue, and the detector that should see it.
    pub detector: &'static str,
    /// What it does, at strength 1.
    pub does: &'static str,
    /// What the detector should tell, with its default thresholds unless it says otherwise.
    pub shows: &'static str,
    /// What remains at the node when its connections are gone, besides a block where it was in its initial download; empty for nothing.
    pub leaves: &'static str,
    /// Everything but [`hold`](Self::hold) is done by then, at any strength, or it is given up.
    pub limit: Duration,
    /// How long what it has set up lasts, unless somebody says otherwise: as long as its detector wants to see it.
    pub hold: Duration,
    stage: fn(&mut Stage<'_>) -> anyhow::Result<()>,
}

/// A staging: against whom, how much of it, for how long, and how it is told.
pub struct Stage<'a> {
    /// Against whom.
    pub victim: &'a Victim,
    /// How much of it: 1 to [`MOST_STRENGTH`] times what is in [`Scenario::does`], as far as a node has slots.
    pub strength: usize,
    /// How long what is set up lasts.
    pub hold: Duration,
    /// Gets a line for each thing that was done.
    pub say: &'a mut dyn FnMut(&str),
}

/// The most that may be asked for.
pub const MOST_STRENGTH: usize = 10;

/// Every attack that can be staged, in the order of the catalogue.
#[rustfmt::skip]
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "addr_flood", detector: "D01", limit: minutes(2), hold: seconds(30), stage: addr_flood,
        does: "one peer sends 25 messages of ten addresses that lead nowhere",
        shows: "critical, about the peer, within 25 s",
        leaves: "some of the addresses, in the node's table",
    },
    Scenario {
        name: "addr_surge", detector: "D02", limit: minutes(5), hold: minutes(6), stage: addr_surge,
        does: "20 peers of as many ranges send 3,800 different addresses that lead nowhere",
        shows: "nothing before a day, as it learns what is usual; with `d02.usual = 500` critical, about the node, within six minutes",
        leaves: "some of the addresses, in the node's table",
    },
    Scenario {
        name: "peer_loss", detector: "D09", limit: minutes(5), hold: seconds(15 * 60 + 30), stage: peer_loss,
        does: "40 peers connect and stay; then 30 of them go at once",
        shows: "critical, about the node, within two minutes after they have gone, if it has few other peers",
        leaves: "",
    },
    Scenario {
        name: "slot_churn", detector: "D10", limit: minutes(5), hold: seconds(10 * 60 + 15), stage: slot_churn,
        does: "peers take every inbound slot and push each other out, or are turned away, 60 times; ten minutes later others do so again",
        shows: "critical, about the node, within 25 s after the second time; a node with `-maxconnections=32` is full soonest, and only the log tells who was turned away",
        leaves: "",
    },
    Scenario {
        name: "range_churn", detector: "D11", limit: minutes(5), hold: Duration::ZERO, stage: range_churn,
        does: "25 hosts of a /24 come under changing names, listen, and leave",
        shows: "a warning, about 127.71.11.0/24, within 25 s; from a hundred hosts on (`--strength 4`) critical",
        leaves: "",
    },
    Scenario {
        name: "listener", detector: "D14", limit: minutes(5), hold: seconds(16 * 60), stage: listener,
        does: "six peers take announcements and ask for nothing, while another sends 600 transactions",
        shows: "about each of the six, once they are a quarter of an hour old, and a warning if they hold a tenth of the inbound slots",
        leaves: "a hundred blocks, and transactions in the mempool",
    },
    Scenario {
        name: "false_identity", detector: "D15", limit: minutes(5), hold: Duration::ZERO, stage: false_identity,
        does: "24 sessions of as many ranges say of themselves what cannot be, in eight ways",
        shows: "a warning, about the node, within a minute and a half: of its new connections so many cannot be what they say",
        leaves: "",
    },
    Scenario {
        name: "agent_lottery", detector: "D16", limit: minutes(5), hold: Duration::ZERO, stage: agent_lottery,
        does: "one host comes 15 times, each time as another program",
        shows: "a warning, about 127.71.16.0/24, within a minute",
        leaves: "",
    },
    Scenario {
        name: "ping_flood", detector: "D28", limit: minutes(2), hold: seconds(30), stage: ping_flood,
        does: "one peer sends 1,000 pings as fast as they are answered, some with the same nonce, and pongs that nobody asked for",
        shows: "critical, about the peer, within 25 s",
        leaves: "",
    },
    Scenario {
        name: "inv_queue", detector: "D39", limit: minutes(10), hold: seconds(45), stage: inv_queue,
        does: "one peer sends 14,000 transactions, which wait to be announced to four others; takes a node with `-checkmempool=0`",
        shows: "a warning, about the node, within a minute",
        leaves: "a hundred blocks, and the transactions in the mempool",
    },
    Scenario {
        name: "withheld_transaction", detector: "D42", limit: minutes(3), hold: seconds(130), stage: withheld_transaction,
        does: "two peers of one range announce the same 80 transactions and deliver none; the node asks the other a minute after the one",
        shows: "a warning about the peers after a minute, and critical about 127.71.42.0/24 after two",
        leaves: "",
    },
    Scenario {
        name: "replacement", detector: "D45", limit: minutes(5), hold: seconds(60), stage: replacement,
        does: "one output is spent 26 times, each time for a higher fee; of another a spend is replaced three times by what then spends something else",
        shows: "critical, about the node, within 25 s: the same transaction was pushed out again and again",
        leaves: "a hundred blocks, and transactions in the mempool",
    },
    Scenario {
        name: "reconstruction", detector: "D50", limit: minutes(10), hold: seconds(90), stage: reconstruction,
        does: "30 blocks come in their compact form, each with a transaction that the node does not have and has to ask for",
        shows: "a warning, about the node, within a minute and a half after the last of them",
        leaves: "a hundred and thirty blocks",
    },
    Scenario {
        name: "withheld_block", detector: "D51", limit: minutes(5), hold: seconds(45), stage: withheld_block,
        does: "three peers of one range announce two blocks each and deliver none, while three others announce one and deliver it",
        shows: "about each of the three after half a minute, and critical about 127.71.51.0/24",
        leaves: "a few blocks, and headers of some that nobody has",
    },
    Scenario {
        name: "bad_block", detector: "D52", limit: minutes(5), hold: Duration::ZERO, stage: bad_block,
        does: "four peers of one range send a mutated block, a block with work that takes a satoshi too much, a compact block that cannot be completed, and a header without work; the node closes each",
        shows: "critical, within 25 s, about the node (a block with work that is invalid) and about 127.71.52.0/24",
        leaves: "a hundred blocks, and a tip that is known to be invalid",
    },
    Scenario {
        name: "stale_tip", detector: "D54", limit: minutes(5), hold: minutes(3), stage: stale_tip,
        does: "headers of twelve blocks are announced, and the blocks come only when they were held back for a while",
        shows: "a warning, about the node, after a minute and a half, which clears when the blocks have come",
        leaves: "thirteen blocks",
    },
    Scenario {
        name: "fork", detector: "D55", limit: minutes(2), hold: seconds(30), stage: fork,
        does: "the node mines three blocks, and a peer brings a branch of four that makes it leave them",
        shows: "critical, within 25 s: three blocks were taken back",
        leaves: "seven blocks, of which the node has left three",
    },
];

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// Every scenario draws the same addresses and hashes each time.
const SEED: u64 = 1;

impl Scenario {
    /// The scenario of this name or detector; `-` is as good as `_`.
    pub fn of_name(name: &str) -> Option<&'static Scenario> {
        let name = name.replace('-', "_");
        SCENARIOS.iter().find(|scenario| scenario.name == name || scenario.detector.eq_ignore_ascii_case(&name))
    }

    /// Stages it. What it opened is closed when it returns, also where it fails.
    pub fn stage(&self, stage: &mut Stage<'_>) -> anyhow::Result<()> {
        stage.leave_download()?;
        (self.stage)(stage).with_context(|| format!("`{}` could not be staged as a whole", self.name))
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.detector, self.name)
    }
}

impl Stage<'_> {
    /// Has nodes leave their initial download, in which they ask for little and detectors tell nothing.
    fn leave_download(&mut self) -> anyhow::Result<()> {
        /// An observer asks a node every ten seconds whether it is over.
        const NOTICED: Duration = seconds(12);
        if self.victim.rpc("getblockchaininfo", json!([]))?["initialblockdownload"] == true {
            leave_download(self.victim)?;
            self.say("a block was mined, so that the initial download is over");
            self.pause(NOTICED, "that should be noticed; waiting");
        }
        Ok(())
    }

    /// So many times the strength, and not more than that.
    fn times(&self, one: usize, most: usize) -> usize {
        (one * self.strength.clamp(1, MOST_STRENGTH)).min(most)
    }

    /// The same for hosts of a range.
    fn hosts(&self, one: usize) -> u8 {
        self.times(one, 250) as u8
    }

    fn dial(&self, range: [u8; 3], host: u8) -> anyhow::Result<Peer> {
        Peer::connect(self.victim.p2p_address(), &at(range, host))
    }

    fn say(&mut self, text: &str) {
        (self.say)(text);
    }

    /// Lets what was set up last.
    fn hold(&mut self, what: &str) {
        self.pause(self.hold, what);
    }

    fn pause(&mut self, time: Duration, what: &str) {
        self.say(&format!("{what} for {} s", time.as_secs()));
        thread::sleep(time);
    }
}

fn addr_flood(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let peer = stage.dial([127, 71, 1], 1)?;
    flood_addresses(&peer, stage.times(25, 250), SEED)?;
    let seen = as_the_node_sees(stage.victim, &peer)?;
    stage.say(&format!(
        "{}: the node took {} addresses and ignored {}",
        peer.address(),
        seen["addr_processed"],
        seen["addr_rate_limited"]
    ));
    stage.hold("it stays");
    Ok(())
}

fn addr_surge(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    /// One less than what is a flood by itself (D01).
    const MESSAGES: usize = 19;
    let peers = spread(stage.victim, 72, stage.times(20, 80) as u8)?;
    for (n, peer) in peers.iter().enumerate() {
        flood_addresses(peer, MESSAGES, SEED + n as u64)?;
    }
    stage.say(&format!("{} peers sent {} addresses", peers.len(), peers.len() * MESSAGES * 10));
    stage.hold("they stay");
    Ok(())
}

fn peer_loss(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    /// For so long, and a while, peers are missing before anything is said.
    const MISSED: Duration = seconds(90);
    let hosts = stage.times(40, 100) as u8;
    let mut peers = spread(stage.victim, 76, hosts)?;
    stage.say(&format!("{} peers are connected", peers.len()));
    stage.hold("they stay");
    let gone = peers.iter().filter(|peer| peer.is_closed()).count();
    ensure!(gone == 0, "the node closed {gone} of them meanwhile: has it so few slots?");
    peers.truncate(peers.len() / 4);
    stage.say(&format!("three of four are gone, {} are left", peers.len()));
    stage.pause(MISSED, "those stay");
    Ok(())
}

fn slot_churn(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    const ENOUGH: usize = 60;
    let (first, refused) = fill(stage.victim, 77, ENOUGH, &[])?;
    let pushed = |peers: &[Peer]| peers.iter().filter(|peer| peer.is_closed()).count();
    ensure!(pushed(&first) > 0 || refused > 0, "the node has more slots than are filled here; start it with `-maxconnections=32`");
    stage.say(&format!("{} came, {} of them were pushed out, {refused} were turned away", first.len(), pushed(&first)));
    stage.hold("those that are left stay");
    let before: Vec<Peer> = first.into_iter().filter(|peer| !peer.is_closed()).collect();
    let (second, refused) = fill(stage.victim, 78, ENOUGH, &before)?;
    let gone = pushed(&before) + pushed(&second);
    stage.say(&format!("{} more came, {gone} were pushed out for them, {refused} were turned away", second.len()));
    stage.pause(seconds(30), "those that are left stay");
    Ok(())
}

fn range_churn(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let hosts = stage.hosts(25);
    visit(stage.victim, [127, 71, 11], hosts)?;
    stage.say(&format!("{hosts} hosts of 127.71.11.0/24 came and left"));
    Ok(())
}

fn listener(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    const TRANSACTIONS: usize = 600;
    let transactions = prepare_transactions(stage.victim, TRANSACTIONS)?;
    let listeners = crowd(stage.victim, [127, 71, 14], stage.times(6, 60) as u8)?;
    let feeder = stage.dial([127, 74, 14], 1)?;
    rush(&feeder, &transactions)?;
    stage.say(&format!(
        "{} peers listen; {TRANSACTIONS} transactions were sent, and are announced to them by and by",
        listeners.len()
    ));
    stage.hold("they listen");
    Ok(())
}

fn false_identity(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let sessions = stage.times(24, 240);
    for (n, identity) in IDENTITIES.iter().cycle().take(sessions).enumerate() {
        claim(stage.victim, [127, 75, n as u8, 1].into(), identity)?;
        if n < IDENTITIES.len() {
            stage.say(&format!("{:<18} {}", identity.user_agent, identity.impossible));
        }
    }
    stage.say(&format!("{sessions} sessions in all"));
    Ok(())
}

fn agent_lottery(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let sessions = stage.times(15, 150);
    draw_agents(stage.victim, [127, 71, 16, 1].into(), sessions)?;
    stage.say(&format!("127.71.16.1 came {sessions} times, under {sessions} names"));
    Ok(())
}

fn ping_flood(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let peer = stage.dial([127, 71, 28], 1)?;
    let pings = stage.times(1000, 10_000);
    flood_pings(&peer, pings)?;
    stage.say(&format!("{}: {pings} pings, all of them answered", peer.address()));
    stage.hold("it stays");
    Ok(())
}

fn inv_queue(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    // at three times that, what was sent waits for more than the message handler has memory for
    let count = stage.times(14_000, 42_000);
    let transactions = prepare_transactions(stage.victim, count)?;
    let listeners = crowd(stage.victim, [127, 71, 39], 4)?;
    let feeder = stage.dial([127, 74, 39], 1)?;
    for part in transactions.chunks(1000) {
        rush(&feeder, part).context("the node is slow to take transactions; was it started with `-checkmempool=0`?")?;
    }
    stage.say(&format!("{count} transactions were sent; {} peers are to be told of them", listeners.len()));
    stage.hold("they stay");
    Ok(())
}

fn withheld_transaction(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    // the node asks each of the two for about half of them, and a peer for no more than a hundred at once
    let count = stage.times(80, 150);
    let peers = crowd(stage.victim, [127, 71, 42], 2)?;
    withhold(&peers, count, SEED)?;
    stage.say(&format!("two peers of 127.71.42.0/24 announced {count} transactions; the node asked for them and gets none"));
    stage.hold("they give nothing");
    Ok(())
}

fn replacement(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let (times, cycles) = (stage.times(25, 40), stage.times(3, 30));
    let coins = prepare_coins(stage.victim, 2 + cycles)?;
    let peer = stage.dial([127, 71, 45], 1)?;
    replace(&peer, coins[0], times)?;
    stage.say(&format!("one output was spent {} times", times + 1));
    cycle(&peer, coins[1], &coins[2..])?;
    stage.say(&format!("a spend of another was replaced {cycles} times, by what then spent something else"));
    stage.hold("it stays");
    Ok(())
}

fn reconstruction(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let count = stage.times(30, 144);
    let unknown = prepare_transactions(stage.victim, count)?;
    let peer = stage.dial([127, 71, 50], 1)?;
    for transaction in &unknown {
        let block = mine_in_secret(stage.victim, std::slice::from_ref(transaction), 0)?;
        announce_compact(&peer, &block)?;
        complete(stage.victim, &peer, &block)?;
    }
    stage.say(&format!("the node asked for a part of each of {count} blocks"));
    stage.hold("the peer stays");
    Ok(())
}

fn withheld_block(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let honest: Vec<Peer> = (1..=3).map(|host| stage.dial([127, 74, 51], host)).collect::<Result<_, _>>()?;
    let culprits = crowd(stage.victim, [127, 71, 51], stage.times(3, 10) as u8)?;
    for (n, culprit) in culprits.iter().enumerate() {
        for tag in [1, 2] {
            let block = mine_in_secret(stage.victim, &[], 10 * (n as u8 + 1) + tag)?;
            announce(culprit, &block.header)?;
        }
    }
    stage.say(&format!("{} peers of 127.71.51.0/24 announced two blocks each, and were asked for them", culprits.len()));
    for peer in &honest {
        let block = mine_in_secret(stage.victim, &[], 3)?;
        announce(peer, &block.header)?;
        deliver(peer, &block)?;
    }
    stage.say(&format!("{} others announced one each, and delivered it", honest.len()));
    stage.hold("those give nothing");
    Ok(())
}

fn bad_block(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let rounds = stage.times(1, MOST_STRENGTH);
    let unknown = prepare_transactions(stage.victim, rounds)?;
    for (round, transaction) in unknown.iter().enumerate() {
        let tag = 4 * round as u8;
        let peers = crowd(stage.victim, [127, 71, 52], 4)?;
        let [first, second, third, fourth] = &peers[..] else { bail!("{} came instead of four", peers.len()) };
        first.send(NetworkMessage::Block(tampered(&mine_in_secret(stage.victim, &[], tag)?)))?;
        first.wait_closed()?;
        stage.say(&format!("{}: a mutated block; the node closed it", first.address()));
        second.send(NetworkMessage::Block(overpaid(&mine_in_secret(stage.victim, &[], tag + 1)?)?))?;
        second.wait_closed()?;
        stage.say(&format!("{}: a block with work that takes too much; the node closed it", second.address()));
        spoil_reconstruction(third, &mine_in_secret(stage.victim, std::slice::from_ref(transaction), tag + 2)?)?;
        third.wait_closed()?;
        stage.say(&format!("{}: a compact block without what it lacks; the node closed it", third.address()));
        let header = header_without_work(&mine_in_secret(stage.victim, &[], tag + 3)?.header);
        fourth.send(NetworkMessage::Headers(vec![header]))?;
        fourth.wait_closed()?;
        stage.say(&format!("{}: a header without work; the node closed it", fourth.address()));
    }
    Ok(())
}

fn stale_tip(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    leave_download(stage.victim)?;
    let tip = stage.victim.rpc("getbestblockhash", json!([]))?;
    let blocks = headers_ahead(stage.victim, tip.as_str().context("a hash")?, stage.times(12, 120))?;
    let peer = stage.dial([127, 71, 54], 1)?;
    peer.send(NetworkMessage::Headers(blocks.iter().map(|block| block.header).collect()))?;
    peer.ping()?;
    stage.say(&format!("headers of {} blocks were announced", blocks.len()));
    stage.hold("nobody delivers them");
    // the first has waited so long that the node may have given it up
    let other = stage.dial([127, 74, 54], 1)?;
    for block in &blocks {
        deliver(&other, block)?;
    }
    stage.say("another peer has delivered them");
    stage.pause(seconds(30), "it stays");
    Ok(())
}

fn fork(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    // a node asks a peer for no more than 16 blocks at once
    let depth = stage.times(3, 14);
    for _ in 0..depth {
        leave_download(stage.victim)?;
    }
    let peer = stage.dial([127, 71, 55], 1)?;
    let tip = replace_tip(stage.victim, &peer, depth)?;
    stage.say(&format!("the node left {depth} blocks for a branch of {}; its tip is now {tip}", depth + 1));
    stage.hold("the peer stays");
    Ok(())
}
