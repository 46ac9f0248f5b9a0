//! D15: peers that cannot be what they say they are.
//!
//! **Behaviour.** A program says that it is Bitcoin Core, or a wallet, and is neither: to be taken for one of many, to be connected to, or
//! because whoever wrote it copied a line. Thousands of connections of one month claimed to be Bitcoin Core of 2012 and offered what was
//! invented in 2022.
//!
//! **Signal.** Of each inbound connection, what contradicts the user agent:
//! - *services*: a service that is younger than the version (witness 0.13, limited blocks 0.16, compact filters 0.21, transport v2 26);
//! - *nothing*: Bitcoin Core that offers no service at all;
//! - *spelling*: a name that is nearly `Satoshi`;
//! - *protocol*: another protocol version than that release has (70016 from 0.21 on, less before);
//! - *transport*: transport v2 from a release before 26;
//! - *greeting*: Bitcoin Core from 22 on whose `verack` comes without `wtxidrelay` before it;
//! - *nonce*: none, or one that another connection used;
//! - *blocks*: a wallet that offers all blocks;
//! - *height*: more than a day of blocks beyond the node's own.
//!
//! The last two are half a contradiction each, the others a whole one. One such connection says nothing; of the connections of an hour more than a tenth,
//! or twenty under one name, are a warning.
//!
//! **Look-alikes.** Private broadcasts have no services, no time and no height, on purpose (G4). Bitcoin Knots and nodes whose owner added a
//! comment to the name are what they say. Clients of other chains dial the same port: they say so, and are left out. Nodes that still download the chain are behind,
//! never ahead.
//!
//! **Left out.** Whether the peer knows the node's address (events do not say which addresses are the node's own); a height that stays the
//! same over days; fingerprints of releases, of which there is no list yet.
//!
//! **What an attacker may do.** Run Bitcoin Core, or say what it would say. Then it is what it says.
//!
//! **Sources** (`docs/sources.md`). S24, S25; Bitcoin Core `src/protocol.h`, `src/node/protocol_version.h`, `src/net_processing.cpp`.

use std::collections::{BTreeMap, BTreeSet};

use event::{ConnectionType, Direction, Event, Kind, KindId, NetVersion, Severity, Transport, Verdict};
use serde::{Deserialize, Serialize};

use crate::entity::agent::Class;
use crate::measure::{Evidence, SlidingCount, Table, hash};
use crate::thresholds::Limit;
use crate::time::{HOUR, MINUTE};
use crate::{About, Case, Context, Detector, Entity, Family, Findings, Guard, Judgement, Scope, input};

/// How far back it looks.
const WINDOW: u64 = HOUR;

/// Names that are remembered, of those that contradict themselves. One takes 2 kB at most.
const NAMES: usize = 256;

/// Connections of which more may be learned: more than a node has.
const OPEN: usize = 4096;

/// Nonces that are remembered.
const NONCES: usize = 16_384;

/// Characters of a name that are kept.
const NAME: usize = 128;

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FalseIdentity {
    /// Inbound connections that said hello.
    sessions: SlidingCount,
    /// Of them, those that cannot be what they say.
    false_ones: SlidingCount,
    signs: BTreeMap<Sign, SlidingCount>,
    names: Table<String, Name>,
    open: BTreeMap<u64, Session>,
    nonces: Table<u64, u32>,
    /// Of the node's best chain.
    height: Option<i64>,
    evidence: Evidence,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Name {
    sessions: SlidingCount,
    evidence: Evidence,
}

/// A connection that said hello, for as long as it is open.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Session {
    claims: Option<Class>,
    name: String,
    signs: BTreeSet<Sign>,
    /// It was counted as false.
    counted: bool,
    /// It sent `wtxidrelay`.
    wtxid: bool,
    /// It sent `verack`.
    ready: bool,
}

/// What contradicts a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
enum Sign {
    Services,
    Nothing,
    Spelling,
    Protocol,
    Transport,
    Greeting,
    Nonce,
    Blocks,
    Height,
}

impl Default for FalseIdentity {
    fn default() -> Self {
        Self {
            sessions: SlidingCount::new(WINDOW),
            false_ones: SlidingCount::new(WINDOW),
            signs: BTreeMap::new(),
            names: Table::new(NAMES, 10 * MINUTE),
            open: BTreeMap::new(),
            nonces: Table::new(NONCES, HOUR),
            height: None,
            evidence: Evidence::default(),
        }
    }
}

impl Default for Name {
    fn default() -> Self {
        Self { sessions: SlidingCount::new(WINDOW), evidence: Evidence::default() }
    }
}

impl Detector for FalseIdentity {
    const ABOUT: About = About {
        id: "D15",
        name: "false_identity",
        version: 2,
        title: "Peers that cannot be what they say they are",
        family: Family::Strangers,
        scope: Scope::Node,
        kinds: &[
            KindId::NetVersion,
            KindId::NetWtxidrelay,
            KindId::NetVerack,
            KindId::ConnReady,
            KindId::ConnClosed,
            KindId::StateBlockchain,
        ],
        every: MINUTE,
        needs: &[KindId::NetVersion, KindId::NetVerack, KindId::ConnReady],
        window: WINDOW,
        guards: &[],
        // a greeting that was not seen could make a sign: that one is left out then, the others stand
        fooled_by: &[],
        thresholds: &[Limit::D15Share, Limit::D15Least, Limit::D15Alike, Limit::D15Ahead, Limit::D15Lasts],
        does_not_prove: "what they want: a crawler that copied a name is as false as a spy, and does no harm",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>) {
        match &event.kind {
            Some(Kind::NetVersion(m)) if m.direction() == Direction::Inbound && m.connection_type() == ConnectionType::Inbound => {
                self.hello(event, m, context, findings);
            }
            Some(Kind::NetWtxidrelay(m)) if m.direction() == Direction::Inbound => {
                if let Some(session) = self.open.get_mut(&m.peer) {
                    session.wtxid = true;
                }
            }
            Some(Kind::NetVerack(m)) if m.direction() == Direction::Inbound => {
                let Some(session) = self.open.get_mut(&m.peer).filter(|session| !session.ready) else { return };
                session.ready = true;
                let modern = matches!(session.claims, Some(Class::Core(22..)));
                if modern && !session.wtxid {
                    if context.is_blind(&[KindId::NetWtxidrelay], MINUTE) {
                        findings.suppressed(Guard::Blind);
                    } else {
                        self.sign(event, m.peer, Sign::Greeting, context, findings);
                    }
                }
            }
            Some(Kind::ConnReady(m)) if m.transport() == Transport::V2 => {
                if matches!(self.open.get(&m.peer), Some(Session { claims: Some(Class::Core(..26)), .. })) {
                    self.sign(event, m.peer, Sign::Transport, context, findings);
                }
            }
            Some(Kind::ConnClosed(m)) => {
                self.open.remove(&m.peer);
            }
            Some(Kind::StateBlockchain(m)) => self.height = m.blocks.map(i64::from).or(self.height),
            _ => {}
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.evidence.forget(context.since(WINDOW));
        self.names.forget(context.since(2 * WINDOW));
        self.nonces.forget(context.since(6 * WINDOW));
        findings.evicted(self.names.take_evicted() + self.nonces.take_evicted());
        self.share(context, findings);
        let alike = context.limit(Limit::D15Alike);
        for name in self.names.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            let Some(of_it) = self.names.get_mut(&name) else { continue };
            of_it.evidence.forget(context.since(WINDOW));
            let count = of_it.sessions.get(context.now) as f64;
            let entity = Entity::Agent(name);
            let judgement = match () {
                () if !is_recent(&of_it.evidence, context) => Judgement::Clear,
                () if count >= alike => Judgement::Fires(Severity::Warn),
                () if count >= alike / 2.0 => Judgement::Holds,
                () => Judgement::Clear,
            };
            findings.judge(&entity, judgement, || Case {
                score: count / alike,
                verdict: Verdict::Investigate,
                inputs: vec![input("connections", count, "connections", alike)],
                from: context.since(WINDOW),
                evidence: of_it.evidence.all(),
                summary: format!("{count} connections within an hour say so, and contradict it"),
            });
        }
    }

    fn restarted(&mut self, _: &str) {
        self.open.clear();
    }
}

impl FalseIdentity {
    fn hello(&mut self, event: &Event, version: &NetVersion, context: &Context<'_>, findings: &mut Findings<'_>) {
        if context.peer(version.peer).is_some_and(|peer| peer.private_broadcast) {
            findings.left_out(Guard::PrivateBroadcast);
            return;
        }
        // a second `version` changes nothing
        if self.open.contains_key(&version.peer) {
            return;
        }
        self.sessions.add(context.now, 1);
        if self.open.len() >= OPEN {
            // who left without being seen to
            self.open.retain(|id, _| context.peer(*id).is_some());
            if self.open.len() >= OPEN {
                findings.evicted(1);
                return;
            }
        }
        let claims = Class::of(&version.user_agent);
        let name = version.user_agent.chars().take(NAME).collect();
        self.open.insert(version.peer, Session { claims: Some(claims), name, ..Session::default() });
        let mut signs = contradictions(version, claims);
        // forks of the chain have a height of their own
        let ahead =
            self.height.is_some_and(|height| f64::from(version.start_height) > height as f64 + context.limit(Limit::D15Ahead));
        if ahead && matches!(claims, Class::Core(_) | Class::Knots(_)) && !context.holds(Guard::InitialDownload, None) {
            signs.push(Sign::Height);
        }
        let uses = self.nonces.touch(&hash(context.key, &version.nonce.to_le_bytes()), context.now);
        *uses = uses.saturating_add(1);
        if *uses > 1 && version.nonce != 0 {
            signs.push(Sign::Nonce);
        }
        for sign in signs {
            self.sign(event, version.peer, sign, context, findings);
        }
    }

    /// A connection shows a sign.
    fn sign(&mut self, event: &Event, peer: u64, sign: Sign, context: &Context<'_>, findings: &mut Findings<'_>) {
        let Some(session) = self.open.get_mut(&peer) else { return };
        if !session.signs.insert(sign) {
            return;
        }
        let weight: f64 = session.signs.iter().map(|sign| sign.weight()).sum();
        if weight < 1.0 {
            return;
        }
        let now = context.now;
        let shown: Vec<Sign> = if session.counted { vec![sign] } else { session.signs.iter().copied().collect() };
        for sign in shown {
            self.signs.entry(sign).or_insert_with(|| SlidingCount::new(WINDOW)).add(now, 1);
        }
        self.evidence.add(event);
        let of_name = self.names.touch(&session.name, now);
        of_name.evidence.add(event);
        if !session.counted {
            session.counted = true;
            of_name.sessions.add(now, 1);
            self.false_ones.add(now, 1);
        }
        findings.evicted(self.names.take_evicted());
    }

    /// How many of those who come are false.
    fn share(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        let sessions = self.sessions.get(context.now) as f64;
        let false_ones = self.false_ones.get(context.now) as f64;
        let (share, most) = (false_ones / sessions.max(1.0), context.limit(Limit::D15Share));
        let judgement = match () {
            () if !is_recent(&self.evidence, context) => Judgement::Clear,
            () if false_ones < context.limit(Limit::D15Least) || share <= most / 2.0 => Judgement::Clear,
            () if share > most => Judgement::Fires(Severity::Warn),
            () => Judgement::Holds,
        };
        let signs = &mut self.signs;
        findings.judge(&Entity::Node, judgement, || {
            let mut counts: Vec<(u64, Sign)> =
                signs.iter_mut().map(|(sign, count)| (count.get(context.now), *sign)).filter(|(count, _)| *count > 0).collect();
            counts.sort_by(|a, b| b.cmp(a));
            let mut inputs = vec![
                input("false_share", share, "share", most),
                input("false", false_ones, "connections", context.limit(Limit::D15Least)),
                input("connections", sessions, "connections", None),
            ];
            inputs.extend(counts.iter().map(|(count, sign)| input(sign.name(), *count as f64, "connections", None)));
            let mostly = counts.first().map_or("", |(_, sign)| sign.words());
            Case {
                score: share / most,
                verdict: Verdict::Investigate,
                inputs,
                from: context.since(WINDOW),
                evidence: self.evidence.all(),
                summary: format!("{false_ones} of {sessions} who came within an hour cannot be what they say; mostly: {mostly}"),
            }
        });
    }
}

/// Whether somebody came lately who is in this evidence.
fn is_recent(evidence: &Evidence, context: &Context<'_>) -> bool {
    evidence.last().is_some_and(|time| time >= context.since(context.span(Limit::D15Lasts)))
}

/// Services, and the version of Bitcoin Core that had them first (`src/protocol.h`; BIPs 144, 159, 157, 324).
const SERVICES: [(u64, u8); 4] = [(1 << 3, 13), (1 << 10, 16), (1 << 6, 21), (1 << 11, 26)];

/// Of all blocks.
const NETWORK: u64 = 1;

/// Of Bitcoin Core from 0.21 on (BIP 339).
const PROTOCOL: u32 = 70_016;

/// What in a `version` contradicts its user agent.
fn contradictions(version: &NetVersion, claims: Class) -> Vec<Sign> {
    let mut signs = Vec::new();
    if is_misspelt(&version.user_agent) {
        signs.push(Sign::Spelling);
    }
    match claims {
        Class::Core(release) => {
            if SERVICES.iter().any(|(service, since)| version.services & service != 0 && release < *since) {
                signs.push(Sign::Services);
            }
            if version.services == 0 {
                signs.push(Sign::Nothing);
            }
            let modern = release >= 21;
            if modern != (version.version >= PROTOCOL) || version.version > PROTOCOL && release <= 31 {
                signs.push(Sign::Protocol);
            }
        }
        Class::Wallet if version.services & NETWORK != 0 => signs.push(Sign::Blocks),
        _ => {}
    }
    if version.nonce == 0 && matches!(claims, Class::Core(_) | Class::Knots(_)) {
        signs.push(Sign::Nonce);
    }
    signs
}

/// Whether a name is nearly `Satoshi`: one letter was changed, added or left out, or the letters are of another size.
fn is_misspelt(agent: &str) -> bool {
    const NAME: &str = "Satoshi";
    let Some(name) = agent.strip_prefix('/').and_then(|agent| agent.split([':', '/']).next()) else { return false };
    if name == NAME || name.len() > NAME.len() + 3 {
        return false;
    }
    let (ours, theirs): (Vec<char>, Vec<char>) = (NAME.to_lowercase().chars().collect(), name.to_lowercase().chars().collect());
    let (short, long) = if ours.len() < theirs.len() { (&ours, &theirs) } else { (&theirs, &ours) };
    match long.len() - short.len() {
        0 => long.iter().zip(short).filter(|(a, b)| a != b).count() <= 1,
        1 => {
            let same = short.iter().zip(long).take_while(|(a, b)| a == b).count();
            short[same..] == long[same + 1..]
        }
        _ => false,
    }
}

impl Sign {
    fn weight(self) -> f64 {
        match self {
            Self::Blocks | Self::Height => 0.5,
            _ => 1.0,
        }
    }

    /// As the input of a finding is called.
    fn name(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::Nothing => "no_services",
            Self::Spelling => "misspelt",
            Self::Protocol => "protocol_version",
            Self::Transport => "transport",
            Self::Greeting => "greeting",
            Self::Nonce => "nonce",
            Self::Blocks => "wallet_with_blocks",
            Self::Height => "height",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Services => "services younger than the release",
            Self::Nothing => "Bitcoin Core that offers nothing",
            Self::Spelling => "a name that is nearly Satoshi",
            Self::Protocol => "a protocol version that the release does not have",
            Self::Transport => "a transport that the release does not have",
            Self::Greeting => "a greeting that is not Bitcoin Core's",
            Self::Nonce => "a nonce that is none, or somebody else's",
            Self::Blocks => "a wallet that offers all blocks",
            Self::Height => "a height far beyond the chain",
        }
    }
}

#[cfg(test)]
mod tests;
