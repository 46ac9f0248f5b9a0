//! What happens besides the usual: attacks, and what looks like one. What other detectors may be right about is in [`super::consequence`], but for what is
//! known beforehand: that is said where an ingredient is planned.

mod addresses;
mod bad_blocks;
mod blocks;
mod chain;
mod connections;
mod fork;
mod monitor;
mod pings;
mod relay;
mod replacements;
mod strangers;
mod transactions;

use std::time::Duration;

use event::Severity;
use serde::Deserialize;

use super::script::Script;
use super::world::World;
use super::{Run, ScriptError, Truth};
use crate::cast::Random;

/// What an ingredient is (`what` in the file), with its numbers. All have `at` (since the beginning) and `lasts`.
///
/// Attacks say which detector has to find them; their main number is multiplied by the run's strength. The others must not be found
/// by anybody, and are as the file says.
#[derive(Clone, Deserialize, Debug)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Ingredient {
    /// D01: a peer sends `messages` (500) × strength of `entries` (10) addresses each, evenly over `lasts` (1m).
    AddressFlood(addresses::Flood),
    /// The node asks an outbound peer for addresses, and is sent a thousand.
    GetaddrAnswer(addresses::Answer),
    /// A peer passes on `per_minute` (5) addresses, one by one.
    AddressChatter(addresses::Chatter),
    /// D02: `unique_per_day` (250,000) × strength addresses that nobody has heard of, passed on by everybody. `clustered` (false): all in
    /// a few ranges. Where few pass them on, D01 is right about each who brings more than the node takes.
    AddressSurge(addresses::Surge),
    /// The same with few enough addresses that they may be the customers of one provider: `unique_per_day` (16,000), in one range.
    AddressChurn(addresses::Churn),
    /// D09: `share` (0.4) × strength of the inbound peers go, evenly over `lasts`, and nobody comes until `lasts` and `holds` (20m) are
    /// over.
    PeerLoss(connections::Loss),
    /// `peers` (30) inbound peers go, evenly over `lasts`, and as many come at the same time.
    Turnover(connections::Turnover),
    /// The node is stopped, is away for `down` (40s), and begins again. Peers come back within half an hour.
    Restart(connections::Restart),
    /// D10: `per_minute` (40) × strength connections from `ranges` (3) ranges, to stay.
    SlotChurn(connections::SlotChurn),
    /// `per_minute` (10) connections of one wallet's users, from everywhere, each for a minute.
    WalletRush(connections::WalletRush),
    /// D11, D16: `per_minute` (4) × strength brief connections (`life`: 20s) from `addresses` (40) of `range` (245.65.3.0/24 or an IPv6 /64). Of its names
    /// each fifth is Bitcoin Core of years ago, which it is not (D15); at a full node its visitors push others out (D10); at three nodes it is the same
    /// stranger (D13).
    RangeChurn(connections::RangeChurn),
    /// `peers` (10) honest ones in one `range`, for long.
    Campus(connections::Campus),
    /// D13: one stranger visits `share` (1) × strength of all nodes, one every `gap` (20s), each from one of `addresses` (1) of a range. With
    /// `says_so` (false) it is a crawler that says so, and not to be told.
    Scanner(strangers::Scanner),
    /// A hosting company: `per_minute` (1) connections of `addresses` (40) machines of one `range` (245.68.6.0/24), each with its own program.
    Hosting(strangers::Hosting),
    /// D14: `peers` (1) that listen, answer pings, and do nothing else.
    Listener(relay::Listener),
    /// A peer that wants blocks only, and says so unless `forgot` (false).
    BlocksOnly(relay::BlocksOnly),
    /// A wallet with a bloom filter.
    Wallet(relay::Wallet),
    /// D15: `per_minute` (1) × strength connections of programs that cannot be what they say; of the node, and of each name that twenty of an hour have.
    Impostors(strangers::Impostors),
    /// `per_minute` (1) connections of programs that are odd, and what they say.
    OddGuests(strangers::OddGuests),
    /// D16: `per_minute` (0.5) × strength connections of `addresses` (4) of one `range` (245.69.7.0/24), each under another name. As with
    /// `range_churn`, D15 and D13 may be right; and D11 where there are twenty in ten minutes.
    AgentLottery(strangers::AgentLottery),
    /// D19: `peers` (8) × strength outbound peers are exchanged for those of an attacker, one a minute, and then no block comes for `lasts`;
    /// at one `node`, or at all. Then its tip is stale, too (D54).
    Eclipse(chain::Eclipse),
    /// `peers` (10) outbound peers go within `lasts`, one after the other, and others are dialled.
    OutboundTurnover(chain::OutboundTurnover),
    /// D28: a peer sends `per_minute` (40) × strength pings, with nonces that it draws, or `counted` (false) ones;
    /// `slow` (false): they are too few for more than information.
    PingFlood(pings::PingFlood),
    /// A client pings `per_minute` (2) times.
    ImpatientClient(pings::ImpatientClient),
    /// D39: transactions wait to be announced, up to `peak` (60,000) × strength at every peer, while the handler takes `handler` (0.97) of
    /// a processor and pings take `ping` (12) seconds × strength.
    InvQueue(relay::InvQueue),
    /// A peer asks for the whole mempool (BIP 35) and gets `entries` (5,000).
    MempoolAnswer(relay::MempoolAnswer),
    /// The handler is busy with blocks: `handler` (0.9) of a processor for `busy` (20s) every five minutes.
    BusyBlocks(relay::BusyBlocks),
    /// D42: `peers` (1) announce `per_minute` (10) × strength transactions that nobody else has, and deliver none; several are of one range,
    /// announce the same, and are asked one after the other.
    WithheldTransaction(transactions::WithheldTransaction),
    /// A peer announces `per_minute` (10) transactions, and delivers them `late` (30s), or says that it has lost them.
    SlowTransactions(transactions::SlowTransactions),
    /// D45: somebody's transaction is replaced, and what replaced it replaced so that its output is free again, in `rounds` (4) × strength
    /// that fill `lasts`.
    ReplacementCycling(replacements::ReplacementCycling),
    /// D45: `per_minute` (300) × strength replacements.
    ReplacementStorm(replacements::ReplacementStorm),
    /// `per_minute` (20) transactions that raise a fee, and now and then a batch that is made anew.
    FeeBumping(replacements::FeeBumping),
    /// D50: the share of blocks that need no question falls by `drop` (0.45) × strength.
    ReconstructionFailure(blocks::ReconstructionFailure),
    /// No block can be put together without asking, for `lasts`: the mempool is still empty.
    EmptyMempool(blocks::EmptyMempool),
    /// D51: `peers` (1) that announce blocks before anybody else, `share` (0.8) × strength of them, and do not deliver. Each of these is a block that could
    /// not be put together (D50).
    WithheldBlock(blocks::WithheldBlock),
    /// Everybody's blocks take `seconds` (8) longer: it is the node's own line.
    SlowLine(blocks::SlowLine),
    /// D52: one host sends `count` (4) × strength blocks with other transactions than their headers name, evenly over `lasts`.
    MutatedBlocks(bad_blocks::MutatedBlocks),
    /// D52: a block with the work of a real one is invalid.
    InvalidBlock(bad_blocks::InvalidBlock),
    /// The operator invalidates a block by hand, and takes that back.
    InvalidateBlock(bad_blocks::InvalidateBlock),
    /// `blocks` (10) times two peers are asked for the same transactions, and both answer.
    LateTransactions(bad_blocks::LateTransactions),
    /// `peers` (10) clients of another chain come, over `lasts`, and are thrown out for their headers.
    OtherChain(bad_blocks::OtherChain),
    /// D55: a branch wins that is longer than the last `depth` (2) × strength blocks of the node's own.
    Fork(fork::Fork),
    /// A second block at the height of the tip.
    StaleBlock(fork::StaleBlock),
    /// D54: no block is found for `lasts` × strength.
    NoBlocks(chain::NoBlocks),
    /// By chance no block is found for `lasts`.
    BlockGap(chain::BlockGap),
    /// D54: of several nodes, which have one chain, this `node` hears of no block for `lasts` × strength. That for an hour
    /// and a half, and behind others, is what an eclipse looks like (D19).
    CutOff(chain::CutOff),
    /// D59: `count` (1,000) × strength records are lost in the kernel, every ten seconds.
    LostRecords(monitor::LostRecords),
    /// D59: a `source` says nothing any more, not even that it is alive.
    SilentSource(monitor::SilentSource),
    /// D59: what the probes see and what the node counts differ by `share` (0.05) × strength.
    Divergence(monitor::Divergence),
}

/// A number that the file leaves out.
fn number<const N: u32, T: From<u32>>() -> T {
    N.into()
}

/// A length of time that the file leaves out.
fn seconds<const N: u64>() -> Duration {
    Duration::from_secs(N)
}

/// What happens, with the time at which it begins, nanoseconds since the epoch.
pub(super) type Playing = Vec<(u64, Box<dyn Play>)>;

/// What an ingredient does while it happens.
pub(super) trait Play: Send {
    /// Does something, and says after how many seconds it will do the next; `None` when it is over.
    fn step(&mut self, world: &mut World) -> Option<f64>;
}

/// How an ingredient comes into a scenario.
trait Plan {
    /// Puts it on the stage.
    fn plan(self, stage: &mut Stage<'_>);
}

/// What is planned, for one node.
struct Stage<'a> {
    node: &'a str,
    begin: u64,
    strength: f64,
    script: &'a Script,
    random: &'a mut Random,
    playing: Playing,
    truths: Vec<Truth>,
}

impl Stage<'_> {
    fn play(&mut self, at: Duration, play: impl Play + 'static) {
        self.playing.push((self.begin + at.as_nanos() as u64, Box::new(play)));
    }

    fn truth(&mut self, detector: &str, about: (&'static str, String), at: Duration, lasts: Duration) {
        self.truth_of(self.node, detector, about, at, lasts);
    }

    /// What is worth knowing, and wakes nobody.
    fn truth_to_know(&mut self, detector: &str, about: (&'static str, String), at: Duration, lasts: Duration) {
        self.truth(detector, about, at, lasts);
        if let Some(truth) = self.truths.last_mut() {
            truth.severity = Severity::Info;
        }
    }

    /// What is found of all nodes together; said by one of them.
    fn truth_of_fleet(&mut self, detector: &str, about: (&'static str, String), at: Duration, lasts: Duration) {
        /// The node of findings about all of them.
        const FLEET: &str = "_fleet";
        self.truth_of(FLEET, detector, about, at, lasts);
    }

    fn truth_of(&mut self, node: &str, detector: &str, about: (&'static str, String), at: Duration, lasts: Duration) {
        let begin = self.begin + at.as_nanos() as u64;
        let (detector, node, (entity_kind, entity)) = (detector.to_owned(), node.to_owned(), about);
        let (end, severity) = (begin + lasts.as_nanos() as u64, Severity::Warn);
        self.truths.push(Truth { detector, node, entity_kind, entity, begin, end, severity, consequence: false });
    }

    /// What follows from a deed at its node, as the catalogue's criterion is met by what is planned.
    fn follows(&mut self, detector: &str, at: Duration, lasts: Duration) {
        self.truth(detector, self.node(), at, lasts);
        self.it_follows();
    }

    fn it_follows(&mut self) {
        if let Some(truth) = self.truths.last_mut() {
            truth.consequence = true;
        }
    }

    /// D13: a range that visits three nodes of the fleet, and half of all, within ten minutes. What comes to every node five times in ten minutes does, as a
    /// range, and each of its addresses may.
    fn is_at_many_nodes(&mut self, range: connections::Prefix, addresses: u64, per_minute: f64, at: Duration, lasts: Duration) {
        let nodes = &self.script.nodes;
        if nodes.len() < 3 || nodes.first().is_none_or(|first| first != self.node) || per_minute * 10.0 < 5.0 {
            return;
        }
        let hosts = (1..=addresses).map(|number| ("address", range.host(number).to_string()));
        for about in hosts.chain([("range", range.to_string())]) {
            self.truth_of_fleet("D13", about, at, lasts);
            self.it_follows();
        }
    }

    fn node(&self) -> (&'static str, String) {
        ("node", self.node.to_owned())
    }
}

impl Ingredient {
    fn plan(self, stage: &mut Stage<'_>) {
        match self {
            Self::AddressFlood(it) => it.plan(stage),
            Self::GetaddrAnswer(it) => it.plan(stage),
            Self::AddressChatter(it) => it.plan(stage),
            Self::AddressSurge(it) => it.plan(stage),
            Self::AddressChurn(it) => it.plan(stage),
            Self::PeerLoss(it) => it.plan(stage),
            Self::Turnover(it) => it.plan(stage),
            Self::Restart(it) => it.plan(stage),
            Self::SlotChurn(it) => it.plan(stage),
            Self::WalletRush(it) => it.plan(stage),
            Self::RangeChurn(it) => it.plan(stage),
            Self::Campus(it) => it.plan(stage),
            Self::Scanner(it) => it.plan(stage),
            Self::Hosting(it) => it.plan(stage),
            Self::Listener(it) => it.plan(stage),
            Self::BlocksOnly(it) => it.plan(stage),
            Self::Wallet(it) => it.plan(stage),
            Self::Impostors(it) => it.plan(stage),
            Self::OddGuests(it) => it.plan(stage),
            Self::AgentLottery(it) => it.plan(stage),
            Self::Eclipse(it) => it.plan(stage),
            Self::OutboundTurnover(it) => it.plan(stage),
            Self::PingFlood(it) => it.plan(stage),
            Self::ImpatientClient(it) => it.plan(stage),
            Self::InvQueue(it) => it.plan(stage),
            Self::MempoolAnswer(it) => it.plan(stage),
            Self::BusyBlocks(it) => it.plan(stage),
            Self::WithheldTransaction(it) => it.plan(stage),
            Self::SlowTransactions(it) => it.plan(stage),
            Self::ReplacementCycling(it) => it.plan(stage),
            Self::ReplacementStorm(it) => it.plan(stage),
            Self::FeeBumping(it) => it.plan(stage),
            Self::ReconstructionFailure(it) => it.plan(stage),
            Self::EmptyMempool(it) => it.plan(stage),
            Self::WithheldBlock(it) => it.plan(stage),
            Self::SlowLine(it) => it.plan(stage),
            Self::MutatedBlocks(it) => it.plan(stage),
            Self::InvalidBlock(it) => it.plan(stage),
            Self::InvalidateBlock(it) => it.plan(stage),
            Self::LateTransactions(it) => it.plan(stage),
            Self::OtherChain(it) => it.plan(stage),
            Self::Fork(it) => it.plan(stage),
            Self::StaleBlock(it) => it.plan(stage),
            Self::NoBlocks(it) => it.plan(stage),
            Self::BlockGap(it) => it.plan(stage),
            Self::CutOff(it) => it.plan(stage),
            Self::LostRecords(it) => it.plan(stage),
            Self::SilentSource(it) => it.plan(stage),
            Self::Divergence(it) => it.plan(stage),
        }
    }
}

/// What will happen at a node, with the times at which it begins, and the truth about it.
pub(super) fn plan(node: &str, script: &Script, run: Run, random: &mut Random) -> (Playing, Vec<Truth>) {
    let (begin, strength) = (script.begin, run.strength);
    let mut stage = Stage { node, begin, strength, script, random, playing: Vec::new(), truths: Vec::new() };
    for ingredient in script.ingredients.clone() {
        ingredient.plan(&mut stage);
    }
    (stage.playing, stage.truths)
}

impl Script {
    /// That it can be played.
    pub(super) fn check(&self) -> Result<(), ScriptError> {
        let impossible = |what: &str| Err(ScriptError::Impossible(what.to_owned()));
        if self.length.is_zero() || self.nodes.is_empty() {
            return impossible("it needs a `length` and a node");
        }
        if self.population.thin == 0 || self.population.known_addresses == 0 || self.population.block_interval <= 0.0 {
            return impossible("`thin`, `known_addresses` and `block_interval` are at least 1");
        }
        if self.node.uptime.as_nanos() as u64 > self.begin {
            return impossible("the node cannot have begun before 1970");
        }
        Ok(())
    }
}
