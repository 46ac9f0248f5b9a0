//! A node that is watched: what is opened of it before anything starts, and its extractors.

use std::sync::atomic::Ordering;

use tracing::Instrument as _;

use super::Plan;
use crate::exit::{Code, Failure};
use crate::known::Known;
use crate::parts::Parts;

/// Opens the log of a node while this process may; `None` if it is not to be read.
///
/// A log that is not there yet is waited for, if its node is there or waited for.
pub(super) fn open_log(node: &Known, asked: bool, wait: bool) -> Result<Option<Log>, Failure> {
    let name = node.name();
    let Some(target) = node.log.clone() else {
        if asked {
            return Err(Failure::new(Code::Unsupported, anyhow::anyhow!("the node `{name}` is told to write no log"))
                .hint("start it without -nodebuglogfile"));
        }
        tracing::info!(node = %name, "the node is told to write no log");
        return Ok(None);
    };
    match target.opened() {
        Ok(file) => Ok(Some((target, Some(file)))),
        Err(error) if error.is_absent() && (wait || node.life.is_some()) => Ok(Some((target, None))),
        Err(error) if asked => {
            let code = match () {
                () if error.is_not_permitted() => Code::NotPermitted,
                () if error.is_absent() => Code::NoNode,
                () => Code::Failure,
            };
            let hint = error.hint();
            Err(Failure::new(code, error).hint(hint))
        }
        Err(error) => {
            tracing::warn!(node = %name, %error, hint = error.hint(), "the node's log is not read");
            Ok(None)
        }
    }
}

/// Where a log is, and the file if it is there.
pub(super) type Log = (extract::log::Target, Option<std::fs::File>);

/// A node, with what was opened of it before anything starts.
pub(super) struct Node {
    pub(super) known: Known,
    pub(super) log: Option<Log>,
    pub(super) listener: Option<Result<std::net::TcpListener, extract::p2p::ListenError>>,
    #[cfg_attr(not(feature = "ebpf"), expect(dead_code, reason = "there are no probes in this build"))]
    pub(super) probes: Option<Probes>,
    /// It does not run, and will.
    #[cfg_attr(not(feature = "ebpf"), expect(dead_code, reason = "it is the probes that ask"))]
    pub(super) is_waited_for: bool,
}

#[cfg(feature = "ebpf")]
pub(super) type Probes = ebpf::Source;
#[cfg(not(feature = "ebpf"))]
pub(super) type Probes = std::convert::Infallible;

/// Starts every extractor of a node. In a fleet, what they say names the node.
pub(super) async fn watch(node: Node, plan: &Plan, extractors: &mut Parts, in_a_fleet: bool) -> Result<(), Failure> {
    let Node { known, listener, log, probes, .. } = node;
    let name = known.name().clone();
    let span = if in_a_fleet { tracing::info_span!("of", node = %name) } else { tracing::Span::none() };
    #[cfg(feature = "ebpf")]
    if let Some(source) = probes {
        super::probes::start(source, &known, plan.rpc.is_some(), &span, extractors).await?;
    }
    #[cfg(not(feature = "ebpf"))]
    let _: Option<Probes> = probes;
    let (lives, life) = tokio::sync::watch::channel(known.life.clone());
    if let Some((config, _)) = &plan.rpc {
        let (out, stopped) = (extractors.publisher(&name, event::Source::Rpc), extractors.stopped());
        let (config, locate, life) = (config.clone(), known.locate(), life.clone());
        let work = async {
            extract::rpc::run(config, locate, life, out, stopped).await;
            Ok(())
        };
        extractors.task(format!("rpc of {name}"), work.instrument(span.clone()));
    }
    match (&plan.p2p, listener) {
        (Some((config, _)), Some(Ok(listener))) => {
            let place = known.config.p2p.clone();
            let (out, stopped) = (extractors.publisher(&name, event::Source::P2p), extractors.stopped());
            tracing::info!(node = %name, option = place.node_option(), "waiting for the node's connection");
            let work = extract::p2p::run(config.clone(), place, listener, life.clone(), out, stopped);
            extractors.task(format!("p2p of {name}"), work.instrument(span.clone()));
        }
        (_, Some(Err(error))) => tracing::warn!(node = %name, %error, hint = error.hint(), "no pings of our own"),
        _ => {}
    }
    if let (Some((config, _)), Some((target, file))) = (&plan.log, log) {
        let (out, input_ended) = (extractors.publisher(&name, event::Source::Log), extractors.input_ended());
        let (config, locate, life, span) = (config.clone(), known.locate_log(), life.clone(), span.clone());
        extractors.thread(format!("the log of {name}"), &name, move |stop| {
            let _entered = span.enter();
            if extract::log::run(&config, target, locate, file, life, &out, stop)? == extract::log::End::Input {
                input_ended.store(true, Ordering::Release);
            }
            Ok(())
        })?;
    }
    if let Some(config) = &plan.process {
        let (out, stopped) = (extractors.publisher(&name, event::Source::Proc), extractors.stopped());
        let (config, life) = (config.clone(), life.clone());
        let work = async {
            extract::proc::run(config, life, out, stopped).await;
            Ok(())
        };
        extractors.task(format!("proc of {name}"), work.instrument(span.clone()));
    }
    #[cfg(feature = "ipc")]
    if let Some((config, _)) = &plan.ipc {
        let (out, stopped) = (extractors.publisher(&name, event::Source::Ipc), extractors.stopped());
        let work = extract::ipc::run(config.clone(), known.locate_ipc(), life.clone(), out, stopped);
        extractors.task(format!("ipc of {name}"), work.instrument(span.clone()));
    }
    drop(life);
    let (search, stopped) = (extract::life::follow(known.into_search(), lives), extractors.stopped());
    let work = async {
        tokio::pin!(stopped);
        tokio::select! {
            // nobody wants to know where the node is
            () = search => stopped.await,
            () = &mut stopped => {}
        }
        Ok(())
    };
    extractors.task(format!("the search for {name}"), work.instrument(span));
    Ok(())
}
