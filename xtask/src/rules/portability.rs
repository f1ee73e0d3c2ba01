//! The repository builds on any machine, from whichever package host that machine is set up for.

use super::{Finding, by_line};
use crate::tree::Tree;

// The pieces are joined by the compiler so that this file does not break its own rule.
/// Folders that exist on one person's machine or for one moment.
const MACHINE_FOLDERS: [&str; 5] =
    [concat!("/", "home/"), concat!("/", "root/"), concat!("/", "tmp/"), concat!("/", "work/"), concat!("/", "Users/")];
/// Where packages come from is the machine's setting, not the project's.
const PACKAGE_HOSTS: [&str; 9] = [
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("registry.", "npmjs.org"),
    concat!("pypi", ".org"),
    concat!("files.", "pythonhosted.org"),
    concat!("proxy.", "golang.org"),
    concat!("deb.", "debian.org"),
    concat!("sparse", "+http"),
    concat!("replace", "-with"),
];
const LOCKED_SOURCE: &str = concat!("registry", "+");
/// What cargo writes into every lock file, whichever host the packages really came from.
const CANONICAL_SOURCE: &str = concat!("registry", "+https://github.com/rust-lang/crates.io-index");

pub(super) fn nothing_is_bound_to_a_machine(tree: &Tree) -> Vec<Finding> {
    tree.files.iter().flat_map(|file| by_line(&file.path, &file.text, bound)).collect()
}

fn bound(line: &str) -> Option<String> {
    if let Some(folder) = MACHINE_FOLDERS.iter().find(|folder| names_folder(line, folder)) {
        return Some(format!("an absolute path below `{folder}`: make it relative, or ask for a temporary folder"));
    }
    let foreign = line.replace(CANONICAL_SOURCE, "");
    let hosts = PACKAGE_HOSTS.iter().chain(std::iter::once(&LOCKED_SOURCE));
    hosts.copied().find(|host| foreign.contains(host)).map(|host| format!("`{host}` fixes a package host"))
}

/// Whether an absolute path into `folder` begins in `line`; the same name inside a longer path is something else.
fn names_folder(line: &str, folder: &str) -> bool {
    let begins_path = |before: &str| {
        let last = before.chars().next_back();
        last.is_none_or(|c| c.is_whitespace() || "\"'`([<=:,|/".contains(c))
    };
    line.match_indices(folder).any(|(at, _)| begins_path(&line[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::places;
    use crate::tree::of;

    #[test]
    fn a_path_of_one_machine_is_found() {
        for folder in MACHINE_FOLDERS {
            for line in [
                format!("{folder}x"),
                format!("see `{folder}x`"),
                format!("a=\"file://{folder}x\""),
                format!("[a]({folder})"),
            ] {
                let findings = nothing_is_bound_to_a_machine(&of(&[("a.toml", &format!("\n{line}"))]));
                assert_eq!(places(&findings), ["a.toml:2"], "{line}");
            }
        }
    }

    #[test]
    fn the_same_name_inside_another_path_is_no_machine_path() {
        for folder in MACHINE_FOLDERS {
            for before in ["$DIR", "{root}", "https://example.org", "..", "<dir>"] {
                let line = format!("{before}{folder}x");
                assert_eq!(bound(&line), None, "{line}");
            }
        }
    }

    #[test]
    fn a_fixed_package_host_is_found() {
        for host in PACKAGE_HOSTS {
            assert!(bound(&format!("url = \"https://{host}/x\"")).is_some(), "{host}");
        }
        let line = format!("source = \"{LOCKED_SOURCE}https://mirror.example/index\"");
        assert!(bound(&line).is_some(), "{line}");
    }

    #[test]
    fn the_source_in_every_lock_file_is_none() {
        assert_eq!(bound(&format!("source = \"{CANONICAL_SOURCE}\"")), None);
    }
}
