//! Blobs: files that jobs need (code, libraries), kept so that every later leader finds them.
//!
//! A blob is known by its content: the [`BlobKey`] is its SHA-256 and its length, so what is stored
//! under a key never changes, and what comes out is what the key says, or an error.

mod default_store;
mod key;
mod pointer;
mod store;

pub use default_store::DefaultBlobStore;
pub use key::BlobKey;
#[cfg(feature = "fuzzing")]
pub(crate) use pointer::Pointer;
pub(crate) use pointer::state_in;
pub use store::BlobStore;
