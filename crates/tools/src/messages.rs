//! Messages: what becomes of incidents, told to whoever is not at the screen.
//!
//! [`Post`] is told every change when it is in the book, writes a letter of it (`letter`), redacted, and puts it where each receiver's
//! letters wait: one for each incident, the latest, so that what waits is bounded and what is old is not told. A task for each receiver
//! delivers; nobody waits for it. What was delivered is written into the book, so that a restart tells what was not.

mod error;
mod http;
mod letter;
mod mail;
mod receiver;
mod round;
mod waiting;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bus::{Bus, Publisher};
use detect::FLEET;
use detect::incident::Told;
use event::{Incident, IncidentChanged, IncidentOpened, IncidentResolved, IncidentState, Severity, Source};
use tokio::sync::mpsc;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use crate::archive::amount::Age;
use crate::incidents::{Audience, Book, BookError, Receipt};
pub use error::SendError;
use http::Client;
pub use http::Url;
pub use letter::{Letter, Writer};
pub use mail::{Address, Mailbox, Server};
pub use receiver::{Receiver, Secret};
use waiting::Waiting;

/// Who is told, and what.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Tell Alertmanagers, over their own API: `http://127.0.0.1:9093`
    ///
    /// An alert for each incident, ended when it is resolved; it ends by itself when the observer has said nothing for five minutes, or five
    /// heartbeats. Another alert, `PeerObserverWatches`, is always up: who routes it to a dead man's switch learns when nobody watches any more.
    #[arg(long, value_delimiter = ',', value_name = "URL")]
    pub messages_alertmanager: Vec<Url>,

    /// Tell programs of your own: each change as JSON, signed (docs/messages.md)
    #[arg(long, value_delimiter = ',', value_name = "URL", requires = "messages_webhook_secret_file")]
    pub messages_webhook: Vec<Url>,

    /// The secret that webhooks are signed with: the first line of this file, 16 characters at least
    #[arg(long, value_name = "FILE")]
    pub messages_webhook_secret_file: Option<PathBuf>,

    /// Tell telephones: a topic of ntfy, `https://ntfy.sh/TOPIC`
    ///
    /// Who knows a topic can read it and write to it, unless the server asks for a token.
    #[arg(long, value_delimiter = ',', value_name = "URL")]
    pub messages_ntfy: Vec<Url>,

    /// The token for these topics: the first line of this file
    #[arg(long, value_name = "FILE")]
    pub messages_ntfy_token_file: Option<PathBuf>,

    /// Tell people by mail, through this server: `smtps://mail.example.org`
    ///
    /// `smtps://` is encrypted from the start (port 465), `smtp://` before anything else is said (STARTTLS, port 587); a server that offers
    /// neither is told nothing. `smtp+plain://` does without (port 25): for a server on this machine, or one that wants no password.
    #[arg(long, value_name = "URL")]
    pub messages_mail: Option<Server>,

    /// Who sends these mails: an address that the server lets us send from
    #[arg(long, value_name = "ADDRESS")]
    pub messages_mail_from: Option<Address>,

    /// Who gets them; each address gets its own
    #[arg(long, value_delimiter = ',', value_name = "ADDRESS")]
    pub messages_mail_to: Vec<Address>,

    /// Who we are to the mail server, if it wants to know
    #[arg(long, value_name = "NAME")]
    pub messages_mail_user: Option<String>,

    /// The password for it: the first line of this file
    #[arg(long, value_name = "FILE")]
    pub messages_mail_password_file: Option<PathBuf>,

    /// Believe receivers whose certificate is of an authority in this file (PEM), besides those that the system trusts
    #[arg(long, value_name = "FILE")]
    pub messages_ca_file: Option<PathBuf>,

    /// Tell only of incidents that are as bad: `info`, `warn` or `critical`
    #[arg(long, value_name = "SEVERITY", default_value = "warn", value_parser = severity)]
    pub messages_severity: Severity,

    /// Name nodes and strangers as they are
    ///
    /// Otherwise nodes are `name-…` and addresses `peer-…`: the same for the same in all messages of a book, and nothing to others. Only for
    /// receivers that are yours, and the way to them.
    #[arg(long)]
    pub messages_plain: bool,

    /// Tell of replays as well
    #[arg(long)]
    pub messages_replay: bool,

    /// Say this often that the observer is alive, to Alertmanagers and webhooks
    #[arg(long, value_name = "TIME", default_value = "1m")]
    pub messages_heartbeat: Age,
}

fn severity(text: &str) -> Result<Severity, String> {
    let all = [Severity::Info, Severity::Warn, Severity::Critical];
    all.into_iter().find(|severity| severity.word() == text).ok_or_else(|| "it is `info`, `warn` or `critical`".to_owned())
}

impl Config {
    /// The receivers, with their secrets, and a way to them.
    ///
    /// # Errors
    ///
    /// A secret or a certificate cannot be read, or is none; or something is missing ([`Incomplete`]).
    pub fn receivers(&self) -> anyhow::Result<Receivers> {
        let read = |path: &Option<PathBuf>| path.as_deref().map(Secret::read).transpose();
        let mut receivers: Vec<Receiver> = self.messages_alertmanager.iter().cloned().map(Receiver::Alertmanager).collect();
        if !self.messages_webhook.is_empty() {
            let secret = read(&self.messages_webhook_secret_file)?
                .ok_or_else(|| anyhow::anyhow!("webhooks need a secret to be signed with: `--messages-webhook-secret-file`"))?;
            receivers.extend(self.messages_webhook.iter().cloned().map(|url| Receiver::Webhook(url, secret.clone())));
        }
        let token = read(&self.messages_ntfy_token_file)?;
        receivers.extend(self.messages_ntfy.iter().cloned().map(|url| Receiver::Ntfy(url, token.clone())));
        receivers.extend(self.mailboxes()?.into_iter().map(Receiver::Mail));
        if receivers.is_empty() {
            return Ok(Receivers(vec![]));
        }
        let authorities = self.messages_ca_file.as_deref().map(authorities).transpose()?.unwrap_or_default();
        let client = Client::trusting(authorities).context("failed to use a certificate of `--messages-ca-file`")?;
        Ok(Receivers(receivers.into_iter().map(|receiver| (receiver, client.clone())).collect()))
    }

    fn mailboxes(&self) -> anyhow::Result<Vec<Mailbox>> {
        let incomplete = |problem: &str, hint| anyhow::Error::new(Incomplete { problem: problem.to_owned(), hint });
        let Self {
            messages_mail_from: from,
            messages_mail_to: to,
            messages_mail_user: user,
            messages_mail_password_file: file,
            ..
        } = self;
        let Some(server) = &self.messages_mail else {
            let none = from.is_none() && to.is_empty() && user.is_none() && file.is_none();
            let missing = || incomplete("mails need a server to go through", "name it with `--messages-mail smtps://HOST`");
            return if none { Ok(vec![]) } else { Err(missing()) };
        };
        let from = from.as_ref().ok_or_else(|| {
            incomplete("mails need a sender", "give `--messages-mail-from ADDRESS`, one that the server lets you send from")
        })?;
        if to.is_empty() {
            return Err(incomplete("mails need somebody who gets them", "give `--messages-mail-to ADDRESS,…`"));
        }
        let login = match (user, file) {
            (Some(user), Some(file)) => Some((user.clone(), Secret::password(file)?)),
            (None, None) => None,
            (Some(_), None) => {
                let hint = "write it into the first line of a file, and give `--messages-mail-password-file FILE`";
                return Err(incomplete("the user of the mail server needs a password", hint));
            }
            (None, Some(_)) => {
                return Err(incomplete("whose is the password of the mail server?", "give `--messages-mail-user NAME`"));
            }
        };
        if login.is_some() && !server.is_private() {
            let problem = format!("a password would go to {server} in the clear");
            return Err(incomplete(&problem, "use `smtps://`, or `smtp://` with STARTTLS; or give no user, if it wants none"));
        }
        let mailbox = |to: &Address| Mailbox { server: server.clone(), from: from.clone(), to: to.clone(), login: login.clone() };
        Ok(to.iter().map(mailbox).collect())
    }
}

/// What was said of receivers does not fit together.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct Incomplete {
    problem: String,
    /// What to do about it.
    pub hint: &'static str,
}

/// The certificates in a file.
fn authorities(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let attempt = || format!("failed to read the certificates in {}", path.display());
    let pem = std::fs::read(path).with_context(attempt)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let all = all.with_context(attempt)?;
    anyhow::ensure!(!all.is_empty(), "there is no certificate in {}", path.display());
    Ok(all)
}

/// Who is told, each with a way there.
pub struct Receivers(Vec<(Receiver, Client)>);

impl Receivers {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// How patient and how quiet delivery is.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// Between two sayings that an alert is up, or that the observer is alive.
    pub heartbeat: Duration,
    /// The first pause after a failure; each next one is twice as long.
    pub retry: Duration,
    /// The longest.
    pub patience: Duration,
    /// Messages that may go to a receiver of people at once.
    pub burst: u32,
    /// After that, one in this time.
    pub pace: Duration,
    /// How long what still waits may take when the program ends, also if it is on its way.
    pub end: Duration,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_mins(1),
            retry: Duration::from_secs(1),
            patience: Duration::from_mins(5),
            burst: 30,
            pace: Duration::from_mins(2),
            // service managers end by force what takes longer than they are patient: systemd for 90 s, containers for 10 s
            end: Duration::from_secs(5),
        }
    }
}

/// Where changes are given in.
pub struct Post {
    writer: Writer,
    least: Severity,
    replay: bool,
    boxes: Vec<Arc<Waiting>>,
}

impl Post {
    /// Starts a task for each receiver, and gives it what it should know and, by the book, does not.
    ///
    /// # Errors
    ///
    /// The book cannot be read.
    pub fn start(
        config: &Config,
        receivers: Receivers,
        rhythm: Rhythm,
        book: &Book,
        bus: &Bus,
        receipts: &mpsc::Sender<Receipt>,
    ) -> Result<(Self, tokio::task::JoinSet<()>), BookError> {
        let mut writer = Writer::new(book.key(), config.messages_plain);
        let least = config.messages_severity;
        let mut incidents = book.incidents(None, waiting::MOST)?;
        // of a replay nobody is told, unless it is wanted
        incidents.retain(|incident| config.messages_replay || !incident.replay);
        let out: Publisher = bus.publisher(FLEET.parse().expect("it is made of letters and an underscore"), Source::Tool);
        let mut tasks = tokio::task::JoinSet::new();
        let mut boxes = Vec::new();
        for ((receiver, client), place) in receivers.0.into_iter().zip(0..) {
            let key = receiver.key(&book.key());
            let known = book.sent(&key)?;
            let waiting = Arc::new(Waiting::default());
            // the oldest first
            for incident in incidents.iter().rev().filter(|incident| incident.severity() >= least) {
                let known = known.iter().find(|(number, ..)| *number == incident.number);
                let known = known.map(|(_, revision, up)| (*revision, *up));
                if let Some(letter) = owed(incident, known, receiver.forgets()).and_then(|told| writer.write(&told)) {
                    waiting.put(letter);
                }
            }
            let way = round::Way { receiver, key, place, client, waiting: Arc::clone(&waiting) };
            tasks.spawn(round::deliver(way, rhythm, writer.book().to_owned(), out.clone(), receipts.clone()));
            boxes.push(waiting);
        }
        Ok((Self { writer, least, replay: config.messages_replay, boxes }, tasks))
    }
}

/// What a receiver should be told that has been told of an incident up to a revision, and whether an alert is up with it.
fn owed(incident: &Incident, known: Option<(u64, bool)>, forgets: bool) -> Option<Told> {
    let over = incident.state() == IncidentState::Resolved;
    let incident_of = || Some(incident.clone());
    let kind = match known {
        // what is long over wakes nobody
        None if over => return None,
        None => IncidentOpened { incident: incident_of() }.into(),
        Some((_, up)) if over && up => IncidentResolved { incident: incident_of(), ..IncidentResolved::default() }.into(),
        Some((revision, _)) if !over && (forgets || revision < incident.revision) => {
            IncidentChanged { incident: incident_of(), ..IncidentChanged::default() }.into()
        }
        Some(_) => return None,
    };
    Some(Told { time: incident.changed, kind })
}

impl Audience for Post {
    fn told(&mut self, told: &Told, replay: bool) {
        if replay && !self.replay || self.boxes.is_empty() {
            return;
        }
        if let Some(letter) = self.writer.write(told).filter(|letter| letter.severity() >= self.least) {
            self.boxes.iter().for_each(|waiting| waiting.put(letter.clone()));
        }
    }
}

impl Drop for Post {
    /// Nothing more comes: what waits gets a last chance.
    fn drop(&mut self) {
        self.boxes.iter().for_each(|waiting| waiting.close());
    }
}
