//! Blobs: BL, and X-34.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::stream::{self, StreamExt as _};
use ha_core::blob::{BlobKey, BlobStore};
use ha_core::state::{Chunks, chunks_of};
use ha_core::{Error, ErrorKind, HighAvailabilityServices};

use super::Cluster;
use super::cluster::{assert_kind, job};
use crate::faults::{StateCall, StateFault};

type Blobs = Arc<dyn BlobStore>;

/// More than two parts of an upload.
const LARGE: usize = 17 << 20;

/// Bytes in which no two places look alike.
fn large(length: usize) -> Bytes {
    let words = (0..length.div_ceil(8) as u64).flat_map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    words.take(length).collect()
}

fn pieces(content: Bytes) -> Chunks<'static> {
    let size = 1 << 20;
    let pieces: Vec<_> =
        (0..content.len()).step_by(size).map(|at| Ok(content.slice(at..content.len().min(at + size)))).collect();
    stream::iter(pieces).boxed()
}

async fn put(blobs: &Blobs, name: &str, content: &'static str) -> BlobKey {
    blobs.put(&job(name), chunks_of(content.into())).await.unwrap()
}

async fn get(blobs: &Blobs, name: &str, key: &BlobKey) -> Result<Vec<u8>, Error> {
    let mut chunks = blobs.get(&job(name), key).await?;
    let mut content = Vec::new();
    while let Some(chunk) = chunks.try_next().await? {
        content.extend_from_slice(&chunk);
    }
    Ok(content)
}

pub async fn bl_01_a_blob_is_there_only_when_its_content_is_stored(c: Cluster) {
    let (one, leadership) = c.leader("one").await;
    let blobs = leadership.blob_store();
    one.states.next(StateCall::Put, StateFault::Hold);
    let putting = {
        let blobs = Arc::clone(&blobs);
        c.go(async move { put(&blobs, "job", "content").await })
    };
    c.eventually("the content is on its way", || async { one.states.held() > 0 }).await;
    let (key, observer) = (BlobKey::of(b"content"), c.process("observer").await.services.blob_store().unwrap());
    assert_kind(ErrorKind::NotFound, get(&observer, "job", &key).await);
    assert_eq!(c.names("blobs").await, Vec::<String>::new(), "the pointer comes last");
    one.states.let_go();
    assert_eq!(c.in_time("the blob is put", putting).await, key);
    assert_eq!(get(&observer, "job", &key).await.unwrap(), b"content");
    for fault in [StateFault::FailBefore, StateFault::DiskFull, StateFault::FailAfter] {
        one.states.next(StateCall::Put, fault);
        assert_kind(ErrorKind::Storage, blobs.put(&job("job"), chunks_of("other".into())).await);
        assert_kind(ErrorKind::NotFound, get(&observer, "job", &BlobKey::of(b"other")).await);
    }
}

pub async fn bl_02_the_next_leader_has_the_blobs_and_removes_them_all(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let blobs = leadership.blob_store();
    let keys = [put(&blobs, "job", "first").await, put(&blobs, "job", "").await];
    let (_two, leads) = c.take_over("two").await;
    let blobs = leads.blob_store();
    assert_eq!(get(&blobs, "job", &keys[0]).await.unwrap(), b"first");
    assert_eq!(get(&blobs, "job", &keys[1]).await.unwrap(), b"");
    blobs.delete_all(&job("job")).await.unwrap();
    assert_eq!((c.names("blobs").await.len(), c.states().await.len()), (0, 0), "neither pointer nor content is left");
    assert_kind(ErrorKind::NotFound, get(&blobs, "job", &keys[0]).await);
}

pub async fn bl_03_content_that_was_changed_is_never_handed_over_whole(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let blobs = leadership.blob_store();
    let key = put(&blobs, "job", "content").await;
    let state = c.states().await.remove(0);
    for wrong in ["CONTENT", "conten", "content and more", ""] {
        c.spoil(&state, Some(wrong)).await;
        assert_kind(ErrorKind::Corrupt, get(&blobs, "job", &key).await);
    }
    c.spoil(&state, None).await;
    assert_kind(ErrorKind::StateMissing, get(&blobs, "job", &key).await);
    assert_eq!(put(&blobs, "job", "content").await, key, "putting it again repairs it");
    assert_eq!(get(&blobs, "job", &key).await.unwrap(), b"content");
}

pub async fn bl_04_the_same_content_put_at_once_is_one_blob(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let blobs = leadership.blob_store();
    let putting: Vec<_> = (0..8)
        .map(|_| {
            let blobs = Arc::clone(&blobs);
            c.go(async move { put(&blobs, "job", "content").await })
        })
        .collect();
    for one in putting {
        assert_eq!(c.in_time("a put ends", one).await, BlobKey::of(b"content"));
    }
    assert_eq!(c.names("blobs/job").await, [BlobKey::of(b"content").to_string()]);
    c.until_states(1).await;
    assert_eq!(get(&blobs, "job", &BlobKey::of(b"content")).await.unwrap(), b"content");
}

pub async fn bl_05_deleting_what_is_not_there_is_fine(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let blobs = leadership.blob_store();
    let key = put(&blobs, "job", "content").await;
    for _ in 0..2 {
        blobs.delete(&job("job"), &key).await.unwrap();
        assert_kind(ErrorKind::NotFound, get(&blobs, "job", &key).await);
    }
    blobs.delete_all(&job("never")).await.unwrap();
}

pub async fn bl_06_deleting_all_of_a_job_touches_no_other(c: Cluster) {
    let (_one, leadership) = c.leader("one").await;
    let blobs = leadership.blob_store();
    let key = put(&blobs, "1", "content").await;
    for name in ["10", "2"] {
        assert_eq!(put(&blobs, name, "content").await, key, "each job has its own blob of the same content");
    }
    put(&blobs, "1", "more").await;
    blobs.delete_all(&job("1")).await.unwrap();
    assert_eq!(c.names("blobs/1").await, Vec::<String>::new());
    for name in ["10", "2"] {
        assert_eq!(get(&blobs, name, &key).await.unwrap(), b"content");
    }
    c.until_states(2).await;
}

pub async fn x_34_a_blob_is_whole_or_not_there_whatever_happens_to_it(c: Cluster) {
    half_an_upload_is_seen_by_nobody(&c).await;
    a_body_that_lies_is_found_out(&c).await;
    racing_calls_leave_whole_blobs(&c).await;
}

/// An upload of several parts that stops at any of its steps, by failure and by the end of the process.
async fn half_an_upload_is_seen_by_nobody(c: &Cluster) {
    let content = large(LARGE);
    let key = BlobKey::of(&content);
    for call in [StateCall::Part, StateCall::Complete] {
        for fault in [StateFault::DiskFull, StateFault::FailBefore, StateFault::Hold] {
            let (one, leadership) = c.leader("one").await;
            let blobs = leadership.blob_store();
            one.states.always(call, fault);
            let uploading = {
                let (blobs, content) = (Arc::clone(&blobs), content.clone());
                c.go(async move { blobs.put(&job("half"), pieces(content)).await })
            };
            if fault == StateFault::Hold {
                c.eventually("the upload waits half-way", || async { one.states.held() > 0 }).await;
                drop(uploading);
            } else {
                assert_kind(ErrorKind::Storage, c.in_time("the upload fails", uploading).await);
            }
            assert_kind(ErrorKind::NotFound, get(&blobs, "half", &key).await);
            assert_eq!(c.names("blobs/half").await, Vec::<String>::new(), "{call:?} {fault:?}");
            assert_eq!(c.states().await, Vec::<String>::new(), "{call:?} {fault:?}: nor is it visible as state");
            one.states.clear();
            assert_eq!(blobs.put(&job("half"), pieces(content.clone())).await.unwrap(), key);
            assert_eq!(get(&blobs, "half", &key).await.unwrap(), content);
            blobs.delete_all(&job("half")).await.unwrap();
            c.in_time("the leader ends", one.services.close()).await.unwrap();
        }
    }
}

/// A storage that answers with success and gives, or took, something else.
async fn a_body_that_lies_is_found_out(c: &Cluster) {
    let (one, leadership) = c.leader("one").await;
    let blobs = leadership.blob_store();
    let content = large(LARGE);
    let key = blobs.put(&job("lies"), pieces(content.clone())).await.unwrap();
    for fault in [StateFault::ShortBody, StateFault::Corrupt] {
        one.states.next(StateCall::Get, fault);
        assert_kind(ErrorKind::Corrupt, get(&blobs, "lies", &key).await);
        assert_eq!(get(&blobs, "lies", &key).await.unwrap(), content, "{fault:?}: the next answer is sound");
    }
    for fault in [StateFault::FailBefore, StateFault::FailAfter] {
        one.states.next(StateCall::Get, fault);
        assert_kind(ErrorKind::Storage, get(&blobs, "lies", &key).await);
    }
    for (name, fault) in [("short", StateFault::ShortBody), ("changed", StateFault::Corrupt)] {
        one.states.next(StateCall::Part, fault);
        match blobs.put(&job(name), pieces(content.clone())).await {
            // It was acknowledged by the storage: only reading can find it out.
            Ok(acknowledged) => {
                assert_eq!(acknowledged, key);
                assert_kind(ErrorKind::Corrupt, get(&blobs, name, &key).await);
            }
            // Some storages look at the length of parts themselves.
            refused => {
                assert_kind(ErrorKind::Storage, refused);
                assert_kind(ErrorKind::NotFound, get(&blobs, name, &key).await);
            }
        }
    }
    assert_eq!(get(&blobs, "lies", &key).await.unwrap(), content, "the blob of the other job is another state");
    for name in ["lies", "short", "changed"] {
        blobs.delete_all(&job(name)).await.unwrap();
    }
    c.in_time("the leader ends", one.services.close()).await.unwrap();
}

/// Puts, reads and deletions of one blob against each other, then two leaders.
async fn racing_calls_leave_whole_blobs(c: &Cluster) {
    let (one, leadership) = c.leader("one").await;
    let blobs = leadership.blob_store();
    let key = BlobKey::of(b"content");
    for round in 0..40_u64 {
        let racing: Vec<_> = (0..4)
            .map(|role| {
                let blobs = Arc::clone(&blobs);
                c.go(async move {
                    match role {
                        0 | 1 => blobs.put(&job("raced"), chunks_of("content".into())).await.map(drop),
                        2 if round % 2 == 0 => blobs.delete(&job("raced"), &BlobKey::of(b"content")).await,
                        2 => blobs.delete_all(&job("raced")).await,
                        _ => match get(&blobs, "raced", &BlobKey::of(b"content")).await {
                            Ok(read) => {
                                assert_eq!(read, b"content", "what is read is whole");
                                Ok(())
                            }
                            Err(error) => Err(error),
                        },
                    }
                })
            })
            .collect();
        for call in racing {
            let allowed = [ErrorKind::NotFound, ErrorKind::Conflict, ErrorKind::StateMissing];
            match c.in_time("a racing call ends", call).await {
                Err(error) if !allowed.contains(&error.kind()) => panic!("round {round}: {error:?}"),
                _ => {}
            }
        }
        // Whoever won, there is a whole blob or none.
        match get(&blobs, "raced", &key).await {
            Ok(read) => assert_eq!(read, b"content"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}"),
        }
    }
    put(&blobs, "raced", "content").await;
    one.line.make_unaware();
    let (_two, leads) = c.take_over("two").await;
    assert!(blobs.delete_all(&job("raced")).await.is_err());
    assert_eq!(get(&leads.blob_store(), "raced", &key).await.unwrap(), b"content", "the old leader deleted nothing");
}
