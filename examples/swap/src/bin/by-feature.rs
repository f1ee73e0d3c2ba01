//! The backend is chosen by the cargo feature alone:
//!
//! ```text
//! cargo run -p swap --bin by-feature
//! cargo run -p swap --bin by-feature --no-default-features --features filesystem
//! cargo run -p swap --bin by-feature --no-default-features --features consul
//! ```

use ha::{Configuration, Error};

/// What it was built with.
const BACKEND: &str = if cfg!(feature = "consul") {
    "consul"
} else if cfg!(feature = "filesystem") {
    "filesystem"
} else {
    "embedded"
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let directory = std::env::temp_dir().join("ha-swap-example");
    let configuration = Configuration::new()
        .with("high-availability.type", BACKEND)
        .with("high-availability.cluster-id", "swap-example")
        // It stores nothing large, so the state may go anywhere.
        .with("high-availability.storageDir", "memory://")
        .with("high-availability.filesystem.directory", directory.display().to_string())
        // An agent elsewhere, another directory: what the environment says counts over all of this.
        .and_then(Configuration::from_env()?);
    let services = ha::open(&configuration).await?;
    println!("built for {BACKEND}");
    swap::lead_once(&*services).await?;
    services.close().await
}
