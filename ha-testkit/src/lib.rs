//! The conformance kit: proves clause by clause that a backend keeps the contract of
//! [`ha_core::backend`], and that the library keeps its own rules on top of it.
//!
//! # A backend of your own, in twenty lines
//! Say how to open an empty namespace and how to connect to it; name, *in the test*, what the
//! fixture can do beyond that. Everything else is one macro, and a case that is added to the kit
//! reaches your backend without an edit.
//!
//! ```
//! use std::sync::Arc;
//! use ha_core::{Error, backend::Backend, seam::Seam};
//! use ha_embedded::Embedded; // stands for the backend of your own
//! use ha_testkit::{BackendFactory, Missing, Store, async_trait, backend_conformance};
//!
//! struct Factory;
//! struct Namespace(Embedded, Seam);
//!
//! #[async_trait]
//! impl BackendFactory for Factory {
//!     async fn open(&self) -> Result<Arc<dyn Store>, Missing> {
//!         let seam = Seam::system();
//!         Ok(Arc::new(Namespace(Embedded::new(seam.clone()), seam)))
//!     }
//! }
//! #[async_trait]
//! impl Store for Namespace {
//!     fn seam(&self) -> Seam { self.1.clone() }
//!     async fn connect(&self) -> Result<Arc<dyn Backend>, Error> { Ok(Arc::new(self.0.connect())) }
//! }
//! backend_conformance! { mine, Factory, can: [LinearizableReads] }
//! # fn main() {}
//! ```
//!
//! `cargo test` then shows `conformance::mine::b_01_…` to the last case, each by its claim. A case
//! that needs a [`Capability`] which is not declared prints `SKIPPED` with the reason; if a server
//! is [`Missing`], it is skipped visibly here and fails where `CI` is set.
//!
//! A factory of backends is a [`ServicesFactory`] as well: in another file, the same words after
//! [`services_conformance!`] run the services of the library over your backend, case by case.
//!
//! # What else is here
//! * [`services`]: several processes on one namespace, each with services of its own, and a
//!   [`Line`](services::Line) between each and the store that holds up, refuses, and lets a process
//!   grow old without knowing.
//! * [`faults`]: a wrapper that delays, loses, doubles and holds back calls, by plan or by seed.
//! * [`mutants`]: backends that are broken on purpose. Each is caught by the case meant for it,
//!   so that a green suite means something.
//! * [`remote`]: a store in memory that is served to other processes, and a backend as any other; with
//!   [`process`], which starts, kills and stops real ones.
//! * `servers`: real ones, started on free ports and thrown away; and [`proxy`], which stands in front of one,
//!   breaks connections, and loses, holds back or doubles single requests.
//! * [`sim`]: a paused runtime on which one seed decides a whole run, and a history of it.
//! * [`registry`] and `docs/conformance.md`, which `cargo run -p ha-testkit --bin conformance-doc`
//!   prints from it: what is claimed, where it is proved, and what is not.

#[doc(hidden)]
pub mod backend;
mod conformance;
pub mod document;
mod embedded;
mod factory;
pub mod faults;
pub mod fixture;
pub mod mutants;
#[cfg(unix)]
pub mod process;
pub mod proxy;
pub mod registry;
pub mod remote;
#[doc(hidden)]
pub mod resolution;
pub mod run;
#[cfg(unix)]
pub mod servers;
pub mod services;
pub mod sim;

pub use async_trait::async_trait;
pub use embedded::EmbeddedFactory;
pub use factory::{BackendFactory, Capability, Missing, Store};
pub use fixture::{Fixture, Going};
pub use services::{Cluster, Deployment, ServicesFactory};
