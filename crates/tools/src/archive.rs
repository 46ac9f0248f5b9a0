//! The archive: what happened, kept in segments (`event::archive` has their form), and what can be done with them.
//!
//! [`record`] follows a bus into a directory; [`input`] reads files and directories back; [`info`], [`verify`] and [`copy`] describe,
//! check, cut and join them.

pub mod amount;
pub mod copy;
pub mod info;
pub mod input;
pub mod record;
pub mod segment;
pub mod select;
pub mod store;
pub mod verify;

pub use input::{Raw, beginning, open, span};
pub use record::{Config, Profile};
pub use segment::ReadError;
pub use select::{Moment, Part, Selection};
