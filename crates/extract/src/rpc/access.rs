//! Where a node's RPC is, and with what secret.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::client::CallError;
use super::file::{Named, Owner, read_small};

/// How to reach the RPC of a node. Without any hint, it is found by the node's data directory.
#[derive(Clone, PartialEq, Eq, Debug, Default, clap::Args)]
#[group(skip)]
pub struct Access {
    /// Where the node's RPC listens: `http://127.0.0.1:8332`
    ///
    /// Default: this machine, at the port that the node's command line, its bitcoin.conf or its network say. There is no encryption: for a
    /// node on another machine use a tunnel.
    #[arg(long, value_name = "URL")]
    pub rpc_url: Option<Address>,

    /// The node's cookie file
    ///
    /// Default: `.cookie` in the network's folder of the node's data directory. The node writes a new one at each start; it is read again
    /// then.
    #[arg(long, value_name = "FILE", conflicts_with = "rpc_user")]
    pub rpc_cookie: Option<PathBuf>,

    /// User, where the cookie is not to be used; `peer-observer doctor` prints the lines that make one with few rights
    #[arg(long, value_name = "NAME", requires = "rpc_password_file")]
    pub rpc_user: Option<String>,

    /// The file with the user's password
    #[arg(long, value_name = "FILE", requires = "rpc_user")]
    pub rpc_password_file: Option<PathBuf>,
}

/// Host and port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address(String);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") {
            return Err("a node's RPC knows no TLS: use `http://`, through a tunnel where the node is on another machine".into());
        }
        let rest = text.strip_prefix("http://").unwrap_or(text);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err("user and password do not belong here: use `--rpc-user` and `--rpc-password-file`".into());
        }
        let (host, port) = rest.rsplit_once(':').ok_or("a port is missing, as in `http://127.0.0.1:8332`")?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let plain = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        if !(plain || bracketed) || port.parse::<u16>().is_err() {
            return Err(format!("`{text}` is no address of an RPC server; one is `http://127.0.0.1:8332`"));
        }
        Ok(Self(rest.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of the node beforehand; each may be missing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// Its data directory, or the folder of its network there.
    pub datadir: Option<PathBuf>,
    /// Its command line.
    pub command: Vec<String>,
    /// Its working directory: relative paths in the command line begin there.
    pub working: Option<PathBuf>,
    /// The home of its user.
    pub home: Option<PathBuf>,
    /// The user that its process runs as: the files that it names must be theirs. Where it is not known, they must be ours, or,
    /// without a command line that could have named any, of the data directory's owner.
    pub owner: Option<u32>,
}

/// One node's RPC.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Host and port.
    pub address: String,
    /// How to prove who we are.
    pub secret: Secret,
    /// Where the node writes its process id, if it runs on this machine.
    pub pid_file: Option<PathBuf>,
}

/// How to prove who we are. Read anew at each connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Secret {
    /// A file with `user:password`, which the operator named.
    Cookie(PathBuf),
    /// The file that the node writes, where its command line, its configuration or the default says it is.
    NodesCookie(PathBuf, Owner),
    /// A user, and a file with the password.
    User(String, PathBuf),
}

/// Long enough for any secret.
const LONGEST_SECRET: u64 = 4096;
/// Long enough for any configuration.
const LONGEST_CONF: u64 = 1 << 20;
/// The user of every cookie that a node writes (Bitcoin Core `src/rpc/request.cpp`, `COOKIEAUTH_USER`).
const COOKIE_USER: &str = "__cookie__";

impl Secret {
    /// `user:password`
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is something else.
    pub fn read(&self) -> Result<String, CallError> {
        let (path, named) = match self {
            Self::Cookie(path) | Self::User(_, path) => (path, Named::ByOperator),
            Self::NodesCookie(path, owner) => (path, Named::ByNode(owner)),
        };
        let text = read_small(path, named, LONGEST_SECRET)
            .map_err(|error| CallError::NoSecret(format!("failed to read {self}: {error}")))?;
        let text = text.trim_end_matches(['\r', '\n']);
        if let Self::User(user, _) = self {
            return Ok(format!("{user}:{text}"));
        }
        let parts = text.split_once(':').filter(|(user, password)| !user.is_empty() && !password.is_empty());
        let (user, _) = parts
            .filter(|_| !text.contains(char::is_control))
            .ok_or_else(|| CallError::NoSecret(format!("{self} is none: it is not one line with `user:password`")))?;
        // whatever else a process that calls itself a node may point at, it gets none but a node's secret
        if matches!(self, Self::NodesCookie(..)) && user != COOKIE_USER {
            return Err(CallError::NoSecret(format!("{self} is none: no node wrote it")));
        }
        Ok(text.to_owned())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie(path) | Self::NodesCookie(path, _) => write!(f, "the cookie {}", path.display()),
            Self::User(user, path) => write!(f, "the password of `{user}` in {}", path.display()),
        }
    }
}

/// A network: `-chain=` and flag, folder below the data directory, RPC port (Bitcoin Core `src/chainparamsbase.cpp`).
const NETWORKS: [(&str, &str, u16); 5] = [
    ("main", "", 8332),
    ("test", "testnet3", 18332),
    ("testnet4", "testnet4", 48332),
    ("signet", "signet", 38332),
    ("regtest", "regtest", 18443),
];

impl Access {
    /// Finds what was not told: by the node's command line, its bitcoin.conf, and what lies in its data directory.
    pub fn target(&self, place: &Place) -> Target {
        let Settings { folder, port, values, owner } = place.settings();
        let last = |key: &str| last(&values, key);
        let port = last("rpcport").and_then(|port| port.parse().ok()).unwrap_or(port);
        let cookie = || folder.join(last("rpccookiefile").unwrap_or_else(|| ".cookie".into()));
        Target {
            address: self.rpc_url.as_ref().map_or_else(|| format!("127.0.0.1:{port}"), ToString::to_string),
            secret: match (&self.rpc_user, &self.rpc_password_file) {
                (Some(user), Some(file)) => Secret::User(user.clone(), file.clone()),
                _ => self.rpc_cookie.clone().map_or_else(|| Secret::NodesCookie(cookie(), owner), Secret::Cookie),
            },
            pid_file: Some(folder.join(last("pid").unwrap_or_else(|| "bitcoind.pid".into()))),
        }
    }
}

/// What is in the configuration; nothing if there is none, or it may not be read.
fn configuration(path: &Path, owner: &Owner) -> String {
    read_small(path, Named::Configuration(owner), LONGEST_CONF).unwrap_or_else(|error| {
        match error.kind() {
            io::ErrorKind::NotFound => {}
            io::ErrorKind::InvalidData => tracing::warn!(path = %path.display(), %error, "the node's configuration is not read"),
            _ => tracing::debug!(path = %path.display(), %error, "the node's configuration cannot be read"),
        }
        String::new()
    })
}

/// What a node writes into its log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogOptions {
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

impl LogOptions {
    /// Whether lines of this category are written.
    pub fn has(&self, category: &str) -> bool {
        (self.all || self.named.contains(category)) && !self.excluded.contains(category)
    }
}

/// What a node's command line and configuration come to.
struct Settings {
    /// Of the network, in the data directory.
    folder: PathBuf,
    /// Of the network's RPC.
    port: u16,
    /// Keys and values; the last counts.
    values: Vec<(String, String)>,
    owner: Owner,
}

fn last(settings: &[(String, String)], key: &str) -> Option<String> {
    settings.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.clone())
}

impl Place {
    /// Where the node writes its log, and whose the file must be; `None` when it is told to write none.
    pub fn log(&self) -> Option<(PathBuf, Owner)> {
        let Settings { folder, values, owner, .. } = self.settings();
        // the last that says something of it counts, in either form
        let told = values.iter().rev().find_map(|(key, value)| match (key.as_str(), value.as_str()) {
            ("debuglogfile", path) => Some(Some(path)),
            ("nodebuglogfile", "0") => Some(Some("debug.log")),
            ("nodebuglogfile", _) => Some(None),
            _ => None,
        });
        told.unwrap_or(Some("debug.log")).map(|path| (folder.join(path), owner))
    }

    /// What the node was told of its log when it started.
    pub fn log_options(&self) -> LogOptions {
        let Settings { values, .. } = self.settings();
        let is_on = |key: &str, default: bool| last(&values, key).map_or(default, |value| value != "0");
        let mut options = LogOptions {
            all: false,
            named: BTreeSet::new(),
            excluded: BTreeSet::new(),
            addresses: is_on("logips", false),
            micros: is_on("logtimemicros", false),
            times: is_on("logtimestamps", true),
            limited: is_on("logratelimit", true),
        };
        for (key, value) in &values {
            match (key.as_str(), value.as_str()) {
                ("debug", "1" | "all" | "") => options.all = true,
                // takes back what was before it
                ("debug", "0" | "none") | ("nodebug", _) => (options.all, options.named) = (false, BTreeSet::new()),
                ("debug", category) => drop(options.named.insert(category.to_owned())),
                ("debugexclude", category) => drop(options.excluded.insert(category.to_owned())),
                _ => {}
            }
        }
        options
    }

    fn settings(&self) -> Settings {
        let base = self.base();
        let command = self
            .command
            .iter()
            .filter_map(|word| word.trim_start_matches('-').split_once('=').or(Some((word.trim_start_matches('-'), "1"))));
        let command: Vec<(String, String)> = command.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let owner = self.owner(&base);
        let conf = configuration(&base.join(last(&command, "conf").unwrap_or_else(|| "bitcoin.conf".into())), &owner);
        let network = chain(&command)
            .or_else(|| chain(&section(&conf, "")))
            .or_else(|| NETWORKS.into_iter().find(|(_, folder, _)| base.join(folder).join("bitcoind.pid").is_file()))
            .unwrap_or(NETWORKS[0]);
        let (name, folder, port) = network;
        let mut values = section(&conf, "");
        // in the part before the first section, this counts for mainnet only (Bitcoin Core `ArgsManager::NETWORK_ONLY`)
        values.retain(|(key, _)| name == "main" || key != "rpcport");
        values.extend(section(&conf, name));
        values.extend(command);
        Settings { folder: base.join(folder), port, values, owner }
    }

    /// Whose the files must be that the node names.
    fn owner(&self, base: &Path) -> Owner {
        match self.owner {
            Some(uid) => Owner::Uid(uid),
            // nobody but the operator, or our own home, has named anything
            None if self.command.is_empty() => Owner::Of(base.to_owned()),
            // a command line of we do not know whom: it is believed as far as that gives nothing but what is ours
            None => Owner::Uid(rustix::process::geteuid().as_raw()),
        }
    }

    /// The data directory, without the network's folder.
    fn base(&self) -> PathBuf {
        let named = self.command.iter().rev().find_map(|word| word.trim_start_matches('-').strip_prefix("datadir="));
        let from_command = || Some(self.working.clone().unwrap_or_default().join(named?));
        let home = || self.home.clone().or_else(std::env::home_dir).unwrap_or_default().join(".bitcoin");
        let path = self.datadir.clone().or_else(from_command).unwrap_or_else(home);
        let folder = path.file_name().is_some_and(|name| NETWORKS.iter().any(|(_, folder, _)| name == *folder));
        match path.parent() {
            Some(parent) if folder && !path.join("bitcoin.conf").exists() && path.join("bitcoind.pid").exists() => {
                parent.to_owned()
            }
            _ => path,
        }
    }
}

fn chain(settings: &[(String, String)]) -> Option<(&'static str, &'static str, u16)> {
    settings.iter().rev().find_map(|(key, value)| {
        let name = match (key.as_str(), value.as_str()) {
            ("chain", name) => name,
            ("testnet", "1") => "test",
            (flag, "1") => flag,
            _ => return None,
        };
        NETWORKS.into_iter().find(|(known, ..)| *known == name)
    })
}

/// The settings of one section of a bitcoin.conf; those before the first section are in the one without a name.
fn section(conf: &str, wanted: &str) -> Vec<(String, String)> {
    let mut current = "";
    let mut settings = Vec::new();
    for line in conf.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            current = name.trim();
        } else if let Some((key, value)) = line.split_once('=') {
            // `regtest.rpcport=1` is another way to say it in the section
            let (of, key) = key.trim().split_once('.').unwrap_or((current, key.trim()));
            if of == wanted {
                settings.push((key.to_owned(), value.trim().to_owned()));
            }
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};
    use tempfile::TempDir;

    fn us() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    #[track_caller]
    fn check(files: &[(&str, &str)], command: &[&str], expected: [&str; 3]) {
        let folder = TempDir::new().unwrap();
        for (file, text) in files {
            let file = folder.path().join(file);
            create_dir_all(file.parent().unwrap()).unwrap();
            write(file, text).unwrap();
        }
        let place = Place {
            datadir: None,
            command: command.iter().map(ToString::to_string).collect(),
            working: Some(folder.path().into()),
            home: Some(folder.path().into()),
            owner: Some(us()),
        };
        let target = Access::default().target(&place);
        let Secret::NodesCookie(cookie, owner) = target.secret else { panic!("a cookie") };
        assert_eq!(owner, Owner::Uid(us()));
        let relative = |path: &Path| path.strip_prefix(folder.path()).unwrap_or(path).display().to_string();
        assert_eq!([target.address.as_str(), &relative(&cookie), &relative(&target.pid_file.unwrap())], expected);
    }

    #[test]
    fn a_node_without_options_is_on_mainnet() {
        check(&[], &["bitcoind"], ["127.0.0.1:8332", ".bitcoin/.cookie", ".bitcoin/bitcoind.pid"]);
    }

    #[test]
    fn the_command_line_says_where() {
        let command = ["/usr/bin/bitcoind", "-datadir=d", "--regtest", "-rpcport=1", "-rpcport=2", "-pid=p"];
        check(&[], &command, ["127.0.0.1:2", "d/regtest/.cookie", "d/regtest/p"]);
        check(
            &[],
            &["bitcoind", "-datadir=d", "-chain=testnet4"],
            ["127.0.0.1:48332", "d/testnet4/.cookie", "d/testnet4/bitcoind.pid"],
        );
    }

    #[test]
    fn the_configuration_says_where() {
        let conf = "regtest=1 # for now\nrpcport=1\n[main]\nrpcport=2\n[regtest]\nrpcport=3\nrpccookiefile=/c\n";
        check(&[("d/bitcoin.conf", conf)], &["bitcoind", "-datadir=d"], ["127.0.0.1:3", "/c", "d/regtest/bitcoind.pid"]);
        check(&[("d/bitcoin.conf", "rpcport=1")], &["bitcoind", "-datadir=d"], ["127.0.0.1:1", "d/.cookie", "d/bitcoind.pid"]);
        check(
            &[("d/bitcoin.conf", "signet.rpcport=9")],
            &["bitcoind", "-datadir=d", "-signet"],
            ["127.0.0.1:9", "d/signet/.cookie", "d/signet/bitcoind.pid"],
        );
    }

    #[test]
    fn what_stands_before_the_first_section_counts_for_every_network() {
        check(
            &[("d/bitcoin.conf", "regtest=1\nrpccookiefile=/c\npid=p\nrpcport=1\n")],
            &["bitcoind", "-datadir=d"],
            ["127.0.0.1:18443", "/c", "d/regtest/p"],
        );
    }

    #[test]
    fn the_log_is_where_the_node_is_told_to_write_it() {
        let folder = TempDir::new().unwrap();
        write(folder.path().join("bitcoin.conf"), "debuglogfile=conf.log\n[regtest]\ndebuglogfile=regtest.log\n").unwrap();
        let log = |command: &[&str]| {
            let command = command.iter().map(ToString::to_string).collect();
            let place = Place { datadir: Some(folder.path().into()), command, owner: Some(7), ..Place::default() };
            let (path, owner) = place.log()?;
            assert_eq!(owner, Owner::Uid(7));
            Some(path.strip_prefix(folder.path()).unwrap_or(&path).display().to_string())
        };
        for (command, expected) in [
            (&["bitcoind"][..], Some("conf.log")),
            (&["bitcoind", "-signet"], Some("signet/conf.log")),
            (&["bitcoind", "-regtest"], Some("regtest/regtest.log")),
            (&["bitcoind", "-regtest", "-debuglogfile=x.log"], Some("regtest/x.log")),
            (&["bitcoind", "-debuglogfile=/var/log/x.log"], Some("/var/log/x.log")),
            (&["bitcoind", "-nodebuglogfile"], None),
            (&["bitcoind", "-nodebuglogfile", "-debuglogfile=x.log"], Some("x.log")),
            (&["bitcoind", "-debuglogfile=x.log", "-nodebuglogfile=1"], None),
            (&["bitcoind", "-nodebuglogfile=0"], Some("debug.log")),
        ] {
            assert_eq!(log(command).as_deref(), expected, "{command:?}");
        }
        assert_eq!(Place { datadir: Some("/d".into()), ..Place::default() }.log().unwrap().0, Path::new("/d/debug.log"));
    }

    #[test]
    fn what_is_logged_is_what_the_node_is_told() {
        let categories = |command: &str| {
            let command = command.split(' ').map(str::to_owned).collect();
            let options = Place { datadir: Some("/nonexistent".into()), command, ..Place::default() }.log_options();
            ["net", "mempool", "rand"].into_iter().filter(|category| options.has(category)).collect::<Vec<_>>()
        };
        assert_eq!(categories("bitcoind"), [""; 0]);
        assert_eq!(categories("bitcoind -debug=net -debug=mempool"), ["net", "mempool"]);
        assert_eq!(categories("bitcoind -debug -debugexclude=rand"), ["net", "mempool"]);
        assert_eq!(categories("bitcoind -debug=rand -debug=0 -debug=net"), ["net"]);
        assert_eq!(categories("bitcoind -debug=1 -nodebug"), [""; 0]);
        let command = ["bitcoind", "-logips", "-logtimemicros=1", "-logratelimit=0"].map(str::to_owned).to_vec();
        let options = Place { datadir: Some("/nonexistent".into()), command, ..Place::default() }.log_options();
        assert_eq!((options.addresses, options.micros, options.times, options.limited), (true, true, true, false));
    }

    #[test]
    fn a_data_directory_says_by_its_pid_file_which_network() {
        check(
            &[("d/signet/bitcoind.pid", "1\n")],
            &["bitcoind", "-datadir=d"],
            ["127.0.0.1:38332", "d/signet/.cookie", "d/signet/bitcoind.pid"],
        );
        check(
            &[("d/signet/bitcoind.pid", "1\n")],
            &["bitcoind", "-datadir=d/signet"],
            ["127.0.0.1:38332", "d/signet/.cookie", "d/signet/bitcoind.pid"],
        );
    }

    #[test]
    fn addresses() {
        for (text, expected) in
            [("http://127.0.0.1:8332/", "127.0.0.1:8332"), ("[::1]:8332", "[::1]:8332"), ("node-1.lan:1", "node-1.lan:1")]
        {
            assert_eq!(text.parse::<Address>().map(|a| a.to_string()).as_deref(), Ok(expected));
        }
        for text in ["", "127.0.0.1", "https://a:1", "http://u:p@a:1", "http://a:1/wallet", "a b:1", ":1", "a:99999"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_named() {
        let error = Secret::Cookie("/nonexistent/.cookie".into()).read().unwrap_err().to_string();
        assert_eq!(error, "failed to read the cookie /nonexistent/.cookie: No such file or directory (os error 2)");
    }

    #[test]
    fn a_password_may_end_its_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        write(&file, "se:cret\n").unwrap();
        assert_eq!(Secret::User("alice".into(), file.path().into()).read().unwrap(), "alice:se:cret");
    }

    /// What comes of a node of this user, when its command line and data directory are so.
    fn secret(owner: Option<u32>, datadir: &Path, command: &[&str]) -> Result<String, String> {
        let place = Place {
            datadir: Some(datadir.into()),
            command: command.iter().map(ToString::to_string).collect(),
            owner,
            ..Place::default()
        };
        Access::default().target(&place).secret.read().map_err(|error| error.to_string())
    }

    /// Any process may call itself a node, and name any file: `/etc/shadow`, and a port where it listens.
    #[test]
    fn what_a_node_does_not_own_is_not_read_for_it() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("private");
        write(&path, "__cookie__:00").unwrap();
        let named = format!("-rpccookiefile={}", path.display());
        let command = ["bitcoind", &named, "-rpcport=1"];
        assert_eq!(secret(Some(us()), folder.path(), &command), Ok("__cookie__:00".into()));
        let expected =
            format!("failed to read the cookie {}: it belongs to user {}, and the node to user {}", path.display(), us(), us() + 1);
        assert_eq!(secret(Some(us() + 1), folder.path(), &command), Err(expected));
        // a link to it does not help
        std::os::unix::fs::symlink(&path, folder.path().join(".cookie")).unwrap();
        let error = secret(Some(us()), folder.path(), &["bitcoind"]).unwrap_err();
        assert!(error.ends_with(".cookie: it is a link to somewhere else"), "{error}");
        // nor does saying so in the configuration
        write(folder.path().join("bitcoin.conf"), format!("rpccookiefile={}\n", path.display())).unwrap();
        let error = secret(Some(us() + 1), folder.path(), &["bitcoind"]).unwrap_err();
        assert!(error.contains("private: it belongs to user"), "{error}");
    }

    /// Without a process, only the operator has named anything: a data directory.
    #[test]
    fn of_a_node_that_does_not_run_the_data_directory_tells_whose_it_is() {
        let folder = TempDir::new().unwrap();
        write(folder.path().join(".cookie"), "__cookie__:00").unwrap();
        assert_eq!(secret(None, folder.path(), &[]), Ok("__cookie__:00".into()));
        assert_eq!(secret(None, folder.path(), &["bitcoind"]), Ok("__cookie__:00".into()));
        if us() == 0 {
            let nobody = Some(65_534);
            std::os::unix::fs::chown(folder.path(), nobody, nobody).unwrap();
            let error = secret(None, folder.path(), &[]).unwrap_err();
            assert!(error.ends_with(".cookie: it belongs to user 0, and the node to user 65534"), "{error}");
            std::os::unix::fs::chown(folder.path().join(".cookie"), nobody, nobody).unwrap();
            assert_eq!(secret(None, folder.path(), &[]), Ok("__cookie__:00".into()));
            // what a command line of nobody in particular names must be ours
            let error = secret(None, folder.path(), &["bitcoind"]).unwrap_err();
            assert!(error.ends_with(".cookie: it belongs to user 65534, and the node to user 0"), "{error}");
        }
    }

    #[test]
    fn a_cookie_is_one_line() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(".cookie");
        let read = |text: &str| {
            write(&path, text).unwrap();
            let told = Secret::Cookie(path.clone()).read().map_err(|error| error.to_string());
            (told, secret(Some(us()), folder.path(), &[]))
        };
        for good in ["__cookie__:00", "__cookie__:00\n", "__cookie__:0:0\r\n"] {
            let expected = Ok(good.trim_end().to_owned());
            assert_eq!(read(good), (expected.clone(), expected), "{good:?}");
        }
        for bad in ["root:x:0:0\nbin:x:1:1\n", "", "\n", "secret", ":secret", "user:", "a:b\0", "a:b\rc"] {
            let expected = Err(format!("the cookie {} is none: it is not one line with `user:password`", path.display()));
            assert_eq!(read(bad), (expected.clone(), expected), "{bad:?}");
        }
        let (told, found) = read("user:password");
        assert_eq!(told.as_deref(), Ok("user:password"));
        assert_eq!(found, Err(format!("the cookie {} is none: no node wrote it", path.display())));
        let (told, found) = read(&"a".repeat(5000));
        let expected = Err(format!("failed to read the cookie {}: it is longer than 4096 bytes", path.display()));
        assert_eq!((told, found), (expected.clone(), expected));
    }

    #[test]
    fn a_configuration_that_is_none_is_passed_over() {
        let folder = TempDir::new().unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, folder.path().join("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        write(folder.path().join("long"), "#".repeat(2 << 20) + "\nrpcport=1").unwrap();
        write(folder.path().join("good"), "#".repeat(1 << 19) + "\nrpcport=1").unwrap();
        for (conf, expected) in [("pipe", 8332), ("/dev/zero", 8332), ("long", 8332), ("none", 8332), ("good", 1)] {
            let place = Place {
                datadir: Some(folder.path().into()),
                command: vec![format!("-conf={conf}")],
                owner: Some(us()),
                ..Place::default()
            };
            assert_eq!(Access::default().target(&place).address, format!("127.0.0.1:{expected}"), "{conf}");
        }
    }
}
