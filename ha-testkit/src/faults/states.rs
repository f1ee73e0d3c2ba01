use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use ha_core::seam::Seam;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use tokio::sync::oneshot;

use super::state_plan::{StateCall, StateFault, StatePlan};

/// Carries out a [`StatePlan`] on the way to an object store. Lists and copies never go wrong.
///
/// ```
/// # use std::sync::Arc;
/// # use ha_core::{ErrorKind, seam::Seam, state::StateStorage};
/// # use ha_testkit::faults::{FaultyStates, StateCall, StateFault, StatePlan};
/// # use object_store::memory::InMemory;
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let (seam, plan) = (Seam::system(), StatePlan::none());
/// let faulty = FaultyStates::new(Arc::new(InMemory::new()), seam.clone(), plan.clone());
/// let storage = StateStorage::over(Arc::new(faulty), "memory:///", seam);
/// let handle = storage.write(&[], "state".into()).await?;
/// plan.next(StateCall::Get, StateFault::Corrupt);
/// assert_eq!(storage.read(&handle).await.unwrap_err().kind(), ErrorKind::Corrupt);
/// assert_eq!(storage.read(&handle).await?, "state");
/// # Ok::<(), ha_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct FaultyStates {
    inner: Arc<dyn ObjectStore>,
    seam: Seam,
    plan: StatePlan,
}

/// What a body that is too long goes on with: far more than a test's state, far less than a machine's memory.
const PIECE_BYTES: usize = 1 << 20;
const PIECES: usize = 256;

/// What is left to do with a call that was not answered at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    AsItIs,
    AndFail,
    Long,
    Half,
    Changed,
}

impl FaultyStates {
    /// Lets the calls to `inner` go wrong as planned.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>, seam: Seam, plan: StatePlan) -> Self {
        Self { inner, seam, plan }
    }

    async fn before(&self, call: StateCall) -> Result<Then> {
        match self.plan.choose(call) {
            None => {}
            Some(StateFault::Delay(by)) => self.seam.sleep(by).await,
            Some(StateFault::Hang) => std::future::pending().await,
            Some(StateFault::Hold) => self.plan.until_let_go().await,
            Some(StateFault::FailBefore) => return Err(failed(std::io::ErrorKind::TimedOut)),
            Some(StateFault::DiskFull) => return Err(failed(std::io::ErrorKind::StorageFull)),
            Some(StateFault::FailAfter) => return Ok(Then::AndFail),
            Some(StateFault::ShortBody) => return Ok(Then::Half),
            Some(StateFault::LongBody) => return Ok(Then::Long),
            Some(StateFault::Corrupt) => return Ok(Then::Changed),
        }
        Ok(Then::AsItIs)
    }

    async fn delete_one(&self, path: Path) -> Result<Path> {
        let then = self.before(StateCall::Delete).await?;
        self.inner.delete(&path).await?;
        then.answer(path)
    }
}

impl Then {
    fn answer<T>(self, answer: T) -> Result<T> {
        if self == Self::AndFail { Err(failed(std::io::ErrorKind::ConnectionReset)) } else { Ok(answer) }
    }

    fn spoil(self, bytes: Bytes) -> Bytes {
        match self {
            Self::AsItIs | Self::AndFail | Self::Long => bytes,
            Self::Half => bytes.slice(..bytes.len() / 2),
            Self::Changed => {
                let mut changed = bytes.to_vec();
                if let Some(last) = changed.last_mut() {
                    *last ^= 1;
                }
                changed.into()
            }
        }
    }

    fn spoil_payload(self, payload: PutPayload) -> PutPayload {
        if matches!(self, Self::AsItIs | Self::AndFail | Self::Long) {
            payload
        } else {
            self.spoil(payload.into()).into()
        }
    }
}

fn failed(kind: std::io::ErrorKind) -> Error {
    Error::Generic { store: "faulty", source: Box::new(std::io::Error::new(kind, "injected")) }
}

#[async_trait]
impl ObjectStore for FaultyStates {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let then = self.before(StateCall::Put).await?;
        then.answer(self.inner.put_opts(path, then.spoil_payload(payload), options).await?)
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(path, options).await?;
        let inner = Arc::new(tokio::sync::Mutex::new(inner));
        Ok(Box::new(FaultyUpload { inner, store: self.clone(), turn: None }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let then = self.before(if options.head { StateCall::Head } else { StateCall::Get }).await?;
        let mut got = self.inner.get_opts(path, options).await?;
        if then == Then::Long {
            let body = std::mem::replace(&mut got.payload, GetResultPayload::Stream(stream::empty().boxed()));
            let (meta, range) = (got.meta.clone(), got.range.clone());
            let (attributes, extensions) = (got.attributes.clone(), got.extensions.clone());
            let body = GetResult { payload: body, meta, range, attributes, extensions }.into_stream();
            let (plan, piece) = (self.plan.clone(), Bytes::from(vec![0; PIECE_BYTES]));
            let more = stream::iter((0..PIECES).map(move |_| {
                plan.count_too_many(PIECE_BYTES);
                Ok(piece.clone())
            }));
            got.payload = GetResultPayload::Stream(body.chain(more).boxed());
        }
        if matches!(then, Then::Half | Then::Changed) {
            // What it says of the length stays: only the body is wrong.
            let payload = std::mem::replace(&mut got.payload, GetResultPayload::Stream(stream::empty().boxed()));
            let (meta, range) = (got.meta.clone(), got.range.clone());
            let (attributes, extensions) = (got.attributes.clone(), got.extensions.clone());
            let bytes = GetResult { payload, meta, range, attributes, extensions }.bytes().await?;
            got.payload = GetResultPayload::Stream(stream::iter([Ok(then.spoil(bytes))]).boxed());
        }
        then.answer(got)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let deleted = paths.then(move |path| {
            let store = store.clone();
            async move { store.delete_one(path?).await }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

impl fmt::Display for FaultyStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({})", self.inner)
    }
}

#[derive(Debug)]
struct FaultyUpload {
    inner: Arc<tokio::sync::Mutex<Box<dyn MultipartUpload>>>,
    store: FaultyStates,
    /// Comes when the newest part was handed on, or will never be.
    turn: Option<oneshot::Receiver<()>>,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (inner, store) = (Arc::clone(&self.inner), self.store.clone());
        // Several may be on their way; a part is what its place among the calls says, whichever is polled first.
        let (handed_on, next) = oneshot::channel();
        let turn = self.turn.replace(next);
        Box::pin(async move {
            if let Some(turn) = turn {
                // An error: the part before will never be handed on.
                let _ = turn.await;
            }
            let then = store.before(StateCall::Part).await?;
            let part = inner.lock().await.put_part(then.spoil_payload(data));
            // Nobody waits: this is the last part.
            let _ = handed_on.send(());
            part.await?;
            then.answer(())
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let then = self.store.before(StateCall::Complete).await?;
        then.answer(self.inner.lock().await.complete().await?)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.lock().await.abort().await
    }
}
