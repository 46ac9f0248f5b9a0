//! The extractors of a running program: started together, stopped together, watched over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bus::{Bus, Publisher};
use event::{NodeName, Source};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::exit::Failure;

/// Running extractors.
pub struct Extractors {
    bus: Bus,
    /// For those that are tasks.
    stop: watch::Sender<bool>,
    /// For those that are threads.
    flag: Arc<AtomicBool>,
    /// The input of one has ended, as standard input does.
    input_ended: Arc<AtomicBool>,
    tasks: JoinSet<Result<(), Failure>>,
    publishers: Vec<Publisher>,
    /// How far the publishers were when somebody last asked.
    progress: Vec<u64>,
}

impl Extractors {
    /// None yet.
    pub fn new(bus: Bus) -> Self {
        Self {
            bus,
            stop: watch::channel(false).0,
            flag: Arc::default(),
            input_ended: Arc::default(),
            tasks: JoinSet::new(),
            publishers: vec![],
            progress: vec![],
        }
    }

    /// Something that ends with the order to stop.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.stop.subscribe();
        async move {
            // an error means that the extractors are gone, which is an order to stop as well
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

    /// Runs an extractor that is a task.
    pub fn task(&mut self, work: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.tasks.spawn(async { work.await.map_err(Failure::from) });
    }

    /// Runs an extractor that blocks, on a thread of its own. It ends soon after the flag that it is given is set.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub fn thread(
        &mut self,
        name: &NodeName,
        work: impl FnOnce(&AtomicBool) -> Result<(), Failure> + Send + 'static,
    ) -> anyhow::Result<()> {
        let (send, receive) = tokio::sync::oneshot::channel();
        let flag = self.flag.clone();
        // nobody listens any more only when the program is ending anyway
        let work = move || drop(send.send(work(&flag)));
        std::thread::Builder::new().name(format!("po-{name}")).spawn(work)?;
        self.tasks.spawn(async { receive.await.unwrap_or_else(|_| Err(anyhow::anyhow!("an extractor panicked").into())) });
        Ok(())
    }

    /// For an extractor whose input may end: it sets this before it does.
    pub fn input_ended(&self) -> Arc<AtomicBool> {
        self.input_ended.clone()
    }

    /// Waits for an extractor to end by itself, which none should but one whose input has ended: then all ends.
    pub async fn ended(&mut self) -> Result<(), Failure> {
        match self.tasks.join_next().await {
            Some(Ok(Ok(()))) if self.input_ended.load(Ordering::Acquire) => Ok(()),
            Some(Ok(Ok(()))) => Err(anyhow::anyhow!("an extractor ended without being told to").into()),
            Some(Ok(failed)) => failed,
            Some(Err(panicked)) => Err(anyhow::Error::new(panicked).into()),
            // none runs: there is nothing that could end
            None => std::future::pending().await,
        }
    }

    /// Whether every extractor has stated something since this was asked last: its beat, if nothing else.
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
            result = result.and(ended.unwrap_or_else(|panicked| Err(anyhow::Error::new(panicked).into())));
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
            let mut extractors = Extractors::new(Bus::local());
            let publisher = extractors.publisher(&"n".parse().unwrap(), Source::Ebpf);
            assert!(!extractors.alive());
            publisher.publish(1, None, NetPing::default());
            assert!(extractors.alive());
            assert!(!extractors.alive());
        });
    }

    #[test]
    fn an_order_to_stop_reaches_tasks_and_threads_and_what_they_had_is_published() {
        runtime().block_on(async {
            let bus = Bus::local();
            let mut events = bus.subscribe(Filter::all(), Limits::default()).await.unwrap();
            let mut extractors = Extractors::new(bus.clone());
            let name = "n".parse().unwrap();
            let (out, stopped) = (extractors.publisher(&name, Source::Rpc), extractors.stopped());
            extractors.task(async move {
                stopped.await;
                out.publish(1, None, NetPing::default());
                Ok(())
            });
            let out = extractors.publisher(&name, Source::Ebpf);
            extractors
                .thread(&name, move |stop| {
                    while !stop.load(Ordering::Acquire) {
                        std::thread::yield_now();
                    }
                    out.publish(2, None, NetPing::default());
                    Ok(())
                })
                .unwrap();
            extractors.stop().await.unwrap();
            bus.close().await;
            let mut count = 0;
            while events.next().await.is_some() {
                count += 1;
            }
            assert_eq!(count, 2);
        });
    }

    #[test]
    fn an_extractor_that_ends_by_itself_is_a_failure() {
        runtime().block_on(async {
            let mut extractors = Extractors::new(Bus::local());
            extractors.task(async { Ok(()) });
            assert!(extractors.ended().await.is_err());
            extractors.task(async { Err(anyhow::anyhow!("broken")) });
            assert_eq!(extractors.ended().await.unwrap_err().to_string(), "error: broken");
            extractors.input_ended().store(true, Ordering::Release);
            extractors.task(async { Ok(()) });
            assert!(extractors.ended().await.is_ok());
        });
    }
}
