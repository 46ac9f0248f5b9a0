//! A slice that may leave the operator's hands: `archive cut --redact`.
//!
//! The recordings are read twice. The first time, all of them tell what the nodes' own addresses are, whatever is selected: what a node is
//! called by others an hour later is in gossip now. The second time, what is selected goes through [`Redactor::redact`] into new frames, so
//! that heads and index are made of nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use event::Filter;
use event::archive::segment::Header;
use event::redact::Redactor;

use super::copy::{self, Copied, CopyError};
use super::progress::Progress;
use super::segment::{ReadError, Writer};
use super::select::Selection;
use super::{info, input};

/// Writes what is selected of some recordings into a new file, as others may see it. `progress` is how much was read, of twice as much as
/// there is.
///
/// # Errors
///
/// A recording is none, nothing that is selected of it may leave, the file exists or cannot be written, or its name is a node's.
pub fn cut(
    paths: &[PathBuf],
    selection: &Selection,
    to: &Path,
    now: u64,
    redactor: &mut Redactor,
    progress: &Progress,
) -> Result<Copied, CopyError> {
    let nodes = info::info_watched(paths, now, &progress.apart())?.sources.into_iter().map(|source| source.node).collect();
    if let Some(node) = named(to, &nodes) {
        return Err(CopyError::Named { path: to.to_owned(), node });
    }
    let fault = learn(paths, redactor, progress, || true)?;
    if progress.is_stopped() {
        return Err(ReadError::Stopped.into());
    }
    let header = understood(copy::header(paths, selection, now)?);
    let events = input::open_watched(paths, selection, progress)?.events();
    let mut copied = copy::into_new(to, |part| {
        let writer = Writer::for_others(part, &header, copy::LEVEL)?;
        copy::pack(events, writer, |packer, event| redactor.redact(event).map(|event| packer.push(&event)).is_some())
    })?;
    // what could not be read the first time may have said something, too
    copied.fault = copied.fault.or(fault);
    Ok(copied)
}

/// Shows the redactor what it can learn from, as long as somebody waits for it. What cannot be read is given back.
pub(crate) fn learn(
    paths: &[PathBuf],
    redactor: &mut Redactor,
    progress: &Progress,
    go_on: impl Fn() -> bool,
) -> Result<Option<ReadError>, ReadError> {
    let teaching = Selection { kinds: Some(Redactor::teaching()), ..Selection::default() };
    let mut fault = None;
    for event in input::open_watched(paths, &teaching, progress)?.events().take_while(|_| go_on()) {
        match event {
            Ok(event) => redactor.learn(&event),
            Err(error) => fault = Some(error),
        }
    }
    Ok(fault)
}

/// A header says what was asked for; only what this release could have asked for is passed on.
fn understood(header: Header) -> Header {
    let all = |text: &str, known: &dyn Fn(&str) -> bool| if text.split(" + ").all(known) { text.to_owned() } else { String::new() };
    Header {
        kinds: all(&header.kinds, &|kinds| kinds.is_empty() || Filter::parse(kinds.split(',')).is_ok()),
        profile: all(&header.profile, &|profile| matches!(profile, "" | "full" | "low-data")),
        ..header
    }
}

/// The node whose name stands in the name of a file, as a word of it.
fn named(path: &Path, nodes: &BTreeSet<String>) -> Option<String> {
    tells(&path.file_name()?.to_string_lossy(), nodes)
}

/// The node whose name stands in a text, as a word of it.
pub(crate) fn tells(text: &str, nodes: &BTreeSet<String>) -> Option<String> {
    let name = text.to_lowercase();
    let is_word = |node: &&String| {
        let node = node.to_lowercase();
        let ends = |at: usize| {
            let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            !letter(name[..at].chars().next_back()) && !letter(name[at + node.len()..].chars().next())
        };
        !node.is_empty() && name.match_indices(&node).any(|(at, _)| ends(at))
    };
    nodes.iter().find(is_word).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_not_called_like_a_node() {
        let nodes: BTreeSet<_> = ["alice", "node", "honeypot-7", ""].map(str::to_owned).into();
        let named = |path: &str| named(Path::new(path), &nodes);
        assert_eq!(named("alice.poa").as_deref(), Some("alice"));
        assert_eq!(named("2026_Alice-noon.poa").as_deref(), Some("alice"));
        assert_eq!(named("x-HONEYPOT-7.poa").as_deref(), Some("honeypot-7"));
        for free in ["malice.poa", "nodes.poa", "honeypot-77.poa", "alice/slice.poa", "x.poa"] {
            assert_eq!(named(free), None, "{free}");
        }
    }

    #[test]
    fn a_header_says_nothing_of_its_own() {
        let header = |kinds: &str, profile: &str| Header { kinds: kinds.into(), profile: profile.into(), ..Header::default() };
        let kept = header("net,!net.inv + conn", "full + low-data");
        assert_eq!(understood(kept.clone()), kept);
        assert_eq!(understood(header("net,198.51.100.7", "of honeypot-7")), Header::default());
    }
}
