//! Where a node's RPC is, and with what secret.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use super::client::CallError;
use super::file::{Named, Owner, read_small};
use super::place::Place;

/// How to reach the RPC of a node. Without any hint, it is found by the node's data directory.
#[derive(Clone, PartialEq, Eq, Debug, Default, clap::Args)]
#[group(skip)]
pub struct Access {
    /// Where the node's RPC listens: `http://127.0.0.1:8332`
    ///
    /// Default: this machine, at the port that the node's command line, its bitcoin.conf or its network say. There is no encryption: for a
    /// node on another machine use a tunnel. The node's cookie is used for addresses of this machine only.
    #[arg(long, value_name = "URL")]
    pub rpc_url: Option<Address>,

    /// The node's cookie file
    ///
    /// Default: `.cookie` in the network's folder of the node's data directory. The node writes a new one at each start; it is read again
    /// then.
    #[arg(long, value_name = "FILE", conflicts_with = "rpc_user")]
    pub rpc_cookie: Option<PathBuf>,

    /// User, where the cookie is not to be used; `doctor --new-rpc-user NAME` makes one with few rights
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

impl Address {
    /// Whether it is this machine, whatever the network is.
    pub fn is_loopback(&self) -> bool {
        let host = self.0.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']);
        host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a node is not to be asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AccessError {
    /// A secret goes to the node that was meant, not to whichever process is called like one.
    #[error("an RPC user or cookie is given, but not for which node")]
    NoNode,
    /// The cookie of this machine's node is nobody else's business.
    #[error("`--rpc-url {0}` is not on this machine, and no user or cookie is given for it")]
    NoSecretFor(Address),
}

impl AccessError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoNode => "add --datadir or --rpc-url",
            Self::NoSecretFor(_) => "add --rpc-user with --rpc-password-file, or --rpc-cookie",
        }
    }
}

/// One node's RPC.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Host and port.
    pub address: String,
    /// How to prove who we are.
    pub secret: Secret,
    /// Whether the node's process on this machine listens there. Where somebody said the address, it may be another's.
    pub of_process: bool,
    /// Which file of the node's configuration is there and was not read, and why: then all this is a guess.
    pub unread: Option<String>,
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
    /// None: the cookie of this machine's node is for no other address.
    Missing(Address),
}

/// Long enough for any secret.
const LONGEST_SECRET: u64 = 4096;
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
            Self::Missing(_) => return Err(CallError::NoSecret(self.to_string())),
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
            Self::Missing(address) => write!(f, "no user and no cookie is given for {address}"),
        }
    }
}

impl Access {
    /// Whether the secrets here can reach only whom they are meant for. `named` is whether something else says which node is meant.
    ///
    /// # Errors
    ///
    /// They could reach somebody else.
    pub fn check(&self, named: bool) -> Result<(), AccessError> {
        let secret = self.rpc_user.is_some() || self.rpc_cookie.is_some();
        match &self.rpc_url {
            Some(url) if !secret && !url.is_loopback() => Err(AccessError::NoSecretFor(url.clone())),
            None if secret && !named => Err(AccessError::NoNode),
            _ => Ok(()),
        }
    }

    /// Finds what was not told: by the node's command line, its bitcoin.conf, and what lies in its data directory.
    pub fn target(&self, place: &Place) -> Target {
        let settings = place.settings();
        let secret = match (&self.rpc_user, &self.rpc_password_file, &self.rpc_cookie, &self.rpc_url) {
            (Some(user), Some(file), ..) => Secret::User(user.clone(), file.clone()),
            (.., Some(file), _) => Secret::Cookie(file.clone()),
            (.., Some(url)) if !url.is_loopback() => Secret::Missing(url.clone()),
            _ => Secret::NodesCookie(settings.file("rpccookiefile", ".cookie"), settings.owner.clone()),
        };
        Target {
            address: self.rpc_url.as_ref().map_or_else(|| format!("127.0.0.1:{}", settings.rpc_port()), ToString::to_string),
            secret,
            of_process: self.rpc_url.is_none(),
            unread: settings.unread,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::write;
    use std::path::Path;

    use tempfile::TempDir;

    fn us() -> u32 {
        rustix::process::geteuid().as_raw()
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
    fn the_cookie_is_for_this_machine_only() {
        let folder = TempDir::new().unwrap();
        write(folder.path().join(".cookie"), "__cookie__:00").unwrap();
        let place = Place { datadir: Some(folder.path().into()), ..Place::default() };
        let access = |url: &str| Access { rpc_url: Some(url.parse().unwrap()), ..Access::default() };
        for url in ["127.0.0.1:1", "http://127.1.2.3:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "localhost:1", "LocalHost:1"] {
            assert_eq!(access(url).check(true), Ok(()), "{url}");
            assert_eq!(access(url).target(&place).secret.read().unwrap(), "__cookie__:00", "{url}");
        }
        for url in ["10.0.0.1:1", "[fe80::1]:1", "node:1", "localhost.example.org:1", "127.0.0.1.example.org:1", "0.0.0.0:1"] {
            let expected = AccessError::NoSecretFor(url.parse().unwrap());
            assert_eq!(access(url).check(true), Err(expected), "{url}");
            let error = access(url).target(&place).secret.read().unwrap_err();
            assert_eq!(error.to_string(), format!("no user and no cookie is given for {url}"));
            let told = Access { rpc_cookie: Some(folder.path().join(".cookie")), ..access(url) };
            assert_eq!(told.check(false), Ok(()), "{url}");
            assert_eq!(told.target(&place).secret.read().unwrap(), "__cookie__:00", "{url}");
        }
    }

    #[test]
    fn a_secret_needs_a_node_that_it_is_for() {
        let access = Access { rpc_cookie: Some("c".into()), ..Access::default() };
        assert_eq!(access.check(false), Err(AccessError::NoNode));
        assert_eq!(access.check(true), Ok(()));
        assert_eq!(Access::default().check(false), Ok(()));
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
}
