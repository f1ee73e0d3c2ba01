//! A blob of 1 GiB on a disk. A test program of its own: what it measures is the memory of the process.

#![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::stream::{self, StreamExt as _};
use ha_core::seam::Seam;
use ha_core::state::{Chunks, StateStorage};
use ha_core::{Error, ErrorKind, HaServices, HighAvailabilityServices, JobId, ServicesOptions};
use ha_embedded::Embedded;

const PIECE: usize = 1 << 20;
const PIECES: usize = 1 << 10;
/// What an upload may hold of it, beside the piece that comes next: a part, twice.
const HELD_MAX: usize = 17 * PIECE;
/// What else may come on top in the process: buffers, threads, what the allocator keeps.
const GROWTH_MAX_KIB: usize = 96 << 10;

/// A piece that is counted as long as anybody holds it, or a part of it.
struct Piece {
    bytes: Vec<u8>,
    held: Arc<AtomicUsize>,
}

impl Piece {
    fn counted(number: usize, held: &Arc<AtomicUsize>, peak: &AtomicUsize) -> Bytes {
        let bytes = vec![number.to_le_bytes()[0] ^ number.to_le_bytes()[1]; PIECE];
        peak.fetch_max(held.fetch_add(PIECE, SeqCst) + PIECE, SeqCst);
        Bytes::from_owner(Self { bytes, held: Arc::clone(held) })
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.held.fetch_sub(PIECE, SeqCst);
    }
}

/// The most memory that this process ever had, in KiB; `None` where the system does not tell.
fn peak_memory_kib() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").parse().ok()
}

fn is_full(error: &Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[test]
fn a_blob_of_one_gib_is_written_and_read_in_pieces() {
    ha_testkit::run::block_on(async {
        let (seam, directory) = (Seam::system(), tempfile::tempdir().unwrap());
        let url = url::Url::from_directory_path(directory.path()).unwrap();
        let storage = StateStorage::open(url.as_str(), seam.clone()).unwrap();
        let backend = Arc::new(Embedded::new(seam.clone()).connect());
        let services = HaServices::new(backend, storage, &ServicesOptions::default(), seam).unwrap();
        let leadership = services.dispatcher_leader_election().unwrap().campaign().await.unwrap();
        let (blobs, job) = (leadership.blob_store(), JobId::new("job").unwrap());

        let (held, peak) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let before = peak_memory_kib();
        let source: Chunks<'static> = {
            let (held, peak) = (Arc::clone(&held), Arc::clone(&peak));
            stream::iter(0..PIECES).map(move |number| Ok(Piece::counted(number, &held, &peak))).boxed()
        };
        let key = match blobs.put(&job, source).await {
            Err(error) if error.kind() == ErrorKind::Storage && is_full(&error) => {
                // Not by the macro: the test runner hides what that prints when a test passes.
                ha_testkit::run::tell(format_args!("SKIPPED a blob of 1 GiB: the disk of {url} has no room for it"));
                return;
            }
            put => put.unwrap(),
        };
        assert_eq!((key.length(), held.load(SeqCst)), ((PIECE * PIECES) as u64, 0));
        assert!(peak.load(SeqCst) <= HELD_MAX, "{} bytes were held at once", peak.load(SeqCst));

        let (mut at, mut largest) = (0, 0);
        let mut pieces = blobs.get(&job, &key).await.unwrap();
        while let Some(piece) = pieces.try_next().await.unwrap() {
            largest = largest.max(piece.len());
            for (offset, byte) in piece.iter().enumerate().step_by(4096) {
                let number = (at + offset) / PIECE;
                assert_eq!(*byte, number.to_le_bytes()[0] ^ number.to_le_bytes()[1], "at byte {}", at + offset);
            }
            at += piece.len();
        }
        assert_eq!(at, PIECE * PIECES);
        assert!(largest <= HELD_MAX, "a piece of {largest} bytes");
        if let (Some(before), Some(after)) = (before, peak_memory_kib()) {
            assert!(after - before <= GROWTH_MAX_KIB, "the process grew by {} KiB", after - before);
        }
        blobs.delete_all(&job).await.unwrap();
        services.close().await.unwrap();
    });
}
