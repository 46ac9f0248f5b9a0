//! Which autonomous system an address belongs to, by the file that Bitcoin Core uses (`-asmap`, `src/util/asmap.cpp`).
//!
//! The file is a program of bits. Each instruction is a number of variable length; an address is looked up by running it with the address's
//! bits as input, IPv4 as `::ffff:a.b.c.d`:
//!
//! | bits | instruction | argument | does |
//! |---|---|---|---|
//! | `0` | return | a number of at least 1 | this system |
//! | `10` | jump | an offset of at least 17 bits | goes on here if the next input bit is 0, and so many bits further if it is 1 |
//! | `110` | match | 2 to 511 | compares as many input bits as follow its first 1 bit; the default if they differ |
//! | `111` | default | a number of at least 1 | what a match that fails returns from now on |
//!
//! Bits of a byte are read from the lowest. An argument has a class, written as so many 1 bits and a 0 (which the last class goes without),
//! and its place in the class, highest bit first; each class is as large as its number of bits allows.
//!
//! A file is checked as a whole before anything is looked up: every path ends, no jump leads into the middle of an instruction or beyond the
//! end, no more than 128 input bits are used, and nothing is unreachable or said in a longer way than necessary. So a lookup terminates and
//! never fails.

use std::fmt;
use std::net::IpAddr;

use sha3::{Digest as _, Sha3_256};

/// The largest file that is read. Maps of the whole Internet have 1.5 MB.
pub const LARGEST: usize = 32 << 20;

/// Bits of an address.
const INPUT: u32 = 128;

/// A checked map.
#[derive(Clone, PartialEq, Eq)]
pub struct Asmap {
    bits: Box<[u8]>,
    version: String,
}

/// Bytes that are no map.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AsmapError {
    /// More than any map has.
    #[error("not a map of autonomous systems: it has {0} bytes, more than {LARGEST}")]
    TooLarge(usize),
    /// It does not make sense at this bit.
    #[error("not a map of autonomous systems: {what} at bit {bit}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// Where.
        bit: usize,
    },
}

impl Asmap {
    /// Reads a file's content.
    ///
    /// # Errors
    ///
    /// It is no map, or one that Bitcoin Core would refuse.
    pub fn read(bytes: Vec<u8>) -> Result<Self, AsmapError> {
        if bytes.len() > LARGEST {
            return Err(AsmapError::TooLarge(bytes.len()));
        }
        check(&bytes)?;
        let digest = Sha3_256::digest(&bytes);
        let version = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { bits: bytes.into(), version })
    }

    /// What tells this map from others: the beginning of its hash.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The system of an address; `None` where the map has none.
    pub fn lookup(&self, ip: IpAddr) -> Option<u32> {
        let mut input = Input(match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits(),
        });
        let mut code = Code { bytes: &self.bits, at: 0 };
        let mut default = None;
        // a checked map ends with a return on every path; `None` would be the answer otherwise
        loop {
            match code.instruction()? {
                Instruction::Return(number) => return Some(number),
                Instruction::Jump(offset) => {
                    if input.next() == 1 {
                        code.at += offset as usize;
                    }
                }
                Instruction::Match(pattern) => {
                    for bit in (0..pattern.ilog2()).rev() {
                        if input.next() != pattern >> bit & 1 {
                            return default;
                        }
                    }
                }
                Instruction::Default(number) => default = Some(number),
            }
        }
    }
}

impl fmt::Debug for Asmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asmap").field("version", &self.version).field("bytes", &self.bits.len()).finish()
    }
}

/// The bits of an address, from the highest.
struct Input(u128);

impl Input {
    fn next(&mut self) -> u32 {
        let bit = (self.0 >> 127) as u32;
        self.0 <<= 1;
        bit
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Instruction {
    Return(u32),
    Jump(u32),
    Match(u32),
    Default(u32),
}

#[derive(Clone, Copy)]
struct Code<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Code<'_> {
    fn end(&self) -> usize {
        self.bytes.len() * 8
    }

    fn bit(&mut self) -> Option<u32> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (self.at % 8) & 1;
        self.at += 1;
        Some(bit.into())
    }

    /// A number of variable length: the smallest there is, and the bits of each class.
    fn number(&mut self, least: u32, first: u32, last: u32) -> Option<u32> {
        let mut value = least;
        for bits in first..=last {
            if bits < last && self.bit()? == 1 {
                value += 1 << bits;
                continue;
            }
            for bit in (0..bits).rev() {
                value += self.bit()? << bit;
            }
            return Some(value);
        }
        None
    }

    fn instruction(&mut self) -> Option<Instruction> {
        Some(if self.bit()? == 0 {
            Instruction::Return(self.system()?)
        } else if self.bit()? == 0 {
            Instruction::Jump(self.number(17, 5, 30)?)
        } else if self.bit()? == 0 {
            Instruction::Match(self.number(2, 1, 8)?)
        } else {
            Instruction::Default(self.system()?)
        })
    }

    fn system(&mut self) -> Option<u32> {
        self.number(1, 15, 24)
    }
}

/// Walks through everything that a lookup may do.
fn check(bytes: &[u8]) -> Result<(), AsmapError> {
    let mut code = Code { bytes, at: 0 };
    let wrong = |what: &'static str, bit: usize| Err(AsmapError::Malformed { what, bit });
    // where the other side of each jump begins, and how many input bits are left there
    let mut jumps: Vec<(usize, u32)> = Vec::new();
    let mut left = INPUT;
    let mut before: Option<Instruction> = None;
    let mut short_match = false;
    loop {
        let at = code.at;
        if jumps.last().is_some_and(|(target, _)| at >= *target) {
            return wrong("a jump into an instruction", at);
        }
        let Some(instruction) = code.instruction() else { return wrong("it ends within a path", at) };
        let after_default = matches!(before, Some(Instruction::Default(_)));
        match instruction {
            Instruction::Return(_) if after_default => return wrong("a default that is the answer anyway", at),
            Instruction::Return(_) => {
                let Some((target, bits)) = jumps.pop() else { break };
                if code.at != target {
                    return wrong("an instruction that is never reached", code.at);
                }
                left = bits;
                before = None;
                continue;
            }
            Instruction::Jump(offset) => {
                let Some(rest) = left.checked_sub(1) else { return wrong("more input than an address has", at) };
                left = rest;
                let target = code.at + offset as usize;
                if target > code.end() {
                    return wrong("a jump beyond the end", at);
                }
                if jumps.last().is_some_and(|(outer, _)| target >= *outer) {
                    return wrong("jumps that cross", at);
                }
                jumps.push((target, left));
            }
            Instruction::Match(pattern) => {
                let length = pattern.ilog2();
                if !matches!(before, Some(Instruction::Match(_))) {
                    short_match = false;
                }
                if length < 8 && short_match {
                    return wrong("two matches that could be one", at);
                }
                short_match = length < 8;
                let Some(rest) = left.checked_sub(length) else { return wrong("more input than an address has", at) };
                left = rest;
            }
            Instruction::Default(_) if after_default => return wrong("two defaults in a row", at),
            Instruction::Default(_) => {}
        }
        before = Some(instruction);
    }
    if code.end() - code.at > 7 {
        return wrong("something after the end", code.at);
    }
    while let Some(bit) = code.bit() {
        if bit == 1 {
            return wrong("something after the end", code.at - 1);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
