use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;
use event::{
    ConnectionType, Direction, Event, FetchOutcome, Finding, FindingCleared, FindingExpired, FindingOpened, FindingUpdated,
    HealthAttached, HealthBeat, HealthDetached, Kind, KindId, NetPing, NetUndecodable, Network, PeerInfo, Severity, Source,
    StateFetched, StateMempool, StatePeers, StateUptime,
};
use expect_test::{Expect, expect, expect_file};
use extract::recording::Recording;
use proptest::prelude::{Strategy as _, any};

/// 2025-06-15T15:06:40Z
const START: u64 = 1_750_000_000;

pub(super) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

/// An event of a second after [`START`].
fn at(second: u64, source: Source, kind: impl Into<Kind>) -> Event {
    Event { time: (START + second) * 1_000_000_000, node_run: Some(START - 100), ..Event::new("alice", source, kind) }
}

fn page(fleet: &mut Fleet) -> String {
    let nodes = (0..fleet.nodes()).map(|place| fleet.shown(place)).collect();
    let (tool, lists) = fleet.shown_tool();
    Page { nodes, tool, lists, process: None }.write(Format::Prometheus)
}

pub(super) fn counted(events: impl IntoIterator<Item = Event>) -> Fleet {
    let mut fleet = Fleet::new(Lists::default());
    for event in events {
        fleet.observe(&event);
    }
    fleet
}

pub(super) fn recorded(path: &Path) -> impl Iterator<Item = Event> {
    Recording::open(path).unwrap().map(Result::unwrap)
}

/// The samples of a metric, without heads.
fn samples(fleet: &mut Fleet, metric: &str) -> String {
    let page = page(fleet);
    let of = |line: &&str| line.strip_prefix("peerobserver_").is_some_and(|rest| rest.starts_with(metric));
    page.lines().filter(of).map(|line| format!("{line}\n")).collect()
}

#[track_caller]
fn check(fleet: &mut Fleet, metric: &str, expect: Expect) {
    expect.assert_eq(&samples(fleet, metric));
}

/// A value by name and labels.
fn value(fleet: &mut Fleet, series: &str) -> Option<f64> {
    let page = page(fleet);
    let line = page.lines().find_map(|line| line.strip_prefix("peerobserver_")?.strip_prefix(series)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

#[test]
fn the_bundled_recording_gives_this_page() {
    let mut fleet = counted(recorded(&fixture("demo.rec")));
    // the version of the program is no part of what was recorded
    let page = page(&mut fleet).replace(concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"} 1\n# "), "version=\"…\"} 1\n# ");
    expect_file![fixture("demo.metrics.txt")].assert_eq(&page);
}

#[test]
fn every_metric_is_documented() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    expect_file![docs].assert_eq(&manual::markdown());
}

#[test]
fn names_follow_the_conventions() {
    let mut names = std::collections::HashSet::new();
    for row in table::ROWS.iter().chain(&table::tool::ROWS) {
        assert!(names.insert(row.name), "{} is there twice", row.name);
        let counter = matches!(row.shape, Shape::Counter | Shape::Reported);
        assert_eq!(row.name.ends_with("_total"), counter, "{}", row.name);
        assert!(row.help.ends_with('.') && !row.help.contains('\n'), "{}", row.name);
        let labels: std::collections::HashSet<_> = row.labels.iter().map(|label| label.name).collect();
        assert_eq!(labels.len(), row.labels.len(), "{}: labels of one name", row.name);
        assert!(!labels.contains("node") && !labels.contains("le"));
        if let Shape::Histogram(bounds) = row.shape {
            assert!(bounds.is_sorted_by(|a, b| a < b), "{}", row.name);
        }
    }
}

/// Prometheus' own opinion of the page.
#[test]
fn promtool_finds_nothing_to_complain_about() {
    if !installed("promtool") {
        testkit::skipped("no promtool on PATH (Debian: prometheus)");
        return;
    }
    let mut fleet = counted(testkit::events::samples());
    for event in recorded(&fixture("demo.rec")) {
        fleet.observe(&event);
    }
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut promtool.stdin.take().unwrap(), page(&mut fleet).as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[test]
fn openmetrics_names_families_and_ends() {
    let mut fleet = counted([at(0, Source::Ebpf, ping(1))]);
    let nodes = vec![fleet.shown(0)];
    let (tool, lists) = fleet.shown_tool();
    let page =
        Page { nodes, tool, lists, process: Some(Process { cpu: Some(1.5), ..Process::default() }) }.write(Format::OpenMetrics);
    assert!(page.contains("# TYPE peerobserver_messages counter\npeerobserver_messages_total{node=\"alice\","), "{page}");
    assert!(page.ends_with("# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total 1.5\n# EOF\n"), "{page}");
}

#[test]
fn whoever_asks_for_openmetrics_gets_it() {
    let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    for (accept, format) in [
        (prometheus, Format::OpenMetrics),
        ("", Format::Prometheus),
        ("*/*", Format::Prometheus),
        ("text/html, application/openmetrics-text;q=0", Format::Prometheus),
    ] {
        assert_eq!(Format::accepted(accept), format, "{accept}");
    }
}

fn ping(peer: u64) -> NetPing {
    NetPing {
        peer,
        direction: Direction::Inbound.into(),
        address: "203.0.113.7:8333".into(),
        connection_type: ConnectionType::Inbound.into(),
        network: Network::Ipv4.into(),
        size: 8,
        nonce: Some(7),
        ..Default::default()
    }
}

#[test]
fn a_message_is_counted_by_type_direction_and_connection() {
    let mut fleet = counted([at(0, Source::Ebpf, ping(1)), at(120, Source::Ebpf, ping(1)), at(121, Source::Ebpf, ping(2))]);
    check(
        &mut fleet,
        "messages_total",
        expect![[r#"
        peerobserver_messages_total{node="alice",message="ping",direction="inbound",connection_type="inbound"} 3
    "#]],
    );
    check(
        &mut fleet,
        "message_bytes_total",
        expect![[r#"
        peerobserver_message_bytes_total{node="alice",message="ping",direction="inbound",connection_type="inbound"} 24
    "#]],
    );
    assert_eq!(value(&mut fleet, "ping_interval_seconds_sum{node=\"alice\"}"), Some(120.0));
}

/// What peers invent moves one series each.
#[test]
fn a_hundred_thousand_inventions_are_a_few_series() {
    let invented = |number: u64| {
        let text = format!("x{number}");
        let version = event::NetVersion {
            direction: Direction::Inbound.into(),
            user_agent: format!("/{text}/"),
            version: number as u32,
            services: number,
            ..Default::default()
        };
        let peers = StatePeers {
            peers: vec![PeerInfo {
                id: number,
                user_agent: Some(text.clone()),
                mapped_as: Some(number as u32),
                services: Some(number),
                version: Some(number as u32),
                ..Default::default()
            }],
        };
        let kinds: [Kind; 8] = [
            NetUndecodable { message_type: text.clone(), direction: Direction::Inbound.into(), ..Default::default() }.into(),
            version.into(),
            event::ConnMisbehaving { peer: number, reason: text.clone(), ..Default::default() }.into(),
            event::MempoolRejected { reason: text.clone(), ..Default::default() }.into(),
            event::NetReject {
                direction: Direction::Inbound.into(),
                message: text.clone(),
                code: number as u32,
                ..Default::default()
            }
            .into(),
            event::NetFeefilter { direction: Direction::Inbound.into(), feerate: number as i64, ..Default::default() }.into(),
            peers.into(),
            event::HealthDiverged { message_type: text, ..Default::default() }.into(),
        ];
        kinds.map(|kind| at(0, Source::Ebpf, kind))
    };
    let series = |fleet: &mut Fleet| page(fleet).lines().filter(|line| !line.starts_with('#')).count();
    let mut fleet = counted((0..100_000).step_by(1000).flat_map(invented));
    let few = series(&mut fleet);
    (0..100_000).flat_map(invented).for_each(|event| fleet.observe(&event));
    // a system without peers is gone, others come: no more than 20 at a time
    assert!(series(&mut fleet) <= few + 40, "{} series after {few}", series(&mut fleet));
    check(
        &mut fleet,
        "messages_total{node=\"alice\",message=\"other\"",
        expect![[r#"
        peerobserver_messages_total{node="alice",message="other",direction="inbound",connection_type="unspecified"} 100100
    "#]],
    );
    check(
        &mut fleet,
        "misbehaviours_total",
        expect![[r#"
        peerobserver_misbehaviours_total{node="alice",reason="other"} 100100
    "#]],
    );
}

/// However large a fleet and however strange its events.
#[test]
fn series_are_bounded() {
    let series: usize = table::ROWS.iter().map(|row| row.series).sum();
    let cells: usize = table::ROWS.iter().map(Row::cells).sum();
    assert!(series < 14_000, "{series} series per node at the very most");
    assert!(cells * 8 < 200_000, "{cells} cells per node");
    let node = |number: u64| Event { node: format!("n{number}"), ..at(0, Source::Ebpf, ping(1)) };
    let mut fleet = counted((0..2000).map(node));
    assert_eq!(fleet.nodes(), 1000);
    assert_eq!(value(&mut fleet, "metrics_stray_events_total"), Some(1000.0));
    let mut fleet = counted(["", "a\"b", "a.b", "a b"].map(|name| Event { node: name.into(), ..at(0, Source::Ebpf, ping(1)) }));
    assert_eq!((fleet.nodes(), value(&mut fleet, "metrics_stray_events_total")), (0, Some(4.0)));
}

fn beat(second: u64, source: Source) -> Event {
    at(second, source, HealthBeat::default())
}

fn mempool(second: u64) -> Event {
    at(second, Source::Rpc, StateMempool { size: Some(17), ..Default::default() })
}

const POOL: &str = "mempool_transactions{node=\"alice\"}";

#[test]
fn values_vanish_with_their_source() {
    let facts = || {
        [
            at(0, Source::Rpc, HealthAttached::default()),
            mempool(0),
            at(0, Source::Proc, event::StateDisk { size: 5, ..Default::default() }),
        ]
    };
    let gone: [(&str, Vec<Event>); 4] = [
        ("detached", vec![at(1, Source::Rpc, HealthDetached::default())]),
        ("silent, while another beats", {
            let mut events = vec![beat(1, Source::Rpc)];
            events.extend((1..100).map(|second| beat(second, Source::Proc)));
            events
        }),
        ("restarted", vec![Event { node_run: Some(START + 50), ..beat(60, Source::Proc) }]),
        (
            "refused",
            vec![at(
                1,
                Source::Rpc,
                StateFetched { method: "getmempoolinfo".into(), outcome: FetchOutcome::Forbidden.into(), ..Default::default() },
            )],
        ),
    ];
    for (how, events) in gone {
        let mut fleet = counted(facts());
        assert_eq!(value(&mut fleet, POOL), Some(17.0), "{how}");
        events.iter().for_each(|event| fleet.observe(event));
        assert_eq!(value(&mut fleet, POOL), None, "{how}");
        let disk = value(&mut fleet, "disk_size_bytes{node=\"alice\"}");
        assert_eq!(disk, if how == "restarted" { None } else { Some(5.0) }, "{how}: the other source's values");
        // it comes back with the next answer
        fleet.observe(&Event { node_run: Some(START + 50), ..mempool(200) });
        assert_eq!(value(&mut fleet, POOL), Some(17.0), "{how}");
    }
}

/// The observer itself goes silent: nobody says so, but time passes.
#[test]
fn values_vanish_when_nothing_is_heard_any_more() {
    let mut live = counted([mempool(0)]);
    let mut replayed = counted([Event { replay: true, ..mempool(0) }]);
    for tick in 1..=12 {
        assert_eq!(value(&mut live, POOL), Some(17.0), "after {tick} ticks");
        live.tick();
        replayed.tick();
    }
    assert_eq!(value(&mut live, POOL), None);
    // that it has no node nobody said
    assert_eq!(value(&mut live, "source_up{node=\"alice\",source=\"rpc\"}"), None);
    assert_eq!(value(&mut replayed, POOL), Some(17.0), "one looks at a recording for as long as one wants");
}

/// `source_up` and the time of the last beat of a source at alice.
fn life(fleet: &mut Fleet, source: &str) -> [Option<f64>; 2] {
    ["source_up", "source_last_beat_timestamp_seconds"]
        .map(|metric| value(fleet, &format!("{metric}{{node=\"alice\",source=\"{source}\"}}")))
}

/// A tool has no node to attach to, and says nothing before it has something to say.
#[test]
fn a_tool_is_up_while_it_beats() {
    for source in [Source::Detect, Source::Connect, Source::Tool] {
        let mut fleet = counted([beat(0, source), beat(1, source)]);
        assert_eq!(life(&mut fleet, source.word())[0], Some(1.0), "{source:?}");
    }
    let mut fleet = counted([beat(0, Source::Rpc), beat(1, Source::Rpc)]);
    assert_eq!(life(&mut fleet, "rpc")[0], Some(0.0), "an extractor that has found nothing yet");
}

/// What archives and ships speaks once a round.
#[test]
fn who_ships_may_be_silent_for_longer() {
    let shipped = at(0, Source::Tool, event::HealthShipped { waiting_bytes: 7, failures: 1, ..Default::default() });
    let mut fleet = counted([shipped, beat(0, Source::Tool)]);
    let waiting = "ship_waiting_bytes{node=\"alice\"}";
    (1..3600).for_each(|second| fleet.observe(&beat(second, Source::Rpc)));
    assert_eq!((value(&mut fleet, waiting), life(&mut fleet, "tool")[0]), (Some(7.0), Some(1.0)));
    // a node that restarts changes nothing of it
    fleet.observe(&Event { node_run: Some(START + 50), ..beat(3600, Source::Rpc) });
    assert_eq!(value(&mut fleet, waiting), Some(7.0));
    fleet.observe(&beat(3602, Source::Rpc));
    assert_eq!((value(&mut fleet, waiting), life(&mut fleet, "tool")[0]), (None, None));
}

#[test]
fn incidents_vanish_with_their_book() {
    let incident = |number| event::Incident {
        number,
        severity: Severity::Critical.into(),
        state: event::IncidentState::Open.into(),
        ..Default::default()
    };
    let delivered = event::IncidentDelivered { receiver: "webhook".into(), waiting: u64::MAX, ..Default::default() };
    let opened = |number| at(0, Source::Tool, event::IncidentOpened { incident: Some(incident(number)) });
    let second = event::IncidentDelivered { place: 1, ..delivered.clone() };
    let mut fleet = counted([
        opened(1),
        opened(2),
        at(0, Source::Tool, delivered),
        // two that say more than a number can hold
        at(0, Source::Tool, second),
    ]);
    let shown = |fleet: &mut Fleet| {
        (samples(fleet, "incidents_active").lines().count(), samples(fleet, "incident_messages").lines().count())
    };
    assert_eq!(shown(&mut fleet), (1, 4));
    (0..12).for_each(|_| fleet.tick());
    assert_eq!(shown(&mut fleet), (0, 0));
    assert!(samples(&mut fleet, "incidents_opened_total").contains("} 2\n"), "what was opened stays counted");
    // and it begins anew
    fleet.observe(&opened(3));
    assert!(samples(&mut fleet, "incidents_active").ends_with("} 1\n"));
}

/// Prometheus goes on asking for as long as a node is configured there; an alert has to end.
#[test]
fn who_was_taken_out_of_service_is_given_up_after_a_day() {
    let mut node = counted([mempool(0), beat(0, Source::Rpc)]);
    (0..17_279).for_each(|_| node.tick());
    assert!(life(&mut node, "rpc")[1].is_some());
    node.tick();
    assert_eq!((life(&mut node, "rpc"), samples(&mut node, "source_last").as_str()), ([None; 2], ""));
    // one source of a node that lives, which had said that it has no node
    let mut source = counted([beat(0, Source::Log), at(0, Source::Log, HealthDetached::default())]);
    (0..2880).for_each(|half_minute| source.observe(&beat(half_minute * 30, Source::Rpc)));
    assert_eq!(life(&mut source, "log"), [Some(0.0), Some(START as f64)]);
    (0..40).for_each(|second| source.observe(&beat(86_400 + second, Source::Rpc)));
    assert_eq!((life(&mut source, "log"), life(&mut source, "rpc")[1]), ([None; 2], Some((START + 86_439) as f64)));
}

#[test]
fn a_late_event_of_the_life_before_takes_nothing_away() {
    let restarted = |second: u64| Event { node_run: Some(START + 50), ..mempool(second) };
    let mut fleet = counted([mempool(0), restarted(60), at(60, Source::Ebpf, ping(3)), restarted(61)]);
    assert_eq!(value(&mut fleet, POOL), Some(17.0));
    assert_eq!(value(&mut fleet, "node_restarts_total{node=\"alice\"}"), Some(1.0));
    // a start that is reckoned from an uptime wobbles
    let mut fleet = counted([0, 1, 0, 1].map(|off| Event { node_run: Some(START - 100 + off), ..mempool(1) }));
    assert_eq!(value(&mut fleet, "node_restarts_total{node=\"alice\"}"), Some(0.0));
}

/// An hour forth, an hour back: nobody is declared dead for it, and nothing is negative or endless.
#[test]
fn clocks_that_jump() {
    let closed = |second: u64| {
        at(
            second,
            Source::Ebpf,
            event::ConnClosed {
                established: Some(START + 100),
                connection_type: ConnectionType::Inbound.into(),
                ..Default::default()
            },
        )
    };
    let mut events = vec![mempool(0)];
    for second in (0..60).chain(3600..3660).chain(60..120) {
        events.extend([beat(second, Source::Rpc), beat(second, Source::Ebpf), at(second, Source::Ebpf, ping(1))]);
    }
    events.push(closed(50));
    let mut fleet = counted(events);
    assert_eq!(value(&mut fleet, POOL), Some(17.0));
    assert_eq!(value(&mut fleet, "connection_lifetime_seconds_sum{node=\"alice\",connection_type=\"inbound\"}"), Some(0.0));
    assert!(value(&mut fleet, "ping_interval_seconds_sum{node=\"alice\"}").is_some_and(|sum| (0.0..4000.0).contains(&sum)));
}

#[test]
fn what_peers_sent_does_not_shrink_when_they_leave() {
    let peers = |second, list: &[(u64, u64, u64)]| {
        let peer = |(id, processed, limited): &(u64, u64, u64)| PeerInfo {
            id: *id,
            addr_processed: Some(*processed),
            addr_rate_limited: Some(*limited),
            ..Default::default()
        };
        at(second, Source::Rpc, StatePeers { peers: list.iter().map(peer).collect() })
    };
    let mut fleet = counted([
        peers(0, &[(1, 1000, 50)]),
        peers(5, &[(1, 1010, 51), (2, 7, 0)]),
        peers(10, &[(2, 9, 3)]),
        // a count that goes back is not believed
        peers(15, &[(2, 0, 0)]),
    ]);
    check(
        &mut fleet,
        "peer_addresses_total",
        expect![[r#"
        peerobserver_peer_addresses_total{node="alice",fate="processed"} 19
        peerobserver_peer_addresses_total{node="alice",fate="rate_limited"} 4
    "#]],
    );
}

#[test]
fn the_largest_systems_are_shown_by_number() {
    let peer = |id: u64, system: u32| PeerInfo { id, mapped_as: Some(system), network: Network::Ipv4.into(), ..Default::default() };
    let mut peers: Vec<PeerInfo> = (0..30).map(|number| peer(number, 100 + number as u32)).collect();
    peers.extend((30..35).map(|number| peer(number, 64_500)));
    let mut fleet = counted([at(0, Source::Rpc, StatePeers { peers })]);
    let shown = samples(&mut fleet, "peers_by_autonomous_system");
    assert_eq!(shown.lines().count(), 21);
    assert!(shown.contains("asn=\"64500\"} 5\n") && shown.contains("asn=\"other\"} 11\n"), "{shown}");
    assert_eq!(value(&mut fleet, "peers_autonomous_systems{node=\"alice\"}"), Some(31.0));
}

/// "Large" depends on what the node's version sends at a time.
#[test]
fn a_large_inv_is_large_for_its_version() {
    const BACKLOG: &str = "inv_backlog_proven{node=\"alice\"}";
    let inv = |second: u64, entries: usize| {
        let item = event::Inventory { r#type: event::InventoryType::Wtx.into(), ..Default::default() };
        at(
            second,
            Source::Ebpf,
            event::NetInv { direction: Direction::Outbound.into(), items: vec![item; entries], ..Default::default() },
        )
    };
    let version = |version| at(0, Source::Rpc, event::StateNetwork { version: Some(version), ..Default::default() });
    for (release, entries, large, backlog) in [
        (310_000, 70, 0.0, Some(0.0)),
        (310_000, 100, 1.0, Some(6000.0)),
        (310_000, 370, 1.0, Some(60_000.0)),
        (280_100, 36, 1.0, None),
        (280_100, 35, 0.0, None),
    ] {
        let mut fleet = counted([version(release), inv(1, entries)]);
        assert_eq!(value(&mut fleet, "inv_large_total{node=\"alice\"}"), Some(large), "{release} {entries}");
        assert_eq!(value(&mut fleet, BACKLOG), backlog, "{release} {entries}");
    }
    // one queue backs up, a hundred do not, and Prometheus looks every 15 seconds
    let mut fleet = counted([version(310_000), inv(1, 370)]);
    (1..=16).for_each(|second| fleet.observe(&inv(second, 5)));
    assert_eq!(value(&mut fleet, BACKLOG), Some(60_000.0));
    fleet.observe(&inv(17, 80));
    assert_eq!(value(&mut fleet, BACKLOG), Some(2000.0));
}

#[test]
fn peers_on_a_list_are_counted_apart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spies.txt");
    std::fs::write(&file, "203.0.113.0/24").unwrap();
    let mut fleet = Fleet::new(Lists::read(&[file]).unwrap());
    fleet.observe(&at(0, Source::Ebpf, ping(1)));
    fleet.observe(&at(0, Source::Ebpf, NetPing { address: "198.51.100.1:8333".into(), ..ping(2) }));
    check(
        &mut fleet,
        "list_messages_total",
        expect![[r#"
        peerobserver_list_messages_total{node="alice",list="spies",message="ping",direction="inbound"} 1
    "#]],
    );
}

#[test]
fn nodes_are_compared_with_the_first() {
    let block = |node: &str, millis: u64| Event {
        node: node.into(),
        time: START * 1_000_000_000 + millis * 1_000_000,
        ..at(0, Source::Ebpf, event::ChainBlockConnected { hash: vec![7; 32].into(), ..Default::default() })
    };
    let mut fleet =
        counted([block("alice", 0), Event { node: detect::FLEET.into(), ..beat(0, Source::Detect) }, block("alice", 5)]);
    let compared = value(&mut fleet, "block_connected_after_first_node_seconds_count{node=\"alice\"}");
    assert_eq!(compared.unwrap_or_default(), 0.0, "what is said of all nodes is no node");
    let mut fleet = counted([Event { node: "bob".into(), ..at(0, Source::Ebpf, ping(1)) }, block("alice", 0), block("bob", 300)]);
    assert_eq!(value(&mut fleet, "block_connected_after_first_node_seconds_sum{node=\"alice\"}"), Some(0.0));
    assert_eq!(value(&mut fleet, "block_connected_after_first_node_seconds_sum{node=\"bob\"}"), Some(0.3));
}

/// Two sources see one opening; the one that is primary counts, and its gauge goes with it whatever the other says.
#[test]
fn a_fact_with_two_witnesses_is_counted_once() {
    let opened = |second, source| {
        let opened = event::ConnOpened { count: Some(3), connection_type: ConnectionType::Inbound.into(), ..Default::default() };
        at(second, source, opened)
    };
    let mut fleet = counted([
        at(0, Source::Ebpf, HealthAttached::default()),
        at(0, Source::Log, HealthAttached::default()),
        opened(1, Source::Ebpf),
        opened(1, Source::Log),
        at(2, Source::Ebpf, HealthDetached::default()),
    ]);
    assert_eq!(samples(&mut fleet, "connections_opened_total").lines().count(), 1);
    let series = "{node=\"alice\",connection_type=\"inbound\",network=\"unspecified\"}";
    assert_eq!(value(&mut fleet, &format!("connections_opened_total{series}")), Some(1.0));
    assert_eq!(value(&mut fleet, "metrics_secondary_events_total"), Some(1.0));
    assert_eq!(value(&mut fleet, "connections{node=\"alice\",direction=\"inbound\"}"), None);
    fleet.observe(&opened(3, Source::Log));
    assert_eq!(value(&mut fleet, &format!("connections_opened_total{series}")), Some(2.0), "now the log is the witness");
}

#[test]
fn what_the_log_parser_says_in_totals_is_counted_as_it_grows() {
    let parser = |second, run, matched, unmatched| {
        let net = event::CategoryTotal { category: "net".into(), lines: matched + unmatched, matched, unmatched };
        let invented = event::CategoryTotal { category: format!("x{second}"), lines: 1, matched: 0, unmatched: 1 };
        let parser = event::HealthParser { categories: vec![net, invented], ..Default::default() };
        Event { run, ..at(second, Source::Log, parser) }
    };
    let run = |second: u64| (START + second) * 1_000_000_000;
    let mut fleet = counted([parser(0, run(0), 10, 2), parser(1, run(0), 15, 2), parser(2, run(2), 3, 1)]);
    check(
        &mut fleet,
        "log_lines_total",
        expect![[r#"
        peerobserver_log_lines_total{node="alice",category="net",matched="yes"} 18
        peerobserver_log_lines_total{node="alice",category="net",matched="no"} 3
        peerobserver_log_lines_total{node="alice",category="other",matched="no"} 2
    "#]],
    );
    // an hour of lines was read before one listened
    let late = run(0) - 3600 * 1_000_000_000;
    let mut fleet = counted([parser(0, late, 40_000_000, 2), parser(60, late, 40_000_100, 2)]);
    check(
        &mut fleet,
        "log_lines_total{node=\"alice\",category=\"net\"",
        expect![[r#"
        peerobserver_log_lines_total{node="alice",category="net",matched="yes"} 100
    "#]],
    );
}

#[test]
fn what_was_joined_before_one_listened_is_not_counted() {
    let joined = |second, joined| {
        let total = event::JoinTotal { kind: "conn.ended".into(), joined, ..Default::default() };
        Event { run: (START - 3600) * 1_000_000_000, ..at(second, Source::Join, event::HealthJoined { totals: vec![total] }) }
    };
    let count = "joined_total{node=\"alice\",kind=\"conn.ended\",outcome=\"joined\"}";
    let mut fleet = counted([joined(0, 5_000_000), joined(10, 5_000_007)]);
    assert_eq!(value(&mut fleet, count), Some(7.0));
    // whoever heard it begin counts all of it
    let begin = Event { run: (START - 3600) * 1_000_000_000, ..beat(0, Source::Join) };
    let begin = Event { time: begin.run + 1, ..begin };
    let mut fleet = counted([begin, joined(0, 5)]);
    assert_eq!(value(&mut fleet, count), Some(5.0));
}

/// Zeros say that nothing happened; without a source that would know, nothing is known.
#[test]
fn where_no_log_is_read_nothing_is_said_of_it() {
    let mut fleet = counted([at(0, Source::Ebpf, ping(1)), at(0, Source::Rpc, StateUptime { seconds: 5 })]);
    for metric in ["log_gaps", "log_new", "log_silent", "log_file", "rpc_refused"] {
        assert_eq!(samples(&mut fleet, metric), "", "{metric}");
    }
    fleet.observe(&beat(1, Source::Log));
    assert_eq!(value(&mut fleet, "log_silent_patterns_total{node=\"alice\"}"), Some(0.0));
    assert!(samples(&mut fleet, "rpc_refused").lines().count() > 1);
}

#[test]
fn a_compact_block_is_matched_between_its_two_steps() {
    let step = |millis: u64, step: event::CompactStep, hash: u8| Event {
        time: START * 1_000_000_000 + millis * 1_000_000,
        ..at(0, Source::Log, event::ChainCompactBlock { hash: vec![hash; 32].into(), step: step.into(), size: 1 })
    };
    use event::CompactStep::{Matched, Started};
    let mut fleet =
        counted([step(0, Started, 1), step(5, Matched, 2), step(6, Started, 3), step(16, Matched, 3), step(20, Matched, 3)]);
    assert_eq!(value(&mut fleet, "compact_block_matching_seconds_sum{node=\"alice\"}"), Some(0.01));
    assert_eq!(value(&mut fleet, "compact_block_matching_seconds_count{node=\"alice\"}"), Some(1.0));
}

fn finding(detector: &str, id: u64, severity: Severity) -> Finding {
    Finding { detector: detector.into(), id: format!("{id:016x}"), severity: severity.into(), ..Default::default() }
}

fn opened(second: u64, finding: Finding) -> Event {
    at(second, Source::Detect, FindingOpened { finding: Some(finding) })
}

#[test]
fn findings_count_while_they_last() {
    let queue = |severity| finding("D39", 1, severity);
    let flood = |id| finding("D01", id, Severity::Info);
    let mut fleet = counted([
        opened(0, queue(Severity::Warn)),
        opened(1, flood(2)),
        opened(2, flood(3)),
        at(3, Source::Detect, FindingUpdated { finding: Some(queue(Severity::Critical)) }),
        at(4, Source::Detect, FindingExpired { finding: Some(flood(3)) }),
    ]);
    check(
        &mut fleet,
        "findings_active",
        expect![[r#"
            peerobserver_findings_active{node="alice",detector="D01",severity="info"} 1
            peerobserver_findings_active{node="alice",detector="D39",severity="critical"} 1
        "#]],
    );
    fleet.observe(&at(5, Source::Detect, FindingCleared { finding: Some(queue(Severity::Critical)) }));
    check(
        &mut fleet,
        "findings",
        expect![[r#"
            peerobserver_findings_active{node="alice",detector="D01",severity="info"} 1
            peerobserver_findings_opened_total{node="alice",detector="D01",severity="info"} 2
            peerobserver_findings_opened_total{node="alice",detector="D39",severity="warn"} 1
        "#]],
    );
    // another life of the node does not end them, the end of the detectors does
    fleet.observe(&Event { node_run: Some(99), ..at(6, Source::Rpc, event::StateUptime { seconds: 1 }) });
    check(
        &mut fleet,
        "findings_active",
        expect![[r#"
        peerobserver_findings_active{node="alice",detector="D01",severity="info"} 1
    "#]],
    );
    fleet.observe(&at(7, Source::Detect, HealthDetached::default()));
    check(&mut fleet, "findings_active", expect![[""]]);
}

/// Detectors that are killed say of nothing that it is over. Those that come after them may know nothing of it.
#[test]
fn findings_of_detectors_that_were_killed_end() {
    let by = |run, event: Event| Event { run, ..event };
    let count = "findings_active{node=\"alice\",detector=\"D39\",severity=\"critical\"}";
    let of = |id| finding("D39", id, Severity::Critical);
    let mut fleet = counted([by(1, opened(0, of(1))), by(1, opened(0, of(2))), by(2, beat(10, Source::Detect))]);
    assert_eq!(value(&mut fleet, count), Some(2.0), "the new ones have not looked yet");
    let again = at(1800, Source::Detect, FindingUpdated { finding: Some(of(2)) });
    fleet.observe(&by(2, again));
    (1..=362).for_each(|round| fleet.observe(&by(2, beat(10 * round, Source::Detect))));
    assert_eq!(value(&mut fleet, count), Some(1.0), "of one nobody spoke in an hour");
    fleet.observe(&by(2, at(4000, Source::Detect, FindingCleared { finding: Some(of(2)) })));
    assert_eq!(value(&mut fleet, count), None);
}

/// Whoever may write to the bus can name any number of detectors and findings.
#[test]
fn a_hundred_thousand_findings_are_a_few_series() {
    let mut fleet = Fleet::new(Lists::default());
    for number in 0..100_000 {
        fleet.observe(&opened(number, finding(&format!("D{number}"), number, Severity::Info)));
        fleet.observe(&opened(number, finding("\"} 1\n", number + 1_000_000, Severity::Info)));
    }
    let active = samples(&mut fleet, "findings_active");
    assert_eq!(active.lines().count(), 61, "60 of the catalogue, and the others");
    let sum: f64 = active.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum();
    assert_eq!(sum, 4096.0);
    assert_eq!(value(&mut fleet, "metrics_findings_not_followed_total"), Some(200_000.0 - 4096.0));
}

#[test]
fn uptime_is_what_the_node_says() {
    let mut fleet = counted([at(0, Source::Rpc, StateUptime { seconds: 5 })]);
    assert_eq!(value(&mut fleet, "node_uptime_seconds{node=\"alice\"}"), Some(5.0));
    assert_eq!(value(&mut fleet, "node_start_time_seconds{node=\"alice\"}"), Some((START - 100) as f64));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Whatever events hold, there is a page, every line of it is a sample, and no counter of ours went back.
    #[test]
    fn no_event_breaks_the_page(events in proptest::collection::vec(any::<u64>().prop_map(testkit::events::arbitrary), 0..200)) {
        let mut fleet = counted(events.into_iter().map(|event| Event { node: "alice".into(), ..event }));
        let page = page(&mut fleet);
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let (_, value) = line.rsplit_once(' ').expect("a sample has a value");
            proptest::prop_assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}

/// A second count of a recording, made as plainly as can be: without tables, places, or anything that the first one uses.
fn plainly(events: impl Iterator<Item = Event>) -> BTreeMap<String, f64> {
    let mut counts: BTreeMap<String, f64> = BTreeMap::new();
    let mut add = |name: &str, labels: String, count: f64| *counts.entry(format!("{name}{{{labels}}}")).or_default() += count;
    for event in events {
        let Some(kind) = event.kind.clone() else { continue };
        let id = kind.id();
        let node = format!("node=\"{}\"", event.node);
        add("events_total", format!("{node},source=\"{}\",kind=\"{}\"", event.source().word(), id.name()), 1.0);
        if let Some(net) = kind.net() {
            let message = match &kind {
                Kind::NetUndecodable(m) => match KindId::from_name(&format!("net.{}", m.message_type)) {
                    Some(id) if id != KindId::NetUndecodable => id.short_name().to_owned(),
                    _ => "other".to_owned(),
                },
                _ => id.short_name().to_owned(),
            };
            let (direction, connection) = (net.direction.word(), net.connection_type.word());
            let labels = format!("{node},message=\"{message}\",direction=\"{direction}\",connection_type=\"{connection}\"");
            add("messages_total", labels.clone(), 1.0);
            add("message_bytes_total", labels, f64::from(net.size));
        }
        let mut inventory = |message: &str, direction: Direction, items: &[event::Inventory]| {
            for item in items {
                let of = item.r#type().word();
                add(
                    "inventory_entries_total",
                    format!("{node},message=\"{message}\",type=\"{of}\",direction=\"{}\"", direction.word()),
                    1.0,
                );
            }
        };
        match &kind {
            Kind::NetInv(m) => inventory("inv", m.direction(), &m.items),
            Kind::NetGetdata(m) => inventory("getdata", m.direction(), &m.items),
            Kind::NetNotfound(m) => inventory("notfound", m.direction(), &m.items),
            Kind::NetAddrv2(event::NetAddrv2 { addresses, direction, .. })
            | Kind::NetAddr(event::NetAddr { addresses, direction, .. }) => {
                let direction = Direction::try_from(*direction).unwrap().word();
                for address in addresses {
                    add(
                        "gossip_addresses_total",
                        format!("{node},network=\"{}\",direction=\"{direction}\"", address.network().word()),
                        1.0,
                    );
                }
            }
            Kind::ConnOpened(m) => {
                let (of, network) = (m.connection_type().word(), m.network().word());
                add("connections_opened_total", format!("{node},connection_type=\"{of}\",network=\"{network}\""), 1.0);
            }
            Kind::ConnClosed(m) => {
                let (of, network) = (m.connection_type().word(), m.network().word());
                add("connections_closed_total", format!("{node},connection_type=\"{of}\",network=\"{network}\""), 1.0);
            }
            Kind::MempoolAdded(m) => {
                add("mempool_added_total", node.clone(), 1.0);
                add("mempool_added_vbytes_total", node, m.vsize.unwrap_or_default() as f64);
            }
            Kind::MempoolRemoved(m) => add("mempool_removed_total", format!("{node},reason=\"{}\"", m.reason().word()), 1.0),
            Kind::ChainBlockConnected(m) => {
                add("blocks_connected_total", node.clone(), 1.0);
                add("block_transactions_total", node, m.transactions.unwrap_or_default() as f64);
            }
            _ => {}
        }
    }
    counts
}

#[track_caller]
fn same_counts(path: &Path) -> usize {
    let plain = plainly(recorded(path));
    let names: std::collections::BTreeSet<&str> = plain.keys().filter_map(|series| series.split('{').next()).collect();
    let mut fleet = counted(recorded(path));
    let page = page(&mut fleet);
    let mut shown = BTreeMap::new();
    for line in page.lines().filter_map(|line| line.strip_prefix("peerobserver_")) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        if series.split('{').next().is_some_and(|name| names.contains(name)) && value > 0.0 {
            shown.insert(series.to_owned(), value);
        }
    }
    let plain: BTreeMap<String, f64> = plain.into_iter().filter(|(_, count)| *count > 0.0).collect();
    assert_eq!(shown, plain);
    plain.len()
}

#[test]
fn counts_equal_an_independent_count() {
    assert!(same_counts(&fixture("demo.rec")) > 100);
}

/// The same over an hour: `./x record-hour` makes it.
#[test]
fn counts_over_the_recorded_hour_equal_an_independent_count() {
    let hour = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recordings/hour.rec");
    let hour = std::env::var_os("PEER_OBSERVER_HOUR").map_or(hour, PathBuf::from);
    if !hour.exists() {
        testkit::skipped("no recordings/hour.rec (./x record-hour makes it)");
        return;
    }
    assert!(same_counts(&hour) > 100);
}

mod endpoint;
