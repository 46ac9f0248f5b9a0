//! The guard around a real nats-server.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use testkit::nats::tls_config;
use testkit::tls::Certificates;
use testkit::{NatsServer, need_nats};

#[test]
fn a_server_starts_stops_and_starts_again_on_its_port() {
    need_nats!();
    let mut server = NatsServer::start("").unwrap();
    let info = server.info().unwrap();
    assert_eq!(info["max_payload"], 1_048_576);
    assert_eq!(server.url(), format!("nats://127.0.0.1:{}", info["port"]));
    let (pid, address) = (server.pid(), server.address());

    server.restart().unwrap();
    assert_eq!(server.address(), address);
    assert_ne!(server.pid(), pid);
    server.stop().unwrap();
    assert!(server.info().is_err());
    server.start_again().unwrap();
    server.info().unwrap();
}

#[test]
fn the_configuration_is_used_and_can_be_replaced() {
    need_nats!();
    let server = NatsServer::start("max_payload: 2000\nauthorization { user: a, password: b }").unwrap();
    let info = server.info().unwrap();
    assert_eq!((&info["max_payload"], &info["auth_required"]), (&2000.into(), &true.into()));
    server.reload("max_payload: 3000").unwrap();
    testkit::wait::until(
        "the new configuration",
        testkit::wait::LONG,
        || Ok((server.info()?["max_payload"] == 3000).then_some(())),
    )
    .unwrap();
}

#[test]
fn a_server_with_certificates_insists_on_tls() {
    need_nats!();
    let certificates = Certificates::generate().unwrap();
    let server = NatsServer::start(&tls_config(&certificates)).unwrap();
    assert_eq!(server.info().unwrap()["tls_required"], true);
    assert!(std::fs::read_to_string(certificates.authority()).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
}

#[test]
fn a_configuration_with_a_mistake_is_shown_with_the_servers_words() {
    need_nats!();
    let error = NatsServer::start("max_payloads: many").unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("nats-server did not start") && text.contains("max_payload"), "{text}");
}

#[test]
fn a_frozen_server_is_silent_and_can_still_be_ended() {
    need_nats!();
    let mut server = NatsServer::start("").unwrap();
    server.pause().unwrap();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(stream.read(&mut [0; 1]).is_err());
    server.resume().unwrap();
    stream.set_read_timeout(None).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 1);
    server.pause().unwrap();
    server.stop().unwrap();
}
