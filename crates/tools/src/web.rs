//! Live pages: what nodes and their peers are doing, now or in a recording.
//!
//! [`State`] is what the pages show of now, a plain value made of events; `fanout` brings events to whoever listens, each
//! written once and shared; `api` says what is served where. `docs/web.md` describes all of it for those who use it.
//!
//! **Invariants.** Every client has a bounded queue of its own, and is told what it missed. Memory is bounded whatever peers, clients and
//! other publishers do. No path leads to a file: pages are inside the program. In a public view everything is redacted before anything
//! else looks at it.

pub mod act;
mod api;
mod assets;
mod brief;
mod fanout;
mod guard;
pub mod playback;
mod public;
mod queue;
mod schema;
mod server;
mod socket;
mod state;
pub mod wants;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::extract::ws::Utf8Bytes;
use bus::{Delivery, Subscription};
use detect::FLEET;
use event::text::U64;
use event::{Event, NodeName};
use serde_json::{Value, json};
use tokio::sync::mpsc;

pub use playback::Recording;
pub use state::{Choice, State};

use crate::Complaint;
use crate::incidents::door::Questions;
use crate::listen::ListenError;
use fanout::Fanout;
use guard::{Guard, Token};
use playback::{Order, Player};

/// Where to serve pages, and to whom.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Where to serve the pages
    ///
    /// On any address but loopback this asks for --web-token-file, or for --web-behind-proxy. There is no encryption: that is a proxy's work.
    #[arg(long, alias = "listen", default_value_t = DEFAULT, value_name = "ADDRESS")]
    pub web_listen: SocketAddr,

    /// Let in only who has the token in this file
    ///
    /// A program sends it as `Authorization: Bearer <token>`; in a browser one logs in with it. At least 16 characters:
    /// `openssl rand -hex 24 > token`.
    #[arg(long, alias = "token-file", value_name = "FILE")]
    pub web_token_file: Option<PathBuf>,

    /// A reverse proxy stands before the pages, and lets in only who may see them
    ///
    /// Say this where it is so: then the pages are served on other addresses than loopback without a token.
    #[arg(long, alias = "behind-proxy")]
    pub web_behind_proxy: bool,

    /// Names that the pages are reached by, besides addresses and `localhost`
    ///
    /// A request for any other name is refused, so that no site can point its own name at this machine and read what is here.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub web_name: Vec<String>,

    /// How many may listen to the stream of events at once
    ///
    /// Each takes some 10 kB while nothing waits for it. What waits is at most 256 MiB for all together.
    #[arg(long, default_value_t = 1000, value_name = "NUMBER")]
    pub web_clients: usize,

    /// Serve a view for strangers, redacted under the key in this file
    ///
    /// Nodes and peers go by keyed identifiers, and of a node there is nothing but what --web-say says. The key is 32 bytes
    /// (`head -c 32 /dev/urandom`) and a secret: see docs/redaction.md.
    #[arg(long, alias = "redact", value_name = "KEYFILE")]
    pub web_redact: Option<PathBuf>,

    /// What to say of a node: `alice=A node in Europe`; may be given several times
    #[arg(long, value_name = "NODE=TEXT")]
    pub web_say: Vec<Say>,
}

/// Beside the port for metrics, which is 28445.
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 28446);

/// What an operator says of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Say {
    node: NodeName,
    text: String,
}

impl FromStr for Say {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (node, text) = text.split_once('=').ok_or("it is a node's name, `=`, and what to say of it")?;
        Ok(Self { node: node.parse().map_err(|error: event::NodeNameError| error.to_string())?, text: text.to_owned() })
    }
}

/// What is wrong with what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Anybody could look.
    #[error("pages on {0} could be seen by everybody who reaches it")]
    Open(SocketAddr),
    /// A file that cannot be used.
    #[error("{0:#}")]
    File(anyhow::Error),
}

impl ConfigError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Open(_) => {
                "name a token with --web-token-file, or say --web-behind-proxy where a proxy lets in only who may see them"
            }
            Self::File(_) => "files are read before rights are given up, and must be readable",
        }
    }
}

impl Config {
    /// Takes the port.
    ///
    /// # Errors
    ///
    /// It cannot be had.
    pub fn listen(&self) -> Result<TcpListener, ListenError> {
        server::SERVICE.listen(self.web_listen)
    }

    /// Reads what is read before rights are given up.
    ///
    /// # Errors
    ///
    /// A file that cannot be used, or nothing that keeps strangers out.
    pub fn read(&self) -> Result<Reading, ConfigError> {
        let token = self.web_token_file.as_deref().map(Token::read).transpose().map_err(ConfigError::File)?;
        let public = self.web_redact.as_deref().map(public::Key::read).transpose().map_err(ConfigError::File)?;
        let open = token.is_none() && !self.web_behind_proxy;
        if open && !self.web_listen.ip().is_loopback() {
            return Err(ConfigError::Open(self.web_listen));
        }
        let guard = Guard::new(token, self.web_name.clone(), self.web_behind_proxy);
        let mut view = public.as_ref().map(public::View::new);
        let says = self.web_say.iter().map(|say| {
            let node = view.as_mut().map_or_else(|| say.node.to_string(), |view| view.node(say.node.as_str()));
            (node, say.text.clone())
        });
        let says = says.collect();
        Ok(Reading { guard, says, view, clients: self.web_clients, book: None })
    }
}

/// What was read of the configuration.
#[derive(Debug)]
pub struct Reading {
    guard: Guard,
    says: Vec<(String, String)>,
    view: Option<public::View>,
    clients: usize,
    book: Option<(Questions, String)>,
}

impl Reading {
    /// Lets those who may act work with incidents: this way leads to the book of this program, which has this name.
    pub fn reach(&mut self, book: Questions, name: String) {
        self.book = Some((book, name));
    }

    /// Whether it is for strangers: then what is played should be shown to [`Reading::learn`] first.
    pub fn is_public(&self) -> bool {
        self.view.is_some()
    }

    /// Looks at an event that comes later, for addresses of the nodes' own.
    pub fn learn(&mut self, event: &Event) {
        if let Some(view) = &mut self.view {
            view.learn(event);
        }
    }
}

/// Where events come from.
#[derive(Debug)]
pub enum Input {
    /// A bus.
    Live(Subscription),
    /// Recordings, and how many times as fast as it happened they are played at first.
    Recording(Recording, f64),
}

/// Shows and serves: live events until the subscription ends, a recording until `stop` does.
///
/// # Errors
///
/// The listener is none, or the recording cannot be opened.
pub async fn run(
    reading: Reading,
    input: Input,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let Reading { guard, says, view, clients, book } = reading;
    let (orders, commands) = mpsc::channel(playback::COMMANDS);
    let recorded = matches!(input, Input::Recording(..));
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        fanout: Mutex::default(),
        playback: Mutex::new(json!({ "recording": false })),
        orders: recorded.then_some(orders),
        guard,
        says,
        public: view.is_some(),
        most_clients: clients,
        book,
    });
    tracing::info!(address = %listener.local_addr()?, "serving pages: http://{}/", listener.local_addr()?);
    let mut feed = Feed { shared: Arc::clone(&shared), view, primary: vec![], told: 0 };
    let fed = async {
        match input {
            Input::Live(events) => {
                feed.live(events).await;
                Ok(())
            }
            Input::Recording(recording, speed) => {
                let player = Player::new(recording, speed, Instant::now())?;
                tokio::select! {
                    () = feed.play(player, commands) => {}
                    () = stop => {}
                }
                Ok(())
            }
        }
    };
    let outcome = tokio::select! {
        fed = fed => fed,
        ended = server::serve(listener, api::router(Arc::clone(&shared))) => ended.map(|never| match never {}),
    };
    shared.fanout().close();
    outcome
}

/// What the server and the feed share. No lock is held across an await.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    fanout: Mutex<Fanout>,
    /// Where the recording stands, as it was last said.
    playback: Mutex<Value>,
    orders: Option<mpsc::Sender<Order>>,
    guard: Guard,
    says: Vec<(String, String)>,
    /// For strangers.
    public: bool,
    most_clients: usize,
    /// The way to the incident book, where this program keeps it, and its name.
    book: Option<(Questions, String)>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }

    fn fanout(&self) -> MutexGuard<'_, Fanout> {
        self.fanout.lock().expect("nothing panics while it holds the lock")
    }

    fn choice(&self, node: Option<String>) -> Choice {
        Choice { node, says: self.says.clone(), public: self.public }
    }

    fn playback(&self) -> Value {
        self.playback.lock().expect("nothing panics while it holds the lock").clone()
    }

    /// For a client that is new, if there is a recording.
    fn playback_note(&self) -> Option<Utf8Bytes> {
        self.orders.as_ref().map(|_| note(&self.playback()))
    }

    /// Whether incidents can be worked with here: where there is a book, by whoever is let in by the operator himself, not by a proxy.
    fn may_act(&self) -> Result<(&Questions, &str), act::Barred> {
        match &self.book {
            _ if self.public => Err(act::Barred::Public),
            None => Err(act::Barred::Elsewhere),
            Some(_) if !self.guard.knows_who_asks() => Err(act::Barred::Proxy),
            Some((book, name)) => Ok((book, name)),
        }
    }

    /// What the book of this program does not know, though it should. Strangers are told nothing of it.
    fn trouble(&self) -> Value {
        let trouble = self.book.as_ref().filter(|_| !self.public).and_then(|(book, _)| book.trouble());
        trouble.map_or(Value::Null, |trouble| {
            json!({
                "findings": U64(trouble.findings), "lost": U64(trouble.lost), "sentence": trouble.to_string(), "hint": trouble.hint,
            })
        })
    }

    /// What the server itself adds to the health of everything: the last hop. Called with the state locked; nobody locks the other way round.
    fn add_health(&self, health: &mut Value) {
        let fanout = self.fanout();
        let account = fanout.account();
        if let Some(hops) = health["hops"].as_array_mut() {
            hops.push(json!({
                "name": "this program to pages", "seen": U64(account.sent), "lost": U64(account.dropped),
                "note": "the queues of those who listen, all together; each is told what it missed",
            }));
        }
        health["clients"] = json!({
            "now": fanout.clients(), "limit": self.most_clients, "missed": U64(account.dropped), "queued": U64(fanout.queued()),
        });
    }
}

fn note(playback: &Value) -> Utf8Bytes {
    json!({ "playback": playback }).to_string().into()
}

/// How often clients are told how far everything is.
const BEAT: Duration = Duration::from_secs(1);

/// Events into state and stream.
struct Feed {
    shared: Arc<Shared>,
    view: Option<public::View>,
    /// Events of a batch, and whether they count.
    primary: Vec<(Arc<Event>, bool)>,
    /// How often it was told where the recording stands: of two answers that overtake each other, the one with more is the newer.
    told: u64,
}

impl Feed {
    async fn live(&mut self, mut events: Subscription) {
        const BATCH: usize = 512;
        let mut batch = Vec::with_capacity(BATCH);
        let mut complaint = Complaint::default();
        let mut beat = Instant::now() + BEAT;
        loop {
            let due = self.shared.fanout().due().map_or(beat, |due| due.min(beat));
            tokio::select! {
                more = events.next_batch(&mut batch, BATCH) => {
                    if !more {
                        return;
                    }
                    complaint.look(events.stats());
                    self.take(batch.drain(..), true);
                }
                () = tokio::time::sleep_until(due.into()) => {}
            }
            self.on_time(&mut beat);
        }
    }

    async fn play(&mut self, mut player: Player, mut commands: mpsc::Receiver<Order>) {
        let mut beat = Instant::now() + BEAT;
        self.tell(&player);
        loop {
            let due = player.due(Instant::now());
            let (busy, changed) = (!due.events.is_empty(), due.changed);
            self.take(due.events.into_iter().map(|event| Delivery::Event(Arc::new(event))), due.shown);
            if changed {
                self.tell(&player);
            }
            if self.on_time(&mut beat) {
                *self.shared.playback.lock().expect("nothing panics while it holds the lock") = self.shown(&player);
            }
            let flush = self.shared.fanout().due().map_or(beat, |due| due.min(beat));
            let next = player.next(Instant::now()).map_or(flush, |next| next.min(flush));
            let wants_more = player.wants_more();
            tokio::select! {
                biased;
                command = commands.recv() => {
                    // as long as the server runs there is a sender
                    let Some((command, at, answer)) = command else { return };
                    if player.follow(&command, at, Instant::now()) {
                        let mut state = self.shared.state();
                        *state = state.moved_back();
                    }
                    self.tell(&player);
                    // whoever gave it may have gone
                    let _ = answer.send(self.shared.playback());
                }
                batch = player.more(), if wants_more => player.take(batch),
                () = tokio::task::yield_now(), if busy => {}
                () = tokio::time::sleep_until(next.into()) => {}
            }
        }
    }

    /// Into the state, and, if they are shown, to whoever listens.
    fn take(&mut self, deliveries: impl Iterator<Item = Delivery>, shown: bool) {
        let mut missed = 0;
        {
            let mut state = self.shared.state();
            for delivery in deliveries {
                match delivery {
                    Delivery::Event(event) => {
                        let of_fleet = event.node == FLEET;
                        let event = match &mut self.view {
                            Some(view) => view.event(event),
                            None => Some(event),
                        };
                        if let Some(event) = event {
                            let primary = if of_fleet { state.observe_fleet(&event) } else { state.observe(&event) };
                            self.primary.push((event, primary));
                        }
                    }
                    Delivery::Missed(count) => {
                        state.missed(count);
                        missed += count;
                    }
                }
            }
        }
        let now = Instant::now();
        let mut fanout = self.shared.fanout();
        if missed > 0 {
            fanout.missed(missed);
        }
        for (event, primary) in self.primary.drain(..).filter(|_| shown) {
            fanout.event(&event, primary, now);
        }
    }

    /// Sends what is due; true if a beat was.
    fn on_time(&self, beat: &mut Instant) -> bool {
        let now = Instant::now();
        let time = if now >= *beat { Some(self.shared.state().time()) } else { None };
        let mut fanout = self.shared.fanout();
        fanout.flush(now);
        let Some(time) = time else { return false };
        fanout.beat(time);
        *beat = now + BEAT;
        true
    }

    /// The recording stands elsewhere, or goes on in another way.
    fn tell(&mut self, player: &Player) {
        self.told += 1;
        let playback = self.shown(player);
        let text = note(&playback);
        // first for those who come now, then for those who are there: who comes between the two is told twice, not never
        *self.shared.playback.lock().expect("nothing panics while it holds the lock") = playback;
        self.shared.fanout().note(&text);
    }

    /// Where the recording stands. Strangers are not told what an error says: it names files, and files often name people and nodes.
    fn shown(&self, player: &Player) -> Value {
        let mut playback = player.show(Instant::now());
        playback["change"] = json!(U64(self.told));
        if self.shared.public && !playback["error"].is_null() {
            playback["error"] = json!("a part of the recording cannot be read");
        }
        playback
    }
}

#[cfg(test)]
mod tests;
