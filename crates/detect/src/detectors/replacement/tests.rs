use bytes::Bytes;
use event::{MempoolAdded, MempoolRejected, OutPoint};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::Stage;
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<Replacement>()];

#[track_caller]
fn check(play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = Stage::new(ONLY, &[]);
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

fn id(name: &str) -> Bytes {
    Bytes::copy_from_slice(&hash(0, name.as_bytes()).to_le_bytes().repeat(4))
}

/// A transaction comes that spends these, and the mempool takes it.
fn take(stage: &mut Stage, time: f64, name: &str, spends: &[&str]) {
    arrive(stage, time, name, spends);
    stage.at(time + 0.01, MempoolAdded { txid: id(name), ..Default::default() });
}

fn arrive(stage: &mut Stage, time: f64, name: &str, spends: &[&str]) {
    let spends = spends.iter().map(|name| OutPoint { txid: id(name), vout: 1 }).collect();
    stage.at(time, NetTx { peer: 1, direction: Direction::Inbound.into(), txid: id(name), spends, ..Default::default() });
}

/// A transaction comes that spends these, and replaces another.
fn replace(stage: &mut Stage, time: f64, old: &str, name: &str, spends: &[&str]) {
    arrive(stage, time, name, spends);
    accept(stage, time + 0.005, old, name);
}

/// The mempool takes a transaction that has arrived, instead of another.
fn accept(stage: &mut Stage, time: f64, old: &str, name: &str) {
    let (txid, replacement, replacement_is_txid) = (id(old), id(name), Some(true));
    stage.at(time, MempoolReplaced { txid, replacement, replacement_is_txid, ..Default::default() });
    stage.at(time + 0.005, MempoolAdded { txid: id(name), ..Default::default() });
}

/// A goes round once, from this time on, with this attacker's output.
fn cycle(stage: &mut Stage, time: f64, victim: &str, own: &str) {
    take(stage, time, victim, &["channel"]);
    replace(stage, time + 20.0, victim, &format!("{own} one"), &["channel", own]);
    replace(stage, time + 40.0, &format!("{own} one"), &format!("{own} two"), &[own]);
}

/// "x one", which has arrived, pushes out A, and is pushed out itself by one that leaves A's output unspent.
fn leave_unspent(stage: &mut Stage) {
    accept(stage, 20.0, "A", "x one");
    replace(stage, 40.0, "x one", "x two", &["x"]);
    stage.until(60.0);
}

#[test]
fn once_around_is_worth_knowing() {
    check(
        |stage| {
            cycle(stage, 10.0, "A", "x");
            stage.until(4000.0);
        },
        expect![[r#"
            50 opened D45 info node: the spender of one output was replaced and the output left unspent once
            1860 updated D45 info node: the spender of one output was replaced and the output left unspent once
            3720 cleared D45 info node: the spender of one output was replaced and the output left unspent once
        "#]],
    );
}

#[test]
fn twice_is_a_warning_and_the_same_transaction_twice_critical() {
    check(
        |stage| {
            cycle(stage, 10.0, "A", "x");
            cycle(stage, 100.0, "B", "y");
            stage.until(200.0);
            take(stage, 210.0, "B", &["channel"]);
            replace(stage, 220.0, "B", "z one", &["channel", "z"]);
            stage.until(240.0);
        },
        expect![[r#"
            50 opened D45 info node: the spender of one output was replaced and the output left unspent once
            140 updated D45 warn node: the spender of one output was replaced and the output left unspent 2 times
            230 updated D45 critical node: the spender of one output was replaced and the output left unspent 2 times, and the same transaction pushed out again
        "#]],
    );
}

#[test]
fn it_is_over_when_nothing_went_around_for_so_long() {
    let mut stage = Stage::new(ONLY, &[("d45.lasts", 300.0)]);
    cycle(&mut stage, 10.0, "A", "x");
    cycle(&mut stage, 100.0, "B", "y");
    // and a long row
    take(&mut stage, 140.0, "0", &["output"]);
    for n in 0..22 {
        replace(&mut stage, 141.0 + f64::from(n), &n.to_string(), &(n + 1).to_string(), &["output"]);
    }
    stage.until(1000.0);
    expect![[r#"
        50 opened D45 info node: the spender of one output was replaced and the output left unspent once
        140 updated D45 warn node: the spender of one output was replaced and the output left unspent 2 times
        530 cleared D45 warn node: the spender of one output was replaced and the output left unspent 2 times
    "#]]
    .assert_eq(&stage.told());
}

#[test]
fn raising_the_fee_is_no_circle() {
    check(
        |stage| {
            take(stage, 10.0, "0", &["coin"]);
            for step in 1..=9 {
                replace(stage, 10.0 + 600.0 * f64::from(step), &(step - 1).to_string(), &step.to_string(), &["coin", "more"]);
            }
        },
        expect![[""]],
    );
}

#[test]
fn a_long_row_of_replacements_is_worth_knowing() {
    check(
        |stage| {
            take(stage, 10.0, "0", &["coin"]);
            for step in 1..=21 {
                replace(stage, 10.0 + 60.0 * f64::from(step), &(step - 1).to_string(), &step.to_string(), &["coin"]);
            }
            stage.until(1300.0);
        },
        expect![[r#"
            1280 opened D45 info node: the spender of one output was replaced 21 times
        "#]],
    );
}

#[test]
fn a_storm_is_found_against_what_is_usual() {
    let play = |stage: &mut Stage, usual: u32| {
        let mut number = 0;
        let mut some = |stage: &mut Stage, from: u32, to: u32, per_minute: u32| {
            for minute in from..to {
                for _ in 0..per_minute {
                    number += 1;
                    let (txid, replacement) = (id(&number.to_string()), id(&format!("{number} again")));
                    stage.at(f64::from(minute) * 60.0 + 30.0, MempoolReplaced { txid, replacement, ..Default::default() });
                }
            }
        };
        some(stage, 0, 90, usual);
        some(stage, 90, 110, 150);
        some(stage, 110, 130, usual);
    };
    check(
        |stage| play(stage, 4),
        expect![[r#"
            5620 opened D45 warn node: 121 transactions a minute are replaced, much more than usual
            6930 cleared D45 warn node: 150 transactions a minute are replaced, much more than usual
        "#]],
    );
    // what is always so is no storm
    check(|stage| play(stage, 140), expect![[""]]);
}

#[test]
fn only_what_the_mempool_took_is_remembered() {
    check(
        |stage| {
            take(stage, 10.0, "A", &["channel"]);
            // somebody sends what is never taken, to make it forget
            (0..40_000).for_each(|number| arrive(stage, 11.0, &format!("junk {number}"), &["coin"]));
            // and what is refused pushes nothing out that waits
            arrive(stage, 12.0, "x one", &["channel", "x"]);
            for number in 0..40_000 {
                let name = format!("refused {number}");
                arrive(stage, 13.0, &name, &["coin"]);
                stage.at(13.0, MempoolRejected { txid: id(&name), reason: "min relay fee not met".into(), ..Default::default() });
            }
            leave_unspent(stage);
        },
        expect![[r#"
            40 opened D45 info node: the spender of one output was replaced and the output left unspent once
        "#]],
    );
}

#[test]
fn memory_is_bounded() {
    let mut replacement = Replacement::default();
    for number in 0..20_000 {
        replacement.take(number, vec![number; 32]);
    }
    assert!(replacement.outputs <= OUTPUTS && replacement.order.len() == replacement.spends.len());
    assert_eq!(replacement.outputs, replacement.spends.values().map(Vec::len).sum::<usize>());
    replacement.take(19_999, Vec::new());
    assert_eq!(replacement.outputs, replacement.spends.values().map(Vec::len).sum::<usize>());
}

#[test]
fn a_circle_is_seen_however_many_outputs_the_attacker_puts_before_it() {
    check(
        |stage| {
            take(stage, 10.0, "A", &["channel"]);
            let own: Vec<String> = (0..200).map(|number| format!("own {number}")).collect();
            let mut spends: Vec<&str> = own.iter().map(String::as_str).collect();
            spends.push("channel");
            replace(stage, 20.0, "A", "x one", &spends);
            spends.pop();
            replace(stage, 40.0, "x one", "x two", &spends);
            stage.until(60.0);
        },
        expect![[r#"
            40 opened D45 info node: the spender of one output was replaced and the output left unspent once
        "#]],
    );
}

/// A transaction that comes before its parents is taken when they have come.
#[test]
fn an_orphan_is_known_when_it_is_taken() {
    check(
        |stage| {
            take(stage, 10.0, "A", &["channel"]);
            arrive(stage, 11.0, "x one", &["channel", "x"]);
            let reason = "bad-txns-inputs-missingorspent".to_owned();
            stage.at(11.0, MempoolRejected { txid: id("x one"), reason, ..Default::default() });
            leave_unspent(stage);
        },
        expect![[r#"
            40 opened D45 info node: the spender of one output was replaced and the output left unspent once
        "#]],
    );
}

#[test]
fn what_waits_is_bounded() {
    let mut replacement = Replacement::default();
    for number in 0..10_000 {
        replacement.wait(number, vec![number; 20]);
    }
    assert!(replacement.arrived.len() <= ARRIVED && replacement.waiting <= ARRIVED_OUTPUTS);
    assert_eq!(replacement.waiting, replacement.arrived.iter().map(|(_, outputs)| outputs.len()).sum::<usize>());
    assert!(replacement.leave(9_999).is_some() && replacement.leave(0).is_none());
}
