//! What is served where.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use axum::middleware::{self, Next};
use axum::response::IntoResponse as _;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::act::{self, Barred, Deed};
use super::guard::{Refusal, SESSION, SESSION_COOKIE};
use super::playback::Command;
use super::server::Connection;
use super::socket::{self, Client};
use super::state::{Choice, Unknown};
use super::wants::Ask;
use super::{Shared, assets, schema};
use crate::incidents::ask::Answer;
use crate::incidents::page;

/// The longest body of a request that is no work with incidents, bytes.
const LONGEST: usize = 4 << 10;
/// How long a body may take, and a command to be followed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Nothing but our own, nothing inline, in nobody's frame.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // under `no-referrer` the form at /login would send `Origin: null`, which is no name of ours
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Everything that is served.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/api/stream", get(stream))
        .route("/api/events", get(events))
        .route("/api/nodes", get(nodes))
        .route("/api/peers", get(peers))
        .route("/api/peer", get(peer))
        .route("/api/summary", get(summary))
        .route("/api/transactions", get(transactions))
        .route("/api/addresses", get(addresses))
        .route("/api/blocks", get(blocks))
        .route("/api/pings", get(pings))
        .route("/api/findings", get(findings))
        .route("/api/incidents", get(incidents))
        .route("/api/incidents/{number}", get(incident).post(act_on))
        .route("/incidents.atom", get(feed))
        .route("/api/health", get(health))
        .route("/api/schema", get(async || json_text(Bytes::from_static(schema::text().as_bytes()))))
        .route("/api/playback", get(playback).post(command))
        .route("/openapi.json", get(async || json_text(Bytes::from_static(schema::OPENAPI.as_bytes()))))
        .route("/login", get(login_page).post(log_in))
        .fallback(asset)
        .method_not_allowed_fallback(async || error(StatusCode::METHOD_NOT_ALLOWED, "there is no such method here"))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), admit))
        .with_state(shared)
}

/// Before everything else: whether the request may be answered at all.
async fn admit(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<Connection>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let guard = &shared.guard;
    let login = request.uri().path() == "/login";
    let admitted = guard
        .names(request.uri(), request.headers())
        .and_then(|()| guard.rate(connection.address.ip(), Instant::now()))
        .and_then(|()| if login { Ok(()) } else { guard.token(request.headers()) });
    let mut response = match admitted {
        Ok(()) => next.run(request).await,
        Err(Refusal::Token) if is_for_people(&request) => redirect("/login"),
        Err(refusal) => {
            guard.say(refusal);
            refused(refusal)
        }
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn is_for_people(request: &Request) -> bool {
    let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains("text/html"));
    *request.method() == Method::GET && request.headers().get(header::ACCEPT).is_some_and(accepts)
}

fn refused(refusal: Refusal) -> Response<Body> {
    let mut response = error(refusal.status(), &refusal.to_string());
    let headers = response.headers_mut();
    match refusal {
        Refusal::Token => headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        Refusal::Rate => headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1")),
        _ => None,
    };
    response
}

fn redirect(to: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(to));
    response
}

fn error(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = json_text(json!({ "error": text }).to_string().into());
    *response.status_mut() = status;
    response
}

fn json_text(text: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn asset(request: Request) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return error(StatusCode::METHOD_NOT_ALLOWED, "pages can only be read");
    }
    match assets::find(request.uri().path()) {
        Some(asset) => asset.answer(request.headers()),
        None => error(StatusCode::NOT_FOUND, "there is nothing here; /openapi.json says what there is"),
    }
}

/// The pairs of a query, or of a form.
fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |piece: &str| {
        let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
        (decoded(key), decoded(value))
    };
    text.split('&').filter(|piece| !piece.is_empty()).map(pair).collect()
}

/// Without `%` and `+`; what is no UTF-8 then is replaced.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let digits = after.get(..2).filter(|digits| *byte == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let value =
            digits.and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(value.unwrap_or(if *byte == b'+' { b' ' } else { *byte }));
        rest = if value.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The value of each of these keys, given at most once, and none but these.
fn values<const N: usize>(query: Option<&str>, keys: [&str; N]) -> Result<[Option<String>; N], String> {
    let mut values = [const { None }; N];
    for (key, value) in pairs(query.unwrap_or_default()) {
        let Some(at) = keys.iter().position(|known| *known == key) else {
            return Err(format!("there is no such parameter here; there is `{}`", keys.join("`, `")));
        };
        if values[at].replace(value).is_some() {
            return Err(format!("`{}` is given twice", keys[at]));
        }
    }
    Ok(values)
}

/// An answer made of the state; the lock is held for as long as it takes to write it down.
fn of_state(
    shared: &Shared,
    query: Option<&str>,
    show: impl Fn(&super::State, &Choice) -> Result<Value, Unknown>,
) -> Response<Body> {
    let [node] = match values(query, ["node"]) {
        Ok(values) => values,
        Err(refused) => return error(StatusCode::BAD_REQUEST, &refused),
    };
    shown(show(&shared.state(), &shared.choice(node)))
}

fn shown(shown: Result<Value, Unknown>) -> Response<Body> {
    match shown {
        Ok(value) => json_text(value.to_string().into()),
        Err(unknown) => error(StatusCode::NOT_FOUND, &unknown.to_string()),
    }
}

async fn nodes(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response<Body> {
    of_state(&shared, query.as_deref(), super::State::nodes)
}

async fn peers(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response<Body> {
    of_state(&shared, query.as_deref(), super::State::peers)
}

async fn summary(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response<Body> {
    of_state(&shared, query.as_deref(), super::State::summary)
}

async fn transactions(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response<Body> {
    of_state(&shared, query.as_deref(), super::State::transactions)
}

async fn addresses(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response<Body> {
    of_state(&shared, query.as_deref(), super::State::addresses)
}

async fn blocks(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response<Body> {
    of_state(&shared, query.as_deref(), super::State::blocks)
}

async fn pings(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response<Body> {
    of_state(&shared, query.as_deref(), super::State::pings)
}

async fn findings(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response<Body> {
    of_state(&shared, query.as_deref(), super::State::findings)
}

async fn incidents(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response<Body> {
    of_state(&shared, query.as_deref(), |state, choice| {
        let mut incidents = state.incidents(choice)?;
        incidents["acting"] = acting(&shared, None);
        incidents["trouble"] = shared.trouble();
        Ok(incidents)
    })
}

/// The incidents as a feed (RFC 4287), for a feed reader.
async fn feed(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response<Body> {
    let [node] = match values(query.as_deref(), ["node"]) {
        Ok(values) => values,
        Err(refused) => return error(StatusCode::BAD_REQUEST, &refused),
    };
    let incidents = match shared.state().feed(&shared.choice(node)) {
        Ok(incidents) => incidents,
        Err(unknown) => return shown(Err(unknown)),
    };
    let book = shared.may_act().map_or(page::EVERY_BOOK, |(_, name)| name);
    let mut response = json_text(page::atom(book, &incidents, crate::incidents::now()).into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/atom+xml; charset=utf-8"));
    response
}

/// Whether incidents can be worked with here, those of this book, or in a word why not: another book has other incidents of the same numbers.
fn acting(shared: &Shared, book: Option<&Value>) -> Value {
    let may = shared.may_act().and_then(|(_, name)| match book {
        Some(book) if book != name => Err(Barred::Elsewhere),
        _ => Ok(()),
    });
    may.map_or_else(Barred::word, |()| "here").into()
}

async fn incident(State(shared): State<Arc<Shared>>, number: Number, RawQuery(query): RawQuery) -> Response<Body> {
    let [book] = match values(query.as_deref(), ["book"]) {
        Ok(values) => values,
        Err(refused) => return error(StatusCode::BAD_REQUEST, &refused),
    };
    let Ok(Path(number)) = number else { return error(StatusCode::BAD_REQUEST, NUMBER) };
    let found = shared.state().incident(number, book.as_deref());
    shown(found.map(|mut incident| {
        incident["acting"] = acting(&shared, Some(&incident["book"]));
        incident["trouble"] = shared.trouble();
        incident
    }))
}

/// The last part of a path, which may be none.
type Number = Result<Path<u64>, PathRejection>;

const NUMBER: &str = "an incident is named by its number";

async fn act_on(State(shared): State<Arc<Shared>>, number: Number, request: Request) -> Response<Body> {
    let book = match shared.may_act() {
        Ok((book, _)) => book,
        Err(barred @ Barred::Elsewhere) => return error(StatusCode::CONFLICT, &barred.to_string()),
        Err(barred) => return error(StatusCode::FORBIDDEN, &barred.to_string()),
    };
    if let Some(refused) = not_json(&request) {
        return refused;
    }
    let Ok(Path(number)) = number else { return error(StatusCode::BAD_REQUEST, NUMBER) };
    let body = match body(request, act::LONGEST).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let deed = match Deed::parse(&body) {
        Ok(deed) => deed,
        Err(refused) => return error(StatusCode::BAD_REQUEST, &refused.to_string()),
    };
    let by = deed.by().to_owned();
    match deed.done(number, book).await {
        Ok(Answer::Done(incident)) => json_text(json!({ "incident": incident.0 }).to_string().into()),
        Ok(Answer::Already(incident)) if incident.0.owner == by => json_text(json!({ "incident": incident.0 }).to_string().into()),
        Ok(Answer::Already(incident)) => {
            let owner = &incident.0.owner;
            error(
                StatusCode::CONFLICT,
                &format!("incident {number} is acknowledged already, by {owner}; write down what you know in a note"),
            )
        }
        Ok(Answer::No { sentence, hint, asked_wrong }) => match book.trouble() {
            // what was asked for may be among what waits
            Some(trouble) if asked_wrong => {
                error(StatusCode::SERVICE_UNAVAILABLE, &format!("{sentence}; {trouble}; {}", trouble.hint))
            }
            _ => {
                let status = if asked_wrong { StatusCode::CONFLICT } else { StatusCode::SERVICE_UNAVAILABLE };
                let hint = if hint.is_empty() { hint } else { format!("; {hint}") };
                error(status, &format!("{sentence}{hint}"))
            }
        },
        Ok(_) => error(StatusCode::SERVICE_UNAVAILABLE, "the incident book answered something else"),
        Err(refused) => error(StatusCode::SERVICE_UNAVAILABLE, refused),
    }
}

async fn health(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response<Body> {
    of_state(&shared, query.as_deref(), |state, choice| {
        let mut health = state.health(choice)?;
        shared.add_health(&mut health);
        Ok(health)
    })
}

async fn peer(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response<Body> {
    let [node, id] = match values(query.as_deref(), ["node", "id"]) {
        Ok(values) => values,
        Err(refused) => return error(StatusCode::BAD_REQUEST, &refused),
    };
    let Some(id) = id.and_then(|id| id.parse().ok()) else {
        return error(StatusCode::BAD_REQUEST, "a peer is named by `id`, a number, and `node`");
    };
    shown(shared.state().peer(&shared.choice(node), id))
}

async fn stream(
    State(shared): State<Arc<Shared>>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response<Body> {
    let Ok(upgrade) = upgrade else {
        return error(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket; /api/events is the same without one");
    };
    let Some(client) = Client::enter(&shared) else { return full() };
    // small buffers: most clients send a line, and batches come ready-made
    upgrade
        .read_buffer_size(4 << 10)
        .write_buffer_size(0)
        .max_write_buffer_size(usize::MAX)
        .max_message_size(socket::LONGEST)
        .max_frame_size(socket::LONGEST)
        .on_upgrade(|socket| socket::serve(socket, client))
        .into_response()
}

async fn events(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<Connection>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let asked = Ask::of_query(&pairs(&query.unwrap_or_default())).and_then(|ask| ask.wants().map(|wants| (ask, wants)));
    let (ask, wants) = match asked {
        Ok(asked) => asked,
        Err(refused) => return error(StatusCode::BAD_REQUEST, &refused.to_string()),
    };
    let Some(client) = Client::enter(&shared) else { return full() };
    client.subscribe(&ask, wants);
    connection.streams(client.queue());
    let mut response = Response::new(socket::events(client));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn full() -> Response<Body> {
    error(StatusCode::SERVICE_UNAVAILABLE, "as many clients listen as may")
}

async fn playback(State(shared): State<Arc<Shared>>) -> Response<Body> {
    json_text(shared.playback().to_string().into())
}

async fn command(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let Some(orders) = &shared.orders else {
        return error(StatusCode::CONFLICT, "this is live: there is nothing to play");
    };
    if shared.public {
        return error(StatusCode::FORBIDDEN, "what is shown to everybody is moved by nobody");
    }
    if let Some(refused) = not_json(&request) {
        return refused;
    }
    let body = match body(request, LONGEST).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let (command, at) = match Command::parse(&body) {
        Ok(command) => command,
        Err(refused) => return error(StatusCode::BAD_REQUEST, &refused.to_string()),
    };
    let (answer, answered) = oneshot::channel();
    if orders.try_send((command, at, answer)).is_err() {
        return error(StatusCode::SERVICE_UNAVAILABLE, "other commands are still to be followed");
    }
    match timeout(PATIENCE, answered).await {
        Ok(Ok(playback)) => json_text(playback.to_string().into()),
        _ => error(StatusCode::SERVICE_UNAVAILABLE, "the recording could not be moved in time"),
    }
}

/// What to answer where a command does not come as JSON: a form of another site cannot send that type without asking.
fn not_json(request: &Request) -> Option<Response<Body>> {
    let is_json = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.starts_with("application/json"));
    let fits = request.headers().get(header::CONTENT_TYPE).is_some_and(is_json);
    (!fits).then(|| error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a command is JSON: send it as application/json"))
}

async fn body(request: Request, longest: usize) -> Result<Bytes, Response<Body>> {
    match timeout(PATIENCE, to_bytes(request.into_body(), longest)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(error(StatusCode::PAYLOAD_TOO_LARGE, "that is too long")),
        Err(_) => Err(error(StatusCode::REQUEST_TIMEOUT, "that took too long")),
    }
}

const LOGIN: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width\">\n<title>Log in: peer-observer</title>\n<h1>peer-observer</h1>\n\
    <form method=\"post\" action=\"/login\">\n<p><label for=\"token\">Token</label>\n\
    <input id=\"token\" name=\"token\" type=\"password\" autocomplete=\"current-password\" required autofocus>\n\
    <button>Log in</button>\n</form>\n<p>The token is in the file that the operator named with --web-token-file.\n</html>\n";

fn page(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::from(LOGIN));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn login_page() -> Response<Body> {
    page(StatusCode::OK)
}

async fn log_in(State(shared): State<Arc<Shared>>, headers: HeaderMap, request: Request) -> Response<Body> {
    let body = match body(request, LONGEST).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let form = pairs(&String::from_utf8_lossy(&body));
    let given = form.iter().find(|(key, _)| key == "token").map_or("", |(_, value)| value);
    let session = match shared.guard.log_in(given) {
        Ok(session) => session,
        Err(refusal) => {
            shared.guard.say(refusal);
            return page(refusal.status());
        }
    };
    // only a proxy can say that the way to the browser is encrypted
    let encrypted = headers.get("x-forwarded-proto").is_some_and(|value| value == "https") && shared.guard.is_behind_proxy();
    let secure = if encrypted { "; Secure" } else { "" };
    let cookie = format!("{SESSION_COOKIE}={session}; Path=/; Max-Age={SESSION}; HttpOnly; SameSite=Strict{secure}");
    let mut response = redirect("/");
    let cookie = HeaderValue::try_from(cookie).expect("hex digits and what stands here");
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn queries_are_taken_apart() {
        let expect = [("a", "b c&=é"), ("d", ""), ("", "x"), ("e%zz", "%")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(pairs("a=b+c%26%3D%C3%A9&&d&=x&e%zz=%"), expect);
        assert_eq!(values(Some("b=1"), ["a", "b"]).unwrap(), [None, Some("1".to_owned())]);
        assert!(values(Some("b=1&b=2"), ["b"]).is_err() && values(Some("c=1"), ["b"]).is_err());
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(query in ".{0,200}") {
            pairs(&query);
        }
    }
}
