use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Waits for the end of its standard input, which is the end of this process or of its owner, however that comes.
const SCRIPT: &str = r#"read -r never
umount -l "$1" 2>/dev/null
rm -rf --one-file-system -- "$2""#;

/// A folder for what is not to outlast this process, even if it is killed; perhaps with a small file system in it.
#[derive(Debug)]
pub(crate) struct Keeper {
    folder: PathBuf,
    mount: PathBuf,
    /// Why there is no file system of its own.
    not_mounted: Option<String>,
    keeper: Child,
}

impl Keeper {
    /// A new folder below that for temporary files.
    ///
    /// # Errors
    /// It cannot be made, or nobody can be told to remove it.
    pub(crate) fn new() -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("a temporary folder and its keeper: {error}");
        let folder = tempfile::Builder::new().prefix("ha-chaos-").tempdir().map_err(failed)?.keep();
        let mount = folder.join("shared");
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(SCRIPT).arg("keeper").arg(&mount).arg(&folder);
        // A group of its own: what ends this process from a terminal does not end the keeper.
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let keeper = shell.spawn().map_err(failed)?;
        std::fs::create_dir(&mount).map_err(failed)?;
        Ok(Self { folder, mount, not_mounted: None, keeper })
    }

    /// With a file system of that size at [`Keeper::shared`], where the machine allows it.
    pub(crate) fn with_file_system(mut self, megabytes: u32) -> Self {
        let size = format!("size={megabytes}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "ha-chaos"]).arg(&self.mount).stdin(Stdio::null());
        self.not_mounted = match mount.output() {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Some(error.to_string()),
        };
        self
    }

    pub(crate) fn not_mounted(&self) -> Option<&str> {
        self.not_mounted.as_deref()
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn shared(&self) -> &Path {
        &self.mount
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // It ends in any case; what it could not do, it says nobody.
        let _ = self.keeper.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_a_folder_and_its_file_system() {
        let keeper = Keeper::new().unwrap().with_file_system(1);
        let folder = keeper.folder().to_owned();
        std::fs::write(keeper.shared().join("a file"), b"with something in it").unwrap();
        drop(keeper);
        assert!(!folder.exists());
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        assert!(!mounts.contains(folder.to_str().unwrap()), "{mounts}");
    }
}
