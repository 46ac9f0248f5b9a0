//! Labels: types whose values are a few words.
//!
//! A label that a peer could choose the words of would let it make as many series as it likes; so a label is never text. Enumerations of
//! the schema are labels here; what has to be read out of text first is in [`super::vocabulary`].

use event::{
    AddrmanStep, BlockAnnouncement, BlockPart, ChainTipStatus, ConnRefusal, ConnectionType, Direction, EndReason, FeeMode,
    FetchOutcome, HeadersIgnored, HeadersSyncStep, IncidentState, InventoryType, KindId, LogFileProblem, LogGapReason, LossStage,
    Malformation, Network, OrphanStep, OutboundStep, RefusalReason, RemovalReason, RpcRefusal, Severity, Source, SyncStep,
    Transport, UndecodableReason, VisitResult,
};

/// A label's name and words.
#[derive(Clone, Copy, Debug)]
pub struct Dimension {
    /// `direction`
    pub name: &'static str,
    /// `inbound`, `outbound`, …
    pub words: Words,
}

/// Where the words of a label come from.
#[derive(Clone, Copy, Debug)]
pub enum Words {
    /// Known to this release.
    Fixed(&'static [&'static str]),
    /// Names of the operator's lists of addresses.
    Lists,
    /// Numbers of the autonomous systems with most peers, and `other` for the rest.
    Systems,
    /// What the node says it is: one word at a time.
    About(Fact),
}

/// Something that a node says of itself once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fact {
    /// `31.0.0`
    Version,
    /// `main`
    Chain,
    /// `x86_64`
    Architecture,
}

/// Autonomous systems that are shown by number.
pub const SYSTEMS: usize = 20;

/// Lists of addresses that there may be.
pub const LISTS: usize = 16;

impl Words {
    /// How many there can be.
    pub const fn count(self) -> usize {
        match self {
            Self::Fixed(words) => words.len(),
            Self::Lists => LISTS,
            Self::Systems => SYSTEMS + 1,
            Self::About(_) => 1,
        }
    }
}

/// One label.
pub trait Label: Copy {
    /// Name and words.
    const DIMENSION: Dimension;

    /// The place of its word.
    fn index(self) -> usize;
}

/// The labels of a metric.
pub trait Labels: Copy {
    /// Names and words, the slowest first.
    const DIMENSIONS: &'static [Dimension];
    /// How many combinations there are.
    const SERIES: usize;

    /// The place of this combination.
    fn index(self) -> usize;
}

impl Labels for () {
    const DIMENSIONS: &'static [Dimension] = &[];
    const SERIES: usize = 1;

    fn index(self) -> usize {
        0
    }
}

impl<A: Label> Labels for (A,) {
    const DIMENSIONS: &'static [Dimension] = &[A::DIMENSION];
    const SERIES: usize = A::DIMENSION.words.count();

    #[inline]
    fn index(self) -> usize {
        self.0.index()
    }
}

impl<A: Label, B: Label> Labels for (A, B) {
    const DIMENSIONS: &'static [Dimension] = &[A::DIMENSION, B::DIMENSION];
    const SERIES: usize = <(A,)>::SERIES * <(B,)>::SERIES;

    #[inline]
    fn index(self) -> usize {
        self.0.index() * <(B,)>::SERIES + self.1.index()
    }
}

impl<A: Label, B: Label, C: Label> Labels for (A, B, C) {
    const DIMENSIONS: &'static [Dimension] = &[A::DIMENSION, B::DIMENSION, C::DIMENSION];
    const SERIES: usize = <(A, B)>::SERIES * <(C,)>::SERIES;

    #[inline]
    fn index(self) -> usize {
        (self.0, self.1).index() * <(C,)>::SERIES + self.2.index()
    }
}

/// Makes labels of enumerations of the schema. Their values stand in the order of their numbers; a number far off, as that of `other`
/// often is, comes last.
macro_rules! of_schema {
    ($($type:ident as $name:literal: $($value:ident)+;)+) => {$(
        impl Label for $type {
            const DIMENSION: Dimension = Dimension { name: $name, words: Words::Fixed(&[$($type::$value.word()),+]) };

            #[inline]
            fn index(self) -> usize {
                // no value of the schema may be missing in the list
                match self {
                    $(Self::$value)|+ => {}
                }
                (self as usize).min(Self::DIMENSION.words.count() - 1)
            }
        }

        const _: () = {
            let values = [$($type::$value as usize),+];
            let mut at = 0;
            while at + 1 < values.len() {
                assert!(values[at] == at, "values of a label stand in the order of their numbers, without a gap before the last");
                at += 1;
            }
            assert!(values[at] >= at);
        };
    )+};
}

of_schema! {
    Direction as "direction": Unspecified Inbound Outbound;
    ConnectionType as "connection_type":
        Unspecified Inbound OutboundFullRelay BlockRelayOnly Manual Feeler AddrFetch PrivateBroadcast Other;
    Network as "network": Unspecified NotPubliclyRoutable Ipv4 Ipv6 Onion I2p Cjdns Internal Torv2 Other;
    Source as "source": Unspecified Ebpf Rpc Log P2p Ipc Proc Join Detect Connect Tool Capture;
    InventoryType as "type": Other Tx Block FilteredBlock CompactBlock Wtx WitnessTx WitnessBlock;
    UndecodableReason as "reason": Unspecified UnknownType TooShort TrailingBytes Malformed NotCanonical Cut Unreadable;
    RemovalReason as "reason": Other Expiry Sizelimit Reorg Block Conflict Replaced;
    ConnRefusal as "reason": Other Banned Discouraged NotAccepting Full OwnConnection;
    EndReason as "reason":
        Unspecified SocketClosed ReceiveError SendError BadBytes NoFirstMessage SendTimeout ReceiveTimeout PingTimeout VersionTimeout
        V2HandshakeTimeout FeelerDone AddrFetchDone AddrFetchTimeout Evicted Operator NetworkOff OwnConnection Services
        ObsoleteVersion ExtraOutbound OldChain Misbehaving HandshakeViolation TransactionViolation BloomViolation FilterViolation
        LocatorTooLong UploadLimit PrunedBlock Stalling BlockTimeout HeadersTimeout RetriedWithV1 Shutdown MempoolLimit
        PrivateBroadcastDone Other;
    Transport as "transport": Unspecified Detecting V1 V2 Other;
    ChainTipStatus as "status": Other Active ValidFork ValidHeaders HeadersOnly Invalid Unknown;
    FeeMode as "mode": Unspecified Economical Conservative Other;
    FetchOutcome as "outcome":
        Unspecified Ok Unreachable Unauthorized Forbidden UnknownMethod WarmingUp Busy Timeout Refused Malformed TooLarge;
    BlockAnnouncement as "by": Unspecified Inv Headers Cmpctblock;
    VisitResult as "result": Unspecified Reachable Refused TimedOut Unreachable Stalled HungUp WrongNetwork NotBitcoin Endless Own
        ProxyFailed NotDialled;
    RefusalReason as "reason": Unspecified Address Stranger Busy TooSlow Broken TooLarge OtherNetwork HungUp;
    LossStage as "stage": Unspecified Kernel Publish Subscription Transport;
    BlockPart as "part":
        Unspecified Load SanityChecks ForkChecks ConnectTransactions VerifyInputs WriteUndoData IndexWriting ConnectTotal Flush
        WriteChainstate Postprocess Total Disconnect;
    Malformation as "problem":
        Other NoGarbageTerminator PacketTooLarge Decryption MessageType Magic Size Checksum Header Payload UnknownType BeforeVerack
        BeforeVersion SecondVersion Pong MutatedBlock UnrequestedBlocktxn RepeatedBlocktxn Inventory Protocol SecondVerack;
    OrphanStep as "step":
        Unspecified Stored AnnouncerAdded Removed ErasedForPeer ErasedForBlock Expired Overflow TooLarge;
    HeadersIgnored as "reason": Unspecified LowWork LowWorkCompactBlock NotConnecting;
    HeadersSyncStep as "step": Unspecified Started Redownloading Complete Aborted;
    SyncStep as "step": Unspecified StallStarted StallTimeoutRaised StallTimeoutLowered Presync Headers Done;
    RpcRefusal as "reason": Unspecified Password Method QueueFull;
    LogGapReason as "reason": Unspecified RateLimitBegan RateLimitEnded EarlyLines LineCut;
    IncidentState as "state": Unspecified Open Acknowledged Resolved;
    Severity as "severity": Unspecified Info Warn Critical;
    LogFileProblem as "problem": Unspecified Shrunk Replaced Foreign Damaged Unreadable Gone Unfinished ClockBack Mixed;
    OutboundStep as "step":
        Unspecified Dialing Feeler Anchor NetworkSpecific Proxy StaleTip ExtraOn ExtraOff ExtraBlockRelay;
    AddrmanStep as "step":
        Unspecified AddedToNew RemovedFromNew MovedToTried MovedToNew Collision SelectedFromNew SelectedFromTried Replaced;
}

impl Label for KindId {
    const DIMENSION: Dimension = Dimension { name: "kind", words: Words::Fixed(&KIND_NAMES) };

    #[inline]
    fn index(self) -> usize {
        KindId::index(self)
    }
}

const KIND_NAMES: [&str; KindId::ALL.len()] = {
    let mut names = [""; KindId::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = KindId::ALL[at].name();
        at += 1;
    }
    names
};

/// A message type: one that this release knows, or `other`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message(usize);

/// Message types stand first among the kinds, and `net.undecodable` right after them.
const MESSAGE_TYPES: usize = KindId::NetUndecodable.index();

const MESSAGE_WORDS: [&str; MESSAGE_TYPES + 1] = {
    let mut words = ["other"; MESSAGE_TYPES + 1];
    let mut at = 0;
    while at < MESSAGE_TYPES {
        let (family, word) = KindId::ALL[at].name().split_at("net.".len());
        assert!(matches!(family.as_bytes(), b"net."), "message types come first in the schema");
        words[at] = word;
        at += 1;
    }
    words
};

impl Message {
    /// Any type that this release does not know.
    pub const OTHER: Self = Self(MESSAGE_TYPES);

    /// The type of a message that was decoded.
    #[inline]
    pub fn of(id: KindId) -> Self {
        Self(id.index().min(MESSAGE_TYPES))
    }

    /// The type of this name, as a peer sent it.
    pub fn of_name(name: &str) -> Self {
        MESSAGE_WORDS[..MESSAGE_TYPES].iter().position(|word| *word == name).map_or(Self::OTHER, Self)
    }
}

impl Label for Message {
    const DIMENSION: Dimension = Dimension { name: "message", words: Words::Fixed(&MESSAGE_WORDS) };

    #[inline]
    fn index(self) -> usize {
        self.0
    }
}

/// One of the operator's lists of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct List(pub usize);

impl Label for List {
    const DIMENSION: Dimension = Dimension { name: "list", words: Words::Lists };

    fn index(self) -> usize {
        self.0.min(LISTS - 1)
    }
}

/// A place among the autonomous systems with most peers; the last is all others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct System(pub usize);

impl Label for System {
    const DIMENSION: Dimension = Dimension { name: "asn", words: Words::Systems };

    fn index(self) -> usize {
        self.0.min(SYSTEMS)
    }
}

macro_rules! about {
    ($($(#[doc = $doc:literal])+ $type:ident as $name:literal;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $type;

        impl Label for $type {
            const DIMENSION: Dimension = Dimension { name: $name, words: Words::About(Fact::$type) };

            fn index(self) -> usize {
                0
            }
        }
    )+};
}

about! {
    /// The node's version.
    Version as "version";
    /// The node's chain.
    Chain as "chain";
    /// The node's processor.
    Architecture as "architecture";
}

/// Makes labels with words of their own.
macro_rules! labels {
    ($($(#[doc = $doc:literal])+ $type:ident as $name:literal { $($(#[doc = $value_doc:literal])* $value:ident = $word:literal,)+ })+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $type {
            $(
                #[doc = concat!("`", $word, "`")]
                $(#[doc = $value_doc])*
                $value,
            )+
        }

        impl $type {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$value),+];
        }

        impl $crate::metrics::label::Label for $type {
            const DIMENSION: $crate::metrics::label::Dimension =
                $crate::metrics::label::Dimension { name: $name, words: $crate::metrics::label::Words::Fixed(&[$($word),+]) };

            #[inline]
            fn index(self) -> usize {
                self as usize
            }
        }
    )+};
}
pub(super) use labels;
