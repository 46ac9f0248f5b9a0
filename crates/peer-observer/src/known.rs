//! What is known of a node at the start, while this process may still look everywhere.

use event::NodeName;
use extract::life::Life;
use extract::{log, node, rpc};

/// A node to watch.
pub struct Known {
    /// What the operator says of it.
    pub config: node::Config,
    /// Where its RPC is.
    pub rpc: rpc::Target,
    /// Where its log is; nothing if it writes none.
    pub log: Option<log::Target>,
    /// What it was told to write there; only of a process can that be known.
    pub log_options: Option<rpc::LogOptions>,
    /// Its process, if it runs.
    pub life: Option<Life>,
    /// Why there is none.
    pub missing: Option<Missing>,
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
        let place = match &found {
            // what it names must be its own
            Ok(process) => rpc::Place { owner: Some(process.uid), ..place(&config, Some((process.pid, &process.command))) },
            Err(_) => place(&config, None),
        };
        let (rpc, log) = (config.rpc.target(&place), config.log.target(&place));
        let log_options = found.is_ok().then(|| place.log_options());
        let missing = found.as_ref().err().map(|error| Missing { reason: error.to_string(), hint: error.hint() });
        let life = found.ok().map(|process| life(&process, &config));
        Self { config, rpc, log, log_options, life, missing, finder }
    }

    /// Without the part that looks for processes, only what the operator said is known.
    #[cfg(not(feature = "ebpf"))]
    pub fn find(config: node::Config) -> Self {
        let place = place(&config, None);
        let (rpc, log) = (config.rpc.target(&place), config.log.target(&place));
        Self { config, rpc, log, log_options: None, life: None, missing: None }
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
    Life {
        pid: process.pid,
        node_run: process.node_run,
        datadir: config.datadir.clone().or_else(|| told_datadir(&process.command)),
    }
}

/// The data directory that a command line names; relative ones are left to whoever knows where the process was started.
#[cfg(feature = "ebpf")]
fn told_datadir(command: &[String]) -> Option<std::path::PathBuf> {
    let told = command.iter().filter_map(|word| word.trim_start_matches('-').strip_prefix("datadir=")).next_back()?;
    Some(told.into()).filter(|path: &std::path::PathBuf| path.is_absolute())
}

fn place(config: &node::Config, process: Option<(u32, &Vec<String>)>) -> rpc::Place {
    let link = |name: &str| process.and_then(|(pid, _)| std::fs::read_link(format!("/proc/{pid}/{name}")).ok());
    rpc::Place {
        datadir: config.datadir.clone(),
        command: process.map(|(_, command)| command.clone()).unwrap_or_default(),
        working: link("cwd"),
        home: process.and_then(|(pid, _)| home(pid)).or_else(std::env::home_dir),
        owner: None,
    }
}

/// `HOME` in the environment of a process, which decides where its data is by default.
fn home(pid: u32) -> Option<std::path::PathBuf> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let home = environment.split(|byte| *byte == 0).find_map(|variable| variable.strip_prefix(b"HOME="))?;
    Some(String::from_utf8(home.to_vec()).ok()?.into())
}
