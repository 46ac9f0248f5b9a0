//! Lists of who is who: what people wrote down of ranges, addresses and agents, with evidence and date.
//!
//! A list names; it does not decide. Behaviour comes first: detectors use a list to say who it may be that behaves so.
//!
//! # The file
//!
//! ```toml
//! name = "linkinglion"            # of the list: letters, digits, `-`, `_`
//! version = "2026-03-01"          # stated with every match
//! about = "ranges that behave like LinkingLion"
//!
//! [[entity]]
//! name = "LinkingLion"
//! kind = "spy"                    # spy, crawler, research, tor_exit, own, other
//! source = "who says so, and where: a link"
//! date = "2023-03-28"             # of the evidence
//! addresses = ["162.218.65.0/24", "104.234.118.2"]
//! agents = ["/bitnodes.io:*"]     # exact, or up to a final `*`
//! ```
//!
//! `addresses` are addresses or prefixes of IPv4, IPv6 and CJDNS, and names of Tor and I2P. An entity needs at least one address or agent, and its
//! source and date. The other form is plain text, as many publish it: an address or prefix per line, `#` begins a comment. Its list has
//! the name of the file, one entity of that name, and as version what `# version:` says, or the beginning of its hash.
//!
//! # Errors
//!
//! A file is taken whole or not at all: half a list would say *not listed* of those in the other half. The error has every line that is wrong,
//! up to twenty; where the TOML itself is (a quote that is missing, an unknown key), the first. The lists that were read before stay as they are, also the previous version of that file ([`Lists::insert`] replaces it only
//! when the new one is right).
//!
//! # Matching
//!
//! Within a list the longest prefix wins, and an address wins against an agent. Several lists may match; each says its name and version.

mod file;
mod text;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;

use super::Host;

/// The largest file that is read, bytes.
pub const LARGEST: usize = 64 << 20;

/// Addresses, prefixes and agents of one list.
const MOST: usize = 1_000_000;

/// Agents of one list that end in `*`: they are tried one after the other.
const BEGINNINGS: usize = 256;

/// Lists that are used at once.
const LISTS: usize = 64;

/// Characters of a name, a source, an agent.
const TEXT: usize = 512;

/// What kind of stranger it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Category {
    /// Believed to collect who sends what.
    Spy,
    /// Counts or finds nodes, and says so.
    Crawler,
    /// Measures, for science.
    Research,
    /// Where Tor leaves its network.
    TorExit,
    /// The operator's own probes.
    Own,
    /// None of these.
    Other,
}

impl Category {
    /// As files name it.
    fn read(text: &str) -> Result<Self, String> {
        Ok(match text {
            "spy" => Self::Spy,
            "crawler" => Self::Crawler,
            "research" => Self::Research,
            "tor_exit" => Self::TorExit,
            "own" => Self::Own,
            "other" => Self::Other,
            _ => {
                return Err(format!(
                    "`{}` is no kind: it is `spy`, `crawler`, `research`, `tor_exit`, `own` or `other`",
                    shown(text)
                ));
            }
        })
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spy => "spy",
            Self::Crawler => "crawler",
            Self::Research => "research",
            Self::TorExit => "tor-exit",
            Self::Own => "own",
            Self::Other => "other",
        })
    }
}

/// Somebody on a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// `LinkingLion`
    pub name: String,
    /// What kind of stranger.
    pub category: Category,
    /// Who says so, and where.
    pub source: String,
    /// When the evidence is from, `2023-03-28`.
    pub date: String,
}

/// A list.
#[derive(Clone, Debug)]
pub struct List {
    /// `linkinglion`
    pub name: String,
    /// As its author states it.
    pub version: String,
    entities: Vec<Listed>,
    v4: PrefixMap<Ipv4Net, u32>,
    v6: PrefixMap<Ipv6Net, u32>,
    names: HashMap<Host, u32>,
    agents: HashMap<String, u32>,
    /// Beginnings, the longest first.
    agent_beginnings: Vec<(String, u32)>,
    entries: usize,
}

/// Somebody who is on a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Match<'a> {
    /// Name of the list.
    pub list: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Who it is.
    pub entity: &'a Listed,
    /// By what: the prefix, the name, or the agent of the list.
    pub by: String,
    /// Whether by the agent, which everybody chooses for himself.
    pub by_agent: bool,
}

/// A file that is no list.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{file} is not used as a list: {}", sentence(.faults))]
pub struct ListError {
    /// Which file.
    pub file: String,
    /// Lines, from 1, and what is wrong with each; line 0 is the file as a whole.
    pub faults: Vec<(usize, String)>,
}

/// Faults that are named; more are counted.
const FAULTS: usize = 20;

fn sentence(faults: &[(usize, String)]) -> String {
    let one = |(line, what): &(usize, String)| if *line == 0 { what.clone() } else { format!("line {line}: {what}") };
    let named: Vec<String> = faults.iter().take(FAULTS).map(one).collect();
    let more = faults.len().saturating_sub(FAULTS);
    if more > 0 { format!("{}; and {more} more", named.join("; ")) } else { named.join("; ") }
}

impl List {
    /// Reads a file's content; its name decides the form: `.toml`, or plain text.
    ///
    /// # Errors
    ///
    /// Something of it is wrong: it is refused as a whole.
    pub fn read(file: &str, bytes: &[u8]) -> Result<Self, ListError> {
        let refused = |faults: Vec<(usize, String)>| ListError { file: file.to_owned(), faults };
        if bytes.len() > LARGEST {
            return Err(refused(vec![(0, format!("it has {} bytes, more than {LARGEST}", bytes.len()))]));
        }
        let text = str::from_utf8(bytes).map_err(|error| {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            refused(vec![(line, "not UTF-8".to_owned())])
        })?;
        let is_toml = file.rsplit_once('.').is_some_and(|(_, ending)| ending.eq_ignore_ascii_case("toml"));
        if is_toml { file::read(text) } else { text::read(file, text) }.map_err(refused)
    }

    fn new(name: String, version: String) -> Self {
        Self {
            name,
            version,
            entities: Vec::new(),
            v4: PrefixMap::new(),
            v6: PrefixMap::new(),
            names: HashMap::new(),
            agents: HashMap::new(),
            agent_beginnings: Vec::new(),
            entries: 0,
        }
    }

    /// Addresses, prefixes and agents.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Who is on it.
    pub fn entities(&self) -> &[Listed] {
        &self.entities
    }

    fn count(&mut self) -> Result<(), String> {
        self.entries += 1;
        if self.entries > MOST { Err(format!("more than {MOST} entries")) } else { Ok(()) }
    }

    /// One more address or prefix of an entity. What two entities claim is an error.
    fn add_address(&mut self, text: &str, entity: u32) -> Result<(), String> {
        self.count()?;
        let before = match net(text) {
            Some(Ok(IpNet::V4(net))) => self.v4.insert(net, entity),
            Some(Ok(IpNet::V6(net))) => self.v6.insert(net, entity),
            Some(Err(hint)) => return Err(hint),
            None => match Host::of(text, event::Network::Unspecified) {
                Some(host) if host.ip().is_none() => self.names.insert(host, entity),
                _ => return Err(format!("`{}` is no address or prefix", shown(text))),
            },
        };
        one_owner(text, before, entity)
    }

    fn add_agent(&mut self, text: &str, entity: u32) -> Result<(), String> {
        self.count()?;
        if text.chars().count() > TEXT {
            return Err(format!("an agent of more than {TEXT} characters"));
        }
        match text.strip_suffix('*') {
            None if text.is_empty() => return Err("an empty agent is everybody who says nothing".to_owned()),
            Some("") => return Err("`*` alone is everybody".to_owned()),
            Some(_) if self.agent_beginnings.len() == BEGINNINGS => {
                return Err(format!("more than {BEGINNINGS} agents that end in `*`"));
            }
            Some(beginning) => {
                let known = self.agent_beginnings.iter().find(|(other, _)| other == beginning).map(|(_, owner)| *owner);
                if let Some(owner) = known {
                    return one_owner(text, Some(owner), entity);
                }
                let place = self.agent_beginnings.partition_point(|(other, _)| other.len() >= beginning.len());
                self.agent_beginnings.insert(place, (beginning.to_owned(), entity));
            }
            None => return one_owner(text, self.agents.insert(text.to_owned(), entity), entity),
        }
        Ok(())
    }

    /// Who a peer is, by this list.
    pub fn find(&self, host: Option<&Host>, agent: Option<&str>) -> Option<Match<'_>> {
        let address = host.and_then(|host| self.by_address(host));
        let by_agent = address.is_none();
        let (entity, by) = address.or_else(|| agent.and_then(|agent| self.by_agent(agent)))?;
        let entity = self.entities.get(entity as usize)?;
        Some(Match { list: &self.name, version: &self.version, entity, by, by_agent })
    }

    fn by_address(&self, host: &Host) -> Option<(u32, String)> {
        match host {
            Host::V4(ip) => self.v4.get_lpm(&(*ip).into()).map(|(net, entity)| (*entity, net.to_string())),
            // fc00::/8 is nobody's on the Internet, so it is said of CJDNS, there as ranges, too
            Host::V6(ip) | Host::Cjdns(ip) => self.v6.get_lpm(&(*ip).into()).map(|(net, entity)| (*entity, net.to_string())),
            named => self.names.get(named).map(|entity| (*entity, named.to_string())),
        }
    }

    fn by_agent(&self, agent: &str) -> Option<(u32, String)> {
        if let Some(entity) = self.agents.get(agent) {
            return Some((*entity, agent.to_owned()));
        }
        let (beginning, entity) = self.agent_beginnings.iter().find(|(beginning, _)| agent.starts_with(beginning))?;
        Some((*entity, format!("{beginning}*")))
    }
}

/// The lists that are in use.
#[derive(Clone, Debug, Default)]
pub struct Lists(Vec<List>);

impl Lists {
    /// Uses a list from now on, in place of the one of the same name.
    ///
    /// # Errors
    ///
    /// There are as many as can be used at once.
    pub fn insert(&mut self, list: List) -> Result<(), String> {
        if let Some(other) = self.0.iter_mut().find(|other| other.name == list.name) {
            *other = list;
        } else if self.0.len() == LISTS {
            return Err(format!("`{}` is not used: there are {LISTS} lists already", list.name));
        } else {
            self.0.push(list);
        }
        Ok(())
    }

    /// Does not use a list any more.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|list| list.name != name);
    }

    /// The lists.
    pub fn iter(&self) -> impl Iterator<Item = &List> {
        self.0.iter()
    }

    /// Who a peer is, by every list that knows.
    pub fn find<'a>(&'a self, host: Option<&'a Host>, agent: Option<&'a str>) -> impl Iterator<Item = Match<'a>> {
        self.0.iter().filter_map(move |list| list.find(host, agent))
    }
}

/// An address as a range of one, or a prefix. `None` for what is neither; an error for a prefix whose address goes on behind it.
fn net(text: &str) -> Option<Result<IpNet, String>> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(Ok(ip.to_canonical().into()));
    }
    let net: IpNet = text.parse().ok()?;
    if net != net.trunc() {
        // one slip of a digit, and somebody else is accused
        return Some(Err(format!("`{}` has bits behind its prefix; did you mean `{}`?", shown(text), net.trunc())));
    }
    let net = canonical(net);
    if net.prefix_len() == 0 {
        return Some(Err(format!("`{}` is everybody", shown(text))));
    }
    Some(Ok(net))
}

/// A range of what IPv6 writes as `::ffff:a.b.c.d` is one of IPv4, as a single such address is.
fn canonical(net: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    let IpNet::V6(v6) = net else { return net };
    let v4 = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(MAPPED));
    v4.and_then(|(ip, length)| Ipv4Net::new(ip, length).ok()).map_or(net, IpNet::V4)
}

/// What two entities claim would name the wrong one.
fn one_owner(text: &str, before: Option<u32>, entity: u32) -> Result<(), String> {
    match before {
        Some(other) if other != entity => Err(format!("`{}` belongs to two entities", shown(text))),
        _ => Ok(()),
    }
}

/// Text of a file, in an error.
fn shown(text: &str) -> String {
    shown_up_to(80, text)
}

/// Likewise, so many characters of it.
fn shown_up_to(most: usize, text: &str) -> String {
    let cut: String = text.chars().take(most).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("{}{more}", event::text::Printable(&cut))
}

/// A name that may be part of a file name, a label, a sentence.
fn check_name(name: &str) -> Result<(), String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > 64 || !name.chars().all(fine) {
        return Err(format!("`{}` is no name of a list: use 1 to 64 letters, digits, `-` and `_`", shown(name)));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
