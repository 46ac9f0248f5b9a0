//! What the desks of all detectors and nodes write down together: what is told, what is counted, and which findings are of the whole
//! fleet (G8).

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher as _;
use std::sync::Arc;

use event::{Finding, FindingCleared, FindingEnd, FindingOpened, Kind, Severity, Verdict};
use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::context::Context;
use crate::detector::{About, Scope};
use crate::finding::{Entity, Statement, input};
use crate::guard::Guard;
use crate::thresholds::Limit;
use crate::time::MINUTE;
use crate::wire;

/// What the engine counts about one node.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Account {
    /// What each guard kept back, by [`Guard`]: alarms, each of a detector about an entity counted once in every minute that it lasts, and
    /// what detectors left out of their numbers because of it.
    pub suppressed: [u64; Guard::ALL.len()],
    /// Alarms that were counted in this minute, as hashes. Beyond [`ALARMS`] each is counted as often as it is judged.
    alarms: BTreeSet<u64>,
    minute: u64,
    /// Entries that detectors forgot because their tables were full.
    pub evicted: u64,
    /// Findings that gave way because there were too many, or for which there was no room: those as often as they are judged.
    pub crowded: u64,
}

/// Alarms kept back within a minute that are told apart.
const ALARMS: usize = 1024;

/// What desks write down together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) out: Vec<Statement>,
    pub(crate) fleet: Fleet,
}

/// Which nodes have a finding of a detector, and what that makes of the fleet: G8.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Fleet {
    /// Nodes that something was heard of within the hour.
    pub(crate) nodes: usize,
    /// By detector.
    open: BTreeMap<String, Together>,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Together {
    /// By node, those that are open.
    nodes: BTreeMap<String, OfNode>,
    /// The finding about all of them.
    finding: Option<OfFleet>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct OfNode {
    /// How many.
    open: u32,
    /// When the window of the first began.
    from: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct OfFleet(#[serde(with = "wire")] Finding);

/// The node of findings about the whole fleet; no operator is likely to name one so.
pub const FLEET: &str = "_fleet";

impl Fleet {
    /// A node has another finding, whose window begins then.
    pub(crate) fn opened(&mut self, detector: &str, node: &str, from: u64) {
        let nodes = &mut self.open.entry(detector.to_owned()).or_default().nodes;
        nodes.entry(node.to_owned()).or_insert(OfNode { open: 0, from }).open += 1;
    }

    pub(crate) fn ended(&mut self, detector: &str, node: &str) {
        let Some(Together { nodes, .. }) = self.open.get_mut(detector) else { return };
        if let Some(of_node) = nodes.get_mut(node) {
            of_node.open -= 1;
            if of_node.open == 0 {
                nodes.remove(node);
            }
        }
    }

    /// When the window of the first of them began.
    fn from(&self, detector: &str) -> Option<u64> {
        self.open.get(detector)?.nodes.values().map(|of_node| of_node.from).min()
    }

    /// Nodes that have it, and the finding about all of them.
    pub(crate) fn together(&self, detector: &str) -> (usize, Option<&Finding>) {
        self.open.get(detector).map_or((0, None), |of| (of.nodes.len(), of.finding.as_ref().map(|finding| &finding.0)))
    }

    /// Detectors that are no more have no findings.
    pub(crate) fn keep(&mut self, is: impl Fn(&str) -> bool) {
        self.open.retain(|detector, _| is(detector));
    }

    /// A node was forgotten.
    pub(crate) fn forget(&mut self, node: &str) {
        for of in self.open.values_mut() {
            of.nodes.remove(node);
        }
    }
}

impl Ledger {
    pub(crate) fn account(&self, node: &str) -> &Account {
        const NOTHING: &Account =
            &Account { suppressed: [0; Guard::ALL.len()], alarms: BTreeSet::new(), minute: 0, evicted: 0, crowded: 0 };
        self.accounts.get(node).unwrap_or(NOTHING)
    }

    pub(crate) fn account_mut(&mut self, node: &str) -> &mut Account {
        if !self.accounts.contains_key(node) {
            self.accounts.insert(node.to_owned(), Account::default());
        }
        self.accounts.get_mut(node).expect("it was just put there")
    }

    /// A guard kept an alarm back.
    pub(crate) fn keep_back(&mut self, about: &'static About, context: &Context<'_>, guard: Guard, entity: Option<&Entity>) {
        let account = self.account_mut(context.node);
        let minute = context.now / MINUTE;
        if account.minute != minute {
            account.minute = minute;
            account.alarms.clear();
        }
        let mut hasher = SipHasher13::new_with_keys(context.key, guard as u64);
        hasher.write(about.id.as_bytes());
        hasher.write(&entity.map_or_else(Vec::new, Entity::bytes));
        let alarm = hasher.finish();
        let counted = account.alarms.contains(&alarm);
        if !counted {
            account.suppressed[guard as usize] += 1;
        }
        if account.alarms.len() < ALARMS {
            account.alarms.insert(alarm);
        }
    }

    /// A detector left something out of its numbers because of a guard.
    pub(crate) fn leave_out(&mut self, context: &Context<'_>, guard: Guard) {
        self.account_mut(context.node).suppressed[guard as usize] += 1;
    }

    pub(crate) fn evict(&mut self, node: &str, count: u64) {
        let account = self.account_mut(node);
        account.evicted = account.evicted.saturating_add(count);
    }

    /// Whether what a detector found at several nodes is one finding about all, by now.
    pub(crate) fn weigh(&mut self, about: &'static About, context: &Context<'_>) {
        if about.scope == Scope::Fleet {
            return;
        }
        let (with, known) = self.fleet.together(about.id);
        let all = self.fleet.nodes as f64;
        let share = with as f64 / all.max(1.0);
        let most = context.limit(Limit::GuardFleet);
        let kind: Kind = match known {
            None if all >= context.limit(Limit::GuardFleetNodes) && share >= most => {
                let finding = Finding {
                    detector: about.id.to_owned(),
                    version: about.version,
                    name: about.name.to_owned(),
                    id: finding_id(about.id, FLEET, &Entity::Fleet, context.now),
                    entity: Some(Entity::Fleet.message(|_| String::new())),
                    severity: Severity::Warn.into(),
                    verdict: Verdict::Investigate.into(),
                    score: share / most,
                    inputs: vec![input("nodes", with as f64, "nodes", None), input("share", share, "share", most)],
                    window_from: self.fleet.from(about.id).unwrap_or(context.now).min(context.now),
                    window_to: context.now,
                    opened: context.now,
                    summary: format!(
                        "seen at {with} of {all} nodes at once: something in the network rather than an attack on one"
                    ),
                    does_not_prove: about.does_not_prove.to_owned(),
                    ..Finding::default()
                };
                self.fleet.open.entry(about.id.to_owned()).or_default().finding = Some(OfFleet(finding.clone()));
                FindingOpened { finding: Some(finding) }.into()
            }
            // well below, so that one node more or less does not open and clear it in turn
            Some(_) if share < most / 2.0 => {
                let Some(OfFleet(mut finding)) = self.fleet.open.get_mut(about.id).and_then(|of| of.finding.take()) else { return };
                finding.end = FindingEnd::Cleared.into();
                finding.window_to = context.now;
                FindingCleared { finding: Some(finding) }.into()
            }
            _ => return,
        };
        self.out.push(Statement { time: context.now, node: Arc::from(FLEET), node_run: None, kind });
    }

    pub(crate) fn say(&mut self, about: &'static About, context: &Context<'_>, kind: impl Into<Kind>) {
        let node_run = if about.scope == Scope::Fleet { None } else { context.facts.node_run };
        self.out.push(Statement { time: context.now, node: Arc::from(about.place(context)), node_run, kind: kind.into() });
    }
}

impl About {
    /// The node that its findings are told of.
    pub(crate) fn place<'a>(&self, context: &Context<'a>) -> &'a str {
        match self.scope {
            Scope::Node => context.node,
            Scope::Fleet => FLEET,
        }
    }
}

/// The same for the same detector, node, entity and time, and practically never for others.
pub(crate) fn finding_id(detector: &str, node: &str, entity: &Entity, opened: u64) -> String {
    let mut hasher = SipHasher13::new();
    for part in [detector.as_bytes(), node.as_bytes(), &entity.bytes(), &opened.to_le_bytes()] {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part);
    }
    format!("{:016x}", hasher.finish128().h1)
}
