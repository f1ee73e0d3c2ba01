//! Election and fencing, checked exhaustively for small sizes: every order of every step of a few processes and a
//! store, with every fault at every place. What `docs/failure-model.md` says in words; `guard` lists what it needs.
//!
//! The model is no proof of the code by itself. So `replay` carries its traces out on the real services, over a store
//! that answers when it is told to, and compares them step by step.

#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod calm;
mod configurations;
mod electing;
mod guard;
mod holding;
mod model;
mod passing;
mod properties;
mod removing;
mod replay;
mod store;
mod world;
mod writing;
