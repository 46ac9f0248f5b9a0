//! The form of a kept state: sections that can be read, and lost, one by one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{MAGIC, StateError, VERSION};

/// A kept state, taken apart. What is in a section only [`Engine`](crate::Engine) knows.
///
/// Outside of it this is for tests and tools: to see what there is, and to put something else in its place.
#[derive(Clone, Debug)]
pub struct Sections<'a> {
    key: u64,
    sections: BTreeMap<String, Section<'a>>,
}

#[derive(Clone, Debug)]
struct Section<'a> {
    version: u32,
    body: Cow<'a, [u8]>,
    /// Whether the body has the checksum that it was written with.
    whole: bool,
}

/// A line of the table before the sections.
#[derive(Serialize, Deserialize)]
struct Row {
    name: String,
    version: u32,
    length: u64,
    checksum: u32,
}

/// Why a section is not there to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gone {
    /// It never was.
    Absent,
    /// It is of a program with another form of it.
    OtherVersion(u32),
    /// Its bytes are not those that were written, or make no such thing.
    Damaged,
}

impl<'a> Sections<'a> {
    pub(super) fn new(key: u64) -> Self {
        Self { key, sections: BTreeMap::new() }
    }

    /// Takes a state apart.
    ///
    /// # Errors
    ///
    /// It is none, or that of another version, or its table is damaged, or it is cut off. A section that is damaged is no error.
    pub fn read(bytes: &'a [u8]) -> Result<Self, StateError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(StateError::Foreign)?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or(StateError::Damaged)?;
        let found = u16::from_le_bytes(*version);
        if found != VERSION {
            return Err(StateError::OtherVersion { found });
        }
        let (checksum, rest) = rest.split_first_chunk::<4>().ok_or(StateError::Damaged)?;
        let ((key, rows), mut bodies) = postcard::take_from_bytes::<(u64, Vec<Row>)>(rest).map_err(|_| StateError::Damaged)?;
        if crc32fast::hash(&rest[..rest.len() - bodies.len()]) != u32::from_le_bytes(*checksum) {
            return Err(StateError::Damaged);
        }
        let mut all = Self::new(key);
        for Row { name, version, length, checksum } in rows {
            let body = usize::try_from(length).ok().and_then(|length| bodies.split_at_checked(length));
            let (body, rest) = body.ok_or(StateError::Damaged)?;
            let whole = crc32fast::hash(body) == checksum;
            all.sections.insert(name, Section { version, body: Cow::Borrowed(body), whole });
            bodies = rest;
        }
        if bodies.is_empty() { Ok(all) } else { Err(StateError::Damaged) }
    }

    /// All of it as bytes.
    ///
    /// # Panics
    ///
    /// Never: numbers and text go into memory.
    pub fn to_bytes(&self) -> Vec<u8> {
        let row = |(name, section): (&String, &Section<'_>)| Row {
            name: name.clone(),
            version: section.version,
            length: section.body.len() as u64,
            checksum: crc32fast::hash(&section.body),
        };
        let rows: Vec<Row> = self.sections.iter().map(row).collect();
        let table = postcard::to_stdvec(&(self.key, rows)).expect("plain data, into memory");
        let bodies: usize = self.sections.values().map(|section| section.body.len()).sum();
        let mut bytes = Vec::with_capacity(MAGIC.len() + 2 + 4 + table.len() + bodies);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(crc32fast::hash(&table).to_le_bytes());
        bytes.extend(table);
        self.sections.values().for_each(|section| bytes.extend(&*section.body));
        bytes
    }

    /// The key of the hashes.
    pub fn key(&self) -> u64 {
        self.key
    }

    /// The names of the sections, and the version of the form that each has.
    pub fn names(&self) -> impl Iterator<Item = (&str, u32)> {
        self.sections.iter().map(|(name, section)| (name.as_str(), section.version))
    }

    /// What a section has.
    pub fn body(&self, name: &str) -> Option<&[u8]> {
        self.sections.get(name).map(|section| &*section.body)
    }

    /// Another body in place of that of a section, and another version where one is given.
    pub fn replace(&mut self, name: &str, version: Option<u32>, body: Vec<u8>) {
        if let Some(section) = self.sections.get_mut(name) {
            *section = Section { version: version.unwrap_or(section.version), body: Cow::Owned(body), whole: true };
        }
    }

    pub(super) fn put(&mut self, name: String, version: u32, of: &impl Serialize) {
        self.put_bytes(name, version, postcard::to_stdvec(of).expect("plain data, into memory"));
    }

    pub(super) fn put_bytes(&mut self, name: String, version: u32, body: Vec<u8>) {
        self.sections.insert(name, Section { version, body: Cow::Owned(body), whole: true });
    }

    pub(super) fn get<T: DeserializeOwned>(&self, name: &str, version: u32) -> Result<T, Gone> {
        match postcard::take_from_bytes(self.get_bytes(name, version)?) {
            Ok((of, [])) => Ok(of),
            _ => Err(Gone::Damaged),
        }
    }

    pub(super) fn get_bytes(&self, name: &str, version: u32) -> Result<&[u8], Gone> {
        match self.sections.get(name) {
            None => Err(Gone::Absent),
            Some(section) if section.version != version => Err(Gone::OtherVersion(section.version)),
            Some(section) if !section.whole => Err(Gone::Damaged),
            Some(section) => Ok(&section.body),
        }
    }
}
