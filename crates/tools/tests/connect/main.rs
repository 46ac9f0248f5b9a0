//! Visits to a fleet of our own: whatever answers gets the verdict that it should, and nobody is dialled who should not be.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod fleet;
mod golden;
mod loopback;
mod namespace;
mod proxies;
mod real;
mod world;
