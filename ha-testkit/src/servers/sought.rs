//! Where the program of a server is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::factory::Missing;

/// The program of that name: the one that the variable names, else the first on the path, else what was
/// unpacked below the target folder that this test was built in.
pub(super) fn program(name: &str, variable: &str) -> Result<PathBuf, Missing> {
    let named = std::env::var_os(variable);
    let built = std::env::current_exe().unwrap_or_default();
    sought(name, variable, named, std::env::var_os("PATH"), &built)
}

fn sought(
    name: &str,
    variable: &str,
    named: Option<OsString>,
    path: Option<OsString>,
    built: &Path,
) -> Result<PathBuf, Missing> {
    if let Some(named) = named {
        let named = PathBuf::from(named);
        let missing = || Missing(format!("{variable}={} is no file; correct it or unset it", named.display()));
        return if named.is_file() { Ok(named) } else { Err(missing()) };
    }
    let on_path = path.iter().flat_map(std::env::split_paths).map(|folder| folder.join(name));
    // Tests run from `<target>/debug/deps` or a folder like it.
    let unpacked = Path::new("servers").join(name).join("tree/usr/bin").join(name);
    let below = built.ancestors().skip(1).map(|folder| folder.join(&unpacked));
    on_path.chain(below).find(|program| program.is_file()).ok_or_else(|| {
        Missing(format!("no `{name}`; `cargo xtask servers` unpacks one, or set {variable} to the program"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_comes_first_then_the_path_then_the_target_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = |path: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            path
        };
        let named = file("named/other-name");
        let on_path = file("bin/consul");
        let unpacked = file("target/servers/consul/tree/usr/bin/consul");
        let built = file("target/debug/deps/test-1234");
        let bin = || Some(folder.path().join("bin").into_os_string());
        let find = |named, path, built: &Path| sought("consul", "CONSUL_BIN", named, path, built).map_err(|m| m.0);
        assert_eq!(find(Some(named.clone().into()), bin(), &built), Ok(named));
        assert_eq!(find(None, bin(), &built), Ok(on_path));
        assert_eq!(find(None, None, &built), Ok(unpacked));
        assert!(find(None, None, &folder.path().join("elsewhere/x")).unwrap_err().contains("cargo xtask servers"));
        let broken = find(Some("no-such-file".into()), bin(), &built).unwrap_err();
        assert!(broken.contains("CONSUL_BIN=no-such-file"), "{broken}");
    }
}
