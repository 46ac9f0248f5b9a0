//! What it means: detectors, from events to findings.

pub mod entity;
