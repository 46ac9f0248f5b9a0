//! A recording's addresses, with dialling replaced by a rule: everything else is as it is live.

use event::p2p::transport::Version;
use event::{KindId, Network, VisitResult, VisitRoute};
use expect_test::expect;
use tools::archive::Selection;
use tools::connect::budget::Budget;
use tools::connect::dial::Outcome;
use tools::connect::own::Own;
use tools::connect::rules::{Refusal, Rules, range};
use tools::connect::shares::Shares;
use tools::connect::survey::{ROOM, Survey};
use tools::connect::target::Target;
use tools::connect::tried::Tried;

/// A network of strangers, as numbers make it: two thirds of IPv4 lead nowhere.
fn made_up(target: &Target, transport: Version) -> Outcome {
    let sum: u32 = target.address().iter().map(|byte| u32::from(*byte)).sum();
    let result = match sum % 9 {
        0..=2 => VisitResult::Reachable,
        3..=4 => VisitResult::TimedOut,
        5 => VisitResult::Refused,
        6 => VisitResult::Unreachable,
        7 => VisitResult::HungUp,
        _ => VisitResult::NotBitcoin,
    };
    let silent = result == VisitResult::HungUp && transport == Version::V2;
    Outcome { result, detail: String::new(), transport, hello: None, latency: None, handshake: None, silent }
}

/// Everybody may be dialled: the demo was recorded in a network whose addresses are nobody's.
fn everybody() -> Rules {
    let networks = [Network::Ipv4, Network::Ipv6, Network::Onion, Network::I2p, Network::Cjdns].into();
    let test_ranges = ["0.0.0.0/0", "::/0"].map(|text| range(text).unwrap()).into();
    Rules { networks, test_ranges, ..Rules::default() }
}

/// Plays a recording through the survey at a rate.
fn played(path: &str, rules: Rules, rate: f64) -> (Survey, Shares) {
    let own = Own::new(&[], true);
    let mut survey = Survey::new(rules, own, Tried::in_memory([1; 16]), Budget::new(rate, 8), ROOM, 1);
    let mut shares = Shares::default();
    let kinds = [KindId::NetAddr, KindId::NetAddrv2, KindId::StateNetwork, KindId::StatePeers, KindId::NetVersion];
    let selection = Selection { kinds: Some(kinds.into_iter().collect()), ..Selection::default() };
    let mut nonce = 0;
    let mut time = 0;
    let mut step = |survey: &mut Survey, shares: &mut Shares, time: u64| {
        let errands = survey.due(time, || {
            nonce += 1;
            nonce
        });
        let errands = errands.unwrap();
        for errand in &errands {
            let outcome = made_up(&errand.target, errand.transport);
            survey.done(errand.clone(), outcome, VisitRoute::Direct, time);
        }
        for stated in survey.stated(time, true) {
            shares.observe(&stated.visit);
        }
        !errands.is_empty()
    };
    for event in tools::archive::open(&[path.into()], &selection).unwrap().events() {
        let event = event.unwrap();
        time = event.time;
        survey.observe(&event, time);
        step(&mut survey, &mut shares, time);
    }
    // and whoever still waits has their turn
    while survey.waiting().0 > 0 {
        time += 1_000_000_000;
        if !step(&mut survey, &mut shares, time) {
            break;
        }
    }
    (survey, shares)
}

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec");

/// What happened to addresses, and the shares; everybody who was heard of is accounted for.
fn told(rules: Rules, rate: f64) -> String {
    let (survey, shares) = played(DEMO, rules, rate);
    let account = survey.account();
    let visited: u64 = shares.rows().iter().filter(|row| row.group == "all").map(|row| row.tally.visited + row.tally.void).sum();
    let refused: Vec<_> = Refusal::ALL.iter().zip(account.refused).filter(|(_, count)| *count > 0).collect();
    let other = account.repeated + account.known + account.enough_ports + account.passed_over;
    assert_eq!(account.heard, account.refused.iter().sum::<u64>() + other + visited, "{account:#?}");
    let counted = format!("heard {}, known {}, dialled {}, refused {refused:?}", account.heard, account.known, account.dialled);
    format!("{counted}\n\n{}", shares.table())
}

#[test]
fn of_the_demo_little_may_be_dialled() {
    let rules = Rules { networks: [Network::Ipv4, Network::Ipv6, Network::Onion].into(), ..Rules::default() };
    expect![[r#"
        heard 1109, known 0, dialled 13, refused [(Reserved, 1084), (NoRoute, 12)]

        all                                           visited  reachable    dead   other    void   share
          all                                              13          2       6       5       0  15.4 %
        result                                        visited  reachable    dead   other    void   share
          not_bitcoin                                       3          0       0       3       0   0.0 %
          timed_out                                         3          0       3       0       0   0.0 %
          hung_up                                           2          0       0       2       0   0.0 %
          reachable                                         2          2       0       0       0 100.0 %
          unreachable                                       2          0       2       0       0   0.0 %
          refused                                           1          0       1       0       0   0.0 %
        network                                       visited  reachable    dead   other    void   share
          onion                                            13          2       6       5       0  15.4 %
        advertiser                                    visited  reachable    dead   other    void   share
          127.103.94.0/24                                  13          2       6       5       0  15.4 %
        services                                      visited  reachable    dead   other    void   share
          0x9                                              13          2       6       5       0  15.4 %
        age                                           visited  reachable    dead   other    void   share
          10 minutes                                       13          2       6       5       0  15.4 %
    "#]]
    .assert_eq(&told(rules, 1.0));
}

#[test]
fn of_the_demo_everything_with_dialling_replaced() {
    expect![[r#"
        heard 1109, known 1000, dialled 109, refused []

        all                                           visited  reachable    dead   other    void   share
          all                                             109         33      50      26       0  30.3 %
        result                                        visited  reachable    dead   other    void   share
          reachable                                        33         33       0       0       0 100.0 %
          timed_out                                        28          0      28       0       0   0.0 %
          not_bitcoin                                      14          0       0      14       0   0.0 %
          hung_up                                          12          0       0      12       0   0.0 %
          refused                                          11          0      11       0       0   0.0 %
          unreachable                                      11          0      11       0       0   0.0 %
        network                                       visited  reachable    dead   other    void   share
          ipv4                                             66         25      28      13       0  37.9 %
          ipv6                                             18          6       6       6       0  33.3 %
          onion                                            13          2       6       5       0  15.4 %
          i2p                                              12          0      10       2       0   0.0 %
        advertiser                                    visited  reachable    dead   other    void   share
          127.103.94.0/24                                 100         30      47      23       0  30.0 %
          127.105.4.0/24                                    1          1       0       0       0 100.0 %
          127.139.180.0/24                                  1          0       0       1       0   0.0 %
          127.152.137.0/24                                  1          1       0       0       0 100.0 %
          127.171.238.0/24                                  1          0       0       1       0   0.0 %
          127.218.92.0/24                                   1          0       1       0       0   0.0 %
          127.227.178.0/24                                  1          1       0       0       0 100.0 %
          127.228.132.0/24                                  1          0       0       1       0   0.0 %
          127.232.205.0/24                                  1          0       1       0       0   0.0 %
          127.253.105.0/24                                  1          0       1       0       0   0.0 %
        services                                      visited  reachable    dead   other    void   share
          0x9                                             109         33      50      26       0  30.3 %
        age                                           visited  reachable    dead   other    void   share
          10 minutes                                      109         33      50      26       0  30.3 %
    "#]]
    .assert_eq(&told(everybody(), 1.0));
}

#[test]
fn a_higher_rate_changes_the_order_and_not_the_shares() {
    let slow = told(everybody(), 1.0);
    let fast = told(everybody(), 1000.0);
    let shares = |text: &str| text.split_once("\n\n").unwrap().1.to_owned();
    assert_eq!(shares(&slow), shares(&fast));
}
