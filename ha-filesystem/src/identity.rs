use std::io;

use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

use crate::disk::{Disk, DiskFile, Folder};
use crate::failure::failed;
use crate::names;
use crate::shared::{Naming, stage};

/// The file that says which journal this is.
pub(crate) const IDENTITY: &str = "identity";
/// The layout of the folders that this version reads and writes.
const FORMAT: u64 = 1;
/// It is a line of text.
const BYTES_MAX: u64 = 4096;
/// How often another process may be in the way. Each time it made the identity, or replaced it.
const ATTEMPTS_MAX: usize = 4;
const OPERATION: &str = "open the journal";

#[derive(Serialize, Deserialize)]
struct Identity {
    format: u64,
    #[serde(default)]
    id: String,
}

/// Reads the identity, and makes it where there is no journal yet. Durable when it is answered.
pub(crate) fn establish(disk: &dyn Disk, seam: &Seam, naming: Naming) -> Result<(u128, Box<dyn DiskFile>), Error> {
    let path = disk.root().join(Folder::Journal.path(IDENTITY)).display().to_string();
    let fail = |error| failed(OPERATION, &path, error);
    for _ in 0..ATTEMPTS_MAX {
        match disk.open(Folder::Journal, IDENTITY) {
            Ok(file) => {
                let bytes = disk.read(Folder::Journal, IDENTITY, BYTES_MAX).map_err(fail)?;
                let id = parse(&bytes, &path)?;
                // Whoever made it may not have come to this.
                disk.sync_folder(Folder::Journal).map_err(fail)?;
                let now = disk.stat_by_path(Folder::Journal, IDENTITY).map_err(fail)?;
                if file.stat().map_err(fail)?.same_file(&now) {
                    return Ok((id, file));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(disk, seam, naming, &path)?,
            Err(error) => return Err(fail(error)),
        }
    }
    let why = "the file is replaced again and again: what does that?";
    Err(Error::new(ErrorKind::Unavailable, OPERATION).at(&path).because(why))
}

/// Publishes a fresh identity. Success also if another process did.
fn make(disk: &dyn Disk, seam: &Seam, naming: Naming, path: &str) -> Result<(), Error> {
    let fail = |error| failed(OPERATION, path, error);
    let entries = disk.list(Folder::Entries).map_err(fail)?;
    let snapshots = disk.list(Folder::Snapshots).map_err(fail)?;
    let has_numbers = entries.iter().any(|name| names::parse_entry(name).is_some())
        || snapshots.iter().any(|name| names::parse_snapshot(name).is_some());
    if has_numbers {
        // Race: another process made the identity and its first entry since we looked.
        // Closed by: looking again; an identity is never taken away.
        // Cost if missed: a healthy journal is called corrupt.
        return match disk.stat(Folder::Journal, IDENTITY) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let why = "it is missing, and there are entries: restore the whole directory from a copy";
                Err(Error::new(ErrorKind::Corrupt, OPERATION).at(path).because(why))
            }
            Err(error) => Err(fail(error)),
        };
    }
    let id = format!("{:016x}{:016x}", seam.random_u64(), seam.random_u64());
    let line = serde_json::to_string(&Identity { format: FORMAT, id }).expect("a number and a text are JSON") + "\n";
    let staged = stage(disk, seam, line.as_bytes()).map_err(fail)?;
    let named = match naming {
        Naming::Link => disk.link(&staged, Folder::Journal, IDENTITY),
        Naming::Rename => disk.rename_new(&staged, Folder::Journal, IDENTITY),
    };
    // Gone already after a rename; else a leftover that is collected one day.
    let _ = disk.remove(Folder::Staged, &staged);
    match named {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(fail(error)),
        _ => Ok(()),
    }
}

pub(crate) fn parse(bytes: &[u8], path: &str) -> Result<u128, Error> {
    let corrupt = || {
        let why = "this is not what the library wrote: restore it from a copy of the directory";
        Error::new(ErrorKind::Corrupt, OPERATION).at(path).because(why)
    };
    let identity: Identity = serde_json::from_slice(bytes).map_err(|error| corrupt().caused_by(error))?;
    if identity.format > FORMAT {
        let why = format!("the layout is of format {}, this version knows {FORMAT}: upgrade it", identity.format);
        return Err(Error::new(ErrorKind::NewerFormat, OPERATION).at(path).because(why));
    }
    // The same rule as for staged names: 32 digits, so that one identity has one spelling.
    if identity.format != FORMAT || !names::is_staged(&identity.id) {
        return Err(corrupt());
    }
    u128::from_str_radix(&identity.id, 16).map_err(|error| corrupt().caused_by(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_what_was_written_and_nothing_like_it() {
        let good = br#"{"format":1,"id":"000000000000000000000000000000ff"}"#;
        assert_eq!(parse(good, "x").unwrap(), 255);
        let newer = parse(br#"{"format":2,"name":"x"}"#, "x").unwrap_err();
        assert_eq!(newer.kind(), ErrorKind::NewerFormat);
        let half = &good[..20];
        let bad: [&[u8]; 7] = [
            b"",
            half,
            &[0; 52],
            b"{}",
            br#"{"format":0,"id":"000000000000000000000000000000ff"}"#,
            br#"{"format":1,"id":"ff"}"#,
            br#"{"format":1,"id":"+00000000000000000000000000000ff"}"#,
        ];
        for bytes in bad {
            let error = parse(bytes, "some/identity").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{bytes:?}");
            assert!(error.to_string().contains("some/identity"), "{error}");
        }
    }
}
