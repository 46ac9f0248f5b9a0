//! Which node to watch, and what it is called.

use std::path::PathBuf;

use event::NodeName;

/// A node on this machine. Without any hint, the one that runs.
#[derive(Clone, PartialEq, Eq, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// What to call the node: in lines, labels, subjects
    ///
    /// Letters, digits, `-` and `_`. Events of nodes are told apart by it, so it should be unique and stay.
    #[arg(long, default_value = "node", value_name = "NAME")]
    pub name: NodeName,

    /// The node's data directory, as given to `bitcoind -datadir`
    ///
    /// The node is found by the process id that it writes there, also for networks other than mainnet. Default: the node that runs on
    /// this machine, whose directory is read from its command line.
    #[arg(long, value_name = "DIR")]
    pub datadir: Option<PathBuf>,

    /// The file with the node's process id, where it is not in the data directory
    #[arg(long, value_name = "FILE", conflicts_with = "datadir")]
    pub pid_file: Option<PathBuf>,

    /// The node's process id; after a restart, the process that the same user started in the same way
    #[arg(long, value_name = "PID", conflicts_with_all = ["datadir", "pid_file"])]
    pub pid: Option<u32>,

    /// Its RPC.
    #[command(flatten)]
    pub rpc: crate::rpc::Access,

    /// Its log.
    #[command(flatten)]
    pub log: crate::log::Place,

    /// Where it finds us.
    #[command(flatten)]
    pub p2p: crate::p2p::Place,

    /// Its IPC socket.
    #[command(flatten)]
    pub ipc: crate::ipc::Access,
}

impl Config {
    /// Whether the node is named well enough for the secrets that go with it.
    ///
    /// # Errors
    ///
    /// A secret could reach somebody else.
    pub fn check(&self) -> Result<(), crate::rpc::AccessError> {
        self.rpc.check(self.datadir.is_some() || self.pid_file.is_some() || self.pid.is_some())
    }

    /// The node of a data directory, with everything else as by default.
    pub fn of_datadir(name: NodeName, datadir: impl Into<PathBuf>) -> Self {
        use clap::{Args as _, FromArgMatches as _};
        let defaults = Self::augment_args(clap::Command::new("node")).get_matches_from([""; 0]);
        let defaults = Self::from_arg_matches(&defaults).expect("every flag has a default or needs none");
        Self { name, datadir: Some(datadir.into()), ..defaults }
    }
}
