//! Making a connection: TCP, greeting, TLS, proof of identity.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Buf, BytesMut};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::options::{FileError, NatsOptions, Secret, Server};
use super::wire::{self, Op, Parsed};

/// How long a server may take from the first packet to the last of the handshake.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection that a server has accepted.
pub(crate) struct Connection {
    pub(crate) stream: Box<dyn Stream>,
    /// What was read but not looked at.
    pub(crate) bytes: BytesMut,
    pub(crate) info: Info,
    /// Its URL.
    pub(crate) server: String,
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What a server says of itself, as far as it matters.
#[derive(Debug, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Info {
    pub(crate) version: String,
    pub(crate) max_payload: usize,
    pub(crate) headers: bool,
    tls_required: bool,
    tls_available: bool,
    auth_required: bool,
    nonce: String,
}

impl Default for Info {
    fn default() -> Self {
        Self {
            version: String::new(),
            max_payload: 1 << 20,
            headers: false,
            tls_required: false,
            tls_available: false,
            auth_required: false,
            nonce: String::new(),
        }
    }
}

/// Why there is no connection to a server.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nobody answers, or not in time, or nobody knows the name.
    #[error("failed to connect to {url}")]
    Unreachable {
        /// Which server.
        url: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server does not know us.
    #[error("failed to log in to {url}: {reason}")]
    Login {
        /// Which server.
        url: String,
        /// In the server's words.
        reason: String,
    },
    /// No TLS, or none that we trust.
    #[error("failed to set up TLS with {url}")]
    Tls {
        /// Which server.
        url: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something answers, but not a NATS server.
    #[error("failed to talk to {url}")]
    NotNats {
        /// Which server.
        url: String,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// A file that the options name cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

impl OpenError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "is nats-server running there? `--nats-wait` keeps trying",
            Self::Login { .. } => "check user and password file, nkey file or credentials file, and the server's configuration",
            Self::Tls { .. } => {
                "name the CA that signed the server's certificate with `--nats-ca-file`, and the host as the certificate has it"
            }
            Self::NotNats { .. } => "check host and port; clients of nats-server use port 4222 unless configured otherwise",
            Self::File(_) => "the file must exist, be readable by this user, and hold what the option's help says",
        }
    }
}

/// Tries the servers in turn; the error is that of the last one.
pub(crate) async fn connect(options: &NatsOptions, servers: &[Server]) -> Result<Connection, OpenError> {
    let mut result = Err(OpenError::Unreachable { url: "no server".to_owned(), source: io::ErrorKind::AddrNotAvailable.into() });
    for server in servers {
        let attempt = tokio::time::timeout(PATIENCE, connect_to(options, server)).await;
        result = attempt.unwrap_or_else(|_| Err(OpenError::Unreachable { url: server.to_string(), source: no_answer() }));
        if result.is_ok() {
            break;
        }
    }
    result
}

fn no_answer() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", PATIENCE.as_secs()))
}

async fn connect_to(options: &NatsOptions, server: &Server) -> Result<Connection, OpenError> {
    let url = server.to_string();
    let unreachable = |source| OpenError::Unreachable { url: url.clone(), source };
    let not_nats = |source| OpenError::NotNats { url: url.clone(), source };

    let secret = options.secret()?;
    let mut tcp = TcpStream::connect((server.host.as_str(), server.port)).await.map_err(unreachable)?;
    // small writes shall not wait for each other; we gather them ourselves
    tcp.set_nodelay(true).map_err(unreachable)?;

    let mut bytes = BytesMut::new();
    let info: Info = match next(&mut tcp, &mut bytes).await.map_err(not_nats)? {
        Reply::Info(json) => serde_json::from_slice(&json).map_err(|error| not_nats(io::Error::other(error)))?,
        _ => return Err(not_nats(io::Error::other("it does not greet as a NATS server does"))),
    };
    let mut stream: Box<dyn Stream> = if options.requires_tls(server) || info.tls_required {
        let tls = |source| OpenError::Tls { url: url.clone(), source };
        if !(info.tls_required || info.tls_available) {
            return Err(tls(io::Error::other("the server offers none")));
        }
        // whatever came behind the greeting came in the clear: whoever sits between must not speak for the server
        bytes.clear();
        let config = tls_config(options)?;
        let name = ServerName::try_from(server.host.clone()).map_err(|error| tls(io::Error::other(error)))?;
        Box::new(TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(tls)?)
    } else {
        Box::new(tcp)
    };

    let mut hello = b"CONNECT ".to_vec();
    hello.extend(greeting(&secret, &info.nonce).to_string().into_bytes());
    hello.extend_from_slice(b"\r\nPING\r\n");
    stream.write_all(&hello).await.map_err(unreachable)?;
    stream.flush().await.map_err(unreachable)?;
    loop {
        match next(&mut stream, &mut bytes).await {
            Ok(Reply::Pong) => return Ok(Connection { stream, bytes, info, server: url }),
            Ok(Reply::Error(text)) if text.to_ascii_lowercase().contains("tls") => {
                return Err(OpenError::Tls { url, source: io::Error::other(text) });
            }
            Ok(Reply::Error(reason)) => return Err(OpenError::Login { url, reason }),
            Ok(Reply::Info(_) | Reply::Other) => {}
            // with TLS 1.3 a server refuses our certificate only now
            Err(source) if source.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()).is_some() => {
                return Err(OpenError::Tls { url, source });
            }
            Err(_) if info.auth_required => return Err(OpenError::Login { url, reason: "the server hung up".to_owned() }),
            Err(source) => return Err(not_nats(source)),
        }
    }
}

fn greeting(secret: &Secret, nonce: &str) -> serde_json::Value {
    let mut hello = json!({
        "verbose": false,
        "pedantic": false,
        "tls_required": false,
        "name": "peer-observer",
        "lang": "rust",
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": 1,
        "echo": true,
        "headers": true,
        "no_responders": false,
    });
    match secret {
        Secret::None => {}
        Secret::Password { user, password } => {
            hello["user"] = user.as_str().into();
            hello["pass"] = password.as_str().into();
        }
        Secret::Key { key, jwt } => {
            if let Ok(signature) = key.sign(nonce.as_bytes()) {
                hello["sig"] = URL_SAFE_NO_PAD.encode(signature).into();
            }
            match jwt {
                Some(jwt) => hello["jwt"] = jwt.as_str().into(),
                None => hello["nkey"] = key.public_key().into(),
            }
        }
    }
    hello
}

enum Reply {
    Info(Vec<u8>),
    Pong,
    Error(String),
    Other,
}

async fn next(stream: &mut (impl AsyncRead + Unpin), bytes: &mut BytesMut) -> io::Result<Reply> {
    loop {
        if let Parsed::Op(op, taken) = wire::parse(bytes).map_err(io::Error::other)? {
            let reply = match op {
                Op::Info(json) => Reply::Info(bytes[json].to_vec()),
                Op::Error(text) => Reply::Error(String::from_utf8_lossy(&bytes[text]).into_owned()),
                Op::Pong => Reply::Pong,
                _ => Reply::Other,
            };
            bytes.advance(taken);
            return Ok(reply);
        }
        if stream.read_buf(bytes).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it hung up"));
        }
    }
}

fn tls_config(options: &NatsOptions) -> Result<ClientConfig, FileError> {
    let mut roots = RootCertStore::empty();
    match &options.ca_file {
        Some(path) => {
            for certificate in certificates("CA file", path)? {
                roots.add(certificate).map_err(|error| FileError::new("CA file", path, io::Error::other(error)))?;
            }
        }
        // those that do not parse are not trusted; none at all fails with the handshake, which names the server
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("ring knows the default versions of TLS").with_root_certificates(roots);
    match (&options.certificate_file, &options.key_file) {
        (Some(certificate), Some(key)) => {
            let chain = certificates("certificate file", certificate)?;
            let key_error = |error: &dyn std::error::Error| FileError::new("key file", key, io::Error::other(error.to_string()));
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| key_error(&error))?;
            config.with_client_auth_cert(chain, secret).map_err(|error| key_error(&error))
        }
        _ => Ok(config.with_no_client_auth()),
    }
}

fn certificates(what: &'static str, path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let fail = |source| FileError::new(what, path, source);
    let pem = std::fs::read(path).map_err(fail)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(fail(io::Error::other("it holds no certificate"))),
        Ok(all) => Ok(all),
        Err(error) => Err(fail(io::Error::other(error))),
    }
}
