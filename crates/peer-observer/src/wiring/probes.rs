//! Kernel probes of every node, opened before anything else starts.

use std::io::{PipeReader, PipeWriter, Read as _};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use bus::NatsOptions;
use ebpf::control::{Class, Problem};
use ebpf::{Source, Tracer};
use event::{Kind, StatePeers};
use extract::rpc::{self, Connection, Method};

use super::block_on;
use super::node::Node;
use crate::exit::{Code, Failure};
use crate::known::Known;
use crate::parts::Parts;
use crate::user;

/// Starts a tracer per node, gives up every capability of this process, and root where it can, and waits until all are attached.
///
/// Must come before any thread is started: capabilities and users belong to threads. A node whose probes cannot be had is watched without
/// them if they were not asked for by name, and if there is something else to watch: its RPC answers. With a `screen`, what tracers print goes
/// into the log, which is held back meanwhile: it would be drawn over what is shown.
pub(super) fn open(
    nodes: &mut [Node],
    config: Option<&(extract::ebpf::Config, bool)>,
    ask: bool,
    nats: &NatsOptions,
    screen: bool,
) -> Result<(), Failure> {
    let Some((config, asked)) = config else { return give_up_rights(nodes, nats) };
    let mut printed = None;
    let spawn = |node: &Node| {
        let mut command = Command::new("/proc/self/exe");
        command.arg("tracer");
        if screen {
            command.stderr(told_to(&mut printed)?);
        }
        Tracer::spawn(command, &config.tracer(&node.known.config, node.is_waited_for))
            .context("failed to start the tracing process")
    };
    let tracers = nodes.iter().map(spawn).collect::<anyhow::Result<Vec<_>>>()?;
    give_up_rights(nodes, nats)?;
    if let Some((reader, ours)) = printed {
        drop(ours);
        let thread = std::thread::Builder::new().name("po-tracer-says".to_owned());
        thread.spawn(move || pass_on(reader)).context("failed to start a thread")?;
    }
    for (node, tracer) in nodes.iter_mut().zip(tracers) {
        match Source::open(tracer, config.ebpf_raw) {
            Ok(source) => node.probes = Some(source),
            Err(problem) => {
                if *asked || !ask || block_on(async { Ok(present(&node.known.rpc).await) })?.is_none() {
                    return Err(failure(problem));
                }
                let name = node.known.name();
                tracing::error!(node = %name, %problem, hint = problem.hint, "no kernel probes: messages and connections are not seen");
            }
        }
    }
    Ok(())
}

/// The end of a pipe that all tracers write to; it is made for the first.
fn told_to(printed: &mut Option<(PipeReader, PipeWriter)>) -> anyhow::Result<PipeWriter> {
    let (_, writer) = match printed {
        Some(pipe) => pipe,
        none => none.insert(std::io::pipe().context("failed to make a pipe")?),
    };
    Ok(writer.try_clone()?)
}

/// What tracers print, into the log, until none of them runs. They print next to nothing: what has no other way to be told, as a panic.
fn pass_on(mut reader: PipeReader) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = reader.read(&mut bytes) {
        for line in String::from_utf8_lossy(&bytes[..count]).lines().filter(|line| !line.is_empty()) {
            tracing::warn!("the tracing process says: {}", event::text::Printable(line));
        }
    }
}

fn give_up_rights(nodes: &[Node], nats: &NatsOptions) -> Result<(), Failure> {
    let known = || nodes.iter().map(|node| &node.known);
    let user = user::give_up_rights(known(), &super::named_files(known(), nats))?;
    match (&user, user.hint()) {
        (user::User::Same(_), _) => {}
        (_, None) => tracing::info!("{user}"),
        (_, Some(hint)) => tracing::warn!(hint, "{user}"),
    }
    Ok(())
}

fn failure(problem: Problem) -> Failure {
    let code = match problem.class {
        Class::NotPermitted => Code::NotPermitted,
        Class::Kernel | Class::NoProbes => Code::Unsupported,
        Class::NoNode | Class::SeveralNodes => Code::NoNode,
        Class::Broken => Code::Failure,
    };
    let hint = problem.hint.clone();
    Failure::new(code, anyhow::Error::new(problem)).hint(hint)
}

/// Starts reading; peers that were connected before are made known first.
pub(super) async fn start(
    mut source: Source,
    node: &Known,
    ask: bool,
    span: &tracing::Span,
    extractors: &mut Parts,
) -> anyhow::Result<()> {
    if let (Some(life), true) = (&node.life, ask)
        && let Some(peers) = present(&node.rpc).await
    {
        let seeds = rpc::peers_of(&peers).map(|peer| (peer.id, peer.address, peer.connection_type, peer.network));
        source.seed(life.pid, seeds);
    }
    let out = extractors.publisher(node.name(), event::Source::Ebpf);
    let span = span.clone();
    extractors.thread(format!("the probes of {}", node.name()), node.name(), move |stop| {
        let _entered = span.enter();
        extract::ebpf::run(source, &out, stop).map_err(failure)
    })
}

/// Who is connected at this moment, if the node says so soon.
async fn present(target: &rpc::Target) -> Option<StatePeers> {
    let ask = async {
        let method = Method::of_name("getpeerinfo")?;
        let secret = target.secret.read().ok()?;
        let mut connection = Connection::open(&target.address, &secret).await.ok()?;
        match connection.call(method, &mut 0).await.ok()?.decode(method).ok()? {
            Kind::StatePeers(peers) => Some(peers),
            _ => None,
        }
    };
    tokio::time::timeout(Duration::from_secs(2), ask).await.ok().flatten()
}
