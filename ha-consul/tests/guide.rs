//! What `docs/consul.md` says is proved somewhere.

use std::path::Path;

use ha_testkit::registry;

fn sources(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).expect("the tests").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, into);
        } else {
            into.push_str(&std::fs::read_to_string(path).expect("a source"));
        }
    }
}

#[test]
fn every_test_that_the_guide_names_exists() {
    // Fails if a test is renamed or removed and the guide still stands on it.
    let guide = include_str!("../../docs/consul.md");
    let (_, table) = guide.split_once("## Mistakes of others").expect("the table of mistakes");
    let mut tests = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), &mut tests);
    let ids: Vec<String> = registry::cases().iter().map(registry::Case::id).collect();
    let mut mistakes = 0;
    for row in table.lines().filter(|line| line.starts_with("| ") && line.contains(". ")) {
        mistakes += 1;
        let shown = row.split('|').nth(2).expect("what shows it");
        for name in shown.split(',').map(str::trim) {
            let exists = match name.strip_prefix('`').and_then(|name| name.strip_suffix('`')) {
                Some(function) => tests.contains(&format!("fn {function}()")),
                None => ids.iter().any(|id| id == name),
            };
            assert!(exists, "{name} is named by the guide and does not exist: {row}");
        }
    }
    assert_eq!(mistakes, 17);
}
