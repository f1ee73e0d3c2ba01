//! The table that tells Flink's names from ours.

use std::collections::BTreeSet;

use super::{Finding, by_line};
use crate::source::{Kind, only};
use crate::tree::Tree;

const TABLE: &str = "docs/flink-mapping.md";

/// Every name in code font in the second column of the table is an identifier of the library's code.
pub(super) fn every_name_of_ours_exists(tree: &Tree) -> Vec<Finding> {
    let Some(table) = tree.file(TABLE) else { return Vec::new() };
    let known = identifiers(tree);
    by_line(&table.path, &table.text, |line| {
        let ours = line.strip_prefix('|')?.split('|').nth(1)?;
        // What stands between the first and the second back-quote, the third and the fourth, and so on.
        let mut names = ours.split('`').skip(1).step_by(2).flat_map(words);
        let gone = names.find(|name| !known.contains(name))?;
        Some(format!("`{gone}` is no name of the library: the table says what is not true any more"))
    })
}

fn identifiers(tree: &Tree) -> BTreeSet<&str> {
    // Of the libraries alone: a test or an example may call its own things what it likes.
    let library = |path: &str| path.starts_with("ha") && path.contains("/src/") && !path.starts_with("ha-testkit/");
    let sources = tree.files.iter().filter(|file| file.is_rust() && library(&file.path));
    // A word counts where it is code, not where a comment mentions it.
    sources
        .flat_map(|file| {
            let code = only(&file.text, &[Kind::Code]);
            let of_code: BTreeSet<String> = words(&code).map(str::to_owned).collect();
            words(&file.text).filter(move |word| of_code.contains(*word))
        })
        .collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::places;
    use crate::tree::of;

    const CODE: &str =
        "/// Not renamed_away.\ntrait Services { fn blob_store(&self) -> u8; }\nconst A: &str = \"in_text\";";

    fn found(row: &str) -> Vec<String> {
        let table = format!("| Flink | ours | why |\n|---|---|---|\n{row}\n");
        places(&every_name_of_ours_exists(&of(&[(TABLE, &table), ("ha-core/src/services.rs", CODE)])))
    }

    #[test]
    fn a_name_that_is_in_no_code_is_found() {
        for gone in ["`renamed_away`", "`in_text`", "`blob_store`, `Service`", "`Services::no_more`", "`blob`"] {
            assert_eq!(found(&format!("| `x` | {gone} | |")), [format!("{TABLE}:3")], "{gone}");
        }
    }

    #[test]
    fn names_that_exist_and_words_that_are_no_names_are_fine() {
        for row in ["| `createBlobStore` | `blob_store` | `Elsewhere` |", "| `a` | none | |", "text `nothing`"] {
            assert_eq!(found(row), Vec::<String>::new(), "{row}");
        }
        assert_eq!(found("| `b` | `Services::blob_store` | |"), Vec::<String>::new());
    }
}
