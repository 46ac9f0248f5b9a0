use std::convert::Infallible;
use std::fs;

use bus::Limits;
use detect::score::Truth;
use event::KindSet;
use expect_test::expect;
use extract::replay::{self, Pace};
use testkit::synthetic::{self, Run};

use super::*;
use crate::logger::Format;

/// A storm of transactions at a small node, ten minutes in twenty-five.
const STORM: &str = r#"
    about = "announcements pile up"
    length = "25m"
    [population]
    peers = 12
    transactions_per_second = 0.2
    inbound_per_minute = 0.5
    [[ingredient]]
    what = "inv_queue"
    at = "10m"
    lasts = "10m"
"#;

fn storm() -> (Vec<Event>, Vec<Truth>) {
    let mut scenario = synthetic::load(STORM, Run { seed: 5, strength: 1.0 }).unwrap();
    let truth = |truth: &synthetic::Truth| Truth {
        detector: truth.detector.clone(),
        node: truth.node.clone(),
        entity_kind: truth.entity_kind.to_owned(),
        entity: truth.entity.clone(),
        begin: truth.begin,
        end: truth.end,
        severity: truth.severity,
        consequence: truth.consequence,
    };
    let events = scenario.by_ref().collect();
    (events, scenario.truths().iter().map(truth).collect())
}

fn played(config: &Config, events: impl IntoIterator<Item = Event>) -> Vec<Statement> {
    let mut said = Vec::new();
    let events = events.into_iter().map(Ok::<_, anyhow::Error>);
    play(config.prepare(false).unwrap(), events, |statement| {
        said.push(statement.clone());
        Ok(())
    })
    .unwrap();
    said
}

fn told(said: &[Statement]) -> Vec<String> {
    said.iter().map(|statement| format!("{} {} {:?}", statement.time, statement.node, statement.kind)).collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// As `run` has it: events published one by one at this pace, findings read from the bus.
async fn published(config: &Config, events: Vec<Event>, pace: Pace) -> Vec<Statement> {
    let bus = Bus::local();
    let prepared = config.prepare(false).unwrap();
    let input = bus.subscribe(prepared.filter([]), Limits::default()).await.unwrap();
    let findings: KindSet = KindSet::matching("finding").unwrap();
    let mut output = bus.subscribe(Filter { kinds: findings, nodes: vec![] }, Limits::default()).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async { drop(stopped.await) };
    let tool = tokio::spawn(run(prepared, input, bus.clone(), None, stopped, |_| Ok(())));
    // waits where a subscriber has no room
    replay::run(events.into_iter().map(Ok::<_, Infallible>), pace, &bus).await.unwrap();
    drop(stop);
    tool.await.unwrap().unwrap();
    bus.close().await;
    let mut said = Vec::new();
    while let Some(delivery) = output.next().await {
        let Delivery::Event(event) = delivery else { panic!("nothing is missed") };
        assert_eq!((event.source(), event.sequence as usize >= said.len()), (Source::Detect, true));
        let Event { time, node, node_run, kind, .. } = (*event).clone();
        said.push(Statement { time, node: node.into(), node_run, kind: kind.unwrap() });
    }
    said
}

#[test]
fn a_bus_a_recording_and_its_pieces_give_the_same() {
    let (events, _) = storm();
    let whole = told(&played(&Config::default(), events.clone()));
    assert!(whole.iter().any(|line| line.contains("FindingOpened")) && whole.iter().any(|line| line.contains("FindingCleared")));
    let live = told(&runtime().block_on(published(&Config::default(), events.clone(), Pace::Max)));
    assert_eq!(live, whole);

    let place = tempfile::tempdir().unwrap();
    let config = Config { detect_state: Some(place.path().join("state")), ..Config::default() };
    let mut pieces = Vec::new();
    for piece in events.chunks(events.len() / 7) {
        pieces.extend(told(&played(&config, piece.to_vec())));
    }
    // what waits at the end of a piece waits for the next one; there is none after the last
    let waiting = whole.len() - pieces.len();
    assert!(waiting <= 1, "{waiting} statements of the last two seconds");
    assert_eq!(pieces, whole[..pieces.len()]);
}

/// Time passes only while everybody waits, so that 25 minutes take as long as they need to be looked at.
#[tokio::test(start_paused = true)]
async fn as_fast_as_it_happened_gives_what_max_speed_gives() {
    let (events, _) = storm();
    let (first, last) = (events[0].time, events[events.len() - 1].time);
    let whole = told(&played(&Config::default(), events.clone()));
    let begin = Instant::now();
    let paced = told(&published(&Config::default(), events, Pace::Times(1.0)).await);
    assert!(begin.elapsed() >= Duration::from_nanos(last - first), "it took {:?}", begin.elapsed());
    assert_eq!(paced, whole);
}

#[test]
fn a_bus_in_pieces_gives_what_the_whole_gives() {
    let (events, _) = storm();
    let whole = told(&played(&Config::default(), events.clone()));
    let place = tempfile::tempdir().unwrap();
    let config = Config { detect_state: Some(place.path().join("state")), ..Config::default() };
    let mut pieces = Vec::new();
    for piece in events.chunks(events.len() / 4) {
        pieces.extend(told(&runtime().block_on(published(&config, piece.to_vec(), Pace::Max))));
    }
    assert!(whole.len() - pieces.len() <= 1, "{} statements of {}", pieces.len(), whole.len());
    assert_eq!(pieces, whole[..pieces.len()]);
}

#[test]
fn only_what_is_live_has_a_key_that_nobody_can_guess() {
    // the key is a part of the state
    let state = |live| Config::default().prepare(live).unwrap().engine.save();
    assert_eq!(state(false), state(false));
    assert_ne!(state(true), state(true));
}

#[test]
fn profiles_are_read_of_a_state_of_which_nothing_else_is() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("state");
    let config = Config { detect_state: Some(path.clone()), ..Config::default() };
    let (events, _) = storm();
    played(&config, events.into_iter().take(20_000));
    let known = profiles(&path, crate::logger::Format::Text).unwrap();
    assert!(known.lines().count() > 5, "{known}");
    let state = fs::read(&path).unwrap();
    let mut sections = detect::Sections::read(&state).unwrap();
    let names: Vec<(String, u32)> = sections.names().map(|(name, version)| (name.to_owned(), version)).collect();
    for (name, version) in names.iter().filter(|(name, _)| name != "profiles") {
        sections.replace(name, Some(version + 1), Vec::new());
    }
    fs::write(&path, sections.to_bytes()).unwrap();
    assert_eq!(profiles(&path, crate::logger::Format::Text).unwrap(), known);
    // and the next start goes on with them
    let prepared = config.prepare(false).unwrap();
    assert_eq!(prepared.engine.profiles().len(), known.lines().count());
    assert!(path.exists(), "it is not set aside");
}

#[test]
fn a_state_of_another_release_is_set_aside_and_said() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("state");
    let config = Config { detect_state: Some(path.clone()), ..Config::default() };
    let (events, _) = storm();
    played(&config, events.into_iter().take(1000));
    let mut state = fs::read(&path).unwrap();
    state[9] = 99;
    fs::write(&path, &state).unwrap();
    config.prepare(true).unwrap();
    assert!(!path.exists());
    assert_eq!(fs::read(place.path().join("state.unusable")).unwrap(), state);
    // a directory is no state, and nothing that may be moved away
    fs::create_dir(&path).unwrap();
    let error = config.prepare(true).err().unwrap();
    assert!(error.to_string().starts_with("failed to read the detectors' state "), "{error}");
}

#[test]
fn settings_are_checked_where_they_are_read() {
    let error = |text: &str| text.parse::<Setting>().unwrap_err();
    expect!["there is no threshold `d39.queue_warm`; did you mean `d39.queue_warn`?"].assert_eq(&error("d39.queue_warm=1"));
    expect!["a threshold is set as `d39.queue_warn=20000`"].assert_eq(&error("d39.queue_warn"));
    expect!["`many` is no number"].assert_eq(&error("d39.queue_warn=many"));
    expect!["`d39.busy_warn` cannot be 2: it is a number from 0 to 1"].assert_eq(&error("d39.busy_warn=2"));
    assert!(error("a.b:d39.queue_warn=1").contains("is no node name"));
    let config = Config {
        detect_threshold: vec!["alice:d39.queue_warn=7".parse().unwrap(), "guard.block=0".parse().unwrap()],
        ..Config::default()
    };
    let thresholds = config.thresholds();
    assert_eq!(thresholds.of("alice").get(Limit::D39QueueWarn), 7.0);
    assert_eq!(thresholds.of("bob").get(Limit::D39QueueWarn), 10_000.0);
    assert_eq!(thresholds.of("bob").get(Limit::GuardBlock), 0.0);
}

#[test]
fn a_labelled_set_is_scored() {
    let place = tempfile::tempdir().unwrap();
    let (events, truths) = storm();
    let write = |name: &str, events: &[Event]| {
        let file = fs::File::create(place.path().join(format!("{name}.rec"))).unwrap();
        let mut writer = extract::recording::Writer::new(file, 1).unwrap();
        events.iter().for_each(|event| writer.write(event).unwrap());
        writer.finish().unwrap();
    };
    write("storm", &events);
    // the same before anything happens
    let quiet = events.iter().position(|event| event.time >= truths[0].begin).unwrap();
    write("quiet", &events[..quiet]);
    let rfc = |nanos: u64| event::text::Rfc3339::from_nanos(nanos).to_string();
    let Truth { begin, end, .. } = truths[0];
    let labels = format!(
        "[[truth]]\ndetector = \"D39\"\nnode = \"alice\"\nkind = \"node\"\nbegin = \"{}\"\nend = \"{}\"\n",
        rfc(begin),
        rfc(end)
    );
    fs::write(place.path().join("storm.truth.toml"), &labels).unwrap();
    fs::write(place.path().join("quiet.truth.toml"), "").unwrap();
    let of = |config: &Config| score::score(place.path(), config);
    let set = of(&Config::default()).unwrap();
    let names: Vec<_> = set.scored.iter().map(|scored| scored.name.as_str()).collect();
    assert_eq!((names, &set.unlabelled), (vec!["quiet", "storm"], &vec![]));
    let tally = &set.scored[1].score.tallies["D39"];
    assert_eq!((tally.truths, tally.found, tally.false_alarms), (1, 1, 0));
    assert_eq!(set.scored[0].score.total().alarms, 0);
    assert!(score::report(&set, Format::Text).contains("| D39 | 1 | 1.000 | 1.000 | 1.000 | 0 | 0 |"));
    let tally = |labels: &str, config: &Config| {
        fs::write(place.path().join("storm.truth.toml"), labels).unwrap();
        let tally = of(config).unwrap().scored[1].score.tallies["D39"].clone();
        (tally.truths, tally.found, tally.false_alarms, tally.consequences)
    };
    // what only follows from something is neither found nor cried at nothing
    assert_eq!(tally(&format!("{labels}consequence = true\n"), &Config::default()), (0, 0, 0, 1));
    // nobody is woken before it has begun: the label is wrong, or the alarm
    let late = labels.replace(&rfc(begin), &rfc(end - detect::time::SECOND));
    assert_eq!(tally(&late, &Config::default()), (1, 0, 1, 0));

    // a set may change thresholds, says so, and whoever plays it has the last word
    let never = |what: &str| {
        ["warn", "critical"].map(|end| format!("\"d39.{what}_{end}\" = {}\n", if what == "busy" { 1e0 } else { 1e9 })).concat()
    };
    let deaf = format!("[thresholds]\n{}{labels}", ["queue", "sum", "busy", "ping"].map(never).concat());
    assert_eq!(tally(&deaf, &Config::default()), (1, 0, 0, 0));
    let text = score::report(&of(&Config::default()).unwrap(), Format::Text);
    assert!(text.contains("storm\n\nd39.queue_warn = 1000000000 (instead of 10000)\n"), "{text}");
    let hearing = Config { detect_threshold: vec!["d39.queue_warn=10000".parse().unwrap()], ..Config::default() };
    assert_eq!(tally(&deaf, &hearing), (1, 1, 0, 0));
    let json = score::report(&of(&Config::default()).unwrap(), Format::Json);
    let lines: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[1]["recording"], &lines[1]["thresholds"][0]["name"]), (&"storm".into(), &"d39.queue_warn".into()));
    assert_eq!((&lines[2]["recordings"], &lines[2]["detectors"]["D39"]["recall"]), (&2.into(), &0.0.into()));

    // of a recording without a truth file nothing is known, which is said
    fs::remove_file(place.path().join("quiet.truth.toml")).unwrap();
    let text = score::report(&of(&Config::default()).unwrap(), Format::Text);
    assert!(text.ends_with("\nnot scored, as no truth file belongs to them: quiet.rec\n"), "{text}");

    let error = |change: &dyn Fn(&str) -> String, config: &Config| {
        fs::write(place.path().join("quiet.truth.toml"), change(&labels)).unwrap();
        format!("{:#}", of(config).err().unwrap())
    };
    let wrong = error(&|labels| labels.replace("D39", "D99"), &Config::default());
    assert!(wrong.ends_with("quiet.truth.toml is wrong: line 2: there is no detector `D99`"), "{wrong}");
    // the recording ends before
    let wrong = error(&str::to_owned, &Config::default());
    assert!(wrong.contains("line 6: ") && wrong.contains(" is outside of the recording, which goes from "), "{wrong}");
    let list = Config { detect_list: vec!["/nonexistent".into()], ..Config::default() };
    assert_eq!(error(&str::to_owned, &list), "failed to read /nonexistent");
}

#[test]
fn thresholds_of_nobody_are_noticed() {
    let config = Config {
        detect_threshold: ["nobody:guard.restart=1", "alice:guard.restart=1", "_fleet:d55.depth_warn=1"]
            .map(|setting| setting.parse().unwrap())
            .to_vec(),
        ..Config::default()
    };
    assert_eq!(strangers(&config.thresholds(), &["alice", "bob"]), ["nobody"]);
}

#[test]
fn a_finding_is_a_line() {
    let (events, _) = storm();
    let said = played(&Config::default(), events);
    let opened = said.iter().find(|statement| matches!(statement.kind, event::Kind::FindingOpened(_))).unwrap();
    let line = crate::logger::Line(&event(opened, 0), crate::logger::Colour::Off).to_string();
    expect!["06:10:25.000011 alice ! WARN opened D39 inv_queue node: many announcements wait: 12000 for one peer, 119006 for all; the handler uses 19 % of a CPU; a ping waits 0.0 s · fbaefd81d34d3494"].assert_eq(&line);
}
