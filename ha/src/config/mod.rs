//! Where services get their settings from: one set of keys, as Flink has them, from a YAML file, a URL, the environment
//! and the program itself.
//!
//! A [`Configuration`] holds keys and values as they were given, each with where it comes from. [`Configuration::settings`]
//! checks all of them and makes [`Settings`] of them, which [`Opener`](crate::Opener) makes services of.
//!
//! ```
//! use ha::config::Configuration;
//! let defaults = Configuration::new().with("high-availability.cluster-id", "/prod");
//! let url = Configuration::from_url("consul://localhost:8500/flink?session-ttl=30s&storageDir=file:///var/lib/ha")?;
//! let settings = defaults.and_then(url).settings()?;
//! assert_eq!(settings.mode.type_name(), "consul");
//! assert_eq!(settings.options.cluster_id, "/prod");
//! # Ok::<(), ha::Error>(())
//! ```
//!
//! # Which value counts
//! * Of several sources the later one, key by key: [`Configuration::and_then`]. The usual order is file, environment,
//!   command line.
//! * A deprecated name and the new one are one key. Within one source they may stand side by side only if they say the
//!   same.
//! * Credentials of the state storage come from one source: a key takes the place of an earlier source's key, secret and
//!   token, a secret that of its token. The id of a key may stand in a file, and its secret in a variable.
//! * An option that says in another way what an earlier source has said takes its place: a later `address` that of an
//!   earlier `host`.
//!
//! # What is refused
//! Every key that is not known, with the nearest one that is. Only in a file are keys of others passed over, such as
//! `taskmanager.numberOfTaskSlots`: what begins as this library's own keys do, or nearly so, is held to them there too.
//!
//! All keys: `docs/configuration.md`, which is generated from [`ConfigOption::all`].

mod configuration;
mod environment;
mod mode;
mod nearest;
mod option;
mod options;
mod origin;
mod reference;
mod settings;
mod url;
mod value;
#[cfg(feature = "yaml")]
mod yaml;

use std::fmt;

pub use configuration::Configuration;
pub use mode::HighAvailabilityMode;
pub use option::{Alias, ConfigOption, Effect, Kind};
pub use origin::Origin;
pub use reference::reference;
pub use settings::{PortRange, Settings, StorageSettings};
pub use value::{parse_duration, parse_memory_size};

pub(crate) use nearest::{DidYouMean, nearest};

/// The beginning of a text from outside, as it may stand in an error: quoted and on one line.
pub(crate) fn shown(text: &str) -> impl fmt::Display {
    const CHARACTERS_MAX: usize = 60;
    let kept: String = text.chars().take(CHARACTERS_MAX).collect();
    let more = if kept.len() < text.len() { "…" } else { "" };
    format!("{kept:?}{more}")
}
