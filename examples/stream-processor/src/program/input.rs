use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use ha::blob::BlobKey;

use super::Failure;
use crate::cli::SourceArguments;
use crate::sink::digest_of;
use crate::source::spool;
use crate::{Contents, ExecutionPlan, Recipe, SourceSpec};

/// Clicks are spread over ten milliseconds each; lines without a time count as a millisecond.
const WINDOW_MS: u64 = 10_000;
const LATENESS_MS: u64 = 2_000;

/// A job as it was asked for: its plan, and the file that it processes.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// The plan over the file where it lies here: for computing what the output must be.
    pub(super) here: ExecutionPlan,
    /// The plan over the artefact: for the cluster.
    pub(super) plan: ExecutionPlan,
    pub(super) artefact: PathBuf,
    pub(super) key: BlobKey,
}

/// Makes the job's file. Blocks as long as standard input does.
pub(super) fn job(name: &str, arguments: &SourceArguments, output: PathBuf, scratch: &Path) -> Result<Job, Failure> {
    let (source, artefact, holds) = match &arguments.input {
        None => {
            let recipe = Recipe { seed: arguments.seed, events: arguments.events };
            let path = scratch.join("recipe.json");
            let text =
                serde_json::to_vec(&recipe).map_err(|e| Failure::Io("cannot write a recipe".into(), e.into()))?;
            std::fs::write(&path, text).map_err(|e| Failure::Io(format!("cannot write {}", path.display()), e))?;
            let Recipe { seed, events } = recipe;
            (SourceSpec::Generator { seed, events }, path, Contents::Recipe)
        }
        Some(input) => {
            let path = file(input, scratch)?;
            (SourceSpec::File { path: path.clone() }, path, Contents::Lines)
        }
    };
    let here = ExecutionPlan {
        job: name.to_owned(),
        source,
        parallelism: u32::from(arguments.parallelism),
        window_ms: WINDOW_MS,
        lateness_ms: LATENESS_MS,
        output,
    };
    here.validate()?;
    let key = key_of(&artefact)?;
    let source = SourceSpec::Artefact { name: key.to_string(), holds };
    let plan = ExecutionPlan { source, ..here.clone() };
    Ok(Job { here, plan, artefact, key })
}

/// Where the events come from; standard input is copied to a file first, so that it can be replayed.
fn file(input: &Path, scratch: &Path) -> Result<PathBuf, Failure> {
    if input.as_os_str() == "-" {
        let path = scratch.join("input");
        spool(io::stdin().lock(), &path)?;
        return Ok(path);
    }
    let path = input.canonicalize().map_err(|e| Failure::Io(format!("cannot open {}", input.display()), e))?;
    // Opening a pipe may wait for ever, and what comes out of it cannot be read again after a fail-over.
    if !path.is_file() {
        let name = path.display();
        return Err(Failure::Arguments(format!("{name} is no regular file: hand it in with --input - instead")));
    }
    Ok(path)
}

/// What the file is called by its content.
fn key_of(path: &Path) -> Result<BlobKey, Failure> {
    let failed = |e| Failure::Io(format!("cannot read {}", path.display()), e);
    let (sha256, length) = File::open(path).and_then(digest_of).map_err(failed)?;
    Ok(format!("{sha256}-{length}").parse()?)
}
