//! Publish to delivered. One short round when run with the tests, `cargo bench -p po-bus` to measure.

use std::error::Error;

use bus::bench::{local_throughput, nats_throughput};

fn main() -> Result<(), Box<dyn Error>> {
    let measuring = std::env::args().any(|argument| argument == "--bench");
    let (rounds, local, nats) = if measuring { (5, 4_000_000, 1_000_000) } else { (1, 1000, 1000) };
    for _ in 0..rounds {
        println!("in process, 1 subscriber: {}", local_throughput(local, 1));
        println!("in process, 4 subscribers: {}", local_throughput(local, 4));
    }
    if !testkit::NatsServer::available() {
        println!("over NATS: skipped, no nats-server on PATH");
        return Ok(());
    }
    let server = testkit::NatsServer::start("")?;
    let url = server.url().parse()?;
    for _ in 0..rounds {
        println!("over NATS, 1 subscriber: {}", nats_throughput(&url, nats)?);
    }
    Ok(())
}
