//! Why a receiver did not take a message.

use std::time::Duration;

use event::text::Printable;

use crate::server::TRUST;

/// What is told of an answer: so many of its first letters.
const TOLD: usize = 200;

/// Why a receiver did not take a message.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It cannot be reached, or goes away.
    #[error("failed to {attempt} {to}: {source}")]
    Connection {
        /// What was tried.
        attempt: &'static str,
        /// Whom.
        to: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It takes too long.
    #[error("{to} did not answer within {} s", patience.as_secs())]
    Slow {
        /// Who.
        to: String,
        /// How long was waited.
        patience: Duration,
    },
    /// It sends elsewhere, where a signed message may not belong.
    #[error("{to} answered {status}: redirects are not followed")]
    Redirect {
        /// Who.
        to: String,
        /// What it said.
        status: u16,
    },
    /// It does not take it.
    #[error("{to} answered {status}: {said}")]
    Refused {
        /// Who.
        to: String,
        /// What it said.
        status: u16,
        /// In what words, cut.
        said: String,
    },
    /// A mail server does not take it.
    #[error("{to} answered {status}: {said}")]
    Declined {
        /// Who.
        to: String,
        /// What it said (RFC 5321): from 500 on, for good.
        status: u16,
        /// In what words, cut.
        said: String,
        /// Of the mail; otherwise of who brings it.
        mail: bool,
    },
    /// A mail server offers no encryption, so it was told nothing.
    #[error("{to} offers no encryption (STARTTLS)")]
    Clear {
        /// Who.
        to: String,
    },
}

impl SendError {
    /// What to do about it; empty where the sentence says it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Connection { attempt: TRUST, .. } => {
                "give the certificate of its authority as `--messages-ca-file`; its name has to be the one in the address"
            }
            Self::Slow { to, .. } if to.starts_with("smtp://") => {
                "is it running, and does a firewall let this machine reach it? one that is encrypted from the start, as on port 465, \
                 is `smtps://`"
            }
            Self::Connection { .. } | Self::Slow { .. } => "is it running, and does a firewall let this machine reach it?",
            Self::Redirect { .. } => "give the address that it sends to, if you trust that",
            Self::Refused { status: 401 | 403, .. } => "look at the secret or token that it wants",
            Self::Declined { status: LOGIN | 534 | 535 | 538, .. } => {
                "look at `--messages-mail-user`, and at the first line of `--messages-mail-password-file`"
            }
            Self::Clear { .. } => {
                "one that is encrypted from the start is `smtps://`; `smtp+plain://` does without, if you want that"
            }
            Self::Refused { .. } | Self::Declined { .. } => "",
        }
    }

    /// Whether the same message would be refused again: the receiver understood it, and did not want it.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused { status, .. } => matches!(status, 400..=499) && !matches!(status, 401 | 403 | 404 | 408 | 429),
            Self::Declined { status, mail, .. } => *mail && *status >= 500 && *status != LOGIN,
            _ => false,
        }
    }
}

/// A mail server wants a login first (RFC 4954): an operator can mend that.
const LOGIN: u16 = 530;

/// The first words of what a receiver said, of letters that show.
pub(super) fn told(said: &str) -> String {
    let words: String = said.trim().chars().take(TOLD).collect();
    Printable(&words).to_string()
}
