//! A copy of a limiter of Bitcoin Core, so that what it limits is known without asking it.

use serde::{Deserialize, Serialize};

use crate::time::seconds;

/// Tokens that come at a rate, up to a cap, and are taken one each.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct TokenBucket {
    tokens: f64,
    /// Tokens a second.
    rate: f64,
    cap: f64,
    updated: u64,
}

impl TokenBucket {
    /// A bucket that has so many tokens now.
    pub fn new(tokens: f64, rate: f64, cap: f64, now: u64) -> Self {
        Self { tokens, rate, cap, updated: now }
    }

    /// Lets the time pass that has passed. Tokens beyond the cap, given by [`Self::grant`], stay until they are taken, but none come.
    pub fn refill(&mut self, now: u64) {
        let passed = seconds(now.saturating_sub(self.updated));
        self.updated = self.updated.max(now);
        if self.tokens < self.cap {
            self.tokens = (self.tokens + passed * self.rate).min(self.cap);
        }
    }

    /// Adds tokens, whatever the cap.
    pub fn grant(&mut self, tokens: f64) {
        self.tokens += tokens;
    }

    /// Takes a token if there is one.
    pub fn take(&mut self) -> bool {
        let there = self.tokens >= 1.0;
        if there {
            self.tokens -= 1.0;
        }
        there
    }

    /// How many there are.
    pub fn tokens(&self) -> f64 {
        self.tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SECOND;

    /// As addresses of a peer are limited (Bitcoin Core `src/net_processing.cpp`, `MAX_ADDR_RATE_PER_SECOND`).
    #[test]
    fn tokens_come_at_the_rate_up_to_the_cap() {
        let mut bucket = TokenBucket::new(1.0, 0.1, 1000.0, 0);
        assert!(bucket.take() && !bucket.take());
        bucket.refill(9 * SECOND);
        assert!(!bucket.take());
        bucket.refill(10 * SECOND);
        assert!(bucket.take() && !bucket.take());
        bucket.grant(1000.0);
        assert_eq!((0..2000).filter(|_| bucket.take()).count(), 1000);
        bucket.refill(1_000_000 * SECOND);
        assert_eq!(bucket.tokens(), 1000.0);
        bucket.grant(1000.0);
        bucket.refill(2_000_000 * SECOND);
        assert_eq!(bucket.tokens(), 2000.0, "what was granted is not taken back");
    }
}
