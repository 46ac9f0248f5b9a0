//! Why connections end: every line that says `disconnecting peer=`.

use super::{NOW, Row, States, row};
use crate::log::pattern::Gaps;
use crate::*;

/// `end!("text", Reason)`: gaps but the peer's make up the detail.
macro_rules! end {
    ($text:literal, $reason:ident) => {
        row!("net", $text, |g| closing(g, EndReason::$reason))
    };
    ($since:literal.., $text:literal, $reason:ident) => {
        row!("net", $since.., $text, |g| closing(g, EndReason::$reason))
    };
    (..$until:literal, $text:literal, $reason:ident) => {
        row!("net", ..$until, $text, |g| closing(g, EndReason::$reason))
    };
}

pub(super) static ROWS: &[Row] = &[
    // the socket
    end!(29.., "socket closed, {D}", SocketClosed),
    end!(..28, "socket closed for peer={peer:n}", SocketClosed),
    end!(29.., "socket recv error, {D}: {detail:t}", ReceiveError),
    end!(..28, "socket recv error for peer={peer:n}: {detail:t}", ReceiveError),
    end!(29.., "socket send error, {D}: {detail:t}", SendError),
    end!(..28, "socket send error for peer={peer:n}: {detail:t}", SendError),
    end!("receiving message bytes failed, {D}", BadBytes),
    // time
    end!(29.., "socket no message in first {detail:t}, {D}", NoFirstMessage),
    end!(..28, "socket no message in first {detail:t} peer={peer:n}", NoFirstMessage),
    end!(29.., "socket sending timeout: {detail:t}, {D}", SendTimeout),
    end!(..28, "socket sending timeout: {detail:t} peer={peer:n}", SendTimeout),
    end!(29.., "socket receive timeout: {detail:t}, {D}", ReceiveTimeout),
    end!(..28, "socket receive timeout: {detail:t} peer={peer:n}", ReceiveTimeout),
    end!(29.., "ping timeout: {detail:t}, {D}", PingTimeout),
    end!(..28, "ping timeout: {detail:t} peer={peer:n}", PingTimeout),
    end!(29.., "version handshake timeout, {D}", VersionTimeout),
    end!(..28, "version handshake timeout peer={peer:n}", VersionTimeout),
    end!(29.., "V2 handshake timeout, {D}", V2HandshakeTimeout),
    end!(..28, "V2 handshake timeout peer={peer:n}", V2HandshakeTimeout),
    // short-lived outbound
    end!(29.., "feeler connection completed, {D}", FeelerDone),
    end!(..28, "feeler connection completed peer={peer:n}; disconnecting", FeelerDone),
    end!(29.., "addrfetch connection completed, {D}", AddrFetchDone),
    end!(..28, "addrfetch connection completed peer={peer:n}; disconnecting", AddrFetchDone),
    end!(29.., "addrfetch connection timeout, {D}", AddrFetchTimeout),
    end!(..28, "addrfetch connection timeout peer={peer:n}", AddrFetchTimeout),
    // the operator
    end!("disconnect by address{detail:t} match, {D}", Operator),
    end!("disconnect by subnet{detail:t} match, {D}", Operator),
    end!(29.., "disconnect by id, {D}", Operator),
    end!(..28, "disconnect by id peer={peer:n}; disconnecting", Operator),
    end!(29.., "Network not active, {D}", NetworkOff),
    end!(..28, "Network not active, dropping peer={peer:n}", NetworkOff),
    end!("Stopping node, {D}", Shutdown),
    // choice of outbound peers
    end!(29.., "peer does not offer the expected services ({detail:t}), {D}", Services),
    end!(..28, "peer={peer:n} does not offer the expected services ({detail:t}); disconnecting", Services),
    end!(29.., "peer using obsolete version {detail:t}, {D}", ObsoleteVersion),
    end!(..28, "peer={peer:n} using obsolete version {detail:t}; disconnecting", ObsoleteVersion),
    end!("disconnecting extra outbound peer={peer:n} ({detail:t})", ExtraOutbound),
    end!("disconnecting extra block-relay-only peer={peer:n} ({detail:t})", ExtraOutbound),
    row!("", 29.., "Outbound peer has old chain, best known block = {detail:w}, {D}", |g| closing(g, EndReason::OldChain)),
    row!("", ..28, "Disconnecting outbound peer {peer:n} for old chain, best known block = {detail:w}", |g| closing(
        g,
        EndReason::OldChain
    )),
    row!("", 29.., "outbound peer headers chain has insufficient work, {D}", |g| closing(g, EndReason::OldChain)),
    row!("", ..28, "Disconnecting outbound peer {peer:n} -- headers chain has insufficient work", |g| closing(
        g,
        EndReason::OldChain
    )),
    // against the rules
    end!("Disconnecting and discouraging peer {peer:n}!", Misbehaving),
    end!("Warning: disconnecting but not discouraging {detail:t} peer {peer:n}!", Misbehaving),
    end!(29.., "wtxidrelay received after verack, {D}", HandshakeViolation),
    end!(..28, "wtxidrelay received after verack from peer={peer:n}; disconnecting", HandshakeViolation),
    end!(29.., "sendaddrv2 received after verack, {D}", HandshakeViolation),
    end!(..28, "sendaddrv2 received after verack from peer={peer:n}; disconnecting", HandshakeViolation),
    end!(29.., "sendtxrcncl received {detail:t}, {D}", HandshakeViolation),
    end!(..28, "sendtxrcncl received {detail:t} from peer={peer:n}; disconnecting", HandshakeViolation),
    end!(29.., "txreconciliation protocol violation{detail:t}, {D}", HandshakeViolation),
    end!(32.., "feature received after verack, {D}", HandshakeViolation),
    end!(32.., "invalid feature payload, {D}", HandshakeViolation),
    end!("transaction ({detail:w}) inv sent in violation of protocol, {D}", TransactionViolation),
    end!("transaction sent in violation of protocol, {D}", TransactionViolation),
    end!(..28, "transaction sent in violation of protocol peer={peer:n}", TransactionViolation),
    end!("filterload received despite not offering bloom services, {D}", BloomViolation),
    end!("filteradd received despite not offering bloom services, {D}", BloomViolation),
    end!("filterclear received despite not offering bloom services, {D}", BloomViolation),
    end!(..28, "filterload received despite not offering bloom services from peer={peer:n}; disconnecting", BloomViolation),
    end!(..28, "filteradd received despite not offering bloom services from peer={peer:n}; disconnecting", BloomViolation),
    end!(..28, "filterclear received despite not offering bloom services from peer={peer:n}; disconnecting", BloomViolation),
    end!("mempool request with bloom filters disabled, {D}", BloomViolation),
    end!("mempool request with bandwidth limit reached, {D}", MempoolLimit),
    end!("peer requested too many cfilters/cfheaders: {detail:t}, {D}", FilterViolation),
    end!("peer requested unsupported block filter type: {detail:t}, {D}", FilterViolation),
    end!("peer requested invalid block hash: {detail:w}, {D}", FilterViolation),
    end!("peer sent invalid getcfilters/getcfheaders with {detail:t}, {D}", FilterViolation),
    end!(..28, "peer {peer:n} requested too many cfilters/cfheaders: {detail:t}", FilterViolation),
    end!(..28, "peer {peer:n} requested unsupported block filter type: {detail:t}", FilterViolation),
    end!(..28, "peer {peer:n} requested invalid block hash: {detail:t}", FilterViolation),
    end!("getblocks locator size {detail:t}, {D}", LocatorTooLong),
    end!("getheaders locator size {detail:t}, {D}", LocatorTooLong),
    // limits
    end!("historical block serving limit reached, {D}", UploadLimit),
    end!("Ignore block request below NODE_NETWORK_LIMITED threshold, {D}", PrunedBlock),
    end!("Block was pruned before it could be read, {D}", PrunedBlock),
    // the only line that says so where a disk fails
    row!("", 29.., "Cannot load {detail:t}, {D}", |g| closing(g, EndReason::Other)),
    row!("", 29.., "Peer is stalling block download, {D}", |g| closing(g, EndReason::Stalling)),
    row!("", ..28, "Peer={peer:n} is stalling block download, disconnecting", |g| closing(g, EndReason::Stalling)),
    row!("", 29.., "Timeout downloading block {detail:w}, {D}", |g| closing(g, EndReason::BlockTimeout)),
    row!("", ..28, "Timeout downloading block {detail:w} from peer={peer:n}, disconnecting", |g| closing(
        g,
        EndReason::BlockTimeout
    )),
    row!("", 29.., "Timeout downloading headers, {D}", |g| closing(g, EndReason::HeadersTimeout)),
    row!("", ..28, "Timeout downloading headers from peer={peer:n}, disconnecting", |g| closing(g, EndReason::HeadersTimeout)),
    // own transactions, over a connection of their own
    row!("privatebroadcast", "Got a PONG ({what:t}), marking for disconnect, peer={peer:n}{ip}", |g| closing(
        g,
        EndReason::PrivateBroadcastDone
    )),
    row!("privatebroadcast", "Disconnecting: {detail:t}, peer={peer:n}{ip}", |g| closing(g, EndReason::Other)),
];

fn closing(g: &Gaps<'_, '_>, reason: EndReason) -> Option<Kind> {
    let detail = g.text("detail");
    let detail = detail.trim_start_matches(['=', ' ']).to_owned();
    Some(ConnClosing { peer: g.peer()?, address: g.ip(), reason: reason.into(), detail }.into())
}
