//! How exact the round trip of a ping is: the test node answers after a known time, by its own clock.
//!
//! Case names are sentences; `cargo bench -p po-extract --bench ping` prints one line each, `cargo test` runs each case a few times.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bus::{Bus, Delivery, Limits};
use event::{Filter, Kind, KindId, Source};
use extract::p2p::network::KNOWN;
use extract::p2p::transport::frame;
use extract::p2p::{self, Config, Place};
use tokio::sync::watch;

const HEADER: usize = 24;

/// A node that greets, and answers each ping so long after it was read; tells how long it really took.
///
/// It never sleeps while it reads: the time that it would take to wake up is the node's, and would look like our error.
fn node(address: SocketAddr, delay: Duration, took: &mpsc::Sender<Duration>) -> std::io::Result<()> {
    let (_, magic) = KNOWN[4];
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let payloads = testkit::events::payloads();
    let version = &payloads.iter().find(|(name, _)| name == "version").expect("a payload of each type").1;
    let mut bytes = Vec::new();
    frame(magic, "version", version, &mut bytes);
    frame(magic, "verack", &[], &mut bytes);
    stream.write_all(&bytes)?;
    let mut buffer = [0; 4096];
    let mut input = Vec::new();
    stream.set_nonblocking(true)?;
    loop {
        let length = match stream.read(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            other => other?,
        };
        let read = Instant::now();
        if length == 0 {
            return Ok(());
        }
        input.extend_from_slice(&buffer[..length]);
        while let Some(header) = input.first_chunk::<HEADER>() {
            let end = HEADER + header[16] as usize + 256 * header[17] as usize;
            if input.len() < end {
                break;
            }
            if input.starts_with(&[magic.0.as_slice(), b"ping\0"].concat()) {
                let mut pong = Vec::new();
                frame(magic, "pong", &input[HEADER..end], &mut pong);
                // sleeping is not exact enough at the end
                std::thread::sleep((delay.saturating_sub(read.elapsed())).saturating_sub(Duration::from_micros(500)));
                while read.elapsed() < delay {
                    std::hint::spin_loop();
                }
                let answered = read.elapsed();
                stream.write_all(&pong)?;
                if took.send(answered).is_err() {
                    return Ok(());
                }
            }
            input.drain(..end);
        }
    }
}

/// By how much the published round trips differ from what the node took, sorted.
fn errors(delay: Duration, count: usize) -> Vec<Duration> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let place = Place { p2p_listen: "127.0.0.1:0".parse().expect("an address"), p2p_network: None, p2p_allow: Vec::new() };
    let listener = place.listen().expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let config = Config { p2p_interval: delay + Duration::from_millis(10), p2p_timeout: Duration::from_secs(30) };
    let (told, took) = mpsc::channel();
    std::thread::spawn(move || node(address, delay, &told));
    runtime.block_on(async {
        let bus = Bus::local();
        let mut events = bus.subscribe(Filter::kinds([KindId::ProbePing]), Limits::default()).await.expect("an open bus");
        let out = bus.publisher("bench".parse().expect("a name"), Source::P2p);
        let (_, unknown) = watch::channel(None);
        tokio::spawn(p2p::run(config, place, listener, unknown, out, std::future::pending()));
        let mut errors = Vec::new();
        while errors.len() < count {
            if let Some(Delivery::Event(event)) = events.next().await
                && let Some(Kind::ProbePing(ping)) = event.kind
            {
                let took = took.recv().expect("a ping that was answered");
                errors.push(Duration::from_nanos(ping.round_trip_nanos).abs_diff(took));
            }
        }
        errors.sort();
        errors
    })
}

fn main() {
    let quick = !std::env::args().any(|arg| arg == "--bench");
    for (millis, count) in [(0, 500), (1, 500), (10, 200), (1000, 15)] {
        if quick && millis > 10 {
            continue;
        }
        let errors = errors(Duration::from_millis(millis), if quick { 3 } else { count });
        let (median, ninety) = (errors[errors.len() / 2], errors[errors.len() * 9 / 10]);
        println!("a node that answers after {millis} ms: wrong by {median:?} in the median, by at most {ninety:?} in nine of ten");
    }
}
