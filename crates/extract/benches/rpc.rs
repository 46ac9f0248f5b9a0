//! What an answer of the node costs, from its last byte to published. `cargo bench -p po-extract --bench rpc`; `cargo test` runs each
//! case once.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bus::{Bus, Limits};
use event::{Filter, Source};
use extract::rpc::Method;

fn main() {
    let measure = std::env::args().any(|argument| argument == "--bench");
    let cases = [
        ("getpeerinfo with 125 peers", "getpeerinfo", peers(125)),
        ("getmempoolinfo", "getmempoolinfo", MEMPOOL.to_owned()),
        ("getrawaddrman with 81,920 addresses", "getrawaddrman", addresses()),
    ];
    for (name, method, answer) in &cases {
        let method = Method::of_name(method).expect("a method of the table");
        let rounds = if measure { (200_000_000 / answer.len()).clamp(10, 20_000) } else { 1 };
        let mut times: Vec<Duration> = (0..rounds).map(|_| published(method, answer)).collect();
        times.sort_unstable();
        println!(
            "{name}: {} kB, median {:.3?}, worst {:.3?} of {rounds}",
            answer.len() / 1000,
            times[rounds / 2],
            times[rounds - 1]
        );
    }
}

/// With somebody who listens: an event that nobody wants would not even be queued.
fn published(method: &Method, answer: &str) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let bus = Bus::local();
    let subscription = runtime.block_on(bus.subscribe(Filter::all(), Limits::default())).expect("the bus is open");
    let publisher = bus.publisher("bench".parse().expect("letters"), Source::Rpc);
    let start = Instant::now();
    publisher.publish(0, None, method.decode(answer.as_bytes()).expect("a good answer"));
    let took = start.elapsed();
    black_box(subscription);
    took
}

const MEMPOOL: &str = r#"{"jsonrpc":"2.0","result":{"loaded":true,"size":51234,"bytes":24123456,"usage":131072000,"total_fee":0.51234567,
    "maxmempool":300000000,"mempoolminfee":0.00000100,"minrelaytxfee":0.00000100,"incrementalrelayfee":0.00000100,"unbroadcastcount":0,
    "fullrbf":true,"permitbaremultisig":true,"maxdatacarriersize":100000,"limitclustercount":64,"limitclustersize":101000,"optimal":true},"id":0}"#;

/// As a node of mainnet gives it after some hours: every field there, two dozen types of messages each way.
fn peers(count: usize) -> String {
    const TYPES: [&str; 24] = [
        "addrv2",
        "block",
        "blocktxn",
        "cmpctblock",
        "feefilter",
        "getaddr",
        "getblocktxn",
        "getdata",
        "getheaders",
        "headers",
        "inv",
        "notfound",
        "ping",
        "pong",
        "sendaddrv2",
        "sendcmpct",
        "sendheaders",
        "tx",
        "verack",
        "version",
        "wtxidrelay",
        "addr",
        "mempool",
        "*other*",
    ];
    let bytes: Vec<String> = TYPES.iter().enumerate().map(|(at, name)| format!(r#""{name}":{}"#, 123_456 * (at + 1))).collect();
    let bytes = bytes.join(",");
    let peer = |id: usize| {
        format!(
            r#"{{"id":{id},"addr":"203.0.113.{}:8333","addrbind":"192.0.2.1:8333","addrlocal":"192.0.2.1:8333","network":"ipv4","mapped_as":64496,
            "services":"0000000000000c09","servicesnames":["NETWORK","WITNESS","NETWORK_LIMITED","P2P_V2"],"relaytxes":true,
            "last_inv_sequence":123456,"inv_to_send":3,"lastsend":1760000000,"lastrecv":1760000001,"last_transaction":1760000000,
            "last_block":1759999000,"bytessent":123456789,"bytesrecv":123456789,"conntime":1759990000,"timeoffset":-1,"pingtime":0.051234,
            "minping":0.041234,"version":70016,"subver":"/Satoshi:30.0.0/","inbound":true,"bip152_hb_to":false,"bip152_hb_from":true,
            "presynced_headers":-1,"synced_headers":917000,"synced_blocks":917000,"inflight":[],"addr_relay_enabled":true,
            "addr_processed":1234,"addr_rate_limited":5,"permissions":[],"minfeefilter":0.00000100,"bytessent_per_msg":{{{bytes}}},
            "bytesrecv_per_msg":{{{bytes}}},"connection_type":"inbound","transport_protocol_type":"v2",
            "session_id":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"}}"#,
            id % 256
        )
    };
    let peers: Vec<String> = (0..count).map(peer).collect();
    as_core_writes_it(&format!(r#"{{"jsonrpc":"2.0","result":[{}],"id":0}}"#, peers.join(",")))
}

/// Every place of both tables taken.
fn addresses() -> String {
    let table = |buckets: usize| {
        let mut out = String::new();
        for at in 0..buckets * 64 {
            let comma = if at == 0 { "" } else { "," };
            let address = match at % 3 {
                0 => (format!("203.0.{}.{}", at / 256 % 256, at % 256), "ipv4"),
                1 => (format!("2001:db8::{at:x}"), "ipv6"),
                _ => ("pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion".to_owned(), "onion"),
            };
            let _ = write!(
                out,
                r#"{comma}"{}/{}":{{"address":"{}","mapped_as":64496,"port":8333,"network":"{}","services":3081,"time":1760000000,
                "source":"198.51.100.7","source_network":"ipv4","source_mapped_as":64497}}"#,
                at / 64,
                at % 64,
                address.0,
                address.1
            );
        }
        out
    };
    as_core_writes_it(&format!(r#"{{"jsonrpc":"2.0","result":{{"new":{{{}}},"tried":{{{}}}}},"id":0}}"#, table(1024), table(256)))
}

/// Without any blank.
fn as_core_writes_it(json: &str) -> String {
    json.split_ascii_whitespace().collect()
}
