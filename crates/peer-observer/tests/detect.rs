//! Detectors beside a real node: what is done to it appears in the lines of `run`, and in a recording of the same.
#![cfg(feature = "ebpf")]
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod program;

use program::{Running, may_trace, program};
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::{Node, Peer, node, peer};

/// More than fit a trickle: 70 and five more per thousand waiting.
const TRANSACTIONS: usize = 1700;

/// Signed transactions that spend one output each.
fn prepare(node: &Node) -> Vec<Value> {
    let address = || node.rpc("getnewaddress", json!([])).unwrap();
    node.rpc("generatetoaddress", json!([101, address()])).unwrap();
    let outputs: serde_json::Map<String, Value> =
        (0..TRANSACTIONS).map(|_| (address().as_str().unwrap().to_owned(), json!("0.01"))).collect();
    node.rpc("sendmany", json!(["", outputs])).unwrap();
    node.rpc("generatetoaddress", json!([1, address()])).unwrap();
    let target = address();
    let unspent = node.rpc("listunspent", json!([1, 1])).unwrap();
    let small = unspent.as_array().unwrap().iter().filter(|coin| coin["amount"] == 0.01);
    small
        .map(|coin| {
            let raw = node
                .rpc(
                    "createrawtransaction",
                    json!([[{"txid": coin["txid"], "vout": coin["vout"]}], {target.as_str().unwrap(): "0.0099"}]),
                )
                .unwrap();
            node.rpc("signrawtransactionwithwallet", json!([raw])).unwrap()["hex"].clone()
        })
        .collect()
}

#[test]
fn a_rush_of_transactions_is_found_at_a_real_node() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    let main = Node::start(node::Options { wallet: true, ..node::Options::default() }).unwrap();
    let transactions = prepare(&main);
    assert_eq!(transactions.len(), TRANSACTIONS);
    let options = |host| peer::Options { source: [127, 0, 0, host].into(), ..peer::Options::default() };
    let _peers: Vec<Peer> = (2..8).map(|host| Peer::connect(main.p2p_address(), &options(host)).unwrap()).collect();
    let place = tempfile::tempdir().unwrap();
    let thresholds = ["d39.queue_warn=500", "guard.restart=0", "guard.attached=0"].map(|set| format!("--detect-threshold={set}"));
    let mut run = program();
    run.args(["run", "--format=json", "--kinds=finding,health.attached", "--archive"]).arg(place.path().join("archive"));
    run.args(&thresholds).arg("--datadir").arg(main.datadir());
    let mut running = Running::start(&mut run);
    running.wait_for("probes", |line| line.contains("\"source\":\"ebpf\"") && line.contains("health.attached"));
    for transaction in transactions {
        main.rpc("sendrawtransaction", json!([transaction])).unwrap();
    }
    let is_it = |line: &str| line.contains("\"kind\":\"finding.opened\"") && line.contains("\"detector\":\"D39\"");
    let lines = running.wait_for("D39", is_it);
    let live: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    let finding = &live["findingOpened"]["finding"];
    assert_eq!((&finding["name"], &finding["entity"]["kind"]), (&json!("inv_queue"), &json!("node")));
    assert!(!finding["evidence"].as_array().unwrap().is_empty());
    let (_, errors, status) = running.end(Signal::INT);
    assert!(status.success(), "{errors:#?}");

    // the same again, from what was kept
    let mut again = program();
    again.args(["detect", "--format=json", "--recording"]).arg(place.path().join("archive")).args(&thresholds);
    let output = again.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    let recorded: Value = serde_json::from_str(printed.lines().find(|line| is_it(line)).expect("D39 in the recording")).unwrap();
    assert_eq!(recorded["findingOpened"], live["findingOpened"]);
}
