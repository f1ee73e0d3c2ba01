//! The store of blobs. The ids are those of the catalogue of what such a store must do.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, as it should")]
#![allow(dead_code, reason = "the shared helpers are not all used by every test")]

#[path = "../common/mod.rs"]
mod common;
mod failing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use common::{Fault, Leader, Rig, assert_deposed, job, poll_and_drop};
use futures_util::{StreamExt, TryStreamExt, stream};
use ha_core::blob::{BlobKey, BlobStore, DefaultBlobStore};
use ha_core::resolve::Committer;
use ha_core::seam::Seam;
use ha_core::state::{Chunks, StateStorage, chunks_from_reader, chunks_of};
use ha_core::writer::{Authority, Writer};
use ha_core::{ComponentId, Error, ErrorKind, HaServices, HighAvailabilityServices, ServicesOptions};

const BELOW: &str = "blobs";
const MIB: usize = 1 << 20;

fn store_by(rig: &Rig, writer: Writer) -> DefaultBlobStore {
    DefaultBlobStore::new(writer, rig.storage.clone())
}

fn store(rig: &Rig, leader: &Leader) -> DefaultBlobStore {
    store_by(rig, leader.writer.clone())
}

fn in_directory() -> (tempfile::TempDir, Rig) {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig { storage: reopened(&directory), ..Rig::new() };
    (directory, rig)
}

fn reopened(directory: &tempfile::TempDir) -> StateStorage {
    StateStorage::open(&format!("file://{}", directory.path().display()), Seam::system()).unwrap()
}

/// All files below a directory, unfinished ones too.
fn files(below: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(below) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Bytes that are not the same everywhere.
fn content(length: usize) -> Vec<u8> {
    let base: Vec<u8> = (0..9973).map(|at| (at * 31 + at / 251) as u8).collect();
    let mut content = base.repeat(length / base.len() + 1);
    content.truncate(length);
    content
}

fn pieces(content: Vec<u8>, size: usize) -> Chunks<'static> {
    let pieces: Vec<_> = content.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

async fn put(store: &DefaultBlobStore, name: &str, content: &'static str) -> BlobKey {
    store.put(&job(name), chunks_of(content.into())).await.unwrap()
}

async fn get(store: &dyn BlobStore, name: &str, key: &BlobKey) -> Result<Vec<u8>, Error> {
    let append = |mut all: Vec<u8>, piece: Bytes| async move {
        all.extend_from_slice(&piece);
        Ok(all)
    };
    store.get(&job(name), key).await?.try_fold(Vec::new(), append).await
}

/// BL-01, BL-02: what was acknowledged is found by the next leader, on a storage opened anew.
#[tokio::test]
async fn a_blob_outlives_its_leader_and_leaves_nothing_when_deleted() {
    let (directory, mut rig) = in_directory();
    let first = rig.lead().await;
    // None, a little, exactly one part, one byte more, and several parts in odd pieces.
    let lengths = [0, 5, 8 * MIB, 8 * MIB + 1, 17 * MIB + 3];
    let mut keys = Vec::new();
    for length in lengths {
        let key = store(&rig, &first).put(&job("a"), pieces(content(length), 999_983)).await.unwrap();
        assert_eq!(key, BlobKey::of(&content(length)));
        keys.push(key);
    }
    let second = rig.depose(&first).await;
    rig.storage = reopened(&directory);
    let store = store(&rig, &second);
    for (key, length) in keys.iter().zip(lengths) {
        assert!(get(&store, "a", key).await.unwrap() == content(length), "{length}");
    }
    assert_eq!(files(directory.path()).len(), lengths.len());
    store.delete(&job("a"), &keys[1]).await.unwrap();
    assert_eq!(get(&store, "a", &keys[1]).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(get(&store, "a", &keys[2]).await.unwrap().len(), lengths[2]);
    store.delete_all(&job("a")).await.unwrap();
    assert_eq!((rig.keys(BELOW).await.len(), files(directory.path()).len()), (0, 0));
}

/// BL-05, BL-06.
#[tokio::test]
async fn deleting_what_is_not_there_is_success_and_other_jobs_keep_theirs() {
    let rig = Rig::new();
    let leader = rig.lead().await;
    let store = store(&rig, &leader);
    let mut key = BlobKey::of(b"");
    for name in ["job1", "job10", "job"] {
        key = put(&store, name, "the same").await;
    }
    // More than fit into one commit.
    for number in 0..100 {
        store.put(&job("job1"), chunks_of(format!("{number}").into())).await.unwrap();
    }
    store.delete(&job("never"), &key).await.unwrap();
    store.delete_all(&job("never")).await.unwrap();
    store.delete(&job("job1"), &BlobKey::of(b"never")).await.unwrap();
    assert_eq!(rig.keys(BELOW).await.len(), 103);
    for _ in 0..2 {
        store.delete_all(&job("job1")).await.unwrap();
        assert_eq!(rig.keys(BELOW).await, [format!("blobs/job/{key}"), format!("blobs/job10/{key}")]);
    }
    for _ in 0..2 {
        store.delete(&job("job10"), &key).await.unwrap();
        assert_eq!(get(&store, "job10", &key).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert_eq!(get(&store, "job", &key).await.unwrap(), b"the same");
}

/// BL-04: by two processes, as far as memory can tell them apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_puts_of_the_same_content_all_succeed_and_leave_it_once() {
    let (directory, rig) = in_directory();
    let leader = rig.lead().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..12 {
        let backend = Arc::clone(&leader.backend) as Arc<dyn ha_core::backend::Backend>;
        let own = Writer::new(Committer::new(backend, rig.seam.clone()), Authority::Leader(leader.grant.clone()));
        let store = store_by(&rig, if number % 2 == 0 { leader.writer.clone() } else { own });
        tasks.spawn(async move {
            let key = store.put(&job("a"), pieces(content(MIB), 65536)).await.unwrap();
            store.discards_settled().await;
            key
        });
    }
    let keys = tasks.join_all().await;
    assert!(keys.iter().all(|key| *key == BlobKey::of(&content(MIB))));
    assert_eq!((rig.keys(BELOW).await.len(), files(directory.path()).len()), (1, 1));
    assert!(get(&store(&rig, &leader), "a", &keys[0]).await.unwrap() == content(MIB));
}

/// whoever reads gets all of it or an error, whatever others do meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_puts_gets_and_deletions_never_show_anything_but_the_content() {
    let (directory, rig) = in_directory();
    let leader = rig.lead().await;
    let shared = Arc::new(store(&rig, &leader));
    let key = BlobKey::of(&content(300_000));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..6 {
        let store = Arc::clone(&shared);
        tasks.spawn(async move {
            for _ in 0..15 {
                let ended = match number % 3 {
                    0 => store.put(&job("a"), pieces(content(300_000), 70_000)).await.map(|put| assert_eq!(put, key)),
                    1 => get(&*store, "a", &key).await.map(|got| assert!(got == content(300_000))),
                    _ => store.delete_all(&job("a")).await,
                };
                if let Err(error) = ended {
                    let race = [ErrorKind::NotFound, ErrorKind::StateMissing, ErrorKind::Conflict];
                    assert!(race.contains(&error.kind()), "{error:?}");
                }
            }
        });
    }
    tasks.join_all().await;
    shared.put(&job("a"), pieces(content(300_000), 70_000)).await.unwrap();
    shared.discards_settled().await;
    assert!(get(&*shared, "a", &key).await.unwrap() == content(300_000));
    assert_eq!(files(directory.path()).len(), 1, "each of the others was deleted by whoever removed its pointer");
}

/// A piece that counts itself while it exists.
struct Counted(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(self.0.len(), Ordering::SeqCst);
    }
}

/// X-34, at a size at which holding it would show.
#[tokio::test]
async fn a_blob_of_64_mib_is_never_held_as_a_whole() {
    let (directory, rig) = in_directory();
    let leader = rig.lead().await;
    let store = store(&rig, &leader);
    let (alive, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let source = stream::iter(0..64_u8).map(|number| {
        let now = alive.fetch_add(MIB, Ordering::SeqCst) + MIB;
        most.fetch_max(now, Ordering::SeqCst);
        Ok(Bytes::from_owner(Counted(vec![number; MIB], Arc::clone(&alive))))
    });
    let key = store.put(&job("a"), source.boxed()).await.unwrap();
    assert_eq!((key.length(), alive.load(Ordering::SeqCst)), (64 << 20, 0));
    let most = most.load(Ordering::SeqCst);
    assert!(most <= 9 * MIB, "one part and one piece, not {most}");
    let mut read = 0;
    let mut pieces = store.get(&job("a"), &key).await.unwrap();
    while let Some(piece) = pieces.try_next().await.unwrap() {
        assert_eq!((piece[0] as usize, piece.len() <= MIB), (read / MIB, true), "at {read}");
        read += piece.len();
    }
    assert_eq!(read, 64 * MIB);
    store.delete_all(&job("a")).await.unwrap();
    assert_eq!(files(directory.path()).len(), 0);
}

/// A reader that gives what it has in small pieces, and an error after them if it has one.
struct Reader(Vec<u8>, Option<std::io::Error>);

impl tokio::io::AsyncRead for Reader {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        space: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let length = self.0.len().min(space.remaining()).min(1000);
        if length == 0 {
            return std::task::Poll::Ready(self.1.take().map_or(Ok(()), Err));
        }
        let rest = self.0.split_off(length);
        space.put_slice(&self.0);
        self.0 = rest;
        std::task::Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_reader_is_stored_to_its_end_and_its_error_stores_nothing() {
    let (directory, rig) = in_directory();
    let leader = rig.lead().await;
    let store = store(&rig, &leader);
    let broken = Reader(content(9 * MIB), Some(std::io::Error::other("cut off")));
    let error = store.put(&job("a"), chunks_from_reader(broken)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert_eq!(rig.keys(BELOW).await.len(), 0);
    common::eventually("the unfinished upload is withdrawn", async || files(directory.path()).is_empty()).await;
    let key = store.put(&job("a"), chunks_from_reader(Reader(content(200_001), None))).await.unwrap();
    assert!(get(&store, "a", &key).await.unwrap() == content(200_001));
}

/// The services hand out one store, which follows this process from term to term; reading needs none.
#[tokio::test]
async fn the_services_give_one_store_that_writes_under_the_present_term() {
    let rig = Rig::new();
    let options = ServicesOptions::default();
    let backend = Arc::new(rig.store.connect());
    let services = HaServices::new(backend, rig.storage.clone(), &options, rig.seam.clone()).unwrap();
    let store = services.blob_store().unwrap();
    assert!(Arc::ptr_eq(&store, &services.blob_store().unwrap()));
    assert_eq!(store.put(&job("a"), chunks_of("x".into())).await.unwrap_err().kind(), ErrorKind::NotLeader);
    let leadership = services.leader_election(ComponentId::dispatcher()).unwrap().campaign().await.unwrap();
    let key = leadership.blob_store().put(&job("a"), chunks_of("x".into())).await.unwrap();
    store.put(&job("a"), chunks_of("y".into())).await.unwrap();
    leadership.resign().await.unwrap();
    assert_deposed(store.delete_all(&job("a")).await);
    assert_eq!(get(&*store, "a", &key).await.unwrap(), b"x");
    services.close().await.unwrap();
    assert_eq!(services.blob_store().unwrap_err().kind(), ErrorKind::Closed);
}
