//! Parts of a running program: started together, stopped together, watched over.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bus::{Bus, Publisher};
use event::{NodeName, Source};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use crate::exit::Failure;

/// Running parts that stop at the same moment of the end: extractors, tools that publish, tools that do not.
pub struct Parts {
    bus: Bus,
    /// For those that are tasks.
    stop: watch::Sender<bool>,
    /// For those that are threads.
    flag: Arc<AtomicBool>,
    /// The input of one has ended, as standard input does.
    input_ended: Arc<AtomicBool>,
    tasks: JoinSet<Result<(), Failure>>,
    /// What they are called: `the detectors`, `rpc of alice`.
    names: HashMap<Id, String>,
    publishers: Vec<Publisher>,
    /// How far the publishers were when somebody last asked.
    progress: Vec<u64>,
}

impl Parts {
    /// None yet.
    pub fn new(bus: Bus) -> Self {
        Self {
            bus,
            stop: watch::channel(false).0,
            flag: Arc::default(),
            input_ended: Arc::default(),
            tasks: JoinSet::new(),
            names: HashMap::new(),
            publishers: vec![],
            progress: vec![],
        }
    }

    /// Something that ends with the order to stop.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.stop.subscribe();
        async move {
            // an error means that the parts are gone, which is an order to stop as well
            let _ = stop.wait_for(|stop| *stop).await;
        }
    }

    /// The publisher for a source about a node.
    pub fn publisher(&mut self, node: &NodeName, source: Source) -> Publisher {
        let publisher = self.bus.publisher(node.clone(), source);
        self.publishers.push(publisher.clone());
        self.progress.push(0);
        publisher
    }

    /// Runs a part that is a task. By its name a person is told of its end.
    pub fn task(&mut self, name: impl Into<String>, work: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let handle = self.tasks.spawn(async { work.await.map_err(Failure::from) });
        self.names.insert(handle.id(), name.into());
    }

    /// Runs a part that blocks, on a thread of its own. It ends soon after the flag that it is given is set.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub fn thread(
        &mut self,
        name: impl Into<String>,
        of: &NodeName,
        work: impl FnOnce(&AtomicBool) -> Result<(), Failure> + Send + 'static,
    ) -> anyhow::Result<()> {
        let name = name.into();
        let (send, receive) = tokio::sync::oneshot::channel();
        let flag = self.flag.clone();
        // nobody listens any more only when the program is ending anyway
        let work = move || drop(send.send(work(&flag)));
        std::thread::Builder::new().name(format!("po-{of}")).spawn(work)?;
        let panicked = format!("{name} panicked");
        let handle = self.tasks.spawn(async { receive.await.unwrap_or_else(|_| Err(anyhow::anyhow!(panicked).into())) });
        self.names.insert(handle.id(), name);
        Ok(())
    }

    /// For a part whose input may end: it sets this before it does.
    pub fn input_ended(&self) -> Arc<AtomicBool> {
        self.input_ended.clone()
    }

    /// Waits for a part to end by itself, which none should but one whose input has ended: then all ends.
    ///
    /// # Errors
    ///
    /// What it failed with, or that it ended.
    pub async fn ended(&mut self) -> Result<(), Failure> {
        match self.tasks.join_next_with_id().await {
            Some(Ok((_, Ok(())))) if self.input_ended.load(Ordering::Acquire) => Ok(()),
            Some(Ok((id, Ok(())))) => Err(anyhow::anyhow!("{} ended without being told to", self.name(id)).into()),
            Some(Ok((_, failed))) => failed,
            Some(Err(panicked)) => Err(self.panicked(&panicked)),
            // none runs: there is nothing that could end
            None => std::future::pending().await,
        }
    }

    fn name(&self, id: Id) -> &str {
        self.names.get(&id).map_or("a part", String::as_str)
    }

    fn panicked(&self, error: &JoinError) -> Failure {
        anyhow::anyhow!("{} panicked", self.name(error.id())).into()
    }

    /// Whether everybody who publishes has stated something since this was asked last: its beat, if nothing else.
    ///
    /// What was dropped because the server is away counts: it is the server that is away, not the extractor.
    pub fn alive(&mut self) -> bool {
        let progress = |publisher: &Publisher| publisher.published() + publisher.dropped();
        let now: Vec<u64> = self.publishers.iter().map(progress).collect();
        let alive = now.iter().zip(&self.progress).all(|(now, before)| now > before);
        self.progress = now;
        alive
    }

    /// Tells them to stop, and waits until what they had is published.
    pub async fn stop(&mut self) -> Result<(), Failure> {
        self.flag.store(true, Ordering::Release);
        self.stop.send_replace(true);
        let mut result = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            result = result.and(ended.unwrap_or_else(|error| Err(self.panicked(&error))));
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bus::Limits;
    use event::{Filter, NetPing};

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn who_states_nothing_is_not_alive() {
        runtime().block_on(async {
            let mut parts = Parts::new(Bus::local());
            let publisher = parts.publisher(&"n".parse().unwrap(), Source::Ebpf);
            assert!(!parts.alive());
            publisher.publish(1, None, NetPing::default());
            assert!(parts.alive());
            assert!(!parts.alive());
        });
    }

    #[test]
    fn an_order_to_stop_reaches_tasks_and_threads_and_what_they_had_is_published() {
        runtime().block_on(async {
            let bus = Bus::local();
            let mut events = bus.subscribe(Filter::all(), Limits::default()).await.unwrap();
            let mut parts = Parts::new(bus.clone());
            let name = "n".parse().unwrap();
            let (out, stopped) = (parts.publisher(&name, Source::Rpc), parts.stopped());
            parts.task("rpc", async move {
                stopped.await;
                out.publish(1, None, NetPing::default());
                Ok(())
            });
            let out = parts.publisher(&name, Source::Ebpf);
            parts
                .thread("the probes", &name, move |stop| {
                    while !stop.load(Ordering::Acquire) {
                        std::thread::yield_now();
                    }
                    out.publish(2, None, NetPing::default());
                    Ok(())
                })
                .unwrap();
            parts.stop().await.unwrap();
            bus.close().await;
            let mut count = 0;
            while events.next().await.is_some() {
                count += 1;
            }
            assert_eq!(count, 2);
        });
    }

    #[test]
    fn a_part_that_ends_by_itself_is_a_failure_and_named() {
        runtime().block_on(async {
            let mut parts = Parts::new(Bus::local());
            parts.task("rpc", async { Ok(()) });
            assert_eq!(parts.ended().await.unwrap_err().to_string(), "error: rpc ended without being told to");
            parts.task("the detectors", async { panic!("in a test") });
            assert_eq!(parts.ended().await.unwrap_err().to_string(), "error: the detectors panicked");
            parts.task("rpc", async { Err(anyhow::anyhow!("broken")) });
            assert_eq!(parts.ended().await.unwrap_err().to_string(), "error: broken");
            parts.input_ended().store(true, Ordering::Release);
            parts.task("rpc", async { Ok(()) });
            assert!(parts.ended().await.is_ok());
        });
    }
}
