//! Shapes of lines that no row knows: noticing that a node says something new.
//!
//! The method is Drain's (He et al., 2017), cut down to what a few hundred shapes need: lines of one category, number of words and first
//! word are compared word by word; those that agree in half of them are one template, and where they differ it has a gap. See
//! `docs/design/0007-log-lines.md` for why this is not a library.

use std::collections::HashMap;

use super::category::Category;

/// The most templates that are kept. A node with every category on writes some hundred different unmatched statements.
const MOST: usize = 512;

/// Words of a line that are looked at; what follows is one more gap.
const WORDS: usize = 24;

/// Bytes of a word that are kept.
const WORD: usize = 32;

/// Bytes of a template that is reported.
const REPORTED: usize = 256;

/// What stands for words that vary.
const GAP: &str = "<*>";

/// Lines whose beginning was seen lately are not looked at, but for one in so many: what is unmatched may be most of the log.
const SAMPLE: u32 = 64;

/// Bytes that make up the beginning, up to the first digit.
const BEGINNING: usize = 24;

/// Beginnings that are remembered.
const BEGINNINGS: usize = 1024;

/// Templates of unmatched lines.
pub(super) struct Templates {
    templates: Vec<Template>,
    /// By category, number of words and first word.
    groups: HashMap<Group, Vec<u16>>,
    /// Hashes of beginnings, each in its place.
    lately: Box<[u64; BEGINNINGS]>,
    skipped: u32,
    /// Lines that were compared with none, because there was no room for another.
    pub(super) untracked: u64,
}

#[derive(PartialEq, Eq, Hash)]
struct Group {
    category: Category,
    words: usize,
    first: Box<str>,
}

struct Template {
    words: Vec<Box<str>>,
}

impl Templates {
    pub(super) fn new() -> Self {
        Self { templates: Vec::new(), groups: HashMap::new(), lately: Box::new([0; BEGINNINGS]), skipped: 0, untracked: 0 }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.templates.len()
    }

    /// Takes an unmatched line. Returns its template where it is the first.
    pub(super) fn add(&mut self, category: Category, message: &[u8]) -> Option<String> {
        if self.templates.len() == MOST {
            // nothing more can be new, and who can write anything into the log shall not make reading it slow
            self.untracked += 1;
            return None;
        }
        let beginning = beginning(category, message);
        let place = &mut self.lately[beginning as usize % BEGINNINGS];
        if *place == beginning {
            self.skipped = self.skipped.wrapping_add(1);
            if !self.skipped.is_multiple_of(SAMPLE) {
                return None;
            }
        }
        *place = beginning;
        let words = words(message);
        let first = words.first()?.clone();
        let group = self.groups.entry(Group { category, words: words.len(), first }).or_default();
        for place in &*group {
            let template = &mut self.templates[usize::from(*place)];
            let alike = template.words.iter().zip(&words).filter(|(a, b)| a == b).count();
            if 2 * alike >= words.len() {
                for (known, word) in template.words.iter_mut().zip(&words).filter(|(a, b)| a != b) {
                    debug_assert!(known.as_ref() != word.as_ref());
                    *known = GAP.into();
                }
                return None;
            }
        }
        group.push(self.templates.len() as u16);
        let mut text = words.join(" ");
        text.truncate(text.floor_char_boundary(REPORTED));
        self.templates.push(Template { words });
        Some(text)
    }
}

/// Never zero, which stands for an empty place.
fn beginning(category: Category, message: &[u8]) -> u64 {
    const DIGIT: u64 = u64::from_le_bytes([b'0'; 8]);
    let mut hash = category.index() as u64;
    for chunk in message[..message.len().min(BEGINNING)].chunks(8) {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        let word = u64::from_le_bytes(bytes);
        // eight bytes at a time: those that differ from `0` by less than ten leave their highest bit unset
        let offset = word ^ DIGIT;
        let digits = !(((offset & 0x7f7f_7f7f_7f7f_7f7f) + 0x7676_7676_7676_7676) | offset) & 0x8080_8080_8080_8080;
        let before = match digits {
            0 => word,
            _ => word & ((1 << (digits.trailing_zeros() & !7)) - 1),
        };
        hash = (hash.rotate_left(5) ^ before).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if digits != 0 {
            break;
        }
    }
    (hash ^ (hash >> 32)) | 1
}

/// The words of a message; those with digits in them vary.
fn words(message: &[u8]) -> Vec<Box<str>> {
    let mut words = Vec::new();
    for word in message.split(|c| *c == b' ').filter(|word| !word.is_empty()) {
        if words.len() == WORDS {
            words.push(GAP.into());
            break;
        }
        let varies = word.len() > WORD || word.iter().any(u8::is_ascii_digit);
        words.push(if varies { GAP.into() } else { String::from_utf8_lossy(word).into() });
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[&str], new: &[&str]) {
        let mut templates = Templates::new();
        let found: Vec<_> = lines.iter().filter_map(|line| templates.add(Category::NONE, line.as_bytes())).collect();
        assert_eq!(found, new);
    }

    #[test]
    fn lines_that_differ_in_numbers_are_one_template() {
        check(
            &["Loaded 3 addresses from disk", "Loaded 4 addresses from disk", "Loaded 1000 addresses from disk"],
            &["Loaded <*> addresses from disk"],
        );
    }

    #[test]
    fn lines_that_differ_in_a_word_are_one_template() {
        check(&["wallet alice was loaded", "wallet bob was loaded", "wallet carol was loaded"], &["wallet alice was loaded"]);
    }

    #[test]
    fn a_beginning_ends_before_the_first_digit() {
        let beginning = |text: &str| beginning(Category::NONE, text.as_bytes());
        for same in ["Loaded 3", "Loaded 9 addresses", "Loaded 0", "Loaded 17"] {
            assert_eq!(beginning(same), beginning("Loaded 5 files"), "{same}");
        }
        for other in ["Loaded: 3", "Loaded /", "Loaded :", "loaded 5", "Loaded", "Loaded a"] {
            assert_ne!(beginning(other), beginning("Loaded 5 files"), "{other}");
        }
        assert_eq!(beginning("evhttp_add_header: no. 1"), beginning("evhttp_add_header: no. 2"));
    }

    #[test]
    fn what_says_something_else_is_another() {
        check(&["wallet alice was loaded", "wallet file is damaged"], &["wallet alice was loaded", "wallet file is damaged"]);
        check(&["one two", "one two three"], &["one two", "one two three"]);
    }

    /// Somebody who can write anything into the log costs a bounded amount of memory.
    #[test]
    fn there_are_never_too_many() {
        let mut templates = Templates::new();
        let word = |n: usize| -> String { [n / 676, n / 26 % 26, n % 26].map(|n| char::from(b'a' + n as u8)).iter().collect() };
        let new = (0..5000).filter(|n| templates.add(Category::NONE, format!("{} came", word(*n)).as_bytes()).is_some()).count();
        assert_eq!((new, templates.len()), (MOST, MOST));
        assert_eq!(templates.untracked, 5000 - MOST as u64);
        assert!(templates.groups.len() <= MOST);
        let long = "x".repeat(1 << 20);
        // none of them is looked at any more, whatever it is
        assert!(templates.add(Category::NONE, b"aaa came").is_none());
        assert_eq!(templates.untracked, 5001 - MOST as u64);
        assert_eq!(Templates::new().add(Category::NONE, long.as_bytes()).as_deref(), Some(GAP));
    }
}
