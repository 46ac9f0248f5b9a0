//! Connections to servers that the operator names: receivers of messages, stores.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// Bytes in both directions, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Whom connections over TLS trust: whom the system trusts, and whom the operator names.
#[derive(Clone)]
pub(crate) struct Trust(TlsConnector);

/// The attempt that fails where a certificate does.
pub(crate) const TRUST: &str = "trust";

/// What failed, and why.
#[derive(Debug, thiserror::Error)]
#[error("failed to {attempt} it: {source}")]
pub(crate) struct OpenError {
    /// A verb: `reach`.
    pub attempt: &'static str,
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl OpenError {
    pub fn new(attempt: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { attempt, source: source.into() }
    }
}

impl Trust {
    /// Reads the system's certificates. Those that do not parse are not trusted; where there are none, every handshake fails.
    #[cfg(feature = "s3")]
    pub fn of_the_system() -> Self {
        Self::of_the_system_and(vec![]).expect("nothing else is added")
    }

    /// As [`Trust::of_the_system`], and these authorities.
    ///
    /// # Errors
    ///
    /// One of them is none.
    pub fn of_the_system_and(authorities: Vec<CertificateDer<'static>>) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        authorities.into_iter().try_for_each(|authority| roots.add(authority))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("ring knows the default versions of TLS").with_root_certificates(roots).with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Connects to a host, as [`reach`] does.
    pub async fn open(&self, secure: bool, host: &str, port: u16) -> Result<Box<dyn Stream>, OpenError> {
        let tcp = reach(host, port).await?;
        if secure { Ok(Box::new(self.secure(host, tcp).await?)) } else { Ok(Box::new(tcp)) }
    }

    /// Encrypts a connection to a host.
    pub async fn secure(&self, host: &str, tcp: TcpStream) -> Result<TlsStream<TcpStream>, OpenError> {
        let server = ServerName::try_from(bare(host).to_owned()).map_err(|error| OpenError::new("name", error))?;
        self.0.connect(server, tcp).await.map_err(|error| OpenError::new(TRUST, error))
    }
}

/// Connects to a host, which may be a literal address as it stands in a URL, in brackets.
pub(crate) async fn reach(host: &str, port: u16) -> Result<TcpStream, OpenError> {
    let tcp = TcpStream::connect((bare(host), port)).await.map_err(|error| OpenError::new("reach", error))?;
    // requests are written whole
    tcp.set_nodelay(true).map_err(|error| OpenError::new("reach", error))?;
    Ok(tcp)
}

fn bare(host: &str) -> &str {
    host.trim_matches(['[', ']'])
}
