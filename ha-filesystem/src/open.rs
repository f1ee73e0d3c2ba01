use std::path::Path;
use std::sync::Arc;

use ha_core::seam::Seam;
use ha_core::{Error, ErrorKind};

use crate::disk::{Disk, Folder, RealDisk};
use crate::failure::failed;
use crate::identity;
use crate::mounts::Mount;
use crate::probe::{Proved, probe};
use crate::shared::{Found, Shared};

const OPERATION: &str = "open the journal";

/// Opens the directory of the settings and finds out what it lies on.
pub(crate) fn real(directory: &Path) -> Result<(Arc<dyn Disk>, Mount), Error> {
    let fail = |error| open_failed(directory, error);
    if directory.exists() && !directory.is_dir() {
        let why = "it is a file: name a directory";
        return Err(Error::new(ErrorKind::Invalid, OPERATION).at(directory.display()).because(why));
    }
    let disk = RealDisk::open(directory).map_err(fail)?;
    let mount = Mount::of(disk.root()).map_err(fail)?;
    Ok((Arc::new(disk), mount))
}

/// Makes what is missing, tries what is needed, and finds out which journal this is. All of it is durable then.
pub(crate) fn open(disk: Arc<dyn Disk>, mount: Mount, seam: Seam) -> Result<Shared, Error> {
    let root = disk.root().to_owned();
    let fail = |error| open_failed(&root, error);
    for folder in Folder::MADE {
        let path = root.join(folder.parent().path(folder.name()));
        disk.make_folder(folder).map_err(|error| open_failed(&path, error))?;
    }
    // Whoever made them may not have come to this.
    disk.sync_folder(Folder::Root).map_err(fail)?;
    disk.sync_folder(Folder::Journal).map_err(fail)?;
    let Proved { naming, locks } = probe(&*disk, mount, &seam)?;
    let (identity, identity_file) = identity::establish(&*disk, &seam, naming)?;
    if mount.is_memory() {
        tracing::warn!(directory = %root.display(), "the journal lies in memory: the end of the machine takes it away");
    }
    tracing::info!(directory = %root.display(), file_system = mount.name, ?naming, locks, "journal opened");
    let found = Found { naming, locks, identity, identity_file };
    Shared::new(Arc::clone(&disk), seam, mount, found).map_err(fail)
}

fn open_failed(path: &Path, error: std::io::Error) -> Error {
    failed(OPERATION, path.display(), error)
}
