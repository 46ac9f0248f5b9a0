//! What became of the lines: totals per category and row, and rows that fell silent.

use super::category::Category;
use super::table::{Entry, Table};
use crate::{CategoryTotal, HealthPatternSilent, Kind};

/// A row is silent when so many of its lines were to be expected and none came. By chance that happens once in half a billion times.
const EXPECTED: u64 = 20;

/// Lines of one category.
#[derive(Clone, Copy, Default)]
struct Lines {
    seen: u64,
    matched: u64,
}

/// Lines under one version of the node.
#[derive(Clone)]
struct Period {
    categories: Box<[u64]>,
    rows: Box<[u64]>,
}

impl Period {
    fn new() -> Self {
        Self { categories: vec![0; Category::COUNT].into(), rows: vec![0; Table::get().entries().len()].into() }
    }
}

/// Totals of one log.
pub(super) struct Account {
    categories: [Lines; Category::COUNT],
    rows: Box<[u64]>,
    now: Period,
    /// Under the version before, and what it was.
    before: Option<(String, Period)>,
    /// Rows that were reported as silent since.
    reported: Box<[bool]>,
}

impl Account {
    pub(super) fn new() -> Self {
        let rows = Table::get().entries().len();
        Self {
            categories: [Lines::default(); Category::COUNT],
            rows: vec![0; rows].into(),
            now: Period::new(),
            before: None,
            reported: vec![false; rows].into(),
        }
    }

    pub(super) fn matched(&mut self, category: Category, row: usize) {
        let lines = &mut self.categories[category.index()];
        lines.seen += 1;
        lines.matched += 1;
        self.rows[row] += 1;
        self.now.categories[category.index()] += 1;
        self.now.rows[row] += 1;
    }

    pub(super) fn unmatched(&mut self, category: Category) {
        self.categories[category.index()].seen += 1;
        self.now.categories[category.index()] += 1;
    }

    /// From now on the node has another version than `before`.
    pub(super) fn version_changed(&mut self, before: String) {
        self.before = Some((before, std::mem::replace(&mut self.now, Period::new())));
        self.reported.fill(false);
    }

    /// Totals of the categories of which there were lines.
    pub(super) fn totals(&self) -> impl Iterator<Item = CategoryTotal> {
        Category::all().zip(&self.categories).filter(|(_, lines)| lines.seen > 0).map(|(category, lines)| CategoryTotal {
            category: category.name().to_owned(),
            lines: lines.seen,
            matched: lines.matched,
            unmatched: lines.seen - lines.matched,
        })
    }

    /// Lines per row, with the row's text.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Table::get().entries().iter().map(|entry| entry.row.text).zip(self.rows.iter().copied())
    }

    /// Rows that fell silent since the version changed and were not reported yet.
    pub(super) fn silent(&mut self, release: Option<u32>, version: &str, mut out: impl FnMut(Kind)) {
        let Some((version_before, before)) = &self.before else { return };
        for (place, entry) in Table::get().entries().iter().enumerate() {
            let (matched, lines) = (before.rows[place], self.now.categories[category_of(entry)]);
            let lines_before = before.categories[category_of(entry)].max(1);
            let expected = u128::from(matched) * u128::from(lines) / u128::from(lines_before);
            // after an upgrade, or after the way back
            let (since, until) = entry.row.releases;
            let elsewhere = release.is_some_and(|release| !(since..=until).contains(&release));
            if expected >= EXPECTED.into() && self.now.rows[place] == 0 && !elsewhere && !self.reported[place] {
                self.reported[place] = true;
                out(HealthPatternSilent {
                    pattern: entry.row.text.to_owned(),
                    matched,
                    version_before: version_before.clone(),
                    version: version.to_owned(),
                    category: entry.row.category.to_owned(),
                    lines,
                }
                .into());
            }
        }
    }
}

fn category_of(entry: &Entry) -> usize {
    entry.category.index()
}
