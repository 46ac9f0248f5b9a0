//! As much HTTP as tests need: a receiver that keeps what it is sent, and a question that is answered with JSON.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256};
use serde_json::Value;

/// That it was taken.
pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request that arrived whole.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// When.
    pub at: Instant,
    /// What it is for, with the query.
    pub path: String,
    /// Its headers, the names in lower case.
    pub headers: Vec<(String, String)>,
    /// What it says.
    pub body: String,
}

impl Arrived {
    /// The value of a header; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(header, _)| header == name).map_or("", |(_, value)| value)
    }

    /// Whether somebody signed it who has this secret, as webhooks are signed (docs/messages.md).
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let mut engine = HmacEngine::<sha256::Hash>::new(secret.as_bytes());
        engine.input(format!("{}.{}", self.header("x-peer-observer-timestamp"), self.body).as_bytes());
        self.header("x-peer-observer-signature") == format!("v1={}", Hmac::<sha256::Hash>::from_engine(engine))
    }

    /// Its body, which is JSON; null if it is not.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// A receiver on a port of its own, which answers each request with what `answer` says of its number; its address, and what arrives.
pub fn receiver(answer: impl Fn(usize) -> &'static str + Send + 'static) -> anyhow::Result<(String, Receiver<Arrived>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let (arrived, arrivals) = channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let Ok(stream) = stream else { break };
            let (answer, arrived) = (answer(number), arrived.clone());
            // a client may open one that it does not use yet; who breaks off has sent nothing
            std::thread::spawn(move || read(stream, answer, &arrived));
        }
    });
    Ok((url, arrivals))
}

fn read(stream: TcpStream, answer: &str, arrived: &Sender<Arrived>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().ok()?;
        }
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let at = Instant::now();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    // before the answer: who has one finds it here
    arrived.send(Arrived { at, path, headers, body: String::from_utf8(body).ok()? }).ok()?;
    reader.get_mut().write_all(answer.as_bytes()).ok()
}

/// The JSON at a path; `None` while there is none.
pub fn get(address: SocketAddr, path: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    // who does not know the length beforehand sends pieces, of which tests ask for one
    let body = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") { body.split_once("\r\n")?.1 } else { body };
    serde_json::Deserializer::from_str(body).into_iter::<Value>().next()?.ok()
}
