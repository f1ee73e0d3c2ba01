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
//! `cargo test` then shows `conformance::mine::b_01_…` to the last case, each by its claim. The macros
//! need nothing in your manifest but `ha-testkit` and `ha-core`, as development dependencies. The long
//! way, from an empty folder to a durable backend with all hooks, is the guide `docs/write-a-backend.md`.
//!
//! # Levels
//! | macro | on | what its cases prove |
//! |---|---|---|
//! | [`backend_conformance!`] | a [`BackendFactory`] | the contract of [`ha_core::backend`], clause by clause |
//! | [`resolution_conformance!`] | a [`BackendFactory`] | that lost, late and doubled answers are resolved rightly over your backend |
//! | [`services_conformance!`] | a [`ServicesFactory`], which every [`BackendFactory`] is | elections, retrievals and stores, over your backend or with something of yours between |
//!
//! One invocation per file, for each makes a module (`conformance` or `resolution`); several places,
//! divided by semicolons, may stand in one.
//!
//! # Capabilities
//! A case that needs a hook ([`Store`] has one for each) which the test does not declare is skipped. A
//! [`Capability`] that is declared and does not work turns its cases red. Each says what stays
//! unproved without it.
//!
//! # Skips, and `CI`
//! A case that does not run prints one line, `SKIPPED <place> <id> <name>: <reason>`, past the test
//! runner's own capture, and counts as passed there. The reason is a capability that is not declared,
//! or that the factory answered [`Missing`]. **Where the environment variable `CI` is set (to anything),
//! `Missing` is a failure**: a server that did not start must not look like a suite that passed. Skips by
//! declaration stay skips; they are visible in the test's source.
//!
//! # New cases
//! A case that is added to the kit is in the lists behind the macros, so it runs in your tests with the
//! next version of the kit, without an edit. It may turn red: then it found something. Ids are never
//! given anew; [`registry::cases`] lists them with their claims.
//!
//! # What else is here
//! * [`fixture`]: a namespace with several handles, and the words that cases are written in. Use it for
//!   tests of your own.
//! * [`services`]: several processes on one namespace, each with services of its own, and a
//!   [`Line`](services::Line) between each and the store that holds up, refuses, and lets a process
//!   grow old without knowing.
//! * [`faults`]: a wrapper around any backend that delays, loses, doubles and holds back calls, by plan
//!   or by seed. Good for the tests of an application, too.
//! * [`sim`]: a paused runtime on which one seed decides a whole run; and on it whole clusters, with crashes, pauses,
//!   skewed clocks, a bad network and bad disks, whose histories are judged (`cargo xtask sim`). For
//!   everything that waits through the [`Seam`](ha_core::seam::Seam) alone: a backend with threads or
//!   sockets of its own does not fit in.
//! * [`history`]: what happened in a cluster, as events that a program can judge, one JSON line each; and [`checks`],
//!   which judge it: an invariant for each promise of the library, and a search for an order of the calls that explains
//!   their answers ([`checks::linearizability`]). A simulation and real processes are judged by the same ones.
//! * [`cancel`]: a future is dropped at each of its await points in turn, in a fresh world each time.
//! * [`ledger`]: what is alive (tasks, timers, descriptors, memory), and whether it grows.
//! * [`page`]: a history as one HTML page with its timeline, to look at.
//! * [`journal`]: a device in memory that a journal can be kept on, with everything that can go wrong with one.
//! * [`mutants`]: backends that are broken on purpose. Each is caught by the case meant for it,
//!   so that a green suite means something.
//! * [`remote`]: a store in memory that is served to other processes, and a backend as any other; with
//!   [`process`], which starts, kills and stops real ones.
//! * `hosted`: backend handles that have a process of their own each, for a backend whose handles share nothing but
//!   the store.
//! * `trials`: what tests with real processes have them do, and how it is judged, whatever the backend.
//! * `servers`: real ones, started on free ports and thrown away; and [`proxy`], which stands in front of one,
//!   breaks connections, and loses, holds back or doubles single requests.
//! * [`bench`](mod@bench): how benchmarks print ours beside bare.
//! * [`run`]: how one case is opened, run, timed and torn down; for running cases by hand.
//! * [`registry`] and [`document`](mod@document): what is claimed, and where it is proved. `docs/conformance.md` is
//!   printed from it by `cargo run -p ha-testkit --bin conformance-doc`.

/// The code in the guide that stands for itself compiles; the rest is compared with the example.
#[cfg(doctest)]
#[doc = include_str!("../../docs/write-a-backend.md")]
mod guide {}

#[doc(hidden)]
pub mod backend;
pub mod bench;
pub mod cancel;
pub mod checks;
mod conformance;
pub mod document;
mod embedded;
mod factory;
pub mod faults;
pub mod fixture;
pub mod history;
#[cfg(unix)]
pub mod hosted;
pub mod journal;
pub mod ledger;
pub mod mutants;
pub mod page;
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
#[cfg(unix)]
pub mod trials;

pub use async_trait::async_trait;
pub use embedded::EmbeddedFactory;
pub use factory::{BackendFactory, Capability, Missing, Store};
pub use fixture::{Fixture, Going};
pub use services::{Cluster, Deployment, ServicesFactory, States};
