//! Connections, what is sent over them, and where the node finds peers.

use super::{NOW, Row, States, inventory_type, row};
use crate::log::pattern::Gaps;
use crate::*;

pub(super) static ROWS: &[Row] = &[
    // by far the most frequent come first
    row!("net", "received: feefilter of {feerate:w} BTC/kvB from peer={peer:n}", |g| {
        Some(MempoolFeeFilter { peer: g.peer()?, feerate: g.scaled("feerate", 8)?.try_into().ok()? }.into())
    }),
    row!("net", "received: {type:t} ({size:n} bytes) peer={peer:n}", |g| message(g, Direction::Inbound)),
    row!("net", "sending {type:t} ({size:n} bytes) peer={peer:n}", |g| message(g, Direction::Outbound)),
    row!("net", "got inv: {type:w} {hash:h} {known:w} peer={peer:n}", announced),
    row!("net", "received getdata for: {type:w} {hash:h} peer={peer:n}", |g| {
        let (r#type, number) = inventory_type(g.word("type"))?;
        let first = Inventory { r#type: r#type.into(), hash: g.hash("hash")?, number };
        Some(ConnAsked { peer: g.peer()?, entries: None, first: Some(first) }.into())
    }),
    row!("net", "received getdata ({entries:n} invsz) peer={peer:n}", |g| {
        Some(ConnAsked { peer: g.peer()?, entries: Some(g.number("entries")?), first: None }.into())
    }),
    // who comes
    row!("net", "connection from {address:w} accepted", |g| Some(ConnAccepted { address: g.text("address") }.into())),
    row!("net", "connection from {address:w} dropped (banned)", |g| refused(g, ConnRefusal::Banned)),
    row!("net", "connection from {address:w} dropped (discouraged)", |g| refused(g, ConnRefusal::Discouraged)),
    row!("net", "connection from {address:w} dropped: not accepting new connections", |g| refused(g, ConnRefusal::NotAccepting)),
    row!("", "connection from {address:w} dropped: {detail:t}", |g| refused(g, ConnRefusal::Other)),
    row!("net", "failed to find an eviction candidate - connection dropped (full)", |g| refused(g, ConnRefusal::Full)),
    row!(
        "net",
        32..,
        "failed to find a tx-relaying eviction candidate - connection dropped after {detail:t} message, peer={peer:n}{ip}",
        |g| { refused(g, ConnRefusal::Full) }
    ),
    row!("", "connected to self at {address:w}, disconnecting", |g| refused(g, ConnRefusal::OwnConnection)),
    row!("net", "Added connection to {address:w} peer={peer:n}", opened),
    row!("net", "Added connection peer={peer:n}", opened),
    row!("net", 29.., "selected {type:t} connection for eviction, {D}", evicted),
    row!("net", ..28, "selected {type:t} connection for eviction peer={peer:n}; disconnecting", evicted),
    row!("net", 29.., "Resetting socket for peer={peer:n}{ip}", closed),
    row!("net", ..28, "disconnecting peer={peer:n}{ip}", closed),
    row!("net", "Cleared nodestate for peer={peer:n}", |g| step(g, ConnectionStep::Cleared)),
    // handshakes
    row!(
        "net",
        31..=31,
        "New {type:w} peer connected: transport: {transport:w}, version: {version:n}, blocks={height:i} peer={peer:n}{ip}{as}",
        ready
    ),
    row!("net", 32.., "New {type:w} peer connected: transport: {transport:w}, version: {version:n}, peer={peer:n}{ip}{as}", ready),
    row!(
        "",
        26..=30,
        "New {type:w} {transport:w} peer connected: version: {version:n}, blocks={height:i}, peer={peer:n}{ip}{as}",
        ready
    ),
    row!("", ..25, "New outbound peer connected: version: {version:n}, blocks={height:i}, peer={peer:n}{ip} ({type:w})", ready),
    row!(
        "net",
        "receive version message: {agent:t}: version {version:n}, blocks={height:i}, us={us:w}, txrelay={relay:n}, peer={peer:n}{ip}{as}",
        |g| { version(g, Direction::Inbound, g.ip(), Some(g.text("agent")), Some(g.text("us"))) }
    ),
    row!(
        "net",
        31..,
        "send version message: version={version:n}, blocks={height:i}, them={them:t}, txrelay={relay:n}, peer={peer:n}",
        |g| { version(g, Direction::Outbound, g.text("them"), None, None) }
    ),
    row!("net", 31.., "send version message: version={version:n}, blocks={height:i}, txrelay={relay:n}, peer={peer:n}", |g| {
        version(g, Direction::Outbound, String::new(), None, None)
    }),
    row!(
        "net",
        ..30,
        "send version message: version {version:n}, blocks={height:i}, them={them:t}, txrelay={relay:n}, peer={peer:n}",
        |g| { version(g, Direction::Outbound, g.text("them"), None, None) }
    ),
    row!("net", ..30, "send version message: version {version:n}, blocks={height:i}, txrelay={relay:n}, peer={peer:n}", |g| {
        version(g, Direction::Outbound, String::new(), None, None)
    }),
    row!("net", "start sending v2 handshake to peer={peer:n}", |g| step(g, ConnectionStep::V2Started)),
    row!("net", "retrying with v1 transport protocol for peer={peer:n}", |g| step(g, ConnectionStep::V1Retry)),
    row!("txreconciliation", "Pre-register peer={peer:n}", |g| step(g, ConnectionStep::ReconciliationOffered)),
    row!("txreconciliation", "Register peer={peer:n} (inbound={inbound:n})", |g| step(g, ConnectionStep::ReconciliationAgreed)),
    row!("txreconciliation", "Forget txreconciliation state of peer={peer:n}", |g| step(
        g,
        ConnectionStep::ReconciliationForgotten
    )),
    row!("net", "Ignoring \"getaddr\" from {type:w} connection. peer={peer:n}", |g| step(g, ConnectionStep::GetaddrIgnored)),
    row!("net", "Ignoring repeated \"getaddr\". peer={peer:n}", |g| step(g, ConnectionStep::GetaddrRepeated)),
    // what makes no sense
    row!("net", "V2 transport error: missing garbage terminator, peer={peer:n}", |g| malformed(
        g,
        Malformation::NoGarbageTerminator
    )),
    row!("net", "V2 transport error: packet too large ({size:n} bytes), peer={peer:n}", |g| malformed(
        g,
        Malformation::PacketTooLarge
    )),
    row!("net", "V2 transport error: packet decryption failure ({size:n} bytes), peer={peer:n}", |g| malformed(
        g,
        Malformation::Decryption
    )),
    row!("net", "V2 transport error: invalid message type ({size:n} bytes contents), peer={peer:n}", |g| malformed(
        g,
        Malformation::MessageType
    )),
    row!("net", "V2 transport error: V1 peer with wrong MessageStart {detail:x}", |g| malformed(g, Malformation::Magic)),
    row!("net", "Header error: Wrong MessageStart {detail:x} received, peer={peer:n}", |g| malformed(g, Malformation::Magic)),
    row!("net", "Header error: Size too large ({type:t}, {size:n} bytes), peer={peer:n}", |g| malformed(g, Malformation::Size)),
    row!("net", "Header error: Wrong checksum ({type:t}, {size:n} bytes), {detail:t}, peer={peer:n}", |g| malformed(
        g,
        Malformation::Checksum
    )),
    row!("net", "Header error: Invalid message type ({type:t}, {size:n} bytes), peer={peer:n}", |g| malformed(
        g,
        Malformation::MessageType
    )),
    row!("net", "Header error: {detail:t}, peer={peer:n}", |g| malformed(g, Malformation::Header)),
    row!("net", "ProcessMessages({type:s}, {size:n} bytes): {detail:t} caught", |g| malformed(g, Malformation::Payload)),
    row!("net", ..30, "Unknown command \"{type:t}\" from peer={peer:n}", |g| malformed(g, Malformation::UnknownType)),
    row!("net", 31.., "Unknown message type \"{type:t}\" from peer={peer:n}", |g| malformed(g, Malformation::UnknownType)),
    row!("net", "Unknown inv type \"{detail:t}\" received from peer={peer:n}", |g| malformed(g, Malformation::Inventory)),
    row!("net", "Unsupported message \"{type:t}\" prior to verack from peer={peer:n}", |g| malformed(
        g,
        Malformation::BeforeVerack
    )),
    row!("net", "non-version message before version handshake. Message \"{type:t}\" from peer={peer:n}", |g| {
        malformed(g, Malformation::BeforeVersion)
    }),
    row!("net", "redundant version message from peer={peer:n}", |g| malformed(g, Malformation::SecondVersion)),
    row!("net", "ignoring redundant verack message from peer={peer:n}", |g| malformed(g, Malformation::SecondVerack)),
    row!("net", 32.., "unknown feature advertised: {detail:t}, peer={peer:n}", |g| malformed(g, Malformation::Protocol)),
    row!("net", "pong peer={peer:n}: {detail:t}, {size:n} bytes", |g| malformed(g, Malformation::Pong)),
    row!("net", "Received mutated block from peer={peer:n}", |g| malformed(g, Malformation::MutatedBlock)),
    row!("net", "Peer {peer:n} sent us block transactions for block we weren't expecting", |g| malformed(
        g,
        Malformation::UnrequestedBlocktxn
    )),
    row!("net", ..29, "Peer {peer:n} sent us compact block transactions multiple times", |g| malformed(
        g,
        Malformation::RepeatedBlocktxn
    )),
    row!("net", 30.., "Peer {peer:n} sent compact block transactions multiple times", |g| malformed(
        g,
        Malformation::RepeatedBlocktxn
    )),
    row!("net", 28.., "Misbehaving: peer={peer:n}: {reason:t}", misbehaving),
    row!("net", ..27, "Misbehaving: peer={peer:n} ({before:i} -> {after:i}){reason:t}", misbehaving),
    row!("net", "Misbehaving: peer={peer:n}", misbehaving),
    row!("", ..30, "Warning: not punishing noban peer {peer:n}!", |g| spared(g, Sparing::Noban)),
    row!("", ..30, "Warning: not punishing manually connected peer {peer:n}!", |g| spared(g, Sparing::Manual)),
    row!("", 31.., "Not punishing noban peer {peer:n}!", |g| spared(g, Sparing::Noban)),
    row!("", 31.., "Not punishing manually connected peer {peer:n}!", |g| spared(g, Sparing::Manual)),
    row!("net", "Protecting outbound peer={peer:n} from eviction", |g| spared(g, Sparing::Protected)),
    row!("net", "keeping outbound peer={peer:n} chosen for eviction ({detail:t})", |g| spared(g, Sparing::Extra)),
    row!("net", "keeping block-relay-only peer={peer:n} chosen for eviction ({detail:t})", |g| spared(g, Sparing::Extra)),
    row!("", 29.., "Timeout downloading headers from noban peer, not {D}", |g| spared(g, Sparing::HeadersTimeout)),
    row!("", ..28, "Timeout downloading headers from noban peer={peer:n}, not disconnecting", |g| spared(
        g,
        Sparing::HeadersTimeout
    )),
    // whom the node looks for
    row!("net", 31.., "trying {transport:w} connection ({type:w}) to {address:t}, lastseen={seen:f}hrs", |g| outbound(
        g,
        OutboundStep::Dialing
    )),
    row!("net", 26..=30, "trying {transport:w} connection {address:t} lastseen={seen:f}hrs", |g| outbound(
        g,
        OutboundStep::Dialing
    )),
    row!("net", ..25, "trying connection {address:t} lastseen={seen:f}hrs", |g| outbound(g, OutboundStep::Dialing)),
    row!("net", "Making feeler connection to {address:w}", |g| outbound(g, OutboundStep::Feeler)),
    row!("net", "Trying to make an anchor connection to {address:w}", |g| outbound(g, OutboundStep::Anchor)),
    row!("net", "Making network specific connection to {address:w} on {network:w}.", |g| outbound(
        g,
        OutboundStep::NetworkSpecific
    )),
    row!("proxy", "Using proxy: {proxy:w} to connect to {address:t}", |g| outbound(g, OutboundStep::Proxy)),
    // up to 31 with user and password: not repeated
    row!("proxy", "SOCKS5 sending proxy authentication {secret:t}"),
    row!("", "Potential stale tip detected, will try using extra outbound peer (last tip update: {age:n} seconds ago)", |g| {
        outbound(g, OutboundStep::StaleTip)
    }),
    row!("net", "enabling extra block-relay-only peers", |g| outbound(g, OutboundStep::ExtraBlockRelay)),
    row!("net", "setting try another outbound peer=true", |g| outbound(g, OutboundStep::ExtraOn)),
    row!("net", "setting try another outbound peer=false", |g| outbound(g, OutboundStep::ExtraOff)),
    // addresses
    row!(
        "net",
        "Received addr: {offered:n} addresses ({processed:n} processed, {limited:n} rate-limited) from peer={peer:n}",
        |g| {
            let (processed, rate_limited) = (Some(g.number("processed")?), Some(g.number("limited")?));
            let peer = Some(g.peer()?);
            Some(ConnAddresses { peer, offered: g.number("offered")?, processed, rate_limited, ..Default::default() }.into())
        }
    ),
    row!("addrman", "Added {added:n} addresses (of {offered:n}) from {source:t}: {tried:n} tried, {new:n} new", |g| {
        let (tried_entries, new_entries) = (Some(g.number("tried")?), Some(g.number("new")?));
        let (source, offered, added) = (g.text("source"), g.number("offered")?, Some(g.number("added")?));
        Some(ConnAddresses { source, offered, added, tried_entries, new_entries, ..Default::default() }.into())
    }),
    row!("addrman", "Added {address:w} mapped to AS{asn:n} to new[{bucket:n}][{position:n}]", |g| addrman(
        g,
        AddrmanStep::AddedToNew
    )),
    row!("addrman", "Added {address:w} to new[{bucket:n}][{position:n}]", |g| addrman(g, AddrmanStep::AddedToNew)),
    row!("addrman", "Removed {address:w} from new[{bucket:n}][{position:n}]", |g| addrman(g, AddrmanStep::RemovedFromNew)),
    row!("addrman", "Moved {address:w} mapped to AS{asn:n} to tried[{bucket:n}][{position:n}]", |g| addrman(
        g,
        AddrmanStep::MovedToTried
    )),
    row!("addrman", "Moved {address:w} to tried[{bucket:n}][{position:n}]", |g| addrman(g, AddrmanStep::MovedToTried)),
    row!(
        "addrman",
        "Moved {address:w} from tried[{fbucket:n}][{fposition:n}] to new[{bucket:n}][{position:n}] to make space",
        |g| addrman(g, AddrmanStep::MovedToNew)
    ),
    row!(
        "addrman",
        "Collision with {other:s} while attempting to move {address:w} to tried table. Collisions={collisions:n}",
        |g| { addrman(g, AddrmanStep::Collision) }
    ),
    row!("addrman", "Selected {address:w} from new", |g| addrman(g, AddrmanStep::SelectedFromNew)),
    row!("addrman", "Selected {address:w} from tried", |g| addrman(g, AddrmanStep::SelectedFromTried)),
    row!("addrman", "Replacing {other:w} with {address:w} in tried table", |g| addrman(g, AddrmanStep::Replaced)),
    row!("addrman", "Unable to test; replacing {other:w} with {address:w} in tried table anyway", |g| addrman(
        g,
        AddrmanStep::Replaced
    )),
    // the node's own addresses
    row!("net", "Advertising address {own:w} to peer={peer:n}", |g| own(g, OwnAddress::Advertised)),
    row!("", "AddLocal({own:w},{score:i})", |g| own(g, OwnAddress::Local)),
    row!("", "RemoveLocal({own:t})", |g| own(g, OwnAddress::LocalRemoved)),
    row!("", "Bound to {own:t}", |g| own(g, OwnAddress::Bound)),
    row!("", "Got tor service ID {id:w}, advertising service {own:t}", |g| own(g, OwnAddress::OnionService)),
    row!("", "portmap: Added mapping {own:t}", |g| own(g, OwnAddress::PortMapped)),
    row!("", 31.., "Persistent I2P SAM session {id:w} created, my address={own:t}", |g| own(g, OwnAddress::I2pSession)),
    row!("", 31.., "Transient I2P SAM session {id:w} created, my address={own:t}", |g| own(g, OwnAddress::I2pSession)),
    row!("i2p", ..30, "Persistent SAM session {id:w} created, my address={own:t}", |g| own(g, OwnAddress::I2pSession)),
    row!("i2p", ..30, "Transient SAM session {id:w} created, my address={own:t}", |g| own(g, OwnAddress::I2pSession)),
    // what the node's networking leans on
    row!("tor", "Successfully connected!", |g| service(g, NetworkService::Tor, true)),
    row!("", "tor: Thread interrupt"),
    row!("", "tor: {detail:t}", |g| service(g, NetworkService::Tor, false)),
    row!("tor", "Error connecting to Tor control socket{detail:t}", |g| service(g, NetworkService::Tor, false)),
    row!("tor", "Not connected to Tor control port {detail:t}", |g| service(g, NetworkService::Tor, false)),
    row!("i2p", "Error accepting{detail:t}", |g| service(g, NetworkService::I2p, false)),
    row!("i2p", "Error connecting to {detail:t}", |g| service(g, NetworkService::I2p, false)),
    row!("", "portmap: At least one mapping failed {detail:t}", |g| service(g, NetworkService::PortMapping, false)),
    row!("net", "portmap: Could not determine {detail:t}", |g| service(g, NetworkService::PortMapping, false)),
    row!("net", "Added time offset {offset:i}s, total samples {samples:n}", |g| {
        Some(
            ConnTimeOffset { offset: Some(g.signed("offset")?), samples: Some(g.number("samples")?), warning_minutes: None }.into(),
        )
    }),
    row!(
        "",
        "Your computer's date and time appear to be more than {minutes:n} minutes out of sync with the network{rest:t}",
        |g| { Some(ConnTimeOffset { offset: None, samples: None, warning_minutes: Some(g.number("minutes")?) }.into()) }
    ),
];

fn message(g: &Gaps<'_, '_>, direction: Direction) -> Option<Kind> {
    let (peer, size, message_type) = (g.peer()?, g.number("size")?, g.text("type"));
    Some(NetMessage { peer, direction: direction.into(), size, message_type, ..Default::default() }.into())
}

fn announced(g: &Gaps<'_, '_>) -> Option<Kind> {
    let (peer, hash, (r#type, number)) = (g.peer()?, g.hash("hash")?, inventory_type(g.word("type"))?);
    let known = match g.word("known") {
        "have" => true,
        "new" => false,
        _ => return None,
    };
    Some(match r#type {
        InventoryType::Block | InventoryType::FilteredBlock | InventoryType::CompactBlock | InventoryType::WitnessBlock => {
            ChainBlockAnnounced { peer, hash, r#type: r#type.into(), known }.into()
        }
        _ => MempoolAnnounced { peer, hash, r#type: r#type.into(), number, known }.into(),
    })
}

fn refused(g: &Gaps<'_, '_>, reason: ConnRefusal) -> Option<Kind> {
    let address = if g.raw("address").is_some() { g.text("address") } else { g.ip() };
    Some(ConnRefused { peer: g.peer(), address, reason: reason.into(), detail: g.text("detail") }.into())
}

fn opened(g: &Gaps<'_, '_>) -> Option<Kind> {
    Some(
        ConnOpened { peer: g.peer()?, address: g.text("address"), network: network(&g.text("address")), ..Default::default() }
            .into(),
    )
}

fn evicted(g: &Gaps<'_, '_>) -> Option<Kind> {
    let (peer, address, connection_type) = (g.peer()?, g.ip(), connection_type(g.word("type")));
    Some(ConnEvicted { peer, network: network(&address), address, connection_type, ..Default::default() }.into())
}

fn closed(g: &Gaps<'_, '_>) -> Option<Kind> {
    Some(ConnClosed { peer: g.peer()?, network: network(&g.ip()), address: g.ip(), ..Default::default() }.into())
}

fn step(g: &Gaps<'_, '_>, step: ConnectionStep) -> Option<Kind> {
    Some(ConnStep { peer: g.peer()?, address: g.ip(), step: step.into() }.into())
}

fn ready(g: &Gaps<'_, '_>) -> Option<Kind> {
    let start_height = match g.raw("height") {
        Some(_) => Some(g.signed("height")?),
        None => None,
    };
    Some(
        ConnReady {
            peer: g.peer()?,
            address: g.ip(),
            connection_type: connection_type(g.word("type")),
            transport: transport(g.word("transport")),
            version: g.number("version")?,
            start_height,
            mapped_as: g.mapped_as(),
        }
        .into(),
    )
}

fn version(
    g: &Gaps<'_, '_>,
    direction: Direction,
    address: String,
    user_agent: Option<String>,
    own_address: Option<String>,
) -> Option<Kind> {
    Some(
        ConnVersion {
            peer: g.peer()?,
            direction: direction.into(),
            address,
            version: g.number("version")?,
            start_height: g.signed("height")?,
            relay: g.number::<u64>("relay")? != 0,
            user_agent,
            own_address,
            mapped_as: g.mapped_as(),
        }
        .into(),
    )
}

fn malformed(g: &Gaps<'_, '_>, problem: Malformation) -> Option<Kind> {
    let size = match g.raw("size") {
        Some(_) => Some(g.number("size")?),
        None => None,
    };
    let (message_type, detail) = (g.text("type"), g.text("detail"));
    Some(ConnMalformed { peer: g.peer(), address: String::new(), problem: problem.into(), message_type, size, detail }.into())
}

fn misbehaving(g: &Gaps<'_, '_>) -> Option<Kind> {
    let reason = g.text("reason");
    let reason = reason.strip_prefix(": ").map_or(reason.clone(), str::to_owned);
    Some(ConnMisbehaving { peer: g.peer()?, reason, ..Default::default() }.into())
}

fn spared(g: &Gaps<'_, '_>, reason: Sparing) -> Option<Kind> {
    Some(ConnSpared { peer: g.peer()?, address: g.ip(), reason: reason.into() }.into())
}

fn outbound(g: &Gaps<'_, '_>, step: OutboundStep) -> Option<Kind> {
    let network = match g.word("network") {
        "" => Network::Unspecified,
        word => Network::from_word(word).unwrap_or(Network::Other),
    };
    Some(
        ConnOutbound {
            step: step.into(),
            address: g.text("address"),
            connection_type: connection_type(g.word("type")),
            transport: transport(g.word("transport")),
            last_seen: g.decimal("seen"),
            tip_age: g.number("age"),
            network: network.into(),
        }
        .into(),
    )
}

fn addrman(g: &Gaps<'_, '_>, step: AddrmanStep) -> Option<Kind> {
    Some(
        ConnAddrman {
            step: step.into(),
            address: g.text("address"),
            other: g.text("other"),
            bucket: g.number("bucket"),
            position: g.number("position"),
            from_bucket: g.number("fbucket"),
            from_position: g.number("fposition"),
            mapped_as: g.number("asn"),
            collisions: g.number("collisions"),
        }
        .into(),
    )
}

fn own(g: &Gaps<'_, '_>, how: OwnAddress) -> Option<Kind> {
    Some(ConnOwnAddress { how: how.into(), own_address: g.text("own"), peer: g.peer(), score: g.signed("score") }.into())
}

fn service(g: &Gaps<'_, '_>, service: NetworkService, resolved: bool) -> Option<Kind> {
    let detail = g.text("detail");
    Some(
        ConnServiceTrouble { service: service.into(), resolved, detail: detail.trim_start_matches([' ', ':', ',']).to_owned() }
            .into(),
    )
}

/// In Bitcoin Core's words (`ConnectionTypeAsString`).
pub(super) fn connection_type(words: &str) -> i32 {
    let of = match words {
        "" => ConnectionType::Unspecified,
        "inbound" => ConnectionType::Inbound,
        "outbound-full-relay" => ConnectionType::OutboundFullRelay,
        "block-relay-only" => ConnectionType::BlockRelayOnly,
        "manual" => ConnectionType::Manual,
        "feeler" => ConnectionType::Feeler,
        "addr-fetch" => ConnectionType::AddrFetch,
        "private-broadcast" => ConnectionType::PrivateBroadcast,
        _ => ConnectionType::Other,
    };
    of.into()
}

fn transport(word: &str) -> i32 {
    let transport = match word {
        "v1" => Transport::V1,
        "v2" => Transport::V2,
        "detecting" => Transport::Detecting,
        _ => Transport::Unspecified,
    };
    transport.into()
}

/// As far as the address tells; an inbound peer over Tor has the address of the node's own daemon.
fn network(address: &str) -> i32 {
    if address.is_empty() { Network::Unspecified.into() } else { crate::p2p::network_of(address).into() }
}
