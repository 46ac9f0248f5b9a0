//! `peer-observer web`: pages about what a bus or a recording brings.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use event::Filter;

use crate::alone;
use crate::cli;
use crate::exit::{Code, Failure};
use crate::service::{self, Signals};
use crate::wiring;

/// What `run` needs to serve pages, had before it gives up its rights.
pub struct Taken {
    /// Who may look, and what is said.
    pub reading: tools::web::Reading,
    /// The port.
    pub listener: TcpListener,
    /// Whether pages were asked for by name.
    pub asked: bool,
}

/// Takes the port for `run`, before anything starts. A port that is taken is an error where pages were asked for by name.
///
/// # Errors
///
/// It cannot be had, or everybody could look.
pub fn take_port(config: &tools::web::Config, asked: bool) -> Result<Option<Taken>, Failure> {
    let reading = read(config)?;
    let listener = alone::port_for_run(config.listen(), asked)?;
    Ok(listener.map(|listener| Taken { reading, listener, asked }))
}

fn read(config: &tools::web::Config) -> Result<tools::web::Reading, Failure> {
    config.read().map_err(|error| {
        let hint = error.hint();
        Failure::new(Code::Usage, error).hint(hint)
    })
}

/// `peer-observer web`
///
/// # Errors
///
/// The port is taken, everybody could look, or the bus or a recording cannot be read.
pub fn run(options: cli::Web) -> Result<(), Failure> {
    let reading = read(&options.web)?;
    if !options.recording.is_empty() {
        return recorded(options, reading);
    }
    if options.nats.url.is_none() {
        let run = "`peer-observer run` watches a node on this machine, and serves pages";
        return Err(alone::no_input("web", "show", run));
    }
    let listener = options.web.listen().map_err(alone::no_port)?;
    let filter = Filter::all().of_nodes(options.node);
    alone::follow(&options.nats, options.replay_id, filter, |events| {
        Ok(tools::web::run(reading, tools::web::Input::Live(events), listener, std::future::pending()))
    })
}

/// Over recordings: they can be played, stopped, and moved, until a signal.
fn recorded(options: cli::Web, mut reading: tools::web::Reading) -> Result<(), Failure> {
    let selection = |from| tools::archive::Selection { times: from..=u64::MAX, nodes: options.node.clone(), ..Default::default() };
    let paths: Arc<[PathBuf]> = options.recording.clone().into();
    let (from, to) = span(&paths, &selection(0), &mut reading)?;
    let listener = options.web.listen().map_err(alone::no_port)?;
    let nodes = options.node.clone();
    let open = move |from: u64| {
        let selection = tools::archive::Selection { times: from..=u64::MAX, nodes: nodes.clone(), ..Default::default() };
        let events = crate::archive::recorded(&paths, &selection).map_err(|failure| anyhow::anyhow!("{failure}"))?;
        let fits = move |event: &Result<event::Event, Failure>| event.as_ref().map_or(true, |event| selection.event(event));
        let events = events.filter(fits).map(|event| event.map_err(|failure| anyhow::anyhow!("{failure}")));
        Ok(Box::new(events) as tools::web::playback::Events)
    };
    let recording = tools::web::Recording { open: Arc::new(open), from, to };
    wiring::block_on(async {
        let mut signals = Signals::new()?;
        let (end, stopped) = alone::Stopped::new();
        let input = tools::web::Input::Recording(recording, options.speed);
        let mut tool = tokio::spawn(tools::web::run(reading, input, listener, stopped.wait()));
        service::ready();
        tokio::select! {
            () = signals.received() => {}
            ended = &mut tool => return Ok(ended.map_err(anyhow::Error::new)??),
        }
        drop(end);
        Ok(tool.await.map_err(anyhow::Error::new)??)
    })
}

/// When the first and the last event of recordings happened. A view for strangers learns on the way.
fn span(
    paths: &[PathBuf],
    selection: &tools::archive::Selection,
    reading: &mut tools::web::Reading,
) -> Result<(u64, u64), Failure> {
    if !reading.is_public()
        && !paths.iter().any(|path| crate::archive::is_capture(path))
        && let Some(span) = tools::archive::span(paths).map_err(crate::archive::unreadable)?
    {
        return Ok(span);
    }
    tracing::info!("reading the recording once, to know when it begins and ends");
    let (mut from, mut to) = (u64::MAX, 0);
    for event in crate::archive::recorded(paths, selection)? {
        match event {
            Ok(event) => {
                reading.learn(&event);
                (from, to) = (from.min(event.time), to.max(event.time));
            }
            // told again when it is played; what comes before it is worth seeing
            Err(failure) => tracing::warn!(%failure, "a part of the recording cannot be read"),
        }
    }
    if from > to {
        return Err(
            Failure::new(Code::Recording, anyhow::anyhow!("there are no events in the recording")).hint("is it the right one?")
        );
    }
    Ok((from, to))
}
