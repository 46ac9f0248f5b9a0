//! HTTP for the store: a connection that is used again while it lasts.

use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody, HttpService,
};
use tokio::sync::Mutex;

use crate::server::Trust;

/// No answer is longer: files come back in parts.
const ANSWER: usize = 16 << 20;

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    trust: Trust,
    timeout: Duration,
}

impl Connector {
    /// Trusts whom the system trusts.
    pub fn new(timeout: Duration) -> Self {
        Self { trust: Trust::of_the_system(), timeout }
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Client { connector: self.clone(), idle: Mutex::new(None) }))
    }
}

/// The connection that was used last, if it may be used again.
struct Client {
    connector: Connector,
    idle: Mutex<Option<Idle>>,
}

struct Idle {
    /// Scheme, host and port.
    to: (bool, String, u16),
    sender: SendRequest<HttpRequestBody>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.connector.fmt(f)
    }
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        match tokio::time::timeout(self.connector.timeout, self.answer(request)).await {
            Ok(answer) => answer,
            Err(_) => {
                let what = format!("no answer within {} s", self.connector.timeout.as_secs_f64());
                Err(failed(HttpErrorKind::Timeout, std::io::Error::new(std::io::ErrorKind::TimedOut, what)))
            }
        }
    }
}

impl Client {
    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let to = origin(&request)?;
        let mut idle = match self.idle.lock().await.take() {
            Some(idle) if idle.to == to && !idle.sender.is_closed() => idle,
            _ => self.connector.open(to.clone()).await?,
        };
        if idle.sender.ready().await.is_err() {
            // the other side has had enough of it
            idle = self.connector.open(to).await?;
        }
        let answer = idle.sender.send_request(for_origin(request)?).await.map_err(|error| {
            let kind = if error.is_timeout() { HttpErrorKind::Timeout } else { HttpErrorKind::Interrupted };
            failed(kind, error)
        })?;
        let (parts, body) = answer.into_parts();
        let body =
            Limited::new(body, ANSWER).collect().await.map_err(|error| HttpError::new_boxed(HttpErrorKind::Interrupted, error))?;
        *self.idle.lock().await = Some(idle);
        let body = Full::new(body.to_bytes()).map_err(|never| match never {});
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}

impl Connector {
    async fn open(&self, to: (bool, String, u16)) -> Result<Idle, HttpError> {
        let (secure, host, port) = &to;
        let io = self.trust.open(*secure, host, *port).await.map_err(|error| failed(HttpErrorKind::Connect, error))?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(io)).await.map_err(|error| failed(HttpErrorKind::Connect, error))?;
        // ends when the sender is dropped; what goes wrong, the sender is told
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Idle { to, sender })
    }
}

fn failed(kind: HttpErrorKind, error: impl std::error::Error + Send + Sync + 'static) -> HttpError {
    HttpError::new(kind, error)
}

/// Whether it is over TLS, host, port.
fn origin(request: &HttpRequest) -> Result<(bool, String, u16), HttpError> {
    let uri = request.uri();
    let secure = uri.scheme_str() != Some("http");
    let host = uri.host().ok_or_else(|| failed(HttpErrorKind::Unknown, std::io::Error::other("a URL without a host")))?;
    Ok((secure, host.to_owned(), uri.port_u16().unwrap_or(if secure { 443 } else { 80 })))
}

/// As a server wants it: the path alone, and whom it is for beside it.
fn for_origin(request: HttpRequest) -> Result<Request<HttpRequestBody>, HttpError> {
    let (mut parts, body) = request.into_parts();
    let wrong = |what: &str| failed(HttpErrorKind::Unknown, std::io::Error::other(what.to_owned()));
    let authority = parts.uri.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
    let host = HeaderValue::from_str(&authority).map_err(|_| wrong("a host that cannot be said"))?;
    parts.headers.insert(HOST, host);
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    parts.uri = path.parse().map_err(|_| wrong("a path that cannot be said"))?;
    Ok(Request::from_parts(parts, body))
}
