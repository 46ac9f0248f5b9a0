//! What of an archive is in another place, too: a list beside the segments, a name and a size a line. Retention that may delete only
//! what was shipped goes by it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

/// The list's name.
pub const NAME: &str = ".shipped";

/// The files of the list, with their sizes. A list that is not there names none; a line that cannot be read, neither.
pub fn read(directory: &Path) -> BTreeMap<String, u64> {
    let text = fs::read_to_string(directory.join(NAME)).unwrap_or_default();
    let line = |line: &str| {
        let (name, size) = line.split_once(' ')?;
        Some((name.to_owned(), size.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// Writes the list, in place of the one that is there.
///
/// # Errors
///
/// The directory cannot be written.
pub fn write(directory: &Path, files: &BTreeMap<String, u64>) -> io::Result<()> {
    let part = directory.join(format!("{NAME}.part"));
    let mut file = fs::File::create(&part)?;
    for (name, size) in files {
        writeln!(file, "{name} {size}")?;
    }
    file.sync_all()?;
    fs::rename(part, directory.join(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        assert!(read(directory.path()).is_empty());
        let files = BTreeMap::from([("a.poa".to_owned(), 5), ("b.poa".to_owned(), u64::MAX)]);
        write(directory.path(), &files).unwrap();
        assert_eq!(read(directory.path()), files);
        fs::write(directory.path().join(NAME), "a.poa 5\nb.poa\nc.poa five\n").unwrap();
        assert_eq!(read(directory.path()), BTreeMap::from([("a.poa".to_owned(), 5)]));
    }
}
