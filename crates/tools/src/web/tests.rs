//! The server, over real connections.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use bus::{Bus, Limits, Publisher};
use event::{Filter, NetPing, Source};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::*;

mod hostile;
mod incidents;
mod leaks;

/// A server on a port of its own, and the bus that it reads.
struct World {
    bus: Bus,
    publisher: Publisher,
    address: SocketAddr,
    tool: JoinHandle<anyhow::Result<()>>,
}

fn config() -> Config {
    Config {
        web_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        web_token_file: None,
        web_behind_proxy: false,
        web_name: vec![],
        web_clients: 1000,
        web_redact: None,
        web_say: vec![],
    }
}

fn ping(peer: u64) -> NetPing {
    NetPing { peer, direction: event::Direction::Inbound.into(), size: 8, nonce: Some(7), ..Default::default() }
}

const TIME: u64 = 1_750_000_000_000_000_000;

impl World {
    async fn start(config: Config) -> Self {
        Self::with(config, Limits::default()).await
    }

    async fn with(config: Config, limits: Limits) -> Self {
        Self::reaching(config, limits, None).await
    }

    /// One that can reach a book.
    async fn reaching(config: Config, limits: Limits, book: Option<(Questions, String)>) -> Self {
        let listener = config.listen().unwrap();
        let address = listener.local_addr().unwrap();
        let bus = Bus::local();
        let events = bus.subscribe(Filter::all(), limits).await.unwrap();
        let mut reading = config.read().unwrap();
        book.into_iter().for_each(|(book, name)| reading.reach(book, name));
        let tool = tokio::spawn(run(reading, Input::Live(events), listener, std::future::pending()));
        let publisher = bus.publisher("alice".parse().unwrap(), Source::Ebpf);
        Self { bus, publisher, address, tool }
    }

    /// A server of a recording, which stops when it is told to.
    fn playing(config: &Config, recording: Recording) -> (Self, tokio::sync::oneshot::Sender<()>) {
        let listener = config.listen().unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async {
            let _ = stopped.await;
        };
        let tool = tokio::spawn(run(config.read().unwrap(), Input::Recording(recording, 1.0), listener, stopped));
        let bus = Bus::local();
        let publisher = bus.publisher("nobody".parse().unwrap(), Source::Tool);
        (Self { bus, publisher, address, tool }, stop)
    }

    fn url(&self) -> String {
        format!("ws://{}/api/stream", self.address)
    }

    async fn client(&self) -> Client {
        let (socket, _) = tokio_tungstenite::connect_async(self.url()).await.unwrap();
        Client { socket }
    }

    /// What the server answers to these bytes; the connection is closed with it.
    async fn ask(&self, request: String) -> String {
        let address = self.address;
        tokio::task::spawn_blocking(move || ask(address, request.as_bytes())).await.unwrap()
    }

    /// What is at a path.
    async fn get(&self, path: &str) -> String {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address)).await
    }

    /// The JSON at a path.
    async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    /// The JSON at a path, once it is as wanted.
    async fn json_with(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let value = self.json(path).await;
            if wanted(&value) {
                return value;
            }
            // no more often than one address may ask (`guard::RATE`)
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn end(self) {
        self.bus.close().await;
        self.tool.await.unwrap().unwrap();
    }
}

fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // it may be refused before it is written whole
    let _ = stream.write_all(request);
    let mut answer = vec![];
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The other side of a stream.
struct Client {
    socket: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
}

impl Client {
    async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next message that has this key.
    async fn next(&mut self, key: &str) -> Value {
        let wait = async {
            loop {
                let message = self.socket.next().await.expect("it goes on").unwrap();
                if let Message::Text(text) = message {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    if !value[key].is_null() {
                        return value[key].clone();
                    }
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap_or_else(|_| panic!("no `{key}` came"))
    }

    async fn subscribe(&mut self, text: &str) {
        self.say(text).await;
        self.next("subscribed").await;
    }

    /// So many events, and how many were missed before the last of them.
    async fn events(&mut self, count: usize) -> (Vec<Value>, u64) {
        let (mut events, mut missed) = (vec![], 0);
        let wait = async {
            while events.len() < count {
                let message = self.socket.next().await.expect("it goes on").unwrap();
                let Message::Text(text) = message else { continue };
                let value: Value = serde_json::from_str(&text).unwrap();
                missed += value["missed"].as_u64().unwrap_or(0);
                events.extend(value["events"].as_array().into_iter().flatten().cloned());
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("events come");
        (events, missed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_gets_what_it_asks_for_and_may_change_its_mind() {
    let world = World::start(config()).await;
    let mut client = world.client().await;
    client.subscribe(r#"{"kinds":["net.ping"],"peers":[2]}"#).await;
    for peer in [1, 2, 3, 2] {
        world.publisher.publish(TIME + peer, None, ping(peer));
    }
    let (events, missed) = client.events(2).await;
    let brief = |event: &Value| (event["kind"].clone(), event["netPing"]["peer"].clone());
    assert_eq!((brief(&events[1]), missed), (("net.ping".into(), "2".into()), 0));
    // the one JSON form, whatever brings it
    let same = Event { time: TIME + 2, run: world.publisher.run(), sequence: 1, ..Event::new("alice", Source::Ebpf, ping(2)) };
    assert_eq!(events[0], serde_json::to_value(&same).unwrap());
    client.say(r#"{"kinds":["net.pingg"]}"#).await;
    assert!(client.next("error").await.as_str().unwrap().contains("did you mean `net.ping`?"));
    client.subscribe(r#"{"kinds":["net"],"form":"brief","interval_ms":5}"#).await;
    world.publisher.publish(TIME, None, ping(9));
    let (events, _) = client.events(1).await;
    let expect =
        json!({ "time": TIME.to_string(), "node": "alice", "kind": "net.ping", "peer": "9", "direction": "inbound", "size": 8 });
    assert_eq!(events, [expect]);
    let beat = client.next("beat").await;
    assert_eq!((beat["time"].as_str(), beat["queued"].as_u64()), (Some((TIME + 3).to_string().as_str()), Some(0)));
    world.end().await;
    assert!(matches!(client.socket.next().await, Some(Ok(Message::Close(_)))), "the end of the bus ends the stream");
}

/// The events that are sent without a WebSocket, as text.
struct Pushed {
    pieces: std::sync::mpsc::Receiver<String>,
    /// All of it so far.
    text: String,
}

impl Pushed {
    fn open(address: SocketAddr, query: &str) -> Self {
        let (said, pieces) = std::sync::mpsc::channel();
        let request = format!("GET /api/events?{query} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut piece = vec![0; 1 << 16];
            loop {
                let length = stream.read(&mut piece).unwrap_or(0);
                if length == 0 || said.send(String::from_utf8_lossy(&piece[..length]).into_owned()).is_err() {
                    return;
                }
            }
        });
        Self { pieces, text: String::new() }
    }

    /// Reads until this came.
    fn until(&mut self, fits: &str) {
        let mut searched = 0;
        while !self.text[searched..].contains(fits) {
            // it may come in two pieces
            searched = self.text.floor_char_boundary(self.text.len().saturating_sub(fits.len()));
            let piece = tokio::task::block_in_place(|| self.pieces.recv_timeout(Duration::from_secs(60)));
            self.text += &piece.expect("it comes");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_come_without_a_websocket_too() {
    let world = World::start(config()).await;
    let mut stream = Pushed::open(world.address, "kinds=net.ping&form=brief");
    stream.until("data: {\"subscribed\":");
    world.publisher.publish(TIME, None, ping(3));
    stream.until("\"kind\":\"net.ping\"");
    let text = &stream.text;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"), "{text}");
    assert!(text.contains("data: {\"events\":[{"), "{text}");
    drop(stream);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_path_answers_as_it_is_described() {
    let world = World::start(config()).await;
    world.publisher.publish(TIME, Some(1), ping(3));
    world.publisher.publish(TIME, Some(1), incidents::opened(7));
    world.json_with("/api/peers", |peers| !peers["peers"][0].is_null()).await;
    world.json_with("/api/incidents", |incidents| !incidents["incidents"][0].is_null()).await;
    let described: Value = serde_json::from_str(schema::OPENAPI).unwrap();
    for (path, methods) in described["paths"].as_object().unwrap() {
        let query = if path == "/api/peer" { "?node=alice&id=3" } else { "" };
        if path == "/api/stream" || path == "/api/events" || path == "/incidents.atom" {
            continue;
        }
        let answer = world.json(&format!("{}{query}", path.replace("{number}", "7"))).await;
        let schema = &methods["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        for key in schema["required"].as_array().into_iter().flatten() {
            assert!(answer.get(key.as_str().unwrap()).is_some(), "{path} lacks {key}");
        }
        for key in answer.as_object().unwrap().keys() {
            let known = &schema["properties"];
            assert!(known.is_null() || !known[key].is_null(), "{path}: {key} is not described");
        }
    }
    let feed = world.get("/incidents.atom").await;
    assert!(feed.contains("content-type: application/atom+xml; charset=utf-8\r\n"), "{feed}");
    assert!(feed.contains("<id>tag:peer-observer,2026:incidents</id>") && feed.contains("/7</id>"), "{feed}");
    assert_eq!(world.json("/openapi.json").await, described);
    for (path, status) in [
        ("/api/peer?id=99", "404"),
        ("/api/peer", "400"),
        ("/api/peer?id=x", "400"),
        ("/api/nodes?node=bob", "404"),
        ("/api/incidents?node=bob", "404"),
        ("/incidents.atom?node=bob", "404"),
        ("/incidents.atom?book=b", "400"),
        ("/api/incidents/8", "404"),
        ("/api/incidents/x", "400"),
        ("/api/incidents/%ff", "400"),
        ("/api/incidents/7?node=alice", "400"),
        ("/api/nodes?nod=bob", "400"),
        ("/api/nodes?node=a&node=b", "400"),
        ("/api/events?kinds=nonsense", "400"),
        ("/api/stream", "426"),
        ("/api/", "404"),
        ("/api/../Cargo.toml", "404"),
        ("/%2e%2e/Cargo.toml", "404"),
        ("/..%2fCargo.toml", "404"),
        ("//etc/passwd", "404"),
    ] {
        let answer = world.get(path).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(answer.contains("\r\n\r\n{\"error\":\""), "{path}: {answer}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_served_with_everything_that_keeps_it_ours() {
    let world = World::start(config()).await;
    let page = world.get("/").await;
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    for header in [
        "HTTP/1.1 200 OK",
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
        "x-content-type-options: nosniff",
        "referrer-policy: same-origin",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(head.lines().any(|line| line == header), "{header} is not in {head}");
    }
    assert!(body.starts_with("<!doctype html>"), "{body}");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let again = format!("GET / HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {tag}\r\nConnection: close\r\n\r\n");
    let again = world.ask(again).await;
    assert!(again.starts_with("HTTP/1.1 304 ") && again.ends_with("\r\n\r\n"), "{again}");
    let posted = world.ask("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into()).await;
    assert!(posted.starts_with("HTTP/1.1 405 ") && posted.contains("nosniff"), "{posted}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_token_there_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "correct-horse-battery\n").unwrap();
    let world = World::start(Config { web_token_file: Some(file), ..config() }).await;
    for path in [
        "/incidents.atom",
        "/api/nodes",
        "/api/events",
        "/api/schema",
        "/openapi.json",
        "/nothing",
        "/api/nodes?token=correct-horse-battery",
    ] {
        let answer = world.get(path).await;
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("www-authenticate: Bearer"), "{path}: {answer}");
    }
    let refused = tokio_tungstenite::connect_async(world.url()).await.unwrap_err();
    assert!(matches!(&refused, tungstenite::Error::Http(answer) if answer.status() == 401), "{refused}");
    let mut request = world.url().into_client_request().unwrap();
    request.headers_mut().insert("authorization", "Bearer correct-horse-battery".parse().unwrap());
    tokio_tungstenite::connect_async(request).await.unwrap();
    // in a browser
    let page = world.ask("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nConnection: close\r\n\r\n".into()).await;
    assert!(page.starts_with("HTTP/1.1 303 ") && page.contains("location: /login\r\n"), "{page}");
    assert!(world.get("/login").await.contains("type=\"password\""));
    let form = |token: &str, origin: &str| {
        let body = format!("token={token}");
        format!(
            "POST /login HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    assert!(world.ask(form("wrong-horse-battery", "http://localhost")).await.starts_with("HTTP/1.1 401 "));
    assert!(world.ask(form("correct-horse-battery", "http://evil.example")).await.starts_with("HTTP/1.1 403 "));
    let answer = world.ask(form("correct%2Dhorse-battery", "http://localhost")).await;
    assert!(answer.starts_with("HTTP/1.1 303 ") && !answer.contains("horse"), "{answer}");
    let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.ends_with("; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict"), "{cookie}");
    let session = cookie.split_once(';').unwrap().0;
    let with = format!("GET /api/nodes HTTP/1.1\r\nHost: localhost\r\nCookie: {session}\r\nConnection: close\r\n\r\n");
    assert!(world.ask(with).await.starts_with("HTTP/1.1 200 "));
    world.end().await;
}

#[test]
fn on_other_addresses_something_must_keep_strangers_out() {
    let open = Config { web_listen: "0.0.0.0:0".parse().unwrap(), ..config() };
    let error = open.read().unwrap_err();
    assert!(matches!(error, ConfigError::Open(_)) && error.hint().contains("--web-token-file"), "{error}");
    assert!(Config { web_behind_proxy: true, ..open.clone() }.read().is_ok());
    let missing = Config { web_token_file: Some("/nowhere/token".into()), ..open };
    assert!(missing.read().unwrap_err().to_string().contains("failed to read the token file /nowhere/token"));
}

#[tokio::test]
async fn a_taken_port_is_said_with_a_hint() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = Config { web_listen: taken.local_addr().unwrap(), ..config() }.listen().unwrap_err();
    assert!(error.to_string().starts_with("failed to serve pages on 127.0.0.1:"), "{error}");
    assert!(error.hint().contains("--web-listen"), "{}", error.hint());
}

/// A recording, played, stopped and moved over the interface.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_is_moved_by_those_who_look() {
    const SECOND: u64 = 1_000_000_000;
    let open = |from: u64| {
        let event = |second: u64| Event { time: TIME + second * SECOND, ..Event::new("alice", Source::Ebpf, ping(second)) };
        let events = (0..100).map(event).filter(move |event| event.time >= from);
        Ok(Box::new(events.map(Ok)) as playback::Events)
    };
    let recording = Recording { open: Arc::new(open), from: TIME, to: TIME + 99 * SECOND };
    let (world, stop) = World::playing(&config(), recording);
    let mut client = world.client().await;
    assert_eq!(client.next("playback").await["start"], TIME.to_string());
    client.subscribe(r#"{"kinds":["net.ping"]}"#).await;
    let post = |body: &str, kind: &str| {
        let head = format!("POST /api/playback HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nConnection: close\r\n");
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    let at = TIME + 90 * SECOND;
    let moved = world.ask(post(&format!(r#"{{"at":"{at}","speed":1000}}"#), "application/json")).await;
    assert!(moved.starts_with("HTTP/1.1 200 ") && moved.contains("\"speed\":1000.0"), "{moved}");
    // what is passed over is not streamed, but known
    let mut seen: Vec<u64> = vec![];
    while seen.last() != Some(&(TIME + 99 * SECOND)) {
        let (events, missed) = client.events(1).await;
        assert_eq!(missed, 0);
        seen.extend(events.iter().map(|event| event["time"].as_str().unwrap().parse::<u64>().unwrap()));
    }
    assert_eq!(seen.iter().filter(|time| **time >= at).count(), 10);
    assert!(seen.iter().all(|time| *time >= at || *time < TIME + 10 * SECOND), "{seen:?}");
    world.json_with("/api/playback", |playback| playback["ended"] == true).await;
    let peers = world.json("/api/peers").await;
    assert_eq!(peers["peers"].as_array().unwrap().len(), 100);
    assert_eq!(peers["now"], (TIME + 99 * SECOND).to_string());
    // back: what comes later is forgotten
    let moved = world.ask(post(&format!(r#"{{"at":"{}","playing":false}}"#, TIME + 5 * SECOND), "application/json")).await;
    assert!(moved.starts_with("HTTP/1.1 200 "), "{moved}");
    let peers = world.json_with("/api/peers", |peers| peers["peers"].as_array().is_some_and(|peers| peers.len() == 5)).await;
    assert_eq!(peers["now"], (TIME + 4 * SECOND).to_string());
    for (body, kind, status) in [
        ("{}", "text/plain", "415"),
        ("{", "application/json", "400"),
        (r#"{"speed":0}"#, "application/json", "400"),
        (r#"{"at":"x"}"#, "application/json", "400"),
        (&format!("{{{}}}", " ".repeat(5000)), "application/json", "413"),
    ] {
        let answer = world.ask(post(body, kind)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{body}: {answer}");
    }
    drop(stop);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_live_cannot_be_moved() {
    let world = World::start(config()).await;
    assert_eq!(world.json("/api/playback").await, json!({ "recording": false }));
    let post = "POST /api/playback HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
    assert!(world.ask(post.into()).await.starts_with("HTTP/1.1 409 "));
    world.end().await;
}
