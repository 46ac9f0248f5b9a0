//! Any bytes as what stands around the frames of a segment: header, head, tail and index. No panic; a header and a head that were read are
//! the same after writing and reading them.
//!
//! Input: a byte that says what the rest is.
#![no_main]

use event::archive::Head;
use event::archive::segment::{Header, TAIL, Tail, next_frame, read_index};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((what, bytes)) = input.split_first() else { return };
    match what % 3 {
        0 => {
            if let Ok((header, length)) = Header::from_bytes(bytes) {
                assert!(length <= bytes.len());
                assert_eq!(Header::from_bytes(&header.to_bytes()).map(|(header, _)| header), Ok(header));
            }
        }
        1 => {
            if let Ok(head) = Head::from_bytes(bytes) {
                assert_eq!(Head::from_bytes(&head.to_bytes()), Ok(head));
            }
            if let Some(at) = next_frame(bytes, 0) {
                assert!(at < bytes.len());
            }
        }
        _ => {
            let (index, tail) = bytes.split_at(bytes.len().saturating_sub(TAIL));
            if let Ok(tail) = Tail::from_bytes(tail) {
                let _ = tail.fits(0, index);
                // who knows where the frames begin believes no more than who does not
                if let Ok(entries) = read_index(&tail, Some(0), index) {
                    assert_eq!(read_index(&tail, None, index), Ok(entries));
                }
            }
        }
    }
});
