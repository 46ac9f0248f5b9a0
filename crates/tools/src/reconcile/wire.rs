//! What a message weighs on the wire, and under which name a node counts it.

use event::{Direction, KindId, Transport};

/// Message start, type, length, checksum (Bitcoin Core `CMessageHeader`).
const V1_HEADER: u64 = 24;
/// Length, header and tag of an encrypted packet (BIP 324).
const V2_PACKET: u64 = 3 + 1 + 16;
/// A type without a number of its own: a zero, and twelve bytes.
const V2_LONG_TYPE: u64 = 13;

/// The name under which a node counts received messages of types that it does not know.
pub(super) const OTHER: &str = "*other*";

/// A message type as a node counts it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum MessageType {
    /// One that the node has a counter for.
    Known(KindId),
    /// Any other.
    Other,
}

impl MessageType {
    /// By the name in the protocol.
    ///
    /// `alert` and `reject` are of the past, `feature` of a release to come (Bitcoin Core `ALL_NET_MESSAGE_TYPES`, 29 to 31): received,
    /// they are counted as unknown ones are.
    pub(super) fn of_name(name: &str) -> Self {
        match KindId::ALL.into_iter().find(|id| id.family() == "net" && id.short_name() == name) {
            None | Some(KindId::NetUndecodable | KindId::NetAlert | KindId::NetReject | KindId::NetFeature) => Self::Other,
            Some(id) => Self::Known(id),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Known(id) => id.short_name(),
            Self::Other => OTHER,
        }
    }

    /// Bytes on the wire besides the payload; `None` for a transport that is not known.
    pub(super) fn overhead(self, transport: Transport) -> Option<u64> {
        match transport {
            // a node that says nothing of it knows only this
            Transport::V1 | Transport::Unspecified => Some(V1_HEADER),
            Transport::V2 => Some(V2_PACKET + if self.has_short_id() { 1 } else { V2_LONG_TYPE }),
            Transport::Detecting | Transport::Other => None,
        }
    }

    /// What it weighs more where a peer sends it by its name although it has a number, which BIP 324 allows; `None` where it has none.
    pub(super) fn long_name(self) -> Option<u64> {
        self.has_short_id().then_some(V2_LONG_TYPE - 1)
    }

    /// Whether BIP 324 gives it a number.
    fn has_short_id(self) -> bool {
        use KindId as Id;
        matches!(
            self,
            Self::Known(
                Id::NetAddr
                    | Id::NetBlock
                    | Id::NetBlocktxn
                    | Id::NetCmpctblock
                    | Id::NetFeefilter
                    | Id::NetFilteradd
                    | Id::NetFilterclear
                    | Id::NetFilterload
                    | Id::NetGetblocks
                    | Id::NetGetblocktxn
                    | Id::NetGetdata
                    | Id::NetGetheaders
                    | Id::NetHeaders
                    | Id::NetInv
                    | Id::NetMempool
                    | Id::NetMerkleblock
                    | Id::NetNotfound
                    | Id::NetPing
                    | Id::NetPong
                    | Id::NetSendcmpct
                    | Id::NetTx
                    | Id::NetGetcfilters
                    | Id::NetCfilter
                    | Id::NetGetcfheaders
                    | Id::NetCfheaders
                    | Id::NetGetcfcheckpt
                    | Id::NetCfcheckpt
                    | Id::NetAddrv2
            )
        )
    }
}

/// A counter of a node: messages of a type, one way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Counter {
    pub(super) direction: Direction,
    pub(super) message_type: MessageType,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many types have numbers in BIP 324 as Bitcoin Core 31 has in `V2_MESSAGE_IDS`; the handshake's and later ones have none.
    #[test]
    fn framing_is_as_the_transport_has_it() {
        let weight = |name, transport| MessageType::of_name(name).overhead(transport);
        for name in ["ping", "tx", "addrv2", "inv"] {
            assert_eq!((weight(name, Transport::V1), weight(name, Transport::V2)), (Some(24), Some(21)), "{name}");
        }
        for name in ["version", "verack", "wtxidrelay", "sendaddrv2", "sendheaders", "getaddr", "sendtxrcncl", "unheard of"] {
            assert_eq!((weight(name, Transport::V1), weight(name, Transport::V2)), (Some(24), Some(33)), "{name}");
        }
        assert_eq!(weight("ping", Transport::Detecting), None);
        let short = KindId::ALL.into_iter().filter(|id| MessageType::Known(*id).has_short_id()).count();
        assert_eq!(short, 28);
    }

    #[test]
    fn what_a_node_does_not_know_is_counted_together() {
        for name in ["alert", "reject", "undecodable", "", "PING", "xyz"] {
            assert_eq!(MessageType::of_name(name).name(), OTHER);
        }
        assert_eq!(MessageType::of_name("cmpctblock").name(), "cmpctblock");
    }
}
