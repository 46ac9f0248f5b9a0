//! A tool by itself: over NATS until a signal, or over recordings.

use std::future::Future;
use std::net::TcpListener;
use std::path::PathBuf;

use bus::{Bus, Limits, NatsOptions, ReplayId, Subscription};
use event::{Event, Filter};
use extract::replay::{self, Pace};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tools::archive::{Progress, Selection};
use tools::listen::ListenError;

use crate::bar;
use crate::exit::{Code, Failure};
use crate::service::{self, Signals};
use crate::wiring::{self, block_on};

/// What a tool reads is neither a bus nor a recording. `does` is what it would do with it, `run` what `peer-observer run` does.
pub fn no_input(tool: &str, does: &str, run: &str) -> Failure {
    Failure::new(Code::Usage, anyhow::anyhow!("`{tool}` needs a bus or a recording to {does}"))
        .hint(format!("give `--nats URL` or `--recording FILES`; {run}"))
}

/// A port that cannot be had.
pub fn no_port(error: ListenError) -> Failure {
    let hint = error.hint();
    Failure::new(Code::Failure, error).hint(hint)
}

/// A port for `run`, which goes on without it unless what is served there was asked for by name.
///
/// # Errors
///
/// It was, and the port cannot be had.
pub fn port_for_run(port: Result<TcpListener, ListenError>, asked: bool) -> Result<Option<TcpListener>, Failure> {
    match port {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if asked => Err(no_port(error)),
        Err(error) => {
            tracing::warn!(%error, hint = error.hint(), "no {}", error.service());
            Ok(None)
        }
    }
}

/// As many times as fast as it happened; 0 is as fast as possible.
pub fn pace(speed: f64) -> Pace {
    if speed > 0.0 { Pace::Times(speed) } else { Pace::Max }
}

/// What a filter lets through, of recordings.
///
/// # Errors
///
/// Something cannot be read, or is no recording.
pub fn recorded(paths: &[PathBuf], filter: &Filter) -> Result<crate::archive::Events, Failure> {
    let selection = Selection { kinds: Some(filter.kinds), nodes: filter.nodes.clone(), ..Default::default() };
    crate::archive::recorded(paths, &selection)
}

/// Follows a bus until a signal; then what is left is read, and the tool ends because its events do.
///
/// # Errors
///
/// The bus cannot be read, or what the tool fails with.
pub fn follow<Tool>(
    nats: &NatsOptions,
    replay: Option<ReplayId>,
    filter: Filter,
    tool: impl FnOnce(Subscription) -> anyhow::Result<Tool>,
) -> Result<(), Failure>
where
    Tool: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    block_on(async {
        let mut signals = Signals::new()?;
        let Some((bus, events)) = subscribe(&mut signals, nats, replay, filter).await? else { return Ok(()) };
        let mut tool = tokio::spawn(tool(events)?);
        service::ready();
        tokio::select! {
            () = signals.received() => {}
            ended = &mut tool => return Ok(ended.map_err(anyhow::Error::new)??),
        }
        let end = async {
            bus.close().await;
            Ok(tool.await.map_err(anyhow::Error::new)??)
        };
        signals.end(end).await
    })
}

/// The bus, and what comes over it; `None` when a signal came before.
///
/// # Errors
///
/// The bus cannot be read.
pub async fn subscribe(
    signals: &mut Signals,
    nats: &NatsOptions,
    replay: Option<ReplayId>,
    filter: Filter,
) -> Result<Option<(Bus, Subscription)>, Failure> {
    let open = async {
        let bus = wiring::open(nats).await?;
        let bus = match replay {
            Some(id) => bus.of_replay(id),
            None => bus,
        };
        let events = bus.subscribe(filter, Limits::default()).await.map_err(wiring::bus_failure)?;
        Ok((bus, events))
    };
    signals.unless_received(open).await
}

/// What a filter lets through, of recordings, until `progress` is told to stop.
///
/// # Errors
///
/// As [`recorded`].
pub fn recorded_until(
    paths: &[PathBuf],
    filter: &Filter,
    progress: &Progress,
) -> Result<impl Iterator<Item = Result<Event, Failure>> + Send + use<>, Failure> {
    let selection = Selection { kinds: Some(filter.kinds), nodes: filter.nodes.clone(), ..Default::default() };
    let events = crate::archive::recorded_watched(paths, &selection, progress)?;
    let stop = progress.clone();
    Ok(events.take_while(move |_| !stop.is_stopped()))
}

/// Does what reads recordings without a bus, on a thread of its own. A signal tells `progress` to stop, so that `work` ends by itself; a
/// second one ends everything. `look` is called now and then.
///
/// # Errors
///
/// It was ended at once, or it panicked.
pub fn read<T: Send + 'static>(
    progress: &Progress,
    look: impl Fn(),
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    block_on(async {
        let mut signals = Signals::new()?;
        let mut work = tokio::task::spawn_blocking(work);
        let mut draw = tokio::time::interval(bar::DRAW);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done.map_err(anyhow::Error::new)?),
                _ = draw.tick() => look(),
                () = signals.received() => {
                    if progress.is_stopped() {
                        return Err(service::cut_short());
                    }
                    progress.stop();
                }
            }
        }
    })
}

/// Forwards a recording, on a task of its own: one of which little is wanted is read for long before there is anything to wait for, and a
/// signal should be heard all the same. The end of what comes back is the end of the task.
struct Player<E>(JoinHandle<Result<(), E>>);

impl<E: Send + 'static> Player<E> {
    fn start(events: impl Iterator<Item = Result<Event, E>> + Send + 'static, pace: Pace, bus: &Bus) -> Self {
        let bus = bus.clone();
        Self(tokio::spawn(async move { replay::run(events, pace, &bus).await }))
    }

    /// How it ended; to be asked once.
    async fn ended(&mut self) -> anyhow::Result<Result<(), E>> {
        Ok((&mut self.0).await?)
    }
}

impl<E> Drop for Player<E> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Plays a recording into a tool, until either ends or a signal comes. What is wrong with the recording becomes a failure by `failure`.
///
/// # Errors
///
/// The recording is broken (what was whole has reached the tool), or the tool failed.
pub async fn play<E: Send + 'static>(
    events: impl Iterator<Item = Result<Event, E>> + Send + 'static,
    failure: impl FnOnce(E) -> Failure,
    pace: Pace,
    bus: Bus,
    tool: impl Future<Output = anyhow::Result<()>> + Send + 'static,
) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let mut tool = tokio::spawn(tool);
    let mut player = Player::start(events, pace, &bus);
    let played = tokio::select! {
        played = player.ended() => played?,
        () = signals.received() => Ok(()),
        // nobody reads any more
        ended = &mut tool => return Ok(ended.map_err(anyhow::Error::new)??),
    };
    drop(player);
    let end = async {
        bus.close().await;
        Ok(tool.await.map_err(anyhow::Error::new)??)
    };
    signals.end(end).await?;
    played.map_err(failure)
}

/// Ends when the other side goes away.
pub struct Stopped(oneshot::Receiver<()>);

impl Stopped {
    /// What is dropped to say that it is time, and who waits for that.
    pub fn new() -> (oneshot::Sender<()>, Self) {
        let (stop, stopped) = oneshot::channel();
        (stop, Self(stopped))
    }

    /// Waits.
    pub async fn wait(self) {
        // the other side says nothing, it goes away
        let _ = self.0.await;
    }
}

/// Plays a recording into a tool that shows what it came to, until a signal, or until the tool has had enough. `at_the_end` begins when all
/// of it is on the bus.
///
/// # Errors
///
/// The recording is broken (what was whole was shown), or the tool failed.
pub fn stay<Tool>(
    events: crate::archive::Events,
    pace: Pace,
    filter: Filter,
    tool: impl FnOnce(Subscription, Stopped) -> anyhow::Result<Tool>,
    at_the_end: impl Future<Output = ()>,
) -> Result<(), Failure>
where
    Tool: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    block_on(async {
        let bus = Bus::local();
        let subscription = bus.subscribe(filter, Limits::default()).await.map_err(wiring::bus_failure)?;
        let mut signals = Signals::new()?;
        let (end, stopped) = Stopped::new();
        let mut tool = tokio::spawn(tool(subscription, stopped)?);
        let mut player = Player::start(events, pace, &bus);
        let played = tokio::select! {
            played = player.ended() => Some(played?),
            () = signals.received() => None,
            ended = &mut tool => return Ok(ended.map_err(anyhow::Error::new)??),
        };
        drop(player);
        bus.close().await;
        if let Some(Ok(())) = &played {
            let rest = async {
                at_the_end.await;
                signals.received().await;
            };
            tokio::select! {
                () = rest => {}
                ended = &mut tool => return Ok(ended.map_err(anyhow::Error::new)??),
            }
        }
        drop(end);
        tool.await.map_err(anyhow::Error::new)??;
        played.unwrap_or(Ok(()))
    })
}
