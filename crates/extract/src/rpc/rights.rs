//! What a user needs to be allowed, and whether it is.

use std::fmt;
use std::str::FromStr;

use bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256};

use super::client::{CallError, Connection};
use super::methods::METHODS;
use super::{Config, Target};

/// A user that may read what is read here, and nothing else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// Lines for bitcoin.conf. They hold no secret.
    pub lines: Vec<String>,
    /// The password: shown once, kept nowhere here.
    pub password: String,
}

/// The name of a new user: letters, digits, `-` and `_`. With others, lines for bitcoin.conf would say something else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserName(String);

impl FromStr for UserName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let good = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        if good { Ok(Self(text.to_owned())) } else { Err("a user's name is made of letters, digits, `-` and `_`".to_owned()) }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes a user with a fresh password.
///
/// # Errors
///
/// The system has no randomness to give.
pub fn least_privilege_lines(user: &UserName) -> anyhow::Result<User> {
    let (mut salt, mut password) = ([0; 16], [0; 32]);
    for bytes in [&mut salt[..], &mut password[..]] {
        getrandom::fill(bytes).map_err(|error| anyhow::anyhow!("failed to make a password: {error}"))?;
    }
    Ok(lines(&user.0, &hex(&salt), &hex(&password)))
}

/// As `share/rpcauth/rpcauth.py` of Bitcoin Core makes them: HMAC-SHA256 of the password, the key being the salt as text.
fn lines(user: &str, salt: &str, password: &str) -> User {
    let mut engine = HmacEngine::<sha256::Hash>::new(salt.as_bytes());
    engine.input(password.as_bytes());
    let hash = Hmac::from_engine(engine).to_byte_array();
    User {
        lines: vec![
            format!("rpcauth={user}:{salt}${}", hex(&hash)),
            whitelist(user),
            // users without a list, the cookie's too, keep their rights
            "rpcwhitelistdefault=0".to_owned(),
        ],
        password: password.to_owned(),
    }
}

/// The line for bitcoin.conf that lets a user call what is called here. Several lines for one user allow only what all of them allow.
pub fn whitelist(user: &str) -> String {
    let methods: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
    format!("rpcwhitelist={user}:{}", methods.join(","))
}

fn hex(bytes: &[u8]) -> String {
    event::text::Hex(bytes).to_string()
}

/// What a user may call.
#[derive(Debug)]
pub struct Checked {
    /// As whom we asked.
    pub user: String,
    /// Every method that is switched on, and what came of calling it.
    pub methods: Vec<(&'static str, Result<(), CallError>)>,
}

/// Calls every method that is switched on once, one after the other.
///
/// # Errors
///
/// The node cannot be reached at all, or does not know us. What a single method fails with stands beside it.
pub async fn check(config: &Config, target: &Target) -> Result<Checked, CallError> {
    let secret = target.secret.read()?;
    let user = secret.split(':').next().unwrap_or_default().to_owned();
    let mut methods = Vec::new();
    for method in METHODS.iter().filter(|method| config.interval(method).is_some()) {
        let call = async {
            let mut connection = Connection::open(&target.address, &secret).await?;
            connection.call(method, &mut 0).await?.decode(method).map(drop)
        };
        let result = tokio::time::timeout(config.rpc_timeout, call).await.unwrap_or(Err(CallError::Timeout(config.rpc_timeout)));
        match result {
            Err(error @ (CallError::Unreachable { .. } | CallError::Unauthorized(_) | CallError::WarmingUp(_))) => {
                return Err(error);
            }
            other => methods.push((method.name, other)),
        }
    }
    Ok(Checked { user, methods })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    /// The hash by `printf se:cret | openssl dgst -sha256 -hmac 0011`.
    #[test]
    fn lines_for_the_configuration() {
        let user = lines("observer", "0011", "se:cret");
        expect![[r#"
            rpcauth=observer:0011$6f73e5ce77f55fc57bdc0d93fb4c6d691aa84de2382e8dd4dda3c07ca5cdd3b8
            rpcwhitelist=observer:getpeerinfo,getnettotals,getmempoolinfo,getblockchaininfo,getnetworkinfo,uptime,getorphantxs,getaddrmaninfo,estimatesmartfee,getmemoryinfo,listbanned,getindexinfo,getchaintxstats,getdeploymentinfo,getchaintips,getrawaddrman
            rpcwhitelistdefault=0"#]]
        .assert_eq(&user.lines.join("\n"));
    }

    #[test]
    fn every_password_is_another() {
        let [one, two] = [(); 2].map(|()| least_privilege_lines(&"observer".parse().unwrap()).unwrap());
        assert_eq!(one.password.len(), 64);
        assert_ne!(one, two);
    }

    /// Each would make another line, or another user, than the one that is shown.
    #[test]
    fn a_name_makes_no_lines_of_its_own() {
        for good in ["observer", "a", "A-1_b"] {
            assert_eq!(good.parse::<UserName>().map(|name| name.to_string()).as_deref(), Ok(good));
        }
        for bad in ["", "a:b", "a\nrpcallowip=0.0.0.0/0", "a b", "a$", "a#", "é", "a\r", "a,b"] {
            assert!(bad.parse::<UserName>().is_err(), "{bad:?}");
        }
    }
}
