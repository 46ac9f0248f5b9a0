//! Proxies that check what they are asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use event::{Network, NetworkAddress};
use expect_test::expect;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::fleet::{Character, MAIN, serve};
use crate::world::{V1, V2, World, block_on, config, entry, render};

type Asked = Arc<Mutex<Vec<String>>>;

/// A SOCKS5 proxy: what it was asked, and an answer by the first byte of the name.
async fn socks(asked: Asked) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let asked = Arc::clone(&asked);
            tokio::spawn(async move { drop(ask_socks(stream, asked).await) });
        }
    });
    address
}

async fn ask_socks(mut stream: TcpStream, asked: Asked) -> std::io::Result<()> {
    let head = [stream.read_u8().await?, stream.read_u8().await?];
    let mut methods = vec![0; head[1].into()];
    stream.read_exact(&mut methods).await?;
    assert!(head[0] == 5 && methods.contains(&2), "a user name is offered, so that Tor isolates visits: {methods:?}");
    stream.write_all(&[5, 2]).await?;
    assert_eq!(stream.read_u8().await?, 1);
    let mut credentials = Vec::new();
    for _ in 0..2 {
        let mut text = vec![0; stream.read_u8().await?.into()];
        stream.read_exact(&mut text).await?;
        credentials.push(String::from_utf8(text).unwrap());
    }
    stream.write_all(&[1, 0]).await?;
    let mut request = [0; 4];
    stream.read_exact(&mut request).await?;
    assert_eq!(request[..3], [5, 1, 0], "CONNECT");
    let name = match request[3] {
        1 => {
            let mut ip = [0; 4];
            stream.read_exact(&mut ip).await?;
            std::net::Ipv4Addr::from(ip).to_string()
        }
        3 => {
            let mut name = vec![0; stream.read_u8().await?.into()];
            stream.read_exact(&mut name).await?;
            String::from_utf8(name).unwrap()
        }
        4 => {
            let mut ip = [0; 16];
            stream.read_exact(&mut ip).await?;
            std::net::Ipv6Addr::from(ip).to_string()
        }
        other => panic!("no address type {other}"),
    };
    let port = stream.read_u16().await?;
    asked.lock().unwrap().push(format!("{name} {port} as {}", credentials[0]));
    // by the port: what becomes of it
    let reply = match port {
        8331 => 5,
        8332 => 4,
        8334 => 0xf2,
        8335 => 1,
        _ => 0,
    };
    stream.write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    if reply != 0 {
        return Ok(());
    }
    serve(Character::Node { network: MAIN, v1_only: false }, stream).await
}

fn named(network: Network, byte: u8, port: u32) -> NetworkAddress {
    NetworkAddress {
        time: 1_749_990_000,
        services: V2,
        network: network.into(),
        address: Bytes::from(vec![byte; 32]),
        port,
        network_id: None,
    }
}

/// Visits to all of these, by what they are called.
async fn visited(flags: &[&str], entries: Vec<(&str, NetworkAddress)>) -> String {
    let place = tempfile::tempdir().unwrap();
    let mut world = World::new(config(&place.path().join("tried"), flags)).await;
    world.states(&[]);
    let names: BTreeMap<_, _> = entries.iter().map(|(name, e)| ((e.address.clone(), e.port), (*name).to_owned())).collect();
    let count = entries.len();
    world.advertise(1, entries.into_iter().map(|(_, entry)| entry).collect());
    world.results(count).await;
    let visits = world.end().await.unwrap();
    assert_eq!(visits.len(), count);
    render(&visits, &names)
}

#[test]
fn tor_is_asked_for_names_and_every_visit_is_a_way_of_its_own() {
    block_on(async {
        let asked = Asked::default();
        let proxy = socks(Arc::clone(&asked)).await;
        let entries = vec![
            ("a node", named(Network::Onion, 1, 8333)),
            ("a closed port", named(Network::Onion, 2, 8331)),
            ("no such host", named(Network::Onion, 3, 8332)),
            ("no such service", named(Network::Onion, 4, 8334)),
        ];
        let names: Vec<String> = entries
            .iter()
            .map(|(_, entry)| event::text::Address(Network::Onion, &entry.address).to_string() + &format!(" {} as ", entry.port))
            .collect();
        let result = visited(&[&format!("--connect-tor={proxy}")], entries).await;
        expect![[r#"
            a closed port: refused socks5 v2
            a node: reachable socks5 v2 /fleet:1/
            no such host: unreachable socks5 v2
            no such service: unreachable socks5 v2"#]]
        .assert_eq(&result);
        let mut asked = asked.lock().unwrap().clone();
        asked.sort();
        assert_eq!(asked.len(), 4);
        let mut users = std::collections::BTreeSet::new();
        for name in &names {
            let question = asked.iter().find(|question| question.starts_with(name)).unwrap_or_else(|| panic!("{name}: {asked:?}"));
            users.insert(&question[name.len()..]);
        }
        assert_eq!(users.len(), 4, "{asked:?}");
    });
}

#[test]
fn the_internet_goes_through_a_proxy_where_one_is_named() {
    block_on(async {
        let asked = Asked::default();
        let proxy = socks(Arc::clone(&asked)).await;
        let entries =
            vec![("v4", entry("45.33.7.1:8333".parse().unwrap(), V1)), ("v6", entry("[2a00:7::1]:8333".parse().unwrap(), V2))];
        let result = visited(&[&format!("--connect-proxy={proxy}")], entries).await;
        expect![[r#"
            v4: reachable socks5 v1 /fleet:1/
            v6: reachable socks5 v2 /fleet:1/"#]]
        .assert_eq(&result);
        let asked = asked.lock().unwrap().join("\n");
        assert!(asked.contains("45.33.7.1 8333 as ") && asked.contains("2a00:7::1 8333 as "), "{asked}");
    });
}

/// A proxy that asks for another name than we have, that has no way out, or that says what only Tor means: nothing is known of the address.
#[test]
fn a_proxy_that_serves_nobody_says_nothing_of_the_address() {
    block_on(async {
        let proxy = socks(Asked::default()).await;
        let entries = vec![
            ("no way out", entry("45.33.7.1:8335".parse().unwrap(), V1)),
            ("another language", entry("45.33.8.1:8334".parse().unwrap(), V1)),
        ];
        let result = visited(&[&format!("--connect-proxy={proxy}")], entries).await;
        expect![[r#"
            another language: proxy_failed socks5 v1
            no way out: proxy_failed socks5 v1"#]]
        .assert_eq(&result);
        // GSSAPI, which was not offered
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(&[5, 1]).await.unwrap();
                held.push(stream);
            }
        });
        let entries = vec![("v4", entry("45.33.7.1:8333".parse().unwrap(), V1))];
        let result = visited(&[&format!("--connect-proxy={proxy}")], entries).await;
        expect!["v4: proxy_failed socks5 v1"].assert_eq(&result);
    });
}

/// No proxy leads into CJDNS: who dials there is seen, beside a watched node too.
#[test]
fn a_proxy_does_not_hide_who_dials_over_cjdns() {
    let place = tempfile::tempdir().unwrap();
    let is_from = |flags: &[&str]| config(&place.path().join("tried"), flags).is_from(true);
    assert!(!is_from(&["--connect-proxy=127.0.0.1:9050"]));
    assert!(is_from(&["--connect-proxy=127.0.0.1:9050", "--connect-cjdns"]));
    let told =
        config(&place.path().join("tried"), &["--connect-proxy=127.0.0.1:9050", "--connect-cjdns"]).prepare().unwrap().reveals();
    assert!(told.contains("over CJDNS sees this machine's address"), "{told}");
}

#[test]
fn a_proxy_that_is_down_says_nothing_of_the_address() {
    block_on(async {
        // an address that no other test binds
        let closed = || std::net::TcpListener::bind("127.77.250.3:0").unwrap().local_addr().unwrap();
        let (tor, i2p) = (closed(), closed());
        let entries = vec![("tor", named(Network::Onion, 1, 8333)), ("i2p", named(Network::I2p, 1, 0))];
        let result = visited(&[&format!("--connect-tor={tor}"), &format!("--connect-i2p={i2p}")], entries).await;
        expect![[r#"
            i2p: proxy_failed i2p v2
            tor: proxy_failed socks5 v2"#]]
        .assert_eq(&result);
    });
}

/// An I2P router: what it was asked, and an answer by the first letter of the name.
async fn router(asked: Asked) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let asked = Arc::clone(&asked);
            tokio::spawn(async move { drop(ask_router(stream, asked).await) });
        }
    });
    address
}

async fn ask_router(stream: TcpStream, asked: Asked) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        asked.lock().unwrap().push(line.to_owned());
        let words: Vec<&str> = line.split(' ').collect();
        let of = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)).unwrap_or_default().to_owned();
        let answer = match words[..2] {
            // with a later version it would ask us whether we live, and we do not answer
            ["HELLO", "VERSION"] if line == "HELLO VERSION MIN=3.1 MAX=3.1" => "HELLO REPLY RESULT=OK VERSION=3.1".to_owned(),
            ["SESSION", "CREATE"] => "SESSION STATUS RESULT=OK DESTINATION=PRIVATE".to_owned(),
            ["NAMING", "LOOKUP"] => match of("NAME=").as_bytes()[0] {
                b'a' => format!("NAMING REPLY RESULT=OK NAME={} VALUE=AAAA", of("NAME=")),
                b'e' => format!("NAMING REPLY RESULT=OK NAME={} VALUE=EEEE", of("NAME=")),
                b'i' => format!("NAMING REPLY RESULT=OK NAME={} VALUE=EVIL MESSAGE=\"\nSTREAM\"", of("NAME=")),
                _ => "NAMING REPLY RESULT=KEY_NOT_FOUND".to_owned(),
            },
            ["STREAM", "CONNECT"] if of("DESTINATION=") == "AAAA" => {
                stream.write_all(b"STREAM STATUS RESULT=OK\n").await?;
                let stream = stream.into_inner();
                return serve(Character::Node { network: MAIN, v1_only: false }, stream).await;
            }
            ["STREAM", "CONNECT"] => "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"it is away\"".to_owned(),
            _ => "WHAT RESULT=I2P_ERROR".to_owned(),
        };
        stream.write_all(answer.as_bytes()).await?;
        stream.write_all(b"\n").await?;
    }
}

#[test]
fn i2p_is_asked_for_names_in_one_session() {
    block_on(async {
        let asked = Asked::default();
        let router = router(Arc::clone(&asked)).await;
        // the first letter of the name is the first five bits
        let entries = vec![
            ("a node", named(Network::I2p, 0b0000_0000, 0)),
            ("away", named(Network::I2p, 0b0010_0000, 0)),
            ("unknown", named(Network::I2p, 0b1111_1111, 0)),
        ];
        let result = visited(&[&format!("--connect-i2p={router}")], entries).await;
        expect![[r#"
            a node: reachable i2p v2 /fleet:1/
            away: unreachable i2p v2
            unknown: unreachable i2p v2"#]]
        .assert_eq(&result);
        let asked = asked.lock().unwrap().clone();
        let sessions: Vec<_> = asked.iter().filter(|line| line.starts_with("SESSION CREATE")).collect();
        assert_eq!(sessions.len(), 1, "{asked:#?}");
        assert!(sessions[0].contains("STYLE=STREAM") && sessions[0].contains("DESTINATION=TRANSIENT"));
        let id = sessions[0].split(' ').find_map(|word| word.strip_prefix("ID=")).unwrap();
        let streams: Vec<_> = asked.iter().filter(|line| line.starts_with("STREAM CONNECT")).collect();
        assert_eq!(streams.len(), 2);
        assert!(streams.iter().all(|line| line.contains(&format!("ID={id} ")) && line.ends_with("SILENT=false")), "{streams:?}");
        assert!(asked.iter().any(|line| *line == format!("NAMING LOOKUP NAME={}.b32.i2p", "a".repeat(52))));
    });
}
