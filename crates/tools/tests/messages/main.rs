//! Messages on their way: to receivers that answer, and to those that do not; to a real Alertmanager; and what is in them.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod mail;

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver as Arrivals;
use std::time::{Duration, Instant};

use bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256};
use bus::{Bus, Delivery, Limits, Publisher};
use detect::incident::Told;
use detect::time::SECOND;
use event::{
    EntityKind, Event, Filter, Finding, FindingCleared, FindingEntity, FindingOpened, HealthBeat, Kind, KindId, Severity, Source,
};
use serde_json::Value;
use testkit::Alertmanager;
use testkit::alertmanager::is_told;
use testkit::http::{self, Arrived, OK};
use testkit::secrets::{self, NODE, Output};
use testkit::wait::LONG;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tools::archive::amount::{Age, Size};
use tools::incidents::{Audience as _, Book, Config, Doors, Place, Receipt, filter, now, run};
use tools::messages::{self, Post, Rhythm, Url, Writer};

const SECRET: &str = "0123456789abcdef";
const START: u64 = 1_750_000_000 * SECOND;

/// A receiver that answers each request with what `answer` says of its number.
fn receiver(answer: impl Fn(usize) -> &'static str + Send + 'static) -> (String, Arrivals<Arrived>) {
    http::receiver(answer).unwrap()
}

/// Quick, so that a test waits for what happens and not for time.
const QUICK: Rhythm = Rhythm {
    heartbeat: Duration::from_secs(3600),
    retry: Duration::from_millis(20),
    patience: Duration::from_millis(100),
    burst: 100_000,
    pace: Duration::from_secs(3600),
    end: LONG,
};

fn config(alertmanager: &[&str], webhook: &[&str], ntfy: &[&str], folder: &Path) -> messages::Config {
    let secret = folder.join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let urls = |texts: &[&str]| texts.iter().map(|text| text.parse::<Url>().unwrap()).collect();
    messages::Config {
        messages_alertmanager: urls(alertmanager),
        messages_webhook: urls(webhook),
        messages_webhook_secret_file: Some(secret),
        messages_ntfy: urls(ntfy),
        messages_ntfy_token_file: None,
        messages_mail: None,
        messages_mail_from: None,
        messages_mail_to: vec![],
        messages_mail_user: None,
        messages_mail_password_file: None,
        messages_ca_file: None,
        messages_severity: Severity::Warn,
        messages_plain: false,
        messages_replay: false,
        messages_heartbeat: Age(Duration::from_secs(60)),
    }
}

/// All of it, from a finding on a bus to messages.
struct World {
    folder: tempfile::TempDir,
    bus: Bus,
    findings: Publisher,
    work: tokio::task::JoinHandle<()>,
    stop: tokio::sync::oneshot::Sender<()>,
}

impl World {
    async fn new(folder: tempfile::TempDir, config: messages::Config, rhythm: Rhythm) -> Self {
        let path = folder.path().join("book");
        let book = Book::open(&path).unwrap();
        let bus = Bus::local();
        let events = bus.subscribe(filter(), Limits::default()).await.unwrap();
        let (receipts, receipts_in) = mpsc::channel(64);
        let (post, mut tasks) = Post::start(&config, config.receivers().unwrap(), rhythm, &book, &bus, &receipts).unwrap();
        drop(receipts);
        let place = Place { incidents_book: Some(path) };
        let incidents = Config {
            place,
            incidents_settle: Age(Duration::from_mins(2)),
            incidents_archive: vec![],
            incidents_evidence: Size(0),
            incidents_max_age: None,
        };
        let doors = Doors { guests: tools::incidents::door::questions().1, receipts: receipts_in };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async move { drop(stopped.await) };
        let kept = bus.clone();
        let work = tokio::spawn(async move {
            run(incidents, book, events, kept, doors, post, stopped).await.unwrap();
            while tasks.join_next().await.is_some() {}
        });
        let findings = bus.publisher(NODE.parse().unwrap(), Source::Detect);
        Self { folder, bus, findings, work, stop }
    }

    async fn end(self) -> tempfile::TempDir {
        drop(self.stop);
        self.work.await.unwrap();
        self.bus.close().await;
        self.folder
    }
}

fn finding(id: u64, detector: &str) -> Option<Finding> {
    let entity = FindingEntity { kind: EntityKind::Range.into(), address: "203.0.113.0/24".into(), ..FindingEntity::default() };
    let about = detect::all().iter().find(|entry| entry.about.id == detector).map_or("", |entry| entry.about.name);
    let severity = Severity::Warn.into();
    let (id, detector, name) = (format!("{id:016x}"), detector.to_owned(), about.to_owned());
    Some(Finding { id, detector, name, entity: Some(entity), severity, ..Finding::default() })
}

fn opened(id: u64, detector: &str) -> Kind {
    FindingOpened { finding: finding(id, detector) }.into()
}

fn cleared(id: u64, detector: &str) -> Kind {
    FindingCleared { finding: finding(id, detector) }.into()
}

/// Waits on a thread of its own.
async fn next(arrivals: Arrivals<Arrived>) -> (Arrived, Arrivals<Arrived>) {
    let wait = move || (arrivals.recv_timeout(LONG).expect("a message"), arrivals);
    tokio::task::spawn_blocking(wait).await.unwrap()
}

/// The next that is no heartbeat.
async fn message(mut arrivals: Arrivals<Arrived>) -> (Arrived, Arrivals<Arrived>) {
    loop {
        let (arrived, more) = next(arrivals).await;
        if !arrived.body.contains("heartbeat") && !arrived.body.contains("PeerObserverWatches") {
            return (arrived, more);
        }
        arrivals = more;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_is_told_signed_and_names_nobody() {
    let (url, arrivals) = receiver(|_| OK);
    let (topic, rings) = receiver(|_| OK);
    let folder = tempfile::tempdir().unwrap();
    let config = config(&[], &[&format!("{url}/hook?a=b")], &[&format!("{topic}/secret-topic")], folder.path());
    let world = World::new(folder, config, QUICK).await;
    world.findings.publish(START, None, opened(1, "D39"));
    let (told, arrivals) = message(arrivals).await;
    assert_eq!(told.path, "/hook?a=b");
    let mut engine = HmacEngine::<sha256::Hash>::new(SECRET.as_bytes());
    engine.input(format!("{}.{}", told.header("x-peer-observer-timestamp"), told.body).as_bytes());
    let signature = format!("v1={}", Hmac::<sha256::Hash>::from_engine(engine));
    assert_eq!(told.header("x-peer-observer-signature"), signature);
    let json = told.json();
    assert_eq!((&json["change"], &json["state"], &json["number"]), (&"opened".into(), &"open".into(), &1.into()));
    let headings: Vec<&str> = json["paragraphs"].as_array().unwrap().iter().map(|p| p["heading"].as_str().unwrap()).collect();
    let all = ["What", "Where", "Whom", "Since", "How sure", "What it does not prove", "What to do next"];
    assert_eq!(headings, all);
    assert!(json["subject"].as_str().unwrap().starts_with("[WARN] incident 1 opened: inv_queue (D39) at name-"), "{json}");
    let (ring, rings) = next(rings).await;
    assert_eq!((ring.path.as_str(), ring.header("priority")), ("/secret-topic", "4"));
    assert!(ring.body.contains("peer-observer incidents show 1"), "{}", ring.body);
    for text in [&told.body, &ring.body, &ring.header("title").to_owned()] {
        assert!(!text.contains(NODE) && !text.contains("203.0.113"), "{text}");
    }
    // and it ends
    world.findings.publish(START + SECOND, None, cleared(1, "D39"));
    world.findings.beat(START + 500 * SECOND, None, 0, None, None);
    let (told, _arrivals) = message(arrivals).await;
    assert_eq!((&told.json()["change"], &told.json()["state"]), (&"resolved".into(), &"resolved".into()));
    let (ring, _rings) = next(rings).await;
    assert_eq!(ring.header("priority"), "2");
    world.end().await;
}

/// Down, slow to learn, sending elsewhere, talking nonsense: the book goes on, and in the end it is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_does_not_take_it_is_asked_again() {
    let answers = [
        "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy",
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        "I am no web server\r\n\r\n",
        "",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\nshort",
    ];
    // the first request is a heartbeat
    let (url, arrivals) = receiver(move |number| if number == 0 { OK } else { answers.get(number - 1).copied().unwrap_or(OK) });
    let folder = tempfile::tempdir().unwrap();
    let config = config(&[], &[&url], &[], folder.path());
    let world = World::new(folder, config, QUICK).await;
    let delivered = world.bus.subscribe(Filter::kinds([KindId::IncidentDelivered]), Limits::default()).await.unwrap();
    world.findings.publish(START, None, opened(1, "D39"));
    let (first, mut arrivals) = message(arrivals).await;
    let mut last = first.json();
    for _ in 1..answers.len() {
        let (again, more) = message(arrivals).await;
        (last, arrivals) = (again.json(), more);
    }
    assert_eq!(last["change"], "opened");
    // it counts what failed, and that it was taken in the end: whatever an answer's body says, its first line counts
    let mut delivered = delivered;
    let total = loop {
        let event = match tokio::time::timeout(LONG, delivered.next()).await {
            Ok(Some(Delivery::Event(event))) => event,
            other => panic!("{other:?}"),
        };
        if let Some(Kind::IncidentDelivered(said)) = &event.kind
            && said.sent == 1
        {
            break said.clone();
        }
    };
    assert_eq!((total.failed, total.waiting, total.refused, total.error), (4, 0, 0, None));
    let folder = world.end().await;
    assert_eq!(Book::existing(&folder.path().join("book")).unwrap().incidents(None, 9).unwrap().len(), 1);
}

/// Each message has its own attempts: one refusal of each of three gives none of them up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_once_is_sent_again_beside_others() {
    const WRONG: &str = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    // the first request is a heartbeat
    let (url, arrivals) = receiver(|number| if (1..=3).contains(&number) { WRONG } else { OK });
    let folder = tempfile::tempdir().unwrap();
    let config = config(&[], &[&url], &[], folder.path());
    // all three wait from the start: how long the disk takes between them does not count
    let mut book = Book::open(&folder.path().join("book")).unwrap();
    let event = |(id, detector)| Arc::new(Event { time: START, ..Event::new(NODE, Source::Detect, opened(id, detector)) });
    book.record(&[(1, "D39"), (2, "D50"), (3, "D02")].map(event)).unwrap();
    drop(book);
    let world = World::new(folder, config, QUICK).await;
    let mut arrivals = arrivals;
    let mut told = std::collections::BTreeMap::new();
    for _ in 0..6 {
        let (message, more) = message(arrivals).await;
        *told.entry(message.json()["number"].to_string()).or_insert(0) += 1;
        arrivals = more;
    }
    assert_eq!(told.into_values().collect::<Vec<_>>(), [2, 2, 2]);
    world.end().await;
}

/// A receiver that was down for long and takes heartbeats again gets what is new at once, however long the pause had become.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_heartbeats_again_takes_letters() {
    const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
    let (url, mut arrivals) = receiver(|number| if number < 5 { BUSY } else { OK });
    let folder = tempfile::tempdir().unwrap();
    let config = config(&[], &[&url], &[], folder.path());
    let hour = Duration::from_secs(3600);
    let rhythm = Rhythm { heartbeat: Duration::from_millis(20), retry: hour, patience: hour, ..QUICK };
    let world = World::new(folder, config, rhythm).await;
    for _ in 0..7 {
        arrivals = next(arrivals).await.1;
    }
    world.findings.publish(START, None, opened(1, "D39"));
    assert_eq!(message(arrivals).await.0.json()["change"], "opened");
    world.end().await;
}

/// Between two heartbeats letters have their turn, also where a heartbeat takes longer than the time between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heartbeats_hold_up_no_letters() {
    let slow = |_| {
        std::thread::sleep(Duration::from_millis(50));
        OK
    };
    let (url, arrivals) = receiver(slow);
    let folder = tempfile::tempdir().unwrap();
    let config = config(&[], &[&url], &[], folder.path());
    let world = World::new(folder, config, Rhythm { heartbeat: Duration::from_millis(10), ..QUICK }).await;
    let arrivals = next(arrivals).await.1;
    world.findings.publish(START, None, opened(1, "D39"));
    assert_eq!(message(arrivals).await.0.json()["change"], "opened");
    world.end().await;
}

/// At the end what waits is tried once more, also where it did not arrive before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_did_not_arrive_is_tried_at_the_end() {
    const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
    // the first request is a heartbeat
    let (url, arrivals) = receiver(|number| if number == 1 { BUSY } else { OK });
    let folder = tempfile::tempdir().unwrap();
    let config = config(&[], &[&url], &[], folder.path());
    let hour = Duration::from_secs(3600);
    let world = World::new(folder, config, Rhythm { retry: hour, patience: hour, ..QUICK }).await;
    world.findings.publish(START, None, opened(1, "D39"));
    let (refused, arrivals) = message(arrivals).await;
    let folder = world.end().await;
    let (taken, _arrivals) = message(arrivals).await;
    assert_eq!(taken.body, refused.body);
    drop(folder);
}

/// A receiver over TLS that takes everything, and says each body.
async fn secure_receiver(certificates: &testkit::tls::Certificates) -> (String, mpsc::Receiver<String>) {
    let certificate = CertificateDer::from_pem_file(certificates.certificate()).unwrap();
    let key = PrivateKeyDer::from_pem_file(certificates.key()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let (bodies, arrivals) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, bodies) = (acceptor.clone(), bodies.clone());
            tokio::spawn(async move {
                // who does not trust it goes away
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut text = String::new();
                let mut piece = [0; 4096];
                while !is_whole(&text) {
                    match stream.read(&mut piece).await {
                        Ok(count @ 1..) => text.push_str(&String::from_utf8_lossy(&piece[..count])),
                        _ => return,
                    }
                }
                bodies.send(text.split_once("\r\n\r\n").unwrap().1.to_owned()).await.unwrap();
                stream.write_all(OK.as_bytes()).await.unwrap();
            });
        }
    });
    (url, arrivals)
}

/// Whether a request has all of its body.
fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
    body.len() >= length.unwrap_or(0)
}

/// What its receiver's side says of a delivery that is not yet one.
async fn trouble(world: &World) -> String {
    let mut delivered = world.bus.subscribe(Filter::kinds([KindId::IncidentDelivered]), Limits::default()).await.unwrap();
    loop {
        let Ok(Some(Delivery::Event(event))) = tokio::time::timeout(LONG, delivered.next()).await else { panic!("it says so") };
        if let Some(Kind::IncidentDelivered(event::IncidentDelivered { error: Some(error), .. })) = &event.kind {
            return error.clone();
        }
    }
}

/// A certificate of an authority that nobody knows: refused, and said; taken where the operator names the authority.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_over_tls_is_believed_if_its_authority_is_known() {
    let certificates = testkit::tls::Certificates::generate().unwrap();
    let (url, mut arrivals) = secure_receiver(&certificates).await;
    let folder = tempfile::tempdir().unwrap();
    let config = config(&[], &[&url], &[], folder.path());
    let world = World::new(folder, config.clone(), QUICK).await;
    world.findings.publish(START, None, opened(1, "D39"));
    let error = trouble(&world).await;
    assert!(error.starts_with(&format!("failed to trust {url}: ")) && error.contains("UnknownIssuer"), "{error}");
    let folder = world.end().await;
    assert!(arrivals.try_recv().is_err(), "nothing was said to somebody unknown");
    // the authority is named: what was not told is
    let known = messages::Config { messages_ca_file: Some(certificates.authority()), ..config.clone() };
    let world = World::new(folder, known, QUICK).await;
    let told = loop {
        let body = tokio::time::timeout(LONG, arrivals.recv()).await.unwrap().unwrap();
        if !body.contains("heartbeat") {
            break body;
        }
    };
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["change"], "opened");
    let folder = world.end().await;
    let wrong = folder.path().join("wrong.pem");
    for (text, says) in [("no certificate", "there is no certificate in"), ("", "there is no certificate in")] {
        std::fs::write(&wrong, text).unwrap();
        let config = messages::Config { messages_ca_file: Some(wrong.clone()), ..config.clone() };
        let error = config.receivers().err().unwrap();
        assert!(format!("{error:#}").contains(says), "{error:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_delivered_before_the_end_is_told_by_the_next_start() {
    let listener = TcpListener::bind("127.77.250.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let config = config(&[], &[&url], &[], folder.path());
    // nobody listens there
    drop(listener);
    let world = World::new(folder, config.clone(), QUICK).await;
    let incidents = world.bus.subscribe(Filter::kinds([KindId::IncidentOpened]), Limits::default()).await.unwrap();
    world.findings.publish(START, None, opened(1, "D39"));
    let mut incidents = incidents;
    assert!(tokio::time::timeout(LONG, incidents.next()).await.is_ok());
    let folder = world.end().await;
    let (url, arrivals) = receiver(|_| OK);
    let config = messages::Config { messages_webhook: vec![url.parse().unwrap()], ..config };
    let world = World::new(folder, config.clone(), QUICK).await;
    let (told, arrivals) = message(arrivals).await;
    assert_eq!(told.json()["change"], "opened");
    let folder = world.end().await;
    // and not again by the one after that: the first that comes is of what is new
    let world = World::new(folder, config, QUICK).await;
    world.findings.publish(START + SECOND, None, cleared(1, "D39"));
    world.findings.beat(START + 500 * SECOND, None, 0, None, None);
    let (told, _arrivals) = message(arrivals).await;
    assert_eq!(told.json()["change"], "resolved");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_is_silent_unless_it_is_asked_for() {
    let (url, arrivals) = receiver(|_| OK);
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&[], &[&url], &[], folder.path());
    let book = Book::open(&folder.path().join("book")).unwrap();
    let bus = Bus::local();
    let (receipts, _receipts) = mpsc::channel(8);
    let told = |number| {
        let mut incident = event::Incident { number, ..Default::default() };
        incident.set_severity(Severity::Critical);
        Told { time: START, kind: event::IncidentOpened { incident: Some(incident) }.into() }
    };
    let (mut post, mut tasks) = Post::start(&config, config.receivers().unwrap(), QUICK, &book, &bus, &receipts).unwrap();
    post.told(&told(1), true);
    post.told(&told(2), false);
    drop(post);
    while tasks.join_next().await.is_some() {}
    config.messages_replay = true;
    let (mut post, mut tasks) = Post::start(&config, config.receivers().unwrap(), QUICK, &book, &bus, &receipts).unwrap();
    post.told(&told(3), true);
    drop(post);
    while tasks.join_next().await.is_some() {}
    let numbers: Vec<u64> = arrivals.try_iter().filter_map(|arrived| arrived.json()["number"].as_u64()).collect();
    assert_eq!(numbers, [2, 3]);
}

/// What is in the book of a replay is not owed to anybody either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_is_in_the_book_is_not_told_by_the_next_start() {
    let (url, arrivals) = receiver(|_| OK);
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&[], &[&url], &[], folder.path());
    let mut book = Book::open(&folder.path().join("book")).unwrap();
    for (id, detector, replay) in [(1, "D39", true), (2, "D50", false)] {
        let event = Event { time: START, replay, ..Event::new("alice", Source::Detect, opened(id, detector)) };
        book.record(&[Arc::new(event)]).unwrap();
    }
    let bus = Bus::local();
    let (receipts, _receipts) = mpsc::channel(8);
    for (replay, expect) in [(false, vec![2]), (true, vec![1, 2])] {
        config.messages_replay = replay;
        let (post, mut tasks) = Post::start(&config, config.receivers().unwrap(), QUICK, &book, &bus, &receipts).unwrap();
        drop(post);
        while tasks.join_next().await.is_some() {}
        let numbers: Vec<u64> = arrivals.try_iter().filter_map(|arrived| arrived.json()["number"].as_u64()).collect();
        assert_eq!(numbers, expect);
    }
}

/// From a finding to a message in the hands of its receiver, two hundred times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_quick() {
    const TIMES: u64 = 200;
    let (url, mut arrivals) = receiver(|_| OK);
    let folder = tempfile::tempdir().unwrap();
    let config = config(&[], &[&url], &[], folder.path());
    let world = World::new(folder, config, QUICK).await;
    let mut took = Vec::new();
    for number in 0..TIMES {
        let time = START + number * 1_000 * SECOND;
        let began = Instant::now();
        world.findings.publish(time, None, opened(number, "D39"));
        let (told, more) = message(arrivals).await;
        assert_eq!(told.json()["state"], "open");
        took.push(told.at.duration_since(began));
        world.findings.publish(time + SECOND, None, cleared(number, "D39"));
        world.findings.beat(time + 500 * SECOND, None, 0, None, None);
        let (told, more) = message(more).await;
        assert_eq!(told.json()["state"], "resolved");
        arrivals = more;
    }
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!("finding to message: p50 {:.1?}, p99 {:.1?}, most {:.1?}", at(0.5), at(0.99), took[took.len() - 1]);
    // each waits for the disk twice, and one in a hundred may wait for others' writing too: `measure_incidents` measures that
    assert!(at(0.5) < Duration::from_secs(1), "p50 {:?}", at(0.5));
    assert!(at(0.99) < Duration::from_secs(5), "p99 {:?}", at(0.99));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_is_few_messages() {
    const FINDINGS: u64 = 100_000;
    let (url, arrivals) = receiver(|_| OK);
    let folder = tempfile::tempdir().unwrap();
    let config = config(&[], &[&url], &[], folder.path());
    let rhythm = Rhythm { heartbeat: Duration::from_secs(3600), ..Rhythm::default() };
    let mut book = Book::open(&folder.path().join("book")).unwrap();
    let bus = Bus::local();
    let (receipts, mut known) = mpsc::channel::<Receipt>(64);
    let (mut post, mut tasks) = Post::start(&config, config.receivers().unwrap(), rhythm, &book, &bus, &receipts).unwrap();
    drop(receipts);
    let up = Arc::new(AtomicUsize::new(0));
    let ups = Arc::clone(&up);
    let counting = tokio::spawn(async move {
        let mut last = std::collections::BTreeMap::new();
        while let Some(receipt) = known.recv().await {
            last.extend(receipt.sent.iter().map(|(number, _, up)| (*number, *up)));
        }
        ups.store(last.values().filter(|up| **up).count(), Ordering::Release);
        last.len()
    });
    let detectors = ["D01", "D02", "D09", "D10", "D11", "D14", "D19", "D39", "D42", "D50", "D59"];
    let severities = [Severity::Info, Severity::Warn, Severity::Critical];
    for end in [false, true] {
        for first in (0..FINDINGS).step_by(4096) {
            let event = |id: u64| {
                let mut finding = finding(id, detectors[(id % 11) as usize]).unwrap();
                finding.set_severity(severities[(id / 1_000 % 3) as usize]);
                finding.entity.as_mut().unwrap().address = format!("10.{}.{}.0/24", id / 256 % 256, id % 256);
                let finding = Some(finding);
                let kind: Kind = if end { FindingCleared { finding }.into() } else { FindingOpened { finding }.into() };
                let time = START + u64::from(end) * 1_100 * SECOND + id * SECOND / 100;
                Arc::new(Event { time, ..Event::new(format!("node-{}", id % 100), Source::Detect, kind) })
            };
            let events: Vec<_> = (first..FINDINGS.min(first + 4096)).map(event).collect();
            let told = tokio::task::block_in_place(|| book.record(&events)).unwrap();
            told.iter().for_each(|told| post.told(told, false));
        }
    }
    let beat = |id: u64| {
        let time = START + 4_000 * SECOND;
        Arc::new(Event { time, ..Event::new(format!("node-{id}"), Source::Detect, HealthBeat::default()) })
    };
    let told = book.record(&(0..100).map(beat).collect::<Vec<_>>()).unwrap();
    told.iter().for_each(|told| post.told(told, false));
    drop(post);
    while tasks.join_next().await.is_some() {}
    let incidents = counting.await.unwrap();
    let messages = arrivals.try_iter().filter(|arrived| !arrived.body.contains("heartbeat")).count();
    println!("{incidents} incidents, {messages} messages");
    assert!(incidents <= 20 && messages <= 50, "{incidents} incidents, {messages} messages");
    assert!(messages >= incidents, "each was told");
    assert_eq!(up.load(Ordering::Acquire), 0, "each alert has ended");
}

/// Every field of an incident holds something that nobody else may know; so does the node's name, and its address in every text.
#[test]
fn nothing_of_the_node_is_in_a_letter() {
    let of_incident = |event: &Event| event.kind.as_ref().is_some_and(|kind| detect::incident::of(kind).is_some());
    let events: Vec<Event> =
        secrets::events().into_iter().map(|(event, _)| event).chain(secrets::own()).filter(of_incident).collect();
    assert!(events.len() > 6);
    let crawl = |plain: bool| {
        let mut writer = Writer::new([7; 32], plain);
        let mut out = Output::default();
        // it knows the names of nodes from incidents that were at them
        let place = event::IncidentPlace { node: NODE.into(), findings: 1 };
        let first = event::Incident { number: 1, places: vec![place], ..Default::default() };
        let first = event::IncidentOpened { incident: Some(first) };
        drop(writer.write(&Told { time: START, kind: first.into() }).unwrap());
        for event in &events {
            let Some(letter) = writer.write(&Told { time: event.time, kind: event.kind.clone().unwrap() }) else { continue };
            out.push(letter.subject());
            out.push(letter.text());
            out.push(letter.json().to_string());
        }
        let mut secrets = secrets::of_the_node();
        secrets.push(secrets::Secret::of_bytes("key", &[7; 32]));
        secrets.iter().filter(|secret| secret.is_in(&out)).map(|secret| secret.field).collect::<Vec<_>>()
    };
    assert_eq!(crawl(false), [""; 0]);
    // the search finds what is there
    assert!(!crawl(true).is_empty());
}

fn until<T>(what: &str, check: impl FnMut() -> Option<T>) -> T {
    let mut check = check;
    testkit::wait::until(what, LONG, || Ok(check())).unwrap()
}

/// Waits until the Alertmanager has told its receiver of an incident that is as bad.
async fn heard(mut arrivals: Arrivals<Arrived>, severity: &str, status: &str) -> Arrivals<Arrived> {
    loop {
        let (arrived, more) = next(arrivals).await;
        arrivals = more;
        if is_told(&arrived.json(), severity, status) {
            return arrivals;
        }
    }
}

/// A real Alertmanager learns of an incident, of its getting worse, and of its end, and tells a receiver of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alertmanager_gets_it_and_it_ends() {
    let (told_on, arrivals) = receiver(|_| OK);
    let folder = tempfile::tempdir().unwrap();
    let Some(alertmanager) = tokio::task::block_in_place(|| Alertmanager::start(&told_on)).unwrap() else { return };
    let config = config(&[&alertmanager.url()], &[], &[], folder.path());
    let rhythm = Rhythm { heartbeat: Duration::from_secs(1), ..QUICK };
    let world = World::new(folder, config, rhythm).await;
    let clock = now();
    world.findings.publish(clock, None, opened(1, "D39"));
    // what is up, by name and severity
    let up = |expect: &[&str]| {
        let ask = || alertmanager.up().filter(|names| names == expect);
        tokio::task::block_in_place(|| until("alerts", ask));
        alertmanager.alerts().unwrap()
    };
    let alerts = up(&["Incident warning", "PeerObserverWatches none"]);
    assert!(!alerts.to_string().contains(NODE), "{alerts}");
    let arrivals = heard(arrivals, "warning", "firing").await;
    let mut worse = finding(2, "D39");
    worse.as_mut().unwrap().set_severity(Severity::Critical);
    world.findings.publish(clock + SECOND, None, FindingOpened { finding: worse.clone() });
    up(&["Incident critical", "PeerObserverWatches none"]);
    // what ends before it was told is not told at all
    let arrivals = heard(arrivals, "critical", "firing").await;
    world.findings.publish(clock + 2 * SECOND, None, cleared(1, "D39"));
    world.findings.publish(clock + 2 * SECOND, None, FindingCleared { finding: worse });
    world.findings.beat(clock + 500 * SECOND, None, 0, None, None);
    up(&["PeerObserverWatches none"]);
    // and whoever it routes to has heard of it
    heard(arrivals, "critical", "resolved").await;
    world.end().await;
}
