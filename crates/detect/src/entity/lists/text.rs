//! The plain form: an address or prefix per line.

use sha3::{Digest as _, Sha3_256};

use super::{Category, List, Listed, check_name};

pub(super) fn read(file: &str, text: &str) -> Result<List, Vec<(usize, String)>> {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let name = name.split_once('.').map_or(name, |(name, _)| name);
    let mut faults = Vec::new();
    if let Err(fault) = check_name(name) {
        faults.push((0, fault));
    }
    let stated = text.lines().find_map(|line| line.trim().strip_prefix('#')?.trim().strip_prefix("version:"));
    let version = stated.map_or_else(|| hash(text), |version| version.trim().chars().take(64).collect());
    let mut list = List::new(name.to_owned(), version);
    list.entities.push(Listed {
        name: name.to_owned(),
        category: Category::Other,
        source: "the operator's file".to_owned(),
        date: String::new(),
    });
    for (line, content) in (1..).zip(text.lines()) {
        let entry = content.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        if let Err(fault) = list.add_address(entry, 0) {
            faults.push((line, fault));
        }
    }
    if faults.is_empty() { Ok(list) } else { Err(faults) }
}

fn hash(text: &str) -> String {
    Sha3_256::digest(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
