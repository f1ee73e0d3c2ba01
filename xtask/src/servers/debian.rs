//! Packages of the distribution, fetched and unpacked with its own tools. Nothing of the system changes: no
//! list of packages, no installed package, no right that a user has not.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::{PAUSES, Package, persevere, quiet};

/// It fetches as the machine's own apt does: by its proxies, certificates and passwords.
const APT_HELPER: &str = "/usr/lib/apt/apt-helper";

/// Fetches the package for this machine and unpacks it into the folder.
///
/// # Errors
/// This is no such distribution, no mirror has the package, or what came is not what was asked for.
pub(super) fn fetch_and_unpack(packages: &[Package], folder: &Path) -> Result<(), String> {
    let package = package_for(packages, architecture()?.trim())?;
    let file = folder.join("package.deb");
    let mirrors = mirrors()?;
    persevere(package.name(), &PAUSES, || fetch(package, &mirrors, &file))?;
    let tree = folder.join("tree");
    quiet(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&tree))?;
    std::fs::remove_file(&file).map_err(|error| format!("{} could not be removed: {error}", file.display()))
}

/// The checksum of the package for this machine, if there is one.
pub(super) fn pinned(packages: &'static [Package]) -> Option<&'static str> {
    let architecture = architecture().ok()?;
    package_for(packages, architecture.trim()).ok().map(|package| package.sha256)
}

fn architecture() -> Result<String, String> {
    let asked = quiet(Command::new("dpkg").arg("--print-architecture"));
    asked.map_err(|why| format!("this is no Debian and nothing like it: {why}"))
}

fn package_for<'a>(packages: &'a [Package], architecture: &str) -> Result<&'a Package, String> {
    let found = packages.iter().find(|package| package.architecture == architecture);
    found.ok_or_else(|| format!("no package for `{architecture}` is known"))
}

/// The mirrors that this machine's apt is configured with. Which ones is the machine's affair.
fn mirrors() -> Result<BTreeSet<String>, String> {
    let asked = quiet(Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI)"]))?;
    let mirrors = addresses(&asked);
    match mirrors.is_empty() {
        true => Err("apt is configured with no mirror".to_owned()),
        false => Ok(mirrors),
    }
}

fn addresses(text: &str) -> BTreeSet<String> {
    let lines = text.lines().map(|line| line.trim().trim_end_matches('/'));
    lines.filter(|line| !line.is_empty()).map(|line| format!("{line}/")).collect()
}

/// From the first mirror whose pool has it: a package that left one release stays in the pool as long as
/// another needs it.
fn fetch(package: &Package, mirrors: &BTreeSet<String>, file: &Path) -> Result<(), String> {
    let mut failures = Vec::new();
    for mirror in mirrors {
        let mut command = Command::new(APT_HELPER);
        // As the user that runs this: apt's own would have to reach the folder.
        command.args(["-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=30"]);
        command.arg("download-file").arg(format!("{mirror}{}", package.pool_path)).arg(file);
        command.arg(format!("SHA256:{}", package.sha256));
        match quiet(&mut command).and_then(|_| verify(package, file)) {
            Ok(()) => return Ok(()),
            Err(why) => failures.push(why),
        }
    }
    Err(format!("none of {} configured mirrors gave {}: {}", mirrors.len(), package.name(), failures.join("; ")))
}

/// Once more, and not by whoever fetched it.
fn verify(package: &Package, file: &Path) -> Result<(), String> {
    let sum = quiet(Command::new("sha256sum").arg("--").arg(file))?;
    match sum.split_whitespace().next() {
        Some(sum) if sum == package.sha256 => Ok(()),
        sum => Err(format!("what came has the checksum {}, not {}", sum.unwrap_or("?"), package.sha256)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::CONSUL;
    use super::super::tests::Folder;
    use super::*;

    #[test]
    fn each_mirror_counts_once_however_often_apt_names_it() {
        let found = addresses("http://a.example/debian/\nhttp://a.example/debian\n\n http://b.example/x/ \n");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["http://a.example/debian/", "http://b.example/x/"]);
        assert!(addresses("\n\n").is_empty());
    }

    #[test]
    fn an_architecture_without_a_package_is_named() {
        assert!(package_for(CONSUL, "amd64").is_ok());
        let message = package_for(CONSUL, "m68k").unwrap_err();
        assert!(message.contains("m68k"), "{message}");
    }

    #[test]
    fn what_came_is_refused_if_it_is_something_else() {
        let folder = Folder::new("verify");
        let file = folder.0.join("package.deb");
        std::fs::write(&file, "something else").unwrap();
        let message = verify(&CONSUL[0], &file).unwrap_err();
        assert!(message.contains(CONSUL[0].sha256), "{message}");
    }
}
