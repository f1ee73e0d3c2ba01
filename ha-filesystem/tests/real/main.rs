//! The device on real file systems, with real processes.

#![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]
#![allow(unreachable_pub, reason = "a test has no users")]

mod compete;
mod directory;
mod foreign;
mod hostile;
mod killed;
mod small_disks;
mod witness;

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use ha_core::Error;
use ha_core::seam::Seam;
use ha_filesystem::{FilesystemDevice, FilesystemSettings};

async fn open(directory: &Path) -> Result<FilesystemDevice, Error> {
    FilesystemDevice::open(FilesystemSettings::at(directory), Seam::system()).await
}

fn text(text: &str) -> Bytes {
    Bytes::from(text.to_owned())
}

fn run(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
