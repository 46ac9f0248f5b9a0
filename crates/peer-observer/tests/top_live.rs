//! The screen in a real terminal, beside a real node and behind a real NATS server.
#![cfg(feature = "ebpf")]
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod program;
mod terminal;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use program::{Running, may_trace, program};
use rustix::process::Signal;
use terminal::Terminal;
use testkit::{NatsServer, Node, Peer, attack, node, wait};

/// A peer from that address, which is to appear on the screen.
fn join(terminal: &mut Terminal, node: &Node, range: [u8; 3], host: u8) -> Peer {
    let peer = Peer::connect(node.p2p_address(), &attack::at(range, host)).unwrap();
    let address = peer.address().to_string();
    terminal.wait_for(&address, |screen| screen.contains(&address));
    peer
}

/// The process that holds the probes, a child of the program.
fn tracer(terminal: &Terminal) -> PathBuf {
    let pid = terminal.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    PathBuf::from(format!("/proc/{}", children.split_whitespace().next().expect("a child")))
}

/// What the tracing process prints is not drawn into the screen, and is not lost either.
#[test]
fn a_real_node_is_shown_and_nothing_is_drawn_over_it() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    let main = Node::start(node::Options::default()).unwrap();
    let mut terminal = Terminal::start(&["run", "--top", "--datadir", main.datadir().to_str().unwrap()]);
    terminal.wait_for("the node", |screen| screen.contains("regtest") && screen.contains("by msg/s"));
    let _first = join(&mut terminal, &main, [127, 0, 21], 1);
    let tracer = tracer(&terminal);
    let mut stderr = OpenOptions::new().write(true).open(tracer.join("fd/2")).unwrap();
    stderr.write_all(b"a line of the tracing process\n").unwrap();
    drop(stderr);
    terminal.wait_for("the line where warnings are", |screen| {
        screen.lines().last().is_some_and(|line| line.contains("the tracing process says: a line of the tracing process"))
    });
    let _second = join(&mut terminal, &main, [127, 0, 21], 2);
    let shown = terminal.screen.text();
    assert_eq!(shown.matches("a line of the tracing process").count(), 1, "{shown}");
    terminal.press("q");
    let (status, rest) = terminal.ends();
    assert!(status.success(), "{rest}");
    // after the screen is gone, all that was held back
    assert!(
        rest.contains("watching the node") && rest.contains("WARN the tracing process says: a line of the tracing process"),
        "{rest}"
    );
    wait::until("the tracing process to end", wait::LONG, || Ok((!tracer.exists()).then_some(()))).unwrap();
}

#[test]
fn a_signal_ends_the_screen_beside_a_node() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    let main = Node::start(node::Options::default()).unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        let mut terminal = Terminal::start(&["run", "--top", "--datadir", main.datadir().to_str().unwrap()]);
        let _peer = join(&mut terminal, &main, [127, 0, 22], 1);
        let tracer = tracer(&terminal);
        terminal.signal(signal);
        let (status, rest) = terminal.ends();
        assert!(status.success(), "{rest}");
        wait::until("the tracing process to end", wait::LONG, || Ok((!tracer.exists()).then_some(()))).unwrap();
    }
}

/// Over NATS, also after the server was away.
#[test]
fn a_node_behind_nats_is_shown() {
    testkit::need_node!();
    testkit::need_nats!();
    if !may_trace() {
        return;
    }
    let main = Node::start(node::Options::default()).unwrap();
    let mut server = NatsServer::start("").unwrap();
    let url = server.url();
    let mut publisher = Running::start(program().args(["run", "--quiet", "--nats", &url, "--datadir"]).arg(main.datadir()));
    publisher.wait_for_error("probes", |line| line.contains("watching the node"));
    let mut terminal = Terminal::start(&["top", "--nats", &url]);
    terminal.wait_for("the node", |screen| screen.contains("regtest") && screen.contains("by msg/s"));
    let _first = join(&mut terminal, &main, [127, 0, 23], 1);
    server.stop().unwrap();
    terminal.wait_for("a word about it", |screen| screen.contains("nothing came for"));
    server.start_again().unwrap();
    terminal.wait_for("the stream again", |screen| !screen.contains("nothing came for"));
    let _second = join(&mut terminal, &main, [127, 0, 23], 2);
    terminal.press("q");
    let (status, rest) = terminal.ends();
    assert!(status.success(), "{rest}");

    // with the server there, and without
    for away in [false, true] {
        let mut terminal = Terminal::start(&["top", "--nats", &url]);
        terminal.wait_for("the node", |screen| screen.contains("by msg/s"));
        if away {
            server.stop().unwrap();
            terminal.wait_for("a word about it", |screen| screen.contains("nothing came for"));
        }
        terminal.signal(Signal::TERM);
        let (status, rest) = terminal.ends();
        assert!(status.success(), "{rest}");
    }
    server.start_again().unwrap();
    let (_, errors, status) = publisher.end(Signal::TERM);
    assert!(status.success(), "{errors:#?}");
}
