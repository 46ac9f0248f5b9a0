//! Where a tracepoint's arguments are found: the descriptors of its note.

use std::fmt;

use object::elf::{EM_AARCH64, EM_X86_64, Machine};

/// Where an argument is found: `-8@%r12`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Argument {
    /// Whether it is to be sign-extended.
    pub signed: bool,
    /// Bytes: 1, 2, 4 or 8.
    pub width: u8,
    /// The place.
    pub place: Place,
}

/// The place of an argument.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// `$5` on x86-64, `5` on aarch64.
    Constant(i64),
    /// `%r12`, `x0`
    Register(String),
    /// `192(%rsp)`, `[sp, 16]`, `8(%rax,%rbx,4)`
    Memory {
        /// Register of the address.
        base: String,
        /// Added to it.
        offset: i64,
        /// Register that is multiplied and added.
        index: Option<(String, u8)>,
    },
    /// Something that this release cannot read; libbpf may or may not.
    Other(String),
}

/// The descriptors in a note's text. They are separated by blanks, but on aarch64 have some within brackets too.
pub(super) fn arguments(text: &str, machine: Machine) -> Vec<Argument> {
    let mut depth = 0_u32;
    text.split(|c| {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ' ' && depth == 0
    })
    .filter(|word| !word.is_empty())
    .map(|word| argument(word, machine))
    .collect()
}

fn argument(text: &str, machine: Machine) -> Argument {
    let (width, place) = text.split_once('@').unwrap_or(("", text));
    let (signed, width) = width.strip_prefix('-').map_or((false, width), |width| (true, width));
    let other = || Place::Other(place.to_owned());
    let (width, place) = match width.parse() {
        Ok(width @ (1 | 2 | 4 | 8)) => (
            width,
            match machine {
                EM_X86_64 => x86_64(place),
                EM_AARCH64 => aarch64(place),
                _ => None,
            }
            .unwrap_or_else(other),
        ),
        // a floating-point argument (`8f@%xmm0`), or nonsense
        _ => (8, Place::Other(text.to_owned())),
    };
    Argument { signed, width, place }
}

/// AT&T syntax: `$5`, `%rax`, `8(%rsp)`, `(%rax)`, `-96(%rbp,%rax,8)`.
fn x86_64(text: &str) -> Option<Place> {
    if let Some(number) = text.strip_prefix('$') {
        return Some(Place::Constant(number.parse().ok()?));
    }
    if let Some(register) = text.strip_prefix('%') {
        return Some(Place::Register(register_name(register)?));
    }
    let (offset, address) = text.strip_suffix(')')?.split_once('(')?;
    let offset = if offset.is_empty() { 0 } else { offset.parse().ok()? };
    let mut parts = address.split(',');
    let base = register_name(parts.next()?.strip_prefix('%')?)?;
    let index = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => None,
        (Some(index), scale, None) => {
            let scale = scale.map_or(Ok(1), str::parse).ok().filter(|scale| matches!(scale, 1 | 2 | 4 | 8))?;
            Some((register_name(index.strip_prefix('%')?)?, scale))
        }
        _ => return None,
    };
    Some(Place::Memory { base, offset, index })
}

/// `5`, `x0`, `[sp]`, `[sp, 16]`, `[x29,-24]`, `[x1, x2]`, `[x1, x2, lsl 3]`.
fn aarch64(text: &str) -> Option<Place> {
    let Some(address) = text.strip_prefix('[') else {
        return text.parse().map(Place::Constant).ok().or_else(|| Some(Place::Register(register_name(text)?)));
    };
    let mut parts = address.strip_suffix(']')?.split(',').map(str::trim);
    let base = register_name(parts.next()?)?;
    let (offset, index) = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => (0, None),
        (Some(second), None, _) => match second.trim_start_matches('#').parse() {
            Ok(offset) => (offset, None),
            Err(_) => (0, Some((register_name(second)?, 1))),
        },
        (Some(second), Some(third), None) => {
            let shift = third.strip_prefix("lsl")?.trim().trim_start_matches('#').parse::<u32>().ok().filter(|shift| *shift < 4)?;
            (0, Some((register_name(second)?, 1 << shift)))
        }
        _ => return None,
    };
    Some(Place::Memory { base, offset, index })
}

fn register_name(text: &str) -> Option<String> {
    let plausible = text.starts_with(|c: char| c.is_ascii_lowercase()) && text.len() <= 5;
    (plausible && text.chars().all(|c| c.is_ascii_alphanumeric())).then(|| text.to_owned())
}

impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, bits) = (if self.signed { 'i' } else { 'u' }, u32::from(self.width) * 8);
        match &self.place {
            Place::Constant(number) => write!(f, "{sign}{bits} constant {number}"),
            Place::Register(register) => write!(f, "{sign}{bits} in {register}"),
            Place::Memory { base, offset, index } => {
                write!(f, "{sign}{bits} at {base}{offset:+}")?;
                index.as_ref().map_or(Ok(()), |(register, scale)| write!(f, "+{register}*{scale}"))
            }
            Place::Other(text) => write!(f, "{text}, which this release cannot read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    fn check(machine: Machine, text: &str, expect: &Expect) {
        let lines: Vec<_> = arguments(text, machine).iter().map(ToString::to_string).collect();
        expect.assert_eq(&lines.join("\n"));
    }

    #[test]
    fn descriptors_of_x86_64() {
        check(
            EM_X86_64,
            "-8@%r12 8@192(%rsp) -4@$5 8@(%rax) -1@-96(%rbp,%rax,8) 4@%eax 8f@%xmm0 8@sym(%rip) 1@$-1",
            &expect![[r#"
                i64 in r12
                u64 at rsp+192
                i32 constant 5
                u64 at rax+0
                i8 at rbp-96+rax*8
                u32 in eax
                8f@%xmm0, which this release cannot read
                sym(%rip), which this release cannot read
                u8 constant -1"#]],
        );
    }

    /// Written after `net:inbound_message` and others in an aarch64 build of Bitcoin Core by GCC 12.
    #[test]
    fn descriptors_of_aarch64() {
        check(
            EM_AARCH64,
            "-8@x21 8@x0 8@[sp, 16] 8@[x29,-24] -4@5 8@[x19] 4@w2 8@[x1, x2, lsl 3] 8@[sp, 4096] 1@[x20, x3]",
            &expect![[r#"
                i64 in x21
                u64 in x0
                u64 at sp+16
                u64 at x29-24
                i32 constant 5
                u64 at x19+0
                u32 in w2
                u64 at x1+0+x2*8
                u64 at sp+4096
                u8 at x20+0+x3*1"#]],
        );
    }
}
