//! What counting costs. `cargo bench -p po-tools`; `cargo test` runs each case once.

use std::hint::black_box;
use std::time::{Duration, Instant};

use event::{
    ConnectionType, Direction, Event, Inventory, InventoryType, Kind, MempoolAdded, NetAddrv2, NetInv, NetPing, Network,
    NetworkAddress, PeerInfo, Source, StatePeers,
};
use tools::metrics::{Fleet, Format, Lists, Page};

const NOW: u64 = 1_750_000_000;

fn main() {
    let measure = std::env::args().any(|argument| argument == "--bench");
    let mut fleet = Fleet::new(Lists::default());
    let cases: [(&str, Kind); 4] = [
        ("a ping", ping(7).into()),
        ("an inv of 35 transactions", inv(35).into()),
        ("an addrv2 of 1000 addresses", addrv2(1000).into()),
        ("a transaction that enters the mempool", MempoolAdded { vsize: Some(141), fee: Some(1692), ..Default::default() }.into()),
    ];
    for (name, kind) in cases {
        let event = event("alice", kind);
        case(measure, &format!("count {name}"), || fleet.observe(&event));
    }
    let both = [event("alice", ping(7)), event("bob", ping(7))];
    case(measure, "count a ping of each of two nodes in turn", || both.iter().for_each(|event| fleet.observe(event)));
    let peers = event("alice", StatePeers { peers: (0..125).map(peer).collect() });
    case(measure, "count a list of 125 peers", || fleet.observe(&peers));
    fleet_of_hundred(measure);
    if testkit::NatsServer::available() {
        flood(measure);
    } else {
        println!("over NATS: skipped, no nats-server on PATH");
    }
}

/// A flood of pings over NATS, as fast as they can be published: counted, or told as missed; and what a ping costs the reader, against one
/// that throws it away.
fn flood(measure: bool) {
    let pings = if measure { 500_000 } else { 2000 };
    let server = testkit::NatsServer::start("").expect("a server");
    for counting in [false, true, false, true] {
        let url: bus::BusUrl = server.url().parse().expect("a URL");
        let (ready, begin) = std::sync::mpsc::channel();
        let reader = std::thread::spawn({
            let url = url.clone();
            move || read(&url, counting, &ready)
        });
        begin.recv().expect("the reader listens");
        let over = std::sync::atomic::AtomicBool::new(false);
        let Read { published, dropped, received, missed, cpu } = std::thread::scope(|scope| {
            scope.spawn(|| publish(&url, pings, &over));
            let read = reader.join().expect("reading does not panic");
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            read
        });
        // what was published came, or is known to be missing; what was not published is known, too
        assert_eq!(received + missed, published);
        let what = if counting { "counts" } else { "throws away" };
        println!(
            "{:>12} ns  CPU per event, a reader that {what}: {pings} pings, {dropped} dropped before the server, {received} received, {missed} missed",
            cpu.as_nanos() / u128::from(received.max(1)),
        );
    }
}

/// What a reader knows at the last beat.
#[derive(Default)]
struct Read {
    /// As the beat says: before it, all kinds.
    published: u64,
    dropped: u64,
    received: u64,
    missed: u64,
    cpu: Duration,
}

/// Reads until a beat says that it is over. Everything of this side runs on this thread, so its CPU time is what reading costs.
fn read(url: &bus::BusUrl, counting: bool, ready: &std::sync::mpsc::Sender<()>) -> Read {
    use bus::{Bus, Delivery, Limits, NatsOptions};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut fleet = Fleet::new(Lists::default());
    let mut read = Read::default();
    runtime.block_on(async {
        let bus = Bus::open(&NatsOptions::new(url.clone())).await.expect("the server is there");
        let mut events = bus.subscribe(tools::metrics::wanted(), Limits::default()).await.expect("permitted");
        let start = thread_time();
        ready.send(()).expect("the other side waits");
        let mut batch = Vec::new();
        'reading: while events.next_batch(&mut batch, 256).await {
            for delivery in batch.drain(..) {
                match delivery {
                    Delivery::Event(event) => {
                        if let Some(Kind::HealthBeat(beat)) = &event.kind
                            && beat.lag == OVER
                        {
                            read.published = beat.totals.iter().map(|total| total.total).sum();
                            read.dropped = beat.lost.unwrap_or(0);
                            break 'reading;
                        }
                        read.received += 1;
                        if counting {
                            fleet.observe(&event);
                        }
                    }
                    Delivery::Missed(count) => {
                        read.missed += count;
                        fleet.missed(count);
                    }
                }
            }
        }
        read.cpu = thread_time() - start;
        bus.close().await;
    });
    read
}

/// A beat with this lag comes after everything.
const OVER: u64 = 1;

/// Publishes as fast as it can, and then says that it is over until that was heard.
fn publish(url: &bus::BusUrl, pings: u64, over: &std::sync::atomic::AtomicBool) {
    use bus::{Bus, NatsOptions};
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let bus = runtime.block_on(Bus::open(&NatsOptions::new(url.clone()))).expect("the server is there");
    let publisher = bus.publisher("alice".parse().expect("letters"), Source::Ebpf);
    for first in (0..pings).step_by(100) {
        publisher
            .publish_batch((first..first + 100).map(|number| (NOW * 1_000_000_000 + number, Some(NOW), ping(number % 125).into())));
    }
    while !over.load(std::sync::atomic::Ordering::Relaxed) {
        publisher.beat(NOW * 1_000_000_000, Some(NOW), OVER, None, None);
        std::thread::sleep(Duration::from_millis(20));
    }
    runtime.block_on(bus.close());
}

/// CPU time of this thread.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// 100 nodes of 125 peers: how much memory, and how long a scrape takes.
fn fleet_of_hundred(measure: bool) {
    let nodes = if measure { 100 } else { 2 };
    let before = resident();
    let mut fleet = Fleet::new(Lists::default());
    let samples = testkit::events::samples();
    for node in 0..nodes {
        let name = format!("node-{node}");
        // everything that can be counted, and every peer's messages
        for sample in &samples {
            fleet.observe(&Event { node: name.clone(), replay: true, ..sample.clone() });
        }
        fleet.observe(&event(&name, StatePeers { peers: (0..125).map(peer).collect() }));
        for number in 0..125 {
            fleet.observe(&event(&name, ping(number)));
            fleet.observe(&event(&name, inv(35)));
            fleet.observe(&event(&name, addrv2(10)));
        }
    }
    let page = |fleet: &mut Fleet| {
        let shown = (0..fleet.nodes()).map(|place| fleet.shown(place)).collect();
        let (tool, lists) = fleet.shown_tool();
        Page { nodes: shown, tool, lists, process: None }.write(Format::Prometheus)
    };
    let text = page(&mut fleet);
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    case(measure, &format!("a page of {nodes} nodes ({series} series, {} bytes)", text.len()), || page(&mut fleet));
    if measure {
        println!("{:>12} kB of memory for {nodes} nodes, a page included", (resident() - before) / 1024);
    }
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default() * 4096
}

/// The best of several rounds: what is slower than that is the machine's doing.
fn case<T>(measure: bool, name: &str, mut run: impl FnMut() -> T) {
    black_box(run());
    if !measure {
        return;
    }
    let start = Instant::now();
    black_box(run());
    let once = start.elapsed().max(Duration::from_nanos(20));
    let iterations = (Duration::from_millis(20).as_nanos() / once.as_nanos()).max(1);
    let round = || {
        let start = Instant::now();
        for _ in 0..iterations {
            black_box(run());
        }
        start.elapsed().as_nanos() / iterations
    };
    let best = std::iter::repeat_with(round).take(10).min().unwrap_or_default();
    println!("{best:>12} ns  {name}");
}

fn event(node: &str, kind: impl Into<Kind>) -> Event {
    Event { time: NOW * 1_000_000_000, node_run: Some(NOW - 1000), replay: true, ..Event::new(node, Source::Ebpf, kind) }
}

fn ping(peer: u64) -> NetPing {
    NetPing {
        peer,
        direction: Direction::Inbound.into(),
        address: "203.0.113.7:8333".into(),
        connection_type: ConnectionType::Inbound.into(),
        network: Network::Ipv4.into(),
        size: 8,
        nonce: Some(0x1234_5678_9abc_def0),
        ..Default::default()
    }
}

fn inv(entries: u8) -> NetInv {
    let item = |number: u8| Inventory { r#type: InventoryType::Wtx.into(), hash: vec![number; 32].into(), number: None };
    NetInv {
        peer: 7,
        direction: Direction::Outbound.into(),
        address: "203.0.113.7:8333".into(),
        connection_type: ConnectionType::OutboundFullRelay.into(),
        network: Network::Ipv4.into(),
        size: 36 * u32::from(entries) + 1,
        items: (0..entries).map(item).collect(),
        ..Default::default()
    }
}

fn addrv2(entries: u32) -> NetAddrv2 {
    let address = |at: u32| {
        let (network, address) = match at % 4 {
            0 => (Network::Onion, vec![at as u8; 32]),
            1 => (Network::Ipv6, vec![at as u8; 16]),
            _ => (Network::Ipv4, at.to_be_bytes().to_vec()),
        };
        NetworkAddress {
            time: NOW as u32 - at * 60,
            services: 0x0c09,
            network: network.into(),
            address: address.into(),
            port: 8333,
            network_id: None,
        }
    };
    NetAddrv2 {
        peer: 7,
        direction: Direction::Inbound.into(),
        address: "203.0.113.7:8333".into(),
        connection_type: ConnectionType::Inbound.into(),
        network: Network::Ipv4.into(),
        size: entries * 20,
        addresses: (0..entries).map(address).collect(),
        ..Default::default()
    }
}

fn peer(id: u64) -> PeerInfo {
    PeerInfo {
        id,
        address: format!("203.0.{}.7:8333", id % 250),
        network: Network::Ipv4.into(),
        connection_type: ConnectionType::Inbound.into(),
        mapped_as: Some(id as u32 % 40),
        services: Some(0x0c09),
        relay_transactions: Some(true),
        inv_to_send: Some(id),
        ping: Some(50_000_000 + id),
        minimum_ping: Some(40_000_000),
        version: Some(70016),
        user_agent: Some("/Satoshi:31.0.0/".into()),
        addr_processed: Some(id * 100),
        min_fee_filter: Some(100),
        ..Default::default()
    }
}
