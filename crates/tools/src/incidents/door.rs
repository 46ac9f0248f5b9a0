//! How others get at a book that a running program has open: a socket beside it, for the same user.
//!
//! Whoever wants something tries the book itself first. It is locked while somebody has it open, and the lock goes with its holder however he
//! ends; so a socket without a listener means nothing, and two programs never write.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::sync::mpsc::error::{SendError, TrySendError};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::ask::{self, Answer, Ask, QUESTION, Reply, Trouble};
use super::book::{Book, BookError};

/// Who may ask at the same time; others wait.
const GUESTS: usize = 16;
/// How long a question or an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is tried again, while somebody else has the book for a moment.
const AGAIN: Duration = Duration::from_millis(50);

/// A question, and who waits for the answer.
pub struct Guest {
    /// What.
    pub ask: Ask,
    /// Who.
    pub reply: oneshot::Sender<Answer>,
}

/// The way to whoever has a book open in this process.
#[derive(Clone, Debug)]
pub struct Questions {
    guests: mpsc::Sender<Guest>,
    trouble: watch::Receiver<Option<Trouble>>,
}

/// Whoever asks, for whoever has the book open.
#[derive(Debug)]
pub struct Guests {
    guests: mpsc::Receiver<Guest>,
    trouble: watch::Sender<Option<Trouble>>,
}

/// Both ends of it.
pub fn questions() -> (Questions, Guests) {
    let (sender, guests) = mpsc::channel(GUESTS);
    let (trouble, said) = watch::channel(None);
    (Questions { guests: sender, trouble: said }, Guests { guests, trouble })
}

impl Questions {
    /// Asks. Where many do, this waits.
    ///
    /// # Errors
    ///
    /// Nobody answers any more.
    pub async fn send(&self, guest: Guest) -> Result<(), SendError<Guest>> {
        self.guests.send(guest).await
    }

    /// Asks, and does not wait.
    ///
    /// # Errors
    ///
    /// Many do, or nobody answers any more.
    pub fn try_send(&self, guest: Guest) -> Result<(), TrySendError<Guest>> {
        self.guests.try_send(guest)
    }

    /// What is not in the book, though it should be. It is known without a look into the book, whose disk may hang.
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble.borrow().clone()
    }

    async fn closed(&self) {
        self.guests.closed().await;
    }
}

impl Guests {
    /// The next who asks.
    pub async fn recv(&mut self) -> Option<Guest> {
        self.guests.recv().await
    }

    /// What is not in the book, though it should be, from now on.
    pub fn say(&self, trouble: Option<Trouble>) {
        self.trouble.send_if_modified(|said| {
            let differs = *said != trouble;
            *said = trouble;
            differs
        });
    }
}

/// Where the socket of a book is.
pub fn socket(book: &Path) -> PathBuf {
    let mut name = book.as_os_str().to_owned();
    name.push(".sock");
    name.into()
}

/// Opens the door of a book that this process has open: what is asked there goes the same way. It ends when the questions are not taken any
/// more.
///
/// # Errors
///
/// There can be no socket there: the path is too long, or on a file system without sockets.
pub fn open(book: &Path, questions: Questions) -> io::Result<impl Future<Output = ()> + Send + use<>> {
    let path = socket(book);
    // nobody listens there: we have the book
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(async move {
        let seats = Arc::new(Semaphore::new(GUESTS));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = questions.closed() => break,
            };
            let (stream, _) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a question to the incident book could not be accepted");
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
            };
            let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { break };
            let questions = questions.clone();
            tokio::spawn(async move {
                // who goes away in between has no answer
                let _ = timeout(PATIENCE, guest(stream, questions)).await;
                drop(seat);
            });
        }
        let _ = fs::remove_file(&path);
    })
}

async fn guest(mut stream: tokio::net::UnixStream, questions: Questions) -> io::Result<()> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).await?;
    let mut body = vec![0; ask::length(head, QUESTION)?];
    stream.read_exact(&mut body).await?;
    let ask = ask::question(&body)?;
    let (reply, answer) = oneshot::channel();
    let ended = |_| io::Error::other("the program ends");
    questions.send(Guest { ask, reply }).await.map_err(|_| io::Error::other("the program ends"))?;
    let answer = answer.await.map_err(ended)?;
    stream.write_all(&ask::packed(&Reply { answer, trouble: questions.trouble() })).await
}

/// A way to a book.
pub enum Access {
    /// It is open here.
    Own(Box<Book>),
    /// Another process has it open.
    Through(PathBuf),
}

impl Access {
    /// Finds a way. Where somebody has the book for a moment, it is waited for.
    ///
    /// # Errors
    ///
    /// It cannot be used, or who has it does not answer.
    pub fn find(book: &Path) -> Result<Self, BookError> {
        let start = Instant::now();
        loop {
            match Book::existing(book) {
                Ok(book) => return Ok(Self::Own(Box::new(book))),
                Err(BookError::Locked { path }) => {
                    let socket = socket(&path);
                    if UnixStream::connect(&socket).is_ok() {
                        return Ok(Self::Through(socket));
                    }
                    if start.elapsed() > PATIENCE {
                        return Err(BookError::Locked { path });
                    }
                    std::thread::sleep(AGAIN);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks. `now` is nanoseconds since the epoch; the other process has its own.
    ///
    /// # Errors
    ///
    /// The other process went away: whether it did what was asked is not known.
    pub fn ask(&mut self, ask: Ask, now: u64) -> io::Result<Reply> {
        match self {
            Self::Own(book) => Ok(Reply { answer: ask::answer(book, ask, now).0, trouble: None }),
            Self::Through(socket) => {
                let stream = UnixStream::connect(socket)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                ask::ask_over(&stream, &ask)
            }
        }
    }
}
