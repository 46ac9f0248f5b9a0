//! One HTTP connection to the node: a request, its answer, nothing else.
//!
//! Whatever answers may not be a node: every length and time is bounded, and nothing of an answer is believed before it is read.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use event::FetchOutcome;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Body as _;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::methods::{DecodeError, Method};

/// Why a call brought no answer, or not one that is an event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// Nobody listens, or the connection broke.
    #[error("no answer from {address}: {reason}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// Why.
        reason: String,
    },
    /// The secret was not accepted (401).
    #[error("the node does not accept {0}")]
    Unauthorized(String),
    /// The secret cannot be read.
    #[error("{0}")]
    NoSecret(String),
    /// This user may not call this method (403).
    #[error("this user may not call {0}")]
    Forbidden(&'static str),
    /// The node has no such method.
    #[error("this node has no method {0}")]
    UnknownMethod(&'static str),
    /// The node is starting.
    #[error("the node is starting: {0}")]
    WarmingUp(String),
    /// The node's queue for calls is full, or it is stopping (503).
    #[error("the node is too busy to answer")]
    Busy,
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// The node could not do it.
    #[error("the node refused {method}: {reason}")]
    Refused {
        /// What was called.
        method: &'static str,
        /// The node's words.
        reason: String,
    },
    /// The answer cannot be read.
    #[error("the answer to {method} cannot be read: {reason}")]
    Malformed {
        /// What was called.
        method: &'static str,
        /// Why.
        reason: String,
    },
    /// The answer is longer than any right one.
    #[error("the answer to {method} is longer than {limit} bytes")]
    TooLarge {
        /// What was called.
        method: &'static str,
        /// The most that is read.
        limit: usize,
    },
}

impl CallError {
    /// As events state it.
    pub fn outcome(&self) -> FetchOutcome {
        match self {
            Self::Unreachable { .. } => FetchOutcome::Unreachable,
            Self::Unauthorized(_) | Self::NoSecret(_) => FetchOutcome::Unauthorized,
            Self::Forbidden(_) => FetchOutcome::Forbidden,
            Self::UnknownMethod(_) => FetchOutcome::UnknownMethod,
            Self::WarmingUp(_) => FetchOutcome::WarmingUp,
            Self::Busy => FetchOutcome::Busy,
            Self::Timeout(_) => FetchOutcome::Timeout,
            Self::Refused { .. } => FetchOutcome::Refused,
            Self::Malformed { .. } => FetchOutcome::Malformed,
            Self::TooLarge { .. } => FetchOutcome::TooLarge,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "is the node running, with `server=1`, and is this its RPC address? see `--rpc-url`",
            Self::Unauthorized(_) => {
                "see `--rpc-cookie`, or `--rpc-user` with `--rpc-password-file`; `peer-observer doctor --new-rpc-user NAME` makes a user"
            }
            Self::NoSecret(_) => {
                "the node writes its cookie at start; only the node's user may read it: run this as that user, or give the node \
                 `-rpccookieperms=group` or an RPC user (`peer-observer doctor --new-rpc-user NAME`)"
            }
            Self::Forbidden(_) => {
                "add it to `rpcwhitelist` of this user; `peer-observer doctor` with the same options prints the whole line"
            }
            Self::UnknownMethod(_) => "newer releases of Bitcoin Core have it",
            Self::WarmingUp(_) => "it answers when it has started",
            Self::Busy => "it may be starting or stopping; `-rpcworkqueue` and `-rpcthreads` set how much it takes",
            Self::Timeout(_) => "see `--rpc-timeout`; a node that connects blocks or flushes to a slow disk answers late",
            Self::Refused { .. } => "the node says why",
            Self::Malformed { .. } | Self::TooLarge { .. } => "is this a node's RPC address, or does something else answer there?",
        }
    }
}

/// What came back, as bytes.
#[derive(Debug)]
pub struct Answer {
    /// The body.
    pub body: Bytes,
    status: StatusCode,
}

/// One connection, kept open between calls.
#[derive(Debug)]
pub struct Connection {
    address: String,
    user: String,
    sender: http1::SendRequest<Full<Bytes>>,
    authorization: HeaderValue,
    /// Moves the bytes; ends with the connection. `None` once that was noticed.
    driver: Option<JoinHandle<()>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(driver) = &self.driver {
            driver.abort();
        }
    }
}

impl Connection {
    /// Connects to `host:port`. `secret` is `user:password`.
    ///
    /// # Errors
    ///
    /// Nobody listens there.
    pub async fn open(address: &str, secret: &str) -> Result<Self, CallError> {
        let unreachable = |reason: String| CallError::Unreachable { address: address.to_owned(), reason };
        let stream = TcpStream::connect(address).await.map_err(|error| unreachable(error.to_string()))?;
        // a request is one small write, the answer to which is waited for
        stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(reasons(&error)))?;
        let mut authorization = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(secret)))
            .map_err(|_| CallError::NoSecret("the secret cannot be sent".into()))?;
        authorization.set_sensitive(true);
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::trace!(error = reasons(&error), "connection ended");
            }
        });
        let user = secret.split(':').next().unwrap_or_default().to_owned();
        Ok(Self { address: address.to_owned(), user, sender, authorization, driver: Some(driver) })
    }

    /// Waits until the other side closes the connection.
    pub async fn closed(&mut self) {
        if let Some(driver) = &mut self.driver {
            // it cannot panic, and is aborted only with this value
            let _ = driver.await;
            self.driver = None;
        }
    }

    /// Whether the other side has closed the connection.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Calls a method. `read` counts the bytes of the answer, whatever comes of it. Do not use the connection again when this was not
    /// waited for to its end.
    ///
    /// # Errors
    ///
    /// No answer, or one that is too long. What the answer says is for [`Answer::decode`].
    pub async fn call(&mut self, method: &'static Method, read: &mut u64) -> Result<Answer, CallError> {
        let address = self.address.clone();
        let unreachable = |error: hyper::Error| {
            // what is no HTTP at all is not a broken connection
            if error.is_parse() {
                return CallError::Malformed { method: method.name, reason: reasons(&error) };
            }
            CallError::Unreachable { address: address.clone(), reason: reasons(&error) }
        };
        let request = Request::post("/")
            .header(HOST, &self.address)
            .header(AUTHORIZATION, &self.authorization)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(method.request()))
            .map_err(|error| CallError::Malformed { method: method.name, reason: error.to_string() })?;
        self.sender.ready().await.map_err(unreachable)?;
        let answer = self.sender.send_request(request).await.map_err(unreachable)?;
        let status = answer.status();
        match status {
            StatusCode::UNAUTHORIZED => return Err(CallError::Unauthorized(format!("user `{}` with this password", self.user))),
            StatusCode::FORBIDDEN => return Err(CallError::Forbidden(method.name)),
            StatusCode::SERVICE_UNAVAILABLE => return Err(CallError::Busy),
            _ => {}
        }
        let mut body = answer.into_body();
        let too_large = CallError::TooLarge { method: method.name, limit: method.limit };
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > method.limit {
            return Err(too_large);
        }
        let mut all = BytesMut::with_capacity(announced);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(unreachable)?.into_data() else { continue };
            *read += data.len() as u64;
            if all.len() + data.len() > method.limit {
                return Err(too_large);
            }
            all.extend_from_slice(&data);
        }
        Ok(Answer { body: all.freeze(), status })
    }
}

impl Answer {
    /// What it says.
    ///
    /// # Errors
    ///
    /// The node refused, or this is no answer.
    pub fn decode(&self, method: &'static Method) -> Result<event::Kind, CallError> {
        match method.decode(&self.body) {
            Ok(kind) if self.status.is_success() => Ok(kind),
            Ok(_) => Err(self.strange(method)),
            Err(DecodeError::Refused { code, message }) => Err(match code {
                // Bitcoin Core `src/rpc/protocol.h`: RPC_IN_WARMUP, RPC_METHOD_NOT_FOUND
                -28 => CallError::WarmingUp(message),
                -32601 => CallError::UnknownMethod(method.name),
                _ => CallError::Refused { method: method.name, reason: format!("{message} (error {code})") },
            }),
            Err(DecodeError::Malformed(_)) if !self.status.is_success() => Err(self.strange(method)),
            Err(DecodeError::Malformed(reason)) => {
                let start = String::from_utf8_lossy(&self.body[..self.body.len().min(40)]).into_owned();
                Err(CallError::Malformed { method: method.name, reason: format!("{reason}; it begins with {start:?}") })
            }
        }
    }

    fn strange(&self, method: &'static Method) -> CallError {
        CallError::Malformed { method: method.name, reason: format!("HTTP status {}", self.status) }
    }
}

/// An error with everything that caused it.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
