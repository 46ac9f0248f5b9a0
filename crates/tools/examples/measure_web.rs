//! What the pages' server can do: `cargo run --release -p po-tools --example measure_web`. docs/performance.md has the results.
//!
//! The server runs in a process of its own, which publishes what it serves, so its processor time has the publishing in it. Clients are in
//! this process, and not counted.
//!
//! - `latency`: 10,000 events a second to a client, in each form; from the time of the first event of a batch, stamped when it is
//!   published, until the batch was read. The others of a batch have waited less.
//! - `clients NUMBER`: so many with three different filters, each of which lets 2,000 events a second pass.
//! - `idle NUMBER`: memory of so many clients who wait.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bus::{Bus, Limits};
use clap::Parser as _;
use event::{Direction, Filter, Inventory, InventoryType, NetInv, NetPing, NetTx, OutPoint, Source};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const LENGTH: Duration = Duration::from_secs(20);

#[derive(clap::Parser)]
enum Measure {
    Latency,
    Clients {
        number: usize,
    },
    Idle {
        number: usize,
    },
    /// The other process.
    #[command(hide = true)]
    Serve {
        rate: u64,
    },
}

#[derive(clap::Parser)]
struct Pages {
    #[command(flatten)]
    web: tools::web::Config,
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match Measure::parse() {
        Measure::Serve { rate } => runtime.block_on(serve(rate)),
        Measure::Latency => runtime.block_on(latency()),
        Measure::Clients { number } => runtime.block_on(clients(number)),
        Measure::Idle { number } => runtime.block_on(idle(number)),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

/// Serves, and publishes so many events a second of each of three kinds.
async fn serve(rate: u64) -> anyhow::Result<()> {
    let config = Pages::parse_from(["pages", "--web-listen", "127.0.0.1:0", "--web-clients", "5000"]).web;
    let listener = config.listen()?;
    println!("{}", listener.local_addr()?);
    let bus = Bus::local();
    let events = bus.subscribe(Filter::all(), Limits::default()).await?;
    let publisher = bus.publisher("alice".parse()?, Source::Ebpf);
    let publish = move || {
        let item = |byte: u8| Inventory { r#type: InventoryType::Wtx.into(), hash: vec![byte; 32].into(), ..Default::default() };
        let items: Vec<Inventory> = (0..5).map(item).collect();
        let spends = vec![OutPoint { txid: vec![3; 32].into(), vout: 1 }; 2];
        let address = "203.0.113.7:8333";
        let inbound = i32::from(Direction::Inbound);
        let (start, mut done) = (Instant::now(), 0);
        loop {
            std::thread::sleep(Duration::from_millis(2));
            let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
            for number in done..due {
                let peer = number % 125;
                let (address, hash) = (address.to_owned(), [number.to_be_bytes(); 4].concat());
                publisher.publish(
                    now(),
                    Some(1),
                    NetPing { peer, address: address.clone(), direction: inbound, nonce: Some(number), ..Default::default() },
                );
                publisher.publish(
                    now(),
                    Some(1),
                    NetInv {
                        peer,
                        address: address.clone(),
                        direction: inbound,
                        items: items.clone(),
                        size: 181,
                        ..Default::default()
                    },
                );
                publisher.publish(
                    now(),
                    Some(1),
                    NetTx {
                        peer,
                        address,
                        direction: inbound,
                        txid: hash.clone().into(),
                        wtxid: hash.into(),
                        spends: spends.clone(),
                        weight: 800,
                        ..Default::default()
                    },
                );
            }
            done = due;
        }
    };
    if rate > 0 {
        std::thread::spawn(publish);
    }
    tools::web::run(config.read()?, tools::web::Input::Live(events), listener, std::future::pending()).await
}

/// The other process.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(rate: u64) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?).args(["serve", &rate.to_string()]).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line)?;
        Ok(Self { address: line.trim().parse()?, child })
    }

    /// Processor time so far, user and system, seconds.
    fn processor(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok()).unwrap_or(0.0);
        (ticks(11) + ticks(12)) / rustix::param::clock_ticks_per_second() as f64
    }

    /// Memory that is resident, kB.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    async fn health(&self) -> anyhow::Result<serde_json::Value> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(serde_json::from_str(answer.split_once("\r\n\r\n").map_or("", |(_, body)| body))?)
    }

    /// A client that has asked for something. One address may not ask without end: then it waits.
    async fn client(&self, ask: &str) -> anyhow::Result<TcpStream> {
        loop {
            match self.try_client(ask).await? {
                Some(stream) => return Ok(stream),
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn try_client(&self, ask: &str) -> anyhow::Result<Option<TcpStream>> {
        let mut stream = TcpStream::connect(self.address).await?;
        let upgrade = "GET /api/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(upgrade.as_bytes()).await?;
        let mut head = vec![];
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        if head.starts_with(b"HTTP/1.1 429") {
            return Ok(None);
        }
        anyhow::ensure!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        // a frame of text, masked with zeros
        let length = u8::try_from(ask.len())?;
        stream.write_all(&[&[0x81, 0x80 | length, 0, 0, 0, 0], ask.as_bytes()].concat()).await?;
        Ok(Some(stream))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next frame of a stream.
async fn frame(stream: &mut TcpStream, payload: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await?;
    let length = match head[1] {
        126 => usize::from(stream.read_u16().await?),
        127 => usize::try_from(stream.read_u64().await?)?,
        short => usize::from(short),
    };
    payload.resize(length, 0);
    stream.read_exact(payload).await?;
    // an empty ping; answered with an empty pong
    if head[0] & 15 == 9 {
        stream.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await?;
    }
    Ok(())
}

async fn latency() -> anyhow::Result<()> {
    let server = Server::start(10_000 / 3)?;
    for form in ["full", "brief"] {
        let mut stream = server.client(&format!(r#"{{"form":"{form}"}}"#)).await?;
        let (mut late, mut payload, mut missed) = (vec![], vec![], 0);
        let (start, before) = (Instant::now(), server.processor());
        while start.elapsed() < LENGTH {
            frame(&mut stream, &mut payload).await?;
            let now = now();
            let text = std::str::from_utf8(&payload)?;
            missed += u64::from(text.starts_with("{\"missed\""));
            if text.starts_with("{\"events\"") {
                // the first of a batch has waited longest: it stands for all of them
                let (_, first) = text.split_once("\"time\":\"").unwrap_or_default();
                let time: u64 = first.split('"').next().and_then(|time| time.parse().ok()).unwrap_or(now);
                late.push(now.saturating_sub(time));
            }
        }
        late.sort_unstable();
        let part = |share: f64| late[((late.len() - 1) as f64 * share) as usize] as f64 / 1e6;
        println!(
            "{form}: {} batches in {} s, missed {missed} times; median {:.1} ms, p99 {:.1} ms, p99.9 {:.1} ms, most {:.1} ms; server {:.0} % of a core",
            late.len(),
            LENGTH.as_secs(),
            part(0.5),
            part(0.99),
            part(0.999),
            part(1.0),
            (server.processor() - before) / start.elapsed().as_secs_f64() * 100.0,
        );
    }
    Ok(())
}

async fn clients(number: usize) -> anyhow::Result<()> {
    let server = Server::start(2000)?;
    let bytes = Arc::new(AtomicU64::new(0));
    for at in 0..number {
        let kind = ["net.ping", "net.inv", "net.tx"][at % 3];
        let mut stream = server.client(&format!(r#"{{"kinds":["{kind}"]}}"#)).await?;
        let bytes = Arc::clone(&bytes);
        tokio::spawn(async move {
            let mut piece = vec![0; 64 << 10];
            // pings are not answered: this is over before that matters
            while let Ok(length @ 1..) = stream.read(&mut piece).await {
                bytes.fetch_add(length as u64, Ordering::Relaxed);
            }
        });
    }
    let account = |health: &serde_json::Value| {
        let hop = &health["hops"][3];
        ["seen", "lost"].map(|key| hop[key].as_str().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0))
    };
    let (before, [seen, lost], read) = (server.processor(), account(&server.health().await?), bytes.load(Ordering::Relaxed));
    let start = Instant::now();
    tokio::time::sleep(LENGTH).await;
    let took = start.elapsed().as_secs_f64();
    let after = server.health().await?;
    let [more, dropped] = account(&after);
    println!(
        "{number} clients, {took:.1} s: {:.0} events/s to each, {} dropped for slow clients, {} missed on the bus; {:.0} MB/s read; server {:.0} % of a core",
        (more - seen) as f64 / took / number as f64,
        dropped - lost,
        after["missed"].as_str().unwrap_or("?"),
        (bytes.load(Ordering::Relaxed) - read) as f64 / took / 1e6,
        (server.processor() - before) / took * 100.0,
    );
    Ok(())
}

async fn idle(number: usize) -> anyhow::Result<()> {
    let server = Server::start(0)?;
    // what is there once for all of them
    let mut clients = vec![server.client(r#"{"kinds":["net.ping"]}"#).await?];
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = server.memory();
    for _ in 0..number {
        clients.push(server.client(r#"{"kinds":["net.ping"]}"#).await?);
    }
    // beats wake each of them
    tokio::time::sleep(Duration::from_secs(3)).await;
    println!(
        "{number} idle clients: {:.1} kB each (resident memory {before} kB, then {} kB)",
        (server.memory() - before) as f64 / number as f64,
        server.memory()
    );
    Ok(())
}
