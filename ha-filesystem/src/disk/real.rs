use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{self as sys, AtFlags, CWD, Dir, FileType, Mode, OFlags};

use super::{Disk, DiskFile, Folder, Stat};

/// The file system of the operating system, below one directory. Folders are kept open: what is done goes to the
/// directory that was opened, also if another one has its path by now.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
    /// By [`Folder`], in its order.
    folders: [OnceLock<OwnedFd>; 6],
}

impl RealDisk {
    /// Opens the directory; makes it, and those above it, durably, if they are missing.
    ///
    /// # Errors
    /// As `mkdir(2)` and `open(2)`.
    pub fn open(root: &Path) -> io::Result<Self> {
        // Not resolved: a symbolic link that leads elsewhere one day must be noticed.
        let root = std::path::absolute(root)?;
        make_durably(&root)?;
        let disk = Self { folders: std::array::from_fn(|_| OnceLock::new()), root };
        disk.keep(Folder::Root, sys::openat(CWD, &disk.root, directory(), Mode::empty())?);
        Ok(disk)
    }

    fn keep(&self, folder: Folder, opened: OwnedFd) {
        // Opened twice at once: either will do.
        let _ = self.folders[folder as usize].set(opened);
    }

    fn at(&self, folder: Folder) -> io::Result<&OwnedFd> {
        self.folders[folder as usize].get().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    fn look_into(&self, folder: Folder, name: &str) -> io::Result<File> {
        match sys::openat(self.at(folder)?, name, reading(), Mode::empty()) {
            Ok(file) => Ok(File::from(file)),
            Err(rustix::io::Errno::LOOP) => Err(io::Error::new(io::ErrorKind::InvalidData, "a symbolic link")),
            Err(error) => Err(error.into()),
        }
    }
}

fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

/// Foreign links are not followed, and a foreign pipe does not hold us.
fn reading() -> OFlags {
    OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC
}

/// What the umask leaves of it: whoever shares the directory must be able to read, and the owner alone writes a file.
fn for_files() -> Mode {
    Mode::from_raw_mode(0o644)
}

impl Disk for RealDisk {
    fn root(&self) -> &Path {
        &self.root
    }

    fn make_folder(&self, folder: Folder) -> io::Result<()> {
        let parent = self.at(folder.parent())?;
        match sys::mkdirat(parent, folder.name(), Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            // Some file systems say so first, also where it exists.
            Err(rustix::io::Errno::ROFS) if sys::statat(parent, folder.name(), AtFlags::empty()).is_ok() => {}
            Err(error) => return Err(error.into()),
        }
        self.keep(folder, sys::openat(parent, folder.name(), directory(), Mode::empty())?);
        Ok(())
    }

    fn sync_folder(&self, folder: Folder) -> io::Result<()> {
        Ok(sys::fsync(self.at(folder)?)?)
    }

    fn create(&self, folder: Folder, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = sys::openat(self.at(folder)?, name, flags, for_files())?;
        Ok(Box::new(RealFile(File::from(file))))
    }

    fn open(&self, folder: Folder, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(self.look_into(folder, name)?)))
    }

    fn link(&self, staged: &str, folder: Folder, name: &str) -> io::Result<()> {
        let (from, to) = (self.at(Folder::Staged)?, self.at(folder)?);
        Ok(sys::linkat(from, staged, to, name, AtFlags::empty())?)
    }

    #[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
    fn rename_new(&self, staged: &str, folder: Folder, name: &str) -> io::Result<()> {
        let (from, to) = (self.at(Folder::Staged)?, self.at(folder)?);
        Ok(sys::renameat_with(from, staged, to, name, sys::RenameFlags::NOREPLACE)?)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
    fn rename_new(&self, _staged: &str, _folder: Folder, _name: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn read(&self, folder: Folder, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut file = self.look_into(folder, name)?;
        let found = sys::fstat(&file)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"));
        }
        let longer = || io::Error::new(io::ErrorKind::InvalidData, format!("longer than {bytes_max} bytes"));
        let length = u64::try_from(found.st_size).unwrap_or(u64::MAX);
        if length > bytes_max {
            return Err(longer());
        }
        // One byte more than it has: the end is seen by the first read that is short.
        let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(|_| longer())?.saturating_add(1));
        (&mut file).take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > bytes_max { Err(longer()) } else { Ok(bytes) }
    }

    fn list(&self, folder: Folder) -> io::Result<Vec<String>> {
        // Opened anew each time: a position of its own, and a network file system looks at the server.
        let mut names = Vec::new();
        for entry in Dir::read_from(self.at(folder)?)? {
            let entry = entry?;
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        Ok(names)
    }

    fn stat(&self, folder: Folder, name: &str) -> io::Result<Stat> {
        Ok(stat(&sys::statat(self.at(folder)?, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    fn stat_by_path(&self, folder: Folder, name: &str) -> io::Result<Stat> {
        Ok(stat(&sys::statat(CWD, self.root.join(folder.path(name)), AtFlags::SYMLINK_NOFOLLOW)?))
    }

    fn remove(&self, folder: Folder, name: &str) -> io::Result<()> {
        Ok(sys::unlinkat(self.at(folder)?, name, AtFlags::empty())?)
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn stat(&self) -> io::Result<Stat> {
        Ok(stat(&sys::fstat(&self.0)?))
    }

    fn file(&self) -> Option<&File> {
        Some(&self.0)
    }
}

#[allow(clippy::useless_conversion, clippy::unnecessary_cast, reason = "the fields' types differ between machines")]
fn stat(found: &sys::Stat) -> Stat {
    Stat {
        device: found.st_dev as u64,
        inode: found.st_ino as u64,
        modified_s: found.st_mtime as i64,
        is_file: FileType::from_raw_mode(found.st_mode) == FileType::RegularFile,
    }
}

/// Makes a directory and those above it. Each new name is fsynced, as those are that are made later.
fn make_durably(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let Some(parent) = directory.parent() else { return Ok(()) };
    make_durably(parent)?;
    match std::fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        // Made by another just now: it may not have fsynced it yet.
        _ => {}
    }
    File::open(parent)?.sync_all()
}
