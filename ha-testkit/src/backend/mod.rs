//! The cases of the backend contract, one group per file. Each is a plain async function that
//! panics when its claim does not hold; the claims stand in the list beside this file.

mod list;

#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod changes;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod commits;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod epochs;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod foreign;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod guards;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod latches;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod life;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod races;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod reading;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod refusals;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod sessions;
#[doc(hidden)]
#[allow(missing_docs, clippy::unwrap_used, reason = "bodies of tests; what each claims stands in the list, once")]
pub mod takeover;

crate::backend_cases! { __registry => Backend }
crate::backend_cases! { __dispatch => backend }
