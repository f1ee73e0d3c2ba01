//! Commits on the backend itself: one writer, and many at once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use ha_core::backend::{Backend, Commit, Expect, Key, Outcome, Revision};
use ha_core::seam::Seam;
use ha_filesystem::FilesystemSettings;
use ha_testkit::bench::{self as table, Result, Times};

use crate::bare::{Bare, newest_entry};

const WRITES: usize = 1_000;
const VALUE_BYTES: usize = 512;
const WRITERS: usize = 64;
const WRITES_OF_EACH: usize = 100;

/// A key that one writer writes again and again.
pub(crate) struct Cell {
    backend: Arc<dyn Backend>,
    seam: Seam,
    key: Key,
    revision: Option<Revision>,
    value: Bytes,
}

impl Cell {
    pub(crate) fn new(backend: Arc<dyn Backend>, seam: Seam, key: &str) -> Result<Self> {
        Ok(Self { backend, seam, key: Key::new(key)?, revision: None, value: vec![b'x'; VALUE_BYTES].into() })
    }

    pub(crate) async fn write(&mut self) -> Result<()> {
        let expect = self.revision.map_or(Expect::Absent, Expect::Revision);
        let commit = Commit::new(self.seam.write_id()).put(self.key.clone(), expect, self.value.clone());
        match self.backend.commit(&commit).await? {
            Outcome::Applied { revisions } => self.revision = revisions.first().copied(),
            other => return Err(format!("{}: {other:?}", self.key).into()),
        }
        Ok(())
    }
}

pub(crate) async fn measure(below: &Path) -> Result<()> {
    let seam = Seam::system();
    let directory = below.join("commits");
    let backend: Arc<dyn Backend> = ha_filesystem::connect(FilesystemSettings::at(&directory), seam.clone()).await?;
    let mut cell = Cell::new(Arc::clone(&backend), seam.clone(), "bench/cell")?;
    cell.write().await?;
    cell.write().await?;
    let bytes = newest_entry(&directory)?;
    let mut bare = Bare::new(&directory, "commits")?;
    let (mut ours, mut plain) = (Times::new(), Times::new());
    for _ in 0..WRITES {
        let began = seam.now();
        cell.write().await?;
        let middle = seam.now();
        bare.write(&bytes)?;
        ours.add(middle.since(began));
        plain.add(seam.now().since(middle));
        bare.tidy()?;
    }
    table::head(&format!("One commit of {VALUE_BYTES} bytes ({} in the entry), one after the other", bytes.len()));
    table::line("commit (goal 1.5x, or bare + 60 us)", &ours, &plain);
    let more = ours.at(50).saturating_sub(plain.at(50));
    println!("the median is {:.0} us above bare", more.as_secs_f64() * 1e6);

    let began = seam.now();
    let writers = (0..WRITERS).map(|writer| {
        let cell = Cell::new(Arc::clone(&backend), seam.clone(), &format!("bench/cell-{writer}"));
        async move {
            let mut cell = cell?;
            for _ in 0..WRITES_OF_EACH {
                cell.write().await?;
            }
            Result::Ok(())
        }
    });
    try_join_all(writers).await?;
    let took = seam.now().since(began);
    let rate = |writes: usize, took: Duration| writes as f64 / took.as_secs_f64();
    let (many, one) = (rate(WRITERS * WRITES_OF_EACH, took), rate(1, ours.at(50)));
    println!(
        "{WRITERS} writers at once: {many:.0} commits a second, {:.1} times the {one:.0} of one (goal 10 times where bare \
         costs at least 200 us; here it costs {:.0})",
        many / one,
        plain.at(50).as_secs_f64() * 1e6
    );
    backend.close().await?;
    Ok(())
}
