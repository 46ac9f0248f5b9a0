//! What a node writes into its log, by its own options.

use std::collections::BTreeSet;

use crate::rpc::Settings;

/// What a node was told of its log when it started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WhatIsWritten {
    all: bool,
    named: BTreeSet<String>,
    excluded: BTreeSet<String>,
    /// Addresses of peers (`-logips`).
    pub addresses: bool,
    /// Times with microseconds (`-logtimemicros`).
    pub micros: bool,
    /// Times at all (`-logtimestamps`).
    pub times: bool,
    /// Lines of a place that writes too much are suppressed (`-logratelimit`, since Bitcoin Core 29.1).
    pub limited: bool,
}

impl WhatIsWritten {
    /// By its command line and configuration.
    pub fn of(settings: &Settings) -> Self {
        let mut written = Self {
            all: false,
            named: BTreeSet::new(),
            excluded: settings.every("debugexclude").into_iter().map(str::to_owned).collect(),
            addresses: settings.is_on("logips", false),
            micros: settings.is_on("logtimemicros", false),
            times: settings.is_on("logtimestamps", true),
            limited: settings.is_on("logratelimit", true),
        };
        for category in settings.every("debug") {
            match category {
                "1" | "all" | "" => written.all = true,
                // takes back what was before it
                "0" | "none" => (written.all, written.named) = (false, BTreeSet::new()),
                category => drop(written.named.insert(category.to_owned())),
            }
        }
        written
    }

    /// Whether lines of this category are written.
    pub fn has(&self, category: &str) -> bool {
        (self.all || self.named.contains(category)) && !self.excluded.contains(category)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::Place;
    use std::path::Path;
    use tempfile::TempDir;

    fn of(command: &str) -> WhatIsWritten {
        let command = command.split(' ').map(str::to_owned).collect();
        WhatIsWritten::of(&Place { datadir: Some("/nonexistent".into()), command, ..Place::default() }.settings())
    }

    #[test]
    fn what_is_logged_is_what_the_node_is_told() {
        let categories = |command: &str| {
            let options = of(command);
            ["net", "mempool", "rand"].into_iter().filter(|category| options.has(category)).collect::<Vec<_>>()
        };
        assert_eq!(categories("bitcoind"), [""; 0]);
        assert_eq!(categories("bitcoind -debug=net -debug=mempool"), ["net", "mempool"]);
        assert_eq!(categories("bitcoind -debug -debugexclude=rand"), ["net", "mempool"]);
        assert_eq!(categories("bitcoind -debug=rand -debug=0 -debug=net"), ["net"]);
        assert_eq!(categories("bitcoind -debug=1 -nodebug"), [""; 0]);
        let options = of("bitcoind -logips -logtimemicros=1 -logratelimit=0");
        assert_eq!((options.addresses, options.micros, options.times, options.limited), (true, true, true, false));
        assert!(!of("bitcoind -nologtimestamps").times);
    }

    #[test]
    fn the_log_is_where_the_node_is_told_to_write_it() {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("bitcoin.conf"), "debuglogfile=conf.log\n[regtest]\ndebuglogfile=regtest.log\n").unwrap();
        let log = |command: &str| {
            let command = command.split(' ').map(str::to_owned).collect();
            let owner = Some(rustix::process::geteuid().as_raw());
            let path = Place { datadir: Some(folder.path().into()), command, owner, ..Place::default() }.settings().log()?;
            Some(path.strip_prefix(folder.path()).unwrap_or(&path).display().to_string())
        };
        for (command, expected) in [
            ("bitcoind", Some("conf.log")),
            ("bitcoind -signet", Some("signet/conf.log")),
            ("bitcoind -regtest", Some("regtest/regtest.log")),
            ("bitcoind -regtest -debuglogfile=x.log", Some("regtest/x.log")),
            ("bitcoind -debuglogfile=/var/log/x.log", Some("/var/log/x.log")),
            ("bitcoind -nodebuglogfile", None),
            ("bitcoind -nodebuglogfile -debuglogfile=x.log", Some("x.log")),
            ("bitcoind -debuglogfile=x.log -nodebuglogfile=1", None),
        ] {
            assert_eq!(log(command).as_deref(), expected, "{command}");
        }
        let nowhere = Place { datadir: Some("/d".into()), ..Place::default() };
        assert_eq!(nowhere.settings().log().as_deref(), Some(Path::new("/d/debug.log")));
    }
}
