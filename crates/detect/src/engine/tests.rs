use std::sync::Arc;

use event::{ConnOpened, Event, HealthAttached, HealthBeat, HealthDetached, HealthLost, Source};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;
use crate::stage::{BEGIN, Stage, line};
use crate::time::{HOUR, MINUTE};
use crate::{About, Case, Detector, Entity, Judgement, entry, evidence};

/// Fires for the node while more than three connections were opened within ten seconds.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Opens {
    times: Vec<u64>,
}

impl Detector for Opens {
    const ABOUT: About = About {
        id: "D0",
        name: "opens",
        version: 1,
        title: "for tests",
        family: crate::Family::Observer,
        scope: Scope::Node,
        kinds: &[KindId::ConnOpened],
        every: SECOND,
        needs: &[KindId::ConnOpened],
        window: MINUTE,
        guards: &[],
        fooled_by: &[],
        thresholds: &[],
        does_not_prove: "anything",
    };

    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>) {
        assert!(event.time <= context.now);
        assert!(self.times.last().is_none_or(|last| *last <= event.time), "events come in order");
        self.times.push(event.time);
        if self.times.len() > 3 {
            let fires = Judgement::Fires(event::Severity::Warn);
            let summary = format!("{} opened", self.times.len());
            let (from, evidence) = (self.times[0], vec![evidence(event)]);
            findings.judge(&Entity::Node, fires, || Case { summary, from, evidence, ..Case::default() });
        }
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        let before = context.since(10 * SECOND);
        self.times.retain(|time| *time >= before);
        let judgement = if self.times.len() > 3 { Judgement::Fires(event::Severity::Warn) } else { Judgement::Clear };
        findings.judge(&Entity::Node, judgement, Case::default);
    }

    fn restarted(&mut self, _: &str) {
        self.times.clear();
    }
}

const OPENS: &[Entry] = &[entry::<Opens>()];

fn stage() -> Stage {
    Stage::new(OPENS, &[])
}

fn burst(stage: &mut Stage, time: f64) {
    (0..4_u32).for_each(|n| stage.at(time + f64::from(n) / 10.0, ConnOpened { peer: n.into(), ..ConnOpened::default() }));
}

#[test]
fn a_finding_is_opened_reminded_of_and_cleared() {
    let mut stage = stage();
    burst(&mut stage, 1.0);
    stage.until(120.0);
    assert_eq!(stage.told(), "1 opened D0 warn node: 4 opened\n72 cleared D0 warn node: 4 opened\n");
    // again within half an hour
    burst(&mut stage, 130.0);
    assert!(stage.told().starts_with("130 opened D0 warn node again: "));
    // it goes on for an hour
    (27..800).for_each(|n| burst(&mut stage, f64::from(n) * 5.0));
    let times: Vec<String> = stage.told().lines().map(|line| line.split(" D0").next().unwrap().to_owned()).collect();
    assert_eq!(times, ["1930 updated", "3730 updated"]);
}

#[test]
fn missing_events_are_unknown_then_known_again() {
    let mut stage = stage();
    burst(&mut stage, 1.0);
    stage.at(5.0, HealthLost { count: 3, ..HealthLost::default() });
    stage.until(200.0);
    let told = stage.told();
    let times: Vec<&str> = told.lines().map(|line| line.split(':').next().unwrap()).collect();
    // the loss is a minute back only at 66; then the clear has to last for a minute
    assert_eq!(times, ["1 opened D0 warn node", "12 updated D0 warn node unknown", "126 cleared D0 warn node"]);
}

const SILENT: &[Entry] = &[entry::<Once>()];

/// Says something once.
#[derive(Default, Serialize, Deserialize)]
struct Once;

impl Detector for Once {
    const ABOUT: About = About { id: "D1", ..Opens::ABOUT };
    fn observe(&mut self, _: &Event, _: &Context<'_>, findings: &mut Findings<'_>) {
        findings.judge(&Entity::Asn(64_496), Judgement::Fires(event::Severity::Info), Case::default);
    }
    fn tick(&mut self, _: &Context<'_>, _: &mut Findings<'_>) {}
    fn restarted(&mut self, _: &str) {}
}

#[test]
fn a_silent_detector_s_finding_expires() {
    let mut stage = Stage::new(SILENT, &[("finding.silent", 100.0)]);
    stage.at(1.5, ConnOpened::default());
    stage.until(150.0);
    assert_eq!(stage.told(), "2 opened D1 info asn AS64496: \n102 expired D1 info asn AS64496: \n");
}

#[test]
fn what_most_nodes_have_is_one_finding_about_the_fleet() {
    let mut stage = stage();
    for (n, node) in ["alice", "bob", "carol", "dave"].into_iter().enumerate() {
        stage.node = node;
        burst(&mut stage, 1.0 + n as f64 / 2.0);
    }
    stage.until(3.0);
    let told = stage.told();
    let lines: Vec<&str> = told.lines().map(|line| line.split(':').next().unwrap()).collect();
    let expect = [
        "1 opened D0 warn node",
        "2 bob opened D0 warn node",
        "2 _fleet opened D0 warn fleet",
        "2 carol opened D0 warn node part",
        "3 dave opened D0 warn node part",
    ];
    assert_eq!(lines, expect);
}

#[test]
fn what_is_found_about_the_fleet_began_with_its_first_part() {
    let mut stage = stage();
    for (n, node) in ["alice", "bob", "carol"].into_iter().enumerate() {
        stage.node = node;
        burst(&mut stage, 1.0 + n as f64 * 20.0);
    }
    stage.engine.finish(&mut stage.said);
    let opened = |node: &str| stage.said.iter().find(|said| &*said.node == node).map(|said| said.kind.clone());
    let finding = |node: &str| crate::finding::of(&Event { kind: opened(node), ..Event::default() }).cloned().unwrap();
    let whole = finding(FLEET);
    assert_eq!((whole.window_from, whole.window_to), (finding("alice").window_from, finding("carol").opened));
    assert_eq!(whole.window_from, BEGIN + SECOND);
}

#[test]
fn nodes_that_were_taken_away_are_of_no_fleet() {
    let mut stage = stage();
    stage.fleet = &["alice", "bob", "carol", "dave", "erin", "frank"];
    stage.until(10.0);
    // three of them have other names now
    stage.fleet = &["alice", "bob", "carol"];
    stage.until(4000.0);
    burst(&mut stage, 4001.0);
    stage.node = "bob";
    burst(&mut stage, 4003.0);
    stage.until(4010.0);
    let told = stage.told();
    assert!(told.contains("_fleet opened D0 warn fleet: seen at 2 of 3 nodes"), "{told}");
}

/// The same as `Opens`, in another version.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Newer(Opens);

impl Detector for Newer {
    const ABOUT: About = About { version: 2, ..Opens::ABOUT };

    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.0.observe(event, context, findings);
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.0.tick(context, findings);
    }

    fn restarted(&mut self, node: &str) {
        self.0.restarted(node);
    }
}

#[test]
fn what_an_older_version_found_is_cleared_by_the_newer() {
    const NEWER: &[Entry] = &[entry::<Newer>()];
    let mut stage = stage();
    burst(&mut stage, 1.0);
    stage.until(10.0);
    assert_eq!(stage.told(), "1 opened D0 warn node: 4 opened\n");
    let (engine, anew) = Engine::restore_with(NEWER, &stage.engine.save(), Thresholds::default()).unwrap();
    assert_eq!(anew, ["D0"]);
    stage.engine = engine;
    stage.until(100.0);
    assert_eq!(stage.told(), "71 cleared D0 warn node: 4 opened\n");
}

/// Judges so many peers as one, and then one more, at each look.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Crowd(Option<(u64, i32)>);

impl Detector for Crowd {
    const ABOUT: About = About { id: "D3", name: "crowd", ..Opens::ABOUT };

    fn observe(&mut self, event: &Event, _: &Context<'_>, _: &mut Findings<'_>) {
        let Some(Kind::ConnOpened(opened)) = &event.kind else { return };
        self.0 = Some((opened.peer, opened.connection_type));
    }

    fn tick(&mut self, _: &Context<'_>, findings: &mut Findings<'_>) {
        let Some((crowd, last)) = self.0 else { return };
        let warn = Judgement::Fires(event::Severity::Warn);
        (0..crowd).for_each(|peer| findings.judge(&Entity::Peer(peer), warn, Case::default));
        let last = event::Severity::try_from(last).unwrap();
        findings.judge(&Entity::Node, Judgement::Fires(last), Case::default);
    }

    fn restarted(&mut self, _: &str) {}
}

#[test]
fn nobody_gives_way_to_a_milder_finding_or_in_turn() {
    const CROWD: &[Entry] = &[entry::<Crowd>()];
    let told = |last: event::Severity| {
        let mut stage = Stage::new(CROWD, &[]);
        // the number of the severity goes in place of another
        stage.at(1.0, ConnOpened { peer: 256, connection_type: last.into(), ..ConnOpened::default() });
        stage.until(30.0);
        let told = stage.told();
        let count = |what: &str| told.lines().filter(|line| line.contains(what)).count();
        (count("opened D3 warn peer"), count("expired"), count(" node"), stage.engine.account("alice").crowded > 0)
    };
    assert_eq!(told(event::Severity::Info), (256, 0, 0, true));
    assert_eq!(told(event::Severity::Warn), (256, 0, 0, true));
    // who is pushed out comes back for nobody
    assert_eq!(told(event::Severity::Critical), (256, 1, 1, true));
}

/// Fires while connections were opened at two nodes within ten seconds.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Meets {
    last: BTreeMap<String, u64>,
    restarts: u32,
}

impl Detector for Meets {
    const ABOUT: About = About { id: "D2", name: "meets", scope: Scope::Fleet, ..Opens::ABOUT };

    fn observe(&mut self, event: &Event, context: &Context<'_>, _: &mut Findings<'_>) {
        assert_eq!(event.node, context.node);
        self.last.insert(event.node.clone(), context.now);
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        let before = context.since(10 * SECOND);
        self.last.retain(|_, time| *time >= before);
        let judgement = if self.last.len() > 1 { Judgement::Fires(event::Severity::Warn) } else { Judgement::Clear };
        let summary = || format!("{} of {}, {} restarts", self.last.len(), context.nodes(), self.restarts);
        findings.judge(&Entity::Fleet, judgement, || Case { summary: summary(), ..Case::default() });
    }

    fn restarted(&mut self, _: &str) {
        self.restarts += 1;
    }
}

const MEETS: &[Entry] = &[entry::<Meets>()];
const BOTH: &[Entry] = &[entry::<Opens>(), entry::<Meets>()];

fn fleet() -> Stage {
    let mut stage = Stage::new(MEETS, &[]);
    stage.fleet = &["alice", "bob", "carol"];
    stage.at(1.0, ConnOpened::default());
    stage.node = "bob";
    stage.at(2.5, ConnOpened::default());
    stage
}

#[test]
fn a_detector_of_the_fleet_sees_all_nodes_and_speaks_of_the_fleet() {
    let mut stage = fleet();
    stage.until(100.0);
    assert_eq!(
        stage.told(),
        "3 _fleet opened D2 warn fleet: 2 of 3, 0 restarts\n72 _fleet cleared D2 warn fleet: 2 of 3, 0 restarts\n"
    );
    // carol was taken away: after an hour she is not counted
    stage.fleet = &["alice", "bob"];
    stage.until(4000.0);
    stage.at(4000.2, ConnOpened::default());
    stage.node = "alice";
    stage.uptime = 10;
    stage.at(4000.4, ConnOpened::default());
    stage.until(4002.0);
    assert_eq!(stage.told(), "4001 _fleet opened D2 warn fleet: 2 of 2, 1 restarts\n");
}

#[test]
fn what_is_missing_at_one_node_is_missing_of_the_fleet() {
    let mut stage = fleet();
    stage.node = "carol";
    stage.at(8.0, HealthLost { count: 1, ..HealthLost::default() });
    stage.until(200.0);
    let told = stage.told();
    let times: Vec<&str> = told.lines().map(|line| line.split(':').next().unwrap()).collect();
    let expect = ["3 _fleet opened D2 warn fleet", "12 _fleet updated D2 warn fleet unknown", "129 _fleet cleared D2 warn fleet"];
    assert_eq!(times, expect);
}

/// A play with everything: two nodes, loss, a clock that is set back.
fn play() -> Vec<Arc<Event>> {
    let mut stage = Stage::new(BOTH, &[]);
    burst(&mut stage, 1.0);
    stage.at(4.2, HealthLost { count: 1, ..HealthLost::default() });
    stage.node = "bob";
    burst(&mut stage, 20.0);
    burst(&mut stage, 60.0);
    stage.node = "alice";
    burst(&mut stage, 62.0);
    burst(&mut stage, 130.5);
    stage.until(300.0);
    stage.played
}

fn run(events: impl IntoIterator<Item = Arc<Event>>) -> String {
    let mut engine = Engine::with(BOTH, Thresholds::default(), 7);
    let mut said = Vec::new();
    events.into_iter().for_each(|event| engine.observe(event, &mut said));
    engine.finish(&mut said);
    read(&said)
}

fn read(said: &[Statement]) -> String {
    said.iter().fold(String::new(), |mut text, statement| {
        line(&mut text, statement);
        text + &format!("{:?}\n", statement.kind)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever order sources come in, within what is allowed, the findings are the same.
    #[test]
    fn order_of_arrival_does_not_matter(delays in proptest::collection::vec(0_u64..1_900_000_000, 2000)) {
        let events = play();
        let mut delayed: Vec<_> = events.iter().zip(delays.iter().cycle()).map(|(event, delay)| (event.time + delay, event)).collect();
        delayed.sort_by_key(|(time, _)| *time);
        let shuffled = run(delayed.into_iter().map(|(_, event)| event.clone()));
        prop_assert_eq!(shuffled, run(events));
    }

    /// In pieces, with the state kept in between, the findings are the same.
    #[test]
    fn pieces_are_as_good_as_the_whole(mut cuts in proptest::collection::vec(0_usize..2000, 0..6)) {
        let events = play();
        cuts.sort_unstable();
        cuts.push(events.len());
        let mut said = Vec::new();
        let mut engine = Engine::with(BOTH, Thresholds::default(), 7);
        let mut from = 0;
        for cut in cuts {
            let to = cut.min(events.len());
            events[from..to].iter().for_each(|event| engine.observe(event.clone(), &mut said));
            let (restored, anew) = Engine::restore_with(BOTH, &engine.save(), Thresholds::default()).unwrap();
            prop_assert!(anew.is_empty());
            engine = restored;
            from = to;
        }
        engine.finish(&mut said);
        prop_assert_eq!(read(&said), run(events));
    }

    /// Bytes that are no state do no harm.
    #[test]
    fn no_bytes_make_it_panic(noise in proptest::collection::vec(any::<(usize, u8)>(), 1..20)) {
        let mut bytes = { let mut stage = stage(); burst(&mut stage, 1.0); stage.engine.save() };
        for (at, byte) in noise {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let _ = Engine::restore(&bytes, Thresholds::default());
    }
}

fn beat(time: u64, sequence: u64, run: u64) -> Arc<Event> {
    let event = Event { time, sequence, run, ..Event::new("alice", Source::Ebpf, HealthBeat::default()) };
    Arc::new(event)
}

#[test]
fn late_events_are_counted_and_left_out() {
    let mut engine = Engine::with(OPENS, Thresholds::default(), 0);
    let mut said = Vec::new();
    for n in 0..10 {
        engine.observe(beat(BEGIN + n * SECOND, n, 1), &mut said);
    }
    let late = Event { time: BEGIN + SECOND, ..Event::new("alice", Source::Rpc, ConnOpened::default()) };
    engine.observe(Arc::new(late), &mut said);
    engine.finish(&mut said);
    assert_eq!((engine.totals().late, engine.totals().events), (1, 10));
}

#[test]
fn one_event_from_the_future_does_not_make_others_late() {
    let mut engine = Engine::with(OPENS, Thresholds::default(), 0);
    let mut said = Vec::new();
    for n in 0..10 {
        engine.observe(beat(BEGIN + n * SECOND, n, 1), &mut said);
    }
    let future = Event { time: BEGIN + crate::time::DAY, ..Event::new("alice", Source::Log, ConnOpened::default()) };
    engine.observe(Arc::new(future), &mut said);
    for n in 10..100 {
        engine.observe(beat(BEGIN + n * SECOND, n, 1), &mut said);
    }
    assert_eq!((engine.totals().late, engine.now("alice")), (0, Some(BEGIN + 97 * SECOND)));
}

#[test]
fn a_clock_that_is_set_back_begins_anew() {
    let mut engine = Engine::with(OPENS, Thresholds::default(), 0);
    let mut said = Vec::new();
    for n in 0..100 {
        engine.observe(beat(BEGIN + n * SECOND, n, 1), &mut said);
    }
    for n in 0..50 {
        engine.observe(beat(BEGIN - 3600 * SECOND + n * SECOND, 100 + n, 1), &mut said);
    }
    assert_eq!((engine.totals().set_back, engine.totals().late), (1, 0));
    assert_eq!(engine.now("alice"), Some(BEGIN - 3600 * SECOND + 47 * SECOND));
}

/// The observer was ended in an hour that is to come, and started anew after its clock was set back: its runs are numbered by that clock.
fn from_the_future() -> Engine {
    let mut engine = Engine::with(OPENS, Thresholds::default(), 0);
    let mut said = Vec::new();
    for n in 0..100 {
        engine.observe(beat(BEGIN + HOUR + n * SECOND, n, BEGIN + HOUR), &mut said);
    }
    Engine::restore_with(OPENS, &engine.save(), Thresholds::default()).unwrap().0
}

#[test]
fn a_clock_that_was_set_back_while_nobody_watched_is_believed() {
    let mut engine = from_the_future();
    let mut said = Vec::new();
    for n in 0..20 {
        engine.observe(beat(BEGIN + n * SECOND, n, BEGIN), &mut said);
    }
    assert_eq!((engine.totals().set_back, engine.totals().late), (1, 2), "two beats are not believed yet");
    assert_eq!(engine.now("alice"), Some(BEGIN + 17 * SECOND));
    // what is left over from before does not set it back again
    engine.observe(beat(BEGIN - HOUR, 3, BEGIN - HOUR), &mut said);
    engine.observe(beat(BEGIN + 20 * SECOND, 20, BEGIN), &mut said);
    assert_eq!((engine.totals().set_back, engine.now("alice")), (1, Some(BEGIN + 18 * SECOND)));
}

#[test]
fn a_state_of_the_future_is_set_back_by_whoever_has_a_clock() {
    let mut engine = from_the_future();
    let mut said = Vec::new();
    assert_eq!(engine.set_clocks_back(BEGIN), 1);
    assert_eq!((engine.set_clocks_back(BEGIN), engine.now("alice")), (0, Some(BEGIN)));
    for n in 0..20 {
        engine.observe(beat(BEGIN + n * SECOND, n, BEGIN), &mut said);
    }
    assert_eq!((engine.totals().late, engine.now("alice")), (0, Some(BEGIN + 17 * SECOND)));
}

#[test]
fn detectors_begin_anew_when_the_clock_was_set_back() {
    let mut stage = Stage::new(BOTH, &[]);
    burst(&mut stage, 7300.0);
    stage.until(7310.0);
    let mut events = stage.played;
    // an hour earlier, and the runs go on
    let mut stage = Stage::new(BOTH, &[]);
    stage.sequences_from(1_000_000);
    stage.silence();
    stage.until(3699.0);
    [Source::Ebpf, Source::Rpc].into_iter().for_each(|source| stage.unhush(source));
    stage.until(3701.0);
    burst(&mut stage, 3702.0);
    stage.until(3800.0);
    events.extend(stage.played);
    let mut engine = Engine::with(BOTH, Thresholds::default(), 7);
    let mut said = Vec::new();
    events.into_iter().for_each(|event| engine.observe(event, &mut said));
    let told = said.iter().fold(String::new(), |mut text, statement| {
        line(&mut text, statement);
        text
    });
    let times: Vec<&str> = told.lines().map(|line| line.split(':').next().unwrap()).collect();
    let expect = [
        "7300 opened D0 warn node",
        "3700 expired D0 warn node",
        "3702 opened D0 warn node again",
        "3773 cleared D0 warn node again",
    ];
    assert_eq!((times.as_slice(), engine.totals().set_back), (expect.as_slice(), 1));
}

#[test]
fn who_was_connected_before_the_clock_was_set_back_did_not_come_in_the_future() {
    let mut engine = Engine::with(OPENS, Thresholds::default(), 0);
    let mut said = Vec::new();
    let opened = Event { time: BEGIN + HOUR, ..Event::new("alice", Source::Ebpf, ConnOpened { peer: 1, ..ConnOpened::default() }) };
    engine.observe(Arc::new(opened), &mut said);
    (0..10).for_each(|n| engine.observe(beat(BEGIN + HOUR + n * SECOND, n, 1), &mut said));
    (0..10).for_each(|n| engine.observe(beat(BEGIN + n * SECOND, 10 + n, 1), &mut said));
    assert_eq!(engine.nodes["alice"].facts.peers.get(1).unwrap().since, BEGIN);
}

/// What alice and bob live through, as it arrives; bob's clock is ahead by so much, or behind.
fn apart(ahead: i64) -> Vec<Arc<Event>> {
    let of = |node: &'static str| {
        let mut stage = Stage::new(OPENS, &[]);
        stage.node = node;
        [3.0, 20.0, 60.0, 130.0].into_iter().for_each(|time| burst(&mut stage, time));
        stage.until(300.0);
        stage.played
    };
    let shifted = |event: &Event| Event { time: event.time.saturating_add_signed(ahead), ..event.clone() };
    let bob = of("bob").into_iter().map(|event| (event.time, Arc::new(shifted(&event))));
    let all = of("alice").into_iter().map(|event| (event.time, event)).chain(bob);
    // each source is late in its own way
    let delay = |event: &Event| (event.time / 7 + event.source as u64 * 431_000_000) % 1_900_000_000;
    let mut all: Vec<_> = all.map(|(time, event)| (time + delay(&event), event)).collect();
    all.sort_by_key(|(time, event)| (*time, event.node.clone(), event.source, event.sequence));
    all.into_iter().map(|(_, event)| event).collect()
}

#[test]
fn a_clock_that_is_ahead_takes_nothing_from_other_nodes() {
    let told = |ahead: i64| {
        let mut engine = Engine::with(OPENS, Thresholds::default(), 7);
        let mut said = Vec::new();
        apart(ahead).into_iter().for_each(|event| engine.observe(event, &mut said));
        let clocks: Vec<_> = engine.clocks().map(|(name, ahead)| (name.to_owned(), ahead / SECOND as i64)).collect();
        let waited = engine.now("alice").unwrap() - BEGIN;
        engine.finish(&mut said);
        let facts = &engine.nodes["alice"].facts;
        assert_eq!((engine.totals().late, facts.source(Source::Ebpf).loss), (0, None), "{ahead}");
        assert!(waited >= 290 * SECOND, "{ahead}: nobody waits for long: {waited}");
        said.retain(|statement| &*statement.node == "alice");
        (read(&said).replace(" part", ""), clocks)
    };
    let (same, _) = told(0);
    assert!(same.contains("opened D0") && same.contains("cleared D0"), "{same}");
    for seconds in [1, 5, 40, 3600, -5, -3600] {
        let (told, clocks) = told(seconds * SECOND as i64);
        assert_eq!(lines(&told), lines(&same), "{seconds}");
        // a minute is waited; more is learned, and whose it is
        assert_eq!(clocks.is_empty(), seconds.abs() < 60, "{clocks:?}");
    }
}

/// When what was said of whom.
fn lines(told: &str) -> Vec<&str> {
    told.lines().filter(|line| line.contains(" D0 ")).map(|line| line.split(':').next().unwrap()).collect()
}

#[test]
fn pieces_are_as_good_as_the_whole_where_clocks_differ() {
    for seconds in [5, 40, 3600] {
        let events = apart(seconds * SECOND as i64);
        let mut engine = Engine::with(BOTH, Thresholds::default(), 7);
        let mut said = Vec::new();
        for piece in events.chunks(97) {
            piece.iter().for_each(|event| engine.observe(event.clone(), &mut said));
            engine = Engine::restore_with(BOTH, &engine.save(), Thresholds::default()).unwrap().0;
        }
        engine.finish(&mut said);
        assert_eq!(read(&said), run(events));
    }
}

#[test]
fn nobody_waits_for_a_node_that_is_silent() {
    let mut stage = stage();
    stage.fleet = &["alice", "bob"];
    stage.until(20.0);
    stage.fleet = &["alice"];
    stage.until(40.0);
    assert_eq!(stage.engine.now("alice"), Some(BEGIN + 38 * SECOND));
}

#[test]
fn a_state_of_another_version_is_refused_in_words() {
    let mut bytes = stage().engine.save();
    assert!(Engine::restore(&bytes, Thresholds::default()).is_ok());
    bytes[9] = 99;
    let refused = |bytes: &[u8]| Engine::restore(bytes, Thresholds::default()).err().unwrap().to_string();
    assert_eq!(refused(&bytes), "the state of the detectors has version 99, and this program reads version 6");
    assert_eq!(refused(b"weather"), "this is no state of detectors");
    bytes[9] = 6;
    bytes.pop();
    assert_eq!(refused(&bytes), "the state of the detectors is damaged");
}

/// Fires for a minute, and then holds.
#[derive(Clone, Default, Serialize, Deserialize)]
struct HoldsOn;

impl Detector for HoldsOn {
    const ABOUT: About = About { id: "D6", name: "holds_on", ..Opens::ABOUT };

    fn observe(&mut self, _: &Event, _: &Context<'_>, _: &mut Findings<'_>) {}

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        let fires = context.now < BEGIN + MINUTE;
        let judgement = if fires { Judgement::Fires(event::Severity::Warn) } else { Judgement::Holds };
        findings.judge(&Entity::Node, judgement, || Case { summary: format!("fires: {fires}"), ..Case::default() });
    }

    fn restarted(&mut self, _: &str) {}
}

#[test]
fn what_holds_is_reminded_of_as_it_was_last_told() {
    const ONLY: &[Entry] = &[entry::<HoldsOn>()];
    let mut stage = Stage::new(ONLY, &[]);
    stage.until(4000.0);
    let told = stage.told();
    let kinds: Vec<&str> = told.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(kinds, ["opened", "updated", "updated"], "{told}");
    assert!(told.lines().all(|line| line.ends_with("fires: true")), "{told}");
}

/// The same as `Opens`, but that a loss could make it fire.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Fooled(Opens);

impl Detector for Fooled {
    const ABOUT: About = About { id: "D4", fooled_by: &[KindId::ConnOpened], ..Opens::ABOUT };

    fn observe(&mut self, event: &Event, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.0.observe(event, context, findings);
    }

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        self.0.tick(context, findings);
    }

    fn restarted(&mut self, node: &str) {
        self.0.restarted(node);
    }
}

/// The probes go at 20 s, as `leave` has it; whether the log, which goes on, had stated what they did.
fn taken_over(leave: impl FnOnce(&mut Stage), stated: bool) -> Vec<String> {
    const FOOLED: &[Entry] = &[entry::<Fooled>()];
    let mut stage = Stage::new(FOOLED, &[]);
    stage.unhush(Source::Log);
    [Source::Ebpf, Source::Log].into_iter().for_each(|source| stage.from(source, 0.5, HealthAttached::default()));
    if stated {
        stage.from(Source::Log, 1.0, ConnOpened::default());
    }
    burst(&mut stage, 15.0);
    stage.until(20.0);
    leave(&mut stage);
    // the log goes on, where it tells of connections
    for n in (0..4_u32).filter(|_| stated) {
        stage.from(Source::Log, 200.0 + f64::from(n) / 10.0, ConnOpened { peer: n.into(), ..ConnOpened::default() });
    }
    stage.until(260.0);
    let told = stage.told();
    told.lines().map(|line| line.split(" D4").collect::<String>().split(':').next().unwrap().to_owned()).collect()
}

/// A log that states what the probes did takes their place; one that only beats leaves it unknown.
#[test]
fn who_takes_the_place_of_a_witness_has_to_state_the_same() {
    let detached = |stage: &mut Stage| stage.from(Source::Ebpf, 20.0, HealthDetached::default());
    assert_eq!(taken_over(detached, true), ["15 opened warn node", "86 cleared warn node", "200 opened warn node again"]);
    assert_eq!(taken_over(detached, false), ["15 opened warn node", "21 updated warn node unknown"]);
}

/// Of the moments before a silence showed nobody stated anything.
#[test]
fn a_witness_that_dies_leaves_it_unknown_until_its_last_moments_are_past() {
    let dies = |stage: &mut Stage| stage.hush(Source::Ebpf);
    let expect = ["15 opened warn node", "24 updated warn node unknown", "145 cleared warn node", "200 opened warn node again"];
    assert_eq!(taken_over(dies, true), expect);
    assert_eq!(taken_over(dies, false), ["15 opened warn node", "24 updated warn node unknown"]);
}

#[test]
fn what_happened_while_a_source_was_detached_is_missing() {
    let mut stage = stage();
    burst(&mut stage, 1.0);
    stage.from(Source::Ebpf, 5.0, HealthDetached::default());
    stage.from(Source::Ebpf, 10.0, HealthAttached::default());
    stage.until(200.0);
    let told = stage.told();
    let times: Vec<&str> = told.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(times, ["1 opened D0 warn node", "12 updated D0 warn node unknown", "131 cleared D0 warn node"]);
}

/// What a recorder missed makes the same of its recording as what the engine misses makes of what is live.
#[test]
fn loss_of_nobody_knows_which_node_is_every_node_s() {
    let play = |miss: fn(&mut Stage)| {
        let mut stage = stage();
        stage.fleet = &["alice", "bob"];
        burst(&mut stage, 1.0);
        stage.until(10.0);
        miss(&mut stage);
        stage.until(200.0);
        let names: Vec<String> = stage.engine.nodes().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names, ["alice", "bob"]);
        assert_eq!(stage.engine.totals().missed, 3);
        stage.told()
    };
    let live = play(|stage| stage.engine.missed(3));
    assert!(live.contains("12 updated D0 warn node unknown"), "{live}");
    let recorded = play(|stage| {
        let lost = HealthLost { stage: event::LossStage::Subscription.into(), count: 3, ..HealthLost::default() };
        // its time is that of the newest event that was recorded
        let lost = Event { time: BEGIN + 8 * SECOND, ..Event::new("", Source::Tool, lost) };
        stage.engine.observe(Arc::new(lost), &mut stage.said);
    });
    assert_eq!(recorded, live);
}

/// Fires for a hundred seconds, ever more strongly until the middle, then holds.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Swells;

impl Detector for Swells {
    const ABOUT: About = About { id: "D7", name: "swells", ..Opens::ABOUT };

    fn observe(&mut self, _: &Event, _: &Context<'_>, _: &mut Findings<'_>) {}

    fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
        let second = (context.now - BEGIN) / SECOND;
        let judgement = if second < 100 { Judgement::Fires(event::Severity::Warn) } else { Judgement::Clear };
        let score = second.min(100_u64.saturating_sub(second)) as f64 / 5.0;
        findings.judge(&Entity::Node, judgement, || Case { score, summary: format!("{score}"), ..Case::default() });
    }

    fn restarted(&mut self, _: &str) {}
}

const SWELLS: &[Entry] = &[entry::<Swells>()];

#[test]
fn what_grows_is_told_as_it_doubles_and_its_end_tells_the_most_that_it_was() {
    let mut stage = Stage::new(SWELLS, &[("finding.remind", 50.0)]);
    stage.until(300.0);
    assert_eq!(
        stage.told(),
        "1 opened D7 warn node: 0.2\n11 updated D7 warn node: 2.2\n31 updated D7 warn node: 6.2\n81 updated D7 warn node: 3.8\n\
         160 cleared D7 warn node: 9.8\n"
    );
}

/// The most that it was is a part of what is kept between two runs.
#[test]
fn the_most_that_it_was_outlives_the_engine() {
    let mut stage = Stage::new(SWELLS, &[]);
    stage.until(80.0);
    let saved = stage.engine.save();
    let (restored, anew) = Engine::restore_with(SWELLS, &saved, Thresholds::default()).unwrap();
    assert!(anew.is_empty());
    stage.engine = restored;
    stage.until(300.0);
    assert!(stage.told().ends_with("160 cleared D7 warn node: 9.8\n"));
}

/// However often it is judged: each alarm once a minute, and all of them.
#[test]
fn alarms_that_a_guard_keeps_back_are_counted_each_once_a_minute() {
    const CROWD: &[Entry] = &[entry::<Kept>()];
    #[derive(Default, Serialize, Deserialize)]
    struct Kept;
    impl Detector for Kept {
        const ABOUT: About = About { id: "D8", guards: &[crate::Guard::Restart], ..Opens::ABOUT };
        fn observe(&mut self, _: &Event, _: &Context<'_>, _: &mut Findings<'_>) {}
        fn tick(&mut self, context: &Context<'_>, findings: &mut Findings<'_>) {
            // before the first event is learned from, nobody knows since when the node runs
            for number in if context.now > BEGIN + 5 * SECOND { 0..50 } else { 0..0 } {
                findings.judge(&Entity::Asn(number), Judgement::Fires(event::Severity::Warn), Case::default);
            }
        }
        fn restarted(&mut self, _: &str) {}
    }
    let mut stage = Stage::new(CROWD, &[]);
    stage.uptime = 10;
    stage.until(602.5);
    assert_eq!(stage.told(), "");
    // eleven minutes were begun
    assert_eq!(stage.engine.account("alice").suppressed[crate::Guard::Restart as usize], 11 * 50);
}

/// Who starts again from a state says at once what is open: whoever follows cannot know that it is known.
#[test]
fn what_is_open_is_said_again_after_a_start() {
    let mut stage = stage();
    burst(&mut stage, 1.0);
    assert!(stage.told().starts_with("1 opened D0"));
    let (engine, _) = Engine::restore_with(OPENS, &stage.engine.save(), Thresholds::default()).unwrap();
    stage.engine = engine;
    stage.engine.restate();
    stage.until(20.0);
    let told = stage.told();
    assert_eq!(told.matches("updated D0 warn node").count(), 1, "{told}");
    stage.until(60.0);
    assert_eq!(stage.told(), "", "once");
    // also of a detector that is asked nothing meanwhile
    let mut stage = Stage::new(SILENT, &[]);
    stage.at(1.5, ConnOpened::default());
    stage.told();
    let (engine, _) = Engine::restore_with(SILENT, &stage.engine.save(), Thresholds::default()).unwrap();
    stage.engine = engine;
    stage.until(60.0);
    assert_eq!(stage.told(), "");
    stage.engine.restate();
    stage.until(120.0);
    let told = stage.told();
    assert!(told.ends_with(" updated D1 info asn AS64496: \n") && told.lines().count() == 1, "{told}");
}
