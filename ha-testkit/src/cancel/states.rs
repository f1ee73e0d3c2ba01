use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt};
use ha_core::seam::Seam;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use super::pausing::PAUSE;

/// An object store whose every call waits once before it is carried out, and once more before its answer arrives.
#[derive(Debug, Clone)]
pub struct PausingStates {
    inner: Arc<dyn ObjectStore>,
    seam: Seam,
}

impl PausingStates {
    /// Calls to that store wait by that seam.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>, seam: Seam) -> Self {
        Self { inner, seam }
    }

    async fn paused<T>(&self, call: impl Future<Output = T>) -> T {
        self.seam.sleep(PAUSE).await;
        let answer = call.await;
        self.seam.sleep(PAUSE).await;
        answer
    }
}

#[async_trait]
impl ObjectStore for PausingStates {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.paused(self.inner.put_opts(path, payload, options)).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.paused(self.inner.put_multipart_opts(path, options)).await?;
        Ok(Box::new(PausingUpload { inner, store: self.clone() }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.paused(self.inner.get_opts(path, options)).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let deleted = paths.then(move |path| {
            let store = store.clone();
            async move {
                let path = path?;
                store.paused(store.inner.delete(&path)).await?;
                Ok(path)
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (list, seam) = (self.inner.list(prefix), self.seam.clone());
        let first = futures_util::stream::once(async move {
            seam.sleep(PAUSE).await;
            list
        });
        first.flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.paused(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.paused(self.inner.copy_opts(from, to, options)).await
    }
}

impl fmt::Display for PausingStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pausing({})", self.inner)
    }
}

#[derive(Debug)]
struct PausingUpload {
    inner: Box<dyn MultipartUpload>,
    store: PausingStates,
}

#[async_trait]
impl MultipartUpload for PausingUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (part, store) = (self.inner.put_part(data), self.store.clone());
        Box::pin(async move { store.paused(part).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.store.paused(self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.store.paused(self.inner.abort()).await
    }
}
