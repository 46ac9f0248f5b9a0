//! The form with evidence: TOML.

use serde::Deserialize;
use toml::Spanned;

use super::{Category, List, Listed, TEXT, check_name, shown, shown_up_to};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Spanned<String>,
    version: Spanned<String>,
    #[serde(default)]
    about: String,
    #[serde(default)]
    entity: Vec<Entity>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entity {
    name: Spanned<String>,
    kind: Spanned<String>,
    source: Spanned<String>,
    date: Spanned<String>,
    #[serde(default)]
    addresses: Vec<Spanned<String>>,
    #[serde(default)]
    agents: Vec<Spanned<String>>,
}

/// The lines that are wrong, and why.
type Faults = Vec<(usize, String)>;

pub(super) fn read(text: &str) -> Result<List, Faults> {
    let lines = Lines::of(text);
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(0, |span| lines.at(span.start));
        vec![(line, shown_up_to(TEXT, error.message()))]
    })?;
    let mut faults = Faults::new();
    let mut list = List::new(file.name.get_ref().clone(), file.version.get_ref().clone());
    let mut check = |line: usize, result: Result<(), String>| {
        if let Err(fault) = result {
            faults.push((line, fault));
        }
    };
    check(lines.of_text(&file.name), check_name(file.name.get_ref()));
    check(lines.of_text(&file.version), words("version", file.version.get_ref()));
    check(0, if file.about.chars().count() > TEXT { Err(format!("`about` has more than {TEXT} characters")) } else { Ok(()) });
    for (index, entity) in (0_u32..).zip(file.entity) {
        let line = lines.of_text(&entity.name);
        check(line, words("name", entity.name.get_ref()));
        check(lines.of_text(&entity.source), words("source", entity.source.get_ref()));
        check(lines.of_text(&entity.date), date(entity.date.get_ref()));
        if entity.addresses.is_empty() && entity.agents.is_empty() {
            check(line, Err("an entity without addresses and agents is nobody".to_owned()));
        }
        for address in &entity.addresses {
            check(lines.of_text(address), list.add_address(address.get_ref(), index));
        }
        for agent in &entity.agents {
            check(lines.of_text(agent), list.add_agent(agent.get_ref(), index));
        }
        let category = Category::read(entity.kind.get_ref());
        check(lines.of_text(&entity.kind), category.as_ref().map(drop).map_err(Clone::clone));
        list.entities.push(Listed {
            name: entity.name.into_inner(),
            category: category.unwrap_or(Category::Other),
            source: entity.source.into_inner(),
            date: entity.date.into_inner(),
        });
    }
    if faults.is_empty() { Ok(list) } else { Err(faults) }
}

/// Something is said, and not too much.
fn words(what: &str, text: &str) -> Result<(), String> {
    match text.chars().count() {
        0 => Err(format!("`{what}` is empty")),
        1..=TEXT => Ok(()),
        _ => Err(format!("`{what}` has more than {TEXT} characters")),
    }
}

/// `2026-03-01`
fn date(text: &str) -> Result<(), String> {
    let parts: Vec<Option<u16>> = text.split('-').map(|part| part.parse().ok()).collect();
    let right = matches!(parts[..], [Some(2009..=2200), Some(1..=12), Some(1..=31)]) && text.len() == 10;
    if right { Ok(()) } else { Err(format!("`{}` is no date: write it as `2026-03-01`", shown(text))) }
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    fn at(&self, offset: usize) -> usize {
        1 + self.0.partition_point(|end| *end < offset)
    }

    fn of_text(&self, text: &Spanned<String>) -> usize {
        self.at(text.span().start)
    }
}
