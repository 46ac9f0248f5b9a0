//! Rules for Prometheus: what is recorded, and what is told.
//!
//! Alerts here are about the observer and its host, and one per severity passes on what detectors find: conditions of the network belong to
//! the detectors, which know more than numbers. Each alert has its test beside it: when it fires, a twin that looks alike and is harmless,
//! and when it is over.

use std::fmt::Write as _;

/// A rule that records.
pub struct Record {
    pub name: &'static str,
    /// Labels to set.
    pub labels: &'static [(&'static str, &'static str)],
    pub expr: &'static str,
}

/// A rule that tells.
pub struct Alert {
    pub name: &'static str,
    pub severity: &'static str,
    /// For how long before it is told.
    pub r#for: &'static str,
    pub expr: &'static str,
    /// What is the case, in a sentence with labels.
    pub summary: &'static str,
    /// What it means, and what to do: the runbook.
    pub runbook: &'static str,
    /// Series that make it fire, with the labels of the alert.
    pub fires: Case,
    /// Series that look alike and are harmless.
    pub twin: &'static [(&'static str, &'static str)],
}

/// Series, in the notation of `promtool test rules`, a value each minute.
pub struct Case {
    pub series: &'static [(&'static str, &'static str)],
    /// When it fires.
    pub at: &'static str,
    /// When it is over.
    pub clear: &'static str,
    /// Labels of the alert besides its severity.
    pub labels: &'static [(&'static str, &'static str)],
    /// The summary with everything filled in.
    pub says: &'static str,
}

/// A group of rules that records, evaluated together.
pub struct Group {
    pub name: &'static str,
    pub interval: &'static str,
    pub rules: &'static [Record],
}

/// Numbers of which the usual is learned, in one series each, so that bands are computed once for all.
pub const GROUPS: &[Group] = &[
    Group {
        name: "peer-observer signals",
        interval: "1m",
        rules: &[
            signal("inbound_peers", "sum by (node) (peerobserver_peers{connection_type=\"inbound\"})"),
            signal("outbound_peers", "sum by (node) (peerobserver_peers{connection_type!~\"inbound|unspecified\"})"),
            signal("gossip_addresses", "sum by (node) (rate(peerobserver_gossip_addresses_total{direction=\"inbound\"}[5m]))"),
            signal("misbehaviours", "sum by (node) (rate(peerobserver_misbehaviours_total[15m]))"),
            signal("announcement_queue", "peerobserver_peer_announcement_queue{statistic=\"mean\"}"),
            signal("messages", "sum by (node) (rate(peerobserver_messages_total[5m]))"),
            signal("mempool_added", "sum by (node) (rate(peerobserver_mempool_added_total[5m]))"),
            signal("mempool_transactions", "peerobserver_mempool_transactions"),
            signal("connections_opened", "sum by (node) (rate(peerobserver_connections_opened_total[15m]))"),
        ],
    },
    Group {
        name: "peer-observer bands",
        interval: "5m",
        rules: &[
            record("peerobserver:signal:mean_1h", "avg_over_time(peerobserver:signal[1h])"),
            record("peerobserver:signal:mean_1d", "avg_over_time(peerobserver:signal[1d])"),
            record("peerobserver:signal:deviation_1d", "stddev_over_time(peerobserver:signal[1d])"),
            record("peerobserver:signal:mean_2w", "avg_over_time(peerobserver:signal:mean_1d[2w])"),
            record("peerobserver:signal:deviation_2w", "avg_over_time(peerobserver:signal:deviation_1d[2w])"),
            // a band is never narrower than a tenth of what is usual: a number that hardly moves would otherwise alarm by moving at all
            record(
                "peerobserver:signal:width",
                "3 * peerobserver:signal:deviation_2w > 0.1 * peerobserver:signal:mean_2w or 0.1 * peerobserver:signal:mean_2w",
            ),
            record("peerobserver:signal:upper", "peerobserver:signal:mean_2w + peerobserver:signal:width"),
            record("peerobserver:signal:lower", "clamp_min(peerobserver:signal:mean_2w - peerobserver:signal:width, 0)"),
            record(
                "peerobserver:signal:zscore_2d",
                "(peerobserver:signal - avg_over_time(peerobserver:signal[2d])) / (stddev_over_time(peerobserver:signal[2d]) > 0)",
            ),
            // the same hour of the week, one to three weeks ago, as far as there is one
            record(
                "peerobserver:signal:seasonal",
                "avg without (week) (label_replace(peerobserver:signal:mean_1h offset 1w, \"week\", \"1\", \"\", \"\") or \
                 label_replace(peerobserver:signal:mean_1h offset 2w, \"week\", \"2\", \"\", \"\") or \
                 label_replace(peerobserver:signal:mean_1h offset 3w, \"week\", \"3\", \"\", \"\"))",
            ),
            record("peerobserver:signal:seasonal_ratio", "peerobserver:signal:mean_1h / (peerobserver:signal:seasonal > 0)"),
            record("peerobserver:signal:fleet_median", "quantile by (signal) (0.5, peerobserver:signal)"),
            record(
                "peerobserver:signal:fleet_ratio",
                "peerobserver:signal / on (signal) group_left () (peerobserver:signal:fleet_median > 0)",
            ),
        ],
    },
];

const fn record(name: &'static str, expr: &'static str) -> Record {
    Record { name, labels: &[], expr }
}

/// One of the numbers that are watched over weeks.
const fn signal(name: &'static str, expr: &'static str) -> Record {
    // a constant function makes no slice of its argument: the names are few
    Record { name: "peerobserver:signal", labels: signal_label(name), expr }
}

const fn signal_label(name: &'static str) -> &'static [(&'static str, &'static str)] {
    macro_rules! labels {
        ($($signal:literal)+) => {
            match name.as_bytes() {
                $(bytes if same(bytes, $signal.as_bytes()) => &[("signal", $signal)],)+
                _ => panic!("a signal without a label"),
            }
        };
    }
    labels! {
        "inbound_peers" "outbound_peers" "gossip_addresses" "misbehaviours" "announcement_queue" "messages" "mempool_added"
        "mempool_transactions" "connections_opened"
    }
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Metrics of others, and of parts that do not exist yet: what rules use and our table does not have.
pub const FOREIGN: &[(&str, &str)] = &[
    ("up", "Prometheus' own"),
    ("node_memory_MemAvailable_bytes", "node_exporter's, where the host has one"),
    ("process_start_time_seconds", "every client library's"),
    ("process_open_fds", "every client library's"),
    ("process_max_fds", "every client library's"),
];

/// Every alert.
pub const ALERTS: &[Alert] = &[
    Alert {
        name: "PeerObserverDown",
        severity: "critical",
        r#for: "2m",
        expr: "up{job=\"peer-observer\"} == 0",
        summary: "peer-observer at {{ $labels.instance }} cannot be scraped",
        runbook: "Nothing is counted, and nobody would tell if a node were attacked. `systemctl status peer-observer`, then `journalctl -u \
                  peer-observer -n 50`. The program says on its last line why it ended, and what to do. A taken port: `--metrics-listen`.",
        fires: Case {
            series: &[("up{job=\"peer-observer\",instance=\"a\"}", "1 0x5 1x10")],
            at: "4m",
            clear: "8m",
            labels: &[("instance", "a"), ("job", "peer-observer")],
            says: "peer-observer at a cannot be scraped",
        },
        // a restart
        twin: &[("up{job=\"peer-observer\",instance=\"a\"}", "1 1 0 1x20")],
    },
    Alert {
        name: "PeerObserverRestarts",
        severity: "warning",
        r#for: "0m",
        expr: "changes(process_start_time_seconds{job=\"peer-observer\"}[30m]) > 3",
        summary: "peer-observer at {{ $labels.instance }} has started {{ $value }} times in half an hour",
        runbook: "It fails again and again: `journalctl -u peer-observer`. Out of memory (`MemoryMax=` in the unit), a node that dies with it, or a \
                  bug: then the last lines and the version belong into an issue.",
        fires: Case {
            series: &[("process_start_time_seconds{job=\"peer-observer\",instance=\"a\"}", "1+1x5 6x60")],
            at: "6m",
            clear: "40m",
            labels: &[("instance", "a"), ("job", "peer-observer")],
            says: "peer-observer at a has started 5 times in half an hour",
        },
        // an upgrade
        twin: &[("process_start_time_seconds{job=\"peer-observer\",instance=\"a\"}", "1x5 2x60")],
    },
    Alert {
        name: "SourceDown",
        severity: "warning",
        r#for: "5m",
        expr: "peerobserver_source_up == 0",
        summary: "{{ $labels.source }} does not watch {{ $labels.node }}",
        runbook: "The source says that it has no node. Is the node running? `peer-observer doctor` says what this source needs. While it is down its \
                  values are absent and its counters stand still; that is not the same as nothing happening. It is over a day after the source was \
                  last heard, too: a node that was taken out of service alarms for as long, unless it is silenced.",
        fires: Case {
            series: &[("peerobserver_source_up{node=\"alice\",source=\"rpc\"}", "1 0x10 1x10")],
            at: "7m",
            clear: "12m",
            labels: &[("node", "alice"), ("source", "rpc")],
            says: "rpc does not watch alice",
        },
        // the node restarts
        twin: &[("peerobserver_source_up{node=\"alice\",source=\"rpc\"}", "1 1 0 0 0 1x20")],
    },
    Alert {
        name: "SourceSilent",
        severity: "critical",
        r#for: "1m",
        // what archives and ships speaks once a round, and detectors have an alert of their own; who says that he has no node, too
        expr: "time() - peerobserver_source_last_beat_timestamp_seconds{source!~\"tool|detect\"} > 90 unless on (node, source) \
               peerobserver_source_up == 0",
        summary: "nothing was heard of {{ $labels.source }} at {{ $labels.node }} for {{ $value | humanizeDuration }}",
        runbook: "A source has not beaten for 90 seconds: it was killed or hangs, or the way to this program is broken (NATS, network). `systemctl \
                  status peer-observer` at the node; `nats sub 'po.*.health.beat'` shows who still speaks. Clocks of both machines: a difference shows \
                  here, too. It is over a day after the last beat: a node that was taken out of service alarms for as long, unless it is silenced.",
        fires: Case {
            series: &[
                (
                    "peerobserver_source_last_beat_timestamp_seconds{node=\"alice\",source=\"log\"}",
                    "0 60 60 60 60 60 360 420 480 540 600",
                ),
                // after a minute nobody says any more whether it is up
                ("peerobserver_source_up{node=\"alice\",source=\"log\"}", "1 1 stale _x3 1x20"),
            ],
            at: "5m",
            clear: "7m",
            labels: &[("node", "alice"), ("source", "log")],
            says: "nothing was heard of log at alice for 4m 0s",
        },
        // it is down, and that is told by another alert; and who ships
        twin: &[
            ("peerobserver_source_last_beat_timestamp_seconds{node=\"alice\",source=\"log\"}", "0 60 60x20"),
            ("peerobserver_source_up{node=\"alice\",source=\"log\"}", "1 1 0x20"),
            ("peerobserver_source_last_beat_timestamp_seconds{node=\"alice\",source=\"tool\"}", "0x60"),
        ],
    },
    Alert {
        name: "DetectorsSilent",
        severity: "critical",
        r#for: "1m",
        // they beat by the time of the node; what is said of all nodes has none
        expr: "time() - peerobserver_source_last_beat_timestamp_seconds{source=\"detect\",node!=\"_fleet\"} > 300 and on (node) \
               time() - max by (node) (peerobserver_source_last_beat_timestamp_seconds{source!~\"tool|connect|detect\"}) < 90",
        summary: "the detectors have said nothing of {{ $labels.node }} for {{ $value | humanizeDuration }}, though the node is watched",
        runbook: "Nobody would tell if the node were attacked. `peer-observer detect`, or the section `[detect]` of `run`: does it run, and on the same \
                  bus? Its own log says why it ended. It is over a day after its last beat, too: where detectors were moved on purpose, silence it.",
        fires: Case {
            series: &[
                ("peerobserver_source_last_beat_timestamp_seconds{node=\"alice\",source=\"detect\"}", "0 60 60x8 660+60x20"),
                ("peerobserver_source_last_beat_timestamp_seconds{node=\"alice\",source=\"ebpf\"}", "0+60x40"),
            ],
            at: "9m",
            clear: "12m",
            labels: &[("node", "alice"), ("source", "detect")],
            says: "the detectors have said nothing of alice for 8m 0s, though the node is watched",
        },
        // the node is not heard at all, and that is told by another alert; and a start without a node's name
        twin: &[
            ("peerobserver_source_last_beat_timestamp_seconds{node=\"alice\",source=\"detect\"}", "0 60 60x20"),
            ("peerobserver_source_last_beat_timestamp_seconds{node=\"alice\",source=\"ebpf\"}", "0 60 60x20"),
            ("peerobserver_source_last_beat_timestamp_seconds{node=\"_fleet\",source=\"detect\"}", "0x60"),
            ("peerobserver_source_last_beat_timestamp_seconds{node=\"_fleet\",source=\"connect\"}", "0+60x60"),
        ],
    },
    Alert {
        name: "NoMessages",
        severity: "critical",
        r#for: "5m",
        expr: "time() - peerobserver_source_last_event_timestamp_seconds{source=\"ebpf\"} > 300 and on (node) \
               peerobserver_source_up{source=\"ebpf\"} == 1 and on (node) sum by (node) (peerobserver_peers) > 0",
        summary: "the probes at {{ $labels.node }} have seen nothing for {{ $value | humanizeDuration }}, though the node has peers",
        runbook: "A node with peers has messages every second. The probes are attached to something else than the node (an upgrade that kept the old \
                  process?), or the reader hangs. Restart peer-observer; if that helps, say so in an issue, with the log from before.",
        fires: Case {
            series: &[
                ("peerobserver_source_last_event_timestamp_seconds{node=\"alice\",source=\"ebpf\"}", "0x15 960+60x10"),
                ("peerobserver_source_up{node=\"alice\",source=\"ebpf\"}", "1x30"),
                ("peerobserver_peers{node=\"alice\",connection_type=\"inbound\",network=\"ipv4\"}", "20x30"),
            ],
            at: "12m",
            clear: "17m",
            labels: &[("node", "alice"), ("source", "ebpf")],
            says: "the probes at alice have seen nothing for 12m 0s, though the node has peers",
        },
        // a node without peers has no messages
        twin: &[
            ("peerobserver_source_last_event_timestamp_seconds{node=\"alice\",source=\"ebpf\"}", "0x30"),
            ("peerobserver_source_up{node=\"alice\",source=\"ebpf\"}", "1x30"),
            ("peerobserver_peers{node=\"alice\",connection_type=\"inbound\",network=\"ipv4\"}", "0x30"),
        ],
    },
    Alert {
        name: "EventsLost",
        severity: "warning",
        r#for: "0m",
        expr: "sum by (node, stage) (increase(peerobserver_events_lost_total[10m])) > 0",
        summary: "events of {{ $labels.node }} were lost ({{ $labels.stage }})",
        runbook: "Numbers of that time are too low, and detectors say \"unknown\". `kernel`: the buffer was full: a burst, or too little CPU: \
                  `--ebpf-buffer` larger. `publish`: the NATS server is slow or away. `subscription`, `transport`: a tool or the network was too slow.",
        fires: Case {
            series: &[("peerobserver_events_lost_total{node=\"alice\",stage=\"kernel\"}", "0x2 5x30")],
            at: "3m",
            clear: "15m",
            labels: &[("node", "alice"), ("stage", "kernel")],
            says: "events of alice were lost (kernel)",
        },
        // lost long ago
        twin: &[("peerobserver_events_lost_total{node=\"alice\",stage=\"kernel\"}", "5x30")],
    },
    Alert {
        name: "MetricsMissed",
        severity: "warning",
        r#for: "0m",
        expr: "increase(peerobserver_metrics_missed_events_total[10m]) > 0",
        summary: "the metrics at {{ $labels.instance }} missed {{ $value }} events",
        runbook: "This program was too slow for what it subscribes to, or lost its connection. Counters of that time are too low. One process per \
                  node, or a machine with more CPU.",
        fires: Case {
            series: &[("peerobserver_metrics_missed_events_total{job=\"peer-observer\",instance=\"a\"}", "0x2 9x30")],
            at: "3m",
            clear: "15m",
            labels: &[("instance", "a"), ("job", "peer-observer")],
            says: "the metrics at a missed 9 events",
        },
        twin: &[("peerobserver_metrics_missed_events_total{job=\"peer-observer\",instance=\"a\"}", "9x30")],
    },
    Alert {
        name: "UnusableMessages",
        severity: "warning",
        r#for: "0m",
        expr: "sum by (instance, reason) (increase(peerobserver_metrics_unusable_messages_total{reason!=\"unknown_kind\"}[10m])) > 0",
        summary: "messages on the bus are no events ({{ $labels.reason }})",
        runbook: "Somebody publishes what is no event, or on the subject of another node. Who may publish is for the server to say: `docs/nats.md`. \
                  `incomplete`: parts of large events were lost on the way.",
        fires: Case {
            series: &[("peerobserver_metrics_unusable_messages_total{instance=\"a\",reason=\"foreign_subject\"}", "0x2 1x30")],
            at: "3m",
            clear: "15m",
            labels: &[("instance", "a"), ("reason", "foreign_subject")],
            says: "messages on the bus are no events (foreign_subject)",
        },
        // a newer release is on the other side
        twin: &[("peerobserver_metrics_unusable_messages_total{instance=\"a\",reason=\"unknown_kind\"}", "0+7x30")],
    },
    Alert {
        name: "PublishingLags",
        severity: "warning",
        r#for: "2m",
        expr: "peerobserver_source_lag_seconds > 10",
        summary: "{{ $labels.source }} at {{ $labels.node }} publishes {{ $value | humanizeDuration }} after the fact",
        runbook: "The source cannot keep up, or its machine has no CPU left. Findings come late by as much. If it grows, events will be lost next.",
        fires: Case {
            series: &[("peerobserver_source_lag_seconds{node=\"alice\",source=\"ebpf\"}", "0 20x5 0x10")],
            at: "4m",
            clear: "8m",
            labels: &[("node", "alice"), ("source", "ebpf")],
            says: "ebpf at alice publishes 20s after the fact",
        },
        // a block
        twin: &[("peerobserver_source_lag_seconds{node=\"alice\",source=\"ebpf\"}", "0 20 0x20")],
    },
    Alert {
        name: "CountsDiverge",
        severity: "critical",
        r#for: "0m",
        expr: "sum by (node, message, direction) (increase(peerobserver_diverged_total[1h])) > 1",
        summary: "the probes at {{ $labels.node }} see other {{ $labels.message }} messages than the node counts",
        runbook: "More than 1 % difference to the node's own counters, more than once in an hour: messages are lost without anybody counting them, or \
                  bytes are misread. Do not trust message counts of this node. `logger --kinds health.diverged` has the numbers; they belong \
                  into an issue.",
        fires: Case {
            series: &[("peerobserver_diverged_total{node=\"alice\",message=\"inv\",direction=\"inbound\"}", "0x2 1x5 3x90")],
            at: "10m",
            clear: "80m",
            labels: &[("direction", "inbound"), ("message", "inv"), ("node", "alice")],
            says: "the probes at alice see other inv messages than the node counts",
        },
        // one window that was cut by a reconnect
        twin: &[("peerobserver_diverged_total{node=\"alice\",message=\"inv\",direction=\"inbound\"}", "0x2 1x90")],
    },
    Alert {
        name: "CallsFail",
        severity: "warning",
        r#for: "10m",
        expr: "sum by (node, method) (rate(peerobserver_rpc_calls_total{outcome!=\"ok\"}[10m])) > 0.5 * sum by (node, method) \
               (rate(peerobserver_rpc_calls_total[10m]))",
        summary: "most calls of {{ $labels.method }} to {{ $labels.node }} fail",
        runbook: "Values of this method are absent. The dashboard \"Observer health\" says how calls end: `forbidden` and `unauthorized` are a matter of \
                  the node's configuration (`peer-observer doctor --new-rpc-user`), `busy` and `timeout` of its load.",
        fires: Case {
            series: &[
                ("peerobserver_rpc_calls_total{node=\"alice\",method=\"getpeerinfo\",outcome=\"ok\"}", "0x25 0+12x40"),
                ("peerobserver_rpc_calls_total{node=\"alice\",method=\"getpeerinfo\",outcome=\"timeout\"}", "0+12x25 300x40"),
            ],
            at: "15m",
            clear: "50m",
            labels: &[("method", "getpeerinfo"), ("node", "alice")],
            says: "most calls of getpeerinfo to alice fail",
        },
        // one in ten
        twin: &[
            ("peerobserver_rpc_calls_total{node=\"alice\",method=\"getpeerinfo\",outcome=\"ok\"}", "0+9x60"),
            ("peerobserver_rpc_calls_total{node=\"alice\",method=\"getpeerinfo\",outcome=\"timeout\"}", "0+1x60"),
        ],
    },
    Alert {
        name: "DiskFillsUp",
        severity: "warning",
        r#for: "10m",
        expr: "peerobserver_disk_available_bytes / peerobserver_disk_size_bytes < 0.1",
        summary: "the disk of {{ $labels.node }} has {{ $value | humanizePercentage }} left",
        runbook: "A node whose disk is full stops, and may need to download the chain again. Prune, move archives away, or enlarge the disk. Is a peer \
                  filling the log? Compare the size of debug.log.",
        fires: Case {
            series: &[
                ("peerobserver_disk_available_bytes{node=\"alice\"}", "50 9x15 50x10"),
                ("peerobserver_disk_size_bytes{node=\"alice\"}", "100x40"),
            ],
            at: "12m",
            clear: "18m",
            labels: &[("node", "alice")],
            says: "the disk of alice has 9% left",
        },
        twin: &[
            ("peerobserver_disk_available_bytes{node=\"alice\"}", "11x40"),
            ("peerobserver_disk_size_bytes{node=\"alice\"}", "100x40"),
        ],
    },
    Alert {
        name: "DiskFull",
        severity: "critical",
        r#for: "2m",
        expr: "peerobserver_disk_available_bytes < 2e9",
        summary: "the disk of {{ $labels.node }} has {{ $value | humanize1024 }}B left",
        runbook: "Less than 2 GB: a few hours. What to do is said at DiskFillsUp.",
        fires: Case {
            series: &[("peerobserver_disk_available_bytes{node=\"alice\"}", "5e9 1e9x5 5e9x10")],
            at: "4m",
            clear: "8m",
            labels: &[("node", "alice")],
            says: "the disk of alice has 953.7MiB left",
        },
        twin: &[("peerobserver_disk_available_bytes{node=\"alice\"}", "3e9x20")],
    },
    Alert {
        name: "MemoryShort",
        severity: "warning",
        r#for: "5m",
        expr: "node_memory_MemAvailable_bytes < 1e9",
        summary: "{{ $labels.instance }} has {{ $value | humanize1024 }}B of memory left",
        runbook: "Less than 1 GB for node and observer: the kernel will end one of them. Needs node_exporter: `prometheus.yml` \
                  has its job, in a comment. `-dbcache` and `-maxmempool` are what a \
                  node takes most.",
        fires: Case {
            series: &[("node_memory_MemAvailable_bytes{instance=\"host\"}", "4e9 8e8x8 4e9x10")],
            at: "7m",
            clear: "11m",
            labels: &[("instance", "host")],
            says: "host has 762.9MiB of memory left",
        },
        twin: &[("node_memory_MemAvailable_bytes{instance=\"host\"}", "4e9 8e8 8e8 4e9x20")],
    },
    Alert {
        name: "FilesRunOut",
        severity: "warning",
        r#for: "5m",
        expr: "process_open_fds{job=\"peer-observer\"} > 0.8 * process_max_fds{job=\"peer-observer\"} or \
               peerobserver_node_open_files > 0.8 * peerobserver_node_open_files_limit",
        summary: "{{ or $labels.node $labels.instance }} has nearly as many files open as it may",
        runbook: "A node that may open no more files takes no more connections; an observer none of its tools. `LimitNOFILE=` in the unit.",
        fires: Case {
            series: &[
                ("peerobserver_node_open_files{node=\"alice\"}", "100 900x8 100x10"),
                ("peerobserver_node_open_files_limit{node=\"alice\"}", "1000x30"),
            ],
            at: "7m",
            clear: "11m",
            labels: &[("node", "alice")],
            says: "alice has nearly as many files open as it may",
        },
        twin: &[
            ("peerobserver_node_open_files{node=\"alice\"}", "700x30"),
            ("peerobserver_node_open_files_limit{node=\"alice\"}", "1000x30"),
        ],
    },
    Alert {
        name: "MessagesWait",
        severity: "critical",
        r#for: "10m",
        expr: "sum by (node, receiver) (peerobserver_incident_messages_waiting) > 0",
        summary: "messages about incidents do not reach the {{ $labels.receiver }}",
        runbook: "Somebody who should be told is not. The program says on standard error what the receiver answers: away, a wrong token, a topic that \
                  is gone. Nothing is lost meanwhile: the latest of each incident waits, and `peer-observer incidents list --state open` has them. To \
                  people at most one message goes in two minutes after the first thirty; a storm makes this alert as well.",
        fires: Case {
            series: &[("peerobserver_incident_messages_waiting{node=\"_fleet\",receiver=\"webhook\"}", "0 3x14 0x10")],
            at: "12m",
            clear: "17m",
            labels: &[("node", "_fleet"), ("receiver", "webhook")],
            says: "messages about incidents do not reach the webhook",
        },
        // a receiver that was away for a moment
        twin: &[("peerobserver_incident_messages_waiting{node=\"_fleet\",receiver=\"webhook\"}", "0 3x5 0x20")],
    },
    Alert {
        name: "UploadOverdue",
        severity: "warning",
        r#for: "30m",
        expr: "time() - peerobserver_ship_last_success_timestamp_seconds > 6 * 3600 and on (node) peerobserver_ship_waiting_bytes > 0 or \
               (peerobserver_ship_failures > 0 unless on (node) peerobserver_ship_last_success_timestamp_seconds)",
        summary: "what was recorded at {{ $labels.node }} waits to be shipped",
        runbook: "For six hours, or ever since the program started, not everything that is finished here was in the other place. The program says on \
                  standard error what the place answers: away, full, a key that is not valid any more (`docs/shipping.md`). Nothing is lost while \
                  this disk has room; segments that were not shipped are not deleted.",
        fires: Case {
            series: &[
                ("peerobserver_ship_last_success_timestamp_seconds{node=\"alice\"}", "-30000x40 2460+60x30"),
                ("peerobserver_ship_waiting_bytes{node=\"alice\"}", "5x80"),
            ],
            at: "35m",
            clear: "44m",
            labels: &[("node", "alice")],
            says: "what was recorded at alice waits to be shipped",
        },
        // nothing new for long; a place that was away for a moment
        twin: &[
            ("peerobserver_ship_last_success_timestamp_seconds{node=\"alice\"}", "-30000x60"),
            ("peerobserver_ship_waiting_bytes{node=\"alice\"}", "0x60"),
            ("peerobserver_ship_failures{node=\"alice\"}", "3x60"),
            ("peerobserver_ship_failures{node=\"bob\"}", "0 2x10 2x60"),
            ("peerobserver_ship_last_success_timestamp_seconds{node=\"bob\"}", "_x12 720x60"),
        ],
    },
    finding("FindingCritical", "critical", "peerobserver_findings_active{severity=\"critical\"} > 0", Severity::Critical),
    finding("FindingWarning", "warning", "peerobserver_findings_active{severity=\"warn\"} > 0", Severity::Warning),
    finding("FindingInfo", "info", "peerobserver_findings_active{severity=\"info\"} > 0", Severity::Info),
];

enum Severity {
    Critical,
    Warning,
    Info,
}

/// What detectors found, as it is: they have their own times and thresholds.
const fn finding(name: &'static str, severity: &'static str, expr: &'static str, of: Severity) -> Alert {
    macro_rules! case {
        ($severity:literal) => {
            Case {
                series: &[(
                    concat!("peerobserver_findings_active{detector=\"D01\",node=\"alice\",severity=\"", $severity, "\"}"),
                    "0 1x5 0x10",
                )],
                at: "3m",
                clear: "8m",
                labels: &[("detector", "D01"), ("node", "alice")],
                says: "D01 at alice: 1 active",
            }
        };
    }
    Alert {
        name,
        severity,
        r#for: "0m",
        expr,
        summary: "{{ $labels.detector }} at {{ $labels.node }}: {{ $value }} active",
        runbook: "A detector holds that something goes on, and will say when it is over. Its finding has the evidence, what it does not prove, and its \
                  own runbook: the `doc.md` of the detector's number in `detectors/`.",
        fires: match of {
            Severity::Critical => case!("critical"),
            Severity::Warning => case!("warn"),
            Severity::Info => case!("info"),
        },
        twin: &[("peerobserver_findings_active{detector=\"D01\",node=\"alice\",severity=\"unspecified\"}", "1x20")],
    }
}

/// A text as YAML has it; JSON's strings are YAML's.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text")
}

const HEAD: &str = "# Generated from crates/tools/tests/monitoring/rules.rs; do not edit.\n";

/// The file of recording rules.
pub fn recording() -> String {
    let mut out = format!("{HEAD}groups:\n");
    for group in GROUPS {
        let _ = write!(out, "  - name: {}\n    interval: {}\n    rules:\n", quoted(group.name), group.interval);
        for rule in group.rules {
            let _ = write!(out, "      - record: {}\n        expr: {}\n", rule.name, quoted(rule.expr));
            labels(&mut out, 8, rule.labels);
        }
    }
    out
}

fn labels(out: &mut String, indent: usize, labels: &[(&str, &str)]) {
    if !labels.is_empty() {
        let _ = writeln!(out, "{:indent$}labels:", "");
        for (name, value) in labels {
            let _ = writeln!(out, "{:indent$}  {name}: {}", "", quoted(value));
        }
    }
}

/// The file of alerts.
pub fn alerting() -> String {
    let mut out = format!("{HEAD}groups:\n  - name: \"peer-observer\"\n    rules:\n");
    for alert in ALERTS {
        let _ = write!(out, "      - alert: {}\n        expr: {}\n        for: {}\n", alert.name, quoted(alert.expr), alert.r#for);
        labels(&mut out, 8, &[("severity", alert.severity)]);
        let _ = write!(
            out,
            "        annotations:\n          summary: {}\n          runbook: {}\n",
            quoted(alert.summary),
            quoted(&runbook(alert))
        );
    }
    out
}

fn runbook(alert: &Alert) -> String {
    format!("docs/runbook.md#{}", alert.name.to_lowercase())
}

/// What one does when an alert comes.
pub fn runbooks() -> String {
    let mut out = String::from(
        "# When an alert comes\n\nGenerated from `crates/tools/tests/monitoring/rules.rs`; do not edit. These are about the observer and its host. What \
         happens to the nodes is found by detectors, and told by the three alerts at the end.\n",
    );
    for alert in ALERTS {
        let _ = write!(
            out,
            "\n## {}\n\n{}, after {}.\n\n{}\n\n```promql\n{}\n```\n",
            alert.name, alert.severity, alert.r#for, alert.runbook, alert.expr
        );
    }
    out
}

/// Cases for `promtool test rules`: each alert fires, is over, and leaves its twin alone.
pub fn tests() -> String {
    let mut out = format!("{HEAD}rule_files:\n  - alerts.yml\nevaluation_interval: 1m\ntests:\n");
    for alert in ALERTS {
        let case = &alert.fires;
        let mut expected = String::new();
        let _ = write!(expected, "          - exp_labels:\n              severity: {}\n", alert.severity);
        for (name, value) in case.labels {
            let _ = writeln!(expected, "              {name}: {}", quoted(value));
        }
        let _ = write!(
            expected,
            "            exp_annotations:\n              summary: {}\n              runbook: {}\n",
            quoted(case.says),
            quoted(&runbook(alert))
        );
        test(&mut out, alert, "fires, and is over", case.series, &[(case.at, &expected), (case.clear, "")]);
        // every minute of the hour
        let minutes: Vec<String> = (0..60).map(|minute| format!("{minute}m")).collect();
        let never: Vec<(&str, &str)> = minutes.iter().map(|minute| (minute.as_str(), "")).collect();
        test(&mut out, alert, "leaves its twin alone", alert.twin, &never);
    }
    out
}

/// Cases for the recording rules: a signal, its band, its place in the fleet. What takes weeks is too much for promtool, which holds few samples.
pub fn recording_tests() -> String {
    let peers = |node: &str, count: u32| {
        format!(
            "      - series: 'peerobserver_peers{{node=\"{node}\",connection_type=\"inbound\",network=\"ipv4\"}}'\n        values: \"{count}x180\"\n"
        )
    };
    let mut out =
        format!("{HEAD}rule_files:\n  - recording.yml\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n");
    for (node, count) in [("alice", 10), ("bob", 20), ("carol", 60)] {
        out += &peers(node, count);
    }
    out.push_str("    promql_expr_test:\n");
    for (name, labels, value) in [
        ("", "node=\"bob\",", 20.0),
        (":mean_1h", "node=\"bob\",", 20.0),
        // a tenth of what is usual, where nothing ever moves
        (":upper", "node=\"bob\",", 22.0),
        (":lower", "node=\"bob\",", 18.0),
        (":fleet_median", "", 20.0),
        (":fleet_ratio", "node=\"carol\",", 3.0),
    ] {
        let series = format!("{{{labels}signal=\"inbound_peers\"}}");
        // a ratio has no name of its own until it is recorded
        let _ = write!(
            out,
            "      - expr: 'peerobserver:signal{name}{series}'\n        eval_time: 3h\n        exp_samples:\n          - labels: \
             'peerobserver:signal{name}{series}'\n            value: {value}\n"
        );
    }
    out
}

fn test(out: &mut String, alert: &Alert, what: &str, series: &[(&str, &str)], at: &[(&str, &str)]) {
    let _ = write!(out, "  - name: {}\n    interval: 1m\n    input_series:\n", quoted(&format!("{} {what}", alert.name)));
    for (series, values) in series {
        let _ = write!(out, "      - series: {}\n        values: {}\n", quoted(series), quoted(values));
    }
    out.push_str("    alert_rule_test:\n");
    for (time, expected) in at {
        let _ = write!(out, "      - eval_time: {time}\n        alertname: {}\n", alert.name);
        if expected.is_empty() {
            out.push_str("        exp_alerts: []\n");
        } else {
            let _ = write!(out, "        exp_alerts:\n{expected}");
        }
    }
}
