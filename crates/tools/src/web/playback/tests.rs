use super::*;
use event::{NetPing, Source};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_750_000_000 * SECOND;

/// A recording with an event in each of these seconds, and the player of it.
struct World {
    player: Player,
    start: Instant,
    opened: Arc<std::sync::Mutex<Vec<u64>>>,
}

impl World {
    fn new(seconds: &'static [u64]) -> Self {
        let opened: Arc<std::sync::Mutex<Vec<u64>>> = Arc::default();
        let log = Arc::clone(&opened);
        let open = move |from: u64| {
            log.lock().unwrap().push(from.saturating_sub(START) / SECOND);
            let event = |second: u64| Event {
                time: START + second * SECOND,
                ..Event::new("a", Source::Ebpf, NetPing { peer: second, ..Default::default() })
            };
            let events = seconds.iter().copied().map(event).filter(move |event| event.time >= from);
            Ok(Box::new(events.map(Ok)) as Events)
        };
        let to = START + seconds.last().unwrap() * SECOND;
        let recording = Recording { open: Arc::new(open), from: START, to };
        let start = Instant::now();
        Self { player: Player::new(recording, 1.0, start).unwrap(), start, opened }
    }

    fn at(&self, seconds: f64) -> Instant {
        self.start + Duration::from_secs_f64(seconds)
    }

    /// What is due at a moment, in seconds of the recording; `~` before what is only looked at.
    async fn due(&mut self, seconds: f64) -> String {
        let now = self.at(seconds);
        let mut seen = vec![];
        loop {
            while self.player.wants_more() {
                let batch = self.player.more().await;
                self.player.take(batch);
            }
            let due = self.player.due(now);
            let mark = if due.shown { "" } else { "~" };
            seen.extend(due.events.iter().map(|event| format!("{mark}{}", (event.time - START) / SECOND)));
            assert!(due.events.iter().all(|event| event.replay));
            if due.events.is_empty() && !due.changed {
                return seen.join(" ");
            }
        }
    }

    fn order(&mut self, seconds: f64, text: &str) -> bool {
        let (command, at) = Command::parse(text.as_bytes()).unwrap();
        self.player.follow(&command, at, self.at(seconds))
    }

    fn position(&self, seconds: f64) -> f64 {
        let shown = self.player.show(self.at(seconds));
        (shown["position"].as_str().unwrap().parse::<u64>().unwrap() - START) as f64 / 1e9
    }
}

fn at(second: u64) -> String {
    format!(r#"{{"at":"{}"}}"#, START + second * SECOND)
}

#[tokio::test]
async fn it_keeps_the_pace_and_stops_when_told() {
    let mut world = World::new(&[0, 1, 2, 10, 20]);
    assert_eq!(world.due(0.0).await, "0");
    assert_eq!(world.due(1.5).await, "1");
    assert_eq!(world.position(1.5), 1.5);
    assert!(!world.order(1.5, r#"{"playing":false}"#));
    assert_eq!((world.due(100.0).await.as_str(), world.position(100.0)), ("", 1.5));
    world.order(100.0, r#"{"playing":true,"speed":10}"#);
    assert_eq!(world.due(100.5).await, "2");
    assert_eq!(world.player.next(world.at(100.5)), Some(world.at(100.85)));
    assert_eq!(world.due(110.0).await, "10 20");
    let shown = world.player.show(world.at(111.0));
    assert_eq!((&shown["ended"], &shown["playing"]), (&json!(true), &json!(false)));
    assert_eq!(world.position(111.0), 20.0);
    // once more
    assert!(world.order(112.0, r#"{"playing":true}"#));
    assert_eq!(world.due(112.0).await, "0");
    assert_eq!(world.due(112.2).await, "1 2");
}

#[tokio::test]
async fn a_jump_looks_at_what_is_before_and_shows_what_is_after() {
    let mut world = World::new(&[0, 1, 5, 4000, 4001, 9000]);
    assert_eq!(world.due(0.0).await, "0");
    // a little forward: it reads on
    assert!(!world.order(0.5, &at(5)));
    assert_eq!(world.due(0.5).await, "~1 5");
    // far: an hour before it is read first
    assert!(world.order(1.0, &at(4001)));
    assert_eq!(world.due(1.0).await, "~4000 4001");
    // back, standing still: what happened at that moment is not shown before it goes on
    assert!(world.order(2.0, &at(1).replace('}', r#","playing":false}"#)));
    assert_eq!((world.due(50.0).await.as_str(), world.position(50.0)), ("~0", 1.0));
    world.order(50.0, r#"{"playing":true}"#);
    assert_eq!(world.due(51.0).await, "1");
    assert_eq!(*world.opened.lock().unwrap(), [0, 401, 0]);
    // out of its range: to its ends
    assert!(world.order(60.0, r#"{"at":"2001-01-01T00:00:00Z"}"#));
    assert_eq!(world.due(60.0).await, "0");
    assert!(world.order(61.0, r#"{"at":"2099-01-01T00:00:00Z"}"#));
    assert_eq!((world.due(61.0).await.as_str(), world.position(61.0)), ("9000", 9000.0));
}

#[tokio::test]
async fn what_cannot_be_read_is_told_and_the_rest_is_played() {
    let ping = |second: u64| Event { time: START + second * SECOND, ..Event::new("a", Source::Ebpf, NetPing::default()) };
    let open = move |_| {
        let events = [Ok(ping(0)), Err(anyhow::anyhow!("frame 7 is damaged")), Ok(ping(1))];
        Ok(Box::new(events.into_iter()) as Events)
    };
    let recording = Recording { open: Arc::new(open), from: START, to: START + SECOND };
    let start = Instant::now();
    let mut world = World { player: Player::new(recording, 1.0, start).unwrap(), start, opened: Arc::default() };
    assert_eq!(world.due(5.0).await, "0 1");
    assert_eq!(world.player.show(start)["error"], "frame 7 is damaged");
}

#[track_caller]
fn refused(text: &str, because: &str) {
    let error = Command::parse(text.as_bytes()).unwrap_err().to_string();
    assert!(error.contains(because), "{error}");
}

#[test]
fn commands_are_checked() {
    refused("", "not a command");
    refused(r#"{"play":true}"#, "unknown field `play`");
    refused(r#"{"speed":0}"#, "from 0.1 to 1000");
    refused(r#"{"speed":1e400}"#, "not a command");
    refused(r#"{"at":"yesterday"}"#, "`at` is a time");
    refused(r#"{"at":"1960-01-01T00:00:00Z"}"#, "`at` is a time");
    let (_, at) = Command::parse(br#"{"at":"2026-05-01T12:00:00.5+02:00"}"#).unwrap();
    assert_eq!(at, Some(1_777_629_600_500_000_000));
}

proptest::proptest! {
    #[test]
    fn no_command_makes_it_panic(text in ".{0,200}", key in "(playing|speed|at)", value in ".{0,30}") {
        let _ = Command::parse(text.as_bytes());
        let _ = Command::parse(format!("{{{key:?}:{value:?}}}").as_bytes());
        let _ = Command::parse(format!("{{{key:?}:{value}}}").as_bytes());
    }
}
