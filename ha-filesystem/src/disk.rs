//! What is asked of a file system, one operation at a time. A test can supply another one, which
//! forgets what was not fsynced or fails at a given step.

mod real;

use std::fmt;
use std::fs::File;
use std::io;

pub use real::RealDisk;

/// The folders of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Folder {
    /// The directory of the settings.
    Root,
    /// `.ha-journal` below it.
    Journal,
    /// Below [`Folder::Journal`], as all that follow: the entries by their numbers.
    Entries,
    /// Snapshots of the state.
    Snapshots,
    /// What was written and has no other name yet.
    Staged,
    /// Files that are locked by living processes.
    Holders,
}

impl Folder {
    /// All but the root, each after the one that it lies in.
    pub const MADE: [Self; 5] = [Self::Journal, Self::Entries, Self::Snapshots, Self::Staged, Self::Holders];

    /// Its name in [`Folder::parent`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "",
            Self::Journal => ".ha-journal",
            Self::Entries => "entries",
            Self::Snapshots => "snapshots",
            Self::Staged => "staged",
            Self::Holders => "holders",
        }
    }

    /// The folder that it lies in.
    #[must_use]
    pub fn parent(self) -> Self {
        match self {
            Self::Root | Self::Journal => Self::Root,
            _ => Self::Journal,
        }
    }

    /// The path of a name in it, below the root; for people.
    #[must_use]
    pub fn path(self, name: &str) -> String {
        match self {
            Self::Root => name.to_owned(),
            Self::Journal => format!(".ha-journal/{name}"),
            _ => format!(".ha-journal/{}/{name}", self.name()),
        }
    }
}

/// What tells one file from all others, and how old it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// The device that it lies on.
    pub device: u64,
    /// Its number there. Not used again while it has a name or is open.
    pub inode: u64,
    /// When it was last written, in seconds by the clock of the file system.
    pub modified_s: i64,
    /// Whether it is a file, and not a directory or worse.
    pub is_file: bool,
}

impl Stat {
    /// Whether both are one file.
    #[must_use]
    pub fn same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// A file that is open.
pub trait DiskFile: fmt::Debug + Send {
    /// Writes all of it at the end.
    ///
    /// # Errors
    /// As `write(2)`.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written durable, not the file's name.
    ///
    /// # Errors
    /// As `fsync(2)`.
    fn sync(&self) -> io::Result<()>;

    /// Which file it is, whatever name it has now.
    ///
    /// # Errors
    /// As `fstat(2)`.
    fn stat(&self) -> io::Result<Stat>;

    /// The file of the operating system, for locks; `None` if there is none below.
    fn file(&self) -> Option<&File> {
        None
    }
}

/// A file system below one root. Every method is one step; between two of them the process may end.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Where the root is; for people, and for what needs a path.
    fn root(&self) -> &std::path::Path;

    /// Makes the folder unless it is there, and opens it.
    ///
    /// # Errors
    /// As `mkdir(2)` and `open(2)`.
    fn make_folder(&self, folder: Folder) -> io::Result<()>;

    /// Makes the names of the folder durable.
    ///
    /// # Errors
    /// As `fsync(2)`.
    fn sync_folder(&self, folder: Folder) -> io::Result<()>;

    /// Creates a file that does not exist.
    ///
    /// # Errors
    /// As `open(2)` with `O_EXCL`.
    fn create(&self, folder: Folder, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file, to look at it.
    ///
    /// # Errors
    /// As `open(2)`.
    fn open(&self, folder: Folder, name: &str) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a staged file a further name, if that does not exist.
    ///
    /// # Errors
    /// As `link(2)`.
    fn link(&self, staged: &str, folder: Folder, name: &str) -> io::Result<()>;

    /// Gives a staged file another name instead, if that does not exist.
    ///
    /// # Errors
    /// As `renameat2(2)` with `RENAME_NOREPLACE`.
    fn rename_new(&self, staged: &str, folder: Folder, name: &str) -> io::Result<()>;

    /// Reads a whole file.
    ///
    /// # Errors
    /// As `open(2)` and `read(2)`; [`io::ErrorKind::InvalidData`] if it is no file, or longer than `bytes_max`.
    fn read(&self, folder: Folder, name: &str, bytes_max: u64) -> io::Result<Vec<u8>>;

    /// The names in a folder, in no order. Names that are no UTF-8 are left out.
    ///
    /// # Errors
    /// As `getdents(2)`.
    fn list(&self, folder: Folder) -> io::Result<Vec<String>>;

    /// Which file has that name.
    ///
    /// # Errors
    /// As `stat(2)`.
    fn stat(&self, folder: Folder, name: &str) -> io::Result<Stat>;

    /// The same, by the whole path and not through an open folder.
    ///
    /// # Errors
    /// As `stat(2)`.
    fn stat_by_path(&self, folder: Folder, name: &str) -> io::Result<Stat>;

    /// Takes a file's name away.
    ///
    /// # Errors
    /// As `unlink(2)`.
    fn remove(&self, folder: Folder, name: &str) -> io::Result<()>;
}
