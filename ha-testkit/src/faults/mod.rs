//! What stands between the library and its stores and goes wrong on purpose: [`Faulty`] before a backend,
//! [`FaultyStates`] before a state storage.
//!
//! A [`Plan`] says which calls go wrong and how; [`Faulty`] carries it out. The same plan and, for
//! [`Plan::seeded`], the same seed give the same faults in the same order of calls.
//!
//! ```
//! # use std::sync::Arc;
//! # use ha_core::{backend::{Backend, Commit, Expect, Key}, seam::Seam};
//! # use ha_testkit::faults::{Call, Fault, Faulty, Plan};
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let seam = Seam::system();
//! let store = ha_embedded::Embedded::new(seam.clone());
//! let plan = Plan::none();
//! let faulty = Faulty::new(Arc::new(store.connect()), seam.clone(), plan.clone());
//!
//! plan.next(Call::Commit, Fault::FailAfter);
//! let commit = Commit::new(seam.write_id()).put(Key::new("k").unwrap(), Expect::Absent, "v".into());
//! let error = faulty.commit(&commit).await.unwrap_err();
//! assert!(error.may_have_applied() && store.connect().read(&Key::new("k").unwrap()).await.unwrap().is_some());
//! # });
//! ```

mod faulty;
mod plan;
mod session;
mod state_plan;
mod states;

pub use faulty::Faulty;
pub use plan::{Call, Delivered, Fault, Plan};
pub use state_plan::{StateCall, StateFault, StatePlan};
pub use states::FaultyStates;
