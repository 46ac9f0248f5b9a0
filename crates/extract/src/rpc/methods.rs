//! The methods: what is called, how often, and what its answer becomes.

use std::time::Duration;

use event::rpc_json::{List, Map, network};
use event::{
    AddrmanCount, AddrmanNetwork, FeeEstimate, FeeMode, Kind, KindId, StateAddrman, StateAddrmanRaw, StateBans, StateBlockchain,
    StateChainTips, StateChainTxStats, StateDeployments, StateFeeEstimates, StateIndexes, StateMemory, StateMempool,
    StateNetTotals, StateNetwork, StateOrphans, StatePeers, StateUptime,
};
use serde::Deserialize;

/// A method that is called again and again.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// `getpeerinfo`
    pub name: &'static str,
    /// What its answer becomes.
    pub kind: KindId,
    /// How often it is called unless told otherwise.
    pub interval: Duration,
    /// What it costs the node.
    pub weight: Weight,
    /// An answer longer than this is not read: several times the largest that a real node gives.
    pub limit: usize,
    /// Parameters, as JSON; where there are several, they are calls in one batch.
    params: &'static [&'static str],
    decode: fn(&[u8]) -> Result<Kind, DecodeError>,
}

/// What a method costs the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weight {
    /// Answered at once.
    Light,
    /// Walks over large structures, some under the node's main lock. Called on a connection of its own, so that it does not hold up the
    /// light ones; only one of them at a time.
    Heavy,
}

/// Every method, in the order in which they are called after a start.
pub const METHODS: &[Method] = &[
    light("getpeerinfo", KindId::StatePeers, 5, |json| Ok(StatePeers { peers: result::<List<_>>(json)?.0 }.into())).up_to(16 << 20),
    light("getnettotals", KindId::StateNetTotals, 5, |json| Ok(result::<StateNetTotals>(json)?.into())),
    light("getmempoolinfo", KindId::StateMempool, 5, |json| Ok(result::<StateMempool>(json)?.into())),
    light("getblockchaininfo", KindId::StateBlockchain, 10, |json| Ok(result::<StateBlockchain>(json)?.into())),
    light("getnetworkinfo", KindId::StateNetwork, 30, |json| Ok(result::<StateNetwork>(json)?.into())),
    light("uptime", KindId::StateUptime, 10, |json| Ok(StateUptime { seconds: result(json)? }.into())),
    light("getorphantxs", KindId::StateOrphans, 10, |json| Ok(StateOrphans { orphans: result::<List<_>>(json)?.0 }.into()))
        .with(&["[1]"])
        .up_to(16 << 20),
    light("getaddrmaninfo", KindId::StateAddrman, 30, |json| Ok(addrman(result(json)?).into())),
    light("estimatesmartfee", KindId::StateFeeEstimates, 60, fees).with(&[
        r#"[1,"economical"]"#,
        r#"[6,"economical"]"#,
        r#"[144,"economical"]"#,
        r#"[1,"conservative"]"#,
        r#"[6,"conservative"]"#,
        r#"[144,"conservative"]"#,
    ]),
    light("getmemoryinfo", KindId::StateMemory, 60, |json| Ok(result::<StateMemory>(json)?.into())),
    light("listbanned", KindId::StateBans, 60, |json| Ok(StateBans { bans: result::<List<_>>(json)?.0 }.into())).up_to(64 << 20),
    light("getindexinfo", KindId::StateIndexes, 60, |json| Ok(StateIndexes { indexes: result::<Map<_>>(json)?.0 }.into())),
    light("getchaintxstats", KindId::StateChainTxStats, 60, |json| Ok(result::<StateChainTxStats>(json)?.into())),
    light("getdeploymentinfo", KindId::StateDeployments, 600, |json| Ok(result::<StateDeployments>(json)?.into())),
    heavy("getchaintips", KindId::StateChainTips, 300, |json| Ok(StateChainTips { tips: result::<List<_>>(json)?.0 }.into()))
        .up_to(16 << 20),
    // some 20 MB on a node that has run for long
    heavy("getrawaddrman", KindId::StateAddrmanRaw, 3600, |json| Ok(result::<StateAddrmanRaw>(json)?.into())).up_to(64 << 20),
];

const fn light(name: &'static str, kind: KindId, seconds: u64, decode: fn(&[u8]) -> Result<Kind, DecodeError>) -> Method {
    Method { name, kind, interval: Duration::from_secs(seconds), weight: Weight::Light, limit: 1 << 20, params: &["[]"], decode }
}

const fn heavy(name: &'static str, kind: KindId, seconds: u64, decode: fn(&[u8]) -> Result<Kind, DecodeError>) -> Method {
    Method { weight: Weight::Heavy, ..light(name, kind, seconds, decode) }
}

impl Method {
    const fn with(self, params: &'static [&'static str]) -> Self {
        Self { params, ..self }
    }

    const fn up_to(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// The method of this name.
    pub fn of_name(name: &str) -> Option<&'static Self> {
        METHODS.iter().find(|method| method.name == name)
    }

    /// The body of the request.
    pub fn request(&self) -> String {
        let call =
            |(id, params): (usize, &&str)| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{}","params":{params}}}"#, self.name);
        let calls: Vec<String> = self.params.iter().enumerate().map(call).collect();
        if let [one] = calls.as_slice() { one.clone() } else { format!("[{}]", calls.join(",")) }
    }

    /// What an answer says.
    ///
    /// # Errors
    ///
    /// The node refused the call, or the bytes are no answer to it.
    pub fn decode(&self, answer: &[u8]) -> Result<Kind, DecodeError> {
        (self.decode)(answer)
    }
}

/// Why an answer brings no event.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is not JSON, or not of the right form.
    #[error("{0}")]
    Malformed(String),
    /// The node could not do what it was asked.
    #[error("{message} (error {code})")]
    Refused {
        /// One of Bitcoin Core's `RPCErrorCode`.
        code: i64,
        /// The node's words.
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Answer<T> {
    #[serde(default)]
    result: Option<T>,
    #[serde(default)]
    error: Option<Refusal>,
    #[serde(default)]
    id: Option<u32>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    message: String,
}

impl<T> Answer<T> {
    fn result(self) -> Result<T, DecodeError> {
        match (self.error, self.result) {
            (Some(Refusal { code, message }), _) => {
                Err(DecodeError::Refused { code, message: message.chars().take(200).collect() })
            }
            (None, Some(result)) => Ok(result),
            (None, None) => Err(DecodeError::Malformed("neither result nor error".into())),
        }
    }
}

/// Reads in one pass: the whole answer is not first taken apart and then its result read again.
fn result<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, DecodeError> {
    read::<Answer<T>>(json)?.result()
}

/// The error in an answer, where it is one.
fn refusal(json: &[u8]) -> Option<DecodeError> {
    result::<serde::de::IgnoredAny>(json).err().filter(|error| matches!(error, DecodeError::Refused { .. }))
}

fn read<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(json).map_err(|error| {
        // it may quote the answer
        let error = error.to_string();
        DecodeError::Malformed(error.chars().take(300).collect())
    })
}

fn addrman(counts: Map<(String, AddrmanCount)>) -> StateAddrman {
    let mut addrman = StateAddrman::default();
    for (name, count) in counts.0 {
        if name == "all_networks" {
            addrman.all_networks = Some(count);
        } else {
            let AddrmanCount { new, tried, total } = count;
            addrman.networks.push(AddrmanNetwork { network: network(&name).into(), new, tried, total });
        }
    }
    addrman
}

/// What the batch of `estimatesmartfee` asked for, by id.
const FEES: [(u32, FeeMode); 6] = [
    (1, FeeMode::Economical),
    (6, FeeMode::Economical),
    (144, FeeMode::Economical),
    (1, FeeMode::Conservative),
    (6, FeeMode::Conservative),
    (144, FeeMode::Conservative),
];

fn fees(json: &[u8]) -> Result<Kind, DecodeError> {
    // an error before the batch is looked at is not a list
    if let Some(refusal) = refusal(json) {
        return Err(refusal);
    }
    let mut estimates = Vec::new();
    for answer in read::<List<Answer<FeeEstimate>>>(json)?.0 {
        let asked = answer.id.and_then(|id| FEES.get(id as usize));
        let &(target, mode) = asked.ok_or_else(|| DecodeError::Malformed("an answer to another question".into()))?;
        estimates.push(FeeEstimate { target, mode: mode.into(), ..answer.result()? });
    }
    Ok(StateFeeEstimates { estimates }.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_method_is_listed_once_and_brings_a_state() {
        for (at, method) in METHODS.iter().enumerate() {
            assert_eq!(METHODS.iter().position(|m| m.name == method.name || m.kind == method.kind), Some(at), "{}", method.name);
            assert_eq!(method.kind.family(), "state");
        }
    }

    #[test]
    fn a_request_is_json_rpc_2() {
        let request = |name| serde_json::from_str::<serde_json::Value>(&Method::of_name(name).unwrap().request()).unwrap();
        let expected = serde_json::json!({"jsonrpc": "2.0", "id": 0, "method": "getorphantxs", "params": [1]});
        assert_eq!(request("getorphantxs"), expected);
        let batch = request("estimatesmartfee");
        for (id, (target, mode)) in FEES.iter().enumerate() {
            assert_eq!(batch[id]["id"], id);
            assert_eq!(batch[id]["params"], serde_json::json!([target, mode.word()]));
        }
        assert_eq!(batch.as_array().map(Vec::len), Some(FEES.len()));
    }

    #[track_caller]
    fn check(method: &str, answer: &str, expected: &str) {
        let shown = match Method::of_name(method).unwrap().decode(answer.as_bytes()) {
            Ok(kind) => serde_json::to_string(&event::Event::new("n", event::Source::Rpc, kind)).unwrap(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn refusals_are_told_apart_from_nonsense() {
        check("uptime", r#"{"error":{"code":-28,"message":"Loading block index…"},"id":0}"#, "Loading block index… (error -28)");
        check(
            "uptime",
            r#"{"result":null,"error":{"code":-32601,"message":"Method not found"},"id":0}"#,
            "Method not found (error -32601)",
        );
        check("estimatesmartfee", r#"{"error":{"code":-28,"message":"wait"},"id":null}"#, "wait (error -28)");
        check("uptime", r#"{"result":null,"error":null}"#, "neither result nor error");
        check("uptime", "<html>", "expected value at line 1 column 1");
        check("uptime", r#"{"result":"#, "EOF while parsing a value at line 1 column 10");
        check("getpeerinfo", r#"{"result":{}}"#, "invalid type: map, expected a list at line 1 column 10");
        check("estimatesmartfee", r#"[{"result":{},"id":6}]"#, "an answer to another question");
    }

    #[test]
    fn deep_nesting_is_an_error() {
        for result in [r#"{"news":"#, "", "[", r#"[{"id":1,"news":"#, r#"{"new":"#] {
            for deep in ["[", r#"{"a":"#] {
                let deep = format!(r#"{{"result":{result}{}"#, deep.repeat(1 << 18));
                for method in METHODS {
                    assert!(method.decode(deep.as_bytes()).is_err(), "{}", method.name);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in r#"[\[\]{}:,"a-z0-9.\-]{0,100}"#) {
            for method in METHODS {
                let _ = method.decode(&bytes);
                let _ = method.decode(format!(r#"{{"result":{text}}}"#).as_bytes());
            }
        }
    }
}
