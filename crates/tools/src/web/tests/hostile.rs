//! Clients that mean no good, or cannot keep up: refused or bounded, and nobody else notices.

use super::*;

/// A server that still does everything for somebody else.
async fn serves_others(world: &World) {
    let mut client = world.client().await;
    client.subscribe(r#"{"kinds":["net.ping"],"interval_ms":5}"#).await;
    world.publisher.publish(TIME, None, ping(1));
    client.events(1).await;
    assert!(world.get("/api/nodes").await.starts_with("HTTP/1.1 200 "));
}

/// What a connection is closed with.
async fn closed(mut client: Client) -> u16 {
    let wait = async {
        loop {
            match client.socket.next().await {
                Some(Ok(Message::Close(frame))) => return frame.map_or(0, |frame| frame.code.into()),
                Some(Ok(_)) => {}
                // without a word
                Some(Err(_)) | None => return 1,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("it is closed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_origins_of_others_are_refused() {
    let world = World::start(config()).await;
    let get = |host: &str| format!("GET /api/nodes HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    assert!(world.ask(get("evil.example")).await.starts_with("HTTP/1.1 421 "));
    assert!(world.ask("GET /api/nodes HTTP/1.1\r\nConnection: close\r\n\r\n".into()).await.starts_with("HTTP/1.1 400 "));
    for origin in ["http://evil.example", "null", "http://localhost"] {
        let mut request = world.url().into_client_request().unwrap();
        request.headers_mut().insert("origin", origin.parse().unwrap());
        let refused = tokio_tungstenite::connect_async(request).await.unwrap_err();
        assert!(matches!(&refused, tungstenite::Error::Http(answer) if answer.status() == 403), "{origin}: {refused}");
    }
    let mut request = world.url().into_client_request().unwrap();
    request.headers_mut().insert("origin", format!("http://{}", world.address).parse().unwrap());
    tokio_tungstenite::connect_async(request).await.unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_and_giant_messages_end_or_are_answered() {
    let world = World::start(config()).await;
    let mut client = world.client().await;
    for text in ["", "x", "[]", "{\"kinds\":7}", "{\"a\":{\"a\":{}}}", "\u{0}"] {
        client.say(text).await;
        client.next("error").await;
    }
    client.socket.send(Message::binary(vec![0; 10])).await.unwrap();
    assert_eq!(closed(client).await, 1003);
    let mut client = world.client().await;
    // the server stops reading it, so that it may not be written whole
    let _ = client.socket.send(Message::text("x".repeat(10 << 20))).await;
    assert_eq!(closed(client).await, 1);
    // bytes that are no frames
    let world_address = world.address;
    let upgrade = format!(
        "GET /api/stream HTTP/1.1\r\nHost: {world_address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let garbage = [upgrade.as_bytes(), &[0xff; 1000]].concat();
    let answer = tokio::task::spawn_blocking(move || ask(world_address, &garbage)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    serves_others(&world).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_subscriptions_end_early() {
    let world = World::start(config()).await;
    let client = world.client().await;
    let (mut write, read) = client.socket.split();
    let writing = tokio::spawn(async move {
        for number in 0..10_000 {
            let text = format!(r#"{{"kinds":["net.ping"],"peers":[{number}]}}"#);
            if write.send(Message::text(text)).await.is_err() {
                return;
            }
        }
    });
    let answered = read.filter_map(async |message| message.ok()).filter(|message| {
        let subscribed = matches!(message, Message::Text(text) if text.contains("subscribed"));
        std::future::ready(subscribed)
    });
    let answered = answered.count().await;
    writing.await.unwrap();
    assert!(answered < 200, "{answered}");
    // nothing of it is left
    world.json_with("/api/health", |health| health["clients"]["now"] == 0).await;
    serves_others(&world).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_clients_than_may_are_told_so() {
    let world = World::start(Config { web_clients: 3, ..config() }).await;
    let mut clients = vec![];
    for _ in 0..3 {
        clients.push(world.client().await);
    }
    let refused = tokio_tungstenite::connect_async(world.url()).await.unwrap_err();
    assert!(matches!(&refused, tungstenite::Error::Http(answer) if answer.status() == 503), "{refused}");
    assert!(world.get("/api/events").await.starts_with("HTTP/1.1 503 "));
    assert!(world.get("/api/nodes").await.starts_with("HTTP/1.1 200 "));
    // one goes without a word: there is room again
    drop(clients.pop());
    world.json_with("/api/health", |health| health["clients"]["now"] == 2).await;
    world.client().await;
    world.end().await;
}

/// Who holds connections open, sends half a request, or reads nothing, keeps nobody from the pages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_company_harms_nobody() {
    let world = World::start(config()).await;
    let address = world.address;
    let company = tokio::task::spawn_blocking(move || {
        let mut company = vec![];
        for number in 0..600 {
            let mut stream = TcpStream::connect(address).unwrap();
            let _ = match number % 3 {
                0 => Ok(()),
                1 => write!(stream, "GET /api/schema HTTP/1.1\r\nHost: {address}\r\n\r\n"),
                _ => stream.write_all(b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n"),
            };
            company.push(stream);
        }
        company
    });
    let company = company.await.unwrap();
    // so many requests at once were too many for one address
    let answer = loop {
        let answer = world.get("/api/nodes").await;
        if !answer.starts_with("HTTP/1.1 429 ") {
            break answer;
        }
    };
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    serves_others(&world).await;
    drop(company);
    world.end().await;
}

/// One reads nothing while much happens: it is told what it missed, and the other gets everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_told_and_nobody_else_notices() {
    let world = World::start(config()).await;
    let mut slow = world.client().await;
    let mut quick = world.client().await;
    slow.subscribe(r#"{"kinds":["net.undecodable"]}"#).await;
    quick.subscribe(r#"{"kinds":["net.undecodable"],"form":"brief"}"#).await;
    // more than its queue and all buffers on the way take: some 25 MB as hex
    let count = 1200;
    let published = async {
        for number in 0..count {
            let raw = Some(vec![7; 10_000].into());
            let event =
                event::NetUndecodable { peer: number, raw, direction: event::Direction::Inbound.into(), ..Default::default() };
            world.publisher.publish(TIME + number, None, event);
            if number % 50 == 49 {
                tokio::task::yield_now().await;
            }
        }
        // nothing dropped on the way to it
        let all = count.to_string();
        world.json_with("/api/summary", |summary| summary["events"] == all.as_str()).await;
        world.publisher.publish(TIME + count, None, event::NetUndecodable { peer: u64::MAX, ..Default::default() });
    };
    let (_, (events, missed)) = tokio::join!(published, quick.events(usize::try_from(count).unwrap() + 1));
    assert_eq!((events.len() as u64, missed), (count + 1, 0));
    let (mut got, mut missed) = (0, 0);
    let wait = async {
        while got + missed < count + 1 {
            let message = slow.socket.next().await.expect("it goes on").unwrap();
            let Message::Text(text) = message else { continue };
            let value: Value = serde_json::from_str(&text).unwrap();
            got += value["events"].as_array().map_or(0, |events| events.len() as u64);
            missed += value["missed"].as_u64().unwrap_or(0);
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("all is accounted for");
    assert!(missed > 0 && got + missed == count + 1, "{got} got, {missed} missed");
    let health = world.json("/api/health").await;
    assert_eq!(health["clients"]["missed"], missed.to_string());
    world.end().await;
}

/// What the bus dropped is told to everybody, at its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_bus_dropped_is_told() {
    let world = World::with(config(), Limits { events: 50, bytes: 1 << 20 }).await;
    let mut client = world.client().await;
    client.subscribe(r#"{"kinds":["net.ping"]}"#).await;
    let count = 20_000;
    for number in 0..count {
        world.publisher.publish(TIME + number, None, ping(number));
    }
    let (mut got, mut missed) = (0, 0);
    let wait = async {
        while got + missed < count {
            let Message::Text(text) = client.socket.next().await.expect("it goes on").unwrap() else { continue };
            let value: Value = serde_json::from_str(&text).unwrap();
            got += value["events"].as_array().map_or(0, |events| events.len() as u64);
            missed += value["missed"].as_u64().unwrap_or(0);
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("all is accounted for");
    assert!(missed > 0 && got + missed == count, "{got} got, {missed} missed");
    let health = world.json("/api/health").await;
    assert_eq!(health["missed"], missed.to_string());
    world.end().await;
}

/// A client that vanishes without closing anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_connection_is_let_go() {
    let world = World::start(config()).await;
    let client = world.client().await;
    let MaybeTlsStream::Plain(stream) = client.socket.get_ref() else { panic!("no TLS here") };
    let stream: &tokio::net::TcpStream = stream;
    rustix::net::shutdown(stream, rustix::net::Shutdown::Write).unwrap();
    world.json_with("/api/health", |health| health["clients"]["now"] == 0).await;
    serves_others(&world).await;
    world.end().await;
}
