//! Large states on stores over a network, read as ranges.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, GetResultPayload, ObjectStore, ObjectStoreExt};

use super::options::Limits;
use super::{Chunks, StateHandle, StateStorage, driven};
use crate::{Error, ErrorKind};

impl StateStorage {
    /// The parts of a state in order, some of them ahead. Whoever is slow to take them holds up nothing: each is a
    /// request of its own and a task of its own, and waits for no taker.
    pub(super) async fn parts(
        &self,
        limits: Limits,
        handle: &StateHandle,
        path: Path,
    ) -> Result<Chunks<'static>, Error> {
        let step = limits.part_bytes as u64;
        // The first at once: it says whether there is anything of the right length.
        let first = self.part(handle, &path, 0..handle.length.min(step)).await?;
        let (storage, handle, path) = (self.clone(), Arc::new(handle.clone()), Arc::new(path));
        let starts = stream::iter((1..handle.length.div_ceil(step)).map(move |number| number * step));
        let rest = starts.map(move |start| {
            let (storage, handle, path) = (storage.clone(), Arc::clone(&handle), Arc::clone(&path));
            let seam = storage.seam.clone();
            let fetched = driven(&seam, async move {
                let range = start..handle.length.min(start + step);
                storage.part(&handle, &path, range).await
            });
            async move {
                fetched.await.unwrap_or_else(|| {
                    Err(Error::new(ErrorKind::Storage, "read state").because("the runtime has ended meanwhile"))
                })
            }
        });
        Ok(stream::iter([Ok(first)]).chain(rest.buffered(limits.parallelism)).boxed())
    }

    async fn part(&self, handle: &StateHandle, path: &Path, range: Range<u64>) -> Result<Bytes, Error> {
        let fetched = async {
            let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
            let got = match self.store.get_opts(path, options).await {
                Ok(got) => got,
                Err(error) => return Err(self.why_no_part(handle, path, error).await),
            };
            expect_length(handle, got.meta.size)?;
            self.body(handle, path, got, range.end - range.start).await
        };
        let bytes = self.bounded("read state", path, fetched).await?;
        if bytes.len() as u64 != range.end - range.start {
            return Err(handle.corrupt(format!("{} bytes came for the range {range:?}", bytes.len())));
        }
        Ok(bytes)
    }

    /// The bytes that came, at most as many as were asked for: a store may send what it likes, and without an end.
    pub(super) async fn body(
        &self,
        handle: &StateHandle,
        path: &Path,
        got: GetResult,
        most: u64,
    ) -> Result<Bytes, Error> {
        let failed = |error| self.failed("read state", path, error);
        if matches!(got.payload, GetResultPayload::File(..)) {
            // Its length is that of the file, which was looked at.
            return got.bytes().await.map_err(failed);
        }
        let (mut pieces, mut length, mut stream) = (Vec::new(), 0, got.into_stream());
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(failed)?;
            length += piece.len() as u64;
            if length > most {
                return Err(handle.corrupt(format!("more than the {most} bytes that were asked for")));
            }
            if !piece.is_empty() {
                pieces.push(piece);
            }
        }
        match &mut pieces[..] {
            [] => Ok(Bytes::new()),
            [whole] => Ok(std::mem::take(whole)),
            _ => Ok(pieces.concat().into()),
        }
    }

    /// A store refuses a range beyond the end with an error of its own: then the state is too short, not the store bad.
    async fn why_no_part(&self, handle: &StateHandle, path: &Path, error: object_store::Error) -> Error {
        let error = self.failed("read state", path, error);
        if error.kind() != ErrorKind::Storage {
            return error;
        }
        match self.store.head(path).await {
            Ok(meta) => expect_length(handle, meta.size).err().unwrap_or(error),
            Err(_) => error,
        }
    }
}

pub(super) fn expect_length(handle: &StateHandle, found: u64) -> Result<(), Error> {
    match found == handle.length {
        true => Ok(()),
        false => Err(handle.corrupt(format!("{found} bytes, {} were written", handle.length))),
    }
}
