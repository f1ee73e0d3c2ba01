//! A sweep in a directory: clocks that differ, foreign files, other clusters in the same root.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ha_core::cleanup::{OrphanOptions, OrphanSweep};
use ha_core::election::Leadership;
use ha_core::inspect::{Depth, Inspector};
use ha_core::seam::Seam;
use ha_core::state::{StateStorage, chunks_of};
use ha_core::{HaServices, HighAvailabilityServices, ServicesOptions};
use ha_embedded::Embedded;

use super::rig::job;

const HOUR: Duration = Duration::from_secs(3600);
const RANDOM: &str = "00000000000000000000000000000001";

struct World {
    seam: Seam,
    store: Embedded,
    folder: tempfile::TempDir,
}

fn options(cluster: &str) -> ServicesOptions {
    ServicesOptions { cluster_id: cluster.into(), ..ServicesOptions::default() }
}

impl World {
    fn new() -> Self {
        let seam = Seam::system();
        Self { store: Embedded::new(seam.clone()), folder: tempfile::tempdir().unwrap(), seam }
    }

    fn storage(&self) -> StateStorage {
        let url = url::Url::from_directory_path(self.folder.path()).unwrap();
        StateStorage::open(url.as_str(), self.seam.clone()).unwrap()
    }

    async fn leads(&self, cluster: &str) -> (HaServices, Leadership) {
        let backend = Arc::new(self.store.connect());
        let services = HaServices::new(backend, self.storage(), &options(cluster), self.seam.clone()).unwrap();
        let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
        (services, leadership)
    }

    fn sweep(&self, cluster: &str, age_min: Duration) -> OrphanSweep {
        let (backend, found) = (Arc::new(self.store.connect()), OrphanOptions { age_min, ..OrphanOptions::default() });
        OrphanSweep::new(backend, &self.storage(), &options(cluster), found, self.seam.clone()).unwrap()
    }

    /// Every file below the root, and what it holds.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn walk(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else {
                    found.insert(path.clone(), std::fs::read(&path).unwrap());
                }
            }
        }
        let mut found = BTreeMap::new();
        walk(self.folder.path(), &mut found);
        found
    }

    async fn assert_sound(&self, cluster: &str, pointers: usize) {
        let backend = Arc::new(self.store.connect());
        let inspector = Inspector::new(backend, self.storage(), &options(cluster), self.seam.clone()).unwrap();
        let contents = inspector.contents().await.unwrap();
        let verified = inspector.verify(&contents, Depth::Checksum, drop).await.unwrap();
        assert_eq!((contents.pointers(), verified.intact), (pointers, pointers), "{cluster}: {verified:?}");
    }
}

async fn put(leadership: &Leadership, of: &str, content: &str) {
    leadership.blob_store().put(&job(of), chunks_of(content.to_owned().into())).await.unwrap();
}

/// The part of a name that says of which term and cluster a state is.
fn tag(file: &Path) -> String {
    file.file_name().unwrap().to_str().unwrap().rsplit_once('-').unwrap().0.to_owned()
}

fn set_modified(file: &Path, at: SystemTime) {
    std::fs::File::options().append(true).open(file).unwrap().set_modified(at).unwrap();
}

#[tokio::test]
async fn no_clock_makes_an_orphan_of_what_is_pointed_to_or_may_be() {
    for (ahead, by) in [(true, 5), (false, 5), (true, 24 * 365 * 40), (false, 24 * 365 * 60)] {
        let world = World::new();
        let (services, leadership) = world.leads("default").await;
        put(&leadership, "a", "of the first term").await;
        let (former, _) = world.files().pop_first().unwrap();
        services.close().await.unwrap();
        let lost = former.with_file_name(format!("{}-{RANDOM}", tag(&former)));
        std::fs::write(&lost, "lost").unwrap();
        let (_services, leadership) = world.leads("default").await;
        put(&leadership, "a", "of this term").await;
        let (present, _) = world.files().into_iter().find(|(_, content)| content == b"of this term").unwrap();
        // Its pointer is on its way.
        let waits = present.with_file_name(format!("{}-{RANDOM}", tag(&present)));
        std::fs::write(&waits, "waits").unwrap();
        for file in [&former, &lost, &present, &waits] {
            let now = SystemTime::UNIX_EPOCH + Duration::from_millis(world.seam.unix_ms());
            set_modified(file, if ahead { now + by * HOUR } else { now.checked_sub(by * HOUR).unwrap() });
        }
        let swept = world.sweep("default", HOUR).collect().await.unwrap();
        // To a storage that is ahead everything is young; to one that is behind, old. Both are safe.
        assert_eq!(swept.orphans.len(), usize::from(!ahead), "{ahead} {by}");
        assert!(former.exists() && present.exists() && waits.exists() && lost.exists() == ahead, "{ahead} {by}");
        let swept = world.sweep("default", Duration::ZERO).collect().await.unwrap();
        assert_eq!(swept.orphans.len(), usize::from(ahead), "{ahead} {by}");
        assert!(former.exists() && present.exists() && waits.exists() && !lost.exists(), "{ahead} {by}");
        assert!(world.sweep("default", Duration::MAX).collect().await.unwrap().orphans.is_empty());
        world.assert_sound("default", 2).await;
    }
}

#[tokio::test]
async fn a_sweep_touches_neither_foreign_files_nor_other_clusters_of_the_same_root() {
    let world = World::new();
    let clusters =
        ["default", "default/eu", "defaul", "default-2", "default/submittedJobGraph", "default/completedCheckpoint/1"];
    let mut held = Vec::new();
    for cluster in clusters {
        let (services, leadership) = world.leads(cluster).await;
        for of in ["1", "10", "submittedJobGraph"] {
            put(&leadership, of, &format!("{of} of {cluster}")).await;
        }
        services.close().await.unwrap();
    }
    let whole = world.files();
    // Of each cluster, an orphan of the first term beside each state, and an upload of it that was killed.
    for file in whole.keys() {
        std::fs::write(file.with_file_name(format!("{}-{RANDOM}", tag(file))), "lost").unwrap();
        std::fs::write(file.with_file_name(format!("{}-{RANDOM}#1", tag(file))), "half").unwrap();
    }
    for cluster in clusters {
        let led = world.leads(cluster).await;
        put(&led.1, "1", "of the second term").await;
        held.push(led);
    }
    let default = world.folder.path().join("default/blob");
    let (second, _) = world
        .files()
        .into_iter()
        .find(|(file, content)| file.starts_with(&default) && content == b"of the second term")
        .unwrap();
    let (old, new) = (tag(whole.keys().find(|file| file.starts_with(&default)).unwrap()), tag(&second));
    std::fs::create_dir_all(default.join(format!("{old}-{RANDOM}"))).unwrap();
    std::fs::create_dir_all(default.join("1/deeper")).unwrap();
    for foreign in [
        "notes.txt",
        &format!("1/deeper/{old}-{RANDOM}"),
        &format!("{old}-{RANDOM}/x"),
        &format!("1/{new}-{RANDOM}"),
        &format!("1/{new}-{RANDOM}#1"),
        &format!("1/keep-{old}-{RANDOM}"),
        "1/7#1",
        &format!("1/{old}-{RANDOM}.bak"),
        &format!("../{old}-{RANDOM}"),
        &format!("../../{old}-{RANDOM}"),
    ] {
        std::fs::write(default.join(foreign), "foreign").unwrap();
    }
    for (number, cluster) in clusters.into_iter().enumerate() {
        let before = world.files();
        let found = world.sweep(cluster, Duration::ZERO).find().await.unwrap();
        assert_eq!(world.files(), before, "a look changes nothing");
        let swept = world.sweep(cluster, Duration::ZERO).collect().await.unwrap();
        assert_eq!((&swept, swept.orphans.len()), (&found, 6), "{cluster}");
        let after = world.files();
        assert_eq!(after.len(), before.len() - 6, "{cluster}");
        let gone = before.iter().filter(|(file, _)| !after.contains_key(*file));
        let home = world.folder.path().join(cluster).join("blob");
        for (file, content) in gone {
            assert!(file.starts_with(&home) && (content == b"lost" || content == b"half"), "{number} {file:?}");
        }
    }
    for cluster in clusters {
        world.assert_sound(cluster, 4).await;
    }
}
