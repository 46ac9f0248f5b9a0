use event::{ChainBlockConnected, HealthLost, StateBlockchain};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::Stage;
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<StaleTip>()];

#[track_caller]
fn check(play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = Stage::new(ONLY, &[]);
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

/// The node says what its chain is.
fn state(stage: &mut Stage, time: f64, chain: &str, blocks: u32, headers: u32) {
    let (chain, blocks, headers) = (Some(chain.to_owned()), Some(blocks), Some(headers));
    stage.at(time, StateBlockchain { chain, blocks, headers, ..Default::default() });
}

fn connect(stage: &mut Stage, time: f64, height: i32) {
    stage.at(time, ChainBlockConnected { height, ..Default::default() });
}

#[test]
fn an_hour_without_a_block_is_worth_knowing_and_two_are_a_warning() {
    check(
        |stage| {
            state(stage, 1.0, "main", 100, 100);
            connect(stage, 60.0, 101);
            stage.until(11_000.0);
            connect(stage, 11_000.5, 102);
            stage.until(11_200.0);
        },
        expect![[r#"
            3660 opened D54 info node: no block for 60 minutes
            5460 updated D54 info node: no block for 90 minutes
            7260 updated D54 warn node: no block for 120 minutes
            9060 updated D54 warn node: no block for 150 minutes
            10860 updated D54 critical node: no block for 180 minutes
            11070 cleared D54 critical node: no block for 182 minutes
        "#]],
    );
}

#[test]
fn blocks_that_are_made_on_demand_are_not_timed() {
    check(
        |stage| {
            state(stage, 1.0, "regtest", 100, 100);
            stage.until(20_000.0);
        },
        expect![[""]],
    );
}

#[test]
fn headers_without_blocks_are_a_warning() {
    check(
        |stage| {
            // one for a moment is how blocks come
            state(stage, 1.0, "main", 100, 101);
            state(stage, 11.0, "main", 101, 101);
            state(stage, 21.0, "main", 101, 113);
            stage.until(300.0);
            state(stage, 300.0, "main", 113, 113);
            state(stage, 400.0, "main", 113, 114);
            stage.until(1100.0);
        },
        expect![[r#"
            90 opened D54 warn node: for 60 s headers are known whose blocks do not come, now 12 blocks
            370 cleared D54 warn node: for 270 s headers are known whose blocks do not come, now 12 blocks
            1010 opened D54 warn node again: for 600 s headers are known whose blocks do not come, now 1 block
        "#]],
    );
}

#[test]
fn who_never_was_up_to_date_is_not_behind() {
    check(
        |stage| {
            let (chain, blocks, headers) = (Some("main".to_owned()), Some(100), Some(900_000));
            let initial_block_download = Some(true);
            stage.at(1.0, StateBlockchain { chain, blocks, headers, initial_block_download, ..Default::default() });
            stage.until(900.0);
            assert!(stage.engine.account("alice").suppressed[Guard::InitialDownload as usize] > 0);
        },
        expect![[""]],
    );
}

/// Two nodes, of which the second hears of no blocks any more.
fn fleet(stage: &mut Stage, chain: &str) {
    for node in ["bob", "alice"] {
        stage.node = node;
        state(stage, 1.0, chain, 100, 100);
    }
    for minute in 1..=14 {
        stage.node = "bob";
        connect(stage, 60.0 * f64::from(minute), 100 + minute);
        stage.node = "alice";
        if minute == 1 {
            connect(stage, 60.0 * f64::from(minute) + 0.9, 101);
        }
        stage.until(60.0 * f64::from(minute) + 59.0);
    }
}

#[test]
fn who_has_fewer_blocks_than_another_node_is_behind() {
    check(
        |stage| {
            fleet(stage, "main");
            stage.node = "alice";
            state(stage, 901.0, "main", 114, 114);
            stage.until(1000.0);
        },
        expect![[r#"
            181 opened D54 warn node: another node has had more of the chain for 61 s, now 2 blocks
            260 updated D54 warn node: another node has had more of the chain for 140 s, now 3 blocks
            400 updated D54 warn node: another node has had more of the chain for 280 s, now 5 blocks
            680 updated D54 warn node: another node has had more of the chain for 560 s, now 10 blocks
            721 updated D54 critical node: another node has had more of the chain for 601 s, now 11 blocks
            970 cleared D54 critical node: another node has had more of the chain for 780 s, now 13 blocks
        "#]],
    );
}

#[test]
fn a_block_that_may_have_been_lost_is_no_ground() {
    check(
        |stage| {
            state(stage, 1.0, "main", 100, 100);
            for minute in 1..130 {
                stage.at(60.0 * f64::from(minute) - 20.0, HealthLost { count: 1, ..Default::default() });
            }
        },
        expect![[""]],
    );
}
