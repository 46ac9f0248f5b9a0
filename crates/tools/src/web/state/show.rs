//! The state as JSON: what `/api` answers. Ids, times (nanoseconds since the epoch) and totals have 64 bits, so they are strings, as
//! everywhere in our JSON; numbers per second and counts within a window are numbers.

use event::text::{Hash, Rfc3339, U64};
use event::{Direction, Event, Kind, KindId};
use serde_json::{Map, Value, json};

use super::health::Health;
use super::peer::{Mix, Peer};
use super::series::{LENGTH, Series};
use super::{Node, State, addresses, transactions};

/// Which part of the state somebody wants to see.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Choice {
    /// A node by name; all if absent.
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
    #[error("there is no such peer, and none of the {} that went last; `/api/peers` lists those that are connected", super::GONE)]
    Peer,
}

/// Blocks in the summary.
const BLOCKS: usize = 10;
/// Findings in the summary.
const FINDINGS: usize = 20;
/// Transactions listed.
const TRANSACTIONS: usize = 200;
/// After this many nanoseconds without an answer a request is listed; it counts as withheld after [`transactions::PATIENCE`].
const OVERDUE: u64 = 2_000_000_000;

impl State {
    /// `/api/nodes`
    pub fn nodes(&self, choice: &Choice) -> Result<Value, Unknown> {
        let nodes = self.chosen(choice)?.map(|(name, node)| {
            let says = choice.says.iter().find(|(of, _)| of == name).map(|(_, says)| says);
            let mut shown = json!({ "name": name });
            if let Some(says) = says {
                shown["says"] = json!(says);
            }
            if !choice.public {
                self.node(node, &mut shown);
            }
            shown
        });
        Ok(self.dated([("nodes", nodes.collect())]))
    }

    fn node(&self, node: &Node, shown: &mut Value) {
        let mut types: std::collections::BTreeMap<&str, u32> = std::collections::BTreeMap::new();
        for peer in node.peers.values() {
            *types.entry(peer.connection_type.word()).or_default() += 1;
        }
        shown["nodeRun"] = json!(node.node_run.map(U64));
        shown["peers"] = json!(node.peers.len());
        shown["peersByType"] = json!(types);
        shown["sources"] = self.sources(&node.health);
        shown["tip"] = tip(node);
        let latest: Map<String, Value> =
            node.latest.iter().map(|(kind, event)| (kind.name().to_owned(), json!(&**event))).collect();
        shown["latest"] = Value::Object(latest);
    }

    /// `/api/peers`
    pub fn peers(&self, choice: &Choice) -> Result<Value, Unknown> {
        let rows = self.chosen(choice)?.flat_map(|(name, node)| {
            let mut peers: Vec<&Peer> = node.peers.values().collect();
            peers.sort_unstable_by_key(|peer| peer.id);
            peers.into_iter().map(|peer| self.row(name, node, peer)).collect::<Vec<_>>()
        });
        let gone =
            self.chosen(choice)?.flat_map(|(name, node)| node.gone.iter().rev().map(|peer| gone(name, peer)).collect::<Vec<_>>());
        Ok(self.dated([("peers", rows.collect()), ("gone", gone.collect())]))
    }

    /// `/api/peer`
    pub fn peer(&self, node: &str, id: u64) -> Result<Value, Unknown> {
        let found = self.nodes.get(node).ok_or(Unknown::Node)?;
        let gone = || found.gone.iter().rev().find(|peer| peer.id == id);
        let peer = found.peers.get(&id).or_else(gone).ok_or(Unknown::Peer)?;
        let mut shown = self.row(node, found, peer);
        shown["mix"] = mix(&peer.mix);
        let timeline: Vec<&Event> = peer.timeline.iter().map(|event| &**event).collect();
        shown["timeline"] = json!(timeline);
        shown["conversation"] = peer
            .conversation
            .iter()
            .map(|message| {
                json!({
                    "time": U64(message.time), "kind": message.kind.name(), "direction": message.direction.word(),
                    "size": message.size, "count": message.count,
                })
            })
            .collect();
        shown["series"] = self.series(&[("messagesIn", &peer.messages_in), ("messagesOut", &peer.messages_out)]);
        if let Some((reason, detail)) = &peer.reason {
            shown["reason"] = json!(reason.word());
            shown["detail"] = json!(detail);
        }
        Ok(self.dated([("peer", shown)]))
    }

    /// `/api/summary`
    pub fn summary(&self, choice: &Choice) -> Result<Value, Unknown> {
        let nodes = self.chosen(choice)?.map(|(name, node)| {
            let traffic = &node.traffic;
            let series = self.series(&[
                ("messagesIn", &traffic.messages_in),
                ("messagesOut", &traffic.messages_out),
                ("bytesIn", &traffic.bytes_in),
                ("bytesOut", &traffic.bytes_out),
                ("transactionsAdded", &node.transactions.added),
                ("blocksConnected", &node.blocks.connected),
            ]);
            let blocks: Vec<Value> = node.blocks.recent(BLOCKS).map(|(hash, block)| self.block(hash, block)).collect();
            let rates = json!({
                "messagesIn": traffic.messages_in.rate(self.time), "messagesOut": traffic.messages_out.rate(self.time),
                "bytesIn": traffic.bytes_in.rate(self.time), "bytesOut": traffic.bytes_out.rate(self.time),
            });
            json!({
                "name": name, "peers": node.peers.len(), "tip": tip(node), "rates": rates, "series": series, "mix": mix(&node.mix),
                "blocks": blocks,
            })
        });
        let findings: Vec<&Event> = self.found(choice).take(FINDINGS).collect();
        Ok(self.dated([("window", json!(LENGTH)), ("nodes", nodes.collect()), ("findings", json!(findings))]))
    }

    /// `/api/transactions`
    pub fn transactions(&self, choice: &Choice) -> Result<Value, Unknown> {
        let nodes =
            self.chosen(choice)?.map(|(name, node)| {
                let relay = &node.transactions;
                let series = self.series(&[
                    ("announcedIn", &relay.announced_in),
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
                let peers: Vec<Value> = peers.into_iter().map(|(peer, of)| {
                let fee_filter = node.peers.get(peer).and_then(fee_filter);
                json!({
                    "peer": U64(*peer), "announced": U64(of.announced), "first": U64(of.first), "requested": U64(of.requested),
                    "delivered": U64(of.delivered), "withheld": U64(of.withheld), "notFound": U64(of.not_found),
                    "feeFilter": fee_filter.map(event::text::I64), "connected": node.peers.contains_key(peer),
                })
            }).collect();
                let overdue: Vec<Value> = relay
                    .overdue(self.time, OVERDUE, TRANSACTIONS)
                    .map(|(hash, peer, asked)| json!({ "hash": Hash(hash), "peer": U64(peer), "asked": U64(asked) }))
                    .collect();
                let recent: Vec<Value> = relay.recent(TRANSACTIONS).map(|(hash, known)| transaction(hash, known)).collect();
                let mempool = node.latest.get(&KindId::StateMempool).map(|event| json!(&**event));
                json!({ "name": name, "series": series, "peers": peers, "overdue": overdue, "recent": recent, "mempool": mempool })
            });
        Ok(self.dated([("window", json!(LENGTH)), ("nodes", nodes.collect())]))
    }

    /// `/api/addresses`
    pub fn addresses(&self, choice: &Choice) -> Result<Value, Unknown> {
        let nodes = self.chosen(choice)?.map(|(name, node)| {
            let gossip = &node.addresses;
            let series = self.series(&[
                ("entriesIn", &gossip.entries_in),
                ("entriesOut", &gossip.entries_out),
                ("freshIn", &gossip.fresh_in),
            ]);
            let networks: Map<String, Value> = gossip
                .networks
                .iter()
                .map(|(number, both)| {
                    let shown = json!({ "in": U64(both.entries_in), "out": U64(both.entries_out) });
                    (addresses::network(*number).to_owned(), shown)
                })
                .collect();
            let mut services: Vec<_> = gossip.services.iter().collect();
            services.sort_unstable_by_key(|(bits, count)| (std::cmp::Reverse(**count), **bits));
            let services: Vec<Value> =
                services.into_iter().map(|(bits, count)| json!({ "services": U64(*bits), "count": U64(*count) })).collect();
            let ages: Vec<Value> = addresses::AGES
                .iter()
                .zip(gossip.ages)
                .map(|(most, count)| {
                    // the last has no end
                    let up_to = (*most != u64::MAX).then_some(*most);
                    json!({ "upToSeconds": up_to, "count": U64(count) })
                })
                .collect();
            let mut peers: Vec<_> = gossip.peers.iter().collect();
            peers.sort_unstable_by_key(|(peer, of)| (std::cmp::Reverse(of.entries.entries_in), **peer));
            let peers: Vec<Value> = peers
                .into_iter()
                .map(|(peer, of)| {
                    json!({
                        "peer": U64(*peer), "in": U64(of.entries.entries_in), "out": U64(of.entries.entries_out),
                        "messagesIn": U64(of.messages_in), "messagesOut": U64(of.messages_out), "last": U64(of.last),
                        "connected": node.peers.contains_key(peer),
                    })
                })
                .collect();
            json!({
                "name": name, "series": series, "networks": networks, "services": services,
                "otherServices": U64(gossip.other_services), "ages": ages, "ahead": U64(gossip.ahead), "peers": peers,
                "addrman": node.latest.get(&KindId::StateAddrman).map(|event| json!(&**event)),
            })
        });
        Ok(self.dated([("window", json!(LENGTH)), ("nodes", nodes.collect())]))
    }

    /// `/api/blocks`
    pub fn blocks(&self, choice: &Choice) -> Result<Value, Unknown> {
        let nodes = self.chosen(choice)?.map(|(name, node)| {
            let blocks: Vec<Value> = node.blocks.recent(usize::MAX).map(|(hash, block)| self.block(hash, block)).collect();
            let tips = node.latest.get(&KindId::StateChainTips).map(|event| json!(&**event));
            json!({ "name": name, "tip": tip(node), "tips": tips, "blocks": blocks })
        });
        Ok(self.dated([("nodes", nodes.collect())]))
    }

    /// `/api/pings`
    pub fn pings(&self, choice: &Choice) -> Result<Value, Unknown> {
        let nodes =
            self.chosen(choice)?.map(|(name, node)| {
                let pings = &node.pings;
                let round_trips: Vec<Value> = pings.round_trips.iter().map(|ping| {
                json!({ "time": U64(ping.time), "roundTrip": U64(ping.round_trip), "outstanding": ping.outstanding })
            }).collect();
                let unanswered = pings.unanswered.map(|(said, waiting)| json!({ "time": U64(said), "waiting": U64(waiting) }));
                let mut peers: Vec<&Peer> = node.peers.values().collect();
                peers.sort_unstable_by_key(|peer| peer.id);
                let peers: Vec<Value> = peers
                    .into_iter()
                    .map(|peer| {
                        let info = peer.info.as_deref();
                        json!({
                            "peer": U64(peer.id), "connectionType": peer.connection_type.word(), "network": peer.network.word(),
                            "roundTrip": ping(peer).map(U64), "minimum": info.and_then(|info| info.minimum_ping).map(U64),
                            "waiting": info.and_then(|info| info.ping_wait).map(U64),
                        })
                    })
                    .collect();
                json!({ "name": name, "probe": round_trips, "unanswered": unanswered, "peers": peers })
            });
        Ok(self.dated([("nodes", nodes.collect())]))
    }

    /// `/api/findings`
    pub fn findings(&self, choice: &Choice) -> Result<Value, Unknown> {
        drop(self.chosen(choice)?);
        let findings: Vec<&Event> = self.found(choice).collect();
        Ok(self.dated([("findings", json!(findings))]))
    }

    /// `/api/health`, without what the server itself adds.
    pub fn health(&self, choice: &Choice) -> Result<Value, Unknown> {
        let nodes = self.chosen(choice)?.filter(|_| !choice.public).map(|(name, node)| {
            let mut losses: Vec<_> = node.health.losses.iter().collect();
            losses.sort_unstable_by_key(|((source, stage, probe), _)| (*source, *stage as i32, probe.clone()));
            let losses: Vec<Value> = losses.into_iter().map(|((source, stage, probe), loss)| {
                json!({
                    "source": source.word(), "stage": stage.word(), "probe": probe, "count": U64(loss.count), "last": U64(loss.last),
                })
            }).collect();
            let latest: Map<String, Value> = node.latest.iter().filter(|(kind, _)| kind.family() == "health")
                .map(|(kind, event)| (kind.name().to_owned(), json!(&**event))).collect();
            json!({
                "name": name, "sources": self.sources(&node.health), "losses": losses,
                "otherLosses": U64(node.health.other_losses), "forgottenPeers": U64(node.forgotten), "latest": latest,
            })
        });
        let account = self.primaries.account();
        Ok(self.dated([
            ("nodes", nodes.collect()),
            ("missed", json!(U64(self.missed))),
            ("strays", json!(U64(self.strays))),
            ("uncovered", json!(U64(account.uncovered))),
        ]))
    }

    fn chosen<'a>(&'a self, choice: &'a Choice) -> Result<impl Iterator<Item = (&'a str, &'a Node)>, Unknown> {
        if choice.node.as_ref().is_some_and(|name| !self.nodes.contains_key(name)) {
            return Err(Unknown::Node);
        }
        let fits = |name: &str| choice.node.as_ref().is_none_or(|node| node == name);
        Ok(self.nodes.iter().map(|(name, node)| (name.as_str(), node)).filter(move |(name, _)| fits(name)))
    }

    /// Newest first.
    fn found<'a>(&'a self, choice: &'a Choice) -> impl Iterator<Item = &'a Event> {
        let fits = |event: &&Event| choice.node.as_ref().is_none_or(|node| *node == event.node);
        self.findings.iter().rev().map(|event| &**event).filter(fits)
    }

    fn dated<const N: usize>(&self, parts: [(&str, Value); N]) -> Value {
        let mut all = Map::new();
        all.insert("time".into(), json!(U64(self.time)));
        all.insert("timeText".into(), json!(Rfc3339::from_nanos(self.time)));
        all.extend(parts.into_iter().map(|(key, value)| (key.to_owned(), value)));
        Value::Object(all)
    }

    fn series(&self, all: &[(&str, &Series)]) -> Value {
        Value::Object(all.iter().map(|(name, series)| ((*name).to_owned(), json!(series.window(self.time)))).collect())
    }

    fn sources(&self, health: &Health) -> Value {
        let mut sources: Vec<_> = health.sources.iter().collect();
        sources.sort_unstable_by_key(|(source, _)| **source);
        sources.into_iter().map(|(source, life)| {
            let attached = life.attachment.as_ref().map(|event| matches!(event.kind, Some(Kind::HealthAttached(_))));
            json!({
                "source": source.word(), "run": U64(life.run), "attached": attached, "alive": alive(life.beaten, self.time),
                "beaten": life.beaten.map(U64), "lag": U64(life.lag), "published": U64(life.published), "events": U64(life.events),
                "fired": life.fired.map(U64), "lost": life.lost.map(U64),
                "attachment": life.attachment.as_ref().map(|event| json!(&**event)),
            })
        }).collect()
    }

    /// A row of the table of peers.
    fn row(&self, name: &str, node: &Node, peer: &Peer) -> Value {
        let (messages_in, bytes_in) = peer.mix.total(Direction::Inbound);
        let (messages_out, bytes_out) = peer.mix.total(Direction::Outbound);
        let info = peer.info.as_deref();
        let version = peer.version.as_ref();
        let agent = version.map(|version| &version.user_agent).or(info.and_then(|info| info.user_agent.as_ref()));
        let opened = peer.opened.or(info.and_then(|info| info.connected).map(|seconds| seconds.saturating_mul(1_000_000_000)));
        let network = if peer.network == event::Network::Unspecified {
            info.map_or(peer.network, |info| info.network())
        } else {
            peer.network
        };
        let unspecified = peer.connection_type == event::ConnectionType::Unspecified;
        let connection_type =
            if unspecified { info.map_or(peer.connection_type, |info| info.connection_type()) } else { peer.connection_type };
        let address = if peer.address.is_empty() { info.map_or("", |info| info.address.as_str()) } else { &peer.address };
        let (rate_in, rate_out) = (peer.messages_in.rate(self.time), peer.messages_out.rate(self.time));
        json!({
            "node": name, "peer": U64(peer.id), "nodeRun": node.node_run.map(U64), "address": address, "network": network.word(),
            "connectionType": connection_type.word(), "opened": opened.map(U64), "since": U64(peer.since), "heard": U64(peer.heard),
            "closed": peer.closed.map(U64), "userAgent": agent,
            "version": version.map(|version| version.version).or(info.and_then(|info| info.version)),
            "services": version.map(|version| version.services).or(info.and_then(|info| info.services)).map(U64),
            "startHeight": version.map(|version| version.start_height), "relay": version.map(|version| version.relay),
            "transport": info.map(|info| info.transport().word()), "feeFilter": fee_filter(peer).map(event::text::I64),
            "roundTrip": ping(peer).map(U64), "misbehaved": peer.misbehaved,
            "messagesIn": U64(messages_in), "messagesOut": U64(messages_out), "bytesIn": U64(bytes_in), "bytesOut": U64(bytes_out),
            "rateIn": rate_in, "rateOut": rate_out, "info": info,
        })
    }

    fn block(&self, hash: &[u8], block: &super::blocks::Block) -> Value {
        let announcements: Vec<Value> = block
            .announcements
            .iter()
            .map(|(peer, by, time)| json!({ "peer": U64(*peer), "by": by, "time": U64(*time) }))
            .collect();
        let timing: Vec<Value> =
            block.timing.iter().map(|(part, duration)| json!({ "part": part, "duration": U64(*duration) })).collect();
        json!({
            "hash": Hash(hash), "height": block.height, "seen": U64(block.seen), "announcements": announcements,
            "announced": block.announced, "passedOn": block.passed_on,
            "compact": block.compact.map(|compact| json!({
                "time": U64(compact.time), "peer": U64(compact.peer), "size": compact.size,
                "shortIds": U64(compact.short_ids), "prefilled": U64(compact.prefilled),
            })),
            "requested": block.requested.map(|(count, time)| json!({ "count": U64(count), "time": U64(time) })),
            "completed": block.completed.map(U64),
            "received": block.received.map(|(bytes, time)| json!({ "bytes": U64(bytes), "time": U64(time) })),
            "connected": block.connected.map(U64), "duration": block.duration.map(U64), "tip": block.tip.map(U64),
            "disconnected": block.disconnected.map(U64), "transactions": block.transactions.map(U64), "inputs": block.inputs.map(U64),
            "reconstruction": block.reconstruction.map(|done| json!({
                "time": U64(done.time), "prefilled": U64(done.prefilled), "mempool": U64(done.mempool), "extra": U64(done.extra),
                "requested": U64(done.requested),
            })),
            "timing": timing,
        })
    }
}

/// Whether a source beats: each second, and three may be late.
fn alive(beaten: Option<u64>, now: u64) -> Option<bool> {
    beaten.map(|beaten| beaten + event::primary::SILENCE >= now)
}

fn tip(node: &Node) -> Value {
    match &node.blocks.tip {
        Some((hash, height, time)) => json!({ "hash": Hash(hash), "height": height, "time": U64(*time) }),
        // before the first block: what the node says of itself
        None => match node.latest.get(&KindId::StateBlockchain).and_then(|event| event.kind.as_ref()) {
            Some(Kind::StateBlockchain(chain)) => {
                json!({ "hash": chain.best_block.as_ref().map(|hash| json!(Hash(hash))), "height": chain.blocks, "time": null })
            }
            _ => Value::Null,
        },
    }
}

fn gone(node: &str, peer: &Peer) -> Value {
    json!({
        "node": node, "peer": U64(peer.id), "address": peer.address, "network": peer.network.word(),
        "connectionType": peer.connection_type.word(), "opened": peer.opened.map(U64), "closed": peer.closed.map(U64),
        "reason": peer.reason.as_ref().map(|(reason, _)| reason.word()),
    })
}

fn ping(peer: &Peer) -> Option<u64> {
    peer.round_trip.or(peer.info.as_ref().and_then(|info| info.ping))
}

fn fee_filter(peer: &Peer) -> Option<i64> {
    peer.fee_filter.or(peer.info.as_ref().and_then(|info| info.min_fee_filter))
}

fn mix(mix: &Mix) -> Value {
    let row = |(kind, direction, amount): (KindId, Direction, super::peer::Amount)| {
        json!({
            "kind": kind.name(), "direction": direction.word(), "count": U64(amount.count), "bytes": U64(amount.bytes),
            "last": U64(amount.last),
        })
    };
    mix.iter().map(row).collect()
}

fn transaction(hash: &[u8], known: &transactions::Known) -> Value {
    use transactions::Fate;
    let (fate, reason) = match &known.fate {
        None => (None, None),
        Some(Fate::Added) => (Some("added"), None),
        Some(Fate::Removed(reason)) => (Some("removed"), Some(*reason)),
        Some(Fate::Replaced) => (Some("replaced"), None),
        Some(Fate::Rejected(reason)) => (Some("rejected"), Some(reason.as_str())),
    };
    json!({
        "hash": Hash(hash), "time": U64(known.time), "first": known.first.map(U64), "announcements": known.announcements,
        "requested": known.requested.map(|(peer, time)| json!({ "peer": U64(peer), "time": U64(time) })),
        "received": known.received.map(U64), "fate": fate, "reason": reason, "vsize": known.vsize.map(U64),
        "fee": known.fee.map(event::text::I64),
    })
}
