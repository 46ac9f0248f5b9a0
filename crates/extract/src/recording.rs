//! Recordings as files: [`event::recording`] under zstd.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use event::Event;
use event::recording::{ReadError, Reader};

use crate::capture::{Capture, CaptureError};

/// The first four bytes of a zstd frame (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The events of a recording, in whatever form it is. After an error there may be more: a part of it that is whole.
pub type Events = Box<dyn Iterator<Item = Result<Event, RecordingError>> + Send>;

/// Opens a recording: a file of this program, or what Bitcoin Core wrote with `-capturemessages` (a folder, or a file of one).
///
/// # Errors
///
/// It cannot be read, or is no recording.
pub fn open(path: &Path) -> Result<Events, RecordingError> {
    Ok(if Capture::is_one(path) { Box::new(Capture::open(path, false)?) } else { Box::new(Recording::open(path)?) })
}

/// A recording that is being read: an iterator over its events.
///
/// After an error it yields nothing more: what follows a broken place cannot be read.
pub struct Recording<R> {
    input: zstd::Decoder<'static, BufReader<R>>,
    events: Reader,
    piece: Vec<u8>,
    name: String,
    done: bool,
}

impl Recording<File> {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no recording.
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|source| RecordingError::Open { path: path.to_owned(), source })?;
        Recording::new(file, name)
    }
}

impl<R: Read> Recording<R> {
    /// Reads a recording from anywhere; `name` is for messages.
    ///
    /// # Errors
    ///
    /// The input cannot be read, or is no recording.
    pub fn new(input: R, name: impl Into<String>) -> Result<Self, RecordingError> {
        use io::BufRead as _;
        let name = name.into();
        let mut input = BufReader::with_capacity(1 << 16, input);
        match input.fill_buf() {
            Ok(start) if start.starts_with(&ZSTD_MAGIC) => {}
            Ok(start) => return Err(RecordingError::Foreign { name, empty: start.is_empty() }),
            Err(source) => return Err(RecordingError::Read { name, source }),
        }
        let input = zstd::Decoder::with_buffer(input).map_err(|source| RecordingError::Read { name: name.clone(), source })?;
        Ok(Self { input, events: Reader::default(), piece: vec![0; 1 << 16], name, done: false })
    }

    fn advance(&mut self) -> Result<Option<Event>, RecordingError> {
        let broken = |source| RecordingError::Broken { name: self.name.clone(), source };
        loop {
            if let Some(event) = self.events.next().map_err(broken)? {
                return Ok(Some(event));
            }
            match self.input.read(&mut self.piece) {
                Ok(0) => {
                    self.events.finish().map_err(broken)?;
                    return Ok(None);
                }
                Ok(length) => self.events.push(&self.piece[..length]),
                Err(source) if source.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(RecordingError::Read { name: self.name.clone(), source }),
            }
        }
    }
}

impl<R: Read> Iterator for Recording<R> {
    type Item = Result<Event, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.advance().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Writes a recording.
pub struct Writer<W: Write> {
    output: zstd::Encoder<'static, W>,
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a recording, compressed at zstd's `level` (1 to 22).
    ///
    /// # Errors
    ///
    /// A level that zstd does not have.
    pub fn new(output: W, level: i32) -> io::Result<Self> {
        Ok(Self { output: zstd::Encoder::new(output, level)?, buffer: Vec::new() })
    }

    /// Adds an event.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn write(&mut self, event: &Event) -> io::Result<()> {
        self.buffer.clear();
        event::recording::write(event, &mut self.buffer);
        self.output.write_all(&self.buffer)
    }

    /// Ends the recording. Without it, what was written last cannot be read.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn finish(self) -> io::Result<W> {
        self.output.finish()
    }
}

/// A recording that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be opened.
    #[error("failed to open the recording {}: {source}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{name} is {}", if *empty { "empty: not even the beginning of a recording" } else { "no recording: it does not begin as one (zstd)" })]
    Foreign {
        /// Which.
        name: String,
        /// There is nothing in it.
        empty: bool,
    },
    /// A folder in which there is none.
    #[error("{} holds no recording", path.display())]
    NoCapture {
        /// Which.
        path: PathBuf,
    },
    /// A file of Bitcoin Core's.
    #[error(transparent)]
    Capture(CaptureError),
    /// It ends too early, is damaged, or the disk fails.
    #[error("failed to read the recording {name}: {source}")]
    Read {
        /// Which.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// It is compressed as a recording is, but holds something else, or ends too early.
    #[error("failed to read the recording {name} {source}")]
    Broken {
        /// Which.
        name: String,
        /// Where and why.
        source: ReadError,
    },
}

impl RecordingError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Open { .. } => "is the path right, and may this user read the file?",
            Self::Foreign { empty: true, .. } => "was it copied whole? a recording that was not ended may be empty, too",
            Self::Foreign { empty: false, .. } => "only recordings of this program are read, not the files of others",
            Self::NoCapture { .. } => "name a file or an archive of this program, or the node's `message_capture`",
            Self::Capture(error) => error.hint(),
            Self::Read { .. } | Self::Broken { .. } => "what is before that place was read; was the file copied whole?",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::events::samples;

    fn recorded(events: &[Event]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), 3).unwrap();
        for event in events {
            writer.write(event).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> (Vec<Event>, Option<RecordingError>) {
        let mut events = Vec::new();
        match Recording::new(bytes, "test.rec") {
            Err(error) => (events, Some(error)),
            Ok(recording) => {
                for item in recording {
                    match item {
                        Ok(event) => events.push(event),
                        Err(error) => return (events, Some(error)),
                    }
                }
                (events, None)
            }
        }
    }

    #[test]
    fn what_was_recorded_is_read() {
        let events = samples();
        let (got, error) = read(&recorded(&events));
        assert!(error.is_none(), "{error:?}");
        assert_eq!(got, events);
    }

    #[test]
    fn a_cut_recording_gives_its_beginning_and_an_error() {
        let events: Vec<Event> = samples().into_iter().cycle().take(5000).collect();
        let whole = recorded(&events);
        for part in 1..20 {
            let (got, error) = read(&whole[..whole.len() * part / 20]);
            assert_eq!(got[..], events[..got.len()]);
            assert!(error.is_some());
        }
    }

    #[test]
    fn foreign_files_are_named() {
        let error = |bytes: &[u8]| read(bytes).1.unwrap().to_string();
        assert_eq!(error(b""), "test.rec is empty: not even the beginning of a recording");
        assert_eq!(error(b"%PDF-1.7"), "test.rec is no recording: it does not begin as one (zstd)");
        let other = zstd::encode_all(&[0xff; 100][..], 3).unwrap();
        assert_eq!(
            error(&other),
            "failed to read the recording test.rec at byte 0 of the uncompressed recording: no length of an event"
        );
    }

    #[test]
    fn every_error_has_a_hint() {
        let missing = Recording::open(Path::new("/nonexistent")).err().unwrap();
        assert!(missing.hint().contains("path"), "{missing}");
        let events: Vec<Event> = samples().into_iter().cycle().take(5000).collect();
        let whole = recorded(&events);
        for (bytes, expected) in [
            (&b""[..], "copied whole"),
            (b"%PDF-1.7", "only recordings"),
            (&whole[..whole.len() / 2], "what is before"),
            (&zstd::encode_all(&[0xff; 100][..], 3).unwrap(), "what is before"),
        ] {
            let error = read(bytes).1.unwrap();
            assert!(error.hint().contains(expected), "{error}: {}", error.hint());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let mut framed = ZSTD_MAGIC.to_vec();
            framed.extend(&bytes);
            let _ = read(&framed);
            let _ = read(&zstd::encode_all(&bytes[..], 1).unwrap());
        }
    }
}
