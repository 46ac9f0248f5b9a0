//! The endpoint: `GET /metrics`, for whoever may reach it.
//!
//! A connection is one request. It ends after its answer, or after half a minute; there are at most a few, and where one more comes, the oldest
//! gives way, so that who only holds connections open, or reads slowly, keeps nobody else from reading.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::page::Format;
use crate::listen::Service;

/// Connections at a time. A page of a hundred nodes is some megabytes, and each may hold one.
const CONNECTIONS: usize = 16;

/// From accepting a connection to the last byte of its answer. Prometheus waits for 10 seconds by default.
const DEADLINE: Duration = Duration::from_secs(30);

/// A request is a few hundred bytes.
const LARGEST_REQUEST: usize = 16 << 10;

/// What is said of it.
pub const SERVICE: Service = Service { name: "metrics", flag: "--metrics-listen" };

/// Where pages come from.
pub trait Pages: Send + Sync + 'static {
    /// The page of this moment. Takes a while; is called on a thread that may wait.
    fn page(&self, format: Format) -> String;
}

/// Answers until it is dropped.
///
/// # Errors
///
/// The listener is none.
pub async fn serve(listener: std::net::TcpListener, pages: Arc<impl Pages>) -> anyhow::Result<Infallible> {
    let listener = TcpListener::from_std(listener)?;
    // two who read at once get one page after the other: it is as if they had come so
    let turn = Arc::new(tokio::sync::Mutex::new(()));
    let mut connections = JoinSet::new();
    let mut oldest: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let (stream, _) = SERVICE.accept(&listener).await;
        while connections.try_join_next().is_some() {}
        oldest.retain(|connection| !connection.is_finished());
        if oldest.len() >= CONNECTIONS
            && let Some(connection) = oldest.pop_front()
        {
            connection.abort();
        }
        oldest.push_back(connections.spawn(connection(stream, Arc::clone(&pages), Arc::clone(&turn))));
    }
}

async fn connection(stream: TcpStream, pages: Arc<impl Pages>, turn: Arc<tokio::sync::Mutex<()>>) {
    let answer = service_fn(move |request| {
        let (pages, turn) = (Arc::clone(&pages), Arc::clone(&turn));
        async move { Ok::<_, Infallible>(answer(request, pages, turn).await) }
    });
    let serve = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(DEADLINE)
        .keep_alive(false)
        .max_buf_size(LARGEST_REQUEST)
        .serve_connection(TokioIo::new(stream), answer);
    // whoever went away in the middle, or sent something else, is of no interest
    if let Ok(Err(error)) = tokio::time::timeout(DEADLINE, serve).await {
        tracing::debug!(%error, "a connection to the metrics ended");
    }
}

async fn answer(request: Request<Incoming>, pages: Arc<impl Pages>, turn: Arc<tokio::sync::Mutex<()>>) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" {
        return text(StatusCode::NOT_FOUND, "there is nothing here: the page is /metrics\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "the page can only be read\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let accept: Vec<&str> = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = Format::accepted(&accept.join(","));
    // whoever asked may go away; the page in the making goes on, and keeps its turn
    let turn = turn.lock_owned().await;
    let page = move || {
        let _turn = turn;
        pages.page(format)
    };
    match tokio::task::spawn_blocking(page).await {
        Ok(page) => {
            let mut response = Response::new(Full::new(Bytes::from(page)));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
            response
        }
        Err(error) => {
            tracing::error!(%error, "the page of metrics could not be written");
            text(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be written\n")
        }
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
