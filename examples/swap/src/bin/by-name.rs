//! The backend is chosen when the program is started, by a URL or by a configuration file:
//!
//! ```text
//! cargo run -p swap --all-features --bin by-name embedded://
//! cargo run -p swap --all-features --bin by-name 'filesystem:///var/tmp/ha?cluster-id=/example'
//! cargo run -p swap --all-features --bin by-name 'consul://localhost:8500/flink?cluster-id=/example&storageDir=memory://'
//! cargo run -p swap --all-features --bin by-name config.yaml
//! ```

use std::path::Path;
use std::process::ExitCode;

use ha::{Configuration, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        eprintln!("by-name: give a URL, as in consul://localhost:8500/flink, or a file of YAML");
        return ExitCode::from(2);
    };
    match run(&name).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("by-name: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(name: &str) -> Result<(), Error> {
    let services = match name.contains("://") {
        true => ha::open_url(name).await?,
        // A file is the beginning, and the environment counts over it.
        false => {
            ha::open(&Configuration::from_yaml_file(Path::new(name))?.and_then(Configuration::from_env()?)).await?
        }
    };
    swap::lead_once(&*services).await?;
    services.close().await
}
