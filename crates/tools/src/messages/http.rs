//! One request to a receiver: a connection, an answer, the end. Messages are rare, and a receiver that hangs holds nothing up.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::error::{SendError, told};
use crate::server::{OpenError, Stream, Trust};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is read of an answer that is a refusal: only its first words are told.
const ANSWER: usize = 4 << 10;
/// How long these words are waited for: an answer that does not end is an answer all the same.
const WORDS: Duration = Duration::from_secs(1);

/// Where a receiver is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Url {
    secure: bool,
    host: String,
    port: u16,
    /// With query, without the slash at the end.
    path: String,
}

impl std::str::FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no address of a receiver: write it as `https://host/path` or `http://127.0.0.1:9093`");
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') {
            return Err("a secret does not belong into an address: there are files for it".to_owned());
        }
        let host = authority.host().to_owned();
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let path = uri.path_and_query().map_or("", |path| path.as_str()).trim_end_matches('/').to_owned();
        if host.is_empty() { Err(wrong()) } else { Ok(Self { secure, host, port, path }) }
    }
}

impl Url {
    /// Path and query. They may be a secret: whoever knows a topic may read it.
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

/// Without the path, which may be a secret: whoever knows a topic may read it.
impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { secure, host, port, .. } = self;
        write!(f, "{}://{host}:{port}", if *secure { "https" } else { "http" })
    }
}

/// Sends requests.
#[derive(Clone)]
pub struct Client {
    trust: Trust,
}

impl Client {
    /// Trusts whom the system trusts, and these authorities.
    ///
    /// # Errors
    ///
    /// One of them is none.
    pub fn trusting(authorities: Vec<CertificateDer<'static>>) -> Result<Self, rustls::Error> {
        Ok(Self { trust: Trust::of_the_system_and(authorities)? })
    }

    /// Whom it trusts.
    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Posts a body to a path below an address.
    ///
    /// # Errors
    ///
    /// It did not arrive, or was not taken.
    pub async fn post(&self, to: &Url, below: &str, headers: &[(&'static str, String)], body: Vec<u8>) -> Result<(), SendError> {
        match tokio::time::timeout(PATIENCE, self.answer(to, below, headers, body)).await {
            Ok(answered) => answered,
            Err(_) => Err(SendError::Slow { to: to.to_string(), patience: PATIENCE }),
        }
    }

    async fn answer(&self, to: &Url, below: &str, headers: &[(&'static str, String)], body: Vec<u8>) -> Result<(), SendError> {
        let failed = |OpenError { attempt, source }| SendError::Connection { attempt, to: to.to_string(), source };
        let io = self.trust.open(to.secure, &to.host, to.port).await.map_err(failed)?;
        let path = format!("{}{below}", to.path);
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let mut request = Request::builder().method(Method::POST).uri(path).header(HOST, format!("{}:{}", to.host, to.port));
        for (header, value) in headers {
            let value = HeaderValue::from_str(value).map_err(|error| failed(OpenError::new("write to", error)))?;
            request = request.header(HeaderName::from_static(header), value);
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| failed(OpenError::new("write to", error)))?;
        let (status, said) = exchange(io, request).await.map_err(|error| failed(OpenError::new("speak with", error)))?;
        let to = to.to_string();
        match status {
            200..=299 => Ok(()),
            300..=399 => Err(SendError::Redirect { to, status }),
            _ => Err(SendError::Refused { to, status, said }),
        }
    }
}

/// The status, and the first words of the answer.
async fn exchange(io: Box<dyn Stream>, request: Request<Full<Bytes>>) -> Result<(u16, String), hyper::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    // ends with the sender; what goes wrong, the sender is told
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    let result = match answer {
        Ok(answer) => {
            let (status, mut body) = (answer.status(), answer.into_body());
            let mut words = Vec::new();
            let read = async {
                while let Some(Ok(frame)) = body.frame().await {
                    words.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                    if words.len() >= ANSWER {
                        return;
                    }
                }
            };
            // what was taken was taken, whatever follows
            if !status.is_success() {
                let _ = tokio::time::timeout(WORDS, read).await;
            }
            Ok((status.as_u16(), told(&String::from_utf8_lossy(&words))))
        }
        Err(error) => Err(error),
    };
    connection.abort();
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read() {
        let url = |text: &str| text.parse::<Url>().map(|url| (url.to_string(), url.path));
        assert_eq!(url("http://127.0.0.1:9093/").unwrap(), ("http://127.0.0.1:9093".into(), String::new()));
        assert_eq!(url("https://ntfy.example/topic?x=1").unwrap(), ("https://ntfy.example:443".into(), "/topic?x=1".into()));
        assert_eq!(url("http://[::1]:80/a/").unwrap(), ("http://[::1]:80".into(), "/a".into()));
        for wrong in ["", "ntfy.example", "ftp://x/", "http://", "/path", "https://user:secret@host/"] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }

    /// What a client is told by a server that says this, and keeps the connection.
    async fn told_by(answer: &'static str) -> Result<(), SendError> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let server = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut socket, answer.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
            drop(socket);
        };
        let client = Client::trusting(vec![]).unwrap();
        tokio::select! {
            () = server => unreachable!("it stays"),
            told = client.post(&url, "", &[], vec![]) => told,
        }
    }

    #[tokio::test]
    async fn an_answer_that_does_not_end_is_an_answer() {
        told_by("HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let error = told_by("HTTP/1.1 500 Sad\r\n\r\nno room").await.unwrap_err();
        assert!(matches!(&error, SendError::Refused { status: 500, said, .. } if said == "no room"), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            let _ = text.parse::<Url>();
        }
    }
}
