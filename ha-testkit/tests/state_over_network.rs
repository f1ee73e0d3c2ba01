//! State storage on a store that loses answers, hangs and breaks off: no false success, no false failure, an end in time.
#![allow(clippy::unwrap_used, reason = "a test: panicking is how it fails")]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use ha_core::ErrorKind;
use ha_core::backend::Name;
use ha_core::seam::{BoxFuture, Clock, Moment, Rng, Seam, Tasks};
use ha_core::state::{StateHandle, StateStorage, StorageOptions, chunks_of};
use ha_testkit::faults::{FaultyStates, StateCall, StateFault, StatePlan};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};

/// Two parts and a half.
const LARGE_BYTES: usize = 12 << 20;
/// However slow this machine is: far more than the limits, far less than for ever.
const PATIENCE: Duration = Duration::from_secs(60);

struct Store {
    plan: StatePlan,
    inner: Arc<InMemory>,
    storage: StateStorage,
}

impl Store {
    /// With time for everything that comes to an end, however slow this machine is.
    fn new(seam: &Seam) -> Self {
        Self::within(seam, StatePlan::none(), Arc::new(InMemory::new()), ["30 s", "60 s"])
    }

    /// The same states and faults, for who gives up soon: a request after the first, all of it after the second.
    fn hasty(&self, seam: &Seam, within: [&str; 2]) -> Self {
        Self::within(seam, self.plan.clone(), Arc::clone(&self.inner), within)
    }

    fn within(seam: &Seam, plan: StatePlan, inner: Arc<InMemory>, within: [&str; 2]) -> Self {
        let faulty = FaultyStates::new(Arc::clone(&inner) as Arc<dyn ObjectStore>, seam.clone(), plan.clone());
        let options = StorageOptions::new()
            .with("high-availability.storage.request-timeout", within[0])
            .with("high-availability.storage.retry-timeout", within[1])
            .with("high-availability.storage.part-size", "5 mb");
        let storage = StateStorage::over_network(Arc::new(faulty), "memory:///", &options, seam.clone()).unwrap();
        Self { plan, inner, storage }
    }

    async fn write(&self, bytes: impl Into<Bytes>) -> Result<StateHandle, ha_core::Error> {
        self.storage.write(&folder(), bytes.into()).await
    }

    async fn objects(&self) -> usize {
        self.inner.list(None).try_collect::<Vec<_>>().await.unwrap().len()
    }
}

fn folder() -> [Name; 2] {
    [Name::new("completedCheckpoint").unwrap(), Name::new("job-1").unwrap()]
}

fn large() -> Bytes {
    (0..LARGE_BYTES).map(|at| (at / 7 % 251) as u8).collect::<Vec<_>>().into()
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_finds_its_own_state() {
    let store = Store::new(&Seam::system());
    store.plan.next(StateCall::Put, StateFault::FailAfter);
    let handle = store.write("state").await.unwrap();
    assert_eq!(store.storage.read(&handle).await.unwrap(), "state");
    assert_eq!((store.plan.calls(StateCall::Put), store.objects().await), (2, 1), "sent again, and no orphan");
}

#[tokio::test]
async fn a_write_that_did_not_arrive_is_sent_again() {
    let store = Store::new(&Seam::system());
    for _ in 0..3 {
        store.plan.next(StateCall::Put, StateFault::FailBefore);
    }
    let handle = store.write("state").await.unwrap();
    assert_eq!(store.storage.read(&handle).await.unwrap(), "state");
    assert_eq!(store.objects().await, 1);
}

/// Draws the same numbers for as long as it is told to.
#[derive(Debug)]
struct Repeating {
    same: u64,
    drawn: AtomicU64,
}

impl Rng for Repeating {
    fn next_u64(&self) -> u64 {
        let drawn = self.drawn.fetch_add(1, SeqCst);
        if drawn < self.same { 7 } else { drawn }
    }
}

/// Time and tasks of another seam.
struct Of(Seam);

impl fmt::Debug for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Of")
    }
}

#[async_trait::async_trait]
impl Clock for Of {
    fn now(&self) -> Moment {
        self.0.now()
    }
    fn unix_ms(&self) -> u64 {
        self.0.unix_ms()
    }
    async fn sleep_until(&self, at: Moment) {
        self.0.sleep_until(at).await;
    }
}

impl Tasks for Of {
    fn spawn(&self, _: BoxFuture) -> tokio::task::AbortHandle {
        unreachable!("nothing is spawned here")
    }
    fn spawn_critical(&self, _: BoxFuture) -> tokio::task::AbortHandle {
        unreachable!("nothing is spawned here")
    }
}

#[tokio::test]
async fn foreign_bytes_under_the_name_are_neither_taken_for_ones_own_nor_touched() {
    // The first name (two numbers), the same for the second state (two), the pause between its attempts (one).
    let (system, rng) = (Seam::system(), Repeating { same: 5, drawn: AtomicU64::new(0) });
    let seam = Seam::new(Arc::new(Of(system.clone())), Arc::new(rng), Arc::new(Of(system)));
    let store = Store::new(&seam);
    let theirs = store.write("theirs").await.unwrap();
    // Whether it was applied is not known; then something stands there.
    store.plan.next(StateCall::Put, StateFault::FailBefore);
    let ours = store.write("ours").await.unwrap();
    assert_ne!(ours.uri, theirs.uri);
    assert_eq!(store.storage.read(&theirs).await.unwrap(), "theirs");
    assert_eq!(store.storage.read(&ours).await.unwrap(), "ours");
}

#[tokio::test]
async fn a_store_that_hangs_is_an_error_in_time_whatever_is_asked() {
    let seam = Seam::system();
    let store = Store::new(&seam);
    let (small, big) = (store.write("state").await.unwrap(), store.write(large()).await.unwrap());
    for call in
        [StateCall::Put, StateCall::Part, StateCall::Complete, StateCall::Get, StateCall::Head, StateCall::Delete]
    {
        store.plan.always(call, StateFault::Hang);
    }
    let hasty = store.hasty(&seam, ["300 ms", "1 s"]);
    let storage = &hasty.storage;
    let kind = |result: Result<(), ha_core::Error>| result.unwrap_err().kind();
    let asked = async {
        let one_by_one = [
            kind(hasty.write("state").await.map(drop)),
            kind(hasty.write(large()).await.map(drop)),
            kind(storage.read(&small).await.map(drop)),
            kind(storage.read(&big).await.map(drop)),
            kind(storage.read_chunks(&big).await.map(drop)),
            kind(storage.seems_whole(&small).await.map(drop)),
            kind(storage.discard(&small).await),
        ];
        assert_eq!(one_by_one, [ErrorKind::Storage; 7]);
    };
    assert!(seam.timeout(PATIENCE, asked).await.is_some(), "longer than {PATIENCE:?}");
    store.plan.clear();
    assert_eq!(store.storage.read(&small).await.unwrap(), "state", "nothing was deleted");
}

#[tokio::test]
async fn a_large_state_goes_in_parts_and_comes_back_as_it_was() {
    let store = Store::new(&Seam::system());
    let handle = store.write(large()).await.unwrap();
    assert_eq!((store.plan.calls(StateCall::Part), store.plan.calls(StateCall::Put)), (3, 0));
    assert_eq!(store.storage.read(&handle).await.unwrap(), large());
    assert_eq!(store.plan.calls(StateCall::Get), 3);
    // Of exactly one part, and of exactly two.
    for bytes in [5 << 20, 10 << 20] {
        let state = large().slice(..bytes);
        let handle = store.storage.write_chunks(&folder(), chunks_of(state.clone())).await.unwrap();
        assert_eq!(store.storage.read(&handle).await.unwrap(), state);
    }
}

#[tokio::test]
async fn parts_go_on_while_nobody_looks() {
    let seam = Seam::system();
    let store = Store::new(&seam).hasty(&seam, ["2 s", "60 s"]);
    let calls = async |call, most: usize| {
        let arrived = async {
            while store.plan.calls(call) < most {
                seam.sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(seam.timeout(PATIENCE, arrived).await.is_some(), "{call:?}: {}", store.plan.calls(call));
    };
    // Written: all but the last part are there while the next piece is awaited.
    let given = futures_util::stream::iter([Ok(large())]).chain(futures_util::stream::pending()).boxed();
    let folder = folder();
    let mut writing = std::pin::pin!(store.storage.write_chunks(&folder, given));
    assert!(writing.as_mut().now_or_never().is_none());
    // It is not looked at again.
    calls(StateCall::Part, 2).await;
    // Read: once somebody has looked, the parts that are ahead come, however slow their taker is.
    let handle = store.write(large()).await.unwrap();
    let before = store.plan.calls(StateCall::Get);
    let mut chunks = store.storage.read_chunks(&handle).await.unwrap();
    let first = chunks.next().await.unwrap().unwrap();
    calls(StateCall::Get, before + 3).await;
    // Longer than a request may take.
    seam.sleep(Duration::from_secs(4)).await;
    let rest: Vec<Bytes> = chunks.try_collect().await.unwrap();
    assert!([&first[..], &rest.concat()].concat() == large());
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_never_seen() {
    let seam = Seam::system();
    let store = Store::new(&seam).hasty(&seam, ["10 s", "1 s"]);
    for (call, fault) in [
        (StateCall::Part, StateFault::FailBefore),
        (StateCall::Part, StateFault::FailAfter),
        (StateCall::Complete, StateFault::FailBefore),
    ] {
        store.plan.always(call, fault);
        assert_eq!(store.write(large()).await.unwrap_err().kind(), ErrorKind::Storage, "{call:?} {fault:?}");
        store.plan.clear();
        assert_eq!(store.objects().await, 0, "{call:?} {fault:?}");
    }
    let half = futures_util::stream::iter([Ok(large()), Err(ha_core::Error::new(ErrorKind::Invalid, "give"))]);
    let error = store.storage.write_chunks(&folder(), Box::pin(half)).await.unwrap_err();
    assert_eq!((error.kind(), store.objects().await), (ErrorKind::Invalid, 0));
}

#[tokio::test]
async fn an_upload_whose_completion_was_not_answered_is_found_to_be_complete() {
    let store = Store::new(&Seam::system());
    store.plan.next(StateCall::Complete, StateFault::FailAfter);
    let handle = store.write(large()).await.unwrap();
    assert_eq!(store.storage.read(&handle).await.unwrap(), large());
    // One byte is another, and the answer is lost: what stands there is not what was meant. It stays, for nobody knows
    // whose it is; the state is written anew.
    store.plan.next(StateCall::Part, StateFault::Corrupt);
    store.plan.next(StateCall::Complete, StateFault::FailAfter);
    let anew = store.write(large()).await.unwrap();
    assert_eq!(store.storage.read(&anew).await.unwrap(), large());
    // Pieces that cannot be asked for again are not.
    store.plan.next(StateCall::Part, StateFault::Corrupt);
    store.plan.next(StateCall::Complete, StateFault::FailAfter);
    let error = store.storage.write_chunks(&folder(), chunks_of(large())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
}

#[tokio::test]
async fn a_large_state_that_is_short_changed_or_gone_is_told_apart() {
    let store = Store::new(&Seam::system());
    let handle = store.write(large()).await.unwrap();
    let read = async || store.storage.read(&handle).await.unwrap_err().kind();
    for fault in [StateFault::Corrupt, StateFault::ShortBody] {
        store.plan.next(StateCall::Get, fault);
        assert_eq!(read().await, ErrorKind::Corrupt, "{fault:?}");
    }
    let path = object_store::path::Path::from(handle.uri.strip_prefix("memory:///").unwrap());
    for bytes in [0, 1, LARGE_BYTES - 1, LARGE_BYTES + 1] {
        store.inner.put(&path, vec![0; bytes].into()).await.unwrap();
        assert_eq!(read().await, ErrorKind::Corrupt, "{bytes} bytes");
    }
    store.inner.delete(&path).await.unwrap();
    assert_eq!(read().await, ErrorKind::StateMissing);
    assert!(!store.storage.seems_whole(&handle).await.unwrap());
}

/// A store of one's own, or a proxy before one, may send what it likes.
#[tokio::test]
async fn a_body_that_goes_on_is_corrupt_and_no_more_of_it_is_taken() {
    let seam = Seam::system();
    let store = Store::new(&seam);
    let faulty = FaultyStates::new(Arc::clone(&store.inner) as Arc<dyn ObjectStore>, seam.clone(), store.plan.clone());
    let local = StateStorage::over(Arc::new(faulty), "memory:///", seam);
    let (small, big) = (store.write("state").await.unwrap(), store.write(large()).await.unwrap());
    store.plan.always(StateCall::Get, StateFault::LongBody);
    for storage in [&store.storage, &local] {
        for handle in [&small, &big] {
            let before = store.plan.too_many();
            assert_eq!(storage.read(handle).await.unwrap_err().kind(), ErrorKind::Corrupt);
            // Some parts are read ahead.
            let taken = store.plan.too_many() - before;
            assert!(taken <= 16 << 20, "{taken} bytes too many");
        }
    }
}
