use super::peers::Column;
use super::*;
use std::path::{Path, PathBuf};

use event::{
    ChainBlockConnected, ConnClosed, ConnMisbehaving, ConnOpened, ConnectionType, Direction, EntityKind, Event, Finding,
    FindingCleared, FindingEntity, FindingOpened, HealthBeat, HealthDetached, HealthLost, Kind, LossStage, NetPing, NetVersion,
    Network, PeerInfo, ProbePing, ProbeUnanswered, Severity, Source, StateMempool, StatePeers,
};
use expect_test::{Expect, expect, expect_file};
use extract::recording::Recording;
use proptest::prelude::{Strategy as _, any, prop};
use ratatui_core::backend::TestBackend;
use ratatui_core::layout::Rect;

const NOW: u64 = 1_750_000_000;
const RUN: u64 = NOW - 12_000;

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)
}

fn at(second: u64, source: Source, kind: impl Into<Kind>) -> Event {
    Event { time: second * 1_000_000_000, node_run: Some(RUN), run: 1, ..Event::new("alice", source, kind) }
}

fn shown(events: impl IntoIterator<Item = Event>) -> Top {
    let mut top = Top::default();
    events.into_iter().for_each(|event| top.take(&Delivery::Event(event.into())));
    top
}

/// The screen as text, without blanks at the ends of lines.
fn screen(top: &mut Top, width: u16, height: u16) -> String {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    top.draw(&mut buffer);
    let line = |row: &[ratatui_core::buffer::Cell]| row.iter().map(ratatui_core::buffer::Cell::symbol).collect::<String>();
    buffer.content().chunks(width.max(1).into()).map(|row| line(row).trim_end().to_owned() + "\n").collect()
}

/// The lines of an 80 by 24 screen that have this in them, behind a bar: their blanks count.
#[track_caller]
fn check(top: &mut Top, with: &str, expect: Expect) {
    let screen = screen(top, 80, 24);
    expect.assert_eq(&screen.lines().filter(|line| line.contains(with)).map(|line| format!("|{line}\n")).collect::<String>());
}

fn press(top: &mut Top, keys: impl IntoIterator<Item = Key>) -> Vec<Go> {
    keys.into_iter().map(|key| top.press(key)).collect()
}

fn demo() -> Top {
    let mut top = shown(Recording::open(&path("fixtures/demo.rec")).unwrap().map(|event| Event { replay: true, ..event.unwrap() }));
    top.stream.ended = true;
    top
}

/// Puts a screen into the manual.
fn renewed(manual: &str, size: &str, screen: &str) -> String {
    let begin = format!("<!-- {size} -->\n```text\n");
    let (before, rest) = manual.split_once(&begin).unwrap();
    let (_, after) = rest.split_once("```").unwrap();
    format!("{before}{begin}{screen}```{after}")
}

#[test]
fn the_manual_shows_the_bundled_recording() {
    let file = path("docs/top.md");
    let mut top = demo();
    let manual = std::fs::read_to_string(&file).unwrap();
    let manual = renewed(&manual, "80x24", &screen(&mut top, 80, 24));
    let manual = renewed(&manual, "160x50", &screen(&mut top, 160, 50));
    expect_file![file].assert_eq(&manual);
}

#[test]
fn a_terminal_that_is_too_small_is_told() {
    let mut top = demo();
    let expected = "80 by 24 characters are needed\nthere are 79 by 24; q ends\n";
    assert!(screen(&mut top, 79, 24).starts_with(expected));
    assert!(screen(&mut top, 80, 23).contains("there are 80 by 23"));
    for (width, height) in [(0, 0), (1, 1), (3, 500)] {
        screen(&mut top, width, height);
    }
}

fn ping(peer: u64, direction: Direction) -> NetPing {
    NetPing {
        peer,
        direction: direction.into(),
        address: format!("203.0.113.{peer}:8333"),
        connection_type: if peer < 10 { ConnectionType::Inbound } else { ConnectionType::OutboundFullRelay }.into(),
        network: Network::Ipv4.into(),
        size: 8,
        ..Default::default()
    }
}

fn beat(second: u64, source: Source) -> Event {
    at(second, source, HealthBeat { lag: 120_000, ..Default::default() })
}

/// Ten seconds: each peer pings as often a second as its number says.
fn pings(peers: &[u64]) -> Vec<Event> {
    let mut events = vec![];
    for second in NOW..NOW + 10 {
        for peer in peers {
            events.extend((0..*peer).map(|_| at(second, Source::Ebpf, ping(*peer, Direction::Inbound))));
        }
    }
    events.push(beat(NOW + 10, Source::Ebpf));
    events
}

/// The column of ids, from the top.
fn ids(top: &mut Top) -> Vec<String> {
    let screen = screen(top, 80, 24);
    let rows = screen.lines().skip_while(|line| !line.trim_start().starts_with("peer type")).skip(1);
    rows.map_while(|row| row.split_whitespace().next().filter(|id| id.parse::<u64>().is_ok()).map(str::to_owned)).collect()
}

#[test]
fn peers_are_sorted_by_any_column() {
    let mut top = shown(pings(&[1, 3, 2, 12]));
    check(
        &mut top,
        "203.0.113",
        expect![[r#"
            |     12 full   203.0.113.12:8333         12    96 B     0 B      –      –      –
            |      3 in     203.0.113.3:8333           3    24 B     0 B      –      –      –
            |      2 in     203.0.113.2:8333           2    16 B     0 B      –      –      –
            |      1 in     203.0.113.1:8333           1     8 B     0 B      –      –      –
        "#]],
    );
    assert_eq!(ids(&mut top), ["12", "3", "2", "1"]);
    press(&mut top, [Key::Char('r')]);
    assert_eq!(ids(&mut top), ["1", "2", "3", "12"]);
    press(&mut top, [Key::Char('d')]);
    assert_eq!(ids(&mut top), ["1", "2", "3"]);
    press(&mut top, [Key::Char('d')]);
    assert_eq!(ids(&mut top), ["12"]);
    press(&mut top, [Key::Char('d'), Key::Left]);
    check(
        &mut top,
        "peers ·",
        expect![[r#"
            | 4 peers · 3 in, 1 out · by address
        "#]],
    );
    assert_eq!(ids(&mut top), ["12", "1", "2", "3"], "by address, as words: `2` is before `:`");
    for _ in 0..Column::NARROW.len() {
        press(&mut top, [Key::Right]);
    }
    assert_eq!(top.view.order.by, Column::Address, "around the end");
}

#[test]
fn the_table_scrolls_as_far_as_there_is_something() {
    let peers: Vec<u64> = (100..140).collect();
    let mut top = shown(peers.iter().map(|peer| at(NOW, Source::Ebpf, ping(*peer, Direction::Inbound))));
    press(&mut top, [Key::Left, Key::Left, Key::Left]);
    assert_eq!(top.view.order.by, Column::Id);
    let page = ids(&mut top);
    assert_eq!(page[0], "139");
    press(&mut top, [Key::PageDown]);
    assert_eq!(ids(&mut top)[0], (139 - page.len()).to_string());
    press(&mut top, [Key::End]);
    assert_eq!(ids(&mut top).last().unwrap(), "100");
    check(
        &mut top,
        "peers ·",
        expect![[r#"
            | 40 peers · 0 in, 40 out · by peer · 31 to 40 of 40
        "#]],
    );
    press(&mut top, [Key::Down, Key::Up]);
    assert_eq!(ids(&mut top).len(), page.len());
    press(&mut top, [Key::Home, Key::Up]);
    assert_eq!(ids(&mut top), page);
}

#[test]
fn what_was_lost_is_shown_where_it_is_missing() {
    let mut events = pings(&[1]);
    events.push(at(NOW + 7, Source::Ebpf, HealthLost { stage: LossStage::Kernel.into(), probe: String::new(), count: 1234 }));
    let mut top = shown(events);
    check(
        &mut top,
        "lost",
        expect![[r#"
            | ebpf up  lag 120 µs  lost 1 234 kernel
            | cpu                –                    lost           123/s        ▁▁▁▁▁▁▁█▁▁
        "#]],
    );
    // the third bar from the right
    let mut buffer = Buffer::empty(Rect::new(0, 0, 80, 24));
    top.stream.colour = true;
    top.draw(&mut buffer);
    let red: Vec<u16> = (0..40).filter(|column| buffer[(*column, 2)].fg == ratatui_core::style::Color::Red).collect();
    assert_eq!(red, [36], "of the left half, whose last second is at 38");
    top.take(&Delivery::Missed(7));
    check(
        &mut top,
        "missed",
        expect![[r#"
            | this screen missed 7 events
        "#]],
    );
}

#[test]
fn a_source_that_falls_silent_takes_its_values_along() {
    let pool = StateMempool { size: Some(5), bytes: Some(700), ..Default::default() };
    let peers = StatePeers { peers: vec![PeerInfo { id: 1, inv_to_send: Some(44), ..Default::default() }] };
    let mut events = vec![
        beat(NOW, Source::Rpc),
        beat(NOW, Source::Ebpf),
        at(NOW, Source::Rpc, pool),
        at(NOW, Source::Rpc, peers),
        at(NOW, Source::P2p, ProbePing { round_trip_nanos: 1_500_000, outstanding: 0 }),
    ];
    events.extend((1..5).map(|second| beat(NOW + second, Source::Ebpf)));
    let mut top = shown(events);
    check(
        &mut top,
        "rpc",
        expect![[r#"
            | ebpf up rpc silent p2p up  lag 120 µs  lost nothing
        "#]],
    );
    check(
        &mut top,
        "backlog",
        expect![[r#"
            | inv queue         44              ████  backlog       1.5 ms              ████
        "#]],
    );
    check(
        &mut top,
        "mempool",
        expect![[r#"
            | mempool    5 tx · 700 vB
        "#]],
    );
    for second in 5..40 {
        top.take(&Delivery::Event(beat(NOW + second, Source::Ebpf).into()));
    }
    check(
        &mut top,
        "mempool",
        expect![[r#"
            | mempool    –
        "#]],
    );
    top.take(&Delivery::Event(at(NOW + 40, Source::P2p, ProbeUnanswered { waiting_nanos: 75_000_000_000, outstanding: 3 }).into()));
    check(
        &mut top,
        "backlog",
        expect![[r#"
            | inv queue          – ████████           backlog        >1m15 █████████████████
        "#]],
    );
}

fn finding(id: &str, severity: Severity, summary: &str) -> Finding {
    let entity = FindingEntity { kind: EntityKind::Peer.into(), peer: Some(12), ..Default::default() };
    Finding {
        detector: "D39".into(),
        name: "inv_queue".into(),
        id: id.into(),
        entity: Some(entity),
        severity: severity.into(),
        opened: NOW * 1_000_000_000,
        summary: summary.into(),
        ..Default::default()
    }
}

#[test]
fn findings_of_detectors_that_were_killed_end() {
    let open = FindingOpened { finding: Some(finding("1", Severity::Critical, "90000 transactions wait")) };
    let mut top = shown([beat(NOW, Source::Ebpf), at(NOW, Source::Detect, open)]);
    let mut after = |second: u64| {
        top.take(&Delivery::Event(Event { run: 2, ..beat(NOW + second, Source::Detect) }.into()));
        screen(&mut top, 80, 24).contains("90000 transactions wait")
    };
    assert!(after(1) && after(3600), "the new ones may not have looked yet");
    assert!(!after(3602));
}

#[test]
fn findings_are_shown_while_they_last() {
    let mut top = shown([beat(NOW, Source::Ebpf)]);
    check(
        &mut top,
        "findings",
        expect![[r#"
            | findings   –
        "#]],
    );
    top.take(&Delivery::Event(beat(NOW + 1, Source::Detect).into()));
    check(
        &mut top,
        "findings",
        expect![[r#"
            | findings   nothing
        "#]],
    );
    let one = finding("1", Severity::Warn, "9000 transactions wait");
    let two = finding("2", Severity::Critical, "90000 transactions wait\u{7}");
    let opened = |finding: &Finding| Kind::from(FindingOpened { finding: Some(finding.clone()) });
    let cleared = |finding: &Finding| Kind::from(FindingCleared { finding: Some(finding.clone()) });
    for kind in [opened(&one), opened(&two)] {
        top.take(&Delivery::Event(at(NOW + 75, Source::Detect, kind).into()));
    }
    check(
        &mut top,
        "findings",
        expect![[r#"
            | findings   2 · critical D39 inv_queue peer 12 1s: 90000 transactions wait·
        "#]],
    );
    top.take(&Delivery::Event(at(NOW + 76, Source::Detect, cleared(&two)).into()));
    check(
        &mut top,
        "findings",
        expect![[r#"
            | findings   1 · warn D39 inv_queue peer 12 1s: 9000 transactions wait
        "#]],
    );
    let fleet = Event { node: detect::FLEET.into(), ..at(NOW + 77, Source::Detect, opened(&two)) };
    top.take(&Delivery::Event(fleet.into()));
    check(
        &mut top,
        "findings",
        expect![[r#"
            | findings   2 · critical D39 inv_queue peer 12 1s: 90000 transactions wait·
        "#]],
    );
    assert_eq!(top.now.all().len(), 1, "the fleet is no node");
    top.take(&Delivery::Event(at(NOW + 78, Source::Detect, HealthDetached::default()).into()));
    top.now.findings.forget();
    check(
        &mut top,
        "findings",
        expect![[r#"
            | findings   –
        "#]],
    );
}

#[test]
fn another_life_of_the_node_has_other_peers() {
    let opened = |id| ConnOpened { peer: id, connection_type: ConnectionType::Inbound.into(), ..Default::default() };
    let mut top = shown([at(NOW, Source::Ebpf, opened(1)), at(NOW, Source::Ebpf, opened(2))]);
    assert_eq!(ids(&mut top).len(), 2);
    let next = |second, kind: Kind| Event { node_run: Some(NOW + 1), ..at(second, Source::Ebpf, kind) };
    top.take(&Delivery::Event(next(NOW + 2, opened(1).into()).into()));
    // what is left of the life before
    top.take(&Delivery::Event(at(NOW + 2, Source::Log, opened(7)).into()));
    assert_eq!(ids(&mut top), ["1"]);
    top.take(&Delivery::Event(next(NOW + 3, ConnClosed { peer: 1, ..Default::default() }.into()).into()));
    assert!(ids(&mut top).is_empty());
}

#[test]
fn clocks_that_jump_are_followed() {
    let mut top = shown([beat(NOW, Source::Ebpf), at(NOW + 1_000_000, Source::Log, ping(1, Direction::Inbound))]);
    assert_eq!(top.now.all()[0].second(), NOW, "a line of a log may have any time");
    for second in [NOW + 1_000_000, NOW, 1, u64::MAX / 1_000_000_000, NOW] {
        top.take(&Delivery::Event(beat(second, Source::Ebpf).into()));
        assert_eq!(top.now.all()[0].second(), second);
        screen(&mut top, 160, 50);
    }
    // sources of several machines may differ a little
    top.take(&Delivery::Event(beat(NOW - 7, Source::Rpc).into()));
    assert_eq!(top.now.all()[0].second(), NOW);
}

#[test]
fn text_of_strangers_stays_in_its_place() {
    let version = NetVersion {
        direction: Direction::Inbound.into(),
        user_agent: "\u{1b}[2J\u{202e}漢字漢字\r\n".into(),
        address: "a\tb\u{7}:1".into(),
        ..ping_version(3)
    };
    let reason = "headers\u{1b}]0;owned\u{7}".into();
    let mut top = shown([
        at(NOW, Source::Ebpf, version),
        at(NOW, Source::Ebpf, ConnMisbehaving { peer: 3, reason, ..Default::default() }),
        beat(NOW + 1, Source::Ebpf),
    ]);
    let screen = screen(&mut top, 160, 50);
    assert!(
        screen.chars().all(|letter| letter == '\n' || !letter.is_control() && !('\u{2e80}'..='\u{fff0}').contains(&letter)),
        "{screen}"
    );
    assert!(screen.contains("·[2J·····") && screen.contains("a·b·:1"), "{screen}");
}

fn ping_version(peer: u64) -> NetVersion {
    NetVersion { peer, connection_type: ConnectionType::Inbound.into(), ..Default::default() }
}

#[test]
fn several_nodes_are_a_line_each() {
    let of = |name: &str, event: Event| Event { node: name.into(), ..event };
    let block = ChainBlockConnected { hash: vec![0xab; 32].into(), height: 900_123, ..Default::default() };
    let mut events: Vec<Event> = pings(&[1, 2]).into_iter().map(|event| of("carol", event)).collect();
    events.push(of("alice", at(NOW, Source::Ebpf, block)));
    events.push(of("alice", beat(NOW + 61, Source::Ebpf)));
    events.push(of("bob", at(NOW, Source::Ebpf, HealthLost { count: 5, ..Default::default() })));
    events.push(of("no name", beat(NOW, Source::Ebpf)));
    let mut top = shown(events);
    assert_eq!(press(&mut top, [Key::Char('n'), Key::Down, Key::Down]), [Go::On; 3]);
    let screen_ = screen(&mut top, 80, 24);
    let lines: String = screen_.lines().filter(|line| !line.is_empty()).map(|line| format!("|{line}\n")).collect();
    expect![[r#"
        | 3 nodes                                                2025-06-15 15:06:50 UTC
        | node          version peers msg/s  tx/s queue backlog   cpu   block   ago  lost
        | alice         –           0     0     0     –       –     –  900123  1m01     0
        | bob           –           0     –     –     –       –     –       –     –     5
        | carol         –           2     3     0     –       –     –       –     –     0
        | 1 events of nodes that are not shown
    "#]]
    .assert_eq(&lines);
    press(&mut top, [Key::Enter]);
    check(
        &mut top,
        "carol",
        expect![[r#"
            | carol (3 of 3) · up 3h20                               2025-06-15 15:06:50 UTC
        "#]],
    );
    press(&mut top, [Key::Tab]);
    check(
        &mut top,
        "alice",
        expect![[r#"
            | alice (1 of 3) · up 3h21                               2025-06-15 15:07:41 UTC
        "#]],
    );
}

#[test]
fn a_held_screen_stands_still_and_misses_nothing() {
    let mut top = shown(pings(&[1]));
    press(&mut top, [Key::Char(' ')]);
    let before = screen(&mut top, 80, 24);
    assert!(before.contains("held"));
    for event in pings(&[2, 3]) {
        top.take(&Delivery::Event(event.into()));
    }
    assert_eq!(screen(&mut top, 80, 24), before);
    press(&mut top, [Key::Char('r')]);
    assert!(screen(&mut top, 80, 24).contains("reversed"), "what is held can be looked at");
    press(&mut top, [Key::Char(' ')]);
    assert_eq!(ids(&mut top).len(), 3);
}

#[test]
fn keys_lead_back_and_away() {
    let mut top = shown(pings(&[1]));
    let away = [Key::Char('q'), Key::Escape, Key::Interrupt].map(|key| top.press(key));
    assert_eq!(away, [Go::Away; 3]);
    assert_eq!(press(&mut top, [Key::Char('?')]), [Go::On]);
    assert!(screen(&mut top, 80, 24).contains("quit; Esc too"));
    assert_eq!(press(&mut top, [Key::Escape, Key::Char('n'), Key::Escape]), [Go::On; 3]);
    assert_eq!(top.view.page, view::Page::Node);
}

proptest::proptest! {
    #[test]
    fn nothing_breaks_the_screen(
        events in prop::collection::vec(any::<u64>().prop_map(testkit::events::arbitrary), 0..100),
        keys in prop::collection::vec(prop::sample::select(&KEYS[..]), 0..20),
        width in 0..200_u16,
        height in 0..60_u16,
    ) {
        let mut top = Top::default();
        for (at, event) in events.into_iter().enumerate() {
            top.take(&Delivery::Event(event.into()));
            if let Some(key) = keys.get(at) {
                top.press(*key);
                screen(&mut top, width, height);
            }
        }
        screen(&mut top, width, height);
        screen(&mut top, 160, 50);
    }
}

const KEYS: [Key; 18] = [
    Key::Char('n'),
    Key::Char('s'),
    Key::Char('r'),
    Key::Char('d'),
    Key::Char(' '),
    Key::Char('?'),
    Key::Up,
    Key::Down,
    Key::Left,
    Key::Right,
    Key::PageUp,
    Key::PageDown,
    Key::Home,
    Key::End,
    Key::Tab,
    Key::BackTab,
    Key::Enter,
    Key::Escape,
];

/// A bus, a terminal that is none, and a person.
struct World {
    bus: bus::Bus,
    person: mpsc::Sender<Input>,
    tool: tokio::task::JoinHandle<anyhow::Result<()>>,
    notices: tokio::sync::mpsc::UnboundedReceiver<()>,
}

impl World {
    async fn start(stop: impl Future<Output = ()> + Send + 'static) -> Self {
        let bus = bus::Bus::local();
        let events = bus.subscribe(wanted(), bus::Limits::default()).await.unwrap();
        let (person, input) = mpsc::channel(8);
        let (drawn, notices) = mpsc::unbounded_channel();
        let terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let notices_ = move || {
            let _ = drawn.send(());
            None
        };
        let desk = Desk { terminal, input, notices: notices_, colour: true };
        Self { bus, person, tool: tokio::spawn(run(desk, events, stop)), notices }
    }

    async fn ends(self) {
        self.tool.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_key_ends_it() {
    let world = World::start(std::future::pending()).await;
    world.person.send(Input::Anew).await.unwrap();
    world.person.send(Input::Key(Key::Char('q'))).await.unwrap();
    world.ends().await;
}

#[tokio::test]
async fn it_ends_with_its_terminal() {
    let World { bus, person, tool, mut notices } = World::start(std::future::pending()).await;
    notices.recv().await.unwrap();
    drop(person);
    tool.await.unwrap().unwrap();
    drop(bus);
}

#[tokio::test]
async fn the_end_of_a_recording_stays_on_the_screen() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let World { bus, person, tool, mut notices } = World::start(async { drop(stopped.await) }).await;
    bus.close().await;
    // drawn again after the end
    notices.recv().await.unwrap();
    notices.recv().await.unwrap();
    assert!(!tool.is_finished());
    drop(stop);
    tool.await.unwrap().unwrap();
    drop(person);
}
