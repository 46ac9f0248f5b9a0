//! The state as JSON: what `/api` answers. Ids, times (nanoseconds since the epoch) and totals have 64 bits, so they are strings, as
//! everywhere in our JSON; numbers per second and counts within a window are numbers. What is not known is null.

use event::text::{Hash, I64, Rfc3339, U64};
use event::{Direction, Event, IncidentState, Kind, KindId, LossStage, Source};
use serde_json::{Map, Value, json};

use super::blocks::Block;
use super::findings::{Finding, body};
use super::health::Life;
use super::incidents::{Entry, Known as KnownIncident};
use super::peer::{Message, Peer};
use super::series::{LENGTH, Series};
use super::transactions::{Fate, Known, PATIENCE};
use super::{Node, State, addresses};
use crate::incidents::words;
use crate::logger::Values;

/// Which part of the state somebody wants to see.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Choice {
    /// A node by name; the first if absent, or all where an answer is about all.
    pub node: Option<String>,
    /// What the operators say of their nodes, by name.
    pub says: Vec<(String, String)>,
    /// For strangers: nodes by name and what is said of them, nothing else of them.
    pub public: bool,
}

/// What was asked for is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unknown {
    /// No such node.
    #[error("there is no node of that name; `/api/nodes` lists all")]
    Node,
    /// No such peer.
    #[error("there is no such peer, and none of the {} that went last; `/api/peers` lists them", super::GONE)]
    Peer,
    /// No such incident.
    #[error("nothing was heard of an incident of this number; `/api/incidents` lists those of which something was")]
    Incident,
}

/// Blocks in the summary.
const BLOCKS: usize = 10;
/// Transactions listed.
const TRANSACTIONS: usize = 300;
/// A detector that has not beaten for longer looks at nothing, nanoseconds. Beats come each second.
const SILENT: u64 = 15_000_000_000;

impl State {
    /// `/api/nodes`
    pub fn nodes(&self, choice: &Choice) -> Result<Value, Unknown> {
        let nodes = self.chosen(choice)?.map(|(name, node)| {
            let says = choice.says.iter().find(|(of, _)| of == name).map(|(_, says)| says);
            if choice.public {
                return json!({ "node": name, "says": says });
            }
            let mut types = Map::new();
            for peer in node.peers.values() {
                let count = types.entry(connection_type(peer)).or_insert_with(|| json!(0));
                *count = json!(count.as_u64().unwrap_or(0) + 1);
            }
            let mut sources: Vec<&str> = node.health.sources.keys().map(|source| source.word()).collect();
            sources.sort_unstable();
            let beaten = node.health.sources.get(&Source::Detect).and_then(|life| life.beaten);
            let detecting = beaten.is_some_and(|beat| self.time.saturating_sub(beat) < SILENT);
            let traffic = &node.traffic;
            let (height, tip, since) = tip(node);
            let latest: Map<String, Value> =
                node.latest.iter().map(|(kind, event)| (kind.name().to_owned(), body(event))).collect();
            json!({
                "node": name, "says": says, "nodeRun": node.node_run.map(U64), "sources": sources, "detecting": detecting,
                "peers": types,
                "messagesPerSecond": traffic.messages_in.rate(self.time) + traffic.messages_out.rate(self.time),
                "bytesPerSecond": traffic.bytes_in.rate(self.time) + traffic.bytes_out.rate(self.time),
                "height": height, "tip": tip, "tipSince": since, "latest": latest,
            })
        });
        Ok(self.dated(json!({ "nodes": nodes.collect::<Vec<_>>() })))
    }

    /// `/api/peers`
    pub fn peers(&self, choice: &Choice) -> Result<Value, Unknown> {
        let (name, node) = self.one(choice)?;
        let Some(node) = node else { return Ok(self.dated(json!({ "node": name, "peers": [], "gone": [] }))) };
        let mut peers: Vec<&Peer> = node.peers.values().collect();
        peers.sort_unstable_by_key(|peer| peer.id);
        let peers: Vec<Value> = peers.into_iter().map(|peer| self.row(node, peer)).collect();
        let without_info = |mut row: Value| {
            row["info"] = Value::Null;
            row
        };
        // many, and what the node said of them is history: `/api/peer` has it
        let gone: Vec<Value> = node.gone.iter().rev().map(|peer| without_info(self.row(node, peer))).collect();
        Ok(self.dated(json!({ "node": name, "nodeRun": node.node_run.map(U64), "peers": peers, "gone": gone })))
    }

    /// `/api/peer`
    pub fn peer(&self, choice: &Choice, id: u64) -> Result<Value, Unknown> {
        let (name, node) = self.one(choice)?;
        let node = node.ok_or(Unknown::Peer)?;
        let gone = || node.gone.iter().rev().find(|peer| peer.id == id);
        let peer = node.peers.get(&id).or_else(gone).ok_or(Unknown::Peer)?;
        let mut shown = self.row(node, peer);
        shown["node"] = json!(name);
        shown["nodeRun"] = json!(node.node_run.map(U64));
        shown["mix"] = peer
            .mix
            .iter()
            .map(|(kind, direction, amount)| {
                json!({
                    "kind": kind.name(), "direction": direction.word(), "count": U64(amount.count), "bytes": U64(amount.bytes),
                    "last": U64(amount.last),
                })
            })
            .collect();
        shown["timeline"] = peer.timeline.iter().filter_map(|event| note(event)).collect();
        shown["conversation"] = peer.conversation.iter().map(said).collect();
        shown["left"] = json!(U64(peer.left));
        shown["series"] = self.series(&[("messagesIn", &peer.messages_in), ("messagesOut", &peer.messages_out)]);
        Ok(self.dated(shown))
    }

    /// `/api/summary`
    pub fn summary(&self, choice: &Choice) -> Result<Value, Unknown> {
        let (name, node) = self.one(choice)?;
        let active = self.findings.iter().filter(|(_, finding)| finding.active && concerns(choice, finding)).count();
        let missed = U64(self.missed);
        let Some(node) = node else {
            return Ok(self.dated(json!({ "node": name, "events": U64(0), "missed": missed, "findings": { "active": active } })));
        };
        let traffic = &node.traffic;
        let series = self.series(&[
            ("messagesIn", &traffic.messages_in),
            ("messagesOut", &traffic.messages_out),
            ("bytesIn", &traffic.bytes_in),
            ("bytesOut", &traffic.bytes_out),
            ("peersInbound", &node.peers_inbound),
            ("peersOutbound", &node.peers_outbound),
        ]);
        let mut kinds: std::collections::BTreeMap<KindId, (u64, u64, u64)> = std::collections::BTreeMap::new();
        for (kind, direction, amount) in node.mix.iter() {
            let (inbound, outbound, bytes) = kinds.entry(kind).or_default();
            *if direction == Direction::Inbound { inbound } else { outbound } += amount.count;
            *bytes += amount.bytes;
        }
        let kinds: Vec<Value> = kinds.into_iter().map(|(kind, (inbound, outbound, bytes))| {
            json!({ "kind": kind.name(), "inbound": U64(inbound), "outbound": U64(outbound), "bytes": U64(bytes) })
        }).collect();
        let blocks: Vec<Value> = node.blocks.recent(BLOCKS).map(|(hash, known)| block(hash, known)).collect();
        let notes: Vec<Value> = node.notes.iter().rev().filter_map(|event| note(event)).collect();
        Ok(self.dated(json!({
            "node": name, "since": U64(node.since), "events": U64(node.events), "missed": missed, "series": series, "kinds": kinds,
            "blocks": blocks, "notes": notes, "findings": { "active": active },
        })))
    }

    /// `/api/transactions`
    pub fn transactions(&self, choice: &Choice) -> Result<Value, Unknown> {
        let (name, node) = self.one(choice)?;
        let Some(node) = node else { return Ok(self.dated(json!({ "node": name }))) };
        let relay = &node.transactions;
        let series = self.series(&[
            ("announced", &relay.announced_in),
            ("announcedOut", &relay.announced_out),
            ("requested", &relay.requested),
            ("received", &relay.received),
            ("sent", &relay.sent),
            ("notFound", &relay.not_found),
            ("added", &relay.added),
            ("removed", &relay.removed),
            ("replaced", &relay.replaced),
            ("rejected", &relay.rejected),
        ]);
        let mut peers: Vec<_> = relay.peers.iter().collect();
        peers.sort_unstable_by_key(|(peer, of)| (std::cmp::Reverse(of.first), **peer));
        let announcers: Vec<Value> = peers
            .into_iter()
            .map(|(id, of)| {
                let peer = node.peers.get(id);
                json!({
                    "peer": U64(*id), "connectionType": peer.map(connection_type), "connected": peer.is_some(),
                    "announced": U64(of.announced), "first": U64(of.first), "requested": U64(of.requested),
                    "delivered": U64(of.delivered), "withheld": U64(of.withheld), "notFound": U64(of.not_found),
                    "feeFilter": peer.and_then(fee_filter).map(I64),
                })
            })
            .collect();
        let transactions: Vec<Value> = relay.recent(TRANSACTIONS).map(|(hash, known)| self.transaction(hash, known)).collect();
        let mut rejections: Vec<_> = relay.rejections.iter().collect();
        rejections.sort_unstable_by_key(|(reason, count)| (std::cmp::Reverse(**count), *reason));
        let rejections: Vec<Value> =
            rejections.into_iter().map(|(reason, count)| json!({ "reason": reason, "count": U64(*count) })).collect();
        Ok(self.dated(json!({
            "node": name, "series": series, "mempool": node.latest.get(&KindId::StateMempool).map(|event| body(event)),
            "transactions": transactions, "announcers": announcers, "rejections": rejections,
            "otherRejections": U64(relay.other_rejections),
        })))
    }

    fn transaction(&self, hash: &[u8], known: &Known) -> Value {
        let withheld =
            known.received.is_none() && known.requested.is_some_and(|(_, asked)| asked.saturating_add(PATIENCE) < self.time);
        let (state, reason) = match &known.fate {
            Some(Fate::Added) => ("in_mempool", None),
            Some(Fate::Removed("block")) => ("confirmed", None),
            Some(Fate::Removed(reason)) => ("removed", Some(*reason)),
            Some(Fate::Replaced) => ("replaced", None),
            Some(Fate::Rejected(reason)) => ("rejected", Some(reason.as_str())),
            None if known.received.is_some() => ("received", None),
            None if withheld => ("withheld", None),
            None if known.requested.is_some() => ("requested", None),
            None => ("announced", None),
        };
        let unnamed = known.txid.is_none() && known.wtxid.is_none();
        json!({
            "txid": known.txid.as_ref().map(|txid| Hash(txid)),
            // announced by it, most probably (BIP 339)
            "wtxid": known.wtxid.as_ref().map(|wtxid| Hash(wtxid)).or(unnamed.then_some(Hash(hash))),
            "vsize": known.vsize.map(U64), "fee": known.fee.map(I64),
            "firstAnnounced": known.first.map(|_| U64(known.time)), "firstAnnouncer": known.first.map(U64),
            "announcers": known.announcements, "requested": known.requested.map(|(_, asked)| U64(asked)),
            "requestedFrom": known.requested.map(|(peer, _)| U64(peer)), "received": known.received.map(|(_, time)| U64(time)),
            "receivedFrom": known.received.and_then(|(peer, _)| peer).map(U64), "added": known.added.map(U64),
            "state": state, "reason": reason,
        })
    }

    /// `/api/addresses`
    pub fn addresses(&self, choice: &Choice) -> Result<Value, Unknown> {
        let (name, node) = self.one(choice)?;
        let Some(node) = node else { return Ok(self.dated(json!({ "node": name }))) };
        let gossip = &node.addresses;
        let series = self.series(&[("in", &gossip.entries_in), ("out", &gossip.entries_out), ("fresh", &gossip.fresh_in)]);
        let networks: Vec<Value> = gossip.networks.iter().map(|(number, both)| {
            json!({ "network": addresses::network(*number), "in": U64(both.entries_in), "out": U64(both.entries_out) })
        }).collect();
        let mut services: Vec<_> = gossip.services.iter().collect();
        services.sort_unstable_by_key(|(bits, count)| (std::cmp::Reverse(**count), **bits));
        let services: Vec<Value> =
            services.into_iter().map(|(bits, count)| json!({ "services": U64(*bits), "count": U64(*count) })).collect();
        let ages: Vec<Value> = addresses::AGES
            .iter()
            .zip(gossip.ages)
            .map(|(most, count)| {
                // the last has no end
                json!({ "upTo": (*most != u64::MAX).then_some(U64(*most)), "count": U64(count) })
            })
            .collect();
        let mut peers: Vec<_> = gossip.peers.iter().collect();
        peers.sort_unstable_by_key(|(peer, of)| (std::cmp::Reverse(of.entries.entries_in), **peer));
        let peers: Vec<Value> = peers.into_iter().map(|(id, of)| {
            let peer = node.peers.get(id);
            json!({
                "peer": U64(*id), "connectionType": peer.map(connection_type), "network": peer.map(network),
                "connected": peer.is_some(), "addressesIn": U64(of.entries.entries_in), "addressesOut": U64(of.entries.entries_out),
                "messagesIn": U64(of.messages_in), "messagesOut": U64(of.messages_out), "getaddrIn": U64(of.getaddr_in),
                "getaddrOut": U64(of.getaddr_out), "last": U64(of.last),
            })
        }).collect();
        let latest: Vec<Value> = gossip.latest.iter().rev().map(|message| {
            json!({
                "time": U64(message.time), "peer": U64(message.peer), "direction": message.direction.word(), "count": message.count,
                "addresses": message.addresses,
            })
        }).collect();
        let visits: Vec<Value> = gossip.visits.rows().iter().map(crate::connect::shares::Row::json).collect();
        Ok(self.dated(json!({
            "node": name, "series": series, "peers": peers, "networks": networks, "services": services, "visits": visits,
            "otherServices": U64(gossip.other_services), "ages": ages, "ahead": U64(gossip.ahead),
            "addrman": node.latest.get(&KindId::StateAddrman).map(|event| body(event)), "latest": latest,
        })))
    }

    /// `/api/blocks`
    pub fn blocks(&self, choice: &Choice) -> Result<Value, Unknown> {
        let (name, node) = self.one(choice)?;
        let Some(node) = node else { return Ok(self.dated(json!({ "node": name, "blocks": [] }))) };
        let blocks: Vec<Value> = node.blocks.recent(usize::MAX).map(|(hash, known)| block(hash, known)).collect();
        let tips = node.latest.get(&KindId::StateChainTips).map(|event| body(event));
        Ok(self.dated(json!({ "node": name, "blocks": blocks, "tips": tips })))
    }

    /// `/api/pings`
    pub fn pings(&self, choice: &Choice) -> Result<Value, Unknown> {
        let (name, node) = self.one(choice)?;
        let Some(node) = node else { return Ok(self.dated(json!({ "node": name, "probe": [], "peers": [] }))) };
        let probe: Vec<Value> = node
            .pings
            .round_trips
            .iter()
            .map(|ping| json!({ "time": U64(ping.time), "nanos": U64(ping.round_trip), "outstanding": ping.outstanding }))
            .collect();
        let mut peers: Vec<&Peer> = node.peers.values().collect();
        peers.sort_unstable_by_key(|peer| peer.id);
        let peers: Vec<Value> = peers.into_iter().map(|peer| {
            let (info, pings) = (peer.info.as_deref(), &peer.pings);
            let mut sorted: Vec<u64> = pings.round_trips.iter().copied().collect();
            sorted.sort_unstable();
            json!({
                "peer": U64(peer.id), "connectionType": connection_type(peer), "sent": U64(pings.sent),
                "answered": U64(pings.answered), "received": U64(pings.received), "waitingSince": pings.waiting_since().map(U64),
                "last": ping(peer).map(U64), "median": sorted.get(sorted.len() / 2).copied().map(U64),
                "min": info.and_then(|info| info.minimum_ping).or(sorted.first().copied()).map(U64),
                "max": sorted.last().copied().map(U64),
            })
        }).collect();
        let unanswered = node.pings.unanswered.map(|(_, waiting)| U64(waiting));
        Ok(self.dated(json!({ "node": name, "probe": probe, "unanswered": unanswered, "peers": peers })))
    }

    /// `/api/findings`
    pub fn findings(&self, choice: &Choice) -> Result<Value, Unknown> {
        drop(self.chosen(choice)?);
        let findings = self.findings.iter().filter(|(_, finding)| concerns(choice, finding));
        let findings: Vec<Value> = findings.map(|(id, finding)| found(id, finding)).collect();
        Ok(self.dated(json!({ "findings": findings })))
    }

    /// `/api/incidents`, without what the server itself adds.
    pub fn incidents(&self, choice: &Choice) -> Result<Value, Unknown> {
        let incidents: Vec<Value> = self.incidents_at(choice)?.map(incident_row).collect();
        let receivers: Vec<Value> = self.incidents.receivers().map(|event| body(event)).collect();
        Ok(self.dated(json!({ "incidents": incidents, "receivers": receivers })))
    }

    /// `/incidents.atom`: incidents for a feed.
    pub fn feed(&self, choice: &Choice) -> Result<Vec<event::Incident>, Unknown> {
        Ok(self.incidents_at(choice)?.map(|known| known.incident.clone()).collect())
    }

    fn incidents_at(&self, choice: &Choice) -> Result<impl Iterator<Item = &KnownIncident>, Unknown> {
        drop(self.chosen(choice)?);
        let node = choice.node.clone();
        // what is at no node is about all of them
        let fits = move |known: &&KnownIncident| {
            let places = &known.incident.places;
            places.is_empty() || node.as_ref().is_none_or(|node| places.iter().any(|place| place.node == *node))
        };
        Ok(self.incidents.iter().filter(fits))
    }

    /// `/api/incidents/{number}`, without what the server itself adds.
    pub fn incident(&self, number: u64, book: Option<&str>) -> Result<Value, Unknown> {
        let known = self.incidents.find(number, book).ok_or(Unknown::Incident)?;
        let mut shown = incident_row(known);
        let paragraphs = words::paragraphs(&known.incident);
        shown["paragraphs"] = paragraphs.iter().map(|(heading, text)| json!({ "heading": heading, "text": text })).collect();
        shown["timeline"] = known.timeline.iter().map(entry).collect();
        shown["left"] = json!(U64(known.left));
        shown["whole"] = json!(known.whole);
        shown["evidence"] = json!(known.evidence);
        shown["incident"] = json!(known.incident);
        Ok(self.dated(shown))
    }

    /// `/api/health`, without what the server itself adds.
    pub fn health(&self, choice: &Choice) -> Result<Value, Unknown> {
        let (mut sources, mut lost) = (vec![], vec![]);
        let (mut fired, mut kernel, mut published, mut publish, mut heard) = (0, 0, 0, 0, 0);
        // of a node strangers are told nothing
        for (name, node) in self.chosen(choice)?.filter(|_| !choice.public) {
            let mut lives: Vec<_> = node.health.sources.iter().collect();
            lives.sort_unstable_by_key(|(source, _)| **source);
            for (source, life) in lives {
                let reconciled = node.latest.get(&KindId::HealthReconciled).filter(|event| event.source() == *source);
                sources.push(source_row(name, source.word(), life, reconciled.map(|event| body(event))));
                fired += life.fired.unwrap_or(0);
                kernel += life.lost.unwrap_or(0);
                published += life.published;
            }
            heard += node.events;
            publish += node.health.lost.get(&LossStage::Publish).copied().unwrap_or(0);
            for event in node.health.losses.iter().rev() {
                if let Some(Kind::HealthLost(loss)) = &event.kind {
                    lost.push(json!({
                        "time": U64(event.time), "node": name, "source": event.source().word(), "stage": loss.stage().word(),
                        "probe": loss.probe, "count": U64(loss.count),
                    }));
                }
            }
        }
        let hop = |name: &str, seen: u64, lost: u64, note: &str| json!({ "name": name, "seen": U64(seen), "lost": U64(lost), "note": note });
        let hops = [
            hop("kernel to reader", fired.saturating_sub(kernel), kernel, "the ring between the probes and their reader"),
            hop("reader to bus", published, publish, "the queue of a publisher; without NATS it cannot lose anything"),
            hop("bus to this program", heard, self.missed, "the queue of this program's subscription, and the way from a server"),
        ];
        let account = self.primaries.account();
        Ok(self.dated(json!({
            "sources": sources, "lost": lost, "hops": hops, "missed": U64(self.missed), "strays": U64(self.strays),
            "uncovered": U64(account.uncovered),
        })))
    }

    fn chosen<'a>(&'a self, choice: &'a Choice) -> Result<impl Iterator<Item = (&'a str, &'a Node)>, Unknown> {
        // one that comes later is no mistake of who asks
        if choice.node.as_ref().is_some_and(|name| !self.nodes.contains_key(name) && !self.later.contains(name)) {
            return Err(Unknown::Node);
        }
        let fits = |name: &str| choice.node.as_ref().is_none_or(|node| node == name);
        Ok(self.nodes.iter().map(|(name, node)| (name.as_str(), node)).filter(move |(name, _)| fits(name)))
    }

    /// The node that is asked for, or the first; none before any was heard of.
    fn one<'a>(&'a self, choice: &'a Choice) -> Result<(&'a str, Option<&'a Node>), Unknown> {
        Ok(self.chosen(choice)?.next().map_or(("", None), |(name, node)| (name, Some(node))))
    }

    fn dated(&self, mut answer: Value) -> Value {
        answer["now"] = json!(U64(self.time));
        answer["nowText"] = json!(Rfc3339::from_nanos(self.time));
        answer
    }

    /// The last ten minutes of several, oldest second first, but for the second that is not over: half of it looks like half as much.
    fn series(&self, all: &[(&str, &Series)]) -> Value {
        let second = 1_000_000_000;
        let last = self.time.saturating_sub(second);
        let start = (last / second).saturating_sub(LENGTH - 1).saturating_mul(second);
        let columns: Map<String, Value> =
            all.iter().map(|(name, series)| ((*name).to_owned(), json!(series.window(last)))).collect();
        json!({ "start": U64(start), "step": U64(second), "columns": columns })
    }

    /// A row of the table of peers.
    fn row(&self, node: &Node, peer: &Peer) -> Value {
        let amount = |(messages, bytes)| json!({ "messages": U64(messages), "bytes": U64(bytes) });
        let (info, version) = (peer.info.as_deref(), peer.version.as_ref());
        let agent = version.map(|version| &version.user_agent).or(info.and_then(|info| info.user_agent.as_ref()));
        let seconds = |seconds: u64| seconds.saturating_mul(1_000_000_000);
        let opened = peer.opened.or(info.and_then(|info| info.connected).map(seconds));
        let address = if peer.address.is_empty() { info.map_or("", |info| info.address.as_str()) } else { &peer.address };
        let end = match &peer.reason {
            Some((reason, detail)) if detail.is_empty() => Some(reason.word().to_owned()),
            Some((reason, detail)) => Some(format!("{}: {detail}", reason.word())),
            None => None,
        };
        let relay = node.transactions.peers.get(&peer.id);
        json!({
            "id": U64(peer.id), "address": address, "connectionType": connection_type(peer), "network": network(peer),
            "opened": opened.map(U64), "since": U64(peer.since), "closed": peer.closed.map(U64), "end": end, "userAgent": agent,
            "version": version.map(|version| version.version).or(info.and_then(|info| info.version)),
            "services": version.map(|version| version.services).or(info.and_then(|info| info.services)).map(U64),
            "startHeight": version.map(|version| version.start_height), "relay": version.map(|version| version.relay),
            "transport": info.map(|info| info.transport().word()), "evicted": peer.evicted, "misbehaved": peer.misbehaved,
            "received": amount(peer.mix.total(Direction::Inbound)), "sent": amount(peer.mix.total(Direction::Outbound)),
            "messagesPerSecond": peer.messages_in.rate(self.time) + peer.messages_out.rate(self.time),
            "lastMessage": peer.conversation.back().map(|message| U64(message.time)), "ping": ping(peer).map(U64),
            "minPing": info.and_then(|info| info.minimum_ping).or(peer.pings.round_trips.iter().min().copied()).map(U64),
            "feeFilter": fee_filter(peer).map(I64), "withheld": relay.map(|relay| U64(relay.withheld)), "info": info,
        })
    }
}

fn source_row(node: &str, source: &str, life: &Life, reconciled: Option<Value>) -> Value {
    let (mut attached, mut missing, mut detached) = (None, None, None);
    match life.attachment.as_ref().and_then(|event| event.kind.as_ref()) {
        Some(Kind::HealthAttached(attachment)) => (attached, missing) = (Some(&attachment.attached), Some(&attachment.missing)),
        Some(Kind::HealthDetached(detachment)) => detached = Some(&detachment.reason),
        _ => {}
    }
    json!({
        "node": node, "source": source, "run": U64(life.run), "beat": life.beaten.map(U64), "lagNanos": U64(life.lag),
        "published": U64(life.published), "heard": U64(life.events), "lost": life.lost.map(U64), "attached": attached,
        "missing": missing, "detached": detached, "reconciled": reconciled,
    })
}

/// Height, hash and time of the node's best block.
fn tip(node: &Node) -> (Option<i64>, Option<Value>, Option<Value>) {
    if let Some((hash, height, time)) = &node.blocks.tip {
        return (Some(i64::from(*height)), Some(json!(Hash(hash))), Some(json!(U64(*time))));
    }
    // before the first block: what the node says of itself
    match node.latest.get(&KindId::StateBlockchain).and_then(|event| event.kind.as_ref()) {
        Some(Kind::StateBlockchain(chain)) => {
            (chain.blocks.map(i64::from), chain.best_block.as_ref().map(|hash| json!(Hash(hash))), None)
        }
        _ => (None, None, None),
    }
}

fn connection_type(peer: &Peer) -> &'static str {
    let info = || peer.info.as_ref().map_or(peer.connection_type, |info| info.connection_type());
    if peer.connection_type == event::ConnectionType::Unspecified { info().word() } else { peer.connection_type.word() }
}

fn network(peer: &Peer) -> &'static str {
    let info = || peer.info.as_ref().map_or(peer.network, |info| info.network());
    if peer.network == event::Network::Unspecified { info().word() } else { peer.network.word() }
}

fn ping(peer: &Peer) -> Option<u64> {
    peer.pings.round_trips.back().copied().or(peer.info.as_ref().and_then(|info| info.ping))
}

fn fee_filter(peer: &Peer) -> Option<i64> {
    peer.fee_filter.or(peer.info.as_ref().and_then(|info| info.min_fee_filter))
}

/// Whether a finding is about the node that is asked for: what is about the fleet is about each of its nodes.
fn concerns(choice: &Choice, finding: &Finding) -> bool {
    finding.fleet || choice.node.as_ref().is_none_or(|node| *node == finding.event.node)
}

/// An event in words.
fn note(event: &Event) -> Option<Value> {
    let kind = event.kind.as_ref()?;
    let text = match kind {
        Kind::FindingOpened(opened) => opened.finding.as_ref().map_or_else(String::new, |finding| finding.summary.clone()),
        _ => Values(kind).to_string(),
    };
    Some(json!({ "time": U64(event.time), "kind": kind.id().name(), "peer": kind.peer().map(U64), "text": text }))
}

/// A message of a conversation.
fn said(message: &Message) -> Value {
    let hash = message.hash.map(|hash| Hash(&hash).to_string());
    let entries = message.count.filter(|_| message.count != Some(1) || hash.is_none());
    let entries = entries.map(|count| if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") });
    let text = [entries, hash.clone()].into_iter().flatten().collect::<Vec<_>>().join(", ");
    json!({
        "time": U64(message.time), "sequence": U64(message.sequence), "kind": message.kind.name(),
        "direction": message.direction.word(), "size": message.size, "count": message.count, "hash": hash, "text": text,
    })
}

fn block(hash: &[u8], block: &Block) -> Value {
    let first = block.announcements.first();
    let announcements: Vec<Value> =
        block.announcements.iter().map(|(peer, by, time)| json!({ "peer": U64(*peer), "how": by, "time": U64(*time) })).collect();
    let timing: Vec<Value> = block.timing.iter().map(|(part, nanos)| json!({ "part": part, "nanos": U64(*nanos) })).collect();
    // the first that made it whole: all of it, or what a compact block lacked, or a compact block that lacked nothing
    let (received, from, how) = match (block.received, block.completed, block.compact) {
        (Some((_, time)), _, _) => (Some(time), block.received_from, Some("block")),
        (None, Some((peer, time)), _) => (Some(time), Some(peer), Some("blocktxn")),
        (None, None, Some(compact)) if block.requested.is_none() => (Some(compact.time), Some(compact.peer), Some("cmpctblock")),
        _ => (None, None, None),
    };
    json!({
        "hash": Hash(hash), "height": block.height, "headerTime": block.header_time, "firstSeen": U64(block.seen),
        "firstPeer": first.map(|(peer, _, _)| U64(*peer)), "firstHow": first.map(|(_, by, _)| by), "announcers": block.announced,
        "announcements": announcements, "received": received.map(U64), "receivedFrom": from.map(U64), "receivedHow": how,
        "connected": block.connected.map(U64), "connectNanos": block.duration.map(U64), "tip": block.tip.map(U64),
        "transactions": block.transactions.map(U64), "inputs": block.inputs.map(U64), "sigopCost": block.sigop_cost.map(U64),
        "size": block.received.map(|(size, _)| U64(size)),
        "compact": block.compact.map(|compact| json!({
            "from": U64(compact.peer), "time": U64(compact.time), "size": compact.size, "prefilled": U64(compact.prefilled),
            "shortIds": U64(compact.short_ids), "requested": U64(block.requested.map_or(0, |(count, _)| count)),
            "received": block.completed.map(|(_, time)| U64(time)),
        })),
        "sentTo": block.passed_on, "disconnected": block.disconnected.map(U64),
        "reconstruction": block.reconstruction.map(|done| json!({
            "time": U64(done.time), "prefilled": U64(done.prefilled), "mempool": U64(done.mempool), "extra": U64(done.extra),
            "requested": U64(done.requested),
        })),
        "timing": timing,
    })
}

/// An incident in a line.
fn incident_row(known: &KnownIncident) -> Value {
    let incident = &known.incident;
    let nodes: Vec<&str> = incident.places.iter().map(|place| place.node.as_str()).collect();
    json!({
        "number": U64(incident.number), "book": incident.book, "revision": U64(incident.revision), "state": incident.state().word(),
        "severity": incident.severity().word(), "title": words::title(incident), "family": incident.family,
        "opened": U64(incident.opened), "changed": U64(incident.changed),
        "resolved": incident.resolved.filter(|_| incident.state() == IncidentState::Resolved).map(U64),
        "owner": (!incident.owner.is_empty()).then_some(&incident.owner), "reopened": incident.reopened, "nodes": nodes,
        "findings": U64(incident.findings), "lasting": U64(incident.lasting), "unknown": incident.unknown,
    })
}

/// What happened to an incident.
fn entry(entry: &Entry) -> Value {
    let Entry { time, what, severity, by, text, cut } = entry;
    json!({ "time": U64(*time), "what": what, "severity": severity.word(), "by": by, "text": text, "cut": cut })
}

/// A finding as a page reads it, and the event as it is.
fn found(id: &str, finding: &Finding) -> Value {
    let own = body(&finding.event);
    let own = if own["finding"].is_object() { &own["finding"] } else { &own };
    let inputs: Option<Vec<Value>> = own["inputs"].as_array().map(|inputs| {
        let input = |input: &Value| {
            let mut value = input["value"].to_string();
            if let Some(unit) = input["unit"].as_str().filter(|unit| !unit.is_empty()) {
                value.push(' ');
                value.push_str(unit);
            }
            if input["threshold"].is_number() {
                value.push_str(&format!(" (threshold {})", input["threshold"]));
            }
            json!({ "name": input["name"], "value": value })
        };
        inputs.iter().map(input).collect()
    });
    let evidence: Option<Vec<Value>> = own["evidence"].as_array().map(|evidence| {
        let reference = |reference: &Value| {
            let [source, from, to] =
                ["source", "fromSequence", "toSequence"].map(|key| reference[key].as_str().unwrap_or_default());
            json!({ "time": reference["time"], "text": format!("{source}, events {from} to {to}") })
        };
        evidence.iter().map(reference).collect()
    });
    json!({
        "id": id, "time": U64(finding.since), "kind": finding.event.id().map(KindId::name), "node": finding.event.node,
        "fleet": finding.fleet, "detector": own["detector"], "title": own["name"], "severity": own["severity"],
        "active": finding.active, "cleared": (!finding.active).then_some(U64(finding.event.time)),
        "peers": own["entity"]["peer"].as_str().map(|peer| [peer]),
        "text": own["summary"], "inputs": inputs, "evidence": evidence,
        "notProven": own["doesNotProve"].as_str().filter(|text| !text.is_empty()).map(|text| [text]), "event": &*finding.event,
    })
}
