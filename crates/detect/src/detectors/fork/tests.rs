use event::{BranchTip, ChainBlockConnected, ChainHeader, StateBlockchain, StateChainTips};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::Stage;
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<Fork>()];

#[track_caller]
fn check(chain: &str, set: &[(&str, f64)], play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = Stage::new(ONLY, set);
    stage.fleet = &["alice", "bob", "carol"];
    for node in stage.fleet {
        stage.node = node;
        stage.at(0.5, StateBlockchain { chain: Some(chain.to_owned()), ..Default::default() });
        connect(&mut stage, 1.0, node, 100, 0);
    }
    play(&mut stage);
    expect.assert_eq(&stage.told());
}

/// One of the blocks at a height.
fn hash(height: u32, which: u8) -> Bytes {
    let mut hash = vec![which; 32];
    hash[..4].copy_from_slice(&height.to_le_bytes());
    hash.into()
}

fn connect(stage: &mut Stage, time: f64, node: &'static str, height: u32, which: u8) {
    stage.node = node;
    stage.at(time, ChainBlockConnected { hash: hash(height, which), height: height as i32, ..Default::default() });
}

#[test]
fn a_chain_that_grows_is_none_of_our_business() {
    check(
        "main",
        &[],
        |stage| {
            for height in 101..400 {
                let time = f64::from(height - 100) * 10.0;
                for node in stage.fleet {
                    connect(stage, time, node, height, 0);
                }
                stage.at(time + 0.1, ChainHeader { hash: hash(height, 0), height: Some(height as i32), ..Default::default() });
            }
        },
        expect![[""]],
    );
}

#[test]
fn a_second_block_is_information_and_two_taken_back_a_warning() {
    check(
        "main",
        &[],
        |stage| {
            connect(stage, 10.0, "alice", 101, 0);
            connect(stage, 12.5, "bob", 101, 1);
            connect(stage, 20.0, "alice", 102, 0);
            connect(stage, 25.0, "bob", 102, 1);
            // the other branch wins
            for (height, time) in [(101, 300.0), (102, 300.1), (103, 300.2)] {
                connect(stage, time, "alice", height, 1);
            }
            connect(stage, 301.0, "bob", 103, 1);
            stage.until(5000.0);
        },
        expect![[r#"
            12 _fleet opened D55 info fleet: two blocks at height 101, the second seen 2.5 s after the first; 1 height of the last 2016 had two blocks, 2.0 are usual
            300 _fleet updated D55 warn fleet: two blocks at height 102, the second seen 5.0 s after the first; 1 of 3 nodes took up to 2 blocks back, from height 101 on; 2 heights of the last 2016 had two blocks, 2.0 are usual
            2100 _fleet updated D55 warn fleet: two blocks at height 102, the second seen 5.0 s after the first; 1 of 3 nodes took up to 2 blocks back, from height 101 on; 2 heights of the last 2016 had two blocks, 2.0 are usual
            3900 _fleet updated D55 warn fleet: 1 of 3 nodes took up to 2 blocks back, from height 101 on; 2 heights of the last 2016 had two blocks, 2.0 are usual
            3970 _fleet cleared D55 warn fleet: 1 of 3 nodes took up to 2 blocks back, from height 101 on; 2 heights of the last 2016 had two blocks, 2.0 are usual
        "#]],
    );
}

#[test]
fn three_are_critical_and_one_is_not_even_a_warning() {
    check(
        "main",
        &[],
        |stage| {
            connect(stage, 10.0, "alice", 101, 0);
            connect(stage, 11.0, "alice", 101, 1);
            connect(stage, 11.1, "alice", 102, 1);
            stage.until(20.0);
            (102..=104).for_each(|height| connect(stage, 30.0 + f64::from(height), "carol", height, 0));
            (102..=105).for_each(|height| connect(stage, 200.0 + f64::from(height), "carol", height, 2));
            stage.until(320.0);
        },
        expect![[r#"
            11 _fleet opened D55 info fleet: two blocks at height 101, the second seen 1.0 s after the first; 1 height of the last 2016 had two blocks, 2.0 are usual
            302 _fleet updated D55 critical fleet: two blocks at height 102, the second seen 290.9 s after the first; 2 of 3 nodes took up to 3 blocks back, from height 102 on; 2 heights of the last 2016 had two blocks, 2.0 are usual
        "#]],
    );
}

#[test]
fn the_log_and_the_tips_know_of_blocks_that_no_node_connects() {
    check(
        "main",
        &[],
        |stage| {
            connect(stage, 10.0, "alice", 101, 0);
            stage.at(20.0, ChainHeader { hash: hash(101, 1), height: Some(101), ..Default::default() });
            let tip = |height: u32, which: u8, status: ChainTipStatus| BranchTip {
                height,
                hash: hash(height, which),
                branch_length: 1,
                status: status.into(),
            };
            // what was there before, and what is invalid, is nothing new
            let tips = vec![
                tip(99, 5, ChainTipStatus::ValidFork),
                tip(101, 0, ChainTipStatus::Active),
                tip(101, 6, ChainTipStatus::Invalid),
                tip(101, 2, ChainTipStatus::HeadersOnly),
            ];
            stage.at(30.0, StateChainTips { tips });
            stage.until(40.0);
        },
        expect![[r#"
            20 _fleet opened D55 info fleet: two blocks at height 101, the second seen 10.0 s after the first; 1 height of the last 2016 had two blocks, 2.0 are usual
        "#]],
    );
}

#[test]
fn on_a_test_network_it_is_never_worse_than_information() {
    check(
        "testnet4",
        &[],
        |stage| {
            (101..=110).for_each(|height| connect(stage, f64::from(height), "alice", height, 0));
            (101..=111).for_each(|height| connect(stage, 100.0 + f64::from(height), "alice", height, 1));
            stage.until(230.0);
        },
        expect![[r#"
            201 _fleet opened D55 info fleet: two blocks at height 101, the second seen 100.0 s after the first; 1 height of the last 2016 had two blocks, 2.0 are usual
            220 _fleet updated D55 info fleet: two blocks at height 110, the second seen 100.0 s after the first; 1 of 3 nodes took up to 10 blocks back, from height 101 on; 10 heights of the last 2016 had two blocks, 2.0 are usual
        "#]],
    );
}

#[test]
fn an_operator_who_takes_blocks_back_and_puts_them_back_does_nothing() {
    check(
        "main",
        &[],
        |stage| {
            (101..=105).for_each(|height| connect(stage, f64::from(height), "alice", height, 0));
            // invalidateblock, reconsiderblock; and behind a snapshot old blocks are connected
            (103..=105).for_each(|height| connect(stage, 200.0 + f64::from(height), "alice", height, 0));
            (1..=50).for_each(|height| connect(stage, 310.0 + f64::from(height), "alice", height, 3));
        },
        expect![[""]],
    );
}

#[test]
fn nodes_of_other_chains_and_those_that_download_are_not_compared() {
    check(
        "main",
        &[],
        |stage| {
            connect(stage, 10.0, "alice", 101, 0);
            stage.node = "bob";
            stage.at(11.0, StateBlockchain { chain: Some("signet".into()), ..Default::default() });
            connect(stage, 12.0, "bob", 101, 1);
            stage.node = "carol";
            let downloads =
                StateBlockchain { initial_block_download: Some(true), chain: Some("main".into()), ..Default::default() };
            stage.at(13.0, downloads);
            connect(stage, 14.0, "carol", 101, 2);
            stage.until(20.0);
            assert!(stage.engine.account("carol").suppressed[Guard::InitialDownload as usize] > 0);
        },
        expect![[""]],
    );
}

#[test]
fn nodes_for_local_tests_have_a_chain_each_and_take_it_back_all_the_same() {
    check(
        "regtest",
        &[],
        |stage| {
            connect(stage, 10.0, "alice", 101, 0);
            connect(stage, 11.0, "bob", 101, 1);
            connect(stage, 12.0, "alice", 102, 0);
            stage.until(20.0);
            assert_eq!(stage.told(), "");
            (101..=103).for_each(|height| connect(stage, height.into(), "alice", height, 2));
        },
        expect![[r#"
            101 _fleet opened D55 info fleet: two blocks at height 101, the second seen 91.0 s after the first; 1 height of the last 2016 had two blocks, 2.0 are usual
            101 _fleet updated D55 warn fleet: two blocks at height 101, the second seen 91.0 s after the first; 1 of 3 nodes took up to 2 blocks back, from height 101 on; 1 height of the last 2016 had two blocks, 2.0 are usual
        "#]],
    );
}

#[test]
fn stale_blocks_that_become_frequent_are_a_warning() {
    check(
        "main",
        &[("d55.usual", 1.0)],
        |stage| {
            for height in (105..150).step_by(5) {
                connect(stage, f64::from(height), "alice", height, 0);
                let second = ChainHeader { hash: hash(height, 1), height: Some(height as i32), ..Default::default() };
                stage.at(f64::from(height) + 1.0, second);
            }
        },
        expect![[r#"
            106 _fleet opened D55 info fleet: two blocks at height 105, the second seen 1.0 s after the first; 1 height of the last 2016 had two blocks, 1.0 are usual
            131 _fleet updated D55 warn fleet: two blocks at height 130, the second seen 1.0 s after the first; 6 heights of the last 2016 had two blocks, 1.0 are usual
        "#]],
    );
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut stage = Stage::new(ONLY, &[]);
    let mut sizes = Vec::new();
    for height in 0..6000_u32 {
        let time = 1.0 + f64::from(height) * 0.1;
        connect(&mut stage, time, "alice", height, 0);
        for which in 1..20 {
            stage.at(time, ChainHeader { hash: hash(height, which), height: Some(height as i32), ..Default::default() });
        }
        if height % 1500 == 1499 {
            sizes.push(stage.engine.save().len());
        }
    }
    assert!(sizes.iter().all(|size| *size < 200_000), "{sizes:?}");
    assert!(stage.engine.account("alice").evicted > 60_000);
}
