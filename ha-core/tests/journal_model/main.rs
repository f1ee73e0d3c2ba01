//! The journal's protocol, checked exhaustively for small sizes: every order of every step of its processes, with every
//! fault at every place. `docs/protocols/journal.md` is the protocol in words, and says what stands for what here.

mod configurations;
mod directory;
mod guard;
mod history;
mod holding;
mod model;
mod process;
mod properties;
mod removing;
mod sessions;
mod steps;
