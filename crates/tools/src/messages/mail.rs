//! Letters as mails: what they look like, and how a mail server gets them.
//!
//! The library writes mails and speaks SMTP. What it leaves open is decided here: how long all of it may take, how much a server may say
//! (`line`), that nothing is believed that was said before encryption began, and which letters of a text are sent.

mod line;
mod server;
#[cfg(test)]
mod tests;

use std::error::Error as _;
use std::fmt::Debug;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

use event::text::Printable;
use lettre::Message;
use lettre::message::header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::Starttls;
use lettre::transport::smtp::extension::{ClientId, Extension};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::error::{SendError, told};
use super::letter::Letter;
use super::receiver::Secret;
use crate::server::{OpenError, Trust, reach};
use line::Line;
use server::Security;
pub use server::{Address, Server};

/// How long all of it may take. Servers let strangers wait before they greet them, and look through a mail before they take it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a server may take to say goodbye, when it has the mail.
const FAREWELL: Duration = Duration::from_secs(1);
/// Letters of a subject.
const SUBJECT: usize = 250;

/// A mailbox, and the way there. Each is a receiver of its own: a server that does not want one of them takes the others.
#[derive(Clone, Debug)]
pub struct Mailbox {
    /// Who takes mails for it.
    pub server: Server,
    /// Who sends them.
    pub from: Address,
    /// Whose it is.
    pub to: Address,
    /// Who we are to the server, and how it knows.
    pub login: Option<(String, Secret)>,
}

impl Mailbox {
    /// Hands in a letter. `now` is nanoseconds since the epoch.
    ///
    /// # Errors
    ///
    /// It did not arrive, or was not taken.
    pub(super) async fn deliver(&self, trust: &Trust, letter: &Letter, now: u64) -> Result<(), SendError> {
        let mail = self.mail(letter, now).map_err(|error| self.failed(OpenError::new("write to", error)))?;
        let handed_in = timeout(PATIENCE, self.hand_in(trust, &mail)).await;
        let mut connection = handed_in.map_err(|_| SendError::Slow { to: self.server.to_string(), patience: PATIENCE })??;
        // it has the mail, however it goes away
        let _ = timeout(FAREWELL, connection.quit()).await;
        Ok(())
    }

    /// The mail: all headers are ours, and what a stranger chose is in none but the subject.
    fn mail(&self, letter: &Letter, now: u64) -> Result<Message, lettre::error::Error> {
        let Letter { number, revision, book, .. } = letter;
        let domain = self.from.0.domain();
        // no mail has this name: who joins later, or missed the first, has the same thread
        let thread = format!("<incident-{number}.{book}@{domain}>");
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        Message::builder()
            .from(self.from.0.clone().into())
            .to(self.to.0.clone().into())
            .subject(subject(&letter.subject()))
            .date(UNIX_EPOCH + Duration::from_nanos(now))
            // the same for the same letter: one that comes twice can be seen to
            .message_id(Some(format!("<incident-{number}.{revision}.{book}@{domain}>")))
            .in_reply_to(thread.clone())
            .references(thread)
            .raw_header(automatic)
            .header(MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .body(text(&letter.text()))
    }

    async fn hand_in(&self, trust: &Trust, mail: &Message) -> Result<AsyncSmtpConnection, SendError> {
        let Server { security, host, port } = &self.server;
        let failed = |error| self.failed(error);
        let tcp = reach(host, *port).await.map_err(failed)?;
        let mut connection = match security {
            Security::Tls => self.meet(Line::new(trust.secure(host, tcp).await.map_err(failed)?)).await?,
            Security::StartTls => {
                let tcp = self.start_tls(tcp).await?;
                self.meet(Line::anew(trust.secure(host, tcp).await.map_err(failed)?)).await?
            }
            Security::None => self.meet(Line::new(tcp)).await?,
        };
        if let Some((user, password)) = &self.login {
            if connection.server_info().get_auth_mechanism(DEFAULT_MECHANISMS).is_none() {
                return Err(self.failed(OpenError::new("log in at", "it offers neither PLAIN nor LOGIN")));
            }
            let login = Credentials::new(user.clone(), password.text().to_owned());
            connection.auth(DEFAULT_MECHANISMS, &login).await.map_err(|error| self.said(&error, false))?;
        }
        connection.send(mail.envelope(), &mail.formatted()).await.map_err(|error| self.said(&error, true))?;
        Ok(connection)
    }

    /// Waits for the greeting, and greets: not by this machine's name, which would stand in the mail.
    async fn meet<S>(&self, stream: Line<S>) -> Result<AsyncSmtpConnection, SendError>
    where
        S: AsyncRead + AsyncWrite + Send + Sync + Unpin + Debug + 'static,
    {
        let name = ClientId::Domain(self.from.0.domain().to_owned());
        AsyncSmtpConnection::connect_with_transport(Box::new(stream), &name).await.map_err(|error| self.said(&error, false))
    }

    /// Asks for encryption, and says nothing more.
    async fn start_tls(&self, tcp: TcpStream) -> Result<TcpStream, SendError> {
        // the library does not give back what it was given
        let (tcp, lent) = twice(tcp).map_err(|error| self.failed(OpenError::new("reach", error)))?;
        let mut plain = self.meet(Line::new(lent)).await?;
        if !plain.server_info().supports_feature(Extension::StartTls) {
            return Err(SendError::Clear { to: self.server.to_string() });
        }
        plain.command(Starttls).await.map_err(|error| self.said(&error, false))?;
        // `plain` ends here, and with it whatever somebody on the way may have said after the answer
        Ok(tcp)
    }

    fn failed(&self, OpenError { attempt, source }: OpenError) -> SendError {
        SendError::Connection { attempt, to: self.server.to_string(), source }
    }

    /// What the library says of an answer. `mail`: of one to the mail, rather than to who brings it.
    fn said(&self, error: &smtp::Error, mail: bool) -> SendError {
        let said = told(&error.source().map_or_else(|| error.to_string(), ToString::to_string));
        match error.status() {
            Some(status) => SendError::Declined { to: self.server.to_string(), status: status.into(), said, mail },
            None => self.failed(OpenError::new("speak with", said)),
        }
    }
}

/// Two ends of one connection, where one is on this side.
fn twice(tcp: TcpStream) -> io::Result<(TcpStream, TcpStream)> {
    let tcp = tcp.into_std()?;
    let again = tcp.try_clone()?;
    Ok((TcpStream::from_std(tcp)?, TcpStream::from_std(again)?))
}

/// One line, not too long, of letters that show, and nothing that a reader of mail would decode.
fn subject(text: &str) -> String {
    let text = Printable(text).to_string().replace("=?", "= ?");
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(SUBJECT).collect()
}

/// Lines of letters that show; the end of the last is the protocol's.
fn text(text: &str) -> String {
    let lines: Vec<String> = text.trim_end().split('\n').map(|line| Printable(line).to_string()).collect();
    lines.join("\n")
}
