//! The archive: what happened, kept in segments (`event::archive` has their form), and what can be done with them.
//!
//! [`record`] follows a bus into a directory; [`input`] reads files and directories back; [`info`], [`verify`] and [`copy`] describe,
//! check, cut and join them; [`redacted`] makes a slice that may leave.

pub mod amount;
pub mod copy;
pub mod info;
pub mod input;
pub mod progress;
pub mod record;
pub mod redacted;
pub mod segment;
pub mod select;
pub mod store;
pub mod verify;

mod sequences;

pub use input::{Raw, beginning, open, span};
pub use progress::Progress;
pub use record::{Config, Profile};
pub use segment::ReadError;
pub use select::{Moment, Part, Selection};
