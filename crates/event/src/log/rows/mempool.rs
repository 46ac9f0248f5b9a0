//! Transactions on their way into the mempool, in it, and out of it.

use super::{NOW, Row, States, inventory_type, row};
use crate::log::pattern::Gaps;
use crate::*;

pub(super) static ROWS: &[Row] = &[
    row!("validation", "Enqueuing {what:t}"),
    row!("validation", "TransactionAddedToMempool: txid={txid:h} wtxid={wtxid:h}", |g| {
        Some(MempoolAdded { txid: g.hash("txid")?, wtxid: Some(g.hash("wtxid")?), ..Default::default() }.into())
    }),
    row!("validation", "TransactionRemovedFromMempool: txid={txid:h} wtxid={wtxid:h} reason={reason:w}", |g| {
        let reason = RemovalReason::from_word(g.word("reason")).unwrap_or(RemovalReason::Other).into();
        Some(MempoolRemoved { txid: g.hash("txid")?, wtxid: Some(g.hash("wtxid")?), reason, ..Default::default() }.into())
    }),
    row!("validation", "MempoolTransactionsRemovedForBlock: block height={height:n} txs removed={removed:n}", |g| {
        Some(MempoolConfirmed { height: g.number("height")?, removed: g.number("removed")? }.into())
    }),
    row!("net", "Requesting {type:w} {hash:h} peer={peer:n}", |g| {
        let (r#type, _) = inventory_type(g.word("type"))?;
        Some(MempoolRequested { peer: g.peer()?, hash: g.hash("hash")?, r#type: r#type.into() }.into())
    }),
    row!("net", "timeout of inflight {type:w} {hash:h} from peer={peer:n}", |g| {
        let (r#type, _) = inventory_type(g.word("type"))?;
        Some(MempoolOverdue { peer: g.peer()?, hash: g.hash("hash")?, r#type: r#type.into() }.into())
    }),
    row!(
        "mempool",
        26..,
        "AcceptToMemoryPool: peer={peer:n}: accepted {txid:h} (wtxid={wtxid:h}) (poolsz {count:n} txn, {size:n} kB)",
        accepted
    ),
    row!("mempool", ..25, "AcceptToMemoryPool: peer={peer:n}: accepted {txid:h} (poolsz {count:n} txn, {size:n} kB)", accepted),
    row!("mempoolrej", 26.., "{txid:h} (wtxid={wtxid:h}) from peer={peer:n} was not accepted: {reason:t}", rejected),
    row!("mempoolrej", ..25, "{txid:h} from peer={peer:n} was not accepted: {reason:t}", rejected),
    row!(
        "mempool",
        "replacing mempool tx {txid:h} (wtxid={wtxid:h}, fees={fee:i}, vsize={vsize:n}). New tx {new:h} (wtxid={newwtxid:h}, \
         fees={newfee:i}, vsize={newvsize:n})",
        |g| replaced(g, true)
    ),
    row!(
        "mempool",
        "replacing mempool tx {txid:h} (wtxid={wtxid:h}, fees={fee:i}, vsize={vsize:n}). New package {new:h} with {count:n} txs, \
         fees={newfee:i}, vsize={newvsize:n}",
        |g| replaced(g, false)
    ),
    row!("mempool", "Removed {removed:n} txn, rolling minimum fee bumped to {feerate:w} BTC/kvB", |g| {
        let minimum_feerate = Some(g.scaled("feerate", 8)?.try_into().ok()?);
        Some(MempoolTrimmed { reason: TrimReason::Size.into(), removed: g.number("removed")?, minimum_feerate }.into())
    }),
    row!("mempool", "Expired {removed:n} transactions from the memory pool", |g| {
        Some(MempoolTrimmed { reason: TrimReason::Expiry.into(), removed: g.number("removed")?, minimum_feerate: None }.into())
    }),
    // of interest to those who work on it only: the mempool is put in order right after
    row!("mempool", "Mempool in non-optimal ordering after {what:t}"),
    row!(
        "txpackages",
        "stored orphan tx {txid:h} (wtxid={wtxid:h}), weight: {weight:n} (mapsz {orphans:n} outsz {outpoints:n})",
        |g| { orphan(g, OrphanStep::Stored) }
    ),
    row!("txpackages", 30.., "added peer={peer:n} as announcer of orphan tx {txid:h} (wtxid={wtxid:h})", |g| {
        orphan(g, OrphanStep::AnnouncerAdded)
    }),
    row!("txpackages", ..29, "added peer={peer:n} as announcer of orphan tx {wtxid:h}", |g| orphan(g, OrphanStep::AnnouncerAdded)),
    row!("txpackages", 30.., "removed orphan tx {txid:h} (wtxid={wtxid:h}) ({count:n} announcements)", |g| orphan(
        g,
        OrphanStep::Removed
    )),
    row!("txpackages", ..29, "removed orphan tx {txid:h} (wtxid={wtxid:h}) after {seconds:n}s", |g| orphan(g, OrphanStep::Removed)),
    row!("txpackages", "Erased {count:n} orphan transaction(s) from peer={peer:n}", |g| orphan(g, OrphanStep::ErasedForPeer)),
    row!("txpackages", "Erased {count:n} orphan transaction(s) included or conflicted by block", |g| orphan(
        g,
        OrphanStep::ErasedForBlock
    )),
    row!("txpackages", ..29, "Erased {count:n} orphan tx due to expiration", |g| orphan(g, OrphanStep::Expired)),
    row!("txpackages", 30.., "peer={peer:n} orphanage overflow, removed {count:n} of {all:n} announcements", |g| {
        orphan(g, OrphanStep::Overflow)
    }),
    row!("txpackages", 30.., "orphanage overflow, removed {count:n} tx ({all:n} announcements)", |g| orphan(
        g,
        OrphanStep::Overflow
    )),
    row!("txpackages", ..29, "orphanage overflow, removed {count:n} tx", |g| orphan(g, OrphanStep::Overflow)),
    row!("txpackages", "ignoring large orphan tx (size: {weight:n}, txid: {txid:h}, wtxid: {wtxid:h})", |g| orphan(
        g,
        OrphanStep::TooLarge
    )),
    row!(
        "txpackages",
        "package evaluation for parent {txid:h} (wtxid={wtxid:h}, sender={peer:n}) + child {child:h} (wtxid={cwtxid:h}, \
         sender={cpeer:n}): package accepted",
        |g| package(g, true)
    ),
    row!(
        "txpackages",
        "package evaluation for parent {txid:h} (wtxid={wtxid:h}, sender={peer:n}) + child {child:h} (wtxid={cwtxid:h}, \
         sender={cpeer:n}): package rejected",
        |g| package(g, false)
    ),
];

fn accepted(g: &Gaps<'_, '_>) -> Option<Kind> {
    Some(
        MempoolAccepted {
            peer: g.peer()?,
            txid: g.hash("txid")?,
            wtxid: g.hash("wtxid"),
            pool_transactions: g.number("count")?,
            pool_kilobytes: g.number("size")?,
        }
        .into(),
    )
}

fn rejected(g: &Gaps<'_, '_>) -> Option<Kind> {
    let words = g.text("reason");
    // a reason is one word of Bitcoin Core's, the detail may hold anything
    let (reason, detail) = words.split_once(", ").unwrap_or((&words, ""));
    Some(
        MempoolRejected {
            txid: g.hash("txid")?,
            reason: reason.to_owned(),
            detail: detail.to_owned(),
            wtxid: g.hash("wtxid"),
            peer: Some(g.peer()?),
        }
        .into(),
    )
}

fn replaced(g: &Gaps<'_, '_>, by_one: bool) -> Option<Kind> {
    Some(
        MempoolReplaced {
            txid: g.hash("txid")?,
            wtxid: Some(g.hash("wtxid")?),
            vsize: g.number("vsize")?,
            fee: g.signed("fee")?,
            entered: None,
            replacement: g.hash("new")?,
            replacement_wtxid: g.hash("newwtxid"),
            replacement_vsize: g.number("newvsize")?,
            replacement_fee: g.signed("newfee")?,
            replacement_is_txid: Some(by_one),
            replacement_transactions: g.number("count"),
        }
        .into(),
    )
}

fn orphan(g: &Gaps<'_, '_>, step: OrphanStep) -> Option<Kind> {
    Some(
        MempoolOrphan {
            step: step.into(),
            peer: g.peer(),
            txid: g.hash("txid"),
            wtxid: g.hash("wtxid"),
            weight: g.number("weight"),
            count: g.number("count"),
            orphans: g.number("orphans"),
            outpoints: g.number("outpoints"),
        }
        .into(),
    )
}

fn package(g: &Gaps<'_, '_>, accepted: bool) -> Option<Kind> {
    Some(
        MempoolPackage {
            parent_txid: g.hash("txid")?,
            parent_wtxid: g.hash("wtxid")?,
            parent_peer: g.peer()?,
            child_txid: g.hash("child")?,
            child_wtxid: g.hash("cwtxid")?,
            child_peer: g.number("cpeer")?,
            accepted,
        }
        .into(),
    )
}
