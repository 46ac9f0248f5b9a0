//! What others wrote down, from files: lists of strangers, and the map of autonomous systems. Read again when a file changes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use detect::entity::asmap::{self, AsmapError};
use detect::entity::lists::{self, List, ListError};
use detect::entity::{Asmap, Knowledge};

/// The lists that come with the program.
const OURS: [(&str, &str); 2] = [
    ("crawlers.toml", include_str!("../../../../lists/crawlers.toml")),
    ("linkinglion.toml", include_str!("../../../../lists/linkinglion.toml")),
];

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KnowledgeError {
    /// It is not there, or not for us.
    #[error("failed to read {}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no list.
    #[error(transparent)]
    List(#[from] ListError),
    /// There are too many lists.
    #[error("{0}")]
    Crowded(String),
    /// Two of them have one name, which is all that a match says of its list.
    #[error("two lists are named `{name}`: {} and {}; give one of them another name", first.display(), second.display())]
    Twins {
        /// The name of both.
        name: String,
        /// One of them.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// It is no map.
    #[error("{} is not used", path.display())]
    Asmap {
        /// Which.
        path: PathBuf,
        /// Why.
        source: AsmapError,
    },
}

/// The files, and what they said when they were last read.
pub(super) struct Shelf {
    lists: Vec<File<List>>,
    asmap: Option<File<Asmap>>,
}

struct File<T> {
    path: PathBuf,
    /// When it was last written, and how long it is: what shows that it changed.
    seen: Option<(SystemTime, u64)>,
    content: T,
}

impl Shelf {
    /// Reads all of them.
    pub(super) fn read(lists: &[PathBuf], asmap: Option<&Path>) -> Result<Self, KnowledgeError> {
        let shelf = Self {
            lists: lists.iter().map(|path| File::read(path, list)).collect::<Result<_, _>>()?,
            asmap: asmap.map(|path| File::read(path, map)).transpose()?,
        };
        shelf.knowledge()?;
        Ok(shelf)
    }

    /// What is known. A file's list takes the place of ours of the same name.
    pub(super) fn knowledge(&self) -> Result<Arc<Knowledge>, KnowledgeError> {
        let mut known = lists::Lists::default();
        for (name, content) in OURS {
            known.insert(List::read(name, content.as_bytes())?).map_err(KnowledgeError::Crowded)?;
        }
        for (at, file) in self.lists.iter().enumerate() {
            if let Some(other) = self.lists[..at].iter().find(|other| other.content.name == file.content.name) {
                let name = file.content.name.clone();
                return Err(KnowledgeError::Twins { name, first: other.path.clone(), second: file.path.clone() });
            }
            known.insert(file.content.clone()).map_err(KnowledgeError::Crowded)?;
        }
        Ok(Arc::new(Knowledge { lists: known, asmap: self.asmap.as_ref().map(|file| file.content.clone()) }))
    }

    /// Reads again what has changed; `None` if nothing has. What became wrong stays as it was, and is said in the log.
    pub(super) fn refresh(&mut self) -> Option<Arc<Knowledge>> {
        let mut changed = false;
        for file in &mut self.lists {
            changed |= file.refresh(list);
        }
        if let Some(file) = &mut self.asmap {
            changed |= file.refresh(map);
        }
        if !changed {
            return None;
        }
        match self.knowledge() {
            Ok(knowledge) => Some(knowledge),
            Err(error) => {
                tracing::warn!(%error, "lists of strangers changed, and are not used so");
                None
            }
        }
    }
}

impl<T> File<T> {
    fn read(path: &Path, content: impl Fn(&Path, Vec<u8>) -> Result<T, KnowledgeError>) -> Result<Self, KnowledgeError> {
        let unreadable = |source| KnowledgeError::Unreadable { path: path.to_owned(), source };
        // looked at before it is read: what is written in between shows as a change
        let seen = seen(path);
        let too_long = seen.is_some_and(|(_, length)| length > lists::LARGEST.max(asmap::LARGEST) as u64);
        if too_long {
            return Err(unreadable(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than any list or map")));
        }
        let bytes = fs::read(path).map_err(unreadable)?;
        Ok(Self { path: path.to_owned(), seen, content: content(path, bytes)? })
    }

    fn refresh(&mut self, content: impl Fn(&Path, Vec<u8>) -> Result<T, KnowledgeError>) -> bool {
        let now = seen(&self.path);
        if now == self.seen {
            return false;
        }
        let path = self.path.display().to_string();
        match Self::read(&self.path, content) {
            Ok(file) => {
                tracing::info!(path, "read again, as it changed");
                *self = file;
                true
            }
            Err(error) => {
                tracing::warn!(path, error = format!("{:#}", anyhow::Error::from(error)), "it changed, and stays in use as it was");
                // said once, until it changes again
                self.seen = now;
                false
            }
        }
    }
}

fn seen(path: &Path) -> Option<(SystemTime, u64)> {
    let file = fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len()))
}

fn list(path: &Path, bytes: Vec<u8>) -> Result<List, KnowledgeError> {
    Ok(List::read(&path.to_string_lossy(), &bytes)?)
}

fn map(path: &Path, bytes: Vec<u8>) -> Result<Asmap, KnowledgeError> {
    Asmap::read(bytes).map_err(|source| KnowledgeError::Asmap { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use detect::entity::Host;
    use event::Network;

    use super::*;

    fn versions(knowledge: &Knowledge) -> Vec<String> {
        let host = Host::of("162.218.65.7:8333", Network::Ipv4).unwrap();
        knowledge.lists.find(Some(&host), None).map(|found| format!("{} {}", found.list, found.version)).collect()
    }

    /// A file of another length is a changed one, whatever the clock's resolution.
    #[test]
    fn a_changed_file_is_read_again_and_a_wrong_one_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.txt");
        fs::write(&path, "# version: 1\n162.218.65.0/24\n").unwrap();
        let mut shelf = Shelf::read(std::slice::from_ref(&path), None).unwrap();
        assert_eq!(versions(&shelf.knowledge().unwrap()), ["linkinglion 2026-11-23", "mine 1"]);
        assert!(shelf.refresh().is_none());
        fs::write(&path, "# version: 22\n162.218.65.0/24\n").unwrap();
        assert_eq!(versions(&shelf.refresh().unwrap()), ["linkinglion 2026-11-23", "mine 22"]);
        fs::write(&path, "# version: 333\nnobody\n").unwrap();
        assert!(shelf.refresh().is_none());
        assert_eq!(versions(&shelf.knowledge().unwrap()), ["linkinglion 2026-11-23", "mine 22"]);
        fs::write(&path, "# version: 4444\n198.51.100.1\n").unwrap();
        assert_eq!(versions(&shelf.refresh().unwrap()), ["linkinglion 2026-11-23"]);
        fs::remove_file(&path).unwrap();
        assert!(shelf.refresh().is_none());
    }

    #[test]
    fn who_says_that_he_counts_is_named_by_it() {
        let knowledge = Shelf::read(&[], None).unwrap().knowledge().unwrap();
        let named =
            |agent: &str| knowledge.lists.find(None, Some(agent)).map(|found| found.entity.name.clone()).collect::<Vec<_>>();
        assert_eq!(named("/bitnodes.io:0.3/"), ["Bitnodes"]);
        assert_eq!(named("/bitcoin-seeder:0.01/"), ["bitcoin-seeder"]);
        assert_eq!(named("/Satoshi:30.0.0/"), [""; 0]);
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let twins = ["one", "two"].map(|name| folder.path().join(name).join("mine.txt"));
        for path in &twins {
            fs::create_dir(path.parent().unwrap()).unwrap();
            fs::write(path, "198.51.100.1\n").unwrap();
        }
        let error = Shelf::read(&twins, None).err().unwrap().to_string();
        let [one, two] = twins.map(|path| path.display().to_string());
        assert_eq!(error, format!("two lists are named `mine`: {one} and {two}; give one of them another name"));
        let missing = folder.path().join("missing.txt");
        let error = Shelf::read(std::slice::from_ref(&missing), None).err().unwrap();
        assert_eq!(error.to_string(), format!("failed to read {}", missing.display()));
        let wrong = folder.path().join("wrong.txt");
        fs::write(&wrong, "nobody\n").unwrap();
        let error = Shelf::read(std::slice::from_ref(&wrong), None).err().unwrap();
        assert_eq!(
            error.to_string(),
            format!("{} is not used as a list: line 1: `nobody` is no address or prefix", wrong.display())
        );
        let error = Shelf::read(&[], Some(&wrong)).err().unwrap();
        let why = anyhow::Error::from(error).chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
        assert!(why.starts_with(&format!("{} is not used: not a map of autonomous systems", wrong.display())), "{why}");
    }
}
