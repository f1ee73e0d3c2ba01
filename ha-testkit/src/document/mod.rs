//! What is claimed, where it is proved, and what is not: `docs/conformance.md`, from the registry.

mod beyond;
mod bugs;
mod catalogue;
mod lines;
mod places;

use std::fmt::Write as _;

use crate::registry::{Case, Level, cases};
use beyond::BEYOND;
use bugs::{BUGS, Bug};
use catalogue::{CATALOGUE, Row};
use lines::LINES;
pub use places::{PLACES, Place};

/// Where an id of the catalogue stands. What proves it is the id of a case, or a test as `file::name`.
#[derive(Debug, Clone, Copy)]
enum Standing {
    Covered(&'static [&'static str]),
    /// By the case of the same id.
    Own,
    /// This library behaves otherwise, and the cases prove how.
    Instead(&'static str, &'static [&'static str]),
    /// The rest needs the store that is named at the end.
    Partly(&'static [&'static str], &'static str),
    /// All but what is named at the end, which nothing here proves.
    Except(&'static [&'static str], &'static str),
    Differs(&'static str),
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
test covers (X). *Covered* names the cases, or a test as `file::name`; *differs* says why this library behaves otherwise
on purpose; *needs a server* says what is proved only where a store runs that this workspace's own tests do not bring
along, and on which; *not proved* says what no test here shows.

| id | about | standing |
|---|---|---|
";

const LINES_HEAD: &str = "
## Lines of the catalogue without an id

| tests | about | standing |
|---|---|---|
";

const BUGS_HEAD: &str = "
## Known bugs of other implementations, and what keeps them away here

What went wrong in Flink, in its backends, in client libraries, and in others' stores on a file system and on Consul.

| recorded as | what went wrong | here | proved by |
|---|---|---|---|
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
    CATALOGUE.iter().chain(BEYOND).for_each(|row| rows(&mut text, row));
    text.push_str(LINES_HEAD);
    for (tests, about, standing) in LINES {
        let _ = writeln!(text, "| {tests} | {about} | {} |", standing.text(""));
    }
    text.push_str(BUGS_HEAD);
    for Bug { key, what, because, by } in BUGS {
        let _ = writeln!(text, "| {key} | {what} | {because} | {} |", proofs(by));
    }
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

fn proofs(by: &[&str]) -> String {
    let shown = by.iter().map(|proof| if is_test(proof) { format!("`{proof}`") } else { (*proof).to_owned() });
    shown.collect::<Vec<_>>().join(", ")
}

fn is_test(proof: &str) -> bool {
    proof.contains("::")
}

impl Standing {
    /// In words; `id` is what it stands for.
    fn text(&self, id: &str) -> String {
        match self {
            Self::Own => format!("covered by {id}"),
            Self::Instead(why, by) => format!("differs: {why}; proved by {}", proofs(by)),
            Self::Covered(by) => format!("covered by {}", proofs(by)),
            Self::Partly(by, rest) => format!("covered by {}; needs a server: {rest}", proofs(by)),
            Self::Except(by, open) => format!("covered by {}; not proved: {open}", proofs(by)),
            Self::Differs(why) => format!("differs: {why}"),
        }
    }

    #[cfg(test)]
    fn by(&self) -> &'static [&'static str] {
        match self {
            Self::Covered(by) | Self::Partly(by, _) | Self::Except(by, _) | Self::Instead(_, by) => by,
            Self::Own | Self::Differs(_) => &[],
        }
    }
}

fn rows(text: &mut String, row: &Row) {
    for number in row.from..=row.to {
        let id = format!("{}-{number:02}", row.prefix);
        let _ = writeln!(text, "| {id} | {} | {} |", row.what, row.standing.text(&id));
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

    /// The ids that the catalogue has; what goes beyond them is our own.
    const IDS: &[(&str, std::ops::RangeInclusive<u32>)] = &[
        ("LE", 1..=34),
        ("LD", 1..=8),
        ("LR", 1..=16),
        ("SH", 1..=22),
        ("SH", 30..=38),
        ("CC", 1..=17),
        ("CP", 1..=31),
        ("EP", 1..=25),
        ("JR", 1..=19),
        ("HA", 1..=14),
        ("BL", 1..=6),
        ("X", 1..=40),
    ];

    fn assert_proved(what: &str, by: &[&str]) {
        let known: BTreeSet<String> = cases().iter().map(Case::id).collect();
        for proof in by {
            let Some((file, name)) = proof.split_once("::") else {
                assert!(known.contains(*proof), "{what}: {proof} is no case");
                continue;
            };
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
            let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{what}: {file}: {error}"));
            assert!(source.contains(&format!("fn {name}()")), "{what}: there is no test {name} in {file}");
        }
    }

    #[test]
    fn the_catalogue_has_every_id_once_and_names_what_exists() {
        let mut seen = BTreeSet::new();
        for row in CATALOGUE.iter().chain(BEYOND) {
            for number in row.from..=row.to {
                let id = format!("{}-{number:02}", row.prefix);
                assert!(seen.insert((row.prefix, number)), "{id} stands twice");
                match row.standing {
                    Standing::Own => assert_proved(&id, &[&id]),
                    standing => assert_proved(&id, standing.by()),
                }
            }
        }
        for (prefix, numbers) in IDS {
            for number in numbers.clone() {
                assert!(seen.contains(&(*prefix, number)), "{prefix}-{number:02} is missing");
            }
        }
    }

    #[test]
    fn every_case_of_the_services_stands_in_the_catalogue() {
        let text: String = document().split("## The catalogue").skip(1).collect();
        for case in cases().iter().filter(|case| case.level == Level::Services) {
            assert!(text.contains(&format!("| {} |", case.id())), "{} has no row", case.id());
        }
    }

    #[test]
    fn lines_and_known_bugs_name_what_exists() {
        for (tests, about, standing) in LINES {
            assert!(!matches!(standing, Standing::Own), "{tests} has no id of its own");
            assert_proved(&format!("{tests}: {about}"), standing.by());
        }
        let mut seen = BTreeSet::new();
        for Bug { key, by, because, .. } in BUGS {
            assert!(seen.insert(key) && !because.is_empty() && !by.is_empty(), "{key}");
            assert_proved(key, by);
        }
    }
}
