//! What is claimed, where it is proved, and what is not: `docs/conformance.md`, from the registry.

mod catalogue;
mod places;

use std::fmt::Write as _;

use crate::registry::{Case, Level, cases};
use catalogue::{CATALOGUE, Row};
pub use places::{PLACES, Place};

/// Where an id of the catalogue stands.
#[derive(Debug, Clone, Copy)]
enum Standing {
    Covered(&'static [&'static str]),
    /// By the case of the same id.
    Own,
    /// This library behaves otherwise, and the cases prove how.
    Instead(&'static str, &'static [&'static str]),
    Partly(&'static [&'static str], &'static str),
    Differs(&'static str),
    Arrives(&'static str),
}

const HEAD: &str = "\
# Conformance

Printed by `cargo run -p ha-testkit --bin conformance-doc`; a test keeps it current. Do not edit.

What every backend must do is in the module documentation of `ha_core::backend`. Each case below is one test per
place, named after it: `conformance::embedded::b_01_…`. How to run them on a backend of your own: the documentation
of the crate `ha-testkit`.
";

const CATALOGUE_HEAD: &str = "
## The catalogue

Every id of the catalogue of Flink's own tests (LE, LD, LR, SH, CC, CP, EP, JR, HA, BL) and of the cases that no Flink
test covers (X). *Covered* and *partly* name the cases; *differs* says why this library behaves otherwise on purpose;
*arrives* names what it waits for, and is not proved today.

| id | about | standing |
|---|---|---|
";

/// The whole document.
#[must_use]
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    places(&mut text);
    for (level, title) in [
        (Level::Backend, "Backend"),
        (Level::Resolution, "Resolution of unknown outcomes"),
        (Level::Services, "Services"),
    ] {
        let of_level: Vec<Case> = cases().into_iter().filter(|case| case.level == level).collect();
        if !of_level.is_empty() {
            claims(&mut text, title, &of_level);
        }
    }
    text.push_str(CATALOGUE_HEAD);
    CATALOGUE.iter().for_each(|row| rows(&mut text, row));
    text
}

// Writing into a string does not fail; the results below say nothing.

fn places(text: &mut String) {
    text.push_str("\n## Places\n\n| tests | file | declared | not declared, because |\n|---|---|---|---|\n");
    for Place { module, file, can, because, .. } in PLACES {
        let can: Vec<String> = can.iter().map(ToString::to_string).collect();
        let _ = writeln!(text, "| `{module}` | `{file}` | {} | {because} |", can.join(", "));
    }
}

fn claims(text: &mut String, title: &str, cases: &[Case]) {
    let _ =
        write!(text, "\n## {title}\n\n| id | claim | needs | runs in | expected difference |\n|---|---|---|---|---|\n");
    for case in cases {
        let all = PLACES.iter().filter(|place| place.level == case.level);
        let (runs, skipped): (Vec<&Place>, Vec<&Place>) =
            all.partition(|place| case.needs.iter().all(|need| place.can.contains(need)));
        let list = |places: &[&Place]| {
            let names = places.iter().map(|place| place.module.rsplit("::").next().unwrap_or(place.module));
            names.collect::<Vec<_>>().join(", ")
        };
        let needs: Vec<String> = case.needs.iter().map(ToString::to_string).collect();
        let skipped = if skipped.is_empty() { String::new() } else { format!("skipped in {}", list(&skipped)) };
        let runs = if runs.is_empty() { "nowhere yet".to_owned() } else { list(&runs) };
        let _ = writeln!(text, "| {} | {} | {} | {runs} | {skipped} |", case.id(), case.claim, needs.join(", "));
    }
}

fn rows(text: &mut String, row: &Row) {
    let standing = |number: u32| match row.standing {
        Standing::Own => format!("covered by {}-{number:02}", row.prefix),
        Standing::Instead(why, by) => format!("differs: {why}; proved by {}", by.join(", ")),
        Standing::Covered(by) => format!("covered by {}", by.join(", ")),
        Standing::Partly(by, rest) => format!("partly covered by {}; {rest}", by.join(", ")),
        Standing::Differs(why) => format!("differs: {why}"),
        Standing::Arrives(with) => format!("arrives with {with}"),
    };
    for number in row.from..=row.to {
        let _ = writeln!(text, "| {}-{number:02} | {} | {} |", row.prefix, row.what, standing(number));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_without_gaps() {
        for (level, prefix) in [(Level::Backend, "B"), (Level::Resolution, "U")] {
            let ids: Vec<String> = cases().iter().filter(|case| case.level == level).map(Case::id).collect();
            let expected: Vec<String> = (1..=ids.len()).map(|n| format!("{prefix}-{n:02}")).collect();
            assert_eq!(ids, expected);
        }
    }

    #[test]
    fn every_id_is_the_id_of_one_case() {
        let all: Vec<String> = cases().iter().map(Case::id).collect();
        let unique: BTreeSet<&String> = all.iter().collect();
        assert_eq!(unique.len(), all.len(), "an id stands for two cases");
    }

    #[test]
    fn the_catalogue_names_cases_that_exist_and_each_id_once() {
        let known: BTreeSet<String> = cases().iter().map(Case::id).collect();
        let mut seen = BTreeSet::new();
        for row in CATALOGUE {
            for number in row.from..=row.to {
                assert!(seen.insert((row.prefix, number)), "{}-{number} stands twice", row.prefix);
            }
            if let Standing::Own = row.standing {
                for number in row.from..=row.to {
                    let id = format!("{}-{number:02}", row.prefix);
                    assert!(known.contains(&id), "{id} is no case");
                }
            }
            if let Standing::Covered(by) | Standing::Partly(by, _) | Standing::Instead(_, by) = row.standing {
                by.iter().for_each(|id| assert!(known.contains(*id), "{id} is no case"));
            }
        }
        let count = |prefix: &str| seen.iter().filter(|(of, _)| *of == prefix).count();
        let counts = ["LE", "LD", "LR", "SH", "CC", "CP", "EP", "JR", "HA", "BL", "X"].map(count);
        assert_eq!(counts, [34, 14, 16, 31, 17, 31, 25, 19, 14, 6, 41], "ids per group of the catalogue");
    }
}
