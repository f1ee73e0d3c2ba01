//! The folder with what was unpacked: made once, whole or not at all, by one run at a time.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::{Server, Source, debian, registry, runs};

/// Beside the tree: what it came from, the checksum of a package or the version of a crate.
const PINNED: &str = "pinned";

/// The program below the folder; fetched if it is not there, or comes from another package than the pinned one.
///
/// # Errors
/// It is not there and could not be fetched, or does not run.
pub(super) fn unpacked(server: &Server, folder: &Path) -> Result<PathBuf, String> {
    match server.source {
        Source::Debian(packages) => {
            let fetch = |_: &Server, new: &Path| debian::fetch_and_unpack(packages, new);
            unpacked_by(server, folder, debian::pinned(packages), fetch)
        }
        Source::Crate { version, features } => {
            let build = |server: &Server, new: &Path| registry::build(server.name, version, features, new);
            unpacked_by(server, folder, Some(version), build)
        }
    }
}

fn unpacked_by(
    server: &Server,
    folder: &Path,
    pinned: Option<&str>,
    fetch: impl Fn(&Server, &Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let place = folder.join(server.name);
    let program = place.join("tree").join(server.program);
    let is_current = || {
        let stored = fs::read_to_string(place.join(PINNED)).ok();
        program.is_file() && stored.is_some() && stored.as_deref() == pinned
    };
    if is_current() {
        return Ok(program);
    }
    fs::create_dir_all(folder).map_err(|error| failed("could not be created", folder, &error))?;
    let _lock = lock(&folder.join("lock"))?;
    // Another run may have been faster.
    if is_current() {
        return Ok(program);
    }
    // Under another name until it is whole: a run that is killed leaves nothing that looks like a server.
    let new = folder.join(format!("{}.new", server.name));
    remove(&new)?;
    fs::create_dir(&new).map_err(|error| failed("could not be created", &new, &error))?;
    fetch(server, &new)?;
    runs(server, &new.join("tree").join(server.program))?;
    let text = pinned.unwrap_or_default();
    fs::write(new.join(PINNED), text).map_err(|error| failed("could not be written", &new, &error))?;
    remove(&place)?;
    fs::rename(&new, &place).map_err(|error| failed("could not be put in its place", &new, &error))?;
    Ok(program)
}

/// Held until it is dropped, or its process ends.
fn lock(path: &Path) -> Result<File, String> {
    let file = File::create(path).map_err(|error| failed("could not be created", path, &error))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => println!("waiting for another run that unpacks servers"),
        Err(TryLockError::Error(error)) => return Err(failed("could not be locked", path, &error)),
    }
    file.lock().map_err(|error| failed("could not be locked", path, &error))?;
    Ok(file)
}

fn remove(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failed("could not be removed", folder, &error))
        }
        _ => Ok(()),
    }
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("{} {what}: {error}", path.display())
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::SERVERS;
    use super::super::tests::Folder;
    use super::*;

    /// A server that every machine has: a program that ends well whatever it is told.
    const SERVER: Server = Server { name: "server", probe: "", program: "bin/true", ..SERVERS[0] };

    fn unpack(_: &Server, folder: &Path) -> Result<(), String> {
        let bin = folder.join("tree/bin");
        fs::create_dir_all(&bin).map_err(|error| error.to_string())?;
        std::os::unix::fs::symlink("/bin/true", bin.join("true")).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_current_is_not_fetched_again_and_what_is_not_is_replaced() {
        let folder = Folder::new("current");
        let fetched = AtomicUsize::new(0);
        let fetch = |server: &Server, folder: &Path| {
            fetched.fetch_add(1, Ordering::Relaxed);
            unpack(server, folder)
        };
        for (pinned, times) in [("one", 1), ("one", 1), ("two", 2), ("two", 2)] {
            let program = unpacked_by(&SERVER, &folder.0, Some(pinned), fetch).unwrap();
            assert!(program.is_file());
            assert_eq!(fetched.load(Ordering::Relaxed), times, "{pinned}");
        }
    }

    #[test]
    fn two_runs_at_once_fetch_once() {
        let folder = Folder::new("twice");
        let fetched = AtomicUsize::new(0);
        let fetch = |server: &Server, folder: &Path| {
            fetched.fetch_add(1, Ordering::Relaxed);
            unpack(server, folder)
        };
        std::thread::scope(|scope| {
            let runs: Vec<_> =
                (0..4).map(|_| scope.spawn(|| unpacked_by(&SERVER, &folder.0, Some("one"), fetch))).collect();
            runs.into_iter().for_each(|run| assert!(run.join().unwrap().unwrap().is_file()));
        });
        assert_eq!(fetched.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn half_an_unpacking_is_no_server() {
        let folder = Folder::new("half");
        let breaks = |server: &Server, folder: &Path| unpack(server, folder).and(Err("the line broke".to_owned()));
        assert_eq!(unpacked_by(&SERVER, &folder.0, Some("one"), breaks), Err("the line broke".to_owned()));
        assert!(!folder.0.join("server").exists());
        assert!(unpacked_by(&SERVER, &folder.0, Some("one"), unpack).unwrap().is_file());
    }

    #[test]
    fn what_does_not_run_is_refused() {
        let folder = Folder::new("broken");
        let empty = |_: &Server, folder: &Path| {
            fs::create_dir_all(folder.join("tree/bin")).unwrap();
            fs::write(folder.join("tree/bin/true"), "no program").map_err(|error| error.to_string())
        };
        let message = unpacked_by(&SERVER, &folder.0, Some("one"), empty).unwrap_err();
        assert!(message.contains("could not be run"), "{message}");
        assert!(!folder.0.join("server").exists());
    }
}
