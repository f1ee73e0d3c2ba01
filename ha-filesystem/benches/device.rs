//! What an entry costs, beside the same steps done bare, alternating in one run on one directory.
//!
//! `cargo bench -p ha-filesystem --bench device [directory]`; without one, a temporary directory.

#![allow(clippy::unwrap_used, reason = "a benchmark: panicking is how it fails")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use ha_core::journal::{Journal, Published};
use ha_core::seam::Seam;
use ha_filesystem::{FilesystemDevice, FilesystemSettings};

const ROUNDS: u64 = 500;
const BYTES: usize = 500;

fn main() {
    // What cargo itself passes begins with a dash.
    let chosen = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).map(PathBuf::from);
    let parent = chosen.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(run(&parent));
}

async fn run(parent: &tempfile::TempDir) {
    let seam = Seam::system();
    let root = parent.path().join("journal");
    let device = FilesystemDevice::open(FilesystemSettings::at(&root), seam.clone()).await.unwrap();
    let bare = Bare::new(parent.path());
    let bytes = Bytes::from(vec![b'x'; BYTES]);
    let (mut ours, mut theirs, mut reads, mut misses) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 1..=ROUNDS {
        let start = seam.now();
        bare.publish(number, &bytes);
        theirs.push(seam.now().since(start));
        let start = seam.now();
        let won = device.publish(number, u128::from(number), &bytes).await;
        ours.push(seam.now().since(start));
        assert_eq!(won, Ok(Published::Won { floor: 0 }));
        let start = seam.now();
        assert_eq!(device.read(number).await.unwrap().entries.len(), 1);
        reads.push(seam.now().since(start));
        let start = seam.now();
        assert!(device.read(number + 1).await.unwrap().entries.is_empty());
        misses.push(seam.now().since(start));
    }
    println!("on {} (of {ROUNDS} entries of {BYTES} bytes each, p50 and p90)", device.mount().name);
    let (bare, ours) =
        (told("bare: create, write, fsync, link, fsync of the folder, unlink", theirs), told("publish", ours));
    told("read of one entry, durable already", reads);
    told("read at the end: nothing there", misses);
    let over = ours.saturating_sub(bare);
    println!("publish is {:.2} x bare, or bare + {over:?}", ours.as_secs_f64() / bare.as_secs_f64());
}

fn told(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let (half, most) = (times[times.len() / 2], times[times.len() * 9 / 10]);
    println!("{what}: {half:?}, {most:?}");
    half
}

/// The same steps without a thread, a check or a name of its own.
struct Bare {
    staged: PathBuf,
    entries: PathBuf,
    folder: File,
}

impl Bare {
    fn new(parent: &Path) -> Self {
        let (staged, entries) = (parent.join("bare-staged"), parent.join("bare-entries"));
        fs::create_dir(&staged).unwrap();
        fs::create_dir(&entries).unwrap();
        let folder = File::open(&entries).unwrap();
        Self { staged, entries, folder }
    }

    fn publish(&self, number: u64, bytes: &[u8]) {
        let staged = self.staged.join(number.to_string());
        let mut file = File::create_new(&staged).unwrap();
        file.write_all(bytes).unwrap();
        file.sync_all().unwrap();
        fs::hard_link(&staged, self.entries.join(format!("{number:020}"))).unwrap();
        self.folder.sync_all().unwrap();
        fs::remove_file(&staged).unwrap();
    }
}
