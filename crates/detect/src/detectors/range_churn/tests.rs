use std::sync::Arc;

use event::{ConnClosed, ConnEvicted, ConnOpened, ConnectionType, NetTx, NetVerack, NetVersion, Network};
use expect_test::{Expect, expect};

use super::*;
use crate::entity::{Knowledge, lists::List};
use crate::stage::Stage;
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<RangeChurn>()];

/// One visitor.
struct Visitor<'a> {
    peer: u64,
    address: String,
    network: Network,
    agent: &'a str,
    stays: f64,
    gives: bool,
}

impl Visitor<'_> {
    fn new(peer: u64) -> Self {
        let address = format!("240.65.3.{}:{}", peer % 40, 40_000 + peer);
        Self { peer, address, network: Network::Ipv4, agent: "/x/", stays: 20.0, gives: false }
    }

    fn visits(self, stage: &mut Stage, at: f64) {
        let Self { peer, address, network, agent, stays, gives } = self;
        let (connection_type, network) = (ConnectionType::Inbound.into(), network.into());
        stage.at(at, ConnOpened { peer, address: address.clone(), connection_type, network, count: None });
        let direction = Direction::Inbound.into();
        stage.at(at + 0.1, NetVersion { peer, direction, user_agent: agent.to_owned(), ..Default::default() });
        if gives {
            stage.at(at + 0.2, NetTx { peer, direction, ..Default::default() });
        }
        if stays < 1000.0 {
            stage.at(at + stays, ConnClosed { peer, address, connection_type, network, established: None });
        }
    }
}

#[track_caller]
fn check(set: &[(&str, f64)], play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = Stage::new(ONLY, set);
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

/// So many visitors, one every twenty-five seconds.
fn lion(stage: &mut Stage, count: u64, visitor: impl Fn(u64) -> Visitor<'static>) {
    for number in 0..count {
        visitor(number).visits(stage, 10.0 + 25.0 * number as f64);
    }
}

#[test]
fn brief_visits_under_many_names_are_found_and_clear() {
    let play = |stage: &mut Stage| {
        lion(stage, 24, |number| Visitor { agent: ["/a/", "/b/", "/c/", "/d/"][number as usize % 4], ..Visitor::new(number) });
        stage.until(1500.0);
    };
    check(
        &[],
        play,
        expect![[r#"
        490 opened D11 warn range 240.65.3.0/24: 20 connections in ten minutes from 20 addresses of 240.65.3.0/24, half of them shorter than 20 s, none gave anything
        1020 cleared D11 warn range 240.65.3.0/24: 20 connections in ten minutes from 20 addresses of 240.65.3.0/24, half of them shorter than 20 s, none gave anything
    "#]],
    );
}

#[test]
fn it_is_over_when_nobody_came_for_so_long() {
    let play = |stage: &mut Stage| {
        lion(stage, 24, Visitor::new);
        stage.until(1500.0);
    };
    check(
        &[("d11.lasts", 60.0)],
        play,
        expect![[r#"
        490 opened D11 warn range 240.65.3.0/24: 20 connections in ten minutes from 20 addresses of 240.65.3.0/24, half of them shorter than 20 s, none gave anything
        710 cleared D11 warn range 240.65.3.0/24: 20 connections in ten minutes from 20 addresses of 240.65.3.0/24, half of them shorter than 20 s, none gave anything
    "#]],
    );
}

/// The value of an input of the first finding.
fn first_input(stage: &mut Stage, name: &str) -> Option<f64> {
    stage.engine.finish(&mut stage.said);
    let event::Kind::FindingOpened(opened) = &stage.said.first()?.kind else { return None };
    opened.finding.as_ref()?.inputs.iter().find(|input| input.name == name).map(|input| input.value)
}

#[test]
fn many_names_that_greet_alike_are_shown_to() {
    let mut stage = Stage::new(ONLY, &[]);
    for number in 0..24 {
        let at = 10.0 + 25.0 * number as f64;
        Visitor { agent: ["/a/", "/b/", "/c/", "/d/"][number as usize % 4], ..Visitor::new(number) }.visits(&mut stage, at);
    }
    assert_eq!(first_input(&mut stage, "greetings_per_connection"), None, "nobody finished a handshake");

    let mut stage = Stage::new(ONLY, &[]);
    for number in 0..24 {
        let at = 10.0 + 25.0 * number as f64;
        let Visitor { peer, address, network, .. } = Visitor::new(number);
        let (connection_type, network) = (ConnectionType::Inbound.into(), network.into());
        stage.at(at, ConnOpened { peer, address: address.clone(), connection_type, network, count: None });
        let (inbound, outbound) = (Direction::Inbound.into(), Direction::Outbound.into());
        stage.at(at + 0.1, NetVersion { peer, direction: inbound, user_agent: format!("/{number}/"), ..Default::default() });
        stage.at(at + 0.2, NetVerack { peer, direction: outbound, ..Default::default() });
        stage.at(at + 0.3, NetVerack { peer, direction: inbound, ..Default::default() });
        stage.at(at + 20.0, ConnClosed { peer, address, connection_type, network, established: None });
    }
    // nineteen had ended by then
    assert_eq!(first_input(&mut stage, "greetings_per_connection"), Some(1.0 / 19.0));
}

#[test]
fn a_university_is_not() {
    // two hundred, from four addresses, with one program, for hours, and they relay
    let play = |stage: &mut Stage| {
        for number in 0..200 {
            let address = format!("240.65.3.{}:{}", number % 4, 40_000 + number);
            let visitor = Visitor { address, stays: 9999.0, gives: true, ..Visitor::new(number) };
            visitor.visits(stage, 10.0 + number as f64);
        }
        stage.until(900.0);
    };
    check(&[], play, expect![[""]]);
}

#[test]
fn few_are_not_however_they_behave() {
    check(&[], |stage| lion(stage, 19, Visitor::new), expect![[""]]);
}

/// G6: everybody who comes over Tor has one address.
#[test]
fn inbound_tor_is_not_grouped() {
    let play = |stage: &mut Stage| {
        lion(stage, 60, |number| Visitor {
            address: format!("127.0.0.1:{}", 40_000 + number),
            network: Network::Onion,
            ..Visitor::new(number)
        });
        assert!(stage.engine.account("alice").suppressed[Guard::Onion as usize] > 0);
    };
    check(&[], play, expect![[""]]);
}

/// G1: after a restart everybody comes at once.
#[test]
fn nothing_is_said_soon_after_a_restart() {
    let play = |stage: &mut Stage| {
        stage.uptime = 60;
        lion(stage, 40, Visitor::new);
        assert!(stage.engine.account("alice").suppressed[Guard::Restart as usize] > 0);
    };
    check(&[], play, expect![[""]]);
}

/// What is said of visitors whom a list knows as this, by these addresses or agents.
#[track_caller]
fn check_listed(kind: &str, by: &str, expect: Expect) {
    let list = format!(
        "name = 'probes'\nversion = '7'\n[[entity]]\nname = 'somebody'\nkind = '{kind}'\nsource = 's'\ndate = '2026-01-01'\n{by}"
    );
    let mut knowledge = Knowledge::default();
    knowledge.lists.insert(List::read("probes.toml", list.as_bytes()).unwrap()).unwrap();
    let play = |stage: &mut Stage| {
        stage.engine.know_of(Arc::new(knowledge));
        lion(stage, 24, Visitor::new);
    };
    check(&[], play, expect);
}

/// A list names whom the behaviour showed; the operator's own are no alarm.
#[test]
fn lists_name_and_do_not_decide() {
    const RANGE: &str = "addresses = ['240.65.3.0/24']";
    check_listed(
        "spy",
        RANGE,
        expect![[r#"
        490 opened D11 warn range 240.65.3.0/24: 20 connections in ten minutes from 20 addresses of 240.65.3.0/24, half of them shorter than 20 s, none gave anything; known as somebody (probes 7)
    "#]],
    );
    check_listed(
        "own",
        RANGE,
        expect![[r#"
        490 opened D11 info range 240.65.3.0/24: 20 connections in ten minutes from 20 addresses of 240.65.3.0/24, half of them shorter than 20 s, none gave anything; known as somebody (probes 7)
    "#]],
    );
}

/// Who says that he is somebody is named so, and not believed.
#[test]
fn an_agent_of_a_list_names_and_excuses_nobody() {
    check_listed(
        "own",
        "agents = ['/x*']",
        expect![[r#"
        490 opened D11 warn range 240.65.3.0/24: 20 connections in ten minutes from 20 addresses of 240.65.3.0/24, half of them shorter than 20 s, none gave anything; known as somebody (probes 7, by its agent)
    "#]],
    );
}

/// Twenty thousand addresses, each from a range of its own: memory is bounded, and the engine is told.
#[test]
fn a_flood_of_ranges_is_bounded() {
    let mut stage = Stage::new(ONLY, &[]);
    for number in 0..20_000_u32 {
        let address = format!("{}:1", std::net::Ipv4Addr::from(0xf000_0000 + (number << 8)));
        Visitor { address, stays: 9999.0, ..Visitor::new(number.into()) }.visits(&mut stage, 1.0 + f64::from(number) / 1000.0);
    }
    stage.until(60.0);
    assert!(stage.engine.account("alice").evicted > 15_000, "{:?}", stage.engine.account("alice"));
}

/// Neighbours behind a few addresses, at a full node that makes room for each newcomer by the last of them.
#[test]
fn whom_the_node_evicts_was_not_brief_by_himself() {
    let play = |evicts: bool| {
        move |stage: &mut Stage| {
            for number in 0..30 {
                let at = 10.0 + 20.0 * number as f64;
                let visitor = Visitor::new(number % 4);
                let visitor = Visitor { peer: number, stays: 12.0, ..visitor };
                let (address, connection_type, network) =
                    (visitor.address.clone(), ConnectionType::Inbound.into(), visitor.network.into());
                if evicts {
                    // it is stated just before the connection is closed; the stage plays in order
                    let Visitor { peer, agent, .. } = visitor;
                    stage.at(at, ConnOpened { peer, address: address.clone(), connection_type, network, count: None });
                    let direction = Direction::Inbound.into();
                    stage.at(at + 0.1, NetVersion { peer, direction, user_agent: agent.to_owned(), ..Default::default() });
                    stage
                        .at(at + 11.9, ConnEvicted { peer, address: address.clone(), connection_type, network, established: None });
                    stage.at(at + 12.0, ConnClosed { peer, address, connection_type, network, established: None });
                } else {
                    visitor.visits(stage, at);
                }
            }
        }
    };
    check(&[], play(true), expect![[""]]);
    // where they go by themselves it is told
    check(
        &[],
        play(false),
        expect![[r#"
            400 opened D11 warn range 240.65.3.0/24: 20 connections in ten minutes from 4 addresses of 240.65.3.0/24, half of them shorter than 12 s, none gave anything
        "#]],
    );
}
