//! The endpoint, over real connections.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bus::{Bus, Limits};
use tokio::task::JoinHandle;

use super::*;

/// A tool that serves; everything that is forwarded into the bus is counted.
struct World {
    bus: Bus,
    address: SocketAddr,
    tool: JoinHandle<anyhow::Result<()>>,
}

fn config(address: SocketAddr) -> Config {
    Config { metrics_listen: address, metrics_lists: vec![] }
}

impl World {
    async fn start() -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = config(any).listen().unwrap();
        let address = listener.local_addr().unwrap();
        let bus = Bus::local();
        let events = bus.subscribe(wanted(), Limits::default()).await.unwrap();
        let tool = tokio::spawn(run(config(address).read().unwrap(), events, listener, std::future::ready(())));
        Self { bus, address, tool }
    }

    /// What the server answers to these bytes.
    async fn ask(&self, request: &str) -> String {
        let (address, request) = (self.address, request.to_owned());
        tokio::task::spawn_blocking(move || ask(address, &request)).await.unwrap()
    }

    async fn page(&self) -> String {
        self.ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await
    }

    /// The page, once it holds this.
    async fn page_with(&self, text: &str) -> String {
        loop {
            let page = self.page().await;
            if page.contains(text) {
                return page;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn end(self) {
        self.bus.close().await;
        self.tool.await.unwrap().unwrap();
    }
}

fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_served_and_nothing_else_is() {
    let world = World::start().await;
    world.bus.forward(at(0, Source::Ebpf, ping(1))).await;
    let page = world.page_with("peerobserver_pings_received_total{node=\"alice\",nonce=\"8_bit\"} 1\n").await;
    assert!(
        page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{page}"
    );
    assert!(page.contains("\nprocess_resident_memory_bytes "), "{page}");
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
        ("GET /metrics/../x HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "405"),
        ("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200"),
        ("GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\n\r\n", "200"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let answer = world.ask(request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
    }
    let long = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let address = world.address;
    // it may be refused before it is written whole
    let refused = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let _ = stream.write_all(long.as_bytes());
        let mut answer = vec![];
        let _ = stream.read_to_end(&mut answer);
        answer
    });
    assert!(!refused.await.unwrap().starts_with(b"HTTP/1.1 200"));
    world.end().await;
}

/// Who holds connections open, reads nothing, or goes away in the middle, keeps nobody from the page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_company_harms_nobody() {
    let world = World::start().await;
    world.bus.forward(at(0, Source::Ebpf, ping(1))).await;
    let mut company = vec![];
    for number in 0..100 {
        let mut stream = TcpStream::connect(world.address).unwrap();
        match number % 3 {
            // idle
            0 => {}
            // slow: asks for the page and reads none of it
            1 => stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap(),
            // half a request
            _ => stream.write_all(b"GET /metr").unwrap(),
        }
        company.push(stream);
    }
    let pages = (0..2).map(|_| world.page());
    for page in pages {
        assert!(page.await.starts_with("HTTP/1.1 200 OK"));
    }
    drop(company);
    assert!(world.page().await.starts_with("HTTP/1.1 200 OK"));
    world.end().await;
}

/// Pages that are made for as long as the test wants, and how many there were at once.
#[derive(Default)]
struct Slow {
    gate: Mutex<()>,
    begun: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl server::Pages for Slow {
    fn page(&self, _: Format) -> String {
        self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        self.begun.fetch_add(1, Ordering::SeqCst);
        drop(self.gate.lock().unwrap());
        self.now.fetch_sub(1, Ordering::SeqCst);
        "a page\n".to_owned()
    }
}

/// Whoever asks and goes away, again and again, has one page made at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_for_those_who_went_away_do_not_pile_up() {
    const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    let pages = Arc::new(Slow::default());
    let listener = config(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).listen().unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(server::serve(listener, Arc::clone(&pages)));
    let ask_and_go = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(REQUEST).unwrap();
        stream
    };
    tokio::task::spawn_blocking({
        let pages = Arc::clone(&pages);
        move || {
            let gate = pages.gate.lock().unwrap();
            let mut first = ask_and_go();
            while pages.begun.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            let gone = |stream: &mut TcpStream| {
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                // the other side has noticed when it hangs up, too
                let _ = stream.read_to_end(&mut vec![]);
            };
            gone(&mut first);
            (0..20).for_each(|_| gone(&mut ask_and_go()));
            drop(gate);
        }
    })
    .await
    .unwrap();
    let answer = tokio::task::spawn_blocking(move || ask(address, std::str::from_utf8(REQUEST).unwrap())).await.unwrap();
    assert!(answer.ends_with("a page\n"), "{answer}");
    assert_eq!(pages.most.load(Ordering::SeqCst), 1);
    serving.abort();
}

#[tokio::test]
async fn a_taken_port_is_said_with_a_hint() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let error = config(taken.local_addr().unwrap()).listen().unwrap_err();
    assert!(error.to_string().starts_with("failed to serve metrics on 127.0.0.1:"), "{error}");
    assert!(error.hint().contains("--metrics-listen"), "{}", error.hint());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_can_be_printed() {
    let bus = Bus::local();
    let events = bus.subscribe(wanted(), Limits::default()).await.unwrap();
    bus.forward(at(0, Source::Ebpf, ping(1))).await;
    bus.close().await;
    let mut output = vec![];
    print(config(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).read().unwrap(), events, &mut output).await.unwrap();
    let page = String::from_utf8(output).unwrap();
    assert!(page.contains("message=\"ping\"") && !page.contains("process_"), "{page}");
}

/// What the subscription missed is counted as missed: nothing is lost in silence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missed_is_told() {
    let bus = Bus::local();
    let mut events = bus.subscribe(wanted(), Limits { events: 100, bytes: 1 << 20 }).await.unwrap();
    let publisher = bus.publisher("alice".parse().unwrap(), Source::Ebpf);
    for number in 0..5000 {
        publisher.publish(number, None, ping(1));
    }
    bus.close().await;
    let shared = Shared(Mutex::new(Fleet::new(Lists::default())));
    let (watched, _) = lists::Watched::open(vec![]).unwrap();
    count(&mut events, &shared, watched).await;
    let (pings, missed) = shared.with(|fleet| {
        let pings = value(fleet, "pings_received_total{node=\"alice\",nonce=\"8_bit\"}");
        (pings.unwrap_or_default(), value(fleet, "metrics_missed_events_total").unwrap_or_default())
    });
    assert!(pings > 0.0 && missed > 0.0, "{pings} counted, {missed} missed");
    assert_eq!(pings + missed, 5000.0);
}
