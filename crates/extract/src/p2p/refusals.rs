//! Refused connections, counted until they are told.

use std::net::SocketAddr;

use event::{ProbeRefused, RefusalReason};

/// Why a connection is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The kind of reason.
    pub reason: RefusalReason,
    /// In words.
    pub detail: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(reason: RefusalReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// What was refused since it was last told: one event for each reason, however many strangers come.
#[derive(Debug, Default)]
pub struct Refusals(Vec<ProbeRefused>);

impl Refusals {
    /// Counts one.
    pub fn count(&mut self, peer: SocketAddr, refusal: Refusal) {
        let reason = i32::from(refusal.reason);
        let at = self.0.iter().position(|event| event.reason == reason).unwrap_or_else(|| {
            self.0.push(ProbeRefused { reason, ..Default::default() });
            self.0.len() - 1
        });
        let event = &mut self.0[at];
        event.count += 1;
        event.address = peer.to_string();
        event.detail = refusal.detail;
    }

    /// What is to be told now.
    pub fn take(&mut self) -> Vec<ProbeRefused> {
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_once() {
        let peer = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let mut refusals = Refusals::default();
        refusals.count(peer(1), Refusal::new(RefusalReason::Broken, "noise"));
        refusals.count(peer(2), Refusal::new(RefusalReason::Busy, "the node is connected"));
        refusals.count(peer(3), Refusal::new(RefusalReason::Broken, "more noise"));
        let told: Vec<_> = refusals.take().into_iter().map(|e| (e.reason(), e.count, e.address, e.detail)).collect();
        let expect = [
            (RefusalReason::Broken, 2, "127.0.0.1:3".to_owned(), "more noise".to_owned()),
            (RefusalReason::Busy, 1, "127.0.0.1:2".to_owned(), "the node is connected".to_owned()),
        ];
        assert_eq!(told, expect);
        assert!(refusals.take().is_empty());
    }
}
