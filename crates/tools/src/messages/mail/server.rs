//! Where a mail server is, and whose mailboxes there are.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::Uri;

/// A mail server, as the operator names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    pub(super) security: Security,
    pub(super) host: String,
    pub(super) port: u16,
}

/// How what is said to it is kept from others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Security {
    /// Encrypted from the start (RFC 8314): `smtps`.
    Tls,
    /// Encrypted before anything is said that matters (RFC 3207), or not said: `smtp`.
    StartTls,
    /// Not at all: `smtp+plain`.
    None,
}

impl Security {
    /// The scheme, and the port where there is no other.
    fn scheme(self) -> (&'static str, u16) {
        match self {
            Self::Tls => ("smtps", 465),
            Self::StartTls => ("smtp", 587),
            Self::None => ("smtp+plain", 25),
        }
    }
}

impl Server {
    /// Whether nobody else can read what is said to it: it is encrypted, or does not leave this machine.
    pub fn is_private(&self) -> bool {
        let host = self.host.trim_matches(['[', ']']);
        self.security != Security::None || host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no address of a mail server: write it as `smtps://host` or `smtp://host:587`");
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let all = [Security::Tls, Security::StartTls, Security::None];
        let security = all.into_iter().find(|security| uri.scheme_str() == Some(security.scheme().0)).ok_or_else(wrong)?;
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') {
            return Err("a password does not belong into an address: there is a file for it".to_owned());
        }
        if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
            return Err(format!("`{text}` has something after the host and the port, where nothing belongs"));
        }
        let host = authority.host().to_owned();
        let port = authority.port_u16().unwrap_or(security.scheme().1);
        if host.is_empty() { Err(wrong()) } else { Ok(Self { security, host, port }) }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.security.scheme().0, self.host, self.port)
    }
}

/// Whose mailbox it is: `ann@example.org`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address(pub(super) lettre::Address);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no mail address: write it as `ann@example.org`");
        // servers that take others are few; a domain has a form in these letters (`xn--…`)
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong());
        }
        text.parse().map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn servers_are_read() {
        let server = |text: &str| text.parse::<Server>().map(|server| (server.to_string(), server.is_private()));
        assert_eq!(server("smtps://mail.example").unwrap(), ("smtps://mail.example:465".into(), true));
        assert_eq!(server("smtp://mail.example/").unwrap(), ("smtp://mail.example:587".into(), true));
        assert_eq!(server("smtp+plain://mail.example").unwrap(), ("smtp+plain://mail.example:25".into(), false));
        for here in ["127.0.0.1", "[::1]", "localhost"] {
            assert_eq!(server(&format!("smtp+plain://{here}:2525")).unwrap(), (format!("smtp+plain://{here}:2525"), true));
        }
        let wrong = [
            "",
            "mail.example",
            "http://x",
            "smtp://",
            "smtp://:25",
            "smtps://user:secret@host",
            "smtp://host/path",
            "smtp://host?tls=no",
        ];
        for wrong in wrong {
            assert!(server(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_are_read() {
        for fine in ["ann@example.org", "ops+night@mail.example.org", "root@localhost", "ann@[192.0.2.1]", "ann@xn--exmple-cua.org"]
        {
            assert_eq!(fine.parse::<Address>().unwrap().to_string(), fine);
        }
        for wrong in [
            "",
            "ann",
            "@",
            "ann@",
            "@example.org",
            "ann@example.org\r\nBcc: eve@example.org",
            "Ann <ann@example.org>",
            "ann@exämple.org",
        ] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            let _ = (text.parse::<Server>(), text.parse::<Address>());
        }
    }
}
