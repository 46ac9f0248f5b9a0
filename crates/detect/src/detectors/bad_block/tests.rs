use event::{
    ChainBlockConnected, ConnClosed, ConnMalformed, ConnMisbehaving, ConnOpened, HealthLost, NetBlock, NetBlocktxn, NetCmpctblock,
    NetGetblocktxn,
};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::Stage;
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<BadBlock>()];

/// Of main, lately.
const TARGET: u32 = 0x1702_1234;
/// The easiest that the rules allow.
const EASY: u32 = 0x1d00_ffff;

#[track_caller]
fn check(play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = Stage::new(ONLY, &[]);
    for peer in 1..=4 {
        open(&mut stage, 0.5, peer, &format!("192.0.2.{peer}:50000"));
    }
    connect(&mut stage, 1.0, 1, 1);
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

fn open(stage: &mut Stage, time: f64, peer: u64, address: &str) {
    stage.at(time, ConnOpened { peer, address: address.into(), ..Default::default() });
}

fn hash(block: u8) -> Bytes {
    vec![block; 32].into()
}

fn block(stage: &mut Stage, time: f64, peer: u64, block: u8, bits: u32) {
    let header = Some(BlockHeader { hash: hash(block), bits, ..Default::default() });
    stage.at(time, NetBlock { peer, direction: Direction::Inbound.into(), header, ..Default::default() });
}

/// A peer sends a good block, and the node takes it.
fn connect(stage: &mut Stage, time: f64, peer: u64, block: u8) {
    let header = Some(BlockHeader { hash: hash(block), bits: TARGET, ..Default::default() });
    stage.at(time, NetCmpctblock { peer, direction: Direction::Inbound.into(), header, ..Default::default() });
    stage.at(time + 0.1, ChainBlockConnected { hash: hash(block), ..Default::default() });
}

fn misbehaves(stage: &mut Stage, time: f64, peer: u64, reason: &str) {
    stage.at(time, ConnMisbehaving { peer, reason: reason.into(), ..Default::default() });
}

fn invalid(stage: &mut Stage, time: f64, block: u8) {
    let told = ChainInvalid { hash: Some(hash(block)), height: Some(900_000), log2_work: Some(95.0), ..Default::default() };
    stage.at(time, told);
}

fn checked(stage: &mut Stage, time: f64, block: u8, reason: &str) {
    stage.at(time, ChainBlockChecked { hash: hash(block), valid: false, reason: reason.into(), ..Default::default() });
}

fn asked(stage: &mut Stage, time: f64, peer: u64, block: u8) {
    stage.at(time, NetGetblocktxn { peer, direction: Direction::Outbound.into(), block: hash(block), ..Default::default() });
}

fn answered(stage: &mut Stage, time: f64, peer: u64, block: u8) {
    stage.at(time, NetBlocktxn { peer, direction: Direction::Inbound.into(), block: hash(block), ..Default::default() });
}

#[test]
fn one_is_a_warning_three_are_critical_and_an_hour_later_it_is_over() {
    check(
        |stage| {
            for (time, peer) in [(10.0, 2), (100.0, 5), (200.0, 6)] {
                if peer > 4 {
                    open(stage, time - 1.0, peer, "192.0.2.2:50001");
                }
                misbehaves(stage, time, peer, "mutated block");
                // the log says the same a moment later
                let problem = Malformation::RepeatedBlocktxn.into();
                stage.at(time + 0.4, ConnMalformed { peer: Some(peer), problem, ..Default::default() });
                stage.at(time + 0.5, ConnClosed { peer, ..Default::default() });
            }
            stage.until(4000.0);
        },
        expect![[r#"
            10 opened D52 warn address 192.0.2.2: within a day it sent mutated blocks (1)
            200 updated D52 critical address 192.0.2.2: within a day it sent mutated blocks (3)
            2000 updated D52 critical address 192.0.2.2: within a day it sent mutated blocks (3)
            3800 updated D52 critical address 192.0.2.2: within a day it sent mutated blocks (3)
            3870 cleared D52 critical address 192.0.2.2: within a day it sent mutated blocks (3)
        "#]],
    );
}

#[test]
fn several_hosts_of_one_range_are_one() {
    check(
        |stage| {
            misbehaves(stage, 10.0, 1, "invalid compact block/non-matching block transactions");
            misbehaves(stage, 20.0, 2, "header with invalid proof of work");
            misbehaves(stage, 30.0, 3, "previous compact block reconstruction attempt failed");
            stage.until(50.0);
        },
        expect![[r#"
            10 opened D52 warn address 192.0.2.1: within a day it sent compact blocks that contradict themselves (1)
            20 opened D52 warn address 192.0.2.2: within a day it sent headers without work (1)
            30 opened D52 warn address 192.0.2.3: within a day it sent transactions of blocks that it was not asked for (1)
            40 opened D52 critical range 192.0.2.0/24: 3 hosts of one range sent 3 bad blocks, or parts of blocks, within a day
        "#]],
    );
}

#[test]
fn other_verdicts_are_not_about_blocks() {
    check(
        |stage| {
            for reason in ["invalid header received", "addr message size = 1001", "", "headers message size = 2001"] {
                misbehaves(stage, 10.0, 1, reason);
            }
            stage.until(30.0);
        },
        expect![[""]],
    );
}

#[test]
fn transactions_that_nobody_asked_for() {
    check(
        |stage| {
            // two were asked, and the slower one answers as well: the log calls that unexpected
            asked(stage, 10.0, 1, 7);
            asked(stage, 10.1, 2, 7);
            answered(stage, 10.3, 2, 7);
            answered(stage, 10.9, 1, 7);
            let problem = Malformation::UnrequestedBlocktxn.into();
            stage.at(10.9, ConnMalformed { peer: Some(1), problem, ..Default::default() });
            stage.until(60.0);
            // twice
            answered(stage, 60.0, 1, 7);
            stage.until(70.0);
        },
        expect![[r#"
            60 opened D52 warn address 192.0.2.1: within a day it sent transactions of blocks that it was not asked for (1)
        "#]],
    );
}

#[test]
fn what_was_not_seen_is_no_ground() {
    check(
        |stage| {
            stage.at(10.0, HealthLost { count: 1, ..Default::default() });
            answered(stage, 20.0, 1, 7);
            stage.until(700.0);
        },
        expect![[""]],
    );
    // and who was there before may have been asked before
    let mut stage = Stage::new(ONLY, &[]);
    answered(&mut stage, 5.0, 1, 7);
    stage.until(20.0);
    assert_eq!(stage.told(), "");
}

#[test]
fn an_invalid_block_with_work_is_critical_at_once_and_told_once() {
    check(
        |stage| {
            block(stage, 10.0, 3, 9, TARGET);
            checked(stage, 10.1, 9, "bad-cb-amount");
            invalid(stage, 10.2, 9);
            invalid(stage, 10.3, 9);
            stage.until(4000.0);
        },
        expect![[r#"
            10 opened D52 critical node: a block has the work of a real one and is invalid: 0909090909090909090909090909090909090909090909090909090909090909, first sent by peer 3
            1820 updated D52 critical node: a block has the work of a real one and is invalid: 0909090909090909090909090909090909090909090909090909090909090909, first sent by peer 3
            3680 cleared D52 critical node: a block has the work of a real one and is invalid: 0909090909090909090909090909090909090909090909090909090909090909, first sent by peer 3
        "#]],
    );
}

#[test]
fn a_block_without_work_is_its_senders_fault_only() {
    check(
        |stage| {
            block(stage, 10.0, 3, 9, EASY);
            checked(stage, 10.1, 9, "bad-blk-length");
            block(stage, 20.0, 4, 10, TARGET);
            checked(stage, 20.1, 10, "high-hash");
            stage.until(30.0);
        },
        expect![[r#"
            10 opened D52 warn address 192.0.2.3: within a day it sent invalid blocks without work (1)
            20 opened D52 warn address 192.0.2.4: within a day it sent headers without work (1)
        "#]],
    );
}

#[test]
fn what_the_node_or_its_operator_does_itself_is_nobodys_fault() {
    check(
        |stage| {
            // invalidateblock
            connect(stage, 10.0, 1, 5);
            invalid(stage, 100.0, 5);
            // submitblock
            checked(stage, 110.0, 6, "bad-cb-amount");
            // a block that came mutated, and one that is not new
            block(stage, 120.0, 1, 7, TARGET);
            checked(stage, 120.1, 7, "bad-txnmrklroot");
            checked(stage, 121.0, 7, "duplicate-invalid");
            stage.until(130.0);
        },
        expect![[""]],
    );
}

#[test]
fn targets_stand_for_work() {
    assert!((difficulty(0x1d00_ffff) / difficulty(0x1d01_fffe) - 2.0).abs() < 0.001);
    assert!(difficulty(TARGET) > 1e12 * difficulty(EASY));
    for none in [0, 0x1700_0000, 0x1780_0001] {
        assert_eq!(difficulty(none), 0.0);
    }
    assert!(difficulty(0xff00_0001) < 1e-300 && difficulty(1).is_finite());
}
