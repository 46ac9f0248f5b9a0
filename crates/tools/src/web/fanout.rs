//! From events to clients: each event is written once per form, each batch once per subscription, and shared.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::ws::Utf8Bytes;
use event::{Event, KindSet};

use super::brief::Brief;
use super::queue::{Queue, Slot};
use super::wants::{Form, Wants};

/// A batch is sent before its time when it is so long, bytes: browsers parse it in one go.
const BATCH: usize = 256 << 10;
/// What may wait for all clients together, bytes, if none of them shared anything.
const ROOM: usize = 256 << 20;
/// What may wait for one: half a second of full events at 10,000 a second, if there are few clients; for a thousand of them a twentieth.
const MOST: usize = 4 << 20;

/// Everybody who listens.
#[derive(Debug, Default)]
pub struct Fanout {
    groups: Vec<Group>,
    /// Those that have not asked for anything yet are among them.
    clients: Vec<Arc<Queue>>,
    /// What any of them wants.
    wanted: Option<KindSet>,
    full: Vec<u8>,
    brief: Vec<u8>,
    account: Account,
}

/// What became of events on their way to clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Account {
    /// Events given to a client's queue.
    pub sent: u64,
    /// Events that a client's queue had no room for.
    pub dropped: u64,
    /// Events that never came this far: the bus had no room for them. Each client is told.
    pub missed: u64,
}

/// Clients with equal subscriptions.
#[derive(Debug)]
struct Group {
    wants: Wants,
    members: Vec<Arc<Queue>>,
    /// The batch that is being written, without its end.
    batch: Vec<u8>,
    events: u64,
    due: Option<Instant>,
}

impl Fanout {
    /// A client is there. It gets beats and notes from now on.
    pub fn enter(&mut self, queue: Arc<Queue>) {
        self.clients.push(queue);
    }

    /// A client goes.
    pub fn leave(&mut self, queue: &Arc<Queue>) {
        self.unsubscribe(queue);
        self.clients.retain(|other| !Arc::ptr_eq(other, queue));
        queue.close();
    }

    /// A client wants this from now on, in place of what it wanted before. `answer` stands between the two.
    pub fn subscribe(&mut self, queue: &Arc<Queue>, wants: Wants, answer: Utf8Bytes) {
        self.unsubscribe(queue);
        queue.push(Slot::Note(answer));
        let limit = self.limit();
        match self.groups.iter_mut().find(|group| group.wants == wants) {
            Some(group) => {
                // who comes later gets nothing of before
                group.flush(limit, &mut self.account);
                group.members.push(Arc::clone(queue));
            }
            None => self.groups.push(Group { wants, members: vec![Arc::clone(queue)], batch: vec![], events: 0, due: None }),
        }
        self.count_kinds();
    }

    fn unsubscribe(&mut self, queue: &Arc<Queue>) {
        let limit = self.limit();
        for group in &mut self.groups {
            if group.members.iter().any(|other| Arc::ptr_eq(other, queue)) {
                group.flush(limit, &mut self.account);
                group.members.retain(|other| !Arc::ptr_eq(other, queue));
            }
        }
        self.groups.retain(|group| !group.members.is_empty());
        self.count_kinds();
    }

    fn count_kinds(&mut self) {
        self.wanted = self.groups.iter().map(|group| group.wants.kinds()).reduce(KindSet::union);
    }

    /// An event, for whom it may concern. `primary` if it counts.
    pub fn event(&mut self, event: &Event, primary: bool, now: Instant) {
        let (Some(wanted), Some(id)) = (&self.wanted, event.id()) else { return };
        if !wanted.contains(id) {
            return;
        }
        self.full.clear();
        self.brief.clear();
        let limit = limit_of(self.clients.len());
        for group in self.groups.iter_mut().filter(|group| group.wants.event(event, primary)) {
            let text = match group.wants.form {
                Form::Full => written(&mut self.full, event),
                Form::Brief => written(&mut self.brief, &Brief(event)),
            };
            group.batch.extend_from_slice(if group.batch.is_empty() { b"{\"events\":[" } else { b"," });
            group.batch.extend_from_slice(text);
            group.events += 1;
            group.due.get_or_insert(now + group.wants.interval);
            if group.batch.len() >= BATCH {
                group.flush(limit, &mut self.account);
            }
        }
    }

    /// So many events never came. Nobody knows of which kind they were: everybody who listens is told.
    pub fn missed(&mut self, count: u64) {
        self.account.missed += count;
        let limit = self.limit();
        for group in &mut self.groups {
            group.flush(limit, &mut self.account);
            group.members.iter().for_each(|queue| queue.push_missed(count));
        }
    }

    /// Sends the batches whose time has come.
    pub fn flush(&mut self, now: Instant) {
        let limit = self.limit();
        for group in self.groups.iter_mut().filter(|group| group.due.is_some_and(|due| due <= now)) {
            group.flush(limit, &mut self.account);
        }
    }

    /// When the next batch is to be sent.
    pub fn due(&self) -> Option<Instant> {
        self.groups.iter().filter_map(|group| group.due).min()
    }

    /// Everything up to this time was sent. Who has taken nothing for long is given up.
    pub fn beat(&mut self, time: u64) {
        let limit = self.limit();
        self.groups.iter_mut().for_each(|group| group.flush(limit, &mut self.account));
        let stuck: Vec<Arc<Queue>> = self.clients.iter().filter(|queue| !queue.beat(time)).map(Arc::clone).collect();
        for queue in stuck {
            tracing::info!("a client that takes nothing was given up");
            self.leave(&queue);
        }
    }

    /// A message for everybody, at its place among the events.
    pub fn note(&mut self, text: &Utf8Bytes) {
        let limit = self.limit();
        self.groups.iter_mut().for_each(|group| group.flush(limit, &mut self.account));
        self.clients.iter().for_each(|queue| queue.push(Slot::Note(text.clone())));
    }

    /// Nothing comes any more.
    pub fn close(&mut self) {
        let limit = self.limit();
        self.groups.iter_mut().for_each(|group| group.flush(limit, &mut self.account));
        self.clients.iter().for_each(|queue| queue.close());
    }

    /// How many clients there are.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Events that wait for the client that has most of them.
    pub fn queued(&self) -> u64 {
        self.clients.iter().map(|queue| queue.events()).max().unwrap_or(0)
    }

    /// What became of events so far.
    pub fn account(&self) -> Account {
        self.account
    }

    fn limit(&self) -> usize {
        limit_of(self.clients.len())
    }
}

/// What may wait for each of so many clients, bytes.
fn limit_of(clients: usize) -> usize {
    (ROOM / clients.max(1)).min(MOST)
}

/// Writes a form of an event, unless somebody had it written before.
fn written<'a>(text: &'a mut Vec<u8>, event: &impl serde::Serialize) -> &'a [u8] {
    if text.is_empty() {
        serde_json::to_writer(&mut *text, event).expect("an event is JSON, and memory takes it");
    }
    text
}

impl Group {
    fn flush(&mut self, limit: usize, account: &mut Account) {
        self.due = None;
        if self.batch.is_empty() {
            return;
        }
        self.batch.extend_from_slice(b"]}");
        // the next one is about as long
        let next = Vec::with_capacity(self.batch.len().min(BATCH));
        let batch = std::mem::replace(&mut self.batch, next);
        let text = Utf8Bytes::try_from(batch).expect("JSON is UTF-8");
        for queue in &self.members {
            let dropped = queue.push_events(&text, self.events, limit);
            account.dropped += dropped;
            account.sent += self.events - dropped;
        }
        self.events = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::web::wants::Ask;
    use event::{NetPing, NetPong, Source};

    struct World {
        fanout: Fanout,
        start: Instant,
    }

    impl World {
        fn new() -> Self {
            Self { fanout: Fanout::default(), start: Instant::now() }
        }

        fn client(&mut self, ask: &str) -> Arc<Queue> {
            let queue = Arc::new(Queue::default());
            self.fanout.enter(Arc::clone(&queue));
            self.subscribe(&queue, ask);
            queue
        }

        fn subscribe(&mut self, queue: &Arc<Queue>, ask: &str) {
            let wants = Ask::parse(ask).unwrap().wants().unwrap();
            self.fanout.subscribe(queue, wants, Utf8Bytes::from_static("subscribed"));
        }

        fn ping(&mut self, time: u64) {
            let event = Event { time, ..Event::new("a", Source::Ebpf, NetPing { peer: 1, ..Default::default() }) };
            self.fanout.event(&event, true, self.start);
        }

        fn pong(&mut self, time: u64) {
            let event = Event { time, ..Event::new("a", Source::Ebpf, NetPong { peer: 1, ..Default::default() }) };
            self.fanout.event(&event, true, self.start);
        }
    }

    /// What a client was sent, in short.
    async fn all(queue: &Queue) -> Vec<String> {
        queue.close();
        let mut seen = vec![];
        while let Some(slot) = queue.next().await {
            seen.push(match slot {
                Slot::Events(text, count) => {
                    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                    let events = value["events"].as_array().unwrap();
                    assert_eq!(events.len() as u64, count);
                    events.iter().map(|event| event["time"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
                }
                Slot::Note(text) => text.to_string(),
                other => format!("{other:?}"),
            });
        }
        seen
    }

    const BRIEF: &str = r#"{"kinds":["net.ping"],"form":"brief","interval_ms":50}"#;

    #[tokio::test]
    async fn batches_wait_for_their_time() {
        let mut world = World::new();
        let client = world.client(BRIEF);
        world.ping(1);
        world.pong(2);
        world.ping(3);
        assert_eq!(world.fanout.due(), Some(world.start + Duration::from_millis(50)));
        world.fanout.flush(world.start + Duration::from_millis(49));
        world.ping(4);
        world.fanout.flush(world.start + Duration::from_millis(50));
        assert_eq!(world.fanout.due(), None);
        world.ping(5);
        world.fanout.beat(6);
        assert_eq!(all(&client).await, ["subscribed", "1 3 4", "5", "Beat(6)"]);
    }

    #[tokio::test]
    async fn a_change_of_mind_has_its_place() {
        let mut world = World::new();
        let client = world.client(BRIEF);
        let other = world.client(BRIEF);
        world.ping(1);
        world.subscribe(&client, r#"{"kinds":["net.pong"]}"#);
        world.ping(2);
        world.pong(3);
        world.fanout.close();
        assert_eq!(all(&client).await, ["subscribed", "1", "subscribed", "3"]);
        assert_eq!(all(&other).await, ["subscribed", "1", "2"]);
    }

    #[tokio::test]
    async fn who_comes_later_gets_nothing_of_before() {
        let mut world = World::new();
        let early = world.client(BRIEF);
        world.ping(1);
        let late = world.client(BRIEF);
        world.ping(2);
        world.fanout.missed(7);
        world.fanout.leave(&early);
        assert_eq!((world.fanout.clients(), world.fanout.groups.len()), (1, 1));
        world.ping(3);
        world.fanout.close();
        assert_eq!(all(&early).await, ["subscribed", "1", "2", "Missed(7)"]);
        assert_eq!(all(&late).await, ["subscribed", "2", "Missed(7)", "3"]);
    }

    #[tokio::test]
    async fn equal_wants_share_their_text() {
        let mut world = World::new();
        let clients = [world.client(BRIEF), world.client(BRIEF)];
        world.ping(1);
        world.fanout.close();
        let mut places = vec![];
        for client in &clients {
            while let Some(slot) = client.next().await {
                if let Slot::Events(text, _) = slot {
                    places.push(text.as_str().as_ptr());
                }
            }
        }
        assert_eq!(places.len(), 2);
        assert_eq!(places[0], places[1]);
    }

    #[tokio::test]
    async fn one_who_reads_nothing_is_told_and_nobody_else_notices() {
        let mut world = World::new();
        let stuck = world.client(r#"{"interval_ms":5}"#);
        let quick = world.client(r#"{"interval_ms":5}"#);
        let (mut read, count) = (0, 60_000);
        for time in 0..count {
            world.ping(time);
            if time % 1000 == 999 {
                world.fanout.flush(world.start + Duration::from_secs(1));
                while quick.events() > 0 {
                    if let Some(Slot::Events(_, events)) = quick.next().await {
                        read += events;
                    }
                }
            }
        }
        let account = world.fanout.account();
        assert_eq!(read, count);
        let (mut got, mut missed) = (0, 0);
        stuck.close();
        while let Some(slot) = stuck.next().await {
            match slot {
                Slot::Events(_, events) => got += events,
                Slot::Missed(count) => missed += count,
                _ => {}
            }
        }
        assert!(missed > 0);
        assert_eq!((got + missed, account.dropped, account.sent), (count, missed, count + got));
    }
}
