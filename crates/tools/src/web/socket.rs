//! The stream over a WebSocket, and as server-sent events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use event::text::{Rfc3339, U64};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Shared;
use super::guard::Bucket;
use super::queue::{Queue, Slot};
use super::wants::Ask;

/// A client that takes nothing for so long is let go.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a silent client is asked whether it is still there; it has until the second time to answer.
const ASK: Duration = Duration::from_secs(20);
/// The longest message of a client, bytes: every list of a subscription full.
pub const LONGEST: usize = 64 << 10;
/// Messages that a client may send at once, and per second from then on.
const BURST: f64 = 50.0;
const RATE: f64 = 10.0;

/// A client while it is connected.
pub struct Client {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
}

impl Client {
    /// Lets a client in; `None` if there are too many.
    pub fn enter(shared: &Arc<Shared>) -> Option<Self> {
        let queue = Arc::new(Queue::default());
        let mut fanout = shared.fanout();
        if fanout.clients() >= shared.most_clients {
            return None;
        }
        fanout.enter(Arc::clone(&queue));
        drop(fanout);
        if let Some(note) = shared.playback_note() {
            queue.push(Slot::Note(note));
        }
        Some(Self { shared: Arc::clone(shared), queue })
    }

    /// What waits for it.
    pub fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    /// Follows what a client asks for; the answer goes to its queue.
    fn ask(&self, text: &str) {
        let answer = Ask::parse(text).and_then(|ask| ask.wants().map(|wants| (ask, wants)));
        match answer {
            Ok((ask, wants)) => self.subscribe(&ask, wants),
            Err(error) => self.queue.push(Slot::Note(json!({ "error": error.to_string() }).to_string().into())),
        }
    }

    /// From now on this.
    pub fn subscribe(&self, ask: &Ask, wants: super::wants::Wants) {
        let answer = json!({ "subscribed": ask }).to_string();
        self.shared.fanout().subscribe(&self.queue, wants, answer.into());
    }

    fn text(&self, slot: Slot) -> Utf8Bytes {
        match slot {
            Slot::Events(text, _) | Slot::Note(text) => text,
            Slot::Missed(count) => json!({ "missed": count }).to_string().into(),
            Slot::Beat(time) => {
                let queued = self.queue.events();
                json!({ "beat": { "time": U64(time), "timeText": Rfc3339::from_nanos(time), "queued": queued } }).to_string().into()
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.fanout().leave(&self.queue);
    }
}

/// Serves a WebSocket until either side has enough.
pub async fn serve(mut socket: WebSocket, client: Client) {
    let mut messages = Bucket::new(Instant::now(), BURST);
    let mut ask = interval(ASK);
    ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ask.tick().await;
    let mut heard = true;
    let ending = loop {
        let message = tokio::select! {
            // what a client says is heard even while much is to be sent
            biased;
            received = socket.recv() => {
                heard = true;
                match received {
                    Some(Ok(_)) if !messages.take(Instant::now(), BURST, RATE) => break (close_code::POLICY, "too many messages"),
                    Some(Ok(Message::Text(text))) => client.ask(&text),
                    Some(Ok(Message::Binary(_))) => break (close_code::UNSUPPORTED, "messages are text"),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                }
                continue;
            }
            _ = ask.tick() => {
                if !std::mem::replace(&mut heard, false) {
                    break (close_code::AWAY, "no answer");
                }
                Message::Ping(Bytes::new())
            }
            slot = client.queue.next() => match slot {
                Some(slot) => Message::Text(client.text(slot)),
                None => break (close_code::AWAY, "the stream has ended"),
            },
        };
        match timeout(PATIENCE, socket.send(message)).await {
            Ok(Ok(())) => {}
            // gone, or stuck
            Ok(Err(_)) | Err(_) => return,
        }
    };
    let (code, reason) = ending;
    let farewell = Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }));
    // who does not listen is not waited for
    let _ = timeout(Duration::from_secs(1), socket.send(farewell)).await;
}

/// The body of an answer that is a stream of server-sent events.
pub fn events(client: Client) -> Body {
    let next = |client: Client| async {
        let slot = client.queue.next().await?;
        let text = client.text(slot);
        let mut piece = Vec::with_capacity(text.len() + 8);
        piece.extend_from_slice(b"data: ");
        piece.extend_from_slice(text.as_bytes());
        piece.extend_from_slice(b"\n\n");
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(piece)), client))
    };
    Body::from_stream(futures_util::stream::unfold(client, next))
}
