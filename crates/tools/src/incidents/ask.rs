//! What can be asked of a book, whoever has it open.
//!
//! A question and its answer are postcard, each behind its length (u32, little-endian) and the number of this form. Both ends are of the
//! same release, or say that they are not.

use std::fmt;
use std::io::{self, Read, Write};

use detect::incident::Told;
use detect::incident::life::Refused;
use event::{Event, Incident, IncidentState};
use serde::{Deserialize, Serialize};

use super::book::{Act, ActError, Book, BookError};
use super::slice::Slice;

/// Number of this form.
const FORM: u8 = 3;
/// The longest question: a note, and little more.
pub const QUESTION: usize = 32 << 10;
/// The longest answer.
const ANSWER: usize = 64 << 20;
/// Bytes of incidents in one answer, but for the last: one has some tens of kilobytes at most.
const PAGE: usize = ANSWER / 4;
/// Entries of a timeline in one answer; an event may have many kilobytes.
pub const ENTRIES: u32 = 1_000;
/// Incidents in one answer.
pub const INCIDENTS: u32 = 10_000;

/// A question.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Ask {
    /// The latest incidents.
    List {
        /// Only those in this state, by its number.
        state: Option<i32>,
        /// At most so many.
        most: u32,
        /// Only those with a lower number.
        before: u64,
    },
    /// One, with its timeline from a place on.
    Show {
        /// Which.
        number: u64,
        /// From which place.
        from: u64,
        /// At most so many entries.
        most: u32,
    },
    /// To do something.
    Act {
        /// What.
        act: Act,
        /// With which.
        number: u64,
        /// Who.
        by: String,
        /// In what words.
        text: String,
    },
}

/// An answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// Incidents, the latest first.
    List {
        /// Name of the book.
        book: String,
        /// They.
        incidents: Vec<Stored<Incident>>,
        /// There are more, which are asked for by the last number of these.
        more: bool,
    },
    /// One.
    Show(Box<Shown>),
    /// It is done, and in the book.
    Done(Box<Stored<Incident>>),
    /// Somebody looks at it already, as was asked for; the incident says who.
    Already(Box<Stored<Incident>>),
    /// It is not.
    No {
        /// Why.
        sentence: String,
        /// What to do about it; may be empty.
        hint: String,
        /// Whether whoever asks is wrong, and not the book.
        asked_wrong: bool,
    },
}

/// An answer of a program that keeps a book.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Reply {
    /// From the book, as it is on the disk.
    pub answer: Answer,
    /// What is not in it, though it should be.
    pub trouble: Option<Trouble>,
}

/// Findings that could not be written down, and wait: the book says less than is known.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Trouble {
    /// How many wait.
    pub findings: u64,
    /// How many were lost since, because no more can wait.
    pub lost: u64,
    /// Why.
    pub reason: String,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.findings {
            0 => f.write_str("what was kept waits to be written down")?,
            1 => f.write_str("1 finding waits")?,
            findings => write!(f, "{findings} findings wait")?,
        }
        match self.lost {
            0 => {}
            1 => f.write_str(", 1 was lost")?,
            lost => write!(f, ", {lost} were lost")?,
        }
        write!(f, ": {}", self.reason)
    }
}

/// An incident, and what there is of it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Shown {
    /// Itself.
    pub incident: Stored<Incident>,
    /// What happened.
    pub timeline: Vec<Stored<Event>>,
    /// The place after the last of these.
    pub next: u64,
    /// How many there are in all.
    pub entries: u64,
    /// Evidence that is kept, or will be.
    pub slices: Vec<Slice>,
}

/// A message of the schema, in its own form.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Stored<M>(pub M);

impl<M: prost::Message> Serialize for Stored<M> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.encode_to_vec().serialize(serializer)
    }
}

impl<'de, M: prost::Message + Default> Deserialize<'de> for Stored<M> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        M::decode(bytes.as_slice()).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Answers. What changed is given back, too: it is in the book, and to be told.
pub fn answer(book: &mut Book, ask: Ask, now: u64) -> (Answer, Option<Told>) {
    // the disk may have been full, and is not any more
    if let Err(error) = book.mend() {
        return (Answer::from(error), None);
    }
    let answered = match ask {
        Ask::List { state, most, before } => {
            let state = state.and_then(|state| IncidentState::try_from(state).ok());
            let found = book.page(state, before, most.min(INCIDENTS) as usize, PAGE);
            let listed = |(found, more): (Vec<Incident>, bool)| Answer::List {
                book: book.name().to_owned(),
                incidents: found.into_iter().map(Stored).collect(),
                more,
            };
            found.map(listed).map_err(ActError::Book)
        }
        Ask::Show { number, from, most } => show(book, number, from, most.min(ENTRIES)),
        Ask::Act { act, number, by, text } => match book.act(act, number, &by, &text, now) {
            Ok(told) => {
                let incident = detect::incident::of(&told.kind).cloned().unwrap_or_default();
                return (Answer::Done(Box::new(Stored(incident))), Some(told));
            }
            Err(error) => Err(error),
        },
    };
    (answered.unwrap_or_else(|error| already(book, &error).unwrap_or_else(|| no(&error))), None)
}

/// That somebody looks at it is as it should be, whoever says so now.
fn already(book: &Book, error: &ActError) -> Option<Answer> {
    let ActError::Refused(Refused::Acknowledged { number, .. }) = error else { return None };
    let incident = book.incident(*number).ok().flatten()?;
    Some(Answer::Already(Box::new(Stored(incident))))
}

fn show(book: &Book, number: u64, from: u64, most: u32) -> Result<Answer, ActError> {
    let incident = book.incident(number)?.ok_or(ActError::Unknown(number))?;
    let (timeline, next) = book.timeline(number, from, most as usize)?;
    let timeline = timeline.into_iter().map(Stored).collect();
    let shown = Shown { incident: Stored(incident), timeline, next, entries: book.entries(number)?, slices: book.slices(number)? };
    Ok(Answer::Show(Box::new(shown)))
}

fn no(error: &ActError) -> Answer {
    let hint = match error {
        ActError::Book(error) => error.hint(),
        ActError::Unknown(_) => "`peer-observer incidents list` lists them",
        ActError::Refused(Refused::Nameless) => "say who with `--by NAME`",
        _ => "",
    };
    Answer::No { sentence: error.to_string(), hint: hint.to_owned(), asked_wrong: !matches!(error, ActError::Book(_)) }
}

impl From<BookError> for Answer {
    fn from(error: BookError) -> Self {
        no(&ActError::Book(error))
    }
}

/// Something as it goes over the socket.
pub fn packed(what: &impl Serialize) -> Vec<u8> {
    let body = postcard::to_stdvec(what).expect("texts and numbers, into memory");
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.push(FORM);
    bytes.extend(body);
    bytes
}

/// The length that a head announces.
///
/// # Errors
///
/// It is of another release, or longer than `most`.
pub fn length(head: [u8; 5], most: usize) -> io::Result<usize> {
    let [a, b, c, d, form] = head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    match () {
        () if form != FORM => Err(io::Error::other("the program that has the book open is of another release")),
        () if length > most => Err(io::Error::other("it is longer than anything that is asked or answered")),
        () => Ok(length),
    }
}

/// A question from its bytes.
///
/// # Errors
///
/// They are none.
pub fn question(bytes: &[u8]) -> io::Result<Ask> {
    postcard::from_bytes(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Asks over a stream, and waits for the answer.
///
/// # Errors
///
/// The other side goes away, or speaks in another way.
pub fn ask_over(mut stream: impl Read + Write, ask: &Ask) -> io::Result<Reply> {
    stream.write_all(&packed(ask))?;
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let mut body = vec![0; length(head, ANSWER)?];
    stream.read_exact(&mut body)?;
    postcard::from_bytes(&body).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_question_is_what_was_asked() {
        let ask = Ask::Act { act: Act::Note, number: 7, by: "ann".into(), text: "a note".into() };
        let bytes = packed(&ask);
        let body = &bytes[5..];
        assert_eq!(length(bytes[..5].try_into().unwrap(), QUESTION).unwrap(), body.len());
        assert_eq!(question(body).unwrap(), ask);
        assert!(length([0, 0, 0, 0, FORM + 1], QUESTION).is_err());
        assert!(length([0, 0, 0, 1, FORM], QUESTION).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = question(&bytes);
            let _ = ask_over(io::Cursor::new(bytes), &Ask::List { state: None, most: 1, before: u64::MAX });
        }
    }
}
