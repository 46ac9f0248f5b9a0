//! Payloads to events.

use expect_test::{Expect, expect};

use super::*;
use crate::{Event, Source};

/// What every message below has in common, as JSON.
const COMMON: &str =
    r#"{"peer":"7","direction":"inbound","address":"203.0.113.7:8333","connectionType":"inbound","network":"ipv4","#;

fn message<'a>(message_type: &'a [u8], payload: &'a [u8]) -> Message<'a> {
    Message {
        peer: 7,
        direction: Direction::Inbound,
        address: "203.0.113.7:8333",
        connection_type: ConnectionType::Inbound,
        network: Network::Ipv4,
        size: payload.len() as u32,
        message_type,
        payload,
        captured: Captured::Whole,
        keep_raw: false,
    }
}

/// The kind's name and its JSON, a line per part, without what is common to all.
fn render(message: &Message<'_>) -> String {
    let event = Event::new("", Source::Ebpf, message.decode());
    let name = event.id().unwrap().name();
    let json = serde_json::to_string(&event).unwrap();
    let (_, rest) = json.split_once(COMMON).unwrap_or_else(|| panic!("common fields: {json}"));
    let rest = rest.strip_suffix('}').unwrap().replace("[{", "[\n    {").replace("},{", "},\n    {");
    format!("{name} {{{rest}")
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|c| !c.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// For what is not decoded, that it keeps the payload is checked, but not shown.
#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "reads better in every case below")]
fn check(message_type: &str, payload: &str, expect: Expect) {
    let payload = hex(payload);
    let mut rendered = render(&message(message_type.as_bytes(), &payload));
    if rendered.starts_with("net.undecodable") {
        let raw = format!(r#","raw":"{}""#, crate::text::Hex(&payload));
        assert!(rendered.contains(&raw), "{rendered}");
        rendered = rendered.replace(&raw, "");
    }
    expect.assert_eq(&rendered);
}

/// 32 bytes whose reversal can be told from them.
fn hash(first: u8) -> String {
    (0..32).map(|at| format!("{:02x}", first.wrapping_add(at))).collect()
}

/// The header of the genesis block of the main network.
const GENESIS: &str = "01000000 0000000000000000000000000000000000000000000000000000000000000000 \
    3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a 29ab5f49 ffff001d 1dac2b7c";

/// Its only transaction.
const COINBASE: &str = "01000000 01 0000000000000000000000000000000000000000000000000000000000000000 ffffffff \
    4d 04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f66207365\
    636f6e64206261696c6f757420666f722062616e6b73 ffffffff \
    01 00f2052a01000000 43 4104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e5\
    1ec112de5c384df7ba0b8d578a4c702b6bf11d5fac 00000000";

/// A transaction of one input (spending output 1 of 00 01 02 …) with a witness of one byte, and two outputs (1000 and 2000 satoshi).
const SEGWIT: &str = "02000000 00 01 \
    01 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f 01000000 00 fdffffff \
    02 e803000000000000 01 51 d007000000000000 00 \
    01 01 aa \
    10000000";

/// `version` up to and including the receiver's address: all that Bitcoin Core insists on.
const VERSION_START: &str = "80110100 0904000000000000 80e5546800000000 \
    0100000000000000 00000000000000000000ffffc6336401 208d";

/// The rest of it, without the last byte.
const VERSION_REST: &str = "0000000000000000 00000000000000000000000000000000 0000 0807060504030201 \
    10 2f5361746f7368693a33312e302e302f a0bb0d00";

mod every_type {
    use super::*;

    #[test]
    fn version() {
        check(
            "version",
            &format!("{VERSION_START} {VERSION_REST} 01"),
            expect![[
                r#"net.version {"size":102,"version":70016,"services":"1033","time":"1750394240","timeText":"2025-06-20T04:37:20Z","receiverServices":"1","receiverAddress":"198.51.100.1:8333","senderServices":"0","senderAddress":"[::]:0","nonce":"72623859790382856","userAgent":"/Satoshi:31.0.0/","startHeight":900000,"relay":true}"#
            ]],
        );
    }

    #[test]
    fn messages_without_a_payload() {
        check("verack", "", expect![[r#"net.verack {"size":0}"#]]);
        check("wtxidrelay", "", expect![[r#"net.wtxidrelay {"size":0}"#]]);
        check("sendaddrv2", "", expect![[r#"net.sendaddrv2 {"size":0}"#]]);
        check("sendheaders", "", expect![[r#"net.sendheaders {"size":0}"#]]);
        check("getaddr", "", expect![[r#"net.getaddr {"size":0}"#]]);
        check("mempool", "", expect![[r#"net.mempool {"size":0}"#]]);
        check("filterclear", "", expect![[r#"net.filterclear {"size":0}"#]]);
    }

    #[test]
    fn messages_of_a_few_numbers() {
        check("ping", "0807060504030201", expect![[r#"net.ping {"size":8,"nonce":"72623859790382856"}"#]]);
        check("pong", "ffffffffffffffff", expect![[r#"net.pong {"size":8,"nonce":"18446744073709551615"}"#]]);
        check("feefilter", "e803000000000000", expect![[r#"net.feefilter {"size":8,"feerate":"1000"}"#]]);
        check("sendcmpct", "01 0200000000000000", expect![[r#"net.sendcmpct {"size":9,"announce":true,"version":"2"}"#]]);
        check(
            "sendtxrcncl",
            "01000000 0807060504030201",
            expect![[r#"net.sendtxrcncl {"size":12,"version":1,"salt":"72623859790382856"}"#]],
        );
    }

    #[test]
    fn feature() {
        // "some", two bytes
        check("feature", "04 736f6d65 02 beef", expect![[r#"net.feature {"size":8,"id":"some","data":"beef"}"#]]);
    }

    #[test]
    fn addr() {
        // IPv4 and IPv6
        let v4 = "80e55468 0900000000000000 00000000000000000000ffff01020304 208d";
        let v6 = "80e55468 0904000000000000 20010db8000000000000000000000001 208d";
        check(
            "addr",
            &format!("02 {v4} {v6}"),
            expect![[r#"
            net.addr {"size":61,"addresses":[
                {"time":1750394240,"timeText":"2025-06-20T04:37:20Z","services":"9","network":"ipv4","address":"1.2.3.4","port":8333},
                {"time":1750394240,"timeText":"2025-06-20T04:37:20Z","services":"1033","network":"ipv6","address":"2001:db8::1","port":8333}]}"#]],
        );
        check("addr", "00", expect![[r#"net.addr {"size":1,"addresses":[]}"#]]);
    }

    #[test]
    fn inv_getdata_and_notfound() {
        check(
            "inv",
            &format!("02 01000000 {} 02000000 {}", hash(1), hash(2)),
            expect![[r#"
            net.inv {"size":73,"items":[
                {"type":"tx","hash":"201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a090807060504030201"},
                {"type":"block","hash":"21201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a0908070605040302"}]}"#]],
        );
        check(
            "getdata",
            &format!("02 01000040 {} 02000040 {}", hash(1), hash(2)),
            expect![[r#"
            net.getdata {"size":73,"items":[
                {"type":"witness_tx","hash":"201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a090807060504030201"},
                {"type":"witness_block","hash":"21201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a0908070605040302"}]}"#]],
        );
        check(
            "notfound",
            &format!("02 05000000 {} 04000000 {}", hash(1), hash(2)),
            expect![[r#"
            net.notfound {"size":73,"items":[
                {"type":"wtx","hash":"201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a090807060504030201"},
                {"type":"compact_block","hash":"21201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a0908070605040302"}]}"#]],
        );
        // rust-bitcoin has no name for 3; 0 and others are shown by number
        check(
            "getdata",
            &format!("03 03000000 {0} 00000000 {0} 03000040 {0}", hash(1)),
            expect![[r#"
            net.getdata {"size":109,"items":[
                {"type":"filtered_block","hash":"201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a090807060504030201"},
                {"type":"other","hash":"201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a090807060504030201","number":0},
                {"type":"other","hash":"201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a090807060504030201","number":1073741827}]}"#]],
        );
    }

    #[test]
    fn getblocks_and_getheaders() {
        check(
            "getblocks",
            &format!("80110100 00 {}", hash(0)),
            expect![[
                r#"net.getblocks {"size":37,"version":70016,"locator":[],"stop":"1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100"}"#
            ]],
        );
        check(
            "getheaders",
            &format!("80110100 02 {} {} {}", hash(1), hash(2), "00".repeat(32)),
            expect![[
                r#"net.getheaders {"size":101,"version":70016,"locator":["201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a090807060504030201","21201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a0908070605040302"],"stop":"0000000000000000000000000000000000000000000000000000000000000000"}"#
            ]],
        );
    }

    #[test]
    fn headers() {
        check(
            "headers",
            &format!("01 {GENESIS} 00"),
            expect![[r#"
            net.headers {"size":82,"headers":[
                {"hash":"000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f","version":1,"previous":"0000000000000000000000000000000000000000000000000000000000000000","merkleRoot":"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b","time":1231006505,"timeText":"2009-01-03T18:15:05Z","bits":486604799,"nonce":2083236893}]}"#]],
        );
        check("headers", "00", expect![[r#"net.headers {"size":1,"headers":[]}"#]]);
    }

    #[test]
    fn block() {
        check(
            "block",
            &format!("{GENESIS} 01 {COINBASE}"),
            expect![[r#"
            net.block {"size":285,"header":{"hash":"000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f","version":1,"previous":"0000000000000000000000000000000000000000000000000000000000000000","merkleRoot":"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b","time":1231006505,"timeText":"2009-01-03T18:15:05Z","bits":486604799,"nonce":2083236893},"weight":"1140","transactions":[
                {"txid":"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"}]}"#]],
        );
        check(
            "block",
            &format!("{GENESIS} 02 {COINBASE} {SEGWIT}"),
            expect![[r#"
            net.block {"size":360,"header":{"hash":"000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f","version":1,"previous":"0000000000000000000000000000000000000000000000000000000000000000","merkleRoot":"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b","time":1231006505,"timeText":"2009-01-03T18:15:05Z","bits":486604799,"nonce":2083236893},"weight":"1425","transactions":[
                {"txid":"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"},
                {"txid":"f6bdedb3ca40ea0ae0befeba0667e23cbc910e32cfdd467c761d38e37c17e987","wtxid":"679ca03aa191fbd5d5f56ef5611b5eccac3ba27f535db333f962f6bd7f0ecd22"}]}"#]],
        );
    }

    #[test]
    fn tx() {
        check(
            "tx",
            COINBASE,
            expect![[r#"
            net.tx {"size":204,"txid":"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b","wtxid":"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b","weight":"816","version":1,"locktime":0,"spends":[
                {"txid":"0000000000000000000000000000000000000000000000000000000000000000","vout":4294967295}],"outputs":1,"outputValue":"5000000000"}"#]],
        );
        check(
            "tx",
            SEGWIT,
            expect![[r#"
            net.tx {"size":75,"txid":"f6bdedb3ca40ea0ae0befeba0667e23cbc910e32cfdd467c761d38e37c17e987","wtxid":"679ca03aa191fbd5d5f56ef5611b5eccac3ba27f535db333f962f6bd7f0ecd22","weight":"285","version":2,"locktime":16,"spends":[
                {"txid":"1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100","vout":1}],"outputs":2,"outputValue":"3000"}"#]],
        );
        // outputs of 2^64-1 and 1 satoshi: the sum stays at the largest number
        let outputs = "02 ffffffffffffffff 00 0100000000000000 00";
        check(
            "tx",
            &format!("ffffffff 01 {} 00000000 00 00000000 {outputs} 00000000", hash(1)),
            expect![[r#"
            net.tx {"size":69,"txid":"dfb4a4990433fc034c8483b8bcfb141333f1d0c7936abc8599832d9fb17cbcf3","wtxid":"dfb4a4990433fc034c8483b8bcfb141333f1d0c7936abc8599832d9fb17cbcf3","weight":"276","version":-1,"locktime":0,"spends":[
                {"txid":"201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a090807060504030201","vout":0}],"outputs":2,"outputValue":"18446744073709551615"}"#]],
        );
    }

    #[test]
    fn compact_blocks() {
        // indexes are differences: 1, then 1 + 1 + 0
        let prefilled = format!("02 01 {COINBASE} 00 {SEGWIT}");
        check(
            "cmpctblock",
            &format!("{GENESIS} 0807060504030201 01 010203040506 {prefilled}"),
            expect![[r#"
            net.cmpctblock {"size":377,"header":{"hash":"000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f","version":1,"previous":"0000000000000000000000000000000000000000000000000000000000000000","merkleRoot":"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b","time":1231006505,"timeText":"2009-01-03T18:15:05Z","bits":486604799,"nonce":2083236893},"nonce":"72623859790382856","shortIds":["6618611909121"],"prefilled":[
                {"index":"1","txid":"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"},
                {"index":"2","txid":"f6bdedb3ca40ea0ae0befeba0667e23cbc910e32cfdd467c761d38e37c17e987","wtxid":"679ca03aa191fbd5d5f56ef5611b5eccac3ba27f535db333f962f6bd7f0ecd22"}]}"#]],
        );
        check(
            "getblocktxn",
            &format!("{} 03 00 00 fd2c01", hash(1)),
            expect![[
                r#"net.getblocktxn {"size":38,"block":"201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a090807060504030201","indexes":["0","1","302"]}"#
            ]],
        );
        check(
            "blocktxn",
            &format!("{} 02 {COINBASE} {SEGWIT}", hash(1)),
            expect![[r#"
            net.blocktxn {"size":312,"block":"201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a090807060504030201","transactions":[
                {"txid":"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"},
                {"txid":"f6bdedb3ca40ea0ae0befeba0667e23cbc910e32cfdd467c761d38e37c17e987","wtxid":"679ca03aa191fbd5d5f56ef5611b5eccac3ba27f535db333f962f6bd7f0ecd22"}]}"#]],
        );
    }

    #[test]
    fn bloom_filters() {
        check(
            "filterload",
            "02 beef 0b000000 05000000 01",
            expect![[r#"net.filterload {"size":12,"filter":"beef","hashFunctions":11,"tweak":5,"flags":1}"#]],
        );
        check("filteradd", "02 beef", expect![[r#"net.filteradd {"size":3,"element":"beef"}"#]]);
        check(
            "merkleblock",
            &format!("{GENESIS} 02000000 02 {} {} 02 0501", hash(1), hash(2)),
            expect![[
                r#"net.merkleblock {"size":152,"header":{"hash":"000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f","version":1,"previous":"0000000000000000000000000000000000000000000000000000000000000000","merkleRoot":"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b","time":1231006505,"timeText":"2009-01-03T18:15:05Z","bits":486604799,"nonce":2083236893},"transactions":2,"hashes":["201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a090807060504030201","21201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a0908070605040302"],"flags":"0501"}"#
            ]],
        );
    }

    #[test]
    fn block_filters() {
        check(
            "getcfilters",
            &format!("00 0a000000 {}", hash(1)),
            expect![[
                r#"net.getcfilters {"size":37,"filterType":0,"startHeight":10,"stop":"201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a090807060504030201"}"#
            ]],
        );
        check(
            "cfilter",
            &format!("00 {} 02 beef", hash(1)),
            expect![[
                r#"net.cfilter {"size":36,"filterType":0,"block":"201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a090807060504030201","filter":"beef"}"#
            ]],
        );
        check(
            "getcfheaders",
            &format!("00 0a000000 {}", hash(1)),
            expect![[
                r#"net.getcfheaders {"size":37,"filterType":0,"startHeight":10,"stop":"201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a090807060504030201"}"#
            ]],
        );
        check(
            "cfheaders",
            &format!("00 {} {} 01 {}", hash(1), hash(2), hash(3)),
            expect![[
                r#"net.cfheaders {"size":98,"filterType":0,"stop":"201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a090807060504030201","previous":"21201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a0908070605040302","filterHashes":["2221201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403"]}"#
            ]],
        );
        check(
            "getcfcheckpt",
            &format!("00 {}", hash(1)),
            expect![[
                r#"net.getcfcheckpt {"size":33,"filterType":0,"stop":"201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a090807060504030201"}"#
            ]],
        );
        check(
            "cfcheckpt",
            &format!("00 {} 02 {} {}", hash(1), hash(2), hash(3)),
            expect![[
                r#"net.cfcheckpt {"size":98,"filterType":0,"stop":"201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a090807060504030201","filterHeaders":["21201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a0908070605040302","2221201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403"]}"#
            ]],
        );
    }

    #[test]
    fn legacy_ones() {
        check("alert", "02 beef 01 aa", expect![[r#"net.alert {"size":5,"payload":"beef","signature":"aa"}"#]]);
        // "tx", 0x41, "dust"
        check(
            "reject",
            &format!("02 7478 41 04 64757374 {}", hash(1)),
            expect![[
                r#"net.reject {"size":41,"message":"tx","code":65,"reason":"dust","hash":"201f1e1d1c1b1a191817161514131211100f0e0d0c0b0a090807060504030201"}"#
            ]],
        );
    }

    /// The length of the text in front of the code takes three bytes here.
    #[test]
    fn reject_with_a_long_message() {
        let text = "78".repeat(300);
        let rendered = render(&message(b"reject", &hex(&format!("fd2c01 {text} 12 00 {}", hash(1)))));
        assert!(rendered.contains(r#""code":18,"#), "{rendered}");
    }
}

mod addresses {
    use super::*;

    const TIME_AND_SERVICES: &str = "80e55468 01";

    /// The pairs of bytes and text are those of Bitcoin Core's `net_tests` (Tor v3, Tor v2, I2P, CJDNS).
    #[test]
    fn addrv2_of_every_network() {
        let mut payload = String::from("08");
        for address in [
            "01 04 01020304 208d",
            "02 10 20010db8000000000000000000000001 208d",
            "03 0a f1f2f3f4f5f6f7f8f9fa 208d",
            "04 20 79bcc625184b05194975c28b66b66b0469f7f6556fb1ac3189a79b40dda32f1f 208d",
            "05 20 a2894dabaec08c0051a481a6dac88b64f98232ae42d4b6fd2fa81952dfe36a87 0000",
            "06 10 fc000001000200030004000500060007 208d",
            // unknown networks: bytes, also where there are as many as another network has
            "07 03 beef01 208d",
            "63 04 01020304 208d",
        ] {
            payload += &format!("{TIME_AND_SERVICES} {address}");
        }
        check(
            "addrv2",
            &payload,
            expect![[r#"
            net.addrv2 {"size":190,"addresses":[
                {"time":1750394240,"timeText":"2025-06-20T04:37:20Z","services":"1","network":"ipv4","address":"1.2.3.4","port":8333},
                {"time":1750394240,"timeText":"2025-06-20T04:37:20Z","services":"1","network":"ipv6","address":"2001:db8::1","port":8333},
                {"time":1750394240,"timeText":"2025-06-20T04:37:20Z","services":"1","network":"torv2","address":"6hzph5hv6337r6p2.onion","port":8333},
                {"time":1750394240,"timeText":"2025-06-20T04:37:20Z","services":"1","network":"onion","address":"pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion","port":8333},
                {"time":1750394240,"timeText":"2025-06-20T04:37:20Z","services":"1","network":"i2p","address":"ukeu3k5oycgaauneqgtnvselmt4yemvoilkln7jpvamvfx7dnkdq.b32.i2p","port":0},
                {"time":1750394240,"timeText":"2025-06-20T04:37:20Z","services":"1","network":"cjdns","address":"fc00:1:2:3:4:5:6:7","port":8333},
                {"time":1750394240,"timeText":"2025-06-20T04:37:20Z","services":"1","network":"other","address":"beef01","port":8333,"networkId":7},
                {"time":1750394240,"timeText":"2025-06-20T04:37:20Z","services":"1","network":"other","address":"01020304","port":8333,"networkId":99}]}"#]],
        );
    }

    #[test]
    fn services_of_addrv2_are_a_compact_size() {
        check(
            "addrv2",
            "01 80e55468 fd0904 01 04 01020304 208d",
            expect![[r#"
            net.addrv2 {"size":16,"addresses":[
                {"time":1750394240,"timeText":"2025-06-20T04:37:20Z","services":"1033","network":"ipv4","address":"1.2.3.4","port":8333}]}"#]],
        );
    }

    /// Bitcoin Core goes on after an entry that it does not like (OnionCat, IPv4 in IPv6, CJDNS elsewhere than fc00::/8); only a
    /// wrong length makes it refuse the message.
    #[test]
    fn one_bad_entry_makes_the_whole_addrv2_undecodable() {
        check(
            "addrv2",
            "01 80e55468 01 02 10 fd87d87eeb4300000000000000000001 208d",
            expect![[
                r#"net.undecodable {"size":26,"messageType":"addrv2","reason":"malformed","detail":"parse failed: OnionCat address sent with IPv6 network id"}"#
            ]],
        );
        check(
            "addrv2",
            "01 80e55468 01 02 10 00000000000000000000ffff01020304 208d",
            expect![[
                r#"net.undecodable {"size":26,"messageType":"addrv2","reason":"malformed","detail":"parse failed: IPV4 wrapped address sent with IPv6 network id"}"#
            ]],
        );
        check(
            "addrv2",
            "01 80e55468 01 06 10 20010db8000000000000000000000001 208d",
            expect![[
                r#"net.undecodable {"size":26,"messageType":"addrv2","reason":"malformed","detail":"parse failed: Invalid CJDNS address"}"#
            ]],
        );
        check(
            "addrv2",
            "01 80e55468 01 01 05 0102030405 208d",
            expect![[
                r#"net.undecodable {"size":15,"messageType":"addrv2","reason":"malformed","detail":"parse failed: Invalid IPv4 address"}"#
            ]],
        );
        check(
            "addrv2",
            "01 80e55468 01 63 fd0102",
            expect![[
                r#"net.undecodable {"size":10,"messageType":"addrv2","reason":"malformed","detail":"parse failed: IP must be <= 512 bytes"}"#
            ]],
        );
    }

    #[test]
    fn networks_of_text() {
        #[track_caller]
        fn check(expect: Network, addresses: &[&str]) {
            for address in addresses {
                assert_eq!(network_of(address), expect, "{address}");
            }
        }
        check(Network::Ipv4, &["203.0.113.7:8333", "8.8.8.8"]);
        check(Network::Ipv6, &["[2001:db8::1]:8333", "2a00::1"]);
        check(Network::NotPubliclyRoutable, &["127.0.0.1:18444", "10.1.2.3:1", "192.168.0.1:1", "172.16.0.1:1", "0.0.0.0:0"]);
        check(Network::NotPubliclyRoutable, &["[::1]:8333", "[fd00::1]:8333", "[fe80::1]:8333", "[fe80::1%eth0]:8333", "[::]:0"]);
        check(Network::Cjdns, &["[fc00:1:2:3:4:5:6:7]:8333"]);
        let onion = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion";
        check(Network::Onion, &[onion, &format!("{onion}:8333")]);
        check(Network::I2p, &["ukeu3k5oycgaauneqgtnvselmt4yemvoilkln7jpvamvfx7dnkdq.b32.i2p:0"]);
        check(Network::Unspecified, &["", "seed.example.org:8333", "seed.example.org", ":", "onion", "1.2.3"]);
    }
}

/// Where Bitcoin Core and rust-bitcoin differ, and what cannot be read at all.
mod undecodable {
    use super::*;

    #[test]
    fn an_empty_ping_has_no_nonce() {
        check("ping", "", expect![[r#"net.ping {"size":0}"#]]);
        check(
            "pong",
            "",
            expect![[
                r#"net.undecodable {"size":0,"messageType":"pong","reason":"too_short","detail":"payload ends before the message does"}"#
            ]],
        );
        check(
            "ping",
            "01020304",
            expect![[
                r#"net.undecodable {"size":4,"messageType":"ping","reason":"too_short","detail":"payload ends before the message does"}"#
            ]],
        );
    }

    #[test]
    fn trailing_bytes() {
        check(
            "ping",
            "0807060504030201 00",
            expect![[
                r#"net.undecodable {"size":9,"messageType":"ping","reason":"trailing_bytes","detail":"1 bytes after the message"}"#
            ]],
        );
        check(
            "verack",
            "00",
            expect![[
                r#"net.undecodable {"size":1,"messageType":"verack","reason":"trailing_bytes","detail":"1 bytes after the message"}"#
            ]],
        );
        check(
            "wtxidrelay",
            "beef",
            expect![[
                r#"net.undecodable {"size":2,"messageType":"wtxidrelay","reason":"trailing_bytes","detail":"2 bytes after the message"}"#
            ]],
        );
        check(
            "inv",
            "00 beef",
            expect![[
                r#"net.undecodable {"size":3,"messageType":"inv","reason":"trailing_bytes","detail":"2 bytes after the message"}"#
            ]],
        );
        check(
            "headers",
            "00 beef",
            expect![[
                r#"net.undecodable {"size":3,"messageType":"headers","reason":"trailing_bytes","detail":"2 bytes after the message"}"#
            ]],
        );
        check(
            "tx",
            &format!("{SEGWIT} 00"),
            expect![[
                r#"net.undecodable {"size":76,"messageType":"tx","reason":"trailing_bytes","detail":"1 bytes after the message"}"#
            ]],
        );
    }

    #[test]
    fn a_version_that_core_accepts_and_we_do_not() {
        check(
            "version",
            VERSION_START,
            expect![[
                r#"net.undecodable {"size":46,"messageType":"version","reason":"too_short","detail":"payload ends before the message does"}"#
            ]],
        );
        check(
            "version",
            &format!("{VERSION_START} {VERSION_REST}"),
            expect![[
                r#"net.undecodable {"size":101,"messageType":"version","reason":"too_short","detail":"payload ends before the message does"}"#
            ]],
        );
        // relay = 2
        check(
            "version",
            &format!("{VERSION_START} {VERSION_REST} 02"),
            expect![[
                r#"net.undecodable {"size":102,"messageType":"version","reason":"not_canonical","detail":"would be written with other bytes"}"#
            ]],
        );
        // a user agent that is no UTF-8
        let agent = "0000000000000000 00000000000000000000000000000000 0000 0807060504030201 01 ff a0bb0d00 01";
        check(
            "version",
            &format!("{VERSION_START} {agent}"),
            expect![[
                r#"net.undecodable {"size":87,"messageType":"version","reason":"malformed","detail":"parse failed: String was not valid UTF8"}"#
            ]],
        );
    }

    #[test]
    fn values_that_nobody_would_write() {
        check(
            "sendcmpct",
            "02 0200000000000000",
            expect![[
                r#"net.undecodable {"size":9,"messageType":"sendcmpct","reason":"malformed","detail":"parse failed: first byte was not 0 or 1"}"#
            ]],
        );
        check(
            "headers",
            &format!("01 {GENESIS} 01"),
            expect![[
                r#"net.undecodable {"size":82,"messageType":"headers","reason":"not_canonical","detail":"a header announces transactions"}"#
            ]],
        );
        check(
            "headers",
            &format!("01 {GENESIS} fd0000"),
            expect![[
                r#"net.undecodable {"size":84,"messageType":"headers","reason":"not_canonical","detail":"a header announces transactions"}"#
            ]],
        );
        check(
            "reject",
            &format!("02 7478 44 00 {}", hash(1)),
            expect![[
                r#"net.undecodable {"size":37,"messageType":"reject","reason":"malformed","detail":"parse failed: unknown reject code"}"#
            ]],
        );
        check(
            "filterload",
            "00 00000000 00000000 03",
            expect![[
                r#"net.undecodable {"size":10,"messageType":"filterload","reason":"malformed","detail":"parse failed: unknown bloom flag"}"#
            ]],
        );
        // a segwit flag, but no witness
        check(
            "tx",
            &format!("02000000 00 01 01 {} 00000000 00 00000000 00 00 00000000", hash(1)),
            expect![[
                r#"net.undecodable {"size":54,"messageType":"tx","reason":"malformed","detail":"parse failed: witness flag set but no witnesses present"}"#
            ]],
        );
        // the second index would be 2^64
        check(
            "getblocktxn",
            &format!("{} 02 ffffffffffffffffff 00", hash(1)),
            expect![[
                r#"net.undecodable {"size":43,"messageType":"getblocktxn","reason":"malformed","detail":"parse failed: block index overflow"}"#
            ]],
        );
        // BIP 152 has 16 bits for an index
        check(
            "cmpctblock",
            &format!("{GENESIS} 0000000000000000 00 01 fe00000100 {COINBASE}"),
            expect![[
                r#"net.undecodable {"size":299,"messageType":"cmpctblock","reason":"malformed","detail":"parse failed: BIP152 prefilled tx index out of bounds"}"#
            ]],
        );
    }

    #[test]
    fn a_compact_size_longer_than_need_be() {
        check(
            "inv",
            "fd0000",
            expect![[r#"net.undecodable {"size":3,"messageType":"inv","reason":"malformed","detail":"non-minimal varint"}"#]],
        );
        check(
            "headers",
            "fe00000000",
            expect![[r#"net.undecodable {"size":5,"messageType":"headers","reason":"malformed","detail":"non-minimal varint"}"#]],
        );
        check(
            "addrv2",
            "01 80e55468 fd0100 01 04 01020304 208d",
            expect![[r#"net.undecodable {"size":16,"messageType":"addrv2","reason":"malformed","detail":"non-minimal varint"}"#]],
        );
    }

    /// A fee rate outside of the money range is ignored by Bitcoin Core, but nothing is lost by decoding it.
    #[test]
    fn any_fee_rate_is_decoded() {
        check("feefilter", "ffffffffffffffff", expect![[r#"net.feefilter {"size":8,"feerate":"-1"}"#]]);
        check("feefilter", "ffffffffffffff7f", expect![[r#"net.feefilter {"size":8,"feerate":"9223372036854775807"}"#]]);
    }

    /// BIP 434: 4 to 80 bytes of ASCII, at most 512 of data.
    #[test]
    fn bounds_of_feature() {
        let rendered = |id: usize, data: usize| {
            let mut payload = vec![id as u8];
            payload.extend(vec![b'x'; id]);
            payload.extend(if data < 0xfd { vec![data as u8] } else { [vec![0xfd], (data as u16).to_le_bytes().into()].concat() });
            payload.extend(vec![0; data]);
            render(&message(b"feature", &payload))
        };
        assert!(rendered(4, 0).starts_with("net.feature "));
        assert!(rendered(80, 512).starts_with("net.feature "));
        expect![[r#"net.undecodable {"size":5,"raw":"0378787800","messageType":"feature","reason":"malformed","detail":"id of 3 bytes, data of 0"}"#]].assert_eq(&rendered(3, 0));
        assert!(rendered(81, 0).ends_with(r#""reason":"malformed","detail":"id of 81 bytes, data of 0"}"#));
        assert!(rendered(80, 513).ends_with(r#""reason":"malformed","detail":"id of 80 bytes, data of 513"}"#));
        check(
            "feature",
            "04 ff6f6d65 00",
            expect![[r#"net.undecodable {"size":6,"messageType":"feature","reason":"malformed","detail":"id is not ASCII"}"#]],
        );
    }

    #[test]
    fn payloads_that_end_too_early() {
        check(
            "inv",
            "02 01000000",
            expect![[
                r#"net.undecodable {"size":5,"messageType":"inv","reason":"too_short","detail":"payload ends before the message does"}"#
            ]],
        );
        // 2^64-1 entries are announced
        check(
            "inv",
            "ffffffffffffffffff",
            expect![[
                r#"net.undecodable {"size":9,"messageType":"inv","reason":"too_short","detail":"payload ends before the message does"}"#
            ]],
        );
        check(
            "tx",
            "",
            expect![[
                r#"net.undecodable {"size":0,"messageType":"tx","reason":"too_short","detail":"payload ends before the message does"}"#
            ]],
        );
        check(
            "block",
            GENESIS,
            expect![[
                r#"net.undecodable {"size":80,"messageType":"block","reason":"too_short","detail":"payload ends before the message does"}"#
            ]],
        );
    }

    #[test]
    fn types_that_are_not_known() {
        check(
            "sendpackages",
            "01 0000",
            expect![[r#"net.undecodable {"size":3,"messageType":"sendpackages","reason":"unknown_type","detail":""}"#]],
        );
        check("", "", expect![[r#"net.undecodable {"size":0,"messageType":"","reason":"unknown_type","detail":""}"#]]);
        check("PING", "", expect![[r#"net.undecodable {"size":0,"messageType":"PING","reason":"unknown_type","detail":""}"#]]);
        // as sent: quotes and backslashes too
        check(
            r#"a\b'c" ~"#,
            "",
            expect![[r#"net.undecodable {"size":0,"messageType":"a\\b'c\" ~","reason":"unknown_type","detail":""}"#]],
        );
    }

    /// Bitcoin Core lets none of these through.
    #[test]
    fn types_that_are_not_text_are_escaped() {
        expect![[
            r#"net.undecodable {"size":0,"raw":"","messageType":"p\\x00\\xff\\x7f\\x0a","reason":"unknown_type","detail":""}"#
        ]]
        .assert_eq(&render(&message(b"p\x00\xff\x7f\n", b"")));
    }

    #[test]
    fn a_part_of_a_payload() {
        let cut = Message { size: 4_000_001, captured: Captured::Cut, ..message(b"block", &[0xbe, 0xef]) };
        expect![[
            r#"net.undecodable {"size":4000001,"raw":"beef","messageType":"block","reason":"cut","detail":"2 of 4000001 bytes"}"#
        ]]
        .assert_eq(&render(&cut));
        let unreadable = Message { size: 8, captured: Captured::Unreadable, ..message(b"ping", b"") };
        expect![[
            r#"net.undecodable {"size":8,"raw":"","messageType":"ping","reason":"unreadable","detail":"payload was not in memory"}"#
        ]]
        .assert_eq(&render(&unreadable));
    }
}

#[test]
fn raw_bytes_are_kept_where_asked_for() {
    let kept = |payload| render(&Message { keep_raw: true, ..message(b"ping", payload) });
    expect![[r#"net.ping {"size":8,"raw":"0101010101010101","nonce":"72340172838076673"}"#]].assert_eq(&kept(&[1; 8]));
    // an empty payload is not the same as none
    expect![[r#"net.ping {"size":0,"raw":""}"#]].assert_eq(&kept(&[]));
    // kept in any case
    expect![[r#"net.undecodable {"size":9,"raw":"010101010101010101","messageType":"ping","reason":"trailing_bytes","detail":"1 bytes after the message"}"#]].assert_eq(&kept(&[1; 9]));
}
