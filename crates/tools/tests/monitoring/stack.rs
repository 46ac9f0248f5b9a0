//! The whole way: events → metrics → a real Prometheus → its rules → a real Alertmanager → whoever is told.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bus::{Bus, Limits};
use event::{Direction, Event, HealthLost, Kind, LossStage, NetPing, Source};
use serde_json::Value;
use tempfile::TempDir;
use testkit::Alertmanager;

use super::{installed, place};

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(command: &mut Command, log: &Path) -> Running {
    let log = fs::File::create(log).unwrap();
    Running(command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
}

fn get(port: u16, path: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

/// What is asked for, as soon as it is there.
fn until<T>(what: &str, logs: &[&Path], mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        if start.elapsed() > PATIENCE {
            let logs: Vec<String> = logs.iter().map(|log| fs::read_to_string(log).unwrap_or_default()).collect();
            panic!("{what} did not come; the logs say:\n{}", logs.join("\n"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The value of a query that has one answer.
fn value(port: u16, query: &str) -> Option<f64> {
    let escaped: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let answer = get(port, &format!("/api/v1/query?query={escaped}"))?;
    answer["data"]["result"].as_array()?.first()?["value"][1].as_str()?.parse().ok()
}

/// The next alert that is sent to this listener.
fn delivered(listener: &TcpListener) -> Option<Value> {
    let (stream, _) = listener.accept().ok()?;
    stream.set_nonblocking(false).ok()?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if let Some(told) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = told.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()?;
    serde_json::from_slice(&body).ok()
}

fn committed(file: &str) -> String {
    fs::read_to_string(place("deploy/prometheus").join(file)).unwrap()
}

/// The committed configuration of Prometheus, but for its addresses and times.
fn configuration(folder: &TempDir, metrics: SocketAddr, alertmanager: &Alertmanager) {
    let write = |file: &str, text: String| fs::write(folder.path().join(file), text).unwrap();
    let prometheus = committed("prometheus.yml")
        .replace("127.0.0.1:28445", &metrics.to_string())
        .replace("127.0.0.1:9093", alertmanager.url().trim_start_matches("http://"))
        .replace("15s", "1s");
    assert!(prometheus.contains(&metrics.to_string()) && prometheus.contains("scrape_interval: 1s"));
    write("prometheus.yml", prometheus);
    write("alerts.yml", committed("alerts.yml"));
    write(
        "recording.yml",
        committed("recording.yml").replace("interval: 1m", "interval: 1s").replace("interval: 5m", "interval: 1s"),
    );
}

/// That of the Alertmanager, but for a receiver, and for how long it waits.
fn routes(webhook: SocketAddr) -> String {
    let receiver = format!("  - name: operator\n    webhook_configs:\n      - url: http://{webhook}/\n");
    let routes = committed("alertmanager.yml");
    let routes = routes.replace("group_wait: 10s", "group_wait: 0s").replace("  - name: operator\n", &receiver);
    assert!(routes.contains("webhook_configs"));
    routes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_was_lost_reaches_the_operator() {
    if !installed("prometheus") || !installed("prometheus-alertmanager") {
        return;
    }
    let config = tools::metrics::Config { metrics_listen: ([127, 0, 0, 1], 0).into(), metrics_lists: vec![] };
    let listener = config.listen().unwrap();
    let metrics = listener.local_addr().unwrap();
    let bus = Bus::local();
    let events = bus.subscribe(tools::metrics::wanted(), Limits::default()).await.unwrap();
    let tool = tokio::spawn(tools::metrics::run(config.read().unwrap(), events, listener, std::future::ready(())));
    // the bundled recording, as in a replay
    let recording = extract::recording::Recording::open(&place("fixtures/demo.rec")).unwrap();
    extract::replay::run(recording, extract::replay::Pace::Max, &bus).await.unwrap();
    bus.forward(event(ping())).await;
    bus.forward(event(HealthLost { stage: LossStage::Kernel.into(), count: 0, ..HealthLost::default() })).await;

    let (told, more) = tokio::sync::mpsc::channel(1);
    let seen = tokio::task::spawn_blocking(move || watch(metrics, told));
    // the loss comes once Prometheus has seen that there was none: an increase needs two values
    let mut more = more;
    more.recv().await.unwrap();
    bus.forward(event(HealthLost { stage: LossStage::Kernel.into(), count: 5, ..HealthLost::default() })).await;
    let alert = seen.await.unwrap();

    assert_eq!(alert["status"], "firing");
    let of_loss = alert["alerts"].as_array().unwrap().iter().find(|alert| alert["labels"]["alertname"] == "EventsLost").unwrap();
    assert_eq!(of_loss["labels"]["node"], "alice");
    assert_eq!(of_loss["labels"]["severity"], "warning");
    assert_eq!(of_loss["annotations"]["summary"], "events of alice were lost (kernel)");
    bus.close().await;
    tool.await.unwrap().unwrap();
}

fn event(kind: impl Into<Kind>) -> Event {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Event { time: now.as_nanos() as u64, ..Event::new("alice", Source::Ebpf, kind) }
}

fn ping() -> NetPing {
    NetPing { direction: Direction::Inbound.into(), size: 8, nonce: Some(1), ..NetPing::default() }
}

/// Starts both, looks at what they make of the page, says so, and waits for the alert of the loss.
fn watch(metrics: SocketAddr, scraped: tokio::sync::mpsc::Sender<()>) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let webhook = TcpListener::bind("127.0.0.1:0").unwrap();
    webhook.set_nonblocking(true).unwrap();
    let alertmanager = Alertmanager::configured(&routes(webhook.local_addr().unwrap())).unwrap().expect("it is installed");
    configuration(&folder, metrics, &alertmanager);
    let path = |name: &str| folder.path().join(name);
    let logs = [path("prometheus.log"), alertmanager.log()];
    let logs = logs.each_ref().map(std::path::PathBuf::as_path);
    let _prometheus = start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg("--web.listen-address=127.0.0.1:0"),
        logs[0],
    );
    let prometheus = until("Prometheus", &logs, || testkit::alertmanager::listens(logs[0])).port();
    // the last event of all: from here on nothing is counted any more
    until("a count of no loss", &logs, || value(prometheus, "peerobserver_events_lost_total{node=\"alice\",stage=\"kernel\"}"));
    // a scrape that came too late leaves no value until the next
    let ask = |query: &str| until(query, &logs, || value(prometheus, query));
    // what was counted is what can be asked for, over the page that Prometheus chose (OpenMetrics)
    assert_eq!(ask("peerobserver_blocks_connected_total{node=\"demo\"}"), 120.0);
    let pings = "sum(peerobserver_messages_total{node=\"demo\",message=\"ping\",direction=\"inbound\"})";
    assert_eq!(ask(pings), 152.0);
    let bucket = "peerobserver_inv_entries_bucket{node=\"demo\",direction=\"outbound\",le=\"+Inf\"}";
    assert_eq!(ask(bucket), ask("peerobserver_inv_entries_count{node=\"demo\",direction=\"outbound\"}"));
    until("a scrape", &logs, || value(prometheus, "up{job=\"peer-observer\"}").filter(|up| *up == 1.0));
    // a rule was evaluated
    let recorded = ask("peerobserver:signal{node=\"demo\",signal=\"inbound_peers\"}");
    assert_eq!(recorded, ask("sum(peerobserver_peers{node=\"demo\",connection_type=\"inbound\"})"));
    scraped.blocking_send(()).unwrap();
    until("the alert", &logs, || {
        let alert = delivered(&webhook)?;
        let of_loss = alert["alerts"].as_array()?.iter().any(|alert| alert["labels"]["alertname"] == "EventsLost");
        of_loss.then_some(alert)
    })
}
