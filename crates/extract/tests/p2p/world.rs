//! The extractor at work on a bus, and the node's process as the test says it is.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bus::{Bus, Delivery, Limits, Subscription};
use event::{Event, Filter, Kind, KindId, Source};
use extract::life::Life;
use extract::p2p::{self, Config, Place};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::fake::{Dial, Node};
use extract::p2p::network::Magic;

/// A second is not a time that a test waits for; it is how often the extractor tells of refusals.
///
/// A node dials who went away again after a minute.
const PATIENCE: Duration = Duration::from_secs(180);

pub struct World {
    pub address: SocketAddr,
    pub life: watch::Sender<Option<Life>>,
    runtime: tokio::runtime::Runtime,
    events: Subscription,
    stop: Option<oneshot::Sender<()>>,
    worker: tokio::task::JoinHandle<anyhow::Result<()>>,
}

#[derive(Default)]
pub struct Options {
    pub network: Option<Magic>,
    pub allow: Vec<IpAddr>,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub unknown_node: bool,
}

/// The process of this test, as the node.
pub fn this_process() -> Option<Life> {
    Some(Life { pid: std::process::id(), node_run: 1_700_000_000, datadir: None })
}

impl World {
    pub fn new(options: Options) -> Self {
        let place = Place { p2p_listen: "127.0.0.1:0".parse().unwrap(), p2p_network: options.network, p2p_allow: options.allow };
        let listener = place.listen().unwrap();
        let address = listener.local_addr().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let bus = Bus::local();
        let events = runtime.block_on(bus.subscribe(Filter::all(), Limits::default())).unwrap();
        let out = bus.publisher("alice".parse().unwrap(), Source::P2p);
        let (life, node) = watch::channel(if options.unknown_node { None } else { this_process() });
        let (stop, stopped) = oneshot::channel::<()>();
        let config = Config {
            p2p_interval: options.interval.unwrap_or(Duration::from_millis(20)),
            p2p_timeout: options.timeout.unwrap_or(Duration::from_secs(30)),
        };
        let stopped = async { drop(stopped.await) };
        let worker = runtime.spawn(p2p::run(config, place, listener, node, out, stopped));
        Self { address, life, runtime, events, stop: Some(stop), worker }
    }

    /// The next event that is not a beat.
    pub fn next(&mut self) -> Arc<Event> {
        loop {
            let next = self.runtime.block_on(async { timeout(PATIENCE, self.events.next()).await });
            match next.expect("an event") {
                Some(Delivery::Event(event)) if event.id() == Some(KindId::HealthBeat) => {}
                Some(Delivery::Event(event)) => return event,
                other => panic!("an event, not {other:?}"),
            }
        }
    }

    /// The next event that `wanted` makes something of; others are passed by.
    pub fn wait<T>(&mut self, mut wanted: impl FnMut(&Kind) -> Option<T>) -> T {
        loop {
            if let Some(found) = self.next().kind.as_ref().and_then(&mut wanted) {
                return found;
            }
        }
    }

    /// What the node was said to be when it connected.
    pub fn wait_attached(&mut self) -> Vec<String> {
        self.wait(|kind| match kind {
            Kind::HealthAttached(attached) => Some(attached.attached.clone()),
            _ => None,
        })
    }

    /// Stops the extractor, and gives what it had still to say.
    pub fn stop(mut self) -> Vec<Arc<Event>> {
        drop(self.stop.take());
        self.runtime.block_on(self.worker).unwrap().unwrap();
        let mut rest = Vec::new();
        while let Ok(Some(Delivery::Event(event))) =
            self.runtime.block_on(async { timeout(Duration::from_millis(100), self.events.next()).await })
        {
            rest.push(event);
        }
        rest
    }
}

/// A socket that can be read and written from two places.
#[derive(Clone)]
pub struct Stream(Arc<TcpStream>);

impl Stream {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(Arc::new(stream))
    }

    pub fn socket(&self) -> &TcpStream {
        &self.0
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Dials and shakes hands.
pub fn connect(address: SocketAddr, dial: Dial, magic: Magic) -> Node<Stream> {
    let mut node = Node::dial(dial, magic, Stream::connect(address)).unwrap();
    node.greet().unwrap();
    node
}

/// A node that answers pings for ever, each as long after it came as `delay` says.
pub fn answering(mut node: Node<Stream>, delay: impl Fn() -> Duration + Send + 'static) -> JoinHandle<()> {
    std::thread::spawn(move || {
        while let Ok((message_type, payload)) = node.read() {
            if message_type == "ping" {
                let delay = delay();
                if !delay.is_zero() {
                    std::thread::sleep(delay);
                }
                if node.send("pong", &payload).is_err() {
                    return;
                }
            }
        }
    })
}
