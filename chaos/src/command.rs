//! The command line.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use ha_testkit::page::Page;

use crate::options::Options;
use crate::run::{Ran, run};

/// What is never tried, and why.
const NOT_TRIED: [&str; 1] = ["network namespaces: workers and servers share loopback, and proxies stand between them"];

/// Does what those words ask for; whether all was as it must be.
///
/// # Errors
/// A text for people: the words are not understood, something is missing, or a file cannot be written.
pub fn command(words: &[String]) -> Result<bool, String> {
    let options = Options::parse(words)?;
    let done = ha_testkit::run::block_on(async {
        let interrupted = ha::termination().map_err(|error| error.to_string())?;
        tokio::select! {
            biased;
            _ = interrupted => Err("interrupted; nothing is left of it".to_owned()),
            ran = run(options.clone()) => ran.map_err(|failed| failed.to_string()),
        }
    })?;
    let failed = |file: &Path, error: std::io::Error| format!("{}: {error}", file.display());
    let write = |file: &Path, text: String| {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        }
        std::fs::write(file, text).map_err(|error| failed(file, error))
    };
    let file = options.page.clone().unwrap_or_else(|| default_page(&options));
    write(&file, page(&options, &done))?;
    tell(&options, &done);
    println!("page             {}", file.display());
    Ok(done.is_clean())
}

/// Below the target folder, which nobody keeps.
fn default_page(options: &Options) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    PathBuf::from(target).join("chaos").join(format!("{}-{}.html", options.backend.name(), options.seed))
}

fn page(options: &Options, ran: &Ran) -> String {
    let title = format!("Chaos on {}, seed {}", options.backend.name(), options.seed);
    let page = Page::new(title, &ran.history).fact("the same faults again", options.replay());
    let page = ran.skipped.iter().fold(page, |page, skipped| page.fact("not tried", skipped));
    let page = page.violations(&ran.violations);
    ran.findings.iter().fold(page, |page, finding| page.finding("workers", finding)).to_string()
}

fn tell(options: &Options, ran: &Ran) {
    let mut out = std::io::stdout().lock();
    // Nobody may be listening.
    let _ = writeln!(out, "backend          {}\nseed             {}", options.backend.name(), options.seed);
    let _ = write!(out, "{}", ran.summary);
    for skipped in ran.skipped.iter().map(String::as_str).chain(NOT_TRIED) {
        let _ = writeln!(out, "not tried: {skipped}");
    }
    for violation in &ran.violations {
        let _ = writeln!(out, "\n{violation}");
    }
    for finding in &ran.findings {
        let _ = writeln!(out, "\n{finding}");
    }
    let _ = match ran.is_clean() {
        true => writeln!(out, "all is as it must be"),
        false => writeln!(
            out,
            "\nFAILED; the same faults again (what the system does with them may differ):\n  {}",
            options.replay()
        ),
    };
}
