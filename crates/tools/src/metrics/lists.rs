//! The operator's lists of addresses: who is behind a peer, as far as an address tells.
//!
//! A list is a file: an address or a network per line (`198.51.100.0/24`, `2001:db8::/32`), `#` begins a comment. Its name is the
//! file's, without what follows the first dot. Nothing is compiled into the program; files are read again when they change.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, anyhow, bail, ensure};

use super::label::LISTS;

/// Lists of addresses, by name.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Lists {
    names: Vec<String>,
    /// Ascending and apart, so that one search finds everything.
    ranges: Vec<Range>,
}

/// Addresses from the first to the last, IPv4 mapped into IPv6.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Range {
    first: u128,
    last: u128,
    /// A bit per list.
    lists: u16,
}

const _: () = assert!(LISTS <= u16::BITS as usize);

impl Lists {
    /// Reads lists.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or has a line that is no address, two files of the same name, or more than there is room for.
    pub fn read(files: &[PathBuf]) -> anyhow::Result<Self> {
        ensure!(files.len() <= LISTS, "{} lists of addresses are given, and {LISTS} are the most", files.len());
        let mut lists = Vec::with_capacity(files.len());
        for file in files {
            let text = std::fs::read_to_string(file).with_context(|| format!("failed to read the list {}", file.display()))?;
            lists.push((name(file)?, text));
        }
        Self::parse(&lists)
    }

    /// Reads lists that were read from their files: name and text.
    fn parse(lists: &[(String, String)]) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for (at, (name, text)) in lists.iter().enumerate() {
            if lists[..at].iter().any(|(other, _)| other == name) {
                bail!("two lists are called `{name}`");
            }
            for (number, line) in text.lines().enumerate() {
                let line = line.split('#').next().unwrap_or_default().trim();
                if !line.is_empty() {
                    let (first, last) = network(line).with_context(|| format!("line {} of the list `{name}`", number + 1))?;
                    all.push(Range { first, last, lists: 1 << at });
                }
            }
        }
        Ok(Self { names: lists.iter().map(|(name, _)| name.clone()).collect(), ranges: apart(all) })
    }

    /// The names, in the order of the files.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The lists that an address is on, by number.
    pub fn of(&self, address: IpAddr) -> impl Iterator<Item = usize> + use<> {
        let address = number(address);
        let after = self.ranges.partition_point(|range| range.first <= address);
        let found = after.checked_sub(1).map(|at| self.ranges[at]).filter(|range| address <= range.last);
        let lists = found.map_or(0, |range| range.lists);
        (0..LISTS).filter(move |at| lists & (1 << at) != 0)
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

/// The name of a list: the file's, up to the first dot. It becomes the word of a label.
fn name(file: &Path) -> anyhow::Result<String> {
    let stem = file.file_name().and_then(|name| name.to_str()).and_then(|name| name.split('.').next()).unwrap_or_default();
    let proper = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    ensure!(
        !stem.is_empty() && stem.len() <= 64 && stem.chars().all(proper),
        "the list {} has no name that can be shown: use letters, digits, `-` and `_`, before a dot",
        file.display()
    );
    Ok(stem.to_owned())
}

/// First and last address of `198.51.100.0/24`, or of an address alone.
fn network(text: &str) -> anyhow::Result<(u128, u128)> {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address.parse().map_err(|_| anyhow!("`{text}` is no address and no network"))?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let length: u32 = match length {
        Some(length) => length.parse().ok().filter(|length| *length <= bits).ok_or_else(|| anyhow!("`{text}` is no network"))?,
        None => bits,
    };
    // a network of length 0 has no bits to keep
    let host = 1_u128.checked_shl(bits - length).map_or(u128::MAX, |size| size - 1);
    let first = number(address) & !host;
    ensure!(first == number(address), "`{text}` has bits beyond its length: the network would be another one");
    Ok((first, first | host))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The same addresses in ranges that do not overlap.
fn apart(ranges: Vec<Range>) -> Vec<Range> {
    // where something begins, and where it has ended
    let mut borders: Vec<u128> = ranges.iter().flat_map(|range| [Some(range.first), range.last.checked_add(1)]).flatten().collect();
    borders.sort_unstable();
    borders.dedup();
    let mut ranges = ranges;
    ranges.sort_unstable_by_key(|range| range.first);
    let mut open: Vec<Range> = Vec::new();
    let mut next = ranges.into_iter().peekable();
    let mut out: Vec<Range> = Vec::new();
    for (at, first) in borders.iter().enumerate() {
        open.retain(|range| range.last >= *first);
        while let Some(range) = next.next_if(|range| range.first == *first) {
            open.push(range);
        }
        let lists = open.iter().fold(0, |lists, range| lists | range.lists);
        if lists != 0 {
            let last = borders.get(at + 1).map_or(u128::MAX, |border| border - 1);
            match out.last_mut() {
                Some(before) if before.lists == lists && before.last + 1 == *first => before.last = last,
                _ => out.push(Range { first: *first, last, lists }),
            }
        }
    }
    out
}

/// Lists that follow their files.
#[derive(Debug)]
pub struct Watched {
    files: Vec<PathBuf>,
    changed: Vec<Option<SystemTime>>,
}

impl Watched {
    /// Reads the lists, and remembers when their files were changed.
    ///
    /// # Errors
    ///
    /// As [`Lists::read`].
    pub fn open(files: Vec<PathBuf>) -> anyhow::Result<(Self, Lists)> {
        let changed = times(&files);
        let lists = Lists::read(&files)?;
        Ok((Self { files, changed }, lists))
    }

    /// The lists, if a file has changed since. A list that became wrong leaves the old ones in force, and is complained about once.
    pub fn look(&mut self) -> Option<Lists> {
        let now = times(&self.files);
        if now == self.changed {
            return None;
        }
        self.changed = now;
        match Lists::read(&self.files) {
            Ok(lists) => Some(lists),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "a list of addresses is wrong now: the one before stays in force");
                None
            }
        }
    }
}

fn times(files: &[PathBuf]) -> Vec<Option<SystemTime>> {
    files.iter().map(|file| std::fs::metadata(file).and_then(|data| data.modified()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(texts: &[&str]) -> anyhow::Result<Lists> {
        let named = texts.iter().enumerate().map(|(at, text)| (format!("list{at}"), (*text).to_owned())).collect::<Vec<_>>();
        Lists::parse(&named)
    }

    fn of(lists: &Lists, address: &str) -> Vec<usize> {
        lists.of(address.parse().unwrap()).collect()
    }

    #[test]
    fn addresses_are_found_on_every_list_they_are_on() {
        let lists = lists(&["# spies\n198.51.100.0/24\n2001:db8::/32 # all of it\n", "198.51.100.7\n0.0.0.0/0\n", "::/0"]).unwrap();
        assert_eq!(of(&lists, "198.51.100.7"), [0, 1, 2]);
        assert_eq!(of(&lists, "198.51.101.0"), [1, 2]);
        assert_eq!(of(&lists, "2001:db8:ffff::1"), [0, 2]);
        assert_eq!(of(&lists, "2001:db9::"), [2]);
        assert_eq!(of(&lists, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), [2]);
        assert!(of(&Lists::default(), "198.51.100.7").is_empty());
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        let error = |text: &str| format!("{:#}", lists(&[text]).unwrap_err());
        assert_eq!(error("\nexample.org"), "line 2 of the list `list0`: `example.org` is no address and no network");
        assert_eq!(error("10.0.0.0/33"), "line 1 of the list `list0`: `10.0.0.0/33` is no network");
        assert!(error("10.0.0.1/8").contains("beyond its length"));
    }

    #[test]
    fn a_name_is_the_files() {
        assert_eq!(name(Path::new("/etc/lists/tor_exits.2025.txt")).unwrap(), "tor_exits");
        assert!(name(Path::new("/etc/lists/.txt")).is_err());
        assert!(name(Path::new("a\"b.txt")).is_err());
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_wrong_one_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("spies.txt");
        let write = |text: &str, at: u64| {
            std::fs::write(&file, text).unwrap();
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(at);
            std::fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        };
        write("198.51.100.7", 1);
        let (mut watched, lists) = Watched::open(vec![file.clone()]).unwrap();
        assert_eq!(lists.names(), ["spies"]);
        assert_eq!(watched.look(), None);
        write("198.51.100.8", 2);
        assert_eq!(of(&watched.look().unwrap(), "198.51.100.8"), [0]);
        write("nonsense", 3);
        assert_eq!((watched.look(), watched.look()), (None, None));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = lists(&[&text]);
        }

        /// One search finds what looking at every network finds.
        #[test]
        fn ranges_are_the_networks(networks in proptest::collection::vec((proptest::prelude::any::<u8>(), 24_u32..=32, 0..3_usize), 0..12), probe: u8) {
            let mut texts = vec![String::new(); 3];
            let mut expected = vec![];
            for (host, length, list) in networks {
                let host = u32::from(host) & (u32::MAX << (32 - length).min(31));
                let (first, last) = (host, host | (((1_u64 << (32 - length)) - 1) as u32));
                texts[list] += &format!("10.0.0.{host}/{length}\n");
                if (first..=last).contains(&u32::from(probe)) && !expected.contains(&list) {
                    expected.push(list);
                }
            }
            expected.sort_unstable();
            let lists = lists(&texts.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
            proptest::prop_assert_eq!(of(&lists, &format!("10.0.0.{probe}")), expected);
        }
    }
}
