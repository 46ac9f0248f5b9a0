//! What flows through peer-observer: events.
//!
//! An [`Event`] is one fact about one node: an envelope (which node, who says so, when, in which place of the order) and one
//! [`Kind`]. The schema in `proto/` says what kinds there are; the types, their names ([`KindId`]), the JSON form, the documentation
//! ([`schema`]) and the NATS subjects are generated from it or follow from it, so nothing here lists kinds a second time.
//!
//! ```
//! use event::{Event, Kind, KindId, NetPing, Source};
//!
//! let event = Event::new("alice", Source::Ebpf, Kind::from(NetPing { peer: 7, nonce: Some(1), ..Default::default() }));
//! assert_eq!(event.id(), Some(KindId::NetPing));
//! assert_eq!(KindId::NetPing.name(), "net.ping");
//! assert_eq!(Event::from_bytes(event.to_bytes()).unwrap(), event);
//! ```
//!
//! Invariants: no IO, no async, no clock. No input makes a decoder panic.

pub mod archive;
mod budget;
mod envelope;
mod filter;
pub mod interval;
mod kind;
pub mod log;
pub mod p2p;
pub mod primary;
pub mod recording;
pub mod redact;
pub mod rpc_json;
pub mod schema;
pub mod text;

#[expect(missing_docs, reason = "generated; comments are in proto/")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/peer_observer.rs"));
}

pub use envelope::{DecodeError, NodeName, NodeNameError};
pub use filter::{Filter, FilterError, KindSet};
pub use generated::event::Kind;
pub use generated::*;
pub use kind::{KindId, Net};
