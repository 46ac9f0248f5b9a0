//! A visit over the network: directly, through a SOCKS5 proxy, or through an I2P router. Bounded in time and bytes.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::p2p::network::Magic;
use event::p2p::transport::{Fault, Version};
use event::{Network, VisitResult, VisitRoute};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Mutex;
use tokio::time::{timeout, timeout_at};
use tokio_socks::tcp::Socks5Stream;

use super::sam;
use super::target::Target;
use super::visit::{Greeting, Hello, Visit};

/// How many times longer than a direct connection one through a proxy may take: Tor and I2P build a way first.
const DETOUR: u32 = 6;
/// How long a proxy may take to accept a connection of ours. It is ours, or near.
const PROXY: Duration = Duration::from_secs(5);
/// The most that is read at once. A handshake has less.
const READ: usize = 1 << 11;

/// How to get out.
#[derive(Clone, Debug)]
pub struct Dialler {
    /// The network of whom we look for.
    pub network: Magic,
    /// What we call ourselves.
    pub user_agent: String,
    /// How long connecting may take, and again the handshake.
    pub patience: Duration,
    /// A SOCKS5 proxy for IPv4 and IPv6.
    pub proxy: Option<SocketAddr>,
    /// A SOCKS5 proxy for Tor.
    pub tor: Option<SocketAddr>,
    /// An I2P router.
    pub i2p: Option<Router>,
}

/// What a visit came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// In a word.
    pub result: VisitResult,
    /// In words.
    pub detail: String,
    /// How we spoke.
    pub transport: Version,
    /// What the other side said of itself, and when that was: Unix seconds.
    pub hello: Option<(Hello, i64)>,
    /// Until connected.
    pub latency: Option<Duration>,
    /// From connected until the handshake was over.
    pub handshake: Option<Duration>,
    /// Somebody accepted the connection and said nothing at all: who does not know v2 does so.
    pub silent: bool,
}

impl Outcome {
    fn of(transport: Version, result: VisitResult, detail: impl Into<String>) -> Self {
        Self { result, detail: detail.into(), transport, hello: None, latency: None, handshake: None, silent: false }
    }
}

/// Why nobody is connected.
struct Unconnected(VisitResult, String);

impl Dialler {
    /// How an address of this network is dialled.
    pub fn route(&self, network: Network) -> VisitRoute {
        match network {
            Network::Onion => VisitRoute::Socks5,
            Network::I2p => VisitRoute::I2p,
            Network::Ipv4 | Network::Ipv6 if self.proxy.is_some() => VisitRoute::Socks5,
            _ => VisitRoute::Direct,
        }
    }

    /// Pays a visit. `nonce` must be random and new.
    pub async fn visit(&self, target: &Target, transport: Version, nonce: u64) -> Outcome {
        let mut secret = [0; 32];
        if let Err(error) = getrandom::fill(&mut secret) {
            return Outcome::of(transport, VisitResult::NotDialled, format!("no randomness: {error}"));
        }
        let begun = Instant::now();
        let stream = match self.connect(target).await {
            Ok(stream) => stream,
            Err(Unconnected(result, detail)) => return Outcome::of(transport, result, detail),
        };
        let latency = begun.elapsed();
        let greeting =
            Greeting { network: self.network, transport, secret, nonce, time: now(), user_agent: self.user_agent.clone() };
        let mut outcome = converse(stream, Visit::new(greeting), transport, self.patience).await;
        outcome.latency = Some(latency);
        outcome
    }

    async fn connect(&self, target: &Target) -> Result<TcpStream, Unconnected> {
        let route = self.route(target.network());
        let patience = if route == VisitRoute::Direct { self.patience } else { self.patience * DETOUR };
        let connecting = async {
            match route {
                VisitRoute::I2p => match &self.i2p {
                    Some(router) => router.connect(&target.name()).await,
                    None => Err(Unconnected(VisitResult::NotDialled, "no I2P router is configured".into())),
                },
                VisitRoute::Socks5 => {
                    let proxy = if target.network() == Network::Onion { self.tor } else { self.proxy };
                    match proxy {
                        Some(proxy) => through(proxy, target).await,
                        None => Err(Unconnected(VisitResult::NotDialled, "no proxy is configured".into())),
                    }
                }
                _ => directly(target).await,
            }
        };
        match timeout(patience, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(Unconnected(VisitResult::TimedOut, format!("no answer within {} s", patience.as_secs_f32()))),
        }
    }
}

async fn directly(target: &Target) -> Result<TcpStream, Unconnected> {
    let Some(ip) = target.ip() else {
        return Err(Unconnected(VisitResult::NotDialled, "it can only be dialled through a proxy".into()));
    };
    let socket = if ip.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(|error| Unconnected(VisitResult::NotDialled, error.to_string()))?;
    socket.connect((ip, target.port()).into()).await.map_err(|error| unconnected(&error))
}

/// What an error of the system says of the address, or of us.
fn unconnected(error: &io::Error) -> Unconnected {
    let result = match error.kind() {
        ErrorKind::ConnectionRefused => VisitResult::Refused,
        ErrorKind::TimedOut => VisitResult::TimedOut,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => {
            VisitResult::Unreachable
        }
        // a firewall of ours, no free port, no memory
        _ => VisitResult::NotDialled,
    };
    Unconnected(result, error.to_string())
}

/// Over SOCKS5. The name is asked for, so that nobody but the proxy has to know what it means; every visit has a user name of its own, so that
/// Tor builds a way of its own for it (`IsolateSOCKSAuth`).
async fn through(proxy: SocketAddr, target: &Target) -> Result<TcpStream, Unconnected> {
    use tokio_socks::Error;
    let failed = |error: &dyn std::fmt::Display| Unconnected(VisitResult::ProxyFailed, format!("the proxy {proxy}: {error}"));
    let stream = reach(proxy).await.map_err(|error| failed(&error))?;
    let isolation = getrandom::u64().map_err(|error| failed(&error))?.to_string();
    let name = target.name();
    let connected = Socks5Stream::connect_with_password_and_socket(stream, (name.as_str(), target.port()), &isolation, "0").await;
    connected.map(Socks5Stream::into_inner).map_err(|error| match error {
        Error::ConnectionRefused => Unconnected(VisitResult::Refused, "the proxy says: refused".into()),
        Error::HostUnreachable => Unconnected(VisitResult::Unreachable, "the proxy says: host unreachable".into()),
        Error::NetworkUnreachable => Unconnected(VisitResult::Unreachable, "the proxy says: network unreachable".into()),
        Error::TtlExpired => Unconnected(VisitResult::TimedOut, "the proxy says: time to live expired".into()),
        // Tor's own codes for an onion service that is not there (0xf0 to 0xf7, proposal 304) are these to the crate; and so is a proxy that
        // wants to know us in another way
        Error::UnknownAuthMethod if target.network() == Network::Onion => {
            Unconnected(VisitResult::Unreachable, "the proxy says: a failure of its own kind".into())
        }
        // a general failure, too: it is what a proxy says that has no way out itself
        error => failed(&error),
    })
}

/// Connects to a proxy.
async fn reach(proxy: SocketAddr) -> io::Result<TcpStream> {
    timeout(PROXY, TcpStream::connect(proxy)).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

/// Talks until the handshake is over, or leads nowhere.
async fn converse(mut stream: TcpStream, mut visit: Visit, transport: Version, patience: Duration) -> Outcome {
    let begun = Instant::now();
    let deadline = tokio::time::Instant::now() + patience;
    let of = |result, detail: String| Outcome::of(transport, result, detail);
    let mut buffer = [0; READ];
    let end = loop {
        let step = async {
            let output = visit.take_output();
            if !output.is_empty() {
                stream.write_all(&output).await?;
            }
            stream.read(&mut buffer).await
        };
        match timeout_at(deadline, step).await {
            Err(_) => break of(VisitResult::Stalled, format!("no handshake within {} s", patience.as_secs_f32())),
            Ok(Ok(0)) => break of(VisitResult::HungUp, "it hung up".into()),
            Ok(Err(error)) => break of(VisitResult::HungUp, error.to_string()),
            Ok(Ok(length)) => match visit.receive(&buffer[..length]) {
                Ok(false) => {}
                Ok(true) => {
                    // said to be polite; who hung up does not hear it
                    let _ = timeout_at(deadline, stream.write_all(&visit.take_output())).await;
                    break Outcome { handshake: Some(begun.elapsed()), ..of(VisitResult::Reachable, String::new()) };
                }
                Err(fault) => break faulty(transport, &fault),
            },
        }
    };
    let silent = visit.heard() == 0 && matches!(end.result, VisitResult::Stalled | VisitResult::HungUp);
    let end = match (end.result, visit.meant()) {
        (VisitResult::Stalled | VisitResult::HungUp, Some(other)) => faulty(transport, &Fault::OtherNetwork(other)),
        // it said something, and nothing that could be understood
        (VisitResult::HungUp, None) if visit.heard() > 0 && !visit.is_established() => {
            of(VisitResult::NotBitcoin, "it hung up after what is not the protocol".into())
        }
        _ => end,
    };
    Outcome { hello: visit.hello().map(|hello| (hello.clone(), now())), silent, ..end }
}

fn faulty(transport: Version, fault: &Fault) -> Outcome {
    let result = match fault {
        Fault::OtherNetwork(_) => VisitResult::WrongNetwork,
        Fault::TooLarge(_) => VisitResult::Endless,
        Fault::Broken(_) | Fault::NoV2 => VisitResult::NotBitcoin,
    };
    Outcome::of(transport, result, fault.to_string())
}

/// Unix seconds.
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

/// An I2P router, and our session with it.
#[derive(Clone, Debug)]
pub struct Router {
    address: SocketAddr,
    /// The session's name and its connection: it lasts as long.
    session: Arc<Mutex<Option<Session>>>,
}

#[derive(Debug)]
struct Session {
    id: String,
    control: TcpStream,
}

impl Router {
    /// The router whose SAM port is there.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, session: Arc::default() }
    }

    async fn connect(&self, name: &str) -> Result<TcpStream, Unconnected> {
        let id = {
            let mut session = self.session.lock().await;
            // one at a time: the first makes the session for all
            let open = match session.take() {
                Some(open) if !open.is_closed() => session.insert(open),
                _ => session.insert(self.open().await?),
            };
            open.id.clone()
        };
        let destination = self.look_up(name).await?;
        let mut stream = self.greet().await?;
        let line = self.ask(&mut stream, &sam::connect(&id, &destination)).await?;
        let answer = sam::Answer::read(&line, "STREAM STATUS").map_err(|error| self.failed(&error))?;
        match answer.result {
            "OK" => Ok(stream),
            "CANT_REACH_PEER" | "PEER_NOT_FOUND" => {
                Err(Unconnected(VisitResult::Unreachable, format!("I2P says: {}", answer.result)))
            }
            "TIMEOUT" => Err(Unconnected(VisitResult::TimedOut, "I2P says: TIMEOUT".into())),
            other => {
                if other == "INVALID_ID" {
                    self.forget(&id).await;
                }
                Err(self.failed(&other.escape_default()))
            }
        }
    }

    /// The router does not know this session any more. Others may have made a new one meanwhile, and use it.
    async fn forget(&self, id: &str) {
        let mut session = self.session.lock().await;
        if session.as_ref().is_some_and(|open| open.id == id) {
            *session = None;
        }
    }

    async fn open(&self) -> Result<Session, Unconnected> {
        let mut control = self.greet().await?;
        let id = format!("{:016x}", getrandom::u64().map_err(|error| self.failed(&error))?);
        let line = self.ask(&mut control, &sam::create(&id)).await?;
        match sam::Answer::read(&line, "SESSION STATUS") {
            Ok(answer) if answer.is_ok() => Ok(Session { id, control }),
            Ok(answer) => Err(self.failed(&answer.result.escape_default())),
            Err(error) => Err(self.failed(&error)),
        }
    }

    async fn look_up(&self, name: &str) -> Result<String, Unconnected> {
        let mut stream = self.greet().await?;
        let line = self.ask(&mut stream, &sam::lookup(name)).await?;
        let answer = sam::Answer::read(&line, "NAMING REPLY").map_err(|error| self.failed(&error))?;
        match (answer.result, answer.value) {
            ("OK", Some(value)) if sam::is_destination(value) => Ok(value.to_owned()),
            ("KEY_NOT_FOUND" | "LEASESET_NOT_FOUND", _) => {
                Err(Unconnected(VisitResult::Unreachable, format!("I2P says: {}", answer.result)))
            }
            (other, _) => Err(self.failed(&other.escape_default())),
        }
    }

    async fn greet(&self) -> Result<TcpStream, Unconnected> {
        let mut stream = reach(self.address).await.map_err(|error| self.failed(&error))?;
        let line = self.ask(&mut stream, sam::HELLO).await?;
        match sam::Answer::read(&line, "HELLO REPLY") {
            Ok(answer) if answer.is_ok() => Ok(stream),
            Ok(answer) => Err(self.failed(&answer.result.escape_default())),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Says a line and reads one, and nothing of what follows: that may be the stream.
    async fn ask(&self, stream: &mut TcpStream, question: &str) -> Result<String, Unconnected> {
        stream.write_all(question.as_bytes()).await.map_err(|error| self.failed(&error))?;
        let mut line = Vec::new();
        loop {
            let byte = stream.read_u8().await.map_err(|error| self.failed(&error))?;
            if byte == b'\n' {
                break;
            }
            line.push(byte);
            if line.len() > sam::LINE {
                return Err(self.failed(&"its answer has no end"));
            }
        }
        String::from_utf8(line).map_err(|_| self.failed(&sam::Unexpected))
    }

    fn failed(&self, why: &dyn std::fmt::Display) -> Unconnected {
        Unconnected(VisitResult::ProxyFailed, format!("the I2P router {}: {why}", self.address))
    }
}

impl Session {
    /// Whether the router has ended it: then its connection has, too.
    fn is_closed(&self) -> bool {
        let mut byte = [0];
        !matches!(self.control.try_read(&mut byte), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_session_that_the_router_does_not_know_is_forgotten() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new(address);
        let control = TcpStream::connect(address).await.unwrap();
        *router.session.lock().await = Some(Session { id: "new".into(), control });
        router.forget("old").await;
        assert!(router.session.lock().await.is_some());
        router.forget("new").await;
        assert!(router.session.lock().await.is_none());
    }
}
