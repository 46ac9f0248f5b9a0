//! What to do: the pages of the detectors, as they are in `detectors/`.

include!(concat!(env!("OUT_DIR"), "/runbooks.rs"));

/// What there is to do about a storm, which no detector has a page for.
const STORM: &str = "\
1. So many findings at once have one cause more often than many: an upgrade, a network that is away, a flood. `incidents show` lists nodes \
and detectors; the first of them came first.
2. Look at the observer itself (`peer-observer doctor`, the page Health): detectors that see half of what happens see much that is not.
3. Incidents that were opened before the storm stand for themselves. Work on those first.
4. Nothing is lost: each finding is in the timeline of this incident.
";

/// The page of a detector, by its number in the catalogue.
pub fn page(detector: &str) -> Option<&'static str> {
    PAGES.iter().find(|(number, _)| *number == detector).map(|(_, page)| *page)
}

/// What to do about incidents of a family that a detector opened.
pub fn what_to_do(family: &str, detector: &str) -> &'static str {
    if family == detect::incident::STORM {
        return STORM;
    }
    let section = page(detector).and_then(|page| page.split_once("**What to do.**"));
    let section = section.map(|(_, rest)| rest.split_once("\n**").map_or(rest, |(section, _)| section).trim());
    section.unwrap_or("No page says what to do about this detector; its finding says what it rests on.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_detector_says_what_to_do() {
        for entry in detect::all() {
            let id = entry.about.id;
            assert!(page(id).is_some(), "{id} has no page");
            let text = what_to_do("load", id);
            assert!(text.starts_with("1.") && text.contains("\n2."), "{id} says no steps: {text}");
        }
        assert!(what_to_do("other", "D999").starts_with("No page"));
        assert!(what_to_do("storm", "D39").starts_with("1."));
    }
}
