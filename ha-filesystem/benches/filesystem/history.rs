//! A long history: what opening costs behind it, and what it leaves in the directory.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::try_join_all;
use ha_core::backend::{Backend, Prefix};
use ha_core::seam::Seam;
use ha_filesystem::FilesystemSettings;
use ha_testkit::bench::{self as table, Result, Times};

use crate::bare::size;
use crate::commits::Cell;

/// So many write at once, each a key of its own: a hundred thousand fsyncs one after the other would take an hour on a
/// slow disk, and show nothing more.
const WRITERS: usize = 16;
const HALF: usize = 100_000;
const OPENINGS: usize = 20;
/// How often the directory is looked at.
const LOOKS: usize = 10;

pub(crate) async fn measure(below: &Path) -> Result<()> {
    let seam = Seam::system();
    let settings = FilesystemSettings::at(below.join("history"));
    let backend: Arc<dyn Backend> = ha_filesystem::connect(settings.clone(), seam.clone()).await?;
    let mut cells: Vec<Cell> = (0..WRITERS)
        .map(|number| Cell::new(Arc::clone(&backend), seam.clone(), &format!("bench/cell-{number}")))
        .collect::<Result<_>>()?;
    println!("\nA history of {} commits by {WRITERS} writers", 2 * HALF);
    println!("{:>10} {:>10} {:>8} {:>10}", "commits", "entries", "files", "KiB");
    for look in 1..=2 * LOOKS {
        try_join_all(cells.iter_mut().map(|cell| async move {
            for _ in 0..HALF / LOOKS / WRITERS {
                cell.write().await?;
            }
            Result::Ok(())
        }))
        .await?;
        let (files, bytes) = size(&settings.directory)?;
        println!("{:>10} {:>10} {files:>8} {:>10}", look * HALF / LOOKS, newest(&settings.directory)?, bytes >> 10);
        if look == LOOKS {
            open(&settings, &seam).await?;
        }
    }
    backend.close().await?;
    Ok(())
}

/// The number of the newest entry.
fn newest(directory: &Path) -> Result<u64> {
    let names = std::fs::read_dir(directory.join(".ha-journal/entries"))?;
    let numbers = names.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok());
    Ok(numbers.max().unwrap_or(0))
}

/// To the first list, beside reading the same files without making anything of them.
async fn open(settings: &FilesystemSettings, seam: &Seam) -> Result<()> {
    let (mut ours, mut bare) = (Times::new(), Times::new());
    for _ in 0..OPENINGS {
        let began = seam.now();
        let backend = ha_filesystem::connect(settings.clone(), seam.clone()).await?;
        let found = backend.list(&Prefix::new("bench")?).await?.entries.len();
        ours.add(seam.now().since(began));
        if found != WRITERS {
            return Err(format!("{found} keys were found instead of {WRITERS}").into());
        }
        backend.close().await?;
        let began = seam.now();
        let journal = settings.directory.join(".ha-journal");
        std::hint::black_box(newest_snapshot_and_entries(&journal)?);
        bare.add(seam.now().since(began));
    }
    table::head(&format!("Opening behind {HALF} commits, {OPENINGS} times"));
    table::line("open and list; bare: the same files read", &ours, &bare);
    Ok(())
}

fn newest_snapshot_and_entries(journal: &Path) -> Result<usize> {
    let names = |folder: &str| -> Result<Vec<String>> {
        let names = std::fs::read_dir(journal.join(folder))?;
        let mut names: Vec<String> = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        Ok(names)
    };
    let (mut bytes, mut after) = (0, String::new());
    if let Some(snapshot) = names("snapshots")?.pop() {
        bytes += std::fs::read(journal.join("snapshots").join(&snapshot))?.len();
        after = snapshot.split('-').next().unwrap_or_default().to_owned();
    }
    for entry in names("entries")?.into_iter().filter(|entry| *entry > after) {
        bytes += std::fs::read(journal.join("entries").join(entry))?.len();
    }
    Ok(bytes)
}
