//! The real probes with their semaphores, fired in this very process, through the kernel into records and events.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod probes;

use std::fmt::Write as _;
use std::fs::File;
use std::mem::MaybeUninit;
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use ebpf::decoder::{Decoder, Observation};
use ebpf::probes::{Offer, PROBES};
use ebpf::programs::{Capture, Programs, Storage};
use ebpf::reader::Reader;
use ebpf::record::{Body, Record};
use ebpf::{notes, privileges};
use event::{Event, Kind};
use expect_test::{Expect, expect};
use probes::Direction::{Inbound, Outbound};

/// Probes belong to the process: tests that fire them take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Takes a turn; or says why there is none.
fn turn() -> Option<MutexGuard<'static, ()>> {
    if privileges::effective().can_trace() {
        return Some(TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
    testkit::skipped("needs CAP_BPF and CAP_PERFMON");
    None
}

/// Programs attached to this process, and their reader.
struct Rig<'storage> {
    programs: Programs<'storage>,
    reader: Reader,
    decoder: Decoder,
    offer: Offer,
}

impl<'storage> Rig<'storage> {
    fn new(storage: &'storage mut Storage, capture: &Capture) -> Self {
        let programs = Programs::load(storage, capture).unwrap_or_else(|error| panic!("{error}"));
        let counters = programs.counters().try_clone_to_owned().unwrap();
        let reader = Reader::new(programs.ring().try_clone_to_owned().unwrap(), programs.buffer(), &counters).unwrap();
        let mut rig = Self { programs, reader, decoder: Decoder::new(false), offer: Offer::default() };
        rig.attach();
        rig
    }

    fn attach(&mut self) {
        let notes = notes::read("/proc/self/exe".as_ref()).unwrap();
        let exe = File::open("/proc/self/exe").unwrap();
        self.decoder.attaching(std::process::id(), 1_700_000_000);
        self.offer = self.programs.attach(std::process::id(), &exe, &notes).unwrap();
        self.programs.detach_earlier();
    }

    /// Everything that happened since the last call.
    fn observations(&mut self) -> Vec<Observation> {
        let mut observations = Vec::new();
        self.reader.drain(|bytes| self.decoder.decode(bytes, |observation| observations.push(observation)).unwrap());
        observations
    }

    fn kinds(&mut self) -> Vec<Kind> {
        self.observations().into_iter().map(|observation| observation.kind).collect()
    }

    /// Payloads of the messages since the last call, with their address where that came along.
    fn payloads(&mut self) -> Vec<(Vec<u8>, Option<String>)> {
        let mut payloads = Vec::new();
        self.reader.drain(|bytes| {
            let Body::Message(message) = Record::parse(bytes).unwrap().body else { return };
            let address = message.names.map(|(address, _)| String::from_utf8(address.to_vec()).unwrap());
            payloads.push((message.payload.to_vec(), address));
        });
        payloads
    }

    /// What must always hold when nothing is firing and everything was read.
    #[track_caller]
    fn check_account(&self, seen: u64, fired: u64) {
        let counters = self.reader.counters();
        assert_eq!(counters.fired, fired, "fired");
        assert_eq!(seen + counters.lost, fired, "seen + lost = fired");
        assert_eq!(counters.losses.iter().sum::<u64>(), counters.lost, "losses per probe");
    }
}

/// Bytes of which no two pages are the same.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at ^ at >> 8 ^ at >> 16) as u8).collect()
}

#[track_caller]
fn check(rig: &mut Rig<'_>, expect: &Expect) {
    let mut lines = String::new();
    for kind in rig.kinds() {
        let event = serde_json::to_string(&Event { kind: Some(kind), ..Event::default() }).unwrap();
        // the envelope is the publisher's business
        writeln!(lines, "{}", event.split_once("\"kind\":").unwrap().1.trim_end_matches('}')).unwrap();
    }
    expect.assert_eq(&lines);
}

#[test]
fn every_probe_becomes_its_event() {
    let Some(_turn) = turn() else { return };
    let mut storage = MaybeUninit::uninit();
    let mut rig = Rig::new(&mut storage, &Capture::default());
    let offer = &rig.offer;
    assert_eq!(offer.known.len(), PROBES.len());
    assert_eq!(offer.missing_names(), [""; 0]);
    // the second is `ebpf::bench`'s
    assert_eq!(offer.unlisted, ["net:of_a_patched_node", "peer_observer:bench"]);

    probes::of_a_patched_node();
    probes::inbound_connection(7, "203.0.113.7:8333", "inbound", 1, 3);
    probes::message(Inbound, 7, "203.0.113.7:8333", "inbound", "ping", &[1, 0, 0, 0, 0, 0, 0, 0]);
    probes::message(Outbound, 7, "203.0.113.7:8333", "inbound", "pong", &[1, 0, 0, 0, 0, 0, 0, 0]);
    probes::message(Outbound, 7, "203.0.113.7:8333", "inbound", "", &[]);
    probes::message(Outbound, 7, "203.0.113.7:8333", "inbound", "twelve bytes", &[]);
    probes::misbehaving_connection(7, "headers message size = 2001");
    probes::misbehaving_connection(7, "");
    probes::evicted_inbound_connection(7, "203.0.113.7:8333", "inbound", 1, 1_700_000_001);
    probes::closed_connection(7, "203.0.113.7:8333", "inbound", 1, 1_700_000_001);
    let onion = format!("{}.onion:8333", "a".repeat(56));
    probes::outbound_connection(8, &onion, "outbound-full-relay", 3, 10);
    probes::mempool_added(141, -1);
    probes::mempool_removed("sizelimit", 141, 1000, 1_700_000_002);
    probes::mempool_replaced(141, 1000, 1_700_000_003, 200, 5000, true);
    probes::mempool_replaced(141, 1000, 1_700_000_003, 200, 5000, false);
    probes::mempool_rejected("bad-txns-inputs-missingorspent");
    probes::block_connected(840_000, 3050, 7000, 20_000, 123_456_789);
    probes::flush(15_000, 3, 100_000, 50_000_000, true);
    check(
        &mut rig,
        &expect![[r#"
            "conn.opened","connOpened":{"peer":"7","address":"203.0.113.7:8333","connectionType":"inbound","network":"ipv4","count":"3"
            "net.ping","netPing":{"peer":"7","direction":"inbound","address":"203.0.113.7:8333","connectionType":"inbound","network":"ipv4","size":8,"nonce":"1"
            "net.pong","netPong":{"peer":"7","direction":"outbound","address":"203.0.113.7:8333","connectionType":"inbound","network":"ipv4","size":8,"nonce":"1"
            "net.undecodable","netUndecodable":{"peer":"7","direction":"outbound","address":"203.0.113.7:8333","connectionType":"inbound","network":"ipv4","size":0,"raw":"","messageType":"","reason":"unknown_type","detail":""
            "net.undecodable","netUndecodable":{"peer":"7","direction":"outbound","address":"203.0.113.7:8333","connectionType":"inbound","network":"ipv4","size":0,"raw":"","messageType":"twelve bytes","reason":"unknown_type","detail":""
            "conn.misbehaving","connMisbehaving":{"peer":"7","address":"203.0.113.7:8333","connectionType":"inbound","network":"ipv4","reason":"headers message size = 2001"
            "conn.misbehaving","connMisbehaving":{"peer":"7","address":"203.0.113.7:8333","connectionType":"inbound","network":"ipv4","reason":""
            "conn.evicted","connEvicted":{"peer":"7","address":"203.0.113.7:8333","connectionType":"inbound","network":"ipv4","established":"1700000001","establishedText":"2023-11-14T22:13:21Z"
            "conn.closed","connClosed":{"peer":"7","address":"203.0.113.7:8333","connectionType":"inbound","network":"ipv4","established":"1700000001","establishedText":"2023-11-14T22:13:21Z"
            "conn.opened","connOpened":{"peer":"8","address":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.onion:8333","connectionType":"outbound_full_relay","network":"onion","count":"10"
            "mempool.added","mempoolAdded":{"txid":"1111111111111111111111111111111111111111111111111111111111111111","vsize":"141","fee":"-1"
            "mempool.removed","mempoolRemoved":{"txid":"1111111111111111111111111111111111111111111111111111111111111111","reason":"sizelimit","vsize":"141","fee":"1000","entered":"1700000002","enteredText":"2023-11-14T22:13:22Z"
            "mempool.replaced","mempoolReplaced":{"txid":"1111111111111111111111111111111111111111111111111111111111111111","vsize":"141","fee":"1000","entered":"1700000003","enteredText":"2023-11-14T22:13:23Z","replacement":"2222222222222222222222222222222222222222222222222222222222222222","replacementVsize":"200","replacementFee":"5000","replacementIsTxid":true
            "mempool.replaced","mempoolReplaced":{"txid":"1111111111111111111111111111111111111111111111111111111111111111","vsize":"141","fee":"1000","entered":"1700000003","enteredText":"2023-11-14T22:13:23Z","replacement":"2222222222222222222222222222222222222222222222222222222222222222","replacementVsize":"200","replacementFee":"5000","replacementIsTxid":false
            "mempool.rejected","mempoolRejected":{"txid":"1111111111111111111111111111111111111111111111111111111111111111","reason":"bad-txns-inputs-missingorspent","detail":""
            "chain.block_connected","chainBlockConnected":{"hash":"1111111111111111111111111111111111111111111111111111111111111111","height":840000,"transactions":"3050","inputs":"7000","sigopCost":"20000","duration":"123456789"
            "chain.coins_flushed","chainCoinsFlushed":{"duration":"15000","mode":3,"coins":"100000","bytes":"50000000","forPrune":true
        "#]],
    );
}

/// The mempool's burst when a block arrives: ten thousand records within 50 ms, while the reader sleeps.
#[test]
fn a_burst_fits_into_the_buffer() {
    let Some(_turn) = turn() else { return };
    let mut storage = MaybeUninit::uninit();
    let mut rig = Rig::new(&mut storage, &Capture::default());
    // what this thread does, and not what others do meanwhile
    let spent = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
    };
    let start = spent();
    for number in 0..10_000 {
        probes::mempool_removed("block", number, 1000, 1_700_000_002);
    }
    let took = spent() - start;
    let kinds = rig.kinds();
    for (number, kind) in (0..).zip(&kinds) {
        let Kind::MempoolRemoved(removed) = kind else { panic!("{kind:?}") };
        assert_eq!(removed.vsize, Some(number));
    }
    rig.check_account(10_000, 10_000);
    println!("10,000 records took {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_loss_is_exact_and_in_its_place() {
    let Some(_turn) = turn() else { return };
    let mut storage = MaybeUninit::uninit();
    let mut rig = Rig::new(&mut storage, &Capture { buffer: 64 << 10, ..Capture::default() });
    let mut seen = 0;
    // fills the buffer to the brim and over
    for _ in 0..500 {
        probes::mempool_added(141, 1);
    }
    for _ in 0..300 {
        probes::mempool_removed("block", 1, 1000, 1_700_000_002);
    }
    for _ in 0..200 {
        probes::message(Inbound, 7, "a", "inbound", "ping", &[0; 8]);
    }
    let first = rig.observations();
    assert!(first.iter().all(|observation| !matches!(observation.kind, Kind::HealthLost(_))), "lost only after these");
    seen += first.len() as u64;
    let lost = rig.reader.lost();
    assert!(lost > 0);
    rig.check_account(seen, 1000);

    // the next record tells, before itself; and only it
    probes::mempool_added(142, 1);
    probes::mempool_added(143, 1);
    let then = rig.kinds();
    let losses: Vec<_> = then.iter().take_while(|kind| matches!(kind, Kind::HealthLost(_))).collect();
    assert!(!losses.is_empty() && then.len() == losses.len() + 2, "{then:?}");
    let counted: u64 = losses.iter().map(|kind| if let Kind::HealthLost(lost) = kind { lost.count } else { 0 }).sum();
    assert_eq!(counted, lost);
    rig.check_account(seen + 2, 1002);
    assert_eq!(rig.decoder.seen(), seen + 2);
}

#[test]
fn a_stopped_reader_never_blocks_the_node() {
    let Some(_turn) = turn() else { return };
    let mut storage = MaybeUninit::uninit();
    let mut rig = Rig::new(&mut storage, &Capture { buffer: 1 << 20, ..Capture::default() });
    let payload = pattern(1000);
    let start = Instant::now();
    let threads = 4;
    let each = 20_000;
    thread::scope(|scope| {
        for peer in 0..threads {
            let payload = &payload;
            scope.spawn(move || {
                for _ in 0..each {
                    probes::message(Inbound, peer, "a", "inbound", "tx", payload);
                }
            });
        }
    });
    println!("{} firings into a full buffer took {:?}", threads * each, start.elapsed());
    let seen = rig.payloads().len() as u64;
    assert!(seen < 1100, "{seen}");
    rig.check_account(seen, (threads * each) as u64);
}

#[test]
fn a_running_reader_loses_nothing_and_keeps_the_order() {
    let Some(_turn) = turn() else { return };
    let mut storage = MaybeUninit::uninit();
    let mut rig = Rig::new(&mut storage, &Capture::default());
    let threads = 3;
    let each = 20_000_u64;
    let order = Mutex::new(0_u64);
    let Rig { reader, .. } = &mut rig;
    let mut next = 0;
    thread::scope(|scope| {
        for peer in 0..threads {
            let order = &order;
            scope.spawn(move || {
                for _ in 0..each {
                    let mut number = order.lock().unwrap();
                    probes::message(Inbound, peer, "a", "inbound", "ping", &number.to_le_bytes());
                    *number += 1;
                }
            });
        }
        while next < each * threads as u64 {
            reader.drain(|bytes| {
                let Body::Message(message) = Record::parse(bytes).unwrap().body else { panic!() };
                assert_eq!(message.payload, next.to_le_bytes());
                next += 1;
            });
            reader.wait(Duration::from_millis(100), None).unwrap();
        }
    });
    assert_eq!(reader.lost(), 0);
}

/// Both ways to copy, with every length that takes another path, and the largest message there is.
#[test]
fn payloads_of_any_length_are_whole() {
    let Some(_turn) = turn() else { return };
    let lengths = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 127, 300, 511, 513, 1025, 2047, 2049, 4095, 4096, 4097];
    let large = [8191, 8192, 8193, 65_537, 1_000_001, 3_999_999, 4_000_000];
    let bytes = pattern(4_000_000);
    for assume_old_kernel in [false, true] {
        let mut storage = MaybeUninit::uninit();
        let mut rig = Rig::new(&mut storage, &Capture { buffer: 16 << 20, assume_old_kernel, ..Capture::default() });
        for length in lengths.into_iter().chain(large) {
            for direction in [Inbound, Outbound] {
                // not at the beginning of a page, nor of a word
                let payload = &bytes[bytes.len() - length..];
                probes::message(direction, 7, "a", "inbound", "block", payload);
                let mut got = rig.payloads();
                assert_eq!(got.len(), 1, "{length} bytes, old {assume_old_kernel}");
                assert!(got.remove(0).0 == payload, "{length} bytes differ, old {assume_old_kernel}");
            }
        }
        assert_eq!(rig.reader.counters().faults.iter().sum::<u64>(), 0);
    }
}

#[test]
fn a_longer_message_is_cut_where_asked() {
    let Some(_turn) = turn() else { return };
    let mut storage = MaybeUninit::uninit();
    let mut rig = Rig::new(&mut storage, &Capture { max_payload: 1000, ..Capture::default() });
    let bytes = pattern(5000);
    probes::message(Inbound, 7, "a", "inbound", "block", &bytes);
    let kinds = rig.kinds();
    let [Kind::NetUndecodable(cut)] = &kinds[..] else { panic!("{kinds:?}") };
    assert_eq!((cut.size, cut.raw.as_deref(), cut.detail.as_str()), (5000, Some(&bytes[..1000]), "1000 of 5000 bytes"));
}

/// Memory that is not resident: pages of a file, dropped before each firing.
#[test]
fn what_is_not_in_memory_is_fetched() {
    let Some(_turn) = turn() else { return };
    let length = 300_000;
    let bytes = pattern(length);
    for assume_old_kernel in [false, true] {
        let mut storage = MaybeUninit::uninit();
        let mut rig = Rig::new(&mut storage, &Capture { assume_old_kernel, ..Capture::default() });
        let pages = probes::Pages::new(&bytes);
        for round in 0..50 {
            pages.evict();
            probes::message_at(Outbound, 7, pages.pointer(), length);
            let got = rig.payloads();
            assert!(got.len() == 1 && got[0].0 == bytes, "round {round}, old {assume_old_kernel}");
        }
        // and strings: one that ends with its page, one that lies across the border of two
        let mut text = [b'x'; 8192];
        text[8191] = 0;
        let pages = probes::Pages::new(&text);
        for (at, expected) in [(8191 - 10, 10), (4096 - 20, 4096 + 19)] {
            pages.evict();
            probes::mempool_rejected_at(pages.at(at));
            let kinds = rig.kinds();
            let [Kind::MempoolRejected(rejected)] = &kinds[..] else { panic!("{kinds:?}") };
            assert_eq!(rejected.reason, "x".repeat(expected.min(263)));
        }
        assert_eq!(rig.reader.counters().faults.iter().sum::<u64>(), 0);
    }
}

#[test]
fn what_cannot_be_read_is_said() {
    let Some(_turn) = turn() else { return };
    let expect = expect![[r#"
        "net.undecodable","netUndecodable":{"peer":"7","direction":"inbound","address":"a","connectionType":"inbound","network":"unspecified","size":10000,"raw":"","messageType":"block","reason":"unreadable","detail":"payload was not in memory"
        "health.lost","healthLost":{"stage":"kernel","probe":"mempool:rejected","count":"1"
    "#]];
    for assume_old_kernel in [false, true] {
        let mut storage = MaybeUninit::uninit();
        let mut rig = Rig::new(&mut storage, &Capture { assume_old_kernel, ..Capture::default() });
        probes::message_at(Inbound, 7, std::ptr::without_provenance(4096), 10_000);
        probes::mempool_rejected_at(std::ptr::null());
        check(&mut rig, &expect);
        let counters = rig.reader.counters();
        assert_eq!((counters.faults[0], counters.faults[10]), (1, 1));
        assert_eq!((rig.decoder.seen(), rig.decoder.unreadable(), counters.fired), (1, 1, 2));
    }
}

#[test]
fn names_come_once_per_peer() {
    let Some(_turn) = turn() else { return };
    let mut storage = MaybeUninit::uninit();
    let mut rig = Rig::new(&mut storage, &Capture::default());
    let mut came = |peer, address: &str| {
        probes::message(Inbound, peer, address, "inbound", "verack", &[]);
        rig.payloads().remove(0).1
    };
    assert_eq!(came(1, "a").as_deref(), Some("a"));
    assert_eq!(came(1, "a"), None);
    assert_eq!(came(2, "b").as_deref(), Some("b"));
    assert_eq!(came(1, "a"), None);
    // shares its place with peer 1
    assert_eq!(came(1 + 4096, "c").as_deref(), Some("c"));
    assert_eq!(came(1, "a").as_deref(), Some("a"));

    // a connection's names count, too
    probes::inbound_connection(9, "d", "inbound", 1, 3);
    probes::message(Inbound, 9, "d", "inbound", "verack", &[]);
    assert_eq!(rig.payloads()[0].1, None);

    // and a new life of the node knows nobody
    rig.attach();
    probes::message(Inbound, 9, "d", "inbound", "verack", &[]);
    assert_eq!(rig.payloads()[0].1.as_deref(), Some("d"));
}

/// As long as probes of an earlier life are there, they may tell of peers.
#[test]
fn what_was_told_before_the_earlier_life_is_detached_is_told_again() {
    let Some(_turn) = turn() else { return };
    let mut storage = MaybeUninit::uninit();
    let mut rig = Rig::new(&mut storage, &Capture::default());
    let notes = notes::read("/proc/self/exe".as_ref()).unwrap();
    let exe = File::open("/proc/self/exe").unwrap();
    rig.programs.attach(std::process::id(), &exe, &notes).unwrap();
    // of both attachments
    let came = |rig: &mut Rig<'_>| {
        probes::message(Inbound, 9, "d", "inbound", "verack", &[]);
        rig.payloads().into_iter().map(|(_, address)| address).collect::<Vec<_>>()
    };
    assert_eq!(came(&mut rig), [Some("d".to_owned()), None]);
    assert_eq!(came(&mut rig), [None, None]);
    rig.programs.detach_earlier();
    assert_eq!(came(&mut rig), [Some("d".to_owned())]);
    // with nothing to detach there is nothing to tell again
    rig.programs.detach_earlier();
    assert_eq!(came(&mut rig), [None]);
}

#[test]
fn a_detached_probe_costs_nothing() {
    let Some(_turn) = turn() else { return };
    let mut storage = MaybeUninit::uninit();
    let mut rig = Rig::new(&mut storage, &Capture::default());
    assert!(probes::message(Inbound, 7, "a", "inbound", "verack", &[]), "the semaphore is raised");
    rig.programs.detach();
    assert!(!probes::message(Inbound, 7, "a", "inbound", "verack", &[]), "the semaphore is lowered");
    rig.check_account(1, 1);
}

/// An idle reader is woken by the first record, not by its poll.
#[test]
fn an_idle_reader_is_woken() {
    let Some(_turn) = turn() else { return };
    let mut storage = MaybeUninit::uninit();
    let mut rig = Rig::new(&mut storage, &Capture::default());
    let reader = &mut rig.reader;
    reader.wait(Duration::from_secs(1), None).unwrap();
    let firing = thread::spawn(|| {
        thread::sleep(Duration::from_millis(50));
        let fired = Instant::now();
        probes::message(Inbound, 7, "a", "inbound", "verack", &[]);
        fired
    });
    reader.wait(Duration::from_secs(1), None).unwrap();
    let woken = Instant::now();
    let delay = woken.saturating_duration_since(firing.join().unwrap());
    assert_eq!(reader.drain(|_| {}), 1);
    // one that is not woken looks half a second later
    assert!(delay < Duration::from_millis(300), "woken after {delay:?}");
}
