//! Getting in, or not: passwords, keys, credentials, certificates and permissions, on the real server.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

mod world;

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bus::{Bus, BusError, BusUrl, Delivery, Limits, NatsOptions, OpenError};
use event::{Filter, Source};
use nkeys::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::NatsServer;
use testkit::nats::tls_config;
use testkit::tls::Certificates;
use world::*;

/// A folder with one file.
fn file(text: &str) -> (TempDir, Option<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, text).unwrap();
    (folder, Some(path))
}

async fn works(options: &NatsOptions) {
    let bus = Bus::open(options).await.unwrap();
    let mut all = everything(&bus).await;
    publisher(&bus).publish(0, None, ping(0));
    bus.close().await;
    assert_eq!(text(&rest(&mut all).await), "0");
}

/// The whole chain, as the program prints it, with the server's address left out.
async fn refused(options: &NatsOptions) -> String {
    let error = Bus::open(options).await.unwrap_err();
    assert!(!error.hint().is_empty());
    let url = options.url.as_ref().unwrap().to_string();
    format!("{:#}", anyhow::Error::new(error)).replace(&url, "URL")
}

#[test]
fn by_password() {
    testkit::need_nats!();
    let server = NatsServer::start("authorization { user: bob, password: \"right one\" }").unwrap();
    let (_right, right) = file("right one\nnot this line\n");
    let (_wrong, wrong) = file("wrong\n");
    let (_empty, empty) = file("\n");
    let as_bob = |password_file| NatsOptions { user: Some("bob".into()), password_file, ..options(&server) };
    run(async {
        works(&as_bob(right.clone())).await;
        assert_eq!(refused(&as_bob(wrong)).await, "failed to log in to URL: Authorization Violation");
        assert_eq!(refused(&options(&server)).await, "failed to log in to URL: Authorization Violation");
        let text = refused(&as_bob(empty)).await;
        assert!(text.starts_with("failed to use the password file `") && text.ends_with("`: it is empty"), "{text}");
        let text = refused(&as_bob(Some("/nonexistent/file".into()))).await;
        assert_eq!(text, "failed to use the password file `/nonexistent/file`: No such file or directory (os error 2)");
        let alone = NatsOptions { user: None, ..as_bob(right) };
        assert_eq!(refused(&alone).await, "a password file needs a user name");
        // waiting is for servers that are away, not for those that refuse
        assert!(matches!(Bus::open(&NatsOptions { wait: true, ..options(&server) }).await, Err(OpenError::Login { .. })));
    });
}

#[test]
fn by_nkey() {
    testkit::need_nats!();
    let (known, unknown) = (KeyPair::new_user(), KeyPair::new_user());
    let server = NatsServer::start(&format!("authorization {{ users: [ {{ nkey: {} }} ] }}", known.public_key())).unwrap();
    let (_known, known) = file(&format!("{}\n", known.seed().unwrap()));
    let seed = unknown.seed().unwrap();
    let (_unknown, unknown) = file(&seed);
    let (_broken, broken) = file(&seed[..seed.len() - 1]);
    let with = |nkey_file| NatsOptions { nkey_file, ..options(&server) };
    run(async {
        works(&with(known)).await;
        assert_eq!(refused(&with(unknown)).await, "failed to log in to URL: Authorization Violation");
        let text = refused(&with(broken)).await;
        assert!(text.ends_with("it holds no seed of an nkey") && !text.contains(&seed[..seed.len() - 1]), "{text}");
    });
}

#[test]
fn by_credentials_file() {
    testkit::need_nats!();
    let (operator, account, user) = (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_user());
    let operator_jwt = jwt(&operator, &operator, &json!({ "type": "operator", "version": 2 }));
    let limits =
        json!({ "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1 });
    let account_jwt = jwt(&operator, &account, &json!({ "type": "account", "version": 2, "limits": limits }));
    let user_jwt =
        jwt(&account, &user, &json!({ "type": "user", "version": 2, "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1 }));
    let server = NatsServer::start(&format!(
        "operator: {operator_jwt}\nresolver: MEMORY\nresolver_preload: {{ {}: {account_jwt} }}\n",
        account.public_key()
    ))
    .unwrap();
    let credentials = |seed: &str| {
        format!(
            "-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    };
    let (_right, right) = file(&credentials(&user.seed().unwrap()));
    let (_wrong, wrong) = file(&credentials(&KeyPair::new_user().seed().unwrap()));
    let (_other, other) = file("something else\n");
    let with = |credentials_file| NatsOptions { credentials_file, ..options(&server) };
    run(async {
        works(&with(right)).await;
        assert_eq!(refused(&with(wrong)).await, "failed to log in to URL: Authorization Violation");
        assert!(refused(&with(other)).await.ends_with("it has no NATS USER JWT"));
    });
}

fn jwt(issuer: &KeyPair, subject: &KeyPair, claims: &Value) -> String {
    let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = encode(json!({ "typ": "JWT", "alg": "ed25519-nkey" }));
    let body = json!({
        "jti": "test", "iat": 1_700_000_000, "name": "test",
        "iss": issuer.public_key(), "sub": subject.public_key(), "nats": claims,
    });
    let signed = format!("{header}.{}", encode(body));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

#[test]
fn over_tls() {
    testkit::need_nats!();
    let (ours, theirs) = (Certificates::generate().unwrap(), Certificates::generate().unwrap());
    let server = NatsServer::start(&tls_config(&ours)).unwrap();
    let plain = NatsServer::start("").unwrap();
    let port = server.address().port();
    let tls = |host: &str, ca: Option<PathBuf>| {
        let url: BusUrl = format!("tls://{host}:{port}").parse().unwrap();
        NatsOptions { ca_file: ca, ..NatsOptions::new(url) }
    };
    run(async {
        works(&tls("127.0.0.1", Some(ours.authority()))).await;
        works(&tls("localhost", Some(ours.authority()))).await;
        // the server insists, so this becomes TLS too
        works(&NatsOptions { ca_file: Some(ours.authority()), ..options(&server) }).await;
        for options in [tls("127.0.0.1", Some(theirs.authority())), tls("127.0.0.1", None), options(&server)] {
            let text = refused(&options).await;
            assert!(text.starts_with("failed to set up TLS with URL: invalid peer certificate: "), "{text}");
        }
        // never in the clear where TLS was asked for
        let url = plain.url().replace("nats://", "tls://");
        let text = refused(&NatsOptions::new(url.parse().unwrap())).await;
        assert_eq!(text, "failed to set up TLS with URL: the server offers none");
        let text = refused(&tls("127.0.0.1", Some("/nonexistent/ca.pem".into()))).await;
        assert_eq!(text, "failed to use the CA file `/nonexistent/ca.pem`: No such file or directory (os error 2)");
    });
}

#[test]
fn large_and_many_events_over_tls() {
    testkit::need_nats!();
    let certificates = Certificates::generate().unwrap();
    let server = NatsServer::start(&tls_config(&certificates)).unwrap();
    run(async {
        let bus = Bus::open(&NatsOptions { ca_file: Some(certificates.authority()), ..options(&server) }).await.unwrap();
        let mut all = everything(&bus).await;
        let publisher = publisher(&bus);
        publisher.publish_batch((0..20_000).map(|nonce| (0, None, ping(nonce))));
        publisher.publish(0, None, block(4_000_000));
        publisher.publish(0, None, ping(20_000));
        // all of it is there before the bus is closed, which does not wait for ever
        let got: Vec<_> = events(&mut all, 20_002).await.into_iter().map(Delivery::Event).collect();
        assert_eq!(text(&got), "0..19999 net.block 20000");
        bus.close().await;
    });
}

#[test]
fn one_of_several_servers_is_enough() {
    testkit::need_nats!();
    let mut gone = NatsServer::start("").unwrap();
    let server = NatsServer::start("").unwrap();
    gone.stop().unwrap();
    let both: BusUrl = format!("{},{}", gone.url(), server.url()).parse().unwrap();
    run(async {
        works(&NatsOptions::new(both)).await;
        let text = refused(&options(&gone)).await;
        assert_eq!(text, "failed to connect to URL: Connection refused (os error 111)");
    });
}

/// Something listens that is no NATS server: one that talks nonsense, one that says nothing.
#[test]
fn what_is_no_nats_server_is_recognised() {
    let nonsense = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = |listener: &std::net::TcpListener| format!("nats://{}", listener.local_addr().unwrap()).parse().unwrap();
    let options = NatsOptions::new(url(&nonsense));
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = nonsense.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
        stream
    });
    run(async {
        assert_eq!(refused(&options).await, "failed to talk to URL: it does not speak the NATS protocol: an unknown word");
    });
    drop(thread.join().unwrap());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let options = NatsOptions::new(url(&silent));
    run(async { assert_eq!(refused(&options).await, "failed to connect to URL: no answer within 5 s") });
}

/// The configuration that the documentation shows.
#[test]
fn each_role_may_do_what_it_must_and_no_more() {
    testkit::need_nats!();
    let passwords = [("alice", "a1"), ("tools", "t1"), ("replay", "r1")];
    let mut config = include_str!("permissions.conf").to_owned();
    for (user, password) in passwords {
        config = config.replace(&format!("${}", user.to_uppercase()), password);
    }
    let server = NatsServer::start(&config).unwrap();
    let files = passwords.map(|(_, password)| file(password));
    let open = |role: usize| {
        let options =
            NatsOptions { user: Some(passwords[role].0.into()), password_file: files[role].1.clone(), ..options(&server) };
        async move { Bus::open(&options).await.unwrap() }
    };
    run(async {
        let (alice, tools, replay) = (open(0).await, open(1).await, open(2).await);
        let mut live = everything(&tools).await;
        let mut replayed = everything(&tools.of_replay("r".parse().unwrap())).await;
        let not_permitted = |subject: &str| Err(BusError::NotPermitted { subject: subject.to_owned() });
        assert_eq!(alice.subscribe(Filter::all(), Limits::default()).await.map(drop), not_permitted("po.*.>"));
        assert_eq!(replay.subscribe(Filter::all(), Limits::default()).await.map(drop), not_permitted("po.*.>"));

        let old = event::Event::new("bob", Source::Log, ping(9));
        // none of these may
        alice.publisher("bob".parse().unwrap(), Source::Ebpf).publish(0, None, ping(1));
        publisher(&tools).publish(0, None, ping(2));
        publisher(&replay).publish(0, None, ping(3));
        tools.of_replay("r".parse().unwrap()).forward(old.clone()).await;
        // these may
        publisher(&alice).publish(0, None, ping(4));
        replay.of_replay("r".parse().unwrap()).forward(old).await;
        alice.close().await;
        replay.close().await;
        tools.close().await;
        assert_eq!(text(&rest(&mut live).await), "4");
        assert_eq!(text(&rest(&mut replayed).await), "9");
    });
}
