//! What a user needs to be allowed, and whether it is.

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

/// Makes a user with a fresh password.
///
/// # Errors
///
/// The system has no randomness to give.
pub fn least_privilege_lines(user: &str) -> anyhow::Result<User> {
    let (mut salt, mut password) = ([0; 16], [0; 32]);
    for bytes in [&mut salt[..], &mut password[..]] {
        getrandom::fill(bytes).map_err(|error| anyhow::anyhow!("failed to make a password: {error}"))?;
    }
    Ok(lines(user, &hex(&salt), &hex(&password)))
}

/// As `share/rpcauth/rpcauth.py` of Bitcoin Core makes them: HMAC-SHA256 of the password, the key being the salt as text.
fn lines(user: &str, salt: &str, password: &str) -> User {
    let mut engine = HmacEngine::<sha256::Hash>::new(salt.as_bytes());
    engine.input(password.as_bytes());
    let hash = Hmac::from_engine(engine).to_byte_array();
    let methods: Vec<&str> = METHODS.iter().map(|method| method.name).collect();
    User {
        lines: vec![
            format!("rpcauth={user}:{salt}${}", hex(&hash)),
            format!("rpcwhitelist={user}:{}", methods.join(",")),
            // users without a list, the cookie's too, keep their rights
            "rpcwhitelistdefault=0".to_owned(),
        ],
        password: password.to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    event::text::Hex(bytes).to_string()
}

/// Calls every method that is switched on once, one after the other.
///
/// # Errors
///
/// The node cannot be reached at all, or does not know us. What a single method fails with stands beside it.
pub async fn check(config: &Config, target: &Target) -> Result<Vec<(&'static str, Result<(), CallError>)>, CallError> {
    let secret = target.secret.read()?;
    let mut results = Vec::new();
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
            other => results.push((method.name, other)),
        }
    }
    Ok(results)
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
        let [one, two] = [(); 2].map(|()| least_privilege_lines("observer").unwrap());
        assert_eq!(one.password.len(), 64);
        assert_ne!(one, two);
    }
}
