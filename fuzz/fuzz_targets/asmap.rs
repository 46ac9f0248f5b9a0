//! Any bytes as a map of autonomous systems. No panic, and what is taken for a map answers, whatever is looked up.
//!
//! Input: 16 bytes of address, then the file.
#![no_main]

use detect::entity::Asmap;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((ip, bytes)) = input.split_first_chunk::<16>() else { return };
    if let Ok(map) = Asmap::read(bytes.to_vec()) {
        let _ = map.lookup(std::net::Ipv6Addr::from(*ip).into());
    }
});
