//! Connections: taken, bounded, and served.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::queue::Queue;
use crate::listen::Service;

/// Connections that are no streams; a browser has six. When there are more, the oldest has to go.
const CONNECTIONS: usize = 512;
/// How long the head of a request may take, and how long a connection may idle.
const HEAD: Duration = Duration::from_secs(15);
/// The longest head of a request, bytes.
const LONGEST_HEAD: usize = 32 << 10;

/// What is said of it.
pub const SERVICE: Service = Service { name: "pages", flag: "--web-listen" };

/// What a request knows of its connection.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Who asks.
    pub address: SocketAddr,
    stream: Stream,
}

/// What a connection streams, if it does.
type Stream = Arc<OnceLock<Arc<Queue>>>;

impl Connection {
    /// From now on it is a stream of this: as long as something comes, it does not go because it is old.
    pub fn streams(&self, queue: Arc<Queue>) {
        // one that streamed before has ended with its answer, and its connection with it
        let _ = self.stream.set(queue);
    }
}

/// Answers until it is dropped.
///
/// # Errors
///
/// The listener is none.
pub async fn serve(listener: std::net::TcpListener, router: Router) -> anyhow::Result<Infallible> {
    let listener = TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    let mut oldest: VecDeque<(AbortHandle, Stream)> = VecDeque::new();
    loop {
        let (stream, address) = SERVICE.accept(&listener).await;
        while connections.try_join_next().is_some() {}
        oldest.retain(|(connection, _)| !connection.is_finished());
        let streams = |stream: &Stream| stream.get().is_some_and(|queue| !queue.is_closed());
        if oldest.iter().filter(|(_, stream)| !streams(stream)).count() >= CONNECTIONS
            && let Some(at) = oldest.iter().position(|(_, stream)| !streams(stream))
            && let Some((connection, _)) = oldest.remove(at)
        {
            connection.abort();
        }
        let stream_of = Stream::default();
        let connection = Connection { address, stream: Arc::clone(&stream_of) };
        oldest.push_back((connections.spawn(answer(stream, connection, router.clone())), stream_of));
    }
}

async fn answer(stream: TcpStream, connection: Connection, router: Router) {
    // a batch of events should not wait for the acknowledgement of the one before
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(connection.clone());
        TowerToHyperService::new(router.clone()).call(request)
    });
    let serve = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = serve.await {
        tracing::debug!(%error, "a connection to the pages ended");
    }
}
