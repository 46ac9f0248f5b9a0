//! What operators ask, and which panel answers it: `docs/questions.md`.
//!
//! The list is theirs: what they looked at before this program was there, and what they asked for since. What no number answers is said, with the
//! place that does.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::panels::DASHBOARDS;
use crate::{dashboards, promql};

/// A theme, as operators name it.
pub struct Theme {
    name: &'static str,
    questions: &'static [(&'static str, Answer)],
}

/// Who answers.
enum Answer {
    /// Panels, by their title.
    Panels(&'static [&'static str]),
    /// A list of addresses that the operator provides (`--metrics-lists`); then these panels.
    List(&'static [&'static str]),
    /// No number does, and why.
    Not(&'static str),
}

use Answer::{List, Not, Panels};

/// All of them.
pub const THEMES: &[Theme] = &[
    Theme {
        name: "Fees",
        questions: &[
            (
                "What feerate does each node estimate for 1, 6 and 144 blocks?",
                Panels(&["What feerate does each node estimate?", "And cautiously?"]),
            ),
            (
                "Do the nodes disagree?",
                Panels(&["What feerate does each node estimate?", "How far are nodes from the fleet's median?"]),
            ),
        ],
    },
    Theme {
        name: "Log",
        questions: &[
            ("How much does each node log per category?", Panels(&["How much does each node log per category?"])),
            (
                "And per level?",
                Not(
                    "the parser counts lines by category; a level that matters is an event of its own (`peer-observer logger --kinds log,chain`)",
                ),
            ),
            ("Were mutated blocks seen?", Panels(&["Were mutated blocks seen?"])),
            ("When was the last line seen?", Panels(&["When did each source last state a fact?"])),
            ("Does the parser fail?", Panels(&["What share of the lines is understood?", "Is the log whole, and read well?"])),
        ],
    },
    Theme {
        name: "Addresses",
        questions: &[
            (
                "How many addresses per hour are pushed to each node?",
                Panels(&["How many addresses per hour are pushed to each node?"]),
            ),
            ("Is there an address flood right now?", Panels(&["Is there an address flood right now?", "Is that usual?"])),
            ("How many addresses were dropped by rate limiting?", Panels(&["How many addresses were dropped by rate limiting?"])),
            ("How big are the addrv2 messages a node relays?", Panels(&["How big are the address messages that a node relays?"])),
            (
                "How much address gossip does a node relay to one peer?",
                Panels(&[
                    "How much address gossip does a node relay to one peer?",
                    "How large are the messages that one peer gets?",
                ]),
            ),
            ("How many peers hit the address rate limit?", Panels(&["How many peers hit the address rate limit?"])),
            (
                "How often do peers announce themselves, or their own subnet?",
                Panels(&["How often do peers announce themselves?", "How often do peers announce their own subnet?"]),
            ),
            ("Which service flags are being gossiped?", Panels(&["Which service flags are being gossiped?"])),
            ("With what share of peers do we do address relay?", Panels(&["With what share of peers do we relay addresses?"])),
            ("What share of received addresses is rate-limited?", Panels(&["What share of received addresses is rate-limited?"])),
            (
                "How old do gossiped addresses claim to be?",
                Panels(&["How old do addresses claim to be?", "How many addresses come from the future?"]),
            ),
            ("Addresses per network in gossip?", Panels(&["Which networks are gossiped?"])),
            ("Who sends empty addrv2 messages?", Panels(&["Who sends empty address messages?"])),
        ],
    },
    Theme {
        name: "Address manager",
        questions: &[
            (
                "Is the new table growing or shrinking abnormally?",
                Panels(&["Is the address table growing or shrinking abnormally?"]),
            ),
            ("How large is it per network?", Panels(&["How large is it per network?"])),
            ("How old are entries, in percentiles per table?", Panels(&["How old are the entries?"])),
            ("How many entries are terrible, or from the future?", Panels(&["How many entries are terrible, or from the future?"])),
            (
                "Which ports, services, sources and systems have the entries?",
                Panels(&[
                    "Which ports and services do the entries claim?",
                    "How many sources do the entries have?",
                    "How many autonomous systems do entries and sources have?",
                ]),
            ),
            ("How much changes between two dumps?", Panels(&["How much changes between two dumps?"])),
        ],
    },
    Theme {
        name: "Compact blocks",
        questions: &[
            (
                "How many high-bandwidth peers did we choose, how many chose us?",
                Panels(&["How many high-bandwidth peers did we choose, how many chose us?"]),
            ),
            ("What share of peers chose us?", Panels(&["What share of peers chose us?"])),
            (
                "What share of compact blocks is put together without asking?",
                Panels(&["What share of blocks is put together without asking?", "How did blocks come together?"]),
            ),
            (
                "How long does reconstruction take?",
                Panels(&[
                    "How long from the compact block to the connected block?",
                    "How long does matching a compact block with the mempool take?",
                ]),
            ),
            (
                "How many transactions are requested, how many bytes?",
                Panels(&[
                    "How many transactions were lacking?",
                    "How many bytes were asked for?",
                    "How much had to be asked for, per block?",
                ]),
            ),
            ("Where do their transactions come from?", Panels(&["Where do the transactions of compact blocks come from?"])),
        ],
    },
    Theme {
        name: "Connections",
        questions: &[
            ("How long did closed connections live?", Panels(&["How long did closed connections live?"])),
            ("On which network are connections being closed?", Panels(&["On which network are connections being closed?"])),
            (
                "Which protocol versions do peers speak?",
                Panels(&["Which protocol versions do peers speak?", "Which protocol versions connect?"]),
            ),
            ("Which software do they claim to be?", Panels(&["Which software do peers claim to be?", "Which software connects?"])),
            (
                "Is the inbound connection count anomalous?",
                Panels(&["How anomalous is the inbound count?", "How many inbound connections, against what is usual?"]),
            ),
            ("How many inbound connections has each node?", Panels(&["How many inbound connections has each node?"])),
            ("How many outbound connections has each node?", Panels(&["How many outbound full-relay peers has each node?"])),
            ("How many peers has each node?", Panels(&["How many peers has each node?"])),
            ("How many peers of one connection type?", Panels(&["How many peers of which type?"])),
            (
                "Peers per network, over all nodes and per node?",
                Panels(&["Peers per network over all nodes?", "Peers per network and node?"]),
            ),
            ("What share uses the encrypted transport?", Panels(&["What share uses the encrypted transport?"])),
            (
                "How many peers are on the 2018 ban list, the Monero ban list, LinkingLion, bitprojects.io, or come through Tor exits?",
                List(&["How many peers are on a list?", "In which direction?", "How often do they connect?"]),
            ),
            ("Are inbound IPv4 peers concentrated in few /16?", Panels(&["Are inbound IPv4 peers concentrated in few /16?"])),
            (
                "Which autonomous systems hold more than 3 connections?",
                Panels(&["Which autonomous systems hold more than 3 connections?"]),
            ),
            (
                "How diverse are they, are several outbound peers in one, how many peers are unmapped?",
                Panels(&["How diverse are the autonomous systems?"]),
            ),
            (
                "Which autonomous systems are connections closed of?",
                Not(
                    "a close does not carry the system of its peer, and a counter by rank would count another system each time the ranks change; ask an archive",
                ),
            ),
            (
                "Who is evicted, refused, misbehaves?",
                Panels(&["Who is turned away, or evicted?", "Who misbehaves?", "Why do connections end?"]),
            ),
            (
                "How often does each subnet send old pings?",
                Not("a subnet is for its owner to choose, so it is no label; the page of peers and `top` show who"),
            ),
        ],
    },
    Theme {
        name: "Fee filters",
        questions: &[
            ("Which feefilter does a node send, how often?", Panels(&["Which fee filter does a node send, how often?"])),
            ("Which are received?", Panels(&["Which fee filters are received?", "Which fee filters have the peers?"])),
            ("How many peers relay below 1 sat/vB?", Panels(&["How many peers relay below 1 sat/vB?"])),
        ],
    },
    Theme {
        name: "Announcements",
        questions: &[
            (
                "How large and frequent are inventories towards one peer?",
                Panels(&["How large and frequent are announcements towards one peer?", "How large are announcements?"]),
            ),
            (
                "Is the per-peer announcement queue backing up?",
                Panels(&["Is the per-peer announcement queue backing up?", "What queue do the announcements prove?"]),
            ),
            ("How many large inventories does a node send?", Panels(&["How many large announcements does a node send?"])),
            ("Are inventories of one type?", Panels(&["Are announcements of one type?"])),
            (
                "How large is the orphanage, how fast does it change?",
                Panels(&["How large is the orphanage?", "How fast does it change?"]),
            ),
            ("How many peers announce an orphan?", Panels(&["How many peers announce an orphan?"])),
            ("Does somebody broadcast transactions in private?", Panels(&["Which software connects?"])),
        ],
    },
    Theme {
        name: "Entities",
        questions: &[
            ("What share of messages is LinkingLion's?", List(&["What share of messages is theirs?"])),
            ("What share of traffic?", List(&["What share of traffic is theirs?"])),
            ("Which message types do they use?", List(&["Which message types do they use?"])),
        ],
    },
    Theme {
        name: "Mempool",
        questions: &[
            ("How full is it?", Panels(&["How full is the mempool?"])),
            ("How many bytes of memory per virtual byte?", Panels(&["How many bytes of memory per virtual byte?"])),
            ("What is the current minimum feerate?", Panels(&["What is the current minimum feerate?"])),
            ("Why are transactions rejected?", Panels(&["Why are transactions rejected?"])),
            ("How many are accepted, against rejected?", Panels(&["Accepted against rejected?"])),
            ("How many transactions enter per second?", Panels(&["How many transactions enter per second?"])),
            ("How many virtual bytes enter per minute?", Panels(&["How many virtual bytes enter per minute?"])),
            ("Which percentiles of fee rates?", Panels(&["At which fee rates?", "Which fee rates do transactions pay?"])),
            ("How do the mempools of nodes differ?", Panels(&["How far are nodes from the fleet's median?"])),
            (
                "Which transactions has one node and another not?",
                Not("a transaction is no label; compare the archives of both nodes"),
            ),
        ],
    },
    Theme {
        name: "Pings",
        questions: &[
            ("Do peers send unusual ping nonces?", Panels(&["Do peers send unusual ping nonces?"])),
            ("Does somebody ping too often?", Panels(&["Does somebody ping too often?", "How many pings come too soon?"])),
            (
                "Mean, median and other quantiles of peers' pings?",
                Panels(&["Median and mean ping of peers?", "Shortest pings of peers?"]),
            ),
            ("How many peers stop answering?", Panels(&["How many peers stop answering?"])),
            (
                "How long is the message-processing backlog of a node?",
                Panels(&["How long is the message-processing backlog of a node?", "Does a node answer at all?"]),
            ),
        ],
    },
    Theme {
        name: "Blocks",
        questions: &[
            (
                "How many block heights are in flight, how many peers owe us a block?",
                Panels(&["How many block heights are in flight, how many peers owe one?"]),
            ),
            (
                "How long does connecting a block take?",
                Panels(&["How long does connecting a block take?", "Which part of connecting a block takes the time?"]),
            ),
            (
                "How many inputs and signature operations has a block?",
                Panels(&["What is in the blocks?", "What does an input cost?"]),
            ),
            ("How long from header to tip?", Panels(&["How long from the first sign to the connected block?"])),
            ("How far apart do blocks arrive at the nodes?", Panels(&["How late are blocks at a node?"])),
            ("How far apart do transactions?", Panels(&["How late do transactions reach a node?"])),
            (
                "Is a node behind, or on another branch?",
                Panels(&["How far is a node behind its siblings?", "Are there other branches?"]),
            ),
        ],
    },
    Theme {
        name: "Node",
        questions: &[
            (
                "How many peers have a clock more than 10 seconds off?",
                Panels(&["How many peers have a clock more than 10 seconds off?"]),
            ),
            ("Traffic of a node per second?", Panels(&["Traffic of a node per second?"])),
            ("Traffic per day, by message?", Panels(&["Traffic per day, by message?"])),
            ("How long is each node up?", Panels(&["When was it restarted?"])),
            (
                "How much CPU does it use, which thread?",
                Panels(&["How much CPU does the node use?", "Which thread uses it?", "Which thread waits for a CPU?"]),
            ),
            ("How much memory and disk?", Panels(&["How much memory?", "How much disk is left?", "How much disk traffic?"])),
            (
                "How much CPU does each peer cost?",
                Not("only a patched node says; which peer sends what is on the page of peers and in `top`"),
            ),
        ],
    },
    Theme {
        name: "Incidents",
        questions: &[
            ("Does a detector hold that something goes on, how often?", Panels(&["What do detectors hold to be the case?"])),
            ("Which peer did it?", Not("a peer is no label; the page of peers, `top` and the archive say who")),
            (
                "What happened across nodes within the same second?",
                Not("that is a list and no number: `peer-observer archive cut` of that second, over all nodes"),
            ),
        ],
    },
];

/// What each names that is not there.
pub fn complaints() -> Vec<String> {
    let known: BTreeSet<&str> = DASHBOARDS.iter().flat_map(|dashboard| dashboard.panels).map(|panel| panel.question).collect();
    let named = THEMES.iter().flat_map(|theme| theme.questions).flat_map(|(question, answer)| match answer {
        Panels(panels) | List(panels) => panels.iter().map(|panel| (*question, *panel)).collect(),
        Not(_) => vec![],
    });
    named
        .filter(|(_, panel)| !known.contains(panel))
        .map(|(question, panel)| format!("{question}: no panel asks {panel:?}"))
        .collect()
}

/// The page.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Questions\n\nWhat operators ask, and what answers it. Generated from `crates/tools/tests/monitoring/questions.rs`; do not edit.\n\n\
         A panel is on a dashboard, whose folder stands before it; [metrics.md](metrics.md) describes the metrics.\n",
    );
    for theme in THEMES {
        let _ = write!(out, "\n## {}\n\n| question | panel | metrics |\n|---|---|---|\n", theme.name);
        for (question, answer) in theme.questions {
            let (panels, note) = match answer {
                Panels(panels) => (*panels, ""),
                List(panels) => (*panels, "with a list of the operator's: "),
                Not(why) => {
                    let _ = writeln!(out, "| {question} | no number: {why} | |");
                    continue;
                }
            };
            let _ = writeln!(
                out,
                "| {question} | {note}{} | {} |",
                panels.iter().map(|panel| place(panel)).collect::<Vec<_>>().join("; "),
                metrics(panels)
            );
        }
    }
    out
}

/// Where a panel is.
fn place(question: &str) -> String {
    let of = DASHBOARDS.iter().find(|dashboard| dashboard.panels.iter().any(|panel| panel.question == question));
    format!("{}: {question}", of.map_or("", |dashboard| dashboard.folder))
}

/// What panels are made of.
fn metrics(panels: &[&str]) -> String {
    let shown = DASHBOARDS.iter().flat_map(|dashboard| dashboard.panels).filter(|panel| panels.contains(&panel.question));
    let names: BTreeSet<String> =
        shown.flat_map(|panel| panel.queries).flat_map(|(query, _)| promql::metrics(&dashboards::expression(query))).collect();
    names.into_iter().map(|name| format!("`{}`", name.strip_prefix("peerobserver_").unwrap_or(&name))).collect::<Vec<_>>().join(" ")
}
