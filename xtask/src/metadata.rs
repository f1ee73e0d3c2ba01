//! What cargo says about the workspace's own crates.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process;

/// The `ha-*` crates that are not backends; every other `ha-*` crate is one.
const NOT_BACKENDS: [&str; 3] = ["ha-cli", "ha-core", "ha-testkit"];
const BACKEND_PREFIX: &str = "ha-";

/// A member of the workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// The folder, relative to the workspace's root, with `/` between its parts.
    pub(crate) folder: String,
    pub(crate) features: BTreeSet<String>,
    pub(crate) binaries: BTreeSet<String>,
}

impl Member {
    /// The backend that this crate implements, if it is a backend crate: `embedded` for `ha-embedded`.
    pub(crate) fn backend(&self) -> Option<&str> {
        let backend = self.name.strip_prefix(BACKEND_PREFIX)?;
        (!NOT_BACKENDS.contains(&self.name.as_str())).then_some(backend)
    }
}

/// Asks cargo for the workspace's members.
///
/// # Errors
/// Cargo could not read the manifests (its own message is on standard error), or answered something unknown.
pub(crate) fn members(root: &Path) -> Result<Vec<Member>, String> {
    let answer = process::capture(process::cargo(root, "metadata --no-deps --format-version 1"))?;
    parse(&answer).ok_or_else(|| "`cargo metadata` answered in a form that is not understood".to_owned())
}

/// The folder that cargo builds into, wherever the machine has put it.
///
/// # Errors
/// As [`members`].
pub(crate) fn target_folder(root: &Path) -> Result<PathBuf, String> {
    let answer = process::capture(process::cargo(root, "metadata --no-deps --format-version 1"))?;
    let folder = serde_json::from_str::<Value>(&answer).ok().and_then(|answer| {
        let folder = answer["target_directory"].as_str()?;
        Some(PathBuf::from(folder))
    });
    folder.ok_or_else(|| "`cargo metadata` does not say where it builds".to_owned())
}

fn parse(answer: &str) -> Option<Vec<Member>> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    let root = Path::new(answer["workspace_root"].as_str()?);
    answer["packages"].as_array()?.iter().map(|package| member(package, root)).collect()
}

fn member(package: &Value, root: &Path) -> Option<Member> {
    let manifest = Path::new(package["manifest_path"].as_str()?);
    let folder = manifest.parent()?.strip_prefix(root).ok()?;
    let parts: Vec<_> = folder.iter().map(|part| part.to_string_lossy()).collect();
    let is_binary = |target: &&Value| target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == "bin"));
    let binaries = package["targets"].as_array()?.iter().filter(is_binary);
    Some(Member {
        name: package["name"].as_str()?.to_owned(),
        folder: parts.join("/"),
        features: package["features"].as_object()?.keys().cloned().collect(),
        binaries: binaries.filter_map(|target| target["name"].as_str()).map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{
        "workspace_root": "/w",
        "packages": [{
            "name": "ha-testkit", "manifest_path": "/w/kits/ha-testkit/Cargo.toml", "features": {"a": ["b"], "b": []},
            "targets": [{"name": "lib", "kind": ["lib"]}, {"name": "tool", "kind": ["bin"]}]
        }]
    }"#;

    #[test]
    fn a_member_is_read_with_its_folder_features_and_binaries() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let expected = Member {
            name: "ha-testkit".into(),
            folder: "kits/ha-testkit".into(),
            features: names(&["a", "b"]),
            binaries: names(&["tool"]),
        };
        assert_eq!(parse(ANSWER), Some(vec![expected]));
    }

    #[test]
    fn an_answer_of_another_form_is_refused() {
        for answer in ["", "[]", r#"{"workspace_root": "/w"}"#, &ANSWER.replace("manifest_path", "path")] {
            assert_eq!(parse(answer), None, "{answer}");
        }
    }

    #[test]
    fn a_backend_is_an_ha_crate_that_is_neither_the_core_nor_the_kit_nor_the_tool() {
        let backend = |name: &str| Member { name: name.into(), ..Member::default() }.backend().map(str::to_owned);
        assert_eq!(backend("ha-consul").as_deref(), Some("consul"));
        for name in ["ha", "ha-cli", "ha-core", "ha-testkit", "xtask", "stream-processor"] {
            assert_eq!(backend(name), None, "{name}");
        }
    }
}
