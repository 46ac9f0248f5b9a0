use std::net::Ipv6Addr;

use proptest::prelude::*;

use super::*;

/// Writes programs: the other direction, for tests.
#[derive(Default)]
struct Writer(Vec<bool>);

impl Writer {
    fn number(&mut self, value: u32, least: u32, first: u32, last: u32) {
        let mut value = value - least;
        for bits in first..=last {
            if bits < last && value >= 1 << bits {
                self.0.push(true);
                value -= 1 << bits;
                continue;
            }
            if bits < last {
                self.0.push(false);
            }
            self.0.extend((0..bits).rev().map(|bit| value >> bit & 1 == 1));
            return;
        }
    }

    fn write(&mut self, instruction: Instruction) -> &mut Self {
        match instruction {
            Instruction::Return(number) => {
                self.0.push(false);
                self.number(number, 1, 15, 24);
            }
            Instruction::Jump(offset) => {
                self.0.extend([true, false]);
                self.number(offset, 17, 5, 30);
            }
            Instruction::Match(pattern) => {
                self.0.extend([true, true, false]);
                self.number(pattern, 2, 1, 8);
            }
            Instruction::Default(number) => {
                self.0.extend([true, true, true]);
                self.number(number, 1, 15, 24);
            }
        }
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit) << at);
        self.0.chunks(8).map(byte).collect()
    }
}

/// A tree: a system, or two halves.
#[derive(Clone, Debug)]
enum Tree {
    Leaf(u32),
    Halves(Box<Tree>, Box<Tree>),
}

impl Tree {
    /// As instructions, by jumps only. A system of 0 cannot be said, so none has it.
    fn write(&self) -> Writer {
        let mut writer = Writer::default();
        match self {
            Self::Leaf(number) => {
                writer.write(Instruction::Return(*number));
            }
            Self::Halves(zero, one) => {
                let zero = zero.write();
                writer.write(Instruction::Jump(zero.0.len() as u32));
                writer.0.extend(zero.0);
                writer.0.extend(one.write().0);
            }
        }
        writer
    }

    fn lookup(&self, ip: u128) -> u32 {
        match self {
            Self::Leaf(number) => *number,
            Self::Halves(zero, one) => if ip >> 127 == 1 { one } else { zero }.lookup(ip << 1),
        }
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let number = prop_oneof![1..=40_000_u32, 1..=16_743_424_u32];
    let leaf = number.prop_map(Tree::Leaf);
    leaf.prop_recursive(40, 120, 2, |inner| {
        (inner.clone(), inner).prop_map(|(zero, one)| Tree::Halves(Box::new(zero), Box::new(one)))
    })
}

fn v6(ip: u128) -> IpAddr {
    Ipv6Addr::from_bits(ip).into()
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), ip in any::<u128>()) {
        if let Ok(map) = Asmap::read(bytes) {
            map.lookup(v6(ip));
        }
    }

    /// Damage is found, or leaves a map that can be looked up in.
    #[test]
    fn damage_does_no_harm(tree in tree(), bit in any::<prop::sample::Index>(), ip in any::<u128>()) {
        let mut bytes = tree.write().bytes();
        let at = bit.index(bytes.len() * 8);
        bytes[at / 8] ^= 1 << (at % 8);
        if let Ok(map) = Asmap::read(bytes) {
            map.lookup(v6(ip));
        }
    }

    #[test]
    fn a_map_says_what_was_written(tree in tree(), ips in proptest::collection::vec(any::<u128>(), 20)) {
        let map = Asmap::read(tree.write().bytes()).unwrap();
        for ip in ips {
            prop_assert_eq!(map.lookup(v6(ip)), Some(tree.lookup(ip)));
        }
    }
}

use Instruction::{Default as Otherwise, Jump, Match, Return};

fn program(instructions: &[Instruction]) -> Vec<u8> {
    let mut writer = Writer::default();
    for instruction in instructions {
        writer.write(*instruction);
    }
    writer.bytes()
}

/// `::ffff:0:0/96` in matches of eight bits, and all of IPv4 is AS 7.
#[test]
fn ipv4_is_looked_up_as_ipv6_writes_it() {
    let mut instructions = vec![Otherwise(99)];
    instructions.extend([Match(0x100); 10]);
    instructions.extend([Match(0x1ff); 2]);
    instructions.push(Return(7));
    let map = Asmap::read(program(&instructions)).unwrap();
    assert_eq!(map.lookup("203.0.113.7".parse().unwrap()), Some(7));
    assert_eq!(map.lookup("2001:db8::1".parse().unwrap()), Some(99));
    assert_eq!(map.version().len(), 8);
}

#[test]
fn a_match_that_fails_without_default_is_no_system() {
    let map = Asmap::read(program(&[Match(0b11), Return(7)])).unwrap();
    assert_eq!(map.lookup(v6(1 << 127)), Some(7));
    assert_eq!(map.lookup(v6(0)), None);
}

#[test]
fn what_bitcoin_core_would_refuse_is_refused_with_a_reason() {
    #[track_caller]
    fn check(bytes: Vec<u8>, why: &str) {
        let error = Asmap::read(bytes).expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
    }
    // a `return` with a small number takes 17 bits
    let ending = |mut bytes: Vec<u8>, more: &[u8]| {
        bytes.extend(more);
        bytes
    };
    check(Vec::new(), "it ends within a path at bit 0");
    check(program(&[Otherwise(1)]), "it ends within a path");
    check(ending(program(&[Return(1)]), &[0]), "something after the end");
    check(program(&[Otherwise(1), Return(1)]), "a default that is the answer anyway");
    check(program(&[Otherwise(1), Otherwise(2), Match(2), Return(1)]), "two defaults in a row");
    check(program(&[Match(2), Match(2), Return(1)]), "two matches that could be one");
    check(program(&[Jump(1000), Return(1)]), "a jump beyond the end");
    check(program(&[Jump(18), Return(1), Return(1)]), "an instruction that is never reached");
    check(program(&[Jump(40), Jump(40), Return(1), Return(1), Return(1)]), "jumps that cross");
    check(
        [Match(0x100); 17]
            .iter()
            .fold(Writer::default(), |mut writer, one| {
                writer.write(*one);
                writer
            })
            .bytes(),
        "more input",
    );
    check(vec![0; LARGEST + 1], "more than 33554432");
}
