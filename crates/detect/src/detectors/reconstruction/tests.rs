use event::{BlockHeader, ChainBlockConnected, ChainReconstructed, NetBlocktxn, NetCmpctblock, NetGetblocktxn, StateProfile};
use expect_test::{Expect, expect};

use super::*;
use crate::stage::Stage;
use crate::{Entry, entry};

const ONLY: &[Entry] = &[entry::<Reconstruction>()];

/// A block ten minutes after the last; whether it can be put together alone.
fn block(stage: &mut Stage, number: u32, alone: bool, trip: f64) {
    let time = f64::from(number) * 600.0;
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&number.to_le_bytes());
    let hash = prost::bytes::Bytes::copy_from_slice(&hash);
    let inbound = Direction::Inbound.into();
    for peer in 1..4 {
        let header = Some(BlockHeader { hash: hash.clone(), ..BlockHeader::default() });
        stage.at(time + peer as f64 / 100.0, NetCmpctblock { peer, direction: inbound, header, ..NetCmpctblock::default() });
        if !alone && peer == 1 {
            let ask =
                NetGetblocktxn { peer, direction: Direction::Outbound.into(), block: hash.clone(), ..NetGetblocktxn::default() };
            stage.at(time + 0.015, ask);
        }
    }
    if !alone {
        stage.at(time + 0.1 + trip, NetBlocktxn { peer: 1, direction: inbound, block: hash.clone(), ..NetBlocktxn::default() });
    }
    stage
        .at(time + 0.2 + trip, ChainBlockConnected { hash: hash.clone(), height: number as i32, ..ChainBlockConnected::default() });
    let requested_bytes = Some(if alone { 0 } else { 20_000 });
    stage.at(time + 0.2 + trip, ChainReconstructed { hash, requested_bytes, ..ChainReconstructed::default() });
}

/// Four of five can.
fn usual(stage: &mut Stage, numbers: std::ops::Range<u32>) {
    numbers.for_each(|number| block(stage, number, number % 5 > 0, 0.1));
}

/// Nobody beats: days of it would be nothing but beats.
fn stage() -> Stage {
    let mut stage = Stage::new(ONLY, &[("finding.remind", 1e7)]);
    stage.silence();
    stage
}

#[track_caller]
fn check(play: impl FnOnce(&mut Stage), expect: Expect) {
    let mut stage = stage();
    play(&mut stage);
    let told = stage.told();
    let blocks: Vec<String> = told
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(seconds, rest)| format!("block {:.0}: {rest}\n", seconds.parse::<f64>().unwrap() / 600.0))
        .collect();
    expect.assert_eq(&blocks.concat());
}

#[test]
fn a_usual_week_is_silent() {
    check(|stage| usual(stage, 1..1000), expect![[""]]);
}

#[test]
fn failures_are_found_within_hours_and_clear() {
    let play = |stage: &mut Stage| {
        usual(stage, 1..100);
        (100..200).for_each(|number| block(stage, number, number % 5 < 2, 0.1));
        usual(stage, 200..400);
    };
    check(
        play,
        expect![[r#"
            block 140: opened D50 warn node: 69 % of the last 139 blocks could be put together without asking, 80 % is usual
            block 324: cleared D50 warn node: 51 % of the last 144 blocks could be put together without asking, 80 % is usual
        "#]],
    );
}

#[test]
fn a_drop_against_the_week_before_is_critical() {
    let play = |stage: &mut Stage| {
        (1..700).for_each(|number| block(stage, number, number % 20 > 0, 0.1));
        (700..900).for_each(|number| block(stage, number, number % 4 > 0, 0.1));
    };
    check(
        play,
        expect![[r#"
        block 809: opened D50 critical node: 80 % of the last 144 blocks could be put together without asking, 95 % is usual
    "#]],
    );
}

#[test]
fn slow_answers_are_found() {
    let play = |stage: &mut Stage| {
        (1..200).for_each(|number| block(stage, number, number % 5 > 0, 1.5));
    };
    check(
        play,
        expect![[r#"
            block 61: opened D50 info node: 80 % of the last 60 blocks could be put together without asking, 80 % is usual
        "#]],
    );
}

#[test]
fn the_empty_mempool_after_a_start_is_not_counted() {
    let play = |stage: &mut Stage| {
        stage.uptime = 10;
        (1..3).for_each(|number| block(stage, number, false, 0.1));
        usual(stage, 3..60);
    };
    check(play, expect![[""]]);
    // without the guard four bad ones do not matter either
    let few = |stage: &mut Stage| {
        (1..5).for_each(|number| block(stage, number, false, 0.1));
        usual(stage, 5..60);
    };
    check(few, expect![[""]]);
}

#[test]
fn a_node_that_relays_no_transactions_is_left_out() {
    let play = |stage: &mut Stage| {
        stage.at(1.0, StateProfile { blocksonly: Some(true), ..StateProfile::default() });
        (1..200).for_each(|number| block(stage, number, false, 0.1));
    };
    check(play, expect![[""]]);
}
