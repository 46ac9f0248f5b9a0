//! The node itself: its life, its RPC, and what its log leaves out.

use super::{NOW, Row, States, row};
use crate::log::pattern::Gaps;
use crate::*;

pub(super) static ROWS: &[Row] = &[
    row!("", "Bitcoin {name:s} version {version:s} ({detail:t})", started),
    row!("", "Bitcoin {name:s} version {version:w}", started),
    row!("", "init message: {detail:t}", |g| life(
        if g.raw("detail") == Some(b"Done loading") { LifePhase::Loaded } else { LifePhase::Loading },
        g
    )),
    row!("", 30.., "Shutdown in progress...", |g| life(LifePhase::ShuttingDown, g)),
    row!("", ..29, "Shutdown: In progress...", |g| life(LifePhase::ShuttingDown, g)),
    row!("", 30.., "Shutdown done", |g| life(LifePhase::Ended, g)),
    row!("", ..29, "Shutdown: done", |g| life(LifePhase::Ended, g)),
    row!("", "Opened asmap {detail:t}", |g| life(LifePhase::Asmap, g)),
    row!("", "Using asmap version {detail:t}", |g| life(LifePhase::Asmap, g)),
    row!("", "ThreadRPCServer incorrect password attempt from {client:t}", |g| rpc(g, RpcRefusal::Password)),
    row!("", "RPC User {user:s} not allowed to call method {method:t}", |g| rpc(g, RpcRefusal::Method)),
    row!("", "RPC User {user:s} not allowed to call any methods", |g| rpc(g, RpcRefusal::Method)),
    row!("", ..30, "WARNING: request rejected because http work queue depth exceeded{rest:t}", |g| rpc(g, RpcRefusal::QueueFull)),
    row!("", 31.., "Request rejected because http work queue depth exceeded{rest:t}", |g| rpc(g, RpcRefusal::QueueFull)),
    row!(
        "",
        "Excessive logging detected from {file:s}:{line:n} ({function:t}): >{most:n} bytes logged during the last time window of \
         {window:n}s. {rest:t}",
        |g| limited(g, LogGapReason::RateLimitBegan)
    ),
    row!(
        "",
        "Restarting logging from {file:s}:{line:n} ({function:t}): {bytes:n} bytes were dropped during the last {window:n}s.",
        |g| limited(g, LogGapReason::RateLimitEnded)
    ),
    row!("", "Early logging buffer overflowed, {lines:n} log lines discarded.", |g| {
        Some(HealthLogGap { reason: LogGapReason::EarlyLines.into(), lines: Some(g.number("lines")?), ..Default::default() }.into())
    }),
];

fn started(g: &Gaps<'_, '_>) -> Option<Kind> {
    // a version, not a sentence about one
    g.raw("version").is_some_and(|version| version.starts_with(b"v")).then_some(())?;
    Some(LogLife { phase: LifePhase::Started.into(), version: g.text("version"), detail: g.text("detail") }.into())
}

#[expect(clippy::unnecessary_wraps, reason = "every row's function may find that its line is none")]
fn life(phase: LifePhase, g: &Gaps<'_, '_>) -> Option<Kind> {
    Some(LogLife { phase: phase.into(), version: String::new(), detail: g.text("detail") }.into())
}

#[expect(clippy::unnecessary_wraps, reason = "every row's function may find that its line is none")]
fn rpc(g: &Gaps<'_, '_>, reason: RpcRefusal) -> Option<Kind> {
    Some(LogRpcRefused { reason: reason.into(), client: g.text("client"), user: g.text("user"), method: g.text("method") }.into())
}

fn limited(g: &Gaps<'_, '_>, reason: LogGapReason) -> Option<Kind> {
    Some(
        HealthLogGap {
            reason: reason.into(),
            source_location: format!("{}:{}", g.text("file"), g.number::<u32>("line")?),
            bytes: g.number("bytes"),
            window: Some(g.number("window")?),
            ..Default::default()
        }
        .into(),
    )
}
