use super::*;
use bus::{Bus, Limits};
use event::{ConnectionType, Inventory, InventoryType, Kind, KindId, NetInv, NetPing, Network, Source};
use expect_test::{Expect, expect};

/// 2025-07-01T10:31:07.123456Z
const TIME: u64 = 1_751_365_867_123_456_789;

fn event(kind: impl Into<Kind>) -> Event {
    Event { time: TIME, ..Event::new("alice", Source::Ebpf, kind) }
}

fn inv() -> NetInv {
    let item = |kind: InventoryType| Inventory { r#type: kind.into(), ..Default::default() };
    NetInv {
        peer: 12,
        direction: Direction::Outbound.into(),
        address: "1.2.3.4:8333".into(),
        connection_type: ConnectionType::OutboundFullRelay.into(),
        network: Network::Ipv4.into(),
        size: 109,
        items: vec![item(InventoryType::Wtx), item(InventoryType::Wtx), item(InventoryType::Block)],
        ..Default::default()
    }
}

#[track_caller]
fn check(kind: impl Into<Kind>, expect: Expect) {
    expect.assert_eq(&Line(&event(kind), Colour::Off).to_string());
}

#[test]
fn a_message_shows_way_peer_and_content() {
    check(inv(), expect!["10:31:07.123456 alice --> 12 inv items=3 (2 wtx, 1 block) · 109 B · 1.2.3.4:8333 outbound_full_relay"]);
    let ping = NetPing { peer: 3, direction: Direction::Inbound.into(), size: 8, nonce: Some(7), ..Default::default() };
    check(ping, expect!["10:31:07.123456 alice <-- 3 ping nonce=7 · 8 B"]);
}

#[test]
fn a_fact_begins_with_its_family() {
    let opened = event::ConnOpened {
        peer: 3,
        address: "127.0.0.1:4000".into(),
        connection_type: ConnectionType::Inbound.into(),
        network: Network::NotPubliclyRoutable.into(),
        count: Some(2),
    };
    check(
        opened,
        expect![
            "10:31:07.123456 alice # CONN opened peer=3 address=127.0.0.1:4000 connection_type=inbound network=not_publicly_routable count=2"
        ],
    );
}

#[test]
fn what_a_peer_chose_cannot_break_the_line_or_the_terminal() {
    let version = event::NetVersion { user_agent: "/x\n\u{1b}[31m\u{202e}/".into(), ..Default::default() };
    let line = Line(&event(version), Colour::Off).to_string();
    assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
}

/// Every kind has a line, and the seven common fields are said once.
#[test]
fn every_kind_has_a_line_of_its_own() {
    for event in testkit::events::samples() {
        let line = Line(&event, Colour::Off).to_string();
        assert!(line.contains(event.id().unwrap().short_name()), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }
}

#[test]
fn colours_do_not_change_the_text() {
    for event in testkit::events::samples() {
        let plain = Line(&event, Colour::Off).to_string();
        let coloured = Line(&event, Colour::On).to_string();
        assert_eq!(strip(&coloured), plain);
        assert!(coloured.len() > plain.len());
    }
}

fn strip(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            rest.by_ref().find(|c| *c == 'm');
        } else {
            out.push(c);
        }
    }
    out
}

fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config =
        Config { format: Format::Text, color: ColourChoice::Never, kinds: vec![], direction: None, peer: vec![], address: vec![] };
    change(&mut config);
    config
}

/// What is printed for these events.
async fn printed(config: Config, events: Vec<Event>) -> String {
    let bus = Bus::local();
    let subscription = bus.subscribe(config.filter().unwrap(), Limits::default()).await.unwrap();
    for event in events {
        bus.forward(event).await;
    }
    bus.close().await;
    let mut output = Vec::new();
    run(config, subscription, &mut output, false).await.unwrap();
    String::from_utf8(output).unwrap()
}

fn mixed() -> Vec<Event> {
    let ping = |peer, direction: Direction| NetPing { peer, direction: direction.into(), ..Default::default() };
    vec![
        event(ping(1, Direction::Inbound)),
        event(ping(2, Direction::Outbound)),
        event(inv()),
        event(event::HealthBeat::default()),
        event(event::MempoolAdded::default()),
    ]
}

#[tokio::test]
async fn filters_select() {
    // the first of a recording has its date said
    let lines = |config| async { printed(config, mixed()).await.lines().filter(|line| !line.starts_with("===")).count() };
    assert_eq!(lines(config(|_| ())).await, 4, "the beat is not printed unless asked for");
    assert_eq!(lines(config(|c| c.kinds = vec!["health.beat".into(), "net.inv".into()])).await, 2);
    assert_eq!(lines(config(|c| c.direction = Some(Way(Direction::Outbound)))).await, 2);
    assert_eq!(lines(config(|c| c.peer = vec![1, 12])).await, 2);
    assert_eq!(lines(config(|c| c.address = vec!["1.2.".into()])).await, 1);
}

#[tokio::test]
async fn the_date_stands_where_it_changes() {
    let ping = |time| Event { time, ..event(NetPing { peer: 1, ..Default::default() }) };
    let day = 86_400_000_000_000;
    let text = printed(config(|_| ()), vec![ping(TIME), ping(TIME + 1000), ping(TIME + day)]).await;
    expect![[r#"
        === 2025-07-01 UTC ===
        10:31:07.123456 alice --- 1 ping · 0 B
        10:31:07.123457 alice --- 1 ping · 0 B
        === 2025-07-02 UTC ===
        10:31:07.123456 alice --- 1 ping · 0 B
    "#]]
    .assert_eq(&text);
    let json = printed(config(|c| c.format = Format::Json), vec![ping(TIME), ping(TIME + day)]).await;
    assert_eq!(json.lines().filter(|line| line.starts_with('{')).count(), json.lines().count());
}

#[tokio::test]
async fn json_is_an_object_per_line() {
    let text = printed(config(|c| c.format = Format::Json), mixed()).await;
    let kinds: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["net.ping", "net.ping", "net.inv", "mempool.added"]);
}

#[test]
fn what_was_missed_is_an_event_too() {
    let event = missed(17);
    assert_eq!(event.id(), Some(KindId::HealthLost));
    expect!["--:--:--.------ # HEALTH lost stage=subscription count=17"].assert_eq(&Line(&event, Colour::Off).to_string());
}

#[tokio::test]
async fn a_reader_that_went_away_ends_it_without_an_error() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let bus = Bus::local();
    let config = config(|_| ());
    let subscription = bus.subscribe(config.filter().unwrap(), Limits::default()).await.unwrap();
    bus.forward(event(inv())).await;
    run(config, subscription, Closed, false).await.unwrap();
}

#[test]
fn an_incident_says_what_it_is() {
    let finding = event::Finding { detector: "D01".into(), name: "addr_flood".into(), ..Default::default() };
    let mut incident = event::Incident {
        number: 1,
        family: "gossip".into(),
        findings: 1,
        lasting: 1,
        places: vec![event::IncidentPlace { node: "alice".into(), findings: 1 }],
        finding: Some(finding),
        ..Default::default()
    };
    incident.set_state(event::IncidentState::Open);
    incident.set_severity(event::Severity::Critical);
    let opened = event::IncidentOpened { incident: Some(incident.clone()) };
    check(
        opened,
        expect!["10:31:07.123456 alice # INCIDENT opened 1: critical, open, addr_flood (D01) at alice (1 finding, it lasts)"],
    );
    incident.set_state(event::IncidentState::Acknowledged);
    incident.owner = "ann".into();
    let acknowledged = event::IncidentAcknowledged { incident: Some(incident), by: "ann".into() };
    check(
        acknowledged,
        expect![
            "10:31:07.123456 alice # INCIDENT acknowledged 1 by ann: critical, acknowledged, addr_flood (D01) at alice (1 finding, it lasts, ann looks at it)"
        ],
    );
}
