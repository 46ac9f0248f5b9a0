//! The smallest JSON-RPC client that a test needs: one request per connection, blocking.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// Mining a few hundred blocks is the slowest thing asked of a test node.
const TIMEOUT: Duration = Duration::from_secs(120);

/// More than any answer: a block in hexadecimal digits has eight million.
const LONGEST: u64 = 64 << 20;

/// More than the status and the headers of any answer.
const LONGEST_HEAD: u64 = 1 << 16;

/// One node's RPC interface.
#[derive(Debug, Clone)]
pub struct Client {
    address: SocketAddr,
    cookie: PathBuf,
    patience: Duration,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The node refused the call; the code is one of Bitcoin Core's `RPCErrorCode`.
    #[error("{method} refused with {code}: {message}")]
    Refused {
        /// What was called.
        method: String,
        /// For instance -28 while the node warms up.
        code: i64,
        /// The node's words.
        message: String,
    },
    /// The server did not reach the node with the call: 401, 403, 503.
    #[error("{method} answered with HTTP status {status}")]
    Http {
        /// What was called.
        method: String,
        /// The status.
        status: u16,
    },
    /// Nobody listens, there is no cookie, or the answer is not JSON-RPC.
    #[error("{method} got no answer")]
    NoAnswer {
        /// What was called.
        method: String,
        /// What went wrong on the way.
        source: io::Error,
    },
}

impl Error {
    /// The node's error code, when it was the node that refused.
    pub fn code(&self) -> Option<i64> {
        match self {
            Error::Refused { code, .. } => Some(*code),
            Error::Http { .. } | Error::NoAnswer { .. } => None,
        }
    }
}

impl Client {
    /// Nothing is opened yet. The cookie is read anew for each call, since a restarted node writes another.
    pub fn new(address: SocketAddr, cookie: &Path) -> Client {
        Client { address, cookie: cookie.to_path_buf(), patience: TIMEOUT }
    }

    /// Waits less long for answers, where it is not sure that a node is listening.
    pub(crate) fn with_patience(self, patience: Duration) -> Client {
        Client { patience, ..self }
    }

    /// Calls `method` with positional (array) or named (object) `params`.
    #[expect(clippy::needless_pass_by_value, reason = "callers write json!([…]) in place")]
    pub fn call(&self, method: &str, params: Value) -> Result<Value, Error> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let (status, body) = self.post(&request).map_err(|source| Error::NoAnswer { method: method.to_owned(), source })?;
        let mut answer: Value = match serde_json::from_slice(&body) {
            Ok(answer) => answer,
            Err(_) if status != 200 => {
                return Err(Error::Http { method: method.to_owned(), status });
            }
            Err(error) => {
                return Err(Error::NoAnswer { method: method.to_owned(), source: error.into() });
            }
        };
        match answer.get("error") {
            None | Some(Value::Null) => Ok(answer["result"].take()),
            Some(error) => Err(Error::Refused {
                method: method.to_owned(),
                code: error["code"].as_i64().unwrap_or_default(),
                message: error["message"].as_str().unwrap_or_default().to_owned(),
            }),
        }
    }

    fn post(&self, request: &str) -> io::Result<(u16, Vec<u8>)> {
        let secret = STANDARD.encode(fs::read(&self.cookie)?);
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.write_all(
            format!(
                "POST / HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {secret}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{request}",
                self.address,
                request.len(),
            )
            .as_bytes(),
        )?;
        read_answer(BufReader::new(stream))
    }
}

/// The status and the body of an HTTP/1.1 answer that states its length.
fn read_answer(stream: impl io::BufRead) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = stream.take(LONGEST_HEAD);
    let foreign = |text: &str| io::Error::new(io::ErrorKind::InvalidData, format!("not an HTTP answer: `{text}`"));
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| foreign(line.trim_end()))?;
    let mut length = 0;
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().map_err(|_| foreign(line.trim_end()))?;
            }
            Some(_) => {}
            None => break,
        }
    }
    if length > LONGEST {
        return Err(foreign(&format!("a body of {length} bytes")));
    }
    stream.set_limit(length);
    let mut body = Vec::new();
    stream.read_to_end(&mut body)?;
    if body.len() as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_to_its_stated_length() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 2\r\nDate: x\r\n\r\n{}and more";
        assert_eq!(read_answer(&answer[..]).unwrap(), (200, b"{}".to_vec()));
    }

    #[test]
    fn half_an_answer_is_an_error() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}";
        assert_eq!(read_answer(&answer[..]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    proptest::proptest! {
        #[test]
        fn any_answer_is_read_or_refused(head in "(HTTP/1.1 [0-9 ]{0,5}\r\n)?([Cc]ontent-[Ll]ength: [0-9]{0,20}\r\n)?.{0,40}(\r\n\r\n)?", body: Vec<u8>) {
            let answer = [head.as_bytes(), &body].concat();
            if let Ok((_, read)) = read_answer(&answer[..]) {
                proptest::prop_assert!(read.len() <= body.len() + head.len());
            }
        }
    }

    #[test]
    fn a_refused_user_is_a_status() {
        let answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(read_answer(&answer[..]).unwrap(), (401, Vec::new()));
    }
}
