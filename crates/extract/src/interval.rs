//! Lengths of time as people write them.

pub(crate) use event::interval::parse;
