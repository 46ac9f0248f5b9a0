//! Ports: taken before rights are given up, and connections on them.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// What is served on a port, in the words of whoever reads about it.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// In the plural: `metrics`, `pages`.
    pub name: &'static str,
    /// The flag that chooses the address.
    pub flag: &'static str,
}

/// A port that is taken, or may not be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to serve {} on {address}: {source}", service.name)]
pub struct ListenError {
    service: Service,
    address: SocketAddr,
    source: std::io::Error,
}

impl ListenError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        let flag = self.service.flag;
        match self.source.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("another program listens there, perhaps another peer-observer: choose with {flag}")
            }
            std::io::ErrorKind::PermissionDenied => format!("ports below 1024 are for root: choose another with {flag}"),
            _ => "is it an address of this machine?".to_owned(),
        }
    }

    /// What is not served because of it.
    pub fn service(&self) -> &'static str {
        self.service.name
    }
}

impl Service {
    /// Takes the port.
    ///
    /// # Errors
    ///
    /// It cannot be had.
    pub fn listen(self, address: SocketAddr) -> Result<std::net::TcpListener, ListenError> {
        let listen = || {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        listen().map_err(|source| ListenError { service: self, address, source })
    }

    /// The next connection. What fails is said, and tried again: being out of files, for instance, passes.
    pub(crate) async fn accept(self, listener: &TcpListener) -> (TcpStream, SocketAddr) {
        loop {
            match listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection to the {} could not be accepted", self.name);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}
