//! The view for strangers: secrets are planted in everything that comes in, and looked for in everything that goes out.

use super::*;
use testkit::secrets::{self, Output, Secret};

/// Every kind of event with a secret in every field, the node's own addresses in all of them, and a stream that takes everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_should_stay_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, [7; 32]).unwrap();
    let say = format!("{}=A node in Europe", secrets::NODE).parse().unwrap();
    let config = Config { web_redact: Some(key), web_say: vec![say], ..config() };
    let planted: Vec<(Event, Vec<Secret>)> = secrets::events();
    let events =
        || planted.iter().map(|(event, _)| event.clone()).chain(secrets::own()).map(|event| Event { replay: true, ..event });
    let (output, streamed) = crawl(config, events()).await;
    assert!(streamed > 200, "{streamed} events came out");
    assert!(output.contains(b"A node in Europe"));
    let of_the_node = secrets::of_the_node();
    let found: Vec<&Secret> = of_the_node.iter().filter(|secret| secret.is_in(&output)).collect();
    assert!(found.is_empty(), "{found:#?}");
    // what the rules withhold of each field, as the redaction's own tests have it
    let kept = redacted(events());
    let mut leaked = vec![];
    for (_, planted) in &planted {
        leaked.extend(planted.iter().filter(|secret| secret.is_in(&output) && !secret.is_in(&kept)));
    }
    assert!(leaked.is_empty(), "{leaked:#?}");
}

/// The search finds what it should: without redaction, secrets are everywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_crawl_would_find_what_is_there() {
    let (output, _) = crawl(config(), secrets::own().into_iter()).await;
    let all = secrets::of_the_node();
    let found = all.iter().filter(|secret| secret.is_in(&output)).count();
    assert_eq!(found, all.len());
}

/// A recording that is damaged, in a folder whose name says what strangers should not know.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_not_named() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, [7; 32]).unwrap();
    let path = format!("/home/{}/recordings/today.poa", secrets::NODE);
    let damaged = || {
        let path = path.clone();
        let open = move |from: u64| {
            let first = Event { time: from, ..Event::new(secrets::NODE, Source::Ebpf, ping(1)) };
            let error = anyhow::anyhow!("{path} is damaged at byte 4711");
            Ok(Box::new([Ok(first), Err(error)].into_iter()) as playback::Events)
        };
        Recording { open: Arc::new(open), from: TIME, to: TIME + 1_000_000_000 }
    };
    let vague = "a part of the recording cannot be read".to_owned();
    for (web_redact, told) in [(Some(key), vague), (None, format!("{path} is damaged at byte 4711"))] {
        let public = web_redact.is_some();
        let (world, stop) = World::playing(&Config { web_redact, ..config() }, damaged());
        let mut pushed = Pushed::open(world.address, "");
        let playback = world.json_with("/api/playback", |playback| !playback["error"].is_null()).await;
        assert_eq!(playback["error"], told);
        // who comes now is told where it stands before anything else
        let note = world.client().await.next("playback").await;
        pushed.until(&told);
        let said = format!("{playback}{note}{}", pushed.text);
        assert_eq!(said.contains(secrets::NODE), !public, "{said}");
        drop((pushed, stop));
        world.end().await;
    }
}

/// Everything that a redactor lets through of these events.
fn redacted(events: impl Iterator<Item = Event>) -> Output {
    let mut redactor = event::redact::Redactor::new([7; 32]);
    let mut said = Said::default();
    for event in events {
        if let Some(event) = redactor.redact(event) {
            said.push(&serde_json::to_string(&event).unwrap());
        }
    }
    said.output()
}

/// Texts, taken apart at their quotation marks, each piece once: much is said many times, and every piece is searched for every secret.
#[derive(Default)]
struct Said(std::collections::BTreeSet<String>);

impl Said {
    fn push(&mut self, text: &str) {
        self.0.extend(text.split('"').map(str::to_owned));
    }

    fn output(self) -> Output {
        let mut output = Output::default();
        output.push(self.0.into_iter().collect::<Vec<_>>().join("\n"));
        output
    }
}

/// Everything that a server says when it was shown these events: each answer, each page, both streams in both forms.
async fn crawl(config: Config, events: impl Iterator<Item = Event>) -> (Output, usize) {
    let world = World::start(config).await;
    let mut full = world.client().await;
    full.subscribe("{}").await;
    let mut brief = world.client().await;
    brief.subscribe(r#"{"form":"brief"}"#).await;
    let mut pushed = ["form=full", "form=brief"].map(|query| Pushed::open(world.address, query));
    pushed.iter_mut().for_each(|stream| stream.until("data: {\"subscribed\":"));
    let mut said = Said::default();
    let mut last = 0;
    let mut count = 0_u64;
    for event in events {
        count += 1;
        last = last.max(event.time);
        world.bus.forward(event).await;
    }
    // one more, which passes any rule: everything came before it
    let mark =
        Event { time: last + 1, ..Event::new("marker", Source::Ebpf, event::NetVerack { peer: 987_654, ..Default::default() }) };
    world.bus.forward(mark).await;
    let mut streamed = 0;
    for client in [&mut full, &mut brief] {
        let wait = async {
            loop {
                let Message::Text(text) = client.socket.next().await.expect("it goes on").unwrap() else { continue };
                said.push(&text);
                streamed += text.matches("\"kind\":").count();
                if text.contains("987654") {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("the mark comes");
    }
    for stream in &mut pushed {
        stream.until("987654");
        said.push(&stream.text);
        streamed += stream.text.matches("\"kind\":").count();
    }
    drop(pushed);
    assert!(count > 0);
    let nodes = world.json("/api/nodes").await;
    let names: Vec<String> =
        nodes["nodes"].as_array().unwrap().iter().map(|node| node["node"].as_str().unwrap().to_owned()).collect();
    let mut paths: Vec<String> = assets::ASSETS.iter().map(|asset| asset.path.to_owned()).collect();
    paths.extend(
        ["/", "/login", "/openapi.json", "/api/schema", "/api/playback", "/api/health", "/api/nodes", "/nothing"]
            .map(str::to_owned),
    );
    for name in &names {
        for path in ["nodes", "peers", "summary", "transactions", "addresses", "blocks", "pings", "findings", "incidents", "health"]
        {
            paths.push(format!("/api/{path}?node={name}"));
        }
        let peers = world.json(&format!("/api/peers?node={name}")).await;
        for key in ["peers", "gone"] {
            let ids = peers[key].as_array().unwrap().iter().map(|peer| peer["id"].as_str().unwrap());
            paths.extend(ids.map(|id| format!("/api/peer?node={name}&id={id}")));
        }
    }
    let incidents = world.json("/api/incidents").await;
    paths.push("/api/incidents".to_owned());
    let numbers = incidents["incidents"].as_array().unwrap().iter().map(|row| row["number"].as_str().unwrap());
    paths.extend(numbers.map(|number| format!("/api/incidents/{number}")));
    for path in paths {
        let answer = loop {
            let answer = world.get(&path).await;
            if !answer.starts_with("HTTP/1.1 429 ") {
                break answer;
            }
        };
        said.push(&answer);
    }
    world.end().await;
    (said.output(), streamed)
}
