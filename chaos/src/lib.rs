#![doc = include_str!("../README.md")]

mod clock;
mod command;
mod consul;
mod directory;
mod hindered;
mod judge;
mod keeper;
mod members;
mod options;
mod plan;
mod run;
mod summary;
pub mod worker;
mod world;

pub use command::command;
pub use options::{Kind, Options};
pub use plan::{Step, Trouble, plan};
pub use run::{Failed, Ran, run};
pub use summary::Summary;
