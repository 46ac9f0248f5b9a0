//! What it costs to decode a P2P message. `cargo bench -p po-event`; `cargo test` runs each case once.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bitcoin::consensus::encode::serialize;
use bitcoin::hashes::Hash as _;
use bitcoin::p2p::ServiceFlags;
use bitcoin::p2p::address::{AddrV2, AddrV2Message};
use bitcoin::p2p::message_blockdata::Inventory;
use bitcoin::{Amount, Block, OutPoint, ScriptBuf, Transaction, TxIn, TxOut, Txid, Witness, Wtxid};
use event::p2p::{Captured, MAX_PAYLOAD, Message};
use event::redact::Redactor;
use event::{ConnectionType, Direction, Event, KindId, Network, Source};

fn main() {
    let measure = std::env::args().any(|argument| argument == "--bench");
    let block = block();
    let mut redactor = Redactor::new([7; 32]);
    let cases = [
        ("a ping", "ping", serialize(&7_u64)),
        ("an inv of 35 transactions", "inv", serialize(&inventory(35))),
        ("an inv of 1000 transactions", "inv", serialize(&inventory(1000))),
        ("an addrv2 of 1000 addresses", "addrv2", serialize(&addresses(1000))),
        ("a tx of 2 inputs and 2 outputs", "tx", serialize(&transaction(0))),
        ("2000 headers", "headers", headers(2000)),
        ("a block of 4 MB", "block", block),
        // what a peer can do at worst
        ("a block of as many empty transactions as fit", "block", smallest_transactions()),
        ("an addrv2 of as many empty addresses as fit", "addrv2", smallest_addresses()),
    ];
    for (name, message_type, payload) in &cases {
        let message = Message {
            peer: 7,
            direction: Direction::Inbound,
            address: "203.0.113.7:8333",
            connection_type: ConnectionType::Inbound,
            network: Network::Ipv4,
            size: payload.len() as u32,
            message_type: message_type.as_bytes(),
            payload,
            captured: Captured::Whole,
            keep_raw: false,
        };
        assert_ne!(message.decode().id(), KindId::NetUndecodable, "{name}");
        let event = Event::new("alice", Source::Ebpf, message.decode());
        let bytes = event.to_bytes();
        case(measure, &format!("decode {name} ({} bytes)", payload.len()), || message.decode());
        case(measure, &format!("    to protobuf ({} bytes)", bytes.len()), || event.to_bytes());
        case(measure, "    from protobuf", || Event::from_bytes(bytes.clone()));
        case(measure, "    to JSON", || serde_json::to_vec(&event));
        case(measure, "    copied and redacted", || redactor.redact(event.clone()));
    }
}

/// The best of several rounds: what is slower than that is the machine's doing.
fn case<T>(measure: bool, name: &str, mut run: impl FnMut() -> T) {
    black_box(run());
    if !measure {
        return;
    }
    let start = Instant::now();
    black_box(run());
    let once = start.elapsed().max(Duration::from_nanos(20));
    let iterations = (Duration::from_millis(20).as_nanos() / once.as_nanos()).max(1);
    let round = || {
        let start = Instant::now();
        for _ in 0..iterations {
            black_box(run());
        }
        start.elapsed().as_nanos() / iterations
    };
    let best = std::iter::repeat_with(round).take(10).min().unwrap_or_default();
    println!("{best:>12} ns  {name}");
}

fn inventory(count: usize) -> Vec<Inventory> {
    (0..count).map(|at| Inventory::WTx(Wtxid::hash(&at.to_le_bytes()))).collect()
}

fn addresses(count: u32) -> Vec<AddrV2Message> {
    let address = |at: u32| match at % 4 {
        0 => AddrV2::TorV3([at as u8; 32]),
        1 => AddrV2::Ipv6((u128::from(at) << 96 | 0x2001 << 112).into()),
        _ => AddrV2::Ipv4((0x0800_0000 | at).into()),
    };
    let message = |at| AddrV2Message { time: 1_750_000_000, services: ServiceFlags::NETWORK, addr: address(at), port: 8333 };
    (0..count).map(message).collect()
}

/// As a wallet of today makes it: two witness inputs, two outputs.
fn transaction(number: u32) -> Transaction {
    let input = |vout| TxIn {
        previous_output: OutPoint { txid: Txid::hash(&number.to_le_bytes()), vout },
        witness: Witness::from_slice(&[&[0x30; 71][..], &[2; 33]]),
        ..Default::default()
    };
    let output = || TxOut { value: Amount::from_sat(1000), script_pubkey: ScriptBuf::from_bytes(vec![0; 22]) };
    Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![input(0), input(1)],
        output: vec![output(), output()],
    }
}

fn headers(count: u16) -> Vec<u8> {
    let header = serialize(&bitcoin::constants::genesis_block(bitcoin::Network::Bitcoin).header);
    let mut payload = vec![0xfd];
    payload.extend(count.to_le_bytes());
    for _ in 0..count {
        payload.extend(&header);
        payload.push(0);
    }
    payload
}

/// As many transactions as fit.
fn block() -> Vec<u8> {
    let mut block = bitcoin::constants::genesis_block(bitcoin::Network::Bitcoin);
    let each = serialize(&transaction(0)).len();
    let count = (MAX_PAYLOAD - 400) / each;
    block.txdata.extend((0..count as u32).map(transaction));
    let payload = serialize::<Block>(&block);
    assert!((MAX_PAYLOAD - 1000..=MAX_PAYLOAD).contains(&payload.len()));
    payload
}

/// Bitcoin Core does not accept a transaction without inputs, but the probe sees it before Bitcoin Core does.
fn smallest_transactions() -> Vec<u8> {
    let header = serialize(&bitcoin::constants::genesis_block(bitcoin::Network::Bitcoin).header);
    repeat(header, &[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])
}

/// Of an unknown network, without bytes: time, services, network, length, port.
fn smallest_addresses() -> Vec<u8> {
    repeat(Vec::new(), &[0, 0, 0, 0, 0, 99, 0, 0, 0])
}

/// As many as fit, behind their number.
fn repeat(mut payload: Vec<u8>, item: &[u8]) -> Vec<u8> {
    let count = (MAX_PAYLOAD - payload.len() - 5) / item.len();
    payload.push(0xfe);
    payload.extend((count as u32).to_le_bytes());
    payload.extend(item.repeat(count));
    payload
}
