//! The program: see `stream-processor --help`.

use std::process::ExitCode;

use clap::Parser;
use stream_processor::cli::Arguments;
use stream_processor::cluster::backends::Backends;
use stream_processor::program;

fn main() -> ExitCode {
    program::main(&Arguments::parse(), &Backends::compiled_in())
}
