//! A disk that fails under the store.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use ha_core::ErrorKind;
use ha_core::backend::{Backend, Commit, Expect, Key, Outcome};
use ha_core::seam::Seam;
use redb::backends::InMemoryBackend;
use redb::{Builder, StorageBackend};

use crate::RedbStore;
use crate::core::Core;
use crate::writer::Writer;

#[derive(Debug, Clone, Default)]
struct Disk {
    bytes: Arc<InMemoryBackend>,
    fails_to_sync: Arc<AtomicBool>,
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.bytes.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.bytes.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        match self.fails_to_sync.load(SeqCst) {
            true => Err(io::Error::other("injected")),
            false => self.bytes.sync_data(),
        }
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.bytes.write(offset, data)
    }
}

fn open(disk: &Disk) -> RedbStore {
    let database = Builder::new().create_with_backend(disk.clone()).unwrap();
    let core = Arc::new(Core::on(database, Seam::system()).unwrap());
    RedbStore { writer: Writer::start(&core).unwrap(), core }
}

#[test]
fn a_failed_fsync_is_unknown_and_loses_nothing_that_was_acknowledged() {
    // Fails if a commit whose fsync failed is reported as applied, or as certainly not.
    ha_testkit::run::block_on(async {
        let disk = Disk::default();
        let store = open(&disk);
        let backend = store.connect();
        let seam = Seam::system();
        let put = |at: &str| Commit::new(seam.write_id()).put(Key::new(at).unwrap(), Expect::Absent, "v".into());
        assert!(matches!(backend.commit(&put("before")).await, Ok(Outcome::Applied { .. })));

        disk.fails_to_sync.store(true, SeqCst);
        let error = backend.commit(&put("during")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error:?}");
        disk.fails_to_sync.store(false, SeqCst);
        let error = backend.commit(&put("after")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "a disk that has failed is not trusted: {error:?}");

        drop((backend, store));
        let seen = seam.timeout(std::time::Duration::from_secs(20), async {
            loop {
                // The old store lets go of the disk when its thread has ended.
                if Arc::strong_count(&disk.bytes) == 1 {
                    return open(&disk).connect();
                }
                seam.sleep(std::time::Duration::from_millis(5)).await;
            }
        });
        let again = seen.await.expect("the old store lets go of its disk");
        assert!(again.read(&Key::new("before").unwrap()).await.unwrap().is_some(), "acknowledged and lost");
        assert!(again.read(&Key::new("after").unwrap()).await.unwrap().is_none(), "refused and there");
        assert!(matches!(again.commit(&put("now")).await, Ok(Outcome::Applied { .. })));
    });
}
