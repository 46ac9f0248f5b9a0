//! An operator of nodes: `run` beside them with a book, a webhook and a real Alertmanager, and what arrives at each of the four.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use testkit::http::{self, Arrived, OK};
use testkit::wait::until;
use testkit::{Alertmanager, Node};

use crate::program::{Running, output, program};

/// What messages are signed with.
const SECRET: &str = "0123456789abcdef";

/// What `run` starts by itself, but for what takes a port: several of these run at once.
const PARTS: &str = "[ebpf]\n[rpc]\n[log]\n[proc]\n[join]\n[logger]\nkinds = [\"finding\"]\n";

/// See the module.
pub struct Operator {
    running: Mutex<Running>,
    screen: Heard<String>,
    webhook: Heard<Arrived>,
    /// `None` where there is none to start.
    alertmanager: Option<Alertmanager>,
    /// Whom that tells.
    _duty: Heard<Arrived>,
    book: String,
    _folder: TempDir,
}

/// What somebody is told of: a detector's findings at a node; of the fleet, where nodes are compared.
#[derive(Clone, Copy, Debug)]
pub struct Matter<'a> {
    pub detector: &'a str,
    pub node: &'a str,
}

/// Seconds after which something was at each of the four.
pub struct Arrival {
    screen: f64,
    book: f64,
    webhook: f64,
    alertmanager: Option<f64>,
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { screen, book, webhook, alertmanager } = self;
        write!(f, "screen {screen:.1} s, book {book:.1} s, webhook {webhook:.1} s")?;
        alertmanager.map_or(Ok(()), |after| write!(f, ", Alertmanager {after:.1} s"))
    }
}

/// A line of the screen about a finding: `12:00:00.000000 alice ! WARN opened D39 inv_queue node: … · 0123456789abcdef`
struct Line<'a> {
    rings: bool,
    lasts: bool,
    id: &'a str,
}

impl<'a> Line<'a> {
    /// What it says of this matter, if it is about that.
    fn of(line: &'a str, matter: Matter<'_>) -> Option<Self> {
        let mut words = line.split(' ').skip(1);
        let about = words.next()? == matter.node && words.next()? == "!";
        let (severity, what) = (words.next()?, words.next()?);
        let id = line.rsplit(' ').next()?;
        let lasts = matches!(what, "opened" | "updated");
        (about && words.next()? == matter.detector).then_some(Self { rings: lasts && severity != "INFO", lasts, id })
    }
}

impl Operator {
    /// Starts it, with thresholds that shorten what would hold up a test, a line each.
    pub fn beside(nodes: &[(&str, &Node)], thresholds: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (config, book, secret) = (file("peer-observer.toml"), file("book"), file("secret"));
        let (hook, arrivals) = http::receiver(|_| OK).unwrap();
        let (duty, calls) = http::receiver(|_| OK).unwrap();
        let alertmanager = Alertmanager::start(&duty).unwrap();
        let mut text = format!("{PARTS}[detect.thresholds]\n{thresholds}\n[incidents]\nbook = {book:?}\n");
        text += &format!("[messages]\nwebhook = [{hook:?}]\nwebhook-secret-file = {secret:?}\n");
        if let Some(alertmanager) = &alertmanager {
            text += &format!("alertmanager = [{:?}]\n", alertmanager.url());
        }
        for (name, node) in nodes {
            text += &format!("[node.{name}]\ndatadir = {:?}\n", node.datadir());
        }
        std::fs::write(&secret, SECRET).unwrap();
        std::fs::write(&config, text).unwrap();
        let mut running = Running::start(program().arg("--config").arg(&config).arg("run"));
        for _ in nodes {
            running.wait_for_error("probes", |line| line.contains("watching the node"));
        }
        let screen = Heard::of(running.take_stdout());
        let running = Mutex::new(running);
        let (webhook, duty) = (Heard::of(arrivals), Heard::of(calls));
        Self { running, screen, webhook, alertmanager, _duty: duty, book, _folder: folder }
    }

    /// Waits until a finding that rings is on the screen, and its incident in the book, at the webhook and at the Alertmanager: all of them so long
    /// after `begun`. Gives the incident's number.
    #[track_caller]
    pub fn hears(&self, matter: Matter<'_>, begun: Instant, limit: Duration) -> (u64, Arrival) {
        let rings = |line: &String| Line::of(line, matter).is_some_and(|line| line.rings);
        let left = || limit.saturating_sub(begun.elapsed());
        let (shown, _) = self.wait("the line", matter, left(), || self.screen.first(rings));
        let number = self.wait("the incident", matter, left(), || self.number(matter));
        let book = begun.elapsed().as_secs_f64();
        let (told, message) = self.wait("the message", matter, left(), || self.webhook.first(|arrived| is_of(arrived, number)));
        assert!(message.is_signed_with(SECRET), "{message:?}");
        let json = message.json();
        // what began as information is told when it is worse
        let begins = ["opened", "worse"].map(Value::from).contains(&json["change"]);
        let named = json["title"].as_str().is_some_and(|title| title.contains(&format!("({})", matter.detector)));
        assert!(begins && named && json["state"] == "open" && json["severity"] != "info", "{matter:?}: {json:#}");
        let up = |alertmanager: &Alertmanager| alertmanager.of_incident(number).filter(|up| up.len() == 1);
        let alertmanager = self.alertmanager.as_ref().map(|alertmanager| {
            self.wait("the alert", matter, left(), || up(alertmanager));
            begun.elapsed().as_secs_f64()
        });
        (number, Arrival { screen: after(begun, shown), book, webhook: after(begun, told), alertmanager })
    }

    /// Waits until the findings are over on the screen and the incident with them, everywhere.
    #[track_caller]
    pub fn hears_the_end(&self, matter: Matter<'_>, number: u64, begun: Instant, limit: Duration) -> Arrival {
        let left = || limit.saturating_sub(begun.elapsed());
        let cleared = self.wait("the end on the screen", matter, left(), || self.cleared(matter));
        let over = |arrived: &Arrived| is_of(arrived, number) && arrived.json()["change"] == "resolved";
        let (told, message) = self.wait("the last message", matter, left(), || self.webhook.first(over));
        assert!(message.is_signed_with(SECRET) && message.json()["state"] == "resolved", "{message:?}");
        // what is told is in the book before
        let incident = self.incidents().into_iter().find(|incident| self::number(incident) == number);
        assert!(incident.as_ref().is_some_and(|incident| incident["state"] == "resolved"), "{matter:?}: {incident:#?}");
        let book = begun.elapsed().as_secs_f64();
        let down = |alertmanager: &Alertmanager| alertmanager.of_incident(number).filter(Vec::is_empty);
        let alertmanager = self.alertmanager.as_ref().map(|alertmanager| {
            self.wait("the end of the alert", matter, left(), || down(alertmanager));
            begun.elapsed().as_secs_f64()
        });
        Arrival { screen: after(begun, cleared), book, webhook: after(begun, told), alertmanager }
    }

    pub fn ends(self) {
        let (_, errors, status) = self.running.into_inner().unwrap().end(Signal::INT);
        assert!(status.success(), "{errors:#?}");
    }

    /// As `until`, with what is on the screen when it does not come.
    #[track_caller]
    fn wait<T>(&self, what: &str, matter: Matter<'_>, limit: Duration, mut check: impl FnMut() -> Option<T>) -> T {
        until(what, limit, || Ok(check())).unwrap_or_else(|error| {
            let about = |line: &String| line.split(' ').nth(1) == Some(matter.node);
            panic!("{matter:?}: {error}; the screen:\n{:#?}\nthe book:\n{:#?}", self.screen.all(about), self.incidents());
        })
    }

    /// When none of the findings lasted any more.
    fn cleared(&self, matter: Matter<'_>) -> Option<Instant> {
        let mut last = BTreeMap::new();
        for (at, line) in self.screen.lock().iter() {
            if let Some(line) = Line::of(line, matter) {
                last.insert(line.id.to_owned(), (line.lasts, *at));
            }
        }
        if last.values().any(|(lasts, _)| *lasts) { None } else { last.into_values().map(|(_, at)| at).max() }
    }

    /// All of the book.
    fn incidents(&self) -> Vec<Value> {
        let listed = output(&["incidents", "list", "--format", "json", "--incidents-book", &self.book]);
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        String::from_utf8(listed.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The open incident that such findings are in.
    fn number(&self, matter: Matter<'_>) -> Option<u64> {
        let says = |incident: &Value, list: &str, fits: &dyn Fn(&Value) -> bool| {
            incident[list].as_array().is_some_and(|all| all.iter().any(fits))
        };
        let is_it = |incident: &Value| {
            let detector = says(incident, "detectors", &|detector| detector == matter.detector);
            let node = says(incident, "places", &|place| place["node"] == matter.node) || matter.node == detect::FLEET;
            detector && node && incident["state"] == "open"
        };
        self.incidents().iter().find(|incident| is_it(incident)).map(number)
    }
}

/// Of the one JSON form: 64-bit integers are strings.
fn number(incident: &Value) -> u64 {
    incident["number"].as_str().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{incident:#}"))
}

fn is_of(arrived: &Arrived, number: u64) -> bool {
    let json = arrived.json();
    json["type"] == "incident" && json["number"] == number
}

fn after(begun: Instant, at: Instant) -> f64 {
    at.saturating_duration_since(begun).as_secs_f64()
}

/// What came, and when; several may look for something in it.
struct Heard<T>(Arc<Mutex<Vec<(Instant, T)>>>);

impl<T: Send + Clone + 'static> Heard<T> {
    fn of(arrivals: Receiver<T>) -> Self {
        let heard = Self(Arc::default());
        let all = Arc::clone(&heard.0);
        std::thread::spawn(move || arrivals.iter().for_each(|arrived| all.lock().unwrap().push((Instant::now(), arrived))));
        heard
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, T)>> {
        self.0.lock().unwrap()
    }

    fn first(&self, fits: impl Fn(&T) -> bool) -> Option<(Instant, T)> {
        self.lock().iter().find(|(_, arrived)| fits(arrived)).cloned()
    }

    fn all(&self, fits: impl Fn(&T) -> bool) -> Vec<T> {
        self.lock().iter().map(|(_, arrived)| arrived).filter(|arrived| fits(arrived)).cloned().collect()
    }
}
