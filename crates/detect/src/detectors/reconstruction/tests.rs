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
        block 143: updated D50 warn node: 69 % of the last 142 blocks could be put together without asking, 80 % is usual
        block 146: updated D50 warn node: 68 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 149: updated D50 warn node: 67 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 152: updated D50 warn node: 67 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 155: updated D50 warn node: 65 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 158: updated D50 warn node: 65 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 161: updated D50 warn node: 64 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 164: updated D50 warn node: 62 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 167: updated D50 warn node: 62 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 170: updated D50 warn node: 61 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 173: updated D50 warn node: 60 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 176: updated D50 warn node: 60 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 179: updated D50 warn node: 58 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 182: updated D50 warn node: 58 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 185: updated D50 warn node: 57 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 188: updated D50 warn node: 56 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 191: updated D50 warn node: 56 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 194: updated D50 warn node: 54 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 197: updated D50 warn node: 54 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 200: updated D50 warn node: 53 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 203: updated D50 warn node: 52 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 206: updated D50 warn node: 52 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 209: updated D50 warn node: 52 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 212: updated D50 warn node: 52 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 215: updated D50 warn node: 53 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 218: updated D50 warn node: 52 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 221: updated D50 warn node: 52 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 224: updated D50 warn node: 52 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 227: updated D50 warn node: 52 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 230: updated D50 warn node: 53 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 233: updated D50 warn node: 52 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 236: updated D50 warn node: 52 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 239: updated D50 warn node: 52 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 242: updated D50 warn node: 52 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 245: updated D50 warn node: 52 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 248: updated D50 warn node: 53 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 251: updated D50 warn node: 53 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 254: updated D50 warn node: 55 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 257: updated D50 warn node: 55 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 260: updated D50 warn node: 56 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 263: updated D50 warn node: 57 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 266: updated D50 warn node: 57 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 269: updated D50 warn node: 59 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 272: updated D50 warn node: 59 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 275: updated D50 warn node: 60 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 278: updated D50 warn node: 61 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 281: updated D50 warn node: 61 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 284: updated D50 warn node: 63 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 287: updated D50 warn node: 63 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 290: updated D50 warn node: 65 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 293: updated D50 warn node: 65 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 296: updated D50 warn node: 65 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 299: updated D50 warn node: 67 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 302: updated D50 warn node: 67 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 305: updated D50 warn node: 69 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 308: updated D50 warn node: 69 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 311: updated D50 warn node: 69 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 324: cleared D50 warn node: 69 % of the last 144 blocks could be put together without asking, 80 % is usual
    "#]],
    );
}

#[test]
fn a_drop_against_the_week_before_is_critical() {
    let play = |stage: &mut Stage| {
        (1..700).for_each(|number| block(stage, number, number % 20 > 0, 0.1));
        (700..900).for_each(|number| block(stage, number, number % 4 > 0, 0.1));
    };
    check(play, expect![[""]]);
}

#[test]
fn slow_answers_are_found() {
    let play = |stage: &mut Stage| {
        (1..200).for_each(|number| block(stage, number, number % 5 > 0, 1.5));
    };
    check(
        play,
        expect![[r#"
        block 61: opened D50 warn node: 80 % of the last 60 blocks could be put together without asking, 80 % is usual
        block 64: updated D50 warn node: 81 % of the last 63 blocks could be put together without asking, 80 % is usual
        block 67: updated D50 warn node: 80 % of the last 66 blocks could be put together without asking, 80 % is usual
        block 70: updated D50 warn node: 81 % of the last 69 blocks could be put together without asking, 80 % is usual
        block 73: updated D50 warn node: 81 % of the last 72 blocks could be put together without asking, 80 % is usual
        block 76: updated D50 warn node: 80 % of the last 75 blocks could be put together without asking, 80 % is usual
        block 79: updated D50 warn node: 81 % of the last 78 blocks could be put together without asking, 80 % is usual
        block 82: updated D50 warn node: 80 % of the last 81 blocks could be put together without asking, 80 % is usual
        block 85: updated D50 warn node: 81 % of the last 84 blocks could be put together without asking, 80 % is usual
        block 88: updated D50 warn node: 80 % of the last 87 blocks could be put together without asking, 80 % is usual
        block 91: updated D50 warn node: 80 % of the last 90 blocks could be put together without asking, 80 % is usual
        block 94: updated D50 warn node: 81 % of the last 93 blocks could be put together without asking, 80 % is usual
        block 97: updated D50 warn node: 80 % of the last 96 blocks could be put together without asking, 80 % is usual
        block 100: updated D50 warn node: 81 % of the last 99 blocks could be put together without asking, 80 % is usual
        block 103: updated D50 warn node: 80 % of the last 102 blocks could be put together without asking, 80 % is usual
        block 106: updated D50 warn node: 80 % of the last 105 blocks could be put together without asking, 80 % is usual
        block 109: updated D50 warn node: 81 % of the last 108 blocks could be put together without asking, 80 % is usual
        block 113: updated D50 warn node: 80 % of the last 112 blocks could be put together without asking, 80 % is usual
        block 116: updated D50 warn node: 80 % of the last 115 blocks could be put together without asking, 80 % is usual
        block 119: updated D50 warn node: 81 % of the last 118 blocks could be put together without asking, 80 % is usual
        block 122: updated D50 warn node: 80 % of the last 121 blocks could be put together without asking, 80 % is usual
        block 125: updated D50 warn node: 81 % of the last 124 blocks could be put together without asking, 80 % is usual
        block 128: updated D50 warn node: 80 % of the last 127 blocks could be put together without asking, 80 % is usual
        block 131: updated D50 warn node: 80 % of the last 130 blocks could be put together without asking, 80 % is usual
        block 134: updated D50 warn node: 80 % of the last 133 blocks could be put together without asking, 80 % is usual
        block 137: updated D50 warn node: 80 % of the last 136 blocks could be put together without asking, 80 % is usual
        block 140: updated D50 warn node: 81 % of the last 139 blocks could be put together without asking, 80 % is usual
        block 143: updated D50 warn node: 80 % of the last 142 blocks could be put together without asking, 80 % is usual
        block 146: updated D50 warn node: 80 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 149: updated D50 warn node: 80 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 152: updated D50 warn node: 80 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 155: updated D50 warn node: 81 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 158: updated D50 warn node: 80 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 161: updated D50 warn node: 80 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 164: updated D50 warn node: 80 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 167: updated D50 warn node: 80 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 170: updated D50 warn node: 81 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 173: updated D50 warn node: 80 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 176: updated D50 warn node: 80 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 179: updated D50 warn node: 80 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 182: updated D50 warn node: 80 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 185: updated D50 warn node: 81 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 188: updated D50 warn node: 80 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 191: updated D50 warn node: 80 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 194: updated D50 warn node: 80 % of the last 144 blocks could be put together without asking, 80 % is usual
        block 197: updated D50 warn node: 80 % of the last 144 blocks could be put together without asking, 80 % is usual
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
