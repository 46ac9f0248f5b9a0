//! The rim against nodes of the test's making: what they say, in which order, and how they fail.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod fake;
mod lives;

use std::time::Duration;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::session::{self, End, News};
use super::trouble::Trouble;
use fake::{Fake, Script, tip};

/// Shorter than what follows from it: nobody waits for it where time stands still until nothing else is left to do.
const WAIT: Duration = Duration::from_secs(10);

/// Runs something on a thread of its own kind, in a time that passes only when nothing else is left to do.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

/// How a session with a node goes until one of both ends it.
fn with(script: Script) -> (Vec<News>, Result<End, Trouble>) {
    block_on(async {
        let (here, there) = duplex(1 << 16);
        let node = Fake::new(script);
        let serving = tokio::task::spawn_local(node.serve(there));
        let mut news = Vec::new();
        let ended = session::run(here, WAIT, std::future::pending(), &mut |said| news.push(said)).await;
        serving.abort();
        (news, ended)
    })
}

#[track_caller]
fn ends(script: Script, expect: Expect) {
    let (_, ended) = with(script);
    expect.assert_eq(&ended.unwrap_err().to_string());
}

#[test]
fn tips_are_told_in_order() {
    let (news, ended) = with(Script { tips: vec![tip(7), tip(8), tip(9)], ..Script::default() });
    let answers = vec!["Init.construct", "ThreadMap.makeThread", "Echo.echo", "Init.makeMining", "Mining.waitTipChanged"];
    let attached = News::Attached { answers, missing: vec![], tip: tip(7) };
    assert_eq!(news, [attached, News::Tip(tip(8)), News::Tip(tip(9))]);
    // there are no more tips: the node goes
    assert_eq!(ended, Err(Trouble::Away("the node is shutting down".into())));
}

#[test]
fn a_node_without_echo_is_as_good() {
    for refuses in [None, Some("no such thing")] {
        let script = Script { unknown: refuses.is_none().then_some("makeEcho"), tips: vec![tip(1)], ..Script::default() };
        let script = Script { refused: refuses.map(|reason| ("makeEcho", reason)), ..script };
        let (news, _) = with(script);
        let [News::Attached { missing, .. }] = &news[..] else { panic!("{news:?}") };
        assert_eq!(missing, &["Echo.echo"]);
    }
}

/// Bitcoin Core 30 has `makeMining` at the number where 31 has a call that only refuses.
#[test]
fn a_node_of_version_30_is_told_from_what_it_answers() {
    let (news, ended) = with(Script { unknown: Some("makeMining"), hangs_up_after: Some(WAIT), ..Script::default() });
    let [News::TooOld(trouble)] = &news[..] else { panic!("{news:?}") };
    expect!["the node does not know Init.makeMining as Bitcoin Core 31 and newer do (30 has it under another number); it answers Init.construct, ThreadMap.makeThread, Echo.echo"]
        .assert_eq(&trouble.to_string());
    // the connection stays until the node goes: then another may come
    assert_eq!(ended, Err(Trouble::Away("the connection was closed".into())));
}

#[test]
fn a_node_that_moved_its_interface_again_is_quoted() {
    ends(
        Script { refused: Some(("makeMining", "Old mining\ninterface (@3) not supported.")), ..Script::default() },
        expect!["the node refuses Init.makeMining: Old mining interface (@3) not supported."],
    );
}

#[test]
fn a_server_of_something_else_is_told() {
    ends(
        Script { unknown: Some("construct"), ..Script::default() },
        expect!["what is said at the socket is not what a node says: Init.construct is not known there"],
    );
}

#[test]
fn who_stalls_is_left() {
    for (call, expect) in [
        ("construct", expect!["no answer to Init.construct within 10 s"]),
        ("makeThread", expect!["no answer to ThreadMap.makeThread within 10 s"]),
        ("makeEcho", expect!["no answer to Echo.echo within 10 s"]),
        ("echo", expect!["no answer to Echo.echo within 10 s"]),
        ("waitTipChanged", expect!["no answer to Mining.waitTipChanged within 70 s"]),
    ] {
        ends(Script { stalls: Some(call), ..Script::default() }, expect);
    }
}

/// It may take hours, and is no reason to go away and come back.
#[test]
fn a_node_that_loads_is_waited_for() {
    let (news, ended) =
        with(Script { stalls: Some("makeMining"), hangs_up_after: Some(Duration::from_hours(9)), ..Script::default() });
    assert_eq!(news, [News::Loading]);
    assert_eq!(ended, Err(Trouble::Away("the connection was closed".into())));
}

#[test]
fn what_is_no_tip_is_none() {
    for (hash, height, expect) in [
        (31, 1, expect!["what is said at the socket is not what a node says: a tip with a hash of 31 bytes at height 1"]),
        (32, -1, expect!["what is said at the socket is not what a node says: a tip with a hash of 32 bytes at height -1"]),
        (1 << 17, 1, expect!["what is said at the socket is not what a node says: Message has 16397 words, which is too large"]),
    ] {
        ends(Script { odd_tip: Some((hash, height)), ..Script::default() }, expect);
    }
}

#[test]
fn a_session_that_is_told_to_stop_ends_its_wait_first() {
    block_on(async {
        let (here, there) = duplex(1 << 16);
        let node = Fake::new(Script { tips: vec![tip(1)], stays: true, ..Script::default() });
        let calls = node.calls();
        tokio::task::spawn_local(node.serve(there));
        // by then it waits: time passes when nothing else is left to do
        let stop = tokio::time::sleep(WAIT / 2);
        let ended = session::run(here, WAIT, stop, &mut |_| {}).await;
        assert_eq!(ended, Ok(End::Stopped));
        let calls = calls.borrow();
        assert_eq!(calls[calls.len() - 3..], ["waitTipChanged", "interrupt", "wait interrupted"], "{calls:?}");
    });
}

#[test]
fn a_connection_is_renewed_before_it_grows_large() {
    let (news, ended) = with(Script { tips: (0..20_000).map(tip).collect(), ..Script::default() });
    assert_eq!(ended, Ok(End::Renew));
    assert!((1_000..20_000).contains(&news.len()), "{}", news.len());
    // not one of those before is left out
    let Some(News::Tip(last)) = news.last() else { panic!() };
    assert_eq!(last.height as usize, news.len() - 1);
}

/// What a node says in a session, as bytes.
fn spoken() -> Vec<u8> {
    block_on(async {
        let ((here, middle), (other, there)) = (duplex(1 << 16), duplex(1 << 16));
        let node = Fake::new(Script { tips: vec![tip(1), tip(2)], ..Script::default() });
        tokio::task::spawn_local(node.serve(there));
        let (mut from_us, mut to_us) = tokio::io::split(middle);
        let (mut from_node, mut to_node) = tokio::io::split(other);
        tokio::task::spawn_local(async move {
            tokio::io::copy(&mut from_us, &mut to_node).await.unwrap();
            to_node.shutdown().await
        });
        let listening = tokio::task::spawn_local(async move {
            let (mut all, mut buffer) = (Vec::new(), [0; 1024]);
            while let Ok(read @ 1..) = from_node.read(&mut buffer).await {
                all.extend_from_slice(&buffer[..read]);
                if to_us.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
            all
        });
        let ended = session::run(here, WAIT, std::future::pending(), &mut |_| {}).await;
        assert!(ended.is_err());
        listening.await.unwrap()
    })
}

/// How a session goes when this is said, whatever we ask. A day later it is told to stop: a node that loads may take as long.
fn told(bytes: &[u8], hangs_up: bool) -> Result<End, Trouble> {
    block_on(async {
        let (here, there) = duplex(1 << 16);
        let (mut from_us, mut to_us) = tokio::io::split(there);
        let bytes = bytes.to_vec();
        tokio::task::spawn_local(async move {
            // nobody may be there any more to hear it
            let _ = to_us.write_all(&bytes).await;
            if hangs_up {
                let _ = to_us.shutdown().await;
            }
            std::future::pending::<()>().await;
        });
        tokio::task::spawn_local(async move { tokio::io::copy(&mut from_us, &mut tokio::io::sink()).await });
        session::run(here, WAIT, tokio::time::sleep(Duration::from_hours(24)), &mut |_| {}).await
    })
}

#[test]
fn a_flood_is_cut_off() {
    // `bootstrap`, each with a question of its own: the other side never says that it is done with one
    let mut flood = Vec::new();
    for question in 0..400_000_u32 {
        flood.extend_from_slice(&[0, 0, 0, 0, 5, 0, 0, 0]);
        flood.extend_from_slice(&[0, 0, 0, 0, 1, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0]);
        flood.extend_from_slice(&question.to_le_bytes());
        flood.extend_from_slice(&[0; 12]);
    }
    let trouble = told(&flood, false).unwrap_err().to_string();
    assert_eq!(trouble, "what is said at the socket is not what a node says: more than 4194304 bytes at once");
}

/// An answer to a question that was never asked is where `capnp-rpc` 0.25 looks into a table without looking first.
#[test]
fn what_the_library_does_not_survive_is_one_connection() {
    // one segment of six words: a message (data 1, pointers 1) of type 3 whose `return` (data 2, pointers 1) is for question 77
    let words: [u64; 6] = [0x1_0001_0000_0000, 3, 0x1_0002_0000_0000, 77, 0, 0];
    let answer: Vec<u8> = [6 << 32].iter().chain(&words).flat_map(|word| word.to_le_bytes()).collect();
    let trouble = told(&answer, false).unwrap_err().to_string();
    assert_eq!(trouble, "what is said at the socket is not what a node says: Cap'n Proto's code gave up on it");
}

#[test]
fn other_protocols_are_none() {
    for said in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"INFO {\"server_id\":\"x\"}\r\n", &[0xff; 64], b"SSH-2.0-x\r\n"] {
        let trouble = told(said, false).unwrap_err();
        assert!(matches!(trouble, Trouble::Nonsense(_)), "{trouble:?}");
    }
    // nothing at all is no nonsense
    assert!(matches!(told(&[], false), Err(Trouble::Stalled { call: "Init.construct", .. })));
    assert_eq!(told(&[], true), Err(Trouble::Away("the connection was closed".into())));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_hang(bytes in prop::collection::vec(any::<u8>(), 0..512), hangs_up: bool) {
        told(&bytes, hangs_up).unwrap_err();
    }

    /// What a node says, changed in places: it passes for messages far more often than any bytes do.
    #[test]
    fn no_words_make_it_panic_or_hang(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<Option<prop::sample::Index>>(),
        hangs_up: bool,
    ) {
        static SPOKEN: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(spoken);
        let mut bytes = SPOKEN.clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let ended = told(&bytes, hangs_up);
        prop_assert!(ended.is_err() || ended == Ok(End::Stopped) && !hangs_up, "{ended:?}");
    }
}
