//! The buckets of the histograms. Each is there for a reason: where a limit of Bitcoin Core lies, a bound lies too.

use super::cells::Buckets;

macro_rules! buckets {
    ($($(#[doc = $doc:literal])+ $name:ident: [$($bound:literal),+];)+) => {$(
        $(#[doc = $doc])+
        pub struct $name;

        impl Buckets for $name {
            const BOUNDS: &'static [f64] = &[$($bound),+];
        }
    )+};
}

buckets! {
    /// Addresses of a message: 1 is an announcement of oneself, up to 10 are passed on, 1,000 is the most.
    Addresses: [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 999.0, 1000.0];
    /// Entries of an inventory: 35 and 70 are what a node sends at a time before and since version 29, 370 shows a queue of 60,000,
    /// 1,000 is the most it sends and 50,000 the most it takes.
    Entries: [1.0, 2.0, 5.0, 10.0, 20.0, 35.0, 70.0, 100.0, 200.0, 370.0, 500.0, 1000.0, 10_000.0, 50_000.0];
    /// How far a claimed time is from now: 10 minutes, 3 hours (what a relayed address may be old), 30 days (then it is terrible).
    Claims: [60.0, 600.0, 3600.0, 10_800.0, 21_600.0, 86_400.0, 259_200.0, 604_800.0, 2_592_000.0];
    /// How long a connection lived: feelers live for seconds, the handshake has 60.
    Lifetimes: [1.0, 10.0, 60.0, 300.0, 1200.0, 3600.0, 21_600.0, 86_400.0, 604_800.0, 2_592_000.0];
    /// Time between two pings of a peer: Bitcoin Core sends one every 120 seconds.
    PingIntervals: [0.1, 1.0, 5.0, 10.0, 30.0, 60.0, 110.0, 125.0, 150.0, 300.0];
    /// How long something took, from 0.1 milliseconds to a minute.
    Durations: [
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0
    ];
    /// How long a call took.
    Calls: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
    /// How far one node is behind another, or a step behind the one before it.
    Delays: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0];
    /// Satoshi per virtual byte.
    Feerates: [0.1, 0.2, 0.5, 0.999, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
    /// Transactions that a compact block lacked.
    Lacking: [0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0];
    /// How long a transaction was in the mempool: a block, an hour, two weeks (then it expires).
    Stays: [1.0, 60.0, 600.0, 1200.0, 3600.0, 10_800.0, 21_600.0, 86_400.0, 259_200.0, 1_209_600.0];
}
