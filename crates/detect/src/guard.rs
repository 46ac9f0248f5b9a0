//! Guards: what keeps detectors from known false alarms.
//!
//! A guard is applied by the engine to what a detector would alert ([`About::guards`](crate::About::guards)), or asked by the detector where
//! only it knows what to leave out. Whoever attacks may imitate one, so every suppression is counted, and a guard that suppresses much more
//! than usual is a finding itself (D59).

/// A guard of the catalogue (`docs/sources.md`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Guard {
    /// G1: the node was just started, or an extractor just came back.
    Restart,
    /// G2: initial block download.
    InitialDownload,
    /// G3: addresses that answer a `getaddr` of the node. Applied by detectors: only they count addresses.
    Getaddr,
    /// G4: a private broadcast, which looks like a spy and is none.
    PrivateBroadcast,
    /// G5: a block was connected a moment ago.
    BlockBurst,
    /// G6: all inbound Tor connections have one address. Applied by detectors: never group these by address.
    Onion,
    /// G7: events are missing. Applied by the engine to every detector: it says *unknown*.
    Blind,
    /// G8: most nodes of the fleet have it. Applied by the engine to every detector.
    Fleet,
}

impl Guard {
    /// All of them, by number.
    pub const ALL: [Self; 8] = [
        Self::Restart,
        Self::InitialDownload,
        Self::Getaddr,
        Self::PrivateBroadcast,
        Self::BlockBurst,
        Self::Onion,
        Self::Blind,
        Self::Fleet,
    ];

    /// `G1` to `G8`.
    pub const fn id(self) -> &'static str {
        ["G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8"][self as usize]
    }

    /// In words.
    pub const fn words(self) -> &'static str {
        [
            "soon after a restart",
            "initial block download",
            "answers to getaddr",
            "private broadcast",
            "just after a block",
            "inbound over Tor",
            "events are missing",
            "seen by most nodes",
        ][self as usize]
    }
}
