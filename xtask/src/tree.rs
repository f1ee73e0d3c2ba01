//! The files of the repository, read once, so that the rules over them are plain functions.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::metadata::Member;
use crate::process;

/// The repository as the rules see it.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
    pub(crate) members: Vec<Member>,
}

/// One file; what is not UTF-8 has an empty text.
#[derive(Debug)]
pub(crate) struct File {
    /// Relative to the root, with `/` between its parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(crate) fn is_markdown(&self) -> bool {
        self.path.ends_with(".md")
    }
}

impl Tree {
    /// Reads every file that git tracks or would track; ignored files are no part of the repository.
    ///
    /// # Errors
    /// Git could not list the files, or one of them could not be read.
    pub(crate) fn read(root: &Path, members: Vec<Member>) -> Result<Self, String> {
        let mut git = Command::new("git");
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
        let listed = process::capture(git)?;
        let mut paths: Vec<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
        paths.sort_unstable();
        paths.dedup();
        // A tracked file that was just removed is still listed until the removal is staged.
        let present = paths.into_iter().filter(|path| root.join(path).is_file());
        let files = present.map(|path| read_file(root, path)).collect::<Result<_, _>>()?;
        Ok(Self { files, members })
    }

    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether a file or a folder with files stands at this path; the empty path is the root.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let inside =
            |file: &File| file.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        path.is_empty() || self.files.iter().any(inside)
    }
}

fn read_file(root: &Path, path: &str) -> Result<File, String> {
    let bytes = fs::read(root.join(path)).map_err(|error| format!("{path} could not be read: {error}"))?;
    Ok(File { path: path.to_owned(), text: String::from_utf8(bytes).unwrap_or_default() })
}

/// The workspace's root: the nearest folder above the current one whose manifest defines a workspace.
///
/// # Errors
/// There is none: the program was started outside the repository.
pub(crate) fn find_root() -> Result<PathBuf, String> {
    let here = env::current_dir().map_err(|error| format!("the current folder is unknown: {error}"))?;
    let defines_workspace = |folder: &&Path| {
        fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(|text| text.lines().any(|line| line == "[workspace]"))
    };
    let root = here.ancestors().find(defines_workspace).map(Path::to_path_buf);
    root.ok_or_else(|| format!("no workspace at or above {}: change into the repository", here.display()))
}

/// A tree made of `(path, text)` pairs, for the tests of the rules.
#[cfg(test)]
pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
    let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
    Tree { files: files.iter().map(file).collect(), members: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_read_without_what_git_ignores() {
        let tree = Tree::read(&find_root().unwrap(), Vec::new()).unwrap();
        assert!(tree.file("xtask/src/tree.rs").is_some_and(|file| file.text.contains("fn this_repository_is_read")));
        assert!(!tree.exists("target") && !tree.exists(".git"));
    }

    #[test]
    fn a_folder_exists_if_a_file_is_below_it() {
        let tree = of(&[("docs/a/b.md", "")]);
        for path in ["", "docs", "docs/a", "docs/a/b.md"] {
            assert!(tree.exists(path), "{path}");
        }
        for path in ["do", "docs/a/b", "docs/a/b.md/c"] {
            assert!(!tree.exists(path), "{path}");
        }
    }
}
