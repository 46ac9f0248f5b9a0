//! What the dashboards ask: a row per question.
//!
//! In an expression, `{NODE}` and `NODE,` stand for the choice of nodes, and `[R]` for the time that fits the width of the panel.

use crate::dashboards::{Dashboard, Panel, Unit};
use Unit::{Age, Bool, Bytes, BytesPerSecond, Count, Feerate, PerSecond, Seconds, Share, Time};

/// A number per time and series.
const fn graph(question: &'static str, read: &'static str, unit: Unit, queries: &'static [(&'static str, &'static str)]) -> Panel {
    Panel { kind: "timeseries", question, read, unit, queries, wide: false }
}

/// One number per series, now.
const fn number(question: &'static str, read: &'static str, unit: Unit, queries: &'static [(&'static str, &'static str)]) -> Panel {
    Panel { kind: "stat", question, read, unit, queries, wide: false }
}

/// A histogram over time: the expression gives buckets.
const fn heat(question: &'static str, read: &'static str, unit: Unit, queries: &'static [(&'static str, &'static str)]) -> Panel {
    Panel { kind: "heatmap", question, read, unit, queries, wide: true }
}

/// Shares of a whole, now.
const fn bars(question: &'static str, read: &'static str, unit: Unit, queries: &'static [(&'static str, &'static str)]) -> Panel {
    Panel { kind: "bargauge", question, read, unit, queries, wide: false }
}

/// Every dashboard, in the order of the playlist.
pub const DASHBOARDS: &[Dashboard] = &[
    Dashboard {
        folder: "overview",
        title: "Overview",
        about: "The fleet at a glance, for a screen on the wall.",
        panels: &[
            number(
                "Is every node watched?",
                "Sources that are up. Fewer than before: look at observer health.",
                Count,
                &[("sum by (node) (peerobserver_source_up{NODE})", "{{node}}")],
            ),
            number(
                "How many peers has each node?",
                "A default node has 10 outbound peers, and up to 115 inbound ones.",
                Count,
                &[("sum by (node) (peerobserver_peers{NODE})", "{{node}}")],
            ),
            number(
                "Are the nodes at the same height?",
                "Heights that differ for more than a minute: a node is behind, or on another chain.",
                Count,
                &[("max by (node) (peerobserver_chain_blocks{NODE})", "{{node}}")],
            ),
            number(
                "What are the nodes?",
                "Version and chain, as each says.",
                Count,
                &[("peerobserver_node_info{NODE}", "{{node}}: {{version}} {{chain}} {{architecture}}")],
            ),
            number(
                "What do detectors hold to be the case?",
                "Findings that last, by detector; `_fleet` is all nodes together. Their sentences: `peer-observer top`, and the detectors' own lines.",
                Count,
                &[("sum by (node, detector, severity) (peerobserver_findings_active{NODE})", "{{node}} {{detector}} {{severity}}")],
            ),
            graph(
                "How many inbound connections has each node?",
                "Judge the number, not its change: losing 20 within minutes is an anomaly.",
                Count,
                &[("sum by (node) (peerobserver_peers{NODE,connection_type=\"inbound\"})", "{{node}}")],
            ),
            graph(
                "How many messages pass?",
                "Both ways. Blocks make spikes.",
                PerSecond,
                &[("sum by (node) (rate(peerobserver_messages_total{NODE}[R]))", "{{node}}")],
            ),
            graph(
                "How many transactions enter the mempools?",
                "Nodes should agree; one that differs has other rules, or is cut off.",
                PerSecond,
                &[("sum by (node) (rate(peerobserver_mempool_added_total{NODE}[R]))", "{{node}}")],
            ),
            graph(
                "How long is the message backlog?",
                "The last ping of our own through each node's queue. Above a second the node cannot keep up.",
                Seconds,
                &[("peerobserver_probe_last_ping_seconds{NODE}", "{{node}}")],
            ),
            graph(
                "Is the handler of messages saturated?",
                "CPU of `b-msghand`. Near 100 % the node is as slow as its backlog.",
                Share,
                &[(
                    "sum by (node) (rate(peerobserver_node_thread_cpu_seconds_total{NODE,thread=\"b-msghand\",mode!=\"waiting\"}[R]))",
                    "{{node}}",
                )],
            ),
            graph(
                "Is anything lost?",
                "Anything but nothing means that other panels are too low.",
                PerSecond,
                &[
                    ("sum by (node, stage) (rate(peerobserver_events_lost_total{NODE}[R]))", "{{node}} {{stage}}"),
                    ("rate(peerobserver_metrics_missed_events_total[R])", "missed by the metrics"),
                ],
            ),
        ],
    },
    Dashboard {
        folder: "connections",
        title: "Connections",
        about: "Who is connected, who comes and goes, and why.",
        panels: &[
            graph(
                "How many peers of which type?",
                "Outbound: 8 full-relay and 2 block-relay-only; others are short.",
                Count,
                &[("sum by (connection_type) (peerobserver_peers{NODE})", "{{connection_type}}")],
            ),
            graph(
                "How many outbound full-relay peers has each node?",
                "Fewer than 8 for ten minutes: it cannot reach the network.",
                Count,
                &[("sum by (node) (peerobserver_peers{NODE,connection_type=\"outbound_full_relay\"})", "{{node}}")],
            ),
            graph(
                "How many inbound connections, against what is usual?",
                "The number with the band of the last days. Outside for long: an anomaly, not a fluctuation.",
                Count,
                &[
                    ("peerobserver:signal{NODE,signal=\"inbound_peers\"}", "{{node}}"),
                    ("peerobserver:signal:upper{NODE,signal=\"inbound_peers\"}", "{{node}} upper"),
                    ("peerobserver:signal:lower{NODE,signal=\"inbound_peers\"}", "{{node}} lower"),
                ],
            ),
            graph(
                "How anomalous is the inbound count?",
                "Standard deviations from the mean of two days. Beyond 3 either way: look.",
                Count,
                &[("peerobserver:signal:zscore_2d{NODE,signal=\"inbound_peers\"}", "{{node}}")],
            ),
            graph(
                "Do the probes and the node agree on connections?",
                "Lines that part: connections are missed, or the node lists peers late.",
                Count,
                &[
                    ("sum by (node) (peerobserver_connections{NODE})", "{{node}} probes"),
                    ("sum by (node) (peerobserver_network_connections{NODE})", "{{node}} node"),
                ],
            ),
            graph(
                "Peers per network over all nodes?",
                "Networks that vanish at once: a proxy died.",
                Count,
                &[("sum by (network) (peerobserver_peers{NODE})", "{{network}}")],
            ),
            graph(
                "Peers per network and node?",
                "Compare siblings.",
                Count,
                &[("sum by (node, network) (peerobserver_peers{NODE})", "{{node}} {{network}}")],
            ),
            graph(
                "How often are connections opened?",
                "About 3 inbound per minute at a node with full slots.",
                PerSecond,
                &[(
                    "sum by (node, connection_type) (rate(peerobserver_connections_opened_total{NODE}[R]))",
                    "{{node}} {{connection_type}}",
                )],
            ),
            graph(
                "On which network are connections being closed?",
                "Many at once on one network: that network, or its proxy.",
                PerSecond,
                &[("sum by (network) (rate(peerobserver_connections_closed_total{NODE}[R]))", "{{network}}")],
            ),
            heat(
                "How long did closed connections live?",
                "A band at a minute: handshakes that never end; at seconds: scanners.",
                Seconds,
                &[("sum by (le) (increase(peerobserver_connection_lifetime_seconds_bucket{NODE}[R]))", "{{le}}")],
            ),
            graph(
                "Why do connections end?",
                "Needs debug.log. Without it the reason is not stated.",
                PerSecond,
                &[("sum by (reason) (rate(peerobserver_connections_ended_total{NODE}[R]))", "{{reason}}")],
            ),
            graph(
                "Who is turned away, or evicted?",
                "Refusals need debug.log. Evictions are normal when slots are full.",
                PerSecond,
                &[
                    ("sum by (reason) (rate(peerobserver_connections_refused_total{NODE}[R]))", "refused: {{reason}}"),
                    ("sum by (network) (rate(peerobserver_connections_evicted_total{NODE}[R]))", "evicted: {{network}}"),
                ],
            ),
            graph(
                "Who misbehaves?",
                "By what was broken. Any `mutated_block` or `header_proof_of_work` is worth a look.",
                PerSecond,
                &[("sum by (node, reason) (rate(peerobserver_misbehaviours_total{NODE}[R]))", "{{node}} {{reason}}")],
            ),
            graph(
                "Are inbound IPv4 peers concentrated in few /16?",
                "Share of peers that have a /16 of their own. A drop: one operator opens many connections.",
                Share,
                &[(
                    "peerobserver_peers_inbound_ipv4_groups{NODE} / on (node) sum by (node) (peerobserver_peers{NODE,connection_type=\"inbound\",network=\"ipv4\"} > 0)",
                    "{{node}}",
                )],
            ),
            bars(
                "Which autonomous systems hold more than 3 connections?",
                "The 20 largest per node, and the rest together. With `-asmap` only.",
                Count,
                &[("sum by (asn) (peerobserver_peers_by_autonomous_system{NODE}) > 3", "AS{{asn}}")],
            ),
            graph(
                "How diverse are the autonomous systems?",
                "Outbound peers that share a system, peers without one, and how many systems there are.",
                Count,
                &[
                    ("peerobserver_peers_autonomous_systems{NODE}", "{{node}} systems"),
                    ("peerobserver_peers_unmapped{NODE}", "{{node}} unmapped"),
                    ("peerobserver_peers_outbound_sharing_autonomous_system{NODE}", "{{node}} outbound, shared"),
                ],
            ),
            bars(
                "Which protocol versions do peers speak?",
                "70016 is Bitcoin Core 22 to 31.",
                Count,
                &[("sum by (version) (peerobserver_peers_by_protocol_version{NODE})", "{{version}}")],
            ),
            bars(
                "Which software do peers claim to be?",
                "What user agents claim. `other` growing: somebody invents names.",
                Count,
                &[("sum by (client) (peerobserver_peers_by_client{NODE}) > 0", "{{client}}")],
            ),
            graph(
                "Which software connects?",
                "Handshakes, the short-lived ones too.",
                PerSecond,
                &[
                    ("sum by (client) (rate(peerobserver_versions_received_total{NODE}[R]))", "{{client}}"),
                    ("sum(rate(peerobserver_private_broadcasts_received_total{NODE}[R]))", "private broadcasts"),
                ],
            ),
            graph(
                "Which protocol versions connect?",
                "Handshakes, the short-lived ones too.",
                PerSecond,
                &[("sum by (version) (rate(peerobserver_protocol_versions_received_total{NODE}[R]))", "{{version}}")],
            ),
            graph(
                "What share uses the encrypted transport?",
                "A drop without new software: somebody downgrades connections on the wire.",
                Share,
                &[(
                    "sum by (node) (peerobserver_peers_by_transport{NODE,transport=\"v2\"}) / sum by (node) (peerobserver_peers_by_transport{NODE})",
                    "{{node}}",
                )],
            ),
            graph(
                "How many peers have a clock more than 10 seconds off?",
                "Many at once: the node's own clock is wrong, or somebody tries to make it.",
                Count,
                &[
                    ("sum by (node, clock) (peerobserver_peers_clock_off{NODE})", "{{node}} {{clock}}"),
                    ("peerobserver_network_time_offset_seconds{NODE}", "{{node}} median offset, s"),
                ],
            ),
            graph(
                "How many addresses has the operator banned?",
                "What `listbanned` lists.",
                Count,
                &[("peerobserver_bans{NODE}", "{{node}}")],
            ),
        ],
    },
    Dashboard {
        folder: "logs",
        title: "Logs",
        about: "What only debug.log tells, and how well it is read.",
        panels: &[
            graph(
                "How much does each node log per category?",
                "Lines per second. A category that explodes: somebody fills the disk, or tries.",
                PerSecond,
                &[("sum by (node, category) (rate(peerobserver_log_lines_total{NODE}[R]))", "{{node}} {{category}}")],
            ),
            graph(
                "What share of the lines is understood?",
                "Lines that state a known fact. A drop after an upgrade: messages were reworded.",
                Share,
                &[(
                    "sum by (node) (rate(peerobserver_log_lines_total{NODE,matched=\"yes\"}[1h])) / sum by (node) (rate(peerobserver_log_lines_total{NODE}[1h]))",
                    "{{node}}",
                )],
            ),
            graph(
                "Were mutated blocks seen?",
                "`mutated`: somebody wants a good block to be taken for a bad one. Any is worth a look.",
                Count,
                &[
                    (
                        "sum by (node, result) (increase(peerobserver_blocks_checked_total{NODE,result!=\"valid\"}[1h]))",
                        "{{node}} {{result}}",
                    ),
                    (
                        "sum by (node) (increase(peerobserver_chain_invalid_lines_total{NODE}[1h]))",
                        "{{node}} lines about invalid chains",
                    ),
                ],
            ),
            graph(
                "Are blocks taken off the chain?",
                "Each is a reorganisation by one. Two at once are rare, three are news.",
                Count,
                &[("sum by (node) (increase(peerobserver_blocks_disconnected_total{NODE}[1h]))", "{{node}}")],
            ),
            graph(
                "Where do the transactions of compact blocks come from?",
                "Per hour. `extra_pool` is part of `mempool`.",
                Count,
                &[(
                    "sum by (node, from) (increase(peerobserver_compact_blocks_rebuilt_transactions_total{NODE}[1h]))",
                    "{{node}} {{from}}",
                )],
            ),
            graph(
                "How much had to be asked for, per block?",
                "Bytes; 9 in 10 blocks should need none.",
                Bytes,
                &[(
                    "sum by (node) (increase(peerobserver_compact_blocks_rebuilt_requested_bytes_total{NODE}[1d])) / sum by (node) (increase(peerobserver_compact_blocks_rebuilt_total{NODE}[1d]))",
                    "{{node}}",
                )],
            ),
            graph(
                "How long does matching a compact block with the mempool take?",
                "9 in 10 are faster.",
                Seconds,
                &[(
                    "histogram_quantile(0.9, sum by (node, le) (increase(peerobserver_compact_block_matching_seconds_bucket{NODE}[1d])))",
                    "{{node}}",
                )],
            ),
            graph(
                "Which part of connecting a block takes the time?",
                "Mean over an hour, with `-debug=bench`. `verify_inputs` grows with blocks made to be slow.",
                Seconds,
                &[(
                    "sum by (node, part) (rate(peerobserver_block_part_seconds_sum{NODE}[1h])) / sum by (node, part) (rate(peerobserver_block_part_seconds_count{NODE}[1h]))",
                    "{{node}} {{part}}",
                )],
            ),
            graph(
                "What could the node make nothing of?",
                "Most of it never becomes a message. `magic` and `header` are scanners.",
                PerSecond,
                &[("sum by (node, problem) (rate(peerobserver_malformed_total{NODE}[R]))", "{{node}} {{problem}}")],
            ),
            graph(
                "Do headers lead nowhere, do downloads stall?",
                "Low-work headers are an attempt to fill memory; stalls are withheld blocks.",
                PerSecond,
                &[
                    ("sum by (node, reason) (rate(peerobserver_headers_ignored_total{NODE}[R]))", "{{node}} ignored: {{reason}}"),
                    ("sum by (node, step) (rate(peerobserver_headers_sync_total{NODE}[R]))", "{{node}} headers: {{step}}"),
                    ("sum by (node, step) (rate(peerobserver_chain_sync_total{NODE}[R]))", "{{node}} chain: {{step}}"),
                ],
            ),
            graph(
                "Who does not send what was announced?",
                "Transactions that were asked for and did not come within a minute.",
                PerSecond,
                &[("sum by (node) (rate(peerobserver_mempool_overdue_total{NODE}[R]))", "{{node}}")],
            ),
            graph(
                "What becomes of orphans?",
                "`overflow`: more than there is room for: somebody makes them.",
                PerSecond,
                &[
                    ("sum by (node, step) (rate(peerobserver_orphan_steps_total{NODE}[R]))", "{{node}} {{step}}"),
                    (
                        "sum by (node, verdict) (rate(peerobserver_mempool_packages_total{NODE}[R]))",
                        "{{node}} packages {{verdict}}",
                    ),
                ],
            ),
            graph(
                "How does the node look for peers?",
                "`stale_tip`: it has had no block for long, and wants one more peer.",
                PerSecond,
                &[("sum by (node, step) (rate(peerobserver_outbound_steps_total{NODE}[R]))", "{{node}} {{step}}")],
            ),
            graph(
                "What happens in the address manager?",
                "Entries that come, move, go.",
                PerSecond,
                &[("sum by (node, step) (rate(peerobserver_addrman_steps_total{NODE}[R]))", "{{node}} {{step}}")],
            ),
            graph(
                "Which messages does a node without probes see?",
                "By the log's own lines, with `-debug=net`.",
                PerSecond,
                &[
                    (
                        "sum by (message, direction) (rate(peerobserver_logged_messages_total{NODE}[R]))",
                        "{{message}} {{direction}}",
                    ),
                    ("sum by (node) (rate(peerobserver_logged_message_bytes_total{NODE}[R]))", "{{node}} bytes"),
                ],
            ),
            graph(
                "Is the log whole, and read well?",
                "Gaps are the node's own limit on lines; silent patterns are lines that were reworded; new templates settle within a day.",
                Count,
                &[
                    ("sum by (node, reason) (increase(peerobserver_log_gaps_total{NODE}[1h]))", "{{node}} gap: {{reason}}"),
                    ("sum by (node) (increase(peerobserver_log_gap_bytes_total{NODE}[1h]))", "{{node}} bytes missing"),
                    (
                        "sum by (node, problem) (increase(peerobserver_log_file_problems_total{NODE}[1h]))",
                        "{{node}} file: {{problem}}",
                    ),
                    ("sum by (node) (increase(peerobserver_log_silent_patterns_total{NODE}[1h]))", "{{node}} silent patterns"),
                    ("sum by (node) (increase(peerobserver_log_new_templates_total{NODE}[1h]))", "{{node}} new templates"),
                    ("peerobserver_log_templates{NODE}", "{{node}} templates"),
                ],
            ),
            graph(
                "Who is refused by the node's RPC?",
                "Wrong passwords are somebody who guesses; a forbidden method may be ours.",
                PerSecond,
                &[("sum by (node, reason) (rate(peerobserver_rpc_refused_total{NODE}[R]))", "{{node}} {{reason}}")],
            ),
        ],
    },
    Dashboard {
        folder: "addresses",
        title: "Addresses",
        about: "Address gossip, and what the nodes make of it.",
        panels: &[
            graph(
                "How many addresses per hour are pushed to each node?",
                "40,000 different ones a day are gossiped normally. 1,000 at a time is an answer to the node's own question.",
                Count,
                &[("sum by (node) (increase(peerobserver_gossip_addresses_total{NODE,direction=\"inbound\"}[1h]))", "{{node}}")],
            ),
            graph(
                "Is that usual?",
                "Inbound addresses per second with the band of the last days.",
                PerSecond,
                &[
                    ("peerobserver:signal{NODE,signal=\"gossip_addresses\"}", "{{node}}"),
                    ("peerobserver:signal:upper{NODE,signal=\"gossip_addresses\"}", "{{node}} upper"),
                ],
            ),
            heat(
                "Is there an address flood right now?",
                "Addresses per message received. Messages of exactly 10 in great number were the flood of 2021: 10 are passed on, 11 are not.",
                Count,
                &[(
                    "sum by (le) (increase(peerobserver_gossip_message_addresses_bucket{NODE,direction=\"inbound\"}[5m]))",
                    "{{le}}",
                )],
            ),
            heat(
                "How big are the address messages that a node relays?",
                "Sent by the node.",
                Count,
                &[(
                    "sum by (le) (increase(peerobserver_gossip_message_addresses_bucket{NODE,direction=\"outbound\"}[R]))",
                    "{{le}}",
                )],
            ),
            graph(
                "How much address gossip does a node relay to one peer?",
                "What our own connection gets.",
                PerSecond,
                &[("sum by (node, network) (rate(peerobserver_probe_addresses_total{NODE}[R]))", "{{node}} {{network}}")],
            ),
            heat(
                "How large are the messages that one peer gets?",
                "Addresses per message to our own connection.",
                Count,
                &[("sum by (le) (increase(peerobserver_probe_message_addresses_bucket{NODE}[R]))", "{{le}}")],
            ),
            graph(
                "How many addresses were dropped by rate limiting?",
                "Per second, as the lists of peers show it.",
                PerSecond,
                &[("sum by (node, fate) (rate(peerobserver_peer_addresses_total{NODE}[R]))", "{{node}} {{fate}}")],
            ),
            graph(
                "What share of received addresses is rate-limited?",
                "A few per cent come from answers; a fifth and more is a flood.",
                Share,
                &[(
                    "sum by (node) (rate(peerobserver_peer_addresses_total{NODE,fate=\"rate_limited\"}[1h])) / sum by (node) (rate(peerobserver_peer_addresses_total{NODE}[1h]))",
                    "{{node}}",
                )],
            ),
            graph(
                "How many peers hit the address rate limit?",
                "Of those connected now.",
                Count,
                &[("peerobserver_peers_address_rate_limited{NODE}", "{{node}}")],
            ),
            graph(
                "With what share of peers do we relay addresses?",
                "Block-relay-only peers and those that never asked are left out.",
                Share,
                &[("peerobserver_peers_address_relay{NODE} / on (node) sum by (node) (peerobserver_peers{NODE})", "{{node}}")],
            ),
            graph(
                "Which networks are gossiped?",
                "Inbound addresses by network.",
                PerSecond,
                &[("sum by (network) (rate(peerobserver_gossip_addresses_total{NODE,direction=\"inbound\"}[R]))", "{{network}}")],
            ),
            graph(
                "How often do peers announce themselves?",
                "Once after the handshake and about once a day is normal.",
                PerSecond,
                &[("sum by (network) (rate(peerobserver_gossip_self_announcements_total{NODE}[R]))", "{{network}}")],
            ),
            graph(
                "How often do peers announce their own subnet?",
                "Addresses in the sender's /24 or /64: one operator with many nodes.",
                PerSecond,
                &[("sum by (network) (rate(peerobserver_gossip_subnet_announcements_total{NODE}[R]))", "{{network}}")],
            ),
            graph(
                "Who sends empty address messages?",
                "No software of note does.",
                PerSecond,
                &[(
                    "sum by (network, direction) (rate(peerobserver_gossip_empty_messages_total{NODE}[R]))",
                    "{{network}} {{direction}}",
                )],
            ),
            graph(
                "Which service flags are being gossiped?",
                "Bits without a meaning are a sign of made-up addresses.",
                PerSecond,
                &[("sum by (service) (rate(peerobserver_gossip_services_total{NODE,direction=\"inbound\"}[R]))", "{{service}}")],
            ),
            heat(
                "How old do addresses claim to be?",
                "Most are minutes to hours old. A sharp line: somebody fixes the time.",
                Seconds,
                &[(
                    "sum by (le) (increase(peerobserver_gossip_address_time_offset_seconds_bucket{NODE,direction=\"inbound\",when=\"past\"}[R]))",
                    "{{le}}",
                )],
            ),
            graph(
                "How many addresses come from the future?",
                "More than 10 minutes ahead is no clock, it is a game.",
                PerSecond,
                &[(
                    "sum by (node) (rate(peerobserver_gossip_address_time_offset_seconds_count{NODE,direction=\"inbound\",when=\"future\"}[R])) - sum by (node) (rate(peerobserver_gossip_address_time_offset_seconds_bucket{NODE,direction=\"inbound\",when=\"future\",le=\"600.0\"}[R]))",
                    "{{node}}",
                )],
            ),
            graph(
                "Is the address table growing or shrinking abnormally?",
                "65,536 new and 16,384 tried are the most.",
                Count,
                &[("sum by (node, table) (peerobserver_addrman_addresses{NODE})", "{{node}} {{table}}")],
            ),
            graph(
                "How large is it per network?",
                "Growth on one network alone: somebody fills it there.",
                Count,
                &[
                    ("sum by (network, table) (peerobserver_addrman_addresses{NODE})", "{{network}} {{table}}"),
                    ("sum by (network, table) (peerobserver_addrman_entries{NODE})", "{{network}} {{table}}, entries"),
                ],
            ),
            graph(
                "How old are the entries?",
                "Claimed times of the table's entries, by percentile.",
                Seconds,
                &[("avg by (table, statistic) (peerobserver_addrman_entry_age_seconds{NODE})", "{{table}} {{statistic}}")],
            ),
            graph(
                "How many entries are terrible, or from the future?",
                "Terrible: last seen more than 30 days ago.",
                Count,
                &[
                    ("sum by (node, table) (peerobserver_addrman_terrible_entries{NODE})", "{{node}} {{table}} terrible"),
                    ("sum by (node, table) (peerobserver_addrman_future_entries{NODE})", "{{node}} {{table}} future"),
                ],
            ),
            graph(
                "How many sources do the entries have?",
                "Few sources for many entries: one peer fills the table.",
                Count,
                &[("sum by (node, table) (peerobserver_addrman_sources{NODE})", "{{node}} {{table}}")],
            ),
            graph(
                "How many autonomous systems do entries and sources have?",
                "With `-asmap` only.",
                Count,
                &[
                    ("sum by (node, table) (peerobserver_addrman_autonomous_systems{NODE})", "{{node}} {{table}}"),
                    ("sum by (node, table) (peerobserver_addrman_source_autonomous_systems{NODE})", "{{node}} {{table}} sources"),
                ],
            ),
            bars(
                "Which ports and services do the entries claim?",
                "Another port than 8333 in great number, or a strange bit, is worth a look.",
                Count,
                &[
                    ("sum by (port) (peerobserver_addrman_entries_by_port{NODE}) > 0", "port {{port}}"),
                    ("sum by (service) (peerobserver_addrman_entries_by_service{NODE})", "{{service}}"),
                ],
            ),
            graph(
                "How much changes between two dumps?",
                "Added, replaced, removed entries, and changed claims.",
                PerSecond,
                &[("sum by (table, change) (rate(peerobserver_addrman_changes_total{NODE}[4h]))", "{{table}} {{change}}")],
            ),
        ],
    },
    Dashboard {
        folder: "transaction-relay",
        title: "Transaction relay",
        about: "Announcements, requests, fee filters.",
        panels: &[
            graph(
                "Is the per-peer announcement queue backing up?",
                "One peer above 50,000, or a sum above 1.5 million: transactions come faster than they can be told (2023). Bitcoin Core 31 and newer.",
                Count,
                &[
                    ("peerobserver_peer_announcement_queue{NODE,statistic=\"maximum\"}", "{{node}} largest"),
                    ("peerobserver_peer_announcement_queue{NODE,statistic=\"median\"}", "{{node}} median"),
                ],
            ),
            graph(
                "How many announcements wait altogether?",
                "With the band of the last days for its mean.",
                Count,
                &[("peerobserver_announcement_queue{NODE}", "{{node}}")],
            ),
            graph(
                "What queue do the announcements prove?",
                "For nodes that do not say: an `inv` of n transactions shows a queue of 200 (n - 70); the longest of 15 seconds. Version 29 and newer.",
                Count,
                &[("peerobserver_inv_backlog_proven{NODE}", "{{node}}")],
            ),
            graph(
                "How many large announcements does a node send?",
                "More transactions than its version sends at a time while the queue is short: 70, or 35 before version 29.",
                PerSecond,
                &[("sum by (node) (rate(peerobserver_inv_large_total{NODE}[R]))", "{{node}}")],
            ),
            heat(
                "How large are announcements?",
                "Entries per `inv` sent.",
                Count,
                &[("sum by (le) (increase(peerobserver_inv_entries_bucket{NODE,direction=\"outbound\"}[R]))", "{{le}}")],
            ),
            heat(
                "How large and frequent are announcements towards one peer?",
                "Transactions per message to our own connection.",
                Count,
                &[("sum by (le) (increase(peerobserver_probe_message_transactions_bucket{NODE}[R]))", "{{le}}")],
            ),
            graph(
                "What is announced, asked for, not there?",
                "Entries by message and type.",
                PerSecond,
                &[(
                    "sum by (message, type, direction) (rate(peerobserver_inventory_entries_total{NODE}[R]))",
                    "{{message}} {{type}} {{direction}}",
                )],
            ),
            graph(
                "Are announcements of one type?",
                "Bitcoin Core never mixes blocks and transactions.",
                PerSecond,
                &[("sum by (mix, direction) (rate(peerobserver_inv_mix_total{NODE}[R]))", "{{mix}} {{direction}}")],
            ),
            graph(
                "With how many peers are transactions relayed?",
                "All but block-relay-only peers and listeners.",
                Count,
                &[("peerobserver_peers_transaction_relay{NODE}", "{{node}}")],
            ),
            graph(
                "How many peers relay below 1 sat/vB?",
                "They say so by their fee filter, and transactions went over the wire.",
                Count,
                &[("peerobserver_peers_relaying_below_1_satoshi_per_vbyte{NODE}", "{{node}}")],
            ),
            graph(
                "Which fee filters have the peers?",
                "`everything`: wants no transactions.",
                Count,
                &[("sum by (filter) (peerobserver_peers_by_fee_filter{NODE})", "{{filter}}")],
            ),
            heat(
                "Which fee filters are received?",
                "As they come.",
                Feerate,
                &[(
                    "sum by (le) (increase(peerobserver_fee_filter_satoshis_per_vbyte_bucket{NODE,direction=\"inbound\"}[R]))",
                    "{{le}}",
                )],
            ),
            graph(
                "Which fee filter does a node send, how often?",
                "It follows the mempool's minimum, a little blurred.",
                Feerate,
                &[
                    ("peerobserver_fee_filter_sent_satoshis_per_vbyte{NODE}", "{{node}} to peers"),
                    ("peerobserver_probe_fee_filter_satoshis_per_vbyte{NODE}", "{{node}} to us"),
                    ("sum by (node) (increase(peerobserver_probe_fee_filters_total{NODE}[R]))", "{{node}} times"),
                ],
            ),
            graph(
                "How large is the orphanage?",
                "Transactions whose parents are missing, and their size.",
                Count,
                &[
                    ("peerobserver_orphans{NODE}", "{{node}} transactions"),
                    ("peerobserver_orphans_vbytes{NODE}", "{{node}} virtual bytes"),
                    ("peerobserver_orphans_bytes{NODE}", "{{node}} bytes"),
                    ("peerobserver_orphans_weight{NODE}", "{{node}} weight"),
                ],
            ),
            graph(
                "How fast does it change?",
                "What two looks show; what comes and goes in between is missing.",
                PerSecond,
                &[
                    ("sum by (node) (rate(peerobserver_orphans_added_total{NODE}[R]))", "{{node}} added"),
                    ("sum by (node) (rate(peerobserver_orphans_removed_total{NODE}[R]))", "{{node}} removed"),
                ],
            ),
            graph(
                "How many peers announce an orphan?",
                "Orphans that only one peer knows, in great number: that peer makes them.",
                Count,
                &[("avg by (node, statistic) (peerobserver_orphan_announcers{NODE})", "{{node}} {{statistic}}")],
            ),
            heat(
                "How late do transactions reach a node?",
                "Behind the first node that this program hears of.",
                Seconds,
                &[("sum by (le) (increase(peerobserver_mempool_added_after_first_node_seconds_bucket{NODE}[R]))", "{{le}}")],
            ),
            graph(
                "Which legacy refusals come?",
                "`reject` messages, by code.",
                PerSecond,
                &[("sum by (code) (rate(peerobserver_rejects_received_total{NODE}[R]))", "{{code}}")],
            ),
        ],
    },
    Dashboard {
        folder: "blocks",
        title: "Blocks and compact blocks",
        about: "How blocks arrive, are put together, and become the tip.",
        panels: &[
            graph(
                "What share of blocks is put together without asking?",
                "Per block, however many peers sent it: a rate per message is too rosy. Below 70 % over a day: mempools differ.",
                Share,
                &[(
                    "sum by (node) (increase(peerobserver_compact_blocks_total{NODE,outcome=\"mempool\"}[1d])) / sum by (node) (increase(peerobserver_compact_blocks_total{NODE,outcome!=\"not_compact\"}[1d]))",
                    "{{node}}",
                )],
            ),
            graph(
                "How did blocks come together?",
                "`whole_block`: the compact block was of no use.",
                Count,
                &[("sum by (outcome) (increase(peerobserver_compact_blocks_total{NODE}[1h]))", "{{outcome}}")],
            ),
            heat(
                "How many transactions were lacking?",
                "Per request.",
                Count,
                &[("sum by (le) (increase(peerobserver_compact_block_requested_transactions_bucket{NODE}[1h]))", "{{le}}")],
            ),
            graph(
                "How many bytes were asked for?",
                "Per hour.",
                Bytes,
                &[("sum by (node) (increase(peerobserver_compact_block_requested_bytes_total{NODE}[1h]))", "{{node}}")],
            ),
            graph(
                "How long from the compact block to the connected block?",
                "9 in 10 blocks are faster. Round trips for missing transactions show here.",
                Seconds,
                &[
                    (
                        "histogram_quantile(0.9, sum by (node, le) (increase(peerobserver_compact_block_to_connected_seconds_bucket{NODE}[1d])))",
                        "{{node}} 90 %",
                    ),
                    (
                        "histogram_quantile(0.5, sum by (node, le) (increase(peerobserver_compact_block_to_connected_seconds_bucket{NODE}[1d])))",
                        "{{node}} half",
                    ),
                ],
            ),
            graph(
                "How long from the first sign to the connected block?",
                "Header, inventory or compact block, whichever came first.",
                Seconds,
                &[(
                    "histogram_quantile(0.9, sum by (node, le) (increase(peerobserver_block_announced_to_connected_seconds_bucket{NODE}[1d])))",
                    "{{node}} 90 %",
                )],
            ),
            graph(
                "Do compact blocks come unasked?",
                "High bandwidth: without being asked for. About three in four.",
                Share,
                &[(
                    "sum by (node) (increase(peerobserver_compact_blocks_received_total{NODE,bandwidth=\"high\"}[1d])) / sum by (node) (increase(peerobserver_compact_blocks_received_total{NODE}[1d]))",
                    "{{node}}",
                )],
            ),
            graph(
                "How many high-bandwidth peers did we choose, how many chose us?",
                "A node chooses three.",
                Count,
                &[("sum by (node, chosen_by) (peerobserver_peers_high_bandwidth{NODE})", "{{node}} chosen by {{chosen_by}}")],
            ),
            graph(
                "What share of peers chose us?",
                "A node that is first with blocks is chosen by many.",
                Share,
                &[(
                    "sum by (node) (peerobserver_peers_high_bandwidth{NODE,chosen_by=\"peer\"}) / sum by (node) (peerobserver_peers{NODE})",
                    "{{node}}",
                )],
            ),
            graph(
                "How late are blocks at a node?",
                "Behind the first node that this program hears of; 9 in 10 are faster.",
                Seconds,
                &[(
                    "histogram_quantile(0.9, sum by (node, le) (increase(peerobserver_block_connected_after_first_node_seconds_bucket{NODE}[1d])))",
                    "{{node}}",
                )],
            ),
            graph(
                "How long does connecting a block take?",
                "The last block, and 9 in 10 over a day.",
                Seconds,
                &[
                    ("peerobserver_last_block_connect_seconds{NODE}", "{{node}} last"),
                    (
                        "histogram_quantile(0.9, sum by (node, le) (increase(peerobserver_block_connect_seconds_bucket{NODE}[1d])))",
                        "{{node}} 90 %",
                    ),
                ],
            ),
            graph(
                "What is in the blocks?",
                "Transactions, inputs, signature operations of the last block.",
                Count,
                &[
                    ("max by (node) (peerobserver_last_block_transactions{NODE})", "{{node}} transactions"),
                    ("max by (node) (peerobserver_last_block_inputs{NODE})", "{{node}} inputs"),
                    ("max by (node) (peerobserver_last_block_sigop_cost{NODE})", "{{node}} signature operations"),
                ],
            ),
            graph(
                "What does an input cost?",
                "Time per input over an hour: hardware, or blocks made to be slow.",
                Seconds,
                &[(
                    "sum by (node) (rate(peerobserver_block_connect_seconds_sum{NODE}[1h])) / sum by (node) (rate(peerobserver_block_inputs_total{NODE}[1h]))",
                    "{{node}}",
                )],
            ),
            graph(
                "How many transactions and signature operations are confirmed?",
                "Per second, over an hour.",
                PerSecond,
                &[
                    ("sum by (node) (rate(peerobserver_block_transactions_total{NODE}[1h]))", "{{node}} transactions"),
                    ("sum by (node) (rate(peerobserver_block_sigop_cost_total{NODE}[1h]))", "{{node}} signature operations"),
                ],
            ),
            graph(
                "How high are the nodes?",
                "Blocks and headers, as the node says; what was connected last; the tip as others saw it.",
                Count,
                &[
                    ("peerobserver_chain_blocks{NODE}", "{{node}} blocks"),
                    ("peerobserver_chain_headers{NODE}", "{{node}} headers"),
                    ("peerobserver_last_block_height{NODE}", "{{node}} connected"),
                    ("peerobserver_tip_height{NODE}", "{{node}} tip"),
                ],
            ),
            graph(
                "How far are the blocks behind the headers?",
                "More than 10 after the first download: blocks do not come.",
                Count,
                &[("peerobserver_chain_headers{NODE} - peerobserver_chain_blocks{NODE}", "{{node}}")],
            ),
            graph(
                "How far is a node behind its siblings?",
                "Blocks behind the highest of the fleet.",
                Count,
                &[("scalar(max(peerobserver_chain_blocks{NODE})) - peerobserver_chain_blocks{NODE}", "{{node}}")],
            ),
            number(
                "How old is the last block?",
                "An hour without happens 130 times a year, two hours three times in ten years.",
                Age,
                &[
                    ("time() - max by (node) (peerobserver_last_block_timestamp_seconds{NODE})", "{{node}} connected"),
                    ("time() - max by (node) (peerobserver_chain_tip_timestamp_seconds{NODE})", "{{node}} block's own time"),
                ],
            ),
            graph(
                "Are there other branches?",
                "Ends of the tree of blocks, by what is known of them.",
                Count,
                &[
                    ("sum by (node, status) (peerobserver_chain_tips{NODE})", "{{node}} {{status}}"),
                    ("peerobserver_chain_longest_fork{NODE}", "{{node}} longest"),
                ],
            ),
            graph(
                "How many block heights are in flight, how many peers owe one?",
                "More than 3 heights at the tip: somebody withholds.",
                Count,
                &[
                    ("peerobserver_blocks_in_flight{NODE}", "{{node}} heights"),
                    ("peerobserver_peers_block_in_flight{NODE}", "{{node}} peers"),
                ],
            ),
            graph(
                "How often does the tip change, how many blocks are connected?",
                "Six per hour. More connected than changes: a reorganisation, or a download.",
                Count,
                &[
                    ("sum by (node) (increase(peerobserver_blocks_connected_total{NODE}[1h]))", "{{node}} connected"),
                    ("sum by (node) (increase(peerobserver_tip_changes_total{NODE}[1h]))", "{{node}} tips"),
                ],
            ),
            graph(
                "How are blocks announced to a peer?",
                "What our own connection gets.",
                Count,
                &[("sum by (node, by) (increase(peerobserver_probe_blocks_total{NODE}[1h]))", "{{node}} {{by}}")],
            ),
        ],
    },
    Dashboard {
        folder: "mempool",
        title: "Mempool",
        about: "What enters, leaves, waits; and what it costs.",
        panels: &[
            graph(
                "How full is the mempool?",
                "Memory against its limit. Full: the minimum fee rises.",
                Share,
                &[("peerobserver_mempool_memory_bytes{NODE} / peerobserver_mempool_memory_limit_bytes{NODE}", "{{node}}")],
            ),
            graph(
                "How many bytes of memory per virtual byte?",
                "About 4 to 6. More: many small transactions.",
                Count,
                &[("peerobserver_mempool_memory_bytes{NODE} / peerobserver_mempool_vbytes{NODE}", "{{node}}")],
            ),
            graph(
                "How many transactions, how large?",
                "Nodes that differ from the fleet see something else.",
                Count,
                &[
                    ("peerobserver_mempool_transactions{NODE}", "{{node}} transactions"),
                    ("peerobserver_mempool_vbytes{NODE}", "{{node}} virtual bytes"),
                ],
            ),
            graph(
                "How far are nodes from the fleet's median?",
                "Transactions more or fewer than the median of the fleet.",
                Count,
                &[(
                    "peerobserver_mempool_transactions{NODE} - scalar(quantile(0.5, peerobserver_mempool_transactions))",
                    "{{node}}",
                )],
            ),
            graph(
                "What is the current minimum feerate?",
                "Below it nothing enters; with the floor, and the step of a replacement.",
                Feerate,
                &[
                    ("peerobserver_mempool_minimum_satoshis_per_vbyte{NODE}", "{{node}}"),
                    ("peerobserver_mempool_relay_minimum_satoshis_per_vbyte{NODE}", "{{node}} floor"),
                    ("peerobserver_mempool_incremental_satoshis_per_vbyte{NODE}", "{{node}} step"),
                ],
            ),
            graph(
                "What feerate does each node estimate?",
                "For 1, 6 and 144 blocks. Nodes that disagree see other mempools.",
                Feerate,
                &[("peerobserver_fee_estimate_satoshis_per_vbyte{NODE,mode=\"economical\"}", "{{node}} {{target}} blocks")],
            ),
            graph(
                "And cautiously?",
                "The same, considering a longer history.",
                Feerate,
                &[("peerobserver_fee_estimate_satoshis_per_vbyte{NODE,mode=\"conservative\"}", "{{node}} {{target}} blocks")],
            ),
            graph(
                "How many transactions enter per second?",
                "Above 30 for long: a mass broadcast.",
                PerSecond,
                &[("sum by (node) (rate(peerobserver_mempool_added_total{NODE}[R]))", "{{node}}")],
            ),
            graph(
                "How many virtual bytes enter per minute?",
                "A block takes a million in ten minutes.",
                Count,
                &[("60 * sum by (node) (rate(peerobserver_mempool_added_vbytes_total{NODE}[R]))", "{{node}}")],
            ),
            heat(
                "At which fee rates?",
                "Of what enters.",
                Feerate,
                &[("sum by (le) (increase(peerobserver_mempool_added_satoshis_per_vbyte_bucket{NODE}[R]))", "{{le}}")],
            ),
            graph(
                "Which fee rates do transactions pay?",
                "Percentiles of what enters.",
                Feerate,
                &[
                    (
                        "histogram_quantile(0.1, sum by (node, le) (rate(peerobserver_mempool_added_satoshis_per_vbyte_bucket{NODE}[1h])))",
                        "{{node}} 10 %",
                    ),
                    (
                        "histogram_quantile(0.5, sum by (node, le) (rate(peerobserver_mempool_added_satoshis_per_vbyte_bucket{NODE}[1h])))",
                        "{{node}} half",
                    ),
                    (
                        "histogram_quantile(0.9, sum by (node, le) (rate(peerobserver_mempool_added_satoshis_per_vbyte_bucket{NODE}[1h])))",
                        "{{node}} 90 %",
                    ),
                ],
            ),
            graph(
                "Why do transactions leave?",
                "A block takes thousands at once.",
                PerSecond,
                &[("sum by (reason) (rate(peerobserver_mempool_removed_total{NODE}[R]))", "{{reason}}")],
            ),
            graph(
                "How many virtual bytes leave?",
                "By why.",
                PerSecond,
                &[("sum by (reason) (rate(peerobserver_mempool_removed_vbytes_total{NODE}[R]))", "{{reason}}")],
            ),
            heat(
                "How long do transactions wait for their block?",
                "From entering to the block that has them.",
                Seconds,
                &[("sum by (le) (increase(peerobserver_mempool_confirmed_after_seconds_bucket{NODE}[R]))", "{{le}}")],
            ),
            graph(
                "How much is replaced?",
                "Transactions and virtual bytes. A storm of replacements uses bandwidth for nothing.",
                PerSecond,
                &[
                    ("sum by (node) (rate(peerobserver_mempool_replaced_total{NODE}[R]))", "{{node}} transactions"),
                    ("sum by (node) (rate(peerobserver_mempool_replaced_vbytes_total{NODE}[R]))", "{{node}} virtual bytes"),
                ],
            ),
            graph(
                "Why are transactions rejected?",
                "`missing_inputs` are orphans: normal.",
                PerSecond,
                &[("sum by (reason) (rate(peerobserver_mempool_rejected_total{NODE}[R]))", "{{reason}}")],
            ),
            graph(
                "Accepted against rejected?",
                "Share of what was looked at and not taken.",
                Share,
                &[(
                    "sum by (node) (rate(peerobserver_mempool_rejected_total{NODE}[R])) / (sum by (node) (rate(peerobserver_mempool_rejected_total{NODE}[R])) + sum by (node) (rate(peerobserver_mempool_added_total{NODE}[R])))",
                    "{{node}}",
                )],
            ),
            graph(
                "Is it known who sent what was refused?",
                "Needs debug.log with `mempoolrej`.",
                PerSecond,
                &[("sum by (sender, reason) (rate(peerobserver_mempool_refused_total{NODE}[R]))", "{{sender}} {{reason}}")],
            ),
            graph(
                "What do all the fees amount to?",
                "Satoshi.",
                Count,
                &[("peerobserver_mempool_fees_satoshis{NODE}", "{{node}}")],
            ),
            graph(
                "How many transactions has nobody asked for?",
                "Those that are the node's own to spread.",
                Count,
                &[("peerobserver_mempool_unbroadcast{NODE}", "{{node}}")],
            ),
            number(
                "Was the mempool of the last run read back?",
                "0 after a restart until it was.",
                Bool,
                &[("peerobserver_mempool_loaded{NODE}", "{{node}}")],
            ),
        ],
    },
    Dashboard {
        folder: "pings",
        title: "Pings and backlog",
        about: "How fast peers and nodes answer.",
        panels: &[
            heat(
                "How long is the message-processing backlog of a node?",
                "Our own pings through the node's queue. A second is much.",
                Seconds,
                &[("sum by (le) (increase(peerobserver_probe_ping_seconds_bucket{NODE}[R]))", "{{le}}")],
            ),
            graph(
                "Does a node answer at all?",
                "For how long our oldest ping has had no answer.",
                Seconds,
                &[("peerobserver_probe_waiting_seconds{NODE}", "{{node}}")],
            ),
            graph(
                "Median and mean ping of peers?",
                "Last pings. All at once higher: the node, or its line.",
                Seconds,
                &[
                    ("peerobserver_peer_ping_seconds{NODE,statistic=\"median\"}", "{{node}} median"),
                    ("peerobserver_peer_ping_seconds{NODE,statistic=\"mean\"}", "{{node}} mean"),
                    ("peerobserver_peer_ping_seconds{NODE,statistic=\"percentile_90\"}", "{{node}} 90 %"),
                ],
            ),
            graph(
                "Shortest pings of peers?",
                "Distance, without queues.",
                Seconds,
                &[
                    ("peerobserver_peer_minimum_ping_seconds{NODE,statistic=\"median\"}", "{{node}} median"),
                    ("peerobserver_peer_minimum_ping_seconds{NODE,statistic=\"minimum\"}", "{{node}} nearest"),
                ],
            ),
            graph(
                "How many peers stop answering?",
                "Without an answer for more than 5 seconds. Many at once: trouble of the network.",
                Count,
                &[("peerobserver_peers_ping_unanswered{NODE}", "{{node}}")],
            ),
            heat(
                "Does somebody ping too often?",
                "Time between two pings of one peer. Bitcoin Core: 120 seconds.",
                Seconds,
                &[("sum by (le) (increase(peerobserver_ping_interval_seconds_bucket{NODE}[R]))", "{{le}}")],
            ),
            graph(
                "How many pings come too soon?",
                "Less than 10 seconds after the one before.",
                PerSecond,
                &[("sum by (node) (rate(peerobserver_ping_interval_seconds_bucket{NODE,le=\"10.0\"}[R]))", "{{node}}")],
            ),
            graph(
                "Do peers send unusual ping nonces?",
                "Bitcoin Core's are random, so nearly all have 64 bits. Others are a fingerprint.",
                PerSecond,
                &[("sum by (nonce) (rate(peerobserver_pings_received_total{NODE}[R]))", "{{nonce}}")],
            ),
            graph(
                "How much of what peers advertise is there?",
                "The share of visits that found a node, by node and network (docs/connect.md). 20 to 30 % is usual; made-up addresses push it down.",
                Share,
                &[(
                    "sum by (node, network) (rate(peerobserver_probe_visits_total{NODE,result=\"reachable\"}[R])) \
                     / sum by (node, network) (rate(peerobserver_probe_visits_total{NODE,result!~\"own|proxy_failed|not_dialled\"}[R]))",
                    "{{node}} {{network}}",
                )],
            ),
            graph(
                "What became of visits to advertised addresses?",
                "Results by reason; addresses that found no room to wait; and how long handshakes take.",
                PerSecond,
                &[
                    ("sum by (result) (rate(peerobserver_probe_visits_total{NODE}[R]))", "{{result}}"),
                    ("sum(rate(peerobserver_probe_visits_passed_over_total{NODE}[R]))", "passed over"),
                    (
                        "sum by (transport) (rate(peerobserver_probe_visit_handshake_seconds_count{NODE}[R]))",
                        "handshakes {{transport}}",
                    ),
                ],
            ),
            graph(
                "Who was refused by our own connection?",
                "Only the node may connect.",
                PerSecond,
                &[
                    ("sum by (node, reason) (rate(peerobserver_probe_refused_total{NODE}[R]))", "{{node}} {{reason}}"),
                    (
                        "sum by (node, reason) (rate(peerobserver_probe_undecodable_total{NODE}[R]))",
                        "{{node}} undecodable: {{reason}}",
                    ),
                ],
            ),
        ],
    },
    Dashboard {
        folder: "entities",
        title: "Entities",
        about: "Peers on the operator's lists of addresses (`--metrics-lists`): ban lists, Tor exits, LinkingLion, whoever is of interest.",
        panels: &[
            graph(
                "How many peers are on a list?",
                "Connected now.",
                Count,
                &[("sum by (list) (peerobserver_list_peers{NODE})", "{{list}}")],
            ),
            graph(
                "In which direction?",
                "Outbound: the node chose one of them.",
                Count,
                &[("sum by (list, connection_type) (peerobserver_list_peers{NODE})", "{{list}} {{connection_type}}")],
            ),
            graph(
                "How often do they connect?",
                "LinkingLion made 40 connections a minute.",
                PerSecond,
                &[("sum by (list) (rate(peerobserver_list_connections_opened_total{NODE}[R]))", "{{list}}")],
            ),
            graph(
                "What share of new connections is theirs?",
                "By list.",
                Share,
                &[(
                    "sum by (list) (rate(peerobserver_list_connections_opened_total{NODE}[R])) / on () group_left sum(rate(peerobserver_connections_opened_total{NODE}[R]))",
                    "{{list}}",
                )],
            ),
            graph(
                "What share of messages is theirs?",
                "By list.",
                Share,
                &[(
                    "sum by (list) (rate(peerobserver_list_messages_total{NODE}[R])) / on () group_left sum(rate(peerobserver_messages_total{NODE}[R]))",
                    "{{list}}",
                )],
            ),
            graph(
                "What share of traffic is theirs?",
                "By list, payload only.",
                Share,
                &[(
                    "sum by (list) (rate(peerobserver_list_message_bytes_total{NODE}[R])) / on () group_left sum(rate(peerobserver_message_bytes_total{NODE}[R]))",
                    "{{list}}",
                )],
            ),
            graph(
                "Which message types do they use?",
                "Listeners send hardly anything but pongs.",
                PerSecond,
                &[(
                    "sum by (list, message) (rate(peerobserver_list_messages_total{NODE,direction=\"inbound\"}[R]))",
                    "{{list}} {{message}}",
                )],
            ),
        ],
    },
    Dashboard {
        folder: "node",
        title: "Node internals",
        about: "What the nodes' processes use, and what they say of themselves.",
        panels: &[
            number("How long is each node up?", "As it says.", Seconds, &[("peerobserver_node_uptime_seconds{NODE}", "{{node}}")]),
            graph(
                "When was it restarted?",
                "Start of the process, and how often another one was seen.",
                Time,
                &[
                    ("peerobserver_node_start_time_seconds{NODE} * 1000", "{{node}}"),
                    ("increase(peerobserver_node_restarts_total{NODE}[1h])", "{{node}} restarts"),
                ],
            ),
            graph(
                "How much CPU does the node use?",
                "100 % is one core.",
                Share,
                &[("sum by (node, mode) (rate(peerobserver_node_cpu_seconds_total{NODE}[R]))", "{{node}} {{mode}}")],
            ),
            graph(
                "Which thread uses it?",
                "`b-msghand` first of all: one thread handles all messages.",
                Share,
                &[(
                    "sum by (node, thread) (rate(peerobserver_node_thread_cpu_seconds_total{NODE,mode!=\"waiting\"}[R]))",
                    "{{node}} {{thread}}",
                )],
            ),
            graph(
                "Which thread waits for a CPU?",
                "Ready to run, but another program runs: the machine is too small.",
                Share,
                &[(
                    "sum by (node, thread) (rate(peerobserver_node_thread_cpu_seconds_total{NODE,mode=\"waiting\"}[R]))",
                    "{{node}} {{thread}}",
                )],
            ),
            graph(
                "How much memory?",
                "In RAM, the most it ever was, swapped out, and the address space.",
                Bytes,
                &[
                    ("peerobserver_node_resident_memory_bytes{NODE}", "{{node}}"),
                    ("peerobserver_node_resident_memory_peak_bytes{NODE}", "{{node}} peak"),
                    ("peerobserver_node_swapped_memory_bytes{NODE}", "{{node}} swapped"),
                    ("peerobserver_node_virtual_memory_bytes{NODE}", "{{node}} virtual"),
                ],
            ),
            graph(
                "How much memory for keys?",
                "Memory that may not be swapped out.",
                Bytes,
                &[("sum by (node, state) (peerobserver_node_locked_memory_bytes{NODE})", "{{node}} {{state}}")],
            ),
            graph(
                "How many files and threads?",
                "Sockets are files, too.",
                Count,
                &[
                    ("peerobserver_node_open_files{NODE}", "{{node}} files"),
                    ("peerobserver_node_open_files_limit{NODE}", "{{node}} limit"),
                    ("peerobserver_node_threads{NODE}", "{{node}} threads"),
                ],
            ),
            graph(
                "How much disk traffic?",
                "What the node reads and writes.",
                BytesPerSecond,
                &[
                    ("rate(peerobserver_node_disk_read_bytes_total{NODE}[R])", "{{node}} read"),
                    ("rate(peerobserver_node_disk_written_bytes_total{NODE}[R])", "{{node}} written"),
                    ("rate(peerobserver_node_major_page_faults_total{NODE}[R])", "{{node}} page faults"),
                ],
            ),
            graph(
                "How much disk is left?",
                "Of the file system that holds the node's data.",
                Bytes,
                &[
                    ("peerobserver_disk_available_bytes{NODE}", "{{node}} available"),
                    ("peerobserver_disk_size_bytes{NODE}", "{{node}} size"),
                    ("peerobserver_chain_disk_bytes{NODE}", "{{node}} blocks"),
                    ("peerobserver_chain_prune_target_bytes{NODE}", "{{node}} prune target"),
                ],
            ),
            graph(
                "Traffic of a node per second?",
                "As the node counts it, headers and encryption included.",
                BytesPerSecond,
                &[("sum by (node, direction) (rate(peerobserver_network_bytes_total{NODE}[R]))", "{{node}} {{direction}}")],
            ),
            graph(
                "Traffic per day, by message?",
                "Payload, as the probes see it.",
                Bytes,
                &[("sum by (message) (increase(peerobserver_message_bytes_total{NODE}[1d]))", "{{message}}")],
            ),
            graph(
                "How much of the upload limit is left?",
                "Only with `-maxuploadtarget`.",
                Bytes,
                &[("sum by (node, state) (peerobserver_upload_limit_bytes{NODE})", "{{node}} {{state}}")],
            ),
            number(
                "Is networking on, what can be reached?",
                "1 is yes.",
                Bool,
                &[
                    ("peerobserver_network_active{NODE}", "{{node}}"),
                    ("max by (node, network) (peerobserver_network_reachable{NODE})", "{{node}} {{network}}"),
                ],
            ),
            graph(
                "Does the node warn?",
                "Texts are in `logger --kinds state.network,state.blockchain`.",
                Count,
                &[
                    ("peerobserver_network_warnings{NODE}", "{{node}} network"),
                    ("peerobserver_chain_warnings{NODE}", "{{node}} chain"),
                ],
            ),
            graph(
                "Which fees does the node relay?",
                "Floor and step.",
                Feerate,
                &[
                    ("peerobserver_network_relay_fee_satoshis_per_vbyte{NODE}", "{{node}} floor"),
                    ("peerobserver_network_incremental_fee_satoshis_per_vbyte{NODE}", "{{node}} step"),
                ],
            ),
            number(
                "What kind of node is it?",
                "1 is yes; addresses that it knows as its own are a number.",
                Count,
                &[
                    ("peerobserver_node_pruned{NODE}", "{{node}} pruned"),
                    ("peerobserver_node_blocksonly{NODE}", "{{node}} blocks only"),
                    ("peerobserver_network_local_addresses{NODE}", "{{node}} own addresses"),
                ],
            ),
            graph(
                "Is it still downloading?",
                "Share of the chain that is verified; 1 while in the first download; where a pruned node begins.",
                Count,
                &[
                    ("peerobserver_chain_verification_ratio{NODE}", "{{node}} verified"),
                    ("peerobserver_chain_initial_download{NODE}", "{{node}} downloading"),
                    ("peerobserver_chain_prune_height{NODE}", "{{node}} pruned below"),
                ],
            ),
            graph(
                "What is the state of the chain?",
                "Difficulty, transactions, and those of 30 days.",
                Count,
                &[
                    ("peerobserver_chain_difficulty{NODE}", "{{node}} difficulty"),
                    ("peerobserver_chain_transactions{NODE}", "{{node}} transactions"),
                    (
                        "peerobserver_chain_window_transactions{NODE} / peerobserver_chain_window_seconds{NODE}",
                        "{{node}} per second, 30 days",
                    ),
                    (
                        "peerobserver_chain_window_transactions{NODE} / peerobserver_chain_window_blocks{NODE}",
                        "{{node}} per block, 30 days",
                    ),
                ],
            ),
            graph(
                "Are the indexes complete?",
                "1 is yes; and their height.",
                Count,
                &[
                    ("min by (node, index) (peerobserver_index_synced{NODE})", "{{node}} {{index}}"),
                    ("max by (node, index) (peerobserver_index_height{NODE})", "{{node}} {{index}} height"),
                ],
            ),
            graph(
                "Which changes of consensus are under way?",
                "Active ones, and those that miners signal for.",
                Count,
                &[
                    ("peerobserver_deployments_active{NODE}", "{{node}} active"),
                    ("peerobserver_deployments_signalling{NODE}", "{{node}} signalling"),
                ],
            ),
            graph(
                "How often, and how long, is the coin cache written?",
                "Blocks wait while it is.",
                Seconds,
                &[
                    ("sum by (node) (rate(peerobserver_coins_flush_seconds_sum{NODE}[1h]))", "{{node}} seconds per second"),
                    ("peerobserver_coins_flushed{NODE}", "{{node}} coins"),
                    ("peerobserver_coins_flushed_bytes{NODE}", "{{node}} bytes"),
                ],
            ),
        ],
    },
    Dashboard {
        folder: "observer",
        title: "Observer health",
        about: "Whether the other dashboards can be believed.",
        panels: &[
            graph(
                "Which sources are up?",
                "0: attached to nothing. A line that ends: silent.",
                Bool,
                &[("peerobserver_source_up{NODE}", "{{node}} {{source}}")],
            ),
            number(
                "When was each source last heard?",
                "Beats come every second.",
                Age,
                &[("time() - peerobserver_source_last_beat_timestamp_seconds{NODE}", "{{node}} {{source}}")],
            ),
            number(
                "When did each source last state a fact?",
                "A log line, a message, an answer. A live node has some every minute.",
                Age,
                &[("time() - peerobserver_source_last_event_timestamp_seconds{NODE}", "{{node}} {{source}}")],
            ),
            graph(
                "What was lost, and where?",
                "Each place is explained in the manual. None should ever be above zero.",
                Count,
                &[
                    ("sum by (node, stage) (increase(peerobserver_events_lost_total{NODE}[R]))", "{{node}} {{stage}}"),
                    ("increase(peerobserver_metrics_missed_events_total[R])", "missed by the metrics"),
                ],
            ),
            graph(
                "How far behind is publishing?",
                "Age of the youngest event when it was published.",
                Seconds,
                &[("max by (node, source) (peerobserver_source_lag_seconds{NODE})", "{{node}} {{source}}")],
            ),
            graph(
                "How many events are counted?",
                "By source.",
                PerSecond,
                &[("sum by (node, source) (rate(peerobserver_events_total{NODE}[R]))", "{{node}} {{source}}")],
            ),
            graph(
                "Do the probes see what the node counts?",
                "Windows compared; and those that differ, which should not be.",
                Count,
                &[
                    ("sum by (node) (increase(peerobserver_reconciled_total{NODE}[1h]))", "{{node}} agree"),
                    (
                        "sum by (node, message, direction) (increase(peerobserver_diverged_total{NODE}[1h]))",
                        "{{node}} {{message}} {{direction}}",
                    ),
                ],
            ),
            graph(
                "What do detectors hold to be the case?",
                "Open findings, by the worst that each was. docs/detectors.md says what each detector means.",
                Count,
                &[
                    (
                        "sum by (node, detector, severity) (peerobserver_findings_active{NODE})",
                        "{{node}} {{detector}} {{severity}}",
                    ),
                    (
                        "sum by (node, detector) (increase(peerobserver_findings_opened_total{NODE}[1h]))",
                        "{{node}} {{detector}} opened",
                    ),
                ],
            ),
            graph(
                "What became of it?",
                "Incidents that are not resolved, by where in their life they are; and those that were opened.",
                Count,
                &[
                    ("sum by (state, severity) (peerobserver_incidents_active{NODE})", "{{state}} {{severity}}"),
                    ("sum by (severity) (increase(peerobserver_incidents_opened_total{NODE}[1h]))", "opened {{severity}}"),
                ],
            ),
            graph(
                "Does anybody hear of it?",
                "Messages to each kind of receiver since the program started, and those that wait, failed, or are lost.",
                Count,
                &[
                    ("sum by (receiver) (peerobserver_incident_messages_delivered{NODE})", "{{receiver}} delivered"),
                    ("sum by (receiver) (peerobserver_incident_messages_waiting{NODE})", "{{receiver}} wait"),
                    ("sum by (receiver) (peerobserver_incident_messages_failures{NODE})", "{{receiver}} failures"),
                    ("sum by (receiver) (peerobserver_incident_messages_lost{NODE})", "{{receiver}} lost"),
                ],
            ),
            graph(
                "When did somebody last hear of it?",
                "Time since a receiver last took something. An Alertmanager takes something each minute.",
                Seconds,
                &[("time() - peerobserver_incident_messages_last_success_timestamp_seconds{NODE}", "{{receiver}}")],
            ),
            graph(
                "What cannot be decoded?",
                "Kept as bytes. Unknown types come from experiments; malformed ones from somebody who tries.",
                PerSecond,
                &[(
                    "sum by (node, reason, direction) (rate(peerobserver_undecodable_messages_total{NODE}[R]))",
                    "{{node}} {{reason}} {{direction}}",
                )],
            ),
            graph(
                "What cannot be used, or is not counted?",
                "Messages on the bus that are no events; events of no proper node; second witnesses.",
                PerSecond,
                &[
                    ("sum by (reason) (rate(peerobserver_metrics_unusable_messages_total[R]))", "{{reason}}"),
                    ("rate(peerobserver_metrics_stray_events_total[R])", "stray"),
                    ("rate(peerobserver_metrics_secondary_events_total[R])", "second witness"),
                    ("rate(peerobserver_metrics_findings_not_followed_total[R])", "findings, too many"),
                    ("sum by (what) (rate(peerobserver_metrics_witnesses_total[R]))", "choice of witness: {{what}}"),
                ],
            ),
            graph(
                "How do joins end?",
                "`late` and `single` growing: a source is slow, or gone.",
                PerSecond,
                &[("sum by (kind, outcome) (rate(peerobserver_joined_total{NODE}[R]))", "{{kind}} {{outcome}}")],
            ),
            number(
                "What do the sources watch?",
                "Probes, methods, categories in use; and those that the node does not offer.",
                Count,
                &[
                    ("peerobserver_source_attached{NODE}", "{{node}} {{source}}"),
                    ("peerobserver_source_missing{NODE}", "{{node}} {{source}} missing"),
                    ("peerobserver_nodes", "nodes"),
                ],
            ),
            graph(
                "How often do sources lose their node?",
                "A restart of the node is one.",
                Count,
                &[("sum by (node, source) (increase(peerobserver_source_detached_total{NODE}[1h]))", "{{node}} {{source}}")],
            ),
            graph(
                "How do calls to the node end?",
                "Anything but `ok` leaves values absent.",
                PerSecond,
                &[("sum by (method, outcome) (rate(peerobserver_rpc_calls_total{NODE}[R]))", "{{method}} {{outcome}}")],
            ),
            graph(
                "How long do calls take?",
                "9 in 10 are faster.",
                Seconds,
                &[(
                    "histogram_quantile(0.9, sum by (method, le) (rate(peerobserver_rpc_call_seconds_bucket{NODE}[1h])))",
                    "{{method}}",
                )],
            ),
            graph(
                "How much does the node answer?",
                "Bytes of answers.",
                BytesPerSecond,
                &[("sum by (method) (rate(peerobserver_rpc_answer_bytes_total{NODE}[R]))", "{{method}}")],
            ),
            graph(
                "How long ago was everything in another place?",
                "Where segments are shipped; they are not deleted here before.",
                Seconds,
                &[("time() - peerobserver_ship_last_success_timestamp_seconds{NODE}", "{{node}}")],
            ),
            number(
                "What waits to be shipped?",
                "Bytes, and attempts that failed since the program started.",
                Bytes,
                &[("peerobserver_ship_waiting_bytes{NODE}", "{{node}}"), ("peerobserver_ship_failures{NODE}", "{{node}} failures")],
            ),
        ],
    },
];
