//! What a node's command line and its bitcoin.conf say of where things are.
//!
//! They are read as Bitcoin Core reads them (`src/common/args.cpp`, `config.cpp`, `settings.cpp`): the command line wins, and the last
//! of its words; then the network's section, then what stands before the first section, and of equal lines there the first. Files that
//! `includeconf=` names are read behind the one that names them; what they in turn would include is not, as in Bitcoin Core, which warns
//! of it. `settings.json` is not read: the node writes it itself, and nothing in it says where files are.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::file::{Named, Owner, read_small};

/// What is known of the node beforehand; each may be missing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// Its data directory, or the folder of its network there. `~/.bitcoin` of our user where it is not known.
    pub datadir: Option<PathBuf>,
    /// Its command line.
    pub command: Vec<String>,
    /// Its working directory: a relative `datadir=` in its configuration begins there.
    pub working: Option<PathBuf>,
    /// The user that its process runs as: the files that it names must be theirs. Where it is not known, they must be ours, or,
    /// without a command line that could have named any, of the data directory's owner.
    pub owner: Option<u32>,
}

/// What a node's command line and configuration say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Its data directory.
    pub datadir: PathBuf,
    /// The folder of its network: the data directory itself for mainnet.
    pub folder: PathBuf,
    /// Whose the files must be that are named here.
    pub owner: Owner,
    /// Which file of its configuration is there and was not read, and why.
    pub unread: Option<String>,
    network: &'static Network,
    command: Vec<Setting>,
    conf: Vec<Setting>,
}

/// A network (Bitcoin Core `src/chainparamsbase.cpp`).
#[derive(PartialEq, Eq, Debug)]
struct Network {
    /// As after `-chain=`, and in brackets in a configuration.
    name: &'static str,
    /// The option that chooses it; none for the default.
    flag: &'static str,
    /// Below the data directory.
    folder: &'static str,
    /// Where RPC listens unless told otherwise.
    port: u16,
}

const NETWORKS: [Network; 5] = [
    Network { name: "main", flag: "", folder: "", port: 8332 },
    Network { name: "test", flag: "testnet", folder: "testnet3", port: 18332 },
    Network { name: "testnet4", flag: "testnet4", folder: "testnet4", port: 48332 },
    Network { name: "signet", flag: "signet", folder: "signet", port: 38332 },
    Network { name: "regtest", flag: "regtest", folder: "regtest", port: 18443 },
];

/// Long enough for any configuration.
const LONGEST_CONF: u64 = 1 << 20;
/// More than anybody includes.
const MOST_INCLUDED: usize = 16;

impl Place {
    /// What can be known of the node's settings. Reads its configuration.
    pub fn settings(&self) -> Settings {
        self.settings_of(|path, owner| read_small(path, Named::Configuration(owner), LONGEST_CONF))
    }

    /// As [`settings`](Self::settings), with files that `read` gives; it is told whose they must be.
    pub fn settings_of(&self, read: impl Fn(&Path, &Owner) -> io::Result<String>) -> Settings {
        let told = self.base();
        let mut settings = Settings {
            owner: self.owner(&told),
            folder: told.clone(),
            datadir: told,
            unread: None,
            network: &NETWORKS[0],
            command: self.command.iter().skip(1).filter_map(|word| word_of_command(word)).collect(),
            conf: Vec::new(),
        };
        match settings.said_by_command("conf") {
            // `-noconf`
            Some(None) => {}
            Some(Some(path)) if !path.is_empty() => settings.read(&settings.datadir.join(path), &read),
            _ => settings.read(&settings.datadir.join("bitcoin.conf"), &read),
        }
        settings.network = settings.chain().unwrap_or(&NETWORKS[0]);
        for path in settings.included() {
            settings.read(&settings.datadir.join(path), &read);
        }
        let chain = settings.chain();
        settings.network = chain.unwrap_or(&NETWORKS[0]);
        if let Some(moved) = self.moved(&settings) {
            settings.datadir = moved;
        }
        // a configuration that may not be read may have chosen it
        let seen = || NETWORKS.iter().find(|network| settings.datadir.join(network.folder).join("bitcoind.pid").is_file());
        settings.network = chain.or_else(seen).unwrap_or(&NETWORKS[0]);
        settings.folder = settings.datadir.join(settings.network.folder);
        settings
    }

    /// Where a `datadir=` in the configuration has moved the data. The node insists that it exists; in a container's file system it may
    /// be somewhere else for us, and then what the operator said counts.
    fn moved(&self, settings: &Settings) -> Option<PathBuf> {
        if settings.said_by_command("datadir").is_some() {
            return None;
        }
        let path = Path::new(settings.anywhere("datadir")?);
        let path = if path.is_absolute() { path.to_owned() } else { self.working.as_ref()?.join(path) };
        path.is_dir().then_some(path)
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
        let home = || std::env::home_dir().unwrap_or_default().join(".bitcoin");
        let path = self.datadir.clone().unwrap_or_else(home);
        let folder = path.file_name().is_some_and(|name| NETWORKS.iter().any(|network| name == network.folder));
        match path.parent() {
            Some(parent) if folder && !path.join("bitcoin.conf").exists() && path.join("bitcoind.pid").exists() => {
                parent.to_owned()
            }
            _ => path,
        }
    }
}

impl Settings {
    /// A setting that counts for every network, wherever it stands. `None` where the default counts.
    pub fn anywhere(&self, key: &str) -> Option<&str> {
        self.said(key, true)
    }

    /// A setting of one network, like its ports: before the first section it counts for mainnet only.
    pub fn of_network(&self, key: &str) -> Option<&str> {
        self.said(key, self.network.name == "main")
    }

    /// A file that a setting names, below the network's folder unless its path is absolute.
    pub fn file(&self, key: &str, default: &str) -> PathBuf {
        self.folder.join(self.anywhere(key).filter(|path| !path.is_empty()).unwrap_or(default))
    }

    /// Where RPC listens on loopback.
    pub fn rpc_port(&self) -> u16 {
        self.of_network("rpcport").and_then(|port| port.parse().ok()).unwrap_or(self.network.port)
    }

    /// Where the node accepts peers, as seen from this machine: on loopback if it listens there, or everywhere; else the first place that it
    /// names. What it has for Tor alone does not count.
    pub fn p2p_address(&self) -> SocketAddr {
        // the default ports are neighbours (Bitcoin Core `src/kernel/chainparams.cpp`)
        let port = self.of_network("port").and_then(|port| port.parse().ok()).unwrap_or(self.network.port + 1);
        let mut named = Vec::new();
        for bind in self.every("bind") {
            let address =
                bind.parse().or_else(|_| bind.trim_matches(['[', ']']).parse().map(|ip: IpAddr| SocketAddr::new(ip, port)));
            // `=onion`, or nothing that a node would start with
            let Ok(address) = address else { continue };
            named.push(if address.ip().is_unspecified() { (Ipv4Addr::LOCALHOST, address.port()).into() } else { address });
        }
        let here = named.iter().find(|address| address.ip().is_loopback());
        here.or(named.first()).copied().unwrap_or_else(|| (Ipv4Addr::LOCALHOST, port).into())
    }

    /// Where the node writes its log; `None` where it is told to write none.
    pub fn log(&self) -> Option<PathBuf> {
        match self.word("debuglogfile", true) {
            Some(None) => None,
            _ => Some(self.file("debuglogfile", "debug.log")),
        }
    }

    /// An option that is on or off.
    pub fn is_on(&self, key: &str, default: bool) -> bool {
        self.word(key, true).map_or(default, |word| word.is_some_and(is_true))
    }

    /// Every value of an option that may be given several times: what the command line says comes last.
    pub fn every(&self, key: &str) -> Vec<&str> {
        let command: Vec<_> = self.command.iter().filter(|word| word.key == key).map(|word| word.value.as_deref()).collect();
        let mut values = Vec::new();
        if !command.contains(&None) {
            for section in ["", self.network.name] {
                let said: Vec<_> = self.said_in(section, key).collect();
                values.extend(standing(&said).iter().copied().flatten());
            }
        }
        values.extend(standing(&command).iter().copied().flatten());
        values
    }

    fn said(&self, key: &str, anywhere: bool) -> Option<&str> {
        self.word(key, anywhere).flatten()
    }

    /// What counts of what was said; `Some(None)` if that takes back what was said before.
    fn word(&self, key: &str, anywhere: bool) -> Option<Option<&str>> {
        if let Some(said) = self.said_by_command(key) {
            return Some(said);
        }
        let general = anywhere.then_some("");
        for section in [Some(self.network.name), general].into_iter().flatten() {
            let values: Vec<_> = self.said_in(section, key).collect();
            if let Some(None) = values.last() {
                return Some(None);
            }
            if let Some(first) = standing(&values).first() {
                return Some(*first);
            }
        }
        None
    }

    /// The last word counts; `Some(None)` if that is `-no…`.
    fn said_by_command(&self, key: &str) -> Option<Option<&str>> {
        self.command.iter().rev().find(|word| word.key == key).map(|word| word.value.as_deref())
    }

    fn said_in<'a>(&'a self, section: &str, key: &str) -> impl Iterator<Item = Option<&'a str>> {
        self.conf.iter().filter(move |line| line.section == section && line.key == key).map(|line| line.value.as_deref())
    }

    /// The network that is named, if any is.
    fn chain(&self) -> Option<&'static Network> {
        let named = self.said_by_command("chain").unwrap_or_else(|| {
            let values: Vec<_> = self.said_in("", "chain").collect();
            standing(&values).first().copied().flatten()
        });
        let flagged = |network: &&Network| {
            // of these options the last counts in a configuration too, and one that is negated on the command line says nothing
            let last = self.said_by_command(network.flag).flatten().or_else(|| self.said_in("", network.flag).last().flatten());
            !network.flag.is_empty() && last.is_some_and(is_true)
        };
        match named {
            Some(name) => NETWORKS.iter().find(|network| network.name == name),
            None => NETWORKS.iter().find(flagged),
        }
    }

    /// The files that the configuration includes: those of the network's section first.
    fn included(&self) -> Vec<String> {
        if self.said_by_command("includeconf").is_some() {
            return Vec::new();
        }
        let of = |section: &str| -> Vec<_> {
            let values: Vec<_> = self.said_in(section, "includeconf").collect();
            standing(&values).iter().copied().flatten().map(str::to_owned).collect()
        };
        let mut files = of(self.network.name);
        files.extend(of(""));
        files.truncate(MOST_INCLUDED);
        files
    }

    /// Adds a file to the configuration.
    fn read(&mut self, path: &Path, read: impl Fn(&Path, &Owner) -> io::Result<String>) {
        match read(path, &self.owner) {
            Ok(text) => self.conf.extend(lines(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.unread = Some(format!("the node's configuration {} is not read: {error}", path.display())),
        }
    }
}

/// What somebody has said of an option.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Setting {
    /// Empty before the first section, and on the command line.
    section: String,
    key: String,
    /// `None` for `no…`, which takes back what was said before.
    value: Option<String>,
}

impl Setting {
    /// `key`, `section.key`, or either with `no` before the key.
    fn new(name: &str, value: &str) -> Self {
        let (section, key) = name.split_once('.').unwrap_or(("", name));
        let (key, value) = match key.strip_prefix("no") {
            Some(key) if is_true(value) => (key, None),
            // not not
            Some(key) => (key, Some("1")),
            None => (key, Some(value)),
        };
        Self { section: section.to_owned(), key: key.to_owned(), value: value.map(str::to_owned) }
    }
}

/// An option of the command line, with one dash or two.
fn word_of_command(word: &str) -> Option<Setting> {
    let word = word.strip_prefix('-')?;
    let word = word.strip_prefix('-').unwrap_or(word);
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    Some(Setting::new(name, value))
}

/// The lines of a configuration.
fn lines(conf: &str) -> impl Iterator<Item = Setting> + '_ {
    let mut section = String::new();
    // nothing else is space there
    let trim = |text| str::trim_matches(text, [' ', '\t', '\r', '\n']);
    conf.split('\n').filter_map(move |line| {
        let line = trim(line.split('#').next().unwrap_or_default());
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{name}.");
            return None;
        }
        let (key, value) = line.split_once('=')?;
        Some(Setting::new(&format!("{section}{}", trim(key)), trim(value)))
    })
}

/// What still counts of values: those behind the last that took everything back.
fn standing<'a, 'b>(values: &'a [Option<&'b str>]) -> &'a [Option<&'b str>] {
    let from = values.iter().rposition(Option::is_none).map_or(0, |at| at + 1);
    values.get(from..).unwrap_or_default()
}

/// As Bitcoin Core understands an option that is on or off: on where nothing is said, else as the number that the value begins with
/// (`LocaleIndependentAtoi` in `src/util/strencodings.h`), so that `true` is 0 and `1st` is 1.
fn is_true(value: &str) -> bool {
    let number = value.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
    value.is_empty() || digits.bytes().take_while(u8::is_ascii_digit).any(|digit| digit != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};

    use proptest::prelude::*;
    use tempfile::TempDir;

    /// The settings of a node with the data directory `d`, these files below the folder that it was started in, and these words.
    fn settings(folder: &TempDir, files: &[(&str, &str)], command: &[&str]) -> Settings {
        for (file, text) in files {
            let file = folder.path().join(file);
            create_dir_all(file.parent().unwrap()).unwrap();
            write(file, text).unwrap();
        }
        let place = Place {
            datadir: Some(folder.path().join("d")),
            command: ["bitcoind"].iter().chain(command).map(ToString::to_string).collect(),
            working: Some(folder.path().into()),
            owner: Some(rustix::process::geteuid().as_raw()),
        };
        place.settings()
    }

    /// RPC's port, the cookie, and the pid file.
    #[track_caller]
    fn check(files: &[(&str, &str)], command: &[&str], expected: (u16, &str, &str)) {
        let folder = TempDir::new().unwrap();
        let settings = settings(&folder, files, command);
        let relative = |path: PathBuf| path.strip_prefix(folder.path()).unwrap_or(&path).display().to_string();
        let (cookie, pid) = (settings.file("rpccookiefile", ".cookie"), settings.file("pid", "bitcoind.pid"));
        assert_eq!((settings.rpc_port(), &*relative(cookie), &*relative(pid)), expected);
    }

    #[test]
    fn a_node_without_options_is_on_mainnet() {
        check(&[], &[], (8332, "d/.cookie", "d/bitcoind.pid"));
    }

    #[test]
    fn the_command_line_says_where() {
        check(&[], &["--regtest", "-rpcport=1", "-rpcport=2", "-pid=p"], (2, "d/regtest/.cookie", "d/regtest/p"));
        check(&[], &["-chain=testnet4"], (48332, "d/testnet4/.cookie", "d/testnet4/bitcoind.pid"));
        check(&[], &["-testnet", "-norpccookiefile"], (18332, "d/testnet3/.cookie", "d/testnet3/bitcoind.pid"));
    }

    #[test]
    fn the_configuration_says_where() {
        let conf = "regtest=1 # for now\nrpcport=1\n[main]\nrpcport=2\n[regtest]\nrpcport=3\nrpccookiefile=/c\n";
        check(&[("d/bitcoin.conf", conf)], &[], (3, "/c", "d/regtest/bitcoind.pid"));
        check(&[("d/bitcoin.conf", "rpcport=1")], &[], (1, "d/.cookie", "d/bitcoind.pid"));
        check(&[("d/bitcoin.conf", "signet.rpcport=9")], &["-signet"], (9, "d/signet/.cookie", "d/signet/bitcoind.pid"));
        check(&[("d/bitcoin.conf", "rpcport=1"), ("d/c", "rpcport=2")], &["-conf=c"], (2, "d/.cookie", "d/bitcoind.pid"));
        check(&[("d/bitcoin.conf", "rpcport=1")], &["-noconf"], (8332, "d/.cookie", "d/bitcoind.pid"));
    }

    /// Only ports belong to a network; of equal lines the first counts, and of equal words on the command line the last.
    #[test]
    fn what_counts_of_several_is_as_in_the_node() {
        let conf = "rpcport=1\nrpcport=2\nrpccookiefile=a\nrpccookiefile=b\n[signet]\nrpcport=3\nrpcport=4\n";
        check(&[("d/bitcoin.conf", conf)], &[], (1, "d/a", "d/bitcoind.pid"));
        check(&[("d/bitcoin.conf", conf)], &["-signet"], (3, "d/signet/a", "d/signet/bitcoind.pid"));
        check(&[("d/bitcoin.conf", conf)], &["-signet", "-rpcport=5", "-rpcport=6"], (6, "d/signet/a", "d/signet/bitcoind.pid"));
        check(&[("d/bitcoin.conf", conf)], &["-regtest"], (18443, "d/regtest/a", "d/regtest/bitcoind.pid"));
        let conf = "rpccookiefile=a\nnorpccookiefile=1\nrpccookiefile=b\nrpccookiefile=c\nrpcport=1\nnorpcport=1\n";
        check(&[("d/bitcoin.conf", conf)], &[], (8332, "d/b", "d/bitcoind.pid"));
        // the last of these counts everywhere; what one section says is not for another
        check(&[("d/bitcoin.conf", "regtest=0\nregtest=1\n")], &[], (18443, "d/regtest/.cookie", "d/regtest/bitcoind.pid"));
        check(&[("d/bitcoin.conf", "regtest=1\nregtest=0\n")], &[], (8332, "d/.cookie", "d/bitcoind.pid"));
        check(&[("d/bitcoin.conf", "regtest=1\n")], &["-regtest=0"], (8332, "d/.cookie", "d/bitcoind.pid"));
        check(&[("d/bitcoin.conf", "chain=signet\nchain=main\n")], &[], (38332, "d/signet/.cookie", "d/signet/bitcoind.pid"));
        check(&[("d/bitcoin.conf", "[signet]\nchain=signet\nmain.rpcport=1")], &[], (8332, "d/.cookie", "d/bitcoind.pid"));
    }

    #[test]
    fn peers_are_accepted_where_it_listens() {
        let check = |conf: &str, command: &[&str], expected: &str| {
            let folder = TempDir::new().unwrap();
            let address = settings(&folder, &[("d/bitcoin.conf", conf)], command).p2p_address();
            assert_eq!(address.to_string(), expected, "{conf:?} {command:?}");
        };
        check("", &["-regtest"], "127.0.0.1:18444");
        check("", &[], "127.0.0.1:8333");
        check("[regtest]\nport=7\n", &["-regtest"], "127.0.0.1:7");
        check("port=7\n", &["-regtest"], "127.0.0.1:18444");
        check("", &["-regtest", "-bind=127.0.0.2:9=onion", "-bind=127.0.0.3:9"], "127.0.0.3:9");
        check("", &["-regtest", "-port=8", "-bind=0.0.0.0"], "127.0.0.1:8");
        check("", &["-regtest", "-bind=[::]:9"], "127.0.0.1:9");
        check("", &["-regtest", "-bind=192.0.2.1:9", "-bind=127.0.0.1:8"], "127.0.0.1:8");
        check("", &["-regtest", "-bind=192.0.2.1:9"], "192.0.2.1:9");
        check("", &["-regtest", "-bind=[::1]"], "[::1]:18444");
        check("", &["-regtest", "-bind=nonsense"], "127.0.0.1:18444");
    }

    #[test]
    fn included_files_are_read_behind_the_one_that_names_them() {
        let files = [
            ("d/bitcoin.conf", "rpccookiefile=a\nincludeconf=more\nincludeconf=none\n[signet]\nincludeconf=s"),
            ("d/more", "signet=1\nrpccookiefile=b\npid=p\nincludeconf=never\n[signet]\nrpcport=2"),
            ("d/s", "[signet]\nrpcport=1"),
            ("d/never", "pid=never"),
        ];
        check(&files, &["-signet"], (1, "d/signet/a", "d/signet/p"));
        // which network it is may be said in an included file, and then that network's are not read
        check(&files, &[], (2, "d/signet/a", "d/signet/p"));
        check(&files, &["-noincludeconf"], (8332, "d/a", "d/bitcoind.pid"));
    }

    /// As `bitcoind` takes them; what it would refuse to start with does not matter.
    #[test]
    fn numbers_and_spaces_are_those_of_the_node() {
        for (value, on) in [
            ("", true),
            ("1", true),
            ("0", false),
            ("true", false),
            ("1st", true),
            ("0x1", false),
            ("-1", true),
            ("+01", true),
            ("+-1", false),
            (" 1", true),
            ("99999999999999999999", true),
        ] {
            assert_eq!(is_true(value), on, "{value:?}");
        }
        check(
            &[("d/bitcoin.conf", "\tregtest = 1 \r\nrpcport=2\r\n[regtest]\r\nrpcport\t=3")],
            &[],
            (3, "d/regtest/.cookie", "d/regtest/bitcoind.pid"),
        );
        // a space that only others take for one belongs to the value
        check(&[("d/bitcoin.conf", "rpccookiefile=c\u{a0}\nrpcport=3")], &[], (3, "d/c\u{a0}", "d/bitcoind.pid"));
    }

    #[test]
    fn a_comment_in_another_encoding_hides_nothing() {
        let folder = TempDir::new().unwrap();
        create_dir_all(folder.path().join("d")).unwrap();
        write(folder.path().join("d/bitcoin.conf"), b"# f\xfcr daheim\nrpcport=1\n").unwrap();
        let settings = settings(&folder, &[], &[]);
        assert_eq!((settings.rpc_port(), settings.unread), (1, None));
    }

    #[test]
    fn a_configuration_moves_the_data() {
        let folder = TempDir::new().unwrap();
        let files = [("d/bitcoin.conf", "datadir=e\nrpcport=1\n"), ("e/bitcoin.conf", "rpcport=2\n")];
        let moved = settings(&folder, &files, &[]);
        assert_eq!(
            (moved.datadir.clone(), moved.folder.clone(), moved.rpc_port()),
            (folder.path().join("e"), folder.path().join("e"), 1)
        );
        let told = settings(&folder, &files, &["-datadir=d"]);
        assert_eq!(told.datadir, folder.path().join("d"));
        // of a container, perhaps
        let elsewhere = settings(&folder, &[("d/bitcoin.conf", "datadir=/nonexistent\n")], &[]);
        assert_eq!(elsewhere.datadir, folder.path().join("d"));
    }

    #[test]
    fn a_data_directory_says_by_its_pid_file_which_network() {
        check(&[("d/signet/bitcoind.pid", "1\n")], &[], (38332, "d/signet/.cookie", "d/signet/bitcoind.pid"));
        let folder = TempDir::new().unwrap();
        let files = [("d/signet/bitcoind.pid", "1\n")];
        let whole = settings(&folder, &files, &[]);
        let part = Place {
            datadir: Some(folder.path().join("d/signet")),
            owner: Some(rustix::process::geteuid().as_raw()),
            ..Place::default()
        };
        assert_eq!(part.settings().folder, whole.folder);
    }

    #[test]
    fn a_configuration_that_is_none_is_passed_over_and_said() {
        let folder = TempDir::new().unwrap();
        create_dir_all(folder.path().join("d")).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, folder.path().join("d/pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let (long, good) = ("#".repeat(2 << 20) + "\nrpcport=1", "#".repeat(1 << 19) + "\nrpcport=1");
        let files = [("d/long", &*long), ("d/good", &*good)];
        for (conf, expected, unread) in [
            ("pipe", 8332, Some("it is no regular file")),
            ("/dev/zero", 8332, Some("it is no regular file")),
            ("long", 8332, Some("it is longer than 1048576 bytes")),
            ("none", 8332, None),
            ("good", 1, None),
        ] {
            let settings = settings(&folder, &files, &[&format!("-conf={conf}")]);
            assert_eq!(settings.rpc_port(), expected, "{conf}");
            let path = folder.path().join("d").join(conf).display().to_string();
            assert_eq!(settings.unread, unread.map(|reason| format!("the node's configuration {path} is not read: {reason}")));
        }
    }

    proptest! {
        /// Whatever stands in a configuration and on a command line, there is an answer.
        #[test]
        fn nothing_makes_it_panic(
            conf in "([a-z.=#\\[\\] 01\n]|no|chain|regtest|main|includeconf=x\n|datadir|\\PC){0,60}",
            command in proptest::collection::vec("-{0,3}(no)?(chain|regtest|conf|datadir|rpcport|\\PC{0,4})(=[a-z0-9./]{0,4})?", 0..6),
        ) {
            let folder = TempDir::new().unwrap();
            let command: Vec<&str> = command.iter().map(String::as_str).collect();
            let settings = settings(&folder, &[("d/bitcoin.conf", &conf), ("d/x", &conf)], &command);
            prop_assert!(settings.folder.starts_with(&settings.datadir));
            settings.rpc_port();
        }
    }
}
