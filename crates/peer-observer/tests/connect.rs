//! `connect` as an operator runs it.
#![cfg(feature = "ebpf")]
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod program;

use bus::{Bus, Delivery, Limits, NatsOptions};
use bytes::Bytes;
use event::{Direction, Filter, Kind, KindId, NetAddrv2, Network, NetworkAddress, Source, StateNetwork, StatePeers, VisitResult};
use expect_test::{Expect, expect};
use program::{Running, output, program};
use rustix::process::Signal;
use testkit::{NatsServer, Node, node};

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec");

#[track_caller]
fn refused(args: &[&str], expect: Expect) {
    let output = output(args);
    let code = output.status.code();
    // what the parser refuses ends with its usage
    let text = String::from_utf8(output.stderr).unwrap();
    expect.assert_eq(&format!("{code:?}\n{text}"));
}

#[test]
fn nobody_is_dialled_by_accident() {
    let nats = "--nats=nats://127.0.0.1:1";
    refused(
        &["connect"],
        expect![[r#"
            Some(2)
            error: `connect` needs a bus or a recording to hear of addresses from
            hint: give `--nats URL` or `--recording FILES`; `peer-observer run` with a section `[connect]` does both
        "#]],
    );
    refused(
        &["connect", nats],
        expect![[r#"
            Some(2)
            error: nobody is dialled without a contact
            hint: give `--connect-contact` the address of a page that says what this is: everybody who is dialled can read it
        "#]],
    );
    refused(
        &["connect", nats, "--connect-contact=https://example.org"],
        expect![[r#"
            Some(2)
            error: nobody is dialled without a file to remember who was
            hint: give `--connect-state` a file that this user may write, and that stays
        "#]],
    );
    let place = tempfile::tempdir().unwrap();
    let state = format!("--connect-state={}", place.path().join("tried").display());
    refused(
        &["connect", nats, "--connect-contact=https://example.org", &state, "--connect-test-ranges=127.0.0.0/8"],
        expect![[r#"
            Some(2)
            error: ranges for tests are not dialled on the network `main`
            hint: leave `--connect-test-ranges` out, or say `--connect-network regtest`
        "#]],
    );
}

#[test]
fn a_recording_says_who_would_have_been_dialled() {
    let output = output(&["connect", "--recording", DEMO]);
    assert!(output.status.success());
    expect![[r#"
        addresses heard from peers                       1109
          never dialled: private or reserved             1084
          never dialled: network not configured            25
          waited already                                    0
          dialled in the last 24 hours                      0
          enough ports of the host dialled                  0
          no room to wait                                   0
        would have been dialled                             0
        would still wait                                    0
        at 1 a second, 0 advertisers taking turns

        no visits are recorded
    "#]]
    .assert_eq(&String::from_utf8(output.stdout).unwrap());
    let tor = program().args(["connect", "--recording", DEMO, "--connect-tor=127.0.0.1:9"]).output().unwrap();
    let text = String::from_utf8(tor.stdout).unwrap();
    assert!(text.contains("never dialled: network not configured            12\n"), "{text}");
    assert!(text.contains("advertised by 127.103.94.0/24"), "{text}");
}

#[test]
fn run_refuses_beside_a_node() {
    testkit::need_node!();
    let node = Node::start(node::Options::default()).unwrap();
    let place = tempfile::tempdir().unwrap();
    let mut run = program();
    run.args(["run", "--quiet", "--connect-contact=https://example.org", "--datadir"]).arg(node.datadir());
    run.arg("--connect-state").arg(place.path().join("tried"));
    let output = run.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("error: would dial from the machine of a watched node"), "{text}");
    assert!(!place.path().join("tried").exists());
}

#[test]
fn over_nats_a_node_is_visited_once_and_results_come_back() {
    testkit::need_nats!();
    testkit::need_node!();
    let server = NatsServer::start("").unwrap();
    let node = Node::start(node::Options::default()).unwrap();
    let place = tempfile::tempdir().unwrap();
    let state = place.path().join("tried");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let connect = || {
        let mut command = program();
        command.args(["connect", "--nats", &server.url(), "--connect-contact=https://example.org/visits", "--connect-state"]);
        command.arg(&state).args(["--connect-network=regtest", "--connect-test-ranges=127.0.0.0/8"]);
        Running::start(&mut command)
    };
    let options = NatsOptions { url: Some(server.url().parse().unwrap()), ..NatsOptions::default() };
    let bus = runtime.block_on(Bus::open(&options)).unwrap();
    let wanted = Filter::kinds([KindId::ProbeAddress, KindId::HealthBeat]);
    let mut results = runtime.block_on(bus.subscribe(wanted, Limits::default())).unwrap();
    let mut found = 0;
    for life in 0..2 {
        let mut running = connect();
        running
            .wait_for_error("what it reveals", |line| line.contains("dials strangers") && line.contains("this machine's address"));
        let publisher = bus.publisher("alice".parse().unwrap(), Source::Ebpf);
        let rpc = bus.publisher("alice".parse().unwrap(), Source::Rpc);
        let address = node.p2p_address();
        let entry = NetworkAddress {
            services: 0xc09,
            network: Network::Ipv4.into(),
            address: Bytes::copy_from_slice(&[127, 0, 0, 1]),
            port: address.port().into(),
            ..NetworkAddress::default()
        };
        // again and again, until it listens; in its second life it has nothing to say but beats
        runtime.block_on(async {
            let mut beats = 0;
            for _ in 0..600 {
                rpc.publish(1, None, StateNetwork::default());
                rpc.publish(1, None, StatePeers::default());
                let peer = NetAddrv2 {
                    direction: Direction::Inbound.into(),
                    address: "8.8.8.8:8333".into(),
                    network: Network::Ipv4.into(),
                    addresses: vec![entry.clone()],
                    ..NetAddrv2::default()
                };
                publisher.publish(1, None, peer);
                let next = tokio::time::timeout(std::time::Duration::from_millis(100), results.next()).await;
                let Ok(Some(Delivery::Event(event))) = next else { continue };
                match &event.kind {
                    Some(Kind::ProbeAddress(visit)) => {
                        assert_eq!(
                            (visit.result(), visit.advertisers[0].address.as_str()),
                            (VisitResult::Reachable, "8.8.8.8:8333")
                        );
                        assert_eq!((event.node.as_str(), event.source()), ("alice", Source::Connect));
                        found += 1;
                    }
                    _ if event.source() == Source::Connect => beats += 1,
                    _ => {}
                }
                if found > 0 && beats > 4 {
                    break;
                }
            }
            assert!(beats > 4, "in life {life}");
        });
        let (_, errors, status) = running.end(Signal::INT);
        assert!(status.success(), "{errors:#?}");
    }
    assert_eq!(found, 1);
    runtime.block_on(bus.close());
}
