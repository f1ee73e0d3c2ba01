//! The cases of the resolution of unknown outcomes: `ha_core::resolve::Committer` over a faulty
//! way to the store.

mod list;
mod world;

#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod late;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod rules;

crate::resolution_cases! { __registry => Resolution }
