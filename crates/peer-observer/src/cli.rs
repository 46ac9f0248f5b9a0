//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config::{File, Section};
use crate::exit::{self, Code, Failure};

/// Watches Bitcoin nodes from the inside
///
/// Sees every P2P message, connection, mempool change and block that a node on this machine handles, through the tracepoints of Bitcoin
/// Core, and shows it. Only watches: it never talks to a node's peers, and never changes anything in a node.
///
/// Beside a running node, `peer-observer run` is all it takes. Without one, `peer-observer demo` shows what it looks like.
#[derive(Parser, Debug)]
#[command(name = "peer-observer", version, after_help = exit::HELP, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    /// Read this configuration file
    #[arg(long, global = true, value_name = "FILE", env = "PEER_OBSERVER_CONFIG")]
    pub config: Option<PathBuf>,

    /// What the program says of itself, on standard error: `error`, `warn`, `info`, `debug`, `trace`, or per module (`info,bus=debug`)
    #[arg(long, global = true, value_name = "LEVEL", env = "PEER_OBSERVER_LOG", default_value = "info")]
    pub log: String,

    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Watch a node, and print what happens
    ///
    /// Finds the node that runs on this machine, or the one it is told, starts every extractor that works, and prints a line per event.
    /// Needs root, or the capabilities CAP_BPF and CAP_PERFMON (and CAP_SYS_PTRACE for the node of another user); a small process of
    /// its own keeps them, everything that looks at bytes from strangers runs without; started by root, as the node's user. When the
    /// node restarts, it goes on.
    Run(Box<Run>),

    /// Play a bundled recording of real nodes: no node, root or network needed
    Demo(Demo),

    /// Check what works here, and say what to do about what does not
    Doctor(Box<Doctor>),

    /// Run one extractor alone
    #[command(subcommand)]
    Extract(Extract),

    /// Print events from a bus or a recording
    Logger(Logger),

    /// Count events, and serve the numbers to Prometheus
    ///
    /// Reads a bus or a recording. One process may count one node or a fleet: every number has its node as a label. After a recording the page
    /// stays until the program is told to end.
    Metrics(Metrics),

    /// Show nodes in this terminal: the numbers that matter, and the peers
    ///
    /// Reads a bus or a recording; `peer-observer run --top` shows the node on this machine. The keys are listed at `?`.
    Top(Box<Top>),

    /// Recognise attacks and anomalies, live or in a recording
    ///
    /// Says when one begins, gets worse, and is over, with the numbers it rests on and what it does not prove. Over a bus the findings are
    /// published there as well. A recording gives the findings that were there when it was made.
    Detect(Box<Detect>),

    /// Dial a sample of the addresses that peers advertise, to find out how many of them are there
    ///
    /// The one part of this program that talks to strangers: as an honest short visitor, slowly, each address once in 24 hours, and never from a
    /// watched node's own address (docs/connect.md). Reads a bus, and publishes the results there. Over a recording nobody is dialled: it says
    /// who would have been, and what recorded visits came to.
    Connect(Box<Connect>),

    /// Show what happens as live pages
    ///
    /// Reads a bus or a recording, and serves pages to browsers and events to programs (docs/web.md). A recording can be played, stopped, and
    /// moved in time, and looks as it did live.
    Web(Box<Web>),

    /// Keep what happens, and look at what was kept
    #[command(subcommand)]
    Archive(Archive),

    /// Work with the incident book: look, write down, acknowledge, close
    ///
    /// The book is kept by `run` or `detect` with `--incidents-book`; these commands reach it while they run, and also when nothing does.
    Incidents(Incidents),

    /// Play recordings into a bus, for tools that watch a replay
    ///
    /// Events keep the envelope they had, marked as replayed. Over NATS they go to subjects of their own, `replay.<id>.…`, which tools that
    /// watch live nodes never hear. A tool that takes `--recording` needs no bus.
    Replay(Box<Replay>),

    /// Describe every event: the schema, readable
    Events {
        /// Only these kinds, by name or pattern
        kinds: Vec<String>,
    },

    /// Print the default configuration, every key explained
    Config,

    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },

    /// Measure what this machine can do
    Bench(Bench),

    /// Stage an attack against a regtest node of your own, to see what becomes of it
    ///
    /// Takes a data directory, never an address: the node has to run on regtest, on loopback, and is asked before anything is sent. Beside it,
    /// `peer-observer run --datadir DIR` shows what is found (docs/attack.md). Ends by itself; Ctrl-C closes every connection.
    #[cfg(feature = "attack")]
    Attack(Attack),

    /// The part that holds the capabilities; started by the other parts
    #[cfg(feature = "ebpf")]
    #[command(hide = true)]
    Tracer,
}

impl Command {
    /// Whether it takes over the terminal.
    pub fn has_screen(&self) -> bool {
        match self {
            Self::Top(_) => true,
            Self::Run(options) => options.top,
            _ => false,
        }
    }
}

/// `run`
#[derive(clap::Args, Debug)]
pub struct Run {
    #[command(flatten, next_help_heading = "Node")]
    pub node: extract::node::Config,

    /// Wait for the node when it does not run yet, instead of ending
    ///
    /// Of several nodes those that are away are waited for in any case, as long as one is there.
    #[arg(long)]
    pub wait: bool,

    /// Print no events
    #[arg(long, short)]
    pub quiet: bool,

    /// Show a screen in this terminal instead of printing events
    #[arg(long, conflicts_with = "quiet")]
    pub top: bool,

    #[cfg(feature = "ebpf")]
    #[command(flatten, next_help_heading = "Kernel probes [ebpf]")]
    pub ebpf: extract::ebpf::Config,

    #[command(flatten, next_help_heading = "RPC [rpc]")]
    pub rpc: extract::rpc::Config,

    #[command(flatten, next_help_heading = "Log [log]")]
    pub node_log: extract::log::Config,

    #[command(flatten, next_help_heading = "Process [proc]")]
    pub process: extract::proc::Config,

    #[command(flatten, next_help_heading = "P2P [p2p]")]
    pub p2p: extract::p2p::Config,

    #[command(flatten, next_help_heading = "Join [join]")]
    pub join: tools::join::Config,

    #[command(flatten, next_help_heading = "Reconciliation [reconcile]")]
    pub reconcile: tools::reconcile::Config,

    #[command(flatten, next_help_heading = "IPC socket [ipc]")]
    pub ipc: extract::ipc::Config,

    #[command(flatten, next_help_heading = "Lines [logger]")]
    pub logger: tools::logger::Config,

    #[command(flatten, next_help_heading = "Metrics [metrics]")]
    pub metrics: tools::metrics::Config,

    #[command(flatten, next_help_heading = "Detectors [detect]")]
    pub detect: tools::detect::Config,

    #[command(flatten, next_help_heading = "Visits [connect]")]
    pub connect: tools::connect::Config,

    #[command(flatten, next_help_heading = "Incidents [incidents]")]
    pub incidents: tools::incidents::Config,

    #[command(flatten, next_help_heading = "Messages [messages]")]
    pub messages: tools::messages::Config,

    #[command(flatten, next_help_heading = "Pages [web]")]
    pub web: tools::web::Config,

    #[command(flatten, next_help_heading = "Archive [archive]")]
    pub archive: tools::archive::Config,

    #[command(flatten, next_help_heading = "Shipping [ship]")]
    pub ship: tools::ship::Config,

    #[command(flatten, next_help_heading = "NATS [nats]")]
    pub nats: bus::NatsOptions,
}

/// `demo`
#[derive(clap::Args, Debug)]
pub struct Demo {
    /// Play as fast as the terminal takes it
    #[arg(long)]
    pub fast: bool,

    #[command(flatten, next_help_heading = "Lines [logger]")]
    pub logger: tools::logger::Config,
}

/// `doctor`
#[derive(clap::Args, Debug)]
pub struct Doctor {
    #[command(flatten, next_help_heading = "Node")]
    pub node: extract::node::Config,

    /// Print lines for the node's bitcoin.conf that make an RPC user of this name with the rights that are used and no others, and
    /// its password
    #[arg(long, value_name = "NAME")]
    pub new_rpc_user: Option<extract::rpc::UserName>,

    #[command(flatten, next_help_heading = "RPC [rpc]")]
    pub rpc: extract::rpc::Config,

    #[command(flatten, next_help_heading = "Archive [archive]")]
    pub archive: tools::archive::Config,

    #[command(flatten, next_help_heading = "Metrics [metrics]")]
    pub metrics: tools::metrics::Config,

    #[command(flatten, next_help_heading = "Pages [web]")]
    pub web: tools::web::Config,

    #[command(flatten, next_help_heading = "NATS [nats]")]
    pub nats: bus::NatsOptions,
}

/// `extract`
#[derive(Subcommand, Debug)]
pub enum Extract {
    /// Kernel probes on the node's tracepoints: messages, connections, mempool, blocks
    #[cfg(feature = "ebpf")]
    Ebpf(Box<ExtractEbpf>),

    /// What the node says of itself: peers, mempool, chain, addresses
    Rpc(Box<ExtractRpc>),

    /// What the node writes into its debug.log: reasons, refusals, who sent what was rejected
    Log(Box<ExtractLog>),

    /// What the node's process uses: CPU by thread, memory, files, disk
    Proc(Box<ExtractProc>),

    /// A connection that the node makes to us: round trips through its message queue, what it announces
    P2p(Box<ExtractP2p>),

    /// The node's IPC socket: its tip, as soon as it changes
    Ipc(Box<ExtractIpc>),
}

/// What every extractor needs.
#[derive(clap::Args, Debug)]
pub struct Common {
    #[command(flatten, next_help_heading = "Node")]
    pub node: extract::node::Config,

    /// Wait for the node when it does not run yet, instead of ending
    ///
    /// Of several nodes those that are away are waited for in any case, as long as one is there.
    #[arg(long)]
    pub wait: bool,

    #[command(flatten, next_help_heading = "NATS [nats]")]
    pub nats: bus::NatsOptions,
}

/// `extract ebpf`
#[cfg(feature = "ebpf")]
#[derive(clap::Args, Debug)]
pub struct ExtractEbpf {
    #[command(flatten)]
    pub common: Common,

    #[command(flatten, next_help_heading = "Kernel probes [ebpf]")]
    pub ebpf: extract::ebpf::Config,
}

/// `extract rpc`
#[derive(clap::Args, Debug)]
pub struct ExtractRpc {
    #[command(flatten)]
    pub common: Common,

    #[command(flatten, next_help_heading = "RPC [rpc]")]
    pub rpc: extract::rpc::Config,
}

/// `extract log`
#[derive(clap::Args, Debug)]
pub struct ExtractLog {
    #[command(flatten)]
    pub common: Common,

    #[command(flatten, next_help_heading = "Log [log]")]
    pub log: extract::log::Config,

    #[command(flatten, next_help_heading = "Finished logs")]
    pub finished: FinishedLogs,
}

/// `extract log --from`
#[derive(clap::Args, Debug)]
pub struct FinishedLogs {
    /// Read these logs from their first line to their last, instead of following the one that grows; `-` is standard input
    ///
    /// Plain, or compressed with gzip or zstd. They are logs of the node that `--name` names, and become recordings of it: one for each.
    /// A file that cannot be read is no hindrance for the others; then the exit code is 7.
    #[arg(long, num_args = 1.., value_name = "FILES", conflicts_with_all = ["nats", "log_file", "log_from", "wait"])]
    pub from: Vec<PathBuf>,

    /// Where the recordings go: a directory, or the file for a single log
    ///
    /// Without it the events are printed as JSON lines, one log after the other. Nothing that is there already is overwritten.
    #[arg(long, value_name = "PATH", requires = "from")]
    pub output: Option<PathBuf>,

    /// What to write [default: recording where there is an `--output`, else json]
    // other commands have a `--format` with other words, which a file or the environment may choose
    #[arg(
        id = "log_format",
        long = "format",
        env = "PEER_OBSERVER_LOG_FORMAT",
        hide_env = true,
        value_enum,
        value_name = "FORMAT",
        requires = "from"
    )]
    pub format: Option<extract::log::convert::Form>,

    /// How many logs to read at once [default: as many as there are processors]
    #[arg(long, value_name = "NUMBER", requires = "from")]
    pub workers: Option<std::num::NonZeroUsize>,
}

/// `extract proc`
#[derive(clap::Args, Debug)]
pub struct ExtractProc {
    #[command(flatten)]
    pub common: Common,

    #[command(flatten, next_help_heading = "Process [proc]")]
    pub process: extract::proc::Config,
}

/// `extract p2p`
#[derive(clap::Args, Debug)]
pub struct ExtractP2p {
    #[command(flatten)]
    pub common: Common,

    #[command(flatten, next_help_heading = "P2P [p2p]")]
    pub p2p: extract::p2p::Config,
}

/// `extract ipc`
#[derive(clap::Args, Debug)]
pub struct ExtractIpc {
    #[command(flatten)]
    pub common: Common,

    #[command(flatten, next_help_heading = "IPC socket [ipc]")]
    pub ipc: extract::ipc::Config,
}

/// `logger`
#[derive(clap::Args, Debug)]
pub struct Logger {
    /// Print these recordings, merged by time, instead of what a bus brings
    ///
    /// Files of this program, or what Bitcoin Core wrote with `-capturemessages`: the node's `message_capture` folder, a folder in it, or a
    /// file of that.
    #[arg(long, num_args = 1.., value_name = "FILES", conflicts_with = "nats")]
    pub recording: Vec<PathBuf>,

    /// How many times as fast as it happened to play a recording; 0 is as fast as possible
    #[arg(long, default_value_t = 0.0, value_name = "TIMES", requires = "recording")]
    pub speed: f64,

    /// Only events of these nodes
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub node: Vec<event::NodeName>,

    /// Watch this replay instead of live nodes
    #[arg(long, value_name = "ID", conflicts_with = "recording")]
    pub replay_id: Option<bus::ReplayId>,

    #[command(flatten, next_help_heading = "Lines [logger]")]
    pub logger: tools::logger::Config,

    #[command(flatten, next_help_heading = "NATS [nats]")]
    pub nats: bus::NatsOptions,
}

/// `metrics`
#[derive(clap::Args, Debug)]
pub struct Metrics {
    /// Count these recordings, merged by time, instead of what a bus brings
    #[arg(long, num_args = 1.., value_name = "FILES", conflicts_with = "nats")]
    pub recording: Vec<PathBuf>,

    /// How many times as fast as it happened to play a recording; 0 is as fast as possible
    #[arg(long, default_value_t = 0.0, value_name = "TIMES", requires = "recording")]
    pub speed: f64,

    /// Print the page once the recording has ended, and serve nothing
    #[arg(long, requires = "recording")]
    pub print: bool,

    /// Only events of these nodes
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub node: Vec<event::NodeName>,

    #[command(flatten, next_help_heading = "Metrics [metrics]")]
    pub metrics: tools::metrics::Config,

    #[command(flatten, next_help_heading = "NATS [nats]")]
    pub nats: bus::NatsOptions,
}

/// `top`
#[derive(clap::Args, Debug)]
pub struct Top {
    /// Show these recordings, merged by time, instead of what a bus brings
    #[arg(long, num_args = 1.., value_name = "FILES", conflicts_with = "nats")]
    pub recording: Vec<PathBuf>,

    /// How many times as fast as it happened to play a recording; 0 is as fast as possible
    #[arg(long, default_value_t = 1.0, value_name = "TIMES", requires = "recording")]
    pub speed: f64,

    /// Only events of these nodes
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub node: Vec<event::NodeName>,

    /// Watch this replay instead of live nodes
    #[arg(long, value_name = "ID", conflicts_with = "recording")]
    pub replay_id: Option<bus::ReplayId>,

    #[command(flatten, next_help_heading = "NATS [nats]")]
    pub nats: bus::NatsOptions,
}

/// `detect`
#[derive(clap::Args, Debug)]
pub struct Detect {
    /// Look at these recordings, merged by time, instead of what a bus brings
    ///
    /// With `--detect-state` a recording may be looked at in pieces: what the pieces give is what the whole gives.
    #[arg(long, num_args = 1.., value_name = "FILES", conflicts_with = "nats")]
    pub recording: Vec<PathBuf>,

    /// Only events of these nodes
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub node: Vec<event::NodeName>,

    /// How to print a finding: `text` for people, `json` for programs
    #[arg(long, value_enum, default_value_t = tools::logger::Format::Text, value_name = "FORMAT")]
    pub format: tools::logger::Format,

    /// Print precision, recall, F1 and time to detect for a directory of recordings with truth files, and nothing else
    ///
    /// Beside `storm.rec` lies `storm.truth.toml`, which says what is true of it; `docs/scoring.md` describes both and every column.
    /// Thresholds, lists and the map of autonomous systems apply; a threshold that is set here goes before the one of a truth file.
    /// `--format json` prints a line for each recording, and one for all.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["recording", "nats"])]
    pub score: Option<PathBuf>,

    /// Print every threshold, its value in force and what it means, and nothing else
    #[arg(long, conflicts_with_all = ["recording", "nats", "score"])]
    pub thresholds: bool,

    /// Print who came by, as the state that `--detect-state` names has it, and nothing else
    ///
    /// A line for each address, who was seen last first: since when, sessions, how long it was connected, at which nodes, and what it said
    /// it runs. `--format json` for programs. The state of a running observer is at most a minute old.
    #[arg(long, requires = "detect_state", conflicts_with_all = ["recording", "nats", "score", "thresholds"])]
    pub profiles: bool,

    #[command(flatten, next_help_heading = "Detectors [detect]")]
    pub detect: tools::detect::Config,

    #[command(flatten, next_help_heading = "Incidents [incidents]")]
    pub incidents: tools::incidents::Config,

    #[command(flatten, next_help_heading = "Messages [messages]")]
    pub messages: tools::messages::Config,

    #[command(flatten, next_help_heading = "NATS [nats]")]
    pub nats: bus::NatsOptions,
}

/// `connect`
#[derive(clap::Args, Debug)]
pub struct Connect {
    /// Say whom these recordings would have had dialled, and what the visits in them came to; nobody is dialled
    #[arg(long, num_args = 1.., value_name = "FILES", conflicts_with = "nats")]
    pub recording: Vec<PathBuf>,

    /// How to print that: `text` for people, `json` and `csv` for programs, with the shares alone
    // other commands have a `--format` with other words, which a file or the environment may choose
    #[arg(
        id = "connect_format",
        long = "format",
        env = "PEER_OBSERVER_CONNECT_FORMAT",
        hide_env = true,
        value_enum,
        default_value_t = tools::connect::rehearsal::Form::Text,
        value_name = "FORMAT",
        requires = "recording"
    )]
    pub format: tools::connect::rehearsal::Form,

    /// Only what is advertised to these nodes
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub node: Vec<event::NodeName>,

    #[command(flatten, next_help_heading = "Visits [connect]")]
    pub connect: tools::connect::Config,

    #[command(flatten, next_help_heading = "NATS [nats]")]
    pub nats: bus::NatsOptions,
}

/// `incidents`
#[derive(clap::Args, Debug)]
pub struct Incidents {
    #[command(flatten)]
    pub place: tools::incidents::Place,

    #[command(subcommand)]
    pub work: IncidentWork,
}

/// What to do with the book.
#[derive(Subcommand, Debug)]
pub enum IncidentWork {
    /// List incidents, the latest first
    List {
        /// Only those in this state
        #[arg(long, value_enum, default_value_t = State::All, value_name = "STATE")]
        state: State,

        /// At most so many
        #[arg(long, default_value_t = 100, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        most: u32,

        /// `text` for people, `json` for programs (a line each), `atom` for feed readers
        #[arg(id = "list_format", long = "format", env = "PEER_OBSERVER_INCIDENTS_FORMAT", hide_env = true, value_enum,
              default_value_t = ListFormat::Text, value_name = "FORMAT")]
        format: ListFormat,
    },

    /// Show one: what, where, since when, what to do, its evidence, and everything that happened
    Show {
        /// Its number
        number: u64,

        /// At most so many entries of its timeline, the latest
        #[arg(long, default_value_t = 1_000, value_name = "NUMBER")]
        most: u64,

        /// `text` for people, `json` for programs
        #[arg(long, value_enum, default_value_t = tools::logger::Format::Text, value_name = "FORMAT")]
        format: tools::logger::Format,
    },

    /// Write something down
    Note {
        /// Of which incident
        number: u64,

        /// What
        #[arg(required = true, value_name = "TEXT")]
        text: Vec<String>,

        /// Who writes [default: this user]
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },

    /// Say that you look at it
    Ack {
        /// Which incident
        number: u64,

        /// Who does [default: this user]
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },

    /// Say that it is over
    ///
    /// It is open again when another finding of it begins, or one gets worse.
    Close {
        /// Which incident
        number: u64,

        /// Why
        #[arg(value_name = "TEXT")]
        text: Vec<String>,

        /// Who does [default: this user]
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },

    /// Write one into a file: a page that needs nothing else, or JSON
    ///
    /// It has everything as it is, the names of nodes and the addresses of strangers: it is for you, not for others.
    Export {
        /// Which incident
        number: u64,

        /// The file to write, which must not exist
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,

        /// At most so many entries of its timeline, the latest; each takes some kilobytes of memory
        #[arg(long, default_value_t = 100_000, value_name = "NUMBER")]
        most: u64,

        /// `html` for people, `json` for programs
        #[arg(id = "incident_format", long = "format", env = "PEER_OBSERVER_INCIDENT_FORMAT", hide_env = true, value_enum,
              default_value_t = PageFormat::Html, value_name = "FORMAT")]
        format: PageFormat,
    },
}

/// Where in its life an incident is.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nobody looks at it
    Open,
    /// Somebody looks at it
    Acknowledged,
    /// It is over
    Resolved,
    /// Any
    All,
}

/// How a list is written.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// For feed readers
    Atom,
}

/// How an incident is written into a file.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageFormat {
    /// For people
    Html,
    /// For programs
    Json,
}

/// `web`
#[derive(clap::Args, Debug)]
pub struct Web {
    /// Show these recordings, merged by time, instead of what a bus brings
    ///
    /// Files of this program, or what Bitcoin Core wrote with `-capturemessages`.
    #[arg(long, num_args = 1.., value_name = "FILES", conflicts_with = "nats")]
    pub recording: Vec<PathBuf>,

    /// How many times as fast as it happened a recording is played at first, from 0.1 to 1000
    #[arg(long, default_value_t = 1.0, value_name = "TIMES", requires = "recording", value_parser = playing_speed)]
    pub speed: f64,

    /// Only events of these nodes
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub node: Vec<event::NodeName>,

    /// Watch this replay instead of live nodes
    #[arg(long, value_name = "ID", conflicts_with = "recording")]
    pub replay_id: Option<bus::ReplayId>,

    #[command(flatten, next_help_heading = "Pages [web]")]
    pub web: tools::web::Config,

    #[command(flatten, next_help_heading = "NATS [nats]")]
    pub nats: bus::NatsOptions,
}

fn playing_speed(text: &str) -> Result<f64, String> {
    let times = text.parse().ok().filter(|times| tools::web::playback::SPEEDS.contains(times));
    times.ok_or_else(|| "a speed is a number from 0.1 to 1000".to_owned())
}

/// `archive`
#[derive(Subcommand, Debug)]
pub enum Archive {
    /// Follow a bus into an archive
    Record(Box<ArchiveRecord>),

    /// Describe recordings: what, when, who, how complete
    ///
    /// Reads little more than what frames say of themselves, so it is quick for large archives.
    Info(ArchiveInfo),

    /// Write a slice of recordings into a file: a time, kinds, nodes, peers
    Cut(ArchiveCut),

    /// Join recordings into a file, in the order of time
    Merge(ArchiveMerge),

    /// Make tables of recordings, one per kind of event: for DuckDB, Polars, pandas, ClickHouse, or a spreadsheet
    ///
    /// What is there already is not made again: an export that was ended goes on, and an archive that grew is exported from where it was.
    /// `docs/export.md` says how the tables are laid out, `docs/queries.md` has questions and their answers in SQL.
    Export(Box<ArchiveExport>),

    /// Copy finished segments and rotated debug logs to another place, once
    ///
    /// Every file is read back and compared. What is there already is not sent again; nothing is deleted here. `run` does the same all the
    /// time with a section `[ship]`. `docs/shipping.md` has more.
    Ship(Box<ArchiveShip>),

    /// Check recordings: every checksum, every event, every gap
    ///
    /// Ends with code 7 when something is damaged, missing or was lost.
    Verify(ArchiveInfo),
}

/// `archive record`
#[derive(clap::Args, Debug)]
pub struct ArchiveRecord {
    /// Only events of these nodes
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub node: Vec<event::NodeName>,

    #[command(flatten, next_help_heading = "Archive [archive]")]
    pub archive: tools::archive::Config,

    #[command(flatten, next_help_heading = "NATS [nats]")]
    pub nats: bus::NatsOptions,
}

/// `archive info` and `archive verify`
#[derive(clap::Args, Debug)]
pub struct ArchiveInfo {
    /// Files, or directories of segments
    #[arg(required = true)]
    pub files: Vec<PathBuf>,

    /// `text` for people, `json` for programs
    #[arg(long, value_enum, default_value_t = tools::logger::Format::Text, value_name = "FORMAT")]
    pub format: tools::logger::Format,
}

/// `archive cut`
#[derive(clap::Args, Debug)]
pub struct ArchiveCut {
    /// Files, or directories of segments
    #[arg(required = true)]
    pub files: Vec<PathBuf>,

    /// The file to write, which must not exist
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,

    #[command(flatten, next_help_heading = "What to take")]
    pub part: tools::archive::Part,

    #[command(flatten, next_help_heading = "For others")]
    pub others: ForOthers,
}

/// What makes a slice or tables fit to leave the operator's hands
#[derive(clap::Args, Debug)]
pub struct ForOthers {
    /// Make it fit to be shown to others: the node's addresses, names, nonces and texts go, strangers become keyed identifiers
    ///
    /// The recordings are read twice: first all of them, for what they say of the nodes' own addresses. docs/redaction.md says what goes,
    /// and what it cannot hide. Archives of a node that is behind a proxy may not state its address: name it with `--own`.
    #[arg(long)]
    pub redact: bool,

    /// The key under which strangers become identifiers: a file of 32 bytes, made with `head -c 32 /dev/urandom`
    ///
    /// Without it, a key is made that nobody keeps, so that nothing links this output with any other; nor can it be added to. Give one to
    /// compare strangers over several outputs, or with whom you share it; who has it can find out addresses.
    #[arg(long, requires = "redact", value_name = "FILE")]
    pub redact_key: Option<PathBuf>,

    /// Addresses of the nodes' own, with or without port, besides those that the recordings state
    #[arg(long, requires = "redact", value_delimiter = ',', value_name = "ADDRESS")]
    pub own: Vec<String>,
}

/// `archive merge`
#[derive(clap::Args, Debug)]
pub struct ArchiveMerge {
    /// Files, or directories of segments
    #[arg(required = true)]
    pub files: Vec<PathBuf>,

    /// The file to write, which must not exist
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
}

/// `archive ship`
#[derive(clap::Args, Debug)]
pub struct ArchiveShip {
    /// Directories of segments, or of rotated debug logs
    #[arg(required = true, value_name = "DIR")]
    pub directories: Vec<PathBuf>,

    #[command(flatten)]
    pub ship: tools::ship::Config,
}

/// `archive export`
#[derive(clap::Args, Debug)]
pub struct ArchiveExport {
    /// Files, or directories of segments
    #[arg(required = true)]
    pub files: Vec<PathBuf>,

    /// Where the tables go: a directory, or `s3://bucket/prefix`
    #[arg(long, short, value_name = "PLACE")]
    pub output: tools::target::Place,

    /// What tables are written as
    // other commands have a `--format` with other words, which a file or the environment may choose
    #[arg(
        id = "export_format",
        long = "format",
        env = "PEER_OBSERVER_EXPORT_FORMAT",
        hide_env = true,
        value_enum,
        default_value_t = tools::export::Format::Parquet,
        value_name = "FORMAT"
    )]
    pub format: tools::export::Format,

    /// Say in the manifest under which licence the export may be used: `CC-BY-4.0`
    #[arg(long, value_name = "NAME")]
    pub license: Option<String>,

    #[command(flatten, next_help_heading = "What to take")]
    pub part: tools::archive::Part,

    #[command(flatten, next_help_heading = "For others")]
    pub others: ForOthers,

    #[cfg(feature = "s3")]
    #[command(flatten, next_help_heading = "S3")]
    pub s3: tools::target::s3::Options,
}

/// `replay`
#[derive(clap::Args, Debug)]
pub struct Replay {
    /// Files, or directories of segments; several are merged by time
    #[arg(required = true)]
    pub files: Vec<PathBuf>,

    /// How many times as fast as it happened: `1`, `60`, or `max` for as fast as the bus takes it
    #[arg(long, default_value = "1", value_name = "TIMES", value_parser = speed)]
    pub speed: extract::replay::Pace,

    /// Name of the replay: tools that should hear it are started with the same name
    #[arg(long, default_value = "default", value_name = "ID")]
    pub replay_id: bus::ReplayId,

    /// Stop at this time, written as for `--from`, and go on when Enter is pressed; may be given several times
    #[arg(long, value_name = "TIME")]
    pub pause_at: Vec<tools::archive::Moment>,

    #[command(flatten, next_help_heading = "What to play")]
    pub part: tools::archive::Part,

    #[command(flatten, next_help_heading = "NATS [nats]")]
    pub nats: bus::NatsOptions,
}

fn speed(text: &str) -> Result<extract::replay::Pace, String> {
    use extract::replay::Pace;
    if text == "max" {
        return Ok(Pace::Max);
    }
    let times = text.parse().ok().filter(|times: &f64| times.is_finite() && *times > 0.0);
    times.map(Pace::Times).ok_or_else(|| "a speed is a number above 0, or `max`".to_owned())
}

/// `bench`
#[derive(clap::Args, Debug)]
pub struct Bench {
    /// Only cases whose name contains this
    pub case: Option<String>,

    /// How long to run each case
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "1")]
    pub time: Duration,

    #[command(flatten, next_help_heading = "NATS [nats]")]
    pub nats: bus::NatsOptions,
}

/// `attack`
#[cfg(feature = "attack")]
#[derive(clap::Args, Debug)]
pub struct Attack {
    /// What to stage: a name or an entry of the catalogue, as `--list` has them
    #[arg(required_unless_present = "list")]
    pub scenario: Option<String>,

    /// The node's data directory, as given to `bitcoind -regtest -datadir`
    // an identifier of its own: neither the configuration's nodes nor the environment say who is attacked
    #[arg(id = "attacked", long = "datadir", value_name = "DIR", required_unless_present = "list")]
    pub datadir: Option<PathBuf>,

    /// How much of it: so many times what `--list` says, as far as a node has slots
    #[arg(long, default_value_t = 1, value_name = "TIMES", value_parser = clap::value_parser!(u8).range(1..=testkit::attack::MOST_STRENGTH as i64))]
    pub strength: u8,

    /// How long what is set up lasts, at most an hour, as in `30s` [default: as long as the detector wants to see it]
    #[arg(long, value_name = "TIME", value_parser = hold)]
    pub hold: Option<Duration>,

    /// Print what can be staged, what should be seen of it, and what remains at the node
    #[arg(long)]
    pub list: bool,
}

#[cfg(feature = "attack")]
fn hold(text: &str) -> Result<Duration, String> {
    const MOST: Duration = Duration::from_secs(3600);
    let time = event::interval::parse(text)?;
    if time > MOST { Err("an attack lasts an hour at most".to_owned()) } else { Ok(time) }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// The components that the file can configure, in the order of the map.
pub const SECTIONS: &[Section] = &[
    Section::of::<bus::NatsOptions>("nats", "NATS: carries events between processes and machines"),
    #[cfg(feature = "ebpf")]
    Section::of::<extract::ebpf::Config>("ebpf", "Kernel probes on the node's tracepoints"),
    Section::of::<extract::rpc::Config>("rpc", "What the node says of itself over RPC"),
    Section::of::<extract::log::Config>("log", "What the node writes into its debug.log"),
    Section::of::<extract::proc::Config>("proc", "What the node's process uses"),
    Section::of::<extract::p2p::Config>("p2p", "A connection that the node makes to us"),
    Section::of::<tools::join::Config>("join", "The join: a close with its reason, a rejection with its sender"),
    Section::of::<tools::reconcile::Config>("reconcile", "The reconciliation: do the probes see what the node counts?"),
    Section::of::<extract::ipc::Config>("ipc", "The node's IPC socket, in builds with the feature `ipc`"),
    Section::of::<tools::logger::Config>("logger", "The logger: a line per event"),
    Section::of::<tools::metrics::Config>("metrics", "Metrics: numbers for Prometheus"),
    Section::of::<tools::detect::Config>("detect", "The detectors: attacks and anomalies, as they happen"),
    Section::of::<tools::connect::Config>(
        "connect",
        "Visits to advertised addresses: dials strangers; runs only where this section or its flags are there (docs/connect.md)",
    ),
    Section::of::<tools::incidents::Config>(
        "incidents",
        "The incident book: what findings become; kept only where `book` or `--incidents-book` names a file",
    ),
    Section::of::<tools::messages::Config>("messages", "Messages: who is told of incidents; needs a book"),
    Section::of::<tools::web::Config>("web", "Pages: what happens, live, in a browser"),
    Section::of::<tools::archive::Config>(
        "archive",
        "The archive: keeps what happens; runs only where this section or `--archive` is there",
    ),
    Section::of::<tools::ship::Config>(
        "ship",
        "Shipping: copies the archive to another place; runs only where this section or `--ship-to` is there",
    ),
];

/// What the file says of a node.
pub const NODE: Section = Section::of::<extract::node::Config>("node", "Nodes to watch");

/// What was asked for.
pub struct Parsed {
    /// The command line, with the rest as its defaults.
    pub cli: Cli,
    /// The configuration file, if there is one.
    pub file: Option<File>,
    /// Flags about a node that the command line or the environment has.
    pub told: Vec<String>,
}

/// Reads the command line, the environment and the configuration file.
///
/// # Errors
///
/// What is wrong with them. Help and version are printed and end the program here.
pub fn parse(line: &[std::ffi::OsString]) -> Result<Parsed, Failure> {
    let command = with_environment(Cli::command());
    // the file's name is needed before the file's values can be defaults; other mistakes are told in the second round
    let early = command.clone().ignore_errors(true).disable_help_flag(true).try_get_matches_from(line).ok();
    let path = early.and_then(|matches| matches.try_get_one::<PathBuf>("config").ok().flatten().cloned());
    let file = path.as_deref().map(|path| File::read(path, SECTIONS, &NODE)).transpose().map_err(wrong_file)?;
    let command = file.iter().fold(command, |command, file| file.apply(command));
    let matches = command.try_get_matches_from(line).unwrap_or_else(|error| error.exit());
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let mut told = vec![];
    let mut innermost = &matches;
    while let Some((_, inner)) = innermost.subcommand() {
        innermost = inner;
    }
    for id in NODE.flags() {
        use clap::parser::ValueSource::{CommandLine, EnvVariable};
        // not every command is about a node
        if let Ok(true) = innermost.try_contains_id(&id)
            && matches!(innermost.value_source(&id), Some(CommandLine | EnvVariable))
        {
            told.push(id.replace('_', "-"));
        }
    }
    Ok(Parsed { cli, file, told })
}

fn wrong_file(error: anyhow::Error) -> Failure {
    Failure::new(Code::Usage, error).hint("`peer-observer config` prints a configuration with every key explained")
}

/// Gives every flag of a component its environment variable: `PEER_OBSERVER_` and the flag in capitals.
fn with_environment(command: clap::Command) -> clap::Command {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let variable = |arg: clap::Arg| match arg.get_long() {
        Some(long) if arg.get_env().is_none() && long != "help" && long != "version" => {
            let name = format!("PEER_OBSERVER_{}", long.replace('-', "_").to_uppercase());
            arg.env(name).hide_env(true)
        }
        _ => arg,
    };
    // what may be attacked is said where the attack is asked for
    let names = names.into_iter().filter(|name| name != "attack");
    names.fold(command, |command, name| command.mut_subcommand(name, |sub| with_environment(sub.mut_args(variable))))
}

/// The nodes to watch: the one of the command line, or those of the file.
///
/// # Errors
///
/// A table in the file that describes no node, a flag that would not say about which node it is, or a secret that could go to a
/// stranger.
pub fn nodes(line: &extract::node::Config, file: Option<&File>, told: &[String]) -> Result<Vec<extract::node::Config>, Failure> {
    let nodes = named(line, file, told)?;
    for node in &nodes {
        if node.name.as_str() == detect::FLEET {
            return Err(Failure::new(Code::Usage, anyhow::anyhow!("no node can be called `{}`", node.name))
                .hint("what is found about all nodes together goes by that name: choose another"));
        }
        node.check().map_err(|error| {
            let hint = error.hint();
            Failure::new(Code::Usage, error).hint(hint)
        })?;
    }
    Ok(nodes)
}

fn named(line: &extract::node::Config, file: Option<&File>, told: &[String]) -> Result<Vec<extract::node::Config>, Failure> {
    let of_file = file.map(|file| file.nodes(&NODE)).transpose().map_err(wrong_file)?.unwrap_or_default();
    // a flag that says which node is meant is about another one than the file's
    if of_file.is_empty() || told.iter().any(|flag| ["datadir", "pid-file", "pid"].contains(&flag.as_str())) {
        return Ok(vec![line.clone()]);
    }
    match told.first() {
        None => Ok(of_file),
        Some(flag) => {
            Err(Failure::new(Code::Usage, anyhow::anyhow!("`--{flag}` is about one node, and the configuration names nodes")).hint(
                format!(
                    "put `{flag}` into the node's table in the configuration, or say with `--datadir` which other node is meant"
                ),
            ))
        }
    }
}
