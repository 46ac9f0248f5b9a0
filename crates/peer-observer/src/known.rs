//! What is known of a node at the start, while this process may still look everywhere, and how it is found later.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use event::NodeName;
use extract::life::Life;
use extract::{ipc, log, node, rpc};

/// A node to watch.
pub struct Known {
    /// What the operator says of it.
    pub config: node::Config,
    /// Where its RPC is.
    pub rpc: rpc::Target,
    /// Where its IPC socket is.
    pub ipc: ipc::Target,
    /// Where its log is; nothing if it writes none.
    pub log: Option<log::Target>,
    /// What it was told to write there; only of a process can that be known.
    pub log_options: Option<log::WhatIsWritten>,
    /// Its process, if it runs.
    pub life: Option<Life>,
    /// Why there is none.
    pub missing: Option<Missing>,
    /// The user and group that it runs as, or will run as by whose data directory it is.
    pub user: Option<(u32, u32)>,
    #[cfg(feature = "ebpf")]
    finder: ebpf::process::Finder,
}

/// Why a node's process was not found.
pub struct Missing {
    /// In words.
    pub reason: String,
    /// What to do about it.
    pub hint: &'static str,
}

impl Known {
    /// What to call it.
    pub fn name(&self) -> &NodeName {
        &self.config.name
    }

    /// Looks for the process, now and later.
    #[cfg(feature = "ebpf")]
    pub fn find(config: node::Config) -> Self {
        let mut finder = ebpf::process::Finder::new(config.target());
        let found = finder.find();
        let process = found.as_ref().ok();
        let place = place(&config, process);
        let (rpc, ipc, log) = (config.rpc.target(&place), config.ipc.target(&place), config.log.target(&place));
        let log_options = process.is_some().then(|| log::WhatIsWritten::of(&place.settings()));
        let missing = found.as_ref().err().map(|error| Missing { reason: error.to_string(), hint: error.hint() });
        let user = process.map_or_else(|| owner(&config), |process| Some((process.uid, process.gid)));
        let life = process.map(|process| life(process, &config));
        Self { config, rpc, ipc, log, log_options, life, missing, user, finder }
    }

    /// Without the part that looks for processes, only what the operator said is known.
    #[cfg(not(feature = "ebpf"))]
    pub fn find(config: node::Config) -> Self {
        let place = told(&config);
        let (rpc, ipc, log) = (config.rpc.target(&place), config.ipc.target(&place), config.log.target(&place));
        let user = owner(&config);
        Self { config, rpc, ipc, log, log_options: None, life: None, missing: None, user }
    }

    /// Where the RPC of each of its lives is. Of the first it is known already, from when everything could be looked at.
    pub fn locate(&self) -> rpc::Locate {
        let config = self.config.clone();
        let first = self.life.clone().map(|life| (life, self.rpc.clone()));
        Arc::new(move |life| match (&first, life) {
            (Some((known, target)), Some(life)) if known == life => target.clone(),
            _ => config.rpc.target(&place_of(&config, life)),
        })
    }

    /// Where the log of each later life is.
    pub fn locate_log(&self) -> log::Locate {
        let config = self.config.clone();
        Box::new(move |life| config.log.target(&place_of(&config, Some(life))))
    }

    /// Where the IPC socket of each of its lives is. Of the first it is known already.
    #[cfg(feature = "ipc")]
    pub fn locate_ipc(&self) -> ipc::Locate {
        let config = self.config.clone();
        let first = self.life.clone().map(|life| (life, self.ipc.clone()));
        Arc::new(move |life| match (&first, life) {
            (Some((known, target)), Some(life)) if known == life => target.clone(),
            _ => config.ipc.target(&place_of(&config, life)),
        })
    }

    /// Something that looks for the process each time it is called.
    #[cfg(feature = "ebpf")]
    pub fn into_search(self) -> impl FnMut() -> Option<Life> + Send + 'static {
        let Self { mut finder, config, .. } = self;
        move || finder.find().ok().map(|process| life(&process, &config))
    }

    /// Nothing here can look for a process.
    #[cfg(not(feature = "ebpf"))]
    pub fn into_search(self) -> impl FnMut() -> Option<Life> + Send + 'static {
        || None
    }
}

#[cfg(feature = "ebpf")]
fn life(process: &ebpf::process::Node, config: &node::Config) -> Life {
    let place = place(config, Some(process));
    let datadir = place.datadir.is_some().then(|| place.settings().datadir);
    Life { pid: process.pid, node_run: process.node_run, datadir }
}

/// What a life of a node says of where things are.
#[cfg(feature = "ebpf")]
fn place_of(config: &node::Config, life: Option<&Life>) -> rpc::Place {
    let process = life.and_then(|life| ebpf::process::Node::of(life.pid).filter(|process| process.node_run == life.node_run));
    place(config, process.as_ref())
}

#[cfg(not(feature = "ebpf"))]
fn place_of(config: &node::Config, _: Option<&Life>) -> rpc::Place {
    told(config)
}

#[cfg(feature = "ebpf")]
fn place(config: &node::Config, process: Option<&ebpf::process::Node>) -> rpc::Place {
    // Who may not look into another user's process has to believe its command line when it names this data directory. That must not be
    // enough to have the operator's secret sent to the port that it names as well.
    let believed = process.filter(|process| owner(config).is_none_or(|(owner, _)| process.uid == owner || process.uid == 0));
    match believed {
        None => told(config),
        Some(process) => rpc::Place {
            datadir: config.datadir.clone().or_else(|| process.datadir()),
            command: process.command.clone(),
            working: process.working(),
            // what it names must be its own
            owner: Some(process.uid),
        },
    }
}

/// What the operator says of where things are.
fn told(config: &node::Config) -> rpc::Place {
    rpc::Place { datadir: config.datadir.clone(), ..rpc::Place::default() }
}

/// Whose the data directory is that the operator named.
fn owner(config: &node::Config) -> Option<(u32, u32)> {
    let directory = config.datadir.as_ref()?.metadata().ok()?;
    Some((directory.uid(), directory.gid()))
}
