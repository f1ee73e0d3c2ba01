//! What the program is asked to do.

use std::path::PathBuf;

use clap::Parser;

/// A small stream processor that survives losing its leader.
///
/// Without arguments it runs the demo: two job managers compete for leadership, a million generated
/// click events flow, the leader is killed twice in the middle of the stream, and at the end the output
/// is compared with an independent computation.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "stream-processor",
    after_help = "Examples:\n  stream-processor\n  stream-processor --events 10000000 --kill 5\n  \
                  stream-processor --input access.log --json\n  seq 1 2000000 | stream-processor --input - --kill 3\n\n\
                  Exit status: 0 if the output was verified, 1 if not, 2 for arguments that do not fit."
)]
pub struct Arguments {
    /// Events to process: a file of lines (text, or JSON objects with `key`, `ts`, `value`), or - for
    /// standard input. Without it, click events are generated.
    #[arg(long, value_name = "FILE|-")]
    pub input: Option<PathBuf>,

    /// How many click events to generate.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, conflicts_with = "input")]
    pub events: u64,

    /// How many times the leader is killed.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub kill: u32,

    /// The seed of the generated events.
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub seed: u64,

    /// The backend that leaders are elected on.
    #[arg(long, value_name = "NAME", default_value = "embedded")]
    pub backend: String,

    /// Where the output is written: a directory that is empty, or does not exist. A temporary one if it
    /// is not given.
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// How many tasks aggregate in parallel.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub parallelism: u16,

    /// Print the outcome as one JSON object on the last line.
    #[arg(long)]
    pub json: bool,
}
