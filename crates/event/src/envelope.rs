//! The envelope: making events, their bytes, their subjects.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use crate::{Event, Kind, KindId, Source, budget};

impl Event {
    /// An event that nobody has published yet: no run, no sequence, no time.
    pub fn new(node: impl Into<String>, source: Source, kind: impl Into<Kind>) -> Self {
        Self { node: node.into(), source: source.into(), kind: Some(kind.into()), ..Self::default() }
    }

    /// Which kind it is; `None` for a kind that only a newer release knows.
    pub fn id(&self) -> Option<KindId> {
        self.kind.as_ref().map(Kind::id)
    }

    /// The peer it is about, if it is about one.
    pub fn peer(&self) -> Option<u64> {
        self.kind.as_ref().and_then(Kind::peer)
    }

    /// The protobuf form.
    pub fn to_bytes(&self) -> Bytes {
        self.encode_to_vec().into()
    }

    /// Reads the protobuf form. Byte fields are slices of `bytes`, not copies.
    ///
    /// # Errors
    ///
    /// Bytes that are no event, or that would take far more memory than any event of their length. A kind that only a newer release
    /// knows is no error: such an event has no kind.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        budget::check(&bytes)?;
        Self::decode(bytes).map_err(DecodeError::Malformed)
    }

    /// The NATS subject: `po.<node>.<family>.<kind>`; `None` for a kind that this release does not know.
    pub fn subject(&self) -> Option<String> {
        Some(format!("po.{}.{}", self.node, self.id()?.name()))
    }

    /// Bytes of memory that it takes, roughly.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.node.len() + self.kind.as_ref().map_or(0, Kind::heap_size)
    }
}

/// Bytes that are no event.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No protobuf, or of another schema.
    #[error("not an event: {0}")]
    Malformed(prost::DecodeError),
    /// Made to exhaust memory: found out before anything is allocated.
    #[error("not an event: its {length} bytes would take more than {budget} in memory, and no event of that length does")]
    Inflated {
        /// Of the protobuf form.
        length: usize,
        /// What may be allocated for it.
        budget: usize,
    },
}

/// The operator's name for a node.
///
/// It is a token of NATS subjects, a label value and a part of file names: 1 to 64 letters, digits, `-` and `_`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// The longest allowed name, in bytes.
    pub const MAX: usize = 64;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = NodeNameError;

    fn from_str(name: &str) -> Result<Self, NodeNameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > Self::MAX || !name.chars().all(allowed) {
            return Err(NodeNameError(name.to_owned()));
        }
        Ok(Self(name.into()))
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A name that no node may have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no node name: use 1 to 64 letters, digits, `-` and `_`")]
pub struct NodeNameError(String);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NetPing;

    #[test]
    fn a_subject_names_node_family_and_kind() {
        let event = Event::new("alice", Source::Ebpf, NetPing::default());
        assert_eq!(event.subject().as_deref(), Some("po.alice.net.ping"));
    }

    #[test]
    fn names_that_would_break_a_subject_are_refused() {
        for name in ["", "a.b", "a b", "*", ">", "é", &"x".repeat(65)] {
            assert!(name.parse::<NodeName>().is_err(), "{name:?}");
        }
        assert!("node-1_A".parse::<NodeName>().is_ok());
    }

    /// Field 999 stands for a kind that this release does not know.
    #[test]
    fn a_newer_kind_is_an_event_without_a_kind() {
        let mut bytes = Event { node: "n".into(), ..Event::default() }.encode_to_vec();
        bytes.extend([0xba, 0x3e, 0x02, 0x08, 0x01]);
        let event = Event::from_bytes(bytes.into()).unwrap();
        assert_eq!((event.node.as_str(), event.kind), ("n", None));
    }
}
