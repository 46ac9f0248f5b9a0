//! Which tracepoints a program file has: its SystemTap notes.
//!
//! A note per call site, in the ELF section `.note.stapsdt`: addresses of the site and of the counter that enables it, provider,
//! name, and where each argument is found. Sections of a hostile file may say anything; what is read is bounded, and nothing
//! makes this panic. Reference: systemtap's wiki, `UserSpaceProbeImplementation`, and `sys/sdt.h`.

mod argument;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use object::read::elf::{ElfFile64, FileHeader as _};
use object::{Endianness, Object as _, ObjectSection as _, ReadCache, ReadRef};

use argument::arguments;
pub use argument::{Argument, Place};

/// Notes of the largest program seen take 20 kB.
const MAX_SECTION: u64 = 4 << 20;

/// One call site of a tracepoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// `net`
    pub provider: String,
    /// `inbound_message`
    pub name: String,
    /// Address of the site, before relocation.
    pub location: u64,
    /// Address of the counter of tracers; arguments are prepared while it is above zero. 0: there is none (Bitcoin Core 28 and
    /// older).
    pub semaphore: u64,
    /// Where the arguments are found.
    pub arguments: Vec<Argument>,
}

/// Why the notes of a file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotesError {
    /// The file cannot be read.
    #[error("failed to read {}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is no program for this kind of machine.
    #[error("{} is no 64-bit ELF program file: {detail}", path.display())]
    NotElf {
        /// Which file.
        path: PathBuf,
        /// What was not as it should be.
        detail: String,
    },
}

/// The notes of a program file; none when it was built without tracepoints.
///
/// # Errors
///
/// The file cannot be read, or is no program.
pub fn read(path: &Path) -> Result<Vec<Note>, NotesError> {
    let file = File::open(path).map_err(|error| NotesError::Io { path: path.to_owned(), error })?;
    read_file(file, path)
}

/// The notes of a program file that is open already; `path` is what it is called in errors.
///
/// # Errors
///
/// As [`read`].
pub fn read_file(file: File, path: &Path) -> Result<Vec<Note>, NotesError> {
    // reads what is asked for, not the whole file, which may be hundreds of megabytes with debug information
    parse(&ReadCache::new(file)).map_err(|detail| NotesError::NotElf { path: path.to_owned(), detail })
}

fn parse<'data>(data: impl ReadRef<'data>) -> Result<Vec<Note>, String> {
    let elf = ElfFile64::<Endianness, _>::parse(data).map_err(|error| error.to_string())?;
    let machine = elf.elf_header().e_machine(elf.endian());
    let Some(section) = elf.section_by_name(".note.stapsdt") else { return Ok(Vec::new()) };
    if section.size() > MAX_SECTION {
        return Err(format!("its notes take {} bytes", section.size()));
    }
    let bytes = section.data().map_err(|error| error.to_string())?;
    Ok(Notes { rest: bytes, machine, little: elf.is_little_endian() }.collect())
}

/// Walks through a section of notes; ends at the first that is damaged.
struct Notes<'a> {
    rest: &'a [u8],
    machine: object::elf::Machine,
    little: bool,
}

impl Iterator for Notes<'_> {
    type Item = Note;

    fn next(&mut self) -> Option<Note> {
        loop {
            let (header, rest) = self.rest.split_at_checked(12)?;
            let [name_size, description_size, kind] = [0, 4, 8].map(|at| self.number::<4>(header, at));
            let (name, rest) = split_padded(rest, name_size?)?;
            let (description, rest) = split_padded(rest, description_size?)?;
            self.rest = rest;
            if name == b"stapsdt\0" && kind == Some(3) {
                return self.note(description);
            }
        }
    }
}

impl Notes<'_> {
    fn note(&self, description: &[u8]) -> Option<Note> {
        let (addresses, text) = description.split_at_checked(24)?;
        let mut strings = text.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        Some(Note {
            provider: strings.next()?.into_owned(),
            name: strings.next()?.into_owned(),
            location: self.number::<8>(addresses, 0)?,
            semaphore: self.number::<8>(addresses, 16)?,
            arguments: arguments(&strings.next()?, self.machine),
        })
    }

    fn number<const WIDTH: usize>(&self, bytes: &[u8], at: usize) -> Option<u64> {
        let mut number = *bytes.get(at..)?.first_chunk::<WIDTH>()?;
        if self.little {
            number.reverse();
        }
        Some(number.into_iter().fold(0, |sum, byte| sum << 8 | u64::from(byte)))
    }
}

/// `size` bytes, and what follows the padding to a multiple of four behind them.
fn split_padded(bytes: &[u8], size: u64) -> Option<(&[u8], &[u8])> {
    let size = usize::try_from(size).ok()?;
    let taken = bytes.get(..size)?;
    // the last note may lack its padding
    Some((taken, bytes.get(size.checked_next_multiple_of(4)?..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An ELF file with nothing but a section of notes.
    fn elf(machine: u16, notes: &[u8]) -> Vec<u8> {
        let names = b"\0.note.stapsdt\0.shstrtab\0";
        let notes_at = 64;
        let names_at = notes_at + notes.len();
        let sections_at = names_at + names.len();
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        file.extend(3_u16.to_le_bytes());
        file.extend(machine.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        for word in [0, 0, sections_at as u64] {
            file.extend(word.to_le_bytes());
        }
        file.extend(0_u32.to_le_bytes());
        for half in [64_u16, 56, 0, 64, 3, 2] {
            file.extend(half.to_le_bytes());
        }
        file.extend(notes);
        file.extend(names);
        for (name, kind, at, size) in [(0_u32, 0_u32, 0, 0), (1, 7, notes_at, notes.len()), (15, 3, names_at, names.len())] {
            file.extend(name.to_le_bytes());
            file.extend(kind.to_le_bytes());
            for word in [0, 0, at as u64, size as u64] {
                file.extend(word.to_le_bytes());
            }
            file.extend([0; 8]);
            file.extend(1_u64.to_le_bytes());
            file.extend([0; 8]);
        }
        file
    }

    fn note(provider: &str, name: &str, arguments: &str) -> Vec<u8> {
        let text = format!("{provider}\0{name}\0{arguments}\0");
        let mut note = Vec::new();
        for word in [8, 24 + text.len() as u32, 3] {
            note.extend(word.to_le_bytes());
        }
        note.extend(b"stapsdt\0");
        for address in [0x1234_u64, 0, 0x5678] {
            note.extend(address.to_le_bytes());
        }
        note.extend(text.as_bytes());
        note.resize(note.len().next_multiple_of(4), 0);
        note
    }

    #[test]
    fn notes_of_an_aarch64_program() {
        let notes = [note("net", "misbehaving_connection", "-8@x21 8@[sp, 16]"), note("utxocache", "flush", "-8@x0")].concat();
        let notes = parse(elf(0xb7, &notes).as_slice()).unwrap();
        let names: Vec<_> = notes.iter().map(|note| format!("{}:{} {}", note.provider, note.name, note.arguments.len())).collect();
        assert_eq!(names, ["net:misbehaving_connection 2", "utxocache:flush 1"]);
        assert_eq!((notes[0].location, notes[0].semaphore), (0x1234, 0x5678));
    }

    #[test]
    fn notes_of_this_very_program() {
        probe::probe!(peer_observer, notes_test, 1_u8);
        let notes = read(Path::new("/proc/self/exe")).unwrap();
        let note = notes.iter().find(|note| note.provider == "peer_observer" && note.name == "notes_test").unwrap();
        assert_eq!(note.arguments.len(), 1);
    }

    #[test]
    fn what_is_no_program_is_named() {
        let error = read(Path::new("Cargo.toml")).unwrap_err().to_string();
        assert!(error.starts_with("Cargo.toml is no 64-bit ELF program file: "), "{error}");
        let error = read(Path::new("/nonexistent")).unwrap_err().to_string();
        assert_eq!(error, "failed to read /nonexistent: No such file or directory (os error 2)");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(bytes.as_slice());
            let _ = parse(elf(0x3e, &bytes).as_slice());
        }

        #[test]
        fn no_damage_makes_it_panic(at in 0..400_usize, byte: u8, text in "[-0-9a-z@%$()\\[\\], ]{0,40}", machine in prop_oneof![Just(0x3e_u16), Just(0xb7)]) {
            let mut file = elf(machine, &note("net", "inbound_message", &text));
            if let Some(place) = file.get_mut(at) {
                *place = byte;
            }
            let _ = parse(file.as_slice());
        }
    }
}
