//! Lengths of time in nanoseconds, the unit of an event's time.

/// Nanoseconds.
pub const SECOND: u64 = 1_000_000_000;
/// Nanoseconds.
pub const MINUTE: u64 = 60 * SECOND;
/// Nanoseconds.
pub const HOUR: u64 = 60 * MINUTE;
/// Nanoseconds.
pub const DAY: u64 = 24 * HOUR;

/// Nanoseconds as seconds.
pub fn seconds(nanos: u64) -> f64 {
    nanos as f64 / SECOND as f64
}

/// Seconds of a threshold as nanoseconds; what is no length of time is none.
pub fn nanos(seconds: f64) -> u64 {
    (seconds * SECOND as f64) as u64
}
