//! Working with incidents from the pages: what somebody wants, and the way to the book.
//!
//! The pages know incidents from events alone; only who changes one goes through the [`door`] of the book that this program keeps, as
//! `peer-observer incidents` does. What is answered with success is on the disk.

use std::time::Duration;

use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::incidents::Act;
use crate::incidents::ask::{Answer, Ask};
use crate::incidents::door::{self, Questions};

/// The longest request: a note of 16 KiB in which every letter is written as six.
pub const LONGEST: usize = 128 << 10;
/// How long the book may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why nobody can work with incidents here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Barred {
    /// It is for strangers.
    #[error("what is shown to everybody is changed by nobody")]
    Public,
    /// The book is kept by another program, or by none.
    #[error("no book is kept here: use `peer-observer incidents` where it is")]
    Elsewhere,
    /// Nobody knows who that is.
    #[error("who comes through a proxy may look: to act, give `--web-token-file` as well")]
    Proxy,
}

impl Barred {
    /// For programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Elsewhere => "elsewhere",
            Self::Proxy => "proxy",
        }
    }
}

/// What somebody wants to do with an incident.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deed {
    act: Word,
    /// Who: it stands in the book.
    #[serde(default)]
    by: String,
    /// A note, or why it is closed.
    #[serde(default)]
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Acknowledge,
    Note,
    Close,
}

/// That is none.
#[derive(PartialEq, Debug, thiserror::Error)]
#[error("not something to do with an incident: {0}")]
pub struct DeedError(String);

impl Deed {
    /// Reads what a client sent.
    ///
    /// # Errors
    ///
    /// It is something else.
    pub fn parse(text: &[u8]) -> Result<Self, DeedError> {
        // serde would take a list of values as well
        if !text.trim_ascii_start().starts_with(b"{") {
            return Err(DeedError("it is an object".into()));
        }
        let deed: Self = serde_json::from_slice(text).map_err(|error| DeedError(error.to_string()))?;
        if deed.by.trim().is_empty() {
            return Err(DeedError("nobody is named: `by` says who does it".into()));
        }
        Ok(deed)
    }

    /// Who.
    pub(super) fn by(&self) -> &str {
        self.by.trim()
    }

    /// Has it done.
    ///
    /// # Errors
    ///
    /// The book is not kept any more, or takes too long: then whether it was done, the incident says.
    pub(super) async fn done(self, number: u64, book: &Questions) -> Result<Answer, &'static str> {
        let Self { act, by, text } = self;
        let act = match act {
            Word::Acknowledge => Act::Acknowledge,
            Word::Note => Act::Note,
            Word::Close => Act::Close,
        };
        let (reply, answer) = oneshot::channel();
        let guest = door::Guest { ask: Ask::Act { act, number, by, text }, reply };
        if book.try_send(guest).is_err() {
            return Err("the incident book is busy, or is being closed: nothing was done");
        }
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err("the program ends: look whether it was done when it runs again"),
            Err(_) => Err("the incident book did not answer in time: look whether it was done before you try again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_to_be_done_is_read() {
        let deed = Deed::parse(br#" {"act":"note","by":"ann","text":"seen"}"#).unwrap();
        assert_eq!((deed.act, deed.by.as_str(), deed.text.as_str()), (Word::Note, "ann", "seen"));
        assert_eq!(Deed::parse(br#"{"act":"close","by":"ann"}"#).unwrap().text, "");
        for nobody in [r#"{"act":"close"}"#, r#"{"act":"close","by":" "}"#] {
            assert!(Deed::parse(nobody.as_bytes()).unwrap_err().to_string().contains("nobody is named"), "{nobody}");
        }
        for wrong in ["", "[\"note\"]", "{}", r#"{"act":"delete"}"#, r#"{"act":"note","to":"x"}"#, r#"{"act":"note","text":7}"#] {
            assert!(Deed::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Deed::parse(&bytes);
        }
    }
}
