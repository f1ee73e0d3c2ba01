//! Each layer speaks only of what it is made of.

use super::{Finding, by_line, words};
use crate::source::{Kind, only};
use crate::tree::{File, Tree};

/// What the services store; a backend that knows one of these words knows too much.
const STORED: [&str; 3] = ["checkpoint", "job", "dispatcher"];
/// Coordination services, with and without a crate here; a core that knows one treats it specially.
const BACKENDS: [&str; 6] = ["consul", "embedded", "filesystem", "zookeeper", "etcd", "kubernetes"];
const CORE: &str = "ha-core/src/";

/// Code and comments alike: a comment about it shows that the code was written with it in mind. Tests and benchmarks
/// may set up what they like.
pub(super) fn backends_know_only_keys_and_bytes(tree: &Tree) -> Vec<Finding> {
    let backends = tree.members.iter().filter(|member| member.backend().is_some());
    backends
        .flat_map(|member| tree.files.iter().filter(|file| is_source(file, &member.folder)).flat_map(spoken))
        .collect()
}

fn spoken(file: &File) -> Vec<Finding> {
    by_line(&file.path, &file.text, |line| {
        words::first_of(line, &STORED).map(|word| format!("`{word}` is no business of a backend"))
    })
}

fn is_source(file: &File, folder: &str) -> bool {
    let below = file.path.strip_prefix(folder).and_then(|path| path.strip_prefix('/'));
    // Standalone services live beside a backend and are services all the same: they reach it as all others do.
    let exempt = |part| matches!(part, "tests" | "benches" | "standalone");
    file.is_rust() && below.is_some_and(|path| !path.split('/').any(exempt))
}

/// Code only: a comment may say which known implementation taught us a lesson.
pub(super) fn the_core_names_no_backend(tree: &Tree) -> Vec<Finding> {
    let core = tree.files.iter().filter(|file| file.is_rust() && file.path.starts_with(CORE));
    core.flat_map(|file| {
        by_line(&file.path, &only(&file.text, &[Kind::Code, Kind::Literal]), |line| {
            words::first_of(line, &BACKENDS).map(|word| format!("the core must not know the backend `{word}`"))
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Member;
    use crate::rules::places;
    use crate::tree::of;

    fn with_backend(files: &[(&str, &str)]) -> Tree {
        let member = |name: &str| Member { name: name.into(), folder: name.into(), ..Member::default() };
        Tree { members: vec![member("ha-core"), member("ha-x")], ..of(files) }
    }

    #[test]
    fn a_backend_that_knows_what_it_stores_is_found() {
        let tree = with_backend(&[
            ("ha-x/src/lib.rs", "\nfn save(checkpoint: &[u8]) {}\n// for the Dispatcher\n"),
            ("ha-x/src/deep/keys.rs", "const KEY: &str = \"jobs/\";"),
        ]);
        let findings = backends_know_only_keys_and_bytes(&tree);
        assert_eq!(places(&findings), ["ha-x/src/lib.rs:2", "ha-x/src/lib.rs:3", "ha-x/src/deep/keys.rs:1"]);
    }

    #[test]
    fn only_the_sources_of_backends_are_held_to_that() {
        let tree = with_backend(&[
            ("ha-x/tests/a.rs", "// job"),
            ("ha-x/benches/a.rs", "// job"),
            ("ha-x/src/a/tests/b.rs", "// job"),
            ("ha-x/src/standalone/services.rs", "// job"),
            ("ha-x/README.md", "job"),
            ("ha-core/src/lib.rs", "struct JobId;"),
            ("ha-xy/src/lib.rs", "struct JobId;"),
        ]);
        assert_eq!(backends_know_only_keys_and_bytes(&tree), []);
    }

    #[test]
    fn a_core_that_treats_one_backend_specially_is_found() {
        let tree = of(&[
            ("ha-core/src/election/mod.rs", "if profile.name == \"consul\" {\n}\n"),
            ("ha-core/src/plan.rs", "use ha_embedded::Store;"),
        ]);
        let findings = the_core_names_no_backend(&tree);
        assert_eq!(places(&findings), ["ha-core/src/election/mod.rs:1", "ha-core/src/plan.rs:1"]);
    }

    #[test]
    fn a_comment_in_the_core_may_name_where_a_lesson_comes_from() {
        let tree = of(&[
            ("ha-core/src/election/mod.rs", "//! ZooKeeper fails here.\n/// Consul too.\nfn f() {} /* etcd */"),
            ("ha-core/src/state.rs", "use object_store::local::LocalFileSystem;"),
            ("ha-core/tests/a.rs", "\"consul\""),
            ("ha/src/lib.rs", "\"consul\""),
        ]);
        assert_eq!(the_core_names_no_backend(&tree), []);
    }
}
