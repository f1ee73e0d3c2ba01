//! Programs of crates, built once with the crate's own lock file: cargo checks every checksum in it.

use std::env;
use std::path::Path;
use std::process::Command;

use super::{PAUSES, persevere, quiet};

/// Built quickly rather than to be quick, but for a debug build its checksums would take most of a test's time.
const PROFILE: [&str; 3] =
    ["profile.release.opt-level=1", "profile.release.codegen-units=64", "profile.release.debug=false"];

/// Builds the crate's program into `tree/usr/bin` of the folder.
///
/// # Errors
/// It cannot be had, or does not build here.
pub(super) fn build(name: &str, version: &str, features: &str, folder: &Path) -> Result<(), String> {
    println!("{name} {version} is built once; this takes a few minutes");
    let build = folder.join("build");
    let mut command = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    command.args(["install", name, "--version", version, "--features", features, "--locked", "--no-track"]);
    command.args(PROFILE.iter().flat_map(|setting| ["--config", setting]));
    command.arg("--root").arg(folder.join("tree/usr")).arg("--target-dir").arg(&build);
    // What was built before a download failed is not built again.
    persevere(name, &PAUSES[2..], || quiet(&mut command).map(drop))?;
    std::fs::remove_dir_all(&build).map_err(|error| format!("{} could not be removed: {error}", build.display()))
}
