#![no_main]

use detect::entity::Asmap;
use libfuzzer_sys::fuzz_target;

// 16 bytes of address, and a file: what is taken for a map answers, whatever is looked up
fuzz_target!(|input: ([u8; 16], Vec<u8>)| {
    let (ip, bytes) = input;
    if let Ok(map) = Asmap::read(bytes) {
        let _ = map.lookup(std::net::Ipv6Addr::from(ip).into());
    }
});
