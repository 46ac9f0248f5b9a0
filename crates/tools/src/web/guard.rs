//! Who may look: names that the pages are reached by, origins, the token.
//!
//! A page of a stranger that is open in the operator's browser can reach loopback as well. It is kept out in two ways: the `Host` that a
//! browser sends must be an address, `localhost`, or a name that the operator stated (else a stranger's name that suddenly points to
//! 127.0.0.1 would do: DNS rebinding), and an `Origin`, which browsers add to WebSockets and to everything that changes something, must be
//! ours. A program sends no `Origin`.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode, Uri};

/// A token is at least so long, characters: nobody guesses it.
const SHORTEST: usize = 16;
/// Browsers that are logged in; the oldest has to log in again.
const SESSIONS: usize = 1000;
/// How long a browser stays logged in, seconds; at most until the program ends.
pub const SESSION: u32 = 30 * 24 * 3600;
/// Refusals of one sort are said once in this time.
const PAUSE: Duration = Duration::from_secs(60);
/// Requests that one address may send at once, and per second from then on.
const BURST: f64 = 500.0;
const RATE: f64 = 100.0;
/// Addresses whose requests are counted.
const ADDRESSES: usize = 1024;

/// The cookie's name.
pub const SESSION_COOKIE: &str = "peer_observer";

/// Who may look.
#[derive(Debug, Default)]
pub struct Guard {
    token: Option<Token>,
    names: Vec<String>,
    behind_proxy: bool,
    sessions: Mutex<VecDeque<String>>,
    said: Mutex<HashMap<&'static str, (Instant, u64)>>,
    rates: Mutex<HashMap<IpAddr, Bucket>>,
}

/// A secret; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// Reads the token, the first line of a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is too short.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("failed to read the token file {}", path.display()))?;
        let token = text.lines().next().unwrap_or_default().trim();
        if token.len() < SHORTEST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!("the token in {} is none: it has at least {SHORTEST} printable characters and no blanks", path.display());
        }
        Ok(Self(token.to_owned()))
    }

    /// In a time that says nothing about where they differ.
    fn is(&self, other: &str) -> bool {
        same(self.0.as_bytes(), other.as_bytes())
    }
}

fn same(one: &[u8], other: &[u8]) -> bool {
    let differ = one.iter().zip(other).fold(0, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
    one.len() == other.len() && differ == 0
}

/// Why somebody may not look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// No name, or more than one.
    #[error("a request needs exactly one `Host`")]
    NoHost,
    /// A name that nobody stated.
    #[error("the pages are not reached by this name; reach them by address, or state the name with --web-name")]
    Host,
    /// Another site's page.
    #[error("another site's page may not ask")]
    Origin,
    /// Not logged in.
    #[error("a token is needed, as `Authorization: Bearer …` or by logging in at /login")]
    Token,
    /// Asks too often.
    #[error("too many requests; wait a second")]
    Rate,
}

impl Refusal {
    /// As HTTP says it.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NoHost => StatusCode::BAD_REQUEST,
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::Rate => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::NoHost | Self::Host => "host",
            Self::Origin => "origin",
            Self::Token => "token",
            Self::Rate => "rate",
        }
    }
}

impl Guard {
    /// A guard that knows these names, and lets in who has the token, if there is one.
    pub fn new(token: Option<Token>, names: Vec<String>, behind_proxy: bool) -> Self {
        Self { token, names, behind_proxy, ..Self::default() }
    }

    /// Whether this request may be answered, as far as names go.
    ///
    /// # Errors
    ///
    /// It may not.
    pub fn names(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(Refusal::NoHost) };
        let host = host.to_str().map_err(|_| Refusal::Host)?;
        if uri.authority().is_some_and(|authority| !authority.as_str().eq_ignore_ascii_case(host)) {
            return Err(Refusal::Host);
        }
        if !self.is_ours(name_of(host)) {
            return Err(Refusal::Host);
        }
        for origin in headers.get_all(ORIGIN) {
            let origin = origin.to_str().map_err(|_| Refusal::Origin)?;
            let authority = origin.strip_prefix("http://").or(origin.strip_prefix("https://")).ok_or(Refusal::Origin)?;
            // a proxy need not pass the name on as it is
            let by_name = self.behind_proxy && self.names.iter().any(|name| name.eq_ignore_ascii_case(name_of(authority)));
            if !authority.eq_ignore_ascii_case(host) && !by_name {
                return Err(Refusal::Origin);
            }
        }
        Ok(())
    }

    fn is_ours(&self, name: &str) -> bool {
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        address.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Whether this request shows the token, or the cookie of somebody who did.
    ///
    /// # Errors
    ///
    /// It does not.
    pub fn token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(token) = &self.token else { return Ok(()) };
        let bearer =
            headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
        if bearer.is_some_and(|given| token.is(given.trim())) {
            return Ok(());
        }
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
        let mut given = cookies.filter_map(|cookie| cookie.trim().split_once('=')).filter(|(name, _)| *name == SESSION_COOKIE);
        let sessions = lock(&self.sessions);
        let known = given.any(|(_, value)| sessions.iter().any(|session| same(session.as_bytes(), value.as_bytes())));
        if known { Ok(()) } else { Err(Refusal::Token) }
    }

    /// Logs in; gives the value of the cookie.
    ///
    /// # Errors
    ///
    /// The token is wrong, or nobody needs one.
    pub fn log_in(&self, given: &str) -> Result<String, Refusal> {
        if !self.token.as_ref().is_some_and(|token| token.is(given.trim())) {
            return Err(Refusal::Token);
        }
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|_| Refusal::Token)?;
        let session: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut sessions = lock(&self.sessions);
        if sessions.len() >= SESSIONS {
            sessions.pop_front();
        }
        sessions.push_back(session.clone());
        Ok(session)
    }

    /// Whether a proxy stands before it, so that what it says of the request can be believed.
    pub fn is_behind_proxy(&self) -> bool {
        self.behind_proxy
    }

    /// Whether whoever is let in is somebody the operator knows: has the token, or is on this machine. A proxy lets in whom it likes.
    pub fn knows_who_asks(&self) -> bool {
        self.token.is_some() || !self.behind_proxy
    }

    /// Whether an address may send one more request.
    ///
    /// # Errors
    ///
    /// It sent too many.
    pub fn rate(&self, address: IpAddr, now: Instant) -> Result<(), Refusal> {
        // everybody comes from there
        if self.behind_proxy {
            return Ok(());
        }
        let mut rates = lock(&self.rates);
        if rates.len() >= ADDRESSES && !rates.contains_key(&address) {
            rates.retain(|_, bucket| !bucket.is_full(now, BURST, RATE));
            if rates.len() >= ADDRESSES {
                return Err(Refusal::Rate);
            }
        }
        let bucket = rates.entry(address).or_insert_with(|| Bucket::new(now, BURST));
        if bucket.take(now, BURST, RATE) { Ok(()) } else { Err(Refusal::Rate) }
    }

    /// Says that somebody was refused: not each time.
    pub fn say(&self, refusal: Refusal) {
        let mut said = lock(&self.said);
        let now = Instant::now();
        let (when, count) = said.entry(refusal.word()).or_insert((now, 0));
        *count += 1;
        if *count == 1 || now.duration_since(*when) >= PAUSE {
            tracing::warn!(because = %refusal, times = *count, "a request to the pages was refused");
            *when = now;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds the lock")
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) => {
            name
        }
        _ => host,
    }
}

/// So many at once, and then so many per second.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    left: f64,
    filled: Instant,
}

impl Bucket {
    /// A full one.
    pub fn new(now: Instant, burst: f64) -> Self {
        Self { left: burst, filled: now }
    }

    /// Takes one, if there is one.
    pub fn take(&mut self, now: Instant, burst: f64, rate: f64) -> bool {
        self.fill(now, burst, rate);
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }

    fn is_full(&mut self, now: Instant, burst: f64, rate: f64) -> bool {
        self.fill(now, burst, rate);
        self.left >= burst
    }

    fn fill(&mut self, now: Instant, burst: f64, rate: f64) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.left = (self.left + passed * rate).min(burst);
        self.filled = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(axum::http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[track_caller]
    fn check(guard: &Guard, host: &str, origin: Option<&str>, expect: Result<(), Refusal>) {
        let mut pairs = vec![("host", host)];
        pairs.extend(origin.map(|origin| ("origin", origin)));
        assert_eq!(guard.names(&Uri::from_static("/api/nodes"), &headers(&pairs)), expect, "{host} {origin:?}");
    }

    #[test]
    fn only_our_own_names_are_answered() {
        let guard = Guard::new(None, vec!["observer.example".into()], false);
        for host in ["127.0.0.1:28446", "127.0.0.1", "[::1]:28446", "[::1]", "localhost:1", "LOCALHOST", "observer.example:80"] {
            check(&guard, host, None, Ok(()));
        }
        for host in
            ["evil.example", "evil.example:28446", "localhost.evil.example", "127.0.0.1.evil.example", "", "localhost.", "::1:x"]
        {
            check(&guard, host, None, Err(Refusal::Host));
        }
        assert_eq!(guard.names(&Uri::from_static("/"), &headers(&[])), Err(Refusal::NoHost));
        let two = headers(&[("host", "localhost"), ("host", "evil.example")]);
        assert_eq!(guard.names(&Uri::from_static("/"), &two), Err(Refusal::NoHost));
        let absolute = Uri::from_static("http://evil.example/");
        assert_eq!(guard.names(&absolute, &headers(&[("host", "localhost")])), Err(Refusal::Host));
    }

    #[test]
    fn pages_of_others_may_not_ask() {
        let guard = Guard::default();
        check(&guard, "localhost:28446", Some("http://localhost:28446"), Ok(()));
        check(&guard, "localhost:28446", Some("https://LOCALHOST:28446"), Ok(()));
        for origin in ["http://evil.example", "http://localhost:1", "http://127.0.0.1:28446", "null", "file://", ""] {
            check(&guard, "localhost:28446", Some(origin), Err(Refusal::Origin));
        }
        let proxied = Guard::new(None, vec!["observer.example".into()], true);
        check(&proxied, "127.0.0.1:28446", Some("https://observer.example"), Ok(()));
        check(&proxied, "127.0.0.1:28446", Some("https://evil.example"), Err(Refusal::Origin));
    }

    #[test]
    fn a_token_or_the_cookie_of_who_had_it() {
        let guard = Guard::new(Some(Token("0123456789abcdef".into())), vec![], false);
        let token = |pairs: &[(&str, &str)]| guard.token(&headers(pairs));
        assert_eq!(token(&[]), Err(Refusal::Token));
        assert_eq!(token(&[("authorization", "Bearer 0123456789abcdef")]), Ok(()));
        for wrong in ["Bearer 0123456789abcdeX", "Bearer 0123456789abcde", "Bearer", "0123456789abcdef", "Basic 0123456789abcdef"] {
            assert_eq!(token(&[("authorization", wrong)]), Err(Refusal::Token));
        }
        assert_eq!(token(&[("cookie", "peer_observer=0123456789abcdef")]), Err(Refusal::Token));
        assert_eq!(guard.log_in("wrong"), Err(Refusal::Token));
        let session = guard.log_in("0123456789abcdef\n").unwrap();
        assert_eq!(token(&[("cookie", &format!("a=b; peer_observer={session}"))]), Ok(()));
        assert_eq!(token(&[("cookie", &format!("peer_observer={}", &session[1..]))]), Err(Refusal::Token));
        (0..SESSIONS).for_each(|_| drop(guard.log_in("0123456789abcdef").unwrap()));
        assert_eq!(token(&[("cookie", &format!("peer_observer={session}"))]), Err(Refusal::Token));
        assert!(!format!("{guard:?}").contains("0123456789abcdef"));
        assert_eq!(Guard::default().token(&headers(&[])), Ok(()));
        assert_eq!(Guard::default().log_in(""), Err(Refusal::Token));
    }

    #[test]
    fn a_token_is_long() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        for (text, fine) in [("0123456789abcdef\nmore", true), ("short", false), ("", false), ("0123456789 abcdef", false)] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(Token::read(&file).is_ok(), fine, "{text}");
        }
    }

    #[test]
    fn one_address_may_not_ask_without_end() {
        let (guard, now) = (Guard::default(), Instant::now());
        let [one, other] = ["127.0.0.1", "::1"].map(|address| address.parse().unwrap());
        let passed = (0..1000).filter(|_| guard.rate(one, now).is_ok()).count();
        assert_eq!(passed as f64, BURST);
        assert_eq!((guard.rate(one, now), guard.rate(other, now)), (Err(Refusal::Rate), Ok(())));
        assert_eq!(guard.rate(one, now + Duration::from_secs(1)), Ok(()));
        for number in 0..5000_u32 {
            let _ = guard.rate(std::net::Ipv4Addr::from(number).into(), now);
        }
        assert!(lock(&guard.rates).len() <= ADDRESSES);
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(host in "[ -~]{0,40}", origin in "[ -~]{0,40}") {
            let guard = Guard::new(None, vec!["a".into()], true);
            let _ = guard.names(&Uri::from_static("/"), &headers(&[("host", &host), ("origin", &origin)]));
        }
    }
}
