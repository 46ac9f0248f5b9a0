//! Whom messages go to, and how each of them wants them.

use std::path::Path;

use bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256};
use event::text::Rfc3339;
use event::{IncidentState, Severity};
use serde_json::{Value, json};

use super::error::SendError;
use super::http::{Client, Url};
use super::letter::Letter;
use super::mail::Mailbox;

/// A secret from a file.
#[derive(Clone)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    /// Without it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// The first line of a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is too short to be a secret.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        const SHORTEST: usize = 16;
        let line = first_line(path)?;
        if line.len() < SHORTEST || !line.bytes().all(|byte| byte.is_ascii_graphic()) {
            anyhow::bail!(
                "the secret {} has fewer than {SHORTEST} characters, or some that are no letters, digits or signs",
                path.display()
            );
        }
        Ok(Self(line))
    }

    /// The first line of a file, as somebody else chose it: of any length, with spaces within.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is empty.
    pub fn password(path: &Path) -> anyhow::Result<Self> {
        let line = first_line(path)?;
        anyhow::ensure!(!line.is_empty(), "the first line of {} is empty, where a password was expected", path.display());
        anyhow::ensure!(!line.contains(char::is_control), "the password in {} has letters that nobody can type", path.display());
        Ok(Self(line))
    }

    /// For whom it is meant.
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

fn first_line(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| anyhow::Error::new(error).context(format!("failed to read the secret {}", path.display())))?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// A receiver.
#[derive(Clone, Debug)]
pub enum Receiver {
    /// Prometheus' Alertmanager, over its own API (v2): routing, silences and escalation are its.
    Alertmanager(Url),
    /// A program of somebody's own.
    Webhook(Url, Secret),
    /// A topic of ntfy.
    Ntfy(Url, Option<Secret>),
    /// A mailbox.
    Mail(Mailbox),
}

impl Receiver {
    /// A word for its kind.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Alertmanager(_) => "alertmanager",
            Self::Webhook(..) => "webhook",
            Self::Ntfy(..) => "ntfy",
            Self::Mail(_) => "mail",
        }
    }

    /// Its name in the book and in the log; without the part of its address that may be a secret.
    pub fn name(&self) -> String {
        match self {
            Self::Alertmanager(url) | Self::Webhook(url, _) | Self::Ntfy(url, _) => format!("{} {url}", self.word()),
            Self::Mail(Mailbox { server, to, .. }) => format!("{} {to} {server}", self.word()),
        }
    }

    /// Whether it has to be told again and again that an alert is up.
    pub fn forgets(&self) -> bool {
        matches!(self, Self::Alertmanager(_))
    }

    /// Whether it is of use to tell it that the observer is alive: everybody's telephone would ring, and mailboxes fill.
    pub fn hears_beats(&self) -> bool {
        match self {
            Self::Alertmanager(_) | Self::Webhook(..) => true,
            Self::Ntfy(..) | Self::Mail(_) => false,
        }
    }

    /// Whether each message costs somebody's attention, so that they have to be few.
    pub fn is_paced(&self) -> bool {
        !self.forgets()
    }

    /// What a book knows it by: the same for the same place only. The part of an address that may be a secret is in it under the book's key.
    pub fn key(&self, book: &[u8; 32]) -> String {
        let name = self.name();
        let (Self::Alertmanager(url) | Self::Webhook(url, _) | Self::Ntfy(url, _)) = self else { return name };
        let mut engine = HmacEngine::<sha256::Hash>::new(book);
        engine.input(b"peer-observer receiver 1\0");
        engine.input(url.path().as_bytes());
        let place = Hmac::from_engine(engine).to_byte_array();
        place[..8].iter().fold(name + " ", |key, byte| key + &format!("{byte:02x}"))
    }

    /// Delivers. `now` is nanoseconds since the epoch; alerts end at `ends` if nobody says again that they are up.
    ///
    /// # Errors
    ///
    /// It did not arrive, or was not taken.
    pub async fn deliver(&self, client: &Client, letter: &Letter, now: u64, ends: u64) -> Result<(), SendError> {
        match self {
            Self::Alertmanager(_) => self.remind(client, &[letter], now, ends).await,
            Self::Webhook(url, secret) => post_signed(client, url, secret, bytes(&letter.json()), now).await,
            Self::Ntfy(url, token) => {
                let mut headers = vec![("title", ascii(&letter.subject())), ("priority", priority(letter).to_owned())];
                headers.extend(token.iter().map(|token| ("authorization", format!("Bearer {}", token.0))));
                client.post(url, "", &headers, letter.text().into_bytes()).await
            }
            Self::Mail(mailbox) => mailbox.deliver(client.trust(), letter, now).await,
        }
    }

    /// Says how alerts are, now and again, to whom [`Receiver::forgets`].
    ///
    /// # Errors
    ///
    /// It did not arrive, or was not taken.
    pub async fn remind(&self, client: &Client, up: &[&Letter], now: u64, ends: u64) -> Result<(), SendError> {
        let Self::Alertmanager(url) = self else { return Ok(()) };
        let alerts: Vec<Value> = up.iter().flat_map(|letter| alerts(letter, now, ends)).collect();
        client.post(url, "/api/v2/alerts", &[is_json()], bytes(&alerts.into())).await
    }

    /// Says that the observer is alive, to whom that can be of use: who hears nothing more knows that nobody watches.
    ///
    /// # Errors
    ///
    /// It did not arrive, or was not taken.
    pub async fn beat(&self, client: &Client, book: &str, now: u64, ends: u64) -> Result<(), SendError> {
        match self {
            Self::Alertmanager(url) => {
                let alert = json!([{
                    "labels": {"alertname": "PeerObserverWatches", "observer": book, "severity": "none"},
                    "annotations": {"summary": "peer-observer watches; when this alert ends, nobody does"},
                    "endsAt": Rfc3339::from_nanos(ends).to_string(),
                }]);
                client.post(url, "/api/v2/alerts", &[is_json()], bytes(&alert)).await
            }
            Self::Webhook(url, secret) => {
                let beat = json!({"version": 1, "type": "heartbeat", "book": book});
                post_signed(client, url, secret, bytes(&beat), now).await
            }
            Self::Ntfy(..) | Self::Mail(_) => Ok(()),
        }
    }
}

/// What says that a body is JSON.
fn is_json() -> (&'static str, String) {
    ("content-type", "application/json".to_owned())
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

async fn post_signed(client: &Client, url: &Url, secret: &Secret, body: Vec<u8>, now: u64) -> Result<(), SendError> {
    let seconds = (now / 1_000_000_000).to_string();
    let signature = signature(secret, &seconds, &body);
    let headers = [is_json(), ("x-peer-observer-timestamp", seconds), ("x-peer-observer-signature", format!("v1={signature}"))];
    client.post(url, "", &headers, body).await
}

/// HMAC-SHA256 over the time, a point and the body, in hex: an old message cannot be sent again later.
fn signature(secret: &Secret, seconds: &str, body: &[u8]) -> String {
    let mut engine = HmacEngine::<sha256::Hash>::new(secret.0.as_bytes());
    engine.input(seconds.as_bytes());
    engine.input(b".");
    engine.input(body);
    Hmac::<sha256::Hash>::from_engine(engine).to_string()
}

/// The alert of an incident, and the ends of those that it may have been before: labels say how bad it is, so that routes can tell, and
/// an alert is what its labels are.
fn alerts(letter: &Letter, now: u64, ends: u64) -> [Value; 3] {
    let time = |nanos| Rfc3339::from_nanos(nanos).to_string();
    let alert = |severity: Severity| {
        let up = severity == letter.severity() && !letter.is_over();
        json!({
            "labels": {
                "alertname": "Incident",
                "observer": letter.book,
                "incident": letter.number.to_string(),
                "family": letter.incident.family,
                "severity": alert_severity(severity),
            },
            "annotations": {
                "summary": letter.subject(),
                "description": letter.text(),
                "acknowledged": if letter.incident.state() == IncidentState::Acknowledged { "yes" } else { "no" },
            },
            // a node's clock may be ahead of this one
            "startsAt": time(letter.incident.opened.min(now)),
            "endsAt": time(if up { ends } else { now }),
        })
    };
    [Severity::Info, Severity::Warn, Severity::Critical].map(alert)
}

/// In the words of the other alerts (`deploy/prometheus/alerts.yml`).
fn alert_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::Warn => "warning",
        Severity::Info | Severity::Unspecified => "info",
    }
}

fn priority(letter: &Letter) -> &'static str {
    match letter.severity() {
        _ if letter.is_over() => "2",
        Severity::Critical => "5",
        Severity::Warn => "4",
        Severity::Info | Severity::Unspecified => "3",
    }
}

/// A header has no other letters.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_others_compute() {
        // printf '1750000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let secret = Secret("0123456789abcdef".into());
        assert_eq!(
            signature(&secret, "1750000000", br#"{"a":1}"#),
            "aa58696dd1ffda82345efcb2bcbfc7af6083276c4a92b2ca1b6a992e99c63450"
        );
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    #[test]
    fn a_secret_is_long() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        for (text, fine) in [("0123456789abcdef\n", true), ("short", false), ("0123456789 abcdef", false), ("", false)] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(Secret::read(&file).is_ok(), fine, "{text}");
        }
    }

    #[test]
    fn a_password_is_what_somebody_chose() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Secret::password(&file).map(|password| password.0).ok()
        };
        assert_eq!(read("short\nmore").as_deref(), Some("short"));
        assert_eq!(read("pässword with spaces\r\n").as_deref(), Some("pässword with spaces"));
        assert_eq!((read(""), read("\nsecond"), read("a\0b")), (None, None, None));
    }

    #[test]
    fn places_on_one_server_are_two() {
        let keys = ["https://ntfy.example/one", "https://ntfy.example/two", "https://ntfy.example/one"].map(|url| {
            let receiver = Receiver::Ntfy(url.parse().unwrap(), None);
            assert_eq!(receiver.name(), "ntfy https://ntfy.example:443");
            receiver.key(&[7; 32])
        });
        assert_ne!(keys[0], keys[1]);
        assert_eq!(keys[0], keys[2]);
        assert!(keys.iter().all(|key| key.starts_with("ntfy https://ntfy.example:443 ") && !key.contains("one")));
    }

    #[test]
    fn a_header_is_ascii() {
        assert_eq!(ascii("incident 1: \u{7}ä\r\nX: y"), "incident 1: ????X: y");
    }
}
