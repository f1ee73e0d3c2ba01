//! The least that a program must do for a write that survives a loss of power and overwrites nobody's: write a file
//! under another name, fsync it, link it to its name, fsync the folder.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ha_testkit::bench::Result;

/// A folder of its own, written to by those calls alone.
pub(crate) struct Bare {
    folder: PathBuf,
    open: File,
    staged: PathBuf,
    number: u64,
}

impl Bare {
    pub(crate) fn new(directory: &Path, name: &str) -> Result<Self> {
        let folder = directory.join(format!("bare-{name}"));
        fs::create_dir_all(&folder)?;
        let staged = directory.join(format!("bare-{name}-staged"));
        Ok(Self { open: File::open(&folder)?, folder, staged, number: 0 })
    }

    /// Writes the next file.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.number += 1;
        let mut file = OpenOptions::new().write(true).create_new(true).open(&self.staged)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::hard_link(&self.staged, self.folder.join(format!("{:020}", self.number)))?;
        self.open.sync_all()?;
        Ok(())
    }

    /// What need not be waited for.
    pub(crate) fn tidy(&self) -> Result<()> {
        Ok(fs::remove_file(&self.staged)?)
    }
}

/// The bytes of the newest entry in the journal of that directory.
pub(crate) fn newest_entry(directory: &Path) -> Result<Vec<u8>> {
    let entries = fs::read_dir(directory.join(".ha-journal/entries"))?;
    let mut names: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    names.sort();
    Ok(fs::read(names.last().ok_or("a journal without an entry")?)?)
}

/// How many files a folder holds with all below it, and their bytes.
pub(crate) fn size(folder: &Path) -> Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // One that was swept meanwhile counts for nothing.
        let Ok(data) = entry.metadata() else { continue };
        let (more, length) = if data.is_dir() { size(&entry.path())? } else { (1, data.len()) };
        (files, bytes) = (files + more, bytes + length);
    }
    Ok((files, bytes))
}

/// What the directory lies on, as far as the system tells.
pub(crate) fn device(directory: &Path) -> Result<String> {
    let directory = directory.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let found = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (device, place, kind) = (words.next()?, words.next()?, words.next()?);
        directory.starts_with(place).then(|| (place.len(), format!("{kind} on {device}")))
    });
    Ok(found.max().map_or_else(|| "an unknown device".to_owned(), |(_, device)| device))
}
