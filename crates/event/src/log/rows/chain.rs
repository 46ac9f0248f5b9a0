//! Headers, blocks and the chain.

use super::{NOW, Row, States, row};
use crate::log::line;
use crate::log::pattern::Gaps;
use crate::*;

pub(super) static ROWS: &[Row] = &[
    // headers
    row!("", 30.., "Saw new header hash={hash:h} height={height:i} peer={peer:n}{ip}", |g| header(g, false)),
    row!("", 30.., "Saw new cmpctblock header hash={hash:h} height={height:i} peer={peer:n}{ip}", |g| header(g, true)),
    row!("", ..29, "Saw new header hash={hash:h} height={height:i}", |g| header(g, false)),
    row!("", ..29, "Saw new cmpctblock header hash={hash:h} peer={peer:n}", |g| header(g, true)),
    row!("net", "Ignoring low-work chain (height={height:n}) from peer={peer:n}", |g| ignored(g, HeadersIgnored::LowWork)),
    row!("net", "Ignoring low-work compact block from peer {peer:n}", |g| ignored(g, HeadersIgnored::LowWorkCompactBlock)),
    row!(
        "net",
        "received header {hash:h}: missing prev block {previous:h}, sending getheaders ({height:i}) to end (peer={peer:n})",
        |g| ignored(g, HeadersIgnored::NotConnecting)
    ),
    row!("net", "Initial headers sync started with peer={peer:n}: height={height:i}, {detail:t}", |g| headers_sync(
        g,
        HeadersSyncStep::Started
    )),
    row!(
        "net",
        "Initial headers sync transition with peer={peer:n}: reached sufficient work at height={height:i}, redownloading from \
         height={from:i}",
        |g| headers_sync(g, HeadersSyncStep::Redownloading)
    ),
    row!("net", "Initial headers sync complete with peer={peer:n}: releasing all at height={height:i} (redownload phase)", |g| {
        headers_sync(g, HeadersSyncStep::Complete)
    }),
    row!("net", "Initial headers sync aborted with peer={peer:n}: {detail:t} at height={height:i} ({phase:t})", |g| {
        headers_sync(g, HeadersSyncStep::Aborted)
    }),
    row!("", "Pre-synchronizing blockheaders, height: {height:i} (~{percent:f}%)", |g| sync(g, SyncStep::Presync)),
    row!("", "Synchronizing blockheaders, height: {height:i} (~{percent:f}%)", |g| sync(g, SyncStep::Headers)),
    row!("", "Leaving InitialBlockDownload (latching to false)", |g| sync(g, SyncStep::Done)),
    row!("net", "Stall started peer={peer:n}", |g| sync(g, SyncStep::StallStarted)),
    row!("net", "Increased stalling timeout temporarily to {timeout:n} seconds", |g| sync(g, SyncStep::StallTimeoutRaised)),
    row!("net", "Decreased stalling timeout to {timeout:n} seconds", |g| sync(g, SyncStep::StallTimeoutLowered)),
    // blocks
    row!("net", "received block {hash:h} peer={peer:n}", |g| {
        Some(ChainBlockReceived { peer: g.peer()?, hash: g.hash("hash")? }.into())
    }),
    row!("net", "Requesting block {hash:h} ({height:i}) peer={peer:n}", requested),
    row!("net", "Requesting block {hash:h} from peer={peer:n}", requested),
    row!(
        "cmpctblock",
        30..,
        "Initializing PartiallyDownloadedBlock for block {hash:h} using a cmpctblock of {size:n} bytes",
        |g| { compact(g, CompactStep::Started) }
    ),
    row!("cmpctblock", 30.., "Initialized PartiallyDownloadedBlock for block {hash:h} using a cmpctblock of {size:n} bytes", |g| {
        compact(g, CompactStep::Matched)
    }),
    row!("cmpctblock", ..29, "Initialized PartiallyDownloadedBlock for block {hash:h} using a cmpctblock of size {size:n}", |g| {
        compact(g, CompactStep::Matched)
    }),
    row!(
        "cmpctblock",
        30..,
        "Successfully reconstructed block {hash:h} with {prefilled:n} txn prefilled, {mempool:n} txn from mempool (incl at least \
         {extra:n} from extra pool) and {requested:n} txn ({bytes:n} bytes) requested",
        reconstructed
    ),
    row!(
        "cmpctblock",
        ..29,
        "Successfully reconstructed block {hash:h} with {prefilled:n} txn prefilled, {mempool:n} txn from mempool (incl at least \
         {extra:n} from extra pool) and {requested:n} txn requested",
        reconstructed
    ),
    row!("cmpctblock", "Reconstructed block {hash:h} required tx {txid:h}", |g| {
        Some(ChainCompactMissing { hash: g.hash("hash")?, txid: g.hash("txid")? }.into())
    }),
    row!(
        "cmpctblock",
        30..=31,
        "Peer {peer:n} sent us a GETBLOCKTXN for block {hash:h}, sending a BLOCKTXN with {count:n} txns. ({size:n} bytes)",
        served
    ),
    row!(
        "cmpctblock",
        32..,
        "peer={peer:n}{ip} sent us a GETBLOCKTXN for block {hash:h}, sending a BLOCKTXN with {count:n} txns. ({size:n} bytes)",
        served
    ),
    row!("net", "PeerManager::NewPoWValidBlock sending header-and-ids {hash:h} to peer={peer:n}", |g| sent(g, true)),
    row!("net", "SendMessages sending header-and-ids {hash:h} to peer={peer:n}", |g| sent(g, false)),
    // validation
    row!("validation", "BlockChecked: block hash={hash:h} state={state:t}", checked),
    row!("validation", "BlockConnected: block hash={hash:h} block height={height:i}", |g| {
        Some(ChainBlockConnected { hash: g.hash("hash")?, height: g.signed("height")?, ..Default::default() }.into())
    }),
    row!("validation", "BlockDisconnected: block hash={hash:h} block height={height:i}", |g| {
        Some(ChainBlockDisconnected { hash: g.hash("hash")?, height: g.signed("height")? }.into())
    }),
    row!("validation", "UpdatedBlockTip: new block hash={hash:w} fork block hash={fork:w} (in IBD={ibd:w})", |g| {
        signal(g, ValidationSignal::UpdatedBlockTip)
    }),
    row!("validation", 30.., "ActiveTipChange: new block hash={hash:w} block height={height:i}", |g| signal(
        g,
        ValidationSignal::ActiveTipChange
    )),
    row!("validation", "NewPoWValidBlock: block hash={hash:w}", |g| signal(g, ValidationSignal::NewPowValidBlock)),
    row!("validation", "ChainStateFlushed: block hash={hash:w}", |g| signal(g, ValidationSignal::ChainStateFlushed)),
    row!(
        "",
        "UpdateTip: new best={hash:h} height={height:i} version=0x{version:x} log2_work={work:f} tx={tx:n} date='{date:w}' \
         progress={progress:f} cache={cache:f}MiB({coins:n}txo){warning:t}",
        |g| tip(g, false)
    ),
    row!(
        "",
        "[background validation] UpdateTip: new best={hash:h} height={height:i} version=0x{version:x} log2_work={work:f} tx={tx:n} \
         date='{date:w}' progress={progress:f} cache={cache:f}MiB({coins:n}txo)",
        |g| tip(g, true)
    ),
    row!("", "InvalidChainFound: invalid block={hash:h} height={height:i} log2_work={work:f} date={date:w}", invalid),
    row!("", "InvalidChainFound: current best={hash:h} height={height:i} log2_work={work:f} date={date:w}"),
    row!("", "ConnectTip: ConnectBlock {hash:h} failed, {reason:t}", invalid),
    row!("", "Block validation error: {reason:t}", invalid),
    row!("", 31.., "Found invalid chain more than 6 blocks longer than our best chain. {rest:t}", much_longer),
    row!(
        "",
        ..30,
        "CheckForkWarningConditions: Warning: Found invalid chain at least ~6 blocks longer than our best chain.",
        much_longer
    ),
    // what a block costs; some parts are indented, which is not needed to tell them apart
    row!("bench", "- Load block from disk: {ms:f}ms", |g| timing(g, BlockPart::Load)),
    row!("bench", "- Using cached block"),
    row!("bench", "- Sanity checks: {ms:f}ms [{total:f}s ({average:f}ms/blk)]", |g| timing(g, BlockPart::SanityChecks)),
    row!("bench", "- Fork checks: {ms:f}ms [{total:f}s ({average:f}ms/blk)]", |g| timing(g, BlockPart::ForkChecks)),
    row!("bench", "- Connect {count:n} transactions: {ms:f}ms ({rest:s}) [{total:f}s ({average:f}ms/blk)]", |g| {
        timing(g, BlockPart::ConnectTransactions)
    }),
    row!("bench", "- Verify {count:n} txins: {ms:f}ms ({rest:s}) [{total:f}s ({average:f}ms/blk)]", |g| timing(
        g,
        BlockPart::VerifyInputs
    )),
    row!("bench", "- Write undo data: {ms:f}ms [{total:f}s ({average:f}ms/blk)]", |g| timing(g, BlockPart::WriteUndoData)),
    row!("bench", "- Index writing: {ms:f}ms [{total:f}s ({average:f}ms/blk)]", |g| timing(g, BlockPart::IndexWriting)),
    row!("bench", "- Connect total: {ms:f}ms [{total:f}s ({average:f}ms/blk)]", |g| timing(g, BlockPart::ConnectTotal)),
    row!("bench", "- Flush: {ms:f}ms [{total:f}s ({average:f}ms/blk)]", |g| timing(g, BlockPart::Flush)),
    row!("bench", "- Writing chainstate: {ms:f}ms [{total:f}s ({average:f}ms/blk)]", |g| timing(g, BlockPart::WriteChainstate)),
    row!("bench", "- Connect postprocess: {ms:f}ms [{total:f}s ({average:f}ms/blk)]", |g| timing(g, BlockPart::Postprocess)),
    row!("bench", "- Connect block: {ms:f}ms [{total:f}s ({average:f}ms/blk)]", |g| timing(g, BlockPart::Total)),
    row!("bench", "- Disconnect block: {ms:f}ms", |g| timing(g, BlockPart::Disconnect)),
];

fn header(g: &Gaps<'_, '_>, compact: bool) -> Option<Kind> {
    Some(ChainHeader { hash: g.hash("hash")?, height: g.signed("height"), peer: g.peer(), address: g.ip(), compact }.into())
}

fn ignored(g: &Gaps<'_, '_>, reason: HeadersIgnored) -> Option<Kind> {
    let (hash, previous) = (g.hash("hash"), g.hash("previous"));
    Some(ChainHeadersIgnored { peer: g.peer()?, reason: reason.into(), height: g.signed("height"), hash, previous }.into())
}

fn headers_sync(g: &Gaps<'_, '_>, step: HeadersSyncStep) -> Option<Kind> {
    let detail =
        if step == HeadersSyncStep::Aborted { format!("{} ({})", g.text("detail"), g.text("phase")) } else { String::new() };
    Some(ChainHeadersSync { peer: g.peer()?, step: step.into(), height: g.signed("height")?, detail }.into())
}

fn sync(g: &Gaps<'_, '_>, step: SyncStep) -> Option<Kind> {
    let (height, percent) = (g.signed("height"), g.decimal("percent"));
    Some(ChainSync { step: step.into(), peer: g.peer(), timeout: g.number("timeout"), height, percent }.into())
}

fn requested(g: &Gaps<'_, '_>) -> Option<Kind> {
    Some(ChainBlockRequested { peer: g.peer()?, hash: g.hash("hash")?, height: g.signed("height") }.into())
}

fn compact(g: &Gaps<'_, '_>, step: CompactStep) -> Option<Kind> {
    Some(ChainCompactBlock { hash: g.hash("hash")?, step: step.into(), size: g.number("size")? }.into())
}

fn reconstructed(g: &Gaps<'_, '_>) -> Option<Kind> {
    Some(
        ChainReconstructed {
            hash: g.hash("hash")?,
            prefilled: g.number("prefilled")?,
            mempool: g.number("mempool")?,
            extra: g.number("extra")?,
            requested: g.number("requested")?,
            requested_bytes: g.number("bytes"),
        }
        .into(),
    )
}

fn served(g: &Gaps<'_, '_>) -> Option<Kind> {
    let (transactions, size) = (g.number("count")?, g.number("size")?);
    Some(ChainCompactServed { peer: g.peer()?, address: g.ip(), hash: g.hash("hash")?, transactions, size }.into())
}

fn sent(g: &Gaps<'_, '_>, unchecked: bool) -> Option<Kind> {
    Some(ChainCompactSent { peer: g.peer()?, hash: g.hash("hash")?, unchecked }.into())
}

fn checked(g: &Gaps<'_, '_>) -> Option<Kind> {
    let state = g.text("state");
    let valid = state == "Valid";
    let (reason, detail) = state.split_once(", ").unwrap_or((&state, ""));
    let reason = if valid { String::new() } else { reason.to_owned() };
    Some(ChainBlockChecked { hash: g.hash("hash")?, valid, reason, detail: detail.to_owned() }.into())
}

fn signal(g: &Gaps<'_, '_>, signal: ValidationSignal) -> Option<Kind> {
    let initial_download = match g.word("ibd") {
        "" => None,
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => return None,
    };
    let hash = |name: &str| match g.raw(name) {
        // no block is `null`
        None | Some(b"null") => Some(None),
        Some(_) => Some(Some(g.hash(name)?)),
    };
    let (hash, fork) = (hash("hash")?, hash("fork")?);
    Some(ChainSignal { signal: signal.into(), hash, height: g.signed("height"), fork, initial_download }.into())
}

fn tip(g: &Gaps<'_, '_>, background: bool) -> Option<Kind> {
    let warning = g.text("warning");
    let warning =
        warning.strip_prefix(" warning='").map_or(warning.as_str(), |warning| warning.strip_suffix('\'').unwrap_or(warning));
    Some(
        ChainTip {
            hash: g.hash("hash")?,
            height: g.signed("height")?,
            // written as the bits of a signed number
            version: Some(u32::try_from(g.hex("version")?).ok()?.cast_signed()),
            log2_work: Some(g.decimal("work")?),
            transactions: Some(g.number("tx")?),
            block_time: block_time(g),
            progress: Some(g.decimal("progress")?),
            cache: Some(g.decimal("cache")?),
            coins: Some(g.number("coins")?),
            background,
            warning: warning.trim_start().to_owned(),
        }
        .into(),
    )
}

/// Seconds since the Unix epoch.
fn block_time(g: &Gaps<'_, '_>) -> Option<u64> {
    let text = g.raw("date")?;
    line::stamp(text).filter(|(_, length)| *length == text.len()).map(|(nanos, _)| nanos / 1_000_000_000)
}

fn invalid(g: &Gaps<'_, '_>) -> Option<Kind> {
    Some(
        ChainInvalid {
            hash: g.hash("hash"),
            height: g.signed("height"),
            log2_work: g.decimal("work"),
            block_time: block_time(g),
            reason: g.text("reason"),
            much_longer: false,
        }
        .into(),
    )
}

fn much_longer(_: &Gaps<'_, '_>) -> Option<Kind> {
    Some(ChainInvalid { much_longer: true, ..Default::default() }.into())
}

fn timing(g: &Gaps<'_, '_>, part: BlockPart) -> Option<Kind> {
    Some(
        ChainTiming { part: part.into(), duration: g.scaled("ms", 6)?, total: g.scaled("total", 9), count: g.number("count") }
            .into(),
    )
}
