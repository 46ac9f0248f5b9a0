use super::*;
use ::event::*;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_750_000_000 * SECOND;

/// A state, and events into it.
#[derive(Default)]
struct World(State);

impl World {
    fn say(&mut self, second: u64, source: Source, kind: impl Into<Kind>) -> bool {
        let event = Event { time: START + second * SECOND, node_run: Some(1), run: 1, ..Event::new("alice", source, kind) };
        self.0.observe(&Arc::new(event))
    }

    fn see(&mut self, second: u64, kind: impl Into<Kind>) {
        self.say(second, Source::Ebpf, kind);
    }

    fn peers(&self) -> Vec<(String, String)> {
        let peers = self.0.peers(&Choice::default()).unwrap();
        let row = |row: &Value| (text(&row["id"]), text(&row["connectionType"]));
        peers["peers"].as_array().unwrap().iter().map(row).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn opened(peer: u64) -> ConnOpened {
    ConnOpened { peer, address: "203.0.113.7:8333".into(), connection_type: ConnectionType::Inbound.into(), ..Default::default() }
}

fn inv(peer: u64, hashes: &[u8]) -> NetInv {
    let item = |byte: &u8| Inventory { r#type: InventoryType::Wtx.into(), hash: vec![*byte; 32].into(), ..Default::default() };
    NetInv { peer, direction: Direction::Inbound.into(), items: hashes.iter().map(item).collect(), size: 37, ..Default::default() }
}

fn hash(byte: u8) -> String {
    format!("{byte:02x}").repeat(32)
}

#[test]
fn peers_come_and_go_with_their_reason() {
    let mut world = World::default();
    world.see(0, opened(7));
    world.see(1, NetPing { peer: 8, direction: Direction::Outbound.into(), ..Default::default() });
    assert_eq!(world.peers(), [("7".into(), "inbound".into()), ("8".into(), "unspecified".into())]);
    world.see(2, ConnEvicted { peer: 7, ..Default::default() });
    world.see(2, ConnClosed { peer: 7, ..Default::default() });
    let ended = ConnEnded { peer: 7, reason: EndReason::Evicted.into(), ..Default::default() };
    world.say(3, Source::Join, ended);
    assert_eq!(world.peers().len(), 1);
    let gone = world.0.peer(&Choice::default(), 7).unwrap();
    assert_eq!((text(&gone["end"]), &gone["evicted"]), ("evicted".into(), &Value::Bool(true)));
    assert_eq!(gone["timeline"].as_array().unwrap().len(), 4);
    assert_eq!(world.0.peer(&Choice::default(), 9), Err(Unknown::Peer));
    let nobody = Choice { node: Some("bob".into()), ..Choice::default() };
    assert_eq!(world.0.peers(&nobody), Err(Unknown::Node));
}

/// The log saw it, too: the probes count.
#[test]
fn a_fact_with_two_witnesses_is_shown_once() {
    let mut world = World::default();
    assert!(world.say(0, Source::Ebpf, HealthBeat::default()));
    assert!(world.say(0, Source::Log, HealthBeat::default()));
    assert!(world.say(1, Source::Ebpf, ConnMisbehaving { peer: 7, ..Default::default() }));
    assert!(!world.say(1, Source::Log, ConnMisbehaving { peer: 7, ..Default::default() }));
    assert_eq!(world.0.peer(&Choice::default(), 7).unwrap()["misbehaved"], 1);
}

#[test]
fn the_nodes_own_list_says_who_is_there() {
    let mut world = World::default();
    (1..=3).for_each(|peer| world.see(0, opened(peer)));
    world.see(10, opened(4));
    let info = |id| PeerInfo { id, ping: Some(5), connection_type: ConnectionType::Manual.into(), ..Default::default() };
    world.say(11, Source::Rpc, StatePeers { peers: vec![info(2), info(9)] });
    let ids: Vec<String> = world.peers().into_iter().map(|(id, _)| id).collect();
    // the fourth came while the node was asked
    assert_eq!(ids, ["2", "4", "9"]);
    assert_eq!(world.peers()[2].1, "manual");
}

/// The node was slow to answer: its list is of the moment before somebody came.
#[test]
fn who_is_on_a_later_list_never_left() {
    let mut world = World::default();
    let list = |ids: &[u64]| StatePeers { peers: ids.iter().map(|id| PeerInfo { id: *id, ..Default::default() }).collect() };
    (1..=2).for_each(|peer| world.see(0, opened(peer)));
    world.say(3, Source::Rpc, list(&[]));
    assert!(world.peers().is_empty());
    world.see(4, ConnClosed { peer: 2, ..Default::default() });
    world.say(13, Source::Rpc, list(&[1]));
    assert_eq!(world.peers(), [("1".into(), "inbound".into())]);
    assert_eq!(world.0.peer(&Choice::default(), 1).unwrap()["closed"], Value::Null);
    world.see(14, ConnClosed { peer: 1, ..Default::default() });
    // of before it left
    world.say(14, Source::Rpc, list(&[1, 2]));
    let ids: Vec<String> = world.peers().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [""; 0]);
}

#[test]
fn another_life_of_the_node_has_other_peers() {
    let mut world = World::default();
    world.see(0, opened(7));
    let event = Event { time: START + SECOND, node_run: Some(2), run: 2, ..Event::new("alice", Source::Ebpf, opened(1)) };
    world.0.observe(&Arc::new(event));
    assert_eq!(world.peers(), [("1".into(), "inbound".into())]);
}

/// Ids begin anew: what peers did before is not held against those who have their ids now.
#[test]
fn peers_of_another_life_are_not_blamed() {
    let mut world = World::default();
    world.see(0, inv(7, &[0xaa, 0xbb]));
    for (second, byte) in [(1, 0xaa), (100, 0xbb)] {
        let items = inv(0, &[byte]).items;
        world.see(second, NetGetdata { peer: 7, direction: Direction::Outbound.into(), items, ..Default::default() });
    }
    let addresses = vec![NetworkAddress::default()];
    world.see(101, NetAddr { peer: 7, direction: Direction::Inbound.into(), addresses, ..Default::default() });
    let row = |world: &World| world.0.peers(&Choice::default()).unwrap()["peers"][0].clone();
    assert_eq!(text(&row(&world)["withheld"]), "1", "the first, and the second is waited for");
    // longer than a request is waited for
    for second in [110, 200] {
        let event =
            Event { time: START + second * SECOND, node_run: Some(2), run: 2, ..Event::new("alice", Source::Ebpf, opened(7)) };
        world.0.observe(&Arc::new(event));
    }
    let now = row(&world);
    assert_eq!((text(&now["id"]), &now["withheld"]), ("7".into(), &Value::Null));
    let shown = world.0.transactions(&Choice::default()).unwrap();
    assert_eq!(shown["announcers"], Value::Array(vec![]));
    assert_eq!(
        (&shown["transactions"][0]["firstAnnouncer"], &shown["transactions"][0]["requestedFrom"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(world.0.addresses(&Choice::default()).unwrap()["peers"], Value::Array(vec![]));
}

#[test]
fn who_announced_first_and_who_withholds() {
    let mut world = World::default();
    world.see(0, inv(1, &[0xaa, 0xbb]));
    world.see(1, inv(2, &[0xaa, 0xcc]));
    let ask =
        |peer, byte| NetGetdata { peer, direction: Direction::Outbound.into(), items: inv(0, &[byte]).items, ..Default::default() };
    world.see(2, ask(1, 0xaa));
    world.see(2, ask(1, 0xbb));
    let tx = NetTx {
        peer: 1,
        direction: Direction::Inbound.into(),
        wtxid: vec![0xaa; 32].into(),
        txid: vec![0xdd; 32].into(),
        weight: 401,
        ..Default::default()
    };
    world.see(3, tx);
    world.see(
        3,
        MempoolAdded { txid: vec![0xdd; 32].into(), wtxid: Some(vec![0xaa; 32].into()), fee: Some(500), ..Default::default() },
    );
    world.see(70, NetPing::default());
    let shown = world.0.transactions(&Choice::default()).unwrap();
    let row = |id: &str| shown["announcers"].as_array().unwrap().iter().find(|row| row["peer"] == id).unwrap().clone();
    let counts = |row: Value| ["announced", "first", "requested", "delivered", "withheld"].map(|key| text(&row[key]));
    assert_eq!(counts(row("1")), ["2", "2", "2", "1", "1"]);
    assert_eq!(counts(row("2")), ["2", "1", "0", "0", "0"]);
    let states: Vec<(String, String)> =
        shown["transactions"].as_array().unwrap().iter().map(|row| (text(&row["wtxid"]), text(&row["state"]))).collect();
    let expect = [(hash(0xcc), "announced"), (hash(0xbb), "withheld"), (hash(0xaa), "in_mempool")];
    assert_eq!(states, expect.map(|(hash, state)| (hash, state.to_owned())));
    let delivered = &shown["transactions"][2];
    assert_eq!(
        (text(&delivered["txid"]), text(&delivered["vsize"]), text(&delivered["fee"])),
        (hash(0xdd), "101".into(), "500".into())
    );
}

#[test]
fn a_block_from_its_announcement_to_the_tip() {
    let mut world = World::default();
    let header = BlockHeader { hash: vec![0xee; 32].into(), time: 1_749_999_990, ..Default::default() };
    let compact = |peer| NetCmpctblock {
        peer,
        direction: Direction::Inbound.into(),
        header: Some(header.clone()),
        short_ids: vec![1, 2, 3],
        size: 300,
        ..Default::default()
    };
    world.see(0, compact(4));
    world.see(1, compact(5));
    let asked = NetGetblocktxn {
        peer: 4,
        direction: Direction::Outbound.into(),
        block: header.hash.clone(),
        indexes: vec![2],
        ..Default::default()
    };
    world.see(1, asked);
    world.see(2, NetBlocktxn { peer: 4, direction: Direction::Inbound.into(), block: header.hash.clone(), ..Default::default() });
    world.see(
        3,
        ChainBlockConnected {
            hash: header.hash.clone(),
            height: 9,
            transactions: Some(4),
            duration: Some(77),
            ..Default::default()
        },
    );
    let shown = &world.0.blocks(&Choice::default()).unwrap()["blocks"][0];
    let number = |value: &Value| text(value).parse::<u64>().unwrap();
    assert_eq!((text(&shown["hash"]), &shown["height"], &shown["announcers"]), (hash(0xee), &9.into(), &2.into()));
    assert_eq!((text(&shown["firstPeer"]), text(&shown["firstHow"])), ("4".into(), "cmpctblock".into()));
    assert_eq!((text(&shown["receivedHow"]), number(&shown["received"])), ("blocktxn".into(), START + 2 * SECOND));
    assert_eq!((text(&shown["compact"]["requested"]), text(&shown["compact"]["shortIds"])), ("1".into(), "3".into()));
    assert_eq!((text(&shown["connectNanos"]), number(&shown["connected"])), ("77".into(), START + 3 * SECOND));
    let nodes = world.0.nodes(&Choice::default()).unwrap();
    assert_eq!((&nodes["nodes"][0]["height"], text(&nodes["nodes"][0]["tip"])), (&9.into(), hash(0xee)));
}

/// In the order of debug.log: half of a block's parts come before anybody names it, and another source knows of the next before the last.
#[test]
fn parts_are_of_the_block_that_the_log_names_among_them() {
    let mut world = World::default();
    let part = |part: BlockPart, duration| ChainTiming { part: part.into(), duration, ..Default::default() };
    let block = |height: u8| -> Bytes { vec![height; 32].into() };
    // a template for a miner is checked, and not connected
    world.say(0, Source::Log, part(BlockPart::SanityChecks, 9));
    for height in [1, 2] {
        let second = u64::from(height);
        world.say(second, Source::Log, part(BlockPart::Load, second));
        world.say(second, Source::Log, part(BlockPart::SanityChecks, 10 * second));
        world.see(second, ChainBlockConnected { hash: block(height), height: height.into(), ..Default::default() });
        world.say(second, Source::Log, ChainTip { hash: block(height), height: height.into(), ..Default::default() });
        world.see(second, ChainBlockConnected { hash: block(height + 1), height: (height + 1).into(), ..Default::default() });
        world.say(second, Source::Log, part(BlockPart::Total, 100 * second));
    }
    world.say(3, Source::Log, part(BlockPart::Disconnect, 7));
    let shown = world.0.blocks(&Choice::default()).unwrap();
    let timing = |height: u8| {
        let rows = shown["blocks"].as_array().unwrap();
        let row = rows.iter().find(|row| row["hash"] == hash(height)).unwrap();
        row["timing"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| format!("{} {}", text(&part["part"]), text(&part["nanos"])))
            .collect::<Vec<_>>()
    };
    assert_eq!(timing(1), ["load 1", "sanity_checks 10", "total 100"]);
    assert_eq!(timing(2), ["load 2", "sanity_checks 20", "total 200"]);
    assert_eq!(timing(3), [""; 0]);
}

#[test]
fn a_ping_is_answered_by_its_nonce() {
    let mut world = World::default();
    for (second, nonce) in [(0, 5), (10, 6), (20, 7)] {
        world.see(second, NetPing { peer: 1, direction: Direction::Outbound.into(), nonce: Some(nonce), ..Default::default() });
    }
    let pong = |nonce| NetPong { peer: 1, direction: Direction::Inbound.into(), nonce, ..Default::default() };
    world.see(12, pong(6));
    world.see(13, pong(999));
    let row = world.0.pings(&Choice::default()).unwrap()["peers"][0].clone();
    assert_eq!(["sent", "answered", "last"].map(|key| text(&row[key])), ["3", "1", "2000000000"]);
    assert_eq!(text(&row["waitingSince"]), (START + 20 * SECOND).to_string());
}

#[test]
fn what_an_operator_wants_to_hear_of_is_told() {
    let mut world = World::default();
    world.see(0, ConnEvicted { peer: 7, ..Default::default() });
    world.see(1, opened(8));
    let finding = Finding { id: "a".into(), summary: "peer 15 sends pings much faster".into(), ..Default::default() };
    world.say(2, Source::Detect, FindingOpened { finding: Some(finding) });
    let summary = world.0.summary(&Choice::default()).unwrap();
    let notes: Vec<_> =
        summary["notes"].as_array().unwrap().iter().map(|note| (text(&note["kind"]), text(&note["text"]))).collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert_eq!(notes[0], ("finding.opened".into(), "peer 15 sends pings much faster".into()));
    assert_eq!(notes[1].0, "conn.evicted");
}

#[test]
fn a_chart_ends_with_the_last_second_that_is_over() {
    let mut world = World::default();
    for second in [7, 8, 8, 9] {
        world.see(second, NetPing { direction: Direction::Inbound.into(), ..Default::default() });
    }
    let series = &world.0.summary(&Choice::default()).unwrap()["series"];
    let values = series["columns"]["messagesIn"].as_array().unwrap();
    assert_eq!((values.len() as u64, &values[598..]), (series::LENGTH, &[1.into(), 2.into()][..]));
    assert_eq!(text(&series["start"]), (START - 591 * SECOND).to_string());
}

fn rate(world: &World) -> f64 {
    world.0.nodes(&Choice::default()).unwrap()["nodes"][0]["messagesPerSecond"].as_f64().unwrap()
}

const DAY: u64 = 24 * 3600;

#[test]
fn one_event_of_tomorrow_stops_nothing() {
    let mut world = World::default();
    (0..60).for_each(|second| world.see(second, NetPing::default()));
    world.see(DAY, NetPing::default());
    (60..=120).for_each(|second| world.see(second, NetPing::default()));
    assert_eq!((world.0.time(), rate(&world)), (START + 120 * SECOND, 1.0));
    // but a recording may have a gap
    (0..=60).for_each(|second| world.see(2 * DAY + second, NetPing::default()));
    assert_eq!(world.0.time(), START + (2 * DAY + 60) * SECOND);
    assert_eq!(rate(&world), 59.0 / 60.0, "all but the first, which could not be believed yet");
}

#[test]
fn a_clock_that_was_set_back_stops_nothing() {
    let mut world = World::default();
    for second in (3600..3610).chain(0..=61) {
        world.see(second, HealthBeat::default());
        // what another source said before comes after the first beat of now
        for _ in 0..if second == 0 { 3 } else { 0 } {
            world.say(3610, Source::Log, ChainTiming::default());
        }
        world.see(second, NetPing::default());
    }
    assert_eq!((world.0.time(), rate(&world)), (START + 61 * SECOND, 1.0));
    let beat = &world.0.health(&Choice::default()).unwrap()["sources"][0]["beat"];
    assert_eq!(text(beat), (START + 61 * SECOND).to_string());
}

#[test]
fn losses_are_told_hop_by_hop() {
    let mut world = World::default();
    let beat = HealthBeat { fired: Some(1000), lost: Some(40), lag: 9, ..Default::default() };
    world.see(0, beat);
    world.see(1, HealthLost { stage: LossStage::Kernel.into(), probe: "net:inbound_message".into(), count: 40 });
    world.0.missed(3);
    let health = world.0.health(&Choice::default()).unwrap();
    assert_eq!((text(&health["hops"][0]["seen"]), text(&health["hops"][0]["lost"])), ("960".into(), "40".into()));
    assert_eq!((text(&health["hops"][2]["lost"]), text(&health["missed"])), ("3".into(), "3".into()));
    assert_eq!(
        (text(&health["lost"][0]["probe"]), text(&health["sources"][0]["lost"])),
        ("net:inbound_message".into(), "40".into())
    );
    let strangers = Choice { public: true, says: vec![("alice".into(), "here".into())], ..Choice::default() };
    assert_eq!(world.0.health(&strangers).unwrap()["sources"], Value::Array(vec![]));
    let nodes = world.0.nodes(&strangers).unwrap();
    assert_eq!(nodes["nodes"], serde_json::json!([{ "node": "alice", "says": "here" }]));
}

#[test]
fn nodes_beyond_those_that_are_kept_are_counted() {
    let mut world = World::default();
    for node in 0..2 * NODES {
        let event = Event { time: START, ..Event::new(format!("n{node}"), Source::Ebpf, NetPing::default()) };
        world.0.observe(&Arc::new(event));
    }
    assert_eq!((world.0.nodes.len(), world.0.strays), (NODES, NODES as u64));
}

/// Everything that there is to see, as one text.
fn everything(state: &State) -> String {
    let choice = Choice::default();
    let all = [
        state.nodes(&choice),
        state.peers(&choice),
        state.summary(&choice),
        state.transactions(&choice),
        state.addresses(&choice),
        state.blocks(&choice),
        state.pings(&choice),
        state.findings(&choice),
        state.incidents(&choice),
        state.health(&choice),
    ];
    let mut text: String = all.into_iter().map(|answer| answer.unwrap().to_string()).collect();
    for known in state.incidents.iter() {
        text.push_str(&state.incident(known.incident.number, None).unwrap().to_string());
    }
    for node in state.nodes.values() {
        for id in node.peers.keys() {
            text.push_str(&state.peer(&choice, *id).map_or(String::new(), |answer| answer.to_string()));
        }
    }
    text
}

#[test]
fn before_the_first_event_there_is_nothing_to_see_and_nothing_wrong() {
    assert!(everything(&State::default()).contains("\"nodes\":[]"));
}

/// What a peer sends without end: memory has an end.
#[test]
fn memory_is_bounded() {
    let mut world = World::default();
    for number in 0..12_000_u64 {
        let hash: Bytes = [number.to_be_bytes(); 4].concat().into();
        let item = Inventory { r#type: InventoryType::Wtx.into(), hash: hash.clone(), ..Default::default() };
        world.see(
            number / 100,
            NetInv { peer: number % 9000, direction: Direction::Inbound.into(), items: vec![item], ..Default::default() },
        );
        if number % 10 == 0 {
            let header = BlockHeader { hash, ..Default::default() };
            world.see(
                number / 100,
                NetHeaders { headers: vec![header], direction: Direction::Inbound.into(), ..Default::default() },
            );
            world.see(number / 100, MempoolRejected { txid: vec![1; 32].into(), reason: number.to_string(), ..Default::default() });
        }
    }
    let node = &world.0.nodes["alice"];
    assert_eq!((node.peers.len(), node.transactions.known.len(), node.transactions.peers.len()), (PEERS, 5000, PEERS));
    assert_eq!((node.blocks.recent(usize::MAX).count(), node.transactions.rejections.len()), (144, 64));
    assert!(node.forgotten > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Events of every kind with any values, in any order and of any time.
    #[test]
    fn no_events_make_it_panic(seeds in proptest::collection::vec((any::<u64>(), any::<u64>(), 0..3_u64, any::<bool>()), 1..60)) {
        let mut state = State::default();
        for (seed, time, run, near) in seeds {
            let time = if near { START + time % (3600 * SECOND) } else { time };
            let event = Event { time, run, node_run: Some(run), node: "alice".into(), ..testkit::events::arbitrary(seed) };
            state.observe(&Arc::new(event));
        }
        prop_assert!(!everything(&state).is_empty());
    }
}

fn incident(number: u64, revision: u64) -> Incident {
    let places = vec![IncidentPlace { node: "alice".into(), findings: 1 }];
    let finding = Finding { detector: "D39".into(), name: "inv_queue".into(), summary: "long".into(), ..Default::default() };
    let mut incident = Incident { number, revision, book: "b".into(), places, finding: Some(finding), ..Default::default() };
    incident.changed = START + revision;
    incident.set_severity(Severity::Warn);
    incident.set_state(IncidentState::Open);
    incident
}

/// Numbers of the list, the first first.
fn listed(world: &World) -> Vec<String> {
    let list = world.0.incidents(&Choice::default()).unwrap();
    list["incidents"].as_array().unwrap().iter().map(|row| text(&row["number"])).collect()
}

/// What happened to one, by the words for it.
fn happened(world: &World, number: u64) -> Vec<String> {
    let shown = world.0.incident(number, None).unwrap();
    shown["timeline"].as_array().unwrap().iter().map(|entry| text(&entry["what"])).collect()
}

#[test]
fn an_incident_is_what_was_said_of_it_last() {
    let mut world = World::default();
    world.say(0, Source::Tool, IncidentOpened { incident: Some(incident(7, 1)) });
    world.say(1, Source::Tool, IncidentNoted { incident: Some(incident(7, 2)), by: "ann".into(), text: "seen".into() });
    let mut over = incident(7, 4);
    over.set_state(IncidentState::Resolved);
    over.resolved = Some(START + 9);
    world.say(9, Source::Tool, IncidentResolved { incident: Some(over), by: "ben".into(), text: "ours".into() });
    // it was said before, and comes late: it happened, but it is not how things are
    let mut late = incident(7, 3);
    late.set_state(IncidentState::Acknowledged);
    world.say(5, Source::Tool, IncidentAcknowledged { incident: Some(late), by: "ann".into() });
    let kept = IncidentKept { incident: Some(incident(7, 4)), file: "000007-0.poa".into(), events: 3, ..Default::default() };
    world.say(10, Source::Tool, kept);
    let shown = world.0.incident(7, None).unwrap();
    assert_eq!(
        (text(&shown["state"]), text(&shown["revision"]), &shown["whole"]),
        ("resolved".into(), "4".into(), &Value::Bool(true))
    );
    let words = ["opened", "a note was added", "resolved", "somebody looks at it", "evidence was kept"];
    assert_eq!(happened(&world, 7), words);
    assert_eq!((text(&shown["timeline"][1]["by"]), text(&shown["timeline"][1]["text"])), ("ann".into(), "seen".into()));
    assert_eq!((text(&shown["evidence"][0]["file"]), text(&shown["resolved"])), ("000007-0.poa".into(), (START + 9).to_string()));
    let headings: Vec<String> =
        shown["paragraphs"].as_array().unwrap().iter().map(|paragraph| text(&paragraph["heading"])).collect();
    assert_eq!(headings, ["What", "Where", "Since", "How sure", "What it does not prove"]);
    assert_eq!(world.0.incident(8, None).unwrap_err(), super::Unknown::Incident);
    assert_eq!(world.0.incident(7, Some("another")).unwrap_err(), super::Unknown::Incident);
}

/// A book that goes on says at its start what lasts; a page that heard it before shows nothing new.
#[test]
fn what_is_said_again_did_not_happen_again() {
    let mut world = World::default();
    let again = |number, revision, findings| {
        let incident = Incident { findings, ..incident(number, revision) };
        IncidentChanged { incident: Some(incident), ..Default::default() }
    };
    world.say(0, Source::Tool, IncidentOpened { incident: Some(Incident { findings: 1, ..incident(1, 1) }) });
    world.say(1, Source::Tool, again(1, 1, 1));
    assert_eq!(happened(&world, 1), ["opened"]);
    // nor is each one more an entry; how it is now is shown
    world.say(2, Source::Tool, again(1, 9, 9));
    let shown = world.0.incident(1, None).unwrap();
    assert_eq!((happened(&world, 1), text(&shown["revision"])), (vec!["opened".to_owned()], "9".into()));
    world.say(3, Source::Tool, again(1, 10, 10));
    assert_eq!(happened(&world, 1), ["opened", "many more findings"]);
    // one that is met in the middle of its life
    world.say(4, Source::Tool, again(2, 19, 1));
    let shown = world.0.incident(2, None).unwrap();
    assert_eq!((happened(&world, 2).len(), &shown["whole"]), (0, &Value::Bool(false)));
    assert_eq!(listed(&world), ["2", "1"]);
}

#[test]
fn incidents_are_bounded_and_what_lasts_stays_longest() {
    let mut world = World::default();
    for number in 1..=300 {
        let mut incident = incident(number, 1);
        if number > 200 {
            incident.set_state(IncidentState::Resolved);
        }
        world.say(number, Source::Tool, IncidentOpened { incident: Some(incident) });
    }
    let numbers = listed(&world);
    assert_eq!((numbers.len(), numbers[0].as_str(), numbers[255].as_str()), (256, "200", "245"));
    let note = |revision: u64| IncidentNoted { incident: Some(incident(1, revision)), by: "ann".into(), text: "é".repeat(8_000) };
    for revision in 2..102 {
        world.say(revision, Source::Tool, note(revision));
    }
    let shown = world.0.incident(1, None).unwrap();
    let timeline = shown["timeline"].as_array().unwrap();
    assert_eq!((timeline.len(), text(&shown["left"])), (64, "37".into()));
    assert_eq!((text(&timeline[0]["text"]).len(), &timeline[0]["cut"]), (2048, &Value::Bool(true)));
}

/// Whoever looks at one node is told what is about all of them, and not what is about another.
#[test]
fn a_finding_about_the_fleet_is_about_each_node() {
    let mut state = State::default();
    let found = |node: &str, id: &str| {
        let finding = Finding { id: id.into(), ..Finding::default() };
        Arc::new(Event { time: START, ..Event::new(node, Source::Detect, FindingOpened { finding: Some(finding) }) })
    };
    state.observe(&found("alice", "a"));
    state.observe(&found("bob", "b"));
    state.observe_fleet(&found(detect::FLEET, "f"));
    for (node, expect) in
        [(Some("alice"), vec!["_fleet", "alice"]), (Some("bob"), vec!["_fleet", "bob"]), (None, vec!["_fleet", "alice", "bob"])]
    {
        let choice = Choice { node: node.map(Into::into), ..Choice::default() };
        let findings = state.findings(&choice).unwrap();
        let mut nodes: Vec<String> =
            findings["findings"].as_array().unwrap().iter().map(|finding| text(&finding["node"])).collect();
        nodes.sort_unstable();
        assert_eq!(nodes, expect);
        // without a node the summary is the first one's, and counts all
        assert_eq!(state.summary(&choice).unwrap()["findings"]["active"], expect.len());
    }
}

/// Strangers know no node by its name, and the fleet's is withheld like any: what is about it is told by more than that.
#[test]
fn strangers_are_told_what_is_about_the_fleet() {
    let mut state = State::default();
    let mut redactor = ::event::redact::Redactor::new([7; 32]);
    for (node, fleet) in [("alice", false), ("bob", false), (detect::FLEET, true)] {
        let finding = Finding { id: "1".repeat(16), ..Finding::default() };
        let event = Event { time: START, ..Event::new(node, Source::Detect, FindingOpened { finding: Some(finding) }) };
        let event = Arc::new(redactor.redact(event).unwrap());
        assert_ne!(event.node, node);
        let _primary = if fleet { state.observe_fleet(&event) } else { state.observe(&event) };
    }
    let nodes = state.nodes(&Choice::default()).unwrap();
    for row in nodes["nodes"].as_array().unwrap() {
        let choice = Choice { node: Some(text(&row["node"])), ..Choice::default() };
        let findings = state.findings(&choice).unwrap();
        let of_fleet = |finding: &Value| (finding["fleet"].as_bool().unwrap(), finding["node"] == row["node"]);
        let mut shown: Vec<_> = findings["findings"].as_array().unwrap().iter().map(of_fleet).collect();
        shown.sort_unstable();
        assert_eq!(shown, [(false, true), (true, false)]);
    }
    assert_eq!(nodes["nodes"].as_array().unwrap().len(), 2);
}

/// While a recording is read again from before, nobody is told that his node does not exist.
#[test]
fn a_node_that_comes_later_is_empty_and_not_unknown() {
    let mut world = World::default();
    world.see(0, HealthBeat::default());
    let [alice, bob] = ["alice", "bob"].map(|node| Choice { node: Some(node.into()), ..Choice::default() });
    for _ in 0..2 {
        world.0 = world.0.moved_back();
        assert_eq!(world.0.peers(&alice).unwrap()["peers"], serde_json::json!([]));
        assert_eq!(world.0.nodes(&alice).unwrap()["nodes"], serde_json::json!([]));
        assert_eq!(world.0.peers(&bob).unwrap_err(), Unknown::Node);
    }
}

/// A detector that spoke once need not look any more.
#[test]
fn who_looks_for_attacks_is_told_by_beats() {
    let mut world = World::default();
    let detecting = |world: &World| world.0.nodes(&Choice::default()).unwrap()["nodes"][0]["detecting"].clone();
    world.see(0, HealthBeat::default());
    assert_eq!(detecting(&world), Value::Bool(false));
    world.say(1, Source::Detect, HealthBeat::default());
    for second in 2..=15 {
        world.see(second, HealthBeat::default());
        assert_eq!(detecting(&world), Value::Bool(true), "{second}");
    }
    world.see(16, HealthBeat::default());
    assert_eq!(detecting(&world), Value::Bool(false));
    world.say(17, Source::Detect, HealthBeat::default());
    assert_eq!(detecting(&world), Value::Bool(true));
}

/// What is of all nodes makes none.
#[test]
fn the_fleet_is_no_node() {
    let mut state = State::default();
    let event = Event { time: START, ..Event::new(detect::FLEET, Source::Tool, IncidentOpened { incident: Some(incident(1, 1)) }) };
    state.observe_fleet(&Arc::new(event));
    assert_eq!(state.nodes(&Choice::default()).unwrap()["nodes"].as_array().unwrap().len(), 0);
    let one = Choice { node: Some("alice".into()), ..Choice::default() };
    assert_eq!(state.incidents(&one).unwrap_err(), super::Unknown::Node);
    assert_eq!((state.incidents(&Choice::default()).unwrap()["incidents"][0]["number"].clone(), state.time()), ("1".into(), START));
}
