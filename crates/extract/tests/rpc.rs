//! The RPC extractor against servers that behave in every way a node, or something at a node's address, can.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bus::{Bus, Delivery, Limits, Subscription};
use event::{Event, FetchOutcome, Filter, HealthAttached, Kind, KindId, Source};
use extract::life::Life;
use extract::rpc::{self, Config, METHODS, Secret, Target};
use serde_json::json;
use tempfile::TempDir;
use testkit::{Node, need_node, node};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

const LONG: Duration = Duration::from_secs(60);

/// What a server does with a call.
enum Reply {
    /// A JSON-RPC result.
    Result(&'static str),
    /// A JSON-RPC error.
    Error(i64),
    /// An HTTP status with nothing behind it.
    Status(u16),
    /// A page with status 200.
    Page(String),
    /// These bytes, in place of HTTP; then the connection is closed.
    Bytes(&'static str),
    /// A body that does not end.
    Endless,
    /// Silence.
    Stall,
}

/// A server on loopback that answers by a rule.
struct Server {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
}

impl Server {
    /// `rule` gets the secret, the method, and how many calls there were before.
    fn start(rule: impl Fn(&str, &str, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let (rule, counter) = (Arc::new(rule), Arc::clone(&calls));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (rule, counter) = (Arc::clone(&rule), Arc::clone(&counter));
                thread::spawn(move || drop(serve(stream.unwrap(), &*rule, &counter)));
            }
        });
        Self { address, calls }
    }
}

fn serve(mut stream: TcpStream, rule: &dyn Fn(&str, &str, usize) -> Reply, calls: &AtomicUsize) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let (mut length, mut secret) = (0, String::new());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            match line.split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
                Some((name, value)) if name.eq_ignore_ascii_case("authorization") => secret = value.to_owned(),
                _ if line.is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let method = body["method"].as_str().or(body[0]["method"].as_str()).unwrap().to_owned();
        let http = |status: u16, body: &str| format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let answer = match rule(&secret, &method, calls.fetch_add(1, Ordering::SeqCst)) {
            Reply::Result(result) => http(200, &format!(r#"{{"jsonrpc":"2.0","result":{result},"id":0}}"#)),
            Reply::Error(code) => http(200, &format!(r#"{{"jsonrpc":"2.0","error":{{"code":{code},"message":"no"}},"id":0}}"#)),
            Reply::Status(status) => http(status, ""),
            Reply::Page(page) => http(200, &page),
            Reply::Bytes(bytes) => return stream.write_all(bytes.as_bytes()),
            Reply::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                loop {
                    stream.write_all(format!("10000\r\n{}\r\n", "[".repeat(1 << 16)).as_bytes())?;
                }
            }
            Reply::Stall => return reader.read_to_end(&mut Vec::new()).map(drop),
        };
        stream.write_all(answer.as_bytes())?;
    }
}

/// The extractor at work, and what it publishes.
struct Watched {
    events: Subscription,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    bus: Bus,
}

impl Watched {
    /// Only these intervals; everything else is off.
    async fn start(target: Target, intervals: &str) -> Self {
        Self::run(target, only(intervals)).await
    }

    /// Of a node whose process nobody looks for.
    async fn run(target: Target, config: Config) -> Self {
        Self::follow(Arc::new(move |_| target.clone()), watch::channel(None).1, config).await
    }

    /// Of a node with lives.
    async fn follow(locate: rpc::Locate, node: watch::Receiver<Option<Life>>, config: Config) -> Self {
        let bus = Bus::local();
        let events = bus.subscribe(Filter::all(), Limits::default()).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let out = bus.publisher("alice".parse().unwrap(), Source::Rpc);
        let task = tokio::spawn(rpc::run(config, locate, node, out, async { drop(stopped.await) }));
        Self { events, stop, task, bus }
    }

    async fn next(&mut self) -> Arc<Event> {
        match tokio::time::timeout(LONG, self.events.next()).await.expect("an event") {
            Some(Delivery::Event(event)) => event,
            other => panic!("{other:?}"),
        }
    }

    /// Waits for the first event that `wanted` gives a value for.
    async fn wait<T>(&mut self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        loop {
            if let Some(value) = wanted(&*self.next().await) {
                return value;
            }
        }
    }

    async fn wait_kind(&mut self, kind: KindId) -> Event {
        self.wait(|event| (event.id() == Some(kind)).then(|| event.clone())).await
    }

    async fn wait_detached(&mut self) -> String {
        self.wait(|event| match &event.kind {
            Some(Kind::HealthDetached(detached)) => Some(detached.reason.clone()),
            _ => None,
        })
        .await
    }

    async fn wait_attached(&mut self, wanted: impl Fn(&HealthAttached) -> bool) -> HealthAttached {
        self.wait(|event| match &event.kind {
            Some(Kind::HealthAttached(attached)) if wanted(attached) => Some(attached.clone()),
            _ => None,
        })
        .await
    }

    /// Stops it; the last event is a beat that accounts for all before.
    async fn stop(mut self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
        self.bus.close().await;
        let mut last = None;
        while let Some(Delivery::Event(event)) = self.events.next().await {
            last = Some(event);
        }
        let last = last.expect("a beat at the end");
        let Some(Kind::HealthBeat(beat)) = &last.kind else { panic!("{last:?}") };
        assert_eq!(beat.last_sequence, last.sequence.checked_sub(1));
        assert_eq!(beat.totals.iter().map(|total| total.total).sum::<u64>(), last.sequence);
    }
}

/// Only these intervals; everything else is off.
fn only(intervals: &str) -> Config {
    let off = METHODS.iter().map(|method| format!("{}=off", method.name));
    let rpc_interval = off.chain(intervals.split(',').map(str::to_owned)).map(|interval| interval.parse().unwrap()).collect();
    Config { rpc_interval, rpc_timeout: LONG }
}

fn cookie(folder: &TempDir, secret: &str) -> PathBuf {
    let path = folder.path().join(".cookie");
    std::fs::write(&path, secret).unwrap();
    path
}

fn target(server: &Server, folder: &TempDir) -> Target {
    at(server.address.to_string(), Secret::Cookie(cookie(folder, "__cookie__:00")))
}

fn at(address: String, secret: Secret) -> Target {
    Target { address, secret, of_process: true, unread: None }
}

const TOTALS: &str = r#"{"totalbytesrecv":1,"totalbytessent":2}"#;

/// `getpeerinfo` is answered badly, everything else well: the failure is named, and everything else goes on.
async fn check(outcome: FetchOutcome, error: &str, reply: impl Fn() -> Reply + Send + Sync + 'static) {
    let server = Server::start(move |_, method, _| match method {
        "uptime" => Reply::Result("100"),
        "getnettotals" => Reply::Result(TOTALS),
        "getpeerinfo" => reply(),
        other => panic!("{other} is switched off"),
    });
    let folder = TempDir::new().unwrap();
    let rpc_timeout = if outcome == FetchOutcome::Timeout { Duration::from_millis(500) } else { LONG };
    let config = Config { rpc_timeout, ..only("getpeerinfo=100ms,getnettotals=100ms") };
    let mut watched = Watched::run(target(&server, &folder), config).await;
    let fetched = watched.wait(|event| match &event.kind {
        Some(Kind::StateFetched(fetched)) if fetched.method == "getpeerinfo" => Some(fetched.clone()),
        _ => None,
    });
    let fetched = fetched.await;
    let text = fetched.error.clone().unwrap_or_default();
    assert_eq!(fetched.outcome(), outcome, "{text}");
    assert!(text.starts_with(error), "{text}");
    for _ in 0..3 {
        watched.wait_kind(KindId::StateNetTotals).await;
    }
    watched.stop().await;
}

#[tokio::test]
async fn a_page_in_place_of_an_answer() {
    let error = "the answer to getpeerinfo cannot be read: expected value at line 1 column 1; it begins with \"<html>hi</html>\"";
    check(FetchOutcome::Malformed, error, || Reply::Page("<html>hi</html>".into())).await;
}

#[tokio::test]
async fn something_that_is_not_http() {
    check(FetchOutcome::Malformed, "the answer to getpeerinfo cannot be read: ", || Reply::Bytes("SSH-2.0-OpenSSH_9.9\r\n\r\n"))
        .await;
}

#[tokio::test]
async fn half_an_answer() {
    check(FetchOutcome::Unreachable, "no answer from 127.0.0.1:", || {
        Reply::Bytes("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"resu")
    })
    .await;
}

#[tokio::test]
async fn a_connection_closed_without_a_word() {
    check(FetchOutcome::Unreachable, "no answer from 127.0.0.1:", || Reply::Bytes("")).await;
}

#[tokio::test]
async fn an_answer_that_is_announced_as_huge() {
    let error = "the answer to getpeerinfo is longer than 16777216 bytes";
    check(FetchOutcome::TooLarge, error, || Reply::Bytes("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n[")).await;
}

#[tokio::test]
async fn an_answer_without_end() {
    check(FetchOutcome::TooLarge, "the answer to getpeerinfo is longer than 16777216 bytes", || Reply::Endless).await;
}

#[tokio::test]
async fn an_answer_that_is_nested_deeply() {
    let deep = || Reply::Page(format!(r#"{{"result":[{{"id":1,"news":{}"#, "[".repeat(1 << 20)));
    check(FetchOutcome::Malformed, "the answer to getpeerinfo cannot be read: EOF while parsing a list", deep).await;
}

#[tokio::test]
async fn an_answer_of_the_wrong_type() {
    let error = "the answer to getpeerinfo cannot be read: invalid type: string \"one\", expected u64 at line 1 column 38";
    check(FetchOutcome::Malformed, error, || Reply::Result(r#"[{"id":"one"}]"#)).await;
}

#[tokio::test]
async fn an_answer_that_would_take_much_memory() {
    let many = || Reply::Page(format!(r#"{{"result":[{}]}}"#, vec![r#"{"id":1,"addr":""}"#; 200_000].join(",")));
    check(FetchOutcome::Malformed, "the answer to getpeerinfo cannot be read: a list of more than ", many).await;
}

#[tokio::test]
async fn a_method_that_is_not_allowed() {
    check(FetchOutcome::Forbidden, "this user may not call getpeerinfo", || Reply::Status(403)).await;
}

#[tokio::test]
async fn a_method_that_the_node_does_not_have() {
    check(FetchOutcome::UnknownMethod, "this node has no method getpeerinfo", || Reply::Error(-32601)).await;
}

#[tokio::test]
async fn a_method_that_fails() {
    check(FetchOutcome::Refused, "the node refused getpeerinfo: no (error -1)", || Reply::Error(-1)).await;
}

#[tokio::test]
async fn a_busy_node() {
    check(FetchOutcome::Busy, "the node is too busy to answer", || Reply::Status(503)).await;
}

#[tokio::test]
async fn no_answer() {
    check(FetchOutcome::Timeout, "no answer within 0.5 s", || Reply::Stall).await;
}

#[tokio::test]
async fn a_status_that_no_node_gives() {
    check(FetchOutcome::Malformed, "the answer to getpeerinfo cannot be read: HTTP status 418", || Reply::Status(418)).await;
}

#[tokio::test]
async fn what_is_not_allowed_is_listed_as_missing_and_called_once() {
    let server = Server::start(|_, method, _| match method {
        "uptime" => Reply::Result("100"),
        "getpeerinfo" => Reply::Status(403),
        _ => Reply::Result(TOTALS),
    });
    let folder = TempDir::new().unwrap();
    let mut watched = Watched::start(target(&server, &folder), "getpeerinfo=100ms,getnettotals=100ms").await;
    let attached = watched.wait_attached(|attached| !attached.missing.is_empty()).await;
    assert_eq!((attached.attached, attached.missing), (vec!["getnettotals".to_owned()], vec!["getpeerinfo".to_owned()]));
    for _ in 0..5 {
        let event = watched.wait_kind(KindId::StateFetched).await;
        let Some(Kind::StateFetched(fetched)) = event.kind else { unreachable!() };
        assert_eq!(fetched.method, "getnettotals");
    }
    watched.stop().await;
}

#[tokio::test]
async fn a_node_that_starts_is_waited_for_and_not_asked_much() {
    let server = Server::start(|_, method, calls| match method {
        _ if calls < 3 => Reply::Error(-28),
        "uptime" => Reply::Result("1"),
        _ => Reply::Result(TOTALS),
    });
    let folder = TempDir::new().unwrap();
    let mut watched = Watched::start(target(&server, &folder), "getnettotals=100ms").await;
    assert_eq!(watched.wait_detached().await, "the node is starting: no");
    watched.wait_attached(|_| true).await;
    watched.wait_kind(KindId::StateNetTotals).await;
    watched.stop().await;
}

#[tokio::test]
async fn a_cookie_is_read_again_when_it_changed_and_not_tried_twice_before() {
    let server = Server::start(|secret, method, _| match method {
        // __cookie__:11
        _ if secret != "Basic X19jb29raWVfXzoxMQ==" => Reply::Status(401),
        "uptime" => Reply::Result("1"),
        _ => Reply::Result(TOTALS),
    });
    let folder = TempDir::new().unwrap();
    let mut watched = Watched::start(target(&server, &folder), "getnettotals=100ms").await;
    assert_eq!(watched.wait_detached().await, "the node does not accept user `__cookie__` with this password");
    for _ in 0..2 {
        watched.wait_kind(KindId::HealthBeat).await;
    }
    assert_eq!(server.calls.load(Ordering::SeqCst), 1);
    cookie(&folder, "__cookie__:11");
    watched.wait_attached(|_| true).await;
    watched.wait_kind(KindId::StateNetTotals).await;
    watched.stop().await;
}

/// Another life may listen elsewhere, and know another secret; what was refused by the one before is tried at once.
#[tokio::test]
async fn another_life_is_asked_where_it_is_and_may_know_the_same_secret() {
    let one = Server::start(|_, _, _| Reply::Status(401));
    let two = Server::start(|_, method, _| match method {
        "uptime" => Reply::Result("1"),
        _ => Reply::Result(TOTALS),
    });
    let folder = TempDir::new().unwrap();
    let (first, second) = (target(&one, &folder), target(&two, &folder));
    let locate: rpc::Locate = Arc::new(move |life| match life {
        Some(life) if life.node_run == 2 => second.clone(),
        _ => first.clone(),
    });
    let life = |node_run| Some(Life { pid: std::process::id(), node_run, datadir: None });
    let (lives, node) = watch::channel(None);
    let mut watched = Watched::follow(locate, node, only("getnettotals=100ms")).await;
    let refused = "the node does not accept user `__cookie__` with this password";
    assert_eq!(watched.wait_detached().await, refused);
    lives.send_replace(life(1));
    // without this it would be asked again after half a minute
    let calls = one.calls.clone();
    until(move || calls.load(Ordering::SeqCst) >= 2).await;
    lives.send_replace(life(2));
    let attached = watched.wait_attached(|_| true).await;
    assert_eq!((attached.pid, attached.target), (Some(std::process::id()), two.address.to_string()));
    assert_eq!(watched.wait_kind(KindId::StateNetTotals).await.node_run, Some(2));
    watched.stop().await;
}

/// Waits for something that another thread does.
async fn until(mut done: impl FnMut() -> bool + Send + 'static) {
    let wait = move || testkit::wait::until("it to happen", LONG, || Ok(done().then_some(())));
    tokio::task::spawn_blocking(wait).await.unwrap().unwrap();
}

/// At an address that somebody said there may be another node than the one on this machine.
#[tokio::test]
async fn the_process_here_says_nothing_of_a_node_elsewhere() {
    let seconds = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let start = seconds() - 1000;
    let server = Server::start(move |_, method, _| match method {
        "uptime" => Reply::Page(format!(r#"{{"result":{},"id":0}}"#, seconds() - start)),
        _ => Reply::Result(TOTALS),
    });
    let folder = TempDir::new().unwrap();
    for (here, expected) in [(start, true), (start - 4000, false)] {
        let elsewhere = Target { of_process: false, ..target(&server, &folder) };
        let (_lives, node) = watch::channel(Some(Life { pid: std::process::id(), node_run: here, datadir: None }));
        let mut watched = Watched::follow(Arc::new(move |_| elsewhere.clone()), node, only("getnettotals=100ms")).await;
        let attached = watched.wait_attached(|_| true).await;
        assert_eq!(attached.pid, expected.then_some(std::process::id()));
        let node_run = watched.wait_kind(KindId::StateNetTotals).await.node_run.unwrap();
        assert_eq!(node_run == here, expected);
        assert!(expected || node_run.abs_diff(start) <= 3, "{node_run}, not {start}");
        watched.stop().await;
    }
}

/// It answers before its process is found: what is published is told under the start of the process all the same.
#[tokio::test]
async fn a_process_that_is_found_late_is_waited_for() {
    let server = Server::start(|_, method, calls| match method {
        // starting takes it longer than anybody waits for a process
        _ if calls < 9 => Reply::Error(-28),
        "uptime" => Reply::Result("1000"),
        _ => Reply::Result(TOTALS),
    });
    let folder = TempDir::new().unwrap();
    let here = target(&server, &folder);
    let (lives, node) = watch::channel(None);
    let calls = server.calls.clone();
    let mut watched = Watched::follow(Arc::new(move |_| here.clone()), node, only("getnettotals=100ms")).await;
    until(move || calls.load(Ordering::SeqCst) >= 11).await;
    lives.send_replace(Some(Life { pid: std::process::id(), node_run: 7, datadir: None }));
    let attached = watched.wait_attached(|_| true).await;
    assert_eq!(attached.pid, Some(std::process::id()));
    assert_eq!(watched.wait_kind(KindId::StateNetTotals).await.node_run, Some(7));
    watched.stop().await;
}

/// Nobody can say who it is: after a while what it says of itself has to do.
#[tokio::test]
async fn a_process_that_is_never_found_is_not_waited_for_long() {
    let server = Server::start(|_, method, _| match method {
        "uptime" => Reply::Result("1000"),
        _ => Reply::Result(TOTALS),
    });
    let folder = TempDir::new().unwrap();
    let here = target(&server, &folder);
    let (_lives, node) = watch::channel(None);
    let mut watched = Watched::follow(Arc::new(move |_| here.clone()), node, only("getnettotals=100ms")).await;
    let attached = watched.wait_attached(|_| true).await;
    assert_eq!(attached.pid, None);
    assert!(watched.wait_kind(KindId::StateNetTotals).await.node_run.is_some());
    watched.stop().await;
}

#[tokio::test]
async fn a_node_that_is_not_there_and_a_cookie_that_is_not_there() {
    // a port that is taken, and where nobody listens
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = socket.local_addr().unwrap().to_string();
    let folder = TempDir::new().unwrap();
    let mut target = at(nobody.clone(), Secret::Cookie(cookie(&folder, "a:b")));
    let mut watched = Watched::start(target.clone(), "uptime=1s").await;
    let reason = watched.wait_detached().await;
    assert_eq!(reason, format!("no answer from {nobody}: Connection refused (os error 111)"));
    watched.stop().await;
    target.secret = Secret::Cookie("/nonexistent/.cookie".into());
    let mut watched = Watched::start(target, "uptime=1s").await;
    let reason = watched.wait_detached().await;
    assert_eq!(reason, "failed to read the cookie /nonexistent/.cookie: No such file or directory (os error 2)");
    watched.stop().await;
}

/// As HTTP servers of the future may do.
#[tokio::test]
async fn a_server_that_closes_after_each_answer() {
    let server = Server::start(|_, method, _| match method {
        "uptime" => Reply::Bytes("HTTP/1.1 200 OK\r\nContent-Length: 14\r\nConnection: close\r\n\r\n{\"result\":100}"),
        _ => Reply::Bytes("HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{\"result\":{}}"),
    });
    let folder = TempDir::new().unwrap();
    let mut watched = Watched::start(target(&server, &folder), "uptime=100ms").await;
    watched.wait_attached(|_| true).await;
    let mut beats = 0;
    while beats < 3 {
        let event = watched.next().await;
        assert!(!matches!(event.kind, Some(Kind::HealthDetached(_))), "{event:?}");
        beats += usize::from(event.id() == Some(KindId::HealthBeat));
    }
    // it is asked more often than it would be, but not without pause: that would be thousands
    let calls = server.calls.load(Ordering::SeqCst);
    assert!(calls < 1000, "{calls} calls in three beats");
    watched.stop().await;
}

fn target_of(node: &Node) -> Target {
    at(node.rpc_address().to_string(), Secret::Cookie(node.cookie()))
}

/// A life of the node, with a start that nobody else would say: whoever says it has it from here.
fn life_of(node: &Node, node_run: u64) -> Option<Life> {
    Some(Life { pid: node.pid()?, node_run, datadir: None })
}

/// Blocking work with the node, on a thread of its own.
async fn with<T: Send + 'static>(mut node: Node, work: impl FnOnce(&mut Node) -> T + Send + 'static) -> (Node, T) {
    tokio::task::spawn_blocking(move || {
        let value = work(&mut node);
        (node, value)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn everything_that_a_real_node_offers_is_published() {
    need_node!();
    let node = Node::start(node::Options::default()).unwrap();
    let (target, (_lives, life)) = (target_of(&node), watch::channel(life_of(&node, 42)));
    let mut watched = Watched::follow(Arc::new(move |_| target.clone()), life, Config::default()).await;
    let attached = watched.wait_attached(|_| true).await;
    assert_eq!((attached.pid, attached.attached.len()), (node.pid(), METHODS.len()));
    let mut missing: Vec<KindId> = METHODS.iter().map(|method| method.kind).chain([KindId::StateProfile]).collect();
    while !missing.is_empty() {
        let event = watched.next().await;
        if let Some(Kind::StateFetched(fetched)) = &event.kind {
            assert_eq!(fetched.outcome(), FetchOutcome::Ok, "{fetched:?}");
            assert!(fetched.duration > 0 && fetched.bytes > 0, "{fetched:?}");
        }
        assert_eq!(event.node_run, Some(42), "its process says when it was started: {event:?}");
        missing.retain(|kind| Some(*kind) != event.id());
    }
    watched.stop().await;
}

#[tokio::test]
async fn a_restarted_node_is_read_anew() {
    need_node!();
    let node = Node::start(node::Options::default()).unwrap();
    let (target, (lives, life)) = (target_of(&node), watch::channel(life_of(&node, 1)));
    let mut watched = Watched::follow(Arc::new(move |_| target.clone()), life, Config::default()).await;
    assert_eq!(watched.wait_kind(KindId::StatePeers).await.node_run, Some(1));

    let (node, ()) = with(node, |node| node.stop().unwrap()).await;
    let reason = watched.wait_detached().await;
    assert!(reason.starts_with("no answer from ") || reason.starts_with("failed to read the cookie"), "{reason}");
    lives.send_replace(None);
    let (node, ready) = with(node, |node| {
        node.start_again().unwrap();
        Instant::now()
    })
    .await;
    lives.send_replace(life_of(&node, 2));
    let attached = watched.wait_attached(|_| true).await;
    assert_eq!(attached.pid, node.pid());
    let peers = watched.wait_kind(KindId::StatePeers).await;
    // pauses that add up would be longer
    assert!(ready.elapsed() < Duration::from_secs(10), "{:?}", ready.elapsed());
    assert_eq!(peers.node_run, Some(2));

    // this time the end is noticed here first
    let (node, ()) = with(node, |node| node.kill().unwrap()).await;
    watched.wait_detached().await;
    let (node, ()) = with(node, |node| node.start_again().unwrap()).await;
    lives.send_replace(life_of(&node, 3));
    assert_eq!(watched.wait_kind(KindId::StatePeers).await.node_run, Some(3), "not that of the life before");
    watched.stop().await;
}

#[tokio::test]
async fn a_user_with_few_rights_is_enough_and_fewer_disable_what_they_forbid() {
    need_node!();
    let user = rpc::least_privilege_lines(&"observer".parse().unwrap()).unwrap();
    let folder = TempDir::new().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, format!("{}\n", user.password)).unwrap();
    let lines = |user: &rpc::User| user.lines.iter().map(|line| format!("-{line}")).collect::<Vec<_>>();

    let node = Node::start(node::Options { args: lines(&user), ..Default::default() }).unwrap();
    let target = |node: &Node| Target { secret: Secret::User("observer".into(), password.clone()), ..target_of(node) };
    let checked = rpc::check(&Config::default(), &target(&node)).await.unwrap();
    assert_eq!(checked.user, "observer");
    for (method, result) in checked.methods {
        assert!(result.is_ok(), "{method}: {result:?}");
    }
    // whitelists of one user are intersected
    let mut args = lines(&user);
    let all: Vec<_> =
        METHODS.iter().map(|method| method.name).filter(|name| !matches!(*name, "uptime" | "getrawaddrman")).collect();
    args.push(format!("-rpcwhitelist=observer:{}", all.join(",")));
    let node = with(node, |node| node.stop().unwrap()).await.0;
    drop(node);
    let node = Node::start(node::Options { args, ..Default::default() }).unwrap();
    let results = rpc::check(&Config::default(), &target(&node)).await.unwrap();
    let forbidden: Vec<_> = results.methods.into_iter().filter(|(_, result)| result.is_err()).map(|(name, _)| name).collect();
    assert_eq!(forbidden, ["uptime", "getrawaddrman"]);

    let config = Config { rpc_interval: vec!["getpeerinfo=100ms".parse().unwrap()], ..Config::default() };
    let (target, (_lives, life)) = (target(&node), watch::channel(life_of(&node, 42)));
    let mut watched = Watched::follow(Arc::new(move |_| target.clone()), life, config).await;
    let attached = watched.wait_attached(|attached| attached.missing.len() == 2).await;
    assert_eq!(attached.missing, ["uptime", "getrawaddrman"]);
    assert_eq!(watched.wait_kind(KindId::StatePeers).await.node_run, Some(42));
    let (_node, status) = with(node, |node| node.rpc("getblockcount", json!([])).is_ok()).await;
    assert!(status, "the cookie keeps its rights");
    watched.stop().await;
}
