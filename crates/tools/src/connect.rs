//! Are the advertised addresses real? Pays short visits to a sample of what peers advertise, and states what was there (`probe.address`).
//!
//! It is the one part of the program that dials strangers, and strangers choose whom: everything here is built so that they gain nothing by it
//! (`docs/connect.md`). What may be dialled is in [`rules`], how much in [`budget`], whose turn it is in [`queue`], who was dialled already in
//! [`tried`], where the watched nodes are in [`own`]; [`survey`] is all of that together and does no network IO. What is said on a visit is in
//! [`visit`], how to get there in [`dial`].

pub mod budget;
pub mod dial;
pub mod own;
pub mod queue;
pub mod rehearsal;
pub mod rules;
pub mod sam;
pub mod shares;
pub mod survey;
pub mod target;
pub mod tried;
pub mod visit;

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::bail;
use bus::{Bus, Delivery, Publisher, Subscription};
use detect::FLEET;
use detect::entity::lists::List;
use event::p2p::network::Magic;
use event::{Filter, KindId, Network, NodeName, Source, VisitRoute};
use ipnet::IpNet;
use tokio::task::{self, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::intake::Intake;
use budget::Budget;
use dial::{Dialler, Outcome, Router};
use own::{Own, source_towards};
use rules::Rules;
use survey::{Account, Errand, ROOM, Survey};
use tried::{Tried, TriedError};

/// Whom to dial, how often, and how to get out.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// How to reach who runs this, told to everybody who is dialled: the address of a page, or of a mailbox
    ///
    /// Somebody who sees the visits should be able to find out what they are and to ask not to be visited. Nobody is dialled without it.
    #[arg(long, value_name = "URL", value_parser = contact)]
    pub connect_contact: Option<String>,

    /// Remember in this file who was dialled, so that nobody is dialled twice in 24 hours
    ///
    /// Needed, because the promise should survive a restart. About 2 MiB at one dial a second; a file that another process uses is refused.
    #[arg(long, value_name = "FILE")]
    pub connect_state: Option<PathBuf>,

    /// Dials per second
    #[arg(long, default_value_t = 1.0, value_name = "NUMBER", value_parser = rate)]
    pub connect_rate: f64,

    /// Visits at once; in a /24 of IPv4 or a /48 of IPv6 there is never more than one
    #[arg(long, default_value_t = 8, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub connect_parallel: u32,

    /// How long connecting may take, and again the handshake; through a proxy connecting may take six times as long
    #[arg(long, default_value = "10s", value_parser = event::interval::parse, value_name = "TIME")]
    pub connect_timeout: Duration,

    /// Never dial who is on this list
    ///
    /// An address or prefix per line, or TOML (`docs/entities.md`). Read again within a minute when it changes.
    #[arg(long, value_name = "FILE")]
    pub connect_exclude: Vec<PathBuf>,

    /// Dial IPv4 and IPv6 through this SOCKS5 proxy, so that nobody sees the observer's own address
    #[arg(long, value_name = "ADDRESS")]
    pub connect_proxy: Option<SocketAddr>,

    /// Dial Tor through this SOCKS5 proxy, as `127.0.0.1:9050`
    #[arg(long, value_name = "ADDRESS")]
    pub connect_tor: Option<SocketAddr>,

    /// Dial I2P through the router with this SAM port, as `127.0.0.1:7656`
    #[arg(long, value_name = "ADDRESS")]
    pub connect_i2p: Option<SocketAddr>,

    /// Dial CJDNS: this machine is on it
    #[arg(long)]
    pub connect_cjdns: bool,

    /// The network of the watched nodes: `main`, `test`, `testnet4`, `signet`, `regtest`, or the message start of a custom signet as 8 hex
    /// digits
    #[arg(long, default_value = "main", value_name = "NETWORK")]
    pub connect_network: Magic,

    /// Addresses of the watched nodes, besides those that they state
    #[arg(long, value_delimiter = ',', value_name = "IP")]
    pub connect_own: Vec<IpAddr>,

    /// Dial although it is done from a watched node's own address, or from where that is not known
    ///
    /// Whoever is dialled then learns that somebody watches at this address. Also for nodes that do not state their addresses, where you know
    /// that they are elsewhere.
    #[arg(long)]
    pub connect_from_node: bool,

    /// Dial in these ranges although they are not on the Internet: for tests, on regtest or a custom signet only
    #[arg(long, value_delimiter = ',', value_name = "RANGE", value_parser = rules::range)]
    pub connect_test_ranges: Vec<IpNet>,
}

/// What stands in parentheses in a user agent (BIP 14).
fn contact(text: &str) -> Result<String, String> {
    let fine = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'(' | b')');
    if (4..=160).contains(&text.len()) && text.bytes().all(fine) && text.contains(['.', '@']) {
        return Ok(text.to_owned());
    }
    Err("a contact is the address of a page or a mailbox, of up to 160 characters, without spaces and parentheses".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| (0.000_1..=100_000.0).contains(rate));
    rate.ok_or_else(|| "a rate is a number of dials per second, above 0".to_owned())
}

/// Why nobody is dialled.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// Nobody says who it is.
    #[error("nobody is dialled without a contact")]
    NoContact,
    /// A restart would dial everybody again.
    #[error("nobody is dialled without a file to remember who was")]
    NoState,
    /// Test ranges on a network of strangers.
    #[error("ranges for tests are not dialled on the network `{0}`")]
    NoTest(Magic),
    /// The file of who was dialled cannot be used.
    #[error(transparent)]
    Tried(#[from] TriedError),
    /// A list cannot be used.
    #[error("the list {} is not used", path.display())]
    List {
        /// Which.
        path: PathBuf,
        /// Why.
        source: anyhow::Error,
    },
    /// The system has none to give.
    #[error("no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
}

impl PrepareError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoContact => {
                "give `--connect-contact` the address of a page that says what this is: everybody who is dialled can read it"
            }
            Self::NoState => "give `--connect-state` a file that this user may write, and that stays",
            Self::NoTest(_) => "leave `--connect-test-ranges` out, or say `--connect-network regtest`",
            Self::Tried(TriedError::Busy(_)) => "end the other process, or give this one another file and other nodes",
            Self::Tried(_) => "name another file with `--connect-state`, in a directory that this user may write",
            Self::List { .. } => "correct the file, or leave it out; docs/entities.md says what a list looks like",
            Self::Randomness(_) => "try again",
        }
    }
}

/// Files of this process that are not visits: the rest of the program.
const OTHER_FILES: u64 = 128;

impl Config {
    /// Whether it was asked for by flag.
    pub fn is_asked(&self) -> bool {
        self.connect_contact.is_some() || self.connect_state.is_some()
    }

    /// Whether anybody is dialled from the observer's own address: no proxy leads into CJDNS.
    fn direct(&self) -> bool {
        self.connect_proxy.is_none() || self.connect_cjdns
    }

    /// Whether a node on the same machine stands in the way: everybody would see its address.
    pub fn is_from(&self, node_is_here: bool) -> bool {
        node_is_here && self.direct() && !self.connect_from_node
    }

    fn networks(&self) -> std::collections::HashSet<Network> {
        let optional = [
            (self.connect_tor.is_some(), Network::Onion),
            (self.connect_i2p.is_some(), Network::I2p),
            (self.connect_cjdns, Network::Cjdns),
        ];
        let optional = optional.into_iter().filter(|(configured, _)| *configured).map(|(_, network)| network);
        [Network::Ipv4, Network::Ipv6].into_iter().chain(optional).collect()
    }

    fn rules(&self) -> Result<Rules, PrepareError> {
        let excluded = self.connect_exclude.iter().map(|path| {
            let read = || -> anyhow::Result<List> { Ok(List::read(&path.to_string_lossy(), &std::fs::read(path)?)?) };
            read().map_err(|source| PrepareError::List { path: path.clone(), source })
        });
        let excluded = excluded.collect::<Result<_, _>>()?;
        Ok(Rules { networks: self.networks(), test_ranges: self.connect_test_ranges.clone(), excluded })
    }

    /// Everything that is needed before the first dial.
    ///
    /// # Errors
    ///
    /// Why nobody is dialled.
    pub fn prepare(self) -> Result<Prepared, PrepareError> {
        let contact = self.connect_contact.as_deref().ok_or(PrepareError::NoContact)?;
        let path = self.connect_state.as_deref().ok_or(PrepareError::NoState)?;
        let named = event::p2p::network::KNOWN.iter().any(|(name, magic)| *magic == self.connect_network && *name != "regtest");
        if !self.connect_test_ranges.is_empty() && named {
            return Err(PrepareError::NoTest(self.connect_network));
        }
        let mut key = [0; 16];
        getrandom::fill(&mut key)?;
        let tried = Tried::open(path, key, now() / 1_000_000_000)?;
        // each visit is an open file; one through I2P may be two
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
        let fitting = files.saturating_sub(OTHER_FILES).max(2) / 2;
        let parallel = u64::from(self.connect_parallel).min(fitting);
        if parallel < u64::from(self.connect_parallel) {
            tracing::warn!(files, parallel, "fewer visits at once than asked for: each needs files; `ulimit -n` has the limit");
        }
        let parallel = usize::try_from(parallel).unwrap_or(usize::MAX);
        let own = Own::new(&self.connect_own, self.connect_from_node);
        let budget = Budget::new(self.connect_rate, parallel);
        let survey = Survey::new(self.rules()?, own, tried, budget, ROOM, getrandom::u64()?);
        let dialler = Dialler {
            network: self.connect_network,
            user_agent: format!(concat!("/peer-observer:", env!("CARGO_PKG_VERSION"), "({})/"), contact),
            patience: self.connect_timeout,
            proxy: self.connect_proxy,
            tor: self.connect_tor,
            i2p: self.connect_i2p.map(Router::new),
        };
        Ok(Prepared { config: self, survey, dialler })
    }
}

/// Everything that is needed to dial.
pub struct Prepared {
    config: Config,
    survey: Survey,
    dialler: Dialler,
}

impl Prepared {
    /// What has to be delivered for it: gossip, where the nodes are, and who says hello to them.
    pub fn filter(nodes: impl IntoIterator<Item = NodeName>) -> Filter {
        let kinds = [
            KindId::NetAddr,
            KindId::NetAddrv2,
            KindId::NetVersion,
            KindId::StateNetwork,
            KindId::StatePeers,
            // for the end, which a beat of our own marks
            KindId::HealthBeat,
        ];
        Filter { nodes: nodes.into_iter().collect(), ..Filter::kinds(kinds) }
    }

    /// What everybody who is dialled learns, and how to prevent it: for whoever switches this on.
    pub fn reveals(&self) -> String {
        let Config { connect_rate, connect_parallel, connect_proxy, .. } = &self.config;
        let from = match connect_proxy {
            Some(proxy) if self.config.connect_cjdns => {
                format!(
                    "IPv4 and IPv6 go through the proxy {proxy}, and whoever is dialled over CJDNS sees this machine's address there"
                )
            }
            Some(proxy) => format!("IPv4 and IPv6 go through the proxy {proxy}: its address is seen, not this machine's"),
            None => "every one of them sees this machine's address, and that somebody here dials what Bitcoin peers advertise; \
                     `--connect-proxy` sends it another way"
                .to_owned(),
        };
        format!(
            "dials strangers: up to {connect_rate} a second, {connect_parallel} at once, each once in 24 hours, as `{}`; {from}",
            self.dialler.user_agent
        )
    }
}

/// What to do when it turns out that we are where a watched node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AtANode {
    /// Nothing else is done here.
    End,
    /// Others depend on this process: it goes on without dialling from there.
    Stay,
}

/// How long visits that are under way are waited for at the end.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often what happened is told to the operator.
const REPORT: u64 = 3600;
/// How often lists are read again.
const REFRESH: u64 = 60;

/// Watches a bus, pays visits and publishes what they came to, until `stop` and to the end of what was published by then; returns earlier
/// when the subscription ends. `node` is one of those that are watched, if one is known.
///
/// # Errors
///
/// With [`AtANode::End`]: it would dial from a watched node's own address.
pub async fn run(
    prepared: Prepared,
    events: Subscription,
    bus: Bus,
    node: Option<NodeName>,
    at_a_node: AtANode,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    const BATCH: usize = 1024;
    tracing::warn!("{}", prepared.reveals());
    let Prepared { config, survey, dialler } = prepared;
    let name = node.unwrap_or_else(|| FLEET.parse().expect("it is made of letters and an underscore"));
    let mark = bus.publisher(name.clone(), Source::Connect);
    let out = Out { bus, nodes: BTreeMap::from([(name.to_string(), mark.clone())]) };
    let mut intake = Intake::new(events, mark, stop);
    let mut desk = Desk {
        config,
        survey,
        dialler,
        out,
        visits: JoinSet::new(),
        errands: HashMap::new(),
        seconds: 0,
        troubled: false,
        told: Account::default(),
    };
    let mut batch = Vec::with_capacity(BATCH);
    let mut beat = interval(Duration::from_secs(1));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let more = {
            // waited for in one piece: at the end it is the one that knows for how long
            let mut next = pin!(intake.next_batch(&mut batch, BATCH));
            loop {
                let pause = desk.survey.wait();
                tokio::select! {
                    biased;
                    _ = beat.tick() => desk.second(),
                    Some(visit) = desk.visits.join_next_with_id() => desk.returned(visit),
                    more = &mut next => break more,
                    () = sleep(pause.unwrap_or_default()), if pause.is_some() => {}
                }
                desk.dial(at_a_node)?;
            }
        };
        for delivery in batch.drain(..) {
            match delivery {
                Delivery::Event(event) => {
                    desk.survey.observe(&event, now());
                }
                Delivery::Missed(count) => desk.survey.missed(count),
            }
        }
        if !more {
            break;
        }
        desk.dial(at_a_node)?;
    }
    desk.farewell().await;
    intake.close();
    Ok(())
}

/// What to do about a start that is refused.
pub const AT_A_NODE: &str =
    "run `connect` on another machine, or send it through `--connect-proxy`; `--connect-from-node` if that is what you want";

/// The visits under way, and what comes of them.
struct Desk {
    config: Config,
    survey: Survey,
    dialler: Dialler,
    out: Out,
    visits: JoinSet<Outcome>,
    /// Why each of them is under way: a visit that fails, or is cut short, is stated too.
    errands: HashMap<task::Id, Errand>,
    /// Since the start.
    seconds: u64,
    /// The disk does not take what has to be remembered: said once.
    troubled: bool,
    told: Account,
}

impl Desk {
    /// Sends out whoever is due; nobody, if that would be from a watched node's address.
    fn dial(&mut self, at_a_node: AtANode) -> anyhow::Result<()> {
        // a nonce that somebody could guess would let him call any visit one to a watched node: without randomness nobody goes
        let errands = match self.survey.due(now(), || getrandom::u64().unwrap_or_default()) {
            Ok(errands) => errands,
            Err(error) => {
                if !std::mem::replace(&mut self.troubled, true) {
                    tracing::error!(%error, "nobody is dialled: who was dialled cannot be remembered");
                }
                return Ok(());
            }
        };
        if std::mem::take(&mut self.troubled) {
            tracing::info!("dials again");
        }
        let mut at = None;
        for errand in errands {
            let route = self.dialler.route(errand.target.network());
            let from = errand.target.ip().filter(|_| route == VisitRoute::Direct).map(source_towards);
            if from == Some(None) {
                // says nothing of the address: it is we who cannot go there
                self.survey.done(errand, not_dialled("this machine has no route there"), route, now());
                continue;
            }
            let own = from.flatten().filter(|source| !self.config.connect_from_node && self.survey.own.is_own(*source));
            if let Some(ip) = own {
                at = Some(ip);
                let detail = "from here it would be a watched node's address that is seen";
                self.survey.done(errand, not_dialled(detail), route, now());
                continue;
            }
            if errand.nonce == 0 {
                self.survey.done(errand, not_dialled("no randomness"), route, now());
                continue;
            }
            let (dialler, visited) = (self.dialler.clone(), errand.clone());
            let visit = async move { dialler.visit(&visited.target, visited.transport, visited.nonce).await };
            let id = self.visits.spawn(visit).id();
            self.errands.insert(id, errand);
        }
        if let Some(ip) = at {
            if at_a_node == AtANode::End {
                bail!("would dial from {ip}, an address of a watched node: everybody who is dialled would know it");
            }
            for network in [Network::Ipv4, Network::Ipv6, Network::Cjdns] {
                self.survey.rules.networks.remove(&network);
            }
            tracing::error!(address = %ip, hint = AT_A_NODE, "dials no more: it would be done from a watched node's own address");
        }
        Ok(())
    }

    fn returned(&mut self, visit: Result<(task::Id, Outcome), task::JoinError>) {
        let (id, outcome) = visit.unwrap_or_else(|error| {
            tracing::error!(%error, "a visit failed");
            (error.id(), not_dialled("the visit failed"))
        });
        let Some(errand) = self.errands.remove(&id) else { return };
        let route = self.dialler.route(errand.target.network());
        tracing::trace!(target = %errand.target, result = outcome.result.word(), detail = outcome.detail, "visited");
        self.survey.done(errand, outcome, route, now());
    }

    /// Once a second: what is ready is published, and a beat.
    fn second(&mut self) {
        self.seconds += 1;
        self.publish(false);
        self.out.beat();
        if self.seconds.is_multiple_of(REFRESH) && !self.config.connect_exclude.is_empty() {
            match self.config.rules() {
                Ok(rules) => self.survey.rules.excluded = rules.excluded,
                Err(error) => tracing::warn!(error = format!("{:#}", anyhow::Error::new(error)), "lists stay in use as they were"),
            }
        }
        if self.seconds.is_multiple_of(REPORT) {
            self.report();
        }
    }

    fn publish(&mut self, all: bool) {
        for stated in self.survey.stated(now(), all) {
            if let Some(publisher) = self.out.of(&stated.node) {
                // the time of the statement: whoever puts events into an order waits no longer for one than a result waits to be settled
                publisher.publish(now(), stated.node_run, stated.visit);
            }
        }
    }

    fn report(&mut self) {
        let account = self.survey.account().clone();
        let (waiting, parties) = self.survey.waiting();
        let since = |now: u64, then: u64| now - then;
        tracing::info!(
            heard = since(account.heard, self.told.heard),
            dialled = since(account.dialled, self.told.dialled),
            refused = since(account.refused.iter().sum(), self.told.refused.iter().sum()),
            repeated = since(account.repeated, self.told.repeated),
            enough_ports = since(account.enough_ports, self.told.enough_ports),
            unremembered = since(account.unremembered, self.told.unremembered),
            passed_over = since(account.passed_over, self.told.passed_over),
            waiting,
            parties,
            missed = since(account.missed, self.told.missed),
            "visits to advertised addresses"
        );
        self.told = account;
    }

    async fn farewell(&mut self) {
        let rest = async {
            while let Some(visit) = self.visits.join_next_with_id().await {
                self.returned(visit);
            }
        };
        if timeout(FAREWELL, rest).await.is_err() {
            tracing::info!(visits = self.visits.len(), "ended before these visits were over");
            self.visits.shutdown().await;
        }
        // each of them has had its only visit in a day
        for errand in std::mem::take(&mut self.errands).into_values() {
            let route = self.dialler.route(errand.target.network());
            self.survey.done(errand, not_dialled("ended before it was over"), route, now());
        }
        self.survey.end(now());
        self.publish(true);
        self.out.beat();
        self.report();
    }
}

fn not_dialled(detail: &str) -> Outcome {
    Outcome {
        result: event::VisitResult::NotDialled,
        detail: detail.to_owned(),
        transport: event::p2p::transport::Version::V1,
        hello: None,
        latency: None,
        handshake: None,
        silent: false,
    }
}

/// The publishers of results, one for each node.
struct Out {
    bus: Bus,
    nodes: BTreeMap<String, Publisher>,
}

impl Out {
    fn of(&mut self, node: &str) -> Option<&Publisher> {
        if !self.nodes.contains_key(node) {
            // a name that no subject can have comes from nobody who uses our publishers
            let publisher = self.bus.publisher(node.parse().ok()?, Source::Connect);
            self.nodes.insert(node.to_owned(), publisher);
        }
        self.nodes.get(node)
    }

    fn beat(&self) {
        for publisher in self.nodes.values() {
            publisher.beat(now(), None, 0, None, None);
        }
    }
}

/// Nanoseconds since the epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}
