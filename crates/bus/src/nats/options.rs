//! Which server, and how to convince it: options and the files that they name.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::subject::ReplayId;

/// How to reach a NATS server. Everything is optional; without a URL events stay in the process.
#[derive(clap::Args, Clone, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "NATS")]
pub struct NatsOptions {
    /// Carry events over this NATS server instead of in the process
    ///
    /// `nats://host:port` or `tls://host:port`, several separated by commas: they are tried in turn. The port is 4222 unless given.
    /// `nats://` becomes TLS where the server insists on it, but whoever sits between could prevent that: over a network use `tls://`,
    /// or name a CA.
    #[arg(id = "nats", long = "nats", value_name = "URL")]
    pub url: Option<BusUrl>,

    /// User name; goes with a password file
    #[arg(id = "nats-user", long = "nats-user", value_name = "NAME", requires = "nats-password-file")]
    pub user: Option<String>,

    /// File whose first line is the password
    #[arg(id = "nats-password-file", long = "nats-password-file", value_name = "FILE", requires = "nats-user")]
    pub password_file: Option<PathBuf>,

    /// File with the seed of a user's nkey (`SU…`)
    #[arg(id = "nats-nkey-file", long = "nats-nkey-file", value_name = "FILE", conflicts_with_all = ["nats-user", "nats-credentials-file"])]
    pub nkey_file: Option<PathBuf>,

    /// Credentials file (`.creds`) as `nsc` makes it
    #[arg(id = "nats-credentials-file", long = "nats-credentials-file", value_name = "FILE", conflicts_with = "nats-user")]
    pub credentials_file: Option<PathBuf>,

    /// Trust only servers with a certificate from this CA (PEM)
    ///
    /// Makes TLS a condition. Without it, `tls://` trusts what the system trusts.
    #[arg(id = "nats-ca-file", long = "nats-ca-file", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// Show the server this certificate (PEM); goes with a key file
    #[arg(id = "nats-certificate-file", long = "nats-certificate-file", value_name = "FILE", requires = "nats-key-file")]
    pub certificate_file: Option<PathBuf>,

    /// Key of the certificate (PEM)
    #[arg(id = "nats-key-file", long = "nats-key-file", value_name = "FILE", requires = "nats-certificate-file")]
    pub key_file: Option<PathBuf>,

    /// Do not fail when the server is away at the start; keep trying
    #[arg(id = "nats-wait", long = "nats-wait")]
    pub wait: bool,

    /// Send to, or listen to, the replay of this name instead of live events
    #[arg(id = "nats-replay", long = "nats-replay", value_name = "NAME")]
    pub replay: Option<ReplayId>,
}

impl NatsOptions {
    /// This server, nothing else.
    pub fn new(url: BusUrl) -> Self {
        Self { url: Some(url), ..Self::default() }
    }

    /// Whether events, and a password, would cross a network in the clear or could be made to.
    pub fn is_plaintext_remote(&self) -> bool {
        let plain = |server: &Server| !self.requires_tls(server) && !server.is_loopback();
        self.url.as_ref().is_some_and(|url| url.0.iter().any(plain))
    }

    pub(crate) fn requires_tls(&self, server: &Server) -> bool {
        server.tls || self.ca_file.is_some() || self.certificate_file.is_some()
    }

    /// Reads the secrets anew: they may be replaced while we run.
    pub(crate) fn secret(&self) -> Result<Secret, FileError> {
        let line = |what, path: &Path| {
            let text = read(what, path)?;
            match text.lines().map(str::trim).find(|line| !line.is_empty()) {
                Some(line) => Ok(line.to_owned()),
                None => Err(FileError::new(what, path, io::Error::other("it is empty"))),
            }
        };
        if let Some(path) = &self.credentials_file {
            let text = read("credentials file", path)?;
            let bad = |name| FileError::new("credentials file", path, io::Error::other(format!("it has no {name}")));
            let jwt = pem(&text, "NATS USER JWT").ok_or_else(|| bad("NATS USER JWT"))?.to_owned();
            let seed = pem(&text, "USER NKEY SEED").ok_or_else(|| bad("USER NKEY SEED"))?;
            return Ok(Secret::Key { key: key("credentials file", path, seed)?, jwt: Some(jwt) });
        }
        if let Some(path) = &self.nkey_file {
            return Ok(Secret::Key { key: key("nkey file", path, &line("nkey file", path)?)?, jwt: None });
        }
        match (&self.user, &self.password_file) {
            (Some(user), Some(path)) => Ok(Secret::Password { user: user.clone(), password: line("password file", path)? }),
            (Some(_), None) => Err(FileError::incomplete("a user name needs a password file")),
            (None, Some(_)) => Err(FileError::incomplete("a password file needs a user name")),
            (None, None) => Ok(Secret::None),
        }
    }
}

/// What convinces a server. Has no `Debug`: it shall not be logged.
pub(crate) enum Secret {
    None,
    Password { user: String, password: String },
    Key { key: Box<nkeys::KeyPair>, jwt: Option<String> },
}

fn key(what: &'static str, path: &Path, seed: &str) -> Result<Box<nkeys::KeyPair>, FileError> {
    // the crate's own words could quote the seed
    let refuse = |_| FileError::new(what, path, io::Error::other("it holds no seed of an nkey"));
    nkeys::KeyPair::from_seed(seed).map(Box::new).map_err(refuse)
}

/// The line between `-----BEGIN <name>-----` and its end.
fn pem<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| !(line.contains("BEGIN") && line.contains(name)));
    lines.next()?;
    lines.find(|line| !line.is_empty()).filter(|line| !line.starts_with('-'))
}

pub(crate) fn read(what: &'static str, path: &Path) -> Result<String, FileError> {
    std::fs::read_to_string(path).map_err(|error| FileError::new(what, path, error))
}

/// A file that options name and that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct FileError {
    what: String,
    #[source]
    source: Option<io::Error>,
}

impl FileError {
    pub(crate) fn new(what: &str, path: &Path, source: io::Error) -> Self {
        Self { what: format!("failed to use the {what} `{}`", path.display()), source: Some(source) }
    }

    fn incomplete(what: &str) -> Self {
        Self { what: what.to_owned(), source: None }
    }
}

/// One or more servers: `nats://host:port,tls://host:port`.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BusUrl(Vec<Server>);

/// One server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Server {
    pub(crate) tls: bool,
    /// A name or an address; IPv6 without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl BusUrl {
    pub(crate) fn servers(&self) -> &[Server] {
        &self.0
    }
}

impl Server {
    fn is_loopback(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost") || self.host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
    }
}

impl FromStr for BusUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        text.split(',').map(server).collect::<Result<_, _>>().map(Self)
    }
}

fn server(text: &str) -> Result<Server, UrlError> {
    let text = text.trim();
    let (scheme, rest) = text.split_once("://").unwrap_or(("nats", text));
    // before anything that would repeat the text
    let None = rest.split_once('@') else { return Err(UrlError::Secret) };
    let refuse = |why| UrlError::Bad { url: text.to_owned(), why };
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "nats" => false,
        "tls" => true,
        _ => return Err(refuse("it begins with neither `nats://` nor `tls://`")),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(refuse("a bracket is open"))?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| refuse("what is in brackets is no IPv6 address"))?;
            (host, port)
        }
        None => rest.split_at(rest.find(':').unwrap_or(rest.len())),
    };
    let port = match port {
        "" => 4222,
        port => port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or(refuse("the port is not a number"))?,
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(allowed) {
        return Err(refuse("it has no host"));
    }
    Ok(Server { tls, host: host.to_owned(), port })
}

impl TryFrom<String> for BusUrl {
    type Error = UrlError;

    fn try_from(text: String) -> Result<Self, UrlError> {
        text.parse()
    }
}

impl From<BusUrl> for String {
    fn from(url: BusUrl) -> Self {
        url.to_string()
    }
}

impl fmt::Display for BusUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, server) in self.0.iter().enumerate() {
            write!(f, "{}{server}", if at > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tls, host, port } = self;
        let scheme = if *tls { "tls" } else { "nats" };
        if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
    }
}

/// What is no URL of a NATS server.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UrlError {
    /// Not repeated here: it would end in a log.
    #[error("a URL must not hold a user or password: others can read command lines; use a user name and a password file")]
    Secret,
    /// Anything else.
    #[error("`{url}` is no URL of a NATS server: {why}")]
    Bad {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        for (text, expect) in [
            ("nats://localhost", "nats://localhost:4222"),
            ("localhost", "nats://localhost:4222"),
            ("TLS://Example.org:1", "tls://Example.org:1"),
            ("nats://[::1]:5/", "nats://[::1]:5"),
            ("nats://a, tls://b", "nats://a:4222,tls://b:4222"),
        ] {
            assert_eq!(text.parse::<BusUrl>().unwrap().to_string(), expect);
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for (text, expect) in [
            ("http://x", "`http://x` is no URL of a NATS server: it begins with neither `nats://` nor `tls://`"),
            ("nats://x:y", "`nats://x:y` is no URL of a NATS server: the port is not a number"),
            ("nats://", "`nats://` is no URL of a NATS server: it has no host"),
            ("nats://a/b", "`nats://a/b` is no URL of a NATS server: it has no host"),
            ("nats://[::1", "`nats://[::1` is no URL of a NATS server: a bracket is open"),
            ("a,,b", "`` is no URL of a NATS server: it has no host"),
        ] {
            assert_eq!(text.parse::<BusUrl>().unwrap_err().to_string(), expect);
        }
        let error = "nats://bob:secret@x".parse::<BusUrl>().unwrap_err();
        assert!(!error.to_string().contains("secret@") && error == UrlError::Secret);
    }

    #[test]
    fn plaintext_over_a_network_is_recognised() {
        let options = |url: &str| NatsOptions::new(url.parse().unwrap());
        for (url, expect) in [
            ("nats://127.0.0.1", false),
            ("nats://localhost:1", false),
            ("nats://[::1]", false),
            ("tls://example.org", false),
            ("nats://192.168.1.1", true),
            ("nats://example.org", true),
            ("nats://localhost,nats://example.org", true),
        ] {
            assert_eq!(options(url).is_plaintext_remote(), expect, "{url}");
        }
        let with_ca = NatsOptions { ca_file: Some("ca.pem".into()), ..options("nats://example.org") };
        assert!(!with_ca.is_plaintext_remote());
        assert!(!NatsOptions::default().is_plaintext_remote());
    }

    #[test]
    fn options_come_from_a_command_line() {
        #[derive(clap::Parser)]
        struct Program {
            #[command(flatten)]
            nats: NatsOptions,
        }
        let parse = |line: &str| <Program as clap::Parser>::try_parse_from(line.split_whitespace()).map(|program| program.nats);
        assert_eq!(parse("x").unwrap(), NatsOptions::default());
        let options = parse("x --nats tls://h --nats-user u --nats-password-file f --nats-wait --nats-replay r").unwrap();
        assert_eq!(options.url.unwrap().to_string(), "tls://h:4222");
        assert!(parse("x --nats-user u").is_err());
        assert!(parse("x --nats-nkey-file a --nats-credentials-file b").is_err());
    }
}
